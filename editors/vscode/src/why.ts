/** Why there is no suggestion, said where the cursor is. */
import * as vscode from 'vscode';
import type { Server } from './server';
import type { Switches } from './switches';

const SHOWN_MS = 8000;
const beside = vscode.window.createTextEditorDecorationType({ after: { margin: '0 0 0 2em', color: new vscode.ThemeColor('editorCodeLens.foreground'), fontStyle: 'italic' } });

export async function showWhy(server: Server, switches: Switches, editor: vscode.TextEditor): Promise<void> {
  const { document, selection } = editor;
  const contentText = switches.why(document) || (await asked(server, document, selection.active));
  const end = document.lineAt(selection.active.line).range.end;
  editor.setDecorations(beside, [{ range: new vscode.Range(end, end), renderOptions: { after: { contentText } } }]);
  const clear = (): void => {
    clearTimeout(timer);
    moved.dispose();
    editor.setDecorations(beside, []);
  };
  const timer = setTimeout(clear, SHOWN_MS);
  const moved = vscode.window.onDidChangeTextEditorSelection(clear);
}

async function asked(server: Server, document: vscode.TextDocument, { line, character }: vscode.Position): Promise<string> {
  const client = await server.whenRunning();
  const automatic = { triggerKind: 2 };
  const found = await client.sendRequest<{ readonly items: readonly unknown[] }>('textDocument/inlineCompletion', { textDocument: { uri: document.uri.toString() }, position: { line, character }, context: automatic });
  return found.items.length ? 'There is a suggestion here.' : server.status?.suggestion?.reason || 'The model has nothing to suggest here.';
}

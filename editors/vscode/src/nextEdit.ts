/** The next edit: where the last change leads, shown in its place. One key goes there, and makes it. */
import * as vscode from 'vscode';
import type { Range } from 'vscode-languageclient';
import type { Server } from './server';

interface Edit {
  readonly id: string;
  readonly title: string;
  readonly textDocument: { readonly uri: string; readonly version: number | null };
  readonly range: Range;
  readonly oldText: string;
  readonly newText: string;
}

interface Shown {
  readonly edit: Edit;
  readonly uri: vscode.Uri;
  readonly range: vscode.Range;
  /** The document in which it was asked for, and its version then. */
  readonly from: vscode.TextDocument;
  readonly version: number;
}

/** So long after the last change the server is asked. */
const REST_MS = 120;
const CONTEXT = 'codellama.nextEdit';
const MARK = vscode.Uri.parse(`data:image/svg+xml;utf8,${encodeURIComponent('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><path d="M3 3l5 5-5 5M8 3l5 5-5 5" fill="none" stroke="#3794ff" stroke-width="2"/></svg>')}`);

export class NextEdits implements vscode.Disposable {
  private readonly old = vscode.window.createTextEditorDecorationType({ backgroundColor: new vscode.ThemeColor('diffEditor.removedTextBackground'), textDecoration: 'line-through' });
  private readonly made = vscode.window.createTextEditorDecorationType({ gutterIconPath: MARK, gutterIconSize: 'contain' });
  private readonly subscriptions: vscode.Disposable[];
  private shown: Shown | undefined;
  private timer: NodeJS.Timeout | undefined;
  private asking = new vscode.CancellationTokenSource();
  /** From one to the next: the cursor follows. */
  private going = false;

  constructor(private readonly server: Server) {
    this.subscriptions = [this.old, this.made, vscode.window.onDidChangeActiveTextEditor(() => this.left())];
  }

  dispose(): void {
    this.stop();
    this.subscriptions.forEach((each) => each.dispose());
  }

  /** A document was changed: what was shown is no more, and something else may follow. */
  changed(document: vscode.TextDocument): void {
    const editor = vscode.window.activeTextEditor;
    if (editor?.document !== document) {
      return;
    }
    this.clear('ignored');
    this.stop();
    this.timer = setTimeout(() => void this.ask(), this.going ? 0 : REST_MS);
  }

  /** Go to the edit, or where the cursor is there, make it. */
  async go(): Promise<void> {
    const { shown } = this;
    const editor = vscode.window.activeTextEditor;
    if (!shown || !editor) {
      this.going = true;
      return this.ask();
    }
    if (editor.document.uri.toString() !== shown.uri.toString()) {
      this.clear();
      this.going = true;
      await vscode.window.showTextDocument(await vscode.workspace.openTextDocument(shown.uri), { selection: new vscode.Range(shown.range.start, shown.range.start) });
      return this.ask();
    }
    if (!editor.selection.active.isEqual(shown.range.start)) {
      this.reveal(editor, shown.range);
      return;
    }
    this.clear('accepted');
    this.going = await editor.edit((builder) => builder.replace(shown.range, shown.edit.newText), { undoStopBefore: true, undoStopAfter: true });
  }

  /** It is not wanted. */
  reject(): void {
    this.going = false;
    this.clear('rejected');
  }

  private left(): void {
    this.stop();
    this.clear();
  }

  private stop(): void {
    clearTimeout(this.timer);
    this.asking.cancel();
  }

  private reveal(editor: vscode.TextEditor, range: vscode.Range): void {
    editor.selection = new vscode.Selection(range.start, range.start);
    editor.revealRange(range, vscode.TextEditorRevealType.InCenterIfOutsideViewport);
  }

  private async ask(): Promise<void> {
    const { client } = this.server;
    const editor = vscode.window.activeTextEditor;
    if (!client || !editor || !client.initializeResult?.capabilities.experimental?.['codellama/nextEdit']) {
      return;
    }
    const { document, selection } = editor;
    const { version } = document;
    this.asking = new vscode.CancellationTokenSource();
    const convert = client.code2ProtocolConverter;
    const asked = { textDocument: convert.asTextDocumentIdentifier(document), position: convert.asPosition(selection.active) };
    const answer = await client.sendRequest<{ readonly edit: Edit | null }>('codellama/nextEdit', asked, this.asking.token).catch(() => undefined);
    const going = this.going;
    if (answer) {
      this.going = false;
    }
    const edit = answer?.edit;
    if (!edit || vscode.window.activeTextEditor !== editor || document.version !== version) {
      return;
    }
    this.clear();
    const { start, end } = edit.range;
    const range = new vscode.Range(start.line, start.character, end.line, end.character);
    const uri = client.protocol2CodeConverter.asUri(edit.textDocument.uri);
    this.shown = { edit, uri, range, from: document, version };
    void vscode.commands.executeCommand('setContext', CONTEXT, true);
    this.draw(editor, this.shown);
    if (going && uri.toString() === document.uri.toString()) {
      this.reveal(editor, range);
    }
  }

  private draw(editor: vscode.TextEditor, { edit, uri, range }: Shown): void {
    if (uri.toString() === editor.document.uri.toString()) {
      const contentText = edit.newText.replace(/\n\s*/g, ' ⏎ ').trim();
      const after = { contentText, backgroundColor: new vscode.ThemeColor('diffEditor.insertedTextBackground') };
      editor.setDecorations(this.old, [range]);
      editor.setDecorations(this.made, [{ range: new vscode.Range(range.end, range.end), renderOptions: { after } }]);
    } else {
      const end = editor.document.lineAt(editor.selection.active.line).range.end;
      const contentText = `→ ${uri.path.split('/').at(-1)}:${range.start.line + 1}  ${edit.title}`;
      const after = { contentText, margin: '0 0 0 2em', color: new vscode.ThemeColor('editorCodeLens.foreground') };
      editor.setDecorations(this.made, [{ range: new vscode.Range(end, end), renderOptions: { after } }]);
    }
  }

  private clear(outcome?: 'accepted' | 'rejected' | 'ignored'): void {
    const { shown } = this;
    if (!shown) {
      return;
    }
    this.shown = undefined;
    void vscode.commands.executeCommand('setContext', CONTEXT, false);
    vscode.window.visibleTextEditors.forEach((editor) => [this.old, this.made].forEach((type) => editor.setDecorations(type, [])));
    if (outcome) {
      void this.server.client?.sendNotification('codellama/nextEdit/outcome', { id: shown.edit.id, outcome });
    }
  }
}

/** What is typed while no server listens calls for a suggestion as soon as one does: nobody types it again. */
import * as vscode from 'vscode';
import type { Server } from './server';

export function suggestOnceThere(server: Server, extension: string): vscode.Disposable {
  let typed: vscode.TextEditor | undefined;
  return vscode.Disposable.from(
    vscode.workspace.onDidChangeTextDocument(({ document, contentChanges }) => {
      const editor = vscode.window.activeTextEditor;
      if (contentChanges.length && editor?.document === document && !server.client) {
        typed = editor;
      }
    }),
    server.onDidChange(() => {
      if (!server.client || !typed) {
        return;
      }
      if (typed === vscode.window.activeTextEditor && vscode.workspace.getConfiguration('editor', typed.document).get('inlineSuggest.enabled', true)) {
        // As after a key, not as by hand, which is all that an older VS Code knows.
        void vscode.commands.executeCommand('editor.action.inlineSuggest.trigger', { providerId: `${extension}:*`, explicit: false });
      }
      typed = undefined;
    }),
  );
}

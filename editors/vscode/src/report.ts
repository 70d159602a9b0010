/** What the doctor says, or a prompt, as a text that nobody is asked to save. */
import * as vscode from 'vscode';

const SCHEME = 'codellama-report';

export class Report implements vscode.TextDocumentContentProvider, vscode.Disposable {
  private readonly texts = new Map<string, string>();
  private readonly changed = new vscode.EventEmitter<vscode.Uri>();
  readonly onDidChange = this.changed.event;
  private readonly registered = vscode.workspace.registerTextDocumentContentProvider(SCHEME, this);

  dispose(): void {
    this.registered.dispose();
    this.changed.dispose();
  }

  provideTextDocumentContent(uri: vscode.Uri): string {
    return this.texts.get(uri.path) ?? '';
  }

  async show(title: string, text: string): Promise<void> {
    const place = vscode.Uri.from({ scheme: SCHEME, path: title });
    this.texts.set(title, text);
    this.changed.fire(place);
    await vscode.window.showTextDocument(place);
  }
}

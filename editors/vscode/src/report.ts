/** What the doctor says, as a text that nobody is asked to save. */
import * as vscode from 'vscode';

const SCHEME = 'codellama-report';
const PLACE = vscode.Uri.from({ scheme: SCHEME, path: 'What works here' });

export class Report implements vscode.TextDocumentContentProvider, vscode.Disposable {
  private text = '';
  private readonly changed = new vscode.EventEmitter<vscode.Uri>();
  readonly onDidChange = this.changed.event;
  private readonly registered = vscode.workspace.registerTextDocumentContentProvider(SCHEME, this);

  dispose(): void {
    this.registered.dispose();
    this.changed.dispose();
  }

  provideTextDocumentContent(): string {
    return this.text;
  }

  async show(text: string): Promise<void> {
    this.text = text;
    this.changed.fire(PLACE);
    await vscode.window.showTextDocument(PLACE);
  }
}

/** The status bar item: what `status.shown` says of the server, the model and the document at hand. */
import * as vscode from 'vscode';
import { ofDocument, shown, type Shown } from './status';
import type { Server } from './server';
import type { Switches } from './switches';

export class StatusBar implements vscode.Disposable {
  private readonly item: vscode.StatusBarItem;
  private readonly subscriptions: vscode.Disposable[];

  constructor(
    private readonly server: Server,
    private readonly switches: Switches,
  ) {
    this.item = vscode.window.createStatusBarItem('codellama.status', vscode.StatusBarAlignment.Right, 100);
    this.item.name = 'Code Llama';
    this.item.command = 'codellama.menu';
    const update = (): void => this.update();
    this.subscriptions = [
      server.onDidChange(update),
      switches.onDidChange(update),
      vscode.window.onDidChangeActiveTextEditor(update),
      vscode.workspace.onDidChangeConfiguration((event) => event.affectsConfiguration('codellama') && update()),
    ];
    this.update();
    this.item.show();
  }

  dispose(): void {
    this.subscriptions.forEach((each) => each.dispose());
    this.item.dispose();
  }

  private update(): void {
    const { text, tooltip, level, label } = shownOf(this.server, this.switches);
    this.item.text = text;
    this.item.tooltip = tooltip;
    this.item.accessibilityInformation = { label, role: 'button' };
    this.item.backgroundColor = level === 'none' ? undefined : new vscode.ThemeColor(`statusBarItem.${level}Background`);
  }
}

/** What there is to say of the server, the model and the active document. */
export function shownOf({ phase, status }: Server, switches: Switches): Shown {
  const document = vscode.window.activeTextEditor?.document;
  const here = status && ofDocument(status, document?.uri.toString());
  const told = here?.kind === 'off' ? here.message : '';
  return shown(phase, here, (document && switches.why(document)) || told);
}

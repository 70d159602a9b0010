/** The menu of the status bar item. */
import * as vscode from 'vscode';
import type { Server } from './server';
import { setting } from './settings';
import { shownOf } from './statusBar';
import type { Switches } from './switches';

interface Entry extends vscode.QuickPickItem {
  readonly command?: string;
}

export async function showMenu(server: Server, switches: Switches): Promise<void> {
  const document = vscode.window.activeTextEditor?.document;
  const { tooltip } = shownOf(server, switches);
  const chosen = await vscode.window.showQuickPick(entries(server, switches, document), {
    title: 'Code Llama',
    placeHolder: tooltip.replaceAll('\n\n', ' '),
  });
  if (chosen?.command) {
    await vscode.commands.executeCommand(chosen.command);
  }
}

function entries(server: Server, switches: Switches, document: vscode.TextDocument | undefined): Entry[] {
  const onOff = (off: boolean, where: string): string => `${off ? '$(play) Turn suggestions on' : '$(circle-slash) Turn suggestions off'} ${where}`;
  const found: Entry[] = [];
  const { phase, status } = server;
  if (phase.kind === 'missing') {
    found.push({ label: '$(cloud-download) Show how to install the language server', command: 'codellama.install' });
  }
  if (phase.kind === 'failed' || phase.kind === 'missing' || status?.kind === 'failed' || status?.chat?.kind === 'failed') {
    found.push({ label: '$(debug-restart) Try again', command: 'codellama.restartServer' });
    found.push({ label: '$(output) Show log', command: 'codellama.showLog' }, separator());
  }
  if (document) {
    found.push({ label: onOff(switches.isFileOff(document.uri), 'in this file'), command: 'codellama.toggleFile' });
    const off = setting<string[]>('disabledLanguages', []).includes(document.languageId);
    found.push({ label: onOff(off, `in ${document.languageId}`), command: 'codellama.toggleLanguage' });
  }
  found.push({ label: onOff(switches.isSnoozing, switches.isSnoozing ? 'again' : 'for 10 minutes'), command: 'codellama.snooze' });
  found.push({ label: onOff(!setting('enabled', true), 'everywhere'), command: 'codellama.toggle' });
  found.push(separator());
  found.push({ label: '$(edit) Edit in your own words', command: 'codellama.edit' });
  found.push({ label: '$(comment-discussion) Open chat', command: 'codellama.openChat' });
  found.push({ label: '$(server-environment) Switch model', description: setting('engineUrl', '') || status?.model || setting('model', ''), command: 'codellama.switchModel' });
  found.push({ label: '$(debug-restart) Restart', command: 'codellama.restartServer' });
  found.push({ label: '$(pulse) What works here', command: 'codellama.doctor' });
  found.push({ label: '$(eye) What is sent from here', command: 'codellama.showPrompt' });
  found.push({ label: '$(output) Show log', command: 'codellama.showLog' });
  found.push({ label: '$(key) Token of the remote engine', command: 'codellama.setToken' });
  found.push({ label: '$(gear) Settings', command: 'codellama.openSettings' });
  return found;
}

function separator(): Entry {
  return { label: '', kind: vscode.QuickPickItemKind.Separator };
}

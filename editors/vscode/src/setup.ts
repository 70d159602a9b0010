/** What to do when the server is not there: the command that installs it, in a terminal. */
import * as vscode from 'vscode';
import { changes } from './apart';
import { installCommand, PROGRAM } from './find';
import { surroundings, type Server } from './server';

/** Put the command that installs or updates the server into a terminal; the user presses Enter. */
export function showInstallCommand(server: Server): void {
  const command = installCommand(surroundings());
  const found = server.found;
  const update = command.startsWith('uv') ? `uv tool upgrade ${PROGRAM}` : command.replace('install', command.startsWith('pipx') ? 'upgrade' : 'install --upgrade').replace('[engine]', '');
  const { cwd, env } = server.apart();
  const terminal = vscode.window.createTerminal({ name: 'Install Code Llama', cwd, env: changes(env, process.env) });
  terminal.show();
  terminal.sendText(found ? update : command, false);
}

/** Say once that the server is missing, with what to do. */
export function tellMissing(server: Server): vscode.Disposable {
  let told = '';
  return server.onDidChange(() => {
    if (server.phase.kind !== 'missing' || server.phase.message === told) {
      return;
    }
    told = server.phase.message;
    void ask(server, told);
  });
}

async function ask(server: Server, message: string): Promise<void> {
  const chosen = await vscode.window.showWarningMessage(`Code Llama: ${message}`, 'Show the Command', 'Try Again', 'Settings');
  if (chosen === 'Show the Command') {
    showInstallCommand(server);
  } else if (chosen === 'Try Again') {
    await server.start();
  } else if (chosen === 'Settings') {
    await vscode.commands.executeCommand('workbench.action.openSettings', 'codellama.serverPath');
  }
}

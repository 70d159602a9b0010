/** What to do when the server is not there: the command that installs it, in a terminal. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import * as vscode from 'vscode';
import { changes } from './apart';
import { installCommand } from './find';
import { surroundings, type Server } from './server';

/** What is installed: the wheel that came with this extension; the clone, where the extension runs from one. */
function source(extension: string): string {
  const folder = path.join(extension, 'dist', 'server');
  const wheel = fs.existsSync(folder) && fs.readdirSync(folder).find((name) => name.endsWith('.whl'));
  return wheel ? path.join(folder, wheel) : path.join(extension, '..', '..');
}

/** Put the command that installs or updates the server into a terminal; the user presses Enter. */
export function showInstallCommand(server: Server, extension: string): void {
  const command = installCommand(surroundings(), source(extension), server.found !== undefined);
  const { cwd, env } = server.apart();
  const terminal = vscode.window.createTerminal({ name: 'Install Code Llama', cwd, env: changes(env, process.env) });
  terminal.show();
  terminal.sendText(command, false);
}

/** Say once that the server is missing, with what to do. */
export function tellMissing(server: Server, extension: string): vscode.Disposable {
  let told = '';
  return server.onDidChange(() => {
    if (server.phase.kind !== 'missing' || server.phase.message === told) {
      return;
    }
    told = server.phase.message;
    void ask(server, extension, told);
  });
}

async function ask(server: Server, extension: string, message: string): Promise<void> {
  const chosen = await vscode.window.showWarningMessage(`Code Llama: ${message}`, 'Show the Command', 'Try Again', 'Settings');
  if (chosen === 'Show the Command') {
    showInstallCommand(server, extension);
  } else if (chosen === 'Try Again') {
    await server.start();
  } else if (chosen === 'Settings') {
    await vscode.commands.executeCommand('workbench.action.openSettings', 'codellama.serverPath');
  }
}

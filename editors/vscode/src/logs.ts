/** The logs: this window's, and the files of the language server and of the engines on this machine. */
import * as vscode from 'vscode';
import { ExecuteCommandRequest } from 'vscode-languageclient';
import type { Server } from './server';

interface LogFile {
  readonly title: string;
  readonly uri: string;
}

/** Let the user choose one; this window's where there is no other. */
export async function showLog(server: Server, log: vscode.LogOutputChannel): Promise<void> {
  const asked = server.client?.sendRequest(ExecuteCommandRequest.type, { command: 'codellama.logs' });
  const files = (await asked?.catch(() => undefined) ?? []) as LogFile[];
  const choices = [{ label: 'This window', uri: '' }, ...files.map(({ title, uri }) => ({ label: title, uri }))];
  const chosen = files.length === 0 ? choices[0] : await vscode.window.showQuickPick(choices, { placeHolder: 'Which log?' });
  if (chosen?.uri) {
    await vscode.window.showTextDocument(vscode.Uri.parse(chosen.uri));
  } else if (chosen) {
    log.show();
  }
}

/** What the model would be asked where the cursor is, and what of the user's other work is in it. */
import type * as vscode from 'vscode';
import { ExecuteCommandRequest } from 'vscode-languageclient';
import type { Report } from './report';
import type { Server } from './server';

export async function showPrompt(server: Server, report: Report, editor: vscode.TextEditor): Promise<void> {
  const client = server.reached();
  const { asUri, asPosition } = client.code2ProtocolConverter;
  const shown = (await client.sendRequest(ExecuteCommandRequest.type, {
    command: 'codellama.prompt',
    arguments: [{ uri: asUri(editor.document.uri), position: asPosition(editor.selection.active) }],
  })) as { readonly report: string };
  await report.show('What is sent', shown.report);
}

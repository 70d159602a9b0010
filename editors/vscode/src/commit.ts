/** The button in the source control view that writes a commit message. */
import * as vscode from 'vscode';
import { ExecuteCommandRequest } from 'vscode-languageclient';
import { reason, type Server } from './server';

interface Repository {
  readonly rootUri: vscode.Uri;
  readonly inputBox: { value: string };
}
interface Git {
  getAPI(version: 1): { readonly repositories: readonly Repository[] };
}

/** Write the message for what is staged into the input box of `source`'s repository, after what is there already. */
export async function writeCommitMessage(server: Server, source?: { readonly rootUri?: vscode.Uri }): Promise<void> {
  try {
    const extension = vscode.extensions.getExtension<Git>('vscode.git');
    const git = extension && (extension.isActive ? extension.exports : await extension.activate());
    const repositories = git?.getAPI(1).repositories ?? [];
    const repository = repositories.find((each) => each.rootUri.toString() === source?.rootUri?.toString()) ?? repositories[0];
    if (!repository) {
      throw new Error('There is no Git repository here.');
    }
    const before = repository.inputBox.value;
    const client = server.reached();
    const message = await client.sendRequest(ExecuteCommandRequest.type, {
      command: 'codellama.commitMessage',
      arguments: [client.code2ProtocolConverter.asUri(repository.rootUri)],
    });
    if (typeof message === 'string' && message) {
      const typed = repository.inputBox.value;
      // What was typed meanwhile, or before, is kept.
      repository.inputBox.value = typed.trim() && typed !== before ? typed : before.trim() ? `${before.trimEnd()}\n\n${message}` : message;
    }
  } catch (error) {
    void vscode.window.showWarningMessage(`Code Llama: ${reason(error)}`);
  }
}

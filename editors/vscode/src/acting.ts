/** The request that has the model do something in a document, and what comes of it on the way. */
import type { CancellationToken } from 'vscode';
import { ProgressType, type TextEdit, type WorkspaceEdit } from 'vscode-languageclient';
import type { Server } from './server';

/** What is to be done where, as in the `data` of an entry of the menu. */
export interface Wanted {
  readonly action: string;
  readonly uri: string;
  readonly range: unknown;
  readonly instruction?: string;
}

export interface Part {
  readonly message?: string;
  readonly edits?: readonly TextEdit[];
}

export interface Done {
  readonly title: string;
  readonly edit: WorkspaceEdit | null;
  readonly problem: string;
}

const partType = new ProgressType<Part>();
let sent = 0;

/** Null where the user stopped it. */
export async function act(server: Server, wanted: Wanted, onPart: (part: Part) => void, stop: CancellationToken): Promise<Done | null> {
  const client = server.reached();
  const token = `codellama-action-${++sent}`;
  const listening = client.onProgress(partType, token, onPart);
  try {
    return await client.sendRequest<Done | null>('codellama/action', { ...wanted, partialResultToken: token }, stop);
  } finally {
    listening.dispose();
  }
}

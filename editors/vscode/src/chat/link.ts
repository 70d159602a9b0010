/** The chat's requests to the language server. */
import { ProgressType } from 'vscode-languageclient';
import type { Server } from '../server';
import type { Attached, Conversation, Preview, Question, SlashCommand, Summary } from './messages';

/** A part of an answer, as it comes. */
export interface Part {
  readonly delta: string;
  readonly conversationId?: string;
  readonly turn?: number;
  readonly reading?: { readonly message: string };
  readonly leftOut?: readonly string[];
}

export interface Reply {
  readonly conversationId: string;
  readonly finishReason: string;
  readonly leftOut: readonly string[];
}

const partType = new ProgressType<Part>();
let sent = 0;

export class Link {
  constructor(private readonly server: Server) {}

  /** Waits for the language server where it is starting. */
  async send(question: Question, conversation: string | undefined, language: string | undefined, onPart: (part: Part) => void): Promise<Reply> {
    const client = await this.server.whenRunning();
    const token = `codellama-chat-${++sent}`;
    const listening = client.onProgress(partType, token, onPart);
    try {
      return await client.sendRequest<Reply>('codellama/chat/send', { ...wire(question, conversation, language), partialResultToken: token });
    } finally {
      listening.dispose();
    }
  }

  preview(question: Question, conversation: string | undefined, language: string | undefined): Promise<Preview> {
    return this.ask('preview', wire(question, conversation, language));
  }

  get(id: string): Promise<Conversation> {
    return this.ask('get', { conversationId: id });
  }

  list(query: string): Promise<Summary[]> {
    return this.ask('list', query ? { query } : {});
  }

  commands(): Promise<SlashCommand[]> {
    return this.ask('commands', {});
  }

  stop(id: string): Promise<null> {
    return this.ask('stop', { conversationId: id });
  }

  rename(id: string, title: string): Promise<null> {
    return this.ask('rename', { conversationId: id, title });
  }

  delete(id: string): Promise<null> {
    return this.ask('delete', { conversationId: id });
  }

  async export(id: string): Promise<string> {
    return (await this.ask<{ readonly text: string }>('export', { conversationId: id })).text;
  }

  private async ask<T>(name: string, params: object): Promise<T> {
    const client = await this.server.whenRunning();
    return client.sendRequest<T>(`codellama/chat/${name}`, params);
  }
}

function wire({ message, attachments, editTurn, regenerate }: Question, conversation: string | undefined, language: string | undefined): object {
  return {
    message,
    ...(conversation && { conversationId: conversation }),
    ...(attachments && { attachments: attachments.map(plain) }),
    ...(editTurn !== undefined && { editTurn }),
    ...(regenerate && { regenerate }),
    ...(language && { languageId: language }),
  };
}

function plain({ kind, uri, range, diagnostics }: Attached): object {
  return { kind, uri, ...(range && { range }), ...(diagnostics && { diagnostics }) };
}

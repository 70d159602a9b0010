/** What the panel and the extension say to each other, and what the server says of chats. Types alone. */

export interface Range {
  readonly start: { readonly line: number; readonly character: number };
  readonly end: { readonly line: number; readonly character: number };
}

/** What goes with a question, as the server takes it; `label` is what the chip shows. */
export interface Attached {
  readonly kind: 'selection' | 'file' | 'function' | 'diagnostics' | 'around';
  readonly uri: string;
  readonly range?: Range;
  readonly label: string;
  readonly diagnostics?: readonly { readonly range: Range; readonly message: string; readonly severity?: number; readonly source?: string }[];
}

/** What went with a question, as the server tells it. */
export interface Sent {
  readonly kind: string;
  readonly name: string;
  readonly uri: string;
  readonly firstLine: number;
  readonly lastLine: number;
  readonly text: string;
}

export interface Usage {
  readonly promptTokens?: number;
  readonly reusedTokens?: number;
  readonly generatedTokens?: number;
  readonly firstTokenMs?: number | null;
  readonly tokensPerSecond?: number | null;
}

export interface Turn {
  readonly turn: number;
  readonly role: 'user' | 'assistant';
  readonly content: string;
  readonly attachments: readonly Sent[];
  readonly usage?: Usage;
  /** stop, length, repeats, stopped, failed, running, interrupted, unanswered, or "". */
  readonly finishReason: string;
}

export interface Conversation {
  readonly id: string;
  readonly title: string;
  readonly turns: readonly Turn[];
}

export interface Summary {
  readonly id: string;
  readonly title: string;
  readonly updated: number;
  readonly turns: number;
  readonly excerpt: string;
}

export interface SlashCommand {
  readonly name: string;
  readonly description: string;
  readonly instruction: string;
}

export interface Preview {
  readonly messages: readonly { readonly role: string; readonly content: string }[] | null;
  readonly promptTokens: number | null;
  readonly roomTokens: number | null;
  readonly knownTokens: number | null;
  readonly readSeconds: number | null;
  readonly leftOut: readonly string[];
  readonly attachments: readonly Sent[];
}

/** What is at hand: the file in the editor, and what is selected there or around the cursor. */
export interface Here {
  readonly file: Attached;
  readonly around: Attached;
}

export interface Question {
  readonly message: string;
  readonly attachments?: readonly Attached[];
  readonly editTurn?: number;
  readonly regenerate?: boolean;
}

/** From the panel. */
export type FromPanel =
  | { readonly type: 'ready'; readonly conversation: string }
  | ({ readonly type: 'send' } & Question)
  | ({ readonly type: 'preview' | 'estimate' } & Question)
  | { readonly type: 'stop' | 'new' | 'attach' }
  | { readonly type: 'open' | 'delete' | 'rename' | 'export'; readonly id: string }
  | { readonly type: 'history'; readonly query: string }
  | { readonly type: 'names'; readonly query: string }
  | { readonly type: 'copy'; readonly text: string }
  | { readonly type: 'insert' | 'apply' | 'create'; readonly text: string; readonly language: string; readonly sent: readonly Sent[] }
  | { readonly type: 'show'; readonly uri: string; readonly firstLine: number }
  | { readonly type: 'link'; readonly href: string };

/** To the panel. */
export type ToPanel =
  | { readonly type: 'conversation'; readonly conversation: Conversation | null; readonly running: boolean }
  | { readonly type: 'begun'; readonly id: string; readonly turn: number }
  | { readonly type: 'delta'; readonly text: string }
  | { readonly type: 'reading'; readonly message: string }
  | { readonly type: 'leftOut'; readonly sentences: readonly string[] }
  | { readonly type: 'finished'; readonly conversation: Conversation; readonly leftOut: readonly string[] }
  | { readonly type: 'failed'; readonly message: string; readonly conversation: Conversation | null }
  | { readonly type: 'status'; readonly message: string; readonly state: 'ready' | 'busy' | 'failed' }
  | { readonly type: 'commands'; readonly commands: readonly SlashCommand[] }
  | { readonly type: 'history'; readonly query: string; readonly found: readonly Summary[] }
  | { readonly type: 'names'; readonly query: string; readonly names: readonly string[] }
  | { readonly type: 'attached'; readonly attached: readonly Attached[] }
  | { readonly type: 'preview' | 'estimate'; readonly preview: Preview }
  | { readonly type: 'here'; readonly here: Here | null }
  | { readonly type: 'ask'; readonly message: string; readonly attached: readonly Attached[] }
  | { readonly type: 'say'; readonly message: string }
  | { readonly type: 'showHistory' | 'focus' };

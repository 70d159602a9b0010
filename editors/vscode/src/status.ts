/** What the status bar says. Pure. */

/** Where one model stands. */
export interface OneStatus {
  readonly kind: 'starting' | 'loading' | 'ready' | 'thinking' | 'busy' | 'off' | 'failed';
  readonly message: string;
  readonly progress?: number | null;
  readonly model?: string;
  readonly device?: string;
}

/** `codellama/status`, as the server sends it. `chat`: the model of chat and actions, where that is another one. */
export interface ModelStatus extends OneStatus {
  readonly chat?: OneStatus | null;
  readonly suggestion?: { readonly uri: string; readonly shown: boolean; readonly reason: string; readonly milliseconds?: number; readonly tokens?: number } | null;
}

/** Where the language server stands. */
export type Phase =
  | { readonly kind: 'starting' }
  | { readonly kind: 'running' }
  | { readonly kind: 'waiting'; readonly seconds: number }
  | { readonly kind: 'missing'; readonly message: string }
  | { readonly kind: 'failed'; readonly message: string }
  | { readonly kind: 'stopped' };

export interface Shown {
  readonly text: string;
  readonly tooltip: string;
  readonly level: 'none' | 'warning' | 'error';
  /** For screen readers, without icons. */
  readonly label: string;
}

/** `off`: why there are no suggestions in the document at hand, as one sentence, or "". */
export function shown(phase: Phase, status: ModelStatus | undefined, off: string): Shown {
  switch (phase.kind) {
    case 'starting':
      return say('loading~spin', 'starting', 'The language server is starting.');
    case 'waiting':
      return say('warning', 'starting again', `The language server ended; it is started again in ${phase.seconds} s.`, 'warning');
    case 'missing':
      return say('warning', 'not installed', `${phase.message} Click to see how to install it.`, 'warning');
    case 'failed':
      return say('error', 'failed', `${phase.message} Click for what to do.`, 'error');
    case 'stopped':
      return say('circle-slash', 'stopped', 'The language server is stopped.');
    case 'running':
      return withChat(ofModel(status, off), status?.chat);
  }
}

/** Where the model stands that answers chats. */
export function ofChat(status: ModelStatus | undefined): OneStatus | undefined {
  return status?.chat ?? status;
}

/** What is said of a model that is on its way. */
export function progress({ message, progress }: OneStatus): string {
  return progress ? `${message.replace(/\.$/, '')}: ${progress}%.` : message;
}

/** The same in a word or two: the stage that it is in, and how much of that is done. */
function stage({ kind, message, progress }: OneStatus): string {
  const word = /^\w+ing\b/.exec(message)?.[0].toLowerCase() ?? kind;
  return progress ? `${word} ${progress}%` : word;
}

function withChat(found: Shown, chat: OneStatus | null | undefined): Shown {
  if (!chat) {
    return found;
  }
  const said = `Chat: ${progress(chat)}`;
  const level = chat.kind === 'failed' && found.level === 'none' ? 'warning' : found.level;
  return { ...found, level, tooltip: `${found.tooltip}\n\n${said}`, label: `${found.label} ${said}` };
}

function ofModel(status: ModelStatus | undefined, off: string): Shown {
  if (status?.kind === 'failed') {
    return say('error', 'failed', `${status.message} Click for what to do.`, 'error');
  }
  if (off) {
    return say('circle-slash', 'off here', off);
  }
  if (!status) {
    return { ...say('sparkle', '', 'The model is asked for when it is first needed.'), text: '$(sparkle) Code Llama' };
  }
  switch (status.kind) {
    case 'starting':
    case 'loading':
      return say('loading~spin', stage(status), progress(status));
    case 'busy':
      return say('watch', 'busy', status.message);
    case 'thinking':
      return say('loading~spin', named(status), status.message);
    default: {
      const reason = status.suggestion && !status.suggestion.shown ? status.suggestion.reason : '';
      return say('sparkle', named(status) + cost(status), [status.message, reason && `No suggestion here: ${reason}`].filter(Boolean).join('\n\n'));
    }
  }
}

/** What the suggestion that is shown has cost, where that is wanted. */
function cost({ suggestion }: ModelStatus): string {
  return suggestion?.milliseconds === undefined ? '' : `, ${suggestion.milliseconds} ms, ${suggestion.tokens ?? 0} tokens`;
}

/** What a status says of one document: what became of a suggestion elsewhere is left out. */
export function ofDocument(status: ModelStatus, uri: string | undefined): ModelStatus {
  if (!status.suggestion || status.suggestion.uri === uri) {
    return status;
  }
  return status.kind === 'off' ? { ...status, kind: 'ready', message: '', suggestion: null } : { ...status, suggestion: null };
}

/** "CodeLlama-7b-hf, cuda:0"; of a remote engine its host. */
export function named(status: OneStatus): string {
  const model = (status.model ?? '').split(/[\\/]/).filter(Boolean).at(-1) ?? '';
  const device = (status.device ?? '').replace(/^\w+:\/\/([^/]+).*$/, '$1');
  return [model, device].filter(Boolean).join(', ') || 'ready';
}

function say(icon: string, text: string, tooltip: string, level: Shown['level'] = 'none'): Shown {
  return { text: `$(${icon}) Code Llama: ${text}`, tooltip, level, label: `Code Llama: ${text}. ${tooltip}` };
}

/** The conversations of this window: which one is shown, which are being answered. */
import * as vscode from 'vscode';
import { reason, type Server } from '../server';
import { ofChat, progress } from '../status';
import type { Link, Part } from './link';
import type { Conversation, Question, ToPanel } from './messages';

/** Words of the model are handed on together, this often. */
const FLUSH_MS = 30;
const SHOWN = 'conversation';
/** The code with which a request ends when its connection does. */
const DISPOSED = -32097;

/** An answer that is being written. */
interface Running {
  id: string | undefined;
  text: string;
  pending: string;
  timer: NodeJS.Timeout | undefined;
  stopped: boolean;
}

export class Chat {
  private shown: string | undefined;
  private readonly running = new Set<Running>();
  private current: Running | undefined;
  /** What came of answers before their server ended: it may have kept less. */
  private readonly cutOff = new Map<string, string>();

  constructor(
    private readonly link: Link,
    private readonly server: Server,
    private readonly state: vscode.Memento,
    private readonly post: (message: ToPanel) => void,
    private readonly language: () => string | undefined,
  ) {
    this.shown = state.get<string>(SHOWN);
  }

  get id(): string | undefined {
    return this.shown;
  }

  /** Show what there is to a panel that has just come up, or after the server came back. */
  async refresh(): Promise<void> {
    this.tellStatus();
    if (this.server.phase.kind !== 'running') {
      return;
    }
    this.post({ type: 'commands', commands: await this.link.commands() });
    if (this.shown) {
      await this.open(this.shown).catch(() => this.begin());
    } else if (!this.current) {
      this.post({ type: 'conversation', conversation: null, running: false });
    }
  }

  async open(id: string): Promise<void> {
    const conversation = await this.link.get(id);
    this.show(id);
    this.current = [...this.running].find((each) => each.id === id);
    this.post({ type: 'conversation', conversation: this.withText(conversation), running: this.current !== undefined });
  }

  begin(): void {
    this.current = undefined;
    this.show(undefined);
    this.post({ type: 'conversation', conversation: null, running: false });
  }

  async send(question: Question): Promise<void> {
    const running: Running = { id: this.shown, text: '', pending: '', timer: undefined, stopped: false };
    this.running.add(running);
    this.current = running;
    this.tellStatus();
    try {
      const reply = await this.link.send(question, this.shown, this.language(), (part) => this.take(running, part));
      this.flush(running);
      if (this.current === running) {
        const conversation = await this.link.get(reply.conversationId);
        this.post({ type: 'finished', conversation, leftOut: reply.leftOut });
      }
    } catch (error) {
      this.flush(running);
      await this.fail(running, error);
    } finally {
      clearTimeout(running.timer);
      this.running.delete(running);
      if (this.current === running) {
        this.current = undefined;
      }
      this.tellStatus();
    }
  }

  async stop(): Promise<void> {
    const running = this.current;
    if (running) {
      running.stopped = true;
      if (running.id) {
        await this.link.stop(running.id);
      }
    }
  }

  async delete(id: string): Promise<void> {
    await this.link.delete(id);
    if (id === this.shown) {
      this.begin();
    }
  }

  /** What the panel says of the model while nothing is written. */
  tellStatus(): void {
    const { phase } = this.server;
    const status = ofChat(this.server.status);
    if (phase.kind !== 'running') {
      const message = 'message' in phase ? phase.message : phase.kind === 'waiting' ? 'The language server ended; it is started again.' : 'The language server is starting.';
      this.post({ type: 'status', message, state: 'message' in phase ? 'failed' : 'busy' });
    } else if (status?.kind === 'failed') {
      this.post({ type: 'status', message: status.message, state: 'failed' });
    } else if (this.current && (status?.kind === 'starting' || status?.kind === 'loading' || status?.kind === 'busy')) { // else the status bar says it
      this.post({ type: 'status', message: progress(status), state: 'busy' });
    } else {
      this.post({ type: 'status', message: '', state: 'ready' });
    }
  }

  private take(running: Running, part: Part): void {
    if (part.conversationId && part.turn !== undefined) {
      running.id = part.conversationId;
      if (this.current === running) {
        this.show(part.conversationId);
        this.post({ type: 'begun', id: part.conversationId, turn: part.turn });
      }
      if (running.stopped) {
        void this.link.stop(part.conversationId);
      }
    }
    if (part.leftOut && this.current === running) {
      this.post({ type: 'leftOut', sentences: part.leftOut });
    }
    if (part.reading && this.current === running) {
      this.post({ type: 'reading', message: part.reading.message });
    }
    if (part.delta) {
      running.text += part.delta;
      running.pending += part.delta;
      running.timer ??= setTimeout(() => this.flush(running), FLUSH_MS);
    }
  }

  private flush(running: Running): void {
    clearTimeout(running.timer);
    running.timer = undefined;
    if (running.pending && this.current === running) {
      this.post({ type: 'delta', text: running.pending });
    }
    running.pending = '';
  }

  private async fail(running: Running, error: unknown): Promise<void> {
    const kept = running.text ? ' What was written is kept.' : '';
    const lost = this.server.phase.kind !== 'running' || (error as { readonly code?: number }).code === DISPOSED;
    const message = lost && running.id ? `The language server ended while it answered.${kept}` : reason(error);
    if (lost && running.id) {
      this.cutOff.set(running.id, running.text);
    }
    let conversation: Conversation | null = null;
    if (running.id && !lost) {
      conversation = await this.link.get(running.id).catch(() => null);
    }
    if (this.current === running) {
      this.post({ type: 'failed', message, conversation });
    }
  }

  private withText(conversation: Conversation): Conversation {
    const last = conversation.turns.at(-1);
    const text = this.current?.text ?? (last?.finishReason === 'interrupted' ? this.cutOff.get(conversation.id) : undefined);
    if (text === undefined || last?.role !== 'assistant' || text.length < last.content.length) {
      return conversation;
    }
    return { ...conversation, turns: [...conversation.turns.slice(0, -1), { ...last, content: text }] };
  }

  private show(id: string | undefined): void {
    this.shown = id;
    void this.state.update(SHOWN, id);
  }
}


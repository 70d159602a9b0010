/** The messages of one conversation, drawn from the end so that it is there at once. */
import type { Attached, Conversation, Sent, Turn } from '../src/chat/messages';
import { Answer } from './answer';
import { h } from './dom';
import { TurnView, type Doing } from './turn';

/** Drawn before the first frame; the others when there is time. */
const AT_ONCE = 6;
const NEAR_END = 60;

export class Messages {
  readonly element = h('div', { class: 'turns', role: 'log', 'aria-live': 'off', 'aria-label': 'Conversation', tabindex: '0' });
  private views: TurnView[] = [];
  private readonly reading = h('div', { class: 'reading' });
  private answer: Answer | undefined;
  private atEnd = true;
  private idle = 0;

  constructor(private readonly doing: Doing) {
    this.element.addEventListener('scroll', () => {
      this.atEnd = this.element.scrollHeight - this.element.scrollTop - this.element.clientHeight < NEAR_END;
    });
    new ResizeObserver(() => this.follow()).observe(this.element);
  }

  get isEmpty(): boolean {
    return this.views.length === 0;
  }

  show(conversation: Conversation | null, running: boolean): void {
    cancelIdleCallback(this.idle);
    this.answer = undefined;
    this.views = [];
    const turns = conversation?.turns ?? [];
    turns.forEach((turn) => this.add(turn));
    this.views.slice(-AT_ONCE).forEach((view) => view.draw());
    this.finishAll(running);
    this.element.replaceChildren(...this.views.map((view) => view.element));
    this.atEnd = true;
    this.follow();
    this.drawRest(this.views.length - AT_ONCE - 1);
    if (running) {
      const last = this.views.at(-1);
      this.begin(last?.turn.role === 'assistant' ? last.turn.content : '');
    }
  }

  /** A question was sent; `from`: the first turn that it takes the place of. */
  ask(message: string, attached: readonly Attached[], from: number | undefined): void {
    if (from !== undefined) {
      this.views.splice(this.views.findIndex((view) => view.turn.turn >= from)).forEach((view) => view.element.remove());
    }
    const position = (this.views.at(-1)?.turn.turn ?? -1) + 1;
    const attachments = attached.map((each): Sent => ({ kind: each.kind, name: each.label, uri: each.uri, firstLine: 0, lastLine: -1, text: '' }));
    const view = this.add({ turn: position, role: 'user', content: message, attachments: [], finishReason: '' });
    view.draw();
    view.element.prepend(h('div', { class: 'chips' }, ...attachments.map((each) => h('span', { class: 'chip' }, each.name))));
    this.element.append(view.element);
    this.begin('');
  }

  /** The last answer is written again. */
  again(): void {
    const last = this.views.at(-1);
    if (last?.turn.role === 'assistant') {
      this.views.pop();
      last.element.remove();
    }
    this.begin('');
  }

  push(text: string): void {
    this.reading.remove();
    this.answer?.push(text);
  }

  /** How far the model has read the question. */
  read(message: string): void {
    this.reading.textContent = message;
    this.views.at(-1)?.body.before(this.reading);
    this.follow();
  }

  tell(sentences: readonly string[]): void {
    this.views.at(-1)?.tell(sentences);
  }

  /** The answer is complete, or will never be. Keeps what is drawn already. */
  finish(conversation: Conversation | null, leftOut: readonly string[]): void {
    const turns = conversation?.turns ?? this.views.map((view) => view.turn).filter((turn) => turn.role === 'user' || turn.content);
    const [last, lastView] = [turns.at(-1), this.views.at(-1)];
    const element = lastView?.element;
    element?.classList.remove('writing');
    element?.removeAttribute('aria-busy');
    const question = turns.findLast((turn) => turn.role === 'user');
    if (last?.role === 'assistant' && lastView?.turn.role === 'assistant') {
      this.answer?.finish(last.content);
      lastView.keep(last, question?.attachments ?? []);
    } else if (lastView?.turn.role === 'assistant') {
      this.views.pop();
      element?.remove();
    }
    // The question as the server keeps it, with what was sent of its attachments.
    const at = this.views.findLastIndex((view) => view.turn.role === 'user');
    const old = this.views[at];
    if (question && old) {
      const view = new TurnView(question, [], this.doing);
      view.draw();
      old.element.replaceWith(view.element);
      this.views[at] = view;
    }
    this.answer = undefined;
    this.finishAll(false, leftOut);
    this.follow();
  }

  /** The question never arrived: take it off again. */
  withdraw(): void {
    this.answer?.finish('');
    this.answer = undefined;
    for (const role of ['assistant', 'user']) {
      if (this.views.at(-1)?.turn.role === role) {
        this.views.pop()?.element.remove();
      }
    }
    this.finishAll(false);
  }

  /** What went with the question of the answer that has this element. */
  sentWith(element: Element): readonly Sent[] {
    return this.views.find((view) => view.element.contains(element))?.sent ?? [];
  }

  private begin(text: string): void {
    const last = this.views.at(-1);
    let view = last;
    if (last?.turn.role !== 'assistant') {
      view = this.add({ turn: (last?.turn.turn ?? -1) + 1, role: 'assistant', content: '', attachments: [], finishReason: 'running' });
      this.element.append(view.element);
    }
    view?.element.classList.add('writing');
    view?.element.setAttribute('aria-busy', 'true');
    this.answer = new Answer(view?.body ?? h('div'), () => this.follow());
    this.answer.push(text);
    this.atEnd = true;
    this.follow();
  }

  private add(turn: Turn): TurnView {
    const question = this.views.findLast((view) => view.turn.role === 'user');
    const view = new TurnView(turn, question?.turn.attachments ?? [], this.doing);
    this.views.push(view);
    return view;
  }

  private finishAll(running: boolean, leftOut: readonly string[] = []): void {
    this.reading.remove();
    this.views.forEach((view, index) => {
      const isLast = index === this.views.length - 1;
      if (!(isLast && running)) {
        view.finish(isLast, isLast ? leftOut : []);
      }
    });
  }

  private drawRest(from: number): void {
    if (from < 0) {
      return;
    }
    this.idle = requestIdleCallback((deadline) => {
      let at = from;
      do {
        this.views[at--]?.draw();
      } while (at >= 0 && deadline.timeRemaining() > 4);
      this.drawRest(at);
    });
  }

  private follow(): void {
    if (this.atEnd) {
      this.element.scrollTop = this.element.scrollHeight;
    }
  }
}

/** Where a question is written: text, chips of what goes with it, completion of / and @, send and stop. */
import type { Attached, Here, Preview, Question, SlashCommand, Turn } from '../src/chat/messages';
import { button, h, iconOf } from './dom';
import { Popup, type Choice } from './popup';

/** A question takes this long to be read before that is worth a word. */
const WORTH_SECONDS = 2;
/** So long after the last key is it found out. */
const ESTIMATE_MS = 400;

export interface Draft {
  readonly text: string;
  readonly attached: readonly Attached[];
  /** Whether what is around the cursor stays behind. */
  readonly alone?: boolean;
}

export interface Wishes {
  readonly send: (question: Question, attached: readonly Attached[]) => void;
  readonly stop: () => void;
  readonly attach: () => void;
  readonly preview: (question: Question) => void;
  readonly estimate: (question: Question) => void;
  readonly names: (query: string) => void;
  readonly changed: (draft: Draft) => void;
}

export class Composer {
  readonly element: HTMLElement;
  commands: readonly SlashCommand[] = [];
  private readonly field: HTMLTextAreaElement;
  private readonly chips = h('div', { class: 'chips', role: 'list', 'aria-label': 'Goes with the question' });
  private readonly estimate = h('span', { class: 'estimate', role: 'status' });
  private readonly note = h('div', { class: 'note', hidden: true });
  private readonly go: HTMLButtonElement;
  private readonly popup: Popup;
  private attached: readonly Attached[] = [];
  private at: Here | null = null;
  private alone = false;
  private asking = 0;
  private editing: Turn | undefined;
  private busy = false;

  constructor(private readonly wishes: Wishes) {
    this.field = h('textarea', {
      rows: '1',
      placeholder: 'Ask, / for commands, @ for files',
      'aria-label': 'Question',
      'aria-controls': 'popup',
      'aria-autocomplete': 'list',
      'aria-expanded': 'false',
      role: 'combobox',
      input: () => this.typed(),
      keydown: (event) => this.key(event as KeyboardEvent),
      blur: () => this.popup.hide(),
      focus: () => this.wonder(),
    });
    this.popup = new Popup(this.field, (choice) => this.complete(choice));
    this.go = button('send', 'Send', () => this.busy ? wishes.stop() : this.send(), 'go');
    this.element = h(
      'form',
      { class: 'composer', submit: (event) => event.preventDefault() },
      this.note,
      this.popup.element,
      h(
        'div',
        { class: 'box' },
        this.chips,
        this.field,
        h(
          'div',
          { class: 'bar' },
          button('add', 'Add code to the question', wishes.attach),
          button('eye', 'Show what would be sent', () => wishes.preview(this.question())),
          h('span', { class: 'space' }),
          this.estimate,
          this.go,
        ),
      ),
    );
  }

  get draft(): Draft {
    return { text: this.field.value, attached: this.attached, alone: this.alone };
  }

  restore({ text, attached, alone }: Draft): void {
    this.field.value = text;
    this.attached = attached;
    this.alone = alone ?? this.alone;
    this.drawChips();
    this.grow();
  }

  /** What is in the editor. */
  set here(here: Here | null) {
    this.at = here;
    this.drawChips();
  }

  /** What it takes to read the question as it is. */
  estimated({ promptTokens, knownTokens, readSeconds, leftOut }: Preview): void {
    const slow = readSeconds !== null && readSeconds >= WORTH_SECONDS;
    this.estimate.textContent = [slow && `about ${Math.round(readSeconds)} s to read`, leftOut.length && 'in part'].filter(Boolean).join(', ');
    this.estimate.title = [`${promptTokens ?? 0} tokens, ${knownTokens ?? 0} of them known from before.`, ...leftOut].join('\n');
  }

  /** Ask one of the examples. */
  example(message: string, whole: boolean): void {
    this.field.value = message;
    this.attached = whole && this.at ? [this.at.file] : this.attached;
    this.send();
  }

  focus(): void {
    this.field.focus();
  }

  setBusy(busy: boolean): void {
    this.busy = busy;
    const label = busy ? 'Stop' : 'Send';
    this.go.title = label;
    this.go.setAttribute('aria-label', label);
    this.go.replaceChildren(iconOf(busy ? 'stop' : 'send'));
  }

  attach(more: readonly Attached[]): void {
    const key = (each: Attached): string => JSON.stringify([each.kind, each.uri, each.range]);
    this.change([...this.attached.filter((each) => !more.some((other) => key(other) === key(each))), ...more]);
  }

  /** Ask `turn` anew, in other words. */
  edit(turn: Turn): void {
    this.editing = turn;
    this.field.value = turn.content;
    this.note.replaceChildren('This takes the place of the question and of all below it. ', h('button', { type: 'button', class: 'plain', click: () => this.leaveEditing() }, 'Leave it'));
    this.note.hidden = false;
    this.grow();
    this.focus();
  }

  leaveEditing(): void {
    if (this.editing) {
      this.editing = undefined;
      this.field.value = '';
      this.note.hidden = true;
      this.grow();
    }
  }

  ask(message: string, attached: readonly Attached[]): void {
    this.leaveEditing();
    this.attached = attached;
    const [kept, here] = [this.field.value, this.at];
    this.field.value = message;
    this.at = null;
    this.send();
    this.field.value = kept;
    this.here = here;
    this.grow();
  }

  names(query: string, names: readonly string[]): void {
    if (this.word() === `@${query}`) {
      this.offer(names.map((name) => ({ text: /\s/.test(name) ? `@"${name}"` : `@${name}`, detail: '' })));
    }
  }

  private question(): Question {
    const message = this.field.value.trim();
    return this.editing
      ? { message, editTurn: this.editing.turn, ...(this.attached.length && { attachments: this.attached }) }
      : { message, attachments: [...this.attached, ...(this.around ? [this.around] : [])] };
  }

  /** What goes along by itself: where nothing else of its file does, unless the user says otherwise. */
  private get around(): Attached | undefined {
    const around = this.at?.around;
    const there = this.attached.some(({ kind, uri }) => uri === around?.uri && kind !== 'diagnostics');
    return around && !this.alone && !this.editing && !there ? around : undefined;
  }

  private send(): void {
    const question = this.question();
    if (!question.message || this.busy) {
      return;
    }
    const attached = question.attachments ?? [];
    this.editing = undefined;
    this.note.hidden = true;
    this.restore({ text: '', attached: [] });
    this.wishes.changed(this.draft);
    this.wishes.send(question, attached);
  }

  private key(event: KeyboardEvent): void {
    if (event.isComposing || this.popup.key(event)) {
      if (!event.isComposing) {
        event.preventDefault();
      }
      return;
    }
    if (event.key === 'Enter' && !event.shiftKey) {
      event.preventDefault();
      this.send();
    } else if (event.key === 'Escape') {
      if (this.editing) {
        this.leaveEditing();
      } else if (this.busy) {
        this.wishes.stop();
      }
    }
  }

  private typed(): void {
    this.grow();
    this.wishes.changed(this.draft);
    this.wonder();
    const word = this.word();
    if (word.startsWith('/') && this.field.value.trimStart() === word) {
      this.offer(this.commands.filter(({ name }) => slash(name).startsWith(word)).map(({ name, description }) => ({ text: slash(name), detail: description })));
    } else if (word.startsWith('@')) {
      this.wishes.names(word.slice(1));
    } else {
      this.popup.hide();
    }
  }

  /** Offer completions; what is written in full already is none, so that Enter sends it. */
  private offer(choices: readonly Choice[]): void {
    const word = this.word();
    this.popup.show(choices.some(({ text }) => text === word) ? [] : choices);
  }

  /** What stands before the cursor since the last space. */
  private word(): string {
    return /\S*$/.exec(this.field.value.slice(0, this.field.selectionStart))?.[0] ?? '';
  }

  private complete({ text }: Choice): void {
    const end = this.field.selectionStart;
    this.field.setRangeText(`${text} `, end - this.word().length, end, 'end');
    this.grow();
    this.wishes.changed(this.draft);
  }

  private drawChips(): void {
    const { at, around } = this;
    const offers = [
      ...(at && this.alone && at.around.uri ? [offer(at.around.label, 'Send what is around the cursor with each question', () => this.keep(false))] : []),
      ...(at && !this.attached.some(({ kind, uri }) => kind === 'file' && uri === at.file.uri) ? [offer(at.file.label, 'Add the file', () => this.attach([at.file]))] : []),
    ];
    this.chips.replaceChildren(
      ...this.attached.map((each) => chip(each.label, `Leave out ${each.label}`, () => this.change(this.attached.filter((other) => other !== each)))),
      ...(around ? [chip(around.label, `Send nothing of itself, such as ${around.label}`, () => this.keep(true))] : []),
      ...offers,
    );
  }

  private change(attached: readonly Attached[]): void {
    this.attached = attached;
    this.drawChips();
    this.wishes.changed(this.draft);
    this.wonder();
    this.focus();
  }

  private keep(alone: boolean): void {
    this.alone = alone;
    this.change(this.attached);
  }

  /** Find out soon what it takes to read the question. */
  private wonder(): void {
    clearTimeout(this.asking);
    this.asking = window.setTimeout(() => {
      const question = this.question();
      if (question.message || question.attachments?.length) {
        this.wishes.estimate({ ...question, message: question.message || '?' });
      } else {
        this.estimate.textContent = '';
      }
    }, ESTIMATE_MS);
  }

  private grow(): void {
    this.field.style.height = 'auto';
    this.field.style.height = `${Math.min(this.field.scrollHeight, 200)}px`;
  }
}

function slash(name: string): string {
  return name.startsWith('/') ? name : `/${name}`;
}

function chip(label: string, tip: string, work: () => void): HTMLElement {
  return h('span', { class: 'chip', role: 'listitem' }, h('span', {}, label), button('close', tip, work));
}

/** What can go along, one click away. */
function offer(label: string, tip: string, work: () => void): HTMLElement {
  return h('button', { type: 'button', class: 'offer', title: tip, click: work }, `+ ${label}`);
}

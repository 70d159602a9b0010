/** Earlier conversations, with search. */
import type { Summary } from '../src/chat/messages';
import { button, h } from './dom';

export interface HistoryWishes {
  readonly search: (query: string) => void;
  readonly open: (id: string) => void;
  readonly remove: (id: string) => void;
  readonly rename: (id: string) => void;
  readonly export: (id: string) => void;
  readonly close: () => void;
}

export class History {
  readonly element: HTMLElement;
  private readonly field: HTMLInputElement;
  private readonly list = h('ul', { 'aria-label': 'Chats' });
  private readonly none = h('p', { class: 'none', role: 'status' });
  private timer = 0;

  constructor(private readonly wishes: HistoryWishes) {
    this.field = h('input', {
      type: 'search',
      placeholder: 'Search in all chats',
      'aria-label': 'Search in all chats',
      input: () => {
        clearTimeout(this.timer);
        this.timer = window.setTimeout(() => wishes.search(this.field.value), 120);
      },
    });
    this.element = h(
      'section',
      { class: 'history', 'aria-label': 'Chat history', hidden: true, keydown: (event) => (event as KeyboardEvent).key === 'Escape' && wishes.close() },
      h('div', { class: 'bar' }, this.field, button('close', 'Close the history', wishes.close)),
      this.none,
      this.list,
    );
  }

  get isOpen(): boolean {
    return !this.element.hidden;
  }

  show(open: boolean): void {
    this.element.hidden = !open;
    if (open) {
      this.field.value = '';
      this.field.focus();
      this.wishes.search('');
    }
  }

  fill(query: string, found: readonly Summary[]): void {
    if (query !== this.field.value && query) {
      return; // of an older search
    }
    this.none.textContent = found.length ? '' : query ? 'No chat has this.' : 'There are no chats yet.';
    this.list.replaceChildren(...found.map((each) => this.entry(each)));
  }

  private entry({ id, title, updated, turns, excerpt }: Summary): HTMLElement {
    const when = new Date(updated * 1000);
    const today = when.toDateString() === new Date().toDateString();
    const time = today ? when.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' }) : when.toLocaleDateString();
    return h(
      'li',
      {},
      h(
        'button',
        { type: 'button', class: 'entry', click: () => this.wishes.open(id) },
        h('b', {}, title || 'Without a title'),
        h('small', {}, `${time} · ${turns} message${turns === 1 ? '' : 's'}`),
        excerpt ? h('span', {}, excerpt) : null,
      ),
      button('edit', `Rename ${title}`, () => this.wishes.rename(id)),
      button('export', `Export ${title}`, () => this.wishes.export(id)),
      button('trash', `Delete ${title}`, () => this.wishes.remove(id)),
    );
  }
}

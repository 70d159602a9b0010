/** The list of completions over the question: slash commands and names for @. */
import { h } from './dom';

export interface Choice {
  readonly text: string;
  readonly detail: string;
}

export class Popup {
  readonly element = h('ul', { class: 'popup', role: 'listbox', id: 'popup', hidden: true, 'aria-label': 'Completions' });
  private choices: readonly Choice[] = [];
  private at = 0;

  constructor(
    private readonly field: HTMLTextAreaElement,
    private readonly accept: (choice: Choice) => void,
  ) {}

  get isOpen(): boolean {
    return !this.element.hidden;
  }

  show(choices: readonly Choice[]): void {
    this.choices = choices;
    this.at = 0;
    this.element.replaceChildren(
      ...choices.map((choice, index) =>
        h('li', { role: 'option', id: `choice-${index}`, mousedown: (event) => this.take(index, event) }, h('b', {}, choice.text), ' ', h('span', {}, choice.detail)),
      ),
    );
    this.element.hidden = choices.length === 0;
    this.field.setAttribute('aria-expanded', String(this.isOpen));
    this.mark();
  }

  hide(): void {
    this.show([]);
  }

  /** Whether the key was for this list. */
  key(event: KeyboardEvent): boolean {
    if (!this.isOpen) {
      return false;
    }
    switch (event.key) {
      case 'ArrowDown':
      case 'ArrowUp':
        this.at = (this.at + (event.key === 'ArrowDown' ? 1 : -1) + this.choices.length) % this.choices.length;
        this.mark();
        return true;
      case 'Enter':
      case 'Tab':
        this.take(this.at, event);
        return true;
      case 'Escape':
        this.hide();
        return true;
      default:
        return false;
    }
  }

  private take(index: number, event: Event): void {
    event.preventDefault();
    const choice = this.choices[index];
    this.hide();
    if (choice) {
      this.accept(choice);
    }
  }

  private mark(): void {
    [...this.element.children].forEach((child, index) => child.setAttribute('aria-selected', String(index === this.at)));
    const current = this.element.children[this.at];
    if (current && this.isOpen) {
      this.field.setAttribute('aria-activedescendant', current.id);
      current.scrollIntoView({ block: 'nearest' });
    } else {
      this.field.removeAttribute('aria-activedescendant');
    }
  }
}

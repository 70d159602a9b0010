/** An answer while it is written: what is complete is drawn once, only its last block again and again. */
import { h } from './dom';
import { html, lastBlock } from './markdown';

/** A last block longer than this is shown as it is until the answer is complete. */
const PLAIN_FROM = 20_000;
/** Drawing takes at most this part of the time. */
const SHARE = 0.3;

export class Answer {
  private text = '';
  /** Up to here the text is drawn for good. */
  private done = 0;
  private readonly tail = h('div', { class: 'tail' });
  private plain: Text | undefined;
  private plainUpTo = 0;
  private frame = 0;
  private timer = 0;

  constructor(
    readonly element: HTMLElement,
    private readonly onDrawn: () => void,
  ) {
    element.replaceChildren(this.tail);
  }

  push(text: string): void {
    this.text += text;
    if (!this.frame && !this.timer) {
      this.frame = requestAnimationFrame(() => this.draw());
    }
  }

  /** Draw the whole, as a stored answer is drawn. */
  finish(text = this.text): void {
    cancelAnimationFrame(this.frame);
    clearTimeout(this.timer);
    this.frame = this.timer = 0;
    // A text that has come as announced is drawn already, but for its last block.
    if (text === this.text && !this.plain) {
      this.settle(this.text.length);
      this.tail.remove();
    } else {
      this.element.innerHTML = html(text);
    }
  }

  private draw(): void {
    this.frame = 0;
    const begun = performance.now();
    const rest = this.text.slice(this.done);
    if (this.plain || rest.length > PLAIN_FROM) {
      this.drawPlainly();
    } else {
      const at = lastBlock(rest);
      if (at > 0) {
        this.settle(this.done + at);
      }
      this.tail.innerHTML = html(this.text.slice(this.done));
    }
    this.onDrawn();
    const took = performance.now() - begun;
    // Slow drawing leaves time for everything else.
    if (took > 8) {
      this.timer = window.setTimeout(() => {
        this.timer = 0;
        this.draw();
      }, took / SHARE);
    }
  }

  private drawPlainly(): void {
    if (!this.plain) {
      this.plain = document.createTextNode('');
      this.tail.replaceChildren(h('p', { class: 'plain' }, this.plain));
      this.plainUpTo = this.done;
    }
    this.plain.appendData(this.text.slice(this.plainUpTo));
    this.plainUpTo = this.text.length;
  }

  private settle(upTo: number): void {
    const part = document.createElement('template');
    part.innerHTML = html(this.text.slice(this.done, upTo));
    this.tail.before(part.content);
    this.done = upTo;
    this.tail.replaceChildren();
  }
}

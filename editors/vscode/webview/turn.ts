/** One message of the conversation, and what can be done with it. */
import type { Sent, Turn, Usage } from '../src/chat/messages';
import { button, h } from './dom';
import { html } from './markdown';

export interface Doing {
  readonly edit: (turn: Turn) => void;
  readonly regenerate: () => void;
  readonly copy: (text: string) => void;
  readonly show: (sent: Sent) => void;
}

/** What the panel shows of a turn; `sent` is what went with the question that an answer answers. */
export class TurnView {
  readonly element: HTMLElement;
  readonly body: HTMLElement;
  private readonly foot = h('footer');
  private drawn = false;

  constructor(
    public turn: Turn,
    public sent: readonly Sent[],
    private readonly doing: Doing,
  ) {
    const mine = turn.role === 'user';
    this.body = h('div', { class: mine ? 'body question' : 'body answer' });
    this.element = h('article', { class: `turn ${turn.role}`, 'aria-label': mine ? 'You' : 'Code Llama' });
    if (mine) {
      this.element.append(chips(turn.attachments, doing.show));
    }
    this.element.append(this.body, this.foot);
  }

  /** Draw the text; put off for what is far above. */
  draw(): void {
    if (this.drawn) {
      return;
    }
    this.drawn = true;
    if (this.turn.role === 'user') {
      this.body.textContent = this.turn.content;
    } else {
      this.body.innerHTML = html(this.turn.content);
    }
  }

  /** The text is drawn already, and stays: to draw or move a long one takes the page's time. */
  keep(turn: Turn, sent: readonly Sent[]): void {
    this.turn = turn;
    this.sent = sent;
    this.drawn = true;
  }

  finish(isLast: boolean, leftOut: readonly string[] = []): void {
    const { turn, doing } = this;
    const parts: (Node | string)[] = [];
    if (turn.role === 'user') {
      parts.push(button('edit', 'Edit this question and ask again', () => doing.edit(turn)));
      if (turn.finishReason === 'unanswered' && isLast) {
        parts.push(button('again', 'Ask again', doing.regenerate));
      }
    } else {
      parts.push(button('copy', 'Copy this answer', () => doing.copy(turn.content)));
      if (isLast) {
        parts.push(button('again', 'Answer again', doing.regenerate));
      }
      parts.push(h('span', { class: 'cost', title: costInWords(turn.usage) }, cost(turn.usage)));
    }
    const ended = ENDED[turn.finishReason];
    this.foot.replaceChildren(...(ended ? [h('span', { class: 'ended' }, ended)] : []), ...parts);
    if (leftOut.length) {
      this.tell(leftOut);
    }
  }

  /** Sentences on what could not be sent. */
  tell(sentences: readonly string[]): void {
    this.element.querySelector('.leftOut')?.remove();
    this.foot.before(h('ul', { class: 'leftOut' }, ...sentences.map((each) => h('li', {}, each))));
  }
}

export function chips(sent: readonly Sent[], show: (sent: Sent) => void): HTMLElement {
  return h(
    'div',
    { class: 'chips' },
    ...sent.map((each) => {
      const lines = each.lastLine >= each.firstLine ? `, lines ${each.firstLine}-${each.lastLine}` : ', not sent';
      const named = each.kind === 'diagnostics' ? `problems in ${each.name}` : `${each.name}${lines}`;
      return h(
        'details',
        { class: 'chip' },
        h('summary', { title: 'What was sent of it' }, named),
        h('pre', { tabindex: '0' }, each.text || 'Nothing of it was sent.'),
        h('button', { type: 'button', class: 'plain', click: () => show(each) }, 'Open the file'),
      );
    }),
  );
}

const ENDED: Readonly<Record<string, string>> = {
  length: 'Ended at the longest answer allowed.',
  repeats: 'Ended: the model began to repeat itself.',
  stopped: 'Stopped.',
  failed: 'Ended by a failure.',
  interrupted: 'Interrupted.',
  unanswered: 'Not answered.',
};

function cost(usage: Usage | undefined): string {
  if (!usage?.promptTokens) {
    return '';
  }
  const speed = usage.tokensPerSecond ? ` · ${usage.tokensPerSecond < 10 ? usage.tokensPerSecond : Math.round(usage.tokensPerSecond)}/s` : '';
  return `${usage.promptTokens} + ${usage.generatedTokens ?? 0} tokens${speed}`;
}

function costInWords(usage: Usage | undefined): string {
  if (!usage?.promptTokens) {
    return '';
  }
  const first = usage.firstTokenMs ? ` The first came after ${Math.round(usage.firstTokenMs)} ms.` : '';
  return `${usage.promptTokens} tokens were sent, ${usage.reusedTokens ?? 0} of them known from before; ${usage.generatedTokens ?? 0} were written.${first}${usage.tokensPerSecond ? ` Then ${usage.tokensPerSecond} came per second.` : ''}`;
}

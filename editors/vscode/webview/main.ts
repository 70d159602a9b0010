/** The chat panel: draws what the extension tells, and tells what the user does. */
import type { FromPanel, Here, Preview, ToPanel } from '../src/chat/messages';
import { Composer, type Draft } from './composer';
import { Messages } from './conversation';
import { button, h } from './dom';
import { History } from './history';

interface Kept {
  readonly draft: Draft;
  readonly conversation: string;
}
declare function acquireVsCodeApi(): { postMessage(message: FromPanel): void; getState(): Kept | undefined; setState(state: Kept): void };

const vscode = acquireVsCodeApi();
const tell = (message: FromPanel): void => vscode.postMessage(message);
const root = document.getElementById('chat') as HTMLElement;
/** What is read out: not each word, but what became of the question. */
const live = h('div', { class: 'unseen', role: 'status', 'aria-live': 'polite' });
const status = h('div', { class: 'status', role: 'status', hidden: true });
const failure = h('div', { class: 'failure', role: 'alert', hidden: true });
const seen = h('section', { class: 'seen', 'aria-label': 'What would be sent', hidden: true });
const examples = h('div', { class: 'examples' });
const welcome = h('div', { class: 'welcome' }, h('p', {}, 'Ask about your code. What goes with a question stands over it.'), examples);

/** The question that was sent last, until the server has it. */
let unsent: Draft | undefined;

const messages = new Messages({
  edit: (turn) => composer.edit(turn),
  regenerate: () => {
    unsent = undefined;
    messages.again();
    begin();
    tell({ type: 'send', message: '', regenerate: true });
  },
  copy: (text) => tell({ type: 'copy', text }),
  show: ({ uri, firstLine }) => tell({ type: 'show', uri, firstLine }),
});
const composer: Composer = new Composer({
  send: (question, attached) => {
    messages.ask(question.message, attached, question.editTurn);
    unsent = { text: question.message, attached };
    begin();
    tell({ type: 'send', ...question });
  },
  stop: () => tell({ type: 'stop' }),
  attach: () => tell({ type: 'attach' }),
  preview: (question) => tell({ type: 'preview', ...question }),
  estimate: (question) => tell({ type: 'estimate', ...question }),
  names: (query) => tell({ type: 'names', query }),
  changed: (draft) => vscode.setState({ draft, conversation: '' }),
});
const history = new History({
  search: (query) => tell({ type: 'history', query }),
  open: (id) => {
    showHistory(false);
    tell({ type: 'open', id });
  },
  remove: (id) => tell({ type: 'delete', id }),
  rename: (id) => tell({ type: 'rename', id }),
  export: (id) => tell({ type: 'export', id }),
  close: () => showHistory(false),
});

function begin(): void {
  seen.hidden = true;
  forgive();
  composer.setBusy(true);
  live.textContent = 'Asked.';
  update();
}

function end(said: string): void {
  composer.setBusy(false);
  live.textContent = said;
  update();
}

function update(): void {
  welcome.hidden = history.isOpen || !messages.isEmpty;
}

function showHistory(open: boolean): void {
  history.show(open);
  messages.element.hidden = composer.element.hidden = open;
  update();
  if (open) {
    seen.hidden = true;
  } else {
    composer.focus();
  }
}

function fail(message: string): void {
  failure.replaceChildren(h('span', {}, message), button('close', 'Close this message', forgive));
  failure.hidden = false;
  showStatus();
}

function forgive(): void {
  failure.hidden = true;
  showStatus();
}

/** A sentence stands in one place: not here where it is the failure's. */
function showStatus(): void {
  const told = !failure.hidden && failure.firstElementChild?.textContent === status.textContent;
  status.hidden = !status.textContent || told;
}

/** Questions to begin with, about what is at hand. */
function showExamples(here: Here | null): void {
  const found: readonly (readonly [string, string, boolean])[] = here
    ? [
        ['Explain this code', '/explain', false],
        ['What is wrong here?', '/fix', false],
        ['Write tests for this', '/tests', false],
        [`What is in ${here.file.label}?`, 'What does this file do? Answer in a few sentences.', true],
      ]
    : [['How do I read a file line by line in Python?', 'How do I read a file line by line in Python?', false]];
  examples.replaceChildren(...found.map(([label, message, whole]) => h('button', { type: 'button', class: 'offer', click: () => composer.example(message, whole) }, label)));
}

function showPreview({ messages: sent, promptTokens, roomTokens, leftOut }: Preview): void {
  const size = promptTokens === null ? 'The model is not there yet, so its tokens cannot be counted.' : `${promptTokens} tokens; there is room for ${roomTokens ?? 'more'}.`;
  seen.replaceChildren(
    h('div', { class: 'bar' }, h('b', {}, 'What would be sent'), h('span', { class: 'space' }), button('close', 'Close', () => (seen.hidden = true))),
    h('p', {}, size),
    ...(leftOut.length ? [h('ul', { class: 'leftOut' }, ...leftOut.map((each) => h('li', {}, each)))] : []),
    ...(sent ?? []).flatMap(({ role, content }) => [h('b', {}, role), h('pre', { tabindex: '0' }, content)]),
  );
  seen.hidden = false;
}

window.addEventListener('message', ({ data }: MessageEvent<ToPanel>) => {
  switch (data.type) {
    case 'conversation':
      forgive();
      composer.leaveEditing();
      messages.show(data.conversation, data.running);
      composer.setBusy(data.running);
      performance.mark('conversation drawn');
      return update();
    case 'begun':
      unsent = undefined;
      return;
    case 'delta':
      return messages.push(data.text);
    case 'reading':
      return messages.read(data.message);
    case 'here':
      composer.here = data.here;
      return showExamples(data.here);
    case 'estimate':
      return composer.estimated(data.preview);
    case 'leftOut':
      return messages.tell(data.sentences);
    case 'finished':
      messages.finish(data.conversation, data.leftOut);
      return end(`Code Llama answered: ${data.conversation.turns.at(-1)?.content.slice(0, 300) ?? ''}`);
    case 'failed':
      if (unsent) {
        messages.withdraw();
        composer.restore({ ...unsent, text: [unsent.text, composer.draft.text].filter(Boolean).join('\n') });
        unsent = undefined;
      } else {
        messages.finish(data.conversation, []);
      }
      fail(data.message);
      return end('');
    case 'status':
      status.className = `status ${data.state}`;
      status.textContent = data.message;
      return showStatus();
    case 'commands':
      composer.commands = data.commands;
      return;
    case 'history':
      return history.fill(data.query, data.found);
    case 'names':
      return composer.names(data.query, data.names);
    case 'attached':
      composer.attach(data.attached);
      return showHistory(false);
    case 'preview':
      return showPreview(data.preview);
    case 'ask':
      showHistory(false);
      return composer.ask(data.message, data.attached);
    case 'say':
      live.textContent = data.message;
      return;
    case 'showHistory':
      return showHistory(!history.isOpen);
    case 'focus':
      return showHistory(false);
  }
});

/** Clicks and keys on what answers contain. */
function onAnswer(event: Event): void {
  const target = event.target instanceof Element ? event.target : undefined;
  const link = target?.closest<HTMLElement>('a[data-href]');
  if (link) {
    event.preventDefault();
    return tell({ type: 'link', href: link.dataset['href'] ?? '' });
  }
  const block = target?.closest<HTMLElement>('[data-do]')?.closest('figure');
  const what = target?.closest<HTMLElement>('[data-do]')?.dataset['do'];
  const text = block?.querySelector('code')?.textContent;
  if (event.type !== 'click' || !block || text == null) {
    return;
  }
  if (what === 'copy') {
    tell({ type: 'copy', text });
  } else if (what === 'insert' || what === 'apply' || what === 'create') {
    tell({ type: what, text, language: block.dataset['language'] ?? '', sent: messages.sentWith(block) });
  }
}
messages.element.addEventListener('click', onAnswer);
messages.element.addEventListener('keydown', (event) => event.key === 'Enter' && onAnswer(event));

root.append(status, welcome, messages.element, history.element, failure, seen, composer.element, live);
showExamples(null);
const kept = vscode.getState();
if (kept) {
  composer.restore(kept.draft);
}
tell({ type: 'ready', conversation: '' });

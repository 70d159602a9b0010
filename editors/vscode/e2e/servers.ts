/** Servers of others that are good, slow, busy, closed, hung and gone: what the user sees, and that all goes on after. */
import assert from 'node:assert/strict';
import { Engine } from './engine.ts';
import { isAlone, scene, standIn, type Scene } from './scenario.ts';
import { until } from './window.ts';

const MAIN = 'def greet(name):\n    return "Hello, " + name\n\n\n';

export const FILES = { 'greet.py': MAIN };

export async function play({ host, window, engine, step, picture }: Scene): Promise<void> {
  const { page, panel } = window;
  const told = async (): Promise<string> => (await window.status.getAttribute('aria-label')) ?? '';
  /** What the status bar and the chat say is one sentence, which stands once in each. */
  const fails = async (sentence: string, kind = 'failed'): Promise<void> => {
    await window.says(`Code Llama: ${kind}`);
    assert.ok((await told()).includes(sentence), await told());
    const shown = panel.locator('.failure:not([hidden]), .status:not([hidden])');
    await shown.filter({ hasText: sentence }).first().waitFor();
    await until(async () => (await shown.count()) === 1, 'it stands there once');
  };
  let typed = 0;
  /** Type on a line of its own. */
  const key = async (): Promise<void> => {
    await window.goTo(100);
    await page.keyboard.press('End');
    await page.keyboard.type(`\nx${typed++} =`);
  };
  /** All works: the next key brings a suggestion, and a question is answered. */
  const works = async (name: string): Promise<void> => {
    await key();
    await window.suggests(engine.suggestion);
    await window.says(`Code Llama: ${name}`);
    await page.keyboard.press('Escape');
    await window.ask('Still there?');
    await window.answered();
    assert.equal((await window.answer.innerText()).trim(), engine.answer);
    assert.equal(await panel.locator('.status:not([hidden])').count(), 0);
  };
  engine.suggestion = ' greet("Ada")';
  engine.answer = 'I am here.';
  host.set('codellama.firstTokenSeconds', 3);
  await window.openFile('greet.py');
  await window.says('Code Llama: stand-in');
  await window.openChat();

  await step('a good one', () => works('stand-in'));

  await step('a slow one: it is seen to think, and the next key counts', async () => {
    let go = (): void => undefined;
    engine.hold = new Promise((resolve) => (go = resolve));
    engine.suggestion = 'greet("Ada")'; // also behind the space that follows
    await key();
    await page.locator('[id="codellama-ls.codellama.codellama.status"] .codicon-loading').waitFor();
    assert.match(await told(), /Thinking/);
    await picture('server-slow');
    await page.keyboard.type(' ');
    engine.hold = Promise.resolve();
    go();
    await window.suggests(engine.suggestion);
    await page.keyboard.press('Escape');
    engine.suggestion = ' greet("Ada")';
    await until(async () => !/Thinking/.test(await told()), 'it has thought');
  });

  await step('a busy one: a suggestion is not waited for, a chat is, and goes on', async () => {
    engine.refuses = 503;
    await key();
    await window.says('Code Llama: busy');
    await window.ask('When you have time?');
    await panel.locator('.status.busy', { hasText: /is busy \(status 503\); it is asked again in \d+ s/ }).waitFor();
    await until(async () => /is busy \(status 503\)/.test(await told()), 'it is told in the status bar too');
    await picture('server-busy');
    engine.refuses = 0;
    await window.answered();
    await works('stand-in');
  });

  await step('a closed one: the setting is named, and the question kept', async () => {
    engine.refuses = 401;
    await window.ask('May I?');
    await fails('lets nobody in without a token');
    await window.toast('lets nobody in without a token');
    await picture('server-closed');
    engine.refuses = 0;
    await window.clearToasts();
    await window.menu('Try again');
    await window.says('Code Llama: stand-in');
    await works('stand-in');
  });

  await step('a hung one: told after the time that is set, and the next question is answered', async () => {
    engine.hangs = true;
    await window.ask('Are you there?');
    await fails('was silent for 3 s; it may be overloaded, and codellama.firstTokenSeconds lets it take longer.', 'busy');
    await picture('server-hung');
    engine.hangs = false;
    await works('stand-in');
  });

  await step('another one, by the setting', async () => {
    const other = new Engine();
    await other.start();
    try {
      other.name = 'another';
      [other.suggestion, other.answer] = [engine.suggestion, engine.answer];
      host.set('codellama.engineUrl', other.url);
      await window.says('Code Llama: another');
      await works('another');
      assert.equal(other.asked, 1);
    } finally {
      other.stop();
    }
  });

  await step('one that is gone: its address is named', async () => {
    await key();
    await fails('check the address, and whether one runs there');
    await window.toast('check the address, and whether one runs there');
    await picture('server-gone');
    host.set('codellama.engineUrl', engine.url);
    await window.clearToasts();
    await window.says('Code Llama: stand-in');
    await works('stand-in');
  });
}

if (isAlone(import.meta.filename)) {
  await scene('servers of others', (engine) => ({ files: FILES, settings: { ...standIn(engine), 'workbench.colorTheme': 'Default Dark Modern' } }), play);
}

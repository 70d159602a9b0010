/** What the status bar item's menu offers beyond the daily work: the token, the doctor, the walkthrough. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { isAlone, scene, standIn, type Scene } from './scenario.ts';

const TOKEN = 'open-sesame-42';

export async function play({ host, window, engine, step, picture }: Scene): Promise<void> {
  const { page } = window;
  await window.openFile('main.py');
  await window.says('Code Llama: stand-in');
  await step('said', async () => {
    engine.token = TOKEN;
    await window.goTo(100);
    await page.keyboard.type('y =');
    await window.says('Code Llama: failed');
    await window.toast('engineToken');
    await window.command('File: Revert File');
  });
  await step('the token is asked for, and kept in no file', async () => {
    await window.menu('Token of the remote engine');
    const input = page.locator('.quick-input-widget input[type="password"]');
    await input.fill(TOKEN);
    await input.press('Enter');
    await window.says('Code Llama: stand-in');
    await window.load(host.url);
    await window.openFile('main.py');
    await window.says('Code Llama: stand-in');
    assert.equal(filesWith(TOKEN, host.run), '');
  });
  await step('what works here', async () => {
    const unsaved = await page.locator('.tab.dirty').count();
    await window.menu('What works here');
    await page.locator('.editor-instance .view-line', { hasText: 'serves stand-in' }).waitFor();
    assert.equal(await page.locator('.tab.dirty').count(), unsaved, 'it is not to be saved');
  });
  await step('the walkthrough', async () => {
    await window.command('View: Toggle Primary Side Bar Visibility');
    await window.command('Code Llama: Get Started');
    const walkthrough = page.locator('.gettingStartedContainer');
    await walkthrough.locator('h2', { hasText: 'Get started with Code Llama' }).waitFor();
    for (const name of ['Install the language server', 'Choose a model', 'Type, and accept what fits', 'Ask']) {
      await walkthrough.locator('.getting-started-step', { hasText: name }).first().waitFor();
    }
    await walkthrough.locator('[data-done-step-id$="#start#install"].complete').first().waitFor();
    await walkthrough.locator('.getting-started-step', { hasText: 'Type, and accept what fits' }).click();
    await window.clearToasts();
    await picture('walkthrough-light');
  });
}

/** The names of the files in a folder that have this text. */
function filesWith(text: string, folder: string): string {
  try {
    return execFileSync('grep', ['-rlF', text, folder], { encoding: 'utf8' });
  } catch (error) {
    // What grep says where it finds nothing.
    assert.equal((error as { readonly status?: number }).status, 1);
    return '';
  }
}

if (isAlone(import.meta.filename)) {
  await scene('an engine that asks for a token', (engine) => ({ files: { 'main.py': 'x = 1\n' }, settings: standIn(engine) }), play);
}

/** The real thing: the packaged extension, the real language server, the engine, and the starter model. */
import assert from 'node:assert/strict';
import type { Locator } from 'playwright-core';
import { scene } from './scenario.ts';

const READY = /Code Llama: (?!starting|loading|failed|off)\S+, \S+/;
// What is missing is named by the line below it.
const FILE = 'import sys\n\n\ndef main():\n    \n    print(f"Hello, {name}!")\n';

await scene('the starter model', () => ({ files: { 'main.py': FILE }, settings: { 'codellama.maxTokens': 24, 'codellama.minProbability': 0 } }), async ({ host, window, step, picture }) => {
  const { page, panel } = window;
  await window.openFile('main.py');
  await step('loaded', () => window.says(READY, 180_000));
  await step('ghost text that the code below asks for, accepted', async () => {
    await window.goTo(5, 5);
    await page.keyboard.type('n');
    const text = await window.ghostText();
    console.log(`      ${JSON.stringify(text)}`);
    await picture('starter-light');
    await page.keyboard.press('Tab');
    await window.save();
    assert.match(host.read('main.py').split('\n')[4] ?? '', /^    name = ./);
  });
  await step('a chat', async () => {
    await window.openChat();
    await window.ask('What is a list in Python? Answer in one sentence.');
    await panel.locator('.turn.writing .body', { hasText: /\w/ }).waitFor({ timeout: 120_000 });
    await panel.locator('textarea').press('Escape');
    await window.answered(120_000);
    assert.match(await window.answer.innerText(), /\w/);
  });
  await step('another model, and back', async () => {
    await window.menu('Switch model');
    const row = (model: string): Locator => page.locator('.quick-input-list .monaco-list-row', { hasText: model });
    await row('fits here').first().waitFor();
    await row('codellama/CodeLlama-7b-hf').click();
    await window.says('Code Llama: failed');
    await window.menu('Switch model');
    await row('A small model that runs on a laptop.').click();
    await window.says(READY, 180_000);
  });
});

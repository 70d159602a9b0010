/** Links of a project to what must not be seen: to a secret file, and to a file outside of the project. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { spelled, type Host } from './host.ts';
import { isAlone, scene, standIn, type Scene } from './scenario.ts';

const SECRET = 'open_sesame';
const OUTSIDE = 'the diary of somebody';

export const FILES = { 'main.py': 'def total(numbers):\n    return sum(numbers)\n', '.env': `KEY = "${SECRET}"\n` };

export function links(host: Host): Record<string, string> {
  const outside = path.join(host.run, 'outside.txt');
  fs.writeFileSync(outside, `${OUTSIDE}\n`);
  return { 'notes.txt': outside, 'link.py': '.env' };
}

export async function play({ window, engine, step }: Scene): Promise<void> {
  const { page, panel } = window;
  engine.suggestion = ' 42';
  await step('no suggestion in a link to a secret file, which says why', async () => {
    await window.openFile('link.py');
    await window.says('Code Llama: stand-in');
    await window.goTo(2);
    await page.keyboard.type('x =');
    await page.keyboard.press('Alt+Backslash');
    await window.says('Code Llama: off here');
    assert.equal(await window.ghost.count(), 0);
    assert.deepEqual(engine.prompts, []);
  });
  await step('nothing of it in another file, while it is open', async () => {
    await window.openFile('main.py');
    await window.says('Code Llama: stand-in');
    await window.goTo(3);
    await page.keyboard.type('KEY =');
    await window.suggests(' 42');
  });
  await step('neither goes with a question, and each is told', async () => {
    await window.openChat();
    await window.ask('What is in @notes.txt and @link.py and @main.py?');
    await window.answered();
    const told = (await panel.locator('.leftOut li').allTextContents()).join('\n');
    assert.match(told, /notes\.txt/);
    assert.match(told, /link\.py/);
  });
  await step('the model was asked, and saw nothing of them', async () => {
    const seen = spelled(engine.prompts);
    assert.match(seen, /return sum\(numbers\)[^]*What is in @notes\.txt/);
    assert.doesNotMatch(seen, new RegExp(`${SECRET}|${OUTSIDE}`));
  });
}

if (isAlone(import.meta.filename)) {
  await scene('links that lead to what is hidden', (engine, host) => ({ files: FILES, links: links(host), settings: standIn(engine) }), play);
}

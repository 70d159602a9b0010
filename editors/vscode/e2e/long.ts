/** A long answer and a long conversation: what is drawn for them, and for how long. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { PYTHON, REPOSITORY } from './host.ts';
import { isAlone, scene, standIn, type Scene } from './scenario.ts';

const WORDS = 5000;

function answer(): string {
  const parts: string[] = [];
  for (let count = 0, number = 1; count < WORDS; count += 70, number++) {
    parts.push(
      `## Part ${number}\n\nThis part says **something** about \`part_${number}\` in the words that a model has for it, and it goes on for a while, ` +
        'so that there is a paragraph of a usual length before the code that follows it here:\n\n' +
        `\`\`\`python\ndef part_${number}(items):\n    """Part ${number}."""\n    for item in items:\n        if item > ${number}:\n            yield item\n\`\`\`\n\n- a first point about it\n- a second one, with \`code\`\n`,
    );
  }
  return parts.join('\n');
}

export async function play({ host, window, engine, step, picture }: Scene): Promise<void> {
  const { page, panel } = window;
  await window.openFile('main.py');
  await window.says('Code Llama: stand-in');
  await step('an answer of 5,000 words', async () => {
    await window.openChat();
    await panel.locator('.turns').evaluate((turns) => {
      const seen = { longest: 0, nodes: 0 };
      Object.assign(window, { seen });
      new PerformanceObserver((list) => (seen.longest = Math.max(seen.longest, ...list.getEntries().map((each) => each.duration)))).observe({ type: 'longtask' });
      const nodesIn = (node: Node): number => [...node.childNodes].reduce((sum, each) => sum + nodesIn(each), 1);
      new MutationObserver((changes) => changes.forEach((change) => change.addedNodes.forEach((node) => (seen.nodes += nodesIn(node))))).observe(turns, { childList: true, subtree: true });
    });
    engine.pieceLength = 24;
    engine.pause = 4;
    engine.answer = answer();
    await window.ask('Tell me everything.');
    await window.answered(120_000);
    const { longest, nodes, left } = await panel.locator('.turns').evaluate((turns) => {
      const nodesIn = (node: Node): number => [...node.childNodes].reduce((sum, each) => sum + nodesIn(each), 1);
      return { ...(window as unknown as { seen: { longest: number; nodes: number } }).seen, left: nodesIn(turns) };
    });
    console.log(`      measured longest task ms: ${Math.round(longest)}`);
    // Each frame draws the last block anew. With all of the answer it would be a hundred times what is there in the end.
    assert.ok(nodes < 20 * left, `${nodes} nodes were drawn for the ${left} that are left`);
    engine.pause = 0;
  });
  await step('200 stored turns', async () => {
    execFileSync(PYTHON, [path.join(REPOSITORY, 'tests/editors/vscode/conversation.py'), path.join(host.run, 'share'), '200']);
    await window.command('Code Llama: Chat History');
    await panel.locator('.history .entry', { hasText: 'A long talk' }).click();
    await panel.locator('.turn.assistant .body', { hasText: 'This was answer 199.' }).waitFor();
    // As the panel comes up anew: another view, and back.
    await window.command('View: Show Explorer');
    await page.locator('iframe.webview.ready').waitFor({ state: 'hidden' });
    await window.command('Code Llama: Open Chat');
    await panel.locator('.turn.assistant .body', { hasText: 'This was answer 199.' }).waitFor();
    const drawn = await panel.locator('body').evaluate(() => performance.getEntriesByName('conversation drawn')[0]?.startTime ?? NaN);
    console.log(`      measured opening ms: ${Math.round(drawn)}`);
    await panel.locator('.turn.assistant .body', { hasText: 'This was answer 1.' }).first().waitFor({ state: 'attached' });
    assert.equal(await panel.locator('.turn').count(), 200);
    await picture('long-light');
  });
}

if (isAlone(import.meta.filename)) {
  await scene('long', (engine) => ({ files: { 'main.py': 'x = 1\n' }, settings: standIn(engine) }), play);
}

/** The main work, from the packaged extension against the real language server with a stand-in engine. */
import assert from 'node:assert/strict';
import { scene, standIn } from './scenario.ts';
import { until } from './window.ts';

const MAIN = `def greet(name):
    return "Hello, " + name


def total(numbers):
    result = 0
    for number in numbers:
        result += number
    return result

`;
const ANSWER = `The function **adds** the numbers up. It is the same as \`sum\`:

\`\`\`python
def total(numbers):
    """The sum of the numbers."""
    return sum(numbers)
\`\`\`

1. It is shorter.
2. It is faster.
`;

await scene('the main work', (engine) => ({ vsix: 'installed', git: true, files: { 'main.py': MAIN, '.env': 'KEY=1\n' }, settings: { ...standIn(engine), 'workbench.colorTheme': 'Default Dark Modern' } }), async ({ host, window, engine, step, picture }) => {
  const { page, panel } = window;
  await window.openFile('main.py');
  await step('ready, with the model', () => window.says('Code Llama: stand-in'));
  engine.suggestion = ' greet("Ada") + "!"';

  await step('ghost text', async () => {
    await window.goTo(11);
    await page.keyboard.type('x =');
    await window.suggests(' greet("Ada") + "!"');
    await picture('ghost-text-dark');
  });
  await step('others to choose from', async () => {
    engine.others = [' greet("Bob")', ' greet(name)'];
    for (const text of [' greet("Bob")', ' greet(name)', ' greet("Ada") + "!"']) {
      await until(async () => {
        await page.keyboard.press('Alt+BracketRight'); // a busy machine loses one; they go round
        return window.suggestsWithin(6, text).then(() => true, () => false);
      }, `${text} is chosen`);
    }
  });
  await step('accepted by word, then whole', async () => {
    await page.keyboard.press('Control+ArrowRight');
    await until(async () => (await page.locator('.view-line', { hasText: 'greet' }).count()) > 1, 'a word is taken');
    engine.suggestion = '';
    await page.keyboard.press('Tab');
    await page.waitForTimeout(350); // in the middle of the time that it is held, also where the machine is busy
    await page.keyboard.press('Tab'); // meant for the next suggestion, of which there is none
    await until(async () => !(await window.ghost.count()), 'the suggestion is taken');
    await window.save();
    assert.match(host.read('main.py'), /x = greet\("Ada"\) \+ "!"$/m);
  });
  await step('in the middle of a line: accepted by word, then whole', async () => {
    engine.others = [];
    engine.suggestion = 'or "you"), file=None)'; // and the rest of the line again
    await window.goTo(11);
    await page.keyboard.press('End');
    await page.keyboard.type('\nprint(greet(name), file=None)');
    await page.keyboard.press('Home');
    for (let right = 0; right < 'print(greet(name'.length; right++) {
      await page.keyboard.press('ArrowRight');
    }
    await page.keyboard.type(' ');
    await window.suggests('or "you"');
    await page.keyboard.press('Control+ArrowRight');
    await window.suggests(' "you"');
    await page.keyboard.press('Tab');
    await window.save();
    assert.match(host.read('main.py'), /\nprint\(greet\(name or "you"\), file=None\)/);
    await page.keyboard.press('End');
  });
  await step('accepted by line', async () => {
    engine.suggestion = 'twice = 2 * number\n    return twice';
    await page.keyboard.type('\n\ndef double(number):');
    await until(async () => { // a VS Code that has just started does not know yet how Python is indented
      await page.keyboard.press('Enter');
      const indented = page.locator('.statusbar-item', { hasText: /Col 5$/ }).waitFor({ timeout: 1000 });
      return indented.then(() => true, () => page.keyboard.press('Backspace').then(() => false));
    }, 'the next line is indented');
    await window.suggests('twice = 2 * number', '    return twice');
    await page.keyboard.press('Control+Alt+ArrowRight');
    await window.suggests('    return twice');
    await page.keyboard.press('Escape');
    await window.save();
    assert.match(host.read('main.py'), /def double\(number\):\n    twice = 2 \* number\n/);
    assert.doesNotMatch(host.read('main.py'), /return twice/);
  });

  await step('off and on from the menu, and why', async () => {
    for (const [where, why] of [['in this file', 'You turned suggestions off in this file.'], ['in python', 'You turned suggestions off in python.'], ['everywhere', 'You turned suggestions off everywhere.'], ['for 10 minutes', 'You turned suggestions off until ']]) {
      await window.menu(`Turn suggestions off ${where}`);
      await window.says('Code Llama: off here');
      assert.match((await window.status.getAttribute('aria-label')) ?? '', new RegExp(why ?? ''));
      await window.menu(`Turn suggestions on ${where?.replace('for 10 minutes', 'again')}`);
      await window.says('Code Llama: stand-in');
    }
    await window.openFile('.env');
    await page.keyboard.press('Alt+Backslash');
    await window.says('Code Llama: off here');
    assert.match((await window.status.getAttribute('aria-label')) ?? '', /\.env/);
    await window.command('View: Close Editor');
    await window.says('Code Llama: stand-in');
  });

  await step('an action is previewed and applied', async () => {
    engine.answer = '```python\ndef greet(name):\n    """Greet somebody by name."""\n    return "Hello, " + name\n```';
    const before = engine.asked;
    await window.goTo(2, 6);
    await page.keyboard.press('Control+.');
    const entry = page.locator('.action-widget .monaco-list-row', { hasText: 'Document `greet`' }).first();
    await entry.waitFor();
    await entry.hover();
    await picture('actions-dark');
    await entry.click();
    await page.locator('.tab.active', { hasText: 'Document greet' }).waitFor();
    await page.locator('.diff-editor, .monaco-diff-editor').first().waitFor();
    await page.locator('.view-line', { hasText: 'Greet somebody' }).first().waitFor();
    await page.locator('.monaco-diff-editor .char-insert, .monaco-diff-editor .line-insert').first().waitFor();
    await picture('preview-dark');
    assert.doesNotMatch(host.read('main.py'), /Greet somebody/);
    await page.locator('.editor-actions .action-label[aria-label^="Accept"]').first().click();
    await window.back('main.py');
    await window.save();
    assert.match(host.read('main.py'), /^def greet\(name\):\n    """Greet somebody by name."""\n    return "Hello, " \+ name\n/);
    assert.equal(engine.asked, before + 1, 'looking at the menu asks no model');
  });
  await step('an action that may be wrong says so in its preview, and is discarded', async () => {
    engine.answer = '```python\ndef hello(name):\n    return "Nothing of this stays, " + name\n```';
    await window.goTo(3, 6);
    await window.command('Code Llama: Simplify');
    await page.locator('.tab.active', { hasText: /^main\.py: Simplify greet \(Code Llama\) ⚠ The model's answer drops the function `greet`\./ }).waitFor();
    await page.locator('.view-line', { hasText: 'Nothing of this' }).first().waitFor();
    const drawn = (): Promise<string> => page.evaluate(() => [...document.querySelectorAll('.view-line span')].map((each) => getComputedStyle(each, '::after').content).join());
    await until(async () => (await drawn()).includes('drops the function `greet`'), 'the warning stands there');
    await picture('preview-doubt');
    await page.keyboard.press('Control+Backspace');
    await until(async () => !(await window.tabs()).some((tab) => tab.includes('Simplify')), 'it is closed');
    await window.back('main.py');
    assert.equal(await page.locator('.tab.dirty').count(), 0);
  });
  await step('an edit in own words is streamed in its place, and accepted by hunk', async () => {
    engine.answer = '```python\ndef total(numbers):\n    """The sum of the numbers, rounded."""\n    result = 0\n    for number in numbers:\n        result += number\n    return round(result)\n```';
    engine.pause = 500; // long enough to be stopped
    const before = host.read('main.py');
    const lens = page.locator('.codelens-decoration');
    const edit = async (words: string): Promise<void> => {
      await window.goTo(7, 6);
      await page.keyboard.press('Control+Alt+k');
      const input = page.locator('.quick-input-widget input').first();
      await until(async () => (await input.isVisible()) && !(await input.inputValue()).startsWith('>'), 'the instruction is asked for');
      await page.locator('.quick-input-title', { hasText: 'Edit what is at the cursor in main.py' }).waitFor();
      await input.fill(words);
      await input.press('Enter');
    };
    await edit('round the sum');
    await lens.filter({ hasText: 'Stop (Esc)' }).first().waitFor();
    await page.locator('.tab.active.dirty').waitFor();
    await page.keyboard.press('Escape');
    await until(async () => (await lens.count()) === 0, 'it is stopped');
    await until(() => engine.brokenOff > 0, 'the model is stopped');
    engine.pause = 20;
    await edit('round the sum, and say what it is');
    await lens.filter({ hasText: 'Accept all' }).first().waitFor();
    await picture('edit-dark');
    await lens.filter({ hasText: 'Discard this' }).first().locator('a', { hasText: 'Discard this' }).click();
    await until(async () => (await lens.filter({ hasText: 'Accept all' }).count()) === 0, 'one is left');
    await window.focusEditor();
    await page.keyboard.press('Control+Enter');
    await until(async () => (await lens.count()) === 0, 'it is accepted');
    await window.save();
    assert.match(host.read('main.py'), /def total\(numbers\):\n    result = 0\n    for number in numbers:\n        result \+= number\n    return round\(result\)\n/);
    await page.keyboard.press('Control+z');
    await window.save();
    assert.equal(host.read('main.py'), before);
    engine.pause = 0;
  });

  await step('chat is streamed', async () => {
    await window.openChat();
    await panel.locator('.welcome .offer', { hasText: 'What is in main.py?' }).waitFor();
    await panel.locator('.composer .chip', { hasText: /^around line \d+ of main\.py$/ }).waitFor();
    await picture('chat-empty-dark');
    engine.answer = ANSWER;
    engine.pause = 25;
    engine.progress = { total: 2900, cache: 0, processed: 1160, others: 1 };
    let read = (): void => undefined;
    engine.hold = new Promise((resolve) => (read = resolve));
    await window.ask('What does @main.py do?');
    await panel.locator('.reading', { hasText: /^Reading 40% of 2,900 tokens\. The model is shared/ }).waitFor();
    assert.match((await window.status.getAttribute('aria-label')) ?? '', /Reading 40%/);
    await panel.locator('button.go[aria-label="Stop"]').waitFor();
    await picture('chat-reading-dark');
    engine.progress = undefined;
    read();
    await panel.locator('.turn.writing .body strong').waitFor();
    await window.answered();
    assert.equal(await panel.locator('.reading').count(), 0);
    assert.match(await window.answer.innerText(), /adds the numbers up/);
    assert.equal(await window.answer.locator('figure.code .hljs-keyword').count(), 2);
    assert.match(await panel.locator('.cost').last().innerText(), /\d+ \+ \d+ tokens/);
    assert.match(await panel.locator('.turn.user .chip summary').first().innerText(), /main\.py, lines 1-/);
    await picture('chat-dark');
  });
  await step('chat is stopped', async () => {
    engine.answer = Array.from({ length: 400 }, (_, number) => `${number} and three `).join('');
    const before = engine.brokenOff;
    await window.ask('Count.');
    await panel.locator('.turn.writing .body', { hasText: 'three' }).waitFor();
    await panel.locator('textarea').press('Escape');
    await window.answered();
    await panel.locator('.ended', { hasText: 'Stopped.' }).waitFor();
    await until(() => engine.brokenOff === before + 1, 'the engine is told');
    engine.pause = 0;
  });
  await step('an edited question takes the place of what follows', async () => {
    engine.answer = 'Another answer.';
    await panel.locator('.turn.user').last().hover();
    await panel.locator('.turn.user button[aria-label^="Edit"]').last().click();
    await window.ask('Count no more.');
    await window.answered();
    assert.equal(await panel.locator('.turn').count(), 4);
    assert.equal((await window.answer.innerText()).trim(), 'Another answer.');
    engine.answer = 'A third answer.';
    await panel.locator('.turn.assistant button[aria-label="Answer again"]').last().click();
    await panel.locator('.turn.assistant .body', { hasText: 'A third answer.' }).waitFor();
    await window.answered();
    assert.equal(await panel.locator('.turn').count(), 4);
  });
  await step('a code block is inserted, and applied as a diff', async () => {
    await panel.locator('figure.code button', { hasText: 'Apply' }).first().click();
    await page.locator('.tab.active', { hasText: 'code of the answer' }).waitFor();
    await page.locator('.view-line', { hasText: 'The sum of the numbers' }).first().waitFor();
    await page.locator('.monaco-diff-editor .char-insert, .monaco-diff-editor .line-insert').first().waitFor();
    await picture('apply-dark');
    await page.locator('.editor-actions .action-label[aria-label^="Accept"]').first().click();
    await window.back('main.py');
    await window.save();
    assert.match(host.read('main.py'), /\n\n\ndef total\(numbers\):\n    """The sum of the numbers."""\n    return sum\(numbers\)\n\n/);
    assert.doesNotMatch(host.read('main.py'), /result/);
    await window.goTo(100);
    await panel.locator('figure.code button', { hasText: 'Insert' }).first().click();
    await page.locator('.tab.active.dirty').waitFor();
    await window.focusEditor();
    await window.save();
    assert.equal(host.read('main.py').match(/The sum of the numbers/g)?.length, 2);
    assert.match(host.read('main.py'), /^x = greet/m);
    await panel.locator('figure.code button', { hasText: 'New file' }).first().click();
    await page.locator('.tab.active', { hasText: /Untitled/ }).waitFor();
    await page.locator('.editor-status-mode, [id="status.editor.mode"]', { hasText: 'Python' }).first().waitFor();
    await window.closeUnsaved();
  });
  await step('slash commands and names are completed', async () => {
    await panel.locator('textarea').fill('');
    await panel.locator('textarea').pressSequentially('/ex');
    await panel.locator('.popup li', { hasText: '/explain' }).first().waitFor();
    await panel.locator('textarea').press('Tab');
    assert.equal(await panel.locator('textarea').inputValue(), '/explain ');
    await panel.locator('textarea').pressSequentially('@mai');
    await panel.locator('.popup li', { hasText: '@main.py' }).first().waitFor();
    await panel.locator('textarea').press('Enter');
    assert.equal(await panel.locator('textarea').inputValue(), '/explain @main.py ');
    await panel.locator('button[aria-label="Show what would be sent"]').click();
    await panel.locator('.seen pre', { hasText: 'def greet' }).first().waitFor();
    await panel.locator('.seen button[aria-label="Close"]').click();
    await panel.locator('textarea').fill('');
  });
  await step('a selection goes with a question', async () => {
    await window.openFile('main.py');
    await window.goTo(1);
    await page.keyboard.press('Shift+ArrowDown');
    await page.keyboard.press('Control+Alt+l');
    await panel.locator('.composer .chip', { hasText: 'main.py, line 1' }).waitFor();
    await panel.locator('button[aria-label^="Leave out"]').click();
    await panel.locator('button[aria-label^="Send nothing of itself"]').click();
    assert.equal(await panel.locator('.composer .chip').count(), 0);
    await panel.locator('.composer .offer', { hasText: /^\+ main\.py$/ }).click();
    await panel.locator('.composer .chip', { hasText: /^main\.py$/ }).waitFor();
    await panel.locator('button[aria-label="Leave out main.py"]').click();
    await panel.locator('.composer .offer', { hasText: /^\+ main\.py, line 1$/ }).click();
    await panel.locator('.composer .chip', { hasText: 'main.py, line 1' }).waitFor();
  });
  await step('history after a reload', async () => {
    await window.load(host.url);
    await window.says('Code Llama');
    await window.openChat();
    await panel.locator('.turn.assistant .body', { hasText: 'A third answer.' }).waitFor();
    assert.equal(await panel.locator('.turn').count(), 4);
    await window.command('Code Llama: Chat History');
    await panel.locator('.history .entry', { hasText: 'What does @main.py do?' }).waitFor();
    await panel.locator('.history input').fill('faster');
    await panel.locator('.history .entry span', { hasText: 'faster' }).waitFor();
    await picture('history-dark');
    await panel.locator('.history input').fill('no such words');
    await panel.locator('.history .none', { hasText: 'No chat has this.' }).waitFor();
    await panel.locator('.history input').press('Escape');
    await panel.locator('textarea').waitFor();
  });
  await step('a chat is renamed, exported and deleted', async () => {
    await window.command('Code Llama: Chat History');
    const entry = panel.locator('.history li');
    await entry.hover();
    await entry.locator('button[aria-label^="Rename"]').click();
    const input = page.locator('.quick-input-widget input');
    await until(async () => (await input.isVisible()) && (await input.inputValue()).startsWith('What does'), 'the title is asked for');
    await input.fill('Adding up');
    await input.press('Enter');
    await panel.locator('.history .entry', { hasText: 'Adding up' }).waitFor();
    await entry.locator('button[aria-label^="Export"]').click();
    await page.locator('.tab.active', { hasText: /Untitled/ }).waitFor();
    await page.locator('.editor-instance .view-line', { hasText: '# Adding up' }).waitFor();
    await page.locator('.editor-instance .view-line', { hasText: 'What does @main.py do?' }).first().waitFor();
    await window.closeUnsaved();
    await entry.locator('button[aria-label^="Delete"]').click();
    const dialog = page.locator('.monaco-dialog-box', { hasText: 'Delete this chat?' });
    await dialog.locator('.monaco-button', { hasText: 'Delete' }).click();
    await panel.locator('.history .none', { hasText: 'There are no chats yet.' }).waitFor();
    assert.equal(await panel.locator('.turn').count(), 0);
    await panel.locator('.history input').press('Escape');
    await panel.locator('.welcome').waitFor();
  });
  await step('explain asks in the chat, with the function', async () => {
    engine.answer = 'It greets.';
    await window.openFile('main.py');
    await window.says('Code Llama: stand-in');
    await window.goTo(2, 6);
    await window.command('Code Llama: Explain');
    await panel.locator('.turn.assistant .body', { hasText: 'It greets.' }).waitFor();
    await window.answered();
    assert.match(await panel.locator('.turn.user .chip summary').innerText(), /greet in main\.py, lines 1-3/);
  });
  await step('the commit message is written into its box', async () => {
    engine.answer = 'Greet people and add numbers';
    await window.command('Source Control: Focus on Changes View');
    const box = page.locator('.scm-editor').first();
    await box.waitFor();
    await page.locator('.scm-view .action-label[aria-label^="Write the Commit Message"], .pane-header .action-label[aria-label^="Write the Commit Message"]').first().click();
    await box.locator('.view-line', { hasText: 'Greet people' }).waitFor();
    await picture('commit-dark');
  });
});

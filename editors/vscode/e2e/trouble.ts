/** What goes wrong: each case ends in a state that is clear, and loses nothing. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { PYTHON } from './host.ts';
import { scene, standIn } from './scenario.ts';
import { until } from './window.ts';

const MAIN = 'def greet(name):\n    return "Hello, " + name\n';
const DOCUMENTED = '```python\ndef greet(name):\n    """Greet somebody."""\n    return "Hello, " + name\n```';

const OLD = `"${PYTHON}" -c 'import lsp_server; lsp_server.__version__ = "0.0.3"; from lsp_server.cli import main; main([])'`;
await scene('a bad day, which begins without a server', (engine) => ({
  files: { 'main.py': MAIN, 'locked.py': MAIN, 'other.py': MAIN },
  server: null,
  settings: { ...standIn(engine), 'codellama.logLevel': 'debug', 'files.readonlyInclude': { '**/locked.py': true } },
  env: { HOME: '/nonexistent' }, // where a server would be found
}), async ({ host, window, engine, step, picture }) => {
  const { page, panel } = window;
  await step('not installed: said, with the command in a terminal', async () => {
    await window.says('Code Llama: not installed');
    const toast = await window.toast('codellama-ls is not installed.');
    await toast.hover();
    await toast.locator('.monaco-button', { hasText: 'Show the Command' }).click();
    await page.locator('.terminal-wrapper .xterm').first().waitFor();
  });
  await step('a question is not lost', async () => {
    await window.openChat();
    await panel.locator('.status.failed', { hasText: 'not installed' }).waitFor();
    await window.ask('Is anybody there?');
    await panel.locator('.failure', { hasText: 'not installed' }).waitFor();
    assert.equal(await panel.locator('textarea').inputValue(), 'Is anybody there?');
    assert.equal(await panel.locator('.turn').count(), 0);
    await picture('not-installed');
  });
  await step('of another version: said, and it runs all the same', async () => {
    host.set('workbench.colorTheme', 'Default High Contrast');
    host.set('codellama.serverPath', host.program('old-server', `exec ${OLD}`));
    await window.toast('codellama-ls 0.0.3 is older than this extension');
    await window.openFile('main.py');
    await window.says('Code Llama: stand-in');
  });
  await step('high contrast, and narrow', async () => {
    await window.clearToasts();
    await page.setViewportSize({ width: 560, height: 700 });
    engine.answer = `${DOCUMENTED}\n\nIt says what \`greet\` does.`;
    await window.openChat();
    await window.ask('Document @greet');
    await window.answered();
    await picture('chat-contrast');
    assert.ok(await panel.locator('body').evaluate((body) => body.scrollWidth <= body.clientWidth), 'nothing is wider than the panel');
    await page.setViewportSize({ width: 1280, height: 800 });
  });
  await step('no language server: tried again, later each time, then left alone', async () => {
    host.set('codellama.serverPath', host.program('no-server', 'echo hello; exit 1'));
    await window.says('Code Llama: starting again');
    await window.says('Code Llama: failed', 60_000);
    await window.toast('is no language server that works');
    await window.clearToasts();
  });
  await step('one without its model: said, with what to do', async () => {
    host.set('codellama.engineUrl', '');
    host.set('codellama.model', '/nowhere/at/all');
    host.set('codellama.serverPath', host.program('server', `exec "${PYTHON}" -m lsp_server "$@"`));
    await window.toast('/nowhere/at/all');
    await window.says('Code Llama: failed');
    await panel.locator('.status.failed', { hasText: '/nowhere/at/all' }).waitFor();
    await window.status.click();
    await page.locator('.quick-input-list .monaco-list-row', { hasText: 'Try again' }).waitFor();
    await page.keyboard.press('Escape');
  });

  await step('a question waits for the model', async () => {
    let load = (): void => undefined;
    engine.loaded = new Promise((resolve) => (load = resolve));
    const before = engine.asked;
    host.set('workbench.colorTheme', 'Default Light Modern');
    host.set('codellama.engineUrl', engine.url);
    host.set('codellama.serverPath', host.languageServer());
    await window.says('Code Llama: starting');
    await window.clearToasts();
    await window.command('Code Llama: New Chat');
    engine.answer = 'Now I am here.';
    await window.ask('Are you there?');
    await panel.locator('.status.busy', { hasText: /server/i }).waitFor();
    await panel.locator('button.go[aria-label="Stop"]').waitFor();
    assert.equal(engine.asked, before);
    load();
    await panel.locator('.turn.assistant .body', { hasText: 'Now I am here.' }).waitFor();
    await window.answered();
  });
  await step('the server is killed twice', async () => {
    for (let time = 0; time < 2; time++) {
      const [pid] = await until(() => (host.servers().length ? host.servers() : undefined), 'a server runs');
      assert.ok(pid);
      process.kill(pid, 'SIGKILL');
      await window.says('Code Llama: starting again');
      await window.says('Code Llama: stand-in');
    }
    await window.toast('the language server keeps ending');
    await window.clearToasts();
    assert.equal(host.servers().length, 1);
  });

  await step('what is typed while it is away gets its suggestion', async () => {
    engine.suggestion = 'greet("Ada")';
    await window.goTo(3);
    host.servers().forEach((pid) => process.kill(pid, 'SIGKILL'));
    await window.says('Code Llama: starting again');
    await page.keyboard.type('x = ');
    await window.says('Code Llama: stand-in');
    await window.suggests('greet("Ada")');
    engine.suggestion = '';
    await window.command('File: Revert File');
  });

  await step('it is killed while it answers: what was written is there', async () => {
    engine.answer = Array.from({ length: 2000 }, (_, number) => `word ${number} `).join('');
    engine.pause = 20;
    await window.openChat();
    await window.ask('Talk.');
    await panel.locator('.turn.writing .body', { hasText: 'word 2 word' }).waitFor();
    host.servers().forEach((pid) => process.kill(pid, 'SIGKILL'));
    await panel.locator('.ended', { hasText: 'Interrupted.' }).waitFor();
    await panel.locator('.turn.assistant .body', { hasText: 'word 1 word' }).waitFor();
    engine.pause = 0;
    engine.answer = 'Here I am again.';
    await panel.locator('button[aria-label="Answer again"]').click();
    await panel.locator('.turn.assistant .body', { hasText: 'Here I am again.' }).waitFor();
    await window.answered();
  });

  await step('HTML, scripts, images and command: links are text', async () => {
    engine.answer =
      'A <script>window.hacked = 1</script><img src=x onerror="window.hacked = 1"> <b>b</b>\n\n' +
      '[one](command:workbench.action.closeAllEditors) [two](javascript:alert(1)) ![three](https://example.invalid/x.png) ' +
      '[four](vscode://x.y) [five](file:///etc/passwd) [six](https://example.invalid/) <https://example.invalid/seven>\n\n' +
      '<style>* { display: none }</style>\n\n<iframe src="https://example.invalid"></iframe>\n';
    await window.ask('Be evil.');
    await panel.locator('.turn.assistant .body', { hasText: 'window.hacked' }).waitFor();
    await window.answered();
    const body = window.answer;
    assert.equal(await body.locator('script, img, style, iframe, b, a[href]').count(), 0);
    assert.deepEqual(await body.locator('a').evaluateAll((links) => links.map((link) => link.textContent)), ['three', 'six', 'https://example.invalid/seven']);
    assert.equal(await body.evaluate(() => 'hacked' in window), false);
    await body.locator('a', { hasText: 'six' }).click();
    const dialog = page.locator('.monaco-dialog-box', { hasText: 'https://example.invalid/' });
    await dialog.waitFor();
    await page.keyboard.press('Escape');
    await dialog.waitFor({ state: 'hidden' });
    assert.ok((await window.tabs()).includes('main.py'));
  });

  await step('100,000 characters on a line, and a fence that is never closed', async () => {
    engine.pieceLength = 400;
    const long = Array.from({ length: 22_000 }, (_, number) => number).join('');
    engine.answer = `${long}\n\nand after it`;
    await window.ask('Be long.');
    await window.answered();
    assert.equal((await window.answer.textContent())?.includes('and after it'), true);
    engine.answer = `Code:\n\n\`\`\`python\n${long}\nprint("<b>")\n`;
    await window.ask('Be open.');
    await window.answered();
    assert.match((await window.answer.locator('figure.code code').textContent()) ?? '', /print\("<b>"\)\n$/);
    assert.ok(await window.answer.evaluate((body) => body.scrollWidth <= body.clientWidth + 1), 'nothing is wider than the panel');
    engine.pieceLength = 8;
  });

  await step('a file is closed while its action runs', async () => {
    engine.answer = DOCUMENTED;
    let go = (): void => undefined;
    engine.hold = new Promise((resolve) => (go = resolve));
    const before = engine.asked;
    await window.openFile('other.py');
    await window.goTo(2, 6);
    await window.command('Code Llama: Document');
    await until(() => engine.asked > before, 'the model is asked');
    await window.focusEditor();
    await window.command('View: Close Editor');
    await until(async () => !(await window.tabs()).includes('other.py'), 'it is closed');
    // VS Code lets go of the text a little later.
    await until(() => /closed \S+other\.py/.test(host.serverLog()), 'the server is told');
    go();
    await window.toast('The file was closed meanwhile, so nothing was changed.');
    engine.hold = Promise.resolve();
    assert.equal(host.read('other.py'), MAIN);
    // What the model wrote is there to be read.
    await page.locator('.tab.active', { hasText: 'not-applied' }).waitFor();
    await window.command('View: Close Editor');
    await until(async () => !(await window.tabs()).some((tab) => tab.includes('not-applied')), 'it is closed');
    await window.clearToasts();
  });

  await step('the text changes after the preview', async () => {
    await window.openFile('main.py');
    await window.goTo(2, 6);
    await window.command('Code Llama: Document');
    await page.locator('.tab.active', { hasText: 'main.py: Document' }).waitFor();
    fs.writeFileSync(path.join(host.workspace, 'main.py'), MAIN.replace('    return', '    # mine\n    return'));
    await page.locator('.view-line', { hasText: '# mine' }).first().waitFor();
    await page.locator('.editor-actions .action-label[aria-label^="Accept"]').first().click();
    await window.toast('was changed in the same lines meanwhile. Nothing was applied.');
    await page.locator('.editor-actions .action-label[aria-label^="Discard"]').first().click();
    await window.back('main.py');
    assert.match(host.read('main.py'), /# mine/);
    await window.clearToasts();
  });

  await step('a read-only file', async () => {
    await window.openFile('locked.py');
    await window.goTo(2, 6);
    await window.command('Code Llama: Document');
    await page.locator('.tab.active', { hasText: 'locked.py: Document' }).waitFor();
    await page.locator('.editor-actions .action-label[aria-label^="Accept"]').first().click();
    await window.toast('locked.py cannot be changed; it may be read-only.');
    assert.equal(await page.locator('.editor-instance .view-line', { hasText: 'Greet somebody' }).count(), 0);
    await panel.locator('figure.code button', { hasText: 'Insert' }).last().click();
    await window.toast('locked.py cannot be changed; it may be read-only.');
    assert.equal(await page.locator('.tab.dirty').count(), 0);
    assert.equal(host.read('locked.py'), MAIN);
  });

  await step('a second window on the folder', async () => {
    const other = await window.another(host.url);
    try {
      await other.openFile('main.py');
      await other.says('Code Llama: stand-in');
      await other.openChat();
      await other.command('Code Llama: Chat History');
      await other.panel.locator('.history .entry', { hasText: 'Are you there?' }).click();
      engine.answer = 'And I too.';
      await other.ask('And you?');
      await until(async () => /And I too/.test(await other.answer.innerText()), 'it is answered there');
    } finally {
      await other.close();
    }
    engine.answer = 'Still here.';
    await window.ask('Still there?');
    await window.answered();
    assert.match(await window.answer.innerText(), /Still here/);
  });
});

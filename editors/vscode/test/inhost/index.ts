/** Tests in the real extension host, with the real editor's API. */
import * as assert from 'node:assert/strict';
import * as vscode from 'vscode';
import { apply } from '../../src/chat/blocks';
import { Review } from '../../src/edit/review';
import type { Proposal, Proposals } from '../../src/proposals';
import type { Api } from '../../src/extension';

const tests: [string, () => Promise<void>][] = [];
const test = (name: string, work: () => Promise<void>): void => void tests.push([name, work]);

async function until(work: () => unknown, what: string): Promise<void> {
  for (let tries = 0; tries < 400; tries++) {
    if (await work()) {
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.fail(`waited in vain until ${what}`);
}

function extension(): vscode.Extension<Api> {
  const found = vscode.extensions.getExtension<Api>('codellama-ls.codellama');
  assert.ok(found);
  return found;
}

async function opened(name: string): Promise<vscode.TextEditor> {
  const folder = vscode.workspace.workspaceFolders?.[0];
  assert.ok(folder);
  return vscode.window.showTextDocument(await vscode.workspace.openTextDocument(vscode.Uri.joinPath(folder.uri, name)));
}

test('it is activated', async () => {
  const { activationMs } = await extension().activate();
  console.log(`TEST measured activation ms: ${activationMs.toFixed(1)}`);
});

test('every command of the manifest is there', async () => {
  const there = new Set(await vscode.commands.getCommands(true));
  const { contributes } = extension().packageJSON as { contributes: { commands: { command: string }[] } };
  assert.deepEqual(contributes.commands.map((each) => each.command).filter((each) => !there.has(each)), []);
});

test('the server runs and the model is reached', async () => {
  await opened('main.py');
  const { server } = extension().exports;
  await until(() => server.status?.kind === 'ready', 'the model is ready');
  assert.match(server.found?.where ?? '', /setting/);
});

test('the menu of code actions', async () => {
  const { document } = await opened('main.py');
  const actions = await vscode.commands.executeCommand<vscode.CodeAction[]>('vscode.executeCodeActionProvider', document.uri, new vscode.Range(1, 5, 1, 5));
  const titles = actions.map((each) => each.title);
  assert.ok(titles.includes('Document `greet` (Code Llama)'), titles.join());
  assert.ok(titles.includes('Explain `greet` (Code Llama)'), titles.join());
});

test('settings reach the server as they change, and its own settings alone', async () => {
  const { server } = extension().exports;
  const editor = await opened('main.py');
  await vscode.workspace.getConfiguration('codellama').update('disabledLanguages', ['python'], vscode.ConfigurationTarget.Global);
  const off = (): boolean => server.status?.kind === 'off' && /disabledLanguages/.test(server.status.suggestion?.reason ?? '');
  await until(async () => {
    await server.client?.sendRequest('textDocument/inlineCompletion', {
      textDocument: { uri: editor.document.uri.toString() },
      position: { line: 0, character: 0 },
      context: { triggerKind: 1 },
    });
    return off();
  }, 'the server knows that Python is off');
  await vscode.workspace.getConfiguration('codellama').update('disabledLanguages', undefined, vscode.ConfigurationTarget.Global);
});

test('a restart leaves one server that answers', async () => {
  const { server } = extension().exports;
  const before = server.client;
  await vscode.commands.executeCommand('codellama.restartServer');
  assert.equal(server.phase.kind, 'running');
  assert.notEqual(server.client, before);
  const { document } = await opened('main.py');
  await until(async () => {
    const actions = await vscode.commands.executeCommand<vscode.CodeAction[]>('vscode.executeCodeActionProvider', document.uri, new vscode.Range(1, 5, 1, 5));
    return actions.filter((each) => each.title === 'Explain `greet` (Code Llama)').length === 1;
  }, 'there is one entry for each action');
});

test('restarts that overlap end in one server', async () => {
  const { server } = extension().exports;
  await Promise.all([server.start(), server.restart(), server.start()]);
  await until(() => server.phase.kind === 'running', 'it runs');
});

const GREET = 'def greet(name):\n    return "Hello, " + name\n';
const HUNKS = [{ first: 1, last: 2, lines: ['    return f"Hello, {name}"'] }, { first: 2, last: 2, lines: ['', '# the end'] }];

/** A new document with an edit of it on the screen. */
async function reviewed(): Promise<{ editor: vscode.TextEditor; document: vscode.TextDocument; review: Review }> {
  const document = await vscode.workspace.openTextDocument({ content: GREET, language: 'python' });
  const editor = await vscode.window.showTextDocument(document);
  const review = new Review(document, 0, () => undefined);
  await review.show(HUNKS);
  assert.equal(document.getText(), `${GREET}\n\n\n`, 'there is room for the new lines, and nothing else');
  assert.deepEqual(review.rows, [1, 3]);
  return { editor, document, review };
}

test('an edit that is accepted is one step to undo', async () => {
  const { document, review } = await reviewed();
  await review.decide(true);
  assert.equal(document.getText(), 'def greet(name):\n    return f"Hello, {name}"\n\n# the end\n');
  await vscode.commands.executeCommand('undo');
  assert.equal(document.getText(), GREET);
});

test('an edit is discarded by hunk, and while the user types', async () => {
  const { editor, document, review } = await reviewed();
  await editor.edit((edit) => edit.insert(new vscode.Position(0, 0), 'import a\n'));
  await until(() => review.rows[0] === 2, 'it has moved along');
  await review.decide(false, 0);
  await review.decide(true, 0);
  assert.equal(document.getText(), `import a\n${GREET}\n# the end\n`);
  assert.equal(review.isOpen, false);
});

test('lines that the user changes are theirs', async () => {
  const { editor, document, review } = await reviewed();
  await editor.edit((edit) => edit.insert(new vscode.Position(1, 4), 'await '));
  await until(() => review.count === 1, 'one hunk is left');
  assert.equal(review.lost, 1);
  await review.decide(true);
  assert.equal(document.getText(), 'def greet(name):\n    await return "Hello, " + name\n\n# the end\n');
});

test('what is saved is the text without what is drawn in it', async () => {
  const { document } = await opened('main.py');
  const before = document.getText();
  const review = new Review(document, 0, () => undefined);
  await review.show(HUNKS);
  const drawn = document.getText();
  assert.notEqual(drawn, before);
  await document.save();
  assert.equal(Buffer.from(await vscode.workspace.fs.readFile(document.uri)).toString(), before);
  await until(() => document.getText() === drawn, 'it is drawn again');
  await review.close();
  assert.equal(document.getText(), before);
});

test('a block in another language asks where it goes', async () => {
  const editor = await vscode.window.showTextDocument(await vscode.workspace.openTextDocument({ content: 'let a = 1;\n', language: 'typescript' }));
  const shown: Proposal[] = [];
  const proposals = { show: async (proposal: Proposal) => void shown.push(proposal) } as unknown as Proposals;
  const applying = apply(editor, { text: 'def f():\n    return 1\n', language: 'py', sent: [] }, proposals);
  await until(async () => {
    await vscode.commands.executeCommand('workbench.action.acceptSelectedQuickOpenItem');
    return vscode.window.activeTextEditor?.document.languageId === 'python';
  }, 'a new file is chosen');
  await applying;
  assert.equal(vscode.window.activeTextEditor?.document.getText(), 'def f():\n    return 1\n');
  assert.equal(shown.length, 0);
  await vscode.window.showTextDocument(editor.document);
  await apply(editor, { text: 'let a = 2;', language: 'ts', sent: [] }, proposals);
  assert.equal(shown[0]?.proposed, 'let a = 2;\n', 'the same line, in the same language');
});

export async function run(): Promise<void> {
  const failed: string[] = [];
  for (const [name, work] of tests) {
    try {
      await work();
      console.log(`TEST ok  ${name}`);
    } catch (error) {
      failed.push(name);
      console.log(`FAIL ${name}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
    }
  }
  if (failed.length) {
    throw new Error(`failed: ${failed.join(', ')}`);
  }
}

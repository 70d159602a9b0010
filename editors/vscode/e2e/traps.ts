/** A project that wants its files run: opened, trusted and worked in, it has none of them run by this extension. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { PYTHON, type Host } from './host.ts';
import { scene, standIn } from './scenario.ts';
import { until } from './window.ts';

// `posix` is built in: this runs however early Python loads it.
const MODULE = `import posix
posix.write(posix.open(__file__.rpartition("/")[0] + "/OWNED", posix.O_CREAT | posix.O_WRONLY | posix.O_APPEND), __file__.encode() + b"\\n")
`;
const PROGRAM = '#!/bin/sh\necho "$0" >> "$(dirname "$0")/OWNED"\n';
const MODULES = ['filelock', 'torch', 'types', 'random', 'lsp_server/__init__', 'lsp_server/__main__', 'sitecustomize', 'usercustomize', 'encodings/__init__'];
const PROGRAMS = ['codellama-ls', 'bin/codellama-ls', 'git', 'python3', 'uv', 'pipx', 'nvidia-smi'];

await scene('a project full of traps', (engine, host) => ({
  files: {
    'main.py': 'x = 1\n',
    ...Object.fromEntries(MODULES.map((name) => [`${name}.py`, MODULE])),
    ...Object.fromEntries(PROGRAMS.map((name) => [name, PROGRAM])),
    '.vscode/settings.json': JSON.stringify({ 'codellama.serverPath': path.join(host.workspace, 'codellama-ls'), 'codellama.engineUrl': 'http://127.0.0.1:9' }),
  },
  // VS Code's own Git looks for `git` on this PATH too.
  settings: { ...standIn(engine), 'git.enabled': false, 'security.workspace.trust.enabled': true, 'security.workspace.trust.startupPrompt': 'never' },
  trust: true,
  env: {
    // The real ones are behind the traps. What "uv" starts is as pip is: Python with what is in the folder.
    PATH: `:.:bin:${path.dirname(host.program('uv', `"${PYTHON}" -c "import random"; env > "${host.run}/installed"`))}:${path.dirname(process.execPath)}:/usr/local/bin:/usr/bin:/bin`,
    // As by `code .`: the environment is that of the terminal, and no other is asked for.
    VSCODE_CLI: '1',
    PYTHONPATH: '.',
    PYTHONBREAKPOINT: 'random.random',
    PYTHONWARNINGS: 'ignore::filelock.Warning',
  },
}), async ({ host, window, engine, step }) => {
  const { page } = window;
  await step('before it is trusted its settings start nothing and send nothing elsewhere', async () => {
    await window.openFile('main.py');
    await page.locator('.statusbar-item', { hasText: 'Restricted Mode' }).waitFor();
    await window.says('Code Llama: stand-in');
    assert.deepEqual(owned(host), []);
  });
  await step('it is trusted', async () => {
    await window.command('Workspaces: Manage Workspace Trust');
    await page.locator('.workspace-trust-editor .monaco-button', { hasText: /^Trust$/ }).click();
    await page.locator('.statusbar-item', { hasText: 'Restricted Mode' }).waitFor({ state: 'hidden' });
    await window.command('View: Close Editor');
  });
  await step('a suggestion', async () => {
    await window.openFile('main.py');
    await window.says('Code Llama: stand-in');
    engine.suggestion = ' x + 41';
    await window.goTo(2);
    await page.keyboard.type('y =');
    await window.suggests(' x + 41');
    assert.deepEqual(owned(host), []);
  });
  await step('the server is in a folder of its own, with an environment that leads nowhere', async () => {
    const [pid] = host.servers();
    assert.ok(pid);
    assert.equal(fs.readlinkSync(`/proc/${pid}/cwd`), path.join(host.run, 'data/User/globalStorage/codellama-ls.codellama'));
    const variables = fs.readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
    assert.deepEqual(variables.filter((each) => /^PYTHON(?:PATH|BREAKPOINT|WARNINGS|SAFEPATH)=/.test(each)), ['PYTHONSAFEPATH=1']);
    assert.deepEqual(variables.find((each) => each.startsWith('PATH='))?.slice(5).split(':').filter((folder) => !folder.startsWith('/')), []);
  });
  await step('what works here', async () => {
    await window.menu('What works here');
    await page.locator('.editor-instance .view-line', { hasText: 'serves stand-in' }).waitFor();
    assert.deepEqual(owned(host), []);
  });
  await step('the terminal that installs', async () => {
    await window.command('Code Llama: Install the Language Server');
    await page.locator('.terminal-wrapper .xterm').first().waitFor();
    await until(async () => { // a shell that has just started may not have the command yet
      await page.keyboard.press('Enter');
      return fs.existsSync(path.join(host.run, 'installed'));
    }, 'the command has run');
    assert.deepEqual(owned(host), []);
  });
  await step('the traps work, where they are stepped into', async () => {
    spawnSync(PYTHON, ['-c', ''], { cwd: host.workspace, env: { PYTHONPATH: '.' } });
    execFileSync(PYTHON, ['-c', 'import filelock, random, torch, types'], { cwd: host.workspace });
    execFileSync('sh', ['-c', 'git'], { cwd: host.workspace, env: { PATH: ':/usr/bin:/bin' } });
    const sprung = owned(host).flatMap((file) => fs.readFileSync(file, 'utf8').trim().split('\n').map((line) => path.basename(line)));
    assert.deepEqual(['__init__.py', 'filelock.py', 'git', 'random.py', 'torch.py'].filter((name) => !sprung.includes(name)), []);
  });
});

/** The marks that traps left. */
function owned(host: Host): string[] {
  return fs.readdirSync(host.run, { recursive: true, encoding: 'utf8' }).filter((name) => path.basename(name) === 'OWNED').map((name) => path.join(host.run, name));
}

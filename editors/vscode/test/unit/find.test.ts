import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Backoff } from '../../src/backoff';
import { candidates, find, installCommand, type Surroundings } from '../../src/find';
import { mismatch } from '../../src/version';

function machine(files: string[], env: Record<string, string> = {}, windows = false): Surroundings {
  return { windows, env: { PATH: windows ? 'C:\\bin' : '/usr/bin:relative:/opt/bin', ...env }, home: windows ? 'C:\\Users\\ada' : '/home/ada', isFile: (path) => files.includes(path), real: (path) => path };
}

test('the setting counts, and nothing else once it is set', () => {
  const around = machine(['/x/bin/codellama-ls', '/home/ada/own', '/usr/bin/codellama-ls']);
  assert.deepEqual(find('/x', undefined, around), { path: '/x/bin/codellama-ls', where: 'by the setting codellama.serverPath' });
  assert.equal((find('~/own', undefined, around) as { path: string }).path, '/home/ada/own');
  assert.equal(find('/nowhere', undefined, around), 'There is no codellama-ls at /nowhere (codellama.serverPath).');
});

test('the interpreter comes before the PATH, the PATH before pipx and uv', () => {
  const all = ['/venv/bin/codellama-ls', '/opt/bin/codellama-ls', '/home/ada/.local/bin/codellama-ls'];
  const found = (files: string[]): string => (find('', '/venv/bin/python', machine(files)) as { path: string }).path;
  assert.deepEqual([found(all), found(all.slice(1)), found(all.slice(2))], all);
  assert.equal(found(['/home/ada/.local/share/uv/tools/codellama-ls/bin/codellama-ls']), '/home/ada/.local/share/uv/tools/codellama-ls/bin/codellama-ls');
  assert.equal(find('', undefined, machine([])), 'codellama-ls is not installed.');
});

test('a setting that depends on where one is names nothing', () => {
  for (const name of ['bin/codellama-ls', './codellama-ls', '.venv', '${workspaceFolder}/.venv', '~ada/.venv']) {
    const around = machine([name, `${name}/bin/codellama-ls`, '/usr/bin/codellama-ls']);
    assert.equal(find(name, undefined, around), `codellama.serverPath must be a full path, such as ~/.local/bin/codellama-ls, not ${name}.`);
  }
});

test('folders that depend on where one is are left out', () => {
  const relative = { PIPX_BIN_DIR: 'pipx', UV_TOOL_BIN_DIR: '.', XDG_BIN_HOME: 'bin', XDG_DATA_HOME: 'data' };
  for (const interpreter of ['python', '.venv/bin/python', undefined]) {
    assert.deepEqual(candidates(interpreter, machine([], relative)).filter((each) => !each.path.startsWith('/')), []);
  }
  assert.deepEqual(candidates('python.exe', machine([], { ...relative, APPDATA: 'x' }, true)).filter((each) => !each.path.startsWith('C:\\')), []);
});

test('programs of a workspace that is not trusted are not started', () => {
  const around = machine(['/project/.venv/bin/codellama-ls', '/usr/bin/codellama-ls']);
  const found = (interpreter: string, avoid: string[], links: Record<string, string> = {}): string => {
    const real = (path: string): string => Object.entries(links).reduce((name, [link, target]) => name.replace(link, target), path);
    return (find('', interpreter, { ...around, isFile: () => true, real }, avoid) as { path: string }).path;
  };
  assert.equal((find('', '/project/.venv/bin/python', around, ['/project']) as { path: string }).path, '/usr/bin/codellama-ls');
  assert.equal(found('/project/..venv/bin/python', ['/project']), '/usr/bin/codellama-ls');
  assert.equal(found('/project.venv/bin/python', ['/project']), '/project.venv/bin/codellama-ls');
  assert.equal(found('/link/bin/python', ['/project'], { '/link': '/project/.venv' }), '/usr/bin/codellama-ls');
  assert.equal(found('/project/.venv/bin/python', ['/link'], { '/link': '/project' }), '/usr/bin/codellama-ls');
});

test('on Windows', () => {
  const around = machine(['C:\\venv\\Scripts\\codellama-ls.exe'], {}, true);
  assert.equal((find('', 'C:\\venv\\python.exe', around) as { path: string }).path, 'C:\\venv\\Scripts\\codellama-ls.exe');
  assert.equal((find('C:\\venv', undefined, around) as { path: string }).path, 'C:\\venv\\Scripts\\codellama-ls.exe');
});

test('the command that installs it', () => {
  const command = (files: string[], again = false): string => installCommand(machine(files), '/x/c.whl', again);
  const own = '/home/ada/.local/share/codellama-ls/venv';
  assert.equal(command([]), `python3 -m venv "${own}" && "${own}/bin/python" -m pip install "/x/c.whl[engine]"`);
  assert.equal(command(['/usr/bin/pipx']), 'pipx install "/x/c.whl[engine]"');
  assert.equal(command(['/usr/bin/pipx', '/opt/bin/uv']), 'uv tool install "/x/c.whl[engine]"');
  assert.equal(command(['/usr/bin/pipx'], true), 'pipx install --force "/x/c.whl[engine]"');
  // What it makes is found.
  assert.equal((find('', undefined, machine([`${own}/bin/codellama-ls`])) as { path: string }).path, `${own}/bin/codellama-ls`);
  assert.match(installCommand(machine([], {}, true), 'C:\\x\\c.whl'), /^py -m venv "C:.*"; & "C:.*\\Scripts\\python.exe" -m pip install "C:\\x\\c.whl\[engine\]"$/);
});

test('versions fit up to the last number', () => {
  assert.equal(mismatch('0.1.7', '0.1.0'), undefined);
  assert.match(mismatch('0.0.9', '0.1.0') ?? '', /older/);
  assert.match(mismatch('1.0.0', '0.1.0') ?? '', /newer/);
  assert.match(mismatch(undefined, '0.1.0') ?? '', /does not say/);
});

test('a server is started again later each time, and not for ever', () => {
  let now = 0;
  const backoff = new Backoff(() => now);
  const delays = Array.from({ length: 6 }, () => backoff.ended());
  assert.deepEqual(delays, [500, 1000, 2000, 4000, 8000, undefined]);
  backoff.forget();
  assert.equal(backoff.ended(), 500);
  backoff.started();
  now += 1000;
  assert.equal(backoff.ended(), 1000);
  backoff.started();
  now += 61_000;
  assert.equal(backoff.ended(), 500);
});

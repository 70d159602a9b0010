import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { apart, changes, environment } from '../../src/apart';
import type { Surroundings } from '../../src/find';

function machine(env: Record<string, string>, windows = false): Surroundings {
  return { windows, env, home: '/home/ada', isFile: () => false, real: (name) => name.replace(/^\/link/, '/project') };
}

// What `python --help-env` and the documentation of its versions list, and what else begins so and loads code.
const LOADS = `PATH HOME STARTUP INSPECT BREAKPOINT WARNINGS USERBASE PLATLIBDIR EXECUTABLE PYCACHEPREFIX CASEOK PRESITE _PRESITE
  _KEYRING_BACKEND SAFEPATH`.split(/\s+/).map((name) => `PYTHON${name}`);

test('no variable of Python names code of the workspace', () => {
  const env = environment(machine(Object.fromEntries(LOADS.map((name) => [name, '.']))), []);
  assert.deepEqual(env, { PYTHONSAFEPATH: '1' });
  assert.deepEqual(environment(machine({ PythonPath: '.', __PYVENV_LAUNCHER__: './python' }, true), []), { PYTHONSAFEPATH: '1' });
});

test('everything else stays', () => {
  const env = { HOME: '/home/ada', PYTHON: '/usr/bin/python3', PYTHONUTF8: '1', PYTHONNOUSERSITE: '1', HTTPS_PROXY: 'http://proxy:3128', PATH: '/usr/bin:/opt/my programs/bin', EMPTY: '' };
  assert.deepEqual(environment(machine(env), []), { ...env, PYTHONSAFEPATH: '1' });
});

test('programs and libraries are looked for in no folder that depends on where one is', () => {
  const around = machine({ PATH: ':/usr/bin::.:bin:../x:~/bin:/opt/bin:', LD_LIBRARY_PATH: ':/usr/local/cuda/lib64', DYLD_FALLBACK_LIBRARY_PATH: '.:lib' });
  assert.deepEqual(environment(around, []), { PATH: '/usr/bin:/opt/bin', LD_LIBRARY_PATH: '/usr/local/cuda/lib64', PYTHONSAFEPATH: '1' });
  assert.deepEqual(environment(machine({ Path: 'C:\\bin;;.;C:x;bin;D:\\my bin' }, true), []), { Path: 'C:\\bin;D:\\my bin', PYTHONSAFEPATH: '1' });
});

test('nor in a workspace that is not trusted, by whatever name', () => {
  const around = machine({ PATH: '/project/node_modules/.bin:/project:/link/bin:/project-too/bin:/usr/bin' });
  assert.equal(environment(around, ['/project'])['PATH'], '/project-too/bin:/usr/bin');
  assert.equal(environment(around, ['/link'])['PATH'], '/project-too/bin:/usr/bin');
  assert.equal(environment(around, [])['PATH'], around.env['PATH']);
});

test('a terminal is told what is changed and what is gone', () => {
  const before = { PATH: ':/usr/bin', PYTHONPATH: '.', HOME: '/home/ada' };
  assert.deepEqual(changes(environment(machine(before), []), before), { PATH: '/usr/bin', PYTHONPATH: null, PYTHONSAFEPATH: '1' });
});

test('the folder to start in is made; where it cannot be, that is said', (context) => {
  const run = fs.mkdtempSync(path.join(os.tmpdir(), 'apart-'));
  context.after(() => fs.rmSync(run, { recursive: true }));
  const folder = path.join(run, 'storage', 'own');
  assert.equal(apart(folder, machine({}), []).cwd, folder);
  assert.ok(fs.statSync(folder).isDirectory());
  assert.equal(apart(folder, machine({}), []).cwd, folder);
  fs.writeFileSync(path.join(run, 'file'), '');
  assert.throws(() => apart(path.join(run, 'file'), machine({}), []), /file must be a folder that can be written to, for Code Llama to start in/);
});

// Puts the server's wheel into dist/server, so that the extension can name what it installs: WHEEL, or one that PYTHON builds.
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, rmSync } from 'node:fs';
import { basename } from 'node:path';

const { WHEEL: wheel, PYTHON: python = existsSync('../../.venv/bin/python') ? '../../.venv/bin/python' : 'python3' } = process.env;
rmSync('dist/server', { recursive: true, force: true });
if (wheel) {
  mkdirSync('dist/server', { recursive: true });
  copyFileSync(wheel, `dist/server/${basename(wheel)}`);
} else {
  execFileSync(python, ['-m', 'pip', 'wheel', '--quiet', '--no-deps', '--wheel-dir', 'dist/server', '../..'], { stdio: 'inherit' });
}

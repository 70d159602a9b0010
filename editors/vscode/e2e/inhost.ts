/** Runs dist/inhost/index.js inside the real extension host. */
import { chromium } from 'playwright-core';
import { Engine } from './engine.ts';
import { EXTENSION, Host } from './host.ts';
import { standIn } from './scenario.ts';

const host = new Host();
const engine = new Engine();
let code = 124;
await engine.start();
// The driver makes test payloads count; it hides notifications, so the other tests go without.
await host.start({
  files: { 'main.py': 'def greet(name):\n    return "Hello, " + name\n' },
  settings: standIn(engine),
  options: ['--vscode-option', 'enable-smoke-test-driver'],
  vsix: 'none',
});
const remote = (path: string): string => `vscode-remote://127.0.0.1:${host.port}${path}`;
const payload = [
  ['extensionDevelopmentPath', remote(EXTENSION)],
  ['extensionTestsPath', remote(`${EXTENSION}/dist/inhost/index.js`)],
  ['skipWelcome', 'true'],
];
const browser = await chromium.launch({ executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium', headless: true, args: ['--no-sandbox', '--disable-dev-shm-usage'] });
try {
  const page = await (await browser.newContext()).newPage();
  const done = new Promise<void>((resolve, reject) => {
    setTimeout(resolve, 90_000);
    const log = (type: string, values: unknown[]): void => {
      const line = values.map((value) => (typeof value === 'string' ? value : JSON.stringify(value))).join(' ');
      if (process.env['VERBOSE'] || /^(?:\[?TEST|FAIL)/.test(line)) {
        console.log(`  ${type === 'log' ? '' : `[${type}] `}${line.replace(/^TEST /, '').slice(0, 1000)}`);
      }
    };
    const exit = (status: number): void => {
      code = status;
      resolve();
    };
    Promise.all([page.exposeFunction('codeAutomationLog', log), page.exposeFunction('codeAutomationExit', exit)])
      .then(() => page.goto(`${host.url}&payload=${encodeURIComponent(JSON.stringify(payload))}`))
      .catch(reject);
  });
  await done;
} finally {
  await browser.close();
  await host.stop();
  engine.stop();
}
console.log(code === 0 ? 'ok  in the extension host' : `FAILED  in the extension host: ${code}`);
process.exit(code);

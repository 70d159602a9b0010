// Bundles the extension and its webview; with `unit`, the unit tests, with `inhost`, the tests in the extension host.
import { build } from 'esbuild';
import { readdirSync } from 'node:fs';
import { unused } from './unused.mjs';

const what = process.argv[2] ?? 'all';
const host = { bundle: true, platform: 'node', format: 'cjs', target: 'node20', external: ['vscode'], logLevel: 'warning' };

if (what === 'unit') {
  const entryPoints = readdirSync('test/unit').filter((name) => name.endsWith('.test.ts')).map((name) => `test/unit/${name}`);
  await build({ ...host, entryPoints, outdir: 'dist/unit', sourcemap: 'inline' });
} else if (what === 'inhost') {
  await build({ ...host, entryPoints: ['test/inhost/index.ts'], outfile: 'dist/inhost/index.js' });
} else {
  await build({ ...host, entryPoints: ['src/extension.ts'], outfile: 'dist/extension.js', minify: true, external: ['vscode', './onDemand'], supported: { 'dynamic-import': false }, plugins: [unused], inject: ['scripts/helpers.js'] });
  await build({ ...host, entryPoints: ['src/onDemand.ts'], outfile: 'dist/onDemand.js', minify: true });
  await build({
    entryPoints: ['webview/main.ts', 'webview/chat.css'],
    outdir: 'dist/webview',
    bundle: true,
    format: 'iife',
    target: 'chrome120',
    minify: true,
    logLevel: 'warning',
  });
}

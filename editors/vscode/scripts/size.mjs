// Says how large the bundle is, and fails where it is too large.
import { statSync } from 'node:fs';

const MOST = 300_000;
const { size } = statSync('dist/extension.js');
console.log(`dist/extension.js has ${size} bytes, of at most ${MOST}; the webview ${statSync('dist/webview/main.js').size}`);
process.exitCode = size > MOST ? 1 : 0;

// Says how large the bundle is, and fails where it is too large.
import { statSync } from 'node:fs';

const MOST = 300_000;
const { size } = statSync('dist/extension.js');
console.log(`measured bundle bytes: ${size}`);
process.exitCode = size > MOST ? 1 : 0;

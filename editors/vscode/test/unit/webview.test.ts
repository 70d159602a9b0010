import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ofDocument, shown } from '../../src/status';
import { html, lastBlock } from '../../webview/markdown';

const EVIL = [
  '<script>alert(1)</script>',
  '<img src=x onerror=alert(1)>',
  '[a](javascript:alert(1))',
  '[a](command:workbench.action.quit)',
  '[a](vscode://b.c)',
  '[a](data:text/html,x)',
  '![a](https://example.invalid/x.png)',
  '```"><script>\nx\n```',
  '```py" onmouseover="alert(1)\nx\n```',
  '[a](https://b.c "\\" onclick=alert(1)")',
  '[a]: javascript:alert(1)\n\n[a]',
  '<https://b.c/" onclick="x>',
  '[a](https://b.c/%22onclick=%22x)',
];

test('what the model writes is data', () => {
  for (const text of EVIL) {
    const made = html(text);
    const tags = [...made.matchAll(/<\/?([a-z0-9]+)((?:\s+[\w-]+(?:="[^"]*")?)*)\s*>/g)];
    const rest = made.replaceAll(/<\/?[a-z0-9]+(?:\s+[\w-]+(?:="[^"]*")?)*\s*>/g, '');
    assert.doesNotMatch(rest, /</, `${text} -> ${made}`);
    for (const [, name, attributes] of tags) {
      assert.ok(['p', 'a', 'figure', 'figcaption', 'span', 'button', 'pre', 'code'].includes(name ?? ''), `${text} -> ${made}`);
      assert.doesNotMatch((attributes ?? '').replaceAll(/="[^"]*"/g, ''), /(?:^|\s)(?:on\w+|href|src)(?=\s|$)/, `${text} -> ${made}`);
      assert.doesNotMatch(attributes ?? '', /data-href="(?!https:)/, `${text} -> ${made}`);
    }
  }
});

test('code has its language, its colours and its buttons', () => {
  const made = html('```python\ndef f(): pass\n```');
  assert.match(made, /data-language="python"/);
  assert.match(made, /<span class="hljs-keyword">def<\/span>/);
  assert.equal(made.match(/data-do=/g)?.length, 4);
});

test('a text that grows is the same in the end', () => {
  const text = '# One\n\nSome *text* here.\n\n```js\nlet a = 1;\n\nlet b;\n```\n\n- x\n- y\n\n1. z\n\n| a | b |\n| - | - |\n| 1 | 2 |\n\nEnd.\n';
  let done = 0;
  let made = '';
  for (let upTo = 1; upTo <= text.length; upTo++) {
    const at = lastBlock(text.slice(done, upTo));
    made += html(text.slice(done, done + at));
    done += at;
  }
  assert.equal(made + html(text.slice(done)), html(text));
});

test('a long text is drawn in time', () => {
  const begun = performance.now();
  html('x'.repeat(100_000));
  html('`'.repeat(20_000));
  html('['.repeat(20_000));
  html('*a '.repeat(20_000));
  html(`\`\`\`python\n${'y'.repeat(100_000)}`);
  assert.ok(performance.now() - begun < 10_000);
});

test('the status bar', () => {
  const running = { kind: 'running' } as const;
  assert.equal(shown({ kind: 'starting' }, undefined, '').text, '$(loading~spin) Code Llama: starting');
  assert.equal(shown(running, { kind: 'loading', message: 'Loading.', progress: 43 }, '').text, '$(loading~spin) Code Llama: loading 43%');
  assert.equal(shown(running, { kind: 'ready', message: 'Ready.', model: 'codellama/CodeLlama-7b-hf', device: 'cuda:0' }, '').text, '$(sparkle) Code Llama: CodeLlama-7b-hf, cuda:0');
  assert.equal(shown(running, { kind: 'ready', message: '', model: 'm', device: 'http://gpu:8000/v1' }, '').text, '$(sparkle) Code Llama: m, gpu:8000');
  assert.equal(shown(running, { kind: 'ready', message: '' }, 'You turned it off.').text, '$(circle-slash) Code Llama: off here');
  assert.equal(shown(running, { kind: 'failed', message: 'No memory.' }, 'off').level, 'error');
  const off = { kind: 'off', message: 'A secret.', model: 'm', suggestion: { uri: 'file:///a', shown: false, reason: 'A secret.' } } as const;
  assert.equal(ofDocument(off, 'file:///a'), off);
  assert.doesNotMatch(shown(running, ofDocument(off, 'file:///b'), '').label, /secret/);
  assert.match(shown({ kind: 'missing', message: 'Not there.' }, undefined, '').tooltip, /Not there\. Click/);
});

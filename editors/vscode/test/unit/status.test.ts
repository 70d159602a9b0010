import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ofChat, ofDocument, shown, type ModelStatus } from '../../src/status';

const running = { kind: 'running' } as const;
const one: ModelStatus = { kind: 'ready', message: 'small is ready on cpu.', model: 'small', device: 'cpu' };
const two: ModelStatus = { ...one, chat: { kind: 'ready', message: 'large is ready on cuda:0.', model: 'large', device: 'cuda:0' } };

test('one model', () => {
  assert.deepEqual(shown(running, one, ''), {
    text: '$(sparkle) Code Llama: small, cpu',
    tooltip: 'small is ready on cpu.',
    level: 'none',
    label: 'Code Llama: small, cpu. small is ready on cpu.',
  });
  assert.equal(ofChat(one), one);
  assert.equal(ofChat({ ...one, chat: null })?.model, 'small');
});

test('each stage of loading has its word, and its own percent where that can be measured', () => {
  const stages = [
    { kind: 'starting', message: 'Starting the engine.' },
    { kind: 'loading', message: 'Downloading the starter model (93 MB).', progress: 43 },
    { kind: 'loading', message: 'Starting torch.', progress: null },
    { kind: 'loading', message: 'gpu-box is loading its model.', progress: null },
  ] as const;
  assert.deepEqual(stages.map((each) => shown(running, each, '').text.replace('$(loading~spin) Code Llama: ', '')), ['starting', 'downloading 43%', 'starting', 'loading']);
  assert.equal(shown(running, stages[1], '').tooltip, 'Downloading the starter model (93 MB): 43%.');
});

test('what a suggestion has cost stands behind the model, where it is told', () => {
  const suggestion = { uri: 'a', shown: true, reason: '', milliseconds: 120, tokens: 14 };
  assert.equal(shown(running, { ...one, suggestion }, '').text, '$(sparkle) Code Llama: small, cpu, 120 ms, 14 tokens');
});

test('both models are shown, that of the suggestions first', () => {
  const found = shown(running, two, '');
  assert.equal(found.text, '$(sparkle) Code Llama: small, cpu');
  assert.equal(found.tooltip, 'small is ready on cpu.\n\nChat: large is ready on cuda:0.');
  assert.match(found.label, /small is ready on cpu\. Chat: large is ready on cuda:0\.$/);
  assert.equal(ofChat(two)?.model, 'large');
});

test('one for chat that loads or cannot be had leaves the suggestions what they are', () => {
  const loading = shown(running, { ...one, chat: { kind: 'loading', message: 'Loading shard 1 of 3.', progress: 33 } }, '');
  assert.match(loading.tooltip, /Chat: Loading shard 1 of 3: 33%\.$/);
  assert.equal(loading.level, 'none');
  const failed = shown(running, { ...one, chat: { kind: 'failed', message: 'It needs 9 GiB.' } }, '');
  assert.deepEqual([failed.text, failed.level], ['$(sparkle) Code Llama: small, cpu', 'warning']);
  assert.match(failed.tooltip, /Chat: It needs 9 GiB\.$/);
});

test('what is off here, or failed, keeps what is said of the other', () => {
  const off = { ...two, kind: 'off', message: 'Off.', suggestion: { uri: 'a', shown: false, reason: 'Off.' } } as const;
  assert.match(shown(running, off, 'Off in markdown.').tooltip, /^Off in markdown\.\n\nChat: large/);
  assert.equal(ofDocument(off, 'b').chat, two.chat);
  assert.equal(shown(running, { ...two, kind: 'failed', message: 'No.' }, '').level, 'error');
});

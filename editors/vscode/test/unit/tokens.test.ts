import assert from 'node:assert/strict';
import { test } from 'node:test';
import { given, origins, read, sent, written } from '../../src/tokens';

test('the servers of an address, as it was typed or pasted', () => {
  assert.deepEqual(origins('http://gpu-box:8000/v1'), ['http://gpu-box:8000']);
  assert.deepEqual(origins(' "gpu-box:8000" '), ['http://gpu-box:8000']);
  assert.deepEqual(origins('https://me:secret@Host:443/a?key=b, http://[::1]:8000\nhttps://host'), ['https://host', 'http://[::1]:8000']);
  assert.deepEqual(origins(''), []);
  assert.deepEqual(origins('ftp://host, http://'), []);
});

test('a token is sent with the address that it was given for, and with no other', () => {
  const kept = given({}, origins('https://gpu-box'), 'abc');
  assert.equal(sent(read(written(kept), 'https://evil.example')), 'https://gpu-box abc');
  assert.equal(sent(read(written(kept), 'https://gpu-box')), 'https://gpu-box abc');
});

test('a token that was kept without an address is of the one that is set', () => {
  assert.equal(sent(read('abc', 'https://gpu-box/v1')), 'https://gpu-box abc');
  assert.equal(sent(read('12345', 'https://gpu-box')), 'https://gpu-box 12345');
  assert.deepEqual(read('abc', ''), {});
  assert.deepEqual(read(undefined, 'https://gpu-box'), {});
});

test('each server has its own, and one is taken away alone', () => {
  const both = given(given({}, ['https://a'], 'one'), ['https://b'], 'two');
  assert.equal(sent(both), 'https://a one https://b two');
  assert.equal(sent(given(both, ['https://a'], '')), 'https://b two');
  assert.equal(written(given(both, ['https://a', 'https://b'], '')), '');
});

test('what is pasted along with a token is taken away', () => {
  assert.equal(sent({ 'https://a': '"Bearer abc"' }), 'https://a abc');
  assert.equal(sent({ 'https://a': " 'abc'\n" }), 'https://a abc');
});

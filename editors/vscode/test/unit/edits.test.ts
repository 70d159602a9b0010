import assert from 'node:assert/strict';
import { test } from 'node:test';
import { indentedAs, placeOf } from '../../src/chat/place';
import { applied, changesOf, rebased, textChange } from '../../src/lspEdit';

const at = (line: number, character: number, endLine: number, endCharacter: number): { start: { line: number; character: number }; end: { line: number; character: number } } => ({
  start: { line, character },
  end: { line: endLine, character: endCharacter },
});

test('edits of the protocol', () => {
  assert.equal(applied('a\r\nb\nc', [{ range: at(1, 0, 2, 0), newText: 'B\n' }]), 'a\r\nB\nc');
  assert.equal(applied('ab', [{ range: at(0, 1, 0, 1), newText: '1' }, { range: at(0, 1, 0, 1), newText: '2' }]), 'a12b');
  assert.equal(applied('a\n', [{ range: at(9, 0, 9, 0), newText: 'end' }]), 'a\nend');
  assert.equal(applied('ab\nc', [{ range: at(0, 99, 0, 99), newText: '!' }]), 'ab!\nc');
});

test('what an edit changes', () => {
  const text = { range: at(0, 0, 0, 0), newText: 'x' };
  const changes = changesOf({
    documentChanges: [{ kind: 'create', uri: 'file:///t' }, { textDocument: { uri: 'file:///t', version: null }, edits: [text] }],
    changeAnnotations: { one: { label: 'l', needsConfirmation: true, description: 'Why.' } },
  });
  assert.deepEqual(changes, [{ uri: 'file:///t', version: null, creates: true, edits: [text], doubt: 'Why.' }]);
  assert.equal(changesOf({ documentChanges: [{ kind: 'delete', uri: 'file:///t' }] }), undefined);
});

test('a proposal follows a text that changed elsewhere, and not in the same lines', () => {
  const base = 'a\nb\nc\nd\ne';
  const proposed = 'a\nb\nC\nd\ne';
  assert.equal(rebased(base, proposed, base), proposed);
  assert.equal(rebased(base, proposed, `top\n${base}`), `top\n${proposed}`);
  assert.equal(rebased(base, proposed, `${base}\nend`), `${proposed}\nend`);
  assert.equal(rebased(base, proposed, 'a\nb\nmine\nd\ne'), undefined);
  assert.equal(rebased(base, proposed, 'a\nb\nd\ne'), undefined);
  assert.equal(rebased(base, 'a\nb\nnew\nc\nd\ne', 'a\nb\nmine\nc\nd\ne'), undefined, 'both put something between the same lines');
});

test('every pair of changes: what was proposed and what was typed are both there, or neither', () => {
  const base = ['a', 'b', 'c', 'd'];
  const changes = (mark: string): string[][] => {
    const made: string[][] = [];
    for (let first = 0; first <= base.length; first++) {
      for (let last = first; last <= base.length; last++) {
        made.push([...base.slice(0, first), mark, ...base.slice(last)]);
      }
    }
    return made;
  };
  for (const mine of changes('MINE')) {
    for (const theirs of changes('THEIRS')) {
      const result = rebased(base.join('\n'), mine.join('\n'), theirs.join('\n'));
      if (result !== undefined) {
        const kept = base.filter((line) => mine.includes(line) && theirs.includes(line));
        assert.deepEqual(result.split('\n').filter((line) => line.length === 1), kept);
        assert.ok(result.includes('MINE') && result.includes('THEIRS'));
      }
    }
  }
});

test('the smallest change cuts through no pair and no line break', () => {
  for (const [before, after] of [['a😀b', 'a😁b'], ['a\r\nb', 'a\r\n\r\nb'], ['', 'x'], ['x', ''], ['aa', 'aaa'], ['a\r\nb', 'a\nb']] as const) {
    const { from, to, text } = textChange(before, after);
    assert.equal(before.slice(0, from) + text + before.slice(to), after);
    assert.doesNotMatch(text, /^[\udc00-\udfff]|[\ud800-\udbff]$/);
  }
});

test('where a block belongs', () => {
  const text = ['import x', '', 'def one(a):', '    return a', '', 'class Two:', '    def three(self):', '        pass', '', 'function four() {', '  go();', '}', 'end'];
  assert.deepEqual(placeOf('def one(a, b):\n    return a + b\n', text), { first: 2, last: 4 });
  assert.deepEqual(placeOf('# better\ndef three(self):\n    return 3', text), { first: 6, last: 8 });
  assert.deepEqual(placeOf('function four() {\n}', text), { first: 9, last: 12 });
  assert.equal(placeOf('def five(): pass', text), undefined);
  assert.equal(placeOf('def one(): pass', [...text, 'def one(): pass']), undefined, 'two places are none');
  assert.equal(indentedAs('def three(self):\n    return 3\n', '    def three(self):'), '    def three(self):\n        return 3');
});

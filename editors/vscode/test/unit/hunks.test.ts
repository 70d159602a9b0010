import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hunksOf, made, moved, places, withoutRoom, withRoom } from '../../src/edit/hunks';

const BASE = ['def f(a):', '    return a', '', 'def g(b):', '    return b', ''];
const edit = (first: number, last: number, newText: string, character = 0) => ({ range: { start: { line: first, character }, end: { line: last, character } }, newText });
const EDITS = [edit(0, 1, 'def f(a: int):\n    # kept\n'), edit(3, 3, '\n'), edit(4, 5, '')];
const HUNKS = [
  { first: 0, last: 1, lines: ['def f(a: int):', '    # kept'] },
  { first: 3, last: 3, lines: [''] },
  { first: 4, last: 5, lines: [] },
];

test('edits of whole lines are hunks', () => {
  assert.deepEqual(hunksOf(BASE, EDITS), HUNKS);
  assert.deepEqual(hunksOf(['a', 'b'], [{ range: { start: { line: 1, character: 0 }, end: { line: 1, character: 1 } }, newText: 'c' }]), [{ first: 1, last: 2, lines: ['c'] }]);
  assert.deepEqual(hunksOf(BASE, []), []);
  assert.deepEqual(hunksOf(['a', ''], [edit(0, 1, 'A\r\nB\r\n')]), [{ first: 0, last: 1, lines: ['A', 'B'] }]);
});

test('each has room below its old lines, and the text is there again without it', () => {
  const shown = places(HUNKS);
  assert.deepEqual(shown, [{ top: 0, first: 1, last: 3 }, { top: 5, first: 5, last: 6 }, { top: 7, first: 8, last: 8 }]);
  const lines = withRoom(BASE, HUNKS);
  assert.deepEqual(lines, ['def f(a):', '', '', '    return a', '', '', 'def g(b):', '    return b', '']);
  assert.deepEqual(withoutRoom(lines, shown, []), BASE);
});

test('what is typed beside the room, or into it, stays', () => {
  const shown = places(HUNKS);
  const lines = withRoom(BASE, HUNKS);
  const above = ['import a', 'import b', ...lines];
  assert.deepEqual(withoutRoom(above, shown, [{ first: 0, last: 0, lines: 3 }]), ['import a', 'import b', ...BASE]);
  const typed = lines.with(2, 'x = 1');
  assert.deepEqual(withoutRoom(typed, shown, [{ first: 2, last: 2, lines: 1 }]), BASE.toSpliced(1, 0, 'x = 1'));
});

test('hunks are made', () => {
  assert.deepEqual(made(BASE, HUNKS), ['def f(a: int):', '    # kept', '    return a', '', '', 'def g(b):', '']);
});

test('a hunk moves along, and is lost where its lines are others', () => {
  const hunk = { first: 3, last: 4, lines: ['def g(b: int):'] };
  assert.deepEqual(moved(hunk, BASE, BASE), hunk);
  assert.deepEqual(moved(hunk, BASE, ['import a', ...BASE]), { ...hunk, first: 4, last: 5 });
  assert.deepEqual(moved(hunk, BASE, BASE.toSpliced(0, 2)), { ...hunk, first: 1, last: 2 });
  assert.deepEqual(moved(hunk, BASE, BASE.with(4, '    return 2 * b')), hunk);
  assert.equal(moved(hunk, BASE, BASE.with(3, 'def h(b):')), undefined);
});

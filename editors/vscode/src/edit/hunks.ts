/** Hunks of an edit: where they are in a text that changes, and how they are shown in it. Pure. */
import type { TextEdit } from 'vscode-languageclient';
import { applied, lineChange, split, type LineChange } from '../lspEdit';

/** The hunks of edits of whole lines, as the server makes them. */
export function hunksOf(base: readonly string[], edits: readonly TextEdit[]): LineChange[] {
  const whole = edits.every(({ range, newText }) => !range.start.character && !range.end.character && newText.endsWith('\n') === newText.length > 0);
  if (!whole) {
    const one = lineChange(base, split(applied(base.join('\n'), edits)));
    return one.first === one.last && !one.lines.length ? [] : [one];
  }
  return edits.map(({ range, newText }) => ({ first: range.start.line, last: range.end.line, lines: split(newText).slice(0, -1) }));
}

/** Where a hunk of one text is in another; undefined where its lines are others there. */
export function moved(hunk: LineChange, base: readonly string[], now: readonly string[]): LineChange | undefined {
  const theirs = lineChange(base, now);
  if (theirs.first === theirs.last && !theirs.lines.length) {
    return hunk;
  }
  if (theirs.first >= hunk.last) {
    return hunk;
  }
  const by = theirs.lines.length - (theirs.last - theirs.first);
  return theirs.last <= hunk.first ? { ...hunk, first: hunk.first + by, last: hunk.last + by } : undefined;
}

/** A hunk in the text that shows it: the first row of its old lines, and the rows kept free for its new ones. */
export interface Shown {
  readonly top: number;
  readonly first: number;
  readonly last: number;
}

/** Where the hunks of a text are once there is room for the new lines of each, in their order. */
export function places(hunks: readonly LineChange[]): Shown[] {
  let added = 0;
  return hunks.map(({ first, last, lines }) => {
    const shown = { top: first + added, first: last + added, last: last + added + lines.length };
    added += lines.length;
    return shown;
  });
}

/** The text with an empty line for each new one. */
export function withRoom(now: readonly string[], hunks: readonly LineChange[]): string[] {
  const lines = [...now];
  for (const { last, lines: room } of hunks.toReversed()) {
    lines.splice(last, 0, ...room.map(() => ''));
  }
  return lines;
}

/** The text with hunks made. */
export function made(now: readonly string[], hunks: readonly LineChange[]): string[] {
  const lines = [...now];
  for (const hunk of hunks.toReversed()) {
    lines.splice(hunk.first, hunk.last - hunk.first, ...hunk.lines);
  }
  return lines;
}

/** A change of a text: its lines `first` to `last` (both included) became so many. */
export interface Change {
  readonly first: number;
  readonly last: number;
  readonly lines: number;
}

/** The text without the rows that were kept free: those that are still there after the changes, and empty. */
export function withoutRoom(lines: readonly string[], shown: readonly Shown[], changes: readonly Change[]): string[] {
  const free = new Set<number>();
  for (const { first, last } of shown) {
    for (let row = first; row < last; row++) {
      if (!changes.some((change) => change.first <= row && row <= change.last)) {
        free.add(row + changes.reduce((by, change) => by + (change.last < row ? change.lines - 1 - (change.last - change.first) : 0), 0));
      }
    }
  }
  return lines.filter((line, row) => !(free.has(row) && !line.trim()));
}

/** What a workspace edit of the server does to texts. Pure. */
import type { TextEdit, WorkspaceEdit } from 'vscode-languageclient';

/** One document's part of an edit. `creates`: the document is to be made. `doubt`: why the user should look first. */
export interface Change {
  readonly uri: string;
  readonly version: number | null;
  readonly creates: boolean;
  readonly edits: readonly TextEdit[];
  readonly doubt: string;
}

/** The parts of an edit, one for each document; undefined where it renames or deletes files. */
export function changesOf(edit: WorkspaceEdit): Change[] | undefined {
  if (!edit.documentChanges) {
    return Object.entries(edit.changes ?? {}).map(([uri, edits]) => ({ uri, version: null, creates: false, edits, doubt: '' }));
  }
  const doubts = Object.values(edit.changeAnnotations ?? {}).flatMap((each) =>
    each.needsConfirmation ? [each.description ?? each.label] : [],
  );
  const doubt = doubts.join(' ');
  const found = new Map<string, Change>();
  for (const change of edit.documentChanges) {
    if ('textDocument' in change) {
      const { uri, version } = change.textDocument;
      const before = found.get(uri);
      const edits = [...(before?.edits ?? []), ...change.edits.filter((each): each is TextEdit => 'newText' in each)];
      found.set(uri, { uri, version, creates: before?.creates ?? false, edits, doubt });
    } else if (change.kind === 'create') {
      found.set(change.uri, { uri: change.uri, version: null, creates: true, edits: [], doubt });
    } else {
      return undefined;
    }
  }
  return [...found.values()];
}

/** The text after the edits, whose positions count UTF-16 units of `text`. */
export function applied(text: string, edits: readonly TextEdit[]): string {
  const starts = lineStarts(text);
  const offset = ({ line, character }: TextEdit['range']['start']): number => {
    const start = starts[line];
    const end = starts[line + 1] ?? text.length + 1;
    return start === undefined ? text.length : Math.min(start + character, end - 1);
  };
  const sorted = edits.map((edit, order) => ({ from: offset(edit.range.start), to: offset(edit.range.end), text: edit.newText, order }));
  sorted.sort((a, b) => b.from - a.from || b.to - a.to || b.order - a.order);
  return sorted.reduce((made, edit) => made.slice(0, edit.from) + edit.text + made.slice(edit.to), text);
}

/** The lines that differ: `first` to `last` (from 0, `last` excluded) of `before` become `lines`. */
export interface LineChange {
  readonly first: number;
  readonly last: number;
  readonly lines: readonly string[];
}

/** The smallest run of lines in which two texts differ. */
export function lineChange(before: readonly string[], after: readonly string[]): LineChange {
  const least = Math.min(before.length, after.length);
  let first = 0;
  while (first < least && before[first] === after[first]) {
    first++;
  }
  let below = 0;
  while (below < least - first && before[before.length - 1 - below] === after[after.length - 1 - below]) {
    below++;
  }
  return { first, last: before.length - below, lines: after.slice(first, after.length - below) };
}

/** What turned `base` into `proposed`, done to `now`; undefined where both changed the same lines. */
export function rebased(base: string, proposed: string, now: string): string | undefined {
  const [was, wanted, is] = [split(base), split(proposed), split(now)];
  const mine = lineChange(was, wanted);
  const theirs = lineChange(was, is);
  const theyAdd = theirs.lines.length - (theirs.last - theirs.first);
  if (mine.first === theirs.first && mine.last === theirs.last && (theyAdd !== 0 || mine.first < mine.last)) {
    return undefined; // both at the same place
  }
  if (theirs.last > mine.first && theirs.first < mine.last) {
    return undefined;
  }
  const moved = theirs.last <= mine.first ? theyAdd : 0;
  return [...is.slice(0, mine.first + moved), ...mine.lines, ...is.slice(mine.last + moved)].join('\n');
}

/** The smallest replacement that turns one text into the other: `before[from..to]` becomes `text`. */
export function textChange(before: string, after: string): { readonly from: number; readonly to: number; readonly text: string } {
  const least = Math.min(before.length, after.length);
  let from = 0;
  while (from < least && before[from] === after[from]) {
    from++;
  }
  let below = 0;
  while (below < least - from && before[before.length - 1 - below] === after[after.length - 1 - below]) {
    below++;
  }
  // Neither a pair of surrogates nor a line break is cut through.
  const cut = (text: string, at: number): boolean => /^[\ud800-\udbff\r]$/.test(text[at - 1] ?? '');
  if (cut(before, from) || cut(after, from)) {
    from--;
  }
  while (below > 0 && (cut(before, before.length - below) || cut(after, after.length - below))) {
    below--;
  }
  return { from, to: before.length - below, text: after.slice(from, after.length - below) };
}

export function split(text: string): string[] {
  return text.split(/\r\n|\r|\n/);
}

function lineStarts(text: string): number[] {
  const starts = [0];
  for (const match of text.matchAll(/\r\n|\r|\n/g)) {
    starts.push(match.index + match[0].length);
  }
  return starts;
}

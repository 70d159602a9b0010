/** Where a code block of an answer belongs in a text. Pure. */

/** Lines `first` to `last` (from 0, `last` excluded). */
export interface Lines {
  readonly first: number;
  readonly last: number;
}

/**
 * The lines that a block is meant to take the place of: those from the only line that reads like the block's first, to
 * the end of what is indented below it. Undefined where there is no such line or there are several.
 */
export function placeOf(block: string, text: readonly string[]): Lines | undefined {
  const lines = block.split('\n');
  const head = lines.find((line) => line.trim() && !isComment(line))?.trim();
  if (!head) {
    return undefined;
  }
  const name = definedName(head);
  const matches = text.flatMap((line, row) => (line.trim() === head || (name && definedName(line.trim()) === name) ? [row] : []));
  const first = matches[0];
  if (first === undefined || matches.length > 1) {
    return undefined;
  }
  return { first, last: blockEnd(text, first) };
}

/** The block, indented as the line whose place it takes. */
export function indentedAs(block: string, line: string): string {
  const lines = block.replace(/\n$/, '').split('\n');
  const own = indentOf(lines.find((each) => each.trim()) ?? '');
  const wanted = indentOf(line);
  if (own === wanted) {
    return lines.join('\n');
  }
  return lines.map((each) => (each.trim() ? wanted + (each.startsWith(own) ? each.slice(own.length) : each.trimStart()) : each)).join('\n');
}

const DEFINITION =
  /^(?:export\s+|default\s+|public\s+|private\s+|protected\s+|static\s+|pub(?:\([^)]*\))?\s+|async\s+|abstract\s+|unsafe\s+)*(?:def|class|function\*?|fn|func|struct|enum|interface|trait|impl|type|module|const|let|var)\s+(?:\([^)]*\)\s*)?([\w$.]+)/;

function definedName(line: string): string | undefined {
  return DEFINITION.exec(line)?.[1];
}

function blockEnd(text: readonly string[], first: number): number {
  const width = indentOf(text[first] ?? '').length;
  let last = first + 1;
  for (let row = first + 1; row < text.length; row++) {
    const line = text[row] ?? '';
    if (!line.trim()) {
      continue;
    }
    const deeper = indentOf(line).length > width;
    const closes = indentOf(line).length === width && /^\s*[)\]}]|^\s*end\b/.test(line);
    if (!deeper && !closes) {
      break;
    }
    last = row + 1;
    if (closes && !/[{(:]\s*$/.test(line)) {
      break;
    }
  }
  return last;
}

function indentOf(line: string): string {
  return /^\s*/.exec(line)?.[0] ?? '';
}

function isComment(line: string): boolean {
  return /^\s*(?:#(?!\w)|\/\/|\/\*|\*|--)/.test(line);
}

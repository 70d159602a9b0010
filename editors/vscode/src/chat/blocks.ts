/** What is done with a code block of an answer: inserted, applied as a diff, or made a new file. */
import * as vscode from 'vscode';
import { split } from '../lspEdit';
import { replaced, type Proposals } from '../proposals';
import type { Sent } from './messages';
import { indentedAs, placeOf, type Lines } from './place';

const IDS: Readonly<Record<string, string>> = {
  py: 'python',
  js: 'javascript',
  jsx: 'javascriptreact',
  ts: 'typescript',
  tsx: 'typescriptreact',
  sh: 'shellscript',
  bash: 'shellscript',
  shell: 'shellscript',
  'c++': 'cpp',
  cs: 'csharp',
  rs: 'rust',
  rb: 'ruby',
  golang: 'go',
  yml: 'yaml',
  md: 'markdown',
};

/** At the cursor or over the selection of the editor used last. */
export async function insert(editor: vscode.TextEditor | undefined, text: string): Promise<void> {
  if (!editor) {
    throw new Error('Open a file first, and put the cursor where the code goes.');
  }
  const line = editor.document.lineAt(editor.selection.start.line);
  const before = line.text.slice(0, editor.selection.start.character);
  const after = line.text.slice(editor.selection.end.character);
  const code = (before.trim() ? text : indentedAs(text, before).slice(before.length)).replace(/\n$/, '');
  // Lines put before what stands on this one leave that its own line.
  const apart = editor.selection.isEmpty && !before.trim() && after.trim() && /\n/.test(text);
  if (!(await replaced(editor, editor.selection, apart ? `${code}\n${before}` : code))) {
    throw new Error(`${nameOf(editor.document.uri)} cannot be changed; it may be read-only.`);
  }
  await vscode.window.showTextDocument(editor.document, editor.viewColumn);
}

/** As a diff of the editor used last, or of the file that went with the question. */
export async function apply(editor: vscode.TextEditor | undefined, text: string, sent: readonly Sent[], proposals: Proposals): Promise<void> {
  const attached = sent.find((each) => each.kind !== 'diagnostics' && each.uri);
  const uri = attached && (!editor || editor.selection.isEmpty) ? vscode.Uri.parse(attached.uri) : editor?.document.uri;
  if (!uri) {
    throw new Error('Open the file first that the code goes into.');
  }
  const document = await vscode.workspace.openTextDocument(uri);
  const lines = split(document.getText());
  const selection = editor && editor.document === document ? editor.selection : undefined;
  const { first, last } = goal(text, lines, selection, attached);
  const block = indentedAs(text, lines[first] ?? '');
  const proposed = [...lines.slice(0, first), ...split(block), ...lines.slice(last)].join('\n');
  await proposals.show({ title: 'code of the answer', target: uri, base: document.getText(), proposed, doubt: '' });
}

/** The selected lines, else those that read like the block, else those that went with the question, else the cursor. */
function goal(text: string, lines: readonly string[], selection: vscode.Selection | undefined, attached: Sent | undefined): Lines {
  if (selection && !selection.isEmpty) {
    const last = selection.end.character === 0 ? selection.end.line : selection.end.line + 1;
    return { first: selection.start.line, last: Math.max(last, selection.start.line + 1) };
  }
  const found = placeOf(text, lines);
  if (found) {
    return found;
  }
  if (attached && (attached.kind === 'selection' || attached.kind === 'function') && attached.lastLine <= lines.length) {
    return { first: attached.firstLine - 1, last: attached.lastLine };
  }
  const row = Math.min(selection ? selection.active.line : lines.length, lines.length);
  return { first: row, last: row };
}

/** A new, unsaved file. */
export async function create(text: string, language: string): Promise<void> {
  const known = await vscode.languages.getLanguages();
  const id = IDS[language.toLowerCase()] ?? language.toLowerCase();
  const document = await vscode.workspace.openTextDocument({ content: text, language: known.includes(id) ? id : 'plaintext' });
  await vscode.window.showTextDocument(document);
}

function nameOf(uri: vscode.Uri): string {
  return uri.path.split('/').at(-1) ?? '';
}

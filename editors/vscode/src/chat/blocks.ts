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

export interface Block {
  readonly text: string;
  readonly language: string;
  readonly sent: readonly Sent[];
}

/** A place for a block. `certain`: it is not only where the cursor happens to be. */
interface Goal extends Lines {
  readonly document: vscode.TextDocument;
  readonly certain: boolean;
}

/**
 * As a diff of the editor used last, or of the file that went with the question. The user is asked where, if the block
 * is in another language than that, or nothing there says where in it.
 */
export async function apply(editor: vscode.TextEditor | undefined, block: Block, proposals: Proposals): Promise<void> {
  const attached = block.sent.find((each) => each.kind !== 'diagnostics' && each.uri);
  const uri = attached && (!editor || editor.selection.isEmpty) ? vscode.Uri.parse(attached.uri) : editor?.document.uri;
  if (!uri) {
    throw new Error('Open the file first that the code goes into.');
  }
  const document = await vscode.workspace.openTextDocument(uri);
  const found = goal(block.text, document, editor?.document === document ? editor.selection : undefined, attached);
  const chosen = found.certain && fits(block.language, document) ? found : await ask(block, found);
  if (!chosen) {
    return;
  }
  const lines = split(chosen.document.getText());
  const code = indentedAs(block.text, lines[chosen.first] ?? '');
  const proposed = [...lines.slice(0, chosen.first), ...split(code), ...lines.slice(chosen.last)].join('\n');
  await proposals.show({ title: 'code of the answer', target: chosen.document.uri, base: chosen.document.getText(), proposed, doubt: '' });
}

/** Whether a block may be in the language of a document; one that names none may be in any. */
function fits(language: string, { languageId }: vscode.TextDocument): boolean {
  const family = (id: string): string => (/^(?:type|java)script/.test(id) ? 'script' : /^(?:c|cpp|cuda-cpp)$/.test(id) ? 'c' : id);
  return !language || family(idOf(language)) === family(languageId);
}

/** Where a block goes, by the user's word; undefined where it goes nowhere, or into a file of its own, which is made. */
async function ask(block: Block, found: Goal): Promise<Goal | undefined> {
  const others = vscode.workspace.textDocuments.filter((each) => each !== found.document && !each.isClosed && /^(?:file|untitled|vscode-remote)$/.test(each.uri.scheme) && fits(block.language, each));
  const goals = [found, ...others.map((document) => goal(block.text, document, undefined, undefined)).filter((each) => each.certain)];
  const newFile = { label: '$(new-file) A new file', description: block.language, goal: undefined };
  const entries = goals.map((each) => ({ label: `${each.first < each.last ? '$(replace) In place of' : '$(insert) At'} ${linesOf(each)} of ${nameOf(each.document.uri)}`, description: each.document.languageId, goal: each }));
  const placeHolder = fits(block.language, found.document) ? `Nothing in ${nameOf(found.document.uri)} says where it goes` : `The code is ${block.language}, and ${nameOf(found.document.uri)} is ${found.document.languageId}`;
  const items = fits(block.language, found.document) ? [...entries, newFile] : [...entries.slice(1), newFile, ...entries.slice(0, 1)];
  const chosen = await vscode.window.showQuickPick<vscode.QuickPickItem & { readonly goal: Goal | undefined }>(items, { title: 'Where does the code go?', placeHolder });
  if (chosen && !chosen.goal) {
    await create(block.text, block.language);
  }
  return chosen?.goal;
}

function linesOf({ first, last }: Lines): string {
  return last - first > 1 ? `lines ${first + 1} to ${last}` : `line ${first + 1}`;
}

/** The selected lines, else those that read like the block, else those that went with the question, else the cursor. */
function goal(text: string, document: vscode.TextDocument, selection: vscode.Selection | undefined, attached: Sent | undefined): Goal {
  const lines = split(document.getText());
  const certain = (found: Lines): Goal => ({ document, certain: true, ...found });
  if (selection && !selection.isEmpty) {
    const last = selection.end.character === 0 ? selection.end.line : selection.end.line + 1;
    return certain({ first: selection.start.line, last: Math.max(last, selection.start.line + 1) });
  }
  const found = placeOf(text, lines);
  if (found) {
    return certain(found);
  }
  if (attached && (attached.kind === 'selection' || attached.kind === 'function') && attached.lastLine <= lines.length) {
    return certain({ first: attached.firstLine - 1, last: attached.lastLine });
  }
  const row = Math.min(selection ? selection.active.line : lines.length, lines.length);
  return { document, certain: false, first: row, last: row };
}

/** A new, unsaved file. */
export async function create(text: string, language: string): Promise<void> {
  const known = await vscode.languages.getLanguages();
  const id = idOf(language);
  const document = await vscode.workspace.openTextDocument({ content: text, language: known.includes(id) ? id : 'plaintext' });
  await vscode.window.showTextDocument(document);
}

function idOf(language: string): string {
  return IDS[language.toLowerCase()] ?? language.toLowerCase();
}

function nameOf(uri: vscode.Uri): string {
  return uri.path.split('/').at(-1) ?? '';
}

/** What can go with a question. */
import * as vscode from 'vscode';
import type { Attached, Here } from './messages';

const MOST_NAMES = 20;

export function selected(editor: vscode.TextEditor): Attached | undefined {
  const { document, selection } = editor;
  if (selection.isEmpty) {
    return undefined;
  }
  return ofRange(document.uri, selection, 'selection');
}

export function ofRange(uri: vscode.Uri, range: vscode.Range, kind: 'selection' | 'function'): Attached {
  const last = range.end.character === 0 && range.end.line > range.start.line ? range.end.line : range.end.line + 1;
  const lines = kind === 'function' ? `at line ${range.start.line + 1}` : last === range.start.line + 1 ? `line ${last}` : `lines ${range.start.line + 1}-${last}`;
  return { kind, uri: uri.toString(), range: plain(range), label: `${nameOf(uri)}, ${lines}` };
}

export function file(uri: vscode.Uri): Attached {
  return { kind: 'file', uri: uri.toString(), label: nameOf(uri) };
}

export function here(editor: vscode.TextEditor): Here {
  const { uri } = editor.document;
  const around: Attached = { kind: 'around', uri: uri.toString(), range: plain(editor.selection), label: `around line ${editor.selection.active.line + 1} of ${nameOf(uri)}` };
  return { file: file(uri), around: selected(editor) ?? around };
}

export function problems(uri: vscode.Uri): Attached | undefined {
  const found = vscode.languages.getDiagnostics(uri);
  if (found.length === 0) {
    return undefined;
  }
  const diagnostics = found.map((each) => ({ range: plain(each.range), message: each.message, severity: each.severity + 1, ...(each.source && { source: each.source }) }));
  return { kind: 'diagnostics', uri: uri.toString(), label: `problems in ${nameOf(uri)}`, diagnostics };
}

/** Let the user choose. */
export async function choose(editor: vscode.TextEditor | undefined): Promise<Attached[]> {
  interface Choice extends vscode.QuickPickItem {
    readonly attached?: Attached;
  }
  const choices: Choice[] = [];
  if (editor) {
    const uri = editor.document.uri;
    const selection = selected(editor);
    const found = problems(uri);
    choices.push(
      ...(selection ? [{ label: '$(selection) Selection', description: selection.label, attached: selection }] : []),
      { label: '$(symbol-function) Function at the cursor', description: nameOf(uri), attached: ofRange(uri, editor.selection, 'function') },
      { label: '$(file) This file', description: nameOf(uri), attached: file(uri) },
      ...(found ? [{ label: '$(warning) Problems of this file', description: nameOf(uri), attached: found }] : []),
    );
  }
  choices.push({ label: '$(files) Other files…', alwaysShow: true });
  const chosen = await vscode.window.showQuickPick(choices, { title: 'Add to the question' });
  if (!chosen) {
    return [];
  }
  if (chosen.attached) {
    return [chosen.attached];
  }
  const picked = await vscode.window.showOpenDialog({ canSelectMany: true, openLabel: 'Add', ...(vscode.workspace.workspaceFolders?.[0] && { defaultUri: vscode.workspace.workspaceFolders[0].uri }) });
  return (picked ?? []).map(file);
}

/** Names for `@`: the file at hand and other open ones first, then those of the workspace and, from three letters on, symbols. */
export async function names(query: string, editor: vscode.TextEditor | undefined): Promise<string[]> {
  const open = [...(editor ? [editor.document] : []), ...vscode.workspace.textDocuments].filter((each) => each.uri.scheme === 'file').map((each) => vscode.workspace.asRelativePath(each.uri, false));
  const wanted = query.toLowerCase();
  const letters = [...(query.split('/').at(-1) ?? '')].map((letter) => (/[\w.-]/.test(letter) ? (/[a-z]/i.test(letter) ? `[${letter.toLowerCase()}${letter.toUpperCase()}]` : letter) : '?')).join('');
  const files = await vscode.workspace.findFiles(`**/*${letters}*`, undefined, 200);
  const symbols = query.length >= 3 ? await vscode.commands.executeCommand<vscode.SymbolInformation[] | undefined>('vscode.executeWorkspaceSymbolProvider', query) : [];
  const paths = [...open, ...files.map((each) => vscode.workspace.asRelativePath(each, false)).sort((a, b) => a.length - b.length)];
  const kinds = [vscode.SymbolKind.Function, vscode.SymbolKind.Class, vscode.SymbolKind.Method];
  const found = [...paths.filter((each) => each.toLowerCase().includes(wanted)), ...(symbols ?? []).filter((each) => kinds.includes(each.kind)).map((each) => each.name)];
  return [...new Set(found)].slice(0, MOST_NAMES);
}

function plain(range: vscode.Range): NonNullable<Attached['range']> {
  const at = ({ line, character }: vscode.Position): { line: number; character: number } => ({ line, character });
  return { start: at(range.start), end: at(range.end) };
}

function nameOf(uri: vscode.Uri): string {
  return uri.path.split('/').at(-1) || 'untitled';
}

/** Changes that are shown as a diff, to be accepted or discarded. */
import * as vscode from 'vscode';
import { lineChange, rebased, split, textChange } from './lspEdit';

export const SCHEME = 'codellama-proposal';
const DOUBT = vscode.window.createTextEditorDecorationType({});

export interface Proposal {
  readonly title: string;
  readonly target: vscode.Uri;
  /** The text of the target as it was; undefined where the file is to be made. */
  readonly base: string | undefined;
  readonly proposed: string;
  /** Why the user should look closely, or "". */
  readonly doubt: string;
}

export class Proposals implements vscode.TextDocumentContentProvider, vscode.Disposable {
  private readonly open = new Map<string, Proposal>();
  private readonly subscriptions: vscode.Disposable[];
  private count = 0;

  constructor() {
    this.subscriptions = [
      vscode.workspace.registerTextDocumentContentProvider(SCHEME, this),
      vscode.window.tabGroups.onDidChangeTabs(({ closed }) => closed.forEach((tab) => this.open.delete(proposalOf(tab) ?? ''))),
    ];
  }

  dispose(): void {
    this.subscriptions.forEach((each) => each.dispose());
  }

  provideTextDocumentContent(uri: vscode.Uri): string {
    return this.open.get(uri.toString())?.proposed ?? '';
  }

  async show(proposal: Proposal): Promise<void> {
    const { target, title, base, proposed, doubt } = proposal;
    const uri = vscode.Uri.from({ scheme: SCHEME, path: target.path.startsWith('/') ? target.path : `/${target.path}`, query: String(++this.count) });
    this.open.set(uri.toString(), proposal);
    const before = base === undefined ? uri.with({ query: 'empty' }) : target;
    const name = target.path.split('/').at(-1) ?? '';
    await vscode.commands.executeCommand('vscode.diff', before, uri, `${name}: ${title.replaceAll('`', '')}${doubt && ` ⚠ ${doubt}`}`, { preview: false });
    if (doubt) {
      const row = lineChange(split(base ?? ''), split(proposed)).first;
      const after = { contentText: `⚠ ${doubt}`, color: new vscode.ThemeColor('editorWarning.foreground'), margin: '0 0 0 2em' };
      const shown = vscode.window.visibleTextEditors.find((each) => each.document.uri.toString() === uri.toString());
      shown?.setDecorations(DOUBT, [{ range: new vscode.Range(row, 0, row, 1e4), renderOptions: { after } }]);
    }
  }

  /** Do what is proposed at `uri`, or in the active editor. */
  async accept(uri = vscode.window.activeTextEditor?.document.uri): Promise<boolean> {
    const proposal = this.open.get(uri?.toString() ?? '');
    if (!uri || !proposal) {
      return false;
    }
    const problem = await apply(proposal);
    if (problem) {
      const chosen = await vscode.window.showWarningMessage(`Code Llama: ${problem} Nothing was applied.`, 'Copy the Proposal');
      if (chosen) {
        await vscode.env.clipboard.writeText(proposal.proposed);
      }
      return false;
    }
    await this.discard(uri);
    return true;
  }

  /** Close the diff; the document stays as it is. */
  async discard(uri = vscode.window.activeTextEditor?.document.uri): Promise<void> {
    const name = uri?.toString() ?? '';
    this.open.delete(name);
    const tabs = vscode.window.tabGroups.all.flatMap((group) => group.tabs).filter((tab) => proposalOf(tab) === name);
    await vscode.window.tabGroups.close(tabs);
  }
}

function proposalOf(tab: vscode.Tab): string | undefined {
  const input = tab.input;
  return input instanceof vscode.TabInputTextDiff && input.modified.scheme === SCHEME ? input.modified.toString() : undefined;
}

/** Change the document as proposed; why that cannot be, as one sentence, or "". */
async function apply({ target, base, proposed }: Proposal): Promise<string> {
  const name = target.path.split('/').at(-1) ?? '';
  if (base === undefined) {
    return create(target, name, proposed);
  }
  let document: vscode.TextDocument;
  try {
    document = await vscode.workspace.openTextDocument(target);
  } catch {
    return `${name} is not there any more.`;
  }
  const now = document.getText();
  const wanted = rebased(base, proposed, now);
  if (wanted === undefined) {
    return `${name} was changed in the same lines meanwhile.`;
  }
  const { from, to, text } = textChange(now, document.eol === vscode.EndOfLine.CRLF ? wanted.replaceAll('\n', '\r\n') : wanted);
  const range = new vscode.Range(document.positionAt(from), document.positionAt(to));
  // By way of the editor: a workspace edit would change files that are read-only there.
  const editor = await vscode.window.showTextDocument(document, { preview: false, selection: range.with(range.start, range.start) });
  return (await replaced(editor, range, text)) ? '' : `${name} cannot be changed; it may be read-only.`;
}

/** Replace a range; false where the editor is read-only, of which VS Code itself says nothing. */
export async function replaced(editor: vscode.TextEditor, range: vscode.Range, text: string): Promise<boolean> {
  const { document } = editor;
  const [version, same] = [document.version, document.getText(range) === text];
  const done = await editor.edit((edit) => edit.replace(range, text));
  return done && (same || document.version !== version);
}

async function create(target: vscode.Uri, name: string, text: string): Promise<string> {
  if (await exists(target)) {
    return `${name} was made meanwhile.`;
  }
  const edit = new vscode.WorkspaceEdit();
  edit.createFile(target, { ignoreIfExists: true });
  edit.insert(target, new vscode.Position(0, 0), text);
  if (!(await vscode.workspace.applyEdit(edit))) {
    return `${name} cannot be made.`;
  }
  await vscode.window.showTextDocument(target, { preview: false });
  return '';
}

async function exists(uri: vscode.Uri): Promise<boolean> {
  try {
    return (await vscode.workspace.fs.stat(uri)).size > 0;
  } catch {
    return false;
  }
}

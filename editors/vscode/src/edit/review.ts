/**
 * A change that is shown in its document: old lines are marked, and new ones are drawn on empty lines below them, which
 * is all that the document has of them before the user accepts. What is accepted is one step of undo.
 */
import { createHash } from 'node:crypto';
import * as vscode from 'vscode';
import { split, textChange, type LineChange } from '../lspEdit';
import { made, moved, places, withoutRoom, withRoom, type Change, type Shown } from './hunks';

const whole = { isWholeLine: true, rangeBehavior: vscode.DecorationRangeBehavior.ClosedClosed };
const color = (id: string): vscode.ThemeColor => new vscode.ThemeColor(id);
const OLD = vscode.window.createTextEditorDecorationType({ ...whole, backgroundColor: color('diffEditor.removedLineBackground'), overviewRulerColor: color('editorOverviewRuler.deletedForeground'), overviewRulerLane: vscode.OverviewRulerLane.Left });
const NEW = vscode.window.createTextEditorDecorationType({ ...whole, backgroundColor: color('diffEditor.insertedLineBackground'), overviewRulerColor: color('editorOverviewRuler.addedForeground'), overviewRulerLane: vscode.OverviewRulerLane.Left });

/** How long VS Code may take to save. */
const SAVE_MS = 300;
const NOTE = vscode.window.createTextEditorDecorationType({});

/** What documents looked like while something was drawn in them. */
const drawn = new WeakMap<vscode.TextDocument, Set<string>>();
const digest = (text: string): string => createHash('sha256').update(text).digest('base64');

/** Undo and redo pass over what was only drawn: a click in between has made it a step of its own. */
export function passOver({ document, reason }: vscode.TextDocumentChangeEvent): void {
  if (reason && drawn.get(document)?.has(digest(document.getText()))) {
    void vscode.commands.executeCommand(reason === vscode.TextDocumentChangeReason.Undo ? 'undo' : 'redo');
  }
}

export class Review implements vscode.Disposable {
  /** How far it is, while it is written; undefined once all of it is there. */
  message: string | undefined;
  /** Why the user should look closely, or "". */
  problem = '';
  /** How many hunks were left out, as the user changed their lines. */
  lost = 0;
  private readonly subscriptions: vscode.Disposable[];
  /** The text that the hunks are for, and the hunks. */
  private base: readonly string[];
  private all: readonly LineChange[] = [];
  /** The text as it is but for what is drawn in it, and what of the hunks fits it. */
  private now: readonly string[];
  private fitting: readonly LineChange[] = [];
  private shown: readonly Shown[] = [];
  /** What the document is about to become, and where the hunks are then. */
  private expected: { readonly text: string; readonly shown: readonly Shown[] } | undefined;
  private drawing: Promise<unknown> = Promise.resolve();
  private closed = false;
  private hasDrawn = false;

  constructor(
    readonly document: vscode.TextDocument,
    private readonly row: number,
    private readonly changed: (review: Review) => void,
  ) {
    this.base = this.now = split(document.getText());
    this.subscriptions = [
      vscode.workspace.onDidChangeTextDocument((event) => event.document === document && event.contentChanges.length && this.onChange(event)),
      vscode.workspace.onWillSaveTextDocument((event) => event.document === document && event.reason === vscode.TextDocumentSaveReason.Manual && event.waitUntil(this.save())),
      vscode.window.onDidChangeVisibleTextEditors(() => this.draw()),
    ];
  }

  dispose(): void {
    this.closed = true;
    this.subscriptions.forEach((each) => each.dispose());
    this.editor?.setDecorations(OLD, []);
    this.editor?.setDecorations(NEW, []);
    this.editor?.setDecorations(NOTE, []);
    this.changed(this);
  }

  /** Say beside it how far it is. A code lens would not do: VS Code draws none as long as something changes. */
  say(message: string | undefined): void {
    this.message = message;
    const after = { contentText: `${message}. Esc stops`, color: color('editorCodeLens.foreground'), margin: '0 0 0 3em' };
    const range = this.document.lineAt(this.rows[0] ?? 0).range;
    this.editor?.setDecorations(NOTE, message === undefined || this.closed ? [] : [{ range: range.with(range.end), renderOptions: { after } }]);
  }

  get isOpen(): boolean {
    return !this.closed;
  }

  get editor(): vscode.TextEditor | undefined {
    return vscode.window.visibleTextEditors.find((each) => each.document === this.document);
  }

  /** The rows at which the hunks are now; that of the cursor while there are none. */
  get rows(): number[] {
    const last = this.document.lineCount - 1;
    return (this.shown.length ? this.shown.map(({ top }) => top) : [this.row]).map((row) => Math.min(row, last));
  }

  get count(): number {
    return this.fitting.length;
  }

  /** Show hunks of the text as it was at the beginning. */
  show(hunks: readonly LineChange[]): Promise<unknown> {
    this.all = hunks;
    return this.draw();
  }

  /** The hunk at a row, or the next one below, or the last. */
  at(row: number): number {
    const found = this.shown.findIndex(({ first, last }) => row < Math.max(first, last));
    return found < 0 ? this.shown.length - 1 : found;
  }

  /** Make one hunk, or all; or leave the text as it is there. */
  async decide(accept: boolean, index?: number): Promise<void> {
    await this.drawing;
    const chosen = this.fitting.filter((_, at) => index === undefined || at === index);
    const others = this.fitting.filter((hunk) => !chosen.includes(hunk));
    this.all = others.map((hunk) => after(hunk, accept ? chosen : []));
    this.base = this.now = accept ? made(this.now, chosen) : this.now;
    await this.draw();
    if (!this.all.length) {
      this.dispose();
    }
  }

  /** Take it off the screen; the text stays as it is without it. */
  async close(): Promise<void> {
    if (!this.closed) {
      this.all = [];
      await this.draw();
      this.dispose();
    }
  }

  private draw(): Promise<unknown> {
    return (this.drawing = this.drawing.then(() => this.drawNow()));
  }

  private async drawNow(): Promise<void> {
    for (let tries = 0; tries < 5 && !this.closed; tries++) {
      const { editor } = this;
      if (!editor) {
        return; // once it is seen again
      }
      const found = this.all.map((hunk) => moved(hunk, this.base, this.now));
      this.fitting = found.filter((hunk) => hunk !== undefined);
      this.lost = found.length - this.fitting.length;
      if (await this.write(editor, withRoom(this.now, this.fitting), places(this.fitting))) {
        this.decorate(editor);
        this.say(this.message);
        return this.message === undefined ? this.changed(this) : undefined;
      }
    }
  }

  /** Make these the lines of the document; false where it was changed meanwhile. */
  private async write(editor: vscode.TextEditor, lines: readonly string[], shown: readonly Shown[]): Promise<boolean> {
    const before = this.document.getText();
    const after = this.text(lines);
    if (before === after) {
      this.shown = shown;
      return true;
    }
    if (lines.length !== this.now.length) {
      drawn.set(this.document, (drawn.get(this.document) ?? new Set()).add(digest(after)));
    }
    const { from, to, text } = textChange(before, after);
    const range = new vscode.Range(this.document.positionAt(from), this.document.positionAt(to));
    this.expected = { text: after, shown };
    const done = await editor.edit((edit) => edit.replace(range, text), { undoStopBefore: !this.hasDrawn, undoStopAfter: !this.all.length });
    this.expected = undefined;
    this.hasDrawn = true;
    return done;
  }

  private text(lines: readonly string[]): string {
    return lines.join(this.document.eol === vscode.EndOfLine.CRLF ? '\r\n' : '\n');
  }

  private decorate(editor: vscode.TextEditor): void {
    const tab = '\u00a0'.repeat(Number(editor.options.tabSize) || 4);
    const drawn = (line: string): string => line.replaceAll('\t', tab).replaceAll(' ', '\u00a0') || '\u00a0';
    const range = (first: number, last = first): vscode.Range => new vscode.Range(first, 0, last, 0);
    editor.setDecorations(OLD, this.shown.filter(({ top, first }) => top < first).map(({ top, first }) => range(top, first - 1)));
    editor.setDecorations(NEW, this.shown.flatMap(({ first }, index) =>
      (this.fitting[index]?.lines ?? []).map((line, row) => ({ range: range(first + row), renderOptions: { after: { contentText: drawn(line), color: color('editor.foreground') } } })),
    ));
  }

  private onChange({ contentChanges, reason }: vscode.TextDocumentChangeEvent): void {
    if (this.document.getText() === this.expected?.text) {
      this.shown = this.expected.shown;
      return;
    }
    const changes = contentChanges.map(({ range, text }): Change => ({ first: range.start.line, last: range.end.line, lines: split(text).length }));
    this.now = withoutRoom(split(this.document.getText()), this.shown, changes);
    this.shown = [];
    if (reason === vscode.TextDocumentChangeReason.Undo) {
      this.base = this.now;
      void this.close();
    } else {
      void this.draw();
    }
  }

  /** What is saved has no room for what is drawn; it is drawn again afterwards. */
  private async save(): Promise<vscode.TextEdit[]> {
    await this.drawing;
    this.expected = { text: this.text(this.now), shown: [] };
    setTimeout(() => {
      this.expected = undefined;
      void this.draw();
    }, SAVE_MS);
    return this.shown.filter(({ first, last }) => first < last).map(({ first, last }) => vscode.TextEdit.delete(new vscode.Range(first, 0, last, 0)));
  }
}

/** A hunk after others of the same text were made. */
function after(hunk: LineChange, others: readonly LineChange[]): LineChange {
  const by = others.filter(({ last }) => last <= hunk.first).reduce((sum, { first, last, lines }) => sum + lines.length - (last - first), 0);
  return { ...hunk, first: hunk.first + by, last: hunk.last + by };
}

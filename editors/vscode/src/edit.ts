/** Edits in the user's own words: asked for, shown in their place as they are written, accepted or discarded. */
import * as vscode from 'vscode';
import type { Done, Part, Wanted } from './acting';
import { hunksOf } from './edit/hunks';
import { passOver, Review } from './edit/review';
import { changesOf, split } from './lspEdit';

/** What is asked of the language server. */
export interface Link {
  act(wanted: Wanted, onPart: (part: Part) => void, stop: vscode.CancellationToken): Promise<Done | null>;
  uri(uri: vscode.Uri): string;
}

/** What the model is at, or has done and the user has not decided on, in a document. */
interface Work {
  readonly review: Review;
  readonly wanted: Wanted;
  /** The document as it was. */
  readonly text: string;
  readonly stopping: vscode.CancellationTokenSource;
}

export class Edits implements vscode.CodeLensProvider, vscode.Disposable {
  private readonly works = new Map<vscode.TextDocument, Work>();
  private readonly changed = new vscode.EventEmitter<void>();
  private readonly subscriptions: vscode.Disposable[];
  private latest = '';
  readonly onDidChangeCodeLenses = this.changed.event;

  constructor(private readonly link: Link) {
    this.subscriptions = [
      vscode.languages.registerCodeLensProvider({ pattern: '**' }, this),
      vscode.window.onDidChangeActiveTextEditor(() => this.tell()),
      vscode.workspace.onDidChangeTextDocument((event) => this.works.get(event.document)?.review.isOpen || passOver(event)),
      vscode.workspace.onDidCloseTextDocument((document) => this.end(document)),
    ];
  }

  dispose(): void {
    [...this.works.keys()].forEach((document) => this.end(document));
    this.subscriptions.forEach((each) => each.dispose());
  }

  /** Change the selection, or what is at the cursor, as the user says. */
  async ask(editor: vscode.TextEditor, given?: string): Promise<void> {
    const { document, selection } = editor;
    const name = document.uri.path.split('/').at(-1) ?? '';
    const lines = `${name}, line${selection.isSingleLine ? ` ${selection.start.line + 1}` : `s ${selection.start.line + 1} to ${selection.end.line + 1}`}`;
    const where = selection.isEmpty ? `what is at the cursor in ${name}` : lines;
    const instruction = given ?? (await input(`Edit ${where}`, this.latest));
    if (instruction) {
      this.latest = instruction;
      const { start, end } = selection;
      await this.begin(document, { action: 'edit', uri: this.link.uri(document.uri), range: { start, end }, instruction });
    }
  }

  /** Ask again, in other words. */
  async again(): Promise<void> {
    const work = this.here();
    if (!work) {
      throw new Error('Nothing was asked for here yet.');
    }
    const { document } = work.review;
    const instruction = await input('Ask again', work.wanted.instruction ?? '');
    if (instruction) {
      this.latest = instruction;
      await work.review.close();
      const { start, end } = vscode.window.activeTextEditor?.selection ?? new vscode.Range(0, 0, 0, 0);
      const here = document.getText() === work.text ? work.wanted.range : { start, end };
      await this.begin(document, { ...work.wanted, range: here, instruction });
    }
  }

  /** Accept or discard a hunk, by default that at the cursor; or all of them. */
  async decide(accept: boolean, all: boolean, index?: number): Promise<void> {
    const work = this.here();
    if (work?.review.isOpen && work.review.message === undefined) {
      const row = vscode.window.activeTextEditor?.selection.active.line ?? 0;
      await work.review.decide(accept, all ? undefined : (index ?? work.review.at(row)));
    }
  }

  stop(): void {
    this.here()?.stopping.cancel();
  }

  provideCodeLenses(document: vscode.TextDocument): vscode.CodeLens[] {
    const review = this.works.get(document)?.review;
    return review?.isOpen ? lenses(review) : [];
  }

  private async begin(document: vscode.TextDocument, wanted: Wanted): Promise<void> {
    const before = this.works.get(document);
    if (before) {
      before.stopping.cancel();
      await before.review.close();
    }
    const row = vscode.window.activeTextEditor?.selection.start.line ?? 0;
    const review = new Review(document, row, () => this.tell());
    const stopping = new vscode.CancellationTokenSource();
    const text = document.getText();
    const base = split(text);
    review.say('Asking the model');
    this.works.set(document, { review, wanted, text, stopping });
    this.tell();
    const onPart = ({ message, edits }: Part): void => {
      if (!review.isOpen) {
        return;
      }
      if (message) {
        review.say(message);
      }
      if (edits) {
        void review.show(hunksOf(base, edits));
      }
    };
    try {
      const done = await this.link.act(wanted, onPart, stopping.token);
      const change = done?.edit && changesOf(done.edit)?.[0];
      if (!change || !review.isOpen) {
        return await review.close();
      }
      review.problem = done.problem;
      review.say(undefined);
      await review.show(hunksOf(base, change.edits));
      if (review.lost) {
        void vscode.window.showWarningMessage(`Code Llama: you changed the same lines meanwhile: ${review.lost} of ${review.lost + review.count} hunks were left out.`);
      }
      if (!review.count) {
        await review.close();
      }
    } catch (error) {
      await review.close();
      if (!stopping.token.isCancellationRequested) {
        throw error;
      }
    }
  }

  private here(): Work | undefined {
    const document = vscode.window.activeTextEditor?.document;
    return document && this.works.get(document);
  }

  private end(document: vscode.TextDocument): void {
    const work = this.works.get(document);
    this.works.delete(document);
    work?.stopping.cancel();
    if (work?.review.isOpen) {
      work.review.dispose();
    }
  }

  private tell(): void {
    const review = this.here()?.review;
    const state = !review?.isOpen ? '' : review.message === undefined ? 'done' : 'writing';
    void vscode.commands.executeCommand('setContext', 'codellama.review', state);
    this.changed.fire();
  }
}

function lenses(review: Review): vscode.CodeLens[] {
  const { rows, message, problem, count } = review;
  const at = (row: number, title: string, command: string, ...values: unknown[]): vscode.CodeLens =>
    new vscode.CodeLens(new vscode.Range(row, 0, row, 0), { title, command, arguments: values });
  const first = rows[0] ?? 0;
  if (message !== undefined) {
    return [at(first, '$(loading~spin)\u00a0Stop (Esc)', 'codellama.stopEdit')];
  }
  const all = count > 1 ? ' all' : '';
  return [
    ...(problem ? [at(first, `$(warning)\u00a0Look closely before you accept it. ${problem}`, '')] : []),
    at(first, `$(check)\u00a0Accept${all}`, 'codellama.acceptEdit'),
    at(first, `$(close)\u00a0Discard${all}`, 'codellama.discardEdit'),
    at(first, '$(edit)\u00a0Change the instruction', 'codellama.editAgain'),
    ...(count > 1 ? rows.flatMap((row, index) => [at(row, 'Accept this', 'codellama.acceptHunk', index), at(row, 'Discard this', 'codellama.discardHunk', index)]) : []),
  ];
}

async function input(title: string, value: string): Promise<string | undefined> {
  const given = await vscode.window.showInputBox({ title, value, prompt: 'What is to be changed?', placeHolder: 'Use the logger instead of print', ignoreFocusOut: true });
  return given?.trim();
}

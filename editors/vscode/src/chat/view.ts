/** The panel in the side bar: a web page that is told what to show, and says what the user does. */
import * as vscode from 'vscode';
import { onDemand } from '../load';
import { Proposals } from '../proposals';
import { reason, type Server } from '../server';
import * as attach from './attach';
import { Chat } from './chat';
import { page } from './html';
import { Link } from './link';
import type { Attached, FromPanel, Preview, Question, ToPanel } from './messages';

export const VIEW = 'codellama.chat';
/** The cursor has come to rest. */
const REST_MS = 150;

export class ChatView implements vscode.WebviewViewProvider, vscode.Disposable {
  private view: vscode.WebviewView | undefined;
  private ready = false;
  /** What the panel is told once it is there. */
  private waiting: ToPanel[] = [];
  private editor = vscode.window.activeTextEditor;
  private resting: NodeJS.Timeout | undefined;
  private readonly link: Link;
  readonly chat: Chat;
  private readonly subscriptions: vscode.Disposable[];

  constructor(
    private readonly context: vscode.ExtensionContext,
    server: Server,
    private readonly proposals: Proposals,
  ) {
    this.link = new Link(server);
    this.chat = new Chat(this.link, server, context.workspaceState, (message) => this.tell(message), () => this.lastEditor()?.document.languageId);
    let phase = server.phase.kind;
    this.subscriptions = [
      vscode.window.registerWebviewViewProvider(VIEW, this),
      vscode.window.onDidChangeActiveTextEditor((editor) => {
        if (editor && editor.document.uri.scheme !== 'output') {
          this.editor = editor;
          this.tellHere();
        }
      }),
      vscode.window.onDidChangeTextEditorSelection(({ textEditor }) => {
        if (textEditor === this.lastEditor()) {
          clearTimeout(this.resting);
          this.resting = setTimeout(() => this.tellHere(), REST_MS);
        }
      }),
      server.onDidChange(() => {
        const [before, now] = [phase, server.phase.kind];
        phase = now;
        if (this.ready) {
          void (now === 'running' && before !== 'running' ? this.trying(() => this.chat.refresh()) : this.chat.tellStatus());
        }
      }),
    ];
  }

  dispose(): void {
    clearTimeout(this.resting);
    this.subscriptions.forEach((each) => each.dispose());
  }

  resolveWebviewView(view: vscode.WebviewView): void {
    this.view = view;
    this.ready = false;
    view.webview.options = { enableScripts: true, enableForms: false, enableCommandUris: false, localResourceRoots: [vscode.Uri.joinPath(this.context.extensionUri, 'dist', 'webview')] };
    view.webview.onDidReceiveMessage((message: FromPanel) => void this.trying(() => this.handle(message)));
    view.onDidDispose(() => {
      this.view = undefined;
      this.ready = false;
    });
    view.webview.html = page(view.webview, this.context.extensionUri);
  }

  async reveal(): Promise<void> {
    await vscode.commands.executeCommand(`${VIEW}.focus`);
    this.whenReady({ type: 'focus' });
  }

  /** Open the panel with a new conversation that begins with this question. */
  async ask(message: string, attached: readonly Attached[]): Promise<void> {
    this.chat.begin();
    await vscode.commands.executeCommand(`${VIEW}.focus`);
    this.whenReady({ type: 'ask', message, attached });
  }

  async attach(attached: readonly Attached[]): Promise<void> {
    if (attached.length) {
      await vscode.commands.executeCommand(`${VIEW}.focus`);
      this.whenReady({ type: 'attached', attached });
    }
  }

  async showHistory(): Promise<void> {
    await vscode.commands.executeCommand(`${VIEW}.focus`);
    this.whenReady({ type: 'showHistory' });
  }

  async explain(uri: vscode.Uri, range: vscode.Range): Promise<void> {
    const known = await this.link.commands().catch(() => []);
    const message = known.some((each) => each.name.replace('/', '') === 'explain') ? '/explain' : 'Explain this code.';
    await this.ask(message, [attach.ofRange(uri, range, range.isEmpty ? 'function' : 'selection')]);
  }

  async export(id = this.chat.id): Promise<void> {
    if (!id) {
      throw new Error('There is no chat to export.');
    }
    const document = await vscode.workspace.openTextDocument({ content: await this.link.export(id), language: 'markdown' });
    await vscode.window.showTextDocument(document);
  }

  /** The editor that the user was in last, where it is still open. */
  lastEditor(): vscode.TextEditor | undefined {
    return vscode.window.activeTextEditor ?? vscode.window.visibleTextEditors.find((each) => each.document === this.editor?.document);
  }

  async trying(work: () => unknown): Promise<void> {
    try {
      await work();
    } catch (error) {
      void vscode.window.showWarningMessage(`Code Llama: ${reason(error)}`);
    }
  }

  private async handle(message: FromPanel): Promise<void> {
    switch (message.type) {
      case 'ready': {
        this.ready = true;
        this.tellHere();
        await this.chat.refresh();
        const waiting = this.waiting;
        this.waiting = [];
        return waiting.forEach((each) => this.tell(each));
      }
      case 'send':
        return this.chat.send(message);
      case 'stop':
        return this.chat.stop();
      case 'new':
        return this.chat.begin();
      case 'open':
        return this.chat.open(message.id);
      case 'delete':
        return this.remove(message.id);
      case 'rename':
        return this.rename(message.id);
      case 'export':
        return this.export(message.id);
      case 'history':
        return this.tell({ type: 'history', query: message.query, found: await this.link.list(message.query) });
      case 'names':
        return this.tell({ type: 'names', query: message.query, names: await attach.names(message.query, this.lastEditor()) });
      case 'preview':
        return this.tell({ type: 'preview', preview: await this.previewed(message) });
      case 'estimate': // what cannot be sent is said to who sends it
        return this.previewed(message).then((preview) => this.tell({ type: 'estimate', preview }), () => undefined);
      case 'attach':
        return this.attach(await attach.choose(this.lastEditor()));
      case 'copy':
        await vscode.env.clipboard.writeText(message.text);
        return this.tell({ type: 'say', message: 'Copied.' });
      case 'insert':
        return (await onDemand()).blocks.insert(this.lastEditor(), message.text);
      case 'apply':
        return (await onDemand()).blocks.apply(this.lastEditor(), message, this.proposals);
      case 'create':
        return (await onDemand()).blocks.create(message.text, message.language);
      case 'show': {
        const at = new vscode.Position(Math.max(0, message.firstLine - 1), 0);
        await vscode.window.showTextDocument(vscode.Uri.parse(message.uri), { selection: new vscode.Range(at, at) });
        return;
      }
      case 'link':
        return this.openLink(message.href);
    }
  }

  /** Outside of the editor, after asking; what the text of the link said may be another thing. */
  private async openLink(href: string): Promise<void> {
    if (!/^(?:https?|mailto):/i.test(href)) {
      return;
    }
    const chosen = await vscode.window.showWarningMessage('Open this link from an answer of the model?', { modal: true, detail: href }, 'Open', 'Copy');
    if (chosen === 'Open') {
      await vscode.env.openExternal(vscode.Uri.parse(href, true));
    } else if (chosen === 'Copy') {
      await vscode.env.clipboard.writeText(href);
    }
  }

  private async remove(id: string): Promise<void> {
    const chosen = await vscode.window.showWarningMessage('Delete this chat? It cannot be brought back.', { modal: true }, 'Delete');
    if (chosen) {
      await this.chat.delete(id);
      this.tell({ type: 'history', query: '', found: await this.link.list('') });
    }
  }

  private async rename(id: string): Promise<void> {
    const { title } = await this.link.get(id);
    const chosen = await vscode.window.showInputBox({ title: 'Rename the chat', value: title });
    if (chosen?.trim()) {
      await this.link.rename(id, chosen);
      this.tell({ type: 'history', query: '', found: await this.link.list('') });
    }
  }

  private previewed(question: Question): Promise<Preview> {
    return this.link.preview(question, this.chat.id, this.lastEditor()?.document.languageId);
  }

  private tellHere(): void {
    const editor = this.lastEditor();
    this.tell({ type: 'here', here: editor && editor.document.uri.scheme !== 'output' ? attach.here(editor) : null });
  }

  private whenReady(message: ToPanel): void {
    if (this.ready) {
      this.tell(message);
    } else {
      this.waiting.push(message);
    }
  }

  private tell(message: ToPanel): void {
    void this.view?.webview.postMessage(message);
  }
}

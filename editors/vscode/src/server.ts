/** The language server from this side: found, started, watched, started again when it ends. */
import * as os from 'node:os';
import { realpathSync, statSync } from 'node:fs';
import * as vscode from 'vscode';
import { CloseAction, ErrorAction, LanguageClient, RevealOutputChannelOn, State, TransportKind } from 'vscode-languageclient/node';
import type { Middleware, ServerOptions } from 'vscode-languageclient/node';
import { apart, type Apart } from './apart';
import { Backoff } from './backoff';
import { find, type Found, type Surroundings } from './find';
import { interpreter } from './python';
import { setting, type Settings } from './settings';
import type { ModelStatus, Phase } from './status';
import { mismatch } from './version';

/** A server that says nothing for so long is none. */
const START_SECONDS = 30;

export class Server implements vscode.Disposable {
  phase: Phase = { kind: 'stopped' };
  status: ModelStatus | undefined;
  found: Found | undefined;
  private running: LanguageClient | undefined;
  private timer: NodeJS.Timeout | undefined;
  /** Counts starts: what belongs to an older one is let go. */
  private turn = 0;
  private warned = '';
  private readonly backoff = new Backoff();
  private readonly changed = new vscode.EventEmitter<void>();
  readonly onDidChange = this.changed.event;

  constructor(
    private readonly settings: Settings,
    private readonly log: vscode.LogOutputChannel,
    private readonly version: string,
    /** A folder of the extension's own, to start programs in. */
    private readonly folder: string,
    private readonly middleware: () => Middleware,
  ) {}

  /** The client, once the server answered and as long as it runs. */
  get client(): LanguageClient | undefined {
    return this.phase.kind === 'running' ? this.running : undefined;
  }

  /** The client, or an error that says in one sentence why there is none. */
  reached(): LanguageClient {
    const client = this.client;
    if (!client) {
      throw new Error('message' in this.phase ? this.phase.message : 'The language server is not running yet.');
    }
    return client;
  }

  /** The client, once the server runs, where it is starting; else an error that says why there is none. */
  async whenRunning(): Promise<LanguageClient> {
    while (this.phase.kind === 'starting' || this.phase.kind === 'waiting') {
      await new Promise<void>((resolve) => {
        const listening = this.changed.event(() => {
          listening.dispose();
          resolve();
        });
      });
    }
    return this.reached();
  }

  /** Let the server ask for its settings again. */
  settingsChanged(): void {
    this.tell('workspace/didChangeConfiguration', { settings: null });
  }

  /** Say something that nobody answers, where somebody is there. */
  tell(method: string, params: unknown): void {
    void this.client?.sendNotification(method, params).catch(() => undefined);
  }

  async start(): Promise<void> {
    const turn = ++this.turn;
    clearTimeout(this.timer);
    await this.end();
    if (turn !== this.turn) {
      return;
    }
    this.set({ kind: 'starting' });
    await this.settings.load();
    const python = await interpreter();
    const found = find(setting('serverPath', ''), python, surroundings(), avoided());
    if (turn !== this.turn) {
      return;
    }
    if (typeof found === 'string') {
      this.found = undefined;
      this.log.warn(found);
      this.set({ kind: 'missing', message: found });
      return;
    }
    this.found = found;
    this.log.info(`Starting ${found.path}, found ${found.where}.`);
    let place: Apart;
    try {
      place = this.apart();
    } catch (error) {
      this.set({ kind: 'failed', message: reason(error) });
      return;
    }
    await this.launch(found, place, turn);
  }

  /** As the user asks for it: the engine of this machine too, where the server can say so. */
  async restart(): Promise<void> {
    this.backoff.forget();
    try {
      await this.client?.sendRequest('workspace/executeCommand', { command: 'codellama.restart', arguments: [] });
    } catch (error) {
      this.log.warn(`The engine could not be ended: ${String(error)}`);
    }
    await this.start();
  }

  async stop(): Promise<void> {
    ++this.turn;
    clearTimeout(this.timer);
    await this.end();
    this.set({ kind: 'stopped' });
  }

  /** Where programs are started, and with what environment; throws where there is no such place. */
  apart(): Apart {
    return apart(this.folder, surroundings(), avoided());
  }

  dispose(): void {
    clearTimeout(this.timer);
    this.changed.dispose();
  }

  private async launch(found: Found, place: Apart, turn: number): Promise<void> {
    // Without a folder in its options the client would start it in the first one of the workspace.
    const run = { command: found.path, transport: TransportKind.stdio, options: place };
    const client = new LanguageClient('codellama', 'Code Llama', run satisfies ServerOptions, {
      documentSelector: ['file', 'untitled', 'vscode-notebook-cell', 'vscode-remote', 'vscode-vfs'].map((scheme) => ({ scheme })),
      // The others it asks for: what came with these holds until it ends.
      initializationOptions: () => ({ completionMenu: this.settings.ofServer()['completionMenu'] }),
      outputChannel: this.log,
      revealOutputChannelOn: RevealOutputChannelOn.Never,
      middleware: this.middleware(),
      initializationFailedHandler: () => false,
      errorHandler: {
        error: () => ({ action: ErrorAction.Continue, handled: true }),
        closed: () => ({ action: CloseAction.DoNotRestart, handled: true, message: 'The connection to the language server ended.' }),
      },
    });
    client.registerFeature({
      fillClientCapabilities: (capabilities) => (capabilities.experimental = { ...capabilities.experimental, 'codellama/status': true }),
      initialize: () => undefined,
      getState: () => ({ kind: 'static' }),
      clear: () => undefined,
    });
    this.running = client;
    client.onNotification('codellama/status', (status: ModelStatus) => {
      if (turn === this.turn) {
        this.status = status;
        this.changed.fire();
      }
    });
    client.onDidChangeState(({ newState }) => {
      if (turn === this.turn && newState === State.Stopped && this.phase.kind === 'running') {
        this.ended(`The language server (${found.path}) ended.`);
      }
    });
    try {
      await inTime(client.start(), START_SECONDS, `It did not answer within ${START_SECONDS} s.`);
    } catch (error) {
      if (turn === this.turn) {
        this.log.error(`The start failed: ${String(error)}`);
        this.ended(`${found.path} is no language server that works: ${reason(error)}`);
      }
      return;
    }
    if (turn !== this.turn) {
      return;
    }
    this.backoff.started();
    this.set({ kind: 'running' });
    this.tellMismatch(client.initializeResult?.serverInfo?.version);
  }

  /** It ended by itself: try again, later each time, then give up and say so. */
  private ended(message: string): void {
    this.status = undefined;
    const delay = this.backoff.ended();
    if (delay === undefined) {
      this.set({ kind: 'failed', message: `${message} It was started again ${this.backoff.times - 1} times.` });
      void this.offer('error', `Code Llama: ${message} It was started again ${this.backoff.times - 1} times, so it is left alone now.`);
      return;
    }
    if (this.backoff.times === 2) {
      void this.offer('warning', 'Code Llama: the language server keeps ending; it is started again.');
    }
    this.set({ kind: 'waiting', seconds: delay / 1000 });
    this.timer = setTimeout(() => void this.start(), delay);
  }

  private async offer(level: 'warning' | 'error', message: string): Promise<void> {
    const show = level === 'error' ? vscode.window.showErrorMessage : vscode.window.showWarningMessage;
    const chosen = await show(message, 'Restart', 'Show Log');
    if (chosen === 'Restart') {
      await this.restart();
    } else if (chosen === 'Show Log') {
      this.log.show();
    }
  }

  private tellMismatch(version: string | undefined): void {
    const problem = mismatch(version, this.version);
    if (problem && problem !== this.warned) {
      this.warned = problem;
      this.log.warn(problem);
      void vscode.window.showWarningMessage(`Code Llama: ${problem}`, 'Show the Command').then((chosen) => {
        return chosen && vscode.commands.executeCommand('codellama.install');
      });
    }
  }

  private async end(): Promise<void> {
    const client = this.running;
    this.running = undefined;
    this.status = undefined;
    if (client) {
      // A client that failed to start refuses to stop; there is nothing to end then.
      await client.dispose(2000).catch(() => undefined);
    }
  }

  private set(phase: Phase): void {
    this.phase = phase;
    void vscode.commands.executeCommand('setContext', 'codellama.running', phase.kind === 'running');
    this.changed.fire();
  }
}

/**
 * The folders whose programs are not started. The environment of a project (its `.venv`) is one of them until the user
 * trusts the workspace: who does has agreed that VS Code runs what is in it, and the server may well be installed there.
 */
function avoided(): string[] {
  return vscode.workspace.isTrusted ? [] : (vscode.workspace.workspaceFolders ?? []).map((folder) => folder.uri.fsPath);
}

export function surroundings(): Surroundings {
  const isFile = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
  const safely = (path: string): boolean => {
    try {
      return isFile(path);
    } catch {
      return false; // a folder that may not be read, say
    }
  };
  const real = (path: string): string => {
    try {
      return realpathSync.native(path);
    } catch {
      return path;
    }
  };
  return { windows: process.platform === 'win32', env: process.env, home: os.homedir(), isFile: safely, real };
}

/** One line of what went wrong. */
export function reason(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.split('\n', 1)[0] ?? '';
}

async function inTime<T>(work: Promise<T>, seconds: number, sentence: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(sentence)), seconds * 1000);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

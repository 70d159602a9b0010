/** Choosing a model, and the doctor: both ask the program on the command line. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import * as vscode from 'vscode';
import { reason, type Server } from './server';
import { change, setting } from './settings';

const run = promisify(execFile);

interface Model {
  readonly model: string;
  readonly infilling: string;
  readonly chat: string;
  readonly gib: number | null;
  /** Of a weight, as `quantization` auto takes them; null where no number of them fits. */
  readonly bits: number | null;
  readonly fits: string;
  readonly speed: string;
}

interface Choice extends vscode.QuickPickItem {
  readonly model?: string;
  readonly ask?: 'folder' | 'id';
}

export async function switchModel(server: Server): Promise<void> {
  const url = setting('engineUrl', '');
  // Where it is not set here, the configuration file may name it.
  const current = (!url && server.status?.model) || setting('model', 'starter');
  const choices = models(server).then((found): Choice[] => [
    { label: 'starter', description: current === 'starter' ? 'in use' : '', detail: 'A small model that runs on a laptop.', model: 'starter' },
    ...found.filter((each) => each.gib !== null).map((each) => ({
      label: each.model,
      description: current === each.model ? 'in use' : '',
      detail: `${each.gib} GiB in ${each.bits ?? 8} bits; fits here: ${each.fits}${each.speed && `, ${each.speed}`}; infills: ${each.infilling}; chats: ${each.chat}`,
      model: each.model,
    })),
    { label: '$(folder) A checkpoint folder…', ask: 'folder' },
    { label: '$(edit) Another model of the hub…', ask: 'id' },
  ]);
  const placeHolder = url ? `The model is served by ${url} (codellama.engineUrl); this setting is then used for its tokenizer.` : `The model for ${server.status?.chat ? 'suggestions; codellama.chatModel is that for actions and chat' : 'suggestions, actions and chat'}`;
  const chosen = await vscode.window.showQuickPick(choices, { title: 'Switch model', placeHolder, matchOnDetail: true });
  const model = chosen?.model ?? (await asked(chosen?.ask));
  if (model && model !== current) {
    await change('model', model);
  }
}

async function asked(what: Choice['ask']): Promise<string | undefined> {
  if (what === 'folder') {
    const folders = await vscode.window.showOpenDialog({ canSelectFolders: true, canSelectFiles: false, openLabel: 'Use this checkpoint' });
    return folders?.[0]?.fsPath;
  }
  return what && vscode.window.showInputBox({ title: 'Model', prompt: 'A hub id such as codellama/CodeLlama-7b-Instruct-hf' });
}

async function models(server: Server): Promise<Model[]> {
  try {
    return JSON.parse(await output(server, ['models', '--json'])) as Model[];
  } catch {
    return []; // the other choices stay
  }
}

/** What works here, as text. */
export async function doctor(server: Server, values: Record<string, unknown>): Promise<string> {
  const texts = {
    model: '--model',
    engineUrl: '--engine-url',
    tokenizer: '--tokenizer',
    remoteModel: '--remote-model',
    caFile: '--ca-file',
    chatModel: '--chat-model',
    chatEngineUrl: '--chat-engine-url',
    chatRemoteModel: '--chat-remote-model',
    chatTokenizer: '--chat-tokenizer',
  };
  const options = Object.entries(texts).flatMap(([name, option]) => (typeof values[name] === 'string' ? [option, values[name]] : []));
  // By way of the environment: other users of the machine can read a command line.
  const env = { CODELLAMA_LS_ENGINE_TOKEN: String(values['engineToken'] ?? '') };
  return output(server, ['doctor', ...options, ...(values['allowPlainHttp'] ? ['--allow-plain-http'] : [])], env);
}

async function output(server: Server, words: string[], env: NodeJS.ProcessEnv = {}): Promise<string> {
  if (!server.found) {
    throw new Error('The language server is not installed.');
  }
  const place = server.apart();
  try {
    const { stdout, stderr } = await run(server.found.path, words, { timeout: 60_000, cwd: place.cwd, env: { ...place.env, COLUMNS: '120', NO_COLOR: '1', ...env } });
    return stdout || stderr;
  } catch (error) {
    // Exit status 1 says that something does not work, and what it says is wanted all the same.
    const said = error as { readonly stdout?: string; readonly stderr?: string };
    if (said.stdout) {
      return said.stdout + (said.stderr ?? '');
    }
    throw new Error(reason(said.stderr || error));
  }
}

/** The settings of the server, as the user has them; tokens come from the secret store. */
import * as vscode from 'vscode';
import { given, origins, read, sent, written, type Tokens } from './tokens';

export const SECTION = 'codellama';
const TOKEN = 'engineToken';

interface Manifest {
  readonly contributes: { readonly configuration: readonly { readonly properties: Readonly<Record<string, unknown>> }[] };
}

export class Settings {
  private readonly names: readonly string[];
  private tokens: Tokens = {};

  constructor(private readonly context: vscode.ExtensionContext) {
    // The first group of settings is the server's; what it does not know it would complain of.
    const group = (context.extension.packageJSON as Manifest).contributes.configuration[0];
    this.names = Object.keys(group?.properties ?? {}).map((name) => name.slice(SECTION.length + 1));
  }

  /** Read the secret store; call before `ofServer`. */
  async load(): Promise<void> {
    const kept = await this.context.secrets.get(TOKEN);
    this.tokens = read(kept, setting('engineUrl', ''));
    if (kept && kept !== written(this.tokens)) {
      await this.keep();
    }
  }

  /** The tokens of remote engines, each with its address, or "". */
  get engineToken(): string {
    return sent(this.tokens);
  }

  /** The servers that `codellama.engineUrl` and `codellama.chatEngineUrl` name: a token is for one or several of them. */
  get servers(): string[] {
    return origins(`${setting('engineUrl', '')} ${setting('chatEngineUrl', '')}`);
  }

  async setToken(servers: readonly string[], token: string): Promise<void> {
    this.tokens = given(this.tokens, servers, token);
    await this.keep();
  }

  private async keep(): Promise<void> {
    const kept = written(this.tokens);
    await (kept ? this.context.secrets.store(TOKEN, kept) : this.context.secrets.delete(TOKEN));
  }

  /** What the user has set here: all else is as the server's configuration file says. */
  ofServer(): Record<string, unknown> {
    const values = vscode.workspace.getConfiguration(SECTION);
    const chosen = this.names.filter((name) => isSet(values.inspect(name)));
    const sent = Object.fromEntries(chosen.map((name) => [name, values.get(name)]));
    return this.engineToken ? { ...sent, [TOKEN]: this.engineToken } : sent;
  }
}

function isSet(found: object = {}): boolean {
  return Object.entries(found).some(([key, value]) => value !== undefined && key.endsWith('Value') && !key.startsWith('default'));
}

/** A setting of this extension or of the server. */
export function setting<T>(name: string, otherwise: T): T {
  return vscode.workspace.getConfiguration(SECTION).get<T>(name) ?? otherwise;
}

/** Change a setting where it is set already, else for the user. */
export async function change(name: string, value: unknown): Promise<void> {
  const values = vscode.workspace.getConfiguration(SECTION);
  const found = values.inspect(name);
  const target =
    found?.workspaceFolderValue !== undefined
      ? vscode.ConfigurationTarget.WorkspaceFolder
      : found?.workspaceValue !== undefined
        ? vscode.ConfigurationTarget.Workspace
        : vscode.ConfigurationTarget.Global;
  await values.update(name, value, target);
}

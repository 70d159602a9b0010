/** The settings of the server, as the user has them; the token comes from the secret store. */
import * as vscode from 'vscode';

export const SECTION = 'codellama';
const TOKEN = 'engineToken';

interface Manifest {
  readonly contributes: { readonly configuration: readonly { readonly properties: Readonly<Record<string, unknown>> }[] };
}

export class Settings {
  private readonly names: readonly string[];
  private token = '';

  constructor(private readonly context: vscode.ExtensionContext) {
    // The first group of settings is the server's; what it does not know it would complain of.
    const group = (context.extension.packageJSON as Manifest).contributes.configuration[0];
    this.names = Object.keys(group?.properties ?? {}).map((name) => name.slice(SECTION.length + 1));
  }

  /** Read the secret store; call before `ofServer`. */
  async load(): Promise<void> {
    this.token = (await this.context.secrets.get(TOKEN)) ?? '';
  }

  /** The token of the remote engine, or "". */
  get engineToken(): string {
    return this.token;
  }

  async setToken(token: string): Promise<void> {
    await (token ? this.context.secrets.store(TOKEN, token) : this.context.secrets.delete(TOKEN));
    this.token = token;
  }

  ofServer(): Record<string, unknown> {
    const values = vscode.workspace.getConfiguration(SECTION);
    const sent = Object.fromEntries(this.names.map((name) => [name, values.get(name)]));
    return { ...sent, [TOKEN]: this.token };
  }
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

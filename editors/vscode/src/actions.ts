/** Code actions: from the light bulb, the context menu and commands to a diff, or to a question in the chat. */
import * as vscode from 'vscode';
import { CodeActionRequest, CodeActionResolveRequest, CodeActionTriggerKind, ExecuteCommandRequest } from 'vscode-languageclient';
import type { CodeAction, Command, WorkspaceEdit } from 'vscode-languageclient';
import { applied, changesOf } from './lspEdit';
import type { Proposals } from './proposals';
import { reason, type Server } from './server';
import { setting } from './settings';

/** The command that light-bulb entries run. */
export const PERFORM = 'codellama.perform';
export const EDIT = 'codellama.edit';

interface Data {
  readonly action?: string;
}

export class Actions {
  constructor(
    private readonly server: Server,
    private readonly proposals: Proposals,
    private readonly explain: (uri: vscode.Uri, range: vscode.Range) => Promise<void>,
  ) {}

  /** Entries of the light bulb that are done by us once they are chosen, and not while somebody looks at them. */
  deferred(items: readonly (vscode.Command | vscode.CodeAction)[]): (vscode.Command | vscode.CodeAction)[] {
    const converter = this.server.client?.code2ProtocolConverter;
    return items.map((item) => {
      if (converter && item instanceof vscode.CodeAction && !item.command && !item.disabled && !item.edit) {
        item.command = { title: item.title, command: PERFORM, arguments: [converter.asCodeActionSync(item)] };
      }
      return item;
    });
  }

  /** The entry of the menu that asks what is to be done. */
  ownWords({ only, triggerKind }: vscode.CodeActionContext): vscode.CodeAction[] {
    const kind = vscode.CodeActionKind.RefactorRewrite;
    if (triggerKind !== vscode.CodeActionTriggerKind.Invoke || (only && !only.intersects(kind))) {
      return [];
    }
    const item = new vscode.CodeAction('Edit in your own words… (Code Llama)', kind);
    item.command = { title: item.title, command: EDIT };
    return [item];
  }

  /** Let the model make the edit of an action, and show it. The server tells the user where there is none. */
  async perform(action: CodeAction): Promise<void> {
    await this.trying(async () => {
      const client = this.server.reached();
      const { title, kind, diagnostics, data } = action;
      const resolved = await client.sendRequest(CodeActionResolveRequest.type, { title, kind, diagnostics, data });
      if (resolved.edit) {
        await this.propose(resolved.title, resolved.edit);
      }
    });
  }

  /** The action `id` at the cursor or on the selection of the active editor. */
  async run(id: string): Promise<void> {
    await this.trying(async () => {
      const editor = vscode.window.activeTextEditor;
      if (!editor) {
        throw new Error('Open a file first.');
      }
      const client = this.server.reached();
      const { document, selection } = editor;
      if (id === 'explain') {
        return this.explain(document.uri, selection);
      }
      const near = vscode.languages.getDiagnostics(document.uri).filter((each) => each.range.intersection(selection));
      const items = await client.sendRequest(CodeActionRequest.type, {
        textDocument: client.code2ProtocolConverter.asTextDocumentIdentifier(document),
        range: client.code2ProtocolConverter.asRange(selection),
        context: { diagnostics: await client.code2ProtocolConverter.asDiagnostics(near), triggerKind: CodeActionTriggerKind.Invoked },
      });
      const item = items?.find((each) => actionOf(each) === id);
      if (!item) {
        throw new Error(nothing(id));
      }
      if ('disabled' in item && item.disabled) {
        throw new Error(item.disabled.reason);
      }
      const command = typeof item.command === 'string' ? (item as Command) : item.command;
      if (command) {
        const { command: name, arguments: values } = command;
        await client.sendRequest(ExecuteCommandRequest.type, { command: name, arguments: values });
        return;
      }
      await this.perform(item as CodeAction);
    });
  }

  /** Show an edit as a diff; where it is of several files, in the editor's own preview. */
  async propose(title: string, edit: WorkspaceEdit): Promise<void> {
    const client = this.server.reached();
    const changes = changesOf(edit);
    const change = changes?.[0];
    if (!change || changes.length > 1 || (!setting('preview', true) && !change.doubt)) {
      const converted = await client.protocol2CodeConverter.asWorkspaceEdit(edit);
      if (!(await vscode.workspace.applyEdit(converted))) {
        throw new Error('The change could not be applied; a file may be read-only.');
      }
      return;
    }
    const target = client.protocol2CodeConverter.asUri(change.uri);
    const document = change.creates ? undefined : await vscode.workspace.openTextDocument(target);
    if (document && change.version !== null && change.version !== document.version) {
      throw new Error('The text changed meanwhile; choose the action again.');
    }
    const base = document?.getText();
    await this.proposals.show({ title, target, base, proposed: applied(base ?? '', change.edits), doubt: change.doubt });
  }

  private async trying(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      void vscode.window.showWarningMessage(`Code Llama: ${reason(error)}`);
    }
  }
}

/** The id of an entry of the menu, wherever it is. */
export function actionOf(item: Command | CodeAction): string | undefined {
  const command = typeof item.command === 'string' ? (item as Command) : item.command;
  const data = ('data' in item ? item.data : undefined) ?? command?.arguments?.[0];
  return (data as Data | undefined)?.action;
}

function nothing(id: string): string {
  switch (id) {
    case 'fix':
      return 'No problem is reported at the cursor.';
    case 'comment':
      return 'Put the cursor into a comment that says what to do.';
    case 'implement':
      return 'Put the cursor into a function that has no body yet.';
    default:
      return 'Put the cursor into a function or a class, or select some code.';
  }
}

/** Where this client does something of its own between the editor and the server. */
import * as vscode from 'vscode';
import type { Middleware } from 'vscode-languageclient';
import { EDIT, PERFORM, type Actions } from './actions';
import { SECTION, type Settings } from './settings';
import type { Switches } from './switches';

/** So long after a suggestion was taken whole, Tab means the next one. */
const HELD_MS = 700;
const HELD = 'codellama.held';

interface Values {
  readonly action?: string;
  readonly uri?: string;
  readonly range?: { readonly start: vscode.Position; readonly end: vscode.Position };
}

export function middleware(
  settings: Settings,
  switches: Switches,
  actions: Actions,
  explain: (uri: vscode.Uri, range: vscode.Range) => Promise<void>,
  shown: (suggestion: unknown) => void,
): Middleware {
  let held: NodeJS.Timeout | undefined;
  return {
    workspace: {
      // The server's own settings alone, with the token, which no settings file has.
      configuration: (params, token, next) =>
        params.items.every((item) => item.section === SECTION) ? params.items.map(() => settings.ofServer()) : next(params, token),
    },
    window: {
      showDocument: async (params, token, next) => {
        const uri = vscode.Uri.parse(params.uri);
        if (uri.scheme !== 'file' || !uri.path.endsWith('.md')) {
          return next(params, token);
        }
        // An answer to read.
        await vscode.commands.executeCommand('markdown.showPreviewToSide', uri);
        return { success: true };
      },
    },
    provideInlineCompletionItems: async (document, position, context, token, next) => {
      if (switches.why(document)) {
        return [];
      }
      const found = await next(document, position, context, token);
      const chosen = context.selectedCompletionInfo;
      const all = (Array.isArray(found) ? found : found?.items) ?? [];
      // With the suggestion widget open, only what begins as its choice does.
      const items = chosen ? all.filter((item) => item.range?.start.isEqual(chosen.range.start) && textOf(item).startsWith(chosen.text)) : all;
      if (items[0] && !token.isCancellationRequested) {
        shown(items[0].command?.arguments?.[0]);
      }
      return items;
    },
    provideCodeActions: async (document, range, context, token, next) => [...actions.ownWords(context), ...actions.deferred((await next(document, range, context, token)) ?? [])],
    resolveCodeAction: (item, token, next) => ([PERFORM, EDIT].includes(item.command?.command ?? '') ? item : next(item, token)),
    executeCommand: async (command, args, next) => {
      const values = args[0] as Values | undefined;
      if (command === 'codellama.accepted') {
        clearTimeout(held);
        void vscode.commands.executeCommand('setContext', HELD, true);
        held = setTimeout(() => void vscode.commands.executeCommand('setContext', HELD, false), HELD_MS);
      }
      if (command === 'codellama.action' && values?.action === 'explain' && values.uri && values.range) {
        const { start, end } = values.range;
        const range = new vscode.Range(start.line, start.character, end.line, end.character);
        return explain(vscode.Uri.parse(values.uri), range);
      }
      return next(command, args) as unknown;
    },
  };
}

function textOf(item: vscode.InlineCompletionItem): string {
  return typeof item.insertText === 'string' ? item.insertText : item.insertText.value;
}

/** Where it begins: everything is registered at once; the language server is started behind it. */
import * as vscode from 'vscode';
import { act } from './acting';
import { Actions, EDIT, PERFORM } from './actions';
import { suggestOnceThere } from './away';
import * as attach from './chat/attach';
import { ChatView } from './chat/view';
import { writeCommitMessage } from './commit';
import type { Edits } from './edit';
import type { NextEdits } from './nextEdit';
import { onDemand } from './load';
import { showLog } from './logs';
import { showMenu } from './menu';
import { middleware } from './middleware';
import { doctor, switchModel } from './models';
import { showPrompt } from './prompt';
import { Proposals } from './proposals';
import { Report } from './report';
import { Server } from './server';
import { setting, Settings } from './settings';
import { showInstallCommand, tellMissing } from './setup';
import { StatusBar } from './statusBar';
import { Switches } from './switches';
import { showWhy } from './why';

const ACTIONS = ['explain', 'fix', 'document', 'tests', 'implement', 'comment', 'simplify', 'types', 'optimize', 'translate'];

let server: Server | undefined;

/** What other extensions and the tests may ask. */
export interface Api {
  readonly server: Server;
  readonly activationMs: number;
}

export function activate(context: vscode.ExtensionContext): Api {
  const begun = performance.now();
  const log = vscode.window.createOutputChannel('Code Llama', { log: true });
  const settings = new Settings(context);
  const switches = new Switches(context.workspaceState);
  const proposals = new Proposals();
  const report = new Report();
  const version = (context.extension.packageJSON as { readonly version: string }).version;
  const explain = (uri: vscode.Uri, range: vscode.Range): Promise<void> => view.explain(uri, range);
  const running: Server = (server = new Server(settings, log, version, context.globalStorageUri.fsPath, () => middleware(settings, switches, actions, explain, (suggestion) => running.tell('codellama/shown', suggestion))));
  const actions: Actions = new Actions(running, proposals, explain);
  const view: ChatView = new ChatView(context, running, proposals);
  context.subscriptions.push(log, switches, proposals, report, running, view, new StatusBar(running, switches), tellMissing(running, context.extensionPath), suggestOnceThere(running, context.extension.id));
  context.subscriptions.push(vscode.workspace.onDidChangeConfiguration((event) => onSettings(event, running)));
  context.subscriptions.push(vscode.workspace.onDidGrantWorkspaceTrust(() => void running.start()));

  const command = (name: string, work: (...given: never[]) => unknown): void => {
    context.subscriptions.push(vscode.commands.registerCommand(name, (...given: never[]) => view.trying(() => work(...given))));
  };
  command(PERFORM, actions.perform.bind(actions));
  ACTIONS.forEach((id) => command(`codellama.do.${id}`, () => actions.run(id)));
  command('codellama.accept', (uri?: vscode.Uri) => proposals.accept(uri));
  command('codellama.discard', (uri?: vscode.Uri) => proposals.discard(uri));
  let edits: Promise<Edits> | undefined;
  const editing = (work: (edits: Edits, ...given: never[]) => unknown) => async (...given: never[]) => {
    edits ??= onDemand().then(({ Edits }) => new Edits({ act: (...request) => act(running, ...request), uri: (uri) => running.reached().code2ProtocolConverter.asUri(uri) }));
    return work(await edits, ...given);
  };
  context.subscriptions.push({ dispose: () => void edits?.then((each) => each.dispose()) });
  command(EDIT, editing((each, given?: string) => withEditor((editor) => each.ask(editor, typeof given === 'string' ? given : undefined))));
  command('codellama.editAgain', editing((each) => each.again()));
  command('codellama.stopEdit', editing((each) => each.stop()));
  for (const [name, accept] of [['accept', true], ['discard', false]] as const) {
    command(`codellama.${name}Edit`, editing((each) => each.decide(accept, true)));
    command(`codellama.${name}Hunk`, editing((each, index?: number) => each.decide(accept, false, index)));
  }
  let next: Promise<NextEdits> | undefined;
  const following = (): Promise<NextEdits> => (next ??= onDemand().then(({ NextEdits }) => new NextEdits(running)));
  const follow = ({ document, contentChanges }: vscode.TextDocumentChangeEvent): void => {
    if (contentChanges.length && running.client && setting('nextEdit', true)) {
      void following().then((each) => each.changed(document));
    }
  };
  context.subscriptions.push(vscode.workspace.onDidChangeTextDocument(follow), { dispose: () => void next?.then((each) => each.dispose()) });
  command('codellama.nextEdit', async () => (await following()).go());
  command('codellama.rejectNextEdit', async () => (await following()).reject());
  command('codellama.menu', () => showMenu(running, switches));
  command('codellama.openChat', () => view.reveal());
  command('codellama.newChat', async () => {
    view.chat.begin();
    await view.reveal();
  });
  command('codellama.chatHistory', () => view.showHistory());
  command('codellama.exportChat', () => view.export());
  command('codellama.attachSelection', () => withEditor((editor) => view.attach([attach.selected(editor) ?? attach.ofRange(editor.document.uri, editor.selection, 'function')])));
  command('codellama.attachFile', () => withEditor((editor) => view.attach([attach.file(editor.document.uri)])));
  command('codellama.writeCommitMessage', (source?: { readonly rootUri?: vscode.Uri }) => writeCommitMessage(running, source));
  command('codellama.toggle', () => switches.toggle());
  command('codellama.nothing', () => undefined);
  command('codellama.why', () => withEditor((editor) => showWhy(running, switches, editor)));
  command('codellama.snooze', () => switches.snooze());
  command('codellama.toggleLanguage', () => withEditor(({ document }) => switches.toggleLanguage(document.languageId)));
  command('codellama.toggleFile', () => withEditor(({ document }) => switches.toggleFile(document.uri)));
  command('codellama.switchModel', () => switchModel(running));
  command('codellama.doctor', () => showDoctor(running, settings, report));
  command('codellama.showPrompt', () => withEditor((editor) => showPrompt(running, report, editor)));
  command('codellama.showLog', () => showLog(running, log));
  command('codellama.openSettings', () => vscode.commands.executeCommand('workbench.action.openSettings', `@ext:${context.extension.id}`));
  command('codellama.setToken', () => askToken(settings, running));
  command('codellama.restartServer', () => running.restart());
  command('codellama.install', () => showInstallCommand(running, context.extensionPath));
  command('codellama.walkthrough', () => openWalkthrough(`${context.extension.id}#start`, running));

  void running.start();
  const activationMs = performance.now() - begun;
  log.info(`Activated in ${activationMs.toFixed(1)} ms.`);
  return { server: running, activationMs };
}

export async function deactivate(): Promise<void> {
  await server?.stop();
}

function onSettings(event: vscode.ConfigurationChangeEvent, running: Server): void {
  if (event.affectsConfiguration('codellama.serverPath')) {
    void running.restart();
  } else if (event.affectsConfiguration('codellama')) {
    running.settingsChanged();
  }
}

async function openWalkthrough(id: string, running: Server): Promise<void> {
  await vscode.commands.executeCommand('workbench.action.openWalkthrough', id);
  // VS Code ticks a step when its context changes, and the server has mostly been running for long by now.
  if (running.phase.kind === 'running') {
    await vscode.commands.executeCommand('welcome.markStepComplete', `${id}#install`);
  }
}

async function askToken(settings: Settings, running: Server): Promise<void> {
  const servers = settings.servers;
  if (!servers.length) {
    throw new Error('A token belongs to an address: set codellama.engineUrl or codellama.chatEngineUrl first.');
  }
  const all = `All ${servers.length} of them`;
  const chosen = servers.length > 1 ? await vscode.window.showQuickPick([...servers, all], { title: 'Token of which remote engine?' }) : servers[0];
  if (!chosen) {
    return;
  }
  const these = chosen === all ? servers : [chosen];
  const prompt = `The bearer token that ${these.join(', ')} asks for. It is kept in the secret store and sent nowhere else; leave it empty to delete it.`;
  const token = await vscode.window.showInputBox({ title: 'Token of the remote engine', prompt, password: true, ignoreFocusOut: true });
  if (token !== undefined) {
    await settings.setToken(these, token.trim());
    running.settingsChanged();
  }
}

async function showDoctor(running: Server, settings: Settings, report: Report): Promise<void> {
  const progress = { location: vscode.ProgressLocation.Window, title: 'Code Llama: looking at what works here' };
  await report.show('What works here', await vscode.window.withProgress(progress, () => doctor(running, settings.ofServer())));
}

function withEditor<T>(work: (editor: vscode.TextEditor) => T): T {
  const editor = vscode.window.activeTextEditor;
  if (!editor) {
    throw new Error('Open a file first.');
  }
  return work(editor);
}

import { readFileSync } from 'node:fs';

// Leaves out of the bundle what the language client has for servers other than ours: it is more than half of it.
// A feature that our server comes to have (hover, say) is taken off these lists.

const features = `callHierarchy codeLens colorProvider declaration definition diagnostic documentHighlight documentLink
  documentSymbol fileOperations fileSystemWatcher foldingRange formatting hover implementation inlayHint inlineValue linkedEditingRange
  notebook reference rename selectionRange semanticTokens signatureHelp textDocumentContent typeDefinition typeHierarchy
  workspaceSymbol`.split(/\s+/);
const protocols = `callHierarchy colorProvider declaration diagnostic fileOperations foldingRange implementation inlayHint
  inlineValue linkedEditingRange moniker notebook selectionRange semanticTokens textDocumentContent typeDefinition
  typeHierarchy`.split(/\s+/);

// Kinds of values that only those features have.
const types = `DocumentUri integer Color ColorInformation ColorPresentation FoldingRange TextDocumentIdentifier
  VersionedTextDocumentIdentifier LanguageKind TextDocumentItem CompletionList MarkedString Hover
  ParameterInformation SignatureInformation DocumentHighlight SymbolInformation WorkspaceSymbol DocumentSymbol
  FormattingOptions SelectionRange SemanticTokenTypes SemanticTokenModifiers SemanticTokens
  InlineValueEvaluatableExpression InlineCompletionItem InlineCompletionList SelectedCompletionInfo
  InlineCompletionContext`.split(/\s+/);

const FEATURE = `class Unused {
  getState() { return { kind: 'static' }; }
  fillClientCapabilities() {}
  initialize() {}
  clear() {}
}
module.exports = new Proxy({}, { get: (_, name) => name === '__esModule' || Unused });`;
// Requests that nobody sends: only their names are looked at.
const PROTOCOL = `const none = { type: { method: '' }, method: '' };
module.exports = new Proxy({}, { get: (_, name) => name === '__esModule' || none });`;
// The editor itself checks that its version is one that this extension takes.
const VERSIONS = `module.exports = (version) => version ?? true;`;

const HELPER = /^var __(?:createBinding|setModuleDefault|importStar|exportStar) = \(this &&[^]*?^\}[)(]*;\n/gm;
const REEXPORT = /Object\.defineProperty\(exports, "(\w+)", \{ enumerable: true, get: function \(\) \{ return ([\w$.]+); \} \}\);/g;

/** An esbuild plugin; goes with `helpers.js` injected. */
export const unused = {
  name: 'unused',
  setup(build) {
    const one = (names) => `(?:${names.join('|')})`;
    const instead = (filter, contents) => build.onLoad({ filter }, () => ({ contents, loader: 'js' }));
    instead(new RegExp(`vscode-languageclient[\\\\/]lib[\\\\/]common[\\\\/]${one(features)}\\.js$`), FEATURE);
    instead(new RegExp(`vscode-languageserver-protocol[\\\\/]lib[\\\\/]common[\\\\/]protocol\\.${one(protocols)}\\.js$`), PROTOCOL);
    instead(/vscode-jsonrpc[\\/]lib[\\/]common[\\/]sharedArrayCancellation\.js$/, FEATURE);
    const namespace = new RegExp(`^\\(function \\((${types.join('|')})\\) \\{[^]*?^\\}\\)\\(\\1 \\|\\| \\(\\1 = \\{\\}\\)\\);`, 'gm');
    build.onLoad({ filter: /vscode-languageserver-types[\\/]lib[\\/]esm[\\/]main\.js$/ }, ({ path }) => ({ contents: readFileSync(path, 'utf8').replace(namespace, ''), loader: 'js' }));
    instead(/vscode-languageserver-textdocument[\\/]/, 'export const TextDocument = {};');
    instead(/semver[\\/]functions[\\/](?:parse|satisfies)\.js$/, VERSIONS);
    // What the compiler wrote into each module is there once.
    build.onLoad({ filter: /vscode-(?:languageclient|languageserver-protocol|jsonrpc)[\\/]lib[\\/].*\.js$/ }, ({ path }) => {
      const text = readFileSync(path, 'utf8').replace(HELPER, '').replace(REEXPORT, '__reexport(exports, "$1", () => $2);');
      return { contents: text, loader: 'js' };
    });
  },
};

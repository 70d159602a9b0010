/** The page of the chat panel. Its policy: own scripts and styles alone, nothing from elsewhere, no inline script. */
import { randomBytes } from 'node:crypto';
import * as vscode from 'vscode';

export function page(webview: vscode.Webview, extension: vscode.Uri): string {
  const nonce = randomBytes(16).toString('base64');
  const at = (name: string): vscode.Uri => webview.asWebviewUri(vscode.Uri.joinPath(extension, 'dist', 'webview', name));
  const policy = [
    "default-src 'none'",
    `style-src ${webview.cspSource}`,
    `script-src 'nonce-${nonce}'`,
    "base-uri 'none'",
    "form-action 'none'",
  ].join('; ');
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="${String(at('chat.css'))}">
<title>Code Llama chat</title>
</head>
<body>
<main id="chat"></main>
<script nonce="${nonce}" src="${String(at('main.js'))}"></script>
</body>
</html>`;
}

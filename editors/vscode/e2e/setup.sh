#!/bin/bash
# Installs what the extension is built with, and what its tests in real VS Code need: a browser, git, VS Code's server and
# a Node for it. Runs no install script.
set -eu
cd "$(dirname "$0")"
export HOME="${HOME:-/root}" npm_config_audit=false npm_config_fund=false npm_config_update_notifier=false

missing=()
command -v "${CHROMIUM:-chromium}" > /dev/null || missing+=(chromium fonts-dejavu-core)
command -v git > /dev/null || missing+=(git)
if [ ${#missing[@]} -gt 0 ]; then
  apt-get update && apt-get install -y --no-install-recommends "${missing[@]}"
fi

[ -d ../node_modules/esbuild ] || (cd .. && npm install --ignore-scripts)
stamp=node_modules/.complete
wanted="$(cat package.json)"
if [ "$(cat "$stamp" 2> /dev/null || true)" != "$wanted" ]; then
  npm install --no-package-lock --ignore-scripts
  # Not `npm ci`: the shrinkwrap that is shipped does not fit its package.json.
  (cd node_modules/code-server/lib/vscode && npm install --no-package-lock --omit=dev --ignore-scripts)
  printf '%s\n' "$wanted" > "$stamp"
fi

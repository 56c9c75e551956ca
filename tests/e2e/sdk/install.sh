#!/usr/bin/env bash
# Installs the pinned client libraries into DIR, outside the checkout; nothing is done twice.
#   tests/e2e/sdk/install.sh DIR
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
dir=${1:?where to install}
mkdir -p "$dir"

if ! cmp -s "$here/requirements.txt" "$dir/requirements.installed"; then
    python3 -m venv "$dir/venv"
    "$dir/venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt"
    cp "$here/requirements.txt" "$dir/requirements.installed"
fi
if ! cmp -s "$here/package.json" "$dir/package.installed"; then
    cp "$here/package.json" "$dir/package.json"
    npm install --prefix "$dir" --silent --no-audit --no-fund --ignore-scripts
    cp "$here/package.json" "$dir/package.installed"
fi

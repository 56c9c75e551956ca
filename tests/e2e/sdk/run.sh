#!/usr/bin/env bash
# Real client libraries against a real server: what they sign is accepted, what they refuse is refused.
#   tests/e2e/sdk/run.sh BINARY
# HOOKWARD_SDK_DIR names a folder that already has the libraries (install.sh); without it a temporary one is filled.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
binary=$(realpath -e "${1:?usage: run.sh BINARY}")
# shellcheck source=.ci/serve.sh
. "$here/../../../.ci/serve.sh"

work=$(mktemp -d)
clean_up() {
    stop_server || true
    rm -rf "$work"
}
trap clean_up EXIT

sdk=${HOOKWARD_SDK_DIR:-$work/sdk}
"$here/install.sh" "$sdk"

# New keys for every run: nothing but the signature can make a request pass.
eval "$(node "$here/keys.mjs")"

cp "$here/routes.yaml" "$work/routes.yaml"
start_server "$work/server" "$binary" "$work/routes.yaml"

failed=0
"$sdk/venv/bin/python" "$here/sign.py" "$SERVER_URL" || failed=1
# Node looks for packages beside the script, not beside the caller.
cp "$here/sign.mjs" "$here/senders.mjs" "$sdk/"
node "$sdk/sign.mjs" "$SERVER_URL" || failed=1

if [ "$failed" -ne 0 ]; then
    echo "the server said:" >&2
    tail -n 40 "$work/server.err" >&2
fi
stop_server || { echo "the server did not end with 0" >&2; failed=1; }
exit "$failed"

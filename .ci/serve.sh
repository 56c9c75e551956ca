# shellcheck shell=bash
# Starting and stopping a server from a script. Sourced by `.ci/run` and `tests/e2e/sdk/run.sh`.

# start_server LOG BINARY ROUTES: starts the binary on free ports and waits until it is ready.
# Sets SERVER_PID and SERVER_URL. The output of the server goes to LOG.out and LOG.err.
start_server() {
    local log=$1 binary=$2 routes=$3 tries
    "$binary" serve "$routes" --listen 127.0.0.1:0 --admin 127.0.0.1:0 \
        >"$log.out" 2>"$log.err" </dev/null &
    SERVER_PID=$!
    SERVER_URL=
    for ((tries = 0; tries < 300; tries++)); do
        SERVER_URL=$(sed -n 's|^listening on \(http://[^ ]*\)$|\1|p' "$log.out" | head -n 1)
        [ -z "$SERVER_URL" ] || return 0
        kill -0 "$SERVER_PID" 2>/dev/null || break
        sleep 0.1
    done
    echo "the server exited, or did not print 'listening on http://ADDR' within 30 s; its output:" >&2
    cat "$log.out" "$log.err" >&2
    stop_server || true
    return 1
}

# stop_server: sends SIGTERM and returns the exit status of the server, which must exit with 0 within 30 s. Succeeds when no server runs.
stop_server() {
    local pid=${SERVER_PID:-} tries
    [ -n "$pid" ] || return 0
    SERVER_PID=
    kill "$pid" 2>/dev/null || true
    for ((tries = 0; tries < 350; tries++)); do
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.1
    done
    if kill -0 "$pid" 2>/dev/null; then
        echo "the server outlived SIGTERM by 35 s" >&2
        kill -9 "$pid" 2>/dev/null || true
    fi
    wait "$pid"
}

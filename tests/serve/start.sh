# tests/serve/start.sh - a `larder serve` of a script test's own. Sourced, with the path of the command
# as $1, in place of tests/cli/start.sh, which it sources.
#
#   start_server ARGUMENT...   starts one on a free port of $where; sets $server, and what it said:
#                              $line, and $port, which is empty if it did not start. Its standard
#                              error is in $work/server.err
#   stop_server                ends it; sets $code, its exit code. What runs at the end ends it, too
# shellcheck shell=bash disable=SC2034,SC2154
. "$(dirname "${BASH_SOURCE[0]}")/../cli/start.sh"
server= line= port= where=127.0.0.1:0

stop_server() {
    kill -TERM "$server" 2>/dev/null
    wait "$server"
    code=$?
    server=
}

end() {
    [[ -z $server ]] || stop_server
    cleanup
}
trap end EXIT
trap 'exit 143' TERM INT HUP

start_server() { # ARGUMENT...
    line= port=
    : >"$work/server.err"
    "$larder" serve --listen "$where" "$@" 2>"$work/server.err" &
    server=$!
    for _ in {1..15000}; do
        line=$(grep -m 1 "DynamoDB at" "$work/server.err") && break
        kill -0 "$server" 2>/dev/null || break
        sleep 0.02
    done
    [[ $line =~ :([0-9]+)[,\ ] ]] && port=${BASH_REMATCH[1]}
}

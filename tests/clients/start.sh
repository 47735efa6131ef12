# tests/clients/start.sh - how a suite of a client begins: an endpoint of its own, and its packages.
#
# Sourced, with the path of the command as $1. As tests/serve/start.sh, which it sources; then
#   needs_npm           packages of package-lock.json, installed by script/bootstrap --clients, and
#                       a Node.js that they run on; else the suite ends as skipped
#   serve ARGUMENT...   starts `larder serve`, sets $ENDPOINT, $SERVER and what clients read from
#                       the environment; signatures are checked
#   client COMMAND...   runs a program that closes with "N passed, N failed", and counts
#   finish              the last line of the suite
# shellcheck shell=bash disable=SC2034,SC2154
. "$(dirname "${BASH_SOURCE[0]}")/../serve/start.sh"
root=$(realpath "$start/../..")

skip() { # WHY: a suite whose client is missing is not counted as passed
    echo "skipped: $1"
    echo "$passed passed, $failed failed"
    ((failed == 0))
    exit
}

node_version() { # COMMAND
    "$1" -p 'process.versions.node.split(".")[0]' 2>/dev/null || echo 0
}

needs_npm() {
    local candidate packages=$root/build/clients
    cmp -s "$here/package-lock.json" "$packages/installed-lock.json" ||
        skip "the npm packages are not installed: script/bootstrap --clients"
    for candidate in node "$packages"/node_modules/node-linux-*/bin/node; do
        node=$(command -v "$candidate") && (($(node_version "$node") >= 22)) && break
        node=
    done
    [[ -n $node ]] || skip "no Node.js of version 22 or later"
    export NODE_PATH=$packages/node_modules
}

serve() { # ARGUMENT...
    printf '[default]\naws_access_key_id = AKIALARDERTEST\naws_secret_access_key = secret/of+a=test\n' >"$work/credentials"
    start_server --credentials "$work/credentials" "$@"
    if [[ -z $port ]]; then
        cat "$work/server.err"
        verdict "larder serve starts" "no line that says where"
        finish
    fi
    export ENDPOINT=http://127.0.0.1:$port SERVER=$server LARDER=$larder
    export AWS_ACCESS_KEY_ID=AKIALARDERTEST AWS_SECRET_ACCESS_KEY=secret/of+a=test
    export AWS_REGION=eu-west-2 AWS_DEFAULT_REGION=eu-west-2 AWS_EC2_METADATA_DISABLED=true
    export AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=$work/credentials
    export HOME=$work NO_PROXY=127.0.0.1 no_proxy=127.0.0.1
    unset AWS_SESSION_TOKEN AWS_PROFILE HTTP_PROXY HTTPS_PROXY http_proxy https_proxy
}

client() { # COMMAND...
    local last
    "$@" >"$work/client.out" 2>&1
    local status=$?
    last=$(tail -n 1 "$work/client.out")
    if [[ $last =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]]; then
        passed=$((passed + BASH_REMATCH[1]))
        failed=$((failed + BASH_REMATCH[2]))
        sed '$d' "$work/client.out"
        ((status == 0 || BASH_REMATCH[2] > 0)) || verdict "$*" "ended with status $status"
    else
        cat "$work/client.out"
        verdict "$*" "ended with status $status, without a count"
    fi
}

finish() {
    echo "$passed passed, $failed failed"
    ((failed == 0))
    exit
}

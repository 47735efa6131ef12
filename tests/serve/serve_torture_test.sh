#!/bin/bash
# tests/serve/serve_torture_test.sh - clients write over HTTP while workers are killed.
#
# Goal     SIGKILL of workers of `larder serve`, and of other processes of the segment, loses no
#          write that a client was told of, does none twice, and shows nobody half of one.
# Method   serve_torture.py: clients of several kinds, each of which knows what must be there.
#          LARDER_SEED repeats their choices, TORTURE_SECONDS says how long; LARDER_TEST_LONG: ten
#          minutes. Needs Python's standard library alone.
# Usage    tests/serve/serve_torture_test.sh PATH-OF-LARDER
# shellcheck source=tests/cli/start.sh
. "$(dirname "$0")/../cli/start.sh"

server=
end() {
    if [[ -n $server ]]; then
        kill -TERM "$server" 2>/dev/null
        wait "$server"
    fi
    cleanup
}
trap end EXIT
trap 'exit 143' TERM INT HUP

# A process that is killed while it looks for leaks says that it could not: no fault of ours.
export ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0

"$larder" serve --listen 127.0.0.1:0 --workers 3 --size 32M 2>server.err &
server=$!
for _ in {1..1500}; do
    line=$(grep -m 1 "DynamoDB at" server.err) && break
    kill -0 "$server" 2>/dev/null || break
    sleep 0.02
done
if [[ ! $line =~ http://127.0.0.1:([0-9]+) ]]; then
    cat server.err
    verdict "larder serve starts" "no line that says where"
else
    python3 "$here/serve_torture.py" "$larder" "$server" "${BASH_REMATCH[1]}" >torture.out 2>&1
    status=$?
    cat torture.out
    same "every client found what it was told of" "$status" 0
    expect "the segment is sound" 0 "*" "" check
    kill -TERM "$server"
    wait "$server"
    same "the server ends by itself" "$?" 0
    server=
    same "it said nothing but deaths" "$(grep -v -e "DynamoDB at" -e "was ended by signal 9 (Killed) and is replaced" server.err)" ""
fi
echo "$passed passed, $failed failed"
((failed == 0))

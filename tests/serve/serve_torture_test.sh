#!/bin/bash
# tests/serve/serve_torture_test.sh - clients write over HTTP while workers are killed.
#
# Goal     SIGKILL of workers of `larder serve`, and of other processes of the segment, loses no
#          write that a client was told of, does none twice, and shows nobody half of one.
# Method   serve_torture.py: clients of several kinds, each of which knows what must be there.
#          LARDER_SEED repeats their choices, TORTURE_SECONDS says how long; LARDER_TEST_LONG: ten
#          minutes. Needs Python's standard library alone.
# Usage    tests/serve/serve_torture_test.sh PATH-OF-LARDER
# shellcheck source=tests/serve/start.sh
. "$(dirname "$0")/start.sh"

# A process that is killed while it looks for leaks says that it could not: no fault of ours.
export ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0

start_server --workers 3 --size 32M
if [[ -z $port ]]; then
    cat server.err
    verdict "larder serve starts" "no line that says where"
else
    python3 "$here/serve_torture.py" "$larder" "$server" "$port" >torture.out 2>&1
    status=$?
    cat torture.out
    same "every client found what it was told of" "$status" 0
    expect "the segment is sound" 0 "*" "" check
    stop_server
    same "the server ends by itself" "$code" 0
    same "it said nothing but deaths" "$(grep -v -e "DynamoDB at" -e "was ended by signal 9 (Killed) and is replaced" server.err)" ""
fi
echo "$passed passed, $failed failed"
((failed == 0))

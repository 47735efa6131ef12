#!/bin/bash
# tests/clients/differential_test.sh - the same random requests to Larder and to dynalite.
#
# Goal     Answers, error types, messages and status are the same, or the difference is one of
#          differential/known.js, which says who is right.
# Method   LARDER_SEED repeats a run, which is printed; LARDER_TEST_LONG asks for 60 times as many.
# Usage    tests/clients/differential_test.sh PATH-OF-LARDER
# shellcheck source=tests/clients/start.sh
. "$(dirname "$0")/start.sh"
needs_npm
serve --size 64M --workers 1
client "$node" "$here/differential/run.js"
finish

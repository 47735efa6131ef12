#!/bin/bash
# tests/clients/shuttle_test.sh - the access patterns of examples/shuttle, by the SDK for JavaScript.
#
# Goal     Each of patterns 1 to 22 gives the answer of brute force over all items, in the table of
#          the example's template.
# Usage    tests/clients/shuttle_test.sh PATH-OF-LARDER
# shellcheck source=tests/clients/start.sh
. "$(dirname "$0")/start.sh"
needs_npm
serve --size 128M --workers 2 --create "$root/examples/shuttle/InavorShuttle-dev.template.json"
client "$node" "$here/shuttle.js"
finish

#!/bin/bash
# tests/clients/onetable_test.sh - OneTable against larder serve.
#
# Goal     Models of one table: unique fields, references, pages, transactions, expiry.
# Usage    tests/clients/onetable_test.sh PATH-OF-LARDER
# shellcheck source=tests/clients/start.sh
. "$(dirname "$0")/start.sh"
needs_npm
serve --size 64M --workers 2
client "$node" "$here/onetable.js"
finish

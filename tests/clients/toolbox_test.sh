#!/bin/bash
# tests/clients/toolbox_test.sh - DynamoDB Toolbox 2 against larder serve.
#
# Goal     Entities: commands of an item, queries over a table and an index, batches, transactions.
# Usage    tests/clients/toolbox_test.sh PATH-OF-LARDER
# shellcheck source=tests/clients/start.sh
. "$(dirname "$0")/start.sh"
needs_npm
serve --size 64M --workers 2
client "$node" "$here/toolbox.js"
finish

#!/bin/bash
# tests/clients/dynamoose_test.sh - Dynamoose against larder serve.
#
# Goal     A table that it creates itself, models, queries, updates, transactions.
# Usage    tests/clients/dynamoose_test.sh PATH-OF-LARDER
# shellcheck source=tests/clients/start.sh
. "$(dirname "$0")/start.sh"
needs_npm
serve --size 64M --workers 2
client "$node" "$here/dynamoose.js"
finish

#!/bin/bash
# tests/clients/electrodb_test.sh - ElectroDB against larder serve.
#
# Goal     Entities, collections, conditions, pages, transactions.
# Usage    tests/clients/electrodb_test.sh PATH-OF-LARDER
# shellcheck source=tests/clients/start.sh
. "$(dirname "$0")/start.sh"
needs_npm
serve --size 64M --workers 2
client "$node" "$here/electrodb.js"
finish

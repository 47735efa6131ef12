#!/bin/bash
# tests/clients/dynamodb_admin_test.sh - dynamodb-admin, a browser of tables, on larder serve.
#
# Goal     Its pages show what is there; a table is made, an item added, edited and deleted. In a
#          headless Chromium as by hand: a table is opened, an item edited and saved.
# Usage    tests/clients/dynamodb_admin_test.sh PATH-OF-LARDER
# shellcheck source=tests/clients/start.sh
. "$(dirname "$0")/start.sh"
needs_npm
serve --size 32M --workers 2
export CHROMIUM
CHROMIUM=$(command -v chromium || true)
client "$node" "$here/dynamodb_admin.js"
finish

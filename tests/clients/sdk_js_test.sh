#!/bin/bash
# tests/clients/sdk_js_test.sh - the SDK for JavaScript v3 against larder serve.
#
# Goal     Every operation, the paginators, the waiters, typed errors, retries, the document client.
# Usage    tests/clients/sdk_js_test.sh PATH-OF-LARDER
# shellcheck source=tests/clients/start.sh
. "$(dirname "$0")/start.sh"
needs_npm
serve --size 64M --workers 2
client "$node" "$here/sdk_js.js"
client "$node" "$here/sdk_js_document.js"
finish

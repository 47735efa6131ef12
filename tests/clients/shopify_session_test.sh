#!/bin/bash
# tests/clients/shopify_session_test.sh - Shopify's session storage for DynamoDB against larder serve.
#
# Goal     Sessions are stored, loaded, found by shop and deleted, as an app of Shopify's does it.
# Usage    tests/clients/shopify_session_test.sh PATH-OF-LARDER
# shellcheck source=tests/clients/start.sh
. "$(dirname "$0")/start.sh"
needs_npm
serve --size 64M --workers 2
client "$node" "$here/shopify_session.js"
finish

#!/bin/bash
# tests/clients/go_sdk_test.sh - the SDK for Go v2 against larder serve.
#
# Goal     Tables and their waiter, items, conditions with typed errors, pages, batches, transactions.
# Method   Debian's golang-github-aws-aws-sdk-go-v2-dev, compiled without modules. The first build
#          takes a minute; build/clients keeps it.
# Usage    tests/clients/go_sdk_test.sh PATH-OF-LARDER
# shellcheck source=tests/clients/start.sh
. "$(dirname "$0")/start.sh"
command -v go >/dev/null || skip "no Go: script/bootstrap --go"
[[ -d /usr/share/gocode/src/github.com/aws/aws-sdk-go-v2/service/dynamodb ]] ||
    skip "no SDK for Go: script/bootstrap --go"
mkdir -p "$root/build/clients"
if ! GO111MODULE=off GOPATH=/usr/share/gocode GOFLAGS=-trimpath GOCACHE=$root/build/clients/go-cache \
    go build -p 1 -o "$work/go_sdk" "$here/go/go_sdk.go"; then
    verdict "go build" "failed"
    finish
fi
serve --size 32M --workers 2
client "$work/go_sdk"
finish

#!/bin/bash
# tests/cli/expressions_test.sh - conditions, updates, filters and projections of the larder command.
#
# Goal     The options that users of `aws dynamodb` know do here what they do there; a condition that
#          is not true is exit code 9.
# Method   As cli_test.sh.
# Usage    tests/cli/expressions_test.sh PATH-OF-LARDER
# shellcheck disable=SC2016,SC2088,SC2089
set -u
export LC_ALL=C
if [[ $# -lt 1 || ! -x $1 ]]; then
    echo "usage: $0 PATH-OF-LARDER" >&2
    exit 2
fi
larder=$(realpath "$1")
here=$(realpath "$(dirname "$0")")
work=$(mktemp -d)
export LARDER_SEGMENT=${LARDER_TEST_PREFIX:-larder-cli-test}-expressions-$$
passed=0
failed=0

cleanup() {
    "$larder" destroy --force >/dev/null 2>&1
    rm -rf "$work"
}
trap cleanup EXIT
cd "$work" || exit 2
exec </dev/null

# shellcheck source=tests/cli/expect.sh
. "$here/expect.sh"

echo '{"TableName": "Shops", "AttributeDefinitions": [{"AttributeName": "PK", "AttributeType": "S"},
  {"AttributeName": "SK", "AttributeType": "S"}],
 "KeySchema": [{"AttributeName": "PK", "KeyType": "HASH"}, {"AttributeName": "SK", "KeyType": "RANGE"}]}' >shops.json
expect "create" 0 "" "" create --size 8M shops.json

one='{"PK":{"S":"E"},"SK":{"S":"one"}}'
three='{":n":{"N":"3"}}'
is_new='attribute_not_exists(PK)'
expect "put: if new" 0 "" "" put Shops '{"PK":{"S":"E"},"SK":{"S":"one"},"stock":{"N":"5"}}' --condition-expression "$is_new"
expect "put: not new" 9 "" "~condition is not true" put Shops '{"PK":{"S":"E"},"SK":{"S":"one"}}' --condition-expression "$is_new"
sell=(update Shops "$one" --update-expression 'SET #s = #s - :n' --condition-expression '#s >= :n'
    --expression-attribute-names '{"#s":"stock"}' --expression-attribute-values "$three")
expect "update" 0 '~"stock":{"N":"2"}' "" "${sell[@]}" --return-values ALL_NEW
expect "update: refused" 9 "" "~condition is not true" "${sell[@]}"
expect "update: old" 0 '~"stock":{"N":"2"}' "" update Shops "$one" --update-expression 'ADD stock :n' \
    --expression-attribute-values "$three" --return-values ALL_OLD
expect "update: makes it" 0 '~"hits":{"N":"3"}' "" update Shops '{"PK":{"S":"E"},"SK":{"S":"two"}}' \
    --update-expression 'ADD hits :n' --expression-attribute-values "$three" --return-values ALL_NEW
expect "update: a key" 3 "" "~part of the key" update Shops "$one" --update-expression 'SET SK = :n' \
    --expression-attribute-values "$three"
expect "update: syntax" 3 "" "~Invalid UpdateExpression" update Shops "$one" --update-expression 'SET'
expect "update: which values" 2 "" "~ALL_OLD and ALL_NEW are allowed" update Shops "$one" --return-values SOME
expect "update: names" 3 "" "~a string is needed" update Shops "$one" --expression-attribute-names '{"#s":1}'
expect "update: names are no object" 3 "" "~an object is needed" update Shops "$one" --expression-attribute-names '[]'
by_key=(query Shops --key-condition-expression 'PK = :p' --expression-attribute-values)
expect "query: key condition" 0 '~"one"*"two"' "" "${by_key[@]}" '{":p":{"S":"E"}}'
expect "query: filter" 0 '~"one"' "" "${by_key[@]}" '{":p":{"S":"E"},":n":{"N":"3"}}' --filter-expression 'stock > :n'
matches "$got_out" '~"two"'
check "query: filtered" test $? -ne 0
expect "query: projection" 0 '={"hits":{"N":"3"}}' "" "${by_key[@]}" '{":p":{"S":"E"},":n":{"N":"1"}}' \
    --filter-expression 'hits > :n' --projection-expression hits
expect "query: pk or condition" 2 "" "~do not go together" "${by_key[@]}" '{":p":{"S":"E"}}' --pk E
expect "query: key condition on another" 3 "" "~Query" query Shops --key-condition-expression 'stock = :p' \
    --expression-attribute-values '{":p":{"N":"1"}}'
expect "scan: filter" 0 '={"SK":{"S":"two"}}' "" scan Shops --filter-expression 'hits = :n' \
    --projection-expression SK --expression-attribute-values "$three"
expect "delete: refused" 9 "" "~condition is not true" delete Shops "$one" --condition-expression 'attribute_exists(hits)'
expect "delete: condition" 0 "" "" delete Shops "$one" --condition-expression 'attribute_exists(stock)'
expect "delete: the other" 0 "" "" delete Shops '{"PK":{"S":"E"},"SK":{"S":"two"}}'
expect "destroy" 0 "" "" destroy

echo "$passed passed, $failed failed"
[[ $failed -eq 0 ]]

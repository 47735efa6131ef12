#!/bin/bash
# tests/cli/expressions_test.sh - conditions, updates, filters and projections of the larder command.
#
# Goal     The options that users of `aws dynamodb` know do here what they do there; a condition that
#          is not true is exit code 9.
# Method   As cli_test.sh.
# Usage    tests/cli/expressions_test.sh PATH-OF-LARDER
# shellcheck disable=SC2016,SC2088,SC2089
# shellcheck source=tests/cli/start.sh
. "$(dirname "$0")/start.sh"

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
expect "update: which values" 2 "" "~ALL_NEW, UPDATED_OLD and UPDATED_NEW are allowed" update Shops "$one" --return-values SOME
expect "update: what was updated, old" 0 '={"hits":{"N":"3"}}' "" update Shops '{"PK":{"S":"E"},"SK":{"S":"two"}}' \
    --update-expression 'ADD hits :n SET seen = :n' --expression-attribute-values "$three" --return-values UPDATED_OLD
expect "update: what was updated, new" 0 '={"hits":{"N":"3"}}' "" update Shops '{"PK":{"S":"E"},"SK":{"S":"two"}}' \
    --update-expression 'SET hits = :n REMOVE seen' --expression-attribute-values "$three" --return-values UPDATED_NEW
expect "update: nothing was updated" 0 "" "" update Shops '{"PK":{"S":"E"},"SK":{"S":"two"}}' \
    --update-expression 'REMOVE seen' --return-values UPDATED_NEW
expect "update: refused, and printed" 9 '~"stock":{"N":"5"}' "~condition is not true" update Shops "$one" \
    --condition-expression 'attribute_not_exists(PK)' --return-values-on-condition-check-failure ALL_OLD
expect "put: old" 0 '~"stock":{"N":"5"}' "" put Shops '{"PK":{"S":"E"},"SK":{"S":"one"},"stock":{"N":"5"}}' --return-values ALL_OLD
expect "put: which values" 2 "" "~NONE and ALL_OLD are allowed" put Shops "$one" --return-values ALL_NEW
expect "delete: which values" 2 "" "~--return-values-on-condition-check-failure ALL_NEW: NONE and ALL_OLD are allowed" \
    delete Shops "$one" --return-values-on-condition-check-failure ALL_NEW
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
expect "query: count" 0 '={"Count":1,"ScannedCount":2}' "" "${by_key[@]}" '{":p":{"S":"E"},":n":{"N":"3"}}' \
    --filter-expression 'stock > :n' --select COUNT
expect "scan: count" 0 '={"Count":2,"ScannedCount":2}' "" scan Shops --select COUNT
expect "scan: count of a part" 0 '={"Count":1,"ScannedCount":1}' "~more:" scan Shops --select COUNT --limit 1
expect "scan: select" 2 "" "~COUNT is allowed" scan Shops --select ALL
expect "query: count and projection" 3 "" "~ProjectionExpression when choosing to get only the Count" "${by_key[@]}" \
    '{":p":{"S":"E"}}' --select COUNT --projection-expression hits
echo '{"TableName": "Jobs", "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"},
  {"AttributeName": "state", "AttributeType": "S"}], "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
 "GlobalSecondaryIndexes": [{"IndexName": "by-state", "KeySchema": [{"AttributeName": "state", "KeyType": "HASH"}],
  "Projection": {"ProjectionType": "KEYS_ONLY"}}]}' >jobs.json
expect "create: with an index" 0 "" "" create jobs.json
expect "put: in the index" 0 "" "" put Jobs '{"id":{"S":"1"},"state":{"S":"new"},"more":{"N":"1"}}'
expect "put: not in the index" 0 "" "" put Jobs '{"id":{"S":"2"},"more":{"N":"1"}}'
expect "scan: index" 0 '={"id":{"S":"1"},"state":{"S":"new"}}' "" scan Jobs --index by-state
expect "scan: no such index" 4 "" "~no index by-nothing" scan Jobs --index by-nothing
expect "delete: refused" 9 "" "~condition is not true" delete Shops "$one" --condition-expression 'attribute_exists(hits)'
expect "delete: condition" 0 '~"stock":{"N":"5"}' "" delete Shops "$one" --condition-expression 'attribute_exists(stock)' \
    --return-values ALL_OLD
expect "delete: the other" 0 "" "" delete Shops '{"PK":{"S":"E"},"SK":{"S":"two"}}'
expect "destroy" 0 "" "" destroy

echo "$passed passed, $failed failed"
[[ $failed -eq 0 ]]

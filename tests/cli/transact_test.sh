#!/bin/bash
# tests/cli/transact_test.sh - larder transact: actions of a file, all or none.
#
# Goal     The file that `aws dynamodb transact-write-items --transact-items` takes does here what it
#          does there; a condition that is not true is exit code 9, names the action and changes
#          nothing; what is wrong in a file is said with its place.
# Method   As cli_test.sh.
# Usage    tests/cli/transact_test.sh PATH-OF-LARDER
# shellcheck source=tests/cli/start.sh
. "$(dirname "$0")/start.sh"

for table in Shops Jobs; do
    echo '{"TableName": "'$table'", "AttributeDefinitions": [{"AttributeName": "PK", "AttributeType": "S"}],
     "KeySchema": [{"AttributeName": "PK", "KeyType": "HASH"}]}' >$table.json
done
expect "create" 0 "" "" create --size 8M Shops.json Jobs.json

expect_file() { # NAME CODE OUT ERR JSON [ARGUMENT...]
    local name=$1 code=$2 out=$3 err=$4
    printf '%s' "$5" >transaction.json
    shift 5
    expect "$name" "$code" "$out" "$err" transact transaction.json "$@"
}

free='"ConditionExpression":"attribute_not_exists(running) OR running = :no","ExpressionAttributeValues":{":no":{"BOOL":false},":yes":{"BOOL":true}}'
start='[{"Update":{"TableName":"Shops","Key":{"PK":{"S":"a"}},"UpdateExpression":"SET running = :yes",'$free'}},
 {"Put":{"TableName":"Jobs","Item":{"PK":{"S":"j1"},"shop":{"S":"a"}},"ConditionExpression":"attribute_not_exists(#k)","ExpressionAttributeNames":{"#k":"PK"}}}]'
expect_file "both" 0 "" "" "$start"
expect "both: the first" 0 '~"running":{"BOOL":true}' "" get Shops '{"PK":{"S":"a"}}'
expect "both: the second" 0 '~"shop":{"S":"a"}' "" get Jobs '{"PK":{"S":"j1"}}'
expect_file "refused" 9 "" '~?0?.Update: table "Shops": the condition is not true' "${start/j1/j2}"
expect "refused: nothing was put" 1 "" "*" get Jobs '{"PK":{"S":"j2"}}'
expect_file "refused: the second" 9 '={"PK":{"S":"j1"},"shop":{"S":"a"}}' '~?1?.ConditionCheck: table "Jobs"' \
    '[{"Delete":{"TableName":"Shops","Key":{"PK":{"S":"a"}}}},
      {"ConditionCheck":{"TableName":"Jobs","Key":{"PK":{"S":"j1"}},"ConditionExpression":"attribute_not_exists(PK)",
       "ReturnValuesOnConditionCheckFailure":"ALL_OLD"}}]'
expect "refused: nothing was deleted" 0 "*" "" get Shops '{"PK":{"S":"a"}}'

once='{"TransactItems":[{"Update":{"TableName":"Shops","Key":{"PK":{"S":"n"}},"UpdateExpression":"ADD n :n","ExpressionAttributeValues":{":n":{"N":"1"}}}}],"ClientRequestToken":"t-1"}'
expect_file "token" 0 "" "" "$once"
expect_file "token: again" 0 "" "" "$once"
expect "token: done once" 0 '~"n":{"N":"1"}' "" get Shops '{"PK":{"S":"n"}}'
expect_file "token: as an option" 0 "" "" "$once" --client-request-token t-2
expect "token: another one" 0 '~"n":{"N":"2"}' "" get Shops '{"PK":{"S":"n"}}'
expect_file "token: other contents" 3 "" "~token" "${once/\"N\":\"1\"/\"N\":\"5\"}"
asked="${once%?},\"ReturnConsumedCapacity\":\"TOTAL\",\"ReturnItemCollectionMetrics\":\"SIZE\"}"
expect_file "what a response has besides" 0 "" "" "$asked"
expect_file "an unknown capacity" 3 "" "~ReturnConsumedCapacity: INDEXES, TOTAL or NONE" "${asked/TOTAL/ALL}"
expect_file "unknown metrics" 3 "" "~ReturnItemCollectionMetrics: SIZE or NONE" "${asked/\"SIZE\"/\"TOTAL\"}"
expect_file "a capacity that is no text" 3 "" "~ReturnConsumedCapacity: a string" "${asked/\"TOTAL\"/1}"
printf '%s' "$once" >piped.json
check "standard input" "$larder" transact - --client-request-token t-3 <piped.json
expect "names with zero bytes" 0 "" "" transact - < <(printf '[{"Put":{"TableName":"Shops","Item":{"PK":{"S":"z"},"a\\u0000b":{"S":"c\\u0000d"}}}}]')

expect_file "no array" 3 "" "~Put: no member" '{"Put":{}}'
expect_file "no action" 3 "" "~array of 1 to 100 actions" '[]'
expect_file "not an action" 3 "" "~?0?: an object with one of Put" '[{"Get":{}}]'
expect_file "an unknown member" 3 "" "~?0?.Delete.Item: no member" '[{"Delete":{"TableName":"Shops","Item":{}}}]'
expect_file "an unknown member of the request" 3 "" "~Extra: no member" '{"TransactItems":[{"Delete":{}}],"Extra":1}'
expect_file "no table's name" 3 "" "~?0?.Put.TableName: is missing" '[{"Put":{"Item":{"PK":{"S":"a"}}}}]'
expect_file "no such table" 4 "" "~Nowhere" '[{"Put":{"TableName":"Nowhere","Item":{"PK":{"S":"a"}}}}]'
expect_file "no item" 3 "" "~?0?.Put.Item: is missing" '[{"Put":{"TableName":"Shops"}}]'
expect_file "no condition" 3 "" "~?0?.ConditionCheck.ConditionExpression: is missing" \
    '[{"ConditionCheck":{"TableName":"Shops","Key":{"PK":{"S":"a"}}}}]'
expect_file "wrong returns" 3 "" "~NONE and ALL_OLD are allowed" \
    '[{"Delete":{"TableName":"Shops","Key":{"PK":{"S":"a"}},"ReturnValuesOnConditionCheckFailure":"ALL_NEW"}}]'
expect_file "a wrong value" 3 "" "~?0?.Put.Item.PK" '[{"Put":{"TableName":"Shops","Item":{"PK":{"N":"x"}}}}]'
expect_file "syntax" 3 "" "~Invalid ConditionExpression" \
    '[{"Delete":{"TableName":"Shops","Key":{"PK":{"S":"a"}},"ConditionExpression":"x ="}}]'
expect_file "the same item twice" 3 "" "~item" \
    '[{"Delete":{"TableName":"Shops","Key":{"PK":{"S":"a"}}}},{"Delete":{"TableName":"Shops","Key":{"PK":{"S":"a"}}}}]'
expect "after all of it" 0 "*" "" check

echo "$passed passed, $failed failed"
[[ $failed -eq 0 ]]

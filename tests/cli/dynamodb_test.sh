#!/bin/bash
# tests/cli/dynamodb_test.sh - larder dynamodb: requests of DynamoDB's API by hand.
#
# Goal     What users of `aws dynamodb ... --cli-input-json` write works here, from CreateTable to
#          DeleteTable; an error is the service's, and has an exit code.
# Not here The operations themselves: tests/dynamodb/.
# Method   As cli_test.sh.
# Usage    tests/cli/dynamodb_test.sh PATH-OF-LARDER
# shellcheck disable=SC2016,SC2088,SC2089
# shellcheck source=tests/cli/start.sh
. "$(dirname "$0")/start.sh"

expect "no segment" 4 "" "~does not exist" dynamodb ListTables
echo '{"TableName": "First", "AttributeDefinitions": [{"AttributeName": "PK", "AttributeType": "S"}],
 "KeySchema": [{"AttributeName": "PK", "KeyType": "HASH"}]}' >first.json
expect "create" 0 "" "" create --size 8M first.json

table='"TableName":"Songs"'
expect "CreateTable" 0 '~"TableStatus":"ACTIVE"' "" dynamodb CreateTable \
    "{$table,\"BillingMode\":\"PAY_PER_REQUEST\",\"AttributeDefinitions\":[{\"AttributeName\":\"Artist\",\"AttributeType\":\"S\"}],
      \"KeySchema\":[{\"AttributeName\":\"Artist\",\"KeyType\":\"HASH\"}]}"
expect "ListTables without a request" 0 '={"TableNames":["First","Songs"]}' "" dynamodb ListTables
expect "PutItem" 0 "={}" "" dynamodb PutItem "{$table,\"Item\":{\"Artist\":{\"S\":\"Nina Simone\"}}}"
expect "GetItem" 0 '={"Item":{"Artist":{"S":"Nina Simone"}}}' "" dynamodb GetItem "{$table,\"Key\":{\"Artist\":{\"S\":\"Nina Simone\"}}}"
expect "a condition that is not true" 9 "~ConditionalCheckFailedException" "" dynamodb DeleteItem \
    "{$table,\"Key\":{\"Artist\":{\"S\":\"Nina Simone\"}},\"ConditionExpression\":\"attribute_exists(Title)\"}"
expect "no such table" 4 "~ResourceNotFoundException" "" dynamodb DescribeTable '{"TableName":"None"}'
expect "bad JSON" 3 "~SerializationException" "" dynamodb GetItem '{'
expect "no such operation" 3 "~UnknownOperationException" "" dynamodb SearchVectors '{}'
expect "no operation" 2 "" "~" dynamodb
echo "{$table}" >scan.json
check "a request from standard input" bash -c "[[ \$('$larder' dynamodb Scan - <scan.json) == *'\"ScannedCount\":1}' ]]"
expect "DeleteTable" 0 '~"TableStatus":"DELETING"' "" dynamodb DeleteTable "{$table}"
expect "it is gone" 0 '={"TableNames":["First"]}' "" dynamodb ListTables

echo "$passed passed, $failed failed"
((failed == 0))

#!/bin/bash
# tests/clients/awscli_test.sh - the AWS CLI (`aws dynamodb`) against larder serve.
#
# Goal     What people type and what stands in their scripts: tables, items, queries with the CLI's
#          own pages, waiters, errors with the CLI's exit codes.
# Method   Debian's awscli, or another in the PATH. A call costs a second of CPU: few of them.
# Usage    tests/clients/awscli_test.sh PATH-OF-LARDER
# shellcheck disable=SC2016
# shellcheck source=tests/clients/start.sh
. "$(dirname "$0")/start.sh"
aws=
for candidate in /usr/bin/aws aws; do
    aws=$(command -v "$candidate") && "$aws" --version >/dev/null 2>&1 && break
    aws=
done
[[ -n $aws ]] || skip "no aws: script/bootstrap --clients"
serve --size 32M --workers 1
export AWS_PAGER="" AWS_MAX_ATTEMPTS=2

cli() { # NAME CODE OUTPUT ERROR ARGUMENT...: runs `aws dynamodb`; patterns as those of expect
    local name=$1 code=$2 out=$3 err=$4 got reason=""
    shift 4
    "$aws" dynamodb --endpoint-url "$ENDPOINT" --output json "$@" >"$work/.out" 2>"$work/.err"
    got=$?
    got_out=$(tr -d ' \n' <"$work/.out")
    got_err=$(<"$work/.err")
    [[ $got == "$code" ]] || reason="exit code $got, not $code; $got_err"
    matches "$got_out" "$out" || reason+=" output: ${got_out:0:300}"
    matches "$got_err" "$err" || reason+=" message: ${got_err:0:300}"
    verdict "$name" "$reason"
}

cli "create-table" 0 '~"TableName":"Songs"' "" create-table --table-name Songs --billing-mode PAY_PER_REQUEST \
    --attribute-definitions AttributeName=Artist,AttributeType=S AttributeName=Title,AttributeType=S \
    --key-schema AttributeName=Artist,KeyType=HASH AttributeName=Title,KeyType=RANGE
cli "wait table-exists" 0 "" "" wait table-exists --table-name Songs
cli "put-item" 0 "" "" put-item --table-name Songs \
    --item '{"Artist": {"S": "Nina Simone"}, "Title": {"S": "Sinnerman"}, "Year": {"N": "1965"}, "Cover": {"B": "AAH/"}}'
cli "get-item" 0 '~"Year":{"N":"1965"}' "" get-item --table-name Songs \
    --key '{"Artist": {"S": "Nina Simone"}, "Title": {"S": "Sinnerman"}}'
same "bytes come back as base64" "$([[ $got_out == *'"B":"AAH/"'* ]] && echo yes)" yes
cli "update-item" 0 '={"Attributes":{"Plays":{"N":"1"}}}' "" update-item --table-name Songs --return-values UPDATED_NEW \
    --key '{"Artist": {"S": "Nina Simone"}, "Title": {"S": "Sinnerman"}}' \
    --update-expression 'ADD Plays :one' --expression-attribute-values '{":one": {"N": "1"}}'
cli "a condition that is not true" 254 "" "~An error occurred (ConditionalCheckFailedException) when calling the PutItem operation: The conditional request failed" \
    put-item --table-name Songs --item '{"Artist": {"S": "Nina Simone"}, "Title": {"S": "Sinnerman"}}' \
    --condition-expression 'attribute_not_exists(Artist)'
cli "no such table" 254 "" "~An error occurred (ResourceNotFoundException) when calling the Scan operation" scan --table-name None
cli "a wrong key" 254 "" "~An error occurred (ValidationException) when calling the GetItem operation: The provided key element does not match the schema" \
    get-item --table-name Songs --key '{"Artist": {"S": "x"}}'

python3 - >many.json <<'PY'
import json
print(json.dumps({"Songs": [{"PutRequest": {"Item": {"Artist": {"S": "Bach"}, "Title": {"S": f"BWV {i:03}"}}}} for i in range(25)]}))
PY
cli "batch-write-item from a file" 0 '={"UnprocessedItems":{}}' "" batch-write-item --request-items file://many.json
cli "query in the CLI's own pages" 0 "=25" "" query --table-name Songs --page-size 4 --query 'length(Items)' \
    --key-condition-expression 'Artist = :a' --expression-attribute-values '{":a": {"S": "Bach"}}'
cli "query --max-items gives a token" 0 '~"NextToken"' "" query --table-name Songs --max-items 3 \
    --key-condition-expression 'Artist = :a' --expression-attribute-values '{":a": {"S": "Bach"}}'
cli "scan with a filter" 0 '={"Count":1,"ScannedCount":26,"ConsumedCapacity":null}' "" scan --table-name Songs --select COUNT \
    --filter-expression 'attribute_exists(Plays)'
cli "update-time-to-live" 0 '~"Enabled":true' "" update-time-to-live --table-name Songs \
    --time-to-live-specification Enabled=true,AttributeName=Until
cli "delete-table" 0 '~"TableStatus":"DELETING"' "" delete-table --table-name Songs
cli "wait table-not-exists" 0 "" "" wait table-not-exists --table-name Songs
cli "list-tables" 0 '={"TableNames":[]}' "" list-tables
finish

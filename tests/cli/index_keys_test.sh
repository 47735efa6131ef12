#!/usr/bin/env bash
# tests/cli/index_keys_test.sh - indexes whose keys have several attributes, from file to file.
#
# Goal     A table with such an index comes from every kind of description; items of every kind of
#          file are found by it, in the order of its attributes; what was exported comes back; an
#          item that its key cannot have is refused with file and line.
# Usage    tests/cli/index_keys_test.sh PATH-OF-LARDER
#          The last line is "N passed, N failed"; exit 1 if anything failed.
# shellcheck source=tests/cli/start.sh
. "$(dirname "${BASH_SOURCE[0]}")/start.sh"

# ---- descriptions --------------------------------------------------------------------------------

schema='"AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"},
  {"AttributeName": "shop", "AttributeType": "S"}, {"AttributeName": "area", "AttributeType": "N"},
  {"AttributeName": "day", "AttributeType": "S"}, {"AttributeName": "nr", "AttributeType": "N"},
  {"AttributeName": "mark", "AttributeType": "B"}],
 "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
 "GlobalSecondaryIndexes": [
  {"IndexName": "byDay", "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["text"]},
   "KeySchema": [{"AttributeName": "shop", "KeyType": "HASH"}, {"AttributeName": "area", "KeyType": "HASH"},
    {"AttributeName": "day", "KeyType": "RANGE"}, {"AttributeName": "nr", "KeyType": "RANGE"}]},
  {"IndexName": "byMark", "Projection": {"ProjectionType": "KEYS_ONLY"},
   "KeySchema": [{"AttributeName": "mark", "KeyType": "HASH"}, {"AttributeName": "area", "KeyType": "HASH"},
    {"AttributeName": "id", "KeyType": "RANGE"}]}]'
echo "{\"TableName\": \"orders\", $schema}" >create-table.json
echo "{\"Resources\": {\"Orders\": {\"Type\": \"AWS::DynamoDB::Table\", \"Properties\": {\"TableName\": \"orders\",
 \"BillingMode\": \"PAY_PER_REQUEST\", $schema}}}}" >cloudformation.json
cat >cloudformation.yaml <<'END'
Resources:
  Orders:
    Type: AWS::DynamoDB::Table
    Properties:
      TableName: !Sub orders
      AttributeDefinitions:
        - {AttributeName: id, AttributeType: S}
        - {AttributeName: shop, AttributeType: S}
        - {AttributeName: area, AttributeType: N}
        - {AttributeName: day, AttributeType: S}
        - {AttributeName: nr, AttributeType: N}
        - {AttributeName: mark, AttributeType: B}
      KeySchema: [{AttributeName: id, KeyType: HASH}]
      GlobalSecondaryIndexes:
        - IndexName: byDay
          KeySchema:
            - {AttributeName: shop, KeyType: HASH}
            - {AttributeName: area, KeyType: HASH}
            - {AttributeName: day, KeyType: RANGE}
            - {AttributeName: nr, KeyType: RANGE}
          Projection: {ProjectionType: INCLUDE, NonKeyAttributes: [text]}
        - IndexName: byMark
          KeySchema:
            - {AttributeName: mark, KeyType: HASH}
            - {AttributeName: area, KeyType: HASH}
            - {AttributeName: id, KeyType: RANGE}
          Projection: {ProjectionType: KEYS_ONLY}
END
items=('{"area":{"N":"1"},"day":{"S":"mon"},"id":{"S":"a"},"mark":{"B":"AAE="},"nr":{"N":"10"},"shop":{"S":"x"},"text":{"S":"t,1"}}'
    '{"area":{"N":"1"},"day":{"S":"mon"},"id":{"S":"b"},"nr":{"N":"9"},"shop":{"S":"x"}}'
    '{"area":{"N":"1"},"day":{"S":"fri"},"id":{"S":"c"},"mark":{"B":"AAE="},"nr":{"N":"-1"},"shop":{"S":"x"}}'
    '{"area":{"N":"2"},"day":{"S":"mon"},"id":{"S":"d"},"nr":{"N":"1"},"shop":{"S":"x"}}'
    '{"area":{"N":"1"},"day":{"S":"mon"},"id":{"S":"e"},"shop":{"S":"x"},"text":{"S":"in no index"}}')
attribute() { # NAME TYPE...: as models of Workbench have it, each
    local text=""
    while (($# > 0)); do
        text+=", {\"AttributeName\": \"$1\", \"AttributeType\": \"$2\"}"
        shift 2
    done
    echo "${text#, }"
}
data=$(IFS=,; echo "${items[*]}")
model() { # FILE KEYS-OF-byDay KEYS-OF-byMark
    echo "{\"ModelName\": \"m\", \"DataModel\": [{\"TableName\": \"orders\", \"KeyAttributes\": {\"PartitionKey\": $(attribute id S)},
     \"NonKeyAttributes\": [$(attribute shop S area N day S nr N mark B text S)], \"TableData\": [$data],
     \"GlobalSecondaryIndexes\": [
      {\"IndexName\": \"byDay\", \"KeyAttributes\": {$2}, \"Projection\": {\"ProjectionType\": \"INCLUDE\", \"NonKeyAttributes\": [\"text\"]}},
      {\"IndexName\": \"byMark\", \"KeyAttributes\": {$3}, \"Projection\": {\"ProjectionType\": \"KEYS_ONLY\"}}]}]}" >"$1"
}
model model-lists.json "\"PartitionKey\": [$(attribute shop S area N)], \"SortKey\": [$(attribute day S nr N)]" \
    "\"PartitionKey\": [$(attribute mark B area N)], \"SortKey\": $(attribute id S)"
model model-plural.json "\"PartitionKeys\": [$(attribute shop S area N)], \"SortKeys\": [$(attribute day S nr N)]" \
    "\"PartitionKeys\": [$(attribute mark B area N)], \"SortKey\": $(attribute id S)"
printf '%s\n' "${items[@]}" >items.jsonl

again() { # FILE: the table from it
    "$larder" destroy --force 2>/dev/null
    expect "create $1" 0 "" "*" create --size 16M "$1"
}
schema_of() { # FILE: what DescribeTable says of the indexes
    "$larder" dynamodb DescribeTable '{"TableName": "orders"}' |
        grep -oE '"(IndexName|AttributeName|KeyType|ProjectionType)":"[^"]*"' | tr '\n' ' '
}
finds() { # NAME: each index has the items that it should, in its order
    local name=$1
    expect "$name: byDay" 0 "={\"area\":{\"N\":\"1\"},\"day\":{\"S\":\"fri\"},\"id\":{\"S\":\"c\"},\"nr\":{\"N\":\"-1\"},\"shop\":{\"S\":\"x\"}}
{\"area\":{\"N\":\"1\"},\"day\":{\"S\":\"mon\"},\"id\":{\"S\":\"b\"},\"nr\":{\"N\":\"9\"},\"shop\":{\"S\":\"x\"}}
{\"area\":{\"N\":\"1\"},\"day\":{\"S\":\"mon\"},\"id\":{\"S\":\"a\"},\"nr\":{\"N\":\"10\"},\"shop\":{\"S\":\"x\"},\"text\":{\"S\":\"t,1\"}}" "" \
        query orders --index byDay --key-condition-expression 'shop = :s AND area = :a' \
        --expression-attribute-values '{":s":{"S":"x"},":a":{"N":"1.0"}}'
    expect "$name: byMark" 0 "={\"area\":{\"N\":\"1\"},\"id\":{\"S\":\"a\"},\"mark\":{\"B\":\"AAE=\"}}
{\"area\":{\"N\":\"1\"},\"id\":{\"S\":\"c\"},\"mark\":{\"B\":\"AAE=\"}}" "" query orders --index byMark \
        --key-condition-expression 'mark = :m AND area = :a' --expression-attribute-values '{":m":{"B":"AAE="},":a":{"N":"1"}}'
    same "$name: all items" "$("$larder" scan orders | sort)" "$(sort items.jsonl)"
}

again create-table.json
expected=$(schema_of)
check "the indexes have their keys" [ "$(grep -o HASH <<<"$expected" | wc -l)" = 5 ]
"$larder" dynamodb DescribeTable '{"TableName": "orders"}' >describe-table.json
for file in cloudformation.json cloudformation.yaml describe-table.json; do
    again $file
    same "$file: the same table" "$(schema_of)" "$expected"
    expect "$file: is as it was described" 0 "" "~table orders exists, left as it is" create --if-not-exists create-table.json
    expect "$file: items" 0 "" "~imported 5 items" import orders items.jsonl
    finds $file
done
for file in model-lists.json model-plural.json; do
    again $file
    same "$file: the same table" "$(schema_of)" "$expected"
    finds $file
done
sed 's/"PartitionKey": \[/"Partition": [/' model-lists.json >bad.json
expect "a model without a partition key" 3 "" "~GlobalSecondaryIndexes[[]0].KeyAttributes: PartitionKey is missing" create --size 8M bad.json
sed 's/"SortKey": \[{"AttributeName": "day"/"SortKey": [{"AttributeName": "shop"/' model-lists.json >bad.json
expect "a model with an attribute twice" 3 "" "~two keys are the same attribute \"shop\"" create --size 8M bad.json

# ---- in and out ----------------------------------------------------------------------------------

"$larder" export orders out.jsonl 2>/dev/null
"$larder" export orders out.json.gz 2>/dev/null
for file in out.jsonl out.json.gz; do
    again create-table.json
    expect "$file" 0 "" "~imported 5 items" import orders $file
    finds $file
done
"$larder" dynamodb Scan '{"TableName": "orders"}' >scan.json
for file in scan.json; do
    again create-table.json
    expect "$file" 0 "" "~imported 5 items" import orders $file
    finds $file
done
# typed by the keys of the indexes, whichever of the key's attributes they are
cat >items.csv <<'END'
id,shop,area,day,nr,mark,text
a,x,1,mon,10,AAE=,"t,1"
b,x,1,mon,9,,
c,x,1,fri,-1,AAE=,
d,x,2,mon,1,,
e,x,1,mon,,,in no index
END
again create-table.json
expect "CSV" 0 "" "~imported 5 items" import orders items.csv
finds "CSV"
cat >plain.json <<'END'
[{"id": "a", "shop": "x", "area": 1, "day": "mon", "nr": "10", "mark": "AAE=", "text": "t,1"},
 {"id": "b", "shop": "x", "area": 1, "day": "mon", "nr": 9}, {"id": "c", "shop": "x", "area": "1", "day": "fri", "nr": -1, "mark": "AAE="},
 {"id": "d", "shop": "x", "area": 2, "day": "mon", "nr": 1}, {"id": "e", "shop": "x", "area": 1, "day": "mon", "text": "in no index"}]
END
again create-table.json
expect "plain JSON" 0 "" "~imported 5 items" import orders plain.json --plain
finds "plain JSON"

# ---- items that the keys cannot have -------------------------------------------------------------

long=$(printf '%01500d' 0)
cat >bad.jsonl <<END
{"id":{"S":"1"},"nr":{"S":"x"}}
{"id":{"S":"2"},"day":{"S":"$long"},"shop":{"S":"x"},"area":{"N":"1"},"nr":{"N":"1"}}
{"id":{"S":"3"},"mark":{"B":""}}
{"id":{"S":"4"},"day":{"S":"$long"}}
END
again create-table.json
expect "items of other keys" 3 "" "~bad.jsonl:1: key of index byDay, \"nr\" is of type S; N is needed*bad.jsonl:2: key of index byDay*bad.jsonl:3: key of index byMark, \"mark\" has 0 bytes*refused" \
    import --keep-going orders bad.jsonl
printf 'id,nr\n1,x\n' >bad.csv
expect "CSV: a text for a number" 3 "" "~bad.csv:2: nr: *number" import orders bad.csv

# ---- more of them than keys of one attribute could be --------------------------------------------

defined='{"AttributeName": "id", "AttributeType": "S"}' indexes=""
for ((i = 0; i < 20; i++)); do
    keys=""
    for k in a b c d e f g h; do
        defined+=", {\"AttributeName\": \"$k$i\", \"AttributeType\": \"S\"}"
        keys+=", {\"AttributeName\": \"$k$i\", \"KeyType\": \"$([[ $k < e ]] && echo HASH || echo RANGE)\"}"
    done
    indexes+=", {\"IndexName\": \"index$i\", \"KeySchema\": [${keys#, }], \"Projection\": {\"ProjectionType\": \"KEYS_ONLY\"}}"
done
echo "{\"TableName\": \"many\", \"AttributeDefinitions\": [$defined], \"KeySchema\": [{\"AttributeName\": \"id\", \"KeyType\": \"HASH\"}],
 \"GlobalSecondaryIndexes\": [${indexes#, }]}" >many.json
again many.json
{
    echo -n '{"id":{"S":"1"}'
    for ((i = 0; i < 20; i++)); do
        for k in a b c d e f g h; do echo -n ",\"$k$i\":{\"S\":\"v\"}"; done
    done
    echo '}'
} >many.jsonl
expect "20 indexes of 8 attributes: an item" 0 "" "~imported 1 item" import many many.jsonl
expect "20 indexes of 8 attributes: the last" 0 "~\"h19\":{\"S\":\"v\"}" "" query many --index index19 \
    --key-condition-expression 'a19 = :v AND b19 = :v AND c19 = :v AND d19 = :v AND e19 = :v AND f19 = :v AND g19 = :v AND h19 >= :v' \
    --expression-attribute-values '{":v":{"S":"v"}}'
expect "20 indexes of 8 attributes: clean" 0 "~clean" "" check

echo "$passed passed, $failed failed"
((failed == 0))

#!/usr/bin/env bash
# tests/cli/template_test.sh - larder create with the templates that people have.
#
# Goal     Each kind of file gives its tables, or a message with file, line, place, value and what is
#          allowed; then nothing has changed. What is ignored is named.
# Usage    tests/cli/template_test.sh PATH-OF-LARDER
#          The last line is "N passed, N failed"; exit 1 if anything failed.
# shellcheck source=tests/cli/start.sh
. "$(dirname "${BASH_SOURCE[0]}")/start.sh"
unset AWS_REGION AWS_DEFAULT_REGION

tables() { # NAME EXPECTED: the names of all tables, and away with the segment
    same "$1" "$("$larder" ls 2>/dev/null | sed 1d | awk '{print $1}' | sort | tr '\n' ' ')" "$2 "
    "$larder" destroy --force
}

# ---- CloudFormation ------------------------------------------------------------------------------

cat >stack.yaml <<'END'
AWSTemplateFormatVersion: "2010-09-09"
Description: >-
  short tags, a parameter, a map and a condition
Parameters:
  Stage:
    Type: String
    Default: dev
    AllowedValues: [dev, prod]
Mappings:
  Names:
    dev: {Orders: orders-dev}
    prod: {Orders: orders-live}
Conditions:
  IsProd: !Equals [!Ref Stage, prod]
Resources:
  Orders:
    Type: AWS::DynamoDB::Table
    DeletionPolicy: !If [IsProd, Retain, Delete]
    Properties: &properties
      TableName: !FindInMap [Names, !Ref Stage, Orders]
      BillingMode: PAY_PER_REQUEST
      PointInTimeRecoverySpecification: {PointInTimeRecoveryEnabled: !If [IsProd, true, false]}
      AttributeDefinitions:
        - AttributeName: id
          AttributeType: S
      KeySchema:
        - AttributeName: id
          KeyType: HASH
  Audit:
    Type: AWS::DynamoDB::Table
    Condition: IsProd
    Properties:
      <<: *properties
      TableName: !Sub "${AWS::StackName}-audit-${AWS::Region}"
  Function:
    Type: AWS::Lambda::Function
END
expect "yaml: short tags" 0 "" "~stack.yaml: table Audit is left out: its condition IsProd is false*ignored, for it means nothing to a cache: BillingMode, PointInTimeRecoverySpecification; 1 resource (AWS::Lambda::Function)" \
    create --size 8M stack.yaml
tables "yaml: its table" "orders-dev"
expect "a pseudo parameter without a value" 3 "" "~stack.yaml:34: Resources.Audit.Properties.TableName.Fn::Sub: AWS::StackName has no value here; give --parameter AWS::StackName=VALUE; --name Audit=NAME names the table" \
    create --size 8M --parameter Stage=prod stack.yaml
expect "nothing was created" 4 "" "*" ls
expect "--parameter" 0 "" "~ignored" create --size 8M --parameter Stage=prod --parameter AWS::StackName=shop stack.yaml
expect "a condition decides the removal policy" 0 "~orders-live *Retain" "" ls
tables "--parameter: its tables" "orders-live shop-audit-us-east-1"
expect "--name" 0 "" "~ignored" create --size 8M --parameter Stage=prod --name Audit=audits --name=Orders=orders stack.yaml
tables "--name: its tables" "audits orders"
AWS_REGION=eu-west-2 expect "the region of the environment" 0 "" "*" create --size 8M --parameter Stage=prod --parameter AWS::StackName=a stack.yaml
tables "the region of the environment: its tables" "a-audit-eu-west-2 orders-live"
expect "yaml from standard input" 0 "" "~standard input: ignored" create --size 8M - <stack.yaml
tables "yaml from standard input: its table" "orders-dev"
expect "a value that is not allowed" 3 "" "~stack.yaml:14: Conditions.IsProd.Fn::Equals[[]0].Ref: parameter Stage is \"test\"; allowed are dev, prod" \
    create --size 8M --parameter Stage=test stack.yaml
expect "--parameter that no template has" 2 "" "~--parameter Stag: no template has such a parameter" create --parameter Stag=prod stack.yaml
expect "--parameter without a value" 2 "" "~--parameter needs NAME=VALUE, not \"Stage\"" create --parameter Stage stack.yaml
expect "--parameter twice" 2 "" "~gives Stage twice" create --parameter Stage=a --parameter Stage=b stack.yaml
expect "a pseudo parameter that nothing needs" 0 "" "*" create --size 8M --parameter AWS::Region=eu-west-1 stack.yaml
tables "a pseudo parameter that nothing needs: its table" "orders-dev"
expect "--name of a table that is left out" 0 "" "~Audit is left out" create --size 8M --name Audit=audits stack.yaml
tables "--name of a table that is left out: the other" "orders-dev"
expect "--name of no table" 2 "" "~--name Order: no template has such a table" create --name Order=x stack.yaml
expect "--name that nothing needs" 2 "" "~--name here: each table has a name" create --name here stack.yaml
expect "--name twice without an id" 2 "" "~LOGICAL_ID=NAME" create --name here --name there stack.yaml
printf 'Resources:\n  T:\n   Type: [\n' >bad.yaml
expect "yaml: syntax" 3 "" "~bad.yaml:4:1: did not find expected node content, while parsing a flow node" create bad.yaml
printf 'Resources:\n  T: 1\n  T: 2\n' >bad.yaml
expect "yaml: a key twice" 3 "" "~bad.yaml:3:3: Resources: the key \"T\" comes twice" create bad.yaml
sed 's/AttributeType: S/AttributeType: String/' stack.yaml >bad.yaml
expect "yaml: a wrong value" 3 "" "~bad.yaml:24: Resources.Orders.Properties.AttributeDefinitions[[]0]: AttributeType is \"String\"; a key is S, N or B" create bad.yaml
sed 's/KeyType: HASH/KeyType: hash/' stack.yaml >bad.yaml
expect "yaml: a wrong key" 3 "" "~bad.yaml:27: Resources.Orders.Properties.KeySchema[[]0]: KeyType is \"hash\"; this element is the HASH key" create bad.yaml
iconv -f UTF-8 -t UTF-16 stack.yaml >bad.yaml
expect "UTF-16" 3 "" "~bad.yaml: the text is UTF-16; save it as UTF-8" create bad.yaml
printf '\357\273\277' | cat - stack.yaml >mark.yaml
expect "a byte order mark" 0 "" "*" create --size 8M mark.yaml
tables "a byte order mark: its table" "orders-dev"

# ---- SAM, loops, Serverless Framework ------------------------------------------------------------

cat >sam.json <<'END'
{"Transform": ["AWS::Serverless-2016-10-31", "AWS::LanguageExtensions"],
 "Globals": {"SimpleTable": {"SSESpecification": {"SSEEnabled": true}}},
 "Resources": {
  "Users": {"Type": "AWS::Serverless::SimpleTable", "Properties": {"PrimaryKey": {"Name": "id", "Type": "Number"}}},
  "Fn::ForEach::Tables": ["Kind", ["hot", "cold"], {"Table${Kind}": {"Type": "AWS::DynamoDB::Table", "Properties": {
    "TableName": {"Fn::Sub": "items-${Kind}"},
    "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
    "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}]}}}]}}
END
expect "SAM and Fn::ForEach" 0 "" "~table Users has its logical id as its name*--name Users=NAME*SSESpecification" create --size 8M sam.json
tables "SAM and Fn::ForEach: their tables" "Users items-cold items-hot"
cat >serverless.yml <<'END'
service: shop
provider: {name: aws, stage: "${opt:stage, 'dev'}"}
resources:
  Resources:
    Orders:
      Type: AWS::DynamoDB::Table
      Properties:
        TableName: ${self:service}-orders
        ProvisionedThroughput: ${self:custom.throughput}
        AttributeDefinitions: [{AttributeName: id, AttributeType: S}]
        KeySchema: [{AttributeName: id, KeyType: HASH}]
END
expect "Serverless Framework: a variable" 3 "" "~serverless.yml:8: resources.Resources.Orders.Properties.TableName: \"\${self:service}-orders\" has a variable of the Serverless Framework*--name Orders=NAME names the table" \
    create --size 8M serverless.yml
expect "Serverless Framework: --name" 0 "" "~ignored*ProvisionedThroughput" create --size 8M --name Orders=orders serverless.yml
tables "Serverless Framework: its table" "orders"

# ---- descriptions and models ---------------------------------------------------------------------

cat >bare.json <<'END'
{"AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}], "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}]}
END
expect "create-table JSON without a name" 3 "" "~bare.json:1: TableName is missing; --name NAME gives one" create bare.json
expect "create-table JSON with --name" 0 "" "" create --size 8M --name orders bare.json
"$larder" dynamodb DescribeTable '{"TableName": "orders"}' >described.json 2>/dev/null
tables "create-table JSON with --name: its table" "orders"
expect "what describe-table says" 0 "" "~ignored, for it means nothing to a cache: *TableStatus" create --size 8M described.json
tables "what describe-table says: its table" "orders"
expect "--name OLD=NEW" 0 "" "*" create --size 8M --name orders=others described.json
tables "--name OLD=NEW: its table" "others"
for list in "[$(cat described.json), $(cat bare.json)]" "{\"tables\": [$(cat described.json), $(cat bare.json)]}"; do
    echo "$list" >list.json
    expect "a list of descriptions" 0 "" "*" create --size 8M --name more list.json
    tables "a list of descriptions: its tables" "more orders"
done
echo '{"tables": [{"TableName": "x"}]}' >list.json
expect "a list with something else" 3 "" "~list.json:1: tables[[]0]: describes no table: it has no KeySchema" create list.json
cat >model.json <<'END'
{"ModelName": "Shop", "ModelMetadata": {"Version": "3.0"}, "DataModel": [
 {"TableName": "shop", "KeyAttributes": {"PartitionKey": {"AttributeName": "PK", "AttributeType": "S"},
  "SortKey": {"AttributeName": "SK", "AttributeType": "S"}},
  "NonKeyAttributes": [{"AttributeName": "at", "AttributeType": "N"}], "TableFacets": [],
  "GlobalSecondaryIndexes": [{"IndexName": "byTime", "Projection": {"ProjectionType": "ALL"},
   "KeyAttributes": {"PartitionKey": {"AttributeName": "SK", "AttributeType": "S"}, "SortKey": {"AttributeName": "at", "AttributeType": "N"}}}],
  "TableData": [{"PK": {"S": "a"}, "SK": {"S": "1"}, "at": {"N": "5"}}, {"PK": {"S": "b"}, "SK": {"S": "1"}, "at": {"N": "4"}}]}]}
END
expect "NoSQL Workbench" 0 "" "~TableFacets*table shop: stored 2 items" create --size 8M model.json
expect "NoSQL Workbench: its index" 0 '={"PK":{"S":"b"},"SK":{"S":"1"},"at":{"N":"4"}}
{"PK":{"S":"a"},"SK":{"S":"1"},"at":{"N":"5"}}' "" query shop --index byTime --pk 1
expect "NoSQL Workbench: the table exists" 0 "" "~table shop exists: the 2 items of its model are not stored" create --if-not-exists model.json
tables "NoSQL Workbench: its table" "shop"
sed 's/{"PK": {"S": "b"}/{"PK": {"N": "5"}/' model.json >bad.json
expect "NoSQL Workbench: an item of another key" 3 "" "~bad.json: table shop: TableData[[]1]: *PK" create --size 8M bad.json
sed 's/{"PK": {"S": "b"}/{"PK": {"S": 5}/' model.json >bad.json
expect "NoSQL Workbench: an item that is none" 3 "" "~bad.json: table shop: TableData[[]1].PK: S takes a JSON string" create --size 8M bad.json
# ---- Keys of several attributes ------------------------------------------------------------------

cat >several.yaml <<'END'
Resources:
  Orders:
    Type: AWS::DynamoDB::Table
    Properties:
      TableName: orders
      AttributeDefinitions:
        - {AttributeName: id, AttributeType: S}
        - {AttributeName: shop, AttributeType: S}
        - {AttributeName: area, AttributeType: S}
        - {AttributeName: nr, AttributeType: N}
      KeySchema: [{AttributeName: id, KeyType: HASH}]
      GlobalSecondaryIndexes:
        - IndexName: byArea
          KeySchema:
            - {AttributeName: shop, KeyType: HASH}
            - {AttributeName: area, KeyType: HASH}
            - {AttributeName: nr, KeyType: RANGE}
            - {AttributeName: id, KeyType: RANGE}
          Projection: {ProjectionType: KEYS_ONLY}
END
expect "several: a template" 0 "" "" create --size 8M --segment "$work/several" several.yaml
for nr in 10 9 -1; do
    "$larder" put --segment "$work/several" orders "{\"id\":{\"S\":\"i$nr\"},\"shop\":{\"S\":\"a\"},\"area\":{\"S\":\"eu\"},\"nr\":{\"N\":\"$nr\"},\"more\":{\"S\":\"m\"}}"
done
expect "several: a range of the second kind of key" 0 '={"area":{"S":"eu"},"id":{"S":"i9"},"nr":{"N":"9"},"shop":{"S":"a"}}
{"area":{"S":"eu"},"id":{"S":"i10"},"nr":{"N":"10"},"shop":{"S":"a"}}' "" query --segment "$work/several" orders --index byArea \
    --key-condition-expression 'shop = :s AND area = :a AND nr > :n' \
    --expression-attribute-values '{":s":{"S":"a"},":a":{"S":"eu"},":n":{"N":"0"}}'
expect "several: --pk is not enough" 2 "" "~byArea has a partition key of several attributes: --key-condition-expression" \
    query --segment "$work/several" orders --index byArea --pk a
expect "several: info" 0 "~shop S, area S *nr N, id S" "" info --segment "$work/several"
expect "several: info --json" 0 "~{*\"name\": \"area\"*" "" info --segment "$work/several" --json
expect "several: create again" 0 "" "~table orders exists, left as it is" create --if-not-exists --segment "$work/several" several.yaml
sed 's/AttributeName: id, KeyType: RANGE/AttributeName: more, KeyType: RANGE/; s/id, AttributeType: S}/&\n        - {AttributeName: more, AttributeType: S}/' several.yaml >other.yaml
expect "several: what differs" 0 "" "~the key is shop (S) HASH, area (S) HASH, nr (N) RANGE, id (S) RANGE, not shop (S) HASH, area (S) HASH, nr (N) RANGE, more (S) RANGE" \
    create --if-not-exists --segment "$work/several" other.yaml
expect "several: made so" 0 "" "~byArea" create --update --segment "$work/several" other.yaml
expect "several: clean" 0 "~clean" "" check --segment "$work/several"
sed 's/area, KeyType: HASH/shop, KeyType: HASH/' several.yaml >bad.yaml
expect "several: one twice" 3 "" "~two keys are the same attribute \"shop\"" create --segment "$work/none" bad.yaml
sed 's/area, KeyType: HASH/area, KeyType: RANGE/; s/nr, KeyType: RANGE/nr, KeyType: HASH/' several.yaml >bad.yaml
expect "several: HASH after RANGE" 3 "" "~HASH key \"nr\" comes after a RANGE key" create --segment "$work/none" bad.yaml
sed 's/KeySchema: \[{AttributeName: id, KeyType: HASH}/&, {AttributeName: nr, KeyType: HASH}/' several.yaml >bad.yaml
expect "several: of a table" 3 "" "~has more HASH keys than 1; only global indexes may have several" create --segment "$work/none" bad.yaml
rm -f "$work"/several*

expect "neither of these made a segment" 4 "" "*" ls
echo '{"a": 1}' >other.json
expect "no kind of document" 3 "" "~other.json:1: neither a template (no Resources)*NoSQL Workbench" create other.json
echo '[]' >other.json
expect "an empty list" 3 "" "~the list has no tables" create other.json
echo '"x"' >other.yaml
expect "no object" 3 "" "~other.yaml:1: neither a template" create other.yaml

echo "$passed passed, $failed failed"
((failed == 0))

#!/usr/bin/env bash
# tests/cli/table_test.sh - larder table, and larder create --update: changes of tables that exist.
#
# Goal     What is asked for is so afterwards, also for items that were there; what cannot be changed is
#          said before anything changes.
# Usage    tests/cli/table_test.sh PATH-OF-LARDER
#          The last line is "N passed, N failed"; exit 1 if anything failed.
# shellcheck source=tests/cli/start.sh
. "$(dirname "${BASH_SOURCE[0]}")/start.sh"

cat >tab.yaml <<'END'
Resources:
  Tab:
    Type: AWS::DynamoDB::Table
    Properties:
      TableName: Tab
      AttributeDefinitions: [{AttributeName: Id, AttributeType: N}]
      KeySchema: [{AttributeName: Id, KeyType: HASH}]
END
item='{"Id":{"N":"1"},"g":{"S":"x"},"h":{"N":"5"},"more":{"S":"m"}}'
"$larder" create --size 16M tab.yaml 2>/dev/null
"$larder" put Tab "$item"

# ---- add-index -----------------------------------------------------------------------------------

expect "add-index" 0 "" "" table add-index Tab byG --pk g:S --sk h:N
expect "add-index: the items that were there are in it" 0 "=$item" "" query Tab --index byG --pk x
expect "add-index: a key whose type is known" 0 "" "" table add-index Tab keys --pk h --projection KEYS_ONLY
expect "add-index: keys only" 0 '={"Id":{"N":"1"},"h":{"N":"5"}}' "" query Tab --index keys --pk 5
expect "add-index: --include" 0 "" "" table add-index Tab some --pk=h --include more,none
expect "add-index: what is included" 0 '={"Id":{"N":"1"},"h":{"N":"5"},"more":{"S":"m"}}' "" query Tab --index some --pk 5
expect "scan of an index" 0 '={"Id":{"N":"1"},"h":{"N":"5"}}' "" scan Tab --index keys
expect "drop-index" 0 "" "" table drop-index Tab some
expect "drop-index: it is gone" 4 "" "~some" query Tab --index some --pk 5
expect "drop-index: no index" 4 "" "~Tab: *some" table drop-index Tab some
expect "drop-index: an operand is missing" 2 "" "~usage: larder table drop-index TABLE INDEX" table drop-index Tab
expect "add-index: it exists" 8 "" "~byG" table add-index Tab byG --pk g
expect "add-index: no key" 2 "" "~add-index needs --pk NAME:TYPE" table add-index Tab other
expect "add-index: a type that is needed" 2 "" "~--pk k: its type is needed: k:S, k:N or k:B" table add-index Tab other --pk k
expect "add-index: a type that is none" 2 "" "~its type is needed" table add-index Tab other --pk k:X
expect "add-index: a projection that is none" 2 "" "~--projection is \"SOME\"; ALL and KEYS_ONLY are allowed" table add-index Tab other --pk g --projection SOME
expect "add-index: two projections" 2 "" "~exclude" table add-index Tab other --pk g --projection ALL --include a
expect "add-index: an empty name" 2 "" "~1 to 100 names" table add-index Tab other --pk g --include a,,b
expect "add-index: a short name" 3 "" "~Tab: *" table add-index Tab x --pk g
expect "add-index: a name twice" 3 "" "~Tab: *" table add-index Tab other --pk g --include a,a
expect "add-index: keys of several attributes" 0 "" "" table add-index Tab several --pk g --pk more:S --sk h --sk Id
expect "add-index: keys of several attributes: in it" 0 "=$item" "" query Tab --index several \
    --key-condition-expression 'g = :g AND more = :m AND h = :h' --expression-attribute-values '{":g":{"S":"x"},":m":{"S":"m"},":h":{"N":"5"}}'
expect "add-index: keys of too many" 2 "" "~--pk may be given 4 times" table add-index Tab other --pk a:S --pk b:S --pk c:S --pk d:S --pk e:S
expect "add-index: a key twice" 3 "" "~\"g\" twice" table add-index Tab other --pk g --sk h --sk g
expect "drop-index: keys of several attributes" 0 "" "" table drop-index Tab several
expect "add-index: no table" 4 "" "~Gone" table add-index Gone other --pk g:S
expect "add-index: an operand is missing" 2 "" "~usage: larder table add-index TABLE INDEX" table add-index Tab

# ---- set-ttl -------------------------------------------------------------------------------------

"$larder" put Tab '{"Id":{"N":"2"},"at":{"N":"100"}}'
"$larder" put Tab "{\"Id\":{\"N\":\"3\"},\"at\":{\"N\":\"$(($(date +%s) - 100))\"}}"
expect "set-ttl" 0 "" "" table set-ttl Tab at
expect "set-ttl: an item has expired" 1 "" "~no such item" get Tab '{"Id":{"N":"3"}}'
expect "set-ttl: more than five years ago" 0 "~100" "" get Tab '{"Id":{"N":"2"}}'
expect "set-ttl --off" 0 "" "" table set-ttl Tab --off
expect "set-ttl --off: nothing expires" 0 "*" "" get Tab '{"Id":{"N":"3"}}'
expect "set-ttl: both" 2 "" "~or --off" table set-ttl Tab at --off
expect "set-ttl: neither" 2 "" "~or --off" table set-ttl Tab
expect "set-ttl: another's option" 2 "" "~--pk is no option of larder table set-ttl" table set-ttl Tab at --pk g

# ---- drop ----------------------------------------------------------------------------------------

sed 's/: Tab/: Kept/; s/    Properties/    DeletionPolicy: Retain\n    Properties/' tab.yaml >kept.yaml
"$larder" create kept.yaml 2>/dev/null
expect "drop: it is to be retained" 8 "" "~table Kept is to be retained; --force" table drop Kept
expect "drop --force" 0 "" "" table drop Kept --force
expect "drop: it is gone" 4 "" "~Kept" scan Kept
expect "drop: no table" 4 "" "~Kept" table drop Kept
expect "drop" 0 "" "" table drop Tab
expect "drop: too many operands" 2 "" "~usage: larder table drop TABLE" table drop Tab x
expect "an unknown word" 2 "" "~unknown word \"rename\"; add-index, drop-index, set-ttl and drop are allowed" table rename Tab
expect "no words" 2 "" "~usage: larder table" table
expect "a clean segment" 0 "~clean" "" check

# ---- create --update -----------------------------------------------------------------------------

cat >more.yaml <<'END'
Resources:
  Tab:
    Type: AWS::DynamoDB::Table
    DeletionPolicy: Retain
    Properties:
      TableName: Tab
      AttributeDefinitions: [{AttributeName: Id, AttributeType: N}, {AttributeName: g, AttributeType: S}]
      KeySchema: [{AttributeName: Id, KeyType: HASH}]
      TimeToLiveSpecification: {AttributeName: at, Enabled: true}
      GlobalSecondaryIndexes:
        - IndexName: byG
          KeySchema: [{AttributeName: g, KeyType: HASH}]
          Projection: {ProjectionType: ALL}
END
"$larder" create tab.yaml 2>/dev/null
"$larder" put Tab "$item"
expect "--if-not-exists says what differs" 0 "" "~TTL attribute is none, not at*policy is Delete, not Retain*it has no index byG*--update would change it" create --if-not-exists more.yaml
expect "--update" 0 "" "=larder create: table Tab: added index byG
larder create: table Tab: the TTL attribute is now at
larder create: table Tab: the removal policy is now Retain" create --update more.yaml
expect "--update: the index has the item" 0 "=$item" "" query Tab --index byG --pk x
expect "--update again: nothing to do" 0 "" "" create --update more.yaml
expect "--update: the same as the template" 0 "" "=larder create: table Tab exists, left as it is" create --if-not-exists more.yaml
sed 's/TableName: Tab/TableName: New/; s/^  Tab/  New/; s/Retain/Delete/' tab.yaml >new.yaml
sed 's/AttributeType: N/AttributeType: S/' more.yaml >key.yaml
expect "--update: a key cannot change" 8 "" "~table Tab: the key of a table cannot be changed*nothing has changed" create --update new.yaml key.yaml
expect "--update: nothing was created" 4 "" "~New" scan New
sed 's/ProjectionType: ALL/ProjectionType: KEYS_ONLY/; s/Retain/Delete/' more.yaml >projection.yaml
expect "--update: an index is replaced" 0 "" "=larder create: table Tab: dropped index byG
larder create: table Tab: added index byG
larder create: table Tab: the removal policy is now Delete" create --update projection.yaml
expect "--update: what the new one has" 0 '={"Id":{"N":"1"},"g":{"S":"x"}}' "" query Tab --index byG --pk x
expect "--update: an index goes" 0 "" "=larder create: table Tab: dropped index byG
larder create: table Tab: the TTL attribute is now none" create --update tab.yaml
expect "--update: it is gone" 4 "" "~byG" query Tab --index byG --pk x
"$larder" create --update more.yaml 2>/dev/null
sed 's/GlobalSecondary/LocalSecondary/; s/KeySchema: \[{AttributeName: g, KeyType: HASH}\]/KeySchema: [{AttributeName: Id, KeyType: HASH}, {AttributeName: g, KeyType: RANGE}]/' more.yaml >local.yaml
expect "--update: a table without a sort key" 3 "" "~local index needs a table with a RANGE key" create --update local.yaml
expect "--update creates what is missing" 0 "" "" create --update --evict New new.yaml
expect "--update --evict" 0 "" "=larder create: table Tab: the eviction policy is now Sieve" create --update --evict Tab more.yaml
expect "--update without --evict leaves it" 0 "" "" create --update more.yaml
expect "--update: a clean segment" 0 "~clean" "" check

echo "$passed passed, $failed failed"
((failed == 0))

#!/bin/bash
# tests/cli/cli_test.sh - the larder command, from outside.
#
# Goal     Every command does what its help says, every error has its exit code and a message, and
#          nothing is left behind.
# Method   Runs the binary and compares exit code, standard output and standard error. Segments have
#          names of this run.
# Usage    tests/cli/cli_test.sh PATH-OF-LARDER
#          The last line is "N passed, N failed"; exit 1 if anything failed.
# Not here Exit code 6: it takes a live process that is stopped inside a lock (tests/crash/).
# shellcheck disable=SC2088,SC2089 # a pattern may start with ~ and then /; JSON is full of quotes
# shellcheck source=tests/cli/start.sh
. "$(dirname "$0")/start.sh"

small=$LARDER_SEGMENT-small
cleanup() { # instead of start.sh's
    "$larder" destroy --force >/dev/null 2>&1
    "$larder" destroy --force --segment "$small" >/dev/null 2>&1
    rm -rf "$work"
}

commands="create table destroy ls info put get delete update query scan import export expire check serve"

# ---- help and usage ------------------------------------------------------------------------------

expect "help" 0 "~Exit codes:" "" --help
expect "-h" 0 "~Exit codes:" "" -h
expect "help, the word" 0 "~Commands:" "" help
expect "version" 0 "~larder [0-9]" "" --version
for command in $commands; do
    matches "$("$larder" --help)" "~  $command "
    check "help lists $command" test $? -eq 0
    expect "help of $command" 0 "~Usage: larder $command*--segment NAME|PATH*Exit codes:" "" "$command" --help
    expect "help of $command, short" 0 "~Usage: larder $command" "" "$command" -h
    expect "help of $command, by word" 0 "~Usage: larder $command" "" help "$command"
    expect "$command: unknown option" 2 "" "~unknown option --nonsense" "$command" --nonsense
    expect "$command: unknown short option" 2 "" "~unknown option -x" "$command" -x
    expect "$command: option without value" 2 "" "~--segment needs" "$command" --segment
    expect "$command: option twice" 2 "" "~twice" "$command" --segment a --segment b
done
expect "no command" 2 "" "~a command is missing"
expect "unknown command" 2 "" "~unknown command \"frobnicate\"" frobnicate
expect "repair is an option" 2 "" "~larder check --repair" repair
for command in put get delete import; do
    expect "$command: too few operands" 2 "" "~usage: larder $command TABLE" "$command" Shops
    [[ $command == import ]] || expect "$command: too many operands" 2 "" "~unexpected operand \"c\"" "$command" Shops b c
done
expect "import: several files, no segment" 4 "" "~does not exist" import Shops b c
expect "create: no operand" 2 "" "~usage" create
expect "query: no operand" 2 "" "~usage" query
expect "scan: no operand" 2 "" "~usage" scan
expect "export: no operand" 2 "" "~usage" export
for command in destroy ls info expire check; do
    expect "$command: too many operands" 2 "" "~unexpected operand" "$command" x
done
expect "empty segment" 2 "" "~--segment needs" ls --segment ""
expect "empty segment, with =" 2 "" "~--segment needs" ls --segment=
expect "switch with a value" 2 "" "~takes no value" destroy --force=yes
expect "two values after =" 2 "" "~two values" query T --pk x --sk-between=a

# ---- no segment ----------------------------------------------------------------------------------

expect "ls: no segment" 4 "" "~$LARDER_SEGMENT" ls
expect "info: no segment" 4 "" "~$LARDER_SEGMENT" info
expect "check: no segment" 4 "" "~$LARDER_SEGMENT" check
expect "expire: no segment" 4 "" "~$LARDER_SEGMENT" expire
expect "no segment: the name once, and what to do" 4 "" \
    "=larder ls: segment \"$LARDER_SEGMENT\": does not exist; larder create makes it, larder ls --segments lists those there are" ls
expect "a name with a leading slash" 3 "" "~no leading slash" ls --segment /songs
expect "expire: not so often" 2 "" "~--every" expire --every 0
expect "expire: no number" 2 "" "~--every" expire --every soon
expect "check --read-only: no segment" 4 "" "~$LARDER_SEGMENT" check --read-only
expect "destroy: no segment" 4 "" "~$LARDER_SEGMENT" destroy
expect "put: no segment" 4 "" "~$LARDER_SEGMENT" put Shops '{"PK":{"S":"a"},"SK":{"S":"b"}}'
expect "get: no segment" 4 "" "~$LARDER_SEGMENT" get Shops '{"PK":{"S":"a"},"SK":{"S":"b"}}'
expect "scan: no segment" 4 "" "~$LARDER_SEGMENT" scan Shops
expect "import: no segment" 4 "" "~$LARDER_SEGMENT" import Shops -
expect "export: no segment" 4 "" "~$LARDER_SEGMENT" export Shops

# ---- create --------------------------------------------------------------------------------------

cat >shops.json <<'END'
{"Resources": {"Queue": {"Type": "AWS::SQS::Queue"}, "Shops": {"Type": "AWS::DynamoDB::Table", "DeletionPolicy": "Delete",
 "Properties": {"BillingMode": "PAY_PER_REQUEST",
  "AttributeDefinitions": [
   {"AttributeName": "PK", "AttributeType": "S"}, {"AttributeName": "SK", "AttributeType": "S"},
   {"AttributeName": "G", "AttributeType": "S"}, {"AttributeName": "H", "AttributeType": "N"},
   {"AttributeName": "L", "AttributeType": "S"}],
  "KeySchema": [{"AttributeName": "PK", "KeyType": "HASH"}, {"AttributeName": "SK", "KeyType": "RANGE"}],
  "GlobalSecondaryIndexes": [
   {"IndexName": "ByG", "KeySchema": [{"AttributeName": "G", "KeyType": "HASH"}, {"AttributeName": "H", "KeyType": "RANGE"}],
    "Projection": {"ProjectionType": "ALL"}},
   {"IndexName": "KeysOnly", "KeySchema": [{"AttributeName": "G", "KeyType": "HASH"}],
    "Projection": {"ProjectionType": "KEYS_ONLY"}},
   {"IndexName": "Some", "KeySchema": [{"AttributeName": "G", "KeyType": "HASH"}],
    "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["some"]}}],
  "LocalSecondaryIndexes": [
   {"IndexName": "ByL", "KeySchema": [{"AttributeName": "PK", "KeyType": "HASH"}, {"AttributeName": "L", "KeyType": "RANGE"}],
    "Projection": {"ProjectionType": "ALL"}}],
  "TimeToLiveSpecification": {"AttributeName": "ExpiresAt", "Enabled": true}}}}}
END
cat >numbers.json <<'END'
{"TableName": "Numbers", "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "N"},
  {"AttributeName": "at", "AttributeType": "N"}],
 "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}, {"AttributeName": "at", "KeyType": "RANGE"}]}
END
cat >binary.json <<'END'
{"TableName": "Binary", "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "B"}],
 "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}]}
END
sed 's/Numbers/Kept/; s/^{/{"Resources": {"Kept": {"Type": "AWS::DynamoDB::Table", "DeletionPolicy": "Retain", "Properties": {/; s/}$/}/' \
    numbers.json >kept.json
echo '}}}' >>kept.json
printf '{\n "Resources": {\n  oops\n }\n}\n' >bad-syntax.json
printf 'Resources:\n  Table:\n    Type: AWS::DynamoDB::Table\n' >template.yaml
sed 's/"TableName": "Numbers"/"TableName": {"Fn::Sub": "x-${Stage}"}/' numbers.json >intrinsic.json
sed 's/"AttributeName": "at", "AttributeType"/"AttributeName": "when", "AttributeType"/' numbers.json >undefined.json
sed 's/"Numbers"/"x"/' numbers.json >short-name.json
sed 's/"Numbers"/"Numbers", "TableName": "Twice"/' numbers.json >duplicate.json
echo '{"Resources": {}}' >empty.json

expect "create: no such file" 8 "" "~nowhere.json" create nowhere.json
expect "create: a directory" 8 "" "~$work" create "$work"
expect "create: syntax error with its place" 3 "" "~bad-syntax.json:3:" create bad-syntax.json
expect "create: yaml" 3 "" "~template.yaml:2: Resources.Table: Properties is missing" create template.yaml
expect "create: empty input" 3 "" "~standard input:1:" create -
expect "create: duplicate member" 3 "" "~duplicate.json:1:" create duplicate.json
expect "create: intrinsic function" 3 "" "~intrinsic.json:1: TableName.Fn::Sub: there is no parameter \"Stage\"" create intrinsic.json
expect "create: undefined key attribute" 3 "" "~undefined.json:3: KeySchema\[1\]:*\"at\"" create undefined.json
expect "create: no tables" 3 "" "~empty.json:1: Resources" create empty.json
expect "create: the engine's rules" 3 "" "~short-name.json: table x:" create short-name.json
expect "create: one of several is wrong" 3 "" "~intrinsic.json" create shops.json intrinsic.json
expect "create: the same table twice" 3 "" "~numbers.json: table Numbers is defined twice" create numbers.json numbers.json
expect "create: bad size" 2 "" "~--size takes" create --size 1X shops.json
expect "create: negative size" 2 "" "~--size takes" create --size -1 shops.json
expect "create: huge size" 2 "" "~--size takes" create --size 99999999999G shops.json
expect "create: size below the minimum" 3 "" "~: --size 65536 is too small: at least 4194304" create --size 64K shops.json
expect "create: size and slots that do not fit" 3 "" "~--size * is too small for --stripes * and --slots 8192" \
    create --size 4M --stripes 65536 --slots 8192 shops.json
expect "create: bad mode" 2 "" "~--mode takes" create --mode 9 shops.json
expect "create: bad mode bits" 2 "" "~--mode takes" create --mode 1777 shops.json
expect "create: bad stripes" 2 "" "~--stripes takes" create --stripes 3 shops.json
expect "create: bad slots" 2 "" "~--slots takes" create --slots 1 shops.json
expect "create: too many slots" 2 "" "~--slots takes" create --slots 8193 shops.json
expect "nothing was created by all these" 4 "" "*" ls
expect "create" 0 "" "~ignored, for it means nothing to a cache: BillingMode; 1 resource (AWS::SQS::Queue)" create --size 64M --stripes 64 shops.json
expect "ls" 0 "~Shops *0 *4 *Delete" "" ls
expect "create again" 8 "" "~Shops" create shops.json
expect "create, one exists: none" 8 "" "~Shops" create numbers.json shops.json
expect "ls: still one table" 4 "" "~Numbers" scan Numbers
expect "create --if-not-exists" 0 "" "~table Shops exists, left as it is" create --if-not-exists shops.json numbers.json
sed 's/"KEYS_ONLY"/"ALL"/; s/"IndexName": "ByG"/"IndexName": "ByH"/; s/"Delete"/"Retain"/; s/ExpiresAt/Expires/' shops.json >other.json
expect "create --if-not-exists: says what differs" 0 "" "~TTL attribute is ExpiresAt, not Expires*policy is Delete, not Retain*has no index ByH*KeysOnly of table Shops: the projection is KEYS_ONLY, not ALL*also has an index ByG*differs from the template" \
    create --if-not-exists other.json
expect "create from standard input" 0 "" "" create - <binary.json
expect "create: size of a segment that exists" 0 "" "~change nothing" create --size 1G kept.json
expect "ls: all tables" 0 "~Binary *0 *0 *Delete*Kept *0 *0 *Retain*Numbers *0 *0 *Delete*Shops *0 *4 *Delete" "" ls
expect "ls --segments" 0 "~$LARDER_SEGMENT *64.0 MiB" "*" ls --segments
expect "segment from --segment" 4 "" "~$LARDER_SEGMENT-other" ls --segment "$LARDER_SEGMENT-other"
expect "segment from --segment=" 0 "~Shops" "" ls "--segment=$LARDER_SEGMENT"

# ---- put, get, delete ----------------------------------------------------------------------------

key='{"PK":{"S":"SHOP#1"},"SK":{"S":"META"}}'
item='{"BOOL":{"BOOL":false},"L":{"S":"local"},"PK":{"S":"SHOP#1"},"SK":{"S":"META"},"b":{"B":"AAEC/w=="},"bs":{"BS":["AA==","AQ=="]},"l":{"L":[{"S":"x"},{"N":"1"},{"M":{}}]},"m":{"M":{"k":{"NULL":true}}},"n":{"N":"12345678901234567890123456789012345678"},"ns":{"NS":["-1","2.5"]},"s":{"S":""},"ss":{"SS":["a","b"]}}'
nul='{"Item":{"a\u0000b":{"S":"v"},"id":{"N":"1"},"at":{"N":"1"}}}'
expect "put: a name with a zero byte" 0 "" "" put Numbers "$nul"
expect "export: a name with a zero byte" 0 "=$(sed 's/"Item":{\(.*\),"id":{"N":"1"},"at":{"N":"1"}}/"Item":{\1,"at":{"N":"1"},"id":{"N":"1"}}/' <<<"$nul")" "~1 item" export Numbers
"$larder" export Numbers >nul.json 2>/dev/null
expect "delete: a name with a zero byte" 0 "" "" delete Numbers '{"id":{"N":"1"},"at":{"N":"1"}}'
expect "import: a name with a zero byte" 0 "" "~imported 1 item" import Numbers nul.json
same "import and export: a name with a zero byte" "$("$larder" export Numbers 2>/dev/null)" "$(cat nul.json)"
"$larder" delete Numbers '{"id":{"N":"1"},"at":{"N":"1"}}'
expect "get: absent" 1 "" "~no such item" get Shops "$key"
expect "delete: absent" 1 "" "~no such item" delete Shops "$key"
expect "put" 0 "" "" put Shops "$item"
expect "get: as it was put" 0 "=$item" "" get Shops "$key"
expect "get: key from standard input" 0 "=$item" "" get Shops - <<<"$key"
expect "put: replaces" 0 "" "" put Shops '{"PK":{"S":"SHOP#1"},"SK":{"S":"META"},"v":{"N":"2"}}'
expect "get: replaced" 0 '={"PK":{"S":"SHOP#1"},"SK":{"S":"META"},"v":{"N":"2"}}' "" get Shops "$key"
expect "put: wrapped, from standard input" 0 "" "" put Shops - <<<"{\"Item\": $item}"
expect "get: what was wrapped" 0 "=$item" "" get Shops "$key"
expect "delete" 0 "" "" delete Shops "$key"
expect "get: deleted" 1 "" "*" get Shops "$key"
expect "put: zero byte in a string" 0 "" "" put Shops '{"PK":{"S":"nul\u0000"},"SK":{"S":"s"},"v":{"S":"a\u0000b"}}'
expect "get: zero byte in the key" 0 '={"PK":{"S":"nul\u0000"},"SK":{"S":"s"},"v":{"S":"a\u0000b"}}' "" get Shops '{"PK":{"S":"nul\u0000"},"SK":{"S":"s"}}'
expect "get: shorter key" 1 "" "*" get Shops '{"PK":{"S":"nul"},"SK":{"S":"s"}}'
expect "put: number keys" 0 "" "" put Numbers '{"id":{"N":"1.0"},"at":{"N":"-2e1"},"v":{"S":"x"}}'
expect "get: equal numbers" 0 '={"at":{"N":"-20"},"id":{"N":"1"},"v":{"S":"x"}}' "" get Numbers '{"id":{"N":"10e-1"},"at":{"N":"-20.00"}}'
expect "put: binary key" 0 "" "" put Binary '{"id":{"B":"/wA="},"v":{"S":"x"}}'
expect "get: binary key" 0 '={"id":{"B":"/wA="},"v":{"S":"x"}}' "" get Binary '{"id":{"B":"/wA="}}'
expect "delete: binary key" 0 "" "" delete Binary '{"id":{"B":"/wA="}}'

k='"PK":{"S":"a"},"SK":{"S":"b"}'
bad_item() { # NAME MESSAGE JSON
    expect "put: $1" 3 "" "~$2" put Shops "$3"
}
bad_item "no JSON" "item:1:" "hello"
bad_item "empty" "item:1:" ""
bad_item "an array" "an item is a JSON object" "[]"
bad_item "trailing garbage" "item:1:" "{$k} x"
bad_item "two documents" "item:1:" "{$k}{$k}"
bad_item "duplicate name" "duplicate" "{$k,\"PK\":{\"S\":\"c\"}}"
bad_item "lone surrogate" "item:1:" "{$k,\"a\":{\"S\":\"\\ud800\"}}"
bad_item "bytes that are no UTF-8" "item:1:" "{$k,\"a\":{\"S\":\"$(printf '\xff')\"}}"
bad_item "unknown type" "a: \"Q\" is no type" "{$k,\"a\":{\"Q\":\"c\"}}"
bad_item "two types" "a: a value is" "{$k,\"a\":{\"S\":\"c\",\"N\":\"1\"}}"
bad_item "no type" "a: a value is" "{$k,\"a\":{}}"
bad_item "plain value" "a: a value is" "{$k,\"a\":\"c\"}"
bad_item "number as a number" "a: N takes" "{$k,\"a\":{\"N\":5}}"
bad_item "number that is none" "a: " "{$k,\"a\":{\"N\":\"5x\"}}"
bad_item "number of 39 digits" "a: " "{$k,\"a\":{\"N\":\"123456789012345678901234567890123456789\"}}"
bad_item "bad base64" "a: B takes" "{$k,\"a\":{\"B\":\"AA=\"}}"
bad_item "null that is false" "a: NULL takes" "{$k,\"a\":{\"NULL\":false}}"
bad_item "boolean as text" "a: BOOL takes" "{$k,\"a\":{\"BOOL\":\"true\"}}"
bad_item "empty set" "a: " "{$k,\"a\":{\"SS\":[]}}"
bad_item "value twice in a set" "a" "{$k,\"a\":{\"NS\":[\"1\",\"1.0\"]}}"
bad_item "deep place" "a.b\[1\].c: S takes" "{$k,\"a\":{\"M\":{\"b\":{\"L\":[{\"S\":\"\"},{\"M\":{\"c\":{\"S\":1}}}]}}}}"
bad_item "no sort key" "SK" '{"PK":{"S":"a"}}'
bad_item "partition key of another type" "PK" '{"PK":{"N":"1"},"SK":{"S":"b"}}'
bad_item "empty key" "" '{"PK":{"S":""},"SK":{"S":"b"}}'
bad_item "index key of another type" "H" "{$k,\"G\":{\"S\":\"g\"},\"H\":{\"S\":\"x\"}}"
head -c 420000 /dev/zero | tr '\0' x >huge.txt
expect "put: over 400 KB" 3 "" "~" put Shops - <<<"{$k,\"a\":{\"S\":\"$(cat huge.txt)\"}}"
expect "put: control characters stay out of messages" 3 "" "*" put Shops "{$k,\"$(printf '\x7f')\\u001b[2J\":{\"S\":1}}"
same "message has no control characters" "$(tr -dc '\000-\010\013-\037\177' <.err | wc -c)" 0
expect "get: key without sort key" 3 "" "~SK" get Shops '{"PK":{"S":"a"}}'
expect "get: key with more" 3 "" "~2 attributes" get Shops "{$k,\"x\":{\"S\":\"y\"}}"
expect "get: key of another type" 3 "" "~PK" get Shops '{"PK":{"N":"1"},"SK":{"S":"b"}}'
expect "get: no JSON" 3 "" "~key:1:" get Shops nonsense
expect "delete: key of another type" 3 "" "~PK" delete Shops '{"PK":{"N":"1"},"SK":{"S":"b"}}'
expect "get: no table" 4 "" "~Nope" get Nope "$key"
expect "put: no table" 4 "" "~Nope" put Nope "$key"
expect "delete: no table" 4 "" "~Nope" delete Nope "$key"
expect "get: long sort key" 3 "" "*" get Shops "{\"PK\":{\"S\":\"a\"},\"SK\":{\"S\":\"$(head -c 1025 huge.txt)\"}}"
expect "operands after --" 1 "" "*" get -- Shops "$key"

# An expired item is gone, one that has yet to expire is not.
now=$(date +%s)
expect "put: to expire" 0 "" "" put Shops "{$k,\"ExpiresAt\":{\"N\":\"$((now - 10))\"}}"
expect "get: expired" 1 "" "*" get Shops "{$k}"
expect "put: to expire later" 0 "" "" put Shops "{$k,\"ExpiresAt\":{\"N\":\"$((now + 600))\"}}"
expect "get: not yet expired" 0 "~ExpiresAt" "" get Shops "{$k}"
expect "delete: not yet expired" 0 "" "" delete Shops "{$k}"

# ---- query ---------------------------------------------------------------------------------------

for i in 1 2 3 4 5 6 7 8 9; do
    echo "{\"PK\":{\"S\":\"Q\"},\"SK\":{\"S\":\"k$i\"},\"G\":{\"S\":\"g$((i % 2))\"},\"H\":{\"N\":\"$((i * 5))\"},\"some\":{\"S\":\"s\"},\"other\":{\"S\":\"o\"}}"
    echo "{\"Item\":{\"id\":{\"N\":\"7\"},\"at\":{\"N\":\"$((i * 5))\"}}}" >>numbers.txt
done >query.txt
expect "import the items to query" 0 "" "~imported 9 items" import Shops query.txt
expect "import numbers" 0 "" "~imported 9 items" import Numbers numbers.txt

sort_keys() { # the SK, or at, of each line of output
    sed -E 's/.*"(SK|at)":\{"[SN]":"([^"]*)"\}.*/\2/' "$work/.out" | tr '\n' ' '
}
query() { # NAME EXPECTED-KEYS ARGUMENT...
    local name=$1 keys=$2
    shift 2
    expect "query: $name" 0 "*" "*" query "$@"
    same "query: $name, keys" "$(sort_keys)" "$keys"
}
query "all" "k1 k2 k3 k4 k5 k6 k7 k8 k9 " Shops --pk Q
query "reverse" "k9 k8 k7 k6 k5 k4 k3 k2 k1 " Shops --pk Q --reverse
query "eq" "k4 " Shops --pk Q --sk-eq k4
query "lt" "k1 k2 k3 " Shops --pk Q --sk-lt k4
query "le" "k1 k2 k3 k4 " Shops --pk Q --sk-le k4
query "gt" "k8 k9 " Shops --pk Q --sk-gt k7
query "ge" "k7 k8 k9 " Shops --pk Q --sk-ge k7
query "between" "k3 k4 k5 " Shops --pk Q --sk-between k3 k5
query "between, reverse" "k5 k4 k3 " Shops --pk Q --sk-between k3 k5 --reverse
query "begins with" "k1 k2 k3 k4 k5 k6 k7 k8 k9 " Shops --pk Q --sk-begins-with k
query "begins with nothing there" "" Shops --pk Q --sk-begins-with x
query "no such partition" "" Shops --pk nothing
query "numbers in numeric order" "5 10 15 20 25 30 35 40 45 " Numbers --pk 7
query "numbers, key in another form" "5 10 " Numbers --pk 7.0 --sk-lt 1.5e1
query "numbers, negative bound" "" Numbers --pk 7 --sk-lt -5
query "numbers, between" "10 15 " Numbers --pk 7 --sk-between 9 15
query "index, numeric order" "k1 k3 k5 k7 k9 " Shops --index ByG --pk g1
query "index, range" "k5 k7 " Shops --index ByG --pk g1 --sk-between 25 35
expect "query: index projects keys" 0 "~\"PK\"" "" query Shops --index KeysOnly --pk g0 --limit 9
matches "$got_out" "~other" || matches "$got_out" "~some"
check "query: index projects keys only" test $? -ne 0
expect "query: index includes" 0 "~\"some\"" "" query Shops --index Some --pk g0
matches "$got_out" "~other"
check "query: index includes no more" test $? -ne 0
expect "put: in a local index" 0 "" "" put Shops '{"PK":{"S":"Q"},"SK":{"S":"k0"},"L":{"S":"l"}}'
query "local index" "k0 " Shops --index ByL --pk Q
expect "delete: from a local index" 0 "" "" delete Shops '{"PK":{"S":"Q"},"SK":{"S":"k0"}}'

# Page by page, with the printed line as a shell takes it.
next_page() { # COMMAND ARGUMENT...: adds its keys to $pages until there are no more
    local more=""
    pages=""
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do
        eval "expect 'page of $1' 0 '*' '*' $* --limit 4 $more"
        pages+=$(sort_keys)
        more=$(sed -n 's/^more: //p' .err)
        [[ -n $more ]] || break
    done
}
next_page query Shops --pk Q
same "query: pages" "$pages" "k1 k2 k3 k4 k5 k6 k7 k8 k9 "
next_page query Shops --pk Q --reverse
same "query: pages, reverse" "$pages" "k9 k8 k7 k6 k5 k4 k3 k2 k1 "
next_page query Shops --index ByG --pk g1
same "query: pages of an index" "$pages" "k1 k3 k5 k7 k9 "
expect "query: limit" 0 "*" '~more: --start-key '"'"'{' query Shops --pk Q --limit 2
same "query: limit, lines" "$(wc -l <.out)" 2
expect "query: no more line without limit" 0 "*" "" query Shops --pk Q
for i in 1 2 3; do "$larder" put Shops "{\"PK\":{\"S\":\"it's \$HOME\"},\"SK\":{\"S\":\"a'b\\\\\\\"\\u0000ä$i\"}}"; done
expect "query: key to quote" 0 "*" "~more:" query Shops --pk "it's \$HOME" --limit 2
eval "expect 'query: quoted key read back' 0 '~ä3' '' query Shops --pk \"it's \\\$HOME\" $(sed -n 's/^more: //p' .err)"
same "query: one after the quoted key" "$(wc -l <.out)" 1

expect "query: the wrong way round" 3 "" "~--sk-between A B: A is larger than B" query Shops --pk a --sk-between b a
expect "query: prefix of a number" 3 "" "~--sk-begins-with on the number" query Numbers --pk 1 --sk-begins-with 2
expect "query: no partition key" 2 "" "~--pk is missing" query Shops
expect "query: two conditions" 2 "" "~--sk-eq and --sk-lt" query Shops --pk Q --sk-lt a --sk-eq b
expect "query: between with one value" 2 "" "~--sk-between needs" query Shops --pk Q --sk-between a
expect "query: limit of none" 2 "" "~--limit takes" query Shops --pk Q --limit 0
expect "query: limit that is none" 2 "" "~--limit takes" query Shops --pk Q --limit 1x
expect "query: no table" 4 "" "~Nope" query Nope --pk Q
expect "query: no index" 4 "" "~Nope" query Shops --index Nope --pk Q
expect "query: pk that is no number" 3 "" "*" query Numbers --pk seven
expect "query: sk that is no number" 3 "" "*" query Numbers --pk 7 --sk-lt x
expect "query: begins with a number" 3 "" "*" query Numbers --pk 7 --sk-begins-with 1
expect "query: pk that is no base64" 3 "" "~base64" query Binary --pk '***'
expect "query: condition without sort key" 3 "" "~no sort key" query Binary --pk AA== --sk-eq AA==
expect "query: start key that is no JSON" 3 "" "~--start-key:1:" query Shops --pk Q --start-key x
expect "query: start key of other attributes" 3 "" "*" query Shops --pk Q --start-key '{"x":{"S":"y"}}'

# ---- scan, export, import ------------------------------------------------------------------------

for ((i = 0; i < 3000; i++)); do
    echo "{\"Item\":{\"PK\":{\"S\":\"P#$((i % 100))\"},\"SK\":{\"S\":\"$i\"},\"text\":{\"S\":\"some text to fill a page: $i ************************\"}}}"
done >many.jsonl
gzip -k many.jsonl
expect "drop what was there" 0 "" "" destroy --force
expect "create again from nothing" 0 "" "~ignored" create --size 64M shops.json numbers.json
expect "import" 0 "" "=larder import: imported 3000 items" import Shops many.jsonl
expect "scan" 0 "*" "" scan Shops
same "scan: all of them" "$(wc -l <.out)" 3000
sort .out >scanned.txt
expect "export" 0 "" "~exported 3000 items" export Shops out.jsonl
same "export: what scan says" "$(sed 's/^{"Item"://; s/}$//' out.jsonl | sort | md5sum)" "$(md5sum <scanned.txt)"
same "export: what was imported" "$(sort out.jsonl | md5sum)" "$(sort many.jsonl | md5sum)"
expect "export: gzip" 0 "" "~exported 3000" export Shops out.jsonl.gz
same "export: gzip is the same" "$(gzip -dc out.jsonl.gz | sort | md5sum)" "$(sort many.jsonl | md5sum)"
expect "export: standard output" 0 "*" "~exported 3000" export Shops
same "export: standard output is the same" "$(sort .out | md5sum)" "$(sort many.jsonl | md5sum)"
expect "export: - is standard output" 0 "*" "*" export Shops -
same "export: no temporary file stays" "$(find . -name '*tmp*' | wc -l)" 0
expect "export: empty table" 0 "" "~exported 0 items" export Numbers empty.jsonl
check "export: empty file" test -f empty.jsonl -a ! -s empty.jsonl
expect "export: no table" 4 "" "~Nope" export Nope nope.jsonl
check "export: nothing for no table" test ! -e nope.jsonl
expect "export: no directory" 8 "" "~nowhere/out" export Shops nowhere/out
expect "export: into a device" 0 "" "*" export Shops /dev/null
check "export: the device is still one" test -c /dev/null
expect "export: a full device" 8 "" "~/dev/full" export Shops /dev/full
check "export: the full device is still one" test -c /dev/full
mkdir other
echo old >other/target
chmod 600 other/target
ln -s other/target link
expect "export: through a link" 0 "" "*" export Shops link
check "export: the link stays" test -L link
same "export: its target is replaced" "$(wc -l <other/target)" 3000
same "export: as private as before" "$(stat -c %a other/target)" 600
expect "export: to a name that is a directory" 8 "" "*" export Shops other

expect "destroy" 0 "" "" destroy
expect "create for import" 0 "" "~ignored" create --size 64M shops.json numbers.json
expect "import: gzip" 0 "" "~imported 3000 items" import Shops many.jsonl.gz
expect "import: gzip whatever the name" 0 "" "~imported 3000 items" import Shops - <many.jsonl.gz
expect "import: pipe" 0 "" "~imported 3000 items" import Shops - < <(cat many.jsonl)
"$larder" scan Shops 2>/dev/null | "$larder" import Shops - 2>.err
matches "$(cat .err)" "~imported 3000 items"
check "import: what scan prints" test $? -eq 0
same "import: the same items" "$("$larder" scan Shops | sort | md5sum)" "$(md5sum <scanned.txt)"
expect "import: no file" 8 "" "~nowhere" import Shops nowhere
expect "import: a directory" 8 "" "~other" import Shops other
expect "import: no table" 4 "" "~Nope" import Nope many.jsonl
expect "import: empty file" 0 "" "~imported 0 items" import Shops /dev/null
{ head -3 numbers.txt; echo; printf '  \r\n'; tail -1 numbers.txt | tr -d '\n'; } >blank.txt
expect "import: blank lines, no last line end" 0 "" "~imported 4 items" import Numbers blank.txt
{ head -2 numbers.txt; echo '{"Item":{"id":{"N":"x"}}}'; echo '{"Item":'; echo '{"id":{"N":"1"}}'; tail -2 numbers.txt; } >bad.txt
expect "import: stops at a bad line" 3 "" "~bad.txt:3: Item.id:*imported 2 items, refused 1 line" import Numbers bad.txt
expect "import --keep-going" 3 "" "~bad.txt:3: *bad.txt:4:*bad.txt:5: *imported 4 items, refused 3 lines" import --keep-going Numbers bad.txt
half=$(($(stat -c %s many.jsonl.gz) / 2))
head -c $half many.jsonl.gz >truncated.gz
expect "import: truncated gzip" 3 "" "~truncated.gz: damaged gzip*imported" import Shops truncated.gz
{ head -c $half many.jsonl.gz; printf 'XXXXXXXX'; tail -c +$((half + 9)) many.jsonl.gz; } >damaged.gz
expect "import: damaged gzip" 3 "" "~damaged.gz:" import Shops damaged.gz
head -c 17825792 /dev/zero | tr '\0' ' ' >long.txt
expect "import: endless line" 3 "" "~long.txt:1: the line is too long" import Shops long.txt

expect "scan: parallel, first" 0 "*" "" scan Shops --segment-index 0 --of 3
cp .out part
expect "scan: parallel, second" 0 "*" "" scan Shops --segment-index 1 --of 3
cat .out >>part
expect "scan: parallel, third" 0 "*" "" scan Shops --segment-index 2 --of 3
cat .out >>part
same "scan: parallel, all exactly once" "$(sort part | md5sum)" "$(md5sum <scanned.txt)"
expect "scan: segment without of" 2 "" "~go together" scan Shops --segment-index 0
expect "scan: of without segment" 2 "" "~go together" scan Shops --of 2
expect "scan: segment out of range" 2 "" "~0 to 1" scan Shops --segment-index 2 --of 2
expect "scan: no table" 4 "" "~Nope" scan Nope
expect "scan: start key that is no key" 3 "" "*" scan Shops --start-key '{"x":{"S":"y"}}'
more=""
: >part
for ((i = 0; i < 10; i++)); do
    eval "expect 'scan: page' 0 '*' '*' scan Shops --limit 700 $more"
    cat .out >>part
    more=$(sed -n 's/^more: //p' .err)
    [[ -n $more ]] || break
done
same "scan: pages, all exactly once" "$(sort part | md5sum)" "$(md5sum <scanned.txt)"

# ---- expiry --------------------------------------------------------------------------------------

cat >sessions.template <<'END'
{"Resources": {"Sessions": {"Type": "AWS::DynamoDB::Table", "Properties": {"TableName": "Sessions",
  "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
  "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
  "TimeToLiveSpecification": {"AttributeName": "until", "Enabled": true}}}}}
END
expect "expire: a table for it" 0 "*" "*" create sessions.template
for ((i = 0; i < 3; i++)); do
    expect "expire: put" 0 "" "" put Sessions "{\"id\":{\"S\":\"s$i\"},\"until\":{\"N\":\"$(($(date +%s) - 5))\"}}"
done
expect "expire: stays until 2100" 0 "" "" put Sessions '{"id":{"S":"later"},"until":{"N":"4102444800"}}'
expect "expire: removes" 0 "=removed 3 expired items" "" expire
expect "expire: once" 0 "=removed 0 expired items" "" expire
expect "expire: put one more" 0 "" "" put Sessions '{"id":{"S":"old"},"until":{"N":"1700000000"}}'
expect "expire --json" 0 '={"removed":1}' "" expire --json
expect "expire: the other is there" 0 "~4102444800" "" get Sessions '{"id":{"S":"later"}}'
"$larder" expire --every 1 >expired.txt 2>.err &
daemon=$!
expect "expire --every: put" 0 "" "" put Sessions '{"id":{"S":"old"},"until":{"N":"1700000000"}}'
comes removed expired.txt
same "expire --every: removes" "$(cat expired.txt)" "removed 1 expired item"
kill -TERM "$daemon"
wait "$daemon"
same "expire --every: ends at SIGTERM" "$? $(cat .err)" "0 "
expect "expire --every: a segment of its own" 0 "" "" create --segment "$small" --size 4M sessions.template
"$larder" put --segment "$small" Sessions '{"id":{"S":"old"},"until":{"N":"1700000000"}}'
: >expired.txt
"$larder" expire --every 1 --segment "$small" >>expired.txt 2>.daemon.err &
daemon=$!
comes removed expired.txt # it is attached
: >expired.txt
expect "expire --every: the segment goes" 0 "" "" destroy --segment "$small"
comes 'is gone; waiting' .daemon.err
"$larder" create --segment "$small" --size 4M sessions.template
"$larder" put --segment "$small" Sessions '{"id":{"S":"old"},"until":{"N":"'$(($(date +%s) - 5))'"}}'
comes removed expired.txt
same "expire --every: goes on in a new one" "$(cat expired.txt)" "removed 1 expired item"
kill -TERM "$daemon"
wait "$daemon"
same "expire --every: says both" "$? $(cut -d: -f2- .daemon.err)" \
    "0  segment \"$small\" is gone; waiting until there is one again
 segment \"$small\" is there again"
expect "expire --every: destroy it" 0 "" "" destroy --segment "$small"

# ---- output that cannot be written ---------------------------------------------------------------

to_full() { # NAME ARGUMENT...
    local name=$1
    shift
    "$larder" "$@" >/dev/full 2>.err
    same "full output: $name" "$? $(grep -c 'cannot write to standard output' .err)" "8 1"
}
to_full "help" --help
to_full "ls" ls
to_full "info" info
to_full "info --json" info --json
to_full "get" get Numbers '{"id":{"N":"7"},"at":{"N":"5"}}'
to_full "scan" scan Shops
to_full "export" export Shops
to_full "check" check
"$larder" scan Shops 2>.err | head -1 >/dev/null
same "closed pipe: scan ends quietly" "${PIPESTATUS[0]} $(cat .err)" "8 "
"$larder" export Shops 2>.err | true
same "closed pipe: export ends quietly" "${PIPESTATUS[0]} $(cat .err)" "8 "
"$larder" get Numbers '{"id":{"N":"7"},"at":{"N":"5"}}' >&- 2>.err
same "closed output is an error" "$?" 8
"$larder" scan Shops >&- 2>.err
same "closed output, a lot" "$?" 8
"$larder" import Shops - <&- 2>.err
same "closed input is an error" "$?" 8
"$larder" ls 2>&- >.out
same "closed standard error" "$?" 0
"$larder" get Nope '{}' <&- >&- 2>&-
same "everything closed" "$?" 4
expect "nothing was written over the segment" 0 "~clean" "" check

# ---- progress, in a terminal of its own ----------------------------------------------------------

if script -qec true /dev/null </dev/null >/dev/null 2>&1; then # needs a pseudo-terminal
    script -qec "$larder import Shops many.jsonl" typescript.import </dev/null >/dev/null 2>&1
    check "progress: import draws a bar" grep -q 'import \[[#.]*\].*%.*items' typescript.import
    check "progress: import ends with its summary" grep -q 'imported 3000 items' typescript.import
    script -qec "$larder check" typescript.check </dev/null >/dev/null 2>&1
    script -qec "$larder export Shops progress.out" typescript.export </dev/null >/dev/null 2>&1
    check "progress: check draws a bar" grep -q 'check \[[#.]*\].*%' typescript.check
    check "progress: check ends with its summary" grep -q 'clean: ' typescript.check
    check "progress: export draws a bar" grep -q 'export \[[#.]*\].*%.*items' typescript.export
fi
"$larder" import Shops many.jsonl 2>.err
same "progress: none in a file" "$(grep -c '\[' .err)" 0

# ---- info and check ------------------------------------------------------------------------------

expect "info" 0 "~size *64.0 MiB*Tables*Numbers*Shops *3000*Indexes*Shops *ByG*Memory by size class*Attached*Counters*puts" "" info
expect "info --json" 0 '~"size_bytes": 67108864*"name": "Shops"*"item_count": 3000*"size_classes"' "" info --json
check "info --json is one object" test "$(head -c 1 .out)$(tail -c 2 .out)" = '{}'
expect "check" 0 "~clean: *items" "" check
expect "check: the longest pause" 0 "~*longest pause for a writer: *ms, time without a processor included" "" check
expect "check --read-only" 0 "~clean: *items" "" check --read-only

# ---- a full segment ------------------------------------------------------------------------------

for ((i = 0; i < 257; i++)); do
    sed "s/Numbers/Numbers$i/" numbers.json >"tables-$i.json"
done
expect "create: more tables than there can be" 3 "" "~256" create --segment "$small" --size 4M tables-*.json
expect "create: most of it slots" 0 "" "~warning: 5000 writer slots (--slots) take 1.8 MiB of the segment's 4.0 MiB" \
    create --segment "$small" --size 4M --slots 5000 binary.json
expect "destroy: most of it slots" 0 "" "" destroy --segment "$small"
# No larger than need be: its own tables are a five hundredth of it, and memory.
too_many=$(($(df --output=size -BG /dev/shm | tr -dc 0-9) + 1))
too_large="$too_many.0 GiB"
((too_many < 1024)) || too_large="* TiB"
expect "create: larger than its file system" 0 "" "~warning: the file system of /dev/shm/$small has * free*its $too_large" \
    create --segment "$small" --size "${too_many}G" --slots 5 binary.json
expect "destroy: larger than its file system" 0 "" "" destroy --segment "$small"
expect "create: slots" 0 "" "" create --segment "$small" --size 4M --slots 5 binary.json
expect "info: slots" 0 "~of 5 in use" "" info --segment "$small"
expect "create again: slots" 8 "" "~--stripes and --slots change nothing" create --segment "$small" --slots 7 binary.json
expect "destroy: slots" 0 "" "" destroy --segment "$small"
expect "create: tables that do not fit" 5 "" "~Numbers" create --segment "$small" --size 4M --stripes 4096 tables-1*.json
expect "create: neither left a segment" 4 "" "*" ls --segment "$small"
expect "create: a table that fits" 0 "" "" create --segment "$small" --size 4M --stripes 4096 binary.json
expect "create: more than fit" 5 "" "~Numbers" create --segment "$small" tables-1*.json
expect "create: what was there stays" 0 "~Binary" "" ls --segment "$small"
same "create: none of the others stays" "$(wc -l <.out)" 2
expect "create: no table leaks" 0 "~clean*0 leaked" "" check --segment "$small"
expect "destroy: the small segment" 0 "" "" destroy --segment "$small"
expect "create: a small segment" 0 "" "~ignored" create --segment "$small" --size 4M --stripes 2 numbers.json shops.json
for ((i = 0; i < 200; i++)); do
    echo "{\"PK\":{\"S\":\"P\"},\"SK\":{\"S\":\"$i\"},\"t\":{\"S\":\"$(head -c 60000 huge.txt)\"}}"
done >fill.jsonl
expect "import: full" 5 "" "~fill.jsonl:*imported *items" import --segment "$small" Shops fill.jsonl
expect "import --keep-going: full all the same" 5 "" "~fill.jsonl:" import --keep-going --segment "$small" Shops fill.jsonl
expect "get: in a full segment" 0 "*" "" get --segment "$small" Shops '{"PK":{"S":"P"},"SK":{"S":"0"}}'
expect "delete: in a full segment" 0 "" "" delete --segment "$small" Shops '{"PK":{"S":"P"},"SK":{"S":"0"}}'
expect "put: after a delete" 0 "" "" put --segment "$small" Shops "$(head -1 fill.jsonl)"
expect "check: a full segment" 0 "~clean" "" check --segment "$small"
expect "info: a full segment" 0 "~full *calls that found no memory*full, bytes *the block that the last of them lacked" "" info --segment "$small"
expect "destroy: the small segment" 0 "" "" destroy --segment "$small"

# ---- eviction ------------------------------------------------------------------------------------

expect "create --evict: no such table" 2 "" '~no template has a table "Shop"' create --segment "$small" --evict Shop shops.json
expect "create --evict: neither left a segment" 4 "" "*" ls --segment "$small"
expect "create --evict" 0 "" "~ignored" create --segment "$small" --size 4M --evict Numbers,Shops numbers.json binary.json shops.json
expect "create --evict: the tables exist" 0 "" "~Binary exists*the eviction policy is Sieve, not None*Numbers exists" \
    create --segment "$small" --if-not-exists binary.json numbers.json
expect "import: more than fits" 0 "" "~200 items" import --segment "$small" Shops fill.jsonl
expect "get: the newest is there" 0 "*" "" get --segment "$small" Shops '{"PK":{"S":"P"},"SK":{"S":"199"}}'
expect "get: the oldest has gone" 1 "" "*" get --segment "$small" Shops '{"PK":{"S":"P"},"SK":{"S":"0"}}'
expect "info: eviction" 0 "~Eviction*Numbers *Sieve *0 *Shops *Sieve *1*evicted *1" "" info --segment "$small"
check "info: only tables that evict" test "$(grep -c 'Sieve' .out)" = 2
expect "info --json: eviction" 0 '~"full_count": 0*"eviction": "None"*"eviction": "Sieve"*"evicted": 1' "" info --json --segment "$small"
expect "check: after eviction" 0 "~clean" "" check --segment "$small"
expect "destroy: the evicting segment" 0 "" "" destroy --segment "$small"

# ---- segments in files, modes, damage ------------------------------------------------------------

file=$work/segment.file
expect "path: create" 0 "" "~ignored" create --segment "$file" --size 8M --mode 640 shops.json
same "path: mode" "$(stat -c %a "$file")" 640
expect "create: huge pages" 0 "" "~ignored" create --segment "$file.huge" --size 8M --huge-pages shops.json
expect "destroy: huge pages" 0 "" "" destroy --segment "$file.huge"
expect "path: put" 0 "" "" put --segment "$file" Shops "{$k}"
expect "path: get" 0 "={$k}" "" get --segment "$file" Shops "{$k}"
expect "path: check" 0 "~clean" "" check --segment "$file"
expect "path: relative" 0 "={$k}" "" get --segment ./segment.file Shops "{$k}"
cp --sparse=always segment.file header.file
printf '\377\377\377\377\377\377\377\377\377\377\377\377\377\377\377\377' | dd of=header.file conv=notrunc status=none
expect "damage: no segment" 7 "" "*" check --segment ./header.file
expect "damage: ls says so" 7 "" "*" ls --segment ./header.file
head -c 65536 segment.file >short.file
expect "damage: truncated" 7 "" "*" check --segment ./short.file
echo "not a segment" >foreign.file
: >nothing.file
expect "damage: a foreign file" 7 "" "*" get --segment ./foreign.file Shops "{$k}"
expect "damage: a foreign file is not destroyed" 7 "" "*" destroy --segment ./foreign.file
expect "damage: nor by force, and what to do" 7 "" "~not a Larder segment*Only rm removes the file" \
    destroy --force --segment ./foreign.file
expect "damage: half made is not destroyed" 7 "" "~never finished; --force removes it" destroy --segment ./nothing.file
check "damage: the foreign file is there" test -s foreign.file
: >empty.file
expect "damage: an empty file" 7 "" "*" check --segment ./empty.file
cp --sparse=always segment.file damaged.file
dd if=/dev/urandom of=damaged.file bs=4096 seek=1 count=64 conv=notrunc status=none
answers() { # ARGUMENT...: any exit code will do, but no crash and no endless loop
    timeout 600 "$larder" "$@" --segment ./damaged.file >.out 2>.err
    code=$?
    check "damage: $1 answers ($code)" test $code -le 8
}
answers check
answers check --read-only
answers ls
answers info
answers scan Shops
answers get Shops "{$k}"
answers query Shops --pk a
answers put Shops "{$k}"
expect "damage: check finds it" 7 "*" "*" check --segment ./damaged.file
answers check --repair

# ---- repair --------------------------------------------------------------------------------------

expect "repair: no segment" 4 "" "~none.file" check --repair --segment ./none.file
expect "repair: and read-only" 2 "" "~exclude" check --repair --read-only --segment "$file"
expect "repair: nothing to do" 0 "=clean: nothing to repair" "" check --repair --segment "$file"
for ((i = 0; i < 50; i++)); do
    echo "{\"PK\":{\"S\":\"P\"},\"SK\":{\"S\":\"ITEM#NUMBER#$i#\"},\"G\":{\"S\":\"g\"}}"
done >items.jsonl
expect "repair: items" 0 "" "*" import --segment "$file" Shops items.jsonl
cp --sparse=always segment.file damaged.file
while IFS=: read -r at _; do # the item's key, at every place
    printf X | dd of=damaged.file bs=1 seek="$at" conv=notrunc status=none
done < <(grep -abo 'ITEM#NUMBER#17#' damaged.file)
expect "repair: check finds the damage" 7 "~DAMAGED" "*" check --segment ./damaged.file
expect "repair: says what is lost and why" 0 "~found: *lost: table \"Shops\": *repaired: 50 items kept (0 mended), 1 lost" "" \
    check --repair --segment ./damaged.file
expect "repair: clean" 0 "~clean: 50 items" "" check --segment ./damaged.file
expect "repair: the others are there" 0 "~ITEM#NUMBER#18#" "" query Shops --pk P --segment ./damaged.file
same "repair: all 49 of them" "$(grep -c 'ITEM#NUMBER#' .out)" 49
expect "repair: the lost one may come again" 0 "" "*" import --segment ./damaged.file Shops items.jsonl
expect "repair: and is there" 0 "~clean: 51 items" "" check --segment ./damaged.file
# As a killed repair leaves the state.
printf dnem | dd of=damaged.file bs=1 seek=48 conv=notrunc status=none
expect "repair: cut off, get" 7 "" "~check --repair" get --segment ./damaged.file Shops "{$k}"
expect "repair: cut off, check" 7 "" "~check --repair" check --segment ./damaged.file
expect "repair: cut off, destroy" 7 "" "~check --repair" destroy --segment ./damaged.file
expect "repair: cut off, repaired" 0 "~repaired: 51 items kept (0 mended), 0 lost" "" check --repair --segment ./damaged.file
expect "repair: works again" 0 "={$k}" "" get --segment ./damaged.file Shops "{$k}"
printf dnem | dd of=damaged.file bs=1 seek=48 conv=notrunc status=none
expect "repair: cut off, destroyed by force" 0 "" "" destroy --force --segment ./damaged.file
expect "repair: of what is no segment" 7 "" "*" check --repair --segment ./foreign.file
as_nobody() {
    setpriv --reuid 65534 --regid 65534 --clear-groups "$@" >.out 2>.err
}
if as_nobody "$larder" --version; then # needs root, and a command that others may reach
    chmod 755 "$work"
    expect "read-only: create" 0 "" "" create --segment ./others --size 4M --mode 644 numbers.json
    as_nobody "$larder" check --segment "$work/others"
    same "read-only: check says what is enough" "$? $(grep -c 'with --read-only, the right to read is enough' .err)" "8 1"
    as_nobody "$larder" check --read-only --segment "$work/others"
    same "read-only: and so it is" "$?" 0
    expect "read-only: destroy" 0 "" "" destroy --segment ./others
fi
expect "path: destroy" 0 "" "" destroy --segment "$file"
check "path: destroyed" test ! -e "$file"

# ---- destroy -------------------------------------------------------------------------------------

expect "create: a table to keep" 0 "" "" create kept.json
expect "destroy: refused" 8 "" "~Kept*is Retain; --force overrides it" destroy
expect "destroy: all is still there" 0 "~Kept*Shops" "" ls
expect "destroy --force" 0 "" "" destroy --force
expect "destroy: nothing left" 4 "" "*" destroy
check "destroy: no file left" test ! -e "/dev/shm/$LARDER_SEGMENT"

echo "$passed passed, $failed failed"
[[ $failed -eq 0 ]]

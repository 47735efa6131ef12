#!/usr/bin/env bash
# tests/cli/import_test.sh - larder import of the files that people have.
#
# Goal     Every shape gives the same items; what is wrong is said with file and line, and stores
#          nothing of that item; what was exported comes back.
# Usage    tests/cli/import_test.sh PATH-OF-LARDER
#          The last line is "N passed, N failed"; exit 1 if anything failed.
# shellcheck source=tests/cli/start.sh
. "$(dirname "${BASH_SOURCE[0]}")/start.sh"

echo '{"TableName": "Tab", "AttributeDefinitions": [{"AttributeName": "Id", "AttributeType": "N"},
  {"AttributeName": "g", "AttributeType": "S"}], "KeySchema": [{"AttributeName": "Id", "KeyType": "HASH"}],
  "GlobalSecondaryIndexes": [{"IndexName": "byG", "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}],
  "Projection": {"ProjectionType": "ALL"}}]}' >tab.json
a='{"Id":{"N":"101"},"Total":{"N":"37769.585000000006402842700481414794922"}}'
b='{"Id":{"N":"102"},"Total":{"N":"100"}}'
a_given='{"Id": {"N": "101"},
  "Total": {"N": "37769.585000000006402842700481414794922"}}'
b_given='{
  "Id": {"N": "102"}, "Total": {"N": "1E+2"}
}'

again() { # an empty table
    "$larder" destroy --force 2>/dev/null
    "$larder" create --size 16M tab.json 2>/dev/null
}

holds() { # NAME ITEM...: the table holds these
    local name=$1
    shift
    same "$name" "$("$larder" scan Tab | sort)" "$(printf '%s\n' "$@" | sort)"
}

shape() { # NAME TEXT [OPTION...]: gives the two items
    local name=$1
    printf '%s' "$2" >shape.json
    shift 2
    again
    expect "$name" 0 "" "=larder import: imported 2 items" import Tab shape.json "$@"
    holds "$name: its items" "$a" "$b"
}

# ---- shapes of JSON ------------------------------------------------------------------------------

shape "scan output" "{\"Items\": [$a_given, $b_given], \"Count\": 2, \"ScannedCount\": 2, \"ConsumedCapacity\": null}"
shape "scan output, the count first" "{\"Count\": 2, \"ConsumedCapacity\": {\"a\": {\"S\": \"x\"}}, \"Items\": [$a_given, $b_given]}"
shape "scan output in one line" "{\"Items\":[$a,$b],\"Count\":2}"
shape "pages, one after another" "{\"Items\": [$a_given]} {\"Items\": [$b_given]}"
shape "a list" "[$a_given, $b_given]"
shape "a list in one line" "[$a,$b]"
shape "a list of lists" "[[$a], [$b]]"
shape "a list with Item" "[{\"Item\": $a_given}, {\"Item\": $b_given}]"
shape "objects over several lines" "$a_given
$b_given"
shape "objects with Item over several lines" "{\"Item\":
$a_given} {
 \"Item\": $b_given}
"
shape "lines" "$a
$b
"
shape "lines, CR LF" "$(printf '%s\r\n%s\r\n' "$a" "$b")"
shape "a byte order mark" $'\xef\xbb\xbf'"$a
$b"
shape "batch-write-item" "{\"Tab\": [{\"PutRequest\": {\"Item\": $a_given}}, {\"PutRequest\": {\"Item\": $b_given}}]}"
shape "RequestItems around" "{\"RequestItems\": {\"Tab\": [{\"PutRequest\": {\"Item\": $a}}, {\"PutRequest\": {\"Item\": $b}}]}}"
shape "batch-get-item" "{\"Responses\": {\"Tab\": [$a_given, $b_given]}, \"UnprocessedKeys\": {}}"
shape "plain JSON, a list" '[{"Id": 101, "Total": 37769.585000000006402842700481414794922}, {"Id": "102", "Total": 1E+2}]' --plain
shape "plain JSON, lines" '{"Id":101,"Total":37769.585000000006402842700481414794922}
{"Id":102,"Total":100}' --plain
shape "plain JSON, Items" '{"Items": [{"Id": 101, "Total": 37769.585000000006402842700481414794922},
 {"Id": 102, "Total": 100}], "Count": 2}' --plain
printf '%s\n' "$a" "$b" >lines.json
gzip -k lines.json
zstd -q lines.json
for packed in lines.json.gz lines.json.zst; do
    again
    expect "$packed" 0 "" "=larder import: imported 2 items" import Tab $packed
    holds "$packed: its items" "$a" "$b"
    expect "$packed from standard input" 0 "" "~imported 2 items" import Tab - <$packed
done
cat lines.json.zst lines.json.zst >two.zst
expect "two zstd frames" 0 "" "~imported 4 items" import Tab two.zst
cat lines.json.gz lines.json.gz >two.gz
expect "two gzip members" 0 "" "~imported 4 items" import Tab two.gz
head -c 40 lines.json.zst >short.zst
expect "a zstd file that ends early" 3 "" "~short.zst: damaged zstd data: it ends early" import Tab short.zst
head -c 60 lines.json.gz >short.gz
expect "a gzip file that ends early" 3 "" "~short.gz: damaged gzip data: it ends early" import Tab short.gz
{ cat lines.json.gz && echo more; } >more.gz
expect "a gzip file with more behind" 3 "" "~more.gz: damaged gzip data: other bytes" import Tab more.gz
expect "several files" 0 "" "=larder import: imported 6 items" import Tab lines.json lines.json.gz lines.json.zst
expect "several files, one missing" 8 "" "~cannot open gone*imported 2 items" import Tab lines.json gone lines.json
expect "a page that is not the last" 0 "" "~LastEvaluatedKey*imported 1 item" import Tab - <<<"{\"Items\": [$a], \"LastEvaluatedKey\": {\"Id\": {\"N\": \"101\"}}}"

# ---- plain JSON ----------------------------------------------------------------------------------

again
cat >plain.json <<'END'
{"Id": 1, "g": 7, "t": true, "n": null, "l": [1, "x", [], {}], "m": {"k": -0.5}, "s": "", "Items": [{"a": 1}]}
END
expect "plain JSON: values" 0 "" "~imported 1 item" import --plain Tab plain.json
holds "plain JSON: their types" '{"Id":{"N":"1"},"Items":{"L":[{"M":{"a":{"N":"1"}}}]},"g":{"S":"7"},"l":{"L":[{"N":"1"},{"S":"x"},{"L":[]},{"M":{}}]},"m":{"M":{"k":{"N":"-0.5"}}},"n":{"NULL":true},"s":{"S":""},"t":{"BOOL":true}}'
expect "plain JSON without --plain" 3 "" "~plain.json:1: *a value is an object*; --plain reads plain JSON" import Tab plain.json
expect "plain JSON: syntax" 3 "" "~standard input:2:10:" import --plain Tab - <<<$'[{"Id": 1},\n{"Id": 2,}]'
expect "plain JSON: a number" 3 "" "~standard input:1:*imported 0 items, refused 1 line" import --plain Tab - <<<'{"Id": 01}'
expect "plain JSON: too many digits" 3 "" "~standard input:1: *38" import --plain Tab - <<<'{"Id": 123456789012345678901234567890123456789}'
expect "plain JSON: no key" 3 "" "~standard input:1: *Id" import --plain Tab - <<<'{"a": 1}'
expect "plain JSON: a name twice" 3 "" "~standard input:1:*duplicate" import --plain Tab - <<<'{"Id": 1, "Id": 2}'

# ---- CSV -----------------------------------------------------------------------------------------

again
printf 'Id,Total,Name,g,n:N,b:BOOL\r\n101,1.5,"a, b",x,2,true\r\n102,,"",,,\r\n' >items.csv
expect "CSV" 0 "" "=larder import: imported 2 items" import Tab items.csv
holds "CSV: its items" '{"Id":{"N":"101"},"Name":{"S":"a, b"},"Total":{"S":"1.5"},"b":{"BOOL":true},"g":{"S":"x"},"n":{"N":"2"}}' \
    '{"Id":{"N":"102"},"Name":{"S":""}}'
gzip -k items.csv
expect "CSV: gzip" 0 "" "~imported 2 items" import Tab items.csv.gz
expect "CSV from standard input" 0 "" "~imported 2 items" import --csv Tab - <items.csv
expect "CSV, and it is not said" 3 "" "~standard input:1:2: *CSV needs --csv" import Tab - <items.csv
printf 'Id,Total\n1\n2,x\n3,"x\n' >bad.csv
expect "CSV: stops" 3 "" "~bad.csv:2: has 1 cell; the header has 2*imported 0 items, refused 1 item" import Tab bad.csv
expect "CSV: --keep-going" 3 "" "~bad.csv:2: *bad.csv:4: a quote has no other*imported 1 item, refused 2 items" import --keep-going Tab bad.csv
printf 'Id,Total\nx,1\n' >bad.csv
expect "CSV: a key of another type" 3 "" "~bad.csv:2: Id: *\"x\"" import Tab bad.csv
printf 'Total\n1\n' >bad.csv
expect "CSV: no key" 3 "" "~bad.csv:2: *Id" import Tab bad.csv
again
printf 'Id,Name\r1,"a\rb"\r\r2,c\r' >cr.csv
expect "CSV: lines that end in CR" 0 "" "=larder import: imported 2 items" import Tab cr.csv
holds "CSV: lines that end in CR: its items" '{"Id":{"N":"1"},"Name":{"S":"a\rb"}}' '{"Id":{"N":"2"},"Name":{"S":"c"}}'
printf 'Id,Name\r1,x\r2\r' >cr.csv
expect "CSV: CR, and a wrong line" 3 "" "~cr.csv:3: has 1 cell" import Tab cr.csv
# Nothing imports no item in silence.
for text in 'Id,Name' 'Id,Name\n' 'Id,Name\r\n' 'Id,Name\r' 'Id,Name\r\r'; do
    printf '%b' "$text" >none.csv
    expect "CSV: $text alone" 0 "" "=larder import: none.csv: no item in it: a header, and no row follows
larder import: imported 0 items" import Tab none.csv
done
for text in '%PDF-1.7' 'Id;Name\r' 'a\tb\n'; do
    printf '%b' "$text" >none.csv
    expect "CSV: $text is no header" 3 "" "~none.csv: one line, which names no column \"Id\"" import Tab none.csv
done
for text in '' '\n\n' ' \n\t\r\n' '\xef\xbb\xbf'; do
    printf '%b' "$text" >none.jsonl
    printf '%b' "$text" >none.json
    for plain in "" --plain; do
        expect "lines: nothing but \"$text\" $plain" 0 "" "=larder import: none.jsonl: no item in it: the file is empty
larder import: imported 0 items" import Tab none.jsonl $plain
        expect "JSON: nothing but \"$text\" $plain" 3 "" "=larder import: none.json: the file is empty; JSON without items is [], and lines are named .jsonl
larder import: imported 0 items" import Tab none.json $plain
    done
    expect "nothing but \"$text\" from standard input" 0 "" "~standard input: no item in it: the file is empty" import Tab - <none.json
done
gzip -k none.json
expect "JSON: nothing in gzip" 0 "" "~none.json.gz: no item in it: the file is empty" import Tab none.json.gz
expect "JSON: goes on after an empty file if told" 3 "" "~none.json: the file is empty*imported 2 items" import --keep-going Tab none.json lines.json
for encoding in UTF-16 UTF-16LE UTF-16BE UTF-32; do
    iconv -t $encoding >wide.csv <<<"Id,Name
1,a"
    expect "CSV: $encoding" 3 "" "~wide.csv: the text" import Tab wide.csv
done
for ending in csv json; do
    cp "$larder" none.$ending
    expect "a program as $ending" 3 "" "~none.$ending:1:" import Tab none.$ending
    head -c 100 /dev/zero >none.$ending
    expect "zero bytes as $ending" 3 "" "~none.$ending:1:" import Tab none.$ending
done
expect "CSV: empty" 3 "" "~the file is empty" import --csv Tab /dev/null
expect "--csv and --plain" 2 "" "~exclude" import --csv --plain Tab items.csv

# ---- requests, deletions -------------------------------------------------------------------------

again
"$larder" import Tab lines.json 2>/dev/null
expect "a DeleteRequest" 0 "" "=larder import: imported 1 item, deleted 1 item" import Tab - \
    <<<'{"Tab": [{"DeleteRequest": {"Key": {"Id": {"N": "101"}}}}, {"PutRequest": {"Item": {"Id": {"N": "5"}}}}]}'
holds "a DeleteRequest: what is left" "$b" '{"Id":{"N":"5"}}'
expect "requests for another table" 0 "" "~passed over 1 entry of other tables, such as Other*imported 1 item" import Tab - \
    <<<'{"Other": [{"PutRequest": {"Item": {"Id": {"N": "6"}}}}], "Tab": [{"PutRequest": {"Item": {"Id": {"N": "7"}}}}]}'
request='{"PutRequest": {"Item": {"Id": {"N": "6"}}}}'
for others in "\"Other\": [$request]" "\"Other\": [
$request]" "\"RequestItems\": {\"Other\": [$request]}" "\"UnprocessedItems\": {\"Other\": [$request]}" \
    "\"Responses\": {\"Other\": [$b]}" "\"Other\": [$b]" "\"Other\": []" "\"RequestItems\": {\"Other\": []}"; do
    expect "another table's alone: $others" 3 "" "~standard input: it has a list for table Other and nothing for Tab; --name Other imports that*imported 0 items" \
        import Tab - <<<"{$others}"
    stored=$([[ $others == *'[]'* ]] && echo "no item in it*imported 0 items" || echo "imported 1 item")
    expect "by its name: $others" 0 "" "~$stored" import Tab - --name Other <<<"{$others}"
done
expect "several tables in one file, by a name" 0 "" "~passed over 2 entries of other tables, such as Tab*imported 1 item" import Tab - \
    --name Other <<<"{\"Other\": [$request], \"Tab\": [$request, $request]}"
for none in '[]' '{"Items": [], "Count": 0}' '{"Tab": []}' '{"Other": [], "Tab": []}' '{"RequestItems": {"Tab": []}}' \
    '{"Responses": {"Tab": []}}' '{"Tab": [
]}'; do
    expect "a list of no items: $none" 0 "" "=larder import: standard input: no item in it
larder import: imported 0 items" import Tab - <<<"$none"
done
expect "a list of transact-get-items" 0 "" "~imported 1 item" import Tab - <<<"{\"Responses\": [{\"Item\": $a}]}"
expect "a request without its item" 3 "" "~standard input:2: PutRequest: Item is missing" import Tab - <<<$'[\n{"PutRequest": {}}]'
expect "a key without its attribute" 3 "" "~DeleteRequest: the key needs the attribute Id" import Tab - <<<'{"DeleteRequest": {"Key": {"a": {"S": "x"}}}}'
expect "attributes with such names are items" 0 "" "~imported 1 item" import Tab - \
    <<<'{"Id": {"N": "8"}, "Keys": {"M": {}}, "NewImage": {"M": {"a": {"S": "x"}}}, "Responses": {"M": {}}}'

# ---- exports to S3 -------------------------------------------------------------------------------

export_of() { # FOLDER TYPE COUNT FILE...: a manifest for data files
    local folder=$1 type=$2 count=$3 file
    shift 3
    printf '{"version":"2023-08-01","exportType":"%s","itemCount":%d,"outputFormat":"DYNAMODB_JSON","manifestFilesS3Key":"x"}' \
        "$type" "$count" >"$folder/manifest-summary.json"
    for file; do
        printf '{"itemCount":1,"md5Checksum":"x","etag":"y","dataFileS3Key":"prefix/AWSDynamoDB/01-ab/data/%s"}\n' "$file"
    done >"$folder/manifest-files.json"
}
full=backup/AWSDynamoDB/01-ab
mkdir -p $full/data
echo "{\"Item\":$a}" | gzip >$full/data/one.json.gz
echo "{\"Item\":$b}" | zstd -q >$full/data/two.json.zst
export_of $full FULL_EXPORT 2 one.json.gz two.json.zst
for path in backup $full $full/manifest-summary.json $full/; do
    again
    expect "an export: $path" 0 "" "=larder import: imported 2 items" import Tab "$path"
    holds "an export: its items: $path" "$a" "$b"
done
export_of $full FULL_EXPORT 3 one.json.gz two.json.zst
expect "an export that is not whole" 3 "" "~the manifest says 3 items; its files have 2*imported 2 items" import Tab backup
again
export_of $full FULL_EXPORT 2 one.json.gz three.json.gz
expect "an export without one of its files" 8 "" "~manifest-files.json:2: cannot read $full/data/three.json.gz*imported 0 items" import Tab $full
holds "an export without one of its files: nothing is stored" ""
export_of $full FULL_EXPORT 2 one.json.gz ../../../../etc/passwd
expect "a manifest that leads elsewhere" 8 "" "~cannot read $full/data/passwd" import Tab $full
sed -i 's/DYNAMODB_JSON/ION/' $full/manifest-summary.json
expect "an export in Ion" 3 "" "~outputFormat is ION*DYNAMODB_JSON" import Tab $full
mkdir -p backup/AWSDynamoDB/02-cd
cp $full/manifest-summary.json backup/AWSDynamoDB/02-cd
expect "several exports" 2 "" "~several exports" import Tab backup
mkdir empty
expect "a folder that is none" 8 "" "~empty is a folder without manifest-summary.json" import Tab empty
printf '\xe0\x01\x00\xea\x01' >binary.ion
expect "binary Ion" 3 "" "~binary Amazon Ion is not read" import Tab binary.ion
# shellcheck disable=SC2016
echo '$ion_1_0 {Item:{Id:101.}}' >text.ion
expect "Ion as text" 3 "" "~text.ion:1:1: *Amazon Ion is not read" import Tab text.ion
mkdir -p changes/data
cat >changes/data/a.json <<END
{"Metadata":{"WriteTimestampMicros":{"N":"1"}},"Keys":{"Id":{"N":"101"}},"OldImage":$a}
{"Metadata":{"WriteTimestampMicros":{"N":"2"}},"Keys":{"Id":{"N":"102"}},"OldImage":$b,"NewImage":{"Id":{"N":"102"},"x":{"S":"new"}}}
{"Metadata":{"WriteTimestampMicros":{"N":"3"}},"Keys":{"Id":{"N":"103"}},"NewImage":{"Id":{"N":"103"}}}
{"Metadata":{"WriteTimestampMicros":{"N":"4"}},"Keys":{"Id":{"N":"999"}}}
END
export_of changes INCREMENTAL_EXPORT 4 a.json
again
"$larder" import Tab lines.json 2>/dev/null
expect "an incremental export" 0 "" "=larder import: imported 2 items, deleted 2 items" import Tab changes
holds "an incremental export: what is there now" '{"Id":{"N":"102"},"x":{"S":"new"}}' '{"Id":{"N":"103"}}'

# ---- what is wrong -------------------------------------------------------------------------------

again
iconv -f UTF-8 -t UTF-16 lines.json >wide.json
expect "UTF-16" 3 "" "~wide.json: the text is UTF-16; save it as UTF-8" import Tab wide.json
cat >pretty.json <<END
[
 $a_given,
 {"Id": {"N": "x"}},
 {"Id": {"N": "7"},
  "Id": {"N": "8"}},
 $b_given
]
END
expect "a list: stops at a bad item" 3 "" "~pretty.json:4: Id: *imported 1 item, refused 1 item" import Tab pretty.json
expect "a list: --keep-going" 3 "" "~pretty.json:4: Id: *pretty.json:6:*duplicate*imported 2 items, refused 2 items" import --keep-going Tab pretty.json
holds "a list: --keep-going: the good ones" "$a" "$b"
expect "a list that ends early" 3 "" "~standard input:2: the file ends where ',' or ']' is expected*imported 1 item" import Tab - <<<"[$a"
expect "an object that ends early" 3 "" "~the file ends where the end of an object or a list is expected" import Tab - <<<"[{\"Id\": {"
expect "no comma" 3 "" "~standard input:1: '{' stands where ',' or ']' is expected" import Tab - <<<"[$a $b]"
expect "a number in a list" 3 "" "~standard input:1: '5' stands where an item, '{', is expected" import Tab - <<<"[5]"
expect "plain JSON with an empty list" 3 "" "~standard input:1: Id: *; --plain reads plain JSON" import Tab - <<<'{"Id": 1, "Tags": []}'
expect "an empty list of --plain" 0 "" "~no item in it" import Tab - --plain <<<"[]"

# ---- back and forth ------------------------------------------------------------------------------

again
"$larder" put Tab '{"Id": {"N": "1"}, "a\u0000b": {"S": "v"}, "m": {"M": {"\u0000": {"L": [{"B": "AA=="}]}}}, "e": {"S": "x\u0000y"}}'
"$larder" export Tab out.json 2>/dev/null
"$larder" export Tab out.json.gz 2>/dev/null
for path in out.json out.json.gz; do
    again
    expect "$path: names with zero bytes" 0 "" "~imported 1 item" import Tab $path
    same "$path: they come back" "$("$larder" export Tab 2>/dev/null)" "$(cat out.json)"
done
again
for path in none-out.json none-out.jsonl none-out.json.gz; do
    expect "$path: a table without items" 0 "" "~exported 0 items" export Tab $path
    expect "$path: comes back" 0 "" "~$path: no item in it" import Tab $path
done
same "a table without items as JSON" "$(cat none-out.json)" "[]"
"$larder" import Tab out.json 2>/dev/null
sed 's/{"Item"/\n{"Item"/; s/,/,\n/g' out.json >out.pretty
again
expect "names with zero bytes over several lines" 0 "" "~imported 1 item" import Tab out.pretty
same "names with zero bytes over several lines: they come back" "$("$larder" export Tab 2>/dev/null)" "$(cat out.json)"
for ((i = 0; i < 2000; i++)); do
    printf '{"Id": {"N": "%d"},\n "text": {"S": "%0*d"}},\n' $i $((i % 700)) $i
done | { echo '{"Items": [' && sed '$s/,$//' && echo '], "Count": 2000}'; } >many.json
again
expect "many items" 0 "" "=larder import: imported 2000 items" import Tab many.json
same "many items: all of them" "$("$larder" scan Tab | wc -l)" 2000

echo "$passed passed, $failed failed"
((failed == 0))

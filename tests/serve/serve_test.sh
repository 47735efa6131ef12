#!/bin/bash
# tests/serve/serve_test.sh - larder serve, from outside: options, start, answers, stop.
#
# Goal     `larder serve` alone is a local DynamoDB. Wrong options are refused in clear words. Its
#          one line says what is served. SIGTERM ends it and leaves no process.
# Method   The command with port 0; Python's http.client is the client.
# Not here Details of HTTP: tests/serve/serve_http_test.c.
# Usage    tests/serve/serve_test.sh PATH-OF-LARDER
# shellcheck source=tests/serve/start.sh
. "$(dirname "$0")/start.sh"

ask() { # OPERATION JSON: prints status and body
    python3 - "$port" "$@" <<'PY'
import http.client, sys
port, operation, body = sys.argv[1:]
c = http.client.HTTPConnection("127.0.0.1", int(port), timeout=60)
c.request("POST", "/", body, {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "DynamoDB_20120810." + operation})
r = c.getresponse()
print(r.status, r.read().decode())
PY
}

expect "a bad address" 2 "" "~--listen takes HOST:PORT" serve --listen 1:2:3
expect "a bad port" 2 "" "~--listen takes HOST:PORT" serve --listen 127.0.0.1:65536
expect "other hosts without signatures" 2 "" "~can be reached from other hosts, and without --credentials" serve --listen 0.0.0.0:0
expect "no workers" 2 "" "~--workers" serve --workers 0
expect "a template without --create" 2 "" "~templates follow --create" serve first.json
expect "help says what --any-owner does here" 0 "~serve also a segment that another user made" "" serve --help
expect "no file of credentials" 3 "" "~none.txt: No such file" serve --credentials none.txt --listen 127.0.0.1:0
printf '[default]\naws_access_key_id = A\n' >half.txt
expect "half a credential" 3 "" "~but not both" serve --credentials half.txt --listen 127.0.0.1:0
expect "a template that is none" 3 "" "~half.txt" serve --listen 127.0.0.1:0 --create half.txt
expect "a refused start makes no segment" 4 "" "~does not exist" info

start_server --size 16M --workers 2
same "one line says what is served" "$line" "larder serve: DynamoDB at http://127.0.0.1:$port, segment \"$LARDER_SEGMENT\", 2 workers"
check "CreateTable" test "$(ask CreateTable '{"TableName":"Songs","BillingMode":"PAY_PER_REQUEST",
    "AttributeDefinitions":[{"AttributeName":"Artist","AttributeType":"S"}],
    "KeySchema":[{"AttributeName":"Artist","KeyType":"HASH"}]}' | cut -c 1-3)" = 200
same "PutItem" "$(ask PutItem '{"TableName":"Songs","Item":{"Artist":{"S":"Nina"},"Year":{"N":"1958"}}}')" "200 {}"
same "GetItem" "$(ask GetItem '{"TableName":"Songs","Key":{"Artist":{"S":"Nina"}}}')" \
    '200 {"Item":{"Artist":{"S":"Nina"},"Year":{"N":"1958"}}}'
same "an error has its status" "$(ask Nothing '{}')" '400 {"__type":"com.amazon.coral.service#UnknownOperationException"}'
expect "a program of this host sees the same" 0 '~1958' "" get Songs '{"Artist":{"S":"Nina"}}'
expect "a port that is taken" 8 "" "~cannot listen on 127.0.0.1:$port: Address already in use" serve --listen "127.0.0.1:$port"
check "UpdateTimeToLive" test "$(ask UpdateTimeToLive '{"TableName":"Songs",
    "TimeToLiveSpecification":{"Enabled":true,"AttributeName":"ttl"}}' | cut -c 1-3)" = 200
same "an item that expires" "$(ask PutItem "{\"TableName\":\"Songs\",\"Item\":{\"Artist\":{\"S\":\"gone\"},\"ttl\":{\"N\":\"$(($(date +%s) + 1))\"}}}")" "200 {}"
is_expired() { # its memory is given back, by the server alone
    for _ in {1..6000}; do
        "$larder" info --json | grep -q '"expired": *1' && return
        sleep 0.05
    done
    return 1
}
check "is removed by the server" is_expired
same "and is not there" "$(ask GetItem '{"TableName":"Songs","Key":{"Artist":{"S":"gone"}}}')" "200 {}"
"$larder" destroy --force >/dev/null 2>&1
says_destroyed() { # within the second in which a process notices, and what the machine adds
    for _ in {1..600}; do
        [[ $(python3 -c 'import sys, urllib.request as u
try: u.urlopen("http://127.0.0.1:" + sys.argv[1])
except Exception as e: print(e)' "$port") == *503* ]] && return
        sleep 0.1
    done
    return 1
}
check "a segment that was destroyed: health says so" says_destroyed
check "and so does an operation" bash -c "[[ '$(ask ListTables '{}')' == '500 '*'the segment was destroyed'* ]]"
echo '{"TableName": "First", "AttributeDefinitions": [{"AttributeName": "PK", "AttributeType": "S"}],
 "KeySchema": [{"AttributeName": "PK", "KeyType": "HASH"}]}' >first.json
expect "a new segment of its name" 0 "" "" create --size 8M first.json
same "is served" "$(ask ListTables '{}')" '200 {"TableNames":["First"]}'
stop_server
same "SIGTERM ends it" "$code" 0
same "and it has said nothing else" "$(wc -l <"$work/server.err")" 1

sed 's/First/Second/' first.json >second.json
start_server --create first.json second.json
same "--create makes what is missing" "$(ask ListTables '{}')" '200 {"TableNames":["First","Second"]}'
check "and names what is there" grep -q "table First exists" "$work/server.err"
stop_server
# The kernel deals connections to the socket of a worker that finds no segment, too.
replaced() {
    local worker now
    worker=$(pgrep -P "$server")
    kill -KILL "$worker"
    for _ in {1..5000}; do
        now=$(pgrep -P "$server") # one look: between two it may go
        [[ $now =~ ^[0-9]+$ && $now != "$worker" ]] && return
        sleep 0.02
    done
    return 1
}
start_server --workers 1
"$larder" destroy --force >/dev/null 2>&1
check "a worker that dies without a segment is replaced" replaced
check "its successor answers" bash -c "[[ '$(ask ListTables '{}')' == '500 '* ]]"
expect "a segment made meanwhile" 0 "" "" create --size 8M first.json
same "is served by it" "$(ask ListTables '{}')" '200 {"TableNames":["First"]}'
stop_server
where=0.0.0.0:0
start_server --expose
check "--expose serves other hosts, and says so" grep -q "every host that reaches this port can read and change" "$work/server.err"
stop_server

echo "$passed passed, $failed failed"
((failed == 0))

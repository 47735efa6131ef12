#!/bin/bash
# tests/serve/serve_signature_test.sh - Signature Version 4 with --credentials.
#
# Goal     What is signed as AWS's documentation says is served; every other request gets the
#          service's exception, in the service's order. A file of credentials is read as AWS's
#          clients read it.
# Method   A signer of its own in Python, by the documentation alone; each row changes one thing.
# Sources  "Create a signed AWS API request" (the form), the comments of dynalite's index.js (types,
#          messages and order, noted from the service), and those of serve/signature.c.
# Usage    tests/serve/serve_signature_test.sh PATH-OF-LARDER
# shellcheck source=tests/serve/start.sh
. "$(dirname "$0")/start.sh"

cat >keys.txt <<'KEYS'
# comments, other names and sections are left alone
[default]
region = eu-west-1
aws_access_key_id = AKIDEXAMPLE
aws_secret_access_key=se/cr+et=
[session]
AWS_ACCESS_KEY_ID=ASIASESSION
aws_secret_access_key = other
aws_session_token = tok/en==
KEYS
while IFS='|' read -r name text message; do
    printf '%b' "$text" >wrong.txt
    expect "credentials: $name" 3 "" "~wrong.txt: $message" serve --listen 127.0.0.1:0 --credentials wrong.txt
done <<'ROWS'
nothing||no section has aws_access_key_id
no value|aws_access_key_id\n|line 1: neither
an empty value|[a]\naws_access_key_id =\n|line 2: the value is empty
twice|aws_access_key_id=a\naws_access_key_id=b\n|line 2: given twice
half|[a]\naws_secret_access_key=b\n|a section has
ROWS
# What would wait or give for ever. `timeout` would show it as exit code 124.
mkfifo pipe
truncate -s 1048577 long.txt
while IFS='|' read -r path message; do
    timeout 600 "$larder" serve --listen 127.0.0.1:0 --credentials "$path" 2>refusal
    same "credentials: $path" "$? $(cat refusal)" "3 larder serve: $path: $message"
done <<'ROWS'
pipe|not a regular file: credentials are not read from a pipe, device or folder
/dev/zero|not a regular file: credentials are not read from a pipe, device or folder
.|not a regular file: credentials are not read from a pipe, device or folder
long.txt|the file is longer than 1 MiB, more than credentials are
ROWS

start_server --workers 1 --size 16M --credentials keys.txt

cat >rows.py <<'PY'
import datetime, hashlib, hmac, http.client, json, re, sys, urllib.parse
passed = failed = 0

def sign(path="/", headers=(), body=b"{}", key="AKIDEXAMPLE", secret="se/cr+et=", region="eu-west-1", minutes=0, method="POST",
         service="dynamodb", term="aws4_request", algorithm="AWS4-HMAC-SHA256", is_http_date=False, unsigned=()):
    """The request as (method, path, headers, body)."""
    now = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=minutes)
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    day = stamp[:8]
    all = [("Host", "h:%s" % sys.argv[1]), ("Content-Type", "application/x-amz-json-1.0"),
           ("X-Amz-Target", "DynamoDB_20120810.ListTables"), *headers]
    all.append(("Date", now.strftime("%a, %d %b %Y %H:%M:%S GMT")) if is_http_date else ("X-Amz-Date", stamp))
    values = {}
    for name, value in all:
        if name.lower() not in unsigned:
            values.setdefault(name.lower(), []).append(re.sub(" +", " ", value.strip()))
    path_only, _, query = path.partition("?")
    parts = sorted(p if "=" in p else p + "=" for p in query.split("&") if p)
    names = ";".join(sorted(values))
    canonical = "\n".join([method, urllib.parse.quote(path_only, safe="/-._~"), "&".join(parts),
                           *(n + ":" + ",".join(values[n]) for n in sorted(values)), "", names, hashlib.sha256(body).hexdigest()])
    scope = "/".join([day, region, service, term])
    text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode("latin1")).hexdigest()])
    k = ("AWS4" + secret).encode()
    for part in (day, region, service, term):
        k = hmac.new(k, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(k, text.encode(), hashlib.sha256).hexdigest()
    all.append(("Authorization", "%s Credential=%s/%s, SignedHeaders=%s, Signature=%s" % (algorithm, key, scope, names, signature)))
    return method, path, all, body

def ask(request):
    method, path, headers, body = request
    c = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=60)
    c.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    for name, value in headers:
        c.putheader(name, value)
    c.putheader("Content-Length", str(len(body)))
    c.endheaders(body)
    r = c.getresponse()
    text = r.read().decode()
    c.close()
    return r.status, text

def row(name, request, wanted=None, message=""):
    """wanted: the exception; None: it is served."""
    global passed, failed
    status, text = ask(request)
    got = json.loads(text)
    good = status == 200 and "TableNames" in got if wanted is None else \
        status == 400 and got["__type"] == "com.amazon.coral.service#" + wanted and re.search(message, got.get("message", ""))
    passed += bool(good)
    failed += not good
    if not good:
        print("FAILED: %s: %d %s" % (name, status, text))

def change(request, name, value):
    """The same signature over another header; None: without it."""
    method, path, headers, body = request
    return method, path, [(n, value(v) if n == name else v) for n, v in headers if n != name or value is not None], body

no_match = "^The request signature we calculated does not match the signature you provided\\."
row("plain", sign())
row("again, by the kept key", sign())
row("another region", sign(region="local"))
row("and back", sign())
row("another body", sign(body=b'{"Limit": 3}'))
row("a session", sign(key="ASIASESSION", secret="other", headers=[("X-Amz-Security-Token", "tok/en==")]))
row("HTTP's date", sign(is_http_date=True))
row("spaces in values", sign(headers=[("X-A", "  a   b  c ")]))
row("a header twice", sign(headers=[("X-A", "1"), ("X-B", "0"), ("X-A", "2")]))
row("an empty header", sign(headers=[("X-A", "")]))
row("a header that is not signed", sign(headers=[("User-Agent", "x")], unsigned=("user-agent",)))
row("a query", sign(path="/?b=2&a&c=%20x&a=1"))
row("a path", sign(path="/a%20b/c~d"))
row("14 minutes ago", sign(minutes=-14))
row("in 4 minutes", sign(minutes=4))

row("no signature", change(sign(), "Authorization", None), "MissingAuthenticationTokenException", "^Request is missing Authentication Token$")
row("another scheme", change(sign(), "Authorization", lambda v: "Bearer x"), "MissingAuthenticationTokenException")
row("AWS4", change(sign(), "Authorization", lambda v: "AWS4"), "MissingAuthenticationTokenException")
row("AWS4-, and no date", change(change(sign(), "Authorization", lambda v: "AWS4-"), "X-Amz-Date", None), "IncompleteSignatureException",
    "^Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' parameter. Authorization header "
    "requires 'SignedHeaders' parameter. Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. "
    "Authorization=AWS4-$")
row("no equal-sign", change(sign(), "Authorization", lambda v: "AWS4-HMAC-SHA256 Signature=b, Credential, SignedHeaders"),
    "IncompleteSignatureException", "^'Credential' not a valid key=value pair \\(missing equal-sign\\) in Authorization header: 'AWS4-HMAC")
row("a date of another form", change(sign(), "X-Amz-Date", lambda v: "201"), "IncompleteSignatureException",
    "^Date must be in ISO-8601 'basic format'. Got '201'. See http://en.wikipedia.org/wiki/ISO_8601$")
for text in ("20260230T000000Z", "20261301T000000Z", "20261130T240000Z", "20261130T000060Z", "2026 1 1T 0 0 0Z", "99991231T000000",
             "+9991231T000000Z", "199991231T000000Z", "20261130t000000z", "20261130T000000+0", "Mon, 30 Feb 2026 00:00:00 GMT",
             "Tue, 31 Jun 2026 00:00:00 GMT", "Mon, 30 Nov 2026 00:00:60 GMT"):
    row("no date: " + text, change(sign(), "X-Amz-Date", lambda v: text), "IncompleteSignatureException",
        "^Date must be in ISO-8601 'basic format'\\. Got '%s'\\. See http://en.wikipedia.org/wiki/ISO_8601$" % re.escape(text))
for text in ("99991231T000000Z", "99991231T235959Z", "21000101T000000Z"):
    row("a date far away: " + text, change(sign(), "X-Amz-Date", lambda v: text), "InvalidSignatureException",
        "^Signature not yet current: %s is still later than 20\\d{6}T\\d{6}Z \\(20\\d{6}T\\d{6}Z \\+ 5 min\\.\\)$" % text)
for text, shown in (("00010101T000000Z",) * 2, ("00000101T000000Z",) * 2, ("09991231T000000Z",) * 2, ("19691231T235959Z",) * 2,
                    ("Thu, 01 Jan 0970 00:00:00 GMT", "09700101T000000Z")):
    row("a date long ago: " + text, change(sign(), "X-Amz-Date", lambda v: text), "InvalidSignatureException",
        "^Signature expired: %s is now earlier than 20\\d{6}T\\d{6}Z \\(20\\d{6}T\\d{6}Z - 15 min\\.\\)$" % shown)
row("expired", sign(minutes=-16), "InvalidSignatureException", "^Signature expired: \\w+Z is now earlier than \\w+Z \\(\\w+Z - 15 min.\\)$")
row("of the future", sign(minutes=6), "InvalidSignatureException", "^Signature not yet current: \\w+Z is still later than \\w+Z \\(\\w+Z \\+ 5 min.\\)$")
row("Host is not signed", sign(unsigned=("host",)), "InvalidSignatureException", "^'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization\\.$")
for header in ("x-amz-target", "x-amz-date", "x-amz-security-token"):
    row(header + " is not signed", sign(key="ASIASESSION", secret="other", headers=[("X-Amz-Security-Token", "tok/en==")], unsigned=(header,)),
        "InvalidSignatureException", "^'%s' must be a 'SignedHeader' in the AWS Authorization\\.$" % header)
row("Host, before others that are not signed", sign(unsigned=("host", "x-amz-target")), "InvalidSignatureException", "^'Host' or")
row("a target that is not signed, changed", change(sign(unsigned=("x-amz-target",)), "X-Amz-Target", lambda v: "DynamoDB_20120810.DescribeLimits"),
    "InvalidSignatureException", "^'x-amz-target' must be")
row("any x-amz- header that is not signed", sign(headers=[("X-AMZ-Meta", "1")], unsigned=("x-amz-meta",)), "InvalidSignatureException", "^'x-amz-meta' must be")
row("the hash of the body need not be signed", sign(headers=[("X-Amz-Content-Sha256", "x")], unsigned=("x-amz-content-sha256",)))
row("nor what proxies add", sign(headers=[("X-Amzn-Trace-Id", "1")], unsigned=("x-amzn-trace-id",)))
row("signed by the header and by the query", sign(path="/?X-Amz-Algorithm=AWS4-HMAC-SHA256"), "InvalidSignatureException",
    "^Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header\\.$")
row("another algorithm", sign(algorithm="AWS4-HMAC-SHA25"), "IncompleteSignatureException",
    "^Unsupported AWS 'algorithm': 'AWS4-HMAC-SHA25' \\(only AWS4-HMAC-SHA256 for now\\). $")
row("four elements", change(sign(), "Authorization", lambda v: v.replace("/dynamodb", "")), "IncompleteSignatureException",
    "^Credential must have exactly 5 slash-delimited elements")
row("six elements", change(sign(), "Authorization", lambda v: v.replace("/dynamodb", "/x/dynamodb")), "IncompleteSignatureException",
    "^Credential must have exactly 5 slash-delimited elements")
row("another service", sign(service="s3"), "InvalidSignatureException", "^Credential should be scoped to correct service: 'dynamodb'. $")
row("another terminator", sign(term="aws4"), "InvalidSignatureException",
    "^Credential should be scoped with a valid terminator: 'aws4_request', not 'aws4'. $")
row("another day", change(sign(), "Authorization", lambda v: re.sub("/\\d{8}/", "/20120101/", v)), "InvalidSignatureException",
    "^Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '20120101' != '\\d{8}', from '\\w+Z'.$")
row("an unknown key", sign(key="AKIDOTHER"), "UnrecognizedClientException", "^The security token included in the request is invalid.$")
row("a wrong secret", sign(secret="other"), "InvalidSignatureException", no_match)
row("another session token", sign(key="ASIASESSION", secret="other", headers=[("X-Amz-Security-Token", "other")]),
    "UnrecognizedClientException", "^The security token included in the request is invalid$")
row("no session token", sign(key="ASIASESSION", secret="other"), "UnrecognizedClientException")
row("a changed target", change(sign(), "X-Amz-Target", lambda v: "DynamoDB_20120810.DescribeLimits"), "InvalidSignatureException", no_match)
method, path, headers, body = sign()
row("a changed body", (method, path, headers, b"{ }"), "InvalidSignatureException", no_match)
row("a changed path", (method, "/x", headers, body), "InvalidSignatureException", no_match)
row("an added query", (method, "/?a=1", headers, body), "InvalidSignatureException", no_match)
row("a shorter signature", change(sign(), "Authorization", lambda v: v[:-1]), "InvalidSignatureException", no_match)
row("a signed header that is missing", change(sign(headers=[("X-A", "1")]), "X-A", None), "InvalidSignatureException", no_match)
row("an empty signed header that is missing", change(sign(headers=[("X-A", "")]), "X-A", None), "InvalidSignatureException", no_match)
row("a signed header that no request has", change(sign(), "Authorization", lambda v: v.replace("SignedHeaders=", "SignedHeaders=zz;")), "InvalidSignatureException", no_match)
row("more signed headers than there may be", change(sign(), "Authorization", lambda v: v.replace("SignedHeaders=", "SignedHeaders=" + "a;" * 5000)),
    "InvalidSignatureException", no_match)
row("control and other characters come back escaped", change(sign(), "Authorization", lambda v: "AWS4-\t\"\\\xe9 Credential"),
    "IncompleteSignatureException", "^'Credential' not a valid")
print(passed, failed)
PY
counts=$(python3 rows.py "$port" | tee rows.out | tail -n 1)
grep FAILED rows.out
if [[ $counts =~ ^([0-9]+)\ ([0-9]+)$ ]]; then
    passed=$((passed + BASH_REMATCH[1])) failed=$((failed + BASH_REMATCH[2]))
else
    failed=$((failed + 1))
fi
status=$(python3 -c "import http.client as h; c = h.HTTPConnection('127.0.0.1', $port); c.request('GET', '/'); print(c.getresponse().status)")
same "health needs no signature" "$status" 200
same "pages of any origin may ask, since they must sign" "$(python3 -c "import http.client as h
c = h.HTTPConnection('127.0.0.1', $port); c.request('OPTIONS', '/', headers={'Origin': 'https://a.example'})
r = c.getresponse(); print(r.status, r.getheader('Access-Control-Allow-Origin'))")" "200 *"
same "no secret is said" "$(grep -c 'se/cr' server.err)" 0

echo "$passed passed, $failed failed"
((failed == 0))

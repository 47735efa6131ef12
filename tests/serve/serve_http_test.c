/* tests/serve/serve_http_test.c - what of HTTP an answer depends on.
 *
 * Goal     Each detail of the protocol that clients use, one test each: heads, bodies in every
 *          form, connections that stay, and requests that are none.
 * Method   `larder serve` as it is shipped; every byte of the client is written here.
 * Sources  What the service answers: dynalite's connection tests, which were run against it. HTTP:
 *          RFC 9110, RFC 9112.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zlib.h>

#include "tests/serve/serve_kit.h"
#include "tests/support/slow.h"

TestSuite(serve_http, .timeout = 60 * SLOW_FACTOR);

#define GET_A "{\"TableName\":\"Items\",\"Key\":{\"p\":{\"S\":\"a\"}}}"
#define ITEM_A "{\"Item\":{\"p\":{\"S\":\"a\"},\"v\":{\"S\":\"1\"}}}"
#define NO_SUCH_OPERATION "{\"__type\":\"com.amazon.coral.service#UnknownOperationException\"}"
#define NOT_FOUND "<UnknownOperationException/>\n"

static struct server server;
static struct reply reply;

static void begin(void) {
    static const char *const options[] = {"--workers", "1", NULL};
    server_start(&server, options, 0);
}

static void end(void) {
    reply_free(&reply);
    server_stop(&server);
    cr_assert_str_empty(server.said, "%s", server.said);
}

static void expect_crc(const struct reply *r) {
    char wanted[32];
    const char *crc = reply_header(r, "x-amz-crc32");
    snprintf(wanted, sizeof wanted, "%lu", crc32(0, (const Bytef *)r->body, (uInt)r->bytes));
    cr_assert(crc && strcmp(crc, wanted) == 0, "%s, not %s", crc ? crc : "none", wanted);
}

static void expect_header(const struct reply *r, const char *name, const char *value) {
    const char *got = reply_header(r, name);
    cr_assert(value ? got && strcmp(got, value) == 0 : !got, "%s: %s, not %s", name, got ? got : "none",
              value ? value : "none");
}

static void expect_request_id(const struct reply *r, char id[64]) {
    const char *got = reply_header(r, "x-amzn-RequestId");
    cr_assert(got && strlen(got) == 52 && strspn(got, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 52, "%s", r->head);
    strcpy(id, got);
}

/* Says a whole text and expects an answer. */
static void expect_text(int fd, const char *text, int status, const char *body) {
    client_say(fd, text);
    client_read(fd, &reply);
    expect_reply(&reply, status, body);
}

Test(serve_http, head_of_an_answer, .init = begin, .fini = end) {
    char first[64], second[64];
    int fd = client_open(&server);
    client_put(fd, "a", "1");
    client_ask(fd, "GetItem", "", GET_A, &reply);
    expect_reply(&reply, 200, ITEM_A);
    expect_header(&reply, "Content-Type", "application/x-amz-json-1.0");
    expect_header(&reply, "Server", "Server");
    expect_header(&reply, "Connection", NULL);
    expect_header(&reply, "Content-Encoding", NULL);
    cr_assert(reply_header(&reply, "Date"));
    expect_crc(&reply);
    expect_request_id(&reply, first);
    client_ask(fd, "GetItem", "", GET_A, &reply);
    expect_request_id(&reply, second);
    cr_assert_str_neq(first, second);
    close(fd);
}

Test(serve_http, errors_have_the_services_form, .init = begin, .fini = end) {
    int fd = client_open(&server);
    client_ask(fd, "ListTable", "", "{}", &reply);
    expect_reply(&reply, 400, NO_SUCH_OPERATION);
    expect_header(&reply, "x-amz-crc32", "1368724161"); /* the service's own */
    client_ask(fd, "ListTables", "", "{", &reply);
    expect_reply(&reply, 400, NULL);
    cr_assert(strstr(reply.body, "com.amazon.coral.service#SerializationException"), "%s", reply.body);
    client_ask(fd, "DescribeTable", "", "{\"TableName\":\"None\"}", &reply);
    expect_reply(&reply, 400, NULL);
    cr_assert(strstr(reply.body, "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException"), "%s", reply.body);
    close(fd);
}

Test(serve_http, target_must_name_this_api, .init = begin, .fini = end) {
    static const char *const lines[] = {"",
                                        "X-Amz-Target: whatever\r\n",
                                        "X-Amz-Target: DynamoDB_20120810.\r\n",
                                        "X-Amz-Target: DynamoDB_20110101.ListTables\r\n",
                                        "X-Amz-Target: ListTables\r\n",
                                        "X-Amz-Target:\r\n"};
    char text[512];
    int fd = client_open(&server);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        snprintf(text, sizeof text,
                 "POST / HTTP/1.1\r\nContent-Type: application/json\r\n%sContent-Length: 2\r\n\r\n{}", lines[i]);
        expect_text(fd, text, 400, NO_SUCH_OPERATION);
        expect_header(&reply, "Content-Type", "application/json");
    }
    close(fd);
}

Test(serve_http, content_type_is_that_of_the_request, .init = begin, .fini = end) {
    int fd = client_open(&server);
    expect_text(fd,
                "POST / HTTP/1.1\r\ncontent-type: application/json; charset=utf-8\r\n"
                "x-amz-target: DynamoDB_20120810.ListTables\r\ncontent-length: 2\r\n\r\n{}",
                200, "{\"TableNames\":[\"Items\"]}");
    expect_header(&reply, "Content-Type", "application/json");
    expect_text(fd,
                "POST / HTTP/1.1\r\ncontent-type: text/plain\r\nx-amz-target: DynamoDB_20120810.ListTables\r\n"
                "content-length: 2\r\n\r\n{}",
                404, NOT_FOUND);
    expect_header(&reply, "x-amz-crc32", "3552371480");
    expect_text(fd, "POST / HTTP/1.1\r\ncontent-length: 2\r\n\r\nhi", 404, NOT_FOUND);
    close(fd);
}

Test(serve_http, other_methods_are_not_found, .init = begin, .fini = end) {
    static const char *const methods[] = {"PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"};
    char text[128];
    int fd = client_open(&server);
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        snprintf(text, sizeof text, "%s / HTTP/1.1\r\nHost: h\r\n\r\n", methods[i]);
        expect_text(fd, text, 404, NOT_FOUND);
    }
    expect_text(fd, "GET /favicon.ico HTTP/1.1\r\nHost: h\r\n\r\n", 404, NOT_FOUND);
    close(fd);
}

Test(serve_http, health, .init = begin, .fini = end) {
    int fd = client_open(&server);
    expect_text(fd, "GET / HTTP/1.1\r\nHost: h\r\n\r\n", 200, "healthy: dynamodb.localhost ");
    expect_crc(&reply);
    client_say(fd, "HEAD / HTTP/1.1\r\nHost: h\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n");
    char head[512] = "", *at = head;
    while (!strstr(head, "\r\n\r\n"))
        cr_assert(at < head + sizeof head - 1 && recv(fd, at++, 1, 0) == 1);
    cr_assert(strstr(head, "200 OK") && strstr(head, "Content-Length: 28"), "%s", head);
    client_read(fd, &reply); /* no body came between */
    expect_reply(&reply, 200, "healthy: dynamodb.localhost ");
    close(fd);
}

Test(serve_http, connections_stay_or_end_as_the_client_says, .init = begin, .fini = end) {
    int fd = client_open(&server);
    for (int i = 0; i < 100; i++)
        expect_text(fd, "GET / HTTP/1.1\r\n\r\n", 200, NULL);
    expect_text(fd, "GET / HTTP/1.1\r\nConnection: close\r\n\r\n", 200, NULL);
    expect_header(&reply, "Connection", "close");
    client_expect_end(fd);
    fd = client_open(&server);
    expect_text(fd, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 200, NULL);
    expect_header(&reply, "Connection", "keep-alive");
    expect_text(fd, "GET / HTTP/1.0\r\n\r\n", 200, NULL);
    expect_header(&reply, "Connection", "close");
    client_expect_end(fd);
}

Test(serve_http, pipelined_requests_are_answered_in_order, .init = begin, .fini = end) {
    enum { COUNT = 300 };
    char *all = malloc((size_t)COUNT * 512), text[REQUEST_BYTES_MAX], body[128], wanted[128];
    size_t bytes = 0;
    int fd = client_open(&server);
    for (int i = 0; i < COUNT; i++) {
        snprintf(body, sizeof body,
                 "{\"TableName\":\"Items\",\"Item\":{\"p\":{\"S\":\"a\"},\"v\":{\"N\":\"%d\"}},"
                 "\"ReturnValues\":\"ALL_OLD\"}",
                 i);
        size_t n = request_text(text, "PutItem", "", body);
        memcpy(all + bytes, text, n);
        bytes += n;
    }
    cr_assert(client_send(fd, all, bytes));
    for (int i = 0; i < COUNT; i++) {
        snprintf(wanted, sizeof wanted, "{\"Attributes\":{\"p\":{\"S\":\"a\"},\"v\":{\"N\":\"%d\"}}}", i - 1);
        client_read(fd, &reply);
        expect_reply(&reply, 200, i ? wanted : "{}");
    }
    free(all);
    close(fd);
}

Test(serve_http, byte_after_byte, .init = begin, .fini = end) {
    char text[REQUEST_BYTES_MAX];
    int fd = client_open(&server);
    size_t bytes = request_text(text, "ListTables", "A: b  c\t d  \r\nB:  \t\r\nC:\r\n", "{}");
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < bytes; i++)
            cr_assert(client_send(fd, text + i, 1));
        client_read(fd, &reply);
        expect_reply(&reply, 200, "{\"TableNames\":[\"Items\"]}");
    }
    close(fd);
}

Test(serve_http, every_cut_of_two_requests, .init = begin, .fini = end) {
    char text[2 * REQUEST_BYTES_MAX];
    int fd = client_open(&server);
    client_put(fd, "a", "1");
    size_t bytes = request_text(text, "ListTables", "", "{}");
    bytes += request_text(text + bytes, "GetItem", "", GET_A);
    for (size_t cut = 1; cut < bytes; cut += cut % 7 + 1) {
        cr_assert(client_send(fd, text, cut));
        usleep(300); /* so that the two parts come apart; if not, nothing is lost */
        cr_assert(client_send(fd, text + cut, bytes - cut));
        client_read(fd, &reply);
        expect_reply(&reply, 200, "{\"TableNames\":[\"Items\"]}");
        client_read(fd, &reply);
        expect_reply(&reply, 200, ITEM_A);
    }
    close(fd);
}

Test(serve_http, expect_100_continue, .init = begin, .fini = end) {
    int fd = client_open(&server);
    for (int i = 0; i < 2; i++) {
        expect_text(
            fd,
            "POST / HTTP/1.1\r\nContent-Type: application/json\r\nX-Amz-Target: DynamoDB_20120810.ListTables\r\n"
            "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n",
            100, NULL);
        expect_text(fd, "{}", 200, "{\"TableNames\":[\"Items\"]}");
    }
    /* a client that does not wait gets no 100 */
    client_ask(fd, "ListTables", "Expect: 100-continue\r\n", "{}", &reply);
    expect_reply(&reply, 200, "{\"TableNames\":[\"Items\"]}");
    expect_text(fd, "POST / HTTP/1.1\r\nExpect: a-cake\r\nContent-Length: 2\r\n\r\n", 417, "");
    client_expect_end(fd);
    fd = client_open(&server);
    expect_text(fd, "POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 16777217\r\n\r\n", 413, "");
    client_expect_end(fd);
}

Test(serve_http, chunked_bodies, .init = begin, .fini = end) {
    static const char head[] = "POST / HTTP/1.1\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
                               "X-Amz-Target: DynamoDB_20120810.GetItem\r\n\r\n";
    static const char body[] = GET_A;
    char text[4096], *at = text;
    int fd = client_open(&server);
    client_put(fd, "a", "1");
    for (size_t piece = 1; piece < sizeof body; piece++) {
        at = text + sprintf(text, "%s", head);
        for (size_t i = 0; i < sizeof body - 1; i += piece) {
            size_t n = sizeof body - 1 - i < piece ? sizeof body - 1 - i : piece;
            at += sprintf(at, "%zx;name=\"value\"\r\n%.*s\r\n", n, (int)n, body + i);
        }
        sprintf(at, "0\r\nX-Amz-Target: DynamoDB_20120810.DeleteTable\r\n\r\n"); /* a trailer is not looked at */
        expect_text(fd, text, 200, ITEM_A);
    }
    /* and byte after byte */
    for (const char *c = text; *c; c++)
        cr_assert(client_send(fd, c, 1));
    client_read(fd, &reply);
    expect_reply(&reply, 200, ITEM_A);
    close(fd);
}

/* A gzip member. */
static size_t pack(const void *data, size_t bytes, void *out, size_t room) {
    z_stream z = {0};
    cr_assert_eq(deflateInit2(&z, 9, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (Bytef *)(uintptr_t)data;
    z.avail_in = (uInt)bytes;
    z.next_out = out;
    z.avail_out = (uInt)room;
    cr_assert_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
    deflateEnd(&z);
    return z.total_out;
}

static void send_packed(int fd, const char *encoding, const void *data, size_t bytes) {
    char head[512];
    snprintf(head, sizeof head,
             "POST / HTTP/1.1\r\nContent-Type: application/json\r\nX-Amz-Target: DynamoDB_20120810.GetItem\r\n"
             "Content-Encoding: %s\r\nContent-Length: %zu\r\n\r\n",
             encoding, bytes);
    client_say(fd, head);
    cr_assert(client_send(fd, data, bytes));
    client_read(fd, &reply);
}

Test(serve_http, gzip_in_requests, .init = begin, .fini = end) {
    char packed[65536], *bomb = calloc(1, (16u << 20) + 1);
    int fd = client_open(&server);
    client_put(fd, "a", "1");
    size_t bytes = pack(GET_A, strlen(GET_A), packed, sizeof packed);
    send_packed(fd, "gzip", packed, bytes);
    expect_reply(&reply, 200, ITEM_A);
    send_packed(fd, "GZIP", packed, bytes);
    expect_reply(&reply, 200, ITEM_A);
    send_packed(fd, "identity", GET_A, strlen(GET_A));
    expect_reply(&reply, 200, ITEM_A);
    for (size_t cut = 1; cut < bytes; cut++) { /* half a member is none */
        send_packed(fd, "gzip", packed, cut);
        expect_reply(&reply, 400, "{\"__type\":\"com.amazon.coral.service#SerializationException\"}");
    }
    send_packed(fd, "gzip", GET_A, strlen(GET_A));
    expect_reply(&reply, 400, "{\"__type\":\"com.amazon.coral.service#SerializationException\"}");
    send_packed(fd, "br", packed, bytes);
    expect_reply(&reply, 415, NULL);
    send_packed(fd, "gzip", packed, pack(bomb, (16u << 20) + 1, packed, sizeof packed));
    expect_reply(&reply, 413, "");
    send_packed(fd, "gzip", packed, pack(bomb, 16u << 20, packed, sizeof packed));
    expect_reply(&reply, 400, NULL);
    free(bomb);
    close(fd);
}

static void expect_unpacked(const struct reply *r, const char *wanted) {
    static char out[65536];
    z_stream z = {
        .next_in = (Bytef *)r->body, .avail_in = (uInt)r->bytes, .next_out = (Bytef *)out, .avail_out = sizeof out};
    cr_assert_eq(inflateInit2(&z, MAX_WBITS + 16), Z_OK);
    cr_assert_eq(inflate(&z, Z_FINISH), Z_STREAM_END);
    out[z.total_out] = 0;
    inflateEnd(&z);
    cr_assert_str_eq(out, wanted);
}

Test(serve_http, gzip_in_answers, .init = begin, .fini = end) {
    static char body[20000], wanted[20000];
    char value[1001] = "";
    int fd = client_open(&server);
    memset(value, 'x', 1000);
    for (int i = 0; i < 10; i++) {
        char key[8];
        snprintf(key, sizeof key, "k%d", i);
        client_put(fd, key, value);
    }
    client_ask(fd, "Scan", "", "{\"TableName\":\"Items\"}", &reply);
    expect_reply(&reply, 200, NULL);
    expect_header(&reply, "Content-Encoding", NULL);
    cr_assert(reply.bytes > 10000 && reply.bytes < sizeof wanted);
    strcpy(wanted, reply.body);
    static const struct {
        const char *accept;
        bool is_packed;
    } rows[] = {{"gzip", true},
                {"deflate, gzip;q=0.5, *", true},
                {"GZIP", true},
                {"gzip;q=0", false},
                {"gzip;q=0.000, br", false},
                {"identity", false},
                {"xgzip", false},
                {"br,gzip", true}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char line[128];
        snprintf(line, sizeof line, "Accept-Encoding: %s\r\n", rows[i].accept);
        client_ask(fd, "Scan", line, "{\"TableName\":\"Items\"}", &reply);
        expect_header(&reply, "Content-Encoding", rows[i].is_packed ? "gzip" : NULL);
        expect_crc(&reply); /* of the bytes as they are sent */
        if (rows[i].is_packed)
            expect_unpacked(&reply, wanted);
        else
            expect_reply(&reply, 200, wanted);
    }
    client_ask(fd, "ListTables", "Accept-Encoding: gzip\r\n", "{}", &reply); /* short ones as they are */
    expect_header(&reply, "Content-Encoding", NULL);
    snprintf(body, sizeof body, "{}");
    close(fd);
}

Test(serve_http, pages_of_this_host_may_ask, .init = begin, .fini = end) {
    static const char *const local[] = {"http://localhost:3000", "https://localhost", "http://127.0.0.1:5173",
                                        "http://[::1]:80", "http://shop.localhost"};
    static const char *const foreign[] = {"https://evil.example",
                                          "null",
                                          "http://127.0.0.1.evil.example",
                                          "http://localhost.evil.example:80",
                                          "http://evillocalhost",
                                          "http://[::2]",
                                          "http://127.1"};
    char line[128];
    int fd = client_open(&server);
    for (size_t i = 0; i < sizeof local / sizeof *local; i++) {
        snprintf(line, sizeof line, "Origin: %s\r\n", local[i]);
        client_ask(fd, "ListTables", line, "{}", &reply);
        expect_reply(&reply, 200, NULL);
        expect_header(&reply, "Access-Control-Allow-Origin", "*");
        expect_header(&reply, "Access-Control-Expose-Headers",
                      "x-amzn-RequestId,x-amzn-ErrorType,x-amzn-ErrorMessage,Date");
    }
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++) {
        snprintf(line, sizeof line, "Origin: %s\r\n", foreign[i]);
        client_ask(fd, "ListTables", line, "{}", &reply);
        expect_reply(&reply, 403, NULL);
        expect_header(&reply, "Access-Control-Allow-Origin", NULL);
        cr_assert(strstr(reply.body, "AccessDeniedException"), "%s", reply.body);
    }
    close(fd);
}

Test(serve_http, preflight, .init = begin, .fini = end) {
    int fd = client_open(&server);
    expect_text(fd,
                "OPTIONS / HTTP/1.1\r\nOrigin: http://localhost:3000\r\nAccess-Control-Request-Headers: a, b, c\r\n"
                "Access-Control-Request-Method: POST\r\n\r\n",
                200, "");
    expect_header(&reply, "Access-Control-Allow-Origin", "*");
    expect_header(&reply, "Access-Control-Allow-Headers", "a, b, c");
    expect_header(&reply, "Access-Control-Allow-Methods", "POST");
    expect_header(&reply, "Access-Control-Max-Age", "172800");
    expect_header(&reply, "Content-Length", "0");
    expect_text(fd, "OPTIONS / HTTP/1.1\r\nOrigin: https://evil.example\r\n\r\n", 403, NULL);
    expect_header(&reply, "Access-Control-Allow-Origin", NULL);
    close(fd);
}

/* A page of evil.example that gives this host its own name: see serve/host.h. */
Test(serve_http, host_must_not_be_a_name_that_others_own, .init = begin, .fini = end) {
    static const char *const ours[] = {"localhost",
                                       "LOCALHOST:8000",
                                       "127.0.0.1:8000",
                                       "[::1]:8000",
                                       "dynamodb:8000",
                                       "db.localhost:8000",
                                       "",
                                       "192.0.2.1",
                                       "host.docker.internal:8000",
                                       "db.local",
                                       "db.test",
                                       "nas.home.arpa",
                                       "localhost.:80",
                                       "[fe80::1]"};
    static const char *const others[] = {"evil.example",
                                         "evil.example:8000",
                                         "evil.example.",
                                         "localhost.evil.io",
                                         "127.0.0.1.evil.example:80",
                                         "evillocal.com",
                                         "1.2.3.4.5",
                                         "evil.example:localhost",
                                         "a.internal.io",
                                         "[evil.example]",
                                         "[::1].evil.example",
                                         "evil.example/.localhost",
                                         "[::1",
                                         "evil.example#.local"};
    char text[256];
    int fd = client_open(&server);
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
        snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", ours[i]);
        client_say(fd, text);
        client_read(fd, &reply);
        cr_assert_eq(reply.status, 200, "%s: %d", ours[i], reply.status);
    }
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        snprintf(text, sizeof text,
                 "POST / HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n"
                 "X-Amz-Target: DynamoDB_20120810.ListTables\r\nContent-Length: 2\r\n\r\n{}",
                 others[i]);
        client_say(fd, text);
        client_read(fd, &reply);
        cr_assert_eq(reply.status, 403, "%s: %d", others[i], reply.status);
        cr_assert(strstr(reply.body, "AccessDeniedException") && strstr(reply.body, "--expose"), "%s", reply.body);
    }
    close(fd);
}

Test(serve_http, exposed_any_host_may_be_named) {
    static const char *const options[] = {"--workers", "1", "--expose", NULL};
    server_start(&server, options, 0);
    int fd = client_open(&server);
    expect_text(fd, "GET / HTTP/1.1\r\nHost: db.shop.example\r\n\r\n", 200, NULL);
    close(fd);
    end();
}

Test(serve_http, origin_option) {
    static const char *const options[] = {"--workers", "1", "--origin", "https://shop.example", NULL};
    server_start(&server, options, 0);
    int fd = client_open(&server);
    client_ask(fd, "ListTables", "Origin: https://shop.example\r\n", "{}", &reply);
    expect_reply(&reply, 200, NULL);
    client_ask(fd, "ListTables", "Origin: https://shop.example.evil\r\n", "{}", &reply);
    expect_reply(&reply, 403, NULL);
    close(fd);
    end();
}

Test(serve_http, what_is_no_http_ends_the_connection, .init = begin, .fini = end) {
    static const struct {
        const char *text;
        int status;
    } rows[] = {{"hello\r\n\r\n", 400},
                {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400}, /* TLS */
                {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400},
                {"GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505},
                {"GET / HTTP/0.9\r\nHost: h\r\n\r\n", 505},
                {"GET /\r\n\r\n", 505},
                {"GET / HTTP/1.2\r\nHost: h\r\n\r\n", 400},
                {"GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n", 400},
                {"GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n c\r\n\r\n", 400},
                {"GET / HTTP/1.1\r\nHost: h\r\nA:\r\n\tc\r\n\r\n", 400},
                {"GET / HTTP/1.1\r\nHost: h\r\nA: \t b \r\n \t c\r\n\r\n", 400},
                {"POST / HTTP/1.1\r\nA:\r\n c\r\nContent-Length: 2\r\n\r\n{}", 400},
                {"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n", 400},
                {"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400},
                {"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n", 400},
                {"POST / HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400},
                {"POST / HTTP/1.1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}", 400},
                {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked, gzip\r\n\r\n{}", 400},
                {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", 400},
                {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n", 400},
                {"POST / HTTP/1.1\r\nA B: c\r\n\r\n", 400},
                {"CONNECT h:80 HTTP/1.1\r\n\r\n", 405},
                {"POST / HTTP/1.1\r\nContent-Length: 16777217\r\n\r\n", 413}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int fd = client_open(&server);
        client_say(fd, rows[i].text);
        client_read(fd, &reply);
        cr_assert_eq(reply.status, rows[i].status, "row %zu: %d", i, reply.status);
        expect_header(&reply, "Connection", "close");
        client_expect_end(fd);
    }
}

Test(serve_http, offers_of_other_protocols_are_not_taken, .init = begin, .fini = end) {
    int fd = client_open(&server);
    client_ask(fd, "ListTables", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMA\r\n",
               "{}", &reply);
    expect_reply(&reply, 200, "{\"TableNames\":[\"Items\"]}");
    expect_text(fd, "GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", 200, NULL);
    expect_text(fd, "GET / HTTP/1.1\r\n\r\n", 200, NULL);
    close(fd);
}

Test(serve_http, a_client_that_only_writes_no_more_gets_its_answer, .init = begin, .fini = end) {
    char text[REQUEST_BYTES_MAX];
    int fd = client_open(&server);
    cr_assert(client_send(fd, text, request_text(text, "ListTables", "", "{}")));
    shutdown(fd, SHUT_WR);
    client_read(fd, &reply);
    expect_reply(&reply, 200, NULL);
    client_expect_end(fd);
}

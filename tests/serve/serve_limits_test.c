/* tests/serve/serve_limits_test.c - clients that are large, slow, silent, many or gone.
 *
 * Goal     Each limit is where it is said to be, and beyond it only the one that crosses it
 *          suffers: another client is served meanwhile.
 * Method   `larder serve` as it is shipped, with short times; one worker, so that all meet in it.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/serve/serve_kit.h"
#include "tests/support/expect.h"
#include "tests/support/slow.h"
#include "tests/support/until.h"

TestSuite(serve_limits, .timeout = 60 * SLOW_FACTOR);

#define BODY_BYTES_MAX (16u << 20)
#define HEAD_BYTES_MAX (64u << 10)
#define GET "GET / HTTP/1.1\r\n\r\n"

static struct server server;
static struct reply reply;

static void begin(void) {
    static const char *const options[] = {"--workers", "1", NULL};
    server_start(&server, options, 0);
}

static void begin_short(void) {
    static const char *const options[] = {"--workers", "1", "--idle-seconds", "3", "--request-seconds", "1", NULL};
    server_start(&server, options, 0);
}

static void end(void) {
    reply_free(&reply);
    server_stop(&server);
    cr_assert_str_empty(server.said, "%s", server.said);
}

/* Another client is served. One that gets no core for a while is slow itself, and tries again. */
static void expect_served(void) {
    reply.status = 0;
    for (int tries = 0; tries < 20 && reply.status != 200; tries++) {
        int fd = client_open(&server);
        if (client_send(fd, GET, strlen(GET)))
            client_read(fd, &reply);
        close(fd);
    }
    expect_reply(&reply, 200, NULL);
}

/* Items of 1,000 bytes, past the server: a client may be slow. */
static void fill(int count) {
    char *value = calloc(1, 1001), key[16];
    const struct larder_options options = {.segment = server.segment, .memfd = -1};
    const struct larder_item *item;
    struct larder_builder *b;
    struct larder_table *t;
    struct larder *db;
    memset(value, 'x', 1000);
    EXPECT(larder_open(&options, &db), LARDER_OK);
    EXPECT(larder_table_open(db, "Items", &t), LARDER_OK);
    EXPECT(larder_builder_new(db, &b), LARDER_OK);
    for (int i = 0; i < count; i++) {
        snprintf(key, sizeof key, "%d", i);
        larder_builder_reset(b);
        larder_builder_add_s(b, "p", key);
        larder_builder_add_s(b, "v", value);
        EXPECT(larder_builder_finish(b, &item), LARDER_OK);
        EXPECT(larder_put(t, item, NULL), LARDER_OK);
    }
    larder_builder_free(b);
    larder_close(db);
    free(value);
}

static void say_length(int fd, size_t bytes) {
    char head[256];
    snprintf(head, sizeof head,
             "POST / HTTP/1.1\r\nContent-Type: application/json\r\nX-Amz-Target: DynamoDB_20120810.ListTables\r\n"
             "Content-Length: %zu\r\n\r\n",
             bytes);
    client_say(fd, head);
}

Test(serve_limits, a_body_of_16_mb, .init = begin, .fini = end) {
    char *body = malloc(BODY_BYTES_MAX);
    int fd = client_open(&server);
    memset(body, ' ', BODY_BYTES_MAX);
    memcpy(body, "{", 1);
    memcpy(body + BODY_BYTES_MAX - 1, "}", 1);
    say_length(fd, BODY_BYTES_MAX);
    cr_assert(client_send(fd, body, BODY_BYTES_MAX));
    client_read(fd, &reply);
    expect_reply(&reply, 200, "{\"TableNames\":[\"Items\"]}");
    /* one byte more: the client is told even if it sends all before it reads */
    say_length(fd, BODY_BYTES_MAX + 1);
    if (client_send(fd, body, BODY_BYTES_MAX))
        client_send(fd, " ", 1);
    client_read(fd, &reply);
    expect_reply(&reply, 413, "");
    close(fd);
    free(body);
    expect_served();
}

static bool send_chunk(int fd, const char *data, size_t bytes) {
    char line[32];
    int n = snprintf(line, sizeof line, "%zx\r\n", bytes);
    return client_send(fd, line, (size_t)n) && client_send(fd, data, bytes) && client_send(fd, "\r\n", 2);
}

Test(serve_limits, chunks_of_more_than_16_mb, .init = begin, .fini = end) {
    enum { CHUNK = 1 << 20 };
    char *data = malloc(CHUNK);
    int fd = client_open(&server);
    memset(data, ' ', CHUNK);
    for (int round = 0; round < 2; round++) {
        client_say(fd, "POST / HTTP/1.1\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
                       "X-Amz-Target: DynamoDB_20120810.ListTables\r\n\r\n");
        for (int i = 0; i < 15; i++)
            cr_assert(send_chunk(fd, data, CHUNK));
        /* 1 MB less 2 and {}; or a byte too many */
        data[CHUNK - 2] = '{';
        data[CHUNK - 1] = '}';
        send_chunk(fd, data, CHUNK);
        data[CHUNK - 2] = data[CHUNK - 1] = ' ';
        if (round)
            send_chunk(fd, " ", 1);
        client_send(fd, "0\r\n\r\n", 5);
        client_read(fd, &reply);
        expect_reply(&reply, round ? 413 : 200, NULL);
    }
    close(fd);
    free(data);
    expect_served();
}

/* Framing is thrown away as it comes: a body of 100 KB in chunks of one byte, with extensions of
 * more than the greatest body in all. */
Test(serve_limits, framing_takes_no_room, .init = begin, .fini = end) {
    enum { CHUNKS = 100000, EXTENSION = 200 };
    char *all = malloc((size_t)CHUNKS * (EXTENSION + 16)), extension[EXTENSION + 1], *at = all;
    int fd = client_open(&server);
    memset(extension, 'x', EXTENSION);
    extension[EXTENSION] = 0;
    for (int i = 0; i < CHUNKS; i++)
        at += sprintf(at, "1;%s\r\n%c\r\n", extension, i == 0 ? '{' : i == CHUNKS - 1 ? '}' : ' ');
    client_say(fd, "POST / HTTP/1.1\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
                   "X-Amz-Target: DynamoDB_20120810.ListTables\r\n\r\n");
    cr_assert(client_send(fd, all, (size_t)(at - all)));
    client_say(fd, "0\r\n\r\n");
    client_read(fd, &reply);
    expect_reply(&reply, 200, "{\"TableNames\":[\"Items\"]}");
    free(all);
    close(fd);
}

Test(serve_limits, a_head_of_64_kb, .init = begin, .fini = end) {
    char *head = malloc(HEAD_BYTES_MAX * 2);
    for (size_t bytes = HEAD_BYTES_MAX - 1000; bytes < HEAD_BYTES_MAX * 2; bytes += 2000) {
        int n = sprintf(head, "GET / HTTP/1.1\r\nX: ");
        memset(head + n, 'x', bytes - (size_t)n);
        strcpy(head + bytes - 4, "\r\n\r\n");
        int fd = client_open(&server);
        client_send(fd, head, bytes);
        client_read(fd, &reply);
        expect_reply(&reply, bytes < HEAD_BYTES_MAX ? 200 : 431, NULL);
        close(fd);
    }
    /* many short headers, a long path */
    int n = sprintf(head, "GET / HTTP/1.1\r\n");
    while (n < (int)HEAD_BYTES_MAX + 100)
        n += sprintf(head + n, "a:\r\n");
    int fd = client_open(&server);
    client_send(fd, head, (size_t)n);
    client_read(fd, &reply);
    expect_reply(&reply, 431, NULL);
    close(fd);
    memset(head, '/', HEAD_BYTES_MAX + 100);
    memcpy(head, "GET ", 4);
    fd = client_open(&server);
    client_send(fd, head, HEAD_BYTES_MAX + 100);
    client_read(fd, &reply);
    expect_reply(&reply, 431, NULL);
    close(fd);
    free(head);
    expect_served();
}

Test(serve_limits, slow_and_silent_clients, .init = begin_short, .fini = end) {
    static const char *const begun[] = {"P", "POST / HTTP/1.1\r\nContent-Le",
                                        "POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{",
                                        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"};
    enum { BEGUN = sizeof begun / sizeof *begun };
    int silent = client_open(&server), used = client_open(&server), slow[BEGUN];
    client_say(used, GET);
    client_read(used, &reply);
    for (int i = 0; i < BEGUN; i++) {
        slow[i] = client_open(&server);
        client_say(slow[i], begun[i]);
    }
    expect_served();
    for (int i = 0; i < BEGUN; i++) { /* what began and does not go on */
        client_read(slow[i], &reply);
        expect_reply(&reply, 408, "");
        client_expect_end(slow[i]);
    }
    client_expect_end(silent); /* without a word: a client may just be sending a request */
    client_expect_end(used);
    expect_served();
}

/* Overlapping requests for 2.5 s. False: the connection ended before. *longest_ms: between two of
 * them, as far as the client knows. */
static bool overlap(const char *text, size_t half, const char *next, size_t bytes, uint64_t *longest_ms) {
    int fd = client_open(&server);
    uint64_t from = until_now_ms(), sent = from;
    bool is_open = client_send(fd, text, half);
    *longest_ms = 0;
    while (is_open && until_now_ms() - from < 2500) {
        is_open = client_send(fd, next, bytes);
        if (is_open)
            client_read(fd, &reply);
        is_open = is_open && reply.status == 200;
        uint64_t now = until_now_ms();
        *longest_ms = now - sent > *longest_ms ? now - sent : *longest_ms;
        sent = now;
        usleep(1000);
    }
    close(fd);
    return is_open;
}

/* A client whose requests overlap, so that one is always half there, is not slow. If it gets no
 * core for a while, it is, and tries again. */
Test(serve_limits, overlapping_requests, .init = begin_short, .fini = end) {
    char text[REQUEST_BYTES_MAX], next[REQUEST_BYTES_MAX];
    size_t bytes = request_text(text, "ListTables", "", "{}"), half = bytes / 2;
    uint64_t longest_ms = 0;
    bool is_served = false;
    memcpy(next, text + half, bytes - half); /* the rest of one, the first half of another */
    memcpy(next + bytes - half, text, half);
    for (int tries = 0; tries < 20 && !is_served; tries++) {
        is_served = overlap(text, half, next, bytes, &longest_ms);
        cr_assert(is_served || longest_ms >= 500, "ended with status %d, though no request took more than %llu ms",
                  reply.status, (unsigned long long)longest_ms);
    }
    cr_assert(is_served);
}

/* A byte now and then is not enough: the time is that of the whole request. */
Test(serve_limits, a_drop_at_a_time, .init = begin_short, .fini = end) {
    int fd = client_open(&server);
    client_say(fd, "POST / HTTP/1.1\r\nX-Header: ");
    cr_assert(UNTIL((usleep(100000), !client_send(fd, "x", 1)), 10000), "it waits as long as bytes come");
    close(fd);
    expect_served();
}

/* A client that asks for 64 answers of 500 KB and reads none for some seconds. How many bytes it
 * gets then. */
static size_t take_no_answer(unsigned seconds) {
    char text[REQUEST_BYTES_MAX], *rest = malloc(1 << 20);
    int narrow = client_open_narrow(&server);
    size_t bytes = request_text(text, "Scan", "", "{\"TableName\":\"Items\"}"), got = 0;
    ssize_t n;
    /* what the socket does not take waits, and no further request is read */
    for (int i = 0; i < 64 && client_send(narrow, text, bytes); i++)
        ;
    expect_served();
    sleep(seconds); /* not a wait for the server: this is the client's slowness */
    while ((n = recv(narrow, rest, 1 << 20, 0)) > 0)
        got += (size_t)n;
    cr_assert(n == 0 || errno == ECONNRESET, "%s", strerror(errno));
    close(narrow);
    free(rest);
    return got;
}

Test(serve_limits, a_client_that_takes_no_answer, .init = begin_short, .fini = end) {
    fill(500);
    /* It is closed by its deadline, and what it reads then ends early. A server that gets no core
     * for so long closes it later. */
    size_t got = SIZE_MAX;
    for (unsigned seconds = 2; seconds <= 32 && got >= (size_t)64 * 500000; seconds *= 2)
        got = take_no_answer(seconds);
    cr_assert(got < (size_t)64 * 500000, "%zu bytes", got);
    expect_served();
}

/* Takes its answers in its own time, and gets all of them. */
Test(serve_limits, a_client_that_takes_its_answers_late, .init = begin, .fini = end) {
    char text[REQUEST_BYTES_MAX], value[1001], key[16];
    int fd = client_open_narrow(&server);
    memset(value, 'x', 1000);
    value[1000] = 0;
    for (int i = 0; i < 500; i++) {
        snprintf(key, sizeof key, "%d", i);
        client_put(fd, key, value);
    }
    size_t bytes = request_text(text, "Scan", "", "{\"TableName\":\"Items\"}");
    for (int i = 0; i < 20; i++)
        cr_assert(client_send(fd, text, bytes));
    for (int i = 0; i < 20; i++) {
        client_read(fd, &reply);
        expect_reply(&reply, 200, NULL);
        cr_assert(strstr(reply.body, "\"ScannedCount\":500"));
    }
    close(fd);
}

Test(serve_limits, clients_that_go_away, .init = begin, .fini = end) {
    static const char *const said[] = {"", "POST / HT", "POST / HTTP/1.1\r\nContent-Length: 100\r\n\r\n{", GET GET GET,
                                       "POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 100\r\n\r\n"};
    struct linger reset = {.l_onoff = 1};
    for (int round = 0; round < 100; round++) {
        int fd = client_open(&server);
        client_say(fd, said[round % 5]);
        if (round & 1)
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        close(fd);
    }
    expect_served();
}

/* Descriptors for `count` connections of this process; false: the host does not allow so many. */
static bool allow_descriptors(rlim_t count) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_max < count)
        return false;
    limit.rlim_cur = count;
    return setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

Test(serve_limits, two_thousand_idle_connections, .init = begin, .fini = end) {
    enum { COUNT = 2000 };
    static int idle[COUNT];
    if (!allow_descriptors(COUNT + 100))
        cr_skip("this host allows too few descriptors");
    for (int i = 0; i < COUNT; i++)
        idle[i] = client_open(&server);
    int fd = client_open(&server);
    for (int i = 0; i < 1000; i++) {
        client_say(fd, GET);
        client_read(fd, &reply);
        expect_reply(&reply, 200, NULL);
    }
    for (int i = 0; i < COUNT; i++) {
        client_say(idle[i], GET);
        client_read(idle[i], &reply);
        expect_reply(&reply, 200, NULL);
        close(idle[i]);
    }
    close(fd);
}

/* Of more connections than the worker has descriptors, those go that were idle for longest. */
Test(serve_limits, more_connections_than_descriptors) {
    enum { COUNT = 300 };
    static const char *const options[] = {"--workers", "1", NULL};
    int fds[COUNT], closed = 0;
    server_start(&server, options, 200);
    for (int i = 0; i < COUNT; i++) {
        fds[i] = client_open(&server);
        client_say(fds[i], GET);
        client_read(fds[i], &reply);
        expect_reply(&reply, 200, NULL);
    }
    for (int i = 0; i < COUNT; i++) {
        char byte;
        ssize_t n = recv(fds[i], &byte, 1, MSG_DONTWAIT);
        bool is_closed = n == 0 || (n < 0 && errno == ECONNRESET);
        cr_assert(!is_closed || closed == i, "connection %d went before one that was idle for longer", i);
        closed += is_closed;
        close(fds[i]);
    }
    cr_assert(closed > COUNT - 200 && closed < COUNT - 100, "%d were closed", closed);
    expect_served();
    end();
}

/* All are busy, none can go: the rest wait until there is room. */
Test(serve_limits, more_busy_connections_than_descriptors) {
    enum { COUNT = 300 };
    static const char *const options[] = {"--workers", "1", NULL};
    int fds[COUNT];
    server_start(&server, options, 200);
    for (int i = 0; i < COUNT; i++) {
        fds[i] = client_open(&server);
        client_say(fds[i], "GET / HT");
    }
    for (int i = 0; i < COUNT; i++) {
        client_say(fds[i], "TP/1.1\r\n\r\n");
        client_read(fds[i], &reply);
        expect_reply(&reply, 200, NULL);
        close(fds[i]);
    }
    end();
}

Test(serve_limits, stop_finishes_what_has_begun, .init = begin) {
    char text[REQUEST_BYTES_MAX];
    int begun = client_open(&server), idle = client_open(&server), silent = client_open(&server);
    size_t bytes = request_text(text, "ListTables", "", "{}");
    cr_assert(client_send(begun, text, bytes - 1));
    client_say(idle, GET);
    client_read(idle, &reply);
    expect_served(); /* so the worker has read what was sent before */
    cr_assert_eq(kill(server.pid, SIGTERM), 0);
    client_expect_end(idle);
    client_expect_end(silent);
    cr_assert(client_send(begun, text + bytes - 1, 1));
    client_read(begun, &reply);
    expect_reply(&reply, 200, "{\"TableNames\":[\"Items\"]}");
    cr_assert(reply_header(&reply, "Connection"));
    client_expect_end(begun);
    end();
}

/* A stop waits some seconds for what does not end, and then ends it. */
Test(serve_limits, stop_has_a_deadline, .init = begin) {
    int begun = client_open(&server);
    client_say(begun, "POST / HT");
    expect_served();
    end();
    client_expect_end(begun);
}

/* tests/fuzz/http_fuzz.c - what a client sends to the HTTP endpoint.
 *
 * Goal     Bytes of any shape are answered or refused: every answer is whole HTTP, its CRC is
 *          right, a JSON body is JSON, and none blames Larder. Where the bytes are cut makes no
 *          difference. No connection and no buffer is left.
 * Method   The first byte says whether signatures are checked, the second how the rest is cut. A
 *          worker of serve/ gets the rest on a socket pair, once whole and once in pieces, each
 *          time with the same tables. The clock of signatures stands, so that a seed's is right.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zlib.h>

#include "serve/connection.h"
#include "serve/credentials.h"
#include "tests/fuzz/fuzz.h"

#define SIGNED_AT 1767225600 /* 2026-01-01T00:00:00Z */
#define ANSWERS_BYTES_MAX ((size_t)32 << 20)
#define TURNS_MAX 100000

static const struct larder_table_def table = {.name = "tab", .partition = {"p", LARDER_S}};
static struct credential credential = {.id = (char *)"AKIDEXAMPLE", .secret = (char *)"secret"};
static const struct credentials credentials = {&credential, 1};

static void note(const char *format, ...) {
    (void)format;
}

static const struct serve_options options = {
    .segment = "none", .worker_count = 1, .idle_seconds = 600, .request_seconds = 600, .note = note};

/* One worker and one segment for all inputs: what one leaves, the next ones show. */
static struct worker *the_worker(void) {
    static struct worker *w;
    struct larder_options open = {.flags = LARDER_CREATE | LARDER_MEMFD,
                                  .memfd = -1,
                                  .size_bytes = LARDER_SEGMENT_BYTES_MIN,
                                  .stripe_count = 2,
                                  .slot_count = 4};
    if (w)
        return w;
    w = worker_new(&options, NULL);
    FUZZ_CHECK(w, "no worker");
    FUZZ_CHECK(larder_open(&open, &w->route.db) == LARDER_OK, "%s", larder_error());
    FUZZ_CHECK(larder_dynamodb_new(w->route.db, &w->route.dynamodb) == LARDER_OK, "out of memory");
    w->route.now_s = SIGNED_AT;
    return w;
}

/* Whether the input may change more than the item "a": names of operations stand in clear. */
static bool is_changing(const uint8_t *data, size_t size) {
    static const char *const words[] = {"Item", "CreateT", "DeleteT", "UpdateT", "agRes"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (memmem(data, size, words[i], strlen(words[i])))
            return true;
    return false;
}

static void drop_tables(struct larder *db) {
    const char *names[LARDER_TABLES_MAX];
    uint32_t count = 0;
    FUZZ_CHECK(larder_table_list(db, names, LARDER_TABLES_MAX, &count) >= 0, "%s", larder_error());
    for (uint32_t i = 0; i < count; i++)
        FUZZ_CHECK(larder_table_drop(db, names[i]) == LARDER_OK, "%s", larder_error());
    FUZZ_CHECK(larder_expire(db, 0, NULL) >= 0, "%s", larder_error());
}

/* One table, "tab", with nothing but one item "a". */
static void begin_again(struct worker *w, bool is_new) {
    static bool is_made;
    static const char *const requests[][2] = {{"DeleteItem", "{\"TableName\":\"tab\",\"Key\":{\"p\":{\"S\":\"a\"}}}"},
                                              {"PutItem", "{\"TableName\":\"tab\",\"Item\":{\"p\":{\"S\":\"a\"}}}"}};
    struct larder_dynamodb_reply reply;
    if (is_new || !is_made) {
        drop_tables(w->route.db);
        FUZZ_CHECK(larder_table_create(w->route.db, &table) == LARDER_OK, "%s", larder_error());
    }
    is_made = !is_new;
    for (size_t i = 0; i < 2; i++)
        FUZZ_CHECK(larder_dynamodb_call(w->route.dynamodb, requests[i][0], requests[i][1], strlen(requests[i][1]),
                                        &reply) == LARDER_OK &&
                       reply.status == 200,
                   "%s", reply.body);
}

/* Everything that came back. */
struct answers {
    char *text;
    size_t bytes, room;
};

static void take(int fd, struct answers *a) {
    for (;;) {
        if (a->room - a->bytes < 65536) {
            a->text = realloc(a->text, a->room += 1u << 20);
            FUZZ_CHECK(a->text && a->room < ANSWERS_BYTES_MAX, "too many answers");
        }
        ssize_t n = recv(fd, a->text + a->bytes, a->room - a->bytes - 1, MSG_DONTWAIT);
        if (n <= 0)
            break;
        a->bytes += (size_t)n;
    }
    a->text[a->bytes] = 0;
}

static void turn(struct worker *w, int fd, struct answers *a) {
    worker_turn(w, 0);
    take(fd, a);
}

/* Sends in pieces of 1 to `piece_max` bytes, as a sequence of numbers has them. */
static void talk(struct worker *w, const uint8_t *data, size_t size, uint32_t piece_max, struct answers *a) {
    int fds[2], turns = 0;
    uint32_t random = 1;
    FUZZ_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0, "no sockets");
    worker_adopt(w, fds[1]);
    while (size > 0) {
        random = random * 1664525u + 1013904223u;
        size_t piece = random % piece_max + 1;
        ssize_t n = send(fds[0], data, piece < size ? piece : size, MSG_NOSIGNAL);
        if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
            break;
        data += n > 0 ? n : 0;
        size -= n > 0 ? (size_t)n : 0;
        turn(w, fds[0], a);
        FUZZ_CHECK(++turns < TURNS_MAX, "the client is not read");
    }
    shutdown(fds[0], SHUT_WR);
    for (turns = 0; w->connection_count > 0; turns++) {
        turn(w, fds[0], a);
        FUZZ_CHECK(turns < TURNS_MAX, "the connection does not end");
    }
    take(fds[0], a);
    FUZZ_CHECK(w->buffers_bytes == 0 && !w->dead, "%zu bytes are left", w->buffers_bytes);
    close(fds[0]);
}

static const char *header(const char *head, const char *end, const char *name) {
    const char *at = memmem(head, (size_t)(end - head), name, strlen(name));
    return at ? at + strlen(name) : NULL;
}

static void check_json(const char *body, size_t bytes) {
    json_error_t error;
    json_t *json = json_loadb(body, bytes, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    FUZZ_CHECK(json_is_object(json) || memmem(body, bytes, "\\u0000", 6), "%s: %.*s", error.text, (int)bytes, body);
    json_decref(json);
}

/* Reads one answer; returns its status and what follows it. */
static int check_answer(const char **at, const char *end, bool is_head_only) {
    const char *head = *at, *blank = memmem(head, (size_t)(end - head), "\r\n\r\n", 4);
    FUZZ_CHECK(blank && strncmp(head, "HTTP/1.1 ", 9) == 0, "no answer: %s", head);
    int status = atoi(head + 9);
    *at = blank + 4;
    if (status == 100)
        return status;
    const char *length = header(head, blank, "\r\nContent-Length: "), *crc = header(head, blank, "\r\nx-amz-crc32: ");
    FUZZ_CHECK(length, "no length: %s", head);
    size_t bytes = is_head_only ? 0 : strtoul(length, NULL, 10);
    FUZZ_CHECK((size_t)(end - *at) >= bytes, "half a body: %s", head);
    FUZZ_CHECK(status != 500, "%s", head);
    if (bytes) {
        FUZZ_CHECK(crc && strtoul(crc, NULL, 10) == crc32(0, (const Bytef *)*at, (uInt)bytes), "wrong CRC: %s", head);
        if (header(head, blank, "json") && !header(head, blank, "\r\nContent-Encoding: "))
            check_json(*at, bytes);
    }
    *at += bytes;
    return status;
}

/* HEAD is the one answer without its body: then the next answer begins where the body would. */
static bool is_without_body(const char *at, const char *end) {
    const char *blank = memmem(at, (size_t)(end - at), "\r\n\r\n", 4);
    return blank && (blank + 4 == end || (end - blank > 12 && memcmp(blank + 4, "HTTP/1.1 ", 9) == 0));
}

/* The statuses of all answers but 100, which depends on how the bytes come. */
static size_t statuses(const struct answers *a, int *out, size_t max) {
    size_t count = 0;
    for (const char *at = a->text, *end = a->text + a->bytes; at < end && count < max;) {
        int status = check_answer(&at, end, is_without_body(at, end));
        if (status != 100)
            out[count++] = status;
    }
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct answers whole, pieces;
    static int first[8192], second[8192];
    struct worker *w = the_worker();
    if (size < 2)
        return 0;
    w->route.credentials = data[0] & 1 ? &credentials : NULL;
    whole.bytes = pieces.bytes = 0;
    bool is_new = is_changing(data, size);
    begin_again(w, is_new);
    talk(w, data + 2, size - 2, UINT32_MAX, &whole);
    begin_again(w, is_new);
    talk(w, data + 2, size - 2, data[1] + 1u, &pieces);
    size_t count = statuses(&whole, first, 8192), others = statuses(&pieces, second, 8192);
    FUZZ_CHECK(count == others, "%zu answers, and %zu in pieces", count, others);
    for (size_t i = 0; i < count; i++)
        FUZZ_CHECK(first[i] == second[i], "answer %zu: %d, and %d in pieces", i, first[i], second[i]);
    return 0;
}

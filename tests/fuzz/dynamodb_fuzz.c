/* tests/fuzz/dynamodb_fuzz.c - requests of DynamoDB's API, one after the other.
 *
 * Goal     A request of any shape is answered: with JSON, in which no name comes twice, and a
 *          status that does not blame Larder. The text is never read beyond its end. What was
 *          written passes larder_check().
 * Method   An input is lines "Operation JSON", at most 12, on a new segment with one table of every
 *          shape: a plain one, and one with a sort key, a global and a local index.
 * Not here Memory that a context leaves: the leak sanitizer sees it, for the context is freed.
 */
#include <jansson.h>

#include "larder_dynamodb.h"
#include "tests/fuzz/fuzz.h"

#define LINES_MAX 12

static const char *const label[] = {"l"};
static const struct larder_index_def indexes[] = {
    {.name = "glo",
     .partition = {"n", LARDER_N},
     .sort = {"s", LARDER_S},
     .projection = LARDER_PROJECT_INCLUDE,
     .included = label,
     .included_count = 1},
    {.name = "loc", .is_local = 1, .partition = {"p", LARDER_S}, .sort = {"n", LARDER_N}}};
static const struct larder_table_def tables[] = {
    {.name = "tab", .partition = {"p", LARDER_S}},
    {.name = "full", .partition = {"p", LARDER_S}, .sort = {"s", LARDER_S}, .indexes = indexes, .index_count = 2}};

static struct larder *open_segment(void) {
    struct larder *db;
    struct larder_options options = {.flags = LARDER_CREATE | LARDER_MEMFD,
                                     .memfd = -1,
                                     .size_bytes = LARDER_SEGMENT_BYTES_MIN,
                                     .stripe_count = 2,
                                     .slot_count = 4};
    FUZZ_CHECK(larder_open(&options, &db) == LARDER_OK, "%s", larder_error());
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        FUZZ_CHECK(larder_table_create(db, &tables[i]) == LARDER_OK, "%s", larder_error());
    return db;
}

static void check_reply(const struct larder_dynamodb_reply *reply) {
    json_error_t error;
    FUZZ_CHECK(reply->status == 200 || reply->status == 400, "%d %s", reply->status, reply->body);
    FUZZ_CHECK(strlen(reply->body) == reply->bytes, "a zero byte in %s", reply->body);
    json_t *json = json_loadb(reply->body, reply->bytes, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    /* jansson has no names with a zero byte */
    FUZZ_CHECK(json_is_object(json) || strstr(reply->body, "\\u0000"), "%s: %s", error.text, reply->body);
    FUZZ_CHECK(!json || (reply->status == 200) == !json_object_get(json, "__type"), "%s", reply->body);
    json_decref(json);
}

/* In blocks of their exact sizes, so that the sanitizer sees a look beyond the end. */
static void call(struct larder_dynamodb *dynamodb, const char *line, size_t bytes) {
    struct larder_dynamodb_reply reply;
    const char *space = memchr(line, ' ', bytes);
    size_t name_bytes = space ? (size_t)(space - line) : bytes, json_bytes = space ? bytes - name_bytes - 1 : 0;
    char *name = calloc(1, name_bytes + 1), *json = malloc(json_bytes ? json_bytes : 1);
    FUZZ_CHECK(name && json, "out of memory");
    memcpy(name, line, name_bytes);
    if (json_bytes)
        memcpy(json, space + 1, json_bytes);
    FUZZ_CHECK(larder_dynamodb_call(dynamodb, name, json, json_bytes, &reply) == LARDER_OK, "no answer");
    check_reply(&reply);
    free(name);
    free(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *at = (const char *)data, *end = at + size;
    struct larder_check_report report;
    struct larder_dynamodb *dynamodb;
    struct larder *db = open_segment();
    FUZZ_CHECK(larder_dynamodb_new(db, &dynamodb) == LARDER_OK, "out of memory");
    for (int i = 0; i < LINES_MAX && at < end; i++) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));
        call(dynamodb, at, (size_t)((line_end ? line_end : end) - at));
        at = line_end ? line_end + 1 : end;
    }
    FUZZ_CHECK(larder_check(db, NULL, &report) == LARDER_OK, "the segment is damaged");
    larder_dynamodb_free(dynamodb);
    larder_close(db);
    return 0;
}

/* tests/dynamodb/dynamodb_kit.c - see dynamodb_kit.h. */
#include "tests/dynamodb/dynamodb_kit.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/expect.h"
#include "tests/support/testseg.h"

static const char *const label[] = {"Label"};
static const struct larder_index_def indexes[] = {
    {.name = "by-year",
     .partition = {"Year", LARDER_N},
     .sort = {"Title", LARDER_S},
     .projection = LARDER_PROJECT_INCLUDE,
     .included = label,
     .included_count = 1},
    {.name = "by-length", .is_local = 1, .partition = {"Artist", LARDER_S}, .sort = {"Length", LARDER_N}},
};
static const struct larder_table_def tables[] = {
    {.name = "Plain", .partition = {"pk", LARDER_S}},
    {.name = "Bytes", .partition = {"pk", LARDER_B}},
    {.name = "Numbers", .partition = {"pk", LARDER_N}},
    {.name = "Songs",
     .partition = {"Artist", LARDER_S},
     .sort = {"Title", LARDER_S},
     .indexes = indexes,
     .index_count = 2},
};

void dynamodb_begin(struct dynamodb_fixture *f) {
    f->db = testseg_open(16u << 20, 4);
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        EXPECT(larder_table_create(f->db, &tables[i]), LARDER_OK);
    EXPECT(larder_dynamodb_new(f->db, &f->dynamodb), LARDER_OK);
}

void dynamodb_end(struct dynamodb_fixture *f) {
    struct larder_check_report report;
    larder_dynamodb_free(f->dynamodb);
    EXPECT(larder_check(f->db, NULL, &report), LARDER_OK);
    cr_assert(report.leaked_blocks == 0 && report.stale_entries == 0);
    larder_close(f->db);
}

/* A copy with quotes and apostrophes, in a block of exactly its size: reading on is noticed. */
static char *translate(const char *text, size_t *bytes) {
    *bytes = strlen(text);
    char *to = malloc(*bytes + 1);
    cr_assert(to);
    for (size_t i = 0; i <= *bytes; i++)
        to[i] = text[i] == '\'' ? '"' : text[i] == '`' ? '\'' : text[i];
    return to;
}

/* The rest of the text, or NULL: it does not begin so. */
static const char *pass(const char *text, const char *wanted, size_t bytes) {
    for (size_t i = 0; i < bytes; i++) {
        if (wanted[i] == '~')
            text += strspn(text, "0123456789abcdefT-:.");
        else if (*text++ != wanted[i])
            return NULL;
    }
    return text;
}

void dynamodb_expect_bytes(struct dynamodb_fixture *f, const char *operation, const char *request, size_t bytes,
                           int status, const char *reply) {
    struct larder_dynamodb_reply got;
    size_t wanted_bytes;
    char *wanted = translate(reply, &wanted_bytes), *exact = malloc(bytes ? bytes : 1);
    cr_assert(exact);
    memcpy(exact, request, bytes);
    EXPECT(larder_dynamodb_call(f->dynamodb, operation, exact, bytes, &got), LARDER_OK);
    free(exact);
    int is_start = wanted_bytes > 3 && strcmp(wanted + wanted_bytes - 3, "...") == 0;
    const char *rest = pass(got.body, wanted, is_start ? wanted_bytes - 3 : wanted_bytes);
    int is_right = rest && (is_start || !*rest);
    cr_expect(got.status == status && is_right && strlen(got.body) == got.bytes,
              "%s %.*s\n    answers %d %s\n    not     %d %s", operation, (int)(bytes < 1000 ? bytes : 1000), request,
              got.status, got.body, status, wanted);
    free(wanted);
}

void dynamodb_expect(struct dynamodb_fixture *f, const struct row *row) {
    size_t bytes;
    char *request = translate(row->request, &bytes);
    dynamodb_expect_bytes(f, row->operation, request, bytes, row->status, row->reply);
    free(request);
}

void dynamodb_run(const struct row *rows, size_t count) {
    struct dynamodb_fixture f;
    dynamodb_begin(&f);
    for (size_t i = 0; i < count; i++)
        dynamodb_expect(&f, &rows[i]);
    dynamodb_end(&f);
}

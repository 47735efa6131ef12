/* tests/api/query_kit.c - see query_kit.h. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "larder.h"
#include "tests/api/query_kit.h"
#include "tests/support/rng.h"
#include "tests/support/testseg.h"

void must(int result) {
    cr_assert_eq(result, LARDER_OK, "%s: %s", larder_result_name(result), larder_error());
}

static const char *const included[] = {"version"};
static const struct larder_index_def indexes[] = {
    {.name = "byText", .partition = {"g", LARDER_S}, .sort = {"gs", LARDER_S}},
    {.name = "byNumber",
     .partition = {"g", LARDER_S},
     .sort = {"gn", LARDER_N},
     .projection = LARDER_PROJECT_KEYS_ONLY},
    {.name = "byBytes",
     .partition = {"g", LARDER_S},
     .sort = {"gb", LARDER_B},
     .projection = LARDER_PROJECT_INCLUDE,
     .included = included,
     .included_count = 1},
    {.name = "byGroup", .partition = {"g", LARDER_S}},
    {.name = "local", .is_local = 1, .partition = {"pk", LARDER_S}, .sort = {"ls", LARDER_S}},
};

struct fixture *begin(void) {
    struct fixture *f = calloc(1, sizeof *f);
    const struct larder_table_def def = {.name = "rows",
                                         .partition = {"pk", LARDER_S},
                                         .sort = {"sk", LARDER_S},
                                         .indexes = indexes,
                                         .index_count = sizeof indexes / sizeof *indexes,
                                         .ttl_attribute = "ttl"};
    cr_assert_not_null(f);
    f->db = testseg_open(64 << 20, 4);
    must(larder_table_create(f->db, &def));
    must(larder_table_open(f->db, "rows", &f->t));
    must(larder_builder_new(f->db, &f->b));
    must(larder_page_new(f->db, &f->page));
    rng_seed(&f->rng, rng_test_seed("query"));
    return f;
}

void finish(struct fixture *f) {
    struct larder_check_report report;
    must(larder_check(f->db, NULL, &report));
    cr_assert_eq(report.stale_entries, 0);
    larder_close(f->db);
    free(f);
}

struct larder_value value_of(int column, const char *text) {
    if (types[column] == LARDER_N)
        return larder_num(text);
    return types[column] == LARDER_B ? larder_bin(text, strlen(text)) : larder_str(text);
}

void put(struct fixture *f, const struct row *row) {
    const struct larder_item *item;
    larder_builder_reset(f->b);
    for (int c = 0; c < COL_COUNT; c++)
        if (*row->text[c]) {
            struct larder_value value = value_of(c, row->text[c]);
            must(larder_builder_add(f->b, names[c], &value));
        }
    must(larder_builder_add_int(f->b, "version", row->version));
    must(larder_builder_add_s(f->b, "other", "something else"));
    must(larder_builder_finish(f->b, &item));
    must(larder_put(f->t, item, NULL));
}

int compare_text(int column, const char *a, const char *b) {
    if (types[column] == LARDER_N)
        return (atoi(a) > atoi(b)) - (atoi(a) < atoi(b));
    return strcmp(a, b);
}

int find_row(const struct fixture *f, const char *pk, const char *sk) {
    for (uint32_t i = 0; i < f->count; i++)
        if (strcmp(f->row[i].text[COL_PK], pk) == 0 && strcmp(f->row[i].text[COL_SK], sk) == 0)
            return (int)i;
    return -1;
}

void get_text(const struct larder_item *item, int column, char *to) {
    struct larder_value value;
    char number[LARDER_NUMBER_TEXT_MAX];
    must(larder_item_get(item, names[column], &value));
    cr_assert_eq(value.type, types[column]);
    if (value.type == LARDER_N) {
        must(larder_value_number(&value, number));
        snprintf(to, TEXT_MAX, "%.15s", number);
    } else {
        cr_assert_lt(value.bytes, TEXT_MAX);
        memcpy(to, value.data, value.bytes);
        to[value.bytes] = 0;
    }
}

int row_of(const struct fixture *f, const struct plan *plan, const struct larder_item *item) {
    char pk[TEXT_MAX], sk[TEXT_MAX], text[TEXT_MAX];
    struct larder_value value;
    get_text(item, COL_PK, pk);
    get_text(item, COL_SK, sk);
    int at = find_row(f, pk, sk);
    cr_assert_geq(at, 0);
    const struct row *row = &f->row[at];
    for (int c = 0; c < COL_COUNT; c++)
        if (c == plan->partition || c == plan->sort) {
            get_text(item, c, text);
            cr_assert_str_eq(text, row->text[c]);
        }
    int is_keys_only = plan->name && strcmp(plan->name, "byNumber") == 0;
    int is_include = plan->name && strcmp(plan->name, "byBytes") == 0;
    cr_assert_eq(larder_item_get(item, "other", &value), is_keys_only || is_include ? LARDER_NOT_FOUND : LARDER_OK);
    if (is_keys_only) {
        cr_assert_eq(larder_item_count(item), 4);
        return at;
    }
    must(larder_item_get(item, "version", &value));
    int64_t version;
    must(larder_value_int64(&value, &version));
    cr_assert_eq(version, row->version);
    return at;
}

void fill_one_partition(struct fixture *f, int count) {
    for (int i = 0; i < count; i++) {
        struct row row = {.version = i};
        snprintf(row.text[COL_PK], TEXT_MAX, "p0");
        snprintf(row.text[COL_SK], TEXT_MAX, "%03d", i);
        snprintf(row.text[COL_G], TEXT_MAX, "g0");
        snprintf(row.text[COL_GS], TEXT_MAX, "%d", i / 10); /* many of equal sort key */
        put(f, &row);
        f->row[f->count++] = row;
    }
}

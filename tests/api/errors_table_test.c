/* tests/api/errors_table_test.c - definitions that are not allowed, changes of tables that are
 * refused.
 *
 * Goal     Each wrong definition, index or TTL attribute gives the result that larder.h promises,
 *          and a message that names what was wrong and what is allowed. No byte of the segment
 *          changes. Every result has a name.
 * Method   A table of rows (errors_kit.h).
 */
#include <criterion/criterion.h>
#include <string.h>
#include <unistd.h>

#include "larder.h"
#include "tests/api/errors_kit.h"
#include "tests/support/expect.h"
#include "tests/support/slow.h"

TestSuite(errors_table, .timeout = 60 * SLOW_FACTOR);

/* ---- Tables ---------------------------------------------------------------------------------- */

static int create(struct world *w, struct larder_table_def def) {
    return larder_table_create(w->db, &def);
}
static int create_null(struct world *w) {
    return larder_table_create(w->db, NULL);
}
static int create_again(struct world *w) {
    return create(w, (struct larder_table_def){.name = "table", .partition = {"pk", LARDER_S}});
}
static int create_short_name(struct world *w) {
    return create(w, (struct larder_table_def){.name = "ab", .partition = {"pk", LARDER_S}});
}
static int create_long_name(struct world *w) {
    return create(w, (struct larder_table_def){.name = many, .partition = {"pk", LARDER_S}});
}
static int create_bad_name(struct world *w) {
    return create(w, (struct larder_table_def){.name = "a b c", .partition = {"pk", LARDER_S}});
}
static int create_key_type(struct world *w) {
    return create(w, (struct larder_table_def){.name = "bad", .partition = {"pk", LARDER_SS}});
}
static int create_same_keys(struct world *w) {
    return create(w, (struct larder_table_def){.name = "bad", .partition = {"pk", LARDER_S}, .sort = {"pk", LARDER_S}});
}
static int create_26_indexes(struct world *w) {
    static const struct larder_index_def indexes[26];
    return create(w, (struct larder_table_def){
                         .name = "bad", .partition = {"pk", LARDER_S}, .indexes = indexes, .index_count = 26});
}
static int create_read_only(struct world *w) {
    const struct larder_table_def def = {.name = "new", .partition = {"pk", LARDER_S}};
    return larder_table_create(w->reader, &def);
}
static int open_unknown(struct world *w) {
    struct larder_table *t = NULL;
    int r = larder_table_open(w->db, "unknown", &t);
    return t ? 1000 : r;
}
static int open_null(struct world *w) {
    struct larder_table *t = NULL;
    int r = larder_table_open(w->db, NULL, &t);
    return t ? 1000 : r;
}
static int open_dropped(struct world *w) {
    struct larder_table *t = NULL;
    return larder_table_open(w->db, "dropped", &t);
}
static int open_nowhere(struct world *w) {
    return larder_table_open(w->db, "table", NULL);
}
static int drop_unknown(struct world *w) {
    return larder_table_drop(w->db, "unknown");
}
static int drop_null(struct world *w) {
    return larder_table_drop(w->db, NULL);
}
static int drop_read_only(struct world *w) {
    return larder_table_drop(w->reader, "table");
}
static int add_index(struct world *w, struct larder_index_def def) {
    return larder_index_add(w->t, &def);
}
static int add_index_null(struct world *w) {
    return larder_index_add(w->t, NULL);
}
static int add_index_again(struct world *w) {
    return add_index(w, (struct larder_index_def){.name = "byKind", .partition = {"a", LARDER_S}});
}
static int add_index_local(struct world *w) {
    return add_index(w, (struct larder_index_def){
                            .name = "local", .is_local = 1, .partition = {"pk", LARDER_S}, .sort = {"a", LARDER_S}});
}
static int add_index_no_key(struct world *w) {
    return add_index(w, (struct larder_index_def){.name = "byNothing"});
}
static int add_index_two_types(struct world *w) {
    return add_index(w, (struct larder_index_def){.name = "byPk", .partition = {"pk", LARDER_N}});
}
static int add_index_include_nothing(struct world *w) {
    return add_index(w, (struct larder_index_def){
                            .name = "byA", .partition = {"a", LARDER_S}, .projection = LARDER_PROJECT_INCLUDE});
}
static int add_index_dropped(struct world *w) {
    const struct larder_index_def def = {.name = "byA", .partition = {"a", LARDER_S}};
    return larder_index_add(w->dropped, &def);
}
static int add_index_read_only(struct world *w) {
    const struct larder_index_def def = {.name = "byA", .partition = {"a", LARDER_S}};
    return larder_index_add(w->read, &def);
}
static int ttl_empty(struct world *w) {
    return larder_ttl_set(w->t, "");
}
static int ttl_long(struct world *w) {
    return larder_ttl_set(w->t, many);
}
static int ttl_read_only(struct world *w) {
    return larder_ttl_set(w->read, "expires");
}
static int removal_unknown(struct world *w) {
    return larder_removal_set(w->t, (enum larder_removal)7);
}
static int removal_dropped(struct world *w) {
    return larder_removal_set(w->dropped, LARDER_REMOVAL_RETAIN);
}
static int expire_read_only(struct world *w) {
    return larder_expire(w->reader, 0, NULL);
}
static int expirer_read_only(struct world *w) {
    return larder_expirer_start(w->reader);
}

static const struct row table_rows[] = {
    {"create NULL", create_null, LARDER_E_INVAL, {"NULL"}},
    {"create a table again", create_again, LARDER_E_EXISTS, {"\"table\"", "already"}},
    {"table name of 2", create_short_name, LARDER_E_INVAL, {"\"ab\"", "too few", "3 to 255"}},
    {"table name too long", create_long_name, LARDER_E_INVAL, {"too many", "3 to 255"}},
    {"table name with spaces", create_bad_name, LARDER_E_INVAL, {"\"a b c\"", "a-z A-Z 0-9 _ - ."}},
    {"key of type SS", create_key_type, LARDER_E_INVAL, {"\"pk\"", "LARDER_S, LARDER_N or LARDER_B"}},
    {"one attribute, two keys", create_same_keys, LARDER_E_INVAL, {"\"pk\"", "two attributes"}},
    {"26 indexes", create_26_indexes, LARDER_E_INVAL, {"26 indexes", "20", "5"}},
    {"create read-only", create_read_only, LARDER_E_READ_ONLY, {"read-only"}},
    {"unknown table", open_unknown, LARDER_E_NO_TABLE, {"\"unknown\""}},
    {"table NULL", open_null, LARDER_E_INVAL, {"name"}},
    {"dropped table", open_dropped, LARDER_E_NO_TABLE, {"\"dropped\""}},
    {"no place for the table", open_nowhere, LARDER_E_INVAL, {"out is NULL"}},
    {"drop of an unknown table", drop_unknown, LARDER_E_NO_TABLE, {"\"unknown\""}},
    {"drop NULL", drop_null, LARDER_E_INVAL, {"name"}},
    {"drop read-only", drop_read_only, LARDER_E_READ_ONLY, {"read-only"}},
    {"index NULL", add_index_null, LARDER_E_INVAL, {"NULL"}},
    {"index again", add_index_again, LARDER_E_EXISTS, {"\"byKind\"", "already"}},
    {"local index added", add_index_local, LARDER_E_INVAL, {"\"local\"", "with their table"}},
    {"index without key", add_index_no_key, LARDER_E_INVAL, {"\"byNothing\"", "no partition key"}},
    {"attribute of two types", add_index_two_types, LARDER_E_INVAL, {"\"pk\"", "two types"}},
    {"include of nothing", add_index_include_nothing, LARDER_E_INVAL, {"\"byA\"", "INCLUDE"}},
    {"index of a dropped table", add_index_dropped, LARDER_E_NO_TABLE, {"\"dropped\""}},
    {"index read-only", add_index_read_only, LARDER_E_READ_ONLY, {"read-only"}},
    {"empty TTL attribute", ttl_empty, LARDER_E_INVAL, {"TTL", "1 to 255"}},
    {"TTL attribute too long", ttl_long, LARDER_E_INVAL, {"TTL", "1 to 255"}},
    {"TTL read-only", ttl_read_only, LARDER_E_READ_ONLY, {"read-only"}},
    {"removal policy 7", removal_unknown, LARDER_E_INVAL, {"7", "LARDER_REMOVAL_RETAIN"}},
    {"removal policy of a dropped table", removal_dropped, LARDER_E_NO_TABLE, {"\"dropped\""}},
    {"expire read-only", expire_read_only, LARDER_E_READ_ONLY, {"read-only"}},
    {"expirer read-only", expirer_read_only, LARDER_E_READ_ONLY, {"read-write"}},
};

Test(errors_table, tables, .init = fill_many) {
    run_rows(table_rows, COUNT(table_rows));
}

/* ---- Messages -------------------------------------------------------------------------------- */

Test(errors_table, every_result_has_a_name) {
    for (int r = LARDER_E_NO_SLOT; r <= LARDER_CHANGED; r++) {
        const char *name = larder_result_name(r);
        cr_assert_eq(strncmp(name, "LARDER_", 7), 0, "%d is %s", r, name);
        for (int other = LARDER_E_NO_SLOT; other < r; other++)
            cr_assert_str_neq(name, larder_result_name(other));
    }
    cr_assert_not_null(larder_result_name(12345));
    cr_assert_not_null(larder_result_name(-12345));
}

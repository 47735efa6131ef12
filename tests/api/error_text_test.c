/* tests/api/error_text_test.c - larder_error() tells of the last failure, and says nothing where
 * nothing failed.
 *
 * Goal     The text is that of this thread's last failure. A successful call leaves it alone,
 *          whatever it looked for inside and did not find. A full segment says what was asked for,
 *          which blocks would have done, and what to do.
 * Method   Every function of larder.h with a result is called with success after a failure with a
 *          known text. The list is compared with what the header declares.
 */
#include <criterion/criterion.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "larder.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"

TestSuite(error_text, .timeout = 60 * SLOW_FACTOR);

#define SEGMENT_BYTES (8u << 20)
#define CALLS_MAX 128

static const char *called[CALLS_MAX]; /* as written: "larder_get(...)" */
static unsigned called_count, loud_count;

static void fail_as_known(char *text, size_t bytes) {
    cr_assert_eq(larder_value_number(NULL, NULL), LARDER_E_INVAL);
    snprintf(text, bytes, "%s", larder_error());
    cr_assert(strstr(text, "larder_value_number"));
}

/* The call succeeds, and the text is still that of the failure before. */
#define QUIET(call)                                                                                                    \
    do {                                                                                                               \
        char before_[512];                                                                                             \
        fail_as_known(before_, sizeof before_);                                                                        \
        int result_ = (call);                                                                                          \
        cr_assert(result_ >= 0, #call ": %s: %s", larder_result_name(result_), larder_error());                        \
        if (strcmp(before_, larder_error()) != 0) {                                                                    \
            fprintf(stderr, #call ": leaves the text \"%s\"\n", larder_error());                                       \
            loud_count++;                                                                                              \
        }                                                                                                              \
        called[called_count++] = #call;                                                                                \
        cr_assert(called_count < CALLS_MAX);                                                                           \
    } while (0)

struct fixture {
    char name[TESTSEG_NAME_MAX];
    struct larder *db;
    struct larder_table *t;
    struct larder_builder *b;
    struct larder_page *page, *found;
    const struct larder_item *item;
    int64_t now_s;
};

static int64_t clock_of(void *arg) {
    return ((const struct fixture *)arg)->now_s;
}

static void call_segment(struct fixture *f) {
    const struct larder_options create = {
        .segment = f->name, .flags = LARDER_CREATE, .size_bytes = SEGMENT_BYTES, .stripe_count = 2};
    struct larder *other;
    QUIET(larder_open(&create, &f->db));
    QUIET(larder_open(&create, &other));
    larder_close(other);
    QUIET(larder_open(&(struct larder_options){.segment = f->name, .flags = LARDER_READ_ONLY}, &other));
    larder_close(other);
    QUIET(larder_open(&(struct larder_options){.flags = LARDER_CREATE | LARDER_MEMFD, .memfd = -1}, &other));
    QUIET(larder_memfd(other));
    larder_close(other);
    f->now_s = 1700000000;
    QUIET(larder_set_clock(f->db, clock_of, f));
    QUIET(larder_errno());
}

static void call_tables(struct fixture *f) {
    const struct larder_index_def by_g = {.name = "ByG", .partition = {"G", LARDER_S}, .sort = {"H", LARDER_N}};
    const struct larder_table_def def = {
        .name = "table", .partition = {"pk", LARDER_S}, .sort = {"sk", LARDER_S}, .indexes = &by_g, .index_count = 1};
    const struct larder_table_def more = {.name = "more", .partition = {"pk", LARDER_S}};
    const struct larder_index_def later = {.name = "Later", .partition = {"H", LARDER_N}};
    const struct larder_table_def *there;
    const char *names[4];
    uint32_t count;
    QUIET(larder_table_create(f->db, &def));
    QUIET(larder_table_create(f->db, &more));
    QUIET(larder_table_drop(f->db, "more"));
    QUIET(larder_table_create(f->db, &more));
    QUIET(larder_table_open(f->db, "table", &f->t));
    QUIET(larder_table_describe(f->t, &there));
    QUIET(larder_table_def_is_current(there));
    QUIET(larder_table_list(f->db, names, 4, &count));
    QUIET(larder_index_add(f->t, &later));
    QUIET(larder_index_drop(f->t, "Later"));
    QUIET(larder_index_add(f->t, &later));
    QUIET(larder_ttl_set(f->t, "until"));
    QUIET(larder_removal_set(f->t, LARDER_REMOVAL_DELETE));
    QUIET(larder_eviction_set(f->t, LARDER_EVICTION_SIEVE));
    QUIET(larder_eviction_set(f->t, LARDER_EVICTION_NONE));
    QUIET(larder_settings_set(f->t, NULL, "x", 1));
    QUIET(larder_table_describe(f->t, &there));
}

static void call_items(struct fixture *f) {
    const struct larder_value text = larder_str("v");
    struct larder_value value;
    struct larder_iter it;
    struct larder_member member;
    char number[LARDER_NUMBER_TEXT_MAX];
    int64_t n;
    const struct larder_item *copied;
    struct larder_item *own;
    struct larder_builder *other;
    QUIET(larder_builder_new(f->db, &f->b));
    QUIET(larder_builder_add_s(f->b, "pk", "P"));
    QUIET(larder_builder_add_sn(f->b, "sk", "S", 1));
    QUIET(larder_builder_add(f->b, "v", &text));
    QUIET(larder_builder_add_n(f->b, "n", "17.5"));
    QUIET(larder_builder_add_int(f->b, "H", 17));
    QUIET(larder_builder_add_b(f->b, "b", "\0", 1));
    QUIET(larder_builder_add_bool(f->b, "is", 1));
    QUIET(larder_builder_add_null(f->b, "none"));
    QUIET(larder_builder_begin(f->b, "list", LARDER_L));
    QUIET(larder_builder_end(f->b));
    QUIET(larder_builder_name(f->b, "G", 1));
    QUIET(larder_builder_add_s(f->b, NULL, "g"));
    QUIET(larder_builder_finish(f->b, &f->item));
    QUIET(larder_item_get(f->item, "n", &value));
    QUIET(larder_value_number(&value, number));
    QUIET(larder_item_get(f->item, "absent", &value));
    QUIET(larder_item_getn(f->item, "H", 1, &value));
    QUIET(larder_value_int64(&value, &n));
    larder_iter_item(f->item, &it);
    QUIET(larder_iter_next(&it, &member));
    QUIET(larder_builder_new(f->db, &other));
    larder_builder_free(other);
    QUIET(larder_builder_new_values(f->db, &other));
    QUIET(larder_builder_add_member(other, &member));
    larder_builder_reset(other);
    QUIET(larder_builder_add_all(other, f->item, (const char *[]){"absent"}, 1));
    QUIET(larder_builder_finish(other, &copied));
    larder_builder_free(other);
    QUIET(larder_item_copy(f->db, f->item, &own));
    larder_item_free(own);
}

static void call_reads_and_writes(struct fixture *f) {
    const struct larder_key key = {larder_str("P"), larder_str("S")}, absent = {larder_str("P"), larder_str("none")};
    const struct larder_query_spec by_table = {.partition = larder_str("P")},
                                   by_index = {.index = "ByG", .partition = larder_str("g"), .limit = 1};
    int64_t value;
    QUIET(larder_page_new(f->db, &f->page));
    QUIET(larder_page_new(f->db, &f->found));
    QUIET(larder_put_if(f->t, f->item, NULL, f->found));
    QUIET(larder_put_if(f->t, f->item, NULL, f->found)); /* LARDER_CHANGED */
    QUIET(larder_put(f->t, f->item, f->page));
    QUIET(larder_get(f->t, &key, f->page));
    QUIET(larder_get(f->t, &absent, f->page));
    QUIET(larder_get_many(f->t, &key, 1, f->page));
    QUIET(larder_query(f->t, &by_table, f->page));
    QUIET(larder_query(f->t, &by_index, f->page));
    QUIET(larder_page_is_snapshot(f->page));
    QUIET(larder_scan(f->t, &(struct larder_scan_spec){0}, f->page));
    QUIET(larder_increment(f->t, &key, "H", 1, &value));
    QUIET(larder_increment(f->t, &key, "fresh", 1, &value));
    QUIET(larder_increment(f->t, &absent, "fresh", 1, &value));
    QUIET(larder_increment_n(f->t, &key, "fresh", "0.5", NULL));
    QUIET(larder_increment_n(f->t, &key, "fresher", "0.5", NULL));
    struct larder_expr *is_new, *remove;
    QUIET(larder_prepare(f->db, LARDER_EXPR_CONDITION, "attribute_not_exists(PK)", NULL, 0, &is_new));
    QUIET(larder_prepare(f->db, LARDER_EXPR_UPDATE, "REMOVE fresher", NULL, 0, &remove));
    struct larder_action action = {
        .kind = LARDER_ACTION_UPDATE, .table = f->t, .key = key, .update = remove, .condition = is_new};
    QUIET(larder_write(&action, f->found)); /* LARDER_REFUSED */
    action.condition = NULL;
    QUIET(larder_write(&action, f->found));
    uint32_t done;
    const struct larder_action batch[] = {{.kind = LARDER_ACTION_PUT, .table = f->t, .item = f->item},
                                          {.kind = LARDER_ACTION_DELETE, .table = f->t, .key = absent}};
    QUIET(larder_batch_write(batch, 2, &done));
    QUIET(larder_batch_get(&(struct larder_batch_get){.table = f->t, .keys = &key, .count = 1, .page = f->page}, 1));
    const struct larder_transaction all = {.actions = batch, .count = 2};
    const struct larder_transact_key keys[] = {{.table = f->t, .key = key}, {.table = f->t, .key = absent}};
    action.condition = is_new;
    QUIET(larder_transact(f->db, &all, NULL, NULL));
    QUIET(larder_transact(f->db, &(struct larder_transaction){.actions = &action, .count = 1}, NULL, NULL));
    QUIET(larder_transact_get(f->db, keys, 2, f->page));
    QUIET(larder_delete(f->t, &absent, NULL));
    QUIET(larder_delete(f->t, &absent, NULL)); /* LARDER_NOT_FOUND */
}

static void call_looks(struct fixture *f) {
    struct larder_segment_stats segment;
    struct larder_class_stats classes[4];
    struct larder_table_stats table;
    struct larder_slot_stats slots[4];
    struct larder_index_stats indexes[4];
    struct larder_check_report report;
    struct larder_repair_report repair;
    uint64_t removed;
    uint32_t count;
    QUIET(larder_expire(f->db, 0, &removed));
    QUIET(larder_expire(f->db, 1, &removed));
    QUIET(larder_expirer_start(f->db));
    larder_expirer_stop(f->db);
    QUIET(larder_segment_stats(f->db, &segment));
    QUIET(larder_class_stats(f->db, classes, 4, &count));
    QUIET(larder_table_stats(f->t, &table));
    QUIET(larder_index_stats(f->t, indexes, 4, &count));
    QUIET(larder_slot_stats(f->db, slots, 4, &count));
    QUIET(larder_check(f->db, NULL, &report));
    QUIET(larder_repair(f->db, NULL, &repair));
}

/* Whether one of the calls is of this function. */
static int is_called(const char *name, size_t bytes) {
    for (unsigned i = 0; i < called_count; i++)
        if (strncmp(called[i], name, bytes) == 0 && called[i][bytes] == '(')
            return 1;
    return 0;
}

static unsigned count_uncalled(void) {
    static char text[256 * 1024];
    static const char begin[] = "LARDER_API int larder_";
    FILE *file = fopen(LARDER_HEADER, "rb");
    unsigned missing = 0;
    cr_assert_not_null(file, "cannot read %s", LARDER_HEADER);
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    fclose(file);
    for (const char *at = text; (at = strstr(at, begin)) != NULL; at += strlen(begin)) {
        const char *name = at + strlen("LARDER_API int ");
        size_t bytes = strcspn(name, "(");
        if (!is_called(name, bytes)) {
            fprintf(stderr, "%.*s is not called\n", (int)bytes, name);
            missing++;
        }
    }
    return missing;
}

Test(error_text, success_leaves_it_alone) {
    struct fixture f = {0};
    testseg_name(f.name);
    call_segment(&f);
    call_tables(&f);
    call_items(&f);
    call_reads_and_writes(&f);
    call_looks(&f);
    larder_close(f.db);
    QUIET(larder_destroy(f.name, 0));
    cr_assert_eq(count_uncalled(), 0);
    cr_assert_eq(loud_count, 0);
}

/* ---- A full segment -------------------------------------------------------------------------- */

static int64_t clock_at(void *arg) {
    return *(int64_t *)arg;
}

static int put_text(struct larder_table *t, struct larder_builder *b, uint32_t n, size_t bytes) {
    static char value[LARDER_ITEM_BYTES_MAX];
    const struct larder_item *item;
    char pk[16];
    memset(value, 'v', sizeof value);
    snprintf(pk, sizeof pk, "%u", n);
    larder_builder_reset(b);
    larder_builder_add_s(b, "pk", pk);
    larder_builder_add_sn(b, "v", value, bytes);
    larder_builder_add_int(b, "until", 1700000000 + 60);
    cr_assert_eq(larder_builder_finish(b, &item), LARDER_OK);
    return larder_put(t, item, NULL);
}

static void must_tell(const char *what) {
    cr_assert_not_null(strstr(larder_error(), what), "\"%s\" is not in: %s", what, larder_error());
}

Test(error_text, full_segment_says_what_would_have_done) {
    const struct larder_table_def def = {.name = "table", .partition = {"pk", LARDER_S}};
    struct larder *db = testseg_open(LARDER_SEGMENT_BYTES_MIN, 2);
    struct larder_table *t;
    struct larder_builder *b;
    uint32_t n = 0;
    cr_assert_eq(larder_table_create(db, &def), LARDER_OK);
    cr_assert_eq(larder_table_open(db, "table", &t), LARDER_OK);
    cr_assert_eq(larder_builder_new(db, &b), LARDER_OK);
    while (put_text(t, b, n, 1000) == LARDER_OK)
        n++;
    cr_assert(n > 100);
    must_tell("bytes asked");
    must_tell("; blocks of ");
    must_tell(" would do; ");
    must_tell(" kept for bucket arrays");
    must_tell("options.size_bytes, larder create --size");
    cr_assert_eq(put_text(t, b, n, 100000), LARDER_E_FULL);
    must_tell("; runs of 114688 would do; "); /* seven spans */
    larder_close(db);
}

/* Inside, the segment is found full, and then is not. */
Test(error_text, room_that_was_made_is_no_failure) {
    const struct larder_table_def def = {.name = "table", .partition = {"pk", LARDER_S}, .ttl_attribute = "until"};
    struct larder *db = testseg_open(LARDER_SEGMENT_BYTES_MIN, 2);
    struct larder_table *t;
    struct larder_builder *b;
    int64_t now_s = 1700000000;
    uint32_t n = 0;
    cr_assert_eq(larder_set_clock(db, clock_at, &now_s), LARDER_OK);
    cr_assert_eq(larder_table_create(db, &def), LARDER_OK);
    cr_assert_eq(larder_table_open(db, "table", &t), LARDER_OK);
    cr_assert_eq(larder_builder_new(db, &b), LARDER_OK);
    while (put_text(t, b, n, 1000) == LARDER_OK)
        n++;
    now_s += 3600; /* a failed round of making room is remembered for a second */
    for (uint32_t more = n; more < n + 20; more++)
        QUIET(put_text(t, b, more, 1000));
    larder_close(db);
    cr_assert_eq(loud_count, 0);
}

/* ---- Names and keys -------------------------------------------------------------------------- */

Test(error_text, key_that_is_not_set) {
    const struct larder_table_def def = {.name = "table", .partition = {"pk", LARDER_S}, .sort = {"sk", LARDER_S}};
    const struct larder_key half = {.partition = larder_str("P")};
    struct larder *db = testseg_open(LARDER_SEGMENT_BYTES_MIN, 2);
    struct larder_table *t;
    struct larder_page *page;
    cr_assert_eq(larder_table_create(db, &def), LARDER_OK);
    cr_assert_eq(larder_table_open(db, "table", &t), LARDER_OK);
    cr_assert_eq(larder_page_new(db, &page), LARDER_OK);
    cr_assert_eq(larder_get(t, &half, page), LARDER_E_INVAL);
    must_tell("\"sk\" is not set; S is needed");
    larder_close(db);
}

Test(error_text, name_with_a_leading_slash) {
    struct larder *db;
    cr_assert_eq(larder_open(&(struct larder_options){.segment = "/songs", .flags = LARDER_CREATE}, &db),
                 LARDER_E_INVAL);
    must_tell("no leading slash");
    must_tell("\"songs\" or \"/dev/shm/songs\"");
    cr_assert_eq(larder_destroy("/songs", LARDER_FORCE), LARDER_E_INVAL);
}

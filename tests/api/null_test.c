/* tests/api/null_test.c - NULL for every pointer of every function.
 *
 * Goal     A NULL where an object is needed gives LARDER_E_INVAL, and larder_error() names the
 *          function and the argument. Where larder.h gives NULL a meaning it has that. A function
 *          without a result does nothing, or answers "none". Nothing crashes.
 * Method   A table of calls (calls()), each made in a child of its own, so that a crash is the
 *          failure of one row. The declarations of larder.h are read: each function, and each
 *          pointer that it takes, must have a row.
 */
#include <criterion/criterion.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "larder.h"
#include "tests/api/null_kit.h"
#include "tests/support/expect.h"
#include "tests/support/proc.h"
#include "tests/support/slow.h"

TestSuite(null, .timeout = 100 * SLOW_FACTOR);

/* ---- The table ------------------------------------------------------------------------------- */

/* One pass over the table: makes the call of row `wanted`, or (wanted < 0) notes which rows there
 * are. */
struct pass {
    int wanted, count;
    char rows[256][2][NAME_MAX_BYTES]; /* function, argument */
};

static int is_wanted(struct pass *p, const char *function, const char *argument) {
    if (p->wanted < 0) {
        snprintf(p->rows[p->count][0], NAME_MAX_BYTES, "%s", function);
        snprintf(p->rows[p->count][1], NAME_MAX_BYTES, "%s", argument);
    }
    return p->count++ == p->wanted;
}

/* 0, or 1 once the row's failure was printed. */
static int judge_refused(const char *function, const char *argument, int result) {
    char wanted[2 * NAME_MAX_BYTES];
    snprintf(wanted, sizeof wanted, "%s: %s is NULL", function, argument);
    if (result == LARDER_E_INVAL && strncmp(larder_error(), wanted, strlen(wanted)) == 0)
        return 0;
    fprintf(stderr, "%s is %s: \"%s\"\n", wanted, larder_result_name(result), larder_error());
    return 1;
}

static int judge_allowed(const char *function, const char *argument, int is_right) {
    if (!is_right)
        fprintf(stderr, "%s with %s NULL is not what larder.h says: \"%s\"\n", function, argument, larder_error());
    return !is_right;
}

#define REFUSED(function, argument, ...)                                                                               \
    do {                                                                                                               \
        if (is_wanted(p, #function, #argument))                                                                        \
            return judge_refused(#function, #argument, function(__VA_ARGS__));                                         \
    } while (0)
/* The meaning of NULL that larder.h documents. */
#define ALLOWED(function, argument, is_right)                                                                          \
    do {                                                                                                               \
        if (is_wanted(p, #function, #argument))                                                                        \
            return judge_allowed(#function, #argument, (is_right));                                                    \
    } while (0)
/* Functions without an int result: the call does not crash. */
#define HARMLESS(function, argument, ...) ALLOWED(function, argument, (function(__VA_ARGS__), 1))

/* Makes the builder's failure come from larder_builder_finish(). */
static int remembered(struct larder_builder *b, int result) {
    const struct larder_item *item;
    return result == LARDER_E_INVAL && larder_builder_finish(b, &item) == LARDER_E_INVAL;
}

static int is_empty_walk(struct larder_iter *it) {
    struct larder_member member;
    return larder_iter_next(it, &member) == LARDER_NOT_FOUND;
}

static int calls_segment(struct fixture *f, struct pass *p) {
    struct larder *db;
    REFUSED(larder_open, out, NULL, NULL);
    ALLOWED(larder_open, options, larder_open(NULL, &db) == LARDER_E_NO_SEGMENT || (larder_close(db), 1));
    HARMLESS(larder_close, db, NULL);
    ALLOWED(larder_memfd, db, larder_memfd(NULL) == -1);
    /* not called: it would remove a segment that another process may use */
    ALLOWED(larder_destroy, segment, 1);
    REFUSED(larder_set_clock, db, NULL, NULL, NULL);
    ALLOWED(larder_set_clock, now, larder_set_clock(f->db, NULL, f) == LARDER_OK);
    ALLOWED(larder_set_clock, arg, larder_set_clock(f->db, NULL, NULL) == LARDER_OK);
    REFUSED(larder_expirer_start, db, NULL);
    HARMLESS(larder_expirer_stop, db, NULL);
    REFUSED(larder_expire, db, NULL, 0, NULL);
    ALLOWED(larder_expire, removed, larder_expire(f->db, 0, NULL) == LARDER_OK);
    return -1;
}

static int calls_tables(struct fixture *f, struct pass *p) {
    struct larder_table *t;
    const struct larder_table_def *found;
    const char *names[4];
    uint32_t count;
    REFUSED(larder_table_create, db, NULL, &def);
    REFUSED(larder_table_create, def, f->db, NULL);
    REFUSED(larder_table_open, db, NULL, "table", &t);
    REFUSED(larder_table_open, name, f->db, NULL, &t);
    REFUSED(larder_table_open, out, f->db, "table", NULL);
    REFUSED(larder_table_describe, t, NULL, &found);
    REFUSED(larder_table_describe, out, f->t, NULL);
    HARMLESS(larder_table_close, t, NULL);
    HARMLESS(larder_table_def_free, def, NULL);
    ALLOWED(larder_table_def_is_current, def, larder_table_def_is_current(NULL) == 0);
    REFUSED(larder_table_list, db, NULL, names, 4, &count);
    REFUSED(larder_table_list, names, f->db, NULL, 4, &count);
    REFUSED(larder_table_list, count, f->db, names, 4, NULL);
    ALLOWED(larder_table_list, names, larder_table_list(f->db, NULL, 0, &count) == LARDER_OK && count == 1);
    REFUSED(larder_table_drop, db, NULL, "table");
    REFUSED(larder_table_drop, name, f->db, NULL);
    REFUSED(larder_index_add, t, NULL, &by_kind);
    REFUSED(larder_index_add, def, f->t, NULL);
    REFUSED(larder_ttl_set, t, NULL, "n");
    ALLOWED(larder_ttl_set, attribute, larder_ttl_set(f->t, NULL) == LARDER_OK);
    REFUSED(larder_removal_set, t, NULL, LARDER_REMOVAL_RETAIN);
    REFUSED(larder_eviction_set, t, NULL, LARDER_EVICTION_SIEVE);
    REFUSED(larder_settings_set, t, NULL, NULL, "x", 1);
    ALLOWED(larder_settings_set, expected, larder_settings_set(f->t, NULL, "x", 1) == LARDER_OK);
    REFUSED(larder_settings_set, settings, f->t, NULL, NULL, 1);
    REFUSED(larder_index_drop, t, NULL, "index");
    REFUSED(larder_index_drop, name, f->t, NULL);
    return -1;
}

static int calls_items(struct fixture *f, struct pass *p) {
    struct larder_value value = {0}, n = larder_num("17");
    struct larder_iter it;
    struct larder_member member;
    struct larder_item *copy = NULL;
    char text[LARDER_NUMBER_TEXT_MAX];
    int64_t number;
    ALLOWED(larder_str, text, larder_str(NULL).bytes == 0 && larder_str(NULL).type == LARDER_S);
    ALLOWED(larder_num, text, larder_num(NULL).bytes == 0 && larder_num(NULL).type == LARDER_N);
    ALLOWED(larder_bin, data, larder_bin(NULL, 0).bytes == 0);
    REFUSED(larder_item_get, item, NULL, "id", &value);
    REFUSED(larder_item_get, name, f->item, NULL, &value);
    REFUSED(larder_item_get, out, f->item, "id", NULL);
    REFUSED(larder_item_getn, item, NULL, "id", 2, &value);
    REFUSED(larder_item_getn, name, f->item, NULL, 2, &value);
    REFUSED(larder_item_getn, out, f->item, "id", 2, NULL);
    ALLOWED(larder_item_count, item, larder_item_count(NULL) == 0);
    ALLOWED(larder_item_size, item, larder_item_size(NULL) == 0);
    REFUSED(larder_item_copy, db, NULL, f->item, &copy);
    REFUSED(larder_item_copy, item, f->db, NULL, &copy);
    REFUSED(larder_item_copy, out, f->db, f->item, NULL);
    HARMLESS(larder_item_free, copy, NULL);
    ALLOWED(larder_iter_item, item, (larder_iter_item(NULL, &it), is_empty_walk(&it)));
    HARMLESS(larder_iter_item, it, f->item, NULL);
    ALLOWED(larder_iter_value, value, (larder_iter_value(NULL, &it), is_empty_walk(&it)));
    HARMLESS(larder_iter_value, it, &value, NULL);
    value = (struct larder_value){.type = LARDER_L, .bytes = 9, .count = 3};
    ALLOWED(larder_iter_value, value, (larder_iter_value(&value, &it), is_empty_walk(&it)));
    larder_iter_item(f->item, &it);
    REFUSED(larder_iter_next, it, NULL, &member);
    REFUSED(larder_iter_next, out, &it, NULL);
    REFUSED(larder_value_number, value, NULL, text);
    REFUSED(larder_value_number, text, &n, NULL);
    REFUSED(larder_value_int64, value, NULL, &number);
    REFUSED(larder_value_int64, out, &n, NULL);
    n = (struct larder_value){.type = LARDER_N, .bytes = 5, .count = 1};
    ALLOWED(larder_value_number, value, larder_value_number(&n, text) == LARDER_E_INVAL);
    ALLOWED(larder_value_int64, value, larder_value_int64(&n, &number) == LARDER_E_INVAL);
    n.count = 0;
    ALLOWED(larder_value_number, value, larder_value_number(&n, text) == LARDER_E_INVAL);
    ALLOWED(larder_value_int64, value, larder_value_int64(&n, &number) == LARDER_E_INVAL);
    return -1;
}

/* NULL for a name is refused in an item, and needed in a list. */
#define NEEDS_NAME(function, ...) ALLOWED(function, name, remembered(b, function(b, NULL, ##__VA_ARGS__)))

static int calls_adds(struct fixture *f, struct pass *p) {
    struct larder_builder *b = f->b;
    const struct larder_value value = larder_str("x"), none = {.type = LARDER_S, .bytes = 3},
                              number = {.type = LARDER_N, .bytes = 3};
    REFUSED(larder_builder_add, b, NULL, "a", &value);
    REFUSED(larder_builder_add, value, b, "a", NULL);
    ALLOWED(larder_builder_add, value,
            judge_refused("larder_builder_add", "value->data", larder_builder_add(b, "a", &none)) == 0);
    ALLOWED(larder_builder_add, value,
            judge_refused("larder_builder_add", "value->data", larder_builder_add(b, "a", &number)) == 0);
    NEEDS_NAME(larder_builder_add, &value);
    REFUSED(larder_builder_add_s, b, NULL, "a", "x");
    REFUSED(larder_builder_add_s, text, b, "a", NULL);
    NEEDS_NAME(larder_builder_add_s, "x");
    REFUSED(larder_builder_add_sn, b, NULL, "a", "x", 1);
    REFUSED(larder_builder_add_sn, text, b, "a", NULL, 1);
    ALLOWED(larder_builder_add_sn, text, larder_builder_add_sn(b, "a", NULL, 0) == LARDER_OK);
    NEEDS_NAME(larder_builder_add_sn, "x", 1);
    REFUSED(larder_builder_add_n, b, NULL, "a", "1");
    REFUSED(larder_builder_add_n, decimal, b, "a", NULL);
    NEEDS_NAME(larder_builder_add_n, "1");
    REFUSED(larder_builder_add_int, b, NULL, "a", 1);
    NEEDS_NAME(larder_builder_add_int, 1);
    REFUSED(larder_builder_add_b, b, NULL, "a", "x", 1);
    REFUSED(larder_builder_add_b, data, b, "a", NULL, 1);
    ALLOWED(larder_builder_add_b, data, larder_builder_add_b(b, "a", NULL, 0) == LARDER_OK);
    NEEDS_NAME(larder_builder_add_b, "x", 1);
    REFUSED(larder_builder_add_bool, b, NULL, "a", 1);
    NEEDS_NAME(larder_builder_add_bool, 1);
    REFUSED(larder_builder_add_null, b, NULL, "a");
    NEEDS_NAME(larder_builder_add_null);
    REFUSED(larder_builder_begin, b, NULL, "a", LARDER_M);
    NEEDS_NAME(larder_builder_begin, LARDER_M);
    REFUSED(larder_builder_end, b, NULL);
    REFUSED(larder_builder_name, b, NULL, "a", 1);
    REFUSED(larder_builder_name, name, b, NULL, 1);
    REFUSED(larder_builder_name, name, b, NULL, 0);
    return -1;
}

static int calls_builder(struct fixture *f, struct pass *p) {
    struct larder_builder *b = f->b;
    const struct larder_item *item;
    const struct larder_member member = {.value = {.type = LARDER_M, .bytes = 4, .count = 1}};
    const char *but[] = {"id", NULL};
    REFUSED(larder_builder_new_values, db, NULL, &b);
    REFUSED(larder_builder_new_values, out, f->db, NULL);
    REFUSED(larder_builder_new, db, NULL, &b);
    REFUSED(larder_builder_new, out, f->db, NULL);
    HARMLESS(larder_builder_free, b, NULL);
    HARMLESS(larder_builder_reset, b, NULL);
    REFUSED(larder_builder_add_member, b, NULL, &member);
    REFUSED(larder_builder_add_member, member, b, NULL);
    ALLOWED(larder_builder_add_member, member,
            judge_refused("larder_builder_add_member", "member->value.data", larder_builder_add_member(b, &member)) ==
                0);
    REFUSED(larder_builder_add_all, b, NULL, f->item, NULL, 0);
    REFUSED(larder_builder_add_all, item, b, NULL, NULL, 0);
    REFUSED(larder_builder_add_all, but, b, f->item, NULL, 1);
    ALLOWED(larder_builder_add_all, but, larder_builder_add_all(b, f->item, NULL, 0) == LARDER_OK);
    ALLOWED(larder_builder_add_all, but,
            judge_refused("larder_builder_add_all", "but[i]", larder_builder_add_all(b, f->item, but, 2)) == 0);
    REFUSED(larder_builder_finish, b, NULL, &item);
    REFUSED(larder_builder_finish, out, b, NULL);
    return -1;
}

static int calls_pages(struct fixture *f, struct pass *p) {
    struct larder_page *page;
    REFUSED(larder_page_new, db, NULL, &page);
    REFUSED(larder_page_new, out, f->db, NULL);
    HARMLESS(larder_page_free, page, NULL);
    ALLOWED(larder_page_count, page, larder_page_count(NULL) == 0);
    ALLOWED(larder_page_item, page, larder_page_item(NULL, 0) == NULL);
    ALLOWED(larder_page_resume, page, larder_page_resume(NULL) == NULL);
    ALLOWED(larder_page_scanned, page, larder_page_scanned(NULL) == 0);
    ALLOWED(larder_page_matched, page, larder_page_matched(NULL) == 0);
    ALLOWED(larder_page_is_snapshot, page, larder_page_is_snapshot(NULL) == 0);
    return -1;
}

/* Whether a read was refused, and left the page empty. */
static int is_emptied(struct fixture *f, int result) {
    return result == LARDER_E_INVAL && larder_page_count(f->page) == 0 && !larder_page_resume(f->page);
}

static int calls_reads(struct fixture *f, struct pass *p) {
    const struct larder_query_spec query = {.partition = larder_str("one")};
    const struct larder_scan_spec scan = {0};
    const struct larder_query_spec no_data = {.partition = {.type = LARDER_S, .bytes = 3}};
    const struct larder_key no_key = {.partition = {.type = LARDER_S, .bytes = 3}}, zero = {0};
    REFUSED(larder_get, t, NULL, &f->key, f->page);
    REFUSED(larder_get, key, f->t, NULL, f->page);
    REFUSED(larder_get, page, f->t, &f->key, NULL);
    ALLOWED(larder_get, t, is_emptied(f, larder_get(NULL, &f->key, f->page)));
    ALLOWED(larder_get, key, is_emptied(f, larder_get(f->t, NULL, f->page)));
    ALLOWED(larder_get, key, is_emptied(f, larder_get(f->t, &no_key, f->page)));
    ALLOWED(larder_get, key, is_emptied(f, larder_get(f->t, &zero, f->page)));
    REFUSED(larder_get_many, t, NULL, &f->key, 1, f->page);
    REFUSED(larder_get_many, keys, f->t, NULL, 1, f->page);
    ALLOWED(larder_get_many, keys, larder_get_many(f->t, NULL, 0, f->page) == LARDER_OK);
    REFUSED(larder_get_many, page, f->t, &f->key, 1, NULL);
    REFUSED(larder_batch_get, gets, NULL, 1);
    REFUSED(larder_query, t, NULL, &query, f->page);
    REFUSED(larder_query, spec, f->t, NULL, f->page);
    REFUSED(larder_query, page, f->t, &query, NULL);
    ALLOWED(larder_query, spec, is_emptied(f, larder_query(f->t, NULL, f->page)));
    ALLOWED(larder_query, spec, is_emptied(f, larder_query(f->t, &no_data, f->page)));
    REFUSED(larder_scan, t, NULL, &scan, f->page);
    REFUSED(larder_scan, spec, f->t, NULL, f->page);
    REFUSED(larder_scan, page, f->t, &scan, NULL);
    ALLOWED(larder_scan, spec, is_emptied(f, larder_scan(f->t, NULL, f->page)));
    return -1;
}

static int calls_writes(struct fixture *f, struct pass *p) {
    int64_t value;
    const struct larder_key no_key = {.partition = {.type = LARDER_S, .bytes = 3}};
    REFUSED(larder_put, t, NULL, f->item, f->other);
    REFUSED(larder_put, item, f->t, NULL, f->other);
    ALLOWED(larder_put, replaced, larder_put(f->t, f->item, NULL) == LARDER_OK);
    REFUSED(larder_put_if, t, NULL, f->item, NULL, f->other);
    REFUSED(larder_put_if, item, f->t, NULL, NULL, f->other);
    ALLOWED(larder_put_if, expected, larder_put_if(f->t, f->item, NULL, f->other) == LARDER_CHANGED);
    ALLOWED(larder_put_if, found, /* read again: a row before this one has put it */
            larder_get(f->t, &f->key, f->page) == LARDER_OK &&
                larder_put_if(f->t, larder_page_item(f->page, 0), larder_page_item(f->page, 0), NULL) == LARDER_OK);
    REFUSED(larder_increment, t, NULL, &f->key, "n", 1, &value);
    REFUSED(larder_increment, key, f->t, NULL, "n", 1, &value);
    REFUSED(larder_increment, name, f->t, &f->key, NULL, 1, &value);
    ALLOWED(larder_increment, value, larder_increment(f->t, &f->key, "n", 1, NULL) == LARDER_OK);
    ALLOWED(larder_increment, key, larder_increment(f->t, &no_key, "n", 1, NULL) == LARDER_E_INVAL);
    REFUSED(larder_increment_n, t, NULL, &f->key, "n", "1", NULL);
    REFUSED(larder_increment_n, key, f->t, NULL, "n", "1", NULL);
    REFUSED(larder_increment_n, name, f->t, &f->key, NULL, "1", NULL);
    REFUSED(larder_increment_n, decimal, f->t, &f->key, "n", NULL, NULL);
    ALLOWED(larder_increment_n, sum, larder_increment_n(f->t, &f->key, "n", "1", NULL) == LARDER_OK);
    ALLOWED(larder_increment_n, key, larder_increment_n(f->t, &no_key, "n", "1", NULL) == LARDER_E_INVAL);
    struct larder_expr *expr = NULL;
    const struct larder_action put = {.kind = LARDER_ACTION_PUT, .table = f->t, .item = f->item};
    REFUSED(larder_prepare, db, NULL, LARDER_EXPR_CONDITION, "a = b", NULL, 0, &expr);
    REFUSED(larder_prepare, text, f->db, LARDER_EXPR_CONDITION, NULL, NULL, 0, &expr);
    REFUSED(larder_prepare, names, f->db, LARDER_EXPR_CONDITION, "a = b", NULL, 1, &expr);
    REFUSED(larder_prepare, out, f->db, LARDER_EXPR_CONDITION, "a = b", NULL, 0, NULL);
    ALLOWED(larder_prepare, names,
            larder_prepare(f->db, LARDER_EXPR_CONDITION, "#a = b", (struct larder_expr_name[]){{"#a", NULL}}, 1,
                           &expr) == LARDER_E_INVAL);
    ALLOWED(larder_expr_free, expr, (larder_expr_free(NULL), 1));
    REFUSED(larder_write, action, NULL, f->other);
    ALLOWED(larder_write, page, larder_write(&put, NULL) == LARDER_OK);
    uint32_t done;
    REFUSED(larder_batch_write, actions, NULL, 1, &done);
    REFUSED(larder_batch_write, done, &put, 1, NULL);
    const struct larder_transaction all = {.actions = &put, .count = 1};
    const struct larder_transact_key one = {.table = f->t, .key = f->key};
    REFUSED(larder_transact, db, NULL, &all, NULL, NULL);
    REFUSED(larder_transact, transaction, f->db, NULL, NULL, NULL);
    ALLOWED(larder_transact, results, larder_transact(f->db, &all, NULL, NULL) == LARDER_OK);
    ALLOWED(larder_transact, page, larder_transact(f->db, &all, NULL, NULL) == LARDER_OK);
    REFUSED(larder_transact_get, db, NULL, &one, 1, f->other);
    REFUSED(larder_transact_get, keys, f->db, NULL, 1, f->other);
    REFUSED(larder_transact_get, page, f->db, &one, 1, NULL);
    REFUSED(larder_delete, t, NULL, &f->key, f->other);
    REFUSED(larder_delete, key, f->t, NULL, f->other);
    ALLOWED(larder_delete, deleted, larder_delete(f->t, &f->key, NULL) == LARDER_OK);
    ALLOWED(larder_delete, key, larder_delete(f->t, &no_key, NULL) == LARDER_E_INVAL);
    return -1;
}

static int calls_looks(struct fixture *f, struct pass *p) {
    const struct larder_check_options no_check = {.note = NULL};
    const struct larder_repair_options no_repair = {.note = NULL};
    struct larder_segment_stats segment;
    struct larder_class_stats classes[4];
    struct larder_slot_stats slots[4];
    struct larder_table_stats table;
    struct larder_index_stats indexes[4];
    struct larder_check_report report;
    struct larder_repair_report repair;
    uint32_t count;
    REFUSED(larder_segment_stats, db, NULL, &segment);
    REFUSED(larder_segment_stats, out, f->db, NULL);
    REFUSED(larder_class_stats, db, NULL, classes, 4, &count);
    REFUSED(larder_class_stats, out, f->db, NULL, 4, &count);
    REFUSED(larder_class_stats, count, f->db, classes, 4, NULL);
    ALLOWED(larder_class_stats, out, larder_class_stats(f->db, NULL, 0, &count) == LARDER_OK && count > 0);
    REFUSED(larder_index_stats, t, NULL, indexes, 4, &count);
    REFUSED(larder_index_stats, out, f->t, NULL, 4, &count);
    REFUSED(larder_index_stats, count, f->t, indexes, 4, NULL);
    ALLOWED(larder_index_stats, out, larder_index_stats(f->t, NULL, 0, &count) == LARDER_OK && count == 2);
    REFUSED(larder_slot_stats, db, NULL, slots, 4, &count);
    REFUSED(larder_slot_stats, out, f->db, NULL, 4, &count);
    REFUSED(larder_slot_stats, count, f->db, slots, 4, NULL);
    ALLOWED(larder_slot_stats, out, larder_slot_stats(f->db, NULL, 0, &count) == LARDER_OK && count > 0);
    REFUSED(larder_table_stats, t, NULL, &table);
    REFUSED(larder_table_stats, out, f->t, NULL);
    REFUSED(larder_check, db, NULL, NULL, &report);
    REFUSED(larder_check, report, f->db, NULL, NULL);
    ALLOWED(larder_check, options, larder_check(f->db, NULL, &report) == LARDER_OK);
    ALLOWED(larder_check, options, larder_check(f->db, &no_check, &report) == LARDER_OK);
    REFUSED(larder_repair, db, NULL, NULL, &repair);
    REFUSED(larder_repair, report, f->db, NULL, NULL);
    ALLOWED(larder_repair, options, larder_repair(f->db, NULL, &repair) == LARDER_OK);
    ALLOWED(larder_repair, options, larder_repair(f->db, &no_repair, &repair) == LARDER_OK);
    /* They take no pointer, but have their row all the same. */
    ALLOWED(larder_error, , larder_error() != NULL);
    ALLOWED(larder_errno, , larder_errno() == 0);
    ALLOWED(larder_version, , larder_version() != NULL);
    ALLOWED(larder_version_number, , larder_version_number() == LARDER_VERSION_NUMBER);
    ALLOWED(larder_result_name, , larder_result_name(12345) != NULL && larder_result_name(-12345) != NULL);
    return -1;
}

/* 0 or 1 of the row that was made; -1: there is no such row. */
static int calls(struct fixture *f, struct pass *p) {
    static int (*const parts[])(struct fixture * f, struct pass * p) = {calls_segment, calls_tables,  calls_items,
                                                                        calls_adds,    calls_builder, calls_pages,
                                                                        calls_reads,   calls_writes,  calls_looks};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        int result = parts[i](f, p);
        if (result >= 0)
            return result;
    }
    return -1;
}

struct one {
    struct fixture *f;
    struct pass *pass;
};

static int run_one(void *arg) {
    struct one *one = arg;
    return calls(one->f, one->pass);
}

static void list_rows(struct pass *p) {
    struct fixture none = {0};
    *p = (struct pass){.wanted = -1};
    calls(&none, p);
}

Test(null, every_pointer_of_every_function) {
    static struct pass rows;
    struct fixture f;
    unsigned failed = 0;
    begin(&f);
    list_rows(&rows);
    for (int i = 0; i < rows.count; i++) {
        struct pass pass = {.wanted = i};
        struct proc_result r = proc_run(run_one, &(struct one){&f, &pass}, DEADLINE_MS);
        if (!proc_is_exit(r, 0)) {
            fprintf(stderr, "%s, %s NULL: %s\n", rows.rows[i][0], rows.rows[i][1], proc_text(r));
            failed++;
        }
    }
    cr_assert_eq(failed, 0, "%u of %d calls", failed, rows.count);
    larder_close(f.db);
}

/* ---- The table against the header ------------------------------------------------------------ */

static char *read_header(void) {
    FILE *file = fopen(LARDER_HEADER, "rb");
    cr_assert_not_null(file, "cannot read %s", LARDER_HEADER);
    static char text[256 * 1024];
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    fclose(file);
    for (char *at = text; (at = strstr(at, "/*")) != NULL;) { /* comments become spaces */
        char *end = strstr(at, "*/");
        cr_assert_not_null(end);
        memset(at, ' ', (size_t)(end + 2 - at));
    }
    return text;
}

static int has_row(const struct pass *rows, const char *function, const char *argument) {
    for (int i = 0; i < rows->count; i++)
        if (strcmp(rows->rows[i][0], function) == 0 && (!argument || strcmp(rows->rows[i][1], argument) == 0))
            return 1;
    return 0;
}

/* The name that one parameter declares: after "(*" of a function pointer, else the last word. */
static void name_of(const char *from, const char *to, char name[NAME_MAX_BYTES]) {
    const char *function = memchr(from, '(', (size_t)(to - from));
    const char *at = function ? function + 2 : to;
    if (!function)
        while (at > from && (isalnum((unsigned char)at[-1]) || at[-1] == '_'))
            at--;
    size_t bytes = 0;
    while (isalnum((unsigned char)at[bytes]) || at[bytes] == '_')
        bytes++;
    snprintf(name, NAME_MAX_BYTES, "%.*s", (int)bytes, at);
}

/* Checks the parameters of a declaration, between `at` and its closing bracket. Returns what is
 * missing. */
static unsigned check_parameters(const struct pass *rows, const char *function, const char *at) {
    unsigned missing = 0, depth = 0;
    for (const char *start = at;; at++) {
        depth += *at == '(';
        if ((*at == ',' || *at == ')') && depth == 0) {
            char argument[NAME_MAX_BYTES];
            name_of(start, at, argument);
            if (memchr(start, '*', (size_t)(at - start)) && !has_row(rows, function, argument)) {
                fprintf(stderr, "no row for %s of %s()\n", argument, function);
                missing++;
            }
            start = at + 1;
        }
        if (*at == ')' && depth-- == 0)
            return missing;
    }
}

Test(null, the_header_has_no_function_that_is_not_in_the_table) {
    static struct pass rows;
    unsigned missing = 0, functions = 0;
    list_rows(&rows);
    for (char *at = read_header(); (at = strstr(at, "\nLARDER_API ")) != NULL; at++) {
        char *open = strchr(at, '('), *start = open, function[NAME_MAX_BYTES];
        while (isalnum((unsigned char)start[-1]) || start[-1] == '_')
            start--;
        snprintf(function, sizeof function, "%.*s", (int)(open - start), start);
        functions++;
        if (!has_row(&rows, function, NULL)) {
            fprintf(stderr, "no row for %s()\n", function);
            missing++;
        }
        missing += check_parameters(&rows, function, open + 1);
    }
    cr_assert_gt(functions, 50, "only %u functions were found in the header", functions);
    cr_assert_eq(missing, 0);
}

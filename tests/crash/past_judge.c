/* tests/crash/past_judge.c - whether a segment still has what was put there: see past.h.
 *
 * Method   The segment is seen by every path and compared with items that are built again. Then it
 *          is used: items are overwritten, deleted, made, an index is added, the TTL attribute
 *          changes, time passes. After each of these it is seen again.
 */
#include "core/item/item.h"
#include "tests/crash/past.h"
#include "tests/support/proc.h"
#include "tests/support/same_item.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LATER_S 30000 /* everything that has an expiry has expired */

/* What is being judged. */
struct view {
    struct past *p;
    struct larder *db;
    struct larder_table *table[PAST_TABLES];
    struct larder_builder *b;
    struct larder_page *page, *other;
    uint8_t is_there[PAST_TABLES][PAST_ITEMS];
    struct past_harm harm;
    const char *when;
    struct expected {
        int serial;
        struct larder_item *item;
    } expected[PAST_TABLES][PAST_ITEMS]; /* items as they were put: built once */
};

#define MUST(v, condition, n)                                                                                          \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s, %s, item %d (table %p): %s\n", (v)->p->name, (v)->when, (n), (void *)(v)->table[0],   \
                    larder_error());                                                                                   \
            PROC_CHECK(condition);                                                                                     \
        }                                                                                                              \
    } while (0)

static const struct larder_item *expected_item(struct view *v, int table, int n) {
    struct expected *e = &v->expected[table][n];
    if (e->item && e->serial == v->p->serial[table][n])
        return e->item;
    e->serial = v->p->serial[table][n];
    const struct larder_item *item = past_item(v->b, table, n, e->serial);
    PROC_CHECK(item);
    free(e->item);
    uint32_t bytes = ((const struct item_head *)(const void *)item)->bytes;
    e->item = malloc(bytes);
    PROC_CHECK(e->item);
    memcpy(e->item, item, bytes);
    return e->item;
}

/* Every attribute, and no other; or what a get says, if attributes were hit. */
static void must_be_item(struct view *v, int table, int n, const struct larder_item *item) {
    if (!v->harm.may_differ[table][n]) {
        MUST(v, is_same_item(item, expected_item(v, table, n)), n);
        return;
    }
    struct past_key key;
    past_key(table, n, &key);
    MUST(v, larder_get(v->table[table], &key.key, v->other) == LARDER_OK, n);
    MUST(v, is_same_item(item, larder_page_item(v->other, 0)), n);
}

/* ---- Seeing ---------------------------------------------------------------------------------- */

static int must_be_visible(const struct view *v, int table, int n) {
    int serial = v->p->serial[table][n];
    int64_t at_s = table == 0 ? past_expires_s(v->p->ttl, n, serial) : 0;
    return serial != 0 && (at_s == 0 || at_s > v->p->now_s);
}

static void see_by_get(struct view *v, int table) {
    for (int n = 0; n < PAST_ITEMS; n++) {
        struct past_key key;
        past_key(table, n, &key);
        int r = v->table[table] ? larder_get(v->table[table], &key.key, v->page) : LARDER_NOT_FOUND;
        MUST(v, r == LARDER_OK || r == LARDER_NOT_FOUND, n);
        v->is_there[table][n] = r == LARDER_OK;
        if (r == LARDER_OK) {
            MUST(v, must_be_visible(v, table, n) || (v->harm.may_differ[table][n] && v->p->serial[table][n]), n);
            must_be_item(v, table, n, larder_page_item(v->page, 0));
        } else if (must_be_visible(v, table, n))
            MUST(v, v->harm.may_be_lost[table][n] || v->harm.may_differ[table][n] || v->harm.table_may_be_lost[table],
                 n);
    }
}

static void see_by_scan(struct view *v, int table) {
    uint8_t seen[PAST_ITEMS] = {0};
    struct larder_scan_spec spec = {.bytes_max = UINT32_MAX};
    if (!v->table[table])
        return;
    MUST(v, larder_scan(v->table[table], &spec, v->page) == LARDER_OK, 0);
    for (uint32_t i = 0; i < larder_page_count(v->page); i++) {
        int of, n = past_number_of(larder_page_item(v->page, i), &of);
        if (n >= PAST_ITEMS && table == 1)
            continue;
        MUST(v, n >= 0 && n < PAST_ITEMS && of == table && !seen[n] && v->is_there[table][n], n);
        seen[n] = 1;
        must_be_item(v, table, n, larder_page_item(v->page, i));
    }
    MUST(v, memcmp(seen, v->is_there[table], sizeof seen) == 0, 0);
}

/* One partition of an index (-1: the table), ascending or descending; marks the items that are in
 * it. */
static void see_partition(struct view *v, int index, const char *partition, int is_descending, uint8_t *seen) {
    struct larder_index_def def = {.name = NULL};
    if (index >= 0)
        past_index_def(index, &def);
    struct larder_query_spec spec = {
        .index = def.name, .partition = larder_str(partition), .is_descending = is_descending, .bytes_max = UINT32_MAX};
    MUST(v, larder_query(v->table[0], &spec, v->page) == LARDER_OK, index);
    for (uint32_t i = 0; i < larder_page_count(v->page); i++) {
        int of, n = past_number_of(larder_page_item(v->page, i), &of);
        MUST(v, n >= 0 && n < PAST_ITEMS && of == 0 && !seen[n] && v->is_there[0][n], n);
        seen[n] = 1;
        must_be_item(v, 0, n, larder_page_item(v->page, i));
    }
}

static void see_by_index(struct view *v, int index, int is_descending) {
    uint8_t seen[PAST_ITEMS] = {0};
    char text[32];
    for (int i = 0; i < 5; i++) {
        snprintf(text, sizeof text, index < 0 || index >= PAST_GLOBALS ? "P%d" : "%c",
                 index < 0 || index >= PAST_GLOBALS ? i : 'A' + i);
        see_partition(v, index, text, is_descending, seen);
    }
    for (int n = 0; n < PAST_ITEMS; n++) {
        int is_in = index < 0 ? v->p->serial[0][n] != 0 : past_is_in(index, n, v->p->serial[0][n], text);
        if (index == 2 && is_in)
            see_partition(v, index, text, is_descending, seen);
        if (v->is_there[0][n] && !v->harm.may_differ[0][n])
            MUST(v, seen[n] == is_in, n * 1000 + index);
    }
}

static void see_definition(struct view *v) {
    const struct larder_table_def *def;
    uint32_t indexes = 0;
    MUST(v, larder_table_describe(v->table[0], &def) == LARDER_OK, 0);
    for (uint32_t i = 0; i < def->index_count; i++) {
        unsigned number = 99;
        MUST(v, sscanf(def->indexes[i].name, "ix%u", &number) == 1 && number < PAST_INDEXES, 0);
        indexes |= 1u << number;
    }
    MUST(v, indexes == v->p->indexes, 0);
    MUST(v, v->p->ttl ? def->ttl_attribute && strcmp(def->ttl_attribute, v->p->ttl) == 0 : !def->ttl_attribute, 0);
}

static void see(struct view *v, const char *when) {
    struct larder_check_report report;
    v->when = when;
    for (int table = 0; table < PAST_TABLES; table++) {
        see_by_get(v, table);
        see_by_scan(v, table);
    }
    for (int i = -1; v->table[0] && i < PAST_INDEXES; i++)
        if (i < 0 || (v->p->indexes >> i & 1))
            for (int is_descending = 0; is_descending < 2; is_descending++)
                see_by_index(v, i, is_descending);
    if (v->table[0])
        see_definition(v);
    int r = larder_check(v->db, NULL, &report);
    if (r)
        fprintf(stderr, "%s, %s: %s\n", v->p->name, when, larder_error());
    PROC_CHECK(r == LARDER_OK);
}

/* ---- Using ----------------------------------------------------------------------------------- */

static int put(struct view *v, int table, int n, int serial) {
    int r = larder_put(v->table[table], past_item(v->b, table, n, serial), NULL);
    MUST(v, r == LARDER_OK || (r == LARDER_E_FULL && v->p->is_full), n);
    if (r == LARDER_OK) {
        v->p->serial[table][n] = (uint8_t)serial;
        v->harm.may_differ[table][n] = v->harm.may_be_lost[table][n] = 0;
    }
    return r;
}

static void drop(struct view *v, int table, int n) {
    struct past_key key;
    past_key(table, n, &key);
    MUST(v, larder_delete(v->table[table], &key.key, NULL) == LARDER_OK, n);
    v->p->serial[table][n] = 0;
    v->harm.may_differ[table][n] = 0;
}

static void overwrite(struct view *v, int table) {
    v->when = "overwriting and deleting";
    for (int n = 0; v->table[table] && n < PAST_ITEMS; n++)
        if (v->is_there[table][n]) {
            if (n % 7 == 1)
                drop(v, table, n);
            else if (n % 3 == 0)
                put(v, table, n, v->p->serial[table][n] + 11);
        } else if (n % 5 == 0 && n < 190)
            put(v, table, n, 20);
}

static void add_index(struct view *v) {
    struct larder_index_def def;
    int i = 0;
    v->when = "adding an index";
    while (i < PAST_GLOBALS && (v->p->indexes >> i & 1))
        i++;
    if (i == PAST_GLOBALS || !v->table[0])
        return;
    past_index_def(i, &def);
    int r = larder_index_add(v->table[0], &def);
    MUST(v, r == LARDER_OK || (r == LARDER_E_FULL && v->p->is_full), i);
    if (r == LARDER_OK)
        v->p->indexes |= 1u << i;
}

static void change_ttl(struct view *v) {
    v->when = "changing the TTL attribute";
    const char *ttl = v->p->ttl && strcmp(v->p->ttl, "exp") == 0 ? "exp2" : "exp";
    if (!v->table[0])
        return;
    int r = larder_ttl_set(v->table[0], ttl);
    MUST(v, r == LARDER_OK || (r == LARDER_E_FULL && v->p->is_full), 0);
    if (r == LARDER_OK)
        v->p->ttl = ttl;
}

/* What has expired is gone, and its memory too. */
static void expire(struct view *v) {
    struct larder_table_stats stats;
    uint64_t removed, left = 0, unknown = 0;
    v->when = "expiry";
    v->p->now_s = LATER_S;
    int r = larder_expire(v->db, 0, &removed);
    MUST(v, r == LARDER_OK || v->p->is_full, 0);
    see(v, "after expiry");
    if (!v->table[0] || v->p->is_full)
        return;
    MUST(v, larder_table_stats(v->table[0], &stats) == LARDER_OK, 0);
    for (int n = 0; n < PAST_ITEMS; n++)
        left += v->is_there[0][n], unknown += v->is_there[0][n] && v->harm.may_differ[0][n];
    MUST(v, stats.item_count == left, (int)stats.item_count);
    MUST(v, stats.wheel_entries <= unknown, (int)stats.wheel_entries);
}

static void open_tables(struct view *v) {
    if (v->p->is_dropped) {
        v->harm.table_may_be_lost[0] = 1;
        memset(v->harm.may_be_lost[0], 1, PAST_ITEMS);
    }
    for (int table = 0; table < PAST_TABLES; table++) {
        int r = larder_table_open(v->db, past_tables[table], &v->table[table]);
        if (r != LARDER_OK)
            v->table[table] = NULL;
        PROC_CHECK(r == LARDER_OK || (r == LARDER_E_NO_TABLE && v->harm.table_may_be_lost[table]));
    }
    PROC_CHECK(!v->table[0] || !v->p->is_dropped || v->harm.table_may_come_back);
}

void past_judge(struct past *p, struct larder *db, const struct past_harm *harm) {
    struct view v = {.p = p, .db = db, .harm = *harm, .when = "opening"};
    PROC_CHECK(larder_builder_new(db, &v.b) == LARDER_OK && larder_page_new(db, &v.page) == LARDER_OK &&
               larder_page_new(db, &v.other) == LARDER_OK);
    open_tables(&v);
    see(&v, "after the repair");
    for (int table = 0; table < PAST_TABLES; table++)
        overwrite(&v, table);
    see(&v, "after overwriting");
    add_index(&v);
    see(&v, "after an index was added");
    change_ttl(&v);
    see(&v, "after the TTL changed");
    expire(&v);
    for (int table = 0; table < PAST_TABLES; table++)
        for (int n = 0; n < PAST_ITEMS; n++)
            free(v.expected[table][n].item);
    larder_page_free(v.other);
    larder_page_free(v.page);
    larder_builder_free(v.b);
}

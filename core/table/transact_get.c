/* core/table/transact_get.c - larder_transact_get(): items of any tables as of one moment.
 *
 * Idea     Reads every item, then looks whether all of them still count. Those that do not are read
 *          again, and all are looked at again. A look without a change shows that all were there
 *          together when the last of them had been read: an item counts from one store to another
 *          and never again, since no version comes twice; and a stripe whose sequence stands got no
 *          item that was missing.
 * Limits   ROUNDS_MAX looks, each of them some dozen instructions an item. If writers change the
 *          items faster than that, the call is refused, as DynamoDB refuses it.
 * Tests    tests/api/transact_test.c
 */
#include "core/base/err.h"
#include "core/base/reserved.h"
#include "core/memory/record.h"
#include "core/table/read.h"
#include "core/table/sift.h"

#define ROUNDS_MAX 2000u
#define PAGE_BYTES_MAX (4u * LARDER_TRANSACT_BYTES_MAX) /* of images that were read, old ones too */

struct one {
    const struct table_view *v;
    struct item_key *key;
    uint64_t hash;
    struct read_place place;   /* slot NULL: nothing was found, */
    struct record_view counts; /* in this look at the stripe */
};

struct together {
    const struct larder_transact_key *keys;
    uint32_t count;
    int64_t now_s;
    struct larder_page *page;
    struct one *one; /* in the page's memory */
};

/* ---- One moment ------------------------------------------------------------------------------ */

static int read_one(const struct together *t, uint32_t i) {
    struct one *one = &t->one[i];
    const struct item_head *image;
    t->page->at[i] = PAGE_HOLE;
    int r = read_by_key_at(one->v, one->key, one->hash, t->now_s, t->page, &one->place, &one->counts, &image);
    if (r)
        return r == LARDER_NOT_FOUND ? LARDER_OK : r;
    t->page->at[i] = t->page->used;
    t->page->used += image->bytes;
    return LARDER_OK;
}

static int is_unchanged(const struct one *one) {
    return one->place.spot.slot ? read_is_still_there(one->v->items.seg, &one->place) : record_stands(&one->counts);
}

static int read_all(const struct together *t) {
    int r = LARDER_OK;
    page_reset(t->page);
    for (uint32_t i = 0; i < t->count && r == LARDER_OK; i++)
        r = read_one(t, i);
    return r;
}

/* Reads again what has changed. LARDER_OK: nothing has; LARDER_CHANGED; failures. */
static int refresh(const struct together *t) {
    int is_changed = 0;
    for (uint32_t i = 0; i < t->count; i++) {
        if (is_unchanged(&t->one[i]))
            continue;
        is_changed = 1;
        int r = read_one(t, i);
        if (r)
            return r;
    }
    return is_changed ? LARDER_CHANGED : LARDER_OK;
}

static int read_together(const struct together *t) {
    int r = read_all(t);
    for (unsigned rounds = 0; r == LARDER_OK && rounds < ROUNDS_MAX; rounds++) {
        r = refresh(t);
        if (r != LARDER_CHANGED)
            return r;
        r = t->page->used > PAGE_BYTES_MAX ? read_all(t) : LARDER_OK;
    }
    return r ? r
             : err_set(LARDER_E_BUSY, "larder_transact_get: the items change faster than they can be read together; "
                                      "try again");
}

/* ---- The call -------------------------------------------------------------------------------- */

static int begin_one(const struct together *t, uint32_t i) {
    struct one *one = &t->one[i];
    struct larder_table *table = t->keys[i].table;
    int r = table_view(table, &one->v);
    one->key = (struct item_key *)t->page->seen.at + i;
    if (r == LARDER_OK)
        r = item_key_from_values(&one->v->shape, &t->keys[i].key, one->key);
    if (r)
        return err_set(r, "larder_transact_get: keys[%u]: %s", i, larder_error());
    one->hash = read_hash(one->v, one->key);
    for (uint32_t k = 0; k < i; k++)
        if (t->one[k].hash == one->hash && t->one[k].v->ordinal == one->v->ordinal &&
            item_is_same_key(item_key_of(t->one[k].key), item_key_of(one->key)))
            return err_set(LARDER_E_INVAL,
                           "larder_transact_get: Transaction request cannot include multiple operations on one item; "
                           "keys[%u] and keys[%u] are the same",
                           k, i);
    return LARDER_OK;
}

static int begin(struct together *t) {
    struct larder_page *page = t->page;
    page_reset(page);
    int r = page_make(page, &page->work, t->count * sizeof *t->one);
    if (r == LARDER_OK)
        r = page_make(page, &page->seen, t->count * sizeof(struct item_key));
    if (r == LARDER_OK)
        r = page_make_places(page, t->count);
    t->one = page->work.at;
    for (uint32_t i = 0; i < t->count && r == LARDER_OK; i++)
        r = begin_one(t, i);
    return r;
}

static int check_bytes(const struct together *t) {
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < t->count; i++)
        bytes += larder_item_size(larder_page_item(t->page, i));
    if (bytes <= LARDER_TRANSACT_BYTES_MAX)
        return LARDER_OK;
    return err_set(LARDER_E_INVAL, "larder_transact_get: the items have %llu bytes; %u are allowed",
                   (unsigned long long)bytes, LARDER_TRANSACT_BYTES_MAX);
}

/* What counts is the size of whole items, so this comes last. */
static int project(const struct together *t) {
    int r = LARDER_OK;
    for (uint32_t i = 0; i < t->count && r == LARDER_OK; i++)
        if (t->keys[i].projection)
            r = sift_project_item(t->keys[i].projection, t->page, i);
    return r;
}

static int get_together(struct together *t) {
    int r = begin(t);
    if (r)
        return r;
    t->now_s = db_now(t->keys[0].table->db);
    r = read_together(t);
    for (uint32_t i = 0; i < t->count && r == LARDER_OK; i++)
        r = table_judge(t->keys[i].table, t->one[i].v, r);
    t->page->count = t->count;
    t->page->scanned = t->count;
    t->page->is_snapshot = 1;
    if (r == LARDER_OK)
        r = check_bytes(t);
    return r ? r : project(t);
}

static int check_given(const struct larder *db, const struct larder_transact_key *keys, uint32_t count) {
    struct expression_values none; /* a projection has no values */
    if (count < 1 || count > LARDER_TRANSACT_ACTIONS_MAX)
        return err_set(LARDER_E_INVAL, "larder_transact_get: count is %u; 1 to %u keys are allowed", count,
                       LARDER_TRANSACT_ACTIONS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        if (!keys[i].table || keys[i].table->db != db)
            return err_set(LARDER_E_INVAL, "larder_transact_get: keys[%u].table is %s", i,
                           keys[i].table ? "of another attachment" : "NULL");
        int r = RESERVED_CHECK(&keys[i], "struct larder_transact_key");
        if (r == LARDER_OK && keys[i].projection)
            r = expression_bind(keys[i].projection, LARDER_EXPR_PROJECTION, "projection", NULL, &none);
        if (r)
            return err_set(r, "larder_transact_get: keys[%u]: %s", i, larder_error());
    }
    return LARDER_OK;
}

LARDER_API int larder_transact_get(struct larder *db, const struct larder_transact_key *keys, uint32_t count,
                                   struct larder_page *page) {
    if (ERR_IS_NULL(db) || (count && ERR_IS_NULL(keys)) || ERR_IS_NULL(page))
        return page_fail(page, LARDER_E_INVAL);
    int r = check_given(db, keys, count);
    if (r)
        return page_fail(page, r);
    struct together t = {.keys = keys, .count = count, .page = page};
    struct epoch_use *use = read_begin(keys[0].table, page);
    if (!use)
        return page_fail(page, LARDER_E_NO_MEMORY);
    r = get_together(&t);
    read_end(keys[0].table, page, use);
    return r ? page_fail(page, r) : LARDER_OK;
}

/* core/table/put.c - larder_put() and larder_put_if(): an item takes the place of the one with its
 * key.
 *
 * Idea     The image is made outside the lock, while what will be needed under it is fetched. Under
 *          it a put decides nothing; put_if compares one version.
 * Tests    tests/api/items_test.c, tests/api/put_if_test.c, tests/crash/enum_test.c
 */
#include "core/table/put.h"
#include "core/base/err.h"
#include "core/memory/heap.h"
#include "core/table/read.h"
#include <string.h>

struct put {
    struct write write;
    const struct larder_item *item;
    /* put_if: in a page of the caller's, with a version; NULL: no item */
    const struct item_head *expected;
};

static const struct put *put_of(const struct write *c) {
    return (const struct put *)c;
}

/* ---- Outside the lock ------------------------------------------------------------------------ */

/* Where key attributes were in items of the same kind: of the same table and with as many
 * attributes, which is quickly told. */
static uint16_t *near_of(struct writer *w, const struct table_view *v, const struct larder_item *item) {
    return w->near[(v->ordinal * 5 + item_head(item)->attr_count) % WRITER_NEAR];
}

static void take_key(struct write *c, const struct item_head *image) {
    c->hash = read_hash_of(c->view, item_key_area(image), image->partition_bytes, image->sort_bytes);
    c->key->partition_bytes = image->partition_bytes;
    c->key->sort_bytes = image->sort_bytes;
    c->key->area_bytes = (uint32_t)item_key_area_bytes(image);
    memcpy(c->key->area, item_key_area(image), c->key->area_bytes);
}

/* The rest of an image whose records are made. */
static void stamp(const struct write *c, struct item_head *image) {
    image->hash_high = (uint32_t)(c->hash >> 32);
    item_set_ttl_generation(image, c->view->ttl_generation);
}

/* Two or three misses are on the way to the present item: the bucket, and the block with its span.
 * Each is fetched while a part of the image is made. */
int put_prepare(struct writer *w, struct write *c, const struct larder_item *item) {
    struct item_store store;
    const struct table_view *v = c->view;
    int r = writer_scratch(w, item_stored_bytes_max(&v->shape, item));
    if (r == LARDER_OK)
        r = item_store_key(&store, &v->shape, item, near_of(w, v, item), w->scratch);
    if (r)
        return r;
    struct item_head *image = c->image = store.to;
    take_key(c, image);
    struct htab_spot spot;
    struct htab_aim aim = htab_aim(&v->items);
    htab_spot_stripe(&aim, c->hash, &spot);
    htab_spot_bucket(&aim, &spot);
    r = item_store_slots(&store);
    if (r)
        return r;
    htab_spot_slot(&aim, &spot, htab_last_line(item_head(item)->bytes));
    if (spot.block)
        heap_prefetch(w->seg, WORD_OFF(spot.word));
    item_store_records(&store, c->now_s);
    stamp(c, image);
    return LARDER_OK;
}

int put_make(struct writer *w, struct write *c, const struct larder_item *item) {
    struct item_store store;
    const struct item_shape *shape = &c->view->shape;
    int r = item_store_key(&store, shape, item, near_of(w, c->view, item), w->scratch);
    if (r == LARDER_OK)
        r = item_store_slots(&store);
    if (r)
        return r;
    item_store_records(&store, c->now_s);
    c->image = store.to;
    stamp(c, c->image);
    return LARDER_OK;
}

static int prepare(struct writer *w, struct write *c) {
    return put_prepare(w, c, put_of(c)->item);
}

/* The same for larder_put_if(), whose expected item must have the key of the new one. */
static int prepare_if(struct writer *w, struct write *c) {
    const struct item_head *e = put_of(c)->expected;
    int r = prepare(w, c);
    if (r || !e || item_is_same_key(item_key_in(e), item_key_of(c->key)))
        return r;
    return err_set(LARDER_E_INVAL, "larder_put_if: the expected item has another key than the item; read it from this "
                                   "table by the item's key");
}

/* ---- Decisions ------------------------------------------------------------------------------- */

static int decide(struct writer *w, struct write *c) {
    int r = write_keep_old(w, c);
    return r ? r : WRITE_STORE;
}

/* Whether the present item is the one that the caller expects. Both have the key (prepare_if). The
 * hash tells items of other segments, whose write numbers may be the same. */
static int is_as_expected(const struct write *c) {
    const struct item_head *e = put_of(c)->expected;
    if (!c->was_there || !e)
        return !c->was_there && !e;
    return c->old->head.version == e->version && c->old->head.hash_high == e->hash_high;
}

static int decide_if(struct writer *w, struct write *c) {
    int r = write_keep_old(w, c);
    if (r)
        return r;
    return is_as_expected(c) ? WRITE_STORE : LARDER_CHANGED;
}

/* ---- Public calls ---------------------------------------------------------------------------- */

static const struct write_kind put_kind = {prepare, decide, .takes_memory = 1};
static const struct write_kind put_if_kind = {prepare_if, decide_if, .takes_memory = 1};

/* The caller's item is first looked at here and there, later as a whole. If it was made a while ago
 * it is better fetched at once. Fetching more than it has does no harm. */
static void prefetch_item(const struct larder_item *item) {
    for (size_t at = 0; at < WRITE_AHEAD_BYTES; at += 64)
        SHM_PREFETCH((const uint8_t *)item + at);
}

int larder_put(struct larder_table *t, const struct larder_item *item, struct larder_page *replaced) {
    struct put put;
    if (ERR_IS_NULL(t) || ERR_IS_NULL(item))
        return LARDER_E_INVAL;
    prefetch_item(item);
    write_begin(&put.write, &put_kind, t, replaced);
    put.item = item;
    return write_run(&put.write);
}

int larder_put_if(struct larder_table *t, const struct larder_item *item, const struct larder_item *expected,
                  struct larder_page *found) {
    struct put put;
    if (ERR_IS_NULL(t) || ERR_IS_NULL(item))
        return LARDER_E_INVAL;
    if (expected && item_head(expected)->version == 0)
        return err_set(LARDER_E_INVAL,
                       "larder_put_if: the expected item was made by a builder or a projection; one that "
                       "was read whole from the table is needed, or NULL for no item");
    write_begin(&put.write, &put_if_kind, t, found);
    put.item = item;
    put.expected = expected ? item_head(expected) : NULL;
    return write_run(&put.write);
}

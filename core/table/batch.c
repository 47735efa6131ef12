/* core/table/batch.c - larder_batch_get(), larder_batch_write(): DynamoDB's BatchGetItem and
 * BatchWriteItem.
 *
 * Idea     Everything is checked before the first item is read or written; then each item goes its
 *          usual way, by itself.
 * Limits   API reference, BatchGetItem and BatchWriteItem: 1 to 100 keys and 16 MB; 1 to 25 puts
 *          and deletes; no item twice. Messages: the API reference, and ScyllaDB's test_batch.py,
 *          which its authors run against the service.
 * Tests    tests/api/batch_test.c
 */
#include <string.h>

#include "core/base/err.h"
#include "core/base/reserved.h"
#include "core/table/db.h"
#include "core/table/read.h"
#include "core/table/sift.h"

/* ---- No item twice --------------------------------------------------------------------------- */

/* A key of a batch: its hash and where the caller's key is. */
struct batch_key {
    const struct larder_table *table;
    uint64_t hash;
    const struct larder_key *key;
};

static int is_same_value(const struct larder_value *a, const struct larder_value *b) {
    uint8_t x[NUM_BYTES_MAX], y[NUM_BYTES_MAX];
    size_t x_bytes, y_bytes;
    const struct item_key_attr n = {.name = "n", .name_bytes = 1, .type = LARDER_N};
    if (a->type != LARDER_N || b->type != LARDER_N)
        return a->type == b->type && a->bytes == b->bytes && memcmp(a->data, b->data, a->bytes) == 0;
    return item_encode_key_value(&n, a, "key", sizeof x, x, &x_bytes) == LARDER_OK &&
           item_encode_key_value(&n, b, "key", sizeof y, y, &y_bytes) == LARDER_OK && x_bytes == y_bytes &&
           memcmp(x, y, x_bytes) == 0;
}

static int is_same(const struct larder_key *a, const struct larder_key *b, int has_sort) {
    return is_same_value(&a->partition, &b->partition) && (!has_sort || is_same_value(&a->sort, &b->sort));
}

/* Adds keys[count], which must not be among those before it. */
static int add_key(const struct table_view *v, struct batch_key *keys, uint32_t count, const struct larder_key *key) {
    struct item_key encoded;
    struct batch_key *mine = &keys[count];
    int r = item_key_from_values(&v->shape, key, &encoded);
    if (r)
        return r;
    mine->hash = read_hash(v, &encoded);
    mine->key = key;
    for (uint32_t i = 0; i < count; i++)
        if (keys[i].hash == mine->hash && keys[i].table == mine->table &&
            is_same(keys[i].key, key, v->shape.sort.name != NULL))
            return err_set(LARDER_E_INVAL, "Provided list of item keys contains duplicates");
    return LARDER_OK;
}

/* ---- Get ------------------------------------------------------------------------------------- */

static int check_get(const struct larder_batch_get *gets, uint32_t i, uint32_t *keys) {
    const struct larder_batch_get *g = &gets[i];
    struct expression_values none;
    if (!g->table || !g->page || (g->count && !g->keys))
        return err_set(LARDER_E_INVAL, "larder_batch_get: gets[%u] has no table, keys or page", i);
    for (uint32_t k = 0; k < i; k++)
        if (gets[k].table == g->table || gets[k].page == g->page)
            return err_set(LARDER_E_INVAL, "larder_batch_get: gets[%u] has the table or the page of gets[%u]", i, k);
    if (g->table->db != gets[0].table->db)
        return err_set(LARDER_E_INVAL, "larder_batch_get: gets[%u].table is of another attachment than gets[0]'s", i);
    if (g->count > LARDER_BATCH_GET_MAX - *keys)
        return err_set(LARDER_E_INVAL, "Too many items requested for the BatchGetItem call");
    *keys += g->count;
    int r = RESERVED_CHECK(g, "struct larder_batch_get");
    return r || !g->projection ? r : expression_bind(g->projection, LARDER_EXPR_PROJECTION, "projection", NULL, &none);
}

static int check_keys(const struct larder_batch_get *g) {
    struct batch_key keys[LARDER_BATCH_GET_MAX];
    const struct table_view *v;
    struct epoch_use *use = views_visit(g->table->db);
    if (!use)
        return LARDER_E_NO_MEMORY;
    int r = table_view(g->table, &v);
    for (uint32_t i = 0; i < g->count && r == LARDER_OK; i++) {
        keys[i].table = g->table;
        r = add_key(v, keys, i, &g->keys[i]);
    }
    views_depart(g->table->db, use);
    return r;
}

/* How many places of the page fit into what is left of 16 MB; all of the first item does. */
static uint32_t fitting(const struct larder_page *page, uint64_t *left) {
    for (uint32_t i = 0; i < page->count; i++) {
        size_t bytes = larder_item_size(larder_page_item(page, i));
        if (bytes > *left) {
            *left = 0;
            return i;
        }
        *left -= bytes;
    }
    return page->count;
}

static int read_one(struct larder_batch_get *g, uint64_t *left) {
    if (*left == 0) {
        page_reset(g->page);
        return LARDER_OK;
    }
    int r = larder_get_many(g->table, g->keys, g->count, g->page);
    if (r)
        return r;
    g->done = fitting(g->page, left);
    page_truncate(g->page, g->done);
    return g->projection ? sift_project(g->projection, g->page) : LARDER_OK;
}

static int fail(struct larder_batch_get *gets, uint32_t count, int r) {
    for (uint32_t i = 0; i < count; i++)
        page_fail(gets[i].page, r);
    return r;
}

LARDER_API int larder_batch_get(struct larder_batch_get *gets, uint32_t count) {
    uint64_t left = LARDER_BATCH_GET_BYTES_MAX;
    uint32_t keys = 0, done = 0;
    int r = LARDER_OK;
    if (ERR_IS_NULL(gets))
        return LARDER_E_INVAL;
    for (uint32_t i = 0; i < count && r == LARDER_OK; i++)
        r = check_get(gets, i, &keys);
    if (r == LARDER_OK && keys == 0)
        r = err_set(LARDER_E_INVAL, "larder_batch_get: there are no keys; 1 to %d are allowed", LARDER_BATCH_GET_MAX);
    for (uint32_t i = 0; i < count && r == LARDER_OK; i++)
        r = check_keys(&gets[i]);
    for (uint32_t i = 0; i < count && r == LARDER_OK; i++) {
        gets[i].done = 0;
        r = read_one(&gets[i], &left);
        done += gets[i].done;
    }
    if (r)
        return fail(gets, count, r);
    return done < keys ? LARDER_MORE : LARDER_OK;
}

/* ---- Write ----------------------------------------------------------------------------------- */

/* A PUT or DELETE, and nothing that BatchWriteItem has not. */
static int check_members(const struct larder_action *a, const struct larder_table *first, uint32_t i) {
    int is_put = a->kind == LARDER_ACTION_PUT;
    if (!is_put && a->kind != LARDER_ACTION_DELETE)
        return err_set(LARDER_E_INVAL, "larder_batch_write: actions[%u].kind is %d; PUT and DELETE are allowed", i,
                       (int)a->kind);
    if (!a->table || is_put != (a->item != NULL))
        return err_set(LARDER_E_INVAL, "larder_batch_write: actions[%u] has no table, or an item that is no PUT's", i);
    if (a->table->db != first->db)
        return err_set(LARDER_E_INVAL,
                       "larder_batch_write: actions[%u].table is of another attachment than actions[0]'s", i);
    if (a->condition || a->update || a->values || a->returns || a->returns_on_refusal)
        return err_set(LARDER_E_INVAL,
                       "larder_batch_write: actions[%u] has a condition, an update, values or returns; a batch has "
                       "none",
                       i);
    return RESERVED_CHECK(a, "struct larder_action");
}

/* The key of a put's item, as the caller's other keys are given. */
static int key_of_item(const struct item_shape *shape, const struct larder_item *item, struct larder_key *key) {
    int r = larder_item_getn(item, shape->partition.name, shape->partition.name_bytes, &key->partition);
    if (r == LARDER_OK && shape->sort.name)
        r = larder_item_getn(item, shape->sort.name, shape->sort.name_bytes, &key->sort);
    return r;
}

/* Whether the put would be refused, by making what it would store: keys, index keys, size. */
static int check_put(struct larder *db, const struct table_view *v, const struct larder_item *item) {
    struct item_head *made;
    int r = item_check_records(item_head(item));
    if (r)
        return r;
    void *room = priv_alloc(db_priv(db), item_stored_bytes_max(&v->shape, item));
    if (!room)
        return LARDER_E_NO_MEMORY;
    r = item_to_stored(&v->shape, item, db_now(db), room, &made);
    priv_free(db_priv(db), room);
    return r;
}

/* made[number]: room for the key of an item. */
static int check_action(const struct larder_action *a, const struct table_view *v, struct batch_key *keys,
                        struct larder_key *made, uint32_t number) {
    int r = a->item ? check_put(a->table->db, v, a->item) : LARDER_OK;
    if (r == LARDER_OK && a->item)
        r = key_of_item(&v->shape, a->item, &made[number]);
    keys[number].table = a->table;
    return r ? r : add_key(v, keys, number, a->item ? &made[number] : &a->key);
}

static int check_actions(const struct larder_action *actions, uint32_t count) {
    struct batch_key keys[LARDER_BATCH_WRITE_MAX];
    struct larder_key made[LARDER_BATCH_WRITE_MAX];
    struct larder *db = actions[0].table->db;
    const struct table_view *v;
    struct epoch_use *use = views_visit(db);
    int r = use ? LARDER_OK : LARDER_E_NO_MEMORY;
    for (uint32_t i = 0; i < count && r == LARDER_OK; i++) {
        r = table_view(actions[i].table, &v);
        if (r == LARDER_OK)
            r = check_action(&actions[i], v, keys, made, i);
    }
    if (use)
        views_depart(db, use);
    return r;
}

static int write_one(const struct larder_action *a) {
    int r = a->item ? larder_put(a->table, a->item, NULL) : larder_delete(a->table, &a->key, NULL);
    return r == LARDER_NOT_FOUND ? LARDER_OK : r; /* as DeleteItem, which is content */
}

LARDER_API int larder_batch_write(const struct larder_action *actions, uint32_t count, uint32_t *done) {
    int r = LARDER_OK;
    uint32_t written = 0;
    if (ERR_IS_NULL(actions) || ERR_IS_NULL(done))
        return LARDER_E_INVAL;
    if (count > LARDER_BATCH_WRITE_MAX)
        return err_set(LARDER_E_INVAL, "Too many items requested for the BatchWriteItem call");
    if (count == 0)
        return err_set(LARDER_E_INVAL, "larder_batch_write: there are no actions; 1 to %d are allowed",
                       LARDER_BATCH_WRITE_MAX);
    for (uint32_t i = 0; i < count && r == LARDER_OK; i++)
        r = check_members(&actions[i], actions[0].table, i);
    if (r == LARDER_OK)
        r = check_actions(actions, count);
    while (r == LARDER_OK && written < count && (r = write_one(&actions[written])) == LARDER_OK)
        written++;
    if (r && !written)
        return r;
    *done = written;
    return r ? LARDER_MORE : LARDER_OK;
}

/* core/table/increment.c - larder_increment(), larder_increment_n(): a number of an item, counted
 * up by one call.
 *
 * Idea     Mostly the number is there. Then the item is changed in place, under its stripe's lock
 *          (decide): no other write comes between, so no compare fails. The rest is done as a
 *          caller would do it, with a builder and larder_put_if(): an item that is not there, an
 *          attribute to be added, another expiry, an image that needs another layout (a directory
 *          now, or none, or it is too large), an image made under another definition of the table.
 * Locks    None across the two ways. Each of them is one write.
 * Tests    tests/api/increment_test.c, tests/crash/scenarios.c (increment ..)
 */
#include <string.h>

#include "core/base/err.h"
#include "core/item/item.h"
#include "core/table/db.h"
#include "core/table/read.h"
#include "core/table/write.h"

struct increment {
    struct write write;
    const struct larder_key *key;
    struct bytes name;
    struct item_sum sum;
};

/* ---- The short way: LARDER_NOT_FOUND if it cannot be gone, with nothing changed -------------- */

static int has_name(const char *name, size_t name_bytes, struct bytes wanted) {
    return name && name_bytes == wanted.len && memcmp(name, wanted.at, wanted.len) == 0;
}

static int prepare(struct writer *w, struct write *c) {
    (void)w;
    const struct increment *increment = (const struct increment *)c;
    const struct item_shape *shape = &c->view->shape;
    struct bytes name = increment->name;
    c->image = NULL; /* of an earlier try */
    if (has_name(shape->partition.name, shape->partition.name_bytes, name) ||
        has_name(shape->sort.name, shape->sort.name_bytes, name))
        return err_set(LARDER_E_INVAL, "larder_increment: attribute \"%.*s\" is part of the key of table \"%s\"",
                       ITEM_SHOWN(name), c->view->def.name);
    int r = write_take_key(c, increment->key);
    if (r)
        return r;
    /* a TTL attribute changes the expiry, which a put works out */
    if (has_name(shape->ttl_name, shape->ttl_name_bytes, name))
        return LARDER_NOT_FOUND;
    write_fetch_old(c);
    return LARDER_OK;
}

/* Makes the image: the present item with the number changed. Works on a private copy, in memory
 * that the writer has already. */
static int add_locked(struct writer *w, struct increment *increment) {
    struct write *c = &increment->write;
    const struct item_peek *old = c->old;
    size_t room = item_round8(old->head.bytes + ITEM_ADDED_BYTES_MAX);
    if (w->scratch_bytes < 2 * room) {
        w->need_bytes = 2 * room;
        return OBSTACLE_SCRATCH;
    }
    struct item_head *copy = (struct item_head *)((uint8_t *)w->scratch + room);
    shm_copy_out(copy, old->image, old->head.bytes);
    if (copy->bytes != old->head.bytes || !item_is_readable(copy, copy->bytes))
        return change_damaged(c->old_word);
    if (change_is_outdated(c->view, copy))
        return LARDER_NOT_FOUND;
    c->image = w->scratch;
    int r = item_add(copy, increment->name, &increment->sum, c->image);
    struct item_timed *timed = r ? NULL : item_timed_at(c->image, c->image);
    if (timed)
        atomic_init(&timed->armed_s, 0); /* until arm() */
    return r == LARDER_E_CORRUPT ? change_damaged(c->old_word) : r;
}

static int decide(struct writer *w, struct write *c) {
    int r = c->was_there ? add_locked(w, (struct increment *)c) : LARDER_NOT_FOUND;
    return r ? r : WRITE_STORE;
}

static int increment_in_place(struct larder_table *t, struct increment *increment) {
    static const struct write_kind kind = {prepare, decide, .takes_memory = 1};
    write_begin(&increment->write, &kind, t, NULL);
    return write_run(&increment->write);
}

/* ---- The long way ---------------------------------------------------------------------------- */

struct increment_kit {
    struct larder_builder *builder;
    struct larder_page *page;
};

/* Adds the key as the first attributes of an item that is not there yet. */
static int add_key(struct larder_table *t, const struct larder_key *key, struct larder_builder *b) {
    const struct table_view *v;
    struct epoch_use *use = views_visit(t->db);
    if (!use)
        return LARDER_E_NO_MEMORY;
    int r = table_view(t, &v);
    if (r == LARDER_OK)
        r = larder_builder_add(b, v->shape.partition.name, &key->partition);
    if (r == LARDER_OK && v->shape.sort.name)
        r = larder_builder_add(b, v->shape.sort.name, &key->sort);
    views_depart(t->db, use);
    return r;
}

/* Makes the new item, and increment->sum. old: what is there, or NULL. */
static int make_item(struct larder_table *t, struct increment *increment, const struct larder_item *old,
                     struct larder_builder *b, const struct larder_item **made) {
    const char *name = (const char *)increment->name.at;
    struct larder_value value;
    int r = old ? larder_item_get(old, name, &value) : LARDER_NOT_FOUND;
    if (r == LARDER_OK || r == LARDER_NOT_FOUND)
        r = item_sum(increment->name, r == LARDER_OK ? &value : NULL, &increment->sum);
    if (r)
        return r;
    struct larder_value sum = item_encoded_number(increment->sum.number, increment->sum.bytes);
    larder_builder_reset(b);
    r = old ? larder_builder_add_all(b, old, &name, 1) : add_key(t, increment->key, b);
    if (r == LARDER_OK)
        r = larder_builder_add(b, name, &sum);
    return r ? r : larder_builder_finish(b, made);
}

/* Ends, since each time round another write has succeeded. */
static int increment_anew(struct larder_table *t, struct increment *increment, const struct increment_kit *kit) {
    int r = larder_get(t, increment->key, kit->page);
    while (r >= 0) {
        const struct larder_item *old = larder_page_item(kit->page, 0), *made;
        r = make_item(t, increment, old, kit->builder, &made);
        if (r == LARDER_OK)
            r = larder_put_if(t, made, old, kit->page);
        if (r != LARDER_CHANGED)
            break;
    }
    return r;
}

static int increment_the_long_way(struct larder_table *t, struct increment *increment) {
    struct increment_kit kit = {NULL, NULL};
    int r = larder_builder_new(t->db, &kit.builder);
    if (r == LARDER_OK)
        r = larder_page_new(t->db, &kit.page);
    if (r == LARDER_OK)
        r = increment_anew(t, increment, &kit);
    larder_page_free(kit.page);
    larder_builder_free(kit.builder);
    return r;
}

static int increment_either_way(struct larder_table *t, const struct larder_key *key, const char *name,
                                struct increment *increment) {
    increment->key = key;
    increment->name = (struct bytes){(const uint8_t *)name, strlen(name)};
    int r = increment_in_place(t, increment);
    return r == LARDER_NOT_FOUND ? increment_the_long_way(t, increment) : r;
}

LARDER_API int larder_increment(struct larder_table *t, const struct larder_key *key, const char *name, int64_t by,
                                int64_t *value) {
    if (ERR_IS_NULL(t) || ERR_IS_NULL(key) || ERR_IS_NULL(name))
        return LARDER_E_INVAL;
    struct increment increment;
    increment.sum.by = by;
    increment.sum.by_bytes = 0;
    increment.sum.only_int = value != NULL;
    int r = increment_either_way(t, key, name, &increment);
    if (r == LARDER_OK && value)
        *value = increment.sum.sum;
    return r;
}

LARDER_API int larder_increment_n(struct larder_table *t, const struct larder_key *key, const char *name,
                                  const char *decimal, char *sum) {
    if (ERR_IS_NULL(t) || ERR_IS_NULL(key) || ERR_IS_NULL(name) || ERR_IS_NULL(decimal))
        return LARDER_E_INVAL;
    struct increment increment;
    struct item_sum *s = &increment.sum;
    s->only_int = 0;
    int r = num_encode(decimal, strlen(decimal), s->by_number, &s->by_bytes);
    if (r == LARDER_OK && num_to_int64(s->by_number, s->by_bytes, &s->by))
        s->by_bytes = 0;
    if (r == LARDER_OK)
        r = increment_either_way(t, key, name, &increment);
    if (r == LARDER_OK && sum)
        num_decode(s->number, s->bytes, sum);
    return r;
}

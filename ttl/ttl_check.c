/* ttl/ttl_check.c - the audit of the wheel, and its statistics. Verifies the rules of ttl/wheel.h by their names.
 *
 * Why so   Writers and the expirer stand still meanwhile (core/gate.h). Each shard's lock is taken and dropped once,
 *          so that whoever was in it when the gate closed has left; then nothing moves, and memory can be taken for a
 *          copy.
 */
#include <stdlib.h>

#include "core/catalog.h"
#include "core/check.h"
#include "core/db.h"
#include "core/err.h"
#include "core/read.h"
#include "ttl/ttl.h"
#include "ttl/wheel.h"

#define CHECK_CHAIN_SLOTS_MAX 512

/* All entries of the wheel, sorted: what items look for their timers in. Private memory. */
struct ttl_entries {
    struct wheel_entry *at;
    size_t count, capacity;
};

static int ttl_compare(const void *a, const void *b) {
    const struct wheel_entry *x = a, *y = b;
    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    if (x->second != y->second)
        return x->second < y->second ? -1 : 1;
    return (x->table > y->table) - (x->table < y->table);
}

static int ttl_keep(struct check_state *c, struct ttl_entries *all, const struct wheel_entry *e) {
    if (all->count == all->capacity) {
        size_t grown = all->capacity ? all->capacity * 2 : 4096;
        struct wheel_entry *at = priv_realloc(db_priv(c->db), all->at, grown * sizeof *at);
        if (!at)
            return LARDER_E_NO_MEMORY;
        all->at = at;
        all->capacity = grown;
    }
    all->at[all->count++] = *e;
    return LARDER_OK;
}

/* ---- W1, W2, W3 ------------------------------------------------------------------------------------------------- */

/* What is past counts for `next`. */
static int ttl_is_in_place(const struct wheel_entry *e, uint32_t next, uint32_t place) {
    uint32_t second = e->second < next ? next : e->second, level = place / WHEEL_SLOTS;
    uint64_t mine = (uint64_t)second >> (8 * level),
             its = ((uint64_t)next >> (8 * level) & ~UINT64_C(0xff)) | place % WHEEL_SLOTS;
    return mine == its;
}

static int ttl_check_chunk(struct check_state *c, uint32_t shard, uint32_t place, const struct wheel_chunk *chunk,
                           struct ttl_entries *all) {
    uint64_t now_s = SHM_LOAD(&wheel_shard(c->seg, shard)->now_s);
    for (uint32_t i = 0; i < chunk->count; i++) {
        struct wheel_entry e = wheel_chunk_entry(chunk, i);
        if (wheel_shard_of(c->seg, e.hash) != shard)
            check_error(c, "timers: shard %u has an entry of shard %u", shard, wheel_shard_of(c->seg, e.hash));
        if (!ttl_is_in_place(&e, (uint32_t)now_s + 1, place))
            check_error(c, "timers: W2 does not hold: an entry for second %u lies in level %u slot %u, at second %llu",
                        e.second, place / WHEEL_SLOTS, place % WHEEL_SLOTS, (unsigned long long)now_s);
        int r = ttl_keep(c, all, &e);
        if (r)
            return r;
    }
    return LARDER_OK;
}

static int ttl_check_list(struct check_state *c, uint32_t shard, uint32_t place, struct ttl_entries *all) {
    uint64_t off = SHM_LOAD(&wheel_shard(c->seg, shard)->slot[place / WHEEL_SLOTS][place % WHEEL_SLOTS]);
    while (off != 0) {
        struct wheel_chunk chunk;
        /* A chunk that is reached twice ends the list here: no circle is followed. */
        if (!check_block(c, off, sizeof(struct wheel_chunk_shm) + sizeof(struct wheel_entry), "timer chunk"))
            return LARDER_OK;
        if (wheel_chunk_at(c->seg, off, &chunk) != LARDER_OK ||
            heap_block_bytes(c->seg, off) < sizeof *chunk.shm + chunk.capacity * sizeof(struct wheel_entry)) {
            check_error(c, "timers: W1 does not hold: block %llu says %u entries of %u", (unsigned long long)off,
                        chunk.count, chunk.capacity);
            return LARDER_OK;
        }
        int r = ttl_check_chunk(c, shard, place, &chunk, all);
        if (r)
            return r;
        off = chunk.next;
    }
    return LARDER_OK;
}

static int ttl_check_shard(struct check_state *c, uint32_t shard, struct ttl_entries *all) {
    if (SHM_LOAD(&wheel_shard(c->seg, shard)->now_s) > WHEEL_NOW_MAX)
        check_error(c, "timers: shard %u is at second %llu, after the last", shard,
                    (unsigned long long)SHM_LOAD(&wheel_shard(c->seg, shard)->now_s));
    for (uint32_t place = 0; place < WHEEL_LEVELS * WHEEL_SLOTS; place++) {
        int r = ttl_check_list(c, shard, place, all);
        if (r)
            return r;
    }
    return LARDER_OK;
}

/* ---- W5 --------------------------------------------------------------------------------------------------------- */

static void ttl_check_item(struct check_state *c, const struct table_view *v, const struct item_peek *item,
                           const struct ttl_entries *all) {
    const struct item_timed *timed = item_timed_at(item->image, &item->head);
    if (!timed)
        return;
    uint32_t armed_s = SHM_LOAD(&timed->armed_s);
    uint64_t expiry_s = timed->expiry_s;
    struct wheel_entry want = {.hash = read_hash_of_item(v, item), .second = armed_s, .table = (uint16_t)v->ordinal};
    if (armed_s != 0 && !(all->count && bsearch(&want, all->at, all->count, sizeof want, ttl_compare)))
        check_error(c, "timers: W5 does not hold: an item of table \"%s\" is armed for second %u, and no entry is",
                    v->def.name, armed_s);
    /* An image of an older TTL attribute waits to be rewritten; its own expiry counts no more. */
    if (expiry_s != 0 && item_ttl_generation(&item->head) == v->ttl_generation && (armed_s == 0 || armed_s > expiry_s))
        check_error(c, "timers: an item of table \"%s\" expires at %llu and is armed for %u", v->def.name,
                    (unsigned long long)expiry_s, armed_s);
}

static void ttl_check_items(struct check_state *c, const struct table_view *v, const struct ttl_entries *all) {
    uint64_t words[CHECK_CHAIN_SLOTS_MAX];
    for (uint32_t i = 0; i < v->items.stripe_count; i++) {
        const struct stripe_shm *stripe = &v->items.stripes[i];
        uint32_t buckets = htab_bucket_count(&v->items, stripe);
        for (uint32_t b = 0; b < buckets; b++) {
            int n = htab_bucket_slots(&v->items, stripe, b, words, CHECK_CHAIN_SLOTS_MAX);
            for (int k = 0; k < n; k++) {
                const struct item_head *image = seg_at(c->seg, WORD_OFF(words[k]), sizeof *image);
                struct item_peek item;
                if (image && item_peek_open(&item, image, heap_block_bytes(c->seg, WORD_OFF(words[k]))))
                    ttl_check_item(c, v, &item, all); /* else the check of items says so */
            }
        }
    }
}

/* ---- The hook --------------------------------------------------------------------------------------------------- */

/* Waits until nobody is inside a shard who came before the gate was closed. */
static int ttl_flush_shards(struct check_state *c) {
    struct writer *w;
    int r = c->seg->is_read_only ? LARDER_E_READ_ONLY : writer_borrow(c->db, &w);
    if (r)
        return r == LARDER_E_READ_ONLY ? LARDER_OK : r;
    for (uint32_t i = 0; i < c->seg->shard_count && r == LARDER_OK; i++) {
        lock_word *lock = &wheel_shard(c->seg, i)->lock;
        r = lock_take(w, lock, LOCK_SHARD);
        if (r == LARDER_OK)
            lock_drop(w, lock, LOCK_SHARD);
    }
    writer_end(w);
    return r;
}

int timer_check(struct check_state *c) {
    struct ttl_entries all = {0};
    int r = ttl_flush_shards(c);
    for (uint32_t i = 0; i < c->seg->shard_count && r == LARDER_OK; i++)
        r = ttl_check_shard(c, i, &all);
    if (all.count > 1)
        qsort(all.at, all.count, sizeof *all.at, ttl_compare);
    for (uint32_t i = 0; i < LARDER_TABLES_MAX && r == LARDER_OK; i++) {
        const struct table_view *v;
        if (LIFE_STATE(SHM_LOAD(&seg_table(c->seg, i)->life)) != TABLE_READY)
            continue;
        r = table_view_by_ordinal(c->db, i, &v);
        if (r == LARDER_OK)
            ttl_check_items(c, v, &all);
        else if (r == LARDER_E_NO_TABLE || r == LARDER_E_CORRUPT)
            r = LARDER_OK; /* the check of the catalog says so */
    }
    priv_free(db_priv(c->db), all.at);
    return r;
}

/* ---- Statistics ------------------------------------------------------------------------------------------------- */

static int ttl_count_list(const struct seg *s, uint64_t off, uint32_t table, uint64_t *entries) {
    for (struct circle way = {0}; off != 0;) {
        struct wheel_chunk chunk;
        if (circle_is_closed(&way, off))
            return err_set(LARDER_E_CORRUPT, "timers: a list of chunks has no end");
        int r = wheel_chunk_at(s, off, &chunk);
        if (r)
            return r;
        for (uint32_t i = 0; i < chunk.count; i++)
            *entries += wheel_chunk_entry(&chunk, i).table == table;
        off = chunk.next;
    }
    return LARDER_OK;
}

static int ttl_count_shard(const struct seg *s, uint32_t shard, uint32_t table, uint64_t *entries) {
    int result = LARDER_OK;
    for (uint32_t place = 0; place < WHEEL_LEVELS * WHEEL_SLOTS; place++) {
        uint64_t off = SHM_LOAD(&wheel_shard(s, shard)->slot[place / WHEEL_SLOTS][place % WHEEL_SLOTS]);
        int r = ttl_count_list(s, off, table, entries);
        if (r)
            result = r;
    }
    return result;
}

static int ttl_count_locked(struct writer *w, uint32_t table, uint64_t *entries) {
    int r = LARDER_OK;
    for (uint32_t i = 0; i < w->seg->shard_count && r == LARDER_OK; i++) {
        lock_word *lock = &wheel_shard(w->seg, i)->lock;
        r = lock_take(w, lock, LOCK_SHARD);
        if (r)
            return r;
        r = ttl_count_shard(w->seg, i, table, entries);
        lock_drop(w, lock, LOCK_SHARD);
    }
    return r;
}

int timer_stats(struct larder *db, uint32_t table_ordinal, uint64_t *entries) {
    struct writer *w;
    uint64_t count = 0;
    int r = LARDER_OK;
    if (db->seg.is_read_only) {
        for (uint32_t i = 0; i < db->seg.shard_count; i++)
            (void)ttl_count_shard(&db->seg, i, table_ordinal,
                                  &count); /* a list that changes underneath is counted in part */
    } else {
        r = writer_borrow(db, &w);
        if (r)
            return r;
        r = ttl_count_locked(w, table_ordinal, &count);
        writer_end(w);
    }
    if (r == LARDER_OK)
        *entries = count;
    return r;
}

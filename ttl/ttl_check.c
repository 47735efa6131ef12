/* ttl/ttl_check.c - the audit of the wheel, and its statistics. Verifies the rules of ttl/wheel.h
 * by name. See core/audit/check.h.
 *
 * Job      First walks all timers and keeps a fingerprint of each. Each armed item then looks for
 *          its own. If it is missing, the item is noted: it may have been armed since. Then the
 *          timers are walked again, and each noted item that is still armed for the same second
 *          must be among them.
 * Live     A look holds the shard's lock; the next look goes on after a chunk. Each begins at the
 *          highest level: the expirer moves entries to lower ones, so a walk may meet an entry
 *          twice, but misses none that was there when it began. (The timer of a deleted item may go
 *          while the same item is put again, and the walk may miss its new one: so an item is noted
 *          several times before it counts.)
 * Tests    tests/api/check_damage_test.c
 */
#include <stdlib.h>

#include "core/audit/check.h"
#include "core/base/err.h"
#include "core/memory/heap.h"
#include "core/table/catalog.h"
#include "core/table/db.h"
#include "core/table/read.h"
#include "ttl/ttl.h"
#include "ttl/wheel.h"

#define TTL_PLACES (WHEEL_LEVELS * WHEEL_SLOTS)
#define TTL_ROUNDS 3u
#define TTL_COUNTS 8u

/* An item whose timer was not met. */
struct ttl_suspect {
    uint64_t hash;
    uint32_t second, table;
};

/* ---- Fingerprints ---------------------------------------------------------------------------- */

/* Never 0. */
static uint64_t ttl_fingerprint(uint64_t hash, uint32_t second, uint32_t table) {
    uint64_t n = hash * UINT64_C(0x9e3779b97f4a7c15) ^ ((uint64_t)second << 16 | table) * UINT64_C(0xc2b2ae3d27d4eb4f);
    n = (n ^ n >> 32) * UINT64_C(0xd6e8feb86659fd93);
    n = (n ^ n >> 32) * UINT64_C(0xd6e8feb86659fd93);
    n ^= n >> 32;
    return n ? n : 1;
}

/* Makes a set of the fingerprints that were kept. */
static int ttl_make_set(struct check_state *c) {
    const uint64_t *all = c->timers.at;
    uint64_t places = 16;
    while (places < 2 * c->timers.count)
        places *= 2;
    priv_free(db_priv(c->db), c->timer_set);
    c->timer_set = priv_alloc(db_priv(c->db), places * sizeof *c->timer_set);
    if (!c->timer_set)
        return LARDER_E_NO_MEMORY;
    c->timer_set_mask = places - 1;
    for (size_t i = 0; i < c->timers.count; i++) {
        uint64_t at = all[i] & c->timer_set_mask;
        while (c->timer_set[at] != 0 && c->timer_set[at] != all[i])
            at = (at + 1) & c->timer_set_mask;
        c->timer_set[at] = all[i];
    }
    c->timers.count = 0;
    return LARDER_OK;
}

static int ttl_has(const struct check_state *c, uint64_t hash, uint32_t second, uint32_t table) {
    uint64_t wanted = ttl_fingerprint(hash, second, table), at = wanted & c->timer_set_mask;
    for (; c->timer_set[at] != 0; at = (at + 1) & c->timer_set_mask)
        if (c->timer_set[at] == wanted)
            return 1;
    return 0;
}

/* ---- W1, W2, W3 ------------------------------------------------------------------------------ */

/* What a walk is for. */
enum ttl_aim { TTL_CHECK, TTL_COLLECT, TTL_COUNT_REFS };

/* The position of a look at a shard. */
struct ttl_look {
    enum ttl_aim aim;
    uint32_t shard;
    uint32_t done;  /* places, from the last to the first level */
    uint64_t after; /* of the next place: the chunk that was looked at last, 0 none */
    uint64_t hops;  /* of the next place */
};

/* An entry whose second is past counts as one for `next`. */
static int ttl_is_in_place(const struct wheel_entry *e, uint32_t next, uint32_t place) {
    uint32_t second = e->second < next ? next : e->second, level = place / WHEEL_SLOTS;
    uint64_t mine = (uint64_t)second >> (8 * level),
             its = ((uint64_t)next >> (8 * level) & ~UINT64_C(0xff)) | place % WHEEL_SLOTS;
    return mine == its;
}

static void ttl_take_chunk(struct check_state *c, const struct ttl_look *l, uint32_t place,
                           const struct wheel_chunk *chunk) {
    uint64_t now_s = SHM_LOAD(&wheel_shard(c->seg, l->shard)->now_s), *to = c->timers.at;
    for (uint32_t i = 0; i < chunk->count; i++) {
        struct wheel_entry e = wheel_chunk_entry(chunk, i);
        if (!c->is_again && c->timers.count < c->timers.capacity)
            to[c->timers.count++] = ttl_fingerprint(e.hash, e.second, e.table);
        if (l->aim != TTL_CHECK)
            continue;
        if (wheel_shard_of(c->seg, e.hash) != l->shard)
            check_error(c, "timers: shard %u has an entry of shard %u", l->shard, wheel_shard_of(c->seg, e.hash));
        if (!ttl_is_in_place(&e, (uint32_t)now_s + 1, place))
            check_error(c, "timers: W2 does not hold: an entry for second %u lies in level %u slot %u, at second %llu",
                        e.second, place / WHEEL_SLOTS, place % WHEEL_SLOTS, (unsigned long long)now_s);
    }
}

/* Looks at a chunk of a list and finds the next one. Returns 0 if the list ends here. */
static int ttl_look_at_chunk(struct check_state *c, struct ttl_look *l, uint32_t place, uint64_t off, uint64_t *next) {
    struct wheel_chunk chunk;
    /* A chunk that one look reaches twice ends the list there: no circle is followed. */
    if (l->aim == TTL_CHECK &&
        !check_block(c, off, sizeof(struct wheel_chunk_shm) + sizeof(struct wheel_entry), "timer chunk"))
        return 0;
    int is_sane = wheel_chunk_at(c->seg, off, &chunk) == LARDER_OK &&
                  heap_block_bytes(c->seg, off) >= sizeof *chunk.shm + chunk.capacity * sizeof(struct wheel_entry);
    if (is_sane && l->hops++ > c->seg->bytes / sizeof *chunk.shm)
        is_sane = 0; /* a circle that is longer than one look */
    if (!is_sane) {
        if (l->aim == TTL_CHECK)
            check_error(c, "timers: W1 does not hold: block %llu says %u entries of %u", (unsigned long long)off,
                        chunk.count, chunk.capacity);
        return 0;
    }
    if (l->aim == TTL_COUNT_REFS)
        check_count_ref(c, off);
    else
        ttl_take_chunk(c, l, place, &chunk);
    *next = chunk.next;
    return 1;
}

/* The chunk after the one that was looked at last; the head, if that chunk is gone. */
static uint64_t ttl_go_on(const struct check_state *c, const struct ttl_look *l, uint64_t head) {
    struct circle way = {0};
    struct wheel_chunk chunk;
    for (uint64_t off = head; l->after != 0 && off != 0; off = chunk.next) {
        if (circle_is_closed(&way, off) || wheel_chunk_at(c->seg, off, &chunk) != LARDER_OK)
            break;
        if (off == l->after)
            return chunk.next;
    }
    return head;
}

static int look_at_shard(struct check_state *c, void *at) {
    struct ttl_look *l = at;
    const struct wheel_shard_shm *shard = wheel_shard(c->seg, l->shard);
    uint64_t now_s = SHM_LOAD(&shard->now_s);
    if (l->aim == TTL_CHECK && l->done == 0 && now_s > WHEEL_NOW_MAX)
        check_error(c, "timers: shard %u is at second %llu, after the last", l->shard, (unsigned long long)now_s);
    for (; l->done < TTL_PLACES; l->done++, l->after = l->hops = 0) {
        uint32_t level = WHEEL_LEVELS - 1 - l->done / WHEEL_SLOTS, slot = l->done % WHEEL_SLOTS;
        uint64_t off = ttl_go_on(c, l, SHM_LOAD(&shard->slot[level][slot])), next;
        struct circle way = {0};
        for (; off != 0; off = next) {
            if ((l->aim != TTL_CHECK && circle_is_closed(&way, off)) ||
                !ttl_look_at_chunk(c, l, level * WHEEL_SLOTS + slot, off, &next))
                break;
            l->after = off;
            if (check_is_due(c) || c->timers.capacity - c->timers.count < WHEEL_CHUNK_ENTRIES)
                return LARDER_MORE;
        }
    }
    return LARDER_OK;
}

static int ttl_walk(struct check_state *c, enum ttl_aim aim) {
    for (uint32_t i = 0; i < c->seg->shard_count; i++) {
        struct ttl_look l = {.aim = aim, .shard = i};
        int r = check_look(c, &wheel_shard(c->seg, i)->lock, LOCK_SHARD, look_at_shard, &l, sizeof l);
        if (r)
            return r;
    }
    return LARDER_OK;
}

int timer_check(struct check_state *c) {
    int r = ttl_walk(c, TTL_CHECK);
    return r ? r : ttl_make_set(c);
}

int timer_refs(struct check_state *c) {
    return ttl_walk(c, TTL_COUNT_REFS);
}

/* ---- W5 -------------------------------------------------------------------------------------- */

void timer_check_item(struct check_state *c, const struct table_view *v, uint64_t hash, const struct item_peek *item) {
    const struct item_timed *timed = item_timed_at(item->image, &item->head);
    if (!timed)
        return;
    uint32_t armed_s = SHM_LOAD(&timed->armed_s);
    uint64_t expiry_s = timed->expiry_s;
    if (armed_s != 0 && !ttl_has(c, hash, armed_s, v->ordinal) && c->unarmed.count < c->unarmed.capacity) {
        struct ttl_suspect *to = c->unarmed.at;
        to[c->unarmed.count++] = (struct ttl_suspect){.hash = hash, .second = armed_s, .table = v->ordinal};
    }
    /* An image of an older TTL attribute waits to be rewritten; its own expiry no longer counts. */
    if (expiry_s != 0 && item_ttl_generation(&item->head) == v->ttl_generation && (armed_s == 0 || armed_s > expiry_s))
        check_error(c, "timers: an item of table \"%s\" expires at %llu and is armed for %u", v->def.name,
                    (unsigned long long)expiry_s, armed_s);
}

struct ttl_item_look {
    const struct table_view *v;
    struct ttl_suspect s;
    int is_last, is_armed;
};

/* Under the lock of the item's stripe: whether it is still armed for that second. */
static int look_at_armed(struct check_state *c, void *at) {
    struct ttl_item_look *l = at;
    struct htab_walk walk;
    uint64_t word;
    void *block;
    if (!view_is_current(l->v))
        return OBSTACLE_VIEW;
    htab_walk_begin(&walk, &l->v->items, htab_stripe(&l->v->items, l->s.hash), l->s.hash);
    while (!l->is_armed && htab_walk_next(&walk, sizeof(struct item_head), &word, &block)) {
        struct item_peek item;
        l->is_armed = item_peek_open(&item, block, heap_block_bytes(c->seg, WORD_OFF(word))) &&
                      read_armed_s(l->v, word, block) == l->s.second && read_hash_of_item(l->v, &item) == l->s.hash;
    }
    if (l->is_armed && l->is_last)
        check_error(c, "timers: W5 does not hold: an item of table \"%s\" is armed for second %u and has no entry",
                    l->v->def.name, l->s.second);
    return LARDER_OK;
}

/* *is_armed: the item is still armed and must have a timer. */
static int ttl_judge_one(struct check_state *c, const struct ttl_suspect *s, int is_last, int *is_armed) {
    struct ttl_item_look l = {.s = *s, .is_last = is_last};
    unsigned tries = 0;
    int r;
    do {
        r = check_view(c, s->table, &l.v);
        if (r)
            break;
        c->is_mute = LIFE_STATE(l.v->life) != TABLE_READY;
        r = check_look(c, &htab_stripe(&l.v->items, s->hash)->lock, LOCK_STRIPE, look_at_armed, &l, sizeof l);
        c->is_mute = 0;
    } while (check_retry(c, &r, &tries));
    *is_armed = r == LARDER_OK && l.is_armed;
    return r == LARDER_E_NO_TABLE || r == LARDER_E_CORRUPT ? LARDER_OK : r;
}

/* Keeps the noted items that are still armed and still have no timer. */
static int ttl_judge_round(struct check_state *c, int is_last) {
    size_t kept = 0;
    int r = ttl_walk(c, TTL_COLLECT);
    if (r == LARDER_OK)
        r = ttl_make_set(c);
    for (size_t i = 0; i < c->unarmed.count && r == LARDER_OK; i++) {
        struct ttl_suspect *all = c->unarmed.at, s = all[i];
        int is_armed = 0;
        if (ttl_has(c, s.hash, s.second, s.table))
            continue;
        r = ttl_judge_one(c, &s, is_last, &is_armed);
        all = c->unarmed.at;
        if (is_armed)
            all[kept++] = s;
    }
    c->unarmed.count = kept;
    return r;
}

int timer_judge(struct check_state *c) {
    for (unsigned round = 0; round < TTL_ROUNDS && c->unarmed.count > 0; round++) {
        c->report->passes++;
        int r = ttl_judge_round(c, round + 1 == TTL_ROUNDS);
        if (r)
            return r;
    }
    return LARDER_OK;
}

/* ---- Statistics ------------------------------------------------------------------------------ */

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

static uint64_t ttl_taken(const struct wheel_shard_shm *shard) {
    uint64_t taken = 0;
    for (unsigned level = 0; level < WHEEL_LEVELS; level++)
        taken += SHM_LOAD(&shard->taken[level]);
    return taken;
}

/* Without the shard's lock: again if entries were taken out meanwhile (W4), a few times. Then
 * what was seen counts. A list that leads nowhere each time is damaged. */
static int ttl_count_steady(const struct seg *s, uint32_t shard, uint32_t table, uint64_t *entries) {
    const struct wheel_shard_shm *at = wheel_shard(s, shard);
    uint64_t count = 0, taken;
    int r = LARDER_OK;
    for (unsigned tries = 0; tries < TTL_COUNTS; tries++) {
        taken = ttl_taken(at);
        count = 0;
        r = ttl_count_shard(s, shard, table, &count);
        if (r == LARDER_OK && ttl_taken(at) == taken)
            break;
    }
    *entries += count;
    return r;
}

int timer_stats(struct larder *db, uint32_t table_ordinal, uint64_t *entries) {
    uint64_t count = 0;
    for (uint32_t i = 0; i < db->seg.shard_count; i++) {
        int r = ttl_count_steady(&db->seg, i, table_ordinal, &count);
        if (r)
            return r;
    }
    *entries = count;
    return LARDER_OK;
}

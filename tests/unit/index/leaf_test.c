/* tests/unit/index/leaf_test.c - leaves of an index list against an array of entries.
 *
 * Goal     A leaf holds exactly the entries that were put in, in order, finds each of them and
 *          every place between them, splits into leaves that are small enough whatever the keys,
 *          and refuses bytes that are not a leaf.
 * Method   Random runs of adversarial keys: empty, equal, prefixes of each other, of full length
 *          with little or nothing in common. The naive leaf is an array with whole keys that is
 *          searched from end to end.
 */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "index/leaf.h"
#include "tests/support/rng.h"
#include "tests/support/slow.h"

TestSuite(leaf, .timeout = 60 * SLOW_FACTOR);

#define HASH 0x1234567890abcdefu
#define INDEX 3u

struct key {
    uint8_t bytes[LEAF_KEY_BYTES_MAX];
};
struct naive {
    uint32_t count;
    struct leaf_entry entry[LEAF_ENTRIES + 1];
    struct key key[LEAF_ENTRIES + 1]; /* entry[i].key is in one of these */
};

/* Enough of a segment for leaf_read(). */
static _Alignas(4096) uint8_t memory[3 * 4096];
static struct seg segment(void) {
    struct seg_shm *shm = (struct seg_shm *)memory;
    shm->claimed_bytes = sizeof memory;
    return (struct seg){.shm = shm, .base = memory, .bytes = sizeof memory, .data_off = 4096};
}

static int compare(const struct leaf_entry *a, const struct leaf_entry *b) {
    uint32_t bytes = a->key_bytes < b->key_bytes ? a->key_bytes : b->key_bytes;
    int order = memcmp(a->key, b->key, bytes);
    if (order == 0)
        order = (a->key_bytes > b->key_bytes) - (a->key_bytes < b->key_bytes);
    if (order == 0)
        order = (a->hash > b->hash) - (a->hash < b->hash);
    return order ? order : (a->kseq > b->kseq) - (a->kseq < b->kseq);
}

/* A key of one of several kinds; a fixed `kind` gives keys that have much in common. */
static uint32_t random_key(struct rng *r, uint64_t kind, uint8_t *to) {
    static const char *const words[] = {"", "a", "aa", "ab", "b", "\xff", "\xff\xff", "user#", "user#1", "user#10"};
    switch (kind) {
    case 0: {
        const char *word = words[rng_below(r, sizeof words / sizeof *words)];
        size_t bytes = strlen(word);
        for (size_t i = 0; i < bytes; i++)
            to[i] = (uint8_t)word[i];
        return (uint32_t)bytes;
    }
    case 1: { /* the longest keys, with the difference anywhere */
        memset(to, 'x', LEAF_KEY_BYTES_MAX);
        to[rng_below(r, LEAF_KEY_BYTES_MAX)] = (uint8_t)rng_below(r, 256);
        return LEAF_KEY_BYTES_MAX;
    }
    case 2: /* prefixes of each other */
        memset(to, 'p', LEAF_KEY_BYTES_MAX);
        return (uint32_t)rng_below(r, LEAF_KEY_BYTES_MAX + 1);
    case 3: { /* a long common prefix and a short rest */
        memset(to, 'q', 1000);
        rng_bytes(r, to + 1000, 4);
        return 1000 + (uint32_t)rng_below(r, 5);
    }
    default: {
        uint32_t bytes = (uint32_t)rng_below(r, rng_is_one_in(r, 10) ? LEAF_KEY_BYTES_MAX + 1 : 20);
        rng_bytes(r, to, bytes);
        return bytes;
    }
    }
}

static struct leaf_entry random_entry(struct rng *r, uint64_t kind, struct key *key) {
    struct leaf_entry e = {.key = key->bytes, .hash = rng_below(r, 4), .kseq = 1 + (uint32_t)rng_below(r, 4)};
    if (rng_is_one_in(r, 2))
        e.hash = rng_next(r) & HTAB_HASH_MASK;
    e.key_bytes = random_key(r, kind && rng_is_one_in(r, 8) ? rng_below(r, 5) : kind, key->bytes);
    return e;
}

/* Copies the leaf into the segment and reads it again. */
static int through_segment(const struct leaf *made, uint32_t bytes, struct leaf *out) {
    struct seg s = segment();
    memset(memory, 0xee, sizeof memory);
    memcpy(memory + 4096, made->bytes, (bytes + 7) & ~7u);
    return leaf_read(&s, 4096, HASH, INDEX, out);
}

static void check_same(const struct leaf *leaf, const struct leaf_entry *entry, uint32_t count) {
    uint8_t key[LEAF_KEY_BYTES_MAX];
    cr_assert_eq(leaf_count(leaf), count);
    for (uint32_t i = 0; i < count; i++) {
        cr_assert_eq(leaf_key(leaf, i, key), entry[i].key_bytes);
        cr_assert_eq(memcmp(key, entry[i].key, entry[i].key_bytes), 0);
        cr_assert_eq(leaf_hash(leaf, i), entry[i].hash);
        cr_assert_eq(leaf_kseq(leaf, i), entry[i].kseq);
    }
}

static void check_finds(struct rng *r, const struct leaf *leaf, const struct leaf_entry *entry, uint32_t count,
                        uint64_t kind) {
    for (uint32_t i = 0; i < count; i++)
        cr_assert_eq(leaf_find(leaf, &entry[i]), (int)i);
    for (int i = 0; i < 20; i++) {
        struct key key;
        struct leaf_entry e = random_entry(r, kind, &key);
        struct leaf_cut cut = leaf_cut_before(&e);
        uint32_t want = 0;
        int there = -1;
        for (uint32_t k = 0; k < count; k++) {
            want += compare(&entry[k], &e) < 0;
            if (compare(&entry[k], &e) == 0)
                there = (int)k;
        }
        cr_assert_eq(leaf_find_cut(leaf, &cut), want);
        cr_assert_eq(leaf_find(leaf, &e), there);
        cut.kseq = LEAF_KSEQ_END;
        cut.hash = UINT64_MAX;
        want = 0;
        for (uint32_t k = 0; k < count; k++) {
            struct leaf_entry same = entry[k];
            same.hash = e.hash;
            same.kseq = e.kseq;
            want += compare(&same, &e) <= 0;
        }
        cr_assert_eq(leaf_find_cut(leaf, &cut), want);
    }
    struct leaf_cut end = {.is_end = 1};
    cr_assert_eq(leaf_find_cut(leaf, &end), count);
}

static void naive_add(struct naive *n, const struct leaf_entry *e) {
    uint32_t at = 0;
    while (at < n->count && compare(&n->entry[at], e) < 0)
        at++;
    memmove(&n->entry[at + 1], &n->entry[at], (n->count - at) * sizeof n->entry[0]);
    n->entry[at] = *e;
    n->count++;
}

static int naive_has(const struct naive *n, const struct leaf_entry *e) {
    for (uint32_t i = 0; i < n->count; i++)
        if (compare(&n->entry[i], e) == 0)
            return 1;
    return 0;
}

/* A split in two: both parts are read back, neither is too large, and the bound separates them. */
static void check_split(const struct leaf_run *run, const struct naive *n, uint32_t want) {
    struct leaf made, back;
    uint8_t key[LEAF_KEY_BYTES_MAX];
    uint32_t at = leaf_split_at(run, want);
    cr_assert(at >= 1 && at < run->count);
    for (int side = 0; side < 2; side++) {
        uint32_t from = side ? at : 0, to = side ? run->count : at;
        uint32_t bytes = leaf_build(run, from, to, HASH, INDEX, 77, &made);
        cr_assert_leq(bytes, LEAF_BYTES_MAX);
        cr_assert(through_segment(&made, bytes, &back));
        cr_assert_eq(leaf_bytes(&back), bytes);
        cr_assert_eq(leaf_next(&back), 77);
        check_same(&back, n->entry + from, to - from);
    }
    struct leaf_cut bound = leaf_run_bound(run, at, key);
    struct leaf_cut below = leaf_cut_before(&n->entry[at - 1]), above = leaf_cut_before(&n->entry[at]);
    cr_assert_lt(leaf_compare_cuts(&below, &bound), 0);
    cr_assert_leq(leaf_compare_cuts(&bound, &above), 0);
}

/* leaf_insert() makes what a run makes, or nothing: for the first entry of an end, and if no block
 * for a leaf of these bytes can be had. */
static void check_insert(const struct leaf *from, const struct leaf_entry *e, const struct leaf *made, uint32_t bytes) {
    struct leaf moved;
    struct leaf_place place = leaf_place(from, e);
    cr_assert_not(place.is_there);
    memset(&moved, 0xee, sizeof moved);
    uint32_t moved_bytes = leaf_insert(from, e, &place, &moved);
    cr_assert(moved_bytes == 0 || moved_bytes == bytes);
    cr_assert(moved_bytes == 0 || memcmp(moved.bytes, made->bytes, (bytes + 7) & ~7u) == 0);
    uint32_t prefix_bytes = ((const struct leaf_shm *)from->bytes)->block.key_bytes;
    uint8_t key[LEAF_KEY_BYTES_MAX];
    leaf_key(from, 0, key);
    int has_prefix = e->key_bytes >= prefix_bytes && (!prefix_bytes || memcmp(e->key, key, prefix_bytes) == 0);
    cr_assert_eq(moved_bytes != 0, has_prefix && bytes != 0, "prefix of %u bytes", prefix_bytes);
}

/* Adds entries one at a time until the leaf must be split; returns how many it held. */
static uint32_t grow_until_split(struct rng *r, uint64_t kind) {
    static struct naive n; /* static: large */
    struct leaf leaf = {.bytes = {0}}, made;
    struct leaf_run run = {.prefix = (const uint8_t *)""};
    n.count = 0;
    for (uint32_t tries = 0; tries < 300; tries++) {
        struct key *key = &n.key[n.count];
        struct leaf_entry e = random_entry(r, kind, key);
        if (naive_has(&n, &e))
            continue;
        if (n.count)
            leaf_take_apart(&leaf, &run);
        naive_add(&n, &e);
        uint32_t at = leaf_run_add(&run, &e);
        cr_assert_eq(compare(&n.entry[at], &e), 0);
        if (!leaf_run_fits(&run, 0, run.count)) {
            if (n.count > 1)
                check_insert(&leaf, &e, NULL, 0);
            for (uint32_t want = 1; want < run.count; want += 1 + want / 3)
                check_split(&run, &n, want);
            return n.count;
        }
        uint32_t bytes = leaf_build(&run, 0, run.count, HASH, INDEX, 0, &made);
        if (n.count > 1)
            check_insert(&leaf, &e, &made, bytes);
        cr_assert(n.count == 1 || bytes <= LEAF_BYTES);
        cr_assert(through_segment(&made, bytes, &leaf));
        check_same(&leaf, n.entry, n.count);
        check_finds(r, &leaf, n.entry, n.count, kind);
    }
    return n.count;
}

Test(leaf, holds_what_was_put_in_and_splits) {
    struct rng r;
    rng_seed(&r, rng_test_seed("leaf"));
    for (int round = 0; round < 60; round++)
        for (uint64_t kind = 0; kind < 5; kind++)
            grow_until_split(&r, kind);
}

Test(leaf, keeps_the_promised_number_of_short_entries) {
    struct rng r;
    rng_seed(&r, 1);
    cr_assert_eq(grow_until_split(&r, 0), LEAF_ENTRIES + 1);
}

Test(leaf, splits_leaves_of_any_capacity) {
    struct rng r;
    rng_seed(&r, rng_test_seed("leaf"));
    for (leaf_capacity = 2; leaf_capacity < 9; leaf_capacity++)
        for (uint64_t kind = 0; kind < 5; kind++)
            grow_until_split(&r, kind);
    leaf_capacity = LEAF_ENTRIES;
}

static uint32_t some_leaf(struct rng *r, struct naive *n, struct leaf *made) {
    struct leaf_run run = {.prefix = (const uint8_t *)""};
    n->count = 0;
    while (n->count < 20) {
        struct leaf_entry e = random_entry(r, 0, &n->key[n->count]);
        if (naive_has(n, &e))
            continue;
        naive_add(n, &e);
        leaf_run_add(&run, &e);
    }
    return leaf_build(&run, 0, run.count, HASH, INDEX, 0, made);
}

/* An entry that was marked dead comes back: the other dead ones go, and the bytes are those of a
 * newly built leaf. */
static uint32_t check_return(const struct leaf *leaf, const struct leaf_entry *e) {
    struct leaf built, moved;
    struct leaf_run run;
    struct leaf_place place = leaf_place(leaf, e);
    int has_live_ends = leaf_kseq(leaf, 0) && leaf_kseq(leaf, leaf_count(leaf) - 1);
    cr_assert(!place.is_there && place.rest);
    leaf_take_apart(leaf, &run);
    leaf_run_add(&run, e);
    uint32_t bytes = leaf_build(&run, 0, run.count, HASH, INDEX, leaf_next(leaf), &built);
    memset(&moved, 0xee, sizeof moved);
    cr_assert_eq(leaf_insert(leaf, e, &place, &moved), has_live_ends ? bytes : 0);
    if (!has_live_ends)
        return 0;
    cr_assert_eq(memcmp(moved.bytes, built.bytes, (bytes + 7) & ~7u), 0);
    cr_assert(leaf_place(&moved, e).is_there);
    return 1;
}

Test(leaf, forgets_the_dead) {
    static struct naive n;
    struct rng r;
    struct leaf made, leaf, next;
    struct leaf_run run;
    uint32_t returned = 0; /* moved past dead ones */
    rng_seed(&r, rng_test_seed("leaf"));
    for (int round = 0; round < 200; round++) {
        uint32_t bytes = some_leaf(&r, &n, &made);
        cr_assert(through_segment(&made, bytes, &leaf));
        while (n.count) {
            uint32_t at = (uint32_t)rng_below(&r, n.count);
            int i = leaf_find(&leaf, &n.entry[at]);
            cr_assert_geq(i, 0);
            leaf_kill(&leaf, (struct leaf_shm *)(memory + 4096), (uint32_t)i);
            cr_assert_eq(memcmp(leaf.bytes, memory + 4096, bytes), 0);
            cr_assert_eq(leaf_find(&leaf, &n.entry[at]), -1);
            returned += check_return(&leaf, &n.entry[at]);
            n.count--;
            memmove(&n.entry[at], &n.entry[at + 1], (n.count - at) * sizeof n.entry[0]);
            cr_assert_eq(leaf_live_count(&leaf), n.count);
            for (uint32_t k = 0; k < n.count; k++) {
                struct leaf_cut cut = leaf_cut_before(&n.entry[k]);
                int found = leaf_find(&leaf, &n.entry[k]);
                cr_assert_geq(found, 0);
                uint32_t place = leaf_find_cut(&leaf, &cut);
                while (place < leaf_count(&leaf) && leaf_kseq(&leaf, place) == 0)
                    place++;
                cr_assert_eq(place, (uint32_t)found);
            }
            leaf_take_apart(&leaf, &run);
            cr_assert_eq(run.count, n.count);
            if (n.count) {
                leaf_build(&run, 0, run.count, HASH, INDEX, 0, &next);
                check_same(&next, n.entry, n.count);
            }
        }
    }
    cr_assert_gt(returned, 500);
}

/* ---- Two leaves become one ------------------------------------------------------------------- */

/* The leaf of entries [from, to), read back from a segment, of which some are dead. Those go from
 * `live`, which has the others. */
static void leaf_with_dead(struct rng *r, const struct naive *n, uint32_t from, uint32_t to, uint64_t next,
                           struct naive *live, struct leaf *leaf) {
    struct leaf_run run = {.prefix = (const uint8_t *)""};
    struct leaf made;
    for (uint32_t i = from; i < to; i++)
        leaf_run_add(&run, &n->entry[i]);
    uint32_t bytes = leaf_build(&run, 0, run.count, HASH, INDEX, next, &made);
    cr_assert(through_segment(&made, bytes, leaf));
    int may_die = !rng_is_one_in(r, 4), all_die = rng_is_one_in(r, 8);
    for (uint32_t i = from; i < to; i++)
        if (all_die || (may_die && rng_is_one_in(r, 2)))
            leaf_kill(leaf, (struct leaf_shm *)(memory + 4096), i - from);
        else
            live->entry[live->count++] = n->entry[i];
}

/* Both leaves of a split are joined: the same bytes as a leaf that is built from one run. */
static void join_at(struct rng *r, const struct naive *n, uint32_t at) {
    static struct naive live;
    struct leaf a, b, joined, built, back;
    struct leaf_run run = {.prefix = (const uint8_t *)""};
    live.count = 0;
    leaf_with_dead(r, n, 0, at, 33, &live, &a);
    leaf_with_dead(r, n, at, n->count, 77, &live, &b);
    memset(&joined, 0xee, sizeof joined);
    uint32_t bytes = leaf_join(&a, &b, LEAF_ENTRIES, LEAF_BYTES, &joined), most = 0;
    for (uint32_t i = 0; i < live.count; i++)
        leaf_run_add(&run, &live.entry[i]);
    if (live.count && leaf_run_fits(&run, 0, run.count))
        most = leaf_build(&run, 0, run.count, HASH, INDEX, 77, &built);
    cr_assert_eq(bytes, most <= LEAF_BYTES ? most : 0);
    if (!bytes)
        return;
    cr_assert_eq(memcmp(joined.bytes, built.bytes, (bytes + 7) & ~7u), 0);
    cr_assert(through_segment(&joined, bytes, &back));
    check_same(&back, live.entry, live.count);
    cr_assert_eq(leaf_join(&a, &b, live.count - 1, LEAF_BYTES, &joined), 0);
    cr_assert_eq(leaf_join(&a, &b, live.count, bytes - 1, &joined), 0);
}

Test(leaf, joins_two_into_one) {
    static struct naive n;
    struct rng r;
    uint32_t joined = 0;
    rng_seed(&r, rng_test_seed("leaf"));
    for (int round = 0; round < 400 / SLOW_FACTOR; round++)
        for (uint64_t kind = 0; kind < 5; kind++) {
            uint32_t count = 2 + (uint32_t)rng_below(&r, kind ? 20 : 50), tries = 0;
            for (n.count = 0; n.count < count && tries < 1000; tries++) {
                struct leaf_entry e = random_entry(&r, kind, &n.key[n.count]);
                if (!naive_has(&n, &e))
                    naive_add(&n, &e);
            }
            uint32_t at = 1 + (uint32_t)rng_below(&r, n.count - 1);
            struct leaf_run run = {.prefix = (const uint8_t *)""};
            for (uint32_t i = 0; i < n.count; i++)
                leaf_run_add(&run, &n.entry[i]);
            if (!leaf_run_fits(&run, 0, at) || !leaf_run_fits(&run, at, n.count))
                continue;
            join_at(&r, &n, at);
            joined++;
        }
    cr_assert_gt(joined, 500 / SLOW_FACTOR);
}

/* Damage: a suffix is missing, so that a key is shorter than what all keys have in common. */
Test(leaf, joins_no_damaged_leaf) {
    static struct naive n;
    struct rng r;
    struct leaf made, leaf, next, out;
    rng_seed(&r, rng_test_seed("leaf"));
    for (int round = 0; round < 2000; round++) {
        uint32_t bytes = some_leaf(&r, &n, &made);
        cr_assert(through_segment(&made, bytes, &leaf));
        made.bytes[rng_below(&r, bytes)] = (uint8_t)rng_next(&r);
        if (!through_segment(&made, bytes, &next))
            continue;
        uint32_t joined = rng_is_one_in(&r, 2) ? leaf_join(&leaf, &next, LEAF_ENTRIES, LEAF_BYTES_MAX, &out)
                                               : leaf_join(&next, &leaf, LEAF_ENTRIES, LEAF_BYTES_MAX, &out);
        cr_assert_leq(joined, LEAF_BYTES_MAX);
    }
}

Test(leaf, refuses_what_is_none) {
    static struct naive n;
    struct rng r;
    struct leaf made, out;
    struct seg s = segment();
    rng_seed(&r, rng_test_seed("leaf"));
    uint32_t bytes = some_leaf(&r, &n, &made);
    cr_assert(through_segment(&made, bytes, &out));
    cr_assert_not(leaf_read(&s, 4096, HASH + 1, INDEX, &out));
    cr_assert_not(leaf_read(&s, 4096, HASH, INDEX + 1, &out));
    cr_assert_not(leaf_read(&s, 0, HASH, INDEX, &out));
    cr_assert_not(leaf_read(&s, 4100, HASH, INDEX, &out));
    cr_assert_not(leaf_read(&s, sizeof memory - 8, HASH, INDEX, &out));
    cr_assert_not(leaf_read(&s, sizeof memory, HASH, INDEX, &out));
    cr_assert_not(leaf_read(&s, UINT64_MAX - 7, HASH, INDEX, &out));
    /* At the very end of the segment it fits, or is refused. */
    uint64_t last = sizeof memory - ((bytes + 7) & ~7u);
    memcpy(memory + last, made.bytes, (bytes + 7) & ~7u);
    cr_assert(leaf_read(&s, last, HASH, INDEX, &out));
    memmove(memory + last + 8, memory + last, bytes - 8);
    cr_assert_not(leaf_read(&s, last + 8, HASH, INDEX, &out));
}

/* Damage is refused, or gives a leaf that can be searched and taken apart without leaving its
 * buffer (the address sanitizer checks). */
Test(leaf, survives_damage) {
    static struct naive n;
    struct rng r;
    struct leaf made, out;
    struct leaf_run run;
    struct seg s = segment();
    uint8_t key[LEAF_KEY_BYTES_MAX];
    rng_seed(&r, rng_test_seed("leaf"));
    uint32_t bytes = some_leaf(&r, &n, &made);
    for (int round = 0; round < 20000; round++) {
        cr_assert(through_segment(&made, bytes, &out));
        for (uint64_t hits = 1 + rng_below(&r, 3); hits > 0; hits--)
            memory[4096 + 8 + rng_below(&r, bytes - 8)] = (uint8_t)rng_next(&r);
        if (!leaf_read(&s, 4096, HASH, INDEX, &out))
            continue;
        cr_assert_leq(leaf_bytes(&out), LEAF_BYTES_MAX);
        for (uint32_t i = 0; i < leaf_count(&out); i++)
            cr_assert_leq(leaf_key(&out, i, key), LEAF_KEY_BYTES_MAX);
        leaf_find(&out, &n.entry[0]);
        leaf_take_apart(&out, &run);
        cr_assert_leq(run.count, LEAF_ENTRIES);
    }
}

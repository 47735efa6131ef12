/* tests/unit/memory/htab_test.c - the hash table of blocks against a list.
 *
 * Goal     What was linked is found, what was unlinked is not, through growth and collisions.
 *          Bucket order is hash order at every size. Counts can be lost. A death while an array
 *          grows, or a full segment, loses nothing. Damaged arrays end walks.
 * Method   Blocks hold only the high half of a hash, and all of it for the tests, in the item
 *          stripes of a table, linked by steps as core/table/change.c does it. The stripes are
 *          empty again before larder_check() looks.
 */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "core/base/crash.h"
#include "core/memory/heap_span.h"
#include "core/memory/htab_spot.h"
#include "core/memory/recover.h"
#include "core/table/db.h"
#include "tests/support/proc.h"
#include "tests/support/rng.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"

TestSuite(htab, .timeout = 60 * SLOW_FACTOR);

/* core/memory/heap.c: that many blocks, then LARDER_E_FULL; -1: no limit */
extern _Atomic int64_t heap_test_takes_left;

#define LINKED_MAX 60000u
#define BLOCK_BYTES 48u
#define SLOTS_MAX 4096u

struct fixture {
    struct larder *db;
    struct writer *w;
    const struct table_view *v;
    const struct htab *tab;
    struct rng rng;
    uint64_t used_bytes;
    struct linked {
        uint64_t hash, off;
    } * linked;
    uint32_t count;
};

static uint64_t used_bytes(const struct fixture *f) {
    struct heap_totals t;
    heap_totals(f->w->seg, &t);
    return t.used_bytes;
}

static void begin(struct fixture *f, uint32_t stripe_count) {
    const struct larder_table_def def = {.name = "table", .partition = {"pk", LARDER_S}};
    struct larder_table *t;
    *f = (struct fixture){.db = testseg_open(32u << 20, stripe_count)};
    cr_assert_eq(larder_table_create(f->db, &def), LARDER_OK, "%s", larder_error());
    cr_assert_eq(larder_table_open(f->db, "table", &t), LARDER_OK);
    cr_assert_eq(table_view(t, &f->v), LARDER_OK);
    cr_assert_eq(writer_borrow(f->db, &f->w), LARDER_OK, "%s", larder_error());
    f->tab = &f->v->items;
    rng_seed(&f->rng, rng_test_seed("htab"));
    f->linked = calloc(LINKED_MAX, sizeof *f->linked);
    cr_assert_not_null(f->linked);
    f->used_bytes = used_bytes(f);
}

/* ---- Linking, as core/table/change.c does it ------------------------------------------------- */

static int link_locked(struct fixture *f, struct stripe_shm *s, uint64_t hash, uint64_t *off) {
    shm_word *slot;
    int r = htab_free_slot_locked(f->w, f->tab, s, hash, &slot);
    if (r == LARDER_OK)
        r = heap_take(f->w, BLOCK_BYTES, HAND_STEP0 | HAND_NEW, 0, off);
    if (r)
        return r;
    shm_word *block = seg_at(f->w->seg, *off, 16);
    SHM_STORE(&block[0], htab_high(hash) | (uint32_t)~hash);
    SHM_STORE(&block[1], hash);
    r = step_swap(f->w, 0, slot, 0, WORD_MAKE(hash, *off), &s->seq, NULL, 0);
    htab_count_locked(s, 1);
    return r;
}

static int link_block(struct fixture *f, uint64_t hash) {
    struct stripe_shm *s = htab_stripe(f->tab, hash);
    uint64_t off;
    int r;
    do {
        cr_assert_eq(lock_take(f->w, &s->lock, LOCK_STRIPE), LARDER_OK, "%s", larder_error());
        r = link_locked(f, s, hash, &off);
        lock_drop(f->w, &s->lock, LOCK_STRIPE);
    } while (r == OBSTACLE_CLAIM && writer_claim(f->w) == LARDER_OK);
    if (r == LARDER_OK)
        f->linked[f->count++] = (struct linked){hash, off};
    return r;
}

static shm_word *find(const struct fixture *f, const struct linked *l, uint64_t *word) {
    struct htab_walk walk;
    void *block;
    shm_word *slot;
    htab_walk_begin(&walk, f->tab, htab_stripe(f->tab, l->hash), l->hash);
    while ((slot = htab_walk_next(&walk, BLOCK_BYTES, word, &block)))
        if (WORD_OFF(*word) == l->off)
            return slot;
    return NULL;
}

static void unlink_block(struct fixture *f, uint32_t i) {
    struct linked l = f->linked[i];
    struct stripe_shm *s = htab_stripe(f->tab, l.hash);
    uint64_t word;
    cr_assert_eq(lock_take(f->w, &s->lock, LOCK_STRIPE), LARDER_OK);
    shm_word *slot = find(f, &l, &word);
    cr_assert_not_null(slot, "hash %016lx is lost", l.hash);
    cr_assert_eq(step_swap(f->w, 0, slot, word, 0, &s->seq, (uint64_t[]){l.off}, 1), LARDER_OK);
    htab_count_locked(s, -1);
    cr_assert_null(find(f, &l, &word));
    lock_drop(f->w, &s->lock, LOCK_STRIPE);
    f->linked[i] = f->linked[--f->count];
}

/* ---- What must hold -------------------------------------------------------------------------- */

static uint32_t walk_count(const struct fixture *f, uint64_t hash) {
    struct htab_walk walk;
    uint64_t word;
    void *block;
    uint32_t count = 0;
    htab_walk_begin(&walk, f->tab, htab_stripe(f->tab, hash), hash);
    while (htab_walk_next(&walk, BLOCK_BYTES, &word, &block))
        count++;
    return count;
}

static uint64_t hash_at(const struct fixture *f, uint64_t word) {
    shm_word *block = seg_at(f->w->seg, WORD_OFF(word), BLOCK_BYTES);
    cr_assert_not_null(block);
    return SHM_LOAD(&block[1]);
}

/* H1, H2, and that bucket order is hash order. Returns the number of blocks. */
static uint32_t expect_stripe(const struct fixture *f, uint32_t number) {
    const struct stripe_shm *s = &f->tab->stripes[number];
    uint64_t words[SLOTS_MAX], last = 0;
    uint32_t count = 0, buckets = htab_bucket_count(f->tab, s);
    for (uint32_t b = 0; b < buckets; b++) {
        uint64_t highest = last;
        int in_chain = htab_bucket_slots(f->tab, s, b, words, SLOTS_MAX);
        cr_assert_geq(in_chain, 0);
        for (int i = 0; i < in_chain; i++) {
            uint64_t hash = hash_at(f, words[i]);
            cr_assert_eq(WORD_TAG(words[i]), (uint16_t)hash);
            cr_assert_eq(htab_stripe(f->tab, hash), s);
            cr_assert_eq(htab_bucket_of(f->tab, buckets, hash), b);
            cr_assert_geq(hash, last, "bucket %u begins before bucket %u ends", b, b - 1);
            highest = hash > highest ? hash : highest;
        }
        last = highest;
        count += (uint32_t)in_chain;
    }
    cr_assert_eq(SHM_LOAD(&s->count), count);
    return count;
}

static void expect_all(const struct fixture *f) {
    uint32_t count = 0;
    uint64_t word;
    for (uint32_t i = 0; i < f->count; i++)
        cr_assert_not_null(find(f, &f->linked[i], &word), "hash %016lx is lost", f->linked[i].hash);
    for (uint32_t i = 0; i < f->tab->stripe_count; i++)
        count += expect_stripe(f, i);
    cr_assert_eq(count, f->count);
}

/* Empties the stripes and gives their arrays back. */
static void end(struct fixture *f) {
    struct larder_check_report report;
    while (f->count)
        unlink_block(f, (uint32_t)rng_below(&f->rng, f->count));
    for (uint32_t i = 0; i < f->tab->stripe_count; i++) {
        struct stripe_shm *s = &f->tab->stripes[i];
        cr_assert_eq(lock_take(f->w, &s->lock, LOCK_STRIPE), LARDER_OK);
        for (unsigned times = 0; times < 2; times++)
            cr_assert_eq(htab_clear_locked(f->w, s), LARDER_OK);
        lock_drop(f->w, &s->lock, LOCK_STRIPE);
        cr_assert_eq(SHM_LOAD(&s->array), 0);
        cr_assert_eq(htab_bucket_count(f->tab, s), 0);
    }
    cr_assert_eq(used_bytes(f), f->used_bytes);
    writer_return(f->w);
    cr_assert_eq(larder_check(f->db, NULL, &report), LARDER_OK, "%s", report.first_error);
    larder_close(f->db);
    free(f->linked);
}

/* ---- Tests ----------------------------------------------------------------------------------- */

Test(htab, empty_stripe_has_nothing) {
    struct fixture f;
    uint64_t words[8];
    begin(&f, 2);
    cr_assert_null(htab_bucket(f.tab, SHM_LOAD(&f.tab->stripes[0].array), 1));
    cr_assert_eq(walk_count(&f, 1), 0);
    cr_assert_eq(htab_bucket_count(f.tab, &f.tab->stripes[0]), 0);
    cr_assert_eq(htab_bucket_slots(f.tab, &f.tab->stripes[0], 0, words, 8), 0);
    end(&f);
}

Test(htab, stripe_is_the_top_bits) {
    static const uint32_t counts[] = {2, 4, 64, 1024};
    for (unsigned i = 0; i < sizeof counts / sizeof *counts; i++) {
        struct fixture f;
        begin(&f, counts[i]);
        cr_assert_eq(htab_stripe(f.tab, 0), &f.tab->stripes[0]);
        cr_assert_eq(htab_stripe(f.tab, UINT64_MAX), &f.tab->stripes[counts[i] - 1]);
        for (uint32_t s = 1; s < counts[i]; s++) {
            uint64_t first = UINT64_MAX / counts[i] * s + s;
            cr_assert_eq(htab_stripe(f.tab, first), &f.tab->stripes[s]);
            cr_assert_eq(htab_stripe(f.tab, first - 1), &f.tab->stripes[s - 1]);
        }
        end(&f);
    }
}

Test(htab, bucket_rises_with_the_hash) {
    static const uint32_t sizes[] = {1, 2, 3, 7, 100, 65535};
    struct fixture f;
    begin(&f, 4);
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        uint32_t last = 0;
        uint64_t stripe_first = UINT64_C(2) << 62;
        for (unsigned step = 0; step < 100000; step++) {
            uint32_t bucket = htab_bucket_of(f.tab, sizes[i], stripe_first + (UINT64_C(1) << 62) / 100000 * step);
            cr_assert(bucket >= last && bucket < sizes[i]);
            last = bucket;
        }
        cr_assert_eq(htab_bucket_of(f.tab, sizes[i], stripe_first), 0);
        cr_assert_eq(htab_bucket_of(f.tab, sizes[i], stripe_first + (UINT64_C(1) << 62) - 1), sizes[i] - 1);
    }
    end(&f);
}

Test(htab, arrays_grow_and_keep_the_order) {
    struct fixture f;
    uint32_t buckets = 0, growths = 0;
    begin(&f, 2);
    for (uint32_t i = 0; i < 20000; i++) {
        uint64_t hash = rng_next(&f.rng) >> 1; /* all in stripe 0 */
        cr_assert_eq(link_block(&f, hash), LARDER_OK, "%s", larder_error());
        uint32_t now = htab_bucket_count(f.tab, &f.tab->stripes[0]);
        cr_assert_geq(now, buckets);
        growths += now != buckets;
        buckets = now;
        if (i % 1000 == 0)
            expect_all(&f);
    }
    expect_all(&f);
    cr_assert(growths > 10 && growths < 60, "%u growths", growths);
    cr_assert_gt(f.count, buckets * 3, "buckets are well filled: %u for %u", buckets, f.count);
    end(&f);
}

Test(htab, random_links_and_unlinks) {
    struct fixture f;
    begin(&f, 4);
    uint32_t rounds = getenv("LARDER_TEST_LONG") ? 1000000 : 30000;
    for (uint32_t i = 0; i < rounds; i++) {
        if (f.count == 0 || (rng_below(&f.rng, 100) < (i / 5000 % 2 ? 35u : 65u) && f.count < LINKED_MAX)) {
            /* Now and then the hash, or the tag, of one that is there. */
            uint64_t hash = rng_next(&f.rng), other = f.count ? f.linked[rng_below(&f.rng, f.count)].hash : 0;
            if (rng_is_one_in(&f.rng, 20))
                hash = rng_is_one_in(&f.rng, 2) ? other : (hash & ~UINT64_C(0xffff)) | (other & 0xffff);
            cr_assert_eq(link_block(&f, hash), LARDER_OK, "%s", larder_error());
        } else
            unlink_block(&f, (uint32_t)rng_below(&f.rng, f.count));
        if (i % 3000 == 0)
            expect_all(&f);
    }
    expect_all(&f);
    end(&f);
}

/* The part of the hash that a block has is enough for everything that is derived from it. */
/* ---- Spots ----------------------------------------------------------------------------------- */

static struct htab_spot spot_of(const struct fixture *f, uint64_t hash) {
    struct htab_aim aim = htab_aim(f->tab);
    struct htab_spot spot;
    htab_spot_stripe(&aim, hash, &spot);
    htab_spot_bucket(&aim, &spot);
    htab_spot_slot(&aim, &spot, 0);
    return spot;
}

/* Rule P3 of core/memory/htab_spot.h: of what is linked no spot shows that there is none, also
 * while the array grows. */
Test(htab, a_spot_shows_none_only_where_none_is) {
    struct fixture f;
    uint32_t none = 0, tried = 0;
    begin(&f, 2);
    struct htab_spot spot = spot_of(&f, 5);
    cr_assert(!spot.block && htab_spot_shows_none(&spot), "a stripe without an array");
    for (uint32_t i = 0; i < 3000; i++) {
        cr_assert_eq(link_block(&f, rng_next(&f.rng) & HTAB_HASH_MASK), LARDER_OK);
        for (uint32_t k = 0; k < 8; k++) {
            const struct linked *l = &f.linked[k ? rng_below(&f.rng, f.count) : f.count - 1];
            spot = spot_of(&f, l->hash);
            cr_assert(spot.block || !htab_spot_shows_none(&spot), "hash %016lx is there", l->hash);
        }
        uint64_t absent = rng_next(&f.rng) & HTAB_HASH_MASK;
        spot = spot_of(&f, absent);
        tried++;
        none += !spot.block && htab_spot_shows_none(&spot);
    }
    cr_assert_gt(none, tried / 2, "%u of %u", none, tried);
    end(&f);
}

/* What a writer does after the look is noticed. */
Test(htab, a_spot_shows_none_only_while_the_sequence_stands) {
    struct fixture f;
    begin(&f, 2);
    cr_assert_eq(link_block(&f, 7), LARDER_OK);
    struct htab_spot spot = spot_of(&f, 6);
    cr_assert(!spot.block && htab_spot_shows_none(&spot));
    cr_assert_eq(link_block(&f, 6), LARDER_OK);
    cr_assert(!htab_spot_shows_none(&spot));
    spot = spot_of(&f, 5);
    cr_assert(htab_spot_shows_none(&spot));
    struct stripe_shm *stripe = htab_stripe(f.tab, 5);
    SHM_STORE(&stripe->seq, SHM_LOAD(&stripe->seq) | SEQ_MARK); /* a transaction changes the stripe */
    spot = spot_of(&f, 5);
    cr_assert(!htab_spot_shows_none(&spot));
    SHM_STORE(&stripe->seq, SHM_LOAD(&stripe->seq) & ~SEQ_MARK);
    end(&f);
}

Test(htab, the_high_half_stands_for_the_hash) {
    const uint32_t counts[] = {2, 8, 1024, 1u << 20};
    struct stripe_shm *stripes = calloc(1u << 20, sizeof *stripes);
    struct rng rng;
    rng_seed(&rng, rng_test_seed("htab"));
    for (unsigned i = 0; i < sizeof counts / sizeof *counts; i++) {
        struct htab t = {.stripes = stripes, .stripe_count = counts[i]};
        t.stripe_shift = 64 - (uint32_t)__builtin_ctz(counts[i]);
        for (unsigned k = 0; k < 10000; k++) {
            uint64_t hash = rng_next(&rng), made = htab_hash_in(WORD_MAKE(hash, 4096), hash ^ (uint32_t)rng_next(&rng));
            cr_assert(htab_stripe(&t, made) == htab_stripe(&t, hash) && (uint16_t)made == (uint16_t)hash);
            cr_assert_eq(htab_bucket_of(&t, 1 + k % 999, made), htab_bucket_of(&t, 1 + k % 999, hash));
        }
    }
    free(stripes);
}

Test(htab, equal_hashes_are_told_apart_by_their_blocks) {
    const uint64_t same = UINT64_C(0x123456789abcdef0),
                   near = same + (UINT64_C(1) << 32); /* near: same bucket and tag */
    struct fixture f;
    begin(&f, 2);
    for (uint32_t i = 0; i < 200; i++) {
        cr_assert_eq(link_block(&f, same), LARDER_OK, "%s", larder_error());
        cr_assert_eq(link_block(&f, near), LARDER_OK, "%s", larder_error());
        cr_assert_eq(walk_count(&f, same), i + 1);
    }
    cr_assert_eq(walk_count(&f, same + (UINT64_C(2) << 32)), 0);
    expect_all(&f);
    for (uint32_t i = 0; i < 300; i++)
        unlink_block(&f, (uint32_t)rng_below(&f.rng, f.count));
    cr_assert_eq(walk_count(&f, same) + walk_count(&f, near), 100);
    expect_all(&f);
    end(&f);
}

Test(htab, counts_are_found_again) {
    struct fixture f;
    begin(&f, 2);
    for (uint32_t i = 0; i < 3000; i++) {
        cr_assert_eq(link_block(&f, rng_next(&f.rng) >> 1), LARDER_OK);
        if (i % 100 != 99)
            continue;
        struct stripe_shm *s = &f.tab->stripes[0];
        uint32_t spares_used = SHM_LOAD(&s->spares_used);
        SHM_STORE(&s->count, (uint32_t)rng_next(&f.rng));
        SHM_STORE(&s->spares_used, (uint32_t)rng_below(&f.rng, 5));
        cr_assert_eq(lock_take(f.w, &s->lock, LOCK_STRIPE), LARDER_OK);
        cr_assert_eq(htab_recount_locked(f.tab, s), LARDER_OK);
        lock_drop(f.w, &s->lock, LOCK_STRIPE);
        cr_assert_eq(SHM_LOAD(&s->spares_used), spares_used);
        expect_all(&f);
    }
    end(&f);
}

Test(htab, full_segment_changes_nothing) {
    struct fixture f;
    uint32_t refused = 0;
    begin(&f, 2);
    while (f.count < 2000) {
        uint64_t hash = rng_next(&f.rng) >> 1, array = SHM_LOAD(&f.tab->stripes[0].array), bytes = used_bytes(&f);
        struct stripe_shm *s = &f.tab->stripes[0];
        shm_word *slot;
        atomic_store(&heap_test_takes_left, 0);
        cr_assert_eq(lock_take(f.w, &s->lock, LOCK_STRIPE), LARDER_OK);
        int r = htab_free_slot_locked(f.w, f.tab, s, hash, &slot);
        lock_drop(f.w, &s->lock, LOCK_STRIPE);
        atomic_store(&heap_test_takes_left, -1);
        cr_assert(r == LARDER_OK || r == LARDER_E_FULL);
        cr_assert(SHM_LOAD(&s->array) == array && used_bytes(&f) == bytes && SHM_LOAD(&f.w->slot->hand[0]) == 0);
        refused += r == LARDER_E_FULL;
        cr_assert_eq(link_block(&f, hash), LARDER_OK);
    }
    cr_assert_gt(refused, 5, "whenever it had to grow");
    expect_all(&f);
    end(&f);
}

/* ---- Deaths while an array grows ------------------------------------------------------------- */

struct growth {
    struct fixture *f;
    uint64_t hash, k;
};

static int grow_and_die(void *arg) {
    const struct growth *g = arg;
    struct stripe_shm *s = htab_stripe(g->f->tab, g->hash);
    struct writer *w;
    shm_word *slot;
    PROC_CHECK(writer_borrow(g->f->db, &w) == LARDER_OK);
    PROC_CHECK(lock_take(w, &s->lock, LOCK_STRIPE) == LARDER_OK);
    SHM_STORE(&w->slot->op_a, g->f->v->ordinal);
    SHM_STORE(&w->slot->op, OP_ITEM);
    SHM_STORE(&w->slot->op_stripe_off, seg_off(w->seg, s));
    shm_crash_arm(g->k);
    PROC_CHECK(htab_free_slot_locked(w, g->f->tab, s, g->hash, &slot) == LARDER_OK);
    shm_crash_arm(0);
    return 0;
}

static uint64_t array_bytes(const struct fixture *f) {
    uint64_t array = SHM_LOAD(&f->tab->stripes[0].array);
    return array ? heap_block_bytes(f->w->seg, WORD_OFF(array)) : 0;
}

/* Fills the stripe until the next hash makes it grow, and returns that hash: `hash`, if it does. */
static uint64_t fill_until_growth(struct fixture *f, uint64_t hash) {
    for (;; hash = rng_next(&f->rng) >> 1) {
        struct stripe_shm *s = &f->tab->stripes[0];
        shm_word *slot;
        atomic_store(&heap_test_takes_left, 0);
        cr_assert_eq(lock_take(f->w, &s->lock, LOCK_STRIPE), LARDER_OK);
        int r = htab_free_slot_locked(f->w, f->tab, s, hash, &slot);
        lock_drop(f->w, &s->lock, LOCK_STRIPE);
        atomic_store(&heap_test_takes_left, -1);
        if (r == LARDER_E_FULL)
            return hash;
        cr_assert_eq(link_block(f, hash), LARDER_OK);
    }
}

/* Dies at every store of a growth, one after the other. If the larger array was published already,
 * the next death is in the next growth. */
Test(htab, death_in_growth_keeps_every_block) {
    struct fixture f;
    uint32_t count, in_old = 0, in_new = 0;
    struct growth g = {&f, 0, 1};
    begin(&f, 2);
    for (struct proc_result r = {PROC_KILLED, SIGKILL}; !proc_is_exit(r, 0); g.k++) {
        g.hash = fill_until_growth(&f, g.hash);
        uint64_t before = SHM_LOAD(&f.tab->stripes[0].array), bytes = used_bytes(&f) - array_bytes(&f);
        r = proc_run(grow_and_die, &g, 20000);
        cr_assert(proc_is_exit(r, 0) || proc_is_signal(r, SIGKILL), "store %lu: %s", g.k, proc_text(r));
        cr_assert_eq(recover_all(f.w, &count), LARDER_OK, "store %lu: %s", g.k, larder_error());
        cr_assert_eq(count, 1);
        expect_all(&f);
        cr_assert_eq(used_bytes(&f) - array_bytes(&f), bytes, "store %lu: one array, old or new", g.k);
        in_old += SHM_LOAD(&f.tab->stripes[0].array) == before;
        in_new += SHM_LOAD(&f.tab->stripes[0].array) != before;
    }
    cr_assert(in_old > 10 && in_new >= 4, "%u deaths left the old array, %u the new", in_old, in_new);
    end(&f);
}

/* ---- A growth that stands still in the middle of a scan -------------------------------------- */

#define SCANNED 6000u /* items, or a few more */

static struct {
    shm_word *array; /* the stripe's word, where it can be written */
    uint64_t larger; /* what it becomes */
    void *pages;     /* the old array, where the reader sees it */
    size_t bytes;
    volatile sig_atomic_t touches;
} trap;

/* The reader knows the old array's size and begins to read its buckets. Now the larger one is
 * published, and nothing else. */
static void publish_larger(int number) {
    (void)number;
    trap.touches++;
    /* NOLINTBEGIN(bugprone-signal-handler): the load that faults raises it, so nothing is
     * interrupted half way */
    SHM_STORE(trap.array, trap.larger);
    mprotect(trap.pages, trap.bytes, PROT_READ);
    /* NOLINTEND(bugprone-signal-handler) */
}

static void put_numbered(struct larder_table *t, struct larder_builder *b, uint32_t n) {
    const struct larder_item *item;
    char key[16];
    snprintf(key, sizeof key, "%u", n);
    larder_builder_reset(b);
    larder_builder_add_s(b, "pk", key);
    cr_assert_eq(larder_builder_finish(b, &item), LARDER_OK);
    cr_assert_eq(larder_put(t, item, NULL), LARDER_OK, "%s", larder_error());
}

static void delete_numbered(struct larder_table *t, uint32_t n) {
    char key[16];
    snprintf(key, sizeof key, "%u", n);
    cr_assert_eq(larder_delete(t, &(struct larder_key){.partition = larder_str(key)}, NULL), LARDER_OK);
}

static int free_slot(struct fixture *f, struct stripe_shm *s, uint64_t hash, shm_word **slot) {
    cr_assert_eq(lock_take(f->w, &s->lock, LOCK_STRIPE), LARDER_OK);
    int r = htab_free_slot_locked(f->w, f->tab, s, hash, slot);
    lock_drop(f->w, &s->lock, LOCK_STRIPE);
    return r;
}

/* Puts items until stripe 0 must grow for another; returns how many there are. Makes it grow, and
 * puts the old array back in its place: its bytes are still there. */
static uint32_t prepare_growth(struct fixture *f, struct seg *reader, struct larder_table *t,
                               struct larder_builder *b) {
    struct stripe_shm *s = &f->tab->stripes[0];
    shm_word *slot;
    uint64_t old, hash;
    uint32_t n = 0;
    int r = LARDER_OK;
    while (r != LARDER_E_FULL || n < SCANNED) {
        put_numbered(t, b, n++);
        hash = rng_next(&f->rng) >> 1;
        atomic_store(&heap_test_takes_left, 0);
        r = free_slot(f, s, hash, &slot);
        atomic_store(&heap_test_takes_left, -1);
    }
    old = SHM_LOAD(&s->array);
    while ((r = free_slot(f, s, hash, &slot)) == OBSTACLE_CLAIM)
        cr_assert_eq(writer_claim(f->w), LARDER_OK, "%s", larder_error());
    cr_assert_eq(r, LARDER_OK, "%s: %s", larder_result_name(r), larder_error());
    cr_assert_neq(SHM_LOAD(&s->array), old);
    trap.array = &s->array;
    trap.larger = SHM_LOAD(&s->array);
    trap.pages = reader->base + WORD_OFF(old);
    trap.bytes = 2 * SPAN_BYTES;
    SHM_STORE(&s->array, old);
    return n;
}

static uint32_t scan_count(struct larder *reader) {
    struct larder_table *t;
    struct larder_page *page;
    cr_assert_eq(larder_table_open(reader, "table", &t), LARDER_OK);
    cr_assert_eq(larder_page_new(reader, &page), LARDER_OK);
    cr_assert_eq(larder_scan(t, &(struct larder_scan_spec){.bytes_max = UINT32_MAX}, page), LARDER_OK);
    return larder_page_count(page);
}

/* One store publishes an array and the next moves the sequence. A process that is stopped in
 * between must not make a running scan take bucket numbers of one array for those of the other. */
Test(htab, scan_sees_a_growth_whose_sequence_has_not_moved) {
    struct fixture f;
    struct larder_table *t;
    struct larder_builder *b;
    begin(&f, 2);
    struct larder *reader = testseg_attach(f.db, LARDER_READ_ONLY);
    cr_assert_eq(larder_table_open(f.db, "table", &t), LARDER_OK);
    cr_assert_eq(larder_builder_new(f.db, &b), LARDER_OK);
    uint32_t items = prepare_growth(&f, &reader->seg, t, b);
    cr_assert_geq((uint64_t)WORD_TAG(SHM_LOAD(trap.array)) * sizeof(struct bucket_shm), SPAN_BYTES, "whole spans");
    cr_assert_neq(signal(SIGSEGV, publish_larger), SIG_ERR);
    cr_assert_eq(mprotect(trap.pages, trap.bytes, PROT_NONE), 0);
    uint32_t count = scan_count(reader);
    signal(SIGSEGV, SIG_DFL);
    cr_assert_eq(trap.touches, 1);
    cr_assert_eq(SHM_LOAD(trap.array), trap.larger);
    cr_assert_eq(count, items);
    larder_close(reader);
    for (uint32_t n = 0; n < items; n++)
        delete_numbered(t, n);
    end(&f);
}

/* ---- Damage ---------------------------------------------------------------------------------- */

/* A block whose beginning does not fit its chain counts as damaged. A growth puts it where it says
 * it belongs, with all others. */
Test(htab, a_block_with_a_wrong_hash_is_noticed) {
    struct fixture f;
    uint64_t word;
    begin(&f, 2);
    for (uint32_t i = 0; i < 200; i++)
        cr_assert_eq(link_block(&f, rng_next(&f.rng) >> 1), LARDER_OK);
    struct stripe_shm *s = &f.tab->stripes[0];
    cr_assert_gt(htab_bucket_count(f.tab, s), 2);
    struct linked *l = &f.linked[7];
    shm_word *block = seg_at(f.w->seg, l->off, BLOCK_BYTES);
    cr_assert_not_null(find(&f, l, &word));
    SHM_STORE(&block[0], SHM_LOAD(&block[0]) ^ (UINT64_C(1) << 62));
    struct htab_walk walk;
    void *found;
    htab_walk_begin(&walk, f.tab, s, l->hash);
    while (htab_walk_next(&walk, BLOCK_BYTES, &word, &found))
        cr_assert_neq(WORD_OFF(word), l->off);
    cr_assert(walk.is_damaged);
    htab_walk_begin(&walk, f.tab, s, f.linked[8].hash);
    while (htab_walk_next(&walk, BLOCK_BYTES, &word, &found))
        ;
    cr_assert_not(walk.is_damaged, "another is looked for");
    l->hash = htab_hash_in(WORD_MAKE(l->hash, l->off), SHM_LOAD(&block[0]));
    SHM_STORE(&block[1], l->hash);
    for (uint64_t array = SHM_LOAD(&s->array); SHM_LOAD(&s->array) == array;)
        cr_assert_eq(link_block(&f, rng_next(&f.rng) >> 1), LARDER_OK);
    expect_all(&f);
    end(&f);
}

Test(htab, damaged_links_end_walks) {
    struct fixture f;
    uint64_t words[SLOTS_MAX], word;
    begin(&f, 2);
    for (uint32_t i = 0; i < 100; i++)
        cr_assert_eq(link_block(&f, rng_next(&f.rng) >> 1), LARDER_OK);
    struct stripe_shm *s = &f.tab->stripes[0];
    uint32_t buckets = htab_bucket_count(f.tab, s);
    struct bucket_shm *array = seg_at(f.w->seg, WORD_OFF(SHM_LOAD(&s->array)), sizeof *array);
    for (uint32_t b = 0; b < buckets; b++) {
        uint64_t link = SHM_LOAD(&array[b].link), hash = ((uint64_t)b * (UINT64_C(1) << 32) / buckets + 1) << 31;
        const uint64_t bad[] = {b + 1, buckets * 9 / 8 + 5, UINT64_MAX};
        for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
            SHM_STORE(&array[b].link, bad[i]);
            cr_assert_eq(htab_bucket_slots(f.tab, s, b, words, SLOTS_MAX), -1);
            (void)walk_count(&f, hash);
        }
        SHM_STORE(&array[b].link, link);
        cr_assert_geq(htab_bucket_slots(f.tab, s, b, words, SLOTS_MAX), 0);
    }
    cr_assert_eq(htab_bucket_slots(f.tab, s, buckets, words, SLOTS_MAX), -1, "beyond the array");
    cr_assert_eq(htab_bucket_slots(f.tab, s, 0, words, 0), -1, "no room for its slots");
    uint64_t good = SHM_LOAD(&s->array);
    SHM_STORE(&s->array, WORD_MAKE(buckets, f.w->seg->bytes - 64));
    cr_assert(htab_bucket_count(f.tab, s) == 0 && !find(&f, &f.linked[0], &word) &&
              !htab_bucket(f.tab, SHM_LOAD(&s->array), 5));
    SHM_STORE(&s->array, good);
    expect_all(&f);
    end(&f);
}

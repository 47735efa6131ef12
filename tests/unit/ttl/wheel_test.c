/* tests/unit/ttl/wheel_test.c - the timer wheel against a naive one.
 *
 * Goal     Every entry fires in its second, not before and not after, over every boundary of the
 *          four levels, over jumps of years and clocks set back. Nothing is lost when memory runs
 *          out, when entries are added while others fire or when some cannot be handled. All memory
 *          comes back.
 * Method   The clock is a number that the test sets. The naive wheel is an array that is searched
 *          from end to end. After each test larder_check() verifies the rules of ttl/wheel.h.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "core/table/db.h"
#include "tests/support/rng.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"
#include "tests/support/until.h"
#include "ttl/wheel.h"

TestSuite(wheel, .timeout = 60 * SLOW_FACTOR);

#define SEGMENT_BYTES (64u << 20) /* several shards */
#define YEAR_S 31557600u
#define NOW_S 1700000000u
#define ENTRIES_MAX 200000u
#define BLOCKS_MAX 50000u

extern _Atomic int64_t heap_test_takes_left; /* core/memory/heap.c */

struct fixture {
    struct larder *db;
    struct writer *w;
    struct wheel_entry *fired;
    uint32_t fired_count;
    uint64_t used_bytes; /* of the segment, when the wheel was empty */
};

static uint64_t used_bytes(struct larder *db) {
    struct larder_segment_stats stats;
    cr_assert_eq(larder_segment_stats(db, &stats), LARDER_OK);
    return stats.used_bytes;
}

static struct fixture begin(uint64_t bytes) {
    struct fixture f = {.db = testseg_open(bytes, 0)};
    cr_assert_eq(writer_borrow(f.db, &f.w), LARDER_OK, "%s", larder_error());
    f.fired = calloc(ENTRIES_MAX, sizeof *f.fired);
    cr_assert_not_null(f.fired);
    f.used_bytes = used_bytes(f.db);
    return f;
}

static void check(struct fixture *f) {
    struct larder_check_report report;
    cr_assert_eq(larder_check(f->db, NULL, &report), LARDER_OK, "%s", larder_error());
    cr_assert_eq(report.leaked_blocks, 0);
}

static void end(struct fixture *f) {
    check(f);
    writer_return(f->w);
    larder_close(f->db);
    free(f->fired);
}

static int add_may_fail(struct fixture *f, uint64_t hash, uint32_t second, uint16_t table) {
    int r;
    while ((r = wheel_add(f->w, hash, second, table)) == OBSTACLE_CLAIM)
        cr_assert_eq(writer_claim(f->w), LARDER_OK, "%s", larder_error());
    return r;
}

static void add(struct fixture *f, uint64_t hash, uint32_t second, uint16_t table) {
    cr_assert_eq(add_may_fail(f, hash, second, table), LARDER_OK, "%s", larder_error());
}

/* Fires one batch: entry i is finished unless bit i of `kept` is set. */
static void fire(struct fixture *f, struct wheel_walk *walk, struct wheel_batch *batch, uint64_t kept) {
    for (uint32_t i = 0; i < batch->count; i++) {
        if (kept >> i & 1)
            continue;
        cr_assert_lt(f->fired_count, ENTRIES_MAX);
        f->fired[f->fired_count++] = batch->entry[i];
        batch->done |= UINT64_C(1) << i;
    }
    if (batch->count)
        cr_assert_eq(wheel_retire(f->w, walk, batch), LARDER_OK, "%s", larder_error());
}

static int advance_shard(struct fixture *f, uint32_t shard, uint32_t now_s, int is_sweep) {
    struct wheel_walk walk = {.shard = shard, .now_s = now_s, .is_sweep = is_sweep};
    struct wheel_batch batch;
    for (;;) {
        int r = wheel_collect(f->w, &walk, &batch);
        if (r == OBSTACLE_CLAIM && writer_claim(f->w) == LARDER_OK)
            continue;
        if (r != LARDER_MORE)
            return r;
        fire(f, &walk, &batch, 0);
    }
}

static void advance(struct fixture *f, uint32_t now_s) {
    f->fired_count = 0;
    for (uint32_t i = 0; i < f->w->seg->shard_count; i++)
        cr_assert_eq(advance_shard(f, i, now_s, 0), LARDER_OK, "%s", larder_error());
}

/* ---- Placing --------------------------------------------------------------------------------- */

Test(wheel, places_by_the_highest_byte_that_differs) {
    static const struct {
        uint32_t next, second, level, slot;
    } cases[] = {{1, 1, 0, 1},
                 {1, 255, 0, 255},
                 {1, 256, 1, 1},
                 {255, 256, 1, 1},
                 {256, 511, 0, 255},
                 {256, 512, 1, 2},
                 {1, 65535, 1, 255},
                 {1, 65536, 2, 1},
                 {65535, 65536, 2, 1},
                 {1, 0xffffff, 2, 255},
                 {1, 0x1000000, 3, 1},
                 {1, UINT32_MAX, 3, 255},
                 {0xfffffffe, UINT32_MAX, 0, 255},
                 {UINT32_MAX, UINT32_MAX, 0, 255}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        cr_assert_eq(wheel_place(cases[i].next, cases[i].second), cases[i].level * WHEEL_SLOTS + cases[i].slot,
                     "case %zu", i);
}

Test(wheel, every_hash_has_a_shard) {
    struct fixture f = begin(SEGMENT_BYTES);
    uint32_t shards = f.w->seg->shard_count;
    cr_assert_gt(shards, 1);
    cr_assert_eq(wheel_shard_of(f.w->seg, 0), 0);
    cr_assert_eq(wheel_shard_of(f.w->seg, UINT64_MAX), shards - 1);
    end(&f);
}

/* ---- Boundaries ------------------------------------------------------------------------------ */

static const uint32_t starts_s[] = {0, 254, 255, 256, 65534, 65535, 65536, 0xfffffe, 0xffffff, 0x1000000, NOW_S};
static const uint32_t deltas_s[] = {1,     2,     254,      255,       256,       257,    65279,     65535,
                                    65536, 65537, 0xffffff, 0x1000000, 0x1000001, YEAR_S, 0x12345678};

static void fires_in_its_second(uint32_t start_s, uint32_t delta_s) {
    struct fixture f = begin(LARDER_SEGMENT_BYTES_MIN);
    uint32_t at_s = start_s + delta_s;
    advance(&f, start_s);
    add(&f, 0x1234, at_s, 7);
    check(&f);
    advance(&f, at_s - 1);
    cr_assert_eq(f.fired_count, 0, "an entry for %u + %u fired too early", start_s, delta_s);
    check(&f);
    advance(&f, at_s);
    cr_assert_eq(f.fired_count, 1, "an entry for %u + %u did not fire", start_s, delta_s);
    cr_assert_eq(f.fired[0].hash, 0x1234);
    cr_assert_eq(f.fired[0].second, at_s);
    cr_assert_eq(f.fired[0].table, 7);
    advance(&f, at_s + YEAR_S);
    cr_assert_eq(f.fired_count, 0);
    cr_assert_eq(used_bytes(f.db), f.used_bytes);
    end(&f);
}

Test(wheel, fires_in_its_second_over_every_boundary) {
    for (size_t s = 0; s < sizeof starts_s / sizeof *starts_s; s++)
        for (size_t d = 0; d < sizeof deltas_s / sizeof *deltas_s; d++)
            fires_in_its_second(starts_s[s], deltas_s[d]);
}

/* The same in steps of one second, through two boundaries of level 1 and one of level 2. */
Test(wheel, ticks_second_by_second) {
    struct fixture f = begin(LARDER_SEGMENT_BYTES_MIN);
    const uint32_t start_s = 65536 * 3 - 300;
    advance(&f, start_s);
    for (uint32_t i = 1; i <= 600; i++)
        add(&f, i, start_s + i, 0);
    for (uint32_t i = 1; i <= 600; i++) {
        advance(&f, start_s + i);
        cr_assert_eq(f.fired_count, 1, "%u entries fired in second %u", f.fired_count, i);
        cr_assert_eq(f.fired[0].hash, i);
    }
    cr_assert_eq(used_bytes(f.db), f.used_bytes);
    end(&f);
}

Test(wheel, the_last_second_is_never_reached) {
    struct fixture f = begin(LARDER_SEGMENT_BYTES_MIN);
    add(&f, 1, UINT32_MAX, 0);
    add(&f, 2, UINT32_MAX - 1, 0);
    advance(&f, WHEEL_NOW_MAX);
    cr_assert_eq(f.fired_count, 1);
    cr_assert_eq(f.fired[0].hash, 2);
    add(&f, 3, 5, 0); /* late, and beyond the wheel's end there is no second to wait in */
    advance(&f, WHEEL_NOW_MAX);
    cr_assert_eq(f.fired_count, 1);
    cr_assert_eq(f.fired[0].hash, 3);
    end(&f);
}

/* ---- Clocks ---------------------------------------------------------------------------------- */

Test(wheel, jumps_of_years_take_no_time) {
    struct fixture f = begin(SEGMENT_BYTES);
    struct rng r;
    rng_seed(&r, rng_test_seed("wheel_test"));
    advance(&f, NOW_S);
    uint64_t begin_ms = until_own_ms();
    for (uint32_t i = 1; i <= 100; i++) /* 40 years, over and over, and nothing in the wheel */
        advance(&f, NOW_S + i * (40 * YEAR_S / 100));
    cr_assert_lt(until_own_ms() - begin_ms, 200 * SLOW_FACTOR);
    end(&f);
    f = begin(SEGMENT_BYTES);
    advance(&f, NOW_S);
    for (uint32_t i = 0; i < 10000; i++)
        add(&f, rng_next(&r), NOW_S + (uint32_t)rng_below(&r, 40u * YEAR_S), 1);
    begin_ms = until_own_ms();
    advance(&f, NOW_S + YEAR_S);
    uint32_t first_year = f.fired_count;
    cr_assert(first_year > 100 && first_year < 500);
    advance(&f, NOW_S + 40 * YEAR_S);
    cr_assert_eq(f.fired_count, 10000 - first_year);
    cr_assert_lt(until_own_ms() - begin_ms, 500 * SLOW_FACTOR);
    cr_assert_eq(used_bytes(f.db), f.used_bytes);
    end(&f);
}

Test(wheel, what_is_late_fires_in_the_same_second) {
    struct fixture f = begin(SEGMENT_BYTES);
    advance(&f, NOW_S);
    for (uint32_t i = 0; i < 500; i++) {
        add(&f, i, NOW_S - i, 0);
        add(&f, i, NOW_S + 1, 1);
    }
    advance(&f, NOW_S);
    cr_assert_eq(f.fired_count, 500);
    check(&f);
    advance(&f, NOW_S);
    cr_assert_eq(f.fired_count, 0);
    advance(&f, NOW_S + 1);
    cr_assert_eq(f.fired_count, 500);
    cr_assert_eq(used_bytes(f.db), f.used_bytes);
    end(&f);
}

Test(wheel, a_clock_set_back_fires_nothing_before_its_second) {
    struct fixture f = begin(SEGMENT_BYTES);
    advance(&f, NOW_S);
    add(&f, 1, NOW_S + 10, 0);
    advance(&f, NOW_S - YEAR_S);
    add(&f, 2, NOW_S - YEAR_S + 5, 0); /* the wheel has handled that second, a year before */
    advance(&f, NOW_S - YEAR_S + 4);
    cr_assert_eq(f.fired_count, 0);
    check(&f);
    advance(&f, NOW_S - YEAR_S + 5);
    cr_assert_eq(f.fired_count, 1);
    cr_assert_eq(f.fired[0].hash, 2);
    advance(&f, NOW_S + 9);
    cr_assert_eq(f.fired_count, 0);
    advance(&f, NOW_S + 10);
    cr_assert_eq(f.fired_count, 1);
    end(&f);
}

/* ---- Against the naive wheel ----------------------------------------------------------------- */

#define MODEL_ENTRIES_MAX 20000u

struct naive {
    struct wheel_entry entry[MODEL_ENTRIES_MAX];
    uint32_t count;
};

static int compare_entries(const void *a, const void *b) {
    const struct wheel_entry *x = a, *y = b;
    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    return (x->second > y->second) - (x->second < y->second);
}

static void naive_add(struct naive *n, uint64_t hash, uint32_t second, uint16_t table) {
    n->entry[n->count++] = (struct wheel_entry){.hash = hash, .second = second, .table = table};
}

/* Moves what is due at now_s to `fired`, in any order. */
static uint32_t naive_advance(struct naive *n, uint32_t now_s, struct wheel_entry *fired) {
    uint32_t fired_count = 0, kept = 0;
    for (uint32_t i = 0; i < n->count; i++)
        if (n->entry[i].second <= now_s)
            fired[fired_count++] = n->entry[i];
        else
            n->entry[kept++] = n->entry[i];
    n->count = kept;
    return fired_count;
}

static uint32_t random_delta(struct rng *r) {
    switch (rng_below(r, 6)) {
    case 0:
        return (uint32_t)rng_below(r, 3);
    case 1:
        return (uint32_t)rng_below(r, 300);
    case 2:
        return (uint32_t)rng_below(r, 70000);
    case 3:
        return 256 * (uint32_t)rng_below(r, 3) + (uint32_t)rng_below(r, 2);
    case 4:
        return (uint32_t)rng_below(r, 20000000);
    default:
        return (uint32_t)rng_below(r, 30) == 0 ? (uint32_t)rng_below(r, 400000000) : (uint32_t)rng_below(r, 5000);
    }
}

static void run_model(uint64_t seed, uint32_t steps) {
    static struct naive n;
    static struct wheel_entry expected[MODEL_ENTRIES_MAX];
    struct fixture f = begin(SEGMENT_BYTES);
    struct rng r;
    rng_seed(&r, seed);
    memset(&n, 0, sizeof n);
    uint32_t clock_s = rng_is_one_in(&r, 2) ? NOW_S : (uint32_t)rng_below(&r, 70000);
    for (uint32_t step = 0; step < steps; step++) {
        for (uint64_t adds = rng_below(&r, 200); adds > 0 && n.count < MODEL_ENTRIES_MAX; adds--) {
            uint64_t hash = rng_next(&r);
            uint32_t second = rng_is_one_in(&r, 10) ? clock_s - (uint32_t)rng_below(&r, 2) : clock_s + random_delta(&r);
            naive_add(&n, hash, second, 3);
            add(&f, hash, second, 3);
        }
        uint32_t moved = random_delta(&r);
        clock_s = rng_is_one_in(&r, 20) && moved < clock_s ? clock_s - moved : clock_s + moved;
        if (clock_s > 3500000000u)
            clock_s = NOW_S;
        uint32_t count = naive_advance(&n, clock_s, expected);
        advance(&f, clock_s);
        cr_assert_eq(f.fired_count, count, "step %u: %u fired, expected %u", step, f.fired_count, count);
        qsort(expected, count, sizeof *expected, compare_entries);
        qsort(f.fired, count, sizeof *f.fired, compare_entries);
        cr_assert(count == 0 || memcmp(expected, f.fired, count * sizeof *expected) == 0, "step %u", step);
        if (step % 16 == 0)
            check(&f);
    }
    advance(&f, WHEEL_NOW_MAX);
    cr_assert_eq(f.fired_count, n.count);
    cr_assert_eq(used_bytes(f.db), f.used_bytes);
    end(&f);
}

Test(wheel, agrees_with_the_naive_wheel) {
    uint64_t seed = rng_test_seed("wheel_test");
    uint32_t runs = getenv("LARDER_TEST_LONG") ? 200 : 6;
    for (uint32_t i = 0; i < runs; i++)
        run_model(seed + i, 150);
}

/* ---- What cannot be handled now -------------------------------------------------------------- */

Test(wheel, what_is_not_done_stays_and_time_stands_still) {
    struct fixture f = begin(LARDER_SEGMENT_BYTES_MIN);
    struct wheel_walk walk = {.now_s = NOW_S + 1000};
    struct wheel_batch batch;
    int r;
    advance(&f, NOW_S);
    for (uint32_t i = 0; i < 200; i++)
        add(&f, i, NOW_S + 1 + i, 0);
    while ((r = wheel_collect(f.w, &walk, &batch)) == LARDER_MORE && batch.count == 0)
        ;
    cr_assert_eq(r, LARDER_MORE);
    uint64_t next_s = SHM_LOAD(&wheel_shard(f.w->seg, 0)->now_s) + 1;
    fire(&f, &walk, &batch, UINT64_MAX);
    cr_assert_eq(f.fired_count, 0);
    cr_assert_eq(SHM_LOAD(&wheel_shard(f.w->seg, 0)->now_s) + 1, next_s);
    check(&f);
    advance(&f, NOW_S + 1000);
    cr_assert_eq(f.fired_count, 200);
    end(&f);
}

Test(wheel, entries_added_while_others_fire_are_not_lost) {
    struct fixture f = begin(LARDER_SEGMENT_BYTES_MIN);
    struct wheel_walk walk = {.now_s = NOW_S + 5};
    struct wheel_batch batch;
    uint32_t added = 0;
    advance(&f, NOW_S);
    for (; added < 100; added++)
        add(&f, added, NOW_S + 5, 0);
    for (int r; (r = wheel_collect(f.w, &walk, &batch)) != LARDER_OK;) {
        cr_assert_eq(r, LARDER_MORE);
        /* into the same chunk, and newer ones before it */
        for (uint32_t i = 0; i < 40 && added < 2000; i++, added++)
            add(&f, added, NOW_S + 5, 0);
        fire(&f, &walk, &batch, added % 3 == 0 ? 0xaaaa : 0);
    }
    cr_assert_eq(f.fired_count, added);
    char seen[2000] = {0};
    for (uint32_t i = 0; i < f.fired_count; i++)
        seen[f.fired[i].hash]++;
    for (uint32_t i = 0; i < added; i++)
        cr_assert_eq(seen[i], 1, "entry %u fired %d times", i, seen[i]);
    cr_assert_eq(used_bytes(f.db), f.used_bytes);
    end(&f);
}

Test(wheel, a_sweep_sees_everything_due_once_and_moves_nothing) {
    struct fixture f = begin(LARDER_SEGMENT_BYTES_MIN);
    struct rng r;
    rng_seed(&r, rng_test_seed("wheel_test"));
    advance(&f, NOW_S);
    uint32_t due = 0;
    for (uint32_t i = 0; i < 5000; i++) {
        uint32_t second = NOW_S + 1 + (uint32_t)rng_below(&r, 200000);
        due += second <= NOW_S + 100000;
        add(&f, i, second, 0);
    }
    /* Every third cannot be handled. */
    struct wheel_walk walk = {.now_s = NOW_S + 100000, .is_sweep = 1};
    struct wheel_batch batch;
    uint32_t seen = 0;
    for (int got; (got = wheel_collect(f.w, &walk, &batch)) != LARDER_OK;) {
        cr_assert_eq(got, LARDER_MORE);
        seen += batch.count;
        fire(&f, &walk, &batch, UINT64_C(0x4924924924924924));
    }
    cr_assert_eq(seen, due);
    cr_assert(f.fired_count < due && f.fired_count > due / 2);
    cr_assert_eq(SHM_LOAD(&wheel_shard(f.w->seg, 0)->now_s), NOW_S);
    check(&f);
    uint32_t swept = f.fired_count;
    advance(&f, NOW_S + 100000);
    cr_assert_eq(f.fired_count + swept, due);
    advance(&f, NOW_S + 200000);
    cr_assert_eq(f.fired_count, 5000 - due);
    cr_assert_eq(used_bytes(f.db), f.used_bytes);
    end(&f);
}

Test(wheel, without_memory_nothing_is_lost) {
    struct fixture f = begin(LARDER_SEGMENT_BYTES_MIN);
    advance(&f, NOW_S);
    for (uint32_t i = 0; i < 3000; i++)
        add(&f, i, NOW_S + 300 + i * 7, 0);
    uint32_t fired = 0;
    for (uint32_t now_s = NOW_S; now_s < NOW_S + 300 + 3000 * 7; now_s += 997) {
        f.fired_count = 0;
        atomic_store(&heap_test_takes_left, now_s % 5); /* full after as many blocks */
        int r = advance_shard(&f, 0, now_s, 0);
        cr_assert(r == LARDER_OK || r == LARDER_E_FULL, "%s", larder_error());
        if (r == LARDER_E_FULL)
            cr_assert_eq(advance_shard(&f, 0, now_s, 1), LARDER_OK);
        atomic_store(&heap_test_takes_left, -1);
        for (uint32_t i = 0; i < f.fired_count; i++)
            cr_assert_leq(f.fired[i].second, now_s);
        fired += f.fired_count;
        uint32_t due = now_s < NOW_S + 300 ? 0 : (now_s - NOW_S - 300) / 7 + 1;
        cr_assert_eq(fired, due < 3000 ? due : 3000, "%u fired of %u", fired, due);
        check(&f);
    }
    advance(&f, NOW_S + 40000);
    cr_assert_eq(fired + f.fired_count, 3000);
    cr_assert_eq(used_bytes(f.db), f.used_bytes);
    end(&f);
}

Test(wheel, an_add_that_does_not_fit_changes_nothing) {
    struct fixture f = begin(LARDER_SEGMENT_BYTES_MIN);
    advance(&f, NOW_S);
    atomic_store(&heap_test_takes_left, 0);
    cr_assert_eq(add_may_fail(&f, 1, NOW_S + 1, 0), LARDER_E_FULL);
    atomic_store(&heap_test_takes_left, -1);
    cr_assert_eq(used_bytes(f.db), f.used_bytes);
    advance(&f, NOW_S + 1);
    cr_assert_eq(f.fired_count, 0);
    end(&f);
}

/* Takes all blocks of the whole segment, except those kept for arrays. In hand as if linked. */
static uint32_t take_all(struct fixture *f, uint64_t bytes, uint64_t *offs, uint32_t count) {
    for (int r; count < BLOCKS_MAX && (r = heap_take(f->w, bytes, HAND_STEP1, 0, &offs[count])) != LARDER_E_FULL;) {
        if (r == OBSTACLE_CLAIM && writer_claim(f->w) != LARDER_OK)
            break;
        if (r == LARDER_OK) {
            SHM_STORE(&f->w->slot->hand[0], 0);
            count++;
        }
    }
    return count;
}

static void give(struct fixture *f, uint64_t off) {
    SHM_STORE(&f->w->slot->hand[0], off | HAND_STEP1);
    cr_assert_eq(heap_give(f->w, 0), LARDER_OK, "%s", larder_error());
}

/* W1: in a segment whose free blocks all have the size of items, a chunk is as large as those. */
Test(wheel, a_chunk_is_as_large_as_can_be_had) {
    static uint64_t offs[BLOCKS_MAX];
    struct fixture f = begin(LARDER_SEGMENT_BYTES_MIN);
    advance(&f, NOW_S);
    uint32_t entries = 4 + 7 + 15 + 31; /* the next chunk is one of 1,024 bytes */
    for (uint32_t i = 0; i < entries; i++)
        add(&f, i, NOW_S + 1, 0);
    uint32_t count = take_all(&f, 384, offs, 0);
    cr_assert_gt(count, 100);
    for (uint32_t c = CLASS_COUNT; c > 0; c--)
        count = take_all(&f, heap_class_bytes(c - 1), offs, count);
    cr_assert_eq(wheel_add(f.w, entries, NOW_S + 1, 0), OBSTACLE_CLAIM);
    cr_assert_eq(heap_block_bytes(f.w->seg, offs[100]), 384);
    give(&f, offs[100]);
    offs[100] = offs[--count];
    cr_assert_eq(wheel_add(f.w, entries++, NOW_S + 1, 0), LARDER_OK, "%s", larder_error());
    uint32_t place = wheel_place(NOW_S + 1, NOW_S + 1);
    struct wheel_chunk chunk;
    cr_assert_eq(wheel_chunk_at(f.w->seg, SHM_LOAD(&wheel_shard(f.w->seg, 0)->slot[0][place]), &chunk), LARDER_OK);
    cr_assert_eq(chunk.capacity, (384 - 16) / 16);
    for (uint32_t i = 1; i < chunk.capacity; i++)
        cr_assert_eq(wheel_add(f.w, entries++, NOW_S + 1, 0), LARDER_OK, "%s", larder_error());
    cr_assert_eq(wheel_add(f.w, entries, NOW_S + 1, 0), OBSTACLE_CLAIM);
    while (count)
        give(&f, offs[--count]);
    advance(&f, NOW_S + 1);
    cr_assert_eq(f.fired_count, entries);
    cr_assert_eq(used_bytes(f.db), f.used_bytes);
    end(&f);
}

static int64_t clock_s = NOW_S;

static int64_t test_clock(void *arg) {
    (void)arg;
    return clock_s;
}

static void put_item(struct larder_table *t, struct larder_builder *b, int64_t id, int64_t ttl_s) {
    const struct larder_item *item;
    larder_builder_reset(b);
    larder_builder_add_int(b, "id", id);
    larder_builder_add_int(b, "ttl", ttl_s);
    cr_assert_eq(larder_builder_finish(b, &item), LARDER_OK, "%s", larder_error());
    cr_assert_eq(larder_put(t, item, NULL), LARDER_OK, "%s", larder_error());
}

/* Timers of items that live longer now cannot be armed again, and stand before those of items that
 * have expired. */
Test(wheel, without_memory_all_that_has_expired_is_removed) {
    struct fixture f = begin(LARDER_SEGMENT_BYTES_MIN);
    const struct larder_table_def def = {.name = "things", .partition = {"id", LARDER_N}, .ttl_attribute = "ttl"};
    struct larder_table *t;
    struct larder_builder *b;
    struct larder_table_stats stats;
    uint64_t removed;
    clock_s = NOW_S;
    larder_set_clock(f.db, test_clock, NULL);
    cr_assert_eq(larder_table_create(f.db, &def), LARDER_OK, "%s", larder_error());
    cr_assert_eq(larder_table_open(f.db, "things", &t), LARDER_OK);
    cr_assert_eq(larder_builder_new(f.db, &b), LARDER_OK);
    cr_assert_eq(larder_expire(f.db, 0, NULL), LARDER_OK);
    for (int i = 0; i < 300; i++) {
        put_item(t, b, i, NOW_S + 1 + i % 20);
        put_item(t, b, i, NOW_S + 5000 + i * 300);
        put_item(t, b, 1000 + i, NOW_S + 30 + i);
    }
    clock_s = NOW_S + 400;
    atomic_store(&heap_test_takes_left, 0);
    cr_assert_eq(larder_expire(f.db, 0, &removed), LARDER_OK, "%s", larder_error());
    cr_assert_eq(removed, 300);
    check(&f);
    atomic_store(&heap_test_takes_left, -1);
    cr_assert_eq(larder_expire(f.db, 0, &removed), LARDER_OK, "%s", larder_error());
    cr_assert_eq(removed, 0);
    check(&f);
    clock_s = NOW_S + 5000 + 300 * 300;
    cr_assert_eq(larder_expire(f.db, 0, &removed), LARDER_OK, "%s", larder_error());
    cr_assert_eq(removed, 300);
    cr_assert_eq(larder_table_stats(t, &stats), LARDER_OK);
    cr_assert_eq(stats.item_count, 0);
    cr_assert_eq(stats.wheel_entries, 0);
    end(&f);
}

/* ---- Damage ---------------------------------------------------------------------------------- */

Test(wheel, damaged_chunks_are_refused) {
    static const uint64_t fills[] = {
        0, 1, UINT64_C(64) << 32 | 1, UINT64_C(4) << 32 | 5, UINT64_MAX, UINT64_C(4) << 32};
    struct fixture f = begin(LARDER_SEGMENT_BYTES_MIN);
    advance(&f, NOW_S);
    add(&f, 1, NOW_S + 1, 0);
    uint32_t place = wheel_place(NOW_S + 1, NOW_S + 1);
    shm_word *slot = &wheel_shard(f.w->seg, 0)->slot[place / WHEEL_SLOTS][place % WHEEL_SLOTS];
    uint64_t good_off = SHM_LOAD(slot);
    struct wheel_chunk_shm *chunk = seg_at(f.w->seg, good_off, sizeof *chunk);
    uint64_t good_fill = SHM_LOAD(&chunk->fill);
    for (size_t i = 0; i < sizeof fills / sizeof *fills; i++) {
        SHM_STORE(&chunk->fill, fills[i]);
        cr_assert_eq(advance_shard(&f, 0, NOW_S + 1, 0), LARDER_E_CORRUPT, "fill %zu", i);
        cr_assert_eq(advance_shard(&f, 0, NOW_S + 1, 1), LARDER_E_CORRUPT, "fill %zu", i);
        cr_assert_eq(wheel_add(f.w, 2, NOW_S + 1, 0), LARDER_E_CORRUPT, "fill %zu", i);
    }
    SHM_STORE(&chunk->fill, good_fill);
    const uint64_t offs[] = {8, good_off + 4, UINT64_MAX, f.w->seg->bytes, f.w->seg->bytes - 8};
    for (size_t i = 0; i < sizeof offs / sizeof *offs; i++) {
        SHM_STORE(slot, offs[i]);
        cr_assert_eq(advance_shard(&f, 0, NOW_S + 1, 0), LARDER_E_CORRUPT, "offset %zu", i);
    }
    SHM_STORE(slot, good_off);
    advance(&f, NOW_S + 1);
    cr_assert_eq(f.fired_count, 1);
    end(&f);
}

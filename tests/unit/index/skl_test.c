/* tests/unit/index/skl_test.c - the lists of partitions against sorted arrays.
 *
 * Goal     Lists hold exactly what was added and not removed, are read in order from any place in
 *          both directions, keep their rules (larder_check), change nothing when memory runs out,
 *          remove without memory, give every block back, and crash no reader when they are damaged.
 * Method   Random changes of a list and of its array (skl_kit.h).
 */
#include <criterion/criterion.h>

#include "core/table/db.h"
#include "tests/support/rng.h"
#include "tests/support/slow.h"
#include "tests/unit/index/skl_kit.h"

TestSuite(skl, .timeout = 100 * SLOW_FACTOR);

/* core/memory/heap.c: that many blocks, then LARDER_E_FULL; -1: no limit */
extern _Atomic int64_t heap_test_takes_left;

#define KINDS 6u

static void check_places(struct fixture *f, const struct model *m, int count) {
    uint8_t key[LEAF_KEY_BYTES_MAX];
    while (count-- > 0) {
        struct leaf_entry e = random_entry(f, key);
        struct leaf_cut cut = leaf_cut_before(&e);
        uint32_t at = model_find(m, &e);
        check_up(f, m, &cut, at, 2);
        check_down(f, m, &cut, at, 2);
    }
}

static void random_run(uint64_t kind, uint32_t capacity, uint32_t target, uint32_t changes) {
    struct fixture *f = begin(64 << 20, capacity);
    f->kind = kind;
    for (uint32_t i = 0; i < changes; i++) {
        struct model *m = &f->model[rng_below(&f->rng, LISTS)];
        random_change(f, m, i < changes * 3 / 4 ? target : 1); /* at the end, down to little */
        if (rng_is_one_in(&f->rng, changes / 30)) {
            check(f);
            check_all(f, m);
        }
        if (rng_is_one_in(&f->rng, changes / 100))
            check_places(f, m, 10);
    }
    for (uint32_t m = 0; m < LISTS; m++)
        check_all(f, &f->model[m]);
    finish(f);
}

Test(skl, is_a_sorted_array_with_tiny_leaves) {
    for (uint64_t kind = 0; kind < KINDS; kind++)
        for (uint32_t capacity = 2; capacity < 5; capacity++)
            random_run(kind, capacity, 60, 2000 / (SLOW_FACTOR > 1 ? 4 : 1));
}

Test(skl, is_a_sorted_array_with_real_leaves) {
    for (uint64_t kind = 0; kind < KINDS; kind++)
        random_run(kind, LEAF_ENTRIES, 500, 8000 / (SLOW_FACTOR > 1 ? 8 : 1));
}

/* ---- What has left --------------------------------------------------------------------------- */

/* Bytes per entry of a list that grew at one end. */
static double grow(struct fixture *f, struct model *m, int is_descending) {
    uint8_t key[LEAF_KEY_BYTES_MAX];
    uint64_t before = used_bytes(f->db);
    for (uint32_t i = 0; i < 5000; i++) {
        struct leaf_entry e = numbered(is_descending ? 5000 - i : i, key);
        cr_assert_eq(change_claiming(f, m, &e, 1), LARDER_OK);
        model_add(m, &e);
    }
    check(f);
    check_all(f, m);
    return (double)(used_bytes(f->db) - before) / 5000;
}

Test(skl, fills_its_leaves_when_keys_come_in_order) {
    struct fixture *f = begin(64 << 20, LEAF_ENTRIES);
    double up = grow(f, &f->model[0], 0), down = grow(f, &f->model[2], 1);
    cr_assert_lt(up, 32, "%f", up); /* 16 and a suffix, if leaves are full */
    cr_assert_lt(down, 32, "%f", down);
    finish(f);
}

Test(skl, removes_from_either_end_and_gives_all_back) {
    struct fixture *f = begin(64 << 20, 4);
    for (int from_the_end = 0; from_the_end < 2; from_the_end++) {
        struct model *m = &f->model[from_the_end];
        grow(f, m, 0);
        while (m->count) {
            struct model_entry *there = m->entry[from_the_end ? m->count - 1 : 0];
            struct leaf_entry e = there->e;
            uint8_t key[LEAF_KEY_BYTES_MAX];
            memcpy(key, there->key, e.key_bytes);
            e.key = key;
            cr_assert_eq(change_claiming(f, m, &e, 0), LARDER_OK);
            model_remove(m, &e);
            if (m->count % 500 == 0) {
                check(f);
                check_all(f, m);
            }
        }
        cr_assert_eq(htab_stripe(&f->v->partitions, m->hash)->count, 0);
    }
    finish(f);
}

static double bytes_per_entry(struct fixture *f, const struct model *m) {
    return (double)(used_bytes(f->db) - f->used_bytes) / m->count;
}

/* Nine of ten entries go, wherever they are: what is left takes little more than it would if it had
 * come alone. A list that fits into one leaf is one, without a head. */
static void shrink_to(struct fixture *f, struct model *m, uint32_t left) {
    uint8_t key[LEAF_KEY_BYTES_MAX];
    while (m->count > left) {
        const struct model_entry *there = m->entry[rng_below(&f->rng, m->count)];
        struct leaf_entry e = there->e;
        memcpy(key, there->key, e.key_bytes);
        e.key = key;
        cr_assert_eq(change_claiming(f, m, &e, 0), LARDER_OK);
        model_remove(m, &e);
    }
    check(f);
    check_all(f, m);
}

Test(skl, merges_leaves_that_became_small) {
    struct fixture *f = begin(64 << 20, LEAF_ENTRIES);
    struct model *m = &f->model[0];
    uint64_t empty = f->used_bytes;
    f->used_bytes = used_bytes(f->db);
    grow(f, m, 0);
    double before = bytes_per_entry(f, m);
    shrink_to(f, m, 500);
    double after = bytes_per_entry(f, m);
    cr_expect_lt(after, before * 1.6, "%f, then %f", before, after);
    shrink_to(f, m, 20);
    struct skl_list list;
    cr_assert(skl_find(&list, &f->v->partitions, m->hash, m->index));
    cr_expect(list.slot && list.leaf_off, "twenty entries, and a head");
    f->used_bytes = empty;
    finish(f);
}

/* What a removal left in its leaf, an entry or two that are dead, goes when memory is short. */
Test(skl, trims_its_leaves) {
    for (uint64_t kind = 0; kind < KINDS; kind++)
        for (uint32_t capacity = 4; capacity <= LEAF_ENTRIES; capacity *= 4) {
            struct fixture *f = begin(64 << 20, capacity);
            f->kind = kind;
            for (uint32_t i = 0; i < 2000 / SLOW_FACTOR; i++)
                for (uint32_t m = 0; m < LISTS; m++)
                    random_change(f, &f->model[m], i < 1000 / SLOW_FACTOR ? 300 : 10);
            uint64_t used = used_bytes(f->db);
            for (uint32_t m = 0; m < LISTS; m += 2) {
                uint32_t trimmed = 0;
                struct stripe_shm *stripe = htab_stripe(&f->v->partitions, f->model[m].hash);
                cr_assert_eq(lock_take(f->w, &stripe->lock, LOCK_PARTITION), LARDER_OK);
                cr_assert_eq(skl_trim_stripe_locked(f->w, &f->v->partitions, stripe, &trimmed), LARDER_OK);
                lock_drop(f->w, &stripe->lock, LOCK_PARTITION);
            }
            cr_assert_leq(used_bytes(f->db), used);
            check(f);
            for (uint32_t m = 0; m < LISTS; m++)
                check_all(f, &f->model[m]);
            finish(f);
        }
}

/* Entries that leave from one end, a queue. The leaf before the first is empty at times. */
Test(skl, merges_the_leaves_of_a_queue) {
    struct fixture *f = begin(64 << 20, LEAF_ENTRIES);
    struct model *m = &f->model[0];
    uint8_t key[LEAF_KEY_BYTES_MAX];
    for (uint32_t i = 0; i < 5000; i++) {
        struct leaf_entry e = numbered(i, key), gone = numbered(i - 30, key + 100);
        cr_assert_eq(change_claiming(f, m, &e, 1), LARDER_OK);
        model_add(m, &e);
        if (i < 30)
            continue;
        cr_assert_eq(change_claiming(f, m, &gone, 0), LARDER_OK);
        model_remove(m, &gone);
        if (i % 500 == 0)
            cr_expect_lt(bytes_per_entry(f, m), 100);
    }
    check(f);
    check_all(f, m);
    finish(f);
}

Test(skl, changes_nothing_without_memory) {
    for (uint64_t kind = 0; kind < KINDS; kind++) {
        struct fixture *f = begin(64 << 20, 3);
        struct model *m = &f->model[0];
        f->kind = kind;
        for (int i = 0; i < 300; i++) {
            uint8_t key[LEAF_KEY_BYTES_MAX];
            struct leaf_entry e = random_entry(f, key);
            for (int64_t takes = 0;; takes++) {
                uint64_t used = used_bytes(f->db);
                atomic_store(&heap_test_takes_left, takes);
                int r = change(f, m, &e, 1);
                atomic_store(&heap_test_takes_left, -1);
                if (r == LARDER_OK)
                    break;
                if (r == OBSTACLE_CLAIM) {
                    cr_assert_eq(writer_claim(f->w), LARDER_OK);
                    continue;
                }
                cr_assert_eq(r, LARDER_E_FULL);
                if (m->count) /* else a bucket array may have stayed */
                    cr_assert_eq(used_bytes(f->db), used);
                cr_assert_leq(takes, 5);
            }
            model_add(m, &e);
        }
        check(f);
        check_all(f, m);
        atomic_store(&heap_test_takes_left, 0);
        while (m->count) { /* without a single block */
            const struct model_entry *there = m->entry[rng_below(&f->rng, m->count)];
            struct leaf_entry e = there->e;
            uint8_t key[LEAF_KEY_BYTES_MAX];
            memcpy(key, there->key, e.key_bytes);
            e.key = key;
            cr_assert_eq(change(f, m, &e, 0), LARDER_OK);
            model_remove(m, &e);
            if (m->count % 50 == 0)
                check_all(f, m);
        }
        atomic_store(&heap_test_takes_left, -1);
        finish(f);
    }
}

/* ---- Damage ---------------------------------------------------------------------------------- */

/* A block of the list, chosen at random: head, node or leaf. */
static uint64_t random_block(struct fixture *f, const struct model *m) {
    struct skl_list list;
    struct skl_node n;
    cr_assert(skl_find(&list, &f->v->partitions, m->hash, m->index));
    n = list.head;
    for (uint64_t hops = rng_below(&f->rng, 30); hops > 0; hops--) {
        uint64_t off;
        cr_assert(skl_link(&list, &n, 0, &off));
        if (!off)
            break;
        cr_assert(skl_node_read(&list, off, &n));
    }
    return rng_is_one_in(&f->rng, 2) ? n.off : SHM_LOAD(&n.shm->leaf);
}

static void read_damaged(struct fixture *f, const struct model *m) {
    struct skl_reader reader;
    struct skl_bound cut = {.cut = {.is_end = rng_is_one_in(&f->rng, 3)}};
    struct larder_check_report report;
    uint32_t leaves = 0;
    skl_reader_init(&reader);
    int r = skl_read_down(&reader, &f->v->partitions, m->hash, m->index, &cut.cut);
    for (; r == LARDER_OK && !reader.is_first && leaves < 200; leaves++) {
        memcpy(cut.key, reader.low.key, reader.low.cut.key_bytes);
        cut.cut = reader.low.cut;
        cut.cut.key = cut.key;
        r = skl_read_down(&reader, &f->v->partitions, m->hash, m->index, &cut.cut);
    }
    cut.cut = (struct leaf_cut){.key = NULL};
    r = skl_read_up(&reader, &f->v->partitions, m->hash, m->index, &cut.cut);
    for (leaves = 0; r == LARDER_OK && leaves < 200; leaves++)
        r = skl_read_next(&reader, &cut.cut);
    (void)larder_check(f->db, NULL, &report);
}

/* Damage gives wrong entries or an error, and the call returns. */
Test(skl, survives_damage) {
    struct fixture *f = begin(LARDER_SEGMENT_BYTES_MIN, 4);
    struct model *m = &f->model[0];
    uint8_t key[LEAF_KEY_BYTES_MAX];
    f->kind = 5;
    while (m->count < 80) {
        struct leaf_entry e = random_entry(f, key);
        cr_assert_eq(change_claiming(f, m, &e, 1), LARDER_OK);
        model_add(m, &e);
    }
    for (int round = 0; round < 3000 / SLOW_FACTOR; round++) {
        uint64_t off = random_block(f, m), bytes = heap_block_bytes(&f->db->seg, off);
        uint8_t *block = f->db->seg.base + off, saved[LEAF_BYTES_MAX];
        uint64_t saved_bytes = bytes < sizeof saved ? bytes : sizeof saved;
        memcpy(saved, block, saved_bytes);
        if (rng_is_one_in(&f->rng, 3)) { /* a link to another block of the list */
            uint64_t other = random_block(f, m);
            memcpy(block + rng_below(&f->rng, saved_bytes / 8) * 8, &other, sizeof other);
        } else {
            block[rng_below(&f->rng, saved_bytes)] = (uint8_t)rng_next(&f->rng);
        }
        read_damaged(f, m);
        memcpy(block, saved, saved_bytes);
    }
    finish(f);
}

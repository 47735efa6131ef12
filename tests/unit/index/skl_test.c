/* tests/unit/index/skl_test.c - the lists of partitions against sorted arrays.
 *
 * Goal     Lists hold exactly what was added and not removed, are read in order from any place in both directions, keep their
 *          rules (larder_check), change nothing when memory runs out, remove without memory, and give every block back.
 *          A death at any store leaves a list that recovery makes whole.
 * Method   Entries that stand for no item, in the lists of a real table: larder_check() then counts each as stale, and nothing
 *          else may be wrong. Leaves of few entries make long lists of little data.
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/crash.h"
#include "core/memory/recover.h"
#include "core/table/db.h"
#include "index/index.h"
#include "tests/support/proc.h"
#include "tests/support/rng.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"

TestSuite(skl, .timeout = 100 * SLOW_FACTOR);

extern _Atomic int64_t heap_test_takes_left; /* core/memory/heap.c: that many blocks, then LARDER_E_FULL; -1 no end */

#define LISTS 4u
#define ENTRIES_MAX 6000u

struct model_entry {
    struct leaf_entry e;
    uint8_t key[LEAF_KEY_BYTES_MAX];
};
/* One list: what it should hold, in order. */
struct model {
    uint64_t hash;
    uint32_t index, count;
    struct model_entry *entry[ENTRIES_MAX];
};
struct fixture {
    struct larder *db;
    struct larder_table *t;
    const struct table_view *v;
    struct writer *w;
    struct rng rng;
    uint64_t kind, used_bytes;
    struct model model[LISTS];
};

static uint64_t used_bytes(struct larder *db) {
    struct larder_segment_stats stats;
    cr_assert_eq(larder_segment_stats(db, &stats), LARDER_OK);
    return stats.used_bytes;
}

static struct fixture *begin(uint64_t bytes, uint32_t capacity) {
    struct fixture *f = calloc(1, sizeof *f);
    const struct larder_index_def index = {
        .name = "byOther", .partition = {"other", LARDER_S}, .sort = {"more", LARDER_S}};
    const struct larder_table_def def = {
        .name = "table", .partition = {"pk", LARDER_S}, .sort = {"sk", LARDER_S}, .indexes = &index, .index_count = 1};
    cr_assert_not_null(f);
    leaf_capacity = capacity;
    f->db = testseg_open(bytes, 2);
    cr_assert_eq(larder_table_create(f->db, &def), LARDER_OK, "%s", larder_error());
    cr_assert_eq(larder_table_open(f->db, "table", &f->t), LARDER_OK);
    cr_assert_eq(table_view(f->t, &f->v), LARDER_OK);
    cr_assert_eq(writer_borrow(f->db, &f->w), LARDER_OK, "%s", larder_error());
    rng_seed(&f->rng, rng_test_seed("skl"));
    /* Three partitions of one index, two of them with 48 bits of their hashes in common, and one of another with the same hash. */
    f->model[0].hash = f->model[1].hash = UINT64_C(0x123456789abcdef0);
    f->model[1].index = 1;
    f->model[2].hash = UINT64_C(0x923456789abcdef1);
    f->model[3].hash = f->model[0].hash ^ UINT64_C(0x10000);
    f->used_bytes = used_bytes(f->db);
    return f;
}

static void check(struct fixture *f) {
    struct larder_check_report report;
    uint64_t expected = 0;
    (void)larder_check(f->db, NULL, &report);
    for (uint32_t m = 0; m < LISTS; m++)
        expected += f->model[m].count;
    cr_assert_eq(report.errors, report.stale_entries, "%s", report.first_error);
    cr_assert_eq(report.index_entries, expected);
    cr_assert_eq(report.leaked_blocks, 0, "%s", report.first_error);
}

/* Gives a list back and frees its model. */
static void end(struct fixture *f) {
    check(f);
    cr_assert_eq(index_clear(f->w, f->v, -1), LARDER_OK);
    for (uint32_t m = 0; m < LISTS; m++) {
        for (uint32_t i = 0; i < f->model[m].count; i++)
            free(f->model[m].entry[i]);
        f->model[m].count = 0;
    }
    check(f);
    cr_assert_eq(used_bytes(f->db), f->used_bytes);
    writer_return(f->w);
    larder_close(f->db);
    free(f);
    leaf_capacity = LEAF_ENTRIES;
}

static int change(struct fixture *f, const struct model *m, const struct leaf_entry *e, int is_add) {
    struct stripe_shm *stripe = htab_stripe(&f->v->partitions, m->hash);
    cr_assert_eq(lock_take(f->w, &stripe->lock, LOCK_PARTITION), LARDER_OK);
    int r = (is_add ? skl_add_locked : skl_remove_locked)(f->w, &f->v->partitions, m->hash, m->index, e);
    if (r)
        cr_assert_eq(step_abandon(f->w, 1), LARDER_OK);
    lock_drop(f->w, &stripe->lock, LOCK_PARTITION);
    return r;
}

static int change_claiming(struct fixture *f, const struct model *m, const struct leaf_entry *e, int is_add) {
    int r;
    while ((r = change(f, m, e, is_add)) == OBSTACLE_CLAIM)
        if ((r = writer_claim(f->w)))
            return r;
    return r;
}

static int compare(const struct leaf_entry *a, const struct leaf_entry *b) {
    struct leaf_cut x = leaf_cut_before(a), y = leaf_cut_before(b);
    return leaf_compare_cuts(&x, &y); /* against a naive comparison: leaf_test.c */
}

/* Place of the first entry that is not before e. */
static uint32_t model_find(const struct model *m, const struct leaf_entry *e) {
    uint32_t low = 0, high = m->count;
    while (low < high) {
        uint32_t mid = (low + high) / 2;
        if (compare(&m->entry[mid]->e, e) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static int model_has(const struct model *m, uint32_t at, const struct leaf_entry *e) {
    return at < m->count && compare(&m->entry[at]->e, e) == 0;
}

static void model_add(struct model *m, const struct leaf_entry *e) {
    uint32_t at = model_find(m, e);
    if (model_has(m, at, e))
        return;
    cr_assert_lt(m->count, ENTRIES_MAX);
    struct model_entry *added = malloc(sizeof *added);
    cr_assert_not_null(added);
    added->e = *e;
    memcpy(added->key, e->key, e->key_bytes);
    added->e.key = added->key;
    memmove(&m->entry[at + 1], &m->entry[at], (m->count - at) * sizeof(struct model_entry *));
    m->entry[at] = added;
    m->count++;
}

static void model_remove(struct model *m, const struct leaf_entry *e) {
    uint32_t at = model_find(m, e);
    if (!model_has(m, at, e))
        return;
    free(m->entry[at]);
    m->count--;
    memmove(&m->entry[at], &m->entry[at + 1], (m->count - at) * sizeof(struct model_entry *));
}

static struct leaf_entry random_entry(struct fixture *f, uint8_t *key) {
    static const char *const words[] = {"", "a", "aa", "ab", "b", "\xff", "\xff\xff", "user#", "user#1", "user#10"};
    struct rng *r = &f->rng;
    struct leaf_entry e = {.key = key, .hash = rng_next(r) & HTAB_HASH_MASK, .kseq = 1 + (uint32_t)rng_below(r, 3)};
    switch (f->kind) {
    case 0: { /* few keys, and collisions of hashes */
        const char *word = words[rng_below(r, sizeof words / sizeof *words)];
        e.key_bytes = (uint32_t)strlen(word);
        memcpy(key, word, e.key_bytes);
        e.hash = rng_below(r, 30);
        break;
    }
    case 1: /* all equal */
        break;
    case 2: /* as long as can be */
        memset(key, 'x', LEAF_KEY_BYTES_MAX);
        key[rng_below(r, LEAF_KEY_BYTES_MAX)] = (uint8_t)rng_below(r, 256);
        e.key_bytes = LEAF_KEY_BYTES_MAX;
        break;
    case 3: /* prefixes of each other */
        memset(key, 'p', LEAF_KEY_BYTES_MAX);
        e.key_bytes = (uint32_t)rng_below(r, LEAF_KEY_BYTES_MAX + 1);
        break;
    case 4: /* a long common prefix, mostly */
        memset(key, 'q', 1000);
        rng_bytes(r, key + 1000, 3);
        e.key_bytes = rng_is_one_in(r, 20) ? (uint32_t)rng_below(r, 1000) : 1003;
        break;
    default:
        e.key_bytes = (uint32_t)rng_below(r, 12);
        rng_bytes(r, key, e.key_bytes);
    }
    return e;
}

#define KINDS 6u

static void check_leaf_entry(const struct leaf *leaf, uint32_t i, const struct leaf_entry *e) {
    uint8_t key[LEAF_KEY_BYTES_MAX];
    struct leaf_entry got = {.key = key, .hash = leaf_hash(leaf, i), .kseq = leaf_kseq(leaf, i)};
    got.key_bytes = leaf_key(leaf, i, key);
    cr_assert_eq(compare(&got, e), 0);
}

/* Reads upwards from a place: the model's entries from number `at` on. */
static void check_up(struct fixture *f, const struct model *m, const struct leaf_cut *from, uint32_t at,
                     uint32_t most) {
    struct skl_reader reader;
    struct skl_bound cut = {.cut = *from};
    skl_reader_init(&reader);
    int r = skl_read_up(&reader, &f->v->partitions, m->hash, m->index, from);
    for (; r == LARDER_OK && most > 0; most--) {
        for (uint32_t i = leaf_find_cut(&reader.leaf, &cut.cut); i < leaf_count(&reader.leaf); i++) {
            if (!leaf_kseq(&reader.leaf, i))
                continue;
            cr_assert_lt(at, m->count);
            check_leaf_entry(&reader.leaf, i, &m->entry[at++]->e);
            cut.cut = leaf_cut_before(&m->entry[at - 1]->e);
            cut.cut.kseq++;
        }
        if (rng_is_one_in(&f->rng, 4))
            reader.list.seq--; /* as if the list had changed */
        r = skl_read_next(&reader, &cut.cut);
    }
    if (r != LARDER_OK) {
        cr_assert_eq(r, LARDER_NOT_FOUND);
        cr_assert_eq(at, m->count);
    }
}

/* Reads downwards: the model's entries before number `at`. */
static void check_down(struct fixture *f, const struct model *m, const struct leaf_cut *to, uint32_t at,
                       uint32_t most) {
    struct skl_reader reader;
    struct skl_bound cut = {.cut = *to};
    int r;
    skl_reader_init(&reader);
    while ((r = skl_read_down(&reader, &f->v->partitions, m->hash, m->index, &cut.cut)) == LARDER_OK && most-- > 0) {
        for (uint32_t i = leaf_find_cut(&reader.leaf, &cut.cut); i-- > 0;) {
            if (!leaf_kseq(&reader.leaf, i))
                continue;
            cr_assert_gt(at, 0);
            check_leaf_entry(&reader.leaf, i, &m->entry[--at]->e);
        }
        if (reader.is_first) {
            cr_assert_eq(at, 0);
            return;
        }
        memcpy(cut.key, reader.low.key, reader.low.cut.key_bytes);
        cut.cut = reader.low.cut;
        cut.cut.key = cut.key;
    }
    if (r == LARDER_NOT_FOUND)
        cr_assert_eq(at, 0);
    else
        cr_assert_eq(r, LARDER_OK);
}

static void check_all(struct fixture *f, const struct model *m) {
    const struct leaf_cut first = {.key = NULL}, last = {.is_end = 1};
    check_up(f, m, &first, 0, UINT32_MAX);
    check_down(f, m, &last, m->count, UINT32_MAX);
}

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

static void random_change(struct fixture *f, struct model *m, uint32_t target) {
    uint8_t key[LEAF_KEY_BYTES_MAX];
    struct leaf_entry e = random_entry(f, key);
    int is_add = rng_below(&f->rng, 2 * (uint64_t)target) >= m->count;
    if (!is_add && m->count && !rng_is_one_in(&f->rng, 8)) {
        const struct model_entry *there = m->entry[rng_below(&f->rng, m->count)];
        e = there->e;
        memcpy(key, there->key, e.key_bytes);
        e.key = key;
    }
    cr_assert_eq(change_claiming(f, m, &e, is_add), LARDER_OK, "%s", larder_error());
    (is_add ? model_add : model_remove)(m, &e);
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
    end(f);
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

/* ---- What has left ------------------------------------------------------------------------------------------------------------ */

/* Some leaves as a query reads them, and what was in them: all that the list had in a range. */
struct page {
    const struct model *m;
    uint32_t since;
    struct skl_reader reader;
    struct skl_bound from, to;
    struct model got;
};

static void set_bound(struct skl_bound *bound, const struct leaf_cut *cut) {
    if (cut->key_bytes)
        memmove(bound->key, cut->key, cut->key_bytes);
    bound->cut = *cut;
    bound->cut.key = bound->key;
}

/* The living entries from..to-1 of the page's leaf. */
static void page_take(struct page *p, uint32_t from, uint32_t to) {
    uint8_t key[LEAF_KEY_BYTES_MAX];
    const struct leaf *leaf = &p->reader.leaf;
    for (uint32_t i = from; i < to; i++) {
        struct leaf_entry e = {.key = key, .hash = leaf_hash(leaf, i), .kseq = leaf_kseq(leaf, i)};
        e.key_bytes = leaf_key(leaf, i, key);
        if (e.kseq)
            model_add(&p->got, &e);
    }
}

static void page_read_up(struct fixture *f, struct page *p, uint32_t leaves) {
    int r = skl_read_up(&p->reader, &f->v->partitions, p->m->hash, p->m->index, &p->to.cut);
    for (; r == LARDER_OK; leaves--) {
        uint32_t taken = p->got.count;
        page_take(p, leaf_find_cut(&p->reader.leaf, &p->to.cut), leaf_count(&p->reader.leaf));
        if (p->got.count > taken) {
            struct leaf_cut after = leaf_cut_before(&p->got.entry[p->got.count - 1]->e);
            after.kseq++;
            set_bound(&p->to, &after);
        }
        if (leaves == 1)
            return;
        if (rng_is_one_in(&f->rng, 4))
            p->reader.list.seq--; /* as if the list had changed */
        r = skl_read_next(&p->reader, &p->to.cut);
    }
    cr_assert_eq(r, LARDER_NOT_FOUND);
    p->to.cut.is_end = 1;
}

static void page_read_down(struct fixture *f, struct page *p, uint32_t leaves) {
    while (skl_read_down(&p->reader, &f->v->partitions, p->m->hash, p->m->index, &p->from.cut) == LARDER_OK) {
        page_take(p, 0, leaf_find_cut(&p->reader.leaf, &p->from.cut));
        if (p->reader.is_first)
            break;
        set_bound(&p->from, &p->reader.low.cut);
        if (--leaves == 0)
            return;
    }
    set_bound(&p->from, &(struct leaf_cut){.key = NULL});
}

/* From a random place, or (leaves 0) everything. */
static void page_read(struct fixture *f, struct page *p, const struct model *m, uint32_t leaves, int is_descending) {
    uint8_t key[LEAF_KEY_BYTES_MAX];
    struct leaf_entry e = random_entry(f, key);
    struct leaf_cut cut = leaf_cut_before(&e);
    if (!leaves)
        cut = (struct leaf_cut){.is_end = is_descending};
    p->m = m;
    p->since = SHM_LOAD(&htab_stripe(&f->v->partitions, m->hash)->moves);
    skl_reader_init(&p->reader);
    set_bound(&p->from, &cut);
    set_bound(&p->to, &cut);
    (is_descending ? page_read_down : page_read_up)(f, p, leaves);
}

static enum skl_left page_leaves(const struct fixture *f, const struct page *p) {
    return skl_have_left(htab_stripe(&f->v->partitions, p->m->hash), p->since, &p->reader.seen);
}

/* If no leaf of the page has left, the list has no entry in its range that the page has not. */
static void page_check(const struct fixture *f, const struct page *p) {
    if (page_leaves(f, p) != SKL_NONE_LEFT)
        return;
    for (uint32_t i = 0; i < p->m->count; i++) {
        const struct leaf_entry *e = &p->m->entry[i]->e;
        struct leaf_cut at = leaf_cut_before(e);
        if (leaf_compare_cuts(&at, &p->from.cut) >= 0 && leaf_compare_cuts(&at, &p->to.cut) < 0)
            cr_assert(model_has(&p->got, model_find(&p->got, e), e));
    }
}

static void page_drop(struct page *p) {
    for (uint32_t i = 0; i < p->got.count; i++)
        free(p->got.entry[i]);
    p->got.count = 0;
}

Test(skl, tells_whether_a_page_has_missed_an_entry) {
    static struct page page; /* static: large */
    struct fixture *f = begin(64 << 20, 3);
    uint32_t changed[SKL_MANY_LEFT + 1] = {0};
    for (uint32_t round = 0; round < 60000 / (SLOW_FACTOR > 1 ? 6 : 1); round++) {
        struct model *m = &f->model[rng_below(&f->rng, LISTS)];
        uint32_t changes = (uint32_t)rng_below(&f->rng, round % 4 ? 6 : 20), target = round / 1000 % 2 ? 12 : 1;
        f->kind = round / 2000 % 2 ? 5 : 0;
        page_read(f, &page, m, (uint32_t)rng_below(&f->rng, 4), (int)rng_below(&f->rng, 2));
        for (uint32_t i = 0; i < changes; i++)
            random_change(f, &f->model[rng_below(&f->rng, LISTS)], target);
        page_check(f, &page);
        if (!changes)
            cr_assert_eq(page_leaves(f, &page), SKL_NONE_LEFT);
        else
            changed[page_leaves(f, &page)]++;
        page_drop(&page);
    }
    cr_assert_gt(changed[SKL_NONE_LEFT], changed[SKL_ONE_LEFT] / 4);
    cr_assert_gt(changed[SKL_ONE_LEFT], changed[SKL_NONE_LEFT] / 4);
    end(f);
}

static struct looking {
    struct fixture *f;
    const struct model *m;
    struct page page;
    int has_looked;
} looking;

static void look(void) {
    page_read(looking.f, &looking.page, looking.m, 0, (int)rng_below(&looking.f->rng, 2));
    looking.has_looked = 1;
}

/* A page that is read between any two stores of a change misses nothing that comes into the list by that change or the next one. */
Test(skl, tells_it_also_of_pages_read_during_a_change) {
    struct fixture *f = begin(64 << 20, 3);
    uint32_t looks = 0;
    f->kind = 5;
    for (uint32_t round = 0; round < 20000 / (SLOW_FACTOR > 1 ? 6 : 1); round++) {
        struct model *m = &f->model[rng_below(&f->rng, LISTS)];
        uint32_t target = round / 500 % 2 ? 12 : 2;
        looking.f = f;
        looking.m = m;
        looking.has_looked = 0;
        shm_crash_arm_call(1 + rng_below(&f->rng, 90), look);
        random_change(f, m, target);
        shm_crash_arm(0);
        if (!looking.has_looked)
            continue;
        page_check(f, &looking.page);
        random_change(f, m, target);
        page_check(f, &looking.page);
        page_drop(&looking.page);
        looks++;
    }
    cr_assert_gt(looks, 1000 / (SLOW_FACTOR > 1 ? 6 : 1));
    end(f);
}

static struct leaf_entry numbered(uint32_t number, uint8_t *key) {
    int bytes = snprintf((char *)key, 32, "2024-%08u", number);
    return (struct leaf_entry){
        .key = key, .key_bytes = (uint32_t)bytes, .hash = number * UINT64_C(77777) & HTAB_HASH_MASK, .kseq = 1};
}

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
    end(f);
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
    end(f);
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
        end(f);
    }
}

/* ---- Deaths ------------------------------------------------------------------------------------------------------------- */

#if !SLOW_IS_TSAN /* a child of a threaded process may not start threads there */

struct death {
    struct fixture *f;
    struct model *m;
    struct leaf_entry e;
    int is_add, is_clear;
    uint64_t at_store;
};

/* In a child: does it as a writer of its own and dies on the way. */
static int die(void *arg) {
    struct death *d = arg;
    struct stripe_shm *stripe = htab_stripe(&d->f->v->partitions, d->m->hash);
    struct writer *w;
    PROC_CHECK(writer_borrow(d->f->db, &w) == LARDER_OK);
    heap_claim_ahead(w, 1 << 20);
    shm_crash_arm(d->at_store);
    if (lock_take(w, &stripe->lock, LOCK_PARTITION))
        return 2;
    uint32_t budget = UINT32_MAX;
    int r = d->is_clear ? skl_clear_locked(w, &d->f->v->partitions, d->m->hash, d->m->index, &budget)
                        : (d->is_add ? skl_add_locked : skl_remove_locked)(w, &d->f->v->partitions, d->m->hash,
                                                                           d->m->index, &d->e);
    PROC_CHECK(r == LARDER_OK);
    lock_drop(w, &stripe->lock, LOCK_PARTITION);
    shm_crash_arm(0);
    return 0;
}

/* A page that was read before a death misses nothing that is added after it. */
static void check_page_after(struct fixture *f, struct page *page, struct model *m) {
    uint8_t key[LEAF_KEY_BYTES_MAX];
    for (int i = 0; i < 6; i++) {
        struct leaf_entry e = random_entry(f, key);
        e.kseq = 9; /* not one of those that die */
        cr_assert_eq(change_claiming(f, m, &e, 1), LARDER_OK);
        model_add(m, &e);
        page_check(f, page);
        cr_assert_eq(change_claiming(f, m, &e, 0), LARDER_OK);
        model_remove(m, &e);
    }
    page_drop(page);
}

/* Dies at every store of one change in turn. After each death somebody takes over, and finds the entry there or not. */
static void die_at_every_store(struct fixture *f, struct model *m, const struct leaf_entry *e, int is_add) {
    static struct page page; /* static: large */
    struct death d = {.f = f, .m = m, .e = *e, .is_add = is_add};
    for (d.at_store = 1;; d.at_store++) {
        page_read(f, &page, m, (uint32_t)rng_below(&f->rng, 3), (int)rng_below(&f->rng, 2));
        uint32_t dead, at = model_find(m, e);
        int was_there = model_has(m, at, e);
        struct proc_result end_of = proc_run(die, &d, 5000);
        if (proc_is_exit(end_of, 0)) {
            page_drop(&page);
            break;
        }
        cr_assert(proc_is_signal(end_of, 9), "%s", proc_text(end_of));
        cr_assert_eq(recover_all(f->w, &dead), LARDER_OK, "%s", larder_error());
        /* Recovery of an item removes again what it had begun to remove, or has begun to add: so does this. */
        cr_assert_eq(change_claiming(f, m, e, 0), LARDER_OK, "store %llu: %s", (unsigned long long)d.at_store,
                     larder_error());
        model_remove(m, e);
        check(f);
        check_all(f, m);
        check_page_after(f, &page, m);
        if (was_there && !is_add) {
            cr_assert_eq(change_claiming(f, m, e, 1), LARDER_OK);
            model_add(m, e);
        }
    }
    (is_add ? model_add : model_remove)(m, e);
    check(f);
    check_all(f, m);
}

static void die_while_adding_and_removing(uint64_t kind, uint32_t entries) {
    struct fixture *f = begin(8 << 20, 2);
    struct model *m = &f->model[0];
    f->kind = kind;
    while (m->count < entries) {
        uint8_t key[LEAF_KEY_BYTES_MAX];
        struct leaf_entry e = random_entry(f, key);
        if (!model_has(m, model_find(m, &e), &e))
            die_at_every_store(f, m, &e, 1);
    }
    while (m->count) {
        const struct model_entry *there = m->entry[rng_below(&f->rng, m->count)];
        struct leaf_entry e = there->e;
        uint8_t key[LEAF_KEY_BYTES_MAX];
        memcpy(key, there->key, e.key_bytes);
        e.key = key;
        die_at_every_store(f, m, &e, 0);
    }
    end(f);
}

Test(skl, survives_a_death_at_any_store) {
    die_while_adding_and_removing(0, SLOW_FACTOR > 1 ? 4 : 8);
    die_while_adding_and_removing(5, SLOW_FACTOR > 1 ? 4 : 8);
}

Test(skl, survives_a_death_while_it_is_cleared) {
    struct fixture *f = begin(8 << 20, 2);
    struct model *m = &f->model[0];
    uint8_t key[LEAF_KEY_BYTES_MAX];
    f->kind = 5;
    for (struct death d = {.f = f, .m = m, .is_clear = 1, .at_store = 1};; d.at_store += 3) {
        uint32_t dead;
        for (uint32_t i = 0; i < 12; i++) {
            struct leaf_entry e = numbered(i, key);
            cr_assert_eq(change_claiming(f, m, &e, 1), LARDER_OK);
        }
        struct proc_result end_of = proc_run(die, &d, 5000);
        cr_assert_eq(recover_all(f->w, &dead), LARDER_OK, "%s", larder_error());
        struct larder_check_report report;
        (void)larder_check(f->db, NULL, &report);
        /* A head may be left with nothing in it until the clearing is done again. */
        cr_assert_eq(report.leaked_blocks, 0);
        cr_assert_eq(index_clear(f->w, f->v, -1), LARDER_OK);
        check(f);
        if (proc_is_exit(end_of, 0))
            break;
    }
    end(f);
}
#endif

/* ---- Damage --------------------------------------------------------------------------------------------------------------- */

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

/* Damage gives wrong entries or an error, and an end. */
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
    end(f);
}

/* ---- Readers beside a writer ------------------------------------------------------------------------------------------------ */

struct reading {
    struct fixture *f;
    _Atomic int is_over;
    _Atomic uint64_t passes;
};

/* Entries of even number are always there: every pass must see all of them, once, in order, whatever comes and goes between. */
static void *read_on(void *arg) {
    struct reading *r = arg;
    struct skl_reader reader;
    uint8_t key[LEAF_KEY_BYTES_MAX + 1];
    skl_reader_init(&reader);
    while (!atomic_load(&r->is_over)) {
        struct skl_bound cut = {.cut = {.key = NULL}};
        uint32_t even = 0, last = 0;
        int got = skl_read_up(&reader, &r->f->v->partitions, r->f->model[0].hash, 0, &cut.cut);
        while (got == LARDER_OK) {
            for (uint32_t i = leaf_find_cut(&reader.leaf, &cut.cut); i < leaf_count(&reader.leaf); i++) {
                if (!leaf_kseq(&reader.leaf, i))
                    continue;
                key[leaf_key(&reader.leaf, i, key)] = 0;
                uint32_t number = (uint32_t)atoi((char *)key + 5);
                cr_assert(number > last || (number == 0 && last == 0), "%u after %u", number, last);
                even += number % 2 == 0;
                last = number;
                memcpy(cut.key, key, 13);
                cut.cut = (struct leaf_cut){.key = cut.key, .key_bytes = 13, .hash = UINT64_MAX, .kseq = LEAF_KSEQ_END};
            }
            got = skl_read_next(&reader, &cut.cut);
        }
        cr_assert_eq(got, LARDER_NOT_FOUND);
        cr_assert_eq(even, 500);
        atomic_fetch_add(&r->passes, 1);
    }
    return NULL;
}

Test(skl, is_whole_for_readers_beside_a_writer) {
    struct fixture *f = begin(8 << 20, 4);
    struct reading reading = {.f = f};
    struct model *m = &f->model[0];
    pthread_t thread[2];
    uint8_t key[LEAF_KEY_BYTES_MAX];
    for (uint32_t i = 0; i < 1000; i += 2) {
        struct leaf_entry e = numbered(i, key);
        cr_assert_eq(change_claiming(f, m, &e, 1), LARDER_OK);
        model_add(m, &e);
    }
    for (int i = 0; i < 2; i++)
        cr_assert_eq(pthread_create(&thread[i], NULL, read_on, &reading), 0);
    for (int i = 0; i < 200000 / SLOW_FACTOR || atomic_load(&reading.passes) < 20; i++) {
        struct leaf_entry e = numbered((uint32_t)rng_below(&f->rng, 500) * 2 + 1, key);
        int is_add = (int)rng_below(&f->rng, 2);
        cr_assert_eq(change_claiming(f, m, &e, is_add), LARDER_OK);
        (is_add ? model_add : model_remove)(m, &e);
    }
    atomic_store(&reading.is_over, 1);
    for (int i = 0; i < 2; i++)
        pthread_join(thread[i], NULL);
    end(f);
}

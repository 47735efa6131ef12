/* tests/unit/index/skl_kit.c - see skl_kit.h. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/table/db.h"
#include "index/index.h"
#include "tests/support/rng.h"
#include "tests/support/testseg.h"
#include "tests/unit/index/skl_kit.h"

uint64_t used_bytes(struct larder *db) {
    struct larder_segment_stats stats;
    cr_assert_eq(larder_segment_stats(db, &stats), LARDER_OK);
    return stats.used_bytes;
}

struct fixture *begin(uint64_t bytes, uint32_t capacity) {
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
    /* Three partitions of one index, two of them with 48 bits of their hashes in common, and one of
     * another with the same hash. */
    f->model[0].hash = f->model[1].hash = UINT64_C(0x123456789abcdef0);
    f->model[1].index = 1;
    f->model[2].hash = UINT64_C(0x923456789abcdef1);
    f->model[3].hash = f->model[0].hash ^ UINT64_C(0x10000);
    f->used_bytes = used_bytes(f->db);
    return f;
}

void check(struct fixture *f) {
    struct larder_check_report report;
    uint64_t expected = 0;
    (void)larder_check(f->db, NULL, &report);
    for (uint32_t m = 0; m < LISTS; m++)
        expected += f->model[m].count;
    cr_assert_eq(report.errors, report.stale_entries, "%s", report.first_error);
    cr_assert_eq(report.index_entries, expected);
    cr_assert_eq(report.leaked_blocks, 0, "%s", report.first_error);
}

void finish(struct fixture *f) {
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

int change(struct fixture *f, const struct model *m, const struct leaf_entry *e, int is_add) {
    struct stripe_shm *stripe = htab_stripe(&f->v->partitions, m->hash);
    cr_assert_eq(lock_take(f->w, &stripe->lock, LOCK_PARTITION), LARDER_OK);
    int r = (is_add ? skl_add_locked : skl_remove_locked)(f->w, &f->v->partitions, m->hash, m->index, e);
    if (r)
        cr_assert_eq(step_abandon(f->w, 1), LARDER_OK);
    lock_drop(f->w, &stripe->lock, LOCK_PARTITION);
    return r;
}

int change_claiming(struct fixture *f, const struct model *m, const struct leaf_entry *e, int is_add) {
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

uint32_t model_find(const struct model *m, const struct leaf_entry *e) {
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

int model_has(const struct model *m, uint32_t at, const struct leaf_entry *e) {
    return at < m->count && compare(&m->entry[at]->e, e) == 0;
}

void model_add(struct model *m, const struct leaf_entry *e) {
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

void model_remove(struct model *m, const struct leaf_entry *e) {
    uint32_t at = model_find(m, e);
    if (!model_has(m, at, e))
        return;
    free(m->entry[at]);
    m->count--;
    memmove(&m->entry[at], &m->entry[at + 1], (m->count - at) * sizeof(struct model_entry *));
}

struct leaf_entry random_entry(struct fixture *f, uint8_t *key) {
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

static void check_leaf_entry(const struct leaf *leaf, uint32_t i, const struct leaf_entry *e) {
    uint8_t key[LEAF_KEY_BYTES_MAX];
    struct leaf_entry got = {.key = key, .hash = leaf_hash(leaf, i), .kseq = leaf_kseq(leaf, i)};
    got.key_bytes = leaf_key(leaf, i, key);
    cr_assert_eq(compare(&got, e), 0);
}

void check_up(struct fixture *f, const struct model *m, const struct leaf_cut *from, uint32_t at, uint32_t most) {
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

void check_down(struct fixture *f, const struct model *m, const struct leaf_cut *to, uint32_t at, uint32_t most) {
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

void check_all(struct fixture *f, const struct model *m) {
    const struct leaf_cut first = {.key = NULL}, last = {.is_end = 1};
    check_up(f, m, &first, 0, UINT32_MAX);
    check_down(f, m, &last, m->count, UINT32_MAX);
}

void random_change(struct fixture *f, struct model *m, uint32_t target) {
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

void page_read(struct fixture *f, struct page *p, const struct model *m, uint32_t leaves, int is_descending) {
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

enum skl_left page_leaves(const struct fixture *f, const struct page *p) {
    return skl_have_left(htab_stripe(&f->v->partitions, p->m->hash), p->since, &p->reader.seen);
}

void page_check(const struct fixture *f, const struct page *p) {
    if (page_leaves(f, p) != SKL_NONE_LEFT)
        return;
    for (uint32_t i = 0; i < p->m->count; i++) {
        const struct leaf_entry *e = &p->m->entry[i]->e;
        struct leaf_cut at = leaf_cut_before(e);
        if (leaf_compare_cuts(&at, &p->from.cut) >= 0 && leaf_compare_cuts(&at, &p->to.cut) < 0)
            cr_assert(model_has(&p->got, model_find(&p->got, e), e));
    }
}

void page_drop(struct page *p) {
    for (uint32_t i = 0; i < p->got.count; i++)
        free(p->got.entry[i]);
    p->got.count = 0;
}

struct leaf_entry numbered(uint32_t number, uint8_t *key) {
    int bytes = snprintf((char *)key, 32, "2024-%08u", number);
    return (struct leaf_entry){
        .key = key, .key_bytes = (uint32_t)bytes, .hash = number * UINT64_C(77777) & HTAB_HASH_MASK, .kseq = 1};
}

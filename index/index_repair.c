/* index/index_repair.c - rebuilds all lists of a table from its items. For core/audit/repair.h: the
 * lists are empty, and no other process writes.
 *
 * Idea     One index after the other, its entries in the order of its lists. So each list grows at
 *          its end, where an insertion leaves full leaves behind (skl_wanted_split): the new lists
 *          are as dense as possible. In a nearly full segment the free memory is holes of many
 *          sizes, and a full leaf may find none. Then the leaf becomes two smaller ones; if that is
 *          not enough, entries are added in the order of their items' hashes.
 * Tests    tests/crash/repair_area_test.c
 */
#include "core/audit/repair.h"
#include "core/table/attempt.h"
#include "core/table/db.h"
#include "core/table/read.h"
#include "index/index.h"
#include <stdlib.h>

static int refill_compare(const void *a, const void *b) {
    const struct index_entry *x = a, *y = b;
    if (x->partition != y->partition)
        return x->partition < y->partition ? -1 : 1;
    struct leaf_cut left = leaf_cut_before(&x->entry), right = leaf_cut_before(&y->entry);
    return leaf_compare_cuts(&left, &right);
}

/* The entry of an undamaged item; kseq 0: it has none. The key lies in the item. */
static struct index_entry refill_entry(const struct table_view *v, const struct item_head *h, uint32_t number) {
    uint64_t hash = read_hash_of(v, item_key_area(h), h->partition_bytes, h->sort_bytes);
    struct index_entry e = {.entry = {.hash = hash, .kseq = number == 0 ? h->kseq : 0}};
    struct bytes sort = {item_key_area(h) + h->partition_bytes, h->sort_bytes};
    e.partition_key = (struct bytes){item_key_area(h), h->partition_bytes};
    if (number > 0 && number - 1 < h->index_count)
        e.entry.kseq = item_index_slots(h)[number - 1].kseq;
    if (number > 0 && e.entry.kseq) {
        e.partition_key = item_index_partition(h, number - 1);
        sort = item_index_sort(h, number - 1);
    }
    e.partition = index_partition_hash(v, number, e.partition_key);
    e.entry.key = sort.at;
    e.entry.key_bytes = (uint32_t)sort.len;
    return e;
}

static size_t refill_collect(const struct table_view *v, uint32_t number, const uint64_t *item, size_t count,
                             struct index_entry *entries) {
    size_t found = 0;
    for (size_t i = 0; i < count; i++) {
        entries[found] = refill_entry(v, (const struct item_head *)(v->items.seg->base + item[i]), number);
        found += entries[found].entry.kseq != 0;
    }
    return found;
}

struct refill_step {
    const struct table_view *v;
    uint32_t number; /* of the index */
    const struct index_entry *e;
};

static int refill_try(struct writer *w, void *arg) {
    const struct refill_step *step = arg;
    int r = index_add_entry(w, step->v, step->number, step->e);
    return r == LARDER_OK && w->is_stuck ? LARDER_E_BUSY : r;
}

/* A leaf for which, with the entry, there is no room becomes two: these fit into smaller holes. */
static int refill_add(struct writer *w, const struct table_view *v, uint32_t number, const struct index_entry *e) {
    struct refill_step step = {v, number, e};
    int r = attempt(w, NULL, refill_try, &step);
    if (r == LARDER_E_FULL) {
        w->halves_leaves = 1;
        r = attempt(w, NULL, refill_try, &step);
        w->halves_leaves = 0;
    }
    return r;
}

static int refill_index(struct writer *w, const struct table_view *v, uint32_t number, const uint64_t *item,
                        size_t count, struct index_entry *entries, uint64_t *added) {
    size_t found = refill_collect(v, number, item, count, entries);
    qsort(entries, found, sizeof *entries, refill_compare);
    for (size_t i = 0; i < found; i++) {
        int r = refill_add(w, v, number, &entries[i]);
        if (r)
            return r;
        ++*added;
    }
    return LARDER_OK;
}

static int refill_dense(struct writer *w, const struct table_view *v, const uint64_t *item, size_t count,
                        uint64_t *added) {
    int r = LARDER_OK;
    struct index_entry *entries = priv_alloc(db_priv(w->db), (count + 1) * sizeof *entries);
    if (!entries)
        return LARDER_E_NO_MEMORY;
    for (uint32_t number = 0; number < index_count(v) && r == LARDER_OK; number++)
        if (index_is_kept(v, number))
            r = refill_index(w, v, number, item, count, entries, added);
    priv_free(db_priv(w->db), entries);
    return r;
}

/* One item after the other, in the order of their hashes: as good as random in every index. */
static int refill_item(struct writer *w, const struct table_view *v, uint64_t item, uint64_t *added) {
    for (uint32_t number = 0; number < index_count(v); number++) {
        struct index_entry e = refill_entry(v, (const struct item_head *)(v->items.seg->base + item), number);
        int r = e.entry.kseq && index_is_kept(v, number) ? refill_add(w, v, number, &e) : LARDER_OK;
        if (r)
            return r;
        *added += e.entry.kseq && index_is_kept(v, number);
    }
    return LARDER_OK;
}

/* ---- Bucket arrays --------------------------------------------------------------------------- */

static int refill_by_hash(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* The hashes of all future partitions, sorted, each once. */
static size_t refill_partitions(const struct table_view *v, const uint64_t *item, size_t count, uint64_t *hash) {
    size_t found = 0, kept = 0;
    for (size_t i = 0; i < count; i++)
        for (uint32_t number = 0; number < index_count(v); number++) {
            struct index_entry e = refill_entry(v, (const struct item_head *)(v->items.seg->base + item[i]), number);
            if (e.entry.kseq && index_is_kept(v, number))
                hash[found++] = e.partition;
        }
    qsort(hash, found, sizeof *hash, refill_by_hash);
    for (size_t i = 0; i < found; i++)
        if (kept == 0 || hash[kept - 1] != hash[i])
            hash[kept++] = hash[i];
    return kept;
}

/* One array for each stripe that will have partitions, in its final size: none has to grow while
 * memory fills up. */
static int refill_arrays(struct writer *w, const struct table_view *v, const uint64_t *item, size_t count) {
    uint64_t *hash = priv_alloc(db_priv(w->db), (count + 1) * index_count(v) * sizeof *hash);
    int r = LARDER_OK;
    if (!hash)
        return LARDER_E_NO_MEMORY;
    size_t total = refill_partitions(v, item, count, hash);
    for (size_t from = 0, to; from < total && r == LARDER_OK; from = to) {
        struct stripe_shm *stripe = htab_stripe(&v->partitions, hash[from]);
        for (to = from; to < total && htab_stripe(&v->partitions, hash[to]) == stripe; to++)
            ;
        r = repair_make_array(w, &v->partitions, stripe, hash + from, to - from);
    }
    priv_free(db_priv(w->db), hash);
    return r;
}

int index_refill(struct writer *w, const struct table_view *v, const uint64_t *item, size_t count, int is_dense,
                 uint64_t *added) {
    int r = refill_arrays(w, v, item, count);
    if (r || is_dense)
        return r ? r : refill_dense(w, v, item, count, added);
    for (size_t i = 0; i < count && r == LARDER_OK; i++)
        r = refill_item(w, v, item[i], added);
    return r;
}

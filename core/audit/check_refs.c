/* core/audit/check_refs.c - blocks that seemed to have no reference, or more than one. See check.h.
 *
 * Why      Blocks come and go during the walk. A block that was taken for an item of a stripe
 *          already walked is handed out, and was not met. A block that was freed, and taken again
 *          for another stripe, was met twice. So both are only candidates.
 * Idea     A block shows where it belongs: an item has its key, a leaf and a node have the hash of
 *          their list. It is looked for there, under the lock of that place. Blocks without such a
 *          sign (arrays, definitions, timer chunks) are looked for in the few places that refer to
 *          their kind. A lost block stays lost, and no process writes it. So it is a leak if ROUNDS
 *          times in a row, milliseconds apart, it is found nowhere, is in no slot's hand, and has
 *          the same first bytes. A block in use would have to change hands in the microsecond of
 *          each look, and come back with the same bytes: versions of items and key sequences of
 *          entries are not used twice.
 * Tests    tests/api/check_damage_test.c
 */
#include "core/audit/check.h"
#include "core/base/err.h"
#include "core/base/wait.h"
#include "core/memory/heap.h"
#include "core/memory/hooks.h"
#include "core/table/catalog.h"
#include "core/table/db.h"
#include "core/table/read.h"
#include <stdlib.h>

#define ROUNDS 4u
#define TABLE_OF_VERSION(version) ((uint32_t)((version) >> 54)) /* core/table/change.c */

void check_suspect_block(struct check_state *c, uint64_t off, int is_twice) {
    struct check_candidate *all = c->candidates.at;
    if (c->candidates.count == c->candidates.capacity)
        c->candidates_lost++;
    else
        all[c->candidates.count++] = (struct check_candidate){.off = off, .is_twice = (uint8_t)is_twice};
}

static int by_off(const void *a, const void *b) {
    const struct check_candidate *x = a, *y = b;
    return (x->off > y->off) - (x->off < y->off);
}

static int by_number(const void *a, const void *b) {
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

void check_count_ref(struct check_state *c, uint64_t off) {
    const struct check_candidate wanted = {.off = off};
    struct check_candidate *found = bsearch(&wanted, c->candidates.at, c->candidates.count, sizeof wanted, by_off);
    if (found && found->refs < 2)
        found->refs++;
}

/* ---- Where a block may be referred to -------------------------------------------------------- */

/* The hash table of a catalog entry, whether there is a table or not. Returns 0 if it has none. */
static int htab_at(const struct check_state *c, uint64_t off, enum lock_rank rank, struct htab *t) {
    uint32_t count = c->seg->stripe_count;
    *t = (struct htab){.seg = c->seg,
                       .stripes = seg_at(c->seg, off, (uint64_t)count * sizeof(struct stripe_shm)),
                       .stripe_count = count,
                       .stripe_shift = 64 - (uint32_t)__builtin_ctz(count),
                       .rank = rank};
    return t->stripes != NULL && off % 64 == 0;
}

static void count_arrays(struct check_state *c, uint64_t stripes_off) {
    struct htab t;
    if (!htab_at(c, stripes_off, LOCK_STRIPE, &t))
        return;
    for (uint32_t i = 0; i < t.stripe_count; i++) {
        uint64_t word = SHM_LOAD(&t.stripes[i].array);
        if (word)
            check_count_ref(c, WORD_OFF(word));
    }
}

/* A catalog entry without a table keeps its stripes, but none of their contents. */
static int has_table(const struct check_state *c, uint32_t i) {
    return LIFE_STATE(SHM_LOAD(&seg_table(c->seg, i)->life)) != TABLE_FREE;
}

/* Counts references to definitions, stripes, bucket arrays. */
static void count_catalog(struct check_state *c) {
    for (uint32_t i = 0; i < LARDER_TABLES_MAX; i++) {
        const struct table_shm *t = seg_table(c->seg, i);
        check_count_ref(c, SHM_LOAD(&t->items_off));
        check_count_ref(c, SHM_LOAD(&t->partitions_off));
        check_count_ref(c, SHM_LOAD(&t->marks_off));
        if (!has_table(c, i))
            continue;
        check_count_ref(c, SHM_LOAD(&t->schema_off));
        count_arrays(c, SHM_LOAD(&t->items_off));
        count_arrays(c, SHM_LOAD(&t->partitions_off));
    }
}

/* A question to a hash table. */
struct ref_look {
    struct htab tab;
    uint64_t off, hash;
    int is_found;
};

static int look_for_item(struct check_state *c, void *at) {
    struct ref_look *l = at;
    struct htab_walk walk;
    uint64_t word;
    void *block;
    (void)c;
    htab_walk_begin(&walk, &l->tab, htab_stripe(&l->tab, l->hash), l->hash);
    while (!l->is_found && htab_walk_next(&walk, sizeof(struct item_head), &word, &block))
        l->is_found = WORD_OFF(word) == l->off;
    return LARDER_OK;
}

static int look_for_list(struct check_state *c, void *at) {
    struct ref_look *l = at;
    (void)c;
    l->is_found = core_hooks->index_refers(&l->tab, l->off);
    return LARDER_OK;
}

/* Whether the items of catalog entry i include the block, which looks like an item of that hash. */
static int ask_items(struct check_state *c, uint32_t i, uint64_t off, uint64_t hash, int *is_found) {
    struct ref_look l = {.off = off, .hash = hash};
    if (!has_table(c, i) || !htab_at(c, SHM_LOAD(&seg_table(c->seg, i)->items_off), LOCK_STRIPE, &l.tab))
        return LARDER_OK;
    struct stripe_shm *stripe = htab_stripe(&l.tab, hash);
    if (SHM_LOAD(&stripe->array) == 0)
        return LARDER_OK;
    int r = check_look(c, &stripe->lock, LOCK_STRIPE, look_for_item, &l, sizeof l);
    *is_found |= l.is_found;
    return r;
}

static int ask_lists(struct check_state *c, uint32_t i, uint64_t off, int *is_found) {
    struct ref_look l = {.off = off};
    if (!has_table(c, i) || !htab_at(c, SHM_LOAD(&seg_table(c->seg, i)->partitions_off), LOCK_PARTITION, &l.tab))
        return LARDER_OK;
    struct stripe_shm *stripe = core_hooks->index_stripe_of(&l.tab, off);
    if (!stripe || SHM_LOAD(&stripe->array) == 0)
        return LARDER_OK;
    int r = check_look(c, &stripe->lock, LOCK_PARTITION, look_for_list, &l, sizeof l);
    *is_found |= l.is_found;
    return r;
}

/* The hash of a block that may be an item, and the table that its version names. Returns 0 if it is
 * no item. */
static int read_item(struct check_state *c, uint64_t off, uint64_t *hash, uint32_t *table) {
    const struct item_head *in_place = seg_at(c->seg, off, sizeof *in_place);
    struct item_peek item;
    if (!in_place || !item_peek_open(&item, in_place, heap_block_bytes(c->seg, off)))
        return 0;
    shm_copy_out(c->image, item_key_area(in_place), item_key_area_bytes(&item.head));
    *hash = read_hash_in(c->seg, c->image, item.head.partition_bytes, item.head.sort_bytes);
    *table = TABLE_OF_VERSION(item.head.version);
    return item.head.hash_high == *hash >> 32;
}

/* Looks where the block's content says it belongs. is_last: in every table, even if an item's
 * version names one. */
static int count_by_content(struct check_state *c, struct check_candidate *candidate, int is_last) {
    uint64_t hash, off = candidate->off;
    uint32_t table;
    int is_item = 0, is_listed = 0, r = LARDER_OK;
    if (read_item(c, off, &hash, &table)) {
        if (table < LARDER_TABLES_MAX)
            r = ask_items(c, table, off, hash, &is_item);
        for (uint32_t i = 0; i < LARDER_TABLES_MAX && is_last && !is_item && r == LARDER_OK; i++)
            r = ask_items(c, i, off, hash, &is_item);
    }
    for (uint32_t i = 0; i < LARDER_TABLES_MAX && !is_item && !is_listed && r == LARDER_OK; i++)
        r = ask_lists(c, i, off, &is_listed);
    candidate->refs = (uint16_t)(candidate->refs + is_item + is_listed);
    return r;
}

/* ---- Judging --------------------------------------------------------------------------------- */

/* All blocks in slots' hands, and records of their transactions, in order. Private memory; NULL:
 * out of memory. */
static uint64_t *hands(struct check_state *c, size_t *count) {
    uint64_t *all = priv_alloc(db_priv(c->db), (size_t)c->seg->slot_count * (SLOT_HAND + 1) * sizeof *all);
    *count = 0;
    for (uint32_t i = 0; all && i < c->seg->slot_count; i++)
        for (unsigned k = 0; k <= SLOT_HAND; k++) {
            const struct slot_shm *slot = seg_slot(c->seg, i);
            uint64_t off =
                k < SLOT_HAND ? SHM_LOAD(&slot->hand[k]) & ~(uint64_t)HAND_BITS : SHM_LOAD(&slot->record_off);
            if (off)
                all[(*count)++] = off;
        }
    if (all)
        qsort(all, *count, sizeof *all, by_number);
    return all;
}

/* Whether it is still a candidate after this round. */
static int is_left(struct check_state *c, struct check_candidate *candidate, const uint64_t *hand, size_t hand_count) {
    uint64_t head[4];
    const void *block = seg_at(c->seg, candidate->off, sizeof head);
    if (!block || heap_block_bytes(c->seg, candidate->off) == 0)
        return 0;
    if (candidate->is_twice)
        return candidate->refs >= 2;
    if (candidate->refs > 0 || bsearch(&candidate->off, hand, hand_count, sizeof *hand, by_number))
        return 0;
    shm_copy_out(head, block, sizeof head);
    if (candidate->stays > 0 && memcmp(head, candidate->head, sizeof head) != 0)
        return 0; /* another process writes it */
    memcpy(candidate->head, head, sizeof head);
    return 1;
}

static int drop_others(struct check_state *c) {
    struct check_candidate *all = c->candidates.at;
    size_t kept = 0, hand_count;
    uint64_t *hand = hands(c, &hand_count);
    if (!hand)
        return LARDER_E_NO_MEMORY;
    for (size_t i = 0; i < c->candidates.count; i++)
        if (is_left(c, &all[i], hand, hand_count)) {
            all[i].stays++;
            all[kept++] = all[i];
        }
    c->candidates.count = kept;
    priv_free(db_priv(c->db), hand);
    return LARDER_OK;
}

/* Whether some candidates may be referred to by the wheel. */
static int is_wheel_wanted(const struct check_state *c) {
    const struct check_candidate *all = c->candidates.at;
    for (size_t i = 0; i < c->candidates.count; i++)
        if (all[i].refs == all[i].is_twice)
            return 1;
    return 0;
}

static int judge_once(struct check_state *c, unsigned round) {
    struct check_candidate *all = c->candidates.at;
    int r = LARDER_OK;
    for (size_t i = 0; i < c->candidates.count; i++)
        all[i].refs = 0;
    count_catalog(c);
    for (size_t i = 0; i < c->candidates.count && r == LARDER_OK; i++) {
        all = c->candidates.at; /* looks reserve memory for more */
        r = count_by_content(c, &all[i], round + 1 == ROUNDS);
    }
    if (r == LARDER_OK && is_wheel_wanted(c))
        r = core_hooks->timer_refs(c);
    return r ? r : drop_others(c);
}

static void sort_candidates(struct check_state *c) {
    struct check_candidate *all = c->candidates.at;
    size_t kept = 0;
    if (c->candidates.count > 1)
        qsort(all, c->candidates.count, sizeof *all, by_off);
    for (size_t i = 0; i < c->candidates.count; i++)
        if (kept == 0 || all[kept - 1].off != all[i].off)
            all[kept++] = all[i];
    c->candidates.count = kept;
}

static void report_candidates(struct check_state *c) {
    const struct check_candidate *all = c->candidates.at;
    for (size_t i = 0; i < c->candidates.count; i++) {
        unsigned long long off = all[i].off;
        if (all[i].is_twice) {
            check_error(c, "heap: block %llu is referred to twice", off);
            continue;
        }
        c->report->leaked_blocks++;
        check_error(c, "heap: block %llu of %llu bytes is handed out, and nothing refers to it", off,
                    (unsigned long long)heap_block_bytes(c->seg, off));
    }
}

int check_refs(struct check_state *c) {
    sort_candidates(c);
    for (unsigned round = 0; round < ROUNDS && c->candidates.count > 0; round++) {
        if (round > 0)
            wait_a_moment();
        c->report->passes++;
        int r = judge_once(c, round);
        if (r)
            return r;
    }
    if (c->candidates_lost)
        check_unjudged(c, c->candidates_lost);
    if (!c->w && check_activity(c) != c->activity) /* nothing was locked, and a process wrote */
        check_unjudged(c, c->candidates.count);
    else
        report_candidates(c);
    return LARDER_OK;
}

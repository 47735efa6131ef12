/* core/audit/check_table.c - the audit of the catalog, and the walk over a table. See check.h.
 *
 * Live     Definitions change during the walk. Each look compares the pair that its view was made
 *          from, under the lock of its stripe (rule T2 of table.h), and begins again with the
 *          present view. Looking at stripes under different definitions does no harm: entries that
 *          do not add up are looked up again. A table that comes, goes or is being dropped is no
 *          error; of one that is being dropped only the blocks are marked.
 * Tests    tests/api/check_damage_test.c, tests/crash/repair_dormant_test.c
 */
#include "core/audit/check.h"
#include "core/base/err.h"
#include "core/base/wait.h"
#include "core/memory/heap.h"
#include "core/memory/hooks.h"
#include "core/table/catalog.h"
#include "core/table/change.h"
#include "core/table/db.h"
#include "core/table/marks.h"

#define GROUP_ITEMS 16u /* items per sum */
#define SUMS_BITS_MAX 28u
#define LOOKS 100u
#define VIEWS_MAX 10u /* definitions that may change while one piece is looked at */

/* ---- The catalog ----------------------------------------------------------------------------- */

/* Whether a word refers to a block that is too small, or to none, and still does on a second look:
 * a writer that replaces a block stores the word before it frees the old block. */
static int is_broken(const struct check_state *c, const shm_word *word, uint64_t bytes) {
    for (unsigned looks = 0; looks < LOOKS; looks++) {
        uint64_t off = SHM_LOAD(word);
        if (off == 0 || heap_block_bytes(c->seg, off) >= bytes)
            return 0;
    }
    return 1;
}

static void check_word(struct check_state *c, const shm_word *word, uint64_t bytes, const char *what) {
    for (unsigned looks = 0; looks < LOOKS; looks++) {
        uint64_t off = SHM_LOAD(word);
        if (off == 0)
            return;
        if (heap_block_bytes(c->seg, off) >= bytes || is_broken(c, word, bytes)) {
            check_block(c, off, bytes, what);
            return;
        }
    }
}

/* The blocks that a catalog entry refers to. This look has no lock: the words are single. */
static int look_at_entry(struct check_state *c, void *at) {
    const struct table_shm *t = seg_table(c->seg, *(uint32_t *)at);
    uint64_t bytes = (uint64_t)c->seg->stripe_count * sizeof(struct stripe_shm);
    check_word(c, &t->items_off, bytes, "stripes of items");
    check_word(c, &t->partitions_off, bytes, "stripes of partitions");
    check_word(c, &t->marks_off, marks_bytes(c->seg), "marks");
    check_word(c, &t->schema_off, sizeof(struct schema_head), "definition");
    return LARDER_OK;
}

int check_is_catalog_held(const struct check_state *c) {
    int owner = lock_owner(&c->seg->shm->catalog_lock);
    return owner >= 0 && (uint32_t)owner < c->seg->slot_count;
}

/* ---- Stripes without a table ----------------------------------------------------------------- */

/* The stripes of an entry whose table was dropped. Its next table begins with them
 * (core/table/table_life.c). */
struct dormant_look {
    const struct table_shm *entry;
    uint32_t ordinal, number;
    int are_items;
};

static const struct stripe_shm *dormant_stripe(const struct check_state *c, const struct dormant_look *l) {
    uint64_t off = SHM_LOAD(l->are_items ? &l->entry->items_off : &l->entry->partitions_off);
    const struct stripe_shm *stripes = seg_at(c->seg, off, (uint64_t)c->seg->stripe_count * sizeof *stripes);
    return stripes && off % sizeof *stripes == 0 ? &stripes[l->number] : NULL;
}

/* Under the stripe's lock no process writes it, and none wrote it since its table was emptied. */
static int look_at_dormant(struct check_state *c, void *at) {
    const struct dormant_look *l = at;
    const struct stripe_shm *stripe = dormant_stripe(c, l);
    const char *kind = l->are_items ? "items" : "partitions";
    if (!stripe || LIFE_STATE(SHM_LOAD(&l->entry->life)) != TABLE_FREE)
        return LARDER_OK;
    if (!htab_is_blank(stripe))
        check_error(c, "stripe %u of %s that table number %u left is not empty", l->number, kind, l->ordinal);
    if (l->are_items && !change_is_number(l->ordinal, SHM_LOAD(&stripe->writes)))
        check_error(c, "stripe %u of items that table number %u left: counts %llu writes, more than possible",
                    l->number, l->ordinal, (unsigned long long)SHM_LOAD(&stripe->writes));
    return LARDER_OK;
}

static int check_dormant(struct check_state *c, uint32_t ordinal) {
    struct dormant_look l = {.entry = seg_table(c->seg, ordinal), .ordinal = ordinal};
    int r = LARDER_OK;
    for (l.are_items = 0; l.are_items < 2; l.are_items++)
        for (l.number = 0; l.number < c->seg->stripe_count && r == LARDER_OK; l.number++) {
            const struct stripe_shm *stripe = dormant_stripe(c, &l);
            if (!stripe)
                break;
            if ((!l.are_items || change_is_number(ordinal, SHM_LOAD(&stripe->writes))) && check_is_empty(c, stripe))
                continue;
            r = check_look(c, (lock_word *)&stripe->lock, LOCK_STRIPE, look_at_dormant, &l, sizeof l);
        }
    return r;
}

/* ---- Tables in the making -------------------------------------------------------------------- */

/* The holder of the catalog lock is creating or dropping a table, so the table's state may be
 * right. */
static int is_catalog_in_use(const struct check_state *c) {
    int owner = lock_owner(&c->seg->shm->catalog_lock);
    if (owner < 0 || (uint32_t)owner >= c->seg->slot_count)
        return 0;
    uint32_t op = SHM_LOAD(&seg_slot(c->seg, (uint32_t)owner)->op);
    return op == OP_TABLE_CREATE || op == OP_TABLE_DROP;
}

/* A half-made table is allowed only while its maker holds the catalog lock. */
static int is_left_half_made(const struct check_state *c, const struct table_shm *t) {
    uint64_t life = SHM_LOAD(&t->life);
    for (unsigned looks = 0; looks < LOOKS; looks++) {
        if (SHM_LOAD(&t->life) != life || is_catalog_in_use(c))
            return 0;
        if (looks % 10 == 9)
            wait_a_moment();
    }
    return 1;
}

int check_view(struct check_state *c, uint32_t ordinal, const struct table_view **v) {
    uint64_t life = SHM_LOAD(&seg_table(c->seg, ordinal)->life);
    if (LIFE_STATE(life) != TABLE_READY && LIFE_STATE(life) != TABLE_DROPPING)
        return LARDER_E_NO_TABLE;
    int r = table_view_by_ordinal(c->db, ordinal, v);
    if (r == LARDER_OK && LIFE_STATE((*v)->life) != TABLE_READY && LIFE_STATE((*v)->life) != TABLE_DROPPING)
        return LARDER_E_NO_TABLE;
    if (r == LARDER_E_CORRUPT)
        check_error(c, "table %u: %s", ordinal, larder_error());
    return r;
}

int check_retry(struct check_state *c, int *r, unsigned *tries) {
    if (*r != OBSTACLE_VIEW)
        return 0;
    if (++*tries < VIEWS_MAX)
        return 1;
    check_unjudged(c, 1);
    *r = LARDER_OK;
    return 0;
}

int check_is_empty(struct check_state *c, const struct stripe_shm *stripe) {
    if (!htab_is_blank(stripe) || SHM_LOAD(&stripe->writes) > ITEM_VERSION_MAX)
        return 0;
    check_lock(c, &stripe->lock);
    return 1;
}

/* ---- One table ------------------------------------------------------------------------------- */

/* An estimate, without a lock. Damaged counts do not make it more than fit into the segment. */
static uint64_t count_items(const struct table_view *v) {
    uint64_t items = 0, most = v->items.seg->bytes / sizeof(struct item_head);
    for (uint32_t i = 0; i < v->items.stripe_count; i++)
        items += SHM_LOAD_RELAXED(&v->items.stripes[i].count);
    return items < most ? items : most;
}

static uint64_t work_of(const struct table_view *v) {
    return count_items(v) + v->items.stripe_count;
}

static int make_sums(struct check_state *c, const struct table_view *v) {
    uint64_t items = count_items(v);
    c->sums_bits = 64 - v->items.stripe_shift;
    while (c->sums_bits < SUMS_BITS_MAX && items >> c->sums_bits >= GROUP_ITEMS)
        c->sums_bits++;
    c->sums = priv_alloc(db_priv(c->db), sizeof *c->sums << c->sums_bits);
    return c->sums ? LARDER_OK : LARDER_E_NO_MEMORY;
}

static int sums_are_zero(const struct check_state *c) {
    for (uint64_t i = 0; i < UINT64_C(1) << c->sums_bits; i++)
        if (c->sums[i] != 0)
            return 0;
    return 1;
}

/* Whether the sum of a group of the stripe is not 0. */
static int has_suspect_groups(const struct check_state *c, uint32_t stripe) {
    uint64_t groups = (UINT64_C(1) << c->sums_bits) / c->seg->stripe_count, first = stripe * groups;
    for (uint64_t i = 0; i < groups; i++)
        if (c->sums[first + i] != 0)
            return 1;
    return 0;
}

static int walk_items(struct check_state *c, uint32_t ordinal, const struct table_view *v) {
    for (uint32_t i = 0; i < c->seg->stripe_count; i++) {
        uint64_t work = SHM_LOAD_RELAXED(&v->items.stripes[i].count) + 1u;
        int r = check_item_stripe(c, ordinal, i, 0);
        if (r == LARDER_OK)
            r = check_progress(c, work);
        if (r)
            return r;
    }
    return LARDER_OK;
}

static int walk_lists(struct check_state *c, uint32_t ordinal, const struct table_view *v) {
    uint64_t work = work_of(v), stripes = c->seg->stripe_count;
    for (uint32_t i = 0; i < stripes; i++) {
        int r = core_hooks->index_check_stripe(c, ordinal, i, 0);
        if (r == LARDER_OK)
            r = check_progress(c, work * (i + 1) / stripes - work * i / stripes);
        if (r)
            return r;
    }
    return LARDER_OK;
}

/* Looks up entries and items of the groups whose sum is not 0. */
static int judge_groups(struct check_state *c, uint32_t ordinal) {
    c->report->passes++;
    for (uint32_t i = 0; i < c->seg->stripe_count; i++) {
        int r = core_hooks->index_check_stripe(c, ordinal, i, 1);
        if (r == LARDER_OK && has_suspect_groups(c, i))
            r = check_item_stripe(c, ordinal, i, 1);
        if (r == LARDER_OK)
            r = check_progress(c, 0);
        if (r)
            return r;
    }
    return LARDER_OK;
}

static int walk_table(struct check_state *c, uint32_t ordinal) {
    const struct table_view *v;
    int r = check_view(c, ordinal, &v);
    if (r == LARDER_OK)
        r = make_sums(c, v);
    if (r == LARDER_OK)
        r = walk_items(c, ordinal, v);
    if (r == LARDER_OK)
        r = walk_lists(c, ordinal, v);
    if (r == LARDER_OK && !sums_are_zero(c))
        r = judge_groups(c, ordinal);
    priv_free(db_priv(c->db), c->sums);
    c->sums = NULL;
    /* the table is gone, or the error was reported */
    return r == LARDER_E_NO_TABLE || r == LARDER_E_CORRUPT ? LARDER_OK : r;
}

static int check_table(struct check_state *c, uint32_t ordinal) {
    const struct table_shm *t = seg_table(c->seg, ordinal);
    int r = check_look(c, NULL, LOCK_CATALOG, look_at_entry, &ordinal, sizeof ordinal);
    uint64_t life = SHM_LOAD(&t->life);
    if (r || LIFE_STATE(life) == TABLE_FREE)
        return r ? r : check_dormant(c, ordinal);
    if (!life_is_known(life) || (LIFE_STATE(life) == TABLE_CREATING && is_left_half_made(c, t))) {
        check_error(c, "table %u is neither free nor ready, and no process is changing it", ordinal);
        return LARDER_OK;
    }
    return walk_table(c, ordinal);
}

int check_tables(struct check_state *c) {
    for (uint32_t i = 0; i < LARDER_TABLES_MAX; i++) {
        int r = check_table(c, i);
        if (r)
            return r;
    }
    return LARDER_OK;
}

uint64_t check_tables_work(const struct check_state *c) {
    uint64_t work = 0;
    for (uint32_t i = 0; i < LARDER_TABLES_MAX; i++) {
        const struct table_view *v;
        if (LIFE_STATE(SHM_LOAD(&seg_table(c->seg, i)->life)) == TABLE_READY &&
            table_view_by_ordinal(c->db, i, &v) == LARDER_OK)
            work += 2 * work_of(v);
    }
    return work;
}

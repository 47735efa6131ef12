/* core/audit/repair_table.c - which tables exist, what they have, and where all of it lies. Step 2
 * of core/audit/repair.h.
 *
 * Idea     What is read first gets its place in the heap first: definitions and stripes of all
 *          tables, then bucket arrays that are right in every detail, then items. Items that lie
 *          where the heap has a block of their size come before items that only their own bytes
 *          confirm: if two want the same bytes, one is a left-over.
 * Stripes  An entry's stripes are believed if most of them look like stripes, and the heap has such
 *          a block there or some of them have arrays. Lost stripes are made again, and their
 *          contents are lost.
 * Lost     The items of a lost table or of lost stripes are counted as far as stripes or lists
 *          still give a possible number; those that a stripe lacks in core/audit/repair_loss.c.
 * Tests    tests/crash/repair_exact_test.c, tests/crash/repair_death_test.c,
 *          tests/crash/repair_item_test.c
 */
#include "core/audit/repair.h"
#include "core/base/err.h"
#include "core/memory/hooks.h"
#include "core/table/catalog.h"
#include "core/table/db.h"
#include "core/table/marks.h"
#include <stdlib.h>

#define SEED_SAMPLE 8  /* this many images without one right hash: the seed is wrong */
#define UNFIT_SAMPLE 8 /* this many true images that the definition does not fit: it is wrong */

/* ---- Definitions ----------------------------------------------------------------------------- */

/* Reads the definition at schema_off without asking the heap. *view NULL: it is no definition. */
static int read_definition(struct repair *p, uint64_t off, struct table_view **view) {
    struct schema_head head, *copy;
    const void *block = seg_at(p->seg, off, sizeof head);
    *view = NULL;
    if (!block)
        return LARDER_OK;
    shm_copy_out(&head, block, sizeof head);
    if (!schema_head_is_sane(&head) || !seg_at(p->seg, off, schema_block_bytes(&head)))
        return LARDER_OK;
    struct table_view *v = schema_view_new(db_priv(p->db), &head, &copy);
    if (!v)
        return LARDER_E_NO_MEMORY;
    shm_copy_out(copy, block, schema_block_bytes(&head));
    if (memcmp(copy, &head, sizeof head) == 0 && schema_view_fill(v, copy) == LARDER_OK &&
        repair_keep(p, off, schema_block_bytes(&head), 0))
        *view = v;
    else
        priv_free(db_priv(p->db), v);
    return LARDER_OK;
}

/* A half-made or half-dropped table is no table. An entry whose state is free or invalid, but whose
 * definition is whole, is a table: none becomes free before its definition is gone. */
static int plan_definition(struct repair *p, uint32_t ordinal) {
    struct table_shm *shm = seg_table(p->seg, ordinal);
    struct repair_table *t = &p->table[ordinal];
    uint64_t life = SHM_LOAD(&shm->life), off = SHM_LOAD(&shm->schema_off);
    uint32_t state = LIFE_STATE(life);
    if (state == TABLE_CREATING || state == TABLE_DROPPING)
        return LARDER_OK;
    int r = p->borrows[ordinal] ? LARDER_OK : read_definition(p, off, &t->v);
    if (r == LARDER_OK && !t->v && state == TABLE_READY && !p->is_quiet) {
        p->report->tables_lost++;
        t->is_lost = 1;
        repair_note(p, "lost: table number %u: its definition %s, so its items are lost, too", ordinal,
                    p->borrows[ordinal] ? "is another table's" : "cannot be read");
    }
    if (t->v && t->v->has_bad_settings && !p->is_quiet)
        repair_note(p, "lost: the settings of table \"%.64s\"", t->v->def.name);
    if (t->v && state != TABLE_READY && !p->is_quiet)
        repair_note(p, "mended: table \"%.64s\": its state was %u", t->v->def.name, state);
    return r;
}

/* ---- Stripes --------------------------------------------------------------------------------- */

#define SEQ_TRUE_BITS (SEQ_MARK / 2 - 1) /* none ever counted that far */

/* No transaction is under way; its items were judged like others. The sequence must not count up
 * into the mark. */
static void clear_mark(struct stripe_shm *stripe) {
    SHM_PUT(&stripe->record_off, 0);
    SHM_PUT(&stripe->seq, SHM_LOAD_RELAXED(&stripe->seq) & SEQ_TRUE_BITS);
}

static int looks_like_stripe(const struct repair *p, const struct stripe_shm *stripe) {
    uint64_t word = SHM_LOAD(&stripe->array);
    if (SHM_LOAD(&stripe->record_off) % 8 != 0)
        return 0;
    return word == 0 || (WORD_TAG(word) != 0 && WORD_OFF(word) % sizeof(struct bucket_shm) == 0 &&
                         seg_at(p->seg, WORD_OFF(word), htab_array_bytes(WORD_TAG(word))));
}

/* Keeps the stripes at off; returns 0 if there are none. */
static uint64_t plan_stripes(struct repair *p, uint64_t off) {
    uint64_t bytes = (uint64_t)p->seg->stripe_count * sizeof(struct stripe_shm);
    const struct stripe_shm *stripes = off % 64 == 0 ? seg_at(p->seg, off, bytes) : NULL;
    uint32_t like = 0, used = 0;
    for (uint32_t i = 0; stripes && i < p->seg->stripe_count; i++)
        if (looks_like_stripe(p, &stripes[i])) {
            like++;
            used += SHM_LOAD(&stripes[i].array) != 0;
        }
    if (like < (p->seg->stripe_count + 1) / 2)
        return 0;
    if (heap_block_bytes(p->seg, off) < bytes && used == 0)
        return 0;
    return repair_keep(p, off, bytes, HEAP_LINE) ? off : 0;
}

static void attach(struct repair *p, uint32_t ordinal) {
    struct repair_table *t = &p->table[ordinal];
    struct table_view *v = t->v;
    uint32_t count = p->seg->stripe_count, shift = 64 - (uint32_t)__builtin_ctz(count);
    v->db = p->db;
    v->ordinal = ordinal;
    v->shm = seg_table(p->seg, ordinal);
    v->items = (struct htab){.seg = p->seg, .stripe_count = count, .stripe_shift = shift, .rank = LOCK_STRIPE};
    v->partitions = (struct htab){.seg = p->seg, .stripe_count = count, .stripe_shift = shift, .rank = LOCK_PARTITION};
    if (t->items_off)
        v->items.stripes = (struct stripe_shm *)(p->seg->base + t->items_off);
    if (t->partitions_off)
        v->partitions.stripes = (struct stripe_shm *)(p->seg->base + t->partitions_off);
}

/* Of a table without a definition, as its stripes count them. */
static uint64_t items_counted(const struct repair *p, const struct repair_table *t) {
    const struct stripe_shm *stripes = (const struct stripe_shm *)(p->seg->base + t->items_off);
    uint64_t items = 0;
    for (uint32_t i = 0; t->items_off && i < p->seg->stripe_count; i++)
        items += repair_counted(&stripes[i]);
    return items;
}

/* Of a table without stripes of items, as its lists have them: no index has more entries than
 * there are items. */
static uint64_t items_listed(struct repair *p, const struct repair_table *t) {
    uint32_t count = t->v->def.index_count + 1;
    struct larder_index_stats *lists = t->partitions_off ? priv_alloc(db_priv(p->db), count * sizeof *lists) : NULL;
    uint64_t items = 0;
    if (lists)
        (void)core_hooks->index_stats(t->v, lists, count); /* as far as they can be read */
    for (uint32_t i = 0; lists && i < count; i++)
        items = items > lists[i].entries ? items : lists[i].entries;
    priv_free(db_priv(p->db), lists);
    return items;
}

/* Keeps a table's marks, or returns 0: then it gets others when it is next set to evict. */
static uint64_t plan_marks(struct repair *p, const struct table_shm *shm) {
    uint64_t off = SHM_LOAD(&shm->marks_off), bytes = marks_bytes(p->seg);
    const struct marks_shm *m = off ? seg_at(p->seg, off, bytes) : NULL;
    return m && m->magic == MARKS_MAGIC && repair_keep(p, off, bytes, 0) ? off : 0;
}

static int plan_table(struct repair *p, uint32_t ordinal) {
    struct table_shm *shm = seg_table(p->seg, ordinal);
    struct repair_table *t = &p->table[ordinal];
    t->items_off = plan_stripes(p, SHM_LOAD(&shm->items_off));
    t->partitions_off = plan_stripes(p, SHM_LOAD(&shm->partitions_off));
    t->marks_off = plan_marks(p, shm);
    int is_moved = (t->v || SHM_LOAD(&shm->items_off)) && !t->items_off;
    is_moved |= (t->v || SHM_LOAD(&shm->partitions_off)) && !t->partitions_off;
    int r = is_moved ? repair_must_be_only_one(p, "stripes of a table must be made again") : LARDER_OK;
    if (r == LARDER_OK && t->is_lost)
        p->report->items_lost += items_counted(p, t);
    if (r || !t->v)
        return r;
    attach(p, ordinal);
    t->stripe_end = priv_alloc(db_priv(p->db), p->seg->stripe_count * sizeof *t->stripe_end);
    t->array = priv_alloc(db_priv(p->db), p->seg->stripe_count);
    t->named = priv_alloc(db_priv(p->db), p->seg->stripe_count * sizeof *t->named);
    if (!t->stripe_end || !t->array || !t->named)
        return LARDER_E_NO_MEMORY;
    if (!p->is_quiet && !t->items_off) {
        uint64_t items = items_listed(p, t);
        p->report->items_lost += items;
        repair_note(p, "lost: table \"%.64s\": the stripes of its items, and so all of them; its lists have %llu",
                    t->v->def.name, (unsigned long long)items);
    }
    return LARDER_OK;
}

/* ---- Items ----------------------------------------------------------------------------------- */

static int read_items(struct repair *p, struct repair_table *t) {
    int r = LARDER_OK;
    for (uint32_t i = 0; i < p->seg->stripe_count && r == LARDER_OK; i++) {
        if (t->items_off)
            r = repair_read_array(p, t, i);
        t->stripe_end[i] = (uint32_t)t->count;
    }
    return r;
}

static void keep_arrays(struct repair *p, struct repair_table *t) {
    for (uint32_t i = 0; t->items_off && i < p->seg->stripe_count; i++) {
        uint64_t word = SHM_LOAD(&t->v->items.stripes[i].array);
        if (word != 0 && !(t->array[i] & ARRAY_DOUBTFUL) &&
            !repair_keep(p, WORD_OFF(word), htab_array_bytes(WORD_TAG(word)), HEAP_LINE))
            t->array[i] |= ARRAY_DOUBTFUL;
    }
}

static const struct item_head *item_at(const struct repair *p, uint64_t off) {
    return (const struct item_head *)(p->seg->base + off);
}

#define LOW_BIT UINT64_C(1) /* of an item's offset, while blocks are assigned: it has its block */

/* Keeps the items that the heap agrees with, or the others. */
static void keep_items(struct repair *p, struct repair_table *t, int is_agreed) {
    for (size_t i = 0; i < t->count; i++) {
        uint64_t off = t->item[i] & ~LOW_BIT, bytes = item_at(p, off)->bytes;
        uint64_t have = heap_block_bytes(p->seg, off);
        if ((have >= heap_round(bytes, 0) && have <= heap_round_most(bytes, 0)) != is_agreed)
            continue;
        if (repair_keep(p, off, bytes, 0))
            t->item[i] |= LOW_BIT;
    }
}

/* Of two items of a table. Hashes are those of the keys: what a head says may be damaged. */
static int by_hash(const void *a, const void *b, void *arg) {
    const struct table_view *v = arg;
    const unsigned char *base = v->items.seg->base;
    const struct item_head *x = (const struct item_head *)(base + *(const uint64_t *)a);
    const struct item_head *y = (const struct item_head *)(base + *(const uint64_t *)b);
    uint64_t of_x = repair_hash_of(v, x), of_y = repair_hash_of(v, y);
    if (of_x != of_y)
        return of_x < of_y ? -1 : 1;
    return (x->version < y->version) - (x->version > y->version); /* newer first */
}

/* Whether a newer item with this key is among item[from..to), which end with those of its hash,
 * if there are any. */
static int has_newer(const struct repair *p, const struct table_view *v, const uint64_t *item, size_t from, size_t to,
                     uint64_t off) {
    const struct item_head *h = item_at(p, off);
    for (size_t i = to; i > from; i--) {
        const struct item_head *newer = item_at(p, item[i - 1]);
        if (repair_is_same_key(newer, h))
            return 1;
        if (repair_hash_of(v, newer) != repair_hash_of(v, h))
            return 0;
    }
    return 0;
}

/* Keeps a stripe's items that have a block of their own, each key once. */
static void settle_stripe(struct repair *p, struct repair_table *t, uint32_t number, size_t from, size_t *kept) {
    size_t first = *kept, to = t->stripe_end[number], placed = first;
    for (size_t i = from; i < to; i++) {
        if (t->item[i] & LOW_BIT)
            t->item[placed++] = t->item[i] & ~LOW_BIT;
        else
            t->array[number] |= ARRAY_UNCLEAN; /* two slots refer to one block, or blocks overlap */
    }
    if (placed > first)
        qsort_r(t->item + first, placed - first, sizeof *t->item, by_hash, t->v);
    for (size_t i = first; i < placed; i++) {
        uint64_t off = t->item[i];
        if (has_newer(p, t->v, t->item, first, *kept, off)) {
            t->array[number] |= ARRAY_UNCLEAN;
            repair_unkeep(p, off);
        } else
            t->item[(*kept)++] = off;
    }
    t->stripe_end[number] = (uint32_t)*kept;
}

static void settle_items(struct repair *p, struct repair_table *t) {
    size_t from = 0, kept = 0;
    for (uint32_t i = 0; i < p->seg->stripe_count; i++) {
        size_t end = t->stripe_end[i];
        settle_stripe(p, t, i, from, &kept);
        from = end;
    }
    if (t->count > kept && !p->is_quiet)
        repair_note(p, "mended: table \"%.64s\": %zu slots referred to what others refer to, or to older versions",
                    t->v->def.name, t->count - kept);
    t->count = kept;
}

static void reserve_arrays(struct repair *p, struct repair_table *t) {
    for (uint32_t i = 0; t->items_off && i < p->seg->stripe_count; i++) {
        uint64_t word = SHM_LOAD(&t->v->items.stripes[i].array);
        if (!(t->array[i] & ARRAY_DOUBTFUL) || word == 0)
            continue;
        uint64_t told = htab_array_bytes(WORD_TAG(word)), have = heap_block_bytes(p->seg, WORD_OFF(word));
        repair_reserve(p, WORD_OFF(word), told);
        repair_reserve(p, WORD_OFF(word), have); /* whichever of the two sizes was read */
    }
}

/* ---- The plan -------------------------------------------------------------------------------- */

/* Rule M5. */
static int refuse_definition(const struct repair_table *t) {
    return err_set(LARDER_E_CORRUPT,
                   "table number %u has the definition of table \"%.64s\", which none of its %llu items fits: the "
                   "definitions of two tables were exchanged, or its own was lost",
                   t->v->ordinal, t->v->def.name, (unsigned long long)t->true_count);
}

/* Whether the entry of another table, whose own it may be, refers to the same definition. */
static int is_shared(const struct repair *p, uint32_t ordinal) {
    uint64_t off = SHM_LOAD(&seg_table(p->seg, ordinal)->schema_off);
    for (uint32_t i = 0; i < LARDER_TABLES_MAX; i++)
        if (i != ordinal && p->table[i].is_lost && !p->borrows[i] && SHM_LOAD(&seg_table(p->seg, i)->schema_off) == off)
            return 1;
    return 0;
}

/* Refuses a segment in which nothing can be found. LARDER_MORE: a table has the definition of
 * another one, which found it taken; plan again. */
static int judge_items(struct repair *p) {
    for (uint32_t i = 0; i < LARDER_TABLES_MAX; i++) {
        if (p->table[i].true_count < UNFIT_SAMPLE || p->table[i].unfit_count != p->table[i].true_count)
            continue;
        if (p->is_quiet || !is_shared(p, i))
            return refuse_definition(&p->table[i]);
        p->borrows[i] = 1;
        return LARDER_MORE;
    }
    if (p->sane_count >= SEED_SAMPLE && p->hash_count == 0)
        return err_set(LARDER_E_CORRUPT,
                       "of %llu items none has the hash of its key: the segment's hash seed is "
                       "damaged, and without it nothing can be found",
                       (unsigned long long)p->sane_count);
    return LARDER_OK;
}

static int plan_items(struct repair *p) {
    int r = LARDER_OK;
    for (uint32_t i = 0; i < LARDER_TABLES_MAX && r == LARDER_OK; i++)
        if (p->table[i].v)
            r = read_items(p, &p->table[i]);
    if (r == LARDER_OK)
        r = judge_items(p);
    if (r)
        return r;
    for (uint32_t i = 0; i < LARDER_TABLES_MAX; i++)
        if (p->table[i].v)
            keep_arrays(p, &p->table[i]);
    for (int is_agreed = 1; is_agreed >= 0; is_agreed--)
        for (uint32_t i = 0; i < LARDER_TABLES_MAX; i++)
            if (p->table[i].v)
                keep_items(p, &p->table[i], is_agreed);
    for (uint32_t i = 0; i < LARDER_TABLES_MAX; i++)
        if (p->table[i].v)
            settle_items(p, &p->table[i]);
    for (uint32_t i = 0; i < LARDER_TABLES_MAX; i++)
        if (p->table[i].v)
            reserve_arrays(p, &p->table[i]);
    for (uint32_t i = 0; i < LARDER_TABLES_MAX && r == LARDER_OK; i++)
        if (p->table[i].v)
            r = repair_count_losses(p, &p->table[i]);
    return r;
}

/* A further round finds what the previous one has left. */
static void count_items(struct repair *p) {
    uint64_t count = 0;
    for (uint32_t i = 0; i < LARDER_TABLES_MAX; i++)
        count += p->table[i].v ? p->table[i].count : 0;
    if (p->is_quiet && count < p->items_planned) {
        p->report->items_lost += p->items_planned - count;
        repair_note(p, "lost: %llu items that were there when the repair began",
                    (unsigned long long)(p->items_planned - count));
    }
    p->items_planned = count;
}

static int plan(struct repair *p) {
    int r = LARDER_OK;
    p->span = priv_alloc(db_priv(p->db), (p->seg->span_count + 1) * sizeof *p->span);
    p->table = priv_alloc(db_priv(p->db), LARDER_TABLES_MAX * sizeof *p->table);
    p->sane_count = p->hash_count = 0;
    if (!p->span || !p->table)
        return LARDER_E_NO_MEMORY;
    for (uint32_t i = 0; i < LARDER_TABLES_MAX && r == LARDER_OK; i++)
        r = plan_definition(p, i);
    for (uint32_t i = 0; i < LARDER_TABLES_MAX && r == LARDER_OK; i++)
        r = plan_table(p, i);
    if (r == LARDER_OK)
        r = plan_items(p);
    if (r == LARDER_OK)
        count_items(p);
    return r;
}

int repair_plan(struct repair *p) {
    const struct larder_repair_report report = *p->report;
    size_t notes = p->notes.used;
    int r;
    while ((r = plan(p)) == LARDER_MORE) {
        repair_forget_plan(p);
        *p->report = report;
        p->notes.used = notes;
    }
    return r;
}

void repair_forget_plan(struct repair *p) {
    struct priv *priv = db_priv(p->db);
    for (uint32_t i = 0; p->table && i < LARDER_TABLES_MAX; i++) {
        priv_free(priv, p->table[i].v);
        priv_free(priv, p->table[i].item);
        priv_free(priv, p->table[i].stripe_end);
        priv_free(priv, p->table[i].array);
        priv_free(priv, p->table[i].named);
    }
    priv_free(priv, p->table);
    priv_free(priv, p->span);
    p->table = NULL;
    p->span = NULL;
}

/* ---- Storing it ------------------------------------------------------------------------------ */

/* Empties stripes. A reader that is in them notices by the sequence. */
static void empty_stripes(struct repair *p, uint64_t off) {
    struct stripe_shm *stripes = off ? (struct stripe_shm *)(p->seg->base + off) : NULL;
    for (uint32_t i = 0; stripes && i < p->seg->stripe_count; i++) {
        if (SHM_LOAD(&stripes[i].array) != 0) {
            SHM_STORE(&stripes[i].array, 0);
            SHM_STORE(&stripes[i].seq, SHM_LOAD_RELAXED(&stripes[i].seq) + 1);
        }
        SHM_PUT(&stripes[i].count, 0);
        SHM_PUT(&stripes[i].spares_used, 0);
        clear_mark(&stripes[i]);
    }
}

/* Every table gets a new life, so that views of other processes are out of date. */
static void store_entry(struct repair *p, uint32_t ordinal) {
    struct table_shm *shm = seg_table(p->seg, ordinal);
    struct repair_table *t = &p->table[ordinal];
    uint64_t life = SHM_LOAD(&shm->life);
    if (t->v) {
        if (LIFE_GENERATION(life) < t->v->birth)
            life = (uint64_t)t->v->birth << 8;
        t->v->life = LIFE_NEXT(life, TABLE_READY);
        t->v->schema_off = SHM_LOAD(&shm->schema_off);
        if (t->v->has_bad_settings) /* the word before them: core/table/schema.h */
            SHM_PUT((shm_word *)(p->seg->base + t->v->schema_off + t->v->source->bytes), 0);
        SHM_STORE(&shm->life, t->v->life);
        SHM_PUT(&shm->restamp, 0); /* repair_mend_items() sets it */
    } else {
        /* first: a free entry with a definition is taken for a table (plan_definition) */
        SHM_PUT(&shm->schema_off, 0);
        SHM_PUT(&shm->restamp, 0);
        if (LIFE_STATE(life) != TABLE_FREE)
            SHM_STORE(&shm->life, LIFE_NEXT(life, TABLE_FREE));
        empty_stripes(p, t->items_off);
        if (t->items_off)
            repair_mend_dormant_writes(p, ordinal, (struct stripe_shm *)(p->seg->base + t->items_off));
    }
    empty_stripes(p, t->partitions_off);
    if (!t->items_off)
        SHM_PUT(&shm->items_off, 0);
    if (!t->partitions_off)
        SHM_PUT(&shm->partitions_off, 0);
    if (!t->marks_off)
        SHM_PUT(&shm->marks_off, 0);
}

int repair_catalog(struct repair *p) {
    for (uint32_t i = 0; i < LARDER_TABLES_MAX; i++)
        store_entry(p, i);
    return LARDER_OK;
}

/* Makes empty stripes for an entry that has none. */
static int make_stripes(struct repair *p, shm_word *word, uint64_t *stripes_off) {
    uint64_t off, bytes = (uint64_t)p->seg->stripe_count * sizeof(struct stripe_shm);
    int r = repair_take(&p->w, bytes, HEAP_LINE, &off);
    if (r)
        return r;
    shm_zero(p->seg->base + off, bytes);
    r = step_swap(&p->w, 1, word, 0, off, NULL, NULL, 0);
    *stripes_off = off;
    return r;
}

/* Marks for a table that evicts and has lost them. Without room it does not evict: a caller that
 * sets the policy again gets them. */
static int make_marks(struct repair *p, struct repair_table *t) {
    uint64_t bytes = marks_bytes(p->seg);
    int r = repair_take(&p->w, bytes, 0, &t->marks_off);
    if (r)
        return r == LARDER_E_FULL ? LARDER_OK : r;
    const struct marks_shm head = {.magic = MARKS_MAGIC};
    struct marks_shm *m = (struct marks_shm *)(p->seg->base + t->marks_off);
    shm_zero(m, bytes);
    shm_copy_in(m, &head, sizeof head);
    return step_swap(&p->w, 1, &t->v->shm->marks_off, 0, t->marks_off, NULL, NULL, 0);
}

int repair_stripes(struct repair *p, struct repair_table *t) {
    int r = LARDER_OK;
    if (!t->items_off)
        r = make_stripes(p, &t->v->shm->items_off, &t->items_off);
    if (r == LARDER_OK && !t->partitions_off)
        r = make_stripes(p, &t->v->shm->partitions_off, &t->partitions_off);
    if (r == LARDER_OK && t->v->def.eviction != LARDER_EVICTION_NONE && !t->marks_off)
        r = make_marks(p, t);
    if (r)
        return r;
    attach(p, t->v->ordinal);
    for (uint32_t i = 0, from = 0; i < p->seg->stripe_count && r == LARDER_OK; from = t->stripe_end[i++]) {
        struct stripe_shm *stripe = &t->v->items.stripes[i];
        clear_mark(stripe);
        if (t->array[i] & ARRAY_DOUBTFUL)
            r = repair_new_array(p, t->v, stripe, t->item + from, t->stripe_end[i] - from);
        else if (t->array[i] & ARRAY_UNCLEAN)
            r = repair_clean_array(p, t->v, stripe, t->item + from, t->stripe_end[i] - from);
        else
            r = htab_recount_locked(&t->v->items, stripe);
    }
    return r;
}

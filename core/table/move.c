/* core/table/move.c - moves a block of the heap to another place. See move.h. */
#include "core/table/move.h"
#include "core/memory/gate.h"
#include "core/memory/heap.h"
#include "core/memory/hooks.h"
#include "core/memory/journal.h"
#include "core/table/catalog.h"
#include "core/table/change.h"
#include "core/table/db.h"
#include "core/table/marks.h"

enum kind { KIND_ITEM, KIND_ITEM_ARRAY, KIND_PARTITION_ARRAY, KIND_LIST };

/* A block that is to be moved. */
struct moving {
    uint64_t off, first; /* first: its first word */
    int is_moved;
};

/* ---- Under a stripe's lock ------------------------------------------------------------------- */

static int copy_item(struct writer *w, const struct item_head *item, uint64_t bytes, uint64_t *to) {
    int r = heap_take(w, bytes, HAND_STEP0 | HAND_NEW, 0, to);
    void *block = r ? NULL : seg_at(w->seg, *to, bytes);
    if (block)
        shm_copy_in(block, item, bytes);
    return r == LARDER_OK && !block ? LARDER_E_CORRUPT : r;
}

/* Rule V1. The item is damaged: it stays. */
static int move_item_locked(struct writer *w, const struct table_view *v, struct stripe_shm *stripe, struct moving *m) {
    uint64_t word, to;
    struct item_peek peek;
    shm_word *slot = htab_slot_of(&v->items, stripe, m->first, m->off, &word);
    const struct item_head *item = slot ? seg_at(w->seg, m->off, sizeof *item) : NULL;
    if (!item || change_open_old(v, word, item, &peek))
        return LARDER_NOT_FOUND;
    change_note(w, v, stripe);
    int r = copy_item(w, item, peek.head.bytes, &to);
    if (r == LARDER_OK)
        r = heap_pass(w, m->off);
    if (r)
        return change_fail(w, r, step_abandon(w, 0));
    SHM_STORE(&stripe->moves, SHM_LOAD_RELAXED(&stripe->moves) + 1); /* V2 */
    r = step_swap(w, 0, slot, word, WORD_MAKE(WORD_TAG(word), to), &stripe->seq, &m->off, 1);
    if (r)
        return change_fail(w, r, step_is_open(w, 0) ? r : step_abandon(w, 0));
    if (v->marks)
        marks_put(v, to, marks_is_used(v, m->off));
    change_forget(w);
    return LARDER_OK;
}

static int is_array_of(const struct stripe_shm *stripe, uint64_t off) {
    uint64_t word = SHM_LOAD(&stripe->array);
    return word != 0 && WORD_OFF(word) == off;
}

static int move_array_locked(struct writer *w, const struct htab *t, struct stripe_shm *stripe, uint64_t off) {
    int r = is_array_of(stripe, off) ? htab_move_locked(w, t, stripe) : LARDER_NOT_FOUND;
    if (r && (step_is_open(w, 1) || step_abandon(w, 1)))
        w->is_stuck = 1;
    return r;
}

static int move_list_locked(struct writer *w, const struct htab *partitions, uint64_t off) {
    int r = core_hooks->index_move(w, partitions, off);
    if (r && (step_is_open(w, 1) || step_abandon(w, 1)))
        w->is_stuck = 1;
    return r;
}

/* Partitions change only under an item stripe: see core/table/trim.c. */
static int move_beside_locked(struct writer *w, const struct table_view *v, struct stripe_shm *stripe, enum kind kind,
                              uint64_t off) {
    struct stripe_shm *beside = &v->partitions.stripes[stripe - v->items.stripes];
    if (lock_try_recover(w, &beside->lock, LOCK_PARTITION))
        return LARDER_E_BUSY;
    int r = kind == KIND_LIST ? move_list_locked(w, &v->partitions, off)
                              : move_array_locked(w, &v->partitions, beside, off);
    if (!w->is_stuck)
        lock_drop(w, &beside->lock, LOCK_PARTITION);
    return r;
}

/* ---- Whose it is ----------------------------------------------------------------------------- */

static int move_in_stripe(struct writer *w, const struct table_view *v, struct stripe_shm *stripe, enum kind kind,
                          struct moving *m) {
    int r = LARDER_NOT_FOUND;
    uint64_t bytes = heap_block_bytes(w->seg, m->off);
    if (lock_try_recover(w, &stripe->lock, LOCK_STRIPE))
        return 0;
    if (!gate_is_closed(w) && view_is_current(v)) {
        if (kind == KIND_ITEM)
            r = move_item_locked(w, v, stripe, m);
        else {
            change_note(w, v, stripe);
            r = kind == KIND_ITEM_ARRAY ? move_array_locked(w, &v->items, stripe, m->off)
                                        : move_beside_locked(w, v, stripe, kind, m->off);
            if (!w->is_stuck)
                change_forget(w);
        }
    }
    change_leave_stripe(w, stripe);
    m->is_moved = r == LARDER_OK;
    if (m->is_moved)
        SHM_ADD(&w->seg->shm->moved_bytes, bytes);
    return m->is_moved;
}

/* The first block that an array may refer to, by its first word. 0: there is none. */
static int64_t first_of_array(const struct seg *s, const struct moving *m, uint64_t *first) {
    uint64_t bytes = heap_block_bytes(s, m->off);
    const shm_word *array = seg_at(s, m->off, bytes);
    for (uint64_t i = 0; array && i < bytes / 8; i++) {
        uint64_t word = i % 8 < BUCKET_SLOTS ? SHM_LOAD_RELAXED(&array[i]) : 0;
        const shm_word *block = word ? seg_at(s, WORD_OFF(word), sizeof *block) : NULL;
        if (block) {
            *first = SHM_LOAD_RELAXED(block);
            return 1;
        }
        if (word)
            return 0;
    }
    return 0;
}

/* True: this table refers to the block, and it was tried. */
static int try_table(struct writer *w, const struct table_view *v, uint64_t in_array, struct moving *m) {
    uint64_t word;
    struct stripe_shm *stripe = htab_stripe(&v->items, m->first);
    if (htab_slot_of(&v->items, stripe, m->first, m->off, &word)) {
        move_in_stripe(w, v, stripe, KIND_ITEM, m);
        return 1;
    }
    uint32_t number = (uint32_t)(in_array >> v->items.stripe_shift);
    if (in_array && is_array_of(&v->items.stripes[number], m->off)) {
        move_in_stripe(w, v, &v->items.stripes[number], KIND_ITEM_ARRAY, m);
        return 1;
    }
    if (in_array && is_array_of(&v->partitions.stripes[number], m->off)) {
        move_in_stripe(w, v, &v->items.stripes[number], KIND_PARTITION_ARRAY, m);
        return 1;
    }
    struct stripe_shm *list = core_hooks->index_stripe_of(&v->partitions, m->off);
    if (list && core_hooks->index_refers(&v->partitions, m->off)) {
        move_in_stripe(w, v, &v->items.stripes[list - v->partitions.stripes], KIND_LIST, m);
        return 1;
    }
    return 0;
}

/* Whether a table has an item at off. A guess, without a lock. */
static int is_item(struct writer *w, uint64_t off, uint64_t first) {
    uint64_t word;
    for (uint32_t i = 0; i < LARDER_TABLES_MAX; i++) {
        uint32_t ordinal = (w->compact_table + i) % LARDER_TABLES_MAX;
        const struct table_view *v;
        if (LIFE_STATE(SHM_LOAD(&seg_table(w->seg, ordinal)->life)) == TABLE_READY &&
            table_view_by_ordinal(w->db, ordinal, &v) == LARDER_OK &&
            htab_slot_of(&v->items, htab_stripe(&v->items, first), first, off, &word))
            return 1;
    }
    return 0;
}

int move_is_lent(struct writer *w, uint64_t off, uint64_t block_bytes) {
    const struct item_head *item = seg_at(w->seg, off, sizeof *item);
    if (!item)
        return 0;
    uint64_t first = SHM_LOAD_RELAXED((const shm_word *)item);
    uint32_t bytes = (uint32_t)first; /* if it is an item */
    return bytes >= sizeof *item && bytes < block_bytes && heap_is_lent(heap_round(bytes, 0), block_bytes) &&
           is_item(w, off, first);
}

int move_block(struct writer *w, uint64_t off) {
    const shm_word *block = seg_at(w->seg, off, sizeof *block);
    struct moving m = {.off = off};
    uint64_t in_array = 0;
    if (!block || heap_block_bytes(w->seg, off) == 0)
        return 1;
    m.first = SHM_LOAD_RELAXED(block);
    if (off % 64 == 0 && !first_of_array(w->seg, &m, &in_array))
        in_array = 0;
    for (uint32_t i = 0; i < LARDER_TABLES_MAX; i++) { /* from the one that had the block before */
        uint32_t ordinal = (w->compact_table + i) % LARDER_TABLES_MAX;
        const struct table_view *v;
        if (LIFE_STATE(SHM_LOAD(&seg_table(w->seg, ordinal)->life)) != TABLE_READY ||
            table_view_by_ordinal(w->db, ordinal, &v) != LARDER_OK || !try_table(w, v, in_array, &m))
            continue;
        w->compact_table = ordinal;
        return m.is_moved;
    }
    return heap_block_bytes(w->seg, off) == 0;
}

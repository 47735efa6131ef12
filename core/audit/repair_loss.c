/* core/audit/repair_loss.c - how many items are gone, however they went.
 *
 * Idea     Two counts say what should be in a stripe: its own, and the entries of lists, which have
 *          the hashes of their items. They are compared with the items that stay. So a loss shows
 *          even if nothing is left that looks damaged: a word to zeroed memory, an emptied slot, a
 *          slot that refers to another item's block.
 * Belief   Either count may be what is damaged.
 *            count = items, not 0   nothing is missing, whatever lists say
 *            lists are complete     they say how many; if the count says fewer, but more than
 *                                   there are, the count does
 *            else                   the count, if its array has room for so many; else lists as far
 *                                   as they can be read
 *          Lists are complete if all could be read and no stripe has fewer entries than items. Most
 *          stripes in which count and items agree must not have more, else the lists are another
 *          table's. They are those of table order, or of an index that has all items.
 * Tests    tests/crash/repair_loss_test.c
 */
#include "core/audit/repair.h"
#include "core/item/item.h"
#include "core/memory/hooks.h"
#include "core/table/db.h"
#include <stdio.h>

/* A table whose losses are being counted. */
struct loss {
    struct repair *p;
    const struct repair_table *t;
    uint32_t *listed; /* [stripe_count] entries; of several lists the most */
    int has_lists;    /* they were read and seem to be this table's */
    int is_complete;  /* see above */
};

static const struct stripe_shm *stripe_of(const struct loss *l, uint32_t number) {
    return &l->t->v->items.stripes[number];
}

static uint32_t kept_in(const struct loss *l, uint32_t number) {
    return l->t->stripe_end[number] - (number ? l->t->stripe_end[number - 1] : 0);
}

/* Items that stay, or were named one by one. */
static uint64_t known_in(const struct loss *l, uint32_t number) {
    return (uint64_t)kept_in(l, number) + l->t->named[number];
}

/* Whether the stripe's own count is confirmed by what was found. */
static int is_sure(const struct loss *l, uint32_t number) {
    uint64_t count = SHM_LOAD(&stripe_of(l, number)->count);
    return count != 0 && count == known_in(l, number);
}

/* The stripe's count if it can be true, else 0. */
static uint64_t possible_count(const struct loss *l, uint32_t number) {
    const struct stripe_shm *stripe = stripe_of(l, number);
    uint64_t count = SHM_LOAD(&stripe->count), word = SHM_LOAD(&stripe->array);
    if (word != 0)
        return repair_counted(stripe);
    return count <= l->p->seg->bytes / sizeof(struct item_head) ? count : 0;
}

/* ---- Lists ----------------------------------------------------------------------------------- */

/* Whether every item that stays is in the index. */
static int has_all_items(const struct loss *l, uint32_t index) {
    if (index == 0)
        return 1;
    for (size_t i = 0; i < l->t->count; i++) {
        const struct item_head *h = (const struct item_head *)(l->p->seg->base + l->t->item[i]);
        if (index > h->index_count || item_index_slots(h)[index - 1].kseq == 0)
            return 0;
    }
    return 1;
}

/* Damaged words may lead to the lists of another table: they have more entries than there are items
 * where count and items agree. */
static int are_ours(const struct loss *l, const uint32_t *listed) {
    uint32_t sure = 0, possible = 0;
    for (uint32_t i = 0; i < l->p->seg->stripe_count; i++)
        if (is_sure(l, i)) {
            sure++;
            possible += listed[i] <= known_in(l, i);
        }
    return possible >= sure - possible;
}

static int is_any_short(const struct loss *l, const uint32_t *listed) {
    for (uint32_t i = 0; i < l->p->seg->stripe_count; i++)
        if (listed[i] < kept_in(l, i))
            return 1;
    return 0;
}

static void read_index(struct loss *l, uint32_t index, uint32_t *listed) {
    uint32_t stripes = l->p->seg->stripe_count;
    memset(listed, 0, stripes * sizeof *listed);
    int r = core_hooks->index_count_items(l->t->v, index, listed);
    if (r == LARDER_NOT_FOUND || !are_ours(l, listed))
        return;
    l->has_lists = 1;
    /* after a repair that was cut off the lists may be empty */
    l->is_complete =
        r == LARDER_OK && has_all_items(l, index) && l->p->state_before == SEG_STATE_READY && !is_any_short(l, listed);
    for (uint32_t i = 0; i < stripes; i++)
        if (l->is_complete || listed[i] > l->listed[i])
            l->listed[i] = listed[i];
}

static int read_lists(struct loss *l) {
    struct priv *priv = db_priv(l->p->db);
    uint32_t *listed = priv_alloc(priv, l->p->seg->stripe_count * sizeof *listed);
    if (!listed)
        return LARDER_E_NO_MEMORY;
    for (uint32_t i = 0; l->t->partitions_off && i <= l->t->v->shape.index_count && !l->is_complete; i++)
        read_index(l, i, listed);
    priv_free(priv, listed);
    return LARDER_OK;
}

/* ---- Comparing ------------------------------------------------------------------------------- */

/* The items that should be in the stripe. */
static uint64_t due_in(const struct loss *l, uint32_t number) {
    uint64_t count = SHM_LOAD(&stripe_of(l, number)->count), known = known_in(l, number);
    if (is_sure(l, number))
        return known;
    if (l->is_complete)
        return count > known && count < l->listed[number] ? count : l->listed[number];
    uint64_t possible = possible_count(l, number);
    return possible > known ? possible : l->listed[number];
}

static const char *cause_of(const struct loss *l, uint32_t number) {
    uint32_t array = l->t->array[number];
    if (array & ARRAY_NOWHERE)
        return "its bucket array is nowhere";
    if (array & (ARRAY_UNTOLD | ARRAY_DOUBTFUL))
        return "its bucket array is damaged";
    return SHM_LOAD(&stripe_of(l, number)->array) ? "no slot refers to them" : "it has no bucket array";
}

static void note_loss(const struct loss *l, uint32_t number, uint64_t lost) {
    char entries[32] = "cannot be read";
    if (l->has_lists)
        snprintf(entries, sizeof entries, "have %u", l->listed[number]);
    repair_note(l->p, "lost: table \"%.64s\": %llu items of stripe %u: %s; it counted %u, its lists %s, %u are there",
                l->t->v->def.name, (unsigned long long)lost, number, cause_of(l, number),
                SHM_LOAD(&stripe_of(l, number)->count), entries, kept_in(l, number));
}

/* What looks like a loss is named even if no item can be counted, unless lists say that there was
 * none. */
static void compare_stripe(const struct loss *l, uint32_t number) {
    uint64_t due = due_in(l, number), known = known_in(l, number), lost = due > known ? due - known : 0;
    int seems_lost = l->t->array[number] & (ARRAY_NOWHERE | ARRAY_UNTOLD);
    if (lost == 0 && (!seems_lost || l->is_complete || is_sure(l, number)))
        return;
    l->p->report->items_lost += lost;
    note_loss(l, number, lost);
}

/* A count that is confirmed needs no list. */
static int is_all_sure(const struct loss *l) {
    for (uint32_t i = 0; i < l->p->seg->stripe_count; i++)
        if (!is_sure(l, i))
            return 0;
    return 1;
}

int repair_count_losses(struct repair *p, const struct repair_table *t) {
    struct loss l = {.p = p, .t = t};
    if (p->is_quiet || !t->items_off || is_all_sure(&l))
        return LARDER_OK;
    l.listed = priv_alloc(db_priv(p->db), p->seg->stripe_count * sizeof *l.listed);
    int r = l.listed ? read_lists(&l) : LARDER_E_NO_MEMORY;
    for (uint32_t i = 0; i < p->seg->stripe_count && r == LARDER_OK; i++)
        compare_stripe(&l, i);
    priv_free(db_priv(p->db), l.listed);
    return r;
}

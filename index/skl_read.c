/* index/skl_read.c - reading a list without a lock, a leaf at a time.
 *
 * Job      Hands out private copies of leaves. Each copy is of a leaf that was in the list, at its
 *          place, at one moment.
 * Why      A stripe's sequence moves after a block is unlinked and before its memory can be used
 *          again. A reader notes it, walks, copies the leaf, and compares. Unchanged: everything it
 *          followed was linked all along. Changed: a writer has made progress, and the reader
 *          begins again from the last place it handed out.
 * Tests    tests/unit/index/skl_test.c, tests/api/query_test.c
 */
#include "index/skl.h"

/* The result of one attempt. */
enum skl_attempt { SKL_FOUND, SKL_ABSENT, SKL_BAD };

static int skl_copy_leaf(struct skl_reader *r) {
    uint64_t off = r->node.shm ? SHM_LOAD(&r->node.shm->leaf) : r->list.leaf_off;
    skl_see(&r->seen, off);
    return leaf_read(r->list.tab->seg, off, r->list.hash, r->list.index, &r->leaf);
}

/* Finds the leaf that a cut lies in: the head's, a node's, or the only one. */
static enum skl_attempt skl_enter(struct skl_reader *r, const struct leaf_cut *cut, int is_strict) {
    r->node = (struct skl_node){.shm = NULL};
    r->is_first = 1;
    if (!r->list.slot) {
        skl_see(&r->seen, 0);
        return SKL_ABSENT;
    }
    if (r->list.leaf_off)
        return skl_copy_leaf(r) ? SKL_FOUND : SKL_BAD;
    if (!skl_seek_node(&r->list, cut, is_strict, &r->node))
        return SKL_BAD;
    r->is_first = r->node.off == r->list.head.off;
    return skl_copy_leaf(r) ? SKL_FOUND : SKL_BAD;
}

/* The leaf after r->leaf. */
static enum skl_attempt skl_step_up(struct skl_reader *r) {
    uint64_t next = leaf_next(&r->leaf);
    if (!next)
        return SKL_ABSENT;
    r->is_first = 0;
    if (circle_is_closed(&r->way, next))
        return SKL_BAD;
    return skl_node_read(&r->list, next, &r->node) && skl_copy_leaf(r) ? SKL_FOUND : SKL_BAD;
}

/* The leaf before r->leaf. It may have no entry before the cut. Each such leaf begins lower than
 * the last. */
static enum skl_attempt skl_step_down(struct skl_reader *r) {
    struct skl_bound bound;
    if (r->is_first)
        return SKL_ABSENT;
    skl_node_bound(&r->node, &bound);
    enum skl_attempt got = skl_enter(r, &bound.cut, 1);
    return got == SKL_FOUND && !r->is_first && circle_is_closed(&r->way, r->node.off) ? SKL_BAD : got;
}

static enum skl_attempt skl_try_up(struct skl_reader *r, const struct leaf_cut *cut) {
    enum skl_attempt got = skl_enter(r, cut, 0);
    while (got == SKL_FOUND && (r->begin = leaf_find_cut(&r->leaf, cut)) == leaf_count(&r->leaf)) {
        if (!htab_read_ok(r->list.stripe, r->list.seq))
            return SKL_BAD;
        got = skl_step_up(r);
    }
    return got;
}

static enum skl_attempt skl_try_down(struct skl_reader *r, const struct leaf_cut *cut) {
    enum skl_attempt got = skl_enter(r, cut, 1);
    while (got == SKL_FOUND && leaf_find_cut(&r->leaf, cut) == 0) {
        if (!htab_read_ok(r->list.stripe, r->list.seq))
            return SKL_BAD;
        got = skl_step_down(r);
    }
    if (got == SKL_FOUND && !r->is_first)
        skl_node_bound(&r->node, &r->low);
    return got;
}

/* The result of an attempt, or LARDER_CHANGED if the stripe has changed since it began. */
static int skl_judge(const struct skl_reader *r, enum skl_attempt got) {
    if (!htab_read_ok(r->list.stripe, r->list.seq))
        return LARDER_CHANGED;
    if (got == SKL_BAD)
        return skl_corrupt(r->list.hash);
    return got == SKL_FOUND ? LARDER_OK : LARDER_NOT_FOUND;
}

int skl_read_up(struct skl_reader *r, const struct htab *tab, uint64_t hash, uint32_t index,
                const struct leaf_cut *cut) {
    int result;
    do {
        r->way = (struct circle){0};
        enum skl_attempt got = skl_find(&r->list, tab, hash, index) ? skl_try_up(r, cut) : SKL_BAD;
        result = skl_judge(r, got);
    } while (result == LARDER_CHANGED);
    return result;
}

int skl_read_down(struct skl_reader *r, const struct htab *tab, uint64_t hash, uint32_t index,
                  const struct leaf_cut *cut) {
    int result;
    do {
        r->way = (struct circle){0};
        enum skl_attempt got = skl_find(&r->list, tab, hash, index) ? skl_try_down(r, cut) : SKL_BAD;
        result = skl_judge(r, got);
    } while (result == LARDER_CHANGED);
    return result;
}

int skl_read_next(struct skl_reader *r, const struct leaf_cut *cut) {
    if (!leaf_next(&r->leaf))
        return LARDER_NOT_FOUND;
    int result = skl_judge(r, skl_step_up(r));
    if (result == LARDER_CHANGED)
        return skl_read_up(r, r->list.tab, r->list.hash, r->list.index, cut);
    if (result == LARDER_OK)
        r->begin = leaf_find_cut(&r->leaf, cut);
    return result;
}

/* index/index_check.c - the audit of a table's lists, for larder_check().
 *
 * Job      Walks every list of a table and verifies the rules of leaf.h, skl.h and index.h by their names: every entry stands
 *          for an item, and every item has its entries.
 * Idea     Entries of a list differ from each other, and each stands for an item with its key and key sequence. So if an index has
 *          as many live entries as items say they are in it, none is missing; only if the numbers differ each item's entry is
 *          looked up, to say which.
 */
#include "core/check.h"
#include "core/read.h"
#include "index/index.h"

/* A walk along one list. */
struct list_check {
    struct check_state *c;
    const struct table_view *v;
    struct skl_list list;
    struct skl_node last[SKL_HEIGHT_MAX]; /* by level: the last node that reaches it */
    int has_entry;                        /* previous is one */
    struct skl_bound previous;
    uint64_t *found; /* by index: entries that stand for an item */
};

#define LIST_INDEXES_MAX 257u /* table order and 256 ordinals */

static void list_error(const struct list_check *l, uint64_t off, const char *rule) {
    check_error(l->c, "index %u of table \"%.64s\": block %llu breaks %s", l->list.index, l->v->def.name,
                (unsigned long long)off, rule);
}

/* The item that a live entry stands for is in this partition under this key. */
static void list_check_entry(struct list_check *l, const struct leaf *leaf, uint32_t i, const struct leaf_cut *entry) {
    int ordinal = (int)l->list.index - 1;
    const struct item_head *item = check_find_item(l->c, l->v, ordinal, leaf_hash(leaf, i), leaf_kseq(leaf, i));
    struct index_entry e;
    struct item_peek p;
    l->c->report->index_entries++;
    if (item && index_peek(l->c->seg, item, &p) && index_entry_of(l->v, leaf_hash(leaf, i), &p, l->list.index, &e) &&
        e.entry.kseq && e.partition == l->list.hash && e.entry.key_bytes == entry->key_bytes &&
        (!entry->key_bytes || memcmp(e.entry.key, entry->key, entry->key_bytes) == 0)) {
        l->found[l->list.index]++;
        return;
    }
    l->c->report->stale_entries++;
    check_error(l->c, "index %u of table \"%.64s\": an entry of hash %016llx stands for no item (N2)", l->list.index,
                l->v->def.name, (unsigned long long)leaf_hash(leaf, i));
}

/* Order of the entries, and that they lie between the bounds of their node. */
static void list_check_leaf(struct list_check *l, uint64_t off, const struct leaf_cut *low) {
    struct leaf leaf;
    uint8_t key[LEAF_KEY_BYTES_MAX];
    const struct seg *s = l->c->seg;
    if (!check_block(l->c, off, sizeof(struct leaf_shm), "leaf"))
        return;
    if (!leaf_read(s, off, l->list.hash, l->list.index, &leaf) || leaf_bytes(&leaf) > heap_block_bytes(s, off)) {
        list_error(l, off, "F4 (it is no leaf of its list)");
        return;
    }
    if (leaf_live_count(&leaf) == 0 && !(off == SHM_LOAD(&l->list.head.shm->leaf) && leaf_next(&leaf)))
        list_error(l, off, "B3 (no live entry)");
    for (uint32_t i = 0; i < leaf_count(&leaf); i++) {
        struct leaf_cut cut = {.key = key, .key_bytes = leaf_key(&leaf, i, key), .hash = leaf_hash(&leaf, i)};
        cut.kseq = leaf_kseq(&leaf, i);
        /* A dead entry has no key sequence left to compare. */
        struct leaf_cut lowest = *low;
        lowest.kseq = cut.kseq ? low->kseq : 0;
        if (leaf_compare_cuts(&lowest, &cut) > 0)
            list_error(l, off, "B1 (an entry before the low bound)");
        struct leaf_cut before = l->previous.cut;
        before.kseq = cut.kseq ? before.kseq : 0;
        if (l->has_entry && (cut.kseq ? leaf_compare_cuts(&before, &cut) >= 0 : leaf_compare_cuts(&before, &cut) > 0))
            list_error(l, off, "F1 (order)");
        memcpy(l->previous.key, key, cut.key_bytes);
        l->previous.cut = cut;
        l->previous.cut.key = l->previous.key;
        l->has_entry = 1;
        if (cut.kseq)
            list_check_entry(l, &leaf, i, &cut);
    }
}

/* Tower links that lead to this node, and its own block. */
static int list_check_node(struct list_check *l, const struct skl_node *n) {
    if (!check_block(l->c, n->off, skl_node_bytes(n->low_bytes, n->height), "node"))
        return 0;
    if (n->height > l->list.head.height)
        list_error(l, n->off, "B2 (height)");
    for (uint32_t level = 1; level < n->height && level < l->list.head.height; level++) {
        if (n->off != l->list.head.off && SHM_LOAD(skl_tower(&l->last[level], level)) != n->off)
            list_error(l, n->off, "B2 (a tower link to it is missing)");
        l->last[level] = *n;
    }
    return 1;
}

static void list_check_nodes(struct list_check *l) {
    struct skl_node n = l->list.head;
    struct skl_bound low, last_low;
    uint64_t next = 0;
    for (;;) {
        if (!list_check_node(l, &n))
            return;
        skl_node_bound(&n, &low);
        if (n.off != l->list.head.off) {
            if (leaf_compare_cuts(&last_low.cut, &low.cut) >= 0)
                list_error(l, n.off, "B1 (low bounds do not rise)");
            if (l->has_entry &&
                leaf_compare_cuts(&l->previous.cut, &low.cut) >= 0) /* a dead one began lower than it was */
                list_error(l, n.off, "B1 (an entry of the node before lies beyond)");
        }
        list_check_leaf(l, SHM_LOAD(&n.shm->leaf), &low.cut);
        if (!skl_link(&l->list, &n, 0, &next) || !next)
            break;
        last_low = low;
        last_low.cut.key = last_low.key;
        if (!skl_node_read(&l->list, next, &n)) {
            list_error(l, next, "B1 (it is no node of its list)");
            return;
        }
    }
    for (uint32_t level = 1; level < l->list.head.height; level++)
        if (SHM_LOAD(skl_tower(&l->last[level], level)) != 0)
            list_error(l, l->last[level].off, "B2 (a tower link to nothing)");
}

static void list_check_all(struct check_state *c, const struct table_view *v, uint64_t word, uint64_t *found) {
    const struct leaf_cut lowest = {.key = NULL};
    const struct block_shm *block = seg_at(c->seg, WORD_OFF(word), sizeof *block);
    struct list_check l = {.c = c, .v = v, .found = found};
    if (!block || block->index >= index_count(v) || !index_is_kept(v, block->index) ||
        !skl_find(&l.list, &v->partitions, block->hash, block->index) || !l.list.slot || l.list.slot_word != word) {
        check_error(c, "table \"%.64s\": block %llu is no partition that can be found (B4)", v->def.name,
                    (unsigned long long)WORD_OFF(word));
        return;
    }
    if (l.list.leaf_off) {
        /* A leaf alone has the same rules as a head's, but that it may not be empty. */
        struct node_shm none = {.leaf = 0};
        l.list.head.shm = &none;
        list_check_leaf(&l, l.list.leaf_off, &lowest);
        const struct leaf_shm *leaf = seg_at(c->seg, l.list.leaf_off, sizeof *leaf);
        if (leaf && SHM_LOAD(&leaf->next) != 0)
            list_error(&l, l.list.leaf_off, "B1 (a leaf alone, and a node after it)");
        return;
    }
    for (uint32_t level = 0; level < SKL_HEIGHT_MAX; level++)
        l.last[level] = l.list.head;
    list_check_nodes(&l);
}

static void list_check_stripe(struct check_state *c, const struct table_view *v, uint32_t number, uint64_t *found) {
    const struct stripe_shm *stripe = &v->partitions.stripes[number];
    uint64_t words[INDEX_CHAIN_MAX];
    uint32_t in_slots = 0;
    for (uint32_t b = 0, total = htab_bucket_count(&v->partitions, stripe); b < total; b++) {
        int count = htab_bucket_slots(&v->partitions, stripe, b, words, INDEX_CHAIN_MAX);
        if (count < 0)
            check_error(c, "partition stripe %u: the chain of bucket %u makes no sense (H3)", number, b);
        for (int i = 0; i < count; i++) {
            in_slots++;
            list_check_all(c, v, words[i], found);
        }
    }
    if (!htab_has_true_spares(&v->partitions, stripe))
        check_error(c, "partition stripe %u: %u spare buckets are said to be in use, and others are (H5)", number,
                    SHM_LOAD(&stripe->spares_used));
    if (in_slots != SHM_LOAD(&stripe->count))
        check_error(c, "partition stripe %u: counts %u partitions and links %u (H2)", number, SHM_LOAD(&stripe->count),
                    in_slots);
}

/* Whether the list has this entry. */
static int list_has(const struct table_view *v, uint32_t number, const struct index_entry *e) {
    struct skl_reader reader;
    struct leaf_cut cut = leaf_cut_before(&e->entry);
    skl_reader_init(&reader);
    int r = skl_read_up(&reader, &v->partitions, e->partition, number, &cut);
    return r == LARDER_OK && leaf_find(&reader.leaf, &e->entry) >= 0;
}

/* Whether every item must have its entry. An index that is being filled, or whose addition failed for want of memory, has some. */
static int list_is_whole(const struct table_view *v, uint32_t number) {
    return index_is_kept(v, number) && (number == 0 || v->index_state[number - 1] == INDEX_ACTIVE);
}

static void list_check_item(struct check_state *c, const struct table_view *v, const struct item_peek *item) {
    struct index_entry e;
    uint64_t hash = read_hash_of_item(v, item);
    for (uint32_t number = 0; number < index_count(v); number++) {
        if (index_entry_of(v, hash, item, number, &e) && e.entry.kseq && list_is_whole(v, number) &&
            !list_has(v, number, &e))
            check_error(c, "index %u of table \"%.64s\": an item of hash %016llx is missing (N1)", number, v->def.name,
                        (unsigned long long)hash);
    }
}

/* Counts the items of a stripe by index, or (expected NULL) looks each of them up. */
static void list_check_items(struct check_state *c, const struct table_view *v, const struct stripe_shm *stripe,
                             uint64_t *expected) {
    uint64_t words[INDEX_CHAIN_MAX];
    for (uint32_t b = 0, total = htab_bucket_count(&v->items, stripe); b < total; b++) {
        int count = htab_bucket_slots(&v->items, stripe, b, words, INDEX_CHAIN_MAX);
        for (int i = 0; i < count; i++) {
            const struct item_head *item = seg_at(c->seg, WORD_OFF(words[i]), sizeof *item);
            struct item_peek p;
            if (!item || !index_peek(c->seg, item, &p)) /* core/ reports it */
                continue;
            for (uint32_t number = 0; expected && number < index_count(v); number++)
                expected[number] += list_is_whole(v, number) && index_peek_kseq(&p, number) != 0;
            if (!expected)
                list_check_item(c, v, &p);
        }
    }
}

int index_check(struct check_state *c, const struct table_view *v) {
    uint64_t errors = c->report->errors, found[LIST_INDEXES_MAX] = {0}, expected[LIST_INDEXES_MAX] = {0};
    for (uint32_t i = 0; i < v->partitions.stripe_count; i++)
        list_check_stripe(c, v, i, found);
    for (uint32_t i = 0; i < v->items.stripe_count; i++)
        list_check_items(c, v, &v->items.stripes[i], expected);
    for (uint32_t number = 0; number < index_count(v); number++)
        if (!list_is_whole(v, number))
            expected[number] = found[number];
    if (memcmp(found, expected, sizeof found) != 0)
        for (uint32_t i = 0; i < v->items.stripe_count; i++)
            list_check_items(c, v, &v->items.stripes[i], NULL);
    return c->report->errors == errors ? LARDER_OK : LARDER_E_CORRUPT;
}

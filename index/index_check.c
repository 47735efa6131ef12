/* index/index_check.c - the audit of a table's lists, for larder_check(). See core/audit/check.h.
 *
 * Job      Walks the lists of a partition stripe and verifies the rules of leaf.h and skl.h by
 *          name. Subtracts the fingerprint of each entry from its group's sum, to which the items
 *          have added theirs. For groups whose sum is not 0 it looks up every entry (N2 of index.h)
 *          and every item's entries (N1).
 * Live     A look holds the partition stripe's lock. The next look goes on from (hash, index
 *          number), and inside a list from a key. A list that changed in between has the same
 *          order: no entry is left out, and none below that key is counted twice. An entry is
 *          looked up without the lock of its item's stripe. If no item has it, a write may be under
 *          way: the entry is noted, and judged while that stripe is locked, when no entry of the
 *          item comes or goes.
 * Tests    tests/api/check_damage_test.c
 */
#include "core/audit/check.h"
#include "core/memory/heap.h"
#include "core/table/catalog.h"
#include "core/table/read.h"
#include "index/index.h"
#define XXH_INLINE_ALL
#include <xxhash.h>

#define SUSPECT_BYTES (256u << 10) /* of private memory: entries that one look may note */
#define FIND_TRIES 4u
#define AHEAD_BYTES 512u /* of a leaf or a head */

/* The position of a look at a partition stripe. */
struct list_look {
    const struct table_view *v;
    uint32_t ordinal, stripe;
    int is_judging, is_begun;
    int is_mid_bucket; /* some lists of the bucket were looked at */
    int is_inside;     /* the list (hash, index) was looked at up to `at` */
    uint64_t hash;     /* lists before (hash, index) were looked at */
    uint32_t index;
    struct skl_bound at;
};
_Static_assert(sizeof(struct list_look) <= CHECK_AT_BYTES_MAX, "a look can be taken back");

/* A walk along one list. */
struct list_check {
    struct check_state *c;
    const struct table_view *v;
    struct list_look *look;
    struct skl_list list;
    struct skl_node last[SKL_HEIGHT_MAX]; /* by level: the last node that reaches it */
    int has_entry;                        /* `previous` is an entry */
    struct skl_bound previous;
    struct leaf leaf;
};

/* An entry for which no item was found. Its key follows it in c->suspects. */
struct list_suspect {
    uint64_t partition, hash, leaf_off;
    uint32_t kseq, index, key_bytes, pad;
};

/* Rules are reported on the first pass only, not again while judging. */
static void list_error(const struct list_check *l, uint64_t off, const char *rule) {
    if (l->look->is_judging)
        return;
    check_error(l->c, "index %u of table \"%.64s\": block %llu breaks %s", l->list.index, l->v->def.name,
                (unsigned long long)off, rule);
}

/* Whether every item must have its entry. Not so in an index that is being filled, or whose
 * addition failed for want of memory. */
static int list_is_whole(const struct table_view *v, uint32_t number) {
    return index_is_kept(v, number) && (number == 0 || v->index_state[number - 1] == INDEX_ACTIVE);
}

static uint64_t list_fingerprint(uint32_t number, uint64_t partition, const struct leaf_entry *e) {
    uint64_t seed = partition * UINT64_C(0x9e3779b97f4a7c15) ^ e->hash * UINT64_C(0xc2b2ae3d27d4eb4f) ^
                    ((uint64_t)e->kseq << 32 | number) * UINT64_C(0x165667b19e3779f9);
    return XXH3_64bits_withSeed(e->key_bytes ? e->key : (const uint8_t *)"", e->key_bytes, seed);
}

/* ---- Entries --------------------------------------------------------------------------------- */

/* Whether this item has this entry. */
static int list_is_of_item(const struct table_view *v, uint32_t number, uint64_t partition,
                           const struct leaf_entry *want, const struct item_peek *item) {
    struct index_entry e;
    return index_peek_kseq(item, number) == want->kseq && read_hash_of_item(v, item) == want->hash &&
           index_entry_of(v, want->hash, item, number, &e) && e.entry.kseq && e.partition == partition &&
           e.entry.key_bytes == want->key_bytes &&
           (!want->key_bytes || memcmp(e.entry.key, want->key, want->key_bytes) == 0);
}

/* Copies the image of an item with this hash, which a writer may be replacing, to c->image, and
 * opens the copy. */
static int list_copy_item(struct check_state *c, uint64_t word, const void *block, uint64_t hash,
                          struct item_peek *item) {
    if (!item_peek_open(item, block, heap_block_bytes(c->seg, WORD_OFF(word))) || item->head.hash_high != hash >> 32)
        return 0;
    shm_copy_out(c->image, block, item->head.bytes);
    return item_peek_open(item, (const struct item_head *)c->image, item->head.bytes);
}

/* Whether an item of the table has this entry now. Without a lock: 0 may mean that the item is
 * being written. */
static int list_stands_for_item(struct check_state *c, const struct table_view *v, uint32_t number, uint64_t partition,
                                const struct leaf_entry *want) {
    struct stripe_shm *stripe = htab_stripe(&v->items, want->hash);
    for (unsigned tries = 0; tries < FIND_TRIES; tries++) {
        uint64_t seq = htab_read_begin(stripe), word;
        struct htab_walk walk;
        void *block;
        int is_found = 0;
        htab_walk_begin(&walk, &v->items, stripe, want->hash);
        while (!is_found && htab_walk_next(&walk, sizeof(struct item_head), &word, &block)) {
            struct item_peek item;
            is_found =
                list_copy_item(c, word, block, want->hash, &item) && list_is_of_item(v, number, partition, want, &item);
        }
        if (htab_read_ok(stripe, seq))
            return is_found;
    }
    return 0;
}

/* Whether the list has this entry. Without a lock: see skl_read.c. */
static int list_has(const struct table_view *v, uint32_t number, uint64_t partition, const struct leaf_entry *e) {
    struct skl_reader reader;
    struct leaf_cut cut = leaf_cut_before(e);
    skl_reader_init(&reader);
    int r = skl_read_up(&reader, &v->partitions, partition, number, &cut);
    return r == LARDER_OK && leaf_find(&reader.leaf, e) >= 0;
}

static void list_suspect(struct list_check *l, uint64_t leaf_off, const struct leaf_entry *e) {
    struct check_list *to = &l->c->suspects;
    struct list_suspect s = {.partition = l->list.hash, .hash = e->hash, .kseq = e->kseq, .index = l->list.index};
    s.key_bytes = e->key_bytes;
    s.leaf_off = leaf_off;
    if (to->capacity - to->count < sizeof s + e->key_bytes + 8)
        return; /* does not happen: list_is_due() keeps room */
    uint8_t *at = (uint8_t *)to->at + to->count;
    memcpy(at, &s, sizeof s);
    if (e->key_bytes)
        memcpy(at + sizeof s, e->key, e->key_bytes);
    to->count += (sizeof s + e->key_bytes + 7) & ~(size_t)7;
}

/* Whether the look should pause: there must be room for a whole leaf of suspects. */
static int list_is_due(struct check_state *c) {
    size_t leaf = LEAF_ENTRIES * (sizeof(struct list_suspect) + 8 + LEAF_KEY_BYTES_MAX);
    return check_is_due(c) || c->suspects.capacity - c->suspects.count < leaf;
}

/* A live entry. */
static void list_take_entry(struct list_check *l, uint64_t leaf_off, const struct leaf_entry *e) {
    struct check_state *c = l->c;
    int is_whole = list_is_whole(l->v, l->list.index), is_judging = l->look->is_judging;
    if (c->is_mute)
        return;
    if (!is_judging && !c->is_again) {
        c->report->index_entries++;
        if (is_whole)
            *check_sum(c, e->hash) -= list_fingerprint(l->list.index, l->list.hash, e);
    }
    int is_wanted = is_judging ? is_whole && *check_sum(c, e->hash) != 0 : !is_whole;
    if (is_wanted && !c->is_again && !list_stands_for_item(c, l->v, l->list.index, l->list.hash, e))
        list_suspect(l, leaf_off, e);
}

/* ---- Leaves and nodes ------------------------------------------------------------------------ */

/* F1 and B1 of an entry. */
static void list_check_order(struct list_check *l, uint64_t off, const struct leaf_cut *low,
                             const struct leaf_cut *cut) {
    /* A dead entry has no key sequence left to compare. */
    struct leaf_cut lowest = *low, before = l->previous.cut;
    lowest.kseq = cut->kseq ? low->kseq : 0;
    before.kseq = cut->kseq ? before.kseq : 0;
    if (leaf_compare_cuts(&lowest, cut) > 0)
        list_error(l, off, "B1 (an entry before the low bound)");
    if (l->has_entry && (cut->kseq ? leaf_compare_cuts(&before, cut) >= 0 : leaf_compare_cuts(&before, cut) > 0))
        list_error(l, off, "F1 (order)");
}

/* The entries of a leaf, from `from` on (NULL: all). */
static void list_check_leaf(struct list_check *l, uint64_t off, const struct leaf_cut *low,
                            const struct leaf_cut *from) {
    const struct seg *s = l->c->seg;
    struct leaf *leaf = &l->leaf;
    if (!l->look->is_judging && !check_block(l->c, off, sizeof(struct leaf_shm), "leaf"))
        return;
    if (!leaf_read(s, off, l->list.hash, l->list.index, leaf) || leaf_bytes(leaf) > heap_block_bytes(s, off)) {
        list_error(l, off, "F4 (it is no leaf of its list)");
        return;
    }
    if (leaf_live_count(leaf) == 0 && !(off == SHM_LOAD(&l->list.head.shm->leaf) && leaf_next(leaf)))
        list_error(l, off, "B3 (no live entry)");
    for (uint32_t i = 0; i < leaf_count(leaf); i++) {
        uint8_t key[LEAF_KEY_BYTES_MAX];
        struct leaf_cut cut = {.key = key, .key_bytes = leaf_key(leaf, i, key), .hash = leaf_hash(leaf, i)};
        cut.kseq = leaf_kseq(leaf, i);
        list_check_order(l, off, low, &cut);
        memcpy(l->previous.key, key, cut.key_bytes);
        l->previous.cut = cut;
        l->previous.cut.key = l->previous.key;
        l->has_entry = 1;
        struct leaf_entry e = {.key = key, .key_bytes = cut.key_bytes, .hash = cut.hash, .kseq = (uint32_t)cut.kseq};
        if (cut.kseq && (!from || leaf_compare_cuts(from, &cut) <= 0))
            list_take_entry(l, off, &e);
    }
}

/* Tower links that lead to this node, and its own block. */
static int list_check_node(struct list_check *l, const struct skl_node *n) {
    if (!l->look->is_judging && !check_block(l->c, n->off, skl_node_bytes(n->low_bytes, n->height), "node"))
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

static void list_check_towers_end(struct list_check *l) {
    for (uint32_t level = 1; level < l->list.head.height; level++)
        if (SHM_LOAD(skl_tower(&l->last[level], level)) != 0)
            list_error(l, l->last[level].off, "B2 (a tower link to nothing)");
}

/* Moves n to the next node and checks that it begins after n and after n's entries. Returns 0 at
 * the end, or if there is no valid next node. */
static int list_next_node(struct list_check *l, struct skl_node *n, struct skl_bound *low) {
    uint64_t next = 0;
    struct skl_bound last_low = *low;
    last_low.cut.key = last_low.key;
    if (!skl_link(&l->list, n, 0, &next) || !next) {
        list_check_towers_end(l);
        return 0;
    }
    if (!skl_node_read(&l->list, next, n)) {
        list_error(l, next, "B1 (it is no node of its list)");
        return 0;
    }
    skl_node_bound(n, low);
    if (leaf_compare_cuts(&last_low.cut, &low->cut) >= 0) {
        list_error(l, n->off, "B1 (low bounds do not rise)");
        if (!l->look->is_judging)
            (void)list_check_node(l, n); /* reports it if the list is a circle */
        return 0;
    }
    /* The key sequence of a dead entry is 0: it compares as lower than it was. */
    if (l->has_entry && leaf_compare_cuts(&l->previous.cut, &low->cut) >= 0)
        list_error(l, n->off, "B1 (an entry of the node before lies beyond)");
    return 1;
}

/* Finds the node to go on at: the one that begins at `from`, or the one that `from` lies in by now
 * (*is_partly). Returns 0 if the list is damaged. */
static int list_resume(struct list_check *l, const struct leaf_cut *from, struct skl_node *n, int *is_partly) {
    struct skl_path path;
    struct skl_bound low;
    uint64_t next;
    if (!skl_seek(&l->list, from, 1, &path) || !skl_link(&l->list, &path.node, 0, &next)) {
        list_error(l, l->list.head.off, "B1 (it can not be searched)");
        return 0;
    }
    for (uint32_t level = 0; level < SKL_HEIGHT_MAX; level++)
        l->last[level] = path.before[level];
    *is_partly = 1;
    *n = path.node;
    if (!next || !skl_node_read(&l->list, next, &path.node))
        return 1;
    skl_node_bound(&path.node, &low);
    if (leaf_compare_cuts(&low.cut, from) == 0) {
        *is_partly = 0;
        *n = path.node;
    }
    return 1;
}

/* Checks the nodes of a list. LARDER_MORE: l->look says where to go on. */
static int list_check_nodes(struct list_check *l) {
    struct list_look *look = l->look;
    struct skl_node n = l->list.head;
    const struct leaf_cut *from = look->is_inside ? &look->at.cut : NULL;
    struct skl_bound low;
    int is_partly = 0;
    for (uint32_t level = 0; level < SKL_HEIGHT_MAX; level++)
        l->last[level] = l->list.head;
    if (from && !list_resume(l, from, &n, &is_partly))
        return LARDER_OK;
    skl_node_bound(&n, &low);
    for (;;) {
        if (!is_partly && !list_check_node(l, &n))
            return LARDER_OK;
        is_partly = 0;
        list_check_leaf(l, SHM_LOAD(&n.shm->leaf), &low.cut, from);
        from = NULL;
        if (!list_next_node(l, &n, &low))
            return LARDER_OK;
        if (list_is_due(l->c)) {
            look->at = low;
            look->at.cut.key = look->at.key;
            return LARDER_MORE;
        }
    }
}

/* Checks a list of the stripe. LARDER_OK or LARDER_MORE. */
static int list_check_all(struct list_check *l, uint64_t word, uint64_t hash, uint32_t index) {
    const struct leaf_cut lowest = {.key = NULL};
    const struct leaf_cut *from = l->look->is_inside ? &l->look->at.cut : NULL;
    l->has_entry = 0;
    if (!skl_find(&l->list, &l->v->partitions, hash, index) || !l->list.slot || l->list.slot_word != word) {
        if (!l->look->is_judging)
            check_error(l->c, "table \"%.64s\": block %llu is no partition that can be found (B4)", l->v->def.name,
                        (unsigned long long)WORD_OFF(word));
        return LARDER_OK;
    }
    if (!l->list.leaf_off)
        return list_check_nodes(l);
    /* A leaf alone follows the same rules as a head's leaf, except that it may not be empty. */
    struct node_shm none = {.leaf = 0};
    l->list.head.shm = &none;
    list_check_leaf(l, l->list.leaf_off, &lowest, from);
    const struct leaf_shm *leaf = seg_at(l->c->seg, l->list.leaf_off, sizeof *leaf);
    if (leaf && SHM_LOAD(&leaf->next) != 0)
        list_error(l, l->list.leaf_off, "B1 (a leaf alone, and a node after it)");
    l->list.head.shm = NULL; /* it pointed to this function's stack */
    return LARDER_OK;
}

/* ---- A stripe -------------------------------------------------------------------------------- */

/* Reads the head of a slot's block. Returns 1 if it is a partition that belongs into this
 * bucket. */
static int list_read_head(const struct check_state *c, const struct list_look *l, uint32_t buckets, uint32_t bucket,
                          uint64_t word, struct block_shm *b) {
    const struct htab *tab = &l->v->partitions;
    const struct block_shm *block = seg_at(c->seg, WORD_OFF(word), sizeof *block);
    *b = (struct block_shm){.hash = 0};
    if (!block)
        return 0;
    *b = block_read(block);
    return b->index < index_count(l->v) && index_is_kept(l->v, b->index) && b->hash >> tab->stripe_shift == l->stripe &&
           htab_bucket_of(tab, buckets, b->hash) == bucket;
}

static int list_is_before(const struct list_look *l, const struct block_shm *b) {
    return b->hash != l->hash ? b->hash < l->hash : b->index < l->index;
}

/* The first list of a chain that was not looked at yet; 0: there is none. */
static int list_first_of(const struct check_state *c, const struct list_look *l, uint32_t buckets, uint32_t bucket,
                         int count, uint64_t *word, struct block_shm *first) {
    int is_found = 0;
    for (int i = 0; i < count; i++) {
        struct block_shm b;
        if (!list_read_head(c, l, buckets, bucket, c->words[i], &b) || list_is_before(l, &b) ||
            (is_found && (b.hash != first->hash ? b.hash > first->hash : b.index >= first->index)))
            continue;
        is_found = 1;
        *first = b;
        *word = c->words[i];
    }
    return is_found;
}

/* Whether this is a list of an index whose addition failed and is being undone. */
static int list_is_going(const struct check_state *c, const struct table_view *v, const struct block_shm *b) {
    return b->index > 0 && b->index < index_count(v) && !index_is_kept(v, b->index) && check_is_catalog_held(c);
}

/* Reports, once each, slots of a chain that lead to no list that could be found there. */
static void list_check_strangers(struct check_state *c, const struct list_look *l, uint32_t buckets, uint32_t bucket,
                                 int count) {
    struct block_shm b;
    for (int i = 0; i < count; i++)
        if (!list_read_head(c, l, buckets, bucket, c->words[i], &b) && !list_is_going(c, l->v, &b))
            check_error(c, "table \"%.64s\": block %llu is no partition that can be found (B4)", l->v->def.name,
                        (unsigned long long)WORD_OFF(c->words[i]));
}

static int list_look_at_bucket(struct list_check *l, uint32_t buckets, uint32_t bucket) {
    struct check_state *c = l->c;
    struct list_look *look = l->look;
    const struct htab *tab = &l->v->partitions;
    struct block_shm b = {.hash = 0};
    uint64_t word = 0;
    int count = htab_bucket_slots(tab, &tab->stripes[look->stripe], bucket, c->words, HTAB_CHAIN_MAX);
    if (!look->is_mid_bucket && !look->is_judging)
        list_check_strangers(c, look, buckets, bucket, count);
    look->is_mid_bucket = 1;
    while (list_first_of(c, look, buckets, bucket, count, &word, &b)) {
        look->is_inside &= b.hash == look->hash && b.index == look->index; /* else it has gone */
        look->hash = b.hash;
        look->index = b.index;
        int r = list_check_all(l, word, b.hash, b.index);
        if (r == LARDER_MORE) {
            look->is_inside = 1;
            return r;
        }
        look->is_inside = 0;
        look->index = b.index + 1;
        if (list_is_due(c))
            return LARDER_MORE;
    }
    return LARDER_OK;
}

static int look_at_bucket(struct check_state *c, void *at, uint32_t buckets, uint32_t bucket, uint64_t next) {
    struct list_check *l = at;
    struct list_look *look = l->look;
    int r = list_look_at_bucket(l, buckets, bucket);
    if (r)
        return r;
    if (next > look->hash) {
        look->hash = next;
        look->index = 0;
    }
    look->is_mid_bucket = 0;
    return next != 0 && list_is_due(c) ? LARDER_MORE : LARDER_OK;
}

static int look_at_lists(struct check_state *c, void *at) {
    struct list_look *look = at;
    struct list_check l = {.c = c, .v = look->v, .look = look};
    if (!view_is_current(look->v))
        return OBSTACLE_VIEW;
    if (!look->is_begun && !look->is_judging)
        check_stripe_head(c, &look->v->partitions, look->stripe, "partition stripe", "partitions");
    look->is_begun = 1;
    struct check_walk walk = {.tab = &look->v->partitions,
                              .stripe = look->stripe,
                              .ahead_bytes = AHEAD_BYTES,
                              .from = look->hash,
                              .look = look_at_bucket};
    return check_buckets(c, &walk, &l);
}

/* ---- Entries for which no item was found ----------------------------------------------------- */

struct suspect_look {
    const struct table_view *v;
    struct list_suspect s;
    uint8_t key[LEAF_KEY_BYTES_MAX];
};
_Static_assert(sizeof(struct suspect_look) <= CHECK_AT_BYTES_MAX, "a look can be taken back");

/* Whether the leaf still has the entry, even if a search fails because the leaf is out of order. */
static int list_has_in_leaf(const struct htab *tab, const struct list_suspect *s) {
    struct leaf leaf;
    if (!leaf_read(tab->seg, s->leaf_off, s->partition, s->index, &leaf) || !index_refers(tab, s->leaf_off))
        return 0;
    for (uint32_t i = 0; i < leaf_count(&leaf); i++)
        if (leaf_hash(&leaf, i) == s->hash && leaf_kseq(&leaf, i) == s->kseq)
            return 1;
    return 0;
}

/* Under the lock of the stripe of the entry's item: no other process writes the item. */
static int look_at_suspect(struct check_state *c, void *at) {
    struct suspect_look *l = at;
    struct leaf_entry e = {.key = l->key, .key_bytes = l->s.key_bytes, .hash = l->s.hash, .kseq = l->s.kseq};
    if (!view_is_current(l->v))
        return OBSTACLE_VIEW;
    if (l->s.index >= index_count(l->v) || !index_is_kept(l->v, l->s.index) ||
        list_stands_for_item(c, l->v, l->s.index, l->s.partition, &e) ||
        (!list_has(l->v, l->s.index, l->s.partition, &e) && !list_has_in_leaf(&l->v->partitions, &l->s)))
        return LARDER_OK;
    check_error(c, "index %u of table \"%.64s\": an entry of hash %016llx stands for no item (N2)", l->s.index,
                l->v->def.name, (unsigned long long)e.hash);
    return LARDER_OK;
}

static int judge_suspect(struct check_state *c, uint32_t ordinal, struct suspect_look *l) {
    uint64_t errors = c->report->errors;
    unsigned tries = 0;
    int r;
    do {
        r = check_view(c, ordinal, &l->v);
        if (r)
            return r;
        c->is_mute = LIFE_STATE(l->v->life) != TABLE_READY;
        r = check_look(c, &htab_stripe(&l->v->items, l->s.hash)->lock, LOCK_STRIPE, look_at_suspect, l, sizeof *l);
        c->is_mute = 0;
    } while (check_retry(c, &r, &tries));
    c->report->stale_entries += c->report->errors != errors;
    return r;
}

/* Judges the entries that the looks at a stripe have noted. */
static int judge_suspects(struct check_state *c, uint32_t ordinal) {
    int r = LARDER_OK;
    for (size_t at = 0; at < c->suspects.count && r == LARDER_OK;) {
        struct suspect_look l;
        const uint8_t *from = (const uint8_t *)c->suspects.at + at;
        memcpy(&l.s, from, sizeof l.s);
        memcpy(l.key, from + sizeof l.s, l.s.key_bytes);
        at += (sizeof l.s + l.s.key_bytes + 7) & ~(size_t)7;
        r = judge_suspect(c, ordinal, &l);
    }
    c->suspects.count = 0;
    return r;
}

/* ---- The hooks ------------------------------------------------------------------------------- */

/* One piece at a time, so that the entries it noted are judged before the next. */
static int look_once(struct check_state *c, void *at) {
    struct list_look *look = at;
    int r = look_at_lists(c, look);
    return r == LARDER_MORE ? LARDER_NOT_FOUND : r; /* so that check_look() does not call again */
}

int index_check_stripe(struct check_state *c, uint32_t ordinal, uint32_t stripe, int is_judging) {
    struct list_look look = {.ordinal = ordinal, .stripe = stripe, .is_judging = is_judging};
    unsigned tries = 0;
    int r = c->suspects.capacity ? LARDER_OK : check_reserve(c, &c->suspects, SUSPECT_BYTES, 1);
    if (r)
        return r;
    do {
        r = check_view(c, ordinal, &look.v);
        if (r)
            return r;
        if (check_is_empty(c, &look.v->partitions.stripes[stripe]))
            return LARDER_OK;
        look.hash = look.hash ? look.hash : (uint64_t)stripe << look.v->partitions.stripe_shift;
        c->is_mute = LIFE_STATE(look.v->life) != TABLE_READY;
        r = check_look(c, &look.v->partitions.stripes[stripe].lock, LOCK_PARTITION, look_once, &look, sizeof look);
        c->is_mute = 0;
        int judged = judge_suspects(c, ordinal);
        r = judged ? judged : r;
        if (r == LARDER_NOT_FOUND && (judged = check_progress(c, 0)))
            r = judged;
    } while (r == LARDER_NOT_FOUND || check_retry(c, &r, &tries));
    return r;
}

void index_sum_item(struct check_state *c, const struct table_view *v, uint64_t hash, const struct item_peek *item) {
    struct index_entry e;
    for (uint32_t number = 0; number < index_count(v); number++)
        if (list_is_whole(v, number) && index_entry_of(v, hash, item, number, &e) && e.entry.kseq)
            *check_sum(c, hash) += list_fingerprint(number, e.partition, &e.entry);
}

void index_judge_item(struct check_state *c, const struct table_view *v, uint64_t hash, const struct item_peek *item) {
    struct index_entry e;
    for (uint32_t number = 0; number < index_count(v); number++)
        if (list_is_whole(v, number) && index_entry_of(v, hash, item, number, &e) && e.entry.kseq &&
            !list_has(v, number, e.partition, &e.entry))
            check_error(c, "index %u of table \"%.64s\": an item of hash %016llx is missing (N1)", number, v->def.name,
                        (unsigned long long)hash);
}

/* The stripe that a leaf or node says it belongs to. */
struct stripe_shm *index_stripe_of(const struct htab *tab, uint64_t off) {
    const struct block_shm *block = seg_at(tab->seg, off, sizeof *block);
    if (!block)
        return NULL;
    struct block_shm b = block_read(block);
    return b.kind == BLOCK_LEAF || b.kind == BLOCK_NODE ? htab_stripe(tab, b.hash) : NULL;
}

/* Whether the node that `cut` lies in, or its leaf, is this block. The node before it must lead to
 * it: a tower may, though the list does not. */
static int list_leads_to(const struct skl_list *list, const struct leaf_cut *cut, uint64_t off) {
    struct skl_path path, before;
    struct skl_bound low;
    uint64_t next;
    if (!skl_seek(list, cut, 0, &path) || (path.node.off != off && SHM_LOAD(&path.node.shm->leaf) != off))
        return 0;
    skl_node_bound(&path.node, &low);
    return skl_seek(list, &low.cut, 1, &before) && skl_link(list, &before.node, 0, &next) && next == path.node.off;
}

/* By a live entry: only a head's leaf may have none (B3). */
static int list_refers_to_leaf(const struct skl_list *list, uint64_t off) {
    struct leaf leaf;
    uint8_t key[LEAF_KEY_BYTES_MAX];
    if (!leaf_read(list->tab->seg, off, list->hash, list->index, &leaf))
        return 0;
    for (uint32_t i = 0; i < leaf_count(&leaf); i++)
        if (leaf_kseq(&leaf, i) != 0) {
            struct leaf_cut cut = {.key = key, .key_bytes = leaf_key(&leaf, i, key), .hash = leaf_hash(&leaf, i)};
            cut.kseq = leaf_kseq(&leaf, i);
            return list_leads_to(list, &cut, off);
        }
    return 0;
}

static int list_refers(const struct skl_list *list, const struct block_shm *b, uint64_t off) {
    if (list->leaf_off)
        return list->leaf_off == off;
    if (list->head.off == off || SHM_LOAD(&list->head.shm->leaf) == off)
        return 1;
    if (b->kind == BLOCK_NODE) {
        struct skl_node n;
        struct skl_bound low;
        if (!skl_node_read(list, off, &n))
            return 0;
        skl_node_bound(&n, &low);
        return list_leads_to(list, &low.cut, off);
    }
    return list_refers_to_leaf(list, off);
}

int index_refers(const struct htab *tab, uint64_t off) {
    const struct block_shm *block = seg_at(tab->seg, off, sizeof *block);
    struct skl_list list;
    if (!block)
        return 0;
    struct block_shm b = block_read(block);
    return skl_find(&list, tab, b.hash, b.index) && list.slot && list_refers(&list, &b, off);
}

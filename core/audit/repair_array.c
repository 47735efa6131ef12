/* core/audit/repair_array.c - bucket arrays: what can be found in one, and making a new one.
 *
 * Idea     Links only say which chain a bucket belongs to. Items are looked for in every bucket of
 *          the array's block, whatever the links say. If an array only has words to drop, these
 *          become 0. If links, tags or the size are wrong, the array is replaced by one that is
 *          built from the items found.
 * Size     The stripe's word gives the number of buckets, the heap the length of the block. If they
 *          differ, the number is taken that puts most items into their right buckets: the word's,
 *          or one that fits the block.
 * Lost     Items that words lead to and that cannot be kept are named here, one by one. What is
 *          missing besides is counted when all items are known (core/audit/repair_loss.c).
 * Tests    tests/crash/repair_area_test.c
 */
#include "core/audit/repair.h"
#include "core/base/err.h"
#include "core/table/db.h"
#include "core/table/read.h"
#include <stdlib.h>

#define BUCKETS_MAX 65535u
#define NO_CHAIN UINT32_MAX
#define BAD_NOTED_MAX 512u
#define BUCKET_FILLED 5u /* blocks per bucket in a full array, about */

/* An array being read. */
struct reading {
    struct repair *p;
    struct repair_table *t;
    struct stripe_shm *stripe;
    uint32_t number, buckets, total;
    const struct bucket_shm *array;
    int is_good;
    uint64_t good_count, bad_count;
    struct {
        uint64_t off;
        const char *why;
    } bad[BAD_NOTED_MAX];
};

/* The number of items that would be in the right main bucket of `buckets`. */
static uint32_t score(const struct table_view *v, uint32_t stripe, const struct bucket_shm *array, uint32_t buckets) {
    uint32_t right = 0;
    for (uint32_t b = 0; b < buckets; b++)
        for (unsigned i = 0; i < BUCKET_SLOTS; i++) {
            uint64_t word = SHM_LOAD(&array[b].slot[i]);
            uint64_t hash;
            right += word && repair_has_key(v, WORD_OFF(word), &hash) && hash >> v->items.stripe_shift == stripe &&
                     WORD_TAG(word) == (uint16_t)hash && htab_bucket_of(&v->items, buckets, hash) == b;
        }
    return right;
}

static uint32_t true_buckets(const struct repair *p, const struct table_view *v, uint32_t stripe, uint64_t word) {
    uint64_t off = WORD_OFF(word), have = heap_block_bytes(p->seg, off);
    uint32_t best = WORD_TAG(word);
    const struct bucket_shm *array = have ? seg_at(p->seg, off, have) : NULL;
    if (!array)
        return best;
    /* The word may be right and the heap wrong: an earlier round, or a repair that died, has
     * reserved the array in pieces. */
    uint32_t most = seg_at(p->seg, off, htab_array_bytes(WORD_TAG(word))) ? score(v, stripe, array, best) : 0;
    if (heap_round(htab_array_bytes(WORD_TAG(word)), HEAP_LINE) ==
        have) { /* the last lines must not be overlooked (H4) */
        uint32_t full = htab_buckets_filling(best);
        return full != best && score(v, stripe, array, full) > most ? full : best;
    }
    for (uint64_t buckets = 1; buckets <= BUCKETS_MAX; buckets++) {
        uint64_t bytes = htab_array_bytes(buckets);
        if (bytes > have)
            break;
        uint32_t now = heap_round(bytes, HEAP_LINE) == have ? score(v, stripe, array, (uint32_t)buckets) : 0;
        if (now > most) {
            most = now;
            best = (uint32_t)buckets;
        }
    }
    return best;
}

/* The chain of each bucket, by the links. */
static int read_links(struct reading *r) {
    struct repair *p = r->p;
    if (p->chain_capacity < r->total) {
        uint32_t *grown = priv_realloc(db_priv(p->db), p->chain_of, r->total * sizeof *grown);
        if (!grown)
            return LARDER_E_NO_MEMORY;
        p->chain_of = grown;
        p->chain_capacity = r->total;
    }
    memset(p->chain_of, 0xff, r->total * sizeof *p->chain_of);
    for (uint32_t b = 0; b < r->buckets; b++)
        for (uint32_t at = b;;) {
            uint64_t link = SHM_LOAD(&r->array[at].link);
            p->chain_of[at] = b;
            if (link == 0)
                break;
            if (link <= r->buckets || link > r->total || p->chain_of[link - 1] != NO_CHAIN) {
                r->is_good = 0;
                break;
            }
            at = (uint32_t)link - 1;
        }
    return LARDER_OK;
}

static int keep_item(struct reading *r, uint64_t off) {
    struct repair_table *t = r->t;
    if (t->count == t->capacity) {
        size_t grown = t->capacity ? t->capacity * 2 : 1024;
        uint64_t *item = priv_realloc(db_priv(r->p->db), t->item, grown * sizeof *item);
        if (!item)
            return LARDER_E_NO_MEMORY;
        t->item = item;
        t->capacity = grown;
    }
    t->item[t->count++] = off;
    return LARDER_OK;
}

static int read_slot(struct reading *r, uint32_t line, uint64_t word) {
    const char *why;
    const struct item_head *h = repair_judge(r->p, r->t->v, r->number, word, &why);
    if (!h) {
        if (r->bad_count < BAD_NOTED_MAX) {
            r->bad[r->bad_count].off = WORD_OFF(word);
            r->bad[r->bad_count].why = why;
        }
        r->bad_count++;
        return LARDER_OK;
    }
    uint64_t hash = repair_hash_of(r->t->v, h);
    if (WORD_TAG(word) != (uint16_t)hash || r->p->chain_of[line] != htab_bucket_of(&r->t->v->items, r->buckets, hash))
        r->is_good = 0;
    r->good_count++;
    return keep_item(r, WORD_OFF(word));
}

uint64_t repair_counted(const struct stripe_shm *stripe) {
    uint64_t word = SHM_LOAD(&stripe->array), count = SHM_LOAD(&stripe->count);
    uint64_t most = htab_array_bytes(WORD_TAG(word)) / sizeof(struct bucket_shm) * BUCKET_SLOTS;
    return word != 0 && count <= most ? count : 0;
}

/* Whether what a bad word leads to is an item of this stripe. A word to another stripe's item says
 * nothing of that item. Without a key, it was an item if all else is right, and the count has all
 * words: others may be anything. */
static int is_ours(const struct reading *r, uint64_t off) {
    uint64_t hash;
    if (repair_has_key(r->t->v, off, &hash))
        return hash >> r->t->v->items.stripe_shift == r->number;
    return r->is_good && r->good_count + r->bad_count == SHM_LOAD(&r->stripe->count);
}

/* Names the items that bad words lead to. The other words are not worth a line each: what is
 * missing by them is counted later. */
static void lose_bad(const struct reading *r) {
    uint64_t named = 0;
    for (uint64_t i = 0; i < r->bad_count && i < BAD_NOTED_MAX; i++)
        if (is_ours(r, r->bad[i].off)) {
            repair_lose(r->p, r->t->v, r->bad[i].off, r->bad[i].why);
            named++;
        }
    r->t->named[r->number] = (uint32_t)named;
    if (named < r->bad_count)
        r->t->array[r->number] |= ARRAY_UNTOLD;
}

static int read_buckets(struct reading *r) {
    int result = read_links(r);
    for (uint32_t line = 0; line < r->total && result == LARDER_OK; line++) {
        if (r->p->chain_of[line] == NO_CHAIN && SHM_LOAD(&r->array[line].link) != 0)
            r->is_good = 0; /* H5 */
        for (unsigned i = 0; i < BUCKET_SLOTS && result == LARDER_OK; i++) {
            uint64_t word = SHM_LOAD(&r->array[line].slot[i]);
            if (word != 0)
                result = read_slot(r, line, word);
        }
    }
    return result;
}

int repair_read_array(struct repair *p, struct repair_table *t, uint32_t number) {
    struct reading *r = priv_alloc(db_priv(p->db), sizeof *r);
    if (!r)
        return LARDER_E_NO_MEMORY;
    struct stripe_shm *stripe = &t->v->items.stripes[number];
    uint64_t word = SHM_LOAD(&stripe->array);
    int result = LARDER_OK;
    *r = (struct reading){.p = p, .t = t, .stripe = stripe, .number = number, .is_good = word == 0};
    if (word != 0 && WORD_OFF(word) % sizeof(struct bucket_shm) == 0)
        r->buckets = true_buckets(p, t->v, number, word);
    if (r->buckets)
        r->array = seg_at(p->seg, WORD_OFF(word), htab_array_bytes(r->buckets));
    if (r->array) {
        r->total = (uint32_t)(htab_array_bytes(r->buckets) / sizeof *r->array);
        r->is_good = r->buckets == WORD_TAG(word);
        result = read_buckets(r);
        lose_bad(r);
    } else if (word != 0)
        t->array[number] |= ARRAY_NOWHERE;
    if (!r->is_good || (r->good_count == 0 && r->bad_count != 0))
        t->array[number] |= ARRAY_DOUBTFUL;
    else if (r->bad_count)
        t->array[number] |= ARRAY_UNCLEAN;
    priv_free(db_priv(p->db), r);
    return result;
}

/* ---- A new array ----------------------------------------------------------------------------- */

static int fill(const struct table_view *v, struct bucket_shm *array, uint32_t buckets, const uint64_t *item,
                size_t count, uint32_t *spares_used) {
    *spares_used = 0;
    for (size_t i = 0; i < count; i++) {
        const struct item_head *h = (const struct item_head *)(v->items.seg->base + item[i]);
        uint64_t hash = repair_hash_of(v, h);
        shm_word *slot = htab_empty_slot(&v->items, array, buckets, hash, spares_used, 1);
        if (!slot)
            return 0;
        atomic_init(slot, WORD_MAKE(hash, item[i]));
    }
    return 1;
}

static int take_array(struct writer *w, uint64_t buckets, uint64_t *off) {
    return repair_take(w, htab_array_bytes(buckets), HEAP_LINE, off);
}

static int publish(struct repair *p, struct stripe_shm *stripe, const struct bucket_shm *array, uint32_t buckets,
                   uint32_t spares_used) {
    uint64_t off;
    int r = take_array(&p->w, buckets, &off);
    if (r)
        return r;
    shm_copy_in(p->seg->base + off, array, htab_array_bytes(buckets));
    SHM_STORE(&stripe->spares_used, spares_used);
    return step_swap(&p->w, 1, &stripe->array, SHM_LOAD(&stripe->array), WORD_MAKE(buckets, off), &stripe->seq, NULL,
                     0);
}

static int publish_none(struct stripe_shm *stripe) {
    if (SHM_LOAD(&stripe->array) != 0) {
        SHM_STORE(&stripe->array, 0);
        SHM_STORE(&stripe->seq, SHM_LOAD_RELAXED(&stripe->seq) + 1);
    }
    SHM_STORE(&stripe->spares_used, 0);
    return LARDER_OK;
}

int repair_new_array(struct repair *p, const struct table_view *v, struct stripe_shm *stripe, const uint64_t *item,
                     size_t count) {
    uint32_t spares_used;
    int r = count ? LARDER_MORE : publish_none(stripe);
    for (uint64_t buckets = htab_buckets_filling((uint32_t)(count / BUCKET_FILLED + 1)); r == LARDER_MORE;
         buckets = htab_buckets_filling((uint32_t)(buckets + buckets / 8 + 1))) {
        if (buckets > BUCKETS_MAX)
            return err_set(LARDER_E_FULL, "a stripe has more items than its largest bucket array can hold");
        struct bucket_shm *array = priv_alloc(db_priv(p->db), htab_array_bytes(buckets));
        if (!array)
            return LARDER_E_NO_MEMORY;
        if (fill(v, array, (uint32_t)buckets, item, count, &spares_used))
            r = publish(p, stripe, array, (uint32_t)buckets, spares_used);
        priv_free(db_priv(p->db), array);
    }
    if (r == LARDER_OK)
        SHM_STORE(&stripe->count, (uint32_t)count);
    return r;
}

static int by_number(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Sets each word to 0 that is not the first one of a kept item. `kept` is sorted. */
static void drop_words(struct bucket_shm *array, uint64_t lines, const uint64_t *kept, size_t count,
                       uint8_t *is_linked) {
    for (uint64_t i = 0; i < lines * BUCKET_SLOTS; i++) {
        shm_word *slot = &array[i / BUCKET_SLOTS].slot[i % BUCKET_SLOTS];
        uint64_t off = WORD_OFF(SHM_LOAD(slot));
        const uint64_t *its = bsearch(&off, kept, count, sizeof *kept, by_number);
        if (its && !is_linked[its - kept])
            is_linked[its - kept] = 1;
        else if (SHM_LOAD(slot) != 0)
            SHM_STORE(slot, 0);
    }
}

int repair_clean_array(struct repair *p, const struct table_view *v, struct stripe_shm *stripe, const uint64_t *item,
                       size_t count) {
    struct priv *priv = db_priv(p->db);
    uint64_t word = SHM_LOAD(&stripe->array), bytes = htab_array_bytes(WORD_TAG(word));
    uint64_t *kept = priv_alloc(priv, (count + 1) * sizeof *kept);
    uint8_t *is_linked = priv_alloc(priv, count + 1);
    if (kept && is_linked) {
        memcpy(kept, item, count * sizeof *kept);
        qsort(kept, count, sizeof *kept, by_number);
        drop_words((struct bucket_shm *)(p->seg->base + WORD_OFF(word)), bytes / sizeof(struct bucket_shm), kept, count,
                   is_linked);
        SHM_STORE(&stripe->seq, SHM_LOAD_RELAXED(&stripe->seq) + 1);
        htab_recount_locked(&v->items, stripe);
    }
    int r = kept && is_linked ? LARDER_OK : LARDER_E_NO_MEMORY;
    priv_free(priv, is_linked);
    priv_free(priv, kept);
    return r;
}

/* Whether blocks with these hashes find room in an array of `buckets`. LARDER_OK, LARDER_NOT_FOUND,
 * LARDER_E_NO_MEMORY. */
static int try_array(struct priv *priv, const struct htab *t, uint64_t buckets, const uint64_t *hash, size_t count) {
    struct bucket_shm *array = priv_alloc(priv, htab_array_bytes(buckets));
    uint32_t spares_used = 0;
    int r = array ? LARDER_OK : LARDER_E_NO_MEMORY;
    for (size_t i = 0; r == LARDER_OK && i < count; i++) {
        shm_word *slot = htab_empty_slot(t, array, (uint32_t)buckets, hash[i], &spares_used, 1);
        if (slot)
            atomic_init(slot, 1);
        else
            r = LARDER_NOT_FOUND;
    }
    priv_free(priv, array);
    return r;
}

int repair_make_array(struct writer *w, const struct htab *t, struct stripe_shm *stripe, const uint64_t *hash,
                      size_t count) {
    struct priv *priv = db_priv(w->db);
    uint64_t buckets = htab_buckets_filling((uint32_t)(count / BUCKET_FILLED + 1)), off;
    int r = LARDER_NOT_FOUND;
    while (buckets <= BUCKETS_MAX && (r = try_array(priv, t, buckets, hash, count)) == LARDER_NOT_FOUND)
        buckets = htab_buckets_filling((uint32_t)(buckets + buckets / 8 + 1));
    if (r == LARDER_NOT_FOUND)
        return err_set(LARDER_E_FULL, "a stripe has more partitions than its largest bucket array can hold");
    if (r == LARDER_OK)
        r = take_array(w, buckets, &off);
    if (r)
        return r;
    shm_zero(t->seg->base + off, htab_array_bytes(buckets));
    return step_swap(w, 1, &stripe->array, 0, WORD_MAKE(buckets, off), &stripe->seq, NULL, 0);
}

/* core/check.c - the audit of a whole segment. See check.h. */
#include "core/check.h"
#include "core/catalog.h"
#include "core/db.h"
#include "core/err.h"
#include "core/free_runs.h"
#include "core/gate.h"
#include "core/heap_span.h"
#include "core/hooks.h"
#include "core/read.h"
#include "core/recover.h"
#include "core/wait.h"
#include <stdarg.h>
#include <stdio.h>

#define CHAIN_MAX 512
#define LOCK_LOOKS 100

void check_error(struct check_state *c, const char *format, ...) {
    char line[256];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (c->report->errors++ == 0)
        memcpy(c->report->first_error, line, sizeof line);
    notes_keep(&c->notes, c->db->priv, line);
}

/* The bit of a block start in c->reached. */
static uint64_t *reached_word(struct check_state *c, uint64_t off, uint64_t *mask) {
    uint64_t unit = (off - c->seg->data_off) / 16;
    *mask = UINT64_C(1) << (unit % 64);
    return &c->reached[unit / 64];
}

void *check_block(struct check_state *c, uint64_t off, uint64_t min_bytes, const char *what) {
    uint64_t mask, bytes = heap_block_bytes(c->seg, off);
    if (bytes == 0) {
        check_error(c, "%s: refers to %llu, where no block is handed out", what, (unsigned long long)off);
        return NULL;
    }
    if (bytes < min_bytes) {
        check_error(c, "%s: block %llu has %llu bytes, %llu are needed", what, (unsigned long long)off,
                    (unsigned long long)bytes, (unsigned long long)min_bytes);
        return NULL;
    }
    uint64_t *word = reached_word(c, off, &mask);
    if (*word & mask) {
        check_error(c, "%s: block %llu is referred to twice", what, (unsigned long long)off);
        return NULL;
    }
    *word |= mask;
    c->report->blocks++;
    return c->seg->base + off;
}

const struct item_head *check_find_item(const struct check_state *c, const struct table_view *v, int ordinal,
                                        uint64_t hash, uint32_t kseq) {
    struct htab_walk walk;
    uint64_t word;
    void *block;
    htab_walk_begin(&walk, &v->items, htab_stripe(&v->items, hash), hash);
    while (htab_walk_next(&walk, sizeof(struct item_head), &word, &block)) {
        struct item_peek item;
        if (item_peek_open(&item, block, heap_block_bytes(c->seg, WORD_OFF(word))) &&
            (ordinal < 0 ? item.head.kseq : item_peek_kseq(&item, (uint32_t)ordinal)) == kseq &&
            read_hash_of_item(v, &item) == hash) /* the walk compares 48 bits */
            return block;
    }
    return NULL;
}

/* The attributes that the definition calls keys are there, and are the key that the item is found by. */
static int has_true_key(const struct table_view *v, const struct item_head *h) {
    struct item_key key;
    return item_key_from_item(&v->shape, (const struct larder_item *)h, &key) == LARDER_OK &&
           key.partition_bytes == h->partition_bytes && key.sort_bytes == h->sort_bytes &&
           memcmp(key.area, item_key_area(h), item_key_area_bytes(h)) == 0;
}

/* By the attribute; never, if that has passed: then it may have been too far in the past when the item was put. An expiry by an older
 * attribute waits to be made anew. */
static int has_true_expiry(const struct check_state *c, const struct table_view *v, const struct item_head *h) {
    uint64_t at_s = item_expiry_s(h), says = 0;
    if (item_ttl_generation(h) != v->ttl_generation)
        return 1;
    if (v->shape.ttl_name)
        says = item_ttl_of(h, v->shape.ttl_name, v->shape.ttl_name_bytes, 0);
    return at_s == says || (at_s == 0 && (int64_t)says <= c->now_s);
}

/* ---- Locks --------------------------------------------------------------------------------------------------------------- */

static int is_noted(const struct check_state *c, int slot, uint64_t off) {
    if ((uint32_t)slot >= c->seg->slot_count)
        return 0;
    for (unsigned i = 0; i < SLOT_LOCKS; i++)
        if (SHM_LOAD(&seg_slot(c->seg, (uint32_t)slot)->locks[i]) == off)
            return 1;
    return 0;
}

/* Rule K1 of core/lock.h. Somebody may take and drop the lock while we look (at the gate, say), hence several looks. */
static void check_lock(struct check_state *c, const lock_word *lock) {
    uint64_t off = seg_off(c->seg, lock);
    int owner = -1;
    for (unsigned looks = 0; looks < LOCK_LOOKS; looks++) {
        owner = lock_owner(lock);
        if (owner < 0 || is_noted(c, owner, off))
            return;
    }
    check_error(c, "a %s lock at %llu names slot %d, which does not hold it (K1)", lock_kind(c->seg, off),
                (unsigned long long)off, owner);
}

/* ---- Items --------------------------------------------------------------------------------------------------------------- */

/* Heads are private copies, keys are in the segment and are those of an equal hash_high: few. */
static int is_same_key(const struct item_peek *a, const struct item_peek *b) {
    if (a->head.hash_high != b->head.hash_high || a->head.partition_bytes != b->head.partition_bytes ||
        a->head.sort_bytes != b->head.sort_bytes)
        return 0;
    return memcmp(item_key_area(a->image), item_key_area(b->image), item_key_area_bytes(&a->head)) == 0;
}

/* Copies the image in a slot to c->image, if it can be read at all: what is checked there stays so. */
static const struct item_head *check_image(struct check_state *c, const struct table_view *v, uint32_t stripe,
                                           uint64_t word, struct item_peek *item, uint64_t *hash) {
    const struct item_head *in_place = check_block(c, WORD_OFF(word), sizeof *in_place, "item"),
                           *h = (const struct item_head *)c->image;
    int is_sane = in_place && item_peek_open(item, in_place, heap_block_bytes(c->seg, WORD_OFF(word)));
    if (is_sane) {
        shm_copy_out(c->image, in_place, item->head.bytes);
        is_sane = h->bytes == item->head.bytes && item_is_sane(c->image, h->bytes);
    }
    if (in_place && !is_sane)
        check_error(c, "item: block %llu holds no sane image (I1 to I3)", (unsigned long long)WORD_OFF(word));
    if (!is_sane)
        return NULL;
    *hash = read_hash_of(v, item_key_area(h), h->partition_bytes, h->sort_bytes);
    if (*hash >> 32 != h->hash_high)
        check_error(c, "item: the hash of block %llu is not that of its key", (unsigned long long)WORD_OFF(word));
    if (h->version == 0 || h->version > SHM_LOAD(&v->items.stripes[stripe].writes))
        check_error(c, "item: block %llu has version %llu, which its stripe never gave",
                    (unsigned long long)WORD_OFF(word), (unsigned long long)h->version);
    if (h->kseq == 0)
        check_error(c, "item: block %llu has no key sequence", (unsigned long long)WORD_OFF(word));
    if (!has_true_key(v, h))
        check_error(c, "item: block %llu has other key attributes than its table", (unsigned long long)WORD_OFF(word));
    if (!has_true_expiry(c, v, h))
        check_error(c, "item: block %llu expires at %llu, which its TTL attribute does not say",
                    (unsigned long long)WORD_OFF(word), (unsigned long long)item_expiry_s(h));
    if ((h->flags & ITEM_TIMED) && item_timed_at(h, h)->zero != 0)
        check_error(c, "item: the end of block %llu is not zero", (unsigned long long)WORD_OFF(word));
    if (h->index_count > v->shape.index_count)
        check_error(c, "item: block %llu has slots for %u indexes, the table has %u",
                    (unsigned long long)WORD_OFF(word), h->index_count, v->shape.index_count);
    return h;
}

static void check_chain(struct check_state *c, const struct table_view *v, uint32_t stripe, uint32_t bucket,
                        const uint64_t *words, int count) {
    struct item_peek items[CHAIN_MAX];
    uint32_t buckets = htab_bucket_count(&v->items, &v->items.stripes[stripe]);
    for (int i = 0; i < count; i++) {
        uint64_t hash;
        const struct item_head *h = check_image(c, v, stripe, words[i], &items[i], &hash);
        if (!h) {
            items[i].image = NULL;
            continue;
        }
        c->report->items++;
        if (hash >> v->items.stripe_shift != stripe || htab_bucket_of(&v->items, buckets, hash) != bucket ||
            WORD_TAG(words[i]) != (uint16_t)hash)
            check_error(c, "item: block %llu is in the wrong chain (H1)", (unsigned long long)WORD_OFF(words[i]));
        for (int k = 0; k < i; k++)
            if (items[k].image && is_same_key(&items[k], &items[i]))
                check_error(c, "item: blocks %llu and %llu have the same key", (unsigned long long)WORD_OFF(words[k]),
                            (unsigned long long)WORD_OFF(words[i]));
    }
}

static void check_array(struct check_state *c, struct stripe_shm *stripe, const char *what) {
    uint64_t word = SHM_LOAD(&stripe->array), buckets = WORD_TAG(word);
    if (word != 0)
        check_block(c, WORD_OFF(word), (buckets + buckets / 8 + 1) * sizeof(struct bucket_shm), what);
}

static void check_item_stripe(struct check_state *c, const struct table_view *v, uint32_t number) {
    struct stripe_shm *stripe = &v->items.stripes[number];
    uint32_t in_slots = 0;
    uint64_t writes = SHM_LOAD(&stripe->writes);
    if (writes > ITEM_VERSION_MAX)
        check_error(c, "stripe %u: so many writes as %llu there never were", number, (unsigned long long)writes);
    check_array(c, stripe, "bucket array");
    for (uint32_t b = 0, buckets = htab_bucket_count(&v->items, stripe); b < buckets; b++) {
        uint64_t words[CHAIN_MAX];
        int count = htab_bucket_slots(&v->items, stripe, b, words, CHAIN_MAX);
        if (count < 0) {
            check_error(c, "stripe %u: the chain of bucket %u makes no sense (H3)", number, b);
            continue;
        }
        in_slots += (uint32_t)count;
        check_chain(c, v, number, b, words, count);
    }
    if (!htab_has_true_spares(&v->items, stripe))
        check_error(c, "stripe %u: %u spare buckets are said to be in use, and others are (H5)", number,
                    SHM_LOAD(&stripe->spares_used));
    if (in_slots != SHM_LOAD(&stripe->count))
        check_error(c, "stripe %u: counts %u items and links %u (H2)", number, SHM_LOAD(&stripe->count), in_slots);
}

/* ---- Tables ----------------------------------------------------------------------------------------------------------------- */

static void check_stripe_arrays(struct check_state *c, const struct table_shm *t) {
    uint64_t bytes = (uint64_t)c->seg->stripe_count * sizeof(struct stripe_shm);
    if (SHM_LOAD(&t->items_off))
        check_block(c, SHM_LOAD(&t->items_off), bytes, "stripes of items");
    if (SHM_LOAD(&t->partitions_off))
        check_block(c, SHM_LOAD(&t->partitions_off), bytes, "stripes of partitions");
    if (SHM_LOAD(&t->schema_off))
        check_block(c, SHM_LOAD(&t->schema_off), sizeof(struct schema_head), "definition");
}

static void check_table(struct check_state *c, uint32_t ordinal) {
    const struct table_shm *t = seg_table(c->seg, ordinal);
    const struct table_view *v;
    check_stripe_arrays(c, t);
    if (LIFE_STATE(SHM_LOAD(&t->life)) == TABLE_FREE)
        return;
    if (LIFE_STATE(SHM_LOAD(&t->life)) != TABLE_READY) {
        check_error(c, "table %u is neither free nor ready, and nobody is changing it", ordinal);
        return;
    }
    if (table_view_by_ordinal(c->db, ordinal, &v)) {
        check_error(c, "table %u: %s", ordinal, larder_error());
        return;
    }
    for (uint32_t i = 0; i < v->items.stripe_count; i++) {
        check_lock(c, &v->items.stripes[i].lock);
        check_lock(c, &v->partitions.stripes[i].lock);
        check_item_stripe(c, v, i);
        check_array(c, &v->partitions.stripes[i], "bucket array");
    }
    core_hooks->index_check(c, v);
}

/* ---- Heap ---------------------------------------------------------------------------------------------------------------------- */

/* What is in a slot's hand is not lost. */
static void mark_hands(struct check_state *c) {
    uint64_t mask;
    for (uint32_t i = 0; i < c->seg->slot_count; i++)
        for (unsigned k = 0; k < SLOT_HAND; k++) {
            uint64_t off = SHM_LOAD(&seg_slot(c->seg, i)->hand[k]) & ~(uint64_t)HAND_BITS;
            if (heap_block_bytes(c->seg, off) == 0)
                continue;
            uint64_t *word = reached_word(c, off, &mask);
            *word |= mask;
        }
}

static void check_reached(struct check_state *c, uint64_t off) {
    uint64_t mask, *word = reached_word(c, off, &mask);
    if (*word & mask)
        return;
    c->report->leaked_blocks++;
    check_error(c, "heap: block %llu of %llu bytes is handed out, and nothing refers to it", (unsigned long long)off,
                (unsigned long long)heap_block_bytes(c->seg, off));
}

static void check_small_span(struct check_state *c, uint32_t i) {
    const struct span_shm *span = seg_span(c->seg, i);
    uint32_t used = 0;
    if (SHM_LOAD(&span->class_index) >= CLASS_COUNT || SHM_LOAD(&span->arena) >= c->seg->arena_count) {
        check_error(c, "heap: span %u is of class %u, arena %u", i, SHM_LOAD(&span->class_index),
                    SHM_LOAD(&span->arena));
        return;
    }
    uint32_t block_bytes = heap_class_bytes(SHM_LOAD(&span->class_index)), blocks = SPAN_BYTES / block_bytes;
    for (uint32_t bit = 0; bit < SPAN_BITMAP_WORDS * 64; bit++) {
        if (!(SHM_LOAD(&span->bitmap[bit / 64]) >> (bit % 64) & 1))
            continue;
        used++;
        if (bit < blocks)
            check_reached(c, span_off(c->seg, i) + (uint64_t)bit * block_bytes);
        else
            check_error(c, "heap: span %u has block %u of %u", i, bit, blocks);
    }
    if (used != SHM_LOAD(&span->used))
        check_error(c, "heap: span %u counts %u blocks and has %u", i, SHM_LOAD(&span->used), used);
    if ((used < blocks) != (SHM_LOAD(&span->is_listed) != 0))
        check_error(c, "heap: span %u with %u of %u blocks used is %s", i, used, blocks,
                    SHM_LOAD(&span->is_listed) ? "listed" : "not listed");
}

/* The spans of a bin's list. The list is a cache (P2), but a wrong one hands blocks out twice or not at all. */
static uint32_t check_bin(struct check_state *c, uint32_t number) {
    const struct bin_shm *bin = seg_bin(c->seg, number);
    uint32_t at = SHM_LOAD(&bin->head), before = 0, count = 0, claimed = span_claimed_count(c->seg);
    check_lock(c, &bin->lock);
    while (at != 0) {
        const struct span_shm *span = at <= claimed ? seg_span(c->seg, at - 1) : NULL;
        if (!span || SHM_LOAD(&span->state) != SPAN_SMALL || !SHM_LOAD(&span->is_listed) ||
            SHM_LOAD(&span->prev) != before ||
            SHM_LOAD(&span->arena) * CLASS_COUNT + SHM_LOAD(&span->class_index) != number) {
            check_error(c, "heap: the list of bin %u goes wrong at span %u", number, at - 1);
            break;
        }
        count++;
        before = at; /* a circle comes back to a span with another one before it */
        at = SHM_LOAD(&span->next);
    }
    return count;
}

/* Every listed span is in one list. */
static void check_bins(struct check_state *c, uint32_t listed) {
    uint32_t in_lists = 0;
    for (uint32_t i = 0; i < c->seg->arena_count * CLASS_COUNT; i++)
        in_lists += check_bin(c, i);
    if (in_lists != listed)
        check_error(c, "heap: %u spans are marked as listed, %u are in lists", listed, in_lists);
}

static void check_free_runs(struct check_state *c) {
    uint32_t span;
    const char *wrong = free_runs_check(c->seg, &span);
    if (wrong)
        check_error(c, "heap: span %u %s", span, wrong);
}

static void check_heap(struct check_state *c) {
    uint32_t claimed = span_claimed_count(c->seg), listed = 0;
    for (uint32_t i = 0; i < claimed; i++) {
        const struct span_shm *span = seg_span(c->seg, i);
        uint32_t state = SHM_LOAD(&span->state), count = SHM_LOAD(&span->next);
        if (state == SPAN_SMALL) {
            check_small_span(c, i);
            listed += SHM_LOAD(&span->is_listed) != 0;
        } else if (state == SPAN_TAIL)
            check_error(c, "heap: span %u is the tail of no run", i);
        else if (state == SPAN_RUN) {
            check_reached(c, span_off(c->seg, i));
            if (count == 0 || count > claimed - i) {
                check_error(c, "heap: the run at span %u has %u spans", i, count);
                continue;
            }
            for (uint32_t k = 1; k < count; k++)
                if (SHM_LOAD(&seg_span(c->seg, i + k)->state) != SPAN_TAIL)
                    check_error(c, "heap: span %u belongs to the run at %u and is in state %u", i + k, i,
                                SHM_LOAD(&seg_span(c->seg, i + k)->state));
            i += count - 1;
        } else if (state != SPAN_FREE)
            check_error(c, "heap: span %u is in state %u", i, state);
        else if (i < SHM_LOAD(&c->seg->shm->span_hint))
            check_error(c, "heap: span %u is free, and the hint says that none is below %u", i,
                        SHM_LOAD(&c->seg->shm->span_hint));
    }
    check_free_runs(c);
    check_lock(c, &c->seg->shm->span_lock);
    check_bins(c, listed);
}

/* What is beyond claimed_bytes is not backed by memory; a word that is too large makes others store there. */
static void check_claimed(struct check_state *c) {
    uint64_t claimed = SHM_LOAD(&c->seg->shm->claimed_bytes), end = span_off(c->seg, c->seg->span_count);
    if (claimed < c->seg->data_off || claimed > end || (claimed - c->seg->data_off) % SPAN_BYTES != 0)
        check_error(c, "heap: %llu bytes cannot be claimed", (unsigned long long)claimed);
}

/* ---- Slots ---------------------------------------------------------------------------------------------------------------------- */

/* A free slot has nothing open. */
static void check_slots(struct check_state *c) {
    for (uint32_t i = 0; i < c->seg->slot_count; i++) {
        const struct slot_shm *slot = seg_slot(c->seg, i);
        if (SHM_LOAD(&slot->state) == SLOT_FREE && !slot_has_nothing_open(slot))
            check_error(c, "slot %u is free and has something open", i);
    }
}

/* LARDER_OK however much is wrong; else it could not be looked at. */
static int check_all(struct check_state *c) {
    check_claimed(c);
    check_slots(c);
    check_lock(c, &c->seg->shm->catalog_lock);
    check_lock(c, &c->seg->shm->expirer_lock);
    check_lock(c, &c->seg->shm->gate_lock);
    for (uint32_t i = 0; i < LARDER_TABLES_MAX; i++)
        check_table(c, i);
    int r = core_hooks->timer_check(c);
    if (r == LARDER_E_CORRUPT)
        check_error(c, "timers: %s", larder_error());
    mark_hands(c);
    check_heap(c);
    return r == LARDER_E_CORRUPT ? LARDER_OK : r;
}

/* Takes and drops the lock of every stripe once. */
static int flush_tables(struct writer *w) {
    const struct table_view *v;
    int r = LARDER_OK;
    for (uint32_t i = 0; i < LARDER_TABLES_MAX && r == LARDER_OK; i++)
        if (LIFE_STATE(SHM_LOAD(&seg_table(w->seg, i)->life)) == TABLE_READY &&
            table_view_by_ordinal(w->db, i, &v) == LARDER_OK) /* a damaged definition is check_table's to report */
            r = table_flush(w, v);
    return r;
}

/* Closes the gate and waits until nobody is inside a stripe. A process that stands still with a stripe is met before that: else
 * everybody would wait at the gate for as long as we wait for it. */
static int close_gate(struct writer *w) {
    int r = lock_take(w, &w->seg->shm->catalog_lock, LOCK_CATALOG);
    if (r == LARDER_OK)
        r = flush_tables(w);
    if (r == LARDER_OK)
        r = lock_take(w, &w->seg->shm->gate_lock, LOCK_GATE);
    return r ? r : flush_tables(w);
}

static void open_gate(struct writer *w) {
    if (lock_is_held(w, LOCK_GATE)) /* by our own account: a damaged word may name us */
        lock_drop(w, &w->seg->shm->gate_lock, LOCK_GATE);
    if (lock_is_held(w, LOCK_CATALOG))
        lock_drop(w, &w->seg->shm->catalog_lock, LOCK_CATALOG);
}

/* Another process may be recovering the same slot just now: that is waited for, as a lock is. */
static int recover_dead(struct writer *w, uint32_t *dead) {
    uint64_t end_ms = wait_now_ms() + w->busy_timeout_ms;
    uint32_t count;
    int r;
    *dead = 0;
    for (;;) {
        r = recover_all(w, &count);
        *dead += count;
        if (r != LARDER_BUSY || !wait_until(end_ms))
            return r;
    }
}

static int check_writable(struct check_state *c) {
    struct writer *w;
    uint32_t dead;
    int r = writer_borrow(c->db, &w);
    if (r)
        return r;
    r = recover_dead(w, &dead);
    c->report->dead_slots = dead;
    if (r == LARDER_OK)
        r = table_resume_drops(w);
    if (r == LARDER_OK)
        r = close_gate(w);
    /* A slot that cannot be recovered, a lock that cannot be had: looks without the gate. */
    if (r == LARDER_E_CORRUPT || r == LARDER_E_NO_TABLE) { /* a slot's journal names a table that is none */
        check_error(c, "%s", larder_error());
        r = LARDER_OK;
    }
    if (r == LARDER_OK)
        r = check_all(c);
    open_gate(w);
    writer_end(w);
    return r;
}

int larder_check(struct larder *db, void (*note)(void *arg, const char *line), void *arg,
                 struct larder_check_report *report) {
    if (ERR_IS_NULL(db) || ERR_IS_NULL(report))
        return LARDER_E_INVAL;
    int r = db_check(db);
    if (r)
        return r;
    memset(report, 0, sizeof *report);
    struct check_state c = {
        .db = db, .seg = &db->seg, .report = report, .notes = {.to = note, .arg = arg}, .now_s = db_now(db)};
    c.reached = priv_alloc(db->priv, (db->seg.bytes - db->seg.data_off) / 128 + 8);
    c.image = priv_alloc(db->priv, ITEM_IMAGE_BYTES_MAX);
    if (!c.reached || !c.image) {
        priv_free(db->priv, c.reached);
        priv_free(db->priv, c.image);
        return LARDER_E_NO_MEMORY;
    }
    struct view_use *use = views_visit(db);
    if (!use)
        r = LARDER_E_NO_MEMORY;
    else if (db->seg.is_read_only)
        r = check_all(&c);
    else
        r = check_writable(&c);
    if (use)
        views_depart(db, use);
    priv_free(db->priv, c.reached);
    priv_free(db->priv, c.image);
    notes_hand_out(&c.notes, db->priv);
    if (r)
        return r;
    return report->errors ? err_set(LARDER_E_CORRUPT, "%llu errors, the first: %s", (unsigned long long)report->errors,
                                    report->first_error)
                          : LARDER_OK;
}

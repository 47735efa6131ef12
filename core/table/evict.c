/* core/table/evict.c - see evict.h. */
#include "core/table/evict.h"

#include "core/base/err.h"
#include "core/base/wait.h"
#include "core/memory/gate.h"
#include "core/memory/heap.h"
#include "core/memory/heap_span.h"
#include "core/table/catalog.h"
#include "core/table/db.h"
#include "core/table/marks.h"
#include "core/table/upkeep.h"
#include "core/table/write.h"

#define SHARE 16u        /* of the items that a visit looks at, one in so many goes */
#define BATCH_ITEMS 192u /* a call ends with so many, */
#define BATCH_PART 64u   /* or with such a part of the segment, if there is enough for the caller */
#define WAITS_MAX 8u     /* for locks, of a millisecond each */
#define PUBLISHED_GROUPS 256u
#define CANDIDATES_MAX 4096u
#define PART_BUCKETS 64u /* and more in a stripe so large that its parts are not enough */

/* ---- Candidates: a heap by place in SIEVE's order -------------------------------------------- */

struct candidates {
    uint32_t count;
    uint32_t rank[CANDIDATES_MAX]; /* the lowest is first */
    uint64_t word[CANDIDATES_MAX]; /* of the slot */
};

static void sink(struct candidates *c, uint32_t at) {
    uint32_t rank = c->rank[at];
    uint64_t word = c->word[at];
    for (uint32_t child; (child = 2 * at + 1) < c->count; at = child) {
        child += child + 1 < c->count && c->rank[child + 1] < c->rank[child];
        if (c->rank[child] >= rank)
            break;
        c->rank[at] = c->rank[child];
        c->word[at] = c->word[child];
    }
    c->rank[at] = rank;
    c->word[at] = word;
}

static void drop_first(struct candidates *c) {
    c->count--;
    c->rank[0] = c->rank[c->count];
    c->word[0] = c->word[c->count];
    if (c->count > 1)
        sink(c, 0);
}

/* ---- One visit ------------------------------------------------------------------------------- */

struct eviction {
    struct writer *w;
    struct candidates *candidates;
    uint64_t bytes_wanted, batch_bytes;
    uint64_t items, bytes, cleared;
    uint32_t visits;
    uint32_t blocked; /* items and stripes that were passed over, since another thread holds what they need; */
    uint32_t waits;   /* items for which it waited before */
    int is_forced;    /* the round before gave nothing: every visit gives something */
    struct write write;
};

static int decide_eviction(struct writer *w, struct write *c) {
    (void)w;
    return c->old ? WRITE_DELETE : LARDER_NOT_FOUND;
}
static const struct write_kind eviction_kind = {.decide = decide_eviction};

/* Gathers what is in a part of the stripe's buckets, for a hand that has passed `passed`. */
static void gather(struct candidates *c, const struct table_view *v, const struct stripe_shm *stripe, uint32_t from,
                   uint32_t to, uint32_t passed) {
    c->count = 0;
    for (uint32_t b = from; b < to && c->count < CANDIDATES_MAX; b++) {
        uint32_t room = CANDIDATES_MAX - c->count;
        int n = htab_bucket_slots(&v->items, stripe, b, c->word + c->count, room);
        for (int i = 0; i < n; i++)
            htab_prefetch(&v->items, c->word[c->count + (uint32_t)i], 32);
        c->count += n > 0 ? (uint32_t)n : 0;
    }
    uint32_t kept = 0;
    for (uint32_t i = 0; i < c->count; i++) {
        const struct item_head *item = seg_at(v->items.seg, WORD_OFF(c->word[i]), sizeof *item);
        if (!item)
            continue; /* damaged */
        c->word[kept] = c->word[i];
        c->rank[kept++] = item->kseq - passed - 1; /* wraps round: the oldest come after the newest */
    }
    c->count = kept;
    for (uint32_t i = kept / 2; i-- > 0;)
        sink(c, i);
}

/* LARDER_OK; else it stays. */
static int evict_item_locked(struct eviction *e, struct item_swap *s, uint64_t word) {
    struct writer *w = e->w;
    const struct table_view *v = e->write.view;
    uint64_t bytes = heap_block_bytes(w->seg, WORD_OFF(word));
    const struct item_head *item = seg_at(w->seg, WORD_OFF(word), sizeof *item);
    if (!item || !upkeep_point_at(v, word, item, s))
        return LARDER_NOT_FOUND;
    int r = write_item_locked(w, &e->write, s);
    e->blocked += r == LARDER_E_BUSY;
    e->waits += r == LARDER_E_BUSY;
    if (r)
        return r;
    e->items++;
    e->bytes += bytes;
    return LARDER_OK;
}

/* Evicts up to `share` of the candidates. After one for which it waited in vain it leaves the
 * stripe: its neighbours may need the same lock. Returns the key sequence that the hand has
 * passed. */
static uint32_t evict_some_locked(struct eviction *e, struct item_swap *s, uint32_t passed, uint32_t share) {
    struct candidates *c = e->candidates;
    const struct table_view *v = e->write.view;
    uint64_t items = e->items, bytes = e->bytes, writes = SHM_LOAD_RELAXED(&s->stripe->writes), age = 0;
    uint32_t at = passed, waits = e->waits;
    for (; c->count > 0 && e->items - items < share && !e->w->is_stuck && e->waits == waits; drop_first(c)) {
        uint64_t word = c->word[0];
        at = passed + 1 + c->rank[0];
        if (marks_is_used(v, WORD_OFF(word))) {
            marks_put(v, WORD_OFF(word), 0);
            e->cleared++;
        } else if (evict_item_locked(e, s, word) == LARDER_OK)
            age += (uint32_t)writes - at;
    }
    items = e->items - items;
    if (items == 0 || e->w->is_stuck)
        return at;
    SHM_ADD(&e->w->seg->shm->evicted, items);
    SHM_ADD(&v->marks->evicted, items);
    SHM_ADD(&v->marks->evicted_bytes, e->bytes - bytes);
    SHM_STORE(&v->marks->age, age / items * v->items.stripe_count);
    return at;
}

/* Few items give one now and then: rounding down or up by chance. */
static uint32_t share_of(struct eviction *e, uint32_t count) {
    struct writer *w = e->w;
    w->evict_chance = w->evict_chance * 1664525u + 1013904223u;
    uint32_t share = (count + (w->evict_chance >> 16) % SHARE) / SHARE;
    return share == 0 && e->is_forced ? 1 : share;
}

/* The buckets of a part of a stripe. False: it has none. */
static int buckets_of(const struct table_view *v, const struct stripe_shm *stripe, uint32_t part, uint32_t *from,
                      uint32_t *to) {
    uint32_t parts = marks_parts(v->items.seg), buckets = htab_bucket_count(&v->items, stripe);
    uint32_t each = buckets / parts < PART_BUCKETS ? PART_BUCKETS : (buckets + parts - 1) / parts;
    *from = part * each;
    *to = *from + each < buckets ? *from + each : buckets;
    return *from < buckets;
}

static void visit_locked(struct eviction *e, uint32_t number, uint32_t part) {
    const struct table_view *v = e->write.view;
    struct item_swap s = {.stripe = &v->items.stripes[number]};
    shm_word *hand = &v->marks->hand[number * marks_parts(v->items.seg) + part];
    uint32_t from, to, passed = (uint32_t)SHM_LOAD_RELAXED(hand);
    if (!buckets_of(v, s.stripe, part, &from, &to))
        return;
    e->visits++;
    marks_publish_locked(v, PUBLISHED_GROUPS);
    gather(e->candidates, v, s.stripe, from, to, passed);
    uint32_t at = evict_some_locked(e, &s, passed, share_of(e, e->candidates->count));
    if (at != passed && !e->w->is_stuck)
        SHM_STORE(hand, at);
}

static void visit(struct eviction *e, uint32_t number, uint32_t part) {
    struct writer *w = e->w;
    const struct table_view *v = e->write.view;
    struct stripe_shm *stripe = &v->items.stripes[number];
    uint32_t from, to;
    if (SHM_LOAD_RELAXED(&stripe->count) == 0 || !buckets_of(v, stripe, part, &from, &to))
        return;
    if (lock_try_recover(w, &stripe->lock, LOCK_STRIPE)) {
        e->blocked++;
        return;
    }
    if (gate_is_closed(w))
        e->blocked++;
    else if (view_is_current(v))
        visit_locked(e, number, part);
    change_leave_stripe(w, stripe);
}

#if LARDER_CRASH_POINTS
/* Tests: not 0, so many items at a time, and every writer begins at the same place. */
_Atomic uint32_t evict_test_batch;
static uint32_t test_batch(void) {
    return evict_test_batch;
}
#else
static uint32_t test_batch(void) {
    return 0;
}
#endif

/* ---- All stripes in turn --------------------------------------------------------------------- */

static int is_ended(const struct eviction *e) {
    int is_enough = e->bytes >= e->bytes_wanted && (e->items >= BATCH_ITEMS || e->bytes >= e->batch_bytes);
    is_enough |= test_batch() && e->items >= test_batch();
    int is_long = e->visits >= (e->items + e->cleared > 0 ? EVICT_VISITS : EVICT_VISITS_MAX);
    return is_enough || is_long || e->waits >= WAITS_MAX || e->w->is_stuck || (e->w->is_stopping && *e->w->is_stopping);
}

/* The view of a table if it evicts, else NULL. */
static const struct table_view *evicting(struct writer *w, uint32_t ordinal) {
    const struct table_shm *t = seg_table(w->seg, ordinal);
    const struct table_view *v;
    if (SHM_LOAD(&t->marks_off) == 0 || LIFE_STATE(SHM_LOAD(&t->life)) != TABLE_READY ||
        table_view_by_ordinal(w->db, ordinal, &v) != LARDER_OK)
        return NULL;
    return v->marks ? v : NULL;
}

static void visit_stripes(struct eviction *e) {
    struct writer *w = e->w;
    uint32_t parts = marks_parts(w->seg);
    for (; w->evict_at < w->seg->stripe_count * parts && !is_ended(e); w->evict_at++)
        visit(e, w->evict_at / parts, w->evict_at % parts);
}

/* From where the last call of this writer ended, once round. */
static void go_round(struct eviction *e) {
    struct writer *w = e->w;
    for (uint32_t i = 0; i <= LARDER_TABLES_MAX && !is_ended(e); i++) {
        e->write.view = evicting(w, w->evict_table);
        if (e->write.view)
            visit_stripes(e);
        if (e->write.view && w->evict_at < w->seg->stripe_count * marks_parts(w->seg))
            return;
        w->evict_at = 0;
        w->evict_table = (w->evict_table + 1) % LARDER_TABLES_MAX;
    }
}

static int has_evicting(struct writer *w) {
    for (uint32_t i = 0; i < LARDER_TABLES_MAX; i++)
        if (evicting(w, i))
            return 1;
    return 0;
}

static struct candidates *candidates_of(struct writer *w) {
    if (!w->candidates)
        w->candidates = priv_alloc(db_priv(w->db), sizeof *w->candidates);
    return w->candidates;
}

/* Writers begin at different stripes. */
static void begin(struct writer *w) {
    if (w->evict_chance != 0)
        return;
    w->evict_chance = test_batch() ? 1 : (uint32_t)wait_now_ns() | 1;
    w->evict_at = (w->evict_chance >> 8) % w->seg->stripe_count * marks_parts(w->seg);
}

uint64_t table_evict(struct writer *w, uint64_t bytes, int *is_blocked) {
    uint64_t need_bytes = w->need_bytes, asked_bytes = w->asked_bytes;
    *is_blocked = 0;
    struct eviction e = {.w = w,
                         .bytes_wanted = 2 * bytes,
                         .batch_bytes = w->seg->bytes / BATCH_PART,
                         .write = {.kind = &eviction_kind, .now_s = 0}};
    if (!has_evicting(w) || !(e.candidates = candidates_of(w)))
        return 0;
    begin(w);
    go_round(&e);
    e.is_forced = e.items + e.cleared == 0;
    if (e.is_forced && e.visits > 0 && !is_ended(&e))
        go_round(&e);
    w->need_bytes = need_bytes; /* the call's: see table_compact() */
    w->asked_bytes = asked_bytes;
    *is_blocked = e.items + e.cleared == 0 && e.blocked > 0;
    return e.items + e.cleared;
}

/* ---- Ahead ----------------------------------------------------------------------------------- */

#define RESERVE_PART 64u    /* such a part of the segment is kept free */
#define SAMPLED_SPANS 4096u /* are looked at to estimate what is free */
#define AHEAD_NS 5000000u   /* a call evicts no longer */
#define AHEAD_WAIT_MS 1u    /* for a lock that an item needs */
#define AHEAD_BYTES (64u << 10)

static uint64_t free_in(const struct seg *s, uint32_t i) {
    const struct span_shm *span = seg_span(s, i);
    uint32_t class_index = SHM_LOAD_RELAXED(&span->class_index), state = SHM_LOAD(&span->state);
    if (state == SPAN_FREE)
        return SPAN_BYTES;
    if (state != SPAN_SMALL || class_index >= CLASS_COUNT)
        return 0;
    uint64_t used = (uint64_t)SHM_LOAD_RELAXED(&span->used) * heap_class_bytes(class_index);
    return used < SPAN_BYTES ? SPAN_BYTES - used : 0;
}

/* In a large segment by every so manieth span. */
uint64_t table_free_bytes(const struct seg *s) {
    uint32_t spans = span_claimed_count(s), step = spans / SAMPLED_SPANS + 1;
    uint64_t sum = 0;
    for (uint32_t i = 0; i < spans; i += step)
        sum += free_in(s, i) * step;
    return sum;
}

uint64_t table_evict_ahead(struct writer *w) {
    const struct seg *s = w->seg;
    uint64_t made = 0, reserve = s->bytes / RESERVE_PART + (uint64_t)span_kept_count(s, 0) * SPAN_BYTES;
    if (SHM_LOAD(&s->shm->claimed_bytes) < span_off(s, s->span_count) || !has_evicting(w))
        return 0;
    uint64_t until_ns = wait_now_ns() + AHEAD_NS, more = 1;
    uint32_t busy_timeout_ms = w->busy_timeout_ms;
    int is_blocked;
    if (busy_timeout_ms > AHEAD_WAIT_MS) /* as a call that makes room: core/table/make_room.c */
        w->busy_timeout_ms = AHEAD_WAIT_MS;
    w->inner_timeout_ms = busy_timeout_ms;
    while (more && !w->is_stuck && table_free_bytes(s) < reserve && wait_now_ns() < until_ns) {
        more = table_evict(w, AHEAD_BYTES, &is_blocked);
        made += more;
    }
    w->busy_timeout_ms = busy_timeout_ms;
    w->inner_timeout_ms = 0;
    return made;
}

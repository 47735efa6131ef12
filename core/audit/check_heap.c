/* core/audit/check_heap.c - the audit of spans, runs and bins. See check.h.
 *
 * Idea     Three walks in pieces. Over all spans under the span lock: runs, tails, the hint. Over
 *          the small ones, bin by bin under the bin's lock: counts, and blocks without a reference.
 *          Over each bin's list: order and links. A list changes between two pieces, but spans that
 *          stay keep their order, and new ones come in front: so a walk goes on from a span that is
 *          still listed. A span that is marked as listed, and was not met, is looked up again:
 *          backwards to the head.
 * Tests    tests/api/check_damage_test.c
 */
#include "core/audit/check.h"
#include "core/memory/free_runs.h"
#include "core/memory/heap_span.h"
#include "core/table/db.h"

#define SPANS_AT_ONCE 4096u /* under the span lock */
#define LINKS_AT_ONCE 8192u /* of a list */
#define SPANS_TO_WORK 16u   /* a step of the progress function */

static unsigned long long ull(uint64_t n) {
    return n;
}

/* ---- All spans, under the span lock ---------------------------------------------------------- */

/* The end of the run whose tail i is, else i: a run may have come over i since the last piece. */
static uint32_t skip_tails(const struct check_state *c, uint32_t i) {
    uint32_t head = i;
    while (head > 0 && SHM_LOAD(&seg_span(c->seg, head)->state) == SPAN_TAIL)
        head--;
    const struct span_shm *span = seg_span(c->seg, head);
    uint64_t end = (uint64_t)head + SHM_LOAD(&span->next);
    return head < i && SHM_LOAD(&span->state) == SPAN_RUN && end > i && end <= span_claimed_count(c->seg)
               ? (uint32_t)end
               : i;
}

static void check_run(struct check_state *c, uint32_t i, uint32_t count) {
    for (uint32_t k = 1; k < count; k++)
        if (SHM_LOAD(&seg_span(c->seg, i + k)->state) != SPAN_TAIL)
            check_error(c, "heap: span %u belongs to the run at %u and is in state %u", i + k, i,
                        SHM_LOAD(&seg_span(c->seg, i + k)->state));
}

static void check_reached(struct check_state *c, uint64_t off) {
    uint64_t unit = (off - c->seg->data_off) / 16;
    if (!(c->reached[unit / 32] >> unit % 32 * 2 & 1) && !c->is_again)
        check_suspect_block(c, off, 0);
}

/* Looks at span i; returns the number of spans of its run, or 1. */
static uint32_t check_span(struct check_state *c, uint32_t i) {
    const struct span_shm *span = seg_span(c->seg, i);
    uint32_t state = SHM_LOAD(&span->state), count = SHM_LOAD(&span->next), claimed = span_claimed_count(c->seg);
    switch (state) {
    case SPAN_SMALL:
        return 1;
    case SPAN_TAIL:
        check_error(c, "heap: span %u is the tail of no run", i);
        return 1;
    case SPAN_RUN:
        check_reached(c, span_off(c->seg, i));
        if (count == 0 || count > claimed - i) {
            check_error(c, "heap: the run at span %u has %u spans", i, count);
            return 1;
        }
        check_run(c, i, count);
        return count;
    case SPAN_FREE:
        if (i < SHM_LOAD(&c->seg->shm->span_hint))
            check_error(c, "heap: span %u is free, and the hint says that none is below %u", i,
                        SHM_LOAD(&c->seg->shm->span_hint));
        return 1;
    default:
        check_error(c, "heap: span %u is in state %u", i, state);
        return 1;
    }
}

/* Beyond what is claimed, as far as there is memory behind descriptors. Others are put right
 * when they are claimed. */
static void check_unclaimed(struct check_state *c, uint32_t claimed) {
    uint64_t end = seg_descriptors_end(c->seg, SHM_LOAD(&c->seg->shm->claimed_bytes));
    for (uint32_t i = claimed; i < c->seg->span_count && seg_off(c->seg, seg_span(c->seg, i + 1)) <= end; i++)
        if (SHM_LOAD(&seg_span(c->seg, i)->state) != SPAN_FREE)
            check_error(c, "heap: span %u is in state %u, and is not claimed", i,
                        SHM_LOAD(&seg_span(c->seg, i)->state));
}

static int look_at_spans(struct check_state *c, void *at) {
    uint32_t *i = at, first = *i, claimed = span_claimed_count(c->seg);
    if (first == 0)
        check_unclaimed(c, claimed);
    if (first < claimed)
        *i = skip_tails(c, first);
    while (*i < claimed) {
        *i += check_span(c, *i);
        if (*i - first >= SPANS_AT_ONCE || check_is_due(c))
            return *i < claimed ? LARDER_MORE : LARDER_OK;
    }
    return LARDER_OK;
}

/* Checks the lists of free spans, in one hold: a few nanoseconds per span. */
static int look_at_free_runs(struct check_state *c, void *at) {
    uint32_t span;
    const char *wrong = free_runs_check(c->seg, &span);
    (void)at;
    if (wrong)
        check_error(c, "heap: span %u %s", span, wrong);
    return LARDER_OK;
}

/* ---- Small spans, under their bin's lock ----------------------------------------------------- */

/* The bin of a span, or -1 if it belongs to none. */
static int64_t bin_number(const struct check_state *c, uint32_t i) {
    const struct span_shm *span = seg_span(c->seg, i);
    uint32_t arena = SHM_LOAD(&span->arena), class_index = SHM_LOAD(&span->class_index);
    return class_index < CLASS_COUNT && arena < c->seg->arena_count ? (int64_t)arena * CLASS_COUNT + class_index : -1;
}

/* The spans of a bin, as they were found before its lock was taken. */
struct small_look {
    int64_t bin;
    uint32_t at, end; /* range in `spans`: */
    const uint32_t *spans;
    uint64_t *listed; /* a bit per span: it was met in no list yet */
};

static void check_small_span(struct check_state *c, uint32_t i, uint64_t *listed) {
    const struct span_shm *span = seg_span(c->seg, i);
    uint32_t block_bytes = heap_class_bytes(SHM_LOAD(&span->class_index)), blocks = SPAN_BYTES / block_bytes, used = 0;
    int is_listed = SHM_LOAD(&span->is_listed) != 0;
    for (uint32_t word = 0; word < SPAN_BITMAP_WORDS; word++)
        for (uint64_t bits = SHM_LOAD(&span->bitmap[word]); bits; bits &= bits - 1) {
            uint32_t bit = word * 64 + (uint32_t)__builtin_ctzll(bits);
            used++;
            if (bit < blocks)
                check_reached(c, span_off(c->seg, i) + (uint64_t)bit * block_bytes);
            else
                check_error(c, "heap: span %u has block %u of %u", i, bit, blocks);
        }
    if (used != SHM_LOAD(&span->used))
        check_error(c, "heap: span %u counts %u blocks and has %u", i, SHM_LOAD(&span->used), used);
    if ((used < blocks) != is_listed)
        check_error(c, "heap: span %u with %u of %u blocks used is %s", i, used, blocks,
                    is_listed ? "listed" : "not listed");
    if (is_listed)
        listed[i / 64] |= UINT64_C(1) << i % 64;
}

static int is_small_of(const struct check_state *c, uint32_t i, int64_t bin) {
    return SHM_LOAD(&seg_span(c->seg, i)->state) == SPAN_SMALL && bin_number(c, i) == bin;
}

/* A span that changed hands before the lock was taken is empty or new: its blocks were all taken
 * since. */
static int look_at_small(struct check_state *c, void *at) {
    struct small_look *l = at;
    while (l->at < l->end) {
        uint32_t i = l->spans[l->at++];
        if (is_small_of(c, i, l->bin))
            check_small_span(c, i, l->listed);
        if (check_is_due(c) || c->candidates.capacity - c->candidates.count < SPAN_BITMAP_WORDS * 64)
            return l->at < l->end ? LARDER_MORE : LARDER_OK;
    }
    return LARDER_OK;
}

/* A span without a bin. Class and state of a span change under the span lock. */
static int look_at_strange(struct check_state *c, void *at) {
    uint32_t i = *(uint32_t *)at;
    if (SHM_LOAD(&seg_span(c->seg, i)->state) == SPAN_SMALL && bin_number(c, i) < 0)
        check_error(c, "heap: span %u is of class %u, arena %u", i, SHM_LOAD(&seg_span(c->seg, i)->class_index),
                    SHM_LOAD(&seg_span(c->seg, i)->arena));
    return LARDER_OK;
}

/* Small spans in the order of their bins; last those without a bin. Private memory. */
struct small_order {
    uint32_t bins, *bin_of; /* [spans] bins + 1: not small */
    uint32_t *spans, *end;  /* end[bin]: of the bin's part of spans */
};

static int make_order(struct check_state *c, struct small_order *o) {
    uint32_t claimed = span_claimed_count(c->seg);
    o->bins = c->seg->arena_count * CLASS_COUNT;
    o->bin_of = priv_alloc(db_priv(c->db), (claimed + 1) * sizeof *o->bin_of);
    o->spans = priv_alloc(db_priv(c->db), (claimed + 1) * sizeof *o->spans);
    o->end = priv_alloc(db_priv(c->db), (o->bins + 2) * sizeof *o->end);
    if (!o->bin_of || !o->spans || !o->end)
        return LARDER_E_NO_MEMORY;
    for (uint32_t i = 0; i < claimed; i++) {
        int64_t bin = bin_number(c, i);
        int is_small = SHM_LOAD(&seg_span(c->seg, i)->state) == SPAN_SMALL;
        o->bin_of[i] = is_small ? (bin < 0 ? o->bins : (uint32_t)bin) : o->bins + 1;
        o->end[o->bin_of[i]]++;
    }
    for (uint32_t b = 0, sum = 0; b < o->bins + 2; b++) {
        uint32_t count = o->end[b];
        o->end[b] = sum; /* the part's beginning; counted up below */
        sum += count;
    }
    for (uint32_t i = 0; i < claimed; i++)
        o->spans[o->end[o->bin_of[i]]++] = i;
    return LARDER_OK;
}

static int check_bin_spans(struct check_state *c, const struct small_order *o, uint32_t b, uint64_t *listed) {
    struct small_look l = {
        .bin = b, .at = b ? o->end[b - 1] : 0, .end = o->end[b], .spans = o->spans, .listed = listed};
    uint32_t first = l.at;
    int r = LARDER_OK;
    if (b < o->bins && first < l.end)
        r = check_look(c, &seg_bin(c->seg, b)->lock, LOCK_BIN, look_at_small, &l, sizeof l);
    for (uint32_t at = first; b == o->bins && at < l.end && r == LARDER_OK; at++) {
        uint32_t i = o->spans[at];
        r = check_look(c, &c->seg->shm->span_lock, LOCK_SPAN, look_at_strange, &i, sizeof i);
    }
    return r ? r : check_progress(c, l.end / SPANS_TO_WORK - first / SPANS_TO_WORK);
}

static int check_small_spans(struct check_state *c, uint64_t *listed) {
    struct small_order o = {.bins = 0};
    int r = make_order(c, &o);
    for (uint32_t b = 0; b <= o.bins && r == LARDER_OK; b++)
        r = check_bin_spans(c, &o, b, listed);
    priv_free(db_priv(c->db), o.bin_of);
    priv_free(db_priv(c->db), o.spans);
    priv_free(db_priv(c->db), o.end);
    return r;
}

/* ---- Lists, under their bin's lock ----------------------------------------------------------- */

struct list_look {
    uint32_t bin, at; /* at: span number + 1, 0 at the head */
    uint64_t *listed;
};

static int is_of_bin(const struct check_state *c, uint32_t number, uint32_t bin) {
    return number != 0 && number <= span_claimed_count(c->seg) &&
           SHM_LOAD(&seg_span(c->seg, number - 1)->state) == SPAN_SMALL &&
           SHM_LOAD(&seg_span(c->seg, number - 1)->is_listed) && bin_number(c, number - 1) == (int64_t)bin;
}

/* The list is a cache (P2 of heap.h), but a wrong one hands blocks out twice or not at all. */
static int look_at_list(struct check_state *c, void *at) {
    struct list_look *l = at;
    uint32_t before = l->at, next;
    if (!is_of_bin(c, before, l->bin))
        before = 0; /* it has left the list, or the walk begins: start at the head */
    next = before ? SHM_LOAD(&seg_span(c->seg, before - 1)->next) : SHM_LOAD(&seg_bin(c->seg, l->bin)->head);
    for (uint32_t links = 0; next != 0; links++) {
        if (!is_of_bin(c, next, l->bin) || SHM_LOAD(&seg_span(c->seg, next - 1)->prev) != before) {
            check_error(c, "heap: the list of bin %u goes wrong at span %u", l->bin, next - 1);
            return LARDER_OK; /* a circle returns to a span that has another predecessor */
        }
        l->listed[(next - 1) / 64] &= ~(UINT64_C(1) << (next - 1) % 64);
        before = next;
        next = SHM_LOAD(&seg_span(c->seg, next - 1)->next);
        if (c->w && links >= LINKS_AT_ONCE) {
            l->at = before;
            return LARDER_MORE;
        }
    }
    return LARDER_OK;
}

/* A listed span that was met in no list: it was put in front since, or it is in no list. */
static int look_at_missing(struct check_state *c, void *at) {
    const struct list_look *l = at;
    uint32_t number = l->at;
    if (!is_of_bin(c, number, l->bin))
        return LARDER_OK; /* it has left its list */
    for (uint32_t links = 0; links < LINKS_AT_ONCE; links++) {
        uint32_t prev = SHM_LOAD(&seg_span(c->seg, number - 1)->prev);
        if (prev == 0 && SHM_LOAD(&seg_bin(c->seg, l->bin)->head) == number)
            return LARDER_OK;
        if (!is_of_bin(c, prev, l->bin) || SHM_LOAD(&seg_span(c->seg, prev - 1)->next) != number) {
            check_error(c, "heap: span %u is marked as listed, and is in no list", l->at - 1);
            return LARDER_OK;
        }
        number = prev;
    }
    check_unjudged(c, 1);
    return LARDER_OK;
}

/* Checks the spans that were not met. If a whole list was lost, one span stands for all. */
static int check_missing(struct check_state *c, uint64_t *listed) {
    int64_t bad_bin = -1;
    for (uint32_t i = 0, claimed = span_claimed_count(c->seg); i < claimed; i++) {
        int64_t bin = listed[i / 64] >> i % 64 & 1 ? bin_number(c, i) : -1;
        struct list_look l = {.bin = (uint32_t)bin, .at = i + 1, .listed = listed};
        uint64_t errors = c->report->errors;
        if (bin < 0 || bin == bad_bin)
            continue;
        int r = check_look(c, &seg_bin(c->seg, l.bin)->lock, LOCK_BIN, look_at_missing, &l, sizeof l);
        if (r)
            return r;
        if (c->report->errors != errors)
            bad_bin = bin;
    }
    return LARDER_OK;
}

static int check_lists(struct check_state *c, uint64_t *listed) {
    for (uint32_t i = 0; i < c->seg->arena_count * CLASS_COUNT; i++) {
        struct list_look l = {.bin = i, .listed = listed};
        struct bin_shm *bin = seg_bin(c->seg, i);
        int r = LARDER_OK;
        if (SHM_LOAD(&bin->head) != 0) /* if it should not be 0, some span is missing */
            r = check_look(c, &bin->lock, LOCK_BIN, look_at_list, &l, sizeof l);
        else
            check_lock(c, &bin->lock);
        if (r)
            return r;
    }
    return check_missing(c, listed);
}

/* ---- The heap -------------------------------------------------------------------------------- */

/* Memory beyond claimed_bytes is not backed; if the word is too large, other processes store
 * there. */
static void check_claimed(struct check_state *c) {
    uint64_t claimed = SHM_LOAD(&c->seg->shm->claimed_bytes), end = span_off(c->seg, c->seg->span_count);
    if (claimed < c->seg->data_off || claimed > end || (claimed - c->seg->data_off) % SPAN_BYTES != 0)
        check_error(c, "heap: %llu bytes cannot be claimed", ull(claimed));
}

int check_heap(struct check_state *c) {
    uint32_t first = 0;
    check_claimed(c);
    uint64_t *listed = priv_alloc(db_priv(c->db), c->seg->span_count / 8 + 8);
    if (!listed)
        return LARDER_E_NO_MEMORY;
    int r = check_look(c, &c->seg->shm->span_lock, LOCK_SPAN, look_at_spans, &first, sizeof first);
    if (r == LARDER_OK)
        r = check_look(c, &c->seg->shm->span_lock, LOCK_SPAN, look_at_free_runs, &first, sizeof first);
    if (r == LARDER_OK)
        r = check_small_spans(c, listed);
    if (r == LARDER_OK)
        r = check_lists(c, listed);
    priv_free(db_priv(c->db), listed);
    return r;
}

uint64_t check_heap_work(const struct check_state *c) {
    return span_claimed_count(c->seg) / SPANS_TO_WORK;
}

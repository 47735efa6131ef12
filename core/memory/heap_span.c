/* core/memory/heap_span.c - whole spans, and the memory behind them. See heap_span.h.
 *
 * Crash    Run taken: 1 hand = block, 2 states of the tails, 3 length, 4 state of the head.
 *          Run given back: 1 tails free, 2 head free, 3 hand = 0. All under the span lock.
 *          span_rebuild() frees tails without a head and gives a head its tails again; then what is
 *          in hand was never taken, or is given back whole.
 *          Memory claimed: 1 descriptors backed, 2 spans backed, 3 damaged descriptors freed,
 *          4 claimed_bytes. Dead before 4: the next claim finds this memory backed already.
 *          A span for a bin: class and bitmap first, then the state. Dead before the bin lists it:
 *          rebuild_bin() finds it.
 * Tests    tests/unit/memory/heap_test.c, tests/crash/repair_dormant_test.c
 */
#include "core/memory/heap_span.h"
#include "core/base/err.h"
#include "core/base/wait.h"
#include "core/memory/free_runs.h"
#include "core/segment/seg_file.h"
#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>

/* A writer that moves blocks takes none of the spans that it empties. It may use what is kept for
 * bucket arrays: it gives more back. */
static int64_t take_free(const struct writer *w, uint32_t count, unsigned flags) {
    if (__builtin_expect(w->avoid_count != 0, 0))
        return free_runs_take_outside(w->seg, count, SPANS_KEPT_MIN, w->avoid_from, w->avoid_count, w->also_avoided);
    return free_runs_take(w->seg, count, span_kept_count(w->seg, flags));
}

int span_take_small(struct writer *w, uint32_t arena, uint32_t class_index, unsigned flags, uint32_t *i) {
    const struct seg *s = w->seg;
    int r = lock_take(w, &s->shm->span_lock, LOCK_SPAN);
    if (r)
        return r;
    int64_t found = take_free(w, 1, flags);
    if (found >= 0) {
        struct span_shm *span = seg_span(s, (uint32_t)found);
        for (unsigned word = 0; word < SPAN_BITMAP_WORDS; word++)
            SHM_STORE(&span->bitmap[word], 0);
        SHM_STORE(&span->used, 0);
        SHM_STORE(&span->is_listed, 0);
        SHM_STORE(&span->arena, (uint8_t)arena);
        SHM_STORE(&span->class_index, (uint8_t)class_index);
        SHM_STORE(&span->state, SPAN_SMALL);
        *i = (uint32_t)found;
    }
    lock_drop(w, &s->shm->span_lock, LOCK_SPAN);
    return found >= 0 ? LARDER_OK : LARDER_NOT_FOUND;
}

static void lower_hint(const struct seg *s, uint32_t i) {
    if (i < SHM_LOAD_RELAXED(&s->shm->span_hint))
        SHM_STORE(&s->shm->span_hint, i);
}

void span_free_locked(const struct seg *s, uint32_t i) {
    SHM_STORE(&seg_span(s, i)->state, SPAN_FREE);
    lower_hint(s, i);
    free_runs_give(s, i, 1);
}

int span_give_small(struct writer *w, uint32_t i) {
    const struct seg *s = w->seg;
    int r = lock_take(w, &s->shm->span_lock, LOCK_SPAN);
    if (r)
        return r;
    span_free_locked(s, i);
    lock_drop(w, &s->shm->span_lock, LOCK_SPAN);
    return LARDER_OK;
}

int span_take_run(struct writer *w, uint32_t count, unsigned tag, unsigned flags, shm_word *hand, uint64_t *off) {
    const struct seg *s = w->seg;
    int r = lock_take(w, &s->shm->span_lock, LOCK_SPAN);
    if (r)
        return r;
    int64_t found = take_free(w, count, flags);
    if (found >= 0) {
        uint32_t head = (uint32_t)found;
        *off = span_off(s, head);
        SHM_STORE(hand, *off | tag);
        for (uint32_t i = 1; i < count; i++)
            SHM_STORE(&seg_span(s, head + i)->state, SPAN_TAIL);
        SHM_STORE(&seg_span(s, head)->next, count);
        SHM_STORE(&seg_span(s, head)->state, SPAN_RUN);
    }
    lock_drop(w, &s->shm->span_lock, LOCK_SPAN);
    return found >= 0 ? LARDER_OK : LARDER_NOT_FOUND;
}

int span_give_run(struct writer *w, uint32_t i, shm_word *hand) {
    const struct seg *s = w->seg;
    int r = lock_take(w, &s->shm->span_lock, LOCK_SPAN);
    if (r)
        return r;
    struct span_shm *head = seg_span(s, i);
    uint32_t count = SHM_LOAD_RELAXED(&head->next);
    if (count == 0 || count > s->span_count - i || SHM_LOAD_RELAXED(&head->state) != SPAN_RUN) {
        lock_drop(w, &s->shm->span_lock, LOCK_SPAN);
        return err_set(LARDER_E_CORRUPT, "heap: a run of %u spans at span %u cannot be", count, i);
    }
    /* A give that a death cut off has freed the last ones already (see Crash). */
    for (uint32_t k = 1, is_end = 0; k < count; k++) {
        uint32_t state = SHM_LOAD_RELAXED(&seg_span(s, i + k)->state);
        is_end |= state == SPAN_FREE;
        if (state != (is_end ? SPAN_FREE : SPAN_TAIL)) {
            lock_drop(w, &s->shm->span_lock, LOCK_SPAN);
            return err_set(LARDER_E_CORRUPT, "heap: span %u belongs to the run at span %u and is in state %u", i + k, i,
                           state);
        }
    }
    for (uint32_t k = count - 1; k > 0; k--)
        SHM_STORE(&seg_span(s, i + k)->state, SPAN_FREE);
    SHM_STORE(&head->state, SPAN_FREE);
    SHM_STORE(hand, 0);
    lower_hint(s, i);
    free_runs_give(s, i, count);
    lock_drop(w, &s->shm->span_lock, LOCK_SPAN);
    return LARDER_OK;
}

void span_rebuild(const struct seg *s) {
    uint32_t claimed = span_claimed_count(s);
    SHM_STORE(&s->shm->span_hint, 0);
    for (uint32_t i = 0; i < claimed; i++) {
        struct span_shm *span = seg_span(s, i);
        uint32_t state = SHM_LOAD_RELAXED(&span->state);
        if (state == SPAN_TAIL) /* the tails of a head are skipped below */
            SHM_STORE(&span->state, SPAN_FREE);
        if (state != SPAN_RUN)
            continue;
        uint32_t count = SHM_LOAD_RELAXED(&span->next);
        for (uint32_t k = 1; k < count && i + k < claimed; k++)
            SHM_STORE(&seg_span(s, i + k)->state, SPAN_TAIL);
        i += count > 0 ? count - 1 : 0;
    }
    free_runs_rebuild(s);
}

/* ---- Memory from the kernel ------------------------------------------------------------------ */

/* Counting takes milliseconds in a large segment, and a full cache refuses calls again and again.
 * So it takes at most one part in so many of a writer's time, and numbers that are not of this
 * moment are given with their age. */
#define FULL_COUNT_SHARE 8u

/* After the kernel refused a claim ahead, this many are not tried: a refusal costs as much as
 * several puts. */
#define CLAIMS_SKIPPED 64u

/* Counts into w->full_..., unless it did so a moment ago. True: it counted just now. */
static int count_for_message(struct writer *w) {
    struct heap_totals t;
    uint64_t began_ns = wait_now_ns();
    if (w->full_counted_ns != 0 && began_ns - w->full_counted_ns <= w->full_count_ns * FULL_COUNT_SHARE)
        return 0;
    heap_totals(w->seg, &t);
    w->full_counted_ns = wait_now_ns();
    w->full_count_ns = w->full_counted_ns - began_ns;
    w->full_used_bytes = t.used_bytes;
    w->full_free_bytes = t.free_bytes;
    w->full_run_bytes = t.largest_free_run_bytes;
    return 1;
}

/* There was no run of so many bytes, and the count has just found one. It was given back a moment
 * ago; or it is kept for bucket arrays; or the lists lack it, as after an older library wrote (rule
 * F3): then they are made again. LARDER_OK: try again; LARDER_E_FULL, LARDER_E_BUSY. */
static int look_again(struct writer *w, uint64_t bytes) {
    const struct seg *s = w->seg;
    uint32_t count = (uint32_t)(bytes / SPAN_BYTES);
    int r = lock_take(w, &w->seg->shm->span_lock, LOCK_SPAN);
    if (r)
        return r;
    if (!free_runs_has(s, count))
        free_runs_rebuild(s);
    int is_kept = free_runs_count(s) < count + span_kept_count(s, 0);
    lock_drop(w, &w->seg->shm->span_lock, LOCK_SPAN);
    return is_kept ? LARDER_E_FULL : LARDER_OK;
}

/* Why there is no memory, and what to do. */
struct lack {
    const char *cause, *remedy;
};
static const struct lack lack_of_segment = {"the segment is full",
                                            "delete items or make it larger: options.size_bytes, larder create --size"};
static const struct lack lack_of_filesystem = {"the filesystem or a memory limit of the segment has no room",
                                               "free some"};

/* Names the blocks that may serve so many bytes: P3 of core/memory/heap.h. */
static void describe_blocks(uint64_t bytes, char *text, size_t text_bytes) {
    uint64_t least = heap_round(bytes, 0), most = heap_round_most(bytes, 0);
    if (least >= SPAN_BYTES)
        snprintf(text, text_bytes, "runs of %llu", (unsigned long long)least);
    else if (least == most)
        snprintf(text, text_bytes, "blocks of %llu", (unsigned long long)least);
    else
        snprintf(text, text_bytes, "blocks of %llu to %llu", (unsigned long long)least, (unsigned long long)most);
}

/* How old the numbers are, rounded up. */
static void describe_age(const struct writer *w, char *text, size_t text_bytes) {
    uint64_t tenths = (wait_now_ns() - w->full_counted_ns + 99999) / 100000; /* of a millisecond */
    snprintf(text, text_bytes, " %llu.%llu ms ago", (unsigned long long)tenths / 10, (unsigned long long)tenths % 10);
}

/* `bytes` is what the missing spans have. If heap_take() asked for them, its block has less. */
static int full(struct writer *w, uint64_t bytes, const struct lack *why) {
    uint64_t asked = bytes == w->need_bytes && w->asked_bytes != 0 ? w->asked_bytes : bytes;
    int is_now = count_for_message(w);
    int r = is_now && w->full_run_bytes >= bytes ? look_again(w, bytes) : LARDER_E_FULL;
    if (r != LARDER_E_FULL)
        return r;
    char from[48], age[32] = "";
    describe_blocks(asked, from, sizeof from);
    if (!is_now)
        describe_age(w, age, sizeof age);
    return err_set(LARDER_E_FULL,
                   "%s: %llu bytes asked; of %llu, %llu %s in use and %llu free%s (longest run %llu; %llu kept for "
                   "bucket arrays); %s would do; %s",
                   why->cause, (unsigned long long)asked, (unsigned long long)w->seg->bytes,
                   (unsigned long long)w->full_used_bytes, is_now ? "are" : "were",
                   (unsigned long long)w->full_free_bytes, age, (unsigned long long)w->full_run_bytes,
                   (unsigned long long)span_kept_count(w->seg, 0) * SPAN_BYTES, from, why->remedy);
}

/* Backs [from, to) of the file with memory. Can be repeated: what is backed stays as it is.
 * LARDER_E_FULL has no message. */
static int back_with_memory(struct writer *w, uint64_t from, uint64_t to) {
    const struct seg *s = w->seg;
    if (!seg_fd_is_ours(s))
        return LARDER_E_OS;
    /* fallocate() ignores the advice on the mapping and would take small pages. Memory that is
     * touched first comes in huge ones. Where it runs out, madvise() stops without SIGBUS, and
     * fallocate() reports it. */
    if (s->wants_huge_pages)
        (void)madvise(s->base + from, to - from, MADV_POPULATE_WRITE);
    if (seg_file_back(s->fd, from, to - from) == 0)
        return LARDER_OK;
    if (errno == ENOSPC || errno == ENOMEM || errno == EDQUOT)
        return LARDER_E_FULL;
    return err_set_errno("fallocate", "the segment");
}

/* Backs the spans in [from, to) with memory; before them their descriptors (G2 of
 * core/segment/seg.h). */
static int back_spans(struct writer *w, uint64_t from, uint64_t to) {
    uint64_t first = seg_descriptors_end(w->seg, from), end = seg_descriptors_end(w->seg, to);
    int r = first < end ? back_with_memory(w, first, end) : LARDER_OK;
    return r ? r : back_with_memory(w, from, to);
}

/* Bytes of free spans at the end of what is claimed, at most `most`: a run may begin there. */
static uint64_t free_tail(const struct seg *s, uint64_t most) {
    uint64_t bytes = 0;
    for (uint32_t i = span_claimed_count(s); i > 0 && bytes < most && SHM_LOAD(&seg_span(s, i - 1)->state) == SPAN_FREE;
         i--)
        bytes += SPAN_BYTES;
    return bytes;
}

/* Whether the descriptor of span i may be one of a span in use. */
static int may_be_used(const struct seg *s, uint32_t i) {
    const struct span_shm *span = seg_span(s, i);
    uint32_t state = SHM_LOAD_RELAXED(&span->state), count = SHM_LOAD_RELAXED(&span->next);
    if (state == SPAN_SMALL)
        return SHM_LOAD_RELAXED(&span->class_index) < CLASS_COUNT && span_blocks_used(span) != 0;
    if (state == SPAN_RUN)
        return count != 0 && count <= s->span_count - i;
    uint32_t before = state == SPAN_TAIL && i > 0 ? SHM_LOAD_RELAXED(&seg_span(s, i - 1)->state) : SPAN_FREE;
    return before == SPAN_RUN || before == SPAN_TAIL;
}

/* Frees spans that were not claimed yet. Another state than FREE is damage that lay unseen until
 * now. A span that may be in use stays: then claimed_bytes was damaged, and a span in use must not
 * be given to another. */
static void free_unclaimed(const struct seg *s, uint32_t from, uint32_t to) {
    for (uint32_t i = from; i < to; i++)
        if (SHM_LOAD_RELAXED(&seg_span(s, i)->state) != SPAN_FREE && !may_be_used(s, i))
            SHM_STORE(&seg_span(s, i)->state, SPAN_FREE);
}

/* [from, to) is backed: now its spans are free for every writer. */
static int publish_claim(struct writer *w, uint64_t from, uint64_t to) {
    const struct seg *s = w->seg;
    int r = lock_take(w, &s->shm->span_lock, LOCK_SPAN);
    if (r)
        return r;
    if (SHM_LOAD(&s->shm->claimed_bytes) == from) { /* else another writer claimed: as good */
        uint32_t before = span_claimed_count(s);
        free_unclaimed(s, before, (uint32_t)((to - s->data_off) / SPAN_BYTES));
        SHM_STORE(&s->shm->claimed_bytes, to);
        free_runs_grow(s, before);
    }
    lock_drop(w, &s->shm->span_lock, LOCK_SPAN);
    return LARDER_OK;
}

/* heap_claim() without the message of LARDER_E_FULL, of which *why is a part. */
static int claim(struct writer *w, uint64_t bytes, const struct lack **why) {
    const struct seg *s = w->seg;
    uint64_t end = span_off(s, s->span_count), from = SHM_LOAD(&s->shm->claimed_bytes);
    uint64_t least = from + (bytes + SPAN_BYTES - 1) / SPAN_BYTES * SPAN_BYTES;
    *why = &lack_of_segment;
    if (least > end)
        least -= free_tail(s, bytes);
    if (least > end || from >= end)
        return LARDER_E_FULL;
    uint64_t to = from + CLAIM_BYTES < least ? least : from + CLAIM_BYTES;
    if (to > end)
        to = end;
    *why = &lack_of_filesystem;
    int r = back_spans(w, from, to);
    if (r == LARDER_E_FULL && to > least) {
        to = least;
        r = back_spans(w, from, to);
    }
    return r ? r : publish_claim(w, from, to);
}

int heap_claim(struct writer *w, uint64_t bytes) {
    const struct lack *why;
    int r = bytes ? claim(w, bytes, &why) : LARDER_OK;
    return r == LARDER_E_FULL ? full(w, bytes, why) : r;
}

int heap_is_used_up(const struct writer *w) {
    const struct seg *s = w->seg;
    return w->is_short || w->claims_to_skip > 0 || SHM_LOAD(&s->shm->claimed_bytes) >= span_off(s, s->span_count);
}

void heap_claim_ahead(struct writer *w, uint64_t bytes) {
    const struct seg *s = w->seg;
    const struct lack *why;
    uint64_t needed = bytes + (uint64_t)span_kept_count(s, 0) * SPAN_BYTES;
    if (SHM_LOAD(&s->shm->claimed_bytes) >= span_off(s, s->span_count) ||
        (uint64_t)free_runs_count(s) * SPAN_BYTES >= needed)
        return;
    if (w->claims_to_skip > 0)
        w->claims_to_skip--;
    else if (claim(w, bytes, &why) == LARDER_E_FULL)
        /* no error: the call that needs the memory reports it, unless it finds some in use
         * before */
        w->claims_to_skip = CLAIMS_SKIPPED;
}

static void count_small(const struct span_shm *span, struct heap_totals *out) {
    uint32_t class_index = SHM_LOAD_RELAXED(&span->class_index), used = 0;
    if (class_index >= CLASS_COUNT)
        return;
    for (unsigned word = 0; word < SPAN_BITMAP_WORDS; word++)
        used += (uint32_t)__builtin_popcountll(SHM_LOAD_RELAXED(&span->bitmap[word]));
    uint32_t blocks = SPAN_BYTES / heap_class_bytes(class_index);
    if (used > blocks) /* a damaged bitmap */
        used = blocks;
    struct larder_class_stats *c = &out->classes[class_index];
    c->spans++;
    c->blocks_used += used;
    c->blocks_free += used < blocks ? blocks - used : 0;
    out->used_bytes += (uint64_t)used * heap_class_bytes(class_index);
    out->free_bytes += SPAN_BYTES - (uint64_t)used * heap_class_bytes(class_index);
}

void heap_totals(const struct seg *s, struct heap_totals *out) {
    memset(out, 0, sizeof *out);
    for (uint32_t c = 0; c < CLASS_COUNT; c++)
        out->classes[c].block_bytes = heap_class_bytes(c);
    uint32_t claimed = span_claimed_count(s);
    uint64_t in_row = 0;
    for (uint32_t i = 0; i < claimed; i++) {
        const struct span_shm *span = seg_span(s, i);
        uint32_t state = SHM_LOAD_RELAXED(&span->state);
        in_row = state == SPAN_FREE ? in_row + SPAN_BYTES : 0;
        if (in_row > out->largest_free_run_bytes)
            out->largest_free_run_bytes = in_row;
        if (state == SPAN_SMALL)
            count_small(span, out);
        else if (state == SPAN_FREE)
            out->free_bytes += SPAN_BYTES;
        else {
            out->used_bytes += SPAN_BYTES;
            out->classes[CLASS_COUNT].spans++;
            out->classes[CLASS_COUNT].blocks_used += state == SPAN_RUN;
        }
    }
}

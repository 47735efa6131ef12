/* core/heap_span.c - whole spans, and the memory behind them. See heap_span.h.
 *
 * Crash    Run taken: 1 hand = block, 2 states of the tails, 3 length, 4 state of the head. Given back: 1 tails free, 2 head free,
 *          3 hand = 0. All under the span lock; span_rebuild() frees tails without a head and gives a head its tails again,
 *          and whatever is in hand is then given back whole or was never taken.
 *          Memory claimed: 1 descriptors backed, 2 spans backed, 3 claimed_bytes. Dead before 3: memory that the next claim finds
 *          backed already.
 *          A span for a bin: class and bitmap first, then the state; dead before the bin lists it: rebuild_bin() finds it.
 */
#include "core/heap_span.h"
#include "core/err.h"
#include "core/seg_file.h"
#include <errno.h>
#include <sys/mman.h>
#include <time.h>

uint32_t span_claimed_count(const struct seg *s) {
    uint64_t claimed = SHM_LOAD(&s->shm->claimed_bytes);
    if (claimed <= s->data_off)
        return 0;
    uint64_t count = (claimed - s->data_off) / SPAN_BYTES;
    return count < s->span_count ? (uint32_t)count : s->span_count;
}

/* The first of `count` free spans in a row, or -1. Moves the hint up to the first free span it saw. */
static int64_t find_free(const struct seg *s, uint32_t count) {
    uint32_t claimed = span_claimed_count(s), in_row = 0, hint = SHM_LOAD_RELAXED(&s->shm->span_hint);
    int has_hint = 0;
    for (uint32_t i = hint; i < claimed; i++) {
        if (SHM_LOAD_RELAXED(&seg_span(s, i)->state) != SPAN_FREE) {
            in_row = 0;
            continue;
        }
        if (!has_hint && i != hint)
            SHM_STORE(&s->shm->span_hint, i);
        has_hint = 1;
        if (++in_row == count)
            return i + 1 - count;
    }
    if (!has_hint && hint < claimed)
        SHM_STORE(&s->shm->span_hint, claimed);
    return -1;
}

static int need_more(struct writer *w, uint64_t bytes) {
    w->need_bytes = bytes;
    return LARDER_E_RETRY;
}

int span_take_small(struct writer *w, uint32_t arena, uint32_t class_index, uint32_t *i) {
    const struct seg *s = w->seg;
    int r = lock_take(w, &s->shm->span_lock, LOCK_SPAN);
    if (r)
        return r;
    int64_t found = find_free(s, 1);
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
    return found >= 0 ? LARDER_OK : need_more(w, SPAN_BYTES);
}

static void lower_hint(const struct seg *s, uint32_t i) {
    if (i < SHM_LOAD_RELAXED(&s->shm->span_hint))
        SHM_STORE(&s->shm->span_hint, i);
}

int span_give_small(struct writer *w, uint32_t i) {
    const struct seg *s = w->seg;
    int r = lock_take(w, &s->shm->span_lock, LOCK_SPAN);
    if (r)
        return r;
    SHM_STORE(&seg_span(s, i)->state, SPAN_FREE);
    lower_hint(s, i);
    lock_drop(w, &s->shm->span_lock, LOCK_SPAN);
    return LARDER_OK;
}

int span_take_run(struct writer *w, uint32_t count, unsigned tag, shm_word *hand, uint64_t *off) {
    const struct seg *s = w->seg;
    int r = lock_take(w, &s->shm->span_lock, LOCK_SPAN);
    if (r)
        return r;
    int64_t found = find_free(s, count);
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
    return found >= 0 ? LARDER_OK : need_more(w, (uint64_t)count * SPAN_BYTES);
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
    /* Those of a give that a death cut off are free already: the last ones (see Crash). */
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
    lock_drop(w, &s->shm->span_lock, LOCK_SPAN);
    return LARDER_OK;
}

void span_rebuild(const struct seg *s) {
    uint32_t claimed = span_claimed_count(s);
    SHM_STORE(&s->shm->span_hint, 0);
    for (uint32_t i = 0; i < claimed; i++) {
        struct span_shm *span = seg_span(s, i);
        uint32_t state = SHM_LOAD_RELAXED(&span->state);
        if (state == SPAN_TAIL) /* tails of a head are skipped below */
            SHM_STORE(&span->state, SPAN_FREE);
        if (state != SPAN_RUN)
            continue;
        uint32_t count = SHM_LOAD_RELAXED(&span->next);
        for (uint32_t k = 1; k < count && i + k < claimed; k++)
            SHM_STORE(&seg_span(s, i + k)->state, SPAN_TAIL);
        i += count > 0 ? count - 1 : 0;
    }
}

/* ---- Memory from the kernel --------------------------------------------------------------------------------------------- */

/* Counting takes milliseconds in a large segment, and a full cache is told so again and again: the numbers may be a little old. */
#define FULL_COUNT_EVERY_NS 100000000u

static int full(struct writer *w, uint64_t bytes, const char *why) {
    const struct seg *s = w->seg;
    struct heap_totals t;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    uint64_t now_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    if (w->full_counted_ns == 0 || now_ns - w->full_counted_ns > FULL_COUNT_EVERY_NS) {
        heap_totals(s, &t);
        w->full_counted_ns = now_ns;
        w->full_used_bytes = t.used_bytes;
        w->full_free_bytes = t.free_bytes;
        w->full_run_bytes = t.largest_free_run_bytes;
    }
    return err_set(
        LARDER_FULL,
        "%s: %llu bytes asked; of %llu, %llu are in use and %llu free (longest free run %llu); items that expire "
        "or are deleted make room",
        why, (unsigned long long)bytes, (unsigned long long)s->bytes, (unsigned long long)w->full_used_bytes,
        (unsigned long long)w->full_free_bytes, (unsigned long long)w->full_run_bytes);
}

/* Backs [from, to) of the file with memory. Repeatable: what is backed already stays as it is. */
static int back_with_memory(struct writer *w, uint64_t from, uint64_t to) {
    const struct seg *s = w->seg;
    if (!seg_fd_is_ours(s))
        return LARDER_E_OS;
    /* fallocate() knows nothing of the advice on the mapping and would take small pages; touched first, it comes in huge ones.
     * Where memory runs out this stops without SIGBUS, and fallocate() says so. */
    if (s->wants_huge_pages)
        (void)madvise(s->base + from, to - from, MADV_POPULATE_WRITE);
    if (seg_file_back(s->fd, from, to - from) == 0)
        return LARDER_OK;
    if (errno == ENOSPC || errno == ENOMEM || errno == EDQUOT)
        return full(w, to - from, "the filesystem or a memory limit of the segment has no room");
    return err_set_errno("fallocate", "the segment");
}

/* Backs the spans in [from, to) with memory, and before them their descriptors (G2 of core/seg.h). */
static int back_spans(struct writer *w, uint64_t from, uint64_t to) {
    uint64_t first = seg_descriptors_end(w->seg, from), end = seg_descriptors_end(w->seg, to);
    int r = first < end ? back_with_memory(w, first, end) : LARDER_OK;
    return r ? r : back_with_memory(w, from, to);
}

/* Bytes of free spans at the end of what is claimed: a run may begin there. At most `most`. */
static uint64_t free_tail(const struct seg *s, uint64_t most) {
    uint64_t bytes = 0;
    for (uint32_t i = span_claimed_count(s); i > 0 && bytes < most && SHM_LOAD(&seg_span(s, i - 1)->state) == SPAN_FREE;
         i--)
        bytes += SPAN_BYTES;
    return bytes;
}

int heap_claim(struct writer *w, uint64_t bytes) {
    const struct seg *s = w->seg;
    uint64_t end = span_off(s, s->span_count), from = SHM_LOAD(&s->shm->claimed_bytes);
    if (bytes == 0)
        return LARDER_OK;
    uint64_t least = from + (bytes + SPAN_BYTES - 1) / SPAN_BYTES * SPAN_BYTES;
    if (least > end)
        least -= free_tail(s, bytes);
    if (least > end || from >= end)
        return full(w, bytes, "the segment is full");
    uint64_t to = from + CLAIM_BYTES < least ? least : from + CLAIM_BYTES;
    if (to > end)
        to = end;
    int r = back_spans(w, from, to);
    if (r == LARDER_FULL && to > least) {
        to = least;
        r = back_spans(w, from, to);
    }
    if (r)
        return r;
    r = lock_take(w, &w->seg->shm->span_lock, LOCK_SPAN);
    if (r)
        return r;
    if (SHM_LOAD(&s->shm->claimed_bytes) == from) /* else another claimed meanwhile: as good */
        SHM_STORE(&w->seg->shm->claimed_bytes, to);
    lock_drop(w, &w->seg->shm->span_lock, LOCK_SPAN);
    return LARDER_OK;
}

void heap_claim_ahead(struct writer *w, uint64_t bytes) {
    const struct seg *s = w->seg;
    uint64_t first_free = span_off(s, SHM_LOAD_RELAXED(&s->shm->span_hint)), claimed = SHM_LOAD(&s->shm->claimed_bytes);
    if (first_free + bytes > claimed && claimed < span_off(s, s->span_count))
        (void)heap_claim(w, bytes); /* if it fails the call that needs the memory says so */
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

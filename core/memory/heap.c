/* core/memory/heap.c - blocks of size classes, cut from spans by bitmap. See heap.h.
 *
 * Crash    heap_take: 1 hand[i] = block, 2 bit = 1, 3 used, list.
 *          heap_give: 1 bit = 0, 2 hand[i] = 0, 3 used, list, span back.
 *          Both all under the bin's lock. Dead in between: the bin's lock is still held in the dead
 *          slot's name, so no other writer took the block. heap_recover_lock() forgets blocks in
 *          hand with a clear bit (not taken yet, or given back already), recounts `used`, builds
 *          the list again, and only then drops the lock. After that every block in hand has its bit
 *          set. Runs of spans: the same, with the head's state as the bit.
 */
#include "core/memory/heap.h"
#include "core/base/debug.h"
#include "core/base/err.h"
#include "core/base/swap.h"
#include "core/memory/free_runs.h"
#include "core/memory/heap_span.h"
#include "core/segment/seg.h"

/* Eight classes per doubling up to 1 KiB. Above, the multiples of a cache line that cut a span into
 * 15, 14, .. blocks. Many classes lose little by rounding, and P3 keeps their blocks in use. */
static const uint16_t class_bytes[CLASS_COUNT] = {48,   64,   80,   96,   112,  128,  144,  160,  176,  192,  208,
                                                  224,  240,  256,  288,  320,  352,  384,  416,  448,  480,  512,
                                                  576,  640,  704,  768,  832,  896,  960,  1024, 1088, 1152, 1216,
                                                  1344, 1472, 1600, 1792, 2048, 2304, 2688, 3264, 4096, 5440, 8192};
#define CLASS_BYTES_MAX 8192u
_Static_assert(SPAN_BYTES / 48 <= SPAN_BITMAP_WORDS * 64, "the bitmap covers a span of the smallest blocks");

#if LARDER_CRASH_POINTS
/* tests: when it reaches 0, heap_take() finds the segment full */
_Atomic int64_t heap_test_takes_left = -1;
static int test_says_full(void) {
    if (atomic_load(&heap_test_takes_left) < 0)
        return 0;
    return atomic_load(&heap_test_takes_left) == 0 || atomic_fetch_sub(&heap_test_takes_left, 1) == 0;
}
#else
static int test_says_full(void) {
    return 0;
}
#endif

uint32_t heap_class_bytes(uint32_t class_index) {
    return class_bytes[class_index];
}

/* The first class of at least so many bytes. Up to 1 KiB the classes are in even steps. */
static inline uint32_t class_from(uint64_t bytes) {
    uint32_t low = 29, high = CLASS_COUNT - 1;
    if (bytes <= 256)
        return bytes <= 48 ? 0 : (uint32_t)(bytes - 48 + 15) / 16;
    if (bytes <= 512)
        return 13 + (uint32_t)(bytes - 256 + 31) / 32;
    if (bytes <= 1024)
        return 21 + (uint32_t)(bytes - 512 + 63) / 64;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (class_bytes[middle] < bytes)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static inline uint32_t class_of(uint64_t bytes, unsigned flags) {
    uint32_t low = class_from(bytes);
    if (flags & HEAP_LINE)
        while (class_bytes[low] % 64 != 0) /* ends: the last class is a multiple of 64 */
            low++;
    return low;
}

uint64_t heap_round(uint64_t bytes, unsigned flags) {
    if (bytes > CLASS_BYTES_MAX)
        return (bytes + SPAN_BYTES - 1) / SPAN_BYTES * SPAN_BYTES;
    return class_bytes[class_of(bytes, flags)];
}

/* P3: whether a block of this class is a usual loan for `bytes`. */
static int may_lend(uint32_t class_index, uint64_t bytes) {
    return class_index < CLASS_COUNT && class_bytes[class_index] <= bytes + bytes / 2;
}

uint64_t heap_round_most(uint64_t bytes, unsigned flags) {
    if (bytes > CLASS_BYTES_MAX || (flags & HEAP_LINE))
        return heap_round(bytes, flags);
    return CLASS_BYTES_MAX;
}

static struct bin_shm *bin_of(const struct seg *s, const struct span_shm *span) {
    uint32_t arena = SHM_LOAD_RELAXED(&span->arena), class_index = SHM_LOAD_RELAXED(&span->class_index);
    return arena < s->arena_count && class_index < CLASS_COUNT ? seg_bin(s, arena * CLASS_COUNT + class_index) : NULL;
}

/* ---- A bin's list of spans with free blocks: a cache, under the bin's lock ------------------- */

static struct span_shm *span_numbered(const struct seg *s, uint32_t number) {
    return number != 0 && number <= s->span_count ? seg_span(s, number - 1) : NULL;
}

static void list_push(const struct seg *s, struct bin_shm *bin, uint32_t i) {
    struct span_shm *span = seg_span(s, i), *head = span_numbered(s, SHM_LOAD_RELAXED(&bin->head));
    SHM_STORE(&span->next, SHM_LOAD_RELAXED(&bin->head));
    SHM_STORE(&span->prev, 0);
    SHM_STORE(&span->is_listed, 1);
    if (head)
        SHM_STORE(&head->prev, i + 1);
    SHM_STORE(&bin->head, i + 1);
}

static void list_remove(const struct seg *s, struct bin_shm *bin, struct span_shm *span) {
    uint32_t next = SHM_LOAD_RELAXED(&span->next), prev = SHM_LOAD_RELAXED(&span->prev);
    struct span_shm *after = span_numbered(s, next), *before = span_numbered(s, prev);
    if (after)
        SHM_STORE(&after->prev, prev);
    if (before)
        SHM_STORE(&before->next, next);
    else
        SHM_STORE(&bin->head, next);
    SHM_STORE(&span->is_listed, 0);
}

/* Number + 1 of the bin's first span if all its blocks are free, else 0. The list has no other such
 * span: an empty one is given back as soon as there are two spans; if it cannot be, it becomes the
 * first (give_empty). A guess without the bin's lock. */
static uint32_t empty_head(const struct seg *s, const struct bin_shm *bin) {
    uint32_t head = SHM_LOAD_RELAXED(&bin->head);
    const struct span_shm *span = head <= span_claimed_count(s) ? span_numbered(s, head) : NULL;
    return span && SHM_LOAD_RELAXED(&span->used) == 0 ? head : 0;
}

/* Gives a listed span without blocks back to the pool. If that fails it becomes the first of the
 * list. */
static int give_empty(struct writer *w, struct bin_shm *bin, uint32_t i) {
    struct span_shm *span = seg_span(w->seg, i);
    if (SHM_LOAD_RELAXED(&span->state) != SPAN_SMALL || bin_of(w->seg, span) != bin || span_blocks_used(span) != 0)
        return err_set(LARDER_E_CORRUPT, "heap: span %u is listed without blocks and has some", i);
    list_remove(w->seg, bin, span);
    int r = span_give_small(w, i);
    if (r)
        list_push(w->seg, bin, i);
    return r;
}

/* ---- Taking ---------------------------------------------------------------------------------- */

/* What heap_take() was asked for. */
struct taking {
    shm_word *hand;      /* the place in slot.hand[] for the block */
    unsigned tag, flags; /* of heap_take() */
    uint64_t *off;
};

static uint32_t own_arena(const struct writer *w) {
    return w->id % w->seg->arena_count;
}

/* A free place in slot.hand[]. To need more than SLOT_HAND of them is a mistake of ours. */
static shm_word *free_hand(struct writer *w) {
    for (unsigned i = 0; i < SLOT_HAND; i++)
        if (SHM_LOAD_RELAXED(&w->slot->hand[i]) == 0)
            return &w->slot->hand[i];
    DEBUG_ASSERT(!"slot.hand is full");
    return NULL;
}

/* The first free block of a span that has one. -1: a damaged segment, it has none. */
static int first_free(const struct span_shm *span, uint32_t blocks) {
    for (uint32_t word = 0; word * 64 < blocks; word++) {
        uint64_t taken = SHM_LOAD_RELAXED(&span->bitmap[word]);
        if (~taken != 0) {
            uint32_t bit = word * 64 + (uint32_t)__builtin_ctzll(~taken);
            return bit < blocks ? (int)bit : -1;
        }
    }
    return -1;
}

/* Takes the first free block of the bin's first span. LARDER_OK; LARDER_NOT_FOUND: no span is
 * listed; LARDER_E_CORRUPT. */
static inline __attribute__((always_inline)) int take_listed(struct writer *w, struct bin_shm *bin,
                                                             uint32_t class_index, const struct taking *t) {
    const struct seg *s = w->seg;
    uint32_t number = SHM_LOAD_RELAXED(&bin->head), blocks = SPAN_BYTES / class_bytes[class_index];
    if (number == 0)
        return LARDER_NOT_FOUND;
    struct span_shm *span = number <= span_claimed_count(s) ? span_numbered(s, number) : NULL;
    int is_ours = span && SHM_LOAD_RELAXED(&span->state) == SPAN_SMALL && bin_of(s, span) == bin;
    int bit = is_ours ? first_free(span, blocks) : -1;
    if (bit < 0)
        return err_set(LARDER_E_CORRUPT, "heap: span %u is listed with free blocks and has none", number - 1);
    uint64_t off = *t->off = span_off(s, number - 1) + (uint64_t)bit * class_bytes[class_index];
    shm_word *word = &span->bitmap[bit / 64];
    SHM_IN_ORDER(bit_before_hand, SHM_STORE(t->hand, off | t->tag),
                 SHM_STORE(word, SHM_LOAD_RELAXED(word) | UINT64_C(1) << (bit % 64)));
    uint32_t used = SHM_LOAD_RELAXED(&span->used) + 1u;
    SHM_STORE(&span->used, (uint16_t)used);
    if (used >= blocks)
        list_remove(s, bin, span);
    return LARDER_OK;
}

/* Takes from the writer's own bin, which gets a free span if none is listed. LARDER_NOT_FOUND: no
 * span is free either. */
static inline __attribute__((always_inline)) int take_own_locked(struct writer *w, struct bin_shm *bin,
                                                                 uint32_t class_index, const struct taking *t) {
    if (SHM_LOAD_RELAXED(&bin->head) == 0) {
        uint32_t i;
        int r = span_take_small(w, own_arena(w), class_index, t->flags, &i);
        if (r)
            return r;
        list_push(w->seg, bin, i);
    }
    return take_listed(w, bin, class_index, t);
}

/* Whether a bin has free blocks in more than one span: more than its own class is likely to take
 * soon. A guess, without its lock. */
static int has_plenty(const struct seg *s, const struct bin_shm *bin) {
    const struct span_shm *span = span_numbered(s, SHM_LOAD_RELAXED(&bin->head));
    return span && SHM_LOAD_RELAXED(&span->next) != 0;
}

/* The class to take a block from: its own; or, if that needs another span, a slightly larger one
 * that has plenty (P3). */
static uint32_t class_with_room(const struct seg *s, uint32_t arena, uint64_t bytes, uint32_t own, unsigned flags) {
    if ((flags & HEAP_LINE) || SHM_LOAD_RELAXED(&seg_bin(s, arena * CLASS_COUNT + own)->head) != 0)
        return own;
    for (uint32_t i = own + 1; may_lend(i, bytes); i++)
        if (has_plenty(s, seg_bin(s, arena * CLASS_COUNT + i)))
            return i;
    return own;
}

static inline __attribute__((always_inline)) int take_own(struct writer *w, uint32_t class_index,
                                                          const struct taking *t) {
    struct bin_shm *bin = seg_bin(w->seg, own_arena(w) * CLASS_COUNT + class_index);
    int r = lock_take(w, &bin->lock, LOCK_BIN);
    if (r)
        return r;
    r = take_own_locked(w, bin, class_index, t);
    lock_drop(w, &bin->lock, LOCK_BIN);
    return r;
}

/* ---- Taking from the bins of other arenas, and loans of all of them --------------------------
 *
 * A writer that has no block of its own size, and finds no free span, takes a block wherever there
 * is one. It guesses without locks what a bin has; the lock decides. It passes by bins that others
 * hold, and waits for them only if nothing else is left: their owners may be stopped, or dead with
 * free blocks behind them. */

/* P3: the class of the size, or a usual loan. */
static int may_serve(uint32_t class_index, uint64_t bytes, uint32_t own, const struct taking *t) {
    return class_index == own || (!(t->flags & HEAP_LINE) && may_lend(class_index, bytes));
}

/* LARDER_NOT_FOUND: the bin has no free block. LARDER_E_BUSY: another writer has its lock; with
 * is_waiting, after the writer's time limit. */
static __attribute__((noinline)) int take_from(struct writer *w, uint32_t bin_number, int is_waiting,
                                               const struct taking *t) {
    struct bin_shm *bin = seg_bin(w->seg, bin_number);
    if (SHM_LOAD_RELAXED(&bin->head) == 0)
        return LARDER_NOT_FOUND;
    int r = is_waiting ? lock_take(w, &bin->lock, LOCK_BIN) : lock_try(w, &bin->lock, LOCK_BIN);
    if (r)
        return r;
    r = take_listed(w, bin, bin_number % CLASS_COUNT, t);
    lock_drop(w, &bin->lock, LOCK_BIN);
    return r;
}

/* Tries the bins of a class in all arenas, from the own one on. Results as those of take_from();
 * LARDER_E_BUSY: only locked bins are left. */
static int take_class(struct writer *w, uint32_t class_index, int is_waiting, const struct taking *t, uint32_t *found) {
    uint32_t arenas = w->seg->arena_count;
    int result = LARDER_NOT_FOUND;
    for (uint32_t k = 0; k < arenas; k++) {
        uint32_t number = (own_arena(w) + k) % arenas * CLASS_COUNT + class_index;
        int r = take_from(w, number, is_waiting, t);
        if (r == LARDER_OK && found)
            *found = number + 1;
        if (r == LARDER_E_BUSY)
            result = r;
        else if (r != LARDER_NOT_FOUND)
            return r;
    }
    return result;
}

/* The own class, then usual loans, smallest first. As take_class(). */
static int take_from_any(struct writer *w, uint64_t bytes, uint32_t own, int is_waiting, const struct taking *t) {
    int result = LARDER_NOT_FOUND;
    for (uint32_t i = own; may_serve(i, bytes, own, t); i++) {
        uint32_t found = 0;
        int r = take_class(w, i, is_waiting, t, &found);
        if (r == LARDER_OK)
            w->found_in[own] = (uint16_t)found;
        if (r == LARDER_E_BUSY)
            result = r;
        else if (r != LARDER_NOT_FOUND)
            return r;
    }
    return result;
}
_Static_assert(SEG_ARENAS_MAX *CLASS_COUNT < UINT16_MAX, "found_in has room for the number of a bin");

/* P3, the last resort: the smallest free block of any larger class. Its place is not remembered:
 * the next take looks for a block that fits. A repair takes it at once, having nothing to make room
 * of. */
static int take_larger(struct writer *w, uint32_t own, const struct taking *t) {
    int is_short = w->is_short || SHM_LOAD(&w->seg->shm->state) == SEG_STATE_REPAIRING;
    int result = LARDER_E_BUSY;
    if (!is_short || (t->flags & HEAP_LINE))
        return LARDER_NOT_FOUND;
    for (int is_waiting = 0; is_waiting < 2 && result == LARDER_E_BUSY; is_waiting++) {
        result = LARDER_NOT_FOUND;
        for (uint32_t i = own + 1; i < CLASS_COUNT; i++) {
            int r = take_class(w, i, is_waiting, t, NULL);
            if (r == LARDER_E_BUSY)
                result = r;
            else if (r != LARDER_NOT_FOUND)
                return r;
        }
    }
    return result;
}

/* Takes where a block was found last, else anywhere; then from the spans that bins keep; then by
 * waiting for bins that others hold; then any larger block. */
static __attribute__((noinline)) int take_elsewhere(struct writer *w, uint64_t bytes, uint32_t own,
                                                    const struct taking *t) {
    uint32_t found = w->found_in[own];
    int is_fit = found != 0 && may_serve((found - 1) % CLASS_COUNT, bytes, own, t);
    int r = is_fit ? take_from(w, found - 1, 0, t) : LARDER_NOT_FOUND;
    if (r != LARDER_NOT_FOUND && r != LARDER_E_BUSY)
        return r;
    int any = take_from_any(w, bytes, own, 0, t);
    if (any != LARDER_NOT_FOUND && any != LARDER_E_BUSY)
        return any;
    r = heap_trim(w) ? take_own(w, own, t) : LARDER_NOT_FOUND;
    if (r == LARDER_NOT_FOUND && any == LARDER_E_BUSY)
        r = take_from_any(w, bytes, own, 1, t);
    return r == LARDER_NOT_FOUND ? take_larger(w, own, t) : r;
}

/* ---- Taking for a move ----------------------------------------------------------------------- */

/* Looks at so many spans of a list for the fullest. */
#define FULLEST_OF 32u

/* Makes the fullest of a list's first spans that are not to be emptied its first. True: there is
 * one. The bin's empty span goes back: only the first of a list may be empty. */
static int fullest_first(struct writer *w, struct bin_shm *bin) {
    const struct seg *s = w->seg;
    uint32_t best = 0, most = 0, claimed = span_claimed_count(s), empty = empty_head(s, bin);
    if (empty && give_empty(w, bin, empty - 1))
        return 0;
    uint32_t number = SHM_LOAD_RELAXED(&bin->head);
    for (uint32_t i = 0; i < FULLEST_OF && number != 0 && number <= claimed; i++) {
        const struct span_shm *span = seg_span(s, number - 1);
        uint32_t used = SHM_LOAD_RELAXED(&span->used);
        if (used > most && !writer_avoids(w, number - 1)) {
            best = number;
            most = used;
        }
        number = SHM_LOAD_RELAXED(&span->next);
    }
    if (best != 0 && best != SHM_LOAD_RELAXED(&bin->head)) {
        list_remove(s, bin, seg_span(s, best - 1));
        list_push(s, bin, best - 1);
    }
    return best != 0;
}

static int take_fullest(struct writer *w, uint32_t bin_number, const struct taking *t) {
    struct bin_shm *bin = seg_bin(w->seg, bin_number);
    if (SHM_LOAD_RELAXED(&bin->head) == 0)
        return LARDER_NOT_FOUND;
    if (lock_try(w, &bin->lock, LOCK_BIN))
        return LARDER_NOT_FOUND;
    int r = fullest_first(w, bin) ? take_listed(w, bin, bin_number % CLASS_COUNT, t) : LARDER_NOT_FOUND;
    lock_drop(w, &bin->lock, LOCK_BIN);
    return r;
}

/* From a free span, for the own bin. */
static int take_new_span(struct writer *w, uint32_t own, const struct taking *t) {
    uint32_t i, empty;
    struct bin_shm *bin = seg_bin(w->seg, own_arena(w) * CLASS_COUNT + own);
    if (lock_try(w, &bin->lock, LOCK_BIN))
        return LARDER_NOT_FOUND;
    empty = empty_head(w->seg, bin);
    int r = empty ? give_empty(w, bin, empty - 1) : LARDER_OK;
    if (r == LARDER_OK)
        r = span_take_small(w, own_arena(w), own, t->flags, &i);
    if (r == LARDER_OK) {
        list_push(w->seg, bin, i);
        r = take_listed(w, bin, own, t);
    }
    lock_drop(w, &bin->lock, LOCK_BIN);
    return r;
}

/* A block may be larger than a usual loan: it was a last resort, or the leaf in it has become
 * smaller. It must not pin its span. */
static int may_stay_lent(const struct writer *w, uint32_t class_index, const struct taking *t) {
    return !(t->flags & HEAP_LINE) && class_index < CLASS_COUNT && class_bytes[class_index] <= w->moves_from_bytes;
}

/* While the writer empties spans (writer_avoids): a block in the fullest span of its class; else in
 * a free span, if it may take one; else a loan that wastes little, or no more than where the
 * block is. Waits for no bin. */
static __attribute__((noinline)) int take_outside(struct writer *w, uint64_t bytes, const struct taking *t) {
    if (bytes > CLASS_BYTES_MAX)
        return span_take_run(w, (uint32_t)((bytes + SPAN_BYTES - 1) / SPAN_BYTES), t->tag, t->flags, t->hand, t->off);
    uint32_t own = class_of(bytes, t->flags), arenas = w->seg->arena_count;
    for (uint32_t i = own; may_serve(i, bytes, own, t) || may_stay_lent(w, i, t); i++) {
        if (class_bytes[i] > w->moves_from_bytes && heap_is_lent(class_bytes[own], class_bytes[i]))
            return LARDER_NOT_FOUND;
        uint32_t k = 0;
        int r;
        do
            r = take_fullest(w, (own_arena(w) + k) % arenas * CLASS_COUNT + i, t);
        while (r == LARDER_NOT_FOUND && ++k < arenas);
        if (r == LARDER_NOT_FOUND && i == own && w->moves_to_free)
            r = take_new_span(w, own, t);
        if (r != LARDER_NOT_FOUND)
            return r;
    }
    return LARDER_NOT_FOUND;
}

/* ---- Both ------------------------------------------------------------------------------------ */

/* The own class has no listed span, or another writer has its bin. */
static __attribute__((noinline)) int take_otherwise(struct writer *w, uint64_t bytes, uint32_t own,
                                                    const struct taking *t) {
    unsigned flags = t->flags;
    uint32_t arena = own_arena(w), class_index = class_with_room(w->seg, arena, bytes, own, flags);
    int is_likely = SHM_LOAD_RELAXED(&seg_bin(w->seg, arena * CLASS_COUNT + class_index)->head) != 0 ||
                    free_runs_count(w->seg) > span_kept_count(w->seg, flags);
    int r = is_likely ? take_own(w, class_index, t) : LARDER_NOT_FOUND;
    return r == LARDER_NOT_FOUND ? take_elsewhere(w, bytes, own, t) : r;
}

/* The bin is locked before it is looked at: a look first would bring its line from another core
 * once more. */
static inline int take_small(struct writer *w, uint64_t bytes, const struct taking *t) {
    uint32_t own = class_of(bytes, t->flags);
    struct bin_shm *bin = seg_bin(w->seg, own_arena(w) * CLASS_COUNT + own);
    int r = lock_try(w, &bin->lock, LOCK_BIN) ? LARDER_NOT_FOUND : LARDER_OK;
    if (r == LARDER_OK) {
        r = take_listed(w, bin, own, t);
        lock_drop(w, &bin->lock, LOCK_BIN);
    }
    return r == LARDER_NOT_FOUND ? take_otherwise(w, bytes, own, t) : r;
}

/* Empty spans that bins keep lie between free ones and cut long runs into short ones. Looking for
 * them costs as much as a copy of some spans. So it is done once per this many spans taken, and
 * when there is no run. */
#define RUN_SPANS_PER_TRIM 16u

static __attribute__((noinline)) int take_run(struct writer *w, uint32_t count, const struct taking *t) {
    w->run_spans += count;
    if (w->run_spans >= RUN_SPANS_PER_TRIM) {
        w->run_spans = 0;
        heap_trim(w);
    }
    int r = span_take_run(w, count, t->tag, t->flags, t->hand, t->off);
    if (r == LARDER_NOT_FOUND && heap_trim(w))
        r = span_take_run(w, count, t->tag, t->flags, t->hand, t->off);
    return r;
}

int heap_take(struct writer *w, uint64_t bytes, unsigned tag, unsigned flags, uint64_t *off) {
    struct taking t = {.hand = free_hand(w), .tag = tag, .flags = flags, .off = off};
    if (!t.hand)
        return err_set(LARDER_E_CORRUPT, "slot %u has more than %u blocks in hand", w->id, SLOT_HAND);
    if (test_says_full())
        return err_set(LARDER_E_FULL, "the segment is full, says the test");
    uint32_t spans = (uint32_t)((bytes + SPAN_BYTES - 1) / SPAN_BYTES);
    int r;
    if (__builtin_expect(w->avoid_count != 0, 0))
        r = take_outside(w, bytes, &t);
    else
        r = bytes > CLASS_BYTES_MAX ? take_run(w, spans, &t) : take_small(w, bytes, &t);
    if (r != LARDER_NOT_FOUND)
        return r;
    w->need_bytes = (uint64_t)spans * SPAN_BYTES;
    w->asked_bytes = bytes;
    return OBSTACLE_CLAIM;
}

/* The largest free block below class_of(most), of at least `least` bytes. */
static int take_smaller(struct writer *w, uint64_t least, uint64_t most, const struct taking *t) {
    for (uint32_t i = class_of(most, 0), last = class_of(least, 0); i > last; i--) {
        int r = take_class(w, i - 1, 0, t, NULL);
        if (r != LARDER_NOT_FOUND && r != LARDER_E_BUSY)
            return r;
    }
    return LARDER_NOT_FOUND;
}

int heap_take_part(struct writer *w, uint64_t least, uint64_t most, unsigned tag, uint64_t *off) {
    int is_short = w->is_short;
    w->is_short = 0; /* a smaller block will do, so none that is much larger is lent */
    int r = heap_take(w, most, tag, 0, off);
    w->is_short = is_short;
    if (r != OBSTACLE_CLAIM || !heap_is_used_up(w))
        return r;
    struct taking t = {.hand = free_hand(w), .tag = tag, .off = off};
    int smaller = take_smaller(w, least, most, &t);
    if (smaller != LARDER_NOT_FOUND)
        return smaller;
    return is_short ? heap_take(w, least, tag, 0, off) : r;
}

/* ---- Giving back ----------------------------------------------------------------------------- */

/* The bit of the block at off in its span. -1: no block can start there. */
static int bit_of(const struct seg *s, const struct span_shm *span, uint64_t off) {
    uint32_t class_index = SHM_LOAD_RELAXED(&span->class_index);
    if (class_index >= CLASS_COUNT)
        return -1;
    uint64_t inside = (off - s->data_off) % SPAN_BYTES;
    return inside % class_bytes[class_index] == 0 ? (int)(inside / class_bytes[class_index]) : -1;
}

static int give_small_locked(struct writer *w, struct bin_shm *bin, uint32_t i, shm_word *hand, uint64_t off) {
    const struct seg *s = w->seg;
    struct span_shm *span = seg_span(s, i);
    int bit = bit_of(s, span, off);
    shm_word *word = bit < 0 ? NULL : &span->bitmap[bit / 64];
    if (!word || !(SHM_LOAD_RELAXED(word) >> (bit % 64) & 1))
        return err_set(LARDER_E_CORRUPT, "heap: block %llu is given back but was not handed out",
                       (unsigned long long)off);
    SHM_IN_ORDER(hand_before_bit, SHM_STORE(word, SHM_LOAD_RELAXED(word) & ~(UINT64_C(1) << (bit % 64))),
                 SHM_STORE(hand, 0));
    uint32_t used = SHM_LOAD_RELAXED(&span->used) - 1u;
    SHM_STORE(&span->used, (uint16_t)used);
    uint32_t empty = 0;
    if (!SHM_LOAD_RELAXED(&span->is_listed)) {
        empty = empty_head(s, bin);
        list_push(s, bin, i);
    }
    int is_only_one = SHM_LOAD_RELAXED(&span->next) == 0 && SHM_LOAD_RELAXED(&span->prev) == 0;
    /* an only span stays, so that a take and a give in turn cost no span */
    if (used == 0 && !is_only_one)
        empty = i + 1;
    int r = empty ? give_empty(w, bin, empty - 1) : LARDER_OK;
    /* after LARDER_E_BUSY the block is back all the same; its span stays with the class */
    return r == LARDER_E_CORRUPT ? r : LARDER_OK;
}

int heap_trim(struct writer *w) {
    const struct seg *s = w->seg;
    int count = 0;
    for (uint32_t i = 0; i < s->arena_count * CLASS_COUNT; i++) {
        struct bin_shm *bin = seg_bin(s, i);
        if (empty_head(s, bin) == 0 || lock_try(w, &bin->lock, LOCK_BIN))
            continue; /* a bin that another writer works with may keep its span */
        uint32_t empty = empty_head(s, bin);
        count += empty && give_empty(w, bin, empty - 1) == LARDER_OK;
        lock_drop(w, &bin->lock, LOCK_BIN);
    }
    return count;
}

int heap_give(struct writer *w, unsigned hand_index) {
    const struct seg *s = w->seg;
    shm_word *hand = &w->slot->hand[hand_index];
    uint64_t off = SHM_LOAD_RELAXED(hand) & ~(uint64_t)HAND_BITS;
    uint32_t i = span_index(s, off);
    if (off < s->data_off || off >= s->bytes || i >= span_claimed_count(s))
        return err_set(LARDER_E_CORRUPT, "heap: block %llu lies outside the heap", (unsigned long long)off);
    struct span_shm *span = seg_span(s, i);
    if (SHM_LOAD(&span->state) == SPAN_RUN)
        return span_give_run(w, i, hand);
    struct bin_shm *bin = SHM_LOAD(&span->state) == SPAN_SMALL ? bin_of(s, span) : NULL;
    if (!bin)
        return err_set(LARDER_E_CORRUPT, "heap: block %llu lies in a free span", (unsigned long long)off);
    int r = lock_take(w, &bin->lock, LOCK_BIN);
    if (r)
        return r;
    r = give_small_locked(w, bin, i, hand, off);
    lock_drop(w, &bin->lock, LOCK_BIN);
    return r;
}

int heap_pass(struct writer *w, uint64_t off) {
    const struct span_shm *span = seg_span(w->seg, span_index(w->seg, off));
    if (SHM_LOAD(&span->state) == SPAN_RUN)
        return lock_pass(w, &w->seg->shm->span_lock, LOCK_SPAN);
    struct bin_shm *bin = bin_of(w->seg, span);
    return bin ? lock_pass(w, &bin->lock, LOCK_BIN) : LARDER_OK;
}

void heap_prefetch(const struct seg *s, uint64_t off) {
    if (off >= s->data_off && off < s->bytes)
        SHM_PREFETCH(seg_span(s, span_index(s, off)));
}

uint64_t heap_block_bytes(const struct seg *s, uint64_t off) {
    if (off < s->data_off || off >= s->bytes)
        return 0;
    uint32_t i = span_index(s, off), claimed = span_claimed_count(s);
    if (i >= claimed)
        return 0;
    const struct span_shm *span = seg_span(s, i);
    uint32_t state = SHM_LOAD(&span->state);
    if (state == SPAN_RUN && off == span_off(s, i)) {
        uint32_t count = SHM_LOAD_RELAXED(&span->next);
        return count <= claimed - i ? (uint64_t)count * SPAN_BYTES : 0;
    }
    uint32_t class_index = SHM_LOAD_RELAXED(&span->class_index);
    if (state != SPAN_SMALL || class_index >= CLASS_COUNT)
        return 0;
    uint32_t bytes = class_bytes[class_index], inside = (uint32_t)((off - s->data_off) % SPAN_BYTES),
             bit = inside / bytes;
    if (inside % bytes != 0 || bit >= SPAN_BYTES / bytes)
        return 0;
    return SHM_LOAD(&span->bitmap[bit / 64]) >> (bit % 64) & 1 ? bytes : 0;
}

/* ---- Recovery -------------------------------------------------------------------------------- */

/* P2: builds the list and the counts again from the bitmaps. Also holds the span lock: no span may
 * come or go, since its fields are several words; and empty ones go back. */
static void rebuild_bin(const struct seg *s, struct bin_shm *bin) {
    uint32_t spans = span_claimed_count(s);
    SHM_STORE(&bin->head, 0);
    for (uint32_t i = 0; i < spans; i++) {
        struct span_shm *span = seg_span(s, i);
        if (SHM_LOAD(&span->state) != SPAN_SMALL || bin_of(s, span) != bin)
            continue;
        uint32_t used = span_blocks_used(span);
        SHM_STORE(&span->used, (uint16_t)used);
        SHM_STORE(&span->is_listed, 0);
        if (used == 0)
            span_free_locked(s, i);
        else if (used < SPAN_BYTES / class_bytes[SHM_LOAD_RELAXED(&span->class_index)])
            list_push(s, bin, i);
    }
}

/* A block in hand with a clear bit, or without a run, was not taken yet or is given back already.
 * Another writer may take it as soon as that lock is free. */
static void forget_untaken(struct writer *w) {
    for (unsigned i = 0; i < SLOT_HAND; i++) {
        uint64_t off = SHM_LOAD_RELAXED(&w->slot->hand[i]) & ~(uint64_t)HAND_BITS;
        if (off != 0 && heap_block_bytes(w->seg, off) == 0)
            SHM_STORE(&w->slot->hand[i], 0);
    }
}

int heap_recover_lock(struct writer *w, lock_word *lock) {
    const struct seg *s = w->seg;
    if (lock == &s->shm->span_lock) {
        span_rebuild(s);
        forget_untaken(w);
        lock_drop(w, lock, LOCK_SPAN);
        return LARDER_OK;
    }
    int r = lock_take(w, &w->seg->shm->span_lock, LOCK_SPAN);
    if (r)
        return r;
    forget_untaken(w); /* before a span with only such blocks goes back */
    rebuild_bin(s, (struct bin_shm *)lock);
    lock_drop(w, &w->seg->shm->span_lock, LOCK_SPAN);
    lock_drop(w, lock, LOCK_BIN);
    return LARDER_OK;
}

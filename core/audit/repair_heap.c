/* core/audit/repair_heap.c - the heap as it must be, given the blocks that stay.
 *
 * Idea     The size of a block follows from its contents, or is more if it is on loan (heap rule
 *          P3). A span's class follows from its blocks: they must begin where blocks of that class
 *          begin. So the blocks that stay determine the spans, whatever the descriptors say.
 *          Descriptors are only asked for the arena, for the class if several fit, and for the
 *          right one if two blocks want the same bytes (core/audit/repair_table.c first keeps those
 *          that the heap agrees with).
 * Reserved Bytes of doubtful bucket arrays: bits in spans of blocks that stay, else spans of their
 *          own (runs of one). Private memory distinguishes them, for repair_heap_release().
 * Claimed  If the claimed size is too small, descriptors beyond it are either right, or damaged. So
 *          memory is claimed for all of them (it stays: a three hundredth of the segment). They are
 *          believed until the heap is whole (what was read stays readable, rule M1). Memory that
 *          they claimed for nothing is given back then.
 * Tests    tests/crash/repair_area_test.c, tests/crash/repair_keeps_test.c
 */
#include "core/audit/repair.h"
#include "core/base/err.h"
#include "core/memory/free_runs.h"
#include "core/memory/heap_span.h"
#include "core/segment/seg_file.h"
#include "core/table/attempt.h"
#include "core/table/db.h"
#include <errno.h>
#include <fcntl.h>

#define BLOCK_BYTES_MAX 8192u /* larger ones are runs of spans */
#define BACK_BYTES (1u << 20) /* per step */

/* ---- Memory claimed from the kernel ---------------------------------------------------------- */

/* The end of the last span whose descriptor says that it is used. */
static uint64_t last_used_end(const struct repair *p) {
    const struct seg *s = p->seg;
    for (uint32_t i = p->descriptor_count; i > 0; i--) {
        const struct span_shm *span = seg_span(s, i - 1);
        uint32_t state = SHM_LOAD(&span->state);
        int is_small = state == SPAN_SMALL && SHM_LOAD(&span->class_index) < CLASS_COUNT &&
                       SHM_LOAD(&span->arena) < s->arena_count;
        if (is_small || state == SPAN_RUN || state == SPAN_TAIL)
            return span_off(s, i);
    }
    return s->data_off;
}

/* The claimed size by the segment's word; if that is impossible, the smallest. */
static uint64_t claimed_before(const struct repair *p) {
    const struct seg *s = p->seg;
    uint64_t claimed = p->claimed_before;
    int is_possible =
        claimed > s->data_off && claimed <= span_off(s, s->span_count) && (claimed - s->data_off) % SPAN_BYTES == 0;
    return is_possible ? claimed : s->data_off;
}

/* Backs [from, end) with memory; backed parts stay as they are. In steps, because signals wait for
 * as long as one takes. *reached is how far it came. */
static int back(const struct seg *s, uint64_t from, uint64_t end, uint64_t *reached) {
    *reached = from;
    if (!seg_fd_is_ours(s))
        return LARDER_E_OS;
    shm_crash_point();
    for (; *reached < end; *reached += BACK_BYTES) {
        if (seg_file_back(s->fd, *reached, end - *reached < BACK_BYTES ? end - *reached : BACK_BYTES) == 0)
            continue;
        if (errno == ENOSPC || errno == ENOMEM || errno == EDQUOT)
            return err_set(LARDER_E_FULL, "the filesystem or a memory limit has no room for what the segment holds");
        return err_set_errno("fallocate", "the segment");
    }
    *reached = end;
    return LARDER_OK;
}

/* Backs all descriptors, because any may describe a span in use. If there is no room for all, those
 * that were claimed must do: they are backed. */
static int back_descriptors(struct repair *p) {
    const struct seg *s = p->seg;
    uint64_t least = claimed_before(p), enough = seg_descriptors_end(s, least), reached;
    int r = back(s, 0, s->data_off, &reached);
    p->descriptor_count = s->span_count;
    if (r == LARDER_E_FULL && least > s->data_off && back(s, 0, enough, &reached) == LARDER_OK) {
        p->descriptor_count = (uint32_t)((least - s->data_off) / SPAN_BYTES);
        return LARDER_OK;
    }
    return r;
}

int repair_claimed(struct repair *p) {
    const struct seg *s = p->seg;
    p->claimed_before = SHM_LOAD(&s->shm->claimed_bytes);
    int r = back_descriptors(p);
    if (r)
        return r;
    uint64_t least = claimed_before(p), wanted = last_used_end(p), reached;
    if (wanted < least)
        wanted = least;
    r = back(s, s->data_off, wanted, &reached);
    if (r == LARDER_E_FULL && reached > s->data_off && reached >= least && least > s->data_off) {
        /* Memory that was really claimed is backed: the descriptors beyond are wrong. */
        wanted = span_off(s, span_index(s, reached));
        r = LARDER_OK;
    }
    if (r)
        return r;
    p->has_claimed = 1;
    p->has_raised = wanted > least;
    SHM_PUT(&p->seg->shm->claimed_bytes, wanted);
    return LARDER_OK;
}

/* Gives back the memory that only descriptors asked for, if nothing lies there. */
static void settle_claimed(struct repair *p) {
    const struct seg *s = p->seg;
    uint32_t spans = span_claimed_count(s);
    if (spans > p->descriptor_count) /* we claimed more */
        p->descriptor_count = spans;
    uint64_t least = claimed_before(p), end = last_used_end(p), claimed = SHM_LOAD(&s->shm->claimed_bytes);
    if (end < least)
        end = least;
    if (end < claimed) {
        SHM_STORE(&p->seg->shm->claimed_bytes, end);
        (void)fallocate(s->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)end, (off_t)(claimed - end));
    }
    if (p->claimed_before != least || (p->has_raised && end > least))
        repair_note(p, "mended: the segment's claimed bytes are %llu, not %llu", (unsigned long long)end,
                    (unsigned long long)p->claimed_before);
}

/* ---- The plan -------------------------------------------------------------------------------- */

/* Whether every block that stays in the span, and one at `inside`, may be a block of this class:
 * all begin where its blocks do. */
static int class_suits(const struct repair_span *span, uint32_t class_index, uint32_t inside) {
    uint32_t block_bytes = heap_class_bytes(class_index), planned = heap_class_bytes(span->class_index);
    if (inside % block_bytes != 0 || inside / block_bytes >= SPAN_BYTES / block_bytes)
        return 0;
    for (uint32_t bit = 0; span->state == SPAN_SMALL && class_index != span->class_index && bit < SPAN_BYTES / planned;
         bit++)
        if ((span->used[bit / 64] >> bit % 64 & 1) &&
            (bit * planned % block_bytes != 0 || bit * planned / block_bytes >= SPAN_BYTES / block_bytes))
            return 0;
    return 1;
}

static int class_fits(const struct repair_span *span, uint32_t class_index, uint32_t inside, uint64_t least,
                      uint64_t most) {
    return class_index < CLASS_COUNT && heap_class_bytes(class_index) >= least &&
           heap_class_bytes(class_index) <= most && class_suits(span, class_index, inside);
}

/* The class of the span whose blocks have least to most bytes, with one at `inside`, or -1. Blocks
 * on loan (heap rule P3) lie in a larger class than theirs. So the planned class, or if there is
 * none the described one, is tried first; then all possible ones, because it may be wrong: the
 * first block of a span begins where one of any class does. */
static int class_for(const struct repair_span *span, uint32_t described, uint32_t inside, uint64_t least,
                     uint64_t most) {
    uint32_t first = span->state == SPAN_SMALL ? span->class_index : described;
    if (class_fits(span, first, inside, least, most))
        return (int)first;
    for (uint32_t i = 0; i < CLASS_COUNT; i++)
        if (class_fits(span, i, inside, least, most))
            return (int)i;
    return -1;
}

/* Plans a span with this class, or changes the planned class. */
static void set_class(struct repair_span *span, uint32_t class_index) {
    uint64_t used[SPAN_BITMAP_WORDS] = {0};
    uint32_t block_bytes = heap_class_bytes(class_index), planned = heap_class_bytes(span->class_index);
    for (uint32_t bit = 0; span->state == SPAN_SMALL && bit < SPAN_BYTES / planned; bit++)
        if (span->used[bit / 64] >> bit % 64 & 1)
            used[bit * planned / block_bytes / 64] |= UINT64_C(1) << bit * planned / block_bytes % 64;
    memcpy(span->used, used, sizeof used);
    span->state = SPAN_SMALL;
    span->class_index = (uint8_t)class_index;
}

static int keep_run(struct repair *p, uint64_t off, uint64_t bytes) {
    uint32_t first = span_index(p->seg, off), count = (uint32_t)((bytes + SPAN_BYTES - 1) / SPAN_BYTES);
    if (off != span_off(p->seg, first) || count > span_claimed_count(p->seg) - first)
        return 0;
    for (uint32_t i = 0; i < count; i++)
        if (p->span[first + i].state != SPAN_FREE)
            return 0;
    for (uint32_t i = 1; i < count; i++)
        p->span[first + i].state = SPAN_TAIL;
    p->span[first].state = SPAN_RUN;
    p->span[first].run = count;
    return 1;
}

/* Marks the block at `inside` of a span whose class is planned. Returns 0 if it was marked. */
static int set_used(struct repair_span *span, uint32_t inside) {
    uint32_t bit = inside / heap_class_bytes(span->class_index);
    uint64_t mask = UINT64_C(1) << bit % 64;
    if (span->used[bit / 64] & mask)
        return 0;
    span->used[bit / 64] |= mask;
    return 1;
}

static uint32_t described_class(const struct seg *s, uint32_t i) {
    const struct span_shm *span = seg_span(s, i);
    return SHM_LOAD(&span->state) == SPAN_SMALL ? SHM_LOAD(&span->class_index) : CLASS_COUNT;
}

static int keep_small(struct repair *p, uint64_t off, uint64_t bytes, unsigned flags) {
    uint32_t i = span_index(p->seg, off), inside = (uint32_t)((off - p->seg->data_off) % SPAN_BYTES);
    struct repair_span *span = &p->span[i];
    uint64_t least = heap_round(bytes, flags), most = heap_round_most(bytes, flags);
    if (span->state != SPAN_SMALL && span->state != SPAN_FREE)
        return 0;
    if (span->state == SPAN_SMALL) { /* the class must also suit the blocks planned so far */
        least = least > span->least ? least : span->least;
        most = most < span->most ? most : span->most;
    }
    int class_index = class_for(span, described_class(p->seg, i), inside, least, most);
    if (class_index < 0)
        return 0;
    if (span->state == SPAN_FREE || span->class_index != class_index)
        set_class(span, (uint32_t)class_index);
    if (!set_used(span, inside))
        return 0;
    span->least = (uint16_t)least;
    span->most = (uint16_t)most;
    return 1;
}

int repair_keep(struct repair *p, uint64_t off, uint64_t bytes, unsigned flags) {
    if (!seg_at(p->seg, off, bytes) || bytes == 0 || span_index(p->seg, off) >= span_claimed_count(p->seg))
        return 0;
    return bytes > BLOCK_BYTES_MAX ? keep_run(p, off, bytes) : keep_small(p, off, bytes, flags);
}

void repair_unkeep(struct repair *p, uint64_t off) {
    struct repair_span *span = &p->span[span_index(p->seg, off)];
    uint64_t left = 0;
    if (span->state == SPAN_RUN) {
        for (uint32_t i = span->run; i > 0; i--)
            span[i - 1].state = SPAN_FREE;
        return;
    }
    uint32_t bit = (uint32_t)((off - p->seg->data_off) % SPAN_BYTES) / heap_class_bytes(span->class_index);
    span->used[bit / 64] &= ~(UINT64_C(1) << bit % 64);
    for (unsigned k = 0; k < SPAN_BITMAP_WORDS; k++)
        left |= span->used[k];
    if (left == 0)
        span->state = SPAN_FREE;
}

/* Reserves bytes from..to-1 of a span. */
static void reserve_in(struct repair_span *span, uint32_t from, uint32_t to) {
    if (span->state == SPAN_FREE) {
        span->state = SPAN_RUN;
        span->run = 1;
        span->is_reserved = 1;
    }
    if (span->state != SPAN_SMALL)
        return;
    uint32_t block_bytes = heap_class_bytes(span->class_index), blocks = SPAN_BYTES / block_bytes;
    for (uint32_t bit = from / block_bytes; bit < blocks && bit * block_bytes < to; bit++)
        if (!(span->used[bit / 64] >> bit % 64 & 1))
            span->reserved[bit / 64] |= UINT64_C(1) << bit % 64;
}

void repair_reserve(struct repair *p, uint64_t off, uint64_t bytes) {
    uint32_t claimed = span_claimed_count(p->seg);
    if (!seg_at(p->seg, off, bytes) || bytes == 0)
        return;
    for (uint32_t i = span_index(p->seg, off); i < claimed && span_off(p->seg, i) < off + bytes; i++) {
        uint64_t start = span_off(p->seg, i), end = off + bytes - start;
        reserve_in(&p->span[i], off > start ? (uint32_t)(off - start) : 0,
                   end < SPAN_BYTES ? (uint32_t)end : SPAN_BYTES);
    }
}

/* ---- Storing it ------------------------------------------------------------------------------ */

static void store_small(const struct repair *p, uint32_t i) {
    struct span_shm *span = seg_span(p->seg, i);
    const struct repair_span *plan = &p->span[i];
    for (unsigned k = 0; k < SPAN_BITMAP_WORDS; k++)
        SHM_PUT(&span->bitmap[k], plan->used[k] | plan->reserved[k]);
    SHM_PUT(&span->class_index, plan->class_index);
    if (SHM_LOAD_RELAXED(&span->state) != SPAN_SMALL || SHM_LOAD_RELAXED(&span->arena) >= p->seg->arena_count)
        SHM_STORE(&span->arena, (uint8_t)(i % p->seg->arena_count));
}

/* Stores states, classes and bitmaps of all spans as planned, also beyond the claimed ones, as far
 * as they have descriptors. */
static void store_spans(const struct repair *p) {
    for (uint32_t i = 0; i < p->descriptor_count; i++) {
        struct span_shm *span = seg_span(p->seg, i);
        const struct repair_span *plan = &p->span[i];
        if (plan->state == SPAN_SMALL)
            store_small(p, i);
        if (plan->state == SPAN_RUN)
            SHM_PUT(&span->next, plan->run);
        SHM_PUT(&span->state, plan->state);
    }
}

/* Puts a span in front of the list of its bin, in private memory; `head` is by bin. */
static void push(struct repair *p, uint32_t *head, uint32_t i) {
    const struct span_shm *span = seg_span(p->seg, i);
    uint32_t bin = SHM_LOAD_RELAXED(&span->arena) * CLASS_COUNT + SHM_LOAD_RELAXED(&span->class_index);
    p->span[i].prev = 0;
    p->span[i].next = head[bin];
    if (head[bin])
        p->span[head[bin] - 1].prev = i + 1;
    head[bin] = i + 1;
}

static int is_full(const struct span_shm *span) {
    return span_blocks_used(span) >= SPAN_BYTES / heap_class_bytes(SHM_LOAD_RELAXED(&span->class_index));
}

/* Derives lists, counts and hints from states and bitmaps. */
static int store_lists(struct repair *p) {
    struct seg *s = p->seg;
    uint32_t bins = s->arena_count * CLASS_COUNT, hint = span_claimed_count(s);
    uint32_t *head = priv_alloc(db_priv(p->db), bins * sizeof *head);
    if (!head)
        return LARDER_E_NO_MEMORY;
    for (uint32_t i = span_claimed_count(s); i > 0; i--) {
        const struct span_shm *span = seg_span(s, i - 1);
        uint32_t state = SHM_LOAD_RELAXED(&span->state);
        if (state == SPAN_FREE)
            hint = i - 1;
        if (state == SPAN_SMALL && !is_full(span))
            push(p, head, i - 1);
    }
    for (uint32_t i = 0; i < span_claimed_count(s); i++) {
        struct span_shm *span = seg_span(s, i);
        if (SHM_LOAD_RELAXED(&span->state) != SPAN_SMALL)
            continue;
        SHM_PUT(&span->used, (uint16_t)span_blocks_used(span));
        SHM_PUT(&span->is_listed, (uint8_t)!is_full(span));
        if (!is_full(span)) {
            SHM_PUT(&span->next, p->span[i].next);
            SHM_PUT(&span->prev, p->span[i].prev);
        }
    }
    for (uint32_t i = 0; i < bins; i++)
        SHM_PUT(&seg_bin(s, i)->head, head[i]);
    SHM_PUT(&s->shm->span_hint, hint);
    free_runs_rebuild(s);
    priv_free(db_priv(p->db), head);
    return LARDER_OK;
}

struct block_wanted {
    uint64_t bytes, *off;
    unsigned flags;
};

static int try_take(struct writer *w, void *arg) {
    const struct block_wanted *b = arg;
    return heap_take(w, b->bytes, HAND_STEP1 | HAND_NEW, b->flags, b->off);
}

int repair_take(struct writer *w, uint64_t bytes, unsigned flags, uint64_t *off) {
    return attempt(w, NULL, try_take, &(struct block_wanted){.bytes = bytes, .off = off, .flags = flags});
}

int repair_heap_store(struct repair *p) {
    store_spans(p);
    return store_lists(p);
}

static void release_small(struct repair_span *plan, struct span_shm *span) {
    uint64_t left = 0;
    for (unsigned k = 0; k < SPAN_BITMAP_WORDS; k++) {
        SHM_PUT(&span->bitmap[k], SHM_LOAD_RELAXED(&span->bitmap[k]) & ~plan->reserved[k]);
        left |= SHM_LOAD_RELAXED(&span->bitmap[k]);
        plan->reserved[k] = 0;
    }
    if (left == 0)
        SHM_PUT(&span->state, SPAN_FREE);
}

int repair_heap_release(struct repair *p) {
    for (uint32_t i = 0; i < span_claimed_count(p->seg); i++) {
        struct span_shm *span = seg_span(p->seg, i);
        if (p->span[i].is_reserved)
            SHM_PUT(&span->state, SPAN_FREE);
        else if (SHM_LOAD_RELAXED(&span->state) == SPAN_SMALL)
            release_small(&p->span[i], span);
        p->span[i].is_reserved = 0;
    }
    settle_claimed(p);
    return store_lists(p);
}

uint64_t repair_heap_used(const struct repair *p) {
    struct heap_totals totals;
    heap_totals(p->seg, &totals);
    return totals.used_bytes;
}

/* core/table/compact.c - memory back from spans that are nearly empty, and long runs of free spans.
 * See compact.h. */
#include "core/table/compact.h"
#include "core/base/wait.h"
#include "core/memory/free_runs.h"
#include "core/memory/heap_span.h"
#include "core/table/move.h"

#define SPANS_AT_ONCE 4096u /* looked at in one go */
#define FREED_AT_ONCE 32u   /* spans, by a call */
#define MOVED_AT_ONCE (2u << 20)
#define LEVELS 8u /* of how full a span is */
/* After a look that found nothing: a pause of so many times its duration. */
#define IDLE_FACTOR 20u
#define REMOVED_FOR_HOPE 256u /* items removed since then end the pause; */
#define FREED_FOR_HOPE 8u     /* and so do spans that became free, as by large items */
#define SPANS_AHEAD 64u       /* one in so many is to be free */
#define GAINED_AT_ONCE (256u << 10)

/* ---- Emptying spans -------------------------------------------------------------------------- */

static int is_stopped(const struct writer *w) {
    return w->is_stuck || (w->is_stopping && *w->is_stopping);
}

/* Moves all blocks of a span. False: one stays. */
static int empty_small(struct writer *w, uint32_t i) {
    const struct span_shm *span = seg_span(w->seg, i);
    uint32_t class_index = SHM_LOAD_RELAXED(&span->class_index);
    uint32_t bytes = class_index < CLASS_COUNT ? heap_class_bytes(class_index) : 0;
    w->moves_from_bytes = bytes;
    for (uint32_t k = 0; bytes && k < SPAN_BITMAP_WORDS; k++)
        for (uint64_t taken = SHM_LOAD(&span->bitmap[k]); taken; taken &= taken - 1) {
            uint32_t bit = k * 64 + (uint32_t)__builtin_ctzll(taken);
            if (is_stopped(w) || !move_block(w, span_off(w->seg, i) + (uint64_t)bit * bytes))
                return 0;
        }
    return bytes != 0;
}

/* The first span of the run that span i is a tail of; or i. */
static uint32_t head_of(const struct seg *s, uint32_t i) {
    while (i > 0 && SHM_LOAD(&seg_span(s, i)->state) == SPAN_TAIL)
        i--;
    return i;
}

static int empty_span(struct writer *w, uint32_t i) {
    switch (SHM_LOAD(&seg_span(w->seg, i)->state)) {
    case SPAN_SMALL:
        return empty_small(w, i);
    case SPAN_RUN:
    case SPAN_TAIL:
        return move_block(w, span_off(w->seg, head_of(w->seg, i)));
    default:
        return 1;
    }
}

/* Empties spans. *stays: the first that could not be. */
static int empty_spans(struct writer *w, uint32_t from, uint32_t count, int to_free, uint32_t *stays) {
    writer_avoid(w, from, count, to_free);
    uint32_t i = from;
    while (i < from + count && empty_span(w, i))
        i++;
    w->avoid_count = 0;
    *stays = i;
    return i == from + count;
}

/* ---- Sparse spans ---------------------------------------------------------------------------- */

struct survey {
    uint32_t free_blocks[CLASS_COUNT];   /* in spans of the class that have others in use */
    uint16_t spans[CLASS_COUNT][LEVELS]; /* by how full they are */
};

static uint32_t blocks_of(uint32_t class_index) {
    return SPAN_BYTES / heap_class_bytes(class_index);
}

/* The class of a span that has blocks in use and free ones. -1: it is none. */
static int sparse_class(const struct seg *s, uint32_t i, uint32_t *used) {
    const struct span_shm *span = seg_span(s, i);
    uint32_t class_index = SHM_LOAD_RELAXED(&span->class_index);
    *used = SHM_LOAD_RELAXED(&span->used);
    int is_sparse =
        SHM_LOAD(&span->state) == SPAN_SMALL && class_index<CLASS_COUNT && * used> 0 && *used < blocks_of(class_index);
    return is_sparse ? (int)class_index : -1;
}

static uint32_t level_of(uint32_t class_index, uint32_t used) {
    return used * LEVELS / blocks_of(class_index);
}

static void look_over(const struct seg *s, uint32_t from, uint32_t to, struct survey *survey) {
    memset(survey, 0, sizeof *survey);
    for (uint32_t i = from; i < to; i++) {
        uint32_t used;
        int c = sparse_class(s, i, &used);
        if (c < 0)
            continue;
        survey->free_blocks[c] += blocks_of((uint32_t)c) - used;
        survey->spans[c][level_of((uint32_t)c, used)]++;
    }
}

/* The lowest level up to which `wanted` spans can be emptied into others of their class. */
static uint32_t level_for(const struct survey *survey, uint32_t wanted) {
    uint32_t count = 0, level = 0;
    uint32_t can[CLASS_COUNT];
    for (uint32_t c = 0; c < CLASS_COUNT; c++)
        can[c] = survey->free_blocks[c] / blocks_of(c);
    for (; level < LEVELS && count < wanted; level++)
        for (uint32_t c = 0; c < CLASS_COUNT; c++) {
            uint32_t here = survey->spans[c][level] < can[c] ? survey->spans[c][level] : can[c];
            can[c] -= here;
            count += here;
        }
    return level;
}

/* Empties spans of [from, to) whose level is one of [level, end). Returns how many. */
static uint32_t empty_levels(struct writer *w, uint32_t from, uint32_t to, struct survey *survey, uint32_t level,
                             uint32_t end, uint32_t wanted) {
    uint32_t count = 0, moved = 0;
    for (uint32_t i = from; i < to && count < wanted && (count == 0 || moved < MOVED_AT_ONCE) && !is_stopped(w); i++) {
        uint32_t used, stays;
        int c = sparse_class(w->seg, i, &used);
        if (c < 0 || survey->free_blocks[c] < blocks_of((uint32_t)c) || level_of((uint32_t)c, used) < level ||
            level_of((uint32_t)c, used) >= end)
            continue;
        moved += used * heap_class_bytes((uint32_t)c);
        if (!empty_spans(w, i, 1, 0, &stays))
            continue;
        survey->free_blocks[c] -= blocks_of((uint32_t)c);
        count++;
    }
    return count;
}

/* Empties sparse spans of [from, to). Returns how many. If what would be least work cannot be
 * moved, it is done by fuller ones. */
static uint32_t concentrate(struct writer *w, uint32_t from, uint32_t to, uint32_t wanted) {
    struct survey survey;
    look_over(w->seg, from, to, &survey);
    uint32_t level = level_for(&survey, wanted);
    uint32_t count = empty_levels(w, from, to, &survey, 0, level, wanted);
    return count ? count : empty_levels(w, from, to, &survey, level, LEVELS, wanted);
}

uint32_t table_compact_spans(struct writer *w, uint32_t wanted) {
    uint32_t spans = span_claimed_count(w->seg), count = 0;
    for (uint32_t seen = 0; seen < spans && count == 0 && !is_stopped(w);) {
        uint32_t from = w->compact_at < spans ? w->compact_at : 0;
        uint32_t to = from + SPANS_AT_ONCE < spans ? from + SPANS_AT_ONCE : spans;
        count = concentrate(w, from, to, wanted);
        seen += to - from;
        if (count == 0)
            w->compact_at = to;
    }
    return count;
}

/* ---- Loans ----------------------------------------------------------------------------------- */

/* Small blocks lose little by a loan, and there are many. */
#define LOAN_BYTES_MIN 256u

/* Moves the items of a span that are in blocks too large for them. Returns the bytes that are
 * gained. */
static uint32_t end_loans(struct writer *w, uint32_t i) {
    const struct span_shm *span = seg_span(w->seg, i);
    uint32_t class_index = SHM_LOAD_RELAXED(&span->class_index), gained = 0;
    uint32_t bytes = class_index < CLASS_COUNT ? heap_class_bytes(class_index) : 0;
    if (SHM_LOAD(&span->state) != SPAN_SMALL || bytes < LOAN_BYTES_MIN)
        return 0;
    writer_avoid(w, i, 1, 1);
    for (uint32_t bit = 0; bit < blocks_of(class_index) && !is_stopped(w); bit++) {
        uint64_t off = span_off(w->seg, i) + (uint64_t)bit * bytes;
        if (SHM_LOAD(&span->bitmap[bit / 64]) >> (bit % 64) & 1 && move_is_lent(w, off, bytes) && move_block(w, off))
            gained += bytes / 5;
    }
    w->avoid_count = 0;
    return gained;
}

/* Goes round the segment once, until enough is gained. Returns spans, rounded up. */
static uint32_t end_all_loans(struct writer *w) {
    uint32_t spans = span_claimed_count(w->seg), gained = 0;
    for (uint32_t seen = 0; seen < spans && gained < GAINED_AT_ONCE && !is_stopped(w); seen++) {
        w->compact_loan_at = w->compact_loan_at + 1 < spans ? w->compact_loan_at + 1 : 0;
        gained += end_loans(w, w->compact_loan_at);
    }
    return (gained + SPAN_BYTES - 1) / SPAN_BYTES;
}

/* ---- Runs of spans --------------------------------------------------------------------------- */

/* How long a call may work. */
struct limit {
    struct wait_work begin;
    uint64_t ns;
};
static int is_late(const struct limit *limit) {
    return wait_worked_ns(&limit->begin) >= limit->ns;
}

/* Empties what is planned. *stays: the first span that could not be. Returns how many were. */
static uint32_t empty_windows(struct writer *w, const struct windows *plan, const struct limit *limit, int64_t *stays) {
    uint32_t made = 0;
    *stays = -1;
    w->also_avoided = &plan->rows;
    for (uint32_t i = 0; i < plan->rows.count && *stays < 0 && !is_late(limit); i++) {
        const struct span_range *row = &plan->rows.at[i];
        uint32_t at;
        if (plan->is_free[i])
            continue;
        if (empty_spans(w, row->from, row->count, 1, &at))
            made += row->count;
        else
            *stays = at;
    }
    w->also_avoided = NULL;
    return made;
}

/* Makes what is lacking of the runs. Returns how many spans it emptied. *is_there: nothing is
 * lacking, if another writer takes none of it. */
static uint32_t make_runs(struct writer *w, const struct runs *runs, const struct limit *limit, int *is_there) {
    struct pinned pinned = {0};
    struct windows plan;
    uint32_t made = 0;
    while (pinned.count < WINDOWS_TRIED && !is_stopped(w) && !is_late(limit)) {
        int64_t stays;
        int to_empty = windows_plan(w->seg, runs, &pinned, &plan);
        *is_there = to_empty == 0;
        if (to_empty <= 0)
            break;
        made += empty_windows(w, &plan, limit, &stays);
        if (stays >= 0)
            pinned.at[pinned.count++] = (uint32_t)stays;
        else if (made)
            heap_trim(w);
    }
    return made;
}

int table_compact_is_done(struct writer *w, const struct runs *runs) {
    const struct pinned none = {0};
    struct windows plan;
    uint32_t has = free_runs_count(w->seg);
    return has >= runs->total + span_kept_count(w->seg, 0) && windows_plan(w->seg, runs, &none, &plan) == 0;
}

/* ---- Both ------------------------------------------------------------------------------------ */

static uint32_t compact(struct writer *w, const struct runs *runs, const struct limit *limit, int *is_there) {
    uint32_t needed = runs->total + span_kept_count(w->seg, 0), has = free_runs_count(w->seg), made = 0;
    *is_there = has >= needed && !runs->count;
    if (has >= needed && runs->count)
        made = make_runs(w, runs, limit, is_there);
    if (made == 0 && !is_stopped(w))
        made = table_compact_spans(w, has < needed && needed - has > FREED_AT_ONCE ? needed - has : FREED_AT_ONCE);
    if (made == 0 && !is_stopped(w))
        made = end_all_loans(w);
    return made;
}

/* Blocks that were given back, roughly: items that were removed. */
static uint64_t count_removed(const struct seg *s) {
    uint64_t count = SHM_LOAD_RELAXED(&s->shm->evicted);
    for (uint32_t i = 0; i < s->slot_count; i++)
        count += SHM_LOAD_RELAXED(&seg_slot(s, i)->deletes) + SHM_LOAD_RELAXED(&seg_slot(s, i)->expired);
    return count;
}

/* Whether a search for so much found nothing a moment ago, and nothing has changed much. */
static int is_hopeless(const struct writer *w, uint64_t bytes, uint64_t now_ns) {
    return now_ns < w->compact_not_before_ns && bytes >= w->compact_lacked &&
           count_removed(w->seg) - w->compact_removed < REMOVED_FOR_HOPE &&
           free_runs_count(w->seg) < w->compact_free_spans + FREED_FOR_HOPE;
}

void table_compact_pause(struct writer *w, uint64_t bytes, uint64_t worked_ns) {
    w->compact_not_before_ns = wait_now_ns() + worked_ns * IDLE_FACTOR;
    w->compact_lacked = bytes;
    w->compact_removed = count_removed(w->seg);
    w->compact_free_spans = free_runs_count(w->seg);
}

uint32_t table_compact(struct writer *w, const struct runs *runs, uint64_t limit_ns, int *is_there) {
    uint64_t need_bytes = w->need_bytes, asked_bytes = w->asked_bytes, bytes = (uint64_t)runs->total * SPAN_BYTES;
    struct limit limit = {wait_work_now(), limit_ns};
    *is_there = 0;
    if (is_hopeless(w, bytes, limit.begin.wall_ns))
        return 0;
    uint32_t made = compact(w, runs, &limit, is_there);
    w->need_bytes = need_bytes; /* the call's: a move may have lacked something itself */
    w->asked_bytes = asked_bytes;
    if (made == 0 && !*is_there && !is_late(&limit)) /* it has looked everywhere */
        table_compact_pause(w, bytes, wait_worked_ns(&limit.begin));
    return made;
}

void table_compact_ahead(struct writer *w) {
    const struct seg *s = w->seg;
    uint32_t kept = span_kept_count(s, 0);
    if (SHM_LOAD(&s->shm->claimed_bytes) < span_off(s, s->span_count) ||
        free_runs_count(s) >= kept + s->span_count / SPANS_AHEAD || is_hopeless(w, SPAN_BYTES, wait_now_ns()))
        return;
    struct wait_work begin = wait_work_now();
    if (table_compact_spans(w, FREED_AT_ONCE) == 0)
        table_compact_pause(w, SPAN_BYTES, wait_worked_ns(&begin));
}

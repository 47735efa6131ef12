/* core/table/windows.c - see windows.h. */
#include "core/table/windows.h"

#include "core/memory/heap.h"
#include "core/memory/heap_span.h"

/* ---- What is needed -------------------------------------------------------------------------- */

static void insert_length(struct runs *runs, uint32_t length) {
    uint32_t at = runs->count;
    if (at >= SPAN_RANGES_MAX)
        return;
    for (; at > 0 && runs->length[at - 1] < length; at--)
        runs->length[at] = runs->length[at - 1];
    runs->length[at] = length;
    runs->count++;
}

/* Blocks of up to half a span share spans. */
static void add(struct runs *runs, uint64_t bytes) {
    uint32_t length = (uint32_t)((bytes + SPAN_BYTES - 1) / SPAN_BYTES);
    uint64_t small = runs->small_bytes;
    if (length > 1)
        insert_length(runs, length);
    if (heap_round(bytes, 0) < SPAN_BYTES) {
        runs->small_bytes += heap_round(bytes, 0);
        length = (uint32_t)((runs->small_bytes + SPAN_BYTES - 1) / SPAN_BYTES - (small + SPAN_BYTES - 1) / SPAN_BYTES);
    }
    runs->total += length;
}

void runs_add(struct runs *runs, uint64_t bytes) {
    if (runs->count < RUNS_MAX + runs->extra)
        add(runs, bytes);
}

void runs_clear(struct runs *runs) {
    runs->count = runs->total = 0;
    runs->small_bytes = 0;
    for (uint32_t i = 0; i < runs->extra; i++)
        add(runs, (uint64_t)runs->extra_length * SPAN_BYTES);
}

int runs_ask_again(struct runs *runs, uint64_t bytes) {
    uint32_t length = (uint32_t)((bytes + SPAN_BYTES - 1) / SPAN_BYTES);
    if (runs->extra >= RUNS_EXTRA_MAX)
        return 0;
    if (runs->extra_length < length)
        runs->extra_length = length;
    runs->extra++;
    add(runs, (uint64_t)runs->extra_length * SPAN_BYTES);
    return 1;
}

/* ---- A plan ---------------------------------------------------------------------------------- */

struct planning {
    const struct seg *s;
    const struct runs *runs;
    const struct pinned *pinned;
    struct windows *plan;
    uint8_t is_placed[SPAN_RANGES_MAX]; /* by the numbers of runs->length */
    uint32_t left;                      /* those that are not placed */
};

static void insert_window(struct windows *plan, uint32_t from, uint32_t count, int is_free) {
    struct span_ranges *rows = &plan->rows;
    uint32_t at = span_ranges_before(rows, from);
    memmove(rows->at + at + 1, rows->at + at, (rows->count - at) * sizeof *rows->at);
    memmove(plan->is_free + at + 1, plan->is_free + at, rows->count - at);
    rows->at[at] = (struct span_range){from, count};
    plan->is_free[at] = (uint8_t)is_free;
    rows->count++;
}

static void place(struct planning *p, uint32_t k, uint32_t from, int is_free) {
    insert_window(p->plan, from, p->runs->length[k], is_free);
    p->is_placed[k] = 1;
    p->left--;
}

/* The shortest that has to be placed. */
static uint32_t shortest(const struct planning *p) {
    for (uint32_t k = p->runs->count; k-- > 0;)
        if (!p->is_placed[k])
            return p->runs->length[k];
    return UINT32_MAX;
}

/* Puts as much as fits into a free run, the longest first. */
static void fill(struct planning *p, uint32_t from, uint32_t count) {
    for (uint32_t k = 0; k < p->runs->count; k++)
        if (!p->is_placed[k] && p->runs->length[k] <= count) {
            place(p, k, from, 1);
            from += p->runs->length[k];
            count -= p->runs->length[k];
        }
}

static void use_what_is_free(struct planning *p) {
    uint32_t spans = span_claimed_count(p->s), least = shortest(p);
    for (uint32_t i = 0, count; i < spans && p->left; i += count + 1) {
        for (count = 0; i + count < spans && SHM_LOAD(&seg_span(p->s, i + count)->state) == SPAN_FREE;)
            count++;
        if (count < least)
            continue;
        fill(p, i, count);
        least = shortest(p);
    }
}

/* What it costs to empty a span, in bytes. */
static uint32_t cost_of(const struct seg *s, uint32_t i) {
    const struct span_shm *span = seg_span(s, i);
    uint32_t class_index = SHM_LOAD_RELAXED(&span->class_index);
    switch (SHM_LOAD(&span->state)) {
    case SPAN_FREE:
        return 0;
    case SPAN_SMALL: /* each block costs a search, too */
        return class_index < CLASS_COUNT ? SHM_LOAD_RELAXED(&span->used) * (heap_class_bytes(class_index) + 256)
                                         : SPAN_BYTES;
    default: /* a run needs another one */
        return 3 * SPAN_BYTES;
    }
}

static int is_pinned(const struct pinned *pinned, uint32_t span) {
    for (uint32_t i = 0; i < pinned->count; i++)
        if (pinned->at[i] == span)
            return 1;
    return 0;
}

/* Spans from i on that no window of `count` spans may have: a planned row; a run as long as the
 * window, since it could only be moved to another free one; a pinned span. */
static uint32_t obstacle_spans(const struct planning *p, uint32_t i, uint32_t count) {
    const struct span_ranges *rows = &p->plan->rows;
    uint32_t before = span_ranges_before(rows, i);
    if (before && i - rows->at[before - 1].from < rows->at[before - 1].count)
        return rows->at[before - 1].from + rows->at[before - 1].count - i;
    const struct span_shm *span = seg_span(p->s, i);
    uint32_t run = SHM_LOAD(&span->state) == SPAN_RUN ? SHM_LOAD_RELAXED(&span->next) : 0;
    if (run >= count)
        return run;
    return is_pinned(p->pinned, i);
}

/* The cheapest windows that were seen, the cheapest first. */
struct cheapest {
    uint32_t wanted, count;
    struct {
        uint64_t cost;
        uint32_t from;
    } at[SPAN_RANGES_MAX];
};

static void keep_if_cheap(struct cheapest *c, uint32_t from, uint64_t cost) {
    if (c->count == c->wanted && cost >= c->at[c->count - 1].cost)
        return;
    uint32_t at = c->count < c->wanted ? c->count++ : c->count - 1;
    for (; at > 0 && c->at[at - 1].cost > cost; at--)
        c->at[at] = c->at[at - 1];
    c->at[at].from = from;
    c->at[at].cost = cost;
}

/* The windows that are least work to empty. They do not overlap, and the first begins behind an
 * obstacle: so runs of equal length are made side by side, without gaps that are too short for
 * another one. */
static void find_windows(const struct planning *p, uint32_t count, struct cheapest *c) {
    uint32_t spans = span_claimed_count(p->s), from = 0;
    uint64_t cost = 0;
    for (uint32_t i = 0; i < spans;) {
        uint32_t obstacle = obstacle_spans(p, i, count);
        cost = obstacle ? 0 : cost + cost_of(p->s, i);
        i += obstacle ? obstacle : 1;
        if (!obstacle && i - from < count)
            continue;
        if (!obstacle)
            keep_if_cheap(c, from, cost);
        from = i;
        cost = 0;
    }
}

/* Places all runs as long as the k-th, which is not placed. False: there are too few windows. */
static int place_length(struct planning *p, uint32_t k) {
    uint32_t length = p->runs->length[k];
    struct cheapest c = {0};
    for (uint32_t i = k; i < p->runs->count && p->runs->length[i] == length; i++)
        c.wanted += !p->is_placed[i];
    find_windows(p, length, &c);
    if (c.count < c.wanted)
        return 0;
    for (uint32_t n = 0; n < c.count; k++)
        if (!p->is_placed[k])
            place(p, k, c.at[n++].from, 0);
    return 1;
}

int windows_plan(const struct seg *s, const struct runs *runs, const struct pinned *pinned, struct windows *plan) {
    struct planning p = {.s = s, .runs = runs, .pinned = pinned, .plan = plan, .left = runs->count};
    plan->rows.count = 0;
    use_what_is_free(&p);
    int to_empty = (int)p.left;
    for (uint32_t k = 0; k < runs->count; k++)
        if (!p.is_placed[k] && !place_length(&p, k))
            return -1;
    return to_empty;
}

/* core/memory/free_runs.c - free spans, as lists of runs by length. See free_runs.h. */
#include "core/memory/free_runs.h"
#include "core/memory/heap_span.h"

/* The words of a free span's descriptor. A number is that of a span, + 1 where 0 means none. */
enum free_word {
    FREE_COUNT,   /* in the first span of a run: its length */
    FREE_FIRST,   /* in the last span of a run: number of the first */
    FREE_LONGER,  /* in the run that is in the list: number + 1 of the next one in the list */
    FREE_SHORTER, /* number + 1 of the one before it; 0: it is the first */
};

static uint64_t word_of(const struct span_shm *span, enum free_word word) {
    return SHM_LOAD_RELAXED(&span->bitmap[word]);
}

/* Stores only what changes: most links of most runs are 0, and stay so. */
static void put_word(struct span_shm *span, enum free_word word, uint64_t value) {
    if (word_of(span, word) != value)
        SHM_STORE(&span->bitmap[word], value);
}

static int is_free(const struct seg *s, uint32_t i) {
    return SHM_LOAD_RELAXED(&seg_span(s, i)->state) == SPAN_FREE;
}

static _Atomic uint32_t *list_of(const struct seg *s, uint32_t count) {
    uint32_t k = 31 - (uint32_t)__builtin_clz(count);
    return &s->shm->free_list[k < FREE_LISTS ? k : FREE_LISTS - 1];
}

/* The run at a number + 1. NULL: none can be there (rule F3). */
static struct span_shm *run_at(const struct seg *s, uint64_t number, uint32_t *count) {
    uint32_t claimed = span_claimed_count(s);
    if (number == 0 || number > claimed)
        return NULL;
    struct span_shm *span = seg_span(s, (uint32_t)number - 1);
    uint64_t spans = word_of(span, FREE_COUNT);
    if (SHM_LOAD_RELAXED(&span->state) != SPAN_FREE || spans == 0 || spans > claimed - (number - 1))
        return NULL;
    *count = (uint32_t)spans;
    return span;
}

/* Whether a number + 1 is 0 or that of a free span. Whatever the lists say, only descriptors of
 * free spans are written to. */
static int may_link(const struct seg *s, uint64_t number) {
    return number == 0 || (number <= span_claimed_count(s) && is_free(s, (uint32_t)number - 1));
}

/* The place in a list for a run of at least `count` spans. */
struct place {
    _Atomic uint32_t *list;
    uint32_t shorter, at; /* numbers + 1; at: 0 at the end of the list */
    struct span_shm *run;
    uint32_t run_count; /* of the run at `at` */
};

/* False: the lists are wrong. */
static int find_place(const struct seg *s, _Atomic uint32_t *list, uint32_t count, struct place *place) {
    uint32_t before = 0;
    *place = (struct place){.list = list, .at = SHM_LOAD_RELAXED(list)};
    while (place->at != 0) {
        place->run = run_at(s, place->at, &place->run_count);
        if (!place->run || place->run_count <= before) /* lengths rise, so this ends */
            return 0;
        if (place->run_count >= count)
            return 1;
        before = place->run_count;
        place->shorter = place->at;
        place->at = (uint32_t)word_of(place->run, FREE_LONGER);
    }
    return 1;
}

/* Makes the run at `number` (0: the end) follow the one at `shorter` (0: the list itself). */
static void link_runs(const struct seg *s, _Atomic uint32_t *list, uint32_t shorter, uint32_t number) {
    if (number)
        put_word(seg_span(s, number - 1), FREE_SHORTER, shorter);
    if (shorter)
        put_word(seg_span(s, shorter - 1), FREE_LONGER, number);
    else
        SHM_PUT(list, number);
}

/* A run whose length the list has goes into the chain, second. Another one goes between a shorter
 * and a longer run. */
static int insert(const struct seg *s, uint32_t first, uint32_t count) {
    struct span_shm *run = seg_span(s, first);
    struct place place;
    if (!is_free(s, first) || !is_free(s, first + count - 1) || !find_place(s, list_of(s, count), count, &place))
        return 0; /* a span that is not free: the list has a wrong length */
    put_word(run, FREE_COUNT, count);
    put_word(seg_span(s, first + count - 1), FREE_FIRST, first);
    int is_second = place.at != 0 && place.run_count == count;
    uint32_t next = is_second ? SHM_LOAD_RELAXED(&place.run->next) : 0;
    if (!may_link(s, next))
        return 0;
    SHM_PUT(&run->next, next);
    SHM_PUT(&run->prev, is_second ? place.at : 0);
    if (next)
        SHM_PUT(&seg_span(s, next - 1)->prev, first + 1);
    if (is_second)
        SHM_PUT(&place.run->next, first + 1);
    else {
        link_runs(s, place.list, first + 1, place.at);
        link_runs(s, place.list, place.shorter, first + 1);
    }
    return 1;
}

/* Takes the run at `number` out of its list or chain. False: the lists are wrong. */
static int take_out(const struct seg *s, uint32_t number) {
    uint32_t count, other = 0;
    struct span_shm *run = run_at(s, number, &count);
    if (!run)
        return 0;
    uint32_t prev = SHM_LOAD_RELAXED(&run->prev), next = SHM_LOAD_RELAXED(&run->next);
    struct span_shm *successor = next ? run_at(s, next, &other) : NULL;
    uint64_t longer = prev ? 0 : word_of(run, FREE_LONGER), shorter = prev ? 0 : word_of(run, FREE_SHORTER);
    if (!may_link(s, prev) || !may_link(s, longer) || !may_link(s, shorter) || (next && (!successor || other != count)))
        return 0;
    if (successor)
        SHM_PUT(&successor->prev, prev);
    if (prev) {
        SHM_PUT(&seg_span(s, prev - 1)->next, next);
        return 1;
    }
    _Atomic uint32_t *list = list_of(s, count);
    if (successor) {
        link_runs(s, list, next, (uint32_t)longer);
        link_runs(s, list, (uint32_t)shorter, next);
    } else
        link_runs(s, list, (uint32_t)shorter, (uint32_t)longer);
    return 1;
}

static int covers_all(const struct seg *s) {
    return SHM_LOAD_RELAXED(&s->shm->free_listed) == span_claimed_count(s);
}

static void count_free(const struct seg *s, uint32_t by) {
    SHM_STORE(&s->shm->free_spans, SHM_LOAD_RELAXED(&s->shm->free_spans) + by);
}

void free_runs_rebuild(const struct seg *s) {
    uint32_t claimed = span_claimed_count(s), spans = 0;
    for (unsigned k = 0; k < FREE_LISTS; k++)
        SHM_PUT(&s->shm->free_list[k], 0);
    for (uint32_t i = 0, count; i < claimed; i += count + 1) {
        for (count = 0; i + count < claimed && is_free(s, i + count);)
            count++;
        if (count)
            (void)insert(s, i, count); /* cannot fail: all that it meets was inserted just now */
        spans += count;
    }
    SHM_PUT(&s->shm->free_spans, spans);
    SHM_PUT(&s->shm->free_listed, claimed);
}

/* The shortest run of at least `count` spans. Of several with its length, one from the chain:
 * taking that is less work. *number 0: there is none. False: the lists are wrong. */
static int find_run(const struct seg *s, uint32_t count, uint32_t *number, uint32_t *found) {
    struct place place;
    *number = 0;
    for (_Atomic uint32_t *list = list_of(s, count); list < s->shm->free_list + FREE_LISTS; list++) {
        if (!find_place(s, list, count, &place))
            return 0;
        if (place.at == 0)
            continue;
        uint32_t next = SHM_LOAD_RELAXED(&place.run->next);
        *number = next ? next : place.at;
        *found = place.run_count;
        return 1;
    }
    return 1;
}

/* Takes `count` spans of the run at `number`, which has `found`. *first -1: number is 0, or too few
 * would be left. False: the lists are wrong. */
static int take_of(const struct seg *s, uint32_t number, uint32_t found, uint32_t count, uint32_t kept,
                   int64_t *first) {
    uint32_t other, free_spans = SHM_LOAD_RELAXED(&s->shm->free_spans);
    *first = -1;
    if (number == 0 || free_spans < count || free_spans - count < kept)
        return 1;
    if (!run_at(s, number, &other) || other != found)
        return 0;
    for (uint32_t i = 0; i < count; i++)
        if (!is_free(s, number - 1 + i))
            return 0;
    if (!take_out(s, number) || (found > count && !insert(s, number - 1 + count, found - count)))
        return 0;
    count_free(s, -count);
    *first = number - 1;
    return 1;
}

/* *first -1: there is no such run. False: the lists are wrong. */
static int try_take(const struct seg *s, uint32_t count, uint32_t kept, int64_t *first) {
    uint32_t number, found = 0;
    *first = -1;
    return covers_all(s) && find_run(s, count, &number, &found) && take_of(s, number, found, count, kept, first);
}

int64_t free_runs_take(const struct seg *s, uint32_t count, uint32_t kept) {
    int64_t first = -1;
    if (count == 0 || try_take(s, count, kept, &first))
        return first;
    free_runs_rebuild(s);
    return try_take(s, count, kept, &first) ? first : -1;
}

/* The avoided spans are few, and so are the runs among them. */
#define RUNS_LOOKED_AT 256u

int64_t free_runs_take_outside(const struct seg *s, uint32_t count, uint32_t kept, uint32_t from, uint32_t avoided,
                               const struct span_ranges *also) {
    uint32_t looks = 0, found, longer;
    int64_t first = -1;
    if (!covers_all(s))
        free_runs_rebuild(s);
    for (_Atomic uint32_t *list = list_of(s, count); list < s->shm->free_list + FREE_LISTS; list++)
        for (uint32_t at = SHM_LOAD_RELAXED(list); at != 0; at = longer) {
            const struct span_shm *run = run_at(s, at, &found);
            longer = run ? (uint32_t)word_of(run, FREE_LONGER) : 0;
            for (uint32_t same = at; (run = run_at(s, same, &found)) && found >= count;) {
                int is_outside = same - 1 >= from + avoided || same - 1 + found <= from;
                if (is_outside && !(also && span_ranges_meet(also, same - 1, found)))
                    return take_of(s, same, found, count, kept, &first) ? first : -1;
                if (++looks > RUNS_LOOKED_AT)
                    return -1;
                same = SHM_LOAD_RELAXED(&run->next);
            }
        }
    return -1;
}

int free_runs_has(const struct seg *s, uint32_t count) {
    uint32_t number, found;
    return covers_all(s) && find_run(s, count, &number, &found) && number != 0;
}

/* False: the lists are wrong. */
static int try_give(const struct seg *s, uint32_t first, uint32_t count) {
    uint32_t end = first + count, beside;
    if (!covers_all(s))
        return 0;
    if (first > 0 && is_free(s, first - 1)) {
        uint64_t before = word_of(seg_span(s, first - 1), FREE_FIRST);
        if (!run_at(s, before + 1, &beside) || before + beside != first || !take_out(s, (uint32_t)before + 1))
            return 0;
        first = (uint32_t)before;
    }
    if (end < span_claimed_count(s) && is_free(s, end)) {
        if (!run_at(s, end + 1, &beside) || !take_out(s, end + 1))
            return 0;
        end += beside;
    }
    if (!insert(s, first, end - first))
        return 0;
    count_free(s, count);
    return 1;
}

void free_runs_give(const struct seg *s, uint32_t first, uint32_t count) {
    if (!try_give(s, first, count))
        free_runs_rebuild(s);
}

void free_runs_grow(const struct seg *s, uint32_t before) {
    uint32_t claimed = span_claimed_count(s);
    if (SHM_LOAD_RELAXED(&s->shm->free_listed) == before) {
        SHM_STORE(&s->shm->free_listed, claimed);
        free_runs_give(s, before, claimed - before);
    }
}

uint32_t free_runs_count(const struct seg *s) {
    /* unknown: the caller has to look */
    return covers_all(s) ? SHM_LOAD_RELAXED(&s->shm->free_spans) : UINT32_MAX;
}

/* ---- Check ----------------------------------------------------------------------------------- */

/* Counts the runs in list k and its chains. -1: something is wrong at *span. */
static int64_t count_list(const struct seg *s, unsigned k, uint32_t *span) {
    uint32_t shorter = 0, count = 0, before = 0, other, claimed = span_claimed_count(s);
    int64_t runs = 0;
    for (uint32_t at = SHM_LOAD(&s->shm->free_list[k]); at != 0; before = count) {
        const struct span_shm *run = run_at(s, at, &count);
        *span = at - 1;
        if (!run || count <= before || list_of(s, count) != &s->shm->free_list[k] ||
            word_of(run, FREE_SHORTER) != shorter || SHM_LOAD_RELAXED(&run->prev) != 0)
            return -1;
        shorter = at;
        for (uint32_t prev = 0; at != 0; runs++) {
            const struct span_shm *same = run_at(s, at, &other);
            *span = at - 1;
            if (!same || other != count || SHM_LOAD_RELAXED(&same->prev) != prev || runs > claimed)
                return -1;
            prev = at;
            at = SHM_LOAD_RELAXED(&same->next);
        }
        at = (uint32_t)word_of(run, FREE_LONGER);
    }
    return runs;
}

const char *free_runs_check(const struct seg *s, uint32_t *span) {
    uint32_t claimed = span_claimed_count(s), spans = 0, number;
    int64_t runs = 0, listed = 0;
    *span = 0;
    if (!covers_all(s))
        return NULL;
    for (uint32_t i = 0, count; i < claimed; i += count + 1) {
        for (count = 0; i + count < claimed && is_free(s, i + count);)
            count++;
        *span = i;
        if (count && (!run_at(s, (uint64_t)i + 1, &number) || number != count ||
                      word_of(seg_span(s, i + count - 1), FREE_FIRST) != i))
            return "begins or ends a run of free spans, and says otherwise (F1)";
        runs += count != 0;
        spans += count;
    }
    for (unsigned k = 0; k < FREE_LISTS; k++) {
        int64_t in_list = count_list(s, k, span);
        if (in_list < 0)
            return "is where a list of free spans goes wrong (F2)";
        listed += in_list;
    }
    *span = 0;
    if (listed != runs)
        return "and those after it have more or fewer free runs than are listed (F1)";
    return spans == SHM_LOAD(&s->shm->free_spans) ? NULL : "and those after it are counted wrong when they are free";
}

/* bench/replay.c - see replay.h. */
#include "bench/replay.h"
#include "bench/fail.h"
#include <stdlib.h>
#include <string.h>

#define NO_CORE 0u /* of a lock word: else core + 1 */

void replay_add(struct replay_stream *s, const struct replay_event *e) {
    if (s->count == s->room) {
        s->room = s->room ? s->room * 2 : 1024;
        s->event = realloc(s->event, s->room * sizeof *e);
        if (!s->event)
            fail("no memory for a trace");
    }
    s->event[s->count++] = *e;
}

void replay_free(struct replay_stream *s) {
    free(s->event);
    *s = (struct replay_stream){0};
}

struct place {
    double free_at_ns, busy_ns; /* of the line */
    double locked_at_ns, locked_ns;
    uint8_t owner[COHERENCE_LINE_BYTES / 4]; /* of the lock in each word */
};

struct core {
    const struct replay_stream *stream;
    size_t at;
    double ns;
    int is_waiting, has_arrived; /* at its next event: its instructions are counted */
    double arrived_ns;
    uint32_t wait_line;
    unsigned wait_word;
};

struct replay {
    struct coherence *caches;
    struct place *place; /* by line */
    struct core core[COHERENCE_CORES_MAX];
    unsigned cores;
    struct replay_result *out;
};

static int is_store(const struct replay_event *e) {
    return e->kind != REPLAY_LOAD;
}

static int is_slow(enum coherence_kind kind) {
    return kind > COHERENCE_SHARE;
}

/* Of R2: whether others have to wait for the line meanwhile. */
static int is_exclusive(enum coherence_kind kind) {
    return kind > COHERENCE_AGAIN;
}

static void access_line(struct replay *r, unsigned i, const struct replay_event *e) {
    struct core *core = &r->core[i];
    struct place *place = &r->place[e->line];
    enum coherence_kind kind = coherence_access(r->caches, i, e->line, e->words, is_store(e), e->tag);
    r->out->kind[kind]++;
    r->out->tag[e->tag].kind[kind]++;
    if (!is_slow(kind))
        return;
    double start_ns = place->free_at_ns > core->ns ? place->free_at_ns : core->ns;
    core->ns = start_ns + REPLAY_TRANSFER_NS;
    if (is_exclusive(kind)) {
        place->free_at_ns = core->ns;
        place->busy_ns += REPLAY_TRANSFER_NS;
    }
}

static unsigned word_of(const struct replay_event *e) {
    return (unsigned)__builtin_ctz(e->words);
}

/* True: another core has the lock, and this one waits from now on. */
static int waits(struct core *core, const struct place *place, const struct replay_event *e) {
    if (e->kind != REPLAY_LOCK || place->owner[word_of(e)] == NO_CORE)
        return 0;
    core->is_waiting = 1;
    core->wait_line = e->line;
    core->wait_word = word_of(e);
    return 1;
}

static void unlock(struct replay *r, struct core *mine, const struct replay_event *e) {
    struct place *place = &r->place[e->line];
    place->owner[word_of(e)] = NO_CORE;
    place->locked_ns += mine->ns - place->locked_at_ns;
    for (unsigned i = 0; i < r->cores; i++) {
        struct core *core = &r->core[i];
        if (!core->is_waiting || core->wait_line != e->line || core->wait_word != word_of(e))
            continue;
        core->is_waiting = 0;
        if (core->ns < mine->ns) {
            r->out->waited_ns += mine->ns - core->ns;
            core->ns = mine->ns;
        }
    }
}

/* Does the core's next event. True: a call has ended. */
static int step(struct replay *r, unsigned i) {
    struct core *core = &r->core[i];
    const struct replay_event *e = &core->stream->event[core->at];
    struct place *place = &r->place[e->line];
    if (!core->has_arrived) {
        core->ns += e->instructions * REPLAY_INSTRUCTION_NS;
        r->out->instructions += e->instructions;
        core->has_arrived = 1;
        core->arrived_ns = core->ns;
        return 0;
    }
    if (e->kind != REPLAY_CALL_ENDS && waits(core, place, e))
        return 0;
    core->at++;
    core->has_arrived = 0;
    if (e->kind == REPLAY_CALL_ENDS)
        return 1;
    if (e->kind == REPLAY_LOCK) {
        place->owner[word_of(e)] = (uint8_t)(i + 1);
        place->locked_at_ns = core->ns;
    }
    access_line(r, i, e);
    if (e->kind == REPLAY_UNLOCK)
        unlock(r, core, e);
    return 0;
}

/* At the same time the core comes first that waited longest. */
static int comes_before(const struct core *a, const struct core *b) {
    return a->ns < b->ns || (a->ns == b->ns && a->has_arrived && (!b->has_arrived || a->arrived_ns < b->arrived_ns));
}

/* R1. */
static unsigned next_core(const struct replay *r) {
    unsigned best = r->cores;
    for (unsigned i = 0; i < r->cores; i++)
        if (!r->core[i].is_waiting && (best == r->cores || comes_before(&r->core[i], &r->core[best])))
            best = i;
    if (best == r->cores)
        fail("replay: every core waits for a lock");
    return best;
}

/* R4. */
static void warm(struct replay *r) {
    for (unsigned i = 0; i < r->cores; i++) {
        while (r->core[i].at < r->core[i].stream->count && !step(r, i))
            if (r->core[i].is_waiting)
                fail("replay: the first call of core %u needs a lock that another call kept", i);
        if (r->core[i].at >= r->core[i].stream->count)
            fail("replay: core %u did one call at most", i);
    }
}

static void begin_count(struct replay *r, uint32_t lines, uint32_t tags) {
    struct replay_tag *tag = r->out->tag;
    memset(tag, 0, tags * sizeof *tag);
    *r->out = (struct replay_result){.tag = tag};
    coherence_count_again(r->caches);
    for (uint32_t i = 0; i < lines; i++)
        r->place[i].free_at_ns = r->place[i].busy_ns = r->place[i].locked_ns = 0;
    for (unsigned i = 0; i < r->cores; i++)
        r->core[i].ns = r->core[i].arrived_ns = 0;
}

/* Of the call that the core is in: the share of it that is done. */
static double part_done(const struct core *core) {
    const struct replay_event *e = core->stream->event;
    size_t begin = core->at, end = core->at;
    while (begin > 0 && e[begin - 1].kind != REPLAY_CALL_ENDS)
        begin--;
    while (end < core->stream->count && e[end].kind != REPLAY_CALL_ENDS)
        end++;
    return end > begin ? (double)(core->at - begin) / (double)(end + 1 - begin) : 0;
}

static void find_busiest(struct replay *r, uint32_t lines) {
    for (uint32_t i = 0; i < lines; i++) {
        if (r->place[i].busy_ns > r->out->line_ns) {
            r->out->line_ns = r->place[i].busy_ns;
            r->out->line = i;
        }
        if (r->place[i].locked_ns > r->out->lock_ns) {
            r->out->lock_ns = r->place[i].locked_ns;
            r->out->lock_line = i;
        }
    }
}

void replay_run(const struct replay_stream *streams, unsigned cores, uint32_t lines, uint32_t tags,
                struct replay_result *out) {
    struct replay r = {.cores = cores, .out = out, .place = calloc(lines + 1, sizeof *r.place)};
    out->tag = calloc(tags + 1, sizeof *out->tag);
    if (!r.place || !out->tag)
        fail("no memory for a replay");
    r.caches = coherence_new(cores, lines, tags);
    for (unsigned i = 0; i < cores; i++)
        r.core[i].stream = &streams[i];
    warm(&r);
    begin_count(&r, lines, tags);
    for (unsigned i = next_core(&r); r.core[i].at < r.core[i].stream->count; i = next_core(&r)) {
        out->calls += step(&r, i);
        if (r.core[i].ns > out->ns)
            out->ns = r.core[i].ns;
    }
    for (unsigned i = 0; i < cores; i++)
        out->calls += part_done(&r.core[i]);
    for (uint32_t i = 0; i < tags; i++)
        out->tag[i].is_false = coherence_false(r.caches, i);
    find_busiest(&r, lines);
    coherence_free(r.caches);
    free(r.place);
}

void replay_result_free(struct replay_result *r) {
    free(r->tag);
    r->tag = NULL;
}

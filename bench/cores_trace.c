/* bench/cores_trace.c - see cores_trace.h. */
#include "bench/cores_trace.h"
#include "bench/fail.h"
#include <string.h>
#include <unistd.h>

#define LOCKS (sizeof((struct trace *)0)->held / sizeof(uint64_t))

static uint32_t line_number(struct trace *t, uint64_t line) {
    if (t->number[line])
        return t->number[line] - 1;
    if (t->line_count == t->line_room) {
        t->line_room = t->line_room ? t->line_room * 2 : 4096;
        t->line_off = realloc(t->line_off, t->line_room * sizeof *t->line_off);
        if (!t->line_off)
            fail("no memory");
    }
    t->line_off[t->line_count] = line;
    t->number[line] = ++t->line_count;
    return t->line_count - 1;
}

/* A lock word was changed: taken, if the call does not hold it, else dropped. Each call runs alone,
 * so none is taken in vain. */
static enum replay_kind turn_lock(struct trace *t, uint64_t off) {
    for (unsigned i = 0; i < LOCKS; i++)
        if (t->held[i] == off) {
            t->held[i] = 0;
            return REPLAY_UNLOCK;
        }
    for (unsigned i = 0; i < LOCKS; i++)
        if (t->held[i] == 0) {
            t->held[i] = off;
            return REPLAY_LOCK;
        }
    fail("cores: a call holds too many locks");
}

static void add_event(struct trace *t, struct replay_event e) {
    e.instructions = t->instructions;
    t->instructions = 0;
    replay_add(&t->stream[t->core], &e);
}

/* what: 'L', 'S' or 'M', which is both. */
static void see_access(struct trace *t, char what, uint64_t address, uint32_t bytes) {
    uint64_t off = address - t->bases.base[t->core], end = off + bytes;
    if (off >= t->bases.bytes)
        return; /* private memory */
    int is_lock = what == 'M' && bytes == 4 && names_is_lock(t->names, off);
    while (off < end) {
        uint64_t line = off / COHERENCE_LINE_BYTES, next = (line + 1) * COHERENCE_LINE_BYTES;
        uint64_t last = (end < next ? end : next) - 1;
        unsigned from = (unsigned)(off % COHERENCE_LINE_BYTES / 4), to = (unsigned)(last % COHERENCE_LINE_BYTES / 4);
        struct replay_event e = {.line = line_number(t, line),
                                 .words = (uint16_t)((UINT32_C(2) << to) - (UINT32_C(1) << from)),
                                 .tag = names_at(t->names, off),
                                 .kind = what == 'L' ? REPLAY_LOAD : REPLAY_STORE};
        if (is_lock)
            e.kind = turn_lock(t, off);
        add_event(t, e);
        off = next;
    }
}

static void begin_call(struct trace *t, int core) {
    t->core = core;
    t->instructions = 0;
    memset(t->held, 0, sizeof t->held);
}

static void end_call(struct trace *t) {
    for (unsigned i = 0; i < LOCKS; i++)
        if (t->held[i])
            fail("cores: a call ended with the lock at %llu", (unsigned long long)t->held[i]);
    add_event(t, (struct replay_event){.kind = REPLAY_CALL_ENDS});
    t->core = -1;
}

/* "28010c030,8": the address and the bytes. */
static uint64_t parse(const char *text, uint32_t *bytes) {
    char *end;
    uint64_t address = strtoull(text, &end, 16);
    *bytes = *end == ',' ? (uint32_t)strtoul(end + 1, NULL, 10) : 0;
    return address;
}

/* Waits until the child has done what it was let do; or lets it go on. */
static void hear(const struct trace *t) {
    char done;
    if (read(t->from_child, &done, 1) != 1)
        fail("cores: the traced child is gone");
}
static void let_go(const struct trace *t) {
    if (write(t->to_child, "", 1) != 1)
        fail("cores: the traced child is gone");
}

/* Empties the file. Lackey goes on writing where it was. */
static void skip_lines(const struct trace *t) {
    if (fseek(t->lines, 0, SEEK_END) || ftruncate(fileno(t->lines), 0))
        fail("cores: the trace cannot be emptied");
}

void trace_begin(struct trace *t) {
    if (read(t->from_child, &t->bases, sizeof t->bases) != sizeof t->bases)
        fail("cores: the traced child says nothing");
    t->number = calloc(t->bases.bytes / COHERENCE_LINE_BYTES, sizeof *t->number);
    if (!t->number)
        fail("no memory");
}

static void see_line(struct trace *t, const char *line) {
    uint32_t bytes;
    if (line[0] == 'I') {
        t->instructions++;
        return;
    }
    if (line[0] != ' ' || !strchr("LSM", line[1]) || line[2] != ' ')
        return;
    uint64_t address = parse(line + 3, &bytes), mark = address - CORES_MARKS;
    if (mark < CORES_MARKS_BYTES && mark >= CORES_MARK_CALL_ENDS)
        end_call(t);
    else if (mark < CORES_MARKS_BYTES)
        begin_call(t, (int)(mark - CORES_MARK_CALL_BEGINS) / 8);
    else if (t->core >= 0)
        see_access(t, line[1], address, bytes);
}

static void forget_scene(struct trace *t) {
    for (uint32_t i = 0; i < t->line_count; i++)
        t->number[t->line_off[i]] = 0;
    t->line_count = 0;
    t->core = -1;
    for (unsigned i = 0; i < COHERENCE_CORES_MAX; i++)
        replay_free(&t->stream[i]);
}

void trace_read_scene(struct trace *t) {
    char line[256];
    forget_scene(t);
    hear(t);
    names_look(t->names);
    skip_lines(t);
    let_go(t);
    hear(t);
    while (fgets(line, sizeof line, t->lines))
        see_line(t, line);
    skip_lines(t);
    let_go(t);
}

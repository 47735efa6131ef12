/* bench/coherence.c - see coherence.h. */
#include "bench/coherence.h"
#include "bench/fail.h"
#include <stdlib.h>
#include <string.h>

struct line {
    uint64_t holders; /* bit per core */
    uint64_t lost;    /* cores that had it and lost it to a store */
    int is_modified;
    struct core_words {
        /* of the time that the core has had the line */
        uint16_t touched;
        /* by others, since the core had the line last */
        uint16_t written;
        /* at the moment it got the line: what others had written, and what they had touched */
        uint16_t then_written, then_touched;
        /* 0, or the tag + 1 of the access that got the line, as long as that counts as false */
        uint32_t false_tag;
    } core[COHERENCE_CORES_MAX];
};

struct coherence {
    unsigned cores;
    uint32_t lines, tags;
    struct line *line;
    uint64_t *false_count; /* by tag */
};

struct coherence *coherence_new(unsigned cores, uint32_t lines, uint32_t tags) {
    struct coherence *c = malloc(sizeof *c);
    if (!c)
        fail("no memory");
    *c = (struct coherence){cores, lines, tags, calloc(lines + 1, sizeof *c->line), calloc(tags + 1, 8)};
    if (!c->line || !c->false_count || cores > COHERENCE_CORES_MAX)
        fail("no memory for %u cache lines, or too many cores", lines);
    return c;
}

void coherence_free(struct coherence *c) {
    free(c->line);
    free(c->false_count);
    free(c);
}

/* What this core's access, or one after it, has in common with others: then sharing is true. */
static void judge(struct coherence *c, struct core_words *mine, uint16_t words, int is_store) {
    uint16_t theirs = is_store ? mine->then_written | mine->then_touched : mine->then_written;
    if (mine->false_tag == 0 || (words & theirs) == 0)
        return;
    c->false_count[mine->false_tag - 1]--;
    mine->false_tag = 0;
}

static enum coherence_kind kind_of(const struct line *line, uint64_t me, int is_store) {
    uint64_t others = line->holders & ~me;
    if (line->holders & me)
        return is_store && others ? COHERENCE_UPGRADE : COHERENCE_HIT;
    if (!others)
        return COHERENCE_MEMORY;
    if (line->is_modified)
        return is_store ? COHERENCE_STEAL : COHERENCE_FETCH;
    if (is_store)
        return COHERENCE_TAKE;
    return line->lost & me ? COHERENCE_AGAIN : COHERENCE_SHARE;
}

/* Every other core loses the line. Returns the words that they had touched. */
static uint16_t take_from_others(struct coherence *c, struct line *line, unsigned core) {
    uint16_t touched = 0;
    for (unsigned i = 0; i < c->cores; i++)
        if (i != core && (line->holders >> i & 1)) {
            touched |= line->core[i].touched;
            line->core[i].touched = 0;
            line->core[i].written = 0;
            line->core[i].false_tag = 0;
            line->lost |= UINT64_C(1) << i;
        }
    return touched;
}

enum coherence_kind coherence_access(struct coherence *c, unsigned core, uint32_t number, uint16_t words, int is_store,
                                     uint32_t tag) {
    struct line *line = &c->line[number];
    struct core_words *mine = &line->core[core];
    uint64_t me = UINT64_C(1) << core;
    enum coherence_kind kind = kind_of(line, me, is_store);
    uint16_t touched = is_store ? take_from_others(c, line, core) : 0;
    if (kind > COHERENCE_SHARE) {
        mine->false_tag = tag + 1;
        c->false_count[tag]++;
        mine->then_written = mine->written;
        mine->then_touched = touched;
    }
    judge(c, mine, words, is_store);
    if (kind != COHERENCE_HIT && kind != COHERENCE_UPGRADE)
        mine->written = 0;
    mine->touched |= words;
    if (is_store)
        for (unsigned i = 0; i < c->cores; i++)
            if (i != core)
                line->core[i].written |= words;
    line->is_modified = is_store || (line->is_modified && (line->holders & me));
    line->holders = is_store ? me : line->holders | me;
    return kind;
}

uint64_t coherence_false(const struct coherence *c, uint32_t tag) {
    return c->false_count[tag];
}

void coherence_count_again(struct coherence *c) {
    memset(c->false_count, 0, c->tags * sizeof *c->false_count);
    for (uint32_t i = 0; i < c->lines; i++)
        for (unsigned k = 0; k < c->cores; k++)
            c->line[i].core[k].false_tag = 0;
}

/* bench/coherence.h - which cache lines move between cores: MESI, with caches that never overflow.
 *
 * Job      Is told each load and store of each core, in one order. Says for each what it cost, and
 *          for each one that moved a line whether both cores needed the same bytes.
 * Idea     A line that misses again only because caches are small is no business of other cores. So
 *          a line leaves a cache only when another core writes to it.
 * Rules    N1 A line is modified or exclusive in one cache, or shared by several, or in none.
 *          N2 Sharing is false if from the moment that a core gets a line until it loses it, it
 *             reads no word that others wrote since it had it last, and writes none that its last
 *             holders read or wrote (Dubois et al. 1993, with the words of this line alone).
 * Tests    tests/unit/bench/coherence_test.c
 */
#ifndef LARDER_BENCH_COHERENCE_H
#define LARDER_BENCH_COHERENCE_H

#include <stdint.h>

#define COHERENCE_CORES_MAX 64u
#define COHERENCE_LINE_BYTES 64u

enum coherence_kind {
    COHERENCE_HIT,     /* the core has the line as it needs it */
    COHERENCE_MEMORY,  /* no cache has it */
    COHERENCE_SHARE,   /* a load; others have it unmodified, this core never had it */
    COHERENCE_AGAIN,   /* a load; others have it unmodified, this core lost it to a store */
    COHERENCE_FETCH,   /* a load of a line that another core has modified */
    COHERENCE_UPGRADE, /* a store to a line that it shares: the others lose it */
    COHERENCE_TAKE,    /* a store to a line that others have unmodified, and it has not */
    COHERENCE_STEAL,   /* a store to a line that another core has modified */
    COHERENCE_KINDS
};

struct coherence;

/* Lines are numbered from 0, tags too. A tag is what the caller counts by. */
struct coherence *coherence_new(unsigned cores, uint32_t lines, uint32_t tags);
void coherence_free(struct coherence *c);
/* words: bit i is the line's bytes 4 i to 4 i + 3. */
enum coherence_kind coherence_access(struct coherence *c, unsigned core, uint32_t line, uint16_t words, int is_store,
                                     uint32_t tag);
/* How many of the tag's accesses that moved a line were false sharing so far (N2). */
uint64_t coherence_false(const struct coherence *c, uint32_t tag);
/* Forgets these counts; the caches stay. */
void coherence_count_again(struct coherence *c);

#endif

/* tests/crash/repair_harm.h - single fields and whole structures of a segment, set wrong.
 *
 * Job      Each function damages one thing in a copy of the segment of repair_kit.h, through a
 *          mapping of its own.
 */
#ifndef LARDER_TESTS_CRASH_REPAIR_HARM_H
#define LARDER_TESTS_CRASH_REPAIR_HARM_H

#include "tests/crash/repair_kit.h"

/* A damage, and what a repair must report of it. */
struct exact {
    const char *name;
    void (*harm)(struct copy *c);
    int lost, mended; /* items; -1: any number */
    int tables_lost, locks_cleared, slots_cleared;
};

void harm_duplicate(struct copy *c);
void harm_slot_emptied(struct copy *c);
void harm_slot_nowhere(struct copy *c);
void harm_image(struct copy *c);
void harm_key_name(struct copy *c);
void harm_array(struct copy *c);
void harm_all_links(struct copy *c);
void harm_expiry(struct copy *c);
struct item_head *timed_item_of(const struct copy *c, int is_timed);
void harm_timed(struct copy *c);
void harm_timed_never(struct copy *c);
void harm_timed_zero(struct copy *c);
void harm_generation(struct copy *c);
void harm_hash(struct copy *c);
void harm_version(struct copy *c);
void harm_writes(struct copy *c);
void harm_writes_high(struct copy *c);
void harm_kseqs(struct copy *c);

/* The first block of a span says the next class, which may be true; all other blocks say that it is
 * not. */
void harm_span_class(struct copy *c);

/* Everything that can be rebuilt is damaged, all at once. */
void harm_all_caches(struct copy *c);
void harm_locks(struct copy *c);
void harm_slots(struct copy *c);
void harm_journals(struct copy *c);
void harm_life(struct copy *c);
void harm_definition(struct copy *c);
void harm_claimed_low(struct copy *c);
void harm_claimed_high(struct copy *c);
void harm_lists(struct copy *c);
void harm_heap(struct copy *c);
void harm_array_sizes(struct copy *c);
void harm_stripes(struct copy *c);
void harm_locks_and_slots(struct copy *c);

#endif

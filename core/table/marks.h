/* core/table/marks.h - which items of an evicting table were used, and how far eviction is.
 *
 * Job      A mark for each place where an item can lie: set when the item was read or written
 *          again, cleared when eviction passes it. Notes are the same in private memory: what this
 *          process has read and not published.
 * Picture  struct marks_shm | a hand per stripe | a bit per MARKS_UNIT_BYTES of the spans
 * Rules    A1 Every word but the magic is a hint: any value is valid. A lost mark costs a hit at
 *             most.
 *          A2 Marks and hands change only under the lock of a stripe of the table, with the gate
 *             open and the view current. So a repair, which closes the gate, may free the block:
 *             also that of an older library, which does not know it.
 *          A3 The block is made with the table's first setting, and stays with its catalog entry as
 *             stripes do.
 *          A4 A read stores in private memory only. A note whose item was replaced or has gone
 *             marks the next item in its place: no harm.
 * Memory   1/512 of the segment in it, and as much in each process that reads the table. No item
 *          grows.
 * Tests    tests/api/evict_marks_test.c, tests/crash/scenarios.c (evict, ..)
 */
#ifndef LARDER_TABLE_MARKS_H
#define LARDER_TABLE_MARKS_H

#include "core/memory/writer.h"
#include "core/table/table.h"

#define MARKS_MAGIC UINT64_C(0x736b72616d72644c) /* "Ldrmarks" */
#define MARKS_UNIT_BYTES 64u
#define MARKS_GROUP_WORDS 64u /* notes are published in groups of so many words */

struct marks_shm {
    uint64_t magic;
    /* struct larder_table_stats */
    shm_word evicted, evicted_bytes, age;
    uint64_t reserved[4];
    /* [stripe_count][marks_parts()]: where eviction goes on (core/table/evict.c); then the marks */
    shm_word hand[];
};
_Static_assert(sizeof(struct marks_shm) == 64, "marks_shm is part of the segment format");

struct notes {
    const uint8_t *first; /* of the spans */
    _Atomic uint64_t *word;
    _Atomic uint8_t *dirty; /* by group: has notes */
    uint32_t word_count, group_count;
    _Atomic uint32_t at;    /* the group that is published next */
    _Atomic uint8_t is_any; /* some group may be dirty */
};

/* Parts of a stripe, each with a hand of its own: so many that one has a few hundred items, if they
 * are small and stripes have their default number. */
#define MARKS_PART_BYTES (32u << 10)
#define MARKS_PARTS_MAX 64u
static inline uint32_t marks_parts(const struct seg *s) {
    uint64_t parts = s->bytes / s->stripe_count / MARKS_PART_BYTES;
    return parts < 1 ? 1 : parts > MARKS_PARTS_MAX ? MARKS_PARTS_MAX : (uint32_t)parts;
}
static inline uint64_t marks_hands(const struct seg *s) {
    return (uint64_t)s->stripe_count * marks_parts(s);
}
uint64_t marks_bytes(const struct seg *s);
/* Makes the block of an entry that has none; under the catalog lock. Results as heap_take(). */
int marks_make(struct writer *w, struct table_shm *t);
/* The block of a catalog entry. NULL: there is none, or it is damaged. */
struct marks_shm *marks_of(const struct seg *s, const struct table_shm *t);
/* For a new view, under db->mutex: sets marks and notes, if the table evicts. Without memory for
 * notes, reads do not count. */
void marks_attach(struct larder *db, struct table_view *v);

/* Rule A2 for these. The item at off is new, or was used. */
void marks_put(const struct table_view *v, uint64_t off, int is_used);
int marks_is_used(const struct table_view *v, uint64_t off);
/* Publishes what this process noted, up to so many groups. */
void marks_publish_locked(const struct table_view *v, uint32_t groups_max);
/* The same for all tables of the handle, taking the lock of a stripe of each. Passes over what is
 * locked. */
void marks_publish_all(struct writer *w);

/* Whether this process may have notes to publish. */
int marks_are_noted(const struct larder *db);

/* A read of the item in this block, which was in the segment a moment ago. */
void marks_note_new(struct notes *n, uint64_t unit);
static inline void marks_note_in(struct notes *n, const void *block) {
    if (__builtin_expect(n == NULL, 1))
        return;
    uint64_t unit = (uint64_t)((const uint8_t *)block - n->first) / MARKS_UNIT_BYTES;
    if (!(atomic_load_explicit(&n->word[unit / 64], memory_order_relaxed) >> unit % 64 & 1))
        marks_note_new(n, unit);
}
static inline void marks_note(const struct table_view *v, const void *block) {
    marks_note_in(v->notes, block);
}

#endif

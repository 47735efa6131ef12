/* tests/crash/repair_kit.h - the segment that the suites of larder_repair() damage, and the judge
 * of what is repaired.
 *
 * Job      A segment with 1,000 items, four lists each, timers and runs of spans is written once.
 *          Damage goes into copies of it through a mapping of its own. A repaired copy is judged by
 *          all paths, in a child with a deadline.
 */
#ifndef LARDER_TESTS_CRASH_REPAIR_KIT_H
#define LARDER_TESTS_CRASH_REPAIR_KIT_H

#include "core/table/db.h"
#include "larder.h"
#include "tests/support/slow.h"

#define SEGMENT_BYTES (8u << 20)
#define STRIPES 4u
#define DEADLINE_MS 20000
#define ITEMS 1000
#define PARTITIONS 7
#define ITEMS_SMALL 60 /* of the segments in which repairs die */

extern int64_t clock_s;
int is_long(void);
int put_item(struct larder *db, int n);

#define PLAIN 30

/* The segment. Returns its descriptor. Items are written out of order and some twice, so that
 * arrays and lists have grown. */
int make_segment(int items);

/* A copy of the segment, mapped for damaging. */
struct copy {
    int fd, items;
    unsigned char *base;
    struct seg_shm *head;
};

struct copy copy_of(int from, int items);
void drop_copy(struct copy *c);
int attach(const struct copy *c, uint32_t flags, struct larder **db);
void *at(const struct copy *c, uint64_t off);
struct table_shm *table_shm(const struct copy *c, uint32_t i);
struct stripe_shm *stripes_of(const struct copy *c, int is_partitions);
uint32_t lines_of(const struct stripe_shm *stripe);

/* The nth slot in use, over all stripes. NULL: there are fewer. */
shm_word *slot_of(const struct copy *c, int is_partitions, uint32_t nth);
struct item_head *item_of(const struct copy *c, uint32_t nth);
struct span_shm *spans_of(const struct copy *c);
uint32_t claimed_spans(const struct copy *c);
int number_of(const struct larder_item *item);
void must_be_clean(struct larder *db);

/* A repair, and everything that must hold after it. */
struct trial {
    const struct copy *copy;
    uint32_t leaf_capacity;              /* 0: as it is */
    int lost_max;                        /* items of "rich" that may be missing */
    int may_refuse;                      /* LARDER_E_CORRUPT is a result */
    int may_lose_tables;                 /* even "plain" */
    int may_change_content;              /* attributes were hit */
    int is_dropped;                      /* "rich" must not come back */
    int is_told;                         /* the report says exactly how many items are missing */
    struct larder_repair_report *report; /* shared, or NULL */
};

void show_note(void *arg, const char *line);
void judge(const struct trial *trial, const char *what, uint64_t seed);

/* One of four stripes has about 250 items; hashes are random. */
#define STRIPE_ITEMS 400

/* Repairs in this process. */
int repair_here(const struct copy *c, struct larder_repair_report *report);

/* Equal, except the slots, which have counters and process ids. */
void must_be_equal(const struct copy *c, const unsigned char *before);

unsigned char *bytes_of(const struct copy *c);

#endif

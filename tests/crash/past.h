/* tests/crash/past.h - segments with a past: what operations on definitions leave, done, cut off
 * and done again.
 *
 * Job      Makes a small segment of two tables, lets something happen to it (an index is added, or
 *          the process that adds it is killed at some store, the TTL changes, a table is dropped
 *          and made again, ...), and says from outside of the segment what must be in it: every
 *          item's attributes are a function of its number and of how often it was put.
 * Judge    past_judge() looks at a segment through all of larder.h and compares: each item by get,
 *          scan and query, each index, expiry, overwriting, deleting, another index, another TTL
 *          attribute. Items that may be missing or different are named beforehand.
 */
#ifndef LARDER_TESTS_CRASH_PAST_H
#define LARDER_TESTS_CRASH_PAST_H

#include "larder.h"
#include <stdint.h>

#define PAST_BYTES (8u << 20)
#define PAST_STRIPES 4u
#define PAST_ITEMS 200
#define PAST_TABLES 2
#define PAST_GLOBALS 20 /* index numbers below it are global, those up to PAST_INDEXES local */
#define PAST_INDEXES 25
#define PAST_NOW_S 5000

struct past {
    const char *name;
    int memfd;
    uint8_t serial[PAST_TABLES][PAST_ITEMS]; /* how often the item was put; 0: it is not there */
    /* of the first table: a bit for each that queries must find */
    uint32_t indexes;
    const char *ttl; /* of the first table, or NULL */
    int64_t now_s;
    int is_full;    /* writes may find no room */
    int is_dropped; /* the first table is gone: what is noted of it is what was there */
};

unsigned past_count(void);
/* Makes the segment of this past, always the same one. Forks children that die. Fails the test if
 * that cannot be done. */
void past_make(unsigned number, struct past *p);
/* A copy of its segment. */
int past_copy(const struct past *p);
struct larder *past_attach(const struct past *p, int memfd, uint32_t flags);

/* The name of a table; of an item in a segment, its table and number. 0: it is not an item of a
 * past. */
extern const char *const past_tables[PAST_TABLES];
int past_number_of(const struct larder_item *item, int *table);

/* What the damage may have done. */
struct past_harm {
    uint8_t may_be_lost[PAST_TABLES][PAST_ITEMS];
    /* attributes were hit, and may have become others */
    uint8_t may_differ[PAST_TABLES][PAST_ITEMS];
    uint8_t table_may_be_lost[PAST_TABLES];
    uint8_t table_may_come_back; /* a half-dropped one whose life word was hit */
};
/* In a child: exits with PROC_CHECK_FAILED and says what is wrong. The segment and *p are
 * changed. */
void past_judge(struct past *p, struct larder *db, const struct past_harm *harm);

/* Shared with past_judge.c: the item as it was put, in the builder; and the index numbers'
 * definitions. */
const struct larder_item *past_item(struct larder_builder *b, int table, int n, int serial);
struct past_key {
    char text[2][32];
    struct larder_key key;
};
void past_key(int table, int n, struct past_key *key);
void past_index_def(int i, struct larder_index_def *def);
/* Whether the item is in the index, and in which partition. */
int past_is_in(int i, int n, int serial, char partition[32]);
/* The second at which it expires by this attribute; 0 never. */
int64_t past_expires_s(const char *ttl, int n, int serial);

#endif

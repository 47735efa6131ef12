/* tests/support/content.h - what the n-th write of a key puts there.
 *
 * Job      A write's contents are a function of (seed, key, serial): nothing (it was a delete), or
 *          an item that names its serial. So a reader can tell whether an item is wholly what one
 *          write put there, whichever process wrote it. Which write a read may show is judged by
 *          history.h (one writer a key) and tests/torture/shared.h (many).
 * States   A write changes none to four of the index keys (each index half as often as the one
 *          before), the size and the expiry (one key in four has one), or deletes.
 * Shapes   Primary keys are strings, a number, or bytes and a number. All items have the attributes
 *          of all four indexes (except of those that they are not in), whichever indexes the table
 *          has.
 */
#ifndef LARDER_TESTS_SUPPORT_CONTENT_H
#define LARDER_TESTS_SUPPORT_CONTENT_H

#include <stddef.h>
#include <stdint.h>

#include "larder.h"

#define CONTENT_INDEXES 4
#define CONTENT_NUMBER_INDEX 1 /* its sort key is an N, and it projects the serial alone */
#define CONTENT_LOCAL 3        /* only of tables with CONTENT_TEXT_KEYS */
#define CONTENT_TEXT_MAX 48
#define CONTENT_FILL_MAX 400000u
#define CONTENT_EXPIRY_SPAN 64 /* seconds that an item lives at most */

enum content_keys {
    CONTENT_TEXT_KEYS,  /* PK S, SK S: few partitions */
    CONTENT_NUMBER_KEY, /* PK N */
    CONTENT_BYTES_KEYS  /* PK B with zero bytes, SK N: few partitions */
};

/* What writes of one table's keys are made from. */
struct content_source {
    uint64_t seed;
    enum content_keys keys;
    uint32_t fill_max;
    uint32_t fill_min; /* 0: sizes of all kinds, most of them small; else between the two */
};

struct content {
    int is_deleted;
    uint32_t fill;
    int expires_in_s; /* -1: never; else 0..CONTENT_EXPIRY_SPAN - 1 */
    struct {
        int partition;               /* -1: not in the index */
        char sort[CONTENT_TEXT_MAX]; /* of the index on a number: its decimal text */
    } index[CONTENT_INDEXES];
};

void content_of(const struct content_source *from, uint32_t key, uint32_t serial, struct content *c);

/* Names and definitions, the same for every table. */
extern const struct larder_index_def content_indexes[CONTENT_INDEXES];

/* A key's values point into the text. */
struct content_key {
    char text[2][CONTENT_TEXT_MAX];
    struct larder_key key;
};
void content_key(const struct content_source *from, uint32_t key, struct content_key *out);

/* Partitions that items are spread over: of the table (index -1), or of an index. 0: one for each
 * key. */
unsigned content_partitions(const struct content_source *from, int index);
unsigned content_partition_of(const struct content_source *from, uint32_t key);
struct larder_value content_partition(const struct content_source *from, int index, unsigned partition,
                                      char text[CONTENT_TEXT_MAX]);

/* The item of a write. expires_s: 0 for never; it is the attribute "exp". LARDER_OK or the result
 * of larder_builder_finish(). */
int content_build(struct larder_builder *b, const struct content_source *from, uint32_t key, uint32_t serial,
                  const struct content *c, int64_t expires_s, const struct larder_item **item);

/* Key and serial of an item, read through `index` (-1: the table, or no query at all). NULL, or
 * what is wrong: it is not an item of this source, or not wholly what that write put there. */
const char *content_read(const struct content_source *from, int index, const struct larder_item *item, uint32_t *key,
                         uint32_t *serial);
/* The item's attribute "exp", or 0. */
int64_t content_expiry(const struct larder_item *item);

/* Order of two items in a query: < 0, 0 or > 0. */
int content_compare(int index, uint32_t a, const struct content *ca, uint32_t b, const struct content *cb);

/* A message of this thread, valid until its next but one. */
const char *content_wrong(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif

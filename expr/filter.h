/* expr/filter.h - what a page remembers of its last filter.
 *
 * Why      Pages are filled again and again by the same query. Where attributes stand, and what is
 *          known of a test and its values, is mostly as in the call before.
 * Rules    S1 Places are guesses: filter.c, filter_quick.c.
 *          S2 Tests and values are taken as they are, if expression and values are the same: the
 *             expression by its number, the values by their place and all of their bytes.
 * Tests    tests/unit/expr/expr_filter_test.c, tests/fuzz/expr_truth_fuzz.c
 */
#ifndef LARDER_EXPR_FILTER_H
#define LARDER_EXPR_FILTER_H

#include "expr/usual.h"

#define FILTER_NO_SIZES UINT64_MAX /* of no sane head */

/* Where a walk begins in images whose heads say the same sizes: in most of a table. */
struct filter_places {
    uint64_t sizes; /* filter_sizes() of them, or FILTER_NO_SIZES */
    /* of the word of an index slot that refers to a record in front of the attribute; 0: there is
     * none, and the walk begins at the first record */
    size_t slot, first;
    size_t timed; /* bytes that the image has behind its records */
};

/* Records between the place where the walk begins and the attribute. */
#define FILTER_RECORDS_MAX 3u
#define FILTER_RECORDS_UNKNOWN 0xfeu
#define FILTER_RECORDS_MANY 0xffu /* or a test that is not for filter_quick.c */

/* For filter_quick.c: what a record of the attribute begins with, of which head_bits count: tag,
 * length of the name, six letters of it. */
struct filter_quick {
    uint64_t head, head_bits;
    uint64_t name, name_bits; /* its last eight letters, if it has more than six: is_odd */
    size_t low_len;           /* of the test's value; over 8 bytes: SIZE_MAX */
    int is_odd;
};

/* One test of a filter. */
struct filter {
    const struct expr *e;
    const struct larder_value *bound;
    const struct expr_test *test;
    int is_usual;     /* `usual` is set */
    uint32_t near;    /* that slot's, as a number of 16-bit words in the index slots; 0 none */
    uint32_t records; /* to pass, or one of the above */
    struct filter_places places;
    struct usual usual;
    struct filter_quick quick;
};

#define EXPR_SIEVE_TESTS 4u
#define EXPR_SIEVE_VALUES 8u
#define EXPR_SIEVE_BYTES 256u

/* Begins with zeros. */
struct expr_sieve {
    uint64_t of;                      /* the expression's number; 0: none */
    int is_ready;                     /* all tests are set, with the values in `bound` */
    const struct larder_item *values; /* NULL: they are not kept */
    struct larder_value bound[EXPR_SIEVE_VALUES];
    struct filter tests[EXPR_SIEVE_TESTS];
    uint64_t copy[EXPR_SIEVE_BYTES / sizeof(uint64_t)]; /* of the values' item */
};

/* Whether s->bound has the values of this expression in this item. */
int expr_sieve_has(const struct expr_sieve *s, const struct expr *e, const struct larder_item *values);
/* Keeps the values that were bound, if they are few. Returns them, or where they are kept. */
const struct larder_value *expr_sieve_keep(struct expr_sieve *s, const struct expr *e, const struct larder_item *values,
                                           const struct larder_value *bound);

/* ---- For filter.c and filter_quick.c --------------------------------------------------------- */

/* A test going over images: from `next` to `all` they have still to be looked at; those of which it
 * is true are moved to `kept`. */
struct filter_run {
    const uint8_t *images;
    size_t *next, *all, *kept;
};

static inline const struct item_head *filter_image(const uint8_t *images, size_t at) {
    return (const struct item_head *)(const void *)(images + at);
}

/* Sizes of keys, counts and flags of a head. */
static inline uint64_t filter_sizes(const struct item_head *h) {
    uint64_t sizes;
    memcpy(&sizes, &h->partition_bytes, sizeof sizes);
    return sizes;
}
_Static_assert(offsetof(struct item_head, partition_bytes) == 24 && sizeof(struct item_head) == 32,
               "sizes are the last word of a head");

static inline size_t filter_word(const uint8_t *at) {
    uint16_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

/* Sets f->quick. Of a test that cannot be run so f->records becomes FILTER_RECORDS_MANY. */
void filter_prepare_quick(struct filter *f);
/* Goes on as long as images are like the last one: up to run->next, the first one that is not.
 * f->places are set, and f->records is at most FILTER_RECORDS_MAX. */
void filter_run_quickly(const struct filter *f, struct filter_run *run);

#endif

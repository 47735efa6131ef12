/* expr/filter.c - which of many images a filter keeps.
 *
 * Idea     A filter of ANDs is a chain of tests. Each goes over all images that the tests before it
 *          left, so what belongs to the test is found once, not once for each image.
 *          Images of one table are alike: if the attribute stood behind the key attribute of some
 *          index in the last image, it does so in the next one, whose index slot says where that
 *          is. So a walk begins there (struct filter_near).
 * Rules    R1 Only where a walk begins is taken from the image before, never where it ends: bytes
 *             of a value may look like any record. An index slot refers to a record; names are
 *             sorted.
 *          R2 A walk that ends without the attribute says nothing: expr_test_holds() looks.
 * Tests    tests/unit/expr/expr_filter_test.c, tests/fuzz/expr_truth_fuzz.c
 */
#include "expr/usual.h"

static inline const struct item_head *image_at(const uint8_t *images, size_t at) {
    return (const struct item_head *)(const void *)(images + at);
}

#define LOOKS 3 /* at images, for a slot */

/* Which index slot refers to a record in front of the attribute. */
struct filter_near {
    uint32_t slot; /* as a number of 16-bit words in the index slots; 0 none */
    unsigned key;  /* of that record's name, which is a listed one */
    uint32_t looks;
};

struct filter {
    const struct expr *e;
    const struct larder_value *bound;
    const struct expr_test *test;
    struct usual usual;
    struct filter_near near;
};

#define WORDS_IN_SLOT ((uint32_t)(sizeof(struct item_index_slot) / sizeof(uint16_t)))

static inline size_t word_of_slots(const struct item_head *h, uint32_t word) {
    uint16_t offset;
    memcpy(&offset, (const uint8_t *)item_index_slots(h) + word * sizeof offset, sizeof offset);
    return offset;
}

/* Looks for the last record in front of `found` that an index slot refers to. */
static __attribute__((noinline)) void look_near(struct filter_near *near, const struct item_head *h, size_t found) {
    const uint8_t *start = (const uint8_t *)h;
    size_t nearest = 0;
    near->slot = 0;
    for (uint32_t word = 2; word < h->index_count * WORDS_IN_SLOT; word += word % 2 ? 3 : 1) {
        size_t offset = word_of_slots(h, word);
        if (offset <= nearest || offset >= found || !(start[offset + 1] & ITEM_NAME_LISTED))
            continue;
        nearest = offset;
        near->slot = word;
        near->key = start[offset + 1];
    }
}

/* Where the walk to the attribute begins. */
static inline size_t begin(const struct filter_near *near, const struct item_head *h, size_t last) {
    if (near->slot >= h->index_count * WORDS_IN_SLOT)
        return item_first_offset(h);
    size_t at = word_of_slots(h, near->slot);
    return near->slot && at <= last && ((const uint8_t *)h)[at + 1] == near->key ? at : item_first_offset(h);
}

static __attribute__((noinline)) int holds_otherwise(const struct filter *f, const struct item_head *h, size_t at) {
    int result = USUAL_UNKNOWN;
    if (at)
        result = usual_holds_at(&f->usual, (const uint8_t *)h, at, usual_end(h));
    return result == USUAL_UNKNOWN ? expr_test_holds(f->e, f->bound, h, f->test) : result;
}

/* 1, 0, LARDER_E_CORRUPT. */
static inline int holds(struct filter *f, const struct item_head *h) {
    const uint8_t *start = (const uint8_t *)h;
    size_t end = usual_end(h), at = begin(&f->near, h, end - 2);
    size_t found = usual_walk(start, at, end - 2, f->usual.key);
    if (__builtin_expect(!item_is_walked(h) || found > end - 2, 0))
        return holds_otherwise(f, h, 0);
    if (__builtin_expect(!f->near.slot && f->near.looks++ < LOOKS, 0))
        look_near(&f->near, h, found);
    int result = f->usual.is_plain ? usual_plain_holds_at(&f->usual, start, found, end) : USUAL_UNKNOWN;
    return result == USUAL_UNKNOWN ? holds_otherwise(f, h, found) : result;
}

static __attribute__((noinline)) int filter_usually(struct filter *f, const uint8_t *images, size_t *at,
                                                    uint32_t *count) {
    uint32_t kept = 0, all = *count;
    for (uint32_t i = 0; i < all; i++) {
        size_t place = at[i];
        int result = holds(f, image_at(images, place));
        if (__builtin_expect(result < 0, 0))
            return result;
        at[kept] = place;
        kept += (uint32_t)result;
    }
    *count = kept;
    return LARDER_OK;
}

static int filter_one_by_one(const struct expr *e, const struct larder_value *bound, const uint8_t *images, size_t *at,
                             uint32_t *count) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < *count; i++) {
        int truth = expr_truth(e, bound, image_at(images, at[i]));
        if (truth < 0)
            return truth;
        at[kept] = at[i];
        kept += (uint32_t)truth;
    }
    *count = kept;
    return LARDER_OK;
}

static int filter_by_test(struct filter *f, const uint8_t *images, size_t *at, uint32_t *count) {
    if (f->test->is_usual && usual_of(f->e, f->bound, f->test, &f->usual))
        return filter_usually(f, images, at, count);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < *count; i++) {
        int result = expr_test_holds(f->e, f->bound, image_at(images, at[i]), f->test);
        if (result < 0)
            return result;
        at[kept] = at[i];
        kept += (uint32_t)result;
    }
    *count = kept;
    return LARDER_OK;
}

int expr_filter(const struct expr *e, const struct larder_value *bound, const uint8_t *images, size_t *at,
                uint32_t *count) {
    if (!e->is_chain)
        return filter_one_by_one(e, bound, images, at, count);
    int r = LARDER_OK;
    for (uint32_t i = 0; i < e->test_count && r == LARDER_OK; i++) {
        struct filter f = {.e = e, .bound = bound, .test = &e->tests[i]};
        r = filter_by_test(&f, images, at, count);
    }
    return r;
}

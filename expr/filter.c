/* expr/filter.c - which of many images a filter keeps.
 *
 * Idea     A filter of ANDs is a chain of tests. Each goes over all images that the tests before it
 *          left, so what belongs to the test is found once, not once for each image.
 *          Images of one table are alike: if the attribute stood behind the key attribute of some
 *          index in the last image, it does so in the next one, whose index slot says where that
 *          is. So a walk begins there. Which slot that is, the page remembers from call to call
 *          (struct page_guess); where it lies, heads with the same sizes tell at once (struct
 *          filter_places).
 * Rules    R1 Only where a walk begins is taken from the image before, never where it ends: bytes
 *             of a value may look like any record. An index slot refers to a record.
 *          R2 A walk that ends without the attribute says nothing: holds_otherwise() walks from the
 *             first record. So a wrong guess costs time, and is forgotten.
 * Tests    tests/unit/expr/expr_filter_test.c, tests/fuzz/expr_truth_fuzz.c
 */
#include "expr/usual.h"

static inline const struct item_head *image_at(const uint8_t *images, size_t at) {
    return (const struct item_head *)(const void *)(images + at);
}

#define LOOKS 3 /* at images, for a slot */
#define WORDS_IN_SLOT ((uint32_t)(sizeof(struct item_index_slot) / sizeof(uint16_t)))

#define NO_SIZES UINT64_MAX /* of no sane head */

/* Where a walk begins in images whose heads say the same sizes: in most of a table. */
struct filter_places {
    uint64_t sizes; /* filter_sizes() of them, or NO_SIZES */
    /* of the word of an index slot that refers to a record in front of the attribute; 0: there is
     * none, and the walk begins at the first record */
    size_t slot, first;
    size_t timed; /* bytes that the image has behind its records */
};

struct filter {
    const struct expr *e;
    const struct larder_value *bound;
    const struct expr_test *test;
    uint32_t near; /* that slot's, as a number of 16-bit words in the index slots; 0 none */
    struct filter_places places;
    struct usual usual;
};

/* Sizes of keys, counts and flags of a head. */
static inline uint64_t filter_sizes(const struct item_head *h) {
    uint64_t sizes;
    memcpy(&sizes, &h->partition_bytes, sizeof sizes);
    return sizes;
}
_Static_assert(offsetof(struct item_head, partition_bytes) == 24 && sizeof(struct item_head) == 32,
               "sizes are the last word of a head");

static inline size_t word_at(const uint8_t *at) {
    uint16_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

/* Looks for the last record in front of `found` that an index slot refers to. */
static __attribute__((noinline)) void look_near(struct filter *f, const struct item_head *h, size_t found) {
    const uint8_t *slots = (const uint8_t *)item_index_slots(h);
    size_t nearest = 0;
    f->near = 0;
    f->places.sizes = NO_SIZES;
    for (uint32_t word = 2; word < h->index_count * WORDS_IN_SLOT; word += word % 2 ? 3 : 1) {
        size_t offset = word_at(slots + word * sizeof(uint16_t));
        if (offset <= nearest || offset >= found)
            continue;
        nearest = offset;
        f->near = word;
    }
}

/* Learns the places in images like this one. 0: it is not walked. */
static __attribute__((noinline)) int learn_places(struct filter *f, const struct item_head *h) {
    size_t slots = (size_t)((const uint8_t *)item_index_slots(h) - (const uint8_t *)h);
    int has_near = f->near && f->near < h->index_count * WORDS_IN_SLOT;
    if (!item_is_walked(h))
        return 0;
    f->places = (struct filter_places){.sizes = filter_sizes(h),
                                       .slot = has_near ? slots + f->near * sizeof(uint16_t) : 0,
                                       .first = item_first_offset(h),
                                       .timed = item_timed_bytes(h)};
    return 1;
}

/* The first record that may be the attribute's is at `at`; 0: none was found. */
static __attribute__((noinline)) int holds_otherwise(struct filter *f, const struct item_head *h, size_t at) {
    const uint8_t *start = (const uint8_t *)h, *record;
    const struct usual *u = &f->usual;
    uint32_t left = h->attr_count;
    int result = USUAL_UNKNOWN;
    if (!item_is_walked(h))
        return expr_test_holds(f->e, f->bound, h, f->test);
    if (at && u->is.is_plain)
        result = usual_plain_holds_at(u, start, at, usual_end(h));
    if (at && result == USUAL_UNKNOWN)
        result = usual_holds_at(u, start, at, usual_end(h));
    if (result != USUAL_UNKNOWN)
        return result;
    int found = item_walk_to_name(h, item_first_offset(h), u->is.name, u->is.key, &left, &record);
    if (found != LARDER_OK)
        return found == LARDER_NOT_FOUND ? u->is.if_missing : found;
    if (!at) { /* so the walk did not begin in front of it */
        f->near = 0;
        f->places.sizes = NO_SIZES;
    }
    if ((size_t)(record - start) != at)
        result = usual_holds_at(u, start, (size_t)(record - start), usual_end(h));
    return result == USUAL_UNKNOWN ? expr_test_holds(f->e, f->bound, h, f->test) : result;
}

/* The steps of a walk, in registers. */
struct filter_steps {
    const uint32_t *tag, *name;
};
static inline struct filter_steps filter_steps(void) {
    struct filter_steps steps = {item_tag_steps, item_name_steps};
    __asm__("" : "+r"(steps.tag), "+r"(steps.name)); /* else they are looked for at each record */
    return steps;
}

/* Offset of the first record that may be the attribute's; 0: none was found. The places are right
 * for this image. */
static inline __attribute__((always_inline)) size_t find(const struct filter *f, const uint8_t *start, size_t last,
                                                         const struct filter_steps *steps) {
    size_t at = f->places.slot ? word_at(start + f->places.slot) : f->places.first;
    unsigned key;
    if (__builtin_expect(at > last, 0) && (at = f->places.first) > last) /* the item is not in that index */
        return 0;
    while ((key = start[at + 1]) != f->usual.is.key) { /* usual_walk() */
        at += (size_t)steps->tag[start[at]] + steps->name[key];
        if (__builtin_expect(at > last, 0))
            return 0;
    }
    return at;
}

/* 1, 0, LARDER_E_CORRUPT. */
static __attribute__((noinline)) int holds_closely(struct filter *f, const struct item_head *h,
                                                   const struct filter_steps *steps) {
    if (filter_sizes(h) != f->places.sizes && !learn_places(f, h))
        return holds_otherwise(f, h, 0);
    return holds_otherwise(f, h, find(f, (const uint8_t *)h, usual_end(h) - 2, steps));
}

/* Where the attribute is in the first images, if that is not known. */
static __attribute__((noinline)) void look_around(struct filter *f, const uint8_t *images, const size_t *at,
                                                  uint32_t count) {
    for (uint32_t i = 0; i < count && i < LOOKS && !f->near; i++) {
        const struct item_head *h = image_at(images, at[i]);
        size_t last = usual_end(h) - 2, found;
        if (!item_is_walked(h) || h->index_count == 0)
            continue;
        found = usual_walk((const uint8_t *)h, item_first_offset(h), last, f->usual.is.key);
        if (found <= last)
            look_near(f, h, found);
    }
}

/* is_brief: usual.is_brief. */
static inline __attribute__((always_inline)) int filter_all(struct filter *f, const uint8_t *images, size_t *at,
                                                            uint32_t *count, int is_brief) {
    const struct filter_steps steps = filter_steps();
    size_t *kept = at, *const all = at + *count;
    if (!f->near)
        look_around(f, images, at, *count);
    if (*count)
        (void)learn_places(f, image_at(images, *at));
    for (const size_t *next = at; next < all; next++) {
        size_t place = *next, found, end, answer;
        const struct item_head *h = image_at(images, place);
        int result;
        if (!is_brief || __builtin_expect(filter_sizes(h) != f->places.sizes, 0))
            goto closely;
        end = h->bytes - f->places.timed;
        found = find(f, (const uint8_t *)h, end - 2, &steps);
        if (__builtin_expect(!found || !usual_brief_answer(&f->usual, (const uint8_t *)h, found, end, &answer), 0))
            goto closely;
        *kept = place;
        kept += answer;
        continue;
    closely:
        result = holds_closely(f, h, &steps);
        if (__builtin_expect(result < 0, 0))
            return result;
        *kept = place;
        kept += (unsigned)result;
    }
    *count = (uint32_t)(kept - at);
    return LARDER_OK;
}

static __attribute__((noinline)) int filter_briefly(struct filter *f, const uint8_t *images, size_t *at,
                                                    uint32_t *count) {
    return filter_all(f, images, at, count, 1);
}
static __attribute__((noinline)) int filter_usually(struct filter *f, const uint8_t *images, size_t *at,
                                                    uint32_t *count) {
    return filter_all(f, images, at, count, 0);
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
        return f->usual.is_brief ? filter_briefly(f, images, at, count) : filter_usually(f, images, at, count);
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
                uint32_t *count, struct page_guess *guess) {
    struct filter f;
    if (!*count) /* an empty page may have no memory */
        return LARDER_OK;
    if (!e->is_chain)
        return filter_one_by_one(e, bound, images, at, count);
    int r = LARDER_OK, is_known = guess->of == e;
    guess->of = e;
    f.e = e;
    f.bound = bound;
    for (uint32_t i = 0; i < e->test_count && r == LARDER_OK; i++) {
        int is_guessed = i < PAGE_GUESSES;
        f.test = &e->tests[i];
        f.near = is_guessed && is_known ? guess->near[i] : 0;
        f.places = (struct filter_places){.sizes = NO_SIZES};
        r = filter_by_test(&f, images, at, count);
        if (is_guessed)
            guess->near[i] = (uint16_t)f.near;
    }
    return r;
}

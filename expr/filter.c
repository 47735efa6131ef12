/* expr/filter.c - which of many images a filter keeps.
 *
 * Idea     A filter of ANDs is a chain of tests. Each goes over all images that the tests before it
 *          left, so what belongs to the test is found once, not once for each image.
 *          Images of one table are alike: if the attribute stood behind the key attribute of some
 *          index in the last image, it does so in the next one, whose index slot says where that
 *          is. So a walk begins there. Which slot that is, the page remembers from call to call
 *          (struct expr_sieve); where it lies, heads with the same sizes tell at once (struct
 *          filter_places). If also the number of records in between is the same, and the test
 *          is a comparison with one value, filter_quick.c has the answer.
 * Rules    R1 Only where a walk begins is taken from the image before, never where it ends: bytes
 *             of a value may look like any record. An index slot refers to a record.
 *          R2 A walk that ends without the attribute says nothing: holds_otherwise() walks from the
 *             first record. So a wrong guess costs time, and is forgotten.
 * Tests    tests/unit/expr/expr_filter_test.c, tests/fuzz/expr_truth_fuzz.c
 */
#include "expr/filter.h"

#define LOOKS 3 /* at images, for a slot */
#define WORDS_IN_SLOT ((uint32_t)(sizeof(struct item_index_slot) / sizeof(uint16_t)))
#define QUICK_MISSES_MAX 4u /* images unlike the one before, in a page that is still gone over quickly */

/* Looks for the last record in front of `found` that an index slot refers to. */
static __attribute__((noinline)) void look_near(struct filter *f, const struct item_head *h, size_t found) {
    const uint8_t *slots = (const uint8_t *)item_index_slots(h);
    size_t nearest = 0;
    f->near = 0;
    f->places.sizes = FILTER_NO_SIZES;
    for (uint32_t word = 2; word < h->index_count * WORDS_IN_SLOT; word += word % 2 ? 3 : 1) {
        size_t offset = filter_word(slots + word * sizeof(uint16_t));
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
        f->places.sizes = FILTER_NO_SIZES;
    }
    if ((size_t)(record - start) != at)
        result = usual_holds_at(u, start, (size_t)(record - start), usual_end(h));
    return result == USUAL_UNKNOWN ? expr_test_holds(f->e, f->bound, h, f->test) : result;
}

/* The steps of a walk, in a register. */
static inline const struct item_steps *filter_steps(void) {
    const struct item_steps *steps = &item_steps;
    __asm__("" : "+r"(steps)); /* else they are looked for at each record */
    return steps;
}

/* Offset of the first record that may be the attribute's; 0: none was found. The places are right
 * for this image. */
static inline __attribute__((always_inline)) size_t find(const struct filter *f, const uint8_t *start, size_t last,
                                                         const struct item_steps *steps) {
    size_t at = f->places.slot ? filter_word(start + f->places.slot) : f->places.first;
    unsigned key;
    if (__builtin_expect(at - f->places.first > last - f->places.first, 0) && (at = f->places.first) > last)
        return 0;                                      /* the item is not in that index */
    while ((key = start[at + 1]) != f->usual.is.key) { /* usual_walk() */
        at += steps->tag[start[at]] + steps->name[key];
        if (__builtin_expect(at > last, 0))
            return 0;
    }
    return at;
}

/* 1, 0, LARDER_E_CORRUPT. */
static __attribute__((noinline)) int holds_closely(struct filter *f, const struct item_head *h,
                                                   const struct item_steps *steps) {
    if (filter_sizes(h) != f->places.sizes && !learn_places(f, h))
        return holds_otherwise(f, h, 0);
    return holds_otherwise(f, h, find(f, (const uint8_t *)h, usual_end(h) - 2, steps));
}

/* Where the attribute is in the first images, if that is not known. */
static __attribute__((noinline)) void look_around(struct filter *f, const uint8_t *images, const size_t *at,
                                                  uint32_t count) {
    for (uint32_t i = 0; i < count && i < LOOKS && !f->near; i++) {
        const struct item_head *h = filter_image(images, at[i]);
        size_t last = usual_end(h) - 2, found;
        if (!item_is_walked(h) || h->index_count == 0)
            continue;
        found = usual_walk((const uint8_t *)h, item_first_offset(h), last, f->usual.is.key);
        if (found <= last)
            look_near(f, h, found);
    }
}

/* is_brief: usual.is_brief. */
static inline __attribute__((always_inline)) int filter_all(struct filter *f, struct filter_run *run, int is_brief) {
    const struct item_steps *steps = filter_steps();
    const uint8_t *images = run->images;
    size_t *kept = run->kept, *const all = run->all;
    for (const size_t *next = run->next; next < all; next++) {
        size_t place = *next, found, end, answer;
        const struct item_head *h = filter_image(images, place);
        int result;
        if (!is_brief || __builtin_expect(filter_sizes(h) != f->places.sizes, 0))
            goto closely;
        end = h->bytes - f->places.timed;
        found = find(f, (const uint8_t *)h, end - 2, steps);
        if (__builtin_expect(!found || !usual_brief_answer(&f->usual, (const uint8_t *)h, found, end, &answer), 0))
            goto closely;
        *kept = place;
        kept += answer;
        continue;
    closely:
        result = holds_closely(f, h, steps);
        if (__builtin_expect(result < 0, 0))
            return result;
        *kept = place;
        kept += (unsigned)result;
    }
    run->kept = kept;
    return LARDER_OK;
}

static __attribute__((noinline)) int filter_briefly(struct filter *f, struct filter_run *run) {
    return filter_all(f, run, 1);
}
static __attribute__((noinline)) int filter_usually(struct filter *f, struct filter_run *run) {
    return filter_all(f, run, 0);
}

/* How many records stand in front of the attribute in this image, from where a walk begins. */
static __attribute__((noinline)) void learn_records(struct filter *f, const struct item_head *h) {
    const uint8_t *start = (const uint8_t *)h;
    if (f->records == FILTER_RECORDS_MANY || (filter_sizes(h) != f->places.sizes && !learn_places(f, h)))
        return;
    size_t at = f->places.slot ? filter_word(start + f->places.slot) : f->places.first, last = usual_end(h) - 2;
    f->records = FILTER_RECORDS_UNKNOWN;
    for (uint32_t i = 0; i <= FILTER_RECORDS_MAX && at <= last; i++) {
        if (start[at + 1] == f->usual.is.key) {
            f->records = i;
            return;
        }
        at += item_steps.tag[start[at]] + item_steps.name[start[at + 1]];
    }
}

/* Goes on at an image that is unlike the one before. */
static __attribute__((noinline)) int filter_on(struct filter *f, struct filter_run *run) {
    const struct item_steps *steps = filter_steps();
    for (uint32_t misses = 0; f->records <= FILTER_RECORDS_MAX && misses < QUICK_MISSES_MAX; misses++) {
        const struct item_head *h = filter_image(run->images, *run->next);
        int result = holds_closely(f, h, steps);
        if (result < 0)
            return result;
        *run->kept = *run->next++;
        run->kept += result;
        if (run->next == run->all)
            return LARDER_OK;
        learn_records(f, filter_image(run->images, *run->next));
        if (f->records <= FILTER_RECORDS_MAX)
            filter_run_quickly(f, run);
        if (run->next == run->all)
            return LARDER_OK;
    }
    return f->usual.is_brief ? filter_briefly(f, run) : filter_usually(f, run);
}

static int filter_one_by_one(const struct expr *e, const struct larder_value *bound, const uint8_t *images, size_t *at,
                             uint32_t *count) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < *count; i++) {
        int truth = expr_truth(e, bound, filter_image(images, at[i]));
        if (truth < 0)
            return truth;
        at[kept] = at[i];
        kept += (uint32_t)truth;
    }
    *count = kept;
    return LARDER_OK;
}

static int filter_by_any_test(const struct filter *f, const uint8_t *images, size_t *at, uint32_t *count) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < *count; i++) {
        int result = expr_test_holds(f->e, f->bound, filter_image(images, at[i]), f->test);
        if (result < 0)
            return result;
        at[kept] = at[i];
        kept += (uint32_t)result;
    }
    *count = kept;
    return LARDER_OK;
}

/* Where to look for the attribute, as far as no call before has found out. */
static __attribute__((noinline)) void filter_learn(struct filter *f, const uint8_t *images, const size_t *at,
                                                   uint32_t count) {
    if (!f->near)
        look_around(f, images, at, count);
    (void)learn_places(f, filter_image(images, *at));
    learn_records(f, filter_image(images, *at));
}

static int filter_by_test(struct filter *f, const uint8_t *images, size_t *at, uint32_t *count) {
    struct filter_run run = {images, at, at + *count, at};
    if (!f->is_usual)
        return filter_by_any_test(f, images, at, count);
    if (!*count)
        return LARDER_OK;
    if (f->records > FILTER_RECORDS_MAX)
        filter_learn(f, images, at, *count);
    if (f->records <= FILTER_RECORDS_MAX)
        filter_run_quickly(f, &run);
    int result = run.next == run.all ? LARDER_OK : filter_on(f, &run);
    *count = (uint32_t)(run.kept - at);
    return result;
}

/* ---- From call to call ----------------------------------------------------------------------- */

static void filter_forget(struct filter *f) {
    f->near = 0;
    f->records = FILTER_RECORDS_UNKNOWN;
    f->places = (struct filter_places){.sizes = FILTER_NO_SIZES};
}

static void filter_prepare(struct filter *f, const struct expr *e, const struct larder_value *bound,
                           const struct expr_test *test) {
    f->e = e;
    f->bound = bound;
    f->test = test;
    f->is_usual = test->is_usual && usual_of(e, bound, test, &f->usual);
    if (f->is_usual)
        filter_prepare_quick(f);
}

static void sieve_forget(struct expr_sieve *s, const struct expr *e) {
    s->of = e->number;
    s->is_ready = 0;
    s->values = NULL;
    for (uint32_t i = 0; i < EXPR_SIEVE_TESTS; i++)
        filter_forget(&s->tests[i]);
}

/* Of a builder's head two words say something about its attributes: bytes and sizes. */
#define WORDS_OF_HEAD (sizeof(struct item_head) / sizeof(uint64_t))

int expr_sieve_has(const struct expr_sieve *s, const struct expr *e, const struct larder_item *values) {
    const struct item_head *h = item_head(values), *kept = (const struct item_head *)s->copy;
    const uint64_t *words = (const uint64_t *)h;
    if (s->of != e->number || !h || s->values != values || h->bytes != kept->bytes ||
        filter_sizes(h) != filter_sizes(kept))
        return 0;
    for (size_t i = WORDS_OF_HEAD, count = kept->bytes / sizeof *words; i < count; i++)
        if (words[i] != s->copy[i])
            return 0;
    return 1;
}

const struct larder_value *expr_sieve_keep(struct expr_sieve *s, const struct expr *e, const struct larder_item *values,
                                           const struct larder_value *bound) {
    if (s->of != e->number)
        sieve_forget(s, e);
    s->is_ready = 0;
    s->values = NULL;
    if (!values || item_head(values)->bytes > sizeof s->copy || e->value_count > EXPR_SIEVE_VALUES)
        return bound;
    s->values = values;
    memcpy(s->copy, values, item_head(values)->bytes);
    memcpy(s->bound, bound, e->value_count * sizeof *bound);
    return s->bound;
}

/* All tests, or as far as nothing is left. */
static __attribute__((noinline)) int filter_by_tests(const struct expr *e, const struct larder_value *bound,
                                                     const uint8_t *images, size_t *at, uint32_t *count,
                                                     struct expr_sieve *sieve) {
    struct filter another;
    if (sieve->of != e->number)
        sieve_forget(sieve, e);
    int r = LARDER_OK, is_ready = sieve->is_ready && bound == sieve->bound;
    sieve->is_ready = 0;
    for (uint32_t i = 0; i < e->test_count && r == LARDER_OK; i++) {
        int is_kept = i < EXPR_SIEVE_TESTS;
        struct filter *f = is_kept ? &sieve->tests[i] : &another;
        if (!is_kept)
            filter_forget(f);
        if (!is_ready || !is_kept)
            filter_prepare(f, e, bound, &e->tests[i]);
        r = filter_by_test(f, images, at, count);
    }
    sieve->is_ready = r == LARDER_OK && bound == sieve->bound;
    return r;
}

int expr_filter(const struct expr *e, const struct larder_value *bound, const uint8_t *images, size_t *at,
                uint32_t *count, struct expr_sieve *sieve) {
    struct filter *first = &sieve->tests[0];
    if (!*count) /* an empty page may have no memory */
        return LARDER_OK;
    if (!e->is_chain)
        return filter_one_by_one(e, bound, images, at, count);
    if (sieve->of != e->number || !sieve->is_ready || bound != sieve->bound || e->test_count != 1 || !first->is_usual ||
        first->records > FILTER_RECORDS_MAX)
        return filter_by_tests(e, bound, images, at, count, sieve);
    struct filter_run run = {.images = images, .next = at, .all = at + *count, .kept = at};
    filter_run_quickly(first, &run);
    int r = run.next == run.all ? LARDER_OK : filter_on(first, &run);
    *count = (uint32_t)(run.kept - at);
    return r;
}

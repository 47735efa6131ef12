/* expr/filter_quick.c - a comparison of an attribute with a value, in images that are alike.
 *
 * Idea     The commonest filter, in 45 instructions an image. What is alike in them is taken from
 *          the last one: the sizes in the head, so the place of an index slot; and how many records
 *          stand between that slot's and the attribute. So no name is compared on the way. One word
 *          has the value's type, the length of the name and the name. The first eight bytes of the
 *          value, as a number, decide the order.
 * Rules    R1 of filter.c: each step is by the bytes of the record that it passes, so where it ends
 *          a record begins. Names are unique, so one with the attribute's name is the attribute's.
 *          Q1 What is unlike in any way is left to filter.c.
 *          Q2 Nothing beyond the image is looked at, but the EXPR_FILTER_BEHIND bytes.
 * Tests    tests/unit/expr/expr_filter_test.c, tests/fuzz/expr_truth_fuzz.c
 */
#include "expr/filter.h"

#define TWO(n) (n), (n)
#define EIGHT(n) TWO(n), TWO(n), TWO(n), TWO(n)
#define BITS(bytes) (~UINT64_C(0) << (64 - 8 * (bytes)))

/* The bits that a value of so many bytes has in a number of its first eight. */
static const uint64_t quick_bits[ITEM_SHORT_S] = {
    0, BITS(1), BITS(2), BITS(3), BITS(4), BITS(5), BITS(6), BITS(7), [8 ... ITEM_SHORT_S - 1] = ~UINT64_C(0)};

static inline uint64_t quick_word(const uint8_t *at) {
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

void filter_prepare_quick(struct filter *f) {
    struct filter_quick *q = &f->quick;
    const struct usual *u = &f->usual;
    uint8_t head[16] = {(uint8_t)u->tag, u->is.key}, bits[16] = {u->tag_bits, 0xff};
    size_t name_end = u->is.name_end, letters = name_end - 2;
    if (!f->is_usual || !u->is.is_order || !u->is.key || name_end > sizeof head || !u->tag_bits) {
        f->records = FILTER_RECORDS_MANY;
        return;
    }
    if (letters)
        memcpy(head + 2, u->is.name.at, letters);
    memset(bits + 2, 0xff, letters);
    memcpy(&q->head, head, sizeof q->head);
    memcpy(&q->head_bits, bits, sizeof q->head_bits);
    q->is_odd = name_end > 8;
    q->name = q->name_bits = 0;
    if (q->is_odd) {
        memcpy(&q->name, head + name_end - 8, sizeof q->name);
        q->name_bits = ~UINT64_C(0);
    }
    q->low_len = u->low.len <= 8 ? u->low.len : SIZE_MAX;
}

/* records: f->records. has_slot: f->places.slot is not 0. is_odd: see the end. */
static inline __attribute__((always_inline)) void run_quickly(const struct filter *f, struct filter_run *run,
                                                              unsigned records, int has_slot, int is_odd) {
    const uint64_t sizes = f->places.sizes, head = f->quick.head, head_bits = f->quick.head_bits,
                   low = f->usual.low_beginning;
    const size_t slot = f->places.slot, first = f->places.first, low_len = f->quick.low_len,
                 name_end = f->usual.is.name_end, if_equal = f->usual.is.if_equal;
    const struct item_steps *steps = &item_steps;
    const uint64_t *value_bits = quick_bits;
    const uint8_t *const images = run->images;
    size_t *next = run->next, *kept = run->kept, *const all = run->all;
    /* else they are looked for at each image; and the registers are for what each image needs */
    __asm__("" : "+r"(steps), "+r"(value_bits), "+m"(f), "+m"(run));
    do {
        const size_t place = *next;
        const uint8_t *const start = images + place;
        const struct item_head *h = filter_image(images, place);
        const uint8_t *end = start + h->bytes;
        if (__builtin_expect(filter_sizes(h) != sizes, 0))
            break;
        const uint8_t *at = start + (has_slot ? filter_word(start + slot) : first);
        if (__builtin_expect(at > end, 0))
            break;
#pragma GCC unroll 4
        for (unsigned i = 0; i < records; i++) {
            at += steps->tag[at[0]] + steps->name[at[1]];
            if (__builtin_expect(at > end, 0))
                goto unlike;
        }
        const uint64_t begins = quick_word(at) ^ head;
        if (__builtin_expect(begins & head_bits, 0))
            break;
        const size_t len = (uint8_t)begins; /* the other bits of the tag are as they should */
        at += name_end;
        if (is_odd && ((quick_word(at - 8) ^ f->quick.name) & f->quick.name_bits))
            break;
        if (is_odd)
            end -= f->places.timed;
        if (__builtin_expect(at + len > end, 0))
            break;
        const uint64_t word = be64toh(quick_word(at)) & value_bits[len];
        size_t answer = if_equal;
        if (__builtin_expect(word == low, 1)) {
            if (__builtin_expect(len != low_len, 0))
                break;
        } else
            answer = word > low ? f->usual.is.if_more : f->usual.is.if_less;
        *kept = place;
        kept += answer;
    } while (++next < all);
unlike:
    run->next = next;
    run->kept = kept;
}

#define RUN(records, has_slot, is_odd)                                                                                 \
    static __attribute__((noinline)) void run_##records##_##has_slot##_##is_odd(const struct filter *f,                \
                                                                                struct filter_run *run) {              \
        run_quickly(f, run, records, has_slot, is_odd);                                                                \
    }
#define RUNS(records) RUN(records, 0, 0) RUN(records, 0, 1) RUN(records, 1, 0) RUN(records, 1, 1)
#define RUNS_OF(records)                                                                                               \
    {                                                                                                                  \
        {run_##records##_0_0, run_##records##_0_1}, {                                                                  \
            run_##records##_1_0, run_##records##_1_1                                                                   \
        }                                                                                                              \
    }
RUNS(0)
RUNS(1)
RUNS(2)
RUNS(3)

void filter_run_quickly(const struct filter *f, struct filter_run *run) {
    static void (*const runs[FILTER_RECORDS_MAX + 1][2][2])(const struct filter *, struct filter_run *) = {
        RUNS_OF(0), RUNS_OF(1), RUNS_OF(2), RUNS_OF(3)};
    runs[f->records][f->places.slot != 0][f->quick.is_odd || f->places.timed](f, run);
}

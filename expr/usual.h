/* expr/usual.h - the usual test, in place: an attribute of the item against values of the request.
 *
 * Why      Nearly every condition and filter is made of such tests, and a filter asks one of each
 *          item that it reads. So what can be known before the first item is found once
 *          (usual_of()), and the record is compared where it lies.
 * Idea     An order is one of three, and an operator is a set of them: three bits. A value of
 *          another type has its answer ready.
 * Not here Missing values, paths of several steps, size(), keys, texts of 128 bytes and more,
 *          binaries, containers: USUAL_UNKNOWN, and truth.c looks at them.
 * Tests    tests/unit/expr/expr_truth_test.c, tests/fuzz/expr_truth_fuzz.c
 */
#ifndef LARDER_EXPR_USUAL_H
#define LARDER_EXPR_USUAL_H

#include <string.h>

#include "core/item/item_records.h"
#include "expr/expr.h"

#define USUAL_UNKNOWN 2 /* has to be looked at more closely */

struct usual {
    struct bytes name;
    uint8_t key;                     /* item_name_key() of it */
    uint8_t tag_bits, tag;           /* these bits of a tag with the value's type are `tag`, the others a length */
    uint8_t low_orders, high_orders; /* which are true: bit 0 less, 1 equal, 2 more; high: of BETWEEN */
    uint8_t is_beginning;
    uint8_t is_plain; /* a comparison with `low`, by a name of up to 8 bytes */
    uint8_t if_other; /* the answer for a value of another type */
    struct bytes low, high;
    uint8_t name_end;              /* of the name, in a record. is_plain: the word in front of it has these */
    uint64_t name_bits, name_word; /* .. bits of the name: none if it is listed */
    uint64_t low_beginning;        /* usual_beginning() of low */
};

/* The first 8 bytes of a run as a number; zeros behind a shorter one. Reads the 8 bytes that end
 * where they end: there are as many in front of every value of an image. */
static inline uint64_t usual_beginning(const uint8_t *at, size_t len) {
    uint64_t word, bytes = len < 8 ? len : 8;
    memcpy(&word, at + bytes - 8, sizeof word);
    return bytes ? be64toh(word) << (64 - 8 * bytes) : 0;
}

static inline void usual_prepare_name(struct usual *u) {
    uint8_t word[8] = {0};
    int is_listed = u->key & ITEM_NAME_LISTED;
    u->name_end = (uint8_t)(is_listed ? 2 : 2 + u->key);
    u->name_bits = u->name_word = 0;
    u->is_plain = is_listed || (u->key >= 1 && u->key <= 8);
    if (is_listed || !u->is_plain)
        return;
    memcpy(word + 8 - u->key, u->name.at, u->key);
    memcpy(&u->name_word, word, sizeof word);
    u->name_bits = htole64(~UINT64_C(0) << (64 - 8 * u->key));
}

static inline const struct larder_value *usual_value(const struct expr *e, const struct larder_value *bound,
                                                     const struct expr_test *test, uint32_t i) {
    return &bound[e->operands[e->arguments[test->first + i]].value];
}

static inline uint64_t beginning_of_value(struct bytes value) {
    uint8_t copy[16] = {0};
    if (value.len)
        memcpy(copy + 8, value.at, value.len < 8 ? value.len : 8);
    return usual_beginning(copy + 8, value.len);
}

/* 0: nothing is usual about it. */
static inline int usual_of(const struct expr *e, const struct larder_value *bound, const struct expr_test *test,
                           struct usual *u) {
    static const uint8_t orders[EXPR_CONTAINS + 1] = {
        [EXPR_EQ] = 2, [EXPR_NE] = 5, [EXPR_LT] = 1,      [EXPR_LE] = 3,
        [EXPR_GT] = 4, [EXPR_GE] = 6, [EXPR_BETWEEN] = 6, [EXPR_BEGINS_WITH] = 2};
    const struct expr_step *step = expr_steps(e, e->operands[e->arguments[test->first]].path);
    /* attribute_exists() and its opposite: every tag is another one */
    *u = (struct usual){.name = step->name,
                        .key = step->name_key,
                        .tag = 1,
                        .if_other = test->op == EXPR_NE || test->op == EXPR_ATTRIBUTE_EXISTS};
    if (test->count == 1)
        return 1;
    usual_prepare_name(u);
    const struct larder_value *low = usual_value(e, bound, test, 1), *high = low;
    if (test->op == EXPR_BETWEEN)
        high = usual_value(e, bound, test, 2);
    if (low->type > LARDER_N || high->type != low->type)
        return 0;
    u->tag = low->type == LARDER_S ? ITEM_SHORT_S : ITEM_SHORT_N;
    u->tag_bits = low->type == LARDER_S ? ITEM_SHORT_S : ITEM_SHORT_S | ITEM_SHORT_N;
    u->low = (struct bytes){low->data, low->bytes};
    u->high = (struct bytes){high->data, high->bytes};
    u->low_orders = orders[test->op];
    u->high_orders = test->op == EXPR_BETWEEN ? 3 : 0;
    u->is_beginning = test->op == EXPR_BEGINS_WITH;
    u->is_plain &= test->op <= EXPR_GE;
    u->low_beginning = beginning_of_value(u->low);
    return 1;
}

/* Two runs of which nearly all differ in their first byte, or are short. */
static inline int usual_is_in(unsigned orders, struct bytes a, struct bytes b) {
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len ? a.at[0] - b.at[0] : 0;
    if (!order && len > 1)
        order = memcmp(a.at + 1, b.at + 1, len - 1);
    if (!order)
        order = (a.len > b.len) - (a.len < b.len);
    return (int)(orders >> (1 + (order > 0) - (order < 0)) & 1);
}

/* Passes the records of a walked image from offset `at` on. The place of the first one that may
 * have the name, by its key; beyond `last`: none, or one that has no simple step. Nine instructions
 * a record. */
static inline size_t usual_walk(const uint8_t *start, size_t at, size_t last, unsigned key) {
    while (at <= last && start[at + 1] != key)
        at += (size_t)item_tag_steps[start[at]] + item_name_steps[start[at + 1]];
    return at;
}

/* Where the records of a walked image end, but for padding: zeros, which have no simple step. */
static inline size_t usual_end(const struct item_head *h) {
    return h->bytes - item_timed_bytes(h);
}

/* The order of the value at `at` and `low`: 0 less, 1 equal, 2 more. */
static inline unsigned usual_order(const struct usual *u, const uint8_t *at, size_t len) {
    uint64_t beginning = usual_beginning(at, len);
    if (beginning != u->low_beginning)
        return 2 * (beginning > u->low_beginning);
    int order = 0;
    if (__builtin_expect(len > 8 && u->low.len > 8, 0))
        order = memcmp(at + 8, u->low.at + 8, (len < u->low.len ? len : u->low.len) - 8);
    if (!order)
        order = (len > u->low.len) - (len < u->low.len);
    return 1 + (order > 0) - (order < 0);
}

/* usual_holds_at() of a plain one. */
static inline int usual_plain_holds_at(const struct usual *u, const uint8_t *start, size_t at, size_t end) {
    size_t value = at + u->name_end;
    uint64_t word;
    unsigned tag = start[at], bytes = tag ^ u->tag;
    if (__builtin_expect(value > end || tag < ITEM_SHORT_N, 0))
        return USUAL_UNKNOWN;
    memcpy(&word, start + value - 8, sizeof word); /* at least the head is in front of it */
    if (__builtin_expect((word & u->name_bits) != u->name_word, 0))
        return USUAL_UNKNOWN;
    if (__builtin_expect((tag & u->tag_bits) != u->tag, 0))
        return u->if_other;
    if (__builtin_expect(value + bytes > end, 0))
        return USUAL_UNKNOWN;
    return (int)(u->low_orders >> usual_order(u, start + value, bytes) & 1);
}

/* Whether it holds for the walked image of which the first record that has the name's key is the
 * one at `at`. 1, 0, USUAL_UNKNOWN. */
static inline int usual_holds_at(const struct usual *u, const uint8_t *start, size_t at, size_t end) {
    size_t left = end - at, named = 2;
    const uint8_t *record = start + at;
    if (!(u->key & ITEM_NAME_LISTED)) {
        named += u->key;
        if (!u->key || left < named || !item_is_same_name(record + 2, u->name.at, u->key))
            return USUAL_UNKNOWN;
    }
    unsigned tag = record[0];
    if (__builtin_expect((tag & u->tag_bits) != u->tag, 0))
        return tag >= ITEM_SHORT_N || !u->tag_bits ? u->if_other : USUAL_UNKNOWN;
    struct bytes stored = {record + named, tag ^ u->tag};
    if (stored.len > left - named)
        return USUAL_UNKNOWN;
    if (u->is_beginning && stored.len > u->low.len)
        stored.len = u->low.len;
    if (!usual_is_in(u->low_orders, stored, u->low))
        return 0;
    return !u->high_orders || usual_is_in(u->high_orders, stored, u->high);
}

/* 1, 0, USUAL_UNKNOWN. */
static inline int usual_holds(const struct usual *u, const struct item_head *h) {
    const uint8_t *start = (const uint8_t *)h;
    size_t end = usual_end(h), at = usual_walk(start, item_first_offset(h), end - 2, u->key);
    return at <= end - 2 ? usual_holds_at(u, start, at, end) : USUAL_UNKNOWN;
}

#endif

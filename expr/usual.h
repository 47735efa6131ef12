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

/* A test and its values. */
struct usual {
    struct expr_usual is;
    uint8_t tag_bits; /* these bits of a tag with the values' type are `tag`, the others a length */
    uint8_t is_brief; /* plain, and `low` has 1 to 8 bytes: usual_brief_answer() */
    uint32_t tag;
    struct bytes low, high;
    uint64_t low_beginning; /* usual_beginning() of low */
};

/* The first 8 bytes of a run as a number; zeros behind a shorter one. Reads the 8 bytes that end
 * where they end: there are as many in front of every value of an image. */
static inline uint64_t usual_beginning(const uint8_t *at, size_t len) {
    uint64_t word, bytes = len < 8 ? len : 8;
    memcpy(&word, at + bytes - 8, sizeof word);
    return bytes ? be64toh(word) << (64 - 8 * bytes) : 0;
}

static inline void usual_prepare_name(struct expr_usual *u) {
    uint8_t word[8] = {0};
    int is_listed = u->key & ITEM_NAME_LISTED;
    u->name_end = (uint8_t)(is_listed ? 2 : 2 + u->key);
    u->is_plain = is_listed || (u->key >= 1 && u->key <= 8);
    if (is_listed || !u->is_plain)
        return;
    memcpy(word + 8 - u->key, u->name.at, u->key);
    memcpy(&u->name_word, word, sizeof word);
    u->name_bits = htole64(~UINT64_C(0) << (64 - 8 * u->key));
}

/* For expr_compile(): fills *u, which is zero. */
static inline void usual_prepare(const struct expr *e, const struct expr_test *test, struct expr_usual *u) {
    /* which are true: bit 0 less, 1 equal, 2 more */
    static const uint8_t orders[EXPR_CONTAINS + 1] = {
        [EXPR_EQ] = 2, [EXPR_NE] = 5, [EXPR_LT] = 1,      [EXPR_LE] = 3,
        [EXPR_GT] = 4, [EXPR_GE] = 6, [EXPR_BETWEEN] = 6, [EXPR_BEGINS_WITH] = 2};
    const struct expr_step *step = expr_steps(e, e->operands[e->arguments[test->first]].path);
    u->name = step->name;
    u->key = step->name_key;
    u->if_less = orders[test->op] & 1;
    u->if_equal = orders[test->op] >> 1 & 1;
    u->if_more = orders[test->op] >> 2;
    u->if_other = test->op == EXPR_NE || test->op == EXPR_ATTRIBUTE_EXISTS;
    u->if_missing = test->op == EXPR_NE || test->op == EXPR_ATTRIBUTE_NOT_EXISTS;
    u->is_beginning = test->op == EXPR_BEGINS_WITH;
    u->is_between = test->op == EXPR_BETWEEN;
    usual_prepare_name(u);
    u->is_order = test->op <= EXPR_GE;
    u->is_plain &= u->is_order;
}

static inline const struct larder_value *usual_value(const struct expr *e, const struct larder_value *bound,
                                                     const struct expr_test *test, uint32_t i) {
    return &bound[e->operands[e->arguments[test->first + i]].value];
}

/* 0: nothing is usual about these values. */
static inline int usual_of(const struct expr *e, const struct larder_value *bound, const struct expr_test *test,
                           struct usual *u) {
    u->is = e->usual[test - e->tests];
    u->is_brief = u->tag_bits = 0;
    u->low = u->high = (struct bytes){NULL, 0};
    u->tag = 1; /* attribute_exists() and its opposite: every tag is another one */
    if (test->count == 1)
        return 1;
    const struct larder_value *low = usual_value(e, bound, test, 1), *high = low;
    if (u->is.is_between)
        high = usual_value(e, bound, test, 2);
    if (low->type > LARDER_N || high->type != low->type)
        return 0;
    u->tag = low->type == LARDER_S ? ITEM_SHORT_S : ITEM_SHORT_N;
    u->tag_bits = low->type == LARDER_S ? ITEM_SHORT_S : ITEM_SHORT_S | ITEM_SHORT_N;
    u->low = (struct bytes){low->data, low->bytes};
    u->high = (struct bytes){high->data, high->bytes};
    u->low_beginning = usual_beginning(u->low.at, u->low.len); /* the head of its item is in front of it */
    u->is_brief = u->is.is_plain && u->low.len - 1 < 8;
    return 1;
}

/* The order of two runs of which nearly all differ in their first byte, or are short. */
static inline int usual_order_of(struct bytes a, struct bytes b) {
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len ? a.at[0] - b.at[0] : 0;
    if (!order && len > 1)
        order = memcmp(a.at + 1, b.at + 1, len - 1);
    if (!order)
        order = (a.len > b.len) - (a.len < b.len);
    return order;
}

static inline int usual_answer(const struct usual *u, int order) {
    return order ? order > 0 ? u->is.if_more : u->is.if_less : u->is.if_equal;
}

/* Passes the records of a walked image from offset `at` on. The place of the first one that may
 * have the name, by its key; beyond `last`: none, or one that has no simple step. Nine instructions
 * a record. */
static inline size_t usual_walk(const uint8_t *start, size_t at, size_t last, unsigned key) {
    while (at <= last && start[at + 1] != key)
        at += item_steps.tag[start[at]] + item_steps.name[start[at + 1]];
    return at;
}

/* Where the records of a walked image end, but for padding: zeros, which have no simple step. */
static inline size_t usual_end(const struct item_head *h) {
    return h->bytes - item_timed_bytes(h);
}

/* The order of the value at `at` and `low`. */
static inline int usual_order(const struct usual *u, const uint8_t *at, size_t len) {
    uint64_t beginning = usual_beginning(at, len);
    if (beginning != u->low_beginning)
        return beginning > u->low_beginning ? 1 : -1;
    int order = 0;
    if (__builtin_expect(len > 8 && u->low.len > 8, 0))
        order = memcmp(at + 8, u->low.at + 8, (len < u->low.len ? len : u->low.len) - 8);
    return order ? order : (len > u->low.len) - (len < u->low.len);
}

/* usual_holds_at() of a plain one. */
static inline int usual_plain_holds_at(const struct usual *u, const uint8_t *start, size_t at, size_t end) {
    size_t value = at + u->is.name_end;
    uint64_t word;
    unsigned tag = start[at], bytes = tag ^ u->tag;
    if (__builtin_expect(value > end || tag < ITEM_SHORT_N, 0))
        return USUAL_UNKNOWN;
    memcpy(&word, start + value - 8, sizeof word); /* at least the head is in front of it */
    if (__builtin_expect((word & u->is.name_bits) != u->is.name_word, 0))
        return USUAL_UNKNOWN;
    if (__builtin_expect((tag & u->tag_bits) != u->tag, 0))
        return u->is.if_other;
    if (__builtin_expect(value + bytes > end, 0))
        return USUAL_UNKNOWN;
    return usual_answer(u, usual_order(u, start + value, bytes));
}

/* The same for values of 1 to 8 bytes, if the test is brief. 0: it has to be looked at more
 * closely. */
static inline __attribute__((always_inline)) int usual_brief_answer(const struct usual *u, const uint8_t *start,
                                                                    size_t at, size_t end, size_t *answer) {
    size_t value = at + u->is.name_end, bytes = start[at] ^ u->tag; /* over 8 if the tag is of another type */
    uint64_t word;
    if (__builtin_expect(bytes - 1 >= 8 || value + bytes > end, 0))
        return 0;
    memcpy(&word, start + value - 8, sizeof word);
    if (__builtin_expect((word & u->is.name_bits) != u->is.name_word, 0))
        return 0;
    memcpy(&word, start + value + bytes - 8, sizeof word);
    word = be64toh(word) << 8 * (8 - bytes);
    if (word == u->low_beginning) {
        *answer = u->is.if_equal;
        return bytes == u->low.len; /* zeros behind a shorter one: only the same length can be equal */
    }
    *answer = word > u->low_beginning ? u->is.if_more : u->is.if_less;
    return 1;
}

/* Whether it holds for the walked image of which the first record that has the name's key is the
 * one at `at`. 1, 0, USUAL_UNKNOWN. */
static inline int usual_holds_at(const struct usual *u, const uint8_t *start, size_t at, size_t end) {
    size_t left = end - at, named = 2;
    const uint8_t *record = start + at;
    if (!(u->is.key & ITEM_NAME_LISTED)) {
        named += u->is.key;
        if (!u->is.key || left < named || !item_is_same_name(record + 2, u->is.name.at, u->is.key))
            return USUAL_UNKNOWN;
    }
    unsigned tag = record[0];
    if (__builtin_expect((tag & u->tag_bits) != u->tag, 0))
        return tag >= ITEM_SHORT_N || !u->tag_bits ? u->is.if_other : USUAL_UNKNOWN;
    struct bytes stored = {record + named, tag ^ u->tag};
    if (stored.len > left - named)
        return USUAL_UNKNOWN;
    if (u->is.is_beginning && stored.len > u->low.len)
        stored.len = u->low.len;
    if (!usual_answer(u, usual_order_of(stored, u->low)))
        return 0;
    return !u->is.is_between || usual_order_of(stored, u->high) <= 0;
}

/* 1, 0, USUAL_UNKNOWN. */
static inline int usual_holds(const struct usual *u, const struct item_head *h) {
    const uint8_t *start = (const uint8_t *)h;
    size_t end = usual_end(h), at = usual_walk(start, item_first_offset(h), end - 2, u->is.key);
    return at <= end - 2 ? usual_holds_at(u, start, at, end) : USUAL_UNKNOWN;
}

#endif

/* tests/unit/expr/expr_filter_test.c - which of many items a filter keeps.
 *
 * Goal     expr_filter() keeps what a plain comparison keeps, whatever stood where in the item
 *          before: attributes come and go, have other types and lengths, and hold bytes that look
 *          like records.
 * Method   Random items of a table with two indexes, one with listed names, kept as plain numbers
 *          and texts beside their images. Filters of one to three ANDs, some with OR and NOT. In
 *          half of the rounds items are alike but for one in twenty attributes, so that
 *          filter_quick.c goes on and stops anywhere. Each filter runs twice with values that were
 *          bound, and twice with those that the page kept.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/priv.h"
#include "expr/filter.h"
#include "tests/support/rng.h"
#include "tests/support/slow.h"
#include "tests/unit/expr/expr_kit.h"

TestSuite(expr_filter, .init = kit_set_up, .fini = kit_tear_down, .timeout = 60 * SLOW_FACTOR);

#define OK(call) cr_assert_eq((call), LARDER_OK, "%s", larder_error())
#define ROUNDS (400u / SLOW_FACTOR)
#define ITEMS 40u
#define ATTRIBUTES 8u

static const char *const names[ATTRIBUTES] = {"n",  "status",     "data",      "GSI1SK", "an_attribute_of_long_name",
                                              "zz", "customer_1", "customer_2"};

/* The second, "state", is in no list of names. */
static const struct item_index_shape indexes[] = {
    {.name = "GSI1",
     .partition = {.name = "GSI1PK", .name_bytes = 6, .type = LARDER_S},
     .sort = {.name = "GSI1SK", .name_bytes = 6, .type = LARDER_S},
     .is_lenient = 1},
    {.name = "state", .partition = {.name = "zstate", .name_bytes = 6, .type = LARDER_S}, .is_lenient = 1}};
static const struct item_shape shape = {.partition = {.name = "PK", .name_bytes = 2, .type = LARDER_S},
                                        .index_count = 2,
                                        .indexes = indexes,
                                        .is_lenient = 1,
                                        .ttl_name = "ttl",
                                        .ttl_name_bytes = 3};

/* An attribute: 0 missing, LARDER_N, LARDER_S, LARDER_NULL. */
struct plain {
    enum larder_type type;
    int number;
    char text[200];
};

static struct rng r;
static struct expr_sieve sieve; /* of one page, which all filters fill */
static struct plain items[ITEMS][ATTRIBUTES];

static void draw_text(char *to) {
    static const char *const texts[] = {
        "", "a", "ab", "abcdefgh", "abcdefghi", "abcdefgh\xc3\xa9", "\x41\x01n", "\x41\x01n\x41\x01n\x41\x01n", "b"};
    strcpy(to, texts[rng_below(&r, sizeof texts / sizeof *texts)]);
    if (rng_is_one_in(&r, 4)) { /* up to a text with a long length */
        size_t bytes = strlen(to), more = rng_below(&r, 150);
        memset(to + bytes, 'a', more);
        to[bytes + more] = 0;
    }
}

/* What is the same in most items of a round. */
static struct likeness {
    int is_on;
    int choices[8]; /* of add_item() */
    int next;
    enum larder_type types[ATTRIBUTES];
} like;

/* True once in n times; of items that are alike, mostly as in the others. */
static int is_one_in(uint32_t n) {
    int is = rng_is_one_in(&r, n);
    if (!like.is_on)
        return is;
    int *choice = &like.choices[like.next++ % 8];
    if (*choice < 0)
        *choice = is;
    return rng_is_one_in(&r, 20) ? is : *choice;
}

static void draw_plain(struct plain *p) {
    static const enum larder_type types[] = {0, LARDER_N, LARDER_N, LARDER_N, LARDER_S, LARDER_S, LARDER_NULL};
    *p = (struct plain){.type = types[rng_below(&r, sizeof types / sizeof *types)]};
    p->number = (int)rng_below(&r, 9) - 4;
    if (rng_is_one_in(&r, 4))
        p->number *= 1234567;
    draw_text(p->text);
}

static void add_plain(struct larder_builder *b, const char *name, const struct plain *p) {
    if (p->type == LARDER_N)
        OK(larder_builder_add_int(b, name, p->number));
    else if (p->type == LARDER_S)
        OK(larder_builder_add_s(b, name, p->text));
    else if (p->type == LARDER_NULL)
        OK(larder_builder_add_null(b, name));
}

/* Its image is at images + *used. */
static void add_item(struct larder_builder *b, const struct plain *item, uint8_t *images, size_t *used) {
    const struct larder_item *built;
    struct item_head *stored;
    larder_builder_reset(b);
    like.next = 0;
    OK(larder_builder_add_s(b, "PK", "partition"));
    if (!is_one_in(4))
        OK(larder_builder_add_s(b, "GSI1PK", "gsi"));
    if (!is_one_in(4))
        OK(larder_builder_add_s(b, "zstate", "\x41\x01n"));
    if (is_one_in(2)) /* names as long as "n" and "zz" */
        OK(larder_builder_add_int(b, "k", (int64_t)rng_below(&r, 9) - 4));
    if (is_one_in(2))
        OK(larder_builder_add_s(b, "yy", "ab"));
    if (is_one_in(3)) /* the image ends with its expiry, of which every byte may be any */
        OK(larder_builder_add_int(b, "ttl", (int64_t)(1764000000 + rng_below(&r, 65536) * 257)));
    if (is_one_in(8)) /* so many that there is a directory */
        for (int i = 0; i < 30; i++) {
            char name[16];
            snprintf(name, sizeof name, "m%d", i);
            OK(larder_builder_add_int(b, name, i));
        }
    for (uint32_t i = 0; i < ATTRIBUTES; i++)
        add_plain(b, names[i], &item[i]);
    OK(larder_builder_finish(b, &built));
    OK(item_to_stored(&shape, built, 1764000000, images + *used, &stored));
    *used += stored->bytes;
}

/* ---- Filters --------------------------------------------------------------------------------- */

struct test {
    unsigned op; /* enum expr_test_op */
    uint32_t attribute;
    struct plain values[2];
};

/* -2: no order between them. */
static int order_of(const struct plain *a, const struct plain *b) {
    if (a->type != b->type || (a->type != LARDER_N && a->type != LARDER_S))
        return -2;
    if (a->type == LARDER_N)
        return (a->number > b->number) - (a->number < b->number);
    int order = strcmp(a->text, b->text);
    return (order > 0) - (order < 0);
}

static int is_true(const struct test *t, const struct plain *item) {
    const struct plain *a = &item[t->attribute], *b = &t->values[0];
    int order = order_of(a, b), high = order_of(a, &t->values[1]);
    switch (t->op) {
    case EXPR_EQ:
        return order == 0 || (a->type == LARDER_NULL && b->type == LARDER_NULL);
    case EXPR_NE:
        return order != 0 && !(a->type == LARDER_NULL && b->type == LARDER_NULL);
    case EXPR_LT:
        return order == -1;
    case EXPR_LE:
        return order == -1 || order == 0;
    case EXPR_GT:
        return order == 1;
    case EXPR_GE:
        return order == 1 || order == 0;
    case EXPR_BETWEEN:
        return order >= 0 && (high == 0 || high == -1);
    case EXPR_ATTRIBUTE_EXISTS:
        return a->type != 0;
    case EXPR_ATTRIBUTE_NOT_EXISTS:
        return a->type == 0;
    default:
        return a->type == LARDER_S && strncmp(a->text, b->text, strlen(b->text)) == 0;
    }
}

static void draw_test(struct test *t) {
    static const uint8_t ops[] = {EXPR_EQ,
                                  EXPR_NE,
                                  EXPR_LT,
                                  EXPR_LE,
                                  EXPR_GT,
                                  EXPR_GE,
                                  EXPR_BETWEEN,
                                  EXPR_BEGINS_WITH,
                                  EXPR_ATTRIBUTE_EXISTS,
                                  EXPR_ATTRIBUTE_NOT_EXISTS};
    *t = (struct test){.op = ops[rng_below(&r, sizeof ops)], .attribute = (uint32_t)rng_below(&r, ATTRIBUTES)};
    do {
        draw_plain(&t->values[0]);
        draw_plain(&t->values[1]);
        t->values[1].type = t->values[0].type;
    } while (t->values[0].type == 0 || (t->op > EXPR_NE && t->values[0].type == LARDER_NULL) ||
             (t->op == EXPR_BEGINS_WITH && t->values[0].type != LARDER_S));
    if (t->op == EXPR_BETWEEN && order_of(&t->values[0], &t->values[1]) > 0)
        t->values[1] = t->values[0];
}

static void write_test(const struct test *t, int number, char *to, size_t bytes, struct larder_builder *values) {
    static const char *const signs[] = {"=", "<>", "<", "<=", ">", ">="};
    char name[2][16];
    for (int i = 0; i < 2; i++)
        snprintf(name[i], sizeof name[i], ":v%d", 2 * number + i);
    if (t->op == EXPR_ATTRIBUTE_EXISTS || t->op == EXPR_ATTRIBUTE_NOT_EXISTS) {
        snprintf(to, bytes, "%s(#a%u)", t->op == EXPR_ATTRIBUTE_EXISTS ? "attribute_exists" : "attribute_not_exists",
                 t->attribute);
        return;
    }
    add_plain(values, name[0], &t->values[0]);
    if (t->op == EXPR_BETWEEN)
        add_plain(values, name[1], &t->values[1]);
    if (t->op == EXPR_BETWEEN)
        snprintf(to, bytes, "#a%u BETWEEN %s AND %s", t->attribute, name[0], name[1]);
    else if (t->op == EXPR_BEGINS_WITH)
        snprintf(to, bytes, "begins_with(#a%u, %s)", t->attribute, name[0]);
    else
        snprintf(to, bytes, "#a%u %s %s", t->attribute, signs[t->op], name[0]);
}

static int compile(const char *text, struct larder_builder *values, struct expr **e, struct larder_value *bound) {
    static char placeholders[ATTRIBUTES][16];
    struct expr_name aliases[ATTRIBUTES];
    const struct larder_item *item;
    for (uint32_t i = 0; i < ATTRIBUTES; i++) {
        snprintf(placeholders[i], sizeof placeholders[i], "#a%u", i);
        aliases[i] =
            (struct expr_name){{(const uint8_t *)placeholders[i], 3}, {(const uint8_t *)names[i], strlen(names[i])}, 0};
    }
    OK(larder_builder_finish(values, &item));
    OK(expr_compile(kit_arena, EXPR_FILTER, text, strlen(text), aliases, ATTRIBUTES, item, e));
    return expr_bind(*e, item, bound);
}

/* A filter of three tests, and what it says: a AND b AND c, of fewer, or with NOT and OR. */
static int wanted_of(const struct test *tests, int form, const struct plain *item) {
    int a = is_true(&tests[0], item), b = is_true(&tests[1], item), c = is_true(&tests[2], item);
    return form == 0 ? a : form == 1 ? a && b : form == 2 ? a && b && c : form == 3 ? a && (b || !c) : !a;
}

static void check_filter(struct larder_builder *values, const uint8_t *images, const size_t *places) {
    static const char *const forms[] = {"%s", "%s AND %s", "%s AND (%s AND %s)", "%s AND (%s OR NOT %s)", "NOT %s"};
    struct test tests[3];
    char parts[3][120], text[500];
    struct expr *e;
    struct larder_value bound[8];
    const struct larder_value *used_values = bound;
    const struct larder_item *item;
    size_t at[ITEMS], wanted[ITEMS];
    uint32_t count, wanted_count = 0;
    int form = (int)rng_below(&r, 5), used = form == 0 || form == 4 ? 1 : form == 1 ? 2 : 3;
    larder_builder_reset(values);
    for (int i = 0; i < 3; i++) {
        draw_test(&tests[i]);
        if (i < used)
            write_test(&tests[i], i, parts[i], sizeof parts[i], values);
    }
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(text, sizeof text, forms[form], parts[0], parts[1], parts[2]);
#pragma GCC diagnostic pop
    OK(compile(text, values, &e, bound));
    OK(larder_builder_finish(values, &item));
    for (uint32_t i = 0; i < ITEMS; i++) {
        int is_wanted = wanted_of(tests, form, items[i]);
        cr_assert_eq(expr_truth(e, bound, (const struct item_head *)(images + places[i])), is_wanted,
                     "%s of item %u is not %d", text, i, is_wanted);
        if (is_wanted)
            wanted[wanted_count++] = places[i];
    }
    for (int run = 0; run < 4; run++) {
        if (run == 2)
            used_values = expr_sieve_keep(&sieve, e, item, bound);
        count = ITEMS;
        memcpy(at, places, sizeof at);
        OK(expr_filter(e, used_values, images, at, &count, &sieve));
        cr_assert_eq(count, wanted_count, "%s keeps %u of %u in run %d", text, count, wanted_count, run);
        cr_assert_arr_eq(at, wanted, wanted_count * sizeof *at, "%s keeps others in run %d", text, run);
        cr_assert_eq(expr_sieve_has(&sieve, e, item), run >= 2 && item_head(item)->bytes <= EXPR_SIEVE_BYTES);
    }
    expr_free(kit_arena, e);
}

static void begin_likeness(int is_on) {
    like.is_on = is_on;
    memset(like.choices, -1, sizeof like.choices);
    for (uint32_t k = 0; k < ATTRIBUTES; k++) {
        struct plain one;
        draw_plain(&one);
        like.types[k] = one.type;
    }
}

Test(expr_filter, keeps_what_a_plain_comparison_keeps) {
    rng_seed(&r, rng_test_seed("expr_filter"));
    struct larder_builder *b = item_builder_new(kit_arena, LARDER_ITEM_BYTES_MAX),
                          *values = item_builder_new(kit_arena, LARDER_ITEM_BYTES_MAX);
    uint8_t *images = priv_alloc(kit_arena, ITEMS * 8192u);
    cr_assert(b && values && images);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        size_t places[ITEMS], used = 0;
        begin_likeness(round % 2);
        for (uint32_t i = 0; i < ITEMS; i++) {
            for (uint32_t k = 0; k < ATTRIBUTES; k++) {
                draw_plain(&items[i][k]);
                if (like.is_on && !rng_is_one_in(&r, 20))
                    items[i][k].type = like.types[k];
            }
            places[i] = used;
            add_item(b, items[i], images, &used);
        }
        for (int i = 0; i < 10; i++)
            check_filter(values, images, places);
    }
}

/* Texts that differ only in the zeros behind them. */
Test(expr_filter, zeros_at_the_end_of_a_text_count) {
    static const char *const texts[] = {"", "a", "a\0", "a\0\0", "b"};
    static const size_t bytes[] = {0, 1, 2, 3, 1};
    static const struct {
        const char *text;
        int is_true[5]; /* compared with "a", 0 */
    } cases[] = {{"#a0 = :v", {0, 0, 1, 0, 0}},  {"#a0 <> :v", {1, 1, 0, 1, 1}}, {"#a0 < :v", {1, 1, 0, 0, 0}},
                 {"#a0 <= :v", {1, 1, 1, 0, 0}}, {"#a0 > :v", {0, 0, 0, 1, 1}},  {"#a0 >= :v", {0, 0, 1, 1, 1}}};
    struct larder_builder *b = item_builder_new(kit_arena, LARDER_ITEM_BYTES_MAX);
    struct larder_builder *values = item_builder_new(kit_arena, LARDER_ITEM_BYTES_MAX);
    uint8_t *images = priv_alloc(kit_arena, 5 * 1024u + EXPR_FILTER_BEHIND);
    size_t places[5], used = 0;
    for (int i = 0; i < 5; i++) {
        const struct larder_item *built;
        struct item_head *stored;
        larder_builder_reset(b);
        OK(larder_builder_add_s(b, "PK", "partition"));
        OK(larder_builder_add_sn(b, "n", texts[i], bytes[i]));
        OK(larder_builder_finish(b, &built));
        OK(item_to_stored(&shape, built, 1764000000, images + used, &stored));
        places[i] = used;
        used += stored->bytes;
    }
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        struct expr *e;
        struct larder_value bound[1];
        size_t at[5];
        uint32_t count = 5, kept = 0;
        larder_builder_reset(values);
        OK(larder_builder_add_sn(values, ":v", "a\0", 2));
        OK(compile(cases[c].text, values, &e, bound));
        memcpy(at, places, sizeof at);
        OK(expr_filter(e, bound, images, at, &count, &sieve));
        for (int i = 0; i < 5; i++)
            if (cases[c].is_true[i])
                cr_assert(kept < count && at[kept++] == places[i], "%s, text %d", cases[c].text, i);
        cr_assert_eq(kept, count, "%s", cases[c].text);
        expr_free(kit_arena, e);
    }
}

/* A page that served another table's items, or another filter at the same address: the guess is
 * wrong, and nothing else. */
Test(expr_filter, a_wrong_guess_costs_time_only) {
    struct larder_builder *b = item_builder_new(kit_arena, LARDER_ITEM_BYTES_MAX);
    struct larder_builder *values = item_builder_new(kit_arena, LARDER_ITEM_BYTES_MAX);
    uint8_t *images = priv_alloc(kit_arena, ITEMS * 8192u);
    size_t places[ITEMS], used = 0;
    rng_seed(&r, rng_test_seed("expr_guess"));
    for (uint32_t i = 0; i < ITEMS; i++) {
        for (uint32_t k = 0; k < ATTRIBUTES; k++)
            draw_plain(&items[i][k]);
        places[i] = used;
        add_item(b, items[i], images, &used);
    }
    larder_builder_reset(values);
    OK(larder_builder_add_int(values, ":v", 0));
    const struct plain zero = {.type = LARDER_N};
    for (uint32_t form = 0; form < 2 * ATTRIBUTES; form++) {
        struct expr *e;
        struct larder_value bound[1];
        char text[40];
        uint32_t attribute = form / 2;
        int is_number = form % 2;
        snprintf(text, sizeof text, is_number ? "#a%u = :v" : "attribute_exists(#a%u)", attribute);
        OK(compile(text, values, &e, bound));
        for (uint32_t guess = 0; guess < 20 * (FILTER_RECORDS_MAX + 1); guess++) {
            size_t at[ITEMS];
            uint32_t count = ITEMS, wanted = 0;
            struct expr_sieve wrong = {.of = e->number};
            wrong.tests[0] = (struct filter){.near = guess / (FILTER_RECORDS_MAX + 1),
                                             .records = guess % (FILTER_RECORDS_MAX + 1),
                                             .places.sizes = FILTER_NO_SIZES};
            memcpy(at, places, sizeof at);
            OK(expr_filter(e, bound, images, at, &count, &wrong));
            for (uint32_t i = 0; i < ITEMS; i++)
                wanted += is_number ? order_of(&items[i][attribute], &zero) == 0 : items[i][attribute].type != 0;
            cr_assert_eq(count, wanted, "%s with guess %u", text, guess);
        }
        expr_free(kit_arena, e);
    }
}

/* The bytes of a text are those of a record of the attribute, at its place in the item before. */
Test(expr_filter, a_text_that_looks_like_a_record) {
    struct larder_builder *b = item_builder_new(kit_arena, LARDER_ITEM_BYTES_MAX),
                          *values = item_builder_new(kit_arena, LARDER_ITEM_BYTES_MAX);
    uint8_t *images = priv_alloc(kit_arena, 2 * 8192u);
    struct plain both[2][ATTRIBUTES] = {{{.type = LARDER_N, .number = 0}, {.type = LARDER_S, .text = "x"}},
                                        {{.type = 0}, {.type = LARDER_S, .text = "x\x41\x01n\x41\x01n\x41\x01n"}}};
    size_t at[2] = {0, 0}, used = 0;
    uint32_t count = 2;
    struct expr *e;
    struct larder_value bound[1];
    rng_seed(&r, 1);
    add_item(b, both[0], images, &used);
    at[1] = used;
    add_item(b, both[1], images, &used);
    OK(compile("attribute_exists(n)", values, &e, bound));
    OK(expr_filter(e, bound, images, at, &count, &sieve));
    cr_assert(count == 1 && at[0] == 0);
}

/* The same at the very place where the record was in the item before, in an item that is alike. */
Test(expr_filter, a_text_that_looks_like_a_record_at_its_place) {
    struct larder_builder *b = item_builder_new(kit_arena, LARDER_ITEM_BYTES_MAX),
                          *values = item_builder_new(kit_arena, LARDER_ITEM_BYTES_MAX);
    uint8_t *images = priv_alloc(kit_arena, 4 * 1024u);
    static const char *const data[] = {"text", "text\x41\x01n1", "text\x41\x01n1\x41\x01n1", "text"};
    size_t at[4], used = 0;
    uint32_t count = 4;
    struct expr *e;
    struct larder_value bound[1];
    for (int i = 0; i < 4; i++) {
        const struct larder_item *built;
        struct item_head *stored;
        larder_builder_reset(b);
        OK(larder_builder_add_s(b, "PK", "partition"));
        OK(larder_builder_add_s(b, "data", data[i]));
        OK(larder_builder_add_int(b, "n", 7));
        OK(larder_builder_finish(b, &built));
        OK(item_to_stored(&shape, built, 1764000000, images + used, &stored));
        at[i] = used;
        used += stored->bytes;
    }
    larder_builder_reset(values);
    OK(larder_builder_add_int(values, ":v", 7));
    OK(compile("#a0 = :v", values, &e, bound));
    OK(expr_filter(e, bound, images, at, &count, &sieve));
    cr_assert_eq(count, 4, "%u of 4", count);
}

/* The expiry behind the records of an item is no record. */
Test(expr_filter, an_expiry_that_looks_like_a_record) {
    struct larder_builder *b = item_builder_new(kit_arena, LARDER_ITEM_BYTES_MAX),
                          *values = item_builder_new(kit_arena, LARDER_ITEM_BYTES_MAX);
    _Alignas(8) uint8_t image[1024];
    const struct larder_item *built;
    struct item_head *stored;
    struct expr *e;
    struct larder_value bound[1];
    OK(compile("attribute_exists(n)", values, &e, bound));
    for (size_t more = 0; more < 8; more++) { /* so that there are 0 to 7 bytes in front of the expiry */
        size_t at = 0;
        uint32_t count = 1;
        larder_builder_reset(b);
        OK(larder_builder_add_s(b, "PK", "partition"));
        OK(larder_builder_add_sn(b, "data", "texttext", more));
        OK(larder_builder_add_int(b, "ttl", 0x696e0141)); /* N of one byte, a name of one byte, 'n', 'i' */
        OK(larder_builder_finish(b, &built));
        OK(item_to_stored(&shape, built, 1764000000, image, &stored));
        cr_assert_eq(item_expiry_s(stored), 0x696e0141);
        OK(expr_filter(e, bound, image, &at, &count, &sieve));
        cr_assert_eq(count, 0);
    }
}

/* The page keeps values by place and contents: a program may write others to the same place. */
Test(expr_filter, other_values_at_the_same_place_are_other_values) {
    struct larder_builder *values = item_builder_new(kit_arena, LARDER_ITEM_BYTES_MAX);
    struct larder_value bound[1];
    struct expr *e, *other;
    const struct larder_item *item;
    larder_builder_reset(values);
    OK(larder_builder_add_int(values, ":v", 1));
    OK(compile("#a0 = :v", values, &e, bound));
    OK(compile("#a0 = :v", values, &other, bound));
    OK(larder_builder_finish(values, &item));
    expr_sieve_keep(&sieve, e, item, bound);
    cr_assert(expr_sieve_has(&sieve, e, item));
    cr_assert(!expr_sieve_has(&sieve, other, item), "the same text is another expression");
    cr_assert(!expr_sieve_has(&sieve, e, NULL));
    struct item_head *head = (struct item_head *)item;
    for (size_t i = 0; i < head->bytes; i++) {
        uint8_t *byte = (uint8_t *)head + i;
        int is_told = i < 4 || i >= offsetof(struct item_head, partition_bytes); /* of a head: bytes and sizes */
        *byte ^= 1;
        cr_assert_eq(expr_sieve_has(&sieve, e, item), !is_told, "byte %zu", i);
        *byte ^= 1;
    }
}

/* tests/unit/expr/expr_names_test.c - reserved words, and the placeholders of a request.
 *
 * Sources  DG: developer guide, "Reserved words in DynamoDB". DL, KV as in expr_errors_test.c.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "expr/reserved_words.h"
#include "tests/unit/expr/expr_kit.h"

TestSuite(expr_names, .init = kit_set_up, .fini = kit_tear_down);

/* DG: 573 words, in any case. */
Test(expr_names, all_reserved_words) {
    cr_assert_eq(RESERVED_WORDS, 573);
    for (uint32_t i = 0; i < RESERVED_WORDS; i++) {
        char word[RESERVED_WORD_MAX + 3], text[64];
        const char *listed = reserved_word_at(i);
        cr_assert(i == 0 || strcmp(reserved_word_at(i - 1), listed) < 0, "%s is out of order", listed);
        for (size_t k = 0; k <= strlen(listed); k++)
            word[k] = (char)(k % 2 ? listed[k] : tolower((unsigned char)listed[k]));
        cr_assert(reserved_word(word, strlen(word)), "%s", word);
        stpcpy(word + strlen(word), "_x");
        cr_assert(!reserved_word(word, strlen(word)), "%s", word);
        cr_assert(!reserved_word(word, strlen(listed) - 1) ||
                      (i > 0 && strlen(listed) > 1), /* a word may begin with another: IN, INT */
                  "%s", word);
        struct kit_expr x;
        snprintf(text, sizeof text, "%s = b", listed);
        cr_assert_eq(kit_compile(&x, EXPR_FILTER, text, NULL, NULL), LARDER_E_INVAL, "%s", text);
        char name[32];
        snprintf(name, sizeof name, "#n=%s", listed);
        snprintf(text, sizeof text, "a.#n = %s_", listed);
        cr_assert_eq(kit_compile(&x, EXPR_FILTER, text, name, NULL), LARDER_OK, "%s", larder_error());
    }
    cr_assert(!reserved_word("", 0));
    cr_assert(!reserved_word("pk", 2));
    cr_assert(!reserved_word("LOCALTIMESTAMPS", 15));
}

struct row {
    const char *names, *values;
    const char *message;
    const char *source;
};

static const struct row rows[] = {
    {"a=b", NULL, "ExpressionAttributeNames contains invalid key: Syntax error; key: \"a\"", "DL"},
    {"#=b", NULL, "ExpressionAttributeNames contains invalid key: Syntax error; key: \"#\"", "KV"},
    {"#a-b=b", NULL, "ExpressionAttributeNames contains invalid key: Syntax error; key: \"#a-b\"", "KV"},
    {"#a=", NULL, "ExpressionAttributeNames contains invalid value: Empty attribute name for key #a", "KV"},
    {NULL, "{a: \"b\"}", "ExpressionAttributeValues contains invalid key: Syntax error; key: \"a\"", "DL"},
    {NULL, "{\":a.b\": 1}", "ExpressionAttributeValues contains invalid key: Syntax error; key: \":a.b\"", "KV"},
    {"#a=b #_1=c", "{:a: 1, :_1: 2}", NULL, "KV"},
};

Test(expr_names, form_of_placeholders) {
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct kit_expr x;
        kit_make(&x, EXPR_FILTER, "a = b", rows[i].names, NULL);
        int result = expr_check_placeholders(x.names, x.name_count, kit_item(rows[i].values));
        cr_expect_eq(result, rows[i].message ? LARDER_E_INVAL : LARDER_OK, "%s", larder_error());
        if (rows[i].message)
            cr_expect_str_eq(larder_error(), rows[i].message);
    }
}

/* KV: a "#n" of 255 bytes, '#' included, is the longest. */
Test(expr_names, a_long_placeholder) {
    uint8_t text[256];
    memset(text, 'a', sizeof text);
    text[0] = '#';
    struct expr_name name = {.placeholder = {text, 255}, .name = {text, 1}};
    cr_assert_eq(expr_check_placeholders(&name, 1, NULL), LARDER_OK);
    name.placeholder.len = 256;
    cr_assert_eq(expr_check_placeholders(&name, 1, NULL), LARDER_E_INVAL);
    cr_assert_str_eq(larder_error(), "ExpressionAttributeNames contains invalid key: The expression attribute map "
                                     "contains a key that is too long; size of key: 256");
}

/* What an item cannot hold must not be compiled into an update; a condition on it is not true. */
Test(expr_names, a_long_name) {
    static uint8_t text[LARDER_ATTRIBUTE_NAME_MAX + 1];
    const char *update = "SET a.#a = b", *condition = "attribute_exists(#a)";
    memset(text, 'a', sizeof text);
    struct expr_name name = {.placeholder = {(const uint8_t *)"#a", 2}, .name = {text, sizeof text - 1}};
    struct expr *e;
    cr_assert_eq(expr_compile(kit_arena, EXPR_UPDATE, update, strlen(update), &name, 1, NULL, &e), LARDER_OK);
    name.name.len++;
    cr_assert_eq(expr_compile(kit_arena, EXPR_CONDITION, condition, strlen(condition), &name, 1, NULL, &e), LARDER_OK);
    cr_assert_eq(expr_compile(kit_arena, EXPR_UPDATE, update, strlen(update), &name, 1, NULL, &e), LARDER_E_INVAL);
    cr_assert_str_eq(larder_error(), "ExpressionAttributeNames contains invalid value: Attribute name is too large, "
                                     "must be less than 65536 bytes for key #a");
}

/* DL: names before values; over all expressions of a request. KV: in the order of Java's HashSet,
 * which is that of the last letter here. */
Test(expr_names, unused) {
    struct kit_expr filter, projection;
    const char *values = "{:c: 1, :b: 2, :a: 3, :used: 4}";
    kit_make(&filter, EXPR_FILTER, "#x = :used", "#x=a #z=b #y=c", values);
    kit_make(&projection, EXPR_PROJECTION, "#z", "#x=a #z=b #y=c", values);
    const struct expr *const both[] = {filter.e, projection.e};
    struct expr_name names[3];
    for (int i = 0; i < 3; i++) {
        names[i] = filter.names[i];
        names[i].is_used |= projection.names[i].is_used;
    }
    cr_assert_eq(expr_check_unused(both, 2, names, 3, filter.values), LARDER_E_INVAL);
    cr_assert_str_eq(larder_error(), "Value provided in ExpressionAttributeNames unused in expressions: keys: {#y}");
    cr_assert_eq(expr_check_unused(both, 1, filter.names, 3, filter.values), LARDER_E_INVAL);
    cr_assert_str_eq(larder_error(),
                     "Value provided in ExpressionAttributeNames unused in expressions: keys: {#y, #z}");
    names[2].is_used = 1;
    cr_assert_eq(expr_check_unused(both, 2, names, 3, filter.values), LARDER_E_INVAL);
    cr_assert_str_eq(larder_error(),
                     "Value provided in ExpressionAttributeValues unused in expressions: keys: {:a, :b, :c}");
    cr_assert_eq(expr_check_unused(both, 2, names, 3, kit_item("{:used: 4}")), LARDER_OK);
}

/* tests/api/strict_test.c - what DynamoDB refuses is refused, by whichever way it comes.
 *
 * Goal     Keys, documents and start keys that DynamoDB refuses are LARDER_E_INVAL with a message
 *          that names them, whether they come by a builder, as a copy of another item, by
 *          larder_increment() or in a start key. What DynamoDB takes at the very limit is taken.
 * Method   The public functions only. What a single add refuses is in errors_write_test.c and
 *          tests/unit/item/item_refuse_test.c.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "larder.h"
#include "tests/support/expect.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"

TestSuite(strict, .timeout = 60 * SLOW_FACTOR);

#define MIB (UINT64_C(1) << 20)
#define NESTED_MAX (LARDER_NESTING_MAX - 1)

static struct larder *db;
static struct larder_table *t;
static struct larder_builder *b, *other;
static struct larder_page *page;

static void begin(void) {
    static const struct larder_index_def indexes[] = {
        {.name = "by_g", .partition = {"g", LARDER_S}, .sort = {"n", LARDER_N}},
        {.name = "local", .is_local = 1, .partition = {"pk", LARDER_S}, .sort = {"g", LARDER_S}}};
    static const struct larder_table_def def = {
        .name = "table", .partition = {"pk", LARDER_S}, .sort = {"sk", LARDER_S}, .indexes = indexes, .index_count = 2};
    db = testseg_open(32 * MIB, 4);
    EXPECT(larder_table_create(db, &def), LARDER_OK);
    EXPECT(larder_table_open(db, "table", &t), LARDER_OK);
    EXPECT(larder_builder_new(db, &b), LARDER_OK);
    EXPECT(larder_builder_new(db, &other), LARDER_OK);
    EXPECT(larder_page_new(db, &page), LARDER_OK);
}

static void expect_refused(int result, const char *word) {
    cr_assert_eq(result, LARDER_E_INVAL, "%s, not %s: %s", larder_result_name(result), word, larder_error());
    cr_assert(strstr(larder_error(), word), "no \"%s\" in \"%s\"", word, larder_error());
}

static void add_keys(struct larder_builder *to, const char *sk, const char *g, int n) {
    larder_builder_reset(to);
    larder_builder_add_s(to, "pk", "p");
    larder_builder_add_s(to, "sk", sk);
    if (g)
        larder_builder_add_s(to, "g", g);
    if (n >= 0)
        larder_builder_add_int(to, "n", n);
}

static void put(const char *sk, const char *g, int n) {
    const struct larder_item *item;
    add_keys(b, sk, g, n);
    EXPECT(larder_builder_finish(b, &item), LARDER_OK);
    EXPECT(larder_put(t, item, NULL), LARDER_OK);
}

/* ---- Nesting --------------------------------------------------------------------------------- */

/* Maps and lists, alternating. */
static int nest(struct larder_builder *to, int containers) {
    int r = LARDER_OK;
    for (int i = 0; i < containers && r == LARDER_OK; i++)
        r = larder_builder_begin(to, i == 0 ? "top" : i % 2 ? "m" : NULL, i % 2 ? LARDER_L : LARDER_M);
    for (int i = 0; i < containers && r == LARDER_OK; i++)
        r = larder_builder_end(to);
    return r;
}

Test(strict, nesting) {
    const struct larder_item *item, *copy;
    struct larder_value top;
    begin();
    add_keys(other, "s", NULL, -1);
    EXPECT(nest(other, NESTED_MAX), LARDER_OK);
    EXPECT(larder_builder_finish(other, &item), LARDER_OK);
    EXPECT(larder_put(t, item, NULL), LARDER_OK);
    EXPECT(larder_item_get(item, "top", &top), LARDER_OK);
    larder_builder_reset(b);
    EXPECT(larder_builder_add_all(b, item, NULL, 0), LARDER_OK);
    EXPECT(larder_builder_finish(b, &copy), LARDER_OK);
    struct larder_member member = {"under", 5, top};
    larder_builder_reset(b);
    EXPECT(larder_builder_add_member(b, &member), LARDER_OK);
    larder_builder_reset(b);
    EXPECT(larder_builder_begin(b, "outer", LARDER_M), LARDER_OK);
    expect_refused(larder_builder_add_member(b, &member), "32 lists and maps");
    add_keys(b, "s", NULL, -1);
    expect_refused(nest(b, NESTED_MAX + 1), "at most 31");
    expect_refused(larder_builder_finish(b, &copy), "at most 31");
    larder_close(db);
}

/* ---- Sizes ----------------------------------------------------------------------------------- */

/* An item of `bytes` bytes by DynamoDB's count. */
static int build_sized(size_t bytes, const struct larder_item **item) {
    static char text[LARDER_ITEM_BYTES_MAX + 64];
    memset(text, 'x', sizeof text);
    add_keys(b, "s", NULL, -1); /* pk p, sk s: 6 bytes */
    larder_builder_add_sn(b, "a", text, bytes - 6 - 1);
    return larder_builder_finish(b, item);
}

Test(strict, items_over_400_kb) {
    const struct larder_item *item, *copy;
    struct larder_key key = {.partition = larder_str("p"), .sort = larder_str("s")};
    int64_t value = 4711;
    begin();
    EXPECT(build_sized(LARDER_ITEM_BYTES_MAX, &item), LARDER_OK);
    cr_assert_eq(larder_item_size(item), LARDER_ITEM_BYTES_MAX);
    EXPECT(larder_put(t, item, NULL), LARDER_OK);
    expect_refused(build_sized(LARDER_ITEM_BYTES_MAX + 1, &item), "409601 bytes");
    /* By way of a copy, and of a number that is added or becomes longer. */
    EXPECT(larder_get(t, &key, page), LARDER_OK);
    larder_builder_reset(other);
    EXPECT(larder_builder_add_bool(other, "z", 1), LARDER_OK);
    expect_refused(larder_builder_add_all(other, larder_page_item(page, 0), NULL, 0), "at most 409600");
    expect_refused(larder_increment(t, &key, "count", 1, &value), "maximum allowed size");
    EXPECT(build_sized(LARDER_ITEM_BYTES_MAX - 7, &item), LARDER_OK); /* room for "count": 9 */
    EXPECT(larder_put(t, item, NULL), LARDER_OK);
    EXPECT(larder_increment(t, &key, "count", 9, &value), LARDER_OK);
    cr_assert_eq(value, 9);
    EXPECT(larder_increment(t, &key, "count", 90, &value), LARDER_OK);
    cr_assert_eq(value, 99);
    value = 4711;
    expect_refused(larder_increment(t, &key, "count", 1002, &value), "maximum allowed size");
    cr_assert_eq(value, 4711);
    EXPECT(larder_get(t, &key, page), LARDER_OK);
    copy = larder_page_item(page, 0);
    cr_assert_leq(larder_item_size(copy), LARDER_ITEM_BYTES_MAX);
    larder_close(db);
}

/* ---- Keys ------------------------------------------------------------------------------------ */

static int put_with(const char *name, const struct larder_value *value) {
    const struct larder_item *item;
    const struct larder_value usual = larder_str("x");
    larder_builder_reset(b);
    larder_builder_add(b, "pk", strcmp(name, "pk") == 0 ? value : &usual);
    larder_builder_add(b, "sk", strcmp(name, "sk") == 0 ? value : &usual);
    if (strcmp(name, "pk") != 0 && strcmp(name, "sk") != 0)
        larder_builder_add(b, name, value);
    int r = larder_builder_finish(b, &item);
    return r ? r : larder_put(t, item, NULL);
}

Test(strict, key_values) {
    static char text[LARDER_PARTITION_KEY_BYTES_MAX + 2];
    const struct larder_value empty = larder_str(""), number = larder_num("1"), null = {.type = LARDER_NULL};
    struct larder_value large = {.type = LARDER_S, .data = text};
    begin();
    memset(text, 'k', sizeof text - 1);
    const char *const keys[] = {"pk", "sk", "g"};
    for (int i = 0; i < 3; i++) {
        expect_refused(put_with(keys[i], &empty), "0 bytes");
        expect_refused(put_with(keys[i], &number), "type N");
        expect_refused(put_with(keys[i], &null), "type NULL");
    }
    large.bytes = LARDER_PARTITION_KEY_BYTES_MAX;
    EXPECT(put_with("pk", &large), LARDER_OK);
    large.bytes++;
    expect_refused(put_with("pk", &large), "2049 bytes");
    large.bytes = LARDER_SORT_KEY_BYTES_MAX;
    EXPECT(put_with("sk", &large), LARDER_OK);
    EXPECT(put_with("g", &large), LARDER_OK); /* sort key of one index, partition key of another */
    large.bytes++;
    expect_refused(put_with("sk", &large), "1025 bytes");
    expect_refused(put_with("g", &large), "1025 bytes");
    EXPECT(put_with("free", &empty), LARDER_OK); /* an attribute that is not a key may be empty */
    larder_close(db);
}

/* ---- Start keys ------------------------------------------------------------------------------ */

static const struct larder_item *start_key(const char *sk, const char *g, int n, const char *more) {
    const struct larder_item *key;
    add_keys(other, sk, g, n);
    if (more)
        larder_builder_add_s(other, more, "x");
    EXPECT(larder_builder_finish(other, &key), LARDER_OK);
    return key;
}

static int query(const char *index, enum larder_sort_op op, struct larder_value a, struct larder_value z,
                 const struct larder_item *start) {
    struct larder_query_spec spec = {
        .index = index, .sort_op = op, .sort_value = a, .sort_value2 = z, .start_key = start};
    spec.partition = larder_str(!index || strcmp(index, "local") == 0 ? "p" : "g1");
    return larder_query(t, &spec, page);
}

Test(strict, start_keys_of_queries) {
    const struct larder_value none = {0}, b5 = larder_str("b5"), b7 = larder_str("b7"), n5 = larder_num("5"),
                              n7 = larder_num("7");
    const char *const outside = "outside", *const an_attribute = "an attribute";
    begin();
    for (int i = 0; i < 10; i++) {
        char sk[8];
        snprintf(sk, sizeof sk, "b%d", i);
        put(sk, "g1", i);
    }
#define AFTER(sk) start_key(sk, NULL, -1, NULL)
#define IN_INDEX(sk, n) start_key(sk, "g1", n, NULL)
    EXPECT(query(NULL, LARDER_SORT_ANY, none, none, AFTER("b3")), LARDER_OK);
    cr_assert_eq(larder_page_count(page), 6);
    EXPECT(query("by_g", LARDER_SORT_ANY, none, none, IN_INDEX("b3", 3)), LARDER_OK);
    cr_assert_eq(larder_page_count(page), 6);
    /* An attribute too many, or of another index; one too few. */
    expect_refused(query(NULL, LARDER_SORT_ANY, none, none, start_key("b3", NULL, -1, "more")), an_attribute);
    expect_refused(query(NULL, LARDER_SORT_ANY, none, none, start_key("b3", "g1", -1, NULL)), an_attribute);
    expect_refused(query("by_g", LARDER_SORT_ANY, none, none, start_key("b3", "g1", 3, "more")), an_attribute);
    expect_refused(query("local", LARDER_SORT_ANY, none, none, start_key("b3", "g1", 3, NULL)), an_attribute);
    expect_refused(query("by_g", LARDER_SORT_ANY, none, none, start_key("b3", "g1", -1, NULL)), "no attribute \"n\"");
    expect_refused(query("by_g", LARDER_SORT_ANY, none, none, start_key("b3", "g2", 3, NULL)), "partition");
    /* Outside of the key condition, at each edge. */
    expect_refused(query(NULL, LARDER_SORT_EQ, b5, none, AFTER("b4")), outside);
    expect_refused(query(NULL, LARDER_SORT_LT, b5, none, AFTER("b5")), outside);
    EXPECT(query(NULL, LARDER_SORT_LT, b5, none, AFTER("b4")), LARDER_OK);
    expect_refused(query(NULL, LARDER_SORT_LE, b5, none, AFTER("b6")), outside);
    EXPECT(query(NULL, LARDER_SORT_LE, b5, none, AFTER("b5")), LARDER_OK);
    expect_refused(query(NULL, LARDER_SORT_GT, b5, none, AFTER("b5")), outside);
    EXPECT(query(NULL, LARDER_SORT_GT, b5, none, AFTER("b6")), LARDER_OK);
    expect_refused(query(NULL, LARDER_SORT_GE, b5, none, AFTER("b4")), outside);
    EXPECT(query(NULL, LARDER_SORT_GE, b5, none, AFTER("b5")), LARDER_OK);
    expect_refused(query(NULL, LARDER_SORT_BETWEEN, b5, b7, AFTER("b4")), outside);
    expect_refused(query(NULL, LARDER_SORT_BETWEEN, b5, b7, AFTER("b8")), outside);
    EXPECT(query(NULL, LARDER_SORT_BETWEEN, b5, b7, AFTER("b7")), LARDER_OK);
    expect_refused(query(NULL, LARDER_SORT_BEGINS_WITH, b5, none, AFTER("b4")), outside);
    expect_refused(query(NULL, LARDER_SORT_BEGINS_WITH, b5, none, AFTER("b6")), outside);
    EXPECT(query(NULL, LARDER_SORT_BEGINS_WITH, b5, none, AFTER("b5x")), LARDER_OK);
    expect_refused(query("by_g", LARDER_SORT_GT, n5, none, IN_INDEX("b5", 5)), outside);
    expect_refused(query("by_g", LARDER_SORT_BETWEEN, n5, n7, IN_INDEX("b8", 8)), outside);
    EXPECT(query("by_g", LARDER_SORT_EQ, n5, none, IN_INDEX("b5", 5)), LARDER_OK);
    larder_close(db);
}

/* Every page's own start key is accepted, under every condition, in both directions. */
Test(strict, resume_keys_are_taken) {
    const struct larder_value from = larder_str("b2"), to = larder_str("b7"), n2 = larder_num("2"),
                              n7 = larder_num("7");
    begin();
    for (int i = 0; i < 10; i++) {
        char sk[8];
        snprintf(sk, sizeof sk, "b%d", i);
        put(sk, "g1", i);
    }
    for (int op = LARDER_SORT_ANY; op <= LARDER_SORT_BEGINS_WITH; op++)
        for (int way = 0; way < 6; way++) {
            int is_number = way / 2 == 1;
            if (op == LARDER_SORT_BEGINS_WITH && is_number)
                continue;
            struct larder_query_spec spec = {.index = way / 2 == 0 ? NULL
                                                      : is_number  ? "by_g"
                                                                   : "local",
                                             .partition = larder_str(is_number ? "g1" : "p"),
                                             .sort_op = (enum larder_sort_op)op,
                                             .sort_value = is_number ? n2
                                                           : way / 2 ? larder_str("g1")
                                                                     : from,
                                             .sort_value2 = is_number ? n7
                                                            : way / 2 ? larder_str("g1")
                                                                      : to,
                                             .is_descending = way % 2,
                                             .limit = 1};
            int r;
            do {
                r = larder_query(t, &spec, page);
                cr_assert_geq(r, 0, "op %d, way %d: %s", op, way, larder_error());
                spec.start_key = larder_page_resume(page);
            } while (r == LARDER_MORE);
        }
    struct larder_scan_spec scan = {.limit = 1};
    int r, pages = 0;
    do {
        r = larder_scan(t, &scan, page);
        cr_assert_geq(r, 0, "%s", larder_error());
        scan.start_key = larder_page_resume(page);
        pages++;
    } while (r == LARDER_MORE);
    cr_assert_geq(pages, 10);
    scan.start_key = start_key("b3", "g1", -1, NULL);
    expect_refused(larder_scan(t, &scan, page), "an attribute \"g\"");
    larder_close(db);
}

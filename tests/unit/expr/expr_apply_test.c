/* tests/unit/expr/expr_apply_test.c - items that update expressions make.
 *
 * Sources  DG: developer guide, "Using update expressions in DynamoDB". SU, SN, SR: ScyllaDB's
 * Sources  DG: developer guide, "Using update expressions in DynamoDB". SU, SN, SR: ScyllaDB's
 *          its authors run against the service. DC: nubo-db/dynamodb-conformance, tests/tier1 and
 *          tier3, checked against the service. AP: API reference, TransactWriteItems, its list of
 *          reasons. No source: what follows from the others.
 * Method   The result is, to the byte, the image that a builder makes of the expected item: from a
 *          builder's image, and from one that a table stores. The buffer grows from nothing to
 *          exactly what was asked for, so the address sanitizer sees a byte too many.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/priv.h"
#include "expr/update.h"
#include "tests/support/rng.h"
#include "tests/support/slow.h"
#include "tests/unit/expr/expr_kit.h"

TestSuite(expr_apply, .init = kit_set_up, .fini = kit_tear_down, .timeout = 60 * SLOW_FACTOR);

#define PATH "The document path provided in the update expression is invalid for update"
#define TYPE "An operand in the update expression has an incorrect data type"
#define ABSENT "The provided expression refers to an attribute that does not exist in the item"
#define OVERFLOW "Number overflow. Attempting to store a number with magnitude larger than supported range"
#define UNDERFLOW "Number underflow. Attempting to store a number with magnitude smaller than supported range"
#define TOO_LARGE "Item size to update has exceeded the maximum allowed size"
#define TOO_DEEP "Nesting Levels have exceeded supported limits"
#define NOTHING "no item"
#define TRIES_MAX 6

/* Applies; the result is written for larder_error(). *image lies in memory of the caller. */
static int apply(const struct kit_expr *x, const struct item_head *old, const struct item_head *keys,
                 const struct item_head **image, void **memory) {
    const struct expr_update u = {.e = x->e, .bound = x->bound, .old = old, .keys = keys};
    size_t room = 0, need = 0;
    int result = EXPR_TOO_SMALL;
    *memory = NULL;
    for (int tries = 0; result == EXPR_TOO_SMALL; tries++) {
        cr_assert_lt(tries, TRIES_MAX, "the buffer is never large enough");
        free(*memory);
        *memory = room ? aligned_alloc(8, room) : NULL;
        if (room)
            memset(*memory, 0xa5, room);
        result = expr_update(&u, *memory, room, image, &need);
        cr_assert(result != EXPR_TOO_SMALL || need > room);
        room = need;
    }
    return result;
}

static const struct item_head *stored(const struct larder_item *item) {
    static const struct item_shape shape = {.partition = {.name = "pk", .name_bytes = 2, .type = LARDER_S},
                                            .sort = {.name = "sk", .name_bytes = 2, .type = LARDER_N}};
    struct item_head *made;
    void *to = priv_alloc(kit_arena, item_stored_bytes_max(&shape, item));
    cr_assert_eq(item_to_stored(&shape, item, 1764000000, to, &made), LARDER_OK, "%s", larder_error());
    return made;
}

/* wanted: an item, NOTHING, or the beginning of an error. */
static void check(const struct kit_expr *x, const char *text, const struct item_head *old, const char *wanted) {
    const struct item_head *image;
    void *memory;
    int result = apply(x, old, item_head(kit_item("{pk: \"p\", sk: 1}")), &image, &memory);
    if (*wanted == '{') {
        const struct item_head *item = item_head(kit_item(wanted));
        cr_expect_eq(result, LARDER_OK, "%s: %d, %s", text, result, larder_error());
        if (result == LARDER_OK) {
            cr_expect(item_is_sane(image, image->bytes), "%s: no image", text);
            cr_expect(image->bytes == item->bytes && memcmp(image, item, item->bytes) == 0, "%s: not %s", text, wanted);
        }
    } else if (strcmp(wanted, NOTHING) == 0)
        cr_expect_eq(result, LARDER_NOT_FOUND, "%s: %d", text, result);
    else {
        cr_expect_eq(result, LARDER_E_INVAL, "%s: %d", text, result);
        cr_expect(result < 0 && strncmp(larder_error(), wanted, strlen(wanted)) == 0, "%s: %s", text, larder_error());
    }
    free(memory);
}

/* `old` is what is in the braces besides the keys, NULL: no item; so is `made` if it is an item. */
static void check_row(const char *text, const char *old, const char *values, const char *made) {
    static char item[1 << 12], wanted[1 << 12];
    struct kit_expr x;
    kit_make(&x, EXPR_UPDATE, text, "#n=odd.name #pk=pk", values);
    if (*made == '{')
        snprintf(wanted, sizeof wanted, "{pk: \"p\", sk: 1, %s", made + 1);
    else
        snprintf(wanted, sizeof wanted, "%s", made);
    if (!old) {
        check(&x, text, NULL, wanted);
        return;
    }
    snprintf(item, sizeof item, "{pk: \"p\", sk: 1, %s", old + 1);
    const struct larder_item *from = kit_item(item);
    check(&x, text, item_head(from), wanted);
    check(&x, text, stored(from), wanted);
}

struct row {
    const char *text, *old, *values, *made, *source;
};

static void check_rows(const struct row *rows, size_t count) {
    for (size_t i = 0; i < count; i++)
        check_row(rows[i].text, rows[i].old, rows[i].values, rows[i].made);
}
#define ROWS(...)                                                                                                      \
    static const struct row rows[] = {__VA_ARGS__};                                                                    \
    check_rows(rows, sizeof rows / sizeof *rows)

/* ---- SET ------------------------------------------------------------------------------------- */

Test(expr_apply, set) {
    ROWS({"SET b = :v", NULL, "{:v: 4}", "{b: 4}", "SU set; DC upsert"},
         {"SET x = :v, y = :v", NULL, "{:v: 4}", "{x: 4, y: 4}", "SU set_multi"},
         {"SET b = :v", "{a: \"hi\"}", "{:v: \"hello\"}", "{a: \"hi\", b: \"hello\"}", "SU set_merge"},
         {"SET a = :v", "{a: \"hi\", z: 1}", "{:v: <1, 2>}", "{a: <1, 2>, z: 1}", "SU set_merge"},
         {"SET a = :v, q = :w, zz = :v, PK = :w", "{b: 1, status: \"x\"}", "{:v: {x: [1]}, :w: b\"y\"}",
          "{PK: b\"y\", a: {x: [1]}, b: 1, q: b\"y\", status: \"x\", zz: {x: [1]}}", "DG: before, between, behind"},
         {"SET a = :v, b = :w, c = :x, d = :y", NULL, "{:v: [], :w: {}, :x: \"\", :y: b\"\"}",
          "{a: [], b: {}, c: \"\", d: b\"\"}", "SU empty_attribute"},
         {"SET a = :v, b = :w, c = :x", "{}", "{:v: null, :w: true, :x: false}", "{a: null, b: true, c: false}", ""},
         {"SET #n = :v", NULL, "{:v: 3}", "{\"odd.name\": 3}", "SU dot_in_name"},
         {"SET b = a", "{a: \"hello\"}", NULL, "{a: \"hello\", b: \"hello\"}", "SU set_copy"},
         {"SET c = z", "{a: 1}", NULL, ABSENT, "SU set_copy"}, {"SET c = z", NULL, NULL, ABSENT, "SU set_copy"},
         {"SET x = :v, y = x", "{a: 1}", "{:v: 4}", ABSENT, "SU set_copy: reads come first"},
         {"SET a = a", "{a: {b: 1}}", NULL, "{a: {b: 1}}", "SU set_copy"},
         {"SET a = b, b = a", "{a: 1, b: \"x\"}", NULL, "{a: \"x\", b: 1}", "DG: reads come first"},
         {"SET n = #pk, m = sk + sk", "{}", NULL, "{n: \"p\", m: 2}", "SU set_key"},
         {"SET z = a.c.x", "{a: {b: 3, c: {x: 7, y: 8}}}", NULL, "{a: {b: 3, c: {x: 7, y: 8}}, z: 7}",
          "SU nested_attribute_rhs"});
}

Test(expr_apply, set_in_documents) {
    ROWS({"SET a.c = :v", "{a: {b: 3, c: 4}, d: 5}", "{:v: 7}", "{a: {b: 3, c: 7}, d: 5}", "SU nested_attribute_dot"},
         {"SET a.d = :v", "{a: {b: 3, c: 7}, d: 5}", "{:v: 3}", "{a: {b: 3, c: 7, d: 3}, d: 5}", "SU"},
         {"SET a[1] = :v", "{a: [\"one\", \"two\", \"three\"]}", "{:v: \"hello\"}",
          "{a: [\"one\", \"hello\", \"three\"]}", "SU nested_attribute_index"},
         {"SET a.c = :v", "{a: {b: 3, c: {one: 1, two: 2}}}", "{:v: 7}", "{a: {b: 3, c: 7}}",
          "SU nested_different_type"},
         {"SET a.c[1].x.y[1] = :v", "{a: {b: 3, c: [\"hi\", {x: {y: [3, 5, 7]}}]}}", "{:v: 9}",
          "{a: {b: 3, c: [\"hi\", {x: {y: [3, 9, 7]}}]}}", "SU nested_deep"},
         {"SET a.z = a.c[1].x", "{a: {c: [1, {x: 9}]}}", NULL, "{a: {c: [1, {x: 9}], z: 9}}", "SU nested_deep"},
         {"SET a.b = :x, a.c.d = :y, b.x = :z REMOVE a.x, b.y", "{a: {x: 3, y: 4, c: {y: 3}}, b: {x: 1, y: 2}}",
          "{:x: 10, :y: \"dog\", :z: 17}", "{a: {y: 4, b: 10, c: {y: 3, d: \"dog\"}}, b: {x: 17}}", "SU multi_nested"},
         {"SET a[7] = :v", "{a: [\"one\", \"two\", \"three\"]}", "{:v: \"hello\"}",
          "{a: [\"one\", \"two\", \"three\", \"hello\"]}", "SU array_out_of_bounds"},
         {"SET a[84] = :v, a[37] = :w, a[17] = :x, a[50] = :y", "{a: [0]}", "{:v: 1, :w: 2, :x: 3, :y: 4}",
          "{a: [0, 3, 2, 4, 1]}", "SU: in the order of their indexes"},
         {"SET a[0] = :v", "{a: []}", "{:v: 1}", "{a: [1]}", "DC paths: of an empty list"},
         {"SET a.m.n = a.m.n + :v", "{a: {m: {n: 10}}}", "{:v: 5}", "{a: {m: {n: 15}}}", "DC paths"},
         {"SET a.c = :v", "{a: \"hello\", b: [\"hi\"]}", "{:v: 7}", PATH, "SU bad_path_dot"},
         {"SET b.c = :v", "{a: \"hello\", b: [\"hi\"]}", "{:v: 7}", PATH, "SU bad_path_dot"},
         {"SET c.c = :v", "{a: \"hello\", b: [\"hi\"]}", "{:v: 7}", PATH, "SU bad_path_dot"},
         {"SET c.c = :v", NULL, "{:v: 7}", PATH, "SU bad_path_dot"},
         {"SET a[0] = :v", "{a: \"hello\"}", "{:v: 7}", PATH, "SU bad_path_array"},
         {"SET b[0] = :v", "{a: \"hello\"}", "{:v: 7}", PATH, "SU bad_path_array"},
         {"SET b[0] = :v", NULL, "{:v: 7}", PATH, "SU bad_path_array"},
         {"SET m[0] = :v", "{m: {a: 1}}", "{:v: 7}", PATH, "SU bad_path_array"},
         {"SET a.b.c = :v", "{a: {x: 1}}", "{:v: 7}", PATH, "DC paths: a map in between is missing"},
         {"SET a[3].b = :v", "{a: [1]}", "{:v: 7}", PATH, "an element in between is missing"},
         {"SET s[0] = :v", "{s: <1>}", "{:v: 7}", PATH, "a set is no list"});
}

Test(expr_apply, sums) {
    ROWS({"SET b = :v + :w", NULL, "{:v: 4, :w: 3}", "{b: 7}", "SU plus_basic"},
         {"SET b = :v - :w", NULL, "{:v: 5, :w: 2}", "{b: 3}", "SU plus_basic"},
         {"SET a = a + :v", "{a: 2}", "{:v: 3}", "{a: 5}", "SU plus_rmw"},
         {"SET a = :v + a", "{a: 5}", "{:v: 4}", "{a: 9}", "SU plus_rmw"},
         {"SET a = b + a", "{a: 9, b: 10}", NULL, "{a: 19, b: 10}", "SU plus_rmw"},
         {"SET a = a - :v, b = a", "{a: 1.5}", "{:v: 0.25}", "{a: 1.25, b: 1.5}", "SU: reads come first"},
         {"SET b = :v + :w", NULL, "{:v: 1, :w: 10000000000000000000000}", "{b: 10000000000000000000001}",
          "SN plus_precision"},
         {"SET b = :v + :w", NULL, "{:v: 9e125, :w: 9e125}", OVERFLOW, "SN plus_overflow; DC numberPrecision"},
         {"SET b = :v - :w", NULL, "{:v: 9e125, :w: -9e125}", OVERFLOW, "SN plus_overflow"},
         {"SET b = :v - :w", NULL, "{:v: 1e50, :w: 1}", OVERFLOW, "SN plus_imprecise: the same message"},
         {"SET b = :v + :w", NULL, "{:v: 1e50, :w: 1}", OVERFLOW, "SN plus_imprecise"},
         {"SET b = :v - :w", NULL, "{:v: 1.1e-130, :w: 1e-130}", UNDERFLOW, "DG: from 1E-130 on"},
         {"SET a = a + :v", "{a: \"text\"}", "{:v: 3}", TYPE, "AP"},
         {"SET a = b + :v", "{a: 1}", "{:v: 3}", ABSENT, "AP"}, {"SET a = a + b", "{a: 1}", NULL, ABSENT, "AP"},
         {"SET a = a + :v", NULL, "{:v: 3}", ABSENT, "AP"});
}

Test(expr_apply, functions) {
    ROWS({"SET a = if_not_exists(a, :v)", "{}", "{:v: 2}", "{a: 2}", "SU if_not_exists"},
         {"SET a = if_not_exists(a, :v)", "{a: 2}", "{:v: 3}", "{a: 2}", "SU if_not_exists"},
         {"SET a = if_not_exists(a, :v)", NULL, "{:v: 3}", "{a: 3}", "SU if_not_exists"},
         {"SET b = if_not_exists(c, :v)", "{a: 2}", "{:v: 4}", "{a: 2, b: 4}", "SU if_not_exists"},
         {"SET b = if_not_exists(a, :v)", "{a: 2, b: 5}", "{:v: 6}", "{a: 2, b: 2}", "SU if_not_exists"},
         {"SET b = if_not_exists(b, m)", "{m: \"original\"}", NULL, "{b: \"original\", m: \"original\"}", "DC basic"},
         {"SET b = if_not_exists(a.x[1], :v)", "{a: {x: [1, 2]}}", "{:v: 0}", "{a: {x: [1, 2]}, b: 2}", "DG: a path"},
         {"SET b = if_not_exists(a, absent)", "{a: 1}", NULL, "{a: 1, b: 1}", "DG: the second is not needed"},
         {"SET b = if_not_exists(b, absent)", "{a: 1}", NULL, ABSENT, "AP"},
         {"SET a = if_not_exists(b, if_not_exists(c, :v))", "{}", "{:v: 3}", "{a: 3}", "SU function_nesting"},
         {"SET x = if_not_exists(b, if_not_exists(a, :v))", "{a: 3}", "{:v: 4}", "{a: 3, x: 3}", "SU function_nesting"},
         {"SET b = if_not_exists(b, :v)+:w", "{}", "{:v: 2, :w: 3}", "{b: 5}", "SU function_plus_nesting"},
         {"SET b = if_not_exists(b, :v)+:w", "{b: 5}", "{:v: 2, :w: 3}", "{b: 8}", "SU function_plus_nesting"},
         {"SET a = list_append(:v, :w)", NULL, "{:v: [4, \"hello\"], :w: [\"hi\", 7]}",
          "{a: [4, \"hello\", \"hi\", 7]}", "SU list_append_basic"},
         {"SET a = list_append(a, :v)", "{a: [\"hi\", 2]}", "{:v: [4, {x: 1}]}", "{a: [\"hi\", 2, 4, {x: 1}]}",
          "SU list_append"},
         {"SET a = list_append(:v, a)", "{a: [\"hi\", 2]}", "{:v: [\"dog\"]}", "{a: [\"dog\", \"hi\", 2]}",
          "SU list_append"},
         {"SET c = list_append(a, b)", "{a: [1], b: [2, []]}", NULL, "{a: [1], b: [2, []], c: [1, 2, []]}",
          "SU list_append"},
         {"SET a = list_append(a, b)", "{a: [], b: []}", NULL, "{a: [], b: []}", "SU: empty ones"},
         {"SET a = list_append(if_not_exists(a, :v), :w)", "{}", "{:v: [\"a\"], :w: [\"c\"]}", "{a: [\"a\", \"c\"]}",
          "SU function_nesting"},
         {"SET a = list_append(if_not_exists(a, :v), :w)", "{a: [1]}", "{:v: [\"a\"], :w: [\"c\"]}", "{a: [1, \"c\"]}",
          "SU function_nesting"},
         {"SET m.l = list_append(m.l, m.l)", "{m: {l: [1, {a: 2}]}}", NULL, "{m: {l: [1, {a: 2}, 1, {a: 2}]}}", ""},
         {"SET a = list_append(b, :v)", NULL, "{:v: [1]}", ABSENT, "SU list_append_non_list_arguments"},
         {"SET a = list_append(:v, b)", "{a: 2}", "{:v: [1]}", ABSENT, "SU list_append_non_list_arguments"},
         {"SET a = list_append(b, :v)", "{b: 7}", "{:v: [1]}", TYPE, "SU list_append_non_list_arguments"},
         {"SET a = list_append(:v, b)", "{b: <1, 2>}", "{:v: [1]}", TYPE, "SU list_append_non_list_arguments"},
         {"SET a = list_append(:v, b)", "{b: {a: 3}}", "{:v: [1]}", TYPE, "SU list_append_non_list_arguments"});
}

/* ---- REMOVE, ADD, DELETE --------------------------------------------------------------------- */

Test(expr_apply, remove) {
    ROWS(
        {"REMOVE a", "{a: \"hello\", b: \"hi\"}", NULL, "{b: \"hi\"}", "SU remove"},
        {"REMOVE a, b, zz", "{a: \"hello\", b: \"hi\"}", NULL, "{}", "DG: several"},
        {"REMOVE absent", "{a: 1}", NULL, "{a: 1}", "DC basic: nothing happens"},
        {"REMOVE a SET b = a", "{a: \"hello\"}", NULL, "{b: \"hello\"}", "SU multi_with_copy"},
        {"SET c = b REMOVE b", "{b: \"hello\"}", NULL, "{c: \"hello\"}", "SU multi_with_copy"},
        {"REMOVE a.c[1].x.y[1], a.c[1].q", "{a: {b: 3, c: [\"hi\", {x: {y: [3, 5, 7]}, q: 2}]}}", NULL,
         "{a: {b: 3, c: [\"hi\", {x: {y: [3, 7]}}]}}", "SU nested_remove"},
        {"REMOVE a[17]", "{a: [4, 5, 6]}", NULL, "{a: [4, 5, 6]}", "SU nested_remove_list_item_after_end"},
        {"REMOVE a[1] SET a[3] = :v", "{a: [2, 3, 4, 5, 6, 7]}", "{:v: 17}", "{a: [2, 4, 17, 6, 7]}",
         "SU remove_list_item_original_number"},
        {"SET a[3] = :v REMOVE a[1]", "{a: [2, 3, 4, 5, 6, 7]}", "{:v: 17}", "{a: [2, 4, 17, 6, 7]}", "SU"},
        {"SET a[9] = :v REMOVE a[1], a[0]", "{a: [2, 3, 4]}", "{:v: 17}", "{a: [4, 17]}", "SU"},
        {"REMOVE a[2], a[0]", "{a: [0, 1, 2, 3]}", NULL, "{a: [1, 3]}", "DG: Remove from a list"},
        {"REMOVE a.b", "{a: {b: 1}}", NULL, "{a: {}}", "SU remove_singleton_map"},
        {"REMOVE a[0]", "{a: [1]}", NULL, "{a: []}", "SU remove_singleton_list"},
        {"REMOVE a.y, b[7], c", "{a: {x: 3}, b: [\"hi\"]}", NULL, "{a: {x: 3}, b: [\"hi\"]}", "SU remove_missing_leaf"},
        {"REMOVE a.c", "{a: \"hello\", b: [\"hi\"]}", NULL, PATH, "SU bad_path_dot"},
        {"REMOVE b.c", "{a: \"hello\", b: [\"hi\"]}", NULL, PATH, "SU bad_path_dot"},
        {"REMOVE c.c", "{a: \"hello\", b: [\"hi\"]}", NULL, PATH, "SU bad_path_dot"},
        {"REMOVE a[0]", "{a: \"hello\"}", NULL, PATH, "SU bad_path_array"},
        {"REMOVE b[0]", "{a: \"hello\"}", NULL, PATH, "SU bad_path_array"},
        {"REMOVE x.y", NULL, NULL, NOTHING, "SU remove_from_missing_item"},
        {"REMOVE x[0]", NULL, NULL, NOTHING, "SU remove_from_missing_item"},
        {"REMOVE b", NULL, NULL, NOTHING, "SR all_new: no item is made"},
        {"SET a = :v REMOVE x.y", NULL, "{:v: 1}", "{a: 1}", "as remove_from_missing_item"});
}

Test(expr_apply, add) {
    ROWS({"ADD a :v", "{a: 3, b: \"hi\"}", "{:v: 4}", "{a: 7, b: \"hi\"}", "SU add_numbers"},
         {"ADD a :v", "{a: 1.5}", "{:v: -2}", "{a: -0.5}", "DG"},
         {"ADD b :v", "{b: \"hi\"}", "{:v: 1}", TYPE, "SU add_numbers"},
         {"ADD b :v", "{a: \"hello\"}", "{:v: 7}", "{a: \"hello\", b: 7}", "SU add_numbers_new"},
         {"ADD b :v", NULL, "{:v: 8}", "{b: 8}", "SU add_numbers_new"},
         {"ADD a :v", "{a: 9e125}", "{:v: 9e125}", OVERFLOW, "SN plus_overflow"},
         {"ADD a :v", "{a: 1e50}", "{:v: 1}", OVERFLOW, "SN plus_imprecise"},
         {"ADD a :v", "{a: <\"dog\", \"cat\", \"mouse\">}", "{:v: <\"pig\">}",
          "{a: <\"dog\", \"cat\", \"mouse\", \"pig\">}", "SU add_sets"},
         {"ADD a :v", "{a: <\"beaver\", \"lynx\", \"coati\">}", "{:v: <\"coati\", \"beaver\", \"badger\">}",
          "{a: <\"beaver\", \"badger\", \"lynx\", \"coati\">}", "SU add_sets: no duplicates"},
         {"ADD a :v", "{a: <1, -2, 30.5>}", "{:v: <30.50, -3, 100>}", "{a: <1, -2, -3, 30.5, 100>}", "DG"},
         {"ADD a :v", "{a: <b\"x\">}", "{:v: <b\"\", b\"xx\">}", "{a: <b\"\", b\"x\", b\"xx\">}", "DG"},
         {"ADD b :v", "{a: \"hello\"}", "{:v: <\"dog\">}", "{a: \"hello\", b: <\"dog\">}", "SU add_sets_new"},
         {"ADD b :v", NULL, "{:v: <\"cat\">}", "{b: <\"cat\">}", "SU add_sets_new"},
         {"ADD a :v", "{a: [1, 2]}", "{:v: <3, 4>}", TYPE, "SU add_lists"},
         {"ADD a :v", "{a: <1>}", "{:v: <\"1\">}", TYPE, "SU: a set of another type"},
         {"ADD a :v", "{a: <1>}", "{:v: 1}", TYPE, "SU"}, {"ADD a :v", "{a: 1}", "{:v: <1>}", TYPE, "SU"},
         {"ADD a.b :v, a.c :v", "{a: {b: 1}}", "{:v: 4}", "{a: {b: 5, c: 4}}", "API reference, ADD: a path"},
         {"ADD a[1] :v", "{a: [1, 2, 3]}", "{:v: 4}", "{a: [1, 6, 3]}", "API reference, ADD: a path"},
         {"ADD a.b :v", "{a: 1}", "{:v: 4}", PATH, "AP"}, {"ADD a.b :v", NULL, "{:v: 4}", PATH, "AP"});
}

Test(expr_apply, delete) {
    ROWS({"DELETE a :v", "{a: <\"dog\", \"cat\", \"mouse\">, b: 1}", "{:v: <\"cat\", \"mouse\">}",
          "{a: <\"dog\">, b: 1}", "SU delete_sets"},
         {"DELETE a :v", "{a: <\"dog\">}", "{:v: <\"pig\">}", "{a: <\"dog\">}", "SU delete_sets: not there"},
         {"DELETE a :v", "{a: <\"dog\">, b: \"hi\"}", "{:v: <\"dog\">}", "{b: \"hi\"}", "SU, DC: the last member"},
         {"DELETE a :v", "{b: \"hi\"}", "{:v: <\"dog\">}", "{b: \"hi\"}", "SU delete_sets: no attribute"},
         {"DELETE a :v", "{a: <1, 2.5, -3>}", "{:v: <2.50, 7>}", "{a: <1, -3>}", "DG"},
         {"DELETE a :v", "{a: <b\"x\", b\"\">}", "{:v: <b\"\">}", "{a: <b\"x\">}", "DG"},
         {"DELETE a :v", "{a: <1>}", "{:v: <\"1\">}", TYPE, "SU: a set of another type"},
         {"DELETE a :v", "{a: \"dog\"}", "{:v: <\"dog\">}", TYPE, "SU"},
         {"DELETE a.s :v", "{a: {s: <1>, t: 1}}", "{:v: <1>}", "{a: {t: 1}}", "API reference, DELETE: a path"},
         {"DELETE a[0] :v", "{a: [<1>, 2]}", "{:v: <1>}", "{a: [2]}", ""},
         {"DELETE a.s :v", "{b: 1}", "{:v: <1>}", PATH, "AP"}, {"DELETE a :v", NULL, "{:v: <1>}", NOTHING, ""});
}

Test(expr_apply, all_at_once) {
    ROWS({"SET a = :v REMOVE info ADD n :n DELETE tags :t", "{info: {a: 1}, n: 1, tags: <\"a\", \"b\">, z: 1}",
          "{:v: 1, :n: 1, :t: <\"a\">}", "{a: 1, n: 2, tags: <\"b\">, z: 1}", "DG"},
         {"DELETE l[1].s :t ADD l[1].n :n REMOVE l[0] SET l[1].x = l[0], l[5] = :v",
          "{l: [\"old\", {s: <1, 2>, n: 1}]}", "{:v: \"new\", :n: 1.5, :t: <1>}",
          "{l: [{s: <2>, n: 2.5, x: \"old\"}, \"new\"]}", "DG"});
}

/* ---- Limits ---------------------------------------------------------------------------------- */

/* api: 409,600 bytes are accepted, one more is not, on every write path. */
Test(expr_apply, sizes) {
    static char text[LARDER_ITEM_BYTES_MAX + 64];
    char *at = stpcpy(text, "{pk: \"p\", sk: 1, a: \""); /* 2 + 1 + 2 + 2 + 1 */
    memset(at, 'x', LARDER_ITEM_BYTES_MAX - 8 - 3);      /* "b" and an N of 2 bytes fit */
    stpcpy(at + LARDER_ITEM_BYTES_MAX - 8 - 3, "\"}");
    const struct larder_item *from = kit_item(text);
    const struct item_head *image;
    struct kit_expr x;
    void *memory;
    kit_make(&x, EXPR_UPDATE, "SET b = :v", NULL, "{:v: 12}");
    cr_assert_eq(apply(&x, stored(from), NULL, &image, &memory), LARDER_OK, "%s", larder_error());
    cr_assert_eq(larder_item_size((const struct larder_item *)image), LARDER_ITEM_BYTES_MAX);
    cr_assert(item_is_sane(image, image->bytes));
    free(memory);
    kit_make(&x, EXPR_UPDATE, "SET b = :v", NULL, "{:v: 123}");
    check(&x, "a number too long", stored(from), TOO_LARGE);
    kit_make(&x, EXPR_UPDATE, "SET b = a", NULL, NULL);
    check(&x, "a copy", stored(from), TOO_LARGE);
    kit_make(&x, EXPR_UPDATE, "SET b = a, c = a, d = a REMOVE a", NULL, NULL);
    check(&x, "copies", item_head(from), TOO_LARGE);
    kit_make(&x, EXPR_UPDATE, "SET b = a REMOVE a", NULL, NULL);
    cr_assert_eq(apply(&x, item_head(from), NULL, &image, &memory), LARDER_OK, "%s", larder_error());
    cr_assert_eq(larder_item_size((const struct larder_item *)image), LARDER_ITEM_BYTES_MAX - 3);
    free(memory);
}

/* Lists that are appended to each other over and over need no more than a bounded buffer. */
Test(expr_apply, lists_without_end) {
    static char text[300000];
    char expression[4000], *at = stpcpy(text, "{pk: \"p\", sk: 1, a: [");
    for (int i = 0; i < 20000; i++)
        at = stpcpy(at, "\"abcdef\", ");
    stpcpy(at, "]}");
    const struct larder_item *from = kit_item(text);
    struct kit_expr x;
    at = stpcpy(expression, "SET b0 = list_append(a, a)");
    for (int i = 1; i < 100; i++)
        at += sprintf(at, ", b%d = list_append(a, a)", i);
    kit_make(&x, EXPR_UPDATE, expression, NULL, NULL);
    check(&x, "many lists", item_head(from), TOO_LARGE);
}

static char *put_levels(char *to, int levels) {
    for (int i = 0; i < levels; i++)
        to = stpcpy(to, i % 2 ? "{b: " : "[");
    to = stpcpy(to, "1");
    for (int i = levels; i > 0; i--)
        to = stpcpy(to, (i - 1) % 2 ? "}" : "]");
    return to;
}

/* DG, "Nested attribute depth": 32 levels with the attribute; DC: 31 maps are accepted. */
Test(expr_apply, levels) {
    char text[1000], value[1000];
    struct kit_expr x;
    stpcpy(put_levels(stpcpy(text, "{pk: \"p\", sk: 1, a: {m: 2}, l: "), 20), "}");
    const struct larder_item *from = kit_item(text);
    for (int levels = 29; levels <= 31; levels++) {
        stpcpy(put_levels(stpcpy(value, "{:v: "), levels), "}");
        kit_make(&x, EXPR_UPDATE, "SET a.m = :v", NULL, value);
        if (levels < 31)
            stpcpy(put_levels(stpcpy(put_levels(stpcpy(text, "{pk: \"p\", sk: 1, a: {m: "), levels), "}, l: "), 20),
                   "}");
        check(&x, value, item_head(from), levels < 31 ? text : TOO_DEEP);
    }
    kit_make(&x, EXPR_UPDATE, "SET l[0].b[0].b[0].b[0].b[0].b[0].b[0].b = l", NULL, NULL);
    check(&x, "a list in itself", stored(from), TOO_DEEP);
}

/* Lengths of more than one byte, a wide directory. */
Test(expr_apply, large_items) {
    static char text[1 << 18], result[1 << 18];
    char *at = stpcpy(text, "{pk: \"p\", sk: 1, l: ["), *to = stpcpy(result, "{pk: \"p\", sk: 1, l: [");
    for (int i = 0; i < 3000; i++) {
        at += sprintf(at, "{a: \"some text of element %d\", b: %d},", i, i);
        to +=
            i == 7 ? 0 : sprintf(to, "{a: \"some text of element %d\", b: %s%d},", i, i == 2999 ? "1000000000" : "", i);
    }
    to = stpcpy(stpcpy(to, "{new: true}]"), "");
    at = stpcpy(at, "]");
    for (int i = 100; i < 400; i++) {
        at += sprintf(at, ", attribute%d: %d", i, i);
        to += i == 250 ? 0 : sprintf(to, ", attribute%d: %d", i, i);
    }
    stpcpy(at, "}");
    stpcpy(to, ", attribute99: \"last\"}");
    struct kit_expr x;
    kit_make(&x, EXPR_UPDATE, "SET l[2999].b = :b, l[4000] = :n, attribute99 = :t REMOVE l[7], attribute250, l[3500]",
             NULL, "{:b: 10000000002999, :n: {new: true}, :t: \"last\"}");
    const struct larder_item *from = kit_item(text);
    check(&x, "a large item", item_head(from), result);
    check(&x, "a large item", stored(from), result);
}

/* ---- What was updated ------------------------------------------------------------------------ */

/* UPDATED_OLD and UPDATED_NEW. */
Test(expr_apply, updated_attributes) {
    static const char old[] = "{pk: \"p\", sk: 1, a: {b: \"dog\", c: [1, 2, 3]}, d: \"cat\"}";
    static const struct {
        const char *text, *values, *before, *after, *source;
    } rows[] = {
        {"SET d = :v, e = :w", "{:v: \"cat\", :w: 1}", "{d: \"cat\"}", "{d: \"cat\", e: 1}",
         "SR updated_old, updated_new"},
        {"REMOVE d", NULL, "{d: \"cat\"}", "{}", "SR"},
        {"SET e = :v", "{:v: 1}", "{}", "{e: 1}", "SR"},
        {"SET a.b = :v", "{:v: \"yo\"}", "{a: {b: \"dog\"}}", "{a: {b: \"yo\"}}", "SR nested"},
        {"SET a.c[1] = :v", "{:v: 7}", "{a: {c: [2]}}", "{a: {c: [7]}}", "SR nested"},
        {"SET a.c[1] = :v, a.b = :w", "{:v: 8, :w: \"x\"}", "{a: {b: \"dog\", c: [2]}}", "{a: {b: \"x\", c: [8]}}",
         "SR nested"},
        {"REMOVE a.c[1], a.c[3]", NULL, "{a: {c: [2]}}", "{a: {c: [3]}}", "SR nested: what moved to its place"},
        {"SET a.x = :v", "{:v: 8}", "{}", "{a: {x: 8}}", "SR nested"},
        {"SET a.c[100] = :v", "{:v: 70}", "{}", "{}", "SR nested: an element that is appended"},
        {"ADD n :v DELETE s :s", "{:v: 1, :s: <1>}", "{}", "{n: 1}", "SR"},
    };
    const struct item_head *image;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct kit_expr x;
        void *memory;
        kit_make(&x, EXPR_UPDATE, rows[i].text, NULL, rows[i].values);
        const struct item_head *from = stored(kit_item(old));
        cr_assert_eq(apply(&x, from, NULL, &image, &memory), LARDER_OK, "%s", larder_error());
        for (int is_new = 0; is_new < 2; is_new++) {
            const struct item_head *of = is_new ? image : from, *wanted;
            void *to = aligned_alloc(8, item_round8(expr_project_bytes_max(of)));
            size_t bytes = expr_project(x.e, of, to);
            wanted = item_head(kit_item(is_new ? rows[i].after : rows[i].before));
            cr_expect(bytes == wanted->bytes && memcmp(to, wanted, bytes) == 0, "%s: %s", rows[i].text,
                      is_new ? "UPDATED_NEW" : "UPDATED_OLD");
            free(to);
        }
        free(memory);
    }
}

/* tests/unit/expr/expr_project_test.c - items with what a projection names.
 *
 * Sources  DG: developer guide, "Using projection expressions".
 *          SC: ScyllaDB's test/alternator/test_projection_expression.py, which its authors run
 *          against the service.
 * Method   The result is, to the byte, the image that a builder makes of the expected item: from a
 *          builder's image, and from one that a table stores.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/priv.h"
#include "tests/unit/expr/expr_kit.h"

TestSuite(expr_project, .init = kit_set_up, .fini = kit_tear_down);

static const char item[] =
    "{pk: \"partition\", sk: 42, a: \"x\", n: 5, PK: \"listed name\", z: null, ss: <\"x\", \"y\">, "
    "l: [0, 1, [20, 21, 22], {a: 3, b: [1]}, 4], m: {a: 1, b: {c: 2, d: [1, 2]}, \"odd.name\": true, z: null}, "
    "em: {}, el: []}";

static const struct row {
    const char *text, *result, *source;
} rows[] = {
    {"a", "{a: \"x\"}", "DG"},
    {"z, a, n", "{a: \"x\", n: 5, z: null}", "DG: in any order"},
    {"pk, sk", "{pk: \"partition\", sk: 42}", "DG: keys"},
    {"PK, ss, em, el", "{PK: \"listed name\", ss: <\"x\", \"y\">, em: {}, el: []}", "DG"},
    {"absent", "{}", "SC: nothing that is there"},
    {"absent.a, a.b, n[0], m[0], l.a, pk.x, sk[1]", "{}", "SC: steps into other types"},
    {"m.a", "{m: {a: 1}}", "SC: a path keeps its place"},
    {"m.b.c", "{m: {b: {c: 2}}}", "SC"},
    {"m.b.c, m.a, m.z", "{m: {a: 1, b: {c: 2}, z: null}}", "SC: merged"},
    {"m.absent, m.b.absent.x", "{}", "SC: no empty maps"},
    {"m.absent, m.a", "{m: {a: 1}}", "SC"},
    {"m.#odd", "{m: {\"odd.name\": true}}", "DG: names with dots"},
    {"l[0]", "{l: [0]}", "SC: elements"},
    {"l[4], l[1], l[0]", "{l: [0, 1, 4]}", "SC: in the order of the list"},
    {"l[9]", "{}", "SC: no empty lists"},
    {"l[9], l[4]", "{l: [4]}", "SC"},
    {"l[2][1], l[2][0], l[3].b[0]", "{l: [[20, 21], {b: [1]}]}", "SC: nested lists close up"},
    {"l[3].a, l[2]", "{l: [[20, 21, 22], {a: 3}]}", "SC"},
    {"l[0][0], l[1].x, l[2][7], l[3].c", "{}", "SC"},
    {"m.b.d[1], m.b.d[0], a", "{a: \"x\", m: {b: {d: [1, 2]}}}", "SC"},
    {"l, m",
     "{l: [0, 1, [20, 21, 22], {a: 3, b: [1]}, 4], m: {a: 1, b: {c: 2, d: [1, 2]}, \"odd.name\": true, z: null}}",
     "DG"},
};

/* Into a buffer that is exactly as large as promised. */
static void check(const struct expr *e, const struct item_head *image, const char *text,
                  const struct larder_item *wanted) {
    void *to = aligned_alloc(8, item_round8(expr_project_bytes_max(image)));
    memset(to, 0xa5, expr_project_bytes_max(image));
    size_t bytes = expr_project(e, image, to);
    cr_assert(item_is_sane(to, bytes), "%s: no image", text);
    cr_expect(bytes == item_head(wanted)->bytes && memcmp(to, wanted, bytes) == 0, "%s: another item", text);
    free(to);
}

static void check_both(const struct expr *e, const struct larder_item *from, const char *text,
                       const struct larder_item *wanted) {
    const struct item_shape shape = {.partition = {.name = "pk", .name_bytes = 2, .type = LARDER_S},
                                     .sort = {.name = "sk", .name_bytes = 2, .type = LARDER_N}};
    struct item_head *stored;
    check(e, item_head(from), text, wanted);
    void *to = priv_alloc(kit_arena, item_stored_bytes_max(&shape, from));
    cr_assert_eq(item_to_stored(&shape, from, 1764000000, to, &stored), LARDER_OK, "%s", larder_error());
    check(e, stored, text, wanted);
}

Test(expr_project, items) {
    const struct larder_item *from = kit_item(item);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct kit_expr x;
        kit_make(&x, EXPR_PROJECTION, rows[i].text, "#odd=odd.name", NULL);
        check_both(x.e, from, rows[i].text, kit_item(rows[i].result));
    }
}

/* Lengths of more than one byte, a wide directory, and the longest way down. */
Test(expr_project, large_items) {
    static char text[1 << 17], result[1 << 17];
    char *at = stpcpy(text, "{pk: \"p\", sk: 1, l: ["), *to = stpcpy(result, "{l: [");
    for (int i = 0; i < 3000; i++)
        at += sprintf(at, "{a: \"some text of element %d\", b: %d},", i, i);
    stpcpy(at, "]}");
    sprintf(to, "{a: \"some text of element 7\"}, {a: \"some text of element 2999\", b: 2999}]}");
    struct kit_expr x;
    kit_make(&x, EXPR_PROJECTION, "l[2999], l[7].a", NULL, NULL);
    check_both(x.e, kit_item(text), "l[2999], l[7].a", kit_item(result));
    at = stpcpy(text, "{pk: \"p\", sk: 1, a: ");
    to = stpcpy(result, "a");
    for (int i = 1; i < 32; i++) {
        at = stpcpy(at, i % 2 ? "{b: " : "[0, ");
        to = stpcpy(to, i % 2 ? ".b" : "[1]");
    }
    at = stpcpy(at, "1");
    for (int i = 31; i > 0; i--)
        at = stpcpy(at, i % 2 ? "}" : "]");
    stpcpy(at, "}");
    kit_make(&x, EXPR_PROJECTION, result, NULL, NULL);
    at = stpcpy(result, "{a: ");
    for (int i = 1; i < 32; i++)
        at = stpcpy(at, i % 2 ? "{b: " : "[");
    at = stpcpy(at, "1");
    for (int i = 31; i > 0; i--)
        at = stpcpy(at, i % 2 ? "}" : "]");
    stpcpy(at, "}");
    check_both(x.e, kit_item(text), "32 steps", kit_item(result));
}

/* tests/unit/expr/expr_truth_test.c - what conditions and filters say of items.
 *
 * Goal     Each rule of the service has a row that names where it is written down.
 * Sources  DG: developer guide, "Condition and filter expressions, operators, and functions".
 *          SC: ScyllaDB's test/alternator/test_condition_expression.py, which its authors run
 *          against the service.
 *          EX: ExtendDB's issue 60 and pull request 67, tried on the service.
 * Method   One item with everything in it; rows of expressions that must be true and false. Each is
 *          evaluated on a builder's image and on one that a table stores.
 */
#include <stdio.h>

#include "tests/unit/expr/expr_kit.h"

TestSuite(expr_truth, .init = kit_set_up, .fini = kit_tear_down);

static const char item[] =
    "{pk: \"p\", a: \"hello\", n: 5, neg: -1.5, bin: b\"hi there\", yes: true, off: false, z: null, "
    "ss: <\"x\", \"y\">, ns: <1, 2.5, 4>, bs: <b\"q\">, l: [2, \"dog\", [3, 4], <\"x\", \"y\">, null], "
    "m: {b: {c: [1, {d: \"deep\"}]}, n: 5, ss: <\"y\", \"x\">}, blank: \"\", uni: \"\xc3\xa9\xf0\x9d\x84\x9e\", "
    "el: [], em: {}, same: \"hello\", \"odd.name\": 7, five: \"5\"}";
static const char values[] =
    "{:hello: \"hello\", :five: 5, :fivepoint: 5.00, :six: 6, :text5: \"5\", :hell: \"hell\", :z: null, :t: true, "
    ":f: false, :ss: <\"y\", \"x\">, :ss2: <\"x\">, :ns: <4, 1, 2.5>, :l: [3, 4], :x: \"x\", :one: 1, :two5: 2.5, "
    ":bin: b\"here\", :binhi: b\"hi\", :m: {c: [1, {d: \"deep\"}]}, :S: \"S\", :N: \"N\", :zero: 0, :three: 3, "
    ":ell: \"ell\", :q: b\"q\", :empty: \"\", :neg: -2, :tM: \"M\", :tNULL: \"NULL\", :tBOOL: \"BOOL\", :dog: \"dog\", "
    ":aardvark: \"aardvark\", :zebra: \"zebra\", :eight: 8, :l2: [2, \"dog\", [3, 4], <\"x\", \"y\">, null]}";

struct row {
    const char *text;
    const char *source;
};

static const struct row true_rows[] = {
    {"a = :hello", "DG: comparators"},
    {":hello = a", "SC: operands on either side"},
    {"a = same", "SC: two attributes"},
    {"n = :fivepoint", "DG: numbers are equal by value"},
    {"n <> :six", "SC: test_update_condition_ne"},
    {"n <> :text5", "SC: other types are not equal"},
    {"absent <> :five", "SC: a missing attribute is not equal to anything"},
    {"absent <> absent2", "SC: test_update_condition_ne_two_unset"},
    {"ss = :ss", "SC: test_update_condition_eq_set"},
    {"ns = :ns", "SC: sets in any order"},
    {"m.ss = :ss", "SC: sets in any order, nested"},
    {"m.b = :m", "DG: maps are compared deeply"},
    {"l = :l2", "DG: lists are compared deeply"},
    {"l[2] = :l", "DG: list elements"},
    {"z = :z", "DG: NULL equals NULL"},
    {"yes = :t", "DG: BOOL"},
    {"off <> :t", "DG: BOOL"},
    {"n < :six", "DG: <"},
    {"neg < :zero", "DG: numbers below zero"},
    {"neg > :neg", "DG: numbers below zero"},
    {"n <= :five", "DG: <="},
    {"n > :one", "DG: >"},
    {"n >= :five", "DG: >="},
    {"a < :zebra", "DG: strings by their UTF-8 bytes"},
    {"bin > :binhi", "DG: binary by its bytes"},
    {"n BETWEEN :one AND :six", "DG: BETWEEN"},
    {"n between n2 and :six OR n BETWEEN :five AND m.n", "SC: keywords in any case; bounds are included"},
    {"a BETWEEN :aardvark AND :zebra", "DG: BETWEEN of strings"},
    {"n IN (:one, :five)", "DG: IN"},
    {"n IN (:text5, m.n)", "SC: types may differ; attributes may be listed"},
    {"l[3] IN (:ss)", "SC: IN takes any type"},
    {"attribute_exists(a)", "DG: attribute_exists"},
    {"attribute_exists (m.b.c[1].d)", "SC: a space before the parenthesis, nested"},
    {"attribute_exists(z)", "DG: NULL exists"},
    {"attribute_not_exists(absent)", "DG: attribute_not_exists"},
    {"attribute_not_exists(l[9])", "DG: list elements"},
    {"attribute_not_exists(a.b)", "DG: no map"},
    {"attribute_not_exists(m[0])", "DG: no list"},
    {"attribute_type(a, :S)", "DG: attribute_type"},
    {"attribute_type(m.b, :tM)", "DG: attribute_type"},
    {"attribute_type(z, :tNULL)", "DG: attribute_type"},
    {"attribute_type(yes, :tBOOL)", "DG: attribute_type"},
    {"attribute_type(:five, :N)", "SC: the first operand may be a value"},
    {"begins_with(a, :hell)", "DG: begins_with"},
    {"begins_with(a, :empty)", "DG: every text begins with the empty one"},
    {"begins_with(bin, :binhi)", "SC: test_update_condition_begins_with"},
    {"begins_with(:hello, a)", "SC: operands in any order"},
    {"begins_with(same, a)", "SC: two attributes"},
    {"contains(a, :ell)", "DG: contains"},
    {"contains(bin, :bin)", "SC: test_update_condition_contains"},
    {"contains(ss, :x)", "DG: contains, a set"},
    {"contains(ns, :two5)", "SC: a set of numbers"},
    {"contains(bs, :q)", "DG: a set of binaries"},
    {"contains(l, :dog)", "SC: a list"},
    {"contains(l, :l)", "SC: a list in a list"},
    {"contains(l, :ss)", "SC: a set in a list, in any order"},
    {"contains(l, :z)", "SC: NULL in a list"},
    {"size(a) = :five", "DG: size"},
    {"size(a) = n", "SC: test_update_condition_size"},
    {"size(bin) = :eight", "SC: bytes"},
    {"size(ns) = :three", "SC: members"},
    {"size(l) > :three", "SC: elements"},
    {"size(m) = :three", "SC: members"},
    {"size(el) = :zero AND size(em) = :zero AND size(blank) = :zero", "SC: members"},
    {"size(uni) = :three", "EX: UTF-16 code units: 1 + 2"},
    {"size(:hello) = :five", "SC: scylladb issue 14592: of a value"},
    {"size(a) BETWEEN :one AND :six", "SC: a size is a number"},
    {"size(a) IN (:one, :five)", "SC: a size is a number"},
    {"(size(a)) > :one", "DG: parentheses"},
    {"(a) = (:hello)", "DG: parentheses"},
    {"(attribute_exists((a)))", "DG: parentheses"},
    {"NOT a = :five", "DG: NOT"},
    {"NOT NOT NOT NOT a = :hello", "SC: test_update_condition_not"},
    {"NOT absent = :five", "DG: NOT of false"},
    {"a = :hello AND n = :five", "DG: AND"},
    {"a = :five OR n = :five", "DG: OR"},
    {"n = :five OR n = :six AND n = :one", "SC: AND before OR"},
    {"n BETWEEN :one AND :six AND n = :five", "SC: test_update_condition_between_before_and"},
    {"NOT n = :six AND n = :five", "SC: NOT before AND"},
    {"NOT (n = :six AND n = :five)", "DG: parentheses"},
    {"(n = :six OR n = :five) AND (a = :hello AND (n = :one OR n < :six))", "SC: test_update_condition_parentheses"},
    {"#odd > :six", "DG: expression attribute names"},
    {"m.b.c[0] = :one", "DG: document paths"},
};

static const struct row false_rows[] = {
    {"a = :five", "SC: other types"},
    {"n = :text5", "SC: other types"},
    {"absent = :five", "SC: a missing attribute equals nothing"},
    {"absent = absent2", "SC: test_update_condition_eq_two_unset"},
    {"n <> :fivepoint", "DG: numbers are equal by value"},
    {"ss = :ss2", "DG: sets"},
    {"n < :text5", "SC: other types have no order"},
    {"five > :one", "SC: other types have no order"},
    {"absent < :five", "SC: test_update_condition_lt"},
    {":five < absent", "SC: test_update_condition_lt"},
    {"absent >= absent2", "SC: test_update_condition_comparison_two_unset"},
    {"l < :five", "SC: a stored list is no error"},
    {"yes < yes2", "SC: absent"},
    {"n BETWEEN :six AND m.n", "SC: bounds of which one is stored may be in any order"},
    {"n BETWEEN :text5 AND five", "SC: test_update_condition_between"},
    {"absent BETWEEN absent2 AND :six", "SC: test_update_condition_comparison_two_unset"},
    {"n IN (:one, :text5)", "DG: IN"},
    {"absent IN (:one, absent2)", "SC: test_update_condition_in"},
    {"attribute_exists(absent)", "DG: attribute_exists"},
    {"attribute_not_exists(m.n)", "DG: attribute_not_exists"},
    {"attribute_type(a, :N)", "DG: attribute_type"},
    {"attribute_type(absent, :S)", "DG: attribute_type"},
    {"begins_with(a, :ell)", "DG: begins_with"},
    {"begins_with(n, :hell)", "SC: a stored number is no error"},
    {"begins_with(a, :binhi)", "DG: types differ"},
    {"begins_with(a, absent)", "DG: absent"},
    {"contains(a, :five)", "DG: contains"},
    {"contains(n, :five)", "DG: a number contains nothing"},
    {"contains(ss, :one)", "DG: types differ"},
    {"contains(ss, :hell)", "DG: a set contains members, no parts of them"},
    {"contains(bin, :ns)", "SC: a binary contains no set"},
    {"contains(m, :five)", "DG: a map contains nothing"},
    {"contains(absent, :five)", "DG: absent"},
    {"size(n) = :one", "SC: a number has no size"},
    {"size(yes) = :one", "SC: a BOOL has no size"},
    {"size(z) = :one", "SC: NULL has no size"},
    {"size(absent) = :zero", "SC: absent"},
    {"size(a) = :dog", "SC: a size is a number"},
    {"NOT (a = :hello)", "DG: NOT"},
    {"a = :hello AND n = :six", "DG: AND"},
    {"a = :five OR n = :six", "DG: OR"},
    {"NOT n = :five AND n = :six", "SC: test_update_condition_not_before_and"},
    {"m.b.c[1].d.e = :five", "DG: a path through a string"},
};

static void check_rows(const struct row *rows, size_t count, int truth) {
    for (size_t i = 0; i < count; i++)
        cr_expect_eq(kit_truth(rows[i].text, item, "#odd=odd.name", values), truth, "%s (%s)", rows[i].text,
                     rows[i].source);
}

Test(expr_truth, true_of_the_item) {
    check_rows(true_rows, sizeof true_rows / sizeof *true_rows, 1);
}

Test(expr_truth, false_of_the_item) {
    check_rows(false_rows, sizeof false_rows / sizeof *false_rows, 0);
}

/* DG, "Condition expressions": a condition on an item that does not exist sees no attributes. */
Test(expr_truth, no_item) {
    cr_expect_eq(kit_truth("attribute_not_exists(pk)", NULL, NULL, NULL), 1);
    cr_expect_eq(kit_truth("attribute_exists(pk)", NULL, NULL, NULL), 0);
    cr_expect_eq(kit_truth("pk = :v", NULL, NULL, "{:v: 1}"), 0);
    cr_expect_eq(kit_truth("pk <> :v", NULL, NULL, "{:v: 1}"), 1);
    cr_expect_eq(kit_truth("size(pk) < :v OR :v = :v2", NULL, NULL, "{:v: 1, :v2: 1}"), 1);
}

/* All 64 forms of three tests, with AND, OR and NOT: against the same in C. */
Test(expr_truth, short_circuits) {
    static const char *const ops[] = {"AND", "OR"};
    char text[128];
    for (unsigned i = 0; i < 256; i++) {
        int bits[3], outer = i >> 3 & 1, inner = i >> 4 & 1, negate[3] = {i >> 5 & 1, i >> 6 & 1, i >> 7 & 1};
        for (int k = 0; k < 3; k++)
            bits[k] = (int)(i >> k & 1);
        snprintf(text, sizeof text, "%s v%d = :one %s %s(%sv%d = :one %s v%d = :one)", negate[0] ? "NOT" : "", bits[0],
                 ops[outer], negate[1] ? "NOT " : "", negate[2] ? "NOT " : "", bits[1], ops[inner], bits[2]);
        int right = inner ? (bits[1] != negate[2]) || bits[2] : (bits[1] != negate[2]) && bits[2];
        right = right != negate[1];
        int left = bits[0] != negate[0];
        cr_expect_eq(kit_truth(text, "{v0: 0, v1: 1}", NULL, "{:one: 1}"), outer ? left || right : left && right, "%s",
                     text);
    }
}

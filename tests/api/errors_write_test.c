/* tests/api/errors_write_test.c - items that cannot be built or written.
 *
 * Goal     Each wrong key, attribute or value gives the result that larder.h promises, and a
 *          message that names what was wrong and what is allowed. No byte of the segment changes.
 * Method   Tables of rows (errors_kit.h): put, put_if, increment, and the builder.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <unistd.h>

#include "larder.h"
#include "tests/api/errors_kit.h"
#include "tests/support/slow.h"

TestSuite(errors_write, .timeout = 60 * SLOW_FACTOR);

/* ---- Items ----------------------------------------------------------------------------------- */

/* Finishes the item and puts it. A failed add is reported by finish, too; `added` is what the add
 * returned. */
static int finish_and_put(struct world *w, struct larder_table *t, int added) {
    const struct larder_item *item = NULL;
    int r = larder_builder_finish(w->b, &item);
    if (added && r != added)
        return 1000; /* not remembered */
    return r ? r : larder_put(t, item, w->page);
}

static int put_keys(struct world *w, struct larder_table *t, const struct larder_value *pk,
                    const struct larder_value *sk) {
    if (pk)
        larder_builder_add(w->b, "pk", pk);
    if (sk)
        larder_builder_add(w->b, "sk", sk);
    return finish_and_put(w, t, 0);
}

static int put_null(struct world *w) {
    return larder_put(w->t, NULL, NULL);
}
static int put_no_partition(struct world *w) {
    return put_keys(w, w->t, NULL, &text);
}
static int put_no_sort(struct world *w) {
    return put_keys(w, w->t, &text, NULL);
}
static int put_nothing(struct world *w) {
    return put_keys(w, w->t, NULL, NULL);
}
static int put_partition_type(struct world *w) {
    return put_keys(w, w->t, &one, &text);
}
static int put_partition_bool(struct world *w) {
    return put_keys(w, w->t, &yes, &text);
}
static int put_sort_type(struct world *w) {
    return put_keys(w, w->t, &text, &bytes4);
}
static int put_partition_empty(struct world *w) {
    return put_keys(w, w->t, &empty, &text);
}
static int put_sort_empty(struct world *w) {
    return put_keys(w, w->t, &text, &empty);
}
static int put_partition_long(struct world *w) {
    return put_keys(w, w->t, &long2049, &text);
}
static int put_sort_long(struct world *w) {
    return put_keys(w, w->t, &text, &long1025);
}
static int put_number_key_as_text(struct world *w) {
    return put_keys(w, w->numbers, &text, &one);
}
static int put_binary_key_as_text(struct world *w) {
    return put_keys(w, w->plain, &text, NULL);
}
static int put_index_key_type(struct world *w) {
    larder_builder_add_int(w->b, "gpk", 1);
    return put_keys(w, w->t, &text, &text);
}
static int put_index_key_empty(struct world *w) {
    larder_builder_add_s(w->b, "gpk", "");
    return put_keys(w, w->t, &text, &text);
}
static int put_index_key_long(struct world *w) {
    larder_builder_add(w->b, "gpk", &long2049);
    return put_keys(w, w->t, &text, &text);
}
static int put_index_sort_type(struct world *w) {
    larder_builder_add_s(w->b, "gpk", "kind");
    larder_builder_add_s(w->b, "gsk", "17");
    return put_keys(w, w->t, &text, &text);
}
static int put_dropped(struct world *w) {
    return put_keys(w, w->dropped, &text, NULL);
}
static int put_read_only(struct world *w) {
    return put_keys(w, w->read, &text, &text);
}

/* Puts an item with these keys, expecting a builder's item, or (is_absent) none. */
static int put_if(struct world *w, struct larder_table *t, const struct larder_value *sk, int is_absent) {
    const struct larder_item *item = NULL;
    larder_builder_add(w->b, "pk", &text);
    larder_builder_add(w->b, "sk", sk);
    int r = larder_builder_finish(w->b, &item);
    return r ? r : larder_put_if(t, item, is_absent ? NULL : item, w->page);
}
static int put_if_null(struct world *w) {
    return larder_put_if(w->t, NULL, NULL, w->page);
}
static int put_if_built(struct world *w) {
    return put_if(w, w->t, &text, 0);
}
static int put_if_sort_type(struct world *w) {
    return put_if(w, w->t, &bytes4, 1);
}
static int put_if_dropped(struct world *w) {
    return put_if(w, w->dropped, &text, 1);
}
static int put_if_read_only(struct world *w) {
    return put_if(w, w->read, &text, 1);
}

static int increment(struct larder_table *t, struct larder_value sk, const char *name) {
    struct larder_key key = {text, sk};
    return larder_increment(t, &key, name, 1, NULL);
}
static int increment_table_null(struct world *w) {
    (void)w;
    return increment(NULL, text, "n");
}
static int put_table_null(struct world *w) {
    return put_keys(w, NULL, &text, &text);
}
static int increment_key_null(struct world *w) {
    return larder_increment(w->t, NULL, "n", 1, NULL);
}
static int increment_name_null(struct world *w) {
    return increment(w->t, text, NULL);
}
static int increment_name_empty(struct world *w) {
    return increment(w->t, text, "");
}
static int increment_partition(struct world *w) {
    return increment(w->t, text, "pk");
}
static int increment_sort(struct world *w) {
    return increment(w->t, text, "sk");
}
static int increment_sort_type(struct world *w) {
    return increment(w->t, bytes4, "n");
}
static int increment_index_key(struct world *w) {
    return increment(w->t, text, "gpk");
}
static int increment_dropped(struct world *w) {
    return increment(w->dropped, text, "n");
}
static int increment_read_only(struct world *w) {
    return increment(w->read, text, "n");
}

static const struct row put_rows[] = {
    {"put NULL", put_null, LARDER_E_INVAL, {"item", "NULL"}},
    {"no partition key", put_no_partition, LARDER_E_INVAL, {"no attribute \"pk\"", "partition key"}},
    {"no sort key", put_no_sort, LARDER_E_INVAL, {"no attribute \"sk\"", "sort key"}},
    {"no attribute", put_nothing, LARDER_E_INVAL, {"no attribute \"pk\""}},
    {"partition key of type N", put_partition_type, LARDER_E_INVAL, {"\"pk\"", "type N", "S is needed"}},
    {"partition key of type BOOL", put_partition_bool, LARDER_E_INVAL, {"\"pk\"", "type BOOL", "S is needed"}},
    {"sort key of type B", put_sort_type, LARDER_E_INVAL, {"\"sk\"", "type B", "S is needed"}},
    {"empty partition key", put_partition_empty, LARDER_E_INVAL, {"\"pk\"", "0 bytes", "1 to 2048"}},
    {"empty sort key", put_sort_empty, LARDER_E_INVAL, {"\"sk\"", "0 bytes", "1 to 1024"}},
    {"partition key of 2049 bytes", put_partition_long, LARDER_E_INVAL, {"\"pk\"", "2049 bytes", "1 to 2048"}},
    {"sort key of 1025 bytes", put_sort_long, LARDER_E_INVAL, {"\"sk\"", "1025 bytes", "1 to 1024"}},
    {"text for a number key", put_number_key_as_text, LARDER_E_INVAL, {"\"pk\"", "type S", "N is needed"}},
    {"text for a binary key", put_binary_key_as_text, LARDER_E_INVAL, {"\"pk\"", "type S", "B is needed"}},
    {"index key of type N", put_index_key_type, LARDER_E_INVAL, {"byKind", "\"gpk\"", "S is needed"}},
    {"empty index key", put_index_key_empty, LARDER_E_INVAL, {"byKind", "\"gpk\"", "0 bytes"}},
    {"index key of 2049 bytes", put_index_key_long, LARDER_E_INVAL, {"byKind", "2049 bytes", "1 to 2048"}},
    {"index sort key of type S", put_index_sort_type, LARDER_E_INVAL, {"byKind", "\"gsk\"", "N is needed"}},
    {"put into a dropped table", put_dropped, LARDER_E_NO_TABLE, {"\"dropped\""}},
    {"put read-only", put_read_only, LARDER_E_READ_ONLY, {"read-only"}},
    {"put_if NULL", put_if_null, LARDER_E_INVAL, {"item", "NULL"}},
    {"put_if over a builder's item", put_if_built, LARDER_E_INVAL, {"builder"}},
    {"put_if with a sort key of type B", put_if_sort_type, LARDER_E_INVAL, {"\"sk\"", "type B", "S is needed"}},
    {"put_if into a dropped table", put_if_dropped, LARDER_E_NO_TABLE, {"\"dropped\""}},
    {"put_if read-only", put_if_read_only, LARDER_E_READ_ONLY, {"read-only"}},
    {"put without a table", put_table_null, LARDER_E_INVAL, {"larder_put", "t is NULL"}},
    {"increment without a table", increment_table_null, LARDER_E_INVAL, {"larder_increment", "t is NULL"}},
    {"increment without a key", increment_key_null, LARDER_E_INVAL, {"larder_increment", "key is NULL"}},
    {"increment without a name", increment_name_null, LARDER_E_INVAL, {"larder_increment", "name is NULL"}},
    {"increment of no name", increment_name_empty, LARDER_E_INVAL, {"attribute name", "0 bytes"}},
    {"increment of the partition key", increment_partition, LARDER_E_INVAL, {"\"pk\"", "part of the key"}},
    {"increment of the sort key", increment_sort, LARDER_E_INVAL, {"\"sk\"", "part of the key"}},
    {"increment with a sort key of type B", increment_sort_type, LARDER_E_INVAL, {"\"sk\"", "type B", "S is needed"}},
    {"increment of an index key of type S", increment_index_key, LARDER_E_INVAL, {"\"gpk\"", "type N", "S is needed"}},
    {"increment in a dropped table", increment_dropped, LARDER_E_NO_TABLE, {"\"dropped\""}},
    {"increment read-only", increment_read_only, LARDER_E_READ_ONLY, {"read-only"}},
};

Test(errors_write, puts, .init = fill_many) {
    run_rows(put_rows, COUNT(put_rows));
}

/* ---- Values ---------------------------------------------------------------------------------- */

/* Adds one bad thing to an item that is good otherwise. */
static int with_keys(struct world *w, int added) {
    larder_builder_add_s(w->b, "pk", "p");
    larder_builder_add_s(w->b, "sk", "s");
    return finish_and_put(w, w->t, added);
}

static int number(struct world *w, const char *decimal) {
    return with_keys(w, larder_builder_add_n(w->b, "n", decimal));
}
static int number_39_digits(struct world *w) {
    return number(w, digits39.data);
}
static int number_39_digits_fraction(struct world *w) {
    return number(w, "0.123456789012345678901234567890123456789");
}
static int number_large(struct world *w) {
    return number(w, "1e126");
}
static int number_small(struct world *w) {
    return number(w, "-1e-131");
}
static int number_word(struct world *w) {
    return number(w, "NaN");
}
static int number_empty(struct world *w) {
    return number(w, "");
}
static int number_null(struct world *w) {
    return number(w, NULL);
}
static int number_hex(struct world *w) {
    return number(w, "0x10");
}
static int number_space(struct world *w) {
    return number(w, "1 ");
}
static int number_exponent(struct world *w) {
    return number(w, "1e");
}
static int number_exponent_huge(struct world *w) {
    return number(w, "1e99999999999999999999999");
}
static int number_forged(struct world *w) { /* "as read from an item", but it was not */
    const struct larder_value v = {.type = LARDER_N, .data = "\xff\xff\xff", .bytes = 3, .count = 1};
    return with_keys(w, larder_builder_add(w->b, "n", &v));
}
static int text_null(struct world *w) {
    return with_keys(w, larder_builder_add_s(w->b, "a", NULL));
}
static int text_not_utf8(struct world *w) {
    return with_keys(w, larder_builder_add(w->b, "a", &not_utf8));
}
static int text_surrogate(struct world *w) {
    return with_keys(w, larder_builder_add_s(w->b, "a", "\xed\xa0\x80"));
}
static int text_overlong(struct world *w) {
    return with_keys(w, larder_builder_add_s(w->b, "a", "\xc0\x80"));
}
static int binary_null(struct world *w) {
    return with_keys(w, larder_builder_add_b(w->b, "a", NULL, 5));
}
static int type_none(struct world *w) {
    return with_keys(w, larder_builder_add(w->b, "a", &(struct larder_value){0}));
}
static int type_map_as_value(struct world *w) {
    return with_keys(w, larder_builder_add(w->b, "a", &(struct larder_value){.type = LARDER_M}));
}
static int type_unknown(struct world *w) {
    return with_keys(w, larder_builder_add(w->b, "a", &(struct larder_value){.type = (enum larder_type)77}));
}
static int begin_scalar(struct world *w) {
    return with_keys(w, larder_builder_begin(w->b, "a", LARDER_S));
}
static int name_null(struct world *w) {
    return with_keys(w, larder_builder_add_s(w->b, NULL, "a"));
}
static int name_empty(struct world *w) {
    return with_keys(w, larder_builder_add_s(w->b, "", "a"));
}
static int name_long(struct world *w) {
    return with_keys(w, larder_builder_name(w->b, many, 65536));
}
static int name_not_utf8(struct world *w) {
    return with_keys(w, larder_builder_add_s(w->b, "\xc3(", "a"));
}
static int name_twice(struct world *w) {
    larder_builder_add_s(w->b, "a", "1");
    larder_builder_add_s(w->b, "a", "2");
    return with_keys(w, 0);
}
static int name_twice_in_map(struct world *w) {
    larder_builder_begin(w->b, "m", LARDER_M);
    larder_builder_add_s(w->b, "a", "1");
    larder_builder_add_s(w->b, "a", "1");
    return with_keys(w, larder_builder_end(w->b));
}
static int name_in_list(struct world *w) {
    larder_builder_begin(w->b, "l", LARDER_L);
    return with_keys(w, larder_builder_add_s(w->b, "a", "1"));
}
static int nesting_32(struct world *w) {
    int r = larder_builder_begin(w->b, "l", LARDER_L);
    for (int i = 1; i < 33 && r == LARDER_OK; i++)
        r = larder_builder_begin(w->b, i % 2 ? NULL : "m", i % 2 ? LARDER_M : LARDER_L);
    return with_keys(w, r);
}
static int set_empty(struct world *w, enum larder_type type) {
    larder_builder_begin(w->b, "set", type);
    return with_keys(w, larder_builder_end(w->b));
}
static int set_empty_ss(struct world *w) {
    return set_empty(w, LARDER_SS);
}
static int set_empty_ns(struct world *w) {
    return set_empty(w, LARDER_NS);
}
static int set_empty_bs(struct world *w) {
    return set_empty(w, LARDER_BS);
}
static int set_twice(struct world *w) {
    larder_builder_begin(w->b, "set", LARDER_SS);
    larder_builder_add_s(w->b, NULL, "a");
    larder_builder_add_s(w->b, NULL, "b");
    larder_builder_add_s(w->b, NULL, "a");
    return with_keys(w, larder_builder_end(w->b));
}
static int set_number_twice(struct world *w) {
    larder_builder_begin(w->b, "set", LARDER_NS);
    larder_builder_add_n(w->b, NULL, "10");
    larder_builder_add_n(w->b, NULL, "1e1");
    return with_keys(w, larder_builder_end(w->b));
}
static int set_of_others(struct world *w) {
    larder_builder_begin(w->b, "set", LARDER_SS);
    return with_keys(w, larder_builder_add_int(w->b, NULL, 1));
}
static int left_open(struct world *w) {
    larder_builder_begin(w->b, "m", LARDER_M);
    return with_keys(w, 0);
}
static int end_of_nothing(struct world *w) {
    return with_keys(w, larder_builder_end(w->b));
}
static int name_without_value(struct world *w) {
    larder_builder_add_s(w->b, "pk", "p");
    larder_builder_add_s(w->b, "sk", "s");
    larder_builder_name(w->b, "dangling", 8);
    return finish_and_put(w, w->t, 0);
}
static int value_over_400k(struct world *w) {
    return with_keys(w, larder_builder_add_sn(w->b, "a", many, LARDER_ITEM_BYTES_MAX + 1));
}
static int item_over_400k(struct world *w) {
    larder_builder_add_sn(w->b, "a", many, LARDER_ITEM_BYTES_MAX / 2);
    return with_keys(w, larder_builder_add_sn(w->b, "b", many, LARDER_ITEM_BYTES_MAX / 2));
}
static int value_forged_map(struct world *w) {
    const struct larder_member m = {"m", 1, {.type = LARDER_M, .data = "\x01\x02\x03", .bytes = 3, .count = 9}};
    return with_keys(w, larder_builder_add_member(w->b, &m));
}

static const struct row value_rows[] = {
    {"39 digits", number_39_digits, LARDER_E_INVAL, {"\"n\"", "39 significant digits", "38"}},
    {"39 digits of fraction", number_39_digits_fraction, LARDER_E_INVAL, {"39 significant digits", "38"}},
    {"1e126", number_large, LARDER_E_INVAL, {"too large", "1E+126"}},
    {"-1e-131", number_small, LARDER_E_INVAL, {"too small", "1E-130"}},
    {"NaN", number_word, LARDER_E_INVAL, {"\"NaN\"", "not a number"}},
    {"empty number", number_empty, LARDER_E_INVAL, {"not a number"}},
    {"NULL number", number_null, LARDER_E_INVAL, {"larder_builder_add_n", "decimal is NULL"}},
    {"0x10", number_hex, LARDER_E_INVAL, {"\"0x10\"", "not a number"}},
    {"number and space", number_space, LARDER_E_INVAL, {"not a number"}},
    {"1e", number_exponent, LARDER_E_INVAL, {"not a number"}},
    {"huge exponent", number_exponent_huge, LARDER_E_INVAL, {"too large"}},
    {"forged number", number_forged, LARDER_E_INVAL, {"read from an item"}},
    {"NULL text", text_null, LARDER_E_INVAL, {"larder_builder_add_s", "text is NULL"}},
    {"text not UTF-8", text_not_utf8, LARDER_E_INVAL, {"\"a\"", "UTF-8", "byte 2"}},
    {"text with a surrogate", text_surrogate, LARDER_E_INVAL, {"UTF-8"}},
    {"overlong text", text_overlong, LARDER_E_INVAL, {"UTF-8"}},
    {"NULL binary", binary_null, LARDER_E_INVAL, {"larder_builder_add_b", "data is NULL"}},
    {"value of no type", type_none, LARDER_E_INVAL, {"S, N, B, BOOL or NULL"}},
    {"value of type M", type_map_as_value, LARDER_E_INVAL, {"S, N, B, BOOL or NULL", "not M"}},
    {"value of type 77", type_unknown, LARDER_E_INVAL, {"S, N, B, BOOL or NULL"}},
    {"begin of an S", begin_scalar, LARDER_E_INVAL, {"M, L, SS, NS or BS", "not S"}},
    {"NULL name", name_null, LARDER_E_INVAL, {"needs a name"}},
    {"empty name", name_empty, LARDER_E_INVAL, {"0 bytes", "65535"}},
    {"name of 65536 bytes", name_long, LARDER_E_INVAL, {"65536 bytes", "65535"}},
    {"name not UTF-8", name_not_utf8, LARDER_E_INVAL, {"name", "UTF-8"}},
    {"name twice", name_twice, LARDER_E_INVAL, {"\"a\"", "twice"}},
    {"name twice in a map", name_twice_in_map, LARDER_E_INVAL, {"\"a\"", "twice"}},
    {"name in a list", name_in_list, LARDER_E_INVAL, {"no name", "\"a\""}},
    {"nesting 32", nesting_32, LARDER_E_INVAL, {"32 lists and maps", "31"}},
    {"empty SS", set_empty_ss, LARDER_E_INVAL, {"SS is empty", "at least one"}},
    {"empty NS", set_empty_ns, LARDER_E_INVAL, {"NS is empty", "at least one"}},
    {"empty BS", set_empty_bs, LARDER_E_INVAL, {"BS is empty", "at least one"}},
    {"twice in a set", set_twice, LARDER_E_INVAL, {"twice"}},
    {"equal numbers in a set", set_number_twice, LARDER_E_INVAL, {"twice"}},
    {"number in a string set", set_of_others, LARDER_E_INVAL, {"type N", "SS", "S only"}},
    {"map left open", left_open, LARDER_E_INVAL, {"still open"}},
    {"end of nothing", end_of_nothing, LARDER_E_INVAL, {"larder_builder_end() without"}},
    {"name without value", name_without_value, LARDER_E_INVAL, {"not followed by a value"}},
    {"value over 400 KB", value_over_400k, LARDER_E_INVAL, {"409601 bytes", "409600"}},
    {"item over 400 KB", item_over_400k, LARDER_E_INVAL, {"\"b\"", "409600"}},
    {"forged map", value_forged_map, LARDER_E_INVAL, {"read from an item"}},
};

Test(errors_write, values, .init = fill_many) {
    run_rows(value_rows, COUNT(value_rows));
}

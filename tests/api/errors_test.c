/* tests/api/errors_test.c - bad input of every kind.
 *
 * Goal     Each misuse of the API gives the result that larder.h promises, and a message that names what was wrong and what is
 *          allowed; no byte of the segment, or of the file that is no segment, changes by it.
 * Method   Tables of rows: what is done, the result, words of the message. Before and after each row all claimed bytes of the
 *          segment are compared through a mapping of the test's own, except the writers' slots, where attempts are counted.
 */
#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/segment/layout.h"
#include "larder.h"
#include "tests/support/expect.h"
#include "tests/support/proc.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"

TestSuite(errors, .timeout = 60 * SLOW_FACTOR);

#define MIB (UINT64_C(1) << 20)
#define WORDS_MAX 3
#define COUNT(array) (sizeof(array) / sizeof *(array))

/* The message of the last failure has all the words. */
static void expect_words(const char *row, const char *const words[WORDS_MAX]) {
    for (unsigned i = 0; i < WORDS_MAX && words[i]; i++)
        cr_expect(strstr(larder_error(), words[i]), "%s: no \"%s\" in \"%s\"", row, words[i], larder_error());
}

/* ---- The segment under attack ------------------------------------------------------------------------------------------ */

struct world {
    struct larder *db, *reader;
    struct larder_table *t, *numbers, *plain, *dropped, *read; /* read: t of the reader */
    struct larder_builder *b;
    struct larder_page *page;
    const unsigned char *bytes; /* the segment, read-only */
    unsigned char *before;
    const struct seg_shm *head;
};

/* Keys S and S, an index, a TTL; keys N and N; a key B alone. */
static void create_tables(struct world *w) {
    const struct larder_index_def index = {.name = "byKind", .partition = {"gpk", LARDER_S}, .sort = {"gsk", LARDER_N}};
    const struct larder_table_def def = {.name = "table",
                                         .partition = {"pk", LARDER_S},
                                         .sort = {"sk", LARDER_S},
                                         .indexes = &index,
                                         .index_count = 1,
                                         .ttl_attribute = "expires"};
    const struct larder_table_def numbers = {
        .name = "numbers", .partition = {"pk", LARDER_N}, .sort = {"sk", LARDER_N}};
    const struct larder_table_def plain = {.name = "plain", .partition = {"pk", LARDER_B}};
    const struct larder_table_def dropped = {.name = "dropped", .partition = {"pk", LARDER_S}};
    EXPECT(larder_table_create(w->db, &def), LARDER_OK);
    EXPECT(larder_table_create(w->db, &numbers), LARDER_OK);
    EXPECT(larder_table_create(w->db, &plain), LARDER_OK);
    EXPECT(larder_table_create(w->db, &dropped), LARDER_OK);
    EXPECT(larder_table_open(w->db, "table", &w->t), LARDER_OK);
    EXPECT(larder_table_open(w->db, "numbers", &w->numbers), LARDER_OK);
    EXPECT(larder_table_open(w->db, "plain", &w->plain), LARDER_OK);
    EXPECT(larder_table_open(w->db, "dropped", &w->dropped), LARDER_OK);
    struct larder *other = testseg_attach(w->db, 0);
    EXPECT(larder_table_drop(other, "dropped"), LARDER_OK);
    EXPECT(larder_expire(other, 0, NULL), LARDER_OK);
    larder_close(other); /* and with it the thread that empties: nothing changes the segment from here on */
}

static void begin(struct world *w) {
    w->db = testseg_open(8 * MIB, 4);
    w->reader = testseg_attach(w->db, LARDER_READ_ONLY);
    create_tables(w);
    EXPECT(larder_table_open(w->reader, "table", &w->read), LARDER_OK);
    EXPECT(larder_builder_new(w->db, &w->b), LARDER_OK);
    EXPECT(larder_page_new(w->db, &w->page), LARDER_OK);
    for (int i = 0; i < 20; i++) {
        const struct larder_item *item;
        char sk[16];
        snprintf(sk, sizeof sk, "s%d", i);
        larder_builder_reset(w->b);
        larder_builder_add_s(w->b, "pk", "p");
        larder_builder_add_s(w->b, "sk", sk);
        larder_builder_add_s(w->b, "gpk", "kind");
        larder_builder_add_int(w->b, "gsk", i);
        EXPECT(larder_builder_finish(w->b, &item), LARDER_OK);
        EXPECT(larder_put(w->t, item, NULL), LARDER_OK);
    }
    w->bytes = mmap(NULL, 8 * MIB, PROT_READ, MAP_SHARED, larder_memfd(w->db), 0);
    w->before = malloc(8 * MIB);
    cr_assert(w->bytes != MAP_FAILED && w->before);
    w->head = (const struct seg_shm *)w->bytes;
}

static void end(struct world *w) {
    struct larder_check_report report;
    EXPECT(larder_check(w->db, NULL, &report), LARDER_OK);
    munmap((void *)w->bytes, 8 * MIB);
    free(w->before);
    larder_close(w->reader);
    larder_close(w->db);
}

static void remember(struct world *w) {
    memcpy(w->before, w->bytes, w->head->claimed_bytes);
}

static void expect_unchanged(const struct world *w, const char *row) {
    const struct seg_shm *head = w->head;
    cr_expect_eq(memcmp(w->before, w->bytes, head->slots_off), 0, "%s: the head changed", row);
    for (uint64_t off = head->catalog_off; off < head->claimed_bytes; off += 8)
        if (memcmp(w->before + off, w->bytes + off, 8) != 0) {
            cr_expect(0, "%s: byte %lu of the segment changed", row, off);
            return;
        }
}

struct row {
    const char *name;
    int (*try)(struct world *w);
    int expected;
    const char *words[WORDS_MAX];
};

static void run_rows(const struct row *rows, size_t count) {
    struct world w;
    begin(&w);
    for (size_t i = 0; i < count; i++) {
        larder_builder_reset(w.b);
        remember(&w);
        int r = rows[i].try(&w);
        cr_expect_eq(r, rows[i].expected, "%s gives %s: %s", rows[i].name, larder_result_name(r), larder_error());
        expect_words(rows[i].name, rows[i].words);
        cr_expect_neq(larder_error()[0], 0, "%s", rows[i].name);
        expect_unchanged(&w, rows[i].name);
    }
    end(&w);
}

/* ---- Items -------------------------------------------------------------------------------------------------------------- */

static char many[LARDER_ITEM_BYTES_MAX + 2]; /* 'x's, made by init */

static void init(void) {
    memset(many, 'x', sizeof many - 1);
}

/* Ends the item and puts it. A failure of an add is found by finish, and also was returned by the add: `added`. */
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

static const struct larder_value text = {.type = LARDER_S, .data = "text", .bytes = 4};
static const struct larder_value empty = {.type = LARDER_S, .data = "", .bytes = 0};
static const struct larder_value bytes4 = {.type = LARDER_B, .data = "\x00\x01\x02\x03", .bytes = 4};
static const struct larder_value one = {.type = LARDER_N, .data = "1", .bytes = 1};
static const struct larder_value yes = {.type = LARDER_BOOL, .is_true = 1};
static const struct larder_value long2049 = {.type = LARDER_S, .data = many, .bytes = 2049};
static const struct larder_value long1025 = {.type = LARDER_S, .data = many, .bytes = 1025};
static const struct larder_value not_utf8 = {.type = LARDER_S, .data = "ab\xff", .bytes = 3};
static const struct larder_value digits39 = {
    .type = LARDER_N, .data = "123456789012345678901234567890123456789", .bytes = 39};

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

/* An item with these keys, only if what is there is a builder's item, or (is_absent) nothing. */
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

Test(errors, puts, .init = init) {
    run_rows(put_rows, COUNT(put_rows));
}

/* ---- Values -------------------------------------------------------------------------------------------------------------- */

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

Test(errors, values, .init = init) {
    run_rows(value_rows, COUNT(value_rows));
}

/* ---- Keys to read and delete by --------------------------------------------------------------------------------------------- */

static int get(struct world *w, struct larder_table *t, struct larder_value pk, struct larder_value sk) {
    const struct larder_key key = {pk, sk};
    int r = larder_get(t, &key, w->page);
    /* All that take a key refuse it alike. */
    if (larder_get_many(t, &key, 1, w->page) != r || larder_delete(t, &key, w->page) != r)
        return 1000;
    return r;
}
static int key_none(struct world *w) {
    return get(w, w->t, (struct larder_value){0}, text);
}
static int key_no_sort(struct world *w) {
    return get(w, w->t, text, (struct larder_value){0});
}
static int key_type(struct world *w) {
    return get(w, w->t, bytes4, text);
}
static int key_sort_type(struct world *w) {
    return get(w, w->t, text, one);
}
static int key_empty(struct world *w) {
    return get(w, w->t, empty, text);
}
static int key_null(struct world *w) {
    return get(w, w->t, (struct larder_value){.type = LARDER_S, .bytes = 7}, text);
}
static int key_long(struct world *w) {
    return get(w, w->t, long2049, text);
}
static int key_sort_long(struct world *w) {
    return get(w, w->t, text, long1025);
}
static int key_not_utf8(struct world *w) {
    return get(w, w->t, not_utf8, text);
}
static int key_39_digits(struct world *w) {
    return get(w, w->numbers, digits39, one);
}
static int key_no_number(struct world *w) {
    return get(w, w->numbers, one, larder_num("one"));
}
static int key_forged_number(struct world *w) {
    return get(w, w->numbers, (struct larder_value){.type = LARDER_N, .data = "\xff", .bytes = 1, .count = 1}, one);
}
static int key_of_dropped(struct world *w) {
    return get(w, w->dropped, text, text);
}
static int delete_read_only(struct world *w) {
    const struct larder_key key = {text, text};
    return larder_delete(w->read, &key, NULL);
}

static const struct row key_rows[] = {
    {"no key", key_none, LARDER_E_INVAL, {"partition key \"pk\"", "S is needed"}},
    {"no sort key", key_no_sort, LARDER_E_INVAL, {"sort key \"sk\"", "S is needed"}},
    {"key of type B", key_type, LARDER_E_INVAL, {"\"pk\"", "type B", "S is needed"}},
    {"sort key of type N", key_sort_type, LARDER_E_INVAL, {"\"sk\"", "type N", "S is needed"}},
    {"empty key", key_empty, LARDER_E_INVAL, {"\"pk\"", "0 bytes", "1 to 2048"}},
    {"NULL key", key_null, LARDER_E_INVAL, {"\"pk\"", "data is NULL"}},
    {"key of 2049 bytes", key_long, LARDER_E_INVAL, {"\"pk\"", "2049 bytes", "1 to 2048"}},
    {"sort key of 1025 bytes", key_sort_long, LARDER_E_INVAL, {"\"sk\"", "1025 bytes", "1 to 1024"}},
    {"key not UTF-8", key_not_utf8, LARDER_E_INVAL, {"\"pk\"", "UTF-8"}},
    {"key of 39 digits", key_39_digits, LARDER_E_INVAL, {"39 significant digits", "38"}},
    {"key that is no number", key_no_number, LARDER_E_INVAL, {"\"one\"", "not a number"}},
    {"forged number as key", key_forged_number, LARDER_E_INVAL, {"read from an item"}},
    {"key of a dropped table", key_of_dropped, LARDER_E_NO_TABLE, {"\"dropped\""}},
    {"delete read-only", delete_read_only, LARDER_E_READ_ONLY, {"read-only"}},
};

Test(errors, keys, .init = init) {
    run_rows(key_rows, COUNT(key_rows));
}

/* ---- Queries and scans ------------------------------------------------------------------------------------------------------ */

static int query(struct world *w, struct larder_query_spec spec) {
    return larder_query(w->t, &spec, w->page);
}
static int query_null(struct world *w) {
    return larder_query(w->t, NULL, w->page);
}
static int query_unknown_index(struct world *w) {
    return query(w, (struct larder_query_spec){.index = "byOther", .partition = text});
}
static int query_no_partition(struct world *w) {
    return query(w, (struct larder_query_spec){.index = NULL});
}
static int query_partition_type(struct world *w) {
    return query(w, (struct larder_query_spec){.index = "byKind", .partition = one});
}
static int query_partition_long(struct world *w) {
    return query(w, (struct larder_query_spec){.partition = long2049});
}
static int query_sort_type(struct world *w) {
    return query(w, (struct larder_query_spec){.partition = text, .sort_op = LARDER_SORT_GT, .sort_value = one});
}
static int query_sort_long(struct world *w) {
    return query(w, (struct larder_query_spec){.partition = text, .sort_op = LARDER_SORT_EQ, .sort_value = long1025});
}
static int query_sort_op(struct world *w) {
    return query(w, (struct larder_query_spec){.partition = text, .sort_op = (enum larder_sort_op)99});
}
static int query_begins_with_number(struct world *w) {
    return query(w, (struct larder_query_spec){
                        .index = "byKind", .partition = text, .sort_op = LARDER_SORT_BEGINS_WITH, .sort_value = one});
}
static int query_between_reversed(struct world *w) {
    return query(w, (struct larder_query_spec){.partition = text,
                                               .sort_op = LARDER_SORT_BETWEEN,
                                               .sort_value = larder_str("b"),
                                               .sort_value2 = larder_str("a")});
}
static int query_sort_of_a_table_without(struct world *w) {
    const struct larder_query_spec spec = {.partition = bytes4, .sort_op = LARDER_SORT_EQ, .sort_value = text};
    return larder_query(w->plain, &spec, w->page);
}
static int query_start_incomplete(struct world *w) {
    const struct larder_item *key;
    larder_builder_add_s(w->b, "pk", "p");
    EXPECT(larder_builder_finish(w->b, &key), LARDER_OK);
    return query(w, (struct larder_query_spec){.partition = larder_str("p"), .start_key = key});
}
static int query_start_elsewhere(struct world *w) {
    const struct larder_item *key;
    larder_builder_add_s(w->b, "pk", "other");
    larder_builder_add_s(w->b, "sk", "s");
    EXPECT(larder_builder_finish(w->b, &key), LARDER_OK);
    return query(w, (struct larder_query_spec){.partition = larder_str("p"), .start_key = key});
}
static int query_dropped(struct world *w) {
    return larder_query(w->dropped, &(struct larder_query_spec){.partition = text}, w->page);
}
static int scan_null(struct world *w) {
    return larder_scan(w->t, NULL, w->page);
}
static int scan_segment(struct world *w) {
    return larder_scan(w->t, &(struct larder_scan_spec){.segment = 3, .segment_count = 3}, w->page);
}
static int scan_segments(struct world *w) {
    return larder_scan(w->t, &(struct larder_scan_spec){.segment_count = 2000000}, w->page);
}
static int scan_start(struct world *w) {
    const struct larder_item *key;
    larder_builder_add_s(w->b, "pk", "p");
    EXPECT(larder_builder_finish(w->b, &key), LARDER_OK);
    return larder_scan(w->t, &(struct larder_scan_spec){.start_key = key}, w->page);
}
static int scan_dropped(struct world *w) {
    return larder_scan(w->dropped, &(struct larder_scan_spec){0}, w->page);
}

static const struct row read_rows[] = {
    {"query NULL", query_null, LARDER_E_INVAL, {"NULL"}},
    {"unknown index", query_unknown_index, LARDER_E_NO_INDEX, {"\"table\"", "\"byOther\""}},
    {"no partition", query_no_partition, LARDER_E_INVAL, {"partition", "S is needed"}},
    {"partition of type N", query_partition_type, LARDER_E_INVAL, {"\"gpk\"", "type N", "S is needed"}},
    {"partition of 2049 bytes", query_partition_long, LARDER_E_INVAL, {"2049 bytes", "1 to 2048"}},
    {"sort value of type N", query_sort_type, LARDER_E_INVAL, {"\"sk\"", "type N", "S is needed"}},
    {"sort value of 1025 bytes", query_sort_long, LARDER_E_INVAL, {"1025 bytes", "1 to 1024"}},
    {"unknown sort_op", query_sort_op, LARDER_E_INVAL, {"sort_op 99"}},
    {"number begins with", query_begins_with_number, LARDER_E_INVAL, {"BEGINS_WITH", "\"gsk\""}},
    {"between b and a", query_between_reversed, LARDER_E_INVAL, {"BETWEEN", "larger"}},
    {"sort_op without sort key", query_sort_of_a_table_without, LARDER_E_INVAL, {"no sort key"}},
    {"start key without sort key", query_start_incomplete, LARDER_E_INVAL, {"\"sk\""}},
    {"start key of another partition", query_start_elsewhere, LARDER_E_INVAL, {"start key", "partition"}},
    {"query of a dropped table", query_dropped, LARDER_E_NO_TABLE, {"\"dropped\""}},
    {"scan NULL", scan_null, LARDER_E_INVAL, {"NULL"}},
    {"scan segment 3 of 3", scan_segment, LARDER_E_INVAL, {"segment is 3", "less than"}},
    {"2000000 scan segments", scan_segments, LARDER_E_INVAL, {"2000000", "1000000"}},
    {"scan start without sort key", scan_start, LARDER_E_INVAL, {"\"sk\""}},
    {"scan of a dropped table", scan_dropped, LARDER_E_NO_TABLE, {"\"dropped\""}},
};

Test(errors, queries_and_scans, .init = init) {
    run_rows(read_rows, COUNT(read_rows));
}

/* ---- Tables ------------------------------------------------------------------------------------------------------------------ */

static int create(struct world *w, struct larder_table_def def) {
    return larder_table_create(w->db, &def);
}
static int create_null(struct world *w) {
    return larder_table_create(w->db, NULL);
}
static int create_again(struct world *w) {
    return create(w, (struct larder_table_def){.name = "table", .partition = {"pk", LARDER_S}});
}
static int create_short_name(struct world *w) {
    return create(w, (struct larder_table_def){.name = "ab", .partition = {"pk", LARDER_S}});
}
static int create_long_name(struct world *w) {
    return create(w, (struct larder_table_def){.name = many, .partition = {"pk", LARDER_S}});
}
static int create_bad_name(struct world *w) {
    return create(w, (struct larder_table_def){.name = "a b c", .partition = {"pk", LARDER_S}});
}
static int create_key_type(struct world *w) {
    return create(w, (struct larder_table_def){.name = "bad", .partition = {"pk", LARDER_SS}});
}
static int create_same_keys(struct world *w) {
    return create(w, (struct larder_table_def){.name = "bad", .partition = {"pk", LARDER_S}, .sort = {"pk", LARDER_S}});
}
static int create_26_indexes(struct world *w) {
    static const struct larder_index_def indexes[26];
    return create(w, (struct larder_table_def){
                         .name = "bad", .partition = {"pk", LARDER_S}, .indexes = indexes, .index_count = 26});
}
static int create_read_only(struct world *w) {
    const struct larder_table_def def = {.name = "new", .partition = {"pk", LARDER_S}};
    return larder_table_create(w->reader, &def);
}
static int open_unknown(struct world *w) {
    struct larder_table *t = NULL;
    int r = larder_table_open(w->db, "unknown", &t);
    return t ? 1000 : r;
}
static int open_null(struct world *w) {
    struct larder_table *t = NULL;
    int r = larder_table_open(w->db, NULL, &t);
    return t ? 1000 : r;
}
static int open_dropped(struct world *w) {
    struct larder_table *t = NULL;
    return larder_table_open(w->db, "dropped", &t);
}
static int open_nowhere(struct world *w) {
    return larder_table_open(w->db, "table", NULL);
}
static int drop_unknown(struct world *w) {
    return larder_table_drop(w->db, "unknown");
}
static int drop_null(struct world *w) {
    return larder_table_drop(w->db, NULL);
}
static int drop_read_only(struct world *w) {
    return larder_table_drop(w->reader, "table");
}
static int add_index(struct world *w, struct larder_index_def def) {
    return larder_index_add(w->t, &def);
}
static int add_index_null(struct world *w) {
    return larder_index_add(w->t, NULL);
}
static int add_index_again(struct world *w) {
    return add_index(w, (struct larder_index_def){.name = "byKind", .partition = {"a", LARDER_S}});
}
static int add_index_local(struct world *w) {
    return add_index(w, (struct larder_index_def){
                            .name = "local", .is_local = 1, .partition = {"pk", LARDER_S}, .sort = {"a", LARDER_S}});
}
static int add_index_no_key(struct world *w) {
    return add_index(w, (struct larder_index_def){.name = "byNothing"});
}
static int add_index_two_types(struct world *w) {
    return add_index(w, (struct larder_index_def){.name = "byPk", .partition = {"pk", LARDER_N}});
}
static int add_index_include_nothing(struct world *w) {
    return add_index(w, (struct larder_index_def){
                            .name = "byA", .partition = {"a", LARDER_S}, .projection = LARDER_PROJECT_INCLUDE});
}
static int add_index_dropped(struct world *w) {
    const struct larder_index_def def = {.name = "byA", .partition = {"a", LARDER_S}};
    return larder_index_add(w->dropped, &def);
}
static int add_index_read_only(struct world *w) {
    const struct larder_index_def def = {.name = "byA", .partition = {"a", LARDER_S}};
    return larder_index_add(w->read, &def);
}
static int ttl_empty(struct world *w) {
    return larder_ttl_set(w->t, "");
}
static int ttl_long(struct world *w) {
    return larder_ttl_set(w->t, many);
}
static int ttl_read_only(struct world *w) {
    return larder_ttl_set(w->read, "expires");
}
static int removal_unknown(struct world *w) {
    return larder_removal_set(w->t, (enum larder_removal)7);
}
static int removal_dropped(struct world *w) {
    return larder_removal_set(w->dropped, LARDER_REMOVAL_RETAIN);
}
static int expire_read_only(struct world *w) {
    return larder_expire(w->reader, 0, NULL);
}
static int expirer_read_only(struct world *w) {
    return larder_expirer_start(w->reader);
}

static const struct row table_rows[] = {
    {"create NULL", create_null, LARDER_E_INVAL, {"NULL"}},
    {"create a table again", create_again, LARDER_E_EXISTS, {"\"table\"", "already"}},
    {"table name of 2", create_short_name, LARDER_E_INVAL, {"\"ab\"", "too few", "3 to 255"}},
    {"table name too long", create_long_name, LARDER_E_INVAL, {"too many", "3 to 255"}},
    {"table name with spaces", create_bad_name, LARDER_E_INVAL, {"\"a b c\"", "a-z A-Z 0-9 _ - ."}},
    {"key of type SS", create_key_type, LARDER_E_INVAL, {"\"pk\"", "LARDER_S, LARDER_N or LARDER_B"}},
    {"one attribute, two keys", create_same_keys, LARDER_E_INVAL, {"\"pk\"", "two attributes"}},
    {"26 indexes", create_26_indexes, LARDER_E_INVAL, {"26 indexes", "20", "5"}},
    {"create read-only", create_read_only, LARDER_E_READ_ONLY, {"read-only"}},
    {"unknown table", open_unknown, LARDER_E_NO_TABLE, {"\"unknown\""}},
    {"table NULL", open_null, LARDER_E_INVAL, {"name"}},
    {"dropped table", open_dropped, LARDER_E_NO_TABLE, {"\"dropped\""}},
    {"no place for the table", open_nowhere, LARDER_E_INVAL, {"out is NULL"}},
    {"drop of an unknown table", drop_unknown, LARDER_E_NO_TABLE, {"\"unknown\""}},
    {"drop NULL", drop_null, LARDER_E_INVAL, {"name"}},
    {"drop read-only", drop_read_only, LARDER_E_READ_ONLY, {"read-only"}},
    {"index NULL", add_index_null, LARDER_E_INVAL, {"NULL"}},
    {"index again", add_index_again, LARDER_E_EXISTS, {"\"byKind\"", "already"}},
    {"local index added", add_index_local, LARDER_E_INVAL, {"\"local\"", "with their table"}},
    {"index without key", add_index_no_key, LARDER_E_INVAL, {"\"byNothing\"", "no partition key"}},
    {"attribute of two types", add_index_two_types, LARDER_E_INVAL, {"\"pk\"", "two types"}},
    {"include of nothing", add_index_include_nothing, LARDER_E_INVAL, {"\"byA\"", "INCLUDE"}},
    {"index of a dropped table", add_index_dropped, LARDER_E_NO_TABLE, {"\"dropped\""}},
    {"index read-only", add_index_read_only, LARDER_E_READ_ONLY, {"read-only"}},
    {"empty TTL attribute", ttl_empty, LARDER_E_INVAL, {"TTL", "1 to 255"}},
    {"TTL attribute too long", ttl_long, LARDER_E_INVAL, {"TTL", "1 to 255"}},
    {"TTL read-only", ttl_read_only, LARDER_E_READ_ONLY, {"read-only"}},
    {"removal policy 7", removal_unknown, LARDER_E_INVAL, {"7", "LARDER_REMOVAL_RETAIN"}},
    {"removal policy of a dropped table", removal_dropped, LARDER_E_NO_TABLE, {"\"dropped\""}},
    {"expire read-only", expire_read_only, LARDER_E_READ_ONLY, {"read-only"}},
    {"expirer read-only", expirer_read_only, LARDER_E_READ_ONLY, {"read-write"}},
};

Test(errors, tables, .init = init) {
    run_rows(table_rows, COUNT(table_rows));
}

/* ---- Files that are no segments ------------------------------------------------------------------------------------------------ */

#define PATH_BYTES 96

static void write_file(const char *path, const void *data, size_t bytes) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    cr_assert(fd >= 0 && write(fd, data, bytes) == (ssize_t)bytes);
    close(fd);
}

/* Segments that go by unlink() while nobody is attached leave theirs. */
static void remove_lock_files(const char *dir) {
    DIR *d = opendir(dir);
    struct dirent *entry;
    while (d && (entry = readdir(d)) != NULL)
        if (strncmp(entry->d_name, ".larder-", 8) == 0)
            (void)unlinkat(dirfd(d), entry->d_name, 0);
    if (d)
        closedir(d);
}

static void make_segment(const char *path) {
    struct larder *db;
    const struct larder_options o = {.segment = path, .flags = LARDER_CREATE, .size_bytes = LARDER_SEGMENT_BYTES_MIN};
    const struct larder_table_def def = {
        .name = "table", .partition = {"pk", LARDER_S}, .removal = LARDER_REMOVAL_RETAIN};
    EXPECT(larder_open(&o, &db), LARDER_OK);
    EXPECT(larder_table_create(db, &def), LARDER_OK);
    larder_close(db);
}

/* A segment with one field of its head changed. */
static void make_changed(const char *path, size_t offset, uint64_t value, size_t bytes) {
    make_segment(path);
    int fd = open(path, O_WRONLY);
    cr_assert(fd >= 0 && pwrite(fd, &value, bytes, (off_t)offset) == (ssize_t)bytes);
    close(fd);
}
#define CHANGED(function, field, value)                                                                                \
    static void function(const char *path) {                                                                           \
        struct seg_shm *head = NULL;                                                                                   \
        make_changed(path, offsetof(struct seg_shm, field), (value), sizeof head->field);                              \
    }
CHANGED(make_version_3, format_version, 3)
CHANGED(make_fingerprint, fingerprint, 12345)
CHANGED(make_page_bytes, page_bytes, 512)
CHANGED(make_state, state, 9)
CHANGED(make_stripes, stripe_count, 3)
CHANGED(make_slots, slot_count, 0xffffffff)
CHANGED(make_arenas, arena_count, 0)
CHANGED(make_shards, shard_count, 77)
CHANGED(make_spans, span_count, 0xffffffff)
CHANGED(make_size, size_bytes, UINT64_MAX)
CHANGED(make_larger, size_bytes, 64 * MIB)
CHANGED(make_data_off, data_off, 64)
CHANGED(make_catalog_off, catalog_off, UINT64_MAX - 8)
CHANGED(make_half_made, state, SEG_STATE_INITIALISING)

static void make_text(const char *path) {
    write_file(path, "This is no segment.\n", 20);
}
static void make_zeros(const char *path) {
    static const char zeros[65536];
    write_file(path, zeros, sizeof zeros);
}
static void make_large_text(const char *path) {
    init();
    write_file(path, many, sizeof many);
}
static void make_empty(const char *path) {
    write_file(path, "", 0);
}
static void make_magic_only(const char *path) {
    const uint64_t magic = SEG_MAGIC;
    write_file(path, &magic, sizeof magic);
}
static void make_head_cut(const char *path) {
    make_segment(path);
    cr_assert_eq(truncate(path, sizeof(struct seg_shm) - 1), 0);
}
static void make_half(const char *path) {
    make_segment(path);
    cr_assert_eq(truncate(path, LARDER_SEGMENT_BYTES_MIN / 2), 0);
}
static void make_byte_short(const char *path) {
    make_segment(path);
    cr_assert_eq(truncate(path, LARDER_SEGMENT_BYTES_MIN - 1), 0);
}
static void make_directory(const char *path) {
    cr_assert_eq(mkdir(path, 0700), 0);
}
static void make_fifo(const char *path) {
    cr_assert_eq(mkfifo(path, 0600), 0);
}
static void make_link(const char *path) {
    char target[PATH_BYTES];
    snprintf(target, sizeof target, "%s.target", path);
    make_segment(target);
    cr_assert_eq(symlink(target, path), 0);
}

static const struct file_row {
    const char *name;
    void (*make)(const char *path); /* NULL: there is nothing */
    struct larder_options options;
    int expected;
    const char *words[WORDS_MAX];
} file_rows[] = {
#define ATTACH                                                                                                         \
    { 0 }
#define CREATE                                                                                                         \
    { .flags = LARDER_CREATE, .size_bytes = LARDER_SEGMENT_BYTES_MIN }
    {"nothing", NULL, ATTACH, LARDER_E_NO_SEGMENT, {"there is none"}},
    {"nothing, read-only", NULL, {.flags = LARDER_READ_ONLY}, LARDER_E_NO_SEGMENT, {"there is none"}},
    {"text", make_text, ATTACH, LARDER_E_FORMAT, {"not a Larder segment"}},
    {"text, to create", make_text, CREATE, LARDER_E_FORMAT, {"not a Larder segment"}},
    {"zeros", make_zeros, CREATE, LARDER_E_FORMAT, {"not a Larder segment"}},
    {"long text", make_large_text, CREATE, LARDER_E_FORMAT, {"not a Larder segment"}},
    {"empty file", make_empty, ATTACH, LARDER_E_FORMAT, {"never finished", "LARDER_CREATE"}},
    {"magic only", make_magic_only, CREATE, LARDER_E_FORMAT, {"truncated", "4194304"}},
    {"head cut off", make_head_cut, CREATE, LARDER_E_FORMAT, {"truncated"}},
    {"half a segment", make_half, ATTACH, LARDER_E_FORMAT, {"truncated", "2097152 bytes of 4194304"}},
    {"half a segment, read-only", make_half, {.flags = LARDER_READ_ONLY}, LARDER_E_FORMAT, {"truncated"}},
    {"a byte short", make_byte_short, ATTACH, LARDER_E_FORMAT, {"truncated", "4194303 bytes of 4194304"}},
    {"version 3", make_version_3, ATTACH, LARDER_E_FORMAT, {"format version 3", "reads 1 to 2"}},
    {"version 3, to create", make_version_3, CREATE, LARDER_E_FORMAT, {"format version 3"}},
    {"other layout", make_fingerprint, ATTACH, LARDER_E_FORMAT, {"other layout"}},
    {"other pages", make_page_bytes, ATTACH, LARDER_E_FORMAT, {"pages of 512 bytes"}},
    {"state 9", make_state, ATTACH, LARDER_E_FORMAT, {"damaged", "state 9"}},
    {"half made", make_half_made, ATTACH, LARDER_E_FORMAT, {"never finished"}},
    {"3 stripes", make_stripes, ATTACH, LARDER_E_FORMAT, {"damaged", "stripe_count 3"}},
    {"too many slots", make_slots, ATTACH, LARDER_E_FORMAT, {"damaged", "slot_count"}},
    {"no arenas", make_arenas, ATTACH, LARDER_E_FORMAT, {"damaged", "arena_count 0"}},
    {"77 shards", make_shards, ATTACH, LARDER_E_FORMAT, {"damaged", "shard_count 77"}},
    {"too many spans", make_spans, ATTACH, LARDER_E_FORMAT, {"damaged", "span_count"}},
    {"endless", make_size, ATTACH, LARDER_E_FORMAT, {"damaged", "size_bytes"}},
    {"larger than its file", make_larger, ATTACH, LARDER_E_FORMAT, {"truncated", "67108864"}},
    {"data in the head", make_data_off, ATTACH, LARDER_E_FORMAT, {"damaged", "data_off 64"}},
    {"catalog nowhere", make_catalog_off, ATTACH, LARDER_E_FORMAT, {"damaged", "catalog_off"}},
    {"directory", make_directory, CREATE, LARDER_E_FORMAT, {"not a regular file"}},
    {"FIFO", make_fifo, CREATE, LARDER_E_FORMAT, {"not a regular file"}},
    {"symbolic link", make_link, ATTACH, LARDER_E_FORMAT, {"symbolic link"}},
    {"there already", make_segment, {.flags = LARDER_CREATE | LARDER_EXCLUSIVE}, LARDER_E_EXISTS, {"there already"}},
    {"too small",
     NULL,
     {.flags = LARDER_CREATE, .size_bytes = 100000},
     LARDER_E_INVAL,
     {"100000", "too small", "4194304"}},
    {"too small for its stripes",
     NULL,
     {.flags = LARDER_CREATE, .size_bytes = LARDER_SEGMENT_BYTES_MIN, .stripe_count = 65536},
     LARDER_E_INVAL,
     {"too small", "stripe_count 65536", "at least"}},
    {"too large",
     NULL,
     {.flags = LARDER_CREATE, .size_bytes = UINT64_C(1) << 62},
     LARDER_E_INVAL,
     {"too large", "at most"}},
    {"5 stripes", NULL, {.flags = LARDER_CREATE, .stripe_count = 5}, LARDER_E_INVAL, {"stripe_count 5", "power of 2"}},
    {"mode without read", NULL, {.flags = LARDER_CREATE, .mode = 0200}, LARDER_E_INVAL, {"mode", "0600"}},
    {"mode beyond", NULL, {.flags = LARDER_CREATE, .mode = 07777}, LARDER_E_INVAL, {"mode"}},
    {"unknown flag", NULL, {.flags = 128}, LARDER_E_INVAL, {"flags 0x80"}},
    {"exclusive only", NULL, {.flags = LARDER_EXCLUSIVE}, LARDER_E_INVAL, {"LARDER_EXCLUSIVE"}},
    {"create read-only", NULL, {.flags = LARDER_CREATE | LARDER_READ_ONLY}, LARDER_E_INVAL, {"LARDER_READ_ONLY"}},
#undef ATTACH
#undef CREATE
};

/* A file's bytes, or none. */
struct content {
    size_t bytes;
    char *data;
    struct stat st;
};

static struct content content_of(const char *path) {
    struct content c = {0};
    if (lstat(path, &c.st) != 0 || !S_ISREG(c.st.st_mode))
        return c;
    int fd = open(path, O_RDONLY);
    c.data = malloc((size_t)c.st.st_size + 1);
    ssize_t got = fd >= 0 && c.data ? read(fd, c.data, (size_t)c.st.st_size) : -1;
    cr_assert_eq(got, c.st.st_size);
    c.bytes = (size_t)got;
    close(fd);
    return c;
}

static void expect_refused(const struct file_row *row, const char *path) {
    struct larder_options options = row->options;
    struct larder *db = NULL;
    options.segment = path;
    options.busy_timeout_ms = 300;
    struct content before = content_of(path);
    int r = larder_open(&options, &db);
    cr_expect_eq(r, row->expected, "%s gives %s: %s", row->name, larder_result_name(r), larder_error());
    cr_expect_null(db, "%s: outputs are written on success only", row->name);
    expect_words(row->name, row->words);
    struct content after = content_of(path);
    cr_expect(before.bytes == after.bytes && before.st.st_mode == after.st.st_mode &&
                  (!before.bytes || memcmp(before.data, after.data, before.bytes) == 0),
              "%s: the file changed", row->name);
    free(before.data);
    free(after.data);
}

Test(errors, files_that_are_no_segments) {
    char dir[] = "/tmp/larder-test-XXXXXX", path[PATH_BYTES], target[PATH_BYTES + 8];
    cr_assert_not_null(mkdtemp(dir));
    for (size_t i = 0; i < COUNT(file_rows); i++) {
        snprintf(path, sizeof path, "%s/seg", dir);
        snprintf(target, sizeof target, "%s.target", path);
        if (file_rows[i].make)
            file_rows[i].make(path);
        expect_refused(&file_rows[i], path);
        if (unlink(path) != 0)
            (void)rmdir(path);
        (void)unlink(target);
        remove_lock_files(dir);
    }
    cr_assert_eq(rmdir(dir), 0, "nothing else was made");
}

Test(errors, names_that_are_none) {
    static const char *const bad[] = {"", ".hidden", "a b", "name\n", "\xc3\xa4", "/no/such/directory/seg"};
    char long_name[400];
    struct larder *db = NULL;
    memset(long_name, 'n', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = 0;
    for (size_t i = 0; i <= COUNT(bad); i++) {
        const char *name = i < COUNT(bad) ? bad[i] : long_name;
        const struct larder_options o = {
            .segment = name, .flags = LARDER_CREATE, .size_bytes = LARDER_SEGMENT_BYTES_MIN};
        int expected = strchr(name, '/') ? LARDER_E_NO_SEGMENT : LARDER_E_INVAL;
        EXPECT(larder_open(&o, &db), expected);
        cr_assert(strstr(larder_error(), strchr(name, '/') ? "no directory" : "a name is 1 to"), "%s", larder_error());
        EXPECT(larder_destroy(name, LARDER_FORCE), expected);
    }
    cr_assert_null(db);
}

/* ---- Destroying ------------------------------------------------------------------------------------------------------------------ */

static const struct destroy_row {
    const char *name;
    void (*make)(const char *path);
    int force, expected;
    const char *words[WORDS_MAX];
} destroy_rows[] = {
    {"nothing", NULL, 1, LARDER_E_NO_SEGMENT, {"there is none"}},
    {"text", make_text, 0, LARDER_E_FORMAT, {"not a Larder segment"}},
    {"text, by force", make_text, 1, LARDER_E_FORMAT, {"not a Larder segment"}},
    {"long text, by force", make_large_text, 1, LARDER_E_FORMAT, {"not a Larder segment"}},
    {"retained table", make_segment, 0, LARDER_E_RETAINED, {"\"table\"", "Retain", "force"}},
    {"half made", make_half_made, 0, LARDER_E_FORMAT, {"never finished", "force"}},
    {"version 3", make_version_3, 0, LARDER_E_FORMAT, {"format version 3"}},
    {"half a segment", make_half, 0, LARDER_E_FORMAT, {"truncated"}},
};

Test(errors, destroying_what_must_not_be) {
    char dir[] = "/tmp/larder-test-XXXXXX", path[PATH_BYTES];
    cr_assert_not_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/seg", dir);
    for (size_t i = 0; i < COUNT(destroy_rows); i++) {
        const struct destroy_row *row = &destroy_rows[i];
        if (row->make)
            row->make(path);
        struct content before = content_of(path);
        int r = larder_destroy(path, row->force ? LARDER_FORCE : 0);
        cr_expect_eq(r, row->expected, "%s gives %s: %s", row->name, larder_result_name(r), larder_error());
        expect_words(row->name, row->words);
        struct content after = content_of(path);
        cr_expect(before.bytes == after.bytes && (!before.bytes || memcmp(before.data, after.data, before.bytes) == 0),
                  "%s: the file changed", row->name);
        free(before.data);
        free(after.data);
        (void)unlink(path);
        remove_lock_files(dir);
    }
    cr_assert_eq(rmdir(dir), 0);
}

/* ---- Permission ------------------------------------------------------------------------------------------------------------------ */

/* As somebody who owns nothing here. */
static int open_as_nobody(void *arg) {
    struct larder *db = NULL;
    const char *path = arg;
    const struct larder_options o = {.segment = path}, read_only = {.segment = path, .flags = LARDER_READ_ONLY};
    PROC_CHECK(geteuid() != 0 || (setgid(65534) == 0 && setuid(65534) == 0));
    PROC_CHECK(larder_open(&o, &db) == LARDER_E_ACCESS);
    PROC_CHECK(strstr(larder_error(), "no permission to read and write") && strstr(larder_error(), path));
    PROC_CHECK(larder_open(&read_only, &db) == LARDER_E_ACCESS);
    PROC_CHECK(strstr(larder_error(), "no permission to read"));
    PROC_CHECK(larder_destroy(path, LARDER_FORCE) == LARDER_E_ACCESS && db == NULL);
    return 0;
}

Test(errors, no_permission) {
    char dir[] = "/tmp/larder-test-XXXXXX", path[PATH_BYTES];
    cr_assert_not_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/seg", dir);
    make_segment(path);
    struct content before = content_of(path);
    for (int is_dir_open = 0; is_dir_open < 2; is_dir_open++) {
        cr_assert_eq(chmod(dir, is_dir_open ? 0755 : 0), 0);
        cr_assert(geteuid() == 0 || !is_dir_open || chmod(path, 0) == 0);
        struct proc_result r = proc_run(open_as_nobody, path, 20000);
        cr_assert(proc_is_exit(r, 0), "%s", proc_text(r));
    }
    cr_assert_eq(chmod(path, 0600), 0);
    struct content after = content_of(path);
    cr_assert(before.bytes == after.bytes && memcmp(before.data, after.data, before.bytes) == 0);
    free(before.data);
    free(after.data);
    EXPECT(larder_destroy(path, LARDER_FORCE), LARDER_OK);
    cr_assert_eq(rmdir(dir), 0);
}

/* ---- Pages -------------------------------------------------------------------------------------------------------------------------- */

/* A caller that does not look at the result must not take the last read's items for this one's. */
Test(errors, a_read_that_fails_leaves_its_page_empty) {
    struct world w;
    begin(&w);
    const struct larder_key good = {larder_str("p"), larder_str("s1")}, bad = {larder_num("1"), larder_str("s1")};
    const struct larder_query_spec wrong_key = {.partition = larder_num("1")},
                                   no_index = {.index = "none", .partition = larder_str("p")};
    const struct larder_scan_spec no_segment = {.segment = 3, .segment_count = 2};
#define MUST_EMPTY(call, expected)                                                                                     \
    do {                                                                                                               \
        EXPECT(larder_get(w.t, &good, w.page), LARDER_OK);                                                             \
        cr_assert_eq(larder_page_count(w.page), 1);                                                                    \
        EXPECT(call, expected);                                                                                        \
        cr_assert(larder_page_count(w.page) == 0 && !larder_page_item(w.page, 0), "%s leaves items", #call);           \
    } while (0)
    MUST_EMPTY(larder_get(w.t, &bad, w.page), LARDER_E_INVAL);
    MUST_EMPTY(larder_get(w.t, NULL, w.page), LARDER_E_INVAL);
    MUST_EMPTY(larder_get(w.dropped, &good, w.page), LARDER_E_NO_TABLE);
    MUST_EMPTY(larder_get_many(w.t, &bad, 1, w.page), LARDER_E_INVAL);
    MUST_EMPTY(larder_get_many(w.t, NULL, 1, w.page), LARDER_E_INVAL);
    MUST_EMPTY(larder_get_many(w.dropped, &good, 1, w.page), LARDER_E_NO_TABLE);
    MUST_EMPTY(larder_query(w.t, &wrong_key, w.page), LARDER_E_INVAL);
    MUST_EMPTY(larder_query(w.t, &no_index, w.page), LARDER_E_NO_INDEX);
    MUST_EMPTY(larder_query(w.t, NULL, w.page), LARDER_E_INVAL);
    MUST_EMPTY(larder_query(w.dropped, &(struct larder_query_spec){.partition = larder_str("p")}, w.page),
               LARDER_E_NO_TABLE);
    MUST_EMPTY(larder_scan(w.t, &no_segment, w.page), LARDER_E_INVAL);
    MUST_EMPTY(larder_scan(w.t, NULL, w.page), LARDER_E_INVAL);
    MUST_EMPTY(larder_scan(w.dropped, &(struct larder_scan_spec){0}, w.page), LARDER_E_NO_TABLE);
    end(&w);
}

/* ---- Messages ---------------------------------------------------------------------------------------------------------------------- */

Test(errors, every_result_has_a_name) {
    for (int r = LARDER_E_NO_SLOT; r <= LARDER_CHANGED; r++) {
        const char *name = larder_result_name(r);
        cr_assert_eq(strncmp(name, "LARDER_", 7), 0, "%d is %s", r, name);
        for (int other = LARDER_E_NO_SLOT; other < r; other++)
            cr_assert_str_neq(name, larder_result_name(other));
    }
    cr_assert_not_null(larder_result_name(12345));
    cr_assert_not_null(larder_result_name(-12345));
}

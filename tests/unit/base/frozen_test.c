/* tests/unit/base/frozen_test.c - a program that was built against the frozen larder.h, with a
 * library that has grown.
 *
 * Goal     Every structure that a caller allocates keeps its size: a newer library that uses all of
 *          its reserved room writes and reads no byte beyond the structure as the program knows it,
 *          and works as ever. The other way round, a program that gives a newer member to this
 *          library is refused, and named what it gave.
 * Method   This file is the program: it includes the copy of the header in tests/frozen/, and no
 *          other. The library lets itself be told to fill all reserved members of what it writes
 *          (core/base/reserved.h). Every structure ends at the end of a page, behind which nothing
 *          is mapped. tests/frozen/frozen_test.sh compares the headers themselves.
 */
#include "tests/frozen/larder-1.0.h"

#include <criterion/criterion.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/support/expect.h"
#include "tests/support/slow.h"

TestSuite(frozen, .timeout = 60 * SLOW_FACTOR);

extern int reserved_test_is_used;

/* So many bytes whose end is the end of what is mapped. */
static void *at_the_edge(size_t bytes) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE), mapped = (bytes + page - 1) / page * page;
    unsigned char *at = mmap(NULL, mapped + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq((void *)at, MAP_FAILED);
    cr_assert_eq(mprotect(at + mapped, page, PROT_NONE), 0);
    return at + mapped - bytes;
}

#define EDGE(type, ...) ((type *)memcpy(at_the_edge(sizeof(type)), &(const type){__VA_ARGS__}, sizeof(type)))
#define EDGE_ARRAY(type, count) ((type *)at_the_edge((count) * sizeof(type)))

struct fixture {
    struct larder *db;
    struct larder_table *t;
    struct larder_builder *b;
    struct larder_page *page;
};

static const char *const included[] = {"note"};

static void begin(struct fixture *f) {
    const struct larder_options *o = EDGE(struct larder_options, .flags = LARDER_CREATE | LARDER_MEMFD, .memfd = -1,
                                          .size_bytes = 8u << 20, .stripe_count = 4);
    const struct larder_index_def *index =
        EDGE(struct larder_index_def, .name = "by_kind", .partition = {"kind", LARDER_S}, .sort = {"n", LARDER_N},
             .projection = LARDER_PROJECT_INCLUDE, .included = included, .included_count = 1);
    const struct larder_table_def *def = EDGE(struct larder_table_def, .name = "table", .partition = {"id", LARDER_S},
                                              .indexes = index, .index_count = 1, .ttl_attribute = "expires");
    EXPECT(larder_open(o, &f->db), LARDER_OK);
    EXPECT(larder_table_create(f->db, def), LARDER_OK);
    EXPECT(larder_table_open(f->db, "table", &f->t), LARDER_OK);
    EXPECT(larder_builder_new(f->db, &f->b), LARDER_OK);
    EXPECT(larder_page_new(f->db, &f->page), LARDER_OK);
}

static void put(struct fixture *f, const char *id, int64_t n) {
    const struct larder_item *item;
    larder_builder_reset(f->b);
    larder_builder_add_s(f->b, "id", id);
    larder_builder_add_s(f->b, "kind", "k");
    larder_builder_add_int(f->b, "n", n);
    larder_builder_begin(f->b, "tags", LARDER_SS);
    larder_builder_add_s(f->b, NULL, "x");
    larder_builder_end(f->b);
    EXPECT(larder_builder_finish(f->b, &item), LARDER_OK);
    EXPECT(larder_put(f->t, item, NULL), LARDER_OK);
}

static void read_all(struct fixture *f) {
    const struct larder_key *key = EDGE(struct larder_key, .partition = larder_str("two"));
    const struct larder_query_spec *query =
        EDGE(struct larder_query_spec, .index = "by_kind", .partition = larder_str("k"), .sort_op = LARDER_SORT_GE,
             .sort_value = larder_num("2"), .is_descending = 1, .limit = 1);
    const struct larder_scan_spec *scan = EDGE(struct larder_scan_spec, .limit = 2);
    struct larder_value *value = EDGE_ARRAY(struct larder_value, 1);
    struct larder_iter *it = EDGE_ARRAY(struct larder_iter, 1);
    struct larder_member *member = EDGE_ARRAY(struct larder_member, 1);
    char *text = at_the_edge(LARDER_NUMBER_TEXT_MAX);
    int64_t n = 0;
    EXPECT(larder_get(f->t, key, f->page), LARDER_OK);
    EXPECT(larder_item_get(larder_page_item(f->page, 0), "n", value), LARDER_OK);
    EXPECT(larder_value_number(value, text), LARDER_OK);
    EXPECT(larder_value_int64(value, &n), LARDER_OK);
    cr_assert(n == 2 && strcmp(text, "2") == 0);
    unsigned members = 0;
    for (larder_iter_item(larder_page_item(f->page, 0), it); larder_iter_next(it, member) == LARDER_OK; members++)
        ;
    cr_assert_eq(members, 4);
    EXPECT(larder_query(f->t, query, f->page), LARDER_MORE);
    EXPECT(larder_scan(f->t, scan, f->page), LARDER_MORE);
    cr_assert_eq(larder_page_count(f->page), 2);
}

static int go_on(void *arg, uint64_t done, uint64_t total) {
    (void)arg;
    return done > total;
}

static void look_inside(struct fixture *f) {
    struct larder_segment_stats *segment = EDGE_ARRAY(struct larder_segment_stats, 1);
    struct larder_table_stats *table = EDGE_ARRAY(struct larder_table_stats, 1);
    struct larder_index_stats *indexes = EDGE_ARRAY(struct larder_index_stats, 2);
    struct larder_class_stats *classes = EDGE_ARRAY(struct larder_class_stats, 3);
    struct larder_slot_stats *slots = EDGE_ARRAY(struct larder_slot_stats, 1);
    struct larder_check_report *check = EDGE_ARRAY(struct larder_check_report, 1);
    struct larder_repair_report *repair = EDGE_ARRAY(struct larder_repair_report, 1);
    uint32_t count;
    EXPECT(larder_segment_stats(f->db, segment), LARDER_OK);
    cr_assert(segment->table_count == 1 && segment->counters.puts == 3 && segment->size_bytes == 8u << 20);
    EXPECT(larder_table_stats(f->t, table), LARDER_OK);
    cr_assert(table->item_count == 3 && table->index_count == 2);
    EXPECT(larder_index_stats(f->t, indexes, 2, &count), LARDER_OK);
    cr_assert(count == 2 && strcmp(indexes[1].name, "by_kind") == 0 && indexes[1].entries == 3);
    EXPECT(larder_class_stats(f->db, classes, 3, &count), LARDER_OK);
    cr_assert(count > 3 && classes[2].block_bytes > classes[1].block_bytes);
    EXPECT(larder_slot_stats(f->db, slots, 1, &count), LARDER_OK);
    cr_assert(count >= 1 && slots[0].pid == getpid());
    EXPECT(larder_check(f->db, EDGE(struct larder_check_options, .progress = go_on), check), LARDER_OK);
    cr_assert(check->items == 3 && check->errors == 0);
    EXPECT(larder_repair(f->db, EDGE(struct larder_repair_options, .note = NULL), repair), LARDER_OK);
    cr_assert_eq(repair->errors_found, 0);
    const uint64_t *rooms[] = {
        segment->reserved, segment->counters.reserved, table->reserved, indexes[1].reserved, classes[2].reserved,
        slots[0].reserved, slots[0].counters.reserved, check->reserved, repair->reserved};
    for (size_t i = 0; i < sizeof rooms / sizeof *rooms; i++)
        cr_assert_eq(rooms[i][0] != 0, reserved_test_is_used, "structure %zu", i);
}

/* The table as it is described is made again, with what a newer library may have put into its
 * definition. */
static void describe(struct fixture *f) {
    const struct larder_table_def *def;
    EXPECT(larder_table_describe(f->t, &def), LARDER_OK);
    struct larder_table_def *again = at_the_edge(sizeof *again);
    *again = *def;
    again->name = "again";
    EXPECT(larder_table_create(f->db, again), LARDER_OK);
    EXPECT(larder_table_drop(f->db, "again"), LARDER_OK);
}

Test(frozen, a_program_of_1_0) {
    for (reserved_test_is_used = 0; reserved_test_is_used < 2; reserved_test_is_used++) {
        struct fixture f;
        begin(&f);
        put(&f, "one", 1);
        put(&f, "two", 2);
        put(&f, "three", 3);
        read_all(&f);
        look_inside(&f);
        describe(&f);
        larder_close(f.db);
    }
}

/* ---- A newer program with this library ------------------------------------------------------- */

#define IS_REFUSED(call, structure)                                                                                    \
    do {                                                                                                               \
        EXPECT((call), LARDER_E_INVAL);                                                                                \
        cr_expect(strstr(larder_error(), structure ": reserved[") && strstr(larder_error(), "] is 0x13"), "%s",        \
                  larder_error());                                                                                     \
    } while (0)

Test(frozen, members_that_this_library_does_not_know_are_refused) {
    struct fixture f;
    struct larder *db;
    begin(&f);
    struct larder_options o = {.segment = "frozen-no-such-segment", .reserved = {[3] = 0x13}};
    IS_REFUSED(larder_open(&o, &db), "struct larder_options");
    struct larder_table_def def = {.name = "newer", .partition = {"id", LARDER_S}, .reserved = {[3] = 0x13}};
    IS_REFUSED(larder_table_create(f.db, &def), "struct larder_table_def");
    struct larder_index_def index = {.name = "newer", .partition = {"k", LARDER_S}, .reserved = {[3] = 0x13}};
    IS_REFUSED(larder_index_add(f.t, &index), "struct larder_index_def");
    struct larder_table_def with_index = {
        .name = "newer", .partition = {"id", LARDER_S}, .indexes = &index, .index_count = 1};
    IS_REFUSED(larder_table_create(f.db, &with_index), "struct larder_index_def");
    struct larder_query_spec query = {.partition = larder_str("one"), .reserved = {[1] = 0x13}};
    IS_REFUSED(larder_query(f.t, &query, f.page), "struct larder_query_spec");
    const struct larder_query_key more = {.reserved = {[3] = 0x13}};
    struct larder_query_spec several = {.partition = larder_str("one"), .more = &more};
    IS_REFUSED(larder_query(f.t, &several, f.page), "struct larder_query_key");
    struct larder_scan_spec scan = {.reserved = {[2] = 0x13}};
    IS_REFUSED(larder_scan(f.t, &scan, f.page), "struct larder_scan_spec");
    struct larder_check_options check = {.reserved = {[3] = 0x13}};
    IS_REFUSED(larder_check(f.db, &check, &(struct larder_check_report){0}), "struct larder_check_options");
    struct larder_repair_options repair = {.reserved = {[3] = 0x13}};
    IS_REFUSED(larder_repair(f.db, &repair, &(struct larder_repair_report){0}), "struct larder_repair_options");
    larder_close(f.db);
}

Test(frozen, version) {
    cr_assert_str_eq(larder_version(), LARDER_VERSION);
    cr_assert_eq(larder_version_number(), LARDER_VERSION_NUMBER);
}

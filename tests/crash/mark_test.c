/* tests/crash/mark_test.c - a stripe that says a transaction changes it, and none does: damage.
 *
 * Goal     Reads of such a stripe end, with an error; larder_check() finds it and larder_repair()
 *          mends it. In a partition stripe, which is never marked, the bit has no meaning.
 * Method   One bit of a sequence is flipped, or a record's offset stored.
 */
#include <criterion/criterion.h>

#include "core/table/db.h"
#include "larder.h"
#include "tests/support/expect.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"

#define STRIPES 2

TestSuite(mark, .timeout = 60 * SLOW_FACTOR);

struct fixture {
    struct larder *db;
    struct larder_table *t;
    struct larder_page *page;
};

static void begin(struct fixture *f) {
    const struct larder_index_def index = {.name = "all", .partition = {"kind", LARDER_S}, .sort = {"id", LARDER_S}};
    struct larder_builder *b;
    const struct larder_item *item;
    f->db = testseg_open(8u << 20, STRIPES);
    EXPECT(larder_table_create(f->db, &(struct larder_table_def){.name = "marked",
                                                                 .partition = {"id", LARDER_S},
                                                                 .indexes = &index,
                                                                 .index_count = 1}),
           LARDER_OK);
    EXPECT(larder_table_open(f->db, "marked", &f->t), LARDER_OK);
    EXPECT(larder_page_new(f->db, &f->page), LARDER_OK);
    EXPECT(larder_builder_new(f->db, &b), LARDER_OK);
    larder_builder_add_s(b, "id", "one");
    larder_builder_add_s(b, "kind", "k");
    EXPECT(larder_builder_finish(b, &item), LARDER_OK);
    EXPECT(larder_put(f->t, item, NULL), LARDER_OK);
}

/* All stripes at off: their marks, or records. */
static void damage(struct fixture *f, uint64_t off, uint64_t mark, uint64_t record_off) {
    struct stripe_shm *stripes = (struct stripe_shm *)(f->db->seg.base + off);
    for (int i = 0; i < STRIPES; i++) {
        SHM_STORE(&stripes[i].seq, SHM_LOAD(&stripes[i].seq) | mark);
        SHM_STORE(&stripes[i].record_off, record_off);
    }
}

static int get_one(struct fixture *f) {
    struct larder_key key = {.partition = larder_str("one")};
    return larder_get(f->t, &key, f->page);
}
static int query_all(struct fixture *f) {
    return larder_query(f->t, &(struct larder_query_spec){.index = "all", .partition = larder_str("k")}, f->page);
}
static int scan_all(struct fixture *f) {
    return larder_scan(f->t, &(struct larder_scan_spec){.limit = 0}, f->page);
}

static void must_be_mended(struct fixture *f) {
    struct larder_check_report found;
    struct larder_repair_report mended;
    EXPECT(larder_check(f->db, NULL, &found), LARDER_DAMAGED);
    EXPECT(larder_repair(f->db, NULL, &mended), LARDER_OK);
    cr_assert_eq(mended.items_kept, 1);
    EXPECT(larder_check(f->db, NULL, &found), LARDER_OK);
    EXPECT(get_one(f), LARDER_OK);
    EXPECT(query_all(f), LARDER_OK);
    EXPECT(scan_all(f), LARDER_OK);
    larder_close(f->db);
}

Test(mark, without_a_record) {
    struct fixture f;
    begin(&f);
    damage(&f, seg_table(&f.db->seg, 0)->items_off, SEQ_MARK, 0);
    EXPECT(get_one(&f), LARDER_E_CORRUPT);
    EXPECT(query_all(&f), LARDER_E_CORRUPT);
    EXPECT(scan_all(&f), LARDER_E_CORRUPT);
    must_be_mended(&f);
}

Test(mark, record_without_a_mark) {
    struct fixture f;
    begin(&f);
    damage(&f, seg_table(&f.db->seg, 0)->items_off, 0, 4096);
    EXPECT(get_one(&f), LARDER_OK);
    must_be_mended(&f);
}

Test(mark, of_a_partition_stripe) {
    struct fixture f;
    struct larder_check_report found;
    begin(&f);
    damage(&f, seg_table(&f.db->seg, 0)->partitions_off, SEQ_MARK, 0);
    EXPECT(get_one(&f), LARDER_OK);
    EXPECT(query_all(&f), LARDER_OK);
    cr_assert_eq(larder_page_count(f.page), 1);
    EXPECT(larder_check(f.db, NULL, &found), LARDER_OK);
    larder_close(f.db);
}

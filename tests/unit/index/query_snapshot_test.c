/* tests/unit/index/query_snapshot_test.c - writes that come in the middle of a page.
 *
 * Goal     A page is read again until all of it was there at one moment, whatever its length. An
 *          item that meanwhile moves from a place ahead of the reader to one behind it is in the
 *          page all the same. If there is a write in every try, the page says that it is not a
 *          snapshot, and no item is in it twice.
 * Method   query_test_between is called between the leaves of a page, and makes the write there: a
 *          schedule, not a race.
 */
#include <criterion/criterion.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "larder.h"
#include "tests/support/expect.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"

TestSuite(query_snapshot, .timeout = 50 * SLOW_FACTOR);

extern void (*query_test_between)(void);

#define MIB (UINT64_C(1) << 20)
#define ITEMS_MAX 3000
#define EVER UINT32_MAX

enum write { FORWARD, BACK, REWRITE, PUT_AND_DELETE };

static struct {
    struct larder *db;
    struct larder_table *t;
    struct larder_builder *b;
    struct larder_page *page;
    int items;
    enum write write;
    uint32_t writes_left; /* still to be made between leaves */
    uint32_t calls;       /* of between() since the last write */
    int mover, is_descending;
    int64_t score[ITEMS_MAX];
} w;

static void put(int i, int64_t score) {
    const struct larder_item *item;
    larder_builder_reset(w.b);
    larder_builder_add_int(w.b, "id", i);
    larder_builder_add_s(w.b, "game", "all");
    larder_builder_add_int(w.b, "score", score);
    EXPECT(larder_builder_finish(w.b, &item), LARDER_OK);
    EXPECT(larder_put(w.t, item, NULL), LARDER_OK);
    w.score[i] = score;
}

static void put_passing_by(void) {
    char id[16];
    snprintf(id, sizeof id, "%d", ITEMS_MAX + 1);
    struct larder_key key = {.partition = larder_num(id)};
    const struct larder_item *item;
    larder_builder_reset(w.b);
    larder_builder_add_int(w.b, "id", ITEMS_MAX + 1);
    larder_builder_add_s(w.b, "game", "another");
    larder_builder_add_int(w.b, "score", 1);
    EXPECT(larder_builder_finish(w.b, &item), LARDER_OK);
    EXPECT(larder_put(w.t, item, NULL), LARDER_OK);
    EXPECT(larder_delete(w.t, &key, NULL), LARDER_OK);
}

/* An item that stands far on one side goes to the other. */
static void between(void) {
    int is_ever =
        /* early in each try, and to the very end; else when half of the page has been read */
        w.writes_left == EVER;
    if (w.writes_left == 0 || ++w.calls < (is_ever ? 2 : 1 + (uint32_t)w.items / 120))
        return;
    w.calls = 0;
    w.writes_left -= !is_ever;
    /* somewhere on the other side */
    int last = w.items - 1, off = is_ever ? 0 : w.mover * 397 % (last * 4);
    switch (w.write) {
    case FORWARD:
        put(w.mover, w.score[w.mover] < last * 5 ? last * 10 + 1 - off : 1 + off);
        break;
    case BACK:
        put(last - w.mover, w.score[last - w.mover] > last * 5 ? 1 + off : last * 10 + 1 - off);
        break;
    case REWRITE:
        put(w.is_descending ? last - w.mover : w.mover, 10 * (w.is_descending ? last - w.mover : w.mover));
        break;
    case PUT_AND_DELETE:
        put_passing_by();
        break;
    }
    w.mover = (w.mover + 1) % 30;
}

static void begin(int items, enum write write) {
    static const struct larder_index_def ranking = {
        .name = "ranking", .partition = {"game", LARDER_S}, .sort = {"score", LARDER_N}};
    static const struct larder_table_def def = {
        .name = "table", .partition = {"id", LARDER_N}, .indexes = &ranking, .index_count = 1};
    w.db = testseg_open(32 * MIB, 4);
    w.items = items;
    w.write = write;
    EXPECT(larder_table_create(w.db, &def), LARDER_OK);
    EXPECT(larder_table_open(w.db, "table", &w.t), LARDER_OK);
    EXPECT(larder_builder_new(w.db, &w.b), LARDER_OK);
    EXPECT(larder_page_new(w.db, &w.page), LARDER_OK);
    for (int i = 0; i < items; i++)
        put(i, i * 10);
    query_test_between = between;
}

static void end(void) {
    query_test_between = NULL;
    larder_close(w.db);
}

/* Asks for the whole partition. Returns how many of the items the page has; none is there twice. */
static int ask(int is_descending, uint32_t writes) {
    static unsigned char has[ITEMS_MAX];
    struct larder_query_spec spec = {
        .index = "ranking", .partition = larder_str("all"), .is_descending = is_descending, .bytes_max = UINT32_MAX};
    int found = 0;
    w.writes_left = writes;
    w.calls = 0;
    w.is_descending = is_descending;
    EXPECT(larder_query(w.t, &spec, w.page), LARDER_OK);
    memset(has, 0, sizeof has);
    for (uint32_t i = 0; i < larder_page_count(w.page); i++) {
        struct larder_value value;
        int64_t id;
        EXPECT(larder_item_get(larder_page_item(w.page, i), "id", &value), LARDER_OK);
        EXPECT(larder_value_int64(&value, &id), LARDER_OK);
        cr_assert(!has[id]++, "item %lld is twice in a page", (long long)id);
        found++;
    }
    return found;
}

static void check(int items, enum write write) {
    begin(items, write);
    for (int is_descending = 0; is_descending < 2; is_descending++)
        for (uint32_t writes = 0; writes < 12; writes++) {
            int found = ask(is_descending, writes);
            cr_assert_eq(found, items, "%d of %d items, %u writes came between", found, items, writes);
            cr_assert(larder_page_is_snapshot(w.page), "%u writes came between", writes);
            cr_assert_eq(w.writes_left, 0, "%d items, write %d, descending %d: %u of %u writes were not made", items,
                         (int)write, is_descending, w.writes_left, writes);
        }
    end();
}

Test(query_snapshot, short_pages_are_read_again) {
    check(250, FORWARD);
    check(250, BACK);
}

Test(query_snapshot, long_pages_are_read_again) {
    check(400, FORWARD);
    check(ITEMS_MAX, FORWARD);
    check(ITEMS_MAX, BACK);
    check(ITEMS_MAX, REWRITE);
}

/* Writes elsewhere cost a long page nothing. */
Test(query_snapshot, other_partitions_do_not_matter) {
    begin(ITEMS_MAX, PUT_AND_DELETE);
    for (uint32_t writes = 0; writes < 5; writes++) {
        cr_assert_eq(ask(0, writes), ITEMS_MAX);
        cr_assert(larder_page_is_snapshot(w.page));
    }
    end();
}

Test(query_snapshot, writes_in_every_try_are_told) {
    const enum write ways[] = {FORWARD, BACK};
    for (int way = 0; way < 2; way++) {
        begin(ITEMS_MAX, ways[way]);
        for (int is_descending = 0; is_descending < 2; is_descending++) {
            ask(is_descending, EVER);
            cr_assert_not(larder_page_is_snapshot(w.page));
            cr_assert_eq(ask(is_descending, 0), ITEMS_MAX);
            cr_assert(larder_page_is_snapshot(w.page));
        }
        end();
    }
}

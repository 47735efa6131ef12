/* tests/api/batch_test.c - larder_batch_get(), larder_batch_write(): many items of several tables.
 *
 * Goal     Each key has its place, each write is done. Limits are the service's, with its messages.
 *          Whatever is wrong with one of them, nothing is read or written. What could not be done
 *          is told, so that it can be done later.
 * Source   API reference, BatchGetItem and BatchWriteItem; ScyllaDB's test/alternator/test_batch.py
 *          (duplicates, too many), which its authors run against the service.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "larder.h"
#include "tests/support/expect.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"

TestSuite(batch, .timeout = 60 * SLOW_FACTOR);

#define MANY (LARDER_BATCH_GET_MAX + 1)

struct fixture {
    struct larder *db;
    struct larder_table *shops, *jobs; /* with a sort key and an index; without */
    struct larder_builder *b;
    struct larder_page *page, *other;
    struct larder_item *items[LARDER_BATCH_WRITE_MAX + 1];
};

static const struct larder_index_def by_owner = {.name = "by-owner", .partition = {"owner", LARDER_S}};

static void begin(struct fixture *f) {
    const struct larder_table_def shops = {.name = "shops",
                                           .partition = {"id", LARDER_S},
                                           .sort = {"n", LARDER_N},
                                           .indexes = &by_owner,
                                           .index_count = 1},
                                  jobs = {.name = "jobs", .partition = {"id", LARDER_S}};
    *f = (struct fixture){.db = testseg_open(64u << 20, 4)};
    EXPECT(larder_table_create(f->db, &shops), LARDER_OK);
    EXPECT(larder_table_create(f->db, &jobs), LARDER_OK);
    EXPECT(larder_table_open(f->db, "shops", &f->shops), LARDER_OK);
    EXPECT(larder_table_open(f->db, "jobs", &f->jobs), LARDER_OK);
    EXPECT(larder_builder_new(f->db, &f->b), LARDER_OK);
    EXPECT(larder_page_new(f->db, &f->page), LARDER_OK);
    EXPECT(larder_page_new(f->db, &f->other), LARDER_OK);
}

static void end(struct fixture *f) {
    struct larder_check_report report;
    EXPECT(larder_check(f->db, NULL, &report), LARDER_OK);
    larder_close(f->db);
}

/* A shop, or with n < 0 a job. */
static struct larder_item *an_item(struct fixture *f, const char *id, int n, size_t bytes) {
    static char text[LARDER_ITEM_BYTES_MAX];
    const struct larder_item *item;
    struct larder_item *copy;
    memset(text, 'x', sizeof text);
    larder_builder_reset(f->b);
    larder_builder_add_s(f->b, "id", id);
    if (n >= 0)
        larder_builder_add_int(f->b, "n", n);
    larder_builder_add_sn(f->b, "text", text, bytes);
    EXPECT(larder_builder_finish(f->b, &item), LARDER_OK);
    EXPECT(larder_item_copy(f->db, item, &copy), LARDER_OK);
    return copy;
}

static struct larder_key shop(int n) {
    static const char *const texts[] = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11"};
    return (struct larder_key){larder_str("s"), larder_num(texts[n])};
}

static struct larder_action put_of(struct fixture *f, const char *id, int n) {
    return (struct larder_action){
        .kind = LARDER_ACTION_PUT, .table = n < 0 ? f->jobs : f->shops, .item = an_item(f, id, n, 10)};
}

static struct larder_action delete_of(struct larder_table *t, struct larder_key key) {
    return (struct larder_action){.kind = LARDER_ACTION_DELETE, .table = t, .key = key};
}

static uint64_t items_of(struct larder_table *t, struct larder_page *page) {
    const struct larder_scan_spec spec = {.select = LARDER_SELECT_COUNT, .bytes_max = UINT32_MAX};
    EXPECT(larder_scan(t, &spec, page), LARDER_OK);
    return larder_page_matched(page);
}

/* ---- What is done ---------------------------------------------------------------------------- */

Test(batch, writes_to_two_tables) {
    struct fixture f;
    uint32_t done = 77;
    begin(&f);
    struct larder_action actions[LARDER_BATCH_WRITE_MAX];
    for (int i = 0; i < LARDER_BATCH_WRITE_MAX; i++)
        actions[i] = put_of(&f, i < 12 ? "s" : (const char[2]){(char)('a' + i - 12), 0}, i < 12 ? i : -1);
    EXPECT(larder_batch_write(actions, LARDER_BATCH_WRITE_MAX, &done), LARDER_OK);
    cr_assert_eq(done, LARDER_BATCH_WRITE_MAX);
    cr_assert(items_of(f.shops, f.page) == 12 && items_of(f.jobs, f.page) == 13);
    actions[0] = delete_of(f.shops, shop(3));
    actions[1] = delete_of(f.jobs, (struct larder_key){.partition = larder_str("none")}); /* no error */
    actions[2] = put_of(&f, "z", -1);
    EXPECT(larder_batch_write(actions, 3, &done), LARDER_OK);
    cr_assert(items_of(f.shops, f.page) == 11 && items_of(f.jobs, f.page) == 14 && done == 3);
    end(&f);
}

Test(batch, gets_of_two_tables) {
    struct fixture f;
    struct larder_expr *id;
    begin(&f);
    EXPECT(larder_prepare(f.db, LARDER_EXPR_PROJECTION, "id", NULL, 0, &id), LARDER_OK);
    for (int i = 0; i < 12; i += 2)
        EXPECT(larder_put(f.shops, an_item(&f, "s", i, 10), NULL), LARDER_OK);
    EXPECT(larder_put(f.jobs, an_item(&f, "job", -1, 10), NULL), LARDER_OK);
    struct larder_key shops[] = {shop(4), shop(5), shop(0)},
                      jobs[] = {{.partition = larder_str("none")}, {.partition = larder_str("job")}};
    struct larder_batch_get gets[] = {{.table = f.shops, .keys = shops, .count = 3, .page = f.page},
                                      {.table = f.jobs, .keys = jobs, .count = 2, .page = f.other, .projection = id}};
    EXPECT(larder_batch_get(gets, 2), LARDER_OK);
    cr_assert(gets[0].done == 3 && gets[1].done == 2);
    cr_assert(larder_page_count(f.page) == 3 && larder_page_count(f.other) == 2);
    cr_assert(larder_page_item(f.page, 0) && !larder_page_item(f.page, 1) && larder_page_item(f.page, 2));
    cr_assert_eq(larder_item_count(larder_page_item(f.page, 0)), 3);
    cr_assert_null(larder_page_item(f.other, 0));
    cr_assert_eq(larder_item_count(larder_page_item(f.other, 1)), 1);
    end(&f);
}

/* API reference, BatchGetItem: "16 MB of data". */
Test(batch, gets_no_more_than_16_mb) {
    struct fixture f;
    struct larder_key keys[50];
    static char texts[50][8];
    begin(&f);
    for (int i = 0; i < 50; i++) {
        snprintf(texts[i], sizeof texts[i], "%d", i);
        keys[i] = (struct larder_key){.partition = larder_str(texts[i])};
        struct larder_item *item = an_item(&f, texts[i], -1, 400 * 1024 - 100);
        EXPECT(larder_put(f.jobs, item, NULL), LARDER_OK);
        larder_item_free(item);
    }
    struct larder_key first = shop(1);
    struct larder_batch_get gets[] = {{.table = f.jobs, .keys = keys, .count = 50, .page = f.page},
                                      {.table = f.shops, .keys = &first, .count = 1, .page = f.other}};
    EXPECT(larder_batch_get(gets, 2), LARDER_MORE);
    cr_assert(gets[0].done == 40 && larder_page_count(f.page) == 40, "%u", gets[0].done);
    cr_assert(gets[1].done == 0 && larder_page_count(f.other) == 0);
    gets[0].keys += gets[0].done;
    gets[0].count -= gets[0].done;
    EXPECT(larder_batch_get(gets, 2), LARDER_OK);
    cr_assert(gets[0].done == 10 && gets[1].done == 1);
    end(&f);
}

/* The segment is full after some: they are there, and the rest can be written later. */
Test(batch, tells_what_was_not_written) {
    struct fixture f;
    uint32_t done = 0;
    int r = LARDER_OK;
    begin(&f);
    struct larder_action actions[LARDER_BATCH_WRITE_MAX];
    char ids[LARDER_BATCH_WRITE_MAX][16];
    uint64_t before = 0;
    for (int round = 0; r == LARDER_OK; round++) {
        before = items_of(f.jobs, f.page);
        for (int i = 0; i < LARDER_BATCH_WRITE_MAX; i++) {
            snprintf(ids[i], sizeof ids[i], "%d-%d", round, i);
            actions[i] = (struct larder_action){
                .kind = LARDER_ACTION_PUT, .table = f.jobs, .item = an_item(&f, ids[i], -1, 300000)};
        }
        r = larder_batch_write(actions, LARDER_BATCH_WRITE_MAX, &done);
        for (int i = 0; i < LARDER_BATCH_WRITE_MAX; i++)
            larder_item_free((struct larder_item *)actions[i].item);
    }
    if (r == LARDER_E_FULL) /* at the first of a batch */
        done = 0;
    else
        cr_assert(r == LARDER_MORE && done > 0 && done < LARDER_BATCH_WRITE_MAX, "%d", r);
    cr_assert_not_null(strstr(larder_error(), "full"), "%s", larder_error());
    cr_assert_eq(items_of(f.jobs, f.page), before + done);
    end(&f);
}

/* ---- What is refused ------------------------------------------------------------------------- */

static void write_refused(struct fixture *f, const struct larder_action *actions, uint32_t count, const char *words) {
    uint32_t done = 77;
    EXPECT(larder_batch_write(actions, count, &done), LARDER_E_INVAL);
    cr_assert_not_null(strstr(larder_error(), words), "\"%s\" does not say \"%s\"", larder_error(), words);
    cr_assert_eq(done, 77);
    cr_assert(items_of(f->shops, f->page) == 0 && items_of(f->jobs, f->page) == 0, "nothing was written");
}

Test(batch, writes_that_are_refused) {
    struct fixture f;
    begin(&f);
    struct larder_action actions[LARDER_BATCH_WRITE_MAX + 1], fine = put_of(&f, "a", -1);
    for (int i = 0; i <= LARDER_BATCH_WRITE_MAX; i++)
        actions[i] = put_of(&f, (const char[2]){(char)('A' + i), 0}, -1);
    write_refused(&f, actions, LARDER_BATCH_WRITE_MAX + 1, "Too many items requested for the BatchWriteItem call");
    write_refused(&f, actions, 0, "there are no actions; 1 to 25");
    actions[5] = put_of(&f, "C", -1);
    write_refused(&f, actions, 6, "Provided list of item keys contains duplicates");
    actions[5] = delete_of(f.jobs, (struct larder_key){.partition = larder_str("C")});
    write_refused(&f, actions, 6, "Provided list of item keys contains duplicates");
    struct larder_action numbers[] = {fine, delete_of(f.shops, (struct larder_key){larder_str("s"), larder_num("1.0")}),
                                      delete_of(f.shops, shop(1))};
    write_refused(&f, numbers, 3, "Provided list of item keys contains duplicates");
    numbers[1].key.sort = larder_str("1");
    write_refused(&f, numbers, 2, "sort key \"n\" is of type S");
    actions[0] = fine;
    actions[1] = (struct larder_action){.kind = LARDER_ACTION_PUT, .table = f.shops, .item = fine.item};
    write_refused(&f, actions, 2, "the item has no attribute \"n\"");
    actions[1] = (struct larder_action){.kind = LARDER_ACTION_UPDATE, .table = f.jobs};
    write_refused(&f, actions, 2, "actions[1].kind is 2; PUT and DELETE are allowed");
    actions[1] = (struct larder_action){.kind = LARDER_ACTION_PUT, .table = f.jobs};
    write_refused(&f, actions, 2, "actions[1] has no table, or an item that is no PUT's");
    actions[1] = put_of(&f, "b", -1);
    actions[1].returns = LARDER_RETURNS_ALL_OLD;
    write_refused(&f, actions, 2, "a batch has none");
    actions[1].returns = LARDER_RETURNS_NONE;
    actions[1].reserved[3] = 1;
    write_refused(&f, actions, 2, "reserved[3]");
    const struct larder_item *item;
    larder_builder_reset(f.b);
    larder_builder_add_s(f.b, "id", "s");
    larder_builder_add_int(f.b, "n", 1);
    larder_builder_add_int(f.b, "owner", 1);
    EXPECT(larder_builder_finish(f.b, &item), LARDER_OK);
    actions[1] = (struct larder_action){.kind = LARDER_ACTION_PUT, .table = f.shops, .item = item};
    write_refused(&f, actions, 2, "\"owner\" is of type N");
    end(&f);
}

static void get_refused(struct larder_batch_get *gets, uint32_t count, const char *words) {
    EXPECT(larder_batch_get(gets, count), LARDER_E_INVAL);
    cr_assert_not_null(strstr(larder_error(), words), "\"%s\" does not say \"%s\"", larder_error(), words);
}

Test(batch, gets_that_are_refused) {
    struct fixture f;
    static char texts[MANY][8];
    struct larder_key keys[MANY];
    struct larder_expr *condition;
    begin(&f);
    for (int i = 0; i < MANY; i++) {
        snprintf(texts[i], sizeof texts[i], "%d", i);
        keys[i] = (struct larder_key){.partition = larder_str(texts[i])};
    }
    struct larder_key one = shop(1), twice[] = {shop(1), {larder_str("s"), larder_num("1.00")}};
    struct larder_batch_get gets[] = {{.table = f.jobs, .keys = keys, .count = MANY - 1, .page = f.page},
                                      {.table = f.shops, .keys = &one, .count = 1, .page = f.other}};
    EXPECT(larder_batch_get(gets, 1), LARDER_OK);
    get_refused(gets, 2, "Too many items requested for the BatchGetItem call");
    gets[0].count = 0;
    get_refused(gets, 1, "there are no keys; 1 to 100");
    get_refused(gets, 0, "there are no keys; 1 to 100");
    gets[1].keys = twice;
    gets[1].count = 2;
    get_refused(gets, 2, "Provided list of item keys contains duplicates");
    gets[1].keys = keys;
    get_refused(gets, 2, "sort key \"n\"");
    gets[1].table = f.jobs;
    get_refused(gets, 2, "gets[1] has the table or the page of gets[0]");
    gets[1] = (struct larder_batch_get){.table = f.shops, .count = 1, .page = f.other};
    get_refused(gets, 2, "gets[1] has no table, keys or page");
    gets[1].count = 0;
    gets[1].reserved[1] = 7;
    get_refused(gets, 2, "reserved[1]");
    EXPECT(larder_prepare(f.db, LARDER_EXPR_CONDITION, "attribute_exists(id)", NULL, 0, &condition), LARDER_OK);
    gets[1] =
        (struct larder_batch_get){.table = f.shops, .keys = &one, .count = 1, .page = f.other, .projection = condition};
    get_refused(gets, 2, "another kind of expression");
    end(&f);
}

/* larder.c - the tasks of examples/README.md ("Beside LMDB and SQLite"), with Larder. */
#include <larder.h>
#include <stdio.h>
#include <stdlib.h>

static void must(int result) {
    if (result < 0)
        exit((fprintf(stderr, "%s: %s\n", larder_result_name(result), larder_error()), 1));
}

static struct larder *db;
static struct larder_table *jobs;
static struct larder_builder *b;
static struct larder_page *page;

/* task: open */
static void open_all(const char *path) {
    const struct larder_options options = {.segment = path, .flags = LARDER_CREATE, .size_bytes = 64u << 20};
    const struct larder_index_def by_status = {
        .name = "ByStatus", .partition = {"ShopStatus", LARDER_S}, .sort = {"Created", LARDER_N}};
    const struct larder_table_def def = {.name = "Jobs",
                                         .partition = {"Shop", LARDER_S},
                                         .sort = {"Id", LARDER_S},
                                         .indexes = &by_status,
                                         .index_count = 1};
    must(larder_open(&options, &db));
    int made = larder_table_create(db, &def);
    must(made == LARDER_E_EXISTS ? LARDER_OK : made);
    must(larder_table_open(db, "Jobs", &jobs));
    must(larder_builder_new(db, &b));
    must(larder_page_new(db, &page));
}

/* task: put */
static void put_job(const char *shop, const char *id, const char *shop_status, int64_t created) {
    const struct larder_item *item;
    larder_builder_reset(b);
    larder_builder_add_s(b, "Shop", shop);
    larder_builder_add_s(b, "Id", id);
    larder_builder_add_s(b, "ShopStatus", shop_status);
    larder_builder_add_int(b, "Created", created);
    must(larder_builder_finish(b, &item));
    must(larder_put(jobs, item, NULL));
}

/* task: get */
static int64_t created_of(const char *shop, const char *id) {
    const struct larder_key key = {larder_str(shop), larder_str(id)};
    struct larder_value created;
    int64_t seconds = -1;
    int r = larder_get(jobs, &key, page);
    must(r);
    if (r == LARDER_OK && larder_item_get(larder_page_item(page, 0), "Created", &created) == LARDER_OK)
        must(larder_value_int64(&created, &seconds));
    return seconds;
}

/* task: newest of an index, page by page */
static void print_newest(const char *shop_status, uint32_t page_items) {
    struct larder_query_spec spec = {
        .index = "ByStatus", .partition = larder_str(shop_status), .is_descending = 1, .limit = page_items};
    struct larder_value id;
    int r;
    do {
        must(r = larder_query(jobs, &spec, page));
        for (uint32_t i = 0; i < larder_page_count(page); i++)
            if (larder_item_get(larder_page_item(page, i), "Id", &id) == LARDER_OK)
                printf("%.*s\n", (int)id.bytes, (const char *)id.data);
        spec.start_key = larder_page_resume(page);
    } while (r == LARDER_MORE);
}

/* task: a job changes its status, if it has not changed meanwhile */
static int set_status(const char *shop, const char *id, const char *shop_status) {
    const struct larder_key key = {larder_str(shop), larder_str(id)};
    const struct larder_item *item;
    int r = larder_get(jobs, &key, page);
    must(r);
    if (r == LARDER_NOT_FOUND)
        return 0;
    larder_builder_reset(b);
    larder_builder_add_all(b, larder_page_item(page, 0), (const char *[]){"ShopStatus"}, 1);
    larder_builder_add_s(b, "ShopStatus", shop_status);
    must(larder_builder_finish(b, &item));
    must(r = larder_put_if(jobs, item, larder_page_item(page, 0), NULL));
    return r == LARDER_OK;
}
/* end */

int main(int argc, char **argv) {
    open_all(argc > 1 ? argv[1] : "./compare.larder");
    put_job("one", "job1", "one#QUEUED", 1);
    put_job("one", "job2", "one#QUEUED", 2);
    put_job("one", "job3", "one#QUEUED", 3);
    printf("%lld %lld\n", (long long)created_of("one", "job2"), (long long)created_of("one", "none"));
    print_newest("one#QUEUED", 2);
    printf("%d %d\n", set_status("one", "job2", "one#DONE"), set_status("one", "none", "one#DONE"));
    print_newest("one#QUEUED", 2);
    larder_close(db);
    return 0;
}

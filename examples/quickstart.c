/* quickstart.c - the smallest program: a table of songs, shared with every process that opens the
 * same segment. */
#include <larder.h>
#include <stdio.h>
#include <stdlib.h>

static void must(int result) {
    if (result < 0)
        exit((fprintf(stderr, "%s: %s\n", larder_result_name(result), larder_error()), 1));
}

int main(void) {
    const struct larder_options options = {.segment = "quickstart", .flags = LARDER_CREATE, .size_bytes = 64u << 20};
    const struct larder_table_def songs = {
        .name = "Songs", .partition = {"Artist", LARDER_S}, .sort = {"Title", LARDER_S}, .ttl_attribute = "ExpiresAt"};
    struct larder *db;
    struct larder_table *table;
    struct larder_builder *b;
    struct larder_page *page;
    const struct larder_item *item;
    struct larder_value title;

    must(larder_open(&options, &db));
    int made = larder_table_create(db, &songs);
    /* on the second run, or after another process, it exists already */
    must(made == LARDER_E_EXISTS ? LARDER_OK : made);
    must(larder_table_open(db, "Songs", &table));
    must(larder_expirer_start(db)); /* a thread that frees the memory of expired items */
    must(larder_builder_new(db, &b));
    must(larder_page_new(db, &page));

    must(larder_builder_add_s(b, "Artist", "Nina Simone"));
    must(larder_builder_add_s(b, "Title", "Sinnerman"));
    must(larder_builder_add_int(b, "Seconds", 622));
    must(larder_builder_finish(b, &item)); /* would also return the first failure of the adds */
    must(larder_put(table, item, NULL));

    const struct larder_key key = {larder_str("Nina Simone"), larder_str("Sinnerman")};
    must(larder_get(table, &key, page));
    printf("found %u\n", larder_page_count(page));

    const struct larder_query_spec s_songs = {
        .partition = larder_str("Nina Simone"), .sort_op = LARDER_SORT_BEGINS_WITH, .sort_value = larder_str("S")};
    must(larder_query(table, &s_songs, page));
    for (uint32_t i = 0; i < larder_page_count(page); i++)
        if (larder_item_get(larder_page_item(page, i), "Title", &title) == LARDER_OK)
            printf("%.*s\n", (int)title.bytes, (const char *)title.data);
    /* the segment stays, for the next process: `larder destroy --segment quickstart` removes it */
    larder_close(db);
    return 0;
}

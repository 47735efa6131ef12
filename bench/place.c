/* bench/place.c - see place.h. Uses larder.h alone. */
#include "bench/place.h"
#include "bench/definition.h"
#include "bench/fail.h"
#include <string.h>

#define FRESH_BYTES 1024u /* of the payload that differ from item to item */

int64_t place_now_s = PLACE_START_S;

static int64_t clock_of_test(void *arg) {
    (void)arg;
    return place_now_s;
}

void place_must(int result, const char *what) {
    if (result < 0)
        fail("%s: %s: %s", what, larder_result_name(result), larder_error());
}

static void create_table(struct place *p) {
    struct larder_index_def index[INDEX_COUNT];
    definition_of_indexes(index);
    struct larder_table_def def = {.name = "special",
                                   .partition = {"PK", LARDER_S},
                                   .sort = {"SK", LARDER_S},
                                   .indexes = index,
                                   .index_count = (uint32_t)p->indexes,
                                   .ttl_attribute = "ExpiresAt"};
    place_must(larder_table_create(p->db, &def), "create");
}

void place_open(struct place *p, int memfd, uint64_t size_bytes) {
    struct larder_options o = {
        .flags = LARDER_MEMFD | (memfd < 0 ? LARDER_CREATE : 0), .memfd = memfd, .size_bytes = size_bytes};
    place_must(larder_open(&o, &p->db), "open");
    larder_set_clock(p->db, clock_of_test, NULL);
    if (memfd < 0)
        create_table(p);
    place_must(larder_table_open(p->db, "special", &p->table), "table");
    place_must(larder_builder_new(p->db, &p->builder), "builder");
    place_must(larder_page_new(p->db, &p->page), "page");
}

const struct larder_item *place_item(struct place *p, uint64_t n, size_t item_bytes, int64_t expires_s) {
    static _Thread_local char fill[PLACE_ITEM_BYTES_MAX];
    const struct larder_item *item = NULL;
    struct bench_key key;
    struct index_key ik;
    size_t have = 0;
    dataset_key(n, &key);
    dataset_payload(n, 0, fill, FRESH_BYTES);
    for (size_t bytes = 0; have < item_bytes; bytes += item_bytes - have) {
        larder_builder_reset(p->builder);
        larder_builder_add_sn(p->builder, "PK", key.pk, PK_BYTES);
        larder_builder_add_sn(p->builder, "SK", key.sk, SK_BYTES);
        if (expires_s)
            larder_builder_add_int(p->builder, "ExpiresAt", expires_s);
        for (int i = 0; i < p->indexes; i++) {
            dataset_index_key(n, i, 0, &ik);
            larder_builder_add_sn(p->builder, dataset_index_attributes[i][0], ik.partition, ik.partition_bytes);
            larder_builder_add_sn(p->builder, dataset_index_attributes[i][1], ik.sort, ik.sort_bytes);
        }
        larder_builder_add_sn(p->builder, "data", fill, bytes);
        place_must(larder_builder_finish(p->builder, &item), "item");
        have = larder_item_size(item);
    }
    return item;
}

struct larder_key place_key(const struct bench_key *k) {
    return (struct larder_key){{.type = LARDER_S, .data = k->pk, .bytes = PK_BYTES},
                               {.type = LARDER_S, .data = k->sk, .bytes = SK_BYTES}};
}

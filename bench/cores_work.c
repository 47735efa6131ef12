/* bench/cores_work.c - see cores_work.h. */
#include "bench/cores_work.h"
#include "bench/dataset.h"
#include "bench/definition.h"
#include "bench/fail.h"
#include "core/table/db.h"
#include "larder.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#define CORES COHERENCE_CORES_MAX
#define ITEM_BYTES 300u
#define PLAIN_ITEMS 20000u
#define INDEXED_ITEMS 10000u
#define START_S INT64_C(1800000000)
#define NEW_FROM 1000000u /* numbers of items that are not loaded */

enum table { PLAIN, INDEXED, TIMED, TABLES };
static const char *const table_names[TABLES] = {"plain", "indexed", "timed"};

static struct core {
    struct larder *db;
    struct larder_table *table[TABLES];
    struct larder_builder *builder;
    struct larder_page *page;
    const struct larder_item *item; /* to put, made before the call */
} core[CORES];
static int64_t now_s = START_S;

static void must(int result, const char *what) {
    if (result < 0)
        fail("cores: %s: %s: %s", what, larder_result_name(result), larder_error());
}

static int64_t clock_of_child(void *arg) {
    (void)arg;
    return now_s;
}

/* The library asks how many processors there are as it makes a segment. This one is made as on a
 * machine with as many as there are cores here. */
__attribute__((visibility("default"))) int get_nprocs(void) {
    return CORES;
}

/* ---- Items ----------------------------------------------------------------------------------- */

static struct larder_value text(const char *data, size_t bytes) {
    return (struct larder_value){.type = LARDER_S, .data = data, .bytes = bytes};
}

static struct larder_key key_of(const struct bench_key *k) {
    return (struct larder_key){text(k->pk, PK_BYTES), text(k->sk, SK_BYTES)};
}

static void add_index_keys(struct larder_builder *b, uint64_t n) {
    struct index_key k;
    for (int i = 0; i < INDEX_COUNT; i++) {
        dataset_index_key(n, i, 0, &k);
        larder_builder_add_sn(b, dataset_index_attributes[i][0], k.partition, k.partition_bytes);
        larder_builder_add_sn(b, dataset_index_attributes[i][1], k.sort, k.sort_bytes);
    }
}

/* Item n under this key, of ITEM_BYTES. */
static void make_item(struct core *c, enum table t, uint64_t n, const struct bench_key *key) {
    static char fill[ITEM_BYTES];
    size_t bytes = 0, have = 0;
    dataset_payload(n, (uint32_t)now_s, fill, sizeof fill);
    while (have < ITEM_BYTES) {
        bytes += have ? ITEM_BYTES - have : 0;
        larder_builder_reset(c->builder);
        larder_builder_add_sn(c->builder, "PK", key->pk, PK_BYTES);
        larder_builder_add_sn(c->builder, "SK", key->sk, SK_BYTES);
        larder_builder_add_int(c->builder, "n", 0);
        if (t == INDEXED)
            add_index_keys(c->builder, n);
        if (t == TIMED)
            larder_builder_add_int(c->builder, "ExpiresAt", now_s + 1 + (int64_t)(dataset_mix(n) % 60));
        larder_builder_add_sn(c->builder, "data", fill, bytes);
        must(larder_builder_finish(c->builder, &c->item), "item");
        have = larder_item_size(c->item);
    }
}

static void make_usual(struct core *c, enum table t, uint64_t n) {
    struct bench_key key;
    dataset_key(n, &key);
    make_item(c, t, n, &key);
}

/* ---- Calls ----------------------------------------------------------------------------------- */

static void put(struct core *c, enum table t) {
    must(larder_put(c->table[t], c->item, NULL), "put");
}

static void get(struct core *c, uint64_t n) {
    struct bench_key key;
    dataset_key(n, &key);
    struct larder_key k = key_of(&key);
    if (larder_get(c->table[PLAIN], &k, c->page) != LARDER_OK)
        fail("cores: item %llu was not found", (unsigned long long)n);
}

static void query(struct core *c, uint64_t n) {
    struct bench_key key;
    dataset_key(n / PARTITION_ITEMS * PARTITION_ITEMS + n % (PARTITION_ITEMS - QUERY_LIMIT), &key);
    struct larder_query_spec q = {.partition = text(key.pk, PK_BYTES),
                                  .sort_op = LARDER_SORT_GE,
                                  .sort_value = text(key.sk, SK_BYTES),
                                  .limit = QUERY_LIMIT};
    must(larder_query(c->table[PLAIN], &q, c->page), "query");
    if (larder_page_count(c->page) != QUERY_LIMIT)
        fail("cores: a query found %u items", larder_page_count(c->page));
}

static void count(struct core *c, uint64_t n) {
    struct bench_key key;
    int64_t value;
    dataset_key(n, &key);
    struct larder_key k = key_of(&key);
    must(larder_increment(c->table[PLAIN], &k, "n", 1, &value), "increment");
}

/* ---- Scenes ---------------------------------------------------------------------------------- */

const struct cores_scene cores_scenes[] = {
    {"get", "gets of random keys", 13, 13},
    {"get-hot", "gets of one key", 13, 13},
    {"query", "20 items from a random place", 5, 5},
    {"put", "overwrites of random keys, no index", 11, 11},
    {"put-hot", "overwrites in one partition of 100", 11, 11},
    {"insert", "new items, four indexes", 4, 4},
    {"insert-hot", "new items of one partition, no index", 7, 7},
    {"count", "ADD to counters of random keys", 9, 9},
    {"count-hot", "ADD to one counter", 9, 9},
    {"timed", "new items with a TTL; one core expires", 7, 7},
    {"one-writer", "one core overwrites random keys, 63 get random keys", 25, 9},
    {"one-writer-hot", "one core overwrites a partition of 100, 63 get its items", 25, 9},
    {"one-writer-query", "the same, 63 query it, 20 items", 5, 17},
};
const unsigned cores_scene_count = sizeof cores_scenes / sizeof *cores_scenes;
enum scene {
    GET,
    GET_HOT,
    QUERY,
    PUT,
    PUT_HOT,
    INSERT,
    INSERT_HOT,
    COUNT,
    COUNT_HOT,
    TIMED_PUT,
    ONE,
    ONE_HOT,
    ONE_QUERY
};

#define HOT_FROM 700u /* the first item of the hot partition */

static uint64_t draw(enum scene s, unsigned i, unsigned call) {
    return dataset_mix((uint64_t)s << 40 | (uint64_t)i << 20 | call);
}

static int is_writer(enum scene s, unsigned i) {
    return s == PUT || s == PUT_HOT || s == INSERT || s == INSERT_HOT || (s == TIMED_PUT && i != 0) ||
           ((s == ONE || s == ONE_HOT || s == ONE_QUERY) && i == 0);
}

static uint64_t item_of(enum scene s, unsigned i, unsigned call) {
    uint64_t r = draw(s, i, call), new = NEW_FROM + ((uint64_t)s << 20) + dataset_mix(r) % 1000 * PARTITION_ITEMS;
    switch (s) {
    case GET_HOT:
    case COUNT_HOT:
        return 5;
    case PUT_HOT:
    case ONE_HOT:
    case ONE_QUERY:
        return HOT_FROM + r % PARTITION_ITEMS;
    case INSERT:
    case TIMED_PUT: /* of partitions of 100 that grow; no two the same */
        return new + (i * 64 + call) % PARTITION_ITEMS + ((uint64_t)i * 64 + call) * 100000;
    default:
        return r % PLAIN_ITEMS;
    }
}

/* Outside the marks. */
static void prepare(enum scene s, unsigned i, unsigned call) {
    struct core *c = &core[i];
    uint64_t n = item_of(s, i, call);
    if (s == INSERT_HOT) {
        struct bench_key key, other;
        dataset_key(HOT_FROM, &key);
        dataset_key(NEW_FROM + dataset_mix(draw(s, i, call)) % 100000000, &other);
        memcpy(key.sk, other.pk, PK_BYTES); /* a sort key that no item has */
        make_item(c, PLAIN, n, &key);
    } else if (is_writer(s, i))
        make_usual(c, s == INSERT ? INDEXED : s == TIMED_PUT ? TIMED : PLAIN, n);
    if (s == TIMED_PUT && i == 0)
        now_s++;
}

static void call(enum scene s, unsigned i, unsigned number) {
    struct core *c = &core[i];
    uint64_t n = item_of(s, i, number), removed;
    if (is_writer(s, i))
        put(c, s == INSERT ? INDEXED : s == TIMED_PUT ? TIMED : PLAIN);
    else if (s == QUERY || s == ONE_QUERY)
        query(c, n);
    else if (s == COUNT || s == COUNT_HOT)
        count(c, n);
    else if (s == TIMED_PUT)
        must(larder_expire(c->db, 64, &removed), "expire");
    else
        get(c, n);
}

/* ---- The segment ----------------------------------------------------------------------------- */

static void create_table(struct larder *db, enum table t) {
    struct larder_index_def index[INDEX_COUNT];
    definition_of_indexes(index);
    struct larder_table_def def = {.name = table_names[t],
                                   .partition = {"PK", LARDER_S},
                                   .sort = {"SK", LARDER_S},
                                   .indexes = index,
                                   .index_count = t == INDEXED ? INDEX_COUNT : 0,
                                   .ttl_attribute = t == TIMED ? "ExpiresAt" : NULL};
    must(larder_table_create(db, &def), "create table");
}

static void attach(struct core *c, int memfd) {
    struct larder_options o = {
        .flags = LARDER_MEMFD | (memfd < 0 ? LARDER_CREATE : 0), .memfd = memfd, .size_bytes = CORES_SEGMENT_BYTES};
    must(larder_open(&o, &c->db), "open");
    larder_set_clock(c->db, clock_of_child, NULL);
    for (enum table t = 0; memfd < 0 && t < TABLES; t++)
        create_table(c->db, t);
    for (enum table t = 0; t < TABLES; t++)
        must(larder_table_open(c->db, table_names[t], &c->table[t]), "table");
    must(larder_builder_new(c->db, &c->builder), "builder");
    must(larder_page_new(c->db, &c->page), "page");
}

/* All cores in turn: blocks lie in all arenas of the heap, as after a while of work. */
static void load(enum table t, uint64_t items) {
    for (uint64_t n = 0; n < items; n++) {
        struct core *c = &core[n % CORES];
        make_usual(c, t, n);
        put(c, t);
    }
}

int cores_load(uint32_t class_bytes[CLASS_COUNT]) {
    struct larder_class_stats stats[CLASS_COUNT];
    uint32_t classes;
    attach(&core[0], -1);
    for (unsigned i = 1; i < CORES; i++)
        attach(&core[i], larder_memfd(core[0].db));
    load(PLAIN, PLAIN_ITEMS);
    load(INDEXED, INDEXED_ITEMS);
    must(larder_class_stats(core[0].db, stats, CLASS_COUNT, &classes), "classes");
    for (uint32_t i = 0; i < CLASS_COUNT; i++)
        class_bytes[i] = stats[i].block_bytes;
    int memfd = dup(larder_memfd(core[0].db)); /* without FD_CLOEXEC */
    for (unsigned i = 0; i < CORES; i++)
        larder_close(core[i].db);
    return memfd;
}

/* ---- The child ------------------------------------------------------------------------------- */

static void mark(uint32_t off) {
    *(volatile uint64_t *)(uintptr_t)(CORES_MARKS + off) = 1;
}

static void wait_for_parent(int to_parent, int from_parent) {
    char go;
    if (write(to_parent, "", 1) != 1 || read(from_parent, &go, 1) != 1)
        exit(1);
}

static void run_call(enum scene s, unsigned i, unsigned number) {
    prepare(s, i, number);
    mark(CORES_MARK_CALL_BEGINS + 8 * i);
    call(s, i, number);
    mark(CORES_MARK_CALL_ENDS + 8 * i);
}

static void run_scene(enum scene s, int to_parent, int from_parent) {
    wait_for_parent(to_parent, from_parent);
    const struct cores_scene *scene = &cores_scenes[s];
    for (unsigned k = 0; k < scene->calls || k < scene->first_calls; k++)
        for (unsigned i = 0; i < CORES; i++)
            if (k < (i ? scene->calls : scene->first_calls))
                run_call(s, i, k);
    wait_for_parent(to_parent, from_parent);
}

int cores_work(int memfd, int to_parent, int from_parent, uint64_t wanted) {
    struct cores_bases bases = {.bytes = CORES_SEGMENT_BYTES};
    void *page = mmap((void *)(uintptr_t)CORES_MARKS, CORES_MARKS_BYTES, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (page != (void *)(uintptr_t)CORES_MARKS)
        fail("cores: there is no room for the page of marks");
    for (unsigned i = 0; i < CORES; i++) {
        attach(&core[i], memfd);
        bases.base[i] = (uint64_t)(uintptr_t)core[i].db->seg.base;
    }
    if (write(to_parent, &bases, sizeof bases) != sizeof bases)
        fail("cores: the parent does not listen");
    for (unsigned s = 0; s < cores_scene_count; s++)
        if (wanted >> s & 1)
            run_scene((enum scene)s, to_parent, from_parent);
    for (unsigned i = 0; i < CORES; i++)
        larder_close(core[i].db);
    return 0;
}

/* tests/api/stack_test.c - how much stack the usual calls take.
 *
 * Goal     What larder.h says under "Stack": threads of pools have small stacks.
 * Method   Each call runs in a thread of its own whose stack was painted before; what is no longer
 *          painted was used. Each is made in its worst form: the longest keys, full leaves that are
 *          split, projections, items of many attributes. The thread itself, with its first call, is
 *          counted, too.
 * Not here Builds with sanitizers, which have other frames. larder_check(), larder_repair(), and
 *          recovery after a death.
 */
#include <criterion/criterion.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "larder.h"
#include "tests/support/expect.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"

TestSuite(stack, .timeout = 100 * SLOW_FACTOR);

#define MIB (UINT64_C(1) << 20)
#define PAINT 0xa5
#define STACK_BYTES_MAX ((size_t)16 << 10) /* larder.h, "Stack" */
#define ITEMS 400

static struct world {
    struct larder *db;
    struct larder_table *t;
    struct larder_builder *b;
    struct larder_page *page, *more;
    char long_key[LARDER_SORT_KEY_BYTES_MAX + 1];
    int result;
} w;

static void put_numbered(int n, const char *prefix) {
    const struct larder_item *item;
    char text[LARDER_SORT_KEY_BYTES_MAX + 1];
    larder_builder_reset(w.b);
    larder_builder_add_s(w.b, "pk", "p");
    memcpy(text, w.long_key, sizeof text); /* keys that differ at their end */
    snprintf(text + sizeof text - 8, 8, "%07d", n);
    larder_builder_add_s(w.b, "sk", text);
    larder_builder_add_s(w.b, "g", "all");
    snprintf(text, sizeof text, "%s%07d", prefix, n);
    larder_builder_add_s(w.b, "gs", text);
    larder_builder_add_int(w.b, "n", n);
    w.result = larder_builder_finish(w.b, &item);
    if (w.result == LARDER_OK)
        w.result = larder_put(w.t, item, w.more);
}

static void begin(void) {
    static const char *const included[] = {"n"};
    static const struct larder_index_def indexes[] = {
        {.name = "by_g", .partition = {"g", LARDER_S}, .sort = {"gs", LARDER_S}},
        {.name = "some",
         .partition = {"g", LARDER_S},
         .sort = {"n", LARDER_N},
         .projection = LARDER_PROJECT_INCLUDE,
         .included = included,
         .included_count = 1}};
    static const struct larder_table_def def = {
        .name = "table", .partition = {"pk", LARDER_S}, .sort = {"sk", LARDER_S}, .indexes = indexes, .index_count = 2};
    w.db = testseg_open(64 * MIB, 2);
    memset(w.long_key, 'k', LARDER_SORT_KEY_BYTES_MAX);
    EXPECT(larder_table_create(w.db, &def), LARDER_OK);
    EXPECT(larder_table_open(w.db, "table", &w.t), LARDER_OK);
    EXPECT(larder_builder_new(w.db, &w.b), LARDER_OK);
    EXPECT(larder_page_new(w.db, &w.page), LARDER_OK);
    EXPECT(larder_page_new(w.db, &w.more), LARDER_OK);
    for (int n = 0; n < ITEMS; n++) {
        put_numbered(n * 3, "");
        EXPECT(w.result, LARDER_OK);
    }
}

static struct larder_key key_of(int n) {
    static char text[LARDER_SORT_KEY_BYTES_MAX + 1];
    memcpy(text, w.long_key, sizeof text);
    snprintf(text + sizeof text - 8, 8, "%07d", n);
    return (struct larder_key){.partition = larder_str("p"), .sort = larder_str(text)};
}

/* ---- The calls ------------------------------------------------------------------------------- */

static void call_get(void) {
    struct larder_key key = key_of(3);
    w.result = larder_get(w.t, &key, w.page);
}

static void call_get_many(void) {
    struct larder_key keys[4] = {key_of(3), key_of(3), key_of(3), key_of(3)};
    w.result = larder_get_many(w.t, keys, 4, w.page);
}

/* New items between all others: leaves are split, bucket arrays grow. */
static void call_put_new(void) {
    for (int n = 0; n < ITEMS && w.result == LARDER_OK; n++)
        put_numbered(n * 3 + 1, "");
}

/* All items move in an index, to keys that have another prefix. */
static void call_put_moving(void) {
    for (int n = 0; n < ITEMS && w.result == LARDER_OK; n++)
        put_numbered(n * 3, w.long_key + 100);
}

static void call_put_if(void) {
    struct larder_key key = key_of(3);
    w.result = larder_get(w.t, &key, w.page);
    if (w.result == LARDER_OK)
        w.result = larder_put_if(w.t, larder_page_item(w.page, 0), larder_page_item(w.page, 0), w.more);
}

static void call_increment(void) {
    struct larder_key key = key_of(3);
    w.result = larder_increment(w.t, &key, "n", 1, NULL);
    if (w.result == LARDER_OK)
        w.result = larder_increment(w.t, &key, "fresh", 1, NULL);
    key = key_of(4000000);
    if (w.result == LARDER_OK)
        w.result = larder_increment(w.t, &key, "fresh", 1, NULL);
}

static void call_delete(void) {
    for (int n = 0; n < ITEMS && w.result >= 0; n++) {
        struct larder_key key = key_of(n * 3 + 1);
        w.result = larder_delete(w.t, &key, w.more);
    }
}

static void query(const char *index, int is_descending) {
    struct larder_query_spec spec = {
        .index = index, .partition = larder_str(index ? "all" : "p"), .is_descending = is_descending, .limit = 150};
    do {
        w.result = larder_query(w.t, &spec, w.page);
        spec.start_key = larder_page_resume(w.page);
    } while (w.result == LARDER_MORE);
}

static void call_query(void) {
    for (int is_descending = 0; is_descending < 2 && w.result == LARDER_OK; is_descending++) {
        query(NULL, is_descending);
        if (w.result == LARDER_OK)
            query("by_g", is_descending);
    }
}

static void call_query_projected(void) {
    query("some", 0);
}

static void call_scan(void) {
    struct larder_scan_spec spec = {.limit = 150};
    do {
        w.result = larder_scan(w.t, &spec, w.page);
        spec.start_key = larder_page_resume(w.page);
    } while (w.result == LARDER_MORE);
}

static void call_build(void) {
    const struct larder_item *item;
    char name[16];
    larder_builder_reset(w.b);
    for (int i = 0; i < 300; i++) {
        snprintf(name, sizeof name, "a%d", i * 7919 % 300);
        larder_builder_add_int(w.b, name, i);
    }
    larder_builder_begin(w.b, "nested", LARDER_L);
    for (int i = 0; i < 29; i++)
        larder_builder_begin(w.b, NULL, LARDER_L);
    larder_builder_begin(w.b, NULL, LARDER_NS);
    for (int i = 0; i < 100; i++)
        larder_builder_add_int(w.b, NULL, i * 7919 % 100);
    for (int i = 0; i < 31; i++)
        larder_builder_end(w.b);
    w.result = larder_builder_finish(w.b, &item);
}

static void call_add_all(void) {
    const struct larder_item *item;
    const char *but[] = {"n"};
    struct larder_key key = key_of(3);
    w.result = larder_get(w.t, &key, w.page);
    if (w.result != LARDER_OK)
        return;
    larder_builder_reset(w.b);
    larder_builder_add_all(w.b, larder_page_item(w.page, 0), but, 1);
    w.result = larder_builder_finish(w.b, &item);
}

static void call_tables(void) {
    struct larder_table *t;
    const struct larder_table_def *found;
    const char *names[4];
    uint32_t count;
    w.result = larder_table_open(w.db, "table", &t);
    if (w.result == LARDER_OK)
        w.result = larder_table_describe(t, &found);
    if (w.result == LARDER_OK)
        w.result = larder_table_list(w.db, names, 4, &count);
}

static void call_table_create(void) {
    static const struct larder_table_def def = {.name = "another", .partition = {"id", LARDER_S}};
    w.result = larder_table_create(w.db, &def);
}

static void call_table_drop(void) {
    w.result = larder_table_drop(w.db, "another");
}

static void call_stats(void) {
    static struct larder_table_stats table;
    static struct larder_segment_stats segment;
    static struct larder_class_stats classes[64];
    static struct larder_slot_stats slots[64];
    uint32_t count;
    w.result = larder_table_stats(w.t, &table);
    if (w.result == LARDER_OK)
        w.result = larder_segment_stats(w.db, &segment);
    if (w.result == LARDER_OK)
        w.result = larder_class_stats(w.db, classes, 64, &count);
    if (w.result == LARDER_OK)
        w.result = larder_slot_stats(w.db, slots, 64, &count);
}

static void call_expire(void) {
    w.result = larder_expire(w.db, 0, NULL);
}

static void call_ttl_set(void) {
    w.result = larder_ttl_set(w.t, "n2");
}

static void call_nothing(void) {}

static const struct {
    const char *name;
    void (*run)(void);
} calls[] = {
    {"get", call_get},
    {"get_many", call_get_many},
    {"put, new items", call_put_new},
    {"put, moving in an index", call_put_moving},
    {"put_if", call_put_if},
    {"increment", call_increment},
    {"query", call_query},
    {"query, projected", call_query_projected},
    {"scan", call_scan},
    {"delete", call_delete},
    {"builder", call_build},
    {"add_all", call_add_all},
    {"table_open, describe, list", call_tables},
    {"table_create", call_table_create},
    {"table_drop", call_table_drop},
    {"stats", call_stats},
    {"expire", call_expire},
    {"ttl_set", call_ttl_set},
};

/* ---- Measuring ------------------------------------------------------------------------------- */

static void *run_call(void *arg) {
    ((void (*)(void))arg)();
    return NULL;
}

/* Bytes of stack that a thread uses which makes this call. */
static size_t stack_of(void (*call)(void)) {
    size_t bytes = (size_t)sysconf(_SC_THREAD_STACK_MIN) + 2 * STACK_BYTES_MAX, untouched = 0;
    bytes = (bytes + 4095) & ~(size_t)4095;
    unsigned char *stack = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    pthread_attr_t attr;
    pthread_t thread;
    union {
        void (*call)(void);
        void *pointer;
    } how = {.call = call};
    cr_assert_neq(stack, MAP_FAILED);
    memset(stack, PAINT, bytes);
    pthread_attr_init(&attr);
    cr_assert_eq(pthread_attr_setstack(&attr, stack, bytes), 0);
    cr_assert_eq(pthread_create(&thread, &attr, run_call, how.pointer), 0);
    pthread_join(thread, NULL);
    pthread_attr_destroy(&attr);
    while (untouched < bytes && stack[untouched] == PAINT)
        untouched++;
    munmap(stack, bytes);
    return bytes - untouched;
}

Test(stack, usual_calls_take_little) {
    if (SLOW_FACTOR > 1)
        return;
    begin();
    stack_of(call_nothing); /* what is loaded once by a process's first thread */
    size_t thread = stack_of(call_nothing);
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        w.result = LARDER_OK;
        size_t bytes = stack_of(calls[i].run) - thread;
        cr_expect_geq(w.result, 0, "%s: %s: %s", calls[i].name, larder_result_name(w.result), larder_error());
        cr_expect_leq(bytes, STACK_BYTES_MAX, "%s takes %zu bytes of stack", calls[i].name, bytes);
        fprintf(stderr, "%-28s %6zu\n", calls[i].name, bytes);
    }
    larder_close(w.db);
}

/* tests/embed/stack.c - how much of the caller's stack a call takes: stack LIBRARY SEGMENT.
 *
 * Method   Each call runs in a thread whose stack was painted before; what is no longer painted was
 *          used. The calls that every program makes must stay within CALL_BYTES_MAX. With
 *          STACK_SHOW set, the others are printed.
 */
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "use.h"

#define STACK_BYTES (256u << 10)
#define CALL_BYTES_MAX 16384u
#define PAINT 0xa5
#define ITEMS 2000 /* enough for leaves that split, and arrays that grow */

static struct use u;
static const char *segment;
static struct larder *db;
static struct larder_table *t;
static struct larder_page *page;
static struct larder_builder *b;
static int result;

static struct larder_key key_of(int i, char text[16]) {
    const struct larder_value partition = USE_TEXT("partition");
    snprintf(text, 16, "%08d", i * 7919 % ITEMS);
    return (struct larder_key){.partition = partition, .sort = {.type = LARDER_S, .data = text, .bytes = strlen(text)}};
}

static void run_nothing(void) {}

static void run_open(void) {
    const struct larder_options options = {.segment = segment, .flags = LARDER_CREATE, .size_bytes = 8u << 20};
    const struct larder_index_def index = {.name = "index", .partition = {"PK", LARDER_S}, .sort = {"at", LARDER_S}};
    const struct larder_table_def def = {.name = "stack",
                                         .partition = {"PK", LARDER_S},
                                         .sort = {"SK", LARDER_S},
                                         .indexes = &index,
                                         .index_count = 1,
                                         .ttl_attribute = "ttl"};
    result = u.larder_open(&options, &db) || u.larder_table_create(db, &def) || u.larder_table_open(db, "stack", &t) ||
             u.larder_page_new(db, &page) || u.larder_builder_new(db, &b);
}

static void run_put(void) {
    char text[16];
    const struct larder_item *item;
    const struct larder_value ttl = {.type = LARDER_N, .data = "4000000000", .bytes = 10};
    for (int i = 0; i < ITEMS && result >= 0; i++) {
        struct larder_key key = key_of(i, text);
        u.larder_builder_reset(b);
        result = u.larder_builder_add(b, "PK", &key.partition) || u.larder_builder_add(b, "SK", &key.sort) ||
                 u.larder_builder_add(b, "at", &key.sort) || u.larder_builder_add(b, "ttl", &ttl) ||
                 u.larder_builder_finish(b, &item) || u.larder_put(t, item, page) < 0;
        if (result)
            return;
    }
}

static void run_get(void) {
    char text[16];
    struct larder_key key = key_of(1, text);
    result = u.larder_get(t, &key, page);
}

static void run_increment(void) {
    char text[16];
    int64_t sum;
    for (int i = 0; i < ITEMS && result == LARDER_OK; i++) {
        struct larder_key key = key_of(i, text);
        key.partition.bytes -= (size_t)(i % 2); /* existing items, and new ones */
        result = u.larder_increment(t, &key, "n", 1, &sum);
    }
}

static void run_delete(void) {
    char text[16];
    for (int i = 0; i < ITEMS && result == LARDER_OK; i++) {
        struct larder_key key = key_of(i, text);
        result = u.larder_delete(t, &key, page);
    }
}

static void run_failure(void) {
    result = u.larder_get(t, NULL, page) != LARDER_E_INVAL;
}

static void run_query(void) {
    const struct larder_value partition = USE_TEXT("partition");
    const struct larder_query_spec spec = {.partition = partition, .limit = 100};
    result = u.larder_query(t, &spec, page) < 0;
}

static void run_close(void) {
    u.larder_close(db);
}

struct call {
    const char *name;
    void (*run)(void);
    int is_bounded;
};

static void *call_in_thread(void *arg) {
    const struct call *c = arg;
    c->run();
    return NULL;
}

static size_t depth_of(const struct call *c, unsigned char *stack) {
    pthread_attr_t attributes;
    pthread_t thread;
    size_t unused = 0;
    memset(stack, PAINT, STACK_BYTES);
    pthread_attr_init(&attributes);
    pthread_attr_setstack(&attributes, stack, STACK_BYTES);
    if (pthread_create(&thread, &attributes, call_in_thread, (void *)c) != 0)
        abort();
    pthread_join(thread, NULL);
    pthread_attr_destroy(&attributes);
    while (unused < STACK_BYTES && stack[unused] == PAINT)
        unused++;
    return STACK_BYTES - unused;
}

int main(int argc, char **argv) {
    static const struct call calls[] = {
        {"nothing", run_nothing, 0},     {"open", run_open, 1},       {"put", run_put, 1},       {"get", run_get, 1},
        {"query", run_query, 0},         {"failure", run_failure, 1}, {"delete", run_delete, 1}, {"put", run_put, 1},
        {"increment", run_increment, 1}, {"close", run_close, 1}};
    void *library = argc > 2 ? dlopen(argv[1], RTLD_NOW) : NULL;
    unsigned char *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int status = 0;
    if (!library || stack == MAP_FAILED || use_find(&u, library))
        return 2;
    segment = argv[2];
    size_t nothing = depth_of(&calls[0], stack);
    for (size_t i = 1; i < sizeof calls / sizeof *calls; i++) {
        size_t bytes = depth_of(&calls[i], stack) - nothing;
        int is_wrong = result != 0 || (calls[i].is_bounded && bytes > CALL_BYTES_MAX);
        if (is_wrong || getenv("STACK_SHOW"))
            printf("%s: %zu bytes of stack, result %d\n", calls[i].name, bytes, result);
        status |= is_wrong;
        result = 0;
    }
    return status;
}

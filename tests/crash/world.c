/* tests/crash/world.c - see world.h. */
#include "tests/crash/world.h"
#include "core/segment/seg.h"
#include "core/segment/seg_layout.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SEGMENT_BYTES LARDER_SEGMENT_BYTES_MIN /* copied and compared very often */
#define HASH_SEED UINT64_C(0x1a4de500000003)
#define TEXT_MAX (1u << 20)

int64_t world_now_s = 1000;

__attribute__((noreturn)) static void die(const char *what) {
    fprintf(stderr, "world: %s: %s\n", what, larder_error());
    abort();
}

static int64_t clock_of_world(void *arg) {
    (void)arg;
    return world_now_s;
}

/* Of core/table/drop_thread.c and ttl/expirer.c: nothing is stored but by the scenario. */
#if LARDER_CRASH_POINTS
extern _Atomic int drop_test_is_alone;
extern _Atomic uint64_t expirer_test_turn_ns;
static void be_alone(void) {
    drop_test_is_alone = 1;
    expirer_test_turn_ns = UINT64_C(60000000000);
}
#else
static void be_alone(void) {}
#endif

struct larder *world_open(int memfd) {
    be_alone();
    struct larder_options o = {.flags = LARDER_MEMFD, .memfd = memfd, .busy_timeout_ms = 10000};
    struct larder *db;
    if (larder_open(&o, &db))
        die("open");
    larder_set_clock(db, clock_of_world, NULL);
    return db;
}

/* Rule O1. Nothing is hashed yet: there is no table. */
static void set_hash_seed(int memfd) {
    const char *text = getenv("LARDER_SEED");
    uint64_t seed = text ? strtoull(text, NULL, 0) : HASH_SEED;
    struct seg_shm head;
    if (pread(memfd, &head, sizeof head, 0) != sizeof head)
        die("head");
    head.hash_seed = seed;
    head.sum = seg_layout_sum(&head);
    if (pwrite(memfd, &head, sizeof head, 0) != sizeof head)
        die("seed");
}

int world_create(uint32_t stripe_count) {
    struct larder_options o = {
        .flags = LARDER_MEMFD | LARDER_CREATE, .memfd = -1, .size_bytes = SEGMENT_BYTES, .stripe_count = stripe_count};
    struct larder_index_def indexes[] = {
        {.name = "G1x", .partition = {"G1P", LARDER_S}, .sort = {"G1S", LARDER_S}},
        {.name = "G2x", .partition = {"G2P", LARDER_S}, .sort = {"G2S", LARDER_N}},
        {.name = "L1x", .is_local = 1, .partition = {"PK", LARDER_S}, .sort = {"L1S", LARDER_S}},
        {.name = "N1x", .partition = {"N1P", LARDER_S}},
    };
    struct larder_table_def def = {.name = WORLD_TABLE,
                                   .partition = {"PK", LARDER_S},
                                   .sort = {"SK", LARDER_S},
                                   .indexes = indexes,
                                   .index_count = sizeof indexes / sizeof *indexes,
                                   .ttl_attribute = "exp"};
    struct larder *db;
    if (larder_open(&o, &db))
        die("create");
    int fd = dup(larder_memfd(db));
    larder_close(db);
    set_hash_seed(fd);
    db = world_open(fd);
    if (larder_table_create(db, &def))
        die("create the table");
    larder_close(db);
    return fd;
}

int world_copy(int memfd) {
    int fd = memfd_create("world", MFD_CLOEXEC);
    const struct seg_shm *from = mmap(NULL, SEGMENT_BYTES, PROT_READ, MAP_SHARED, memfd, 0);
    if (fd < 0 || from == MAP_FAILED || ftruncate(fd, (off_t)from->size_bytes) ||
        pwrite(fd, from, from->claimed_bytes, 0) != (ssize_t)from->claimed_bytes)
        die("copy");
    munmap((void *)from, SEGMENT_BYTES);
    return fd;
}

static struct larder_table *table_named(struct larder *db, const char *name) {
    struct larder_table *t;
    return larder_table_open(db, name, &t) ? NULL : t;
}
static struct larder_table *table_of(struct larder *db) {
    return table_named(db, WORLD_TABLE);
}

void world_add_joined(struct larder *db) {
    static const struct larder_key_def second = {"N1P", LARDER_S}, more[] = {{"G1S", LARDER_S}, {"SK", LARDER_S}};
    const struct larder_index_def def = {.name = "J1x",
                                         .partition = {"G1P", LARDER_S},
                                         .sort = {"G2S", LARDER_N},
                                         .partition_more = &second,
                                         .partition_more_count = 1,
                                         .sort_more = more,
                                         .sort_more_count = 2};
    if (larder_index_add(table_of(db), &def))
        die("add the index of several attributes");
}

void world_make_other(struct larder *db) {
    struct larder_index_def indexes[] = {
        {.name = "G1x", .partition = {"G1P", LARDER_S}, .sort = {"G1S", LARDER_S}},
        {.name = "N1x", .partition = {"N1P", LARDER_S}},
    };
    struct larder_table_def def = {.name = WORLD_OTHER,
                                   .partition = {"PK", LARDER_S},
                                   .sort = {"SK", LARDER_S},
                                   .indexes = indexes,
                                   .index_count = sizeof indexes / sizeof *indexes,
                                   .ttl_attribute = "exp"};
    if (larder_table_create(db, &def))
        die("create the other table");
}

static void key_text(char pk[16], char sk[32], int n) {
    snprintf(pk, 16, "P%d", n % WORLD_PARTITIONS);
    snprintf(sk, 32, "SK#%05d", n);
}

static struct larder_builder *build(struct larder *db, int n, int keys, unsigned fill, int64_t expires_s,
                                    const struct larder_item **item) {
    static const char payload[WORLD_FILL_MAX] = {[0 ... WORLD_FILL_MAX - 1] = 'x'};
    struct larder_builder *b;
    char pk[16], sk[32], text[64];
    if (larder_builder_new(db, &b))
        die("builder");
    key_text(pk, sk, n);
    larder_builder_add_s(b, "PK", pk);
    larder_builder_add_s(b, "SK", sk);
    larder_builder_add_int(b, "keys", keys);
    if (keys % 10) {
        larder_builder_add_s(b, "G1P", keys % 2 ? "P0" : "P1");
        snprintf(text, sizeof text, "SHARED#PREFIX#%d#%05d", keys % 10, n);
        larder_builder_add_s(b, "G1S", text);
    }
    if (keys / 10 % 10) {
        larder_builder_add_s(b, "G2P", "P2");
        larder_builder_add_int(b, "G2S", keys / 10 % 10 * 1000 - n);
    }
    if (keys / 100 % 10) {
        snprintf(text, sizeof text, "%d", keys / 100 % 10); /* many equal sort keys */
        larder_builder_add_s(b, "L1S", text);
    }
    if (keys / 1000 % 10 == 9)
        snprintf(text, sizeof text, "Q%d", n % WORLD_SMALL_PARTITIONS);
    else
        snprintf(text, sizeof text, "P%d", keys / 1000 % 10 % WORLD_PARTITIONS);
    if (keys / 1000 % 10)
        larder_builder_add_s(b, "N1P", text);
    if (expires_s)
        larder_builder_add_int(b, "exp", expires_s);
    if (n >= WORLD_PROBE)
        larder_builder_add_null(b, "probe");
    larder_builder_add_sn(b, "fill", payload, fill);
    if (larder_builder_finish(b, item))
        die("item");
    return b;
}

void world_put_other(struct larder *db, int n, int keys, unsigned fill) {
    const struct larder_item *item;
    struct larder_builder *b = build(db, n, keys, fill, 0, &item);
    if (larder_put(table_named(db, WORLD_OTHER), item, NULL))
        die("put");
    larder_builder_free(b);
}

int world_try_put(struct larder *db, int n, int keys, unsigned fill, int64_t expires_s) {
    const struct larder_item *item;
    struct larder_table *t = table_of(db);
    if (!t)
        die("table");
    struct larder_builder *b = build(db, n, keys, fill, expires_s, &item);
    int r = larder_put(t, item, NULL);
    larder_builder_free(b);
    return r;
}

int world_put_if(struct larder *db, int n, int keys, unsigned fill, int is_late) {
    char pk[16], sk[32];
    const struct larder_item *item;
    struct larder_page *page;
    struct larder_table *t = table_of(db);
    key_text(pk, sk, n);
    struct larder_key key = {larder_str(pk), larder_str(sk)};
    if (!t || larder_page_new(db, &page) || larder_get(t, &key, page))
        die("read");
    struct larder_builder *b = build(db, n, keys, fill, 0, &item);
    int r = larder_put_if(t, item, is_late ? NULL : larder_page_item(page, 0), page);
    larder_builder_free(b);
    larder_page_free(page);
    return r;
}

void world_increment(struct larder *db, int n, const char *name, int64_t by) {
    char pk[16], sk[32];
    key_text(pk, sk, n);
    struct larder_key key = {larder_str(pk), larder_str(sk)};
    if (larder_increment(table_of(db), &key, name, by, NULL))
        die("increment");
}

int world_update(struct larder *db, int n, const char *update, const char *condition, const char *value) {
    char pk[16], sk[32];
    const struct larder_item *values;
    struct larder_builder *b;
    struct larder_expr *prepared, *prepared_condition;
    key_text(pk, sk, n);
    struct larder_action action = {
        .kind = LARDER_ACTION_UPDATE, .table = table_of(db), .key = {larder_str(pk), larder_str(sk)}};
    if (larder_prepare(db, LARDER_EXPR_UPDATE, update, NULL, 0, &prepared) ||
        larder_prepare(db, LARDER_EXPR_CONDITION, condition, NULL, 0, &prepared_condition) ||
        larder_builder_new(db, &b) || larder_builder_add_s(b, ":v", value) || larder_builder_finish(b, &values))
        die("prepare");
    action.update = prepared;
    action.condition = prepared_condition;
    action.values = values;
    int r = larder_write(&action, NULL);
    larder_builder_free(b);
    larder_expr_free(prepared);
    larder_expr_free(prepared_condition);
    return r;
}

/* ---- A transaction --------------------------------------------------------------------------- */

static struct larder_expr *prepared(struct larder *db, enum larder_expr_kind kind, const char *text) {
    struct larder_expr *expr;
    if (larder_prepare(db, kind, text, NULL, 0, &expr))
        die("prepare");
    return expr;
}

int world_transact(struct larder *db, const struct world_action *given, uint32_t count) {
    struct larder_action actions[WORLD_ACTIONS] = {0};
    struct larder_builder *builder[WORLD_ACTIONS] = {NULL};
    char pk[WORLD_ACTIONS][16], sk[WORLD_ACTIONS][32];
    for (uint32_t i = 0; i < count; i++) {
        struct larder_action *a = &actions[i];
        a->kind = given[i].kind;
        a->table = given[i].is_other ? table_named(db, WORLD_OTHER) : table_of(db);
        key_text(pk[i], sk[i], given[i].n);
        if (a->kind == LARDER_ACTION_PUT)
            builder[i] = build(db, given[i].n, given[i].keys, given[i].fill, given[i].expires_s, &a->item);
        else
            a->key = (struct larder_key){larder_str(pk[i]), larder_str(sk[i])};
        if (given[i].condition)
            a->condition = prepared(db, LARDER_EXPR_CONDITION, given[i].condition);
        if (given[i].update)
            a->update = prepared(db, LARDER_EXPR_UPDATE, given[i].update);
    }
    int r = larder_transact(db, &(struct larder_transaction){.actions = actions, .count = count}, NULL, NULL);
    for (uint32_t i = 0; i < count; i++) {
        larder_builder_free(builder[i]);
        larder_expr_free((struct larder_expr *)actions[i].condition);
        larder_expr_free((struct larder_expr *)actions[i].update);
    }
    return r;
}

void world_put(struct larder *db, int n, int keys, unsigned fill, int64_t expires_s) {
    if (world_try_put(db, n, keys, fill, expires_s))
        die("put");
}

int world_delete(struct larder *db, int n) {
    char pk[16], sk[32];
    key_text(pk, sk, n);
    struct larder_key key = {larder_str(pk), larder_str(sk)};
    return larder_delete(table_of(db), &key, NULL);
}

int world_get(struct larder *db, int n, struct larder_page *page) {
    char pk[16], sk[32];
    key_text(pk, sk, n);
    struct larder_key key = {larder_str(pk), larder_str(sk)};
    return larder_get(table_of(db), &key, page);
}

/* ---- The text -------------------------------------------------------------------------------- */

/* Put together by hand: it is made some hundred thousand times. */

struct text {
    char *at;
    size_t used;
};

static void say_bytes(struct text *t, const void *bytes, size_t count) {
    if (t->used + count >= TEXT_MAX)
        abort();
    memcpy(t->at + t->used, bytes, count);
    t->used += count;
    t->at[t->used] = 0;
}

static void say(struct text *t, const char *words) {
    say_bytes(t, words, strlen(words));
}

static void say_line(struct text *t, const char *what, const char *which) {
    say(t, what);
    say(t, which);
    say(t, "\n");
}

static void say_value(struct text *t, const struct larder_item *item, const char *name) {
    struct larder_value v;
    char number[LARDER_NUMBER_TEXT_MAX];
    if (larder_item_get(item, name, &v))
        return;
    say(t, " ");
    say(t, name);
    say(t, "=");
    if (v.type == LARDER_N) {
        larder_value_number(&v, number);
        say(t, number);
    } else if (strcmp(name, "fill") == 0) {
        size_t wrong = 0;
        for (size_t i = 0; i < v.bytes; i++)
            wrong += ((const char *)v.data)[i] != 'x';
        snprintf(number, sizeof number, "%zu%s", v.bytes, wrong ? ", wrong" : "");
        say(t, number);
    } else
        say_bytes(t, v.data, v.bytes);
}

static void say_item(struct text *t, const struct larder_item *item) {
    static const char *const names[] = {"PK", "SK", "keys", "G1P", "G1S", "G2P", "G2S", "L1S", "N1P", "exp", "fill"};
    struct larder_value v;
    if (larder_item_get(item, "probe", &v) == LARDER_OK)
        return;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        say_value(t, item, names[i]);
    say(t, "\n");
}

static int by_text(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Scan order is hash order, the same for the same items. Sorted only so that a person can read
 * it. */
static void say_scan(struct text *t, struct larder_table *table, struct larder_page *page) {
    char *lines[4096];
    uint32_t count = 0;
    struct larder_scan_spec spec = {.bytes_max = UINT32_MAX};
    if (larder_scan(table, &spec, page))
        die("scan");
    for (uint32_t i = 0; i < larder_page_count(page); i++) {
        struct text line = {malloc(512), 0};
        line.at[0] = 0;
        say_item(&line, larder_page_item(page, i));
        lines[count++] = line.at;
    }
    qsort(lines, count, sizeof *lines, by_text);
    for (uint32_t i = 0; i < count; i++) {
        say(t, lines[i]);
        free(lines[i]);
    }
}

static void say_gets(struct text *t, struct larder_table *table, struct larder_page *page) {
    for (int n = 0; n < WORLD_ITEMS; n++) {
        char pk[16], sk[32];
        key_text(pk, sk, n);
        struct larder_key key = {larder_str(pk), larder_str(sk)};
        int r = larder_get(table, &key, page);
        if (r < 0)
            die("get");
        if (r == LARDER_OK)
            say_item(t, larder_page_item(page, 0));
    }
}

/* `second`: of a partition key of two attributes; else NULL. */
static void say_partition(struct text *t, struct larder_table *table, const char *index, const char *key,
                          const char *second, int is_descending, struct larder_page *page) {
    struct larder_value more = larder_str(second);
    const struct larder_query_key both = {.partition_more = &more, .partition_more_count = 1};
    struct larder_query_spec spec = {.index = index,
                                     .partition = larder_str(key),
                                     .is_descending = is_descending,
                                     .bytes_max = UINT32_MAX,
                                     .more = second ? &both : NULL};
    if (larder_query(table, &spec, page) < 0)
        die("query");
    size_t start = t->used;
    say(t, index ? index : "table");
    say(t, is_descending ? " down " : " up ");
    say_line(t, key, second ? second : "");
    size_t head = t->used;
    for (uint32_t i = 0; i < larder_page_count(page); i++)
        say_item(t, larder_page_item(page, i));
    if (t->used == head) { /* nothing but probes */
        t->used = start;
        t->at[start] = 0;
    }
}

static void say_index(struct text *t, struct larder_table *table, const char *index, int is_descending,
                      struct larder_page *page) {
    char key[16];
    for (int p = 0; p < WORLD_PARTITIONS; p++) {
        snprintf(key, sizeof key, "P%d", p);
        say_partition(t, table, index, key, NULL, is_descending, page);
    }
    for (int q = 0; index && strcmp(index, "N1x") == 0 && q < WORLD_SMALL_PARTITIONS; q++) {
        snprintf(key, sizeof key, "Q%d", q);
        say_partition(t, table, index, key, NULL, is_descending, page);
    }
}

static void say_joined_index(struct text *t, struct larder_table *table, const char *index, int is_descending,
                             struct larder_page *page) {
    for (int p = 0; p < WORLD_PARTITIONS * WORLD_PARTITIONS; p++) {
        char key[16], second[16];
        snprintf(key, sizeof key, "P%d", p % WORLD_PARTITIONS);
        snprintf(second, sizeof second, "P%d", p / WORLD_PARTITIONS);
        say_partition(t, table, index, key, second, is_descending, page);
    }
}

static void say_items(struct text *t, struct larder_table *table, const struct larder_table_def *def,
                      struct larder_page *page) {
    say_scan(t, table, page);
    say_gets(t, table, page);
    for (int down = 0; down < 2; down++) {
        say_index(t, table, NULL, down, page);
        for (uint32_t i = 0; i < def->index_count; i++) {
            int is_joined = def->indexes[i].partition_more_count != 0;
            (is_joined ? say_joined_index : say_index)(t, table, def->indexes[i].name, down, page);
        }
    }
}

char *world_dump(struct larder *db) {
    struct text t = {malloc(TEXT_MAX), 0};
    const char *names[8];
    uint32_t count;
    struct larder_page *page;
    t.at[0] = 0;
    if (larder_table_list(db, names, 8, &count) || larder_page_new(db, &page))
        die("list");
    for (uint32_t i = 0; i < count; i++)
        say_line(&t, "table ", names[i]);
    struct larder_table *table = table_of(db);
    const struct larder_table_def *def;
    if (table) {
        if (larder_table_describe(table, &def))
            die("describe");
        say_line(&t, "ttl ", def->ttl_attribute ? def->ttl_attribute : "none");
        say_line(&t, "eviction ", def->eviction == LARDER_EVICTION_SIEVE ? "sieve" : "none");
        say_line(&t, "removal ", def->removal == LARDER_REMOVAL_RETAIN ? "retain" : "delete");
        say_line(&t, "settings ", def->settings_bytes ? def->settings : "none");
        say_items(&t, table, def, page);
    }
    struct larder_table *other = table_named(db, WORLD_OTHER);
    if (other) {
        if (larder_table_describe(other, &def))
            die("describe");
        say(&t, "the other table:\n");
        say_items(&t, other, def, page);
    }
    larder_page_free(page);
    return t.at;
}

/* tests/crash/damage_contents.c - what is in the segments that are damaged.
 *
 * Job      Makes a table with every type of attribute, three indexes and expiring items, and a
 *          plain one.
 */
#include <stdio.h>

#include "core/table/db.h"
#include "index/index.h"
#include "tests/crash/damage_parts.h"

static int64_t clock_of_damage(void *arg) {
    (void)arg;
    return NOW_S;
}

void damage_pk_text(char *to, size_t room_for, int n) {
    snprintf(to, room_for, "PARTITION#%d", n % PARTITIONS);
}

void damage_sk_text(char *to, size_t room_for, int n) {
    snprintf(to, room_for, "SORT#%05d", n);
}

/* Every type, nested ones too. */
static void add_variety(struct larder_builder *b, int n) {
    larder_builder_add_bool(b, "flag", n & 1);
    larder_builder_add_null(b, "nothing");
    larder_builder_begin(b, "map", LARDER_M);
    larder_builder_add_int(b, "n", n);
    larder_builder_begin(b, "list", LARDER_L);
    larder_builder_add_s(b, NULL, "one");
    larder_builder_add_n(b, NULL, "-2.5");
    larder_builder_end(b);
    larder_builder_end(b);
    larder_builder_begin(b, "numbers", LARDER_NS);
    larder_builder_add_int(b, NULL, n);
    larder_builder_add_int(b, NULL, -n - 1);
    larder_builder_end(b);
    larder_builder_begin(b, "texts", LARDER_SS);
    larder_builder_add_s(b, NULL, "x");
    larder_builder_add_s(b, NULL, "y");
    larder_builder_end(b);
    larder_builder_begin(b, "blobs", LARDER_BS);
    larder_builder_add_b(b, NULL, "\0\1", 2);
    larder_builder_end(b);
}

/* Item n of table World, with index keys of variant `keys`. */
int damage_put_item(struct larder *db, struct larder_table *t, int n, int keys, size_t fill, int64_t expires_s,
                    struct larder_page *replaced) {
    static const char payload[LARGE];
    struct larder_builder *b;
    const struct larder_item *item;
    char text[64];
    MUST(larder_builder_new(db, &b) == LARDER_OK);
    damage_pk_text(text, sizeof text, n);
    larder_builder_add_s(b, "PK", text);
    damage_sk_text(text, sizeof text, n);
    larder_builder_add_s(b, "SK", text);
    if (keys) {
        larder_builder_add_s(b, "G1P", keys % 2 ? "PARTITION#0" : "PARTITION#1");
        snprintf(text, sizeof text, "SHARED#%d#%05d", keys, n);
        larder_builder_add_s(b, "G1S", text);
        larder_builder_add_s(b, "G2P", "PARTITION#2");
        larder_builder_add_int(b, "G2S", 500 - keys * n);
        snprintf(text, sizeof text, "%d", n % 5); /* many equal sort keys */
        larder_builder_add_s(b, "L1S", text);
    }
    if (n % 4 == 0)
        add_variety(b, n);
    if (expires_s)
        larder_builder_add_int(b, "exp", expires_s);
    larder_builder_add_b(b, "fill", payload, fill);
    MUST(larder_builder_finish(b, &item) == LARDER_OK);
    int r = larder_put(t, item, replaced);
    larder_builder_free(b);
    return r;
}

int damage_put_plain(struct larder *db, struct larder_table *t, int n) {
    struct larder_builder *b;
    const struct larder_item *item;
    MUST(larder_builder_new(db, &b) == LARDER_OK);
    larder_builder_add_int(b, "id", n);
    larder_builder_add_s(b, "text", "plain");
    MUST(larder_builder_finish(b, &item) == LARDER_OK);
    int r = larder_put(t, item, NULL);
    larder_builder_free(b);
    return r;
}

struct larder *damage_open(uint32_t flags) {
    struct larder_options o = {.flags = LARDER_MEMFD | flags, .memfd = damage_memfd, .busy_timeout_ms = BUSY_MS};
    struct larder *db = NULL;
    int r = damage_judge(larder_open(&o, &db), "larder_open");
    if (r)
        return NULL;
    larder_set_clock(db, clock_of_damage, NULL);
    return db;
}

void damage_create_tables(struct larder *db) {
    static const char *const included[] = {"exp", "fill"};
    const struct larder_index_def indexes[] = {
        {.name = "G1x", .partition = {"G1P", LARDER_S}, .sort = {"G1S", LARDER_S}},
        {.name = "G2x",
         .partition = {"G2P", LARDER_S},
         .sort = {"G2S", LARDER_N},
         .projection = LARDER_PROJECT_INCLUDE,
         .included = included,
         .included_count = 2},
        {.name = "L1x",
         .is_local = 1,
         .partition = {"PK", LARDER_S},
         .sort = {"L1S", LARDER_S},
         .projection = LARDER_PROJECT_KEYS_ONLY},
    };
    const struct larder_table_def world = {.name = "World",
                                           .partition = {"PK", LARDER_S},
                                           .sort = {"SK", LARDER_S},
                                           .indexes = indexes,
                                           .index_count = 3,
                                           .ttl_attribute = "exp"};
    const struct larder_table_def plain = {.name = "Plain", .partition = {"id", LARDER_N}};
    MUST(larder_table_create(db, &world) == LARDER_OK && larder_table_create(db, &plain) == LARDER_OK);
}

void damage_fill_tables(struct larder *db) {
    struct larder_table *world, *plain;
    MUST(larder_table_open(db, "World", &world) == LARDER_OK && larder_table_open(db, "Plain", &plain) == LARDER_OK);
    for (int n = 0; n < ITEMS; n++)
        MUST(damage_put_item(db, world, n, n % 7, n == 5 ? LARGE : (size_t)(n % 60), n % 3 ? 0 : NOW_S - 40 + n * n,
                             NULL) == LARDER_OK);
    for (int n = 0; n < PLAIN_ITEMS; n++)
        MUST(damage_put_plain(db, plain, n) == LARDER_OK);
    const struct larder_key gone = {larder_str("PARTITION#1"), larder_str("SORT#00004")};
    MUST(larder_delete(world, &gone, NULL) == LARDER_OK);
}

int damage_add_index(struct larder *db) {
    const struct larder_index_def def = {.name = "G3x", .partition = {"L1S", LARDER_S}, .sort = {"SK", LARDER_S}};
    struct larder_table *t;
    return larder_table_open(db, "World", &t) || larder_index_add(t, &def);
}

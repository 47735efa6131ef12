/* tests/crash/stop_kit.c - see stop_kit.h. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/table/db.h"
#include "core/table/read.h"
#include "core/table/trim.h"
#include "index/index.h"
#include "index/leaf.h"
#include "tests/crash/evicting.h"
#include "tests/crash/halt.h"
#include "tests/crash/moving.h"
#include "tests/crash/stop_kit.h"
#include "tests/crash/world.h"
#include "ttl/wheel.h"

int is_long(void) {
    return getenv("LARDER_TEST_LONG") != NULL;
}

static int64_t clock_of_test(void *arg) {
    (void)arg;
    return world_now_s;
}

struct larder *open_impatient(int memfd) {
    struct larder_options o = {.flags = LARDER_MEMFD, .memfd = memfd, .busy_timeout_ms = LIMIT_MS};
    struct larder *db;
    cr_assert_eq(larder_open(&o, &db), LARDER_OK, "%s", larder_error());
    larder_set_clock(db, clock_of_test, NULL);
    return db;
}

struct larder *open_reader(int memfd) {
    struct larder_options o = {.flags = LARDER_MEMFD | LARDER_READ_ONLY, .memfd = memfd};
    struct larder *db;
    cr_assert_eq(larder_open(&o, &db), LARDER_OK, "%s", larder_error());
    larder_set_clock(db, clock_of_test, NULL);
    return db;
}

struct larder_table *table_named(struct larder *db, const char *name) {
    struct larder_table *t;
    return larder_table_open(db, name, &t) == LARDER_OK ? t : NULL;
}

const struct item_head *stored(struct larder *db, int n, struct larder_page *page) {
    char pk[16], sk[32];
    snprintf(pk, sizeof pk, "P%d", n % WORLD_PARTITIONS);
    snprintf(sk, sizeof sk, "SK#%05d", n);
    struct larder_key key = {larder_str(pk), larder_str(sk)};
    struct larder_table *t = table_named(db, WORLD_TABLE);
    int r = t ? larder_get(t, &key, page) : LARDER_NOT_FOUND;
    cr_assert(r >= 0, "get: %s", larder_error());
    return r == LARDER_OK ? (const struct item_head *)larder_page_item(page, 0) : NULL;
}

static void learn_probe(struct larder *db, struct larder_page *page, struct probe *p) {
    const struct table_view *v;
    cr_assert_eq(table_view(table_named(db, WORLD_TABLE), &v), LARDER_OK);
    for (p->variant = VARIANTS; p->variant-- > 0;) {
        world_put(db, p->n, variant_keys[p->variant], 10, 0);
        const struct item_head *item = stored(db, p->n, page);
        struct item_peek peek;
        cr_assert(item_peek_open(&peek, item, item->bytes));
        uint64_t hash = read_hash_of_item(v, &peek);
        for (uint32_t number = 1; number < index_count(v); number++) {
            struct index_entry e;
            cr_assert(index_entry_of(v, hash, &peek, number, &e));
            if (e.entry.kseq)
                p->partition[p->variant][p->partition_count[p->variant]++] =
                    seg_off(&db->seg, &htab_stripe(&v->partitions, e.partition)->lock);
        }
        p->stripe = seg_off(&db->seg, &htab_stripe(&v->items, hash)->lock);
        p->shard = seg_off(&db->seg, &wheel_shard(&db->seg, wheel_shard_of(&db->seg, hash))->lock);
    }
    p->variant = 0;
}

/* One probe for each stripe. */
static void learn_probes(struct scene *c, struct larder *db) {
    struct larder_page *page;
    uint32_t found = 0;
    cr_assert_eq(larder_page_new(db, &page), LARDER_OK);
    for (int n = PROBES_FROM; found < STRIPES; n++) {
        struct probe p = {.n = n};
        int is_new = 1;
        cr_assert(n < 1000);
        learn_probe(db, page, &p);
        for (uint32_t i = 0; i < found; i++)
            is_new &= c->probe[i].stripe != p.stripe;
        if (is_new)
            c->probe[found++] = p;
        else
            world_delete(db, n);
    }
    larder_page_free(page);
}

void other_id(char id[16], uint32_t i) {
    snprintf(id, 16, "o%u", i);
}

int put_other(struct scene *c, uint32_t i) {
    char id[16];
    struct larder_builder *b;
    const struct larder_item *item;
    other_id(id, i);
    cr_assert_eq(larder_builder_new(c->db, &b), LARDER_OK);
    larder_builder_add_s(b, "id", id);
    larder_builder_add_int(b, "at", (int64_t)c->stops);
    cr_assert_eq(larder_builder_finish(b, &item), LARDER_OK);
    int r = larder_put(table_named(c->db, "Other"), item, NULL);
    larder_builder_free(b);
    return r;
}

int overwrite(struct scene *c, uint32_t i) {
    return world_try_put(c->db, c->probe[i].n, variant_keys[c->probe[i].variant], 10, 0);
}

int change_keys(struct scene *c, uint32_t i) {
    int variant = 1 - c->probe[i].variant;
    int r = world_try_put(c->db, c->probe[i].n, variant_keys[variant], 10, 0);
    if (r == LARDER_OK)
        c->probe[i].variant = variant;
    return r;
}

int expire_sooner(struct scene *c, uint32_t i) {
    int64_t at_s = world_now_s + FAR_S - c->timers++;
    return world_try_put(c->db, c->probe[i].n, variant_keys[c->probe[i].variant], 10, at_s);
}

int set_removal(struct scene *c, uint32_t i) {
    (void)i;
    const struct larder_table_def *def;
    struct larder_table *t = table_named(c->db, "Other");
    cr_assert(t && larder_table_describe(t, &def) == LARDER_OK);
    return larder_removal_set(t, def->removal == LARDER_REMOVAL_RETAIN ? LARDER_REMOVAL_DELETE : LARDER_REMOVAL_RETAIN);
}

int check(struct scene *c, uint32_t i) {
    (void)i;
    struct larder_check_report report;
    return larder_check(c->db, NULL, &report);
}

int expire(struct scene *c, uint32_t i) {
    (void)i;
    int r = larder_expire(c->db, 0, NULL);
    return r == LARDER_MORE ? LARDER_OK : r;
}

uint64_t stripe_of(struct larder *db, const char *id) {
    const struct table_view *v;
    struct item_key key;
    struct larder_key given = {.partition = larder_str(id)};
    cr_assert(table_view(table_named(db, "Other"), &v) == LARDER_OK &&
              item_key_from_values(&v->shape, &given, &key) == LARDER_OK);
    return seg_off(&db->seg, &htab_stripe(&v->items, read_hash(v, &key))->lock);
}

static int act_in_child(void *arg) {
    const struct act *a = arg;
    struct larder *db = world_open(a->memfd);
    for (int step = 0; step < a->s->steps; step++)
        a->s->act(db, step);
    larder_close(db);
    return 0;
}

void start(struct scene *c, uint64_t first) {
    struct act act = {c->s, c->memfd};
    halt_start(&c->child, act_in_child, &act, first);
}

void open_copy(struct scene *c) {
    c->memfd = world_copy(c->base);
    c->db = open_impatient(c->memfd);
    c->reader = c->s->is_evicting ? open_reader(c->memfd) : c->db;
    cr_assert_eq(larder_page_new(c->db, &c->page), LARDER_OK);
    for (uint32_t i = 0; i < STRIPES; i++)
        c->probe[i].variant = 0;
    c->last_seen = 0;
}

void close_copy(struct scene *c) {
    if (c->reader != c->db)
        larder_close(c->reader);
    larder_close(c->db);
    close(c->memfd);
    halt_forget(&c->child);
}

void create_other(struct larder *db) {
    struct larder_table_def def = {.name = "Other", .partition = {"id", LARDER_S}};
    cr_assert_eq(larder_table_create(db, &def), LARDER_OK, "%s", larder_error());
}

void prepare(struct scene *c, const struct scenario *s) {
    leaf_capacity = 4;
    *c = (struct scene){.s = s, .base = world_create(STRIPES), .text_count = s->steps + 1};
    struct larder *db = world_open(c->base);
    create_other(db);
    s->prepare(db);
    learn_probes(c, db);
    larder_close(db);
}

void some_items(struct larder *db) {
    for (int n = 0; n < 20; n++)
        world_put(db, n, 1111, 50, 0);
}

void many_items(struct larder *db) {
    for (int n = 0; n < 120; n++)
        world_put(db, n, n % 3 ? 1111 : 10, 20, 0);
}

void large_items(struct larder *db) {
    for (int n = 0; n < 12; n++)
        world_put(db, n, 0, 3900, 0);
}

void expiring_items(struct larder *db) {
    some_items(db);
    for (int n = 30; n < 33; n++)
        world_put(db, n, 1111, 50, world_now_s + 2);
}

/* Items of several stripes: index keys change, one comes, one goes. */
void transact(struct larder *db, int step) {
    struct world_action actions[] = {
        {.kind = LARDER_ACTION_PUT, .n = 3, .keys = 2222, .fill = 30},
        {.kind = LARDER_ACTION_UPDATE, .n = 5, .update = "SET G1P = N1P REMOVE fill"},
        {.kind = LARDER_ACTION_DELETE, .n = 4 + step, .condition = "attribute_exists(PK)"},
        {.kind = LARDER_ACTION_PUT, .n = 50 + step, .keys = 1111, .fill = 10},
    };
    cr_assert_eq(world_transact(db, actions, 4), LARDER_OK, "%s", larder_error());
}

void two_tables(struct larder *db) {
    some_items(db);
    world_make_other(db);
    for (int n = 0; n < 6; n++)
        world_put_other(db, n, 1111, 40);
}

static const struct world_action in_both[] = {
    {.kind = LARDER_ACTION_PUT, .n = 3, .keys = 2222, .fill = 30},
    {.kind = LARDER_ACTION_UPDATE, .is_other = 1, .n = 2, .update = "SET G1P = N1P REMOVE fill"},
    {.kind = LARDER_ACTION_DELETE, .is_other = 1, .n = 1, .condition = "attribute_exists(PK)"},
    {.kind = LARDER_ACTION_CHECK, .n = 4, .condition = "attribute_not_exists(PK)"},
};

void transact_in_both(struct larder *db, int step) {
    (void)step;
    cr_assert_eq(world_transact(db, in_both, 3), LARDER_OK, "%s", larder_error());
}

void transact_refused(struct larder *db, int step) {
    (void)step;
    cr_assert_eq(world_transact(db, in_both, 4), LARDER_REFUSED, "%s", larder_error());
}

void update_if(struct larder *db, int step) {
    cr_assert_eq(world_update(db, 7, "SET G1P = :v", "attribute_exists(PK)", step ? "P2" : "P3"), LARDER_OK, "%s",
                 larder_error());
    cr_assert_eq(world_update(db, 50, "SET G1P = :v", "attribute_exists(PK)", "P2"), LARDER_REFUSED);
}

void put_new(struct larder *db, int step) {
    (void)step;
    world_put(db, 50, 1111, 50, 0);
}

void overwrite_one(struct larder *db, int step) {
    (void)step;
    world_put(db, 7, 1111, 60, 0);
}

void change_all_keys(struct larder *db, int step) {
    (void)step;
    world_put(db, 7, 3333, 50, 0);
}

void delete_one(struct larder *db, int step) {
    (void)step;
    world_delete(db, 7);
}

/* grows arrays, splits leaves, opens partitions */
void put_some_more(struct larder *db, int step) {
    world_put(db, 200 + step, 1121, 20, 0);
}

void take_spans(struct larder *db, int step) {
    world_put(db, 20 + step, 0, 3900 + 20 * (unsigned)step, 0);
}

void put_expiring(struct larder *db, int step) {
    (void)step;
    world_put(db, 60, 1111, 50, world_now_s + 400);
}

void remove_expired(struct larder *db, int step) {
    (void)step;
    PROC_CHECK(larder_expire(db, 0, NULL) == LARDER_OK);
}

void create_table(struct larder *db, int step) {
    (void)step;
    struct larder_table_def def = {.name = "Third", .partition = {"id", LARDER_S}};
    PROC_CHECK(larder_table_create(db, &def) == LARDER_OK);
}

void drop_table(struct larder *db, int step) {
    (void)step;
    PROC_CHECK(larder_table_drop(db, WORLD_TABLE) == LARDER_OK);
    PROC_CHECK(larder_expire(db, 0, NULL) == LARDER_OK); /* empties it */
}

void add_index(struct larder *db, int step) {
    (void)step;
    struct larder_index_def def = {.name = "G9x", .partition = {"G1P", LARDER_S}, .sort = {"SK", LARDER_S}};
    struct larder_table *t;
    PROC_CHECK(larder_table_open(db, WORLD_TABLE, &t) == LARDER_OK && larder_index_add(t, &def) == LARDER_OK);
}

void other_evicts(struct larder *db) {
    struct larder_table *other;
    two_tables(db);
    other = table_named(db, WORLD_OTHER);
    cr_assert_eq(larder_eviction_set(other, LARDER_EVICTION_SIEVE), LARDER_OK, "%s", larder_error());
    for (int n = 0; n < 2; n++)
        world_put_other(db, n, 1111, 40); /* again: used */
}

void evict_one(struct larder *db, int step) {
    evicting_act(db, step);
}

/* Beside others, who change what was found before it is moved. */
void move_blocks(struct larder *db, int step) {
    moving_act_beside(db, step);
}

void few_of_many(struct larder *db) {
    for (int n = 0; n < 800; n++)
        world_put(db, n, 0, 0, 0);
    for (int n = 8; n < 800; n++)
        cr_assert_eq(world_delete(db, n), LARDER_OK);
}

void trim_arrays(struct larder *db, int step) {
    struct writer *w;
    (void)step;
    PROC_CHECK(writer_borrow(db, &w) == LARDER_OK);
    (void)table_trim(w); /* the test's own puts let arrays grow again */
    writer_end(w);
}

void only_attach(struct larder *db, int step) {
    (void)step;
    PROC_CHECK(world_delete(db, 300) == LARDER_NOT_FOUND);
}

void check_all(struct larder *db, int step) {
    (void)step;
    struct larder_check_report report;
    PROC_CHECK(larder_check(db, NULL, &report) == LARDER_OK);
}

/* tests/crash/past.c - see past.h.
 *
 * Items    A third have few attributes, a third more than an image without a directory can have.
 *          Some take runs of spans, one is so large that its offsets are wide. They have the key
 *          attributes of many indexes that only some pasts have. As long as they are put only once,
 *          some items have a key of the wrong type for index PAST_LATE: added later, the index
 *          leaves them out.
 */
#include "tests/crash/past.h"
#include "core/base/crash.h"
#include "core/segment/seg_layout.h"
#include "tests/support/expect.h"
#include "tests/support/proc.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define DEADLINE_MS 60000
#define HASH_SEED UINT64_C(0x1a4de500000011)
#define PARTITIONS 5
#define PAST_LATE 3 /* this index */
#define OTHERS 60   /* items of the second table */

const char *const past_tables[PAST_TABLES] = {"Aged", "Other"};

static int64_t clock_of_past(void *arg) {
    return ((const struct past *)arg)->now_s;
}

/* ---- What an item has ------------------------------------------------------------------------ */

static uint32_t mix(int n, int serial, int what) {
    uint64_t z = (uint64_t)n * 1000003u + (uint64_t)serial * 7919u + (uint64_t)what * 104729u;
    z = (z ^ (z >> 15)) * UINT64_C(0xbf58476d1ce4e5b9);
    return (uint32_t)(z >> 32);
}

static const char *const index_names[PAST_INDEXES] = {
    "ix0",  "ix1",  "ix2",  "ix3",  "ix4",  "ix5",  "ix6",  "ix7",  "ix8",  "ix9",  "ix10", "ix11", "ix12",
    "ix13", "ix14", "ix15", "ix16", "ix17", "ix18", "ix19", "ix20", "ix21", "ix22", "ix23", "ix24"};
static const char *const partition_names[PAST_INDEXES] = {"g0",  "g1",  "g2",  "g3",  "g4",  "g5",  "g6",  "g7",  "g8",
                                                          "g9",  "g10", "g11", "g12", "g13", "g14", "g15", "g16", "g17",
                                                          "g18", "g19", "PK",  "PK",  "PK",  "PK",  "PK"};
static const char *const sort_names[PAST_INDEXES] = {"s0",  "s1",  "s2",  "s3",  "s4",  "s5",  "s6",  "s7",  "s8",
                                                     "s9",  "s10", "s11", "s12", "s13", "s14", "s15", "s16", "s17",
                                                     "s18", "s19", "s20", "s21", "s22", "s23", "s24"};

static int has_sort(int i) {
    return i >= PAST_GLOBALS || i % 3 != 2;
}
static int is_number_sort(int i) {
    return i % 3 == 1;
}

void past_index_def(int i, struct larder_index_def *def) {
    *def = (struct larder_index_def){
        .name = index_names[i], .is_local = i >= PAST_GLOBALS, .partition = {partition_names[i], LARDER_S}};
    if (has_sort(i))
        def->sort = (struct larder_key_def){sort_names[i], is_number_sort(i) ? LARDER_N : LARDER_S};
}

static int is_wrong_type(int i, int n, int serial) {
    return i == PAST_LATE && serial == 1 && n % 13 == 4;
}

/* Whether the item has the attributes of an index. The first ones change now and then. */
static int has_attributes(int i, int n, int serial) {
    if (i >= 4 && n % 3 != 0)
        return 0;
    return mix(n, i < 3 ? serial : 0, i) % 4 != 0;
}

int past_is_in(int i, int n, int serial, char partition[32]) {
    if (!has_attributes(i, n, serial) || is_wrong_type(i, n, serial))
        return 0;
    if (i >= PAST_GLOBALS)
        snprintf(partition, 32, "P%d", n % PARTITIONS);
    else if (i == 2)
        snprintf(partition, 32, "Q%d", n); /* partitions of one item */
    else
        snprintf(partition, 32, "%c", 'A' + (char)(mix(n, serial / 2, i) % 2));
    return 1;
}

static void add_index_keys(struct larder_builder *b, int i, int n, int serial) {
    char text[32] = "";
    if (!has_attributes(i, n, serial))
        return;
    (void)past_is_in(i, n, serial, text);
    if (is_wrong_type(i, n, serial))
        larder_builder_add_int(b, partition_names[i], n);
    else if (i < PAST_GLOBALS)
        larder_builder_add_s(b, partition_names[i], text);
    if (has_sort(i) && is_number_sort(i))
        larder_builder_add_int(b, sort_names[i], (int)(mix(n, serial / 4, i + 100) % 300) - 100);
    else if (has_sort(i)) {
        snprintf(text, sizeof text, "SHARED#%u", mix(n, serial / 4, i + 100) % 12);
        larder_builder_add_s(b, sort_names[i], text);
    }
}

int64_t past_expires_s(const char *ttl, int n, int serial) {
    if (ttl && strcmp(ttl, "exp") == 0 && n % 4 == 0)
        return 7000 + n + 50 * serial;
    if (ttl && strcmp(ttl, "exp2") == 0 && n % 5 == 1)
        return 9000 + 2 * n;
    return 0;
}

static size_t fill_of(int n, int serial) {
    if (n == 17)
        return 90000;
    if (n % 41 == 5)
        return 17000 + (size_t)n;
    return mix(n, serial, 50) % 350;
}

void past_key(int table, int n, struct past_key *key) {
    memset(key, 0, sizeof *key);
    snprintf(key->text[0], sizeof key->text[0], table == 0 ? "P%d" : "%d", table == 0 ? n % PARTITIONS : n);
    snprintf(key->text[1], sizeof key->text[1], "AGED#%05d", n);
    key->key.partition = table == 0 ? larder_str(key->text[0]) : larder_num(key->text[0]);
    if (table == 0)
        key->key.sort = larder_str(key->text[1]);
}

const struct larder_item *past_item(struct larder_builder *b, int table, int n, int serial) {
    static unsigned char fill[100000];
    const struct larder_item *item = NULL;
    struct past_key key;
    past_key(table, n, &key);
    larder_builder_reset(b);
    size_t fill_bytes = table == 0 ? fill_of(n, serial) : (size_t)n;
    memset(fill, 'a' + n % 26, fill_bytes);
    larder_builder_add(b, table == 0 ? "PK" : "ID", &key.key.partition);
    if (table == 0)
        larder_builder_add(b, "SK", &key.key.sort);
    larder_builder_add_int(b, "serial", serial);
    for (int i = 0; table == 0 && i < PAST_INDEXES; i++)
        add_index_keys(b, i, n, serial);
    if (past_expires_s("exp", n, serial))
        larder_builder_add_int(b, "exp", past_expires_s("exp", n, serial));
    else if (n % 4 == 1)
        larder_builder_add_s(b, "exp", "a text is no second");
    if (past_expires_s("exp2", n, serial))
        larder_builder_add_int(b, "exp2", past_expires_s("exp2", n, serial));
    larder_builder_begin(b, "map", LARDER_M);
    larder_builder_add_bool(b, "even", n % 2 == 0);
    larder_builder_begin(b, "list", LARDER_L);
    larder_builder_add_n(b, NULL, "-12.5");
    larder_builder_add_null(b, NULL);
    larder_builder_end(b);
    larder_builder_end(b);
    larder_builder_add_b(b, "fill", fill, fill_bytes);
    return larder_builder_finish(b, &item) == LARDER_OK ? item : NULL;
}

int past_number_of(const struct larder_item *item, int *table) {
    struct larder_value v;
    int64_t number;
    char text[32] = "";
    *table = larder_item_get(item, "SK", &v) != LARDER_OK;
    if (*table)
        return larder_item_get(item, "ID", &v) || larder_value_int64(&v, &number) ? -1 : (int)number;
    if (v.type != LARDER_S || v.bytes != 10)
        return -1;
    memcpy(text, v.data, v.bytes);
    return atoi(text + 5);
}

/* ---- What is done ---------------------------------------------------------------------------- */

static struct larder_table *table_of(struct larder *db, int table) {
    struct larder_table *t;
    EXPECT(larder_table_open(db, past_tables[table], &t), LARDER_OK);
    return t;
}

/* LARDER_OK, LARDER_E_FULL. */
static int put(struct past *p, struct larder *db, int table, int n, int serial) {
    struct larder_builder *b;
    EXPECT(larder_builder_new(db, &b), LARDER_OK);
    const struct larder_item *item = past_item(b, table, n, serial);
    cr_assert(item, "%s", larder_error());
    int r = larder_put(table_of(db, table), item, NULL);
    cr_assert(r == LARDER_OK || (r == LARDER_E_FULL && p->is_full), "%s", larder_error());
    if (r == LARDER_OK)
        p->serial[table][n] = (uint8_t)serial;
    larder_builder_free(b);
    return r;
}

static void drop_item(struct past *p, struct larder *db, int table, int n) {
    struct past_key key;
    past_key(table, n, &key);
    EXPECT(larder_delete(table_of(db, table), &key.key, NULL), LARDER_OK);
    p->serial[table][n] = 0;
}

/* The first table with its first `globals` and `locals` indexes. */
static void create_aged(struct past *p, struct larder *db, int globals, int locals) {
    struct larder_index_def defs[PAST_INDEXES];
    uint32_t count = 0;
    p->indexes = 0;
    for (int i = 0; i < PAST_INDEXES; i++)
        if (i < PAST_GLOBALS ? i < globals : i < PAST_GLOBALS + locals) {
            past_index_def(i, &defs[count++]);
            p->indexes |= 1u << i;
        }
    struct larder_table_def def = {.name = past_tables[0],
                                   .partition = {"PK", LARDER_S},
                                   .sort = {"SK", LARDER_S},
                                   .indexes = defs,
                                   .index_count = count,
                                   .ttl_attribute = "exp"};
    p->ttl = "exp";
    EXPECT(larder_table_create(db, &def), LARDER_OK);
}

/* Items that were put, some twice, some deleted. With more than PAST_LATE global indexes none may
 * have a key of a wrong type. */
static void fill_aged(struct past *p, struct larder *db, int first_serial) {
    for (int i = 0; i < PAST_ITEMS - 20; i++)
        put(p, db, 0, i * 7 % (PAST_ITEMS - 20), first_serial);
    for (int n = 0; n < PAST_ITEMS - 20; n += 5)
        put(p, db, 0, n, first_serial + 1);
    for (int n = 3; n < PAST_ITEMS - 20; n += 11)
        drop_item(p, db, 0, n);
}

static void create_other(struct past *p, struct larder *db) {
    const struct larder_table_def def = {.name = past_tables[1], .partition = {"ID", LARDER_N}};
    EXPECT(larder_table_create(db, &def), LARDER_OK);
    for (int n = 0; n < OTHERS; n++)
        put(p, db, 1, n, 1);
}

static int add_index(struct past *p, struct larder *db, int i) {
    struct larder_index_def def;
    past_index_def(i, &def);
    int r = larder_index_add(table_of(db, 0), &def);
    if (r == LARDER_OK)
        p->indexes |= 1u << i;
    return r;
}

static int set_ttl(struct past *p, struct larder *db, const char *ttl) {
    int r = larder_ttl_set(table_of(db, 0), ttl);
    if (r == LARDER_OK)
        p->ttl = ttl;
    return r;
}

/* ---- Deaths ---------------------------------------------------------------------------------- */

/* Something that a child does, and dies in. */
struct act {
    struct past *p;
    int memfd;
    int (*act)(struct past *p, struct larder *db);
    uint64_t k;
    uint64_t *count; /* shared */
};

static int run_act(void *arg) {
    struct act *a = arg;
    struct larder *db = past_attach(a->p, a->memfd, 0);
    shm_crash_arm(a->k);
    int r = a->act(a->p, db);
    *a->count = shm_crash_count();
    return r == LARDER_OK ? 0 : 1;
}

/* A process dies after `thousandths` of the stores of `act`. */
static void die_in(struct past *p, int (*act)(struct past *p, struct larder *db), uint64_t thousandths) {
    struct act a = {.p = p, .act = act, .memfd = past_copy(p)};
    a.count = mmap(NULL, sizeof *a.count, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert(a.count != MAP_FAILED);
    struct proc_result r = proc_run(run_act, &a, DEADLINE_MS);
    cr_assert(proc_is_exit(r, 0), "%s: %s", p->name, proc_text(r));
    close(a.memfd);
    a.memfd = p->memfd;
    a.k = *a.count * thousandths / 1000 + 1;
    r = proc_run(run_act, &a, DEADLINE_MS);
    cr_assert(proc_is_signal(r, SIGKILL), "%s: %s", p->name, proc_text(r));
    munmap(a.count, sizeof *a.count);
}

static int act_add(struct past *p, struct larder *db) {
    return add_index(p, db, PAST_LATE);
}
static int act_add_another(struct past *p, struct larder *db) {
    return add_index(p, db, 4);
}
static int act_ttl(struct past *p, struct larder *db) {
    return set_ttl(p, db, "exp2");
}
/* What the drop's thread would do afterwards is done here, in order. */
extern _Atomic int drop_test_is_alone; /* core/table/drop_thread.c */
static int act_drop(struct past *p, struct larder *db) {
    (void)p;
    drop_test_is_alone = 1;
    int r = larder_table_drop(db, past_tables[0]);
    return r ? r : larder_expire(db, 0, NULL);
}
static int act_put(struct past *p, struct larder *db) {
    struct larder_builder *b;
    (void)p;
    int r = larder_builder_new(db, &b);
    return r ? r : larder_put(table_of(db, 0), past_item(b, 0, 15, 7), NULL);
}

/* Recovers every dead slot. */
static void check(struct larder *db) {
    struct larder_check_report report;
    EXPECT(larder_check(db, NULL, &report), LARDER_OK);
}

/* ---- Pasts ----------------------------------------------------------------------------------- */

/* After the tables were made and filled as usual. arg: thousandths, ... */
typedef void past_fn(struct past *p, struct larder *db, int arg);

static void nothing(struct past *p, struct larder *db, int arg) {
    (void)p, (void)db, (void)arg;
}
static void index_added(struct past *p, struct larder *db, int arg) {
    for (int i = PAST_LATE; i < PAST_LATE + arg; i++)
        EXPECT(add_index(p, db, i), LARDER_OK);
    for (int n = 1; n < 40; n += 4)
        if (p->serial[0][n])
            put(p, db, 0, n, 3);
}
static void add_killed(struct past *p, struct larder *db, int arg) {
    die_in(p, act_add, (uint64_t)arg);
    (void)db; /* the slot stays dead */
}
static void add_killed_and_recovered(struct past *p, struct larder *db, int arg) {
    add_killed(p, db, arg);
    check(db);
}
static void add_killed_and_written(struct past *p, struct larder *db, int arg) {
    add_killed_and_recovered(p, db, arg);
    for (int n = 0; n < PAST_ITEMS - 20; n += 3)
        if (p->serial[0][n])
            put(p, db, 0, n, 3);
}
static void add_killed_and_done_again(struct past *p, struct larder *db, int arg) {
    add_killed(p, db, arg);
    EXPECT(add_index(p, db, PAST_LATE), LARDER_OK);
    die_in(p, act_add_another, 500);
}

static uint64_t shown_damage_of(const struct past *p, int n, uint64_t value);

/* An addition fails at a damaged item. Then the item is restored, or a repair drops it. */
static void add_failed(struct past *p, struct larder *db, int arg) {
    uint64_t before = shown_damage_of(p, 101, UINT64_MAX);
    struct larder_repair_report report;
    EXPECT(add_index(p, db, PAST_LATE), LARDER_E_CORRUPT);
    if (arg) {
        EXPECT(larder_repair(db, NULL, &report), LARDER_OK);
        cr_assert_eq(report.items_lost, 1);
        p->serial[0][101] = 0;
    } else
        shown_damage_of(p, 101, before);
    check(db);
}
static void ttl_changed(struct past *p, struct larder *db, int arg) {
    EXPECT(set_ttl(p, db, "exp2"), LARDER_OK);
    if (arg > 0)
        EXPECT(set_ttl(p, db, "exp"), LARDER_OK);
    if (arg > 1)
        EXPECT(set_ttl(p, db, NULL), LARDER_OK);
}
static void restamp_killed(struct past *p, struct larder *db, int arg) {
    const struct larder_table_def *def;
    die_in(p, act_ttl, (uint64_t)arg);
    EXPECT(larder_table_describe(table_of(db, 0), &def), LARDER_OK);
    p->ttl = strcmp(def->ttl_attribute, "exp") == 0 ? "exp" : "exp2";
}
static void restamp_killed_and_more(struct past *p, struct larder *db, int arg) {
    restamp_killed(p, db, arg);
    die_in(p, act_add, 400);
    check(db);
    for (int n = 0; n < PAST_ITEMS - 20; n += 6)
        if (p->serial[0][n])
            put(p, db, 0, n, 3);
}
static void made_again(struct past *p, struct larder *db, int arg) {
    EXPECT(larder_table_drop(db, past_tables[0]), LARDER_OK);
    memset(p->serial[0], 0, sizeof p->serial[0]);
    create_aged(p, db, arg, 2);
    fill_aged(p, db, 2);
}
static void drop_killed(struct past *p, struct larder *db, int arg) {
    die_in(p, act_drop, (uint64_t)arg);
    (void)db;
}
static void drop_killed_and_made_again(struct past *p, struct larder *db, int arg) {
    drop_killed(p, db, arg);
    memset(p->serial[0], 0, sizeof p->serial[0]);
    create_aged(p, db, 3, 1);
    fill_aged(p, db, 2);
}
static void put_killed(struct past *p, struct larder *db, int arg) {
    die_in(p, act_put, (uint64_t)arg);
    (void)db;
}
/* Some items expire later than their timers say: those timers arm themselves again. Other items are
 * gone. */
static void timers_fired(struct past *p, struct larder *db, int arg) {
    uint64_t removed;
    for (int n = 0; n < PAST_ITEMS - 20; n += 8)
        if (p->serial[0][n])
            put(p, db, 0, n, arg);
    p->now_s = 7250;
    EXPECT(larder_expire(db, 0, &removed), LARDER_OK);
    cr_assert(removed > 0);
    for (int n = 0; n < PAST_ITEMS; n++)
        if (past_expires_s("exp", n, p->serial[0][n]) && past_expires_s("exp", n, p->serial[0][n]) <= p->now_s)
            p->serial[0][n] = 0;
}
static void repaired(struct past *p, struct larder *db, int arg) {
    struct larder_repair_report report;
    add_killed_and_recovered(p, db, arg);
    shown_damage_of(p, 101, UINT64_MAX);
    EXPECT(larder_repair(db, NULL, &report), LARDER_OK);
    p->serial[0][101] = 0;
    for (int n = 1; n < PAST_ITEMS - 20; n += 7)
        if (p->serial[0][n])
            put(p, db, 0, n, 3);
}
static void full(struct past *p, struct larder *db, int arg) {
    static unsigned char fill[3000];
    struct larder_builder *b;
    const struct larder_item *item;
    EXPECT(larder_builder_new(db, &b), LARDER_OK);
    int r = LARDER_OK;
    for (int n = PAST_ITEMS; r == LARDER_OK; n++) { /* items that the judge does not ask for */
        larder_builder_reset(b);
        larder_builder_add_int(b, "ID", n);
        larder_builder_add_b(b, "fill", fill, n % 7 ? 200 : sizeof fill);
        EXPECT(larder_builder_finish(b, &item), LARDER_OK);
        r = larder_put(table_of(db, 1), item, NULL);
    }
    cr_assert_eq(r, LARDER_E_FULL, "%s", larder_error());
    p->is_full = 1;
    larder_builder_free(b);
    (void)arg;
}
static void add_failed_for_want_of_room(struct past *p, struct larder *db, int arg) {
    full(p, db, arg);
    int r = add_index(p, db, PAST_LATE);
    cr_assert(r == LARDER_E_FULL || r == LARDER_OK, "%s", larder_error());
}

static const struct {
    const char *name;
    past_fn *fn;
    int arg, globals, locals;
} pasts[] = {
    {"nothing happened", nothing, 0, 3, 1},
    {"an index was added", index_added, 1, 3, 1},
    {"six indexes were added", index_added, 6, 2, 1},
    {"add killed at the definition", add_killed, 5, 3, 1},
    {"add killed early", add_killed, 100, 3, 1},
    {"add killed half way", add_killed, 500, 3, 1},
    {"add killed late", add_killed, 900, 3, 1},
    {"add killed half way, recovered", add_killed_and_recovered, 500, 3, 1},
    {"add killed late, recovered", add_killed_and_recovered, 950, 3, 1},
    {"add killed, recovered, written", add_killed_and_written, 500, 3, 1},
    {"add killed, done, another killed", add_killed_and_done_again, 400, 3, 1},
    {"add failed on damage", add_failed, 0, 3, 1},
    {"add failed on damage, repaired", add_failed, 1, 3, 1},
    {"TTL changed", ttl_changed, 0, 3, 1},
    {"TTL changed back", ttl_changed, 1, 3, 1},
    {"TTL changed and ended", ttl_changed, 2, 3, 1},
    {"restamp killed early", restamp_killed, 50, 3, 1},
    {"restamp killed half way", restamp_killed, 500, 3, 1},
    {"restamp and add killed, written", restamp_killed_and_more, 500, 3, 1},
    {"table dropped and made again", made_again, 4, 3, 1},
    {"drop killed early", drop_killed, 300, 3, 1},
    {"drop killed, made again", drop_killed_and_made_again, 600, 3, 1},
    {"put killed before its store", put_killed, 300, 3, 1},
    {"timers fired, some again", timers_fired, 9, 3, 1},
    {"repaired after an add was killed", repaired, 500, 3, 1},
    {"25 indexes", nothing, 0, 20, 5},
    {"full", full, 0, 3, 1},
    {"add failed for want of room", add_failed_for_want_of_room, 0, 3, 1},
    {"no index", nothing, 0, 0, 0},
    {"first index killed half way", add_killed_and_recovered, 500, 0, 0},
};

unsigned past_count(void) {
    return sizeof pasts / sizeof *pasts;
}

/* ---- The segment ----------------------------------------------------------------------------- */

struct larder *past_attach(const struct past *p, int memfd, uint32_t flags) {
    const struct larder_options o = {.flags = LARDER_MEMFD | flags, .memfd = memfd, .busy_timeout_ms = 2000};
    struct larder *db = NULL;
    if (larder_open(&o, &db))
        return NULL;
    larder_set_clock(db, clock_of_past, (void *)p);
    return db;
}

int past_copy(const struct past *p) {
    int fd = memfd_create("past", MFD_CLOEXEC);
    const struct seg_shm *from = mmap(NULL, PAST_BYTES, PROT_READ, MAP_SHARED, p->memfd, 0);
    cr_assert(fd >= 0 && from != MAP_FAILED && ftruncate(fd, PAST_BYTES) == 0);
    cr_assert(pwrite(fd, from, from->claimed_bytes, 0) == (ssize_t)from->claimed_bytes);
    munmap((void *)from, PAST_BYTES);
    return fd;
}

/* Sets the last word of an item's head, the number of its attributes. Returns what it was. */
static uint64_t shown_damage_of(const struct past *p, int n, uint64_t value) {
    struct seg_shm *head = mmap(NULL, PAST_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, p->memfd, 0);
    uint64_t before = 0;
    cr_assert(head != MAP_FAILED);
    const struct table_shm *aged = (const struct table_shm *)((uint8_t *)head + head->catalog_off);
    const struct stripe_shm *stripes = (const struct stripe_shm *)((uint8_t *)head + aged->items_off);
    struct past_key key;
    past_key(0, n, &key);
    for (uint32_t s = 0; s < PAST_STRIPES; s++) {
        const struct bucket_shm *bucket = (const struct bucket_shm *)((uint8_t *)head + WORD_OFF(stripes[s].array));
        uint64_t lines = WORD_TAG(stripes[s].array) + WORD_TAG(stripes[s].array) / 8 + 1;
        for (uint64_t i = 0; i < lines * BUCKET_SLOTS; i++) {
            uint64_t word = bucket[i / BUCKET_SLOTS].slot[i % BUCKET_SLOTS];
            uint64_t *item = (uint64_t *)(void *)((uint8_t *)head + WORD_OFF(word));
            if (word && memcmp((char *)(item + 4) + strlen(key.text[0]), key.text[1], strlen(key.text[1])) == 0) {
                before = item[3];
                item[3] = value;
            }
        }
    }
    munmap(head, PAST_BYTES);
    cr_assert(before, "item %d is not there", n);
    return before;
}

/* The same hashes in every run. */
static void make_segment(struct past *p) {
    const struct larder_options o = {
        .flags = LARDER_CREATE | LARDER_MEMFD, .memfd = -1, .size_bytes = PAST_BYTES, .stripe_count = PAST_STRIPES};
    struct larder *db;
    struct seg_shm head;
    EXPECT(larder_open(&o, &db), LARDER_OK);
    p->memfd = dup(larder_memfd(db));
    larder_close(db);
    cr_assert_eq(pread(p->memfd, &head, sizeof head, 0), sizeof head);
    head.hash_seed = HASH_SEED;
    head.sum = seg_layout_sum(&head);
    cr_assert_eq(pwrite(p->memfd, &head, sizeof head, 0), sizeof head);
}

/* A survivor judges what a cut-off addition or drop left. */
static void look_up_table(struct past *p) {
    int copy = past_copy(p);
    struct larder *db = past_attach(p, copy, 0);
    struct larder_table *t;
    const struct larder_table_def *def;
    check(db);
    if (larder_table_open(db, past_tables[0], &t) == LARDER_OK) {
        p->indexes = 0;
        EXPECT(larder_table_describe(t, &def), LARDER_OK);
        for (uint32_t i = 0; i < def->index_count; i++)
            p->indexes |= 1u << atoi(def->indexes[i].name + 2);
    } else
        p->is_dropped = 1;
    larder_close(db);
    close(copy);
}

void past_make(unsigned number, struct past *p) {
    memset(p, 0, sizeof *p);
    p->name = pasts[number].name;
    p->now_s = PAST_NOW_S;
    make_segment(p);
    struct larder *db = past_attach(p, p->memfd, 0);
    create_aged(p, db, pasts[number].globals, pasts[number].locals);
    fill_aged(p, db, pasts[number].globals > PAST_LATE ? 2 : 1);
    create_other(p, db);
    pasts[number].fn(p, db, pasts[number].arg);
    larder_close(db);
    look_up_table(p);
}

/* tests/crash/damage.c - see damage.h.
 *
 * Method   One memfd holds the copy; it is restored from the template for every try. Handles are opened on it as any process
 *          does, and then moved into a reserved range of addresses with nothing before and behind it: an access one byte too far
 *          is a SIGSEGV. Private copies are the address sanitizer's to watch. The clock stands still, waits for locks end
 *          after milliseconds, and what is random in a new segment is set to constants.
 */
#include "tests/crash/damage.h"
#include "core/base/crash.h"
#include "core/item/item_records.h"
#include "core/memory/htab.h"
#include "core/segment/seg_layout.h"
#include "core/table/db.h"
#include "core/table/read.h"
#include "core/table/schema.h"
#include "index/index.h"
#include "ttl/wheel.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xxhash.h>

#define BUSY_MS 3u
#define NOW_S INT64_C(1700000000)
#define STRIPES 4u
#define ITEMS 90
#define PLAIN_ITEMS 24
#define LARGE 12000u /* bytes: a block of whole spans */
#define PARTITIONS 3
#define PAGES_MAX 1000u /* more pages than items: a walk without end */
#define HASH_SEED UINT64_C(0x1a2de2c0ffee5eed)

struct damage_template damage_templates[DAMAGE_TEMPLATES];

static int memfd = -1;
static unsigned char *room; /* reserved addresses */
static uint64_t room_bytes;
static int is_pristine; /* nothing was changed: failures are not excused */

#define FAIL(...)                                                                                                      \
    do {                                                                                                               \
        fprintf(stderr, "damage: %s:%d: ", __func__, __LINE__);                                                        \
        fprintf(stderr, __VA_ARGS__);                                                                                  \
        fprintf(stderr, " (last error: %s)\n", larder_error());                                                        \
        abort();                                                                                                       \
    } while (0)
#define MUST(condition)                                                                                                \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            FAIL("%s does not hold", #condition);                                                                      \
    } while (0)

/* A result that larder.h names. E_INVAL is none: what is asked for here is allowed. */
static int judge(int r, const char *what) {
    switch (r) {
    case LARDER_OK:
    case LARDER_NOT_FOUND:
    case LARDER_MORE:
        return r;
    case LARDER_DAMAGED:
    case LARDER_E_FULL:
    case LARDER_E_BUSY:
    case LARDER_E_NO_TABLE:
    case LARDER_E_NO_INDEX:
    case LARDER_E_EXISTS:
    case LARDER_E_CORRUPT:
    case LARDER_E_DESTROYED:
    case LARDER_E_NO_SLOT:
    case LARDER_E_FORMAT:
    case LARDER_E_NO_SEGMENT:
        if (is_pristine)
            FAIL("%s: %s in an undamaged segment", what, larder_result_name(r));
        return r;
    default:
        FAIL("%s: %s (%d)", what, larder_result_name(r), r);
    }
}

/* ---- The contents -------------------------------------------------------------------------------------------------- */

static int64_t clock_of_damage(void *arg) {
    (void)arg;
    return NOW_S;
}

static void pk_text(char *to, size_t room_for, int n) {
    snprintf(to, room_for, "PARTITION#%d", n % PARTITIONS);
}

static void sk_text(char *to, size_t room_for, int n) {
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
static int put_item(struct larder *db, struct larder_table *t, int n, int keys, size_t fill, int64_t expires_s,
                    struct larder_page *replaced) {
    static const char payload[LARGE];
    struct larder_builder *b;
    const struct larder_item *item;
    char text[64];
    MUST(larder_builder_new(db, &b) == LARDER_OK);
    pk_text(text, sizeof text, n);
    larder_builder_add_s(b, "PK", text);
    sk_text(text, sizeof text, n);
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

static int put_plain(struct larder *db, struct larder_table *t, int n) {
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

static struct larder *open_memfd(uint32_t flags) {
    struct larder_options o = {.flags = LARDER_MEMFD | flags, .memfd = memfd, .busy_timeout_ms = BUSY_MS};
    struct larder *db = NULL;
    int r = judge(larder_open(&o, &db), "larder_open");
    if (r)
        return NULL;
    larder_set_clock(db, clock_of_damage, NULL);
    return db;
}

static void create_tables(struct larder *db) {
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

static void fill_tables(struct larder *db) {
    struct larder_table *world, *plain;
    MUST(larder_table_open(db, "World", &world) == LARDER_OK && larder_table_open(db, "Plain", &plain) == LARDER_OK);
    for (int n = 0; n < ITEMS; n++)
        MUST(put_item(db, world, n, n % 7, n == 5 ? LARGE : (size_t)(n % 60), n % 3 ? 0 : NOW_S - 40 + n * n, NULL) ==
             LARDER_OK);
    for (int n = 0; n < PLAIN_ITEMS; n++)
        MUST(put_plain(db, plain, n) == LARDER_OK);
    const struct larder_key gone = {larder_str("PARTITION#1"), larder_str("SORT#00004")};
    MUST(larder_delete(world, &gone, NULL) == LARDER_OK);
}

/* ---- Children that die --------------------------------------------------------------------------------------------- */

static int do_put(struct larder *db) {
    struct larder_table *t;
    return larder_table_open(db, "World", &t) || put_item(db, t, 31, 6, 300, NOW_S + 5, NULL);
}

static int do_index_add(struct larder *db) {
    const struct larder_index_def def = {.name = "G3x", .partition = {"L1S", LARDER_S}, .sort = {"SK", LARDER_S}};
    struct larder_table *t;
    return larder_table_open(db, "World", &t) || larder_index_add(t, &def);
}

extern _Atomic int drop_test_is_alone; /* core/table/drop_thread.c */

/* All of it by this thread, so that every run has the same stores. */
static int do_drop(struct larder *db) {
    atomic_store(&drop_test_is_alone, 1);
    return larder_table_drop(db, "Plain") || larder_expire(db, 0, NULL);
}

/* Runs `act` in a child that dies at `percent` of its stores. */
static void die_in(int (*act)(struct larder *db), uint64_t percent) {
    uint64_t *points = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    unsigned char *saved = malloc(LARDER_SEGMENT_BYTES_MIN);
    MUST(points != MAP_FAILED && saved && pread(memfd, saved, LARDER_SEGMENT_BYTES_MIN, 0) > 0);
    for (int is_real = 0; is_real < 2; is_real++) {
        pid_t pid = fork();
        if (pid == 0) {
            struct larder *db = open_memfd(0);
            shm_crash_arm(is_real ? points[0] * percent / 100 : 0);
            int r = act(db);
            points[0] = shm_crash_count();
            _exit(r ? 1 : 0);
        }
        int status = 0;
        MUST(pid > 0 && waitpid(pid, &status, 0) == pid);
        MUST(is_real ? WIFSIGNALED(status) : WIFEXITED(status) && WEXITSTATUS(status) == 0);
        if (!is_real)
            MUST(pwrite(memfd, saved, LARDER_SEGMENT_BYTES_MIN, 0) == LARDER_SEGMENT_BYTES_MIN);
    }
    free(saved);
    munmap(points, 4096);
}

/* ---- Where things are ---------------------------------------------------------------------------------------------- */

static void add_extent(struct damage_template *t, enum damage_class c, uint64_t off, uint64_t bytes) {
    uint32_t n = t->counts[c]++;
    t->extents[c] = realloc(t->extents[c], (n + 1) * sizeof *t->extents[c]);
    MUST(t->extents[c] && off % 8 == 0 && off + bytes <= t->claimed_bytes);
    t->extents[c][n] = (struct damage_extent){off, (uint32_t)((bytes + 7) / 8 * 8)};
}

static void add_list(struct damage_template *t, const struct seg *s, const struct htab *tab, uint64_t hash,
                     uint32_t index) {
    struct skl_list list;
    MUST(skl_find(&list, tab, hash, index));
    if (!list.slot)
        return;
    if (list.leaf_off) {
        add_extent(t, DAMAGE_LEAF, list.leaf_off, heap_block_bytes(s, list.leaf_off));
        return;
    }
    struct skl_node n = list.head;
    for (uint64_t next = 0;;) {
        uint64_t leaf = SHM_LOAD(&n.shm->leaf);
        add_extent(t, DAMAGE_NODE, n.off, skl_node_bytes(n.low_bytes, n.height));
        add_extent(t, DAMAGE_LEAF, leaf, heap_block_bytes(s, leaf));
        if (!skl_link(&list, &n, 0, &next) || !next || !skl_node_read(&list, next, &n))
            return;
    }
}

static void add_stripes(struct damage_template *t, const struct seg *s, uint64_t stripes_off, int are_items) {
    struct htab tab = {.seg = s,
                       .stripes = seg_at(s, stripes_off, STRIPES * sizeof(struct stripe_shm)),
                       .stripe_count = STRIPES,
                       .stripe_shift = 62};
    uint64_t words[512];
    if (!tab.stripes)
        return;
    for (uint32_t i = 0; i < STRIPES; i++) {
        struct stripe_shm *stripe = &tab.stripes[i];
        uint64_t array = SHM_LOAD(&stripe->array);
        add_extent(t, DAMAGE_STRIPE, seg_off(s, stripe), sizeof *stripe);
        if (array)
            add_extent(t, DAMAGE_BUCKETS, WORD_OFF(array), heap_block_bytes(s, WORD_OFF(array)));
        for (uint32_t b = 0; b < htab_bucket_count(&tab, stripe); b++) {
            int n = htab_bucket_slots(&tab, stripe, b, words, 512);
            for (int k = 0; k < n; k++) {
                uint64_t off = WORD_OFF(words[k]);
                const struct block_shm *block = seg_at(s, off, sizeof *block);
                if (are_items)
                    add_extent(t, DAMAGE_ITEM, off, ((const struct item_head *)block)->bytes);
                else
                    add_list(t, s, &tab, block->hash, block->index);
            }
        }
    }
}

static void add_timers(struct damage_template *t, const struct seg *s) {
    for (uint32_t i = 0; i < s->shard_count; i++) {
        struct wheel_shard_shm *shard = wheel_shard(s, i);
        add_extent(t, DAMAGE_SHARD, seg_off(s, shard), offsetof(struct wheel_shard_shm, slot));
        for (uint32_t place = 0; place < WHEEL_LEVELS * WHEEL_SLOTS; place++) {
            shm_word *slot = &shard->slot[place / WHEEL_SLOTS][place % WHEEL_SLOTS];
            struct wheel_chunk chunk;
            if (SHM_LOAD(slot) != 0 || place % 64 == 0)
                add_extent(t, DAMAGE_SHARD, seg_off(s, slot), sizeof *slot);
            for (uint64_t off = SHM_LOAD(slot); off && wheel_chunk_at(s, off, &chunk) == LARDER_OK; off = chunk.next)
                add_extent(t, DAMAGE_CHUNK, off, heap_block_bytes(s, off));
        }
    }
}

void damage_find(struct damage_template *t, const struct seg *s) {
    add_extent(t, DAMAGE_HEAD, 0, sizeof(struct seg_shm));
    for (uint32_t i = 0; i < 6; i++)
        add_extent(t, DAMAGE_SLOT, s->slots_off + i * sizeof(struct slot_shm), sizeof(struct slot_shm));
    for (uint32_t i = 0; i < 4; i++)
        add_extent(t, DAMAGE_TABLE, s->catalog_off + i * sizeof(struct table_shm), sizeof(struct table_shm));
    add_extent(t, DAMAGE_BIN, s->bins_off, CLASS_COUNT * sizeof(struct bin_shm));
    add_timers(t, s);
    for (uint32_t i = 0; i < s->span_count; i++)
        if (SHM_LOAD(&seg_span(s, i)->state) != SPAN_FREE)
            add_extent(t, DAMAGE_SPAN, seg_off(s, seg_span(s, i)), sizeof(struct span_shm));
    for (uint32_t i = 0; i < 4; i++) {
        struct table_shm *shm = seg_table(s, i);
        uint64_t schema = SHM_LOAD(&shm->schema_off);
        if (schema)
            add_extent(t, DAMAGE_SCHEMA, schema, heap_block_bytes(s, schema));
        add_stripes(t, s, SHM_LOAD(&shm->items_off), 1);
        add_stripes(t, s, SHM_LOAD(&shm->partitions_off), 0);
    }
}

const char *damage_class_name(enum damage_class c) {
    static const char *const names[] = {"head",   "slot",    "table", "bin",  "shard", "span", "schema",
                                        "stripe", "buckets", "item",  "leaf", "node",  "chunk"};
    return names[c];
}

/* ---- Using a segment ----------------------------------------------------------------------------------------------- */

/* What is read, in the order it is read in. */
static uint64_t digest;

static void take_in(const void *bytes, size_t count) {
    static uint8_t copy[1u << 16];
    for (size_t done = 0; done < count; done += sizeof copy) { /* memcpy: the sanitizer looks at all of it at once */
        size_t part = count - done < sizeof copy ? count - done : sizeof copy;
        memcpy(copy, (const uint8_t *)bytes + done, part);
        digest = XXH3_64bits_withSeed(copy, part, digest);
    }
}

/* The mapping goes where nothing is next to it. */
static void move_into_room(struct larder *db) {
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    if (room && room_bytes < db->seg.bytes + 2 * page) {
        munmap(room, room_bytes);
        room = NULL;
    }
    if (!room) {
        room_bytes = db->seg.bytes + 2 * page;
        room = mmap(NULL, room_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        MUST(room != MAP_FAILED);
    }
    void *moved = mremap(db->seg.base, db->seg.bytes, db->seg.bytes, MREMAP_MAYMOVE | MREMAP_FIXED, room + page);
    MUST(moved != MAP_FAILED);
    db->seg.base = moved;
    db->seg.shm = moved;
    (void)writer_is_idle(&db->writers, 0); /* brings all of them into the list */
    for (struct writer *w = db->writers.idle; w; w = w->next)
        w->slot = seg_slot(&db->seg, w->id);
}

static struct larder *open_guarded(uint32_t flags) {
    struct larder *db = open_memfd(flags);
    if (db)
        move_into_room(db);
    return db;
}

/* munmap by larder_close() leaves a hole in the room: others might move in. */
static void close_guarded(struct larder *db) {
    larder_close(db);
    munmap(room, room_bytes);
    room = NULL;
}

static void read_value(const struct larder_value *value, int depth) {
    char text[LARDER_NUMBER_TEXT_MAX];
    int64_t integer;
    struct larder_iter it;
    struct larder_member member;
    MUST(depth <= LARDER_NESTING_MAX + 1);
    switch (value->type) {
    case LARDER_N:
        if (larder_value_number(value, text) == LARDER_OK)
            take_in(text, strlen(text));
        (void)larder_value_int64(value, &integer);
        break;
    case LARDER_S:
    case LARDER_B:
        take_in(value->data, value->bytes);
        break;
    case LARDER_BOOL:
    case LARDER_NULL:
        take_in(&value->is_true, sizeof value->is_true);
        break;
    case LARDER_M:
    case LARDER_L:
    case LARDER_SS:
    case LARDER_NS:
    case LARDER_BS:
        larder_iter_value(value, &it);
        for (uint32_t i = 0; larder_iter_next(&it, &member) == LARDER_OK; i++) {
            MUST(i < value->count);
            take_in(member.name, member.name ? member.name_bytes : 0);
            read_value(&member.value, depth + 1);
        }
        break;
    default:
        FAIL("a value of type %d", (int)value->type);
    }
}

/* Every byte of an item, by every reader. */
static void read_item(const struct larder_item *item) {
    const struct item_head *image = item_head(item);
    struct larder_iter it;
    struct larder_member member;
    struct larder_value found;
    uint32_t count = 0;
    int is_readable = item_is_readable(image, image->bytes), r;
    MUST(item_head_is_sane(image, image->bytes) && (is_readable || !is_pristine));
    MUST(larder_item_size(item) <= UINT32_MAX);
    larder_iter_item(item, &it);
    while ((r = larder_iter_next(&it, &member)) == LARDER_OK) {
        MUST(count++ < larder_item_count(item));
        take_in(member.name, member.name_bytes);
        read_value(&member.value, 0);
        (void)larder_item_getn(item, member.name, member.name_bytes, &found);
    }
    MUST(r == LARDER_NOT_FOUND || (r == LARDER_E_CORRUPT && !is_readable));
    MUST(count == larder_item_count(item) || !is_readable);
}

/* A copy made by the builder: what is read can be given again. */
static void copy_item(struct larder *db, const struct larder_item *item) {
    struct larder_builder *b;
    const struct larder_item *copy;
    struct larder_iter it;
    struct larder_member member;
    MUST(larder_builder_new(db, &b) == LARDER_OK);
    larder_iter_item(item, &it);
    while (larder_iter_next(&it, &member) == LARDER_OK)
        (void)larder_builder_add_member(b, &member);
    int r = larder_builder_finish(b, &copy);
    MUST(r == LARDER_OK || r == LARDER_E_INVAL); /* a damaged text or number is refused */
    if (r == LARDER_OK)
        MUST(item_is_sane(copy, item_head(copy)->bytes));
    larder_builder_free(b);
}

static void use_gets(struct larder *db, struct larder_table *t, struct larder_page *page, int is_world) {
    struct larder_key keys[ITEMS + 2];
    char pk[ITEMS + 2][24], sk[ITEMS + 2][24];
    int count = is_world ? ITEMS + 2 : PLAIN_ITEMS + 2;
    for (int n = 0; n < count; n++) {
        if (is_world) {
            pk_text(pk[n], sizeof pk[n], n);
            sk_text(sk[n], sizeof sk[n], n);
            keys[n] = (struct larder_key){larder_str(pk[n]), larder_str(sk[n])};
        } else {
            snprintf(pk[n], sizeof pk[n], "%d", n);
            keys[n] = (struct larder_key){larder_num(pk[n]), larder_str("")};
        }
    }
    int many = judge(larder_get_many(t, keys, (uint32_t)count, page), "larder_get_many");
    if (many == LARDER_OK)
        MUST(larder_page_count(page) == (uint32_t)count);
    for (int n = 0; n < count; n++) {
        const struct table_view *v;
        struct item_key key;
        if (judge(larder_get(t, &keys[n], page), "larder_get") != LARDER_OK)
            continue;
        MUST(larder_page_count(page) == 1);
        const struct item_head *image = item_head(larder_page_item(page, 0));
        read_item(larder_page_item(page, 0));
        if (n % 8 == 0)
            copy_item(db, larder_page_item(page, 0));
        if (table_view(t, &v) == LARDER_OK && item_key_from_values(&v->shape, &keys[n], &key) == LARDER_OK)
            MUST(image->partition_bytes == key.partition_bytes && image->sort_bytes == key.sort_bytes &&
                 memcmp(item_key_area(image), key.area, key.area_bytes) == 0);
    }
}

/* The value of an attribute; empty if a damaged item does not have it. */
static struct bytes attr_of(const struct larder_item *item, const char *name) {
    struct larder_value value;
    if (larder_item_get(item, name, &value) != LARDER_OK || value.type > LARDER_B)
        return (struct bytes){NULL, 0};
    return (struct bytes){value.data, value.bytes};
}

static void use_query(struct larder_table *t, struct larder_page *page, const char *index, const char *partition_name,
                      const char *sort_name, const struct larder_query_spec *like) {
    struct larder_query_spec spec = *like;
    struct bytes previous = {NULL, 0};
    uint8_t previous_key[LARDER_SORT_KEY_BYTES_MAX];
    spec.index = index;
    for (uint32_t pages = 0;; pages++) {
        int r = larder_query(t, &spec, page);
        if (r == LARDER_E_INVAL && spec.start_key) /* a damaged item without its key attributes was the last one */
            return;
        if (judge(r, "larder_query") < 0)
            return;
        for (uint32_t i = 0; i < larder_page_count(page); i++) {
            const struct larder_item *item = larder_page_item(page, i);
            struct bytes partition = attr_of(item, partition_name), sort = attr_of(item, sort_name);
            MUST(item_head_is_sane(item_head(item), item_head(item)->bytes));
            if (!spec.limit)
                take_in(item, item_head(item)->bytes);
            /* A key attribute's name is payload: damaged, it is not found. */
            if (partition.at)
                MUST(partition.len == spec.partition.bytes &&
                     !memcmp(partition.at, spec.partition.data, partition.len));
            if (!sort.at || sort.len > sizeof previous_key)
                continue;
            int order = previous.at ? item_compare_bytes(previous, sort) : 0;
            MUST(spec.is_descending ? order >= 0 : order <= 0);
            memcpy(previous_key, sort.at, sort.len);
            previous = (struct bytes){previous_key, sort.len};
        }
        if (r != LARDER_MORE)
            return;
        MUST(pages < PAGES_MAX && larder_page_resume(page));
        spec.start_key = larder_page_resume(page);
    }
}

static void use_queries(struct larder_table *t, struct larder_page *page, int is_brief) {
    static const struct {
        const char *index, *partition, *sort;
        int is_number;
    } indexes[] = {{NULL, "PK", "SK", 0}, {"G1x", "G1P", "G1S", 0}, {"G2x", "G2P", "G2S", 1}, {"L1x", "PK", "L1S", 0}};
    for (size_t i = 0; i < sizeof indexes / sizeof *indexes; i++)
        for (int p = 0; p < PARTITIONS; p++)
            for (int down = 0; down < 2; down++) {
                char partition[24];
                pk_text(partition, sizeof partition, p);
                struct larder_query_spec spec = {.partition = larder_str(partition), .is_descending = down};
                use_query(t, page, indexes[i].index, indexes[i].partition, indexes[i].sort, &spec);
                if (is_brief)
                    continue;
                spec.limit = 7;
                spec.sort_op = LARDER_SORT_GE;
                spec.sort_value = indexes[i].is_number ? larder_num("-100") : larder_str(i == 1 ? "SHARED#3" : "2");
                use_query(t, page, indexes[i].index, indexes[i].partition, indexes[i].sort, &spec);
            }
}

static void use_scan(struct larder_table *t, struct larder_page *page, uint32_t limit) {
    struct larder_scan_spec spec = {.limit = limit};
    for (uint32_t pages = 0;; pages++) {
        int r = larder_scan(t, &spec, page);
        if (r == LARDER_E_INVAL && spec.start_key)
            return;
        if (judge(r, "larder_scan") < 0)
            return;
        for (uint32_t i = 0; i < larder_page_count(page); i++)
            read_item(larder_page_item(page, i));
        if (r != LARDER_MORE)
            return;
        MUST(pages < PAGES_MAX && larder_page_resume(page));
        spec.start_key = larder_page_resume(page);
    }
}

static void use_stats(struct larder *db) {
    struct larder_segment_stats segment;
    struct larder_class_stats classes[64];
    struct larder_slot_stats slots[70];
    uint32_t count;
    (void)judge(larder_segment_stats(db, &segment), "larder_segment_stats");
    (void)judge(larder_class_stats(db, classes, 64, &count), "larder_class_stats");
    if (judge(larder_slot_stats(db, slots, 70, &count), "larder_slot_stats") == LARDER_OK)
        for (uint32_t i = 0; i < count && i < 70; i++)
            for (uint32_t k = 0; k < slots[i].lock_count; k++)
                MUST(slots[i].lock_kinds[k] != NULL);
}

static struct larder_table *use_table(struct larder *db, const char *name) {
    struct larder_table *t = NULL;
    const struct larder_table_def *def;
    struct larder_table_stats stats;
    if (judge(larder_table_open(db, name, &t), "larder_table_open") != LARDER_OK)
        return NULL;
    if (judge(larder_table_describe(t, &def), "larder_table_describe") == LARDER_OK) {
        take_in(def->name, strlen(def->name));
        for (uint32_t i = 0; i < def->index_count; i++)
            take_in(def->indexes[i].name, strlen(def->indexes[i].name));
    }
    (void)judge(larder_table_stats(t, &stats), "larder_table_stats");
    return t;
}

static void use_check(struct larder *db) {
    struct larder_check_report report;
    int r = larder_check(db, NULL, &report);
    MUST(r != LARDER_DAMAGED || report.errors > 0);
    MUST(r != LARDER_E_CORRUPT || !is_pristine);
    if (is_pristine && db->seg.is_read_only) /* dead slots are only recovered by who may write */
        return;
    (void)judge(r, "larder_check");
}

/* is_brief: once more, after writing. */
static void read_all(struct larder *db, int is_brief) {
    const char *names[8];
    uint32_t count = 0;
    struct larder_page *page;
    MUST(larder_page_new(db, &page) == LARDER_OK);
    if (judge(larder_table_list(db, names, 8, &count), "larder_table_list") == LARDER_OK)
        for (uint32_t i = 0; i < count && i < 8; i++)
            take_in(names[i], strlen(names[i]));
    struct larder_table *world = is_pristine && count == 0 ? NULL : use_table(db, "World");
    if (world) {
        use_gets(db, world, page, 1);
        use_queries(world, page, is_brief);
        use_scan(world, page, is_brief ? 9 : 0);
    }
    int saved = is_pristine; /* the template whose table Plain is being dropped */
    is_pristine = 0;
    struct larder_table *plain = use_table(db, "Plain");
    is_pristine = saved;
    if (plain) {
        use_gets(db, plain, page, 0);
        use_scan(plain, page, 5);
    }
    larder_page_free(page);
}

static void write_all(struct larder *db) {
    struct larder_table *world = NULL, *plain = NULL;
    struct larder_page *page;
    uint64_t removed;
    char pk[24], sk[24];
    MUST(larder_page_new(db, &page) == LARDER_OK);
    (void)judge(larder_table_open(db, "World", &world), "larder_table_open");
    for (int n = 0; world && n < 12; n++) { /* overwrites with other keys, new items, a large one */
        int at = n < 8 ? n * 17 % ITEMS : ITEMS + n;
        (void)judge(put_item(db, world, at, (n * 3) % 7, n == 3 ? LARGE : 40, n % 2 ? NOW_S + n : 0, page),
                    "larder_put");
        if (larder_page_count(page))
            read_item(larder_page_item(page, 0));
    }
    for (int n = 0; world && n < 8; n++) { /* a number that some have: the sort key of an index */
        pk_text(pk, sizeof pk, n * 11);
        sk_text(sk, sizeof sk, n * 11);
        struct larder_key key = {larder_str(pk), larder_str(sk)};
        (void)judge(larder_increment(world, &key, "G2S", n - 3, NULL), "larder_increment");
    }
    for (int n = 0; world && n < 8; n++) {
        pk_text(pk, sizeof pk, n * 13);
        sk_text(sk, sizeof sk, n * 13);
        struct larder_key key = {larder_str(pk), larder_str(sk)};
        (void)judge(larder_delete(world, &key, page), "larder_delete");
        if (larder_page_count(page))
            read_item(larder_page_item(page, 0));
    }
    (void)judge(larder_expire(db, 0, &removed), "larder_expire");
    if (world)
        (void)judge(larder_ttl_set(world, "G2S"), "larder_ttl_set");
    if (world && !is_pristine) {
        int r = do_index_add(db);
        MUST(r != LARDER_E_INVAL);
    }
    int saved = is_pristine;
    is_pristine = 0;
    if (judge(larder_table_open(db, "Plain", &plain), "larder_table_open") == LARDER_OK)
        (void)judge(put_plain(db, plain, 3), "larder_put");
    is_pristine = saved;
    larder_page_free(page);
}

/* ---- One try ------------------------------------------------------------------------------------------------------- */

static void restore(const struct damage_template *t) {
    MUST(pwrite(memfd, t->bytes, t->claimed_bytes, 0) == (ssize_t)t->claimed_bytes);
    MUST(t->claimed_bytes == t->size_bytes ||
         fallocate(memfd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)t->claimed_bytes,
                   (off_t)(t->size_bytes - t->claimed_bytes)) == 0);
}

static uint64_t use_read_only(int is_brief) {
    digest = UINT64_C(0xcbf29ce484222325);
    struct larder *db = open_guarded(LARDER_READ_ONLY);
    if (!db)
        return 0;
    read_all(db, is_brief);
    use_stats(db);
    use_check(db);
    close_guarded(db);
    return digest;
}

static void use_read_write(void) {
    struct larder *db = open_guarded(0);
    if (!db)
        return;
    write_all(db);
    read_all(db, 1);
    use_stats(db);
    use_check(db);
    if (!is_pristine) {
        (void)judge(larder_table_drop(db, "World"), "larder_table_drop");
        (void)judge(larder_table_drop(db, "Plain"), "larder_table_drop");
    }
    close_guarded(db);
}

/* Reading, writing, and reading what the writing made of it. Damage that the recovery of a dead slot meets first is met by a reader
 * that may not recover, too. */
static void use(const struct damage_template *t) {
    uint64_t seen = use_read_only(0);
    MUST(!is_pristine || seen == t->digest);
    use_read_write();
    if (!is_pristine)
        (void)use_read_only(1);
}

static void set_word(uint64_t off, uint64_t value) {
    MUST(pwrite(memfd, &value, sizeof value, (off_t)off) == sizeof value);
}

static uint64_t mix(uint64_t n) { /* splitmix64 */
    n += UINT64_C(0x9e3779b97f4a7c15);
    n = (n ^ n >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    n = (n ^ n >> 27) * UINT64_C(0x94d049bb133111eb);
    return n ^ n >> 31;
}

/* A block or structure, by number. */
static uint64_t some_offset(const struct damage_template *t, uint32_t value) {
    uint32_t c = value % DAMAGE_CLASSES;
    return t->counts[c] ? t->extents[c][value / DAMAGE_CLASSES % t->counts[c]].off : t->claimed_bytes;
}

static uint64_t edited(const struct damage_template *t, const struct damage_edit *e, const struct damage_extent *x,
                       uint64_t word) {
    const uint64_t low = UINT64_C(0xffffffff), tag = UINT64_C(0xffff) << 48;
    switch (e->kind % DAMAGE_KINDS) {
    case 0:
        return word ^ UINT64_C(1) << e->value % 64;
    case 1:
        return 0;
    case 2:
        return ~UINT64_C(0);
    case 3:
        return word + 8;
    case 4:
        return word - 8;
    case 5:
        return some_offset(t, e->value);
    case 6:
        return e->value;
    case 7:
        return (word & ~(UINT64_C(0xff) << 8 * (e->value >> 8 & 7))) | (uint64_t)(e->value & 0xff)
                                                                           << 8 * (e->value >> 8 & 7);
    case 8:
        return (word & ~low) | e->value;
    case 9:
        return (word & low) | (uint64_t)e->value << 32;
    case 10:
        return x->off;
    case 11:
        return (word & tag) | x->off;
    case 12:
        return mix(e->value);
    case 13:
        return (word & tag) | some_offset(t, e->value);
    case 14:
        return (word & ~tag) | (uint64_t)e->value << 48;
    default:
        return t->claimed_bytes - e->value % 64;
    }
}

void damage_try(const struct damage_template *t, const struct damage_edit *edits, uint32_t count) {
    restore(t);
    is_pristine = 1;
    for (uint32_t i = 0; i < count && i < DAMAGE_EDITS_MAX; i++) {
        const struct damage_edit *e = &edits[i];
        uint32_t c = e->class_index % (DAMAGE_CLASSES + 1);
        struct damage_extent raw = {.off = (uint64_t)(e->which % 16) << 16, .bytes = 1u << 16};
        const struct damage_extent *x = &raw; /* one more class: anywhere */
        if (c < DAMAGE_CLASSES && t->counts[c] == 0)
            continue;
        if (c < DAMAGE_CLASSES)
            x = &t->extents[c][e->which % t->counts[c]];
        uint64_t off = x->off + (uint64_t)(e->word % (x->bytes / 8)) * 8, word;
        if (off + 8 > t->claimed_bytes)
            continue;
        MUST(pread(memfd, &word, sizeof word, (off_t)off) == sizeof word);
        uint64_t now = edited(t, e, x, word);
        is_pristine &= now == word;
        set_word(off, now);
    }
    use(t);
}

void damage_try_words(const struct damage_template *t, const struct damage_word *words, uint32_t count) {
    restore(t);
    for (uint32_t i = 0; i < count; i++)
        set_word(words[i].off, words[i].value);
    is_pristine = 0;
    use(t);
}

/* ---- Templates ----------------------------------------------------------------------------------------------------- */

/* What differs from run to run: times and process ids. */
static void make_constant(unsigned char *bytes) {
    struct seg_shm *head = (struct seg_shm *)(void *)bytes;
    struct slot_shm *slots = (struct slot_shm *)(void *)(bytes + head->slots_off);
    head->created_s = NOW_S;
    head->sum = seg_layout_sum(head);
    for (uint32_t i = 0; i < head->slot_count; i++) {
        atomic_store(&slots[i].pid, 1);
        atomic_store(&slots[i].started_s, NOW_S);
        atomic_store(&slots[i].lock_since_ns, 1);
    }
}

static void make_segment(void) {
    const uint64_t seed = HASH_SEED;
    struct larder_options o = {.flags = LARDER_MEMFD | LARDER_CREATE,
                               .memfd = -1,
                               .size_bytes = LARDER_SEGMENT_BYTES_MIN,
                               .stripe_count = STRIPES};
    struct larder *db;
    MUST(larder_open(&o, &db) == LARDER_OK);
    if (memfd >= 0)
        close(memfd);
    memfd = dup(larder_memfd(db));
    larder_close(db);
    struct seg_shm head;
    MUST(pread(memfd, &head, sizeof head, 0) == sizeof head);
    head.hash_seed = seed;
    head.sum = seg_layout_sum(&head);
    MUST(pwrite(memfd, &head, sizeof head, 0) == sizeof head);
    MUST((db = open_memfd(0)) != NULL);
    create_tables(db);
    fill_tables(db);
    larder_close(db);
}

static void keep(struct damage_template *t) {
    struct larder *db = open_memfd(LARDER_READ_ONLY);
    MUST(db != NULL);
    t->size_bytes = db->seg.bytes;
    t->claimed_bytes = SHM_LOAD(&db->seg.shm->claimed_bytes);
    damage_find(t, &db->seg);
    larder_close(db);
    t->bytes = malloc(t->claimed_bytes);
    MUST(t->bytes && pread(memfd, t->bytes, t->claimed_bytes, 0) == (ssize_t)t->claimed_bytes);
    make_constant(t->bytes);
    restore(t);
    t->digest = use_read_only(0);
}

void damage_prepare(void) {
    static const struct {
        const char *name;
        int (*act)(struct larder *db);
        uint64_t percent;
    } plans[DAMAGE_TEMPLATES] = {
        {"sound", NULL, 0},
        {"put, died early", do_put, 35},
        {"put, died late", do_put, 80},
        {"put, died half way", do_put, 60},
        {"index_add, died half way", do_index_add, 50},
        {"drop, died half way", do_drop, 50},
    };
    leaf_capacity = 4;
    is_pristine = 1;
    for (uint32_t i = 0; i < DAMAGE_TEMPLATES; i++) {
        make_segment();
        if (plans[i].act)
            die_in(plans[i].act, plans[i].percent);
        damage_templates[i].name = plans[i].name;
        keep(&damage_templates[i]);
    }
}

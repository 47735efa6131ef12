/* tests/crash/damage_templates.c - the segments that are damaged, and where their structures lie.
 *
 * Method   A segment is filled; in most a child dies in the middle of a write. What is random in a
 *          new segment is set to constants, so that the templates are the same in every process.
 */
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/crash.h"
#include "core/item/item_records.h"
#include "core/memory/htab.h"
#include "core/segment/seg_layout.h"
#include "core/table/db.h"
#include "index/index.h"
#include "tests/crash/damage.h"
#include "tests/crash/damage_parts.h"
#include "ttl/wheel.h"

struct damage_template damage_templates[DAMAGE_TEMPLATES];

static int do_put(struct larder *db) {
    struct larder_table *t;
    return larder_table_open(db, "World", &t) || damage_put_item(db, t, 31, 6, 300, NOW_S + 5, NULL);
}

extern _Atomic int drop_test_is_alone; /* core/table/drop_thread.c */

/* This thread stores everything, so that every run has the same stores. */
static int do_drop(struct larder *db) {
    atomic_store(&drop_test_is_alone, 1);
    return larder_table_drop(db, "Plain") || larder_expire(db, 0, NULL);
}

/* Runs `act` in a child that dies at `percent` of its stores. */
static void die_in(int (*act)(struct larder *db), uint64_t percent) {
    uint64_t *points = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    unsigned char *saved = malloc(LARDER_SEGMENT_BYTES_MIN);
    MUST(points != MAP_FAILED && saved && pread(damage_memfd, saved, LARDER_SEGMENT_BYTES_MIN, 0) > 0);
    for (int is_real = 0; is_real < 2; is_real++) {
        pid_t pid = fork();
        if (pid == 0) {
            struct larder *db = damage_open(0);
            shm_crash_arm(is_real ? points[0] * percent / 100 : 0);
            int r = act(db);
            points[0] = shm_crash_count();
            _exit(r ? 1 : 0);
        }
        int status = 0;
        MUST(pid > 0 && waitpid(pid, &status, 0) == pid);
        MUST(is_real ? WIFSIGNALED(status) : WIFEXITED(status) && WEXITSTATUS(status) == 0);
        if (!is_real)
            MUST(pwrite(damage_memfd, saved, LARDER_SEGMENT_BYTES_MIN, 0) == LARDER_SEGMENT_BYTES_MIN);
    }
    free(saved);
    munmap(points, 4096);
}

/* ---- Where things are ------------------------------------------------------------------------ */

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

/* ---- Templates ------------------------------------------------------------------------------- */

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
    if (damage_memfd >= 0)
        close(damage_memfd);
    damage_memfd = dup(larder_memfd(db));
    larder_close(db);
    struct seg_shm head;
    MUST(pread(damage_memfd, &head, sizeof head, 0) == sizeof head);
    head.hash_seed = seed;
    head.sum = seg_layout_sum(&head);
    MUST(pwrite(damage_memfd, &head, sizeof head, 0) == sizeof head);
    MUST((db = damage_open(0)) != NULL);
    damage_create_tables(db);
    damage_fill_tables(db);
    larder_close(db);
}

static void keep(struct damage_template *t) {
    struct larder *db = damage_open(LARDER_READ_ONLY);
    MUST(db != NULL);
    t->size_bytes = db->seg.bytes;
    t->claimed_bytes = SHM_LOAD(&db->seg.shm->claimed_bytes);
    damage_find(t, &db->seg);
    larder_close(db);
    t->bytes = malloc(t->claimed_bytes);
    MUST(t->bytes && pread(damage_memfd, t->bytes, t->claimed_bytes, 0) == (ssize_t)t->claimed_bytes);
    make_constant(t->bytes);
    damage_restore(t);
    t->digest = damage_use_read_only(0);
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
        {"index_add, died half way", damage_add_index, 50},
        {"drop, died half way", do_drop, 50},
    };
    leaf_capacity = 4;
    damage_is_pristine = 1;
    for (uint32_t i = 0; i < DAMAGE_TEMPLATES; i++) {
        make_segment();
        if (plans[i].act)
            die_in(plans[i].act, plans[i].percent);
        damage_templates[i].name = plans[i].name;
        keep(&damage_templates[i]);
    }
}

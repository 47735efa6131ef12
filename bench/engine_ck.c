/* bench/engine_ck.c - Concurrency Kit's hash table (ck_ht, byte-string keys). See bench/engine.h.
 *
 * Job      What a hash table inside one process costs, without shared memory between unrelated
 *          processes, without recovery, with one writer.
 * Setup    Keys and values are in one shared arena, so that forked readers see them. Reads and
 *          overwrites in place only.
 */
#include "bench/engine.h"
#include "bench/fail.h"
#include <ck_ht.h>
#include <string.h>
#include <sys/mman.h>
#include <xxhash.h>

struct ck_engine {
    struct scene scene;
    ck_ht_t table;
    char *block;
    uint64_t block_bytes;
};

struct ck_session {
    struct ck_engine *e;
    struct blobs blobs;
    char buffer[1 << 20];
};

static void *shared_memory(size_t bytes) {
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED)
        fail("ck: no memory for %zu bytes", bytes);
    return at;
}

/* The table is made once at its final size: a few large blocks, each with its size in front. */
static void *ck_bench_malloc(size_t bytes) {
    size_t *at = shared_memory(bytes + 64);
    at[0] = bytes + 64;
    return at + 8;
}

static void ck_bench_free(void *at, size_t bytes, bool defer) {
    (void)bytes, (void)defer;
    munmap((size_t *)at - 8, ((size_t *)at)[-8]);
}

static struct ck_malloc allocator = {.malloc = ck_bench_malloc, .free = ck_bench_free};

static void ck_bench_hash(ck_ht_hash_t *h, const void *key, size_t bytes, uint64_t seed) {
    h->value = XXH3_64bits_withSeed(key, bytes, seed);
}

static void *ck_create(const struct scene *scene, const char **why) {
    struct ck_engine *e = calloc(1, sizeof *e);
    (void)why;
    e->scene = *scene;
    e->block_bytes = (64 + scene->item_bytes + 15) / 16 * 16;
    e->block = shared_memory(scene->items * e->block_bytes);
    if (!ck_ht_init(&e->table, CK_HT_MODE_BYTESTRING, ck_bench_hash, &allocator, scene->items * 2, 1))
        fail("ck: no table");
    for (uint64_t n = 0; n < scene->items; n++) {
        char *block = e->block + n * e->block_bytes;
        ck_ht_hash_t h;
        ck_ht_entry_t entry;
        dataset_key(n, (struct bench_key *)block);
        blob_fill(n, 0, block + 64, scene->item_bytes);
        ck_ht_hash(&h, &e->table, block, KEY_BYTES);
        ck_ht_entry_set(&entry, h, block, KEY_BYTES, block + 64);
        if (!ck_ht_put_spmc(&e->table, h, &entry))
            fail("ck: no room");
    }
    return e;
}

static void ck_destroy(void *engine) {
    struct ck_engine *e = engine;
    ck_ht_destroy(&e->table);
    munmap(e->block, e->scene.items * e->block_bytes);
    free(e);
}

static void *ck_attach(void *engine) {
    struct ck_session *s = calloc(1, sizeof *s);
    s->e = engine;
    s->blobs.bytes = s->e->scene.item_bytes;
    return s;
}

static void ck_detach(void *session) {
    struct ck_session *s = session;
    blobs_free(&s->blobs);
    free(s);
}

static void ck_prepare(void *session, struct write *w) {
    blobs_prepare(&((struct ck_session *)session)->blobs, w);
}

static void ck_build(void *session, struct write *w) {
    blobs_build(&((struct ck_session *)session)->blobs, w);
}

static char *find(struct ck_session *s, const struct bench_key *key) {
    ck_ht_hash_t h;
    ck_ht_entry_t entry;
    ck_ht_hash(&h, &s->e->table, key, KEY_BYTES);
    ck_ht_entry_key_set(&entry, key, KEY_BYTES);
    return ck_ht_get_spmc(&s->e->table, h, &entry) ? ck_ht_entry_value(&entry) : NULL;
}

static uint64_t ck_get(void *session, const struct bench_key *key) {
    struct ck_session *s = session;
    const char *value = find(s, key);
    if (!value)
        return 0;
    memcpy(s->buffer, value, s->blobs.bytes);
    return s->blobs.bytes;
}

static int ck_put(void *session, const struct write *w, int is_new, int is_moved) {
    struct bench_key key;
    (void)is_new, (void)is_moved;
    dataset_key(w->n, &key);
    char *value = find(session, &key);
    if (!value)
        return 0;
    memcpy(value, w->prepared, w->bytes);
    return 1;
}

static uint64_t ck_copied(void *session, unsigned i) {
    (void)i; /* one at a time */
    return blob_number(((struct ck_session *)session)->buffer);
}

const struct engine engine_ck = {
    .name = "ck",
    .setup = "ck_ht with byte-string keys at its final size, XXH3, values overwritten in place; one writer, no deletes",
    .can = CAN_WRITE | CAN_SHARE_READS | CAN_THREAD,
    .create = ck_create,
    .destroy = ck_destroy,
    .attach = ck_attach,
    .detach = ck_detach,
    .prepare = ck_prepare,
    .build = ck_build,
    .get = ck_get,
    .put = ck_put,
    .copied = ck_copied,
};

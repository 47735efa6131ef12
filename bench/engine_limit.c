/* bench/engine_limit.c - the limit probe: what no design can avoid.
 *
 * Job      For each workload the unavoidable cache misses and copies alone: hash the key, one dependent miss for the bucket line,
 *          one for the item, a copy. No locks, no checks of concurrent change, no memory management, no recovery; it would be
 *          useless as a store. Whatever Larder needs beyond this is the price of its promises.
 * Picture  bucket line of 8 words {tag 16, item number 48} -> block {55-byte key, item bytes}
 *          index: place of item n in its partition's order (one miss stands for finding the partition and the leaf), then the
 *          ordered entries of 16 bytes, side by side
 * Rules    Items lie in the order of loading, as they do in Larder. A write goes into the item's own place. Pages are 4 KB, or
 *          huge if the scene says so.
 */
#include "bench/engine.h"
#include "bench/fail.h"
#include <string.h>
#include <sys/mman.h>
#include <xxhash.h>

#define BUCKET_WORDS 8u
#define REMOVED UINT64_MAX /* searches go on behind it */

struct entry {
    uint64_t date;
    uint64_t n;
};

struct limit_engine {
    struct scene scene;
    uint64_t capacity, buckets, block_bytes;
    uint64_t *bucket;
    char *block;
    uint32_t *place[INDEX_COUNT];
    struct entry *order[INDEX_COUNT];
};

struct limit_session {
    struct limit_engine *e;
    struct blobs blobs;
    char buffer[1 << 20];
};

static void *map(const struct scene *scene, uint64_t bytes) {
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED)
        fail("limit: no memory for %llu bytes", (unsigned long long)bytes);
    if (scene->huge_pages)
        madvise(at, bytes, MADV_HUGEPAGE);
    return at;
}

static uint64_t hash_of(const struct bench_key *key) {
    return XXH3_64bits(key, KEY_BYTES);
}

static uint64_t *bucket_of(const struct limit_engine *e, uint64_t hash) {
    return e->bucket + (uint64_t)((__uint128_t)hash * e->buckets >> 64) * BUCKET_WORDS;
}

static uint64_t word_of(uint64_t hash, uint64_t n) {
    return hash << 48 | (n + 1);
}

static char *block_of(const struct limit_engine *e, uint64_t n) {
    return e->block + n * e->block_bytes;
}

/* The item's block, or NULL: one miss for the bucket, one for the item. */
static char *find(const struct limit_engine *e, uint64_t hash, const struct bench_key *key, uint64_t **word) {
    uint64_t *b = bucket_of(e, hash);
    for (;; b = b + BUCKET_WORDS == e->bucket + e->buckets * BUCKET_WORDS ? e->bucket : b + BUCKET_WORDS) {
        for (unsigned i = 0; i < BUCKET_WORDS; i++) {
            if (b[i] == 0)
                return NULL;
            if (b[i] == REMOVED || b[i] >> 48 != (hash & 0xffff))
                continue;
            char *block = block_of(e, (b[i] & UINT64_C(0xffffffffffff)) - 1);
            if (memcmp(block, key, KEY_BYTES) == 0) {
                *word = &b[i];
                return block;
            }
        }
    }
}

static void insert(struct limit_engine *e, const struct bench_key *key, uint64_t n, const void *bytes) {
    uint64_t hash = hash_of(key);
    uint64_t *b = bucket_of(e, hash);
    for (unsigned i = 0;; i++) {
        uint64_t *w = b + i < e->bucket + e->buckets * BUCKET_WORDS ? b + i : b + i - e->buckets * BUCKET_WORDS;
        if (*w == 0 || *w == REMOVED) {
            char *block = block_of(e, n);
            memcpy(block, key, KEY_BYTES);
            memcpy(block + 64, bytes, e->scene.item_bytes);
            *w = word_of(hash, n);
            return;
        }
    }
}

/* ---- Indexes ----------------------------------------------------------------------------------------------------------- */

static struct entry *sort_entries;
static int sort_index;

static int by_index_key(const void *a, const void *b) {
    const struct entry *x = a, *y = b;
    struct index_key p, q;
    dataset_index_key(x->n, sort_index, 0, &p);
    dataset_index_key(y->n, sort_index, 0, &q);
    int order = memcmp(p.partition, q.partition, p.partition_bytes);
    uint32_t shorter = p.sort_bytes < q.sort_bytes ? p.sort_bytes : q.sort_bytes;
    if (order == 0)
        order = memcmp(p.sort, q.sort, shorter);
    return order ? order : (x->n > y->n) - (x->n < y->n);
}

/* Partitions of all indexes are ranges of item numbers: sorted range by range. */
static void make_index(struct limit_engine *e, int index) {
    static const uint64_t partition_items[INDEX_COUNT] = {PARTITION_ITEMS, HOT_PARTITION_ITEMS, 1000, PARTITION_ITEMS};
    uint64_t step = partition_items[index];
    e->place[index] = map(&e->scene, e->capacity * sizeof(uint32_t));
    e->order[index] = map(&e->scene, (e->capacity + QUERY_LIMIT) * sizeof(struct entry));
    sort_index = index;
    sort_entries = e->order[index];
    for (uint64_t n = 0; n < e->scene.items; n++)
        sort_entries[n] = (struct entry){0, n};
    for (uint64_t from = 0; from < e->scene.items; from += step) {
        uint64_t count = e->scene.items - from < step ? e->scene.items - from : step;
        qsort(sort_entries + from, count, sizeof *sort_entries, by_index_key);
    }
    for (uint64_t i = 0; i < e->scene.items; i++)
        e->place[index][sort_entries[i].n] = (uint32_t)i;
}

static unsigned read_range(struct limit_session *s, const struct entry *from, unsigned count) {
    struct limit_engine *e = s->e;
    uint64_t hash[QUERY_LIMIT];
    struct bench_key key;
    unsigned read = 0;
    for (unsigned i = 0; i < count; i++) {
        dataset_key(from[i].n, &key); /* an entry would hold the hash */
        hash[i] = hash_of(&key);
        __builtin_prefetch(bucket_of(e, hash[i]));
    }
    for (unsigned i = 0; i < count; i++)
        __builtin_prefetch(block_of(e, from[i].n));
    for (unsigned i = 0; i < count; i++) {
        uint64_t *word;
        dataset_key(from[i].n, &key);
        char *block = find(e, hash[i], &key, &word);
        if (block)
            memcpy(s->buffer + (size_t)read++ * e->block_bytes, block, e->block_bytes);
    }
    return read;
}

static unsigned limit_query(void *session, int index, uint64_t n) {
    struct limit_session *s = session;
    struct limit_engine *e = s->e;
    struct entry own[QUERY_LIMIT];
    unsigned count = 0;
    if (index >= 0) {
        uint64_t place = e->place[index][n], end = e->scene.items;
        count = end - place < QUERY_LIMIT ? (unsigned)(end - place) : QUERY_LIMIT;
        return read_range(s, e->order[index] + place, count);
    }
    for (; count < QUERY_LIMIT && (n + count) / PARTITION_ITEMS == n / PARTITION_ITEMS; count++)
        own[count] = (struct entry){0, n + count};
    return read_range(s, own, count);
}

/* ---- Life -------------------------------------------------------------------------------------------------------------- */

static void *limit_create(const struct scene *scene, const char **why) {
    struct limit_engine *e = calloc(1, sizeof *e);
    struct bench_key key;
    char *bytes = malloc(scene->item_bytes);
    (void)why;
    e->scene = *scene;
    e->capacity = scene->items + scene->spare_items;
    e->buckets = e->capacity / 5 + 1;
    e->block_bytes = (64 + scene->item_bytes + 15) / 16 * 16;
    e->bucket = map(scene, e->buckets * BUCKET_WORDS * 8);
    e->block = map(scene, e->capacity * e->block_bytes);
    for (uint64_t n = 0; n < scene->items; n++) {
        dataset_key(n, &key);
        dataset_payload(n, 0, bytes, scene->item_bytes);
        insert(e, &key, n, bytes);
    }
    for (int i = 0; i < scene->indexes; i++)
        make_index(e, i);
    free(bytes);
    return e;
}

static void limit_destroy(void *engine) {
    struct limit_engine *e = engine;
    munmap(e->bucket, e->buckets * BUCKET_WORDS * 8);
    munmap(e->block, e->capacity * e->block_bytes);
    for (int i = 0; i < e->scene.indexes; i++) {
        munmap(e->place[i], e->capacity * sizeof(uint32_t));
        munmap(e->order[i], (e->capacity + QUERY_LIMIT) * sizeof(struct entry));
    }
    free(e);
}

static void *limit_attach(void *engine) {
    struct limit_session *s = calloc(1, sizeof *s);
    s->e = engine;
    s->blobs.bytes = s->e->scene.item_bytes;
    return s;
}

static void limit_detach(void *session) {
    struct limit_session *s = session;
    blobs_free(&s->blobs);
    free(s);
}

static void limit_prepare(void *session, struct write *w) {
    blobs_prepare(&((struct limit_session *)session)->blobs, w);
}

/* ---- Calls ------------------------------------------------------------------------------------------------------------- */

static uint64_t limit_get(void *session, const struct bench_key *key) {
    struct limit_session *s = session;
    uint64_t *word;
    char *block = find(s->e, hash_of(key), key, &word);
    if (!block)
        return 0;
    memcpy(s->buffer, block, s->e->block_bytes);
    return s->e->block_bytes;
}

static uint64_t limit_get_many(void *session, const struct bench_key *keys, unsigned count) {
    struct limit_session *s = session;
    uint64_t hash[128], found = 0;
    for (unsigned i = 0; i < count; i++) {
        hash[i] = hash_of(&keys[i]);
        __builtin_prefetch(bucket_of(s->e, hash[i]));
    }
    for (unsigned i = 0; i < count; i++) {
        const uint64_t *b = bucket_of(s->e, hash[i]);
        for (unsigned j = 0; j < BUCKET_WORDS; j++)
            if (b[j] && b[j] != REMOVED && b[j] >> 48 == (hash[i] & 0xffff))
                __builtin_prefetch(block_of(s->e, (b[j] & UINT64_C(0xffffffffffff)) - 1));
    }
    for (unsigned i = 0; i < count; i++) {
        uint64_t *word;
        char *block = find(s->e, hash[i], &keys[i], &word);
        if (block)
            memcpy(s->buffer + found++ % 1000 * s->e->block_bytes, block, s->e->block_bytes);
    }
    return found;
}

static int limit_put(void *session, const struct write *w, int is_new, int is_moved) {
    struct limit_session *s = session;
    struct limit_engine *e = s->e;
    struct bench_key key;
    uint64_t *word;
    dataset_key(w->n, &key);
    if (is_new) {
        insert(e, &key, w->n, w->prepared);
    } else {
        char *block = find(e, hash_of(&key), &key, &word);
        if (!block)
            return 0;
        memcpy(block + 64, w->prepared, w->bytes);
    }
    /* Per index a line of the list to find the place, and one to write to. */
    for (int i = 0; (is_new || is_moved) && i < e->scene.indexes; i++) {
        if (!is_new && (i == 0 || i == 3))
            continue;
        uint64_t place = e->place[i][w->n % e->scene.items];
        e->order[i][place].date = w->version;
        e->place[i][w->n] = (uint32_t)place;
    }
    return 1;
}

static int limit_remove(void *session, uint64_t n) {
    struct limit_session *s = session;
    struct bench_key key;
    uint64_t *word;
    dataset_key(n, &key);
    if (!find(s->e, hash_of(&key), &key, &word))
        return 0;
    *word = REMOVED;
    for (int i = 0; i < s->e->scene.indexes; i++)
        s->e->order[i][s->e->place[i][n]].date = UINT64_MAX;
    return 1;
}

static int limit_count(void *session, const struct bench_key *key) {
    struct limit_session *s = session;
    uint64_t *word, counter;
    char *block = find(s->e, hash_of(key), key, &word);
    if (!block)
        return 0;
    memcpy(&counter, block + 64, 8);
    counter++;
    memcpy(block + 64, &counter, 8);
    return 1;
}

const struct engine engine_limit = {
    .name = "limit",
    .setup = "hash, one line of a bucket array, one item, a copy; no locks, no checks, no recovery",
    .can = CAN_READ_AT_ONCE | CAN_QUERY | CAN_INDEX | CAN_SHARE | CAN_COUNT | CAN_WRITE | CAN_THREAD,
    .create = limit_create,
    .destroy = limit_destroy,
    .attach = limit_attach,
    .detach = limit_detach,
    .prepare = limit_prepare,
    .get = limit_get,
    .get_many = limit_get_many,
    .query = limit_query,
    .put = limit_put,
    .remove = limit_remove,
    .count = limit_count,
};

/* bench/engine_limit.c - the limit probe: what no design can avoid.
 *
 * Job      For each workload the unavoidable cache misses and copies alone: hash the key, one
 *          dependent miss for the bucket line, one for the item, a copy. No locks, no checks of
 *          concurrent change, no memory management, no recovery; it would be useless as a store.
 *          What Larder needs beyond this is the price of its promises.
 * Picture  bucket line of 8 words {tag 16, item number 48}
 *             -> block of item_bytes: the key, counter, item's number, the rest
 *          index: place of item n in its partition's order
 *             (one miss stands for finding the partition and the leaf),
 *             then the ordered entries of 16 bytes {hash, item number}, side by side;
 *             the same for the table's own order
 * Rules    Items lie in the order of loading, as they do in Larder. A write goes into the item's
 *          own place. Pages are 4 KB, or huge if the scene says so.
 */
#include "bench/engine.h"
#include "bench/fail.h"
#include <string.h>
#include <sys/mman.h>
#include <xxhash.h>

#define BUCKET_WORDS 8u
#define REMOVED UINT64_MAX /* searches go on beyond it */

#define VALUE_AT 56u /* behind the key */

struct entry {
    uint64_t hash;
    uint64_t n;
};

struct limit_engine {
    struct scene scene;
    uint64_t capacity, buckets, block_bytes;
    uint64_t *bucket;
    char *block;
    uint32_t *place[INDEX_COUNT];
    struct entry *order[INDEX_COUNT], *table_order;
};

struct limit_session {
    struct limit_engine *e;
    struct blobs blobs;
    char buffer[1 << 20];
};

static int has_huge_pages; /* of the probe that is being made */

static void *map(uint64_t bytes) {
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED)
        fail("limit: no memory for %llu bytes", (unsigned long long)bytes);
    if (has_huge_pages)
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
            memcpy(block + VALUE_AT, bytes, e->scene.item_bytes - VALUE_AT);
            e->table_order[n] = (struct entry){hash, n};
            *w = word_of(hash, n);
            return;
        }
    }
}

/* ---- Indexes --------------------------------------------------------------------------------- */

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

static const uint64_t partition_items[INDEX_COUNT] = {PARTITION_ITEMS, HOT_PARTITION_ITEMS, 1000, PARTITION_ITEMS};

/* Partitions of all indexes are ranges of item numbers: sorted range by range. */
static void make_index(struct limit_engine *e, int index) {
    uint64_t step = partition_items[index];
    e->place[index] = map(e->capacity * sizeof(uint32_t));
    e->order[index] = map((e->capacity + QUERY_LIMIT) * sizeof(struct entry));
    sort_index = index;
    sort_entries = e->order[index];
    for (uint64_t n = 0; n < e->scene.items; n++)
        sort_entries[n] = (struct entry){0, n};
    for (uint64_t from = 0; from < e->scene.items; from += step) {
        uint64_t count = e->scene.items - from < step ? e->scene.items - from : step;
        qsort(sort_entries + from, count, sizeof *sort_entries, by_index_key);
    }
    for (uint64_t i = 0; i < e->scene.items; i++) {
        e->place[index][sort_entries[i].n] = (uint32_t)i;
        sort_entries[i].hash = e->table_order[sort_entries[i].n].hash;
    }
}

/* The block that an entry names: an index knows the hash and checks against the bucket, not against
 * the key. */
static char *resolve(const struct limit_engine *e, const struct entry *entry) {
    uint64_t *b = bucket_of(e, entry->hash), wanted = word_of(entry->hash, entry->n);
    for (;; b = b + 1 == e->bucket + e->buckets * BUCKET_WORDS ? e->bucket : b + 1) {
        if (*b == wanted)
            return block_of(e, entry->n);
        if (*b == 0)
            return NULL;
    }
}

static unsigned read_range(struct limit_session *s, const struct entry *from, unsigned count) {
    struct limit_engine *e = s->e;
    unsigned read = 0;
    for (unsigned i = 0; i < count; i++)
        __builtin_prefetch(bucket_of(e, from[i].hash));
    for (unsigned i = 0; i < count; i++)
        __builtin_prefetch(block_of(e, from[i].n));
    for (unsigned i = 0; i < count; i++) {
        char *block = resolve(e, &from[i]);
        if (block)
            memcpy(s->buffer + (size_t)read++ * e->block_bytes, block, e->scene.item_bytes);
    }
    return read;
}

static uint64_t least(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

static unsigned limit_query(void *session, int index, uint64_t n) {
    struct limit_session *s = session;
    struct limit_engine *e = s->e;
    uint64_t step = index < 0 ? PARTITION_ITEMS : partition_items[index],
             end = least((n / step + 1) * step, e->scene.items);
    uint64_t place = index < 0 ? n : e->place[index][n];
    return read_range(s, (index < 0 ? e->table_order : e->order[index]) + place,
                      (unsigned)least(end - place, QUERY_LIMIT));
}

/* ---- Life ------------------------------------------------------------------------------------ */

static void *limit_create(const struct scene *scene, const char **why) {
    struct limit_engine *e = calloc(1, sizeof *e);
    struct bench_key key;
    char *bytes = malloc(scene->item_bytes);
    (void)why;
    e->scene = *scene;
    e->capacity = scene->items + scene->spare_items;
    e->buckets = e->capacity / 5 + 1;
    e->block_bytes = (scene->item_bytes + 15) / 16 * 16;
    e->bucket = map(e->buckets * BUCKET_WORDS * 8);
    e->block = map(e->capacity * e->block_bytes);
    e->table_order = map(e->capacity * sizeof(struct entry));
    for (uint64_t n = 0; n < scene->items; n++) {
        dataset_key(n, &key);
        blob_fill(n, 0, bytes, scene->item_bytes);
        insert(e, &key, n, bytes);
    }
    for (int i = 0; i < scene->indexes; i++)
        make_index(e, i);
    free(bytes);
    return e;
}

static void *limit_huge_create(const struct scene *scene, const char **why) {
    has_huge_pages = 1;
    void *e = limit_create(scene, why);
    has_huge_pages = 0;
    return e;
}

static void limit_destroy(void *engine) {
    struct limit_engine *e = engine;
    munmap(e->bucket, e->buckets * BUCKET_WORDS * 8);
    munmap(e->block, e->capacity * e->block_bytes);
    munmap(e->table_order, e->capacity * sizeof(struct entry));
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

static void limit_build(void *session, struct write *w) {
    blobs_build(&((struct limit_session *)session)->blobs, w);
}

/* ---- Calls ----------------------------------------------------------------------------------- */

static uint64_t limit_get(void *session, const struct bench_key *key) {
    struct limit_session *s = session;
    uint64_t *word;
    char *block = find(s->e, hash_of(key), key, &word);
    if (!block)
        return 0;
    memcpy(s->buffer, block, s->e->scene.item_bytes);
    return s->e->scene.item_bytes;
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
            memcpy(s->buffer + found++ % 1000 * s->e->block_bytes, block, s->e->scene.item_bytes);
    }
    return found;
}

/* A store to an entry's line that leaves it as it was: nothing is sorted again, so that ranges stay
 * the same. */
static void touch(struct entry *entry) {
    *(volatile uint64_t *)&entry->n = entry->n;
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
        memcpy(block + VALUE_AT, w->prepared, w->bytes - VALUE_AT);
    }
    /* Per index a line of the list to find the place, and one to write to. */
    for (int i = 0; (is_new || is_moved) && i < e->scene.indexes; i++) {
        if (!is_new && (i == 0 || i == 3))
            continue;
        uint64_t place = e->place[i][w->n % e->scene.items];
        touch(&e->order[i][place]);
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
    *word = word + 1 < s->e->bucket + s->e->buckets * BUCKET_WORDS && word[1] == 0 ? 0 : REMOVED;
    for (int i = 0; i < s->e->scene.indexes; i++)
        touch(&s->e->order[i][s->e->place[i][n]]);
    return 1;
}

static int limit_count(void *session, const struct bench_key *key) {
    struct limit_session *s = session;
    uint64_t *word, counter;
    char *block = find(s->e, hash_of(key), key, &word);
    if (!block)
        return 0;
    memcpy(&counter, block + VALUE_AT, 8);
    counter++;
    memcpy(block + VALUE_AT, &counter, 8);
    return 1;
}

static uint64_t limit_copied(void *session, unsigned i) {
    struct limit_session *s = session;
    return blob_number(s->buffer + (size_t)i * s->e->block_bytes + VALUE_AT);
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
    .build = limit_build,
    .get = limit_get,
    .get_many = limit_get_many,
    .query = limit_query,
    .put = limit_put,
    .remove = limit_remove,
    .count = limit_count,
    .copied = limit_copied,
};

/* What a get pays for the bytes that an item has in Larder beyond DynamoDB's count (300 bytes, four
 * indexes: bench/README.md, "Memory"): longer blocks to copy, in more pages. */
#define IMAGE_MORE_BYTES 52u

static void *limit_image_create(const struct scene *scene, const char **why) {
    struct scene longer = *scene;
    longer.item_bytes += IMAGE_MORE_BYTES;
    return limit_create(&longer, why);
}

const struct engine engine_limit_image = {
    .name = "limit-image",
    .setup = "the same with items as long as Larder's images of them",
    .can = CAN_SHARE | CAN_THREAD | IS_NO_STORE,
    .create = limit_image_create,
    .destroy = limit_destroy,
    .attach = limit_attach,
    .detach = limit_detach,
    .prepare = limit_prepare,
    .build = limit_build,
    .get = limit_get,
};

const struct engine engine_limit_huge = {
    .name = "limit-huge",
    .setup = "the same in huge pages",
    .can = CAN_READ_AT_ONCE | CAN_QUERY | CAN_INDEX | CAN_SHARE | CAN_COUNT | CAN_WRITE | CAN_THREAD | IS_VARIANT,
    .create = limit_huge_create,
    .destroy = limit_destroy,
    .attach = limit_attach,
    .detach = limit_detach,
    .prepare = limit_prepare,
    .build = limit_build,
    .get = limit_get,
    .get_many = limit_get_many,
    .query = limit_query,
    .put = limit_put,
    .remove = limit_remove,
    .count = limit_count,
    .copied = limit_copied,
};

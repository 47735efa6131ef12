/* bench/engine.h - what is measured: Larder, its peers and the limit, behind one set of functions.
 *
 * Job      An engine holds the items of bench/dataset.h and answers the calls below. The parent
 *          creates and loads it once. Each worker (a forked process, or a thread of one) opens a
 *          session of its own.
 * Rules    E1 A call does all the work that a user of that engine would need for the same result: a
 *             read copies what it found into the session's buffer; a write of an item with index
 *             keys keeps the engine's indexes right in the same transaction, if it has such.
 *          E2 A write is measured in two ways. Built: the session makes what it stores from the
 *             application's values each time (build()), as an application does: Larder with its
 *             builder, the others by laying the values side by side with their lengths, the
 *             cheapest encoding there is. Prepared: that was done before (prepare()), so no engine
 *             pays for it. Peers are told what an application may not know: whether an item is new,
 *             whether index keys change, and the old ones.
 *          E3 Every engine is set up for speed as its own documentation advises; its file names the
 *             source.
 */
#ifndef LARDER_BENCH_ENGINE_H
#define LARDER_BENCH_ENGINE_H

#include "bench/dataset.h"
#include <stdint.h>

struct scene {
    uint64_t items;
    /* of a whole item, names, keys and index keys included, as DynamoDB counts them */
    uint32_t item_bytes;
    int indexes;             /* 0 or INDEX_COUNT */
    int expires;             /* nonzero: items expire, in some months */
    uint64_t spare_items;    /* room for as many more */
    uint32_t ring_calls_max; /* 0: as many as a workload takes */
    char folder[64];         /* in tmpfs, for files and sockets of this scene */
};

struct write {
    uint64_t n;
    uint32_t version, old_version; /* of the index keys that it gets, and has */
    uint32_t bytes;
    const void *prepared; /* from prepare(), or build() */
    /* NULL: prepared; else the item is built from these in the measured time */
    const struct item_values *values;
};

/* What an engine can be asked. */
enum {
    CAN_READ_AT_ONCE = 1,  /* get_many */
    CAN_QUERY = 2,         /* query of the table */
    CAN_INDEX = 4,         /* secondary indexes */
    CAN_SHARE = 8,         /* several processes */
    CAN_COUNT = 16,        /* add to a number in an item */
    CAN_WRITE = 32,        /* put of any kind */
    CAN_THREAD = 64,       /* several threads of a process, a session each */
    CAN_SHARE_READS = 128, /* several processes that only read */
    IS_NO_STORE = 256,     /* a probe of one thing: "get" alone, whose answers are not judged */
    IS_VARIANT = 512,      /* takes part only where it is named */
    CAN_EXPIRE = 2048,     /* scene.expires */
    CAN_DECIDE = 1024,     /* read, decide and write in one step; filter what a query reads */
};

#define FOUR 4u /* puts that are compared with a transaction of as many */

struct engine {
    const char *name;
    const char *setup; /* how it is set up, for the report */
    unsigned can;
    /* In the parent. NULL: not to be had on this machine, *why says so. */
    void *(*create)(const struct scene *scene, const char **why);
    void (*destroy)(void *engine);
    /* Bytes of memory that the data takes; 0: unknown. */
    uint64_t (*bytes)(void *engine);

    /* In a worker. */
    void *(*attach)(void *engine);
    void (*detach)(void *session);
    /* Makes w->prepared. Kept until detach(). */
    void (*prepare)(void *session, struct write *w);
    /* Makes w->prepared from w->values. Kept until the next build(). */
    void (*build)(void *session, struct write *w);
    /* Bytes copied; 0 if it is not there. */
    uint64_t (*get)(void *session, const struct bench_key *key);
    uint64_t (*get_many)(void *session, const struct bench_key *keys, unsigned count);
    /* Items copied: at most QUERY_LIMIT, of item n's partition in index (-1: the table), from n's
     * sort key on. */
    unsigned (*query)(void *session, int index, uint64_t n);
    /* The same of the first QUERY_PAGE_LIMIT items of n's partition of the table. May be NULL. */
    unsigned (*query_page)(void *session, uint64_t n);
    /* is_new: the key is not stored yet. is_moved: index keys differ from those of the stored item.
     * False if refused. */
    int (*put)(void *session, const struct write *w, int is_new, int is_moved);
    int (*remove)(void *session, uint64_t n);
    int (*count)(void *session, const struct bench_key *key);
    /* CAN_DECIDE. Larder evaluates expressions; a peer looks at the counter of the value. */
    int (*put_if)(void *session, const struct write *w);       /* only if n >= 0 */
    int (*update)(void *session, const struct bench_key *key); /* n = 0 or 1, only if n >= 0 */
    int (*set)(void *session, const struct bench_key *key);    /* n = 1 */
    int (*add)(void *session, const struct bench_key *key);    /* n += 1 */
    unsigned (*filter)(void *session, int index, uint64_t n);  /* query(), and of that n >= 0 */
    /* Puts FOUR items, in one transaction or one by one. */
    int (*put_four)(void *session, const struct write *w, int is_transaction);
    /* Number of the i-th item that the last read copied, from the copy: to judge the answers. */
    uint64_t (*copied)(void *session, unsigned i);
};

extern const struct engine engine_larder, engine_limit, engine_lmdb, engine_bdb, engine_sqlite, engine_redis,
    engine_memcached, engine_ck, engine_compute, engine_limit_image;
/* The same with huge pages: advised, and from hugetlbfs mounted on <folder>/huge. */
extern const struct engine engine_larder_huge, engine_larder_hugetlb, engine_limit_huge;

/* The value of peers that store bytes stands for the whole item, keys and names included, as a
 * serialised item would: item_bytes of them, a counter first, then the item's number. A peer's key
 * is beside it. */
void blob_fill(uint64_t n, uint32_t version, char *to, size_t bytes);
uint64_t blob_number(const char *value);

/* Prepared values, one behind the other. */
struct blobs {
    uint32_t bytes;
    struct blob_chunk *chunks;
    char *built; /* room of blobs_build() */
};
char *blobs_room(struct blobs *b, size_t bytes); /* 16-aligned */
/* prepare() of the peers that store bytes. */
void blobs_prepare(struct blobs *b, struct write *w);
/* build() of the same. */
void blobs_build(struct blobs *b, struct write *w);
void blobs_free(struct blobs *b);

#endif

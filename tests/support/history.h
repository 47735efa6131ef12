/* tests/support/history.h - a table whose every read can be judged, whichever processes write at
 * the same time, and die at it.
 *
 * Job      What a key holds after its n-th write is a function of (seed, key, n): nothing, or an
 *          item that names n in its attribute "serial". Writers note n as begun before the call and
 *          as acknowledged after it, in memory outside the segment. A read that began when a was
 *          acknowledged and ended when b had begun must show one of a..b. So every get, query and
 *          scan can be judged at once, beside writers and after deaths. (CacheLib's ValueHistory.)
 * Picture  key k:  acked ---- may be seen ---- begun
 *          equal: exactly this one, through every path
 * States   A write of a key changes none to four of its index keys (each index half as often as the
 *          one before), its size, its expiry (one key in four has one), or deletes it.
 * Rules    Y1 A key has one writer at a time.
 *          Y2 After a writer's death history_settle() its keys before another process writes them.
 *          Y3 Nothing here asserts: functions return NULL or a text that says what is wrong, so
 *             that children can use them.
 */
#ifndef LARDER_TESTS_SUPPORT_HISTORY_H
#define LARDER_TESTS_SUPPORT_HISTORY_H

#include <stdatomic.h>
#include <stdint.h>

#include "larder.h"
#include "tests/support/rng.h"

#define HISTORY_TABLE "History"
#define HISTORY_KEYS_MAX 128u
#define HISTORY_EPOCH_S INT64_C(1700000000) /* the clock starts here */
#define HISTORY_EXPIRY_SPAN 64              /* items expire at most as many seconds later */

/* In memory that all processes of the test share. */
struct history {
    uint64_t seed;
    uint32_t key_count, fill_max;
    _Atomic int64_t now_s;
    _Atomic uint32_t is_over; /* set by the test: its children are to end */
    struct {
        _Atomic uint32_t acked, begun; /* number of the last write; 0: never written */
    } key[HISTORY_KEYS_MAX];
};

/* A new history in a memfd of its own, with no limit on sizes but the generator's (60 KB). */
struct history *history_new(uint32_t key_count, uint64_t seed, int *fd);
/* The same one in another program. NULL if it cannot be mapped. */
struct history *history_map(int fd);
void history_free(struct history *h);

/* What one thread works with. */
struct history_client {
    struct history *h;
    struct larder *db;
    struct larder_table *table;
    struct larder_builder *builder;
    struct larder_page *page;
    struct rng rng;
};

/* Creates the table: PK, SK, three global and one local index, TTL. A result of
 * larder_table_create(). */
int history_table_create(struct larder *db);
/* Sets db's clock to the history's. LARDER_OK or a failure. */
int history_attach(struct history_client *c, struct history *h, struct larder *db);
void history_detach(struct history_client *c);

/* The next write of a key: LARDER_OK or the result of larder_put() or larder_delete(); on failure
 * the key is unchanged. */
int history_write(struct history_client *c, uint32_t key);
/* After a writer's death: finds out whether its last writes of these keys happened. */
const char *history_settle(struct history_client *c, uint32_t first, uint32_t count);

/* Looks through every path: each key by get, all at once, each partition of each index both ways, a
 * scan. */
const char *history_look(struct history_client *c);
/* One query, of index 0..3, or -1 for the table; partitions are numbered
 * 0..history_partitions(index) - 1. */
const char *history_query(struct history_client *c, int index, unsigned partition, int is_descending);
unsigned history_partitions(int index);
const char *history_get(struct history_client *c, uint32_t key);
const char *history_scan(struct history_client *c);

/* Deletes everything, past the history, and gives back what has expired. LARDER_OK or a failure. */
int history_empty(struct history_client *c);
/* Bytes in use that an empty table should not need: without bucket arrays, which never shrink. */
uint64_t history_used_bytes(struct history_client *c);

#endif

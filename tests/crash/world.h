/* tests/crash/world.h - a small segment with known contents, and everything that can be seen of it.
 *
 * Job      Prepares a segment, copies it, and writes down what all read paths show, so that two
 *          states can be compared.
 * Method   world_dump() is a text: tables and indexes, every item by scan, every partition of every
 *          index by query in both directions, every item by get. A put or delete that is half done
 *          through any path makes a text that is neither the one before nor the one after.
 * Rules    O1 The hash seed is a constant (LARDER_SEED gives another one), so that a world is the
 *             same bytes in every run, and the k-th store of an operation the same store.
 *          O2 Probes are items that only a surviving process writes. The text leaves them out.
 */
#ifndef LARDER_TESTS_CRASH_WORLD_H
#define LARDER_TESTS_CRASH_WORLD_H

#include "larder.h"
#include <stdint.h>

#define WORLD_TABLE "World"
#define WORLD_PARTITIONS 3        /* values of each partition key: "P0".. */
#define WORLD_SMALL_PARTITIONS 32 /* "Q0"..: of N1, for items of variant 9 */
#define WORLD_ITEMS 240           /* item numbers are below this */
#define WORLD_PROBE 300           /* from here on: probes */
#define WORLD_FILL_MAX 17000u

/* The clock of every handle that world_open() gives. Forked children have a copy. */
extern int64_t world_now_s;

struct larder *world_open(int memfd);
/* A new memfd segment with the table World: PK/SK, G1, G2 and N1 (no sort key) global, L1 local,
 * TTL attribute "exp". */
int world_create(uint32_t stripe_count);
/* An independent copy of a segment. */
int world_copy(int memfd);

/* Item number n. `keys` says which index keys it has: digit i of it (from the right: G1, G2, L1,
 * N1) is the variant of index i's key, 0 none. `fill` bytes of payload. */
void world_put(struct larder *db, int n, int keys, unsigned fill, int64_t expires_s);
int world_try_put(struct larder *db, int n, int keys, unsigned fill, int64_t expires_s);
/* larder_put_if() of an item that exists, expecting what was just read; or with is_late, expecting
 * none, so that it is refused. */
int world_put_if(struct larder *db, int n, int keys, unsigned fill, int is_late);
/* larder_increment() of an attribute: "keys", or "G2S", a sort key. */
/* An update with one value, the text ":v". The result of larder_write(). */
int world_update(struct larder *db, int n, const char *update, const char *condition, const char *value);
void world_increment(struct larder *db, int n, const char *name, int64_t by);
int world_delete(struct larder *db, int n);
int world_get(struct larder *db, int n, struct larder_page *page);

/* Adds a global index of several attributes to World: J1x, G1P and N1P; then G2S, G1S, SK. */
void world_add_joined(struct larder *db);
/* A second table, PK/SK, with the indexes G1 and N1, and its items. */
#define WORLD_OTHER "Beside"
void world_make_other(struct larder *db);
void world_put_other(struct larder *db, int n, int keys, unsigned fill);

/* A transaction over both tables; expressions without values. */
#define WORLD_ACTIONS 8
struct world_action {
    enum larder_action_kind kind;
    int is_other, n;
    int keys; /* this and the next two of a put */
    unsigned fill;
    int64_t expires_s;
    const char *condition, *update; /* or NULL */
};
/* The result of larder_transact(). */
int world_transact(struct larder *db, const struct world_action *given, uint32_t count);

/* Freed by the caller. */
char *world_dump(struct larder *db);

#endif

/* bench/workload.h - what a worker does: a ring of operations, drawn before the clock starts.
 *
 * Job      A workload is a mix of operations and a way to choose items. workload_fill() draws
 *          `count` operations and has the engine prepare what they write; the worker then goes
 *          round the ring.
 * Rules    W1 Nothing is drawn or built while the clock runs. Only a key's text is made, in ten
 *             nanoseconds, for every engine alike.
 *          W2 A paired workload (insert then delete, move there then back) touches each item once
 *             in each phase, so that every round starts from what was loaded. In a mix with inserts
 *             the way back removes what was inserted.
 *          W3 No call finds warm what an earlier call of the same ring brought in, unless the
 *             workload itself says so (Zipf): a get of 100 at once takes 100 keys of its own, and
 *             writes go to all items of the scene in a shuffled order, not to a few.
 *          W4 Prepared values, and the application's values that items are built from, lie one
 *             behind the other, in the order of the calls, for every engine.
 */
#ifndef LARDER_BENCH_WORKLOAD_H
#define LARDER_BENCH_WORKLOAD_H

#include "bench/engine.h"

enum op_kind {
    OP_GET,
    OP_MANY,
    OP_QUERY,
    OP_PUT,
    OP_INSERT,
    OP_MOVE,
    OP_REMOVE,
    OP_COUNT,
    OP_PUT_IF,
    OP_UPDATE,
    OP_SET,
    OP_ADD,
    OP_FILTER,
    OP_FOUR,
    OP_TRANSACT,
    OP_QUERY_PAGE,
    OP_KINDS
};

struct op {
    uint32_t n;
    uint8_t kind;
    int8_t index;   /* of a query */
    uint32_t write; /* into ring.writes; the first of FOUR there */
};

/* HOT: of the first HOT_PARTITION_ITEMS items alone, one partition of index 1. */
enum choice { UNIFORM, ZIPF, LATEST, ABSENT, EACH_ONCE, HOT, HOT_EACH_ONCE, NEW_ITEMS };

struct workload {
    const char *name;
    const char *what;
    unsigned needs;              /* CAN_ flags */
    unsigned char mix[OP_KINDS]; /* per cent */
    signed char query_index[4];  /* queries take turns through these; -1 is the table */
    unsigned char query_indexes;
    enum choice choice;
    enum op_kind back; /* second phase of a paired workload; OP_GET: not paired */
    unsigned per_call; /* items that one call is about, for rates; 0 means 1 */
    /* what is written is built from the application's values in the measured time (rule E2 of
     * engine.h) */
    int is_built;
    int expires; /* in a scene whose items expire: for --count alone */
};

#define MANY 100u

struct ring {
    struct op *ops;
    struct write *writes;
    struct item_values *values; /* of built writes, one for each of `writes` */
    /* calls; there are MANY times as many ops if a call reads MANY items */
    uint32_t count, write_count;
};

extern const struct workload workloads[];
/* Ends the program if there is none of that name. */
const struct workload *workload_named(const char *name);
/* `worker` of `worker_count`: items of paired workloads are divided among them. */
void workload_fill(struct ring *ring, const struct workload *w, const struct engine *engine, void *session,
                   const struct scene *scene, unsigned worker, unsigned worker_count);
void ring_free(struct ring *ring);
/* Runs one operation; is_back: its counterpart of the second phase, nothing if it has none. Returns
 * the items read or written. */
unsigned workload_call(const struct engine *engine, void *session, const struct ring *ring, uint32_t at, int is_back);

#endif

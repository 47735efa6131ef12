/* bench/workload.c - see workload.h. */
#include "bench/workload.h"
#include "bench/fail.h"
#include "examples/shuttle/rng.h"
#include "examples/shuttle/zipf.h"
#include <string.h>

#define READS_IN_RING (1u << 19)
#define WRITES_IN_RING (1u << 16)
#define WRITE_BYTES_IN_RING (96u << 20) /* fewer if items are large */

#define P(...)                                                                                                         \
    { __VA_ARGS__ }

const struct workload workloads[] = {
    {"get", "point get of one item", 0, {[OP_GET] = 100}, P(0), 0, UNIFORM, OP_GET, 0},
    {"get-zipf", "point get, Zipf 0.99", 0, {[OP_GET] = 100}, P(0), 0, ZIPF, OP_GET, 0},
    {"miss", "point get of items that are not there", 0, {[OP_GET] = 100}, P(0), 0, ABSENT, OP_GET, 0},
    {"many", "get of 100 items at once, per item", CAN_READ_AT_ONCE, {[OP_MANY] = 100}, P(0), 0, UNIFORM, OP_GET, MANY},
    {"query", "20 items of a partition of the table", CAN_QUERY, {[OP_QUERY] = 100}, P(-1), 1, UNIFORM, OP_GET, 0},
    {"query-index", "20 items of a partition of an index", CAN_INDEX, {[OP_QUERY] = 100}, P(0), 1, UNIFORM, OP_GET, 0},
    {"query-hot",
     "20 items of an index partition of 100,000",
     CAN_INDEX,
     {[OP_QUERY] = 100},
     P(1),
     1,
     UNIFORM,
     OP_GET,
     0},
    {"overwrite", "put over an item, index keys unchanged", CAN_WRITE, {[OP_PUT] = 100}, P(0), 0, UNIFORM, OP_GET, 0},
    {"overwrite-zipf", "the same, Zipf 0.99", CAN_WRITE, {[OP_PUT] = 100}, P(0), 0, ZIPF, OP_GET, 0},
    {"move",
     "put that changes the sort keys of two indexes",
     CAN_WRITE | CAN_INDEX,
     {[OP_MOVE] = 100},
     P(0),
     0,
     EACH_ONCE,
     OP_MOVE,
     0},
    {"insert", "put of a new item; then delete", CAN_WRITE, {[OP_INSERT] = 100}, P(0), 0, NEW_ITEMS, OP_REMOVE, 0},
    {"count", "add 1 to a number in an item", CAN_COUNT, {[OP_COUNT] = 100}, P(0), 0, UNIFORM, OP_GET, 0},
    {"ycsb-a", "half reads, half updates, Zipf", CAN_WRITE, {[OP_GET] = 50, [OP_PUT] = 50}, P(0), 0, ZIPF, OP_GET, 0},
    {"ycsb-b", "95 % reads, 5 % updates, Zipf", CAN_WRITE, {[OP_GET] = 95, [OP_PUT] = 5}, P(0), 0, ZIPF, OP_GET, 0},
    {"ycsb-c", "reads, Zipf", CAN_WRITE, {[OP_GET] = 100}, P(0), 0, ZIPF, OP_GET, 0},
    {"ycsb-d",
     "95 % reads of the latest, 5 % inserts",
     CAN_WRITE,
     {[OP_GET] = 95, [OP_INSERT] = 5},
     P(0),
     0,
     LATEST,
     OP_GET,
     0},
    {"ycsb-e",
     "95 % short ranges, 5 % inserts, Zipf",
     CAN_WRITE | CAN_QUERY,
     {[OP_QUERY] = 95, [OP_INSERT] = 5},
     P(-1),
     1,
     ZIPF,
     OP_GET,
     0},
    {"ycsb-f",
     "half reads, half read-modify-writes, Zipf",
     CAN_WRITE | CAN_COUNT,
     {[OP_GET] = 50, [OP_COUNT] = 50},
     P(0),
     0,
     ZIPF,
     OP_GET,
     0},
    {"app",
     "the example's mix: gets, queries of table and indexes, status changes",
     CAN_WRITE | CAN_INDEX | CAN_QUERY,
     {[OP_GET] = 35, [OP_QUERY] = 50, [OP_PUT] = 15},
     P(-1, 0, 3, 1),
     4,
     ZIPF,
     OP_GET,
     0},
    {0}};

const struct workload *workload_named(const char *name) {
    for (const struct workload *w = workloads; w->name; w++)
        if (strcmp(w->name, name) == 0)
            return w;
    fail("no workload is called \"%s\"", name);
}

/* ---- Drawing ------------------------------------------------------------------------------------------------------------- */

struct draw {
    const struct workload *w;
    const struct scene *scene;
    struct zipf zipf;
    struct rng rng;
    unsigned worker, worker_count;
    uint64_t new_items; /* drawn so far */
};

static uint32_t draw_item(struct draw *d, uint32_t i) {
    uint64_t items = d->scene->items;
    switch (d->w->choice) {
    case ZIPF:
        return zipf_pick(&d->zipf, &d->rng);
    case LATEST: { /* the most popular is the one loaded last */
        uint32_t rank = (uint32_t)(rng_unit(rng_next(&d->rng)) * rng_unit(rng_next(&d->rng)) * (double)items);
        return (uint32_t)(items - 1 - rank);
    }
    case ABSENT:
        return (uint32_t)(items + d->scene->spare_items + rng_below(&d->rng, (uint32_t)items));
    case EACH_ONCE: { /* a stride that shares no factor with the count visits each item once */
        uint64_t stride = items * 5 / 8 | 1;
        while (items % 3 == 0 && stride % 3 == 0)
            stride += 2;
        while (items % 5 == 0 && stride % 5 == 0)
            stride += 2;
        return (uint32_t)(((uint64_t)i * d->worker_count + d->worker) % items * stride % items);
    }
    default:
        return rng_below(&d->rng, (uint32_t)items);
    }
}

static enum op_kind draw_kind(struct draw *d) {
    uint32_t roll = rng_below(&d->rng, 100);
    for (int kind = 0; kind < OP_KINDS; kind++) {
        if (roll < d->w->mix[kind])
            return kind;
        roll -= d->w->mix[kind];
    }
    fail("the mix of %s is not 100 per cent", d->w->name);
}

static int is_write(enum op_kind kind) {
    return kind == OP_PUT || kind == OP_INSERT || kind == OP_MOVE;
}

static uint32_t ring_size(const struct draw *d) {
    uint32_t share = d->w->mix[OP_PUT] + d->w->mix[OP_INSERT] + d->w->mix[OP_MOVE];
    uint64_t count = READS_IN_RING;
    if (share) {
        uint64_t writes = WRITE_BYTES_IN_RING / (d->scene->item_bytes + 700);
        writes = writes < WRITES_IN_RING ? writes : WRITES_IN_RING;
        count = writes * 100 / share;
    }
    if (d->w->choice == EACH_ONCE && count > d->scene->items / d->worker_count)
        count = d->scene->items / d->worker_count;
    if (d->w->mix[OP_INSERT] == 100 && count > d->scene->spare_items / d->worker_count)
        count = d->scene->spare_items / d->worker_count;
    return (uint32_t)(count < READS_IN_RING ? count : READS_IN_RING);
}

static uint32_t add_write(struct ring *ring, const struct engine *engine, void *session, struct write w) {
    engine->prepare(session, &w);
    ring->writes[ring->write_count] = w;
    return ring->write_count++;
}

static void draw_op(struct draw *d, struct ring *ring, uint32_t i, const struct engine *engine, void *session) {
    struct op *op = &ring->ops[i];
    op->kind = (uint8_t)draw_kind(d);
    op->n = draw_item(d, i);
    if (op->kind == OP_INSERT)
        op->n = (uint32_t)(d->scene->items + (d->new_items++ * d->worker_count + d->worker) % d->scene->spare_items);
    if (op->kind == OP_QUERY)
        op->index = d->w->query_index[rng_below(&d->rng, d->w->query_indexes)];
    if (op->kind == OP_QUERY && op->index < 0) /* twenty items lie from here to the partition's end */
        op->n = op->n - op->n % PARTITION_ITEMS + op->n % (PARTITION_ITEMS - QUERY_LIMIT);
    if (is_write((enum op_kind)op->kind))
        op->write = add_write(ring, engine, session, (struct write){.n = op->n, .version = op->kind == OP_MOVE});
    if (op->kind == OP_MOVE) /* and the way back, next to it */
        add_write(ring, engine, session, (struct write){.n = op->n, .old_version = 1});
}

void workload_fill(struct ring *ring, const struct workload *w, const struct engine *engine, void *session,
                   const struct scene *scene, unsigned worker, unsigned worker_count) {
    struct draw d = {.w = w, .scene = scene, .worker = worker, .worker_count = worker_count};
    d.rng.state = rng_mix(worker + 1);
    if (w->choice == ZIPF && !zipf_init(&d.zipf, (uint32_t)scene->items))
        fail("no memory for %llu ranks", (unsigned long long)scene->items);
    *ring = (struct ring){.count = ring_size(&d)};
    ring->ops = calloc(ring->count, sizeof *ring->ops);
    ring->writes = calloc((size_t)ring->count * 2, sizeof *ring->writes);
    for (uint32_t i = 0; i < ring->count; i++)
        draw_op(&d, ring, i, engine, session);
    if (w->choice == ZIPF)
        zipf_done(&d.zipf);
}

void ring_free(struct ring *ring) {
    free(ring->ops);
    free(ring->writes);
}

/* ---- Doing --------------------------------------------------------------------------------------------------------------- */

static unsigned get_many(const struct engine *engine, void *session, const struct ring *ring, uint32_t at) {
    struct bench_key keys[MANY];
    for (unsigned i = 0; i < MANY; i++)
        dataset_key(ring->ops[(at + i * 17) % ring->count].n, &keys[i]);
    return (unsigned)engine->get_many(session, keys, MANY);
}

unsigned workload_call(const struct engine *engine, void *session, const struct ring *ring, uint32_t at, int is_back) {
    const struct op *op = &ring->ops[at];
    struct bench_key key;
    switch ((enum op_kind)op->kind) {
    case OP_GET:
        dataset_key(op->n, &key);
        return engine->get(session, &key) != 0;
    case OP_MANY:
        return get_many(engine, session, ring, at);
    case OP_QUERY:
        return engine->query(session, op->index, op->n);
    case OP_PUT:
        return (unsigned)engine->put(session, &ring->writes[op->write], 0, 0);
    case OP_INSERT:
        return (unsigned)(is_back ? engine->remove(session, op->n)
                                  : engine->put(session, &ring->writes[op->write], 1, 0));
    case OP_MOVE:
        return (unsigned)engine->put(session, &ring->writes[op->write + (is_back != 0)], 0, 1);
    case OP_REMOVE:
        return (unsigned)engine->remove(session, op->n);
    default:
        dataset_key(op->n, &key);
        return (unsigned)engine->count(session, &key);
    }
}

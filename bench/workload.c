/* bench/workload.c - see workload.h. */
#include "bench/workload.h"
#include "bench/fail.h"
#include "examples/shuttle/rng.h"
#include "examples/shuttle/zipf.h"
#include <math.h>
#include <string.h>

#define READS_IN_RING (1u << 19)
/* of drawn items; a workload that takes each item once has as many as there are */
#define WRITES_IN_RING (1u << 18)
#define WRITE_BYTES_IN_RING (UINT64_C(1) << 30) /* fewer writes if items are large */
#define INSERTS_IN_RING (1u << 17)

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
    {"query-one", "20 items of one index partition of 100,000", CAN_INDEX, {[OP_QUERY] = 100}, P(1), 1, HOT, OP_GET, 0},
    {.name = "query-page",
     .what = "99 items of a partition of the table, per item",
     .needs = CAN_QUERY,
     .mix = {[OP_QUERY_PAGE] = 100},
     .choice = UNIFORM,
     .per_call = QUERY_PAGE_LIMIT},
    {.name = "get-ttl",
     .what = "get of items that will expire",
     .needs = CAN_EXPIRE,
     .mix = {[OP_GET] = 100},
     .choice = UNIFORM,
     .expires = 1},
    {.name = "many-ttl",
     .what = "100 of them at once, per item",
     .needs = CAN_EXPIRE,
     .mix = {[OP_MANY] = 100},
     .choice = UNIFORM,
     .per_call = MANY,
     .expires = 1},
    {.name = "query-ttl",
     .what = "20 of them",
     .needs = CAN_EXPIRE,
     .mix = {[OP_QUERY] = 100},
     .query_index = {-1},
     .query_indexes = 1,
     .choice = UNIFORM,
     .expires = 1},
    {.name = "query-index-ttl",
     .what = "20 of them, of an index",
     .needs = CAN_EXPIRE | CAN_INDEX,
     .mix = {[OP_QUERY] = 100},
     .query_index = {0},
     .query_indexes = 1,
     .choice = UNIFORM,
     .expires = 1},
    {"overwrite", "put over an item, index keys unchanged", CAN_WRITE, {[OP_PUT] = 100}, P(0), 0, EACH_ONCE, OP_GET, 0},
    {"overwrite-built",
     "the same, the item built from its values each time",
     CAN_WRITE,
     {[OP_PUT] = 100},
     P(0),
     0,
     EACH_ONCE,
     OP_GET,
     0,
     1},
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
    {"move-one",
     "the same within one partition of 100,000",
     CAN_WRITE | CAN_INDEX,
     {[OP_MOVE] = 100},
     P(0),
     0,
     HOT_EACH_ONCE,
     OP_MOVE,
     0},
    {"insert", "put of a new item; then delete", CAN_WRITE, {[OP_INSERT] = 100}, P(0), 0, NEW_ITEMS, OP_REMOVE, 0},
    {"insert-built",
     "put of a new item, built from its values; then delete",
     CAN_WRITE,
     {[OP_INSERT] = 100},
     P(0),
     0,
     NEW_ITEMS,
     OP_REMOVE,
     0,
     1},
    {"count", "add 1 to a number in an item", CAN_COUNT, {[OP_COUNT] = 100}, P(0), 0, UNIFORM, OP_GET, 0},
    {"put-if",
     "the same as overwrite, if a number of the item is not negative",
     CAN_DECIDE,
     {[OP_PUT_IF] = 100},
     P(0),
     0,
     EACH_ONCE,
     OP_GET,
     0},
    {"update",
     "set that number, under the same condition",
     CAN_DECIDE,
     {[OP_UPDATE] = 100},
     P(0),
     0,
     UNIFORM,
     OP_GET,
     0},
    {"set", "set that number", CAN_DECIDE, {[OP_SET] = 100}, P(0), 0, UNIFORM, OP_GET, 0},
    {"add", "count, by an expression", CAN_DECIDE, {[OP_ADD] = 100}, P(0), 0, UNIFORM, OP_GET, 0},
    {"filter",
     "query, and a filter of that number",
     CAN_DECIDE | CAN_QUERY,
     {[OP_FILTER] = 100},
     P(-1),
     1,
     UNIFORM,
     OP_GET,
     0},
    {"four", "overwrite of four items, one by one", CAN_DECIDE, {[OP_FOUR] = 100}, P(0), 0, EACH_ONCE, OP_GET, 0},
    {"transact",
     "overwrite of four items in one transaction",
     CAN_DECIDE,
     {[OP_TRANSACT] = 100},
     P(0),
     0,
     EACH_ONCE,
     OP_GET,
     0},
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
     OP_REMOVE,
     0},
    {"ycsb-e",
     "95 % ranges of 20 items, 5 % inserts, Zipf",
     CAN_WRITE | CAN_QUERY,
     {[OP_QUERY] = 95, [OP_INSERT] = 5},
     P(-1),
     1,
     ZIPF,
     OP_REMOVE,
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

/* ---- Drawing --------------------------------------------------------------------------------- */

struct draw {
    const struct workload *w;
    const struct scene *scene;
    struct zipf zipf;
    struct rng rng;
    unsigned worker, worker_count;
    uint32_t *own, own_count; /* EACH_ONCE: this worker's items, shuffled */
    /* the same of the items that are new, and how many were drawn */
    uint32_t *fresh, fresh_count, inserted;
};

static int is_each_once(const struct workload *w) {
    return w->choice == EACH_ONCE || w->choice == HOT_EACH_ONCE;
}

/* This worker's share of `count` numbers from `first` on, in an order of its own. */
static uint32_t *shuffled_share(struct draw *d, uint64_t first, uint64_t count, uint32_t *share) {
    *share = (uint32_t)(count / d->worker_count);
    uint32_t *at = calloc(*share + 1u, sizeof *at);
    if (!at)
        fail("no memory to shuffle %u items", *share);
    for (uint32_t i = 0; i < *share; i++)
        at[i] = (uint32_t)(first + (uint64_t)i * d->worker_count + d->worker);
    for (uint32_t i = *share; i > 1; i--) {
        uint32_t other = rng_below(&d->rng, i), kept = at[i - 1];
        at[i - 1] = at[other];
        at[other] = kept;
    }
    return at;
}

/* By Zipf's law over the age of an item, this worker's own inserts being the latest. */
static uint32_t draw_latest(struct draw *d) {
    uint64_t rank = (uint64_t)pow((double)d->scene->items, rng_unit(rng_next(&d->rng))) - 1;
    return rank < d->inserted ? d->fresh[d->inserted - 1 - rank]
                              : (uint32_t)(d->scene->items - 1 - (rank - d->inserted));
}

static uint32_t draw_item(struct draw *d, uint32_t i) {
    uint64_t items = d->scene->items;
    switch (d->w->choice) {
    case ZIPF:
        return zipf_pick(&d->zipf, &d->rng);
    case LATEST:
        return draw_latest(d);
    case ABSENT:
        return (uint32_t)(items + d->scene->spare_items + rng_below(&d->rng, (uint32_t)items));
    case EACH_ONCE:
    case HOT_EACH_ONCE:
        return d->own[i % d->own_count];
    case HOT:
        return rng_below(&d->rng, (uint32_t)(items < HOT_PARTITION_ITEMS ? items : HOT_PARTITION_ITEMS));
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
    return kind == OP_PUT || kind == OP_INSERT || kind == OP_MOVE || kind == OP_PUT_IF;
}

/* Writes of a call. */
static uint32_t writes_at_once(const struct workload *w) {
    return w->mix[OP_FOUR] || w->mix[OP_TRANSACT] ? FOUR : 1;
}

static uint32_t full_ring_size(const struct draw *d) {
    uint32_t share = d->w->mix[OP_PUT] + d->w->mix[OP_INSERT] + d->w->mix[OP_MOVE] + d->w->mix[OP_PUT_IF] +
                     FOUR * (d->w->mix[OP_FOUR] + d->w->mix[OP_TRANSACT]);
    uint64_t count = READS_IN_RING, fitting = WRITE_BYTES_IN_RING / (d->scene->item_bytes + 200) / d->worker_count;
    if (d->w->mix[OP_MANY])
        return READS_IN_RING / MANY;
    if (is_each_once(d->w))
        count = d->own_count / writes_at_once(d->w);
    else if (d->w->mix[OP_INSERT] == 100)
        count = INSERTS_IN_RING;
    else if (share)
        count = WRITES_IN_RING * 100ull / share;
    if (share && count > fitting * 100 / share)
        count = fitting * 100 / share;
    if (d->w->mix[OP_INSERT] && count > d->fresh_count * 80ull / d->w->mix[OP_INSERT])
        /* the dice may give more of them than their share */
        count = d->fresh_count * 80ull / d->w->mix[OP_INSERT];
    return (uint32_t)(count < READS_IN_RING ? count : READS_IN_RING);
}

static uint32_t ring_size(const struct draw *d) {
    uint32_t count = full_ring_size(d), most = d->scene->ring_calls_max;
    return most && count > most ? most : count;
}

static uint32_t add_write(struct ring *ring, const struct scene *scene, const struct engine *engine, void *session,
                          struct write w) {
    if (ring->values) {
        struct item_values *v = &ring->values[ring->write_count];
        dataset_values(w.n, w.version, scene->indexes, scene->item_bytes, scene->expires, v);
        w.values = v;
    } else
        engine->prepare(session, &w);
    ring->writes[ring->write_count] = w;
    return ring->write_count++;
}

static void draw_op(struct draw *d, struct ring *ring, uint32_t i, const struct engine *engine, void *session) {
    struct op *op = &ring->ops[i];
    op->kind = (uint8_t)draw_kind(d);
    op->n = draw_item(d, i);
    if (op->kind == OP_INSERT && d->inserted == d->fresh_count)
        op->kind = OP_GET;
    else if (op->kind == OP_INSERT)
        op->n = d->fresh[d->inserted++];
    if (op->kind == OP_QUERY || op->kind == OP_FILTER)
        op->index = d->w->query_index[rng_below(&d->rng, d->w->query_indexes)];
    /* twenty items lie from here to the partition's end */
    if ((op->kind == OP_QUERY || op->kind == OP_FILTER) && op->index < 0)
        op->n = op->n - op->n % PARTITION_ITEMS + op->n % (PARTITION_ITEMS - QUERY_LIMIT);
    while (op->kind == OP_QUERY && op->index == 0 && dataset_items_from(op->n) < QUERY_LIMIT)
        op->n = draw_item(d, i);
    if (is_write((enum op_kind)op->kind))
        op->write =
            add_write(ring, d->scene, engine, session, (struct write){.n = op->n, .version = op->kind == OP_MOVE});
    for (uint32_t k = 0; k < FOUR && writes_at_once(d->w) == FOUR && d->own_count > 0; k++) {
        uint32_t write =
            add_write(ring, d->scene, engine, session, (struct write){.n = d->own[(FOUR * i + k) % d->own_count]});
        op->write = k ? op->write : write;
    }
    if (op->kind == OP_MOVE) /* and the way back, next to it */
        add_write(ring, d->scene, engine, session, (struct write){.n = op->n, .old_version = 1});
}

void workload_fill(struct ring *ring, const struct workload *w, const struct engine *engine, void *session,
                   const struct scene *scene, unsigned worker, unsigned worker_count) {
    struct draw d = {.w = w, .scene = scene, .worker = worker, .worker_count = worker_count};
    uint64_t hot = scene->items < HOT_PARTITION_ITEMS ? scene->items : HOT_PARTITION_ITEMS;
    d.rng.state = rng_mix(worker + 1);
    if (w->choice == ZIPF && !zipf_init(&d.zipf, (uint32_t)scene->items))
        fail("no memory for %llu ranks", (unsigned long long)scene->items);
    if (is_each_once(w))
        d.own = shuffled_share(&d, 0, w->choice == EACH_ONCE ? scene->items : hot, &d.own_count);
    if (w->mix[OP_INSERT])
        d.fresh = shuffled_share(&d, scene->items, scene->spare_items, &d.fresh_count);
    *ring = (struct ring){.count = ring_size(&d)};
    uint32_t ops = ring->count * (w->mix[OP_MANY] ? MANY : 1);
    ring->ops = calloc(ops, sizeof *ring->ops);
    ring->writes = calloc((size_t)ops * FOUR, sizeof *ring->writes);
    if (w->is_built)
        ring->values = calloc(ops, sizeof *ring->values);
    if (!ring->ops || !ring->writes || (w->is_built && !ring->values))
        fail("no memory for the %u operations of %s", ops, w->name);
    for (uint32_t i = 0; i < ops; i++)
        draw_op(&d, ring, i, engine, session);
    if (w->choice == ZIPF)
        zipf_done(&d.zipf);
    free(d.own);
    free(d.fresh);
}

void ring_free(struct ring *ring) {
    free(ring->ops);
    free(ring->writes);
    free(ring->values);
}

/* ---- Doing ----------------------------------------------------------------------------------- */

static unsigned get_many(const struct engine *engine, void *session, const struct op *ops) {
    struct bench_key keys[MANY];
    for (unsigned i = 0; i < MANY; i++)
        dataset_key(ops[i].n, &keys[i]);
    return (unsigned)engine->get_many(session, keys, MANY);
}

static unsigned put(const struct engine *engine, void *session, struct write w, int is_new, int is_moved) {
    if (w.values)
        engine->build(session, &w);
    return (unsigned)engine->put(session, &w, is_new, is_moved);
}

static unsigned call_back(const struct engine *engine, void *session, const struct ring *ring, const struct op *op) {
    if (op->kind == OP_INSERT)
        return (unsigned)engine->remove(session, op->n);
    if (op->kind == OP_MOVE)
        return put(engine, session, ring->writes[op->write + 1], 0, 1);
    return 0;
}

/* The call that changes the number of an item. */
static int (*change(const struct engine *engine, enum op_kind kind))(void *session, const struct bench_key *key) {
    return kind == OP_COUNT    ? engine->count
           : kind == OP_UPDATE ? engine->update
           : kind == OP_SET    ? engine->set
                               : engine->add;
}

/* Never inlined: callgrind counts from its entry to its end. */
__attribute__((noinline)) unsigned workload_call(const struct engine *engine, void *session, const struct ring *ring,
                                                 uint32_t at, int is_back) {
    const struct op *op = &ring->ops[at];
    struct bench_key key;
    if (is_back)
        return call_back(engine, session, ring, op);
    switch ((enum op_kind)op->kind) {
    case OP_GET:
        dataset_key(op->n, &key);
        return engine->get(session, &key) != 0;
    case OP_MANY:
        return get_many(engine, session, &ring->ops[(size_t)at * MANY]);
    case OP_QUERY:
        return engine->query(session, op->index, op->n);
    case OP_QUERY_PAGE:
        return engine->query_page(session, op->n);
    case OP_PUT:
        return put(engine, session, ring->writes[op->write], 0, 0);
    case OP_INSERT:
        return put(engine, session, ring->writes[op->write], 1, 0);
    case OP_MOVE:
        return put(engine, session, ring->writes[op->write], 0, 1);
    case OP_REMOVE:
        return (unsigned)engine->remove(session, op->n);
    case OP_PUT_IF:
        return (unsigned)engine->put_if(session, &ring->writes[op->write]);
    case OP_FILTER:
        return engine->filter(session, op->index, op->n);
    case OP_FOUR:
    case OP_TRANSACT:
        return (unsigned)engine->put_four(session, &ring->writes[op->write], op->kind == OP_TRANSACT);
    default:
        dataset_key(op->n, &key);
        return (unsigned)change(engine, op->kind)(session, &key);
    }
}

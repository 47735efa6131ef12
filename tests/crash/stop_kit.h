/* tests/crash/stop_kit.h - what the suites that stop a process inside an operation share.
 *
 * Job      The operations that are stopped, each with its segment; the test's own attachment, items
 *          ("probes") and calls. The judge of one stop is stop_judge_kit.h.
 */
#ifndef LARDER_TESTS_CRASH_STOP_KIT_H
#define LARDER_TESTS_CRASH_STOP_KIT_H

#include "core/table/db.h"
#include "tests/crash/halt.h"
#include "tests/crash/world.h"
#include "tests/support/slow.h"

#define STRIPES 8
#define LIMIT_MS 5u                   /* patience of the test's own calls */
#define LATE_MS (1000u * SLOW_FACTOR) /* no call takes longer, on a busy machine too */
/* What a refusal takes on average: the limit, and what the machine adds. */
#define USUAL_MS (4 * LIMIT_MS * SLOW_FACTOR)
#define DEADLINE_MS 20000   /* for a child's next stop */
#define PROBES_FROM 900     /* items of World with such numbers are the test's own */
#define PROBE_LINE "SK#009" /* what their lines of the text have */
#define FAR_S 1000000       /* when the probes' timers are due */
#define STEPS_MAX 16
#define RANK(rank) (1u << (rank))
#define ANY_MEMORY (RANK(LOCK_BIN) | RANK(LOCK_SPAN))

int is_long(void);

/* A sanitizer's build looks at fewer stops. */
#define COARSE (SLOW_FACTOR > 1 ? 8u : 1u)

struct scenario {
    const char *name;
    void (*prepare)(struct larder *db);
    void (*act)(struct larder *db, int step);
    int steps;       /* calls of act, with step 0, 1, .. */
    unsigned stride; /* of the short run: stops at every stride-th store */
    uint32_t ranks;  /* locks with which it must have been stopped, or this test is blind */
    /* what a put of the test may need besides, because of what the child is doing */
    uint32_t may_ranks;
    int is_alone; /* no other process does the child's work: it would leave none to stop in */
    /* what is read counts as used, and the test's own reads must not: it looks through an
     * attachment that may only read */
    int is_evicting;
};

#define VARIANTS 2
static const int variant_keys[VARIANTS] = {1111, 2222};

/* An item of World. Its two variants differ in the keys of all secondary indexes. */
struct probe {
    int n, variant;
    uint64_t stripe, shard; /* offsets of locks */
    uint64_t partition[VARIANTS][LARDER_INDEXES_MAX];
    uint32_t partition_count[VARIANTS];
};

struct scene {
    const struct scenario *s;
    int base, memfd;
    struct larder *db;     /* attached before the child starts */
    struct larder *reader; /* the same; or of one that may only read, if s->is_evicting */
    struct larder_page *page;
    struct probe probe[STRIPES]; /* one for each stripe of World */
    struct halt child;
    char *text[STEPS_MAX + 1];
    int text_count, last_seen;
    int is_recovery; /* the child recovers a dead slot: no other process may before it has begun */
    uint32_t timers, ranks_seen;
    uint64_t stops, unnamed, calls, busy, busy_ms, slowest_ms;
};

struct larder *open_impatient(int memfd);
struct larder *open_reader(int memfd);
struct larder_table *table_named(struct larder *db, const char *name);

/* The item as it is stored, in the page. NULL: it is not there. */
const struct item_head *stored(struct larder *db, int n, struct larder_page *page);
void other_id(char id[16], uint32_t i);
int put_other(struct scene *c, uint32_t i);
int overwrite(struct scene *c, uint32_t i);
int change_keys(struct scene *c, uint32_t i);

/* Each expiry is sooner than the last, so that each needs a timer of its own. */
int expire_sooner(struct scene *c, uint32_t i);
int set_removal(struct scene *c, uint32_t i);
int check(struct scene *c, uint32_t i);
int expire(struct scene *c, uint32_t i);

/* The lock word of the stripe of an item of the table Other. */
uint64_t stripe_of(struct larder *db, const char *id);

struct act {
    const struct scenario *s;
    int memfd;
};

void start(struct scene *c, uint64_t first);
void open_copy(struct scene *c);
void close_copy(struct scene *c);
void create_other(struct larder *db);
void prepare(struct scene *c, const struct scenario *s);
void some_items(struct larder *db);
void many_items(struct larder *db);
void large_items(struct larder *db);
void expiring_items(struct larder *db);
void transact(struct larder *db, int step);
void two_tables(struct larder *db);
void transact_in_both(struct larder *db, int step);
void transact_refused(struct larder *db, int step);
void update_if(struct larder *db, int step);
void put_new(struct larder *db, int step);
void overwrite_one(struct larder *db, int step);
void change_all_keys(struct larder *db, int step);
void delete_one(struct larder *db, int step);
void put_some_more(struct larder *db, int step);
void take_spans(struct larder *db, int step);
void put_expiring(struct larder *db, int step);
void remove_expired(struct larder *db, int step);
void create_table(struct larder *db, int step);
void drop_table(struct larder *db, int step);
void add_index(struct larder *db, int step);
void only_attach(struct larder *db, int step);
/* Items of the other table go, one by one. The first ones are used. */
void other_evicts(struct larder *db);
void evict_one(struct larder *db, int step);
/* Blocks of each kind are moved, of items that the test leaves alone. */
void move_blocks(struct larder *db, int step);
void few_of_many(struct larder *db);
void trim_arrays(struct larder *db, int step);
void check_all(struct larder *db, int step);

#endif

/* tests/model/model.h - the plain model: an array of rows, and the items that they are.
 *
 * Method   Few keys, few values. Rows are compared attribute by attribute.
 */
#ifndef LARDER_TESTS_MODEL_MODEL_H
#define LARDER_TESTS_MODEL_MODEL_H

#include <stdint.h>

#include "larder.h"
#include "tests/support/rng.h"

#define SEGMENT_BYTES (16u << 20)
#define START_S INT64_C(1700000000)
#define PARTITIONS 3
#define SORTS 8
#define ROWS (PARTITIONS * SORTS)
#define TEXT_MAX 32
#define MANY_MAX 40u
#define PAYLOAD_MAX 5000u
#define TABLE "Model"

/* Attributes that a row may have beside its key. Values are small numbers; 0: it has none. */
enum { COL_G, COL_GS, COL_GN, COL_GB, COL_LS, COL_EXP1, COL_EXP2, COL_VERSION, COL_COUNT };
static const char *const col_names[COL_COUNT] = {"g", "gs", "gn", "gb", "ls", "exp1", "exp2", "version"};
static const enum larder_type col_types[COL_COUNT] = {LARDER_S, LARDER_S, LARDER_N, LARDER_B,
                                                      LARDER_S, LARDER_N, LARDER_N, LARDER_N};
#define NO_PAYLOAD UINT32_MAX
#define VALUE_UNFIT 99 /* of a type that no key and no expiry may have */

struct row {
    int is_there;
    uint32_t payload;
    int64_t value[COL_COUNT];
};

/* The indexes, in the order of their creation: the first three with the table. */
struct plan {
    const char *name;
    int partition, sort; /* columns; partition -1: the table's; sort -1: none */
    int is_local;
    int more_partition, more_sort; /* the second attribute of each key: column + 1; 0: none */
};

static const struct plan plans[] = {
    {"byText", COL_G, COL_GS, 0, 0, 0},
    {"local", -1, COL_LS, 1, 0, 0},
    {"joined", COL_G, COL_GN, 0, COL_LS + 1, COL_GS + 1},
    {"byNumber", COL_G, COL_GN, 0, 0, 0},
    {"byBytes", COL_G, COL_GB, 0, 0, 0},
    {"byGroup", COL_G, -1, 0, 0, 0},
};

#define PLANS (sizeof plans / sizeof *plans)
#define PLANS_AT_FIRST 3u

#define CHANGES_MAX 12u /* of a transaction */

/* What outlives a worker. Partition keys begin with its number, so that only its own items are
 * under them. */
struct model {
    uint32_t owner;
    uint32_t index_count;
    int ttl;                   /* column, or -1 */
    _Atomic int pending_count; /* rows that are being changed, all in one step */
    int pending[CHANGES_MAX];
    struct row after[CHANGES_MAX]; /* what they will be */
    struct row row[ROWS];
    uint64_t calls;
};

struct run {
    struct model *m;
    struct larder *db;
    struct larder_table *t;
    struct larder_builder *b;
    struct larder_page *page;
    struct rng rng;
    int64_t now_s;
    struct larder_expr *exists, *is_missing, *add; /* of the key; of "version" */
    const struct larder_item *values;
};

/* Prints which call of which worker it was, and aborts: a child has no other way. */
void run_fails(const struct run *r, const char *what);
#define MUST(condition)                                                                                                \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            run_fails(r, #condition);                                                                                  \
    } while (0)

int64_t run_clock(void *arg);
int row_partition(int n);
void partition_text(const struct run *r, int partition, char text[TEXT_MAX]);

/* Sort keys, some of which are prefixes of others. */
void sort_text(int n, char text[TEXT_MAX]);

/* The value of a column for a put, and as text for a read. */
struct larder_value value_of(const struct run *r, int column, int64_t value, char text[TEXT_MAX]);
int is_expired(const struct run *r, const struct row *row);
int is_visible(const struct run *r, const struct row *row);

/* *is_unfit: a put of it is refused, and an index that is added leaves it out. */
int is_in_index(const struct row *row, const struct plan *plan, int *is_unfit);
const struct larder_item *build(const struct run *r, int n, const struct row *row);

/* The item is this row, and has no other attribute. */
int is_row(const struct run *r, const struct larder_item *item, int n, const struct row *row);

/* Which row of ours an item is, or -1: another worker's. */
int row_number(const struct run *r, const struct larder_item *item);
struct larder_key row_key(const struct run *r, int n, char pk[TEXT_MAX], char sk[TEXT_MAX]);

/* A change of rows begins: after a death in the middle the rows in the table may be m->after, all
 * of them, and a successor looks for that. It ends: it was done, or nothing was changed. */
void begin_change(struct run *r, int n, const struct row *after);
void begin_changes(struct run *r, const int *n, const struct row *after, uint32_t count);
void end_change(struct run *r, int is_done);
struct row random_row(struct run *r);
/* A put of the row is refused: an index key has another type. */
int is_unfit_row(const struct run *r, const struct row *row);

/* model_transact.c: one action, or a random number of them, all or none; and a read of rows as of
 * one moment. */
void transact_prepare(struct run *r);
void do_transact(struct run *r);
void do_transact_get(struct run *r);

/* model_query.c: a random query, and one of an index that does not exist. */
void do_query(struct run *r);
void do_query_of_none(struct run *r);

#endif

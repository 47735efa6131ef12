/* tests/api/query_kit.h - a table with all kinds of indexes, and the array of rows that it must
 * equal. */
#ifndef LARDER_TESTS_API_QUERY_KIT_H
#define LARDER_TESTS_API_QUERY_KIT_H

#include "larder.h"
#include "tests/support/rng.h"
#include "tests/support/slow.h"

#define ROWS_MAX 400
#define TEXT_MAX 16

/* Columns that an item may have or not. */
enum { COL_PK, COL_SK, COL_G, COL_GS, COL_GN, COL_GB, COL_LS, COL_COUNT };
static const char *const names[COL_COUNT] = {"pk", "sk", "g", "gs", "gn", "gb", "ls"};
static const enum larder_type types[COL_COUNT] = {LARDER_S, LARDER_S, LARDER_S, LARDER_S, LARDER_N, LARDER_B, LARDER_S};

struct row {
    char text[COL_COUNT][TEXT_MAX]; /* "" missing */
    int version;
};

struct plan { /* an index by its columns */
    const char *name;
    int partition, sort; /* sort -1: none */
};

static const struct plan plans[] = {
    {NULL, COL_PK, COL_SK},     {"byText", COL_G, COL_GS}, {"byNumber", COL_G, COL_GN},
    {"byBytes", COL_G, COL_GB}, {"byGroup", COL_G, -1},    {"local", COL_PK, COL_LS},
};

#define PLANS (sizeof plans / sizeof *plans)

struct fixture {
    struct larder *db;
    struct larder_table *t;
    struct larder_builder *b;
    struct larder_page *page;
    struct rng rng;
    struct row row[ROWS_MAX];
    uint32_t count;
};

void must(int result);
struct fixture *begin(void);
void finish(struct fixture *f);
struct larder_value value_of(int column, const char *text);
void put(struct fixture *f, const struct row *row);
int compare_text(int column, const char *a, const char *b);
int find_row(const struct fixture *f, const char *pk, const char *sk);
void get_text(const struct larder_item *item, int column, char *to);

/* The row of a page's item; what the projection keeps must equal that row. */
int row_of(const struct fixture *f, const struct plan *plan, const struct larder_item *item);
void fill_one_partition(struct fixture *f, int count);

#endif

/* tests/unit/index/skl_kit.h - lists of partitions and the sorted arrays that they must equal.
 *
 * Job      Entries that stand for no item, in the lists of a real table: larder_check() then counts
 *          each as stale, and nothing else may be wrong. Leaves of few entries make long lists of
 *          little data.
 */
#ifndef LARDER_TESTS_UNIT_INDEX_SKL_KIT_H
#define LARDER_TESTS_UNIT_INDEX_SKL_KIT_H

#include "core/table/db.h"
#include "index/index.h"
#include "tests/support/rng.h"
#include "tests/support/slow.h"

#define LISTS 4u
#define ENTRIES_MAX 6000u

struct model_entry {
    struct leaf_entry e;
    uint8_t key[LEAF_KEY_BYTES_MAX];
};

/* One list: what it should hold, in order. */
struct model {
    uint64_t hash;
    uint32_t index, count;
    struct model_entry *entry[ENTRIES_MAX];
};

struct fixture {
    struct larder *db;
    struct larder_table *t;
    const struct table_view *v;
    struct writer *w;
    struct rng rng;
    uint64_t kind, used_bytes;
    struct model model[LISTS];
};

uint64_t used_bytes(struct larder *db);
struct fixture *begin(uint64_t bytes, uint32_t capacity);
void check(struct fixture *f);

/* Gives a list back and frees its model. */
void finish(struct fixture *f);
int change(struct fixture *f, const struct model *m, const struct leaf_entry *e, int is_add);
int change_claiming(struct fixture *f, const struct model *m, const struct leaf_entry *e, int is_add);

/* Place of the first entry that is not before e. */
uint32_t model_find(const struct model *m, const struct leaf_entry *e);
int model_has(const struct model *m, uint32_t at, const struct leaf_entry *e);
void model_add(struct model *m, const struct leaf_entry *e);
void model_remove(struct model *m, const struct leaf_entry *e);
struct leaf_entry random_entry(struct fixture *f, uint8_t *key);

/* Reads upwards from a place: the model's entries from number `at` on. */
void check_up(struct fixture *f, const struct model *m, const struct leaf_cut *from, uint32_t at, uint32_t most);

/* Reads downwards: the model's entries before number `at`. */
void check_down(struct fixture *f, const struct model *m, const struct leaf_cut *to, uint32_t at, uint32_t most);
void check_all(struct fixture *f, const struct model *m);
void random_change(struct fixture *f, struct model *m, uint32_t target);

/* Some leaves as a query reads them, and what was in them: all that the list had in a range. */
struct page {
    const struct model *m;
    uint32_t since;
    struct skl_reader reader;
    struct skl_bound from, to;
    struct model got;
};

/* From a random place, or (leaves 0) everything. */
void page_read(struct fixture *f, struct page *p, const struct model *m, uint32_t leaves, int is_descending);

enum skl_left page_leaves(const struct fixture *f, const struct page *p);

/* If all leaves of the page are still linked, the list has no entry in its range that the page
 * lacks. */
void page_check(const struct fixture *f, const struct page *p);
void page_drop(struct page *p);
struct leaf_entry numbered(uint32_t number, uint8_t *key);

#endif

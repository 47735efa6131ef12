/* dynamodb/batch.h - BatchGetItem and BatchWriteItem: many keys or items of several tables.
 *
 * Idea     The request is read into a list of entries, with the images of their keys and items in
 *          one block. Then each table becomes a request of one item (struct request), which is
 *          checked as such, and its entries are handled one after the other.
 * Order    All tables are checked before the first item is read or written, so a request that is
 *          refused has changed nothing.
 * Files    batch_request.c reads, batch.c is what both operations share, batch_get.c,
 *          batch_write.c.
 * Tests    tests/dynamodb/dynamodb_batch_test.c
 */
#ifndef LARDER_DYNAMODB_BATCH_H
#define LARDER_DYNAMODB_BATCH_H

#include "dynamodb/images.h"
#include "dynamodb/request.h"

#define BATCH_GETS_MAX 100u  /* API reference, BatchGetItem */
#define BATCH_WRITES_MAX 25u /* API reference, BatchWriteItem */

struct batch_entry {
    const struct larder_item *item; /* a key, or what is to be put; NULL: it has a problem */
    size_t image;                   /* where it lies in `images` */
    int is_put, is_null;
    int is_left; /* not processed */
};

struct batch_table {
    struct text name;
    int has_entries;       /* Keys, or the list of writes, is there */
    uint32_t first, count; /* of `entries` */
    int is_consistent;     /* -1: absent */
    struct text projection;
    int has_attributes;                        /* AttributesToGet */
    uint32_t first_attribute, attribute_count; /* of `attributes` */
    int has_names;
    uint32_t first_name, name_count; /* of `names` */
    int has_problem;                 /* the batch's `message` is of this table */
    struct capacity capacity;
};

struct batch {
    int is_write, has_items, may_have_duplicates;
    struct text return_capacity, return_metrics;
    struct batch_table *tables;
    uint32_t table_count, table_capacity;
    struct batch_entry *entries;
    uint32_t entry_count, entry_capacity;
    struct expr_name *names;
    uint32_t name_count, name_capacity;
    struct text *attributes;
    uint32_t attribute_count, attribute_capacity;
    struct images images;
    char message[VALUES_MESSAGE_BYTES]; /* of the first value with a problem; "": none */
    struct larder_key keys[BATCH_GETS_MAX];
};

/* Zero it before the first. `scratch`: its maps are used to read keys and items. LARDER_OK;
 * LARDER_E_INVAL, LARDER_E_NO_MEMORY with wire->failure set. */
int batch_read(struct batch *b, int is_write, struct request *scratch, struct wire *wire);
void batch_free(struct batch *b);

/* What the service checks of the whole request before it looks at tables. */
int batch_check(const struct batch *b, struct failure *f);
struct larder_dynamodb;

/* Makes d->request the request of one item for this table. */
void batch_set_request(struct larder_dynamodb *d, const struct batch_table *t, enum operation operation);
/* "ConsumedCapacity": [..] of all tables, if it is asked for. */
int batch_write_capacity(struct larder_dynamodb *d, struct document_writer *w);

#endif

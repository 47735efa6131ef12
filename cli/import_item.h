/* cli/import_item.h - one object of an import file: an item to put, or a key to delete. */
#ifndef LARDER_CLI_IMPORT_ITEM_H
#define LARDER_CLI_IMPORT_ITEM_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "cli/place.h"
#include "larder.h"

struct import_target {
    struct larder_table *table;
    const struct larder_table_def *def;
    struct larder_builder *builder;
    const char *name; /* that the table has in the files */
    uint64_t put_count, delete_count;
    uint64_t other_count;                        /* entries of other tables, passed over */
    bool has_own, has_other;                     /* lists by table that were seen; the caller resets them */
    char other_table[LARDER_NAME_BYTES_MAX + 1]; /* the last such list's name */
};

/* Does what the object says: an item, or {"Item": {...}}; a request of batch-write-item,
 * {"PutRequest": ..} or {"DeleteRequest": ..}; an entry of an incremental export, {"Keys": ..,
 * "NewImage": ..}; lists by table, {"Table": []}, also in "Responses", "RequestItems" or
 * "UnprocessedItems". `list` is the name of the list in which it stands, "" if there is none.
 * LARDER_OK, or a result of the library with place->problem. */
int import_item(struct import_target *target, const json_t *json, const char *list, struct place *place);

#endif

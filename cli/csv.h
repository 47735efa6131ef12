/* cli/csv.h - items from a CSV file with a header. */
#ifndef LARDER_CLI_CSV_H
#define LARDER_CLI_CSV_H

#include <jansson.h>
#include <stdbool.h>

#include "cli/input.h"
#include "cli/place.h"
#include "larder.h"

#define CSV_COLUMNS_MAX 2000

struct csv_cell {
    char *text; /* in the record; without quotes */
    size_t bytes;
    bool is_quoted;
};

struct csv_column {
    char *name;
    enum larder_type type;
};

/* Zero it; csv_close() is then always allowed. */
struct csv {
    struct input *input;
    char *record;
    size_t record_capacity;
    struct csv_cell *cells;
    struct csv_column *columns;
    size_t cell_count, cell_capacity, column_count;
    char line_end; /* the byte that ends each line; 0: none was seen yet */
    uint64_t line; /* of the record, from 1 */
    json_t *item;  /* for the caller */
};

/* Reads the header. A name may end in :S :N :B :BOOL :NULL :M :L :SS :NS :BS, the type of its
 * column; without, a key attribute of the table or of an index has its key's type, any other is a
 * text. EXIT_DONE, or an exit code after a message. */
int csv_open(struct csv *csv, struct input *input, const struct larder_table_def *def);

/* The next record as an item in DynamoDB JSON, a new reference. An empty cell is an attribute that
 * the item does not have; "" is an empty text. 1: *out, or NULL and place->problem for a record
 * that is wrong; 0: no more; -1: cannot go on, with a message and the exit code in *code. */
int csv_next(struct csv *csv, struct place *place, json_t **out, int *code);

void csv_close(struct csv *csv);

#endif

/* dynamodb/settings.h - what DescribeTable gives back that means nothing to the engine.
 *
 * Job      Kept with the table, as bytes that the engine does not look into
 *          (larder_settings_set()): JSON, whose members have the service's names. So they come and
 *          go with the table in one step. A table that the engine or the command made has none.
 * Rules    S1 What is kept is read as a stranger's: what is not understood is left out.
 *          S2 Texts point into what they were read from; settings_read()'s into `reader`.
 * Tests    tests/dynamodb/dynamodb_settings_test.c
 */
#ifndef LARDER_DYNAMODB_SETTINGS_H
#define LARDER_DYNAMODB_SETTINGS_H

#include "dynamodb/json_reader.h"
#include "dynamodb/json_writer.h"
#include "dynamodb/table_request.h"

#define SETTINGS_ID_BYTES 36 /* of a table's id */

struct settings_index {
    struct text name;
    struct table_throughput throughput, on_demand, warm;
};

struct settings {
    struct text id;      /* at NULL: there are no settings */
    struct text billing; /* PROVISIONED or PAY_PER_REQUEST */
    /* at NULL: standard, no stream, not encrypted by a key */
    struct text table_class, stream_view, key_arn;
    /* seconds since the epoch; 0: never */
    int64_t created_s, on_demand_s, class_s, stream_s;
    int is_protected;
    struct table_throughput throughput, on_demand, warm;
    struct settings_index indexes[LARDER_GLOBAL_INDEXES_MAX]; /* of those that have any */
    uint32_t index_count;
    struct table_tag tags[TABLE_TAGS_MAX];
    uint32_t tag_count;
};

/* Those of a definition; without any all is 0. */
void settings_read(struct settings *s, const struct larder_table_def *def, struct json_reader *reader);
/* As bytes of `writer`, valid until its next document. LARDER_OK, LARDER_E_NO_MEMORY;
 * LARDER_E_INVAL: too many. */
int settings_write(const struct settings *s, struct json_writer *writer);

static inline int settings_are_provisioned(const struct settings *s) {
    return s->billing.at && text_is(s->billing, TEXT("PROVISIONED"));
}
/* Of an index: made if it has none yet. NULL: there is no place. */
struct settings_index *settings_of_index(struct settings *s, struct text name);
const struct settings_index *settings_find_index(const struct settings *s, struct text name);
void settings_drop_index(struct settings *s, struct text name);

/* Of a table that had none: on demand, made now. `id` has room for its text. */
void settings_begin(struct settings *s, char id[SETTINGS_ID_BYTES]);
/* After settings_write(): LARDER_E_INVAL with the failure set. */
int settings_fail(struct failure *f, int result);
/* A new table's, of a CreateTable that was checked. `id` has room for its text. */
void settings_create(struct settings *s, const struct table_request *q, char id[SETTINGS_ID_BYTES]);
/* What an UpdateTable that was checked changes, but for tags. */
void settings_update(struct settings *s, const struct table_request *q);

#endif

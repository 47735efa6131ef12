/* dynamodb/table_parts.h - parts of a table's definition in a request: checked, and as the engine
 * has them.
 *
 * Job      What CreateTable and UpdateTable share: constraints of keys, indexes and throughput, and
 *          the engine's definition.
 * Tests    tests/dynamodb/dynamodb_table_test.c, dynamodb_update_table_test.c
 */
#ifndef LARDER_DYNAMODB_TABLE_PARTS_H
#define LARDER_DYNAMODB_TABLE_PARTS_H

#include "dynamodb/constraint.h"
#include "dynamodb/context.h"

/* ---- Constraints ----------------------------------------------------------------------------- */

struct parts_path {
    char text[192];
};
/* "keySchema.1.member.keyType" */
const char *parts_path(struct parts_path *p, const char *list, uint32_t number, const char *rest);

/* It is there, and one of the alternatives (NULL: any). */
void parts_check_text(struct constraints *c, struct text text, const char *name, const char *alternatives);
void parts_check_keys(struct constraints *c, const struct table_keys *keys, const char *name);
void parts_check_throughput(struct constraints *c, const struct table_throughput *t, const char *name);
/* What both requests begin with: attribute definitions, name, billing, throughput. */
void parts_check_table(struct constraints *c, const struct table_request *q);
/* `action`: "", or "create." in a list of changes. */
void parts_check_index(struct constraints *c, const struct table_index *index, const char *list, uint32_t number,
                       const char *action);

/* ---- Against the rest of the request ---------------------------------------------------------
 * LARDER_OK, or LARDER_E_INVAL with the failure set. */
/* No more elements than such a key may have. */
int parts_check_count(struct larder_dynamodb *d, const struct table_keys *keys, int is_global);
/* No attribute is defined twice. */
int parts_check_twice(struct larder_dynamodb *d);
/* Each key is among the attribute definitions. */
int parts_check_defined(struct larder_dynamodb *d, const struct table_keys *keys);
/* HASH, then at most one RANGE of another name; in a global index 1 to 4 HASH, then 0 to 4 RANGE,
 * all of different names. */
int parts_check_order(struct larder_dynamodb *d, const struct table_keys *keys, int is_global);
int parts_check_projection(struct larder_dynamodb *d, const struct table_index *index);
/* "a, b": names of attributes, as much of them as there is room for. */
size_t parts_list_names(const struct table_attribute *attributes, uint32_t count, char *to, size_t room);

/* ---- The engine's definition ----------------------------------------------------------------- */

/* Everything that it points to. */
struct parts_made {
    struct larder_table_def def;
    struct larder_index_def indexes[LARDER_INDEXES_MAX];
    struct larder_key_def *more; /* what their partition_more and sort_more point to */
    const char **included;
    char *texts, *at;
    int has_nul;
};

/* Of a request that was checked: each key is defined, and there are no more indexes than a table
 * may have. To be ended with parts_free(), also after a failure. LARDER_OK, LARDER_E_NO_MEMORY;
 * LARDER_E_INVAL: a name with a zero byte. */
int parts_make(struct parts_made *m, const struct table_request *q);
void parts_free(struct parts_made *m);

#endif

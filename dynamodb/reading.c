/* dynamodb/reading.c - what Query and Scan share. See reading.h.
 *
 * Sources  Messages: dynalite's suites and the dynamodb-conformance suite, run against the service.
 *          Fetching: developer guide, "Local secondary indexes": "Projections", "Read capacity
 *          units" (each item that is fetched is rounded up).
 */
#include "dynamodb/reading.h"

#include <stdio.h>

#include "dynamodb/index_item.h"
#include "dynamodb/prepared.h"

/* ---- Indexes --------------------------------------------------------------------------------- */

static int take_index(struct larder_dynamodb *d, struct reading *r) {
    struct text name = d->request.strings[STRING_INDEX_NAME];
    const struct larder_table_def *def = r->table->def;
    r->index = NULL;
    for (uint32_t i = 0; name.at && i < def->index_count; i++)
        if (strlen(def->indexes[i].name) == name.bytes && !memcmp(def->indexes[i].name, name.at, name.bytes))
            r->index = &def->indexes[i];
    if (name.at && !r->index)
        return failure_set(&d->failure, FAILURE_VALIDATION, "The table does not have the specified index: %.*s",
                           (int)name.bytes, name.at);
    if (r->index && !r->index->is_local && d->request.booleans[BOOLEAN_CONSISTENT_READ] == 1)
        return failure_set(&d->failure, FAILURE_VALIDATION,
                           "Consistent reads are not supported on global secondary indexes");
    return LARDER_OK;
}

/* Attributes that the projection names and the index does not have, as a list. */
static void list_missing(const struct reading *r, const struct expr *projection, char *to, size_t room) {
    size_t used = 0;
    *to = 0;
    for (uint32_t i = 0; i < projection->path_count && used < room; i++) {
        struct bytes name = expr_steps(projection, i)[0].name;
        if (!index_item_is_projected(r->table->def, r->index, (struct text){(const char *)name.at, name.len}))
            used += (size_t)snprintf(to + used, room - used, "%s%.*s", used ? ", " : "", (int)name.len,
                                     (const char *)name.at);
    }
}

/* What an index that does not have all attributes is asked for. */
static int take_projection(struct larder_dynamodb *d, struct reading *r) {
    struct text select = d->request.strings[STRING_SELECT];
    const struct prepared *projection = d->expressions.projection;
    char missing[512] = "";
    r->is_fetched = 0;
    if (!r->index || r->index->projection == LARDER_PROJECT_ALL)
        return LARDER_OK;
    if (projection)
        list_missing(r, projection->checked, missing, sizeof missing);
    int wants_all = select.at && text_is(select, TEXT("ALL_ATTRIBUTES"));
    r->is_fetched = wants_all || missing[0];
    if (!r->is_fetched || r->index->is_local)
        return LARDER_OK;
    if (wants_all)
        return failure_set(&d->failure, FAILURE_VALIDATION,
                           "One or more parameter values were invalid: Select type ALL_ATTRIBUTES is not supported for "
                           "global secondary index %s because its projection type is not ALL",
                           r->index->name);
    return failure_set(&d->failure, FAILURE_VALIDATION,
                       "One or more parameter values were invalid: Global secondary index %s does not project [%s]",
                       r->index->name, missing);
}

int reading_take(struct larder_dynamodb *d, struct reading *r) {
    struct text select = d->request.strings[STRING_SELECT];
    *r = (struct reading){.is_count = select.at && text_is(select, TEXT("COUNT"))};
    int result = table_take(d, &r->table);
    return result ? result : take_index(d, r);
}

int reading_check(struct larder_dynamodb *d, struct reading *r, int is_query) {
    const struct larder_table_def *def = r->table->def;
    int result = LARDER_OK;
    if (d->expressions.projection)
        result = table_check_expression(d, def, d->expressions.projection->checked);
    if (result == LARDER_OK && d->expressions.filter)
        result = table_check_filter(d, def, r->index, d->expressions.filter->checked, is_query);
    return result ? result : take_projection(d, r);
}

/* ---- Start keys ------------------------------------------------------------------------------ */

static int refuse_start(struct larder_dynamodb *d, const char *why) {
    return failure_set(&d->failure, FAILURE_VALIDATION, "The provided starting key is invalid%s", why);
}

static int has_attribute(const struct larder_item *item, const struct larder_key_def *key) {
    struct larder_value value;
    return larder_item_get(item, key->name, &value) == LARDER_OK && value.type == key->type;
}

static int is_same_name(const struct larder_key_def *a, const struct larder_key_def *b) {
    return strcmp(a->name, b->name) == 0;
}

#define START_KEYS_MAX (2u + 2u * LARDER_KEY_ATTRIBUTES_MAX)

struct start_key {
    const struct larder_key_def *def;
    int is_sort;
};

/* The key attributes of table and index, each once. */
static uint32_t start_keys(const struct reading *r, struct start_key *keys) {
    const struct larder_table_def *def = r->table->def;
    const struct table_schema of_table = table_schema(def, NULL), of_index = table_schema(def, r->index);
    uint32_t count = 0;
    for (uint32_t i = 0; i < of_table.count; i++)
        keys[count++] = (struct start_key){of_table.key[i], i >= of_table.partition_count};
    for (uint32_t i = 0; r->index && i < of_index.count; i++) {
        int is_new = 1;
        for (uint32_t k = 0; is_new && k < count; k++)
            is_new = !is_same_name(keys[k].def, of_index.key[i]);
        if (is_new)
            keys[count++] = (struct start_key){of_index.key[i], i >= of_index.partition_count};
    }
    return count;
}

/* A value of the key: not empty, not too long. */
static int check_start_size(struct larder_dynamodb *d, const struct start_key *key, const struct larder_value *value,
                            int is_query) {
    int result = table_check_key_size(d, key->def->name, value, key->is_sort);
    if (result && !is_query) {
        char why[sizeof d->failure.message];
        snprintf(why, sizeof why, "%s", d->failure.message);
        failure_set(&d->failure, FAILURE_VALIDATION, "The provided starting key is invalid: %s", why);
    }
    return result;
}

int reading_check_start(struct larder_dynamodb *d, const struct reading *r, int is_query) {
    static const char mismatch[] = ": The provided key element does not match the schema";
    struct start_key keys[START_KEYS_MAX];
    const struct larder_item *start = d->request.maps[MAP_START_KEY].item;
    uint32_t count = start_keys(r, keys);
    if (!request_has(&d->request, MAP_START_KEY))
        return LARDER_OK;
    if (larder_item_count(start) != count)
        return refuse_start(d, is_query || r->index ? "" : mismatch);
    for (uint32_t i = 0; i < count; i++) {
        struct larder_value value;
        if (larder_item_get(start, keys[i].def->name, &value) != LARDER_OK)
            return refuse_start(d, is_query || r->index ? "" : mismatch);
        if (!has_attribute(start, keys[i].def))
            return refuse_start(d, mismatch);
        int result = check_start_size(d, &keys[i], &value, is_query);
        if (result)
            return result;
    }
    return LARDER_OK;
}

/* ---- Answers --------------------------------------------------------------------------------- */

/* The engine ends a scan's page with a bucket of its hash table, so a page may be longer than the
 * service's: those items are left for the next one. */
static void measure(struct larder_dynamodb *d, struct reading *r) {
    uint32_t count = larder_page_count(d->page);
    for (; r->count < count && r->bytes < READING_PAGE_BYTES; r->count++)
        r->bytes += larder_item_size(larder_page_item(d->page, r->count));
}

/* The item of the table that an index's item stands for. NULL: it is gone since. */
static int fetch(struct larder_dynamodb *d, struct reading *r, const struct larder_item *item,
                 const struct larder_item **out) {
    struct larder_key key = {.sort = {.type = 0}};
    const struct larder_table_def *def = r->table->def;
    *out = NULL;
    if (larder_item_get(item, def->partition.name, &key.partition) != LARDER_OK ||
        (def->sort.name && larder_item_get(item, def->sort.name, &key.sort) != LARDER_OK))
        return failure_set(&d->failure, FAILURE_INTERNAL, "the item is damaged");
    int result = larder_get(r->table->handle, &key, d->other_page);
    if (result < 0)
        return context_fail(d, result);
    *out = result == LARDER_OK ? larder_page_item(d->other_page, 0) : NULL;
    r->fetched_halves +=
        capacity_of_read(*out ? larder_item_size(*out) : 0, d->request.booleans[BOOLEAN_CONSISTENT_READ] == 1);
    return LARDER_OK;
}

static int passes(struct larder_dynamodb *d, const struct larder_item *item, int *is_true) {
    const struct prepared *filter = d->expressions.filter;
    *is_true = 1;
    if (!filter)
        return LARDER_OK;
    if (!item_is_readable(item, item_head(item)->bytes) ||
        (*is_true = expr_truth(filter->checked, d->bound, item_head(item))) < 0)
        return failure_set(&d->failure, FAILURE_INTERNAL, "the item is damaged");
    return LARDER_OK;
}

int reading_show(struct larder_dynamodb *d, struct reading *r, const struct larder_item *item,
                 struct document_writer *w) {
    const struct larder_item *shown = item;
    int is_true, result;
    if ((result = passes(d, item, &is_true)) || !is_true)
        return result;
    r->shown++;
    if (r->is_count)
        return LARDER_OK;
    if (d->expressions.projection && (result = prepared_project(d, d->expressions.projection, item, &shown)))
        return result;
    document_put_item(w, shown ? shown : d->no_values);
    return LARDER_OK;
}

static int answer_item(struct larder_dynamodb *d, struct reading *r, const struct larder_item *item,
                       struct document_writer *w) {
    const struct larder_item *fetched = item;
    int result = r->is_fetched ? fetch(d, r, item, &fetched) : LARDER_OK;
    return result || !fetched ? result : reading_show(d, r, fetched, w);
}

int reading_begin_items(struct larder_dynamodb *d, const struct reading *r, struct document_writer *w) {
    if (!r->is_count) {
        document_put_name(w, TEXT("Items"));
        document_put_begin(w, DOCUMENT_ARRAY);
    }
    return d->expressions.filter ? prepared_bind(d, d->expressions.filter) : LARDER_OK;
}

#define WHOLE_ITEMS 64u /* that are written at once */

/* All items of the page as they are, and their size, as measure(). */
static void answer_whole(struct larder_dynamodb *d, struct reading *r, struct document_writer *w) {
    const struct larder_item *items[WHOLE_ITEMS];
    uint32_t count = larder_page_count(d->page), taken;
    do {
        for (taken = 0; taken < WHOLE_ITEMS && r->count < count && r->bytes < READING_PAGE_BYTES; taken++) {
            items[taken] = larder_page_item(d->page, r->count++);
            r->bytes += item_ddb_bytes(item_head(items[taken]));
        }
        document_put_items(w, items, taken);
    } while (taken == WHOLE_ITEMS);
    r->shown = r->count;
}

static int answer_items(struct larder_dynamodb *d, struct reading *r, struct document_writer *w) {
    int result = reading_begin_items(d, r, w);
    if (!d->expressions.filter && !d->expressions.projection && !r->is_fetched && !r->is_count) {
        answer_whole(d, r, w);
        return LARDER_OK;
    }
    measure(d, r);
    for (uint32_t i = 0; result == LARDER_OK && i < r->count; i++)
        result = answer_item(d, r, larder_page_item(d->page, i), w);
    return result;
}

const struct larder_item *reading_key(struct larder_dynamodb *d, const struct reading *r,
                                      const struct larder_item *last) {
    struct start_key keys[START_KEYS_MAX];
    const struct larder_item *made;
    uint32_t count = start_keys(r, keys);
    struct larder_value value;
    larder_builder_reset(d->builder);
    for (uint32_t i = 0; i < count; i++)
        if (larder_item_get(last, keys[i].def->name, &value) == LARDER_OK)
            larder_builder_add(d->builder, keys[i].def->name, &value);
    return larder_builder_finish(d->builder, &made) == LARDER_OK ? made : NULL;
}

static const struct larder_item *key_to_resume(struct larder_dynamodb *d, const struct reading *r, int result) {
    const struct request *q = &d->request;
    int is_cut = r->count < larder_page_count(d->page);
    /* the service gives a key when Limit was reached, even if there is no more */
    int is_full = request_has_integer(q, INTEGER_LIMIT) && r->count && r->count >= q->integers[INTEGER_LIMIT];
    if (result == LARDER_MORE && !is_cut)
        return larder_page_resume(d->page);
    return is_full || is_cut ? reading_key(d, r, larder_page_item(d->page, r->count - 1)) : NULL;
}

static void answer_capacity(struct larder_dynamodb *d, const struct reading *r, struct document_writer *w) {
    struct capacity c = {.table = r->fetched_halves};
    uint64_t halves = capacity_of_read(r->bytes, d->request.booleans[BOOLEAN_CONSISTENT_READ] == 1);
    if (r->index)
        c.indexes[r->index - r->table->def->indexes] = halves;
    else
        c.table = halves;
    capacity_write(d, r->table->def, &c, w);
}

void reading_finish(struct larder_dynamodb *d, const struct reading *r, const struct larder_item *key,
                    struct document_writer *w) {
    if (!r->is_count)
        document_put_end(w, DOCUMENT_ARRAY);
    document_put_name(w, TEXT("Count"));
    document_put_integer(w, (int64_t)r->shown);
    document_put_name(w, TEXT("ScannedCount"));
    document_put_integer(w, (int64_t)r->count);
    if (key) {
        document_put_name(w, TEXT("LastEvaluatedKey"));
        document_put_item(w, key);
    }
    answer_capacity(d, r, w);
}

int reading_answer(struct larder_dynamodb *d, struct reading *r, int result, struct document_writer *w) {
    int failed = answer_items(d, r, w);
    if (failed)
        return failed;
    reading_finish(d, r, key_to_resume(d, r, result), w);
    return LARDER_OK;
}

/* dynamodb/call.c - larder_dynamodb_call(): a request in JSON, and the answer.
 *
 * Picture  text -> request_read() -> check_request() -> prepared_take() -> operation -> text
 * Short    A GetItem or Query like one before, with another key: shape.h.
 * Again    A name that is given twice in one map is noticed late. Then the text is read again,
 *          without it. A table that was dropped between two calls is looked up again, once. A call
 *          whose table is changed meanwhile is done again, a few times.
 * Tests    tests/dynamodb/dynamodb_item_test.c, dynamodb_errors_test.c
 */
#include <stdlib.h>

#include "core/base/priv.h"
#include "dynamodb/check.h"
#include "dynamodb/json_once.h"
#include "dynamodb/operations.h"
#include "dynamodb/prepared.h"
#include "dynamodb/table.h"

#define TRIES_MAX 8

/* ---- Operations ------------------------------------------------------------------------------ */

struct operation_entry {
    const char *name;
    int (*run)(struct larder_dynamodb *d, struct document_writer *w);
    int (*read)(struct larder_dynamodb *d, const struct operation_entry *entry, struct wire *wire);
    int number; /* of the enum that `read` takes */
    /* shape.h */
    int (*answer)(struct larder_dynamodb *d, const char *json, size_t bytes);
    void (*learn)(struct larder_dynamodb *d, const char *json, size_t bytes);
};

static int read_item_request(struct larder_dynamodb *d, const struct operation_entry *entry, struct wire *wire) {
    return request_read(&d->request, (enum operation)entry->number, wire);
}

static int read_table_request(struct larder_dynamodb *d, const struct operation_entry *entry, struct wire *wire) {
    return table_request_read(&d->tables_request, (enum table_operation)entry->number, wire);
}

static int read_batch_request(struct larder_dynamodb *d, const struct operation_entry *entry, struct wire *wire) {
    return batch_read(&d->batch, entry->number, &d->request, wire);
}

static int read_transact_request(struct larder_dynamodb *d, const struct operation_entry *entry, struct wire *wire) {
    return transact_read(&d->transact, entry->number, &d->request, wire);
}

/* Frequent ones first. */
static const struct operation_entry operations[] = {
    {"GetItem", operation_get_item, read_item_request, OPERATION_GET_ITEM, shape_answer_get, shape_learn_get},
    {"Query", operation_query, read_item_request, OPERATION_QUERY, shape_answer_query, shape_learn_query},
    {"PutItem", operation_put_item, read_item_request, OPERATION_PUT_ITEM},
    {"UpdateItem", operation_update_item, read_item_request, OPERATION_UPDATE_ITEM},
    {"DeleteItem", operation_delete_item, read_item_request, OPERATION_DELETE_ITEM},
    {"Scan", operation_scan, read_item_request, OPERATION_SCAN},
    {"BatchGetItem", operation_batch_get_item, read_batch_request, 0},
    {"BatchWriteItem", operation_batch_write_item, read_batch_request, 1},
    {"TransactGetItems", operation_transact_get_items, read_transact_request, 0},
    {"TransactWriteItems", operation_transact_write_items, read_transact_request, 1},
    {"CreateTable", operation_create_table, read_table_request, TABLE_CREATE},
    {"UpdateTable", operation_update_table, read_table_request, TABLE_UPDATE},
    {"TagResource", operation_tag_resource, read_table_request, TABLE_TAG},
    {"UntagResource", operation_untag_resource, read_table_request, TABLE_UNTAG},
    {"ListTagsOfResource", operation_list_tags, read_table_request, TABLE_LIST_TAGS},
    {"DescribeTable", operation_describe_table, read_table_request, TABLE_DESCRIBE},
    {"DeleteTable", operation_delete_table, read_table_request, TABLE_DELETE},
    {"ListTables", operation_list_tables, read_table_request, TABLE_LIST},
    {"UpdateTimeToLive", operation_update_ttl, read_table_request, TABLE_SET_TTL},
    {"DescribeTimeToLive", operation_describe_ttl, read_table_request, TABLE_DESCRIBE_TTL},
    {"DescribeLimits", operation_describe_limits, read_table_request, TABLE_LIST},
    {"DescribeEndpoints", operation_describe_endpoints, read_table_request, TABLE_LIST},
};

static const struct operation_entry *find_operation(const char *name) {
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++)
        if (strcmp(operations[i].name, name) == 0)
            return &operations[i];
    return NULL;
}

static int is_of_items(const struct operation_entry *entry) {
    return entry->read == read_item_request;
}

/* ---- Contexts -------------------------------------------------------------------------------- */

LARDER_API void larder_dynamodb_free(struct larder_dynamodb *d) {
    if (!d)
        return;
    table_forget_all(d);
    table_free_replaced(d);
    prepared_free_replaced(d);
    for (uint32_t i = 0; i < KNOWN_EXPRESSIONS; i++)
        prepared_free(d, d->prepared[i]);
    larder_page_free(d->page);
    larder_page_free(d->other_page);
    larder_builder_free(d->no_values_builder);
    larder_builder_free(d->builder);
    request_free(&d->request);
    table_request_free(&d->tables_request);
    batch_free(&d->batch);
    transact_free(&d->transact);
    json_reader_free(&d->reader);
    json_writer_free(&d->writer);
    json_reader_free(&d->settings_reader);
    json_writer_free(&d->settings_writer);
    if (d->priv)
        priv_destroy(d->priv);
    free(d->bound);
    free(d->key);
    free(d->projected);
    free(d);
}

static int init(struct larder_dynamodb *d) {
    int r = request_init(&d->request, d->db);
    if (r || (r = larder_page_new(d->db, &d->page)) || (r = larder_page_new(d->db, &d->other_page)) ||
        (r = larder_builder_new(d->db, &d->builder)) || (r = larder_builder_new(d->db, &d->no_values_builder)))
        return r;
    d->priv = priv_new();
    return d->priv ? larder_builder_finish(d->no_values_builder, &d->no_values) : LARDER_E_NO_MEMORY;
}

LARDER_API int larder_dynamodb_new(struct larder *db, struct larder_dynamodb **out) {
    if (!db || !out)
        return LARDER_E_INVAL;
    struct larder_dynamodb *d = calloc(1, sizeof *d);
    if (!d)
        return LARDER_E_NO_MEMORY;
    d->db = db;
    int r = init(d);
    if (r)
        larder_dynamodb_free(d);
    else
        *out = d;
    return r;
}

/* ---- Calls ----------------------------------------------------------------------------------- */

static int read_request(struct larder_dynamodb *d, const struct operation_entry *entry, const char *json,
                        size_t bytes) {
    struct wire wire = {.reader = &d->reader.reader, .failure = &d->failure};
    json_reader_begin(&d->reader, json, bytes);
    int r = entry->read(d, entry, &wire);
    return r ? r : wire_result(&wire, json_reader_finish(&d->reader));
}

/* Whether the operation, which has failed, is to be done again. */
static int is_again(struct larder_dynamodb *d, int tries) {
    if (d->failure.kind == FAILURE_CHANGED && tries < TRIES_MAX)
        return 1;
    /* a known table was dropped: another may have its name by now */
    if (d->failure.kind != FAILURE_NOT_FOUND || tries > 1)
        return 0;
    table_forget_all(d);
    return 1;
}

static int answer(struct larder_dynamodb *d, const struct operation_entry *entry) {
    struct document_writer *w = &d->writer.writer;
    int r = is_of_items(entry) ? check_request(&d->request, &d->failure) : LARDER_OK;
    if (r || (is_of_items(entry) && (r = prepared_take(d))))
        return r;
    for (int tries = 1;; tries++) {
        json_writer_begin(&d->writer);
        document_put_begin(w, DOCUMENT_OBJECT);
        r = entry->run(d, w);
        document_put_end(w, DOCUMENT_OBJECT);
        if (r == LARDER_OK || !is_again(d, tries))
            return r;
        d->failure.kind = FAILURE_NONE;
    }
}

static int may_have_duplicates(const struct larder_dynamodb *d, const struct operation_entry *entry) {
    if (is_of_items(entry))
        return request_may_have_duplicates(&d->request);
    if (entry->read == read_transact_request)
        return d->transact.may_have_duplicates;
    return entry->read == read_batch_request && d->batch.may_have_duplicates;
}

/* Reads the request again without names that are given twice, if there are any. `once` is the text
 * it is read from then, to be freed. */
static int read_once(struct larder_dynamodb *d, const struct operation_entry *entry, const char *json, size_t bytes,
                     char **once) {
    size_t once_bytes;
    int r = read_request(d, entry, json, bytes);
    if (r || !may_have_duplicates(d, entry))
        return r;
    r = json_once(json, bytes, once, &once_bytes);
    if (r == LARDER_NOT_FOUND)
        return LARDER_OK;
    if (r)
        return failure_set(&d->failure, FAILURE_INTERNAL, "out of memory");
    return read_request(d, entry, *once, once_bytes);
}

static int write_exception(struct larder_dynamodb *d, const struct larder_item *item, int *status) {
    struct document_writer *w = &d->writer.writer;
    json_writer_begin(&d->writer);
    document_put_begin(w, DOCUMENT_OBJECT);
    *status = failure_write(&d->failure, item, w);
    if (d->failure.kind == FAILURE_CANCELED)
        failure_write_reasons(d->failure_reasons, d->failure_reason_count, w);
    document_put_end(w, DOCUMENT_OBJECT);
    return json_writer_finish(&d->writer);
}

static int write_failure(struct larder_dynamodb *d, int *status) {
    int r = write_exception(d, d->failure_item, status);
    if (r != LARDER_E_CORRUPT)
        return r;
    failure_set(&d->failure, FAILURE_INTERNAL, "the item is damaged");
    return write_exception(d, NULL, status);
}

static int finish(struct larder_dynamodb *d, int result, int *status) {
    *status = 200;
    int r = result == LARDER_OK ? json_writer_finish(&d->writer) : LARDER_OK;
    if (r)
        failure_set(&d->failure, FAILURE_INTERNAL, "%s",
                    r == LARDER_E_CORRUPT ? "the item is damaged" : "out of memory");
    return result || r ? write_failure(d, status) : LARDER_OK;
}

static int run(struct larder_dynamodb *d, const struct operation_entry *entry, const char *json, size_t bytes,
               int *status) {
    char *once = NULL;
    int r = LARDER_E_INVAL;
    if (!entry)
        failure_set(&d->failure, FAILURE_UNKNOWN_OPERATION, "%s", "");
    else if ((r = read_once(d, entry, json, bytes, &once)) == LARDER_OK)
        r = answer(d, entry);
    r = finish(d, r, status);
    if (r == LARDER_OK && *status == 200 && !once && entry && entry->learn)
        entry->learn(d, json, bytes);
    table_free_replaced(d);
    free(once);
    return r;
}

LARDER_API int larder_dynamodb_call(struct larder_dynamodb *d, const char *operation, const char *json, size_t bytes,
                                    struct larder_dynamodb_reply *reply) {
    int status, r;
    if (!d || !operation || (bytes && !json) || !reply)
        return LARDER_E_INVAL;
    d->failure.kind = FAILURE_NONE;
    d->failure.message[0] = 0;
    d->failure_item = NULL;
    const struct operation_entry *entry = find_operation(operation);
    if (entry && entry->answer && entry->answer(d, json ? json : "", bytes))
        status = 200;
    else if ((r = run(d, entry, json ? json : "", bytes, &status)))
        return r;
    *reply = (struct larder_dynamodb_reply){.status = status, .body = d->writer.text, .bytes = d->writer.bytes};
    return LARDER_OK;
}

/* dynamodb/tables.c - DescribeTable, DeleteTable, ListTables, DescribeLimits, DescribeEndpoints.
 *
 * Sources  API reference of each. Limits: developer guide, "Service, account, and table quotas":
 *          the defaults, which Larder does not enforce.
 * Tests    tests/dynamodb/dynamodb_table_test.c
 */
#include <stdlib.h>

#include "dynamodb/constraint.h"
#include "dynamodb/describe.h"
#include "dynamodb/operations.h"
#include "dynamodb/settings.h"

#define LIST_MAX 100

int operation_describe_table(struct larder_dynamodb *d, struct document_writer *w) {
    return describe_named(d, "Table", "ACTIVE", w);
}

/* It is gone when this returns; the service says DELETING. */
int operation_delete_table(struct larder_dynamodb *d, struct document_writer *w) {
    const struct larder_table_def *def;
    struct larder_table *table;
    struct settings s;
    int r = describe_named(d, "TableDescription", "DELETING", w);
    if (r || (r = describe_open(d, &table, &def)))
        return r;
    settings_read(&s, def, &d->settings_reader);
    if (s.is_protected)
        return failure_set(&d->failure, FAILURE_VALIDATION,
                           "Resource cannot be deleted as it is currently protected against deletion. Disable deletion "
                           "protection first.");
    r = larder_table_drop(d->db, def->name);
    return r ? context_fail(d, r) : LARDER_OK;
}

/* ---- ListTables ------------------------------------------------------------------------------ */

static int check_list(struct larder_dynamodb *d) {
    const struct table_request *q = &d->tables_request;
    struct constraints c = {.count = 0};
    if (q->has_limit)
        constraint_add_range(&c, q->limit, "limit", 1, LIST_MAX);
    if (q->start_name.at)
        constraint_add_name(&c, q->start_name, "exclusiveStartTableName");
    return constraint_report(&c, &d->failure);
}

static int is_after(const char *name, struct text start) {
    size_t bytes = strlen(name);
    int order = memcmp(name, start.at, bytes < start.bytes ? bytes : start.bytes);
    return order > 0 || (order == 0 && bytes > start.bytes);
}

static void write_names(struct document_writer *w, const char **names, uint32_t count, struct text start,
                        uint32_t limit) {
    uint32_t first = 0;
    while (start.at && first < count && !is_after(names[first], start))
        first++;
    uint32_t end = count - first > limit ? first + limit : count;
    document_put_name(w, TEXT("TableNames"));
    document_put_begin(w, DOCUMENT_ARRAY);
    for (uint32_t i = first; i < end; i++)
        document_put_text(w, (struct text){names[i], strlen(names[i])});
    document_put_end(w, DOCUMENT_ARRAY);
    if (end == count)
        return;
    document_put_name(w, TEXT("LastEvaluatedTableName"));
    document_put_text(w, (struct text){names[end - 1], strlen(names[end - 1])});
}

int operation_list_tables(struct larder_dynamodb *d, struct document_writer *w) {
    const struct table_request *q = &d->tables_request;
    const char *names[LARDER_TABLES_MAX];
    uint32_t count, limit = q->has_limit ? (uint32_t)q->limit : LIST_MAX;
    int r = check_list(d);
    if (r)
        return r;
    if ((r = larder_table_list(d->db, names, LARDER_TABLES_MAX, &count)))
        return context_fail(d, r);
    write_names(w, names, count < LARDER_TABLES_MAX ? count : LARDER_TABLES_MAX,
                q->start_name.at ? constraint_table_name(q->start_name) : q->start_name, limit);
    return LARDER_OK;
}

/* ---- Of the account -------------------------------------------------------------------------- */

int operation_describe_limits(struct larder_dynamodb *d, struct document_writer *w) {
    static const struct {
        struct text name;
        int64_t value;
    } limits[] = {{TEXT("AccountMaxReadCapacityUnits"), 80000},
                  {TEXT("AccountMaxWriteCapacityUnits"), 80000},
                  {TEXT("TableMaxReadCapacityUnits"), 40000},
                  {TEXT("TableMaxWriteCapacityUnits"), 40000}};
    (void)d;
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        document_put_name(w, limits[i].name);
        document_put_integer(w, limits[i].value);
    }
    return LARDER_OK;
}

/* The caller's own endpoint is the only one. */
int operation_describe_endpoints(struct larder_dynamodb *d, struct document_writer *w) {
    (void)d;
    document_put_name(w, TEXT("Endpoints"));
    document_put_begin(w, DOCUMENT_ARRAY);
    document_put_begin(w, DOCUMENT_OBJECT);
    document_put_name(w, TEXT("Address"));
    document_put_text(w, TEXT("localhost"));
    document_put_name(w, TEXT("CachePeriodInMinutes"));
    document_put_integer(w, 1440);
    document_put_end(w, DOCUMENT_OBJECT);
    document_put_end(w, DOCUMENT_ARRAY);
    return LARDER_OK;
}

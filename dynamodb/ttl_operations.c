/* dynamodb/ttl_operations.c - UpdateTimeToLive, DescribeTimeToLive.
 *
 * Sources  API reference of both. Messages: the service's, as its users report them ("TimeToLive is
 *          already enabled" and others).
 * Differs  A change is done when the call returns: ENABLED or DISABLED, never ENABLING. It may be
 *          repeated at once; the service wants an hour between two.
 * Tests    tests/dynamodb/dynamodb_table_test.c
 */
#include "dynamodb/constraint.h"
#include "dynamodb/describe.h"
#include "dynamodb/operations.h"

static int refuse(struct larder_dynamodb *d, const char *message) {
    return failure_set(&d->failure, FAILURE_VALIDATION, "%s", message);
}

static int check_constraints(struct larder_dynamodb *d) {
    const struct table_request *q = &d->tables_request;
    struct constraints c = {.count = 0};
    if (!q->has_ttl)
        constraint_add_null(&c, "timeToLiveSpecification");
    else if (q->ttl_enabled < 0)
        constraint_add_null(&c, "timeToLiveSpecification.enabled");
    if (q->has_ttl && !q->ttl_attribute.at)
        constraint_add_null(&c, "timeToLiveSpecification.attributeName");
    else if (q->has_ttl && !q->ttl_attribute.bytes)
        constraint_add(&c, q->ttl_attribute, "timeToLiveSpecification.attributeName",
                       "have length greater than or equal to 1");
    else if (q->has_ttl && q->ttl_attribute.bytes > LARDER_NAME_BYTES_MAX)
        constraint_add(&c, q->ttl_attribute, "timeToLiveSpecification.attributeName",
                       "have length less than or equal to 255");
    return constraint_report(&c, &d->failure);
}

/* The change against what the table has. */
static int check_change(struct larder_dynamodb *d, const char *current, const char *wanted) {
    int is_enabled = d->tables_request.ttl_enabled;
    if (!current)
        return is_enabled ? LARDER_OK : refuse(d, "TimeToLive is already disabled");
    if (strcmp(current, wanted) != 0)
        return failure_set(&d->failure, FAILURE_VALIDATION,
                           "TimeToLive is active on a different AttributeName: current AttributeName is %s", current);
    return is_enabled ? refuse(d, "TimeToLive is already enabled") : LARDER_OK;
}

static int change(struct larder_dynamodb *d) {
    const struct table_request *q = &d->tables_request;
    const struct larder_table_def *def;
    struct larder_table *table;
    char wanted[LARDER_NAME_BYTES_MAX + 1];
    int r = describe_open(d, &table, &def);
    if (r)
        return r;
    memcpy(wanted, q->ttl_attribute.at, q->ttl_attribute.bytes);
    wanted[q->ttl_attribute.bytes] = 0;
    if (memchr(wanted, 0, q->ttl_attribute.bytes))
        return refuse(d, "Larder does not have a TTL attribute with a zero byte in its name");
    if ((r = check_change(d, def->ttl_attribute, wanted)))
        return r;
    r = larder_ttl_set(table, q->ttl_enabled ? wanted : NULL);
    return r ? context_fail(d, r) : LARDER_OK;
}

int operation_update_ttl(struct larder_dynamodb *d, struct document_writer *w) {
    const struct table_request *q = &d->tables_request;
    int r = describe_check_name(d);
    if (r || (r = check_constraints(d)) || (r = change(d)))
        return r;
    document_put_name(w, TEXT("TimeToLiveSpecification"));
    document_put_begin(w, DOCUMENT_OBJECT);
    document_put_name(w, TEXT("Enabled"));
    document_put_boolean(w, q->ttl_enabled);
    document_put_name(w, TEXT("AttributeName"));
    document_put_text(w, q->ttl_attribute);
    document_put_end(w, DOCUMENT_OBJECT);
    return LARDER_OK;
}

int operation_describe_ttl(struct larder_dynamodb *d, struct document_writer *w) {
    const struct larder_table_def *def;
    struct larder_table *table;
    int r = describe_open(d, &table, &def);
    if (r)
        return r;
    document_put_name(w, TEXT("TimeToLiveDescription"));
    document_put_begin(w, DOCUMENT_OBJECT);
    document_put_name(w, TEXT("TimeToLiveStatus"));
    document_put_text(w, def->ttl_attribute ? TEXT("ENABLED") : TEXT("DISABLED"));
    if (def->ttl_attribute) {
        document_put_name(w, TEXT("AttributeName"));
        document_put_text(w, (struct text){def->ttl_attribute, strlen(def->ttl_attribute)});
    }
    document_put_end(w, DOCUMENT_OBJECT);
    return LARDER_OK;
}

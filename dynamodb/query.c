/* dynamodb/query.c - Query.
 *
 * Tests    tests/dynamodb/dynamodb_query_test.c
 */
#include "dynamodb/operations.h"
#include "dynamodb/prepared.h"
#include "dynamodb/reading.h"

static struct item_key_attr key_attr(const struct larder_key_def *key) {
    struct item_key_attr attr = {.name = key->name, .type = key->type};
    attr.name_bytes = key->name ? (uint32_t)strlen(key->name) : 0;
    return attr;
}

/* The key condition as the engine's question. */
static int take_condition(struct larder_dynamodb *d, const struct reading *r, struct larder_query_spec *spec) {
    const struct larder_table_def *def = r->table->def;
    const struct larder_key_def *partition = r->index ? &r->index->partition : &def->partition;
    const struct larder_key_def *sort = r->index ? &r->index->sort : &def->sort;
    const struct item_key_attr keys[] = {key_attr(partition), key_attr(sort)};
    struct expr_key_term terms[EXPR_KEY_TERMS_MAX];
    uint32_t count;
    int result = prepared_bind(d, d->expressions.key_condition);
    if (result)
        return result;
    result =
        expr_key_terms(d->expressions.key_condition->checked, d->bound, keys, 1, sort->name ? 2 : 1, terms, &count);
    if (result)
        return prepared_fail(d, result);
    spec->partition = d->bound[terms[0].low];
    if ((result = table_check_key_size(d, partition->name, &spec->partition, 0)) || count < 2)
        return result;
    spec->sort_op = expr_sort_op(&terms[1]);
    spec->sort_value = d->bound[terms[1].low];
    spec->sort_value2 = d->bound[terms[1].high];
    result = table_check_key_size(d, sort->name, &spec->sort_value, 1);
    return result ? result : table_check_key_size(d, sort->name, &spec->sort_value2, 1);
}

/* A start key lies in what is asked for; d->bound has the key condition's values. */
static int check_start(struct larder_dynamodb *d, const struct reading *r, const struct larder_query_spec *spec) {
    const struct larder_key_def *partition = r->index ? &r->index->partition : &r->table->def->partition;
    const struct larder_item *start = d->request.maps[MAP_START_KEY].item;
    struct larder_value value;
    int result = reading_check_start(d, r, 1);
    if (result || !request_has(&d->request, MAP_START_KEY) ||
        expr_truth(d->expressions.key_condition->checked, d->bound, item_head(start)) == 1)
        return result;
    int is_there = larder_item_get(start, partition->name, &value) == LARDER_OK &&
                   value.bytes == spec->partition.bytes &&
                   (!value.bytes || !memcmp(value.data, spec->partition.data, value.bytes));
    return failure_set(&d->failure, FAILURE_VALIDATION, "%s",
                       is_there        ? "The provided starting key does not match the range key predicate"
                       : spec->sort_op ? "The query can return at most one row and cannot be restarted"
                                       : "The provided starting key is outside query boundaries based on provided "
                                         "conditions");
}

int operation_query(struct larder_dynamodb *d, struct document_writer *w) {
    const struct request *q = &d->request;
    struct reading r;
    struct larder_query_spec spec = {.is_descending = q->booleans[BOOLEAN_SCAN_FORWARD] == 0};
    int result = reading_take(d, &r);
    if (result || (result = take_condition(d, &r, &spec)) || (result = check_start(d, &r, &spec)) ||
        (result = reading_check(d, &r, 1)))
        return result;
    spec.index = r.index ? r.index->name : NULL;
    if (request_has_integer(q, INTEGER_LIMIT))
        spec.limit = q->integers[INTEGER_LIMIT] < UINT32_MAX ? (uint32_t)q->integers[INTEGER_LIMIT] : UINT32_MAX;
    if (request_has(q, MAP_START_KEY))
        spec.start_key = q->maps[MAP_START_KEY].item;
    result = larder_query(r.table->handle, &spec, d->page);
    return result < 0 ? context_fail(d, result) : reading_answer(d, &r, result, w);
}

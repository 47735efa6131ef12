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

/* The values of further key attributes, as long as the question lives. */
struct question {
    struct larder_query_spec spec;
    struct larder_query_key more;
    struct larder_value values[EXPR_KEY_TERMS_MAX];
};

static int check_sizes(struct larder_dynamodb *d, const struct table_schema *s, const struct expr_key_term *terms,
                       uint32_t count) {
    int r = LARDER_OK;
    for (uint32_t i = 0; i < count && r == LARDER_OK; i++) {
        r = table_check_key_size(d, s->key[i]->name, &d->bound[terms[i].low], i >= s->partition_count);
        if (r == LARDER_OK)
            r = table_check_key_size(d, s->key[i]->name, &d->bound[terms[i].high], i >= s->partition_count);
    }
    return r;
}

/* The key condition as the engine's question. */
static int take_condition(struct larder_dynamodb *d, const struct reading *r, struct question *q) {
    const struct table_schema s = table_schema(r->table->def, r->index);
    struct item_key_attr keys[2 * LARDER_KEY_ATTRIBUTES_MAX];
    struct expr_key_term terms[EXPR_KEY_TERMS_MAX];
    struct larder_query_spec *spec = &q->spec;
    uint32_t count;
    int result = prepared_bind(d, d->expressions.key_condition);
    if (result)
        return result;
    for (uint32_t i = 0; i < s.count; i++)
        keys[i] = key_attr(s.key[i]);
    result = expr_key_terms(d->expressions.key_condition->checked, d->bound, keys, s.partition_count, s.count, terms,
                            &count);
    if (result)
        return prepared_fail(d, result);
    result = check_sizes(d, &s, terms, count);
    if (result)
        return result;
    for (uint32_t i = 0; i < count; i++)
        q->values[i] = d->bound[terms[i].low];
    spec->partition = q->values[0];
    if (s.count > 2 || s.partition_count > 1) {
        q->more = (struct larder_query_key){.partition_more = &q->values[1],
                                            .partition_more_count = s.partition_count - 1,
                                            .sort_before = &q->values[s.partition_count]};
        spec->more = &q->more;
    }
    if (count == s.partition_count)
        return LARDER_OK;
    q->more.sort_before_count = count - s.partition_count - 1;
    spec->sort_op = expr_sort_op(&terms[count - 1]);
    spec->sort_value = d->bound[terms[count - 1].low];
    spec->sort_value2 = d->bound[terms[count - 1].high];
    return LARDER_OK;
}

/* Whether the start key has the partition that is asked for. */
static int is_of_partition(const struct reading *r, const struct question *q, const struct larder_item *start) {
    const struct table_schema s = table_schema(r->table->def, r->index);
    struct larder_value value;
    for (uint32_t i = 0; i < s.partition_count; i++) {
        const struct larder_value *asked = &q->values[i];
        if (larder_item_get(start, s.key[i]->name, &value) != LARDER_OK || value.bytes != asked->bytes ||
            (value.bytes && memcmp(value.data, asked->data, value.bytes) != 0))
            return 0;
    }
    return 1;
}

/* A start key lies in what is asked for; d->bound has the key condition's values. */
static int check_start(struct larder_dynamodb *d, const struct reading *r, const struct question *q) {
    const struct larder_item *start = d->request.maps[MAP_START_KEY].item;
    int result = reading_check_start(d, r, 1);
    if (result || !request_has(&d->request, MAP_START_KEY) ||
        expr_truth(d->expressions.key_condition->checked, d->bound, item_head(start)) == 1)
        return result;
    return failure_set(&d->failure, FAILURE_VALIDATION, "%s",
                       is_of_partition(r, q, start) ? "The provided starting key does not match the range key predicate"
                       : q->spec.sort_op            ? "The query can return at most one row and cannot be restarted"
                                         : "The provided starting key is outside query boundaries based on provided "
                                           "conditions");
}

int operation_query(struct larder_dynamodb *d, struct document_writer *w) {
    const struct request *q = &d->request;
    struct reading r;
    struct question question = {.spec = {.is_descending = q->booleans[BOOLEAN_SCAN_FORWARD] == 0}};
    struct larder_query_spec *spec = &question.spec;
    int result = reading_take(d, &r);
    if (result || (result = take_condition(d, &r, &question)) || (result = check_start(d, &r, &question)) ||
        (result = reading_check(d, &r, 1)))
        return result;
    spec->index = r.index ? r.index->name : NULL;
    if (request_has_integer(q, INTEGER_LIMIT))
        spec->limit = q->integers[INTEGER_LIMIT] < UINT32_MAX ? (uint32_t)q->integers[INTEGER_LIMIT] : UINT32_MAX;
    if (request_has(q, MAP_START_KEY))
        spec->start_key = q->maps[MAP_START_KEY].item;
    result = larder_query(r.table->handle, spec, d->page);
    if (reading_has_changed(&r))
        return failure_of_change(&d->failure);
    return result < 0 ? context_fail(d, result) : reading_answer(d, &r, result, w);
}

/* index/query.c - larder_query(): its arguments, and the queries that are a plain get.
 *
 * Tests    tests/api/query_test.c
 */
#include "index/query.h"
#include "core/base/err.h"
#include "core/base/reserved.h"
#include "core/table/db.h"
#include "core/table/sift.h"

static int query_find_index(struct query *q, const char *name) {
    q->number = name ? table_index_number(q->v, name) : 0;
    if (!name || q->number)
        return LARDER_OK;
    return err_set(LARDER_E_NO_INDEX, "table \"%.64s\" has no index \"%.64s\"", q->v->def.name, name);
}

/* A partition key of several attributes. */
static __attribute__((noinline)) int query_join_partition(struct query *q, const struct larder_query_spec *spec) {
    const struct item_key_attr *key = query_partition_attr(q);
    const struct larder_value *values[LARDER_KEY_ATTRIBUTES_MAX] = {&spec->partition};
    uint32_t count = item_key_count(key), given = spec->more ? spec->more->partition_more_count : 0;
    if (given != count - 1)
        return err_set(LARDER_E_INVAL,
                       "the partition key of index \"%.64s\" has %u attributes; spec->partition and the %u of "
                       "more->partition_more are %u",
                       spec->index, count, given, given + 1);
    if (!spec->more->partition_more)
        return err_set(LARDER_E_INVAL, "more->partition_more_count is %u, but more->partition_more is NULL", given);
    for (uint32_t i = 1; i < count; i++)
        values[i] = &spec->more->partition_more[i - 1];
    return item_encode_key(key, values, count, 1, "partition key", LARDER_PARTITION_KEY_BYTES_MAX, q->partition,
                           &q->partition_bytes);
}

static int query_take_partition(struct query *q, const struct larder_query_spec *spec) {
    const struct item_key_attr *key = query_partition_attr(q);
    if (__builtin_expect(key->more_count, 0))
        return query_join_partition(q, spec);
    if (__builtin_expect(spec->more != NULL, 0) && spec->more->partition_more_count)
        return err_set(LARDER_E_INVAL, "more->partition_more_count is %u, but the partition key has one attribute",
                       spec->more->partition_more_count);
    return item_encode_key_value(key, &spec->partition, "partition key", LARDER_PARTITION_KEY_BYTES_MAX, q->partition,
                                 &q->partition_bytes);
}

/* Copies and checks everything that the caller gave: it may lie in the page, which will be
 * overwritten. */
static int query_take_spec(struct query *q, const struct larder_query_spec *spec) {
    q->limit = spec->limit ? spec->limit : UINT32_MAX;
    q->bytes_max = spec->bytes_max ? spec->bytes_max : PAGE_BYTES_DEFAULT;
    q->is_descending = spec->is_descending != 0;
    int r = query_find_index(q, spec->index);
    if (r)
        return r;
    r = query_take_partition(q, spec);
    if (r)
        return r;
    struct bytes key = {q->partition, q->partition_bytes};
    q->partition_hash = index_partition_hash(q->v, q->number, key);
    return range_of_query(query_sort_attr(q), spec, &q->range);
}

/* A table without sort key has one item per partition; EQ on the table's sort key selects one
 * item. */
static int query_is_get(const struct query *q, const struct larder_query_spec *spec) {
    return q->number == 0 && (!q->v->shape.sort.name || spec->sort_op == LARDER_SORT_EQ);
}

static int query_get(struct query *q) {
    struct item_key key = {.partition_bytes = (uint16_t)q->partition_bytes};
    key.sort_bytes = q->v->shape.sort.name ? (uint16_t)q->range.from_key_bytes : 0;
    key.area_bytes = (uint32_t)item_round8((size_t)key.partition_bytes + key.sort_bytes);
    memcpy(key.area, q->partition, key.partition_bytes);
    memcpy(key.area + key.partition_bytes, q->range.from_key, key.sort_bytes);
    int is_start = q->has_start && q->start_key.partition_bytes == key.partition_bytes &&
                   q->start_key.sort_bytes == key.sort_bytes &&
                   memcmp(q->start_key.area, key.area, key.area_bytes) == 0;
    /* No item comes after that one, nor after a start key beyond it. */
    q->page->is_snapshot = 1; /* one item, or none */
    if (is_start || leaf_compare_cuts(&q->range.from, &q->range.to) >= 0)
        return LARDER_OK;
    int r = read_by_key(q->v, &key, read_hash(q->v, &key), q->now_s, q->page);
    q->page->scanned = q->page->count;
    return r == LARDER_NOT_FOUND ? LARDER_OK : r;
}

/* A caller's question. Values of a key condition are found before the definition is looked at. */
struct query_ask {
    const struct larder_query_spec *spec;
    struct sift sift;
    struct expression_values key_values;
};

/* The values of a key condition, where larder_query() expects them. */
struct query_terms {
    struct larder_query_key more;
    struct larder_value values[EXPR_KEY_TERMS_MAX];
};

/* Puts the terms of the key condition into *asked, as if the caller had written them there. */
static int query_take_condition(struct query *q, const struct query_ask *ask, struct larder_query_spec *asked,
                                struct query_terms *taken) {
    const struct larder_value *values = ask->key_values.all;
    struct expr_key_term terms[EXPR_KEY_TERMS_MAX];
    struct item_key_attr keys[2 * LARDER_KEY_ATTRIBUTES_MAX];
    uint32_t count, key_count = 0;
    *asked = *ask->spec;
    int r = query_find_index(q, asked->index);
    if (r)
        return r;
    uint32_t partition_count = item_key_count(query_partition_attr(q));
    for (uint32_t i = 0; i < partition_count; i++)
        keys[key_count++] = *item_key_attr_at(query_partition_attr(q), i);
    for (uint32_t i = 0; i < item_key_count(query_sort_attr(q)); i++)
        keys[key_count++] = *item_key_attr_at(query_sort_attr(q), i);
    r = expr_key_terms(ask->spec->key_condition->compiled, values, keys, partition_count, key_count, terms, &count);
    if (r)
        return r;
    const struct expr_key_term *last = &terms[count - 1];
    int has_sort = count > partition_count;
    asked->partition = values[terms[0].low];
    asked->sort_op = has_sort ? expr_sort_op(last) : LARDER_SORT_ANY;
    if (has_sort) {
        asked->sort_value = values[last->low];
        asked->sort_value2 = values[last->high];
    }
    if (!query_partition_attr(q)->more_count && !query_sort_attr(q)->more_count)
        return LARDER_OK;
    for (uint32_t i = 0; i < count; i++)
        taken->values[i] = values[terms[i].low];
    taken->more = (struct larder_query_key){.partition_more = &taken->values[1],
                                            .partition_more_count = partition_count - 1,
                                            .sort_before = &taken->values[partition_count],
                                            .sort_before_count = has_sort ? count - partition_count - 1 : 0};
    asked->more = &taken->more;
    return LARDER_OK;
}

static int query_run(struct query *q, const struct larder_query_spec *spec) {
    int r = query_take_spec(q, spec);
    if (r)
        return r;
    q->has_start = 0;
    q->start_hash = QUERY_NO_HASH;
    if (spec->start_key) {
        r = query_start(q, spec->start_key);
        if (r)
            return r;
    }
    page_reset(q->page);
    if (query_is_get(q, spec))
        return query_get(q);
    r = query_fill_snapshot(q);
    if (r == LARDER_MORE)
        r = query_set_resume(q);
    return r;
}

static int query_run_condition(struct query *q, const struct query_ask *ask) {
    struct larder_query_spec asked;
    struct query_terms taken;
    int r = query_take_condition(q, ask, &asked, &taken);
    return r ? r : query_run(q, &asked);
}

/* After a query of an index under a view that is not current any more: an index that was dropped
 * meanwhile may have been read while its lists were freed. */
static __attribute__((cold)) int query_judge_index(const struct query *q, int r) {
    const struct table_view *now;
    int looked = table_view_by_ordinal(q->v->db, q->v->ordinal, &now);
    if (looked || now->birth != q->v->birth) /* the caller looks at that */
        return r;
    uint32_t ordinal = q->number - 1;
    if (ordinal < now->shape.index_count && now->index_state[ordinal] == INDEX_ACTIVE)
        return r;
    return err_set(LARDER_E_NO_INDEX, "an index of table \"%.64s\" was dropped while it was read", q->v->def.name);
}

static int query(const struct table_view *v, const void *arg, struct larder_page *page) {
    const struct query_ask *ask = arg;
    int r = page_make(page, &page->work, sizeof(struct query));
    if (r)
        return r;
    struct query *q = page->work.at; /* large, so not zeroed: its parts are set one by one */
    q->v = v;
    q->now_s = db_now_checked(v->db);
    q->page = page;
    q->number = 0;
    r = __builtin_expect(ask->spec->key_condition != NULL, 0) ? query_run_condition(q, ask) : query_run(q, ask->spec);
    return __builtin_expect(q->number && !view_is_current(v), 0) ? query_judge_index(q, r) : r;
}

/* A key condition is all that is asked for. */
static int query_check_alone(const struct larder_query_spec *spec) {
    const char *other = spec->partition.type     ? "partition"
                        : spec->sort_op          ? "sort_op"
                        : spec->sort_value.type  ? "sort_value"
                        : spec->sort_value2.type ? "sort_value2"
                        : spec->more             ? "more"
                                                 : NULL;
    return other
               ? err_set(LARDER_E_INVAL,
                         "spec->%s is given beside spec->key_condition, which says by itself what is asked for", other)
               : LARDER_OK;
}

static int query_with_expressions(struct larder_table *t, struct query_ask *ask, struct larder_page *page) {
    const struct larder_query_spec *spec = ask->spec;
    int r = LARDER_OK;
    ask->key_values.all = NULL;
    if (spec->key_condition)
        r = query_check_alone(spec);
    if (r == LARDER_OK && spec->key_condition)
        r = expression_bind(spec->key_condition, LARDER_EXPR_KEY_CONDITION, "spec->key_condition", spec->values,
                            &ask->key_values);
    if (r)
        return page_fail(page, r);
    r = sift_begin(&ask->sift, spec->values, page);
    r = r ? page_fail(page, r) : sift_end(&ask->sift, page, read_page(t, page, query, ask));
    expression_unbind(spec->key_condition, &ask->key_values);
    return r;
}

LARDER_API int larder_query(struct larder_table *t, const struct larder_query_spec *spec, struct larder_page *page) {
    struct query_ask ask;
    if (ERR_IS_NULL(t) || ERR_IS_NULL(spec) || ERR_IS_NULL(page))
        return page_fail(page, LARDER_E_INVAL);
    int r = RESERVED_CHECK(spec, "struct larder_query_spec");
    if (r == LARDER_OK && __builtin_expect(spec->more != NULL, 0))
        r = RESERVED_CHECK(spec->more, "struct larder_query_key");
    if (r)
        return page_fail(page, r);
    ask.spec = spec;
    int is_sifted = sift_is_wanted(&ask.sift, spec->filter, spec->projection, spec->select);
    return is_sifted || spec->key_condition ? query_with_expressions(t, &ask, page) : read_page(t, page, query, &ask);
}

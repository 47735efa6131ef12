/* dynamodb/metrics.c - ItemCollectionMetrics of a write. See metrics.h. */
#include "dynamodb/metrics.h"

int metrics_are_wanted(const struct request *q, const struct larder_table_def *def) {
    struct text wanted = q->strings[STRING_RETURN_METRICS];
    int has_local = 0;
    for (uint32_t i = 0; i < def->index_count; i++)
        has_local |= def->indexes[i].is_local;
    return has_local && wanted.at && text_is(wanted, TEXT("SIZE"));
}

void metrics_write_object(struct larder_dynamodb *d, const struct larder_table_def *def,
                          const struct larder_value *partition, struct document_writer *w) {
    const struct larder_item *key = d->no_values;
    larder_builder_reset(d->builder);
    larder_builder_add(d->builder, def->partition.name, partition);
    if (larder_builder_finish(d->builder, &key) != LARDER_OK)
        w->error = LARDER_E_NO_MEMORY;
    document_put_begin(w, DOCUMENT_OBJECT);
    document_put_name(w, TEXT("ItemCollectionKey"));
    document_put_item(w, key);
    document_put_name(w, TEXT("SizeEstimateRangeGB"));
    document_put_begin(w, DOCUMENT_ARRAY);
    document_put_halves(w, 0);
    document_put_halves(w, 2);
    document_put_end(w, DOCUMENT_ARRAY);
    document_put_end(w, DOCUMENT_OBJECT);
}

void metrics_write(struct larder_dynamodb *d, const struct larder_table_def *def, const struct larder_value *partition,
                   struct document_writer *w) {
    if (!metrics_are_wanted(&d->request, def))
        return;
    document_put_name(w, TEXT("ItemCollectionMetrics"));
    metrics_write_object(d, def, partition, w);
}

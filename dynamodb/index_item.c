/* dynamodb/index_item.c - what of an item is in an index. See index_item.h. */
#include "dynamodb/index_item.h"

#include "core/item/item_join.h"

/* An item may have been there before the index: then a value that is no key of it leaves it out
 * (developer guide, "Detecting and correcting index key violations"). */
static int has_key(const struct larder_item *item, const struct larder_key_def *key, size_t most) {
    struct larder_value value;
    return larder_item_get(item, key->name, &value) == LARDER_OK && value.type == key->type && value.bytes &&
           value.bytes <= most;
}

/* The attributes [first, end) of a key: each fits, and so do they together. */
static int has_keys(const struct larder_index_def *index, const struct larder_item *item, uint32_t first, uint32_t end,
                    size_t most) {
    size_t bytes = 0;
    for (uint32_t i = first; i < end; i++) {
        struct larder_value value;
        if (!has_key(item, index_key_at(index, i), most) ||
            larder_item_get(item, index_key_at(index, i)->name, &value) != LARDER_OK)
            return 0;
        bytes += i + 1 == end ? value.bytes : item_join_bytes((struct bytes){value.data, value.bytes});
    }
    return bytes <= most;
}

int index_item_is_in(const struct larder_index_def *index, const struct larder_item *item) {
    uint32_t partition = index_partition_count(index), all = index_key_count(index);
    return item && has_keys(index, item, 0, partition, LARDER_PARTITION_KEY_BYTES_MAX) &&
           has_keys(index, item, partition, all, LARDER_SORT_KEY_BYTES_MAX);
}

static int is_text(const char *name, struct text text) {
    return name && strlen(name) == text.bytes && memcmp(name, text.at, text.bytes) == 0;
}

int index_item_is_projected(const struct larder_table_def *def, const struct larder_index_def *index,
                            struct text name) {
    if (index->projection == LARDER_PROJECT_ALL || is_text(def->partition.name, name) || is_text(def->sort.name, name))
        return 1;
    for (uint32_t i = 0; i < index_key_count(index); i++)
        if (is_text(index_key_at(index, i)->name, name))
            return 1;
    for (uint32_t i = 0; i < index->included_count; i++)
        if (is_text(index->included[i], name))
            return 1;
    return 0;
}

int index_item_project(const struct larder_table_def *def, const struct larder_index_def *index,
                       const struct larder_item *item, struct larder_builder *b, const struct larder_item **out) {
    struct larder_iter it;
    struct larder_member member;
    *out = item;
    if (index->projection == LARDER_PROJECT_ALL)
        return LARDER_OK;
    larder_builder_reset(b);
    larder_iter_item(item, &it);
    while (larder_iter_next(&it, &member) == LARDER_OK)
        if (index_item_is_projected(def, index, (struct text){member.name, member.name_bytes}))
            larder_builder_add_member(b, &member);
    return larder_builder_finish(b, out);
}

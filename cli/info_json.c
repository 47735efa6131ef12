/* cli/info_json.c - larder info --json: the same for programs, with exact numbers.
 *
 * Why      A member that could not be made is NULL, and jansson then refuses its parent: one check
 *          at the end is enough.
 * Tests    tests/cli/cli_test.sh
 */
#include <jansson.h>
#include <stdio.h>

#include "cli/attach.h"
#include "cli/index_keys.h"
#include "cli/info.h"
#include "cli/report.h"

/* JSON's integers are signed here; no count comes near their maximum. */
static json_t *info_json_number(uint64_t number) {
    return json_integer((json_int_t)number);
}

struct info_json_count {
    const char *name;
    uint64_t value;
};

/* Appends the numbers to an object, which may be NULL; returns the object, or NULL. */
static json_t *info_json_counts(json_t *object, const struct info_json_count *counts, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (json_object_set_new(object, counts[i].name, info_json_number(counts[i].value)) != 0) {
            json_decref(object);
            return NULL;
        }
    }
    return object;
}
#define INFO_JSON_COUNTS(object, counts) info_json_counts(object, counts, sizeof(counts) / sizeof((counts)[0]))

/* Adds a member (and takes its reference) to an object; returns the object, or NULL. */
static json_t *info_json_put(json_t *object, const char *name, json_t *value) {
    if (json_object_set_new(object, name, value) == 0)
        return object;
    json_decref(object);
    return NULL;
}

static json_t *info_json_counters(const struct larder_counters *counters) {
    const struct info_json_count counts[] = {
        {"puts", counters->puts},
        {"deletes", counters->deletes},
        {"expired", counters->expired},
        {"lock_waits", counters->lock_waits},
        {"recoveries", counters->recoveries},
        {"undone", counters->undone},
        {"finished", counters->finished},
        {"evicted", counters->evicted},
    };
    return INFO_JSON_COUNTS(json_object(), counts);
}

/* Appends a value and returns the array, or NULL. */
static json_t *info_json_append(json_t *array, json_t *element) {
    if (json_array_append_new(array, element) == 0)
        return array;
    json_decref(array);
    return NULL;
}

static json_t *info_json_key(const struct larder_key_def *key) {
    return key->name != NULL ? json_pack("{s:s, s:s}", "name", key->name, "type", info_key_type(key->type))
                             : json_null();
}

/* One attribute, or an array of several. */
static json_t *info_json_keys(const struct larder_index_def *index, uint32_t first, uint32_t end) {
    if (end - first < 2)
        return first < end ? info_json_key(index_keys_at(index, first)) : json_null();
    json_t *array = json_array();
    for (uint32_t i = first; i < end; i++)
        array = info_json_append(array, info_json_key(index_keys_at(index, i)));
    return array;
}

static json_t *info_json_index(const struct larder_table_def *def, const struct larder_index_stats *stats) {
    const struct larder_index_def *index = attach_index(def, stats->name);
    const struct info_json_count counts[] = {
        {"entries", stats->entries}, {"partitions", stats->partitions}, {"bytes", stats->bytes}};
    const char *kind = index == NULL ? "table" : index->is_local ? "local" : "global";
    json_t *object = json_pack("{s:s, s:s, s:s}", "name", stats->name, "kind", kind, "projection",
                               index != NULL ? info_projection(index) : "ALL");
    if (index == NULL) {
        object = info_json_put(object, "partition_key", info_json_key(&def->partition));
        object = info_json_put(object, "sort_key", info_json_key(&def->sort));
        return INFO_JSON_COUNTS(object, counts);
    }
    uint32_t sort = index_keys_partition(index), all = index_keys_count(index);
    object = info_json_put(object, "partition_key", info_json_keys(index, 0, sort));
    object = info_json_put(object, "sort_key", info_json_keys(index, sort, all));
    return INFO_JSON_COUNTS(object, counts);
}

static json_t *info_json_table(const struct info_table *table) {
    const struct larder_table_stats *stats = &table->stats;
    const struct info_json_count counts[] = {
        {"item_count", stats->item_count},     {"item_bytes", stats->item_bytes},
        {"bucket_bytes", stats->bucket_bytes}, {"wheel_entries", stats->wheel_entries},
        {"evicted", stats->evicted},           {"evicted_bytes", stats->evicted_bytes},
        {"evicted_age", stats->evicted_age}};
    json_t *indexes = json_array();
    for (uint32_t i = 0; i < table->index_count && i < LARDER_INDEXES_MAX + 1; i++)
        indexes = info_json_append(indexes, info_json_index(table->def, &table->indexes[i]));
    json_t *object = json_pack("{s:s, s:s, s:s, s:s?}", "name", table->def->name, "removal", info_removal(table->def),
                               "eviction", info_eviction(table->def), "ttl_attribute", table->def->ttl_attribute);
    return info_json_put(INFO_JSON_COUNTS(object, counts), "indexes", indexes);
}

static json_t *info_json_class(const struct larder_class_stats *class) {
    const struct info_json_count counts[] = {{"block_bytes", class->block_bytes},
                                             {"spans", class->spans},
                                             {"blocks_used", class->blocks_used},
                                             {"blocks_free", class->blocks_free},
                                             {"bytes_used", class->blocks_used * class->block_bytes},
                                             {"bytes_free", class->blocks_free * class->block_bytes}};
    return INFO_JSON_COUNTS(json_object(), counts);
}

static json_t *info_json_slot(const struct larder_slot_stats *slot) {
    const struct info_json_count counts[] = {{"slot", slot->slot},
                                             {"started_s", slot->started_s},
                                             {"lock_count", slot->lock_count},
                                             {"lock_held_ns", slot->lock_held_ns}};
    json_t *kinds = json_array();
    for (uint32_t i = 0; i < info_lock_kinds(slot); i++)
        kinds = info_json_append(kinds, json_string(slot->lock_kinds[i]));
    json_t *object = json_pack("{s:i, s:b, s:b, s:b}", "pid", (int)slot->pid, "is_alive", slot->is_alive != 0,
                               "is_stopped", slot->is_stopped != 0, "is_expirer", slot->is_expirer != 0);
    object = info_json_put(INFO_JSON_COUNTS(object, counts), "lock_kinds", kinds);
    return info_json_put(object, "counters", info_json_counters(&slot->counters));
}

static json_t *info_json_segment(const struct info *info) {
    const struct larder_segment_stats *stats = &info->stats;
    const struct info_json_count counts[] = {
        {"format_version", stats->format_version}, {"size_bytes", stats->size_bytes},
        {"claimed_bytes", stats->claimed_bytes},   {"used_bytes", stats->used_bytes},
        {"free_bytes", stats->free_bytes},         {"stripe_count", stats->stripe_count},
        {"slots_used", stats->slots_used},         {"slots_max", stats->slots_max},
        {"moved_bytes", stats->moved_bytes},       {"full_count", stats->full_count},
        {"full_bytes", stats->full_bytes},
    };
    char uuid[INFO_UUID_BYTES];
    json_t *tables = json_array(), *classes = json_array(), *slots = json_array();
    for (uint32_t i = 0; i < info->table_count; i++)
        tables = info_json_append(tables, info_json_table(&info->tables[i]));
    for (uint32_t i = 0; i < info->class_count; i++)
        classes = info_json_append(classes, info_json_class(&info->classes[i]));
    for (uint32_t i = 0; i < info->slot_count; i++)
        slots = info_json_append(slots, info_json_slot(&info->slots[i]));
    json_t *object = json_pack("{s:s, s:s}", "segment", info->segment, "uuid", info_uuid(stats, uuid));
    object = info_json_put(INFO_JSON_COUNTS(object, counts), "counters", info_json_counters(&stats->counters));
    object = info_json_put(object, "tables", tables);
    object = info_json_put(object, "size_classes", classes);
    return info_json_put(object, "slots", slots);
}

int info_print_json(const struct info *info) {
    json_t *object = info_json_segment(info);
    if (object == NULL)
        return report_error(EXIT_OTHER, "out of memory, or a name is not UTF-8");
    /* A failed write stays in stdout's error flag, which main() looks at. */
    json_dumpf(object, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(object);
    return EXIT_DONE;
}

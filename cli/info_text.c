/* cli/info_text.c - larder info for people: aligned tables.
 *
 * Tests    tests/cli/cli_test.sh
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <time.h>

#include "cli/attach.h"
#include "cli/grid.h"
#include "cli/index_keys.h"
#include "cli/info.h"
#include "cli/report.h"

static void info_text_bytes(struct grid *grid, uint64_t bytes) {
    char text[GRID_NUMBER_BYTES];
    grid_cell(grid, "%s", grid_bytes(text, bytes));
}

static void info_text_header(struct grid *grid, const char *const *names) {
    for (int i = 0; i < grid->column_count; i++)
        grid_cell(grid, "%s", names[i]);
}

static int info_text_segment(const struct info *info) {
    const struct larder_segment_stats *stats = &info->stats;
    struct grid grid;
    char uuid[INFO_UUID_BYTES];
    const struct {
        const char *name;
        uint64_t bytes;
    } sizes[] = {{"size", stats->size_bytes},
                 {"claimed", stats->claimed_bytes},
                 {"used", stats->used_bytes},
                 {"free", stats->free_bytes}};
    grid_start(&grid, "ll");
    grid_cell(&grid, "segment");
    grid_cell(&grid, "%s", info->segment);
    grid_cell(&grid, "uuid");
    grid_cell(&grid, "%s", info_uuid(stats, uuid));
    grid_cell(&grid, "format");
    grid_cell(&grid, "%u", stats->format_version);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        char text[GRID_NUMBER_BYTES];
        grid_cell(&grid, "%s", sizes[i].name);
        grid_cell(&grid, "%s (%" PRIu64 " bytes)", grid_bytes(text, sizes[i].bytes), sizes[i].bytes);
    }
    grid_cell(&grid, "stripes");
    grid_cell(&grid, "%u per table", stats->stripe_count);
    grid_cell(&grid, "slots");
    grid_cell(&grid, "%u of %u in use", stats->slots_used, stats->slots_max);
    return grid_print(&grid);
}

static int info_text_tables(const struct info *info) {
    static const char *const names[] = {"TABLE", "ITEMS", "ITEM BYTES", "BUCKETS", "TIMERS", "TTL", "REMOVAL"};
    struct grid grid;
    grid_start(&grid, "lrrrrll");
    info_text_header(&grid, names);
    for (uint32_t i = 0; i < info->table_count; i++) {
        const struct info_table *table = &info->tables[i];
        grid_cell(&grid, "%s", table->def->name);
        grid_cell(&grid, "%" PRIu64, table->stats.item_count);
        info_text_bytes(&grid, table->stats.item_bytes);
        info_text_bytes(&grid, table->stats.bucket_bytes);
        grid_cell(&grid, "%" PRIu64, table->stats.wheel_entries);
        grid_cell(&grid, "%s", table->def->ttl_attribute != NULL ? table->def->ttl_attribute : "-");
        grid_cell(&grid, "%s", info_removal(table->def));
    }
    printf("\nTables\n");
    return grid_print(&grid);
}

static bool info_evicts(const struct info_table *table) {
    return table->def->eviction != LARDER_EVICTION_NONE || table->stats.evicted > 0;
}

/* Nothing, if no table evicts. */
static int info_text_evictions(const struct info *info) {
    static const char *const names[] = {"TABLE", "EVICTION", "EVICTED", "ITEM BYTES", "AGE IN WRITES"};
    struct grid grid;
    bool is_any = false;
    for (uint32_t i = 0; i < info->table_count; i++)
        is_any |= info_evicts(&info->tables[i]);
    if (!is_any)
        return EXIT_DONE;
    grid_start(&grid, "llrrr");
    info_text_header(&grid, names);
    for (uint32_t i = 0; i < info->table_count; i++) {
        const struct info_table *table = &info->tables[i];
        if (!info_evicts(table))
            continue;
        grid_cell(&grid, "%s", table->def->name);
        grid_cell(&grid, "%s", info_eviction(table->def));
        grid_cell(&grid, "%" PRIu64, table->stats.evicted);
        info_text_bytes(&grid, table->stats.evicted_bytes);
        grid_cell(&grid, "%" PRIu64, table->stats.evicted_age);
    }
    printf("\nEviction\n");
    return grid_print(&grid);
}

static void info_text_key(struct grid *grid, const struct larder_key_def *key) {
    if (key->name != NULL)
        grid_cell(grid, "%s %s", key->name, info_key_type(key->type));
    else
        grid_cell(grid, "-");
}

/* "shop S, region S" */
static void info_text_keys(struct grid *grid, const struct larder_index_def *index, uint32_t first, uint32_t end) {
    char text[LARDER_KEY_ATTRIBUTES_MAX * (LARDER_NAME_BYTES_MAX + 8)] = "-";
    int used = 0;
    for (uint32_t i = first; i < end; i++) {
        const struct larder_key_def *key = index_keys_at(index, i);
        used += snprintf(text + used, sizeof text - (size_t)used, "%s%s %s", i > first ? ", " : "", key->name,
                         info_key_type(key->type));
    }
    grid_cell(grid, "%s", text);
}

static void info_text_index(struct grid *grid, const struct larder_table_def *def,
                            const struct larder_index_stats *stats) {
    const struct larder_index_def *index = attach_index(def, stats->name);
    grid_cell(grid, "%s", def->name);
    grid_cell(grid, "%s", index != NULL ? index->name : "(table order)");
    grid_cell(grid, "%s", index == NULL ? "table" : index->is_local ? "local" : "global");
    if (index != NULL) {
        info_text_keys(grid, index, 0, index_keys_partition(index));
        info_text_keys(grid, index, index_keys_partition(index), index_keys_count(index));
    } else {
        info_text_key(grid, &def->partition);
        info_text_key(grid, &def->sort);
    }
    grid_cell(grid, "%s", index != NULL ? info_projection(index) : "ALL");
    grid_cell(grid, "%" PRIu64, stats->entries);
    grid_cell(grid, "%" PRIu64, stats->partitions);
    info_text_bytes(grid, stats->bytes);
}

static int info_text_indexes(const struct info *info) {
    static const char *const names[] = {"TABLE",      "INDEX",   "KIND",       "PARTITION KEY", "SORT KEY",
                                        "PROJECTION", "ENTRIES", "PARTITIONS", "BYTES"};
    struct grid grid;
    grid_start(&grid, "llllllrrr");
    info_text_header(&grid, names);
    for (uint32_t i = 0; i < info->table_count; i++) {
        const struct info_table *table = &info->tables[i];
        for (uint32_t j = 0; j < table->index_count && j < LARDER_INDEXES_MAX + 1; j++)
            info_text_index(&grid, table->def, &table->indexes[j]);
    }
    printf("\nIndexes\n");
    return grid_print(&grid);
}

static int info_text_classes(const struct info *info) {
    static const char *const names[] = {"BLOCK", "SPANS", "USED", "FREE", "BYTES USED", "BYTES FREE"};
    struct grid grid;
    grid_start(&grid, "rrrrrr");
    info_text_header(&grid, names);
    for (uint32_t i = 0; i < info->class_count; i++) {
        const struct larder_class_stats *class = &info->classes[i];
        if (class->spans == 0 && class->blocks_used == 0 && class->blocks_free == 0)
            continue;
        if (class->block_bytes > 0)
            grid_cell(&grid, "%u", class->block_bytes);
        else
            grid_cell(&grid, "spans");
        grid_cell(&grid, "%" PRIu64, class->spans);
        grid_cell(&grid, "%" PRIu64, class->blocks_used);
        grid_cell(&grid, "%" PRIu64, class->blocks_free);
        if (class->block_bytes > 0) {
            info_text_bytes(&grid, class->blocks_used * class->block_bytes);
            info_text_bytes(&grid, class->blocks_free * class->block_bytes);
        } else { /* runs of spans have no single size */
            grid_cell(&grid, "-");
            grid_cell(&grid, "-");
        }
    }
    printf("\nMemory by size class\n");
    return grid_print(&grid);
}

static void info_text_locks(struct grid *grid, const struct larder_slot_stats *slot) {
    uint32_t kinds = info_lock_kinds(slot);
    grid_cell(grid, "%u", slot->lock_count);
    if (slot->lock_count == 0) {
        grid_cell(grid, "-");
        grid_cell(grid, "-");
        return;
    }
    char text[256] = "";
    size_t used = 0;
    for (uint32_t i = 0; i < kinds && used < sizeof text; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", i > 0 ? "," : "", slot->lock_kinds[i]);
    grid_cell(grid, "%.3f ms", (double)slot->lock_held_ns / 1e6);
    grid_cell(grid, "%s%s", text, kinds < slot->lock_count ? ",..." : "");
}

static int info_text_slots(const struct info *info) {
    static const char *const names[] = {"SLOT",     "PID",   "STATE", "ATTACHED (UTC)", "LOCKS",
                                        "HELD FOR", "KINDS", "PUTS",  "DELETES",        "WAITS"};
    struct grid grid;
    grid_start(&grid, "rrllrrlrrr");
    info_text_header(&grid, names);
    for (uint32_t i = 0; i < info->slot_count; i++) {
        const struct larder_slot_stats *slot = &info->slots[i];
        char attached[32] = "-";
        time_t started = (time_t)slot->started_s;
        struct tm utc;
        if (gmtime_r(&started, &utc) != NULL)
            strftime(attached, sizeof attached, "%Y-%m-%d %H:%M:%S", &utc);
        grid_cell(&grid, "%u", slot->slot);
        grid_cell(&grid, "%d", slot->pid);
        grid_cell(&grid, "%s%s", info_slot_state(slot), slot->is_expirer ? ",expirer" : "");
        grid_cell(&grid, "%s", attached);
        info_text_locks(&grid, slot);
        grid_cell(&grid, "%" PRIu64, slot->counters.puts);
        grid_cell(&grid, "%" PRIu64, slot->counters.deletes);
        grid_cell(&grid, "%" PRIu64, slot->counters.lock_waits);
    }
    printf("\nAttached writers\n");
    return grid_print(&grid);
}

static int info_text_counters(const struct info *info) {
    const struct larder_counters *counters = &info->stats.counters;
    const struct {
        const char *name, *meaning;
        uint64_t value;
    } rows[] = {
        {"puts", "", counters->puts},
        {"deletes", "", counters->deletes},
        {"expired", "items removed by the expirer", counters->expired},
        {"evicted", "items that went because memory was short", counters->evicted},
        {"moved bytes", "of blocks that were moved to make room", info->stats.moved_bytes},
        {"full", "calls that found no memory", info->stats.full_count},
        {"full, bytes", "the block that the last of them lacked", info->stats.full_bytes},
        {"lock waits", "times a lock was not free at once", counters->lock_waits},
        {"recoveries", "recovered dead processes", counters->recoveries},
        {"undone", "writes of theirs that were undone", counters->undone},
        {"finished", "writes of theirs that were completed", counters->finished},
    };
    struct grid grid;
    grid_start(&grid, "lrl");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        grid_cell(&grid, "%s", rows[i].name);
        grid_cell(&grid, "%" PRIu64, rows[i].value);
        grid_cell(&grid, "%s", rows[i].meaning);
    }
    printf("\nCounters since the segment was created\n");
    return grid_print(&grid);
}

int info_print_text(const struct info *info) {
    int code = info_text_segment(info);
    if (code == EXIT_DONE)
        code = info_text_tables(info);
    if (code == EXIT_DONE)
        code = info_text_evictions(info);
    if (code == EXIT_DONE)
        code = info_text_indexes(info);
    if (code == EXIT_DONE)
        code = info_text_classes(info);
    if (code == EXIT_DONE)
        code = info_text_slots(info);
    if (code == EXIT_DONE)
        code = info_text_counters(info);
    return code;
}

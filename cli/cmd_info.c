/* cli/cmd_info.c - larder info: gathers all that is known of a segment.
 *
 * Job      Asks the engine once; cli/info_text.c and cli/info_json.c print. The segment changes
 *          meanwhile: a table that is dropped between two questions is left out, and sums need not
 *          match to the last byte.
 * Tests    tests/cli/cli_test.sh
 */
#include <stdio.h>
#include <stdlib.h>

#include "cli/attach.h"
#include "cli/commands.h"
#include "cli/info.h"
#include "cli/report.h"

enum { INFO_JSON = ARGS_OWN };

static const struct args_option info_options[] = {
    ARGS_COMMON, {"json", 0, "", "one JSON object instead of tables"}, {NULL, 0, NULL, NULL}};

static int info_gather_slots(struct larder *db, struct info *info) {
    uint32_t capacity = info->stats.slots_max > 0 ? info->stats.slots_max : 1;
    info->slots = calloc(capacity, sizeof *info->slots);
    if (info->slots == NULL)
        return report_error(EXIT_OTHER, "out of memory");
    int result = larder_slot_stats(db, info->slots, capacity, &info->slot_count);
    if (info->slot_count > capacity)
        info->slot_count = capacity;
    return result < 0 ? report_result(result, "slots") : EXIT_DONE;
}

static int info_gather_table(struct larder *db, const char *name, struct info *info) {
    struct larder_table *table;
    struct info_table *out = &info->tables[info->table_count];
    int result = larder_table_open(db, name, &table);
    if (result >= 0)
        result = larder_table_describe(table, &out->def);
    if (result >= 0)
        result = larder_table_stats(table, &out->stats);
    if (result >= 0)
        result = larder_index_stats(table, out->indexes, LARDER_INDEXES_MAX + 1, &out->index_count);
    if (result == LARDER_E_NO_TABLE)
        return EXIT_DONE;
    if (result < 0)
        return report_result(result, name);
    info->table_count++;
    return EXIT_DONE;
}

static int info_gather_tables(struct larder *db, struct info *info) {
    const char *names[LARDER_TABLES_MAX];
    uint32_t count;
    int result = larder_table_list(db, names, LARDER_TABLES_MAX, &count);
    if (result < 0)
        return report_result(result, "tables");
    if (count > LARDER_TABLES_MAX)
        count = LARDER_TABLES_MAX;
    info->tables = calloc(count + 1, sizeof *info->tables);
    if (info->tables == NULL)
        return report_error(EXIT_OTHER, "out of memory");
    int code = EXIT_DONE;
    for (uint32_t i = 0; i < count && code == EXIT_DONE; i++)
        code = info_gather_table(db, names[i], info);
    return code;
}

static int info_gather(struct larder *db, struct info *info) {
    int result = larder_segment_stats(db, &info->stats);
    if (result >= 0)
        result = larder_class_stats(db, info->classes, INFO_CLASSES_MAX, &info->class_count);
    if (info->class_count > INFO_CLASSES_MAX)
        info->class_count = INFO_CLASSES_MAX;
    if (result < 0)
        return report_result(result, info->segment);
    int code = info_gather_slots(db, info);
    return code == EXIT_DONE ? info_gather_tables(db, info) : code;
}

static int info_run(const struct args *args) {
    struct attach attach = {0};
    struct info info = {.segment = attach_segment(args)};
    int code = attach_open(args, LARDER_READ_ONLY, &attach);
    if (code == EXIT_DONE)
        code = info_gather(attach.db, &info);
    if (code == EXIT_DONE)
        code = args->option[INFO_JSON].is_given ? info_print_json(&info) : info_print_text(&info);
    free(info.slots);
    free(info.tables);
    attach_close(&attach);
    return code;
}

const struct command cmd_info = {
    .name = "info",
    .operands = "",
    .summary = "show tables, indexes, memory, attached processes, lock holders and counters",
    .details = "Shows the tables and indexes with their item counts, memory used and free per size class, attached\n"
               "processes with the locks they hold and for how long, and counters since the segment was created.\n",
    .options = info_options,
    .positional_min = 0,
    .positional_max = 0,
    .run = info_run,
};

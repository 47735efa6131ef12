/* cli/cmd_ls.c - larder ls: the tables of a segment, or the segments of this host.
 *
 * Tests    tests/cli/cli_test.sh
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/attach.h"
#include "cli/commands.h"
#include "cli/grid.h"
#include "cli/info.h"
#include "cli/report.h"

#define LS_DIRECTORY "/dev/shm" /* where POSIX shared memory lives on Linux */

enum { LS_SEGMENTS = ARGS_OWN };

static const struct args_option ls_options[] = {
    ARGS_COMMON, {"segments", 0, "", "the Larder segments in " LS_DIRECTORY " instead"}, {NULL, 0, NULL, NULL}};

static int ls_table(struct larder *db, const char *name, struct grid *grid) {
    struct larder_table *table;
    const struct larder_table_def *def;
    struct larder_table_stats stats;
    int result = larder_table_open(db, name, &table);
    if (result >= 0)
        result = larder_table_describe(table, &def);
    if (result >= 0)
        result = larder_table_stats(table, &stats);
    if (result == LARDER_E_NO_TABLE) /* dropped meanwhile */
        return EXIT_DONE;
    if (result < 0)
        return report_result(result, name);
    grid_cell(grid, "%s", name);
    grid_cell(grid, "%" PRIu64, stats.item_count);
    grid_cell(grid, "%u", def->index_count);
    grid_cell(grid, "%s", info_removal(def));
    return EXIT_DONE;
}

static int ls_tables(struct larder *db) {
    const char *names[LARDER_TABLES_MAX];
    struct grid grid;
    uint32_t count;
    int result = larder_table_list(db, names, LARDER_TABLES_MAX, &count);
    if (result < 0)
        return report_result(result, NULL);
    grid_start(&grid, "lrrl");
    grid_cell(&grid, "TABLE");
    grid_cell(&grid, "ITEMS");
    grid_cell(&grid, "INDEXES");
    grid_cell(&grid, "REMOVAL");
    int code = EXIT_DONE;
    for (uint32_t i = 0; i < count && i < LARDER_TABLES_MAX && code == EXIT_DONE; i++)
        code = ls_table(db, names[i], &grid);
    int printed = grid_print(&grid);
    return code != EXIT_DONE ? code : printed;
}

/* Adds a row for this name if it is a segment that we may read. Other files in the directory are
 * skipped. */
static void ls_segment(const char *name, struct grid *grid) {
    struct larder_options options = {.segment = name, .flags = LARDER_READ_ONLY, .memfd = -1};
    struct larder_segment_stats stats;
    struct larder *db;
    char size[GRID_NUMBER_BYTES], used[GRID_NUMBER_BYTES];
    int result = larder_open(&options, &db);
    if (result == LARDER_E_CORRUPT) {
        grid_cell(grid, "%s", name);
        for (int i = 1; i < grid->column_count; i++)
            grid_cell(grid, "%s", i == 1 ? "damaged" : "-");
    }
    if (result < 0)
        return;
    if (larder_segment_stats(db, &stats) >= 0) {
        grid_cell(grid, "%s", name);
        grid_cell(grid, "%s", grid_bytes(size, stats.size_bytes));
        grid_cell(grid, "%s", grid_bytes(used, stats.used_bytes));
        grid_cell(grid, "%u", stats.table_count);
        grid_cell(grid, "%u", stats.slots_used);
    }
    larder_close(db);
}

/* Regular files only: opening a pipe would wait. */
static int ls_is_regular(const struct dirent *entry) {
    char path[sizeof LS_DIRECTORY + sizeof entry->d_name + 1];
    struct stat status;
    snprintf(path, sizeof path, "%s/%s", LS_DIRECTORY, entry->d_name);
    return lstat(path, &status) == 0 && S_ISREG(status.st_mode);
}

static int ls_segments(void) {
    struct dirent **entries;
    struct grid grid;
    int count = scandir(LS_DIRECTORY, &entries, ls_is_regular, alphasort);
    if (count < 0)
        return report_error(EXIT_OTHER, "cannot read %s: %s", LS_DIRECTORY, strerror(errno));
    grid_start(&grid, "lrrrr");
    grid_cell(&grid, "SEGMENT");
    grid_cell(&grid, "SIZE");
    grid_cell(&grid, "USED");
    grid_cell(&grid, "TABLES");
    grid_cell(&grid, "SLOTS");
    for (int i = 0; i < count; i++) {
        ls_segment(entries[i]->d_name, &grid);
        free(entries[i]);
    }
    free((void *)entries);
    return grid_print(&grid);
}

static int ls_run(const struct args *args) {
    struct attach attach = {0};
    if (args->option[LS_SEGMENTS].is_given)
        return ls_segments();
    int code = attach_open(args, LARDER_READ_ONLY, &attach);
    if (code == EXIT_DONE)
        code = ls_tables(attach.db);
    attach_close(&attach);
    return code;
}

const struct command cmd_ls = {
    .name = "ls",
    .operands = "",
    .summary = "list the tables of a segment, or the segments of this host",
    .details =
        "Lists the tables of a segment with their items, indexes and removal policy. With --segments, lists the\n"
        "Larder segments in " LS_DIRECTORY " that this user may read.\n",
    .options = ls_options,
    .positional_min = 0,
    .positional_max = 0,
    .run = ls_run,
};

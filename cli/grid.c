/* cli/grid.c - text tables with aligned columns, and numbers for people.
 *
 * Job      Keeps the cells of a table until the widths are known. If memory runs out, prints
 *          nothing and reports it.
 * Tests    tests/cli/cli_test.sh
 */
#include "cli/grid.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/report.h"

void grid_start(struct grid *grid, const char *align) {
    memset(grid, 0, sizeof *grid);
    grid->align = align;
    grid->column_count = (int)strlen(align);
}

/* Counts characters, not bytes: continuation bytes of UTF-8 take no column. */
static size_t grid_width(const char *text) {
    size_t width = 0;
    for (; *text != 0; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

void grid_cell(struct grid *grid, const char *format, ...) {
    if (grid->cell_count == grid->cell_capacity) {
        size_t capacity = grid->cell_capacity > 0 ? grid->cell_capacity * 2 : 64;
        char **grown = realloc(grid->cells, capacity * sizeof *grown);
        if (grown == NULL) {
            grid->is_out_of_memory = 1;
            return;
        }
        grid->cells = grown;
        grid->cell_capacity = capacity;
    }
    va_list arguments;
    va_start(arguments, format);
    char *text;
    if (vasprintf(&text, format, arguments) < 0)
        grid->is_out_of_memory = 1;
    else {
        report_clean(text);
        size_t column = grid->cell_count % (size_t)grid->column_count, width = grid_width(text);
        if (width > grid->width[column])
            grid->width[column] = width;
        grid->cells[grid->cell_count++] = text;
    }
    va_end(arguments);
}

static void grid_print_cell(const struct grid *grid, size_t column, const char *text) {
    int is_last = column + 1 == (size_t)grid->column_count;
    int pad = (int)(grid->width[column] - grid_width(text));
    const char *gap = column > 0 ? "  " : "";
    if (grid->align[column] == 'r')
        printf("%s%*s%s", gap, pad, "", text);
    else
        printf("%s%s%*s", gap, text, is_last ? 0 : pad, "");
    if (is_last)
        putchar('\n');
}

int grid_print(struct grid *grid) {
    for (size_t i = 0; i < grid->cell_count; i++) {
        if (!grid->is_out_of_memory)
            grid_print_cell(grid, i % (size_t)grid->column_count, grid->cells[i]);
        free(grid->cells[i]);
    }
    free(grid->cells);
    grid->cells = NULL;
    grid->cell_count = grid->cell_capacity = 0;
    return grid->is_out_of_memory ? report_error(EXIT_OTHER, "out of memory") : EXIT_DONE;
}

const char *grid_bytes(char *text, uint64_t bytes) {
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    if (bytes < 1024) {
        snprintf(text, GRID_NUMBER_BYTES, "%" PRIu64 " B", bytes);
        return text;
    }
    double value = (double)bytes / 1024;
    size_t unit = 0;
    while (value >= 1023.95 && unit + 1 < sizeof units / sizeof units[0]) {
        value /= 1024;
        unit++;
    }
    snprintf(text, GRID_NUMBER_BYTES, "%.1f %s", value, units[unit]);
    return text;
}

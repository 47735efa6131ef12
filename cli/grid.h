/* cli/grid.h - text tables with aligned columns, and numbers for people. */
#ifndef LARDER_CLI_GRID_H
#define LARDER_CLI_GRID_H

#include <stddef.h>
#include <stdint.h>

#define GRID_COLUMNS_MAX 10
#define GRID_NUMBER_BYTES 32

/* Rows of cells, kept until they are printed. Zero it, then grid_start(). */
struct grid {
    const char *align; /* one letter per column: l or r */
    int column_count;
    size_t width[GRID_COLUMNS_MAX];
    char **cells; /* row after row */
    size_t cell_count, cell_capacity;
    int is_out_of_memory;
};

/* `align` is borrowed for as long as the grid; its length is the number of columns. */
void grid_start(struct grid *grid, const char *align);

/* The next cell, from left to right and down. Control characters are replaced. */
void grid_cell(struct grid *grid, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Prints all rows on standard output and frees them. EXIT_DONE, or EXIT_OTHER with a message if
 * memory ran out. */
int grid_print(struct grid *grid);

/* "17.3 MiB". Returns `text`, which has room for GRID_NUMBER_BYTES. */
const char *grid_bytes(char *text, uint64_t bytes);

#endif

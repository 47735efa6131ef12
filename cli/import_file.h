/* cli/import_file.h - all items of one file into a table. */
#ifndef LARDER_CLI_IMPORT_FILE_H
#define LARDER_CLI_IMPORT_FILE_H

#include "cli/import_item.h"
#include "cli/input.h"
#include "cli/json_pieces.h"
#include "cli/progress.h"

struct import_file {
    struct import_target target;
    struct progress progress;
    struct input input;
    struct json_pieces pieces;
    struct place place;
    enum { IMPORT_JSON, IMPORT_PLAIN, IMPORT_CSV } format;
    bool is_keep_going;
    bool is_export;        /* the file is one of an export's */
    bool is_lines;         /* what is refused is called a line, else an item */
    bool is_blank;         /* the last file had nothing but blanks */
    uint64_t bad_count;    /* refused, over all files */
    uint64_t entry_count;  /* read, over all files */
    uint64_t before_bytes; /* of files that are done, for the progress bar */
};

/* Imports a file ("-": standard input). What is in it, its first bytes say: JSON in lines, or in
 * any other shape (cli/json_pieces.h). EXIT_DONE, or an exit code after a message: of the last item
 * that was refused, if is_keep_going. */
int import_file(struct import_file *import, const char *path);

#endif

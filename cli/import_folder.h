/* cli/import_folder.h - the files of a DynamoDB export to S3. */
#ifndef LARDER_CLI_IMPORT_FOLDER_H
#define LARDER_CLI_IMPORT_FOLDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IMPORT_FOLDER_FILES_MAX 1000000

/* Zero it; import_folder_free() is then always allowed. */
struct import_folder {
    char **paths; /* of the data files, in the order of the manifest */
    size_t count;
    uint64_t item_count; /* that the manifest promises */
    bool is_incremental; /* then an entry may be a deletion, and the count is of entries */
};

/* Whether the operand is an export: a folder, or a manifest file. */
bool import_folder_is(const char *path);

/* Lists the data files of the export at this path: the folder with manifest-summary.json, that file
 * itself, or a folder with one such folder in AWSDynamoDB/. All files are there and can be read.
 * EXIT_DONE, or an exit code after a message. */
int import_folder_list(const char *path, struct import_folder *out);

void import_folder_free(struct import_folder *folder);

#endif

/* cli/import_folder.c - the files of a DynamoDB export to S3.
 *
 * Picture  AWSDynamoDB/01693685827463-2d8752fd/manifest-summary.json     what the export is
 *                                              manifest-files.json       a line for each data file
 *                                              data/asdl123dsf.json.gz   items, one per line
 * Rules    M1 A data file lies in data/ beside the manifest, whatever the rest of its key in the
 *             bucket says: folders are copied without their bucket, and a manifest must not lead
 *             elsewhere.
 *          M2 Everything is looked at before the first item is stored.
 * Not here The checksums of the manifest: gzip and zstd have their own.
 * Sources  DynamoDB developer guide, "DynamoDB table export output format".
 * Tests    tests/cli/import_test.sh
 */
#include "cli/import_folder.h"

#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/lines.h"
#include "cli/report.h"

#define FOLDER_SUMMARY "manifest-summary.json"
#define FOLDER_FILES "manifest-files.json"
#define FOLDER_PATH_BYTES 4096

static bool folder_is_directory(const char *path) {
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

static const char *folder_base(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

bool import_folder_is(const char *path) {
    const char *base = folder_base(path);
    return strcmp(base, FOLDER_SUMMARY) == 0 || strcmp(base, FOLDER_FILES) == 0 || folder_is_directory(path);
}

static int folder_join(char *out, const char *folder, const char *name) {
    int bytes = snprintf(out, FOLDER_PATH_BYTES, "%s/%s", folder, name);
    return bytes < FOLDER_PATH_BYTES ? EXIT_DONE : report_error(EXIT_OTHER, "%s: the path is too long", folder);
}

/* ---- Where the manifest is ------------------------------------------------------------------- */

/* Looks for one export below folder/AWSDynamoDB; its folder in `out`, which is "" if there is
 * none. */
static int folder_search(const char *folder, char *out) {
    char exports[FOLDER_PATH_BYTES], one[FOLDER_PATH_BYTES], summary[FOLDER_PATH_BYTES + 32];
    int code = folder_join(exports, folder, "AWSDynamoDB");
    DIR *directory = code == EXIT_DONE ? opendir(exports) : NULL;
    out[0] = 0;
    for (struct dirent *entry; directory != NULL && code == EXIT_DONE && (entry = readdir(directory)) != NULL;) {
        if (entry->d_name[0] == '.')
            continue;
        code = folder_join(one, exports, entry->d_name);
        snprintf(summary, sizeof summary, "%s/" FOLDER_SUMMARY, one);
        if (code != EXIT_DONE || access(summary, F_OK) != 0)
            continue;
        if (out[0] != 0)
            code = report_error(EXIT_USAGE, "%s has several exports, such as %s and %s; give one of these folders",
                                exports, folder_base(out), entry->d_name);
        memcpy(out, one, sizeof one);
    }
    if (directory != NULL)
        closedir(directory);
    return code;
}

/* The folder with the manifest. */
static int folder_find(const char *path, char *out) {
    char summary[FOLDER_PATH_BYTES];
    int code;
    if (!folder_is_directory(path)) { /* a manifest file */
        const char *base = folder_base(path);
        int bytes = base > path ? snprintf(out, FOLDER_PATH_BYTES, "%.*s", (int)(base - 1 - path), path)
                                : snprintf(out, FOLDER_PATH_BYTES, ".");
        return bytes < FOLDER_PATH_BYTES ? EXIT_DONE : report_error(EXIT_OTHER, "%s: the path is too long", path);
    }
    code = folder_join(summary, path, FOLDER_SUMMARY);
    if (code == EXIT_DONE && access(summary, F_OK) == 0) {
        snprintf(out, FOLDER_PATH_BYTES, "%s", path);
        return EXIT_DONE;
    }
    if (code == EXIT_DONE)
        code = folder_search(path, out);
    if (code == EXIT_DONE && out[0] == 0)
        code = report_error(EXIT_OTHER,
                            "%s is a folder without " FOLDER_SUMMARY ", so no export of DynamoDB; give files", path);
    return code;
}

/* ---- The manifest ---------------------------------------------------------------------------- */

static int folder_summary(const char *folder, struct import_folder *out) {
    char path[FOLDER_PATH_BYTES];
    json_error_t error;
    int code = folder_join(path, folder, FOLDER_SUMMARY);
    if (code != EXIT_DONE)
        return code;
    json_t *summary = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    if (summary == NULL)
        return report_error(EXIT_INPUT, "%s:%d:%d: %s", path, error.line, error.column, error.text);
    const char *format = json_string_value(json_object_get(summary, "outputFormat"));
    const char *type = json_string_value(json_object_get(summary, "exportType"));
    out->item_count = (uint64_t)json_integer_value(json_object_get(summary, "itemCount"));
    out->is_incremental = type != NULL && strcmp(type, "INCREMENTAL_EXPORT") == 0;
    if (format != NULL && strcmp(format, "DYNAMODB_JSON") != 0)
        code = report_error(EXIT_INPUT, "%s: outputFormat is %s, which larder does not read; export as DYNAMODB_JSON",
                            path, format);
    json_decref(summary);
    return code;
}

static int folder_add(const char *folder, const char *key, const char *where, uint64_t line,
                      struct import_folder *out) {
    char data[FOLDER_PATH_BYTES], path[FOLDER_PATH_BYTES];
    const char *base = folder_base(key); /* M1 */
    int code = folder_join(data, folder, "data");
    if (code == EXIT_DONE)
        code = folder_join(path, data, base);
    if (code != EXIT_DONE)
        return code;
    if (base[0] == 0 || base[0] == '.' || access(path, R_OK) != 0)
        return report_error(EXIT_OTHER, "%s:%llu: cannot read %s: %s", where, (unsigned long long)line, path,
                            strerror(base[0] == 0 || base[0] == '.' ? ENOENT : errno));
    char **grown = out->count < IMPORT_FOLDER_FILES_MAX ? realloc(out->paths, (out->count + 1) * sizeof *grown) : NULL;
    if (grown == NULL)
        return report_error(EXIT_OTHER, "out of memory, or more than %d files", IMPORT_FOLDER_FILES_MAX);
    out->paths = grown;
    out->paths[out->count] = strdup(path);
    return out->paths[out->count++] != NULL ? EXIT_DONE : report_error(EXIT_OTHER, "out of memory");
}

static int folder_line(const char *folder, const struct input *input, const char *text, size_t bytes,
                       struct import_folder *out) {
    json_error_t error;
    json_t *entry = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &error);
    const char *key = json_string_value(json_object_get(entry, "dataFileS3Key"));
    int code;
    if (entry == NULL)
        code = report_error(EXIT_INPUT, "%s:%llu:%d: %s", input->name, (unsigned long long)input->number, error.column,
                            error.text);
    else if (key == NULL)
        code = report_error(EXIT_INPUT, "%s:%llu: dataFileS3Key is missing", input->name,
                            (unsigned long long)input->number);
    else
        code = folder_add(folder, key, input->name, input->number, out);
    json_decref(entry);
    return code;
}

static int folder_files(const char *folder, struct import_folder *out) {
    char path[FOLDER_PATH_BYTES];
    struct input input = {0};
    const char *text;
    size_t bytes;
    int code = folder_join(path, folder, FOLDER_FILES);
    if (code == EXIT_DONE)
        code = input_open(&input, path);
    while (code == EXIT_DONE && lines_next(&input, &text, &bytes, &code) > 0)
        if (bytes > 1)
            code = folder_line(folder, &input, text, bytes, out);
    input_close(&input);
    return code;
}

int import_folder_list(const char *path, struct import_folder *out) {
    char folder[FOLDER_PATH_BYTES];
    int code = folder_find(path, folder);
    if (code == EXIT_DONE)
        code = folder_summary(folder, out);
    return code == EXIT_DONE ? folder_files(folder, out) : code;
}

void import_folder_free(struct import_folder *folder) {
    for (size_t i = 0; i < folder->count; i++)
        free(folder->paths[i]);
    free(folder->paths);
    memset(folder, 0, sizeof *folder);
}

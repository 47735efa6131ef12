/* tests/fuzz/import_fuzz.c - files that larder import reads: JSON of every shape, plain JSON, CSV.
 *
 * Goal     Any bytes are items or readable refusals, and end. A list of objects, as jansson has it,
 *          gives exactly its elements; what is counted as stored is in the table.
 * Method   The first byte chooses the format; the rest goes through a memfd, so that the decoders
 *          of gzip and zstd are in it, too. Messages go to /dev/null.
 */
#include <jansson.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cli/import_file.h"
#include "cli/plain_json.h"
#include "cli/report.h"
#include "tests/fuzz/fuzz.h"

#define SEGMENT_BYTES (8u << 20)
#define TABLE "Tab"

static struct larder *db;
static struct larder_table *table;
static const struct larder_table_def *def;
static struct larder_builder *builder;

static void open_table(void) {
    static unsigned count;
    struct larder_options options = {
        .flags = LARDER_CREATE | LARDER_MEMFD, .memfd = -1, .size_bytes = SEGMENT_BYTES, .stripe_count = 2};
    struct larder_key_def more[] = {{"n", LARDER_N}, {"b", LARDER_B}, {"t", LARDER_S}};
    struct larder_index_def indexes[] = {{.name = "byG", .partition = {"g", LARDER_S}},
                                         {.name = "several",
                                          .partition = {"g", LARDER_S},
                                          .partition_more = more,
                                          .partition_more_count = 1,
                                          .sort = {"r", LARDER_N},
                                          .sort_more = more + 1,
                                          .sort_more_count = 2}};
    struct larder_table_def wanted = {
        .name = TABLE, .partition = {"Id", LARDER_N}, .indexes = indexes, .index_count = 2};
    if (db && ++count % 500 != 0)
        return;
    larder_close(db);
    FUZZ_CHECK(larder_open(&options, &db) == LARDER_OK, "%s", larder_error());
    FUZZ_CHECK(larder_table_create(db, &wanted) == LARDER_OK, "%s", larder_error());
    FUZZ_CHECK(larder_table_open(db, TABLE, &table) == LARDER_OK, "%s", larder_error());
    FUZZ_CHECK(larder_table_describe(table, &def) == LARDER_OK, "%s", larder_error());
    FUZZ_CHECK(larder_builder_new(db, &builder) == LARDER_OK, "%s", larder_error());
}

static int import_bytes(struct import_file *import, const uint8_t *data, size_t size) {
    static FILE *nowhere;
    char path[64];
    int fd = memfd_create("import", 0);
    FUZZ_CHECK(fd >= 0 && write(fd, data, size) == (ssize_t)size, "no memfd");
    lseek(fd, 0, SEEK_SET);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (!nowhere)
        nowhere = fopen("/dev/null", "w");
    FILE *messages = stderr;
    stderr = nowhere;
    int code = import_file(import, path);
    stderr = messages;
    close(fd);
    return code;
}

/* How many elements a list of objects has of which none is a page (rule P1 of cli/json_pieces.c);
 * -1: the text is no such list. */
static long oracle_elements(const uint8_t *data, size_t size) {
    json_t *list = json_loadb((const char *)data, size, 0, NULL), *element, *member;
    long count = json_is_array(list) ? (long)json_array_size(list) : -1;
    size_t i;
    const char *name;
    json_array_foreach(list, i, element) {
        if (!json_is_object(element))
            count = -1;
        json_object_foreach(element, name, member) if (json_is_array(member)) count = -1;
    }
    json_decref(list);
    return count;
}

/* Plain JSON with the types written out is JSON again, with the same names. */
static void check_plain(const uint8_t *data, size_t size) {
    json_t *plain = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
    char *text = NULL;
    size_t bytes = 0;
    const char *problem = plain_json_typed((const char *)data, size, &text, &bytes);
    json_t *typed = problem ? NULL : json_loadb(text, bytes, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
    if (json_is_object(plain) && !problem) {
        FUZZ_CHECK(json_is_object(typed) && json_object_size(typed) == json_object_size(plain), "%.*s", (int)bytes,
                   text);
    }
    json_decref(plain);
    json_decref(typed);
    if (!problem)
        free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0)
        return 0;
    open_table();
    struct import_file import = {.target = {.table = table, .def = def, .builder = builder, .name = TABLE},
                                 .format = data[0] % 3,
                                 .is_keep_going = (data[0] & 4) == 0};
    int code = import_bytes(&import, data + 1, size - 1);
    FUZZ_CHECK(code == EXIT_DONE || code == EXIT_INPUT || code == EXIT_FULL, "exit code %d", code);
    FUZZ_CHECK((code == EXIT_DONE) <= (import.bad_count == 0), "refused, and no exit code says so");
    if (import.format == IMPORT_JSON && import.is_keep_going && code != EXIT_FULL) {
        long elements = oracle_elements(data + 1, size - 1);
        FUZZ_CHECK(elements < 0 || (uint64_t)elements == import.entry_count, "%ld elements, %llu entries", elements,
                   (unsigned long long)import.entry_count);
    }
    check_plain(data + 1, size - 1);
    struct larder_table_stats stats;
    FUZZ_CHECK(larder_table_stats(table, &stats) == LARDER_OK, "%s", larder_error());
    FUZZ_CHECK(import.target.put_count == 0 || stats.item_count > 0 || import.target.delete_count > 0,
               "nothing was stored");
    return 0;
}

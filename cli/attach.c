/* cli/attach.c - from --segment and a table name to open handles.
 *
 * Job      Opens what nearly every command needs, and reports failures. cli/cmd_create.c makes
 *          segments itself.
 * Tests    tests/cli/cli_test.sh
 */
#include "cli/attach.h"

#include <stdlib.h>
#include <string.h>

#include "cli/report.h"

const char *attach_segment(const struct args *args) {
    const char *name = args->option[ARGS_SEGMENT].value[0];
    if (name == NULL)
        name = getenv("LARDER_SEGMENT");
    return name != NULL && name[0] != 0 ? name : "larder";
}

uint32_t attach_owner_flag(const struct args *args) {
    return args->option[ARGS_ANY_OWNER].is_given ? LARDER_ANY_OWNER : 0;
}

int attach_try(const struct args *args, uint32_t flags, struct attach *out) {
    struct larder_options options = {
        .segment = attach_segment(args), .flags = flags | attach_owner_flag(args), .memfd = -1};
    return larder_open(&options, &out->db);
}

int attach_open(const struct args *args, uint32_t flags, struct attach *out) {
    int result = attach_try(args, flags, out);
    return result < 0 ? report_result(result, attach_segment(args)) : EXIT_DONE;
}

int attach_table(const struct args *args, uint32_t flags, const char *table, struct attach *out) {
    int code = attach_open(args, flags, out);
    if (code != EXIT_DONE)
        return code;
    int result = larder_table_open(out->db, table, &out->table);
    if (result >= 0)
        result = larder_table_describe(out->table, &out->def);
    return result < 0 ? report_result(result, table) : EXIT_DONE;
}

int attach_builder(struct attach *attach) {
    int result = larder_builder_new(attach->db, &attach->builder);
    return result < 0 ? report_result(result, NULL) : EXIT_DONE;
}

const struct larder_index_def *attach_index(const struct larder_table_def *def, const char *name) {
    for (uint32_t i = 0; i < def->index_count; i++) {
        if (strcmp(def->indexes[i].name, name) == 0)
            return &def->indexes[i];
    }
    return NULL;
}

void attach_close(struct attach *attach) {
    larder_builder_free(attach->builder);
    larder_close(attach->db);
    memset(attach, 0, sizeof *attach);
}

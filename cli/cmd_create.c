/* cli/cmd_create.c - larder create: the tables of templates, and the segment if it is missing.
 *
 * Job      All or none: everything is read and checked before anything is created. What was created
 *          is dropped again if a later step fails.
 * Why      The engine judges names, counts and projections. To learn its verdict before the segment
 *          is touched, every table is first created in a private segment that ends with this
 *          process.
 * Tests    tests/cli/cli_test.sh
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "cli/attach.h"
#include "cli/commands.h"
#include "cli/create_items.h"
#include "cli/create_templates.h"
#include "cli/grid.h"
#include "cli/report.h"
#include "cli/table_diff.h"
#include "cli/table_update.h"

enum {
    CREATE_SIZE = ARGS_OWN,
    CREATE_MODE,
    CREATE_STRIPES,
    CREATE_SLOTS,
    CREATE_HUGE_PAGES,
    CREATE_EVICT,
    CREATE_IF_NOT_EXISTS,
    CREATE_UPDATE,
    CREATE_PARAMETER,
    CREATE_NAME
};

static const struct args_option create_options[] = {
    ARGS_COMMON,
    {"size", 1, "BYTES", "size of a new segment, with K, M, G or T; default 1G"},
    {"mode", 1, "OCTAL", "permissions of a new segment; default 0600"},
    {"stripes", 1, "N", "lock stripes of each table of a new segment, a power of 2"},
    {"slots", 1, "N", "writer slots of a new segment: 2 to 8192, 384 bytes each; see below"},
    {"huge-pages", 0, "", "claim a new segment's first memory in huge pages; see below"},
    {"evict", 1, "TABLE[,TABLE]", "tables whose items go when memory is short; see below"},
    {"if-not-exists", 0, "", "leave tables that exist already, and say what differs"},
    {"update", 0, "", "make tables that exist already what the templates say; see below"},
    {"parameter", 1, "NAME=VALUE", "a parameter of the templates; may be repeated", true},
    {"name", 1, "ID=NAME", "the name of the table with this logical id, or this name; may be repeated", true},
    {NULL, 0, NULL, NULL}};

#define CREATE_TRIAL_BYTES ((uint64_t)64 << 20) /* sparse; empty tables need little of it */

struct create {
    const struct args *args;
    struct larder_options options;
    struct create_templates templates;
    struct larder *db;
    bool is_new_segment, is_if_not_exists, is_update;
};

static int create_read_options(struct create *create) {
    const struct args *args = create->args;
    create->options = (struct larder_options){.segment = attach_segment(args), .memfd = -1};
    create->is_update = args->option[CREATE_UPDATE].is_given;
    create->is_if_not_exists = create->is_update || args->option[CREATE_IF_NOT_EXISTS].is_given;
    int code = args_size(&cmd_create, args, CREATE_SIZE, &create->options.size_bytes);
    if (code == EXIT_DONE)
        code = args_mode(&cmd_create, args, CREATE_MODE, &create->options.mode);
    if (code == EXIT_DONE)
        code = args_uint32(&cmd_create, args, CREATE_STRIPES, 2, 65536, &create->options.stripe_count);
    if (code == EXIT_DONE && (create->options.stripe_count & (create->options.stripe_count - 1)) != 0)
        return report_error(EXIT_USAGE, "--stripes takes a power of 2, not %u", create->options.stripe_count);
    if (code == EXIT_DONE)
        code = args_uint32(&cmd_create, args, CREATE_SLOTS, LARDER_SLOTS_MIN, LARDER_SLOTS_MAX,
                           &create->options.slot_count);
    return code;
}

/* --evict: a table of the templates, by its name. */
static int create_evict_table(struct create *create, const char *name, size_t bytes) {
    for (struct template_table *table = create->templates.set.first; table != NULL; table = table->next)
        if (strlen(table->def.name) == bytes && memcmp(table->def.name, name, bytes) == 0) {
            table->def.eviction = LARDER_EVICTION_SIEVE;
            return EXIT_DONE;
        }
    return report_error(EXIT_USAGE, "--evict: no template has a table \"%.*s\"", (int)bytes, name);
}

static int create_evict(struct create *create) {
    const char *names = create->args->option[CREATE_EVICT].value[0];
    int code = EXIT_DONE;
    while (names != NULL && code == EXIT_DONE) {
        const char *end = strchrnul(names, ',');
        code = create_evict_table(create, names, (size_t)(end - names));
        names = *end != '\0' ? end + 1 : NULL;
    }
    return code;
}

/* Checks the tables together. Names are compared here, because the trial below looks at one table
 * at a time. */
static int create_check_set(const struct template_set *set) {
    size_t count = 0;
    for (const struct template_table *table = set->first; table != NULL; table = table->next) {
        if (++count > LARDER_TABLES_MAX)
            return report_error(EXIT_INPUT, "more than %d tables; a segment holds no more", LARDER_TABLES_MAX);
        for (const struct template_table *earlier = set->first; earlier != table; earlier = earlier->next) {
            if (strcmp(earlier->def.name, table->def.name) == 0)
                return report_error(EXIT_INPUT, "%s: table %s is defined twice", table->source, table->def.name);
        }
    }
    return EXIT_DONE;
}

/* Has the engine judge each definition. Only a wrong definition counts; other failures here do
 * not. */
static int create_try(const struct template_set *set) {
    struct larder_options options = {
        .flags = LARDER_CREATE | LARDER_MEMFD, .memfd = -1, .size_bytes = CREATE_TRIAL_BYTES, .stripe_count = 2};
    struct larder *db;
    int code = EXIT_DONE;
    if (larder_open(&options, &db) < 0)
        return EXIT_DONE;
    for (const struct template_table *table = set->first; table != NULL && code == EXIT_DONE; table = table->next) {
        if (larder_table_create(db, &table->def) == LARDER_E_INVAL)
            code = report_error(EXIT_INPUT, "%s: table %s: %s", table->source, table->def.name, larder_error());
        else
            code = create_items_put(db, table, 1);
        larder_table_drop(db, table->def.name);
    }
    larder_close(db);
    return code;
}

/* What can be known now of a segment that will be full too early. Only a warning: others may
 * make room. */
static void create_warn(const struct create *create) {
    const char *segment = create->options.segment;
    struct larder_segment_stats stats;
    struct statfs fs;
    char path[4096], have[GRID_NUMBER_BYTES], want[GRID_NUMBER_BYTES];
    if (larder_segment_stats(create->db, &stats) < 0)
        return;
    uint64_t slot_bytes = (uint64_t)stats.slots_max * LARDER_SLOT_BYTES;
    if (slot_bytes > stats.size_bytes / 4)
        report_note("warning: %u writer slots (--slots) take %s of the segment's %s", stats.slots_max,
                    grid_bytes(have, slot_bytes), grid_bytes(want, stats.size_bytes));
    snprintf(path, sizeof path, "%s%s", strchr(segment, '/') != NULL ? "" : "/dev/shm/", segment);
    if (statfs(path, &fs) != 0 || fs.f_blocks == 0) /* a tmpfs without a limit */
        return;
    uint64_t free_bytes = (uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize,
             lacking = stats.size_bytes - stats.claimed_bytes;
    if (stats.claimed_bytes < stats.size_bytes && free_bytes < lacking)
        report_note("warning: the file system of %s has %s free: the segment will be full there, before it has its %s",
                    path, grid_bytes(have, free_bytes), grid_bytes(want, stats.size_bytes));
}

static int create_open(struct create *create) {
    uint32_t huge_pages = create->args->option[CREATE_HUGE_PAGES].is_given ? LARDER_HUGE_PAGES : 0;
    uint32_t owner = attach_owner_flag(create->args);
    create->options.flags = LARDER_CREATE | LARDER_EXCLUSIVE | huge_pages | owner;
    int result = larder_open(&create->options, &create->db);
    create->is_new_segment = result >= 0;
    if (result == LARDER_E_EXISTS) {
        /* if it has vanished meanwhile, it is created after all */
        create->options.flags = LARDER_CREATE | owner;
        result = larder_open(&create->options, &create->db);
        const struct args *args = create->args;
        if (result >= 0 && (args->option[CREATE_SIZE].is_given || args->option[CREATE_MODE].is_given ||
                            args->option[CREATE_STRIPES].is_given || args->option[CREATE_SLOTS].is_given))
            report_note("segment %s exists; --size, --mode, --stripes and --slots change nothing",
                        create->options.segment);
    }
    if (create->is_new_segment)
        create_warn(create);
    return result < 0 ? report_result(result, create->options.segment) : EXIT_DONE;
}

static bool create_is_there(struct larder *db, const char *name) {
    struct larder_table *table;
    return larder_table_open(db, name, &table) >= 0;
}

/* Drops the tables before `end` that `made` says are ours. */
static void create_undo(struct create *create, const bool *made, const struct template_table *end) {
    size_t i = 0;
    for (const struct template_table *table = create->templates.set.first; table != end; table = table->next) {
        if (made[i++] && larder_table_drop(create->db, table->def.name) < 0)
            report_note("table %s was created and could not be dropped again: %s", table->def.name, larder_error());
    }
}

static int create_describe(struct create *create, const char *name, const struct larder_table_def **out) {
    struct larder_table *table;
    int result = larder_table_open(create->db, name, &table);
    if (result >= 0)
        result = larder_table_describe(table, out);
    return result < 0 ? report_result(result, name) : EXIT_DONE;
}

/* --if-not-exists: the table stays as it is, differences from the template are reported. --update:
 * the table changes. */
static int create_leave(struct create *create, const struct template_table *wanted) {
    const struct larder_table_def *there = NULL;
    int code = create_describe(create, wanted->def.name, &there);
    if (code == EXIT_DONE && wanted->items != NULL)
        report_note("table %s exists: the %zu items of its model are not stored", wanted->def.name,
                    json_array_size(wanted->items));
    if (code != EXIT_DONE || create->is_update)
        return code == EXIT_DONE ? table_update(create->db, &wanted->def) : code;
    unsigned count = table_diff(there, &wanted->def);
    report_note("table %s exists, left as it is%s", wanted->def.name,
                count > 0 ? "; it differs from the template, --update would change it" : "");
    return EXIT_DONE;
}

/* --update: whether all tables that exist can become what the templates say. */
static int create_check_update(struct create *create) {
    int code = EXIT_DONE;
    for (const struct template_table *table = create->templates.set.first; table != NULL; table = table->next) {
        const struct larder_table_def *there = NULL;
        if (!create->is_update || !create_is_there(create->db, table->def.name))
            continue;
        int this_code = create_describe(create, table->def.name, &there);
        if (this_code == EXIT_DONE)
            this_code = table_update_check(there, &table->def);
        if (this_code != EXIT_DONE)
            code = this_code;
    }
    return code == EXIT_DONE ? code : report_error(code, "nothing has changed");
}

static int create_one(struct create *create, const struct template_table *table, bool *is_made) {
    int result = larder_table_create(create->db, &table->def);
    if (result == LARDER_E_EXISTS && create->is_if_not_exists)
        return create_leave(create, table);
    *is_made = result >= 0;
    return result < 0 ? report_result(result, table->def.name) : create_items_put(create->db, table, 0);
}

static int create_tables(struct create *create) {
    bool made[LARDER_TABLES_MAX] = {false}; /* as many as create_check_set() lets pass */
    for (const struct template_table *table = create->templates.set.first; table != NULL; table = table->next) {
        if (!create->is_if_not_exists && create_is_there(create->db, table->def.name))
            return report_error(EXIT_OTHER, "table %s exists; --if-not-exists would leave it as it is",
                                table->def.name);
    }
    int code = create_check_update(create);
    if (code != EXIT_DONE)
        return code;
    size_t i = 0;
    for (const struct template_table *table = create->templates.set.first; table != NULL; table = table->next) {
        code = create_one(create, table, &made[i++]);
        if (code != EXIT_DONE) {
            create_undo(create, made, table->next);
            return code;
        }
    }
    return EXIT_DONE;
}

/* Whether no other process has a slot. This process may have two: a thread of the library empties
 * dropped tables. */
static bool create_is_alone(struct larder *db) {
    struct larder_slot_stats slots[8];
    uint32_t count = 0;
    if (larder_slot_stats(db, slots, 8, &count) < 0 || count > 8)
        return false;
    for (uint32_t i = 0; i < count; i++)
        if (slots[i].pid != getpid())
            return false;
    return true;
}

/* A segment of the wrong size must not be left for the next try, unless another process uses it
 * already. */
static void create_undo_segment(struct create *create) {
    struct larder_segment_stats stats;
    if (larder_segment_stats(create->db, &stats) >= 0 && stats.table_count == 0 && create_is_alone(create->db))
        larder_destroy(create->options.segment, attach_owner_flag(create->args));
}

static int create_run(const struct args *args) {
    struct create create = {.args = args};
    int code = create_read_options(&create);
    if (code == EXIT_DONE)
        code = create_templates_read(&create.templates, args, CREATE_PARAMETER, CREATE_NAME);
    if (code == EXIT_DONE)
        code = create_evict(&create);
    if (code == EXIT_DONE)
        code = create_check_set(&create.templates.set);
    if (code == EXIT_DONE)
        code = create_try(&create.templates.set);
    if (code == EXIT_DONE)
        code = create_open(&create);
    if (code == EXIT_DONE) {
        code = create_tables(&create);
        if (code != EXIT_DONE && create.is_new_segment)
            create_undo_segment(&create);
        larder_close(create.db);
    }
    create_templates_free(&create.templates);
    return code;
}

const struct command cmd_create = {
    .name = "create",
    .operands = "TEMPLATE...",
    .summary = "create tables from templates, and the segment if it is missing",
    .details =
        "Creates the tables of each TEMPLATE, and the segment if it is missing. All tables are created, or none.\n"
        "A TEMPLATE, in JSON or YAML, is one of these; - is standard input:\n"
        "  a CloudFormation or SAM template: every AWS::DynamoDB::Table, GlobalTable and Serverless::SimpleTable,\n"
        "    with Parameters, Mappings, Conditions, Ref, Fn::Sub, Join, If, FindInMap, Select, Split, ForEach\n"
        "  serverless.yml: the tables of its resources; its own ${...} variables have no value here, so --name or\n"
        "    `serverless print` is needed where a table depends on one\n"
        "  the JSON of `aws dynamodb create-table --cli-input-json`, the output of describe-table, or a list of them\n"
        "  a model of NoSQL Workbench; its items are stored, too\n"
        "What means nothing to a cache (billing, streams, tags) is ignored, and named in a line.\n"
        "--parameter gives a parameter that a template declares its value, or a pseudo parameter: AWS::StackName has\n"
        "none otherwise, AWS::Region is $AWS_REGION, $AWS_DEFAULT_REGION or us-east-1, AWS::AccountId 000000000000.\n"
        "--name LOGICAL_ID=NAME names a table, whatever its TableName is. Without both a table has its logical id as\n"
        "its name. --name OLD=NEW renames a table that has no logical id, --name NAME names the one without a name.\n"
        "--update makes a table that exists what its template says: it adds, drops and replaces global indexes, and\n"
        "sets the TTL attribute and the removal policy. What cannot be changed (a key, a local index) is an error,\n"
        "and then nothing changes. It implies --if-not-exists.\n"
        "--huge-pages is a hint (LARDER_HUGE_PAGES in larder.h): it needs a tmpfs mounted with huge=advise. Programs\n"
        "that fill the segment give it, too; a --segment path on a hugetlbfs mount needs neither.\n"
        "--slots bounds how many calls write at the same moment; others wait. Default: 1024, below 64M 16 for each\n"
        "megabyte, at least 64. `larder info` shows how many are in use.\n"
        "Memory is claimed as the segment fills. A --size that its file system has not free now is a warning.\n"
        "--evict: when memory is short, items of these tables go, those that are not used first, instead of an error\n"
        "that the segment is full. `larder info` shows which tables evict, and how much.\n"
        "DeletionPolicy Retain makes `larder destroy` refuse without --force.\n",
    .options = create_options,
    .positional_min = 1,
    .positional_max = -1,
    .run = create_run,
};

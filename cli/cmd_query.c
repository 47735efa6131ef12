/* cli/cmd_query.c - larder query and larder scan.
 *
 * Job      Turns options into a query or scan specification; cli/walk.c does the rest.
 * Tests    tests/cli/cli_test.sh
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/attach.h"
#include "cli/commands.h"
#include "cli/expressions.h"
#include "cli/index_keys.h"
#include "cli/json_text.h"
#include "cli/key.h"
#include "cli/report.h"
#include "cli/walk.h"

enum {
    QUERY_INDEX = ARGS_OWN,
    QUERY_PK,
    QUERY_EQ,
    QUERY_LT,
    QUERY_LE,
    QUERY_GT,
    QUERY_GE,
    QUERY_BETWEEN,
    QUERY_BEGINS_WITH,
    QUERY_REVERSE,
    QUERY_LIMIT,
    QUERY_START_KEY,
    QUERY_KEY_CONDITION,
    QUERY_FILTER,
    QUERY_PROJECTION,
    QUERY_NAMES,
    QUERY_VALUES,
    QUERY_SELECT
};

static const struct args_option query_options[] = {
    ARGS_COMMON,
    {"index", 1, "NAME", "a secondary index instead of the table"},
    {"pk", 1, "VALUE", "the partition key (required, unless --key-condition-expression is given)"},
    {"sk-eq", 1, "VALUE", "sort key = VALUE"},
    {"sk-lt", 1, "VALUE", "sort key < VALUE"},
    {"sk-le", 1, "VALUE", "sort key <= VALUE"},
    {"sk-gt", 1, "VALUE", "sort key > VALUE"},
    {"sk-ge", 1, "VALUE", "sort key >= VALUE"},
    {"sk-between", 2, "A B", "A <= sort key <= B"},
    {"sk-begins-with", 1, "PREFIX", "sort key starts with PREFIX"},
    {"reverse", 0, "", "descending order"},
    {"limit", 1, "N", "at most N items"},
    {"start-key", 1, "KEY-JSON", "continue after this key; - is standard input"},
    {"key-condition-expression", 1, "TEXT", "instead of --pk and --sk-...: \"PK = :p AND begins_with(SK, :s)\""},
    {"filter-expression", 1, "TEXT", "print only items for which this is true; --limit counts what is read"},
    {"projection-expression", 1, "TEXT", "print only these attributes: \"PK, info.rating\""},
    EXPRESSIONS_OPTIONS,
    {"select", 1, "COUNT", "print only how many there are"},
    {NULL, 0, NULL, NULL}};

/* Memory that a specification points into. */
struct query_memory {
    void *partition, *sort, *sort2;
};

static void query_memory_free(struct query_memory *memory) {
    free(memory->partition);
    free(memory->sort);
    free(memory->sort2);
}

/* Reads --start-key, if given. */
static int query_start_key(struct attach *attach, const struct args *args, int option, const struct larder_item **out) {
    if (!args->option[option].is_given)
        return EXIT_DONE;
    int code = attach_builder(attach);
    return code == EXIT_DONE ? json_text_item(attach->builder, args->option[option].value[0], "--start-key", out)
                             : code;
}

/* The --sk-... option that is given; 0: none. More than one is wrong usage. */
static int query_sort_option(const struct args *args, int *out) {
    *out = 0;
    for (int option = QUERY_EQ; option <= QUERY_BEGINS_WITH; option++) {
        if (!args->option[option].is_given)
            continue;
        if (*out != 0)
            return report_error(EXIT_USAGE, "--%s and --%s do not go together", query_options[*out].name,
                                query_options[option].name);
        *out = option;
    }
    return EXIT_DONE;
}

static int query_sort(const struct args *args, const struct larder_key_def *sort, struct larder_query_spec *spec,
                      struct query_memory *memory) {
    static const enum larder_sort_op ops[] = {
        [QUERY_EQ] = LARDER_SORT_EQ,
        [QUERY_LT] = LARDER_SORT_LT,
        [QUERY_LE] = LARDER_SORT_LE,
        [QUERY_GT] = LARDER_SORT_GT,
        [QUERY_GE] = LARDER_SORT_GE,
        [QUERY_BETWEEN] = LARDER_SORT_BETWEEN,
        [QUERY_BEGINS_WITH] = LARDER_SORT_BEGINS_WITH,
    };
    int option, code = query_sort_option(args, &option);
    if (code != EXIT_DONE || option == 0)
        return code;
    if (sort->name == NULL)
        return report_error(EXIT_INPUT, "--%s: this table or index has no sort key", query_options[option].name);
    spec->sort_op = ops[option];
    code = key_value_from_text(sort->type, args->option[option].value[0], "the sort key", &spec->sort_value,
                               &memory->sort);
    if (code == EXIT_DONE && option == QUERY_BETWEEN)
        code = key_value_from_text(sort->type, args->option[option].value[1], "the sort key", &spec->sort_value2,
                                   &memory->sort2);
    return code;
}

/* Fills in everything of the specification but the limit. */
static int query_spec(struct attach *attach, const struct args *args, struct larder_query_spec *spec,
                      struct query_memory *memory) {
    const struct larder_table_def *def = attach->def;
    const struct larder_index_def *index = NULL;
    spec->index = args->option[QUERY_INDEX].value[0];
    spec->is_descending = args->option[QUERY_REVERSE].is_given;
    if (spec->index != NULL) {
        index = attach_index(def, spec->index);
        if (index == NULL)
            return report_error(EXIT_MISSING, "table %s has no index %s", def->name, spec->index);
    }
    const struct larder_key_def *partition = index != NULL ? &index->partition : &def->partition;
    const struct larder_key_def *sort = index != NULL ? &index->sort : &def->sort;
    int code = EXIT_DONE;
    if (index != NULL && index_keys_partition(index) > 1 && !args->option[QUERY_KEY_CONDITION].is_given)
        return report_error(EXIT_USAGE,
                            "index %s has a partition key of several attributes: --key-condition-expression names them",
                            spec->index);
    if (args->option[QUERY_PK].is_given)
        code = key_value_from_text(partition->type, args->option[QUERY_PK].value[0], "the partition key",
                                   &spec->partition, &memory->partition);
    if (code == EXIT_DONE)
        code = query_sort(args, sort, spec, memory);
    if (code == EXIT_DONE)
        code = query_start_key(attach, args, QUERY_START_KEY, &spec->start_key);
    return code;
}

/* --select: the two of aws dynamodb's choices that do not follow from other options. */
static int query_select(const struct args *args, int option, enum larder_select *out) {
    const char *wanted = args->option[option].value[0];
    *out = LARDER_SELECT_ITEMS;
    if (!args->option[option].is_given)
        return EXIT_DONE;
    if (strcmp(wanted, "COUNT") != 0)
        return report_error(EXIT_USAGE, "--select %s: COUNT is allowed", wanted);
    *out = LARDER_SELECT_COUNT;
    return EXIT_DONE;
}

/* Runs a walk to standard output. */
static int query_walk(struct walk *walk, enum larder_select select) {
    struct sink sink;
    sink_open_stdout(&sink);
    int code = walk_run(walk, &sink);
    if (code == EXIT_DONE && select == LARDER_SELECT_COUNT)
        printf("{\"Count\":%llu,\"ScannedCount\":%llu}\n", (unsigned long long)walk->item_count,
               (unsigned long long)walk->read_count);
    if (code == EXIT_DONE)
        code = sink_commit(&sink);
    sink_close(&sink);
    return code;
}

static int query_expressions(struct attach *attach, const struct args *args, struct expressions *e,
                             struct larder_query_spec *spec) {
    int code = expressions_open(e, attach, args, QUERY_NAMES);
    if (code == EXIT_DONE)
        code =
            expressions_prepare(e, attach, args, QUERY_KEY_CONDITION, LARDER_EXPR_KEY_CONDITION, &spec->key_condition);
    if (code == EXIT_DONE)
        code = expressions_prepare(e, attach, args, QUERY_FILTER, LARDER_EXPR_FILTER, &spec->filter);
    if (code == EXIT_DONE)
        code = expressions_prepare(e, attach, args, QUERY_PROJECTION, LARDER_EXPR_PROJECTION, &spec->projection);
    spec->values = e->values;
    return code;
}

/* The partition is given in one of two ways. */
static int query_check_usage(const struct args *args) {
    int sort, code = query_sort_option(args, &sort), has_condition = args->option[QUERY_KEY_CONDITION].is_given;
    if (code != EXIT_DONE)
        return code;
    if (!args->option[QUERY_PK].is_given && !has_condition)
        return report_error(EXIT_USAGE, "--pk is missing; see larder query --help");
    if (has_condition && (args->option[QUERY_PK].is_given || sort != 0))
        return report_error(EXIT_USAGE, "--key-condition-expression and --%s do not go together",
                            sort != 0 ? query_options[sort].name : "pk");
    return EXIT_DONE;
}

static int query_run(const struct args *args) {
    struct attach attach = {0};
    struct expressions expressions = {0};
    struct query_memory memory = {0};
    struct larder_query_spec spec = {0};
    uint32_t limit = 0;
    int code = args_uint32(&cmd_query, args, QUERY_LIMIT, 1, UINT32_MAX, &limit);
    if (code == EXIT_DONE)
        code = query_check_usage(args);
    if (code == EXIT_DONE)
        code = query_select(args, QUERY_SELECT, &spec.select);
    if (code != EXIT_DONE)
        return code;
    code = attach_table(args, LARDER_READ_ONLY, args->positional[0], &attach);
    if (code == EXIT_DONE)
        code = query_spec(&attach, args, &spec, &memory);
    if (code == EXIT_DONE)
        code = query_expressions(&attach, args, &expressions, &spec);
    if (code == EXIT_DONE) {
        struct walk walk = {.db = attach.db, .table = attach.table, .query = &spec, .limit = limit};
        code = query_walk(&walk, spec.select);
    }
    query_memory_free(&memory);
    expressions_close(&expressions);
    attach_close(&attach);
    return code;
}

const struct command cmd_query = {
    .name = "query",
    .operands = "TABLE --pk VALUE",
    .summary = "print the items of one partition, in sort key order",
    .details = "Prints the items of one partition of a table or index, in sort key order, one per line.\n"
               "Values are plain text, read as the type that the schema gives the key: S text, N decimal, B base64.\n"
               "If --limit ends it and more may follow, the key to continue with is printed on standard error:\n"
               "  more: --start-key '{...}'\n",
    .options = query_options,
    .positional_min = 1,
    .positional_max = 1,
    .run = query_run,
};

enum {
    SCAN_LIMIT = ARGS_OWN,
    SCAN_START_KEY,
    SCAN_SEGMENT_INDEX,
    SCAN_OF,
    SCAN_FILTER,
    SCAN_PROJECTION,
    SCAN_NAMES,
    SCAN_VALUES,
    SCAN_INDEX,
    SCAN_SELECT
};

static const struct args_option scan_options[] = {
    ARGS_COMMON,
    {"limit", 1, "N", "at most N items"},
    {"start-key", 1, "KEY-JSON", "continue after this key; - is standard input"},
    {"segment-index", 1, "I", "parallel scan: this worker, counted from 0"},
    {"of", 1, "N", "parallel scan: the number of workers"},
    {"filter-expression", 1, "TEXT", "print only items for which this is true; --limit counts what is read"},
    {"projection-expression", 1, "TEXT", "print only these attributes: \"PK, info.rating\""},
    EXPRESSIONS_OPTIONS,
    {"index", 1, "NAME", "the items of this index, as it has them"},
    {"select", 1, "COUNT", "print only how many there are"},
    {NULL, 0, NULL, NULL}};

static int scan_options_read(const struct args *args, struct larder_scan_spec *spec, uint32_t *limit) {
    if (args->option[SCAN_SEGMENT_INDEX].is_given != args->option[SCAN_OF].is_given)
        return report_error(EXIT_USAGE, "--segment-index and --of go together");
    int code = args_uint32(&cmd_scan, args, SCAN_LIMIT, 1, UINT32_MAX, limit);
    if (code == EXIT_DONE)
        code = query_select(args, SCAN_SELECT, &spec->select);
    if (code == EXIT_DONE) /* the same bound as DynamoDB's */
        code = args_uint32(&cmd_scan, args, SCAN_OF, 1, 1000000, &spec->segment_count);
    if (code == EXIT_DONE && spec->segment_count > 0)
        code = args_uint32(&cmd_scan, args, SCAN_SEGMENT_INDEX, 0, spec->segment_count - 1, &spec->segment);
    return code;
}

static int scan_expressions(struct attach *attach, const struct args *args, struct expressions *e,
                            struct larder_scan_spec *spec) {
    int code = expressions_open(e, attach, args, SCAN_NAMES);
    if (code == EXIT_DONE)
        code = expressions_prepare(e, attach, args, SCAN_FILTER, LARDER_EXPR_FILTER, &spec->filter);
    if (code == EXIT_DONE)
        code = expressions_prepare(e, attach, args, SCAN_PROJECTION, LARDER_EXPR_PROJECTION, &spec->projection);
    spec->values = e->values;
    return code;
}

static int scan_run(const struct args *args) {
    struct attach attach = {0};
    struct expressions expressions = {0};
    struct larder_scan_spec spec = {0};
    uint32_t limit = 0;
    int code = scan_options_read(args, &spec, &limit);
    if (code != EXIT_DONE)
        return code;
    spec.index = args->option[SCAN_INDEX].value[0];
    code = attach_table(args, LARDER_READ_ONLY, args->positional[0], &attach);
    if (code == EXIT_DONE && spec.index != NULL && attach_index(attach.def, spec.index) == NULL)
        code = report_error(EXIT_MISSING, "table %s has no index %s", attach.def->name, spec.index);
    if (code == EXIT_DONE)
        code = query_start_key(&attach, args, SCAN_START_KEY, &spec.start_key);
    if (code == EXIT_DONE)
        code = scan_expressions(&attach, args, &expressions, &spec);
    if (code == EXIT_DONE) {
        struct walk walk = {.db = attach.db, .table = attach.table, .scan = &spec, .limit = limit};
        code = query_walk(&walk, spec.select);
    }
    expressions_close(&expressions);
    attach_close(&attach);
    return code;
}

const struct command cmd_scan = {
    .name = "scan",
    .operands = "TABLE",
    .summary = "print all items of a table",
    .details =
        "Prints all items of a table or index in hash order, one per line. Several scans at once can share a table:\n"
        "--segment-index 0 --of 4, --segment-index 1 --of 4, ...\n"
        "If --limit ends it and more may follow, the key to continue with is printed on standard error.\n",
    .options = scan_options,
    .positional_min = 1,
    .positional_max = 1,
    .run = scan_run,
};

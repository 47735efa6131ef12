/* cli/cmd_table.c - larder table: changes of a table that exists.
 *
 * Job      One word says what: add-index, drop-index, set-ttl, drop. Each takes its own options and
 *          no others.
 * Tests    tests/cli/table_test.sh
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "cli/attach.h"
#include "cli/commands.h"
#include "cli/report.h"

enum { TABLE_PK = ARGS_OWN, TABLE_SK, TABLE_PROJECTION, TABLE_INCLUDE, TABLE_OFF, TABLE_FORCE };

static const struct args_option table_options[] = {
    ARGS_COMMON,
    {"pk", 1, "NAME:TYPE", "add-index: its partition key; TYPE is S, N or B"},
    {"sk", 1, "NAME:TYPE", "add-index: its sort key"},
    {"projection", 1, "WHICH", "add-index: ALL (the default) or KEYS_ONLY"},
    {"include", 1, "NAME[,NAME]", "add-index: the keys and these attributes, instead of --projection"},
    {"off", 0, "", "set-ttl: items no longer expire"},
    {"force", 0, "", "drop: also if the table is to be retained"},
    {NULL, 0, NULL, NULL}};

extern const struct command cmd_table;

/* ---- add-index ------------------------------------------------------------------------------- */

/* The key of the table or of an index that has this name; NULL: none. */
static const struct larder_key_def *table_known_key(const struct larder_table_def *def, const char *name) {
    const struct larder_key_def *keys[2 * (LARDER_INDEXES_MAX + 1)] = {&def->partition, &def->sort};
    size_t count = 2;
    for (uint32_t i = 0; i < def->index_count && i < LARDER_INDEXES_MAX; i++) {
        keys[count++] = &def->indexes[i].partition;
        keys[count++] = &def->indexes[i].sort;
    }
    for (size_t i = 0; i < count; i++)
        if (keys[i]->name != NULL && strcmp(keys[i]->name, name) == 0)
            return keys[i];
    return NULL;
}

/* "NAME:TYPE", or the name of a key whose type is known. The name is the caller's to free. */
static int table_key(const struct attach *attach, const char *option, const char *text, struct larder_key_def *out,
                     char **owned) {
    static const char types[] = "SNB";
    const char *colon = strrchr(text, ':');
    const char *type = colon != NULL && colon[1] != 0 && colon[2] == 0 ? strchr(types, colon[1]) : NULL;
    *owned = type != NULL ? strndup(text, (size_t)(colon - text)) : strdup(text);
    if (*owned == NULL)
        return report_error(EXIT_OTHER, "out of memory");
    out->name = *owned;
    if (type != NULL) {
        out->type = *type == 'S' ? LARDER_S : *type == 'N' ? LARDER_N : LARDER_B;
        return EXIT_DONE;
    }
    const struct larder_key_def *known = table_known_key(attach->def, *owned);
    if (known == NULL)
        return report_error(EXIT_USAGE, "--%s %s: its type is needed: %s:S, %s:N or %s:B", option, text, text, text,
                            text);
    out->type = known->type;
    return EXIT_DONE;
}

/* The names of --include, cut at commas. */
static int table_include(char *names, const char **out, struct larder_index_def *index) {
    for (char *name = names; name != NULL;) {
        char *comma = strchr(name, ',');
        if (comma != NULL)
            *comma = 0;
        if (index->included_count == LARDER_PROJECTED_NAMES_MAX || name[0] == 0)
            return report_error(EXIT_USAGE, "--include takes 1 to %d names", LARDER_PROJECTED_NAMES_MAX);
        out[index->included_count++] = name;
        name = comma != NULL ? comma + 1 : NULL;
    }
    index->included = out;
    index->projection = LARDER_PROJECT_INCLUDE;
    return EXIT_DONE;
}

static int table_projection(const struct args *args, struct larder_index_def *index) {
    const char *which = args->option[TABLE_PROJECTION].value[0];
    if (which == NULL || strcmp(which, "ALL") == 0)
        index->projection = LARDER_PROJECT_ALL;
    else if (strcmp(which, "KEYS_ONLY") == 0)
        index->projection = LARDER_PROJECT_KEYS_ONLY;
    else
        return report_error(EXIT_USAGE, "--projection is \"%s\"; ALL and KEYS_ONLY are allowed, and --include", which);
    return EXIT_DONE;
}

static int table_add_index(const struct args *args, struct attach *attach) {
    const char *pk = args->option[TABLE_PK].value[0], *sk = args->option[TABLE_SK].value[0];
    const char *include = args->option[TABLE_INCLUDE].value[0], *included[LARDER_PROJECTED_NAMES_MAX];
    char *owned[3] = {NULL};
    struct larder_index_def index = {.name = args->positional[2]};
    if (pk == NULL)
        return report_error(EXIT_USAGE, "add-index needs --pk NAME:TYPE");
    if (include != NULL && args->option[TABLE_PROJECTION].is_given)
        return report_error(EXIT_USAGE, "--projection and --include exclude each other");
    int code = table_key(attach, "pk", pk, &index.partition, &owned[0]);
    if (code == EXIT_DONE && sk != NULL)
        code = table_key(attach, "sk", sk, &index.sort, &owned[1]);
    if (code == EXIT_DONE)
        code = table_projection(args, &index);
    if (code == EXIT_DONE && include != NULL) {
        owned[2] = strdup(include);
        code = owned[2] != NULL ? table_include(owned[2], included, &index) : report_error(EXIT_OTHER, "out of memory");
    }
    if (code == EXIT_DONE) {
        int result = larder_index_add(attach->table, &index);
        code = result < 0 ? report_result(result, attach->def->name) : EXIT_DONE;
    }
    for (size_t i = 0; i < 3; i++)
        free(owned[i]);
    return code;
}

/* ---- drop-index, set-ttl, drop --------------------------------------------------------------- */

static int table_drop_index(const struct args *args, struct attach *attach) {
    int result = larder_index_drop(attach->table, args->positional[2]);
    return result < 0 ? report_result(result, attach->def->name) : EXIT_DONE;
}

static int table_set_ttl(const struct args *args, struct attach *attach) {
    bool is_off = args->option[TABLE_OFF].is_given;
    if (is_off == (args->positional_count > 2))
        return report_error(EXIT_USAGE, "set-ttl needs the name of an attribute, or --off");
    int result = larder_ttl_set(attach->table, is_off ? NULL : args->positional[2]);
    return result < 0 ? report_result(result, attach->def->name) : EXIT_DONE;
}

static int table_drop(const struct args *args, struct attach *attach) {
    const char *name = attach->def->name;
    if (attach->def->removal == LARDER_REMOVAL_RETAIN && !args->option[TABLE_FORCE].is_given)
        return report_error(EXIT_OTHER, "table %s is to be retained; --force drops it all the same", name);
    int result = larder_table_drop(attach->db, name);
    return result < 0 ? report_result(result, name) : EXIT_DONE;
}

/* ---- Which ----------------------------------------------------------------------------------- */

#define TABLE_MAY(option) (1u << (option))

static const struct {
    const char *name, *usage;
    int positional_min, positional_max;
    unsigned options; /* of its own, as bits */
    int (*run)(const struct args *args, struct attach *attach);
} table_actions[] = {
    {"add-index", "add-index TABLE INDEX --pk NAME:TYPE", 3, 3,
     TABLE_MAY(TABLE_PK) | TABLE_MAY(TABLE_SK) | TABLE_MAY(TABLE_PROJECTION) | TABLE_MAY(TABLE_INCLUDE),
     table_add_index},
    {"drop-index", "drop-index TABLE INDEX", 3, 3, 0, table_drop_index},
    {"set-ttl", "set-ttl TABLE ATTRIBUTE, or set-ttl TABLE --off", 2, 3, TABLE_MAY(TABLE_OFF), table_set_ttl},
    {"drop", "drop TABLE", 2, 2, TABLE_MAY(TABLE_FORCE), table_drop},
};
#define TABLE_ACTIONS (sizeof table_actions / sizeof table_actions[0])

static int table_check(const struct args *args, size_t action) {
    if (args->positional_count < table_actions[action].positional_min ||
        args->positional_count > table_actions[action].positional_max)
        return report_error(EXIT_USAGE, "usage: larder table %s", table_actions[action].usage);
    for (int i = ARGS_OWN; table_options[i].name != NULL; i++)
        if (args->option[i].is_given && (table_actions[action].options & TABLE_MAY(i)) == 0)
            return report_error(EXIT_USAGE, "--%s is no option of larder table %s", table_options[i].name,
                                table_actions[action].name);
    return EXIT_DONE;
}

static int table_run(const struct args *args) {
    size_t action = 0;
    while (action < TABLE_ACTIONS && strcmp(table_actions[action].name, args->positional[0]) != 0)
        action++;
    if (action == TABLE_ACTIONS)
        return report_error(EXIT_USAGE, "unknown word \"%s\"; add-index, drop-index, set-ttl and drop are allowed",
                            args->positional[0]);
    struct attach attach = {0};
    int code = table_check(args, action);
    if (code == EXIT_DONE)
        code = attach_table(args, 0, args->positional[1], &attach);
    if (code == EXIT_DONE)
        code = table_actions[action].run(args, &attach);
    attach_close(&attach);
    return code;
}

const struct command cmd_table = {
    .name = "table",
    .operands = "add-index|drop-index|set-ttl|drop TABLE [NAME]",
    .summary = "change a table: add or drop an index, set its TTL attribute, drop it",
    .details =
        "add-index TABLE INDEX --pk NAME:TYPE [--sk NAME:TYPE]\n"
        "    Adds a global index and fills it; the table may be in use. The type of an attribute that is a key of the\n"
        "    table or of an index already may be left out.\n"
        "drop-index TABLE INDEX\n"
        "    Drops a global index. Queries of it that are under way end with an error.\n"
        "set-ttl TABLE ATTRIBUTE, set-ttl TABLE --off\n"
        "    From now on items expire at the second in this attribute, or not at all.\n"
        "drop TABLE\n"
        "    Removes a table with its items. Refuses if its DeletionPolicy is Retain, unless forced.\n"
        "To make tables what their templates say: larder create --update.\n",
    .options = table_options,
    .positional_min = 2,
    .positional_max = 3,
    .run = table_run,
};

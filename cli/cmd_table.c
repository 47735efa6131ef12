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
#include "cli/index_keys.h"
#include "cli/report.h"

enum { TABLE_PK = ARGS_OWN, TABLE_SK, TABLE_PROJECTION, TABLE_INCLUDE, TABLE_OFF, TABLE_FORCE };

static const struct args_option table_options[] = {
    ARGS_COMMON,
    {"pk", 1, "NAME:TYPE", "add-index: its partition key; TYPE is S, N or B; up to 4 times", true},
    {"sk", 1, "NAME:TYPE", "add-index: its sort key; up to 4 times", true},
    {"projection", 1, "WHICH", "add-index: ALL (the default) or KEYS_ONLY"},
    {"include", 1, "NAME[,NAME]", "add-index: the keys and these attributes, instead of --projection"},
    {"off", 0, "", "set-ttl: items no longer expire"},
    {"force", 0, "", "drop: also if the table is to be retained"},
    {NULL, 0, NULL, NULL}};

extern const struct command cmd_table;

/* ---- add-index ------------------------------------------------------------------------------- */

/* The key of the table or of an index that has this name; NULL: none. */
static const struct larder_key_def *table_known_key(const struct larder_table_def *def, const char *name) {
    if (strcmp(def->partition.name, name) == 0)
        return &def->partition;
    if (def->sort.name != NULL && strcmp(def->sort.name, name) == 0)
        return &def->sort;
    for (uint32_t i = 0; i < def->index_count; i++)
        for (uint32_t k = 0; k < index_keys_count(&def->indexes[i]); k++)
            if (strcmp(index_keys_at(&def->indexes[i], k)->name, name) == 0)
                return index_keys_at(&def->indexes[i], k);
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

/* The attributes of a key, and the memory of their names. */
struct table_keys {
    struct larder_key_def key[LARDER_KEY_ATTRIBUTES_MAX];
    char *owned[LARDER_KEY_ATTRIBUTES_MAX];
    uint32_t count;
};

/* Takes all values of --pk or --sk. */
static int table_keys(const struct args *args, const struct attach *attach, int option, struct table_keys *out) {
    const char *name = table_options[option].name;
    int code = EXIT_DONE;
    for (int i = 0; i < args->repeated_count && code == EXIT_DONE; i++) {
        if (args->repeated[i].option != option)
            continue;
        if (out->count == LARDER_KEY_ATTRIBUTES_MAX)
            return report_error(EXIT_USAGE, "--%s may be given %d times", name, LARDER_KEY_ATTRIBUTES_MAX);
        code = table_key(attach, name, args->repeated[i].value, &out->key[out->count], &out->owned[out->count]);
        out->count++;
    }
    return code;
}

static void table_keys_free(struct table_keys *keys) {
    for (uint32_t i = 0; i < keys->count; i++)
        free(keys->owned[i]);
}

static int table_add_index(const struct args *args, struct attach *attach) {
    struct table_keys pk = {.count = 0}, sk = {.count = 0};
    const char *include = args->option[TABLE_INCLUDE].value[0], *included[LARDER_PROJECTED_NAMES_MAX];
    char *owned = NULL;
    struct larder_index_def index = {.name = args->positional[2]};
    if (!args->option[TABLE_PK].is_given)
        return report_error(EXIT_USAGE, "add-index needs --pk NAME:TYPE");
    if (include != NULL && args->option[TABLE_PROJECTION].is_given)
        return report_error(EXIT_USAGE, "--projection and --include exclude each other");
    int code = table_keys(args, attach, TABLE_PK, &pk);
    if (code == EXIT_DONE)
        code = table_keys(args, attach, TABLE_SK, &sk);
    index.partition = pk.key[0];
    index.partition_more = pk.key + 1;
    index.partition_more_count = pk.count > 0 ? pk.count - 1 : 0;
    index.sort = sk.key[0];
    index.sort_more = sk.key + 1;
    index.sort_more_count = sk.count > 0 ? sk.count - 1 : 0;
    if (code == EXIT_DONE)
        code = table_projection(args, &index);
    if (code == EXIT_DONE && include != NULL) {
        owned = strdup(include);
        code = owned != NULL ? table_include(owned, included, &index) : report_error(EXIT_OTHER, "out of memory");
    }
    if (code == EXIT_DONE) {
        int result = larder_index_add(attach->table, &index);
        code = result < 0 ? report_result(result, attach->def->name) : EXIT_DONE;
    }
    free(owned);
    table_keys_free(&pk);
    table_keys_free(&sk);
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
        "add-index TABLE INDEX --pk NAME:TYPE [--pk NAME:TYPE]... [--sk NAME:TYPE]...\n"
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

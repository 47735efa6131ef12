/* cli/cmd_update.c - larder update: changes attributes of one item.
 *
 * Tests    tests/cli/cli_test.sh
 */
#include <string.h>

#include "cli/commands.h"
#include "cli/expressions.h"
#include "cli/json_text.h"
#include "cli/key.h"
#include "cli/report.h"
#include "cli/sink.h"

enum { UPDATE_UPDATE = ARGS_OWN, UPDATE_CONDITION, UPDATE_NAMES, UPDATE_VALUES, UPDATE_RETURNS };

static const struct args_option update_options[] = {
    ARGS_COMMON,
    {"update-expression", 1, "TEXT", "what to change, such as \"SET n = n + :one\""},
    {"condition-expression", 1, "TEXT", "only if this is true of the item that is there"},
    EXPRESSIONS_OPTIONS,
    {"return-values", 1, "WHICH", "print the item: ALL_OLD or ALL_NEW; default NONE"},
    {NULL, 0, NULL, NULL}};

static int update_returns(const struct args *args, enum larder_returns *out) {
    static const char *const names[] = {"NONE", "ALL_OLD", "ALL_NEW"};
    const char *wanted = args->option[UPDATE_RETURNS].value[0];
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        if (wanted == NULL || strcmp(wanted, names[i]) == 0) {
            *out = (enum larder_returns)i;
            return EXIT_DONE;
        }
    return report_error(EXIT_USAGE, "--return-values %s: NONE, ALL_OLD and ALL_NEW are allowed", wanted);
}

static int update_expressions(struct attach *attach, const struct args *args, struct expressions *e,
                              struct larder_action *action) {
    int code = expressions_open(e, attach, args, UPDATE_NAMES);
    if (code == EXIT_DONE)
        code = expressions_prepare(e, attach, args, UPDATE_UPDATE, LARDER_EXPR_UPDATE, &action->update);
    if (code == EXIT_DONE)
        code = expressions_prepare(e, attach, args, UPDATE_CONDITION, LARDER_EXPR_CONDITION, &action->condition);
    action->values = e->values;
    return code;
}

/* Writes, and prints what the page has got. */
static int update_write(const struct larder_action *action, struct larder *db) {
    struct larder_page *page;
    int result = larder_page_new(db, &page);
    if (result < 0)
        return report_result(result, NULL);
    int code = report_write(larder_write(action, page));
    if (code == EXIT_DONE && larder_page_count(page) > 0)
        code = sink_one(larder_page_item(page, 0));
    larder_page_free(page);
    return code;
}

static int update_item(struct attach *attach, const struct args *args, struct larder_action *action) {
    struct expressions expressions = {0};
    struct key key;
    const struct larder_item *item;
    int code = json_text_item(attach->builder, args->positional[1], "key", &item);
    if (code == EXIT_DONE)
        code = key_from_item(attach->def, item, &key);
    if (code == EXIT_DONE)
        code = update_expressions(attach, args, &expressions, action);
    if (code == EXIT_DONE) {
        action->table = attach->table;
        action->key = key.key;
        code = update_write(action, attach->db);
    }
    expressions_close(&expressions);
    return code;
}

static int update_run(const struct args *args) {
    struct larder_action action = {.kind = LARDER_ACTION_UPDATE};
    struct attach attach = {0};
    int code = update_returns(args, &action.returns);
    if (code != EXIT_DONE)
        return code;
    code = attach_table(args, 0, args->positional[0], &attach);
    if (code == EXIT_DONE)
        code = attach_builder(&attach);
    if (code == EXIT_DONE)
        code = update_item(&attach, args, &action);
    attach_close(&attach);
    return code;
}

const struct command cmd_update = {
    .name = "update",
    .operands = "TABLE KEY-JSON",
    .summary = "change attributes of an item, or make it",
    .details =
        "Changes the item with this key as the update expression says; makes it if there is none. All in one\n"
        "step: of many updates at once each counts. KEY-JSON holds the table's key attributes and nothing else;\n"
        "- reads it from standard input. For example, three of a stock, if they are there:\n"
        "  larder update Shops '{\"PK\": {\"S\": \"SHOP#1\"}, \"SK\": {\"S\": \"METADATA\"}}' \\\n"
        "    --update-expression 'SET stock = stock - :n' --condition-expression 'stock >= :n' \\\n"
        "    --expression-attribute-values '{\":n\": {\"N\": \"3\"}}' --return-values ALL_NEW\n"
        "Exit code 9 if the condition is not true; nothing has changed then.\n",
    .options = update_options,
    .positional_min = 2,
    .positional_max = 2,
    .run = update_run,
};

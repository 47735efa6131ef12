/* cli/cmd_update.c - larder update: changes attributes of one item.
 *
 * Tests    tests/cli/cli_test.sh
 */
#include "cli/commands.h"
#include "cli/json_text.h"
#include "cli/key.h"
#include "cli/report.h"
#include "cli/write_one.h"

enum { UPDATE_UPDATE = WRITE_OWN };

static const struct args_option update_options[] = {
    ARGS_COMMON,
    WRITE_OPTIONS("ALL_OLD, ALL_NEW, UPDATED_OLD or UPDATED_NEW"),
    {"update-expression", 1, "TEXT", "what to change, such as \"SET n = n + :one\""},
    {NULL, 0, NULL, NULL}};

static int update_item(struct attach *attach, const struct args *args, struct larder_action *action) {
    struct key key;
    const struct larder_item *item;
    int code = json_text_item(attach->builder, args->positional[1], "key", &item);
    if (code == EXIT_DONE)
        code = key_from_item(attach->def, item, &key);
    if (code != EXIT_DONE)
        return code;
    action->key = key.key;
    return write_one(attach, args, UPDATE_UPDATE, action);
}

static int update_run(const struct args *args) {
    struct larder_action action = {.kind = LARDER_ACTION_UPDATE};
    struct attach attach = {0};
    int code = write_one_returns(args, &action);
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

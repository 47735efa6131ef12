/* cli/cmd_item.c - larder put, get and delete: one item.
 *
 * Tests    tests/cli/cli_test.sh
 */
#include <stdio.h>

#include "cli/attach.h"
#include "cli/commands.h"
#include "cli/json_text.h"
#include "cli/key.h"
#include "cli/report.h"
#include "cli/sink.h"
#include "cli/write_one.h"

static const struct args_option item_options[] = {ARGS_COMMON, {NULL, 0, NULL, NULL}};

static const struct args_option write_options[] = {ARGS_COMMON, WRITE_OPTIONS("ALL_OLD"), {NULL, 0, NULL, NULL}};

/* Attaches, makes a builder, and calls `run`. */
static int item_with_builder(const struct args *args, uint32_t flags,
                             int (*run)(struct attach *attach, const struct args *args)) {
    struct attach attach = {0};
    int code = attach_table(args, flags, args->positional[0], &attach);
    if (code == EXIT_DONE)
        code = attach_builder(&attach);
    if (code == EXIT_DONE)
        code = run(&attach, args);
    attach_close(&attach);
    return code;
}

static int item_put(struct attach *attach, const struct args *args) {
    struct larder_action put = {.kind = LARDER_ACTION_PUT};
    int code = write_one_returns(args, &put);
    if (code == EXIT_DONE)
        code = json_text_item(attach->builder, args->positional[1], "item", &put.item);
    return code == EXIT_DONE ? write_one(attach, args, 0, &put) : code;
}

static int item_get(struct attach *attach, const struct args *args) {
    const struct larder_item *item;
    struct larder_page *page;
    struct key key;
    int code = json_text_item(attach->builder, args->positional[1], "key", &item);
    if (code == EXIT_DONE)
        code = key_from_item(attach->def, item, &key);
    if (code != EXIT_DONE)
        return code;
    int result = larder_page_new(attach->db, &page);
    if (result < 0)
        return report_result(result, NULL);
    result = larder_get(attach->table, &key.key, page);
    if (result == LARDER_OK)
        code = sink_one(larder_page_item(page, 0));
    else if (result == LARDER_NOT_FOUND)
        code = report_error(EXIT_NOT_FOUND, "no such item");
    else
        code = report_result(result, NULL);
    larder_page_free(page);
    return code;
}

static int item_delete(struct attach *attach, const struct args *args) {
    const struct larder_item *item;
    struct larder_action delete = {.kind = LARDER_ACTION_DELETE};
    struct key key;
    int code = write_one_returns(args, &delete);
    if (code == EXIT_DONE)
        code = json_text_item(attach->builder, args->positional[1], "key", &item);
    if (code == EXIT_DONE)
        code = key_from_item(attach->def, item, &key);
    if (code != EXIT_DONE)
        return code;
    delete.key = key.key;
    return write_one(attach, args, 0, &delete);
}

static int item_run_put(const struct args *args) {
    return item_with_builder(args, 0, item_put);
}

static int item_run_get(const struct args *args) {
    return item_with_builder(args, LARDER_READ_ONLY, item_get);
}

static int item_run_delete(const struct args *args) {
    return item_with_builder(args, 0, item_delete);
}

const struct command cmd_put = {
    .name = "put",
    .operands = "TABLE ITEM-JSON",
    .summary = "store an item",
    .details = "Stores an item, replacing the one with the same key. ITEM-JSON is DynamoDB JSON, bare or inside\n"
               "{\"Item\": ...}; - reads it from standard input. For example:\n"
               "  larder put Shops '{\"PK\": {\"S\": \"SHOP#1\"}, \"SK\": {\"S\": \"METADATA\"}, \"visits\": {\"N\": "
               "\"17\"}}'\n"
               "Exit code 9 if the condition is not true; nothing has changed then.\n",
    .options = write_options,
    .positional_min = 2,
    .positional_max = 2,
    .run = item_run_put,
};

const struct command cmd_get = {
    .name = "get",
    .operands = "TABLE KEY-JSON",
    .summary = "print an item",
    .details = "Prints the item with this key as DynamoDB JSON. KEY-JSON holds the table's key attributes and nothing\n"
               "else; - reads it from standard input. Exit code 1 if there is no such item.\n",
    .options = item_options,
    .positional_min = 2,
    .positional_max = 2,
    .run = item_run_get,
};

const struct command cmd_delete = {
    .name = "delete",
    .operands = "TABLE KEY-JSON",
    .summary = "delete an item",
    .details =
        "Deletes the item with this key. KEY-JSON holds the table's key attributes and nothing else; - reads it\n"
        "from standard input. Exit code 1 if there was no such item; 9 if the condition is not true.\n",
    .options = write_options,
    .positional_min = 2,
    .positional_max = 2,
    .run = item_run_delete,
};

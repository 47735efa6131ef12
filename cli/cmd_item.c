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

static const struct args_option item_options[] = {ARGS_COMMON, {NULL, 0, NULL, NULL}};

static int item_put(struct attach *attach, const char *text) {
    const struct larder_item *item;
    int code = json_text_item(attach->builder, text, "item", &item);
    if (code != EXIT_DONE)
        return code;
    int result = larder_put(attach->table, item, NULL);
    return result < 0 ? report_result(result, NULL) : EXIT_DONE;
}

/* Attaches, makes a builder, and calls `run`. */
static int item_with_builder(const struct args *args, uint32_t flags,
                             int (*run)(struct attach *attach, const char *text)) {
    struct attach attach = {0};
    int code = attach_table(args, flags, args->positional[0], &attach);
    if (code == EXIT_DONE)
        code = attach_builder(&attach);
    if (code == EXIT_DONE)
        code = run(&attach, args->positional[1]);
    attach_close(&attach);
    return code;
}

static int item_print(const struct larder_item *item) {
    struct sink sink;
    sink_open_stdout(&sink);
    int code = sink_item(&sink, item, 0);
    if (code == EXIT_DONE)
        code = sink_commit(&sink);
    sink_close(&sink);
    return code;
}

static int item_get(struct attach *attach, const char *text) {
    const struct larder_item *item;
    struct larder_page *page;
    struct key key;
    int code = json_text_item(attach->builder, text, "key", &item);
    if (code == EXIT_DONE)
        code = key_from_item(attach->def, item, &key);
    if (code != EXIT_DONE)
        return code;
    int result = larder_page_new(attach->db, &page);
    if (result < 0)
        return report_result(result, NULL);
    result = larder_get(attach->table, &key.key, page);
    if (result == LARDER_OK)
        code = item_print(larder_page_item(page, 0));
    else if (result == LARDER_NOT_FOUND)
        code = report_error(EXIT_NOT_FOUND, "no such item");
    else
        code = report_result(result, NULL);
    larder_page_free(page);
    return code;
}

static int item_delete(struct attach *attach, const char *text) {
    const struct larder_item *item;
    struct key key;
    int code = json_text_item(attach->builder, text, "key", &item);
    if (code == EXIT_DONE)
        code = key_from_item(attach->def, item, &key);
    if (code != EXIT_DONE)
        return code;
    int result = larder_delete(attach->table, &key.key, NULL);
    if (result == LARDER_NOT_FOUND)
        return report_error(EXIT_NOT_FOUND, "no such item");
    return result < 0 ? report_result(result, NULL) : EXIT_DONE;
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
               "\"17\"}}'\n",
    .options = item_options,
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
        "from standard input. Exit code 1 if there was no such item.\n",
    .options = item_options,
    .positional_min = 2,
    .positional_max = 2,
    .run = item_run_delete,
};

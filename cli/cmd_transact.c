/* cli/cmd_transact.c - larder transact: actions of a file, all or none.
 *
 * Job      The file has what `aws dynamodb transact-write-items` calls --transact-items: an array
 *          of objects with one of Put, Update, Delete and ConditionCheck; or a whole request, with
 *          the array as TransactItems. Each action has an item or key, names, values and
 *          expressions of its own, which live until the transaction is done.
 * Rules    A member that is not known is an error: nothing of a request is dropped in silence.
 * Tests    tests/cli/transact_test.sh
 */
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/expressions.h"
#include "cli/json_item.h"
#include "cli/json_text.h"
#include "cli/key.h"
#include "cli/report.h"
#include "cli/sink.h"

enum { TRANSACT_TOKEN = ARGS_OWN };

static const struct args_option transact_options[] = {
    ARGS_COMMON,
    {"client-request-token", 1, "TEXT", "sent again within ten minutes, it is done once"},
    {NULL, 0, NULL, NULL}};

/* What one action points to. */
struct part {
    const char *verb, *table;
    struct larder_builder *builder; /* of the item or key */
    struct key key;
    struct expressions expressions;
};

struct transact {
    struct attach attach;
    struct place place; /* in the file */
    json_t *json;       /* of the file */
    const char *token;  /* NULL: none */
    uint32_t count;
    struct larder_action action[LARDER_TRANSACT_ACTIONS_MAX];
    struct part part[LARDER_TRANSACT_ACTIONS_MAX];
    int result[LARDER_TRANSACT_ACTIONS_MAX];
};

static int refuse(struct transact *t, const char *text) {
    place_fail(&t->place, "%s", text);
    return report_error(EXIT_INPUT, "%s", t->place.problem);
}

/* ---- One action ------------------------------------------------------------------------------ */

struct verb {
    const char *name;
    enum larder_action_kind kind;
    const char *members[9]; /* that it may have, NULL at the end; the first is the item or key */
};
#define OF_ALL                                                                                                         \
    "TableName", "ConditionExpression", "ExpressionAttributeNames", "ExpressionAttributeValues",                       \
        "ReturnValuesOnConditionCheckFailure"
static const struct verb verbs[] = {
    {"Put", LARDER_ACTION_PUT, {"Item", OF_ALL, NULL}},
    {"Update", LARDER_ACTION_UPDATE, {"Key", "UpdateExpression", OF_ALL, NULL}},
    {"Delete", LARDER_ACTION_DELETE, {"Key", OF_ALL, NULL}},
    {"ConditionCheck", LARDER_ACTION_CHECK, {"Key", OF_ALL, NULL}},
};

static const struct verb *verb_of(const json_t *json) {
    for (size_t i = 0; json_object_size(json) == 1 && i < sizeof verbs / sizeof *verbs; i++)
        if (json_object_get(json, verbs[i].name))
            return &verbs[i];
    return NULL;
}

static int check_members(struct transact *t, const char *const *known, json_t *body) {
    const char *name;
    json_t *value;
    if (!json_is_object(body))
        return refuse(t, "an object is needed");
    json_object_foreach(body, name, value) {
        int i = 0;
        while (known[i] && strcmp(known[i], name) != 0)
            i++;
        size_t mark = place_enter_name(&t->place, name);
        if (!known[i])
            return refuse(t, "no member of this name is known here");
        place_leave(&t->place, mark);
    }
    return EXIT_DONE;
}

/* A member that is text. *text is NULL if it is missing and need not be there. */
static int text_of(struct transact *t, const json_t *body, const char *name, int is_needed, const char **text) {
    const json_t *member = json_object_get(body, name);
    *text = json_string_value(member);
    if (*text || (!member && !is_needed))
        return EXIT_DONE;
    size_t mark = place_enter_name(&t->place, name);
    int code = refuse(t, member ? "a string is needed" : "is missing");
    place_leave(&t->place, mark);
    return code;
}

/* The item of a Put, or the key of the others. */
static int take_item(struct transact *t, struct part *part, const char *name, const json_t *json,
                     struct larder_action *action) {
    const struct larder_item *item;
    const struct larder_table_def *def;
    size_t mark = place_enter_name(&t->place, name);
    if (!json)
        return refuse(t, "is missing");
    int result = larder_builder_new(t->attach.db, &part->builder);
    if (result >= 0)
        result = larder_table_describe(action->table, &def);
    if (result < 0)
        return report_result(result, part->table);
    result = json_item_build(part->builder, json, &item, &t->place);
    if (result < 0)
        return report_error(report_exit_of(result), "%s", t->place.problem);
    place_leave(&t->place, mark);
    if (action->kind == LARDER_ACTION_PUT) {
        action->item = item;
        return EXIT_DONE;
    }
    int code = key_from_item(def, item, &part->key);
    action->key = part->key.key;
    return code;
}

static int take_expressions(struct transact *t, struct part *part, json_t *body, struct larder_action *action) {
    const char *condition, *update;
    struct expressions *e = &part->expressions;
    int code = text_of(t, body, "ConditionExpression", action->kind == LARDER_ACTION_CHECK, &condition);
    if (code == EXIT_DONE)
        code = text_of(t, body, "UpdateExpression", action->kind == LARDER_ACTION_UPDATE, &update);
    if (code == EXIT_DONE)
        code = expressions_open_json(e, t->attach.db, json_object_get(body, "ExpressionAttributeNames"),
                                     json_object_get(body, "ExpressionAttributeValues"), &t->place);
    if (code == EXIT_DONE && condition)
        code = expressions_prepare_text(e, t->attach.db, condition, LARDER_EXPR_CONDITION, &action->condition);
    if (code == EXIT_DONE && update)
        code = expressions_prepare_text(e, t->attach.db, update, LARDER_EXPR_UPDATE, &action->update);
    action->values = e->values;
    return code;
}

static int take_returns(struct transact *t, const json_t *body, struct larder_action *action) {
    const char *returns;
    int code = text_of(t, body, "ReturnValuesOnConditionCheckFailure", 0, &returns);
    if (code != EXIT_DONE || !returns || strcmp(returns, "NONE") == 0)
        return code;
    action->returns_on_refusal = 1;
    return strcmp(returns, "ALL_OLD") == 0
               ? EXIT_DONE
               : refuse(t, "ReturnValuesOnConditionCheckFailure: NONE and ALL_OLD are allowed");
}

static int take_body(struct transact *t, const struct verb *verb, json_t *body) {
    struct part *part = &t->part[t->count];
    struct larder_action *action = &t->action[t->count];
    t->count++; /* what it holds is freed from now on */
    part->verb = verb->name;
    action->kind = verb->kind;
    int code = check_members(t, verb->members, body);
    if (code == EXIT_DONE)
        code = text_of(t, body, "TableName", 1, &part->table);
    if (code != EXIT_DONE)
        return code;
    int result = larder_table_open(t->attach.db, part->table, &action->table);
    if (result < 0)
        return report_result(result, part->table);
    code = take_item(t, part, verb->members[0], json_object_get(body, verb->members[0]), action);
    if (code == EXIT_DONE)
        code = take_expressions(t, part, body, action);
    return code == EXIT_DONE ? take_returns(t, body, action) : code;
}

static int take_action(struct transact *t, json_t *json) {
    const struct verb *verb = verb_of(json);
    if (!verb)
        return refuse(t, "an object with one of Put, Update, Delete and ConditionCheck is needed");
    size_t mark = place_enter_name(&t->place, verb->name);
    int code = take_body(t, verb, json_object_get(json, verb->name));
    place_leave(&t->place, mark);
    return code;
}

/* ---- The transaction ------------------------------------------------------------------------- */

/* A member that says what a response of the service has besides. There is none here. */
static int check_choice(struct transact *t, const char *name, const char *const *allowed, const char *needed) {
    const char *text;
    int code = text_of(t, t->json, name, 0, &text);
    while (code == EXIT_DONE && text && *allowed && strcmp(*allowed, text) != 0)
        allowed++;
    if (code != EXIT_DONE || !text || *allowed)
        return code;
    size_t mark = place_enter_name(&t->place, name);
    code = refuse(t, needed);
    place_leave(&t->place, mark);
    return code;
}

static int check_choices(struct transact *t) {
    static const char *const capacity[] = {"INDEXES", "TOTAL", "NONE", NULL}, *const metrics[] = {"SIZE", "NONE", NULL};
    int code = check_choice(t, "ReturnConsumedCapacity", capacity, "INDEXES, TOTAL or NONE is needed");
    return code == EXIT_DONE ? check_choice(t, "ReturnItemCollectionMetrics", metrics, "SIZE or NONE is needed") : code;
}

/* The array of actions. The members of a whole request are looked at, too. */
static int find_actions(struct transact *t, json_t **actions) {
    static const char *const members[] = {"TransactItems", "ClientRequestToken", "ReturnConsumedCapacity",
                                          "ReturnItemCollectionMetrics", NULL};
    *actions = t->json;
    if (json_is_object(t->json)) {
        *actions = json_object_get(t->json, "TransactItems");
        int code = check_members(t, members, t->json);
        if (code == EXIT_DONE)
            code = text_of(t, t->json, "ClientRequestToken", 0, &t->token);
        if (code == EXIT_DONE)
            code = check_choices(t);
        if (code != EXIT_DONE)
            return code;
    }
    if (json_array_size(*actions) == 0 || json_array_size(*actions) > LARDER_TRANSACT_ACTIONS_MAX)
        return refuse(t, "an array of 1 to 100 actions is needed, or an object with that as TransactItems");
    return EXIT_DONE;
}

static int take_actions(struct transact *t) {
    json_t *actions, *action;
    size_t i;
    int code = find_actions(t, &actions);
    if (code != EXIT_DONE)
        return code;
    json_array_foreach(actions, i, action) {
        size_t mark = place_enter_index(&t->place, i);
        code = take_action(t, action);
        if (code != EXIT_DONE)
            return code;
        place_leave(&t->place, mark);
    }
    return EXIT_DONE;
}

/* Says which actions were the reason, and prints the items that they asked for. */
static int tell_reasons(const struct transact *t, const struct larder_page *page) {
    int code = EXIT_DONE;
    for (uint32_t i = 0; i < t->count; i++) {
        const struct larder_item *item = i < larder_page_count(page) ? larder_page_item(page, i) : NULL;
        if (t->result[i] == LARDER_REFUSED)
            report_note("[%u].%s: table \"%s\": the condition is not true", i, t->part[i].verb, t->part[i].table);
        else if (t->result[i] < 0)
            report_note("[%u].%s: table \"%s\": %s", i, t->part[i].verb, t->part[i].table, larder_error());
        if (item && code == EXIT_DONE)
            code = sink_one(item);
    }
    return code == EXIT_DONE ? report_error(EXIT_REFUSED, "nothing was changed") : code;
}

static int do_all(struct transact *t) {
    struct larder_transaction transaction = {.actions = t->action, .count = t->count, .token = t->token};
    struct larder_page *page;
    int result = larder_page_new(t->attach.db, &page);
    if (result < 0)
        return report_result(result, NULL);
    result = larder_transact(t->attach.db, &transaction, t->result, page);
    int code = result == LARDER_REFUSED ? tell_reasons(t, page) : result < 0 ? report_result(result, NULL) : EXIT_DONE;
    larder_page_free(page);
    return code;
}

static void close_all(struct transact *t) {
    for (uint32_t i = 0; i < t->count; i++) {
        expressions_close(&t->part[i].expressions);
        larder_builder_free(t->part[i].builder);
    }
    json_decref(t->json);
    attach_close(&t->attach);
    free(t);
}

static int transact_run(const struct args *args) {
    struct transact *t = calloc(1, sizeof *t);
    if (t == NULL)
        return report_error(EXIT_OTHER, "out of memory");
    int code = json_text_file_items(args->positional[0], &t->place, &t->json);
    if (code == EXIT_DONE)
        code = attach_open(args, 0, &t->attach);
    if (code == EXIT_DONE)
        code = take_actions(t);
    if (args->option[TRANSACT_TOKEN].is_given)
        t->token = args->option[TRANSACT_TOKEN].value[0];
    if (code == EXIT_DONE)
        code = do_all(t);
    close_all(t);
    return code;
}

const struct command cmd_transact = {
    .name = "transact",
    .operands = "FILE",
    .summary = "puts, updates, deletes and conditions on many items, all or none",
    .details =
        "Does all actions of a file, or none if a condition is not true. The file (- is standard input) has what\n"
        "`aws dynamodb transact-write-items` takes: an array of up to 100 actions, or an object with that as\n"
        "TransactItems. For example, a job that starts only if its shop is there:\n"
        "  [{\"ConditionCheck\": {\"TableName\": \"Shops\", \"Key\": {\"PK\": {\"S\": \"SHOP#1\"}, \"SK\": {\"S\": "
        "\"METADATA\"}},\n"
        "     \"ConditionExpression\": \"attribute_exists(PK)\"}},\n"
        "   {\"Put\": {\"TableName\": \"Shops\", \"Item\": {\"PK\": {\"S\": \"SHOP#1\"}, \"SK\": {\"S\": "
        "\"JOB#7\"}}}}]\n"
        "Exit code 9 if a condition is not true; nothing has changed then, and standard error has the actions\n"
        "that were refused.\n",
    .options = transact_options,
    .positional_min = 1,
    .positional_max = 1,
    .run = transact_run,
};

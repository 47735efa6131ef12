/* dynamodb/transact.h - TransactWriteItems and TransactGetItems: many items of several tables, all
 * or none.
 *
 * Idea     The request is read into a list of actions. Each action becomes a request of one item
 *          (struct request), is checked as such, and keeps its expressions, table and key. Then all
 *          of them are one call of the engine.
 * Order    constraints -> each action without its table, in the order of the request -> tables ->
 *          keys and items against them -> two actions on one item -> the transaction.
 * Reasons  What is wrong with an action and its table's schema cancels the transaction, with a
 *          reason for each action (TransactionCanceledException). What is wrong with the request
 *          alone is a ValidationException.
 * Files    transact_request.c reads, transact_check.c checks, transact_write.c, transact_get.c.
 * Sources  API reference of both; the dynamodb-conformance suite ("exact error messages",
 *          "validation ordering", captured in eu-west-2 in June and October 2026).
 * Tests    tests/dynamodb/dynamodb_transact_test.c
 */
#ifndef LARDER_DYNAMODB_TRANSACT_H
#define LARDER_DYNAMODB_TRANSACT_H

#include "dynamodb/images.h"
#include "dynamodb/request.h"

enum transact_kind { TRANSACT_CHECK, TRANSACT_PUT, TRANSACT_DELETE, TRANSACT_UPDATE, TRANSACT_GET };

struct prepared;

/* Of one request. NULL: it has none. */
struct expressions {
    const struct prepared *update, *condition, *key_condition, *filter, *projection;
};

struct transact_action {
    enum transact_kind kind;
    uint32_t kind_count; /* of the kinds that were given: one is allowed */
    struct text table_name, update, condition, projection, on_failure;
    int has_item, has_values, has_names; /* Item or Key; the placeholders' values; their names */
    const struct larder_item *item;      /* NULL: it has a problem */
    const struct larder_item *values;    /* NULL: they have a problem */
    size_t item_image, values_image;     /* where they lie in `images` */
    uint32_t value_count;                /* that were given */
    struct text bad_placeholder;         /* at NULL: all are good */
    uint32_t first_name, name_count;     /* of `names` */
    struct expressions expressions;      /* when it was checked, as what follows */
    struct larder_table *table;
    const struct larder_table_def *def;
    struct larder_key key;
    struct larder_item *old; /* a copy; NULL: there is none, or it is not needed */
    char *reason;            /* why it cannot be done; NULL: it can */
};

struct transact {
    int is_write, has_actions, may_have_duplicates;
    struct text return_capacity, return_metrics, token;
    struct transact_action *actions;
    uint32_t count, capacity;
    struct expr_name *names;
    uint32_t name_count, name_capacity;
    struct images images;
    /* the first action with a value that is not allowed, and what is said of it */
    uint32_t problem_action;
    int has_problem, is_problem_of_values;
    char problem[VALUES_MESSAGE_BYTES];
    struct failure_reason reasons[LARDER_TRANSACT_ACTIONS_MAX];
};

/* Zero it before the first. `scratch`: its maps are used to read keys, items and values.
 * LARDER_OK; LARDER_E_INVAL, LARDER_E_NO_MEMORY with wire->failure set. */
int transact_read(struct transact *t, int is_write, struct request *scratch, struct wire *wire);
void transact_free(struct transact *t);

struct larder_dynamodb;

/* Everything up to the transaction. LARDER_OK, or LARDER_E_INVAL with the failure set. */
int transact_check(struct larder_dynamodb *d);
/* Makes d->request the request of one item for this action. */
void transact_set_request(struct larder_dynamodb *d, const struct transact_action *a);
/* Of an action that cannot be done. LARDER_OK, LARDER_E_INVAL with the failure set. */
int transact_set_reason(struct larder_dynamodb *d, struct transact_action *a, const char *message);
/* TransactionCanceledException with t->reasons: LARDER_E_INVAL with the failure set. */
int transact_cancel(struct larder_dynamodb *d);
/* "ConsumedCapacity": [..], a sum for each table, if it is asked for: capacity[i] is action i's. */
void transact_write_capacity(struct larder_dynamodb *d, struct capacity *capacity, struct document_writer *w);

#endif

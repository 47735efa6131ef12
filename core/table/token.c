/* core/table/token.c - client tokens of transactions. See token.h. */
#include "core/table/token.h"

#include <string.h>

#include "core/base/err.h"
#include "core/table/db.h"
#define XXH_INLINE_ALL
#include <xxhash.h>

/* ---- Contents -------------------------------------------------------------------------------- */

/* A sum over the contents of a transaction, piece after piece. Begins with 0. The same bytes in
 * other pieces give another sum. */
struct token_sum {
    uint64_t word[2];
};

static void token_add(struct token_sum *sum, const void *bytes, size_t count) {
    XXH128_hash_t piece = XXH3_128bits(bytes, count);
    uint64_t both[4] = {sum->word[0], sum->word[1], piece.low64, piece.high64};
    XXH128_hash_t made = XXH3_128bits(both, sizeof both);
    sum->word[0] = made.low64;
    sum->word[1] = made.high64;
}

static void add_number(struct token_sum *sum, uint64_t number) {
    token_add(sum, &number, sizeof number);
}

static void add_value(struct token_sum *sum, const struct larder_value *value) {
    add_number(sum, value->type);
    add_number(sum, value->type == LARDER_BOOL && value->is_true);
    token_add(sum, value->data, value->data ? value->bytes : 0);
}

/* Attribute by attribute: their order, versions and places in indexes are no contents. */
static void add_item(struct token_sum *sum, const struct larder_item *item) {
    struct larder_iter it;
    struct larder_member member;
    larder_iter_item(item, &it);
    while (larder_iter_next(&it, &member) == LARDER_OK) {
        token_add(sum, member.name, member.name_bytes);
        add_value(sum, &member.value);
    }
    add_number(sum, larder_item_count(item));
}

static void add_expression(struct token_sum *sum, const struct larder_expr *expr) {
    struct token_sum own = {{0, 0}};
    if (expr)
        token_add(&own, expr->key, expr->key_bytes);
    token_add(sum, &own, sizeof own);
}

static void add_action(struct token_sum *sum, const struct larder_action *a) {
    add_number(sum, a->kind);
    add_number(sum, a->returns_on_refusal != 0);
    token_add(sum, a->table->name, strlen(a->table->name));
    add_value(sum, &a->key.partition);
    add_value(sum, &a->key.sort);
    add_item(sum, a->item);
    add_expression(sum, a->condition);
    add_expression(sum, a->update);
    add_item(sum, a->values);
}

/* ---- The item -------------------------------------------------------------------------------- */

static int decide(struct writer *w, struct write *c) {
    const struct larder_action *a = ((const struct act *)c)->action;
    struct larder_value mine, stored;
    int r = write_copy_old(w, c);
    if (r || !c->was_there)
        return r ? r : WRITE_STORE;
    if (larder_item_get(a->item, "sum", &mine) ||
        larder_item_get((const struct larder_item *)w->before, "sum", &stored))
        return err_set(LARDER_E_CORRUPT, "the table \"%s\" has an item that is no token", TOKEN_TABLE);
    if (mine.bytes == stored.bytes && memcmp(mine.data, stored.data, mine.bytes) == 0)
        return TOKEN_IS_DONE;
    return err_set(LARDER_E_INVAL,
                   "larder_transact: the token was used for a transaction with other contents, less than "
                   "ten minutes ago (IdempotentParameterMismatch)");
}

static int open_table(struct larder *db, struct larder_table **table) {
    static const struct larder_table_def def = {
        .name = TOKEN_TABLE, .partition = {"token", LARDER_S}, .ttl_attribute = "expires"};
    int r = larder_table_open(db, TOKEN_TABLE, table);
    if (r != LARDER_E_NO_TABLE)
        return r;
    r = larder_table_create(db, &def);
    return r == LARDER_OK || r == LARDER_E_EXISTS ? larder_table_open(db, TOKEN_TABLE, table) : r;
}

static int build(struct token *token, struct larder *db, const char *text, const struct token_sum *sum) {
    int r = larder_builder_new(db, &token->builder);
    if (r)
        return r;
    larder_builder_add_s(token->builder, "token", text);
    larder_builder_add_b(token->builder, "sum", sum, sizeof *sum);
    larder_builder_add_int(token->builder, "expires", db_now(db) + TOKEN_SECONDS);
    return larder_builder_finish(token->builder, &token->action.item);
}

int token_begin(struct token *token, struct larder *db, const struct larder_transaction *transaction) {
    struct token_sum sum = {{0, 0}};
    size_t bytes = strnlen(transaction->token, LARDER_TOKEN_BYTES_MAX + 1);
    if (bytes < 1 || bytes > LARDER_TOKEN_BYTES_MAX)
        return err_set(LARDER_E_INVAL, "larder_transact: the token has %s; 1 to %u bytes are allowed",
                       bytes ? "too many bytes" : "0 bytes", LARDER_TOKEN_BYTES_MAX);
    for (uint32_t i = 0; i < transaction->count; i++)
        add_action(&sum, &transaction->actions[i]);
    int r = open_table(db, &token->action.table);
    if (r == LARDER_OK)
        r = build(token, db, transaction->token, &sum);
    token->action.kind = LARDER_ACTION_PUT;
    token->kind = *action_kind(&token->action);
    token->kind.decide = decide;
    return r;
}

void token_end(struct token *token) {
    larder_builder_free(token->builder);
}

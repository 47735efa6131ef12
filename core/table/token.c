/* core/table/token.c - client tokens of transactions. See token.h. */
#include "core/table/token.h"

#include <string.h>

#include "core/base/err.h"
#include "core/base/utf8.h"
#include "core/table/db.h"
#include "core/table/table_life.h"
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

/* ---- The table ------------------------------------------------------------------------------- */

static const struct larder_table_def table_def = {
    .name = TOKEN_TABLE, .partition = {"token", LARDER_S}, .ttl_attribute = "expires"};

int token_reserves(const char *name) {
    return strncmp(name, TOKEN_RESERVED, sizeof TOKEN_RESERVED - 1) == 0;
}

int token_check_name(const char *name) {
    if (strcmp(name, TOKEN_TABLE) != 0)
        return LARDER_OK;
    return err_set(LARDER_E_INVAL, "the table \"%s\" is the library's own; transactions use it for their tokens",
                   TOKEN_TABLE);
}

static int is_text(const char *text, const char *expected) {
    return text && strcmp(text, expected) == 0;
}

int token_table_is_sound(const struct table_view *v) {
    const struct larder_table_def *def = &v->def;
    return is_text(def->partition.name, table_def.partition.name) && def->partition.type == LARDER_S &&
           !def->sort.name && is_text(def->ttl_attribute, table_def.ttl_attribute) && v->shape.index_count == 0 &&
           def->eviction == LARDER_EVICTION_NONE;
}

static int open_table(struct larder *db, struct larder_table **table) {
    int r = table_open(db, TOKEN_TABLE, table);
    if (r != LARDER_E_NO_TABLE)
        return r;
    r = table_create(db, &table_def);
    return r == LARDER_OK || r == LARDER_E_EXISTS ? table_open(db, TOKEN_TABLE, table) : r;
}

static int prepare(struct writer *w, struct write *c) {
    if (!token_table_is_sound(c->view))
        return err_set(LARDER_E_INVAL,
                       "the table \"%s\" is not as this library makes it, a program changed it; drop it to use tokens",
                       TOKEN_TABLE);
    return action_kind(((const struct act *)c)->action)->prepare(w, c);
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
    if (utf8_valid_bytes(transaction->token, bytes) != bytes)
        return err_set(LARDER_E_INVAL, "larder_transact: the token is not UTF-8; text is allowed");
    for (uint32_t i = 0; i < transaction->count; i++)
        add_action(&sum, &transaction->actions[i]);
    int r = open_table(db, &token->action.table);
    if (r == LARDER_OK)
        r = build(token, db, transaction->token, &sum);
    token->action.kind = LARDER_ACTION_PUT;
    token->kind = *action_kind(&token->action);
    token->kind.prepare = prepare;
    token->kind.decide = decide;
    return r;
}

void token_end(struct token *token) {
    larder_builder_free(token->builder);
}

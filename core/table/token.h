/* core/table/token.h - client tokens: a transaction that is sent again is not done again.
 *
 * Job      DynamoDB's ClientRequestToken. Within ten minutes after a transaction with a token was
 *          done, one with the same token and contents has no effect and succeeds, in any process;
 *          one with other contents is refused.
 * Idea     A token is an item of the table TOKEN_TABLE: its text, the sum of the transaction's
 *          contents, an expiry. The put of this item is one more action of the transaction, so it
 *          is there if and only if the transaction was done, whatever died; and the timers give its
 *          memory back.
 * Tests    tests/crash/token_test.c
 */
#ifndef LARDER_TABLE_TOKEN_H
#define LARDER_TABLE_TOKEN_H

#include "core/table/action.h"

#define TOKEN_TABLE "larder.tokens" /* made when the first token is used; larder_table_list() leaves it out */
#define TOKEN_SECONDS 600

/* Whether the library keeps this name for its own tables. Programs create none of such a name. */
#define TOKEN_RESERVED "larder."
int token_reserves(const char *name);
/* For public calls that get a table by its name: LARDER_E_INVAL, if it is the tokens'. */
int token_check_name(const char *name);
/* Whether a table of that name is as the library makes it. Else an older library let a program make
 * or change it: tokens do not use it, and a program may drop it. */
int token_table_is_sound(const struct table_view *v);

/* Of a decision: the transaction with this token was done. */
#define TOKEN_IS_DONE 103

struct token {
    struct larder_builder *builder;
    struct larder_action action; /* the put of the token's item */
    struct write_kind kind;
};

/* Opens or makes the table, and makes the item. To be ended with token_end(), also after a failure;
 * begin with all zero. LARDER_OK; LARDER_E_INVAL; as larder_table_create(). */
int token_begin(struct token *token, struct larder *db, const struct larder_transaction *transaction);
void token_end(struct token *token);

#endif

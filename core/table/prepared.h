/* core/table/prepared.h - the expressions that a handle prepared last, by their text.
 *
 * Why      A program that prepares before each use (a request that comes as text) would compile the
 *          same few texts over and over. Compiling costs some ten to a hundred times a look here.
 * Idea     A table with a place for each of PREPARED_PLACES hashes; a newer expression takes the
 *          place of an older one. An expression counts its users, of which the table is one.
 * Rules    C1 An expression never changes (E1 of expr/expr.h), so any number may use it.
 *          C2 Long texts and large expressions are not kept: the memory is bounded.
 * Locks    mutex: the places, and users that come by way of them. Nothing is compiled, allocated or
 *          freed under it. A fork takes it first (core/table/db.c).
 * Tests    tests/api/prepare_test.c
 */
#ifndef LARDER_TABLE_PREPARED_H
#define LARDER_TABLE_PREPARED_H

#include <pthread.h>
#include <stdint.h>

#include "larder.h"

#define PREPARED_PLACES 64u
#define PREPARED_KEY_BYTES_MAX 1024u /* text, names and attributes */
#define PREPARED_BYTES_MAX 8192u     /* of a compiled form */

struct prepared {
    pthread_mutex_t mutex;
    struct larder_expr *places[PREPARED_PLACES];
};

/* What an expression is found by. */
struct prepared_key {
    enum larder_expr_kind kind;
    const char *text;
    const struct larder_expr_name *names; /* all have both texts */
    uint32_t name_count;
    size_t bytes; /* of a copy: prepared_key_bytes() */
    uint64_t hash;
};

/* Sets bytes and hash from the rest. */
void prepared_key_make(struct prepared_key *key);
/* Copies what the key points to to `to`, which has room for key->bytes. */
void prepared_key_copy(const struct prepared_key *key, uint8_t *to);
/* An expression with this key, with one more user; NULL: there is none. */
struct larder_expr *prepared_find(struct prepared *p, const struct prepared_key *key);
/* Keeps it, if C2 allows. */
void prepared_keep(struct prepared *p, const struct prepared_key *key, struct larder_expr *expr);

#endif

/* core/table/prepared.c - see prepared.h. */
#include "core/table/prepared.h"

#include <string.h>
#include <xxhash.h>

#include "core/table/expression.h"

void prepared_key_make(struct prepared_key *key) {
    size_t bytes = strlen(key->text) + 1;
    key->bytes = bytes;
    key->hash = XXH3_64bits_withSeed(key->text, bytes, key->kind);
    for (uint32_t i = 0; i < key->name_count; i++) {
        const char *texts[] = {key->names[i].placeholder, key->names[i].attribute};
        for (int k = 0; k < 2; k++) {
            bytes = strlen(texts[k]) + 1;
            key->bytes += bytes;
            key->hash = XXH3_64bits_withSeed(texts[k], bytes, key->hash);
        }
    }
}

void prepared_key_copy(const struct prepared_key *key, uint8_t *to) {
    to = mempcpy(to, key->text, strlen(key->text) + 1);
    for (uint32_t i = 0; i < key->name_count; i++) {
        to = mempcpy(to, key->names[i].placeholder, strlen(key->names[i].placeholder) + 1);
        to = mempcpy(to, key->names[i].attribute, strlen(key->names[i].attribute) + 1);
    }
}

/* The text at *at, up to its zero, is `text`; *at becomes its end. All texts together have equal
 * lengths, and each ends with a zero, so none is read beyond the copy. */
static int is_next(const uint8_t **at, const char *text) {
    int is_same = strcmp((const char *)*at, text) == 0;
    *at += strlen(text) + 1;
    return is_same;
}

static int is_of_key(const struct larder_expr *expr, const struct prepared_key *key) {
    const uint8_t *at = expr->key;
    if (expr->hash != key->hash || expr->kind != key->kind || expr->key_bytes != key->bytes || !is_next(&at, key->text))
        return 0;
    for (uint32_t i = 0; i < key->name_count; i++)
        if (!is_next(&at, key->names[i].placeholder) || !is_next(&at, key->names[i].attribute))
            return 0;
    return 1;
}

struct larder_expr *prepared_find(struct prepared *p, const struct prepared_key *key) {
    pthread_mutex_lock(&p->mutex);
    struct larder_expr *expr = p->places[key->hash % PREPARED_PLACES];
    if (expr && is_of_key(expr, key))
        atomic_fetch_add_explicit(&expr->users, 1, memory_order_relaxed);
    else
        expr = NULL;
    pthread_mutex_unlock(&p->mutex);
    return expr;
}

void prepared_keep(struct prepared *p, const struct prepared_key *key, struct larder_expr *expr) {
    if (key->bytes > PREPARED_KEY_BYTES_MAX || expr->compiled->bytes > PREPARED_BYTES_MAX)
        return;
    atomic_fetch_add_explicit(&expr->users, 1, memory_order_relaxed);
    struct larder_expr **place = &p->places[key->hash % PREPARED_PLACES];
    pthread_mutex_lock(&p->mutex);
    struct larder_expr *older = *place;
    *place = expr;
    pthread_mutex_unlock(&p->mutex);
    larder_expr_free(older);
}

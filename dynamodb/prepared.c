/* dynamodb/prepared.c - the expressions of a request. See prepared.h.
 *
 * Sources  Order: dynalite's suites ("validations" of each operation), which were run against the
 *          service.
 */
#include "dynamodb/prepared.h"

#include <stdlib.h>
#include <xxhash.h>

#include "core/base/priv.h"
#include "dynamodb/check.h"

/* Of this library's copy of expr/: own_names.h. */
extern const char *own_larder_error(void);

int prepared_fail(struct larder_dynamodb *d, int result) {
    if (result == LARDER_E_INVAL && d->request.older.given && strstr(own_larder_error(), "BETWEEN operator requires"))
        return failure_set(&d->failure, FAILURE_VALIDATION,
                           "The BETWEEN condition was provided a range where the lower bound is greater than the upper "
                           "bound");
    if (result == LARDER_E_INVAL)
        return failure_set(&d->failure, FAILURE_VALIDATION, "%s", own_larder_error());
    return failure_set(&d->failure, FAILURE_INTERNAL, "%s",
                       result == LARDER_E_NO_MEMORY ? "out of memory" : own_larder_error());
}

const struct larder_item *prepared_values(const struct larder_dynamodb *d) {
    const struct request *q = &d->request;
    return request_has(q, q->values_map) ? q->maps[q->values_map].item : d->no_values;
}

/* ---- Making one ------------------------------------------------------------------------------ */

static char *put(char *to, const void *from, size_t bytes) {
    memcpy(to, from, bytes);
    to[bytes] = 0;
    return to + bytes + 1;
}

/* Kind, text and names, each with a 0 behind it: the texts that larder_prepare() takes lie in it.
 * In memory of the context. NULL: out of memory. */
static const char *make_key(struct larder_dynamodb *d, enum larder_expr_kind kind, struct text text, size_t *bytes) {
    const struct request *q = &d->request;
    *bytes = 1 + text.bytes + 1;
    for (uint32_t i = 0; i < q->name_count; i++)
        *bytes += q->names[i].placeholder.len + q->names[i].name.len + 2;
    if (*bytes > d->key_room) {
        char *room = realloc(d->key, 2 * *bytes);
        if (!room)
            return NULL;
        d->key = room;
        d->key_room = 2 * *bytes;
    }
    char *to = d->key;
    *to++ = (char)kind;
    to = put(to, text.at, text.bytes);
    for (uint32_t i = 0; i < q->name_count; i++) {
        to = put(to, q->names[i].placeholder.at, q->names[i].placeholder.len);
        to = put(to, q->names[i].name.at, q->names[i].name.len);
    }
    return d->key;
}

static enum expr_kind own_kind(enum larder_expr_kind kind) {
    static const enum expr_kind kinds[] = {[LARDER_EXPR_CONDITION] = EXPR_CONDITION,
                                           [LARDER_EXPR_FILTER] = EXPR_FILTER,
                                           [LARDER_EXPR_UPDATE] = EXPR_UPDATE,
                                           [LARDER_EXPR_PROJECTION] = EXPR_PROJECTION,
                                           [LARDER_EXPR_KEY_CONDITION] = EXPR_KEY_CONDITION};
    return kinds[kind];
}

/* Compiles it for the service's first error, and notes which names it has. */
static int check(struct larder_dynamodb *d, struct prepared *p, enum larder_expr_kind kind, struct text text) {
    struct request *q = &d->request;
    uint8_t was_used[256];
    for (uint32_t i = 0; i < q->name_count; i++) {
        if (i < sizeof was_used)
            was_used[i] = (uint8_t)q->names[i].is_used;
        q->names[i].is_used = 0;
    }
    int r = expr_compile(d->priv, own_kind(kind), text.at, text.bytes, q->names, q->name_count, prepared_values(d),
                         &p->checked);
    for (uint32_t i = 0; i < q->name_count; i++) {
        p->used[i] = (uint8_t)q->names[i].is_used;
        q->names[i].is_used |= i < sizeof was_used ? was_used[i] : 1;
    }
    return r ? prepared_fail(d, r) : LARDER_OK;
}

/* The engine's own form of it. */
static int prepare(struct larder_dynamodb *d, struct prepared *p, enum larder_expr_kind kind, struct text text) {
    const struct request *q = &d->request;
    struct larder_expr_name *names = malloc((q->name_count + 1) * sizeof *names);
    char *at = p->key + 1 + text.bytes + 1;
    int r = names ? LARDER_OK : LARDER_E_NO_MEMORY;
    for (uint32_t i = 0; i < q->name_count && r == LARDER_OK; i++) {
        names[i].placeholder = at;
        at += q->names[i].placeholder.len + 1;
        names[i].attribute = at;
        at += q->names[i].name.len + 1;
        if (p->used[i] && memchr(names[i].attribute, 0, q->names[i].name.len))
            r = LARDER_NOT_FOUND;
    }
    if (r == LARDER_OK)
        r = larder_prepare(d->db, kind, p->key + 1, names, q->name_count, &p->engine);
    free(names);
    if (r == LARDER_NOT_FOUND)
        return failure_set(&d->failure, FAILURE_VALIDATION,
                           "ExpressionAttributeNames: an attribute name with a zero byte is not supported");
    return r ? context_fail(d, r) : LARDER_OK;
}

void prepared_free(struct larder_dynamodb *d, struct prepared *p) {
    if (!p)
        return;
    larder_expr_free(p->engine);
    if (p->checked)
        expr_free(d->priv, p->checked);
    free(p->key);
    free(p);
}

/* `key` is copied. */
static int make(struct larder_dynamodb *d, enum larder_expr_kind kind, struct text text, const char *key,
                size_t key_bytes, struct prepared **out) {
    struct prepared *p = calloc(1, sizeof *p + d->request.name_count);
    if (!p || !(p->key = malloc(key_bytes))) {
        free(p);
        return prepared_fail(d, LARDER_E_NO_MEMORY);
    }
    memcpy(p->key, key, key_bytes);
    p->key_bytes = key_bytes;
    int r = check(d, p, kind, text);
    if (r == LARDER_OK)
        r = prepare(d, p, kind, text);
    if (r)
        prepared_free(d, p);
    else
        *out = p;
    return r;
}

/* ---- Finding one ----------------------------------------------------------------------------- */

int prepared_bind(struct larder_dynamodb *d, const struct prepared *p) {
    if (p->checked->value_count > d->bound_capacity) {
        uint32_t capacity = p->checked->value_count + 16u;
        struct larder_value *bound = realloc(d->bound, capacity * sizeof *bound);
        if (!bound)
            return prepared_fail(d, LARDER_E_NO_MEMORY);
        d->bound = bound;
        d->bound_capacity = capacity;
    }
    int r = expr_bind(p->checked, prepared_values(d), d->bound);
    return r ? prepared_fail(d, r) : LARDER_OK;
}

static int take_known(struct larder_dynamodb *d, const struct prepared *p) {
    for (uint32_t i = 0; i < d->request.name_count; i++)
        d->request.names[i].is_used |= p->used[i];
    return prepared_bind(d, p);
}

static int take(struct larder_dynamodb *d, enum larder_expr_kind kind, enum request_string string,
                const struct prepared **out) {
    struct text text = d->request.strings[string];
    size_t key_bytes;
    *out = NULL;
    if (!text.at)
        return LARDER_OK;
    const char *key = make_key(d, kind, text, &key_bytes);
    if (!key)
        return prepared_fail(d, LARDER_E_NO_MEMORY);
    struct prepared **place = &d->prepared[XXH3_64bits(key, key_bytes) % KNOWN_EXPRESSIONS], *made = NULL;
    if (*place && (*place)->key_bytes == key_bytes && memcmp((*place)->key, key, key_bytes) == 0) {
        *out = *place;
        return take_known(d, *place);
    }
    int r = make(d, kind, text, key, key_bytes, &made);
    if (r || !made)
        return r;
    if (*place) { /* another expression of this request may have had it just now */
        (*place)->next = d->replaced;
        d->replaced = *place;
    }
    *out = *place = made;
    return LARDER_OK;
}

void prepared_free_replaced(struct larder_dynamodb *d) {
    while (d->replaced) {
        struct prepared *next = d->replaced->next;
        prepared_free(d, d->replaced);
        d->replaced = next;
    }
}

/* ---- All of a request ------------------------------------------------------------------------ */

static int check_names(struct larder_dynamodb *d) {
    const struct request *q = &d->request;
    if (q->has_names && !q->name_count)
        return failure_set(&d->failure, FAILURE_VALIDATION, "ExpressionAttributeNames must not be empty");
    /* Those of older parameters: nobody knows the placeholders that we gave them. */
    for (uint32_t i = 0; q->older.given && i < q->name_count; i++)
        if (!q->names[i].name.len || q->names[i].name.len > LARDER_ATTRIBUTE_NAME_MAX)
            return failure_set(
                &d->failure, FAILURE_VALIDATION, "One or more parameter values were invalid: Attribute name %s",
                q->names[i].name.len ? "is too large, must be less than 65536 bytes" : "must not be empty");
    int r = expr_check_placeholders(q->names, q->name_count, NULL);
    return r ? prepared_fail(d, r) : LARDER_OK;
}

static int check_values_of(struct larder_dynamodb *d) {
    const struct request *q = &d->request;
    const struct values *v = &q->maps[MAP_VALUES];
    if (q->values_map != MAP_VALUES || !request_has(q, MAP_VALUES))
        return LARDER_OK;
    if (!v->count)
        return failure_set(&d->failure, FAILURE_VALIDATION, "ExpressionAttributeValues must not be empty");
    if (v->bad_placeholder.at)
        return failure_set(&d->failure, FAILURE_VALIDATION,
                           "ExpressionAttributeValues contains invalid key: Syntax error; key: \"%.*s\"",
                           (int)v->bad_placeholder.bytes, v->bad_placeholder.at);
    if (v->problem)
        return check_values(q, MAP_VALUES, &d->failure);
    int r = expr_check_placeholders(NULL, 0, v->item);
    return r ? prepared_fail(d, r) : LARDER_OK;
}

static int check_unused(struct larder_dynamodb *d) {
    const struct request *q = &d->request;
    const struct expressions *e = &d->expressions;
    const struct prepared *all[] = {e->update, e->condition, e->key_condition, e->filter, e->projection};
    const struct expr *present[5];
    uint32_t count = 0;
    for (size_t i = 0; i < 5; i++)
        if (all[i])
            present[count++] = all[i]->checked;
    int r = expr_check_unused(present, count, q->names, q->name_count,
                              request_has(q, q->values_map) ? q->maps[q->values_map].item : NULL);
    return r ? prepared_fail(d, r) : LARDER_OK;
}

/* Nothing of the request belongs to expressions. */
static int has_none(const struct request *q) {
    return !q->has_names && !q->older.given && !request_has(q, MAP_VALUES) && !request_has(q, MAP_OLDER) &&
           !q->strings[STRING_UPDATE].at && !q->strings[STRING_CONDITION].at && !q->strings[STRING_KEY_CONDITION].at &&
           !q->strings[STRING_FILTER].at && !q->strings[STRING_PROJECTION].at;
}

int prepared_take_more(struct larder_dynamodb *d) {
    struct expressions *e = &d->expressions;
    *e = (struct expressions){.update = NULL};
    if (has_none(&d->request))
        return LARDER_OK;
    int r = older_write(&d->request);
    if (r)
        return prepared_fail(d, r);
    r = check_names(d);
    if (r || (r = check_values_of(d)))
        return r;
    if ((r = take(d, LARDER_EXPR_UPDATE, STRING_UPDATE, &e->update)) ||
        (r = take(d, LARDER_EXPR_CONDITION, STRING_CONDITION, &e->condition)) ||
        (r = take(d, LARDER_EXPR_KEY_CONDITION, STRING_KEY_CONDITION, &e->key_condition)) ||
        (r = take(d, LARDER_EXPR_FILTER, STRING_FILTER, &e->filter)) ||
        (r = take(d, LARDER_EXPR_PROJECTION, STRING_PROJECTION, &e->projection)))
        return r;
    return check_unused(d);
}

int prepared_take(struct larder_dynamodb *d) {
    prepared_free_replaced(d);
    return prepared_take_more(d);
}

/* ---- Projecting ------------------------------------------------------------------------------ */

int prepared_project(struct larder_dynamodb *d, const struct prepared *p, const struct larder_item *item,
                     const struct larder_item **out) {
    const struct item_head *head = item_head(item);
    if (!item_is_readable(head, head->bytes))
        return failure_set(&d->failure, FAILURE_INTERNAL, "the item is damaged");
    size_t bytes = expr_project_bytes_max(head);
    if (bytes > d->projected_bytes) {
        void *room = malloc(bytes);
        if (!room)
            return prepared_fail(d, LARDER_E_NO_MEMORY);
        free(d->projected);
        d->projected = room;
        d->projected_bytes = bytes;
    }
    expr_project(p->checked, head, d->projected);
    *out = d->projected;
    if (!larder_item_count(*out))
        *out = NULL;
    return LARDER_OK;
}

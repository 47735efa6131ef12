/* core/table/views.c - the views of definitions that a handle has. See views.h. */
#include "core/table/views.h"

#include "core/base/debug.h"
#include "core/table/db.h"
#include "core/table/schema.h"

struct epoch_use *views_visit(struct larder *db) {
    struct epoch_use *u = priv_alloc(db->priv, sizeof *u);
    if (u) {
        epoch_use_add(&db->views.epochs, u);
        epoch_enter(&db->views.epochs, u);
    }
    return u;
}

void views_depart(struct larder *db, struct epoch_use *u) {
    epoch_leave(u);
    epoch_use_remove(&db->views.epochs, u);
    priv_free(db->priv, u);
}

static void push(struct table_view **list, struct table_view *v) {
    v->older = *list;
    *list = v;
}

static void forget_in_tables(struct larder *db, const struct table_view *v) {
    for (struct larder_table *t = db->tables; t; t = t->next)
        if (atomic_load_explicit(&t->view, memory_order_relaxed) == v)
            atomic_store_explicit(&t->view, NULL, memory_order_relaxed);
}

static void free_unused(struct larder *db) {
    if (!db->views.retired)
        return;
    uint64_t oldest = epoch_oldest(&db->views.epochs);
    for (struct table_view **at = &db->views.retired, *v; (v = *at);) {
        if (v->retired_at > oldest) {
            at = &v->older;
            continue;
        }
        *at = v->older;
        priv_free(db->priv, v);
    }
}

void views_retire(struct larder *db, uint32_t ordinal) {
    struct views *s = &db->views;
    uint64_t next = epoch_next(&s->epochs);
    for (struct table_view **at = &s->current, *v; (v = *at);) {
        if (v->ordinal != ordinal || view_is_current(v)) {
            at = &v->older;
            continue;
        }
        *at = v->older;
        forget_in_tables(db, v);
        v->retired_at = next;
        push(v->holds ? &s->held : &s->retired, v);
    }
    epoch_raise(&s->epochs);
    free_unused(db);
}

struct table_view *views_hand_out(struct larder *db, struct table_view *v) {
    struct table_view *given = v;
    if (!v->holds)
        for (struct table_view *other = db->views.held; other; other = other->older)
            if (schema_is_same(other->source, v->source))
                given = other;
    given->holds++;
    atomic_store_explicit(&given->same_life, v->life, memory_order_relaxed);
    atomic_store_explicit(&given->same_schema_off, v->schema_off, memory_order_relaxed);
    return given;
}

void views_give_back(struct larder *db, struct table_view *v) {
    struct table_view **at = &db->views.held;
    DEBUG_ASSERT(v->holds > 0);
    if (--v->holds > 0)
        return;
    while (*at && *at != v)
        at = &(*at)->older;
    if (!*at)
        return; /* it is a current one */
    *at = v->older;
    push(&db->views.retired, v);
    free_unused(db);
}

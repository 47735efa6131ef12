/* core/table/views.c - which views of definitions are in use. See views.h. */
#include "core/table/views.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/table/db.h"
#include "core/table/schema.h"

void views_begin(struct views *s) {
    atomic_init(&s->epoch, 1);
    pthread_mutex_init(&s->uses_mutex, NULL);
}

void views_end(struct views *s) {
    pthread_mutex_destroy(&s->uses_mutex);
}

/* ---- Uses -------------------------------------------------------------------------------------------------------- */

void view_use_add(struct views *s, struct view_use *u) {
    pthread_mutex_lock(&s->uses_mutex);
    u->at = &s->uses;
    u->next = s->uses;
    if (u->next)
        u->next->at = &u->next;
    s->uses = u;
    pthread_mutex_unlock(&s->uses_mutex);
}

void view_use_remove(struct views *s, struct view_use *u) {
    pthread_mutex_lock(&s->uses_mutex);
    if (u->at) {
        *u->at = u->next;
        if (u->next)
            u->next->at = u->at;
        u->at = NULL;
    }
    pthread_mutex_unlock(&s->uses_mutex);
}

struct view_use *views_visit(struct larder *db) {
    struct view_use *u = priv_alloc(db->priv, sizeof *u);
    if (u) {
        view_use_add(&db->views, u);
        view_enter(&db->views, u);
    }
    return u;
}

void views_depart(struct larder *db, struct view_use *u) {
    view_leave(u);
    view_use_remove(&db->views, u);
    priv_free(db->priv, u);
}

/* The epoch of the oldest use that has begun. */
static uint64_t oldest_use(struct views *s) {
    uint64_t oldest = UINT64_MAX;
    pthread_mutex_lock(&s->uses_mutex);
    for (struct view_use *u = s->uses; u; u = u->next) {
        uint64_t since = atomic_load_explicit(&u->since, memory_order_acquire);
        if (since && since < oldest)
            oldest = since;
    }
    pthread_mutex_unlock(&s->uses_mutex);
    return oldest;
}

/* ---- Retiring ---------------------------------------------------------------------------------------------------- */

/* Rule V3: when it returns 1, each thread of this process has executed a full fence since it was
 * called. A process says once that it is going to ask for them; a forked child may have to say it
 * again. */
static int fence_everywhere(void) {
    if (syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0)
        return 1;
    return errno == EPERM && syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0 &&
           syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0;
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
    if (!db->views.retired || !fence_everywhere())
        return;
    uint64_t oldest = oldest_use(&db->views);
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
    uint64_t next = atomic_load_explicit(&s->epoch, memory_order_relaxed) + 1;
    for (struct table_view **at = &s->current, *v; (v = *at);) {
        if (v->ordinal != ordinal || view_is_current(v)) {
            at = &v->older;
            continue;
        }
        *at = v->older;
        forget_in_tables(db, v);
        v->retired_at = next;
        push(v->is_handed_out ? &s->handed_out : &s->retired, v);
    }
    atomic_store_explicit(&s->epoch, next, memory_order_release);
    free_unused(db);
}

struct table_view *views_hand_out(struct larder *db, struct table_view *v) {
    if (!v->is_handed_out)
        for (struct table_view *other = db->views.handed_out; other; other = other->older)
            if (schema_is_same(other->source, v->source))
                return other;
    v->is_handed_out = 1;
    return v;
}

/* ---- Forks ------------------------------------------------------------------------------------------------------- */

void views_fork_prepare(struct views *s) {
    pthread_mutex_lock(&s->uses_mutex);
}

void views_fork_parent(struct views *s) {
    pthread_mutex_unlock(&s->uses_mutex);
}

void views_fork_child(struct views *s) {
    for (struct view_use *u = s->uses; u; u = u->next)
        atomic_store_explicit(&u->since, 0, memory_order_relaxed);
    pthread_mutex_unlock(&s->uses_mutex);
}

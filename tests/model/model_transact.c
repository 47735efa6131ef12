/* tests/model/model_transact.c - conditional writes and transactions of the model.
 *
 * Method   Up to CHANGES_MAX rows, each with an action: a put, a delete, an update that adds to
 *          "version", a check. Most have a condition on whether the row is there. What each says,
 *          and what becomes of all, follows from the rows. One action is also a larder_write().
 */
#include <stdio.h>
#include <string.h>

#include "tests/model/model.h"

struct plan_action {
    int n;
    struct larder_action action;
    struct row after;
    struct larder_item *item; /* of a put: a copy */
    int wanted;               /* its result */
    char pk[TEXT_MAX], sk[TEXT_MAX];
};

void transact_prepare(struct run *r) {
    struct larder_builder *b;
    MUST(larder_prepare(r->db, LARDER_EXPR_CONDITION, "attribute_exists(pk)", NULL, 0, &r->exists) == LARDER_OK);
    MUST(larder_prepare(r->db, LARDER_EXPR_CONDITION, "attribute_not_exists(pk)", NULL, 0, &r->is_missing) ==
         LARDER_OK);
    MUST(larder_prepare(r->db, LARDER_EXPR_UPDATE, "ADD version :by", NULL, 0, &r->add) == LARDER_OK);
    MUST(larder_builder_new(r->db, &b) == LARDER_OK);
    larder_builder_add_int(b, ":by", 3);
    MUST(larder_builder_finish(b, &r->values) == LARDER_OK);
}

/* An update is of a number that is there: then the item is not put once more, so no key is looked
 * at. */
static enum larder_action_kind random_kind(struct run *r, int n) {
    enum larder_action_kind kind = LARDER_ACTION_PUT + (int)rng_below(&r->rng, 4);
    if (kind == LARDER_ACTION_UPDATE && !(is_visible(r, &r->m->row[n]) && r->m->row[n].value[COL_VERSION]))
        return LARDER_ACTION_PUT;
    return kind;
}

static void plan_one(struct run *r, struct plan_action *p, int n) {
    struct larder_action *a = &p->action;
    int was_visible = is_visible(r, &r->m->row[n]);
    *p = (struct plan_action){.n = n, .after = r->m->row[n]};
    a->kind = random_kind(r, n);
    a->table = r->t;
    a->returns_on_refusal = rng_is_one_in(&r->rng, 2);
    /* nearly always true, so that most transactions are done */
    if (a->kind == LARDER_ACTION_CHECK || rng_is_one_in(&r->rng, 2))
        a->condition = was_visible != rng_is_one_in(&r->rng, 20) ? r->exists : r->is_missing;
    p->wanted = LARDER_OK;
    if (a->kind == LARDER_ACTION_DELETE) {
        p->wanted = was_visible ? LARDER_OK : LARDER_NOT_FOUND;
        p->after = (struct row){0};
    } else if (a->kind == LARDER_ACTION_UPDATE) {
        a->update = r->add;
        a->values = r->values;
        p->after.value[COL_VERSION] += 3;
    } else if (a->kind == LARDER_ACTION_PUT) {
        do
            p->after = random_row(r);
        while (is_unfit_row(r, &p->after) && !rng_is_one_in(&r->rng, 3));
        MUST(larder_item_copy(r->db, build(r, n, &p->after), &p->item) == LARDER_OK);
        a->item = p->item;
    }
    if (a->condition && (a->condition == r->exists) != was_visible)
        p->wanted = LARDER_REFUSED;
    if (a->kind != LARDER_ACTION_PUT)
        a->key = row_key(r, n, p->pk, p->sk);
}

/* Different rows. */
static uint32_t plan_all(struct run *r, struct plan_action *p) {
    uint32_t count = 1 + (uint32_t)rng_below(&r->rng, rng_is_one_in(&r->rng, 3) ? CHANGES_MAX : 3);
    int first = (int)rng_below(&r->rng, ROWS), step = rng_is_one_in(&r->rng, 2) ? 1 : 5; /* has no divisor of ROWS */
    for (uint32_t i = 0; i < count; i++)
        plan_one(r, &p[i], (first + (int)i * step) % ROWS);
    return count;
}

/* A refused transaction has the items that were asked for in its page. */
static void judge_page(const struct run *r, const struct plan_action *p, uint32_t count, int result) {
    if (result != LARDER_REFUSED) {
        MUST(larder_page_count(r->page) == 0);
        return;
    }
    MUST(larder_page_count(r->page) == count);
    for (uint32_t i = 0; i < count; i++) {
        const struct larder_item *item = larder_page_item(r->page, i);
        const struct row *row = &r->m->row[p[i].n];
        int is_given = p[i].wanted == LARDER_REFUSED && p[i].action.returns_on_refusal && is_visible(r, row);
        MUST(is_given ? is_row(r, item, p[i].n, row) : item == NULL);
    }
}

static int run_all(struct run *r, const struct plan_action *p, uint32_t count, int *results) {
    struct larder_action actions[CHANGES_MAX];
    struct larder_transaction all = {.actions = actions, .count = count};
    for (uint32_t i = 0; i < count; i++)
        actions[i] = p[i].action;
    return larder_transact(r->db, &all, results, r->page);
}

/* The result of the whole: what is invalid by itself is found first. */
static int wanted_of(const struct run *r, const struct plan_action *p, uint32_t count) {
    int wanted = LARDER_OK;
    for (uint32_t i = 0; i < count; i++)
        if (p[i].wanted == LARDER_REFUSED)
            wanted = LARDER_REFUSED;
    for (uint32_t i = 0; i < count; i++)
        if (p[i].item && is_unfit_row(r, &p[i].after))
            wanted = LARDER_E_INVAL;
    return wanted;
}

static void begin(struct run *r, const struct plan_action *p, uint32_t count) {
    struct row after[CHANGES_MAX];
    int n[CHANGES_MAX];
    for (uint32_t i = 0; i < count; i++) {
        n[i] = p[i].n;
        after[i] = p[i].after;
    }
    begin_changes(r, n, after, count);
}

void do_transact(struct run *r) {
    struct plan_action p[CHANGES_MAX];
    int results[CHANGES_MAX];
    uint32_t count = plan_all(r, p);
    int wanted = wanted_of(r, p, count), is_single = count == 1 && rng_is_one_in(&r->rng, 2);
    begin(r, p, count);
    if (is_single) {
        int result = larder_write(&p[0].action, NULL);
        MUST(result == (wanted == LARDER_OK ? p[0].wanted : wanted));
    } else {
        MUST(run_all(r, p, count, results) == wanted);
        for (uint32_t i = 0; i < count && wanted >= 0; i++)
            MUST(results[i] == p[i].wanted);
        if (wanted >= 0)
            judge_page(r, p, count, wanted);
    }
    end_change(r, wanted == LARDER_OK);
    for (uint32_t i = 0; i < count; i++)
        larder_item_free(p[i].item);
}

void do_transact_get(struct run *r) {
    char pk[ROWS][TEXT_MAX], sk[ROWS][TEXT_MAX];
    struct larder_transact_key keys[ROWS] = {{0}};
    uint32_t count = 1 + (uint32_t)rng_below(&r->rng, ROWS);
    int first = (int)rng_below(&r->rng, ROWS);
    for (uint32_t i = 0; i < count; i++) {
        keys[i].table = r->t;
        keys[i].key = row_key(r, (first + (int)i) % ROWS, pk[i], sk[i]);
    }
    MUST(larder_transact_get(r->db, keys, count, r->page) == LARDER_OK && larder_page_count(r->page) == count);
    for (uint32_t i = 0; i < count; i++) {
        int n = (first + (int)i) % ROWS;
        const struct larder_item *item = larder_page_item(r->page, i);
        MUST(is_visible(r, &r->m->row[n]) ? is_row(r, item, n, &r->m->row[n]) : item == NULL);
    }
}

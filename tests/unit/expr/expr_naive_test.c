/* tests/unit/expr/expr_naive_test.c - random updates beside a naive implementation.
 *
 * Goal     expr_update() makes the item, or refuses, as an implementation does that knows nothing
 *          of images, of sorted paths or of one walk.
 * Method   Random items of a few names, a few levels deep, and random actions on paths into them.
 *          The naive one copies a tree, does one action after the other to the copy, marks removed
 *          elements and sorts appended ones at the end. Items are compared to the byte. Small
 *          integers only: num_add_test.c has the others.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "expr/update.h"
#include "tests/support/rng.h"
#include "tests/support/slow.h"
#include "tests/unit/expr/expr_kit.h"

TestSuite(expr_naive, .init = kit_set_up, .fini = kit_tear_down, .timeout = 60 * SLOW_FACTOR);

#define ROUNDS (6000u / SLOW_FACTOR)
#define MEMBERS_MAX 16
#define NODES_MAX 4000
#define TEXT_MAX 8000
#define STEPS_MAX 4
#define ACTIONS_MAX 6

/* ---- Trees ----------------------------------------------------------------------------------- */

/* A value. Sets have numbers only, as the one letter texts "a" + number if SS. */
struct node {
    enum larder_type type; /* N, S, M, L, NS, SS */
    int number;            /* N; S: its one letter; as the member of a set, too */
    int count;
    struct member {
        int name;          /* M: 0 .. 3; else -1 */
        int index;         /* of an appended element; else -1 */
        struct node *node; /* NULL: removed */
    } members[MEMBERS_MAX];
};

static struct node nodes[NODES_MAX];
static int node_count;
static struct rng r;

static struct node *new_node(enum larder_type type) {
    cr_assert_lt(node_count, NODES_MAX);
    struct node *n = &nodes[node_count++];
    *n = (struct node){.type = type};
    return n;
}

static void add_member(struct node *n, int name, int index, struct node *member) {
    cr_assert_lt(n->count, MEMBERS_MAX, "too many members");
    n->members[n->count++] = (struct member){name, index, member};
}

static int has_number(const struct node *set, int number) {
    for (int i = 0; i < set->count; i++)
        if (set->members[i].node->number == number)
            return 1;
    return 0;
}

static void add_number(struct node *set, int number) {
    struct node *n = new_node(set->type == LARDER_NS ? LARDER_N : LARDER_S);
    n->number = number;
    if (!has_number(set, number))
        add_member(set, -1, -1, n);
}

static struct node *copy(const struct node *from) {
    struct node *n = new_node(from->type);
    *n = *from;
    for (int i = 0; i < n->count; i++)
        n->members[i].node = copy(from->members[i].node);
    return n;
}

static struct node *find_name(const struct node *map, int name) {
    for (int i = 0; i < map->count; i++)
        if (map->members[i].name == name)
            return map->members[i].node;
    return NULL;
}

static struct node *random_node(int depth) {
    static const enum larder_type types[] = {LARDER_N, LARDER_S, LARDER_NS, LARDER_SS,
                                             LARDER_M, LARDER_L, LARDER_M,  LARDER_L};
    struct node *n = new_node(types[rng_below(&r, depth ? 8 : 4)]);
    int count = (int)rng_below(&r, 4);
    n->number = (int)rng_below(&r, 6);
    if (n->type == LARDER_NS || n->type == LARDER_SS)
        for (int i = 0; i <= count; i++)
            add_number(n, (int)rng_below(&r, 6));
    for (int i = 0; i < count && (n->type == LARDER_M || n->type == LARDER_L); i++) {
        int name = n->type == LARDER_M ? (int)rng_below(&r, 4) : -1;
        if (name < 0 || !find_name(n, name))
            add_member(n, name, -1, random_node(depth - 1));
    }
    return n;
}

static char *show(char *to, const struct node *n) {
    static const char *const open[] = {[LARDER_M] = "{", [LARDER_L] = "[", [LARDER_NS] = "<", [LARDER_SS] = "<"};
    static const char *const close[] = {[LARDER_M] = "}", [LARDER_L] = "]", [LARDER_NS] = ">", [LARDER_SS] = ">"};
    if (n->type == LARDER_N)
        return to + sprintf(to, "%d", n->number);
    if (n->type == LARDER_S)
        return to + sprintf(to, "\"%c\"", 'p' + n->number);
    to = stpcpy(to, open[n->type]);
    for (int i = 0; i < n->count; i++) {
        to = stpcpy(to, i ? ", " : "");
        if (n->type == LARDER_M)
            to += sprintf(to, "%c: ", 'a' + n->members[i].name);
        to = show(to, n->members[i].node);
    }
    return stpcpy(to, close[n->type]);
}

/* An item: its key attributes, and the members of a map. */
static const struct item_head *item_of(const struct node *map) {
    char text[TEXT_MAX] = "{pk: \"p\"";
    char *to = text + strlen(text);
    for (int i = 0; i < map->count; i++)
        to = show(to + sprintf(to, ", %c: ", 'a' + map->members[i].name), map->members[i].node);
    stpcpy(to, "}");
    return item_head(kit_item(text));
}

/* ---- Expressions ----------------------------------------------------------------------------- */

struct path {
    int count;
    struct {
        int name, index; /* name -1: an index */
    } steps[STEPS_MAX];
};

enum value_kind { OF_PATH, OF_VALUE, IF_NOT_EXISTS, LIST_APPEND, PLUS, MINUS };

/* path and value number of each kind of operand; IF_NOT_EXISTS, LIST_APPEND, PLUS and MINUS have
 * left (a path) and right (a value or another path). */
struct value {
    enum value_kind kind;
    struct path left, right;
    int is_bound, number; /* right is value :v0 .. */
};

struct action {
    enum expr_clause clause;
    struct path path;
    struct value value;
};

static struct node *bound[6]; /* :v0 N, :v1 S, :v2 L, :v3 M, :v4 NS, :v5 SS */

/* Mostly a path that the item has, and one step more or less. */
static struct path random_path(const struct node *at) {
    struct path p = {.count = 0};
    do {
        int is_list = at && at->type == LARDER_L, is_there = at && (at->type == LARDER_M || is_list) && at->count;
        int i = is_there ? (int)rng_below(&r, (uint64_t)at->count) : 0, is_random = rng_below(&r, 6) == 0;
        const struct member *m = is_there && !is_random ? &at->members[i] : NULL;
        int is_index = p.count && (is_random ? rng_is_one_in(&r, 2) : is_list);
        p.steps[p.count].name = is_index ? -1 : m && !is_list ? m->name : (int)rng_below(&r, 4);
        p.steps[p.count].index = is_index ? (m ? i : (int)rng_below(&r, 6)) : 0;
        p.count++;
        at = m ? m->node : NULL;
    } while (p.count < STEPS_MAX && at && (at->type == LARDER_M || at->type == LARDER_L) && rng_below(&r, 4));
    return p;
}

static char *show_path(char *to, const struct path *p) {
    for (int i = 0; i < p->count; i++)
        to += p->steps[i].name < 0 ? sprintf(to, "[%d]", p->steps[i].index)
                                   : sprintf(to, "%s%c", i ? "." : "", 'a' + p->steps[i].name);
    return to;
}

static char *show_right(char *to, const struct value *v) {
    return v->is_bound ? to + sprintf(to, ":v%d", v->number) : show_path(to, &v->right);
}

static char *show_value(char *to, const struct value *v) {
    static const char *const before[] = {"", "", "if_not_exists(", "list_append(", "", ""};
    static const char *const between[] = {"", "", ", ", ", ", " + ", " - "};
    static const char *const behind[] = {"", "", ")", ")", "", ""};
    if (v->kind == OF_PATH)
        return show_path(to, &v->left);
    if (v->kind == OF_VALUE)
        return show_right(to, v);
    to = show_path(stpcpy(to, before[v->kind]), &v->left);
    return stpcpy(show_right(stpcpy(to, between[v->kind]), v), behind[v->kind]);
}

static struct action random_action(enum expr_clause clause, const struct node *old) {
    struct action a = {.clause = clause, .path = random_path(old)};
    struct value *v = &a.value;
    v->kind = clause != EXPR_SET || rng_below(&r, 3) == 0 ? OF_VALUE : (enum value_kind)rng_below(&r, 6);
    v->left = random_path(old);
    v->right = random_path(old);
    v->is_bound = v->kind == OF_VALUE || rng_below(&r, 2);
    v->number = clause == EXPR_ADD      ? (int)(rng_below(&r, 3) + 4) % 6
                : clause == EXPR_DELETE ? 4 + (int)rng_below(&r, 2)
                                        : (int)rng_below(&r, 6);
    if (v->kind == PLUS || v->kind == MINUS)
        v->number = 0;
    if (v->kind == LIST_APPEND)
        v->number = 2;
    return a;
}

static char *show_actions(char *to, const struct action *actions, int count) {
    static const char *const clauses[] = {"SET ", "REMOVE ", "ADD ", "DELETE "};
    for (int i = 0; i < count; i++) {
        const struct action *a = &actions[i];
        int is_first = i == 0 || actions[i - 1].clause != a->clause;
        to = show_path(stpcpy(to, is_first ? clauses[a->clause] : ", "), &a->path);
        if (a->clause != EXPR_REMOVE)
            to = show_value(stpcpy(to, a->clause == EXPR_SET ? " = " : " "), &a->value);
        to = stpcpy(to, " ");
    }
    return to;
}

/* ---- The naive implementation ---------------------------------------------------------------- */

/* NULL: missing. */
static struct node *find(struct node *at, const struct path *p) {
    for (int i = 0; i < p->count && at; i++) {
        int name = p->steps[i].name, index = p->steps[i].index;
        if (name >= 0)
            at = at->type == LARDER_M ? find_name(at, name) : NULL;
        else
            at = at->type == LARDER_L && index < at->count ? at->members[index].node : NULL;
    }
    return at;
}

/* The value of SET. *error: 1 if there is none. */
static struct node *value_of(struct node *old, const struct value *v, int *error) {
    struct node *left = find(old, &v->left), *right = v->is_bound ? bound[v->number] : find(old, &v->right), *made;
    if (v->kind == OF_PATH)
        right = left;
    if (v->kind == IF_NOT_EXISTS && left)
        right = left;
    int is_both = v->kind >= LIST_APPEND;
    enum larder_type type = v->kind == LIST_APPEND ? LARDER_L : LARDER_N;
    *error = !right || (is_both && (!left || left->type != type || right->type != type));
    if (*error)
        return NULL;
    if (!is_both)
        return copy(right);
    made = copy(left);
    made->number += v->kind == PLUS ? right->number : v->kind == MINUS ? -right->number : 0;
    for (int i = 0; i < right->count; i++)
        add_member(made, -1, -1, copy(right->members[i].node));
    return made;
}

static struct node *add(const struct node *to, const struct node *by, int *error) {
    struct node *made = copy(to ? to : by);
    *error = to && to->type != by->type;
    if (*error || !to)
        return made;
    made->number += by->type == LARDER_N ? by->number : 0;
    for (int i = 0; i < by->count; i++)
        add_number(made, by->members[i].node->number);
    return made;
}

static struct node *without(const struct node *from, const struct node *others, int *error) {
    *error = from && from->type != others->type;
    if (*error || !from)
        return NULL;
    struct node *made = new_node(from->type);
    for (int i = 0; i < from->count; i++)
        if (!has_number(others, from->members[i].node->number))
            add_number(made, from->members[i].node->number);
    return made->count ? made : NULL;
}

/* Where the last step of a path leads; NULL: to nothing yet. *error: there is no way. */
static struct member *place_of(struct node *made, const struct path *p, struct node **parent, int *error) {
    struct path way = *p;
    way.count--;
    int name = p->steps[way.count].name, index = p->steps[way.count].index;
    *parent = find(made, &way);
    *error = !*parent || (*parent)->type != (name < 0 ? LARDER_L : LARDER_M);
    for (int i = 0; !*error && i < (*parent)->count; i++)
        if (name < 0 ? i == index && (*parent)->members[i].index < 0 : (*parent)->members[i].name == name)
            return &(*parent)->members[i];
    return NULL;
}

static int apply_action(struct node *old, struct node *made, const struct action *a) {
    struct node *parent, *old_value = find(old, &a->path), *value = NULL, *by = bound[a->value.number];
    int error = 0, is_pathless;
    struct member *m = place_of(made, &a->path, &parent, &is_pathless);
    if (is_pathless)
        return 1;
    if (a->clause == EXPR_SET)
        value = value_of(old, &a->value, &error);
    else if (a->clause == EXPR_ADD)
        value = add(old_value, by, &error);
    else if (a->clause == EXPR_DELETE)
        value = without(old_value, by, &error);
    if (error)
        return 1;
    const struct path *p = &a->path;
    int name = p->steps[p->count - 1].name, index = p->steps[p->count - 1].index;
    if (m)
        m->node = value;
    else if (value)
        add_member(parent, name, name < 0 ? index : -1, value);
    return 0;
}

static int by_index(const void *a, const void *b) {
    const struct member *x = a, *y = b;
    return x->index - y->index; /* only of appended ones */
}

/* Drops removed members, sorts appended elements. */
static void tidy(struct node *n) {
    int kept = 0, appended;
    for (int i = 0; i < n->count; i++)
        if (n->members[i].node)
            n->members[kept++] = n->members[i];
    n->count = kept;
    for (appended = 0; appended < kept && n->members[appended].index < 0;)
        appended++;
    qsort(n->members + appended, (size_t)(kept - appended), sizeof *n->members, by_index);
    for (int i = 0; i < kept; i++) {
        n->members[i].index = -1;
        tidy(n->members[i].node);
    }
}

/* ---- Together -------------------------------------------------------------------------------- */

/* Elements of the naive copy must keep their places until the end: so paths lead into the old item
 * for what an action sees, and into the copy for where it writes. */
static int naive(struct node *old, struct node *made, const struct action *actions, int count) {
    int error = 0;
    for (int i = 0; i < count && !error; i++)
        error = apply_action(old, made, &actions[i]);
    if (!error)
        tidy(made);
    return error;
}

static int engine(const struct kit_expr *x, const struct item_head *old, void *to, size_t room,
                  const struct item_head **image) {
    const struct expr_update u = {.e = x->e, .bound = x->bound, .old = old};
    size_t need = 0;
    int result = expr_update(&u, to, room, image, &need);
    cr_assert(result != EXPR_TOO_SMALL);
    return result;
}

Test(expr_naive, random_updates) {
    static uint64_t buffer[1 << 16];
    unsigned compared = 0, refused = 0;
    rng_seed(&r, rng_test_seed("expr_naive_test"));
    for (unsigned round = 0; round < ROUNDS; round++) {
        static const enum larder_type types[] = {LARDER_N, LARDER_S, LARDER_L, LARDER_M, LARDER_NS, LARDER_SS};
        char text[TEXT_MAX], values[TEXT_MAX] = "{", *to = values + 1;
        struct action actions[ACTIONS_MAX];
        struct kit_expr x;
        const struct item_head *image = NULL;
        node_count = 0;
        struct node *old = new_node(LARDER_M);
        for (int name = 0; name < 4; name++)
            if (rng_below(&r, 5))
                add_member(old, name, -1, random_node(3));
        for (int i = 0; i < 6; i++) {
            do
                bound[i] = random_node(1);
            while (bound[i]->type != types[i]);
            to = show(to + sprintf(to, "%s:v%d: ", i ? ", " : "", i), bound[i]);
        }
        stpcpy(to, "}");
        int count = 1 + (int)rng_below(&r, ACTIONS_MAX), clause = 0;
        for (int i = 0; i < count; i++) {
            clause += rng_below(&r, 3) == 0 && clause < EXPR_DELETE;
            actions[i] = random_action((enum expr_clause)clause, old);
        }
        show_actions(text, actions, count);
        const struct item_head *from = item_of(old);
        if (kit_compile(&x, EXPR_UPDATE, text, NULL, values) != LARDER_OK)
            continue; /* paths that overlap, mostly */
        struct node *made = copy(old);
        int is_refused = naive(old, made, actions, count);
        int result = engine(&x, from, buffer, sizeof buffer, &image);
        cr_assert_eq(result, is_refused ? LARDER_E_INVAL : LARDER_OK, "%s: %d, %s", text, result, larder_error());
        compared++;
        refused += (unsigned)is_refused;
        if (is_refused)
            continue;
        const struct item_head *wanted = item_of(made);
        cr_assert(item_is_sane(image, image->bytes), "%s", text);
        cr_assert(image->bytes == wanted->bytes && memcmp(image, wanted, wanted->bytes) == 0, "%s", text);
    }
    cr_assert(compared > ROUNDS / 3 && refused > compared / 20 && refused < compared * 4 / 5, "%u compared, %u refused",
              compared, refused);
}

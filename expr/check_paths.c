/* expr/check_paths.c - paths that may not stand in one expression.
 *
 * Job      An update may not change, and a projection not name, a value and a part of it, or use a
 *          value as a map and as a list. The paths are sorted for that; the evaluators use the
 *          order.
 * Idea     In the order of steps, with indexes before names, two paths that clash have a clash
 *          between neighbours. So one loop finds whether there is any.
 * Rules    Of several clashes the one is reported whose later path was written first.
 * Tests    tests/unit/expr/expr_errors_test.c
 */
#include "expr/parse.h"

/* The node of an update's action, or of a projection's path. */
static const struct parse_node *path_of(const struct parse *p, uint32_t number) {
    return &p->nodes[p->kind == EXPR_UPDATE ? p->actions[number].first : number];
}

/* Shell's sort: hardly slower than others for a few hundred, and takes no stack. */
static void sort(const struct parse *p, uint32_t count) {
    for (uint32_t gap = count / 2; gap > 0; gap /= 2)
        for (uint32_t i = gap; i < count; i++) {
            uint16_t moved = p->by_path[i];
            uint32_t k = i;
            for (; k >= gap && check_compare_paths(p, path_of(p, p->by_path[k - gap]), path_of(p, moved)) > 0; k -= gap)
                p->by_path[k] = p->by_path[k - gap];
            p->by_path[k] = moved;
        }
}

/* "overlap", "conflict", or NULL. */
static const char *clash_of(const struct parse *p, const struct parse_node *a, const struct parse_node *b) {
    struct parse_node x = *a, y = *b;
    uint32_t same = 0, least = a->count < b->count ? a->count : b->count;
    for (; same < least; same++) {
        x.first = (uint16_t)(a->first + same);
        y.first = (uint16_t)(b->first + same);
        x.count = y.count = 1;
        if (check_compare_paths(p, &x, &y) != 0)
            break;
    }
    if (same == least)
        return "overlap";
    return !p->parts[a->first + same].name.at != !p->parts[b->first + same].name.at ? "conflict" : NULL;
}

int check_paths(struct parse *p) {
    uint32_t count = p->kind == EXPR_UPDATE ? p->action_count : p->node_count, one = 0, two = UINT32_MAX;
    const char *found = NULL;
    char first[PARSE_SHOWN_MAX], second[PARSE_SHOWN_MAX];
    for (uint32_t i = 0; i < count; i++)
        p->by_path[i] = (uint16_t)i;
    sort(p, count);
    for (uint32_t i = 1; i < count; i++) {
        uint32_t a = p->by_path[i - 1], b = p->by_path[i], later = a > b ? a : b;
        const char *clash = clash_of(p, path_of(p, a), path_of(p, b));
        if (clash && later < two) {
            found = clash;
            one = a < b ? a : b;
            two = later;
        }
    }
    if (!found)
        return LARDER_OK;
    check_show_path(p, path_of(p, one), first, sizeof first);
    check_show_path(p, path_of(p, two), second, sizeof second);
    return parse_fail(p,
                      "Two document paths %s with each other; must remove or rewrite one of these paths; path one: %s, "
                      "path two: %s",
                      found, first, second);
}

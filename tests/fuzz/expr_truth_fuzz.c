/* tests/fuzz/expr_truth_fuzz.c - conditions and projections of random items.
 *
 * Goal     A condition holds exactly if a naive evaluator says so, a projection is the item that a
 *          naive one makes, and a damaged image leads nobody outside of it.
 * Method   An input is read as choices: an item as a tree of values, then an expression as a tree
 *          of conditions, written out as text. The naive evaluator recurses over the trees,
 *          compares sets by trying all pairs, and numbers as tenths. The engine gets the text, and
 *          the item as a builder's image, as a stored image, and as one with flipped bytes.
 */
#include "core/base/priv.h"
#include "expr/expr.h"
#include "expr/filter.h"
#include "tests/fuzz/fuzz.h"

#define NODES_MAX 400
#define CHILDREN_MAX 4
#define CONDITIONS_MAX 40
#define TEXT_MAX 8000
#define VALUES_MAX 64
#define PATHS_MAX 4
#define STEPS_MAX 4

/* ---- Plain trees ----------------------------------------------------------------------------- */

struct node {
    enum larder_type type;
    const char *text; /* S, B */
    int tenths;       /* N; BOOL: 0 or 1 */
    int count;
    const char *names[CHILDREN_MAX];
    struct node *children[CHILDREN_MAX];
};

static struct node nodes[NODES_MAX];
static int node_count;

/* the seventh is a clef, of four bytes, and "b" */
static const char *const texts[] = {"", "a", "ab", "b", "bab", "\xc3\xa9", "\xf0\x9d\x84\x9e\x62", "S", "N", "M"};
/* pk is the key of the table; PK is written as one byte */
static const char *const names[] = {"a", "b", "c", "PK", "odd name", "pk", "absent"};
static const char *const written[] = {"a", "b", "#c", "#PK", "#odd", "pk", "absent"};
enum { NAMES = 5, NAMES_ALL = 7 };

static struct node *new_node(enum larder_type type) {
    if (node_count == NODES_MAX)
        return NULL;
    nodes[node_count] = (struct node){.type = type};
    return &nodes[node_count++];
}

static const struct node *member(const struct node *map, const char *name) {
    for (int i = 0; i < map->count; i++)
        if (strcmp(map->names[i], name) == 0)
            return map->children[i];
    return NULL;
}

static int is_same(const struct node *a, const struct node *b) {
    if (a->type != b->type || a->count != b->count || a->tenths != b->tenths)
        return 0;
    if (a->type == LARDER_S || a->type == LARDER_B)
        return strcmp(a->text, b->text) == 0;
    for (int i = 0; i < a->count; i++) {
        int found = 0;
        for (int k = 0; k < b->count; k++)
            found |= (a->type == LARDER_L   ? k == i
                      : a->type == LARDER_M ? strcmp(a->names[i], b->names[k]) == 0
                                            : 1) &&
                     is_same(a->children[i], b->children[k]);
        if (!found)
            return 0;
    }
    return 1;
}

static void fill_scalar(struct fuzz_input *in, struct node *n) {
    if (n->type == LARDER_N)
        n->tenths = (fuzz_byte(in) % 9 - 4) * 5;
    else if (n->type == LARDER_BOOL)
        n->tenths = fuzz_byte(in) % 2;
    else if (n->type != LARDER_NULL)
        n->text = texts[fuzz_byte(in) % (sizeof texts / sizeof *texts)];
}

static struct node *read_node(struct fuzz_input *in, int depth) {
    unsigned choice = fuzz_byte(in);
    enum larder_type type = LARDER_S + choice % (depth > 3 ? 5 : 10);
    struct node *n = new_node(type);
    if (!n)
        return NULL;
    if (type < LARDER_M) {
        fill_scalar(in, n);
        return n;
    }
    int wanted = (int)(choice / 10 % (CHILDREN_MAX + 1));
    for (int i = 0; i < wanted || (type > LARDER_L && !n->count); i++) {
        const char *name = names[type == LARDER_M ? fuzz_byte(in) % NAMES : 0];
        struct node *child = type > LARDER_L ? new_node(LARDER_S + (type - LARDER_SS)) : read_node(in, depth + 1);
        if (child && type > LARDER_L)
            fill_scalar(in, child);
        int is_twice = 0;
        for (int k = 0; child && k < n->count; k++)
            is_twice |=
                type > LARDER_L ? is_same(n->children[k], child) : type == LARDER_M && strcmp(n->names[k], name) == 0;
        if (!child)
            return n->count || type < LARDER_SS ? n : NULL;
        if (is_twice)
            continue;
        n->names[n->count] = name;
        n->children[n->count++] = child;
    }
    return n;
}

static void add(struct larder_builder *b, const char *name, const struct node *n) {
    char text[32];
    switch (n->type) {
    case LARDER_S:
        larder_builder_add_s(b, name, n->text);
        break;
    case LARDER_N:
        snprintf(text, sizeof text, "%s%d.%d", n->tenths < 0 ? "-" : "", abs(n->tenths) / 10, abs(n->tenths) % 10);
        larder_builder_add_n(b, name, text);
        break;
    case LARDER_B:
        larder_builder_add_b(b, name, n->text, strlen(n->text));
        break;
    case LARDER_BOOL:
        larder_builder_add_bool(b, name, n->tenths);
        break;
    case LARDER_NULL:
        larder_builder_add_null(b, name);
        break;
    default:
        larder_builder_begin(b, name, n->type);
        for (int i = 0; i < n->count; i++)
            add(b, n->type == LARDER_M ? n->names[i] : NULL, n->children[i]);
        larder_builder_end(b);
    }
}

/* The image of a map, in memory of its own, exactly as large. */
static struct item_head *image_of(struct larder_builder *b, const struct node *map) {
    const struct larder_item *item;
    larder_builder_reset(b);
    for (int i = 0; i < map->count; i++)
        add(b, map->names[i], map->children[i]);
    FUZZ_CHECK(larder_builder_finish(b, &item) == LARDER_OK, "%s", larder_error());
    struct item_head *copy = malloc(item_head(item)->bytes);
    memcpy(copy, item, item_head(item)->bytes);
    return copy;
}

/* ---- Conditions ------------------------------------------------------------------------------ */

struct path {
    int count;
    struct step {
        int name; /* -1: an index */
        int index;
    } steps[STEPS_MAX];
};

struct operand {
    int is_size;
    const struct node *value; /* NULL: a path */
    struct path path;
};

struct condition {
    unsigned op; /* enum expr_test_op; above it AND, OR, NOT */
    int count;
    struct operand operands[4];
    const struct condition *left, *right;
};
enum { OP_AND = EXPR_CONTAINS + 1, OP_OR, OP_NOT, OPS };

static struct condition conditions[CONDITIONS_MAX];
static int condition_count;
static const struct node *values[VALUES_MAX];
static int value_count;
static char text[TEXT_MAX];
static size_t text_bytes;

static void put(const char *more) {
    size_t bytes = strlen(more);
    if (text_bytes + bytes < sizeof text)
        memcpy(text + text_bytes, more, bytes + 1);
    text_bytes += bytes;
}

static void read_path(struct fuzz_input *in, struct path *p) {
    char index[16];
    unsigned choice = fuzz_byte(in);
    p->count = 1 + (int)(choice % STEPS_MAX) * (choice > 60);
    for (int i = 0; i < p->count; i++) {
        struct step *s = &p->steps[i];
        choice = fuzz_byte(in);
        *s = (struct step){.name = (int)(choice % NAMES_ALL)};
        if (i && choice & 128) {
            *s = (struct step){.name = -1, .index = (int)(choice % 4)};
            snprintf(index, sizeof index, "[%d]", s->index);
            put(index);
        } else {
            put(i ? "." : "");
            put(written[s->name]);
        }
    }
}

static void read_operand(struct fuzz_input *in, struct operand *o) {
    unsigned choice = fuzz_byte(in);
    char placeholder[16];
    int is_paren = choice % 16 == 5;
    o->is_size = choice % 8 == 3;
    put(is_paren ? " ( " : " ");
    put(o->is_size ? "size(" : "");
    const struct node *value = choice & 64 && value_count < VALUES_MAX ? read_node(in, 2) : NULL;
    if (value) {
        snprintf(placeholder, sizeof placeholder, ":v%d", value_count);
        values[value_count++] = o->value = value;
        put(placeholder);
    } else
        read_path(in, &o->path);
    put(o->is_size ? ")" : "");
    put(is_paren ? ") " : " ");
}

static void read_test(struct fuzz_input *in, struct condition *c) {
    static const char *const symbols[] = {"=",
                                          "<>",
                                          "<",
                                          "<=",
                                          ">",
                                          ">=",
                                          "BETWEEN",
                                          "in (",
                                          "attribute_exists(",
                                          "attribute_not_exists(",
                                          "attribute_type(",
                                          "begins_with(",
                                          "contains("};
    int is_call = c->op >= EXPR_ATTRIBUTE_EXISTS;
    c->count = c->op == EXPR_BETWEEN ? 3 : c->op == EXPR_IN ? 2 + fuzz_byte(in) % 3 : 2;
    if (c->op == EXPR_ATTRIBUTE_EXISTS || c->op == EXPR_ATTRIBUTE_NOT_EXISTS)
        c->count = 1;
    put(is_call ? symbols[c->op] : "");
    for (int i = 0; i < c->count; i++) {
        if (i)
            put(is_call || (c->op == EXPR_IN && i > 1) ? "," : c->op == EXPR_BETWEEN && i > 1 ? "anD" : symbols[c->op]);
        read_operand(in, &c->operands[i]);
    }
    put(is_call || c->op == EXPR_IN ? ")" : "");
}

/* Writes parentheses where the precedence demands them, and now and then where not. */
static const struct condition *read_condition(struct fuzz_input *in, int depth, int precedence) {
    unsigned choice = fuzz_byte(in), op = choice % OPS;
    if (condition_count == CONDITIONS_MAX)
        return NULL;
    if (op >= OP_AND && depth > 5)
        op -= OP_AND;
    struct condition *c = &conditions[condition_count++];
    *c = (struct condition){.op = op};
    int own = op == OP_OR ? 1 : op == OP_AND ? 2 : op == OP_NOT ? 3 : 4, is_paren = own < precedence || choice > 220;
    put(is_paren ? "(" : " ");
    if (op < OP_AND) {
        read_test(in, c);
    } else {
        put(op == OP_NOT ? "NOT " : "");
        c->left = read_condition(in, depth + 1, own);
        put(op == OP_AND ? " AND " : op == OP_OR ? "\n oR\t" : "");
        /* the right side binds tighter: the same operator again would be taken from the left */
        c->right = op == OP_NOT ? c->left : read_condition(in, depth + 1, own + 1);
        if (!c->left || !c->right)
            return NULL;
    }
    put(is_paren ? ")" : " ");
    return c;
}

/* ---- The naive evaluator --------------------------------------------------------------------- */

static const struct node *find(const struct node *item, const struct path *p) {
    const struct node *at = item;
    for (int i = 0; i < p->count && at; i++) {
        const struct step *s = &p->steps[i];
        if (s->name >= 0)
            at = at->type == LARDER_M ? member(at, names[s->name]) : NULL;
        else
            at = at->type == LARDER_L && s->index < at->count ? at->children[s->index] : NULL;
    }
    return at;
}

static int units_of(const char *s) {
    int units = 0;
    while (*s) {
        unsigned char c = (unsigned char)*s;
        int bytes = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
        units += bytes == 4 ? 2 : 1;
        s += bytes;
    }
    return units;
}

static const struct node *value_of(const struct node *item, const struct operand *o, struct node *size) {
    const struct node *n = o->value ? o->value : find(item, &o->path);
    if (!o->is_size || !n)
        return n;
    *size = (struct node){.type = LARDER_N};
    if (n->type == LARDER_S)
        size->tenths = 10 * units_of(n->text);
    else if (n->type == LARDER_B)
        size->tenths = 10 * (int)strlen(n->text);
    else if (n->type >= LARDER_M)
        size->tenths = 10 * n->count;
    else
        return NULL;
    return size;
}

/* -2: they have no order. */
static int order_of(const struct node *a, const struct node *b) {
    if (a->type != b->type || a->type > LARDER_B)
        return -2;
    if (a->type == LARDER_N)
        return (a->tenths > b->tenths) - (a->tenths < b->tenths);
    return fuzz_compare_bytes(a->text, strlen(a->text), b->text, strlen(b->text));
}

static int contains(const struct node *in, const struct node *part) {
    if (in->type == LARDER_S || in->type == LARDER_B)
        return part->type == in->type && strstr(in->text, part->text) != NULL;
    for (int i = 0; i < in->count && in->type != LARDER_M; i++)
        if (is_same(in->children[i], part))
            return 1;
    return 0;
}

static int is_ordered(unsigned op, const struct node *a, const struct node *b) {
    int order = order_of(a, b);
    return order != -2 && (op == EXPR_LT   ? order < 0
                           : op == EXPR_LE ? order <= 0
                           : op == EXPR_GT ? order > 0
                                           : order >= 0);
}

static int holds(const struct node *item, const struct condition *c) {
    static const char *const type_names[] = {"", "S", "N", "B", "BOOL", "NULL", "M", "L", "SS", "NS", "BS"};
    struct node sizes[4];
    const struct node *v[4] = {NULL};
    if (c->op == OP_AND)
        return holds(item, c->left) && holds(item, c->right);
    if (c->op == OP_OR)
        return holds(item, c->left) || holds(item, c->right);
    if (c->op == OP_NOT)
        return !holds(item, c->left);
    for (int i = 0; i < c->count; i++)
        v[i] = value_of(item, &c->operands[i], &sizes[i]);
    switch (c->op) {
    case EXPR_EQ:
        return v[0] && v[1] && is_same(v[0], v[1]);
    case EXPR_NE:
        return !(v[0] && v[1] && is_same(v[0], v[1]));
    case EXPR_BETWEEN:
        return v[0] && v[1] && v[2] && is_ordered(EXPR_GE, v[0], v[1]) && is_ordered(EXPR_LE, v[0], v[2]);
    case EXPR_IN:
        for (int i = 1; i < c->count; i++)
            if (v[0] && v[i] && is_same(v[0], v[i]))
                return 1;
        return 0;
    case EXPR_ATTRIBUTE_EXISTS:
        return v[0] != NULL;
    case EXPR_ATTRIBUTE_NOT_EXISTS:
        return !v[0];
    case EXPR_ATTRIBUTE_TYPE:
        return v[0] && v[1] && strcmp(type_names[v[0]->type], v[1]->text) == 0;
    case EXPR_BEGINS_WITH:
        return v[0] && v[1] && v[0]->type == v[1]->type && (v[0]->type == LARDER_S || v[0]->type == LARDER_B) &&
               strncmp(v[0]->text, v[1]->text, strlen(v[1]->text)) == 0;
    case EXPR_CONTAINS:
        return v[0] && v[1] && contains(v[0], v[1]);
    default:
        return v[0] && v[1] && is_ordered(c->op, v[0], v[1]);
    }
}

/* ---- The naive projection -------------------------------------------------------------------- */

/* What the paths that agree with a place leave of the value there; NULL: nothing. `alive`: the
 * paths that lead here. */
static struct node *project(const struct node *n, const struct path *paths, unsigned alive, int depth) {
    struct node *left = new_node(n->type);
    if (!left)
        return NULL;
    for (int i = 0; i < PATHS_MAX; i++)
        if (alive & 1u << i && paths[i].count == depth) {
            *left = *n;
            return left;
        }
    for (int k = 0; k < n->count && (n->type == LARDER_M || n->type == LARDER_L); k++) {
        unsigned on = 0;
        for (int i = 0; i < PATHS_MAX; i++) {
            const struct step *s = &paths[i].steps[depth];
            if (alive & 1u << i && (n->type == LARDER_M ? s->name >= 0 && strcmp(names[s->name], n->names[k]) == 0
                                                        : s->name < 0 && s->index == k))
                on |= 1u << i;
        }
        struct node *child = on ? project(n->children[k], paths, on, depth + 1) : NULL;
        if (child) {
            left->names[left->count] = n->names[k];
            left->children[left->count++] = child;
        }
    }
    return left->count || depth == 0 ? left : NULL;
}

/* ---- The target ------------------------------------------------------------------------------ */

#define RUN(s)                                                                                                         \
    { (const uint8_t *)(s), sizeof(s) - 1 }
static struct expr_name aliases[] = {
    {RUN("#c"), RUN("c"), 0}, {RUN("#PK"), RUN("PK"), 0}, {RUN("#odd"), RUN("odd name"), 0}};
static struct larder_builder *builder;
static struct priv *arena;

static struct item_head *stored_of(const struct item_head *image) {
    /* items with a text "b" are in the index, and walks may begin there */
    static const struct item_index_shape index = {
        .name = "by_b", .partition = {.name = "b", .name_bytes = 1, .type = LARDER_S}, .is_lenient = 1};
    static const struct item_shape shape = {.partition = {.name = "pk", .name_bytes = 2, .type = LARDER_S},
                                            .index_count = 1,
                                            .indexes = &index,
                                            .is_lenient = 1};
    struct item_head *stored;
    void *to = malloc(item_stored_bytes_max(&shape, (const struct larder_item *)image));
    FUZZ_CHECK(item_to_stored(&shape, (const struct larder_item *)image, 0, to, &stored) == LARDER_OK, "%s",
               larder_error());
    return stored;
}

#define FILTERED 5

/* A filter of good images, one that may be damaged, and the good one again. wanted: of both; -1:
 * anything that leads nobody outside. Twice with the values as bound, and twice with those that the
 * page keeps: good images one behind the other, as the last run left them, are passed quickly
 * (expr/filter_quick.c). What lies behind the last image says nothing. */
static void check_filter(const struct expr *e, const struct larder_item *held, const struct larder_value *bound,
                         const struct item_head *good, const struct item_head *other, int wanted) {
    static struct expr_sieve sieve; /* of one page, which all inputs fill */
    const struct item_head *all[FILTERED] = {good, good, other, other, good};
    size_t places[FILTERED], used = 0;
    for (int i = 0; i < FILTERED; i++) {
        places[i] = used;
        used += all[i]->bytes;
    }
    uint8_t *images = malloc(used + EXPR_FILTER_BEHIND);
    memset(images + used, 0xff, EXPR_FILTER_BEHIND);
    for (int i = 0; i < FILTERED; i++)
        memcpy(images + places[i], all[i], all[i]->bytes);
    for (int run = 0; run < 4; run++) {
        size_t at[FILTERED];
        uint32_t count = FILTERED;
        if (run == 2)
            bound = expr_sieve_keep(&sieve, e, held, bound);
        memcpy(at, places, sizeof at);
        int result = expr_filter(e, bound, images, at, &count, &sieve);
        FUZZ_CHECK(result == LARDER_OK || (wanted < 0 && result == LARDER_E_CORRUPT), "%d", result);
        FUZZ_CHECK(count <= FILTERED && (wanted < 0 || count == (wanted ? FILTERED : 0u)), "%u items, run %d", count,
                   run);
    }
    free(images);
}

static void check_damaged(struct fuzz_input *in, const struct expr *e, const struct larder_item *held,
                          const struct larder_value *bound, const struct item_head *image) {
    struct item_head *copy = malloc(image->bytes);
    memcpy(copy, image, image->bytes);
    for (int i = fuzz_byte(in) % 4; i >= 0; i--) {
        size_t at = (fuzz_byte(in) * 256u + fuzz_byte(in)) % image->bytes;
        ((uint8_t *)copy)[at] ^= fuzz_byte(in);
    }
    if (item_head_is_sane(copy, image->bytes)) {
        int truth = expr_truth(e, bound, copy);
        FUZZ_CHECK(truth == 0 || truth == 1 || truth == LARDER_E_CORRUPT, "%d", truth);
        check_filter(e, held, bound, image, copy, -1);
    }
    free(copy);
}

static void check_truth(struct fuzz_input *in, const struct node *item, const struct item_head *image,
                        const struct item_head *stored) {
    static char value_names[VALUES_MAX][8];
    static struct larder_value bound[VALUES_MAX];
    struct expr *e;
    condition_count = value_count = 0;
    text_bytes = 0;
    const struct condition *c = read_condition(in, 0, 0);
    if (!c || text_bytes > EXPR_TEXT_BYTES_MAX)
        return;
    larder_builder_reset(builder);
    const struct larder_item *bag;
    for (int i = 0; i < value_count; i++) {
        snprintf(value_names[i], sizeof value_names[i], ":v%d", i);
        add(builder, value_names[i], values[i]);
    }
    FUZZ_CHECK(larder_builder_finish(builder, &bag) == LARDER_OK, "%s", larder_error());
    struct item_head *kept = malloc(item_head(bag)->bytes);
    memcpy(kept, bag, item_head(bag)->bytes);
    const struct larder_item *held = (const struct larder_item *)kept;
    int result = expr_compile(arena, EXPR_FILTER, text, text_bytes, aliases, 3, held, &e);
    if (result != LARDER_OK)
        FUZZ_CHECK(!strstr(larder_error(), "Syntax error"), "%s: \"%s\"", larder_error(), text);
    if (result == LARDER_OK) {
        FUZZ_CHECK(expr_bind(e, held, bound) == LARDER_OK, "%s", larder_error());
        int truth = expr_truth(e, bound, image), wanted = holds(item, c);
        FUZZ_CHECK(truth == wanted, "%d, not %d: \"%s\"", truth, wanted, text);
        FUZZ_CHECK(expr_truth(e, bound, stored) == wanted, "stored: \"%s\"", text);
        check_filter(e, held, bound, stored, image, wanted);
        check_damaged(in, e, held, bound, stored);
        expr_free(arena, e);
    }
    free(kept);
}

static void check_projection(struct fuzz_input *in, const struct node *item, const struct item_head *image,
                             const struct item_head *stored) {
    static struct path paths[PATHS_MAX];
    struct expr *e;
    text_bytes = 0;
    unsigned count = 1 + fuzz_byte(in) % PATHS_MAX;
    for (unsigned i = 0; i < count; i++) {
        put(i ? ", " : "");
        read_path(in, &paths[i]);
    }
    if (expr_compile(arena, EXPR_PROJECTION, text, text_bytes, aliases, 3, NULL, &e) != LARDER_OK)
        return;
    struct node *left = project(item, paths, (1u << count) - 1, 0);
    for (int i = 0; i < 2 && left; i++) {
        const struct item_head *from = i ? stored : image;
        struct item_head *wanted = image_of(builder, left), *to = malloc(expr_project_bytes_max(from));
        size_t bytes = expr_project(e, from, to);
        FUZZ_CHECK(item_is_sane(to, bytes), "no image: \"%s\"", text);
        FUZZ_CHECK(bytes == wanted->bytes && memcmp(to, wanted, bytes) == 0, "another item: \"%s\"", text);
        free(to);
        free(wanted);
    }
    expr_free(arena, e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fuzz_input in = {data, size};
    fuzz_builder(&builder);
    if (!arena)
        arena = priv_new();
    node_count = 0;
    struct node *item = new_node(LARDER_M), *key = new_node(LARDER_S);
    key->text = "key";
    item->names[item->count] = "pk";
    item->children[item->count++] = key;
    for (int i = 0; i < CHILDREN_MAX - 1; i++) {
        struct node *n = read_node(&in, 0);
        if (n) {
            item->names[item->count] = names[i];
            item->children[item->count++] = n;
        }
    }
    struct item_head *image = image_of(builder, item), *stored = stored_of(image);
    check_truth(&in, item, image, stored);
    check_projection(&in, item, image, stored);
    free(stored);
    free(image);
    return 0;
}

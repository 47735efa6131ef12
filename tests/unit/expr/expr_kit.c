/* tests/unit/expr/expr_kit.c - see expr_kit.h. */
#include "tests/unit/expr/expr_kit.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/priv.h"
#include "expr/filter.h"

struct priv *kit_arena;
static struct larder_builder *builder;

void kit_set_up(void) {
    kit_arena = priv_new();
    cr_assert_not_null(kit_arena);
    builder = item_builder_new(kit_arena, LARDER_ITEM_BYTES_MAX);
    cr_assert_not_null(builder);
}

void kit_tear_down(void) {
    larder_builder_free(builder);
    priv_destroy(kit_arena);
}

#define OK(call) cr_assert_eq((call), LARDER_OK, "%s", larder_error())

/* ---- Items ----------------------------------------------------------------------------------- */

static const char *skip(const char *at) {
    while (*at == ' ' || *at == ',')
        at++;
    return at;
}

static const char *read_name(const char *at, char *name) {
    int is_quoted = *at == '"';
    at += is_quoted;
    const char *end = at;
    while (is_quoted ? *end != '"' : (isalnum((unsigned char)*end) || strchr("_#", *end) || (*end == ':' && end == at)))
        end++;
    memcpy(name, at, (size_t)(end - at));
    name[end - at] = 0;
    at = skip(end + is_quoted);
    cr_assert_eq(*at, ':', "no ':' before \"%s\"", at);
    return skip(at + 1);
}

static const char *read_value(const char *at, const char *name);

static const char *read_members(const char *at, const char *name, enum larder_type type, char close) {
    char member[300];
    OK(larder_builder_begin(builder, name, type));
    for (at = skip(at); *at != close; at = skip(at)) {
        if (type == LARDER_M)
            at = read_name(at, member);
        at = read_value(at, type == LARDER_M ? member : NULL);
    }
    OK(larder_builder_end(builder));
    return at + 1;
}

static const char *read_set(const char *at, const char *name) {
    enum larder_type type = *at == '"' ? LARDER_SS : *at == 'b' ? LARDER_BS : LARDER_NS;
    return read_members(at, name, type, '>');
}

static const char *read_value(const char *at, const char *name) {
    if (*at == '{' || *at == '[')
        return read_members(at + 1, name, *at == '{' ? LARDER_M : LARDER_L, *at == '{' ? '}' : ']');
    if (*at == '<')
        return read_set(skip(at + 1), name);
    if (*at == '"' || (*at == 'b' && at[1] == '"')) {
        int is_bytes = *at == 'b';
        const char *text = at + 1 + is_bytes, *end = strchr(text, '"');
        OK(is_bytes ? larder_builder_add_b(builder, name, text, (size_t)(end - text))
                    : larder_builder_add_sn(builder, name, text, (size_t)(end - text)));
        return end + 1;
    }
    if (*at == 't' || *at == 'f') {
        OK(larder_builder_add_bool(builder, name, *at == 't'));
        return at + (*at == 't' ? 4 : 5);
    }
    if (*at == 'n') {
        OK(larder_builder_add_null(builder, name));
        return at + 4;
    }
    char number[64] = "";
    size_t bytes = strspn(at, "0123456789+-.eE");
    memcpy(number, at, bytes);
    OK(larder_builder_add_n(builder, name, number));
    return at + bytes;
}

const struct larder_item *kit_item(const char *text) {
    char name[300];
    const struct larder_item *item;
    if (!text)
        return NULL;
    larder_builder_reset(builder);
    for (const char *at = skip(text + 1); *at != '}'; at = skip(at)) {
        at = read_name(at, name);
        at = read_value(at, name);
    }
    OK(larder_builder_finish(builder, &item));
    item = item_keep(kit_arena, item);
    cr_assert_not_null(item);
    return item;
}

/* ---- Expressions ----------------------------------------------------------------------------- */

static void read_names(struct kit_expr *x, const char *text) {
    while (text && *text) {
        const char *equals = strchr(text, '='), *end = strstr(equals, " #");
        size_t bytes = end ? (size_t)(end - equals - 1) : strlen(equals + 1);
        x->names[x->name_count++] = (struct expr_name){.placeholder = {(const uint8_t *)text, (size_t)(equals - text)},
                                                       .name = {(const uint8_t *)equals + 1, bytes}};
        text = end ? end + 1 : NULL;
    }
}

/* What is refused with the values is refused without them, or when they are bound, and as `result`
 * and larder_error() say. */
static void check_late(struct kit_expr *x, enum expr_kind kind, const char *text, int result) {
    char said[512];
    snprintf(said, sizeof said, "%s", larder_error());
    int late = expr_compile(kit_arena, kind, text, strlen(text), x->names, x->name_count, NULL, &x->e);
    if (late == LARDER_OK)
        late = expr_bind(x->e, x->values, x->bound);
    cr_assert_eq(late, result, "%s", text);
    cr_assert_str_eq(larder_error(), said, "%s", text);
}

int kit_compile(struct kit_expr *x, enum expr_kind kind, const char *text, const char *names, const char *values) {
    struct expr *with = NULL;
    *x = (struct kit_expr){.name_count = 0};
    read_names(x, names);
    x->values = kit_item(values ? values : "{}");
    int result = expr_compile(kit_arena, kind, text, strlen(text), x->names, x->name_count, x->values, &with);
    if (result != LARDER_OK) {
        cr_assert_null(with);
        check_late(x, kind, text, result);
        return result;
    }
    OK(expr_compile(kit_arena, kind, text, strlen(text), x->names, x->name_count, NULL, &x->e));
    cr_assert_eq(with->bytes, x->e->bytes);
    expr_free(kit_arena, with);
    cr_assert_leq(x->e->value_count, sizeof x->bound / sizeof *x->bound);
    return expr_bind(x->e, x->values, x->bound);
}

void kit_make(struct kit_expr *x, enum expr_kind kind, const char *text, const char *names, const char *values) {
    cr_assert_eq(kit_compile(x, kind, text, names, values), LARDER_OK, "%s: %s", text, larder_error());
}

/* A filter keeps both of two such images, or none. */
static void check_filter(const struct kit_expr *x, const struct item_head *stored, int truth, const char *text) {
    size_t at[2] = {0, stored->bytes};
    uint8_t *images = priv_alloc(kit_arena, 2 * stored->bytes + EXPR_FILTER_BEHIND);
    uint32_t count = 2;
    struct expr_sieve sieve = {0};
    memcpy(images, stored, stored->bytes);
    memcpy(images + stored->bytes, stored, stored->bytes);
    OK(expr_filter(x->e, x->bound, images, at, &count, &sieve));
    cr_assert_eq(count, truth ? 2 : 0, "%s: another truth of two stored images", text);
    cr_assert(!truth || (at[0] == 0 && at[1] == stored->bytes));
    priv_free(kit_arena, images);
}

int kit_truth(const char *text, const char *item, const char *names, const char *values) {
    struct kit_expr x;
    kit_make(&x, EXPR_CONDITION, text, names, values);
    const struct larder_item *image = kit_item(item);
    int truth = expr_truth(x.e, x.bound, item_head(image));
    if (image) {
        const struct item_shape shape = {.partition = {.name = "pk", .name_bytes = 2, .type = LARDER_S}};
        struct item_head *stored;
        struct larder_value key;
        if (larder_item_get(image, "pk", &key) == LARDER_OK) {
            void *to = priv_alloc(kit_arena, item_stored_bytes_max(&shape, image));
            OK(item_to_stored(&shape, image, 1764000000, to, &stored));
            cr_assert_eq(expr_truth(x.e, x.bound, stored), truth, "%s: another truth of the stored image", text);
            check_filter(&x, stored, truth, text);
        }
    }
    return truth;
}

/* tests/fuzz/expr_parse_fuzz.c - texts of expressions: which are read, and what is said of others.
 *
 * Goal     Any text compiles or gives a readable error. Syntax is accepted exactly where the
 *          grammar of the developer guide accepts it.
 * Method   An input is a byte for the kind of expression, and the text. The oracle is a recogniser
 *          that recurses and tries one alternative after the other, as the grammar is written; it
 *          has characters, no tokens. Compiled with values or without, the result is the same.
 */
#include <ctype.h>
#include <strings.h>

#include "core/base/priv.h"
#include "expr/expr.h"
#include "tests/fuzz/fuzz.h"

/* The recogniser tries every way to read a parenthesis: two for each level. */
#define PARENS_MAX 8
#define TEXT_MAX 5000
#define VALUES_MAX 2500

/* ---- The oracle: grammar on characters ------------------------------------------------------- */

/* Each function reads from `at` and returns where it ends, or NULL. */
static const char *condition(const char *at);
static const char *operand(const char *at);

static const char *space(const char *at) {
    return at + strspn(at, " \t\r\n");
}

static int is_word(char c) {
    return isalnum((unsigned char)c) || c == '_';
}

static const char *symbol(const char *at, const char *text) {
    if (!at)
        return NULL;
    at = space(at);
    return strncmp(at, text, strlen(text)) == 0 ? at + strlen(text) : NULL;
}

static const char *word(const char *at, const char *text) {
    if (!at)
        return NULL;
    at = space(at);
    size_t bytes = strlen(text);
    return strncasecmp(at, text, bytes) == 0 && !is_word(at[bytes]) ? at + bytes : NULL;
}

static int is_keyword(const char *at, size_t bytes) {
    static const char *const keywords[] = {"and", "or", "not", "between", "in", "set", "remove", "add", "delete"};
    for (size_t i = 0; i < sizeof keywords / sizeof *keywords; i++)
        if (strlen(keywords[i]) == bytes && strncasecmp(keywords[i], at, bytes) == 0)
            return 1;
    return 0;
}

static const char *run(const char *at) {
    while (is_word(*at))
        at++;
    return at;
}

static const char *identifier(const char *at) {
    at = space(at);
    const char *end = isalpha((unsigned char)*at) ? run(at) : at;
    return end > at && !is_keyword(at, (size_t)(end - at)) ? end : NULL;
}

static const char *placeholder(const char *at, char first) {
    at = space(at);
    return *at == first && is_word(at[1]) ? run(at + 1) : NULL;
}

static const char *step(const char *at) {
    const char *end = identifier(at);
    return end ? end : placeholder(at, '#');
}

static const char *element(const char *at) {
    at = symbol(at, "[");
    if (!at)
        return NULL;
    at = space(at);
    size_t bytes = strspn(at, "0123456789");
    if (*at == '0')
        bytes = 1;
    return bytes ? symbol(at + bytes, "]") : NULL;
}

static const char *path(const char *at) {
    const char *next;
    at = step(at);
    while (at) {
        if ((next = symbol(at, ".")))
            at = step(next);
        else if (symbol(at, "["))
            at = element(at);
        else
            return at;
    }
    return NULL;
}

static const char *list(const char *at) {
    at = symbol(at, "(");
    do {
        at = at ? operand(at) : NULL;
    } while (at && symbol(at, ",") && (at = symbol(at, ",")));
    return symbol(at, ")");
}

static const char *operand(const char *at) {
    const char *end = identifier(at);
    if (end && symbol(end, "("))
        return list(end);
    if ((end = symbol(at, "(")))
        return (end = operand(end)) ? symbol(end, ")") : NULL;
    return (end = placeholder(at, ':')) ? end : path(at);
}

static const char *comparator(const char *at) {
    static const char *const all[] = {"<>", "<=", ">=", "=", "<", ">"};
    const char *end = NULL;
    for (size_t i = 0; i < sizeof all / sizeof *all && !end; i++)
        end = symbol(at, all[i]);
    return end;
}

static const char *comparison(const char *at) {
    const char *end = operand(at), *next;
    if (!end)
        return NULL;
    if ((next = comparator(end)))
        return operand(next);
    if ((next = word(end, "between"))) {
        next = word(operand(next), "and");
        return next ? operand(next) : NULL;
    }
    if ((next = word(end, "in")))
        return list(next);
    /* a function, perhaps in parentheses */
    const char *from = at;
    while (symbol(from, "("))
        from = symbol(from, "(");
    const char *name = identifier(from);
    return name && symbol(name, "(") ? end : NULL;
}

/* A condition in parentheses, or a comparison whose first operand they are around. */
static const char *primary(const char *at) {
    const char *end = symbol(at, "(");
    if (!end)
        return comparison(at);
    end = symbol(condition(end), ")");
    /* "(size(a)) < b": what follows says that the parentheses are around an operand */
    if (end && (comparator(end) || word(end, "between") || word(end, "in")))
        end = NULL;
    return end ? end : comparison(at);
}

static const char *negation(const char *at) {
    const char *end = word(at, "not");
    return end ? negation(end) : primary(at);
}

static const char *joined(const char *at, const char *by, const char *(*part)(const char *)) {
    at = part(at);
    for (const char *next; at && (next = word(at, by));)
        at = part(next);
    return at;
}

static const char *conjunction(const char *at) {
    return joined(at, "and", negation);
}

static const char *condition(const char *at) {
    return joined(at, "or", conjunction);
}

static const char *sum(const char *at) {
    const char *end = operand(at), *next = symbol(end, "+");
    next = next ? next : symbol(end, "-");
    return next ? operand(next) : end;
}

static const char *set_action(const char *at) {
    at = symbol(path(at), "=");
    if (!at)
        return NULL;
    const char *inner = symbol(at, "("), *end = inner ? sum(inner) : NULL, *close = symbol(end, ")");
    /* a sum in parentheses: more than an operand in them */
    if (close && !symbol(close, "+") && !symbol(close, "-"))
        return close;
    return sum(at);
}

static const char *value_action(const char *at) {
    at = path(at);
    return at ? placeholder(at, ':') : NULL;
}

static const char *comma_list(const char *at, const char *(*part)(const char *)) {
    at = part(at);
    while (at && symbol(at, ","))
        at = part(symbol(at, ","));
    return at;
}

static const char *update(const char *at) {
    static const struct {
        const char *name;
        const char *(*part)(const char *);
    } clauses[] = {{"set", set_action}, {"remove", path}, {"add", value_action}, {"delete", value_action}};
    do {
        const char *end = NULL;
        for (size_t i = 0; i < 4 && !end; i++)
            if (word(at, clauses[i].name) && !(end = comma_list(word(at, clauses[i].name), clauses[i].part)))
                return NULL;
        at = end;
    } while (at && *space(at));
    return at;
}

static int is_accepted(enum expr_kind kind, const char *text) {
    const char *end = kind == EXPR_UPDATE       ? update(text)
                      : kind == EXPR_PROJECTION ? comma_list(text, path)
                                                : condition(text);
    return end && !*space(end);
}

/* ---- The target ------------------------------------------------------------------------------ */

static struct priv *arena;
static const struct larder_item *values;
static struct expr_name names[] = {{{(const uint8_t *)"#a", 2}, {(const uint8_t *)"a", 1}, 0},
                                   {{(const uint8_t *)"#n", 2}, {(const uint8_t *)"odd name", 8}, 0}};

static void set_up(void) {
    static struct larder_builder *b;
    fuzz_builder(&b);
    arena = priv_new();
    larder_builder_add_s(b, ":s", "S");
    larder_builder_add_int(b, ":n", 1);
    larder_builder_add_int(b, ":m", 2);
    larder_builder_add_b(b, ":b", "b", 1);
    larder_builder_add_bool(b, ":t", 1);
    larder_builder_add_null(b, ":z");
    larder_builder_begin(b, ":l", LARDER_L);
    larder_builder_end(b);
    larder_builder_begin(b, ":ss", LARDER_SS);
    larder_builder_add_s(b, NULL, "x");
    larder_builder_end(b);
    FUZZ_CHECK(larder_builder_finish(b, &values) == LARDER_OK && arena, "no values");
}

static void check_form(const struct expr *e) {
    for (uint32_t i = 0; i < e->operand_count; i++)
        FUZZ_CHECK(e->operands[i].left <= i && e->operands[i].right <= i && e->operands[i].path <= e->path_count,
                   "operand %u refers to a later one", i);
    for (uint32_t i = 0; i < e->test_count; i++)
        for (int k = 0; k < 2; k++)
            FUZZ_CHECK(e->tests[i].next[k] >= EXPR_FALSE ||
                           (e->tests[i].next[k] > i && e->tests[i].next[k] < e->test_count),
                       "test %u goes back", i);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static char text[TEXT_MAX + 1];
    static struct larder_value bound[VALUES_MAX];
    struct expr *with = NULL, *without = NULL;
    if (!arena)
        set_up();
    if (size < 1 || size > TEXT_MAX)
        return 0;
    enum expr_kind kind = data[0] % 5;
    memcpy(text, data + 1, size - 1);
    text[size - 1] = 0;
    int result = expr_compile(arena, kind, text, size - 1, names, 2, values, &with);
    if (result == LARDER_OK)
        check_form(with);
    else
        fuzz_check_message(larder_error());
    int is_syntax_error = result != LARDER_OK && strstr(larder_error(), ": Syntax error; token: ");
    int late = expr_compile(arena, kind, text, size - 1, names, 2, NULL, &without);
    FUZZ_CHECK(result != LARDER_OK || late == LARDER_OK, "refused without values: %s", larder_error());
    if (late == LARDER_OK)
        FUZZ_CHECK(expr_bind(without, values, bound) == result, "binding says another thing");
    int parens = 0;
    for (size_t i = 0; i + 1 < size; i++)
        parens += text[i] == '(';
    if (parens <= PARENS_MAX && strlen(text) == size - 1 && size > 1 && size <= 400 &&
        (result == LARDER_OK || is_syntax_error))
        FUZZ_CHECK(is_accepted(kind, text) == !is_syntax_error, "syntax: \"%s\"", text);
    expr_free(arena, with);
    expr_free(arena, without);
    return 0;
}

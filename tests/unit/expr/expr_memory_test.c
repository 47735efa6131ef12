/* tests/unit/expr/expr_memory_test.c - what expressions take: private memory, stack, threads.
 *
 * Goal     Rules E1 and E2 of expr/expr.h. Compiling fails cleanly where there is no memory;
 *          evaluating needs none. Neither takes more than 8 KiB of stack, however deep the text
 *          nests; a projection of the deepest path takes at most 12. Threads share a compiled form.
 * Method   The number of blocks that may be taken is limited. Threads run on painted stacks: what
 *          is no longer painted was used.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core/base/priv.h"
#include "tests/support/slow.h"
#include "tests/unit/expr/expr_kit.h"

TestSuite(expr_memory, .init = kit_set_up, .fini = kit_tear_down);

extern _Atomic int64_t priv_test_takes_left; /* core/base/priv.c; -1: no limit */

static const char filter_text[] = "(size(a) > :n AND contains(l, :x)) OR NOT m.b[1].c = :n";
static const char item_text[] = "{pk: \"p\", a: \"hello\", l: [1, \"x\"], m: {b: [0, {c: 2}]}}";
static const char values_text[] = "{:n: 2, :x: \"x\"}";

Test(expr_memory, none_is_left) {
    const struct larder_item *values = kit_item(values_text);
    uint64_t before = priv_bytes(kit_arena);
    struct expr *e = NULL;
    int result = LARDER_E_NO_MEMORY, takes = 0;
    for (; result == LARDER_E_NO_MEMORY && takes < 10; takes++) {
        cr_assert_eq(priv_bytes(kit_arena), before);
        atomic_store(&priv_test_takes_left, takes);
        result = expr_compile(kit_arena, EXPR_FILTER, filter_text, strlen(filter_text), NULL, 0, values, &e);
        atomic_store(&priv_test_takes_left, -1);
    }
    cr_assert_eq(result, LARDER_OK, "%s", larder_error());
    cr_assert_eq(takes, 3, "two blocks are taken, not %d", takes - 1);
    expr_free(kit_arena, e);
    cr_assert_eq(priv_bytes(kit_arena), before);
}

Test(expr_memory, evaluation_takes_none) {
    struct kit_expr filter, projection;
    kit_make(&filter, EXPR_FILTER, filter_text, NULL, values_text);
    kit_make(&projection, EXPR_PROJECTION, "m.b[1].c, l[0]", NULL, NULL);
    const struct larder_item *item = kit_item(item_text);
    void *to = aligned_alloc(8, item_round8(expr_project_bytes_max(item_head(item))));
    atomic_store(&priv_test_takes_left, 0);
    int bound = expr_bind(filter.e, filter.values, filter.bound);
    int truth = expr_truth(filter.e, filter.bound, item_head(item));
    size_t bytes = expr_project(projection.e, item_head(item), to);
    atomic_store(&priv_test_takes_left, -1);
    cr_assert_eq(bound, LARDER_OK);
    cr_assert_eq(truth, 1);
    cr_assert(bytes > 0);
    free(to);
}

/* ---- Stack ----------------------------------------------------------------------------------- */

#define PAINT 0xa5
#define STACK_BYTES ((size_t)256 << 10)

struct work {
    enum expr_kind kind;
    const char *text;
    const struct item_head *image;
    void *to;
    int result;
};

static void *compile_one(void *given) {
    struct work *w = given;
    struct expr *e;
    w->result = expr_compile(kit_arena, w->kind, w->text, strlen(w->text), NULL, 0, NULL, &e);
    if (w->result == LARDER_OK && w->image && w->kind == EXPR_PROJECTION)
        expr_project(e, w->image, w->to);
    else if (w->result == LARDER_OK && w->image)
        expr_truth(e, NULL, w->image);
    return NULL;
}

static void *do_nothing(void *given) {
    return given;
}

static size_t stack_of(void *(*call)(void *), struct work *w) {
    pthread_attr_t attr;
    pthread_t thread;
    size_t untouched = 0;
    uint8_t *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(stack, MAP_FAILED);
    memset(stack, PAINT, STACK_BYTES);
    pthread_attr_init(&attr);
    cr_assert_eq(pthread_attr_setstack(&attr, stack, STACK_BYTES), 0);
    cr_assert_eq(pthread_create(&thread, &attr, call, w), 0);
    pthread_join(thread, NULL);
    pthread_attr_destroy(&attr);
    while (untouched < STACK_BYTES && stack[untouched] == PAINT)
        untouched++;
    munmap(stack, STACK_BYTES);
    return STACK_BYTES - untouched;
}

/* `count` times `part`, then `end`. */
static const char *repeat(const char *part, int count, const char *end) {
    static char text[4097];
    char *at = text;
    for (int i = 0; i < count; i++)
        at = stpcpy(at, part);
    stpcpy(at, end);
    return text;
}

Test(expr_memory, stack, .disabled = SLOW_FACTOR > 1) {
    struct work none = {0}, w = {.image = item_head(kit_item(item_text))};
    stack_of(do_nothing, &none); /* the first thread of a process resolves names */
    size_t least = stack_of(do_nothing, &none);
    const struct {
        enum expr_kind kind;
        const char *part, *end;
        int count, is_right;
    } texts[] = {{EXPR_FILTER, "NOT ", "a = b", 300 - 1, 1},    {EXPR_FILTER, "NOT ", "", 1024, 0},
                 {EXPR_FILTER, "(a = b AND ", "", 370, 0},      {EXPR_FILTER, "size(", "", 800, 0},
                 {EXPR_FILTER, "a = b AND ", "c <> d", 140, 1}, {EXPR_UPDATE, "SET a = list_append(", "", 200, 0},
                 {EXPR_PROJECTION, "a.", "a", 31, 1},           {EXPR_PROJECTION, "a.", "a", 32, 0}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        w.kind = texts[i].kind;
        w.text = repeat(texts[i].part, texts[i].count, texts[i].end);
        w.to = aligned_alloc(8, item_round8(expr_project_bytes_max(w.image)));
        size_t bytes = stack_of(compile_one, &w) - least;
        cr_expect_eq(w.result == LARDER_OK, texts[i].is_right, "%s: %s", w.text, larder_error());
        cr_expect_leq(bytes, (size_t)8 << 10, "%zu bytes: %s", bytes, w.text);
        free(w.to);
    }
    static char deep[512];
    char *at = stpcpy(deep, "{a: ");
    for (int i = 0; i < 31; i++)
        at = stpcpy(at, "{a: ");
    at = stpcpy(at, "1");
    for (int i = 0; i < 32; i++)
        at = stpcpy(at, "}");
    w = (struct work){.kind = EXPR_PROJECTION, .image = item_head(kit_item(deep)), .text = repeat("a.", 31, "a")};
    w.to = aligned_alloc(8, item_round8(expr_project_bytes_max(w.image)));
    size_t bytes = stack_of(compile_one, &w) - least;
    cr_expect_leq(bytes, (size_t)12 << 10, "%zu bytes", bytes);
    free(w.to);
}

/* ---- Threads --------------------------------------------------------------------------------- */

static struct kit_expr shared;

static void *evaluate(void *image) {
    intptr_t truths = 0;
    for (int i = 0; i < 1000; i++)
        truths += expr_truth(shared.e, shared.bound, image);
    return (void *)truths;
}

Test(expr_memory, threads) {
    pthread_t threads[4];
    void *truths;
    kit_make(&shared, EXPR_FILTER, filter_text, NULL, values_text);
    const struct larder_item *item = kit_item(item_text);
    for (int i = 0; i < 4; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, evaluate, (void *)item), 0);
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], &truths);
        cr_assert_eq((intptr_t)truths, 1000);
    }
}

/* core/base/priv.c - this process's private memory: what a handle allocates outside the segment.
 *
 * Job      Chooses one of two forms for a handle, and sets the message when memory runs out.
 * Picture  jemalloc in the process  -> one of its arenas (priv_jemalloc.c)
 *          (linked, or preloaded)
 *          otherwise                -> malloc and a ring of blocks (priv_list.c)
 * Why      liblarder.so does not load jemalloc itself. jemalloc keeps 2,632 bytes of each thread in
 *          static TLS (model initial-exec, also in Debian's libjemalloc_pic.a). A running process
 *          has at most some 1,700 bytes of it left, so dlopen() of a library that needs jemalloc
 *          fails: no Python, PHP, Node, JNI or plugin could load us. A program that links us would
 *          also find its malloc replaced. So references to jemalloc are weak
 *          (core/base/priv_jemalloc.c): a program that wants it links it, as the larder command
 *          does. LARDER_JEMALLOC=0 leaves that form out: in sanitizer builds their own allocator
 *          must see every block.
 * Rules    P1 priv_bytes() is the size of all blocks handed out and of the form itself, as far as
 *             the form knows it.
 * Tests    tests/unit/base/priv_test.c, tests/embed/embed_test.sh
 */
#include "core/base/priv.h"

#include "core/base/err.h"
#include "core/base/priv_form.h"
#include "larder.h"

static void *no_memory(size_t bytes) {
    err_set(LARDER_E_NO_MEMORY, "out of private memory: %zu bytes were asked for", bytes);
    return NULL;
}

#if LARDER_CRASH_POINTS
/* tests: when it reaches 0, there is no memory; -1: no limit */
_Atomic int64_t priv_test_takes_left = -1;
_Atomic int priv_test_list_only; /* tests: as if jemalloc were not there */
static int test_says_none(void) {
    if (atomic_load(&priv_test_takes_left) < 0)
        return 0;
    return atomic_load(&priv_test_takes_left) == 0 || atomic_fetch_sub(&priv_test_takes_left, 1) == 0;
}
static int test_says_list(void) {
    return atomic_load(&priv_test_list_only);
}
#else
static int test_says_none(void) {
    return 0;
}
static int test_says_list(void) {
    return 0;
}
#endif

struct priv *priv_new(void) {
    struct priv *p = NULL;
    if (!test_says_none()) {
        p = test_says_list() ? NULL : priv_jemalloc_new();
        if (!p)
            p = priv_list_new();
    }
    return p ? p : no_memory(sizeof *p);
}

void priv_destroy(struct priv *p) {
    if (p)
        p->form->destroy(p);
}

static void *changed(struct priv *p, void *block, size_t bytes, int is_zeroed) {
    size_t wanted = bytes ? bytes : 1;
    void *given = NULL;
    if (!test_says_none())
        given = block ? p->form->resize(p, block, wanted) : p->form->alloc(p, wanted, is_zeroed);
    return given ? given : no_memory(bytes);
}

void *priv_alloc(struct priv *p, size_t bytes) {
    return changed(p, NULL, bytes, 1);
}

void *priv_realloc(struct priv *p, void *block, size_t bytes) {
    return changed(p, block, bytes, 0);
}

void priv_free(struct priv *p, void *block) {
    if (block)
        p->form->free(p, block);
}

void priv_fork_prepare(struct priv *p) {
    p->form->fork_prepare(p);
}

void priv_fork_done(struct priv *p) {
    p->form->fork_done(p);
}

uint64_t priv_bytes(const struct priv *p) {
    return atomic_load_explicit(&p->bytes_used, memory_order_relaxed);
}

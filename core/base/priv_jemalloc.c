/* core/base/priv_jemalloc.c - private memory in an arena of jemalloc: see core/base/priv_form.h.
 *
 * Job      One arena per handle. The arena of a closed handle is emptied and kept for the next
 *          handle: for every arena that is made and destroyed, jemalloc leaves 4 KB and 2 MB of
 *          addresses behind.
 * Rules    J1 References to jemalloc are weak. They resolve if jemalloc is in the program's scope
 *             when we are loaded: linked, preloaded, or loaded with RTLD_GLOBAL. How we are loaded
 *             (RTLD_LOCAL, RTLD_DEEPBIND) makes no difference. A jemalloc with a prefix, or in
 *             another library's local scope, is not seen.
 *          J2 Resolved functions are not trusted until an arena of theirs was tried (is_usable):
 *             another allocator may have functions of these names, and an old jemalloc cannot make
 *             and empty arenas.
 *          J3 The arena holds only our blocks. struct arena lies in it and goes with it. No thread
 *             cache is used: a cached block would outlive the emptying of the arena.
 * Locks    jemalloc's own. It has its own fork handlers, too.
 * Tests    tests/unit/base/priv_test.c, tests/embed/
 */
#include "core/base/priv_form.h"

#if LARDER_JEMALLOC

#include <jemalloc/jemalloc.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#pragma weak mallctl
#pragma weak mallocx
#pragma weak rallocx
#pragma weak sallocx
#pragma weak dallocx

#define ARENAS_MAX 4096u /* jemalloc has no more */

struct arena {
    struct priv priv;
    unsigned number;
    int flags;
};

/* Numbers + 1 of empty arenas; 0: none. Taken and put by atomic exchange, so a fork needs no
 * lock. */
static _Atomic unsigned idle[ARENAS_MAX];
static _Atomic unsigned idle_end; /* no entry from here on was ever used */

static struct arena *arena_of(struct priv *p) {
    return (struct arena *)p;
}

/* 0: done. */
static int act_on(unsigned arena, const char *act) {
    char name[40];
    snprintf(name, sizeof name, "arena.%u.%s", arena, act);
    return mallctl(name, NULL, NULL, NULL, 0);
}

/* Empties the arena and keeps it for the next handle. If it cannot, destroys the arena. */
static void put_idle(unsigned arena) {
    if (act_on(arena, "reset") != 0) {
        (void)act_on(arena, "destroy");
        return;
    }
    (void)act_on(arena, "purge");
    for (unsigned i = 0; i < ARENAS_MAX; i++) {
        unsigned none = 0;
        /* Release; pairs with the acquire in take_idle(): the next owner finds it emptied. */
        if (atomic_compare_exchange_strong_explicit(&idle[i], &none, arena + 1, memory_order_release,
                                                    memory_order_relaxed)) {
            unsigned end = atomic_load(&idle_end);
            while (end <= i && !atomic_compare_exchange_weak(&idle_end, &end, i + 1))
                ;
            return;
        }
    }
    (void)act_on(arena, "destroy");
}

static int take_idle(unsigned *arena) {
    for (unsigned i = 0, end = atomic_load(&idle_end); i < end; i++) {
        if (!atomic_load_explicit(&idle[i], memory_order_relaxed))
            continue;
        unsigned found = atomic_exchange_explicit(&idle[i], 0, memory_order_acquire);
        if (found) {
            *arena = found - 1;
            return 1;
        }
    }
    return 0;
}

static int make_arena(unsigned *arena) {
    size_t bytes = sizeof *arena;
    *arena = ARENAS_MAX;
    return mallctl("arenas.create", arena, &bytes, NULL, 0) == 0 && *arena < ARENAS_MAX;
}

static int flags_of(unsigned arena) {
    return MALLOCX_ARENA(arena) | MALLOCX_TCACHE_NONE;
}

static int usable;

/* Rule J2. The arena of the trial becomes the first idle one. */
static void try_it(void) {
    unsigned arena, owner = ARENAS_MAX;
    size_t bytes = sizeof owner;
    if (!mallctl || !mallocx || !rallocx || !sallocx || !dallocx || !make_arena(&arena))
        return;
    int flags = flags_of(arena);
    void *block = mallocx(100, flags);
    if (!block)
        return;
    memset(block, 7, 100);
    void *grown = rallocx(block, 5000, flags);
    if (!grown)
        return;
    usable = sallocx(grown, flags) >= 5000 && ((char *)grown)[99] == 7 &&
             mallctl("arenas.lookup", &owner, &bytes, &grown, sizeof grown) == 0 && owner == arena &&
             act_on(arena, "reset") == 0;
    if (usable)
        put_idle(arena);
}

static int is_usable(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, try_it);
    return usable;
}

static void *arena_alloc(struct priv *p, size_t bytes, int is_zeroed) {
    int flags = arena_of(p)->flags;
    void *block = mallocx(bytes, is_zeroed ? flags | MALLOCX_ZERO : flags);
    if (block)
        priv_count(p, sallocx(block, flags), 0);
    return block;
}

static void *arena_resize(struct priv *p, void *block, size_t bytes) {
    int flags = arena_of(p)->flags;
    size_t before = sallocx(block, flags);
    void *grown = rallocx(block, bytes, flags);
    if (grown)
        priv_count(p, sallocx(grown, flags), before);
    return grown;
}

static void arena_free(struct priv *p, void *block) {
    int flags = arena_of(p)->flags;
    priv_count(p, 0, sallocx(block, flags));
    dallocx(block, flags);
}

static void arena_destroy(struct priv *p) {
    put_idle(arena_of(p)->number);
}

static void arena_fork(struct priv *p) {
    (void)p;
}

static const struct priv_form arena_form = {.destroy = arena_destroy,
                                            .alloc = arena_alloc,
                                            .resize = arena_resize,
                                            .free = arena_free,
                                            .fork_prepare = arena_fork,
                                            .fork_done = arena_fork};

struct priv *priv_jemalloc_new(void) {
    unsigned number = 0;
    if (!is_usable() || (!take_idle(&number) && !make_arena(&number)))
        return NULL;
    int flags = flags_of(number);
    struct arena *a = mallocx(sizeof *a, flags | MALLOCX_ZERO);
    if (!a) {
        put_idle(number);
        return NULL;
    }
    a->priv.form = &arena_form;
    a->number = number;
    a->flags = flags;
    priv_count(&a->priv, sallocx(a, flags), 0);
    return &a->priv;
}

#else

struct priv *priv_jemalloc_new(void) {
    return NULL;
}

#endif

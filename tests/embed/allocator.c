/* tests/embed/allocator.c - a host and its allocators: allocator LIBRARY SEGMENT arenas|none.
 *
 * Method   Linked with jemalloc, handles must take arenas of it. With functions that have
 *          jemalloc's names and do nothing (-DEMBED_FALSE), they must not. Either way the library
 *          works, and malloc is the host's own.
 */
#include <stdlib.h>

#include "use.h"

#ifdef EMBED_FALSE
int mallctl(const char *name, void *old, size_t *old_bytes, void *new, size_t new_bytes) {
    (void)name, (void)old, (void)old_bytes, (void)new, (void)new_bytes;
    return 0;
}
void *mallocx(size_t bytes, int flags) {
    (void)flags;
    return malloc(bytes);
}
void *rallocx(void *block, size_t bytes, int flags) {
    (void)flags;
    return realloc(block, bytes);
}
size_t sallocx(const void *block, int flags) {
    (void)block, (void)flags;
    return 8192;
}
void dallocx(void *block, int flags) {
    (void)block, (void)flags;
    abort();
}
static unsigned arenas(void) {
    return 0;
}
#else
int mallctl(const char *name, void *old, size_t *old_bytes, void *new, size_t new_bytes) __attribute__((weak));
static unsigned arenas(void) {
    unsigned count = 0;
    size_t bytes = sizeof count;
    return mallctl && mallctl("arenas.narenas", &count, &bytes, NULL, 0) == 0 ? count : 0;
}
#endif

static int fail(const char *what) {
    fprintf(stderr, "%s\n", what);
    return 1;
}

int main(int argc, char **argv) {
    struct use u;
    if (argc < 4)
        return 2;
    Dl_info where;
    void *library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return fail(dlerror());
    void *own_malloc = dlsym(RTLD_DEFAULT, "malloc");
    if (!dladdr(own_malloc, &where) || (strcmp(argv[3], "none") == 0 && !strstr(where.dli_fname, "libc.so")))
        return fail("the library brought a malloc with it");
    unsigned before = arenas();
    if (use_find(&u, library))
        return fail("a function is missing");
    for (int i = 0; i < 100; i++) {
        const char *wrong = use_segment(&u, argv[2]);
        if (wrong)
            return fail(wrong);
    }
    unsigned made = arenas() - before;
    if (strcmp(argv[3], "arenas") == 0 ? made != 1 : made != 0) {
        fprintf(stderr, "%u arenas were made\n", made);
        return 1;
    }
    return 0;
}

/* bench/engines.c - see engines.h. bench/meson.build says which peers there are. */
#include "bench/engines.h"
#include <string.h>

const struct engine *const engines[] = {&engine_compute,    &engine_limit,       &engine_limit_image,    &engine_larder,
#if HAVE_CK
                                        &engine_ck,
#endif
#if HAVE_LMDB
                                        &engine_lmdb,
#endif
#if HAVE_BDB
                                        &engine_bdb,
#endif
#if HAVE_SQLITE
                                        &engine_sqlite,
#endif
                                        &engine_memcached,
#if HAVE_HIREDIS
                                        &engine_redis,
#endif
                                        &engine_limit_huge, &engine_larder_huge, &engine_larder_hugetlb, NULL};

int engine_is_named(const struct engine *engine, const char *names) {
    size_t bytes = strlen(engine->name);
    for (const char *at = names; at && (at = strstr(at, engine->name)); at += bytes)
        if ((at == names || at[-1] == ' ') && (at[bytes] == 0 || at[bytes] == ' '))
            return 1;
    return names == NULL && !(engine->can & IS_VARIANT);
}

/* core/base/reserved.c - see reserved.h. */
#include "core/base/reserved.h"
#include "core/base/err.h"
#include "larder.h"

#if LARDER_CRASH_POINTS
int reserved_test_is_used;
#endif

int reserved_refuse(const char *structure, const uint64_t *reserved, size_t count) {
    size_t i = 0;
    while (i + 1 < count && reserved[i] == 0)
        i++;
    return err_set(LARDER_E_INVAL,
                   "%s: reserved[%zu] is %#llx; Larder " LARDER_VERSION
                   " needs 0 there (zero the whole structure; a newer larder.h may have given it a meaning)",
                   structure, i, (unsigned long long)reserved[i]);
}

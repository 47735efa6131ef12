/* tests/embed/addon.c - an addon for Node: uses the library while it is loaded, and says in its
 * `result` what went wrong.
 *
 * Method   Node's own ABI (Node-API) is stable, so its three functions are declared here and no
 *          headers are needed. Built twice: linked with liblarder.so, and with
 *          -DEMBED_LIBRARY="path", which loads it.
 */
#include <stdlib.h>

#include "use.h"

typedef struct napi_env__ *napi_env;
typedef struct napi_value__ *napi_value;
int napi_create_string_utf8(napi_env env, const char *text, size_t bytes, napi_value *result);
int napi_set_named_property(napi_env env, napi_value object, const char *name, napi_value value);
__attribute__((visibility("default"))) napi_value napi_register_module_v1(napi_env env, napi_value exports);

static const char *run(void) {
    struct use u;
#ifdef EMBED_LIBRARY
    void *library = dlopen(EMBED_LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return dlerror();
    const char *missing = use_find(&u, library);
    if (missing)
        return missing;
#else
#define USE_LINKED(name) u.name = name;
    USE_CALLS(USE_LINKED)
#endif
    const char *wrong = use_segment(&u, getenv("EMBED_SEGMENT"));
    return wrong ? wrong : "ok";
}

napi_value napi_register_module_v1(napi_env env, napi_value exports) {
    napi_value result;
    const char *text = run();
    if (napi_create_string_utf8(env, text, strlen(text), &result) == 0)
        napi_set_named_property(env, exports, "result", result);
    return exports;
}

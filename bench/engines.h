/* bench/engines.h - which engines this build has: a peer whose library was missing is left out. */
#ifndef LARDER_BENCH_ENGINES_H
#define LARDER_BENCH_ENGINES_H

#include "bench/engine.h"

extern const struct engine *const engines[]; /* ends with NULL */

/* Names between spaces, as "limit larder"; NULL names all. */
int engine_is_named(const struct engine *engine, const char *names);

#endif

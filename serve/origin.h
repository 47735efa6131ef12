/* serve/origin.h - whose pages may ask (CORS).
 *
 * Why      The service lets every page ask, for it checks every signature. An endpoint that checks
 *          none would let any site that a developer visits read and change the cache.
 * Tests    tests/serve/serve_http_test.c
 */
#ifndef LARDER_SERVE_ORIGIN_H
#define LARDER_SERVE_ORIGIN_H

#include <stdbool.h>
#include <stddef.h>

/* Whether `origin` is of this host, or the one that is `allowed` (NULL: none; "*": all). */
bool origin_is_allowed(const char *allowed, const char *origin, size_t bytes);

#endif

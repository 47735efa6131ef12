/* serve/origin.c - whose pages may ask (CORS). See origin.h.
 *
 * Tests    tests/serve/serve_http_test.c
 */
#include "serve/origin.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* 127.0.0.0/8. A name such as 127.evil.example is none. */
static bool is_loopback_v4(const char *host) {
    struct in_addr address;
    return inet_pton(AF_INET, host, &address) == 1 && ntohl(address.s_addr) >> 24 == 127;
}

static bool is_local_host(const char *host) {
    size_t bytes = strlen(host);
    if (strcasecmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0 || is_loopback_v4(host))
        return true;
    return bytes > 10 && strcasecmp(host + bytes - 10, ".localhost") == 0;
}

bool origin_is_allowed(const char *allowed, const char *origin, size_t bytes) {
    char host[256];
    if (allowed != NULL &&
        (strcmp(allowed, "*") == 0 || (strlen(allowed) == bytes && memcmp(allowed, origin, bytes) == 0)))
        return true;
    const char *at = memmem(origin, bytes, "://", 3);
    if (at == NULL ||
        (size_t)snprintf(host, sizeof host, "%.*s", (int)(origin + bytes - at - 3), at + 3) >= sizeof host)
        return false;
    char *port = strrchr(host, ':');
    if (port != NULL && strchr(port, ']') == NULL)
        *port = 0;
    return is_local_host(host);
}

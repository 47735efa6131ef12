/* serve/host.c - whether a Host header can be that of a stranger's page. See host.h.
 *
 * Tests    tests/serve/serve_http_test.c
 */
#include "serve/host.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

static bool ends_with(const char *name, size_t bytes, const char *ending) {
    size_t ending_bytes = strlen(ending);
    return bytes > ending_bytes && strncasecmp(name + bytes - ending_bytes, ending, ending_bytes) == 0;
}

static bool is_v4_address(const char *name, size_t bytes) {
    char text[INET_ADDRSTRLEN];
    struct in_addr address;
    if (bytes >= sizeof text)
        return false;
    memcpy(text, name, bytes);
    text[bytes] = 0;
    return inet_pton(AF_INET, text, &address) == 1;
}

bool host_is_ours(const char *host, size_t bytes) {
    static const char *const reserved[] = {".localhost", ".local", ".internal", ".test", ".home.arpa"};
    if (bytes == 0 || *host == '[') /* an address of IPv6 */
        return true;
    const char *colon = memchr(host, ':', bytes);
    if (colon != NULL)
        bytes = (size_t)(colon - host);
    if (bytes > 0 && host[bytes - 1] == '.') /* the root: the same name */
        bytes--;
    if (memchr(host, '.', bytes) == NULL || is_v4_address(host, bytes))
        return true;
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++)
        if (ends_with(host, bytes, reserved[i]))
            return true;
    return false;
}

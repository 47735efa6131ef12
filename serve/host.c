/* serve/host.c - whether a Host header can be that of a stranger's page. See host.h.
 *
 * Tests    tests/serve/serve_http_test.c
 */
#include "serve/host.h"

#include <arpa/inet.h>
#include <ctype.h>
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

/* [::1]:8000, without a look at what is no part of an address. */
static bool is_v6_address(const char *host, size_t bytes) {
    const char *end = memchr(host, ']', bytes);
    char text[INET6_ADDRSTRLEN];
    struct in6_addr address;
    size_t length = end != NULL ? (size_t)(end - host) - 1 : sizeof text;
    if (length >= sizeof text || (end + 1 < host + bytes && end[1] != ':'))
        return false;
    memcpy(text, host + 1, length);
    text[length] = 0;
    return inet_pton(AF_INET6, text, &address) == 1;
}

static bool is_name(const char *name, size_t bytes) {
    for (size_t i = 0; i < bytes; i++)
        if (!isalnum((unsigned char)name[i]) && name[i] != '-' && name[i] != '_' && name[i] != '.')
            return false;
    return bytes > 0;
}

bool host_is_ours(const char *host, size_t bytes) {
    static const char *const reserved[] = {".localhost", ".local", ".internal", ".test", ".home.arpa"};
    if (bytes == 0 || *host == '[')
        return bytes == 0 || is_v6_address(host, bytes);
    const char *colon = memchr(host, ':', bytes);
    if (colon != NULL)
        bytes = (size_t)(colon - host);
    if (bytes > 0 && host[bytes - 1] == '.') /* the root: the same name */
        bytes--;
    if (!is_name(host, bytes))
        return false;
    if (memchr(host, '.', bytes) == NULL || is_v4_address(host, bytes))
        return true;
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++)
        if (ends_with(host, bytes, reserved[i]))
            return true;
    return false;
}

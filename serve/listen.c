/* serve/listen.c - the sockets that clients come to. See listen.h.
 *
 * Tests    tests/serve/serve_test.sh, tests/serve/serve_kill_test.c
 */
#include "serve/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LISTEN_QUEUE 4096

/* ---- Addresses ------------------------------------------------------------------------------- */

/* Splits "HOST:PORT", "[ADDRESS]:PORT", "PORT". */
static bool split(const char *text, char host[256], char port[8]) {
    const char *colon = strrchr(text, ':'), *end = colon;
    const char *begin = text;
    if (colon == NULL)
        return snprintf(host, 256, "127.0.0.1") > 0 && (size_t)snprintf(port, 8, "%s", text) < 8;
    if (*text == '[') {
        begin++;
        end--;
        if (end < begin || *end != ']')
            return false;
    } else if (memchr(text, ':', (size_t)(colon - text)) != NULL)
        return false;
    return end > begin && (size_t)snprintf(host, 256, "%.*s", (int)(end - begin), begin) < 256 &&
           (size_t)snprintf(port, 8, "%s", colon + 1) < 8;
}

static bool is_port(const char *text) {
    return text[0] != 0 && strspn(text, "0123456789") == strlen(text) && strtoul(text, NULL, 10) <= 65535;
}

static bool is_local_address(const struct sockaddr_storage *address) {
    if (address->ss_family == AF_INET)
        return ntohl(((const struct sockaddr_in *)address)->sin_addr.s_addr) >> 24 == 127;
    return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)address)->sin6_addr);
}

int listen_resolve(struct listen *l, const char *text, char *problem, size_t problem_bytes) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV}, *found;
    char host[256], port[8];
    if (!split(text, host, port) || !is_port(port)) {
        snprintf(problem, problem_bytes, "--listen takes HOST:PORT, [ADDRESS]:PORT or PORT, not \"%s\"", text);
        return -1;
    }
    int error = getaddrinfo(host, port, &hints, &found);
    if (error != 0) {
        snprintf(problem, problem_bytes, "--listen %s: %s", text, gai_strerror(error));
        return -1;
    }
    *l = (struct listen){.is_local = true};
    for (struct addrinfo *a = found; a != NULL && l->address_count < LISTEN_ADDRESSES_MAX; a = a->ai_next) {
        memcpy(&l->addresses[l->address_count], a->ai_addr, a->ai_addrlen);
        l->address_bytes[l->address_count] = a->ai_addrlen;
        if (!is_local_address(&l->addresses[l->address_count]))
            l->is_local = false;
        l->address_count++;
    }
    freeaddrinfo(found);
    return 0;
}

static in_port_t *port_of(struct sockaddr_storage *address) {
    return address->ss_family == AF_INET ? &((struct sockaddr_in *)address)->sin_port
                                         : &((struct sockaddr_in6 *)address)->sin6_port;
}

void listen_text(const struct listen *l, uint32_t address, char text[LISTEN_TEXT_BYTES]) {
    struct sockaddr_storage copy = l->addresses[address];
    char host[INET6_ADDRSTRLEN] = "?";
    bool is_v4 = copy.ss_family == AF_INET;
    inet_ntop(copy.ss_family,
              is_v4 ? (void *)&((struct sockaddr_in *)&copy)->sin_addr
                    : (void *)&((struct sockaddr_in6 *)&copy)->sin6_addr,
              host, sizeof host);
    snprintf(text, LISTEN_TEXT_BYTES, is_v4 ? "%s:%u" : "[%s]:%u", host, ntohs(*port_of(&copy)));
}

/* ---- Sockets --------------------------------------------------------------------------------- */

/* A bound socket; -1 with errno. Connections inherit these options. */
static int bind_one(const struct sockaddr_storage *address, socklen_t bytes, bool is_shared) {
    int on = 1, idle_s = 60, fd = socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (address->ss_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    if ((is_shared && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0) ||
        bind(fd, (const struct sockaddr *)address, bytes) != 0) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

/* Sockets that share a port would also share it with another server of this user, and each would
 * get some of the connections. So the port must first be free for one that does not share. */
static int claim_port(struct listen *l, uint32_t i) {
    int fd = bind_one(&l->addresses[i], l->address_bytes[i], false);
    if (fd < 0)
        return -1;
    int failed = getsockname(fd, (struct sockaddr *)&l->addresses[i], &l->address_bytes[i]) != 0;
    int error = errno;
    close(fd);
    errno = error;
    return failed ? -1 : 0;
}

static int open_address(struct listen *l, uint32_t i) {
    if (i > 0 && *port_of(&l->addresses[i]) == 0) /* port 0: one port for all addresses */
        *port_of(&l->addresses[i]) = *port_of(&l->addresses[0]);
    if (claim_port(l, i) != 0)
        return -1;
    for (uint32_t worker = 0; worker < l->worker_count; worker++) {
        int fd = bind_one(&l->addresses[i], l->address_bytes[i], true);
        listen_of_worker(l, worker)[i] = fd;
        if (fd < 0 || listen(fd, LISTEN_QUEUE) != 0)
            return -1;
    }
    return 0;
}

int *listen_of_worker(const struct listen *l, uint32_t worker) {
    return l->sockets + (size_t)worker * l->address_count;
}

int listen_open(struct listen *l, uint32_t worker_count, char *problem, size_t problem_bytes) {
    char text[LISTEN_TEXT_BYTES];
    l->worker_count = worker_count;
    l->sockets = calloc((size_t)worker_count * l->address_count, sizeof *l->sockets);
    if (l->sockets == NULL) {
        snprintf(problem, problem_bytes, "out of memory");
        return -1;
    }
    for (size_t i = 0; i < (size_t)worker_count * l->address_count; i++)
        l->sockets[i] = -1;
    for (uint32_t i = 0; i < l->address_count; i++) {
        if (open_address(l, i) == 0)
            continue;
        listen_text(l, i, text);
        snprintf(problem, problem_bytes, "cannot listen on %s: %s", text, strerror(errno));
        listen_close(l, UINT32_MAX);
        return -1;
    }
    return 0;
}

void listen_close(struct listen *l, uint32_t kept) {
    for (uint32_t worker = 0; l->sockets != NULL && worker < l->worker_count; worker++)
        for (uint32_t i = 0; worker != kept && i < l->address_count; i++)
            if (listen_of_worker(l, worker)[i] >= 0)
                close(listen_of_worker(l, worker)[i]);
    if (kept != UINT32_MAX)
        return;
    free(l->sockets);
    l->sockets = NULL;
}

/* serve/listen.h - the sockets that clients come to.
 *
 * Picture  worker 0: socket for 127.0.0.1, socket for ::1     all of one address share its port
 *          worker 1: socket for 127.0.0.1, socket for ::1     by SO_REUSEPORT; the kernel deals out
 * Why      The supervisor opens them all and keeps them. So a connection that waits in the queue of
 *          a worker that died is taken up by its successor. With sockets of the workers' own, the
 *          kernel would reset it.
 * Tests    tests/serve/serve_test.sh, tests/serve/serve_kill_test.c
 */
#ifndef LARDER_SERVE_LISTEN_H
#define LARDER_SERVE_LISTEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define LISTEN_ADDRESSES_MAX 4u
#define LISTEN_TEXT_BYTES 64u

struct listen {
    uint32_t address_count, worker_count;
    struct sockaddr_storage addresses[LISTEN_ADDRESSES_MAX];
    socklen_t address_bytes[LISTEN_ADDRESSES_MAX];
    int *sockets;  /* worker_count times address_count */
    bool is_local; /* no other host can come */
};

/* Finds the addresses of "HOST:PORT", "[ADDRESS]:PORT" or "PORT". Returns 0, or -1 with a text. */
int listen_resolve(struct listen *l, const char *text, char *problem, size_t problem_bytes);
/* Opens the sockets of all workers. Returns 0, or -1 with a text. */
int listen_open(struct listen *l, uint32_t worker_count, char *problem, size_t problem_bytes);
/* Closes the sockets of all workers but `kept`; UINT32_MAX: of all. */
void listen_close(struct listen *l, uint32_t kept);
int *listen_of_worker(const struct listen *l, uint32_t worker);
/* "127.0.0.1:8000" */
void listen_text(const struct listen *l, uint32_t address, char text[LISTEN_TEXT_BYTES]);

#endif

/* tests/serve/serve_kit.h - a running `larder serve`, and a client that shows every byte.
 *
 * Job      Starts the command on a free port and a segment of its own with the table "Items"
 *          (partition key p, S). Clients are plain sockets: what is said is written as it is, what
 *          comes back is split into status, head and body.
 * Rules    K1 Every read has a deadline, so a server that hangs fails the test.
 *          K2 server_stop() demands that the server ends by itself with code 0.
 */
#ifndef LARDER_TESTS_SERVE_KIT_H
#define LARDER_TESTS_SERVE_KIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "tests/support/testseg.h"

#define SERVE_BODY_BYTES_MAX (2u << 20)

struct server {
    pid_t pid;                                   /* the supervisor */
    int port, errors;                            /* errors: its standard error */
    char segment[TESTSEG_NAME_MAX], said[65536]; /* said: after server_stop() */
};

/* `options`: more arguments, ends with NULL; NULL: none. `descriptors`: its limit, 0: as it is. */
void server_start(struct server *s, const char *const options[], unsigned descriptors);
void server_stop(struct server *s);
/* The processes of its workers; returns how many. */
int server_workers(const struct server *s, pid_t *pids, int pids_max);

struct reply {
    int status;             /* 0: the server closed the connection without a word; -1: it was reset */
    char head[8192], *body; /* body: 0-terminated; owned by the reply until the next one */
    size_t bytes;
};

int client_open(const struct server *s);
/* The same for forked children: -1 with errno where client_open() would fail the test. */
int client_try(const struct server *s);
/* A socket with small buffers, for clients that do not read. */
int client_open_narrow(const struct server *s);
void client_say(int fd, const char *text);
/* False: the server has closed it. */
bool client_send(int fd, const void *data, size_t bytes);
void client_read(int fd, struct reply *reply);
/* Expects that the server closes the connection, or has reset it. */
void client_expect_end(int fd);
void reply_free(struct reply *reply);
/* The value of a header, 0-terminated, in a buffer that the next call overwrites; NULL: none. */
const char *reply_header(const struct reply *reply, const char *name);

/* A request with Content-Length, and more header lines ("" or "Name: value\r\n.."). */
#define REQUEST_BYTES_MAX 4096
size_t request_text(char text[REQUEST_BYTES_MAX], const char *operation, const char *headers, const char *body);
/* Says it and reads the answer. */
void client_ask(int fd, const char *operation, const char *headers, const char *body, struct reply *reply);
void client_put(int fd, const char *key, const char *value);
/* Expects this status and body (NULL: any). */
void expect_reply(const struct reply *reply, int status, const char *body);

#endif

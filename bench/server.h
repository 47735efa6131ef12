/* bench/server.h - a peer that is a server: started on a Unix socket or a port, stopped by its
 * process id. */
#ifndef LARDER_BENCH_SERVER_H
#define LARDER_BENCH_SERVER_H

#include <sys/types.h>

/* Starts argv and waits until `socket` can be connected to. 0 and *why if it is not installed or
 * does not come up. */
pid_t server_start(const char *const argv[], const char *socket, const char **why);
/* Starts argv, which writes "127.0.0.1:PORT" to stderr when it listens. 0: it does not. */
pid_t server_start_port(char *const argv[], int *port);
void server_stop(pid_t pid);
/* A connected socket. Ends the program if there is none. */
int server_connect(const char *socket);

#endif

/* tests/serve/serve_cost.c - what a GetItem costs the server. A program of its own, no suite.
 *
 * Goal     Microseconds of the worker's CPU for a GetItem of a 300-byte item over a connection that
 *          stays: the target is 9.
 * Method   Starts `larder serve` with one worker, and asks on `connections` sockets at a time, a
 *          request in flight on each. The worker's CPU is what the kernel counts
 *          (/proc/PID/schedstat), so a busy machine changes it little.
 * Floor    Then the same requests go to a process that only does what each server must: one
 *          epoll_wait() for all that is ready, then recv() and send() of the same bytes. What it
 *          takes is the kernel's, and no server with these three calls takes less.
 * Usage    serve_cost [CONNECTIONS [REQUESTS]]       default 32 100000
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/load.h"
#include "larder.h"

static char segment[64];

#define FAIL(...) (fprintf(stderr, __VA_ARGS__), fputc('\n', stderr), larder_destroy(segment, LARDER_FORCE), exit(1))
#define CONNECTIONS_MAX 1024
#define ROUNDS 4 /* in turn */

static void fill(void) {
    struct larder_options options = {.segment = segment, .flags = LARDER_CREATE, .memfd = -1, .size_bytes = 16u << 20};
    struct larder_table_def def = {.name = "Items", .partition = {"p", LARDER_S}};
    struct larder_builder *builder;
    struct larder_table *table;
    struct larder *db;
    const struct larder_item *item;
    char name[16];
    if (larder_open(&options, &db) < 0 || larder_table_create(db, &def) < 0 ||
        larder_table_open(db, "Items", &table) < 0 || larder_builder_new(db, &builder) < 0)
        FAIL("%s", larder_error());
    larder_builder_add_s(builder, "p", "a");
    for (int i = 0; i < 9; i++) {
        snprintf(name, sizeof name, "attr%d", i);
        if (i % 3 == 0)
            larder_builder_add_int(builder, name, 1234567 + i);
        else
            larder_builder_add_s(builder, name, "thirty characters of some text");
    }
    if (larder_builder_finish(builder, &item) < 0 || larder_put(table, item, NULL) < 0)
        FAIL("%s", larder_error());
    larder_close(db);
}

static pid_t start(int *port) {
    int fds[2];
    char line[512] = "";
    size_t bytes = 0;
    if (pipe(fds) != 0)
        FAIL("no pipe");
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        dup2(fds[1], STDERR_FILENO);
        execl(LARDER_COMMAND, LARDER_COMMAND, "serve", "--listen", "0", "--workers", "1", "--segment", segment,
              (char *)NULL);
        _exit(127);
    }
    while (bytes + 1 < sizeof line && read(fds[0], line + bytes, 1) == 1 && line[bytes] != '\n')
        bytes++;
    const char *at = strstr(line, "127.0.0.1:");
    if (!at)
        FAIL("%s", line);
    *port = atoi(at + 10);
    return pid;
}

/* The one child of `parent`. */
static pid_t worker_of(pid_t parent) {
    DIR *folder = opendir("/proc");
    struct dirent *entry;
    pid_t found = 0;
    while (folder && !found && (entry = readdir(folder)) != NULL) {
        char path[300], text[256] = "", *end;
        int of = 0;
        snprintf(path, sizeof path, "/proc/%s/stat", entry->d_name);
        FILE *file = entry->d_name[0] >= '1' && entry->d_name[0] <= '9' ? fopen(path, "re") : NULL;
        if (!file)
            continue;
        if (fread(text, 1, sizeof text - 1, file) > 0 && (end = strrchr(text, ')')) &&
            sscanf(end + 1, " %*c %d", &of) == 1 && of == parent)
            found = atoi(entry->d_name);
        fclose(file);
    }
    if (folder)
        closedir(folder);
    return found;
}

/* Nanoseconds on a core, of the process's first thread. */
static unsigned long long cpu_of(pid_t pid) {
    char path[64];
    unsigned long long ns = 0;
    snprintf(path, sizeof path, "/proc/%d/schedstat", (int)pid);
    FILE *file = fopen(path, "re");
    if (!file || fscanf(file, "%llu", &ns) != 1)
        FAIL("%s cannot be read", path);
    fclose(file);
    return ns;
}

static int open_connection(int port) {
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons((in_port_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) != 0)
        FAIL("cannot connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

static char request[1024];
static size_t request_bytes;

static void make_request(void) {
    static const char body[] = "{\"TableName\":\"Items\",\"Key\":{\"p\":{\"S\":\"a\"}}}";
    int bytes = snprintf(request, sizeof request, LOAD_HEAD "%s", "GetItem", sizeof body - 1, body);
    if (bytes < 0 || (size_t)bytes >= sizeof request)
        FAIL("no room for the request");
    request_bytes = (size_t)bytes;
}

static char answer[4096];
static size_t answer_bytes;

static void ask(const int *fds, int count) {
    for (int i = 0; i < count; i++)
        if (write(fds[i], request, request_bytes) != (ssize_t)request_bytes)
            FAIL("the server does not take it");
    for (int i = 0; i < count; i++) {
        ssize_t n = read(fds[i], answer, sizeof answer);
        if (n < 300 || memcmp(answer, "HTTP/1.1 200", 12) != 0)
            FAIL("no answer: %.*s", (int)(n > 0 ? n : 0), answer);
        answer_bytes = (size_t)n;
    }
}

/* Answers whatever comes by the answer that came last. */
static void serve_floor(int listener) {
    static char scratch[65536];
    struct epoll_event events[256], event = {.events = EPOLLIN, .data.fd = listener};
    int epoll = epoll_create1(0);
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    for (;;)
        for (int i = 0, count = epoll_wait(epoll, events, 256, -1); i < count; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) {
                event.data.fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
                epoll_ctl(epoll, EPOLL_CTL_ADD, event.data.fd, &event);
            } else if (recv(fd, scratch, sizeof scratch, 0) <= 0 ||
                       send(fd, answer, answer_bytes, MSG_NOSIGNAL) != (ssize_t)answer_bytes)
                _exit(0);
        }
}

static pid_t start_floor(int *port) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof at;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&at, sizeof at) != 0 || listen(listener, 1024) != 0 ||
        getsockname(listener, (struct sockaddr *)&at, &bytes) != 0)
        FAIL("cannot listen");
    *port = ntohs(at.sin_port);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        serve_floor(listener);
    }
    close(listener);
    return pid;
}

/* Microseconds of the worker's CPU for each request. */
static double measure(const char *what, pid_t worker, const int *fds, int count, int requests) {
    struct timespec from, to;
    for (int i = 0; i < 100; i++)
        ask(fds, count);
    unsigned long long before = cpu_of(worker);
    clock_gettime(CLOCK_MONOTONIC, &from);
    for (int i = 0; i < requests / count; i++)
        ask(fds, count);
    clock_gettime(CLOCK_MONOTONIC, &to);
    double asked = (double)(requests / count) * count, us = (double)(cpu_of(worker) - before) / asked / 1000;
    double seconds = (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9;
    printf("%.2f us of the worker's CPU for a %s; %d connections, %.0f requests, %.0f a second\n", us, what, count,
           asked, asked / seconds);
    return us;
}

int main(int argc, char **argv) {
    int count = argc > 1 ? atoi(argv[1]) : 32, requests = argc > 2 ? atoi(argv[2]) : 100000, port;
    int fds[CONNECTIONS_MAX], floor_fds[CONNECTIONS_MAX];
    double us = 0, floor_us = 0;
    if (count < 1 || count > CONNECTIONS_MAX || requests < count)
        FAIL("usage: serve_cost [CONNECTIONS [REQUESTS]]");
    snprintf(segment, sizeof segment, "larder-serve-cost-%d", (int)getpid());
    make_request();
    fill();
    pid_t server = start(&port);
    for (int i = 0; i < count; i++)
        fds[i] = open_connection(port);
    ask(fds, count);
    pid_t least = start_floor(&port);
    for (int i = 0; i < count; i++)
        floor_fds[i] = open_connection(port);
    for (int i = 0; i < ROUNDS; i++) {
        us += measure("GetItem", worker_of(server), fds, count, requests / ROUNDS);
        floor_us += measure("recv and send", least, floor_fds, count, requests / ROUNDS);
    }
    printf("%.2f us, of which %.2f are the floor\n", us / ROUNDS, floor_us / ROUNDS);
    kill(least, SIGKILL);
    kill(server, SIGTERM);
    waitpid(least, NULL, 0);
    waitpid(server, NULL, 0);
    larder_destroy(segment, LARDER_FORCE);
    return 0;
}

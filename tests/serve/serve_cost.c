/* tests/serve/serve_cost.c - what a GetItem costs the server. A program of its own, no suite.
 *
 * Goal     Microseconds of the worker's CPU for a GetItem of a 300-byte item over a connection that
 *          stays: the target is 9.
 * Method   Starts `larder serve` with one worker, and asks on `connections` sockets at a time, a
 *          request in flight on each. The worker's CPU is what the kernel counts
 *          (/proc/PID/schedstat), so a busy machine changes it little.
 * Usage    serve_cost [CONNECTIONS [REQUESTS]]       default 32 100000
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

static void ask(const int *fds, int count) {
    char answer[4096];
    for (int i = 0; i < count; i++)
        if (write(fds[i], request, request_bytes) != (ssize_t)request_bytes)
            FAIL("the server does not take it");
    for (int i = 0; i < count; i++) {
        ssize_t n = read(fds[i], answer, sizeof answer);
        if (n < 300 || memcmp(answer, "HTTP/1.1 200", 12) != 0)
            FAIL("no answer: %.*s", (int)(n > 0 ? n : 0), answer);
    }
}

int main(int argc, char **argv) {
    int count = argc > 1 ? atoi(argv[1]) : 32, requests = argc > 2 ? atoi(argv[2]) : 100000, port, fds[CONNECTIONS_MAX];
    struct timespec from, to;
    if (count < 1 || count > CONNECTIONS_MAX || requests < count)
        FAIL("usage: serve_cost [CONNECTIONS [REQUESTS]]");
    snprintf(segment, sizeof segment, "larder-serve-cost-%d", (int)getpid());
    make_request();
    fill();
    pid_t server = start(&port), worker;
    for (int i = 0; i < count; i++)
        fds[i] = open_connection(port);
    for (int i = 0; i < 100; i++)
        ask(fds, count);
    worker = worker_of(server);
    unsigned long long before = cpu_of(worker);
    clock_gettime(CLOCK_MONOTONIC, &from);
    for (int i = 0; i < requests / count; i++)
        ask(fds, count);
    clock_gettime(CLOCK_MONOTONIC, &to);
    int rounds = requests / count;
    double asked = (double)rounds * count, ns = (double)(cpu_of(worker) - before);
    double seconds = (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9;
    printf("%.2f us of the worker's CPU for a GetItem; %d connections, %.0f requests, %.0f a second\n",
           ns / asked / 1000, count, asked, asked / seconds);
    kill(server, SIGTERM);
    waitpid(server, NULL, 0);
    larder_destroy(segment, LARDER_FORCE);
    return 0;
}

/* tests/serve/serve_kit.c - see serve_kit.h. */
#include "tests/serve/serve_kit.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/expect.h"
#include "tests/support/proc.h"
#include "tests/support/slow.h"

#define READ_SECONDS (60 * SLOW_FACTOR) /* ends what hangs */
#define OPTIONS_MAX 16

/* ---- The server ------------------------------------------------------------------------------ */

struct start {
    const char *const *options;
    const char *segment;
    unsigned descriptors;
    int errors;
};

static int start_command(void *arg) {
    const struct start *start = arg;
    const char *argv[OPTIONS_MAX + 8] = {LARDER_COMMAND, "serve",     "--listen",
                                         "127.0.0.1:0",  "--segment", start->segment};
    size_t count = 6;
    for (size_t i = 0; start->options && start->options[i]; i++)
        argv[count++] = start->options[i];
    if (start->descriptors) {
        struct rlimit limit = {start->descriptors, start->descriptors};
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    dup2(start->errors, STDERR_FILENO);
    execv(argv[0], (char *const *)argv);
    return PROC_CANNOT_EXEC;
}

static void make_table(const char *segment) {
    struct larder_table_def def = {.name = "Items", .partition = {"p", LARDER_S}};
    struct larder *db = testseg_open_named(segment, 16u << 20, 0);
    EXPECT(larder_table_create(db, &def), LARDER_OK);
    larder_close(db);
}

/* One line of its standard error. */
static void read_line(int fd, char *line, size_t room) {
    size_t bytes = 0;
    while (bytes + 1 < room && read(fd, line + bytes, 1) == 1 && line[bytes] != '\n')
        bytes++;
    line[bytes] = 0;
}

void server_start(struct server *s, const char *const options[], unsigned descriptors) {
    int pipe_fds[2];
    char line[512];
    testseg_name(s->segment);
    make_table(s->segment);
    cr_assert_eq(pipe2(pipe_fds, O_CLOEXEC), 0);
    struct start start = {options, s->segment, descriptors, pipe_fds[1]};
    s->pid = proc_fork(start_command, &start);
    close(pipe_fds[1]);
    s->errors = pipe_fds[0];
    read_line(s->errors, line, sizeof line);
    const char *at = strstr(line, "http://127.0.0.1:");
    cr_assert(at, "the server said: %s", line);
    s->port = atoi(at + 17);
}

void server_stop(struct server *s) {
    cr_assert_eq(kill(s->pid, SIGTERM), 0);
    struct proc_result end = proc_wait(s->pid, 15000);
    size_t bytes = 0;
    ssize_t n;
    while (bytes + 1 < sizeof s->said && (n = read(s->errors, s->said + bytes, sizeof s->said - 1 - bytes)) > 0)
        bytes += (size_t)n;
    s->said[bytes] = 0;
    close(s->errors);
    testseg_destroy(s->segment);
    cr_assert(proc_is_exit(end, 0), "the server ended with %s; it said: %s", proc_text(end), s->said);
}

/* The parent of a process; 0 if it has gone. */
static pid_t parent_of(const char *pid) {
    char path[300], text[512] = "";
    snprintf(path, sizeof path, "/proc/%s/stat", pid);
    FILE *file = fopen(path, "re");
    if (!file)
        return 0;
    size_t bytes = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[bytes] = 0;
    const char *name_end = strrchr(text, ')');
    int parent = 0;
    char state = 'Z';
    if (!name_end || sscanf(name_end + 1, " %c %d", &state, &parent) != 2 || state == 'Z')
        return 0;
    return parent;
}

int server_workers(const struct server *s, pid_t *pids, int pids_max) {
    DIR *folder = opendir("/proc");
    struct dirent *entry;
    int count = 0;
    cr_assert(folder);
    while (count < pids_max && (entry = readdir(folder)) != NULL)
        if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' && parent_of(entry->d_name) == s->pid)
            pids[count++] = atoi(entry->d_name);
    closedir(folder);
    return count;
}

/* ---- Clients --------------------------------------------------------------------------------- */

static int open_socket(const struct server *s, int receive_bytes) {
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((in_port_t)s->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval limit = {.tv_sec = READ_SECONDS};
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (receive_bytes)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

int client_try(const struct server *s) {
    return open_socket(s, 0);
}

int client_open(const struct server *s) {
    int fd = open_socket(s, 0);
    cr_assert(fd >= 0, "%s", strerror(errno));
    return fd;
}

int client_open_narrow(const struct server *s) {
    int fd = open_socket(s, 4096);
    cr_assert(fd >= 0, "%s", strerror(errno));
    return fd;
}

bool client_send(int fd, const void *data, size_t bytes) {
    for (size_t sent = 0; sent < bytes;) {
        ssize_t n = send(fd, (const char *)data + sent, bytes - sent, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        sent += (size_t)n;
    }
    return true;
}

void client_say(int fd, const char *text) {
    cr_assert(client_send(fd, text, strlen(text)), "the server does not take it: %s", strerror(errno));
}

/* The head, up to the empty line. False: closed or reset before its first byte; status says it. */
static bool read_head(int fd, struct reply *reply) {
    size_t bytes = 0;
    while (bytes < 4 || memcmp(reply->head + bytes - 4, "\r\n\r\n", 4) != 0) {
        cr_assert(bytes + 1 < sizeof reply->head, "a head without an end");
        ssize_t n = recv(fd, reply->head + bytes, 1, 0);
        cr_assert(n > 0 || bytes == 0, "half a head: %.*s", (int)bytes, reply->head);
        if (n <= 0) {
            cr_assert(n == 0 || errno == ECONNRESET || errno == EPIPE, "no answer: %s", strerror(errno));
            reply->status = n == 0 ? 0 : -1;
            return false;
        }
        bytes++;
    }
    reply->head[bytes] = 0;
    return true;
}

void client_read(int fd, struct reply *reply) {
    reply_free(reply);
    reply->head[0] = 0;
    if (!read_head(fd, reply))
        return;
    cr_assert_eq(sscanf(reply->head, "HTTP/1.1 %d ", &reply->status), 1, "%s", reply->head);
    if (reply->status == 100)
        return;
    const char *length = reply_header(reply, "Content-Length");
    cr_assert(length, "%s", reply->head);
    reply->bytes = strtoul(length, NULL, 10);
    cr_assert(reply->bytes <= SERVE_BODY_BYTES_MAX);
    reply->body = calloc(1, reply->bytes + 1);
    for (size_t got = 0; got < reply->bytes;) {
        ssize_t n = recv(fd, reply->body + got, reply->bytes - got, 0);
        cr_assert(n > 0, "%zu of %zu bytes came: %s", got, reply->bytes, n ? strerror(errno) : "closed");
        got += (size_t)n;
    }
}

void client_expect_end(int fd) {
    char byte;
    ssize_t n = recv(fd, &byte, 1, 0);
    cr_assert(n == 0 || (n < 0 && errno == ECONNRESET), "not closed: %s", n > 0 ? "more came" : strerror(errno));
    close(fd);
}

void reply_free(struct reply *reply) {
    free(reply->body);
    reply->body = NULL;
    reply->bytes = 0;
}

const char *reply_header(const struct reply *reply, const char *name) {
    static char value[1024];
    size_t name_bytes = strlen(name);
    for (const char *line = strstr(reply->head, "\r\n"); line; line = strstr(line + 2, "\r\n"))
        if (strncasecmp(line + 2, name, name_bytes) == 0 && line[2 + name_bytes] == ':') {
            snprintf(value, sizeof value, "%.*s", (int)strcspn(line + 4 + name_bytes, "\r"), line + 4 + name_bytes);
            return value;
        }
    return NULL;
}

size_t request_text(char text[REQUEST_BYTES_MAX], const char *operation, const char *headers, const char *body) {
    int bytes = snprintf(text, REQUEST_BYTES_MAX,
                         "POST / HTTP/1.1\r\nHost: h\r\nContent-Type: application/x-amz-json-1.0\r\n"
                         "X-Amz-Target: DynamoDB_20120810.%s\r\n%sContent-Length: %zu\r\n\r\n%s",
                         operation, headers, strlen(body), body);
    cr_assert(bytes > 0 && bytes < REQUEST_BYTES_MAX);
    return (size_t)bytes;
}

void client_ask(int fd, const char *operation, const char *headers, const char *body, struct reply *reply) {
    char text[REQUEST_BYTES_MAX];
    cr_assert(client_send(fd, text, request_text(text, operation, headers, body)), "%s", strerror(errno));
    client_read(fd, reply);
}

void client_put(int fd, const char *key, const char *value) {
    struct reply reply = {0};
    char body[REQUEST_BYTES_MAX / 2];
    snprintf(body, sizeof body, "{\"TableName\":\"Items\",\"Item\":{\"p\":{\"S\":\"%s\"},\"v\":{\"S\":\"%s\"}}}", key,
             value);
    client_ask(fd, "PutItem", "", body, &reply);
    expect_reply(&reply, 200, "{}");
    reply_free(&reply);
}

void expect_reply(const struct reply *reply, int status, const char *body) {
    cr_assert_eq(reply->status, status, "%d, not %d: %s%s", reply->status, status, reply->head,
                 reply->body ? reply->body : "");
    cr_assert(!body || (reply->body && strcmp(reply->body, body) == 0), "%s, not %s",
              reply->body ? reply->body : "nothing", body);
}

/* bench/server.c - see server.h. */
#include "bench/server.h"
#include "bench/fail.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LOOKS 500 /* of 10 ms each */

static int try_connect(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    close(fd);
    return -1;
}

pid_t server_start(const char *const argv[], const char *path, const char **why) {
    pid_t pid = fork();
    if (pid == 0) {
        int null = open("/dev/null", O_RDWR);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(null, 0), dup2(null, 1), dup2(null, 2);
        execvp(argv[0], (char *const *)argv);
        _exit(127);
    }
    for (int i = 0; i < LOOKS; i++) {
        struct timespec pause = {.tv_nsec = 10000000};
        int fd = try_connect(path);
        if (fd >= 0) {
            close(fd);
            return pid;
        }
        if (waitpid(pid, NULL, WNOHANG) == pid) {
            *why = "not installed, or does not start";
            return 0;
        }
        nanosleep(&pause, NULL);
    }
    server_stop(pid);
    *why = "does not open its socket";
    return 0;
}

pid_t server_start_port(char *const argv[], int *port) {
    int fds[2];
    char line[512] = "";
    size_t bytes = 0;
    const char *at;
    if (pipe2(fds, O_CLOEXEC) != 0)
        return 0;
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(fds[1], STDERR_FILENO);
        execvp(argv[0], argv);
        _exit(127);
    }
    close(fds[1]);
    while (bytes + 1 < sizeof line && read(fds[0], line + bytes, 1) == 1 && line[bytes] != '\n')
        bytes++;
    /* the pipe stays open: what a server says later must not end it */
    if ((at = strstr(line, "127.0.0.1:")) && sscanf(at + 10, "%d", port) == 1)
        return pid;
    fputs(line, stderr);
    server_stop(pid);
    return 0;
}

void server_stop(pid_t pid) {
    kill(pid, SIGTERM);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
    }
}

int server_connect(const char *path) {
    int fd = try_connect(path);
    if (fd < 0)
        fail("%s: %s", path, strerror(errno));
    return fd;
}

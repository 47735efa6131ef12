/* child.c - the processes that the supervisor starts, kills and waits for. See child.h. */
#include "child.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHILD_CATCH_TRIES 500

bool child_start(struct child *c, const char *role, const char *segment, int board_fd, uint32_t slot, uint32_t share,
                 uint32_t share_count) {
    char fd_text[16], slot_text[16], share_text[32];
    (void)snprintf(fd_text, sizeof fd_text, "%d", board_fd);
    (void)snprintf(slot_text, sizeof slot_text, "%u", slot);
    (void)snprintf(share_text, sizeof share_text, "%u/%u", share, share_count);
    const char *const argv[] = {"shuttle", role,      "--segment", segment,    "--board", fd_text,
                                "--slot",  slot_text, "--share",   share_text, NULL};
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() == parent) /* else the parent died before the line above */
            (void)execv("/proc/self/exe", (char *const *)argv);
        _exit(127);
    }
    *c = (struct child){.pid = pid > 0 ? pid : 0, .slot = slot};
    return pid > 0;
}

/* Stops the child and returns what it was doing; 0 if it was in no call. */
static uint32_t child_stop(struct child *c, const struct board *board) {
    int status;
    (void)kill(c->pid, SIGSTOP);
    if (waitpid(c->pid, &status, WUNTRACED) != c->pid || !WIFSTOPPED(status)) {
        c->pid = 0; /* it has ended on its own */
        return 0;
    }
    return atomic_load(&board->slot[c->slot].in_call);
}

uint32_t child_kill_in_call(struct child *c, const struct board *board) {
    uint32_t in_call = 0;
    for (int i = 0; i < CHILD_CATCH_TRIES; i++) {
        in_call = child_stop(c, board);
        if (in_call > 0 || c->pid == 0)
            break;
        (void)kill(c->pid, SIGCONT);
        (void)usleep(300 + (useconds_t)i * 7); /* no rhythm that a loop in the child could share */
    }
    if (c->pid > 0) {
        (void)kill(c->pid, SIGKILL);
        (void)waitpid(c->pid, NULL, 0);
    }
    c->pid = 0;
    return in_call;
}

bool child_join(struct child *c, unsigned seconds_max) {
    int status = 0;
    pid_t ended = 0;
    for (unsigned i = 0; i < seconds_max * 100 && ended == 0; i++) {
        ended = waitpid(c->pid, &status, WNOHANG);
        if (ended == 0)
            (void)usleep(10000);
    }
    if (ended == 0) {
        (void)fprintf(stderr, "shuttle: process %d does not end; killing it\n", (int)c->pid);
        (void)kill(c->pid, SIGKILL);
        (void)waitpid(c->pid, &status, 0);
    }
    c->pid = 0;
    return ended > 0 && WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS;
}

bool child_has_died(struct child *c) {
    int status;
    if (c->pid == 0 || waitpid(c->pid, &status, WNOHANG) != c->pid)
        return false;
    if (WIFSIGNALED(status))
        (void)fprintf(stderr, "shuttle: process %d died of signal %d\n", (int)c->pid, WTERMSIG(status));
    else
        (void)fprintf(stderr, "shuttle: process %d ended with code %d\n", (int)c->pid, WEXITSTATUS(status));
    c->pid = 0;
    return true;
}

/* tests/crash/death_victim.c - the program that dies for tests/crash/death_test.c.
 *
 * Job      death_victim HOW MEMFD K: attaches to the segment of the memfd, lets a thread stand
 *          still before the K-th store of a put (tests/crash/park.h), and then ends as HOW says,
 *          with the handle open:
 *            exec       the process image is replaced by this program, as `work`
 *            exit       exit() in a thread that writes nothing; an atexit handler uses the handle
 *            _exit      at once; abort: by SIGABRT
 *            return     main() returns while the expirer is at work as well
 *            last       pthread_exit() of main(): the writer goes on, finishes, and ends last
 *            spawn      does not die: starts `work` by posix_spawn() beside the standing thread,
 *                       and another by vfork()
 *          `work` attaches and writes in every stripe: the new process image must be able to use
 *          the segment at once. Exit 0, or 3 and a text for what did not hold. 4: the put has fewer
 *          than K stores.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/crash/cutoff.h"
#include "tests/crash/park.h"

#define WRONG 3
#define NO_SUCH_STORE 4

const char *__asan_default_options(void);
const char *__asan_default_options(void) {
    return "detect_leaks=0"; /* the handle is left open on purpose */
}

static char *const *args;
static struct larder *victim;

#define MUST(condition)                                                                                                \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "death_victim %s: %s does not hold: %s\n", args[1], #condition, larder_error());           \
            _exit(WRONG);                                                                                              \
        }                                                                                                              \
    } while (0)

static int64_t clock_of_victim(void *arg) {
    (void)arg;
    return world_now_s;
}

static int act(void *db) {
    return cutoff_act(db);
}

static int work(void) {
    struct larder *db = world_open(atoi(args[2]));
    MUST(cutoff_probe(db) == LARDER_OK);
    larder_close(db);
    return 0;
}

static char *const *work_args(void) {
    static char how[] = "work";
    static char *list[4];
    list[0] = args[0];
    list[1] = how;
    list[2] = args[2];
    return list;
}

/* What a program does at its end: one more write, and it reads its own items. The standing thread
 * may hold a stripe. */
static void use_at_exit(void) {
    char *text = world_dump(victim);
    MUST(strstr(text, "table " WORLD_TABLE));
    free(text);
    int r = cutoff_probe(victim);
    MUST(r == LARDER_OK || r == LARDER_E_BUSY);
    MUST(world_delete(victim, CUTOFF_PROBE) >= LARDER_E_BUSY);
}

static int must_end_well(pid_t pid) {
    int status;
    MUST(waitpid(pid, &status, 0) == pid);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* The children share this process's memory until they execute another program, so they must not
 * inherit anything of ours. */
static int spawn_beside(void) {
    pid_t spawned, pid;
    MUST(posix_spawn(&spawned, "/proc/self/exe", NULL, NULL, work_args(), environ) == 0);
    char *const *list = work_args();
    pid = vfork(); // NOLINT(clang-analyzer-security.insecureAPI.vfork): it is what is tested
    if (pid == 0) {
        execv("/proc/self/exe", list);
        _exit(WRONG);
    }
    park_go_on();
    MUST(must_end_well(spawned) && must_end_well(pid));
    MUST(park_end() == LARDER_OK);
    MUST(cutoff_probe(victim) == LARDER_OK);
    larder_close(victim);
    return 0;
}

static void *go_on_later(void *arg) {
    (void)arg;
    park_go_on();
    return NULL;
}

static int die(const char *how) {
    pthread_t thread;
    if (strcmp(how, "exec") == 0) {
        execv("/proc/self/exe", work_args());
        MUST(!"exec");
    }
    if (strcmp(how, "exit") == 0) {
        MUST(atexit(use_at_exit) == 0);
        exit(0);
    }
    if (strcmp(how, "_exit") == 0)
        _exit(0);
    if (strcmp(how, "abort") == 0)
        abort();
    if (strcmp(how, "last") == 0) {
        MUST(pthread_create(&thread, NULL, go_on_later, NULL) == 0);
        pthread_exit(NULL);
    }
    return strcmp(how, "spawn") == 0 ? spawn_beside() : 0; /* "return" */
}

int main(int argc, char **argv) {
    args = argv;
    leaf_capacity = 4;
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    signal(SIGABRT, SIG_DFL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (argc == 3)
        return work();
    struct larder_options o = {.flags = LARDER_MEMFD, .memfd = atoi(argv[2]), .busy_timeout_ms = CUTOFF_BUSY_MS};
    MUST(larder_open(&o, &victim) == LARDER_OK);
    larder_set_clock(victim, clock_of_victim, NULL);
    if (!park_begin(strtoull(argv[3], NULL, 10), act, victim))
        return NO_SUCH_STORE;
    if (strcmp(argv[1], "return") == 0)
        MUST(larder_expirer_start(victim) == LARDER_OK);
    return die(argv[1]);
}

/* tests/embed/host.c - a program that knows nothing of Larder and loads it: host HOW LIBRARY
 * SEGMENT [FOLDER].
 *
 * Method   One process for each way; prints what went wrong and exits with 1, or is silent.
 *            plain     dlopen, RTLD_LOCAL
 *            deepbind  with RTLD_DEEPBIND
 *            thread    loaded and used in a thread with a stack of 64 KB
 *            crowd     after all libraries of FOLDER, which use up the static TLS that is left
 *            loop      loaded and closed 10,000 times, the last time with handle and expirer open
 *            twice     two copies (FOLDER/copy.so) on one segment, loaded RTLD_GLOBAL
 *            fork      used, forked, used in the child and in a child of the child
 *            names     this program has functions of the library's names
 */
#include <dirent.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "use.h"

#define LOOPS 10000
#define STACK_BYTES (64u << 10)
#define LIBRARIES_MIN 100

static const char *library_path, *segment, *folder;

static void fail(const char *what) {
    fprintf(stderr, "%s\n", what ? what : "unknown");
    exit(1);
}

static void *load(const char *path, int flags) {
    void *library = dlopen(path, RTLD_NOW | flags);
    if (!library)
        fail(dlerror());
    return library;
}

static void use(void *library) {
    struct use u;
    const char *wrong = use_find(&u, library);
    if (!wrong)
        wrong = use_segment(&u, segment);
    if (wrong)
        fail(wrong);
}

static void *use_in_thread(void *arg) {
    (void)arg;
    use(load(library_path, RTLD_LOCAL));
    return NULL;
}

static void host_thread(void) {
    pthread_t thread;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    if (pthread_create(&thread, &attributes, use_in_thread, NULL) != 0)
        fail("no thread");
    pthread_join(thread, NULL);
}

/* Libraries with static TLS are refused when it is used up; then none of it is left for this
 * one. */
static void host_crowd(void) {
    char path[4096];
    int loaded = 0, refused = 0;
    DIR *d = opendir(folder);
    for (struct dirent *e; d && (e = readdir(d));) {
        if (!strstr(e->d_name, "crowd"))
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        if (dlopen(path, RTLD_NOW))
            loaded++;
        else
            refused++;
    }
    if (loaded < LIBRARIES_MIN || !refused)
        fail("the crowd is too small");
    use(load(library_path, RTLD_LOCAL));
}

static void host_loop(void) {
    struct use u;
    struct larder *db;
    const struct larder_options options = {.segment = segment, .flags = LARDER_CREATE, .size_bytes = 8u << 20};
    for (int i = 0; i < LOOPS; i++) {
        void *library = load(library_path, RTLD_LOCAL);
        if (i % 1000 == 0)
            use(library);
        dlclose(library);
    }
    void *library = load(library_path, RTLD_LOCAL);
    if (use_find(&u, library) || u.larder_open(&options, &db) != LARDER_OK || u.larder_expirer_start(db) != LARDER_OK)
        fail("the last round did not open");
    dlclose(library);
    /* long enough for several turns of the expirer's thread, whose code must still be there */
    usleep(300000);
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    int status;
    if (waitpid(child, &status, 0) != child || status != 0)
        fail("a fork after dlclose() failed");
}

static void host_twice(void) {
    char copy[4096];
    struct use first, second;
    snprintf(copy, sizeof copy, "%s/copy.so", folder);
    if (use_find(&first, load(library_path, RTLD_GLOBAL)) || use_find(&second, load(copy, RTLD_GLOBAL)))
        fail("a function is missing");
    if (first.larder_open == second.larder_open)
        fail("the copy is the same library");
    const struct larder_options options = {.segment = segment, .flags = LARDER_CREATE, .size_bytes = 8u << 20};
    struct larder *db;
    if (first.larder_open(&options, &db) != LARDER_OK)
        fail(first.larder_error());
    const char *wrong = use_segment(&second, segment);
    if (!wrong)
        wrong = use_segment(&first, segment);
    first.larder_close(db);
    if (wrong)
        fail(wrong);
}

static void use_in_child(void *library, int depth) {
    int status;
    pid_t child = fork();
    if (child == 0) {
        use(library);
        if (depth > 1)
            use_in_child(library, depth - 1);
        exit(0);
    }
    if (waitpid(child, &status, 0) != child || status != 0)
        fail("the child failed");
}

static void host_fork(void) {
    void *library = load(library_path, RTLD_LOCAL);
    use(library);
    use_in_child(library, 2);
}

#ifdef EMBED_NAMES
/* Not called by a library that calls its own. */
const char *larder_error(void) {
    abort();
}
int larder_item_getn(const struct larder_item *item, const char *name, size_t bytes, struct larder_value *out) {
    (void)item, (void)name, (void)bytes, (void)out;
    abort();
}
void larder_page_free(struct larder_page *page) {
    (void)page;
    abort();
}
#endif

int main(int argc, char **argv) {
    if (argc < 4)
        return 2;
    library_path = argv[2];
    segment = argv[3];
    folder = argc > 4 ? argv[4] : "";
    if (strcmp(argv[1], "thread") == 0)
        host_thread();
    else if (strcmp(argv[1], "crowd") == 0)
        host_crowd();
    else if (strcmp(argv[1], "loop") == 0)
        host_loop();
    else if (strcmp(argv[1], "twice") == 0)
        host_twice();
    else if (strcmp(argv[1], "fork") == 0)
        host_fork();
    else if (strcmp(argv[1], "deepbind") == 0)
        use(load(library_path, RTLD_LOCAL | RTLD_DEEPBIND));
    else
        use(load(library_path, RTLD_LOCAL));
    return 0;
}

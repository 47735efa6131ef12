/* serve/serve.h - `larder serve`: DynamoDB's HTTP endpoint for one segment.
 *
 * Job      Workers attach to the segment and answer; a supervisor starts them, replaces those that
 *          die, and ends them.
 * Tests    tests/serve/serve_test.sh, tests/serve/serve_kill_test.c
 */
#ifndef LARDER_SERVE_H
#define LARDER_SERVE_H

#include <stdbool.h>
#include <stdint.h>

#define SERVE_WORKERS_MAX 256u
#define SERVE_SECONDS_MAX 86400u

/* How it ended. A message has been noted unless it is SERVE_DONE. */
enum serve_end { SERVE_DONE, SERVE_WRONG_OPTION, SERVE_WRONG_FILE, SERVE_NOT_MADE, SERVE_FAILED };

struct serve_options {
    const char *segment;
    uint32_t owner_flag;     /* LARDER_ANY_OWNER or 0 */
    const char *listen;      /* HOST:PORT, [ADDRESS]:PORT or PORT; port 0: any that is free */
    const char *credentials; /* a file; NULL: signatures are not looked at */
    const char *origin;      /* an origin whose pages may ask, "*": all; NULL: those of this host */
    bool is_exposed;         /* other hosts may ask without a signature */
    uint32_t worker_count;
    uint32_t idle_seconds;    /* a connection without a request is closed after these */
    uint32_t request_seconds; /* in which a request must come, and its answer be taken */
    /* Makes segment and tables if they are missing, once all else is known to be right. False:
     * after a message of its own (SERVE_NOT_MADE). */
    bool (*make)(void *arg);
    void *make_arg;
    /* One line for people; must replace control characters. */
    void (*note)(const char *format, ...) __attribute__((format(printf, 1, 2)));
};

/* Serves until SIGTERM or SIGINT. This process must not be attached, but in make().
 * The signals stay blocked. */
enum serve_end serve_run(const struct serve_options *options);

#endif

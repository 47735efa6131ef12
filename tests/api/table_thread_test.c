/* tests/api/table_thread_test.c - threads of one handle beside changes of definitions.
 *
 * Goal     Threads share handles and views while tables come and go, and a definition changes: each
 *          call gives a result that is allowed, and nothing is left.
 * Method   Two threads change, two look, for three hundred changes.
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "larder.h"
#include "tests/support/expect.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"

TestSuite(table_thread, .timeout = 60 * SLOW_FACTOR);

#define CHANGES 300

/* What the threads of one handle do at once. Returns 0 or the first result that is not allowed. */
struct job {
    struct larder *db;
    _Atomic int *is_over;
    int wrong;
};

static void *change_definitions(void *arg) {
    struct job *job = arg;
    struct larder_table *t;
    job->wrong = larder_table_open(job->db, "stays", &t);
    for (int i = 0; i < CHANGES && job->wrong == LARDER_OK; i++)
        job->wrong = larder_removal_set(t, i % 2 ? LARDER_REMOVAL_DELETE : LARDER_REMOVAL_RETAIN);
    atomic_fetch_add(job->is_over, 1);
    return NULL;
}

static void *come_and_go(void *arg) {
    struct job *job = arg;
    const struct larder_table_def def = {
        .name = "comes-and-goes", .partition = {"PK", LARDER_S}, .sort = {"SK", LARDER_S}};
    for (int i = 0; i < CHANGES && job->wrong == LARDER_OK; i++) {
        job->wrong = larder_table_create(job->db, &def);
        if (job->wrong == LARDER_OK)
            job->wrong = larder_table_drop(job->db, def.name);
    }
    atomic_fetch_add(job->is_over, 1);
    return NULL;
}

static int look_around(struct larder *db) {
    const struct larder_table_def *def;
    const char *names[4];
    struct larder_table *t;
    uint32_t count = 0;
    int result = larder_table_list(db, names, 4, &count);
    if (result == LARDER_OK && (count < 1 || count > 2 || strcmp(names[count - 1], "stays") != 0))
        return LARDER_E_CORRUPT;
    if (result == LARDER_OK)
        result = larder_table_open(db, "stays", &t);
    if (result == LARDER_OK)
        result = larder_table_describe(t, &def);
    if (result != LARDER_OK || strcmp(def->name, "stays") != 0)
        return result != LARDER_OK ? result : LARDER_E_CORRUPT;
    result = larder_table_open(db, "comes-and-goes", &t);
    if (result == LARDER_OK)
        result = larder_table_describe(t, &def);
    return result == LARDER_E_NO_TABLE ? LARDER_OK : result;
}

static void *look_until_over(void *arg) {
    struct job *job = arg;
    while (atomic_load(job->is_over) < 2 && job->wrong == LARDER_OK)
        job->wrong = look_around(job->db);
    return NULL;
}

Test(table_thread, threads_share_handles_and_views_while_definitions_change) {
    struct larder *db = testseg_open(8u << 20, 4), *other = testseg_attach(db, 0);
    const struct larder_table_def def = {.name = "stays", .partition = {"PK", LARDER_S}, .sort = {"SK", LARDER_S}};
    struct larder_check_report report;
    EXPECT(larder_table_create(db, &def), LARDER_OK);
    _Atomic int is_over = 0;
    struct job jobs[] = {{.db = db, .is_over = &is_over},
                         {.db = other, .is_over = &is_over},
                         {.db = db, .is_over = &is_over},
                         {.db = db, .is_over = &is_over}};
    void *(*const run[])(void *) = {change_definitions, come_and_go, look_until_over, look_until_over};
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, run[i], &jobs[i]), 0);
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
        cr_assert_eq(jobs[i].wrong, LARDER_OK, "thread %d: %s", i, larder_result_name(jobs[i].wrong));
    }
    EXPECT(larder_check(db, NULL, &report), LARDER_OK);
    cr_assert_eq(report.leaked_blocks, 0);
    larder_close(other);
    larder_close(db);
}

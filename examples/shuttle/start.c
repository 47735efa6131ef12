/* start.c - access pattern 22: a job starts only if its shop has none running.
 *
 * Job      Four processes start and finish jobs of a few shops, each by one transaction over two
 *          items, while processes are killed at random moments. A judge asks all the while, by an
 *          index, how many jobs of a shop are running: never two. Shop and job never disagree.
 * Usage    shuttle_start SEGMENT SECONDS     Exit 0 if nothing was wrong.
 * Idea     Shop:  PK SHOP#start-1, SK METADATA; runningJob is the SK of its job.
 *          Job:   PK SHOP#start-1, SK JOB#2-7; in GSI1 as long as it is running.
 */
#include <larder.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TABLE "InavorShuttleTable"
#define SHOPS 8u
#define WORKERS 4u
#define JOBS 50u /* of a worker, used in turns */
#define KILL_EVERY_MS 25
#define RUNNING_PREFIX "RUNNING#"

/* Of all processes. */
struct score {
    _Atomic uint64_t started, refused, finished;
};

struct starter {
    struct larder *db;
    struct larder_table *table;
    struct larder_builder *job, *values[2]; /* values: of each action */
    struct larder_page *page, *items;
    struct larder_expr *is_idle, *take_shop, *is_new, *is_this, *leave_shop, *is_running, *end_job;
};

static const struct larder_expr_name status_name = {"#s", "status"};

static void fail(const char *what) {
    fprintf(stderr, "shuttle_start: %s: %s\n", what, larder_error());
    _exit(1);
}

static void must(int result, const char *what) {
    if (result < 0)
        fail(what);
}

static struct larder_expr *prepare(struct starter *s, enum larder_expr_kind kind, const char *text) {
    struct larder_expr *expr;
    int uses_status = strstr(text, "#s") != NULL;
    must(larder_prepare(s->db, kind, text, uses_status ? &status_name : NULL, (uint32_t)uses_status, &expr), text);
    return expr;
}

static void open_all(struct starter *s, const char *segment) {
    const struct larder_options options = {.segment = segment};
    must(larder_open(&options, &s->db), segment);
    must(larder_table_open(s->db, TABLE, &s->table), TABLE);
    must(larder_builder_new(s->db, &s->job), "builder");
    must(larder_builder_new(s->db, &s->values[0]), "builder");
    must(larder_builder_new(s->db, &s->values[1]), "builder");
    must(larder_page_new(s->db, &s->page), "page");
    must(larder_page_new(s->db, &s->items), "page");
    s->is_idle = prepare(s, LARDER_EXPR_CONDITION, "attribute_not_exists(runningJob)");
    s->take_shop = prepare(s, LARDER_EXPR_UPDATE, "SET runningJob = :job");
    s->is_new = prepare(s, LARDER_EXPR_CONDITION, "attribute_not_exists(PK) OR #s = :done");
    s->is_this = prepare(s, LARDER_EXPR_CONDITION, "runningJob = :job");
    s->leave_shop = prepare(s, LARDER_EXPR_UPDATE, "REMOVE runningJob");
    s->is_running = prepare(s, LARDER_EXPR_CONDITION, "#s = :running");
    s->end_job = prepare(s, LARDER_EXPR_UPDATE, "SET #s = :done REMOVE GSI1PK, GSI1SK");
}

/* ---- The two transactions -------------------------------------------------------------------- */

struct names {
    char shop[32], running[48];
};

static struct names names_of(unsigned shop) {
    struct names n;
    snprintf(n.shop, sizeof n.shop, "SHOP#start-%u", shop);
    snprintf(n.running, sizeof n.running, RUNNING_PREFIX "%s", n.shop);
    return n;
}

static struct larder_key key_of(const struct names *n, const char *sort) {
    return (struct larder_key){.partition = larder_str(n->shop), .sort = larder_str(sort)};
}

static const struct larder_item *values_of(struct larder_builder *b, const char *name, const char *value,
                                           const char *name2, const char *value2) {
    const struct larder_item *values;
    larder_builder_reset(b);
    larder_builder_add_s(b, name, value);
    if (name2)
        larder_builder_add_s(b, name2, value2);
    must(larder_builder_finish(b, &values), "values");
    return values;
}

static const struct larder_item *job_item(struct starter *s, const struct names *n, const char *job) {
    const struct larder_item *item;
    larder_builder_reset(s->job);
    larder_builder_add_s(s->job, "PK", n->shop);
    larder_builder_add_s(s->job, "SK", job);
    larder_builder_add_s(s->job, "status", "RUNNING");
    larder_builder_add_s(s->job, "GSI1PK", n->running);
    larder_builder_add_s(s->job, "GSI1SK", job);
    must(larder_builder_finish(s->job, &item), "job");
    return item;
}

/* Values must have no name that an expression does not use, so each action has its own. */
static int transact(struct starter *s, struct larder_action actions[2]) {
    const struct larder_transaction both = {.actions = actions, .count = 2};
    int result = larder_transact(s->db, &both, NULL, NULL);
    must(result, "larder_transact");
    return result;
}

static int start_job(struct starter *s, unsigned shop, const char *job) {
    struct names n = names_of(shop);
    struct larder_action actions[2] = {
        {.kind = LARDER_ACTION_UPDATE, .condition = s->is_idle, .update = s->take_shop},
        {.kind = LARDER_ACTION_PUT, .condition = s->is_new},
    };
    actions[0].table = actions[1].table = s->table;
    actions[0].key = key_of(&n, "METADATA");
    actions[0].values = values_of(s->values[0], ":job", job, NULL, NULL);
    actions[1].item = job_item(s, &n, job);
    actions[1].values = values_of(s->values[1], ":done", "DONE", NULL, NULL);
    return transact(s, actions);
}

static int finish_job(struct starter *s, unsigned shop, const char *job) {
    struct names n = names_of(shop);
    struct larder_action actions[2] = {
        {.kind = LARDER_ACTION_UPDATE, .condition = s->is_this, .update = s->leave_shop},
        {.kind = LARDER_ACTION_UPDATE, .condition = s->is_running, .update = s->end_job},
    };
    actions[0].table = actions[1].table = s->table;
    actions[0].key = key_of(&n, "METADATA");
    actions[0].values = values_of(s->values[0], ":job", job, NULL, NULL);
    actions[1].key = key_of(&n, job);
    actions[1].values = values_of(s->values[1], ":running", "RUNNING", ":done", "DONE");
    return transact(s, actions);
}

/* ---- A worker -------------------------------------------------------------------------------- */

static _Noreturn void work(const char *segment, unsigned number, unsigned seed, struct score *score) {
    struct starter s;
    char job[32];
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    open_all(&s, segment);
    for (unsigned i = 0;; i++) {
        unsigned shop = (unsigned)rand_r(&seed) % SHOPS;
        snprintf(job, sizeof job, "JOB#%u-%u", number, i % JOBS);
        if (start_job(&s, shop, job) == LARDER_REFUSED) {
            atomic_fetch_add(&score->refused, 1);
            continue;
        }
        atomic_fetch_add(&score->started, 1);
        if (finish_job(&s, shop, job) == LARDER_REFUSED)
            fail("a job that this process runs was finished by another");
        atomic_fetch_add(&score->finished, 1);
    }
}

static pid_t start_worker(const char *segment, unsigned number, struct score *score) {
    static unsigned seed = 1;
    pid_t pid = fork();
    seed++;
    if (pid == 0)
        work(segment, number, seed, score);
    return pid;
}

/* ---- The judge ------------------------------------------------------------------------------- */

/* The shop's running job. 0: none. */
static int running_job(const struct larder_item *shop, char job[32]) {
    struct larder_value value;
    if (!shop || larder_item_get(shop, "runningJob", &value) != LARDER_OK)
        return 0;
    snprintf(job, 32, "%.*s", (int)value.bytes, (const char *)value.data);
    return 1;
}

/* Whether the shop says that this job runs and the job that it does not, at one moment. */
static int disagree(struct starter *s, const struct names *n, const char *job) {
    const struct larder_transact_key keys[2] = {{.table = s->table, .key = key_of(n, "METADATA")},
                                                {.table = s->table, .key = key_of(n, job)}};
    struct larder_value status;
    char now[32];
    int result = larder_transact_get(s->db, keys, 2, s->items);
    if (result == LARDER_E_BUSY)
        return 0;
    must(result, "larder_transact_get");
    if (!running_job(larder_page_item(s->items, 0), now) || strcmp(now, job) != 0)
        return 0;
    const struct larder_item *item = larder_page_item(s->items, 1);
    return !item || larder_item_get(item, "status", &status) != LARDER_OK || memcmp(status.data, "RUNNING", 7) != 0;
}

static unsigned judge_shop(struct starter *s, unsigned shop) {
    struct names n = names_of(shop);
    const struct larder_query_spec running = {.index = "GSI1", .partition = larder_str(n.running)};
    const struct larder_key key = key_of(&n, "METADATA");
    char job[32];
    must(larder_query(s->table, &running, s->page), "query");
    unsigned wrong = larder_page_count(s->page) > 1;
    must(larder_get(s->table, &key, s->page), "get");
    if (running_job(larder_page_item(s->page, 0), job))
        wrong += (unsigned)disagree(s, &n, job);
    return wrong;
}

/* What a killed worker left running is finished in its place. */
static void settle(struct starter *s, unsigned number) {
    char job[32], mine[16];
    snprintf(mine, sizeof mine, "JOB#%u-", number);
    for (unsigned shop = 0; shop < SHOPS; shop++) {
        struct names n = names_of(shop);
        const struct larder_key key = key_of(&n, "METADATA");
        must(larder_get(s->table, &key, s->page), "get");
        if (running_job(larder_page_item(s->page, 0), job) && strncmp(job, mine, strlen(mine)) == 0 &&
            finish_job(s, shop, job) != LARDER_OK)
            fail("a dead process's job was finished by another");
    }
}

static uint64_t now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void make_shops(struct starter *s) {
    for (unsigned shop = 0; shop < SHOPS; shop++) {
        const struct larder_item *item;
        larder_builder_reset(s->job);
        larder_builder_add_s(s->job, "PK", names_of(shop).shop);
        larder_builder_add_s(s->job, "SK", "METADATA");
        must(larder_builder_finish(s->job, &item), "shop");
        must(larder_put(s->table, item, NULL), "shop");
    }
}

int main(int argc, char **argv) {
    struct starter s;
    pid_t pids[WORKERS];
    uint64_t looks = 0, wrong = 0, kills = 0;
    if (argc != 3)
        return fprintf(stderr, "usage: shuttle_start SEGMENT SECONDS\n"), 2;
    struct score *score = mmap(NULL, sizeof *score, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    uint64_t end_ms = now_ms() + strtoul(argv[2], NULL, 10) * 1000, kill_ms = now_ms() + KILL_EVERY_MS;
    open_all(&s, argv[1]);
    make_shops(&s);
    for (unsigned i = 0; i < WORKERS; i++)
        pids[i] = start_worker(argv[1], i, score);
    while (now_ms() < end_ms) {
        wrong += judge_shop(&s, (unsigned)(looks++ % SHOPS));
        if (now_ms() < kill_ms)
            continue;
        unsigned victim = (unsigned)(kills++ % WORKERS);
        int status;
        kill(pids[victim], SIGKILL);
        waitpid(pids[victim], &status, 0);
        if (!WIFSIGNALED(status))
            return fprintf(stderr, "shuttle_start: a worker ended by itself\n"), 1;
        settle(&s, victim);
        pids[victim] = start_worker(argv[1], victim, score);
        kill_ms = now_ms() + KILL_EVERY_MS;
    }
    for (unsigned i = 0; i < WORKERS; i++) {
        kill(pids[i], SIGKILL);
        waitpid(pids[i], NULL, 0);
        settle(&s, i);
    }
    for (unsigned shop = 0; shop < SHOPS; shop++)
        wrong += judge_shop(&s, shop);
    printf("22   a job starts if none is running: %lu started, %lu refused since one was, %lu processes killed; %lu\n"
           "     looks: %lu times two jobs in a shop, or a shop and its job that disagree\n",
           (unsigned long)score->started, (unsigned long)score->refused, (unsigned long)kills, (unsigned long)looks,
           (unsigned long)wrong);
    larder_close(s.db);
    return wrong != 0 || score->started == 0 || score->refused == 0;
}

/* bench/endpoint.c - see endpoint.h.
 *
 * Method   The same bytes go to both servers, by the same client (load.h), over 32 connections that
 *          stay: heads as long as the SDK for JavaScript writes them, with a signature that neither
 *          verifies. Both sides take turns, round after round; the other one is idle meanwhile. A
 *          ratio is the median of the rounds' ratios.
 * Peer     dynalite is one process of Node with its tables in memory, the fastest of its stores. It
 *          cannot share them: LevelDB's folder belongs to one process. So several are as many
 *          servers on ports of their own, each with all items, and the connections are dealt to
 *          them. For reads that is the best that can be had of it; its writes would be seen on one
 *          port only, so writes are compared with one process each. Larder's workers share the
 *          segment and the port.
 */
#include "bench/endpoint.h"

#include <dirent.h>
#include <limits.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bench/fail.h"
#include "bench/load.h"
#include "bench/orders.h"
#include "bench/server.h"

#define ITEMS 20000u
#define RING 16384u
#define PROCESSES_MAX 2u
#define CONNECTIONS 32u
#define BATCH 25u
#define ROUNDS 9u
#define HEAD_BYTES 700u
#define BODY_BYTES (BATCH * (ORDERS_REQUEST_BYTES + 64u))

enum { LARDER, DYNALITE, SERVERS };

struct server {
    const char *name;
    unsigned processes;
    pid_t started[PROCESSES_MAX]; /* to be stopped */
    unsigned started_count;
    int ports[PROCESSES_MAX];
    unsigned port_count;
    char segment[64]; /* Larder's */
};

/* What both are asked, and how they did. */
struct line {
    const char *operation;
    unsigned processes;
    double rate[SERVERS][ROUNDS], p50[SERVERS][ROUNDS], p99[SERVERS][ROUNDS], cpu_us[SERVERS][ROUNDS];
    double client[SERVERS][ROUNDS];
};

/* ---- Requests -------------------------------------------------------------------------------- */

static size_t write_request(char *to, const char *operation, const char *body, size_t bytes) {
    int head = snprintf(to, HEAD_BYTES, LOAD_HEAD, operation, bytes);
    memcpy(to + head, body, bytes);
    return (size_t)head + bytes;
}

static const char *ask(int port, const char *operation, const char *body, size_t bytes) {
    static char text[HEAD_BYTES + BODY_BYTES];
    struct load_request request = {text, write_request(text, operation, body, bytes)};
    int status;
    const char *answer = load_ask(port, &request, &status);
    if (status != 200)
        fail("%s: %d %s", operation, status, answer);
    return answer;
}

static struct load_request ring[RING];

static void fill_ring(const struct order_operation *operation) {
    static char *texts;
    uint64_t draws = ORDER_DRAWS;
    char body[ORDERS_REQUEST_BYTES], *to;
    if (!texts && !(texts = malloc((size_t)RING * (HEAD_BYTES + ORDERS_REQUEST_BYTES))))
        fail("out of memory");
    to = texts;
    for (uint32_t i = 0; i < RING; i++) {
        size_t bytes = operation->write((uint32_t)(order_draw(&draws) % ITEMS), body);
        ring[i] = (struct load_request){to, write_request(to, operation->name, body, bytes)};
        to += ring[i].bytes;
    }
}

/* ---- Servers --------------------------------------------------------------------------------- */

/* False: it does not start. */
static int start(struct server *s, char *const argv[]) {
    int port = 0;
    pid_t pid = server_start_port(argv, &port);
    if (!pid)
        return 0;
    s->started[s->started_count++] = pid;
    s->ports[s->port_count++] = port;
    return 1;
}

static void start_larder(struct server *s, const char *command) {
    char workers[16];
    snprintf(workers, sizeof workers, "%u", s->processes);
    snprintf(s->segment, sizeof s->segment, "larder-bench-endpoint-%d", (int)getpid());
    if (!start(s, (char *const[]){(char *)command, "serve", "--listen", "0", "--workers", workers, "--segment",
                                  s->segment, "--size", "128M", NULL}))
        fail("%s serve does not start", command);
}

static void start_dynalite(struct server *s, const char *package) {
    static char program[] = "const s = require(process.argv[1])({createTableMs: 0});"
                            "s.listen(0, '127.0.0.1', () => console.error('127.0.0.1:' + s.address().port));";
    for (unsigned i = 0; i < s->processes; i++)
        if (!start(s, (char *const[]){"node", "-e", program, (char *)package, NULL}))
            s->port_count = 0;
    if (!s->port_count)
        puts("dynalite does not start with node; the endpoint runs alone");
}

static void stop(struct server *s) {
    for (unsigned i = 0; i < s->started_count; i++)
        server_stop(s->started[i]);
    if (s->segment[0])
        larder_destroy(s->segment, LARDER_FORCE);
}

static void create_table(int port) {
    static const char create[] =
        "{\"TableName\":\"" ORDERS_TABLE "\",\"BillingMode\":\"PAY_PER_REQUEST\",\"AttributeDefinitions\":["
        "{\"AttributeName\":\"PK\",\"AttributeType\":\"S\"},{\"AttributeName\":\"SK\",\"AttributeType\":\"S\"}],"
        "\"KeySchema\":[{\"AttributeName\":\"PK\",\"KeyType\":\"HASH\"},"
        "{\"AttributeName\":\"SK\",\"KeyType\":\"RANGE\"}]}";
    static const char describe[] = "{\"TableName\":\"" ORDERS_TABLE "\"}";
    struct timespec pause = {.tv_nsec = 20000000};
    ask(port, "CreateTable", create, sizeof create - 1);
    for (int i = 0; i < 500; i++) {
        if (strstr(ask(port, "DescribeTable", describe, sizeof describe - 1), "\"ACTIVE\""))
            return;
        nanosleep(&pause, NULL);
    }
    fail("a table does not become ACTIVE");
}

static void load_items(int port) {
    static char body[BODY_BYTES];
    for (uint32_t n = 0; n < ITEMS; n += BATCH) {
        size_t used = (size_t)snprintf(body, sizeof body, "{\"RequestItems\":{\"" ORDERS_TABLE "\":[");
        for (uint32_t i = n; i < n + BATCH; i++) {
            used += (size_t)snprintf(body + used, sizeof body - used, "%s{\"PutRequest\":{\"Item\":", i > n ? "," : "");
            used += order_write_item(i, body + used, sizeof body - used);
            used += (size_t)snprintf(body + used, sizeof body - used, "}}");
        }
        used += (size_t)snprintf(body + used, sizeof body - used, "]}}");
        ask(port, "BatchWriteItem", body, used);
    }
}

/* User and system time of a process, in seconds; its parent. */
static double cpu_of(pid_t pid, pid_t *parent) {
    char path[64], text[1024] = "";
    unsigned long user = 0, system = 0;
    int of = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    size_t bytes = file ? fread(text, 1, sizeof text - 1, file) : 0;
    if (file)
        fclose(file);
    const char *at = bytes ? strrchr(text, ')') : NULL;
    if (!at || sscanf(at + 1, " %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &of, &user, &system) != 3)
        return 0;
    *parent = of;
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

/* CPU that a server has taken: its processes and their children. */
static double cpu_of_server(const struct server *s) {
    DIR *folder = opendir("/proc");
    struct dirent *entry;
    double seconds = 0;
    while (folder && (entry = readdir(folder))) {
        pid_t pid = entry->d_name[0] >= '1' && entry->d_name[0] <= '9' ? atoi(entry->d_name) : 0, parent = 0;
        double took = pid ? cpu_of(pid, &parent) : 0;
        for (unsigned i = 0; i < s->started_count; i++)
            if (pid && (pid == s->started[i] || parent == s->started[i]))
                seconds += took;
    }
    if (folder)
        closedir(folder);
    return seconds;
}

/* ---- Rounds ---------------------------------------------------------------------------------- */

static void round_of(struct line *l, unsigned number, int which, const struct server *s, struct load *load,
                     double seconds) {
    load->ports = s->ports;
    load->port_count = s->port_count;
    double before = cpu_of_server(s);
    uint64_t warm = 64u * CONNECTIONS; /* answers that are not counted */
    struct load_result r = load_run(load, seconds);
    l->rate[which][number] = (double)r.answers / r.seconds;
    l->p50[which][number] = r.p50_us;
    l->p99[which][number] = r.p99_us;
    l->cpu_us[which][number] = (cpu_of_server(s) - before) * 1e6 / (double)(r.answers + warm + CONNECTIONS);
    l->client[which][number] = r.client;
}

static double ratio_of(const double *mine, const double *theirs, unsigned rounds) {
    double ratio[ROUNDS];
    for (unsigned i = 0; i < rounds; i++)
        ratio[i] = theirs[i] > 0 ? mine[i] / theirs[i] : 0;
    return median_of(ratio, rounds);
}

static void print_line(const struct line *l, unsigned rounds, const struct server *servers) {
    for (int which = 0; which < SERVERS; which++)
        if (servers[which].port_count)
            printf("%-10s %-9s %9u %10.0f %9.0f %9.0f %9.1f %8.2f\n", l->operation, servers[which].name, l->processes,
                   median_of(l->rate[which], rounds), median_of(l->p50[which], rounds),
                   median_of(l->p99[which], rounds), median_of(l->cpu_us[which], rounds),
                   median_of(l->client[which], rounds));
    if (median_of(l->client[LARDER], rounds) > 0.9)
        puts("  the client took a whole core: it may have bounded larder's rate");
}

static unsigned judge(const struct line *l, unsigned rounds, struct verdict *out) {
    static char names[3 * ORDER_OPERATIONS * PROCESSES_MAX][64];
    static unsigned used;
    char *name = names[used++];
    double ratio = ratio_of(l->rate[LARDER], l->rate[DYNALITE], rounds);
    /* the client takes a core, too; without one of its own it takes more of Larder's time */
    int is_fact = sysconf(_SC_NPROCESSORS_ONLN) <= (long)l->processes;
    snprintf(name, sizeof names[0], "%s, HTTP, %u process%s each", l->operation, l->processes,
             l->processes > 1 ? "es" : "");
    out[0] = (struct verdict){name, "x dynalite, 32 connections", ratio, 8, 0, ratio > 0, is_fact};
    out[1] = (struct verdict){"  p99",   "of dynalite's", ratio_of(l->p99[LARDER], l->p99[DYNALITE], rounds), 0.2, 1,
                              ratio > 0, is_fact};
    out[2] = (struct verdict){"  dynalite's CPU for each",
                              "of Larder's",
                              ratio_of(l->cpu_us[DYNALITE], l->cpu_us[LARDER], rounds),
                              0,
                              0,
                              ratio > 0,
                              1};
    if (strcmp(l->operation, "GetItem") != 0 || l->processes > 1)
        return 3;
    out[3] = (struct verdict){"  CPU of the server", "us for each", median_of(l->cpu_us[LARDER], rounds), 9, 1, 1, 0};
    return 4;
}

/* Both give the same items: the order of their attributes is their own, so lengths tell. */
static void compare_answers(const struct server *servers, const struct order_operation *operation) {
    char body[ORDERS_REQUEST_BYTES];
    size_t bytes[SERVERS];
    for (int which = 0; which < SERVERS; which++)
        bytes[which] = strlen(ask(servers[which].ports[0], operation->name, body, operation->write(4711, body)));
    if (bytes[LARDER] != bytes[DYNALITE])
        fail("%s: answers of %zu and %zu bytes", operation->name, bytes[LARDER], bytes[DYNALITE]);
}

static unsigned measure(struct server *servers, const struct order_operation *operation, int is_quick,
                        struct verdict *out) {
    struct line l = {.operation = operation->name, .processes = servers[LARDER].processes};
    unsigned rounds = is_quick ? 3 : ROUNDS;
    struct load load = {.connections = CONNECTIONS, .ring = ring, .ring_count = RING};
    load.wanted = operation == &order_operations[ORDER_GET]     ? "\"0123456789abcdef0123\""
                  : operation == &order_operations[ORDER_QUERY] ? "\"Count\":20"
                                                                : NULL;
    fill_ring(operation);
    for (unsigned i = 0; i < rounds; i++)
        for (int which = 0; which < SERVERS; which++)
            if (servers[which].port_count)
                round_of(&l, i, which, &servers[which], &load, is_quick ? 0.4 : 1.0);
    print_line(&l, rounds, servers);
    return judge(&l, rounds, out);
}

static unsigned measure_with(const struct endpoint_options *o, unsigned processes, struct verdict *out) {
    struct server servers[SERVERS] = {{.name = "larder", .processes = processes},
                                      {.name = "dynalite", .processes = processes}};
    unsigned count = 0;
    start_larder(&servers[LARDER], o->larder);
    if (o->dynalite)
        start_dynalite(&servers[DYNALITE], o->dynalite);
    for (int which = 0; which < SERVERS; which++)
        for (unsigned i = 0; i < servers[which].port_count; i++) {
            create_table(servers[which].ports[i]);
            load_items(servers[which].ports[i]);
        }
    if (servers[DYNALITE].port_count) {
        compare_answers(servers, &order_operations[ORDER_GET]);
        compare_answers(servers, &order_operations[ORDER_QUERY]);
    }
    for (int i = 0; i < ORDER_OPERATIONS; i++)
        if (processes == 1 || i == ORDER_GET || i == ORDER_QUERY)
            count += measure(servers, &order_operations[i], o->is_quick, out + count);
    stop(&servers[LARDER]);
    stop(&servers[DYNALITE]);
    return count;
}

unsigned endpoint_measure(const struct endpoint_options *o, struct verdict out[]) {
    struct endpoint_options found = *o;
    char path[PATH_MAX + 64];
    unsigned count = 0;
    snprintf(path, sizeof path, "%s/node_modules/dynalite", o->dynalite ? o->dynalite : "");
    found.dynalite = realpath(path, NULL);
    if (!found.dynalite)
        printf("\nno dynalite in \"%s\": script/bootstrap --clients installs it; the endpoint runs alone\n",
               o->dynalite ? o->dynalite : "");
    printf("\n%-10s %-9s %9s %10s %9s %9s %9s %8s\n", "operation", "endpoint", "processes", "per s", "p50 us", "p99 us",
           "CPU us", "client");
    for (unsigned processes = 1; processes <= PROCESSES_MAX; processes++)
        count += measure_with(&found, processes, out + count);
    free((char *)found.dynalite);
    return count;
}

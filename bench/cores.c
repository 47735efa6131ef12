/* bench/cores.c - how Larder scales to more cores than this machine has: which cache lines move
 * between cores in a call, and the ceiling that this sets.
 *
 * Method   The real code runs under valgrind's lackey, which prints each load and store: 64
 *          attachments, each with a slot of its own, call in turn. bench/replay.h lets their traces
 *          run at the same time, on 2, 8 and 64 cores, with bench/coherence.h's caches.
 * Limits   What a call does is what it did alone: a ceiling (R3 of replay.h). Lines that the
 *          hardware prefetches, other sockets and the kernel's own lines are left out.
 * Usage    larder_cores [--scene NAME].. [--list]
 */
#include "bench/cores_trace.h"
#include "bench/fail.h"
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static const unsigned core_counts[] = {1, 2, 8, 64};
#define COUNTS (sizeof core_counts / sizeof *core_counts)
#define MOST_ROWS 12u
#define LEAST_MOVES 0.005 /* per call: less is not printed */

/* ---- The report ------------------------------------------------------------------------------ */

static double per_call(const struct replay_result *r, uint64_t n) {
    return (double)n / r->calls;
}

static double millions(double calls, double ns) {
    return calls / ns * 1000;
}

static void print_counts(const struct replay_result *r, const struct trace *t) {
    printf("  cores  million/s  of one   moves  instr.   waits ns   busiest line: its ceiling     busiest lock: its "
           "ceiling\n");
    for (unsigned i = 0; i < COUNTS; i++) {
        double rate = millions(r[i].calls, r[i].ns);
        printf("  %5u  %9.2f  %6.1f  %6.2f  %6.0f  %9.0f", core_counts[i], rate, rate / millions(r[0].calls, r[0].ns),
               per_call(&r[i], replay_moves(r[i].kind)), r[i].instructions / r[i].calls, r[i].waited_ns / r[i].calls);
        if (r[i].line_ns > 0)
            printf("  %18s %8.1f",
                   names_text(t->names, names_at(t->names, t->line_off[r[i].line] * COHERENCE_LINE_BYTES)),
                   millions(r[i].calls, r[i].line_ns));
        if (r[i].lock_ns > 0)
            printf("  %18s %8.1f",
                   names_text(t->names, names_at(t->names, t->line_off[r[i].lock_line] * COHERENCE_LINE_BYTES)),
                   millions(r[i].calls, r[i].lock_ns));
        putchar('\n');
    }
}

static uint32_t busiest_tag(const struct replay_result *r, const unsigned char *is_done) {
    uint32_t best = NAMES_MAX;
    for (uint32_t i = 0; i < NAMES_MAX; i++)
        if (!is_done[i] && (best == NAMES_MAX || replay_moves(r->tag[i].kind) > replay_moves(r->tag[best].kind)))
            best = i;
    return best;
}

static void print_lines(const struct replay_result *r, const struct trace *t) {
    unsigned char is_done[NAMES_MAX] = {0};
    printf("  %-38s %6s %6s %6s %7s %6s %6s %6s\n", "lines that move, per call, 64 cores", "all", "again", "fetch",
           "upgrade", "take", "steal", "false");
    for (unsigned row = 0; row < MOST_ROWS; row++) {
        uint32_t i = busiest_tag(r, is_done);
        const struct replay_tag *tag = &r->tag[i];
        double moves = per_call(r, replay_moves(tag->kind));
        if (moves < LEAST_MOVES)
            break;
        is_done[i] = 1;
        printf("  %-38s %6.2f", names_text(t->names, (uint16_t)i), moves);
        for (unsigned k = COHERENCE_AGAIN; k < COHERENCE_KINDS; k++)
            printf(k == COHERENCE_UPGRADE ? " %7.2f" : " %6.2f", per_call(r, tag->kind[k]));
        printf(" %6.2f\n", per_call(r, tag->is_false));
    }
}

static void report(const struct trace *t, const struct cores_scene *scene) {
    struct replay_result r[COUNTS];
    printf("\n%s: %s\n", scene->name, scene->text);
    for (unsigned i = 0; i < COUNTS; i++)
        replay_run(t->stream, core_counts[i], t->line_count, NAMES_MAX, &r[i]);
    print_counts(r, t);
    print_lines(&r[COUNTS - 1], t);
    fflush(stdout);
    for (unsigned i = 0; i < COUNTS; i++)
        replay_result_free(&r[i]);
}

/* ---- The child ------------------------------------------------------------------------------- */

/* Starts this program again under lackey. Returns its process id. */
static pid_t start_child(int memfd, uint64_t wanted, struct trace *t) {
    int log = memfd_create("trace", 0), up[2], down[2];
    char self[512] = "", number[4][24], log_file[64];
    if (log < 0 || pipe(up) || pipe(down) || readlink("/proc/self/exe", self, sizeof self - 1) < 0)
        fail("cores: no pipe, or no file in memory");
    snprintf(log_file, sizeof log_file, "--log-file=/proc/%d/fd/%d", (int)getpid(), log);
    snprintf(number[0], sizeof number[0], "%d", memfd);
    snprintf(number[1], sizeof number[1], "%d", up[1]);
    snprintf(number[2], sizeof number[2], "%d", down[0]);
    snprintf(number[3], sizeof number[3], "%llu", (unsigned long long)wanted);
    pid_t child = fork();
    if (child == 0) {
        close(up[0]), close(down[1]);
        execlp("valgrind", "valgrind", "--tool=lackey", "--trace-mem=yes", "--basic-counts=no", log_file, self,
               "--child", number[0], number[1], number[2], number[3], (char *)NULL);
        fprintf(stderr, "bench: cores: valgrind cannot be started; is it installed?\n");
        _exit(1);
    }
    close(up[1]), close(down[0]);
    t->lines = fdopen(log, "r");
    t->from_child = up[0];
    t->to_child = down[1];
    if (child < 0 || !t->lines)
        fail("cores: no child");
    setvbuf(t->lines, NULL, _IOFBF, 1 << 20);
    return child;
}

static int run(uint64_t wanted) {
    struct trace t = {0};
    uint32_t class_bytes[CLASS_COUNT];
    int status, memfd = cores_load(class_bytes);
    t.base = mmap(NULL, CORES_SEGMENT_BYTES, PROT_READ, MAP_SHARED, memfd, 0);
    if (t.base == MAP_FAILED)
        fail("cores: the segment cannot be mapped");
    t.names = names_new(t.base, class_bytes);
    pid_t child = start_child(memfd, wanted, &t);
    trace_begin(&t);
    printf("a line that moves: %.0f ns; an instruction: %.2f ns; all else as bench/replay.h says\n", REPLAY_TRANSFER_NS,
           REPLAY_INSTRUCTION_NS);
    for (unsigned s = 0; s < cores_scene_count; s++)
        if (wanted >> s & 1) {
            trace_read_scene(&t);
            report(&t, &cores_scenes[s]);
        }
    if (waitpid(child, &status, 0) != child || status != 0)
        fail("cores: the traced child failed");
    return 0;
}

static uint64_t scene_bit(const char *name) {
    for (unsigned s = 0; s < cores_scene_count; s++)
        if (strcmp(cores_scenes[s].name, name) == 0)
            return UINT64_C(1) << s;
    fail("cores: there is no scene \"%s\"; --list names them", name);
}

int main(int argc, char **argv) {
    uint64_t wanted = 0;
    if (argc == 6 && strcmp(argv[1], "--child") == 0)
        return cores_work(atoi(argv[2]), atoi(argv[3]), atoi(argv[4]), strtoull(argv[5], NULL, 10));
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--list") == 0) {
            for (unsigned s = 0; s < cores_scene_count; s++)
                printf("%-18s %s\n", cores_scenes[s].name, cores_scenes[s].text);
            return 0;
        }
        if (strcmp(argv[i], "--scene") != 0 || i + 1 == argc)
            fail("usage: larder_cores [--scene NAME].. [--list]");
        wanted |= scene_bit(argv[++i]);
    }
    return run(wanted ? wanted : ~UINT64_C(0));
}

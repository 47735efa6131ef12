/* gen.c - the load: which items there are, as a pure function of a seed. See gen.h.
 *
 * Job sizes  Jobs per shop follow a Pareto law of exponent 1/2, x = 1.08 / u^2, cut at 4,000: half
 *            of the shops have 4 or fewer, three of four fewer than 20, one in forty more than
 *            2,000, and the mean is 130. u is stratified (each shop has its own nth part of
 *            [0, 1)), so a small load has the same shape as a large one.
 * Times      The 60 days are cut into as many slots as the shop has jobs, with one job in each at a
 *            random millisecond. So any job's time is known without the others, times are unique in
 *            a shop, and a time leads back to its job.
 */
#include "gen.h"

#include <stdlib.h>

#include "rng.h"
#include "text.h"
#include "when.h"

_Static_assert(GEN_DATE_BYTES == WHEN_DATE_BYTES, "gen.h repeats it to stand alone");

#define GEN_JOB_WINDOW_MS (INT64_C(1000) * WHEN_DAY_S * GEN_DAYS)

const char *const gen_status_names[GEN_STATUS_COUNT] = {"QUEUED", "PROCESSING", "COMPLETED", "FAILED", "CANCELLED"};
const char *const gen_plan_names[GEN_PLAN_COUNT] = {"FREE", "SMALL", "MEDIUM", "LARGE"};

static const char *const gen_words[] = {
    "amber", "birch", "cedar", "coral", "delta", "ember", "fable",   "harbor",  "indigo", "juniper", "lumen",
    "maple", "north", "olive", "pearl", "quill", "river", "saffron", "thistle", "velvet", "willow",
};
#define GEN_WORD_COUNT (sizeof gen_words / sizeof gen_words[0])

enum {
    SALT_JOBS = 1,
    SALT_SCHEMAS,
    SALT_TIME,
    SALT_STATUS,
    SALT_PLAN,
    SALT_INSTALLED,
    SALT_SESSION,
    SALT_CYCLE,
    SALT_WORDS
};

uint64_t gen_draw(const struct gen *g, struct gen_place p, uint32_t salt) {
    uint64_t place = ((uint64_t)p.kind << 56) | ((uint64_t)p.shop << 24) | p.ordinal;
    return rng_hash(g->load.seed, place, salt);
}

static uint64_t gen_draw_shop(const struct gen *g, uint32_t shop, uint32_t salt) {
    return gen_draw(g, (struct gen_place){GEN_SHOP, shop, 0}, salt);
}

static uint64_t gen_draw_job(const struct gen *g, uint32_t shop, uint32_t job, uint32_t salt) {
    return gen_draw(g, (struct gen_place){GEN_JOB, shop, job}, salt);
}

/* A shop's rank by size. Multiplying by a prime above every shop count scatters the ranks and gives
 * each one once. */
static uint32_t gen_job_draw_count(const struct gen *g, uint32_t shop) {
    uint32_t n = g->load.shop_count;
    uint64_t rank = ((uint64_t)shop * 2654435761u + g->load.seed % n) % n;
    double u = ((double)rank + rng_unit(gen_draw_shop(g, shop, SALT_JOBS))) / n;
    double x = 1.08 / (u * u + 1e-12);
    return x > GEN_JOBS_MAX ? GEN_JOBS_MAX : (uint32_t)x;
}

static uint32_t gen_live_jobs(uint32_t job_count) {
    uint32_t n = (job_count + GEN_LIVE_EVERY - 1) / GEN_LIVE_EVERY;
    return n > GEN_LIVE_JOBS_MAX ? GEN_LIVE_JOBS_MAX : n;
}

static void gen_make_domain(struct gen *g, uint32_t shop) {
    uint64_t draw = gen_draw_shop(g, shop, SALT_WORDS);
    struct text t = text_on(g->domain[shop], GEN_DOMAIN_BYTES);
    text_add(&t, gen_words[draw % GEN_WORD_COUNT]);
    text_add(&t, "-");
    text_add(&t, gen_words[(draw >> 32) % GEN_WORD_COUNT]);
    text_add(&t, "-");
    text_digits(&t, shop, 5);
    text_add(&t, ".myshopify.com");
}

bool gen_init(struct gen *g, const struct gen_load *load) {
    uint32_t n = load->shop_count;
    *g = (struct gen){.load = *load};
    g->first = malloc(sizeof *g->first * ((size_t)n + 1));
    g->first_live = malloc(sizeof *g->first_live * ((size_t)n + 1));
    g->job_count = malloc(sizeof *g->job_count * ((size_t)n + 1));
    g->domain = malloc(sizeof *g->domain * ((size_t)n + 1));
    if (!g->domain || !g->first || !g->first_live || !g->job_count) {
        gen_done(g);
        return false;
    }
    g->first[0] = g->first_live[0] = 0;
    for (uint32_t s = 0; s < n; s++) {
        uint32_t jobs = gen_job_draw_count(g, s);
        g->job_count[s] = (uint16_t)jobs;
        gen_make_domain(g, s);
        g->first[s + 1] = g->first[s] + 1 + jobs + GEN_DAYS + GEN_MONTHS + 1 + gen_schema_versions(g, s) + GEN_SESSIONS;
        g->first_live[s + 1] = g->first_live[s] + gen_live_jobs(jobs) + 2;
    }
    for (uint32_t d = 0; d < GEN_DATE_COUNT; d++)
        when_date(load->today - (int64_t)GEN_DAYS + d, g->date[d]);
    return true;
}

void gen_done(struct gen *g) {
    free(g->first);
    free(g->first_live);
    free(g->job_count);
    free(g->domain);
    *g = (struct gen){0};
}

uint32_t gen_schema_versions(const struct gen *g, uint32_t shop) {
    return 1 + (uint32_t)(gen_draw_shop(g, shop, SALT_SCHEMAS) % 4);
}

/* ---- Ids and places -------------------------------------------------------------------------- */

uint32_t gen_id(const struct gen *g, struct gen_place p) {
    if (p.kind == GEN_CONFIG)
        return g->first[g->load.shop_count];
    uint32_t id = g->first[p.shop] + p.ordinal;
    switch (p.kind) {
    case GEN_SESSION:
        id += 1 + gen_schema_versions(g, p.shop);
        /* fall through */
    case GEN_SCHEMA:
        id += GEN_MONTHS;
        /* fall through */
    case GEN_MONTHLY:
        id += GEN_DAYS;
        /* fall through */
    case GEN_DAILY:
        id += g->job_count[p.shop];
        /* fall through */
    case GEN_JOB:
        return id + 1;
    default:
        return id;
    }
}

struct gen_place gen_place_in(const struct gen *g, uint32_t shop, uint32_t nth) {
    uint32_t jobs = g->job_count[shop];
    if (nth >= 1 && nth - 1 < jobs) /* most items; brute force asks for all of them */
        return (struct gen_place){GEN_JOB, shop, nth - 1};
    const uint32_t counts[] = {1, jobs, GEN_DAYS, GEN_MONTHS, 1 + gen_schema_versions(g, shop)};
    unsigned kind = GEN_SHOP;
    while (kind < GEN_SESSION && nth >= counts[kind])
        nth -= counts[kind++];
    return (struct gen_place){(enum gen_kind)kind, shop, nth};
}

struct gen_place gen_place_of(const struct gen *g, uint32_t id) {
    uint32_t low = 0, high = g->load.shop_count;
    if (id >= g->first[high])
        return (struct gen_place){GEN_CONFIG, 0, 0};
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (g->first[middle] <= id)
            low = middle;
        else
            high = middle;
    }
    return gen_place_in(g, low, id - g->first[low]);
}

uint32_t gen_live(const struct gen *g, struct gen_place p) {
    if (p.kind == GEN_SESSION && p.ordinal == 0)
        return g->first_live[p.shop + 1] - 1;
    if (p.kind == GEN_MONTHLY && p.ordinal == GEN_MONTHS - 1)
        return g->first_live[p.shop + 1] - 2;
    if (p.kind != GEN_JOB)
        return GEN_NONE;
    uint32_t age = g->job_count[p.shop] - 1u - p.ordinal;
    if (age % GEN_LIVE_EVERY != 0 || age / GEN_LIVE_EVERY >= GEN_LIVE_JOBS_MAX)
        return GEN_NONE;
    return g->first_live[p.shop] + age / GEN_LIVE_EVERY;
}

struct gen_place gen_live_place(const struct gen *g, uint32_t shop, uint32_t nth) {
    if (g->first_live[shop] + nth + 1 == g->first_live[shop + 1])
        return (struct gen_place){GEN_SESSION, shop, 0};
    if (g->first_live[shop] + nth + 2 == g->first_live[shop + 1])
        return (struct gen_place){GEN_MONTHLY, shop, GEN_MONTHS - 1};
    return (struct gen_place){GEN_JOB, shop, g->job_count[shop] - 1u - nth * GEN_LIVE_EVERY};
}

/* ---- Facts that keys depend on --------------------------------------------------------------- */

static int64_t gen_window_start_ms(const struct gen *g) {
    return (g->load.today - (int64_t)GEN_DAYS) * WHEN_DAY_S * 1000;
}

int64_t gen_job_created_ms(const struct gen *g, uint32_t shop, uint32_t job) {
    int64_t slot_ms = GEN_JOB_WINDOW_MS / g->job_count[shop];
    return gen_window_start_ms(g) + job * slot_ms +
           (int64_t)(gen_draw_job(g, shop, job, SALT_TIME) % (uint64_t)slot_ms);
}

uint32_t gen_job_at(const struct gen *g, uint32_t shop, int64_t created_ms) {
    int64_t slot_ms = GEN_JOB_WINDOW_MS / g->job_count[shop];
    int64_t since_ms = created_ms - gen_window_start_ms(g);
    if (since_ms < 0 || since_ms / slot_ms >= g->job_count[shop])
        return GEN_NONE;
    uint32_t job = (uint32_t)(since_ms / slot_ms);
    return gen_job_created_ms(g, shop, job) == created_ms ? job : GEN_NONE;
}

/* A fixed job has nearly always ended. A live one goes round: QUEUED, PROCESSING, COMPLETED or
 * FAILED, and queued again as if its owner had pressed "run again". */
enum gen_status gen_job_status(const struct gen *g, uint32_t shop, uint32_t job, uint32_t revision) {
    uint64_t draw = gen_draw_job(g, shop, job, SALT_STATUS);
    if (gen_live(g, (struct gen_place){GEN_JOB, shop, job}) == GEN_NONE) {
        uint32_t percent = (uint32_t)(draw % 100);
        return percent < 82   ? GEN_COMPLETED
               : percent < 94 ? GEN_FAILED
               : percent < 98 ? GEN_CANCELLED
               : percent < 99 ? GEN_QUEUED
                              : GEN_PROCESSING;
    }
    uint64_t step = draw % 3 + revision;
    if (step % 3 < 2)
        return step % 3 == 0 ? GEN_QUEUED : GEN_PROCESSING;
    return rng_hash(draw, step, SALT_CYCLE) % 5 == 0 ? GEN_FAILED : GEN_COMPLETED;
}

enum gen_plan gen_shop_plan(const struct gen *g, uint32_t shop) {
    uint32_t percent = (uint32_t)(gen_draw_shop(g, shop, SALT_PLAN) % 100);
    return percent < 60 ? GEN_FREE : percent < 82 ? GEN_SMALL : percent < 95 ? GEN_MEDIUM : GEN_LARGE;
}

int64_t gen_shop_installed_ms(const struct gen *g, uint32_t shop) {
    uint64_t back_ms = gen_draw_shop(g, shop, SALT_INSTALLED) % (uint64_t)(730 * WHEN_DAY_S * 1000);
    return gen_window_start_ms(g) - (int64_t)back_ms;
}

/* Logged in on the second half of today: a day or a year later is at least half a day after any
 * moment of today, so no session of the load expires while it is read. Session 0 is the offline
 * one; a renewal adds an hour. */
int64_t gen_session_expires_s(const struct gen *g, uint32_t shop, uint32_t session, uint32_t revision) {
    uint64_t draw = gen_draw(g, (struct gen_place){GEN_SESSION, shop, session}, SALT_SESSION);
    int64_t login_s = g->load.today * WHEN_DAY_S + WHEN_DAY_S / 2 + (int64_t)(draw % (WHEN_DAY_S / 2));
    return login_s + (session == 0 ? 365 : 1) * WHEN_DAY_S + (int64_t)revision * 3600;
}

int64_t gen_session_user(uint32_t shop, uint32_t session) {
    return INT64_C(70000000000) + shop * INT64_C(10) + session;
}

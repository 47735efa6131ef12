/* key.c - the table's keys: where each kind of item is found. See key.h. */
#include "key.h"

#include <stddef.h>

#include "rng.h"
#include "text.h"
#include "when.h"

const struct key_attributes key_attributes[KEY_INDEX_COUNT] = {
    {NULL, "PK", "SK"},
    {"GSI1", "GSI1PK", "GSI1SK"},
    {"GSI2", "GSI2PK", "GSI2SK"},
    {"GSI3", "GSI3PK", "GSI3SK"},
    {"StatusIndex", "ShopDomain", "Status"},
};

enum { SALT_ULID_HIGH = 100, SALT_ULID_LOW };

/* ---- Parts ----------------------------------------------------------------------------------- */

static void key_add_domain(struct text *t, const struct gen *g, uint32_t shop) {
    text_add(t, g->domain[shop]);
}

void key_domain(const struct gen *g, uint32_t shop, char out[KEY_TEXT_BYTES]) {
    struct text t = text_on(out, KEY_TEXT_BYTES);
    key_add_domain(&t, g, shop);
}

void key_shop(const struct gen *g, uint32_t shop, char out[KEY_TEXT_BYTES]) {
    struct text t = text_on(out, KEY_TEXT_BYTES);
    text_add(&t, "SHOP#");
    key_add_domain(&t, g, shop);
}

void key_shop_sessions(const struct gen *g, uint32_t shop, char out[KEY_TEXT_BYTES]) {
    struct text t = text_on(out, KEY_TEXT_BYTES);
    text_add(&t, "SHOP#");
    key_add_domain(&t, g, shop);
    text_add(&t, "#SESSIONS");
}

/* As Shopify names them: one offline session per shop, and an online one per user. */
void key_session_id(const struct gen *g, uint32_t shop, uint32_t session, char out[KEY_TEXT_BYTES]) {
    struct text t = text_on(out, KEY_TEXT_BYTES);
    if (session == 0)
        text_add(&t, "offline_");
    key_add_domain(&t, g, shop);
    if (session > 0) {
        text_add(&t, "_");
        text_digits(&t, (uint64_t)gen_session_user(shop, session), 1);
    }
}

static void key_add_job_id(struct text *t, const struct gen *g, struct gen_place p, int64_t created_ms) {
    char ulid[WHEN_ULID_BYTES];
    when_ulid(created_ms, gen_draw(g, p, SALT_ULID_HIGH), gen_draw(g, p, SALT_ULID_LOW), ulid);
    text_addn(t, ulid, WHEN_ULID_BYTES - 1);
}

void key_job_id(const struct gen *g, uint32_t shop, uint32_t job, char out[KEY_TEXT_BYTES]) {
    struct text t = text_on(out, KEY_TEXT_BYTES);
    key_add_job_id(&t, g, (struct gen_place){GEN_JOB, shop, job}, gen_job_created_ms(g, shop, job));
}

void key_day(const struct gen *g, uint32_t day, char out[KEY_TEXT_BYTES]) {
    key_join(g->date[day], "", out);
}

void key_month(const struct gen *g, uint32_t month, char out[KEY_TEXT_BYTES]) {
    when_month(g->load.today, GEN_MONTHS - 1 - month, out);
}

void key_join(const char *a, const char *b, char out[KEY_TEXT_BYTES]) {
    struct text t = text_on(out, KEY_TEXT_BYTES);
    text_add(&t, a);
    text_add(&t, b);
}

/* ---- One function per kind ------------------------------------------------------------------- */

/* The two texts of a key under construction. */
struct key_texts {
    struct text partition, sort;
};

static bool key_of_shop(const struct gen *g, struct gen_place p, enum key_index index, struct key_texts *k) {
    char stamp[WHEN_STAMP_BYTES];
    switch (index) {
    case KEY_TABLE:
        text_add(&k->partition, "SHOP#");
        key_add_domain(&k->partition, g, p.shop);
        text_add(&k->sort, "METADATA");
        return true;
    case KEY_GSI1:
        when_stamp(gen_shop_installed_ms(g, p.shop), stamp);
        text_add(&k->partition, "SHOPS");
        text_add(&k->sort, stamp);
        return true;
    case KEY_GSI3:
        text_add(&k->partition, "PLAN#");
        text_add(&k->partition, gen_plan_names[gen_shop_plan(g, p.shop)]);
        key_add_domain(&k->sort, g, p.shop);
        return true;
    default:
        return false;
    }
}

static bool key_of_job(const struct gen *g, struct gen_place p, uint32_t revision, enum key_index index,
                       struct key_texts *k) {
    char stamp[WHEN_STAMP_BYTES];
    int64_t created_ms = gen_job_created_ms(g, p.shop, p.ordinal);
    const char *status = gen_status_names[gen_job_status(g, p.shop, p.ordinal, revision)];
    if (index == KEY_GSI3)
        return false;
    if (index == KEY_GSI1 || index == KEY_GSI2)
        when_stamp(created_ms, stamp);
    if (index == KEY_TABLE || index == KEY_GSI1)
        text_add(&k->partition, "SHOP#");
    if (index == KEY_GSI2) {
        text_add(&k->partition, "JOBS#");
        text_add(&k->partition, status);
        text_add(&k->sort, stamp);
        text_add(&k->sort, "#");
        key_add_job_id(&k->sort, g, p, created_ms);
        return true;
    }
    key_add_domain(&k->partition, g, p.shop);
    if (index == KEY_TABLE) {
        text_add(&k->sort, "JOB#");
        key_add_job_id(&k->sort, g, p, created_ms);
    } else if (index == KEY_GSI1) {
        text_add(&k->sort, "STATUS#");
        text_add(&k->sort, status);
        text_add(&k->sort, "#");
        text_add(&k->sort, stamp);
    } else {
        text_add(&k->sort, status);
    }
    return true;
}

static bool key_of_usage(const struct gen *g, struct gen_place p, enum key_index index, struct key_texts *k) {
    bool is_daily = p.kind == GEN_DAILY;
    char date[KEY_TEXT_BYTES];
    if (index != KEY_TABLE && index != KEY_GSI2)
        return false;
    if (is_daily)
        key_day(g, p.ordinal, date);
    else
        key_month(g, p.ordinal, date);
    if (index == KEY_TABLE) {
        text_add(&k->partition, "SHOP#");
        key_add_domain(&k->partition, g, p.shop);
        text_add(&k->sort, is_daily ? "USAGE#DAILY#" : "USAGE#MONTHLY#");
        text_add(&k->sort, date);
    } else {
        text_add(&k->partition, is_daily ? "USAGE_DAILY" : "USAGE_MONTHLY");
        text_add(&k->sort, date);
        text_add(&k->sort, "#");
        key_add_domain(&k->sort, g, p.shop);
    }
    return true;
}

static bool key_of_schema(const struct gen *g, struct gen_place p, enum key_index index, struct key_texts *k) {
    if (index != KEY_TABLE)
        return false;
    text_add(&k->partition, "SHOP#");
    key_add_domain(&k->partition, g, p.shop);
    text_add(&k->sort, p.ordinal == 0 ? "SCHEMA#CURRENT" : "SCHEMA#V#");
    if (p.ordinal > 0)
        text_digits(&k->sort, p.ordinal, 4); /* zeros in front, so that version 10 sorts after 9 */
    return true;
}

static bool key_of_session(const struct gen *g, struct gen_place p, uint32_t revision, enum key_index index,
                           struct key_texts *k) {
    char text[KEY_TEXT_BYTES];
    if (index == KEY_TABLE) {
        key_session_id(g, p.shop, p.ordinal, text);
        text_add(&k->partition, "SESSION#");
        text_add(&k->partition, text);
        text_add(&k->sort, "METADATA");
        return true;
    }
    if (index != KEY_GSI3)
        return false;
    text_add(&k->partition, "SHOP#");
    key_add_domain(&k->partition, g, p.shop);
    text_add(&k->partition, "#SESSIONS");
    when_stamp(gen_session_expires_s(g, p.shop, p.ordinal, revision) * 1000, text);
    text_add(&k->sort, text);
    return true;
}

bool key_of(const struct gen *g, struct gen_place p, uint32_t revision, enum key_index index, struct key *out) {
    struct key_texts k = {text_on(out->partition, KEY_TEXT_BYTES), text_on(out->sort, KEY_TEXT_BYTES)};
    switch (p.kind) {
    case GEN_SHOP:
        return key_of_shop(g, p, index, &k);
    case GEN_JOB:
        return key_of_job(g, p, revision, index, &k);
    case GEN_DAILY:
    case GEN_MONTHLY:
        return key_of_usage(g, p, index, &k);
    case GEN_SCHEMA:
        return key_of_schema(g, p, index, &k);
    case GEN_SESSION:
        return key_of_session(g, p, revision, index, &k);
    case GEN_CONFIG:
        text_add(&k.partition, "CONFIG");
        text_add(&k.sort, "APP#CURRENT");
        return index == KEY_TABLE;
    }
    return false;
}

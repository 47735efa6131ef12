/* item.c - the attributes of every kind of item. See item.h; README.md describes them for
 * people. */
#include "item.h"

#include <stdio.h>

#include "key.h"
#include "rng.h"
#include "text.h"
#include "when.h"

enum { SALT_FACTS = 200, SALT_TOKEN, SALT_SIZE, SALT_REVISED };

/* Many small draws from one: each call takes some bits. */
static uint32_t item_take(uint64_t *draw, uint32_t n) {
    uint32_t taken = (uint32_t)(*draw % n);
    *draw = rng_mix(*draw);
    return taken;
}

static void item_emit_stamp(struct sink *s, const char *name, int64_t epoch_ms) {
    char stamp[WHEN_STAMP_BYTES];
    when_stamp(epoch_ms, stamp);
    sink_s(s, name, stamp);
}

/* "shpat_" and 32 hexadecimal digits: the shape of a Shopify access token, but not one. */
static void item_emit_token(const struct gen *g, struct gen_place p, struct sink *s) {
    char token[48];
    uint64_t a = gen_draw(g, p, SALT_TOKEN), b = rng_mix(a);
    (void)snprintf(token, sizeof token, "shpat_%016llx%016llx", (unsigned long long)a, (unsigned long long)b);
    sink_s(s, "accessToken", token);
}

/* ---- Shop ------------------------------------------------------------------------------------ */

static void item_emit_features(enum gen_plan plan, struct sink *s) {
    static const int64_t products[GEN_PLAN_COUNT] = {100, 1000, 10000, 100000};
    static const int64_t imports[GEN_PLAN_COUNT] = {2, 10, 50, 500};
    static const int64_t retention[GEN_PLAN_COUNT] = {7, 30, 90, 365};
    sink_begin(s, "features", LARDER_M);
    sink_n(s, "maxProductsPerImport", products[plan]);
    sink_n(s, "maxDailyImports", imports[plan]);
    sink_bool(s, "allowConcurrentJobs", plan >= GEN_MEDIUM);
    sink_n(s, "logRetentionDays", retention[plan]);
    sink_end(s);
}

static void item_emit_settings(uint64_t draw, struct sink *s) {
    static const char *const zones[] = {"Europe/Zurich", "America/Toronto", "Asia/Tokyo", "Australia/Sydney"};
    sink_begin(s, "settings", LARDER_M);
    sink_s(s, "timezone", zones[item_take(&draw, 4)]);
    sink_bool(s, "notifyOnFailure", item_take(&draw, 3) > 0);
    sink_n(s, "batchSize", 50 + 50 * (int64_t)item_take(&draw, 4));
    sink_begin(s, "columns", LARDER_L);
    sink_s(s, NULL, "Handle");
    sink_s(s, NULL, "Title");
    if (item_take(&draw, 2))
        sink_s(s, NULL, "Größe"); /* not ASCII: real column names are not */
    sink_end(s);
    sink_end(s);
}

static void item_emit_shop(const struct gen *g, struct gen_place p, struct sink *s) {
    static const char *const billing[] = {"ACTIVE", "ACTIVE", "ACTIVE", "ACTIVE", "SUSPENDED", "CANCELLED"};
    uint64_t draw = gen_draw(g, p, SALT_FACTS);
    enum gen_plan plan = gen_shop_plan(g, p.shop);
    int64_t installed_ms = gen_shop_installed_ms(g, p.shop);
    const char *state = billing[item_take(&draw, 6)];
    char domain[KEY_TEXT_BYTES], name[KEY_TEXT_BYTES];
    key_domain(g, p.shop, domain);
    key_join("Shop ", domain, name);
    sink_s(s, "shopName", name);
    item_emit_token(g, p, s);
    sink_s(s, "plan", gen_plan_names[plan]);
    sink_s(s, "billingStatus", state);
    item_emit_stamp(s, "installedAt", installed_ms);
    if (state[0] == 'C')
        item_emit_stamp(s, "uninstalledAt", installed_ms + (int64_t)item_take(&draw, 40) * WHEN_DAY_S * 1000);
    else
        sink_null(s, "uninstalledAt");
    item_emit_features(plan, s);
    item_emit_settings(draw, s);
}

/* ---- Job ------------------------------------------------------------------------------------- */

/* How far a job has come, by its status. */
struct item_progress {
    int64_t total, processed, failed;
};

static struct item_progress item_job_progress(enum gen_status status, uint64_t draw) {
    struct item_progress p = {.total = 10 + item_take(&draw, 5000)};
    if (status == GEN_COMPLETED)
        p.processed = p.total;
    else if (status != GEN_QUEUED)
        p.processed = item_take(&draw, (uint32_t)p.total);
    if (status == GEN_FAILED)
        p.failed = 1 + p.processed / 2;
    else if (item_take(&draw, 4) == 0)
        p.failed = p.processed / 20;
    if (p.failed > p.processed)
        p.processed = p.failed;
    return p;
}

static void item_emit_progress(const struct item_progress *p, struct sink *s) {
    sink_n(s, "totalProducts", p->total);
    sink_n(s, "processedProducts", p->processed);
    sink_n(s, "successfulProducts", p->processed - p->failed);
    sink_n(s, "failedProducts", p->failed);
    sink_n(s, "progressPercentage", p->processed * 100 / p->total);
    sink_n(s, "shopifyApiCallsUsed", p->processed * 2 + 3);
    sink_begin(s, "errorSummary", LARDER_M);
    if (p->failed > 0)
        sink_n(s, "INVALID_SKU", p->failed - p->failed / 3);
    if (p->failed / 3 > 0)
        sink_n(s, "IMAGE_TOO_LARGE", p->failed / 3);
    sink_end(s);
}

static void item_emit_job(const struct gen *g, struct gen_place p, uint32_t revision, struct sink *s) {
    static const char *const modes[] = {"CREATE", "UPDATE", "UPSERT", "DELETE"};
    uint64_t draw = gen_draw(g, p, SALT_FACTS);
    enum gen_status status = gen_job_status(g, p.shop, p.ordinal, revision);
    int64_t created_ms = gen_job_created_ms(g, p.shop, p.ordinal);
    struct item_progress progress = item_job_progress(status, rng_hash(draw, revision, SALT_REVISED));
    char id[KEY_TEXT_BYTES], domain[KEY_TEXT_BYTES], text[2 * KEY_TEXT_BYTES];
    key_job_id(g, p.shop, p.ordinal, id);
    key_domain(g, p.shop, domain);
    sink_s(s, "jobId", id);
    sink_s(s, "type", item_take(&draw, 3) ? "IMPORT" : "EXPORT");
    sink_s(s, "mode", modes[item_take(&draw, 4)]);
    sink_bool(s, "isDryRun", item_take(&draw, 5) == 0);
    item_emit_progress(&progress, s);
    struct text t = text_on(text, sizeof text);
    text_add(&t, "uploads/");
    text_add(&t, domain);
    text_add(&t, "/");
    text_add(&t, id);
    text_add(&t, ".csv");
    sink_s(s, "s3Key", text);
    sink_s(s, "createdBy", item_take(&draw, 8) ? "user" : "schedule");
    item_emit_stamp(s, "createdAt", created_ms);
    item_emit_stamp(s, "updatedAt", created_ms + ((int64_t)revision + 1) * 61007);
    sink_n(s, ITEM_REVISION, revision);
    sink_n(s, "ExpiresAt", created_ms / 1000 + 90 * WHEN_DAY_S);
}

/* ---- Usage, schema, session, configuration --------------------------------------------------- */

static void item_emit_usage(const struct gen *g, struct gen_place p, uint32_t revision, struct sink *s) {
    uint64_t draw = gen_draw(g, p, SALT_SIZE);
    int64_t days = p.kind == GEN_DAILY ? 1 : 30;
    int64_t imports = item_take(&draw, 12) * days;
    int64_t products = imports * (10 + item_take(&draw, 400));
    imports += revision;
    products += revision * (int64_t)ITEM_IMPORT_PRODUCTS;
    sink_n(s, "importsCount", imports);
    sink_n(s, "productsImported", products);
    sink_n(s, "shopifyApiCalls", products * 2 + imports * 3);
    sink_n(s, "storageUsedBytes", products * 2048 + item_take(&draw, 1u << 20));
    if (gen_live(g, p) != GEN_NONE)
        sink_n(s, ITEM_REVISION, revision);
}

static void item_emit_definitions(const char *name, const char *owner, uint32_t count, uint64_t draw, struct sink *s) {
    static const char *const types[] = {"single_line_text_field", "number_integer", "boolean", "list.color"};
    char key[32];
    sink_begin(s, name, LARDER_L);
    for (uint32_t i = 0; i < count; i++) {
        (void)snprintf(key, sizeof key, "field_%02u", i + 1);
        sink_begin(s, NULL, LARDER_M);
        sink_s(s, "namespace", "custom");
        sink_s(s, "key", key);
        sink_s(s, "type", types[item_take(&draw, 4)]);
        sink_s(s, "ownerType", owner);
        sink_bool(s, "required", item_take(&draw, 4) == 0);
        sink_end(s);
    }
    sink_end(s);
}

static void item_emit_schema(const struct gen *g, struct gen_place p, struct sink *s) {
    uint32_t newest = gen_schema_versions(g, p.shop);
    /* CURRENT is a copy of the newest version */
    uint32_t version = p.ordinal == 0 ? newest : p.ordinal;
    uint64_t draw = gen_draw(g, (struct gen_place){GEN_SCHEMA, p.shop, version}, SALT_FACTS);
    sink_n(s, "version", version);
    item_emit_definitions("metafieldDefinitions", "PRODUCT", 2 + item_take(&draw, 10), draw, s);
    item_emit_definitions("metaobjectDefinitions", "METAOBJECT", item_take(&draw, 4), rng_mix(~draw), s);
    item_emit_stamp(s, "lastValidatedAt", (g->load.today - (int64_t)item_take(&draw, 30)) * WHEN_DAY_S * 1000);
}

static void item_emit_session(const struct gen *g, struct gen_place p, uint32_t revision, struct sink *s) {
    static const char *const locales[] = {"en", "de", "fr", "ja"};
    uint64_t draw = gen_draw(g, p, SALT_FACTS);
    int64_t expires_s = gen_session_expires_s(g, p.shop, p.ordinal, revision);
    char text[KEY_TEXT_BYTES];
    key_session_id(g, p.shop, p.ordinal, text);
    sink_s(s, "id", text);
    key_domain(g, p.shop, text);
    sink_s(s, "shop", text);
    (void)snprintf(text, sizeof text, "%015llu", (unsigned long long)(rng_mix(draw) % 1000000000000000u));
    sink_s(s, "state", text);
    sink_bool(s, "isOnline", p.ordinal > 0);
    sink_s(s, "scope", "read_products,write_products,read_files,write_files");
    item_emit_token(g, p, s);
    sink_n(s, "userId", gen_session_user(p.shop, p.ordinal));
    (void)snprintf(text, sizeof text, "user%u@shop-%05u.example", p.ordinal, p.shop);
    sink_s(s, "email", text);
    sink_s(s, "locale", locales[item_take(&draw, 4)]);
    item_emit_stamp(s, "expires", expires_s * 1000);
    sink_n(s, ITEM_REVISION, revision);
    sink_n(s, "ExpiresAt", expires_s);
}

static void item_emit_config(struct sink *s) {
    sink_s(s, "version", "2.4.1");
    sink_s(s, "shopifyApiVersion", "2026-10");
    sink_n(s, "rateLimitBuffer", 20);
    sink_n(s, "defaultRetryAttempts", 3);
}

/* ---- All kinds ------------------------------------------------------------------------------- */

static void item_emit_keys(const struct gen *g, struct gen_place p, uint32_t revision, struct sink *s) {
    struct key k;
    for (int i = 0; i < KEY_INDEX_COUNT; i++)
        if (key_of(g, p, revision, (enum key_index)i, &k)) {
            sink_s(s, key_attributes[i].partition, k.partition);
            sink_s(s, key_attributes[i].sort, k.sort);
        }
}

void item_emit(const struct gen *g, struct gen_place p, uint32_t revision, struct sink *s) {
    static const char *const types[] = {"Shop", "Job", "UsageDaily", "UsageMonthly", "Schema", "Session", "AppConfig"};
    item_emit_keys(g, p, revision, s);
    sink_s(s, "EntityType", types[p.kind]);
    switch (p.kind) {
    case GEN_SHOP:
        item_emit_shop(g, p, s);
        break;
    case GEN_JOB:
        item_emit_job(g, p, revision, s);
        break;
    case GEN_DAILY:
    case GEN_MONTHLY:
        item_emit_usage(g, p, revision, s);
        break;
    case GEN_SCHEMA:
        item_emit_schema(g, p, s);
        break;
    case GEN_SESSION:
        item_emit_session(g, p, revision, s);
        break;
    case GEN_CONFIG:
        item_emit_config(s);
        break;
    }
}

uint64_t item_fingerprint(const struct gen *g, struct gen_place p, uint32_t revision) {
    struct sink s;
    sink_open(&s, NULL);
    item_emit(g, p, revision, &s);
    return sink_fingerprint(&s);
}

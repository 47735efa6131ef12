/* ident.c - from an item's key back to its place in the load. See ident.h. */
#include "ident.h"

#include <stdlib.h>
#include <string.h>

#include "key.h"
#include "when.h"

/* The text after `prefix`, or NULL if it does not start with it. */
static const char *ident_after(const char *text, const char *prefix) {
    size_t bytes = strlen(prefix);
    return strncmp(text, prefix, bytes) == 0 ? text + bytes : NULL;
}

/* word-word-00042.myshopify.com: the shop's number stands before the first dot. */
static bool ident_shop(const struct gen *g, const char *domain, uint32_t *shop) {
    const char *dot = strchr(domain, '.');
    if (!dot)
        return false;
    const char *digits = dot;
    while (digits > domain && digits[-1] >= '0' && digits[-1] <= '9')
        digits--;
    unsigned long number = strtoul(digits, NULL, 10);
    if (digits == dot || dot - digits > 9 || number >= g->load.shop_count)
        return false;
    *shop = (uint32_t)number;
    return true;
}

static bool ident_session(const struct gen *g, const char *id, struct gen_place *out) {
    const char *domain = ident_after(id, "offline_");
    out->kind = GEN_SESSION;
    out->ordinal = 0;
    if (domain)
        return ident_shop(g, domain, &out->shop);
    const char *user = strchr(id, '_');
    if (!user || user[1] == 0 || !ident_shop(g, id, &out->shop))
        return false;
    out->ordinal = (uint32_t)(user[strlen(user) - 1] - '0'); /* gen_session_user() ends with it */
    return out->ordinal > 0 && out->ordinal < GEN_SESSIONS;
}

static bool ident_of_shop(const struct gen *g, const char *sort, struct gen_place *out) {
    const char *rest;
    int64_t n;
    char month[KEY_TEXT_BYTES];
    out->ordinal = 0;
    if (strcmp(sort, "METADATA") == 0) {
        out->kind = GEN_SHOP;
        return true;
    }
    if ((rest = ident_after(sort, "JOB#"))) {
        out->kind = GEN_JOB;
        out->ordinal = when_parse_ulid(rest, &n) ? gen_job_at(g, out->shop, n) : GEN_NONE;
        return out->ordinal != GEN_NONE;
    }
    if ((rest = ident_after(sort, "USAGE#DAILY#"))) {
        out->kind = GEN_DAILY;
        if (!when_parse_date(rest, &n))
            return false;
        n -= g->load.today - (int64_t)GEN_DAYS;
        out->ordinal = (uint32_t)n;
        return n >= 0 && n < GEN_DAYS;
    }
    if ((rest = ident_after(sort, "USAGE#MONTHLY#"))) {
        out->kind = GEN_MONTHLY;
        for (; out->ordinal < GEN_MONTHS; out->ordinal++) {
            key_month(g, out->ordinal, month);
            if (strcmp(month, rest) == 0)
                return true;
        }
        return false;
    }
    out->kind = GEN_SCHEMA;
    if (strcmp(sort, "SCHEMA#CURRENT") == 0)
        return true;
    rest = ident_after(sort, "SCHEMA#V#");
    out->ordinal = rest ? (uint32_t)strtoul(rest, NULL, 10) : 0;
    return out->ordinal > 0 && out->ordinal <= gen_schema_versions(g, out->shop);
}

bool ident_find(const struct gen *g, const char *partition, const char *sort, struct gen_place *out) {
    const char *rest;
    if ((rest = ident_after(partition, "SHOP#")))
        return ident_shop(g, rest, &out->shop) && ident_of_shop(g, sort, out);
    if ((rest = ident_after(partition, "SESSION#")))
        return ident_session(g, rest, out);
    *out = (struct gen_place){GEN_CONFIG, 0, 0};
    return strcmp(partition, "CONFIG") == 0 && strcmp(sort, "APP#CURRENT") == 0;
}

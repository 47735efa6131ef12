/* dynamodb/constraint.c - parameters that break a constraint. See constraint.h.
 *
 * Sources  Wording: the dynamodb-conformance suite and dynalite's suites, run against the service.
 */
#include "dynamodb/constraint.h"

#include <stdio.h>

#define ERRORS_MAX 10

void constraint_add(struct constraints *c, struct text value, const char *name, const char *must) {
    size_t room = sizeof c->text - c->used;
    const char *quote = value.at ? "'" : "";
    if (c->count == ERRORS_MAX)
        return;
    if (!value.at)
        value = TEXT("null");
    int bytes = snprintf(c->text + c->used, room, "%sValue %s%.*s%s at '%s' " CONSTRAINT "%s", c->count ? "; " : "",
                         quote, (int)value.bytes, value.at, quote, name, must);
    c->used += (size_t)bytes < room ? (size_t)bytes : room - 1;
    c->count++;
}

void constraint_add_null(struct constraints *c, const char *name) {
    constraint_add(c, (struct text){NULL, 0}, name, "not be null");
}

int constraint_report(const struct constraints *c, struct failure *f) {
    return c->count ? failure_set(f, FAILURE_VALIDATION, "%u validation error%s detected: %s", c->count,
                                  c->count > 1 ? "s" : "", c->text)
                    : LARDER_OK;
}

int constraint_is_one_of(struct text value, const char *alternatives) {
    for (const char *at = alternatives; *at; at += *at == ',' ? 2 : 0) {
        size_t bytes = strcspn(at, ",");
        if (bytes == value.bytes && memcmp(at, value.at, bytes) == 0)
            return 1;
        at += bytes;
    }
    return 0;
}

void constraint_add_choice(struct constraints *c, struct text value, const char *name, const char *alternatives) {
    char must[160];
    if (constraint_is_one_of(value, alternatives))
        return;
    snprintf(must, sizeof must, "satisfy enum value set: [%s]", alternatives);
    constraint_add(c, value, name, must);
}

void constraint_add_range(struct constraints *c, int64_t value, const char *name, int64_t least, int64_t most) {
    char text[32], must[64];
    if (value >= least && value <= most)
        return;
    snprintf(text, sizeof text, "%lld", (long long)value);
    snprintf(must, sizeof must, "have value %s than or equal to %lld", value < least ? "greater" : "less",
             (long long)(value < least ? least : most));
    constraint_add(c, (struct text){text, strlen(text)}, name, must);
}

/* ---- Names ----------------------------------------------------------------------------------- */

static int is_name_character(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ||
           c == '-';
}

static int is_name(struct text name) {
    for (size_t i = 0; i < name.bytes; i++)
        if (!is_name_character(name.at[i]))
            return 0;
    return name.bytes > 0;
}

/* "arn:aws:dynamodb:eu-west-2:123456789012:table/NAME": API reference, TableName. Elsewhere than in
 * "aws" it may be "aws-cn", say. */
static struct text name_in_arn(struct text arn) {
    static const char start[] = "arn:aws", service[] = ":dynamodb:", table[] = ":table/";
    struct text none = {NULL, 0};
    const char *colon = arn.bytes > sizeof start ? memchr(arn.at + 4, ':', arn.bytes - 4) : NULL;
    size_t left = colon ? arn.bytes - (size_t)(colon - arn.at) : 0;
    if (left < sizeof service || memcmp(arn.at, start, sizeof start - 1) != 0 ||
        memcmp(colon, service, sizeof service - 1) != 0)
        return none;
    for (size_t i = 0; i + sizeof table <= arn.bytes; i++)
        if (memcmp(arn.at + i, table, sizeof table - 1) == 0) {
            struct text name = {arn.at + i + sizeof table - 1, arn.bytes - i - (sizeof table - 1)};
            return is_name(name) ? name : none;
        }
    return none;
}

struct text constraint_table_name(struct text given) {
    struct text name = name_in_arn(given);
    return name.at ? name : given;
}

void constraint_add_name(struct constraints *c, struct text given, const char *member) {
    struct text name = constraint_table_name(given);
    if (!is_name(name))
        constraint_add(c, name, member, "satisfy regular expression pattern: [a-zA-Z0-9_.-]+");
    if (name.bytes < 3)
        constraint_add(c, name, member, "have length greater than or equal to 3");
    if (name.bytes > LARDER_NAME_BYTES_MAX)
        constraint_add(c, name, member, "have length less than or equal to 255");
}

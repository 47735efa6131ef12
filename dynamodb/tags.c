/* dynamodb/tags.c - TagResource, UntagResource, ListTagsOfResource. See tags.h.
 *
 * Sources  API reference of each. Order and words: dynalite's suites (tagResource, untagResource,
 *          listTagsOfResource), run against the service.
 * Note     ListTagsOfResource gives all of them at once; there are at most 50.
 */
#include "dynamodb/tags.h"

#include "dynamodb/describe.h"
#include "dynamodb/operations.h"
#include "dynamodb/settings.h"

#define KEY_CHARACTERS_MAX 128u
#define VALUE_CHARACTERS_MAX 256u

/* ---- What a tag may be ----------------------------------------------------------------------- */

static int is_tag_character(uint8_t c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c >= 0x80 ||
           (c && strchr(" +-=._:/@", c));
}

/* Letters of any language count as one. */
static int is_tag_text(struct text text, uint32_t least, uint32_t most) {
    uint32_t characters = 0;
    for (size_t i = 0; i < text.bytes; i++) {
        if (!is_tag_character((uint8_t)text.at[i]))
            return 0;
        characters += ((uint8_t)text.at[i] & 0xc0) != 0x80;
    }
    return text.at && characters >= least && characters <= most;
}

static int refuse(struct larder_dynamodb *d, const char *what, struct text text) {
    if (!text.at)
        text = TEXT("null");
    return failure_set(&d->failure, FAILURE_VALIDATION, "%s: %.*s", what, (int)text.bytes, text.at);
}

static int check_tag(struct larder_dynamodb *d, const struct table_tag *tag) {
    if (!is_tag_text(tag->key, 1, KEY_CHARACTERS_MAX))
        return refuse(d, "The Tag Key provided is invalid, Key", tag->key);
    if (tag->key.bytes >= 4 && memcmp(tag->key.at, "aws:", 4) == 0)
        return refuse(d, "Tag Key cannot be prefixed with aws:, Key", tag->key);
    if (!is_tag_text(tag->value, 0, VALUE_CHARACTERS_MAX))
        return refuse(d, "The Tag Value provided is invalid, Value", tag->value);
    return LARDER_OK;
}

static int refuse_number(struct larder_dynamodb *d) {
    return failure_set(&d->failure, FAILURE_VALIDATION,
                       "Number of Tags exceed the current limit for the provided ResourceArn");
}

int tags_check(struct larder_dynamodb *d) {
    const struct table_request *q = &d->tables_request;
    if (q->tag_count > TABLE_TAGS_MAX)
        return refuse_number(d);
    for (uint32_t i = 0; i < q->tag_count; i++) {
        int r = check_tag(d, &q->tags[i]);
        if (r)
            return r;
        for (uint32_t k = 0; k < i; k++)
            if (text_is(q->tags[i].key, q->tags[k].key))
                return failure_set(&d->failure, FAILURE_VALIDATION,
                                   "Duplicate Tag Keys provided as input: Duplicate Tag Key found %.*s",
                                   (int)q->tags[i].key.bytes, q->tags[i].key.at);
    }
    return LARDER_OK;
}

/* ---- The table of an ARN --------------------------------------------------------------------- */

/* Five colons, then a resource with a slash. */
static int is_arn(struct text arn) {
    uint32_t colons = 0;
    size_t i = 0;
    for (; i < arn.bytes && colons < 5; i++)
        colons += arn.at[i] == ':';
    return colons == 5 && memchr(arn.at + i, '/', arn.bytes - i) != NULL;
}

static int deny(struct larder_dynamodb *d, const char *operation, struct text arn) {
    if (!arn.bytes)
        arn = TEXT("*");
    return failure_set(&d->failure, FAILURE_ACCESS,
                       "User: arn:aws:iam::000000000000:larder is not authorized to perform: dynamodb:%s on resource: "
                       "%.*s",
                       operation, (int)arn.bytes, arn.at);
}

static int check_arn(struct larder_dynamodb *d, const char *operation) {
    struct text arn = d->tables_request.arn;
    if (!arn.at)
        return failure_set(&d->failure, FAILURE_VALIDATION, "Invalid TableArn");
    return is_arn(arn) ? LARDER_OK : deny(d, operation, arn);
}

static int open_arn(struct larder_dynamodb *d, struct larder_table **table, const struct larder_table_def **def) {
    static const char start[] = "arn:aws:dynamodb:";
    struct table_request *q = &d->tables_request;
    struct text arn = q->arn, name = constraint_table_name(arn);
    if (arn.bytes < sizeof start || memcmp(arn.at, start, sizeof start - 1) != 0 || name.at == arn.at ||
        name.bytes < 3 || name.bytes > LARDER_NAME_BYTES_MAX)
        return failure_set(&d->failure, FAILURE_VALIDATION,
                           "Invalid TableArn: Invalid ResourceArn provided as input %.*s", (int)arn.bytes, arn.at);
    q->table_name = name;
    int r = describe_open(d, table, def);
    if (r && d->failure.kind == FAILURE_NOT_FOUND)
        failure_set(&d->failure, FAILURE_NOT_FOUND, "Requested resource not found: ResourcArn: %.*s not found",
                    (int)arn.bytes, arn.at);
    return r;
}

/* ---- Operations ------------------------------------------------------------------------------ */

static void drop(struct settings *s, struct text key) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < s->tag_count; i++)
        if (!text_is(s->tags[i].key, key))
            s->tags[kept++] = s->tags[i];
    s->tag_count = kept;
}

static int add(struct settings *s, const struct table_tag *tag) {
    for (uint32_t i = 0; i < s->tag_count; i++)
        if (text_is(s->tags[i].key, tag->key)) {
            s->tags[i].value = tag->value;
            return LARDER_OK;
        }
    if (s->tag_count == TABLE_TAGS_MAX)
        return LARDER_E_INVAL;
    s->tags[s->tag_count++] = *tag;
    return LARDER_OK;
}

static int change_tags(struct larder_dynamodb *d, struct settings *s, const void *is_untag) {
    const struct table_request *q = &d->tables_request;
    for (uint32_t i = 0; i < q->tag_count; i++) {
        if (is_untag)
            drop(s, q->tags[i].key);
        else if (add(s, &q->tags[i]))
            return refuse_number(d);
    }
    return LARDER_OK;
}

static int change(struct larder_dynamodb *d, int is_untag) {
    const struct table_request *q = &d->tables_request;
    const struct larder_table_def *def = NULL;
    struct larder_table *table = NULL;
    struct constraints c = {.count = 0};
    int r = check_arn(d, is_untag ? "UntagResource" : "TagResource");
    if (r)
        return r;
    if (!q->has_tags)
        constraint_add_null(&c, is_untag ? "tagKeys" : "tags");
    if ((r = constraint_report(&c, &d->failure)) || (r = open_arn(d, &table, &def)))
        return r;
    if (!q->tag_count)
        return failure_set(&d->failure, FAILURE_VALIDATION, "Atleast one Tag%s needs to be provided as Input.",
                           is_untag ? " Key" : "");
    for (uint32_t i = 0; is_untag && i < q->tag_count; i++)
        if (!is_tag_text(q->tags[i].key, 1, KEY_CHARACTERS_MAX))
            return refuse(d, "The Tag Key provided is invalid, Key", q->tags[i].key);
    if (!is_untag && (r = tags_check(d)))
        return r;
    return describe_change(d, table, change_tags, is_untag ? d : NULL);
}

int operation_tag_resource(struct larder_dynamodb *d, struct document_writer *w) {
    (void)w;
    return change(d, 0);
}

int operation_untag_resource(struct larder_dynamodb *d, struct document_writer *w) {
    (void)w;
    return change(d, 1);
}

int operation_list_tags(struct larder_dynamodb *d, struct document_writer *w) {
    const struct larder_table_def *def = NULL;
    struct larder_table *table = NULL;
    struct settings s;
    int r = check_arn(d, "ListTagsOfResource");
    if (r || (r = open_arn(d, &table, &def)))
        return r;
    settings_read(&s, def, &d->settings_reader);
    document_put_name(w, TEXT("Tags"));
    document_put_begin(w, DOCUMENT_ARRAY);
    for (uint32_t i = 0; i < s.tag_count; i++) {
        document_put_begin(w, DOCUMENT_OBJECT);
        document_put_name(w, TEXT("Key"));
        document_put_text(w, s.tags[i].key);
        document_put_name(w, TEXT("Value"));
        document_put_text(w, s.tags[i].value);
        document_put_end(w, DOCUMENT_OBJECT);
    }
    document_put_end(w, DOCUMENT_ARRAY);
    return LARDER_OK;
}

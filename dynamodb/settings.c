/* dynamodb/settings.c - settings of a table, read and written. See settings.h. */
#include "dynamodb/settings.h"

#include <stdio.h>
#include <sys/random.h>
#include <time.h>

/* ---- Reading --------------------------------------------------------------------------------- */

static int read_pair(struct table_throughput *t, struct wire *w) {
    return table_request_read_pair(t, w);
}

static int read_tag(struct settings *s, struct wire *w) {
    struct table_tag tag;
    int r = table_request_read_tag(&tag, w);
    if (r == LARDER_OK && s->tag_count < TABLE_TAGS_MAX && tag.key.at && tag.value.at)
        s->tags[s->tag_count++] = tag;
    return r;
}

static int read_index(struct settings *s, struct wire *w) {
    struct settings_index index = {.name = {NULL, 0}};
    struct text name;
    int r = wire_structure(w, "Index");
    while (r == LARDER_OK && (r = wire_result(w, document_member(w->reader, &name))) == LARDER_OK) {
        if (text_is(name, TEXT("IndexName")))
            r = wire_string(w, &index.name);
        else if (text_is(name, TEXT("ProvisionedThroughput")))
            r = read_pair(&index.throughput, w);
        else if (text_is(name, TEXT("OnDemandThroughput")))
            r = read_pair(&index.on_demand, w);
        else
            r = text_is(name, TEXT("WarmThroughput")) ? read_pair(&index.warm, w) : wire_skip(w);
        if (r < 0)
            return r;
        r = LARDER_OK;
    }
    if (r >= 0 && index.name.at && s->index_count < LARDER_GLOBAL_INDEXES_MAX)
        s->indexes[s->index_count++] = index;
    return r < 0 ? r : LARDER_OK;
}

static int read_list(struct settings *s, int (*read)(struct settings *s, struct wire *w), struct wire *w) {
    int r = wire_list(w);
    while (r == LARDER_OK && (r = wire_result(w, document_element(w->reader))) == LARDER_OK)
        if ((r = read(s, w)) < 0)
            return r;
    return r;
}

static int read_member(struct settings *s, struct text name, struct wire *w) {
    const struct {
        struct text name;
        struct text *text;
        int64_t *integer;
        struct table_throughput *pair;
    } members[] = {{TEXT("TableId"), &s->id, NULL, NULL},
                   {TEXT("CreationDateTime"), NULL, &s->created_s, NULL},
                   {TEXT("BillingMode"), &s->billing, NULL, NULL},
                   {TEXT("LastUpdateToPayPerRequestDateTime"), NULL, &s->on_demand_s, NULL},
                   {TEXT("ProvisionedThroughput"), NULL, NULL, &s->throughput},
                   {TEXT("OnDemandThroughput"), NULL, NULL, &s->on_demand},
                   {TEXT("WarmThroughput"), NULL, NULL, &s->warm},
                   {TEXT("TableClass"), &s->table_class, NULL, NULL},
                   {TEXT("LastUpdateDateTime"), NULL, &s->class_s, NULL},
                   {TEXT("StreamViewType"), &s->stream_view, NULL, NULL},
                   {TEXT("LatestStream"), NULL, &s->stream_s, NULL},
                   {TEXT("KMSMasterKeyArn"), &s->key_arn, NULL, NULL}};
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        if (!text_is(name, members[i].name))
            continue;
        if (members[i].text)
            return wire_string(w, members[i].text);
        return members[i].integer ? wire_long(w, members[i].integer) : read_pair(members[i].pair, w);
    }
    if (text_is(name, TEXT("DeletionProtectionEnabled")))
        return wire_boolean(w, &s->is_protected);
    if (text_is(name, TEXT("GlobalSecondaryIndexes")))
        return read_list(s, read_index, w);
    return text_is(name, TEXT("Tags")) ? read_list(s, read_tag, w) : wire_skip(w);
}

void settings_read(struct settings *s, const struct larder_table_def *def, struct json_reader *reader) {
    struct failure ignored;
    struct wire wire = {.reader = &reader->reader, .failure = &ignored};
    struct text name;
    *s = (struct settings){.id = {NULL, 0}};
    if (!def->settings_bytes)
        return;
    json_reader_begin(reader, def->settings, def->settings_bytes);
    int r = document_kind(&reader->reader) == DOCUMENT_OBJECT ? document_begin(&reader->reader) : LARDER_E_INVAL;
    while (r >= 0 && (r = document_member(&reader->reader, &name)) == LARDER_OK)
        r = read_member(s, name, &wire);
    if (r < 0 || json_reader_finish(reader) || !s->id.at) /* S1 */
        *s = (struct settings){.id = {NULL, 0}};
}

/* ---- Writing --------------------------------------------------------------------------------- */

static void put_text(struct document_writer *w, struct text name, struct text text) {
    if (!text.at)
        return;
    document_put_name(w, name);
    document_put_text(w, text);
}

static void put_integer(struct document_writer *w, struct text name, int64_t value) {
    if (!value)
        return;
    document_put_name(w, name);
    document_put_integer(w, value);
}

static void put_pair(struct document_writer *w, struct text name, const struct table_throughput *t) {
    if (!t->is_given)
        return;
    document_put_name(w, name);
    document_put_begin(w, DOCUMENT_OBJECT);
    if (t->has_read)
        put_integer(w, TEXT("ReadCapacityUnits"), t->read);
    if (t->has_write)
        put_integer(w, TEXT("WriteCapacityUnits"), t->write);
    document_put_end(w, DOCUMENT_OBJECT);
}

static void put_indexes(struct document_writer *w, const struct settings *s) {
    document_put_name(w, TEXT("GlobalSecondaryIndexes"));
    document_put_begin(w, DOCUMENT_ARRAY);
    for (uint32_t i = 0; i < s->index_count; i++) {
        document_put_begin(w, DOCUMENT_OBJECT);
        put_text(w, TEXT("IndexName"), s->indexes[i].name);
        put_pair(w, TEXT("ProvisionedThroughput"), &s->indexes[i].throughput);
        put_pair(w, TEXT("OnDemandThroughput"), &s->indexes[i].on_demand);
        put_pair(w, TEXT("WarmThroughput"), &s->indexes[i].warm);
        document_put_end(w, DOCUMENT_OBJECT);
    }
    document_put_end(w, DOCUMENT_ARRAY);
}

static void put_tags(struct document_writer *w, const struct settings *s) {
    document_put_name(w, TEXT("Tags"));
    document_put_begin(w, DOCUMENT_ARRAY);
    for (uint32_t i = 0; i < s->tag_count; i++) {
        document_put_begin(w, DOCUMENT_OBJECT);
        put_text(w, TEXT("Key"), s->tags[i].key);
        put_text(w, TEXT("Value"), s->tags[i].value);
        document_put_end(w, DOCUMENT_OBJECT);
    }
    document_put_end(w, DOCUMENT_ARRAY);
}

int settings_write(const struct settings *s, struct json_writer *writer) {
    struct document_writer *w = &writer->writer;
    json_writer_begin(writer);
    document_put_begin(w, DOCUMENT_OBJECT);
    put_text(w, TEXT("TableId"), s->id);
    put_integer(w, TEXT("CreationDateTime"), s->created_s);
    put_text(w, TEXT("BillingMode"), s->billing);
    put_integer(w, TEXT("LastUpdateToPayPerRequestDateTime"), s->on_demand_s);
    put_pair(w, TEXT("ProvisionedThroughput"), &s->throughput);
    put_pair(w, TEXT("OnDemandThroughput"), &s->on_demand);
    put_pair(w, TEXT("WarmThroughput"), &s->warm);
    put_text(w, TEXT("TableClass"), s->table_class);
    put_integer(w, TEXT("LastUpdateDateTime"), s->class_s);
    put_text(w, TEXT("StreamViewType"), s->stream_view);
    put_integer(w, TEXT("LatestStream"), s->stream_s);
    put_text(w, TEXT("KMSMasterKeyArn"), s->key_arn);
    if (s->is_protected) {
        document_put_name(w, TEXT("DeletionProtectionEnabled"));
        document_put_boolean(w, 1);
    }
    if (s->index_count)
        put_indexes(w, s);
    if (s->tag_count)
        put_tags(w, s);
    document_put_end(w, DOCUMENT_OBJECT);
    int r = json_writer_finish(writer);
    return r == LARDER_OK && writer->bytes > LARDER_SETTINGS_BYTES_MAX ? LARDER_E_INVAL : r;
}

/* ---- Indexes --------------------------------------------------------------------------------- */

const struct settings_index *settings_find_index(const struct settings *s, struct text name) {
    for (uint32_t i = 0; i < s->index_count; i++)
        if (text_is(s->indexes[i].name, name))
            return &s->indexes[i];
    return NULL;
}

struct settings_index *settings_of_index(struct settings *s, struct text name) {
    for (uint32_t i = 0; i < s->index_count; i++)
        if (text_is(s->indexes[i].name, name))
            return &s->indexes[i];
    if (s->index_count == LARDER_GLOBAL_INDEXES_MAX)
        return NULL;
    s->indexes[s->index_count] = (struct settings_index){.name = name};
    return &s->indexes[s->index_count++];
}

void settings_drop_index(struct settings *s, struct text name) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < s->index_count; i++)
        if (!text_is(s->indexes[i].name, name))
            s->indexes[kept++] = s->indexes[i];
    s->index_count = kept;
}

/* ---- What requests change -------------------------------------------------------------------- */

/* A random UUID (RFC 9562, version 4). Without randomness the time has to do. */
static void make_id(char id[SETTINGS_ID_BYTES]) {
    uint8_t bytes[16];
    char text[SETTINGS_ID_BYTES + 1];
    size_t used = 0;
    if (getrandom(bytes, sizeof bytes, GRND_NONBLOCK) != (ssize_t)sizeof bytes) {
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        memcpy(bytes, &now.tv_sec, 8);
        memcpy(bytes + 8, &now.tv_nsec, 8);
    }
    bytes[6] = (uint8_t)(0x40 | (bytes[6] & 0x0f));
    bytes[8] = (uint8_t)(0x80 | (bytes[8] & 0x3f));
    for (size_t i = 0; i < sizeof bytes; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%02x",
                                 i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", bytes[i]);
    memcpy(id, text, SETTINGS_ID_BYTES);
}

/* What is given replaces; -1 takes a limit away. */
static void merge(struct table_throughput *kept, const struct table_throughput *given) {
    if (given->has_read) {
        kept->read = given->read;
        kept->has_read = given->read >= 0;
    }
    if (given->has_write) {
        kept->write = given->write;
        kept->has_write = given->write >= 0;
    }
    kept->is_given = kept->has_read || kept->has_write;
}

static void set_encryption(struct settings *s, const struct table_encryption *e) {
    s->key_arn = (struct text){NULL, 0};
    if (e->is_enabled == 1)
        s->key_arn = e->key.at ? e->key : TEXT("arn:aws:kms:larder:000000000000:key/alias/aws/dynamodb");
}

/* Settings of single indexes: of CreateTable, or of the changes of UpdateTable. */
static void set_indexes(struct settings *s, const struct table_request *q) {
    for (uint32_t i = 0; i < q->index_count; i++) {
        const struct table_index *index = &q->indexes[i];
        struct settings_index *kept;
        if (index->change == TABLE_INDEX_DELETE)
            settings_drop_index(s, index->name);
        if (index->is_local || index->change == TABLE_INDEX_DELETE ||
            !(index->throughput.is_given || index->on_demand.is_given || index->warm.is_given) ||
            !(kept = settings_of_index(s, index->name)))
            continue;
        merge(&kept->throughput, &index->throughput);
        merge(&kept->on_demand, &index->on_demand);
        merge(&kept->warm, &index->warm);
    }
}

static void set_billing(struct settings *s, struct text billing, int64_t now_s) {
    int was_provisioned = settings_are_provisioned(s), is_new = !s->billing.at;
    s->billing = billing;
    if (!is_new && was_provisioned == settings_are_provisioned(s))
        return;
    if (!settings_are_provisioned(s))
        s->on_demand_s = now_s;
    /* a switch drops what belongs to the other mode */
    for (uint32_t i = 0; i < s->index_count; i++)
        *(was_provisioned ? &s->indexes[i].throughput : &s->indexes[i].on_demand) = (struct table_throughput){0};
    *(was_provisioned ? &s->throughput : &s->on_demand) = (struct table_throughput){0};
}

void settings_begin(struct settings *s, char id[SETTINGS_ID_BYTES]) {
    make_id(id);
    *s = (struct settings){.id = {id, SETTINGS_ID_BYTES}, .created_s = time(NULL)};
}

int settings_fail(struct failure *f, int result) {
    if (result == LARDER_E_INVAL)
        return failure_set(f, FAILURE_LIMIT, "the table's settings, tags included, take more than %d bytes",
                           LARDER_SETTINGS_BYTES_MAX);
    return failure_set(f, FAILURE_INTERNAL, "out of memory");
}

void settings_create(struct settings *s, const struct table_request *q, char id[SETTINGS_ID_BYTES]) {
    settings_begin(s, id);
    set_billing(s, q->billing.at ? q->billing : TEXT("PROVISIONED"), s->created_s);
    merge(&s->throughput, &q->throughput);
    merge(&s->on_demand, &q->on_demand);
    merge(&s->warm, &q->warm);
    s->table_class = q->table_class;
    if (q->stream.is_enabled == 1) {
        s->stream_view = q->stream.view;
        s->stream_s = s->created_s;
    }
    if (q->encryption.is_given)
        set_encryption(s, &q->encryption);
    s->is_protected = q->is_protected == 1;
    set_indexes(s, q);
    for (uint32_t i = 0; i < q->tag_count; i++)
        s->tags[s->tag_count++] = q->tags[i];
}

void settings_update(struct settings *s, const struct table_request *q) {
    int64_t now_s = time(NULL);
    if (q->billing.at)
        set_billing(s, q->billing, now_s);
    merge(&s->throughput, &q->throughput);
    merge(&s->on_demand, &q->on_demand);
    merge(&s->warm, &q->warm);
    if (q->table_class.at) {
        s->table_class = q->table_class;
        s->class_s = now_s;
    }
    if (q->stream.is_given) {
        s->stream_view = q->stream.is_enabled == 1 ? q->stream.view : (struct text){NULL, 0};
        s->stream_s = q->stream.is_enabled == 1 ? now_s : s->stream_s;
    }
    if (q->encryption.is_given)
        set_encryption(s, &q->encryption);
    if (q->is_protected >= 0)
        s->is_protected = q->is_protected;
    set_indexes(s, q);
}

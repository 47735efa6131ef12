/* cli/template.c - the tables of templates and of other documents that describe tables.
 *
 * Job      Tells the kinds of documents apart. Each becomes plain descriptions in the words of
 *          CreateTable (cli/template_cloudformation.c, cli/template_workbench.c), and one reader
 *          makes definitions of those (cli/table_def.c).
 * Picture  file -> template_file.c -> document -> evaluate*.c, template_shape.c -> plain
 *          description -> table_def.c -> struct larder_table_def
 * Rules    T2 What means nothing to a cache (billing, streams, encryption, tags) never stops a
 *             template, and is noted, in one line.
 * Tests    tests/unit/cli/template_test.c, tests/cli/template_test.sh
 */
#include "cli/template.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/table_def.h"
#include "cli/template_shape.h"

#define TEMPLATE_NOTE_BYTES 2048

/* ---- The set --------------------------------------------------------------------------------- */

struct template_table *template_append(struct template_set *set, const char *source, struct place *place) {
    struct template_table *table = calloc(1, sizeof *table);
    if (table == NULL) {
        place_fail(place, "out of memory");
        return NULL;
    }
    table->source = source;
    *set->last = table;
    set->last = &table->next;
    return table;
}

int template_keep(struct template_set *set, struct evaluator *e, json_t *value) {
    return json_array_append_new(set->documents, value) == 0 ? LARDER_OK : evaluate_no_memory(e);
}

int template_note(struct template_set *set, struct evaluator *e, const char *format, ...) {
    char text[TEMPLATE_NOTE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    place_whole_characters(text);
    return template_shape_note(e, set->notes, text);
}

/* "A, B, C", cut where there is no more room. */
static void template_list(json_t *texts, char *list, size_t list_bytes) {
    size_t used = 0;
    list[0] = 0;
    for (size_t i = 0; i < json_array_size(texts) && used < list_bytes; i++)
        used += (size_t)snprintf(list + used, list_bytes - used, "%s%.80s", i > 0 ? ", " : "",
                                 json_string_value(json_array_get(texts, i)));
}

int template_note_ignored(struct template_set *set, struct evaluator *e, json_t *ignored, json_t *types,
                          size_t resource_count) {
    char members[TEMPLATE_NOTE_BYTES / 2], others[TEMPLATE_NOTE_BYTES / 2], resources[TEMPLATE_NOTE_BYTES] = "";
    template_list(ignored, members, sizeof members);
    template_list(types, others, sizeof others);
    if (resource_count > 0)
        snprintf(resources, sizeof resources, "%s%zu resource%s (%s)", members[0] != 0 ? "; " : "", resource_count,
                 resource_count == 1 ? "" : "s", others);
    if (members[0] == 0 && resource_count == 0)
        return LARDER_OK;
    return template_note(set, e, "ignored, for it means nothing to a cache: %s%s", members, resources);
}

int template_define(struct template_set *set, struct evaluator *e, json_t *plain, struct template_table *table) {
    int result = template_keep(set, e, json_incref(plain));
    return result >= 0 ? table_def_read(e->place, plain, &table->def, table->indexes) : result;
}

/* ---- Names of tables ------------------------------------------------------------------------- */

/* TableName, evaluated and kept; NULL: it has none. */
static int template_own_name(struct template_set *set, struct evaluator *e, json_t *table_name, const char **out) {
    static const struct template_shape shape[] = {{"TableName", SHAPE_TEXT}, {NULL}};
    json_t *object = json_object(), *plain = NULL;
    int result = json_object_set(object, "TableName", table_name) == 0 ? LARDER_OK : evaluate_no_memory(e);
    if (result >= 0)
        result = template_shape_copy(e, object, shape, NULL, &plain);
    json_decref(object);
    if (result < 0)
        return result;
    json_t *name = json_object_get(plain, "TableName");
    *out = json_string_value(name);
    result = template_keep(set, e, plain);
    if (result < 0 || name == NULL || json_is_null(name) || *out != NULL)
        return result;
    size_t mark = place_enter_name(e->place, "TableName");
    result = place_fail(e->place, "needs a string");
    place_leave(e->place, mark);
    return result;
}

int template_name(struct template_set *set, struct evaluator *e, const char *id, json_t *table_name,
                  struct template_table *table) {
    struct template_settings *settings = set->settings;
    const struct evaluate_pair *pair = settings != NULL && id != NULL ? evaluate_pair(&settings->names, id) : NULL;
    const char *name = pair != NULL ? pair->value : NULL;
    int result = pair == NULL && table_name != NULL ? template_own_name(set, e, table_name, &name) : LARDER_OK;
    if (result < 0 && id != NULL)
        place_add(e->place, "; --name %.80s=NAME names the table", id);
    if (result < 0)
        return result;
    if (id == NULL && name != NULL && settings != NULL && (pair = evaluate_pair(&settings->names, name)) != NULL)
        name = pair->value;
    if (id == NULL && name == NULL && settings != NULL && settings->only_name != NULL) {
        name = settings->only_name;
        settings->is_only_name_used = true;
    }
    if (name == NULL && id == NULL)
        return place_fail(e->place, "TableName is missing; --name NAME gives one");
    if (name == NULL) {
        name = id;
        result = template_note(
            set, e,
            "table %.80s has its logical id as its name, for it has no TableName; --name %.80s=NAME gives another", id,
            id);
    }
    table->def.name = name;
    return result;
}

/* ---- Kinds of documents ---------------------------------------------------------------------- */

/* The words of CreateTable at the top, or below `member`. */
static int template_description(struct template_set *set, struct evaluator *e, json_t *top, const char *member,
                                const char *source) {
    json_t *plain = NULL, *ignored = json_array();
    size_t mark = e->place->path_bytes;
    struct template_table *table = template_append(set, source, e->place);
    json_t *others = json_copy(top); /* the name is read elsewhere */
    if (member != NULL)
        place_enter_name(e->place, member);
    int result = table != NULL && ignored != NULL && others != NULL ? LARDER_OK : evaluate_no_memory(e);
    json_object_del(others, "TableName");
    if (result >= 0)
        result = template_shape_copy(e, others, template_shape_table, ignored, &plain);
    json_decref(others);
    if (result >= 0)
        result = template_name(set, e, NULL, json_object_get(top, "TableName"), table);
    if (result >= 0)
        result = template_define(set, e, plain, table);
    json_decref(plain);
    place_leave(e->place, mark);
    if (result >= 0)
        result = template_note_ignored(set, e, ignored, NULL, 0);
    json_decref(ignored);
    return result;
}

/* A file of the Serverless Framework: `resources` is a template, or a list of parts of one. */
static int template_serverless(struct template_set *set, struct evaluator *e, json_t *resources, const char *source) {
    static const char *const sections[] = {"Parameters", "Mappings", "Conditions", "Resources"};
    json_t *whole = json_object();
    int result = whole != NULL ? LARDER_OK : evaluate_no_memory(e);
    size_t mark = place_enter_name(e->place, "resources"),
           parts = json_is_array(resources) ? json_array_size(resources) : 1;
    e->is_serverless = true;
    for (size_t i = 0; i < parts && result >= 0; i++) {
        json_t *part = json_is_array(resources) ? json_array_get(resources, i) : resources;
        if (json_is_string(part))
            result = template_note(set, e, "ignored: %s: give larder create that file, too", json_string_value(part));
        for (size_t s = 0; s < 4 && json_is_object(part) && result >= 0; s++) {
            json_t *from = json_object_get(part, sections[s]), *into = json_object_get(whole, sections[s]);
            if (into == NULL && from != NULL)
                json_object_set_new(whole, sections[s], into = json_object());
            if (json_is_object(from) && json_object_update(into, from) != 0)
                result = evaluate_no_memory(e);
            else if (from != NULL && !json_is_object(from))
                result = place_fail(e->place, "%s is %s%.80s, no mapping; give larder create the file with the tables",
                                    sections[s], json_is_string(from) ? "" : "no text either",
                                    json_is_string(from) ? json_string_value(from) : "");
        }
    }
    if (result >= 0 && json_object_get(whole, "Resources") == NULL)
        result = place_fail(e->place, "%s%.120s has no Resources; give larder create the file with the tables",
                            json_is_string(resources) ? "the text " : "",
                            json_is_string(resources) ? json_string_value(resources) : "");
    if (result >= 0)
        result = template_cloudformation(set, e, whole, source);
    json_decref(whole);
    place_leave(e->place, mark);
    return result;
}

/* Whether some member is a table, as in a file with nothing but resources. */
static bool template_has_table(json_t *document) {
    const char *name;
    json_t *member;
    json_object_foreach(document, name, member) if (template_is_table(member)) return true;
    return false;
}

/* Resources without a template around them. */
static int template_resources_alone(struct template_set *set, struct evaluator *e, json_t *resources,
                                    const char *source) {
    json_t *top = json_object();
    int result = json_object_set(top, "Resources", resources) == 0 ? LARDER_OK : evaluate_no_memory(e);
    if (result >= 0)
        result = template_cloudformation(set, e, top, source);
    json_decref(top);
    return result;
}

/* One object in the words of CreateTable, or with a Table or TableDescription in them around it.
 * LARDER_NOT_FOUND: it is none. */
static int template_one(struct template_set *set, struct evaluator *e, json_t *object, const char *source) {
    static const char *const wrappers[] = {"Table", "TableDescription"};
    e->is_data = true;
    for (size_t i = 0; i < 2; i++) {
        json_t *inner = json_object_get(object, wrappers[i]);
        if (json_object_get(inner, "KeySchema") != NULL)
            return template_description(set, e, inner, wrappers[i], source);
    }
    if (json_object_get(object, "KeySchema") != NULL)
        return template_description(set, e, object, NULL, source);
    e->is_data = false;
    return LARDER_NOT_FOUND;
}

/* A list of such objects, at the top or as the member `tables`. */
static int template_list_of(struct template_set *set, struct evaluator *e, json_t *list, const char *member,
                            const char *source) {
    int result = json_array_size(list) > 0 ? LARDER_OK : place_fail(e->place, "the list has no tables");
    size_t mark = member != NULL ? place_enter_name(e->place, member) : e->place->path_bytes;
    for (size_t i = 0; i < json_array_size(list) && result == LARDER_OK; i++) {
        size_t element = place_enter_index(e->place, i);
        result = template_one(set, e, json_array_get(list, i), source);
        if (result == LARDER_NOT_FOUND)
            result = place_fail(e->place, "describes no table: it has no KeySchema");
        place_leave(e->place, element);
    }
    place_leave(e->place, mark);
    return result;
}

static int template_kind(struct template_set *set, struct evaluator *e, json_t *document, const char *source) {
    static const char *const lists[] = {"tables", "Tables"};
    if (json_object_get(document, "Resources") != NULL)
        return template_cloudformation(set, e, document, source);
    json_t *serverless = json_object_get(document, "resources");
    if (serverless != NULL &&
        (json_object_get(document, "service") != NULL || json_object_get(document, "provider") != NULL ||
         json_object_get(serverless, "Resources") != NULL))
        return template_serverless(set, e, serverless, source);
    if (json_is_array(json_object_get(document, "DataModel")))
        return template_workbench(set, e, json_object_get(document, "DataModel"), source);
    int result = template_one(set, e, document, source);
    if (result != LARDER_NOT_FOUND)
        return result;
    if (json_is_array(document))
        return template_list_of(set, e, document, NULL, source);
    for (size_t i = 0; i < 2; i++)
        if (json_is_array(json_object_get(document, lists[i])))
            return template_list_of(set, e, json_object_get(document, lists[i]), lists[i], source);
    if (template_has_table(document))
        return template_resources_alone(set, e, document, source);
    return place_fail(e->place,
                      "neither a template (no Resources), nor a file of the Serverless Framework, nor "
                      "create-table JSON or the output of describe-table (no KeySchema), nor a model of NoSQL "
                      "Workbench (no DataModel)");
}

int template_add(struct template_set *set, json_t *document, const char *source, struct place *place) {
    struct evaluator e = {.place = place};
    if (set->last == NULL)
        set->last = &set->first;
    if (set->documents == NULL)
        set->documents = json_array();
    json_decref(set->notes);
    set->notes = json_array();
    if (set->settings != NULL)
        e.given = &set->settings->parameters;
    if (set->notes == NULL || json_array_append(set->documents, document) != 0)
        return evaluate_no_memory(&e);
    return template_kind(set, &e, document, source);
}

void template_free(struct template_set *set) {
    while (set->first != NULL) {
        struct template_table *table = set->first;
        set->first = table->next;
        for (uint32_t i = 0; i < table->def.index_count; i++)
            free((void *)table->indexes[i].included), free((void *)table->indexes[i].partition_more);
        free(table);
    }
    json_decref(set->documents);
    json_decref(set->notes);
    memset(set, 0, sizeof *set);
}

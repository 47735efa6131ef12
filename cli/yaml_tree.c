/* cli/yaml_tree.c - YAML text as the JSON that it stands for, with CloudFormation's short tags.
 *
 * Job      libyaml's events to jansson's values, one call for each node. What the values mean,
 *          cli/evaluate.c knows.
 * Rules    Y1 A plain true or false, in three ways of writing, is a boolean; null, ~ and nothing
 *             are null. Everything else that is plain stays text: 012 and 1.10 lose no digit, N and
 *             no are no booleans, 2010-09-09 is no date.
 *          Y2 No key comes twice, and every key is a scalar. "<<" merges, as YAML 1.1 has it: own
 *             keys win.
 *          Y3 An alias shares what it names and counts as often as it is used
 *             (YAML_TREE_NODES_MAX), so that a few lines of aliases of aliases are refused before
 *             anything walks them.
 * Tests    tests/unit/cli/yaml_tree_test.c, tests/fuzz/template_fuzz.c
 */
#include "cli/yaml_tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "larder.h"

#define YAML_STANDARD "tag:yaml.org,2002:"
#define YAML_ANCHORS_MAX 1000

struct yaml_anchor {
    char *name;
    json_t *node;      /* NULL: its node is still being read */
    size_t node_count; /* with all that is in it */
};

struct yaml_tree {
    yaml_parser_t parser;
    struct node_lines *lines;
    struct place *place;
    struct yaml_anchor *anchors;
    size_t anchor_count;
    size_t node_count, depth;
    int result; /* LARDER_OK until something fails */
};

/* ---- Failures -------------------------------------------------------------------------------- */

/* Every failure has the place in the text. Returns NULL, for all that return a node. */
static json_t *yaml_fail(struct yaml_tree *tree, const yaml_mark_t *mark, const char *text, const char *value) {
    tree->result = LARDER_E_INVAL;
    place_fail(tree->place, text, value); /* NOLINT(clang-diagnostic-format-nonliteral) */
    tree->place->line = (int)mark->line + 1;
    tree->place->column = (int)mark->column + 1;
    return NULL;
}

static json_t *yaml_no_memory(struct yaml_tree *tree) {
    place_fail(tree->place, "out of memory");
    tree->result = LARDER_E_NO_MEMORY;
    return NULL;
}

/* The next event, or NULL after a failure. The caller deletes it. */
static yaml_event_t *yaml_next(struct yaml_tree *tree, yaml_event_t *event) {
    if (yaml_parser_parse(&tree->parser, event))
        return event;
    memset(event, 0, sizeof *event);
    if (tree->parser.error == YAML_MEMORY_ERROR) {
        yaml_no_memory(tree);
        return NULL;
    }
    tree->place->path_bytes = 0;                   /* a syntax error has a line, the path says no more */
    if (tree->parser.error == YAML_READER_ERROR) { /* has an offset, and no mark */
        const char *problem = tree->parser.problem != NULL ? tree->parser.problem : "unreadable";
        yaml_fail(tree, &tree->parser.mark, "%s", problem);
        return NULL;
    }
    yaml_fail(tree, &tree->parser.problem_mark, "%s",
              tree->parser.problem != NULL ? tree->parser.problem : "syntax error");
    if (tree->parser.context != NULL)
        place_add(tree->place, ", %s (line %zu)", tree->parser.context, tree->parser.context_mark.line + 1);
    return NULL;
}

/* ---- Scalars --------------------------------------------------------------------------------- */

static int yaml_is_one_of(const char *text, const char *a, const char *b, const char *c) {
    return strcmp(text, a) == 0 || strcmp(text, b) == 0 || strcmp(text, c) == 0;
}

/* Y1 */
static json_t *yaml_scalar_value(const yaml_event_t *event) {
    const char *text = (const char *)event->data.scalar.value, *tag = (const char *)event->data.scalar.tag;
    int is_plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
                   (tag == NULL || strncmp(tag, YAML_STANDARD, strlen(YAML_STANDARD)) == 0);
    if (tag != NULL && (strcmp(tag, YAML_STANDARD "str") == 0 || strcmp(tag, "!") == 0))
        is_plain = 0;
    if (is_plain && yaml_is_one_of(text, "true", "True", "TRUE"))
        return json_true();
    if (is_plain && yaml_is_one_of(text, "false", "False", "FALSE"))
        return json_false();
    if (is_plain && (text[0] == 0 || strcmp(text, "~") == 0 || yaml_is_one_of(text, "null", "Null", "NULL")))
        return json_null();
    return json_stringn(text, event->data.scalar.length);
}

/* !GetAtt A.B is {"Fn::GetAtt": ["A", "B"]}. */
static json_t *yaml_attribute(const char *text) {
    const char *dot = strchr(text, '.');
    return dot != NULL ? json_pack("[s#, s]", text, (int)(dot - text), dot + 1) : json_pack("[s]", text);
}

static json_t *yaml_scalar(struct yaml_tree *tree, const yaml_event_t *event) {
    const char *tag = (const char *)event->data.scalar.tag;
    if (memchr(event->data.scalar.value, 0, event->data.scalar.length) != NULL)
        return yaml_fail(tree, &event->start_mark, "a text has no zero bytes here", "");
    json_t *node = tag != NULL && strcmp(tag, "!GetAtt") == 0 ? yaml_attribute((const char *)event->data.scalar.value)
                                                              : yaml_scalar_value(event);
    return node != NULL ? node : yaml_no_memory(tree);
}

/* ---- Anchors --------------------------------------------------------------------------------- */

static struct yaml_anchor *yaml_anchor_find(struct yaml_tree *tree, const char *name) {
    for (size_t i = tree->anchor_count; i > 0; i--) /* the last of a name counts */
        if (strcmp(tree->anchors[i - 1].name, name) == 0)
            return &tree->anchors[i - 1];
    return NULL;
}

/* Notes the anchor of a node that begins; its number, or -1 after a failure. */
static long yaml_anchor_begin(struct yaml_tree *tree, const char *name, const yaml_mark_t *mark) {
    if (tree->anchor_count == YAML_ANCHORS_MAX) {
        yaml_fail(tree, mark, "more than 1000 anchors", "");
        return -1;
    }
    struct yaml_anchor *grown = realloc(tree->anchors, (tree->anchor_count + 1) * sizeof *grown);
    char *copy = strdup(name);
    if (grown != NULL)
        tree->anchors = grown;
    if (grown == NULL || copy == NULL) {
        free(copy);
        yaml_no_memory(tree);
        return -1;
    }
    tree->anchors[tree->anchor_count] = (struct yaml_anchor){.name = copy};
    return (long)tree->anchor_count++;
}

static int yaml_count(struct yaml_tree *tree, size_t node_count, const yaml_mark_t *mark) {
    tree->node_count += node_count;
    if (tree->node_count <= YAML_TREE_NODES_MAX)
        return LARDER_OK;
    yaml_fail(tree, mark, "more than 200000 values, those that aliases repeat included", "");
    return LARDER_E_INVAL;
}

/* Y3 */
static json_t *yaml_alias(struct yaml_tree *tree, const yaml_event_t *event) {
    const char *name = (const char *)event->data.alias.anchor;
    const struct yaml_anchor *anchor = yaml_anchor_find(tree, name);
    if (anchor == NULL)
        return yaml_fail(tree, &event->start_mark, "*%.80s: there is no anchor of that name above", name);
    if (anchor->node == NULL)
        return yaml_fail(tree, &event->start_mark, "*%.80s stands inside of what it repeats", name);
    if (yaml_count(tree, anchor->node_count, &event->start_mark) != LARDER_OK)
        return NULL;
    return json_incref(anchor->node);
}

/* ---- Sequences and mappings ------------------------------------------------------------------ */

static json_t *yaml_node(struct yaml_tree *tree, const yaml_event_t *event);

static json_t *yaml_sequence(struct yaml_tree *tree) {
    json_t *array = json_array();
    if (array == NULL)
        return yaml_no_memory(tree);
    for (size_t i = 0; tree->result == LARDER_OK; i++) {
        yaml_event_t event;
        if (yaml_next(tree, &event) == NULL)
            break;
        int is_end = event.type == YAML_SEQUENCE_END_EVENT;
        size_t mark = place_enter_index(tree->place, i);
        json_t *element = is_end ? NULL : yaml_node(tree, &event);
        if (!is_end && element != NULL && json_array_append_new(array, element) != 0)
            yaml_no_memory(tree);
        place_leave(tree->place, mark);
        yaml_event_delete(&event);
        if (is_end)
            return array;
    }
    json_decref(array);
    return NULL;
}

/* Y2: what "<<" adds: members that are not there yet. */
static int yaml_merge_one(json_t *into, json_t *from) {
    const char *name;
    json_t *value;
    if (!json_is_object(from))
        return -1;
    json_object_foreach(from, name, value) {
        if (json_object_get(into, name) == NULL && json_object_set(into, name, value) != 0)
            return -1;
    }
    return 0;
}

static void yaml_merge(struct yaml_tree *tree, json_t *into, json_t *from, const yaml_mark_t *mark) {
    int failed = json_is_array(from) ? 0 : yaml_merge_one(into, from);
    for (size_t i = 0; json_is_array(from) && i < json_array_size(from) && failed == 0; i++)
        failed = yaml_merge_one(into, json_array_get(from, i));
    if (failed != 0 && tree->result == LARDER_OK)
        yaml_fail(tree, mark, "<< merges a mapping, or a list of mappings", "");
}

/* One member: the key has been read, its value follows. A "<<" goes to *merged. */
static void yaml_member(struct yaml_tree *tree, json_t *object, json_t **merged, const yaml_event_t *key) {
    const char *name = (const char *)key->data.scalar.value;
    size_t bytes = key->data.scalar.length;
    int is_merge = strcmp(name, "<<") == 0 && key->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    if (strlen(name) != bytes) {
        yaml_fail(tree, &key->start_mark, "a key has no zero bytes here", "");
        return;
    }
    if (json_object_get(object, name) != NULL || (is_merge && *merged != NULL)) {
        yaml_fail(tree, &key->start_mark, "the key \"%.80s\" comes twice", name);
        return;
    }
    size_t mark = place_enter_name(tree->place, name);
    if (node_lines_add(tree->lines, tree->place->path, (int)key->start_mark.line + 1) != 0)
        yaml_no_memory(tree);
    yaml_event_t event;
    if (tree->result == LARDER_OK && yaml_next(tree, &event) != NULL) {
        json_t *value = yaml_node(tree, &event);
        if (is_merge)
            *merged = value;
        else if (value != NULL && json_object_set_new(object, name, value) != 0)
            yaml_no_memory(tree);
        yaml_event_delete(&event);
    }
    place_leave(tree->place, mark);
}

static json_t *yaml_mapping(struct yaml_tree *tree) {
    json_t *object = json_object(), *merged = NULL;
    yaml_mark_t merge_mark = {0};
    int is_end = 0;
    if (object == NULL)
        return yaml_no_memory(tree);
    while (tree->result == LARDER_OK && !is_end) {
        yaml_event_t key;
        if (yaml_next(tree, &key) == NULL)
            break;
        is_end = key.type == YAML_MAPPING_END_EVENT;
        json_t *before = merged;
        if (is_end && merged != NULL)
            yaml_merge(tree, object, merged, &merge_mark);
        else if (!is_end && key.type != YAML_SCALAR_EVENT)
            yaml_fail(tree, &key.start_mark, "a key is a text, no list, mapping or alias", "");
        else if (!is_end)
            yaml_member(tree, object, &merged, &key);
        if (merged != before)
            merge_mark = key.start_mark;
        yaml_event_delete(&key);
    }
    json_decref(merged);
    if (tree->result == LARDER_OK)
        return object;
    json_decref(object);
    return NULL;
}

/* ---- Nodes ----------------------------------------------------------------------------------- */

/* The tag and the anchor of an event; NULL: none. */
static const char *yaml_tag(const yaml_event_t *event) {
    const yaml_char_t *tag = event->type == YAML_SCALAR_EVENT           ? event->data.scalar.tag
                             : event->type == YAML_SEQUENCE_START_EVENT ? event->data.sequence_start.tag
                             : event->type == YAML_MAPPING_START_EVENT  ? event->data.mapping_start.tag
                                                                        : NULL;
    return (const char *)tag;
}

static const char *yaml_anchor_of(const yaml_event_t *event) {
    const yaml_char_t *anchor = event->type == YAML_SCALAR_EVENT           ? event->data.scalar.anchor
                                : event->type == YAML_SEQUENCE_START_EVENT ? event->data.sequence_start.anchor
                                : event->type == YAML_MAPPING_START_EVENT  ? event->data.mapping_start.anchor
                                                                           : NULL;
    return (const char *)anchor;
}

/* The name of the function that a short tag stands for; "": none. */
static void yaml_function(const char *tag, char *name, size_t name_bytes) {
    name[0] = 0;
    if (tag == NULL || tag[0] != '!' || tag[1] == 0)
        return;
    int is_whole = strcmp(tag, "!Ref") == 0 || strcmp(tag, "!Condition") == 0;
    snprintf(name, name_bytes, "%s%.80s", is_whole ? "" : "Fn::", tag + 1);
}

static json_t *yaml_content(struct yaml_tree *tree, const yaml_event_t *event) {
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return yaml_scalar(tree, event);
    case YAML_SEQUENCE_START_EVENT:
        return yaml_sequence(tree);
    case YAML_MAPPING_START_EVENT:
        return yaml_mapping(tree);
    case YAML_ALIAS_EVENT:
        return yaml_alias(tree, event);
    default:
        return yaml_fail(tree, &event->start_mark, "a value is missing", "");
    }
}

/* The content, inside the function of its short tag. */
static json_t *yaml_tagged(struct yaml_tree *tree, const yaml_event_t *event) {
    char function[96];
    yaml_function(yaml_tag(event), function, sizeof function);
    if (function[0] == 0)
        return yaml_content(tree, event);
    size_t mark = place_enter_name(tree->place, function);
    if (node_lines_add(tree->lines, tree->place->path, (int)event->start_mark.line + 1) != 0)
        yaml_no_memory(tree);
    json_t *content = tree->result == LARDER_OK ? yaml_content(tree, event) : NULL;
    place_leave(tree->place, mark);
    if (content == NULL)
        return NULL;
    json_t *node = json_object();
    if (json_object_set_new(node, function, content) != 0) { /* drops the content, too */
        json_decref(node);
        return yaml_no_memory(tree);
    }
    return node;
}

/* The node that begins with this event. NULL after a failure. */
static json_t *yaml_node(struct yaml_tree *tree, const yaml_event_t *event) {
    const char *anchor = yaml_anchor_of(event);
    long anchored = -1;
    size_t before = tree->node_count;
    if (tree->depth >= YAML_TREE_DEPTH_MAX)
        return yaml_fail(tree, &event->start_mark, "more than 100 lists and mappings in each other", "");
    if (event->type != YAML_ALIAS_EVENT && yaml_count(tree, 1, &event->start_mark) != LARDER_OK)
        return NULL;
    if (node_lines_add(tree->lines, tree->place->path, (int)event->start_mark.line + 1) != 0)
        return yaml_no_memory(tree);
    if (anchor != NULL && (anchored = yaml_anchor_begin(tree, anchor, &event->start_mark)) < 0)
        return NULL;
    tree->depth++;
    json_t *node = yaml_tagged(tree, event);
    tree->depth--;
    if (anchored >= 0 && node != NULL) {
        tree->anchors[anchored].node = json_incref(node);
        tree->anchors[anchored].node_count = tree->node_count - before;
    }
    return node;
}

/* Steps over events until one of a node, or of the end. */
static yaml_event_type_t yaml_skip(struct yaml_tree *tree, yaml_event_t *event) {
    for (;;) {
        if (yaml_next(tree, event) == NULL)
            return YAML_NO_EVENT;
        if (event->type != YAML_STREAM_START_EVENT && event->type != YAML_DOCUMENT_START_EVENT &&
            event->type != YAML_DOCUMENT_END_EVENT)
            return event->type;
        yaml_event_delete(event);
    }
}

static json_t *yaml_document(struct yaml_tree *tree) {
    yaml_event_t event;
    yaml_event_type_t type = yaml_skip(tree, &event);
    json_t *node = NULL;
    if (type == YAML_STREAM_END_EVENT)
        yaml_fail(tree, &event.start_mark, "the document is empty", "");
    else if (type != YAML_NO_EVENT)
        node = yaml_node(tree, &event);
    yaml_event_delete(&event);
    if (node == NULL)
        return NULL;
    type = yaml_skip(tree, &event);
    if (type != YAML_STREAM_END_EVENT && tree->result == LARDER_OK)
        yaml_fail(tree, &event.start_mark, "a second document begins; one is allowed", "");
    yaml_event_delete(&event);
    if (tree->result == LARDER_OK)
        return node;
    json_decref(node);
    return NULL;
}

int yaml_tree_load(const char *text, size_t bytes, struct node_lines *lines, struct place *place, json_t **out) {
    struct yaml_tree tree = {.lines = lines, .place = place};
    size_t mark = place->path_bytes;
    if (!yaml_parser_initialize(&tree.parser)) {
        yaml_no_memory(&tree);
        return tree.result;
    }
    yaml_parser_set_input_string(&tree.parser, (const unsigned char *)text, bytes);
    json_t *node = yaml_document(&tree);
    yaml_parser_delete(&tree.parser);
    for (size_t i = 0; i < tree.anchor_count; i++) {
        json_decref(tree.anchors[i].node);
        free(tree.anchors[i].name);
    }
    free(tree.anchors);
    place_leave(place, mark);
    if (tree.result == LARDER_OK)
        *out = node;
    return tree.result;
}

/* expr/expr.h - DynamoDB's expressions: compiled once, evaluated on items in place.
 *
 * Job      Text becomes one immutable block of private memory, a struct expr. Condition, filter and
 *          key condition expressions give a truth, projection expressions a smaller item. An update
 *          expression becomes a list of actions; what applies them to an item is elsewhere.
 * Picture  text -> tokens (lex.c) -> nodes (parse.c) -> checked (check.c) -> compiled (compile.c)
 *
 *            paths     what "a.b[3]" names: a run of steps
 *            values    the placeholders ":v", in the order of their first use
 *            operands  paths, values and functions of them, each behind what it refers to
 *            tests     "a < :v", "attribute_exists(a)"; each says which test follows if it is true
 *                      or false, so AND, OR, NOT and parentheses are gone
 *            actions   "SET a = :v", "REMOVE b"
 *          Everything refers to everything else by number.
 * Values   An expression knows its values by number only. expr_bind() finds them in an item whose
 *          attributes are named ":v" and so on: an array of struct larder_value, which point into
 *          that item. So they have DynamoDB's types exactly, and N is in its encoded form.
 * Rules    E1 A struct expr never changes. Any number of threads may use it at once.
 *          E2 Evaluation allocates nothing, takes no lock, and does not recurse: a truth needs a
 *             few hundred bytes of stack, a projection some 260 for each level of its paths.
 *          E3 An image is input, unless a comment says otherwise: no length of it is followed
 *             unchecked. Values are readable (item_check_records()).
 *          E4 Equal values have equal bytes (rule I4 of core/item/item.h, N1 of core/item/num.h).
 *             So equality of maps, lists, sets and numbers is memcmp.
 * Errors   LARDER_E_INVAL with the service's own text, such as "Invalid FilterExpression: ...". The
 *          checks come in the service's order, so the first error is the service's first error.
 *          Sources: tests/unit/expr/expr_errors_test.c.
 * Files    expr/README.md has the list.
 * Tests    tests/unit/expr/, tests/fuzz/expr_parse_fuzz.c, tests/fuzz/expr_truth_fuzz.c
 */
#ifndef LARDER_EXPR_EXPR_H
#define LARDER_EXPR_EXPR_H

#include "core/item/item.h"

/* Developer guide, "Service, account, and table quotas": expression parameters. */
#define EXPR_TEXT_BYTES_MAX 4096u              /* raw, before names are put in */
#define EXPR_OPERATORS_MAX 300u                /* and functions; IN is one, BETWEEN is one */
#define EXPR_IN_MAX 100u                       /* operands of one IN */
#define EXPR_PATH_STEPS_MAX 32u                /* of a document path */
#define EXPR_INDEX_MAX 2147483647u             /* of a list */
#define EXPR_NAME_KEY_BYTES_MAX 255u           /* of "#n" */
#define EXPR_SUBSTITUTION_BYTES_MAX (2u << 20) /* of all names and their placeholders */

enum expr_kind { EXPR_CONDITION, EXPR_FILTER, EXPR_KEY_CONDITION, EXPR_PROJECTION, EXPR_UPDATE };

/* "#n", and the attribute name that it stands for. expr_compile() sets is_used. */
struct expr_name {
    struct bytes placeholder, name;
    int is_used;
};

/* ---- The compiled form ----------------------------------------------------------------------- */

/* A step of a path: into a map (or the item) by name, or into a list by index. */
struct expr_step {
    struct bytes name; /* at NULL: a list index */
    uint32_t index;
    uint8_t name_byte; /* item_name_byte() of the name: 0 if it is not listed */
    uint8_t name_key;  /* item_name_key() of the name */
};

/* "a.b[3]" has three steps: "a", "b", 3. The first is an attribute of the item. */
struct expr_path {
    uint16_t first; /* in steps */
    uint16_t count;
};

enum expr_operand_op {
    EXPR_OF_PATH,       /* the value at `path`, which may be missing */
    EXPR_OF_VALUE,      /* value number `value` */
    EXPR_SIZE,          /* size(left): a number, or missing */
    EXPR_IF_NOT_EXISTS, /* the value at `path`, or else operand `right` */
    EXPR_LIST_APPEND,   /* the lists `left` and `right` */
    EXPR_PLUS,          /* left + right */
    EXPR_MINUS,         /* left - right */
};

/* left and right are operands with lower numbers: a loop from the first to the last operand of an
 * action finds each one ready. One that is missing is an error only where its value is used: `left`
 * of IF_NOT_EXISTS is its path, too. Conditions have the first three only. */
struct expr_operand {
    uint8_t op; /* enum expr_operand_op */
    uint8_t zero;
    uint16_t path;
    uint16_t value;
    uint16_t left, right;
};

enum expr_test_op {
    EXPR_EQ,
    EXPR_NE,
    EXPR_LT,
    EXPR_LE,
    EXPR_GT,
    EXPR_GE,
    EXPR_BETWEEN,
    EXPR_IN,
    EXPR_ATTRIBUTE_EXISTS,
    EXPR_ATTRIBUTE_NOT_EXISTS,
    EXPR_ATTRIBUTE_TYPE,
    EXPR_BEGINS_WITH,
    EXPR_CONTAINS,
};

/* next[]: the test that decides if this one is false or true. */
#define EXPR_FALSE 0xfffeu
#define EXPR_TRUE 0xffffu

struct expr_test {
    uint8_t op; /* enum expr_test_op */
    /* the usual kind: of an attribute of the item, by a path of one step, and of values; one of
     * EQ to BETWEEN, BEGINS_WITH, ATTRIBUTE_EXISTS, ATTRIBUTE_NOT_EXISTS */
    uint8_t is_usual;
    uint16_t first, count; /* its operands: numbers in `arguments` */
    uint16_t next[2];
};

/* What is known of a usual test without its values: expr/usual.h. */
struct expr_usual {
    struct bytes name;
    uint8_t key;      /* item_name_key() of it */
    uint8_t name_end; /* of the name, in a record. is_plain: the word in front of it has .. */
    /* is_order, by a name that is listed or has up to 8 bytes */
    uint8_t is_plain;
    uint8_t is_order; /* a comparison with one value */
    uint8_t is_beginning, is_between;
    uint8_t if_less, if_equal, if_more; /* the answers for values of the type; of BETWEEN: for `low` */
    uint8_t if_other;                   /* the answer for a value of another type */
    uint8_t if_missing;
    uint64_t name_bits, name_word; /* .. these bits of the name: none if it is listed */
};

enum expr_clause { EXPR_SET, EXPR_REMOVE, EXPR_ADD, EXPR_DELETE };

/* One action of an update expression. No two actions of an expression have the same path, or paths
 * of which one leads through the other. */
struct expr_action {
    uint8_t clause; /* enum expr_clause */
    uint8_t zero;
    uint16_t path;
    /* SET: operands first .. operand are all that the new value is made of; `operand` is the value
     * itself. ADD, DELETE: first == operand, an EXPR_OF_VALUE. REMOVE: 0. */
    uint16_t first, operand;
};

struct expr {
    uint64_t number; /* no other one of this process has it, also after this one is gone */
    enum expr_kind kind;
    uint16_t path_count, value_count, operand_count, test_count, action_count;
    uint16_t start;    /* the first test; EXPR_CONDITION, EXPR_FILTER, EXPR_KEY_CONDITION */
    uint16_t is_chain; /* true if all tests are true: there are only ANDs */
    const struct expr_step *steps;
    const struct expr_path *paths; /* of a projection: as written */
    const struct bytes *values;    /* placeholders, ':' included */
    const struct expr_operand *operands;
    const uint16_t *arguments;
    const struct expr_test *tests;
    const struct expr_usual *usual;    /* of each test; zeros if it is not usual */
    const struct expr_action *actions; /* as written; a clause's actions are neighbours */
    /* EXPR_PROJECTION: all paths, EXPR_UPDATE: all actions; sorted by path: names in the order of
     * records (memcmp, then shorter first), indexes ascending. Paths with a common beginning are
     * neighbours. */
    const uint16_t *by_path;
    uint32_t bytes; /* of the block */
};

static inline const struct expr_step *expr_steps(const struct expr *e, uint32_t path) {
    return e->steps + e->paths[path].first;
}

/* ---- Making and checking --------------------------------------------------------------------- */

/* Compiles `text`. Names and text are copied.
 * @param names   [in,out] name_count placeholders; is_used is set where the expression has one.
 * @param values  [in]  An item of the values, whose types are checked as by expr_bind(); NULL: they
 *                are checked when they are bound. With an item the first error is the service's.
 * @return LARDER_OK and *out, to be freed with expr_free(); LARDER_E_INVAL; LARDER_E_NO_MEMORY. */
int expr_compile(struct priv *priv, enum expr_kind kind, const char *text, size_t bytes, struct expr_name *names,
                 uint32_t name_count, const struct larder_item *values, struct expr **out);
void expr_free(struct priv *priv, struct expr *e);

/* Finds the values of an expression in an item (NULL: it has none), and checks their types: a
 * literal operand of a wrong type is an error, a stored one is not. `bound` has room for
 * e->value_count. LARDER_OK, LARDER_E_INVAL; LARDER_E_CORRUPT: the item is damaged. */
int expr_bind(const struct expr *e, const struct larder_item *values, struct larder_value *bound);

/* Placeholders that no expression of a request has used: LARDER_OK, or LARDER_E_INVAL. */
int expr_check_unused(const struct expr *const *expressions, uint32_t count, const struct expr_name *names,
                      uint32_t name_count, const struct larder_item *values);
/* The names and placeholders by themselves, before any expression is read: LARDER_OK or
 * LARDER_E_INVAL. */
int expr_check_placeholders(const struct expr_name *names, uint32_t name_count, const struct larder_item *values);

/* Key attributes of the table in an expression: a path into a key, an update of one, a key in a
 * query's filter (is_query). LARDER_OK or LARDER_E_INVAL. */
int expr_check_keys(const struct expr *e, const struct bytes *keys, uint32_t key_count, int is_query);

/* ---- Evaluating ------------------------------------------------------------------------------ */

/* 1: true, 0: false, LARDER_E_CORRUPT: the image is damaged where it was read. `image` is NULL for
 * an item that does not exist. Not for EXPR_PROJECTION and EXPR_UPDATE. */
int expr_truth(const struct expr *e, const struct larder_value *bound, const struct item_head *image);
/* The same for many images, those of the *count at images + at[i] for which it is true: their
 * places move to the front of `at`, and *count is how many. EXPR_FILTER_BEHIND bytes behind each
 * image are readable. `sieve` (expr/filter.h) begins with zeros, and may have served any other call
 * before. LARDER_OK or LARDER_E_CORRUPT. */
#define EXPR_FILTER_BEHIND 16u
struct expr_sieve;
int expr_filter(const struct expr *e, const struct larder_value *bound, const uint8_t *images, size_t *at,
                uint32_t *count, struct expr_sieve *sieve);
/* One test. */
int expr_test_holds(const struct expr *e, const struct larder_value *bound, const struct item_head *image,
                    const struct expr_test *test);

/* The value at a path, in place. LARDER_OK, LARDER_NOT_FOUND, LARDER_E_CORRUPT. image may be
 * NULL. */
int expr_find(const struct expr *e, uint32_t path, const struct item_head *image, struct larder_value *out);
/* One step of that: into a value that was read. */
int expr_find_step(const struct expr_step *step, const struct larder_value *in, struct larder_value *out);

/* An item with what the paths of a projection name: maps with the members that were asked for,
 * lists of the elements that were asked for, in their order. What is not there is left out, and so
 * is a map or list of which nothing is left. Returns the bytes of a builder's image. The image is
 * readable. `to` is 8-aligned and has room for expr_project_bytes_max(). */
size_t expr_project(const struct expr *e, const struct item_head *image, void *to);
static inline size_t expr_project_bytes_max(const struct item_head *image) {
    return item_project_bytes_max(image) + 8 * (EXPR_PATH_STEPS_MAX + 1); /* lengths not yet known */
}

/* ---- Key conditions -------------------------------------------------------------------------- */

/* What a key condition asks of one attribute. */
struct expr_key_term {
    struct bytes name;
    enum expr_test_op op; /* EXPR_EQ to EXPR_GE without EXPR_NE, EXPR_BETWEEN, EXPR_BEGINS_WITH */
    uint16_t low, high;   /* values; high: of BETWEEN, else low again */
};

/* Of a sort key's term, as larder_query() is asked. */
enum larder_sort_op expr_sort_op(const struct expr_key_term *term);

/* Clauses of a key condition: 1 to 4 partition and 0 to 4 sort attributes. */
#define EXPR_KEY_TERMS_MAX 8u

/* One term for each key attribute that has a condition, in the order of `keys`: partition_count
 * partition key attributes, which must all be given by equality, then sort key attributes, of which
 * those from the left must be given without a gap, and only the last of them by more than equality.
 * *count: terms written. LARDER_OK or LARDER_E_INVAL. */
int expr_key_terms(const struct expr *e, const struct larder_value *bound, const struct item_key_attr *keys,
                   uint32_t partition_count, uint32_t key_count, struct expr_key_term *terms, uint32_t *count);

#endif

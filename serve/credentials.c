/* serve/credentials.c - the access keys that may ask, and their secrets. See credentials.h.
 *
 * Tests    tests/serve/serve_signature_test.sh
 */
#include "serve/credentials.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define CREDENTIALS_BYTES_MAX (1 << 20)
#define TOO_LONG "the file is longer than 1 MiB, more than credentials are"

static bool add_section(struct credentials *c) {
    struct credential *list = realloc(c->list, (c->count + 1) * sizeof *list);
    if (list == NULL)
        return false;
    c->list = list;
    list[c->count++] = (struct credential){0};
    return true;
}

static char *trim(char *text) {
    while (isspace((unsigned char)*text))
        text++;
    for (char *end = text + strlen(text); end > text && isspace((unsigned char)end[-1]);)
        *--end = 0;
    return text;
}

static char **member(struct credential *c, const char *name) {
    if (strcasecmp(name, "aws_access_key_id") == 0)
        return &c->id;
    if (strcasecmp(name, "aws_secret_access_key") == 0)
        return &c->secret;
    return strcasecmp(name, "aws_session_token") == 0 ? &c->token : NULL;
}

/* What is wrong with a line; NULL: nothing. Other names than ours are left alone. */
static const char *take_line(struct credentials *c, char *line) {
    line = trim(line);
    if (*line == 0 || *line == '#' || *line == ';')
        return NULL;
    if (*line == '[')
        return add_section(c) ? NULL : "out of memory";
    char *equals = strchr(line, '=');
    if (equals == NULL)
        return "neither [section] nor name = value";
    if (c->count == 0 && !add_section(c))
        return "out of memory";
    *equals = 0;
    char **place = member(&c->list[c->count - 1], trim(line));
    if (place == NULL)
        return NULL;
    if (*place != NULL)
        return "given twice in its section";
    *place = strdup(trim(equals + 1));
    return *place == NULL ? "out of memory" : **place == 0 ? "the value is empty" : NULL;
}

static const char *check(const struct credentials *c) {
    for (size_t i = 0; i < c->count; i++)
        if ((c->list[i].id == NULL) != (c->list[i].secret == NULL))
            return "a section has aws_access_key_id or aws_secret_access_key, but not both";
    for (size_t i = 0; i < c->count; i++)
        if (c->list[i].id != NULL)
            return NULL;
    return "no section has aws_access_key_id and aws_secret_access_key";
}

static int fail(struct credentials *c, char *problem, size_t problem_bytes, const char *path, const char *text) {
    snprintf(problem, problem_bytes, "%s: %s", path, text);
    credentials_free(c);
    return -1;
}

/* NULL: with *problem. Only a file with an end: a pipe may wait, and a device give, for ever. */
static FILE *open_file(const char *path, const char **problem) {
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || fstat(fd, &status) != 0)
        *problem = strerror(errno);
    else if (!S_ISREG(status.st_mode))
        *problem = "not a regular file: credentials are not read from a pipe, device or folder";
    else if (status.st_size > CREDENTIALS_BYTES_MAX)
        *problem = TOO_LONG;
    else {
        FILE *file = fdopen(fd, "r");
        if (file != NULL)
            return file;
        *problem = strerror(errno);
    }
    if (fd >= 0)
        close(fd);
    return NULL;
}

int credentials_read(const char *path, struct credentials **out, char *problem, size_t problem_bytes) {
    struct credentials *c = calloc(1, sizeof *c);
    char line[8192], text[128];
    const char *wrong = NULL;
    unsigned number = 0;
    if (c == NULL)
        return fail(c, problem, problem_bytes, path, strerror(errno));
    FILE *file = open_file(path, &wrong);
    if (file == NULL)
        return fail(c, problem, problem_bytes, path, wrong);
    while (wrong == NULL && fgets(line, sizeof line, file) != NULL) {
        number++;
        wrong = ftell(file) > CREDENTIALS_BYTES_MAX ? TOO_LONG
                : strlen(line) == sizeof line - 1   ? "longer than 8190 bytes"
                                                    : take_line(c, line);
    }
    snprintf(text, sizeof text, "line %u: %s", number, wrong != NULL ? wrong : "");
    explicit_bzero(line, sizeof line);
    if (ferror(file))
        snprintf(text, sizeof text, "%s", strerror(errno));
    bool is_bad = ferror(file) != 0 || wrong != NULL;
    fclose(file);
    if (is_bad || (wrong = check(c)) != NULL)
        return fail(c, problem, problem_bytes, path, is_bad ? text : wrong);
    *out = c;
    return 0;
}

static void forget(char *text) {
    if (text != NULL)
        explicit_bzero(text, strlen(text));
    free(text);
}

void credentials_free(struct credentials *c) {
    for (size_t i = 0; c != NULL && i < c->count; i++) {
        free(c->list[i].id);
        forget(c->list[i].secret);
        forget(c->list[i].token);
    }
    if (c != NULL)
        free(c->list);
    free(c);
}

const struct credential *credentials_find(const struct credentials *c, const char *id, size_t bytes) {
    for (size_t i = 0; i < c->count; i++)
        if (c->list[i].id != NULL && strlen(c->list[i].id) == bytes && memcmp(c->list[i].id, id, bytes) == 0)
            return &c->list[i];
    return NULL;
}

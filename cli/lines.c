/* cli/lines.c - a file line by line, plain or gzip.
 *
 * Job      One buffer, filled in large reads. It grows for a line that does not fit, but not beyond
 *          LINES_BYTES_MAX.
 * Rules    A gzip file that ends early or fails its checksum is an error, never a short file.
 * Tests    tests/cli/cli_test.sh
 */
#include "cli/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/report.h"

#define LINES_READ_BYTES ((size_t)256 << 10)
/* The largest item is 400 KB; JSON's escapes and types make it longer, but never this long. */
#define LINES_BYTES_MAX ((size_t)16 << 20)

int lines_open(struct lines *lines, const char *path) {
    memset(lines, 0, sizeof *lines);
    int is_stdin = strcmp(path, "-") == 0;
    lines->name = is_stdin ? "standard input" : path;
    int fd = is_stdin ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return report_error(EXIT_OTHER, "cannot open %s: %s", lines->name, strerror(errno));
    struct stat status;
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode))
        lines->total_bytes = (uint64_t)status.st_size;
    lines->file = gzdopen(fd, "rb");
    if (lines->file == NULL) {
        close(fd);
        return report_error(EXIT_OTHER, "out of memory");
    }
    gzbuffer(lines->file, (unsigned)LINES_READ_BYTES);
    return EXIT_DONE;
}

/* Makes room after `end` for the next read. */
static int lines_make_room(struct lines *lines) {
    if (lines->at > 0) {
        memmove(lines->buffer, lines->buffer + lines->at, lines->end - lines->at);
        lines->end -= lines->at;
        lines->at = 0;
    }
    if (lines->end > LINES_BYTES_MAX)
        return report_error(EXIT_INPUT, "%s:%llu: the line is too long: at most 16 MiB are allowed", lines->name,
                            (unsigned long long)lines->number + 1);
    if (lines->capacity - lines->end >= LINES_READ_BYTES)
        return EXIT_DONE;
    size_t capacity = lines->capacity > 0 ? lines->capacity * 2 : 2 * LINES_READ_BYTES;
    char *grown = realloc(lines->buffer, capacity);
    if (grown == NULL)
        return report_error(EXIT_OTHER, "out of memory");
    lines->buffer = grown;
    lines->capacity = capacity;
    return EXIT_DONE;
}

/* Reads more after `end`, or sets is_at_end. */
static int lines_fill(struct lines *lines) {
    int code = lines_make_room(lines);
    if (code != EXIT_DONE)
        return code;
    errno = 0;
    int got = gzread(lines->file, lines->buffer + lines->end, (unsigned)LINES_READ_BYTES);
    if (got > 0) {
        lines->end += (size_t)got;
        return EXIT_DONE;
    }
    /* At the end of a truncated gzip file gzread() returns 0 and keeps Z_BUF_ERROR. */
    int error;
    const char *text = gzerror(lines->file, &error);
    if (error == Z_ERRNO)
        return report_error(EXIT_OTHER, "cannot read %s: %s", lines->name, strerror(errno));
    if (error != Z_OK)
        return report_error(EXIT_INPUT, "%s: damaged gzip data: %s", lines->name, text);
    lines->is_at_end = 1;
    return EXIT_DONE;
}

int lines_next(struct lines *lines, const char **text, size_t *bytes, int *code) {
    size_t searched = 0; /* bytes after `at` known to hold no line end */
    for (;;) {
        char *start = NULL, *newline = NULL; /* there is no buffer before the first read */
        size_t left = lines->end - lines->at;
        if (left > 0)
            start = lines->buffer + lines->at;
        if (left > searched)
            newline = memchr(start + searched, '\n', left - searched);
        if (newline != NULL || (lines->is_at_end && left > 0)) {
            *text = start;
            *bytes = newline != NULL ? (size_t)(newline - start) : left;
            lines->at += *bytes + (newline != NULL);
            lines->number++;
            return 1;
        }
        if (lines->is_at_end)
            return 0;
        searched = left;
        *code = lines_fill(lines);
        if (*code != EXIT_DONE)
            return -1;
    }
}

uint64_t lines_position(const struct lines *lines) {
    z_off_t offset = gzoffset(lines->file);
    return offset > 0 ? (uint64_t)offset : 0;
}

void lines_close(struct lines *lines) {
    if (lines->file != NULL)
        gzclose(lines->file);
    free(lines->buffer);
    memset(lines, 0, sizeof *lines);
}

/* cli/text_file.c - the whole text of a file, and how it is encoded.
 *
 * Why      Programs on Windows begin a file with a byte order mark, and PowerShell's > writes
 *          UTF-16. The mark means nothing; UTF-16 is said instead of blaming a byte.
 * Tests    tests/cli/template_test.sh
 */
#include "cli/text_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/report.h"

static int text_file_grow(const char *what, char **buffer, size_t *capacity) {
    size_t wanted = *capacity > 0 ? *capacity * 2 : 16384;
    if (wanted > TEXT_FILE_BYTES_MAX)
        return report_error(EXIT_INPUT, "%s: more than 64 MiB; that is too long to be read as a whole", what);
    char *grown = realloc(*buffer, wanted);
    if (grown == NULL)
        return report_error(EXIT_OTHER, "%s: out of memory", what);
    *buffer = grown;
    *capacity = wanted;
    return EXIT_DONE;
}

int text_file_stream(FILE *from, const char *what, char **text, size_t *bytes) {
    char *buffer = NULL;
    size_t used = 0, capacity = 0;
    int code = EXIT_DONE;
    while (code == EXIT_DONE) {
        if (used == capacity)
            code = text_file_grow(what, &buffer, &capacity);
        size_t got = code == EXIT_DONE ? fread(buffer + used, 1, capacity - used, from) : 0;
        used += got;
        if (got == 0)
            break;
    }
    if (code == EXIT_DONE && ferror(from))
        code = report_error(EXIT_OTHER, "cannot read %s: %s", what, strerror(errno));
    if (code != EXIT_DONE) {
        free(buffer);
        return code;
    }
    *text = buffer;
    *bytes = used;
    return EXIT_DONE;
}

int text_file_read(const char *path, char **text, size_t *bytes) {
    if (strcmp(path, "-") == 0)
        return text_file_stream(stdin, text_file_name(path), text, bytes);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return report_error(EXIT_OTHER, "cannot open %s: %s", path, strerror(errno));
    int code = text_file_stream(file, path, text, bytes);
    fclose(file);
    return code;
}

const char *text_file_name(const char *path) {
    return strcmp(path, "-") == 0 ? "standard input" : path;
}

const char *text_file_wide(const char *text, size_t bytes) {
    const unsigned char *at = (const unsigned char *)text;
    if (bytes >= 2 && ((at[0] == 0xff && at[1] == 0xfe) || (at[0] == 0xfe && at[1] == 0xff)))
        return "the text is UTF-16; save it as UTF-8";
    /* Without a mark: the text begins with a character of ASCII. */
    if (bytes >= 4 && ((at[0] == 0 && at[1] != 0) || (at[0] != 0 && at[1] == 0)))
        return "the text has zero bytes, as UTF-16 has; save it as UTF-8";
    return NULL;
}

size_t text_file_mark_bytes(const char *text, size_t bytes) {
    return bytes >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
}

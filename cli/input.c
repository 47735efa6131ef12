/* cli/input.c - the bytes of a file: plain, gzip or zstd.
 *
 * Job      One buffer of decoded bytes, filled in large reads. It grows for a piece that does not
 *          fit, but not beyond INPUT_PIECE_BYTES_MAX.
 * Rules    I1 A compressed file that ends early or fails its checksum is an error, never a short
 *             file.
 *          I2 Several gzip members, or zstd frames, are one file. Zeros may follow.
 * Tests    tests/cli/cli_test.sh, tests/cli/import_test.sh
 */
#include "cli/input.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "cli/report.h"
#include "cli/text_file.h"

#define INPUT_READ_BYTES ((size_t)256 << 10)
#define INPUT_GZIP_WINDOW (15 + 16) /* the largest window; a gzip head */

/* The file's own bytes, and the decoder. */
struct input_decoder {
    enum { INPUT_UNKNOWN, INPUT_PLAIN, INPUT_GZIP, INPUT_ZSTD } kind;
    unsigned char raw[INPUT_READ_BYTES];
    size_t at, end;
    bool is_raw_end;
    bool is_inside;  /* of a gzip member or zstd frame */
    bool has_looked; /* at the encoding of the text */
    z_stream gzip;
    ZSTD_DCtx *zstd;
};

int input_open(struct input *input, const char *path) {
    memset(input, 0, sizeof *input);
    input->name = text_file_name(path);
    input->fd =
        strcmp(path, "-") == 0 ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (input->fd < 0) {
        input->fd = 0;
        return report_error(EXIT_OTHER, "cannot open %s: %s", input->name, strerror(errno));
    }
    struct stat status;
    if (fstat(input->fd, &status) == 0 && S_ISREG(status.st_mode))
        input->total_bytes = (uint64_t)status.st_size;
    input->decoder = calloc(1, sizeof *input->decoder);
    return input->decoder != NULL ? EXIT_DONE : report_error(EXIT_OTHER, "out of memory");
}

/* ---- The file's own bytes -------------------------------------------------------------------- */

/* Reads more raw bytes behind those that are left. */
static int input_read(struct input *input) {
    struct input_decoder *decoder = input->decoder;
    memmove(decoder->raw, decoder->raw + decoder->at, decoder->end - decoder->at);
    decoder->end -= decoder->at;
    decoder->at = 0;
    ssize_t got;
    do
        got = read(input->fd, decoder->raw + decoder->end, sizeof decoder->raw - decoder->end);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return report_error(EXIT_OTHER, "cannot read %s: %s", input->name, strerror(errno));
    decoder->end += (size_t)got;
    decoder->is_raw_end = got == 0;
    input->read_bytes += (uint64_t)got;
    return EXIT_DONE;
}

/* Tells gzip, zstd and plain bytes apart, and makes the decoder. */
static int input_begin(struct input *input) {
    static const unsigned char gzip[] = {0x1f, 0x8b}, zstd[] = {0x28, 0xb5, 0x2f, 0xfd}, ion[] = {0xe0, 1, 0, 0xea};
    struct input_decoder *decoder = input->decoder;
    int code = EXIT_DONE;
    while (code == EXIT_DONE && !decoder->is_raw_end && decoder->end < sizeof zstd)
        code = input_read(input);
    if (code != EXIT_DONE)
        return code;
    decoder->kind = INPUT_PLAIN;
    if (decoder->end >= sizeof gzip && memcmp(decoder->raw, gzip, sizeof gzip) == 0) {
        decoder->kind = INPUT_GZIP;
        if (inflateInit2(&decoder->gzip, INPUT_GZIP_WINDOW) != Z_OK)
            return report_error(EXIT_OTHER, "out of memory");
        decoder->is_inside = true;
    } else if (decoder->end >= sizeof zstd && memcmp(decoder->raw, zstd, sizeof zstd) == 0) {
        decoder->kind = INPUT_ZSTD;
        decoder->zstd = ZSTD_createDCtx();
        if (decoder->zstd == NULL)
            return report_error(EXIT_OTHER, "out of memory");
        decoder->is_inside = true;
    } else if (decoder->end >= sizeof ion && memcmp(decoder->raw, ion, sizeof ion) == 0) {
        return report_error(EXIT_INPUT, "%s: binary Amazon Ion is not read; export as DYNAMODB_JSON", input->name);
    }
    return EXIT_DONE;
}

/* ---- Decoders: each writes at most `room` bytes to `to` -------------------------------------- */

static int input_damaged(const struct input *input, const char *kind, const char *text) {
    return report_error(EXIT_INPUT, "%s: damaged %s data: %s", input->name, kind,
                        text != NULL ? text : "it ends early");
}

/* Between members: another one, or the end. */
static int input_gzip_next(struct input *input) {
    struct input_decoder *decoder = input->decoder;
    while (decoder->at < decoder->end && decoder->raw[decoder->at] == 0) /* I2 */
        decoder->at++;
    if (decoder->at == decoder->end)
        return EXIT_DONE;
    if (decoder->raw[decoder->at] != 0x1f)
        return input_damaged(input, "gzip", "other bytes follow its end");
    inflateReset2(&decoder->gzip, INPUT_GZIP_WINDOW);
    decoder->is_inside = true;
    return EXIT_DONE;
}

static int input_gzip(struct input *input, char *to, size_t room, size_t *got) {
    struct input_decoder *decoder = input->decoder;
    if (!decoder->is_inside)
        return input_gzip_next(input);
    z_stream *gzip = &decoder->gzip;
    gzip->next_in = decoder->raw + decoder->at;
    gzip->avail_in = (uInt)(decoder->end - decoder->at);
    gzip->next_out = (unsigned char *)to;
    gzip->avail_out = (uInt)room;
    int result = inflate(gzip, Z_NO_FLUSH);
    decoder->at = decoder->end - gzip->avail_in;
    *got = room - gzip->avail_out;
    if (result == Z_STREAM_END)
        decoder->is_inside = false;
    else if (result != Z_OK && result != Z_BUF_ERROR)
        return input_damaged(input, "gzip", gzip->msg != NULL ? gzip->msg : "unknown compression");
    return EXIT_DONE;
}

static int input_zstd(struct input *input, char *to, size_t room, size_t *got) {
    struct input_decoder *decoder = input->decoder;
    ZSTD_inBuffer from = {.src = decoder->raw, .size = decoder->end, .pos = decoder->at};
    ZSTD_outBuffer into = {.dst = to, .size = room};
    size_t result = ZSTD_decompressStream(decoder->zstd, &into, &from);
    if (ZSTD_isError(result))
        return input_damaged(input, "zstd", ZSTD_getErrorName(result));
    decoder->is_inside = result != 0;
    decoder->at = from.pos;
    *got = into.pos;
    return EXIT_DONE;
}

static int input_plain(struct input *input, char *to, size_t room, size_t *got) {
    struct input_decoder *decoder = input->decoder;
    size_t left = decoder->end - decoder->at;
    *got = left < room ? left : room;
    memcpy(to, decoder->raw + decoder->at, *got);
    decoder->at += *got;
    return EXIT_DONE;
}

static int input_decode(struct input *input, char *to, size_t room, size_t *got) {
    switch (input->decoder->kind) {
    case INPUT_GZIP:
        return input_gzip(input, to, room, got);
    case INPUT_ZSTD:
        return input_zstd(input, to, room, got);
    default:
        return input_plain(input, to, room, got);
    }
}

/* Decodes at least one byte, or finds the end. */
static int input_some(struct input *input, char *to, size_t room, size_t *got) {
    struct input_decoder *decoder = input->decoder;
    int code = EXIT_DONE;
    *got = 0;
    while (code == EXIT_DONE && *got == 0) {
        bool has_raw = decoder->at < decoder->end;
        /* a compressed stream may have more to give without more input */
        if (has_raw || decoder->is_inside)
            code = input_decode(input, to, room, got);
        if (code != EXIT_DONE || *got > 0 || decoder->at < decoder->end)
            continue;
        if (decoder->is_raw_end && decoder->is_inside)
            return input_damaged(input, decoder->kind == INPUT_GZIP ? "gzip" : "zstd", NULL); /* I1 */
        if (decoder->is_raw_end)
            return EXIT_DONE;
        code = input_read(input);
    }
    return code;
}

/* ---- The buffer ------------------------------------------------------------------------------ */

/* Makes room after `end` for the next read. */
static int input_make_room(struct input *input) {
    if (input->at > 0) {
        memmove(input->buffer, input->buffer + input->at, input->end - input->at);
        input->end -= input->at;
        input->at = 0;
    }
    if (input->end > INPUT_PIECE_BYTES_MAX)
        return report_error(EXIT_INPUT,
                            "%s:%llu: the line is too long: at most 16 MiB are allowed, for a line or an item",
                            input->name, (unsigned long long)input->number + 1);
    if (input->capacity - input->end >= INPUT_READ_BYTES)
        return EXIT_DONE;
    size_t capacity = input->capacity > 0 ? input->capacity * 2 : 2 * INPUT_READ_BYTES;
    char *grown = realloc(input->buffer, capacity);
    if (grown == NULL)
        return report_error(EXIT_OTHER, "out of memory");
    input->buffer = grown;
    input->capacity = capacity;
    return EXIT_DONE;
}

/* The first bytes: a byte order mark goes, UTF-16 is an error. */
static int input_look(struct input *input) {
    const char *wide = text_file_wide(input->buffer, input->end);
    if (wide != NULL)
        return report_error(EXIT_INPUT, "%s: %s", input->name, wide);
    input->at = text_file_mark_bytes(input->buffer, input->end);
    return EXIT_DONE;
}

int input_fill(struct input *input) {
    int code = input_make_room(input);
    if (code == EXIT_DONE && input->decoder->kind == INPUT_UNKNOWN)
        code = input_begin(input);
    do {
        size_t got = 0;
        if (code == EXIT_DONE)
            code = input_some(input, input->buffer + input->end, input->capacity - input->end, &got);
        if (code != EXIT_DONE)
            return code;
        input->end += got;
        input->is_at_end = got == 0;
    } while (!input->decoder->has_looked && !input->is_at_end && input->end < 4);
    if (input->decoder->has_looked)
        return EXIT_DONE;
    input->decoder->has_looked = true;
    return input_look(input);
}

void input_close(struct input *input) {
    if (input->decoder != NULL) {
        if (input->decoder->kind == INPUT_GZIP)
            inflateEnd(&input->decoder->gzip);
        ZSTD_freeDCtx(input->decoder->zstd);
    }
    if (input->fd > 0)
        close(input->fd);
    free(input->decoder);
    free(input->buffer);
    memset(input, 0, sizeof *input);
}

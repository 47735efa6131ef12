/* cli/sink.c - the output of items: standard output or a file, one JSON document per line.
 *
 * Job      Items to text, text to a stream, and no write error lost on the way.
 * Crash    A file: 1 NAME.tmp.PID is created (O_EXCL)  2 it is written and synced  3 it is renamed
 *          over NAME. Dead before 3: NAME is as it was, and the temporary file is left.
 * Tests    tests/cli/cli_test.sh
 */
#include "cli/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/ending.h"
#include "cli/json_item.h"
#include "cli/report.h"

#define SINK_LINE_BYTES 4096

static int sink_failed(const struct sink *sink, int error) {
    if (sink->name == NULL)
        return report_output_failed(error);
    return report_error(EXIT_OTHER, "cannot write %s: %s", sink->name, error != 0 ? strerror(error) : "write error");
}

void sink_open_stdout(struct sink *sink) {
    memset(sink, 0, sizeof *sink);
    sink->plain = stdout;
    sink->fd = -1;
}

/* Opens the file to write: a new one beside the path, or the path itself if it is not a regular
 * file. */
static int sink_create(struct sink *sink, const char *path, int *fd) {
    struct stat status;
    int is_there = stat(path, &status) == 0;
    if (is_there && !S_ISREG(status.st_mode)) {
        *fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
        return *fd >= 0 ? EXIT_DONE : sink_failed(sink, errno);
    }
    sink->path = is_there ? realpath(path, NULL) : strdup(path);
    if (sink->path == NULL)
        return sink_failed(sink, errno);
    if (asprintf(&sink->temporary, "%s.tmp.%ld", sink->path, (long)getpid()) < 0) {
        sink->temporary = NULL;
        return sink_failed(sink, ENOMEM);
    }
    *fd = open(sink->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, is_there ? 0600 : 0666);
    if (*fd < 0) {
        int error = errno;
        free(sink->temporary); /* not ours to remove */
        sink->temporary = NULL;
        return sink_failed(sink, error);
    }
    /* The new file is as private as the one it replaces. */
    if (is_there && fchmod(*fd, status.st_mode & 0777) != 0) {
        int error = errno;
        close(*fd);
        return sink_failed(sink, error);
    }
    return EXIT_DONE;
}

int sink_open_file(struct sink *sink, const char *path) {
    memset(sink, 0, sizeof *sink);
    sink->name = path;
    size_t bytes = strlen(path);
    int fd = -1, code = sink_create(sink, path, &fd);
    if (code != EXIT_DONE)
        return code;
    if (bytes > 3 && strcmp(path + bytes - 3, ".gz") == 0)
        sink->gzip = gzdopen(fd, "wb");
    else
        sink->plain = fdopen(fd, "w");
    sink->fd = fd;
    if (sink->gzip == NULL && sink->plain == NULL) {
        close(fd);
        return sink_failed(sink, ENOMEM);
    }
    return EXIT_DONE;
}

static int sink_write(struct sink *sink, const char *text, size_t bytes) {
    errno = 0;
    if (sink->gzip != NULL)
        return gzwrite(sink->gzip, text, (unsigned)bytes) == (int)bytes ? EXIT_DONE : sink_failed(sink, errno);
    return fwrite(text, 1, bytes, sink->plain) == bytes ? EXIT_DONE : sink_failed(sink, errno);
}

/* Dumps into the line buffer, which grows once if it is too small. Returns the length, or 0 on
 * failure. */
static size_t sink_dump(struct sink *sink, const json_t *json) {
    for (;;) {
        size_t needed = json_dumpb(json, sink->line, sink->line_capacity, JSON_COMPACT);
        if (needed == 0 || needed < sink->line_capacity) /* one byte is for the line end */
            return needed;
        size_t capacity = needed + SINK_LINE_BYTES;
        char *grown = realloc(sink->line, capacity);
        if (grown == NULL)
            return 0;
        sink->line = grown;
        sink->line_capacity = capacity;
    }
}

int sink_item(struct sink *sink, const struct larder_item *item, int is_wrapped) {
    json_t *json = json_item_json(item);
    if (is_wrapped && json != NULL) {
        json_t *wrapper = json_object();
        if (json_object_set_new(wrapper, "Item", json) != 0) { /* drops json, too */
            json_decref(wrapper);
            wrapper = NULL;
        }
        json = wrapper;
    }
    size_t bytes = json != NULL ? sink_dump(sink, json) : 0;
    json_decref(json);
    if (bytes == 0)
        return report_error(EXIT_OTHER, "out of memory, or the item is damaged (larder check says more)");
    sink->line[bytes] = '\n';
    return sink_write(sink, sink->line, bytes + 1);
}

int sink_nothing(struct sink *sink) {
    return sink->name != NULL && has_ending(sink->name, ".json") ? sink_write(sink, "[]\n", 3) : EXIT_DONE;
}

/* Ends the stream. This writes gzip's last bytes and stdio's buffer, and so finds the last
 * errors. */
static int sink_end_stream(struct sink *sink) {
    int error = 0;
    if (sink->gzip != NULL) {
        errno = 0;
        /* gzclose() closes the descriptor, but the file is synced after it: hence a duplicate. */
        int synced = sink->temporary != NULL ? fcntl(sink->fd, F_DUPFD_CLOEXEC, 3) : -1;
        if (gzclose(sink->gzip) != Z_OK)
            error = errno != 0 ? errno : EIO;
        sink->gzip = NULL;
        if (synced >= 0) {
            if (error == 0 && fsync(synced) != 0)
                error = errno;
            close(synced);
        }
        return error;
    }
    if (fflush(sink->plain) != 0 || (sink->temporary != NULL && fsync(sink->fd) != 0))
        error = errno;
    if (sink->plain != stdout && fclose(sink->plain) != 0 && error == 0)
        error = errno;
    sink->plain = NULL;
    return error;
}

int sink_commit(struct sink *sink) {
    int error = sink_end_stream(sink);
    if (error == 0 && sink->temporary != NULL && rename(sink->temporary, sink->path) != 0)
        error = errno;
    if (error != 0)
        return sink_failed(sink, error);
    free(sink->temporary);
    sink->temporary = NULL;
    return EXIT_DONE;
}

void sink_close(struct sink *sink) {
    if (sink->gzip != NULL)
        gzclose(sink->gzip);
    if (sink->plain != NULL && sink->plain != stdout)
        fclose(sink->plain);
    if (sink->temporary != NULL)
        unlink(sink->temporary);
    free(sink->temporary);
    free(sink->path);
    free(sink->line);
    memset(sink, 0, sizeof *sink);
}

int sink_one(const struct larder_item *item) {
    struct sink sink;
    sink_open_stdout(&sink);
    int code = sink_item(&sink, item, 0);
    if (code == EXIT_DONE)
        code = sink_commit(&sink);
    sink_close(&sink);
    return code;
}

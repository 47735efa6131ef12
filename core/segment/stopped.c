/* core/segment/stopped.c - see core/segment/stopped.h.
 *
 * Idea     /proc/PID/status has the state, and the process's ids (NSpid), one for each PID
 *          namespace from that of /proc down to its own: a single id means that both are the same.
 *          /proc/PID/maps has the inode numbers of its mappings: another process with that id does
 *          not map this segment.
 */
#include "core/segment/stopped.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_BYTES 2048u /* on the stack, below a call of the library */
#define MAPS_INODE_FIELD 4u

static int open_of(int32_t pid, const char *file) {
    char path[48];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, file);
    return open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
}

static size_t read_some(int fd, char *text, size_t bytes_max) {
    ssize_t bytes;
    do
        bytes = read(fd, text, bytes_max);
    while (bytes < 0 && errno == EINTR);
    return bytes > 0 ? (size_t)bytes : 0;
}

static int is_standing_still(const char *status) {
    const char *state = strstr(status, "\nState:\t");
    return state && (state[8] == 'T' || state[8] == 't');
}

static int is_in_our_namespace(const char *status, int32_t pid) {
    const char *numbers = strstr(status, "\nNSpid:\t");
    char *end;
    return numbers && strtol(numbers + 8, &end, 10) == pid && *end == '\n';
}

static int has_status(int32_t pid) {
    char text[READ_BYTES];
    size_t have = 0, got = 1;
    int fd = open_of(pid, "status");
    if (fd < 0)
        return 0;
    while (got > 0 && have < sizeof text - 1) {
        got = read_some(fd, text + have, sizeof text - 1 - have);
        have += got;
    }
    close(fd);
    text[have] = 0;
    return is_standing_still(text) && is_in_our_namespace(text, pid);
}

/* A line of maps has addresses, rights, offset, device, inode number and path, one space between;
 * more before the path. */
static int has_mapped(int32_t pid, uint64_t inode) {
    char text[READ_BYTES];
    size_t bytes;
    unsigned field = 0;
    uint64_t number = 0;
    int is_found = 0, fd = open_of(pid, "maps");
    if (fd < 0)
        return 0;
    while (!is_found && (bytes = read_some(fd, text, sizeof text)) > 0)
        for (size_t i = 0; i < bytes && !is_found; i++)
            if (text[i] == '\n') {
                field = 0;
                number = 0;
            } else if (text[i] == ' ') {
                is_found = field++ == MAPS_INODE_FIELD && number == inode;
            } else if (field == MAPS_INODE_FIELD && text[i] >= '0' && text[i] <= '9') {
                number = number * 10 + (uint64_t)(text[i] - '0');
            }
    close(fd);
    return is_found;
}

int stopped_is(const struct seg *s, int32_t pid) {
    struct stat st;
    int number = errno;
    int is_stopped =
        pid > 0 && pid != getpid() && has_status(pid) && fstat(s->fd, &st) == 0 && has_mapped(pid, st.st_ino);
    errno = number;
    return is_stopped;
}

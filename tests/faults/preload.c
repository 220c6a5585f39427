/* Stands between a process and its C library: makes chosen calls fail, and writes down the order of calls.
 *
 * FAULT_CALL   the call that fails: a name below, or a kind: pwrite (all that put bytes into files), sync (fdatasync,
 *              fsync, msync), send (all that may reach somebody else), read
 * FAULT_PATH   only calls on descriptors whose path contains this
 * FAULT_AT     the first call that fails, counting from 1 among those that match
 * FAULT_COUNT  how many fail from there on (1; 0 means all)
 * FAULT_ERRNO  the error they fail with
 * FAULT_SHORT  bytes of the failing write that are carried out all the same: a torn write
 * TRACE_FILE   where to append one line a call: "<sequence> <call> <bytes> <result> <mode> <head> <path>", where mode
 *              is "dsync" on a descriptor that syncs by itself and head the first bytes of what is sent, in hex
 * CLOCK_FILE   a file of eight bytes: seconds, as an int64 of this machine, by which the wall clock is off; it may be
 *              written to at any time. Other clocks stay as they are
 *
 * A call that makes data durable or puts it into a file is written down after it returned; one that may carry an
 * answer to somebody else (write, send) before it is made. So a sync that stands above an answer came first.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static const char *fault_call, *fault_path;
static long fault_at, fault_count, fault_short;
static int fault_errno;
static int trace_fd = -1;
static atomic_long matched, sequence;
static const volatile int64_t *clock_offset_s;

static long number(const char *name, long otherwise) {
    const char *text = getenv(name);
    return text && *text ? strtol(text, NULL, 10) : otherwise;
}

__attribute__((constructor)) static void start(void) {
    fault_call = getenv("FAULT_CALL");
    fault_path = getenv("FAULT_PATH");
    fault_at = number("FAULT_AT", 1);
    fault_count = number("FAULT_COUNT", 1);
    fault_errno = (int)number("FAULT_ERRNO", EIO);
    fault_short = number("FAULT_SHORT", 0);
    const char *trace = getenv("TRACE_FILE");
    if (trace && *trace)
        trace_fd = open(trace, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    const char *clock = getenv("CLOCK_FILE");
    int fd = clock && *clock ? open(clock, O_RDONLY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        void *offset = mmap(NULL, sizeof *clock_offset_s, PROT_READ, MAP_SHARED, fd, 0);
        clock_offset_s = offset == MAP_FAILED ? NULL : offset;
        close(fd);
    }
}

static void path_of(int fd, char *path, size_t size) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = fd < 0 ? -1 : readlink(link, path, size - 1);
    path[length > 0 ? length : 0] = 0;
}

/* Whether this call, of the kind `kind`, is one that has to fail. */
static int fails(const char *call, const char *kind, int fd) {
    if (!fault_call || (strcmp(fault_call, call) && strcmp(fault_call, kind)))
        return 0;
    if (fault_path) {
        char path[PATH_MAX];
        path_of(fd, path, sizeof path);
        if (!strstr(path, fault_path))
            return 0;
    }
    long index = atomic_fetch_add(&matched, 1) + 1;
    return index >= fault_at && (!fault_count || index < fault_at + fault_count);
}

#define HEAD 24

static void note(const char *call, int fd, long bytes, long result, const void *data, size_t size) {
    if (trace_fd < 0 || fd == trace_fd)
        return;
    int saved = errno;
    char path[PATH_MAX], line[PATH_MAX + 256], head[2 * HEAD + 1] = "-";
    for (size_t i = 0; i < size && i < HEAD; i++)
        snprintf(head + 2 * i, 3, "%02x", ((const unsigned char *)data)[i]);
    path_of(fd, path, sizeof path);
    int flags = fd < 0 ? 0 : fcntl(fd, F_GETFL);
    const char *mode = flags >= 0 && (flags & O_DSYNC) ? "dsync" : "-";
    int length = snprintf(line, sizeof line, "%ld %s %ld %ld %s %s %s\n", atomic_fetch_add(&sequence, 1), call,
                          bytes, result, mode, head, *path ? path : "-");
    syscall(SYS_write, trace_fd, line, (size_t)length);
    errno = saved;
}

#define REAL(name) \
    static __typeof__(name) *real; \
    if (!real) \
        real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

static long total(const struct iovec *parts, int count) {
    long bytes = 0;
    for (int i = 0; i < count; i++)
        bytes += (long)parts[i].iov_len;
    return bytes;
}

static int fail(void) {
    errno = fault_errno;
    return -1;
}

#define STORE(call, kind, fd, bytes, torn, run) \
    do { \
        ssize_t result; \
        if (fails(call, kind, fd)) { \
            if (fault_short > 0 && fault_short < (bytes)) \
                torn; \
            result = fail(); \
        } else \
            result = run; \
        note(call, fd, bytes, result, NULL, 0); \
        return result; \
    } while (0)

ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
    REAL(pwrite);
    STORE("pwrite", "pwrite", fd, (long)size, real(fd, data, (size_t)fault_short, at), real(fd, data, size, at));
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
    REAL(pwrite64);
    STORE("pwrite", "pwrite", fd, (long)size, real(fd, data, (size_t)fault_short, at), real(fd, data, size, at));
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) {
    REAL(pwritev);
    STORE("pwritev", "pwrite", fd, total(parts, count), real(fd, parts, 1, at), real(fd, parts, count, at));
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t at) {
    REAL(pwritev64);
    STORE("pwritev", "pwrite", fd, total(parts, count), real(fd, parts, 1, at), real(fd, parts, count, at));
}

int fdatasync(int fd) {
    REAL(fdatasync);
    STORE("fdatasync", "sync", fd, 0L, (void)0, real(fd));
}

int fsync(int fd) {
    REAL(fsync);
    STORE("fsync", "sync", fd, 0L, (void)0, real(fd));
}

int msync(void *from, size_t size, int flags) {
    REAL(msync);
    STORE("msync", "sync", -1, (long)size, (void)0, real(from, size, flags));
}

/* A plain write may go to a file or to a listener: regular files count as stored, the rest as sent. */
static int is_file(int fd) {
    struct stat about;
    return !fstat(fd, &about) && S_ISREG(about.st_mode);
}

#define SEND(call, fd, bytes, data, size, run) \
    do { \
        note(call, fd, bytes, 0, data, size); \
        return fails(call, "send", fd) ? fail() : (run); \
    } while (0)

ssize_t write(int fd, const void *data, size_t size) {
    REAL(write);
    if (is_file(fd))
        STORE("write", "pwrite", fd, (long)size, real(fd, data, (size_t)fault_short), real(fd, data, size));
    SEND("write", fd, (long)size, data, size, real(fd, data, size));
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    REAL(writev);
    if (is_file(fd))
        STORE("writev", "pwrite", fd, total(parts, count), real(fd, parts, 1), real(fd, parts, count));
    SEND("writev", fd, total(parts, count), count ? parts->iov_base : NULL, count ? parts->iov_len : 0,
         real(fd, parts, count));
}

ssize_t read(int fd, void *data, size_t size) {
    REAL(read);
    return fails("read", "read", fd) ? fail() : real(fd, data, size);
}

ssize_t send(int fd, const void *data, size_t size, int flags) {
    REAL(send);
    SEND("send", fd, (long)size, data, size, real(fd, data, size, flags));
}

ssize_t sendto(int fd, const void *data, size_t size, int flags, const struct sockaddr *to, socklen_t length) {
    REAL(sendto);
    SEND("sendto", fd, (long)size, data, size, real(fd, data, size, flags, to, length));
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
    REAL(sendmsg);
    const struct iovec *first = message->msg_iovlen ? message->msg_iov : NULL;
    SEND("sendmsg", fd, total(message->msg_iov, (int)message->msg_iovlen), first ? first->iov_base : NULL,
         first ? first->iov_len : 0, real(fd, message, flags));
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    REAL(clock_gettime);
    int result = real(clock, now);
    if (!result && clock == CLOCK_REALTIME && clock_offset_s)
        now->tv_sec += *clock_offset_s;
    return result;
}

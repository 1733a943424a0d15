/* Preloaded into a server, makes the system's calls on the files of one folder fail.
 *
 * VECINO_FAULTY_FOLDER is the folder. VECINO_FAULTS is a file that is read at every call, with lines such as
 *
 *     fdatasync 5 3
 *
 * which makes every third fdatasync fail with the error number 5. For write and pwrite, the number 0 means a short count instead.
 * The log is written by pwrite, everything else by write. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { FINE = -1, SHORT = 0 };

/* The error of this call on the file of this path: FINE, SHORT, or an error number. */
static int fault(const char *call, const char *path) {
    static _Atomic unsigned counts[16];
    const char *folder = getenv("VECINO_FAULTY_FOLDER"), *list = getenv("VECINO_FAULTS");
    if (!folder || !list || strncmp(path, folder, strlen(folder)) != 0) return FINE;
    int file = (int)syscall(SYS_openat, AT_FDCWD, list, O_RDONLY | O_CLOEXEC);
    if (file < 0) return FINE;
    char text[512] = {0};
    long length = syscall(SYS_read, file, text, sizeof text - 1);
    syscall(SYS_close, file);
    char *rest = NULL;
    char *line = length > 0 ? strtok_r(text, "\n", &rest) : NULL;
    for (unsigned number = 0; line && number < 16; line = strtok_r(NULL, "\n", &rest), number++) {
        char name[16];
        int error;
        unsigned times;
        if (sscanf(line, "%15s %d %u", name, &error, &times) != 3 || strcmp(name, call) != 0 || times == 0) continue;
        if (atomic_fetch_add(&counts[number], 1) % times == times - 1) return error;
    }
    return FINE;
}

static int fault_of(const char *call, int file) {
    char link[64], path[PATH_MAX] = {0};
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    if (syscall(SYS_readlinkat, AT_FDCWD, link, path, sizeof path - 1) <= 0) return FINE;
    return fault(call, path);
}

static int failed(int error) {
    errno = error;
    return -1;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t write(int file, const void *bytes, size_t count) {
    int error = fault_of("write", file);
    if (error > 0) return failed(error);
    return REAL(write)(file, bytes, error == SHORT && count > 1 ? count / 2 : count);
}

ssize_t pwrite64(int file, const void *bytes, size_t count, off64_t at) {
    int error = fault_of("pwrite", file);
    if (error > 0) return failed(error);
    return REAL(pwrite64)(file, bytes, error == SHORT && count > 1 ? count / 2 : count, at);
}

int fsync(int file) {
    int error = fault_of("fsync", file);
    return error > 0 ? failed(error) : REAL(fsync)(file);
}

int fdatasync(int file) {
    int error = fault_of("fdatasync", file);
    return error > 0 ? failed(error) : REAL(fdatasync)(file);
}

int ftruncate64(int file, off64_t length) {
    int error = fault_of("ftruncate", file);
    return error > 0 ? failed(error) : REAL(ftruncate64)(file, length);
}

int rename(const char *from, const char *to) {
    int error = fault("rename", to);
    return error > 0 ? failed(error) : REAL(rename)(from, to);
}

int unlink(const char *path) {
    int error = fault("unlink", path);
    return error > 0 ? failed(error) : REAL(unlink)(path);
}

int open64(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    int error = fault("open", path);
    return error > 0 ? failed(error) : REAL(open64)(path, flags, mode);
}

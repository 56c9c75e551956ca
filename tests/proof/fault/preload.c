/* Injects storage faults into a real process. Preloaded before the C library, it counts the calls
 * on files below one folder. At the k-th call the disk fails, is full or hangs, or the process
 * dies. Compiled and configured by mod.rs, through the environment; 64-bit Linux only.
 *
 *   FAULT_DIR         the folder, an absolute path without symbolic links
 *   FAULT_TRACE       the file shared with the suite: `struct shared`
 *   FAULT_CALLS       the counted calls: o(pen) r(ead) w(rite) s(ync) t(runcate) n(ame) m(ap)
 *   FAULT_AT          k, from 1; 0 for no fault
 *   FAULT_PERSISTENT  1: all later calls fail, too
 *   FAULT_KIND        eio, enospc, edquot, short, delay, before, after, torn, cut
 *   FAULT_MS          length of a delay in milliseconds
 *   FAULT_FAKE_SYNCS  1: syncs succeed without effect
 *   FAULT_SEED        decides which unsynced writes survive a power cut; 0 for none
 *
 * A power cut (`cut`, or a request through the shared file) reverts what was not synced: writes
 * and truncations since the last successful sync of their file, and names created or removed since
 * the last sync of their folder. What a failed sync covered is lost, even if a later sync
 * succeeds, as on a real disk. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

struct shared {
    _Atomic uint64_t count, injected, cut;
    char calls[1 << 16]; /* a letter for each call */
};

/* The state of a file before a change that is not durable yet. A change of a name belongs to its
 * folder. */
struct change {
    struct change *before, *after;
    dev_t dev;
    ino_t ino;
    enum { PENDING, SYNCED, LOST } fate;
    enum { WRITE, TRUNCATE, CREATED, REMOVED } what;
    int file; /* the shim's own descriptor, never closed: closing one would release SQLite's locks */
    off_t at, old_size, new_size;
    size_t had, len;
    char *old_bytes, *new_bytes, *path, *aside;
};

enum { FILES = 4096, GO = 0, FAIL, SHORT, TORN, AFTER };

static struct shared *shared;
static char folder[4096], counted[16] = "orwstnm", kind[16];
static size_t folder_len;
static uint64_t at, seed;
static int persistent, fake_syncs;
static long delay_ms = 4000;
static unsigned char watched[FILES];
static struct { dev_t dev; ino_t ino; int fd; } own[64];
static int owns;
static struct change *oldest, *newest;
static pthread_mutex_t changing = PTHREAD_MUTEX_INITIALIZER;

static int real_open(const char *path, int flags, mode_t mode) {
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}
static ssize_t real_pwrite(int fd, const void *bytes, size_t n, off_t o) {
    return syscall(SYS_pwrite64, fd, bytes, n, o);
}
static int real_unlink(const char *path) { return (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0); }

static void die(void) {
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

static uint64_t chance(void) {
    seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
    return seed;
}

/* Reverts all changes that are not durable, then applies again, in order, those that were synced
 * and those that the seed lets survive. */
static void power_cut(void) {
    pthread_mutex_lock(&changing);
    for (struct change *c = newest; c; c = c->before) {
        if (c->what == CREATED) real_unlink(c->path);
        if (c->what == REMOVED) syscall(SYS_renameat2, AT_FDCWD, c->aside, AT_FDCWD, c->path, 0);
        if (c->what == WRITE || c->what == TRUNCATE) {
            real_pwrite(c->file, c->old_bytes, c->had, c->at);
            syscall(SYS_ftruncate, c->file, c->old_size);
        }
    }
    for (struct change *c = oldest; c; c = c->after) {
        int kept = c->fate == SYNCED || (c->fate == PENDING && seed && (chance() >> 32 & 1));
        if (kept && c->what == WRITE) real_pwrite(c->file, c->new_bytes, c->len, c->at);
        if (kept && c->what == TRUNCATE) syscall(SYS_ftruncate, c->file, c->new_size);
    }
    die();
}

static void *wait_for_cut(void *unused) {
    struct timespec pause = {0, 2000000};
    for (;;) {
        if (atomic_load(&shared->cut)) power_cut();
        nanosleep(&pause, NULL);
    }
    return unused;
}

__attribute__((constructor)) static void start(void) {
    const char *dir = getenv("FAULT_DIR"), *trace = getenv("FAULT_TRACE"), *v;
    if (!dir || !trace) return;
    int fd = real_open(trace, O_RDWR | O_CREAT, 0600);
    if (fd < 0 || syscall(SYS_ftruncate, fd, sizeof(struct shared)) < 0) return;
    void *map = mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) return;
    if ((v = getenv("FAULT_CALLS"))) snprintf(counted, sizeof counted, "%s", v);
    if ((v = getenv("FAULT_KIND"))) snprintf(kind, sizeof kind, "%s", v);
    if ((v = getenv("FAULT_AT"))) at = strtoull(v, NULL, 10);
    if ((v = getenv("FAULT_SEED"))) seed = strtoull(v, NULL, 10);
    if ((v = getenv("FAULT_PERSISTENT"))) persistent = *v == '1';
    if ((v = getenv("FAULT_FAKE_SYNCS"))) fake_syncs = *v == '1';
    if ((v = getenv("FAULT_MS"))) delay_ms = atol(v);
    snprintf(folder, sizeof folder, "%s", dir);
    folder_len = strlen(folder);
    shared = map;
    /* Child processes, such as handlers, run without faults. */
    unsetenv("LD_PRELOAD");
    pthread_t thread;
    pthread_create(&thread, NULL, wait_for_cut, NULL);
}

/* Writes the absolute path to `full`; returns whether it is the folder or below it. */
static int below(const char *path, char *full) {
    if (!shared || !path) return 0;
    if (*path == '/') {
        snprintf(full, 4096, "%s", path);
    } else {
        char here[2048];
        if (syscall(SYS_getcwd, here, sizeof here) < 0) return 0;
        while (path[0] == '.' && path[1] == '/') path += 2;
        snprintf(full, 4096, "%s/%.2000s", here, path);
    }
    return !strncmp(full, folder, folder_len) && (full[folder_len] == '/' || !full[folder_len]);
}

static int is_watched(int fd) { return shared && fd >= 0 && fd < FILES && watched[fd]; }

/* Counts a call, and returns what the caller must do. */
static int count_call(char call) {
    if (!strchr(counted, call)) return GO;
    uint64_t k = atomic_fetch_add(&shared->count, 1) + 1;
    if (k <= sizeof shared->calls) shared->calls[k - 1] = call;
    if (!at || k < at || (k > at && !persistent)) return GO;
    atomic_fetch_add(&shared->injected, 1);
    if (!strcmp(kind, "eio")) return errno = EIO, FAIL;
    if (!strcmp(kind, "enospc")) return errno = ENOSPC, FAIL;
    if (!strcmp(kind, "edquot")) return errno = EDQUOT, FAIL;
    if (!strcmp(kind, "short")) return k > at ? (errno = ENOSPC, FAIL) : SHORT;
    if (!strcmp(kind, "torn")) return TORN;
    if (!strcmp(kind, "after")) return AFTER;
    if (!strcmp(kind, "before")) die();
    if (!strcmp(kind, "cut")) power_cut();
    struct timespec pause = {delay_ms / 1000, delay_ms % 1000 * 1000000};
    if (!strcmp(kind, "delay")) nanosleep(&pause, NULL);
    return GO;
}

static struct change *add_change(int fd, int what) {
    struct stat s;
    if (fstat(fd, &s) < 0) return NULL;
    int file = -1;
    for (int i = 0; i < owns; i++)
        if (own[i].dev == s.st_dev && own[i].ino == s.st_ino) file = own[i].fd;
    if (file < 0) {
        char link[64];
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        file = real_open(link, O_RDWR, 0);
        if (file < 0 || owns == 64) return NULL;
        own[owns].dev = s.st_dev, own[owns].ino = s.st_ino, own[owns++].fd = file;
    }
    struct change *c = calloc(1, sizeof *c);
    c->dev = s.st_dev, c->ino = s.st_ino, c->what = what, c->file = file, c->old_size = s.st_size;
    c->before = newest;
    if (newest) newest->after = c; else oldest = c;
    return newest = c;
}

static void add_name_change(int what, const char *path, const char *aside) {
    char dir[4096];
    struct stat s;
    snprintf(dir, sizeof dir, "%s", path);
    *strrchr(dir, '/') = 0;
    if (stat(dir, &s) < 0) return;
    struct change *c = calloc(1, sizeof *c);
    c->dev = s.st_dev, c->ino = s.st_ino, c->what = what, c->path = strdup(path);
    c->aside = aside ? strdup(aside) : NULL;
    c->before = newest;
    if (newest) newest->after = c; else oldest = c;
    newest = c;
}

static void drop(struct change *c) {
    if (c->before) c->before->after = c->after; else oldest = c->after;
    if (c->after) c->after->before = c->before; else newest = c->before;
    if (c->aside) real_unlink(c->aside);
    free(c->old_bytes), free(c->new_bytes), free(c->path), free(c->aside), free(c);
}

/* Records the result of a sync of a file or folder: its pending changes are durable or lost. */
static void record_sync(int fd, int succeeded) {
    struct stat s;
    if (fstat(fd, &s) < 0) return;
    int lost = 0;
    for (struct change *c = oldest; c; c = c->after) {
        if (c->dev != s.st_dev || c->ino != s.st_ino) continue;
        int name = c->what == CREATED || c->what == REMOVED;
        if (c->fate == PENDING && !(name && !succeeded)) c->fate = succeeded ? SYNCED : LOST;
        lost |= c->fate == LOST;
    }
    for (struct change *c = oldest, *after; c && !lost; c = after) {
        after = c->after;
        if (c->dev == s.st_dev && c->ino == s.st_ino && c->fate == SYNCED) drop(c);
    }
}

/* The index of the write-ahead log is shared memory, which SQLite builds again after a crash. */
static int is_index(int fd) { return watched[fd] == 2; }

static ssize_t tracked_write(int fd, const void *bytes, size_t n, off_t o) {
    if (is_index(fd)) return real_pwrite(fd, bytes, n, o);
    pthread_mutex_lock(&changing);
    struct change *c = add_change(fd, WRITE);
    if (c) {
        c->at = o, c->len = n;
        c->old_bytes = malloc(n + 1), c->new_bytes = malloc(n + 1);
        ssize_t had = syscall(SYS_pread64, c->file, c->old_bytes, n, o);
        c->had = had > 0 ? (size_t)had : 0;
        memcpy(c->new_bytes, bytes, n);
    }
    ssize_t done = real_pwrite(fd, bytes, n, o);
    int kept = errno;
    pthread_mutex_unlock(&changing);
    errno = kept;
    return done;
}

ssize_t pwrite64(int fd, const void *bytes, size_t n, off_t o) {
    if (!is_watched(fd)) return real_pwrite(fd, bytes, n, o);
    int act = count_call('w');
    if (act == FAIL) return -1;
    size_t some = (act == SHORT || act == TORN) && n > 1 ? n / 2 : n;
    ssize_t done = tracked_write(fd, bytes, some, o);
    if (act == TORN || act == AFTER) die();
    return done;
}
ssize_t pwrite(int fd, const void *bytes, size_t n, off_t o) { return pwrite64(fd, bytes, n, o); }

ssize_t write(int fd, const void *bytes, size_t n) {
    if (!is_watched(fd)) return syscall(SYS_write, fd, bytes, n);
    off_t o = (off_t)syscall(SYS_lseek, fd, 0, SEEK_CUR);
    ssize_t done = pwrite64(fd, bytes, n, o);
    if (done > 0) syscall(SYS_lseek, fd, o + done, SEEK_SET);
    return done;
}

ssize_t writev(int fd, const struct iovec *parts, int n) {
    if (!is_watched(fd) || n < 1) return syscall(SYS_writev, fd, parts, n);
    return write(fd, parts[0].iov_base, parts[0].iov_len);
}

ssize_t pread64(int fd, void *bytes, size_t n, off_t o) {
    int act = is_watched(fd) ? count_call('r') : GO;
    if (act == FAIL) return -1;
    if (act == SHORT && n > 1) n /= 2;
    ssize_t done = syscall(SYS_pread64, fd, bytes, n, o);
    if (act == AFTER || act == TORN) die();
    return done;
}
ssize_t pread(int fd, void *bytes, size_t n, off_t o) { return pread64(fd, bytes, n, o); }

ssize_t read(int fd, void *bytes, size_t n) {
    int act = is_watched(fd) ? count_call('r') : GO;
    if (act == FAIL) return -1;
    if (act == SHORT && n > 1) n /= 2;
    ssize_t done = syscall(SYS_read, fd, bytes, n);
    if (act == AFTER || act == TORN) die();
    return done;
}

static int counted_sync(long number, int fd) {
    if (!is_watched(fd)) return (int)syscall(number, fd);
    int act = count_call('s');
    if (fake_syncs) return 0;
    int done = act == FAIL ? -1 : (int)syscall(number, fd);
    int kept = act == FAIL ? errno : 0;
    pthread_mutex_lock(&changing);
    record_sync(fd, done == 0);
    pthread_mutex_unlock(&changing);
    if (act == AFTER || act == TORN) die();
    errno = kept;
    return done;
}
int fsync(int fd) { return counted_sync(SYS_fsync, fd); }
int fdatasync(int fd) { return counted_sync(SYS_fdatasync, fd); }

int ftruncate64(int fd, off_t size) {
    if (!is_watched(fd)) return (int)syscall(SYS_ftruncate, fd, size);
    int act = count_call('t');
    if (act == FAIL) return -1;
    pthread_mutex_lock(&changing);
    struct change *c = is_index(fd) ? NULL : add_change(fd, TRUNCATE);
    if (c) {
        c->new_size = c->at = size;
        size_t cut = c->old_size > size ? (size_t)(c->old_size - size) : 0;
        c->old_bytes = malloc(cut + 1);
        ssize_t had = syscall(SYS_pread64, c->file, c->old_bytes, cut, size);
        c->had = had > 0 ? (size_t)had : 0;
    }
    int done = (int)syscall(SYS_ftruncate, fd, size);
    pthread_mutex_unlock(&changing);
    if (act == AFTER || act == TORN) die();
    return done;
}
int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }

int unlink(const char *path) {
    static unsigned number;
    char full[4096], aside[4200];
    if (!below(path, full)) return real_unlink(path);
    int act = count_call('n');
    if (act == FAIL) return -1;
    pthread_mutex_lock(&changing);
    int done, index = strlen(full) > 4 && !strcmp(full + strlen(full) - 4, "-shm");
    if (index) {
        done = real_unlink(path);
    } else {
        /* Renamed instead of removed, so that a power cut can bring the file back. */
        snprintf(aside, sizeof aside, "%s.gone%u", full, number++);
        done = (int)syscall(SYS_renameat2, AT_FDCWD, full, AT_FDCWD, aside, 0);
        if (done == 0) add_name_change(REMOVED, full, aside);
    }
    int kept = errno;
    pthread_mutex_unlock(&changing);
    if (act == AFTER || act == TORN) die();
    errno = kept;
    return done;
}

static int counted_open(const char *path, int flags, mode_t mode) {
    char full[4096];
    if (!below(path, full)) return real_open(path, flags, mode);
    int act = count_call('o');
    if (act == FAIL) return -1;
    pthread_mutex_lock(&changing);
    int fresh = (flags & O_CREAT) && syscall(SYS_faccessat, AT_FDCWD, full, F_OK) < 0;
    int fd = real_open(path, flags, mode);
    int kept = errno, index = strlen(full) > 4 && !strcmp(full + strlen(full) - 4, "-shm");
    if (fd >= 0 && fd < FILES) watched[fd] = index ? 2 : 1;
    if (fd >= 0 && fresh && !index) add_name_change(CREATED, full, NULL);
    pthread_mutex_unlock(&changing);
    if (act == AFTER || act == TORN) die();
    errno = kept;
    return fd;
}

#define MODE(flags)                                                                                \
    mode_t mode = 0;                                                                               \
    if ((flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE) {                                   \
        va_list rest;                                                                              \
        va_start(rest, flags);                                                                     \
        mode = va_arg(rest, mode_t);                                                               \
        va_end(rest);                                                                              \
    }
int open(const char *path, int flags, ...) {
    MODE(flags)
    return counted_open(path, flags, mode);
}
int open64(const char *path, int flags, ...) {
    MODE(flags)
    return counted_open(path, flags, mode);
}

int close(int fd) {
    if (fd >= 0 && fd < FILES) watched[fd] = 0;
    return (int)syscall(SYS_close, fd);
}

void *mmap64(void *where, size_t n, int protection, int flags, int fd, off_t o) {
    int act = is_watched(fd) ? count_call('m') : GO;
    if (act == FAIL) return MAP_FAILED;
    if (act == AFTER || act == TORN) {
        syscall(SYS_mmap, where, n, protection, flags, fd, o);
        die();
    }
    return (void *)syscall(SYS_mmap, where, n, protection, flags, fd, o);
}

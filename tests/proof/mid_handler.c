/* The step of the suite `mid-handler`, a handler with an effect outside the store. It reads an
 * event from standard input, records that it began, works for a while, appends the event to a
 * synced ledger, and works again.
 *
 *   step BEGUN LEDGER BEFORE_MS AFTER_MS */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int append(const char *path, const char *line, size_t n, int durable) {
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT, 0600);
    if (fd < 0 || write(fd, line, n) != (ssize_t)n) return 75;
    if (durable && fsync(fd) < 0) return 75;
    return close(fd) < 0 ? 75 : 0;
}

static void work(const char *ms) {
    long n = atol(ms);
    struct timespec pause = {n / 1000, n % 1000 * 1000000};
    nanosleep(&pause, NULL);
}

int main(int argc, char **argv) {
    static char event[1 << 16], line[(1 << 16) + 64];
    size_t n = 0;
    ssize_t some;
    if (argc != 5) return 2;
    while ((some = read(0, event + n, sizeof event - n)) > 0) n += (size_t)some;
    if (n < 2 || event[0] != '{') return 2;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    long long ms = (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
    int len = snprintf(line, sizeof line, "{\"at\":%lld,%.*s", ms, (int)n - 1, event + 1);
    if (append(argv[1], line, (size_t)len, 0)) return 75;
    work(argv[3]);
    if (append(argv[2], line, (size_t)len, 1)) return 75;
    work(argv[4]);
    return 0;
}

/* Preloaded into the agent by the soak: a wall clock that jumps and a disk that fails, both on demand.

   The file named by SOAK_CONTROL is mapped by both sides (struct control; preload.py writes it). Only the wall clock is
   shifted: the monotonic one never jumps on a real machine either. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

struct control {
    _Atomic int64_t offset; /* nanoseconds added to the wall clock */
    _Atomic int64_t syncs;  /* so many of the next syncs fail with EIO */
    _Atomic int64_t writes; /* so many of the next positioned writes fail with EIO */
    _Atomic int64_t failed; /* how many have failed */
};

static struct control none;
static struct control *shared = &none;

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("SOAK_CONTROL");
    int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (file < 0)
        return;
    void *mapped = mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (mapped != MAP_FAILED)
        shared = mapped;
}

static int fails(_Atomic int64_t *left)
{
    if (atomic_load(left) <= 0 || atomic_fetch_sub(left, 1) <= 0)
        return 0;
    atomic_fetch_add(&shared->failed, 1);
    errno = EIO;
    return 1;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    static int (*real)(clockid_t, struct timespec *);
    if (!real)
        real = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, now);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        int64_t sum = now->tv_sec * INT64_C(1000000000) + now->tv_nsec + atomic_load(&shared->offset);
        now->tv_sec = sum / 1000000000;
        now->tv_nsec = sum % 1000000000;
    }
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec exact;
    (void)zone;
    int result = clock_gettime(CLOCK_REALTIME, &exact);
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return result;
}

time_t time(time_t *place)
{
    struct timespec exact;
    clock_gettime(CLOCK_REALTIME, &exact);
    if (place)
        *place = exact.tv_sec;
    return exact.tv_sec;
}

int fdatasync(int file)
{
    static int (*real)(int);
    if (!real)
        real = dlsym(RTLD_NEXT, "fdatasync");
    return fails(&shared->syncs) ? -1 : real(file);
}

int fsync(int file)
{
    static int (*real)(int);
    if (!real)
        real = dlsym(RTLD_NEXT, "fsync");
    return fails(&shared->syncs) ? -1 : real(file);
}

ssize_t pwrite64(int file, const void *data, size_t length, off64_t offset)
{
    static ssize_t (*real)(int, const void *, size_t, off64_t);
    if (!real)
        real = dlsym(RTLD_NEXT, "pwrite64");
    return fails(&shared->writes) ? -1 : real(file, data, length, offset);
}

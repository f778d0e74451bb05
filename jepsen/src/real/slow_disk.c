/* Loaded into a node by the harness (LD_PRELOAD): before each sync to disk, waits as many milliseconds as the file that
 * LOCUS_SLOW_DISK names says. A missing or empty file means no wait. Compiled with: cc -shared -fPIC -O2 -o X.so slow_disk.c -ldl */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static void wait_as_told(void) {
    const char *path = getenv("LOCUS_SLOW_DISK");
    FILE *file = path ? fopen(path, "re") : NULL;
    long millis = 0;
    if (file) {
        if (fscanf(file, "%ld", &millis) != 1) millis = 0;
        fclose(file);
    }
    if (millis > 0) {
        struct timespec left = {millis / 1000, millis % 1000 * 1000000L};
        while (nanosleep(&left, &left) != 0) {}
    }
}

int fdatasync(int fd) {
    static int (*real)(int);
    if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    wait_as_told();
    return real(fd);
}

int fsync(int fd) {
    static int (*real)(int);
    if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    wait_as_told();
    return real(fd);
}

/* exec-clock.c - how long an init takes from its exec to its child's main, and from the child's end to the init's own.
 *
 *   exec-clock ROUNDS[:LIFE_MS] NAME=INIT [ARG...] [: NAME=INIT [ARG...]]...
 * Each INIT is run ROUNDS times, interleaved, with this program as its child (which lives for LIFE_MS, 0 if not given, sends its
 * clock over a pipe and ends). Prints one line an init: medians in microseconds, and the ratio to the first. Test part. */
#include <fcntl.h>
#include <inttypes.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MOST_INITS = 8, MOST_ROUNDS = 20000, MOST_ARGS = 32, CHILD_FD = 9 };

extern char **environ;

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t) t.tv_sec * 1000000000u + (uint64_t) t.tv_nsec;
}

static struct init {
    const char *name;
    char *argv[MOST_ARGS];
    uint64_t start_ns[MOST_ROUNDS], end_ns[MOST_ROUNDS];
} inits[MOST_INITS];

static int by_size(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *) a, y = *(const uint64_t *) b;
    return (x > y) - (x < y);
}

static double median_us(uint64_t *values, size_t n) {
    qsort(values, n, sizeof values[0], by_size);
    return (double) values[n / 2] / 1000;
}

static int run_once(struct init *init, size_t round) {
    int pipe_fds[2], status;
    uint64_t times[2] = { 0, 0 };
    pid_t pid;
    if (pipe(pipe_fds) < 0 || dup2(pipe_fds[1], CHILD_FD) < 0)
        return -1;
    close(pipe_fds[1]);
    fcntl(pipe_fds[0], F_SETFD, FD_CLOEXEC);
    uint64_t begun = now_ns();
    if (posix_spawnp(&pid, init->argv[0], NULL, NULL, init->argv, environ) != 0)
        return -1;
    close(CHILD_FD);
    if (read(pipe_fds[0], times, sizeof times) != (ssize_t) sizeof times || waitpid(pid, &status, 0) != pid)
        return -1;
    uint64_t gone = now_ns();
    close(pipe_fds[0]);
    init->start_ns[round] = times[0] - begun;
    init->end_ns[round] = gone - times[1];
    return 0;
}

int main(int argc, char **argv) {
    if (argc == 2 && strncmp(argv[1], "--child=", 8) == 0) {
        uint64_t times[2] = { now_ns(), 0 };
        unsigned long life_ms = strtoul(argv[1] + 8, NULL, 10);
        if (life_ms > 0)
            (void) nanosleep(&(struct timespec) { .tv_sec = (time_t) (life_ms / 1000), .tv_nsec = (long) (life_ms % 1000) * 1000000 }, NULL);
        times[1] = now_ns();
        return write(CHILD_FD, times, sizeof times) == (ssize_t) sizeof times ? 0 : 1;
    }
    char *rest = NULL;
    size_t n_inits = 0, n_args = 0, rounds = argc > 2 ? strtoul(argv[1], &rest, 10) : 0;
    static char child_flag[64];
    (void) snprintf(child_flag, sizeof child_flag, "--child=%s", rest && *rest == ':' ? rest + 1 : "0");
    if (rounds == 0 || rounds > MOST_ROUNDS)
        return 64;
    for (int i = 2; i <= argc; i++) {
        if (i == argc || strcmp(argv[i], ":") == 0) {
            inits[n_inits].argv[n_args++] = argv[0];
            inits[n_inits].argv[n_args] = child_flag;
            n_inits++;
            n_args = 0;
        } else if (n_inits < MOST_INITS && n_args + 3 < MOST_ARGS) {
            char *value = argv[i];
            if (n_args == 0) {
                inits[n_inits].name = value;
                value = strchr(value, '=');
                if (!value)
                    return 64;
                *value++ = '\0';
            }
            inits[n_inits].argv[n_args++] = value;
        }
    }
    for (size_t round = 0; round < rounds; round++)
        for (size_t i = 0; i < n_inits; i++)
            if (run_once(&inits[i], round) < 0) {
                fprintf(stderr, "%s could not be run\n", inits[i].name);
                return 1;
            }
    double first_start = 0, first_end = 0;
    for (size_t i = 0; i < n_inits; i++) {
        double start = median_us(inits[i].start_ns, rounds), end = median_us(inits[i].end_ns, rounds);
        first_start = i ? first_start : start;
        first_end = i ? first_end : end;
        printf("%-16s exec to child's main %8.0f us (%.2fx)   child's end to init gone %8.0f us (%.2fx)\n", inits[i].name, start,
               start / first_start, end, end / first_end);
    }
    return 0;
}

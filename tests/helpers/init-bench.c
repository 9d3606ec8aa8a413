/* init-bench.c - loads for an init and the clocks beside them, for tests/bench/supervision.sh. Test part.
 *
 *   init-bench at-once N               as the init's child: N zombies are handed to it at once; prints ms until all are reaped
 *   init-bench one-by-one N            N orphans one after the other; prints the most zombies ever seen
 *   init-bench term ROUNDS NAME=INIT [ARG...] [: NAME=INIT...]...   TERM to the init until the child has it, medians in us
 *   init-bench terms N NAME=INIT ...   one start each, N TERMs 3 ms apart, all of which the child catches; prints how many came, medians
 *   init-bench stamp FILE              appends "begin NS" and "end NS", then ends with 1
 *   init-bench ask PORT N              GET /livez N times, each on a fresh connection; prints p50 and p99 in ms */
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 100000, MOST_INITS = 8, MOST_ARGS = 32, CHILD_FD = 9 };

extern char **environ;

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t) t.tv_sec * 1000000000u + (uint64_t) t.tv_nsec;
}

static void nap_us(long us) {
    struct timespec t = { .tv_nsec = us * 1000 };
    nanosleep(&t, NULL);
}

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static int by_size(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *) a, y = *(const uint64_t *) b;
    return (x > y) - (x < y);
}

static int at_once(size_t n) {
    static pid_t pids[MOST];
    int ends[2];
    if (pipe(ends) < 0)
        fail("pipe");
    pid_t middle = fork();
    if (middle == 0) {
        for (size_t i = 0; i < n; i++) {
            pid_t pid = fork();
            if (pid == 0)
                _exit(0);
            if (pid < 0 || write(ends[1], &pid, sizeof pid) != sizeof pid)
                _exit(1);
        }
        siginfo_t info; /* the last one is a zombie: so are nearly all */
        (void) waitid(P_ALL, 0, &info, WEXITED | WNOWAIT);
        nap_us(300000);
        _exit(0);
    }
    for (size_t i = 0; i < n; i++)
        if (read(ends[0], &pids[i], sizeof pids[i]) != sizeof pids[i])
            fail("read");
    (void) waitpid(middle, NULL, 0); /* from here on they are the init's */
    uint64_t begun = now_ns();
    for (size_t i = 0; i < n;) {
        if (kill(pids[i], 0) < 0)
            i++;
        else
            nap_us(100);
    }
    printf("%.1f\n", (double) (now_ns() - begun) / 1e6);
    return 0;
}

static unsigned zombies(void) {
    DIR *d = opendir("/proc");
    unsigned n = 0;
    for (struct dirent *e; d && (e = readdir(d));) {
        char path[280], text[512];
        if (e->d_name[0] < '0' || e->d_name[0] > '9')
            continue;
        snprintf(path, sizeof path, "/proc/%s/stat", e->d_name);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t got = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
        if (fd >= 0)
            close(fd);
        if (got <= 0)
            continue;
        text[got] = '\0';
        const char *end = strrchr(text, ')');
        n += end && end[1] == ' ' && end[2] == 'Z';
    }
    if (d)
        closedir(d);
    return n;
}

static int one_by_one(size_t n) {
    unsigned most = 0;
    for (size_t i = 0; i < n; i++) {
        pid_t middle = fork();
        if (middle == 0) {
            (void) fork();
            _exit(0);
        }
        (void) waitpid(middle, NULL, 0);
        if (i % 200 == 0) {
            unsigned now = zombies();
            most = now > most ? now : most;
        }
    }
    printf("%u\n", most);
    return 0;
}

static int stamp(const char *path) {
    char text[96];
    uint64_t begun = now_ns();
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    int n = snprintf(text, sizeof text, "begin %" PRIu64 "\nend %" PRIu64 "\n", begun, now_ns());
    return write(fd, text, (size_t) n) == n ? 1 : 2;
}

static int catch_term(void) {
    sigset_t set;
    int sig;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    uint64_t at = 0;
    (void) !write(CHILD_FD, &at, sizeof at); /* ready */
    sigwait(&set, &sig);
    at = now_ns();
    (void) !write(CHILD_FD, &at, sizeof at);
    return 0;
}

static int catch_all(void) {
    sigset_t set;
    int sig;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    uint64_t at = 0;
    (void) !write(CHILD_FD, &at, sizeof at);
    for (;;) {
        sigwait(&set, &sig);
        at = now_ns();
        if (write(CHILD_FD, &at, sizeof at) != sizeof at)
            return 0;
    }
}

static struct init {
    const char *name;
    char *argv[MOST_ARGS];
    uint64_t took[4096];
} inits[MOST_INITS];

/* Starts the init with its child at the other end of *ret_fd, and waits until that catches TERM. */
static pid_t start_init(struct init *init, int *ret_fd) {
    int ends[2];
    uint64_t at;
    pid_t pid;
    posix_spawn_file_actions_t actions;
    if (pipe2(ends, O_CLOEXEC) < 0)
        fail("pipe");
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], CHILD_FD);
    if (posix_spawnp(&pid, init->argv[0], &actions, NULL, init->argv, environ) != 0)
        fail(init->argv[0]);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    if (read(ends[0], &at, sizeof at) != sizeof at)
        fail("ready");
    *ret_fd = ends[0];
    return pid;
}

static uint64_t one_term(struct init *init) {
    int fd;
    uint64_t at;
    pid_t pid = start_init(init, &fd);
    nap_us(3000);
    uint64_t sent = now_ns();
    kill(pid, SIGTERM);
    if (read(fd, &at, sizeof at) != sizeof at)
        fail("signal");
    close(fd);
    (void) waitpid(pid, NULL, 0);
    return at - sent;
}

/* How many of n came. One that did not come within a second never will. */
static size_t many_terms(struct init *init, size_t n) {
    int fd;
    size_t came = 0;
    pid_t pid = start_init(init, &fd);
    for (size_t i = 0; i < n; i++) {
        struct pollfd p = { .fd = fd, .events = POLLIN };
        uint64_t at;
        nap_us(3000);
        uint64_t sent = now_ns();
        kill(pid, SIGTERM);
        if (poll(&p, 1, 1000) == 1 && read(fd, &at, sizeof at) == sizeof at)
            init->took[came++] = at - sent;
    }
    close(fd); /* the child's next word fails, and it ends */
    kill(pid, SIGTERM);
    (void) waitpid(pid, NULL, 0);
    return came;
}

static int term(int argc, char **argv, bool is_one_start) {
    size_t rounds = strtoul(argv[2], NULL, 10), n = 0;
    static char self[] = "/proc/self/exe", catch_one[] = "catch", catch_many[] = "catch-all";
    char own[512];
    ssize_t length = readlink(self, own, sizeof own - 1);
    own[length > 0 ? length : 0] = '\0';
    for (int i = 3; i < argc && n < MOST_INITS; n++) {
        int k = 0;
        char *equals = strchr(argv[i], '=');
        if (!equals)
            return 64;
        *equals = '\0';
        inits[n].name = argv[i++];
        inits[n].argv[k++] = equals + 1;
        while (i < argc && strcmp(argv[i], ":") != 0 && k < MOST_ARGS - 3)
            inits[n].argv[k++] = argv[i++];
        i++;
        inits[n].argv[k++] = own;
        inits[n].argv[k++] = is_one_start ? catch_many : catch_one;
    }
    rounds = rounds > 4096 ? 4096 : rounds;
    size_t came[MOST_INITS] = { 0 };
    for (size_t i = 0; is_one_start && i < n; i++)
        came[i] = many_terms(&inits[i], rounds);
    for (size_t r = 0; !is_one_start && r < rounds; r++)
        for (size_t i = 0; i < n; i++)
            inits[i].took[came[i]++] = one_term(&inits[i]);
    for (size_t i = 0; i < n; i++) {
        qsort(inits[i].took, came[i], sizeof inits[i].took[0], by_size);
        printf("%-12s median %.0f us, p90 %.0f us of %zu\n", inits[i].name, (double) inits[i].took[came[i] / 2] / 1e3, (double) inits[i].took[came[i] * 9 / 10] / 1e3, came[i]);
    }
    return 0;
}

static int ask(uint16_t port, size_t n) {
    static uint64_t took[MOST];
    static const char request[] = "GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    for (size_t i = 0; i < n; i++) {
        char text[512];
        uint64_t begun = now_ns();
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connect(fd, (const struct sockaddr *) &to, sizeof to) < 0 || write(fd, request, sizeof request - 1) < 0 || read(fd, text, sizeof text) <= 0)
            fail("ask");
        took[i] = now_ns() - begun;
        close(fd);
        nap_us(10000);
    }
    qsort(took, n, sizeof took[0], by_size);
    printf("median %.2f ms, p99 %.2f ms of %zu\n", (double) took[n / 2] / 1e6, (double) took[n * 99 / 100] / 1e6, n);
    return 0;
}

int main(int argc, char **argv) {
    const char *mode = argc > 1 ? argv[1] : "";
    size_t n = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
    n = n > MOST ? MOST : n;
    if (strcmp(mode, "catch") == 0)
        return catch_term();
    if (strcmp(mode, "catch-all") == 0)
        return catch_all();
    if (strcmp(mode, "at-once") == 0)
        return at_once(n);
    if (strcmp(mode, "one-by-one") == 0)
        return one_by_one(n);
    if (strcmp(mode, "stamp") == 0 && argc > 2)
        return stamp(argv[2]);
    if ((strcmp(mode, "term") == 0 || strcmp(mode, "terms") == 0) && argc > 3)
        return term(argc, argv, mode[4] == 's');
    if (strcmp(mode, "ask") == 0 && argc > 3)
        return ask((uint16_t) n, strtoul(argv[3], NULL, 10));
    fprintf(stderr, "init-bench: at-once, one-by-one, term, terms, stamp or ask\n");
    return 64;
}

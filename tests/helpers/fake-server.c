/* fake-server.c - a server that misbehaves on command, for the stories of process 1. A program, not a mock: real sockets,
 * real signals, real processes. Needs the C library alone.
 *
 *   where it listens   --listen PORT          on 127.0.0.1 (0: any; "listening PORT" is printed)
 *                      --fd                   the first descriptor of LISTEN_FDS
 *                      (neither: it listens nowhere)
 *   when it is ready   --ready-after MS       /health answers 503 until then, 200 after (default 0)
 *                      --never-ready          503 for ever
 *                      --refuse-until MS      does not even listen before
 *   how it ends        --exit-after MS        after the start; --code N is the status (default 0), --signal N instead of it
 *                      --crash-on PATH        a request for PATH ends it like --exit-after 0
 *                      --crash-first N        with --counter FILE: the first N starts end at once, later ones serve
 *                      --ignore-term          TERM is printed and ignored
 *                      --drain-ms MS          on TERM: go on for this long, then exit 0 (default 0)
 *                      --term-code N          status after TERM (default 0)
 *   health later       --unhealthy-after MS   /health 503 again, from the start counted
 *                      --hang-after MS        accepts and never answers; --hang-health is --hang-after 0
 *                      --drip                 answers one byte a second
 *                      --endless              an endless header
 *   what it says       --say LINE             at the start, on standard output; may be repeated
 *                      --say-err LINE         the same on standard error
 *                      --say-every MS         one --say a period instead of all at once; the last one is repeated
 *                      --flood BYTES          that much numbered output at once, then go on
 *                      --reopen               writes "reopened" through /dev/stdout
 *   what it tells      --notify               READY=1 when ready, STOPPING=1 on TERM (control pair or NOTIFY_SOCKET)
 *                      --notify-status TEXT   STATUS=TEXT at the start
 *                      --notify-once TEXT     says TEXT and ends in the same breath, as `systemd-notify --no-block` does
 *                      --progress MS          X_HOLDFAST_PROGRESS=n/100 each MS until ready
 *                      --cause "ID TEXT"      X_HOLDFAST_CAUSE before it ends by itself
 *   what it does       --counter FILE         appends "start MONOTONIC_MS PID" at the start
 *                      --spawn-helpers N      N children in sessions of their own; "helper PID" each
 *                      --helper-ms MS         they need this long after TERM (default 0), then append "helper-done PID" to --counter
 *                      --helper-ignore-term   only KILL ends them
 *                      --orphans N            N grandchildren whose parent is gone, ending at once
 *                      --lock FILE            takes a lock that its helpers inherit; "locked" or "lock busy"
 *                      --eat-memory BYTES     touched in steps of 1 MiB, 1 ms each
 *                      --print-env NAME       "env NAME=value" or "env NAME unset"
 *                      --print-signals        "signal N" for each one it gets; real-time ones too
 *   escapes            --try-connect HOST:PORT  --try-exec PATH  --try-read PATH  --try-write PATH  --try-socket
 *                      each prints "try-WHAT TARGET: ok" or "...: errno text" on standard output at the start
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NEVER UINT64_MAX
#define MANY 64

struct list {
    const char *at[MANY];
    size_t n;
};

struct conn {
    int fd;
    size_t n, sent;
    char in[2048];
    bool is_dripping, is_endless;
};

static struct {
    int port, listen_fd, control_fd;
    bool from_fd, is_never_ready, ignores_term, drips, is_endless, notifies, helper_ignores, prints_signals, reopens, tries_socket;
    uint64_t ready_after, refuse_until, exit_after, drain_ms, unhealthy_after, hang_after, say_every, flood, progress_ms, helper_ms, eat;
    uint64_t n_helpers, n_orphans, crash_first;
    int code, signal, term_code;
    const char *crash_on, *notify_status, *notify_once, *cause, *counter, *lock;
    struct list say, say_err, env, connect, exec, read, write;
} f = { .port = -1, .listen_fd = -1, .control_fd = -1, .exit_after = NEVER, .unhealthy_after = NEVER, .hang_after = NEVER };

static uint64_t begun_ms;
static uint64_t stop_at = NEVER;
static bool is_told_ready;
static struct conn conns[MANY];

static uint64_t now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t) t.tv_sec * 1000 + (uint64_t) t.tv_nsec / 1000000;
}

static void fail(const char *what, const char *with) {
    fprintf(stderr, "fake-server: %s %s: %s\n", what, with, strerror(errno));
    _exit(99);
}

/* ---- telling ---- */

__attribute__((format(printf, 1, 2))) static void tell(const char *format, ...) {
    char text[1024];
    va_list args;
    va_start(args, format);
    const int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    const char *path = getenv("NOTIFY_SOCKET");
    if (n <= 0)
        return;
    if (f.control_fd >= 0) {
        (void) !send(f.control_fd, text, (size_t) n, MSG_NOSIGNAL);
        return;
    }
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    if (!path || strlen(path) >= sizeof a.sun_path)
        return;
    memcpy(a.sun_path, path, strlen(path) + 1);
    const socklen_t bytes = (socklen_t) (offsetof(struct sockaddr_un, sun_path) + strlen(path) + (path[0] != '@'));
    if (path[0] == '@')
        a.sun_path[0] = '\0';
    const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || sendto(fd, text, (size_t) n, MSG_NOSIGNAL, (struct sockaddr *) &a, bytes) < 0)
        fprintf(stderr, "fake-server: notify: %s\n", strerror(errno));
    if (fd >= 0)
        close(fd);
}

static void count(const char *what, pid_t pid) {
    if (!f.counter)
        return;
    const int fd = open(f.counter, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (fd < 0)
        fail("open", f.counter);
    dprintf(fd, "%s %" PRIu64 " %d\n", what, now_ms(), (int) pid);
    close(fd);
}

static unsigned starts_so_far(void) {
    FILE *in = f.counter ? fopen(f.counter, "re") : NULL;
    char line[128];
    unsigned n = 0;
    while (in && fgets(line, sizeof line, in))
        n += strncmp(line, "start ", 6) == 0;
    if (in)
        fclose(in);
    return n;
}

static void end(void) {
    if (f.cause)
        tell("X_HOLDFAST_CAUSE=%s", f.cause);
    fflush(stdout);
    if (f.signal != 0) {
        signal(f.signal, SIG_DFL);
        sigset_t all;
        sigemptyset(&all);
        sigprocmask(SIG_SETMASK, &all, NULL);
        const struct rlimit none = { 0, 0 };
        setrlimit(RLIMIT_CORE, &none);
        raise(f.signal);
    }
    _exit(f.code);
}

/* ---- what it does once ---- */

static void helper(void) {
    setsid();
    sigset_t term;
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    sigprocmask(SIG_BLOCK, &term, NULL);
    int sig = 0;
    do
        sigwait(&term, &sig);
    while (f.helper_ignores);
    poll(NULL, 0, (int) f.helper_ms);
    count("helper-done", getpid());
    _exit(0);
}

static void spawn_helpers(void) {
    for (uint64_t i = 0; i < f.n_helpers; i++) {
        const pid_t pid = fork();
        if (pid == 0)
            helper();
        printf("helper %d\n", (int) pid);
    }
    for (uint64_t i = 0; i < f.n_orphans; i++) {
        const pid_t pid = fork();
        if (pid == 0) {
            if (fork() == 0)
                poll(NULL, 0, 1);
            _exit(0);
        }
        if (pid > 0)
            waitpid(pid, NULL, 0);
    }
}

static void take_lock(void) {
    const int fd = open(f.lock, O_RDWR | O_CREAT, 0666); /* kept over exec and fork on purpose */
    if (fd < 0)
        fail("open", f.lock);
    printf(flock(fd, LOCK_EX | LOCK_NB) == 0 ? "locked\n" : "lock busy\n");
}

static void eat_memory(void) {
    for (uint64_t eaten = 0; eaten < f.eat; eaten += 1 << 20) {
        char *p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED)
            fail("map", "memory");
        memset(p, 0x5a, 1 << 20);
        poll(NULL, 0, 1);
    }
    printf("ate %" PRIu64 "\n", f.eat);
}

static void flood(void) {
    char line[128];
    for (uint64_t done = 0, i = 0; done < f.flood; i++) {
        const int n = snprintf(line, sizeof line, "flood %012" PRIu64 " %080d\n", i, 0);
        for (int at = 0; at < n;) {
            const ssize_t wrote = write(1, line + at, (size_t) (n - at));
            if (wrote < 0)
                fail("write", "standard output");
            at += (int) wrote;
        }
        done += (uint64_t) n;
    }
}

static void result(const char *what, const char *target, bool is_ok) {
    printf("try-%s %s: %s\n", what, target, is_ok ? "ok" : strerror(errno));
}

static void try_connect(const char *target) {
    char host[64];
    const char *colon = strrchr(target, ':');
    struct sockaddr_in a = { .sin_family = AF_INET };
    snprintf(host, sizeof host, "%.*s", colon ? (int) (colon - target) : 0, target);
    a.sin_port = htons((uint16_t) (colon ? atoi(colon + 1) : 0));
    errno = EINVAL;
    const int fd = inet_pton(AF_INET, host, &a.sin_addr) == 1 ? socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) : -1;
    result("connect", target, fd >= 0 && connect(fd, (struct sockaddr *) &a, sizeof a) == 0);
    if (fd >= 0)
        close(fd);
}

static void try_exec(const char *target) {
    int pair[2];
    if (pipe2(pair, O_CLOEXEC) < 0)
        fail("pipe", "exec");
    const pid_t pid = fork();
    if (pid < 0) {
        result("exec", target, false);
        return;
    }
    if (pid == 0) {
        execl(target, target, (char *) NULL);
        const int sys = errno;
        (void) !write(pair[1], &sys, sizeof sys);
        _exit(1);
    }
    int sys = 0;
    close(pair[1]);
    const ssize_t n = read(pair[0], &sys, sizeof sys);
    close(pair[0]);
    int status = 0;
    waitpid(pid, &status, 0);
    errno = n > 0 ? sys : WIFSIGNALED(status) ? EPERM : 0;
    result("exec", target, errno == 0);
}

static void try_open(const char *what, const char *target, int flags) {
    char byte;
    const int fd = open(target, flags | O_CLOEXEC, 0600);
    result(what, target, fd >= 0 && ((flags & O_WRONLY) || read(fd, &byte, 1) >= 0));
    if (fd >= 0)
        close(fd);
}

static void tries(void) {
    for (size_t i = 0; i < f.connect.n; i++)
        try_connect(f.connect.at[i]);
    for (size_t i = 0; i < f.exec.n; i++)
        try_exec(f.exec.at[i]);
    for (size_t i = 0; i < f.read.n; i++)
        try_open("read", f.read.at[i], O_RDONLY);
    for (size_t i = 0; i < f.write.n; i++)
        try_open("write", f.write.at[i], O_WRONLY | O_CREAT);
    if (f.tries_socket) {
        const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        result("socket", "inet", fd >= 0);
        if (fd >= 0)
            close(fd);
    }
}

/* ---- serving ---- */

static void start_listening(void) {
    if (f.from_fd) {
        const char *n = getenv("LISTEN_FDS"), *pid = getenv("LISTEN_PID");
        if (!n || atoi(n) < 1 || !pid || atoi(pid) != (int) getpid()) {
            fprintf(stderr, "fake-server: no LISTEN_FDS for me\n");
            _exit(98);
        }
        f.listen_fd = 3;
        fcntl(3, F_SETFL, fcntl(3, F_GETFL) | O_NONBLOCK);
        return;
    }
    if (f.port < 0)
        return;
    const int one = 1;
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t) f.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t n = sizeof a;
    f.listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    setsockopt(f.listen_fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (f.listen_fd < 0 || bind(f.listen_fd, (struct sockaddr *) &a, n) < 0 || listen(f.listen_fd, 64) < 0) {
        fprintf(stderr, "OSError: [Errno 98] listen: %s\n", strerror(errno));
        _exit(97);
    }
    getsockname(f.listen_fd, (struct sockaddr *) &a, &n);
    printf("listening %u\n", ntohs(a.sin_port));
}

static bool is_ready(uint64_t at) {
    return !f.is_never_ready && at >= f.ready_after && at < f.unhealthy_after && stop_at == NEVER;
}

static void answer(struct conn *c, uint64_t at) {
    char path[256] = "", text[512];
    if (sscanf(c->in, "%*15s %255s", path) != 1)
        path[0] = '\0';
    if (at >= f.hang_after)
        return; /* taken, never answered */
    if (f.crash_on && strcmp(path, f.crash_on) == 0)
        end();
    if (f.drips || f.is_endless) {
        c->is_dripping = f.drips;
        c->is_endless = f.is_endless;
        (void) !send(c->fd, "HTTP/1.1 ", f.is_endless ? 9 : 1, MSG_NOSIGNAL);
        return;
    }
    const bool is_ok = is_ready(at) || strcmp(path, "/health") != 0;
    const int n = snprintf(text, sizeof text, "HTTP/1.1 %s\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s %d\n",
                           is_ok ? "200 OK" : "503 Service Unavailable", (is_ok ? 2u : 5u) + 1u + (size_t) snprintf(NULL, 0, "%d", (int) getpid()) + 1u,
                           is_ok ? "ok" : "wait:", (int) getpid());
    (void) !send(c->fd, text, (size_t) n, MSG_NOSIGNAL);
    close(c->fd);
    c->fd = -1;
}

static void on_conn(struct conn *c, uint64_t at) {
    const ssize_t n = recv(c->fd, c->in + c->n, sizeof c->in - 1 - c->n, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        close(c->fd);
        c->fd = -1;
        return;
    }
    c->n += (size_t) n;
    c->in[c->n] = '\0';
    if (strstr(c->in, "\r\n\r\n") || c->n >= sizeof c->in - 1)
        answer(c, at);
}

static void on_listen(void) {
    const int fd = accept4(f.listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return;
    for (size_t i = 0; i < MANY; i++)
        if (conns[i].fd < 0) {
            conns[i] = (struct conn) { .fd = fd };
            return;
        }
    close(fd);
}

static void on_signal(int fd, uint64_t at) {
    struct signalfd_siginfo s;
    if (read(fd, &s, sizeof s) != (ssize_t) sizeof s)
        return;
    if (f.prints_signals)
        printf("signal %u\n", s.ssi_signo);
    if (s.ssi_signo == SIGCHLD) {
        while (waitpid(-1, NULL, WNOHANG) > 0)
            ;
        return;
    }
    if (s.ssi_signo != SIGTERM && s.ssi_signo != SIGINT)
        return;
    if (f.ignores_term) {
        printf("ignored %u\n", s.ssi_signo);
        return;
    }
    if (stop_at == NEVER) {
        if (f.notifies)
            tell("STOPPING=1");
        printf("stopping\n");
        stop_at = at + f.drain_ms;
    }
}

/* All 64 where they are printed: the C library's calls would leave 32 and 33 out. */
static int open_signals(void) {
    sigset_t set;
    enum { KERNEL_BYTES = 8 };
    memset(&set, 0xff, sizeof set);
    if (!f.prints_signals) {
        sigemptyset(&set);
        sigaddset(&set, SIGTERM);
        sigaddset(&set, SIGINT);
        sigaddset(&set, SIGCHLD);
    }
    syscall(SYS_rt_sigprocmask, SIG_BLOCK, &set, NULL, KERNEL_BYTES);
    const int fd = (int) syscall(SYS_signalfd4, -1, &set, KERNEL_BYTES, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0)
        fail("signalfd", "");
    return fd;
}

/* ---- time ---- */

static size_t n_said;
static uint64_t n_progress;

/* Does what is due at `at` (ms since the start) and returns when the next thing is. */
static uint64_t on_time(uint64_t at) {
    uint64_t next = NEVER;
#define WAKE(t) ((t) < next ? next = (t) : next)
    if (at >= f.exit_after)
        end();
    if (at >= stop_at) {
        fflush(stdout);
        _exit(f.term_code);
    }
    WAKE(f.exit_after);
    WAKE(stop_at);
    if (f.listen_fd < 0 && (f.port >= 0 || f.from_fd)) {
        if (at >= f.refuse_until)
            start_listening();
        else
            WAKE(f.refuse_until);
    }
    if (f.notifies && !is_told_ready) {
        if (is_ready(at)) {
            is_told_ready = true;
            tell("READY=1");
            printf("told ready\n");
        } else if (at < f.ready_after) {
            WAKE(f.ready_after);
        }
    }
    if (f.progress_ms != 0 && (at < f.ready_after || f.is_never_ready)) {
        while (at >= n_progress * f.progress_ms)
            tell("X_HOLDFAST_PROGRESS=%" PRIu64 "/100000", ++n_progress);
        WAKE(n_progress * f.progress_ms);
    }
    if (f.say_every != 0 && f.say.n > 0) {
        for (; at >= n_said * f.say_every; n_said++)
            printf("%s\n", f.say.at[n_said < f.say.n ? n_said : f.say.n - 1]);
        WAKE(n_said * f.say_every);
    }
    for (size_t i = 0; i < MANY; i++)
        if (conns[i].fd >= 0 && (conns[i].is_dripping || conns[i].is_endless)) {
            static const char drip[] = "HTTP/1.1 200 OK\r\n\r\n";
            char junk[4096];
            memset(junk, 'h', sizeof junk);
            if (conns[i].is_endless)
                (void) !send(conns[i].fd, junk, sizeof junk, MSG_NOSIGNAL | MSG_DONTWAIT);
            else if (at >= (conns[i].sent + 1) * 1000)
                (void) !send(conns[i].fd, &drip[1 + conns[i].sent++ % (sizeof drip - 2)], 1, MSG_NOSIGNAL | MSG_DONTWAIT);
            WAKE(at + (conns[i].is_endless ? 1 : 200));
        }
    return next;
}

static void serve(int signal_fd) {
    for (;;) {
        const uint64_t at = now_ms() - begun_ms;
        const uint64_t next = on_time(at);
        struct pollfd p[MANY + 2];
        nfds_t n = 0;
        p[n++] = (struct pollfd) { .fd = signal_fd, .events = POLLIN };
        p[n++] = (struct pollfd) { .fd = f.listen_fd, .events = POLLIN };
        for (size_t i = 0; i < MANY; i++)
            p[n++] = (struct pollfd) { .fd = conns[i].fd, .events = POLLIN };
        fflush(stdout);
        const uint64_t wait = next == NEVER ? NEVER : next > at ? next - at : 0;
        if (poll(p, n, wait == NEVER ? -1 : (int) (wait > 3600000 ? 3600000 : wait)) < 0 && errno != EINTR)
            fail("poll", "");
        const uint64_t then = now_ms() - begun_ms;
        if (p[0].revents)
            on_signal(signal_fd, then);
        for (size_t i = 0; i < MANY; i++)
            if (conns[i].fd >= 0 && p[i + 2].fd == conns[i].fd && p[i + 2].revents)
                on_conn(&conns[i], then);
        if (f.listen_fd >= 0 && p[1].revents)
            on_listen();
    }
}

/* ---- options ---- */

static void add(struct list *l, const char *value) {
    if (l->n == MANY)
        fail("too many", value);
    l->at[l->n++] = value;
}

static uint64_t number(const char *text) {
    char *rest;
    errno = EINVAL;
    const uint64_t value = strtoull(text, &rest, 10);
    if (*rest != '\0' || rest == text)
        fail("not a number:", text);
    return value;
}

static bool take_flag(const char *a) {
    const struct {
        const char *name;
        bool *field;
    } flags[] = {
        { "--fd", &f.from_fd }, { "--never-ready", &f.is_never_ready }, { "--ignore-term", &f.ignores_term }, { "--drip", &f.drips },
        { "--endless", &f.is_endless }, { "--notify", &f.notifies }, { "--helper-ignore-term", &f.helper_ignores },
        { "--print-signals", &f.prints_signals }, { "--reopen", &f.reopens }, { "--try-socket", &f.tries_socket },
    };
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++)
        if (strcmp(a, flags[i].name) == 0)
            return *flags[i].field = true;
    if (strcmp(a, "--hang-health") == 0) {
        f.hang_after = 0;
        return true;
    }
    return false;
}

static bool take_value(const char *a, const char *v) {
    const struct {
        const char *name;
        uint64_t *field;
    } numbers[] = {
        { "--ready-after", &f.ready_after }, { "--refuse-until", &f.refuse_until }, { "--exit-after", &f.exit_after },
        { "--drain-ms", &f.drain_ms }, { "--unhealthy-after", &f.unhealthy_after }, { "--hang-after", &f.hang_after },
        { "--say-every", &f.say_every }, { "--flood", &f.flood }, { "--progress", &f.progress_ms }, { "--helper-ms", &f.helper_ms },
        { "--eat-memory", &f.eat }, { "--spawn-helpers", &f.n_helpers }, { "--orphans", &f.n_orphans }, { "--crash-first", &f.crash_first },
    };
    const struct {
        const char *name;
        int *field;
    } ints[] = { { "--listen", &f.port }, { "--code", &f.code }, { "--signal", &f.signal }, { "--term-code", &f.term_code } };
    const struct {
        const char *name;
        const char **field;
    } texts[] = { { "--crash-on", &f.crash_on }, { "--notify-status", &f.notify_status }, { "--notify-once", &f.notify_once }, { "--cause", &f.cause }, { "--counter", &f.counter }, { "--lock", &f.lock } };
    const struct {
        const char *name;
        struct list *field;
    } lists[] = {
        { "--say", &f.say }, { "--say-err", &f.say_err }, { "--print-env", &f.env }, { "--try-connect", &f.connect },
        { "--try-exec", &f.exec }, { "--try-read", &f.read }, { "--try-write", &f.write },
    };
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (strcmp(a, numbers[i].name) == 0) {
            *numbers[i].field = number(v);
            return true;
        }
    for (size_t i = 0; i < sizeof ints / sizeof ints[0]; i++)
        if (strcmp(a, ints[i].name) == 0) {
            *ints[i].field = (int) number(v);
            return true;
        }
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (strcmp(a, texts[i].name) == 0) {
            *texts[i].field = v;
            return true;
        }
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        if (strcmp(a, lists[i].name) == 0) {
            add(lists[i].field, v);
            return true;
        }
    return false;
}

int main(int argc, char **argv) {
    begun_ms = now_ms();
    for (int i = 1; i < argc; i++) {
        if (take_flag(argv[i]))
            continue;
        if (i + 1 < argc && take_value(argv[i], argv[i + 1])) {
            i++;
            continue;
        }
        fprintf(stderr, "fake-server: unknown '%s'; the head of tests/helpers/fake-server.c lists all\n", argv[i]);
        return 96;
    }
    for (size_t i = 0; i < MANY; i++)
        conns[i].fd = -1;
    const char *control = getenv("HOLDFAST_CONTROL_FD");
    if (control)
        f.control_fd = atoi(control);
    if (f.notify_once) {
        tell("%s", f.notify_once);
        _exit(0);
    }
    const int signal_fd = open_signals();
    const unsigned before = starts_so_far();
    count("start", getpid());
    if (f.notify_status)
        tell("STATUS=%s", f.notify_status);
    for (size_t i = 0; f.say_every == 0 && i < f.say.n; i++)
        printf("%s\n", f.say.at[i]);
    for (size_t i = 0; i < f.say_err.n; i++)
        fprintf(stderr, "%s\n", f.say_err.at[i]);
    for (size_t i = 0; i < f.env.n; i++) {
        const char *value = getenv(f.env.at[i]);
        printf(value ? "env %s=%s\n" : "env %s unset\n", f.env.at[i], value ? value : "");
    }
    fflush(stdout);
    if (f.lock)
        take_lock();
    tries();
    fflush(stdout);
    spawn_helpers();
    fflush(stdout);
    if (before < f.crash_first)
        end();
    if (f.reopens) {
        FILE *again = fopen("/dev/stdout", "we");
        if (!again)
            printf("reopen: %s\n", strerror(errno));
        else {
            fprintf(again, "reopened\n");
            fclose(again);
        }
    }
    if (f.flood != 0)
        flood();
    if (f.eat != 0)
        eat_memory();
    serve(signal_fd);
}

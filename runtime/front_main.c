/* front_main.c - the order of life of the front. Floor: runtime. */
#include "runtime/roles.h"

#include "base/auto.h"
#include "base/exit.h"
#include "base/log.h"
#include "base/notify.h"
#include "base/num.h"
#include "runtime/config.h"
#include "runtime/serve/front.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>

extern char **environ;

/* A link that broke while process 1 believes that everything serves: nobody would make a new one. */
#define UNPAIRED_MS 10000u
/* After a stop, with nothing left to compute: how long clients have to bring the rest of a request or to take the rest of an
 * answer. Without an end to it one of them that stands still would hold up every shutdown until the KILL. */
#define LINGER_MS 2000u

struct life {
    struct hold_front *front;
    int control_fd, signal_fd;
    bool is_stopping, says_ready; /* says_ready: the last phase that process 1 told was "ready" */
    uint64_t n_stops, unpaired_ms; /* since when unpaired although ready; 0: not so */
    uint64_t idle_ms;              /* stopping: since when nothing is computed; 0: not so */
    size_t told_inflight;
    uint64_t watchdog_ms, barked_ms;
};

static uint64_t now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t) t.tv_sec * 1000 + (uint64_t) t.tv_nsec / 1000000;
}

/* "127.0.0.1:8000", "[::]:8000": a numeric address and a port. */
static int listen_by_hand(const char *address, int *ret_fd, struct hold_err *err) {
    char host[64] = "";
    const char *colon = strrchr(address, ':');
    struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE, .ai_socktype = SOCK_STREAM }, *found = NULL;

    if (!colon || (size_t) (colon - address) >= sizeof host)
        return hold_fail(err, HOLD_E_CONFIG, 0, "listen '%s': wanted ADDRESS:PORT", address);
    size_t n = (size_t) (colon - address);
    if (n >= 2 && address[0] == '[' && address[n - 1] == ']')
        memcpy(host, address + 1, n - 2);
    else
        memcpy(host, address, n);
    int refused = getaddrinfo(host[0] ? host : "::", colon + 1, &hints, &found);
    if (refused)
        return hold_fail(err, HOLD_E_CONFIG, 0, "listen '%s': %s", address, gai_strerror(refused));
    hold_autofd fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int one = 1, failed = fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0 ||
                          bind(fd, found->ai_addr, found->ai_addrlen) < 0 || listen(fd, 512) < 0;
    int why = errno;
    freeaddrinfo(found);
    if (failed)
        return hold_fail(err, HOLD_E_IO, why, "listen '%s'", address);
    *ret_fd = hold_take_fd(&fd);
    return 0;
}

static int open_plan_by_hand(struct hold_front *front, const char *path, struct hold_err *err) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return hold_fail(err, HOLD_E_IO, errno, "plan '%s'", path);
    return hold_front_plan(front, fd, false, err);
}

/* One message of process 1. A descriptor that is taken leaves the message. */
static void obey(struct life *life, struct hold_notify *m) {
    struct hold_err err = { 0 };
    char phase[64] = "";
    uint64_t generation, done = 0, total = 0;

    if (hold_notify_str(m, "PHASE", phase, sizeof phase))
        life->says_ready = strcmp(phase, "ready") == 0;
    (void) hold_notify_ratio(m, "PROGRESS", &done, &total);
    hold_front_phase(life->front, phase, done, total);
    if (hold_notify_find(m, "PLAN", &(const char *) { NULL }, &(size_t) { 0 }) && m->n_fds >= 1 &&
        hold_front_plan(life->front, hold_take_fd(&m->fds[0]), true, &err) < 0)
        hold_log_err(&err);
    if (hold_notify_u64(m, "GEN", &generation) && m->n_fds >= 2 &&
        hold_front_pair(life->front, generation, hold_take_fd(&m->fds[0]), hold_take_fd(&m->fds[1]), &err) < 0)
        hold_log_err(&err);
    for (size_t i = 0; i < m->n_fds; i++)
        hold_close_fd(&m->fds[i]);
}

static void stop(struct life *life) {
    life->n_stops++;
    if (life->is_stopping)
        return;
    life->is_stopping = true;
    hold_log(HOLD_LV_INFO, HOLD_EV_STOP, HOLD_LU("inflight", hold_front_inflight(life->front)));
    hold_control_say(life->control_fd, "STOPPING=1");
    hold_front_drain(life->front);
}

static void hear(struct life *life) {
    struct hold_notify m;
    struct hold_err err = { 0 };
    int got;

    while (life->control_fd >= 0 && (got = hold_notify_recv(life->control_fd, &m, &err)) != 0) {
        if (got > 0) {
            obey(life, &m);
            continue;
        }
        hold_close_fd(&life->control_fd); /* process 1 is gone: nobody will ever stop or pair this front */
        stop(life);
    }
}

static void see_signals(struct life *life) {
    struct signalfd_siginfo si;
    while (read(life->signal_fd, &si, sizeof si) == (ssize_t) sizeof si)
        stop(life);
}

static bool is_stranded(struct life *life, uint64_t now) {
    bool writes;
    bool is_odd = life->control_fd >= 0 && life->says_ready && hold_front_link_fd(life->front, &writes) < 0;
    if (!is_odd)
        life->unpaired_ms = 0;
    else if (!life->unpaired_ms)
        life->unpaired_ms = now;
    return is_odd && now - life->unpaired_ms >= UNPAIRED_MS;
}

static void tell(struct life *life, uint64_t now) {
    size_t n = hold_front_inflight(life->front);
    if (life->is_stopping && n != life->told_inflight) {
        life->told_inflight = n;
        hold_control_say(life->control_fd, "X_HOLDFAST_INFLIGHT=%zu", n);
    }
    if (life->watchdog_ms && now - life->barked_ms >= life->watchdog_ms / 2) {
        life->barked_ms = now;
        hold_control_say(life->control_fd, "WATCHDOG=1");
    }
}

/* Stopping, and nothing more will come of waiting. */
static bool is_done(struct life *life, uint64_t now) {
    if (!life->is_stopping)
        return false;
    if (hold_front_inflight(life->front) == 0 || life->n_stops > 1)
        return true;
    if (hold_front_working(life->front) > 0)
        life->idle_ms = 0;
    else if (!life->idle_ms)
        life->idle_ms = now;
    return life->idle_ms && now - life->idle_ms >= LINGER_MS;
}

static int wait_ms(const struct life *life) {
    int ms = hold_front_timeout_ms(life->front);
    if (life->watchdog_ms && (ms < 0 || ms > (int) (life->watchdog_ms / 4)))
        ms = (int) (life->watchdog_ms / 4);
    if ((life->unpaired_ms || life->idle_ms) && (ms < 0 || ms > 500))
        ms = 500;
    return ms;
}

/* Until the last stream is out after a stop, or a second stop. */
static int live(struct life *life) {
    for (;;) {
        bool writes;
        int link_fd = hold_front_link_fd(life->front, &writes);
        struct pollfd fds[] = {
            { .fd = life->signal_fd, .events = POLLIN },
            { .fd = life->control_fd, .events = POLLIN },
            { .fd = link_fd, .events = (short) (POLLIN | (writes ? POLLOUT : 0)) },
            { .fd = hold_front_http_fd(life->front), .events = POLLIN },
        };
        if (poll(fds, 4, wait_ms(life)) < 0 && errno != EINTR)
            return HOLD_EXIT_INTERNAL;
        uint64_t now = now_ms();
        see_signals(life);
        hear(life);
        hold_front_run(life->front, now, (uint64_t) time(NULL));
        tell(life, now);
        if (is_done(life, now))
            return 0;
        if (is_stranded(life, now)) {
            hold_control_say(life->control_fd, "X_HOLDFAST_CAUSE=internal the pairing broke and no new one came");
            return HOLD_EXIT_INTERNAL;
        }
    }
}

static int run(const struct hold_rt_config *config, struct life *life, struct hold_err *err) {
    const struct hold_front_config front = {
        .served_names = config->served_names,
        .api_key = config->api_key,
        .root = config->model_dir,
        .version = HOLD_VERSION,
        .format = (enum hold_content_format) config->content_format,
        .parses_special = config->parse_special,
        .max_body_bytes = config->max_body_bytes,
        .max_total_bytes = config->max_total_bytes,
        .max_connections = (uint32_t) config->max_connections,
        .idle_s = (uint32_t) (config->idle_ms / 1000),
        .max_requests = (uint32_t) config->max_requests,
        .max_images = (uint32_t) config->max_images,
        .max_pixels = config->max_pixels,
    };
    int listen_fd = hold_handed_fd("api"), plan_fd = hold_handed_fd("plan");

    if (listen_fd < 0 && config->listen[0] == 0)
        return hold_fail(err, HOLD_E_CONFIG, 0, "no socket was handed over and --listen is not set");
    if (listen_fd < 0 && listen_by_hand(config->listen, &listen_fd, err) < 0)
        return -1;
    if (hold_front_open(&front, listen_fd, (uint64_t) time(NULL), &life->front, err) < 0)
        return -1;
    if (plan_fd >= 0 && hold_front_plan(life->front, plan_fd, true, err) < 0)
        return -1;
    if (config->plan[0] && open_plan_by_hand(life->front, config->plan, err) < 0)
        return -1;
    hold_log(HOLD_LV_INFO, HOLD_EV_LISTEN, HOLD_LS("role", "front"));
    hold_control_say(life->control_fd, "READY=1");
    int status = live(life);
    hold_front_close(&life->front);
    return status;
}

int hold_front_main(int argc, char **argv) {
    struct hold_rt_config config;
    struct hold_rt_store store = { 0 };
    struct hold_err err = { 0 };
    struct life life = { .control_fd = -1, .signal_fd = -1 };
    uint64_t usec;
    sigset_t signals;

    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    if (sigprocmask(SIG_BLOCK, &signals, NULL) < 0 || (life.signal_fd = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC)) < 0)
        return HOLD_EXIT_INTERNAL;
    (void) sigaction(SIGPIPE, &(struct sigaction) { .sa_handler = SIG_IGN }, NULL);
    hold_log_open("front", isatty(STDERR_FILENO) == 1);
    life.control_fd = hold_control_take();
    if (hold_watchdog_usec(&usec) && usec >= 1000)
        life.watchdog_ms = usec / 1000;
    if (hold_rt_config_load(argc, argv, (const char *const *) environ, &config, &store, &err) < 0) {
        hold_log_err(&err);
        hold_control_say(life.control_fd, "X_HOLDFAST_CAUSE=config %s", err.text);
        hold_rt_store_release(&store);
        return HOLD_EXIT_CONFIG;
    }
    int status = run(&config, &life, &err);
    if (status < 0) {
        status = err.code == HOLD_E_CONFIG ? HOLD_EXIT_CONFIG : err.code == HOLD_E_IO ? HOLD_EXIT_LISTEN : HOLD_EXIT_INTERNAL;
        hold_log_err(&err);
        hold_control_say(life.control_fd, "X_HOLDFAST_CAUSE=%s %s", status == HOLD_EXIT_CONFIG ? "config" : status == HOLD_EXIT_LISTEN ? "listen" : "internal",
                         err.text);
        hold_front_close(&life.front);
    }
    hold_rt_store_release(&store);
    hold_close_fd(&life.signal_fd);
    return status;
}

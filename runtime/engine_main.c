/* engine_main.c - the order of life of the engine. Floor: runtime. */
#include "runtime/roles.h"

#include "base/auto.h"
#include "base/exit.h"
#include "base/list.h"
#include "base/log.h"
#include "base/map.h"
#include "base/notify.h"
#include "base/num.h"
#include "runtime/config.h"
#include "runtime/engine/device.h"
#include "runtime/engine/engine.h"
#include "runtime/engine/fit.h"
#include "runtime/engine/load.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

extern char **environ;

/* A stop may be delivered to any thread of the pool, so it is caught, not blocked: it ends a life that has no engine yet at
 * once, and later it is a number that the loop reads. */
static volatile sig_atomic_t is_serving;
static int stop_fd = -1;

static void on_stop(int sig) {
    uint64_t one = 1;
    int kept = errno;
    (void) sig;
    if (!is_serving || write(stop_fd, &one, sizeof one) != (ssize_t) sizeof one)
        _exit(0);
    errno = kept;
}

struct life {
    const struct hold_rt_config *config;
    struct hold_err *err;
    int control_fd;
    struct hold_map plan_map;
    struct hold_plan plan;
    struct hold_opened device;
    struct hold_loaded loaded;
    struct hold_engine *engine;
    uint64_t early_generation; /* a pairing that came before the model was there; 0: none */
    int early_fds[2];
    bool is_stopping;
    uint64_t n_stops, began_ms, told_ms, watchdog_ms;
    const char *cause; /* what to tell process 1 when this life fails; set before each step */
    int status;        /* the exit status that goes with it */
};

static uint64_t now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t) t.tv_sec * 1000 + (uint64_t) t.tv_nsec / 1000000;
}

static void blame(struct life *life, const char *cause, int status) {
    life->cause = cause;
    life->status = status;
}

/* ---- the plan ---- */

static int take_plan(struct life *life, int plan_fd, bool is_sealed) {
    hold_autofd fd = plan_fd;
    blame(life, "verify-format", HOLD_EXIT_VERIFY_FORMAT);
    if (hold_map_fd(fd, is_sealed, "plan", &life->plan_map, life->err) < 0 ||
        hold_plan_open(life->plan_map.data, life->plan_map.bytes, &life->plan, life->err) < 0)
        return hold_wrap(life->err, "plan");
    return 0;
}

/* Keeps the newest pairing until there is an engine to take it. */
static void keep_early(struct life *life, struct hold_notify *m) {
    uint64_t generation;
    if (!hold_notify_u64(m, "GEN", &generation) || m->n_fds < 2)
        return;
    for (size_t i = 0; i < 2; i++) {
        hold_close_fd(&life->early_fds[i]);
        life->early_fds[i] = hold_take_fd(&m->fds[i]);
    }
    life->early_generation = generation;
}

/* Process 1 says PLAN=1 with the descriptor. Its end is ours: nobody would ever need this engine. */
static int wait_for_plan(struct life *life) {
    for (;;) {
        struct pollfd p = { .fd = life->control_fd, .events = POLLIN };
        struct hold_notify m;
        if (poll(&p, 1, -1) < 0 && errno != EINTR)
            return hold_fail(life->err, HOLD_E_IO, errno, "wait for the plan");
        int got = hold_notify_recv(life->control_fd, &m, life->err);
        if (got < 0)
            return hold_wrap(life->err, "wait for the plan");
        if (got == 0)
            continue;
        const char *value;
        size_t n;
        bool is_plan = hold_notify_find(&m, "PLAN", &value, &n) && m.n_fds >= 1;
        int fd = is_plan ? hold_take_fd(&m.fds[0]) : -1;
        if (!is_plan)
            keep_early(life, &m);
        for (size_t i = 0; i < m.n_fds; i++)
            hold_close_fd(&m.fds[i]);
        if (is_plan)
            return take_plan(life, fd, true);
    }
}

static int find_plan(struct life *life) {
    int fd = hold_handed_fd("plan");

    blame(life, "config", HOLD_EXIT_CONFIG);
    if (fd >= 0)
        return take_plan(life, fd, true);
    if (life->config->plan[0]) {
        fd = open(life->config->plan, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            return hold_fail(life->err, HOLD_E_IO, errno, "plan '%s'", life->config->plan);
        return take_plan(life, fd, false);
    }
    if (life->control_fd < 0)
        return hold_fail(life->err, HOLD_E_CONFIG, 0, "no process 1 hands a plan over and --plan is not set");
    return wait_for_plan(life);
}

/* ---- device, memory, weights ---- */

static int open_device(struct life *life) {
    const struct hold_rt_config *c = life->config;
    const struct hold_device_wish wish = {
        .backend = hold_rt_device_name(c),
        .library = *c->backend_lib ? c->backend_lib : NULL,
        .options = { .n_threads = (uint32_t) c->n_threads, .is_deterministic = c->is_deterministic, .driver = c->cuda_driver },
    };

    blame(life, "device", HOLD_EXIT_DEVICE);
    if (hold_device_open(&wish, &life->device, life->err) < 0)
        return -1;
    hold_log(HOLD_LV_INFO, HOLD_EV_START, HOLD_LS("device", life->device.caps.name), HOLD_LS("backend", life->device.backend->name),
             HOLD_LS("why", life->device.why));
    return 0;
}

static int choose_dtype(struct life *life, enum hold_dtype *ret) {
    blame(life, "config", HOLD_EXIT_CONFIG);
    switch ((enum hold_rt_dtype) life->config->dtype) {
    case HOLD_RT_DTYPE_AUTO:
    case HOLD_RT_DTYPE_BF16: *ret = HOLD_BF16; return 0;
    case HOLD_RT_DTYPE_F32: *ret = HOLD_F32; return 0;
    case HOLD_RT_DTYPE_INT8: break;
    }
    return hold_fail(life->err, HOLD_E_CONFIG, 0, "--dtype int8 is not there yet; bf16 and f32 are");
}

static uint32_t most_patches(const struct hold_record *r) {
    if (!r->vision_depth)
        return 0;
    uint64_t n = r->max_pixels / r->temporal_patch / ((uint64_t) r->patch * r->patch);
    return (uint32_t) HOLD_MIN(n, (uint64_t) 1 << 20);
}

static int plan_memory(struct life *life, enum hold_dtype act, struct hold_engine_limits *limits) {
    const struct hold_rt_config *c = life->config;
    const struct hold_record *r = life->plan.record;
    struct hold_fit fit;

    *limits = (struct hold_engine_limits) {
        .max_context = (uint32_t) HOLD_MIN(c->max_context, (uint64_t) r->max_positions),
        .max_sessions = (uint32_t) c->max_sessions,
        .max_waiting = (uint32_t) c->max_waiting,
        .max_rows = (uint32_t) (c->chunk_tokens + c->max_sessions),
        .max_patches = most_patches(r),
    };
    const struct hold_fit_need need = {
        .plan = &life->plan,
        .act = act,
        .memory_bytes = c->memory_bytes ? c->memory_bytes : life->device.caps.free_bytes,
        .is_mapped = life->device.caps.is_host,
        .max_context_tokens = limits->max_context,
        .max_seqs = limits->max_sessions,
        .max_rows = limits->max_rows,
        .max_patches = limits->max_patches,
        .cache_bytes = c->cache_bytes,
    };
    blame(life, life->device.caps.is_host ? "memory" : "gpu_oom", HOLD_EXIT_MEMORY);
    if (hold_fit_plan(&need, &fit, life->err) < 0)
        return -1;
    limits->n_pages = fit.n_pages;
    hold_log(HOLD_LV_INFO, HOLD_EV_FIT, HOLD_LU("weights_bytes", fit.weights_bytes), HOLD_LU("mapped_bytes", fit.mapped_bytes),
             HOLD_LU("work_bytes", fit.work_bytes), HOLD_LU("vision_bytes", fit.vision_bytes), HOLD_LU("cache_bytes", fit.cache_bytes),
             HOLD_LU("left_bytes", fit.left_bytes), HOLD_LU("pages", fit.n_pages), HOLD_LU("max_context", limits->max_context));
    return 0;
}

static bool on_progress(void *context, uint64_t done_bytes, uint64_t total_bytes) {
    struct life *life = context;
    uint64_t now = now_ms();
    if (now - life->told_ms >= 100 || done_bytes == total_bytes) {
        life->told_ms = now;
        hold_control_say(life->control_fd, "X_HOLDFAST_PROGRESS=%ju/%ju", (uintmax_t) done_bytes, (uintmax_t) total_bytes);
    }
    return true;
}

static void blame_load(struct life *life) {
    switch (life->err->code) {
    case HOLD_E_LIMIT:
        blame(life, life->device.caps.is_host ? "host_oom" : "gpu_oom", HOLD_EXIT_MEMORY);
        break;
    case HOLD_E_DEVICE: blame(life, life->device.caps.is_host ? "device" : "gpu_fault", HOLD_EXIT_DEVICE); break;
    case HOLD_E_FORMAT:
    case HOLD_E_IO: /* the plan was proven: a file that is gone or cannot be read was there */
    case HOLD_E_MISSING: blame(life, "weights_damaged", HOLD_EXIT_VERIFY_FORMAT); break;
    case HOLD_E_CONFIG: blame(life, "config", HOLD_EXIT_CONFIG); break;
    case HOLD_E_DENIED: blame(life, "permission", HOLD_EXIT_PERMISSION); break;
    case HOLD_E_NONE:
    case HOLD_E_NET:
    case HOLD_E_BUSY:
    case HOLD_E_INTERNAL:
    case HOLD_ERRC_COUNT: blame(life, "internal", HOLD_EXIT_INTERNAL); break;
    }
}

static int load(struct life *life, enum hold_dtype act) {
    blame(life, "no-model", HOLD_EXIT_NO_MODEL);
    if (!life->config->model_dir[0])
        return hold_fail(life->err, HOLD_E_CONFIG, 0, "--model-dir is not set");
    hold_autofd dir = open(life->config->model_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return hold_fail(life->err, HOLD_E_IO, errno, "model folder '%s'", life->config->model_dir);
    const struct hold_load l = { .plan = &life->plan, .dir_fd = dir, .act = act, .progress = on_progress, .context = life };
    uint64_t began = now_ms();
    if (hold_weights_load(&l, &life->device.stream, &life->loaded, life->err) < 0) {
        blame_load(life);
        return hold_wrap(life->err, "load weights");
    }
    hold_log(HOLD_LV_INFO, HOLD_EV_LOAD, HOLD_LU("read_bytes", life->loaded.read_bytes), HOLD_LU("mapped_bytes", life->loaded.mapped_bytes),
             HOLD_LF("seconds", (double) (now_ms() - began) / 1000));
    return 0;
}

static int get_ready(struct life *life) {
    struct hold_engine_limits limits;
    enum hold_dtype act;

    if (find_plan(life) < 0 || choose_dtype(life, &act) < 0 || open_device(life) < 0 || plan_memory(life, act, &limits) < 0 ||
        load(life, act) < 0)
        return -1;
    if (hold_engine_open(&life->loaded.weights, &life->device.stream, &limits, &life->engine, life->err) < 0) {
        blame_load(life);
        return -1;
    }
    hold_control_say(life->control_fd, "X_HOLDFAST_PHASE=warming");
    uint64_t began = now_ms();
    if (hold_engine_warm(life->engine, life->err) < 0) {
        blame_load(life);
        if (!hold_engine_is_healthy(life->engine))
            blame(life, "logits_nan", HOLD_EXIT_UNHEALTHY);
        return -1;
    }
    hold_log(HOLD_LV_INFO, HOLD_EV_WARM, HOLD_LF("seconds", (double) (now_ms() - began) / 1000));
    return 0;
}

/* ---- serving ---- */

static void stop(struct life *life, uint64_t n) {
    life->n_stops += n;
    if (life->is_stopping)
        return;
    life->is_stopping = true;
    hold_control_say(life->control_fd, "STOPPING=1");
    hold_engine_drain(life->engine);
}

static void hear(struct life *life) {
    struct hold_notify m;
    struct hold_err err = { 0 };
    uint64_t generation;
    int got;

    while (life->control_fd >= 0 && (got = hold_notify_recv(life->control_fd, &m, &err)) != 0) {
        if (got < 0) { /* process 1 is gone */
            hold_close_fd(&life->control_fd);
            stop(life, 1);
            return;
        }
        if (hold_notify_u64(&m, "GEN", &generation) && m.n_fds >= 2 &&
            hold_engine_pair(life->engine, generation, hold_take_fd(&m.fds[0]), hold_take_fd(&m.fds[1]), &err) < 0)
            hold_log_err(&err);
        for (size_t i = 0; i < m.n_fds; i++)
            hold_close_fd(&m.fds[i]);
    }
}

static void see_signals(struct life *life) {
    uint64_t n = 0;
    if (read(stop_fd, &n, sizeof n) == (ssize_t) sizeof n)
        stop(life, n);
}

/* Logits that are not numbers: weights, memory or device are damaged, and only another life on proven files is to be trusted.
 * Who asked is told first, then process 1, which heals what the cause names. */
static int give_up(struct life *life) {
    hold_control_say(life->control_fd, "READY=0");
    hold_engine_talk(life->engine);
    blame(life, "logits_nan", HOLD_EXIT_UNHEALTHY);
    return hold_fail(life->err, HOLD_E_DEVICE, 0, "the logits are not numbers: weights, memory or device are damaged");
}

static void bark(struct life *life) {
    uint64_t now = now_ms();
    if (life->watchdog_ms && now - life->told_ms >= life->watchdog_ms / 2) {
        life->told_ms = now;
        hold_control_say(life->control_fd, "WATCHDOG=1");
    }
}

static int serve(struct life *life) {
    blame(life, "gpu_fault", HOLD_EXIT_DEVICE);
    for (;;) {
        bool writes, works = hold_engine_has_work(life->engine);
        int link_fd = hold_engine_link_fd(life->engine, &writes);
        struct pollfd fds[] = {
            { .fd = stop_fd, .events = POLLIN },
            { .fd = life->control_fd, .events = POLLIN },
            { .fd = link_fd, .events = (short) (POLLIN | (writes ? POLLOUT : 0)) },
        };
        int wait_ms = works ? 0 : life->watchdog_ms ? (int) (life->watchdog_ms / 4) : -1;
        if (poll(fds, 3, wait_ms) < 0 && errno != EINTR)
            return hold_fail(life->err, HOLD_E_IO, errno, "poll");
        see_signals(life);
        hear(life);
        hold_engine_talk(life->engine); /* a cancel is seen here, before the next step */
        if (hold_engine_has_work(life->engine) && hold_engine_step(life->engine, life->err) < 0)
            return -1;
        if (!hold_engine_is_healthy(life->engine))
            return give_up(life);
        bark(life);
        if (life->is_stopping && (hold_engine_sessions(life->engine) == 0 || life->n_stops > 1))
            return 0;
    }
}

static int run(struct life *life) {
    if (get_ready(life) < 0)
        return -1;
    is_serving = 1;
    if (life->early_generation &&
        hold_engine_pair(life->engine, life->early_generation, hold_take_fd(&life->early_fds[0]), hold_take_fd(&life->early_fds[1]), life->err) < 0)
        return -1;
    hold_control_say(life->control_fd, "READY=1");
    hold_log(HOLD_LV_INFO, HOLD_EV_READY, HOLD_LS("role", "engine"), HOLD_LF("seconds", (double) (now_ms() - life->began_ms) / 1000));
    return serve(life);
}

int hold_engine_main(int argc, char **argv) {
    struct hold_rt_config config;
    struct hold_rt_store store = { 0 };
    struct hold_err err = { 0 };
    struct life life = { .config = &config, .err = &err, .control_fd = -1, .early_fds = { -1, -1 }, .began_ms = now_ms() };
    uint64_t usec;
    const struct sigaction action = { .sa_handler = on_stop };
    sigset_t none;

    sigemptyset(&none);
    stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (stop_fd < 0 || sigaction(SIGTERM, &action, NULL) < 0 || sigaction(SIGINT, &action, NULL) < 0 || sigprocmask(SIG_SETMASK, &none, NULL) < 0)
        return HOLD_EXIT_INTERNAL;
    (void) sigaction(SIGPIPE, &(struct sigaction) { .sa_handler = SIG_IGN }, NULL);
    hold_log_open("engine", isatty(STDERR_FILENO) == 1);
    life.control_fd = hold_control_take();
    if (hold_watchdog_usec(&usec) && usec >= 1000)
        life.watchdog_ms = usec / 1000;
    blame(&life, "config", HOLD_EXIT_CONFIG);
    bool is_loaded = hold_rt_config_load(argc, argv, (const char *const *) environ, &config, &store, &err) == 0;
    int status = is_loaded ? run(&life) : -1;
    if (status < 0) {
        hold_log_err(&err);
        hold_control_say(life.control_fd, "X_HOLDFAST_CAUSE=%s %s", life.cause, err.text);
        status = life.status;
    }
    hold_engine_close(&life.engine);
    hold_weights_release(&life.loaded);
    hold_device_close(&life.device);
    hold_map_close(&life.plan_map);
    hold_rt_store_release(&store);
    return status;
}

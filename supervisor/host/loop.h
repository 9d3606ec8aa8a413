/* loop.h - one epoll set, one signal descriptor, one deadline; the only reader of the clock. Floor: host.
 *
 * How a file plugs in: its descriptors are registered by kind and index, never by callback. core.c waits, and for each
 * struct hold_ready calls the kind's function (say hold_probe_on_ready(&probes[r.index], r.events, now_ms)), which returns
 * a value; for time it asks hold_x_deadline_ms() (absolute monotonic ms, HOLD_NEVER when nothing is armed) before each wait
 * and calls hold_x_on_deadline(..., now_ms) when now_ms >= that. Nobody else waits, sleeps or reads a clock. */
#ifndef HOLD_HOST_LOOP_H
#define HOLD_HOST_LOOP_H

#include "base/err.h"

#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>

#define HOLD_NEVER UINT64_MAX

/* The order in which one batch is worked off: signals (and with SIGCHLD deaths), messages and answers; deadlines come after them all. */
enum hold_loop_kind {
    HOLD_ON_SIGNAL,  /* the signal descriptor */
    HOLD_ON_EXEC,    /* the exec-error pipe of a child being started; index: which child */
    HOLD_ON_CONTROL, /* a control pair's end; index: which child */
    HOLD_ON_NOTIFY,  /* NOTIFY_SOCKET */
    HOLD_ON_OUTPUT,  /* a child's pipe has something, or a jammed outlet of ours has room */
    HOLD_ON_PROBE,   /* a probe's socket; index: which probe */
    HOLD_ON_STATUS,  /* the status server's own epoll descriptor */
    HOLD_ON_MEMORY,  /* memory.events of our cgroup */
    HOLD_ON_STORE,   /* the descriptor store's own epoll descriptor: a stored one is dead */
    HOLD_ON_COUNT
};

struct hold_ready {
    uint8_t kind; /* enum hold_loop_kind */
    uint16_t index;
    uint32_t events; /* EPOLLIN ... */
    int fd;
};

#define HOLD_LOOP_BATCH 64
#define HOLD_SIGNAL_SET_BYTES 8 /* what the kernel takes of a sigset_t: 64 signals */
#define HOLD_LOOP_SIGNALS 4

struct hold_loop {
    int epoll_fd;
    int signal_fd;
    uint8_t n_signals, at_signal; /* of a read that brought several */
    struct {
        int number;
        pid_t sender;
    } signals[HOLD_LOOP_SIGNALS];
};

/* signals: already blocked by the caller (the first statement of main); they arrive as HOLD_ON_SIGNAL. */
HOLD_MUST int hold_loop_init(struct hold_loop *loop, const sigset_t *signals, struct hold_err *err);
void hold_loop_release(struct hold_loop *loop);

/* events: EPOLLIN, EPOLLOUT, EPOLLRDHUP, level-triggered. The descriptor stays the caller's. */
HOLD_MUST int hold_loop_add(struct hold_loop *loop, int fd, enum hold_loop_kind kind, uint16_t index, uint32_t events,
                            struct hold_err *err);
/* Other events for a registered descriptor; 0 keeps it registered and silent. */
HOLD_MUST int hold_loop_change(struct hold_loop *loop, int fd, enum hold_loop_kind kind, uint16_t index, uint32_t events,
                               struct hold_err *err);
/* Before closing fd; -1 and unregistered descriptors are ignored. */
void hold_loop_drop(struct hold_loop *loop, int fd);

/* Waits until something is ready or deadline_ms (absolute; HOLD_NEVER: for ever; in the past: does not wait). Fills at most
 * HOLD_LOOP_BATCH entries in kind order and *ret_now_ms, the monotonic clock after the wait. Returns their number, 0 when
 * only time passed. Fails only when the kernel's epoll does. */
HOLD_MUST int hold_loop_wait(struct hold_loop *loop, uint64_t deadline_ms, struct hold_ready *ret_ready, uint64_t *ret_now_ms,
                             struct hold_err *err);
/* One signal from the descriptor, or 0: no more than HOLD_LOOP_SIGNALS a wake-up, so that a storm keeps nothing else waiting;
 * the rest wakes the loop again. */
int hold_loop_signal(struct hold_loop *loop, pid_t *ret_sender);
/* The monotonic clock, for the two places outside the loop: before the first wait, and in main. */
uint64_t hold_loop_now_ms(void);

#endif

/* loop.c - epoll, signalfd, one deadline. Floor: host. */
#include "supervisor/host/loop.h"

#include "base/auto.h"
#include "base/clock.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What epoll gives back: kind, index and descriptor in one word, so no table stands behind it. */
static uint64_t word_of(int fd, enum hold_loop_kind kind, uint16_t index) {
    return (uint64_t) (uint32_t) fd << 32 | (uint64_t) kind << 16 | index;
}

int hold_loop_init(struct hold_loop *loop, const sigset_t *signals, struct hold_err *err) {
    hold_autofd epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd < 0)
        return hold_fail(err, HOLD_E_IO, errno, "create the epoll set");
    hold_autofd signal_fd = (int) syscall(SYS_signalfd4, -1, signals, HOLD_SIGNAL_SET_BYTES, SFD_CLOEXEC | SFD_NONBLOCK);
    if (signal_fd < 0)
        return hold_fail(err, HOLD_E_IO, errno, "create the signal descriptor");
    struct hold_loop made = { .epoll_fd = epoll_fd, .signal_fd = signal_fd };
    if (hold_loop_add(&made, signal_fd, HOLD_ON_SIGNAL, 0, EPOLLIN, err) < 0)
        return -1;
    *loop = (struct hold_loop) { .epoll_fd = hold_take_fd(&epoll_fd), .signal_fd = hold_take_fd(&signal_fd) };
    return 0;
}

void hold_loop_release(struct hold_loop *loop) {
    hold_close_fd(&loop->signal_fd);
    hold_close_fd(&loop->epoll_fd);
}

static int control(struct hold_loop *loop, int op, int fd, uint64_t word, uint32_t events, struct hold_err *err) {
    struct epoll_event event = { .events = events, .data.u64 = word };
    if (epoll_ctl(loop->epoll_fd, op, fd, &event) < 0)
        return hold_fail(err, HOLD_E_IO, errno, "watch descriptor %d", fd);
    return 0;
}

int hold_loop_add(struct hold_loop *loop, int fd, enum hold_loop_kind kind, uint16_t index, uint32_t events, struct hold_err *err) {
    return control(loop, EPOLL_CTL_ADD, fd, word_of(fd, kind, index), events, err);
}

int hold_loop_change(struct hold_loop *loop, int fd, enum hold_loop_kind kind, uint16_t index, uint32_t events, struct hold_err *err) {
    return control(loop, EPOLL_CTL_MOD, fd, word_of(fd, kind, index), events, err);
}

void hold_loop_drop(struct hold_loop *loop, int fd) {
    if (fd >= 0)
        (void) epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
}

/* A monotonic clock does not go back; should one do it (a broken virtual machine), time goes on from where it was. */
uint64_t hold_loop_now_ms(void) {
    static uint64_t last_ms, ahead_ms;
    uint64_t raw_ms = hold_clock_ms(HOLD_CLOCK_LOOP);
    if (raw_ms + ahead_ms < last_ms)
        ahead_ms = last_ms - raw_ms;
    return last_ms = raw_ms + ahead_ms;
}

/* A few entries: the library's sort would be a page of code for them. */
static void sort_by_kind(struct hold_ready *ready, int n) {
    for (int i = 1; i < n; i++) {
        const struct hold_ready moved = ready[i];
        int at = i;
        for (; at > 0 && ready[at - 1].kind > moved.kind; at--)
            ready[at] = ready[at - 1];
        ready[at] = moved;
    }
}

int hold_loop_wait(struct hold_loop *loop, uint64_t deadline_ms, struct hold_ready *ret_ready, uint64_t *ret_now_ms, struct hold_err *err) {
    struct epoll_event events[HOLD_LOOP_BATCH];
    int timeout = -1;
    if (deadline_ms != HOLD_NEVER) {
        uint64_t now = hold_loop_now_ms();
        uint64_t left = deadline_ms > now ? deadline_ms - now : 0;
        timeout = left > INT_MAX ? INT_MAX : (int) left; /* woken early: the caller compares times and waits again */
    }
    int n = epoll_wait(loop->epoll_fd, events, HOLD_LOOP_BATCH, timeout);
    if (n < 0 && errno != EINTR)
        return hold_fail(err, HOLD_E_IO, errno, "wait for events");
    n = n < 0 ? 0 : n;
    for (int i = 0; i < n; i++) {
        uint64_t word = events[i].data.u64;
        ret_ready[i] = (struct hold_ready) {
            .kind = (uint8_t) (word >> 16), .index = (uint16_t) word, .events = events[i].events, .fd = (int) (word >> 32) };
    }
    sort_by_kind(ret_ready, n);
    *ret_now_ms = hold_loop_now_ms();
    return n;
}

int hold_loop_signal(struct hold_loop *loop, pid_t *ret_sender) {
    struct signalfd_siginfo infos[HOLD_LOOP_SIGNALS];
    if (loop->at_signal == loop->n_signals) {
        bool has_read = loop->n_signals > 0;
        loop->n_signals = loop->at_signal = 0;
        ssize_t n = has_read ? 0 : read(loop->signal_fd, infos, sizeof(infos)); /* whatever is left wakes us again */
        for (ssize_t i = 0; i < n / (ssize_t) sizeof(infos[0]); i++) {
            loop->signals[i].number = (int) infos[i].ssi_signo;
            loop->signals[i].sender = (pid_t) infos[i].ssi_pid;
            loop->n_signals++;
        }
        if (loop->n_signals == 0)
            return 0;
    }
    *ret_sender = loop->signals[loop->at_signal].sender;
    return loop->signals[loop->at_signal++].number;
}

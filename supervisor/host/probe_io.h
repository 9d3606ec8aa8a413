/* probe_io.h - one non-blocking probe conversation: http, tcp, exec, grpc, counter. Floor: supervisor/host.
 *
 * Process 1 resolves no name: a target's host is a numeric address or "localhost" (127.0.0.1, then nothing else). What a
 * peer may send is bounded by HOLD_HTTP_HEAD_BYTES (a page of counters: HOLD_PROBE_PAGE_BYTES; neither is kept) and by the deadline, so endless headers and dripping peers cost nothing but their time. The file never reads the clock and
 * never waits; what a conversation needs beyond this struct is on the heap while it runs. */
#ifndef HOLD_SUPERVISOR_HOST_PROBE_IO_H
#define HOLD_SUPERVISOR_HOST_PROBE_IO_H

#include "base/err.h"
#include "supervisor/policy/counter.h"
#include "supervisor/policy/grpc.h"
#include "supervisor/policy/http_answer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/types.h>

#define HOLD_PROBE_IO_WHY_BYTES 160
#define HOLD_PROBE_PAGE_BYTES ((size_t) 32 << 20) /* of a page of counters: more is a failure */
#define HOLD_PROBE_TURN_BYTES ((size_t) 256 << 10) /* read in one go, then other work has its turn */

enum hold_probe_kind { HOLD_PROBE_HTTP = 1, HOLD_PROBE_TCP, HOLD_PROBE_EXEC, HOLD_PROBE_GRPC, HOLD_PROBE_COUNTER };

/* What is asked. Made by hold_probe_target_parse; text is borrowed from the configuration. */
struct hold_probe_target {
    enum hold_probe_kind kind;
    struct sockaddr_storage addr; /* all but EXEC */
    socklen_t addr_bytes;
    char host[64];                /* for the Host header: "127.0.0.1:8000", "[::1]:8000" */
    char path[256];               /* HTTP, COUNTER: begins with '/'; GRPC: the service's name behind a '/' */
    const char *command;          /* EXEC: the text after "exec:", which hold_words_split takes; COUNTER: the words of
                                     policy/counter.h, "" for none; else NULL */
};

/* "http://HOST:PORT/PATH", "tcp://HOST:PORT", ":PORT/PATH" (http on 127.0.0.1), "exec:COMMAND ARG...",
 * "grpc://HOST:PORT[/SERVICE]" (the health protocol), "counter:http://HOST:PORT[/PATH] [WORDS]"
 * (PATH is /metrics when left out). HOST is numeric or localhost; https is refused by name. Pure. */
HOLD_MUST int hold_probe_target_parse(const char *text, struct hold_probe_target *ret_target, struct hold_err *err);

enum hold_answer { HOLD_ANSWER_NONE, HOLD_ANSWER_PASS, HOLD_ANSWER_FAIL };

/* One conversation, the caller's; `= hold_probe_io_idle()` before first use. */
struct hold_probe_io {
    int fd;                 /* the socket while one runs, else -1 */
    pid_t pid;              /* EXEC: the child, else 0 */
    enum hold_probe_kind kind;
    int step;
    uint64_t deadline_ms;   /* UINT64_MAX when idle */
    size_t n_out, n_sent;
    char out[512];
    struct hold_http_answer http; /* HTTP: up to its final status */
    struct hold_probe_page *page; /* COUNTER, while it runs */
    struct hold_grpc *grpc;       /* GRPC, while it runs */
    bool wants_more;        /* it stopped reading for the sake of others: register the descriptor anew */
    struct hold_counter_seen seen; /* COUNTER that passed: what the page said, which the caller judges */
    int http_status;        /* of the last answer, or 0 */
    char why[HOLD_PROBE_IO_WHY_BYTES]; /* of the last answer: "http 503", "connection refused", "no answer in 1s" */
};

struct hold_probe_io hold_probe_io_idle(void);
/* Register the descriptor once with these: it is driven edge by edge. */
#define HOLD_PROBE_IO_EVENTS (EPOLLIN | EPOLLOUT | EPOLLET)

/* Begins any question but EXEC; an answer can be there at once (refused on loopback): then *ret_answer is it and the
 * conversation is over; otherwise NONE and io->fd is to be watched. Fails only when no socket or memory can be had. */
HOLD_MUST int hold_probe_io_start(struct hold_probe_io *io, const struct hold_probe_target *target, uint64_t deadline_ms,
                                  enum hold_answer *ret_answer, struct hold_err *err);
/* Begins an EXEC question whose child, spawned by the caller, is pid. */
void hold_probe_io_start_exec(struct hold_probe_io *io, pid_t pid, uint64_t deadline_ms);
/* The socket is ready. When an answer is returned the descriptor is closed. */
enum hold_answer hold_probe_io_on_ready(struct hold_probe_io *io);
/* The EXEC child was reaped: wait status as waitpid gives it. */
enum hold_answer hold_probe_io_on_exit(struct hold_probe_io *io, int wait_status);
/* FAIL once now has reached the deadline (the EXEC child must then be killed by the caller: io->pid until the next start). */
enum hold_answer hold_probe_io_on_time(struct hold_probe_io *io, uint64_t now_ms);
uint64_t hold_probe_io_deadline_ms(const struct hold_probe_io *io);
bool hold_probe_io_running(const struct hold_probe_io *io);
/* Forgets the conversation, closes its socket. */
void hold_probe_io_cancel(struct hold_probe_io *io);

#endif

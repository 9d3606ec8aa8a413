/* status.h - read-only answers on the status port and the UNIX socket. Floor: supervisor/host.
 *
 * /livez /readyz /startupz (the status code alone carries the meaning), /status (JSON), /metrics (Prometheus text), / (a
 * page). One request line of at most 256 bytes, fixed paths, GET and HEAD only, at most 8 KiB of headers which are skipped
 * unread, HOLD_STATUS_CONNS connections, three seconds each: a client that is slower loses its place, the oldest first.
 * Queries only: reaching the socket grants nothing. */
#ifndef HOLD_SUPERVISOR_HOST_STATUS_H
#define HOLD_SUPERVISOR_HOST_STATUS_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hold_view;

#define HOLD_STATUS_CONNS 16        /* of each listener, so that the port cannot crowd out the UNIX socket */
#define HOLD_STATUS_LINE_BYTES 256
#define HOLD_STATUS_HEAD_BYTES 8192
#define HOLD_STATUS_LIFE_MS 3000

enum hold_status_path {
    HOLD_STATUS_NONE, /* no such path */
    HOLD_STATUS_LIVEZ, HOLD_STATUS_READYZ, HOLD_STATUS_STARTUPZ, HOLD_STATUS_STATUS, HOLD_STATUS_METRICS, HOLD_STATUS_PAGE,
    HOLD_STATUS_PATH_COUNT
};

struct hold_status_conn {
    int fd;                /* -1: free */
    int step;
    uint64_t until_ms;
    size_t n_line, n_head; /* bytes of the request line kept, bytes of the head seen */
    unsigned tail;         /* how much of the empty line that ends the head was seen */
    char line[HOLD_STATUS_LINE_BYTES + 2];
    struct hold_buf out;
    size_t sent;
};

struct hold_status_listener {
    int fd; /* -1: none */
    uint64_t rests_until_ms; /* no descriptor was left: not listened to until then; 0: listening */
    struct hold_status_conn conn[HOLD_STATUS_CONNS];
};

struct hold_status {
    int epoll_fd;
    struct hold_status_listener listener[2]; /* 0: TCP, 1: UNIX */
    char unix_path[108];
    uint64_t n_requests[HOLD_STATUS_PATH_COUNT][2]; /* [path][0: 2xx, 1: others] */
    uint64_t n_dropped;    /* connections that lost their place, were too slow or sent garbage */
};

/* No listener yet. */
HOLD_MUST int hold_status_open(struct hold_status *s, struct hold_err *err);
/* address: "[::]:8181" (also reachable by IPv4), "0.0.0.0:8181", "127.0.0.1:0", ":8181". Taken is an error of code BUSY. */
HOLD_MUST int hold_status_listen(struct hold_status *s, const char *address, struct hold_err *err);
/* folder/holdfast.sock, replacing what a dead process 1 left there; mode 0666, since it can only be asked. */
HOLD_MUST int hold_status_listen_unix(struct hold_status *s, const char *folder, struct hold_err *err);
/* Closes everything and removes the socket file. */
void hold_status_close(struct hold_status *s);
/* To be watched for EPOLLIN. */
int hold_status_fd(const struct hold_status *s);
/* Serves whatever is due, without blocking; every answer shows the view of this moment. */
void hold_status_on_ready(struct hold_status *s, const struct hold_view *view, uint64_t now_ms);
/* The earliest end of a connection's time; UINT64_MAX when none is open. */
uint64_t hold_status_deadline_ms(const struct hold_status *s);
void hold_status_on_time(struct hold_status *s, uint64_t now_ms);

/* A request line without its end ("GET /readyz HTTP/1.1") to a path. Returns 200, or the status to refuse it with: 400,
 * 404, 405, 505. Pure. */
int hold_status_parse(const char *line, size_t n, enum hold_status_path *ret_path, bool *ret_head_only);
const char *hold_status_path_name(enum hold_status_path p);
/* 200 or 503 for the three probes, with one line that says why, without a line end. */
int hold_status_probe(enum hold_status_path p, const struct hold_view *view, char *ret_why, size_t why_bytes);

/* In status_text.c: what is shown. */
void hold_status_json(const struct hold_view *view, struct hold_buf *out);
void hold_status_metrics(const struct hold_view *view, const struct hold_status *s, struct hold_buf *out);

#endif

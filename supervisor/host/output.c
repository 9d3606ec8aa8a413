/* output.c - the output of children. Floor: supervisor/host. */
#include "supervisor/host/output.h"

#include "base/auto.h"
#include "base/io.h"
#include "base/list.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_BYTES 65536
/* Of one stream in one turn of the loop, so that a flood cannot keep process 1 from its signals. */
#define TURN_BYTES ((size_t) 1 << 20)
/* What a blocking pipe takes without blocking once poll says that it can be written. */
#define SURE_BYTES 4096
/* Last reading of pipes whose writers are gone: at most what a pipe can hold. */
#define FINISH_BYTES ((size_t) 2 << 20)

#define HELD_MAX (HOLD_OUTPUT_HELD_BYTES + FINISH_BYTES)

enum outlet_kind { OUTLET_UNSEEN, OUTLET_PLAIN, OUTLET_NONBLOCK, OUTLET_SOCKET, OUTLET_POLLED };

/* ---- outlets ---- */

/* At the first byte, since many a child says nothing.
 * O_NONBLOCK belongs to the open file description, which ours shares with whoever started us: never set it there. A pipe is
 * opened a second time; a socket takes a flag a call; of the rest poll is asked first; a regular file never blocks. */
static void outlet_look(struct hold_outlet *o) {
    struct stat st;
    o->kind = OUTLET_POLLED;
    if (fstat(o->fd, &st) < 0) {
        o->is_dead = true;
        return;
    }
    if (S_ISREG(st.st_mode)) {
        o->kind = OUTLET_PLAIN;
    } else if (S_ISSOCK(st.st_mode)) {
        o->kind = OUTLET_SOCKET;
    } else if (S_ISFIFO(st.st_mode)) {
        char path[32];
        snprintf(path, sizeof path, "/proc/self/fd/%d", o->fd);
        const int own = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
        if (own >= 0) {
            o->fd = own;
            o->kind = OUTLET_NONBLOCK;
            o->is_reopened = true;
        }
    }
}

/* How many of n bytes ours took: 0 when it blocks. A dead outlet (EPIPE, disk full) takes everything: nobody reads it. */
static size_t outlet_write(struct hold_outlet *o, const char *bytes, size_t n) {
    if (o->kind == OUTLET_UNSEEN)
        outlet_look(o);
    if (o->is_dead)
        return n;
    for (;;) {
        ssize_t wrote;
        if (o->kind == OUTLET_SOCKET) {
            wrote = send(o->fd, bytes, n, MSG_NOSIGNAL | MSG_DONTWAIT);
        } else {
            if (o->kind == OUTLET_POLLED) {
                struct pollfd p = { .fd = o->fd, .events = POLLOUT };
                if (poll(&p, 1, 0) == 0)
                    return 0;
                n = HOLD_MIN(n, (size_t) SURE_BYTES);
            }
            wrote = write(o->fd, bytes, n);
        }
        if (wrote >= 0)
            return (size_t) wrote;
        if (errno == EINTR)
            continue;
        if (errno == EAGAIN)
            return 0;
        o->is_dead = true;
        return n;
    }
}

static void outlet_watch(struct hold_output *h, int which, bool on) {
    struct hold_outlet *o = &h->outlet[which];
    struct hold_err ignored; /* what cannot be watched is tried again with the next output */
    if (o->is_watched == on || (on && o->is_dead))
        return;
    if (!on)
        hold_loop_drop(h->loop, o->fd);
    o->is_watched = on && hold_loop_add(h->loop, o->fd, HOLD_ON_OUTPUT, 0, EPOLLOUT, &ignored) == 0;
}

static void outlet_flush(struct hold_output *h, int which) {
    struct hold_outlet *o = &h->outlet[which];
    while (o->sent < o->held.n) {
        const size_t took = outlet_write(o, o->held.data + o->sent, o->held.n - o->sent);
        if (took == 0)
            break;
        o->sent += took;
    }
    if (o->sent == o->held.n) { /* what was needed for a jam is given back: idle process 1 holds nothing */
        hold_buf_release(&o->held);
        o->sent = 0;
    } else if (o->sent > HOLD_OUTPUT_HELD_BYTES / 2) {
        hold_buf_consume(&o->held, o->sent);
        o->sent = 0;
    }
    outlet_watch(h, which, o->sent < o->held.n);
}

static size_t outlet_room(const struct hold_outlet *o) {
    const size_t most = HOLD_OUTPUT_HELD_BYTES + o->spare, pending = o->held.n - o->sent;
    return o->is_dead ? SIZE_MAX : most > pending ? most - pending : 0;
}

/* Takes all n bytes: written, or held. The caller has asked for room. */
static void outlet_take(struct hold_output *h, int which, const char *bytes, size_t n) {
    struct hold_outlet *o = &h->outlet[which];
    if (n == 0)
        return;
    o->is_open_line = bytes[n - 1] != '\n';
    while (n > 0 && o->held.n == o->sent) {
        const size_t took = outlet_write(o, bytes, n);
        if (took == 0)
            break;
        bytes += took;
        n -= took;
    }
    if (n > 0) {
        if (o->held.n + n > HELD_MAX) {
            hold_buf_consume(&o->held, o->sent);
            o->sent = 0;
        }
        hold_buf_add(&o->held, bytes, n);
        if (o->held.failed) { /* no memory for a jam: what it held is gone */
            h->lost_bytes += o->held.n - o->sent + n;
            hold_buf_release(&o->held);
            o->sent = 0;
        }
        outlet_watch(h, which, o->sent < o->held.n);
    }
}

/* ---- lines ---- */

static void keep_line(struct hold_output_source *s, const char *line, size_t n) {
    if (!s->last)
        s->last = calloc(HOLD_OUTPUT_LAST_LINES, sizeof *s->last);
    if (!s->last)
        return;
    size_t slot;
    if (s->n_last < HOLD_OUTPUT_LAST_LINES) {
        slot = (s->last_begin + s->n_last++) % HOLD_OUTPUT_LAST_LINES;
    } else {
        slot = s->last_begin;
        s->last_begin = (s->last_begin + 1) % HOLD_OUTPUT_LAST_LINES;
    }
    const size_t kept = HOLD_MIN(n, (size_t) HOLD_OUTPUT_LAST_BYTES);
    memcpy(s->last[slot], line, kept);
    for (char *zero; (zero = memchr(s->last[slot], '\0', kept)) != NULL;) /* it would end the line early in a report */
        *zero = '?';
    s->last[slot][kept] = '\0';
}

static void tell_line(struct hold_output *h, struct hold_output_source *s, int stream, const char *line, size_t n) {
    if (n == 0)
        return;
    keep_line(s, line, n);
    if (h->on_line)
        h->on_line(h->context, s->who, stream + 1, line, n);
}

static void line_done(struct hold_output *h, struct hold_output_source *s, int stream) {
    struct hold_output_stream *t = &s->stream[stream];
    tell_line(h, s, stream, t->line.data, t->line.n);
    hold_buf_clear(&t->line);
    t->line_is_cut = false;
}

static size_t to_line_end(const char *bytes, size_t n) {
    const char *end = memchr(bytes, '\n', n);
    const size_t part = end ? (size_t) (end - bytes) : n;
    const char *redraw = memchr(bytes, '\r', part);
    return redraw ? (size_t) (redraw - bytes) : part;
}

static void read_lines(struct hold_output *h, struct hold_output_source *s, int stream, const char *bytes, size_t n) {
    struct hold_output_stream *t = &s->stream[stream];
    while (n > 0) {
        const size_t part = to_line_end(bytes, n);
        if (part < n && t->line.n == 0 && !t->line_is_cut) { /* whole in this piece: nothing to put together */
            tell_line(h, s, stream, bytes, HOLD_MIN(part, (size_t) HOLD_OUTPUT_LINE_BYTES));
        } else {
            const size_t room = HOLD_OUTPUT_LINE_BYTES - t->line.n;
            if (!t->line_is_cut)
                hold_buf_add(&t->line, bytes, HOLD_MIN(part, room));
            t->line_is_cut = t->line_is_cut || part > room;
            if (part == n)
                return;
            line_done(h, s, stream);
        }
        bytes += part + 1;
        n -= part + 1;
    }
}

/* ---- the copy ---- */

static void mark_gap(struct hold_output *h, int which, struct hold_output_stream *t) {
    char mark[128];
    const int n = snprintf(mark, sizeof mark, "%s[holdfast: %" PRIu64 " lines, %" PRIu64 " bytes of output were lost here]\n",
                           h->outlet[which].is_open_line ? "\n" : "", t->gap_lines, t->gap_bytes);
    if (n > 0)
        outlet_take(h, which, mark, (size_t) n);
    t->gap_lines = t->gap_bytes = 0;
}

/* Room that a mark needs, so that there is always some for it. */
#define MARK_ROOM 128
/* Only the rest of a line that was begun may use this: lines are dropped whole unless they are longer. */
#define LINE_ROOM 16384

static void lose(struct hold_output *h, struct hold_output_source *s, struct hold_output_stream *t, const char *bytes, size_t n) {
    const bool ends = n > 0 && bytes[n - 1] == '\n';
    t->gap_bytes += n;
    h->lost_bytes += n;
    if (ends) {
        t->gap_lines++;
        h->lost_lines++;
        s->lost_lines++;
    }
    t->is_dropping = !ends;
}

/* One piece of at most one line, with its end when it has one. */
static void copy_piece(struct hold_output *h, struct hold_output_source *s, int which, const char *bytes, size_t n) {
    struct hold_output_stream *t = &s->stream[which];
    if (t->is_dropping || outlet_room(&h->outlet[which]) < n + MARK_ROOM + (t->in_line ? 0 : LINE_ROOM)) {
        lose(h, s, t, bytes, n);
        t->in_line = false;
        return;
    }
    if (t->gap_bytes > 0) {
        if (outlet_room(&h->outlet[which]) < HOLD_OUTPUT_HELD_BYTES / 4) { /* not one line between two gaps: wait for real room */
            lose(h, s, t, bytes, n);
            return;
        }
        mark_gap(h, which, t);
    }
    outlet_take(h, which, bytes, n);
    t->in_line = bytes[n - 1] != '\n';
}

static void copy(struct hold_output *h, struct hold_output_source *s, int which, const char *bytes, size_t n) {
    struct hold_output_stream *t = &s->stream[which];
    /* Nothing is jammed: one write for everything. */
    if (!t->is_dropping && t->gap_bytes == 0 && outlet_room(&h->outlet[which]) >= n + MARK_ROOM + LINE_ROOM) {
        outlet_take(h, which, bytes, n);
        t->in_line = bytes[n - 1] != '\n';
        return;
    }
    while (n > 0) {
        const char *end = memchr(bytes, '\n', n);
        const size_t piece = end ? (size_t) (end - bytes) + 1 : n;
        copy_piece(h, s, which, bytes, piece);
        bytes += piece;
        n -= piece;
    }
}

static void stream_close(struct hold_output *h, struct hold_output_stream *t, int which) {
    if (t->fd < 0)
        return;
    if (t->gap_bytes > 0 && outlet_room(&h->outlet[which]) >= MARK_ROOM)
        mark_gap(h, which, t);
    hold_close_fd(&t->fd); /* leaves the epoll set with it: we hold the only description */
    hold_buf_release(&t->line);
}

static void stream_pause(struct hold_output *h, struct hold_output_source *s, int stream, bool on) {
    struct hold_output_stream *t = &s->stream[stream];
    if (t->fd < 0 || t->is_paused == on)
        return;
    /* Taken out, not silenced: a registered pipe whose writer is gone would wake us again and again. */
    struct hold_err ignored;
    if (on)
        hold_loop_drop(h->loop, t->fd);
    t->is_paused = on || hold_loop_add(h->loop, t->fd, HOLD_ON_OUTPUT, 0, EPOLLIN, &ignored) < 0;
}

/* Reads up to max bytes; false at the end of the pipe. */
static bool stream_read(struct hold_output *h, struct hold_output_source *s, int stream, size_t max) {
    static char bytes[READ_BYTES];
    struct hold_output_stream *t = &s->stream[stream];
    for (size_t seen = 0; seen < max;) {
        if (h->block && outlet_room(&h->outlet[stream]) < READ_BYTES + MARK_ROOM + LINE_ROOM) {
            stream_pause(h, s, stream, true);
            return true;
        }
        const ssize_t n = read(t->fd, bytes, sizeof bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN;
        if (n == 0)
            return false;
        copy(h, s, stream, bytes, (size_t) n);
        read_lines(h, s, stream, bytes, (size_t) n);
        seen += (size_t) n;
        if ((size_t) n < sizeof bytes) /* drained, or nearly: the next turn sees the rest */
            return true;
    }
    return true;
}

static void stream_end(struct hold_output *h, struct hold_output_source *s, int stream) {
    line_done(h, s, stream);
    stream_close(h, &s->stream[stream], stream);
}

/* ---- public ---- */

void hold_output_open(struct hold_output *o, struct hold_loop *loop, int out_fd, int err_fd, bool block, hold_output_line_fn *on_line, void *context) {
    o->loop = loop;
    o->block = block;
    o->on_line = on_line;
    o->context = context;
    for (size_t i = 0; i < HOLD_OUTPUT_SOURCES; i++)
        o->source[i].who = o->source[i].stream[0].fd = o->source[i].stream[1].fd = -1;
    for (int i = 0; i < 2; i++) {
        o->outlet[i].fd = i == 0 ? out_fd : err_fd;
        o->outlet[i].held = hold_buf_with_max(HELD_MAX);
    }
}

void hold_output_close(struct hold_output *o) {
    for (size_t i = 0; i < HOLD_OUTPUT_SOURCES; i++) {
        struct hold_output_source *s = &o->source[i];
        for (int stream = 0; stream < 2; stream++) {
            hold_close_fd(&s->stream[stream].fd);
            hold_buf_release(&s->stream[stream].line);
        }
        free(s->last);
        s->last = NULL;
        s->who = -1;
    }
    for (int i = 0; i < 2; i++) {
        hold_buf_release(&o->outlet[i].held);
        if (o->outlet[i].is_reopened)
            hold_close_fd(&o->outlet[i].fd);
    }
}

static struct hold_output_source *find(struct hold_output *o, int who) {
    for (size_t i = 0; i < HOLD_OUTPUT_SOURCES; i++)
        if (o->source[i].who == who)
            return &o->source[i];
    return NULL;
}

/* A pipe whose read end is ours, non-blocking (each end has a description of its own) and watched. */
static int make_pipe(struct hold_output *o, uid_t uid, gid_t gid, int *ret_read, int *ret_write, struct hold_err *err) {
    int pair[2];
    if (pipe2(pair, O_CLOEXEC | O_NONBLOCK) < 0)
        return hold_fail(err, HOLD_E_IO, errno, "pipe for a child's output");
    hold_autofd read_end = pair[0];
    hold_autofd write_end = pair[1];
    if (fcntl(write_end, F_SETFL, 0) < 0)
        return hold_fail(err, HOLD_E_IO, errno, "pipe for a child's output");
    /* A child of another user opens /dev/stdout again: that is this pipe's inode, and its mode is 0600. Root's server may also
     * become somebody else by itself (gosu, setpriv): writing is free to whoever holds the pipe already. */
    if (uid != geteuid() && fchown(write_end, uid, gid) < 0)
        return hold_fail(err, HOLD_E_IO, errno, "give a pipe to user %u", (unsigned) uid);
    if (uid == 0 && fchmod(write_end, 0622) < 0)
        return hold_fail(err, HOLD_E_IO, errno, "let whoever has a pipe write to it");
    if (hold_loop_add(o->loop, read_end, HOLD_ON_OUTPUT, 0, EPOLLIN, err) < 0)
        return -1;
    *ret_read = hold_take_fd(&read_end);
    *ret_write = hold_take_fd(&write_end);
    return 0;
}

int hold_output_attach(struct hold_output *o, int who, uid_t uid, gid_t gid, int ret_write_ends[2], struct hold_err *err) {
    hold_output_finish(o, who);
    struct hold_output_source *s = find(o, who);
    if (!s)
        s = find(o, -1);
    if (!s)
        return hold_fail(err, HOLD_E_LIMIT, 0, "output: more than %d children", HOLD_OUTPUT_SOURCES);
    hold_autofd out_read = -1, out_write = -1, err_read = -1, err_write = -1;
    if (make_pipe(o, uid, gid, &out_read, &out_write, err) < 0 || make_pipe(o, uid, gid, &err_read, &err_write, err) < 0)
        return -1;
    s->who = who;
    s->n_last = s->last_begin = 0;
    s->stream[0] = (struct hold_output_stream) { .fd = hold_take_fd(&out_read), .line = hold_buf_with_max(HOLD_OUTPUT_LINE_BYTES) };
    s->stream[1] = (struct hold_output_stream) { .fd = hold_take_fd(&err_read), .line = hold_buf_with_max(HOLD_OUTPUT_LINE_BYTES) };
    ret_write_ends[0] = hold_take_fd(&out_write);
    ret_write_ends[1] = hold_take_fd(&err_write);
    return 0;
}

void hold_output_on_ready(struct hold_output *o) {
    for (int which = 0; which < 2; which++) {
        if (o->outlet[which].held.n == o->outlet[which].sent && !o->outlet[which].is_watched)
            continue;
        outlet_flush(o, which);
        if (o->block && outlet_room(&o->outlet[which]) >= HOLD_OUTPUT_HELD_BYTES / 2)
            for (size_t s = 0; s < HOLD_OUTPUT_SOURCES; s++)
                stream_pause(o, &o->source[s], which, false);
    }
    /* Reading an empty pipe costs what asking would. */
    for (size_t i = 0; i < HOLD_OUTPUT_SOURCES; i++) {
        struct hold_output_source *s = &o->source[i];
        for (int stream = 0; stream < 2 && s->who >= 0; stream++)
            if (s->stream[stream].fd >= 0 && !s->stream[stream].is_paused && !stream_read(o, s, stream, TURN_BYTES))
                stream_end(o, s, stream);
    }
}

size_t hold_output_pending(const struct hold_output *o) {
    size_t n = 0;
    for (int i = 0; i < 2; i++)
        if (!o->outlet[i].is_dead)
            n += o->outlet[i].held.n - o->outlet[i].sent;
    return n;
}

void hold_output_finish(struct hold_output *o, int who) {
    struct hold_output_source *s = find(o, who);
    if (!s || who < 0)
        return;
    const bool block = o->block;
    o->block = false; /* the writer is gone and cannot be made to wait */
    for (int i = 0; i < 2; i++)
        o->outlet[i].spare = block ? FINISH_BYTES : 0;
    for (int stream = 0; stream < 2; stream++) {
        if (s->stream[stream].fd < 0)
            continue;
        for (size_t round = 0; round < FINISH_BYTES / READ_BYTES; round++) {
            struct pollfd p = { .fd = s->stream[stream].fd, .events = POLLIN };
            if (poll(&p, 1, 0) <= 0 || !(p.revents & POLLIN) || !stream_read(o, s, stream, READ_BYTES))
                break;
        }
        stream_end(o, s, stream);
    }
    o->block = block;
    for (int i = 0; i < 2; i++)
        o->outlet[i].spare = 0;
}

size_t hold_output_flush(struct hold_output *o, int patience_ms, int hurry_fd) {
    size_t before;
    while ((before = hold_output_pending(o)) > 0) {
        struct pollfd p[3] = { [2] = { .fd = hurry_fd, .events = POLLIN } };
        for (int i = 0; i < 2; i++)
            p[i] = (struct pollfd) { .fd = o->outlet[i].held.n > o->outlet[i].sent ? o->outlet[i].fd : -1, .events = POLLOUT };
        if (poll(p, 3, patience_ms) <= 0 || p[2].revents)
            break;
        hold_output_on_ready(o);
        if (hold_output_pending(o) >= before) /* it took nothing, or a survivor still writes as fast */
            break;
    }
    return hold_output_pending(o);
}

uint64_t hold_output_lost(const struct hold_output *o, int who) {
    for (size_t i = 0; i < HOLD_OUTPUT_SOURCES; i++)
        if (o->source[i].who == who && who >= 0)
            return o->source[i].lost_lines;
    return 0;
}

size_t hold_output_last(const struct hold_output *o, int who, size_t n, struct hold_buf *out) {
    for (size_t i = 0; i < HOLD_OUTPUT_SOURCES; i++) {
        const struct hold_output_source *s = &o->source[i];
        if (s->who != who || who < 0 || !s->last)
            continue;
        const size_t take = HOLD_MIN(n, s->n_last);
        for (size_t k = s->n_last - take; k < s->n_last; k++) {
            hold_buf_adds(out, s->last[(s->last_begin + k) % HOLD_OUTPUT_LAST_LINES]);
            hold_buf_addc(out, '\n');
        }
        return take;
    }
    return 0;
}

/* output.h - the output of children: copied byte for byte, bounded when ours blocks, last lines kept. Floor: supervisor/host.
 *
 * One hub owns our two outlets (descriptors 1 and 2) and the pipes of every child, watched by the loop; hold_output_on_ready
 * does whatever is due and never blocks.
 *
 *   child's stdout pipe --+--> outlet 1 (up to 1 MiB held while it blocks) --> our stdout
 *   child's stderr pipe --+--> outlet 2 ...
 *                         +--> lines, each to the caller once, the last ones kept for the report
 *
 * When an outlet's hold is full, whole lines of a stream are dropped, counted, and the gap is marked with one line; with
 * `block` the pipe is not read instead, so that the child waits. */
#ifndef HOLD_SUPERVISOR_HOST_OUTPUT_H
#define HOLD_SUPERVISOR_HOST_OUTPUT_H

#include "base/buf.h"
#include "base/err.h"
#include "supervisor/host/loop.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define HOLD_OUTPUT_SOURCES 8
#define HOLD_OUTPUT_HELD_BYTES ((size_t) 1 << 20)
#define HOLD_OUTPUT_LINE_BYTES 16384 /* of one line that is looked at; the copy is not limited */
#define HOLD_OUTPUT_LAST_LINES 50
#define HOLD_OUTPUT_LAST_BYTES 400   /* of each kept line */

/* Each line of a child, without its end ('\n' or '\r': a progress bar redraws with the latter), at most
 * HOLD_OUTPUT_LINE_BYTES of it. who: what hold_output_attach was given. stream: 1 or 2. */
typedef void hold_output_line_fn(void *context, int who, int stream, const char *line, size_t n);

struct hold_outlet {
    int fd;              /* own description, non-blocking, where that can be had */
    bool is_reopened;    /* close it at the end */
    int kind;
    bool is_watched, is_dead;
    struct hold_buf held;
    size_t sent;         /* of held */
    size_t spare;        /* more than HOLD_OUTPUT_HELD_BYTES may be held: a dead child cannot wait any more */
    bool is_open_line;   /* the last byte taken was not a line end */
};

struct hold_output_stream {
    int fd;              /* read end, or -1 */
    bool is_paused;      /* --output block: not watched until the outlet has room */
    bool is_dropping;    /* until the end of the line that did not fit */
    bool in_line;        /* the outlet has the beginning of the current line */
    uint64_t gap_lines, gap_bytes; /* dropped since the last mark */
    struct hold_buf line;
    bool line_is_cut;
};

struct hold_output_source {
    int who;             /* -1: free */
    struct hold_output_stream stream[2];
    char (*last)[HOLD_OUTPUT_LAST_BYTES + 1]; /* ring of HOLD_OUTPUT_LAST_LINES, or NULL */
    size_t last_begin, n_last;
    uint64_t lost_lines; /* of all its lives */
};

struct hold_output {
    struct hold_loop *loop;
    bool block;
    struct hold_outlet outlet[2];
    struct hold_output_source source[HOLD_OUTPUT_SOURCES];
    hold_output_line_fn *on_line;
    void *context;
    uint64_t lost_lines, lost_bytes; /* since the beginning */
};

/* *o is zeroed by the caller. loop: where pipes and jammed outlets are watched, as HOLD_ON_OUTPUT; it outlives o. out_fd, err_fd:
 * ours, not taken over. on_line may be NULL. */
void hold_output_open(struct hold_output *o, struct hold_loop *loop, int out_fd, int err_fd, bool block, hold_output_line_fn *on_line, void *context);
void hold_output_close(struct hold_output *o);
/* Two pipes for a child that `who` (>= 0) will name; ret_write_ends [0] is for its descriptor 1, [1] for 2, close-on-exec,
 * the caller's to close after the spawn. The pipes belong to uid:gid, so that the child may open /dev/stdout again. Lines
 * kept for an earlier life of the same `who` are forgotten. Fails when no slot or descriptor is left. */
HOLD_MUST int hold_output_attach(struct hold_output *o, int who, uid_t uid, gid_t gid, int ret_write_ends[2], struct hold_err *err);
/* Moves whatever can be moved now. */
void hold_output_on_ready(struct hold_output *o);
/* The child and its tree are gone: read what the pipes still hold (bounded), close them. Kept lines stay. With `block` what
 * a pipe can hold is taken on top of a full hold: nothing is lost. */
void hold_output_finish(struct hold_output *o, int who);
/* Bytes still held for our outlets. */
size_t hold_output_pending(const struct hold_output *o);
/* At the very end: waits for whoever reads us, as long as something is taken every patience_ms and hurry_fd is not readable (-1:
 * none). Blocks. Returns how many bytes are left. */
size_t hold_output_flush(struct hold_output *o, int patience_ms, int hurry_fd);
/* Lines of `who` that were dropped, all its lives together. */
uint64_t hold_output_lost(const struct hold_output *o, int who);
/* The last n kept lines of `who`, oldest first, each with '\n', added to out. Returns how many. */
size_t hold_output_last(const struct hold_output *o, int who, size_t n, struct hold_buf *out);

#endif

/* test_output.c - children's output over real pipes: copied byte for byte, jams, gaps, blocking, lines, last lines. */
#include "supervisor/host/output.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static char seen[65536];
static int n_seen;

static void on_line(void *context, int who, int stream, const char *line, size_t n) {
    (void) context;
    if ((size_t) n_seen + n + 16 < sizeof seen)
        n_seen += snprintf(seen + n_seen, sizeof seen - (size_t) n_seen, "%d/%d:%.*s|", who, stream, (int) n, line);
}

struct bench {
    struct hold_output o;
    struct hold_loop loop;
    int ours[2];  /* pipe that plays our stdout: [0] is what a person would read */
    int child[2]; /* write ends that a child would have */
};

static void open_loop(struct hold_loop *loop) {
    struct hold_err err = { 0 };
    sigset_t none;
    sigemptyset(&none);
    assert_int_equal(hold_loop_init(loop, &none, &err), 0);
}

static void open_bench(struct bench *b, bool block) {
    struct hold_err err = { 0 };
    signal(SIGPIPE, SIG_IGN);
    n_seen = 0;
    seen[0] = '\0';
    assert_int_equal(pipe2(b->ours, O_CLOEXEC), 0);
    assert_true(fcntl(b->ours[0], F_SETFL, O_NONBLOCK) == 0);
    b->o = (struct hold_output) { 0 };
    open_loop(&b->loop);
    hold_output_open(&b->o, &b->loop, b->ours[1], b->ours[1], block, on_line, NULL);
    assert_int_equal(hold_output_attach(&b->o, 3, geteuid(), getegid(), b->child, &err), 0);
}

static void close_bench(struct bench *b) {
    hold_output_close(&b->o);
    hold_loop_release(&b->loop);
    close(b->ours[0]);
    close(b->ours[1]);
}

static void say(int fd, const char *text) {
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t) strlen(text));
}

/* Everything that came out, at most max bytes. */
static size_t take(int fd, char *out, size_t max) {
    size_t n = 0;
    ssize_t got;
    while (n < max && (got = read(fd, out + n, max - n)) > 0)
        n += (size_t) got;
    return n;
}

static void bytes_come_out_as_they_went_in(void **unused) {
    (void) unused;
    struct bench b;
    open_bench(&b, false);
    char out[64];
    const char in[] = "a\0b\r\xff no newline";
    assert_int_equal(write(b.child[0], in, sizeof in), sizeof in);
    hold_output_on_ready(&b.o);
    assert_int_equal(take(b.ours[0], out, sizeof out), sizeof in);
    assert_memory_equal(out, in, sizeof in);
    assert_int_equal(fcntl(b.ours[1], F_GETFL) & O_NONBLOCK, 0); /* ours is shared: its flags are not touched */
    close(b.child[0]);
    close(b.child[1]);
    close_bench(&b);
}

static void lines_are_told_once_whatever_the_pieces(void **unused) {
    (void) unused;
    struct bench b;
    open_bench(&b, false);
    say(b.child[0], "one\ntw");
    hold_output_on_ready(&b.o);
    say(b.child[0], "o\n\n 10%\r 20%\r");
    say(b.child[1], "err\nopen");
    hold_output_on_ready(&b.o);
    close(b.child[0]);
    close(b.child[1]);
    hold_output_on_ready(&b.o);
    assert_string_equal(seen, "3/1:one|3/1:two|3/1: 10%|3/1: 20%|3/2:err|3/2:open|");
    close_bench(&b);
}

static void long_line_is_copied_whole_and_told_cut(void **unused) {
    (void) unused;
    struct bench b;
    open_bench(&b, false);
    static char line[40000], out[50000];
    memset(line, 'x', sizeof line);
    line[sizeof line - 1] = '\n';
    assert_int_equal(write(b.child[0], line, sizeof line), sizeof line);
    hold_output_on_ready(&b.o);
    assert_int_equal(take(b.ours[0], out, sizeof out), sizeof line);
    assert_int_equal(n_seen, HOLD_OUTPUT_LINE_BYTES + 5); /* "3/1:" and '|' */
    close(b.child[0]);
    close(b.child[1]);
    close_bench(&b);
}

/* Nobody reads ours: one mebibyte is held, then whole lines go, counted; when somebody reads again the gap is marked. */
static void jam_holds_a_mebibyte_then_drops_whole_lines_and_says_so(void **unused) {
    (void) unused;
    struct bench b;
    open_bench(&b, false);
    enum { LINES = 40000 };
    static char all[LINES * 56 + 1];
    for (int i = 0; i < LINES; i++)
        assert_int_equal(snprintf(all + 56 * i, 57, "line %06d %043d\n", i, 0), 56);
    for (size_t at = 0; at < LINES * 56; at += 1000) { /* pieces that end anywhere in a line */
        assert_int_equal(write(b.child[0], all + at, 1000), 1000);
        hold_output_on_ready(&b.o);
    }
    assert_true(hold_output_pending(&b.o) <= HOLD_OUTPUT_HELD_BYTES);
    assert_true(hold_output_pending(&b.o) > HOLD_OUTPUT_HELD_BYTES - 20000);
    assert_true(b.o.lost_lines > 0);
    static char out[4 << 20];
    size_t n = 0;
    for (int i = 0; i < 100 && hold_output_pending(&b.o) > 0; i++) {
        n += take(b.ours[0], out + n, sizeof out - n);
        hold_output_on_ready(&b.o);
    }
    assert_int_equal(hold_output_pending(&b.o), 0);
    say(b.child[0], "after\n");
    hold_output_on_ready(&b.o);
    n += take(b.ours[0], out + n, sizeof out - 1 - n);
    out[n] = '\0';
    /* every line is whole, in order, up to the mark; the mark has the number that is missing */
    int i = 0;
    char *at = out;
    for (; strncmp(at, "line ", 5) == 0; i++, at += 56)
        assert_int_equal(atoi(at + 5), i);
    char mark[128];
    snprintf(mark, sizeof mark, "[holdfast: %d lines, %d bytes of output were lost here]\nafter\n", LINES - i, (LINES - i) * 56);
    assert_string_equal(at, mark);
    assert_int_equal(b.o.lost_lines, LINES - i);
    close(b.child[0]);
    close(b.child[1]);
    close_bench(&b);
}

static void block_makes_the_child_wait_and_loses_nothing(void **unused) {
    (void) unused;
    struct bench b;
    open_bench(&b, true);
    assert_true(fcntl(b.child[0], F_SETFL, O_NONBLOCK) == 0);
    static char chunk[4096], out[4 << 20];
    memset(chunk, 'y', sizeof chunk);
    chunk[sizeof chunk - 1] = '\n';
    size_t went_in = 0, came_out = 0;
    for (int i = 0; i < 2000; i++) {
        const ssize_t n = write(b.child[0], chunk, sizeof chunk);
        if (n < 0)
            break; /* the child waits */
        went_in += (size_t) n;
        hold_output_on_ready(&b.o);
    }
    assert_true(went_in < 2000 * sizeof chunk);
    assert_true(hold_output_pending(&b.o) <= HOLD_OUTPUT_HELD_BYTES);
    close(b.child[0]);
    close(b.child[1]);
    for (int i = 0; i < 200 && came_out < went_in; i++) {
        came_out += take(b.ours[0], out + came_out, sizeof out - came_out);
        hold_output_on_ready(&b.o);
    }
    assert_int_equal(came_out, went_in);
    assert_int_equal(b.o.lost_bytes, 0);
    close_bench(&b);
}

static void closed_reader_does_not_stop_the_child(void **unused) {
    (void) unused;
    struct bench b;
    open_bench(&b, false);
    close(b.ours[0]);
    static char flood[60000];
    for (int i = 0; i < 100; i++) {
        assert_int_equal(write(b.child[0], flood, sizeof flood), sizeof flood);
        hold_output_on_ready(&b.o);
    }
    assert_int_equal(hold_output_pending(&b.o), 0);
    close(b.child[0]);
    close(b.child[1]);
    hold_output_close(&b.o);
    close(b.ours[1]);
}

static void socket_as_stdout_never_blocks(void **unused) {
    (void) unused;
    struct hold_output o = { 0 };
    struct hold_loop loop;
    struct hold_err err = { 0 };
    int pair[2], child[2];
    signal(SIGPIPE, SIG_IGN);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    open_loop(&loop);
    hold_output_open(&o, &loop, pair[0], pair[0], false, NULL, NULL);
    assert_int_equal(hold_output_attach(&o, 0, geteuid(), getegid(), child, &err), 0);
    static char flood[60000];
    for (int i = 0; i < 60; i++) {
        assert_int_equal(write(child[1], flood, sizeof flood), sizeof flood);
        hold_output_on_ready(&o);
    }
    assert_true(hold_output_pending(&o) > 0);
    close(child[0]);
    close(child[1]);
    hold_output_close(&o);
    hold_loop_release(&loop);
    close(pair[0]);
    close(pair[1]);
}

static void last_lines_are_the_newest_in_order(void **unused) {
    (void) unused;
    struct bench b;
    open_bench(&b, false);
    char line[64];
    for (int i = 0; i < 130; i++) {
        snprintf(line, sizeof line, "n%d\n", i);
        say(b.child[i % 2], line);
        hold_output_on_ready(&b.o);
    }
    close(b.child[0]);
    close(b.child[1]);
    hold_output_finish(&b.o, 3);
    hold_autobuf out = hold_buf_with_max(4096);
    assert_int_equal(hold_output_last(&b.o, 3, 3, &out), 3);
    assert_string_equal(out.data, "n127\nn128\nn129\n");
    hold_buf_clear(&out);
    assert_int_equal(hold_output_last(&b.o, 3, 1000, &out), HOLD_OUTPUT_LAST_LINES);
    assert_int_equal(hold_output_last(&b.o, 9, 10, &out), 0);
    struct hold_err err = { 0 };
    assert_int_equal(hold_output_attach(&b.o, 3, geteuid(), getegid(), b.child, &err), 0); /* a new life forgets */
    assert_int_equal(hold_output_last(&b.o, 3, 10, &out), 0);
    close(b.child[0]);
    close(b.child[1]);
    close_bench(&b);
}

static void finish_reads_what_the_dead_left_and_waits_for_nobody(void **unused) {
    (void) unused;
    struct bench b;
    open_bench(&b, false);
    char out[64];
    say(b.child[0], "last words");
    hold_output_finish(&b.o, 3); /* a survivor still holds the write end */
    const size_t n = take(b.ours[0], out, sizeof out);
    assert_int_equal(n, 10);
    assert_string_equal(seen, "3/1:last words|");
    close(b.child[0]);
    close(b.child[1]);
    close_bench(&b);
}

/* The child is dead, its last 60 KiB are in the pipe, a mebibyte is held: with block not a byte is lost. */
static void death_in_a_jam_loses_nothing_with_block(void **unused) {
    (void) unused;
    struct bench b;
    open_bench(&b, true);
    assert_true(fcntl(b.child[0], F_SETFL, O_NONBLOCK) == 0);
    static char chunk[4096], out[4 << 20];
    memset(chunk, 'z', sizeof chunk);
    size_t went_in = 0, came_out = 0;
    for (ssize_t n; (n = write(b.child[0], chunk, sizeof chunk)) > 0; went_in += (size_t) n)
        hold_output_on_ready(&b.o);
    close(b.child[0]);
    close(b.child[1]);
    hold_output_finish(&b.o, 3);
    assert_true(hold_output_pending(&b.o) > HOLD_OUTPUT_HELD_BYTES - (128 << 10));
    for (int i = 0; i < 200 && came_out < went_in; i++) {
        came_out += take(b.ours[0], out + came_out, sizeof out - came_out);
        hold_output_on_ready(&b.o);
    }
    assert_int_equal(came_out, went_in);
    assert_int_equal(b.o.lost_bytes, 0);
    close_bench(&b);
}

static void flush_ends_when_nobody_reads(void **unused) {
    (void) unused;
    struct bench b;
    open_bench(&b, false);
    static char chunk[60000];
    for (int i = 0; i < 5; i++) {
        assert_int_equal(write(b.child[0], chunk, sizeof chunk), sizeof chunk);
        hold_output_on_ready(&b.o);
    }
    assert_true(hold_output_flush(&b.o, 20, -1) > 0);
    close(b.child[0]);
    close(b.child[1]);
    close_bench(&b);
}

static void slots_are_bounded_and_reused(void **unused) {
    (void) unused;
    struct bench b;
    struct hold_err err = { 0 };
    open_bench(&b, false);
    int child[HOLD_OUTPUT_SOURCES][2];
    for (int i = 0; i < HOLD_OUTPUT_SOURCES - 1; i++)
        assert_int_equal(hold_output_attach(&b.o, 10 + i, geteuid(), getegid(), child[i], &err), 0);
    int none[2];
    assert_int_equal(hold_output_attach(&b.o, 99, geteuid(), getegid(), none, &err), -1);
    assert_int_equal(err.code, HOLD_E_LIMIT);
    for (int i = 0; i < HOLD_OUTPUT_SOURCES - 1; i++) {
        close(child[i][0]);
        close(child[i][1]);
    }
    close(b.child[0]);
    close(b.child[1]);
    close_bench(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_come_out_as_they_went_in),
        cmocka_unit_test(lines_are_told_once_whatever_the_pieces),
        cmocka_unit_test(long_line_is_copied_whole_and_told_cut),
        cmocka_unit_test(jam_holds_a_mebibyte_then_drops_whole_lines_and_says_so),
        cmocka_unit_test(block_makes_the_child_wait_and_loses_nothing),
        cmocka_unit_test(closed_reader_does_not_stop_the_child),
        cmocka_unit_test(socket_as_stdout_never_blocks),
        cmocka_unit_test(last_lines_are_the_newest_in_order),
        cmocka_unit_test(finish_reads_what_the_dead_left_and_waits_for_nobody),
        cmocka_unit_test(death_in_a_jam_loses_nothing_with_block),
        cmocka_unit_test(flush_ends_when_nobody_reads),
        cmocka_unit_test(slots_are_bounded_and_reused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

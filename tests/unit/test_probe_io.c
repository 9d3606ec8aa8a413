/* test_probe_io.c - probe conversations against real sockets on loopback that misbehave, and the target's grammar. */
#include "supervisor/host/probe_io.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int listener(struct hold_probe_target *t, const char *scheme, const char *path) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t n = sizeof a;
    assert_true(fd >= 0 && bind(fd, (struct sockaddr *) &a, n) == 0 && listen(fd, 4) == 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *) &a, &n), 0);
    static char text[128];
    snprintf(text, sizeof text, "%s127.0.0.1:%u%s", scheme, ntohs(a.sin_port), path);
    struct hold_err err = { 0 };
    assert_int_equal(hold_probe_target_parse(text, t, &err), 0);
    return fd;
}

static enum hold_answer drive(struct hold_probe_io *io) {
    for (int i = 0; i < 50 && hold_probe_io_running(io); i++) {
        struct pollfd p = { .fd = io->fd, .events = (short) (POLLIN | (i == 0 ? POLLOUT : 0)) };
        if (poll(&p, 1, 30) == 0)
            return HOLD_ANSWER_NONE;
        const enum hold_answer a = hold_probe_io_on_ready(io);
        if (a != HOLD_ANSWER_NONE)
            return a;
    }
    return HOLD_ANSWER_NONE;
}

/* One http question whose server says `says` (in pieces of `piece` bytes) and closes. */
static enum hold_answer ask(const char *says, size_t piece, struct hold_probe_io *io) {
    struct hold_probe_target t;
    const int server = listener(&t, "http://", "/health");
    enum hold_answer a = HOLD_ANSWER_NONE;
    struct hold_err err = { 0 };
    *io = hold_probe_io_idle();
    assert_int_equal(hold_probe_io_start(io, &t, 1000, &a, &err), 0);
    assert_int_equal(a, HOLD_ANSWER_NONE);
    const int conn = accept(server, NULL, NULL);
    assert_int_equal(drive(io), HOLD_ANSWER_NONE);
    char request[512];
    const ssize_t got = read(conn, request, sizeof request - 1);
    assert_true(got > 0);
    request[got] = '\0';
    assert_non_null(strstr(request, "GET /health HTTP/1.1\r\nHost: 127.0.0.1:"));
    const size_t n = strlen(says);
    for (size_t at = 0; at < n && a == HOLD_ANSWER_NONE; at += piece) {
        assert_true(write(conn, says + at, n - at < piece ? n - at : piece) > 0);
        a = drive(io);
    }
    close(conn);
    if (a == HOLD_ANSWER_NONE)
        a = drive(io);
    close(server);
    return a;
}

static void http_2xx_and_3xx_pass_others_fail(void **unused) {
    (void) unused;
    struct hold_probe_io io;
    assert_int_equal(ask("HTTP/1.1 200 OK\r\n\r\n", 99, &io), HOLD_ANSWER_PASS);
    assert_int_equal(ask("HTTP/1.0 399\r\n\r\n", 99, &io), HOLD_ANSWER_PASS);
    assert_int_equal(ask("HTTP/1.1 503 Service Unavailable\r\nX: y\r\n\r\nloading", 99, &io), HOLD_ANSWER_FAIL);
    assert_string_equal(io.why, "http 503");
    assert_int_equal(io.http_status, 503);
    assert_int_equal(ask("HTTP/1.1 400 X\r\n", 99, &io), HOLD_ANSWER_FAIL);
}

static void interim_answers_are_passed_over_as_every_client_does(void **unused) {
    (void) unused;
    struct hold_probe_io io;
    for (size_t piece = 1; piece < 99; piece += 49) {
        assert_int_equal(ask("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", piece, &io), HOLD_ANSWER_PASS);
        assert_int_equal(ask("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 503 No\r\n\r\n", piece, &io), HOLD_ANSWER_FAIL);
        assert_string_equal(io.why, "http 503");
    }
    assert_int_equal(ask("HTTP/1.1 101 Switching Protocols\r\n\r\n", 99, &io), HOLD_ANSWER_FAIL);
    assert_string_equal(io.why, "http 101");
    assert_int_equal(ask("HTTP/1.1 100 Continue\r\n\r\n", 99, &io), HOLD_ANSWER_FAIL);
    assert_string_equal(io.why, "closed without an answer");
}

static void status_line_may_come_byte_by_byte(void **unused) {
    (void) unused;
    struct hold_probe_io io;
    assert_int_equal(ask("HTTP/1.1 204 No Content\r\n", 1, &io), HOLD_ANSWER_PASS);
}

static void what_is_not_http_fails_with_a_reason(void **unused) {
    (void) unused;
    struct hold_probe_io io;
    assert_int_equal(ask("SSH-2.0-OpenSSH\r\n", 99, &io), HOLD_ANSWER_FAIL);
    assert_string_equal(io.why, "the answer is not HTTP");
    assert_int_equal(ask("HTTP/1.1 2000 OK\r\n\r\n", 99, &io), HOLD_ANSWER_FAIL);
    assert_int_equal(ask("HTTP/1.", 99, &io), HOLD_ANSWER_FAIL);
    assert_string_equal(io.why, "closed without an answer");
}

static void silence_fails_at_the_deadline_and_not_before(void **unused) {
    (void) unused;
    struct hold_probe_target t;
    const int server = listener(&t, "http://", "/");
    struct hold_probe_io io = hold_probe_io_idle();
    enum hold_answer a = HOLD_ANSWER_NONE;
    struct hold_err err = { 0 };
    assert_int_equal(hold_probe_io_start(&io, &t, 5000, &a, &err), 0);
    assert_int_equal(drive(&io), HOLD_ANSWER_NONE);
    assert_int_equal(hold_probe_io_on_time(&io, 4999), HOLD_ANSWER_NONE);
    assert_int_equal(hold_probe_io_deadline_ms(&io), 5000);
    assert_int_equal(hold_probe_io_on_time(&io, 5000), HOLD_ANSWER_FAIL);
    assert_string_equal(io.why, "no answer in time");
    assert_false(hold_probe_io_running(&io));
    assert_int_equal(io.fd, -1);
    assert_int_equal(hold_probe_io_on_time(&io, 6000), HOLD_ANSWER_NONE);
    close(server);
}

static void tcp_passes_when_it_connects_and_fails_when_refused(void **unused) {
    (void) unused;
    struct hold_probe_target t;
    const int server = listener(&t, "tcp://", "");
    struct hold_probe_io io = hold_probe_io_idle();
    enum hold_answer a = HOLD_ANSWER_NONE;
    struct hold_err err = { 0 };
    assert_int_equal(hold_probe_io_start(&io, &t, 5000, &a, &err), 0);
    if (a == HOLD_ANSWER_NONE)
        a = drive(&io);
    assert_int_equal(a, HOLD_ANSWER_PASS);
    close(server);
    a = HOLD_ANSWER_NONE;
    assert_int_equal(hold_probe_io_start(&io, &t, 5000, &a, &err), 0);
    if (a == HOLD_ANSWER_NONE)
        a = drive(&io);
    assert_int_equal(a, HOLD_ANSWER_FAIL);
    assert_string_equal(io.why, "Connection refused");
    hold_probe_io_cancel(&io);
}

static void exec_passes_on_zero_only(void **unused) {
    (void) unused;
    struct hold_probe_io io = hold_probe_io_idle();
    hold_probe_io_start_exec(&io, 77, 100);
    assert_int_equal(hold_probe_io_on_exit(&io, 0), HOLD_ANSWER_PASS);
    hold_probe_io_start_exec(&io, 77, 100);
    assert_int_equal(hold_probe_io_on_exit(&io, 3 << 8), HOLD_ANSWER_FAIL);
    assert_string_equal(io.why, "exit 3");
    hold_probe_io_start_exec(&io, 77, 100);
    assert_int_equal(hold_probe_io_on_time(&io, 100), HOLD_ANSWER_FAIL);
    assert_int_equal(io.pid, 77); /* for the kill */
    assert_int_equal(hold_probe_io_on_exit(&io, 9), HOLD_ANSWER_NONE);
}

static void targets_are_numeric_or_localhost(void **unused) {
    (void) unused;
    struct hold_probe_target t;
    struct hold_err err;
    static const char *const good[] = { "http://127.0.0.1:80/x?y=1", "http://[::1]:8000", "tcp://10.0.0.1:1", ":8000/health", "http://localhost:65535/", "exec: /bin/true -x", "exec:sh -c 'a b'" };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        if (hold_probe_target_parse(good[i], &t, &err) < 0)
            fail_msg("%s: %s", good[i], err.text);
    static const char *const bad[] = { "", "http://", "http://example.com:80/", "http://127.0.0.1/", "http://127.0.0.1:0/", "http://127.0.0.1:65536/",
        "http://127.0.0.1:80/a b", "https://127.0.0.1:443/", "tcp://127.0.0.1:80/x", "http://127.0.0.1:80?x", "exec:", "exec:  ", "exec:sh -c 'x", "/health", "http://[::1]8000/",
        "http://127.0.0.1:80x/", "http://1.2.3:80/" };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (hold_probe_target_parse(bad[i], &t, &err) == 0)
            fail_msg("'%s' was taken", bad[i]);
    assert_int_equal(hold_probe_target_parse("http://[::1]:8000", &t, &err), 0);
    assert_string_equal(t.host, "[::1]:8000");
    assert_string_equal(t.path, "/");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(http_2xx_and_3xx_pass_others_fail),
        cmocka_unit_test(interim_answers_are_passed_over_as_every_client_does),
        cmocka_unit_test(status_line_may_come_byte_by_byte),
        cmocka_unit_test(what_is_not_http_fails_with_a_reason),
        cmocka_unit_test(silence_fails_at_the_deadline_and_not_before),
        cmocka_unit_test(tcp_passes_when_it_connects_and_fails_when_refused),
        cmocka_unit_test(exec_passes_on_zero_only),
        cmocka_unit_test(targets_are_numeric_or_localhost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

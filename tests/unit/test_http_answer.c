/* test_http_answer.c - answers of HTTP/1 servers, whole and cut anywhere, and those that break a rule. */
#include "tests/unit/test.h"

#include "supervisor/policy/http_answer.h"

static char body[4096];
static size_t n_body;

static enum hold_http_state feed(struct hold_http_answer *a, const char *text, size_t piece, bool is_closed) {
    *a = (struct hold_http_answer) { 0 };
    n_body = 0;
    for (size_t at = 0, n = strlen(text); at < n;) {
        const size_t end = n - at < piece ? n : at + piece;
        while (at < end && a->state != HOLD_HTTP_DONE && a->state != HOLD_HTTP_BROKEN) {
            const char *run;
            size_t n_run;
            const size_t taken = hold_http_answer_feed(a, text + at, end - at, &run, &n_run);
            assert_true(taken > 0 && taken <= end - at && n_body + n_run < sizeof body);
            memcpy(body + n_body, run, n_run);
            n_body += n_run;
            at += taken;
        }
        if (a->state == HOLD_HTTP_DONE || a->state == HOLD_HTTP_BROKEN)
            break;
    }
    if (is_closed)
        hold_http_answer_end(a);
    body[n_body] = '\0';
    return a->state;
}

static void every_framing_gives_the_same_body(void **unused) {
    (void) unused;
    static const char *const answers[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world and what follows",
        "HTTP/1.1 200 OK\r\ncontent-length:  11 \r\nX: y\r\n\r\nhello world",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;ext=1\r\n world\r\n0\r\nTrailer: x\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\nContent-Encoding: identity\n\n00b\nhello world\n0\n\n",
        "HTTP/1.0 200 OK\r\nServer: x\r\n\r\nhello world",
    };
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        for (size_t piece = 1; piece < 90; piece++) {
            struct hold_http_answer a;
            if (feed(&a, answers[i], piece, i == 4) != HOLD_HTTP_DONE || a.status != 200 || strcmp(body, "hello world") != 0)
                fail_msg("answer %zu in pieces of %zu: state %d, '%s'", i, piece, a.state, body);
        }
    }
}

static void what_breaks_a_rule_is_broken_and_says_why(void **unused) {
    (void) unused;
    static const struct { const char *text, *why; } bad[] = {
        { "SSH-2.0-OpenSSH_9.2\r\n", "the answer is not HTTP" },
        { "HTTP/2 200 OK\r\n", "the answer is not HTTP" },
        { "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "the Content-Length is not one number" },
        { "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", "the Content-Length is not one number" },
        { "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n", "the Content-Length is not one number" },
        { "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "the Transfer-Encoding is not known" },
        { "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n", "the body is compressed, which was not asked for" },
        { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n", "a chunk has no size" },
        { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffffff\r\n", "a chunk has no size" },
        { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n", "a chunk is longer than it said" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct hold_http_answer a;
        if (feed(&a, bad[i].text, 7, false) != HOLD_HTTP_BROKEN || strcmp(a.why, bad[i].why) != 0)
            fail_msg("answer %zu: state %d, %s", i, a.state, a.why ? a.why : "");
    }
}

static void an_early_end_is_no_body(void **unused) {
    (void) unused;
    struct hold_http_answer a;
    assert_int_equal(feed(&a, "", 1, true), HOLD_HTTP_BROKEN);
    assert_string_equal(a.why, "closed without an answer");
    assert_int_equal(feed(&a, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", 9, true), HOLD_HTTP_BROKEN);
    assert_string_equal(a.why, "closed in the middle of the answer");
    assert_int_equal(feed(&a, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", 9, true), HOLD_HTTP_BROKEN);
    assert_int_equal(feed(&a, "HTTP/1.1 204 No Content\r\n\r\n", 9, false), HOLD_HTTP_DONE);
}

static void endless_heads_and_lines_are_bounded(void **unused) {
    (void) unused;
    struct hold_http_answer a = { 0 };
    const char *run;
    size_t n_run, total = 0;
    static char line[1000];
    static const char interim[] = "HTTP/1.1 102 Wait\r\n\r\n";
    memset(line, 'x', sizeof line); /* one header line that never ends */
    (void) hold_http_answer_feed(&a, "HTTP/1.1 200 OK\r\n", 17, &run, &n_run);
    while (a.state != HOLD_HTTP_BROKEN && total < 2 * HOLD_HTTP_HEAD_BYTES)
        total += hold_http_answer_feed(&a, line, sizeof line, &run, &n_run);
    assert_int_equal(a.state, HOLD_HTTP_BROKEN);
    assert_string_equal(a.why, "the head has more than 64 KiB");
    assert_true(total <= HOLD_HTTP_HEAD_BYTES + sizeof line);
    a = (struct hold_http_answer) { 0 };
    for (total = 0; a.state != HOLD_HTTP_BROKEN && total < 4 * HOLD_HTTP_HEAD_BYTES;) /* interim answers for ever */
        total += hold_http_answer_feed(&a, &interim[total % 21], 21 - total % 21, &run, &n_run);
    assert_int_equal(a.state, HOLD_HTTP_BROKEN);
}

#define T(name) cmocka_unit_test(name)

int main(void) {
    const struct CMUnitTest tests[] = {
        T(every_framing_gives_the_same_body),
        T(what_breaks_a_rule_is_broken_and_says_why),
        T(an_early_end_is_no_body),
        T(endless_heads_and_lines_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* prop_outside.c - random histories of what process 1 sees, HOLD_SEEDS of them (200). Output: under any pieces, jams and readers
 * every line comes out whole and in order or is counted in a mark, and nothing else does. Probes: the verdict is the one that
 * the last answers in a row give, the next question is never before now, and a pause never exceeds its cap. Progress: the
 * deadline never moves back, and only by news. */
#include "tests/unit/test.h"

#include "base/list.h"
#include "supervisor/host/output.h"
#include "supervisor/policy/probe.h"
#include "supervisor/policy/progress.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <unistd.h>

static uint64_t state;

static uint64_t next(void) {
    state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = state;
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static size_t below(size_t n) {
    return (size_t) (next() % n);
}

static uint64_t n_seeds(void) {
    const char *text = getenv("HOLD_SEEDS");
    const uint64_t n = text ? strtoull(text, NULL, 10) : 0;
    return n ? n : 200;
}

/* ---- output ---- */

enum { IN_MAX = 3 << 20, OUT_MAX = 5 << 20 };
static char in[IN_MAX], out[OUT_MAX];

/* Numbered lines of random length: "N xxxx\n". Returns how many bytes. */
static size_t make_lines(size_t *ret_lines) {
    const size_t most = (size_t) 1 << (4 + below(9));
    size_t n = 0, lines = 0;
    while (n + most + 32 < IN_MAX) {
        n += (size_t) snprintf(in + n, 16, "%zu ", lines++);
        const size_t more = below(most);
        memset(in + n, 'x', more);
        n += more;
        in[n++] = '\n';
    }
    *ret_lines = lines;
    return n;
}

static size_t take(int fd, size_t n, size_t max) {
    size_t got = 0;
    ssize_t r;
    while (got < max && (r = read(fd, out + n + got, HOLD_MIN(max - got, OUT_MAX - 1 - n - got))) > 0)
        got += (size_t) r;
    return got;
}

static void check_lines(size_t n, size_t lines, uint64_t seed) {
    size_t expected = 0, in_at = 0;
    for (size_t at = 0; at < n;) {
        const char *end = memchr(out + at, '\n', n - at);
        if (!end)
            fail_msg("seed %" PRIu64 ": the last line is not whole", seed);
        const size_t length = (size_t) (end - (out + at)) + 1;
        unsigned long long gap_lines, gap_bytes; /* sscanf measures the whole of what follows: only where a mark may be */
        if (out[at] == '[' && sscanf(out + at, "[holdfast: %llu lines, %llu bytes", &gap_lines, &gap_bytes) == 2) {
            size_t bytes = 0;
            for (unsigned long long i = 0; i < gap_lines; i++, expected++) {
                const char *line_end = memchr(in + in_at, '\n', IN_MAX - in_at);
                assert_non_null(line_end);
                bytes += (size_t) (line_end - (in + in_at)) + 1;
                in_at = (size_t) (line_end - in) + 1;
            }
            if (bytes != gap_bytes)
                fail_msg("seed %" PRIu64 ": a mark says %llu bytes, missing are %zu", seed, gap_bytes, bytes);
        } else {
            if (memcmp(out + at, in + in_at, length) != 0)
                fail_msg("seed %" PRIu64 ": line %zu is not what was said: %.60s", seed, expected, out + at);
            in_at += length;
            expected++;
        }
        at += length;
    }
    if (expected != lines)
        fail_msg("seed %" PRIu64 ": %zu lines of %zu are accounted for", seed, expected, lines);
}

static void every_line_comes_out_whole_or_is_counted(void **unused) {
    (void) unused;
    signal(SIGPIPE, SIG_IGN);
    const uint64_t seeds = HOLD_MAX(n_seeds() / 5, (uint64_t) 1); /* three mebibytes each */
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        state = seed;
        struct hold_output o = { 0 };
        struct hold_loop loop;
        struct hold_err err = { 0 };
        sigset_t none;
        int ours[2], child[2];
        sigemptyset(&none);
        assert_int_equal(hold_loop_init(&loop, &none, &err), 0);
        assert_int_equal(pipe2(ours, O_CLOEXEC), 0);
        assert_true(fcntl(ours[0], F_SETFL, O_NONBLOCK) == 0);
        const bool block = below(3) == 0;
        hold_output_open(&o, &loop, ours[1], ours[1], block, NULL, NULL);
        assert_int_equal(hold_output_attach(&o, 0, geteuid(), getegid(), child, &err), 0);
        assert_true(fcntl(child[0], F_SETFL, O_NONBLOCK) == 0);
        size_t lines, got = 0;
        const size_t n = make_lines(&lines), laziness = below(40);
        for (size_t at = 0; at < n;) {
            const size_t piece = 1 + below(20000);
            const ssize_t wrote = write(child[0], in + at, HOLD_MIN(piece, n - at));
            if (wrote > 0)
                at += (size_t) wrote;
            hold_output_on_ready(&o);
            if (below(laziness + 1) == 0 || wrote < 0)
                got += take(ours[0], got, below(300000));
        }
        close(child[0]);
        close(child[1]);
        hold_output_finish(&o, 0);
        for (size_t before = SIZE_MAX; hold_output_pending(&o) > 0 && hold_output_pending(&o) != before;) {
            before = hold_output_pending(&o);
            got += take(ours[0], got, SIZE_MAX);
            hold_output_on_ready(&o);
        }
        got += take(ours[0], got, SIZE_MAX);
        if (block && o.lost_bytes != 0)
            fail_msg("seed %" PRIu64 ": %" PRIu64 " bytes were lost with block", seed, o.lost_bytes);
        check_lines(got, lines, seed);
        hold_output_close(&o);
        hold_loop_release(&loop);
        close(ours[0]);
        close(ours[1]);
    }
}

/* ---- probe ---- */

static void verdict_is_what_the_last_answers_give(void **unused) {
    (void) unused;
    for (uint64_t seed = 1; seed <= n_seeds(); seed++) {
        state = seed;
        const struct hold_probe_rule r = {
            .initial_delay_ms = below(5000), .period_ms = 1 + below(10000), .timeout_ms = 1 + below(3000), .failure_threshold = 1 + (uint32_t) below(5),
            .success_threshold = 1 + (uint32_t) below(3), .backoff_first_ms = below(2) ? 1 + below(500) : 0, .backoff_max_ms = below(20000),
        };
        struct hold_probe p;
        uint64_t now = below(1000000);
        hold_probe_init(&p, &r, now);
        enum hold_verdict expected = HOLD_VERDICT_UNKNOWN;
        uint32_t passes = 0, failures = 0;
        for (int i = 0; i < 200; i++) {
            now = HOLD_MAX(now, hold_probe_next_ms(&p));
            assert_int_equal(hold_probe_ask(&p, now), now + r.timeout_ms);
            assert_true(hold_probe_next_ms(&p) == UINT64_MAX);
            now += below(r.timeout_ms + 1);
            const bool passed = below(10) < 1 + seed % 9;
            passes = passed ? passes + 1 : 0;
            failures = passed ? 0 : failures + 1;
            const enum hold_verdict before = expected;
            if (passes >= r.success_threshold)
                expected = HOLD_VERDICT_UP;
            if (failures >= r.failure_threshold)
                expected = HOLD_VERDICT_DOWN;
            if (hold_probe_fold(&p, passed, now) != (expected != before) || p.verdict != expected)
                fail_msg("seed %" PRIu64 ", answer %d: %s, expected %s", seed, i, hold_verdict_name(p.verdict), hold_verdict_name(expected));
            const uint64_t cap = r.backoff_first_ms == 0 || passed ? r.period_ms : r.backoff_max_ms ? r.backoff_max_ms : r.period_ms;
            if (hold_probe_next_ms(&p) < now || hold_probe_next_ms(&p) > now + cap)
                fail_msg("seed %" PRIu64 ", answer %d: the next question is %" PRId64 " ms away", seed, i, (int64_t) (hold_probe_next_ms(&p) - now));
        }
    }
}

/* ---- progress ---- */

static void deadline_moves_forward_and_only_by_news(void **unused) {
    (void) unused;
    for (uint64_t seed = 1; seed <= n_seeds(); seed++) {
        state = seed;
        struct hold_progress p;
        uint64_t now = below(1000000);
        hold_progress_begin(&p, 1 + below(100000), now);
        struct hold_progress_sample s = { .read_bytes = below(1 << 30), .memory_bytes = below(1 << 30) };
        for (int i = 0; i < 300; i++) {
            now += below(2000);
            const uint64_t before = hold_progress_deadline_ms(&p);
            bool is_news = false;
            switch (below(4)) {
            case 0:
                is_news = hold_progress_told(&p, below(1000), 1000, now);
                break;
            case 1:
                is_news = hold_progress_milestone(&p, (int) below(3), below(100), 100, now);
                break;
            case 2:
                s.read_bytes += below(3 << 19);
                s.memory_bytes = below(2) ? s.memory_bytes + below(20 << 20) : s.memory_bytes / 2;
                is_news = hold_progress_sample(&p, &s, now);
                break;
            default:
                break;
            }
            const uint64_t after = hold_progress_deadline_ms(&p);
            if (after != (is_news ? now + p.no_progress_ms : before) || after < before)
                fail_msg("seed %" PRIu64 ", step %d: deadline %" PRIu64 " after %" PRIu64, seed, i, after, before);
            assert_true(hold_progress_sample_ms(&p) > p.moved_ms);
            if (p.best_done > 1000 || p.done > 1000)
                fail_msg("seed %" PRIu64 ": more than all of it", seed);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_line_comes_out_whole_or_is_counted),
        cmocka_unit_test(verdict_is_what_the_last_answers_give),
        cmocka_unit_test(deadline_moves_forward_and_only_by_news),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

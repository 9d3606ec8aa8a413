/* test_lines.c - every row of signatures.def and milestones.def against its own fixture, and what else a line may hold. */
#include "supervisor/policy/lines.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <time.h>

static struct hold_lines table;

static struct hold_line_match match(const char *line) {
    return hold_lines_match(&table, line, strlen(line));
}

static int make_table(void **unused) {
    (void) unused;
    hold_lines_init(&table);
    return 0;
}

struct fixture {
    const char *id, *line;
    enum hold_line_class class;
    enum hold_cause cause;
};

static void every_signature_finds_its_fixture(void **unused) {
    (void) unused;
    static const struct fixture all[] = {
#define SIGNATURE(id, text, also, class, cause, fixture) { id, fixture, HOLD_LINE_##class, HOLD_CAUSE_##cause },
#include "supervisor/policy/signatures.def"
#undef SIGNATURE
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        const struct hold_line_match m = match(all[i].line);
        if (strcmp(m.id, all[i].id) != 0 || m.class != all[i].class || m.cause != all[i].cause)
            fail_msg("%s: '%s' was read as %s (%s)", all[i].id, all[i].line, m.id, hold_line_class_name(m.class));
        assert_string_equal(hold_signature_id(m.index), all[i].id);
        if (all[i].class == HOLD_LINE_CAUSE)
            assert_int_not_equal(m.cause, HOLD_CAUSE_NONE);
    }
    assert_int_equal((int) (sizeof all / sizeof all[0]), hold_n_signatures);
    assert_true(hold_n_signatures >= 20);
}

static void every_milestone_finds_its_fixture(void **unused) {
    (void) unused;
    enum { PLAIN, PERCENT, RATIO };
    static const struct {
        const char *id, *line;
        int number;
    } all[] = {
#define MILESTONE(id, text, number, fixture) { id, fixture, number },
#include "supervisor/policy/milestones.def"
#undef MILESTONE
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        const struct hold_line_match m = match(all[i].line);
        if (strcmp(m.id, all[i].id) != 0 || m.class != HOLD_LINE_MILESTONE)
            fail_msg("%s: '%s' was read as %s", all[i].id, all[i].line, m.id);
        if (all[i].number == RATIO ? m.total == 0 || m.done > m.total : m.total != (all[i].number == PLAIN ? 0 : 100))
            fail_msg("%s: '%s' was read as %llu of %llu", all[i].id, all[i].line, (unsigned long long) m.done, (unsigned long long) m.total);
    }
    assert_int_equal((int) (sizeof all / sizeof all[0]), hold_n_milestones);
}

static void percent_is_read_behind_the_fragment(void **unused) {
    (void) unused;
    struct hold_line_match m = match("(pid 99%) Loading checkpoint shards:  40%|####      | 2/5 [00:12<00:18]");
    assert_int_equal(m.done, 40);
    assert_int_equal(m.total, 100);
    m = match("Loading checkpoint shards: 999999999999999999999999% 7%");
    assert_int_equal(m.done, 7);
    m = match("Loading checkpoint shards:");
    assert_int_equal(m.class, HOLD_LINE_MILESTONE);
    assert_int_equal(m.total, 0);
    m = match("Loading checkpoint shards: 40");
    assert_int_equal(m.total, 0);
}

static void ordinary_lines_mean_nothing(void **unused) {
    (void) unused;
    static const char *const lines[] = {
        "", "C", "CUDA", "INFO: 127.0.0.1:51234 - \"GET /health HTTP/1.1\" 200 OK", "Model architectures ['X'] are fine",
        "args: Namespace(model='x', trust_remote_code=True)", "UserWarning: Failed to import (\"No module named 'x'\")",
        "Free memory on device (30/40 GiB)", "\xff\xfe\x00",
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        assert_int_equal(match(lines[i]).class, HOLD_LINE_NOTHING);
}

static void cause_beats_wrapper_beats_milestone_beats_noise(void **unused) {
    (void) unused;
    assert_int_equal(match("Engine core initialization failed: CUDA out of memory").class, HOLD_LINE_CAUSE);
    assert_int_equal(match("Loading checkpoint shards: 3% ShardCannotStart").class, HOLD_LINE_WRAPPER);
    assert_int_equal(match("destroy_process_group() was not called before program exit Uvicorn running on").class, HOLD_LINE_MILESTONE);
}

static void hit_beyond_the_limit_is_not_seen(void **unused) {
    (void) unused;
    static char line[HOLD_LINE_MAX + 64];
    memset(line, 'x', sizeof line);
    memcpy(line + HOLD_LINE_MAX - 10, "CUDA out of memory", 18);
    assert_int_equal(hold_lines_match(&table, line, sizeof line).class, HOLD_LINE_NOTHING);
    memcpy(line + HOLD_LINE_MAX - 18, "CUDA out of memory", 18);
    assert_int_equal(hold_lines_match(&table, line, sizeof line).class, HOLD_LINE_CAUSE);
}

/* The worst lines there are: every byte begins a fragment, and a first half is repeated whose second half never comes. */
static void hostile_line_costs_no_more_than_its_length(void **unused) {
    (void) unused;
    static const char *const pieces[] = { "CUDA_", "Model architectures", "Free memory on device", "L", "Loading " };
    static char line[HOLD_LINE_MAX];
    for (size_t p = 0; p < sizeof pieces / sizeof pieces[0]; p++) {
        const size_t piece = strlen(pieces[p]);
        for (size_t i = 0; i < sizeof line; i++)
            line[i] = pieces[p][i % piece];
        const clock_t begun = clock();
        for (int i = 0; i < 20; i++)
            assert_int_not_equal(hold_lines_match(&table, line, sizeof line).class, HOLD_LINE_CAUSE);
        assert_true((double) (clock() - begun) / CLOCKS_PER_SEC < 0.5); /* 20 lines; each takes well under a millisecond */
    }
}

static void names_outside_the_tables_are_a_question_mark(void **unused) {
    (void) unused;
    assert_string_equal(hold_signature_id(-1), "?");
    assert_string_equal(hold_signature_id(hold_n_signatures), "?");
    assert_string_equal(hold_milestone_id(hold_n_milestones), "?");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_signature_finds_its_fixture),
        cmocka_unit_test(every_milestone_finds_its_fixture),
        cmocka_unit_test(percent_is_read_behind_the_fragment),
        cmocka_unit_test(ordinary_lines_mean_nothing),
        cmocka_unit_test(cause_beats_wrapper_beats_milestone_beats_noise),
        cmocka_unit_test(hit_beyond_the_limit_is_not_seen),
        cmocka_unit_test(hostile_line_costs_no_more_than_its_length),
        cmocka_unit_test(names_outside_the_tables_are_a_question_mark),
    };
    return cmocka_run_group_tests(tests, make_table, NULL);
}

/* test_diagnose.c - facts of a death to its first cause; each rule of precedence, every job status, every exit code kept. */
#include "supervisor/policy/diagnose.h"

#include "base/exit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <signal.h>
#include <string.h>

static struct hold_diagnosis of(struct hold_death d) {
    struct hold_diagnosis r;
    hold_diagnose(&d, &r);
    return r;
}

#define EXITED(n, ...) of((struct hold_death) { .end = HOLD_END_EXITED, .code = (n), __VA_ARGS__ })
#define SIGNALED(n, ...) of((struct hold_death) { .end = HOLD_END_SIGNALED, .code = (n), __VA_ARGS__ })

static void told_cause_beats_everything_seen(void **unused) {
    (void) unused;
    const struct hold_diagnosis r = EXITED(1, .told = "gpu_oom layer 31 needs 2 GiB", .oom_kills = 1, .matched = HOLD_CAUSE_COLLECTIVE);
    assert_int_equal(r.cause, HOLD_CAUSE_GPU_OOM);
    assert_true(r.is_memory);
    assert_int_equal(r.exit_code, 1);
    assert_non_null(strstr(r.text, "layer 31 needs 2 GiB"));
}

static void what_a_job_told_is_the_whole_sentence(void **unused) {
    (void) unused;
    const struct hold_diagnosis told = EXITED(HOLD_EXIT_DISK, .is_ours = true, .is_job = true, .told = "disk 1 MiB free; grow it");
    assert_string_equal(told.text, "the disk cannot hold the model: 1 MiB free; grow it");
    assert_string_equal(SIGNALED(SIGSEGV, .is_ours = true, .is_job = true).text, "it crashed; died of signal 11 after 0.0 s");
}

static void unknown_told_cause_is_ignored(void **unused) {
    (void) unused;
    assert_int_equal(EXITED(1, .told = "full moon").cause, HOLD_CAUSE_EXITED);
    assert_int_equal(EXITED(1, .told = "").cause, HOLD_CAUSE_EXITED);
}

static void oom_counter_beats_a_line_of_output(void **unused) {
    (void) unused;
    const struct hold_diagnosis r = SIGNALED(SIGKILL, .oom_kills = 2, .matched = HOLD_CAUSE_COLLECTIVE,
                                             .memory_bytes = 3ull << 30, .memory_limit_bytes = 4ull << 30);
    assert_int_equal(r.cause, HOLD_CAUSE_HOST_OOM);
    assert_true(r.is_memory);
    assert_int_equal(r.exit_code, 137);
    assert_non_null(strstr(r.text, "3072 of 4096 MiB"));
}

static void oom_of_a_helper_does_not_blame_a_clean_end(void **unused) {
    (void) unused;
    assert_int_equal(EXITED(0, .oom_kills = 1).cause, HOLD_CAUSE_FINISHED);
    assert_int_equal(EXITED(0).action, HOLD_ACTION_NONE);
}

static void line_of_output_beats_our_reason_to_kill(void **unused) {
    (void) unused;
    const struct hold_diagnosis r = SIGNALED(SIGKILL, .killed = HOLD_KILL_NO_PROGRESS, .matched = HOLD_CAUSE_COLLECTIVE,
                                             .matched_line = "Watchdog caught it");
    assert_int_equal(r.cause, HOLD_CAUSE_COLLECTIVE);
    assert_int_equal(r.exit_code, HOLD_EXIT_NO_PROGRESS);
    assert_non_null(strstr(r.text, "Watchdog caught it"));
}

static void our_reason_to_kill_has_its_own_status(void **unused) {
    (void) unused;
    assert_int_equal(SIGNALED(SIGKILL, .killed = HOLD_KILL_UNHEALTHY).exit_code, HOLD_EXIT_UNHEALTHY);
    assert_int_equal(SIGNALED(SIGTERM, .killed = HOLD_KILL_NO_PROGRESS).exit_code, HOLD_EXIT_NO_PROGRESS);
    assert_int_equal(EXITED(0, .killed = HOLD_KILL_BACKSTOP).exit_code, HOLD_EXIT_START_TIMEOUT);
    assert_int_equal(SIGNALED(SIGKILL, .killed = HOLD_KILL_NO_PROGRESS).cause, HOLD_CAUSE_NO_PROGRESS);
    assert_int_equal(SIGNALED(SIGKILL, .unkillable = true).exit_code, HOLD_EXIT_UNKILLABLE);
    assert_int_equal(SIGNALED(SIGKILL, .unkillable = true).action, HOLD_ACTION_NEW_NODE);
}

static void stop_is_no_failure_and_keeps_the_code(void **unused) {
    (void) unused;
    assert_int_equal(SIGNALED(SIGTERM, .killed = HOLD_KILL_STOP).cause, HOLD_CAUSE_STOPPED);
    assert_int_equal(SIGNALED(SIGTERM, .killed = HOLD_KILL_STOP).exit_code, 143);
    assert_int_equal(EXITED(7, .killed = HOLD_KILL_STOP, .matched = HOLD_CAUSE_GPU_OOM).cause, HOLD_CAUSE_STOPPED);
}

static void every_plain_status_passes_through(void **unused) {
    (void) unused;
    for (int n = 1; n < 256; n++) {
        assert_int_equal(EXITED(n).exit_code, n);
        assert_int_not_equal(EXITED(n).action, HOLD_ACTION_NONE);
    }
    for (int n = 1; n < 65; n++)
        assert_int_equal(SIGNALED(n).exit_code, 128 + n);
}

static void stranger_with_our_number_is_a_stranger(void **unused) {
    (void) unused;
    assert_int_equal(EXITED(HOLD_EXIT_FETCH_DNS).cause, HOLD_CAUSE_EXITED);
    assert_int_equal(EXITED(HOLD_EXIT_FETCH_DNS, .is_ours = true).cause, HOLD_CAUSE_EXIT_FETCH_DNS);
}

static void signals_name_what_they_mean(void **unused) {
    (void) unused;
    assert_int_equal(SIGNALED(SIGILL).action, HOLD_ACTION_FIX_CONFIG);
    assert_int_equal(SIGNALED(SIGSEGV).cause, HOLD_CAUSE_CRASHED);
    assert_int_equal(SIGNALED(SIGBUS).cause, HOLD_CAUSE_BUS_ERROR);
    assert_int_equal(SIGNALED(SIGSYS).cause, HOLD_CAUSE_SANDBOX_DENIED);
    assert_int_equal(SIGNALED(SIGKILL).cause, HOLD_CAUSE_KILLED_OUTSIDE);
    assert_int_equal(SIGNALED(SIGABRT).cause, HOLD_CAUSE_CRASHED);
    assert_int_equal(SIGNALED(SIGFPE).cause, HOLD_CAUSE_CRASHED);
    assert_int_equal(SIGNALED(SIGTRAP).cause, HOLD_CAUSE_CRASHED);
    assert_int_equal(EXITED(132).cause, HOLD_CAUSE_CPU_ARCH);
    assert_int_equal(SIGNALED(40).cause, HOLD_CAUSE_SIGNALLED);
}

static void command_that_cannot_start_is_config(void **unused) {
    (void) unused;
    const struct hold_diagnosis r = of((struct hold_death) { .end = HOLD_END_NOT_STARTED, .code = 127 });
    assert_int_equal(r.cause, HOLD_CAUSE_COMMAND_MISSING);
    assert_int_equal(r.action, HOLD_ACTION_FIX_CONFIG);
    assert_int_equal(r.exit_code, 127);
    const struct hold_diagnosis s = of((struct hold_death) { .end = HOLD_END_NOT_STARTED, .code = HOLD_EXIT_SANDBOX });
    assert_int_equal(s.cause, HOLD_CAUSE_EXIT_SANDBOX);
    assert_int_equal(s.exit_code, HOLD_EXIT_SANDBOX);
}

static void every_exit_status_has_an_action_and_round_trips(void **unused) {
    (void) unused;
    for (size_t i = 0; i < hold_n_exit_rows; i++) {
        const struct hold_diagnosis r = EXITED(hold_exit_rows[i].status, .is_ours = true);
        const struct hold_cause_info *info = hold_cause_info(r.cause);
        assert_string_equal(info->name, hold_exit_rows[i].name);
        assert_int_not_equal(r.action, HOLD_ACTION_NONE);
        assert_int_equal(r.exit_code, hold_exit_rows[i].status);
        assert_true(strlen(r.advice) > 0);
    }
}

static void every_cause_is_complete_and_found_by_name(void **unused) {
    (void) unused;
    for (int c = 1; c < HOLD_CAUSE_COUNT; c++) {
        const struct hold_cause_info *info = hold_cause_info((enum hold_cause) c);
        assert_true(info->name && info->name[0] && strlen(info->name) < 32); /* the view keeps 31 bytes */
        assert_true(info->meaning && info->meaning[0] && info->advice && info->advice[0]);
        assert_string_equal(hold_cause_info(hold_cause_find(info->name, strlen(info->name)))->name, info->name);
    }
    assert_int_equal(hold_cause_find("gpu", 3), HOLD_CAUSE_NONE);
    assert_string_equal(hold_cause_info((enum hold_cause) 9999)->name, "");
}

static enum hold_job_word word(int status, bool can_fetch) {
    const struct hold_death d = { .end = HOLD_END_EXITED, .code = status, .is_ours = true };
    const struct hold_diagnosis r = of(d);
    return hold_job_word(&d, &r, can_fetch);
}

static void job_statuses_become_the_tables_words(void **unused) {
    (void) unused;
    assert_int_equal(word(0, true), HOLD_JOB_OK);
    assert_int_equal(word(HOLD_EXIT_FETCH_NET, true), HOLD_JOB_RETRY);
    assert_int_equal(word(HOLD_EXIT_FETCH_DNS, true), HOLD_JOB_RETRY);
    assert_int_equal(word(HOLD_EXIT_FETCH_STALL, true), HOLD_JOB_RETRY);
    assert_int_equal(word(HOLD_EXIT_FETCH_DENIED, true), HOLD_JOB_FATAL);
    assert_int_equal(word(HOLD_EXIT_FETCH_SPACE, true), HOLD_JOB_FATAL);
    assert_int_equal(word(HOLD_EXIT_PREFLIGHT, true), HOLD_JOB_FATAL);
    assert_int_equal(word(HOLD_EXIT_DEPENDENCY, true), HOLD_JOB_RETRY);
    assert_int_equal(word(HOLD_EXIT_VERIFY_DIGEST, true), HOLD_JOB_HEAL);
    assert_int_equal(word(HOLD_EXIT_VERIFY_DIGEST, false), HOLD_JOB_FATAL);
    assert_int_equal(word(HOLD_EXIT_VERIFY_MODEL, true), HOLD_JOB_FATAL);
    const struct hold_death killed = { .end = HOLD_END_SIGNALED, .code = SIGSEGV, .is_ours = true };
    const struct hold_diagnosis r = of(killed);
    assert_int_equal(hold_job_word(&killed, &r, true), HOLD_JOB_RETRY);
}

static void text_is_bounded_and_printable(void **unused) {
    (void) unused;
    char line[4000];
    memset(line, 'a', sizeof line);
    line[sizeof line - 1] = '\0';
    memcpy(line + 3, "\n\x1b[31m", 6);
    const struct hold_diagnosis r = EXITED(1, .matched = HOLD_CAUSE_GPU_OOM, .matched_line = line);
    assert_true(strlen(r.text) < HOLD_DIAGNOSIS_TEXT_BYTES);
    for (const char *c = r.text; *c; c++)
        assert_true((unsigned char) *c >= 0x20);
    /* a cut inside a character drops the whole of it */
    for (size_t i = 0; i + 3 < sizeof line; i += 3)
        memcpy(line + i, "\xe2\x82\xac", 3);
    for (int pad = 0; pad < 3; pad++) {
        const struct hold_diagnosis u = EXITED(pad == 0 ? 1 : pad == 1 ? 10 : 100, .matched = HOLD_CAUSE_GPU_OOM, .matched_line = line);
        const size_t n = strlen(u.text);
        assert_memory_equal(u.text + n - 3, "\xe2\x82\xac", 3);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(told_cause_beats_everything_seen),
        cmocka_unit_test(what_a_job_told_is_the_whole_sentence),
        cmocka_unit_test(unknown_told_cause_is_ignored),
        cmocka_unit_test(oom_counter_beats_a_line_of_output),
        cmocka_unit_test(oom_of_a_helper_does_not_blame_a_clean_end),
        cmocka_unit_test(line_of_output_beats_our_reason_to_kill),
        cmocka_unit_test(our_reason_to_kill_has_its_own_status),
        cmocka_unit_test(stop_is_no_failure_and_keeps_the_code),
        cmocka_unit_test(every_plain_status_passes_through),
        cmocka_unit_test(stranger_with_our_number_is_a_stranger),
        cmocka_unit_test(signals_name_what_they_mean),
        cmocka_unit_test(command_that_cannot_start_is_config),
        cmocka_unit_test(every_exit_status_has_an_action_and_round_trips),
        cmocka_unit_test(every_cause_is_complete_and_found_by_name),
        cmocka_unit_test(job_statuses_become_the_tables_words),
        cmocka_unit_test(text_is_bounded_and_printable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_report.c - the termination message: bounded, valid UTF-8, verdict first, newest lines last, written in place. */
#include "supervisor/host/report.h"

#include "base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char text[HOLD_REPORT_MAX_BYTES + 1];

static size_t compose(struct hold_report r) {
    const size_t n = hold_report_compose(&r, text);
    assert_true(n <= HOLD_REPORT_MAX_BYTES);
    text[n] = '\0';
    return n;
}

static void first_line_is_the_verdict_as_json(void **unused) {
    (void) unused;
    compose((struct hold_report) { .phase = "loading", .cause = "gpu_oom", .action = "retry", .signature = "torch-oom", .member = "engine",
                                   .exit_code = 1, .attempt = 3, .text = "device memory ran out", .advice = "use less", .last_lines = "x\ny\n" });
    assert_string_equal(text, "{\"cause\":\"gpu_oom\",\"action\":\"retry\",\"phase\":\"loading\",\"member\":\"engine\",\"signature\":\"torch-oom\",\"exit\":1,\"attempt\":3}\n"
                              "device memory ran out\nuse less\nx\ny\n");
    compose((struct hold_report) { .phase = "ready", .exit_code = -1 });
    assert_string_equal(text, "{\"phase\":\"ready\"}\n");
}

static void first_line_stays_within_300_bytes_whatever_comes(void **unused) {
    (void) unused;
    char longer[2000];
    memset(longer, '"', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    compose((struct hold_report) { .phase = "loading", .cause = "c", .action = "retry", .signature = longer, .member = longer, .exit_code = 255, .attempt = UINT64_MAX });
    const size_t n = strcspn(text, "\n");
    assert_true(n <= 300);
    struct cJSON *root = NULL;
    struct hold_err err = { 0 };
    assert_int_equal(hold_json_parse(text, n, "report", (struct hold_json_limits) { .max_bytes = 4096 }, &root, &err), 0);
    hold_json_release(&root);
}

static bool is_utf8(const char *s, size_t n) {
    char *quoted = malloc(n * 2 + 3);
    size_t k = 0;
    assert_non_null(quoted);
    quoted[k++] = '"';
    for (size_t i = 0; i < n; i++)
        quoted[k++] = s[i] == '\n' || s[i] == '"' || s[i] == '\\' ? ' ' : s[i];
    quoted[k++] = '"';
    struct cJSON *root = NULL;
    const bool ok = hold_json_parse(quoted, k, "x", (struct hold_json_limits) { .max_bytes = 9000 }, &root, NULL) == 0;
    hold_json_release(&root);
    free(quoted);
    return ok;
}

static void message_is_bounded_valid_utf8_for_any_output(void **unused) {
    (void) unused;
    static char lines[30000];
    unsigned seed = 1;
    for (int round = 0; round < 200; round++) {
        for (size_t i = 0; i < sizeof lines - 1; i++) {
            seed = seed * 1664525u + 1013904223u;
            lines[i] = (char) (seed >> 24);
            if (lines[i] == '\0' || (seed & 0xff00) == 0)
                lines[i] = '\n';
        }
        const size_t n = compose((struct hold_report) { .phase = "up", .exit_code = -1, .text = lines + 5000 * (round % 3), .last_lines = lines });
        assert_true(is_utf8(text, n));
    }
}

static void newest_lines_win(void **unused) {
    (void) unused;
    static char lines[20000];
    size_t n = 0;
    for (int i = 0; i < 1000; i++)
        n += (size_t) snprintf(lines + n, sizeof lines - n, "line %d\n", i);
    compose((struct hold_report) { .phase = "up", .exit_code = -1, .last_lines = lines });
    assert_non_null(strstr(text, "line 999\n"));
    assert_null(strstr(text, "line 100\n"));
    assert_int_equal(strncmp(strchr(text, '\n') + 1, "line ", 5), 0); /* only whole ones */
}

static void file_is_written_in_place_and_cut(void **unused) {
    (void) unused;
    char path[] = "/tmp/hold-report-XXXXXX";
    const int fd = mkstemp(path);
    struct hold_err err = { 0 };
    char old[5000];
    memset(old, 'o', sizeof old);
    assert_int_equal(write(fd, old, sizeof old), sizeof old);
    struct stat before, after;
    assert_int_equal(fstat(fd, &before), 0);
    assert_int_equal(hold_report_write(path, false, &(struct hold_report) { .phase = "ready", .exit_code = -1 }, &err), 0);
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(before.st_ino, after.st_ino); /* a bind mount cannot be renamed over */
    assert_int_equal(after.st_size, strlen("{\"phase\":\"ready\"}\n"));
    close(fd);
    unlink(path);
}

static void missing_file_is_silent_by_default_and_made_when_asked(void **unused) {
    (void) unused;
    char folder[] = "/tmp/hold-report-XXXXXX";
    char path[64];
    struct hold_err err = { 0 };
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/log", folder);
    const struct hold_report r = { .phase = "ready", .exit_code = -1 };
    assert_int_equal(hold_report_write(path, false, &r, &err), 0);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(hold_report_write(path, true, &r, &err), 0);
    assert_int_equal(access(path, F_OK), 0);
    unlink(path);
    assert_int_equal(hold_report_write(folder, true, &r, &err), -1);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(hold_report_write(path, true, &r, &err), -1); /* and does not wait for a reader */
    unlink(path);
    rmdir(folder);
}

static void refusal_has_the_row_of_its_status_and_every_mistake(void **unused) {
    (void) unused;
    char path[] = "/tmp/hold-report-XXXXXX", message[HOLD_REPORT_MAX_BYTES + 1] = "";
    struct hold_err err = { 0 };
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(hold_report_refusal(path, false, 65, "2 mistakes: --a: no", "--a: no\n--b: no\n", &err), 0);
    assert_true(read(fd, message, HOLD_REPORT_MAX_BYTES) > 0);
    assert_string_equal(message, "{\"cause\":\"config\",\"action\":\"fix-config\",\"phase\":\"exited\",\"exit\":65}\n2 mistakes: --a: no\n"
                              "correct the file, variable or flag that the message names\n--a: no\n--b: no\n");
    close(fd);
    unlink(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_line_is_the_verdict_as_json),
        cmocka_unit_test(first_line_stays_within_300_bytes_whatever_comes),
        cmocka_unit_test(message_is_bounded_valid_utf8_for_any_output),
        cmocka_unit_test(newest_lines_win),
        cmocka_unit_test(file_is_written_in_place_and_cut),
        cmocka_unit_test(refusal_has_the_row_of_its_status_and_every_mistake),
        cmocka_unit_test(missing_file_is_silent_by_default_and_made_when_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_base.c - the ground keeps its promises: errors, numbers, buffers, arenas, UTF-8, safe names, notify messages. */
#include "tests/unit/test.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/io.h"
#include "base/list.h"
#include "base/notify.h"
#include "base/num.h"
#include "base/utf8.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

static void err_keeps_code_and_puts_context_in_front(void **unused) {
    (void) unused;
    struct hold_err err = { 0 };
    assert_int_equal(hold_fail(&err, HOLD_E_IO, 2, "open '%s'", "x\n"), -1);
    assert_string_equal(err.text, "open 'x?': No such file or directory");
    assert_int_equal(hold_wrap(&err, "load model"), -1);
    assert_string_equal(err.text, "load model: open 'x?': No such file or directory");
    assert_int_equal(err.code, HOLD_E_IO);
    assert_int_equal(err.sys, 2);
    for (int i = 0; i < 200; i++)
        hold_wrap(&err, "context");
    assert_int_equal(strlen(err.text), HOLD_ERR_TEXT_BYTES - 1);
}

static void numbers_take_the_whole_text_or_nothing(void **unused) {
    (void) unused;
    static const char *const wrong[] = { "", " 1", "1 ", "+1", "-1", "0x1", "1.0", "18446744073709551616", "99999999999999999999999" };
    uint64_t value = 7;
    for (size_t i = 0; i < HOLD_COUNT_OF(wrong); i++)
        assert_int_equal(hold_parse_u64(wrong[i], 0, UINT64_MAX, &value, NULL), -1);
    assert_int_equal(value, 7);
    assert_int_equal(hold_parse_u64("18446744073709551615", 0, UINT64_MAX, &value, NULL), 0);
    assert_true(value == UINT64_MAX);
    int64_t whole;
    assert_int_equal(hold_parse_i64("-9223372036854775808", INT64_MIN, INT64_MAX, &whole, NULL), 0);
    assert_true(whole == INT64_MIN);
    assert_int_equal(hold_parse_i64("9223372036854775808", INT64_MIN, INT64_MAX, &whole, NULL), -1);
    double real;
    static const char *const not_real[] = { "nan", "inf", "1e999", ".5", "1.", "0x1p3", " 1", "1e", "--1" };
    for (size_t i = 0; i < HOLD_COUNT_OF(not_real); i++)
        assert_int_equal(hold_parse_f64(not_real[i], -1e308, 1e308, &real, NULL), -1);
    assert_int_equal(hold_parse_f64("-1.5e3", -1e9, 1e9, &real, NULL), 0);
    assert_true(real == -1500);
}

static void sizes_and_durations_carry_their_unit(void **unused) {
    (void) unused;
    uint64_t value;
    assert_int_equal(hold_parse_bytes("1.5GiB", 0, UINT64_MAX, &value, NULL), 0);
    assert_int_equal(value, 3ull << 29);
    assert_int_equal(hold_parse_bytes("20GB", 0, UINT64_MAX, &value, NULL), 0);
    assert_int_equal(value, 20000000000);
    static const char *const wrong[] = { "12QB", "-1", "99999999TiB", "", "1 GiB", "GiB" };
    for (size_t i = 0; i < HOLD_COUNT_OF(wrong); i++)
        assert_int_equal(hold_parse_bytes(wrong[i], 0, UINT64_MAX, &value, NULL), -1);
    assert_int_equal(hold_parse_ms("1.5s", 0, UINT64_MAX, &value, NULL), 0);
    assert_int_equal(value, 1500);
    assert_int_equal(hold_parse_ms("0", 0, UINT64_MAX, &value, NULL), 0);
    assert_int_equal(hold_parse_ms("5", 0, UINT64_MAX, &value, NULL), -1);
    struct hold_err err = { 0 };
    assert_int_equal(hold_parse_ms("10m", 0, 300000, &value, &err), -1);
    assert_string_equal(err.text, "'10m' is outside 0ms to 5m");
    char text[32];
    static const uint64_t durations[] = { 0, 1, 250, 1000, 1500, 60000, 7200000, 90001 };
    for (size_t i = 0; i < HOLD_COUNT_OF(durations); i++) {
        hold_format_ms(durations[i], text, sizeof text);
        assert_int_equal(hold_parse_ms(text, 0, UINT64_MAX, &value, NULL), 0);
        assert_int_equal(value, durations[i]);
    }
}

static void buf_never_passes_its_maximum(void **unused) {
    (void) unused;
    hold_autobuf b = hold_buf_with_max(10);
    hold_buf_adds(&b, "0123456789");
    assert_false(b.failed);
    hold_buf_addc(&b, 'x');
    assert_true(b.failed);
    assert_int_equal(b.n, 10);
    struct hold_err err = { 0 };
    assert_int_equal(hold_buf_check(&b, "answer", &err), -1);
    assert_int_equal(err.code, HOLD_E_LIMIT);
    hold_buf_clear(&b);
    hold_buf_addf(&b, "%d-%s", 42, "abc");
    hold_buf_consume(&b, 3);
    assert_string_equal(b.data, "abc");
}

static void json_text_is_escaped(void **unused) {
    (void) unused;
    hold_autobuf b = hold_buf_with_max(256);
    static const char text[] = "a\"\\\n\x01\xff\xe4\xbd\xa0\x7f";
    hold_buf_add_json(&b, text, sizeof text - 1);
    assert_string_equal(b.data, "\"a\\\"\\\\\\n\\u0001\xef\xbf\xbd\xe4\xbd\xa0\\u007f\"");
}

static void arena_is_zeroed_aligned_and_bounded(void **unused) {
    (void) unused;
    hold_autoarena a = hold_arena_with_max(100000);
    for (int i = 0; i < 1000; i++) {
        unsigned char *p = hold_arena_take(&a, 33);
        assert_non_null(p);
        assert_int_equal((uintptr_t) p % 16, 0);
        for (int k = 0; k < 33; k++)
            assert_int_equal(p[k], 0);
        memset(p, 0xff, 33);
    }
    assert_null(hold_arena_take(&a, 100000));
    assert_null(hold_arena_array(&a, SIZE_MAX / 2, 3));
    assert_string_equal(hold_arena_copy(&a, "abcdef", 3), "abc");
}

static void utf8_is_exactly_the_well_formed_sequences(void **unused) {
    (void) unused;
    unsigned n_valid = 0;
    for (uint32_t code = 0; code < 0x120000; code++) {
        unsigned char p[4] = { (unsigned char) (0xf0 | code >> 18), (unsigned char) (0x80 | (code >> 12 & 0x3f)),
                               (unsigned char) (0x80 | (code >> 6 & 0x3f)), (unsigned char) (0x80 | (code & 0x3f)) };
        if (hold_utf8_length(p, 4) == 4) {
            n_valid++;
            assert_int_equal(hold_utf8_decode(p, 4), code);
        }
        unsigned char q[3] = { (unsigned char) (0xe0 | code >> 12), p[2], p[3] };
        if (code < 0x10000 && hold_utf8_length(q, 3) == 3) {
            n_valid++;
            assert_int_equal(hold_utf8_decode(q, 3), code);
        }
    }
    assert_int_equal(n_valid, 0x100000 + 0x10000 - 0x800 - 0x800);
    assert_int_equal(hold_utf8_length((const unsigned char *) "\xc1\x80", 2), 0);
    assert_int_equal(hold_utf8_length((const unsigned char *) "\xe4\xbd", 2), 0);
}

static void names_that_leave_the_folder_are_refused(void **unused) {
    (void) unused;
    static const char *const wrong[] = { "", "/", "/etc", "..", "a/../b", "./a", "a//b", "a/", "a\nb", "a\\b", ".", "a/." };
    static const char *const right[] = { "a", "a/b", "model-00001-of-00004.safetensors", "..a", "a..b/c" };
    for (size_t i = 0; i < HOLD_COUNT_OF(wrong); i++)
        assert_false(hold_name_is_safe(wrong[i]));
    for (size_t i = 0; i < HOLD_COUNT_OF(right); i++)
        assert_true(hold_name_is_safe(right[i]));
}

static void files_are_published_whole(void **unused) {
    (void) unused;
    char folder[] = "/tmp/hold-base-XXXXXX", path[64];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/x", folder);
    struct hold_err err = { 0 };
    assert_int_equal(hold_write_file(path, "hello", 5, 0600, &err), 0);
    hold_autobuf b = hold_buf_with_max(5);
    assert_int_equal(hold_read_file(path, &b, &err), 0);
    assert_string_equal(b.data, "hello");
    hold_autobuf small = hold_buf_with_max(4);
    assert_int_equal(hold_read_file(path, &small, &err), -1);
    assert_int_equal(err.code, HOLD_E_LIMIT);
    assert_int_equal(hold_read_file(folder, &b, &err), -1);
    unlink(path);
    rmdir(folder);
}

/* Two containers on one volume number their processes alike: no temporary name may come of the number. */
static void files_are_published_beside_a_writer_of_the_same_process_id(void **unused) {
    (void) unused;
    char folder[] = "/tmp/hold-base-XXXXXX", path[64], theirs[96];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/x", folder);
    snprintf(theirs, sizeof theirs, "%s.%d.part", path, (int) getpid());
    struct hold_err err = { 0 };
    int fd = open(theirs, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(hold_write_all(fd, "theirs", 6, theirs, &err), 0);
    close(fd);
    assert_int_equal(hold_write_file(path, "ours", 4, 0600, &err), 0);
    hold_autobuf b = hold_buf_with_max(16);
    assert_int_equal(hold_read_file(theirs, &b, &err), 0);
    assert_string_equal(b.data, "theirs");
    unlink(theirs);
    unlink(path);
    assert_int_equal(rmdir(folder), 0);
}

static void notify_carries_text_and_descriptors(void **unused) {
    (void) unused;
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    struct hold_err err = { 0 };
    int fds[2] = { 0, 1 };
    assert_int_equal(hold_notify_send(pair[0], "READY=1\nX_HOLDFAST_PROGRESS=3/10\nSTATUS=a\x01""b", fds, 2, &err), 0);
    static struct hold_notify m;
    assert_int_equal(hold_notify_recv(pair[1], &m, &err), 1);
    uint64_t value, total;
    char text[16];
    assert_int_equal(m.n_fds, 2);
    assert_true(hold_notify_u64(&m, "READY", &value) && value == 1);
    assert_true(hold_notify_ratio(&m, "X_HOLDFAST_PROGRESS", &value, &total) && value == 3 && total == 10);
    assert_true(hold_notify_str(&m, "STATUS", text, sizeof text));
    assert_string_equal(text, "a?b");
    assert_false(hold_notify_u64(&m, "EADY", &value));
    hold_notify_close_fds(&m);
    assert_int_equal(hold_notify_recv(pair[1], &m, &err), 0);
    close(pair[0]);
    assert_int_equal(hold_notify_recv(pair[1], &m, &err), -1);
    assert_int_equal(err.code, HOLD_E_MISSING);
    close(pair[1]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(err_keeps_code_and_puts_context_in_front),
        cmocka_unit_test(numbers_take_the_whole_text_or_nothing),
        cmocka_unit_test(sizes_and_durations_carry_their_unit),
        cmocka_unit_test(buf_never_passes_its_maximum),
        cmocka_unit_test(json_text_is_escaped),
        cmocka_unit_test(arena_is_zeroed_aligned_and_bounded),
        cmocka_unit_test(utf8_is_exactly_the_well_formed_sequences),
        cmocka_unit_test(names_that_leave_the_folder_are_refused),
        cmocka_unit_test(files_are_published_whole),
        cmocka_unit_test(files_are_published_beside_a_writer_of_the_same_process_id),
        cmocka_unit_test(notify_carries_text_and_descriptors),
    };
    return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}

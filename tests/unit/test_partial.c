/* test_partial.c - a file on its way survives the death of its fetcher, and two fetchers never share a partial. */
#include "tests/unit/test.h"

#include "base/auto.h"
#include "supervisor/job/partial.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64];
static int folder_fd;

static int enter(void **unused) {
    (void) unused;
    snprintf(folder, sizeof folder, "/tmp/hold-partial-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return folder_fd < 0 ? -1 : 0;
}

static int leave(void **unused) {
    (void) unused;
    DIR *d = fdopendir(folder_fd);
    for (struct dirent *e = readdir(d); e; e = readdir(d))
        unlinkat(dirfd(d), e->d_name, 0);
    closedir(d);
    return rmdir(folder);
}

static int count(const char *end) {
    int n = 0;
    DIR *d = opendir(folder);
    for (struct dirent *e = readdir(d); e; e = readdir(d)) {
        size_t a = strlen(e->d_name), b = strlen(end);
        n += e->d_name[0] != '\0' && strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 && a >= b && strcmp(e->d_name + a - b, end) == 0;
    }
    closedir(d);
    return n;
}

static struct hold_partial_target target(bool is_pinned, uint64_t size) {
    return (struct hold_partial_target) { .folder_fd = folder_fd, .key = { 1, 2, 3, 4, 5, 6, 7, 8 }, .size = size, .is_pinned = is_pinned, .uses_flock = true };
}

static uint8_t pattern[3000000];

static void fill(void) {
    uint32_t x = 1;
    for (size_t i = 0; i < sizeof pattern; i++) {
        x = x * 1664525 + 1013904223;
        pattern[i] = (uint8_t) (x >> 24);
    }
}

static void what_is_published_is_what_was_added(void **unused) {
    (void) unused;
    struct hold_verdict v = { 0 };
    struct hold_partial p;
    struct hold_partial_target t = target(true, sizeof pattern);
    struct hold_digest_value value;
    uint8_t sha256[32];
    struct stat st;
    fill();
    assert_int_equal(hold_partial_open(&p, &t, &v), 0);
    assert_int_equal(hold_partial_reserve(&p, sizeof pattern, &v), 0);
    for (size_t at = 0; at < sizeof pattern; at += 4567)
        assert_int_equal(hold_partial_add(&p, pattern + at, sizeof pattern - at < 4567 ? sizeof pattern - at : 4567, &v), 0);
    assert_int_equal(hold_partial_digest(&p, &value, &v), 0);
    assert_int_equal(hold_digest_bytes(pattern, sizeof pattern, sha256, &v.err), 0);
    assert_memory_equal(value.sha256, sha256, 32);
    assert_int_equal(count("whole"), 0); /* nothing stands under the name before */
    assert_int_equal(hold_partial_publish(&p, "whole", &v), 0);
    hold_partial_close(&p);
    assert_int_equal(fstatat(folder_fd, "whole", &st, 0), 0);
    assert_int_equal(st.st_size, sizeof pattern);
    assert_int_equal(count(""), 1); /* and nothing else is left */
}

static void the_next_life_goes_on_and_hashes_what_it_found(void **unused) {
    (void) unused;
    struct hold_verdict v = { 0 };
    struct hold_partial p;
    struct hold_partial_target t = target(true, sizeof pattern);
    struct hold_digest_value value;
    uint8_t sha256[32];
    fill();
    for (size_t at = 0; at < sizeof pattern; at += 1000000) {
        _Atomic uint64_t progress = 0;
        t.progress = &progress;
        assert_int_equal(hold_partial_open(&p, &t, &v), 0);
        assert_int_equal(p.bytes, at);
        assert_int_equal(progress, at);
        assert_int_equal(hold_partial_add(&p, pattern + at, 1000000, &v), 0);
        if (at + 1000000 < sizeof pattern)
            hold_partial_close(&p);
    }
    assert_int_equal(hold_partial_digest(&p, &value, &v), 0);
    assert_int_equal(hold_digest_bytes(pattern, sizeof pattern, sha256, &v.err), 0);
    assert_memory_equal(value.sha256, sha256, 32);
    hold_partial_close(&p);
    assert_int_equal(count(".part"), 1);
}

static void two_fetchers_have_two_partials_and_one_name(void **unused) {
    (void) unused;
    struct hold_verdict v = { 0 };
    struct hold_partial a, b;
    struct hold_partial_target t = target(true, 10);
    assert_int_equal(hold_partial_open(&a, &t, &v), 0);
    assert_int_equal(hold_partial_add(&a, "01234", 5, &v), 0);
    assert_int_equal(hold_partial_flush(&a, &v), 0);
    assert_int_equal(hold_partial_open(&b, &t, &v), 0);
    assert_int_equal(b.bytes, 0); /* the living one's bytes are not taken */
    assert_int_equal(count(".part"), 2);
    assert_int_equal(hold_partial_add(&b, "0123456789", 10, &v), 0);
    assert_int_equal(hold_partial_flush(&b, &v), 0);
    assert_int_equal(hold_partial_publish(&b, "x", &v), 0);
    hold_partial_close(&b);
    assert_int_equal(count(".part"), 1); /* and not removed under it either */
    assert_int_equal(hold_partial_add(&a, "56789", 5, &v), 0);
    assert_int_equal(hold_partial_flush(&a, &v), 0);
    assert_int_equal(hold_partial_publish(&a, "x", &v), 0);
    hold_partial_close(&a);
    assert_int_equal(count(""), 1);
}

static void bytes_of_an_unpinned_file_need_their_validator(void **unused) {
    (void) unused;
    struct hold_verdict v = { 0 };
    struct hold_partial p;
    struct hold_partial_target t = target(false, UINT64_MAX);
    assert_int_equal(hold_partial_open(&p, &t, &v), 0);
    assert_int_equal(hold_partial_add(&p, "01234", 5, &v), 0);
    hold_partial_close(&p);
    assert_int_equal(hold_partial_open(&p, &t, &v), 0);
    assert_int_equal(p.bytes, 0); /* nobody knows of which version they were */
    const struct hold_validator from = { .etag = "\"v1\"", .total = 99 };
    assert_int_equal(hold_partial_remember(&p, &from, &v), 0);
    assert_int_equal(hold_partial_add(&p, "01234", 5, &v), 0);
    hold_partial_close(&p);
    assert_int_equal(hold_partial_open(&p, &t, &v), 0);
    assert_int_equal(p.bytes, 5);
    assert_string_equal(p.from.etag, "\"v1\"");
    assert_int_equal(p.from.total, 99);
    assert_int_equal(hold_partial_restart(&p, &v), 0);
    assert_int_equal(p.bytes, 0);
    hold_partial_close(&p);
    assert_int_equal(count(""), 0); /* an empty partial leaves nothing */
}

static void a_partial_longer_than_the_file_is_begun_again(void **unused) {
    (void) unused;
    struct hold_verdict v = { 0 };
    struct hold_partial p;
    struct hold_partial_target t = target(true, 100);
    assert_int_equal(hold_partial_open(&p, &t, &v), 0);
    assert_int_equal(hold_partial_add(&p, "0123456789", 10, &v), 0);
    hold_partial_close(&p);
    t.size = 9;
    assert_int_equal(hold_partial_open(&p, &t, &v), 0);
    assert_int_equal(p.bytes, 0);
    hold_partial_close(&p);
}

static void links_and_pipes_in_its_place_are_not_followed(void **unused) {
    (void) unused;
    struct hold_verdict v = { 0 };
    struct hold_partial p;
    struct hold_partial_target t = target(true, 100);
    assert_int_equal(symlinkat("/etc/passwd", folder_fd, ".holdfast-0102030405060708-aaaaaaaa.part"), 0);
    assert_int_equal(mkfifoat(folder_fd, ".holdfast-0102030405060708-bbbbbbbb.part", 0600), 0);
    assert_int_equal(hold_partial_open(&p, &t, &v), 0);
    assert_int_equal(p.bytes, 0);
    hold_partial_close(&p);
}

/* The disk is full at every byte of a small file in turn: named, nothing under the name, and the next life has every byte that fitted. */
static void a_disk_that_is_full_at_any_byte_costs_nothing_but_the_rest(void **unused) {
    (void) unused;
    enum { N = 1500, STEP = 100 };
    struct rlimit was;
    uint8_t wanted[32];
    struct hold_err err;
    fill();
    assert_int_equal(hold_digest_bytes(pattern, N, wanted, &err), 0);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
    signal(SIGXFSZ, SIG_IGN);
    for (rlim_t room = 0; room <= N; room++) {
        struct hold_verdict v = { 0 };
        struct hold_partial p;
        struct hold_partial_target t = target(true, N);
        struct hold_digest_value value;
        int rc = 0;
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &(struct rlimit) { .rlim_cur = room, .rlim_max = was.rlim_max }), 0);
        assert_int_equal(hold_partial_open(&p, &t, &v), 0);
        for (size_t at = 0; rc == 0 && at < N; at += STEP) {
            rc = hold_partial_add(&p, pattern + at, STEP, &v);
            if (rc == 0)
                rc = hold_partial_flush(&p, &v);
        }
        assert_int_equal(rc, room < N ? -1 : 0);
        if (rc < 0)
            assert_int_equal(v.err.sys, EFBIG);
        hold_partial_close(&p);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
        assert_int_equal(hold_partial_open(&p, &t, &v), 0);
        assert_int_equal(p.bytes, room / STEP * STEP);
        assert_int_equal(hold_partial_add(&p, pattern + p.bytes, N - (size_t) p.bytes, &v), 0);
        assert_int_equal(hold_partial_digest(&p, &value, &v), 0);
        assert_memory_equal(value.sha256, wanted, 32);
        assert_int_equal(hold_partial_publish(&p, "x", &v), 0);
        hold_partial_close(&p);
        assert_int_equal(count(""), 1);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_published_is_what_was_added, enter, leave),
        cmocka_unit_test_setup_teardown(the_next_life_goes_on_and_hashes_what_it_found, enter, leave),
        cmocka_unit_test_setup_teardown(two_fetchers_have_two_partials_and_one_name, enter, leave),
        cmocka_unit_test_setup_teardown(bytes_of_an_unpinned_file_need_their_validator, enter, leave),
        cmocka_unit_test_setup_teardown(a_disk_that_is_full_at_any_byte_costs_nothing_but_the_rest, enter, leave),
        cmocka_unit_test_setup_teardown(a_partial_longer_than_the_file_is_begun_again, enter, leave),
        cmocka_unit_test_setup_teardown(links_and_pipes_in_its_place_are_not_followed, enter, leave),
    };
    return cmocka_run_group_tests_name("partial", tests, NULL, NULL);
}

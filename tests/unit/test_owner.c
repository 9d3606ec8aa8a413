/* test_owner.c - records of who brings a file: one holder, counters that move, no trust in anything else. */
#include "tests/unit/test.h"

#include "base/auto.h"
#include "supervisor/job/owner.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define STILL_MS 60000
#define EVERY_MS 1000

static const uint8_t key[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };
static char folder[64];
static int folder_fd;

static int enter(void **unused) {
    (void) unused;
    snprintf(folder, sizeof folder, "/tmp/hold-owner-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return folder_fd < 0 ? -1 : 0;
}

static int count(void) {
    int n = -2;
    DIR *d = opendir(folder);
    for (struct dirent *e = readdir(d); e; e = readdir(d))
        n++;
    closedir(d);
    return n;
}

static int leave(void **unused) {
    (void) unused;
    DIR *d = fdopendir(folder_fd);
    for (struct dirent *e = readdir(d); e; e = readdir(d))
        unlinkat(dirfd(d), e->d_name, 0);
    closedir(d);
    return rmdir(folder);
}

static enum hold_owner_look look(struct hold_owner_seen *seen, uint64_t now_ms, bool uses_flock, struct hold_owner_text *ret_text) {
    return hold_owner_look(folder_fd, key, now_ms, STILL_MS, EVERY_MS, uses_flock, seen, ret_text);
}

static void a_record_reads_as_it_was_written(void **unused) {
    (void) unused;
    struct hold_owner_text text = { .token = 0x1122334455667788, .counter = 7, .done = 100, .total = UINT64_MAX, .pid = 4, .is_locked = 1, .host = "pod-7.x_y" }, again;
    char bytes[HOLD_OWNER_BYTES];
    hold_owner_write(&text, bytes);
    assert_true(hold_owner_parse(bytes, sizeof bytes, &again));
    assert_memory_equal(&text, &again, sizeof text);
    assert_false(hold_owner_parse(bytes, sizeof bytes - 1, &again));
    for (size_t i = 0; i < sizeof bytes; i++) { /* a byte that cannot be in one */
        char was = bytes[i];
        bytes[i] = '\0';
        assert_false(hold_owner_parse(bytes, sizeof bytes, &again));
        bytes[i] = was;
    }
}

static void one_holder_at_a_time(void **unused) {
    (void) unused;
    struct hold_owner a, b;
    assert_true(hold_owner_take(&a, folder_fd, key, 10, true));
    assert_false(hold_owner_take(&b, folder_fd, key, 10, true));
    assert_int_equal(errno, EEXIST);
    assert_int_equal(count(), 1);
    hold_owner_drop(&b, false); /* holds none: nothing happens */
    assert_true(hold_owner_is_ours(&a));
    hold_owner_drop(&a, false);
    assert_int_equal(count(), 0);
    assert_true(hold_owner_take(&b, folder_fd, key, 10, false));
    hold_owner_drop(&b, false);
}

static void a_counter_that_moves_is_never_dead_and_one_that_stands_still_is(void **unused) {
    (void) unused;
    struct hold_owner a;
    struct hold_owner_seen seen = { 0 };
    struct hold_owner_text text;
    assert_int_equal(look(&seen, 0, false, &text), HOLD_OWNER_NONE);
    assert_true(hold_owner_take(&a, folder_fd, key, 10, false));
    uint64_t now = 5;
    for (int i = 0; i < 200; i++, now += EVERY_MS) {
        assert_true(hold_owner_beat(&a, 3));
        assert_int_equal(look(&seen, now, false, &text), HOLD_OWNER_MOVES);
    }
    assert_int_equal(text.done, 3);
    uint64_t stood = now;
    while (look(&seen, now, false, &text) != HOLD_OWNER_DEAD)
        now += EVERY_MS;
    assert_in_range(now - stood, STILL_MS - 2 * EVERY_MS, STILL_MS + EVERY_MS);
    hold_owner_drop(&a, false);
}

static void a_reader_that_slept_does_not_take_the_others_for_dead(void **unused) {
    (void) unused;
    struct hold_owner a;
    struct hold_owner_seen seen = { 0 };
    struct hold_owner_text text;
    assert_true(hold_owner_take(&a, folder_fd, key, 10, false));
    assert_int_equal(look(&seen, 1000, false, &text), HOLD_OWNER_MOVES);
    assert_int_equal(look(&seen, 1000 + 10 * STILL_MS, false, &text), HOLD_OWNER_MOVES);
    hold_owner_drop(&a, false);
}

static void a_lock_that_fell_shows_a_death_at_once(void **unused) {
    (void) unused;
    struct hold_owner_seen seen = { 0 };
    struct hold_owner_text text;
    if (!hold_locks_are_kept(folder_fd))
        skip();
    pid_t child = fork();
    if (child == 0) {
        struct hold_owner a;
        _exit(hold_owner_take(&a, folder_fd, key, 10, true) && look(&seen, 0, true, &text) == HOLD_OWNER_MOVES ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    struct hold_owner_seen without = { 0 };
    assert_int_equal(look(&without, 0, false, &text), HOLD_OWNER_MOVES); /* who believes no lock waits */
    assert_int_equal(look(&seen, 0, true, &text), HOLD_OWNER_DEAD);
    hold_owner_evict(folder_fd, key, &seen);
    assert_int_equal(count(), 0);
}

static void a_holder_without_lock_is_not_dead_for_that(void **unused) {
    (void) unused;
    struct hold_owner a;
    struct hold_owner_seen seen = { 0 };
    struct hold_owner_text text;
    assert_true(hold_owner_take(&a, folder_fd, key, 10, false)); /* as from a host whose locks do not reach us */
    assert_int_equal(look(&seen, 0, true, &text), HOLD_OWNER_MOVES);
    hold_owner_drop(&a, false);
}

static void only_the_record_that_stood_still_is_taken_away(void **unused) {
    (void) unused;
    struct hold_owner a, b;
    struct hold_owner_seen seen = { 0 };
    struct hold_owner_text text;
    assert_true(hold_owner_take(&a, folder_fd, key, 10, false));
    (void) look(&seen, 0, false, &text);
    hold_owner_drop(&a, false);
    assert_true(hold_owner_take(&b, folder_fd, key, 10, false));
    hold_owner_evict(folder_fd, key, &seen); /* somebody was quicker */
    assert_true(hold_owner_is_ours(&b));
    assert_int_equal(count(), 1);
    hold_owner_drop(&b, false);
}

static void who_was_taken_over_learns_it_and_leaves_the_next_one_alone(void **unused) {
    (void) unused;
    struct hold_owner a, b;
    struct hold_owner_seen seen = { 0 };
    struct hold_owner_text text;
    assert_true(hold_owner_take(&a, folder_fd, key, 10, false));
    (void) look(&seen, 0, false, &text);
    hold_owner_evict(folder_fd, key, &seen);
    assert_false(hold_owner_beat(&a, 1)); /* gone */
    assert_true(hold_owner_take(&b, folder_fd, key, 10, false));
    assert_false(hold_owner_beat(&a, 1)); /* another's */
    assert_false(hold_owner_is_ours(&a));
    hold_owner_drop(&a, false);
    assert_true(hold_owner_is_ours(&b));
    hold_owner_drop(&b, false);
    assert_int_equal(count(), 0);
}

static void a_file_that_is_done_takes_its_partials_with_it_and_no_others(void **unused) {
    (void) unused;
    static const char *const names[] = { ".holdfast-0102030405060708-n00000001.part", ".holdfast-0102030405060708-00000002.part.pieces", ".holdfast-0102030405060709-00000001.part" };
    struct hold_owner a;
    for (size_t i = 0; i < 3; i++)
        close(openat(folder_fd, names[i], O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
    assert_true(hold_owner_take(&a, folder_fd, key, 10, false));
    hold_owner_drop(&a, false);
    assert_int_equal(count(), 3);
    assert_true(hold_owner_take(&a, folder_fd, key, 10, false));
    hold_owner_drop(&a, true);
    assert_int_equal(count(), 1);
}

static void what_dead_takers_left_goes_with_the_record(void **unused) {
    (void) unused;
    struct hold_owner a;
    char name[64];
    assert_true(hold_owner_take(&a, folder_fd, key, 10, false));
    snprintf(name, sizeof name, ".holdfast-0102030405060708-00000001.claim");
    close(openat(folder_fd, name, O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
    snprintf(name, sizeof name, ".holdfast-0102030405060708-00000001.gone");
    close(openat(folder_fd, name, O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
    hold_owner_drop(&a, false);
    assert_int_equal(count(), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, enter, leave)
int main(void) {
    const struct CMUnitTest tests[] = {
        T(a_record_reads_as_it_was_written),
        T(one_holder_at_a_time),
        T(a_counter_that_moves_is_never_dead_and_one_that_stands_still_is),
        T(a_reader_that_slept_does_not_take_the_others_for_dead),
        T(a_lock_that_fell_shows_a_death_at_once),
        T(a_holder_without_lock_is_not_dead_for_that),
        T(only_the_record_that_stood_still_is_taken_away),
        T(who_was_taken_over_learns_it_and_leaves_the_next_one_alone),
        T(a_file_that_is_done_takes_its_partials_with_it_and_no_others),
        T(what_dead_takers_left_goes_with_the_record),
    };
    return cmocka_run_group_tests_name("owner", tests, NULL, NULL);
}

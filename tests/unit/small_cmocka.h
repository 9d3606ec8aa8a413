/* small_cmocka.h - the few words of cmocka that the tests of pure code use, for a cross build whose architecture has no
 * cmocka package. Same names and meaning; a failed assertion ends the program. */
#ifndef HOLD_TESTS_SMALL_CMOCKA_H
#define HOLD_TESTS_SMALL_CMOCKA_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct CMUnitTest {
    const char *name;
    void (*run)(void **);
};

#define cmocka_unit_test(f) { #f, f }

#define fail_msg(...) (fprintf(stderr, "%s:%d: ", __FILE__, __LINE__), fprintf(stderr, __VA_ARGS__), fputc('\n', stderr), exit(1))
#define small_check(truth, text) ((truth) ? (void) 0 : (void) (fail_msg("%s", text)))
#define assert_true(c) small_check((c), #c)
#define assert_false(c) small_check(!(c), "not " #c)
#define assert_non_null(p) small_check((p) != NULL, #p)
#define assert_null(p) small_check((p) == NULL, #p)
#define assert_int_equal(a, b) small_check((uintmax_t) (intmax_t) (a) == (uintmax_t) (intmax_t) (b), #a " == " #b)
#define assert_int_not_equal(a, b) small_check((uintmax_t) (intmax_t) (a) != (uintmax_t) (intmax_t) (b), #a " != " #b)
#define assert_string_equal(a, b) small_check(strcmp((a), (b)) == 0, #a " equals " #b)
#define assert_memory_equal(a, b, n) small_check(memcmp((a), (b), (n)) == 0, #a " equals " #b)
#define assert_in_range(v, low, high) small_check((v) >= (low) && (v) <= (high), #v " in range")
#define skip() return
#define print_message(...) printf(__VA_ARGS__)
#define print_error(...) fprintf(stderr, __VA_ARGS__)
#define fail() fail_msg("failed")

static inline int small_run(const char *group, const struct CMUnitTest *tests, size_t n, int (*setup)(void **), int (*teardown)(void **)) {
    void *state = NULL;
    if (setup && setup(&state) != 0)
        return 1;
    for (size_t i = 0; i < n; i++) {
        tests[i].run(&state);
        printf("ok %s: %s\n", group, tests[i].name);
    }
    return teardown ? teardown(&state) : 0;
}
#define cmocka_run_group_tests_name(group, tests, setup, teardown) \
    small_run((group), (tests), sizeof(tests) / sizeof((tests)[0]), (setup), (teardown))
#define cmocka_run_group_tests(tests, setup, teardown) cmocka_run_group_tests_name("tests", tests, setup, teardown)

#endif

/* test_opt_env.c - variables that are no options are told, and only those. */
#include "tests/unit/test.h"

#include "base/opt.h"
#include "supervisor/host/config.h"

#include <string.h>

static void strangers(const char *const *environment, struct hold_buf *out) {
    const struct hold_opt_names names = { .prefix = "HOLDFAST_", .rows = hold_config_rows, .n_rows = hold_n_config_rows, .known = hold_config_other_names };
    hold_opt_strangers(&names, environment, out);
}

static void a_mistyped_variable_names_the_near_one_and_never_its_value(void **unused) {
    (void) unused;
    const char *const environment[] = { "HOLDFAST_RESTRAT=s3cret", "PATH=/bin", NULL };
    hold_autobuf out = hold_buf_with_max(4096);
    strangers(environment, &out);
    assert_string_equal(out.data, "HOLDFAST_RESTRAT: no such variable; did you mean HOLDFAST_RESTART?\n");
}

static void what_nothing_is_near_to_is_told_all_the_same(void **unused) {
    (void) unused;
    const char *const environment[] = { "HOLDFAST_QWERTYUIOP=1", "HOLDFAST_=1", NULL };
    hold_autobuf out = hold_buf_with_max(4096);
    strangers(environment, &out);
    assert_non_null(strstr(out.data, "HOLDFAST_QWERTYUIOP: no such variable\n"));
    assert_non_null(strstr(out.data, "HOLDFAST_: no such variable\n"));
}

static void the_links_of_a_service_called_like_us_are_no_strangers(void **unused) {
    (void) unused;
    const char *const environment[] = { "HOLDFAST_SERVICE_HOST=10.0.0.1", "HOLDFAST_SERVICE_PORT=80", "HOLDFAST_SERVICE_PORT_HTTP=80", "HOLDFAST_PORT=tcp://10.0.0.1:80",
                                        "HOLDFAST_PORT_80_TCP=tcp://10.0.0.1:80", "HOLDFAST_PORT_80_TCP_ADDR=10.0.0.1", "HOLDFAST_FRONT_SERVICE_HOST=10.0.0.1", NULL };
    hold_autobuf out = hold_buf_with_max(4096);
    strangers(environment, &out);
    assert_int_equal(out.n, 0);
}

static void no_option_of_process_1_is_a_stranger(void **unused) {
    (void) unused;
    for (size_t i = 0; i < hold_n_config_rows; i++) {
        char name[128];
        hold_opt_env_name(&hold_config_rows[i], name, 96);
        const char *const environment[] = { strcat(name, "=1"), NULL };
        hold_autobuf out = hold_buf_with_max(4096);
        strangers(environment, &out);
        if (out.n)
            fail_msg("%s", out.data);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mistyped_variable_names_the_near_one_and_never_its_value),
        cmocka_unit_test(what_nothing_is_near_to_is_told_all_the_same),
        cmocka_unit_test(the_links_of_a_service_called_like_us_are_no_strangers),
        cmocka_unit_test(no_option_of_process_1_is_a_stranger),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_sandbox.c - a child performs its plan: descriptors closed but the kept ones, exec works exactly once, a path that is
 * missing stops the start with its name, and what /proc shows is held against what the plan says. Needs no root. */
#include "tests/unit/test.h"

#include "supervisor/host/sandbox.h"

#include "base/auto.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct hold_sandbox_plan plan;
static struct hold_sandbox_facts facts;

static void make(enum hold_profile p, const char *program, const char *model, const int *keep, size_t n_keep) {
    struct hold_err err = {0};
    struct hold_sandbox_request q = { .profile = p, .level = HOLD_SANDBOX_BEST_EFFORT, .program = program, .model_dir = model,
                                      .keep_fds = keep, .n_keep_fds = n_keep };
    hold_sandbox_facts_find(&facts);
    if (hold_sandbox_plan_for(&q, &facts, &plan, &err) < 0 || hold_sandbox_prepare(&plan, &err) < 0)
        fail_msg("%s", err.text);
}

static int status_of(pid_t pid) {
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

/* Runs `asked` in a child that has entered; its value is the exit status, 200 when entering failed. */
static int ask(int report_fd, int (*asked)(void)) {
    pid_t pid = fork();
    if (pid == 0) {
        struct hold_sandbox_fail fail;
        if (hold_sandbox_enter(&plan, report_fd, &fail) < 0)
            _exit(200);
        _exit(asked());
    }
    return status_of(pid);
}

static void the_facts_are_this_machine(void **unused) {
    (void) unused;
    hold_sandbox_facts_find(&facts);
    assert_int_equal(facts.uid, geteuid());
    assert_int_equal(facts.supervisor_pid, getpid());
    assert_true((facts.landlock_abi > 0) == (facts.landlock_errno == 0));
    assert_true(facts.has_seccomp == (facts.seccomp_errno == 0));
}

static int kept[2], report_end, stray;

static int which_are_open(void) {
    int n = 0;
    for (int fd = 3; fd < 100; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    bool is_right = fcntl(kept[0], F_GETFD) >= 0 && fcntl(kept[1], F_GETFD) >= 0 && fcntl(report_end, F_GETFD) >= 0 && fcntl(stray, F_GETFD) < 0;
    return is_right ? n : 100 + n;
}

static void descriptors_are_closed_but_the_kept_ones(void **unused) {
    (void) unused;
    enum { LOW = 10 }; /* all orders of the reporting descriptor among the kept ones */
    static const int places[][3] = { { LOW, LOW + 2, LOW + 4 }, { LOW, LOW + 1, LOW + 2 }, { LOW + 1, LOW + 5, LOW }, { LOW, LOW + 9, LOW + 5 } };
    for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
        hold_autofd null = open("/dev/null", O_RDONLY | O_CLOEXEC);
        for (int fd = LOW; fd < LOW + 20; fd++)
            assert_int_equal(dup2(null, fd), fd);
        kept[0] = places[i][0], kept[1] = places[i][1], report_end = places[i][2], stray = LOW + 12;
        make(HOLD_PROFILE_ENGINE_CPU, "/bin/true", NULL, kept, 2);
        assert_int_equal(ask(report_end, which_are_open), 3);
        for (int fd = LOW; fd < LOW + 20; fd++)
            close(fd);
    }
}

static int are_limits_set(void) {
    struct rlimit core, rt;
    bool is_right = getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_max == 0 && getrlimit(RLIMIT_RTPRIO, &rt) == 0 && rt.rlim_max == 0;
    struct rlimit as;
    return is_right && getrlimit(RLIMIT_AS, &as) == 0 && as.rlim_max == RLIM_INFINITY && umask(0) == 077 && prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? 0 : 1;
}

static void limits_are_set_and_address_space_is_not(void **unused) {
    (void) unused;
    make(HOLD_PROFILE_FRONT, "/bin/true", NULL, NULL, 0);
    assert_int_equal(ask(-1, are_limits_set), 0);
}

static int exec_again(void) {
    char name[] = "true", *argv[] = { name, NULL }, *env[] = { NULL };
    execve("/bin/true", argv, env);
    return errno == EPERM ? 7 : 8;
}

static void exec_works_for_the_supervisor_and_for_nobody_else(void **unused) {
    (void) unused;
    make(HOLD_PROFILE_FRONT, "/bin/true", NULL, NULL, 0);
    if (!plan.is_exec_once)
        skip();
    assert_int_equal(ask(-1, exec_again), 7);
    pid_t pid = fork();
    if (pid == 0) {
        struct hold_sandbox_fail fail;
        char name[] = "true", *argv[] = { name, NULL }, *env[] = { NULL };
        if (hold_sandbox_enter(&plan, -1, &fail) == 0)
            hold_sandbox_exec(&plan, "/bin/true", argv, env);
        _exit(9);
    }
    assert_int_equal(status_of(pid), 0);
}

static void a_missing_path_stops_the_start_with_its_name(void **unused) {
    (void) unused;
    make(HOLD_PROFILE_ENGINE_CPU, "/bin/true", "/no/such/model", NULL, 0);
    if (facts.landlock_abi < 1)
        skip();
    int report[2];
    assert_int_equal(pipe2(report, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct hold_sandbox_fail fail = {0};
        int rc = hold_sandbox_enter(&plan, report[1], &fail);
        _exit(rc == -1 && write(report[1], &fail, sizeof(fail)) == sizeof(fail) ? 0 : 1);
    }
    assert_int_equal(status_of(pid), 0);
    struct hold_sandbox_fail fail;
    assert_int_equal(read(report[0], &fail, sizeof(fail)), sizeof(fail));
    close(report[0]), close(report[1]);
    struct hold_err err = {0};
    assert_int_equal(hold_sandbox_fail_say(&plan, &fail, &err), -1);
    assert_int_equal(err.code, HOLD_E_DENIED);
    assert_non_null(strstr(err.text, "engine-cpu"));
    assert_non_null(strstr(err.text, "landlock-files"));
    assert_non_null(strstr(err.text, "'/no/such/model'"));
    assert_int_equal(err.sys, ENOENT);
    fail.op = UINT32_MAX; /* what a confused child could send */
    assert_int_equal(hold_sandbox_fail_say(&plan, &fail, &err), -1);
}

static void a_child_whose_parent_is_gone_does_not_start(void **unused) {
    (void) unused;
    make(HOLD_PROFILE_FRONT, "/bin/true", NULL, NULL, 0);
    plan.supervisor_pid++;
    for (size_t i = 0; i < plan.n_ops; i++)
        if (plan.ops[i].kind == HOLD_OP_DEATH_SIGNAL)
            plan.ops[i].extra++;
    assert_int_equal(ask(-1, which_are_open), 200);
}

static int waiting[2];

static int wait_for_the_parent(void) {
    char c;
    return read(waiting[0], &c, 1) == 1 ? 0 : 1;
}

static void what_proc_shows_is_held_against_the_plan(void **unused) {
    (void) unused;
    assert_int_equal(pipe(waiting), 0);
    const int keep[] = { waiting[0] };
    make(HOLD_PROFILE_ENGINE_CPU, "/bin/true", NULL, keep, 1);
    int entered[2];
    assert_int_equal(pipe2(entered, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct hold_sandbox_fail fail;
        if (hold_sandbox_enter(&plan, entered[1], &fail) < 0 || write(entered[1], "x", 1) != 1)
            _exit(200);
        _exit(wait_for_the_parent());
    }
    char c;
    assert_int_equal(read(entered[0], &c, 1), 1);
    struct hold_layer_report layers[HOLD_LAYER_COUNT];
    hold_sandbox_layers(&plan, pid, layers);
    assert_true(layers[HOLD_LAYER_NO_NEW_PRIVS].is_verified);
    assert_true(layers[HOLD_LAYER_CAPABILITIES].is_verified);
    assert_int_equal(layers[HOLD_LAYER_CALLS].is_verified, facts.has_seccomp);
    assert_false(layers[HOLD_LAYER_FILES].is_verified); /* Landlock leaves no trace */
    /* The same plan held against a process that has none of it: this one. */
    hold_sandbox_layers(&plan, getpid(), layers);
    assert_int_equal(layers[HOLD_LAYER_CALLS].note.state, HOLD_LAYER_MISSING);
    assert_false(layers[HOLD_LAYER_CALLS].is_verified);
    assert_int_equal(write(waiting[1], "x", 1), 1);
    assert_int_equal(status_of(pid), 0);
    hold_sandbox_layers(&plan, pid, layers); /* gone: nothing is verified, nothing is claimed missing */
    assert_false(layers[HOLD_LAYER_NO_NEW_PRIVS].is_verified);
    assert_int_equal(layers[HOLD_LAYER_NO_NEW_PRIVS].note.state, HOLD_LAYER_ON);
    close(entered[0]), close(entered[1]), close(waiting[0]), close(waiting[1]);
}

static int is_dumpable(void) {
    hold_sandbox_protect_self();
    struct rlimit core;
    return prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0 && getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_max == 0 ? 0 : 1;
}

static void the_supervisor_protects_itself(void **unused) {
    (void) unused;
    pid_t pid = fork();
    if (pid == 0)
        _exit(is_dumpable());
    assert_int_equal(status_of(pid), 0);
}

static void secrets_leave_the_block_that_proc_shows(void **unused) {
    (void) unused;
    char path[] = "PATH=/bin", token[] = "HF_TOKEN=hf_secret", proxy[] = "https_proxy=http://u:p@h", last[] = "MY_API_KEY=k";
    char *env[] = { path, token, proxy, last, NULL };
    assert_int_equal(hold_sandbox_hide_secrets(env), 3);
    assert_ptr_equal(env[0], path);
    assert_string_equal(path, "PATH=/bin");
    assert_string_equal(env[1], "HF_TOKEN=hf_secret"); /* the same words, elsewhere */
    assert_string_equal(env[2], "https_proxy=http://u:p@h");
    assert_string_equal(env[3], "MY_API_KEY=k");
    for (size_t i = 0; i < sizeof(token); i++)
        assert_int_equal(token[i], 0);
    assert_int_equal(proxy[0] | last[0], 0);
    char *none[] = { path, NULL };
    assert_int_equal(hold_sandbox_hide_secrets(none), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_facts_are_this_machine),
        cmocka_unit_test(descriptors_are_closed_but_the_kept_ones),
        cmocka_unit_test(limits_are_set_and_address_space_is_not),
        cmocka_unit_test(exec_works_for_the_supervisor_and_for_nobody_else),
        cmocka_unit_test(a_missing_path_stops_the_start_with_its_name),
        cmocka_unit_test(a_child_whose_parent_is_gone_does_not_start),
        cmocka_unit_test(what_proc_shows_is_held_against_the_plan),
        cmocka_unit_test(secrets_leave_the_block_that_proc_shows),
        cmocka_unit_test(the_supervisor_protects_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

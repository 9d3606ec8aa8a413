/* test_evidence.c - facts of cgroup v1 and v2 from made-up trees, facts of a process from this one. */
#include "supervisor/host/evidence.h"

#include "base/io.h"
#include "base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static char root[64];

static int make_root(void **unused) {
    (void) unused;
    strcpy(root, "/tmp/hold-evidence-XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int drop(const char *path, const struct stat *st, int kind, struct FTW *ftw) {
    (void) st, (void) kind, (void) ftw;
    return remove(path);
}

static int drop_root(void **unused) {
    (void) unused;
    return nftw(root, drop, 8, FTW_DEPTH | FTW_PHYS);
}

static void put(const char *name, const char *text) {
    char path[256];
    struct hold_err err = { 0 };
    snprintf(path, sizeof path, "%s/%s", root, name);
    *strrchr(path, '/') = '\0';
    assert_int_equal(hold_mkdirs(path, 0755, &err), 0);
    snprintf(path, sizeof path, "%s/%s", root, name);
    assert_int_equal(hold_write_file(path, text, strlen(text), 0644, &err), 0);
}

static void v1_group_is_read(void **unused) {
    (void) unused;
    put("proc/self/cgroup", "5:cpu,cpuacct:/x\n4:memory:/pod/abc\n0::/\n");
    put("sys/fs/cgroup/memory/pod/abc/memory.usage_in_bytes", "1000\n");
    put("sys/fs/cgroup/memory/pod/abc/memory.limit_in_bytes", "2000\n");
    put("sys/fs/cgroup/memory/pod/abc/memory.max_usage_in_bytes", "1500\n");
    put("sys/fs/cgroup/memory/pod/abc/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 7\n");
    put("sys/fs/cgroup/memory/pod/abc/memory.stat", "inactive_file 1\ntotal_inactive_file 300\ntotal_swap 12\n");
    struct hold_cgroup c;
    struct hold_memory m;
    hold_cgroup_find(root, &c);
    hold_cgroup_memory(&c, &m);
    assert_int_equal(m.version, 1);
    assert_int_equal(m.current, 1000);
    assert_int_equal(m.limit, 2000);
    assert_int_equal(m.peak, 1500);
    assert_int_equal(m.oom_kills, 7);
    assert_int_equal(m.inactive_file, 300);
    assert_int_equal(m.swap_current, 12);
    put("sys/fs/cgroup/memory/pod/abc/memory.limit_in_bytes", "9223372036854771712\n");
    hold_cgroup_memory(&c, &m);
    assert_true(m.limit == UINT64_MAX);
}

static void v1_group_seen_from_inside_a_container_is_at_the_mount(void **unused) {
    (void) unused;
    put("proc/self/cgroup", "4:memory:/kubepods/pod1/abc\n");
    put("sys/fs/cgroup/memory/memory.usage_in_bytes", "77\n");
    struct hold_cgroup c;
    struct hold_memory m;
    hold_cgroup_find(root, &c);
    hold_cgroup_memory(&c, &m);
    assert_true(m.known);
    assert_int_equal(m.current, 77);
}

static void v2_group_is_read(void **unused) {
    (void) unused;
    put("proc/self/cgroup", "0::/\n");
    put("sys/fs/cgroup/memory.current", "5000\n");
    put("sys/fs/cgroup/memory.max", "max\n");
    put("sys/fs/cgroup/memory.events", "low 0\nhigh 0\nmax 9\noom 3\noom_kill 2\noom_group_kill 1\n");
    put("sys/fs/cgroup/memory.stat", "anon 1\ninactive_file 40\n");
    struct hold_cgroup c;
    struct hold_memory m;
    hold_cgroup_find(root, &c);
    hold_cgroup_memory(&c, &m);
    assert_int_equal(m.version, 2);
    assert_int_equal(m.current, 5000);
    assert_true(m.limit == UINT64_MAX);
    assert_int_equal(m.peak, 0);
    assert_int_equal(m.oom_kills, 2);
    assert_int_equal(m.inactive_file, 40);
    put("sys/fs/cgroup/memory.max", "6000\n");
    hold_cgroup_memory(&c, &m);
    assert_int_equal(m.limit, 6000);
}

static void nothing_to_see_is_no_failure(void **unused) {
    (void) unused;
    struct hold_cgroup c;
    struct hold_memory m;
    hold_cgroup_find("/nonexistent", &c);
    hold_cgroup_memory(&c, &m);
    assert_false(m.known);
    hold_autobuf out = hold_buf_with_max(4096);
    hold_evidence_gather("/nonexistent", &c, 1, &out);
    assert_string_equal(out.data, "{\"memory\":null,\"psi\":{\"memory\":{},\"io\":{}}}");
    char text[64] = "x";
    hold_evidence_sentence("/nonexistent", 1, text, sizeof text);
    assert_string_equal(text, "");
}

static void hostile_proc_files_stay_bounded_json(void **unused) {
    (void) unused;
    static char big[20000];
    memset(big, '9', sizeof big - 1);
    put("proc/7/stat", "7 (a) b) \"\n\\) D 1 2 3 4 5 6 7 8 9 10");
    put("proc/7/status", "Name:\tx\nVmRSS:\t   2048 kB\nVmSwap:\t 4 kB\nThreads:\t3\n");
    put("proc/7/io", big);
    put("proc/7/task/8/stat", "8 (we\"ird\\) R 1");
    put("proc/7/task/8/wchan", "0");
    put("proc/7/task/9/stat", "9 (stuck) D 1");
    put("proc/7/task/9/wchan", "nfs_wait_bit_killable");
    put("proc/7/task/10/stat", "garbage");
    put("proc/7/task/x/stat", "");
    put("proc/pressure/memory", "some avg10=12.34 avg60=1.00 avg300=0.00 total=5\nfull avg10=3.21 avg60=0 total=1\n");
    struct hold_cgroup c = { 0 };
    hold_autobuf out = hold_buf_with_max(65536);
    hold_evidence_gather(root, &c, 7, &out);
    struct cJSON *json = NULL;
    struct hold_err err = { 0 };
    if (hold_json_parse(out.data, out.n, "evidence", (struct hold_json_limits) { .max_bytes = 65536 }, &json, &err) < 0)
        fail_msg("%s: %s", err.text, out.data);
    assert_non_null(strstr(out.data, "\"some_avg10\":12.34,\"full_avg10\":3.21"));
    assert_non_null(strstr(out.data, "nfs_wait_bit_killable"));
    hold_json_release(&json);
    char text[160];
    hold_evidence_sentence(root, 7, text, sizeof text);
    assert_string_equal(text, "1 of 2 threads in state D at nfs_wait_bit_killable, 2 MiB resident, 0 MiB read, 0 MiB swapped out");
    hold_evidence_sentence(root, 7, text, 10); /* cut, terminated */
    assert_int_equal(strlen(text), 9);
}

static void living_process_is_described(void **unused) {
    (void) unused;
    struct hold_proc p;
    hold_proc_read("", getpid(), &p);
    assert_int_equal(p.state, 'R');
    assert_true(p.rss_bytes > 100000);
    assert_true(p.n_threads >= 1);
    const pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_NAME, "x) R \"");
        for (;;)
            pause();
    }
    do
        hold_proc_read("", child, &p);
    while (p.state != 'S');
    char text[160];
    hold_evidence_sentence("", child, text, sizeof text);
    assert_non_null(strstr(text, "1 of 1 threads in state S"));
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    hold_proc_read("", child, &p);
    assert_int_equal(p.state, 0);
    struct hold_cgroup c;
    hold_cgroup_find("", &c); /* whatever this machine has */
    struct hold_memory m;
    hold_cgroup_memory(&c, &m);
    if (m.known)
        assert_true(m.current > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(v1_group_is_read, make_root, drop_root),
        cmocka_unit_test_setup_teardown(v1_group_seen_from_inside_a_container_is_at_the_mount, make_root, drop_root),
        cmocka_unit_test_setup_teardown(v2_group_is_read, make_root, drop_root),
        cmocka_unit_test(nothing_to_see_is_no_failure),
        cmocka_unit_test_setup_teardown(hostile_proc_files_stay_bounded_json, make_root, drop_root),
        cmocka_unit_test(living_process_is_described),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

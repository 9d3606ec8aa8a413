/* test_host.c - what process 1's core is built of: store, record, pairing, loop, children and their trees. Real kernel, no
 * network. The children are forks of this program or /bin/sh. */
#include "tests/unit/test.h"

#include "base/auto.h"
#include "base/list.h"
#include "base/notify.h"
#include "supervisor/host/child.h"
#include "supervisor/host/config.h"
#include "supervisor/host/loop.h"
#include "supervisor/host/pairing.h"
#include "supervisor/host/record.h"
#include "supervisor/host/store.h"
#include "supervisor/host/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[64];

/* ---- store ---- */

static void store_replaces_keeps_and_drops_by_owner(void **unused) {
    (void) unused;
    struct hold_store s = { 0 };
    struct hold_err err = { 0 };
    int first = open("/dev/null", O_RDONLY | O_CLOEXEC), second = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_int_equal(hold_store_put(&s, 1, "weights", first, 0, &err), 0);
    assert_int_equal(hold_store_put(&s, 1, "weights", second, 0, &err), 0);
    assert_int_equal(hold_store_find(&s, "weights"), second);
    assert_int_equal(fcntl(first, F_GETFD), -1); /* the replaced one is closed */
    hold_store_drop(&s, 0, NULL); /* somebody else's */
    assert_int_equal(s.n, 1);
    hold_store_drop(&s, 1, NULL);
    assert_int_equal(hold_store_find(&s, "weights"), -1);
    assert_int_equal(fcntl(second, F_GETFD), -1);
}

static void store_refuses_names_and_numbers_beyond_its_bounds(void **unused) {
    (void) unused;
    struct hold_store s = { 0 };
    struct hold_err err = { 0 };
    static char long_name[HOLD_STORE_NAME_BYTES + 1];
    memset(long_name, 'a', HOLD_STORE_NAME_BYTES);
    const char *const wrong[] = { "", "a:b", "a\nb", "\xc3\xa9", long_name };
    assert_true(hold_store_is_name("a b/c"));
    assert_true(hold_store_is_name(long_name + 1));
    for (size_t i = 0; i < 5; i++) {
        int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        assert_int_equal(hold_store_put(&s, 1, wrong[i], fd, 0, &err), -1);
        assert_int_equal(err.code, HOLD_E_FORMAT);
        assert_int_equal(fcntl(fd, F_GETFD), -1); /* never left open */
    }
    for (int i = 0; i < HOLD_STORE_MAX + 1; i++) {
        char name[8];
        (void) snprintf(name, sizeof(name), "n%d", i);
        int put = hold_store_put(&s, 1, name, open("/dev/null", O_RDONLY | O_CLOEXEC), 0, &err);
        assert_int_equal(put, i < HOLD_STORE_MAX ? 0 : -1);
    }
    hold_store_release(&s);
}

static void store_listens_on_numeric_addresses_alone(void **unused) {
    (void) unused;
    struct hold_err err = { 0 };
    hold_autofd fd = -1;
    assert_int_equal(hold_store_listen("127.0.0.1:0", &fd, &err), 0);
    static const char *const wrong[] = { "example.org:80", "127.0.0.1", "127.0.0.1:99999", "[::1:80", ":" };
    for (size_t i = 0; i < 5; i++) {
        int none = -1;
        assert_int_equal(hold_store_listen(wrong[i], &none, &err), -1);
        assert_int_equal(err.code, HOLD_E_CONFIG);
    }
}

/* ---- record ---- */

static void record_outlives_its_writer(void **unused) {
    (void) unused;
    struct hold_record r;
    struct hold_err err = { 0 };
    assert_int_equal(hold_record_open(&r, folder, &err), 0);
    assert_null(hold_record_last(&r, "engine"));
    const struct hold_record_life life = { .name = "engine", .phase = "loading", .is_open = 1, .rung = 2, .streak = 3, .memory_bytes = 95, .limit_bytes = 100 };
    hold_record_put(&r, 1, &life);
    hold_record_put(&r, 99, &life); /* outside: ignored */
    hold_record_release(&r);
    assert_int_equal(hold_record_open(&r, folder, &err), 0);
    const struct hold_record_life *last = hold_record_last(&r, "engine");
    assert_non_null(last);
    assert_memory_equal(last, &life, sizeof(life));
    hold_record_release(&r);
}

static void record_that_is_damaged_counts_as_none(void **unused) {
    (void) unused;
    struct hold_record r;
    struct hold_err err = { 0 };
    char path[96];
    (void) snprintf(path, sizeof(path), "%s/record", folder);
    assert_int_equal(hold_record_open(&r, folder, &err), 0);
    hold_record_put(&r, 0, &(struct hold_record_life) { .name = "front", .is_open = 1 });
    hold_record_release(&r);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    for (off_t at = 0; at < st.st_size; at += 13) { /* every change of one byte is noticed, none is fatal */
        hold_autofd fd = open(path, O_RDWR | O_CLOEXEC);
        unsigned char byte = 0;
        assert_int_equal(pread(fd, &byte, 1, at), 1);
        unsigned char other = (unsigned char) ~byte;
        assert_int_equal(pwrite(fd, &other, 1, at), 1);
        assert_int_equal(hold_record_open(&r, folder, &err), 0);
        const struct hold_record_life *last = hold_record_last(&r, "front");
        if (last) /* the byte was in another slot */
            assert_int_equal(last->is_open, 1);
        hold_record_release(&r);
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    }
    assert_int_equal(truncate(path, 10), 0);
    assert_int_equal(hold_record_open(&r, folder, &err), 0);
    assert_null(hold_record_last(&r, "front"));
    hold_record_release(&r);
}

static void record_without_a_folder_is_an_error_and_then_nothing(void **unused) {
    (void) unused;
    struct hold_record r;
    struct hold_err err = { 0 };
    assert_int_equal(hold_record_open(&r, "/proc/nowhere", &err), -1);
    hold_record_put(&r, 0, &(struct hold_record_life) { .name = "x" });
    hold_record_release(&r);
}

/* ---- pairing ---- */

static void pairing_gives_both_ends_away_and_keeps_none(void **unused) {
    (void) unused;
    int a[2], b[2], failed;
    struct hold_err err = { 0 };
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, a), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, b), 0);
    int before = open("/dev/null", O_RDONLY | O_CLOEXEC);
    close(before);
    assert_int_equal(hold_pairing_make(a[0], b[0], 7, &failed, &err), 0);
    int after = open("/dev/null", O_RDONLY | O_CLOEXEC);
    close(after);
    assert_int_equal(before, after);

    static struct hold_notify first, second;
    uint64_t generation = 0;
    assert_int_equal(hold_notify_recv(a[1], &first, &err), 1);
    assert_int_equal(hold_notify_recv(b[1], &second, &err), 1);
    assert_true(hold_notify_u64(&first, "GEN", &generation));
    assert_int_equal(generation, 7);
    assert_int_equal(first.n_fds, 2);
    assert_int_equal(write(first.fds[0], "hello", 5), 5);
    char text[8];
    assert_int_equal(read(second.fds[0], text, sizeof(text)), 5);
    struct stat one, two;
    assert_int_equal(fstat(first.fds[1], &one), 0);
    assert_int_equal(fstat(second.fds[1], &two), 0);
    assert_int_equal(one.st_ino, two.st_ino);
    assert_int_equal(one.st_size, HOLD_PAIRING_RING_BYTES);
    assert_int_equal(fcntl(first.fds[1], F_GET_SEALS) & (F_SEAL_SHRINK | F_SEAL_GROW), F_SEAL_SHRINK | F_SEAL_GROW);
    hold_notify_close_fds(&first);
    assert_int_equal(read(second.fds[0], text, sizeof(text)), 0); /* a death is an end of file */
    hold_notify_close_fds(&second);
    close(b[1]);
    assert_int_equal(hold_pairing_make(a[0], b[0], 8, &failed, &err), -1);
    assert_int_equal(failed, 1);
    close(a[0]), close(a[1]), close(b[0]);
}

/* ---- loop ---- */

static void loop_sorts_a_batch_by_kind_and_returns_at_its_deadline(void **unused) {
    (void) unused;
    struct hold_loop loop;
    struct hold_err err = { 0 };
    struct hold_ready ready[HOLD_LOOP_BATCH];
    uint64_t now = 0;
    sigset_t none;
    sigemptyset(&none);
    assert_int_equal(hold_loop_init(&loop, &none, &err), 0);
    int pipes[3][2];
    static const enum hold_loop_kind kinds[] = { HOLD_ON_STATUS, HOLD_ON_CONTROL, HOLD_ON_SIGNAL };
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pipe(pipes[i]), 0);
        assert_int_equal(write(pipes[i][1], "x", 1), 1);
        assert_int_equal(hold_loop_add(&loop, pipes[i][0], kinds[i], (uint16_t) (i + 100), EPOLLIN, &err), 0);
    }
    assert_int_equal(hold_loop_wait(&loop, HOLD_NEVER, ready, &now, &err), 3);
    assert_int_equal(ready[0].kind, HOLD_ON_SIGNAL);
    assert_int_equal(ready[1].kind, HOLD_ON_CONTROL);
    assert_int_equal(ready[2].kind, HOLD_ON_STATUS);
    assert_int_equal(ready[0].index, 102);
    assert_int_equal(ready[0].fd, pipes[2][0]);
    for (int i = 0; i < 3; i++) {
        hold_loop_drop(&loop, pipes[i][0]);
        close(pipes[i][0]), close(pipes[i][1]);
    }
    uint64_t begun = hold_loop_now_ms();
    assert_int_equal(hold_loop_wait(&loop, begun + 20, ready, &now, &err), 0);
    assert_true(now >= begun + 20);
    assert_int_equal(hold_loop_wait(&loop, 0, ready, &now, &err), 0); /* in the past: does not wait */
    hold_loop_release(&loop);
}

/* ---- child ---- */

static struct hold_inherited inherited;

static int wait_exit(struct hold_child *c) {
    int status = 0;
    assert_int_equal(waitpid(c->pid, &status, 0), c->pid);
    return status;
}

static int exec_result(struct hold_child *c, int *status, struct hold_err *err) {
    int result = 0;
    for (int i = 0; i < 10000 && result == 0; i++) {
        struct pollfd p = { .fd = c->exec_fd, .events = POLLIN };
        (void) poll(&p, 1, c->exec_fd < 0 ? 1 : 10000); /* a child in our memory wakes nobody */
        result = hold_child_exec_result(c, "test", NULL, status, err);
    }
    assert_int_not_equal(result, 0);
    assert_null(c->memory);
    return result;
}

static struct hold_child spawn(const char *const *argv, struct hold_child_request r, int *ret_status) {
    static const char *const envp[] = { "PATH=/usr/bin:/bin", NULL };
    struct hold_child c = hold_child_none();
    struct hold_err err = { 0 };
    r.argv = argv;
    r.envp = envp;
    r.path = "/usr/bin:/bin";
    r.inherited = &inherited;
    if (hold_child_spawn(&r, &c, ret_status, &err) < 0)
        assert_int_equal(c.pid, 0);
    return c;
}

#define NO_FDS .in_fd = -1, .out_fd = -1, .err_fd = -1, .control_fd = -1

static void child_gets_descriptors_in_order_and_a_group(void **unused) {
    (void) unused;
    int out[2], control[2], status = 0;
    struct hold_err err = { 0 };
    hold_autofd listened = -1;
    assert_int_equal(hold_store_listen("127.0.0.1:0", &listened, &err), 0);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    assert_int_equal(pipe2(control, O_CLOEXEC), 0);
    static const char *const argv[] = { "sh", "-c",
                                        "[ \"$LISTEN_PID\" = $$ ] && [ -S /proc/self/fd/3 ] && [ -p /proc/self/fd/4 ] && [ ! -e /proc/self/fd/6 ] && echo good",
                                        NULL };
    struct hold_child c = spawn(argv, (struct hold_child_request) { .in_fd = -1, .out_fd = out[1], .err_fd = -1, .listen = { listened }, .n_listen = 1,
                                                                    .control_fd = control[1], .own_group = true }, &status);
    assert_true(c.pid > 0);
    assert_int_equal(getpgid(c.pid), c.pid); /* already now, whatever the child has done so far */
    assert_int_equal(exec_result(&c, &status, &err), 1);
    close(out[1]);
    char text[16] = "";
    assert_true(read(out[0], text, sizeof(text) - 1) >= 0);
    assert_int_equal(wait_exit(&c), 0);
    assert_string_equal(text, "good\n");
    hold_child_forget(&c);
    close(out[0]), close(control[0]), close(control[1]);
}

static void child_that_cannot_be_executed_says_why(void **unused) {
    (void) unused;
    int status = 0;
    static const char *const missing[] = { "no-such-command", NULL }, *const is_folder[] = { "/tmp", NULL };
    struct hold_child c = spawn(missing, (struct hold_child_request) { NO_FDS }, &status);
    assert_int_equal(c.pid, 0);
    assert_int_equal(status, 127);
    (void) spawn(is_folder, (struct hold_child_request) { NO_FDS }, &status);
    assert_int_equal(status, 126);

    char path[96];
    (void) snprintf(path, sizeof(path), "%s/script", folder);
    FILE *f = fopen(path, "w");
    fputs("#!/no/such/interpreter\n", f);
    fclose(f);
    assert_int_equal(chmod(path, 0755), 0);
    const char *const script[] = { path, NULL };
    struct hold_err err = { 0 };
    c = spawn(script, (struct hold_child_request) { NO_FDS }, &status);
    assert_true(c.pid > 0);
    assert_int_equal(exec_result(&c, &status, &err), -1);
    assert_int_equal(status, 127);
    assert_non_null(strstr(err.text, "interpreter"));
    (void) wait_exit(&c);
    hold_child_forget(&c);
}

static void signals_sent_before_exec_arrive(void **unused) {
    (void) unused;
    sigset_t all, old;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &old);
    inherited.mask = old;
    static const char *const argv[] = { "sleep", "30", NULL };
    for (int i = 0; i < 50; i++) {
        int status = 0;
        struct hold_child c = spawn(argv, (struct hold_child_request) { NO_FDS, .own_group = true }, &status);
        hold_child_signal(&c, SIGTERM, true); /* at once: to a group that both sides have made */
        int ended = wait_exit(&c);
        assert_true(WIFSIGNALED(ended) && WTERMSIG(ended) == SIGTERM);
        hold_child_forget(&c);
    }
    sigprocmask(SIG_SETMASK, &old, NULL);
}

/* ---- tree ---- */

static void tree_finds_grandchildren_in_sessions_of_their_own(void **unused) {
    (void) unused;
    struct hold_tree t = { 0 };
    struct hold_err err = { 0 };
    int status = 0, out[2];
    assert_int_equal(hold_tree_adopt(&err), 0);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    static const char *const argv[] = { "sh", "-c", "setsid sleep 30 & echo started; wait", NULL };
    struct hold_child c = spawn(argv, (struct hold_child_request) { .in_fd = -1, .out_fd = out[1], .err_fd = -1, .control_fd = -1, .own_group = true }, &status);
    t.owners[0] = (struct hold_tree_owner) { .pid = c.pid, .name = "one" };
    t.owners[1] = (struct hold_tree_owner) { .pid = getppid(), .name = "two" }; /* not ours at all */
    close(out[1]);
    char text[16];
    assert_true(read(out[0], text, sizeof(text)) > 0);
    close(out[0]);
    assert_true(hold_tree_left(&t, 0) >= 2);
    assert_int_equal(hold_tree_owner_of(&t, c.pid), 0);
    assert_int_equal(hold_tree_owner_of(&t, 1), HOLD_TREE_FOREIGN);
    assert_int_equal(hold_tree_left(&t, 1), 0);
    assert_int_equal(kill(c.pid, SIGKILL), 0);
    assert_true(WIFSIGNALED(wait_exit(&c)));
    assert_int_equal(hold_tree_left(&t, 0), 1); /* the sleeper came to us, and is still told apart as its */
    hold_autobuf who = hold_buf_with_max(256);
    hold_tree_name(&t, 0, &who);
    assert_non_null(strchr(who.data, '(')); /* "4711 sleep (S)" */
    assert_int_equal(hold_tree_signal(&t, 0, SIGKILL, false), 1);
    bool any;
    int ended;
    pid_t reaped;
    while ((reaped = hold_tree_reap(&ended, &any)) == 0 && any)
        usleep(1000);
    assert_true(reaped > 0);
    assert_int_equal(hold_tree_left(&t, 0), 0);
    assert_int_equal(hold_tree_left(&t, HOLD_TREE_ANY), 0);
    hold_child_forget(&c);
    hold_tree_release(&t);
}

/* ---- config ---- */

static int load(enum hold_mode mode, int argc, const char *const *argv, struct hold_config *c, char *text, size_t text_bytes) {
    static struct hold_config_store store;
    static const char *const environment[] = { "HOLDFAST_GRACE=7s", "HOLDFAST_CONFIG=", NULL };
    struct hold_strs words = { 0 };
    struct hold_err err = { 0 };
    hold_autobuf mistakes = hold_buf_with_max(65536);
    char *copy[32] = { NULL };
    for (int i = 0; i < argc; i++)
        copy[i] = (char *) (uintptr_t) argv[i];
    hold_config_store_release(&store);
    *c = (struct hold_config) { 0 };
    int result = hold_config_load(mode, argc, copy, environment, c, &store, &words, &mistakes, &err);
    (void) snprintf(text, text_bytes, "%s", mistakes.data ? mistakes.data : "");
    return result;
}

static void config_defaults_differ_by_mode_and_flags_win(void **unused) {
    (void) unused;
    static struct hold_config c;
    char text[4096];
    static const char *const plain[] = { "holdfast", "--", "cmd", "arg" };
    assert_int_equal(load(HOLD_MODE_EXEC, 4, plain, &c, text, sizeof(text)), 0);
    assert_int_equal(c.restart.policy, HOLD_RESTART_NEVER);
    assert_int_equal(c.sandbox, HOLD_SANDBOX_OFF);
    assert_string_equal(c.status_listen, "");
    assert_int_equal(c.grace_ms, 7000); /* the environment */
    assert_int_equal(c.n_servers, 1);
    assert_string_equal(c.servers[0].command[1], "arg");
    assert_null(c.servers[0].health.ready);
    static const char *const run[] = { "run", "--model", "/m", "--grace", "9s" };
    assert_int_equal(load(HOLD_MODE_RUN, 5, run, &c, text, sizeof(text)), 0);
    assert_int_equal(c.restart.policy, HOLD_RESTART_ON_FAILURE);
    assert_int_equal(c.grace_ms, 9000);
    assert_string_equal(c.status_listen, "[::]:8181");
    assert_int_equal(c.n_servers, 2);
    assert_false(c.servers[0].needs_weights);
    assert_true(c.servers[1].needs_weights);
}

static int load_text(const char *json, struct hold_config *c, char *text, size_t text_bytes) {
    char path[128];
    (void) snprintf(path, sizeof(path), "%s/probes.json", folder);
    FILE *f = fopen(path, "w");
    fputs(json, f);
    fclose(f);
    const char *const run[] = { "run", "--config", path };
    return load(HOLD_MODE_RUN, 3, run, c, text, text_bytes);
}

static void config_takes_a_pods_probes_as_they_stand(void **unused) {
    (void) unused;
    static struct hold_config c;
    char text[4096];
    assert_int_equal(load_text("{\"servers\": {\"a\": {\"command\": [\"x\"],"
                               "\"startupProbe\": {\"exec\": {\"command\": [\"sh\", \"-c\", \"it's\"]}, \"periodSeconds\": 5, \"timeoutSeconds\": 4, \"initialDelaySeconds\": 2},"
                               "\"readinessProbe\": {\"httpGet\": {\"path\": \"/health?a=b\", \"port\": 8000}, \"initialDelaySeconds\": 1, \"successThreshold\": 2},"
                               "\"livenessProbe\": {\"grpc\": {\"port\": 50051, \"service\": \"llm\"}, \"periodSeconds\": 20, \"failureThreshold\": 7, \"initialDelaySeconds\": 30}}}}",
                               &c, text, sizeof(text)), 0);
    const struct hold_health_config *h = &c.servers[0].health;
    assert_string_equal(h->startup, "exec: 'sh' '-c' 'it'\\''s'");
    assert_string_equal(h->ready, "http://127.0.0.1:8000/health?a=b");
    assert_string_equal(h->live, "grpc://127.0.0.1:50051/llm");
    assert_int_equal(h->startup_period_ms, 5000);
    assert_int_equal(h->startup_timeout_ms, 4000);
    assert_int_equal(h->initial_delay_ms, 2000); /* the later of the two */
    assert_int_equal(h->period_ms, 10000);       /* what Kubernetes has when nothing is said */
    assert_int_equal(h->timeout_ms, 1000);
    assert_int_equal(h->successes, 2);
    assert_int_equal(h->failures, 3);
    assert_int_equal(h->live_period_ms, 20000);
    assert_int_equal(h->live_timeout_ms, 1000);
    assert_int_equal(h->live_failures, 7);
    assert_int_equal(h->live_delay_ms, 30000);
    assert_int_equal(load_text("{\"servers\": {\"a\": {\"command\": [\"x\"], \"readinessProbe\": {\"tcpSocket\": {\"port\": 1, \"host\": \"::1\"}}}}}", &c, text, sizeof(text)), 0);
    assert_string_equal(c.servers[0].health.ready, "tcp://[::1]:1");
    assert_null(c.servers[0].health.live);
}

static void config_says_what_a_pods_probe_cannot_mean_here(void **unused) {
    (void) unused;
    static struct hold_config c;
    char text[4096];
    assert_int_equal(load_text("{\"servers\": {\"a\": {\"command\": [\"x\"], \"health\": {\"live\": \"tcp://127.0.0.1:1\"},"
                               "\"startupProbe\": {\"failureThreshold\": 30},"
                               "\"readinessProbe\": {\"httpGet\": {\"path\": \"health\", \"port\": \"web\", \"scheme\": \"HTTPS\"}, \"timeoutSecond\": 3},"
                               "\"livenessProbe\": {\"tcpSocket\": {\"port\": 0}, \"exec\": {}, \"periodSeconds\": 0, \"successThreshold\": 2}}}}",
                               &c, text, sizeof(text)), -1);
    static const char *const told[] = {
        "servers.a.startupProbe: has 0 of httpGet", "servers.a.startupProbe.failureThreshold: a start is judged by its progress",
        "readinessProbe.httpGet.path: 'health' does not begin with '/'", "readinessProbe.httpGet.port: 'web'", "readinessProbe.httpGet.scheme: 'HTTPS'",
        "did you mean 'timeoutSeconds'", "livenessProbe.tcpSocket.port: 0", "livenessProbe.exec.command: must be", "livenessProbe: has 2 of",
        "livenessProbe: the same check is given under health", "livenessProbe.periodSeconds: 0", "livenessProbe.successThreshold: 2",
    };
    for (size_t i = 0; i < HOLD_COUNT_OF(told); i++)
        if (!strstr(text, told[i]))
            fail_msg("'%s' is not told in:\n%s", told[i], text);
    size_t n = 0;
    for (const char *at = text; (at = strchr(at, '\n')); at++)
        n++;
    assert_int_equal(n, HOLD_COUNT_OF(told)); /* and nothing that only follows from another */
}

static void config_says_once_that_a_pods_probe_is_too_long(void **unused) {
    (void) unused;
    static struct hold_config c;
    static char json[4096];
    char text[4096];
    int n = snprintf(json, sizeof(json), "{\"servers\": {\"a\": {\"command\": [\"x\"], \"livenessProbe\": {\"exec\": {\"command\": [\"");
    memset(json + n, 'y', 2000);
    (void) snprintf(json + n + 2000, sizeof(json) - (size_t) n - 2000, "\"]}}}}}");
    assert_int_equal(load_text(json, &c, text, sizeof(text)), -1);
    assert_string_equal(text, "servers.a.livenessProbe.exec: is longer than 1023 bytes\n");
}

static void config_lists_all_mistakes_at_once(void **unused) {
    (void) unused;
    static struct hold_config c;
    char text[4096];
    static const char *const argv[] = { "holdfast", "--signal-map", "TREM=INT", "--restart-jitter", "500", "--ready", "ftp://x", "--bind-port", "0", "--grce", "1s" };
    assert_int_equal(load(HOLD_MODE_EXEC, 11, argv, &c, text, sizeof(text)), -1);
    static const char *const said[] = { "TREM", "500", "ftp", "bind-port", "--grace", "no command" };
    for (size_t i = 0; i < 6; i++)
        if (!strstr(text, said[i]))
            fail_msg("'%s' is not in: %s", said[i], text);
}

static void config_is_judged_whole_before_anything_starts(void **unused) {
    (void) unused;
    static struct hold_config c;
    char text[4096];
    static const char *const argv[] = { "holdfast", "--profile", "foreignn", "--run-as", "bob", "--grant", "/x", "--listen", "host:80", "--status-listen", "nowhere",
                                        "--warmup", "notify", "--stop-on", "HALT", "--signal-map", "KILL=TERM", "--ready", "exec:sh -c 'x", "--", "true" };
    assert_int_equal(load(HOLD_MODE_EXEC, 21, argv, &c, text, sizeof(text)), -1);
    static const char *const said[] = { "did you mean 'foreign'", "'bob' is not UID:GID", "grant '/x'", "--listen: 'host:80'", "--status-listen: 'nowhere'", "a warm-up cannot be",
                                        "--stop-on: 'HALT'", "KILL never comes", "a quote without its end" };
    for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++)
        if (!strstr(text, said[i]))
            fail_msg("'%s' is not in: %s", said[i], text);
}

static void signals_have_names_and_numbers(void **unused) {
    (void) unused;
    assert_int_equal(hold_signal_parse("TERM"), SIGTERM);
    assert_int_equal(hold_signal_parse("SIGTERM"), SIGTERM);
    assert_int_equal(hold_signal_parse("15"), SIGTERM);
    assert_int_equal(hold_signal_parse("none"), 0);
    assert_int_equal(hold_signal_parse("RTMIN+3"), SIGRTMIN + 3);
    assert_int_equal(hold_signal_parse("RTMAX-1"), SIGRTMAX - 1);
    static const char *const wrong[] = { "", "TREM", "0", "-1", "999", "RTMIN+99", "RTMINx" };
    for (size_t i = 0; i < 7; i++)
        assert_int_equal(hold_signal_parse(wrong[i]), -1);
    for (int sig = 1; sig <= SIGRTMAX; sig++)
        if (sig < 32 || sig >= SIGRTMIN)
            if (sig != 16) /* STKFLT: nobody sends it */
                assert_int_equal(hold_signal_parse(hold_signal_name(sig)), sig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(store_replaces_keeps_and_drops_by_owner),
        cmocka_unit_test(store_refuses_names_and_numbers_beyond_its_bounds),
        cmocka_unit_test(store_listens_on_numeric_addresses_alone),
        cmocka_unit_test(record_outlives_its_writer),
        cmocka_unit_test(record_that_is_damaged_counts_as_none),
        cmocka_unit_test(record_without_a_folder_is_an_error_and_then_nothing),
        cmocka_unit_test(pairing_gives_both_ends_away_and_keeps_none),
        cmocka_unit_test(loop_sorts_a_batch_by_kind_and_returns_at_its_deadline),
        cmocka_unit_test(child_gets_descriptors_in_order_and_a_group),
        cmocka_unit_test(child_that_cannot_be_executed_says_why),
        cmocka_unit_test(signals_sent_before_exec_arrive),
        cmocka_unit_test(tree_finds_grandchildren_in_sessions_of_their_own),
        cmocka_unit_test(config_defaults_differ_by_mode_and_flags_win),
        cmocka_unit_test(config_takes_a_pods_probes_as_they_stand),
        cmocka_unit_test(config_says_what_a_pods_probe_cannot_mean_here),
        cmocka_unit_test(config_says_once_that_a_pods_probe_is_too_long),
        cmocka_unit_test(config_lists_all_mistakes_at_once),
        cmocka_unit_test(config_is_judged_whole_before_anything_starts),
        cmocka_unit_test(signals_have_names_and_numbers),
    };
    (void) snprintf(folder, sizeof(folder), "/tmp/holdfast-test-XXXXXX");
    if (!mkdtemp(folder))
        return 1;
    sigprocmask(SIG_BLOCK, NULL, &inherited.mask);
    inherited.chld = (struct sigaction) { .sa_handler = SIG_DFL };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

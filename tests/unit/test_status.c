/* test_status.c - the status server over real sockets: answers at each phase, garbage, slow and many clients, JSON and
 * metrics of any view. The loop's part is played by hand: time is made up. */
#include "supervisor/host/status.h"

#include "base/json.h"
#include "supervisor/host/view.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static struct hold_status server;
static struct hold_view view;
static struct sockaddr_in address;
static char folder[64];

static int open_server(void **unused) {
    (void) unused;
    struct hold_err err = { 0 };
    strcpy(folder, "/tmp/hold-status-XXXXXX");
    assert_non_null(mkdtemp(folder));
    assert_int_equal(hold_status_open(&server, &err), 0);
    if (hold_status_listen(&server, "127.0.0.1:0", &err) < 0 || hold_status_listen_unix(&server, folder, &err) < 0)
        fail_msg("%s", err.text);
    socklen_t n = sizeof address;
    assert_int_equal(getsockname(server.listener[0].fd, (struct sockaddr *) &address, &n), 0);
    view = (struct hold_view) { .now_ms = 61000, .started_ms = 1000, .started_wall_s = 1000000, .mode = "run", .phase = "loading",
                                .container = HOLD_CONTAINER_UP, .phase_since_ms = 5000, .exit_code = -1, .job = "",
                                .restarts_left = UINT64_MAX, .n_members = 1 };
    view.members[0] = (struct hold_view_member) { .name = "engine", .profile = "", .rung_name = "", .state = HOLD_MEMBER_LOADING, .pid = 42, .attempt = 1 };
    return 0;
}

static int close_server(void **unused) {
    (void) unused;
    hold_status_close(&server);
    return rmdir(folder);
}

static int dial(void) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0 && connect(fd, (struct sockaddr *) &address, sizeof address) == 0);
    return fd;
}

/* Lets the server work until nothing is due. */
static void turn(void) {
    for (int i = 0; i < 100; i++) {
        struct pollfd p = { .fd = hold_status_fd(&server), .events = POLLIN };
        if (poll(&p, 1, 10) <= 0)
            return;
        hold_status_on_ready(&server, &view, view.now_ms);
    }
}

static char answer[300000];

/* The whole answer to what is sent; "" when the connection was closed without one. */
static const char *converse(int fd, const char *bytes, size_t n) {
    if (n > 0)
        (void) !send(fd, bytes, n, MSG_NOSIGNAL);
    size_t got = 0;
    for (int i = 0; i < 50; i++) {
        turn();
        const ssize_t r = recv(fd, answer + got, sizeof answer - 1 - got, MSG_DONTWAIT);
        if (r == 0)
            break;
        if (r > 0)
            got += (size_t) r;
        else if (i > 3)
            break;
    }
    answer[got] = '\0';
    return answer;
}

static int get(const char *path) {
    char request[512];
    const int fd = dial();
    snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: x\r\nUser-Agent: kube-probe/1.33\r\n\r\n", path);
    converse(fd, request, strlen(request));
    close(fd);
    turn();
    return answer[0] ? atoi(answer + 9) : 0;
}

static void probes_tell_each_phase_by_status_alone(void **unused) {
    (void) unused;
    assert_int_equal(get("/livez"), 200);
    assert_int_equal(get("/readyz"), 503);
    assert_non_null(strstr(answer, "not ready: phase loading, engine is loading"));
    assert_int_equal(get("/startupz"), 503);
    (void) snprintf(view.waits_for, sizeof view.waits_for, "engine, 40 %% of 100 bytes");
    assert_int_equal(get("/startupz"), 503);
    assert_non_null(strstr(answer, "not started: phase loading, engine is loading, waits for engine, 40 % of 100 bytes\n"));
    view.container = HOLD_CONTAINER_HELD; /* an orchestrator that waits for the start would end what is to be kept */
    assert_int_equal(get("/startupz"), 200);
    assert_int_equal(get("/readyz"), 503);
    assert_int_equal(get("/livez"), 200);
    view.container = HOLD_CONTAINER_UP;
    view.waits_for[0] = '\0';
    view.phase = "ready";
    view.is_ready = view.is_started = true;
    view.members[0].state = HOLD_MEMBER_READY;
    assert_int_equal(get("/readyz"), 200);
    assert_int_equal(get("/startupz"), 200);
    view.is_ready = false;
    assert_int_equal(get("/readyz"), 503);
    assert_int_equal(get("/startupz"), 200); /* started once: the kubelet's startup probe is over for good */
    view.is_ready = view.is_stopping = true;
    assert_int_equal(get("/readyz"), 503); /* stop asked: unready before anything else */
    view.container = HOLD_CONTAINER_HELD;
    view.is_ready = false;
    strcpy(view.action, "fix-config");
    assert_int_equal(get("/livez"), 200); /* held: alive, and a restart would not help */
    strcpy(view.action, "new-pod");
    strcpy(view.cause, "nvml_lost");
    assert_int_equal(get("/livez"), 503);
    assert_non_null(strstr(answer, "nvml_lost"));
}

static void unix_socket_answers_the_same(void **unused) {
    (void) unused;
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    snprintf(a.sun_path, sizeof a.sun_path, "%s/holdfast.sock", folder);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *) &a, sizeof a), 0);
    static const char request[] = "GET /livez HTTP/1.1\r\n\r\n";
    assert_non_null(strstr(converse(fd, request, sizeof request - 1), "200 OK"));
    close(fd);
    struct stat st;
    assert_int_equal(stat(a.sun_path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0666);
}

static void unix_socket_of_the_dead_is_replaced_of_the_living_refused(void **unused) {
    (void) unused;
    struct hold_status second;
    struct hold_err err = { 0 };
    assert_int_equal(hold_status_open(&second, &err), 0);
    assert_int_equal(hold_status_listen_unix(&second, folder, &err), -1);
    assert_int_equal(err.code, HOLD_E_BUSY);
    close(server.listener[1].fd); /* as after a KILL: the file stays, nobody answers */
    server.listener[1].fd = -1;
    if (hold_status_listen_unix(&second, folder, &err) < 0)
        fail_msg("%s", err.text);
    hold_status_close(&second);
    server.unix_path[0] = '\0';
}

static void taken_port_is_busy(void **unused) {
    (void) unused;
    struct hold_status second;
    struct hold_err err = { 0 };
    char text[32];
    snprintf(text, sizeof text, "127.0.0.1:%u", ntohs(address.sin_port));
    assert_int_equal(hold_status_open(&second, &err), 0);
    assert_int_equal(hold_status_listen(&second, text, &err), -1);
    assert_int_equal(err.code, HOLD_E_BUSY);
    static const char *const bad[] = { "", "8181", "host:1", "127.0.0.1:99999", "127.0.0.1:", "[::1:80" };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(hold_status_listen(&second, bad[i], &err), -1);
        assert_int_equal(err.code, HOLD_E_CONFIG);
    }
    hold_status_close(&second);
}

static void garbage_is_refused_with_its_status(void **unused) {
    (void) unused;
    assert_int_equal(get("/"), 200);
    assert_non_null(strstr(answer, "<title>holdfast</title>"));
    assert_int_equal(get("/nothing"), 404);
    assert_int_equal(get("/livez?verbose"), 200);
    assert_int_equal(get("/../etc/passwd"), 404);
    static const struct {
        const char *line;
        int status;
    } all[] = {
        { "POST /livez HTTP/1.1", 405 }, { "GET /livez HTTP/2.0", 505 }, { "GET /livez", 400 }, { "GET", 400 }, { "", 400 },
        { "GET  HTTP/1.1", 404 }, { "\x16\x03\x01\x02", 400 }, { "GET /livez HTTP/1.1 x", 400 }, { " GET /livez HTTP/1.1", 400 },
        { "GET\t/livez HTTP/1.1", 400 }, { "HEAD /readyz HTTP/1.0", 200 }, { "get /livez HTTP/1.1", 405 },
        { "GET http://any:1/livez HTTP/1.1", 200 }, { "GET http://any HTTP/1.1", 404 }, { "GET http:// HTTP/1.1", 404 },
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        enum hold_status_path path;
        bool head;
        const int got = hold_status_parse(all[i].line, strlen(all[i].line), &path, &head);
        if (got != all[i].status)
            fail_msg("'%s': %d", all[i].line, got);
    }
}

static void head_has_no_body(void **unused) {
    (void) unused;
    const int fd = dial();
    static const char request[] = "HEAD /status HTTP/1.1\r\n\r\n";
    converse(fd, request, sizeof request - 1);
    assert_true(strlen(strstr(answer, "\r\n\r\n")) == 4);
    assert_null(strstr(answer, "Content-Length: 0"));
    close(fd);
}

static void long_lines_and_heads_are_refused(void **unused) {
    (void) unused;
    char big[20000];
    memset(big, 'a', sizeof big);
    memcpy(big, "GET /", 5);
    int fd = dial();
    assert_non_null(strstr(converse(fd, big, 400), "414 "));
    close(fd);
    fd = dial();
    memcpy(big, "GET /livez HTTP/1.1\r\n", 21);
    assert_non_null(strstr(converse(fd, big, sizeof big), "431 "));
    close(fd);
}

static void dripping_client_loses_its_place_in_time(void **unused) {
    (void) unused;
    const int fd = dial();
    for (int i = 0; i < 10; i++) {
        assert_int_equal(send(fd, "G", 1, MSG_NOSIGNAL), 1);
        turn();
    }
    assert_int_equal(hold_status_deadline_ms(&server), view.now_ms + HOLD_STATUS_LIFE_MS);
    hold_status_on_time(&server, view.now_ms + HOLD_STATUS_LIFE_MS - 1);
    assert_int_equal(hold_status_deadline_ms(&server), view.now_ms + HOLD_STATUS_LIFE_MS);
    hold_status_on_time(&server, view.now_ms + HOLD_STATUS_LIFE_MS);
    assert_true(hold_status_deadline_ms(&server) == UINT64_MAX);
    char byte;
    assert_int_equal(recv(fd, &byte, 1, 0), 0);
    close(fd);
    assert_int_equal(server.n_dropped, 1);
}

static void many_idle_clients_do_not_lock_out_a_probe(void **unused) {
    (void) unused;
    int idle[3 * HOLD_STATUS_CONNS];
    for (size_t i = 0; i < sizeof idle / sizeof idle[0]; i++) {
        idle[i] = dial();
        turn();
        view.now_ms++;
    }
    assert_int_equal(get("/livez"), 200);
    for (size_t i = 0; i < sizeof idle / sizeof idle[0]; i++)
        close(idle[i]);
}

static void split_request_and_early_close_are_survived(void **unused) {
    (void) unused;
    int fd = dial();
    converse(fd, "GET /li", 7);
    converse(fd, "vez HTTP/1.1\r\nA: b\r", 20);
    converse(fd, "\n\r", 2);
    assert_non_null(strstr(converse(fd, "\n", 1), "200 OK"));
    close(fd);
    fd = dial();
    converse(fd, "GET /livez", 10);
    close(fd);
    turn();
    assert_true(hold_status_deadline_ms(&server) == UINT64_MAX);
    fd = dial(); /* bare line feeds are taken too */
    assert_non_null(strstr(converse(fd, "GET /livez HTTP/1.0\n\n", 21), "200 OK"));
    close(fd);
}

static void want_of_descriptors_makes_it_rest_and_come_back(void **unused) {
    (void) unused;
    const int fd = dial();
    struct rlimit full, none;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &full), 0);
    none = full;
    none.rlim_cur = 3; /* nothing new can be opened; what is open stays */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    hold_status_on_ready(&server, &view, view.now_ms);
    struct pollfd p = { .fd = hold_status_fd(&server), .events = POLLIN };
    const int woken = poll(&p, 1, 0);
    const uint64_t due = hold_status_deadline_ms(&server);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &full), 0);
    assert_int_equal(woken, 0);
    assert_int_equal(due, view.now_ms + 200);
    hold_status_on_time(&server, due);
    assert_non_null(strstr(converse(fd, "GET /livez HTTP/1.1\r\n\r\n", 23), "200 OK"));
    close(fd);
}

/* A view filled to the brim with hostile text. */
static void fill(struct hold_view *v) {
    static const char evil[] = "a\"b\\c\n\x01\xff</script>\xe2\x82";
    *v = (struct hold_view) { .now_ms = 5000000, .started_ms = 10, .started_wall_s = 1764000000, .mode = "run", .phase = "backoff",
                              .container = HOLD_CONTAINER_UP, .n_phases = HOLD_VIEW_PHASES, .cold_start_ms = 31234, .n_members = HOLD_VIEW_MEMBERS,
                              .job = "fetch", .job_pid = 9, .job_attempt = 2, .job_done = 5, .job_total = 10, .n_findings = HOLD_VIEW_FINDINGS,
                              .generation = 3, .orphans_reaped = UINT64_MAX, .restarts_left = 4, .exit_code = 113 };
    for (int i = 0; i < HOLD_VIEW_PHASES; i++)
        v->phases[i] = (struct hold_view_phase) { .name = i % 2 ? "loading" : "backoff", .begun_ms = 10, .took_ms = 1000 };
    for (int i = 0; i < HOLD_VIEW_MEMBERS; i++) {
        struct hold_view_member *m = &v->members[i];
        *m = (struct hold_view_member) { .name = i ? "m" : "engine", .profile = "engine-cpu", .state = HOLD_MEMBER_BACKOFF, .attempt = 3, .restarts = 2,
                                         .started_ms = 20, .ready_ms = 30, .rung = 1, .rung_name = "half", .retry_at_ms = 6000000, .delay_ms = 4000,
                                         .has_exited = true, .exit_signal = 9, .exit_code = -1, .progress_done = 1, .progress_total = 2,
                                         .progress_unit = "bytes", .progress_ms = 99, .inflight = 7, .has_probe = true, .output_lost_lines = 5,
                                         .sandbox_applied = UINT32_MAX, .sandbox_missing = 1 };
        m->restart_causes[HOLD_CAUSE_GPU_OOM] = 1;
        m->restart_causes[HOLD_CAUSE_EXITED] = 1;
        strcpy(m->cause, "gpu_oom");
        strcpy(m->action, "retry");
        strcpy(m->said, evil);
        strcpy(m->evidence, evil);
        strcpy(m->probe_text, evil);
    }
    for (int i = 0; i < HOLD_VIEW_FINDINGS; i++)
        strcpy(v->findings[i].text, evil);
    for (int i = 0; i < HOLD_VIEW_SIGNATURES; i++)
        v->signatures[i] = 1;
    strcpy(v->model, evil);
    strcpy(v->digest, "sha256:ab");
    strcpy(v->cause, "gpu_oom");
    strcpy(v->advice, evil);
    strcpy(v->job_said, evil);
}

static void status_is_valid_json_whatever_the_view_holds(void **unused) {
    (void) unused;
    struct hold_err err = { 0 };
    for (int full = 0; full < 2; full++) {
        if (full)
            fill(&view);
        hold_autobuf out = hold_buf_with_max(131072);
        hold_status_json(&view, &out);
        struct cJSON *json = NULL;
        const struct hold_json_limits limits = { .max_bytes = 131072, .max_tokens = 20000 };
        if (hold_json_parse(out.data, out.n, "status", limits, &json, &err) < 0)
            fail_msg("%s: %s", err.text, out.data);
        const char *phase = "";
        assert_true(hold_json_str(hold_json_get(json, "phase"), &phase));
        assert_string_equal(phase, view.phase);
        hold_json_release(&json);
    }
}

/* The rules of the text format that need no tool: HELP and TYPE once a family and before its samples, families not mixed,
 * no sample twice, every line whole. promtool has the last word in the story. */
static void metrics_keep_the_rules_of_the_text_format(void **unused) {
    (void) unused;
    for (int full = 0; full < 2; full++) {
        if (full)
            fill(&view);
        hold_autobuf out = hold_buf_with_max(131072);
        hold_status_metrics(&view, &server, &out);
        assert_false(out.failed);
        assert_int_equal(out.data[out.n - 1], '\n');
        char name[128] = "", seen[16384] = "|", *rest = out.data;
        for (char *line; (line = strsep(&rest, "\n")) != NULL && *line;) {
            if (strncmp(line, "# HELP ", 7) == 0) {
                name[0] = '|';
                assert_int_equal(sscanf(line, "# HELP %120s", name + 1), 1);
                strcat(name, "|");
                assert_null(strstr(seen, name));
                strcat(seen, name + 1);
                name[strlen(name) - 1] = '\0';
            } else if (strncmp(line, "# TYPE ", 7) == 0) {
                assert_int_equal(strncmp(line + 7, name + 1, strlen(name + 1)), 0);
                if (strstr(line, " counter"))
                    assert_string_equal(name + strlen(name) - 6, "_total");
            } else {
                assert_int_equal(strncmp(line, name + 1, strlen(name + 1)), 0);
                for (const char *c = line; *c; c++)
                    assert_true((unsigned char) *c >= 0x20);
            }
        }
        if (full) {
            assert_non_null(strstr(seen, "|holdfast_child_last_exit_info|"));
            assert_non_null(strstr(seen, "|holdfast_progress_bytes|"));
            hold_autobuf whole = hold_buf_with_max(131072); /* the other one is cut into lines */
            hold_status_metrics(&view, &server, &whole);
            assert_non_null(strstr(whole.data, "holdfast_child_restarts_total{child=\"engine\",cause=\"gpu_oom\"} 1\n"));
            assert_non_null(strstr(whole.data, "holdfast_signature_matches_total{signature=\"torch-oom\",severity=\"cause\"} 1\n"));
        }
    }
}

static void phase_is_one_hot(void **unused) {
    (void) unused;
    hold_autobuf out = hold_buf_with_max(131072);
    hold_status_metrics(&view, &server, &out);
    int hot = 0;
    for (const char *at = out.data; (at = strstr(at, "holdfast_phase{")) != NULL; at++)
        hot += atoi(strstr(at, "} ") + 2);
    assert_int_equal(hot, 1);
    assert_non_null(strstr(out.data, "holdfast_phase{phase=\"loading\"} 1\n"));
}

#define T(f) cmocka_unit_test_setup_teardown(f, open_server, close_server)

int main(void) {
    const struct CMUnitTest tests[] = {
        T(probes_tell_each_phase_by_status_alone),
        T(unix_socket_answers_the_same),
        T(unix_socket_of_the_dead_is_replaced_of_the_living_refused),
        T(taken_port_is_busy),
        T(garbage_is_refused_with_its_status),
        T(head_has_no_body),
        T(long_lines_and_heads_are_refused),
        T(dripping_client_loses_its_place_in_time),
        T(many_idle_clients_do_not_lock_out_a_probe),
        T(want_of_descriptors_makes_it_rest_and_come_back),
        T(split_request_and_early_close_are_survived),
        T(status_is_valid_json_whatever_the_view_holds),
        T(metrics_keep_the_rules_of_the_text_format),
        T(phase_is_one_hot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

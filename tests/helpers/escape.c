/* escape.c - tries to get out of the sandbox it was started in, one attempt a line, and says what had to happen. Test part only.
 *
 * Run by inbox or by process 1; HOLDFAST_TEST_* say what there is to attack. Lines: "ok N - must be refused: NAME (errno)",
 * "not ok N - GOT THROUGH: NAME", "ok N - must work: NAME", "ok N # SKIP NAME". Exit status 0 when every line is ok.
 * A row says for which profiles the attempt must be refused (NO) and for which it must work (YES); for the others it is
 * not tried. errno 0 from an attempt means that it did what it set out to do. */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { NOT_HERE = -1 }; /* the machine or the profile has nothing to try this on */

enum {
    FRONT = 1, CPU = 2, CUDA = 4, PREFLIGHT = 8, FETCH = 16, VERIFY = 32, FOREIGN = 64,
    OWN = FRONT | CPU | CUDA | PREFLIGHT | FETCH | VERIFY, ALL = OWN | FOREIGN, NET = PREFLIGHT | FETCH,
    WRITER = FETCH | VERIFY, NONET = OWN & ~NET, READER = ALL & ~FRONT,
};
static const struct { const char *name; int bit; } profiles[] = {
    { "front", FRONT }, { "engine-cpu", CPU }, { "engine-cuda", CUDA }, { "job-preflight", PREFLIGHT },
    { "job-fetch", FETCH }, { "job-verify", VERIFY }, { "foreign", FOREIGN },
};

static const char *test_value(const char *name) {
    const char *v = getenv(name);
    return v ? v : "";
}
static int test_number(const char *name) { return (int) strtol(test_value(name), NULL, 10); }
/* The inherited listening socket: inbox says which, process 1 hands it over as systemd does. */
static int listener(void) {
    if (getenv("HOLDFAST_TEST_LISTENER"))
        return test_number("HOLDFAST_TEST_LISTENER");
    return getenv("LISTEN_FDS") ? 3 : -1;
}
static pid_t supervisor(void) { return getenv("HOLDFAST_TEST_SUPERVISOR") ? test_number("HOLDFAST_TEST_SUPERVISOR") : getppid(); }
static pid_t victim(void) { return test_number("HOLDFAST_TEST_VICTIM"); }

static const char *in_arena(const char *path) {
    static char full[4096];
    snprintf(full, sizeof(full), "%s/%s", test_value("HOLDFAST_TEST_ARENA"), path);
    return full;
}

static int opened(int fd) {
    if (fd < 0)
        return errno;
    close(fd);
    return 0;
}
static int done(long rc) { return rc < 0 ? errno : 0; }

static const char *of(pid_t pid, const char *file) {
    static char path[64];
    snprintf(path, sizeof(path), "/proc/%d/%s", (int) pid, file);
    return path;
}

/* --- files --- */
static int read_token(void) { return opened(open(in_arena("outside/token"), O_RDONLY)); }
static int write_token(void) { return opened(open(in_arena("outside/token"), O_WRONLY)); }
static int list_outside(void) { return opened(open(in_arena("outside"), O_RDONLY | O_DIRECTORY)); }
static int list_root(void) { return opened(open("/", O_RDONLY | O_DIRECTORY)); }
static int read_shadow(void) { return opened(open("/etc/shadow", O_RDONLY)); }
static int read_passwd(void) { return opened(open("/etc/passwd", O_RDONLY)); }
static int make_outside(void) { return opened(open(in_arena("outside/new"), O_WRONLY | O_CREAT, 0600)); }
static int make_in_tmp(void) {
    char path[] = "/tmp/holdfast-escape-XXXXXX";
    int fd = mkstemp(path);
    if (fd >= 0)
        unlink(path);
    return opened(fd);
}
static int make_in_shm(void) {
    int fd = shm_open("/holdfast-escape", O_RDWR | O_CREAT, 0600);
    if (fd >= 0)
        shm_unlink("/holdfast-escape");
    return opened(fd);
}
static int through_dotdot(void) { return opened(open(in_arena("model/../outside/token"), O_RDONLY)); }
static int through_fd_dir(void) {
    char path[4200];
    snprintf(path, sizeof(path), "/proc/self/root%s", in_arena("outside/token"));
    return opened(open(path, O_RDONLY));
}
static int through_cwd(void) {
    if (chdir(in_arena("outside")) < 0)
        return errno;
    int e = opened(open("token", O_RDONLY));
    return chdir("/") < 0 ? errno : e;
}
static int truncate_token(void) { return done(truncate(in_arena("outside/token"), 25)); }
static int link_token_in(void) {
    char from[4096];
    snprintf(from, sizeof(from), "%s", in_arena("outside/token"));
    return done(link(from, in_arena("model/token")));
}
static int rename_token_in(void) {
    char from[4096];
    snprintf(from, sizeof(from), "%s", in_arena("outside/token"));
    return done(rename(from, in_arena("model/token")));
}
static int read_by_handle(void) { return done(syscall(SYS_open_by_handle_at, AT_FDCWD, NULL, O_RDONLY)) == EPERM ? EPERM : 0; }
static int make_node(void) { return done(mknod(in_arena("scratch/null"), S_IFCHR | 0666, 0x103)); }
static int write_sysctl(void) { return opened(open("/proc/sys/kernel/core_pattern", O_WRONLY)); }
static int write_sysrq(void) { return opened(open("/proc/sysrq-trigger", O_WRONLY)); }
static int open_memory_device(void) { return opened(open("/dev/mem", O_RDONLY)); }
static int open_kmsg(void) { return opened(open("/dev/kmsg", O_RDONLY)); }
static int open_fuse(void) { return opened(open("/dev/fuse", O_RDWR)); }
static int open_tty(void) { return opened(open("/dev/ptmx", O_RDWR)); }
static int write_cgroup(void) { return opened(open("/sys/fs/cgroup/cgroup.procs", O_WRONLY)); }
static int read_service_account(void) { return opened(open("/var/run/secrets", O_RDONLY | O_DIRECTORY)); }

/* --- weights --- */
static int read_weights(void) { return opened(open(in_arena("model/model.safetensors"), O_RDONLY)); }
static int write_weights(void) { return opened(open(in_arena("model/model.safetensors"), O_RDWR)); }
static int truncate_weights(void) { return done(truncate(in_arena("model/model.safetensors"), 5)); }
static int unlink_weights(void) { return done(unlink(in_arena("model/model.safetensors"))); }
static int replace_weights(void) {
    char from[4096];
    snprintf(from, sizeof(from), "%s", in_arena("scratch/other"));
    return done(rename(from, in_arena("model/model.safetensors")));
}
static int map_weights_shared(void) {
    int fd = open(in_arena("model/model.safetensors"), O_RDONLY);
    if (fd < 0)
        return errno;
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    int e = p == MAP_FAILED ? errno : 0;
    close(fd);
    return e;
}
static int reopen_weights(void) {
    int fd = open(in_arena("model/model.safetensors"), O_RDONLY);
    if (fd < 0)
        return errno;
    char path[64];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    int e = opened(open(path, O_RDWR));
    close(fd);
    return e;
}
static int publish_weights(void) {
    char from[4096];
    snprintf(from, sizeof(from), "%s", in_arena("model/.partial"));
    int e = opened(open(from, O_RDWR | O_CREAT | O_TRUNC, 0600));
    return e ? e : done(rename(from, in_arena("model/published")));
}
static int write_scratch(void) { return opened(open(in_arena("scratch/cache"), O_RDWR | O_CREAT, 0600)); }

/* --- the supervisor and others of the same user --- */
static int read_environ(void) { return opened(open(of(supervisor(), "environ"), O_RDONLY)); }
static int read_first_environ(void) { return opened(open("/proc/1/environ", O_RDONLY)); }
static int read_memory(void) { return opened(open(of(supervisor(), "mem"), O_RDONLY)); }
static int write_oom_score(void) { return opened(open(of(supervisor(), "oom_score_adj"), O_WRONLY)); }
static int list_descriptors(void) { return opened(open(of(supervisor(), "fd"), O_RDONLY | O_DIRECTORY)); }
static int read_victim_environ(void) { return opened(open(of(victim(), "environ"), O_RDONLY)); }
static int read_victim_memory(void) { return opened(open(of(victim(), "mem"), O_RDWR)); }
static int read_through_vm(void) {
    char into[16];
    struct iovec to = { into, sizeof(into) }, from = { (void *) (uintptr_t) test_number("HOLDFAST_TEST_SECRET_AT"), sizeof(into) };
    return done(process_vm_readv(supervisor(), &to, 1, &from, 1, 0));
}
static int trace_supervisor(void) { return done(ptrace(PTRACE_SEIZE, supervisor(), 0, 0)); }
static int trace_victim(void) { return done(ptrace(PTRACE_SEIZE, victim(), 0, 0)); }
static int trace_me(void) { return done(ptrace(PTRACE_TRACEME, 0, 0, 0)); }
static int signal_supervisor(void) { return done(kill(supervisor(), 0)); }
static int signal_supervisor_high(void) { return done(syscall(SYS_kill, (1ull << 40) | (unsigned) supervisor(), 0)); }
static int signal_first(void) { return done(kill(1, 0)); }
static int signal_victim(void) { return done(kill(victim(), 0)); }
static int signal_everyone(void) { return done(syscall(SYS_kill, 0xffffffffull, 0)); }
static int queue_to_supervisor(void) {
    siginfo_t info = { .si_code = SI_QUEUE };
    return done(syscall(SYS_rt_sigqueueinfo, supervisor(), 0, &info));
}
static int limit_supervisor(void) {
    struct rlimit l = { 64, 64 };
    return done(prlimit(supervisor(), RLIMIT_NOFILE, NULL, &l));
}
static int pin_supervisor(void) {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(0, &one);
    return done(sched_setaffinity(supervisor(), sizeof(one), &one));
}
static int slow_supervisor(void) { return done(setpriority(PRIO_PROCESS, (id_t) supervisor(), 19)); }
static int slow_user(void) { return done(setpriority(PRIO_USER, getuid(), 10)); }
static int take_descriptor(void) {
    long pidfd = syscall(SYS_pidfd_open, victim(), 0);
    if (pidfd < 0)
        return errno;
    int e = done(syscall(SYS_pidfd_getfd, pidfd, 0, 0));
    close((int) pidfd);
    return e;
}
static int compare_kernel(void) { return done(syscall(SYS_kcmp, victim(), getpid(), 1, 0, 0)); }
static int allow_tracer(void) { return done(prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0)); }

/* --- exec and code --- */
static int spawn(const char *path, int fd) {
    char name[] = "x", *argv[] = { name, NULL }, *env[] = { NULL };
    int report[2], e = 0;
    if (pipe2(report, O_CLOEXEC) < 0)
        return errno;
    pid_t pid = fork();
    if (pid < 0) { /* no new process: try it in this one; it comes back only when refused */
        e = errno;
        if (fd >= 0)
            syscall(SYS_execveat, fd, "", argv, env, AT_EMPTY_PATH);
        else
            execve(path, argv, env);
        return errno ? errno : e;
    }
    if (pid == 0) {
        if (fd >= 0)
            syscall(SYS_execveat, fd, "", argv, env, AT_EMPTY_PATH);
        else
            execve(path, argv, env);
        e = errno;
        _exit(write(report[1], &e, sizeof(e)) < 0);
    }
    close(report[1]);
    if (read(report[0], &e, sizeof(e)) != (ssize_t) sizeof(e))
        e = 0;
    close(report[0]);
    waitpid(pid, NULL, 0);
    return e;
}
static int run_shell(void) { return access("/bin/true", X_OK) == 0 ? spawn("/bin/true", -1) : NOT_HERE; }
static int run_outside(void) { return spawn(in_arena("outside/program"), -1); }
static int run_self(void) { return spawn("/proc/self/exe", -1); }
static int run_memory(void) {
    int from = open("/proc/self/exe", O_RDONLY);
    if (from < 0)
        return NOT_HERE;
    int fd = memfd_create("x", 0);
    char bytes[4096] = "#!/bin/true\n";
    if (fd < 0 || write(fd, bytes, 12) != 12)
        return errno;
    close(from);
    int e = spawn(NULL, fd);
    close(fd);
    return e;
}
static int fork_child(void) {
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    return pid < 0 ? errno : (waitpid(pid, NULL, 0), 0);
}
static int write_and_execute(void) {
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? errno : 0;
}
static int execute_later(void) {
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? errno : done(mprotect(p, 4096, PROT_READ | PROT_EXEC));
}

/* --- namespaces, privileges, kernel surface --- */
static int new_user_namespace(void) { return done(unshare(CLONE_NEWUSER)); }
static int new_namespace_by_clone(void) { return done(syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0)); }
static int new_namespace_by_clone3(void) {
    uint64_t args[11] = { CLONE_NEWUSER };
    return done(syscall(SYS_clone3, args, sizeof(args)));
}
static int join_namespace(void) {
    int fd = open("/proc/self/ns/net", O_RDONLY);
    int e = done(setns(fd, 0));
    if (fd >= 0)
        close(fd);
    return e;
}
static int mount_tmpfs(void) { return done(mount("none", "/tmp", "tmpfs", 0, NULL)); }
static int change_root(void) { return done(chroot("/")); }
static int become_root(void) { return getuid() == 0 ? NOT_HERE : done(setuid(0)); }
static int gain_capability(void) {
    uint32_t head[2] = { 0x20080522, 0 }, data[6] = { ~0u, ~0u, 0, ~0u, ~0u, 0 };
    return done(syscall(SYS_capset, head, data));
}
static int load_bpf(void) { return done(syscall(SYS_bpf, 0, NULL, 0)); }
static int perf_open(void) { return done(syscall(SYS_perf_event_open, NULL, 0, -1, -1, 0)); }
static int user_fault(void) { return done(syscall(SYS_userfaultfd, 0)); }
static int uring(void) { return done(syscall(SYS_io_uring_setup, 1, NULL)); }
static int keyring(void) { return done(syscall(SYS_add_key, "user", "a", "b", 1, -3)); }
static int another_filter(void) { return done(syscall(SYS_seccomp, 1, 0, NULL)); }
static int filter_by_prctl(void) { return done(prctl(PR_SET_SECCOMP, 2, NULL)); }
static int another_ruleset(void) {
    uint64_t handled[3] = { 1 };
    int fd = (int) syscall(444, handled, sizeof(handled), 0);
    return opened(fd);
}
static int read_kernel_log(void) { return done(syscall(SYS_syslog, 3, NULL, 0)); }
static int set_host_name(void) { return done(sethostname("x", 1)); }
static int reboot_machine(void) { return done(syscall(SYS_reboot, 0, 0, 0, NULL)); }
static int set_personality(void) { return done(syscall(SYS_personality, 0x0040000)); }
static int shared_segment(void) { return done(shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600)); }
static int message_queue(void) { return done(syscall(SYS_mq_open, "x", O_CREAT | O_RDWR, 0600, NULL)); }
static int unknown_call(void) { return done(syscall(1023)); }
static int set_attribute(void) { return done(setxattr(in_arena("model/model.safetensors"), "user.x", "y", 1, 0)); }
static int raise_core_limit(void) {
    struct rlimit l = { 1, 1 };
    return done(setrlimit(RLIMIT_CORE, &l));
}
static int go_real_time(void) {
    struct sched_param p = { .sched_priority = 1 };
    return done(sched_setscheduler(0, SCHED_FIFO, &p));
}

/* --- network --- */
static int tried_socket(int domain, int type, int protocol) { return opened(socket(domain, type, protocol)); }
static int socket_udp(void) { return tried_socket(AF_INET, SOCK_DGRAM, 0); }
static int socket_tcp(void) { return tried_socket(AF_INET, SOCK_STREAM, 0); }
static int socket_raw(void) { return tried_socket(AF_INET, SOCK_RAW, IPPROTO_ICMP); }
static int socket_packet(void) { return tried_socket(AF_PACKET, SOCK_RAW, 0); }
static int socket_vsock(void) { return tried_socket(AF_VSOCK, SOCK_STREAM, 0); }
static int socket_vsock_high(void) { return done(syscall(SYS_socket, (1ull << 33) | AF_VSOCK, SOCK_STREAM, 0)); }
static int socket_mptcp(void) { return tried_socket(AF_INET, SOCK_STREAM, 262); }
static int socket_alg(void) { return tried_socket(AF_ALG, SOCK_SEQPACKET, 0); }
static int socket_netlink_audit(void) { return tried_socket(AF_NETLINK, SOCK_RAW, 9); }

static int connect_to(int fd, int port) {
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t) port) };
    return done(connect(fd, (struct sockaddr *) &at, sizeof(at)));
}
static int connect_out(void) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0)
        return errno;
    int e = connect_to(fd, test_number("HOLDFAST_TEST_PORT"));
    close(fd);
    return e;
}
static int connect_fast(void) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0)
        return errno;
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                              .sin_port = htons((uint16_t) test_number("HOLDFAST_TEST_PORT")) };
    int e = done(sendto(fd, "x", 1, MSG_FASTOPEN, (struct sockaddr *) &at, sizeof(at)));
    close(fd);
    return e;
}
static int bind_port(void) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0)
        return errno;
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(47011) };
    int e = done(bind(fd, (struct sockaddr *) &at, sizeof(at)));
    close(fd);
    return e;
}
static int connect_path(void) {
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0)
        return errno;
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    const char *path = in_arena("outside/sock");
    if (strlen(path) >= sizeof(at.sun_path))
        return NOT_HERE;
    memcpy(at.sun_path, path, strlen(path));
    int e = done(connect(fd, (struct sockaddr *) &at, sizeof(at)));
    close(fd);
    return e;
}
static int connect_abstract(void) {
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0)
        return errno;
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    const char *name = test_value("HOLDFAST_TEST_ABSTRACT");
    snprintf(at.sun_path + 1, sizeof(at.sun_path) - 1, "%s", name);
    int e = done(connect(fd, (struct sockaddr *) &at, (socklen_t) (offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name))));
    close(fd);
    return e;
}
static int recycle_listener(void) {
    int fd = listener() < 0 ? -1 : dup(listener());
    if (fd < 0)
        return NOT_HERE;
    shutdown(fd, SHUT_RDWR);
    int e = connect_to(fd, test_number("HOLDFAST_TEST_PORT"));
    close(fd);
    return e;
}
static int attach_program(void) {
    uint64_t program[2] = {0};
    int fd = getenv("HOLDFAST_CONTROL_FD") ? test_number("HOLDFAST_CONTROL_FD") : listener();
    return done(setsockopt(fd, SOL_SOCKET, 26, program, sizeof(program)));
}
static int type_into_terminal(void) {
    char c = 'x';
    return done(ioctl(0, TIOCSTI, &c)) == ENOTTY ? 0 : errno;
}
static int stray_descriptor(void) { /* what inbox had open and did not name */
    for (int fd = 3; fd < 100; fd++)
        if (fd != test_number("HOLDFAST_CONTROL_FD") && fd != listener() && fcntl(fd, F_GETFD) >= 0)
            return 0;
    return EBADF;
}
static int token_in_environment(void) { return getenv("HF_TOKEN") ? 0 : ENOENT; }

/* --- what must work --- */
static void *name_thread(void *unused) {
    (void) unused;
    char path[64];
    snprintf(path, sizeof(path), "/proc/self/task/%d/comm", (int) gettid());
    int fd = open(path, O_WRONLY);
    intptr_t e = fd < 0 ? errno : write(fd, "worker", 6) == 6 ? 0 : errno;
    if (fd >= 0)
        close(fd);
    return (void *) e;
}
static void *do_nothing(void *p) { return p; }
static int threads_work(void) {
    pthread_t t[8];
    for (int i = 0; i < 8; i++) {
        int e = pthread_create(&t[i], NULL, do_nothing, NULL);
        if (e)
            return e;
    }
    for (int i = 0; i < 8; i++)
        pthread_join(t[i], NULL);
    return 0;
}
static int thread_names_work(void) {
    pthread_t t;
    void *e = NULL;
    if (getuid() == 0 && strcmp(test_value("HOLDFAST_TEST_PROFILE"), "engine-cuda") != 0 && access("/dev/nvidiactl", F_OK) != 0)
        return NOT_HERE; /* the grant would open sysctls to user 0, so that one does without */
    if (pthread_create(&t, NULL, name_thread, NULL) != 0)
        return errno;
    pthread_join(t, &e);
    return (int) (intptr_t) e;
}
static int control_pair_works(void) {
    if (!getenv("HOLDFAST_CONTROL_FD"))
        return NOT_HERE;
    int fd = test_number("HOLDFAST_CONTROL_FD");
    return send(fd, "READY=1", 7, MSG_NOSIGNAL) == 7 ? 0 : errno;
}
static int memfd_seals_work(void) {
    int fd = memfd_create("plan", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    int e = fd < 0 || ftruncate(fd, 4096) < 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_WRITE) < 0 ? errno : 0;
    if (fd >= 0)
        close(fd);
    return e;
}
static int big_reservation_works(void) {
    void *p = mmap(NULL, 512ull << 30, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return p == MAP_FAILED ? errno : done(munmap(p, 512ull << 30));
}
static int own_status_works(void) { return opened(open("/proc/self/status", O_RDONLY)); }
static int own_signal_works(void) {
    signal(SIGUSR1, SIG_IGN);
    return done(raise(SIGUSR1)) ? errno : done(kill(getpid(), SIGUSR1));
}
static int null_works(void) { return opened(open("/dev/null", O_RDWR)); }
static int random_works(void) { return opened(open("/dev/urandom", O_RDONLY)); }
static int memory_facts_work(void) { return opened(open("/proc/meminfo", O_RDONLY)); }
static int topology_works(void) { return opened(open("/sys/devices/system/cpu/online", O_RDONLY)); }
static int listener_accepts(void) {
    int fd = listener();
    if (fd < 0)
        return NOT_HERE;
    if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
        return errno;
    int got = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
    return got >= 0 || errno == EAGAIN ? 0 : errno;
}

static const struct attempt {
    int refused, works; /* profiles */
    const char *name;
    int (*run)(void);
} attempts[] = {
    { ALL, 0, "read a file outside", read_token }, { ALL, 0, "write a file outside", write_token },
    { ALL, 0, "list a folder outside", list_outside }, { ALL, 0, "list the root folder", list_root },
    { OWN, FOREIGN, "read /etc/passwd", read_passwd }, { ALL, 0, "make a file outside", make_outside },
    { ALL, 0, "make a file in /tmp", make_in_tmp }, { OWN, FOREIGN, "make a shared memory file", make_in_shm },
    { ALL, 0, "read outside through ..", through_dotdot }, { ALL, 0, "read through /proc/self/root", through_fd_dir },
    { ALL, 0, "read outside from a working folder there", through_cwd }, { ALL, 0, "truncate a file outside", truncate_token },
    { ALL, 0, "link a file outside into the model", link_token_in }, { ALL, 0, "rename a file outside into the model", rename_token_in },
    { ALL, 0, "open by handle", read_by_handle }, { ALL, 0, "make a device node", make_node },
    { ALL, 0, "write a sysctl", write_sysctl }, { ALL, 0, "write the sysrq trigger", write_sysrq },
    { ALL, 0, "open /dev/mem", open_memory_device }, { ALL, 0, "open /dev/kmsg", open_kmsg }, { ALL, 0, "open /dev/fuse", open_fuse },
    { ALL, 0, "open a terminal", open_tty }, { ALL, 0, "write a cgroup", write_cgroup },
    { ALL, 0, "read the service account", read_service_account }, { OWN, 0, "read /etc/shadow", read_shadow },
    { FRONT, READER, "read the weights", read_weights }, { ALL & ~WRITER, WRITER, "open the weights for writing", write_weights },
    { ALL & ~WRITER, 0, "truncate the weights", truncate_weights }, { ALL & ~WRITER, 0, "remove the weights", unlink_weights },
    { ALL & ~WRITER, 0, "replace the weights", replace_weights }, { ALL, 0, "map the weights shared and writable", map_weights_shared },
    { ALL & ~WRITER, 0, "reopen the weights for writing", reopen_weights }, { ALL & ~WRITER, 0, "set an attribute of the weights", set_attribute },
    { ALL & ~WRITER, WRITER, "publish a file among the weights", publish_weights },
    { ALL & ~(CUDA | FOREIGN), CUDA | FOREIGN, "write the scratch folder", write_scratch },

    { ALL, 0, "read the supervisor's environment", read_environ }, { ALL, 0, "read process 1's environment", read_first_environ },
    { ALL, 0, "read the supervisor's memory", read_memory }, { ALL, 0, "write the supervisor's oom score", write_oom_score },
    { OWN & ~PREFLIGHT, 0, "list the supervisor's descriptors", list_descriptors }, { ALL, 0, "read another's environment", read_victim_environ },
    { ALL, 0, "write another's memory", read_victim_memory }, { ALL, 0, "copy the supervisor's memory", read_through_vm },
    { ALL, 0, "trace the supervisor", trace_supervisor }, { ALL, 0, "trace another", trace_victim },
    { ALL, 0, "signal the supervisor", signal_supervisor }, { ALL, 0, "signal the supervisor, high bit set", signal_supervisor_high },
    { ALL, 0, "signal process 1", signal_first }, { ALL, 0, "signal another", signal_victim }, { ALL, 0, "signal everyone", signal_everyone },
    { ALL, 0, "queue a signal to the supervisor", queue_to_supervisor }, { ALL, 0, "limit the supervisor", limit_supervisor },
    { ALL, 0, "pin the supervisor to a CPU", pin_supervisor }, { ALL, 0, "slow the supervisor", slow_supervisor },
    { ALL, 0, "slow every process of the user", slow_user }, { ALL, 0, "take another's descriptor", take_descriptor },
    { ALL, 0, "compare kernel objects", compare_kernel }, { ALL, 0, "let anyone trace this process", allow_tracer },
    { ALL, 0, "hold a descriptor that was not named", stray_descriptor },
    { ALL & ~FETCH, FETCH, "see the hub's token", token_in_environment },

    { OWN, FOREIGN, "run a program of the system", run_shell }, { ALL, 0, "run a program outside", run_outside },
    { OWN, 0, "run itself again", run_self }, { ALL, 0, "run a program from memory", run_memory },
    { OWN & ~PREFLIGHT, PREFLIGHT | FOREIGN, "fork", fork_child }, { OWN, FOREIGN, "map memory writable and executable", write_and_execute },
    { OWN, FOREIGN, "make memory executable later", execute_later },

    { ALL, 0, "make a user namespace", new_user_namespace }, { ALL, 0, "make one by clone", new_namespace_by_clone },
    { ALL, 0, "make one by clone3", new_namespace_by_clone3 }, { ALL, 0, "join a namespace", join_namespace },
    { ALL, 0, "mount", mount_tmpfs }, { ALL, 0, "change the root folder", change_root }, { ALL, 0, "become root", become_root },
    { ALL, 0, "gain capabilities", gain_capability }, { ALL, 0, "load BPF", load_bpf }, { ALL, 0, "open perf events", perf_open },
    { ALL, 0, "handle page faults", user_fault }, { ALL, 0, "make an io_uring", uring }, { ALL, 0, "add a key", keyring },
    { ALL, 0, "load another filter", another_filter }, { ALL, 0, "load one by prctl", filter_by_prctl },
    { ALL, 0, "make a Landlock ruleset", another_ruleset }, { ALL, 0, "read the kernel log", read_kernel_log },
    { ALL, 0, "set the host name", set_host_name }, { ALL, 0, "reboot", reboot_machine }, { ALL, 0, "change the personality", set_personality },
    { ALL, 0, "make a System V segment", shared_segment }, { ALL, 0, "make a message queue", message_queue },
    { ALL, 0, "use a call that does not exist", unknown_call }, { ALL, 0, "raise the core limit", raise_core_limit },
    { ALL, 0, "become real-time", go_real_time },

    { NONET, NET | FOREIGN, "make a TCP socket", socket_tcp }, { NONET | FOREIGN, NET, "make a UDP socket", socket_udp },
    { ALL, 0, "make a raw socket", socket_raw }, { ALL, 0, "make a packet socket", socket_packet },
    { ALL, 0, "make a vsock socket", socket_vsock }, { ALL, 0, "make one with a high bit", socket_vsock_high },
    { ALL, 0, "make an MPTCP socket", socket_mptcp }, { ALL, 0, "make a crypto socket", socket_alg },
    { ALL, 0, "make an audit socket", socket_netlink_audit }, { ALL & ~NET, NET, "connect to a port", connect_out },
    { ALL, 0, "connect by fast open", connect_fast }, { ALL, 0, "bind a port", bind_port },
    { OWN, 0, "connect to a UNIX socket by path", connect_path }, { ALL, 0, "connect to an abstract UNIX socket", connect_abstract },
    { ALL, 0, "attach a program to a socket", attach_program },
    { ALL, 0, "type into the terminal", type_into_terminal },

    { 0, ALL, "threads", threads_work }, { 0, CUDA | PREFLIGHT | FOREIGN, "thread names by /proc", thread_names_work },
    { 0, ALL, "the control pair", control_pair_works }, { 0, ALL, "sealed memory files", memfd_seals_work },
    { 0, ALL, "reserving 512 GiB of addresses", big_reservation_works }, { 0, ALL, "reading its own status", own_status_works },
    { 0, ALL, "signalling itself", own_signal_works }, { 0, ALL, "/dev/null", null_works }, { 0, ALL, "/dev/urandom", random_works },
    { 0, ALL, "/proc/meminfo", memory_facts_work }, { 0, CPU | CUDA | PREFLIGHT | FOREIGN, "the CPU topology", topology_works },
    { 0, FRONT | FOREIGN, "accepting on the inherited socket", listener_accepts },
    { ALL, 0, "recycle the listener to connect out", recycle_listener }, /* it spoils the socket */
    { ALL, 0, "ask to be traced", trace_me }, /* last: with a tracer, signals stop this program */
};

/* Names a thread, says that it is ready, waits until the file `go` is there (the test has dropped the kernel's caches), names again. */
static int name_again(const char *go) {
    if (thread_names_work() != 0 || opened(open(in_arena("scratch/ready"), O_WRONLY | O_CREAT, 0600)) != 0)
        return 2;
    for (int i = 0; i < 1000 && access(go, F_OK) != 0; i++)
        poll(NULL, 0, 10);
    return access(go, F_OK) == 0 && thread_names_work() == 0 && own_status_works() == 0 ? 0 : 1;
}

int main(int argc, char **argv) {
    if (argc > 2 && strcmp(argv[1], "--wait-then-name") == 0)
        return name_again(argv[2]);
    int profile = 0, n = 0, n_bad = 0;
    setvbuf(stdout, NULL, _IOLBF, 4096);
    const char *name = argc > 1 ? argv[1] : test_value("HOLDFAST_TEST_PROFILE");
    for (size_t i = 0; i < sizeof(profiles) / sizeof(*profiles); i++)
        if (strcmp(profiles[i].name, name) == 0)
            profile = profiles[i].bit;
    for (size_t i = 0; i < sizeof(attempts) / sizeof(*attempts); i++) {
        const struct attempt *a = &attempts[i];
        if (!((a->refused | a->works) & profile))
            continue;
        bool must_work = a->works & profile;
        errno = 0;
        int e = a->run();
        if (e == NOT_HERE) {
            printf("ok %d # SKIP %s\n", ++n, a->name);
            continue;
        }
        bool is_ok = must_work ? e == 0 : e != 0;
        n_bad += !is_ok;
        printf("%s %d - %s: %s%s%s%s\n", is_ok ? "ok" : "not ok", ++n,
               is_ok ? (must_work ? "must work" : "must be refused") : must_work ? "DOES NOT WORK" : "GOT THROUGH", a->name,
               e ? " (" : "", e ? strerrorname_np(e) : "", e ? ")" : "");
    }
    printf("1..%d\n", n);
    return profile == 0 || n_bad > 0;
}

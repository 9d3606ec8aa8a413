/* test_seccomp.c - the filters say what their tables say. The compiled programs are simulated for every call number and for
 * the argument cases, with the high half of 32-bit arguments set and not; the kernel then loads them in children. */
#include "tests/unit/test.h"

#include "supervisor/host/sandbox.h"
#include "supervisor/host/seccomp.h"

#include "base/list.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef __x86_64__
enum { ARCH = (int) AUDIT_ARCH_X86_64 };
#else
enum { ARCH = (int) AUDIT_ARCH_AARCH64 };
#endif
enum { SUPERVISOR = 4711, GROUP = 4700, SELF = 815 };

static const uint64_t ticket[HOLD_TICKET_WORDS] = { 0x1122334455667788, 0x99aabbccddeeff00, 0x0123456789abcdef };
static struct hold_sandbox_plan plan;

/* Classic BPF as far as libseccomp and the last filter use it. */
static uint32_t run(const struct sock_filter *code, size_t n, const struct seccomp_data *data) {
    uint32_t a = 0;
    for (size_t pc = 0; pc < n; pc++) {
        const struct sock_filter *i = &code[pc];
        switch (i->code) {
        case BPF_LD | BPF_W | BPF_ABS:
            assert_true(i->k + 4 <= sizeof(*data) && i->k % 4 == 0);
            memcpy(&a, (const char *) data + i->k, 4);
            break;
        case BPF_ALU | BPF_AND | BPF_K: a &= i->k; break;
        case BPF_JMP | BPF_JA: pc += i->k; break;
        case BPF_JMP | BPF_JEQ | BPF_K: pc += a == i->k ? i->jt : i->jf; break;
        case BPF_JMP | BPF_JGT | BPF_K: pc += a > i->k ? i->jt : i->jf; break;
        case BPF_JMP | BPF_JGE | BPF_K: pc += a >= i->k ? i->jt : i->jf; break;
        case BPF_RET | BPF_K: return i->k;
        default: fail_msg("instruction %#x", i->code);
        }
    }
    fail_msg("the program runs off its end");
    return 0;
}

static void prepare(enum hold_profile p) {
    plan = (struct hold_sandbox_plan) { .profile = p, .supervisor_pid = SUPERVISOR, .supervisor_pgid = GROUP, .is_exec_once = p != HOLD_PROFILE_FOREIGN, .has_datagrams = true };
    struct hold_err err = {0};
    if (hold_seccomp_prepare(&plan, &err) < 0)
        fail_msg("%s", err.text);
}

/* The kernel's rule over the three filters: the most severe action, and the newest filter's errno among equals. */
static uint32_t verdict(struct seccomp_data data) {
    struct sock_filter last[HOLD_LAST_FILTER_MAX];
    size_t n_last = hold_seccomp_write_last(&plan, SELF, ticket, last), n_calls, n_args;
    const struct sock_filter *calls = hold_seccomp_program(&plan, true, &n_calls);
    const struct sock_filter *args = hold_seccomp_program(&plan, false, &n_args);
    data.arch = (uint32_t) ARCH;
    uint32_t worst = run(last, n_last, &data);
    const uint32_t older[] = { run(calls, n_calls, &data), run(args, n_args, &data) };
    for (size_t i = 0; i < 2; i++)
        if ((int32_t) (older[i] & SECCOMP_RET_ACTION_FULL) < (int32_t) (worst & SECCOMP_RET_ACTION_FULL))
            worst = older[i];
    return worst;
}

static uint32_t call(long nr, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3) {
    return verdict((struct seccomp_data) { .nr = (int) nr, .args = { a0, a1, a2, a3 } });
}

#define ALLOWED SECCOMP_RET_ALLOW
#define REFUSED(e) (SECCOMP_RET_ERRNO | (e))
#define FOR_OWN(p) for (int p = HOLD_PROFILE_NONE + 1; p < HOLD_PROFILE_FOREIGN; p++)
#define FOR_ALL(p) for (int p = HOLD_PROFILE_NONE + 1; p < HOLD_PROFILE_COUNT; p++)
#define HIGH (1ull << 33)

static void unknown_calls_do_not_exist(void **unused) {
    (void) unused;
    FOR_ALL(p) {
        prepare((enum hold_profile) p);
        for (long nr = 451; nr < 700; nr++)
            assert_int_equal(call(nr, 0, 0, 0, 0), REFUSED(ENOSYS));
        assert_int_equal(call(1023, 0, 0, 0, 0), REFUSED(ENOSYS));
        assert_int_equal(call(400, 0, 0, 0, 0), REFUSED(ENOSYS)); /* the gap between old and new numbers */
        assert_int_equal(call(SYS_clone3, 0, 0, 0, 0), REFUSED(ENOSYS));
    }
}

static void every_known_call_is_allowed_or_refused_never_killed(void **unused) {
    (void) unused;
    FOR_ALL(p) {
        prepare((enum hold_profile) p);
        int n_allowed = 0;
        for (long nr = 0; nr <= 334; nr++) {
            uint32_t v = call(nr, 0, 0, 0, 0);
            n_allowed += v == ALLOWED;
            if (v != ALLOWED && v != REFUSED(EPERM) && v != REFUSED(ECONNREFUSED))
                fail_msg("%s: call %ld answers %#x", hold_profile_name(plan.profile), nr, v);
        }
        assert_in_range(n_allowed, 120, 260);
    }
}

static void other_architectures_are_killed(void **unused) {
    (void) unused;
    prepare(HOLD_PROFILE_FRONT);
    size_t n;
    const struct sock_filter *code = hold_seccomp_program(&plan, true, &n);
    struct seccomp_data data = { .nr = 1, .arch = AUDIT_ARCH_I386 };
    assert_int_equal(run(code, n, &data), SECCOMP_RET_KILL_PROCESS);
#ifdef __x86_64__
    data = (struct seccomp_data) { .nr = 0x40000000 | SYS_read, .arch = AUDIT_ARCH_X86_64 };
    assert_int_equal(run(code, n, &data), SECCOMP_RET_KILL_PROCESS);
#endif
    struct sock_filter last[HOLD_LAST_FILTER_MAX];
    n = hold_seccomp_write_last(&plan, SELF, ticket, last);
    data.arch = AUDIT_ARCH_I386;
    assert_int_equal(run(last, n, &data), SECCOMP_RET_KILL_PROCESS);
}

static void the_dangerous_ones_are_refused_everywhere(void **unused) {
    (void) unused;
    static const long calls[] = {
        SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev, SYS_process_madvise, SYS_kcmp, SYS_pidfd_getfd, SYS_pidfd_send_signal,
        SYS_mount, SYS_umount2, SYS_pivot_root, SYS_chroot, SYS_unshare, SYS_setns, SYS_open_tree, SYS_move_mount, SYS_fsopen, SYS_fsmount,
        SYS_mount_setattr, SYS_bpf, SYS_perf_event_open, SYS_userfaultfd, SYS_io_uring_setup, SYS_io_uring_enter, SYS_io_uring_register,
        SYS_keyctl, SYS_add_key, SYS_request_key, SYS_vmsplice, SYS_fanotify_init, SYS_kexec_load, SYS_kexec_file_load, SYS_init_module,
        SYS_finit_module, SYS_delete_module, SYS_reboot, SYS_swapon, SYS_swapoff, SYS_acct, SYS_quotactl, SYS_settimeofday, SYS_clock_settime,
        SYS_clock_adjtime, SYS_adjtimex, SYS_sethostname, SYS_setdomainname, SYS_syslog, SYS_setuid, SYS_setgid, SYS_setreuid, SYS_setregid,
        SYS_setresuid, SYS_setresgid, SYS_setfsuid, SYS_setfsgid, SYS_setgroups, SYS_capset, SYS_personality, SYS_open_by_handle_at,
        SYS_name_to_handle_at, SYS_mknodat, SYS_seccomp, SYS_landlock_create_ruleset, SYS_landlock_restrict_self, SYS_shmget, SYS_shmat,
        SYS_semget, SYS_msgget, SYS_mq_open, SYS_execveat, SYS_lookup_dcookie, SYS_migrate_pages, SYS_move_pages,
#ifdef __x86_64__
        SYS_iopl, SYS_ioperm, SYS_modify_ldt, SYS_uselib, SYS_mknod,
#endif
    };
    FOR_ALL(p) {
        prepare((enum hold_profile) p);
        for (size_t i = 0; i < HOLD_COUNT_OF(calls); i++)
            for (uint64_t a = 0; a < 4; a++) {
                bool is_question = (calls[i] == SYS_seccomp && a == 2) || (calls[i] == SYS_landlock_create_ruleset && a == 1 && p == HOLD_PROFILE_JOB_PREFLIGHT);
                if (!is_question && call(calls[i], a, a, a, a) != REFUSED(EPERM))
                    fail_msg("%s: call %ld answers %#x", hold_profile_name(plan.profile), calls[i], call(calls[i], a, a, a, a));
            }
    }
}

static void exec_needs_every_word_of_the_ticket(void **unused) {
    (void) unused;
    FOR_OWN(p) {
        prepare((enum hold_profile) p);
        struct seccomp_data right = { .nr = SYS_execve, .args = { 1, 2, 3, ticket[0], ticket[1], ticket[2] } };
        assert_int_equal(verdict(right), ALLOWED);
        for (int word = 0; word < HOLD_TICKET_WORDS; word++)
            for (int bit = 0; bit < 64; bit++) {
                struct seccomp_data wrong = right;
                wrong.args[3 + word] ^= 1ull << bit;
                assert_int_equal(verdict(wrong), REFUSED(EPERM));
            }
        assert_int_equal(call(SYS_execve, 1, 2, 3, 0), REFUSED(EPERM));
    }
    prepare(HOLD_PROFILE_FOREIGN);
    assert_int_equal(call(SYS_execve, 1, 2, 3, 0), ALLOWED);
}

static void signals_reach_the_child_itself_only(void **unused) {
    (void) unused;
    static const long calls[] = { SYS_kill, SYS_tgkill, SYS_rt_sigqueueinfo, SYS_rt_tgsigqueueinfo };
    static const uint64_t others[] = { SUPERVISOR, 1, (uint32_t) -1, (uint32_t) -GROUP, 0xffffffffffffffff };
    FOR_ALL(p) {
        prepare((enum hold_profile) p);
        for (size_t i = 0; i < HOLD_COUNT_OF(calls); i++) {
            assert_int_equal(call(calls[i], SELF, 0, 0, 0), ALLOWED);
            for (size_t k = 0; k < HOLD_COUNT_OF(others); k++) {
                assert_int_equal(call(calls[i], others[k], 0, 0, 0), REFUSED(EPERM));
                assert_int_equal(call(calls[i], others[k] ^ HIGH, 0, 0, 0), REFUSED(EPERM));
            }
            bool is_forking = p == HOLD_PROFILE_FOREIGN || p == HOLD_PROFILE_JOB_PREFLIGHT;
            assert_int_equal(call(calls[i], 816, 0, 0, 0), is_forking ? ALLOWED : REFUSED(EPERM));
        }
        assert_int_equal(call(SYS_prlimit64, 0, 0, 0, 0), ALLOWED);
        assert_int_equal(call(SYS_prlimit64, SUPERVISOR, 0, 0, 0), REFUSED(EPERM));
        assert_int_equal(call(SYS_sched_setaffinity, SUPERVISOR, 0, 0, 0), REFUSED(EPERM));
        assert_int_equal(call(SYS_sched_setaffinity, SUPERVISOR | HIGH, 0, 0, 0), REFUSED(EPERM));
    }
}

static void new_namespaces_are_refused_and_our_own_do_not_fork(void **unused) {
    (void) unused;
    static const uint64_t spaces[] = { CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET, CLONE_NEWIPC, CLONE_NEWUTS, CLONE_NEWCGROUP };
    FOR_ALL(p) {
        prepare((enum hold_profile) p);
        bool is_forking = p == HOLD_PROFILE_FOREIGN || p == HOLD_PROFILE_JOB_PREFLIGHT;
        assert_int_equal(call(SYS_clone, CLONE_VM | CLONE_THREAD | CLONE_SIGHAND, 0, 0, 0), ALLOWED);
        assert_int_equal(call(SYS_clone, 17, 0, 0, 0), is_forking ? ALLOWED : REFUSED(EPERM));
        for (size_t i = 0; i < HOLD_COUNT_OF(spaces); i++) {
            assert_int_equal(call(SYS_clone, spaces[i] | 17, 0, 0, 0), REFUSED(EPERM));
            assert_int_equal(call(SYS_clone, spaces[i] | CLONE_THREAD | HIGH, 0, 0, 0), REFUSED(EPERM));
        }
#ifdef __x86_64__
        assert_int_equal(call(SYS_fork, 0, 0, 0, 0), is_forking ? ALLOWED : REFUSED(EPERM));
        assert_int_equal(call(SYS_vfork, 0, 0, 0, 0), is_forking ? ALLOWED : REFUSED(EPERM));
#endif
    }
}

static void sockets_are_for_those_who_connect(void **unused) {
    (void) unused;
    static const struct { uint64_t domain, type, protocol; } never[] = {
        { AF_INET, SOCK_STREAM, 262 }, { AF_INET, SOCK_RAW, 0 }, { AF_INET, SOCK_RAW, 1 }, { AF_PACKET, SOCK_RAW, 0 }, { AF_VSOCK, SOCK_STREAM, 0 },
        { AF_ALG, SOCK_SEQPACKET, 0 }, { AF_NETLINK, SOCK_RAW, 9 }, { AF_INET, SOCK_STREAM, 132 }, { AF_BLUETOOTH, SOCK_RAW, 0 }, { 45, SOCK_DGRAM, 0 },
    };
    FOR_ALL(p) {
        prepare((enum hold_profile) p);
        bool is_connecting = p == HOLD_PROFILE_FOREIGN || p == HOLD_PROFILE_JOB_FETCH || p == HOLD_PROFILE_JOB_PREFLIGHT;
        uint32_t right = is_connecting ? ALLOWED : REFUSED(EPERM);
        assert_int_equal(call(SYS_socket, AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 6, 0), right);
        assert_int_equal(call(SYS_socket, AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0, 0), right);
        assert_int_equal(call(SYS_socket, AF_INET, SOCK_DGRAM, 17, 0), right);
        assert_int_equal(call(SYS_connect, 3, 0, 0, 0), is_connecting ? ALLOWED : REFUSED(ECONNREFUSED));
        assert_int_equal(call(SYS_sendto, 3, 0, 0, 0), ALLOWED);
        assert_int_equal(verdict((struct seccomp_data) { .nr = SYS_sendto, .args = { 3, 0, 0, 0, 4096, 16 } }), right);
        assert_int_equal(call(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, 0), ALLOWED);
        assert_int_equal(call(SYS_accept4, 3, 0, 0, 0), p == HOLD_PROFILE_FRONT || p == HOLD_PROFILE_FOREIGN ? ALLOWED : REFUSED(EPERM));
        for (size_t i = 0; i < HOLD_COUNT_OF(never); i++) {
            assert_int_equal(call(SYS_socket, never[i].domain, never[i].type, never[i].protocol, 0), REFUSED(EPERM));
            assert_int_equal(call(SYS_socket, never[i].domain | HIGH, never[i].type, never[i].protocol, 0), REFUSED(EPERM));
        }
        for (uint64_t high = 0; high <= HIGH; high += HIGH) {
            assert_int_equal(call(SYS_sendto, 3, 0, 0, MSG_FASTOPEN | MSG_NOSIGNAL | high), REFUSED(EPERM));
            assert_int_equal(call(SYS_sendmsg, 3, 0, MSG_FASTOPEN | high, 0), REFUSED(EPERM));
            assert_int_equal(call(SYS_setsockopt, 3, SOL_SOCKET | high, 26 | high, 0), REFUSED(EPERM));
            assert_int_equal(call(SYS_ioctl, 0, 0x5412 | high, 0, 0), REFUSED(EPERM));
        }
    }
}

static void a_server_with_port_rules_has_no_datagrams(void **unused) {
    (void) unused;
    prepare(HOLD_PROFILE_FOREIGN);
    plan.has_datagrams = false;
    assert_int_equal(hold_seccomp_prepare(&plan, NULL), 0);
    assert_int_equal(call(SYS_socket, AF_INET, SOCK_DGRAM, 0, 0), REFUSED(EPERM));
    assert_int_equal(call(SYS_socket, AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 17, 0), REFUSED(EPERM));
    assert_int_equal(call(SYS_socket, AF_INET, SOCK_STREAM, 0, 0), ALLOWED);
    assert_int_equal(call(SYS_socket, AF_NETLINK, SOCK_DGRAM, 0, 0), ALLOWED);
}

static void device_commands_are_for_the_gpu(void **unused) {
    (void) unused;
    FOR_ALL(p) {
        prepare((enum hold_profile) p);
        bool is_gpu = p == HOLD_PROFILE_ENGINE_CUDA || p == HOLD_PROFILE_JOB_PREFLIGHT || p == HOLD_PROFILE_FOREIGN;
        static const uint64_t commands[] = { 0xc020462a, 0xc00846c8, 0x30000001, 0x30000002, 27, 75 };
        for (size_t i = 0; i < HOLD_COUNT_OF(commands); i++)
            assert_int_equal(call(SYS_ioctl, 5, commands[i], 0, 0), is_gpu ? ALLOWED : REFUSED(EPERM));
        assert_int_equal(call(SYS_ioctl, 0, 0x5401, 0, 0), ALLOWED); /* is it a terminal */
        assert_int_equal(call(SYS_ioctl, 0, 0x4004667f, 0, 0), REFUSED(EPERM));
    }
}

static void wx_is_filtered_where_the_kernel_has_no_switch(void **unused) {
    (void) unused;
    for (int is_filtered = 0; is_filtered < 2; is_filtered++) {
        plan = (struct hold_sandbox_plan) { .profile = HOLD_PROFILE_ENGINE_CPU, .supervisor_pid = SUPERVISOR, .supervisor_pgid = GROUP,
                                            .is_exec_once = true, .is_wx_filtered = is_filtered };
        assert_int_equal(hold_seccomp_prepare(&plan, NULL), 0);
        uint32_t both = is_filtered ? REFUSED(EPERM) : ALLOWED;
        assert_int_equal(call(SYS_mmap, 0, 4096, 2 | 4, 0), both);
        assert_int_equal(call(SYS_mprotect, 0, 4096, 1 | 4, 0), both);
        assert_int_equal(call(SYS_mprotect, 0, 4096, (1 | 4) | HIGH, 0), both);
        assert_int_equal(call(SYS_mmap, 0, 4096, 1 | 4, 0), ALLOWED); /* libraries are mapped readable and executable */
        assert_int_equal(call(SYS_mprotect, 0, 4096, 1, 0), ALLOWED);
    }
}

static void no_verdict_hangs_on_a_high_half(void **unused) {
    (void) unused;
    static const long calls[] = { SYS_ioctl, SYS_fcntl, SYS_prctl, SYS_socket, SYS_clone, SYS_kill, SYS_setsockopt, SYS_prlimit64, SYS_sendto,
                                  SYS_mprotect, SYS_setpriority, SYS_sched_setaffinity, SYS_socketpair };
    static const uint64_t values[] = { 0, 1, 2, 6, 16, 26, 17, 0x5401, 0x5412, SELF, SUPERVISOR, 0xffffffff, 0x20000000, 0x10000000 };
    FOR_ALL(p) {
        prepare((enum hold_profile) p);
        for (size_t c = 0; c < HOLD_COUNT_OF(calls); c++)
            for (size_t i = 0; i < HOLD_COUNT_OF(values); i++)
                for (size_t k = 0; k < HOLD_COUNT_OF(values); k++)
                    for (int arg = 0; arg < 4; arg++) {
                        struct seccomp_data low = { .nr = (int) calls[c], .args = { values[i], values[k], values[i], values[k] } }, high = low;
                        high.args[arg] |= HIGH;
                        assert_int_equal(verdict(low), verdict(high));
                    }
    }
}

static void a_prepared_profile_is_not_built_again(void **unused) {
    (void) unused;
    prepare(HOLD_PROFILE_FRONT);
    size_t n;
    const struct sock_filter *before = hold_seccomp_program(&plan, true, &n);
    assert_int_equal(hold_seccomp_prepare(&plan, NULL), 0);
    assert_ptr_equal(before, hold_seccomp_program(&plan, true, &n));
    assert_in_range(n, 200, 1200);
}

/* What the kernel makes of the programs: loaded in a child, the child asks. */
static void the_kernel_agrees(void **unused) {
    (void) unused;
    FOR_ALL(p) {
        prepare((enum hold_profile) p);
        pid_t pid = fork();
        if (pid == 0) {
            int bad = 0;
            if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || hold_seccomp_load_args(&plan) < 0 || hold_seccomp_load_calls(&plan) < 0 ||
                hold_seccomp_load_last(&plan, (uint32_t) getpid(), ticket) < 0)
                _exit(1);
            bad |= (syscall(1023) >= 0 || errno != ENOSYS) << 1;
            bad |= (syscall(SYS_clone3, NULL, 0) >= 0 || errno != ENOSYS) << 2;
            bad |= (syscall(SYS_ptrace, 0, 0, 0, 0) >= 0 || errno != EPERM) << 3;
            bad |= (syscall(SYS_seccomp, 1, 0, NULL) >= 0 || errno != EPERM) << 4;
            bad |= (syscall(SYS_getppid) <= 0) << 5;
            if (p != HOLD_PROFILE_FOREIGN)
                bad |= (syscall(SYS_execve, "/bin/true", NULL, NULL, 0, 0, 0) >= 0 || errno != EPERM) << 6;
            _exit(bad);
        }
        int status = 0;
        waitpid(pid, &status, 0);
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
            fail_msg("%s: status %#x", hold_profile_name(plan.profile), status);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unknown_calls_do_not_exist),
        cmocka_unit_test(every_known_call_is_allowed_or_refused_never_killed),
        cmocka_unit_test(other_architectures_are_killed),
        cmocka_unit_test(the_dangerous_ones_are_refused_everywhere),
        cmocka_unit_test(exec_needs_every_word_of_the_ticket),
        cmocka_unit_test(signals_reach_the_child_itself_only),
        cmocka_unit_test(new_namespaces_are_refused_and_our_own_do_not_fork),
        cmocka_unit_test(sockets_are_for_those_who_connect),
        cmocka_unit_test(a_server_with_port_rules_has_no_datagrams),
        cmocka_unit_test(device_commands_are_for_the_gpu),
        cmocka_unit_test(wx_is_filtered_where_the_kernel_has_no_switch),
        cmocka_unit_test(no_verdict_hangs_on_a_high_half),
        cmocka_unit_test(a_prepared_profile_is_not_built_again),
        cmocka_unit_test(the_kernel_agrees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

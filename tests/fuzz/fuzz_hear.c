/* fuzz_hear.c - what a hostile child says to process 1: over a member's and over the job's control pair, with a descriptor or
 * without. Whatever it is, process 1 makes at most a bounded number of events of it and keeps no descriptor but a stored one.
 *
 * Input: first byte: 0x80 the job speaks, 0x40 a descriptor comes along, 0x20 the member is not ours; the rest is the message. */
#include "base/auto.h"
#include "base/log.h"
#include "supervisor/host/core.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    static struct hold_core core;
    static struct hold_config config;
    int ends[2];
    if (n < 1 || n > HOLD_NOTIFY_MAX_BYTES || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0)
        return 0;
    hold_log_set_level(HOLD_LV_ERROR);
    core = (struct hold_core) { .config = &config, .n_members = 1, .listen_fd = -1, .notify_fd = -1, .above_fd = -1, .loop = { -1, -1 } };
    config.n_servers = 1;
    config.no_progress_ms = 1000;
    config.servers[0] = (struct hold_server_config) { .name = "m", .is_ours = !(data[0] & 0x20) };
    struct hold_member *m = &core.members[0];
    *m = (struct hold_member) { .config = &config.servers[0], .child = hold_child_none(), .control_fd = -1, .state = (enum hold_member_state) (data[0] % HOLD_MEMBER_COUNT) };
    core.job = (struct hold_job) { .kind = (enum hold_job_kind) (data[0] % HOLD_JOB_COUNT), .child = hold_child_none(), .control_fd = -1 };
    int who = data[0] & 0x80 ? HOLD_CORE_JOB : 0;
    *(who ? &core.job.control_fd : &m->control_fd) = ends[0];
    char text[HOLD_NOTIFY_MAX_BYTES + 1] = "";
    for (size_t i = 1; i < n; i++)
        text[i - 1] = (char) (data[i] ? data[i] : 1); /* the sender's side of this test takes a string */
    hold_autofd handed = data[0] & 0x40 ? open("/dev/null", O_RDONLY | O_CLOEXEC) : -1;
    struct hold_err err = { 0 };
    if (hold_notify_send(ends[1], text, &handed, handed >= 0 ? 1 : 0, &err) == 0)
        hold_hear_control(&core, who, 5);
    if (core.queue_n > 8 || core.store.n > (handed >= 0 ? 1 : 0))
        abort();
    hold_store_release(&core.store);
    hold_hear_control(&core, who, 6);
    close(ends[1]);
    hold_hear_control(&core, who, 7); /* the end of the pair */
    if (*(who ? &core.job.control_fd : &m->control_fd) != -1)
        abort();
    return 0;
}

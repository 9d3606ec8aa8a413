/* sandbox_seen.c - what the parent sees of a sandbox: the step that failed, the layers that hold. Floor: supervisor/host.
 *
 * A return code of 0 is what the child believes; /proc/<pid>/status is what the kernel says. Landlock and limits leave no
 * trace there. */
#include "supervisor/host/sandbox.h"

#include "base/auto.h"
#include "base/list.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int hold_sandbox_fail_say(const struct hold_sandbox_plan *plan, const struct hold_sandbox_fail *fail, struct hold_err *err) {
    if (fail->op >= plan->n_ops)
        return hold_fail(err, HOLD_E_INTERNAL, fail->sys, "sandbox %s: operation %u of %zu", hold_profile_name(plan->profile), fail->op, plan->n_ops);
    const struct hold_sandbox_op *op = &plan->ops[fail->op];
    const char *path = hold_sandbox_plan_text(plan, op->path_at);
    return hold_fail(err, HOLD_E_DENIED, fail->sys, "sandbox %s: layer %s: %s%s%s%s", hold_profile_name(plan->profile),
                     hold_layer_name(op->layer), hold_sandbox_op_name(op->kind), *path ? " '" : "", path, *path ? "'" : "");
}

struct outside {
    bool has_no_new_privs, is_filtered, is_uncapable, is_user;
    bool is_bounding_empty;
    unsigned long n_filters;
};

/* The value of a line "Name:\tvalue" of /proc/<pid>/status in the given base, or all ones when it is not there. */
static unsigned long long status_value(const char *status, const char *name, int base) {
    const char *at = strstr(status, name);
    return at ? strtoull(at + strlen(name), NULL, base) : ~0ull;
}

static bool look(const struct hold_sandbox_plan *plan, pid_t pid, struct outside *ret) {
    char path[40], status[4096];
    snprintf(path, sizeof(path), "/proc/%d/status", (int) pid);
    hold_autofd fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, status, sizeof(status) - 1);
    if (n <= 0)
        return false;
    status[n] = '\0';
    ret->has_no_new_privs = status_value(status, "\nNoNewPrivs:", 10) == 1;
    ret->is_filtered = status_value(status, "\nSeccomp:", 10) == 2;
    ret->n_filters = (unsigned long) status_value(status, "\nSeccomp_filters:", 10); /* absent before 5.9: all ones */
    ret->is_uncapable = status_value(status, "\nCapEff:", 16) == 0 && status_value(status, "\nCapPrm:", 16) == 0 &&
                        status_value(status, "\nCapInh:", 16) == 0 && status_value(status, "\nCapAmb:", 16) == 0;
    ret->is_bounding_empty = status_value(status, "\nCapBnd:", 16) == 0;
    ret->is_user = status_value(status, "\nUid:", 10) == plan->uid;
    return true;
}

void hold_sandbox_layers(const struct hold_sandbox_plan *plan, pid_t pid, struct hold_layer_report ret_layers[HOLD_LAYER_COUNT]) {
    for (size_t i = 0; i < HOLD_LAYER_COUNT; i++)
        ret_layers[i] = (struct hold_layer_report) { .note = plan->layers[i] };
    struct outside seen;
    if (!look(plan, pid, &seen))
        return;
    const struct { enum hold_layer layer; bool is_so; } checks[] = {
        { HOLD_LAYER_NO_NEW_PRIVS, seen.has_no_new_privs },
        { HOLD_LAYER_CALLS, seen.is_filtered && seen.n_filters >= 3 },
        { HOLD_LAYER_EXEC_ONCE, seen.is_filtered && seen.n_filters >= 3 },
        { HOLD_LAYER_CAPABILITIES, seen.is_uncapable },
        { HOLD_LAYER_BOUNDING, seen.is_bounding_empty },
        { HOLD_LAYER_IDENTITY, seen.is_user },
    };
    for (size_t i = 0; i < HOLD_COUNT_OF(checks); i++) {
        struct hold_layer_report *r = &ret_layers[checks[i].layer];
        if (r->note.state != HOLD_LAYER_ON)
            continue;
        r->is_verified = checks[i].is_so;
        if (!r->is_verified) {
            r->note.state = HOLD_LAYER_MISSING;
            snprintf(r->note.reason, sizeof(r->note.reason), "was applied, but /proc/%d/status does not show it", (int) pid);
        }
    }
}

bool hold_sandbox_settle(struct hold_sandbox_plan *plan, pid_t pid, uint32_t *ret_verified) {
    struct hold_layer_report layers[HOLD_LAYER_COUNT];
    bool is_as_planned = true;
    hold_sandbox_layers(plan, pid, layers);
    *ret_verified = 0;
    for (size_t i = 0; i < HOLD_LAYER_COUNT; i++) {
        is_as_planned &= layers[i].note.state == plan->layers[i].state;
        *ret_verified |= (uint32_t) layers[i].is_verified << i;
        plan->layers[i] = layers[i].note;
    }
    return is_as_planned;
}

void hold_sandbox_name_layers(const struct hold_sandbox_plan *plan, uint32_t states, uint32_t among, struct hold_buf *b) {
    for (size_t i = 0; i < HOLD_LAYER_COUNT; i++) {
        const struct hold_layer_note *n = &plan->layers[i];
        if (!(states & (1u << n->state)) || !(among & (1u << i)))
            continue;
        hold_buf_addf(b, "%s%s", b->n ? ", " : "", hold_layer_name((enum hold_layer) i));
        if (n->state != HOLD_LAYER_ON && n->reason[0])
            hold_buf_addf(b, " (%s)", n->reason);
    }
}

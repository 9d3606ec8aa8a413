/* caps.c - capability sets by libcap. Floor: supervisor/host.
 *
 * libcap allocates when it makes a state, so the empty one is made before fork and only applied after it. */
#include "supervisor/host/caps.h"

#include <errno.h>
#include <sys/capability.h>

static cap_t empty;

static bool has_effective(cap_t now, cap_value_t which) {
    cap_flag_value_t value = CAP_CLEAR;
    return cap_get_flag(now, which, CAP_EFFECTIVE, &value) == 0 && value == CAP_SET;
}

void hold_caps_find(struct hold_sandbox_facts *facts) {
    facts->is_bounding_empty = true;
    for (cap_value_t c = 0; c < cap_max_bits(); c++)
        if (cap_get_bound(c) > 0)
            facts->is_bounding_empty = false;
    cap_t now = cap_get_proc();
    if (!now)
        return;
    facts->has_setpcap = has_effective(now, CAP_SETPCAP);
    facts->has_setuid = has_effective(now, CAP_SETUID);
    facts->has_setgid = has_effective(now, CAP_SETGID);
    cap_t none = cap_init();
    facts->has_any_capability = !none || cap_compare(now, none) != 0;
    cap_free(none);
    cap_free(now);
}

int hold_caps_prepare(struct hold_err *err) {
    if (!empty)
        empty = cap_init();
    return empty ? 0 : hold_fail(err, HOLD_E_LIMIT, errno, "sandbox: make an empty capability state");
}

int hold_caps_clear_ambient(void) {
    /* EINVAL: a kernel without ambient capabilities has none to clear. */
    return cap_reset_ambient() == 0 || errno == EINVAL ? 0 : -1;
}

int hold_caps_drop_bounding(void) {
    for (cap_value_t c = 0; c < cap_max_bits(); c++)
        if (cap_get_bound(c) > 0 && cap_drop_bound(c) != 0)
            return -1;
    return 0;
}

int hold_caps_set_securebits(unsigned bits) {
    return cap_set_secbits(bits);
}

int hold_caps_clear(void) {
    return cap_set_proc(empty);
}

/* roles.c - what all roles of holdfast-job begin with. Floor: supervisor/job. */
#include "supervisor/job/roles.h"

#include "base/exit.h"
#include "base/log.h"
#include "base/notify.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

extern char **environ;

static int say_mistakes(int control_fd, const struct hold_buf *mistakes, const struct hold_err *err) {
    if (control_fd < 0)
        fprintf(stderr, "%s", mistakes->data ? mistakes->data : err->text);
    hold_log(HOLD_LV_ERROR, HOLD_EV_ERROR, HOLD_LS("cause", "usage"), HOLD_LS("text", err->text), HOLD_LI("status", HOLD_EXIT_USAGE));
    hold_control_say(control_fd, "X_HOLDFAST_CAUSE=usage %s", err->text);
    return HOLD_EXIT_USAGE;
}

static int print_help(const struct hold_role_begin *begin) {
    hold_autobuf text = hold_buf_with_max(64u << 10);
    hold_buf_addf(&text, "usage: %s\n\n", begin->synopsis);
    hold_opt_help(begin->set.rows, begin->set.n_rows, &text);
    return fwrite(text.data, 1, text.n, stdout) == text.n ? HOLD_EXIT_OK : HOLD_EXIT_INTERNAL;
}

int hold_role_begin(const struct hold_role_begin *begin, int argc, char **argv, struct hold_strs *ret_words, int *ret_control_fd) {
    const struct sigaction ignore = { .sa_handler = SIG_IGN };
    sigaction(SIGPIPE, &ignore, NULL); /* a closed connection is an error value, not a death */
    int control_fd = hold_control_take();
    hold_log_open(begin->log_name, isatty(STDERR_FILENO));
    *ret_control_fd = control_fd;
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return print_help(begin);
    hold_autobuf mistakes = hold_buf_with_max(16u << 10);
    struct hold_err err = { 0 };
    int rest = argc;
    if (hold_opt_load(&begin->set, begin->config, NULL, NULL, (const char *const *) environ, argc, argv, false, ret_words, &rest, &mistakes, &err) < 0)
        return say_mistakes(control_fd, &mistakes, &err);
    if (ret_words->n > begin->max_words || rest < argc) {
        (void) hold_fail(&err, HOLD_E_CONFIG, 0, "'%.160s' is one word too many", rest < argc ? argv[rest] : ret_words->at[begin->max_words]);
        return say_mistakes(control_fd, &mistakes, &err);
    }
    return -1;
}

const char *hold_role_ca_file(const char *chosen, char *out, size_t out_bytes) {
    static const char *const known[] = { "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem" };
    if (chosen && *chosen) {
        snprintf(out, out_bytes, "%s", chosen);
        return out;
    }
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (access(known[i], R_OK) == 0)
            return known[i];
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n < 0) { /* no /proc */
        const char *name = (const char *) (uintptr_t) getauxval(AT_EXECFN);
        n = snprintf(self, sizeof self, "%s", name ? name : "");
        n = n < (ssize_t) sizeof self ? n : 0;
    }
    for (int up = 0; n > 0 && up < 2; up++) { /* PREFIX/libexec/holdfast-job, or PREFIX/lib/ld.so */
        self[n] = '\0';
        char *slash = strrchr(self, '/');
        n = slash ? slash - self : 0;
    }
    self[n > 0 ? n : 0] = '\0';
    snprintf(out, out_bytes, "%s/share/holdfast/ca-certificates.crt", self);
    return access(out, R_OK) == 0 ? out : NULL;
}

/* roles.h - the roles of holdfast-job, one function each. Floor: supervisor/job.
 *
 * argv[0] is the role's name. Returns the exit status (base/exit.def); everything is said on the way: log lines or a table,
 * the cause to process 1. */
#ifndef HOLD_SUPERVISOR_JOB_ROLES_H
#define HOLD_SUPERVISOR_JOB_ROLES_H

#include "base/opt.h"

int hold_role_fetch(int argc, char **argv);
int hold_role_verify(int argc, char **argv);
int hold_role_gc(int argc, char **argv);
int hold_role_preflight(int argc, char **argv); /* logs, waits */
int hold_role_doctor(int argc, char **argv);    /* a table for people */
int hold_role_ask(int argc, char **argv);       /* one chat */

/* What every role does first: the control pair, the log (text on a terminal), the option table. Returns -1 to go on, or the
 * exit status of a usage mistake or of --help (which has been printed, with synopsis above it). The set's sources and store
 * are the caller's. Words that are not options are in ret_words, at most max_words (more is a mistake). */
struct hold_role_begin {
    const char *log_name; /* "job:fetch" */
    const char *synopsis;
    struct hold_opt_set set;
    void *config;
    size_t max_words;
};
int hold_role_begin(const struct hold_role_begin *begin, int argc, char **argv, struct hold_strs *ret_words, int *ret_control_fd);

/* The CA bundle for libcurl: chosen (a flag or SSL_CERT_FILE), else NULL where the system has one at libcurl's own place,
 * else the one under the prefix, found from /proc/self/exe. out holds the path. */
const char *hold_role_ca_file(const char *chosen, char *out, size_t out_bytes);

#endif

/* main.c - the errands of holdfast: a table of roles, nothing else. Floor: supervisor/job.
 *
 *   holdfast-job fetch SOURCE --out DIR [--manifest FILE] [--digest HEX]
 *        SOURCE: https://host/folder/ (with holdfast.manifest.json), https://host/any.json (a manifest), file:///folder,
 *                /folder, hf://org/repo@revision (HF_ENDPOINT, HF_TOKEN)
 *   holdfast-job fetch --url URL [--sha256 HEX] [--size BYTES] --out FILE [--state DIR]
 *        both: --fetch-tries N --fetch-backoff MS --fetch-backoff-max MS --fetch-stall MS --fetch-deadline MS
 *              --fetch-connect-timeout MS --fetch-connections N --fetch-reserve BYTES
 *   holdfast-job verify DIR [--deep] [--write-manifest] [--manifest FILE] [--digest HEX] [--no-plan]
 *        with a control pair the plan is handed up: FDSTORE=1, FDNAME=plan and a sealed memfd
 *   holdfast-job gc [DIR...] [--older-than TIME] [--delete]
 *   holdfast-job doctor|preflight [--json] [--model DIR] [--model-source SOURCE] [--device auto|cpu|cuda] [--foreign]
 *        [--need URL]... [--need-timeout MS] [--package NAME[>=V]]... [--python DIR]... [--state-dir DIR] [--writable DIR]...
 *        doctor prints a table and does not wait unless --need-timeout is given; preflight logs findings and waits
 *   holdfast-job ask http://HOST:PORT/v1 [--ask-model NAME] [--text TEXT] [--ask-timeout MS] [--status-url URL --digest HEX]
 *
 * Every flag is also HOLDFAST_<FLAG>. The verdict is the exit status (base/exit.def) and the last X_HOLDFAST_CAUSE, whose
 * text begins with the row's name: "fetch-dns", "verify-digest path", "memory". */

#include "base/exit.h"
#include "base/list.h"
#include "supervisor/job/roles.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

struct role {
    const char *name;
    const char *help;
    int (*run)(int argc, char **argv); /* argv[0] is the role's name; returns the exit status */
};

static int run_version(int argc, char **argv) {
    (void) argc, (void) argv;
    return printf("holdfast-job %s\n", HOLD_VERSION) < 0 ? HOLD_EXIT_INTERNAL : HOLD_EXIT_OK;
}

static const struct role roles[] = {
    { "fetch", "bring a model or one file, proven", hold_role_fetch },
    { "verify", "prove a model folder without a network, and make its plan", hold_role_verify },
    { "gc", "say or remove what of a hub's cache nobody uses", hold_role_gc },
    { "doctor", "judge machine, model and dependencies; a table for people", hold_role_doctor },
    { "preflight", "the same judgement for process 1: logs, waits for dependencies", hold_role_preflight },
    { "ask", "one chat with a server, as its clients have it", hold_role_ask },
    { "version", "print the version", run_version },
};

static void usage(FILE *to) {
    fputs("usage: holdfast-job ROLE [options]\n", to);
    for (size_t i = 0; i < HOLD_COUNT_OF(roles); i++)
        fprintf(to, "  %-10s %s\n", roles[i].name, roles[i].help);
    fputs("`holdfast-job ROLE --help` lists a role's options.\n", to);
}

int main(int argc, char **argv) {
    (void) sigaction(SIGXFSZ, &(struct sigaction) { .sa_handler = SIG_IGN }, NULL); /* a file size limit is an error like a full disk, not a death */
    if (argc < 2) {
        usage(stderr);
        return HOLD_EXIT_USAGE;
    }
    for (size_t i = 0; i < HOLD_COUNT_OF(roles); i++)
        if (strcmp(argv[1], roles[i].name) == 0)
            return roles[i].run(argc - 1, argv + 1);
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        usage(stdout);
        return HOLD_EXIT_OK;
    }
    fprintf(stderr, "holdfast-job: no role '%s'\n", argv[1]);
    usage(stderr);
    return HOLD_EXIT_USAGE;
}

/* main.c - holdfast-runtime: the table of roles. Floor: runtime. */
#include "runtime/roles.h"

#include "base/exit.h"
#include "base/list.h"
#include "runtime/config.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *name, *does;
    int (*run)(int argc, char **argv);
} roles[] = {
    { "front", "HTTP, prompts, pictures, streams; hands requests to the engine", hold_front_main },
    { "engine", "holds the model and answers the front", hold_engine_main },
    { "eval", "logits of a prompt of token ids and pictures, by hand (its own options: eval --help)", hold_eval_main },
};

static int help(FILE *to) {
    hold_autobuf text = hold_buf_with_max(65536);

    fputs("usage: holdfast-runtime ROLE [OPTION...]\n\nholdfast starts it; by hand it serves for finding faults.\n\n", to);
    for (size_t i = 0; i < HOLD_COUNT_OF(roles); i++)
        fprintf(to, "  %-8s %s\n", roles[i].name, roles[i].does);
    hold_opt_help(hold_rt_rows, hold_rt_n_rows, &text);
    fprintf(to, "\n%s", text.data ? text.data : "");
    return to == stdout ? 0 : HOLD_EXIT_USAGE;
}

int main(int argc, char **argv) {
    if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0))
        return help(stdout);
    if (argc >= 2 && (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "version") == 0)) {
        puts("holdfast-runtime " HOLD_VERSION);
        return 0;
    }
    for (size_t i = 0; argc >= 2 && i < HOLD_COUNT_OF(roles); i++)
        if (strcmp(argv[1], roles[i].name) == 0)
            return roles[i].run(argc - 1, argv + 1);
    if (argc >= 2)
        fprintf(stderr, "holdfast-runtime: '%s' is no role\n", argv[1]);
    return help(stderr);
}

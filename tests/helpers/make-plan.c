/* make-plan.c - a model folder to a plan file, for stories that start front and engine without process 1.
 * make-plan FOLDER PLAN. The digest is left at zero: nothing is proven here. */
#include "base/auto.h"
#include "base/io.h"
#include "base/map.h"
#include "runtime/plan/plan.h"
#include "runtime/weights/prove.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

#define MAX_FILES 64

int main(int argc, char **argv) {
    struct hold_model_file files[MAX_FILES];
    hold_autobuf plan = hold_buf_with_max(HOLD_PLAN_MAX_BYTES), warnings = hold_buf_with_max(65536);
    const struct hold_prove_options options = { .needs_tokenizer = true };
    struct hold_err err = { 0 };
    size_t n = 0;

    if (argc != 3) {
        fprintf(stderr, "usage: make-plan FOLDER PLAN\n");
        return 64;
    }
    DIR *dir = opendir(argv[1]);
    for (struct dirent *e; dir && n < MAX_FILES && (e = readdir(dir));) {
        char path[4096];
        struct hold_map map;
        if (!hold_model_file_is_read(e->d_name))
            continue;
        snprintf(path, sizeof path, "%s/%s", argv[1], e->d_name);
        if (hold_map_open(path, &map, &err) < 0)
            break;
        files[n++] = (struct hold_model_file) { .name = strdup(e->d_name), .data = map.data, .bytes = map.bytes };
    }
    if (err.code == HOLD_E_NONE && hold_model_prove(files, n, &options, &plan, &warnings, &err) == 0 &&
        hold_write_file(argv[2], plan.data, plan.n, 0644, &err) == 0)
        return 0;
    fprintf(stderr, "make-plan: %s\n%s", err.text, warnings.data ? warnings.data : "");
    return 1;
}

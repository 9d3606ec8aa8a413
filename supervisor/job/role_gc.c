/* role_gc.c - `holdfast-job gc`: options to one errand. Floor: supervisor/job. */
#include "base/exit.h"
#include "base/list.h"
#include "base/log.h"
#include "supervisor/job/gc.h"
#include "supervisor/job/hubcache.h"
#include "supervisor/job/roles.h"

struct gc_config {
    struct hold_hub_cache_where where;
    uint64_t older_ms;
    bool deletes;
};

#define ROW(n, t, f, d, lo, hi, h, ...) { .name = n, .type = HOLD_OPT_##t, .offset = offsetof(struct gc_config, f), .initial = d, .min = lo, .max = hi, .help = h, __VA_ARGS__ }

enum { ROW_OLDER };

static const struct hold_opt rows[] = {
    [ROW_OLDER] = ROW("older-than", MS, older_ms, "24h", 0, 315360000000.0, "what was used, made or written within this time stays"),
    ROW("delete", BOOL, deletes, NULL, 0, 0, "remove it; without this it is only told"),
    HOLD_HUB_CACHE_ROWS(offsetof(struct gc_config, where)),
};

int hold_role_gc(int argc, char **argv) {
    struct gc_config config = { 0 };
    enum hold_opt_source sources[HOLD_COUNT_OF(rows)];
    hold_autobuf store = hold_buf_with_max(64u << 10);
    struct hold_strs words = { 0 };
    int control_fd = -1;
    const struct hold_role_begin begin = {
        .log_name = "job:gc",
        .synopsis = "holdfast gc [DIR...] [--older-than TIME] [--delete] [options]",
        .set = { .rows = rows, .n_rows = HOLD_COUNT_OF(rows), .sources = sources, .store = &store },
        .config = &config,
        .max_words = 8,
    };
    int status = hold_role_begin(&begin, argc, argv, &words, &control_fd);
    if (status >= 0)
        return status;
    struct hold_verdict v = { 0 };
    char root[PATH_MAX];
    if (words.n == 0 && hold_hub_cache_root(&config.where, root, &v) < 0)
        return hold_verdict_end(&v, control_fd);
    if (words.n == 0)
        words.at[words.n++] = root;
    struct hold_gc_result result = { 0 };
    for (size_t i = 0; i < words.n; i++) {
        const struct hold_gc gc = { .folder = words.at[i], .older_ms = config.older_ms, .age_is_given = sources[ROW_OLDER] != HOLD_FROM_DEFAULT, .deletes = config.deletes };
        if (hold_gc_run(&gc, &result, &v) < 0)
            return hold_verdict_end(&v, control_fd);
    }
    hold_log(HOLD_LV_INFO, HOLD_EV_GC_DONE, HOLD_LS("what", config.deletes ? "removed" : "would be removed; --delete does it"), HOLD_LU("revisions", result.n_revisions),
             HOLD_LU("blobs", result.n_blobs), HOLD_LU("partials", result.n_partials), HOLD_LU("kept_revisions", result.n_kept), HOLD_LU("freed_bytes", result.freed_bytes));
    return HOLD_EXIT_OK;
}

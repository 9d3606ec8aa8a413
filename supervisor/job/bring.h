/* bring.h - all files of a model: what is there, what is missing, a few workers, progress. Floor: supervisor/job. */
#ifndef HOLD_SUPERVISOR_JOB_BRING_H
#define HOLD_SUPERVISOR_JOB_BRING_H

#include "base/opt.h"
#include "supervisor/job/behind.h"
#include "supervisor/job/source.h"

struct hold_bring {
    struct hold_source_wants wants; /* its source is not looked at */
    struct hold_strs sources;   /* in the order in which they are asked, at least one; the next one when one cannot deliver */
    const char *out;            /* the model folder; made when absent. Not looked at with hub_cache */
    const char *hub_cache;      /* the model is kept as hubcache.h says, below this folder; NULL: in out. All sources are hf:// then */
    char *ret_folder;           /* PATH_MAX bytes: where the model lies in the end; may be NULL */
    const char *digest;         /* the identity that the model must have, 64 hexadecimal digits; NULL or "": none */
    bool deep;                  /* believe no marker */
    bool offline;               /* ask no hub behind hf:// */
    bool refresh;               /* ask the source even when everything it named last time is proven */
    struct hold_strs again;     /* files whose markers are not believed */
    uint64_t connections;       /* files at once; those without a file help with the pieces of large ones */
    uint64_t reserve_bytes;     /* disk that stays free */
    enum hold_cache page_cache;
    int control_fd;             /* -1: none */
};

/* Brings every file of the source that is not proven yet; writes holdfast.manifest.json and markers. Without a network
 * when one of the sources was brought before and every file still has its marker. What one source brought of a file whose
 * digest is known is continued from the next. With several, a model is only mixed of them when --digest or a manifest pins
 * it or their files are equal, since each file is proven against the list of the source in hand. Fails with the verdict of
 * the last one. Blocks.
 *
 * With hub_cache, and a hub that cannot be asked: the snapshot that the cache has for the name, whoever made it, is proven by the names
 * of its blobs. */
HOLD_MUST int hold_bring_run(const struct hold_bring *bring, struct hold_fetch_shared *shared, struct hold_verdict *v);

/* One file by its address, without a manifest. */
struct hold_bring_one {
    const char *url, *out, *state_dir; /* state_dir NULL or "": no marker is kept */
    struct hold_fetch_auth auth;
    const char *sha256;                /* 64 hexadecimal digits; NULL or "": unknown */
    uint64_t size;                     /* UINT64_MAX: unknown */
    uint64_t reserve_bytes;
    enum hold_cache page_cache;
    uint64_t connections;
    bool deep;
    int control_fd;
};
HOLD_MUST int hold_bring_one(const struct hold_bring_one *one, struct hold_fetch_shared *shared, struct hold_verdict *v);

#endif

/* hubcache.h - the cache that the hub's own client keeps, read and written as that client does. Floor: supervisor/job.
 *
 *   ROOT/models--org--repo/blobs/ETAG              bytes; SHA-256 of large files, git blob id of the others
 *   ROOT/models--org--repo/snapshots/COMMIT/path   relative links to ../../blobs/ETAG
 *   ROOT/models--org--repo/refs/REVISION           the commit that a branch or tag meant last
 *   ROOT/.locks/models--org--repo/ETAG.lock        flock of whoever brings that blob
 *
 * Ours beside them: snapshots/COMMIT/holdfast.manifest.json and .holdfast (manifest and markers of the snapshot as a model
 * folder), models--org--repo/.holdfast (markers of blobs), blobs/.holdfast-* (partials and owner records). A snapshot is named by
 * its ref only when every file of it is proven. */
#ifndef HOLD_SUPERVISOR_JOB_HUBCACHE_H
#define HOLD_SUPERVISOR_JOB_HUBCACHE_H

#include "base/opt.h"
#include "supervisor/job/hub.h"
#include "supervisor/job/verdict.h"

#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HOLD_BLOB_BYTES 65

struct hold_hub_cache {
    int root_fd, repo_fd, blobs_fd, blob_state_fd, snapshot_fd, snapshot_state_fd; /* the two states -1 where nothing can be written */
    int use_fd, snapshot_use_fd; /* both are in use while they are open: gc.h */
    char repo[220];            /* "models--org--repo" */
    char revision[200];        /* as asked for */
    char commit[41];
    char snapshot[PATH_MAX];   /* the model's folder */
};

/* What says where the cache is, as the hub's client has it; in a role's configuration with these rows. */
struct hold_hub_cache_where {
    const char *hub_cache, *hf_home, *cache_home, *home;
};
#define HOLD_HUB_CACHE_ROW(n, field, e, h) { .name = n, .type = HOLD_OPT_STR, .offset = field, .help = h, .value = "DIR", .env = e }
#define HOLD_HUB_CACHE_ROWS(at) \
    HOLD_HUB_CACHE_ROW("hub-cache", at + offsetof(struct hold_hub_cache_where, hub_cache), "HF_HUB_CACHE", \
                       "the cache that the hub's own client and servers read (blobs, snapshots, refs); else HF_HOME/hub, else ~/.cache/huggingface/hub"), \
    HOLD_HUB_CACHE_ROW("hf-home", at + offsetof(struct hold_hub_cache_where, hf_home), "HF_HOME", "the folder that the hub's cache lies in, as DIR/hub"), \
    HOLD_HUB_CACHE_ROW("cache-home", at + offsetof(struct hold_hub_cache_where, cache_home), "XDG_CACHE_HOME", "else as DIR/huggingface/hub"), \
    HOLD_HUB_CACHE_ROW("home", at + offsetof(struct hold_hub_cache_where, home), "HOME", "else as DIR/.cache/huggingface/hub")

HOLD_MUST int hold_hub_cache_root(const struct hold_hub_cache_where *where, char out[PATH_MAX], struct hold_verdict *v);
/* The commit that the cache has for a name, by its ref or because it is one; false when there is no such snapshot. out: its folder. */
bool hold_hub_cache_find(const char *root, const struct hold_hub_name *name, char ret_commit[41], char out[PATH_MAX]);

/* The files of a snapshot that anybody made, for when no hub can be asked: a blob's name is its digest (64 hexadecimal digits of
 * SHA-256, 40 of a git blob id), its size that of the blob. What the client left out is not missed. Sorted and checked; fails with
 * MISSING or FORMAT, also when a file is no link to a blob. */
HOLD_MUST int hold_hub_cache_list(const char *snapshot, struct hold_arena *arena, struct hold_manifest *ret_manifest, struct hold_err *err);

/* Makes the folders of a commit's snapshot. Close in any case; zeroed with descriptors -1 before (hold_hub_cache_none). Fails with
 * FETCH_WRITE or FETCH_SPACE. */
struct hold_hub_cache hold_hub_cache_none(void);
HOLD_MUST int hold_hub_cache_open(struct hold_hub_cache *cache, const char *root, const struct hold_hub_name *name, const char *commit, struct hold_verdict *v);
void hold_hub_cache_close(struct hold_hub_cache *cache);

/* Name of a file's blob. */
void hold_hub_cache_blob(const struct hold_manifest_file *file, char out[HOLD_BLOB_BYTES]);
/* snapshot/path becomes a link to the blob, at once and whole, whatever it was. */
HOLD_MUST int hold_hub_cache_link(const struct hold_hub_cache *cache, const char *path, const char *blob, struct hold_verdict *v);
/* refs/REVISION becomes the commit. */
HOLD_MUST int hold_hub_cache_publish(const struct hold_hub_cache *cache, struct hold_verdict *v);

/* The client's own lock on a blob, so that it waits for us instead of fetching the same. Waits while another holds it and bytes
 * come; one that stands still for still_ms is not waited for, nor one on a file system that keeps no locks. ret_fd: the lock, closed by
 * the caller, or -1: go on without. True when it had to wait: the blob may be there now. */
bool hold_hub_cache_lock(const struct hold_hub_cache *cache, const char *blob, uint64_t still_ms, const _Atomic bool *stop, int *ret_fd);

#endif

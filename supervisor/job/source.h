/* source.h - where a model comes from: a name to a list of files with address, size and digest. Floor: supervisor/job.
 *
 *   https://host/folder/        with holdfast.manifest.json in it      https://host/any.json    a manifest, its files beside it
 *   file:///folder, /folder     with a manifest, or just files         hf://org/repo@revision   a hub that speaks Hugging Face's API
 *   s3://bucket/prefix          with a manifest, or just objects       modelscope://org/repo@revision */
#ifndef HOLD_SUPERVISOR_JOB_SOURCE_H
#define HOLD_SUPERVISOR_JOB_SOURCE_H

#include "base/arena.h"
#include "supervisor/job/fetch.h"
#include "supervisor/job/s3.h"
#include "supervisor/policy/manifest.h"

struct hold_source_wants {
    const char *source;
    const char *manifest_file; /* a pinned manifest on this machine instead of the origin's; NULL: none */
    const struct hold_manifest *known; /* the list, where it is known already; NULL: it is not. A commit's files are not asked for then */
    const char *hub_endpoint;  /* "https://huggingface.co" */
    const char *hub_token;     /* NULL or "": none */
    const char *modelscope_endpoint, *modelscope_token;
    const char *s3_endpoint;   /* "": Amazon's own of the region */
    const char *s3_region, *s3_key, *s3_secret, *s3_session; /* as in struct hold_fetch_auth */
    enum hold_s3_style s3_style;
};

/* Lives in the arena it was made with; wants stays borrowed. */
struct hold_source {
    struct hold_manifest manifest;
    const char *base;            /* address that percent-encoded file names are added to */
    struct hold_fetch_auth auth; /* for the host of base only */
    char commit[41];             /* of a hub; "" otherwise */
    bool is_cached;              /* no hub said this list: it is what a cache has of it */
};

/* Asks the origin unless a manifest is given. An S3 object for which neither manifest nor store has a SHA-256 is listed
 * without one: its length and ETag hold it together while it is fetched, what came is recorded then. Fails with CONFIG (the name), MANIFEST (its content), or a FETCH_* status. */
HOLD_MUST int hold_source_list(const struct hold_source_wants *wants, struct hold_fetcher *fetcher, struct hold_arena *arena,
                               struct hold_source *ret_source, struct hold_verdict *v);
/* The address of a file, percent-encoded. False when it does not fit. */
bool hold_source_url(const struct hold_source *source, const char *path, char *out, size_t out_bytes);
/* All regular files of a folder and its folders (8 deep), hidden names and the manifest left out, as path and size, sorted
 * and checked; no digests. Symbolic links to files are followed (model caches are made of them); one to nothing fails with MISSING. */
HOLD_MUST int hold_folder_list(const char *folder, struct hold_arena *arena, struct hold_manifest *ret_manifest, struct hold_err *err);

#endif

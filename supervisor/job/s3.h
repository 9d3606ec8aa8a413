/* s3.h - names, addresses and listings of S3 buckets, and the shared credentials file. Floor: supervisor/job; no I/O in here. */
#ifndef HOLD_SUPERVISOR_JOB_S3_H
#define HOLD_SUPERVISOR_JOB_S3_H

#include "base/arena.h"
#include "supervisor/policy/manifest.h"

#define HOLD_S3_PREFIX_BYTES 1025
#define HOLD_S3_NEXT_BYTES 1025
#define HOLD_S3_MAX_BYTES (8u << 20) /* one page of a listing */
#define HOLD_S3_CREDENTIALS_MAX (256u << 10)

/* How a bucket stands in an address: in its path, or as the first part of the host. AUTO: the host at Amazon for names without
 * dots (its certificate covers one level), the path everywhere else. */
enum hold_s3_style { HOLD_S3_AUTO, HOLD_S3_PATH, HOLD_S3_VIRTUAL };

/* s3://bucket or s3://bucket/some/prefix */
struct hold_s3_name {
    char bucket[64];                    /* 3 to 63 of a-z 0-9 . - */
    char prefix[HOLD_S3_PREFIX_BYTES];  /* "" or "some/prefix/" */
};
HOLD_MUST int hold_s3_name_parse(const char *source, struct hold_s3_name *ret_name, struct hold_err *err);

/* The bucket's address with a '/' at its end. endpoint: "https://host[:port]" without one, or "" for Amazon's own of region.
 * False when it does not fit. */
bool hold_s3_address(const struct hold_s3_name *name, const char *endpoint, const char *region, enum hold_s3_style style, char *out, size_t out_bytes);

/* Appends the objects of one ListObjectsV2 page below prefix to manifest->files, which has room for HOLD_MANIFEST_MAX_FILES:
 * path and size, no digest. Folder marks ("name/") are left out. ret_has_sha256 (one for each file): the store has a SHA-256
 * of the whole object, to be had by HEAD. ret_next: the token of the next page, or "". Refuses a document type, CDATA,
 * unknown entities, nesting deeper than 8, and what is no ListBucketResult. Names are not checked here. */
HOLD_MUST int hold_s3_listing(const char *text, size_t n, const char *prefix, struct hold_arena *arena, struct hold_manifest *manifest,
                              bool *ret_has_sha256, char ret_next[HOLD_S3_NEXT_BYTES], struct hold_err *err);

/* x-amz-checksum-sha256: base64 of 32 bytes. False for anything else, a checksum of checksums ("...-3") too. */
bool hold_s3_checksum(const char *text, uint8_t ret_sha256[32]);

/* Key, secret and session token of a profile in the shared credentials file ("[default]", "aws_access_key_id = ..."). Absent
 * ones are "". False when the profile is not there. text is changed; the results point into it. */
struct hold_s3_profile {
    const char *key, *secret, *session;
};
bool hold_s3_profile_find(char *text, const char *profile, struct hold_s3_profile *ret_profile);

#endif

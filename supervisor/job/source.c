/* source.c - names of models to lists of files. Floor: supervisor/job. */
#include "supervisor/job/source.h"

#include "base/auto.h"
#include "base/io.h"
#include "supervisor/job/hub.h"
#include "supervisor/job/modelscope.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_DEPTH 8
#define MAX_PAGES 64

/* Percent-encodes all but letters, digits, "-._~" and the characters of also. Returns the length, or SIZE_MAX when it does not fit. */
static size_t encode(const char *text, const char *also, char *out, size_t out_bytes) {
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    size_t n = 0;
    for (; *text; text++) {
        bool is_plain = strchr(plain, *text) || strchr(also, *text);
        if (n + (is_plain ? 1 : 3) >= out_bytes)
            return SIZE_MAX;
        if (is_plain)
            out[n++] = *text;
        else
            n += (size_t) snprintf(out + n, out_bytes - n, "%%%02X", (unsigned char) *text);
    }
    out[n] = '\0';
    return n;
}

bool hold_source_url(const struct hold_source *source, const char *path, char *out, size_t out_bytes) {
    int n = snprintf(out, out_bytes, "%s", source->base);
    return n > 0 && (size_t) n < out_bytes && encode(path, "/", out + n, out_bytes - (size_t) n) != SIZE_MAX;
}

/* ---- folders ---- */

struct walk {
    struct hold_arena *arena;
    struct hold_manifest *manifest;
    char path[PATH_MAX];
};

static int walk_folder(struct walk *w, int folder_fd, size_t path_n, int depth, struct hold_err *err) {
    DIR *folder = fdopendir(folder_fd);
    if (!folder) {
        close(folder_fd);
        return hold_fail(err, HOLD_E_IO, errno, "read folder '%s'", w->path);
    }
    int rc = 0;
    for (struct dirent *e = readdir(folder); e && rc == 0; e = readdir(folder)) {
        struct stat st;
        if (e->d_name[0] == '.' || (path_n == 0 && strcmp(e->d_name, HOLD_MANIFEST_NAME) == 0))
            continue;
        if (fstatat(dirfd(folder), e->d_name, &st, 0) < 0) {
            if (errno == ENOENT && fstatat(dirfd(folder), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
                rc = hold_fail(err, HOLD_E_MISSING, 0, "'%.200s%s%.200s' is a link to nothing", w->path, path_n ? "/" : "", e->d_name);
            continue;
        }
        size_t n = path_n + (size_t) snprintf(w->path + path_n, sizeof w->path - path_n, "%s%s", path_n ? "/" : "", e->d_name);
        if (n >= sizeof w->path) {
            rc = hold_fail(err, HOLD_E_LIMIT, 0, "a path is longer than %d bytes", PATH_MAX);
        } else if (S_ISREG(st.st_mode)) {
            const struct hold_manifest_file file = { .path = w->path, .size = (uint64_t) st.st_size };
            rc = hold_manifest_add(w->manifest, w->arena, &file, err);
        } else if (S_ISDIR(st.st_mode) && depth < MAX_DEPTH) {
            int below = openat(dirfd(folder), e->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
            if (below >= 0)
                rc = walk_folder(w, below, n, depth + 1, err);
        }
        w->path[path_n] = '\0';
    }
    closedir(folder);
    return rc;
}

int hold_folder_list(const char *folder, struct hold_arena *arena, struct hold_manifest *ret_manifest, struct hold_err *err) {
    struct hold_manifest made = { .files = hold_arena_array(arena, HOLD_MANIFEST_MAX_FILES, sizeof *made.files) };
    if (!made.files)
        return hold_fail(err, HOLD_E_LIMIT, 0, "no memory for the list of files");
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return hold_fail(err, errno == ENOENT ? HOLD_E_MISSING : HOLD_E_IO, errno, "open folder '%s'", folder);
    struct walk w = { .arena = arena, .manifest = &made };
    if (walk_folder(&w, fd, 0, 0, err) < 0 || hold_manifest_check(&made, err) < 0)
        return hold_wrap(err, "folder '%s'", folder);
    *ret_manifest = made;
    return 0;
}

static int list_folder(const char *path, struct hold_arena *arena, struct hold_source *source, struct hold_verdict *v) {
    char real[PATH_MAX], address[3 * PATH_MAX + 16] = "file://", manifest_path[PATH_MAX + 32];
    if (!realpath(path, real))
        return hold_verdict_fail(v, HOLD_EXIT_FETCH_MISSING, HOLD_E_MISSING, errno, "source folder '%s'", path);
    if (encode(real, "/", address + 7, sizeof address - 8) == SIZE_MAX)
        return hold_verdict_fail(v, HOLD_EXIT_CONFIG, HOLD_E_LIMIT, 0, "source folder '%s' has too long a name", path);
    if (address[strlen(address) - 1] != '/')
        memcpy(address + strlen(address), "/", 2);
    source->base = hold_arena_copy(arena, address, strlen(address));
    if (!source->base)
        return hold_verdict_fail(v, HOLD_EXIT_INTERNAL, HOLD_E_LIMIT, 0, "no memory for the source");
    if (source->manifest.n_files)
        return 0;
    snprintf(manifest_path, sizeof manifest_path, "%s/%s", real, HOLD_MANIFEST_NAME);
    hold_autobuf text = hold_buf_with_max(HOLD_MANIFEST_MAX_BYTES);
    if (hold_read_file(manifest_path, &text, &v->err) == 0) {
        if (hold_manifest_parse(text.data ? text.data : "", text.n, arena, &source->manifest, &v->err) == 0)
            return 0;
        (void) hold_wrap(&v->err, "'%s'", manifest_path);
        return hold_verdict_is(v, HOLD_EXIT_MANIFEST);
    }
    if (v->err.code != HOLD_E_MISSING)
        return hold_verdict_is(v, HOLD_EXIT_FETCH);
    return hold_folder_list(real, arena, &source->manifest, &v->err) < 0 ? hold_verdict_is(v, HOLD_EXIT_FETCH_MISSING) : 0;
}

/* ---- addresses ---- */

static int fetch_manifest(struct hold_fetcher *fetcher, const char *url, struct hold_arena *arena, struct hold_source *source, struct hold_verdict *v) {
    hold_autobuf text = hold_buf_with_max(HOLD_MANIFEST_MAX_BYTES);
    char shown[300];
    hold_url_shown(url, shown, sizeof shown);
    if (hold_fetch_text(fetcher, url, &source->auth, &text, NULL, v) < 0)
        return hold_wrap(&v->err, "fetch the manifest");
    const char *bytes = text.data ? text.data : "";
    if (hold_looks_like_page((const uint8_t *) bytes, text.n))
        return hold_verdict_fail(v, HOLD_EXIT_FETCH_FORMAT, HOLD_E_FORMAT, 0, "%s: a web page came instead of the manifest", shown);
    if (hold_manifest_parse(bytes, text.n, arena, &source->manifest, &v->err) < 0) {
        (void) hold_wrap(&v->err, "%s", shown);
        return hold_verdict_is(v, HOLD_EXIT_MANIFEST);
    }
    return 0;
}

static int list_address(const char *url, struct hold_fetcher *fetcher, struct hold_arena *arena, struct hold_source *source, struct hold_verdict *v) {
    char address[HOLD_URL_BYTES];
    size_t n = strlen(url);
    bool is_manifest = n > 5 && strcmp(url + n - 5, ".json") == 0;
    if (strpbrk(url, "?#") || n + sizeof HOLD_MANIFEST_NAME + 2 > sizeof address)
        return hold_verdict_fail(v, HOLD_EXIT_CONFIG, HOLD_E_CONFIG, 0, "source: an address of a folder or manifest, without '?' and '#', of at most %d bytes is wanted", HOLD_URL_BYTES - 40);
    size_t base_n = is_manifest ? (size_t) (strrchr(url, '/') - url) + 1 : n;
    snprintf(address, sizeof address, "%.*s%s", (int) base_n, url, url[base_n - 1] == '/' ? "" : "/");
    source->base = hold_arena_copy(arena, address, strlen(address));
    if (!source->base)
        return hold_verdict_fail(v, HOLD_EXIT_INTERNAL, HOLD_E_LIMIT, 0, "no memory for the source");
    if (source->manifest.n_files)
        return 0;
    if (!is_manifest)
        memcpy(address + strlen(address), HOLD_MANIFEST_NAME, sizeof HOLD_MANIFEST_NAME);
    return fetch_manifest(fetcher, is_manifest ? url : address, arena, source, v);
}

/* ---- the hub ---- */

static int resolve_commit(const struct hold_source_wants *wants, const struct hold_hub_name *name, struct hold_fetcher *fetcher,
                          struct hold_source *source, struct hold_verdict *v) {
    if (hold_hub_is_commit(name->revision)) {
        memcpy(source->commit, name->revision, 41);
        return 0;
    }
    char url[HOLD_URL_BYTES], revision[3 * sizeof name->revision];
    hold_autobuf text = hold_buf_with_max(HOLD_HUB_MAX_BYTES);
    (void) encode(name->revision, "", revision, sizeof revision);
    snprintf(url, sizeof url, "%s/api/models/%s/revision/%s", wants->hub_endpoint, name->repo, revision);
    if (hold_fetch_text(fetcher, url, &source->auth, &text, NULL, v) < 0)
        return hold_wrap(&v->err, "ask the hub for '%s' at '%s'", name->repo, name->revision);
    if (hold_hub_commit(text.data ? text.data : "", text.n, source->commit, &v->err) < 0)
        return hold_verdict_is(v, HOLD_EXIT_FETCH_FORMAT);
    return 0;
}

static int list_tree(const struct hold_source_wants *wants, const struct hold_hub_name *name, struct hold_fetcher *fetcher, struct hold_arena *arena,
                     struct hold_source *source, struct hold_verdict *v) {
    char url[HOLD_URL_BYTES], next[HOLD_URL_BYTES];
    snprintf(url, sizeof url, "%s/api/models/%s/tree/%s?recursive=1", wants->hub_endpoint, name->repo, source->commit);
    for (int page = 0; url[0] && page < MAX_PAGES; page++) {
        hold_autobuf text = hold_buf_with_max(HOLD_HUB_MAX_BYTES);
        if (hold_fetch_text(fetcher, url, &source->auth, &text, next, v) < 0)
            return hold_wrap(&v->err, "ask the hub for the files of '%s'", name->repo);
        if (hold_hub_tree(text.data ? text.data : "", text.n, arena, &source->manifest, &v->err) < 0)
            return hold_verdict_is(v, HOLD_EXIT_FETCH_FORMAT);
        /* Mirrors pass on the hub's own address, or a relative one: the listing goes on where it began, and so does the token. */
        const char *path = strstr(next, "/api/models/");
        int n = snprintf(url, sizeof url, "%s%s", path ? wants->hub_endpoint : "", path ? path : "");
        if ((next[0] && !path) || (size_t) n >= sizeof url)
            return hold_verdict_fail(v, HOLD_EXIT_FETCH_FORMAT, HOLD_E_FORMAT, 0, "the hub's listing goes on at an address that is none of a hub: %.200s", next);
    }
    return url[0] ? hold_verdict_fail(v, HOLD_EXIT_FETCH_FORMAT, HOLD_E_LIMIT, 0, "the hub's listing has more than %d pages", MAX_PAGES) : 0;
}

static int list_hub(const struct hold_source_wants *wants, struct hold_fetcher *fetcher, struct hold_arena *arena, struct hold_source *source,
                    struct hold_verdict *v) {
    struct hold_hub_name name;
    char base[HOLD_URL_BYTES];
    if (hold_hub_name_parse(wants->source, &name, &v->err) < 0)
        return hold_verdict_is(v, HOLD_EXIT_CONFIG);
    if (strlen(wants->hub_endpoint) > 512)
        return hold_verdict_fail(v, HOLD_EXIT_CONFIG, HOLD_E_CONFIG, 0, "HF_ENDPOINT is longer than 512 bytes");
    source->auth.bearer = wants->hub_token;
    if (resolve_commit(wants, &name, fetcher, source, v) < 0)
        return -1;
    snprintf(base, sizeof base, "%s/%s/resolve/%s/", wants->hub_endpoint, name.repo, source->commit);
    source->base = hold_arena_copy(arena, base, strlen(base));
    if (source->manifest.n_files)
        return source->base ? 0 : hold_verdict_fail(v, HOLD_EXIT_INTERNAL, HOLD_E_LIMIT, 0, "no memory for the source");
    source->manifest.files = hold_arena_array(arena, HOLD_MANIFEST_MAX_FILES, sizeof *source->manifest.files);
    if (!source->base || !source->manifest.files)
        return hold_verdict_fail(v, HOLD_EXIT_INTERNAL, HOLD_E_LIMIT, 0, "no memory for the source");
    if (list_tree(wants, &name, fetcher, arena, source, v) < 0)
        return -1;
    hold_hub_choose(&source->manifest);
    if (hold_manifest_check(&source->manifest, &v->err) < 0) {
        (void) hold_wrap(&v->err, "the hub's listing of '%s'", name.repo);
        return hold_verdict_is(v, HOLD_EXIT_FETCH_FORMAT);
    }
    return 0;
}

/* ---- ModelScope ---- */

static int list_modelscope(const struct hold_source_wants *wants, struct hold_fetcher *fetcher, struct hold_arena *arena, struct hold_source *source,
                           struct hold_verdict *v) {
    struct hold_hub_name name;
    char url[HOLD_URL_BYTES], revision[3 * sizeof name.revision], cookie[HOLD_URL_BYTES];
    hold_autobuf text = hold_buf_with_max(HOLD_HUB_MAX_BYTES);
    if (hold_hub_name_parse(wants->source, &name, &v->err) < 0)
        return hold_verdict_is(v, HOLD_EXIT_CONFIG);
    if (strlen(wants->modelscope_endpoint) > 512)
        return hold_verdict_fail(v, HOLD_EXIT_CONFIG, HOLD_E_CONFIG, 0, "MODELSCOPE_ENDPOINT is longer than 512 bytes");
    source->auth.bearer = wants->modelscope_token;
    if (wants->modelscope_token && *wants->modelscope_token) { /* its older services read the cookie */
        snprintf(cookie, sizeof cookie, "m_session_id=%.2000s", wants->modelscope_token);
        source->auth.cookie = hold_arena_copy(arena, cookie, strlen(cookie));
    }
    (void) encode(name.revision, "", revision, sizeof revision);
    if (source->manifest.n_files == 0) {
        source->manifest.files = hold_arena_array(arena, HOLD_MANIFEST_MAX_FILES, sizeof *source->manifest.files);
        if (!source->manifest.files)
            return hold_verdict_fail(v, HOLD_EXIT_INTERNAL, HOLD_E_LIMIT, 0, "no memory for the source");
        snprintf(url, sizeof url, "%s/api/v1/models/%s/repo/files?Revision=%s&Recursive=True", wants->modelscope_endpoint, name.repo, revision);
        if (hold_fetch_text(fetcher, url, &source->auth, &text, NULL, v) < 0)
            return hold_wrap(&v->err, "ask ModelScope for the files of '%s' at '%s'", name.repo, name.revision);
        if (hold_modelscope_files(text.data ? text.data : "", text.n, arena, &source->manifest, source->commit, &v->err) < 0) {
            (void) hold_wrap(&v->err, "'%s'", name.repo);
            return hold_verdict_is(v, v->err.code == HOLD_E_DENIED ? HOLD_EXIT_FETCH_DENIED : HOLD_EXIT_FETCH_FORMAT);
        }
        hold_hub_choose(&source->manifest);
        if (hold_manifest_check(&source->manifest, &v->err) < 0) {
            (void) hold_wrap(&v->err, "ModelScope's listing of '%s'", name.repo);
            return hold_verdict_is(v, HOLD_EXIT_FETCH_FORMAT);
        }
    }
    if (hold_hub_is_commit(name.revision))
        memcpy(source->commit, name.revision, 41);
    /* The commit where it is known: a branch that moves meanwhile then still has these files. The digests hold anyway. */
    snprintf(url, sizeof url, "%s/api/v1/models/%s/repo?Revision=%s&FilePath=", wants->modelscope_endpoint, name.repo, *source->commit ? source->commit : revision);
    source->base = hold_arena_copy(arena, url, strlen(url));
    return source->base ? 0 : hold_verdict_fail(v, HOLD_EXIT_INTERNAL, HOLD_E_LIMIT, 0, "no memory for the source");
}

/* ---- S3 ---- */

/* What the bucket lists below the prefix, and the digests that the store has. */
static int list_objects(const char *bucket, const char *prefix, struct hold_fetcher *fetcher, struct hold_arena *arena, struct hold_source *source,
                        struct hold_verdict *v) {
    bool *has_sha256 = hold_arena_array(arena, HOLD_MANIFEST_MAX_FILES, sizeof *has_sha256);
    source->manifest.files = hold_arena_array(arena, HOLD_MANIFEST_MAX_FILES, sizeof *source->manifest.files);
    if (!has_sha256 || !source->manifest.files)
        return hold_verdict_fail(v, HOLD_EXIT_INTERNAL, HOLD_E_LIMIT, 0, "no memory for the source");
    char next[HOLD_S3_NEXT_BYTES] = "", url[8192], value[64];
    int page = 0;
    do {
        hold_autobuf text = hold_buf_with_max(HOLD_S3_MAX_BYTES);
        /* Sorted by name, and encoded to the last slash: that is what is signed. */
        size_t n = (size_t) snprintf(url, sizeof url, "%s?%s", bucket, *next ? "continuation-token=" : "");
        n += encode(next, "", url + n, sizeof url - n);
        n += (size_t) snprintf(url + n, sizeof url - n, "%slist-type=2&max-keys=1000&prefix=", *next ? "&" : "");
        if (encode(prefix, "", url + n, sizeof url - n) == SIZE_MAX)
            return hold_verdict_fail(v, HOLD_EXIT_CONFIG, HOLD_E_LIMIT, 0, "the address of the listing is longer than %zu bytes", sizeof url);
        if (hold_fetch_text(fetcher, url, &source->auth, &text, NULL, v) < 0)
            return hold_wrap(&v->err, "list the bucket");
        if (hold_s3_listing(text.data ? text.data : "", text.n, prefix, arena, &source->manifest, has_sha256, next, &v->err) < 0)
            return hold_verdict_is(v, HOLD_EXIT_FETCH_FORMAT);
    } while (*next && ++page < MAX_PAGES);
    if (*next)
        return hold_verdict_fail(v, HOLD_EXIT_FETCH_FORMAT, HOLD_E_LIMIT, 0, "the bucket's listing has more than %d pages", MAX_PAGES);
    for (size_t i = 0; i < source->manifest.n_files; i++) {
        struct hold_manifest_file *file = &source->manifest.files[i];
        if (!has_sha256[i] || !hold_source_url(source, file->path, url, HOLD_URL_BYTES))
            continue;
        if (hold_fetch_header(fetcher, url, &source->auth, "x-amz-checksum-sha256", value, sizeof value, v) < 0)
            return hold_wrap(&v->err, "ask for the digest of '%.160s'", file->path);
        file->has_sha256 = hold_s3_checksum(value, file->sha256);
    }
    hold_hub_choose(&source->manifest);
    if (source->manifest.n_files == 0)
        return hold_verdict_fail(v, HOLD_EXIT_FETCH_MISSING, HOLD_E_MISSING, 0, "the bucket has nothing below '%.200s'", prefix);
    return hold_manifest_check(&source->manifest, &v->err) < 0 ? hold_verdict_is(v, HOLD_EXIT_FETCH_FORMAT) : 0;
}

static int list_s3(const struct hold_source_wants *wants, struct hold_fetcher *fetcher, struct hold_arena *arena, struct hold_source *source,
                   struct hold_verdict *v) {
    struct hold_s3_name name;
    char bucket[1024], base[HOLD_URL_BYTES];
    if (hold_s3_name_parse(wants->source, &name, &v->err) < 0)
        return hold_verdict_is(v, HOLD_EXIT_CONFIG);
    if (!hold_s3_address(&name, wants->s3_endpoint, wants->s3_region, wants->s3_style, bucket, sizeof bucket))
        return hold_verdict_fail(v, HOLD_EXIT_CONFIG, HOLD_E_CONFIG, 0, "--s3-endpoint is longer than 900 bytes");
    source->auth = (struct hold_fetch_auth) { .s3_region = wants->s3_region, .s3_key = wants->s3_key, .s3_secret = wants->s3_secret, .s3_session = wants->s3_session };
    size_t n = strlen(bucket);
    memcpy(base, bucket, n);
    if (encode(name.prefix, "/", base + n, sizeof base - n) == SIZE_MAX)
        return hold_verdict_fail(v, HOLD_EXIT_CONFIG, HOLD_E_CONFIG, 0, "the prefix's address is longer than %d bytes", HOLD_URL_BYTES);
    source->base = hold_arena_copy(arena, base, strlen(base));
    if (!source->base)
        return hold_verdict_fail(v, HOLD_EXIT_INTERNAL, HOLD_E_LIMIT, 0, "no memory for the source");
    if (source->manifest.n_files)
        return 0;
    if (!hold_source_url(source, HOLD_MANIFEST_NAME, base, sizeof base))
        return hold_verdict_fail(v, HOLD_EXIT_CONFIG, HOLD_E_CONFIG, 0, "the prefix's address is longer than %d bytes", HOLD_URL_BYTES);
    if (fetch_manifest(fetcher, base, arena, source, v) == 0)
        return 0;
    /* Who may not list a bucket gets 403 for what is not there; the listing then says which of the two it is. */
    if (v->status != HOLD_EXIT_FETCH_MISSING && v->status != HOLD_EXIT_FETCH_DENIED)
        return -1;
    *v = (struct hold_verdict) { 0 };
    if (list_objects(bucket, name.prefix, fetcher, arena, source, v) < 0)
        return hold_wrap(&v->err, "s3://%s/%s", name.bucket, name.prefix);
    return 0;
}

static int read_pinned(const char *path, struct hold_arena *arena, struct hold_manifest *ret_manifest, struct hold_verdict *v) {
    hold_autobuf text = hold_buf_with_max(HOLD_MANIFEST_MAX_BYTES);
    if (hold_read_file(path, &text, &v->err) < 0 || hold_manifest_parse(text.data ? text.data : "", text.n, arena, ret_manifest, &v->err) < 0) {
        (void) hold_wrap(&v->err, "manifest '%s'", path);
        return hold_verdict_is(v, HOLD_EXIT_MANIFEST);
    }
    return 0;
}

int hold_source_list(const struct hold_source_wants *wants, struct hold_fetcher *fetcher, struct hold_arena *arena, struct hold_source *ret_source,
                     struct hold_verdict *v) {
    struct hold_source source = { 0 };
    const char *name = wants->source;
    int rc = 0;
    if (wants->known)
        source.manifest = *wants->known;
    else if (wants->manifest_file && *wants->manifest_file)
        rc = read_pinned(wants->manifest_file, arena, &source.manifest, v);
    if (rc < 0)
        return -1;
    if (strncmp(name, "hf://", 5) == 0)
        rc = list_hub(wants, fetcher, arena, &source, v);
    else if (strncmp(name, HOLD_MODELSCOPE_SCHEME, strlen(HOLD_MODELSCOPE_SCHEME)) == 0)
        rc = list_modelscope(wants, fetcher, arena, &source, v);
    else if (strncmp(name, "s3://", 5) == 0)
        rc = list_s3(wants, fetcher, arena, &source, v);
    else if (strncmp(name, "http://", 7) == 0 || strncmp(name, "https://", 8) == 0)
        rc = list_address(name, fetcher, arena, &source, v);
    else if (strncmp(name, "file://", 7) == 0 && name[7] == '/')
        rc = list_folder(name + 7, arena, &source, v);
    else if (strcspn(name, ":") >= strcspn(name, "/")) /* "hf:/org/repo" is a slip, not a folder */
        rc = list_folder(name, arena, &source, v);
    else
        rc = hold_verdict_fail(v, HOLD_EXIT_CONFIG, HOLD_E_CONFIG, 0, "source '%.60s': https://, http://, hf://, modelscope://, s3://, file:// or a folder is wanted", name);
    if (rc == 0)
        *ret_source = source;
    return rc;
}

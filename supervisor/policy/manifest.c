/* manifest.c - strict reading, checking and canonical writing of a model's file list. Floor: supervisor/policy, pure. */
#include "supervisor/policy/manifest.h"

#include "base/name.h"
#include "base/json.h"

#include <stdlib.h>
#include <string.h>

#define MAX_PATH_BYTES 512u
#define MAX_TOKENS 700000u /* 16 MiB of piece digests */
#define MAX_SHOWN 120      /* bytes of a path in a message */

void hold_hex_write(const uint8_t *bytes, size_t n, char *out) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[2 * n] = '\0';
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool hold_hex_read(const char *text, size_t n, uint8_t *ret_bytes) {
    for (size_t i = 0; i < n; i++) {
        /* A short text ends at its zero, which is no digit. */
        int high = hex_digit(text[2 * i]);
        int low = high < 0 ? -1 : hex_digit(text[2 * i + 1]);
        if (low < 0)
            return false;
        ret_bytes[i] = (uint8_t) (high << 4 | low);
    }
    return text[2 * n] == '\0';
}

static int by_path(const void *a, const void *b) {
    const struct hold_manifest_file *x = a, *y = b;
    return strcmp(x->path, y->path);
}

static uint64_t pieces_of(const struct hold_manifest_file *file) {
    return file->size / file->chunk_bytes + (file->size % file->chunk_bytes != 0);
}

static int check_file(const struct hold_manifest_file *file, struct hold_err *err) {
    size_t n = strlen(file->path);
    if (n == 0 || n > MAX_PATH_BYTES)
        return hold_fail(err, HOLD_E_FORMAT, 0, "a path has %zu bytes, 1 to %u are allowed", n, MAX_PATH_BYTES);
    if (!hold_name_is_safe(file->path))
        return hold_fail(err, HOLD_E_FORMAT, 0, "path '%.*s' could leave the model's folder", MAX_SHOWN, file->path);
    if (strcmp(file->path, HOLD_MANIFEST_NAME) == 0)
        return hold_fail(err, HOLD_E_FORMAT, 0, "the manifest lists itself");
    if (strncmp(file->path, ".holdfast", 9) == 0)
        return hold_fail(err, HOLD_E_FORMAT, 0, "path '%.*s' is in the part of the folder that holdfast keeps for itself", MAX_SHOWN, file->path);
    if (file->size > HOLD_MANIFEST_MAX_FILE_BYTES)
        return hold_fail(err, HOLD_E_LIMIT, 0, "'%.*s' has %llu bytes, the limit is %llu", MAX_SHOWN, file->path,
                         (unsigned long long) file->size, (unsigned long long) HOLD_MANIFEST_MAX_FILE_BYTES);
    if (file->chunk_bytes == 0 && file->n_chunks == 0)
        return 0;
    if (file->chunk_bytes < HOLD_MANIFEST_MIN_CHUNK)
        return hold_fail(err, HOLD_E_FORMAT, 0, "'%.*s': chunk_size %llu is below %llu", MAX_SHOWN, file->path,
                         (unsigned long long) file->chunk_bytes, (unsigned long long) HOLD_MANIFEST_MIN_CHUNK);
    if (pieces_of(file) != file->n_chunks)
        return hold_fail(err, HOLD_E_FORMAT, 0, "'%.*s': %zu chunks given, %llu bytes in pieces of %llu need %llu", MAX_SHOWN, file->path,
                         file->n_chunks, (unsigned long long) file->size, (unsigned long long) file->chunk_bytes,
                         (unsigned long long) pieces_of(file));
    return 0;
}

/* In sorted order "a" comes before "a/b", but "a-b" may stand between them: so each folder of a path is looked up. */
static int check_folders(const struct hold_manifest *manifest, const struct hold_manifest_file *file, struct hold_err *err) {
    char folder[MAX_PATH_BYTES + 1];
    memcpy(folder, file->path, strlen(file->path) + 1);
    for (char *slash = strchr(folder, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (hold_manifest_find(manifest, folder))
            return hold_fail(err, HOLD_E_FORMAT, 0, "'%.*s' is a file and the folder of another", MAX_SHOWN, folder);
        *slash = '/';
    }
    return 0;
}

int hold_manifest_add(struct hold_manifest *manifest, struct hold_arena *arena, const struct hold_manifest_file *file, struct hold_err *err) {
    if (manifest->n_files == HOLD_MANIFEST_MAX_FILES)
        return hold_fail(err, HOLD_E_LIMIT, 0, "more than %u files", HOLD_MANIFEST_MAX_FILES);
    const char *path = hold_arena_copy(arena, file->path, strlen(file->path));
    if (!path)
        return hold_fail(err, HOLD_E_LIMIT, 0, "no memory for the list of files");
    manifest->files[manifest->n_files] = *file;
    manifest->files[manifest->n_files++].path = path;
    return 0;
}

int hold_manifest_check(struct hold_manifest *manifest, struct hold_err *err) {
    if (manifest->n_files == 0)
        return hold_fail(err, HOLD_E_FORMAT, 0, "the list of files is empty");
    if (manifest->n_files > HOLD_MANIFEST_MAX_FILES)
        return hold_fail(err, HOLD_E_LIMIT, 0, "%zu files, the limit is %u", manifest->n_files, HOLD_MANIFEST_MAX_FILES);
    for (size_t i = 0; i < manifest->n_files; i++)
        if (check_file(&manifest->files[i], err) < 0)
            return -1;
    qsort(manifest->files, manifest->n_files, sizeof manifest->files[0], by_path);
    for (size_t i = 1; i < manifest->n_files; i++)
        if (strcmp(manifest->files[i - 1].path, manifest->files[i].path) == 0)
            return hold_fail(err, HOLD_E_FORMAT, 0, "'%.*s' is listed twice", MAX_SHOWN, manifest->files[i].path);
    for (size_t i = 0; i < manifest->n_files; i++)
        if (check_folders(manifest, &manifest->files[i], err) < 0)
            return -1;
    return 0;
}

static int read_chunks(const struct cJSON *array, struct hold_arena *arena, struct hold_manifest_file *file, struct hold_err *err) {
    size_t n = hold_json_size(array);
    uint8_t *digests = hold_arena_array(arena, n, 32);
    if (!digests)
        return hold_fail(err, HOLD_E_LIMIT, 0, "'%.*s': no memory for %zu piece digests", MAX_SHOWN, file->path, n);
    size_t i = 0;
    for (const struct cJSON *v = hold_json_first(array); v && i < n; v = hold_json_next(v), i++) {
        const char *hex = "";
        if (!hold_json_str(v, &hex) || !hold_hex_read(hex, 32, digests + 32 * i))
            return hold_fail(err, HOLD_E_FORMAT, 0, "'%.*s': chunk %zu is not a SHA-256 of 64 hexadecimal digits", MAX_SHOWN, file->path, i);
    }
    file->chunks = digests;
    file->n_chunks = n;
    return 0;
}

static int read_file_row(const struct cJSON *row, struct hold_arena *arena, struct hold_manifest_file *file, struct hold_buf *mistakes,
                         struct hold_err *err) {
    struct hold_json_reader r;
    hold_json_read(&r, row, "files[]", mistakes);
    const char *path = "", *sha256 = "";
    const struct cJSON *chunks = NULL;
    uint64_t size = 0, chunk_bytes = 0;
    (void) hold_json_need_str(&r, "path", &path);
    (void) hold_json_need_u64(&r, "size", 0, HOLD_MANIFEST_MAX_FILE_BYTES, &size);
    if (hold_json_need_str(&r, "sha256", &sha256) && !hold_hex_read(sha256, 32, file->sha256))
        hold_json_mistake(&r, "sha256", "'%.70s' is not a SHA-256 of 64 hexadecimal digits", sha256);
    (void) hold_json_opt_u64(&r, "chunk_size", HOLD_MANIFEST_MIN_CHUNK, HOLD_MANIFEST_MAX_FILE_BYTES, &chunk_bytes);
    (void) hold_json_opt_array(&r, "chunks", &chunks);
    hold_json_done(&r);
    file->path = hold_arena_copy(arena, path, strlen(path));
    file->size = size;
    file->has_sha256 = true;
    file->chunk_bytes = chunk_bytes;
    if (!file->path)
        return hold_fail(err, HOLD_E_LIMIT, 0, "no memory for the list of files");
    if ((chunks != NULL) != (chunk_bytes != 0))
        hold_json_mistake(&r, "chunks", "chunk_size and chunks belong together");
    return chunks ? read_chunks(chunks, arena, file, err) : 0;
}

/* The first line of what a reader collected. */
static int fail_with_mistakes(const struct hold_buf *mistakes, struct hold_err *err) {
    const char *text = mistakes->n ? mistakes->data : "wrong";
    return hold_fail(err, HOLD_E_FORMAT, 0, "%.*s", (int) strcspn(text, "\n"), text);
}

int hold_manifest_parse(const char *text, size_t n, struct hold_arena *arena, struct hold_manifest *ret_manifest, struct hold_err *err) {
    hold_autojson *root = NULL;
    const struct hold_json_limits limits = { .max_bytes = HOLD_MANIFEST_MAX_BYTES, .max_depth = 8, .max_tokens = MAX_TOKENS };
    if (hold_json_parse(text, n, "manifest", limits, &root, err) < 0)
        return -1;

    hold_autobuf mistakes = hold_buf_with_max(64u << 10);
    struct hold_json_reader r;
    hold_json_read(&r, root, "manifest", &mistakes);
    uint64_t schema = 0;
    const struct cJSON *files = NULL;
    (void) hold_json_need_u64(&r, "schema", 1, 1, &schema);
    if (!hold_json_opt_array(&r, "files", &files))
        hold_json_mistake(&r, "files", "an array of files is wanted");
    hold_json_done(&r);
    if (mistakes.n)
        return fail_with_mistakes(&mistakes, err);

    struct hold_manifest made = { .n_files = hold_json_size(files) };
    if (made.n_files > HOLD_MANIFEST_MAX_FILES)
        return hold_fail(err, HOLD_E_LIMIT, 0, "%zu files, the limit is %u", made.n_files, HOLD_MANIFEST_MAX_FILES);
    made.files = hold_arena_array(arena, made.n_files, sizeof made.files[0]);
    if (!made.files)
        return hold_fail(err, HOLD_E_LIMIT, 0, "no memory for a list of %zu files", made.n_files);
    size_t i = 0;
    for (const struct cJSON *row = hold_json_first(files); row && i < made.n_files; row = hold_json_next(row), i++) {
        if (read_file_row(row, arena, &made.files[i], &mistakes, err) < 0)
            return -1;
        if (mistakes.n)
            return fail_with_mistakes(&mistakes, err);
    }
    if (hold_manifest_check(&made, err) < 0)
        return -1;
    *ret_manifest = made;
    return 0;
}

static int need_digests(const struct hold_manifest *manifest, struct hold_err *err) {
    for (size_t i = 0; i < manifest->n_files; i++)
        if (!manifest->files[i].has_sha256)
            return hold_fail(err, HOLD_E_INTERNAL, 0, "'%.*s' has no SHA-256 yet", MAX_SHOWN, manifest->files[i].path);
    return 0;
}

int hold_manifest_write(const struct hold_manifest *manifest, struct hold_buf *out, struct hold_err *err) {
    if (need_digests(manifest, err) < 0)
        return -1;
    hold_buf_adds(out, "{\"schema\": 1, \"files\": [");
    for (size_t i = 0; i < manifest->n_files; i++) {
        const struct hold_manifest_file *file = &manifest->files[i];
        char hex[65];
        hold_hex_write(file->sha256, 32, hex);
        hold_buf_adds(out, i ? ",\n" : "\n");
        hold_buf_adds(out, "{\"path\": ");
        hold_buf_add_json(out, file->path, strlen(file->path));
        hold_buf_addf(out, ", \"size\": %llu, \"sha256\": \"%s\"", (unsigned long long) file->size, hex);
        if (file->chunk_bytes)
            hold_buf_addf(out, ", \"chunk_size\": %llu, \"chunks\": [", (unsigned long long) file->chunk_bytes);
        for (size_t c = 0; file->chunk_bytes && c < file->n_chunks; c++) {
            hold_hex_write(file->chunks + 32 * c, 32, hex);
            hold_buf_addf(out, "%s\"%s\"", c ? ", " : "", hex);
        }
        hold_buf_adds(out, file->chunk_bytes ? "]}" : "}");
    }
    hold_buf_adds(out, "\n]}\n");
    return hold_buf_check(out, "manifest", err);
}

int hold_manifest_lines(const struct hold_manifest *manifest, struct hold_buf *out, struct hold_err *err) {
    if (need_digests(manifest, err) < 0)
        return -1;
    hold_buf_adds(out, "holdfast-model 1\n");
    for (size_t i = 0; i < manifest->n_files; i++) {
        char hex[65];
        hold_hex_write(manifest->files[i].sha256, 32, hex);
        hold_buf_addf(out, "%s\t%llu\t%s\n", manifest->files[i].path, (unsigned long long) manifest->files[i].size, hex);
    }
    return hold_buf_check(out, "identity of the model", err);
}

const struct hold_manifest_file *hold_manifest_find(const struct hold_manifest *manifest, const char *path) {
    const struct hold_manifest_file key = { .path = path };
    return manifest->n_files ? bsearch(&key, manifest->files, manifest->n_files, sizeof key, by_path) : NULL;
}

uint64_t hold_manifest_bytes(const struct hold_manifest *manifest) {
    uint64_t sum = 0;
    for (size_t i = 0; i < manifest->n_files; i++)
        sum += manifest->files[i].size;
    return sum;
}

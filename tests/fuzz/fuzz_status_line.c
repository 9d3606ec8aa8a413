/* fuzz_status_line.c - any request line: one of the known verdicts, 200 only for a fixed path, nothing read past the end. */
#include "supervisor/host/status.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    char *line = malloc(n + 1); /* exactly as long as the line, so that a sanitizer sees one byte too far */
    if (!line)
        return 0;
    if (n > 0)
        memcpy(line, data, n);
    enum hold_status_path path = HOLD_STATUS_PATH_COUNT;
    bool head_only = false;
    char *exact = realloc(line, n > 0 ? n : 1);
    const int status = hold_status_parse(exact, n, &path, &head_only);
    const int known[] = { 200, 400, 404, 405, 505 };
    bool is_known = false;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        is_known = is_known || known[i] == status;
    if (!is_known || (status == 200) != (path != HOLD_STATUS_NONE) || path >= HOLD_STATUS_PATH_COUNT)
        abort();
    free(exact);
    return 0;
}

/* fuzz_output_lines.c - any output line: a match names a row that exists, and its sentence in a diagnosis and a report is
 * bounded and printable. */
#include "supervisor/host/report.h"
#include "supervisor/policy/diagnose.h"
#include "supervisor/policy/lines.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    static struct hold_lines table;
    hold_lines_init(&table);
    char *line = malloc(n + 1);
    if (!line)
        return 0;
    if (n > 0)
        memcpy(line, data, n);
    line[n] = '\0';
    char *exact = malloc(n > 0 ? n : 1);
    if (!exact) {
        free(line);
        return 0;
    }
    if (n > 0)
        memcpy(exact, data, n);
    const struct hold_line_match m = hold_lines_match(&table, exact, n);
    free(exact);
    const int rows = m.class == HOLD_LINE_MILESTONE ? hold_n_milestones : hold_n_signatures;
    if ((m.class == HOLD_LINE_NOTHING) != (m.index < 0) || m.index >= rows || (m.total != 0 && m.class != HOLD_LINE_MILESTONE))
        abort();
    if (m.class == HOLD_LINE_CAUSE && m.cause == HOLD_CAUSE_NONE)
        abort();
    const struct hold_death d = { .end = HOLD_END_EXITED, .code = 1, .matched = m.cause, .matched_line = line, .wrapper_line = line, .told = line };
    struct hold_diagnosis diagnosis;
    hold_diagnose(&d, &diagnosis);
    for (const char *c = diagnosis.text; *c; c++)
        if ((unsigned char) *c < 0x20)
            abort();
    char out[HOLD_REPORT_MAX_BYTES];
    const struct hold_report r = { .phase = "up", .cause = "exited", .exit_code = 1, .text = diagnosis.text, .last_lines = line };
    if (hold_report_compose(&r, out) > HOLD_REPORT_MAX_BYTES)
        abort();
    free(line);
    return 0;
}

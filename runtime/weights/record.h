/* record.h - the model's JSON files, in all dialects, to one model record. Floor: runtime/weights, pure.
 *
 * Dialects of config.json: flat with rope_scaling (old), nested text_config with rope_scaling, nested with rope_parameters (new);
 * and the text-only sibling glm4. For a key of the text part text_config is asked first, the top level second. */
#ifndef HOLD_RUNTIME_WEIGHTS_RECORD_H
#define HOLD_RUNTIME_WEIGHTS_RECORD_H

#include "base/err.h"
#include "runtime/plan/plan.h"

#include <stdbool.h>
#include <stddef.h>

/* has_qkv_bias when config.json does not say: the tensors decide (runtime/weights/prove.c). */
#define HOLD_RECORD_BIAS_UNSAID 2u

/* One JSON file; text NULL: not there. */
struct hold_text_file {
    const char *name; /* in messages */
    const char *text;
    size_t n;
};

struct hold_record_files {
    struct hold_text_file config;       /* needed */
    struct hold_text_file generation;   /* generation_config.json */
    struct hold_text_file preprocessor; /* preprocessor_config.json, or processor_config.json (its image_processor) */
};

/* ret_record is checked with hold_record_check, except that has_qkv_bias may be HOLD_RECORD_BIAS_UNSAID.
 * Fails with FORMAT; all mistakes of one file are in one error, as far as there is room. */
HOLD_MUST int hold_record_parse(const struct hold_record_files *files, struct hold_record *ret_record, struct hold_err *err);

#endif

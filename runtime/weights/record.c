/* record.c - config.json, generation_config.json and preprocessor_config.json to one record. Floor: runtime/weights, pure.
 *
 * What changes the computation and is not known here is refused by name; what only describes training is passed over. A
 * missing rotary fraction or base is never guessed: engines that did so loaded the model and printed garbage. */
#include "runtime/weights/record.h"

#include "base/json.h"
#include "base/list.h"

#include <math.h>
#include <string.h>

enum { MAX_JSON_BYTES = 4 << 20, MAX_MISTAKES_BYTES = 8192 };

/* The two places of a text key. */
struct places {
    struct hold_json_reader text, top;
};

static bool is_there(const struct cJSON *v) {
    return v && hold_json_type_of(v) != HOLD_JSON_NULL;
}

static struct hold_json_reader *place_of(struct places *p, const char *key) {
    return is_there(hold_json_get(p->text.object, key)) ? &p->text : &p->top;
}

static bool has(struct places *p, const char *key) {
    return is_there(hold_json_get(place_of(p, key)->object, key));
}

static void need_u32(struct hold_json_reader *r, const char *key, uint64_t max, uint32_t *ret) {
    uint64_t value;
    if (hold_json_need_u64(r, key, 1, max, &value))
        *ret = (uint32_t) value;
}

static void need_f64(struct hold_json_reader *r, const char *key, double min, double max, double *ret) {
    if (!hold_json_opt_f64(r, key, min, max, ret) && !hold_json_get(r->object, key))
        hold_json_mistake(r, key, "is missing");
}

static void opt_flag(struct places *p, const char *key, uint32_t *ret) {
    bool value;
    if (has(p, key) && hold_json_opt_bool(place_of(p, key), key, &value))
        *ret = value;
}

static void opt_token(struct places *p, const char *key, uint32_t *ret) {
    uint64_t value;
    if (has(p, key) && hold_json_opt_u64(place_of(p, key), key, 0, UINT32_MAX - 1, &value))
        *ret = (uint32_t) value;
}

/* key must be one of the words, or absent. */
static void opt_word(struct hold_json_reader *r, const char *key, const char *const *words, size_t n_words) {
    const char *word;
    if (!is_there(hold_json_get(r->object, key)) || !hold_json_opt_str(r, key, &word))
        return;
    if (hold_index_of(words, n_words, word) < 0)
        hold_json_mistake(r, key, "'%.60s' is not supported, only '%s'", word, words[0]);
}

static void type_read(struct hold_json_reader *top, bool *ret_has_vision) {
    static const char *const architectures[] = { "Glm4vForConditionalGeneration", "Glm4ForCausalLM" };
    const char *type = "";
    *ret_has_vision = true;
    if (!hold_json_need_str(top, "model_type", &type))
        return;
    *ret_has_vision = strcmp(type, "glm4") != 0;
    if (strcmp(type, "glm") == 0)
        hold_json_mistake(top, "model_type", "'glm' (two norms a layer, GLM-4-9B before 0414) is not supported; 'glm4' and 'glm4v' are");
    else if (strcmp(type, "glm4v") != 0 && strcmp(type, "glm4") != 0)
        hold_json_mistake(top, "model_type", "'%.60s' is not supported; 'glm4v' and 'glm4' are", type);
    const struct cJSON *list = hold_json_get(top->object, "architectures");
    const char *architecture;
    if (hold_json_type_of(list) == HOLD_JSON_ARRAY && hold_json_str(hold_json_first(list), &architecture) &&
        strcmp(architecture, architectures[*ret_has_vision ? 0 : 1]) != 0)
        hold_json_mistake(top, "architectures", "'%.80s' is not supported for this model_type, only '%s'", architecture,
                          architectures[*ret_has_vision ? 0 : 1]);
    if (is_there(hold_json_get(top->object, "quantization_config")))
        hold_json_mistake(top, "quantization_config", "checkpoints that are already quantised are not supported");
}

static void sections_read(struct hold_json_reader *r, const struct cJSON *v, uint32_t ret[3]) {
    size_t n = 0;
    for (const struct cJSON *s = hold_json_type_of(v) == HOLD_JSON_ARRAY ? hold_json_first(v) : NULL; s; s = hold_json_next(s), n++) {
        uint64_t value;
        if (n >= 3 || !hold_json_u64(s, &value) || value > 4096) {
            n = 4;
            break;
        }
        ret[n] = (uint32_t) value;
    }
    if (n != 3)
        hold_json_mistake(r, "mrope_section", "three whole numbers are wanted");
}

/* Every dialect's rotary settings: rope_parameters first, then rope_scaling, then the keys beside them; text before top. */
static void rope_read(struct places *p, bool needs_sections, struct hold_record *ret) {
    static const char *const kinds[] = { "default" };
    struct hold_json_reader from[6];
    const struct cJSON *objects[4] = {
        hold_json_get(p->text.object, "rope_parameters"),
        hold_json_get(p->top.object, "rope_parameters"),
        hold_json_get(p->text.object, "rope_scaling"),
        hold_json_get(p->top.object, "rope_scaling"),
    };
    static const char *const paths[4] = { "text_config.rope_parameters", "rope_parameters", "text_config.rope_scaling", "rope_scaling" };
    for (int i = 0; i < 4; i++) {
        hold_json_read(&from[i], is_there(objects[i]) ? objects[i] : NULL, paths[i], p->top.mistakes);
        opt_word(&from[i], "rope_type", kinds, HOLD_COUNT_OF(kinds));
        opt_word(&from[i], "type", kinds, HOLD_COUNT_OF(kinds));
    }
    from[4] = p->text;
    from[5] = p->top;
    bool has_theta = false, has_partial = false, has_sections = false;
    double partial = 0;
    for (int i = 0; i < 6; i++) {
        if (!has_theta && is_there(hold_json_get(from[i].object, "rope_theta"))) {
            has_theta = true;
            (void) hold_json_opt_f64(&from[i], "rope_theta", 1, 1e12, &ret->rope_theta);
        }
        if (!has_partial && is_there(hold_json_get(from[i].object, "partial_rotary_factor"))) {
            has_partial = true;
            (void) hold_json_opt_f64(&from[i], "partial_rotary_factor", 1e-3, 1, &partial);
        }
        if (!has_sections && is_there(hold_json_get(from[i].object, "mrope_section"))) {
            has_sections = true;
            sections_read(&from[i], hold_json_get(from[i].object, "mrope_section"), ret->mrope_sections);
        }
    }
    if (!has_theta)
        hold_json_mistake(&p->top, "rope_theta", "is missing everywhere (rope_parameters, rope_scaling, text_config, top level)");
    if (!has_partial)
        hold_json_mistake(&p->top, "partial_rotary_factor", "is missing everywhere; for this model_type it is never 1, and it is not guessed");
    if (!has_sections && needs_sections)
        hold_json_mistake(&p->top, "mrope_section", "is missing everywhere");
    ret->rotary_dim = (uint32_t) ((double) ret->head_dim * partial);
    if (partial > 0 && (ret->rotary_dim < 2 || ret->rotary_dim % 2))
        hold_json_mistake(&p->top, "partial_rotary_factor", "%g of head_dim %u is not an even number", partial, ret->head_dim);
}

static void eos_add(struct hold_json_reader *r, const struct cJSON *v, struct hold_record *ret) {
    const struct cJSON *one = hold_json_type_of(v) == HOLD_JSON_ARRAY ? hold_json_first(v) : v;
    for (; one; one = one == v ? NULL : hold_json_next(one)) {
        uint64_t id;
        bool is_known = false;
        if (!hold_json_u64(one, &id) || id >= UINT32_MAX) {
            hold_json_mistake(r, "eos_token_id", "a token id or a list of them is wanted");
            return;
        }
        for (uint32_t i = 0; i < ret->n_eos; i++)
            is_known |= ret->eos[i] == id;
        if (is_known)
            continue;
        if (ret->n_eos == HOLD_PLAN_MAX_EOS) {
            hold_json_mistake(r, "eos_token_id", "more than %u ids", HOLD_PLAN_MAX_EOS);
            return;
        }
        ret->eos[ret->n_eos++] = (uint32_t) id;
    }
}

static void text_read(struct places *p, bool has_vision, struct hold_record *ret) {
    static const char *const acts[] = { "silu" };
    need_u32(place_of(p, "hidden_size"), "hidden_size", 65536, &ret->hidden);
    need_u32(place_of(p, "num_hidden_layers"), "num_hidden_layers", HOLD_PLAN_MAX_LAYERS, &ret->n_layers);
    need_u32(place_of(p, "num_attention_heads"), "num_attention_heads", 1024, &ret->n_heads);
    need_u32(place_of(p, "num_key_value_heads"), "num_key_value_heads", 1024, &ret->n_kv_heads);
    need_u32(place_of(p, "intermediate_size"), "intermediate_size", 1u << 20, &ret->intermediate);
    need_u32(place_of(p, "vocab_size"), "vocab_size", 1u << 22, &ret->vocab);
    need_u32(place_of(p, "max_position_embeddings"), "max_position_embeddings", 1u << 24, &ret->max_positions);
    need_f64(place_of(p, "rms_norm_eps"), "rms_norm_eps", 1e-12, 0.1, &ret->rms_eps);
    opt_word(place_of(p, "hidden_act"), "hidden_act", acts, HOLD_COUNT_OF(acts));
    if (has(p, "head_dim"))
        need_u32(place_of(p, "head_dim"), "head_dim", 1024, &ret->head_dim);
    else if (ret->n_heads && ret->hidden % ret->n_heads)
        hold_json_mistake(place_of(p, "hidden_size"), "hidden_size", "%u does not divide into %u heads", ret->hidden, ret->n_heads);
    else if (ret->n_heads)
        ret->head_dim = ret->hidden / ret->n_heads;
    ret->has_qkv_bias = HOLD_RECORD_BIAS_UNSAID;
    opt_flag(p, "attention_bias", &ret->has_qkv_bias);
    opt_flag(p, "tie_word_embeddings", &ret->is_tied);
    rope_read(p, has_vision, ret);

    opt_token(p, "pad_token_id", &ret->pad_token);
    opt_token(p, "image_token_id", &ret->image_token);
    opt_token(p, "image_start_token_id", &ret->image_start);
    opt_token(p, "image_end_token_id", &ret->image_end);
    opt_token(p, "video_token_id", &ret->video_token);
    opt_token(p, "video_start_token_id", &ret->video_start);
    opt_token(p, "video_end_token_id", &ret->video_end);
    if (has_vision && !has(p, "image_token_id"))
        hold_json_mistake(&p->top, "image_token_id", "is missing");
    if (has(p, "eos_token_id"))
        eos_add(place_of(p, "eos_token_id"), hold_json_get(place_of(p, "eos_token_id")->object, "eos_token_id"), ret);
}

static void vision_read(struct hold_json_reader *top, struct hold_record *ret) {
    static const char *const acts[] = { "silu" };
    static const char *const kinds[] = { "default", "axial" };
    struct hold_json_reader v, rope;
    bool has_bias = false;
    if (!is_there(hold_json_get(top->object, "vision_config"))) {
        hold_json_mistake(top, "vision_config", "is missing");
        return;
    }
    hold_json_read(&v, hold_json_get(top->object, "vision_config"), "vision_config", top->mistakes);
    need_u32(&v, "depth", HOLD_PLAN_MAX_LAYERS, &ret->vision_depth);
    need_u32(&v, "hidden_size", 65536, &ret->vision_hidden);
    need_u32(&v, "num_heads", 1024, &ret->vision_heads);
    need_u32(&v, "in_channels", 3, &ret->vision_channels);
    need_u32(&v, "image_size", 16384, &ret->vision_image_size);
    need_u32(&v, "patch_size", 64, &ret->patch);
    need_u32(&v, "temporal_patch_size", 8, &ret->temporal_patch);
    need_u32(&v, "spatial_merge_size", 8, &ret->merge);
    need_u32(&v, "out_hidden_size", 65536, &ret->vision_out);
    need_u32(&v, "intermediate_size", 1u << 20, &ret->merger_mlp);
    ret->vision_mlp = ret->vision_out; /* the blocks' MLP is as wide as the output; intermediate_size is the merger's */
    ret->position_rows = ret->patch ? ret->vision_image_size / ret->patch : 0;
    ret->vision_eps = 1e-5;
    if (is_there(hold_json_get(v.object, "rms_norm_eps")))
        (void) hold_json_opt_f64(&v, "rms_norm_eps", 1e-12, 0.1, &ret->vision_eps);
    opt_word(&v, "hidden_act", acts, HOLD_COUNT_OF(acts));
    if (is_there(hold_json_get(v.object, "attention_bias")) && hold_json_opt_bool(&v, "attention_bias", &has_bias) && has_bias)
        hold_json_mistake(&v, "attention_bias", "true is not supported");
    /* the tower's rotary base is not in older files; the class has always used this one */
    ret->vision_theta = 10000;
    const struct cJSON *parameters = hold_json_get(v.object, "rope_parameters");
    hold_json_read(&rope, is_there(parameters) ? parameters : NULL, "vision_config.rope_parameters", top->mistakes);
    opt_word(&rope, "rope_type", kinds, HOLD_COUNT_OF(kinds));
    if (is_there(hold_json_get(rope.object, "rope_theta")))
        (void) hold_json_opt_f64(&rope, "rope_theta", 1, 1e12, &ret->vision_theta);
}

static int config_read(const struct cJSON *root, struct hold_buf *mistakes, struct hold_record *ret) {
    struct places p;
    bool has_vision;
    const struct cJSON *text = hold_json_get(root, "text_config");
    hold_json_read(&p.top, root, "", mistakes);
    hold_json_read(&p.text, is_there(text) ? text : NULL, "text_config", mistakes);
    type_read(&p.top, &has_vision);
    if (mistakes->n)
        return -1; /* of another architecture nothing else can be said */
    text_read(&p, has_vision, ret);
    if (has_vision)
        vision_read(&p.top, ret);
    return mistakes->n || mistakes->failed ? -1 : 0;
}

static void generation_read(const struct cJSON *root, struct hold_buf *mistakes, struct hold_record *ret) {
    struct hold_json_reader r;
    double value;
    uint64_t top_k;
    hold_json_read(&r, root, "", mistakes);
    if (is_there(hold_json_get(r.object, "eos_token_id")))
        eos_add(&r, hold_json_get(r.object, "eos_token_id"), ret);
    if (is_there(hold_json_get(r.object, "temperature")) && hold_json_opt_f64(&r, "temperature", 0, 100, &value))
        ret->temperature = (float) value;
    if (is_there(hold_json_get(r.object, "top_p")) && hold_json_opt_f64(&r, "top_p", 0, 1, &value))
        ret->top_p = (float) value;
    if (is_there(hold_json_get(r.object, "repetition_penalty")) && hold_json_opt_f64(&r, "repetition_penalty", 1e-3, 1e3, &value))
        ret->repetition_penalty = (float) value;
    if (is_there(hold_json_get(r.object, "top_k")) && hold_json_opt_u64(&r, "top_k", 0, 1u << 22, &top_k))
        ret->top_k = (uint32_t) top_k;
}

static void triple_read(struct hold_json_reader *r, const char *key, float ret[3]) {
    const struct cJSON *list = hold_json_get(r->object, key);
    size_t n = 0;
    if (!is_there(list))
        return;
    for (const struct cJSON *v = hold_json_type_of(list) == HOLD_JSON_ARRAY ? hold_json_first(list) : NULL; v; v = hold_json_next(v), n++) {
        double value;
        if (n >= 3 || !hold_json_f64(v, &value) || !(fabs(value) < 1e6)) {
            n = 4;
            break;
        }
        ret[n] = (float) value;
    }
    if (n != 3)
        hold_json_mistake(r, key, "three numbers are wanted");
}

/* A size that both files name must be the same in both. */
static void agree(struct hold_json_reader *r, const char *key, uint32_t wanted) {
    uint64_t value;
    if (is_there(hold_json_get(r->object, key)) && hold_json_opt_u64(r, key, 1, 1024, &value) && value != wanted)
        hold_json_mistake(r, key, "%u, config.json says %u", (unsigned) value, wanted);
}

static void must_do(struct hold_json_reader *r, const char *key) {
    bool value;
    if (is_there(hold_json_get(r->object, key)) && hold_json_opt_bool(r, key, &value) && !value)
        hold_json_mistake(r, key, "false is not supported");
}

static void preprocessor_read(const struct cJSON *root, struct hold_buf *mistakes, struct hold_record *ret) {
    struct hold_json_reader r, size;
    double factor;
    uint64_t resample;
    /* processor_config.json of newer libraries has the same object inside */
    const struct cJSON *inner = hold_json_get(root, "image_processor");
    hold_json_read(&r, is_there(inner) ? inner : root, is_there(inner) ? "image_processor" : "", mistakes);
    must_do(&r, "do_rescale");
    must_do(&r, "do_normalize");
    must_do(&r, "do_resize");
    must_do(&r, "do_convert_rgb");
    if (is_there(hold_json_get(r.object, "rescale_factor")) && hold_json_opt_f64(&r, "rescale_factor", 0, 1, &factor) &&
        fabs(factor * 255 - 1) > 1e-6)
        hold_json_mistake(&r, "rescale_factor", "%g is not supported, only 1/255", factor);
    if (is_there(hold_json_get(r.object, "resample")) && hold_json_opt_u64(&r, "resample", 0, 10, &resample) && resample != 3)
        hold_json_mistake(&r, "resample", "%u is not supported, only 3 (bicubic)", (unsigned) resample);
    agree(&r, "patch_size", ret->patch);
    agree(&r, "temporal_patch_size", ret->temporal_patch);
    agree(&r, "merge_size", ret->merge);
    triple_read(&r, "image_mean", ret->image_mean);
    triple_read(&r, "image_std", ret->image_std);
    const struct cJSON *limits = hold_json_get(r.object, "size");
    hold_json_read(&size, is_there(limits) ? limits : NULL, "size", mistakes);
    if (size.object) {
        (void) hold_json_need_u64(&size, "shortest_edge", 1, UINT64_C(1) << 40, &ret->min_pixels);
        (void) hold_json_need_u64(&size, "longest_edge", 1, UINT64_C(1) << 40, &ret->max_pixels);
    }
}

/* "line\nline\n" to "line; line" in the error. */
static int mistakes_tell(const char *name, struct hold_buf *mistakes, struct hold_err *err) {
    for (size_t i = 0; i + 1 < mistakes->n; i++)
        if (mistakes->data[i] == '\n')
            mistakes->data[i] = ';';
    return hold_fail(err, HOLD_E_FORMAT, 0, "%s: %.*s", name, (int) (mistakes->n ? mistakes->n - 1 : 0), mistakes->data ? mistakes->data : "");
}

static int parse(const struct hold_text_file *file, struct cJSON **ret_root, struct hold_err *err) {
    const struct hold_json_limits limits = { .max_bytes = MAX_JSON_BYTES, .max_depth = 16, .max_tokens = 65536 };
    return hold_json_parse(file->text, file->n, file->name, limits, ret_root, err);
}

int hold_record_parse(const struct hold_record_files *files, struct hold_record *ret_record, struct hold_err *err) {
    hold_autobuf mistakes = hold_buf_with_max(MAX_MISTAKES_BYTES);
    hold_autojson *config = NULL;
    hold_autojson *generation = NULL;
    hold_autojson *preprocessor = NULL;
    struct hold_record r = {
        .image_token = UINT32_MAX, .image_start = UINT32_MAX, .image_end = UINT32_MAX, .video_token = UINT32_MAX,
        .video_start = UINT32_MAX, .video_end = UINT32_MAX, .pad_token = UINT32_MAX,
        .temperature = NAN, .top_p = NAN, .repetition_penalty = NAN,
        /* the image processor's own defaults, for a folder without its file */
        .min_pixels = 12544, .max_pixels = 9633792,
        .image_mean = { 0.48145466f, 0.4578275f, 0.40821073f },
        .image_std = { 0.26862954f, 0.26130258f, 0.27577711f },
    };
    if (parse(&files->config, &config, err) < 0)
        return -1;
    if (config_read(config, &mistakes, &r) < 0)
        return mistakes_tell(files->config.name, &mistakes, err);
    if (files->generation.text) {
        if (parse(&files->generation, &generation, err) < 0)
            return -1;
        generation_read(generation, &mistakes, &r);
        if (mistakes.n)
            return mistakes_tell(files->generation.name, &mistakes, err);
    }
    if (files->preprocessor.text && r.vision_depth) {
        if (parse(&files->preprocessor, &preprocessor, err) < 0)
            return -1;
        preprocessor_read(preprocessor, &mistakes, &r);
        if (mistakes.n)
            return mistakes_tell(files->preprocessor.name, &mistakes, err);
    }
    if (!r.vision_depth)
        r.min_pixels = r.max_pixels = 0;
    struct hold_record checked = r;
    if (checked.has_qkv_bias == HOLD_RECORD_BIAS_UNSAID)
        checked.has_qkv_bias = 0;
    if (hold_record_check(&checked, err) < 0)
        return hold_wrap(err, "%s", files->config.name);
    *ret_record = r;
    return 0;
}

/* test_prove.c - a whole folder to a plan: the tiny model in all its dialects, and the little model of examples/.
 * Proven: what right folders give, what each damage is called. Not proven: contents of the data area (digests do that). */
#include "tests/unit/test.h"

#include "base/list.h"
#include "runtime/plan/plan.h"
#include "runtime/text/token.h"
#include "runtime/weights/prove.h"
#include "runtime/weights/record.h"
#include "runtime/weights/spec.h"
#include "tests/helpers/golden.h"
#include "tests/helpers/model_folder.h"
#include "tests/helpers/t_model.h"

#include <fcntl.h>
#include <math.h>
#include <sys/mman.h>

static char scratch[] = "/tmp/hold-prove-XXXXXX";

/* Each variant is written once. */
static struct {
    struct t_options options;
    struct model_folder folder;
} made[16];
static size_t n_made;

static void t_make(const struct t_options *o) {
    char path[64], file[512];
    struct model_folder *f = &made[n_made].folder;
    snprintf(path, sizeof path, "%s/t", scratch);
    t_write(o, path);
    assert_true(folder_read(path, f));
    for (size_t i = 0; i < f->n_files; i++) {
        snprintf(file, sizeof file, "%s/%s", path, f->files[i].name);
        unlink(file);
    }
    rmdir(path);
    made[n_made++].options = *o;
}

static void t_folder(const struct t_options *o, struct model_folder *f) {
    size_t i = 0;
    while (i < n_made && memcmp(&made[i].options, o, sizeof *o) != 0)
        i++;
    if (i == n_made)
        t_make(o);
    *f = (struct model_folder) { 0 };
    for (size_t k = 0; k < made[i].folder.n_files; k++)
        folder_put(f, made[i].folder.files[k].name, made[i].folder.files[k].data, made[i].folder.files[k].bytes);
}

static int prove(const struct model_folder *f, bool needs_tokenizer, struct hold_buf *plan, struct hold_buf *warnings, struct hold_err *err) {
    const struct hold_prove_options o = { .needs_tokenizer = needs_tokenizer };
    *plan = hold_buf_with_max(HOLD_PLAN_MAX_BYTES);
    *warnings = hold_buf_with_max(65536);
    return hold_model_prove(f->files, f->n_files, &o, plan, warnings, err);
}

/* The folder must prove; the record is copied out. */
static struct hold_record record_of(const struct model_folder *f) {
    struct hold_err err = { 0 };
    struct hold_plan plan;
    hold_autobuf bytes = { 0 };
    hold_autobuf warnings = { 0 };
    if (prove(f, false, &bytes, &warnings, &err) < 0)
        fail_msg("refused: %s", err.text);
    assert_int_equal(hold_plan_open(bytes.data, bytes.n, &plan, &err), 0);
    return *plan.record;
}

static void refused(const struct model_folder *f, bool needs_tokenizer, enum hold_errc code, const char *words) {
    struct hold_err err = { 0 };
    hold_autobuf bytes = { 0 };
    hold_autobuf warnings = { 0 };
    if (prove(f, needs_tokenizer, &bytes, &warnings, &err) == 0)
        fail_msg("accepted; wanted '%s'", words);
    if (!strstr(err.text, words) || err.code != code)
        fail_msg("code %s, '%s' is not about '%s'", hold_errc_name(err.code), err.text, words);
}

static void three_dialects_give_one_record(void **unused) {
    (void) unused;
    struct hold_record r[3];
    for (int d = 0; d < 3; d++) {
        struct model_folder f;
        t_folder(&(struct t_options) { .dialect = (enum t_dialect) d }, &f);
        r[d] = record_of(&f);
        folder_free(&f);
    }
    assert_memory_equal(&r[0], &r[1], sizeof r[0]);
    assert_memory_equal(&r[0], &r[2], sizeof r[0]);
    assert_int_equal(r[0].hidden, 128);
    assert_int_equal(r[0].n_layers, 3);
    assert_int_equal(r[0].n_kv_heads, 2);
    assert_int_equal(r[0].head_dim, 32);
    assert_int_equal(r[0].rotary_dim, 16);
    assert_int_equal(r[0].mrope_sections[0], 2);
    assert_int_equal(r[0].mrope_sections[2], 3);
    assert_int_equal(r[0].vocab, T_VOCAB);
    assert_int_equal(r[0].vision_mlp, 128);
    assert_int_equal(r[0].merger_mlp, 224);
    assert_int_equal(r[0].position_rows, 4);
    assert_int_equal(r[0].n_eos, 4);
    assert_int_equal(r[0].eos[3], t_id("</answer>"));
    assert_int_equal(r[0].image_token, t_id("<|image|>"));
    assert_int_equal(r[0].min_pixels, 12544);
    assert_int_equal(r[0].max_pixels, 9633792);
    assert_int_equal(r[0].top_k, 2);
    assert_true(r[0].rope_theta == 10000 && r[0].rms_eps == 1e-5 && r[0].has_qkv_bias == 1 && !r[0].is_tied);
    assert_true(fabsf(r[0].temperature - 0.8f) < 1e-7f && isnan(r[0].repetition_penalty));
}

static void other_theta_and_an_integer_eos_are_read(void **unused) {
    (void) unused;
    struct model_folder f;
    t_folder(&(struct t_options) { .dialect = T_ROPE }, &f);
    folder_edit(&f, "config.json", "\"rope_theta\": 10000.0", "\"rope_theta\": 500000");
    folder_edit(&f, "config.json", "\"eos_token_id\": [978, 985, 987, 997]", "\"eos_token_id\": 7");
    folder_drop(&f, "generation_config.json");
    struct hold_record r = record_of(&f);
    assert_true(r.rope_theta == 500000);
    assert_int_equal(r.n_eos, 1);
    assert_int_equal(r.eos[0], 7);
    assert_true(isnan(r.temperature) && r.top_k == 0);
    folder_free(&f);
}

static void every_tensor_is_found_where_it_lies(void **unused) {
    (void) unused;
    static struct t_list l;
    const struct t_options o = { .dialect = T_ROPE };
    struct model_folder f;
    struct hold_err err = { 0 };
    struct hold_plan plan;
    hold_autobuf bytes = { 0 };
    hold_autobuf warnings = { 0 };
    t_folder(&o, &f);
    t_tensors(&o, &l);
    assert_int_equal(prove(&f, false, &bytes, &warnings, &err), 0);
    assert_int_equal(hold_plan_open(bytes.data, bytes.n, &plan, &err), 0);
    assert_int_equal(plan.n_tensors, 69);
    assert_int_equal(plan.n_files, 3);
    uint64_t elements = 0;
    for (size_t i = 0; i < plan.n_tensors; i++) {
        const struct hold_plan_tensor *t = &plan.tensors[i];
        const struct hold_plan_file file = hold_plan_file_at(&plan, t->file);
        const char *data = folder_find(&f, file.name)->data;
        bool is_known = false;
        assert_ptr_equal(hold_plan_find(&plan, t->role, t->layer), t);
        elements += t->bytes / 2;
        /* by value: exactly one tensor of the generator has these first and last elements */
        for (int k = 0; k < l.n; k++) {
            uint16_t first, last;
            const uint64_t seed = t_fnv(l.t[k].name);
            memcpy(&first, data + t->offset, 2);
            memcpy(&last, data + t->offset + t->bytes - 2, 2);
            if (l.t[k].elements * 2 == t->bytes && first == t_bf16(t_value(&l.t[k], seed, 0)) &&
                last == t_bf16(t_value(&l.t[k], seed, l.t[k].elements - 1)) && strstr(l.t[k].name, hold_role_name(t->role)))
                is_known = true;
        }
        if (!is_known)
            fail_msg("%s of layer %u is not where the plan says", hold_role_name(t->role), t->layer);
    }
    assert_int_equal(elements, 910288);
    folder_free(&f);
}

static void weight_generator_gives_the_check_values(void **unused) {
    (void) unused;
    static const struct {
        const char *name;
        uint64_t hash;
        float first[4];
    } checks[] = {
        { "lm_head.weight", UINT64_C(0xab67eb515e1b6f0d), { 0.1513671875f, 0.1484375f, -0.140625f, -0.023681640625f } },
        { "model.language_model.layers.0.self_attn.q_proj.weight", UINT64_C(0xa744054b4f4168c9),
          { 0.11474609375f, 0.01373291015625f, -0.026123046875f, -0.1396484375f } },
        { "model.visual.downsample.weight", UINT64_C(0x6a3575a502a9296a), { -0.0849609375f, 0.05810546875f, -0.0986328125f, -0.0303955078125f } },
    };
    static struct t_list l;
    t_tensors(&(struct t_options) { 0 }, &l);
    for (size_t c = 0; c < HOLD_COUNT_OF(checks); c++) {
        assert_true(t_fnv(checks[c].name) == checks[c].hash);
        for (int k = 0; k < l.n; k++)
            for (uint64_t e = 0; e < 4 && strcmp(l.t[k].name, checks[c].name) == 0; e++) {
                const uint32_t bits = (uint32_t) t_bf16(t_value(&l.t[k], checks[c].hash, e)) << 16;
                assert_memory_equal(&bits, &checks[c].first[e], 4);
            }
    }
}

static void variants_of_the_folder_prove(void **unused) {
    (void) unused;
    static const struct t_options variants[] = {
        { .old_names = true }, { .single = true }, { .dtype = T_F32 }, { .dtype = T_F16, .single = true }, { .kv_heads = 1 },
        { .text_only = true }, { .text_only = true, .dialect = T_FLAT },
    };
    for (size_t i = 0; i < HOLD_COUNT_OF(variants); i++) {
        struct model_folder f;
        t_folder(&variants[i], &f);
        struct hold_record r = record_of(&f);
        assert_int_equal(r.vision_depth, variants[i].text_only ? 0 : 2);
        assert_int_equal(r.mrope_sections[0], variants[i].text_only ? 0 : 2);
        folder_free(&f);
    }
}

static void bias_is_decided_by_the_tensors_when_unsaid(void **unused) {
    (void) unused;
    struct model_folder f;
    t_folder(&(struct t_options) { .dialect = T_NESTED }, &f);
    folder_edit(&f, "config.json", "\"attention_bias\": true, ", "");
    assert_int_equal(record_of(&f).has_qkv_bias, 1);
    folder_free(&f);
    t_folder(&(struct t_options) { .dialect = T_NESTED }, &f);
    /* the published class with a tower has biases whatever the key says; only the text-only one follows it */
    folder_edit(&f, "config.json", "\"attention_bias\": true, ", "\"attention_bias\": false, ");
    assert_int_equal(record_of(&f).has_qkv_bias, 1);
    folder_free(&f);
    t_folder(&(struct t_options) { .text_only = true }, &f);
    folder_edit(&f, "config.json", "\"attention_bias\": true, ", "\"attention_bias\": false, ");
    refused(&f, false, HOLD_E_FORMAT, "extra: model.layers.0.self_attn.k_proj.bias");
    folder_free(&f);
}

static void each_wrong_config_is_refused_by_name(void **unused) {
    (void) unused;
    static const struct {
        const char *from, *to, *words;
    } wrong[] = {
        { ", \"partial_rotary_factor\": 0.5", "", "partial_rotary_factor: is missing everywhere" },
        { "\"rope_theta\": 10000.0, ", "", "rope_theta: is missing everywhere" },
        { "\"model_type\": \"glm4v\"", "\"model_type\": \"glm\"", "'glm' (two norms" },
        { "\"model_type\": \"glm4v\"", "\"model_type\": \"llama\"", "'llama' is not supported" },
        { "Glm4vForConditionalGeneration", "Glm4vMoeForConditionalGeneration", "Glm4vMoeForConditionalGeneration" },
        { "\"rope_type\": \"default\"", "\"rope_type\": \"yarn\"", "'yarn' is not supported" },
        { "[2, 3, 3]", "[2, 3, 4]", "mrope_section [2, 3, 4]" },
        { "[2, 3, 3]", "[2, 6]", "three whole numbers" },
        { "\"hidden_size\": 128", "\"hidden_size\": 0", "hidden_size: 0" },
        { "\"hidden_size\": 128", "\"hidden_size\": \"128\"", "hidden_size: a string" },
        { "\"hidden_size\": 128, ", "", "hidden_size: is missing" },
        { "\"num_key_value_heads\": 2", "\"num_key_value_heads\": 3", "do not divide" },
        { "\"num_hidden_layers\": 3", "\"num_hidden_layers\": 4", "missing: model.language_model.layers.3.input_layernorm.weight" },
        { "\"num_hidden_layers\": 3", "\"num_hidden_layers\": 2", "extra: model.language_model.layers.2" },
        { "\"intermediate_size\": 224, \"num", "\"intermediate_size\": 226, \"num", "has shape [448, 128], needed is [452, 128]" },
        { "\"hidden_act\": \"silu\", \"hidden", "\"hidden_act\": \"gelu\", \"hidden", "'gelu' is not supported" },
        { "\"tie_word_embeddings\": false", "\"tie_word_embeddings\": true", "extra: lm_head.weight" },
        { "\"tie_word_embeddings\": false", "\"quantization_config\": {\"quant_method\": \"awq\"}", "quantization_config" },
        { "\"out_hidden_size\": 128", "\"out_hidden_size\": 64", "vision_out" },
        { "\"eos_token_id\": [978,", "\"eos_token_id\": [9999,", "eos_token_id 9999 is outside" },
        { "\"image_token_id\": 992, ", "", "image_token_id: is missing" },
        { "\"rms_norm_eps\": 1e-05, ", "", "rms_norm_eps: is missing" },
        { "\"vision_config\"", "\"version_config\"", "vision_config: is missing" },
        { "{\"architectures\"", "{\"architectures\": [], \"architectures\"", "occurs twice" },
    };
    for (size_t i = 0; i < HOLD_COUNT_OF(wrong); i++) {
        struct model_folder f;
        t_folder(&(struct t_options) { .dialect = T_ROPE }, &f);
        folder_edit(&f, "config.json", wrong[i].from, wrong[i].to);
        refused(&f, false, HOLD_E_FORMAT, wrong[i].words);
        folder_free(&f);
    }
}

static void each_wrong_preprocessor_is_refused_by_name(void **unused) {
    (void) unused;
    static const struct {
        const char *from, *to, *words;
    } wrong[] = {
        { "\"patch_size\": 14", "\"patch_size\": 16", "patch_size: 16, config.json says 14" },
        { "\"do_rescale\": true", "\"do_rescale\": false", "do_rescale: false" },
        { "\"do_rescale\": true", "\"resample\": 2", "only 3 (bicubic)" },
        { "\"do_rescale\": true", "\"rescale_factor\": 0.5", "only 1/255" },
        { "0.48145466, ", "", "image_mean: three numbers" },
        { "\"shortest_edge\": 12544, ", "", "shortest_edge: is missing" },
        { "\"longest_edge\": 9633792", "\"longest_edge\": 100", "max_pixels" },
    };
    for (size_t i = 0; i < HOLD_COUNT_OF(wrong); i++) {
        struct model_folder f;
        t_folder(&(struct t_options) { .dialect = T_ROPE }, &f);
        folder_edit(&f, "preprocessor_config.json", wrong[i].from, wrong[i].to);
        refused(&f, false, HOLD_E_FORMAT, wrong[i].words);
        folder_free(&f);
    }
}

static void a_newer_processor_file_is_read_too(void **unused) {
    (void) unused;
    static const char text[] = "{\"processor_class\": \"Glm4vProcessor\", \"image_processor\": {\"size\": {\"shortest_edge\": 3136, \"longest_edge\": 50000},"
                               "\"image_mean\": [0, 0, 0], \"image_std\": [1, 1, 1], \"do_convert_rgb\": true, \"resample\": 3, \"rescale_factor\": 0.00392156862745098}}";
    struct model_folder f;
    t_folder(&(struct t_options) { .dialect = T_ROPE }, &f);
    folder_drop(&f, "preprocessor_config.json");
    assert_int_equal(record_of(&f).max_pixels, 9633792); /* none: the family's own */
    folder_put(&f, "processor_config.json", text, strlen(text));
    const struct hold_record r = record_of(&f);
    assert_int_equal(r.min_pixels, 3136);
    assert_int_equal(r.max_pixels, 50000);
    assert_true(r.image_std[2] == 1 && r.image_mean[0] == 0);
    folder_free(&f);
}

static void missing_and_foreign_files_are_named(void **unused) {
    (void) unused;
    struct model_folder f;
    t_folder(&(struct t_options) { .tiny_tokenizer = true }, &f);
    refused(&(struct model_folder) { 0 }, true, HOLD_E_MISSING, "config.json");
    folder_drop(&f, "model-00002-of-00003.safetensors");
    refused(&f, true, HOLD_E_MISSING, "model-00002-of-00003.safetensors");
    folder_drop(&f, "model.safetensors.index.json");
    refused(&f, true, HOLD_E_MISSING, "neither");
    folder_put(&f, "pytorch_model.bin", "PK\x03\x04", 4);
    refused(&f, true, HOLD_E_FORMAT, "pytorch_model.bin: cut short");
    size_t n;
    unsigned char *torch = golden_read("torch/good/state_dict.pth", &n);
    folder_put(&f, "pytorch_model.bin", torch, n);
    refused(&f, true, HOLD_E_FORMAT, "pytorch_model.bin is a sound PyTorch checkpoint of 4 tensors, but holdfast-runtime reads safetensors");
    free(torch);
    folder_free(&f);
    t_folder(&(struct t_options) { 0 }, &f);
    refused(&f, true, HOLD_E_MISSING, "tokenizer.json");
    folder_free(&f);
}

static void index_and_shards_must_agree(void **unused) {
    (void) unused;
    struct model_folder f;
    t_folder(&(struct t_options) { 0 }, &f);
    folder_edit(&f, "model.safetensors.index.json", "\"lm_head.weight\": \"model-00003", "\"lm_head.weight\": \"model-00001");
    refused(&f, false, HOLD_E_FORMAT, "the index says that lm_head.weight is in model-00001-of-00003.safetensors, but it is not");
    folder_free(&f);
    t_folder(&(struct t_options) { 0 }, &f);
    folder_edit(&f, "model.safetensors.index.json", "\"lm_head.weight\"", "\"lm_head.weighs\"");
    refused(&f, false, HOLD_E_FORMAT, "lm_head.weighs");
    folder_free(&f);
    t_folder(&(struct t_options) { 0 }, &f);
    folder_edit(&f, "model.safetensors.index.json", "\"lm_head.weight\": \"model-00003", "\"lm_head.weight\": \"../model-00003");
    refused(&f, false, HOLD_E_FORMAT, "safe relative name");
    folder_free(&f);
}

static void an_unknown_template_needs_the_option(void **unused) {
    (void) unused;
    struct model_folder f;
    struct hold_err err = { 0 };
    hold_autobuf plan = { 0 };
    hold_autobuf warnings = { 0 };
    t_folder(&(struct t_options) { .tiny_tokenizer = true }, &f);
    assert_int_equal(prove(&f, true, &plan, &warnings, &err), 0);
    assert_non_null(strstr(warnings.data, "no chat template"));
    folder_put(&f, "chat_template.jinja", "{{ messages }}", 14);
    refused(&f, true, HOLD_E_FORMAT, "the chat template (14 bytes)");
    const struct hold_prove_options o = { .needs_tokenizer = true, .takes_other_template = true };
    hold_buf_clear(&plan);
    assert_int_equal(hold_model_prove(f.files, f.n_files, &o, &plan, &warnings, &err), 0);
    assert_non_null(strstr(warnings.data, "is not a known one"));
    folder_drop(&f, "chat_template.jinja");
    folder_edit(&f, "tokenizer_config.json", "{", "{\"chat_template\": \"x\", ");
    refused(&f, true, HOLD_E_FORMAT, "the chat template (1 bytes)");
    folder_edit(&f, "tokenizer_config.json", "\"x\"", "[{\"name\": \"tools\", \"template\": \"a\"}, {\"name\": \"default\", \"template\": \"bcd\"}]");
    refused(&f, true, HOLD_E_FORMAT, "the chat template (3 bytes)");
    folder_free(&f);
}

static void token_ids_must_agree_with_the_config(void **unused) {
    (void) unused;
    struct model_folder f;
    t_folder(&(struct t_options) { .tiny_tokenizer = true }, &f);
    folder_edit(&f, "config.json", "\"image_token_id\": 992", "\"image_token_id\": 991");
    refused(&f, true, HOLD_E_FORMAT, "<|image|> has the id 992, config.json says image_token_id is 991");
    folder_free(&f);
    t_folder(&(struct t_options) { .tiny_tokenizer = true }, &f);
    folder_edit(&f, "tokenizer.json", "<|assistant|>", "<|assistanx|>");
    refused(&f, true, HOLD_E_FORMAT, "<|assistant|>");
    folder_free(&f);
}

/* A file that is only a header: the rest is a hole that nobody reads. */
static void sparse_put(struct model_folder *f, void **ret_map, const char *name, const char *header, size_t n_header, uint64_t data_bytes) {
    char path[128];
    const uint64_t length = n_header;
    snprintf(path, sizeof path, "%s/sparse", scratch);
    const int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    unlink(path);
    assert_int_equal(pwrite(fd, &length, 8, 0), 8);
    assert_int_equal(pwrite(fd, header, n_header, 8), n_header);
    assert_int_equal(ftruncate(fd, (off_t) (8 + n_header + data_bytes)), 0);
    *ret_map = mmap(NULL, 8 + n_header + data_bytes, PROT_READ, MAP_PRIVATE, fd, 0);
    assert_ptr_not_equal(*ret_map, MAP_FAILED);
    close(fd);
    f->files[f->n_files++] = (struct hold_model_file) { .name = name, .data = *ret_map, .bytes = 8 + n_header + data_bytes };
}

/* The published configuration with its 704 tensors in four shards: 20.6 GB of which only headers exist. */
static void the_real_models_shapes_prove(void **unused) {
    (void) unused;
    static const char config[] =
        "{\"architectures\":[\"Glm4vForConditionalGeneration\"],\"model_type\":\"glm4v\",\"attention_bias\":true,\"attention_dropout\":0.0,"
        "\"eos_token_id\":[151329,151336,151338,151348],\"pad_token_id\":151329,\"hidden_act\":\"silu\",\"hidden_size\":4096,\"intermediate_size\":13696,"
        "\"num_hidden_layers\":40,\"num_attention_heads\":32,\"num_key_value_heads\":2,\"max_position_embeddings\":65536,\"rms_norm_eps\":1e-05,"
        "\"rope_parameters\":{\"mrope_section\":[8,12,12],\"partial_rotary_factor\":0.5,\"rope_theta\":10000,\"rope_type\":\"default\"},"
        "\"tie_word_embeddings\":false,\"vocab_size\":151552,\"torch_dtype\":\"bfloat16\",\"image_start_token_id\":151339,\"image_end_token_id\":151340,"
        "\"video_start_token_id\":151341,\"video_end_token_id\":151342,\"image_token_id\":151343,\"video_token_id\":151344,"
        "\"vision_config\":{\"depth\":24,\"hidden_size\":1536,\"num_heads\":12,\"in_channels\":3,\"image_size\":336,\"patch_size\":14,\"temporal_patch_size\":2,"
        "\"spatial_merge_size\":2,\"out_hidden_size\":4096,\"intermediate_size\":13696,\"attention_bias\":false,\"hidden_act\":\"silu\",\"rms_norm_eps\":1e-05}}";
    static const char *const names[4] = { "model-00001-of-00004.safetensors", "model-00002-of-00004.safetensors", "model-00003-of-00004.safetensors",
                                          "model-00004-of-00004.safetensors" };
    const struct hold_record_files files = { .config = { "config.json", config, strlen(config) } };
    struct hold_record record;
    struct hold_err err = { 0 };
    hold_autoarena arena = hold_arena_with_max(4 << 20);
    const struct hold_spec_row *rows;
    size_t n_rows;
    if (hold_record_parse(&files, &record, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(hold_spec_for(&record, &arena, &rows, &n_rows, &err), 0);
    assert_int_equal(n_rows, 704);
    hold_autobuf index = hold_buf_with_max(1 << 20);
    struct hold_buf headers[4];
    uint64_t at[4] = { 0 }, total = 0;
    for (int k = 0; k < 4; k++) {
        headers[k] = hold_buf_with_max(1 << 20);
        hold_buf_adds(&headers[k], "{\"__metadata__\":{\"format\":\"pt\"}");
    }
    hold_buf_adds(&index, "{\"weight_map\":{");
    for (size_t i = 0; i < n_rows; i++) {
        char name[HOLD_SPEC_NAME_BYTES];
        uint64_t bytes = 2;
        const bool is_layer = hold_role_is_layered(rows[i].role) && !hold_role_is_vision(rows[i].role);
        const size_t k = is_layer && rows[i].layer < 39 ? rows[i].layer / 13 : 3;
        hold_spec_name(&record, rows[i].role, rows[i].layer, name);
        hold_buf_addf(&headers[k], ",\"%s\":{\"dtype\":\"BF16\",\"shape\":[", name);
        for (uint32_t d = 0; d < rows[i].n_dims; d++) {
            hold_buf_addf(&headers[k], "%s%llu", d ? "," : "", (unsigned long long) rows[i].dims[d]);
            bytes *= rows[i].dims[d];
        }
        hold_buf_addf(&headers[k], "],\"data_offsets\":[%llu,%llu]}", (unsigned long long) at[k], (unsigned long long) (at[k] + bytes));
        hold_buf_addf(&index, "%s\"%s\":\"%s\"", i ? "," : "", name, names[k]);
        at[k] += bytes;
        total += bytes;
    }
    assert_true(total == UINT64_C(20585554944));
    assert_true(at[0] == UINT64_C(5303194624) && at[1] == at[0] && at[2] == at[0] && at[3] == UINT64_C(4675971072));
    hold_buf_addf(&index, "},\"metadata\":{\"total_size\":%llu}}", (unsigned long long) total);

    struct model_folder f = { 0 };
    void *maps[4];
    for (int k = 0; k < 4; k++) {
        hold_buf_addc(&headers[k], '}');
        sparse_put(&f, &maps[k], names[k], headers[k].data, headers[k].n, at[k]);
    }
    f.files[f.n_files++] = (struct hold_model_file) { "config.json", config, strlen(config) };
    f.files[f.n_files++] = (struct hold_model_file) { "model.safetensors.index.json", index.data, index.n };
    hold_autobuf plan = { 0 };
    hold_autobuf warnings = { 0 };
    if (prove(&f, false, &plan, &warnings, &err) < 0)
        fail_msg("%s", err.text);
    assert_true(warnings.n == 0 || !strstr(warnings.data, "total_size"));
    for (int k = 0; k < 4; k++) {
        munmap(maps[k], 8 + headers[k].n + at[k]);
        hold_buf_release(&headers[k]);
    }
}

static void the_little_model_proves_without_a_warning(void **unused) {
    (void) unused;
    struct model_folder f;
    struct hold_err err = { 0 };
    hold_autobuf plan = { 0 };
    hold_autobuf warnings = { 0 };
    if (!folder_read("examples/little-model/checkpoint", &f))
        skip();
    if (prove(&f, true, &plan, &warnings, &err) < 0)
        fail_msg("refused: %s", err.text);
    if (warnings.n)
        fail_msg("warned: %s", warnings.data);
    folder_free(&f);
}

static int scratch_make(void **unused) {
    (void) unused;
    return mkdtemp(scratch) ? 0 : -1;
}

static int scratch_drop(void **unused) {
    (void) unused;
    while (n_made)
        folder_free(&made[--n_made].folder);
    return rmdir(scratch);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_dialects_give_one_record),
        cmocka_unit_test(other_theta_and_an_integer_eos_are_read),
        cmocka_unit_test(every_tensor_is_found_where_it_lies),
        cmocka_unit_test(weight_generator_gives_the_check_values),
        cmocka_unit_test(variants_of_the_folder_prove),
        cmocka_unit_test(bias_is_decided_by_the_tensors_when_unsaid),
        cmocka_unit_test(each_wrong_config_is_refused_by_name),
        cmocka_unit_test(each_wrong_preprocessor_is_refused_by_name),
        cmocka_unit_test(a_newer_processor_file_is_read_too),
        cmocka_unit_test(missing_and_foreign_files_are_named),
        cmocka_unit_test(index_and_shards_must_agree),
        cmocka_unit_test(an_unknown_template_needs_the_option),
        cmocka_unit_test(token_ids_must_agree_with_the_config),
        cmocka_unit_test(the_real_models_shapes_prove),
        cmocka_unit_test(the_little_model_proves_without_a_warning),
    };
    return cmocka_run_group_tests_name("prove", tests, scratch_make, scratch_drop);
}

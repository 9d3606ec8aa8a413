/* t_model.h - writes the tiny deterministic model "T" into a folder: every structural feature of the real one at 910,288
 * parameters. Shared by the make-t program and by unit tests. Its list of tensors is written by hand, apart from the
 * product's (runtime/plan/plan.c), so that each checks the other. Weights come from arithmetic alone:
 *   z = fnv1a64(name) + (i + 1) * 9E3779B97F4A7C15, mixed as splitmix64 does; u = (z >> 40) / 2^23 - 1
 *   bias 0.1 u; other vectors 1 + 0.1 u; embeddings u; other matrices u * sqrt(3 / fan-in); then f32, then the file's dtype. */
#ifndef HOLD_TESTS_HELPERS_T_MODEL_H
#define HOLD_TESTS_HELPERS_T_MODEL_H

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum t_dialect { T_FLAT, T_NESTED, T_ROPE };
enum t_dtype { T_BF16, T_F32, T_F16 };

struct t_options {
    enum t_dialect dialect;
    enum t_dtype dtype;
    bool text_only;      /* glm4: no tower, names without language_model */
    bool old_names;      /* model.layers..., visual...: names before the classes were nested */
    bool tiny_tokenizer; /* tokenizer.json, tokenizer_config.json and chat_template.jinja too */
    bool single;         /* model.safetensors, no index */
    unsigned kv_heads;   /* 0: 2 */
};

#define T_VOCAB 1024
#define T_PAIRS (26 * 26 + 26)
#define T_MERGES (T_PAIRS + 20)
#define T_FIRST_ADDED (256 + T_MERGES)
#define T_MAX_TENSORS 128

static const char *const t_added[] = {
    "<|endoftext|>",      "[MASK]",           "[gMASK]",            "[sMASK]",          "<sop>",       "<eop>",
    "<|system|>",         "<|user|>",         "<|assistant|>",      "<|observation|>",  "<|begin_of_image|>", "<|end_of_image|>",
    "<|begin_of_video|>", "<|end_of_video|>", "<|image|>",          "<|video|>",        "<think>",     "</think>",
    "<answer>",           "</answer>",        "<|begin_of_box|>",   "<|end_of_box|>",
};
#define T_N_ADDED ((int) (sizeof t_added / sizeof *t_added))

struct t_tensor {
    char name[96];
    int n_dims;
    uint64_t dims[5], elements;
    int shard;
};

struct t_list {
    struct t_tensor t[T_MAX_TENSORS];
    int n;
};

__attribute__((unused)) static int t_id(const char *added) {
    for (int i = 0; i < T_N_ADDED; i++)
        if (strcmp(t_added[i], added) == 0)
            return T_FIRST_ADDED + i;
    return -1;
}

static uint64_t t_fnv(const char *name) {
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (; *name; name++)
        h = (h ^ (unsigned char) *name) * UINT64_C(0x100000001b3);
    return h;
}

static double t_unit(uint64_t name, uint64_t i) {
    uint64_t z = name + (i + 1) * UINT64_C(0x9E3779B97F4A7C15);
    z ^= z >> 30;
    z *= UINT64_C(0xBF58476D1CE4E5B9);
    z ^= z >> 27;
    z *= UINT64_C(0x94D049BB133111EB);
    z ^= z >> 31;
    return (double) (z >> 40) / 8388608.0 - 1.0;
}

/* The f32 value of element i, not yet rounded to a shorter type. Names are the canonical ones, whatever the file says. */
static float t_value(const struct t_tensor *t, uint64_t name, uint64_t i) {
    const double u = t_unit(name, i);
    if (strlen(t->name) > 5 && strcmp(t->name + strlen(t->name) - 5, ".bias") == 0)
        return (float) (0.1 * u);
    if (t->n_dims == 1)
        return (float) (1.0 + 0.1 * u);
    if (strstr(t->name, "embed_tokens") || strstr(t->name, "position_embedding"))
        return (float) u;
    return (float) (u * sqrt(3.0 / ((double) t->elements / (double) t->dims[0])));
}

static uint16_t t_bf16(float v) {
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    bits += 0x7fff + ((bits >> 16) & 1);
    return (uint16_t) (bits >> 16);
}

/* Normal half range only: T's values are between 2^-14 and 2 or small enough to become subnormal, rounded to nearest even. */
static uint16_t t_f16(float v) {
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    const uint16_t sign = (uint16_t) (bits >> 16 & 0x8000);
    const double magnitude = fabs((double) v);
    if (magnitude < 6.103515625e-05)
        return (uint16_t) (sign | (uint16_t) nearbyint(magnitude * 16777216.0));
    bits &= 0x7fffffff;
    bits += 0xfff + ((bits >> 13) & 1);
    return (uint16_t) (sign | (uint16_t) ((bits >> 13) - (112u << 10)));
}

__attribute__((format(printf, 3, 4))) static void t_add(struct t_list *l, const uint64_t *dims, const char *format, ...) {
    struct t_tensor *t = &l->t[l->n++];
    va_list args;
    va_start(args, format);
    vsnprintf(t->name, sizeof t->name, format, args);
    va_end(args);
    t->elements = 1;
    for (t->n_dims = 0; t->n_dims < 5 && dims[t->n_dims]; t->n_dims++) {
        t->dims[t->n_dims] = dims[t->n_dims];
        t->elements *= dims[t->n_dims];
    }
}

#define T_DIMS(...) ((const uint64_t[6]) { __VA_ARGS__ })

/* Canonical names in the order of packing: text layers, vision blocks, the rest. */
static void t_tensors(const struct t_options *o, struct t_list *l) {
    const uint64_t kv = 32u * (o->kv_heads ? o->kv_heads : 2);
    l->n = 0;
    for (int i = 0; i < 3; i++) {
        const char *p = "model.language_model.layers";
        t_add(l, T_DIMS(128), "%s.%d.input_layernorm.weight", p, i);
        t_add(l, T_DIMS(128, 128), "%s.%d.self_attn.q_proj.weight", p, i);
        t_add(l, T_DIMS(128), "%s.%d.self_attn.q_proj.bias", p, i);
        t_add(l, T_DIMS(kv, 128), "%s.%d.self_attn.k_proj.weight", p, i);
        t_add(l, T_DIMS(kv), "%s.%d.self_attn.k_proj.bias", p, i);
        t_add(l, T_DIMS(kv, 128), "%s.%d.self_attn.v_proj.weight", p, i);
        t_add(l, T_DIMS(kv), "%s.%d.self_attn.v_proj.bias", p, i);
        t_add(l, T_DIMS(128, 128), "%s.%d.self_attn.o_proj.weight", p, i);
        t_add(l, T_DIMS(128), "%s.%d.post_self_attn_layernorm.weight", p, i);
        t_add(l, T_DIMS(128), "%s.%d.post_attention_layernorm.weight", p, i);
        t_add(l, T_DIMS(448, 128), "%s.%d.mlp.gate_up_proj.weight", p, i);
        t_add(l, T_DIMS(128, 224), "%s.%d.mlp.down_proj.weight", p, i);
        t_add(l, T_DIMS(128), "%s.%d.post_mlp_layernorm.weight", p, i);
    }
    if (!o->text_only) {
        for (int i = 0; i < 2; i++) {
            const char *p = "model.visual.blocks";
            t_add(l, T_DIMS(48), "%s.%d.norm1.weight", p, i);
            t_add(l, T_DIMS(48), "%s.%d.norm2.weight", p, i);
            t_add(l, T_DIMS(144, 48), "%s.%d.attn.qkv.weight", p, i);
            t_add(l, T_DIMS(48, 48), "%s.%d.attn.proj.weight", p, i);
            t_add(l, T_DIMS(128, 48), "%s.%d.mlp.gate_proj.weight", p, i);
            t_add(l, T_DIMS(128, 48), "%s.%d.mlp.up_proj.weight", p, i);
            t_add(l, T_DIMS(48, 128), "%s.%d.mlp.down_proj.weight", p, i);
        }
        t_add(l, T_DIMS(48, 3, 2, 14, 14), "model.visual.patch_embed.proj.weight");
        t_add(l, T_DIMS(48), "model.visual.patch_embed.proj.bias");
        t_add(l, T_DIMS(48), "model.visual.post_conv_layernorm.weight");
        t_add(l, T_DIMS(16, 48), "model.visual.embeddings.position_embedding.weight");
        t_add(l, T_DIMS(48), "model.visual.post_layernorm.weight");
        t_add(l, T_DIMS(128, 48, 2, 2), "model.visual.downsample.weight");
        t_add(l, T_DIMS(128), "model.visual.downsample.bias");
        t_add(l, T_DIMS(128, 128), "model.visual.merger.proj.weight");
        t_add(l, T_DIMS(128), "model.visual.merger.post_projection_norm.weight");
        t_add(l, T_DIMS(128), "model.visual.merger.post_projection_norm.bias");
        t_add(l, T_DIMS(224, 128), "model.visual.merger.gate_proj.weight");
        t_add(l, T_DIMS(224, 128), "model.visual.merger.up_proj.weight");
        t_add(l, T_DIMS(128, 224), "model.visual.merger.down_proj.weight");
    }
    t_add(l, T_DIMS(T_VOCAB, 128), "model.language_model.embed_tokens.weight");
    t_add(l, T_DIMS(128), "model.language_model.norm.weight");
    t_add(l, T_DIMS(T_VOCAB, 128), "lm_head.weight");
}

/* The name a file uses. */
static const char *t_file_name(const struct t_options *o, const char *name, char out[96]) {
    snprintf(out, 96, "%s", name);
    if (o->text_only || o->old_names) {
        if (strncmp(name, "model.language_model.", 21) == 0)
            snprintf(out, 96, "model.%s", name + 21);
        else if (strncmp(name, "model.visual.", 13) == 0)
            snprintf(out, 96, "%s", name + 6);
    }
    return out;
}

static FILE *t_open(const char *folder, const char *name) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "w");
    if (!f) {
        fprintf(stderr, "make-t: open %s: %s\n", path, strerror(errno));
        exit(1);
    }
    return f;
}

static void t_close(FILE *f) {
    if (ferror(f) || fclose(f) != 0) {
        fprintf(stderr, "make-t: write: %s\n", strerror(errno));
        exit(1);
    }
}

static void t_write_shard(const struct t_options *o, const struct t_list *l, int shard, FILE *f) {
    static const char *const dtypes[] = { "BF16", "F32", "F16" };
    const uint64_t width = o->dtype == T_F32 ? 4 : 2;
    static char header[32768];
    char name[96];
    size_t n = (size_t) snprintf(header, sizeof header, "{\"__metadata__\":{\"format\":\"pt\"}");
    uint64_t at = 0;
    for (int i = 0; i < l->n; i++) {
        const struct t_tensor *t = &l->t[i];
        if (t->shard != shard)
            continue;
        n += (size_t) snprintf(header + n, sizeof header - n, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[", t_file_name(o, t->name, name),
                               dtypes[o->dtype]);
        for (int d = 0; d < t->n_dims; d++)
            n += (size_t) snprintf(header + n, sizeof header - n, "%s%llu", d ? "," : "", (unsigned long long) t->dims[d]);
        n += (size_t) snprintf(header + n, sizeof header - n, "],\"data_offsets\":[%llu,%llu]}", (unsigned long long) at,
                               (unsigned long long) (at + t->elements * width));
        at += t->elements * width;
    }
    n += (size_t) snprintf(header + n, sizeof header - n, "}");
    while (n % 8)
        header[n++] = ' ';
    const uint64_t length = n;
    fwrite(&length, 8, 1, f);
    fwrite(header, n, 1, f);
    for (int i = 0; i < l->n; i++) {
        const struct t_tensor *t = &l->t[i];
        if (t->shard != shard)
            continue;
        const uint64_t seed = t_fnv(t->name);
        for (uint64_t e = 0; e < t->elements; e++) {
            const float v = t_value(t, seed, e);
            const uint16_t half = o->dtype == T_F16 ? t_f16(v) : t_bf16(v);
            if (o->dtype == T_F32)
                fwrite(&v, sizeof v, 1, f);
            else
                fwrite(&half, sizeof half, 1, f);
        }
    }
}

static void t_write_weights(const struct t_options *o, const char *folder) {
    static struct t_list l;
    t_tensors(o, &l);
    uint64_t total = 0, here = 0;
    int shards = 1;
    for (int i = 0; i < l.n; i++)
        total += l.t[i].elements;
    for (int i = 0; i < l.n; i++) {
        if (!o->single && here + l.t[i].elements > total / 3 + 16384 && shards < 3) {
            shards++;
            here = 0;
        }
        here += l.t[i].elements;
        l.t[i].shard = shards;
    }
    for (int s = 1; s <= shards; s++) {
        char name[64];
        snprintf(name, sizeof name, o->single ? "model.safetensors" : "model-%05d-of-%05d.safetensors", s, shards);
        FILE *f = t_open(folder, name);
        t_write_shard(o, &l, s, f);
        t_close(f);
    }
    if (o->single)
        return;
    FILE *f = t_open(folder, "model.safetensors.index.json");
    fprintf(f, "{\n  \"metadata\": {\"total_size\": %llu},\n  \"weight_map\": {\n", (unsigned long long) (total * (o->dtype == T_F32 ? 4 : 2)));
    char name[96];
    for (int i = 0; i < l.n; i++)
        fprintf(f, "    \"%s\": \"model-%05d-of-%05d.safetensors\"%s\n", t_file_name(o, l.t[i].name, name), l.t[i].shard, shards,
                i + 1 < l.n ? "," : "");
    fprintf(f, "  }\n}\n");
    t_close(f);
}

static void t_write_config(const struct t_options *o, const char *folder) {
    static const char *const dtypes[] = { "bfloat16", "float32", "float16" };
    FILE *f = t_open(folder, "config.json");
    const unsigned kv = o->kv_heads ? o->kv_heads : 2;
    char text[1024], rope[512], vision[768], tokens[768];
    snprintf(text, sizeof text,
             "\"attention_bias\": true, \"attention_dropout\": 0.0, \"hidden_act\": \"silu\", \"hidden_size\": 128, \"intermediate_size\": 224, "
             "\"num_hidden_layers\": 3, \"num_attention_heads\": 4, \"num_key_value_heads\": %u, \"max_position_embeddings\": 32768, "
             "\"rms_norm_eps\": 1e-05, \"vocab_size\": %d, \"pad_token_id\": %d, \"eos_token_id\": [%d, %d, %d, %d]",
             kv, T_VOCAB, t_id("<|endoftext|>"), t_id("<|endoftext|>"), t_id("<|user|>"), t_id("<|observation|>"), t_id("</answer>"));
    snprintf(tokens, sizeof tokens,
             "\"image_start_token_id\": %d, \"image_end_token_id\": %d, \"video_start_token_id\": %d, \"video_end_token_id\": %d, "
             "\"image_token_id\": %d, \"video_token_id\": %d",
             t_id("<|begin_of_image|>"), t_id("<|end_of_image|>"), t_id("<|begin_of_video|>"), t_id("<|end_of_video|>"),
             t_id("<|image|>"), t_id("<|video|>"));
    snprintf(vision, sizeof vision,
             "\"vision_config\": {\"model_type\": \"glm4v_vision\", \"depth\": 2, \"hidden_size\": 48, \"num_heads\": 3, \"in_channels\": 3, "
             "\"image_size\": 56, \"patch_size\": 14, \"temporal_patch_size\": 2, \"spatial_merge_size\": 2, \"out_hidden_size\": 128, "
             "\"intermediate_size\": 224, \"attention_bias\": false, \"hidden_act\": \"silu\", \"rms_norm_eps\": 1e-05}");
    const char *sections = o->text_only ? "" : ", \"mrope_section\": [2, 3, 3]";
    if (o->dialect == T_ROPE)
        snprintf(rope, sizeof rope, "\"rope_parameters\": {\"rope_type\": \"default\", \"rope_theta\": 10000.0, \"partial_rotary_factor\": 0.5%s}", sections);
    else
        snprintf(rope, sizeof rope, "\"rope_theta\": 10000.0, \"partial_rotary_factor\": 0.5, \"rope_scaling\": {\"type\": \"default\", \"rope_type\": \"default\"%s}", sections);
    const char *dtype_key = o->dialect == T_ROPE ? "dtype" : "torch_dtype";
    if (o->text_only)
        fprintf(f, "{\"architectures\": [\"Glm4ForCausalLM\"], \"model_type\": \"glm4\", \"head_dim\": 32, %s, %s, \"tie_word_embeddings\": false, \"%s\": \"%s\"}\n",
                text, rope, dtype_key, dtypes[o->dtype]);
    else if (o->dialect == T_FLAT)
        fprintf(f, "{\"architectures\": [\"Glm4vForConditionalGeneration\"], \"model_type\": \"glm4v\", %s, %s, %s, \"tie_word_embeddings\": false, \"%s\": \"%s\", %s}\n",
                text, rope, tokens, dtype_key, dtypes[o->dtype], vision);
    else
        fprintf(f, "{\"architectures\": [\"Glm4vForConditionalGeneration\"], \"model_type\": \"glm4v\", \"text_config\": {\"model_type\": \"glm4v_text\", %s, %s}, %s, "
                   "\"tie_word_embeddings\": false, \"%s\": \"%s\", %s}\n",
                text, rope, tokens, dtype_key, dtypes[o->dtype], vision);
    t_close(f);

    f = t_open(folder, "generation_config.json");
    fprintf(f, "{\"do_sample\": true, \"eos_token_id\": [%d, %d, %d, %d], \"pad_token_id\": %d, \"temperature\": 0.8, \"top_p\": 0.6, \"top_k\": 2}\n",
            t_id("<|endoftext|>"), t_id("<|user|>"), t_id("<|observation|>"), t_id("</answer>"), t_id("<|endoftext|>"));
    t_close(f);
    if (o->text_only)
        return;
    f = t_open(folder, "preprocessor_config.json");
    fprintf(f, "{\"size\": {\"shortest_edge\": 12544, \"longest_edge\": 9633792}, \"do_rescale\": true, \"patch_size\": 14, \"temporal_patch_size\": 2, "
               "\"merge_size\": 2, \"image_mean\": [0.48145466, 0.4578275, 0.40821073], \"image_std\": [0.26862954, 0.26130258, 0.27577711], "
               "\"image_processor_type\": \"Glm4vImageProcessor\", \"processor_class\": \"Glm4vProcessor\"}\n");
    t_close(f);
}

/* The letter that stands for a byte in tokenizer.json, as JSON text. */
static void t_letter(int byte, char out[16]) {
    int next = 256, code = byte;
    const bool prints = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    if (!prints)
        for (int b = 0; b <= byte; b++)
            if (!((b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174))
                code = next++;
    if (code == '"' || code == '\\')
        snprintf(out, 16, "\\%c", code);
    else if (code < 128)
        snprintf(out, 16, "%c", code);
    else
        snprintf(out, 16, "\\u%04x", code);
}

/* The k-th merge in order of rank: letter pairs and " " + letter, shuffled by a hash so that rank and alphabet disagree;
 * then twenty that need earlier ones. */
static void t_merge(int rank, char left[16], char right[16]) {
    static const char *const longer[T_MERGES - T_PAIRS][2] = {
        { "fi", "ni" },   { "fini", "sh" },  { "el", "em" }, { "en", "t" },  { "elem", "ent" }, { "ac", "ti" },       { "acti", "on" },
        { "me", "ss" },   { "ag", "e" },     { "mess", "age" }, { "he", "ll" }, { "hell", "o" },   { "ta", "p" },        { "sw", "ip" },
        { "swip", "e" },  { "\\u0120t", "he" }, { "!", "!" },   { "!!", "!!" }, { "=", "[" },      { "\\\"", "," },
    };
    static int order[T_PAIRS];
    static bool made;
    if (rank >= T_PAIRS) {
        snprintf(left, 16, "%s", longer[rank - T_PAIRS][0]);
        snprintf(right, 16, "%s", longer[rank - T_PAIRS][1]);
        return;
    }
    if (!made) {
        for (int i = 0; i < T_PAIRS; i++)
            order[i] = i;
        for (int i = T_PAIRS - 1; i > 0; i--) {
            char key[32];
            snprintf(key, sizeof key, "merge %d", i);
            const int j = (int) (t_fnv(key) % (uint64_t) (i + 1)), swap = order[i];
            order[i] = order[j];
            order[j] = swap;
        }
        made = true;
    }
    const int m = order[rank];
    if (m < 26 * 26) {
        t_letter('a' + m / 26, left);
        t_letter('a' + m % 26, right);
    } else {
        t_letter(' ', left);
        t_letter('a' + m - 26 * 26, right);
    }
}

static void t_write_tokenizer(const char *folder) {
    FILE *f = t_open(folder, "tokenizer.json");
    char a[16], b[16];
    fprintf(f, "{\n\"version\": \"1.0\", \"truncation\": null, \"padding\": null,\n\"added_tokens\": [\n");
    for (int i = 0; i < T_N_ADDED; i++)
        fprintf(f, "{\"id\": %d, \"content\": \"%s\", \"single_word\": false, \"lstrip\": false, \"rstrip\": false, \"normalized\": false, \"special\": %s}%s\n",
                T_FIRST_ADDED + i, t_added[i], i < 16 ? "true" : "false", i + 1 < T_N_ADDED ? "," : "");
    fprintf(f, "],\n\"normalizer\": null,\n\"pre_tokenizer\": {\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Split\", \"pattern\": {\"Regex\": "
               "\"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}{1,3}| ?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+\"}, "
               "\"behavior\": \"Isolated\", \"invert\": false}, {\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": true, \"use_regex\": false}]},\n"
               "\"post_processor\": {\"type\": \"ByteLevel\", \"add_prefix_space\": true, \"trim_offsets\": false, \"use_regex\": true},\n"
               "\"decoder\": {\"type\": \"ByteLevel\", \"add_prefix_space\": true, \"trim_offsets\": true, \"use_regex\": true},\n"
               "\"model\": {\"type\": \"BPE\", \"dropout\": null, \"unk_token\": null, \"continuing_subword_prefix\": null, \"end_of_word_suffix\": null, "
               "\"fuse_unk\": false, \"byte_fallback\": false, \"ignore_merges\": false,\n\"vocab\": {\n");
    int id = 0;
    for (int round = 0; round < 2; round++) /* printing bytes first, so that id 0 is '!' */
        for (int byte = 0; byte < 256; byte++) {
            const bool prints = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
            if (prints == (round == 0)) {
                t_letter(byte, a);
                fprintf(f, "\"%s\": %d,\n", a, id++);
            }
        }
    for (int m = 0; m < T_MERGES; m++) {
        t_merge(m, a, b);
        fprintf(f, "\"%s%s\": %d%s\n", a, b, id++, m + 1 < T_MERGES ? "," : "");
    }
    fprintf(f, "},\n\"merges\": [\n");
    for (int m = 0; m < T_MERGES; m++) {
        t_merge(m, a, b);
        fprintf(f, "\"%s %s\"%s\n", a, b, m + 1 < T_MERGES ? "," : "");
    }
    fprintf(f, "]}\n}\n");
    t_close(f);
    f = t_open(folder, "tokenizer_config.json");
    fprintf(f, "{\"tokenizer_class\": \"PreTrainedTokenizerFast\", \"eos_token\": \"<|endoftext|>\", \"pad_token\": \"<|endoftext|>\"}\n");
    t_close(f);
}

/* folder is made when it is not there. Ends the program with a sentence when a file cannot be written. */
__attribute__((unused)) static void t_write(const struct t_options *o, const char *folder) {
    if (mkdir(folder, 0777) < 0 && errno != EEXIST) {
        fprintf(stderr, "make-t: make folder %s: %s\n", folder, strerror(errno));
        exit(1);
    }
    t_write_config(o, folder);
    t_write_weights(o, folder);
    if (o->tiny_tokenizer)
        t_write_tokenizer(folder);
}

#endif

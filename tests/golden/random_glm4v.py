#!/usr/bin/env python3
"""random_glm4v.py RUNTIME FIRST_SEED N - random model shapes, made and saved by the published library's own Glm4v classes,
through `holdfast-runtime eval` and through the library, in f32 against float64. Needs torch, transformers, pillow.

A seed decides everything: widths that nothing divides, one kv head, tied embeddings, other tables and patches, prompts with up to three
pictures. Prints one TAP line a seed; the first error of a failing seed stands behind it."""
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("TQDM_DISABLE", "1")
import numpy as np
import torch
from PIL import Image
from transformers import Glm4Config, Glm4ForCausalLM, Glm4vConfig, Glm4vForConditionalGeneration
from transformers.models.glm4v.image_processing_pil_glm4v import Glm4vImageProcessorPil


def make_config(r):
    kv = r.choice([1, 1, 2, 3])
    heads = kv * r.choice([1, 2, 3, 4])
    head_dim = r.choice([16, 20, 24, 32, 40, 64, 80, 128])
    partial = r.choice([0.5, 0.5, 0.25, 1.0])
    half = int(head_dim * partial) // 2
    a = r.randint(1, half - 2) if half > 3 else 1
    b = r.randint(1, half - a - 1) if half - a > 1 else 0
    sections = [a, b, half - a - b]
    hidden = heads * head_dim  # the library's attention knows no other head_dim
    vision_heads = r.choice([1, 2, 3, 5])
    vision_dim = r.choice([8, 12, 16, 20, 24, 40, 64, 80])
    merge = r.choice([2, 2, 2, 1, 3])
    vocab = r.randint(150, 700)
    patch = r.choice([14, 14, 14, 7, 10])
    side = r.randint(2, 9)
    ids = dict(image_token_id=vocab - 1, video_token_id=vocab - 2, image_start_token_id=vocab - 3, image_end_token_id=vocab - 4,
               video_start_token_id=vocab - 5, video_end_token_id=vocab - 6)
    text = dict(vocab_size=vocab, hidden_size=hidden, intermediate_size=r.choice([17, 48, 100, 224, 301]), num_hidden_layers=r.randint(1, 4),
                num_attention_heads=heads, num_key_value_heads=kv, max_position_embeddings=8192,
                rms_norm_eps=r.choice([1e-5, 1e-6]), attention_bias=r.random() < 0.8, pad_token_id=None,
                rope_parameters=dict(rope_type="default", rope_theta=r.choice([10000.0, 500000.0]), partial_rotary_factor=partial,
                                     mrope_section=sections))
    vision = dict(depth=r.randint(1, 3), hidden_size=vision_heads * vision_dim, num_heads=vision_heads, in_channels=3, image_size=patch * side,
                  patch_size=patch, temporal_patch_size=2, spatial_merge_size=merge, out_hidden_size=hidden,
                  intermediate_size=r.choice([33, 64, 120, 224]), rms_norm_eps=1e-5, hidden_act="silu", attention_bias=False)
    tied = r.random() < 0.25
    # the library takes tie_word_embeddings from either level; both are written
    return Glm4vConfig(text_config=dict(text, tie_word_embeddings=tied), vision_config=vision, tie_word_embeddings=tied, **ids), patch, merge


def make_text_config(r):
    """The text-only sibling, whose head_dim stands on its own."""
    kv, head_dim, vocab = r.choice([1, 2, 3]), r.choice([16, 24, 32, 40, 80]), r.randint(150, 700)
    return Glm4Config(vocab_size=vocab, hidden_size=r.choice([24, 50, 64, 130, 200]), intermediate_size=r.choice([17, 100, 301]),
                      num_hidden_layers=r.randint(1, 4), num_attention_heads=kv * r.randint(1, 4), num_key_value_heads=kv, head_dim=head_dim,
                      attention_bias=r.random() < 0.5, tie_word_embeddings=r.random() < 0.3, pad_token_id=None, eos_token_id=[vocab - 1],
                      rope_parameters=dict(rope_type="default", rope_theta=r.choice([10000.0, 500000.0]), partial_rotary_factor=r.choice([0.5, 1.0])))


def make_model(config, r):
    torch.manual_seed(r.randrange(1 << 30))
    model = (Glm4ForCausalLM if isinstance(config, Glm4Config) else Glm4vForConditionalGeneration)(config).eval()
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.ndim == 1:
                p.copy_(0.1 * torch.randn_like(p) + (0 if name.endswith("bias") else 1))
            elif "embed" in name:
                p.copy_(torch.randn_like(p))
            else:
                p.copy_(torch.randn_like(p) * (p.numel() / p.shape[0]) ** -0.5)
    model.tie_weights()
    return model


def run(runtime, folder, short, images, dtype):
    args = [word for path in images for word in ("--image", path)]
    ran = subprocess.run([runtime, "eval", "--model", folder, "--ids", ",".join(map(str, short)), "--dtype", dtype, "--backend",
                          os.environ.get("HOLD_BACKEND", "cpu"), *args], capture_output=True, text=True)
    return json.loads(ran.stdout) if ran.returncode == 0 else ran.stderr.strip()


def compare(runtime, folder, short, images, expected, delta):
    for dtype in ("f32", "bf16"):
        got = run(runtime, folder, short, images, dtype)
        if isinstance(got, str):
            return f"{dtype}: {got}"
        logits = np.array(got["logits"])
        worst, scale = np.abs(logits - expected).max(), np.sqrt((expected ** 2).mean())
        cosine = float((logits * expected).sum() / np.sqrt((logits ** 2).sum() * (expected ** 2).sum()))
        if got["delta"] != delta:
            return f"{dtype}: delta {got['delta']}, expected {delta}"
        if dtype == "f32" and not (worst <= 1e-4 * max(scale, 1) and cosine > 0.999999):
            return f"f32: worst logit off by {worst:.3g} (scale {scale:.3g}), cosine {cosine:.8f}"
        if dtype == "bf16" and not cosine > 0.99:
            return f"bf16: worst logit off by {worst:.3g} (scale {scale:.3g}), cosine {cosine:.6f}"
    return None


def one(runtime, seed, folder):
    r = random.Random(seed)
    is_text = r.random() < 0.15
    config, patch, merge = (make_text_config(r), 14, 2) if is_text else make_config(r)
    make_model(config, r).to(r.choice([torch.bfloat16, torch.bfloat16, torch.float32])).save_pretrained(
        folder, max_shard_size=r.choice(["50GB", "300KB"]))
    vocab = config.vocab_size if is_text else config.text_config.vocab_size
    n_images = 0 if is_text else r.choice([0, 1, 1, 2, 3])
    words = [[r.randrange(vocab - 6) for _ in range(r.choice([1, 2, 5, 12, 70, 600]))] for _ in range(n_images + 1)]
    # cast by loading, not by .to(): that would cast the rotation tables too
    model = (Glm4ForCausalLM if is_text else Glm4vForConditionalGeneration).from_pretrained(
        folder, dtype=torch.float64, attn_implementation="eager").eval()
    inputs, images, expanded, short = {}, [], list(words[0]), list(words[0])
    if not is_text:
        step = 2 * (patch * merge) ** 2
        processor = Glm4vImageProcessorPil(patch_size=patch, temporal_patch_size=2, merge_size=merge,
                                           size=dict(shortest_edge=step * r.randint(1, 3), longest_edge=step * r.randint(20, 40)))
        processor.save_pretrained(folder)
    pixels, grids = [], []
    for i in range(n_images):
        data = np.random.default_rng(seed * 7 + i).integers(0, 256, (r.randint(10, 90), r.randint(10, 90), 3), dtype=np.uint8)
        image = Image.fromarray(data).resize((r.randint(20, 140), r.randint(20, 140)))
        images.append(f"{folder}/image{i}.png")
        image.save(images[-1])
        out = processor(images=[image], return_tensors="pt")
        pixels.append(out["pixel_values"])
        grids.append(out["image_grid_thw"])
        expanded += [config.image_token_id] * (int(grids[-1][0].prod()) // merge ** 2) + words[i + 1]
        short += [config.image_token_id] + words[i + 1]
    ids = torch.tensor([expanded])
    inputs.update(input_ids=ids, attention_mask=torch.ones_like(ids))
    if n_images:
        inputs.update(pixel_values=torch.cat(pixels).to(torch.float64), image_grid_thw=torch.cat(grids),
                      mm_token_type_ids=(ids == config.image_token_id).long())
    with torch.no_grad():
        expected = model(**inputs).logits[0, -1].numpy()
    delta = int(model.model.rope_deltas.flatten()[0]) if n_images else 0
    return compare(runtime, folder, short, images, expected, delta)


def main():
    runtime, first, n = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    torch.set_num_threads(1)
    failed = 0
    for seed in range(first, first + n):
        folder = tempfile.mkdtemp(prefix="hold-random-")
        try:
            wrong = one(runtime, seed, folder)
        except Exception as e:  # a shape that the library itself cannot run is no verdict about us
            wrong = None
            print(f"ok {seed} # skip the library: {type(e).__name__}: {str(e)[:200]}", flush=True)
            continue
        finally:
            shutil.rmtree(folder)
        failed += wrong is not None
        print(f"{'not ok' if wrong else 'ok'} {seed}{' - ' + wrong if wrong else ''}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

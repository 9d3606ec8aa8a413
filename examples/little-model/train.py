#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Trains the little model with the Glm4v classes of the transformers library and saves it with save_pretrained.

    train.py --out checkpoint --work DIR [--steps N] [--resume] [--seed S]

checkpoint must already hold the tokenizer (tokenizer.py train checkpoint). DIR takes the picture cache and the
optimiser state; it is not part of the result. Every step draws new dialogues from the generator; pictures come from
a seeded pool drawn once. The loss covers the answer only.
"""

import argparse
import json
import math
import os
import random
import time
from multiprocessing import Pool

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")   # two threads that spin waste most of a shared machine

import torch
from transformers import AutoTokenizer, GenerationConfig
from transformers.models.glm4v.configuration_glm4v import Glm4vConfig
from transformers.models.glm4v.image_processing_pil_glm4v import Glm4vImageProcessorPil
from transformers.models.glm4v.modeling_glm4v import Glm4vForConditionalGeneration

import generate
import tokenizer as tokens

MEAN, STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]


def make_processor():
    """The real image processor. The largest picture is 36 rows of the text: 1080 x 2400 becomes 112 x 224 (32 rows)."""
    return Glm4vImageProcessorPil(size={"shortest_edge": 12544, "longest_edge": 2 * 36 * 28 * 28}, patch_size=14,
                                  temporal_patch_size=2, merge_size=2, image_mean=MEAN, image_std=STD, do_rescale=True)


def make_config(tok):
    special = {name: tok.convert_tokens_to_ids(f"<|{name}|>") for name in
               ("begin_of_image", "end_of_image", "begin_of_video", "end_of_video", "image", "video", "endoftext")}
    eos = [tok.convert_tokens_to_ids(t) for t in tokens.EOS]
    text = dict(vocab_size=tokens.ROWS, hidden_size=192, intermediate_size=512, num_hidden_layers=4, num_attention_heads=6,
                num_key_value_heads=2, head_dim=32, attention_bias=True, hidden_act="silu", rms_norm_eps=1e-5, max_position_embeddings=8192,
                rope_parameters=dict(rope_type="default", rope_theta=10000, partial_rotary_factor=0.5, mrope_section=[2, 3, 3]),
                tie_word_embeddings=False, initializer_range=0.04, eos_token_id=eos, pad_token_id=special["endoftext"])
    vision = dict(depth=3, hidden_size=128, num_heads=4, image_size=168, patch_size=14, temporal_patch_size=2, spatial_merge_size=2,
                  in_channels=3, out_hidden_size=192, intermediate_size=448, hidden_act="silu", rms_norm_eps=1e-5, initializer_range=0.04)
    config = Glm4vConfig(text_config=text, vision_config=vision, image_start_token_id=special["begin_of_image"],
                         image_end_token_id=special["end_of_image"], video_start_token_id=special["begin_of_video"],
                         video_end_token_id=special["end_of_video"], image_token_id=special["image"], video_token_id=special["video"],
                         tie_word_embeddings=False)
    config.eos_token_id, config.pad_token_id = eos, special["endoftext"]
    return config


# ---------------------------------------------------------------------------------------------------
# Pictures: one row of half precision per patch and a single frame (the processor doubles a still picture).

PROCESSOR = None


def features(image):
    """Rows [patches, 588] (float16, one of the two equal frames) and the grid (1, h, w)."""
    global PROCESSOR
    PROCESSOR = PROCESSOR or make_processor()
    out = PROCESSOR(images=[image], return_tensors="pt")
    rows = out["pixel_values"].view(-1, 3, 2, 196)
    return rows[:, :, 0].reshape(-1, 588).to(torch.float16).numpy(), tuple(out["image_grid_thw"][0].tolist())


def whole(rows):
    """Back to the rows the model wants: [patches, 1176] float32."""
    r = torch.from_numpy(rows).float().view(-1, 3, 1, 196)
    return r.expand(-1, 3, 2, 196).reshape(-1, 1176)


def pool_item(i):
    torch.set_num_threads(1)
    rng = random.Random(f"pool {i}")
    kind = generate.KINDS[i % len(generate.KINDS)]
    width, height = generate.phone_size(rng)
    return kind, *features(generate.draw_screen(kind, i, width, height))


def picture_pool(work, first, count):
    """Pictures first..first+count-1 as {kind: [(rows, grid)]}, drawn once and kept in work."""
    path = os.path.join(work, f"pool-{first}-{count}.pt")
    if os.path.exists(path):
        items = torch.load(path, weights_only=False)
    else:
        with Pool(2) as p:
            items = p.map(pool_item, range(first, first + count), chunksize=50)
        torch.save(items, path)
    pool = {k: [] for k in generate.KINDS}
    for kind, rows, grid in items:
        pool[kind].append((rows, grid))
    return pool


# ---------------------------------------------------------------------------------------------------
# Batches


def encode(tok, s, picture):
    """Ids of prompt and answer with the image placeholder repeated; the number of answer ids."""
    prompt = tok.encode(generate.render(s["messages"], s["fmt"]), add_special_tokens=False)
    if picture:
        t, h, w = picture[1]
        image = tok.convert_tokens_to_ids("<|image|>")
        at = prompt.index(image)
        prompt = prompt[:at] + [image] * (t * h * w // 4) + prompt[at + 1:]
    answer = tok.encode(s["answer"], add_special_tokens=False)
    return prompt + answer, len(answer)


def collate(tok, items):
    """items: (ids, n_answer, picture, ...). Left padded, as for generation."""
    image = tok.convert_tokens_to_ids("<|image|>")
    n = max(len(x[0]) for x in items)
    ids = torch.full((len(items), n), tok.pad_token_id)
    mask = torch.zeros_like(ids)
    labels = torch.full_like(ids, -100)
    for i, (row, n_answer, *_) in enumerate(items):
        ids[i, n - len(row):] = torch.tensor(row)
        mask[i, n - len(row):] = 1
        labels[i, n - n_answer:] = ids[i, n - n_answer:]
    pictures = [x[2] for x in items if x[2]]
    batch = dict(input_ids=ids, attention_mask=mask, mm_token_type_ids=(ids == image).long())
    if pictures:
        batch["pixel_values"] = torch.cat([whole(rows) for rows, _ in pictures])
        batch["image_grid_thw"] = torch.tensor([grid for _, grid in pictures])
    return batch, labels


def answer_logits(model, batch, labels):
    """Logits at the positions that predict an answer id, and those ids. Same as model(**batch).logits there."""
    hidden = model.model(**batch).last_hidden_state
    at = labels[:, 1:] != -100
    return model.lm_head(hidden[:, :-1][at]), labels[:, 1:][at], at


def pieces(tok):
    """The ids of the vocabulary that are plain letters, as text."""
    words = (t.lstrip("\u0120") for t in tok.get_vocab())
    return sorted({w for w in words if w.isascii() and w.isalpha() and len(w) <= 8})


def lesson(rng, seed, stage, letters):
    """One dialogue of a stage of the curriculum. 0: naming screens and copying, nothing else in the prompt;
    1: every task, no system prompts; 2: everything that evaluation draws."""
    if stage == 0:
        if rng.random() < 0.5:
            return generate.sample(seed, task="screen", system=False, bare=True)
        return generate.sample(seed, task=rng.choice(["type", "say"]), image=False, system=False, bare=True, dense=True)
    task = rng.choices(["screen", "tap", *generate.TEXT_TASKS], [45, 1, 16, 22, 8, 3, 2, 1, 2, 4])[0]   # launch, type, say, wait, ...
    image = rng.random() < 0.15
    apps = None
    if rng.random() < 0.3:   # names of random pieces: what is copied must not depend on what it is
        apps = ["".join(rng.choice(letters) for _ in range(rng.randint(1, 3)))]
        apps = [apps[0].capitalize() if rng.random() < 0.7 else apps[0]]
    if stage == 1:
        return generate.sample(seed, task=task, image=image, system=False, bare=rng.random() < 0.5, dense=rng.random() < 0.3, apps=apps)
    return generate.sample(seed, task=task, image=image, system=rng.random() < 0.4, apps=apps)


def batches(tok, pool, first_seed, size, stage_of):
    """Endless batches of new dialogues, sorted by length in groups of eight; in the last stage now and then one with long system prompts."""
    rng, letters = random.Random(f"batches {first_seed}"), pieces(tok)
    seed = first_seed

    def item(s):
        picture = None
        if s["picture"]:
            p = s["picture"]
            picture = features(generate.draw_screen(**p)) if p["button"] else rng.choice(pool[p["kind"]])
        return *encode(tok, s, picture), picture, s["task"]

    while True:
        stage = stage_of()
        group = []
        for _ in range(8 * size):
            group.append(item(lesson(rng, seed, stage, letters)))
            seed += 1
        group.sort(key=lambda x: len(x[0]))
        parts = [group[i:i + size] for i in range(0, len(group), size)]
        if stage == 2 and rng.random() < 0.15:
            parts.append([item(generate.sample(seed + i, long=True)) for i in range(size // 4)])
            seed += size // 4
        rng.shuffle(parts)
        for part in parts:
            yield part, seed


def set_up(model):
    """Start values that suit four norms a layer: the two behind attention and MLP would otherwise drown the embeddings,
    which copying needs, in the first layer's output."""
    with torch.no_grad():
        model.model.language_model.embed_tokens.weight.normal_(0, 0.5)
        for layer in model.model.language_model.layers:
            layer.post_self_attn_layernorm.weight.fill_(0.25)
            layer.post_mlp_layernorm.weight.fill_(0.25)
        for name, p in model.model.visual.named_parameters():
            if name.startswith("merger.") and p.dim() == 2:
                p.normal_(0, p.shape[1] ** -0.5)


def save(model, weights, out):
    """The checkpoint, by the library itself: bf16, two or more shards."""
    copy = Glm4vForConditionalGeneration(model.config)
    copy.load_state_dict(weights)
    copy = copy.to(torch.bfloat16)
    copy.config.dtype = torch.bfloat16
    eos = model.config.eos_token_id
    copy.generation_config = GenerationConfig(do_sample=False, eos_token_id=eos, pad_token_id=eos[0])
    for name in os.listdir(out):
        if name.startswith("model"):
            os.remove(os.path.join(out, name))
    copy.save_pretrained(out, max_shard_size="3MB")
    for name in os.listdir(out):
        os.chmod(os.path.join(out, name), 0o644)
    make_processor().save_pretrained(out)
    # The published checkpoint names the classes without the library's suffix for the Pillow backend.
    path = os.path.join(out, "preprocessor_config.json")
    with open(path, encoding="utf-8") as f:
        p = json.load(f)
    p["image_processor_type"], p["processor_class"] = "Glm4vImageProcessor", "Glm4vProcessor"
    with open(path, "w", encoding="utf-8") as f:
        json.dump(p, f, indent=2)
        f.write("\n")


def main():
    arg = argparse.ArgumentParser()
    arg.add_argument("--out", required=True)
    arg.add_argument("--work", required=True)
    arg.add_argument("--steps", type=int, default=2400)
    arg.add_argument("--batch", type=int, default=32)
    arg.add_argument("--lr", type=float, default=1.5e-3)
    arg.add_argument("--pool", type=int, default=8000)
    arg.add_argument("--seed", type=int, default=1)
    arg.add_argument("--stages", type=int, nargs=2, default=[600, 1100], help="steps at which stages 1 and 2 begin")
    arg.add_argument("--resume", action="store_true")
    arg.add_argument("--average", type=float, default=0.98, help="the saved weights are a running mean with this factor")
    arg.add_argument("--save-every", type=int, default=200)
    a = arg.parse_args()
    os.makedirs(a.work, exist_ok=True)

    torch.manual_seed(a.seed)
    torch.set_num_threads(2)
    tok = AutoTokenizer.from_pretrained(a.out)
    model = Glm4vForConditionalGeneration(make_config(tok))
    set_up(model)
    print(f"{sum(p.numel() for p in model.parameters())} parameters", flush=True)
    decay = [p for p in model.parameters() if p.dim() >= 2]
    rest = [p for p in model.parameters() if p.dim() < 2]
    opt = torch.optim.AdamW([dict(params=decay, weight_decay=0.05), dict(params=rest, weight_decay=0.0)], lr=a.lr, betas=(0.9, 0.98))
    state_path = os.path.join(a.work, "state.pt")
    step, seed, cpu_before = 0, a.seed * 10_000_000, 0.0
    if a.resume:
        state = torch.load(state_path, weights_only=False)
        model.load_state_dict(state["model"])
        opt.load_state_dict(state["opt"])
        step, seed, cpu_before = state["step"], state["seed"], state["cpu"]
    mean = {k: v.clone() for k, v in (state.get("mean") or model.state_dict() if a.resume else model.state_dict()).items()}
    pool = picture_pool(a.work, 0, a.pool)
    source = batches(tok, pool, seed, a.batch, lambda: (step >= a.stages[0]) + (step >= a.stages[1]))
    children = os.times().children_user
    model.train()
    began, log = time.time(), open(os.path.join(a.work, "log.txt"), "a", encoding="utf-8")
    run, right = [], {}
    while step < a.steps:
        rate = a.lr * min(1.0, (step + 1) / 100) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / a.steps)))
        for g in opt.param_groups:
            g["lr"] = rate
        items, seed = next(source)
        batch, labels = collate(tok, items)
        logits, want, where = answer_logits(model, batch, labels)
        loss = torch.nn.functional.cross_entropy(logits, want)
        opt.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        opt.step()
        step += 1
        with torch.no_grad():
            for k, v in model.state_dict().items():
                mean[k].lerp_(v, max(1 - a.average, 1 / step))
        ok = torch.ones_like(where)
        ok[where] = logits.argmax(-1) == want
        run.append(loss.item())
        for x, r in zip(items, ok.all(1).tolist()):
            right.setdefault(x[3], []).append(r)
        if step % 20 == 0:
            line = (f"step {step} loss {sum(run) / len(run):.4f} lr {rate:.1e} wall {time.time() - began:.0f} "
                    f"cpu {time.process_time() + children + cpu_before:.0f} | "
                    + " ".join(f"{k} {100 * sum(v) / len(v):.0f}" for k, v in sorted(right.items())))
            print(line, flush=True)
            log.write(line + "\n")
            log.flush()
            run, right = [], {}
        if step % a.save_every == 0 or step == a.steps:
            torch.save(dict(model=model.state_dict(), mean=mean, opt=opt.state_dict(), step=step, seed=seed,
                            cpu=time.process_time() + children + cpu_before), state_path + ".new")
            os.replace(state_path + ".new", state_path)
            save(model, mean, a.out)


if __name__ == "__main__":
    main()

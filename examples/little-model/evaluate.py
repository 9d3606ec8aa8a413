#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Accuracy on held-out dialogues, exact: the whole greedy answer must be the expected one, to the stopping id.

    evaluate.py CHECKPOINT [--n N] [--out report.json]

An answer counts when at every position the most likely id, after the expected ids before it, is the expected one:
that is the same as comparing the greedy answer, in one pass. --generate also runs real greedy generation on a part
and says whether the two agree. Weights are the saved bf16 ones, arithmetic is float32.
"""

import argparse
import json
import time

import torch
from transformers import AutoTokenizer
from transformers.models.glm4v.modeling_glm4v import Glm4vForConditionalGeneration

import generate
import train

SIZES = [(1080, 2400), (1080, 1920), (1440, 3200), (720, 1600), (270, 600)]


def blanked(picture):
    """The same grid, every pixel grey."""
    s = picture
    return train.features(generate.blank(s["width"], s["height"]))


def judge(model, tok, items, batch=32):
    """For every (ids, n_answer, picture): whether the greedy answer is exactly the expected one."""
    order = sorted(range(len(items)), key=lambda i: len(items[i][0]))
    right = [False] * len(items)
    for at in range(0, len(order), batch):
        part = order[at:at + batch]
        data, labels = train.collate(tok, [items[i] for i in part])
        with torch.no_grad():
            logits, want, where = train.answer_logits(model, data, labels)
        ok = torch.ones_like(where)
        ok[where] = logits.argmax(-1) == want
        for k, i in enumerate(part):
            right[i] = bool(ok[k].all())
    return right


def item(tok, s, blank=False, size=None):
    p = s["picture"]
    if not p:
        return *train.encode(tok, s, None), None
    if size:
        p = dict(p, width=size[0], height=size[1])
    picture = blanked(p) if blank else train.features(generate.draw_screen(**p))
    return *train.encode(tok, s, picture), picture


def balanced(n):
    """Held-out seeds whose screen kinds are equally frequent."""
    left = {k: n // len(generate.KINDS) for k in generate.KINDS}
    seed, out = generate.HELD_OUT + 1_000_000, []
    while any(left.values()):
        s = generate.sample(seed, task="screen")
        if left[s["picture"]["kind"]]:
            left[s["picture"]["kind"]] -= 1
            out.append(s)
        seed += 1
    return out


def main():
    arg = argparse.ArgumentParser()
    arg.add_argument("checkpoint")
    arg.add_argument("--n", type=int, default=200)
    arg.add_argument("--out")
    arg.add_argument("--generate", type=int, default=0)
    a = arg.parse_args()
    began = time.process_time()
    torch.set_num_threads(2)
    tok = AutoTokenizer.from_pretrained(a.checkpoint)
    model = Glm4vForConditionalGeneration.from_pretrained(a.checkpoint, dtype=torch.float32).eval()
    report = {}

    def note(name, right):
        report[name] = {"n": len(right), "right": sum(right), "accuracy": round(sum(right) / len(right), 4)}
        print(f"{name:34} {sum(right):5} / {len(right):5}  {100 * sum(right) / len(right):6.2f} %", flush=True)

    for image in (False, True):
        every = []
        for k, task in enumerate(generate.TEXT_TASKS):
            seeds = range(generate.HELD_OUT + k * 100_000, generate.HELD_OUT + k * 100_000 + a.n)
            right = judge(model, tok, [item(tok, generate.sample(s, task=task, image=image)) for s in seeds])
            note(f"text {task}{' (with a picture)' if image else ''}", right)
            every += right
        note(f"text, all{' (with a picture)' if image else ''}", every)
    seeds = range(generate.HELD_OUT + 3_000_000, generate.HELD_OUT + 3_000_000 + a.n)
    note("launch, names never trained", judge(model, tok, [item(tok, generate.sample(s, task="launch", apps=generate.HELD_OUT_APPS)) for s in seeds]))
    note("text, long system prompts", judge(model, tok, [item(tok, generate.sample(s, task=generate.TEXT_TASKS[s % 8], long=True)) for s in seeds]))

    screens = balanced(10 * a.n // 2)
    right = judge(model, tok, [item(tok, s) for s in screens])
    for kind in generate.KINDS:
        note(f"screen {kind}", [r for r, s in zip(right, screens) if s["picture"]["kind"] == kind])
    note("screen, all kinds", right)
    note("screen, picture blanked", judge(model, tok, [item(tok, s, blank=True) for s in screens]))
    for size in SIZES:
        note(f"screen at {size[0]} x {size[1]}", judge(model, tok, [item(tok, s, size=size) for s in screens[:a.n]]))
    taps = [generate.sample(s, task="tap") for s in range(generate.HELD_OUT + 2_000_000, generate.HELD_OUT + 2_000_000 + a.n // 2)]
    note("tap, exact position", judge(model, tok, [item(tok, s) for s in taps]))

    if a.generate:
        part = screens[:a.generate]
        same = 0
        for s, r in zip(part, judge(model, tok, [item(tok, s) for s in part])):
            same += (greedy(model, tok, s) == s["answer"].removesuffix("</answer>")) == r
        report["generation agrees with the one-pass judgement"] = {"n": len(part), "right": same}
        print(f"generate() agrees on {same} of {len(part)}")
    report["cpu_seconds"] = round(time.process_time() - began)
    if a.out:
        with open(a.out, "w", encoding="utf-8") as f:
            json.dump(report, f, indent=1, ensure_ascii=False)
            f.write("\n")


def greedy(model, tok, s, size=None, limit=64):
    """The text of a greedy answer, by the library's generate()."""
    ids, n, picture = item(tok, s, size=size)
    data, _ = train.collate(tok, [(ids[:-n], 0, picture)])
    with torch.no_grad():
        out = model.generate(**data, max_new_tokens=limit, do_sample=False)
    new = out[0, len(ids) - n:].tolist()
    if new and new[-1] in model.config.eos_token_id:
        new.pop()
    return tok.decode(new)


if __name__ == "__main__":
    main()

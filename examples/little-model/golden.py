#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes what other implementations are compared with, from the real library.

    golden.py CHECKPOINT FOLDER

FOLDER/screens/*.png        one held-out demonstration screen of every kind, 270 x 600
FOLDER/screens/expected.json  file, messages, expected answer (only those that the checkpoint answers right)
FOLDER/golden.json          for a few prompts: ids (the image id once per picture), picture, grid, the ten largest logits
                            at the last position in float64 and in float32 (eager attention), 24 greedy ids
"""

import json
import os
import sys

import torch
from PIL import Image
from transformers import AutoTokenizer
from transformers.models.glm4v.modeling_glm4v import Glm4vForConditionalGeneration

import generate
import train

WIDTH, HEIGHT = 270, 600
SYSTEM = ("The current date: 2025-11-24, Monday\nYou are an agent that operates a phone for the user.\n"
          "Your output should STRICTLY follow the format:\n<think>{think}</think>\n<answer>{action}</answer>\n" + "\n".join(generate.ACTIONS_EN))
INFO = "{\"current_app\": \"System Home\"}"


def load(folder, dtype):
    return Glm4vForConditionalGeneration.from_pretrained(folder, dtype=dtype, attn_implementation="eager").eval()


def save_png(kind, image, path):
    """As RGB, but one with an alpha channel (what phones send) and one with a palette."""
    if kind == "chat":
        image = image.convert("RGBA")
    elif kind == "map":
        image = image.quantize(64)
    image.save(path, optimize=True)


def with_system(text, image):
    parts = [{"type": "image_url"}] if image else []
    return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": parts + [{"type": "text", "text": text}]}]


def prepare(tok, messages, fmt, path):
    """Ids as stored (one image id per picture) and the inputs of the model."""
    ids = tok.encode(generate.render(messages, fmt), add_special_tokens=False)
    picture = None
    full = list(ids)
    if path:
        picture = train.features(Image.open(path).convert("RGB"))
        _, h, w = picture[1]
        image = tok.convert_tokens_to_ids("<|image|>")
        at = ids.index(image)
        full = ids[:at] + [image] * (h * w // 4) + ids[at + 1:]
    data, _ = train.collate(tok, [(full, 0, picture)])
    if path:
        out = train.make_processor()(images=[Image.open(path).convert("RGB")], return_tensors="pt")   # unrounded
        data["pixel_values"] = out["pixel_values"]
    return ids, data, picture[1] if picture else None


def run(model, data, dtype, n=24):
    """The last logits and n greedy ids, each by a full pass (no cache to trust). Stops nowhere."""
    data = {k: v.to(dtype) if v.is_floating_point() else v for k, v in data.items()}
    first, ids = None, []
    for _ in range(n):
        with torch.no_grad():
            logits = model(**data).logits[0, -1]
        first = logits if first is None else first
        ids.append(int(logits.argmax()))
        data["input_ids"] = torch.cat([data["input_ids"], torch.tensor([[ids[-1]]])], 1)
        data["attention_mask"] = torch.ones_like(data["input_ids"])
        data["mm_token_type_ids"] = torch.cat([data["mm_token_type_ids"], torch.zeros(1, 1, dtype=torch.long)], 1)
    return first, ids


def main(folder, out):
    torch.set_num_threads(2)
    tok = AutoTokenizer.from_pretrained(folder)
    f32, f64 = load(folder, torch.float32), load(folder, torch.float64)
    screens = os.path.join(out, "screens")
    os.makedirs(screens, exist_ok=True)

    ask = {"home": "Which screen is this?", "settings": "这是什么界面？"}
    expected = []
    for kind in generate.KINDS:
        seed = generate.HELD_OUT + 9_000_000
        while True:
            path = os.path.join(screens, f"{kind}.png")
            save_png(kind, generate.draw_screen(kind, seed, WIDTH, HEIGHT), path)
            messages = with_system(f"{ask.get(kind, 'Which screen is this?')}\n\n{INFO}", True)
            _, data, _ = prepare(tok, messages, "string", path)
            want = generate.reply("screen", f"finish(message=\"{kind}\")")
            n = len(tok.encode(want, add_special_tokens=False))
            _, ids = run(f32, data, torch.float32, n)
            if tok.decode(ids) == want:
                break
            print(f"{kind} seed {seed}: wrong: {tok.decode(ids)}")
            seed += 1
        expected.append({"file": f"{kind}.png", "messages": messages, "answer": want.removesuffix("</answer>"),
                         "action": f"finish(message=\"{kind}\")"})
    text = [("Open WeChat", "launch", "do(action=\"Launch\", app=\"WeChat\")"), ("打开支付宝", "launch", "do(action=\"Launch\", app=\"支付宝\")"),
            ("Type \"hello world\"", "type", "do(action=\"Type\", text=\"hello world\")"), ("Wait 3 seconds", "wait", "do(action=\"Wait\", duration=\"3 seconds\")"),
            ("Go back", "back", "do(action=\"Back\")"), ("Scroll down", "scroll", "do(action=\"Swipe\", start=[500,800], end=[500,200])"),
            ("Say \"good morning\"", "say", "finish(message=\"good morning\")")]
    for task, kind, action in text:
        for file in (None, "home.png"):
            messages = with_system(f"{task}\n\n{INFO}", file is not None)
            _, data, _ = prepare(tok, messages, "string", file and os.path.join(screens, file))
            want = generate.reply(kind, action)
            _, ids = run(f32, data, torch.float32, len(tok.encode(want, add_special_tokens=False)))
            if tok.decode(ids) == want:
                expected.append({"file": file, "messages": messages, "answer": want.removesuffix("</answer>"), "action": action})
            else:
                print(f"left out, wrong: {task} {file}: {tok.decode(ids)}")
    with open(os.path.join(screens, "expected.json"), "w", encoding="utf-8") as f:
        json.dump(expected, f, indent=1, ensure_ascii=False)
        f.write("\n")

    plain = lambda t, image=False: [{"role": "user", "content": ([{"type": "image_url"}] if image else []) + [{"type": "text", "text": t}]}]
    old = generate.reply("launch", "do(action=\"Launch\", app=\"WeChat\")")
    second = (with_system(f"Open WeChat\n\n{INFO}", False) + [{"role": "assistant", "content": old}]
              + plain("** Screen Info **\n\n{\"current_app\": \"WeChat\"}", True))
    cases = [("text", plain("Open WeChat"), "string", None), ("text, system prompt", with_system(f"输入“你好”\n\n{INFO}", False), "string", None),
             ("picture", plain("Which screen is this?", True), "string", "map.png"),
             ("picture, system prompt", with_system(f"Which screen is this?\n\n{INFO}", True), "string", "chat.png"),
             ("picture directly before the text", plain("Name this screen.", True), "openai", "calendar.png"),
             ("second turn, picture in the last message", second, "string", "chat.png")]
    rows = []
    for name, messages, fmt, file in cases:
        ids, data, grid = prepare(tok, messages, fmt, file and os.path.join(screens, file))
        row = {"name": name, "messages": messages, "content_format": fmt, "image": file and f"screens/{file}", "grid_thw": grid,
               "ids": ids, "n_tokens": data["input_ids"].shape[1]}
        for tag, model, dtype in (("f64", f64, torch.float64), ("f32", f32, torch.float32)):
            logits, greedy = run(model, data, dtype)
            top = logits.topk(10)
            row[tag] = {"top_ids": top.indices.tolist(), "top_logits": [float(f"{v:.9g}") for v in top.values.tolist()],
                        "sum": float(logits.double().sum()), "sum_of_squares": float((logits.double() ** 2).sum()), "greedy": greedy}
        row["greedy_text"] = tok.decode(row["f64"]["greedy"])
        rows.append(row)
        print(f"{name}: {row['greedy_text']!r}; f32 and f64 agree: {row['f32']['greedy'] == row['f64']['greedy']}")
    with open(os.path.join(out, "golden.json"), "w", encoding="utf-8") as f:
        f.write("[\n" + ",\n".join(json.dumps(r, ensure_ascii=False) for r in rows) + "\n]\n")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2])

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the tokenizer with the real tokenizers library and writes its golden file.

    tokenizer.py train DIR          train on generated dialogues, write tokenizer.json, tokenizer_config.json, chat_template.jinja
    tokenizer.py golden DIR OUT     write OUT (tokenizer_golden.json): strings and the ids the library gives them
    tokenizer.py check DIR          compare generate.render with the chat template on generated conversations
"""

import json
import random
import sys

import generate

# The split of the real tokenizer, byte for byte.
SPLIT = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
         r"|\s*[\r\n]+|\s+(?!\S)|\s+")

# In the order of the real tokenizer, placed directly behind the base vocabulary. The second value: special flag.
ADDED = [("<|endoftext|>", True), ("[MASK]", True), ("[gMASK]", True), ("[sMASK]", True), ("<sop>", True), ("<eop>", True),
         ("<|system|>", True), ("<|user|>", True), ("<|assistant|>", True), ("<|observation|>", True),
         ("<|begin_of_image|>", True), ("<|end_of_image|>", True), ("<|begin_of_video|>", True), ("<|end_of_video|>", True),
         ("<|image|>", True), ("<|video|>", True), ("<think>", False), ("</think>", False), ("<answer>", False), ("</answer>", False),
         ("<|begin_of_box|>", False), ("<|end_of_box|>", False)]

BASE = 2304   # base vocabulary: 256 bytes and 2048 merges
ROWS = 2368   # rows of the embedding: base, 22 added tokens, padding rows
EOS = ["<|endoftext|>", "<|user|>", "<|observation|>", "</answer>"]

TEMPLATE = """[gMASK]<sop>
{%- for m in messages %}
{%- if m.role == 'system' %}<|system|>
{{ m.content }}
{%- elif m.role == 'user' %}<|user|>{{ '\\n' }}
{%- if m.content is string %}{{ m.content }}
{%- else %}
{%- for part in m.content %}
{%- if part.type == 'image' or 'image' in part %}<|begin_of_image|><|image|><|end_of_image|>
{%- elif part.type == 'video' or 'video' in part %}<|begin_of_video|><|video|><|end_of_video|>
{%- elif part.type == 'text' %}{{ part.text }}
{%- endif %}
{%- endfor %}
{%- endif %}
{%- elif m.role == 'assistant' %}<|assistant|>{{ m.metadata }}
{{ m.content }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}<|assistant|>{{ '\\n' }}
{%- endif %}
"""


def corpus():
    """Dialogues of the training seeds, and every number up to 999 often enough to become one token."""
    for n in range(10, 1000):
        yield f"{n}\n" * 400
    for seed in range(20000):
        s = generate.sample(seed, long=seed % 50 == 0)
        yield generate.render(s["messages"], s["fmt"]) + s["answer"]
    for name in generate.APPS:
        yield f"{name} \"{name}\"\n" * 20


def train(folder):
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(SPLIT), "isolated", invert=False),
                                                 pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tok.decoder = decoders.ByteLevel()
    strip = [t for t, _ in ADDED]

    def text():
        for line in corpus():
            for t in strip:
                line = line.replace(t, "\n")
            yield line

    tok.train_from_iterator(text(), trainers.BpeTrainer(vocab_size=BASE, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
                                                        special_tokens=[], max_token_length=18, show_progress=False))
    assert tok.get_vocab_size() == BASE, tok.get_vocab_size()
    for content, special in ADDED:
        one = [AddedToken(content, special=special, normalized=False)]
        tok.add_special_tokens(one) if special else tok.add_tokens(one)
    for i, (content, _) in enumerate(ADDED):
        assert tok.token_to_id(content) == BASE + i
    known = sum(tok.token_to_id(str(n)) is not None for n in range(1000))
    print(f"numbers 0..999 that are one token: {known}")

    fast = PreTrainedTokenizerFast(tokenizer_object=tok, eos_token="<|endoftext|>", pad_token="<|endoftext|>", padding_side="left",
                                   model_max_length=8192, clean_up_tokenization_spaces=False)
    fast.chat_template = TEMPLATE
    fast.save_pretrained(folder)


def check(folder):
    from transformers import AutoTokenizer

    tok = AutoTokenizer.from_pretrained(folder)
    for seed in range(2000):
        s = generate.sample(seed)
        want = generate.render(s["messages"], s["fmt"])
        got = tok.apply_chat_template(generate.flatten(s["messages"], s["fmt"]), tokenize=False, add_generation_prompt=True)
        assert got == want, (got, want)
    image, img = {"type": "image"}, generate.IMAGE
    table = [
        ([dict(role="system", content="SYS"), dict(role="user", content="hi")], True, "[gMASK]<sop><|system|>\nSYS<|user|>\nhi<|assistant|>\n"),
        ([dict(role="user", content=[image, dict(type="text", text="what?")])], True, f"[gMASK]<sop><|user|>\n{img}what?<|assistant|>\n"),
        ([dict(role="system", content="SYS"), dict(role="user", content="old"), dict(role="assistant", content="A"),
          dict(role="user", content=[image, dict(type="text", text="q")])], True,
         f"[gMASK]<sop><|system|>\nSYS<|user|>\nold<|assistant|>\nA<|user|>\n{img}q<|assistant|>\n"),
        ([dict(role="user", content="hi"), dict(role="assistant", content="A")], False, "[gMASK]<sop><|user|>\nhi<|assistant|>\nA"),
        ([dict(role="tool", content="x"), dict(role="user", content="hi"), dict(role="assistant", metadata="m", content="A")], False,
         "[gMASK]<sop><|user|>\nhi<|assistant|>m\nA"),
        ([dict(role="user", content=[dict(type="text", text="a"), image, dict(type="text", text="b")])], True,
         f"[gMASK]<sop><|user|>\na{img}b<|assistant|>\n"),
    ]
    for messages, prompt, want in table:
        got = tok.apply_chat_template(messages, tokenize=False, add_generation_prompt=prompt)
        assert got == want, (got, want)
    print(f"chat template: {2000 + len(table)} conversations agree")


FIXED = ["", " ", "  ", "    ", "\n", "\r\n", "\n\n", "\t", "a", "!", "Hello world", "Hello, world!", "你好世界", "What kind of dog is", "Describe this image.",
         "    ctx", "I'LL don't", "it's we're I'm you've she'd they'll", "'S 'T 'RE 'VE 'M 'LL 'D", "'x 'lx 'v 'r", "a  b", "x   \n  y", "12345 67", "do(action=\"Tap\", element=[500,500])",
         "价格¥1234.50元", "  \n\n", "tab\t\tx", "foo\r\nbar", "</answer >", "** Screen Info **\n\n{\"current_app\": \"System Home\"}", "\u3000中文", "it\u2019s", "e\u0301a",
         "é", "e\u0301", "ﬁ ﬀ ½ ² ③ Ⅳ", "٠١٢٣٤٥٦٧٨٩ ۱۲۳", "१२३४५", "😀", "👨‍👩‍👧‍👦 family", "🇩🇪🇨🇳", "👍🏽 ok", "☕ coffee ❤️", "한국어 텍스트", "日本語のテキスト。カタカナ", "Привет, мир!", "שלום עולם", "مرحبا بالعالم",
         "ไทย ภาษา", "हिन्दी भाषा", "Ελληνικά", "İstanbul ı I i", "ſ 's 'ſ", "Straße ẞ", "K (kelvin) Å", "a\u00a0b", "a\u2003b\u2003\u2003c", "a\u2028b\u2029c", "a\u0085b", "x\u200by\u200dz\ufeff", "\u180e",
         "\x00\x01\x7f", "a\x0bb\x0cc", "\x1c\x1d\x1e\x1f", "𝒳𝓎𝔷 𝟙𝟚𝟛", "𠀀𠮷", "\U0010ffff\ufffd", "aaaaaaaaaaaaaaaaaaaaaaaa", "ababababababababab", "=" * 40, "-" * 33 + "\n", ".....!!!???", "a_b-c.d/e\\f|g",
         "https://example.org/a?b=c&d=%20#x", "user@example.org", "int main(void) { return 0; }\n", "\tif (x == 1) {\n\t\tfoo();\n\t}\n", "for i in range(10):\n    print(i)\n\n\nend",
         "{\"a\": [1, 2.5, -3e10], \"b\": null}", "SELECT * FROM t WHERE x >= 1000000;", "#!/bin/sh\r\nexit 1\r\n", "1,234,567.89", "0x1F 007 1e-5", "3.14159265358979", "2025-11-24, Monday",
         "100% $5 £6 €7 ¥8", "(((nested)))", "\"quoted\" 'single' “curly” «guillemets»", "trailing space ", "trailing newline\n", " leading", "\n leading", "\n\n\n x", " \n \n ", "a \n b", "\r", "\r\r\n\n",
         "word\u0301\u0302\u0303 stack", "n\u0303", "\u0301alone", "中\u0301文", "中文abc中文123中文", "打开微信", "打开“支付宝”", "请打开小红书。", "今天的日期是: 2025年11月24日 星期一", "，。！？、；：", "（全角）ＡＢＣ１２３",
         "<think>Open the app.</think><answer>do(action=\"Launch\", app=\"WeChat\")</answer>", "[gMASK]<sop><|user|>\nhi<|assistant|>\n", "<|begin_of_image|><|image|><|end_of_image|>x", "<|image", "<|imag<|image|>e|>",
         "<think><think>", "a<answer>b", "<|begin_of_box|>1<|end_of_box|>", "[MASK][sMASK]<eop><|system|><|observation|><|endoftext|>", "<|begin_of_video|><|video|><|end_of_video|>", " <think> ", "<THINK>", "<|user|> <|user|>",
         "do(action=\"Swipe\", start=[500,800], end=[500,200])", "do(action=\"Type\", text=\"你好 hello\")", "finish(message=\"Done.\")", "element=[0,999]", "x=7,42,100,999,1000,12345"]


def golden(folder, out):
    from tokenizers import Tokenizer

    tok = Tokenizer.from_file(f"{folder}/tokenizer.json")
    rng = random.Random("golden strings")
    texts = list(FIXED)
    pools = ["abcdefgh ABC", " \n\t\r", "0123456789 .,", "中文你好打开微信 ", "e\u0301n\u0303\u0302 a", "😀👍🏽\u200d❤️ ", "'sStTdDlLvVrReEmM ", "{}[]()<>|=\"',:;\n ", "àéîõüß ÿŽ", "\u3000\u00a0\u2003 x\n"]
    while len(texts) < 200:
        pool = "".join(rng.sample(pools, rng.randint(1, 3)))
        texts.append("".join(rng.choice(pool) for _ in range(rng.randint(1, 40))))
    rows = []
    for t in texts:
        ids = tok.encode(t, add_special_tokens=False).ids
        assert tok.decode(ids, skip_special_tokens=False) == t, t
        rows.append({"text": t, "ids": ids})
    with open(out, "w", encoding="utf-8") as f:
        f.write("[\n" + ",\n".join(json.dumps(r, ensure_ascii=True) for r in rows) + "\n]\n")
    print(f"{len(rows)} strings")


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] == "train":
        train(sys.argv[2])
    elif len(sys.argv) == 4 and sys.argv[1] == "golden":
        golden(sys.argv[2], sys.argv[3])
    elif len(sys.argv) == 3 and sys.argv[1] == "check":
        check(sys.argv[2])
    else:
        sys.exit(__doc__)

#!/usr/bin/env python3
"""openai_client.py API whole|stream|models|errors - the real client library, judged by the committed screens."""
import base64, json, os, sys

import openai

SCREENS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../examples/little-model/screens")
api, what = sys.argv[1:]
client = openai.OpenAI(base_url=api + "/v1", api_key="EMPTY")
MODEL = "autoglm-phone-9b"


def cases():
    with open(os.path.join(SCREENS, "expected.json")) as f:
        for case in json.load(f):
            for m in case["messages"]:
                for part in m["content"] if isinstance(m["content"], list) else []:
                    if part["type"] == "image_url":
                        with open(os.path.join(SCREENS, case["file"]), "rb") as png:
                            part["image_url"] = {"url": "data:image/png;base64," + base64.b64encode(png.read()).decode()}
            yield case


asked = {"model": MODEL, "max_tokens": 3000, "temperature": 0.0, "top_p": 0.85, "frequency_penalty": 0.0}
if what == "whole":
    for case in cases():
        a = client.chat.completions.create(messages=case["messages"], **asked)
        assert a.choices[0].message.content == case["answer"], (a, case["answer"])
        assert a.choices[0].finish_reason == "stop" and a.usage.total_tokens == a.usage.prompt_tokens + a.usage.completion_tokens
elif what == "stream":
    for case in cases():
        text = ""
        for chunk in client.chat.completions.create(messages=case["messages"], stream=True, **asked):
            if chunk.choices and chunk.choices[0].delta.content is not None:
                text += chunk.choices[0].delta.content
        assert text == case["answer"], (text, case["answer"])
elif what == "models":
    assert [m.id for m in client.models.list()] == [MODEL]
elif what == "errors":
    for error, change in ((openai.NotFoundError, {"model": "x"}), (openai.BadRequestError, {"temperature": -1}),
                          (openai.BadRequestError, {"response_format": {"type": "json_object"}})):
        try:
            client.chat.completions.create(messages=[{"role": "user", "content": "Hi"}], **{**asked, **change})
        except error as e:
            assert e.body["message"], e
        else:
            sys.exit(f"{change} was accepted")

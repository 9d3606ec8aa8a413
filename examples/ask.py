"""Asks a running server about a screenshot, with nothing but the Python standard library.

  ask.py --base URL --model NAME [--image FILE --question TEXT]
Without an image the held-out screens of the little model are used (screens/expected.json): the same question about one screen, whose
answer only the picture decides. Exits 0 when the answer was the expected one.
"""
import argparse
import base64
import json
import os
import sys
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))


def main():
    p = argparse.ArgumentParser()
    p.add_argument('--base', default='http://127.0.0.1:8000/v1')
    p.add_argument('--model', default='autoglm-phone-little')
    p.add_argument('--image')
    p.add_argument('--question')
    a = p.parse_args()
    expected = None
    system = []
    if not a.image:
        with open(os.path.join(HERE, 'little-model', 'screens', 'expected.json')) as f:
            case = next(c for c in json.load(f) if c['file'])
        a.image = os.path.join(HERE, 'little-model', 'screens', case['file'])
        messages, expected = case['messages'], case['answer']
        a.question = [part['text'] for part in messages[-1]['content'] if part['type'] == 'text'][0]
        system = [m for m in messages if m['role'] == 'system']
    with open(a.image, 'rb') as f:
        url = 'data:image/png;base64,' + base64.b64encode(f.read()).decode()
    body = {'model': a.model, 'temperature': 0, 'max_tokens': 64, 'messages': system + [{'role': 'user', 'content': [
        {'type': 'image_url', 'image_url': {'url': url}}, {'type': 'text', 'text': a.question}]}]}
    request = urllib.request.Request(a.base + '/chat/completions', json.dumps(body).encode(), {'Content-Type': 'application/json'})
    with urllib.request.urlopen(request, timeout=120) as r:
        answer = json.load(r)
    text = answer['choices'][0]['message']['content']
    print(f'    screenshot  {os.path.relpath(a.image)}')
    print(f'    question    {a.question.splitlines()[0]}')
    print(f'    answer      {text}')
    print(f'    tokens      {answer["usage"]["prompt_tokens"]} in, {answer["usage"]["completion_tokens"]} out')
    if expected is not None and text != expected:
        print(f'    expected    {expected}')
        sys.exit(1)


if __name__ == '__main__':
    main()

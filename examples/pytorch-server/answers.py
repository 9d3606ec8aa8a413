"""answers.py API - the greedy answers of a server to what the little model was made for, and to texts that it never saw; one JSON line each.

Two servers of the same model write the same lines. Every answer is asked for twice, whole and streamed; fails when the two differ.
"""
import base64
import json
import os
import sys
import urllib.request

SCREENS = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'little-model', 'screens')
UNSEEN = ['Hi', 'The quick brown fox jumps over the lazy dog.', 'Book a table for two at noon.', '你好，帮我查一下明天的天气', '1 2 3 4 5 6 7 8', 'Open the pod bay doors, please.']


def questions():
    with open(os.path.join(SCREENS, 'expected.json'), encoding='utf-8') as f:
        for case in json.load(f):
            for m in case['messages']:
                for part in m['content'] if isinstance(m['content'], list) else []:
                    if part['type'] == 'image_url':
                        with open(os.path.join(SCREENS, case['file']), 'rb') as png:
                            part['image_url'] = {'url': 'data:image/png;base64,' + base64.b64encode(png.read()).decode()}
            yield case['messages']
    for text in UNSEEN:
        yield [{'role': 'user', 'content': text}]


def post(api, body):
    request = urllib.request.Request(api + '/v1/chat/completions', json.dumps({'model': 'autoglm-phone-9b', 'temperature': 0, 'max_tokens': 40, **body}).encode(),
                                     {'Content-Type': 'application/json'})
    return urllib.request.urlopen(request, timeout=300)


def streamed(api, messages):
    text = ''
    with post(api, {'messages': messages, 'stream': True}) as r:
        for line in r:
            if line.startswith(b'data: {'):
                for choice in json.loads(line[6:])['choices']:
                    text += choice['delta'].get('content') or ''
    return text


def main():
    api = sys.argv[1]
    for messages in questions():
        with post(api, {'messages': messages}) as r:
            whole = json.load(r)
        choice, text = whole['choices'][0], whole['choices'][0]['message']['content']
        pieces = streamed(api, messages)
        if pieces != text:
            sys.exit(f'whole {text!r}, streamed {pieces!r}')
        print(json.dumps([whole['usage']['prompt_tokens'], whole['usage']['completion_tokens'], choice['finish_reason'], text], ensure_ascii=False))


if __name__ == '__main__':
    main()

#!/usr/bin/env python3
"""streams.py API N STOP [TOKENS]: N clients open one stream of TOKENS (600) after the other until the file STOP exists, then finish the one they have.

Prints one line of JSON: streams that came out whole, that broke after their first event, and requests that got no stream, with reasons.
"""
import collections, json, os, sys, threading, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../helpers'))
import ask_api  # noqa: E402

ask_api.MODEL = "little"

TALLY, LOCK = {'whole': 0, 'broken': 0, 'refused': 0, 'reasons': collections.Counter()}, threading.Lock()


def one(api, tokens):
    events, begun = [], False
    try:
        for event in ask_api.events(api, {'messages': [{'role': 'user', 'content': 'Hi'}], 'max_tokens': tokens, 'ignore_eos': True}):
            if event == '[DONE]':
                return 'whole', None
            if 'choices' not in event:
                return ('broken' if begun else 'refused'), json.dumps(event)[:200]
            begun = True
    except (OSError, ValueError, AssertionError, ask_api.http.client.HTTPException) as e:
        return ('broken' if begun else 'refused'), repr(e)
    return 'broken', 'ended without a last event'


def client(api, stop, tokens):
    while not os.path.exists(stop):
        how, why = one(api, tokens)
        with LOCK:
            TALLY[how] += 1
            if why:
                TALLY['reasons'][how + ': ' + why] += 1
        if how == 'refused':
            time.sleep(.2)


def main():
    api, n, stop, tokens = sys.argv[1], int(sys.argv[2]), sys.argv[3], int((sys.argv[4:] or [600])[0])
    clients = [threading.Thread(target=client, args=(api, stop, tokens)) for _ in range(n)]
    for c in clients:
        c.start()
    for c in clients:
        c.join()
    print(json.dumps(TALLY))


main()

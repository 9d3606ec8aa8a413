"""agent.py - phone tasks by the real openai client, in the shape in which Open-AutoGLM asks.

  agent.py --base URL --model NAME [--disturb COMMAND]
Each task is a conversation: system prompt, then a user message of screenshot and text; the answer `<think>...</think><answer>ACTION` is
carried out on the phone of phone.py, whose next screenshot is the next message, until the model says finish(). Old screenshots are taken
out of the history, so that each request carries one. COMMAND is run once in the middle of a task. Exits 0 when phone and answers are as they should be.
"""
import argparse
import ast
import base64
import json
import subprocess
import sys
import time

import openai

from phone import Phone

SYSTEM = '''The current date: 2025-11-24, Monday
You are an agent that operates a phone for the user.
Your output should STRICTLY follow the format:
<think>{think}</think>
<answer>{action}</answer>
- do(action="Launch", app="xxx"): launch an app.
- do(action="Tap", element=[x,y]): tap a point, from 0 to 999.
- do(action="Type", text="xxx"): enter text into the focused field.
- do(action="Swipe", start=[x1,y1], end=[x2,y2]): swipe from start to end.
- do(action="Back"): go to the previous screen.
- do(action="Home"): go to the home screen.
- do(action="Wait", duration="x seconds"): wait for the page to load.
- finish(message="xxx"): the task is done.'''
SAMPLING = {'max_tokens': 3000, 'temperature': 0.0, 'top_p': 0.85, 'frequency_penalty': 0.2}
LOOK = 'Which screen is this?'
# What is asked, and what must be true of the phone and the last message then.
TASKS = [
    ('Open Settings', lambda phone, said: phone.screen == 'settings'),
    (LOOK, lambda phone, said: said == phone.screen),
    ('Go back', lambda phone, said: phone.screen == 'home'),
    (LOOK, lambda phone, said: said == phone.screen),
    ('Open Google Maps', lambda phone, said: phone.screen == 'map'),
    (LOOK, lambda phone, said: said == phone.screen),
    ('Open WeChat', lambda phone, said: phone.screen == 'chat'),
    ('Type "hello world"', lambda phone, said: phone.typed == ['hello world']),
    ('Go home', lambda phone, said: phone.screen == 'home'),
]
DISTURBED = 4  # the task in which COMMAND is run
STEPS = 5      # a task that needs more has gone wrong


class Wrong(Exception):
    """The model, the phone or the server did not do what it should."""


def action_of(answer):
    """('finish' or 'do', arguments) of an answer's text."""
    for name in ('finish(message=', 'do(action='):
        at = answer.find(name)
        if at >= 0:
            break
    else:
        raise Wrong(f'no action in {answer!r}')
    try:
        call = ast.parse(answer[at:].strip(), mode='eval').body
        return call.func.id, {k.arg: ast.literal_eval(k.value) for k in call.keywords}
    except (SyntaxError, ValueError, AttributeError) as e:
        raise Wrong(f'not an action: {answer[at:]!r}') from e


class Agent:
    def __init__(self, base, model, disturb):
        self.client = openai.OpenAI(base_url=base, api_key='EMPTY')
        self.model, self.disturb = model, disturb
        self.phone = Phone()
        self.requests = 0

    def message(self, text):
        url = 'data:image/png;base64,' + base64.b64encode(self.phone.screenshot()).decode()
        info = json.dumps({'current_app': self.phone.app}, ensure_ascii=False)
        return {'role': 'user', 'content': [{'type': 'image_url', 'image_url': {'url': url}}, {'type': 'text', 'text': f'{text}\n\n{info}'}]}

    def ask(self, messages):
        """A streamed answer, put together; and the seconds to its first piece."""
        begun, first, text = time.monotonic(), None, ''
        self.requests += 1
        for chunk in self.client.chat.completions.create(model=self.model, messages=messages, stream=True, **SAMPLING):
            if chunk.choices and chunk.choices[0].delta.content:
                first = first or time.monotonic() - begun
                text += chunk.choices[0].delta.content
        return text, first or 0.0

    def task(self, wanted, disturbed):
        print(f'task: {wanted}', flush=True)
        messages = [{'role': 'system', 'content': SYSTEM}]
        ask = wanted
        for step in range(1, STEPS + 1):
            messages.append(self.message(ask))
            if disturbed and step == 2:
                print(f'          (now: {self.disturb})', flush=True)
                subprocess.run(self.disturb, shell=True, check=True)
            shown = self.phone.screen
            answer, first = self.ask(messages)
            print(f'  step {step}  sees {shown + ".png":<14} says {answer}   first piece after {first * 1000:.0f} ms', flush=True)
            verb, arguments = action_of(answer)
            if verb == 'finish':
                return arguments['message'], messages, answer
            try:
                print(f'          phone: {self.phone.perform(**arguments)}', flush=True)
            except (ValueError, TypeError) as e:
                raise Wrong(f'{answer!r}: {e}') from e
            messages[-1]['content'] = messages[-1]['content'][1:]
            messages.append({'role': 'assistant', 'content': answer + '</answer>'})
            ask = '** Screen Info **'
        raise Wrong(f'{wanted}: not finished after {STEPS} steps')

    def run(self):
        if self.model not in [m.id for m in self.client.models.list()]:
            raise Wrong(f'the server has no model {self.model}')
        for n, (wanted, holds) in enumerate(TASKS):
            said, messages, streamed = self.task(wanted, self.disturb and n == DISTURBED)
            if not holds(self.phone, said):
                raise Wrong(f'{wanted}: the phone shows {self.phone.screen}, typed {self.phone.typed}, and the model said {said!r}')
        whole = self.client.chat.completions.create(model=self.model, messages=messages, **SAMPLING)
        if whole.choices[0].message.content != streamed:
            raise Wrong(f'streamed {streamed!r}, whole {whole.choices[0].message.content!r}')
        print(f'{len(TASKS)} tasks done in {self.requests} requests, {whole.usage.prompt_tokens} tokens in the last prompt; the last answer is the same when it is not streamed')


def main():
    p = argparse.ArgumentParser()
    p.add_argument('--base', default='http://127.0.0.1:8000/v1')
    p.add_argument('--model', default='autoglm-phone-9b')
    p.add_argument('--disturb', default='')
    a = p.parse_args()
    try:
        Agent(a.base, a.model, a.disturb).run()
    except (Wrong, openai.OpenAIError) as e:
        sys.exit(f'agent: {e}')


if __name__ == '__main__':
    main()

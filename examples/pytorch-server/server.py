"""server.py - the transformers library's own classes behind the OpenAI API, as many a team has it. It knows nothing of holdfast, but that a socket
may be handed to it (LISTEN_FDS, as systemd has it). Greedy, one request at a time.

  MODEL=DIR [DTYPE=float32] [DEVICE=auto] [RESERVE_GIB=N] [PORT=8000] python3 server.py
RESERVE_GIB takes so much memory at the start, as engines do for their cache.
"""
import asyncio
import base64
import io
import json
import os
import socket
import time

import torch
import uvicorn
from PIL import Image
from transformers import AutoTokenizer, Glm4vForConditionalGeneration
from transformers.generation.streamers import BaseStreamer
from transformers.models.glm4v.image_processing_pil_glm4v import Glm4vImageProcessorPil

NAME = os.environ.get('SERVED_NAME', 'autoglm-phone-9b')
IMAGE = '<|begin_of_image|><|image|><|end_of_image|>'


class Model:
    def __init__(self, folder, device, dtype, reserve_gib):
        self.device = ('cuda' if torch.cuda.is_available() else 'cpu') if device == 'auto' else device
        self.reserved = torch.empty(int(reserve_gib * 2 ** 30), dtype=torch.uint8, device=self.device)
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.processor = Glm4vImageProcessorPil.from_pretrained(folder)
        self.model = Glm4vForConditionalGeneration.from_pretrained(folder, dtype=getattr(torch, dtype)).to(self.device).eval()
        stops = self.model.generation_config.eos_token_id
        self.stops = set(stops if isinstance(stops, list) else [stops])

    def inputs(self, messages):
        """The prompt of a conversation: pictures of a message first, then its texts, a line each."""
        flat, pictures = [], []
        for m in messages:
            content = m['content']
            if isinstance(content, list):
                found = [p['image_url']['url'] for p in content if p['type'] == 'image_url']
                pictures += [Image.open(io.BytesIO(base64.b64decode(url.partition(',')[2]))).convert('RGB') for url in found]
                content = '\n'.join([IMAGE] * len(found) + [p['text'] for p in content if p['type'] == 'text'])
            flat.append({'role': m['role'], 'content': content})
        text = self.tokenizer.apply_chat_template(flat, tokenize=False, add_generation_prompt=True)
        ids = self.tokenizer.encode(text, add_special_tokens=False)
        image, seen, more = self.tokenizer.convert_tokens_to_ids('<|image|>'), [], {}
        if pictures:
            more = self.processor(images=pictures, return_tensors='pt')
            more = {'pixel_values': more['pixel_values'].to(self.device, self.model.dtype), 'image_grid_thw': more['image_grid_thw'].to(self.device)}
            places = iter(more['image_grid_thw'].prod(1).tolist())
            for i in ids:  # one placeholder for each patch that remains after merging
                seen += [i] * (next(places) // self.processor.merge_size ** 2) if i == image else [i]
            ids = seen
        ids = torch.tensor([ids], device=self.device)
        return {'input_ids': ids, 'attention_mask': torch.ones_like(ids), 'mm_token_type_ids': (ids == image).long(), **more}

    @torch.inference_mode()
    def answer(self, messages, max_tokens, say):
        """Greedy; each piece of text goes to say. (prompt tokens, tokens, why it ended)."""
        stream = Pieces(self.tokenizer, self.stops, say)
        inputs = self.inputs(messages)
        self.model.generate(**inputs, do_sample=False, max_new_tokens=max_tokens, streamer=stream)
        return inputs['input_ids'].shape[1], stream.n, 'stop' if stream.is_stopped else 'length'


class Pieces(BaseStreamer):
    def __init__(self, tokenizer, stops, say):
        self.tokenizer, self.stops, self.say = tokenizer, stops, say
        self.ids, self.text, self.n, self.is_stopped, self.is_prompt = [], '', 0, False, True

    def put(self, value):
        if self.is_prompt:
            self.is_prompt = False
            return
        for i in value.flatten().tolist():
            self.n += 1
            if i in self.stops:
                self.is_stopped = True
                continue
            self.ids.append(i)
            text = self.tokenizer.decode(self.ids, skip_special_tokens=True)
            if not text.endswith('\ufffd'):  # half a character waits for its other half
                self.say(text[len(self.text):])
                self.text = text

    def end(self):
        pass


class Api:
    def __init__(self, model):
        self.model, self.turn = model, asyncio.Lock()

    async def __call__(self, scope, receive, send):
        if scope['type'] == 'http':
            body, more = b'', True
            while more:
                part = await receive()
                body, more = body + part.get('body', b''), part.get('more_body', False)
            try:
                await self.route(scope['method'] + ' ' + scope['path'], body, send)
            except (KeyError, ValueError, TypeError) as e:
                await answer(send, 400, {'error': {'message': f'{type(e).__name__}: {e}', 'type': 'BadRequestError', 'code': 400}})

    async def route(self, what, body, send):
        if what == 'GET /health':
            await answer(send, 200, {})
        elif what == 'GET /v1/models':
            await answer(send, 200, {'object': 'list', 'data': [{'id': NAME, 'object': 'model', 'owned_by': 'transformers'}]})
        elif what == 'POST /v1/chat/completions':
            await self.chat(json.loads(body), send)
        else:
            await answer(send, 404, {'error': {'message': f'no {what}', 'type': 'NotFoundError', 'code': 404}})

    async def chat(self, asked, send):
        pieces, loop, is_stream = asyncio.Queue(), asyncio.get_running_loop(), asked.get('stream', False)
        head = {'id': f'chatcmpl-{time.monotonic_ns():x}', 'created': int(time.time()), 'model': NAME}

        async def event(delta, why=None):
            choice = {'index': 0, 'delta': delta, 'finish_reason': why}
            data = {**head, 'object': 'chat.completion.chunk', 'choices': [choice]}
            await send({'type': 'http.response.body', 'body': f'data: {json.dumps(data)}\n\n'.encode(), 'more_body': True})

        async with self.turn:
            work = asyncio.create_task(asyncio.to_thread(self.model.answer, asked['messages'], int(asked.get('max_tokens', 512)),
                                                         lambda piece: loop.call_soon_threadsafe(pieces.put_nowait, piece)))
            work.add_done_callback(lambda _: pieces.put_nowait(None))
            text, is_begun = '', False
            while (piece := await pieces.get()) is not None:
                text += piece
                if is_stream:
                    if not is_begun:
                        await send({'type': 'http.response.start', 'status': 200, 'headers': [(b'content-type', b'text/event-stream; charset=utf-8')]})
                        is_begun = True
                    await event({'content': piece})
            n_prompt, n, why = await work
        if is_stream:
            await event({}, why)
            await send({'type': 'http.response.body', 'body': b'data: [DONE]\n\n'})
        else:
            await answer(send, 200, {**head, 'object': 'chat.completion', 'usage': {'prompt_tokens': n_prompt, 'completion_tokens': n, 'total_tokens': n_prompt + n},
                                     'choices': [{'index': 0, 'finish_reason': why, 'message': {'role': 'assistant', 'content': text}}]})


async def answer(send, status, value):
    await send({'type': 'http.response.start', 'status': status, 'headers': [(b'content-type', b'application/json')]})
    await send({'type': 'http.response.body', 'body': json.dumps(value).encode()})


def main():
    env = os.environ
    model = Model(env['MODEL'], env.get('DEVICE', 'auto'), env.get('DTYPE', 'float32'), float(env.get('RESERVE_GIB', '0')))
    server = uvicorn.Server(uvicorn.Config(Api(model), host='127.0.0.1', port=int(env.get('PORT', '8000')), lifespan='off', log_level='info', access_log=False))
    handed = [socket.socket(fileno=3)] if env.get('LISTEN_FDS') == '1' else None
    asyncio.run(server.serve(sockets=handed))


if __name__ == '__main__':
    main()

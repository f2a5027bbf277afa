#!/usr/bin/env python3
"""The official openai client against our endpoint: what programs written for other servers do with it.

  openai_client.py URL NATIVE.jsonl

NATIVE.jsonl is an exported run of the model behind the URL; its answers must come back through the client.
"""
import asyncio
import json
import sys

import openai

GREEDY = {"model": "moecap-tiny", "temperature": 0}
PROMPT = "Question: 9 hens lay 7 eggs each. Nora sells 13 of the eggs. How many eggs are left?\nAnswer:"
CHAT = {**GREEDY, "messages": [{"role": "user", "content": PROMPT}], "max_tokens": 64}


def check(what, ok, seen=""):
    if not ok:
        sys.exit(f"openai client: {what}: {seen!r}")
    print(f"  {what}")


def refused(call, kind, **fields):
    """The error of a call that must be refused with it."""
    try:
        call(**fields)
    except kind as error:
        return error
    sys.exit(f"openai client: {fields} was not refused with {kind.__name__}")


def check_models(client):
    names = [m.id for m in client.models.list()]
    check("models.list names the model", names == ["moecap-tiny"], names)
    check("models.retrieve finds it", client.models.retrieve("moecap-tiny").id == "moecap-tiny")
    error = refused(client.models.retrieve, openai.NotFoundError, model="no-such")
    check("an unknown model is NotFoundError", error.code == "model_not_found", error.code)


def check_completions(client):
    whole = client.completions.create(prompt=PROMPT, max_tokens=64, **GREEDY)
    check("a completion ends by itself", whole.choices[0].finish_reason == "stop", whole)
    chunks = list(client.completions.create(prompt=PROMPT, max_tokens=64, stream=True,
                                            stream_options={"include_usage": True}, **GREEDY))
    text = "".join(c.choices[0].text for c in chunks if c.choices)
    check("its stream says the same", text == whole.choices[0].text, text)
    check("and counts the same", chunks[-1].usage == whole.usage, chunks[-1].usage)
    bare = list(client.completions.create(prompt=PROMPT, max_tokens=4, stream=True, **GREEDY))
    check("without include_usage no chunk has usage", all(c.usage is None for c in bare))
    check("a short stream ends by length", bare[-1].choices[0].finish_reason == "length", bare[-1])
    stopped = client.completions.create(prompt=PROMPT, max_tokens=64, stop=["eggs"], **GREEDY).choices[0]
    check("a stop string is not in the text", stopped.text == text[:text.index("eggs")], stopped.text)
    exact = client.completions.create(prompt=PROMPT, max_tokens=90, extra_body={"ignore_eos": True}, **GREEDY)
    check("ignore_eos gives the exact length", exact.usage.completion_tokens == 90, exact.usage)


def check_sampling(client):
    def draw(seed):
        return client.completions.create(model="moecap-tiny", prompt="Question:", max_tokens=24, seed=seed).choices[0].text

    check("a seed gives the same text again", draw(7) == draw(7))
    check("another seed another text", len({draw(seed) for seed in range(6)}) > 1)


def check_lists(client):
    texts = ["Question: 1 + 1", "Question: 2 + 2", PROMPT]
    one_by_one = [client.completions.create(prompt=t, max_tokens=8, **GREEDY) for t in texts]
    together = client.completions.create(prompt=texts, max_tokens=8, **GREEDY)
    check("a list of prompts is answered in order",
          [c.text for c in together.choices] == [w.choices[0].text for w in one_by_one], together)
    check("its usage is the sum",
          together.usage.prompt_tokens == sum(w.usage.prompt_tokens for w in one_by_one), together.usage)


def check_echo(client):
    c = client.completions.create(prompt=PROMPT, max_tokens=0, echo=True, logprobs=1, **GREEDY).choices[0]
    check("echo returns the prompt", c.text == PROMPT and "".join(c.logprobs.tokens) == PROMPT, c.text)
    check("every token but the first has a log-probability",
          c.logprobs.token_logprobs[0] is None and all(s <= 0 for s in c.logprobs.token_logprobs[1:]))
    text = "a caf\u00e9 for \U0001f600 and you"
    c = client.completions.create(prompt=text, max_tokens=0, echo=True, logprobs=1, **GREEDY).choices[0]
    placed = [text[o:].startswith(t) for t, o in zip(c.logprobs.tokens, c.logprobs.text_offset) if t[:6] != "bytes:"]
    check("text_offset counts characters, whatever the text", all(placed) and c.text == text, c.logprobs)


def check_chat(client):
    whole = client.chat.completions.create(**CHAT)
    chunks = list(client.chat.completions.create(stream=True, stream_options={"include_usage": True}, **CHAT))
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    check("a chat's stream says what the whole answer says", text == whole.choices[0].message.content, text)
    check("the first chunk has the role", chunks[0].choices[0].delta.role == "assistant", chunks[0])
    parts = [{"role": "user", "content": [{"type": "text", "text": PROMPT}]}]
    same = client.chat.completions.create(**{**CHAT, "messages": parts})
    check("a content of parts is the same chat", same.choices[0].message.content == text, same)


def check_refusals(client):
    create = client.completions.create
    for fields, param in (({"max_tokens": -1}, "max_tokens"), ({"temperature": "hot"}, "temperature"),
                          ({"n": 3}, "n"), ({"logit_bias": {"5": 1}}, "logit_bias")):
        error = refused(create, openai.BadRequestError, **{"model": "moecap-tiny", "prompt": PROMPT, **fields})
        check(f"{fields} is BadRequestError that names {param}", error.param == param, error.param)
    error = refused(create, openai.BadRequestError, prompt="many words " * 2000, max_tokens=4, **GREEDY)
    check("a prompt past the context is context_length_exceeded", error.code == "context_length_exceeded", error.code)


def check_leaving(client):
    """A stream closed early must not hold its place: as many follow as could not wait for it."""
    for _ in range(12):
        stream = client.completions.create(prompt=PROMPT, max_tokens=900, stream=True,
                                           extra_body={"ignore_eos": True}, **GREEDY)
        next(iter(stream))
        stream.close()
    answer = client.completions.create(prompt=PROMPT, max_tokens=4, **GREEDY)
    check("streams that are closed early leave the server free", answer.usage.completion_tokens == 4)


async def check_answers(url, native):
    """The samples of the native run, eight at a time."""
    client, gate = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0), asyncio.Semaphore(8)

    async def ask(answer):
        async with gate:
            reply = await client.completions.create(prompt=answer["prompt"], max_tokens=128,
                                                    stop=["Question:", "\n\n"], **GREEDY)
        return reply.choices[0].text == answer["text"]

    same = await asyncio.gather(*map(ask, native))
    check(f"{len(native)} samples of the native run, 8 at a time: {sum(same)} answers equal", all(same))


def main():
    url, path = sys.argv[1:]
    with open(path, encoding="utf-8") as lines:
        records = [json.loads(line) for line in lines]
    native = [r["sample"]["answer"] for r in records if r["kind"] == "sample"]
    client = openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=120)
    for part in (check_models, check_completions, check_sampling, check_lists, check_echo, check_chat,
                 check_refusals, check_leaving):
        part(client)
    asyncio.run(check_answers(url, native))


main()

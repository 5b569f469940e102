"""OpenAI's Python client on a gateway. Checks what it gets, and prints the receipts as JSON.

OPENAI_BASE_URL: the gateway, with /v1. OPENAI_API_KEY: one of its keys. STREAMS: how many at once, 50 unless set.
"""

import concurrent.futures
import hashlib
import json
import os

import openai

STREAMS = int(os.environ.get("STREAMS", "50"))
QUESTION = [{"role": "user", "content": "What is the capital of France?"}]


def refused(error, call):
    """Returns the error that the call must raise."""
    try:
        call()
    except error as found:
        return found
    raise AssertionError(f"expected {error.__name__}")


def whole(client, model):
    answer = client.chat.completions.create(
        model=model, messages=QUESTION, max_completion_tokens=32, seed=1, user="someone", extra_body={"poq": {"tier": "sampled"}}
    )
    text, poq = answer.choices[0].message.content, answer.poq
    assert hashlib.sha256(text.encode()).hexdigest() == poq["answer_sha256"], answer
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    receipt = client.get(f"/receipts/{poq['receipt']}", cast_to=object)
    assert receipt["leaf"] == poq["leaf"] and receipt["charged"] == poq["charged"], receipt
    return poq["receipt"]


def streamed(client, model, seed=None):
    stream = client.chat.completions.create(
        model=model, messages=QUESTION, max_tokens=32, seed=seed, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    last = chunks[-2]
    assert last.choices[0].finish_reason in ("stop", "length"), last
    assert hashlib.sha256(text.encode()).hexdigest() == last.poq["answer_sha256"], chunks
    assert chunks[-1].usage.completion_tokens > 0 and len({chunk.id for chunk in chunks}) == 1
    with client.chat.completions.stream(model=model, messages=QUESTION, max_tokens=32) as events:
        try:
            final = events.get_final_completion()
        except openai.LengthFinishReasonError as error:
            final = error.completion
        assert final.choices[0].message.content
    return last.poq["receipt"]


def refusals(client, model):
    unknown = refused(openai.NotFoundError, lambda: client.chat.completions.create(model="gpt-4", messages=QUESTION))
    assert unknown.code == "model_not_found" and unknown.param == "model"
    tools = [{"type": "function", "function": {"name": "f"}}]
    wrong = refused(
        openai.BadRequestError, lambda: client.chat.completions.create(model=model, messages=QUESTION, tools=tools)
    )
    assert wrong.code == "unsupported_parameter" and wrong.param == "tools"
    cheap = {"poq": {"max_price": 1}}
    poor = refused(
        openai.BadRequestError,
        lambda: client.chat.completions.create(model=model, messages=QUESTION, extra_body=cheap),
    )
    assert poor.code == "max_price_too_low"
    stranger = client.with_options(api_key="poq-wrong")
    assert refused(openai.AuthenticationError, stranger.models.list).code == "invalid_api_key"


def main():
    client = openai.OpenAI(base_url=os.environ["OPENAI_BASE_URL"])
    model = client.models.list().data[0].id
    assert client.models.retrieve(model).poq["ready"]
    receipts = [whole(client, model), streamed(client, model)]
    with concurrent.futures.ThreadPoolExecutor(STREAMS) as pool:
        receipts += pool.map(lambda seed: streamed(client, model, seed), range(STREAMS))
    assert len(set(receipts)) == 2 + STREAMS
    refusals(client, model)
    print(json.dumps(receipts))


if __name__ == "__main__":
    main()

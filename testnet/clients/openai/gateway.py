"""OpenAI's Python client on a gateway. Checks what it gets, and prints the receipts as JSON.

OPENAI_BASE_URL: the gateway, with /v1. OPENAI_API_KEY: one of its keys. STREAMS: how many at once, 50 unless set.
"""

import concurrent.futures
import hashlib
import json
import os
import time

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


def completed(client, model):
    answer = client.completions.create(model=model, prompt="What is the capital of France?", max_tokens=32, seed=1)
    assert hashlib.sha256(answer.choices[0].text.encode()).hexdigest() == answer.poq["answer_sha256"], answer
    chunks = list(client.completions.create(model=model, prompt="And of Spain?", max_tokens=32, stream=True))
    text = "".join(chunk.choices[0].text for chunk in chunks)
    assert hashlib.sha256(text.encode()).hexdigest() == chunks[-1].poq["answer_sha256"], chunks
    assert {chunk.id for chunk in chunks} == {f"cmpl-{chunks[-1].poq['receipt']}"}
    return [answer.poq["receipt"], chunks[-1].poq["receipt"]]


def responded(client, model):
    ask = {"model": model, "max_output_tokens": 32}
    first = client.responses.create(**ask, input=QUESTION[0]["content"], instructions="Be brief.")
    assert first.status in ("completed", "incomplete") and first.usage.output_tokens > 0, first
    assert hashlib.sha256(first.output_text.encode()).hexdigest() == first.poq["answer_sha256"], first
    # The next turn has the earlier answer as the client got it: the gateway stores nothing.
    history = [*QUESTION, *first.output, {"role": "user", "content": "And of Spain?"}]
    created = list(client.responses.create(**ask, input=history, stream=True))
    with client.responses.stream(**ask, input="And of Italy?") as stream:
        streamed = list(stream)
    receipts = [first.poq["receipt"]]
    for events in (created, streamed):
        assert [event.sequence_number for event in events] == list(range(len(events)))
        text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
        last = events[-1]
        assert last.type == f"response.{last.response.status}" and last.response.output_text == text, last
        assert hashlib.sha256(text.encode()).hexdigest() == last.response.poq["answer_sha256"], last
        receipts.append(last.response.poq["receipt"])
    wrong = refused(openai.BadRequestError, lambda: client.responses.create(**ask, input="a", store=True))
    assert wrong.code == "unsupported_parameter" and wrong.param == "store"
    return receipts


def conversation(client, model):
    """A history, stop texts, and a repetition that is not paid twice."""
    first = client.chat.completions.create(model=model, messages=QUESTION, max_tokens=32, seed=2)
    messages = [
        {"role": "system", "content": "Be brief."},
        *QUESTION,
        first.choices[0].message,
        {"role": "user", "content": "And of Spain?"},
    ]
    ask = lambda count: client.chat.completions.create(
        model=model, messages=messages, max_tokens=32, seed=3, stop=["\n\n"], extra_headers={"x-stainless-retry-count": count}
    )
    second, again = ask("0"), ask("1")
    assert "\n\n" not in second.choices[0].message.content
    assert again.poq == second.poq and again.choices[0].message == second.choices[0].message, again
    return [first.poq["receipt"], second.poq["receipt"]]


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
    # Larger than 2 MiB.
    long = [{"role": "user", "content": "a" * 2_200_000}]
    large = refused(openai.APIStatusError, lambda: client.chat.completions.create(model=model, messages=long))
    assert large.status_code == 413 and large.code == "request_too_large"
    missing = refused(openai.NotFoundError, lambda: client.get("/receipts/0-0", cast_to=object))
    assert missing.code == "receipt_not_found"
    stranger = client.with_options(api_key="poq-wrong")
    assert refused(openai.AuthenticationError, stranger.models.list).code == "invalid_api_key"


def estimate(client, receipt):
    """The quality of an answer by the gateway's own score, which it computes beside serving."""
    for _ in range(100):
        quality = client.get(f"/receipts/{receipt}", cast_to=object)["quality"]
        if quality["estimate"] is not None:
            return quality["estimate"]
        time.sleep(0.2)
    raise AssertionError(f"no estimate of {receipt}")


def main():
    client = openai.OpenAI(base_url=os.environ["OPENAI_BASE_URL"])
    model = client.models.list().data[0].id
    assert client.models.retrieve(model).poq["ready"]
    receipts = [whole(client, model), streamed(client, model)]
    with concurrent.futures.ThreadPoolExecutor(STREAMS) as pool:
        receipts += pool.map(lambda seed: streamed(client, model, seed), range(STREAMS))
    assert len(set(receipts)) == 2 + STREAMS
    receipts += completed(client, model) + responded(client, model) + conversation(client, model)
    assert len(set(receipts)) == len(receipts)
    refusals(client, model)
    for receipt in receipts:
        assert 0 <= estimate(client, receipt) <= 1
    print(json.dumps(receipts))


if __name__ == "__main__":
    main()

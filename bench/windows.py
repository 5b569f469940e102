#!/usr/bin/env python3
"""Compares ways to read a long answer: one window, or several with their mean, lowest or highest score.

Needs `pip install onnxruntime==1.31.1 tokenizers numpy` and a file of human preferences, one JSON object per
line with `prompt`, `answer_a`, `answer_b` and `preferred` (a, b or tie). This script has its own implementation
of the rule of windows in `evaluator/README.md`. Few answers of such files are longer than 512 tokens, so
smaller windows are measured, for which more answers are long. The results do not depend on the load.
"""

import argparse
import json
import os
import random
import time

import numpy
import onnxruntime
import tokenizers

from common import CACHE, machine

MODEL = CACHE / "models/ms-marco-minilm-l-12-v2"
CLS, SEP = 101, 102
READINGS = ["first window", "mean", "least", "highest", "mean, overlapping"]


def load_model(threads):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(MODEL / "model.onnx", options, ["CPUExecutionProvider"])
    tokenizer = tokenizers.Tokenizer.from_file(str(MODEL / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return session, tokenizer


class Scorer:
    def __init__(self, max_tokens, max_windows, threads):
        self.session, self.tokenizer = load_model(threads)
        self.max_tokens, self.max_windows = max_tokens, max_windows
        self.runs = 0

    def ids(self, text):
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def room(self, prompt):
        """Largest number of answer tokens in one window."""
        whole = self.max_tokens - 3
        return max(whole - len(prompt), (whole + 1) // 2)

    def windows(self, prompt, answer, overlap):
        """Token ids of the answer's windows; they share a quarter of the room if `overlap`."""
        room = self.room(prompt)
        if overlap and len(answer) > room:
            step = room - room // 4
            count = min(-(-(len(answer) - room) // step) + 1, self.max_windows)
            read = min(len(answer), room + step * (count - 1))
            starts = [index * (read - room) // (count - 1) if count > 1 else 0 for index in range(count)]
            return [answer[start : start + room] for start in starts]
        count = max(1, min(-(-len(answer) // room), self.max_windows))
        read = min(len(answer), count * room)
        return [answer[index * read // count : (index + 1) * read // count] for index in range(count)]

    def logit(self, prompt, window):
        first = [CLS, *prompt, SEP]
        ids = [*first, *window, SEP]
        rows = {
            "input_ids": ids,
            "attention_mask": [1] * len(ids),
            "token_type_ids": [0] * len(first) + [1] * (len(ids) - len(first)),
        }
        feed = {name: numpy.array([row], dtype=numpy.int64) for name, row in rows.items()}
        self.runs += 1
        return float(self.session.run(["logits"], feed)[0][0][0])

    def score(self, prompt, answer):
        """The score by each of READINGS; prompt and answer are token ids."""
        room = self.room(prompt)
        prompt = prompt[: self.max_tokens - 3 - min(len(answer), room)]
        mean = lambda logits: sum(logits) / len(logits)
        apart = [self.logit(prompt, window) for window in self.windows(prompt, answer, False)]
        if len(answer) <= room:
            return [apart[0]] * len(READINGS)
        first = self.logit(prompt, answer[:room])
        overlapping = [self.logit(prompt, window) for window in self.windows(prompt, answer, True)]
        return [first, mean(apart), min(apart), max(apart), mean(overlapping)]


def right(better, worse):
    """By reading: 1 if the better answer has the higher score, one half if the scores are equal."""
    return [(a > b) + (a == b) / 2 for a, b in zip(better, worse)]


def long_texts(items):
    """Joins all answers to each prompt into one long relevant answer."""
    answers = {}
    for item in items:
        of_prompt = answers.setdefault(item["prompt"], [])
        of_prompt += [text for text in (item["answer_a"], item["answer_b"]) if text not in of_prompt]
    return {prompt: " ".join(texts) for prompt, texts in answers.items()}


def preferences(scorer, items):
    """Agreement with human preferences, for pairs in which an answer has more than one window."""
    for item in items:
        if item["preferred"] == "tie":
            continue
        prompt = scorer.ids(item["prompt"])
        answers = {side: scorer.ids(item[f"answer_{side}"]) for side in "ab"}
        if max(map(len, answers.values())) <= scorer.room(prompt):
            continue
        scores = {side: scorer.score(prompt, answer) for side, answer in answers.items()}
        better = item["preferred"]
        yield "people's preference", right(scores[better], scores["b" if better == "a" else "a"])


def attacks(scorer, items, windows, number, rng):
    """Preference of a relevant answer over one of the same length that contains junk."""
    texts = {prompt: scorer.ids(text) for prompt, text in long_texts(items).items()}
    prompts = sorted(texts)
    rng.shuffle(prompts)
    for prompt in prompts:
        head, good = scorer.ids(prompt), texts[prompt]
        room = scorer.room(head)
        length = room * windows
        if len(good) < length or number == 0:
            continue
        number -= 1
        others = [other for other in prompts if other != prompt]
        junk = []
        while len(junk) < length:
            junk += texts[rng.choice(others)]
        part, most, half = room // 2, room, length // 2
        cases = {
            "half a window good, then junk": good[:part] + junk[: length - part],
            "a window good, then junk": good[:most] + junk[: length - most],
            "junk, then half a window good": junk[: length - part] + good[:part],
            "half good, half junk": good[:half] + junk[: length - half],
            "junk only": junk[:length],
        }
        whole = scorer.score(head, good[:length])
        for case, answer in cases.items():
            yield case, right(whole, scorer.score(head, answer))


def table(rows):
    """Share of correctly ordered pairs by case and reading."""
    sums = {}
    for case, outcomes in rows:
        of_case = sums.setdefault(case, [0, [0] * len(READINGS)])
        of_case[0] += 1
        of_case[1] = [total + outcome for total, outcome in zip(of_case[1], outcomes)]
    for case, (number, totals) in sums.items():
        cells = " | ".join(f"{100 * total / number:.0f}" for total in totals)
        print(f"| {case} | {number} | {cells} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("preferences", help="JSON lines")
    parser.add_argument("--max-tokens", type=int, nargs="+", default=[64, 128])
    parser.add_argument("--max-windows", type=int, default=8)
    parser.add_argument("--windows", type=int, default=3, help="length of the attacks")
    parser.add_argument("--items", type=int, default=60, help="attacks of each kind")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    options = parser.parse_args()
    with open(options.preferences, encoding="utf-8") as file:
        items = [json.loads(line) for line in file]
    print(f"{machine()}; at most {options.max_windows} windows; right orders in %, 50 is chance")
    for max_tokens in options.max_tokens:
        scorer = Scorer(max_tokens, options.max_windows, options.threads)
        start = time.monotonic()
        print(f"\n{max_tokens} tokens in a window, junk in {options.windows} windows:\n")
        print(f"| the better one against | pairs | {' | '.join(READINGS)} |")
        print(f"| --- | --- |{' --- |' * len(READINGS)}")
        table(preferences(scorer, items))
        table(attacks(scorer, items, options.windows, options.items, random.Random(5)))
        print(f"\n{scorer.runs} windows in {time.monotonic() - start:.0f} s")


main()

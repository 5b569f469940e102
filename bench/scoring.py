#!/usr/bin/env python3
"""Compares the time per score of the evaluator and ONNX Runtime in Python, alternately in one run.

Needs a built evaluator (`make build`) and `pip install onnxruntime==1.31.1 tokenizers numpy`. Both
tokenize and score the same pair with the same files on one thread; loading and a warm-up are not
counted. Figures are over all rounds; every round has its own process.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

from common import CACHE, TARGET, machine

MODEL = CACHE / "models/ms-marco-minilm-l-12-v2"
PROMPT = "Why is the sky blue?"
# Tokens of the prompt and of [CLS], [SEP] and [SEP]; every further word is one token.
AROUND = 9


def answer_of(tokens):
    return " ".join(["light"] * (tokens - AROUND))


def evaluator(tokens, repeat):
    """Median and 99th percentile of poq-evaluator, milliseconds."""
    command = [TARGET / "debug/poq-evaluator", "score", "--threads", "1", "--output", "json"]
    command += ["--repeat", str(repeat), "--prompt", PROMPT, "--answer", answer_of(tokens)]
    environment = {**os.environ, "RUST_LOG": "warn"}
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment)
    scored = json.loads(output.stdout)
    assert scored["tokens"] == tokens, scored
    return scored["milliseconds"], scored["milliseconds_p99"], scored["logit"]


def python(tokens, repeat):
    """Median and 99th percentile of Python, milliseconds; runs in the child process."""
    import numpy
    import onnxruntime
    import tokenizers

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(MODEL / "model.onnx", options, ["CPUExecutionProvider"])
    tokenizer = tokenizers.Tokenizer.from_file(str(MODEL / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(512)

    def score():
        encoded = tokenizer.encode(PROMPT, answer_of(tokens))
        rows = {
            "input_ids": encoded.ids,
            "attention_mask": encoded.attention_mask,
            "token_type_ids": encoded.type_ids,
        }
        feed = {name: numpy.array([row], dtype=numpy.int64) for name, row in rows.items()}
        assert len(encoded.ids) == tokens
        return float(session.run(["logits"], feed)[0][0][0])

    logit = score()
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        score()
        times.append((time.perf_counter() - start) * 1000)
    times.sort()
    return statistics.median(times), times[-(-len(times) * 99 // 100) - 1], logit


def in_child(tokens, repeat):
    command = [sys.executable, __file__, "--python", str(tokens), "--repeat", str(repeat)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, nargs="+", default=[64, 128, 256, 512])
    parser.add_argument("--repeat", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--python", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.python:
        print(json.dumps(python(options.python, options.repeat)))
        return

    print(f"{machine()}; one thread, {options.rounds} rounds of {options.repeat} scores")
    print("| tokens | evaluator p50, ms | p99, ms | Python p50, ms | p99, ms | evaluator / Python, p50 | logits differ by |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for tokens in options.tokens:
        rounds = [
            (evaluator(tokens, options.repeat), in_child(tokens, options.repeat))
            for _ in range(options.rounds)
        ]
        ours, theirs = ([side[k] for side in rounds] for k in (0, 1))
        p50, p99, other50, other99 = (
            statistics.median(side[k] for side in of)
            for of, k in ((ours, 0), (ours, 1), (theirs, 0), (theirs, 1))
        )
        difference = abs(ours[0][2] - theirs[0][2])
        print(
            f"| {tokens} | {p50:.1f} | {p99:.1f} | {other50:.1f} | {other99:.1f}"
            f" | {p50 / other50:.2f} | {difference:.1e} |"
        )


main()

#!/usr/bin/env python3
"""Compares time per score and memory of the reference evaluator and ONNX Runtime, alternately in one run.

Needs a built evaluator (`make build`). Both score the same pair with the same file on one thread, in the
same program (`poq-evaluator score`). Times exclude loading and a warm-up. Every round has its own process;
figures are medians over the rounds. Memory is the process's peak, including loading.
"""

import argparse
import json
import os
import statistics
import subprocess

from common import TARGET, machine

PROMPT = "Why is the sky blue?"
# Tokens of the prompt and of [CLS], [SEP] and [SEP]; every further word is one token.
AROUND = 9


def score(backend, tokens, repeat):
    """The evaluator's output and its peak memory in MB."""
    answer = " ".join(["light"] * (tokens - AROUND))
    command = [TARGET / "debug/poq-evaluator", "score", "--threads", "1", "--backend", backend]
    command += ["--output", "json", "--repeat", str(repeat), "--prompt", PROMPT, "--answer", answer]
    environment = {**os.environ, "RUST_LOG": "warn"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, f"{command[0]} failed"
    scored = json.loads(output)
    assert scored["tokens"] == tokens, scored
    return scored, usage.ru_maxrss / 1000


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, nargs="+", default=[64, 128, 256, 512])
    parser.add_argument("--repeat", type=int, default=40, help="scores per round")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()

    print(f"{machine()}; one thread, {options.rounds} rounds of {options.repeat} scores")
    print("| tokens | reference p50, ms | p99, ms | ONNX Runtime p50, ms | p99, ms | ratio of p50 | raw scores differ by | memory, MB: reference | ONNX Runtime |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for tokens in options.tokens:
        rounds = [
            [score(backend, tokens, options.repeat) for backend in ("reference", "onnxruntime")]
            for _ in range(options.rounds)
        ]
        reference, runtime = ([of[side] for of in rounds] for side in (0, 1))
        p50, p99, other50, other99 = (
            statistics.median(scored[key] for scored, _ in of)
            for of in (reference, runtime)
            for key in ("milliseconds", "milliseconds_p99")
        )
        memory, other = (max(most for _, most in of) for of in (reference, runtime))
        difference = abs(reference[0][0]["raw_score"] - runtime[0][0]["raw_score"])
        print(
            f"| {tokens} | {p50:.1f} | {p99:.1f} | {other50:.1f} | {other99:.1f} | {p50 / other50:.2f}"
            f" | {difference} | {memory:.0f} | {other:.0f} |",
            flush=True,
        )


main()

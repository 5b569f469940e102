#!/usr/bin/env python3
"""Measures several answers at once: total tokens per second, and the time of each answer.

Needs a built inference node (`make programs`). The node gets 1, 2, 4 and 8 questions at once and answers
1, 2 and 4 at the same time (`model.concurrency`), alternately, on the same number of threads. Figures are
medians over the rounds. Each run has its own process; loading and warming up are not counted, waiting is.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys

from common import TARGET, machine

PROMPT = "Tell me a long story about a fox and a bear."


def ask(concurrency, requests, threads, tokens):
    """Asks one process several questions at once."""
    command = [TARGET / "debug/poq-inference-node", "generate", "--output", "json"]
    command += ["--threads", str(threads), "--concurrency", str(concurrency)]
    command += ["--temperature", "0", "--repetition-penalty", "1"]
    command += ["--at-once", str(requests), "--max-tokens", str(tokens), "--prompt", PROMPT]
    environment = {**os.environ, "RUST_LOG": "warn"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    answer = json.loads(output)
    first, total = answer["first_token_ms"], answer["total_ms"]
    return {
        "together": answer["tokens_per_second"],
        "first": statistics.median(first) / 1000,
        "last first": max(first) / 1000,
        "end": statistics.median(total) / 1000,
        "last end": max(total) / 1000,
        "memory": usage.ru_maxrss / 1024,
        "answers": answer["answers"],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--requests", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--concurrency", type=int, nargs="+", default=[1, 2, 4])
    options = parser.parse_args()

    variants = [(room, asked) for asked in options.requests for room in options.concurrency]
    print(f"{machine()}; {options.threads} threads, {options.tokens} tokens, {options.rounds} rounds")
    runs = {variant: [] for variant in variants}
    for number in range(options.rounds):
        print(f"round {number + 1}", file=sys.stderr)
        for room, asked in variants:
            runs[room, asked].append(ask(room, asked, options.threads, options.tokens))

    print("| requests at once | `concurrency` | tokens/s together | of one at a time", end="")
    print(" | first token, s: median, last | end, s: median, last | memory, MiB |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    medians = {
        variant: {
            part: statistics.median(run[part] for run in of) for part in of[0] if part != "answers"
        }
        for variant, of in runs.items()
    }
    for (room, asked), of in medians.items():
        alone = medians[options.concurrency[0], asked]["together"]
        print(
            f"| {asked} | {room} | {of['together']:.1f} | {of['together'] / alone:.2f}"
            f" | {of['first']:.1f}, {of['last first']:.1f}"
            f" | {of['end']:.1f}, {of['last end']:.1f} | {of['memory']:.0f} |"
        )
    for asked in options.requests:
        texts = {tuple(run["answers"]) for room in options.concurrency for run in runs[room, asked]}
        print(f"answers to {asked} at once: {'equal' if len(texts) == 1 else 'NOT EQUAL'}")


main()

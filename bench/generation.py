#!/usr/bin/env python3
"""Compares the speed of answers of the inference node and llama.cpp, alternately in one run.

Needs a built inference node (`make programs`) and `pip install llama-cpp-python==0.3.36`, which
compiles llama.cpp for this machine. Every variant answers the same prompt greedily, in its own process,
once per round; loading is not counted. Figures are medians over the rounds.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

from common import CACHE, TARGET, machine

FOLDER = pathlib.Path(__file__).parent
MODEL = CACHE / "models/smollm2-135m-instruct/SmolLM2-135M-Instruct.Q4_1.gguf"


def inference_node(weights, threads, prompt, tokens):
    """One answer of poq-inference-node."""
    command = [TARGET / "debug/poq-inference-node", "generate", "--output", "json"]
    command += ["--weights", weights, "--threads", str(threads)]
    command += ["--temperature", "0", "--repetition-penalty", "1"]
    command += ["--max-tokens", str(tokens), "--prompt", prompt]
    environment = {**os.environ, "RUST_LOG": "warn"}
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment)
    answer = json.loads(output.stdout)
    return {
        "prompt": answer["prompt_tokens"] / answer["first_token_ms"] * 1000,
        "decode": answer["tokens_per_second"],
        "answer": answer["answer"],
    }


def llama_cpp(threads, prompt, tokens):
    """One answer of llama.cpp; runs in the child process."""
    import llama_cpp

    model = llama_cpp.Llama(
        str(MODEL), n_ctx=2048, n_threads=threads, n_threads_batch=threads, verbose=False
    )
    text = f"<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n<|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n"
    context = model.tokenize(text.encode(), add_bos=False, special=True)
    answer = []
    start = time.perf_counter()
    for token in model.generate(context, temp=0, repeat_penalty=1.0):
        if not answer:
            first = time.perf_counter()
        if token == model.token_eos() or len(answer) == tokens:
            break
        answer.append(token)
    end = time.perf_counter()
    return {
        "prompt": len(context) / (first - start),
        "decode": (len(answer) - 1) / (end - first),
        "answer": model.detokenize(answer).decode(errors="replace"),
    }


def in_child(threads, tokens):
    command = [sys.executable, __file__, "--threads", str(threads), "--tokens", str(tokens)]
    output = subprocess.run([*command, "--only-llama-cpp"], check=True, stdout=subprocess.PIPE)
    return json.loads(output.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--weights", nargs="+", default=["f32", "q8_0", "q8_0_all", "original"])
    parser.add_argument("--only-llama-cpp", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    prompt = (FOLDER / "prompt.txt").read_text().strip()
    if options.only_llama_cpp:
        print(json.dumps(llama_cpp(options.threads, prompt, options.tokens)))
        return

    variants = {"llama.cpp": lambda: in_child(options.threads, options.tokens)}
    for weights in options.weights:
        variants[f"inference node, {weights}"] = lambda weights=weights: inference_node(
            weights, options.threads, prompt, options.tokens
        )
    print(f"{machine()}; {options.threads} threads, {options.tokens} tokens, {options.rounds} rounds")
    runs = {name: [] for name in variants}
    for number in range(options.rounds):
        print(f"round {number + 1}", file=sys.stderr)
        for name, run in variants.items():
            runs[name].append(run())

    medians = {
        name: [statistics.median(run[part] for run in of) for part in ("prompt", "decode")]
        for name, of in runs.items()
    }
    prompt_yardstick, decode_yardstick = medians["llama.cpp"]
    print("| engine | prompt, tokens/s | of llama.cpp | decoding, tokens/s | of llama.cpp |")
    print("| --- | --- | --- | --- | --- |")
    for name, (read, decoded) in medians.items():
        print(
            f"| {name} | {read:.0f} | {read / prompt_yardstick:.2f}"
            f" | {decoded:.1f} | {decoded / decode_yardstick:.2f} |"
        )
    for name, of in runs.items():
        print(f"\n{name}: {of[0]['answer'][:200]}")


main()

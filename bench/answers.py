#!/usr/bin/env python3
"""Measures the certainty of right answers with each type of weights, on this and on other processors.

Needs a built inference node (`make programs`). gemm, which multiplies matrices in single precision,
cuts them into blocks by the cache sizes that Linux reports. On another processor, sums therefore have
another order and other last bits. A mount namespace in which Linux reports other caches simulates each
processor of the list; the speed is the machine's own. This needs `unshare` of util-linux, and root or
user namespaces. 8-bit kernels sum in the same order everywhere.

An answer is right if it contains the expected word. Its margin is the lead of the logit of its least
certain token over the next one. Its shift is the largest difference of a margin from that on this
machine, over the common first tokens of both answers. Answers are certain while margins are wider than
shifts. Takes some minutes per processor.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

from common import TARGET, machine

CACHES = pathlib.Path("/sys/devices/system/cpu")
# Size in KiB and ways of the first level (data), the second, and the third as one core group sees it.
PROCESSORS = {
    "AMD EPYC Milan (AVX2)": [(32, 8), (512, 8), (32768, 16)],
    "AMD EPYC Turin (AVX-512)": [(48, 12), (1024, 16), (32768, 16)],
    "Intel Haswell (AVX2)": [(32, 8), (256, 8), (30720, 20)],
    "Intel Sapphire Rapids (AVX-512)": [(48, 12), (2048, 16), (107520, 15)],
}
MODEL = "smollm2-135m-instruct"


def margins(weights, questions, prefix=()):
    command = [*prefix, TARGET / "debug/poq-inference-node", "models", "margins", MODEL]
    command += ["--output", "json", "--weights", *weights]
    if questions:
        command += ["--questions", str(questions)]
    environment = {**os.environ, "RUST_LOG": "warn"}
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment)
    return json.loads(output.stdout)["weights"]


def with_caches(folder, levels):
    """The command prefix under which Linux reports only these caches."""
    for number, (kib, ways) in enumerate(levels, start=1):
        index = folder / f"cpu0/cache/index{number}"
        index.mkdir(parents=True)
        facts = {
            "type": "Data" if number == 1 else "Unified",
            "level": number,
            "size": f"{kib}K",
            "ways_of_associativity": ways,
            "coherency_line_size": 64,
            "shared_cpu_list": 0,
        }
        for name, value in facts.items():
            (index / name).write_text(f"{value}\n")
    script = f'mount --bind "{folder}" {CACHES} && exec "$@"'
    rights = [] if os.geteuid() == 0 else ["--map-root-user"]
    return ["unshare", "--mount", *rights, "sh", "-c", script, "sh"]


def shift(here, there):
    """The largest difference of a margin, over the common first tokens of the answers."""
    largest = 0
    for one, other in zip(here["answers"], there["answers"], strict=True):
        for left, right in zip(one["tokens"], other["tokens"]):
            largest = max(largest, abs(left["margin"] - right["margin"]))
            if left["text"] != right["text"]:
                break
    return largest


def changed(here, there):
    def texts(summary):
        return [[token["text"] for token in answer["tokens"]] for answer in summary["answers"]]

    return sum(left != right for left, right in zip(texts(here), texts(there), strict=True))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", nargs="+", default=["f32", "q8_0", "q8_0_all", "original"])
    parser.add_argument("--questions", type=int, help="number of questions to ask, from the first on")
    options = parser.parse_args()
    print(f"{machine()}; this machine first", file=sys.stderr)
    runs = {"this machine": margins(options.weights, options.questions)}
    for name, levels in PROCESSORS.items():
        print(name, file=sys.stderr)
        with tempfile.TemporaryDirectory() as folder:
            prefix = with_caches(pathlib.Path(folder), levels)
            runs[name] = margins(options.weights, options.questions, prefix)

    here = runs["this machine"]
    print(machine())
    print("| `weights` | processor | right | smallest margin | median | largest shift | other texts |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for weights in options.weights:
        for name, run in runs.items():
            of = run[weights]
            print(
                f"| `{weights}` | {name} | {of['right']} of {len(of['answers'])}"
                f" | {of['smallest']:.4f} | {of['median']:.2f}"
                f" | {shift(here[weights], of):.0e} | {changed(here[weights], of)} |"
            )


main()

#!/usr/bin/env python3
"""Compiles the programs of a network, with a forecast of the time and the progress.

Cargo counts packages, two of which take half of the time; here packages are weighted by their time.
All output goes to stderr, because stdout is for the receipt.
"""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

PROGRAMS = ["poqd", "poq-inference-node", "poq-evaluator", "poq-gateway", "poq-testnet"]
# CPU seconds of the slowest packages on two cores of an AMD EPYC (`cargo build --timings`).
COSTS = {
    "librocksdb-sys": 950, "mistralrs-core": 345, "poqd": 114, "poq-inference-node": 91,
    "candle-core": 74, "tikv-jemalloc-sys": 70, "poq-app": 39, "poq-store": 8, "tokenizers": 23, "poq-evaluator": 44,
    "poq-testnet": 31, "poq-gateway": 40, "libsqlite3-sys": 30, "reqwest": 10, "rustls": 9, "prost-reflect": 10, "aws-lc-sys": 21,
    "tendermint-rpc": 20, "poq-client": 14, "poq-worker": 12, "regex-automata": 19, "mistralrs-quant": 18,
    "minijinja": 17, "llguidance": 14, "tendermint-proto": 11, "mistralrs": 10, "tendermint": 9,
    "candle-nn": 9, "cosmos-sdk-proto": 9, "tokio": 9,
}
COST_OF_OTHERS = 0.8
ROCKSDB = "librocksdb-sys"
# Files that it compiles: too many for one step.
ROCKSDB_FILES = 343
# The serial part, in which compilers wait for each other, seconds.
CHAIN = 420
# Seconds of `speed_test` on the same machine.
SPEED_TEST = 0.014
# Compiling less than this is not worth a forecast, CPU seconds.
SHORT = 60
# Pauses between two updates of the progress: on a terminal, elsewhere.
PAUSES = (1, 60)


def speed_test():
    """This machine's time for a fixed computation, seconds; the best of a few tries."""
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        sum(number * number for number in range(500_000))
        best = min(best, time.perf_counter() - start)
    return best


def cost(package):
    return COSTS.get(package, COST_OF_OTHERS)


def selection():
    return [argument for program in PROGRAMS for argument in ("--package", program)]


def needed():
    """Names of the programs' packages, once per version."""
    command = ["cargo", "tree", "--locked", "--edges", "normal,build", "--prefix", "none"]
    command += [*selection(), "--format", "{p}"]
    tree = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return [name for name, _ in {tuple(line.split()[:2]) for line in tree.splitlines() if line}]


def missing(packages, target):
    """The packages that were never compiled here."""
    compiled = {path.name.rpartition("-")[0] for path in target.glob("debug/.fingerprint/*")}
    return [name for name in packages if name not in compiled]


def minutes(seconds):
    return f"{max(1, round(seconds / 60))} min"


class Progress:
    """The progress of the build: one changing line on a terminal, separate lines elsewhere."""

    def __init__(self, packages, forecast, target):
        # A package counts as done with its first version; the others are small.
        self.left = set(packages)
        self.total = sum(map(cost, self.left))
        self.forecast = forecast
        self.target = target
        self.start = time.monotonic()
        self.is_terminal = sys.stderr.isatty()

    def finish(self, package):
        # A new set is assigned, because the other thread could see a partial change.
        self.left = self.left - {package}

    def share(self, packages_left):
        left = sum(map(cost, packages_left))
        if ROCKSDB in packages_left:
            files = sum(1 for _ in self.target.glob(f"debug/build/{ROCKSDB}-*/out/*.o"))
            left -= cost(ROCKSDB) * min(1, files / ROCKSDB_FILES)
        return 1 - left / self.total

    def show(self):
        elapsed = time.monotonic() - self.start
        packages_left = self.left
        share = self.share(packages_left)
        # The forecast's weight decreases with the progress.
        seen = elapsed / share if share > 0 else self.forecast
        left = (1 - share) * (self.forecast * (1 - share) + seen * share)
        dearest = sorted(packages_left, key=cost, reverse=True)[:2]
        text = f"build: {share:.0%} in {minutes(elapsed)}, about {minutes(left)} to go"
        text += f" ({', '.join(dearest)})" if dearest else ""
        self.write(f"\r\033[K{text}" if self.is_terminal else f"{text}\n")

    def clear(self):
        self.write("\r\033[K" if self.is_terminal else "")

    def write(self, text):
        print(text, end="", file=sys.stderr, flush=True)


def announce(target):
    """Prints the forecast; returns the progress to show, or None for a short build."""
    new = missing(needed(), target)
    total = sum(map(cost, new))
    if total < SHORT:
        return None
    cores = len(os.sched_getaffinity(0))
    forecast = max(total / cores, min(total, CHAIN)) * speed_test() / SPEED_TEST
    print(
        f"build: {len(new)} packages are compiled, once; about {minutes(forecast)} on the {cores} cores of this"
        " machine. One compiler takes up to 3.3 GB of memory",
        file=sys.stderr,
    )
    return Progress(new, forecast, target)


def finished(message):
    """The package that a message of cargo reports as complete, or None."""
    if message["reason"] != "compiler-artifact":
        return None
    # registry+https://…#NAME@VERSION, or path+file:///…/NAME#VERSION
    before, _, after = message["package_id"].rpartition("#")
    package = after.partition("@")[0] if "@" in after else before.rpartition("/")[2]
    last = "bin" if package in PROGRAMS else "custom-build"
    is_last = (last in message["target"]["kind"]) == (last == "bin")
    return package if is_last else None


def follow(cargo, progress):
    """Shows the progress until cargo ends."""

    def read():
        for line in cargo.stdout:
            package = finished(json.loads(line))
            if package:
                progress.finish(package)

    reader = threading.Thread(target=read)
    reader.start()
    while reader.is_alive():
        progress.show()
        reader.join(PAUSES[0] if progress.is_terminal else PAUSES[1])
    progress.clear()


def build(progress):
    """Compiles; returns cargo's exit status."""
    command = ["cargo", "build", "--locked", "--bins", *selection()]
    if progress is None:
        return subprocess.run(command, stdout=sys.stderr).returncode
    command += ["--quiet", "--message-format", "json-render-diagnostics"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as cargo:
        follow(cargo, progress)
    return cargo.returncode


def main():
    target = Path(os.environ.get("CARGO_TARGET_DIR") or "target")
    try:
        sys.exit(build(announce(target)))
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)
    except KeyboardInterrupt:
        sys.exit("build: interrupted; run the same command again to resume")


if __name__ == "__main__":
    main()

"""Paths and helpers shared by the benchmarks."""

import os
import pathlib
import platform

CACHE = pathlib.Path(
    os.environ.get("POQ_CACHE")
    or pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "poq"
)
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or CACHE / "target")


def machine():
    """The processors and the load of this machine."""
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    load = os.getloadavg()[0]
    return f"{os.cpu_count()} x {names[0] if names else platform.processor()}, load {load:.1f}"

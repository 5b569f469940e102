#!/usr/bin/env python3
"""Fails if a network's programs and the whole workspace need a package with different features.

Cargo unifies the features of everything that it compiles at once. If `make programs` and `make build`
used different features, the package and its dependents would be compiled twice. The remedy is to list
the features in [workspace.dependencies]. `make lint` runs this; it compiles nothing.
"""

import hashlib
import json
import os
import subprocess
import sys

from build import selection


def units(arguments):
    """The units that cargo would compile: a digest that covers dependencies, and the unit's name and features."""
    command = ["cargo", "build", "--locked", *arguments, "-Z", "unstable-options", "--unit-graph"]
    # The unit graph is unstable, so cargo needs RUSTC_BOOTSTRAP to print it.
    environment = {**os.environ, "RUSTC_BOOTSTRAP": "1"}
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment)
    graph = json.loads(output.stdout)["units"]
    digests = {}

    def digest(index):
        if index not in digests:
            unit = graph[index]
            what = [unit["pkg_id"], unit["target"]["name"], unit["mode"], unit["profile"], unit["features"]]
            what += sorted(digest(dependency["index"]) for dependency in unit["dependencies"])
            digests[index] = hashlib.sha256(json.dumps(what).encode()).hexdigest()
        return digests[index]

    return {digest(index): unit for index, unit in enumerate(graph)}


def told(unit):
    package = unit["pkg_id"].rpartition("/")[2]
    return f"{package} ({unit['target']['name']}, {unit['mode']}) with [{', '.join(unit['features'])}]"


def main():
    programs = units(["--bins", *selection()])
    everything = units(["--workspace", "--all-targets"])
    only_here = {told(programs[digest]) for digest in programs.keys() - everything.keys()}
    if not only_here:
        return
    # Most units differ only by their dependencies; these are the causes.
    first = only_here - {told(unit) for unit in everything.values()}
    print(f"features: {len(only_here)} units are compiled for the programs only, because of these:", file=sys.stderr)
    for unit in sorted(first or only_here):
        print(f"  {unit}", file=sys.stderr)
    sys.exit(1)


if __name__ == "__main__":
    main()

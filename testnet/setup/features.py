#!/usr/bin/env python3
"""Fails if a network's programs need a package with other features than everything together does.

Cargo unites the features of what it compiles at once. With others for `make programs` than for
`make build`, the package, and all that depends on it, would be compiled twice. The cure is to name
the features in [workspace.dependencies]. `make lint` calls this; nothing is compiled.
"""

import hashlib
import json
import os
import subprocess
import sys

from build import selection


def units(arguments):
    """What cargo would compile, with what it is linked to: a digest, and the unit's name and features."""
    command = ["cargo", "build", "--locked", *arguments, "-Z", "unstable-options", "--unit-graph"]
    # The graph is not stable yet, so that cargo has to be told that it may be asked for.
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
    # Most differ by what they are linked to; these are where it begins.
    first = only_here - {told(unit) for unit in everything.values()}
    print(f"features: {len(only_here)} units are compiled for the programs only, because of these:", file=sys.stderr)
    for unit in sorted(first or only_here):
        print(f"  {unit}", file=sys.stderr)
    sys.exit(1)


if __name__ == "__main__":
    main()

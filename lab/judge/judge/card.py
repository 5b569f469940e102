"""Describes how a judge was trained, for its users."""

import json
from collections import defaultdict
from pathlib import Path

from .data import Prompt
from .mixture import SHARES


def card(run: Path, trained: list[Prompt]) -> str:
    """Settings, course and data of a run as Markdown."""
    settings = json.loads((run / "settings.json").read_text())
    log = course(run)
    best = chosen(log)
    steps = log[-1]["step"]
    lines = [
        "## Settings",
        "",
        f"{steps * settings['pairs']:,} pairs in {steps:,} steps; the checkpoint of step {best['step']:,} is the judge.",
        "",
        *_table(["setting", "is"], [[name, Path(value).name if name == "begin" else value] for name, value in settings.items() if value not in ("", [])]),
        "",
        "Shares: " + ", ".join(f"{name} {share:.0%}" for name, share in SHARES.items()) + ".",
        "",
        "## Course",
        "",
        "Loss since the last checkpoint, and accuracy of each part on the prompts that choose it.",
        "",
        *_table(["step", "loss", *best["kinds"]], [_course(row) for row in log]),
        "",
        "## Data",
        "",
        *_table(["source", "licence", "prompts", "answers", "pairs"], _sources(trained)),
    ]
    return "\n".join(lines)


def course(run: Path) -> list[dict]:
    """A run's checkpoints in order."""
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def chosen(log: list[dict]) -> dict:
    """The log line of the checkpoint that was chosen as the judge."""
    return next(row for row in reversed(log) if row["chosen"])


def _course(row: dict) -> list:
    return [row["step"], f"{row['loss']:.3f}", *(f"{value:.3f}" for value in row["kinds"].values())]


def _sources(trained: list[Prompt]) -> list[list]:
    sources = defaultdict(list)
    for prompt in trained:
        sources[prompt.source, prompt.licence].append(prompt)
    return [
        [source, licence or "not stated", len(of), sum(len(prompt.answers) for prompt in of), sum(len(prompt.pairs) for prompt in of)]
        for (source, licence), of in sorted(sources.items())
    ]


def _table(head: list[str], rows: list[list]) -> list[str]:
    return [" | ".join(map(str, row)) for row in [head, ["---"] * len(head), *rows]]

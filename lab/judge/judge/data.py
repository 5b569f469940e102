"""Reads the three documented forms of training data and draws pairs from them.

Prompts are split by `fold`: what is trained on, what chooses a checkpoint, and what the card is measured on have no prompt in
common. A row without a fold gets one from its prompt.
"""

import hashlib
import io
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import zstandard

FOLDS = 20
# The fold that chooses the checkpoint, and the fold of the card. All others are trained on.
CHOOSING, CARD = 0, 1
# One in so many of the models whose answers are compared is excluded from training.
HELD_MODELS = 5


class FormError(Exception):
    """A row that has none of the forms."""


@dataclass(frozen=True)
class Answer:
    """One answer. `level` orders the answers to one prompt, `strength` is the win rate of its model in %."""

    text: str
    level: float | None = None
    strength: float | None = None
    model: str | None = None
    wins: float | None = None


@dataclass
class Prompt:
    """All data on one prompt in one source."""

    text: str
    source: str
    fold: int
    licence: str = ""
    answers: list[Answer] = field(default_factory=list)
    # (better, worse, kind).
    pairs: list[tuple[str, str, str]] = field(default_factory=list)


def fold_of(prompt: str) -> int:
    """The fold of a prompt whose row has none."""
    return int.from_bytes(hashlib.sha256(prompt.encode()).digest()[:4], "big") % FOLDS


def held_model(name: str) -> bool:
    """Whether a model's answers are excluded from training."""
    return hashlib.sha256(name.encode()).digest()[0] % HELD_MODELS == 0


def read(folder: Path, tiers: list[str]) -> list[Prompt]:
    """All prompts of the files whose licence tier (the suffix of the name) is in `tiers`, or of all files if it is empty."""
    strengths = _strengths(folder)
    prompts: dict[tuple[str, str], Prompt] = {}
    files = [path for path in sorted(folder.glob("*.jsonl*")) if not tiers or _tier(path) in tiers]
    if not files:
        raise FormError(f"{folder} has no .jsonl or .jsonl.zst file of {tiers or 'any tier'}")
    for path in files:
        for number, line in enumerate(_lines(path), 1):
            if not line.strip():
                continue
            try:
                _add(prompts, json.loads(line), strengths)
            except (KeyError, TypeError, ValueError) as error:
                raise FormError(f"{path}, line {number}: {error!r}; see README.md for the forms") from error
    _check_folds(prompts.values())
    return list(prompts.values())


def _check_folds(prompts: Iterable[Prompt]) -> None:
    """Refuses a prompt in two folds, which would be both trained on and measured."""
    folds: dict[str, int] = {}
    for prompt in prompts:
        if folds.setdefault(prompt.text, prompt.fold) != prompt.fold:
            raise FormError(f"the prompt {prompt.text[:60]!r} is in folds {folds[prompt.text]} and {prompt.fold}; give it the same one everywhere")


def training(prompts: list[Prompt]) -> list[Prompt]:
    """The prompts to train on."""
    return [prompt for prompt in prompts if prompt.fold not in (CHOOSING, CARD)]


def of_fold(prompts: list[Prompt], fold: int) -> list[Prompt]:
    """The prompts of one fold."""
    return [prompt for prompt in prompts if prompt.fold == fold]


def _tier(path: Path) -> str:
    return path.name.split(".")[0].rsplit("_", 1)[-1]


def _strengths(folder: Path) -> dict[str, float]:
    path = folder / "models.json"
    if not path.exists():
        return {}
    models = json.loads(path.read_text())["models"]
    return {name: of["lc_win_rate"] for name, of in models.items() if of.get("lc_win_rate") is not None}


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        if path.suffix != ".zst":
            yield from file
            return
        with zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True) as stream:
            yield from io.BufferedReader(stream)


def _add(prompts: dict, row: dict, strengths: dict[str, float]) -> None:
    text = row["prompt"]
    source = row.get("source", "own").split("/")[0]
    if (source, text) not in prompts:
        prompts[source, text] = Prompt(text, source, row.get("fold", fold_of(text)), row.get("licence", ""))
    prompt = prompts[source, text]
    if row.get("fold", prompt.fold) != prompt.fold:
        raise ValueError(f"fold is {row['fold']}, and {prompt.fold} in a row before")
    if "answers" in row:
        prompt.answers += [_of_model(of, strengths) for of in row["answers"] if of["answer"].strip()]
    elif "preferred" in row:
        a, b = row["a"], row["b"]
        match row["preferred"]:
            case "a":
                prompt.pairs.append((a, b, row.get("kind", "")))
            case "b":
                prompt.pairs.append((b, a, row.get("kind", "")))
            case "tie":
                pass  # It says nothing of an order.
            case other:
                raise ValueError(f"preferred is {other!r}, not a, b or tie")
    else:
        prompt.answers.append(Answer(row["answer"], level=float(row["score"])))


def _of_model(row: dict, strengths: dict[str, float]) -> Answer:
    strength = row.get("lc", strengths.get(row["model"]))
    return Answer(row["answer"], strength=strength, model=row["model"], wins=row.get("w"))


def pairs_of_levels(prompts: list[Prompt], apart: float) -> Iterator[tuple[Prompt, Answer, Answer]]:
    """(better, worse) of labelled answers to one prompt whose scores are at least `apart`."""
    for prompt in prompts:
        by_level = defaultdict(list)
        for answer in prompt.answers:
            if answer.level is not None:
                by_level[answer.level].append(answer)
        levels = sorted(by_level, reverse=True)
        for high in levels:
            for low in levels:
                if high - low >= apart:
                    yield from ((prompt, better, worse) for better in by_level[high] for worse in by_level[low])

"""Measures a judge on prompts that were neither trained on nor used to choose its checkpoint."""

import math
import random
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from scipy.stats import spearmanr

from . import calibration, junk
from .data import CARD, Prompt, held_model, of_fold, pairs_of_levels
from .judge import Judge
from .mixture import APART_LEVEL, quality_of

# Resamples per interval.
RESAMPLES = 500


@dataclass(frozen=True)
class Figure:
    """One line of the table: a value with its 95 % interval, and the values of two baselines: the answer's length, and the
    words that it shares with its prompt."""

    name: str
    cases: int
    value: float
    low: float
    high: float
    length: float | None = None
    overlap: float | None = None

    def __str__(self) -> str:
        length, overlap = ("" if value is None else f"{value:.3f}" for value in (self.length, self.overlap))
        return f"{self.name} | {self.cases} | {self.value:.3f} ({self.low:.3f} to {self.high:.3f}) | {length} | {overlap}"


def measure(judge: Judge, prompts: list[Prompt], most: int, seed: int = 1) -> Iterator[Figure]:
    """Yields all figures, from at most `most` pairs of each source or kind."""
    rng = random.Random(seed)
    held = of_fold(prompts, CARD)
    yield from order_of_models(judge, held)
    yield from qualities(judge, held)
    for part in (own_or_other, preferences, levels, worthless):
        yield from part(judge, held, most, rng)


def order_of_models(judge: Judge, held: list[Prompt]) -> list[Figure]:
    """Rank correlation of a model's mean quality with its length-controlled win rate; only models that were not trained on."""
    rows = [
        (place, answer)
        for place, prompt in enumerate(held)
        if prompt.source == "alpacaeval"
        for answer in prompt.answers
        if answer.strength is not None and held_model(answer.model)
    ]
    if len({answer.model for _, answer in rows}) < 10:
        return []
    logits = judge.logits([(held[place].text, answer.text) for place, answer in rows])
    by_prompt = defaultdict(list)
    for (place, answer), logit in zip(rows, logits):
        by_prompt[place].append((answer, judge.scale.quality(logit), overlap(held[place].text, answer.text)))

    def means(drawn, value) -> dict[str, tuple[float, float]]:
        of = defaultdict(list)
        for place in drawn:
            for answer, *found in by_prompt[place]:
                of[answer.model].append((answer.strength, value(answer, *found)))
        return {model: (pairs[0][0], sum(v for _, v in pairs) / len(pairs)) for model, pairs in of.items()}

    def correlation(drawn, value=lambda answer, found, shared: found) -> float:
        return float(spearmanr(list(means(drawn, value).values())).statistic)

    def error(drawn) -> float:
        of = means(drawn, lambda answer, found, shared: found).values()
        return sum(abs(found - quality_of(strength)) for strength, found in of) / len(of)

    places = list(by_prompt)
    length = correlation(places, lambda answer, found, shared: len(answer.text))
    shared = correlation(places, lambda answer, found, shared: shared)
    models = len({answer.model for _, answer in rows})
    return [
        _figure("order of models, rank correlation", models, places, correlation, length, shared),
        _figure("quality of a model, mean error", models, places, error),
    ]


def qualities(judge: Judge, held: list[Prompt]) -> list[Figure]:
    """Calibration error over answers of models and worthless text, and the reliability diagram."""
    answers = calibration.known(held)
    if not answers:
        return []
    found = [judge.scale.quality(logit) for logit in judge.logits([(of.prompt, of.answer) for of in answers])]
    pairs = list(zip(found, (of.quality for of in answers)))
    bins = calibration.reliability(*zip(*pairs))
    error = _figure("calibration error", len(pairs), pairs, lambda drawn: calibration.error(calibration.reliability(*zip(*drawn))))
    diagram = [Figure(f"quality of answers that get {mean:.2f}", cases, target, target, target) for cases, mean, target in bins]
    return [error, *diagram]


def own_or_other(judge: Judge, held: list[Prompt], most: int, rng: random.Random) -> Iterator[Figure]:
    """How often a good answer scores above an answer to another prompt, over all pairs (AUC)."""
    good = _good(held)
    if len(good) < 2:
        return
    own = [rng.choice(good) for _ in range(most)]
    other = [(prompt, rng.choice([text for of, text in good if of != prompt])) for prompt, _ in own]
    scores = judge.logits([*own, *other])

    def auc(drawn: list[int]) -> float:
        a, b = [scores[at] for at in drawn], [scores[most + at] for at in drawn]
        return sum((x > y) + (x == y) / 2 for x in a for y in b) / len(drawn) ** 2

    yield _figure("own answer against one to another prompt, AUC", most, list(range(most)), auc)


def preferences(judge: Judge, held: list[Prompt], most: int, rng: random.Random) -> Iterator[Figure]:
    """Accuracy by source, also balanced for the longer answer being right or wrong; by kind of damage."""
    groups = defaultdict(list)
    for prompt in held:
        for better, worse, kind in prompt.pairs:
            robust = prompt.source.startswith("robust")
            groups[f"good against {kind}" if robust else f"preference, {prompt.source}"].append((prompt.text, better, worse))
    for name, pairs in sorted(groups.items()):
        yield from _accuracies(judge, name, rng.sample(pairs, min(most, len(pairs))))


def levels(judge: Judge, held: list[Prompt], most: int, rng: random.Random) -> Iterator[Figure]:
    """Right versus wrong labelled answers to one prompt, one pair per prompt."""
    groups = defaultdict(dict)
    for prompt, better, worse in pairs_of_levels(held, APART_LEVEL):
        groups[prompt.source].setdefault(prompt.text, []).append((prompt.text, better.text, worse.text))
    for source, by_prompt in sorted(groups.items()):
        pairs = [rng.choice(of) for of in by_prompt.values()]
        yield from _accuracies(judge, f"right against wrong, {source}", rng.sample(pairs, min(most, len(pairs))))


def worthless(judge: Judge, held: list[Prompt], most: int, rng: random.Random) -> Iterator[Figure]:
    """Mean quality of worthless text, and how often it is not beaten by a good answer."""
    good = _good(held)
    if len(good) < 2:
        return
    for make in dict.fromkeys(junk.WORTHLESS):
        drawn = [rng.choice(good) for _ in range(min(most, 40))]
        pairs = []
        for prompt, answer in drawn:
            other = rng.choice([text for of, text in good if of != prompt])
            pairs.append((prompt, answer, make(rng, prompt, answer, other)))
        qualities = [judge.scale.quality(logit) for logit in judge.logits([(prompt, made) for prompt, _, made in pairs])]
        rights = [judge.scale.quality(logit) for logit in judge.logits([(prompt, answer) for prompt, answer, _ in pairs])]
        yield _of_values(f"quality of {make.__name__}", qualities)
        yield _of_values(f"{make.__name__} beats the good answer", [float(a >= b) for a, b in zip(qualities, rights)])


def _good(held: list[Prompt]) -> list[tuple[str, str]]:
    """(prompt, good answer) of the prompts that also have damaged answers."""
    return [(prompt.text, better) for prompt in held if prompt.source == "robust_alpacaeval" for better, *_ in prompt.pairs[:1]]


def _accuracies(judge: Judge, name: str, pairs: list[tuple[str, str, str]]) -> list[Figure]:
    better = judge.logits([(prompt, a) for prompt, a, _ in pairs])
    worse = judge.logits([(prompt, b) for prompt, _, b in pairs])
    right = [float(a > b) for a, b in zip(better, worse)]
    longer = [float(len(a) > len(b)) for _, a, b in pairs]
    shared = [(overlap(prompt, a) > overlap(prompt, b)) + (overlap(prompt, a) == overlap(prompt, b)) / 2 for prompt, a, b in pairs]
    figures = [_of_values(name, right, sum(longer) / len(longer), sum(shared) / len(shared))]
    sides = [[won for won, is_longer in zip(right, longer) if is_longer == side] for side in (0.0, 1.0)]
    if name.startswith("preference") and all(sides):
        short, long = (sum(of) / len(of) for of in sides)
        spread = 1.96 * math.sqrt(sum(m * (1 - m) / len(of) for m, of in zip((short, long), sides))) / 2
        mean = (short + long) / 2
        figures.append(Figure(f"{name}, length balanced", len(right), mean, mean - spread, mean + spread, 0.5))
    return figures


def _of_values(name: str, values: list[float], length: float | None = None, shared: float | None = None) -> Figure:
    return _figure(name, len(values), values, lambda drawn: sum(drawn) / len(drawn), length, shared)


def _figure(name: str, cases: int, units: list, value: Callable[[list], float], *baselines: float | None) -> Figure:
    rng = random.Random(1)
    found = sorted(value(rng.choices(units, k=len(units))) for _ in range(RESAMPLES))
    return Figure(name, cases, value(units), found[RESAMPLES // 40], found[-RESAMPLES // 40], *baselines)


def overlap(prompt: str, answer: str) -> float:
    """The fraction of the prompt's words that the answer contains."""
    words = set(prompt.lower().split())
    return len(words & set(answer.lower().split())) / max(1, len(words))

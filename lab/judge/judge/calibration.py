"""Maps logits to qualities: fitted on the prompts that chose the checkpoint, evaluated on those of the card."""

import json
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import minimize

from . import junk
from .data import Answer, Prompt
from .mixture import quality_of

# Answers of models drawn per prompt; every second one comes with a worthless text.
ANSWERS, EVERY = 12, 2
# Answers that are scored for a fit, or for the card.
MOST = 1000
# Of a fitted scale: number of points, candidates for its knee, and distance of its ends from all
# observed logits.
POINTS, KNEES, BEYOND = 24, 13, 2.0
# A scale whose qualities differ by less is refused.
LEAST_RANGE = 0.1
# File in the folder of a run.
SCALE = "scale.json"
# Bins of a reliability diagram.
BINS = 10


@dataclass(frozen=True)
class Known:
    """An answer with the probability that a reader prefers it to the panel's."""

    prompt: str
    answer: str
    quality: float


def logistic(logit: float) -> float:
    """The quality that a judge is trained to express by its logit."""
    return 1 / (1 + math.exp(-max(-50.0, min(50.0, logit))))


# The logistic function by points; the chain interpolates linearly between them, within 0.006 of it.
PLACES = [-8, -6, -5, -4, -3.5, *(step / 4 for step in range(-12, 13)), 3.5, 4, 5, 6, 8]
LOGISTIC = tuple((place, logistic(place)) for place in PLACES)


@dataclass(frozen=True)
class Scale:
    """Qualities of logits: points (logit, quality) that rise, linear between them and level beyond them."""

    points: tuple[tuple[float, float], ...] = ((PLACES[0], 0.0), *LOGISTIC[1:-1], (PLACES[-1], 1.0))

    def quality(self, logit: float) -> float:
        """Between 0 and 1."""
        return float(np.interp(logit, *zip(*self.points)))

    def write(self, run: Path) -> None:
        """Writes the scale into the folder of a run."""
        (run / SCALE).write_text(json.dumps(self.points) + "\n")

    @classmethod
    def read(cls, run: Path) -> "Scale":
        """The scale that `calibrate` wrote, else the logistic function."""
        path = run / SCALE
        return cls(tuple(map(tuple, json.loads(path.read_text())))) if path.exists() else cls()


def known(prompts: list[Prompt], seed: int = 1) -> list[Known]:
    """Answers of models, as many of weak ones as of strong ones, and worthless text. If answers were judged
    individually, these judgements are used: a good model's bad answer is bad."""
    rng = random.Random(seed)
    good = [(prompt.text, answer.text) for prompt in prompts for answer in prompt.answers if (answer.strength or 0) > 15]
    found = []
    for prompt in prompts:
        rated = [answer for answer in prompt.answers if answer.wins is not None]
        rated = rated or [answer for answer in prompt.answers if answer.strength is not None]
        for place in range(ANSWERS if rated else 0):
            wanted = rng.random()
            answer = min(rng.sample(rated, min(4, len(rated))), key=lambda of: abs(_quality(of) - wanted))
            found.append(Known(prompt.text, answer.text, _quality(answer)))
            if place % EVERY == 0 and len({text for text, _ in good}) > 1:
                other = rng.choice([text for of, text in good if of != prompt.text])
                found.append(Known(prompt.text, rng.choice(junk.WORTHLESS)(rng, prompt.text, answer.text, other), 0.0))
    return rng.sample(found, min(MOST, len(found)))


def _quality(answer: Answer) -> float:
    """From the answer's own judgement, else from its model's win rate."""
    return quality_of(answer.strength if answer.wins is None else 100 * answer.wins)


def fit(score: Callable[[Sequence[tuple[str, str]]], list[float]], answers: list[Known]) -> Scale:
    """A logistic curve with a knee, by the cross-entropy with the known qualities: steep between worthless text and answers, gentle
    among answers. It rises everywhere, so that a better answer never gets the same. It begins with 0 and ends with 1 beyond all
    logits seen."""
    logits = np.array(score([(of.prompt, of.answer) for of in answers]))
    known = np.array([of.quality for of in answers])

    def curve(parameters: np.ndarray, knee: float, at: np.ndarray) -> np.ndarray:
        height, below, above = parameters[0], *np.exp(parameters[1:])
        return height + np.where(at < knee, below, above) * (at - knee)

    def loss(parameters: np.ndarray, knee: float) -> float:
        found = curve(parameters, knee, logits)
        return float(np.mean(np.logaddexp(0, found) - known * found))

    knees = np.quantile(logits, np.linspace(0.2, 0.8, KNEES))
    fits = [(minimize(loss, (-1.0, 0.0, -1.0), (knee,), method="Nelder-Mead"), knee) for knee in knees]
    best, knee = min(fits, key=lambda fit: fit[0].fun)
    places = np.unique(np.quantile(logits, np.linspace(0, 1, POINTS)))
    qualities = 1 / (1 + np.exp(-curve(best.x, knee, places)))
    if qualities[-1] - qualities[0] < LEAST_RANGE:
        raise ValueError("a higher logit does not mean a better answer here; the judge cannot be calibrated")
    inner = list(zip(places.tolist(), qualities.tolist()))
    return Scale(((places[0] - BEYOND, 0.0), *inner, (places[-1] + BEYOND, 1.0)))


def reliability(qualities: Sequence[float], targets: Sequence[float]) -> list[tuple[int, float, float]]:
    """(cases, mean quality, mean target) of bins of equal width that have cases."""
    bins = [[] for _ in range(BINS)]
    for found, target in zip(qualities, targets):
        bins[min(int(found * BINS), BINS - 1)].append((found, target))
    return [(len(of), sum(q for q, _ in of) / len(of), sum(t for _, t in of) / len(of)) for of in bins if of]


def error(bins: list[tuple[int, float, float]]) -> float:
    """Expected calibration error: the mean distance of a bin's quality and target, weighted by cases."""
    cases = sum(number for number, *_ in bins)
    return sum(number * abs(found - target) for number, found, target in bins) / cases

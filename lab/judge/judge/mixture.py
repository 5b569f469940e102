"""Draws training examples: which pairs, how often, balanced for length."""

import math
import random
from collections import defaultdict
from dataclasses import dataclass

from . import junk
from .adversary import Search
from .data import Answer, Prompt, held_model, pairs_of_levels

# Answers form a pair if their models' length-controlled win rates (%), or their own judgements,
# differ by at least this.
APART_STRENGTH, APART_WINS, APART_LEVEL = 8.0, 0.5, 0.3
# The panel of quality one half: Llama 3 8B Instruct, win rate in %.
PANEL_STRENGTH = 22.9
# Shares of the examples; the share of a missing source goes to the others.
SHARES = {"models": 0.36, "people": 0.14, "labelled": 0.10, "robust": 0.12, "worthless": 0.12, "damaged": 0.13, "neutral": 0.03}
# Lengths of answers that are damaged, in characters, so that the damage is within the first window.
DAMAGED_LENGTHS = range(200, 1000)
# Half of the off-topic answers come from the nearest of this many prompts.
NEAR_AMONG = 40
# Margins in logits by which junk has to lose.
MARGIN = {"worthless": 3.0, "damaged": 1.0}


@dataclass(frozen=True)
class Example:
    """Two answers; `targets` are the probabilities, if known, that a reader prefers each to the panel's."""

    prompt: str
    better: str
    worse: str
    margin: float = 0.0
    targets: tuple[float | None, float | None] = (None, None)
    kind: str = ""
    # Neither is better.
    neutral: bool = False


def quality_of(strength: float) -> float:
    """Probability that a model with this win rate beats the panel (Bradley and Terry)."""
    def logit(rate: float) -> float:
        rate = min(max(rate / 100, 0.002), 0.998)
        return math.log(rate / (1 - rate))

    return 1 / (1 + math.exp(logit(PANEL_STRENGTH) - logit(strength)))


class Mixture:
    """An endless stream of examples from `prompts`; the same seed gives the same stream."""

    def __init__(self, prompts: list[Prompt], seed: int) -> None:
        self.rng = random.Random(seed)
        self.compared = [kept for prompt in prompts if (kept := _of_models(prompt))]
        self.people, self.robust = _by_source(prompts, False), _by_source(prompts, True)
        self.labelled = defaultdict(lambda: defaultdict(list))
        for prompt, better, worse in pairs_of_levels(prompts, APART_LEVEL):
            self.labelled[prompt.source][prompt.text].append((better.text, worse.text))
        self.good = [(prompt, answer) for prompt in prompts for answer in good_answers(prompt)]
        available = {
            "models": self.compared, "people": self.people, "labelled": self.labelled, "robust": self.robust,
            "worthless": self.good, "damaged": self.good, "neutral": self.good,
        }  # fmt: skip
        self.shares = {name: share for name, share in SHARES.items() if available[name]}
        if len({prompt.text for prompt, _ in self.good}) < 2:
            raise ValueError(f"{len(prompts)} prompts of one part of the folds have fewer than two good answers; use a few hundred prompts")

    def draw(self) -> Example:
        """One example."""
        names, shares = zip(*self.shares.items())
        return getattr(self, "_" + self.rng.choices(names, shares)[0])()

    def search(self) -> Search:
        """The start of an attack on the judge."""
        prompt, good, other = self._triple()
        return Search(prompt.text, good.text, other)

    def _models(self) -> Example:
        prompt, answers = self.rng.choice(self.compared)
        wants_longer = self.rng.random() < 0.5
        drawn = None
        for _ in range(20):
            a, b = self.rng.sample(answers, 2)
            if not (drawn := _ordered(a, b)):
                continue
            if (len(drawn[0].text) > len(drawn[1].text)) == wants_longer:
                break
        if drawn is None:
            return self._worthless()
        better, worse = drawn
        return Example(prompt.text, better.text, worse.text, targets=(_target(better), _target(worse)), kind="models")

    def _people(self) -> Example:
        prompt, (better, worse, _) = self._pair(self.people)
        return Example(prompt.text, better, worse, kind="people")

    def _robust(self) -> Example:
        prompt, (better, worse, kind) = self._pair(self.robust)
        return Example(prompt.text, better, worse, margin=MARGIN["damaged"], kind=f"robust/{kind}")

    def _pair(self, sources: dict):
        prompts = self.rng.choices(list(sources.values()), [math.sqrt(len(of)) for of in sources.values()])[0]
        prompt = self.rng.choice(prompts)
        wants_longer = self.rng.random() < 0.5
        for _ in range(6):
            pair = self.rng.choice(prompt.pairs)
            if (len(pair[0]) > len(pair[1])) == wants_longer:
                break
            prompt = self.rng.choice(prompts)
        return prompt, pair

    def _labelled(self) -> Example:
        sources = list(self.labelled.values())
        prompts = self.rng.choices(sources, [math.sqrt(len(of)) for of in sources])[0]
        text = self.rng.choice(list(prompts))
        better, worse = self.rng.choice(prompts[text])
        return Example(text, better, worse, kind="labelled")

    def _worthless(self) -> Example:
        prompt, good, other = self._triple()
        make = self.rng.choice(junk.WORTHLESS)
        made = make(self.rng, prompt.text, good.text, other)
        return Example(prompt.text, good.text, made, MARGIN["worthless"], (_target(good), 0.0), f"worthless/{make.__name__}")

    def _damaged(self) -> Example:
        prompt, good, other = self._damageable()
        make = self.rng.choice(junk.DAMAGED)
        made = make(self.rng, prompt.text, good.text, other)
        return Example(prompt.text, good.text, made, MARGIN["damaged"], (_target(good), None), f"damaged/{make.__name__}")

    def _neutral(self) -> Example:
        prompt, good, _ = self._damageable()
        return Example(prompt.text, good.text, junk.relaid(self.rng, good.text), kind="neutral", neutral=True)

    def _damageable(self) -> tuple[Prompt, Answer, str]:
        for _ in range(40):
            found = self._triple()
            if len(found[1].text) in DAMAGED_LENGTHS:
                break
        return found

    def _triple(self) -> tuple[Prompt, Answer, str]:
        prompt, good = self.rng.choice(self.good)
        words = set(prompt.text.lower().split())
        others = [self.rng.choice(self.good) for _ in range(NEAR_AMONG if self.rng.random() < 0.5 else 1)]
        others = [other for other in others if other[0].text != prompt.text]
        if not others:
            return self._triple()
        other, answer = max(others, key=lambda of: len(words & set(of[0].text.lower().split())) / (1 + len(of[0].text.split())) ** 0.5)
        return prompt, good, answer.text


def attacked(search: Search) -> Example:
    """An attack's result, paired with the good answer."""
    return Example(search.prompt, search.good, search.text, MARGIN["worthless"], (None, 0.0), "attacked")


def _of_models(prompt: Prompt) -> tuple[Prompt, list[Answer]] | None:
    kept = [answer for answer in prompt.answers if answer.strength is not None and not held_model(answer.model)]
    return (prompt, kept) if len(kept) > 1 else None


def _by_source(prompts: list[Prompt], robust: bool) -> dict[str, list[Prompt]]:
    sources = defaultdict(list)
    for prompt in prompts:
        if prompt.pairs and prompt.source.startswith("robust") == robust:
            sources[prompt.source].append(prompt)
    return dict(sources)


def good_answers(prompt: Prompt) -> list[Answer]:
    """At most four good answers, so that no prompt is drawn much more often than another."""
    best = [a for a in prompt.answers if (a.strength or 0) > 15 and not held_model(a.model) or a.level is not None and a.level >= 0.7]
    return (best or [Answer(better) for better, *_ in prompt.pairs])[:4]


def _ordered(a: Answer, b: Answer) -> tuple[Answer, Answer] | None:
    for value, apart in ((lambda of: of.wins, APART_WINS), (lambda of: of.strength, APART_STRENGTH)):
        left, right = value(a), value(b)
        if left is not None and right is not None and abs(left - right) >= apart:
            return (a, b) if left > right else (b, a)
    return None


def _target(answer: Answer) -> float | None:
    return None if answer.strength is None else quality_of(answer.strength)

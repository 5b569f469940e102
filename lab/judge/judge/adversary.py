"""Text that a search edits for the score of the judge in training, as an attacker with the public weights would."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from . import junk

# Searches that run in parallel.
SEARCHES = 256
# Uphill steps before a text is trained on, and candidates of each.
ROUNDS, CANDIDATES = 3, 8
# Turns after which a search restarts.
TURNS = 25
# Most words of a text.
LONGEST = 60
# What a search starts from. An attacker edits it without knowing the answer.
BEGINNINGS = [junk.gibberish, junk.shuffled_prompt, junk.keywords, junk.off_topic, junk.filler, junk.frequent, junk.frequent]

Score = Callable[[Sequence[tuple[str, str]]], list[float]]


@dataclass
class Search:
    """One text that is being improved. `other` is an answer to another prompt."""

    prompt: str
    good: str
    other: str
    text: str = ""
    turns: int = 0

    def begin(self, rng: random.Random) -> None:
        """Replaces the text by new junk."""
        words = rng.choice(BEGINNINGS)(rng, self.prompt, self.good, self.other).split()
        self.text, self.turns = " ".join(words[: rng.randint(4, LONGEST)]) or "so", 0

    def edited(self, rng: random.Random) -> str:
        """The text with one to three words inserted, replaced, deleted or moved."""
        words = self.text.split() or ["so"]
        for _ in range(rng.randint(1, 3)):
            place = rng.randrange(len(words))
            match rng.randrange(4):
                case 0 if len(words) < LONGEST:
                    words.insert(rng.randint(0, len(words)), self._word(rng))
                case 1 if len(words) > 1:
                    del words[place]
                case 2 if len(words) > 1:
                    words.insert(rng.randrange(len(words)), words.pop(place))
                case _:
                    words[place] = self._word(rng)
        return " ".join(words)

    def _word(self, rng: random.Random) -> str:
        """A word of the prompt, a frequent word or one of the other answer, with equal probability."""
        sources = [self.prompt.split(), self.prompt.split(), junk.FREQUENT, self.other.split()]
        return rng.choice(rng.choice(sources) or junk.FREQUENT)


class Adversary:
    """Searches that follow the judge while it learns: they drop what it has unlearned and find what it rewards."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.searches: list[Search] = []

    def turn(self, number: int, new: Callable[[], Search], score: Score) -> list[Search]:
        """Advances some searches by a few uphill steps, all in the same batches."""
        while len(self.searches) < SEARCHES:
            self.searches.append(new())
            self.searches[-1].begin(self.rng)
        chosen = self.rng.sample(range(SEARCHES), number)
        for place in chosen:
            if self.searches[place].turns >= TURNS:
                self.searches[place] = new()
                self.searches[place].begin(self.rng)
        taken = [self.searches[place] for place in chosen]
        for _ in range(ROUNDS):
            candidates = [[search.text] + [search.edited(self.rng) for _ in range(CANDIDATES)] for search in taken]
            scores = iter(score([(search.prompt, text) for search, of in zip(taken, candidates) for text in of]))
            for search, of in zip(taken, candidates):
                search.text = max(of, key=lambda _: next(scores))
        for search in taken:
            search.turns += 1
        return taken

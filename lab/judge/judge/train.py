"""Trains a judge, in steps that can be interrupted at any time."""

import json
import logging
import math
import random
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from peft import load_peft_weights, set_peft_model_state_dict
from torch.nn.functional import binary_cross_entropy_with_logits, softplus

from . import base, data
from .adversary import Adversary, Search
from .mixture import Example, Mixture, attacked
from .windows import Window, logits, windows

log = logging.getLogger("judge")

# Pairs that are drawn at once and sorted by length, to reduce padding.
POOL = 128
# Weight of the known qualities relative to the order of the two answers.
ANCHOR = 0.3
# Weight of the squared difference between two answers of equal worth, and the tolerated difference.
NEUTRAL, ALIKE = 0.1, 0.5
# A later checkpoint is chosen unless its accuracy is worse by more than this, about one standard
# error: it has seen more data, attacks above all.
WITHIN = 0.01


@dataclass
class Settings:
    """The settings that determine a run, stored with its checkpoints."""

    model: str = "ms-marco-minilm-l-12-v2"
    tiers: tuple[str, ...] = ()
    steps: int = 2000
    pairs: int = 16
    # Additional pairs per step whose worse answer was found by attacking the judge.
    attacked: int = 2
    max_tokens: int = 256
    rate: float = 5e-4
    rank: int = 32
    first_layer: int = 4
    seed: int = 1
    every: int = 200
    choosing: int = 400
    # Folder of another run whose best checkpoint is the start of this one.
    begin: str = ""


class Run:
    """A training run in a folder: `settings.json`, `log.jsonl`, `last.pt`, and `best/` with the chosen adapter."""

    def __init__(self, folder: Path, settings: Settings, prompts: list[data.Prompt]) -> None:
        torch.manual_seed(settings.seed)
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.settings = folder, settings
        self.tokenizer = base.tokenizer(settings.model)
        self.network = base.adapted(base.encoder(settings.model), settings.rank, settings.first_layer)
        if settings.begin:
            self._begin(Path(settings.begin))
        trained = [parameter for parameter in self.network.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.AdamW(trained, lr=settings.rate, weight_decay=0.01)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, self._rate)
        self.mixture = Mixture(data.training(prompts), settings.seed)
        choosing = Mixture(data.of_fold(prompts, data.CHOOSING), 0)
        self.choosing = [choosing.draw() for _ in range(settings.choosing)]
        self.adversary = Adversary(settings.seed)
        self.step, self.best, self.ready = 0, -math.inf, []
        self.found: list[float] = []
        (folder / "settings.json").write_text(json.dumps(asdict(settings), indent=2) + "\n")
        if (folder / "last.pt").exists():
            self._resume()

    def train(self) -> None:
        """Trains until all steps are done."""
        started, losses = time.monotonic(), []
        self.network.train()
        while self.step < self.settings.steps:
            losses.append(self._step())
            self.step += 1
            if self.step % 20 == 0:
                rate = 20 * self.settings.pairs / (time.monotonic() - started)
                log.info("step %d of %d: loss %.4f, %.1f pairs/s", self.step, self.settings.steps, sum(losses[-20:]) / 20, rate)
                started = time.monotonic()
            if self.step % self.settings.every == 0 or self.step == self.settings.steps:
                self._checkpoint(sum(losses) / len(losses))
                started, losses = time.monotonic(), []

    def _step(self) -> float:
        examples = self._next() + self._attacked()
        self.optimizer.zero_grad()
        better, worse = self._scores(examples)
        self.found += worse[len(examples) - self.settings.attacked :].tolist()
        loss = loss_of(better, worse, examples)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        self.schedule.step()
        return loss.item()

    def _next(self) -> list[Example]:
        if not self.ready:
            drawn = [self.mixture.draw() for _ in range(POOL)]
            drawn.sort(key=lambda example: len(example.prompt) + max(len(example.better), len(example.worse)))
            size = self.settings.pairs
            self.ready = [drawn[at : at + size] for at in range(0, POOL, size)]
            self.mixture.rng.shuffle(self.ready)
        return self.ready.pop()

    def _attacked(self) -> list[Example]:
        if not self.settings.attacked:
            return []
        return [attacked(search) for search in self.adversary.turn(self.settings.attacked, self.mixture.search, self._score)]

    @torch.no_grad()
    def _score(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        self.network.eval()
        with torch.autocast("cpu", torch.bfloat16):
            scores = logits(self.network, [self._window(*pair) for pair in pairs]).tolist()
        self.network.train()
        return scores

    def _scores(self, examples: list[Example]) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits of the better and of the worse answers."""
        answers = [example.better for example in examples] + [example.worse for example in examples]
        read = [self._window(example.prompt, answer) for example, answer in zip(examples * 2, answers)]
        with torch.autocast("cpu", torch.bfloat16):
            return logits(self.network, read).split(len(examples))

    def _window(self, prompt: str, answer: str) -> Window:
        """The first window only: if an answer is cut, both answers to the prompt are."""
        prompt_ids, answer_ids = (self.tokenizer.encode(text, add_special_tokens=False).ids for text in (prompt[:4000], answer[:4000]))
        return windows(prompt_ids, answer_ids, self.settings.max_tokens, 1)[0]

    def _checkpoint(self, loss: float) -> None:
        kinds = self._evaluate()
        # Each kind has the same weight, so that easy junk does not hide the rest.
        mean = sum(kinds.values()) / len(kinds)
        log.info("step %d: accuracy %.4f %s", self.step, mean, {kind: round(value, 3) for kind, value in kinds.items()})
        line = {"step": self.step, "loss": loss, "accuracy": mean, "kinds": kinds, "chosen": mean > self.best - WITHIN}
        if self.found:
            # Logits that attacks reached against the current judge.
            line["attacked"] = sum(self.found) / len(self.found)
            self.found = []
        with (self.folder / "log.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")
        if line["chosen"]:
            self.best = max(self.best, mean)
            self.network.save_pretrained(self.folder / "best")
        state = {
            "step": self.step, "best": self.best, "ready": self.ready, "mixture": self.mixture.rng.getstate(),
            "adversary": (self.adversary.rng.getstate(), [asdict(search) for search in self.adversary.searches]),
            "torch": torch.get_rng_state(), "optimizer": self.optimizer.state_dict(), "schedule": self.schedule.state_dict(),
            "trained": {name: value for name, value in self.network.named_parameters() if value.requires_grad},
        }  # fmt: skip
        torch.save(state, self.folder / "last.partial")
        (self.folder / "last.partial").replace(self.folder / "last.pt")

    def _evaluate(self) -> dict[str, float]:
        self.network.eval()
        right: dict[str, list[float]] = {}
        chosen = sorted(self.choosing, key=lambda example: len(example.prompt) + len(example.better))
        with torch.no_grad():
            for at in range(0, len(chosen), 16):
                examples = chosen[at : at + 16]
                better, worse = self._scores(examples)
                for example, apart in zip(examples, (better - worse).tolist()):
                    won = abs(apart) < ALIKE if example.neutral else apart > 0
                    right.setdefault(example.kind.split("/")[0], []).append(won)
        self.network.train()
        return {kind: sum(of) / len(of) for kind, of in sorted(right.items())}

    def _begin(self, run: Path) -> None:
        found = set_peft_model_state_dict(self.network, load_peft_weights(str(run / "best"), device="cpu"))
        if found.unexpected_keys:
            raise ValueError(f"{run}/best does not match this run; begin with a run of the same model, rank and layers")

    def _resume(self) -> None:
        state = torch.load(self.folder / "last.pt", weights_only=False)
        self.step, self.best, self.ready = state["step"], state["best"], state["ready"]
        self.mixture.rng.setstate(state["mixture"])
        rng, searches = state["adversary"]
        self.adversary.rng.setstate(rng)
        self.adversary.searches = [Search(**search) for search in searches]
        torch.set_rng_state(state["torch"])
        self.network.load_state_dict(state["trained"], strict=False)
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        log.info("resuming at step %d", self.step)

    def _rate(self, step: int) -> float:
        """Warm-up over a twentieth of the steps, then a cosine down to a twentieth."""
        warm = max(1, self.settings.steps // 20)
        if step < warm:
            return (step + 1) / warm
        done = (step - warm) / max(1, self.settings.steps - warm)
        return 0.05 + 0.95 * (1 + math.cos(math.pi * min(1.0, done))) / 2


def loss_of(better: torch.Tensor, worse: torch.Tensor, examples: list[Example]) -> torch.Tensor:
    """Pairwise logistic loss, and cross-entropy with the known qualities."""
    margins = torch.tensor([example.margin for example in examples])
    neutral = torch.tensor([example.neutral for example in examples])
    apart = better - worse
    loss = torch.where(neutral, NEUTRAL * apart.square(), softplus(margins - apart)).mean()
    scores = torch.cat([better, worse])
    targets = [example.targets[side] for side in (0, 1) for example in examples]
    known = torch.tensor([target is not None for target in targets])
    if known.any():
        wanted = torch.tensor([target or 0.0 for target in targets])
        loss = loss + ANCHOR * binary_cross_entropy_with_logits(scores[known], wanted[known])
    return loss

"""A trained judge, or a base model, that scores pairs as the evaluator does."""

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from peft import PeftModel

from . import base
from .windows import batch, windows

# The rule of the registry's entries.
MAX_TOKENS, MAX_WINDOWS = 512, 8
# Windows of one pass.
TOGETHER = 8


class Judge:
    """Scores in single precision, by the mean over windows."""

    def __init__(self, network: torch.nn.Module, tokenizer) -> None:
        self.network, self.tokenizer = network.eval(), tokenizer

    @classmethod
    def of_run(cls, folder: Path) -> "Judge":
        """The best checkpoint of a run."""
        model = json.loads((folder / "settings.json").read_text())["model"]
        network = PeftModel.from_pretrained(base.encoder(model), folder / "best")
        return cls(network.merge_and_unload(), base.tokenizer(model))

    @classmethod
    def of_model(cls, model: str) -> "Judge":
        """A cross-encoder as it is."""
        return cls(base.encoder(model), base.tokenizer(model))

    @torch.no_grad()
    def logits(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """One logit for each (prompt, answer)."""
        read = []
        for place, (prompt, answer) in enumerate(pairs):
            ids = [self.tokenizer.encode(text, add_special_tokens=False).ids for text in (prompt, answer)]
            read += [(place, window) for window in windows(*ids, MAX_TOKENS, MAX_WINDOWS)]
        read.sort(key=lambda of: len(of[1].ids))
        sums, numbers = [0.0] * len(pairs), [0] * len(pairs)
        for at in range(0, len(read), TOGETHER):
            part = read[at : at + TOGETHER]
            found = self.network(**batch([window for _, window in part])).logits.squeeze(1).tolist()
            for (place, _), logit in zip(part, found):
                sums[place] += logit
                numbers[place] += 1
        return [total / number for total, number in zip(sums, numbers)]

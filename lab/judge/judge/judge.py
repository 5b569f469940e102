"""A trained judge, or a base model, that scores pairs as the evaluator does."""

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from peft import PeftModel

from . import base
from .calibration import Scale
from .windows import logits, windows

# As in the registry's entries.
MAX_TOKENS, MAX_WINDOWS = 512, 8


class Judge:
    """Scores in single precision, by the mean over windows."""

    def __init__(self, network: torch.nn.Module, tokenizer, scale: Scale = Scale()) -> None:
        self.network, self.tokenizer, self.scale = network.eval(), tokenizer, scale

    @classmethod
    def of_run(cls, folder: Path) -> "Judge":
        """The best checkpoint of a run."""
        model = json.loads((folder / "settings.json").read_text())["model"]
        network = PeftModel.from_pretrained(base.encoder(model), folder / "best")
        return cls(network.merge_and_unload(), base.tokenizer(model), Scale.read(folder))

    @classmethod
    def of_model(cls, model: str) -> "Judge":
        """An unmodified cross-encoder."""
        return cls(base.encoder(model), base.tokenizer(model))

    @torch.no_grad()
    def logits(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """One logit per (prompt, answer)."""
        read = []
        for prompt, answer in pairs:
            ids = [self.tokenizer.encode(text, add_special_tokens=False).ids for text in (prompt, answer)]
            read.append(windows(*ids, MAX_TOKENS, MAX_WINDOWS))
        found = logits(self.network, [window for of in read for window in of])
        return [of.mean().item() for of in found.split([len(of) for of in read])]

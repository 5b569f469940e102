"""The windows in which a judge reads a pair (README of `poq-evaluator`, "The score"), and their logits."""

from dataclasses import dataclass

import torch

CLS, SEP = 101, 102
# Batches are padded to multiples of this, because each new shape costs the kernels' preparation
# once.
PADDING = 32
# Windows per forward pass.
TOGETHER = 8


@dataclass(frozen=True)
class Window:
    """Token ids of one window, and the number of them in the first segment."""

    ids: list[int]
    first: int


def windows(prompt: list[int], answer: list[int], max_tokens: int, max_windows: int) -> list[Window]:
    """All windows of a pair of token ids without special tokens."""
    room = max_tokens - 3
    most = max(room - len(prompt), -(-room // 2))
    prompt = prompt[: min(len(prompt), room - min(len(answer), most))]
    number = max(1, min(-(-len(answer) // most), max_windows))
    kept = min(len(answer), number * most)
    head = [CLS, *prompt, SEP]
    cuts = [place * kept // number for place in range(number + 1)]
    return [Window([*head, *answer[a:b], SEP], len(head)) for a, b in zip(cuts, cuts[1:])]


def batch(of: list[Window]) -> dict[str, torch.Tensor]:
    """A padded batch in the form of transformers."""
    width = -(-max(len(window.ids) for window in of) // PADDING) * PADDING
    ids, mask, types = (torch.zeros(len(of), width, dtype=torch.long) for _ in range(3))
    for row, window in enumerate(of):
        length = len(window.ids)
        ids[row, :length] = torch.tensor(window.ids)
        mask[row, :length] = 1
        types[row, window.first : length] = 1
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}


def logits(network: torch.nn.Module, of: list[Window]) -> torch.Tensor:
    """One logit per window. Windows of similar lengths are computed together, to reduce padding."""
    order = sorted(range(len(of)), key=lambda at: len(of[at].ids))
    parts = [[of[at] for at in order[start : start + TOGETHER]] for start in range(0, len(order), TOGETHER)]
    found = torch.cat([network(**batch(part)).logits for part in parts])
    return torch.empty(len(of)).index_copy(0, torch.tensor(order), found.float().squeeze(1))

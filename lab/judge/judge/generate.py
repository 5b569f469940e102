"""Generates a language model's answers to prompts of the data: answers of weaker models, under one's own licence."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

from . import data
from .mixture import good_answers

# Prompts per batch, and the longest of them in characters.
TOGETHER, LONGEST = 32, 1500
# Ends of a sentence. An answer that reached the token limit is cut after the last one.
ENDS = (".", "!", "?", ":", "\n", "```")


@dataclass(frozen=True)
class Settings:
    """Settings of the generation."""

    name: str
    strength: float
    temperature: float = 0.0
    max_tokens: int = 192
    seed: int = 1
    # Win rate in % of the data's good answers, which become answers of a model `reference`; 0
    # leaves them out.
    reference: float = 0.0


class Model:
    """A causal language model of transformers: a folder, or a GGUF file with its tokenizer in the same folder."""

    def __init__(self, path: Path) -> None:
        folder, file = (path.parent, path.name) if path.suffix == ".gguf" else (path, None)
        load = PreTrainedTokenizerFast if file else AutoTokenizer
        self.tokenizer = load.from_pretrained(folder, padding_side="left")
        self.tokenizer.pad_token = self.tokenizer.pad_token or self.tokenizer.eos_token
        self.network = AutoModelForCausalLM.from_pretrained(folder, gguf_file=file, dtype=torch.float32).eval()

    @torch.inference_mode()
    def answers(self, prompts: list[str], settings: Settings) -> list[str]:
        """One answer per prompt; empty if not even one sentence was finished."""
        chats = [[{"role": "user", "content": prompt}] for prompt in prompts]
        texts = [self.tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True) for chat in chats]
        read = self.tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False, return_token_type_ids=False)
        sampling = {"do_sample": True, "temperature": settings.temperature} if settings.temperature else {"do_sample": False}
        end = self.tokenizer.eos_token_id
        written = self.network.generate(**read, **sampling, max_new_tokens=settings.max_tokens, eos_token_id=end, pad_token_id=end)
        return [self._text(row) for row in written[:, read["input_ids"].shape[1] :]]

    def _text(self, ids: torch.Tensor) -> str:
        text = self.tokenizer.decode(ids, skip_special_tokens=True)
        if self.tokenizer.eos_token_id not in ids:
            text = text[: max(text.rfind(end) + len(end) if end in text else 0 for end in ENDS)]
        return text.strip()


def chosen(prompts: list[data.Prompt], number: int, seed: int) -> list[data.Prompt]:
    """The given number of prompts with a good answer, sorted by length."""
    usable = list({prompt.text: prompt for prompt in prompts if len(prompt.text) <= LONGEST and good_answers(prompt)}.values())
    drawn = random.Random(seed).sample(usable, min(number, len(usable)))
    return sorted(drawn, key=lambda prompt: len(prompt.text))


def generate(model: Model, prompts: list[data.Prompt], settings: Settings) -> Iterator[list[dict]]:
    """Rows of the form "answers of models", batch by batch."""
    torch.manual_seed(settings.seed)
    for at in range(0, len(prompts), TOGETHER):
        batch = prompts[at : at + TOGETHER]
        yield [_row(prompt, text, settings) for prompt, text in zip(batch, model.answers([of.text for of in batch], settings)) if text]


def _row(prompt: data.Prompt, text: str, settings: Settings) -> dict:
    answers = [{"model": settings.name, "answer": text, "lc": settings.strength}]
    if settings.reference:
        answers.append({"model": "reference", "answer": good_answers(prompt)[0].text, "lc": settings.reference})
    return {"prompt": prompt.text, "source": "generated", "fold": prompt.fold, "licence": prompt.licence, "answers": answers}

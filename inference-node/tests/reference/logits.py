#!/usr/bin/env python3
"""Writes the golden files in this folder: the results of Hugging Face's transformers for the tiny
checkpoints of the tests, which compare mistral.rs with them. From the top of the repository:

    export POQ_CHECKPOINTS=/tmp/checkpoints
    cargo test --workspace -- --ignored write_the_checkpoints
    pip install torch==2.15.0 transformers    # any build of torch: only the CPU is used
    inference-node/tests/reference/logits.py
"""

import json
import os
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

# Tokens of the answer.
STEPS = 4
HERE = Path(__file__).parent


def golden(checkpoint: Path, prompt: str) -> dict:
    tokenizer = PreTrainedTokenizerFast.from_pretrained(checkpoint)
    model = AutoModelForCausalLM.from_pretrained(
        checkpoint, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    chat = tokenizer.apply_chat_template(
        [{"role": "user", "content": prompt}], add_generation_prompt=True, tokenize=False
    )
    tokens = tokenizer(chat, add_special_tokens=False)["input_ids"]
    answer, logits = [], []
    for _ in range(STEPS):
        with torch.no_grad():
            last = model(torch.tensor([tokens + answer])).logits[0, -1]
        logits.append([round(value, 6) for value in last.tolist()])
        answer.append(int(last.argmax()))
    return {"prompt": tokens, "answer": answer, "logits": logits}


def main() -> None:
    prompt = (HERE / "prompt.txt").read_text(encoding="utf-8")
    for name in ("llama3", "mixtral"):
        result = golden(Path(os.environ["POQ_CHECKPOINTS"]) / name, prompt)
        text = json.dumps(result, separators=(",", ":")).replace("],", "],\n")
        (HERE / f"{name}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

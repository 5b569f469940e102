"""Writes a trained adapter in the form that `poq-evaluator transcode` merges into its base.

Adapters are in half precision, so that the merge is exact in double precision, in whatever order it is summed: a product of two
halves is a multiple of 2^-48, and sums below 32 fit into 53 bits.
"""

import json
import shutil
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from .base import folder

# Sums of an adapter must be below this.
MOST = 32.0
HEAD = ("pooler.dense.weight", "pooler.dense.bias", "classifier.weight", "classifier.bias")


class ExportError(Exception):
    """An adapter that cannot be merged exactly."""


def adapter(run: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Tensors and metadata of a run's best adapter. `NAME.down` is [rank, inputs], `NAME.up` is [outputs, rank] including
    the scale; pooler and classifier are complete."""
    found = load_file(run / "best" / "adapter_model.safetensors")
    config = json.loads((run / "best" / "adapter_config.json").read_text())
    scale = config["lora_alpha"] / config["r"]
    tensors = {}
    for key, value in found.items():
        name = key.removeprefix("base_model.model.").removeprefix("bert.")
        if name.endswith(".lora_A.weight"):
            tensors[name.replace(".lora_A.weight", ".down")] = value.astype(np.float16)
        elif name.endswith(".lora_B.weight"):
            tensors[name.replace(".lora_B.weight", ".up")] = (value * scale).astype(np.float16)
        elif name.endswith(HEAD):
            tensors[name] = value.astype(np.float32)
        else:
            raise ExportError(f"{key} is not a part of an adapter of BERT")
    for name in [name.removesuffix(".up") for name in tensors if name.endswith(".up")]:
        up, down = (np.abs(tensors[f"{name}.{part}"].astype(np.float64)) for part in ("up", "down"))
        if not (up @ down).max() < MOST:
            raise ExportError(f"the sums of {name} reach {MOST}; train with a lower rate")
    return tensors, {"format": "poq-adapter-1", "rank": str(config["r"])}


def export(run: Path, output: Path) -> int:
    """Writes `adapter.safetensors` and the base's `tokenizer.json` into the folder `output`. Returns the adapter's bytes."""
    tensors, metadata = adapter(run)
    output.mkdir(parents=True, exist_ok=True)
    path = output / "adapter.safetensors"
    save_file(tensors, path, metadata)
    model = json.loads((run / "settings.json").read_text())["model"]
    shutil.copyfile(folder(model) / "tokenizer.json", output / "tokenizer.json")
    return path.stat().st_size

"""Writes the registry entry of a judge (`poq.v1.EvaluatorModel` in proto3 JSON)."""

import hashlib
import json
from pathlib import Path

from .calibration import Scale
from .judge import MAX_TOKENS, MAX_WINDOWS

MILLION = 1_000_000
# In micro-logits, until `poq-lab scores tolerance` has measured it.
TOLERANCE = 500


def table(scale: Scale) -> list[dict[str, int]]:
    """The table from raw scores to qualities."""
    return [{"raw_score": round(logit * MILLION), "quality": round(quality * MILLION)} for logit, quality in scale.points]


def write(folder: Path, name: str, licence: str, scale: Scale) -> Path:
    """Writes `entry.json` into the folder of a judge, for its `model.onnx` and `tokenizer.json`. `licence` is an SPDX identifier."""
    digests = {file: hashlib.sha256((folder / file).read_bytes()).hexdigest() for file in ("model.onnx", "tokenizer.json")}
    entry = {
        "id": name,
        "kind": "EVALUATOR_KIND_CROSS_ENCODER",
        "weights_sha256": digests["model.onnx"],
        "tokenizer_sha256": digests["tokenizer.json"],
        "max_tokens": MAX_TOKENS,
        "calibration": table(scale),
        "audit_tolerance": TOLERANCE,
        "max_windows": MAX_WINDOWS,
        "caps_junk": True,
        "licence": licence,
    }
    path = folder / "entry.json"
    path.write_text(json.dumps(entry, indent=2) + "\n")
    return path

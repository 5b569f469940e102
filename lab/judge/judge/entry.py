"""Writes the registry entry of a judge (`poq.v1.EvaluatorModel` in proto3 JSON)."""

import hashlib
import json
import math
from pathlib import Path

from .judge import MAX_TOKENS, MAX_WINDOWS

MILLION = 1_000_000
# Logits of the table; between them the chain interpolates linearly, which is within 0.006 of the logistic function.
LOGITS = [-8, -6, -5, -4, -3.5, *(step / 4 for step in range(-12, 13)), 3.5, 4, 5, 6, 8]
# Of micro-logits, until `poq-evaluator tolerance` has measured it.
TOLERANCE = 500


def table() -> list[dict[str, int]]:
    """Raw score to quality. A judge is trained so that the logistic function of its logit is the quality."""
    inner = [{"raw_score": round(logit * MILLION), "quality": round(MILLION / (1 + math.exp(-logit)))} for logit in LOGITS]
    return [{**inner[0], "quality": 0}, *inner[1:-1], {**inner[-1], "quality": MILLION}]


def write(folder: Path, name: str) -> Path:
    """Writes `entry.json` into the folder of a judge, for its `model.onnx` and `tokenizer.json`."""
    digests = {file: hashlib.sha256((folder / file).read_bytes()).hexdigest() for file in ("model.onnx", "tokenizer.json")}
    entry = {
        "id": name,
        "kind": "EVALUATOR_KIND_CROSS_ENCODER",
        "weights_sha256": digests["model.onnx"],
        "tokenizer_sha256": digests["tokenizer.json"],
        "max_tokens": MAX_TOKENS,
        "calibration": table(),
        "audit_tolerance": TOLERANCE,
        "max_windows": MAX_WINDOWS,
    }
    path = folder / "entry.json"
    path.write_text(json.dumps(entry, indent=2) + "\n")
    return path

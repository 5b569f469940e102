"""Loads a BERT encoder from a canonical ONNX file, for training."""

import os
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from peft import LoraConfig, PeftModel, get_peft_model
from tokenizers import Tokenizer
from transformers import BertConfig, BertForSequenceClassification

# Canonical files quantise the embeddings: name in the graph -> parameter.
EMBEDDINGS = {
    "word_embeddings": "bert.embeddings.word_embeddings.weight",
    "token_type_embeddings": "bert.embeddings.token_type_embeddings.weight",
    "position_embeddings": "bert.embeddings.position_embeddings.weight",
}
# The linear layers of the encoder, by their names in transformers.
LINEAR = r"bert\.encoder\.layer\.({layers})\.(attention\.self\.(query|key|value)|(attention\.)?output\.dense|intermediate\.dense)"


class FormError(Exception):
    """An ONNX file that is not a BERT encoder in canonical form."""


def cache() -> Path:
    """The folder of the models that `make setup` fetches."""
    if own := os.environ.get("POQ_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "poq"


def folder(model: str) -> Path:
    """The folder of a model: a path, or the id of one that `make setup` has fetched."""
    path = Path(model)
    return path if path.is_dir() else cache() / "models" / model


def weights(path: Path) -> dict[str, np.ndarray]:
    """The parameters of a canonical file under their names in transformers; without pooler and classifier
    if it has none."""
    graph = onnx.load(path).graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    found = {name: value for name, value in constants.items() if name.endswith(("LayerNorm.weight", ".bias"))}
    products = {node.output[0]: node.input[1] for node in graph.node if node.op_type == "MatMul"}
    for node in graph.node:
        if node.op_type == "DequantizeLinear":
            found |= _embedding(graph, constants, node)
        if node.op_type != "Add":
            continue
        bias = next((name for name in node.input if name.endswith(".bias") and name in constants), None)
        product = next((products[name] for name in node.input if name in products), None)
        if bias and product in constants:
            found[bias.removesuffix("bias") + "weight"] = constants[product].T
    prefixed = {name if name.startswith(("bert.", "classifier.")) else f"bert.{name}": value for name, value in found.items()}
    if not prefixed.keys() >= set(EMBEDDINGS.values()):
        raise FormError(f"{path} is not a BERT encoder in canonical form; write it with `poq-evaluator transcode`")
    return prefixed


def _embedding(graph, constants, node) -> dict[str, np.ndarray]:
    """The table from which a DequantizeLinear node reads rows."""
    gather = next(other for other in graph.node if node.input[0] in other.output)
    table, scale, zero = (constants[name] for name in (gather.input[0], node.input[1], node.input[2]))
    parameter = next((to for part, to in EMBEDDINGS.items() if part in gather.input[0]), None)
    if parameter is None:
        raise FormError(f"{gather.input[0]} is not an embedding of BERT")
    return {parameter: (table.astype(np.int32) - zero.astype(np.int32)).astype(np.float32) * scale}


def encoder(model: str) -> BertForSequenceClassification:
    """The encoder with one output. A bi-encoder's pooler and classifier are initialized randomly."""
    found = weights(folder(model) / "model.onnx")
    layers = 1 + max(int(name.split(".")[3]) for name in found if name.startswith("bert.encoder.layer."))
    vocabulary, hidden = found[EMBEDDINGS["word_embeddings"]].shape
    config = BertConfig(
        vocab_size=vocabulary,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=hidden // 32,
        intermediate_size=found["bert.encoder.layer.0.intermediate.dense.bias"].shape[0],
        max_position_embeddings=found[EMBEDDINGS["position_embeddings"]].shape[0],
        num_labels=1,
        # No run sees its data twice, and drawing random numbers is slow on a CPU.
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    network = BertForSequenceClassification(config)
    state = {name: torch.from_numpy(np.array(value)) for name, value in found.items()}
    missing = network.load_state_dict(state, strict=False)
    head = {"bert.pooler.dense.weight", "bert.pooler.dense.bias", "classifier.weight", "classifier.bias"}
    if missing.unexpected_keys or not set(missing.missing_keys) <= head:
        raise FormError(f"{model} has unexpected parameters: {missing}")
    return network


def adapted(network: BertForSequenceClassification, rank: int, first_layer: int) -> PeftModel:
    """Low-rank adapters on the linear layers from `first_layer` on; pooler and classifier are trained in full."""
    layers = "|".join(str(layer) for layer in range(first_layer, network.config.num_hidden_layers))
    # A scale of 2 is exact in half precision.
    return get_peft_model(
        network,
        LoraConfig(
            task_type="SEQ_CLS",
            r=rank,
            lora_alpha=2 * rank,
            target_modules=LINEAR.format(layers=layers),
            modules_to_save=["pooler", "classifier"],
        ),
    )


def tokenizer(model: str) -> Tokenizer:
    """The model's tokenizer, without truncation and padding, as in the score's rule."""
    found = Tokenizer.from_file(str(folder(model) / "tokenizer.json"))
    found.no_truncation()
    found.no_padding()
    return found

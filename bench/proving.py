#!/usr/bin/env python3
"""Compares the cost of checking one answer, K scores and a consensus, with a zero-knowledge proof of one score.

EZKL (halo2, KZG commitments) proves a part of the evaluator model: its first layers with its own weights, its
pooler and classifier, on the embeddings of a real pair. Layers, heads and tokens set the size of the part.
ONNX Runtime computes the same file. The evaluator scores with the whole model, and `bench-consensus` measures
commit, reveal, settlement and pay. The cost of the whole model is extrapolated and marked so.

Needs built programs (`make build`) and the packages of bench/requirements-proving.txt. Ratios are of CPU time
in one run, so that other work on the machine has little effect; clock times are printed beside it.
"""

import argparse
import json
import os
import pathlib
import re
import resource
import subprocess
import sys
import tempfile
import time

from common import CACHE, TARGET, machine

INSTALL = """python3 -m pip install --target {folder} --require-hashes --no-deps --only-binary=:all: -r {requirements}
and run this with PYTHONPATH={folder}"""
NAME = "ms-marco-minilm-l-12-v2"
MODEL = CACHE / "models" / NAME
LAYERS, HEADS, HEAD, TOKENS = 12, 12, 32, 512
# Embeddings go into the circuit as a public input: a verifier looks them up in a table.
EMBEDDED = "/bert/embeddings/LayerNorm/Add_1_output_0"
PROMPT = "why blue ?"
# Tokens of the prompt and of [CLS], [SEP] and [SEP]; every further word is one token.
AROUND = 6
WORDS = ["light", "water", "air", "sun", "red", "small", "particles", "scatter"]
# Range of the fixed-point numbers in lookup tables. The table is as long as the shortest circuit.
LOOKUPS = (-16384, 16384)
LEAST_LOGROWS = 16
# halo2's field has no larger domains: larger circuits must be proved in parts.
MOST_LOGROWS = 28
# Llama 3 8B.
LARGE_PARAMETERS, LARGE_LAYERS, LARGE_WIDTH = 8e9, 32, 4096
PAPER = 1000
# System, minutes of a proof, its size, source.
PUBLISHED = [
    ("zkLLM, 13 billion parameters, A100 GPU", 15, "under 15 min, under 200 kB", "arXiv 2404.16109"),
    ("DeepProve, GPT-2, 512 tokens, 24 cores", 7.6, "7.6 min, 10.7 MiB", "README of Lagrange-Labs/deep-prove"),
    ("opML, 7B-LLaMA, PC without GPU", None, "no proof: who doubts computes it again, and a dispute finds the wrong step", "arXiv 2401.17555"),
]


class Part:
    """The evaluator model's first layers, with its first heads."""

    def __init__(self, layers, heads, tokens):
        self.layers, self.heads, self.tokens = layers, heads, tokens
        self.width = heads * HEAD

    def multiplications(self):
        """Multiply-accumulates: twelve squares of the width in a layer's matrices, attention, and the head."""
        width, tokens = self.width, self.tokens
        return self.layers * (12 * tokens * width**2 + 2 * tokens**2 * width) + width**2 + width

    def ids(self, answer):
        vocabulary = json.loads((MODEL / "tokenizer.json").read_text())["model"]["vocab"]
        first = ["[CLS]", *PROMPT.split(), "[SEP]"]
        words = [*first, *answer.split(), "[SEP]"]
        return [vocabulary[word] for word in words], [0] * len(first) + [1] * (len(words) - len(first))

    def answer(self, index=0):
        return " ".join(WORDS[(index + place) % len(WORDS)] for place in range(self.tokens - AROUND))

    def embed(self, answers):
        """Embeddings of each pair, the input of the model's first layer."""
        import numpy
        import onnx

        model = onnx.load(MODEL / "model.onnx")
        del model.graph.output[:]
        model.graph.output.append(onnx.helper.make_tensor_value_info(EMBEDDED, onnx.TensorProto.FLOAT, None))
        found = session(model.SerializeToString())
        for answer in answers:
            ids, types = self.ids(answer)
            rows = {"input_ids": ids, "attention_mask": [1] * len(ids), "token_type_ids": types}
            feed = {name: numpy.array([row], dtype=numpy.int64) for name, row in rows.items()}
            yield found.run([EMBEDDED], feed)[0][:, :, : self.width]

    def write(self, path):
        """The part as an ONNX file with fixed shapes."""
        import onnx
        from onnx import helper, numpy_helper

        model = onnx.load(MODEL / "model.onnx")
        graph = model.graph
        shape = [1, self.tokens, self.width]
        entrance = helper.make_tensor_value_info(EMBEDDED, onnx.TensorProto.FLOAT, shape)
        for tensor in graph.initializer:
            array = numpy_helper.to_array(tensor)
            if array.dtype == "float32":
                sizes = (size * self.heads // HEADS if size % (HEADS * HEAD) == 0 else size for size in array.shape)
                tensor.CopyFrom(numpy_helper.from_array(array[tuple(map(slice, sizes))].copy(), tensor.name))
        nodes = list(graph.node)
        del graph.node[:]
        for node in nodes:
            if EMBEDDED in node.output:
                continue
            if "/bert/Where_1_output_0" in node.input:
                # The mask adds nothing: every token counts.
                node = helper.make_node("Identity", node.input[:1], node.output)
            if node.op_type == "Constant":
                self.narrow(node.attribute[0].t)
            if node.output[0] == "/bert/pooler/Gather_output_0":
                node.input[0] = f"/bert/encoder/layer.{self.layers - 1}/output/LayerNorm/Add_1_output_0"
            graph.node.append(node)
        # The shapes in the file are those of the whole model.
        del graph.value_info[:]
        graph.value_info.append(entrance)
        part = onnx.utils.Extractor(model).extract_model([EMBEDDED], ["logits"])
        part.graph.input[0].CopyFrom(entrance)
        part.graph.output[0].CopyFrom(helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, [1, 1]))
        # ONNX Runtime computes the shapes once, so that circuits need not.
        session(part.SerializeToString(), str(path))

    def narrow(self, tensor):
        """Sizes that are constants of the graph: the number of heads and the width."""
        from onnx import numpy_helper

        array = numpy_helper.to_array(tensor)
        if array.dtype == "int64" and array.size == 1 and int(array.item()) in (HEADS, HEADS * HEAD):
            tensor.CopyFrom(numpy_helper.from_array(array * self.heads // HEADS, tensor.name))


def session(model, optimized=None):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    if optimized:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = optimized
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, ["CPUExecutionProvider"])


def settle(folder, scale, columns):
    """Settings of the circuit of `part.onnx`, with the smallest number of rows."""
    import ezkl

    path, logrows = folder / "settings.json", LEAST_LOGROWS
    while True:
        wanted = ezkl.PyRunArgs()
        wanted.input_visibility = wanted.output_visibility = "public"
        # The verifying key binds fixed weights, so the proof is about this model.
        wanted.param_visibility = "fixed"
        wanted.input_scale = wanted.param_scale = scale
        wanted.lookup_range, wanted.logrows, wanted.num_inner_cols = LOOKUPS, logrows, columns
        ezkl.gen_settings(str(folder / "part.onnx"), str(path), wanted)
        settings = json.loads(path.read_text())
        # Some rows are left for blinding.
        needed = (max(settings["num_rows"], settings["einsum_params"]["total_einsum_col_size"]) + 64).bit_length()
        if needed <= logrows:
            return
        if needed > MOST_LOGROWS:
            raise OverflowError(f"{settings['num_rows']} rows are more than halo2's field allows")
        logrows = needed


def steps(folder, scale, columns):
    """The steps of a child process, by name."""
    import ezkl

    def at(name):
        return str(folder / name)

    def logrows():
        return json.loads((folder / "settings.json").read_text())["run_args"]["logrows"]

    def parameters():
        # All circuits of a size share the parameters; random ones are enough for a measurement.
        return str(folder.parent / f"parameters-{logrows()}")

    def make_parameters():
        if not os.path.exists(parameters()):
            ezkl.gen_srs(at("parameters"), logrows())
            os.rename(at("parameters"), parameters())

    return {
        "settings": lambda: settle(folder, scale, columns),
        "compile": lambda: ezkl.compile_circuit(at("part.onnx"), at("circuit"), at("settings.json")),
        "parameters": make_parameters,
        "keys": lambda: ezkl.setup(at("circuit"), at("vk"), at("pk"), parameters()),
        "witness": lambda: ezkl.gen_witness(at("input.json"), at("circuit"), at("witness.json")),
        "prove": lambda: ezkl.prove(at("witness.json"), at("circuit"), at("pk"), at("proof.json"), parameters()),
        "verify": lambda: ezkl.verify(at("proof.json"), at("settings.json"), at("vk"), parameters()),
    }


def child(name, folder, scale, columns):
    """Runs one step and writes its time and memory."""
    step = steps(folder, scale, columns)[name]
    clock, cpu = time.perf_counter(), time.process_time()
    found = step()
    took = {"seconds": time.perf_counter() - clock, "cpu_seconds": time.process_time() - cpu}
    if found is False:
        raise SystemExit(f"EZKL refuses to {name}")
    took["memory_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    (folder / f"{name}.took").write_text(json.dumps(took))


def say(text):
    print(text, file=sys.stderr, flush=True)


class Prover:
    """A circuit of a part in a folder. Every step has its own process, so that its memory can be measured."""

    def __init__(self, part, folder, options):
        self.part, self.folder, self.options = part, folder, options
        part.write(folder / "part.onnx")

    def step(self, name):
        command = [sys.executable, __file__, "--step", name, "--folder", self.folder]
        command += ["--scale", str(self.options.scale), "--columns", str(self.options.columns)]
        limit = int(self.options.memory * 1e9)
        took, log = self.folder / f"{name}.took", self.folder / f"{name}.log"
        with log.open("w") as output:
            done = subprocess.run(
                command,
                stdout=output,
                stderr=subprocess.STDOUT,
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
            )
        if done.returncode:
            said = [line for line in log.read_text().splitlines() if re.search("panicked|error|alloc|refuses", line, re.I)]
            raise SystemExit(
                f"{name} failed with {self.part.layers} layers, {self.part.heads} heads, {self.part.tokens} tokens: "
                f"{' '.join(said[-3:]) or done.returncode}\n"
                f"It had {self.options.memory:g} GB: allow more with --memory, or take fewer heads or tokens."
            )
        found = json.loads(took.read_text())
        say(f"  {name}: {found['seconds']:.1f} s, {found['cpu_seconds']:.1f} s of CPU time, {found['memory_bytes'] / 1e9:.1f} GB")
        return found

    def cells(self):
        """Cells of the circuit: those of functions and additions, and those of matrix products."""
        self.step("settings")
        settings = json.loads((self.folder / "settings.json").read_text())
        return settings["total_assignments"] + settings["einsum_params"]["total_einsum_col_size"]

    def witness(self, embedded):
        """The circuit's output for the embeddings, with time and memory."""
        import ezkl

        (self.folder / "input.json").write_text(json.dumps({"input_data": [embedded.reshape(-1).tolist()]}))
        took = self.step("witness")
        element = json.loads((self.folder / "witness.json").read_text())["outputs"][0][0]
        scale = json.loads((self.folder / "settings.json").read_text())["model_output_scales"][0]
        return ezkl.felt_to_float(element, scale), took

    def measure(self):
        embeddings = list(self.part.embed(map(self.part.answer, range(self.options.answers))))
        runtime = session(str(self.folder / "part.onnx"))
        wanted = [float(runtime.run(None, {EMBEDDED: embedded})[0][0][0]) for embedded in embeddings]
        cells = self.cells()
        settings = json.loads((self.folder / "settings.json").read_text())
        self.step("compile")
        # The proved answer comes last.
        found = [self.witness(embedded) for embedded in reversed(embeddings)]
        outputs = [output for output, _ in found][::-1]
        times = {name: self.step(name) for name in ("parameters", "keys", "prove", "verify")}
        times["witness"] = found[-1][1]
        computing = self.compute(runtime, embeddings[0])
        proving = times["witness"]["cpu_seconds"] + times["prove"]["cpu_seconds"]
        return {
            "layers": self.part.layers,
            "heads": self.part.heads,
            "tokens": self.part.tokens,
            "multiplications": self.part.multiplications(),
            "compute_cpu_seconds": computing,
            "rows": settings["num_rows"],
            "cells": cells,
            "logrows": settings["run_args"]["logrows"],
            "steps": times,
            "proof_bytes": self.size("proof.json"),
            "proving_key_bytes": (self.folder / "pk").stat().st_size,
            "verifying_key_bytes": (self.folder / "vk").stat().st_size,
            "memory_bytes": max(took["memory_bytes"] for took in times.values()),
            "proving_cpu_seconds": proving,
            "proving_to_computing": proving / computing,
            "float_outputs": wanted,
            "circuit_outputs": outputs,
            "largest_difference": max(abs(one - other) for one, other in zip(wanted, outputs)),
        }

    def size(self, name):
        """Bytes of the proof itself, without the public input in the same file."""
        return (len(json.loads((self.folder / name).read_text())["hex_proof"]) - 2) // 2

    def compute(self, runtime, embedded):
        """CPU time of one inference on one thread."""
        times = []
        for _ in range(7):
            start, repeat = time.process_time(), 50
            for _ in range(repeat):
                runtime.run(None, {EMBEDDED: embedded})
            times.append((time.process_time() - start) / repeat)
        return min(times)


def prove(options):
    found = []
    for heads in options.heads:
        part = Part(options.layers, heads, options.tokens)
        say(f"{part.layers} layers, {heads} heads, {part.tokens} tokens")
        with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
            found.append(Prover(part, pathlib.Path(folder), options).measure())
    return found


def whole_cells(options):
    """Cells of the whole model's circuit, by a second-degree polynomial in the tokens of one whole layer."""
    say("circuits of one whole layer")
    points = []
    for tokens in (8, 16, 32):
        with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
            points.append((tokens, Prover(Part(1, HEADS, tokens), pathlib.Path(folder), options).cells()))
    total = 0
    for place, (tokens, cells) in enumerate(points):
        others = [other for index, (other, _) in enumerate(points) if index != place]
        share = cells
        for other in others:
            share *= (TOKENS - other) / (tokens - other)
        total += share
    return LAYERS * total


def score(tokens, repeat):
    """One score on one thread: seconds of CPU time, without loading, and on the clock."""

    def run(times):
        answer = " ".join(["light"] * (tokens - AROUND))
        command = [TARGET / "debug/poq-evaluator", "score", "--threads", "1", "--output", "json"]
        command += ["--model", NAME, "--repeat", str(times), "--prompt", PROMPT, "--answer", answer]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "RUST_LOG": "warn"})
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            raise SystemExit("poq-evaluator failed; its message is above")
        scored = json.loads(output)
        assert scored["tokens"] == tokens, scored
        return usage.ru_utime + usage.ru_stime, scored["milliseconds"] / 1000

    # The difference of two runs excludes loading and the warm-up.
    short, long = run(1), run(repeat + 1)
    return {"tokens": tokens, "cpu_seconds": max(long[0] - short[0], 0) / repeat, "seconds": long[1]}


def consensus(options):
    """Seconds of CPU time per task on the chain, in batches and with a transaction for each commit and reveal."""
    command = [TARGET / "debug/bench-consensus", "--committees", str(options.committee), "--rounds", str(options.rounds)]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    # K, five phases, background, consensus in bold, tasks, signatures, transactions, checks.
    rows = [[cell.strip() for cell in line.strip("| \n").split("|")] for line in output.splitlines()]
    rows = [row for row in rows if row[0] == str(options.committee) and len(row) == 12]
    if len(rows) != 2:
        raise SystemExit(f"bench-consensus printed another table than this reads:\n{output}")
    return [
        {"cpu_seconds": float(re.sub(r"\D", "", row[7])) / 1e6, "transactions": float(row[10])}
        for row in rows
    ]


def check(options):
    say("scores and consensus")
    short, long = score(options.tokens, 200), score(TOKENS, 20)
    batches, apart = consensus(options)
    return {
        "committee": options.committee,
        "scores": [short, long],
        "consensus": batches,
        "consensus_apart": apart,
        "cpu_seconds": [options.committee * of["cpu_seconds"] + batches["cpu_seconds"] for of in (short, long)],
    }


def extrapolate(proofs, checked, cells):
    """Extrapolates to the whole model and to a large one with the time per cell of the largest proof."""
    largest = max(proofs, key=lambda proof: proof["cells"])
    per_cell = largest["proving_cpu_seconds"] / largest["cells"]
    large_cells = cells * LARGE_LAYERS * LARGE_WIDTH / (LAYERS * HEADS * HEAD) + LARGE_PARAMETERS
    judge, large = cells * per_cell, large_cells * per_cell
    return {
        "cpu_seconds_per_cell": per_cell,
        "cells": cells,
        "judge_cpu_seconds": judge,
        "judge_proof_to_check": judge / checked["cpu_seconds"][1],
        "large_cells": large_cells,
        "large_cpu_seconds": large,
        "large_proof_to_check": large / checked["cpu_seconds"][1],
    }


def duration(seconds):
    for size, unit in ((31557600, "years"), (86400, "days"), (3600, "h"), (60, "min"), (1, "s"), (1e-3, "ms")):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e6:.3g} µs"


def table(titles, rows):
    print("| " + " | ".join(titles) + " |")
    print("| " + " | ".join("---" for _ in titles) + " |")
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |")


def show(found):
    print(f"{found['machine']}; EZKL proves on all processors, the rest has one thread\n")
    print_proofs(found["proofs"])
    print_check(found["check"], found["proofs"])
    if found["extrapolated"]:
        print_extrapolated(found["extrapolated"], found["check"])
    check = found["check"]["cpu_seconds"][1]
    print(f"\nPublished by others, time on the clock of their machines; not measured here. The check is that of {TOKENS} tokens above:\n")
    table(["what", "a proof", "source", "a proof / check"], (
        [what, figure, source, f"{minutes * 60 / check:,.0f}" if minutes else "-"]
        for what, minutes, figure, source in PUBLISHED
    ))
    print(f"\n{found['machine_after']} at the end")


def print_proofs(proofs):
    print("Proving a part of the evaluator model, and computing it. CPU time (clock):\n")
    both = lambda took: f"{duration(took['cpu_seconds'])} ({duration(took['seconds'])})"
    titles = ["layers, heads, tokens", "multiply-accumulates", "cells, of 2^k rows", "computing", "witness", "**proof**"]
    titles += ["verification", "proof, kB", "keys, once", "proving key, MB", "memory, GB", "**proving / computing**"]
    titles += ["output differs by"]
    rows = []
    for proof in proofs:
        took = proof["steps"]
        rows.append([
            f"{proof['layers']}, {proof['heads']}, {proof['tokens']}",
            f"{proof['multiplications']:.2e}",
            f"{proof['cells']:.2e}, k = {proof['logrows']}",
            duration(proof["compute_cpu_seconds"]),
            both(took["witness"]),
            both(took["prove"]),
            both(took["verify"]),
            f"{proof['proof_bytes'] / 1e3:.1f}",
            both(took["keys"]),
            f"{proof['proving_key_bytes'] / 1e6:.0f}",
            f"{proof['memory_bytes'] / 1e9:.1f}",
            f"**{proof['proving_to_computing']:,.0f}**",
            f"{proof['largest_difference']:.3f} of {max(map(abs, proof['float_outputs'])):.3f}",
        ])
    table(titles, rows)


def print_check(checked, proofs):
    k = checked["committee"]
    print(f"\nChecking an answer by PoQ, K = {k}, with the whole evaluator model. CPU time (clock):\n")
    chain, apart = checked["consensus"], checked["consensus_apart"]
    rows = []
    for scored, total in zip(checked["scores"], checked["cpu_seconds"]):
        rows.append([
            scored["tokens"],
            f"{duration(scored['cpu_seconds'])} ({duration(scored['seconds'])})",
            duration(k * scored["cpu_seconds"]),
            f"{duration(chain['cpu_seconds'])}, {chain['transactions']:g}",
            f"{duration(apart['cpu_seconds'])}, {apart['transactions']:g}",
            f"**{duration(total)}**",
        ])
    titles = ["tokens", "a score", f"{k} scores", "consensus in batches, transactions", "one transaction each", "**K scores and consensus**"]
    table(titles, rows)
    print("\nA proof of the part, against the check of an answer of as many tokens, measured:\n")
    titles = ["layers, heads, tokens", "share of the model's multiply-accumulates", "proof / check with the same part"]
    titles += ["**proof / check with the whole model**", "proof / consensus alone"]
    table(titles, (
        [
            f"{proof['layers']}, {proof['heads']}, {proof['tokens']}",
            f"{proof['multiplications'] / Part(LAYERS, HEADS, proof['tokens']).multiplications():.3%}",
            f"{proof['proving_cpu_seconds'] / (k * proof['compute_cpu_seconds'] + chain['cpu_seconds']):,.0f}",
            f"**{proof['proving_cpu_seconds'] / checked['cpu_seconds'][0]:,.0f}**",
            f"{proof['proving_cpu_seconds'] / chain['cpu_seconds']:,.0f}",
        ]
        for proof in proofs
    ))


def print_extrapolated(beyond, checked):
    print(f"""
EXTRAPOLATED, not measured. Rule: EZKL counts the cells of one whole layer for 8, 16 and 32 tokens; a polynomial of
second degree goes to {TOKENS}; {LAYERS} layers have {LAYERS} times as many; a cell takes the {duration(beyond['cpu_seconds_per_cell'])} of CPU time that it takes in the
largest proof above. The logarithm of the size, by which proving is slower than that, is left out, and so is memory. A
model of 8 billion parameters ({LARGE_LAYERS} layers, {LARGE_WIDTH} wide, one pass over {TOKENS} tokens) has as many more cells of functions as its layers
times its width are more, and a cell for each weight. The check is that of {TOKENS} tokens above in both rows: PoQ runs the
judge, whatever model answers.
""")
    table(["proof of", "cells", "CPU time", "**proof / check**", f"of the paper's {PAPER:,}"], [
        [what, f"{cells:.1e}", duration(seconds), f"**{ratio:,.0f}**", f"{ratio / PAPER:,.0f} times"]
        for what, cells, seconds, ratio in (
            (f"the judge, {LAYERS} layers, {TOKENS} tokens", beyond["cells"], beyond["judge_cpu_seconds"], beyond["judge_proof_to_check"]),
            (f"8 billion parameters, {TOKENS} tokens", beyond["large_cells"], beyond["large_cpu_seconds"], beyond["large_proof_to_check"]),
        )
    ])


def installed():
    try:
        import ezkl  # noqa: F401
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
    except ImportError as error:
        here = pathlib.Path(__file__).parent
        command = INSTALL.format(folder=CACHE / "ezkl", requirements=here / "requirements-proving.txt")
        raise SystemExit(f"{error.name} is not installed. Install it with\n{command}")


def numbers(text):
    found = [int(number) for number in text.split(",")]
    if any(not 1 <= number <= HEADS for number in found):
        raise argparse.ArgumentTypeError(f"heads are 1 to {HEADS}")
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=1, help="number of proved layers, from the first on, up to 12")
    parser.add_argument("--heads", type=numbers, default=[1], help="proved heads per layer, each of width 32, up to 12; a proof for each number")
    parser.add_argument("--tokens", type=int, default=8, help="tokens of the pair, 7 to 512")
    parser.add_argument("--committee", type=int, default=5, help="K, the number of scores of an answer")
    parser.add_argument("--scale", type=int, default=7, help="binary digits after the point in the circuit")
    parser.add_argument("--columns", type=int, default=3, help="columns of the circuit; more columns need fewer rows")
    parser.add_argument("--answers", type=int, default=3, help="number of answers whose output is compared with the float one")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of bench-consensus")
    parser.add_argument("--memory", type=float, default=10, help="limit of a step's address space, GB")
    parser.add_argument("--scratch", type=pathlib.Path, help="folder for keys, several GB for many heads; existing parameters are reused")
    parser.add_argument("--no-extrapolation", action="store_true", help="skip the extrapolation")
    parser.add_argument("--output", choices=["text", "json"], default="text")
    parser.add_argument("--step", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=pathlib.Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    installed()
    if options.step:
        child(options.step, options.folder, options.scale, options.columns)
        return
    if not (1 <= options.layers <= LAYERS and AROUND < options.tokens <= TOKENS):
        parser.error(f"layers are 1 to {LAYERS}, tokens {AROUND + 1} to {TOKENS}")
    if missing := next((path for path in (MODEL / "model.onnx", TARGET / "debug/poq-evaluator", TARGET / "debug/bench-consensus") if not path.exists()), None):
        raise SystemExit(f"{missing} is missing: run `make build`")

    before = machine()
    with tempfile.TemporaryDirectory() as scratch:
        options.scratch = options.scratch or pathlib.Path(scratch)
        checked = check(options)
        proofs = prove(options)
        beyond = None if options.no_extrapolation else extrapolate(proofs, checked, whole_cells(options))
    found = {"machine": before, "machine_after": machine(), "proofs": proofs, "check": checked, "extrapolated": beyond, "published": PUBLISHED}
    if options.output == "json":
        print(json.dumps(found, indent=2))
    else:
        show(found)


main()

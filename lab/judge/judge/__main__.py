"""Command line: `judge.sh COMMAND --help`."""

import argparse
import json
import logging
import sys
from dataclasses import fields
from pathlib import Path

from . import base, calibration, card, data, entry, export, figure, generate, measure
from .judge import Judge
from .train import Run, Settings


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    parser = argparse.ArgumentParser(prog="judge.sh", description="Trains judges of (prompt, answer).")
    commands = parser.add_subparsers(required=True)
    train = commands.add_parser("train", help="train an adapter; resumes an interrupted run")
    train.set_defaults(run_command=_train)
    train.add_argument("--run", type=Path, required=True, help="folder of the run; created if missing")
    for of in fields(Settings):
        if of.name != "tiers":
            train.add_argument("--" + of.name.replace("_", "-"), type=of.type, default=of.default, help=f"default {of.default}")
    measured = commands.add_parser("measure", help="print the accuracy of a judge, as a Markdown table")
    measured.set_defaults(run_command=_measure)
    which = measured.add_mutually_exclusive_group(required=True)
    which.add_argument("--run", type=Path, help="a training run")
    which.add_argument("--model", help="an unmodified cross-encoder: an id or a folder")
    measured.add_argument("--most", type=int, default=150, help="most pairs of each source and kind; default 150")
    calibrated = commands.add_parser("calibrate", help="fit qualities to a run's logits, on the prompts that chose its checkpoint")
    calibrated.set_defaults(run_command=_calibrate)
    calibrated.add_argument("--run", type=Path, required=True, help="a training run; gets scale.json")
    carded = commands.add_parser("card", help="print how a run was trained, as Markdown")
    carded.set_defaults(run_command=_card)
    carded.add_argument("--run", type=Path, required=True, help="a training run")
    carded.add_argument("--figure", type=Path, help="output file for the figure of its course, .svg")
    generated = commands.add_parser("generate", help="generate a language model's answers to prompts of the data, to train on")
    generated.set_defaults(run_command=_generate)
    generated.add_argument("--model", type=Path, required=True, help="folder of a model of transformers, or a .gguf file with its tokenizer in the same folder")
    generated.add_argument("--name", required=True, help="name of the model in the rows")
    generated.add_argument("--strength", type=float, required=True, help="its approximate win rate in %%")
    generated.add_argument("--reference", type=float, default=0.0, help="win rate of the data's good answers in %%, to include them; default 0: leave them out")
    generated.add_argument("--temperature", type=float, default=0.0, help="default 0: the most likely words")
    generated.add_argument("--prompts", type=int, default=400, help="number of prompts; default 400")
    generated.add_argument("--source", action="append", default=[], help="only these sources of the data; default all")
    generated.add_argument("--fold", type=int, help="only prompts of this fold; default all")
    generated.add_argument("--output", type=Path, required=True, help="output file, .jsonl")
    for command in (train, calibrated, carded, measured, generated):
        command.add_argument("--data", type=Path, required=True, help="folder of .jsonl or .jsonl.zst files")
        command.add_argument("--tier", action="append", default=[], help="licence tier of files to read (suffix of their names); default all")
    exported = commands.add_parser("export", help="write a run's best adapter and its tokenizer")
    exported.set_defaults(run_command=_export)
    exported.add_argument("--run", type=Path, required=True, help="a training run")
    entered = commands.add_parser("entry", help="write the registry entry of a judge that `poq-evaluator transcode` has merged")
    entered.set_defaults(run_command=_entry)
    entered.add_argument("--id", required=True, help="the judge's id in the registry")
    entered.add_argument("--licence", default="", help="SPDX identifier of the judge's licence")
    entered.add_argument("--run", type=Path, required=True, help="its training run, with the scale of `calibrate`")
    for command in (exported, entered):
        command.add_argument("--folder", type=Path, required=True, help="folder of the judge; created if missing")
    return parser


def _train(args: argparse.Namespace) -> None:
    given = {of.name: getattr(args, of.name) for of in fields(Settings) if of.name != "tiers"}
    Run(args.run, Settings(tiers=tuple(args.tier), **given), data.read(args.data, args.tier)).train()


def _measure(args: argparse.Namespace) -> None:
    judge = Judge.of_run(args.run) if args.run else Judge.of_model(args.model)
    print("measure | cases | judge | answer's length | word overlap\n--- | --- | --- | --- | ---")
    for figure in measure.measure(judge, data.read(args.data, args.tier), args.most):
        print(figure, flush=True)


def _calibrate(args: argparse.Namespace) -> None:
    answers = calibration.known(data.of_fold(data.read(args.data, args.tier), data.CHOOSING))
    if not answers:
        raise ValueError(f"{args.data} has no answers of models with win rates, which define qualities; without `calibrate`, it is the logistic function of the logit")
    scale = calibration.fit(Judge.of_run(args.run).logits, answers)
    scale.write(args.run)
    print(f"{len(scale.points)} points, fitted to {len(answers)} answers")


def _card(args: argparse.Namespace) -> None:
    if args.figure:
        figure.draw(args.run, args.figure)
    print(card.card(args.run, data.training(data.read(args.data, args.tier))))


def _generate(args: argparse.Namespace) -> None:
    settings = generate.Settings(args.name, args.strength, args.temperature, reference=args.reference)
    prompts = data.read(args.data, args.tier)
    if args.fold is not None:
        prompts = data.of_fold(prompts, args.fold)
    if args.source:
        prompts = [prompt for prompt in prompts if prompt.source in args.source]
    prompts = generate.chosen(prompts, args.prompts, settings.seed)
    written = 0
    with args.output.open("w") as file:
        for rows in generate.generate(generate.Model(args.model), prompts, settings):
            file.writelines(json.dumps(row) + "\n" for row in rows)
            file.flush()
            written += len(rows)
            logging.info("%d answers to %d prompts", written, len(prompts))


def _export(args: argparse.Namespace) -> None:
    print(f"{args.folder}/adapter.safetensors: {export.export(args.run, args.folder):,} bytes")


def _entry(args: argparse.Namespace) -> None:
    print(entry.write(args.folder, args.id, args.licence, calibration.Scale.read(args.run)))


def main() -> int:
    """Runs one command."""
    args = parser().parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    try:
        args.run_command(args)
    except (data.FormError, base.FormError, export.ExportError, OSError, ValueError) as error:
        print(f"judge: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

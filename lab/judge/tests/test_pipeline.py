"""Tests the pipeline from data to a score of the evaluator, on made-up data. Run by `make test`."""

import json
import os
import subprocess
import tempfile
import unittest
import unittest.mock
from pathlib import Path

import made_up
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from judge import adversary, base, calibration, data, entry, export, figure, generate, measure, windows
from judge.calibration import Scale
from judge.judge import Judge
from judge.mixture import Mixture, quality_of
from judge.train import Run, Settings

EVALUATOR = os.environ.get("POQ_EVALUATOR", "poq-evaluator")
SMALL = {"pairs": 8, "max_tokens": 64, "rank": 4, "first_layer": 10, "every": 4, "choosing": 16}


class Folds(unittest.TestCase):
    def test_training_choosing_and_card_have_no_prompt_in_common(self):
        with tempfile.TemporaryDirectory() as folder:
            made_up.write(Path(folder), 300)
            prompts = data.read(Path(folder), [])
        sets = [data.training(prompts), data.of_fold(prompts, data.CHOOSING), data.of_fold(prompts, data.CARD)]
        texts = [{prompt.text for prompt in of} for of in sets]
        self.assertTrue(all(texts))
        self.assertEqual(sum(map(len, texts)), len(set().union(*texts)))
        drawn = Mixture(sets[0], 1)
        self.assertLessEqual({drawn.draw().prompt for _ in range(500)}, texts[0])

    def test_answers_of_held_models_are_not_drawn(self):
        names = [f"m{size}" for size in range(6)]
        held = {name for name in names if data.held_model(name)}
        self.assertTrue(held and held != set(names))
        with tempfile.TemporaryDirectory() as folder:
            made_up.write(Path(folder), 50)
            mixture = Mixture(data.read(Path(folder), []), 1)
        self.assertFalse(held & {answer.model for _, answers in mixture.compared for answer in answers})


class Forms(unittest.TestCase):
    def test_a_row_of_no_form_is_named(self):
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "x_open.jsonl").write_text('{"prompt": "p", "a": "1", "b": "2", "preferred": "a"}\n{"prompt": "p"}\n')
            with self.assertRaisesRegex(data.FormError, "line 2"):
                data.read(Path(folder), [])
            with self.assertRaisesRegex(data.FormError, "no .jsonl"):
                data.read(Path(folder), ["nc"])

    def test_a_prompt_in_two_folds_is_refused(self):
        row = '{"prompt": "p", "a": "1", "b": "2", "preferred": "a", "source": "%s", "fold": %d}\n'
        for second in [("x", 2), ("y", 2)]:
            with tempfile.TemporaryDirectory() as folder:
                (Path(folder) / "x_open.jsonl").write_text(row % ("x", 1) + "\n" + row % second)
                with self.assertRaisesRegex(data.FormError, "fold"):
                    data.read(Path(folder), [])

    def test_data_of_one_prompt_is_refused(self):
        prompt = data.Prompt("p", "x", 2, pairs=[("good", "bad", "")])
        with self.assertRaisesRegex(ValueError, "a few hundred prompts"):
            Mixture([prompt], 1)

    def test_windows_are_those_of_the_rule(self):
        def lengths(prompt: int, answer: int) -> list[tuple[int, int]]:
            found = windows.windows([7] * prompt, [8] * answer, 13, 3)
            return [(window.ids.count(7), window.ids.count(8)) for window in found]

        # L = 10; m = max(10 - prompt, 5).
        self.assertEqual(lengths(3, 4), [(3, 4)])
        self.assertEqual(lengths(20, 4), [(6, 4)])
        self.assertEqual(lengths(3, 0), [(3, 0)])
        self.assertEqual(lengths(4, 13), [(4, 4), (4, 4), (4, 5)])
        self.assertEqual(lengths(20, 100), [(5, 5), (5, 5), (5, 5)])

    def test_the_table_is_monotone_and_near_the_logistic_function(self):
        table = entry.table(Scale())
        self.assertEqual([table[0]["quality"], table[-1]["quality"]], [0, 1_000_000])
        self.assertTrue(all(a["raw_score"] < b["raw_score"] and a["quality"] <= b["quality"] for a, b in zip(table, table[1:])))
        self.assertEqual(next(point["quality"] for point in table if point["raw_score"] == 0), 500_000)
        self.assertAlmostEqual(quality_of(22.9), 0.5)

    def test_a_scale_is_found_again(self):
        # Steep up to -2, and gentle from there.
        rise = [(place, calibration.logistic(-0.6 + (1.2 if place < -2 else 0.25) * (place + 2))) for place in range(-6, 7)]
        true = Scale(((-8.0, 0.0), *rise, (8.0, 1.0)))
        logits = [step / 10 for step in range(-60, 61)]
        answers = [calibration.Known(str(logit), "", true.quality(logit)) for logit in logits]
        found = calibration.fit(lambda pairs: [float(prompt) for prompt, _ in pairs], answers)
        for logit in logits:
            self.assertAlmostEqual(found.quality(logit), true.quality(logit), delta=0.05)
        self.assertEqual([found.quality(-9), found.quality(9)], [0, 1])
        targets = [of.quality for of in answers]
        self.assertEqual(calibration.error(calibration.reliability(targets, targets)), 0)
        wrong = calibration.error(calibration.reliability([1.0] * len(targets), targets))
        self.assertAlmostEqual(wrong, 1 - sum(targets) / len(targets))
        with self.assertRaises(ValueError):
            calibration.fit(lambda pairs: [-float(prompt) for prompt, _ in pairs], answers)


def language_model(folder: Path) -> None:
    """A Llama with random weights whose vocabulary is that of the made-up data."""
    words = sorted({word for row in (folder.parent / "data" / "pairs_open.jsonl").read_text().splitlines() for word in json.loads(row)["b"].split()})
    vocabulary = {word: number for number, word in enumerate(["<pad>", "<end>", "<unk>", ".", *words])}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", eos_token="<end>", unk_token="<unk>")
    tokenizer.chat_template = "{% for message in messages %}{{ message['content'] }} {% endfor %}"
    tokenizer.save_pretrained(folder)
    torch.manual_seed(1)
    config = LlamaConfig(vocab_size=len(vocabulary), hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2)
    LlamaForCausalLM(config).save_pretrained(folder)


class Generated(unittest.TestCase):
    def test_answers_of_a_language_model_are_data(self):
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            made_up.write(folder / "data", 20)
            language_model(folder / "llama")
            prompts = generate.chosen(data.read(folder / "data", []), 8, 1)
            settings = generate.Settings("tiny", 2.0, temperature=1.0, max_tokens=64, reference=20.0)
            rows = [row for of in generate.generate(generate.Model(folder / "llama"), prompts, settings) for row in of]
            self.assertTrue(0 < len(rows) <= 8)
            (folder / "new_open.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
            read = data.read(folder, ["open"])
            self.assertEqual({prompt.fold for prompt in read}, {row["fold"] for row in rows})
            for prompt in read:
                self.assertEqual([(of.model, of.strength) for of in prompt.answers], [("tiny", 2.0), ("reference", 20.0)])
                self.assertTrue(prompt.answers[0].text)


class Adversaries(unittest.TestCase):
    def test_a_search_finds_what_a_judge_likes(self):
        def likes_rivers(pairs):
            return [answer.split().count("river") - len(answer.split()) / 100 for _, answer in pairs]

        new = lambda: adversary.Search("a river and a town", "It is long.", "Something else.")
        for seed in (1, 2):
            searches = adversary.Adversary(seed)
            first = [likes_rivers([("", search.text)])[0] for search in searches.turn(adversary.SEARCHES, new, likes_rivers)]
            for _ in range(10):
                last = [likes_rivers([("", search.text)])[0] for search in searches.turn(adversary.SEARCHES, new, likes_rivers)]
            self.assertGreater(sum(last), sum(first) + 5 * adversary.SEARCHES)


class Pipeline(unittest.TestCase):
    def test_from_data_to_the_evaluators_score(self):
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            made_up.write(folder / "data", 64)
            prompts = data.read(folder / "data", ["open"])
            whole = Run(folder / "whole", Settings(steps=8, **SMALL), prompts)
            whole.train()

            # Killed some steps after the first checkpoint.
            killed = Run(folder / "killed", Settings(steps=8, **SMALL), prompts)
            steps = [killed._step] * 6 + [unittest.mock.Mock(side_effect=KeyboardInterrupt)]
            with unittest.mock.patch.object(killed, "_step", lambda: steps.pop(0)()):
                self.assertRaises(KeyboardInterrupt, killed.train)
            again = Run(folder / "killed", Settings(steps=8, **SMALL), prompts)
            self.assertEqual(again.step, 4)
            again.train()
            for (name, a), b in zip(whole.network.named_parameters(), again.network.parameters()):
                self.assertTrue(torch.equal(a, b), name)

            figure.draw(folder / "whole", folder / "course.svg")
            self.assertTrue((folder / "course.svg").read_text().rstrip().endswith("</svg>"))

            export.export(folder / "whole", folder / "judge")
            self._evaluator("transcode", "--input", base.folder(whole.settings.model) / "model.int8.onnx", "--adapter",
                            folder / "judge" / "adapter.safetensors", "--output", folder / "judge" / "model.onnx")  # fmt: skip
            written = entry.write(folder / "judge", "made-up", "Apache-2.0", Scale.read(folder / "whole"))
            judge = Judge.of_run(folder / "whole")
            pair = ("What is the river of Town 1 called?", "It is called Name 1.")
            scored = json.loads(self._evaluator("score", "--prompt", pair[0], "--answer", pair[1], "--registry", written,
                                                "--model-folder", folder / "judge", "--output", "json"))  # fmt: skip
            # The adapter is rounded to half precision.
            self.assertAlmostEqual(scored["logit"], judge.logits([pair])[0], delta=0.01)
            untrained = Judge.of_model(whole.settings.model)
            self.assertGreater(abs(scored["logit"] - untrained.logits([pair])[0]), 0.1)

            names = [figure.name for figure in measure.measure(judge, prompts, 4)]
            self.assertIn("preference, own", names)
            self.assertIn("good against short", names)

    def _evaluator(self, *arguments) -> str:
        return subprocess.run([EVALUATOR, *map(str, arguments)], check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    unittest.main()

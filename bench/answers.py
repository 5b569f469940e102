#!/usr/bin/env python3
"""What the types of weights do to answers: thirty short questions, each asked with every type.

Needs a built inference node (`make build`). An answer is right if it has the word that it should
have. Answers are greedy, so the figures do not depend on the machine's load. Takes a few minutes.
"""

import argparse
import json
import os
import subprocess
import sys

from common import TARGET

QUESTIONS = {
    "What is the capital of Italy?": "Rome",
    "What is the capital of France?": "Paris",
    "What is the capital of Japan?": "Tokyo",
    "What is the capital of Germany?": "Berlin",
    "What is the capital of Spain?": "Madrid",
    "What is the capital of Egypt?": "Cairo",
    "What is the capital of England?": "London",
    "What is the capital of Russia?": "Moscow",
    "How many days are in a week?": "7|seven",
    "How many months are in a year?": "12|twelve",
    "What is the chemical formula of water?": "H2O|H₂O",
    "Which planet is known as the Red Planet?": "Mars",
    "What is the largest ocean on Earth?": "Pacific",
    "Who wrote Romeo and Juliet?": "Shakespeare",
    "What gas do plants absorb from the air?": "carbon dioxide|CO2",
    "What is the freezing point of water in Celsius?": "0",
    "Who was the first president of the United States?": "Washington",
    "What is the largest planet in the solar system?": "Jupiter",
    "What do bees make?": "honey",
    "What is the opposite of hot?": "cold",
    "What color is the sky on a clear day?": "blue",
    "How many legs does a spider have?": "8|eight",
    "What is 2 plus 2?": "4|four",
    "What language is spoken in Brazil?": "Portuguese",
    "What is the tallest mountain in the world?": "Everest",
    "Who painted the Mona Lisa?": "Leonardo|Vinci",
    "What is the currency of Japan?": "yen",
    "Which animal is known as the king of the jungle?": "lion",
    "What is the boiling point of water in Celsius?": "100",
    "What is the speed of light?": "299|300,000|186",
}
YARDSTICK = "f32"


def answer(question, weights, tokens):
    command = [TARGET / "debug/poq-inference-node", "generate", "--output", "json"]
    command += ["--weights", weights, "--max-tokens", str(tokens), "--prompt", question]
    environment = {**os.environ, "RUST_LOG": "warn"}
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment)
    return json.loads(output.stdout)["answer"]


def is_right(text, words):
    return any(word.lower() in text.lower() for word in words.split("|"))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=40)
    parser.add_argument(
        "--weights", nargs="+", default=[YARDSTICK, "q8_0", "q8_0_all", "original"]
    )
    options = parser.parse_args()
    answers = {}
    for number, question in enumerate(QUESTIONS, start=1):
        print(f"{number} of {len(QUESTIONS)}: {question}", file=sys.stderr)
        for weights in {YARDSTICK: None, **dict.fromkeys(options.weights)}:
            answers[weights, question] = answer(question, weights, options.tokens)

    print(f"{len(QUESTIONS)} questions, {options.tokens} tokens at most")
    print(f"| `weights` | right | the same text as `{YARDSTICK}` |")
    print("| --- | --- | --- |")
    for weights in options.weights:
        right = sum(is_right(answers[weights, of], words) for of, words in QUESTIONS.items())
        same = sum(answers[weights, of] == answers[YARDSTICK, of] for of in QUESTIONS)
        print(f"| `{weights}` | {right} | {same} |")


main()

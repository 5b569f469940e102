"""Made-up data in the documented forms: questions about towns that do not exist."""

import json
from pathlib import Path

THINGS = ["river", "mayor", "tower", "market", "festival", "bridge", "dish", "harbour"]


def write(folder: Path, number: int) -> None:
    """Writes this many prompts of each form."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = {"outputs": [], "pairs": [], "labelled": []}
    for at in range(number):
        town, thing = f"Town {at}", THINGS[at % len(THINGS)]
        prompt = f"What is the {thing} of {town} called, and why?"
        good = f"The {thing} of {town} is called Name {at}. It has that name because of the people who built it in the year {1500 + at}."
        weak = f"It is called something with a name. People of {town} know."
        models = [{"model": f"m{size}", "answer": f"{good if size > 3 else weak} {size}", "lc": 8.0 * size} for size in range(6)]
        rows["outputs"].append({"prompt": prompt, "source": "alpacaeval/own", "answers": models})
        rows["pairs"].append({"prompt": prompt, "source": "own", "a": weak, "b": good, "preferred": "b"})
        rows["pairs"].append({"prompt": prompt, "source": "robust_own", "a": good, "b": thing, "preferred": "a", "kind": "short"})
        rows["labelled"] += [{"prompt": prompt, "source": "marks", "answer": good, "score": 1.0}, {"prompt": prompt, "source": "marks", "answer": weak, "score": 0.2}]
    for form, of in rows.items():
        (folder / f"{form}_open.jsonl").write_text("".join(json.dumps(row) + "\n" for row in of))


if __name__ == "__main__":
    import sys

    write(Path(sys.argv[1]), int(sys.argv[2]))

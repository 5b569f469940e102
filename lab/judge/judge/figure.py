"""Draws the course of a training run."""

from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure

from .card import chosen, course

# In inches.
SIZE = (7.5, 3.2)


def draw(run: Path, file: Path) -> None:
    """Loss and accuracies of a run's checkpoints, as reproducible SVG."""
    log = course(run)
    steps = [row["step"] for row in log]
    figure = Figure(figsize=SIZE, layout="constrained")
    loss, accuracy = figure.subplots(1, 2)
    loss.plot(steps, [row["loss"] for row in log], marker="o", color="black")
    loss.set(xlabel="step", ylabel="loss since the last checkpoint")
    for kind in log[0]["kinds"]:
        accuracy.plot(steps, [row["kinds"][kind] for row in log], marker=".", label=kind)
    accuracy.set(xlabel="step", ylabel="accuracy on fold 0", ylim=(0.45, 1.02))
    accuracy.legend(fontsize="x-small", ncols=2)
    best = chosen(log)["step"]
    for axes in (loss, accuracy):
        axes.axvline(best, color="grey", linestyle=":")
        axes.spines[["top", "right"]].set_visible(False)
    # Without these settings, ids and the date differ from run to run.
    with rc_context({"svg.hashsalt": "judge"}):
        figure.savefig(file, format="svg", metadata={"Date": None})

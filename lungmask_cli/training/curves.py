"""The training curves, as in figure 4 of the paper: Dice, and the losses below it."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lungmask_cli.files import atomic_write

LOSS_COLUMNS = ("segmentation_loss", "generator_adversarial_loss", "discriminator_loss")
UNLABELLED_COLUMNS = ("unlabelled_adversarial_loss", "consistency_loss")


def plot_curves(rows: list[dict[str, float]], path: Path) -> None:
    """Plot the columns of `metrics.csv`, one row per epoch, as a PNG."""
    figure = Figure(figsize=(7, 7), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True)
    hearts = {"heart_dice": "train, heart", "val_heart_dice": "validation, heart"} if "heart_dice" in rows[0] else {}
    _plot(upper, rows, {"dice": "train", "val_dice": "validation", **hearts})
    upper.set_ylabel("mean Dice")
    # With the first epochs in range, all later ones would lie at the top edge.
    lowest = min((row["val_dice"] for row in rows[len(rows) // 4 :] if row["val_dice"] > 0), default=0.0)
    upper.set_ylim(max(0.0, lowest - 0.05), 1.0)
    _plot(lower, rows, {name: name.replace("_", " ") for name in (*LOSS_COLUMNS, *UNLABELLED_COLUMNS)})
    lower.set_ylabel("loss")
    lower.set_yscale("log")
    lower.set_xlabel("epoch")
    lower.xaxis.set_major_locator(MaxNLocator(integer=True))
    with atomic_write(path) as partial:
        figure.savefig(partial, dpi=100)


def _plot(axes: Axes, rows: list[dict[str, float]], labels: dict[str, str]) -> None:
    epochs = [row["epoch"] for row in rows]
    for name, label in labels.items():
        if any(row.get(name, 0) > 0 for row in rows):
            axes.plot(epochs, [row[name] for row in rows], label=label, marker="." if len(rows) < 60 else "")
    axes.grid(alpha=0.3)
    if axes.has_data():  # no values are drawn where all are undefined
        axes.legend()

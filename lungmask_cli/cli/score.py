"""`lungmask score`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from lungmask_cli.cli.terminal import complain, progress, show
from lungmask_cli.errors import ImageError

_SHOWN_FAILURES = 10


def score(
    predictions: Annotated[Path, typer.Argument(help="Folder of drawn masks.", metavar="PREDS")],
    truth: Annotated[
        Path, typer.Argument(help="Folder of hand-made masks, or of left_lung/ and right_lung/.", metavar="TRUTH")
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The CSV file; without it the CSV goes to standard output.")
    ] = None,
) -> None:
    """Compare two folders of masks: Dice and IoU of each pair of files of the same stem, and a summary.

    Values of at least half of a file's largest are lung. With both masks empty the scores are undefined: counted, but
    in no mean; with one empty they are 0.

    A missing partner, another size or a broken file is reported, and makes the exit code 1; the others are scored.
    """
    from lungmask_cli.imaging.write import write_text
    from lungmask_cli.scoring.pairing import find_masks, pair_masks
    from lungmask_cli.scoring.table import score_pair, summarize, to_csv

    drawn, hand_made = find_masks(predictions), find_masks(truth)
    scores = [score_pair(pair, drawn, hand_made) for pair in progress("scoring")(pair_masks(drawn, hand_made))]
    if output:
        write_text(output, to_csv(scores))
    else:
        typer.echo(to_csv(scores), nl=False)
    summary = summarize(scores)
    table = Table(title=f"{summary.scored} scored, {summary.undefined} undefined, {summary.failed} failed")
    for column in ("", "mean", "SD", "median", "least"):
        table.add_column(column, justify="right" if column else "left")
    for name, values in (("Dice", summary.dice), ("IoU", summary.iou)):
        table.add_row(name, *(f"{value:.4f}" for value in values))
    table.caption = f"least Dice: {summary.worst}" if summary.worst else None
    show(table)
    failures = [score.reason for score in scores if score.reason]
    for reason in failures[:_SHOWN_FAILURES]:
        complain(ImageError(reason))
    if len(failures) > _SHOWN_FAILURES:
        complain(ImageError(f"and {len(failures) - _SHOWN_FAILURES} more, each with its row in the CSV"))
    if failures:
        raise typer.Exit(1)

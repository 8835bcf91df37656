"""`lungmask preprocess`."""

from pathlib import Path
from typing import Annotated

import typer

from lungmask_cli.cli.terminal import progress, refuse_file, say, warn


def preprocess(
    source: Annotated[Path, typer.Argument(help="The folder of a data set as it was published.", metavar="SRC")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder of the prepared set.", metavar="DST")],
    size: Annotated[int, typer.Option(help="Side of the prepared squares in pixels.", min=32)] = 512,
    split: Annotated[
        str | None,
        typer.Option(
            help="TRAIN/VAL/TEST shares, or a CSV file with a column of train, val, test: FILE.csv:COLUMN. "
            "Default: 160/40/40."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of a drawn split.", min=0)] = 0,
) -> None:
    """Pair radiographs with masks, make both square, split them, and write a prepared set with its manifest.

    Reads JSRT (*.IMG) with SCR masks (fold1, fold2), and images/ with masks/ or with left_lung/ and right_lung/.
    """
    refuse_file(output)

    from lungmask_cli.datasets.layouts import find_pairs
    from lungmask_cli.datasets.prepared import prepare
    from lungmask_cli.datasets.splits import resolve_split

    pairing = find_pairs(source)
    parts, method = resolve_split([pair.id for pair in pairing.pairs], split, seed)
    prepared = prepare(pairing, output, size, parts, method, progress("preparing"))
    for line in (*pairing.unpaired, *prepared.failed):
        warn(line)
    counts = ", ".join(f"{count} {name}" for name, count in prepared.counts().items())
    say(f"{len(prepared.entries)} pairs from {pairing.layout} ({counts}; split {method})")
    say(f"{len(pairing.unpaired)} files without a partner, {len(prepared.failed)} pairs that could not be prepared")
    typer.echo(output)
    if prepared.failed:
        raise typer.Exit(1)

"""`lungmask preprocess`."""

from pathlib import Path
from typing import Annotated

import typer

from lungmask_cli.cli.options import HashNames, Jobs, MaxPixels, Polarity
from lungmask_cli.cli.terminal import progress, say, say_details, warn_first, warn_grouped
from lungmask_cli.config import MAX_PIXELS
from lungmask_cli.text import pluralize


def preprocess(
    sources: Annotated[list[Path], typer.Argument(help="Folders of data sets, as published.", metavar="SRC")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder of the prepared set.", metavar="DST")],
    size: Annotated[int, typer.Option(help="Side of the prepared squares in pixels.", min=32)] = 512,
    split: Annotated[
        str | None,
        typer.Option(
            help="TRAIN/VAL/TEST ratios, or a CSV file with a column of train, val, test: FILE.csv:COLUMN. "
            "Default: 160/40/40."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of a random split.", min=0)] = 0,
    jobs: Jobs = None,
    polarity: Polarity = True,
    hash_names: HashNames = False,
    max_pixels: MaxPixels = MAX_PIXELS,
) -> None:
    """Pair radiographs with masks, resize both to squares, split them, and write a prepared set with its manifest.

    Reads JSRT (*.IMG) with SCR masks (fold1, fold2), MontgomerySet, ChinaSet_AllFiles, Lung Segmentation, and images/
    with masks/ or with left_lung/ and right_lung/. Several folders become one set, with their origin in the manifest.

    Pairs that an earlier run has prepared with the same options are kept, so that an interrupted run resumes where it
    stopped.
    """
    from lungmask_cli.datasets.layouts import count_unpaired, find_pairs
    from lungmask_cli.datasets.preparation import PrepareOptions, prepare
    from lungmask_cli.datasets.splits import resolve_split
    from lungmask_cli.files import check_writable
    from lungmask_cli.processes import available_cores

    check_writable(output)
    pairing = find_pairs(*sources)
    parts, method = resolve_split([pair.id for pair in pairing.pairs], split, seed)
    options = PrepareOptions(size, max_pixels, polarity, hash_names, jobs or available_cores())
    prepared = prepare(pairing, output, parts, method, options, progress("preparing"))
    warn_first(prepared.problems, f"see problems in {output / 'dataset.json'}")
    warn_grouped((entry.id, entry.warnings) for entry in prepared.entries)
    counts = ", ".join(f"{count} {name}" for name, count in prepared.counts().items())
    say(f"{len(prepared.entries)} pairs from {pairing.layout} ({counts}; split {method})")
    failed = len(pairing.pairs) - len(prepared.entries)
    say(f"{count_unpaired(pairing)}, {pluralize(failed, 'pair')} that could not be prepared")
    for entry in prepared.entries:
        say_details(f"{entry.id}: {entry.split}")
    typer.echo(output)
    say(f"Next: lungmask train {output}")
    if failed:
        raise typer.Exit(1)

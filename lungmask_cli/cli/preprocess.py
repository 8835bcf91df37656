"""`lungmask preprocess`."""

from pathlib import Path
from typing import Annotated

import typer

from lungmask_cli.cli.options import HashNames, Jobs, Labels, MaxPixels, Polarity, Threshold
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
            "Default: folders named train, val and test, or else 160/40/40."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of a random split.", min=0)] = 0,
    labels: Labels = None,
    threshold: Threshold = None,
    jobs: Jobs = None,
    polarity: Polarity = True,
    hash_names: HashNames = False,
    max_pixels: MaxPixels = MAX_PIXELS,
) -> None:
    """Pair radiographs with masks, resize both to squares, split them, and write a prepared set with its manifest.

    Reads images/ with masks/, or with left_lung/ and right_lung/; x.png with x_mask.png; folders of patients; nnU-Net;
    and JSRT (*.IMG) with SCR masks, MontgomerySet, ChinaSet_AllFiles, Lung Segmentation and COVID-QU-Ex as published.
    Hearts are read from heart/ or hearts/ beside the masks, from x_heart.png, or as a label.
    Folders named train, val and test are the split. Several folders become one set, with their origin in the manifest.

    Pairs that an earlier run has prepared with the same options are kept, so that an interrupted run resumes where it
    stopped.
    """
    from lungmask_cli.datasets.layouts import count_unpaired, find_pairs
    from lungmask_cli.datasets.preparation import PrepareOptions, prepare
    from lungmask_cli.datasets.splits import split_by_folders
    from lungmask_cli.files import check_writable
    from lungmask_cli.formats.mask_values import make_mask_options
    from lungmask_cli.processes import available_cores

    check_writable(output)
    masks = make_mask_options(labels, threshold, max_pixels)
    pairing = find_pairs(*sources)
    parts, method = split_by_folders([pair.id for pair in pairing.pairs], pairing.folder_split(), split, seed)
    options = PrepareOptions(size, masks, polarity, hash_names, jobs or available_cores())
    prepared = prepare(pairing, output, parts, method, options, progress("preparing"))
    warn_first(prepared.problems, f"see problems in {output / 'dataset.json'}")
    warn_grouped((entry.id, entry.warnings) for entry in prepared.entries)
    counts = ", ".join(f"{count} {name}" for name, count in prepared.counts().items())
    say(f"{len(prepared.entries)} pairs from {pairing.layout} ({counts}; split {method})")
    failed = len(pairing.pairs) - len(prepared.entries)
    if hearts := sum(bool(entry.heart) for entry in prepared.entries):
        say(f"{pluralize(hearts, 'heart')}: train them, too, with lungmask train --heart")
    say(f"{count_unpaired(pairing)}, {pluralize(failed, 'pair')} that could not be prepared")
    for entry in prepared.entries:
        say_details(f"{entry.id}: {entry.split}")
    typer.echo(output)
    say(f"Next: lungmask train {output}")
    if failed:
        raise typer.Exit(1)

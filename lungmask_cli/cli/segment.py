"""`lungmask segment`."""

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lungmask_cli.cli.options import HashNames, MaxPixels, Polarity, ResolutionTag
from lungmask_cli.cli.terminal import complain, progress, say, warn, warn_of_all, write_table
from lungmask_cli.config import MAX_PIXELS
from lungmask_cli.errors import ImageError, UsageError
from lungmask_cli.inference.manifest import DEFAULT_WEIGHTS

if TYPE_CHECKING:
    from lungmask_cli.inference.segment import Job, Row, Segmenter


def segment(
    inputs: Annotated[
        list[Path],
        typer.Argument(
            help="Radiographs, and folders of them: PNG, JPEG, TIFF, BMP, GIF, DICOM, JSRT .IMG.",
            metavar="INPUT",
            readable=False,  # an unreadable file gets its row like every other broken one
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The folder for masks and segment.csv.", metavar="OUT")
    ],
    weights: Annotated[
        str, typer.Option(help="Weights that ship, by name; a .weights.h5 file; or a run folder.")
    ] = DEFAULT_WEIGHTS,
    overlay: Annotated[bool, typer.Option("--overlay", help="Also draw pictures into OUT/overlays.")] = False,
    truth: Annotated[
        Path | None, typer.Option(help="Folder of hand-made masks: adds the Dice of each image.", metavar="DIR")
    ] = None,
    cleanup: Annotated[bool, typer.Option(help="Fill holes and keep the two largest parts.")] = True,
    device: Annotated[str, typer.Option(help="auto, cpu, gpu, or gpu:N.")] = "auto",
    polarity: Polarity = True,
    hash_names: HashNames = False,
    resolution_tag: ResolutionTag = False,
    max_pixels: MaxPixels = MAX_PIXELS,
) -> None:
    """Draw the lung mask of every radiograph: a PNG of 0 and 255 at the radiograph's own size.

    OUT/segment.csv has a row for every file, also for those that failed. The exit code is 1 if any did.
    """
    from lungmask_cli.imaging.radiograph import ReadOptions
    from lungmask_cli.imaging.write import check_writable
    from lungmask_cli.scoring.pairing import find_masks

    images = _find_radiographs(inputs, output)
    masks = find_masks(truth) if truth else None

    from lungmask_cli.networks.backend import Hardware, choose_device

    chosen = choose_device(Hardware(device))

    from lungmask_cli.inference.manifest import find_weights
    from lungmask_cli.inference.segment import FAILED, Segmenter, plan
    from lungmask_cli.inference.weights import load_model

    jobs = plan(images, output)
    check_writable(output)
    path = find_weights(weights)
    model = load_model(path)
    say(f"{len(jobs)} files, weights {path}, device: {chosen.kind} ({chosen.reason})")
    read = ReadOptions(max_pixels, resolution_tag)
    rows = _segment_all(Segmenter(model, output, overlay, masks, cleanup, read, polarity, hash_names), jobs)
    typer.echo(output / "segment.csv")
    if any(row.status == FAILED for row in rows):
        raise typer.Exit(1)


def _find_radiographs(inputs: list[Path], output: Path) -> list[tuple[Path, Path]]:
    from lungmask_cli.imaging.read import find_images

    if any(given.is_dir() and os.path.realpath(given) == os.path.realpath(output) for given in inputs):
        raise UsageError(
            f"{output}: is the folder of the radiographs; its masks would be taken for radiographs the next time",
            "Choose another -o folder, such as one below it.",
        )
    images = find_images(inputs, outside=output)
    if not images:
        raise UsageError(
            f"no radiographs in {', '.join(map(str, inputs))}",
            "Looked for PNG, JPEG, TIFF, BMP, GIF, DICOM and JSRT .IMG.",
        )
    return images


def _segment_all(segmenter: "Segmenter", jobs: list["Job"]) -> list["Row"]:
    """Run all jobs, say what is wrong as it comes, and write `segment.csv` also when interrupted."""
    from lungmask_cli.inference.segment import FAILED, to_csv

    rows: list[Row] = []
    hints = {""}
    try:
        for row in segmenter.run(progress("segmenting")(jobs)):
            rows.append(row)
            if row.status == FAILED:
                complain(ImageError(row.reason, "" if row.hint in hints else row.hint))  # each piece of advice once
                hints.add(row.hint)
            elif row.reason:
                warn(f"{row.file}: {row.reason}")
    finally:
        warn_of_all((row.file, "; ".join(row.warnings)) for row in rows)
        say(_summary(rows, len(jobs)))
        write_table(segmenter.output / "segment.csv", to_csv(rows))
    return rows


def _summary(rows: list["Row"], planned: int) -> str:
    failed = sum(not row.mask for row in rows)
    dices = [row.dice for row in rows if row.dice is not None and not math.isnan(row.dice)]
    mean = f", mean Dice {sum(dices) / len(dices):.4f} of {len(dices)}" if dices else ""
    unfinished = f", {planned - len(rows)} not done" if len(rows) < planned else ""
    return f"{len(rows) - failed} masks written, {failed} failed{unfinished}{mean}"

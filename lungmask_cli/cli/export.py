"""`lungmask export`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from lungmask_cli.cli.terminal import say
from lungmask_cli.models.manifest import DEFAULT_WEIGHTS


def export(
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="The file to write, NAME.onnx or NAME.tflite, or the folder of a SavedModel.",
            metavar="OUT",
        ),
    ],
    kind: Annotated[
        Literal["onnx", "savedmodel", "litert"],
        typer.Option("--format", help="The format."),
    ] = "onnx",
    weights: Annotated[
        str, typer.Option(help="Name of shipped weights, a .weights.h5 file, or a run folder.")
    ] = DEFAULT_WEIGHTS,
    check: Annotated[
        Path | None,
        typer.Option(help="Folder of radiographs; the first eight are used for the comparison.", metavar="DIR"),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier export.")] = False,
) -> None:
    """Export a network for ONNX Runtime, TensorFlow Serving or LiteRT, with metadata on pre- and post-processing.

    The exported network and Keras predict on a synthetic image and on the radiographs of --check, and the largest
    difference of probability is printed. If it is above 0.001, nothing is written.
    """
    from lungmask_cli.models.export import export_network
    from lungmask_cli.models.manifest import find_weights

    path = find_weights(weights)
    say(f"weights {path}, as {kind}")
    comparison = export_network(path, kind, output, check, overwrite)
    images = f"{comparison.radiographs} radiographs" if comparison.radiographs else "a synthetic image"
    typer.echo(f"{output}: largest difference {comparison.difference:.1e} on {images}")

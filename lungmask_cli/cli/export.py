"""`lungmask export`."""

from pathlib import Path
from typing import Annotated

import typer

from lungmask_cli.cli.terminal import say
from lungmask_cli.models.manifest import DEFAULT_WEIGHTS


def export(
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="The file to write: NAME.onnx or NAME.tflite; or a SavedModel's folder.",
            metavar="OUT",
        ),
    ],
    kind: Annotated[
        str, typer.Option("--format", help="onnx, which needs the extra [onnx]; savedmodel; or litert.")
    ] = "onnx",
    weights: Annotated[
        str, typer.Option(help="Weights that ship, by name; a .weights.h5 file; or a run folder.")
    ] = DEFAULT_WEIGHTS,
    check: Annotated[
        Path | None,
        typer.Option(help="Folder of radiographs: the first eight are drawn for comparison.", metavar="DIR"),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what an earlier export has left.")] = False,
) -> None:
    """Write a network for ONNX Runtime, TensorFlow Serving or LiteRT, with what has to be done before and after it.

    It is computed by that runtime and by Keras, on an image that is made up and on the radiographs of --check, and the
    largest difference of probability is printed. Where that is above 0.001, nothing is written.
    """
    from lungmask_cli.models.export import export as write
    from lungmask_cli.models.manifest import find_weights

    path = find_weights(weights)
    say(f"weights {path}, as {kind}")
    done = write(path, kind, output, check, overwrite)
    shown = f"{done.radiographs} radiographs" if done.radiographs else "an image that was made up"
    typer.echo(f"{output}: largest difference {done.difference:.1e} on {shown}")

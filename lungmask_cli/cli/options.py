"""Options that several commands have, and the panels of their help."""

import re
from typing import Annotated

import typer

from lungmask_cli.errors import UsageError

READING, HARDWARE, OUTPUT = "Reading", "Hardware", "Output"

MaxPixels = Annotated[
    int, typer.Option(help="Refuse larger images, before memory is taken for them.", min=1, rich_help_panel=READING)
]
Polarity = Annotated[
    bool,
    typer.Option(
        "--polarity/--no-polarity",
        help="Detect and correct radiographs whose bones are dark, whatever their file says.",
        rich_help_panel=READING,
    ),
]
HashNames = Annotated[
    bool,
    typer.Option(
        "--hash-names",
        help="Write no file names, which may identify patients, but the first 16 digits of each file's SHA-256.",
    ),
]


def _check_device(name: str) -> str:
    if not re.fullmatch("auto|cpu|gpu(:[0-9]+)?", name):
        raise UsageError(f"there is no device named {name!r}", "Use auto, cpu, gpu, or gpu:N.")
    return name


Device = Annotated[
    str, typer.Option(help="auto, cpu, gpu, or gpu:N.", callback=_check_device, rich_help_panel=HARDWARE)
]
Jobs = Annotated[
    int | None,
    typer.Option(help="Processes that work at it. Default: one per core.", min=1, rich_help_panel=HARDWARE),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document, and nothing else, on standard output.")]

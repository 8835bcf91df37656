"""Options that several commands have, and the sections of their help."""

import re
from typing import Annotated, Any

import typer
from typer.main import get_command

from lungmask_cli.cli.terminal import set_verbosity
from lungmask_cli.errors import UsageError

READING, MASKS, HARDWARE, OUTPUT, MESSAGES = "Reading", "Masks", "Hardware", "Output", "Messages"


def option(panel: str, text: str, *flags: str, **settings: Any) -> Any:
    """An option in a section of the help, with other settings of `typer.Option`."""
    return typer.Option(*flags, help=text, rich_help_panel=panel, **settings)


def _message_option(*flags: str, text: str) -> Any:
    name = flags[0].lstrip("-")
    return option(MESSAGES, text, *flags, callback=lambda value: set_verbosity(**{name: value}))


Quiet = Annotated[bool, _message_option("--quiet", "-q", text="Print warnings and errors only.")]
Verbose = Annotated[bool, _message_option("--verbose", "-v", text="Also print what is done for each file.")]
Debug = Annotated[bool, _message_option("--debug", text="Show the traceback of an error.")]
MaxPixels = Annotated[
    int, option(READING, "Refuse images with more pixels, before memory is allocated for them.", min=1)
]
Polarity = Annotated[
    bool,
    option(
        READING,
        "Detect radiographs with dark bones and invert them, whatever the file header says.",
        "--polarity/--no-polarity",
    ),
]
Threshold = Annotated[
    float | None, option(MASKS, "Read masks as probabilities; lung is every pixel of at least this value, in (0, 1].")
]
Labels = Annotated[
    str | None,
    option(
        MASKS,
        "Read masks as labels: those of the right and the left lung, or one of both. They are whole numbers, or "
        "colours such as '#00ff00,#0000ff'. 1,2 is recognised automatically. With the heart: right=1,left=2,heart=3.",
        metavar="RIGHT,LEFT",
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


Device = Annotated[str, option(HARDWARE, "auto, cpu, gpu, or gpu:N.", callback=_check_device)]
Jobs = Annotated[int | None, option(HARDWARE, "Number of threads. Default: one per core.", min=1)]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output, and nothing else.")]


def add_common_options(command: Any) -> None:
    """Give a command --quiet, --verbose and --debug, so that they may stand before or after its name."""

    def common(quiet: Quiet = False, verbose: Verbose = False, debug: Debug = False) -> None:
        """Their values go to their callbacks, not to the function of the command."""

    app = typer.Typer(add_completion=False)
    app.command()(common)
    for parameter in get_command(app).params:
        parameter.expose_value = False
        command.params.append(parameter)

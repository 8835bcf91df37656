"""The Typer app, and the one place where errors become red text and exit codes.

Exit codes: 0 all done, 1 some images failed and the others were written, 2 wrong usage or nothing to do,
130 interrupted (Typer's own).
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

import lungmask_cli
from lungmask_cli.cli.everywhere import Debug, Quiet, Verbose, read_settings, with_common_options
from lungmask_cli.cli.export import export
from lungmask_cli.cli.info import info_app
from lungmask_cli.cli.preprocess import preprocess
from lungmask_cli.cli.runs import runs
from lungmask_cli.cli.score import score
from lungmask_cli.cli.segment import segment
from lungmask_cli.cli.terminal import complain, set_verbosity, verbosity
from lungmask_cli.cli.train import train
from lungmask_cli.errors import LungmaskError

USAGE = 2


# Newer versions of Typer validate through pydantic, which would search all packages for plugins at each start.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="rich",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"lungmask {lungmask_cli.__version__}")
        raise typer.Exit


@app.callback()
def lungmask(
    context: typer.Context,
    settings: Annotated[
        Path | None,
        typer.Option(
            "--settings",
            help="A TOML file with a table of options for each command. Default: lungmask.toml, if it is there.",
            metavar="FILE.toml",
        ),
    ] = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Find the lung fields in frontal chest radiographs. Research software, not a medical device."""
    set_verbosity(quiet, verbose, debug)
    commands: Any = getattr(context.command, "commands", {})
    context.default_map = read_settings(settings, commands)


_EXAMPLES: dict[Callable[..., None], tuple[str, ...]] = {
    preprocess: (
        "lungmask preprocess ./jsrt ./shenzhen -o ./set",
        "lungmask preprocess ./jsrt -o ./set --split 160/40/40",
    ),
    train: (
        "lungmask train ./jsrt",
        "lungmask train ./set --preset compact-zoom -o ./run",
        "lungmask train ./mine --init general --epochs 10",
        "lungmask train --resume ./run",
    ),
    runs: ("lungmask runs", "lungmask runs ./runs --json"),
    segment: (
        "lungmask segment ./xrays -o ./masks --overlay",
        "lungmask segment ./pacs -o ./masks --labels --gallery masks.html",
        "lungmask segment ./xrays -o ./masks --skip-existing",
    ),
    score: (
        "lungmask score ./masks ./truth -o scores.csv",
        "lungmask score ./masks ./truth --gallery errors.html --spacing 0.7",
        "lungmask score ./masks ./truth --compare ./others --summary table.tex",
    ),
    export: ("lungmask export -o general.onnx", "lungmask export --weights ./run -o run.tflite --format litert"),
}
for command, examples in _EXAMPLES.items():
    # Paragraphs, or they would be joined into one line.
    epilog = "\n\n".join(("[bold]Examples[/bold]", *examples))
    app.command(epilog=epilog)(with_common_options(command))
app.add_typer(info_app, name="info")


def main() -> None:
    """Run the command line and exit."""
    try:
        app(prog_name="lungmask")
    except (LungmaskError, OSError) as error:
        if verbosity.debug:
            raise
        complain(error if isinstance(error, LungmaskError) else _file_error(error))
        sys.exit(USAGE)


def _file_error(error: OSError) -> LungmaskError:
    """What the file system says, such as a full disk, where it stops a whole command."""
    place = f"{error.filename}: " if error.filename else ""
    return LungmaskError(f"{place}{error.strerror or error}", "Check the free space and the permissions.")

"""`lungmask runs`."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from lungmask_cli.cli.options import Json
from lungmask_cli.cli.terminal import say, show_table


def runs(
    folder: Annotated[Path, typer.Argument(help="A folder that contains runs, at any depth.", metavar="FOLDER")] = Path(
        "runs"
    ),
    as_json: Json = False,
) -> None:
    """List training runs with their progress and Dice: a table on a terminal, CSV elsewhere."""
    from lungmask_cli.errors import UsageError, suggest_path
    from lungmask_cli.files import csv_text, json_text
    from lungmask_cli.text import pluralize
    from lungmask_cli.training.listing import find_runs

    if not folder.is_dir():
        raise UsageError(
            f"{folder}: no such folder", suggest_path(folder, "Give the folder that runs were written to.")
        )
    listed = [asdict(run) for run in find_runs(folder)]
    if as_json:
        typer.echo(json_text(listed), nl=False)
        return
    if not listed:
        say(f"no runs in {folder}")
        return
    rows = [[_format(value) for value in run.values()] for run in listed]
    if sys.stdout.isatty():
        header = tuple(name.replace("_", " ") for name in listed[0])
        show_table(pluralize(len(listed), "run"), header, rows, spare=("minutes", "preset", "epochs"))
    else:
        typer.echo(csv_text(tuple(listed[0]), rows), nl=False)


def _format(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4f}"
    return "" if value is None else str(value)

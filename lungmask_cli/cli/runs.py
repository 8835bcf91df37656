"""`lungmask runs`."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from lungmask_cli.cli.options import Json
from lungmask_cli.cli.terminal import say, show_table


def runs(
    folder: Annotated[Path, typer.Argument(help="Where to look, with all folders below.", metavar="FOLDER")] = Path(
        "runs"
    ),
    as_json: Json = False,
) -> None:
    """List training runs with how far they are and their Dice: a table on a terminal, CSV elsewhere."""
    from lungmask_cli.errors import UsageError, suggest_path
    from lungmask_cli.files import csv_text
    from lungmask_cli.training.listing import find_runs

    if not folder.is_dir():
        raise UsageError(
            f"{folder}: no such folder", suggest_path(folder, "Give the folder that runs were written to.")
        )
    found = [asdict(run) for run in find_runs(folder)]
    if as_json:
        typer.echo(json.dumps(found, indent=2, default=str))
        return
    if not found:
        say(f"no runs in {folder}")
        return
    rows = [[_shown(value) for value in run.values()] for run in found]
    if sys.stdout.isatty():
        show_table(f"{len(found)} runs", tuple(name.replace("_", " ") for name in found[0]), rows)
    else:
        typer.echo(csv_text(tuple(found[0]), rows), nl=False)


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4f}"
    return "" if value is None else str(value)

"""Write docs/reference/cli.md from the live app: `python docs/generate_cli_reference.py`."""

import inspect
import re
from pathlib import Path
from typing import Any

from typer.main import get_command

from lungmask_cli.cli.app import app

TARGET = Path(__file__).parent / "reference" / "cli.md"
INTRODUCTION = """# Command-line reference

Written by `docs/generate_cli_reference.py` from the program itself; a test keeps it current.

Data goes to standard output, everything else to standard error. Exit codes: 0 all done; 1 some images failed and the
others were written; 2 wrong usage or nothing to do; 130 interrupted. `lungmask --debug COMMAND ...` shows tracebacks.
"""


def plain(text: str | None) -> str:
    return re.sub(r"\[/?bold\]", "", text or "")


def describe(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"| `{parameter.metavar or parameter.name.upper()}` | {plain(parameter.help)} | |"
    names = ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))
    known = isinstance(parameter.default, str | int | float) and parameter.default is not False
    return f"| {names} | {plain(parameter.help)} | {f'`{parameter.default}`' if known else ''} |"


def reference() -> str:
    parts = [INTRODUCTION]
    for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]
        shown = [p for p in command.params if p.name != "help"]
        rows = "\n".join(describe(parameter) for parameter in shown)
        text = inspect.cleandoc(command.help or "")
        parts.append(f"## `lungmask {name}`\n\n{text}\n\n| | | default |\n|---|---|---|\n{rows}\n")
    return "\n".join(parts)


if __name__ == "__main__":
    TARGET.write_text(reference(), encoding="utf-8")

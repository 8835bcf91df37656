"""Write docs/reference/cli.md and config.md from the program itself: `python docs/generate_reference.py`."""

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.main import get_command

from lungmask_cli.cli.app import app
from lungmask_cli.config import AugmentationConfig, DiscriminatorConfig, GeneratorConfig, LossConfig, OptimizerConfig
from lungmask_cli.networks.presets import PRESETS

FOLDER = Path(__file__).parent / "reference"
CLI_INTRODUCTION = """# Command-line reference

Written by `docs/generate_reference.py` from the program itself; a test keeps it current.

Data goes to standard output, everything else to standard error. Exit codes: 0 all done; 1 some images failed and the
others were written; 2 wrong usage or nothing to do; 130 interrupted. `--quiet`, `--verbose` and `--debug` may also come
before the command. `NO_COLOR=1` takes the colours off; progress bars are only shown on a terminal.

What you would type each time can be kept in `lungmask.toml` in the working folder, or in a file that
`lungmask --settings FILE.toml COMMAND ...` names: a table for each command, with its options without dashes. Flags
override it.

```toml
[segment]
weights = ["general", "jsrt"]
overlay = true

[score]
spacing = "0.35"
```

`lungmask --install-completion` completes commands and options in your shell.
"""


CONFIG_INTRODUCTION = """# Configuration reference

A run is configured by defaults < preset < TOML file (`--config`) < flags. The resolved configuration is written to
`config.toml` in the run folder and into the manifest of the weights. Unknown keys are errors that name the nearest
known one.

Written by `docs/generate_reference.py` from `lungmask_cli/config.py` and `lungmask_cli/networks/presets.py`.
"""
SECTIONS = (GeneratorConfig, DiscriminatorConfig, LossConfig, OptimizerConfig, AugmentationConfig)


def describe(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"| `{parameter.metavar or parameter.name.upper()}` | {parameter.help} | |"
    names = ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))
    known = isinstance(parameter.default, str | int | float) and parameter.default is not False
    return f"| {names} | {parameter.help} | {f'`{parameter.default}`' if known else ''} |"


def cli_reference() -> str:
    return "\n".join([CLI_INTRODUCTION, *command_sections("lungmask", get_command(app))])


def command_sections(above: str, group: Any) -> Iterator[str]:
    """A section for each command of a group, and for the commands below it."""
    for name in group.list_commands(None):
        command = group.get_command(None, name)
        shown = [p for p in command.params if p.name != "help"]
        rows = "\n".join(describe(parameter) for parameter in shown)
        text = inspect.cleandoc(command.help or "")
        yield f"## `{above} {name}`\n\n{text}\n\n| | | default |\n|---|---|---|\n{rows}\n"
        if hasattr(command, "commands"):
            yield from command_sections(f"{above} {name}", command)


def config_reference() -> str:
    parts = [CONFIG_INTRODUCTION, "## Tables\n"]
    for section in SECTIONS:
        name = section.__name__.removesuffix("Config").lower()
        parts.append(f"`[{name}]`: {inspect.getdoc(section)}\n")
    for name, preset in PRESETS.items():
        parts.append(f"## Preset `{name}`\n\n{preset.source}\n\n```toml\n{preset.config.to_toml()}```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    (FOLDER / "cli.md").write_text(cli_reference(), encoding="utf-8")
    (FOLDER / "config.md").write_text(config_reference(), encoding="utf-8")

"""What all commands have in common: how much they say, and a file with their settings."""

import functools
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from lungmask_cli.cli.terminal import say, set_verbosity, verbosity
from lungmask_cli.config import read_toml
from lungmask_cli.errors import ConfigError, suggest

SETTINGS = Path("lungmask.toml")
_PANEL = "Everywhere"

Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Say nothing but warnings and errors.", rich_help_panel=_PANEL)
]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Also say what is done.", rich_help_panel=_PANEL)]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.", rich_help_panel=_PANEL)]
_COMMON = {"quiet": Quiet, "verbose": Verbose, "debug": Debug}


def with_common_options(command: Callable[..., None]) -> Callable[..., None]:
    """The command with --quiet, --verbose and --debug."""

    @functools.wraps(command)
    def louder(*, quiet: bool, verbose: bool, debug: bool, **own: Any) -> None:
        set_verbosity(quiet, verbose, debug)
        if verbosity.settings:
            say(f"settings: {verbosity.settings}")
        command(**own)

    own = inspect.signature(command, eval_str=True)
    common = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=option)
        for name, option in _COMMON.items()
    ]
    louder.__signature__ = own.replace(parameters=[*own.parameters.values(), *common])  # type: ignore[attr-defined]
    louder.__annotations__ = {**command.__annotations__, **_COMMON}
    return louder


def read_settings(path: Path | None, commands: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Defaults for the options of commands, from a TOML file with a table for each.

    Args:
        path: the file; None for `lungmask.toml` in the working folder, if there is one.
        commands: by name, as Typer has built them.

    Returns:
        For each command the values by the names of its parameters.

    Raises:
        ConfigError: the file is not there or not TOML, or it names a command or an option that there is not.
    """
    if path is None and not SETTINGS.is_file():
        return {}
    path = path or SETTINGS
    tables = read_toml(path)
    verbosity.settings = path  # of which is told when it is known how much to say
    return {name: _values(path, name, table, commands) for name, table in tables.items()}


def _values(path: Path, name: str, table: object, commands: Mapping[str, Any]) -> dict[str, Any]:
    if name not in commands or not isinstance(table, dict):
        raise ConfigError(f"{path}: {name} is no table of a command", suggest(name, commands))
    options = {
        flag.lstrip("-"): parameter.name
        for parameter in commands[name].params
        for flag in parameter.opts
        if flag.startswith("--")
    }
    unknown = next((key for key in table if key not in options), None)
    if unknown is not None:
        raise ConfigError(f"{path}: lungmask {name} has no option --{unknown}", suggest(unknown, options))
    return {options[key]: value for key, value in table.items()}

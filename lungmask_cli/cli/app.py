"""The Typer app, and the one place where errors become red text and exit codes.

Exit codes: 0 all done, 1 some images failed and the others were written, 2 wrong usage or nothing to do,
130 interrupted (Typer's own).
"""

import os
import sys
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, NamedTuple

# Newer versions of Typer validate through pydantic, which would search all packages for plugins at each start.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

import lungmask_cli
from lungmask_cli.cli.options import Debug, Quiet, Verbose, add_common_options
from lungmask_cli.cli.terminal import print_error, say, verbosity
from lungmask_cli.config import read_toml
from lungmask_cli.errors import ConfigError, LungmaskError, suggest

USAGE = 2
SETTINGS = Path("lungmask.toml")
_HELP = {"help_option_names": ["-h", "--help"]}


class Command(TyperCommand):
    """A command whose help lists its options in the sections that they name.

    Typer's own sections are boxes, which take half of an 80-column terminal, and twice the time of the rest of the
    program to import.
    """

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the options, one section after the other."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            default = "Options" if parameter.param_type_name == "option" else "Arguments"
            if record:
                sections.setdefault(getattr(parameter, "rich_help_panel", None) or default, []).append(record)
        for name, records in sections.items():
            with formatter.section(name):
                formatter.write_dl(records)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the examples, one on each line."""
        if self.epilog:
            with formatter.section("Examples"):
                formatter.write("".join(f"  {line}\n" for line in self.epilog.splitlines()))

    def invoke(self, ctx: Any) -> Any:
        """Run the command, once it is known how much to print."""
        if verbosity.settings:
            say(f"settings: {verbosity.settings}")
        return super().invoke(ctx)


class _Entry(NamedTuple):
    """A command of the module and function, or Typer app, of the same name, which are imported when it is called."""

    summary: str
    examples: tuple[str, ...] = ()


COMMANDS = {
    "preprocess": _Entry(
        "Prepare a data set for training.",
        ("lungmask preprocess ./jsrt ./shenzhen -o ./set", "lungmask preprocess ./jsrt -o ./set --split 160/40/40"),
    ),
    "train": _Entry(
        "Train a network.",
        (
            "lungmask train ./jsrt",
            "lungmask train ./set --preset compact-zoom -o ./run",
            "lungmask train ./mine --init general --epochs 10",
            "lungmask train --resume ./run",
        ),
    ),
    "runs": _Entry("List training runs.", ("lungmask runs", "lungmask runs ./runs --json")),
    "segment": _Entry(
        "Segment the lungs in radiographs.",
        (
            "lungmask segment ./xrays -o ./masks --overlay",
            "lungmask segment ./pacs -o ./masks --labels --gallery masks.html",
            "lungmask segment ./xrays -o ./masks --skip-existing",
        ),
    ),
    "score": _Entry(
        "Compare masks with reference masks.",
        (
            "lungmask score ./masks ./truth -o scores.csv",
            "lungmask score ./masks ./truth --gallery errors.html --spacing 0.7",
            "lungmask score ./masks ./truth --compare ./others --summary table.tex",
        ),
    ),
    "export": _Entry(
        "Export a network to ONNX, SavedModel or LiteRT.",
        ("lungmask export -o general.onnx", "lungmask export --weights ./run -o run.tflite --format litert"),
    ),
    "info": _Entry("Show versions, devices, presets, weights and networks."),
}


class Commands(TyperGroup):
    """The commands of `COMMANDS`, each imported when it is called, so that help and errors appear at once."""

    def get_params(self, ctx: Any) -> list[Any]:
        """The options before the name of a command.

        Typer imports pydantic to convert any value but a bool, also that of an option that was not given. It need not
        here, or the help of each command would wait for it.
        """
        parameters = super().get_params(ctx)
        for parameter in parameters:
            if "process_value" not in vars(parameter):
                vars(parameter)["process_value"] = partial(_process_given, parameter.process_value)
        return parameters

    def list_commands(self, ctx: Any) -> list[str]:
        """Their names."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of that name, built from its function or Typer app; None if there is none."""
        if cmd_name not in COMMANDS:
            return None
        if cmd_name not in self.commands:
            self.commands[cmd_name] = _load(cmd_name, COMMANDS[cmd_name])
        return self.commands[cmd_name]

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the names and summaries."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in COMMANDS.items()])


def _process_given(process: Callable[[Any, Any], Any], ctx: Any, value: Any) -> Any:
    return None if value is None else process(ctx, value)


def _load(name: str, entry: _Entry) -> Any:
    function = getattr(import_module(f"lungmask_cli.cli.{name}"), name)
    if isinstance(function, typer.Typer):
        command = get_command(function)
    else:
        single = typer.Typer(add_completion=False, context_settings=_HELP, rich_markup_mode=None)
        single.command(name, cls=Command, epilog="\n".join(entry.examples))(function)
        command = get_command(single)
        add_common_options(command)
    command.name = name
    return command


app = typer.Typer(
    cls=Commands, no_args_is_help=True, pretty_exceptions_enable=False, context_settings=_HELP, rich_markup_mode=None
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
            help="A TOML file with a table of options for each command. Default: lungmask.toml, if it exists.",
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
    """Segment the lung fields in frontal chest radiographs. Research software, not a medical device."""
    context.default_map = _read_settings(context, settings)


def _read_settings(context: Any, path: Path | None) -> dict[str, dict[str, Any]]:
    """The defaults for each command by the names of its parameters, from the file or `lungmask.toml` if it exists."""
    if path is None and not SETTINGS.is_file():
        return {}
    verbosity.settings = path or SETTINGS
    tables = read_toml(verbosity.settings)
    return {name: _read_table(context, name, table) for name, table in tables.items()}


def _read_table(context: Any, name: str, table: object) -> dict[str, Any]:
    command = context.command.get_command(context, name)
    if command is None or not isinstance(table, Mapping):
        raise ConfigError(f"{verbosity.settings}: {name} is no table of a command", suggest(name, COMMANDS))
    options = {flag[2:]: option.name for option in command.params for flag in option.opts if flag.startswith("--")}
    unknown = next((key for key in table if key not in options), None)
    if unknown is not None:
        raise ConfigError(f"{verbosity.settings}: lungmask {name} has no option --{unknown}", suggest(unknown, options))
    return {options[key]: value for key, value in table.items()}


def main() -> None:
    """Run the command line and exit."""
    try:
        app(prog_name="lungmask")
    except (LungmaskError, OSError) as error:
        if verbosity.debug:
            raise
        if isinstance(error, OSError):  # such as a full disk, which ends a whole command
            path = f"{error.filename}: " if error.filename else ""
            error = LungmaskError(f"{path}{error.strerror or error}", "Check the free space and the permissions.")
        print_error(error)
        sys.exit(USAGE)

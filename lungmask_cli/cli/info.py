"""`lungmask info`: versions, devices, presets, weights and networks."""

import io
import platform
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import lungmask_cli
from lungmask_cli.cli.options import Json
from lungmask_cli.cli.terminal import print_table, say
from lungmask_cli.config import LUNGS, TrainConfig
from lungmask_cli.errors import LungmaskError, UsageError
from lungmask_cli.files import file_sha256, json_text, write_text
from lungmask_cli.models.manifest import find_weights, read_weights_manifest, shipped_weights
from lungmask_cli.networks.parts import DISCRIMINATORS, GENERATORS, NO_DISCRIMINATOR, check_parts
from lungmask_cli.networks.presets import PRESETS, Preset, find_preset
from lungmask_cli.versions import find_version

if TYPE_CHECKING:
    from lungmask_cli.networks.summary import NetworkSummary

# Packages that decide which files can be read and which networks can run: the extra that installs each, empty if it is
# always installed or has none, and the names of its distributions.
_PACKAGES = {
    "Keras": ("", "keras"),
    "TensorFlow": ("", "tensorflow", "tensorflow-cpu"),
    "ONNX Runtime": ("", "onnxruntime", "onnxruntime-gpu"),
    "JAX": ("", "jax"),
    "PyTorch": ("", "torch"),
    "NumPy": ("", "numpy"),
    "SciPy": ("", "scipy"),
    "h5py": ("", "h5py"),
    "Pillow": ("", "pillow"),
    "pydicom": ("", "pydicom"),
    "pyjpegls": ("", "pyjpegls"),
    "pylibjpeg-openjpeg": ("", "pylibjpeg-openjpeg"),
    "GDCM": ("dicom", "python-gdcm"),
    "pylibjpeg-libjpeg": ("gpl", "pylibjpeg-libjpeg"),
    "NiBabel": ("nifti", "nibabel"),
    "highdicom": ("dicom", "highdicom"),
    "Ray": ("ray", "ray"),
    "scikit-image": ("clahe", "scikit-image"),
    "TensorBoard": ("tensorboard", "tensorboard"),
}
_SHORT_CHECKSUM = 12  # characters

info = typer.Typer(invoke_without_command=True, rich_markup_mode=None)


@info.callback()
def overview(context: typer.Context, as_json: Json = False) -> None:
    """Show versions, devices, presets and the shipped weights; or the details of one of them, with a command below."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # some terminals cannot show every character
    if context.invoked_subcommand is None:
        _show_overview(as_json)
    elif as_json:
        name = context.invoked_subcommand
        raise UsageError(f"--json is given before {name}", f"Write: lungmask info {name} --json")


@info.command()
def presets(as_json: Json = False) -> None:
    """List the presets of `lungmask train`; as JSON with all settings and sources."""
    if as_json:
        _print_json([{"name": name, "summary": preset.summary, **asdict(preset)} for name, preset in PRESETS.items()])
        return
    words = ("preset", "generator", "discriminator", "weighted losses")
    numbers = ("image size", "epochs", "batch size", "reported Dice")
    spare = ("weighted losses", "batch size", "epochs", "discriminator")
    print_table("presets", words, numbers, [_preset_row(name, preset) for name, preset in PRESETS.items()], spare)


@info.command()
def weights(as_json: Json = False) -> None:
    """List the shipped weights with their scores, and check that the files are intact."""
    shipped = _shipped_facts()
    if as_json:
        _print_json(shipped)
        return
    if not shipped:
        say("no weights ship with this installation")
    for facts in shipped:
        _show_weights(facts)


@info.command()
def model(
    preset: Annotated[
        str, typer.Argument(help="A preset, shipped weights, a .weights.h5 file or a run folder.", metavar="PRESET")
    ],
    size: Annotated[
        int | None, typer.Option(help="Side of the image in pixels. Default: the preset's.", metavar="N")
    ] = None,
    generator: Annotated[
        str | None, typer.Option(help=f"Another generator: {', '.join(GENERATORS)}.", metavar="NAME")
    ] = None,
    discriminator: Annotated[
        str | None,
        typer.Option(help=f"Another discriminator: {', '.join(DISCRIMINATORS)}, {NO_DISCRIMINATOR}.", metavar="NAME"),
    ] = None,
    layers: Annotated[bool, typer.Option(help="List all layers.")] = True,
    svg: Annotated[
        Path | None, typer.Option(help="Also write a diagram of the networks to this file.", metavar="FILE.svg")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show the networks of a preset: layers, parameters, operations for one image, and a diagram.

    Operations are the multiplications and additions of convolutions and dense layers; 1 multiply-add = 2 FLOPs.
    """
    flags = {"generator": generator, "discriminator": discriminator}
    changes: dict[str, Any] = {part: {"name": name} for part, name in flags.items() if name is not None}
    if size is not None:
        changes["image_size"] = size
    config = check_parts(_find_config(preset).merged(changes))
    networks = _summarize_networks(config)
    if svg:
        from lungmask_cli.networks.diagram import draw_svg

        parts = [(*_headings(role, summary, config.image_size), summary) for role, summary in networks.items()]
        write_text(svg, draw_svg(parts))
        say(f"diagram: {svg}")
    if as_json:
        facts = {role: _network_facts(summary) for role, summary in networks.items()}
        _print_json({"name": preset, "image_size": config.image_size, **facts})
        return
    for role, summary in networks.items():
        _show_network(": ".join(_headings(role, summary, config.image_size)), summary, layers)
    if len(networks) == 1:
        typer.echo("No discriminator: the generator is trained alone.")


def _print_json(document: object) -> None:
    typer.echo(json_text(document), nl=False)


def _show_overview(as_json: bool) -> None:
    own = {"lungmask": lungmask_cli.__version__, "Python": platform.python_version(), "platform": platform.platform()}
    versions = {**own, **{name: find_version(*names) for name, (_, *names) in _PACKAGES.items()}}
    devices, shipped = _device_facts(), _shipped_facts()
    if as_json:
        recipes = [{"name": name, "summary": preset.summary} for name, preset in PRESETS.items()]
        _print_json({"versions": versions, **devices, "presets": recipes, "weights": shipped})
        return
    visible = [("visible", name) for name in devices["visible"]]
    devices_rows = [("backend", devices["backend"] or "none"), ("used by --device auto", devices["used"]), *visible]
    version_rows = [(name, version or _missing(name)) for name, version in versions.items()]
    print_table("versions", ("", ""), (), version_rows)
    print_table("devices", ("", ""), (), devices_rows)
    print_table("presets", ("", ""), (), [(name, preset.summary) for name, preset in PRESETS.items()])
    words, numbers = ("weights", "preset", "licence", "SHA-256"), ("MB", "parameters", "test Dice")
    print_table("shipped weights", words, numbers, map(_weights_row, shipped), ("SHA-256", "MB", "licence"))


def _missing(name: str) -> str:
    extra = _PACKAGES[name][0]
    return "not installed" + (f': pip install "lungmask-cli[{extra}]"' if extra else "")


def _device_facts() -> dict[str, Any]:
    """The devices on which networks can run; if the backend does not start, the reason."""
    from lungmask_cli.networks.devices import list_devices

    try:
        devices = list_devices()
    except (ImportError, RuntimeError, LungmaskError) as error:
        return {"backend": None, "used": f"none: the backend does not start: {error}", "visible": []}
    used = f"{devices.used.kind} ({devices.used.reason})"
    return {"backend": devices.backend, "used": used, "visible": list(devices.visible)}


def _preset_row(name: str, preset: Preset) -> tuple[str, ...]:
    config = preset.config
    terms = dict(config.loss.terms)
    if config.discriminator.name != NO_DISCRIMINATOR:
        terms["adversarial"] = config.loss.adversarial
    losses = " + ".join(f"{weight:g} {term}" for term, weight in terms.items())
    dice = "" if preset.reported_dice is None else f"{preset.reported_dice:g}"
    numbers = (str(config.image_size), str(config.epochs), str(config.batch_size), dice)
    return (name, config.generator.name, config.discriminator.name, losses, *numbers)


def _shipped_facts() -> list[dict[str, Any]]:
    """The contents of the manifest of each weight file, and whether the file matches it."""
    manifests = ((name, path, read_weights_manifest(path)) for name, path in shipped_weights().items())
    return [
        {
            "name": name,
            "file": str(path),
            "bytes": path.stat().st_size,
            "sha256": manifest["sha256"],
            "intact": file_sha256(path) == manifest["sha256"],
            "preset": manifest["config"].get("preset"),
            "structures": manifest["config"].get("structures", [LUNGS]),
            "image_size": manifest["config"].get("image_size"),
            "parameters": manifest.get("parameters"),
            "test_dice": manifest.get("training", {}).get("test_dice"),
            "licence": manifest.get("licence"),
            "scores": manifest.get("scores", []),
        }
        for name, path, manifest in manifests
    ]


def _weights_row(facts: Mapping[str, Any]) -> tuple[str, ...]:
    licence = (facts["licence"] or "unknown").split(". ")[0]
    words = (facts["name"], str(facts["preset"]), licence, facts["sha256"][:_SHORT_CHECKSUM])
    return (*words, f"{facts['bytes'] / 1e6:.1f}", _number(facts["parameters"]), _dice(facts["test_dice"]))


def _show_weights(facts: Mapping[str, Any]) -> None:
    rows = [
        ("file", facts["file"]),
        ("size", f"{facts['bytes'] / 1e6:.1f} MB"),
        ("preset", f"{facts['preset']}, {facts['image_size']} px"),
        ("structures", ", ".join(facts["structures"])),
        ("parameters", _number(facts["parameters"])),
        ("SHA-256", facts["sha256"] + ("" if facts["intact"] else "; the file is damaged: its SHA-256 differs")),
        ("licence", facts["licence"] or "unknown"),
    ]
    print_table(f"weights {facts['name']}", ("", ""), (), rows)
    if facts["scores"]:
        words, numbers = ("data set", "part", "worst image"), ("images", "mean Dice", "95 % interval", "worst Dice")
        spare = ("worst image", "part")
        print_table(f"scores of {facts['name']}", words, numbers, map(_score_row, facts["scores"]), spare)


def _score_row(score: Mapping[str, Any]) -> tuple[str, ...]:
    interval = " to ".join(map(_dice, score.get("interval", ())))
    numbers = (_number(score["images"]), _dice(score["mean_dice"]), interval, _dice(score["worst_dice"]))
    return (score["data"], score["part"], str(score["worst_image"]), *numbers)


def _number(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _dice(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _find_config(name: str) -> TrainConfig:
    """The configuration of a preset, or of weights as recorded in their manifest.

    Raises:
        ConfigError: neither exists; the message suggests the nearest preset.
    """
    if name not in PRESETS and (name in shipped_weights() or Path(name).exists()):
        return TrainConfig().merged(read_weights_manifest(find_weights(name))["config"])
    return find_preset(name).config


def _summarize_networks(config: TrainConfig) -> "dict[str, NetworkSummary]":
    """Summaries of the generator and, if there is one, of the discriminator."""
    from lungmask_cli.networks.backend import Hardware, choose_device

    choose_device(Hardware("cpu"))

    from lungmask_cli.networks.discriminators import build_discriminator
    from lungmask_cli.networks.generators import build_generator
    from lungmask_cli.networks.summary import summarize_network

    shape = (config.image_size, config.image_size)
    networks = {
        "generator": build_generator(config.generator, shape, len(config.structures)),
        "discriminator": build_discriminator(config.discriminator, shape, len(config.structures)),
    }
    return {role: summarize_network(network) for role, network in networks.items() if network is not None}


def _headings(role: str, summary: "NetworkSummary", size: int) -> tuple[str, str]:
    from lungmask_cli.networks.summary import abbreviate_number

    parameters, flops = abbreviate_number(summary.parameters), abbreviate_number(summary.flops)
    return f"{role} {summary.name}", f"{parameters} parameters, {flops}FLOPs for one image of {size} px"


def _network_facts(summary: "NetworkSummary") -> dict[str, Any]:
    return {
        "name": summary.name,
        "parameters": summary.parameters,
        "trainable_parameters": summary.trainable,
        "multiply_adds": summary.multiply_adds,
        "flops": summary.flops,
        "layers": [
            {
                "name": layer.name,
                "kind": layer.kind,
                "detail": layer.detail,
                "output_shape": layer.shape,
                "parameters": layer.parameters,
                "multiply_adds": layer.multiply_adds,
                "inputs": [summary.layers[index].name for index in layer.inputs],
            }
            for layer in summary.layers
        ],
    }


def _show_network(heading: str, summary: "NetworkSummary", layers: bool) -> None:
    from lungmask_cli.networks.diagram import LEGEND, draw_text
    from lungmask_cli.networks.summary import format_shape

    typer.echo(heading)
    if layers:
        rows = [
            (row.name, row.kind, row.detail, format_shape(row.shape), f"{row.parameters:,}", f"{row.multiply_adds:,}")
            for row in summary.layers
        ]
        words, numbers = ("layer", "type", "settings"), ("output shape", "parameters", "multiply-adds")
        print_table("", words, numbers, rows, spare=("type", "settings", "parameters"))
    typer.echo(
        f"parameters: {summary.parameters:,} ({summary.trainable:,} trainable, {summary.not_trainable:,} not)\n"
        f"operations for one image: {summary.multiply_adds:,} multiply-adds = {summary.flops:,} FLOPs "
        "(1 multiply-add = 2 FLOPs; only convolutions and dense layers are counted)\n"
    )
    typer.echo("\n".join((draw_text(summary), *LEGEND, "")))

"""`lungmask info`: what is installed, which recipes and weights there are, and what networks are made of."""

import io
import json
import platform
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import lungmask_cli
from lungmask_cli.cli.options import Json
from lungmask_cli.cli.terminal import print_table, say
from lungmask_cli.config import TrainConfig
from lungmask_cli.errors import UsageError
from lungmask_cli.models.manifest import find_weights, read_manifest, shipped_weights
from lungmask_cli.networks.parts import DISCRIMINATORS, GENERATORS, NO_DISCRIMINATOR, with_known_parts
from lungmask_cli.networks.presets import PRESETS, Preset, find_preset
from lungmask_cli.versions import find_version

if TYPE_CHECKING:
    from lungmask_cli.networks.summary import NetworkSummary

# What decides whether a file can be read and a network can run, each by the names it is distributed under.
_PACKAGES = {
    "Keras": ("keras",),
    "TensorFlow": ("tensorflow", "tensorflow-cpu"),
    "JAX": ("jax",),
    "PyTorch": ("torch",),
    "NumPy": ("numpy",),
    "SciPy": ("scipy",),
    "h5py": ("h5py",),
    "Pillow": ("pillow",),
    "pydicom": ("pydicom",),
    "pyjpegls": ("pyjpegls",),
    "pylibjpeg-openjpeg": ("pylibjpeg-openjpeg",),
    "GDCM": ("python-gdcm",),
    "pylibjpeg-libjpeg": ("pylibjpeg-libjpeg",),
    "NiBabel": ("nibabel",),
    "ONNX Runtime": ("onnxruntime", "onnxruntime-gpu"),
    "highdicom": ("highdicom",),
    "Ray": ("ray",),
    "scikit-image": ("scikit-image",),
    "TensorBoard": ("tensorboard",),
}
_EXTRAS = {  # what brings those that are not always installed
    "GDCM": "dicom",
    "pylibjpeg-libjpeg": "gpl",
    "NiBabel": "nifti",
    "ONNX Runtime": "fast",
    "highdicom": "dicom",
    "Ray": "ray",
    "scikit-image": "clahe",
    "TensorBoard": "tensorboard",
}
_SHORT_SUM = 12

info_app = typer.Typer(invoke_without_command=True, rich_markup_mode=None)


@info_app.callback()
def info(context: typer.Context, as_json: Json = False) -> None:
    """Show versions, devices, presets and the weights that ship; or more of one of them, with a command below."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # not every terminal knows every character
    if context.invoked_subcommand is None:
        _show_overview(as_json)
    elif as_json:
        name = context.invoked_subcommand
        raise UsageError(f"--json stands before {name}", f"Write: lungmask info {name} --json")


@info_app.command()
def presets(as_json: Json = False) -> None:
    """List the recipes of `lungmask train --preset`; as JSON with all their settings and sources."""
    if as_json:
        _print_json([_preset_facts(name, preset) for name, preset in PRESETS.items()])
        return
    words = ("preset", "generator", "discriminator", "losses and their weights")
    numbers = ("image size", "epochs", "batch", "reported Dice")
    print_table("presets", words, numbers, [_preset_row(name, preset) for name, preset in PRESETS.items()])


@info_app.command()
def weights(as_json: Json = False) -> None:
    """List the weights that ship, with their scores; see whether the files are whole."""
    shipped = [_weights_facts(name, path) for name, path in shipped_weights().items()]
    if as_json:
        _print_json(shipped)
        return
    if not shipped:
        say("no weights ship with this installation")
    for facts in shipped:
        _show_weights(facts)


@info_app.command()
def model(
    preset: Annotated[
        str,
        typer.Argument(
            help="A preset; or weights: a name that ships, a .weights.h5 file, a run folder.", metavar="PRESET"
        ),
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
    svg: Annotated[Path | None, typer.Option(help="Also draw the networks into this file.", metavar="FILE.svg")] = None,
    as_json: Json = False,
) -> None:
    """Take the networks of a preset apart: layers, parameters, operations of one image, and a diagram of each.

    Counted are the multiplications and additions of convolutions and dense layers; 1 multiply-add = 2 FLOPs.
    """
    flags = {"generator": generator, "discriminator": discriminator}
    changes: dict[str, Any] = {part: {"name": name} for part, name in flags.items() if name is not None}
    sized = changes if size is None else {**changes, "image_size": size}
    config = with_known_parts(_find_config(preset).merged(sized))
    networks = _dissect(config)
    if svg:
        _draw(svg, networks, config.image_size)
    if as_json:
        facts = {role: _network_facts(anatomy) for role, anatomy in networks.items()}
        _print_json({"name": preset, "image_size": config.image_size, **facts})
        return
    for role, anatomy in networks.items():
        _show_network(_heading(role, anatomy, config.image_size), anatomy, layers)
    if len(networks) == 1:
        typer.echo("No discriminator: the generator is trained alone.")


def _print_json(document: object) -> None:
    typer.echo(json.dumps(document, indent=2))


def _show_overview(as_json: bool) -> None:
    versions, devices = _versions(), _device_facts()
    shipped = [_weights_facts(name, path) for name, path in shipped_weights().items()]
    if as_json:
        recipes = [{"name": name, "summary": preset.summary} for name, preset in PRESETS.items()]
        _print_json({"versions": versions, **devices, "presets": recipes, "weights": shipped})
        return
    rows = [(name, version or _how_to_install(name)) for name, version in versions.items()]
    print_table("versions", ("", ""), (), rows)
    told = [("backend", devices["backend"] or "none"), ("used by --device auto", devices["used"])]
    print_table("devices", ("", ""), (), [*told, *(("visible", name) for name in devices["visible"])])
    print_table("presets", ("", ""), (), [(name, preset.summary) for name, preset in PRESETS.items()])
    words = ("weights", "preset", "licence", "SHA-256")
    numbers = ("MB", "parameters", "test Dice")
    print_table("weights that ship", words, numbers, [_weights_row(facts) for facts in shipped])


def _versions() -> dict[str, str | None]:
    own = {"lungmask": lungmask_cli.__version__, "Python": platform.python_version(), "platform": platform.platform()}
    return {**own, **{name: find_version(*names) for name, names in _PACKAGES.items()}}


def _how_to_install(name: str) -> str:
    return "not installed" + (f': pip install "lungmask-cli[{_EXTRAS[name]}]"' if name in _EXTRAS else "")


def _device_facts() -> dict[str, Any]:
    """What networks can run on; where the backend does not start, why, for that is what the user then looks for."""
    from lungmask_cli.networks.devices import find_devices

    try:
        found = find_devices()
    except (ImportError, ValueError, RuntimeError) as error:
        return {"backend": None, "used": f"none: the backend does not start: {error}", "visible": []}
    return {
        "backend": found.backend,
        "used": f"{found.used.kind} ({found.used.reason})",
        "visible": list(found.visible),
    }


def _preset_facts(name: str, preset: Preset) -> dict[str, Any]:
    told = {"name": name, "summary": preset.summary, "source": preset.source, "reported_dice": preset.reported_dice}
    return {**told, "config": preset.config.as_dict()}


def _preset_row(name: str, preset: Preset) -> tuple[str, ...]:
    config = preset.config
    terms = dict(config.loss.terms)
    if config.discriminator.name != NO_DISCRIMINATOR:
        terms["adversarial"] = config.loss.adversarial
    losses = " + ".join(f"{weight:g} {term}" for term, weight in terms.items())
    dice = "" if preset.reported_dice is None else f"{preset.reported_dice:g}"
    numbers = (str(config.image_size), str(config.epochs), str(config.batch_size), dice)
    return (name, config.generator.name, config.discriminator.name, losses, *numbers)


def _weights_facts(name: str, path: Path) -> dict[str, Any]:
    """What the manifest says, and whether the file is the one that it was written for."""
    from lungmask_cli.files import file_sha256

    manifest = read_manifest(path)
    return {
        "name": name,
        "file": str(path),
        "bytes": path.stat().st_size,
        "sha256": manifest["sha256"],
        "intact": file_sha256(path) == manifest["sha256"],
        "preset": manifest["config"].get("preset"),
        "image_size": manifest["config"].get("image_size"),
        "parameters": manifest.get("parameters"),
        "test_dice": manifest.get("training", {}).get("test_dice"),
        "licence": manifest.get("licence"),
        "scores": manifest.get("scores", []),
    }


def _weights_row(facts: Mapping[str, Any]) -> tuple[str, ...]:
    licence = (facts["licence"] or "unknown").split(". ")[0]
    words = (facts["name"], str(facts["preset"]), licence, facts["sha256"][:_SHORT_SUM])
    return (*words, f"{facts['bytes'] / 1e6:.1f}", _number(facts["parameters"]), _dice(facts["test_dice"]))


def _show_weights(facts: Mapping[str, Any]) -> None:
    whole = "" if facts["intact"] else "; the file is damaged: its sum is another"
    told = {
        "file": facts["file"],
        "size": f"{facts['bytes'] / 1e6:.1f} MB",
        "preset": f"{facts['preset']}, {facts['image_size']} px",
        "parameters": _number(facts["parameters"]),
        "SHA-256": f"{facts['sha256']}{whole}",
        "licence": facts["licence"] or "unknown",
    }
    print_table(f"weights {facts['name']}", ("", ""), (), list(told.items()))
    rows = [
        (
            score["data"],
            score["part"],
            str(score["worst_image"]),
            _number(score["images"]),
            _dice(score["mean_dice"]),
            " to ".join(map(_dice, score.get("interval", ()))),
            _dice(score["worst_dice"]),
        )
        for score in facts["scores"]
    ]
    if rows:
        words, numbers = ("data set", "part", "worst image"), ("images", "mean Dice", "95 %", "worst Dice")
        print_table(f"scores of {facts['name']}", words, numbers, rows)


def _number(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _dice(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _find_config(name: str) -> TrainConfig:
    """The configuration of a preset, or that in the manifest of weights.

    Raises:
        ConfigError: there is neither; the preset of the nearest name is given.
    """
    if name not in PRESETS and (name in shipped_weights() or Path(name).exists()):
        return TrainConfig().merged(read_manifest(find_weights(name))["config"])
    return find_preset(name).config


def _dissect(config: TrainConfig) -> "dict[str, NetworkSummary]":
    """The generator's anatomy and, where there is one, the discriminator's."""
    from lungmask_cli.networks.backend import Hardware, choose_device

    choose_device(Hardware("cpu"))

    from lungmask_cli.networks.discriminators import build_discriminator
    from lungmask_cli.networks.generators import build_generator
    from lungmask_cli.networks.summary import summarize_network

    shape = (config.image_size, config.image_size)
    networks = {"generator": summarize_network(build_generator(config.generator, shape))}
    adversary = build_discriminator(config.discriminator, shape)
    return networks if adversary is None else {**networks, "discriminator": summarize_network(adversary)}


def _heading(role: str, anatomy: "NetworkSummary", size: int) -> str:
    from lungmask_cli.networks.summary import in_short

    return (
        f"{role} {anatomy.name}: {in_short(anatomy.parameters)} parameters, "
        f"{in_short(anatomy.flops)}FLOPs for one image of {size} px"
    )


def _draw(path: Path, networks: "dict[str, NetworkSummary]", size: int) -> None:
    from lungmask_cli.files import write_text
    from lungmask_cli.networks.diagram.outline import outline
    from lungmask_cli.networks.diagram.svg import draw_svg

    drawn = [(_heading(role, anatomy, size), outline(anatomy)) for role, anatomy in networks.items()]
    write_text(path, draw_svg(drawn))
    say(f"drawn: {path}")


def _network_facts(anatomy: "NetworkSummary") -> dict[str, Any]:
    return {
        "name": anatomy.name,
        "parameters": anatomy.parameters,
        "trainable_parameters": anatomy.trainable,
        "multiply_adds": anatomy.multiply_adds,
        "flops": anatomy.flops,
        "layers": [
            {
                "name": layer.name,
                "kind": layer.kind,
                "detail": layer.detail,
                "output_shape": layer.shape,
                "parameters": layer.parameters,
                "multiply_adds": layer.multiply_adds,
                "inputs": [anatomy.layers[place].name for place in layer.inputs],
            }
            for layer in anatomy.layers
        ],
    }


def _show_network(heading: str, anatomy: "NetworkSummary", layers: bool) -> None:
    from lungmask_cli.networks.diagram.outline import explain, outline, shape_text
    from lungmask_cli.networks.diagram.text import draw_text

    typer.echo(heading)
    if layers:
        rows = [
            (
                layer.name,
                layer.kind,
                layer.detail,
                shape_text(layer.shape),
                _number(layer.parameters),
                _number(layer.multiply_adds),
            )
            for layer in anatomy.layers
        ]
        print_table("", ("layer", "kind", ""), ("output", "parameters", "multiply-adds"), rows)
    typer.echo(
        f"parameters: {anatomy.parameters:,} ({anatomy.trainable:,} trainable, {anatomy.not_trainable:,} not)\n"
        f"operations of one image: {anatomy.multiply_adds:,} multiply-adds = {anatomy.flops:,} FLOPs "
        "(1 multiply-add = 2 FLOPs; convolutions and dense layers alone count)\n"
    )
    drawn = outline(anatomy)
    typer.echo(f"{draw_text(drawn)}\n{explain(drawn)}\n")

"""Copy the best weights of a run into weights/, in half precision, with a complete manifest.

    python benchmarks/ship_weights.py RUN NAME [FIGURES.json ...]

FIGURES.json are files that `accuracy.py --json` wrote for this run.
"""

import argparse
import json
import operator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lungmask_cli.cli.train_run import resolve_config
from lungmask_cli.config import TrainConfig
from lungmask_cli.inference.quality import BASELINE, OLD_BASELINE
from lungmask_cli.models.manifest import find_weights, read_weights_manifest
from lungmask_cli.models.onnx_file import SHA256, write_onnx
from lungmask_cli.models.weights import load_model, save_weights
from lungmask_cli.training.plan import PLAN

JSRT = "JSRT (Shiraishi et al. 2000) with SCR masks (van Ginneken et al. 2006)"
SHENZHEN = "Shenzhen (Jaeger et al. 2014) with the masks of Stirenko et al. (2018)"
COVID = (
    "COVID-QU-Ex (Tahir et al. 2021), part Infection Segmentation, from many public sources, with masks drawn by "
    "machine and corrected by doctors, as 256 x 256 copies of 8 bits"
)
COPIES = ", as 512 x 512 copies of 8 bits"
# What the commands of a shipped run may change.
FLAGS = {
    "image_size": "--image-size",
    "epochs": "--epochs",
    "batch_size": "--batch-size",
    "optimizer.learning_rate": "--learning-rate",
    "seed": "--seed",
    "structures": "--heart",
}
NAMES = ("first", "second", "third", "fourth")  # of the runs that a run goes on from
# Written anew, or not wanted: the quality gate is fitted to what ships.
DROPPED = ("sha256", SHA256, "file", "precision", "scores", BASELINE, OLD_BASELINE)


@dataclass(frozen=True)
class Training:
    """The data and licence of a split in benchmarks/splits/."""

    folders: str
    source: str
    licence: str


TRAININGS = {
    "jsrt_160_40_40.csv": Training(
        "./jsrt",
        JSRT + COPIES,
        "Research and education, non-commercial. Trained on JSRT radiographs with SCR masks, whose terms allow "
        "research and education and forbid redistribution of the images; the weights contain none of them.",
    ),
    "jsrt_shenzhen.csv": Training(
        "./jsrt ./shenzhen",
        f"{JSRT}; {SHENZHEN}{COPIES}",
        "CC BY-NC-SA 4.0, for research and education, non-commercial. Trained on JSRT radiographs with SCR masks, "
        "whose terms allow research and education and forbid redistribution of the images, and on Shenzhen radiographs "
        "with masks under CC BY-NC-SA 4.0; the weights contain none of them.",
    ),
    "jsrt_shenzhen_covid_qu_ex.csv": Training(
        "./jsrt ./shenzhen ./covid_qu_ex",
        f"{JSRT}; {SHENZHEN}{COPIES}; {COVID}",
        "CC BY-NC-SA 4.0, for research and education, non-commercial. Trained on JSRT radiographs with SCR masks, "
        "whose terms allow research and education and forbid redistribution of the images, on Shenzhen radiographs "
        "with masks under CC BY-NC-SA 4.0, and on radiographs and masks of COVID-QU-Ex under CC BY-SA 4.0 as far as "
        "known, whose sources have terms of their own; the weights contain none of them.",
    ),
}


def split_file(manifest: dict[str, Any]) -> str:
    """The name of the split file, without its column."""
    return str(manifest["data"]["split"]).partition(":")[0]


def find_training(manifest: dict[str, Any]) -> Training:
    split = split_file(manifest)
    if split not in TRAININGS:
        raise SystemExit(f"the split of the run is {split}, not one of {', '.join(TRAININGS)}")
    return TRAININGS[split]


def command(run: Path) -> str:
    """The commands that repeat the run: a preset on a split in benchmarks/splits/, or further training of such a run.

    Each may differ from its preset in FLAGS. A run may also go on from weights that shipped, by their command.
    """
    manifest = read_weights_manifest(find_weights(str(run)))
    init: str = json.loads((run / PLAN).read_text(encoding="utf-8"))["init"]
    config = TrainConfig().merged(manifest["config"])
    preset = "" if init else config.preset
    values = {key: operator.attrgetter(key)(config) for key in FLAGS}
    usual = resolve_config(preset, None, {}, init)
    if config != resolve_config(preset, None, values, init):
        raise SystemExit(f"{run}: differs from {preset or init} in more than {', '.join(FLAGS.values())}")
    changed = {key: value for key, value in values.items() if value != operator.attrgetter(key)(usual)}
    before = source = ""
    if init:
        is_run = (Path(init).parent / PLAN).exists()
        earlier = command(Path(init).parent) if is_run else str(read_weights_manifest(Path(init))["command"])
        source = f"runs/{NAMES[earlier.count(' -o ')]}"
        before = f"{earlier} -o {source} && "
    terms = [f"--preset {preset}" if preset else f"--init {source}"]
    terms += [FLAGS[key] if key == "structures" else f"{FLAGS[key]} {value:g}" for key, value in changed.items()]
    terms += [f"--split benchmarks/splits/{split_file(manifest)}"]
    return f"{before}lungmask train {find_training(manifest).folders} {' '.join(terms)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("name")
    parser.add_argument("figures", type=Path, nargs="*")
    parser.add_argument("--hearts", type=Path, help="the figures of hearts.py")
    options = parser.parse_args()
    model = load_model(find_weights(str(options.run)))
    summary = json.loads((options.run / "summary.json").read_text())
    manifest = {
        **{key: value for key, value in model.manifest.items() if key not in DROPPED},
        "name": options.name,
        "data": {"source": find_training(model.manifest).source, **model.manifest["data"]},
        "command": command(options.run),
        "licence": find_training(model.manifest).licence,
        "parameters": model.generator.count_params(),
        "training": summary,
        "scores": [json.loads(path.read_text()) for path in options.figures],
    }
    if options.hearts:
        figures = json.loads(options.hearts.read_text())
        manifest["heart_scores"] = {name: value for name, value in figures.items() if name != "corrupted"}
    target = Path(__file__).parent.parent / "weights" / f"{options.name}.weights.h5"
    save_weights(model.generator, target, manifest, half=True)
    write_onnx(target)
    print(f"{target}: {target.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()

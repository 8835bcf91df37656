"""Copy the best weights of a run into weights/, in half precision, with a complete manifest.

    python benchmarks/ship_weights.py RUN NAME [FIGURES.json ...]

FIGURES.json are files that `accuracy.py --json` wrote for this run.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lungmask_cli.config import TrainConfig
from lungmask_cli.inference.quality import BASELINE, OLD_BASELINE
from lungmask_cli.models.manifest import find_weights
from lungmask_cli.models.weights import load_model, save_weights
from lungmask_cli.networks.presets import find_preset

JSRT = "JSRT (Shiraishi et al. 2000) with SCR masks (van Ginneken et al. 2006)"
SHENZHEN = "Shenzhen (Jaeger et al. 2014) with the masks of Stirenko et al. (2018)"
COVID = (
    "COVID-QU-Ex (Tahir et al. 2021), part Infection Segmentation, from many public sources, with masks drawn by "
    "machine and corrected by doctors, as 256 x 256 copies of 8 bits"
)
COPIES = ", as 512 x 512 copies of 8 bits"
# Written anew, or not wanted: the quality gate is fitted to what ships.
DROPPED = ("sha256", "file", "precision", "scores", BASELINE, OLD_BASELINE)


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


def find_training(manifest: dict[str, Any]) -> Training:
    split = manifest["data"]["split"]
    if split not in TRAININGS:
        raise SystemExit(f"the split of the run is {split}, not one of {', '.join(TRAININGS)}")
    return TRAININGS[split]


def command(manifest: dict[str, Any]) -> str:
    """The command that repeats the run, which must be a preset on a split in benchmarks/splits/."""
    config = TrainConfig().merged(manifest["config"])
    if config != find_preset(config.preset).config.merged({"seed": config.seed}):
        raise SystemExit(f"the run differs from its preset {config.preset}, so it has no short command")
    folders, split = find_training(manifest).folders, manifest["data"]["split"]
    terms = f"--preset {config.preset} --seed {config.seed} --split benchmarks/splits/{split}"
    return f"lungmask train {folders} {terms}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("name")
    parser.add_argument("figures", type=Path, nargs="*")
    options = parser.parse_args()
    model = load_model(find_weights(str(options.run)))
    summary = json.loads((options.run / "summary.json").read_text())
    manifest = {
        **{key: value for key, value in model.manifest.items() if key not in DROPPED},
        "name": options.name,
        "data": {"source": find_training(model.manifest).source, **model.manifest["data"]},
        "command": command(model.manifest),
        "licence": find_training(model.manifest).licence,
        "parameters": model.generator.count_params(),
        "training": summary,
        "scores": [json.loads(path.read_text()) for path in options.figures],
    }
    target = Path(__file__).parent.parent / "weights" / f"{options.name}.weights.h5"
    save_weights(model.generator, target, manifest, half=True)
    print(f"{target}: {target.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()

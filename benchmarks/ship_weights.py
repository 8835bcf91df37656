"""Copy the best weights of a run into weights/, in half precision, with everything the manifest needs.

    python benchmarks/ship_weights.py RUN NAME [FIGURES.json ...]

FIGURES.json are files that `accuracy.py --json` wrote for this run.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from lungmask_cli.config import TrainConfig
from lungmask_cli.inference.manifest import find_weights
from lungmask_cli.inference.weights import load_model, save_weights
from lungmask_cli.networks.presets import find_preset

LICENCE = (
    "Research and education, non-commercial. Trained on JSRT radiographs with SCR masks, whose terms allow research "
    "and education and forbid redistribution of the images; the weights contain none of them."
)
SOURCE = "JSRT (Shiraishi et al. 2000) with SCR masks (van Ginneken et al. 2006), as 512 x 512 copies of 8 bits"
COMMAND = "lungmask train ./jsrt --preset {preset} --seed {seed} --split benchmarks/splits/{split}"


def command(manifest: dict[str, Any]) -> str:
    """The command that repeats the run, which must be a preset on a split that is kept here."""
    config, split = TrainConfig().merged(manifest["config"]), manifest["data"]["split"]
    if config != find_preset(config.preset).config.merged({"seed": config.seed}):
        raise SystemExit(f"the run differs from its preset {config.preset}, so no short command repeats it")
    if not (Path(__file__).parent / "splits" / split).is_file():
        raise SystemExit(f"the run's split, {split}, is not in benchmarks/splits")
    return COMMAND.format(preset=config.preset, seed=config.seed, split=split)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("name")
    parser.add_argument("figures", type=Path, nargs="*")
    options = parser.parse_args()
    model = load_model(find_weights(str(options.run)))
    summary = json.loads((options.run / "summary.json").read_text())
    manifest = {
        **{key: value for key, value in model.manifest.items() if key not in ("sha256", "file", "precision", "scores")},
        "name": options.name,
        "data": {"source": SOURCE, **model.manifest["data"]},
        "command": command(model.manifest),
        "licence": LICENCE,
        "parameters": model.generator.count_params(),
        "training": summary,
        "scores": [json.loads(path.read_text()) for path in options.figures],
    }
    target = Path(__file__).parent.parent / "weights" / f"{options.name}.weights.h5"
    save_weights(model.generator, target, manifest, half=True)
    print(f"{target}: {target.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()

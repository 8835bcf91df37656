"""The settings that determine how a radiograph is segmented. They load neither NumPy nor Keras."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Literal

from lungmask_cli.config import HEART, MAX_PIXELS
from lungmask_cli.errors import UsageError
from lungmask_cli.models.manifest import DEFAULT_WEIGHTS, find_weights, is_large, read_weights_manifest

Runtime = Literal["auto", "keras", "onnx"]


@dataclass(frozen=True)
class InferenceOptions:
    """The settings that determine how a radiograph is segmented.

    Args:
        weights: the name of shipped weights, a `.weights.h5` file, or a run folder. The predictions of several networks
            are averaged.
        device: `auto`, `cpu`, `gpu`, or `gpu:N`.
        runtime: the library that runs the network: `keras` on GPUs and for large networks, else `onnx`; `auto` chooses.
        tta: test-time augmentation: average the predictions from several slightly different crops.
        cleanup: fill holes and keep the two largest components, and of the heart the largest.
        heart: segment the heart, too, which the weights must know.
        polarity: detect radiographs with dark bones and invert them, whatever the file says.
        max_pixels: larger images are refused.
    """

    weights: str | Path | Sequence[str | Path] = DEFAULT_WEIGHTS
    _: KW_ONLY
    device: str = "auto"
    runtime: Runtime = "auto"
    tta: bool = False
    cleanup: bool = True
    heart: bool = False
    polarity: bool = True
    max_pixels: int = MAX_PIXELS

    @property
    def weight_names(self) -> tuple[str, ...]:
        """The weights of each network, as they were given."""
        return (str(self.weights),) if isinstance(self.weights, (str, Path)) else tuple(map(str, self.weights))

    def choose_runtime(self) -> Runtime:
        """`keras` instead of `auto` if any of the networks is large; else the runtime that was given.

        Raises:
            UsageError: as in `weight_files`.
        """
        return "keras" if self.runtime == "auto" and any(map(is_large, self.weight_files())) else self.runtime

    def weight_files(self) -> list[Path]:
        """The weight file of each network.

        Raises:
            UsageError: some weights do not exist, or do not know the heart that is to be segmented.
        """
        files = [find_weights(name) for name in self.weight_names]
        for name, path in zip(self.weight_names, files, strict=True):
            if self.heart and HEART not in read_weights_manifest(path)["config"].get("structures", ()):
                raise UsageError(
                    f"{name}: these weights segment the lungs alone, not the heart",
                    f"Use --weights {DEFAULT_WEIGHTS}, or train with --heart.",
                )
        return files

"""The configuration of a training run: frozen dataclasses, validated, read from and written to TOML.

A configuration is resolved as defaults < preset < TOML file < flags. The resolved configuration is written into every
run folder and into every weights manifest, from which the network is rebuilt.
"""

import dataclasses
import sys
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lungmask_cli.errors import ConfigError, suggest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ConfigT = typing.TypeVar("ConfigT")

# The largest image that commands read. Digitised film at 50 micrometres has 60 million pixels; an image far above that
# is a mistake or an attack.
MAX_PIXELS = 100_000_000
NO_CONTRAST, CLAHE = "none", "clahe"
# An image is kept at this multiple of the network's input size where the refinement pass sees a crop of it.
ZOOM_DETAIL = 2
# Keys that older versions wrote. They are still read, and ignored, if they have this value.
_REMOVED_KEYS = {"discriminator.spectral": False}
LUNGS, HEART = "lungs", "heart"  # the structures that networks predict
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ConfigError(message)


@dataclass(frozen=True)
class GeneratorConfig:
    """The generator.

    `filters` is the number of filters at the first of `levels` levels. It doubles from each level to the next, up to
    `max_filters`.
    """

    name: str = "unet"
    filters: int = 16
    max_filters: int = 1024
    levels: int = 5
    normalization: str = "group"

    def __post_init__(self) -> None:
        _require(self.filters >= 1, f"generator.filters must be at least 1, not {self.filters}")
        _require(self.max_filters >= self.filters, "generator.max_filters must not be below generator.filters")
        _require(2 <= self.levels <= 10, f"generator.levels must be 2 to 10, not {self.levels}")


@dataclass(frozen=True)
class DiscriminatorConfig:
    """The discriminator that the generator is trained against; `none` trains the generator alone."""

    name: str = "patch"
    filters: int = 32
    normalization: str = "group"

    def __post_init__(self) -> None:
        _require(self.filters >= 1, f"discriminator.filters must be at least 1, not {self.filters}")


@dataclass(frozen=True)
class LossConfig:
    """The losses of the generator and the settings of adversarial training.

    `terms` are the losses that compare the predicted mask with the reference mask, with their weights; a TOML file or
    flag that gives any of them replaces all of them. `adversarial` is the weight of the adversarial loss, if there is
    a discriminator. `pretraining` is the fraction of the epochs, at the start, in which the generator is trained
    without the discriminator. `real_label` is the target of the discriminator for reference masks.
    """

    terms: dict[str, float] = field(default_factory=lambda: {"cross_entropy": 1.0})
    adversarial: float = 0.01
    pretraining: float = 0.0
    real_label: float = 1.0

    def __post_init__(self) -> None:
        for name, weight in self.terms.items():
            _require(weight > 0, f"loss.terms.{name} must be > 0, not {weight}")
        _require(bool(self.terms), "loss.terms must name at least one loss")
        _require(self.adversarial >= 0, f"loss.adversarial must not be negative, but is {self.adversarial}")
        _require(0 <= self.pretraining < 1, f"loss.pretraining must be in [0, 1), not {self.pretraining}")
        _require(0.5 < self.real_label <= 1, f"loss.real_label must be in (0.5, 1], not {self.real_label}")


@dataclass(frozen=True)
class OptimizerConfig:
    """Adam, its learning-rate schedule, gradient clipping and weight averaging.

    `ema` is the momentum of the exponential moving average of the weights, which is validated and saved (0: none). It
    is reduced in runs so short that the average would span more than a sixteenth of the steps. `clip_norm` limits the
    gradient norm of each weight tensor (0: none). `schedule` is `constant` or `cosine`, which begins with
    `warmup_epochs` of linear increase.
    """

    learning_rate: float = 1e-3
    beta_1: float = 0.9
    schedule: str = "cosine"
    warmup_epochs: float = 1.0
    clip_norm: float = 1.0
    ema: float = 0.99

    def __post_init__(self) -> None:
        _require(self.learning_rate > 0, f"optimizer.learning_rate must be > 0, not {self.learning_rate}")
        _require(0 <= self.beta_1 < 1, f"optimizer.beta_1 must be in [0, 1), not {self.beta_1}")
        _require(
            self.schedule in ("constant", "cosine"),
            f"optimizer.schedule must be constant or cosine, not {self.schedule}",
        )
        _require(0 <= self.ema < 1, f"optimizer.ema must be in [0, 1), not {self.ema}")
        _require(self.clip_norm >= 0, f"optimizer.clip_norm must not be negative, but is {self.clip_norm}")


@dataclass(frozen=True)
class AugmentationConfig:
    """Maximum strength of each augmentation. Lengths are fractions of the image side; zero disables it.

    `scale` 0.2 scales by a factor from 1/1.2 to 1.2, and `gamma` and `contrast` work in the same way. `brightness` is
    added to values in [0, 1], `noise` is a standard deviation in the same units, and `blur` is the standard deviation
    of a Gaussian as a fraction of the image side. The probabilities are those of a horizontal flip, of inverted grey
    values, of collimation borders, of a burnt-in label, of painted opacities that imitate disease, and of fluid that
    fills one lung from below. Opacities and fluid remain lung in the mask.
    """

    rotation_degrees: float = 0.0
    scale: float = 0.0
    aspect: float = 0.0
    shift: float = 0.0
    shear_degrees: float = 0.0
    elastic: float = 0.0
    gamma: float = 0.0
    contrast: float = 0.0
    brightness: float = 0.0
    noise: float = 0.0
    blur: float = 0.0
    flip_probability: float = 0.0
    invert_probability: float = 0.0
    border_probability: float = 0.0
    label_probability: float = 0.0
    opacity_probability: float = 0.0
    effusion_probability: float = 0.0

    def __post_init__(self) -> None:
        for key, value in dataclasses.asdict(self).items():
            _require(value >= 0, f"augmentation.{key} must not be negative, but is {value}")
            if key.endswith("_probability"):
                _require(value <= 1, f"augmentation.{key} is a probability, but is {value}")


@dataclass(frozen=True)
class UnlabelledConfig:
    """How radiographs without masks are learnt from, if there are any.

    `share` is the fraction of each batch that they make up. In the first epochs, a fraction `start` of them, nothing is
    learnt from these radiographs. `consistency` is the weight of the segmentation losses between the mask that is
    predicted for an augmented radiograph, and that which is predicted before its grey values are changed and opacities
    are painted. `adversarial` is the weight of the adversarial loss on them, which needs a discriminator.
    """

    share: float = 0.5
    start: float = 0.25
    adversarial: float = 0.0
    consistency: float = 1.0

    def __post_init__(self) -> None:
        _require(0 < self.share < 1, f"unlabelled.share must be between 0 and 1, not {self.share}")
        _require(0 <= self.start < 1, f"unlabelled.start must be in [0, 1), not {self.start}")
        for key in ("adversarial", "consistency"):
            weight = getattr(self, key)
            _require(weight >= 0, f"unlabelled.{key} must not be negative, but is {weight}")
        _require(self.adversarial + self.consistency > 0, "unlabelled needs a weight above 0")


@dataclass(frozen=True)
class TrainConfig:
    """All settings of a training run, apart from the data.

    `patience` ends a run after this many epochs without a better validation Dice (0: never). `precision` is `float32`,
    or `mixed_bfloat16` or `mixed_float16` for GPUs that compute faster with 16 bits; weights always have 32 bits.
    `contrast` is the contrast enhancement of the network's input: `none`, or `clahe`, which needs the extra `[clahe]`.
    With `zoom` the network predicts in two passes: the localization pass finds the lungs on the whole radiograph, at
    two thirds of `image_size`, and the refinement pass predicts the mask on the square around them. Training is the
    same. `balance` shows the images of small data sets more often, and fewer of large ones: with 0, every image is
    shown once in each epoch; with 1, every data set is shown equally often; in between, as often as its number of
    images to the power of 1 - `balance`. `structures` are those that the network predicts: `["lungs"]`, or
    `["lungs", "heart"]`.
    """

    preset: str = "compact"
    image_size: int = 256
    epochs: int = 80
    batch_size: int = 8
    seed: int = 0
    patience: int = 0
    precision: str = "float32"
    contrast: str = NO_CONTRAST
    zoom: bool = False
    balance: float = 0.0
    structures: list[str] = field(default_factory=lambda: [LUNGS])
    generator: GeneratorConfig = field(default_factory=GeneratorConfig)
    discriminator: DiscriminatorConfig = field(default_factory=DiscriminatorConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    unlabelled: UnlabelledConfig = field(default_factory=UnlabelledConfig)

    def __post_init__(self) -> None:
        _require(
            self.image_size >= 32 and self.image_size % 32 == 0,
            f"image_size must be a multiple of 32, not {self.image_size}",
        )
        _require(self.epochs >= 1, f"epochs must be at least 1, not {self.epochs}")
        _require(self.batch_size >= 1, f"batch_size must be at least 1, not {self.batch_size}")
        _require(self.seed >= 0, f"seed must not be negative, but is {self.seed}")
        _require(self.patience >= 0, f"patience must not be negative, but is {self.patience}")
        _require(0 <= self.balance <= 1, f"balance must be in [0, 1], not {self.balance}")
        _require(
            self.structures in ([LUNGS], [LUNGS, HEART]),
            f'structures must be ["{LUNGS}"] or ["{LUNGS}", "{HEART}"], not {self.structures}',
        )
        _require(self.contrast in (NO_CONTRAST, CLAHE), f"contrast must be none or clahe, not {self.contrast}")
        _require(
            self.precision in PRECISIONS, f"precision must be one of {', '.join(PRECISIONS)}, not {self.precision}"
        )

    @property
    def detail(self) -> int:
        """The side in pixels of the square image from which the input of every pass is taken."""
        return self.image_size * ZOOM_DETAIL if self.zoom else self.image_size

    @property
    def unlabelled_start(self) -> int:
        """The number of epochs before radiographs without masks are learnt from: not before the adversary is."""
        return round(max(self.unlabelled.start, self.loss.pretraining) * self.epochs)

    @property
    def localization_size(self) -> int:
        """The side in pixels of the input of the localization pass.

        Two thirds of `image_size` if that is a whole number, which can be halved just as often, else `image_size`. The
        smaller size is as accurate and takes half the time.
        """
        return self.image_size if self.image_size % 3 else self.image_size * 2 // 3

    def merged(self, changes: Mapping[str, Any]) -> "TrainConfig":
        """A copy in which `changes`, a nested mapping of key to value, replace the present values.

        Raises:
            ConfigError: a key is unknown (the message names the nearest known one), or a value has the wrong type or
                range.
        """
        return _merge(self, changes, "")

    def as_dict(self) -> dict[str, Any]:
        """The configuration as nested plain dictionaries."""
        return dataclasses.asdict(self)

    def to_toml(self) -> str:
        """The configuration as TOML text that `read_toml` and `merged` read back."""
        import tomli_w

        return tomli_w.dumps(self.as_dict())


def read_toml(path: Path) -> dict[str, Any]:
    """The contents of a TOML file.

    Raises:
        ConfigError: the file cannot be read or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path}: is not valid TOML: {error}", "See docs/reference/config.md for an example."
        ) from error


def _merge(config: ConfigT, changes: Mapping[str, Any], prefix: str) -> ConfigT:
    hints = typing.get_type_hints(type(config))
    values: dict[str, Any] = {}
    for key, value in changes.items():
        if prefix + key in _REMOVED_KEYS:
            if value is not _REMOVED_KEYS[prefix + key]:
                raise ConfigError(f"{prefix}{key} is no longer supported", "Remove it, or use an older lungmask.")
            continue
        if key not in hints:
            known = [prefix + name for name in hints]
            raise ConfigError(f"unknown configuration key: {prefix}{key}", suggest(prefix + key, known))
        current = getattr(config, key)
        if dataclasses.is_dataclass(current):
            _require(isinstance(value, Mapping), f"{prefix}{key} is a table of settings, not {value!r}")
            values[key] = _merge(current, value, f"{prefix}{key}.")
        else:
            values[key] = _typed(prefix + key, value, hints[key])
    return dataclasses.replace(typing.cast("Any", config), **values)


def _typed(key: str, value: Any, kind: type | types.UnionType) -> Any:
    if typing.get_origin(kind) is dict:
        _require(isinstance(value, Mapping), f"{key} is a table of settings, not {value!r}")
        return {name: _typed(f"{key}.{name}", entry, typing.get_args(kind)[1]) for name, entry in value.items()}
    if typing.get_origin(kind) is list:
        _require(isinstance(value, (list, tuple)), f"{key} is a list, not {value!r}")
        return [_typed(f"{key}[{index}]", entry, typing.get_args(kind)[0]) for index, entry in enumerate(value)]
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ConfigError(f"{key} must be of type {getattr(kind, '__name__', kind)}, not {value!r}")
    return value

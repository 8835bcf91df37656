"""The speed of `lungmask train`, compared with plain TensorFlow loops for the same networks, and its memory.

    python benchmarks/train_speed.py DATA [--preset compact] [--image-size N] [--steps 20] [--epochs 4] [--repeats 3]
        [--part speed|memory|all] [--json FILE]

DATA is what `lungmask train` accepts. It is prepared once. Then each contestant runs in its own process, in turn, and
the whole round is repeated. All contestants train the networks of the preset with its losses, batch size, precision and
optimiser settings. The first epoch, in which TensorFlow traces, is not counted.

- lungmask train: the real command, with validation, metrics, curves, weights and checkpoints, without augmentation. An
  additional callback measures the time.
- bare two-tape loop: one `tf.function` with two gradient tapes and two Adams, as in TensorFlow's pix2pix tutorial; no
  metrics, no callbacks, all images in memory as float32. The goal is at least 0.93 of its speed.
- naive pipeline: the same loop, but in each step the files of DATA are decoded, resized and augmented as in the preset,
  one after the other.
- lungmask train, augmented: the command with the augmentation of the preset, if it has one.

The comparison uses the images per second of the training steps; those of whole epochs, with validation and all written
files, are shown beside them. `memory` is the peak resident memory of the command with 100 and with 5,000 images (copies
of 100) of 512 x 512 and a small network: read from disk in each epoch (`--memory 0`), and kept in memory
(`--memory 64`).
"""

import argparse
import json
import os
import platform
import runpy
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungmask_cli.config import AugmentationConfig, TrainConfig, read_toml
from lungmask_cli.datasets.layouts import find_pairs
from lungmask_cli.datasets.prepared import Entry, PreparedSet, read_prepared, write_manifest
from lungmask_cli.datasets.splits import TRAIN, UNUSED, VAL
from lungmask_cli.formats.masks import read_masks
from lungmask_cli.formats.radiographs import read_radiograph
from lungmask_cli.imaging.geometry import resize
from lungmask_cli.networks.presets import PRESETS, find_preset

TRAINED, BARE, NAIVE, AUGMENTED = "lungmask train", "bare two-tape loop", "naive pipeline", "lungmask train, augmented"
WORK = "--work"  # the argument with which the script starts a contestant
PREPARED_SIZE = 512
VALIDATED = 0.25  # validation images for each training image, as in 160/40/40
GOALS = {(TRAINED, BARE): 0.93, (TRAINED, NAIVE): None, (AUGMENTED, TRAINED): None}
SMALL = {"image_size": 128, "batch_size": 8, "generator": {"filters": 4, "levels": 3}, "discriminator": {"filters": 4}}
COPIED, MIN_IMAGES = 100, 1000  # pairs to copy; images that the smaller set trains on at least, for a steady state
KEPT = {"read from disk": 0, "kept in memory": 64}
Array = NDArray[np.float32]
Batch = tuple[Array, Array]


@dataclass(frozen=True)
class Task:
    """The task of one process; `data` are the original files, `prepared` is the set with the split."""

    contestant: str
    data: str
    prepared: str
    config: str
    device: str
    folder: str


@dataclass(frozen=True)
class Times:
    """The images per epoch, and the seconds of each epoch: of its training steps, and of the whole epoch.

    `whole` is empty if the contestant does nothing but training steps.
    """

    images: int
    training: list[float]
    whole: list[float]

    def speeds(self) -> dict[str, float]:
        """Images per second in all epochs after the first together, so that occasional pauses count."""
        seconds = {"steps": self.training[1:], "epochs": self.whole[1:]}
        return {part: self.images * len(times) / sum(times) for part, times in seconds.items() if times}


# The process of one contestant.


def work(file: Path) -> None:
    task = Task(**json.loads(file.read_text()))
    config = TrainConfig().merged(read_toml(Path(task.config)))
    prepared = read_prepared(Path(task.prepared))
    if task.contestant in (TRAINED, AUGMENTED):
        times = lungmask_train(task, config, len(prepared.entries_in(TRAIN)))
    else:
        times = tape_loop(task, config, prepared)
    (Path(task.folder) / "times.json").write_text(json.dumps(asdict(times)))


def lungmask_train(task: Task, config: TrainConfig, images: int) -> Times:
    """Run the command in this process, with an additional callback that measures the time."""
    import keras

    started: list[float] = []
    trained: list[float] = []
    ended: list[float] = []
    clock = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: started.append(time.perf_counter()),
        on_test_begin=lambda logs: trained.append(time.perf_counter()),
        on_epoch_end=lambda epoch, logs: ended.append(time.perf_counter()),
    )
    fit = keras.Model.fit

    def timed_fit(model: keras.Model, *arguments: Any, callbacks: list[Any], **others: Any) -> Any:
        return fit(model, *arguments, callbacks=[*callbacks, clock], **others)

    keras.Model.fit = timed_fit
    options = ["--config", task.config, "--device", task.device, "--output", f"{task.folder}/run"]
    sys.argv = ["lungmask", "train", task.prepared, *options]
    try:
        runpy.run_module("lungmask_cli", run_name="__main__")
    except SystemExit as end:
        if end.code:
            raise
    shown = images // config.batch_size * config.batch_size
    return Times(
        shown,
        [end - start for start, end in zip(started, trained, strict=True)],
        [end - start for start, end in zip(started, ended, strict=True)],
    )


def tape_loop(task: Task, config: TrainConfig, prepared: PreparedSet) -> Times:
    """Run only the training steps, on arrays in memory or on files."""
    from lungmask_cli.networks.backend import Hardware, choose_device

    choose_device(Hardware(task.device))
    import keras
    import tensorflow as tf

    from lungmask_cli.networks.adversarial import build_adversarial_model

    entries, batch_size = prepared.entries_in(TRAIN), config.batch_size
    steps = len(entries) // batch_size
    keras.config.set_dtype_policy(config.precision)
    step = two_tape_step(build_adversarial_model(config), config, steps)
    batch = in_memory(prepared, entries, config) if task.contestant == BARE else from_files(task, entries, config)
    random, seconds = np.random.default_rng(config.seed), []
    for _ in range(config.epochs):
        started = time.perf_counter()
        order = random.permutation(len(entries))
        for first in range(0, steps * batch_size, batch_size):
            images, masks = batch(order[first : first + batch_size])
            losses = step(tf.convert_to_tensor(images), tf.convert_to_tensor(masks))
        assert np.isfinite(float(losses[0]))  # also waits for the device
        seconds.append(time.perf_counter() - started)
    return Times(steps * batch_size, seconds, [])


def two_tape_step(model: Any, config: TrainConfig, steps: int) -> Callable[[Any, Any], tuple[Any, Any]]:
    """The training step of TensorFlow's pix2pix tutorial, with the losses and optimiser settings of `config`."""
    import tensorflow as tf

    from lungmask_cli.networks.losses import adversarial_loss, segmentation_loss
    from lungmask_cli.training.run import build_optimizer

    generator, discriminator, loss = model.generator, model.discriminator, config.loss
    optimizers = [build_optimizer(config.optimizer, config.epochs, steps) for _ in range(2)]
    for network, optimizer in zip((generator, discriminator), optimizers, strict=True):
        optimizer.build(network.trainable_variables)

    def step(image: Any, truth: Any) -> tuple[Any, Any]:
        with tf.GradientTape() as generator_tape, tf.GradientTape() as discriminator_tape:
            predicted = generator(image, training=True)
            real = discriminator([image, truth], training=True)
            fake = discriminator([image, predicted], training=True)
            generator_loss = segmentation_loss(loss.terms, truth, predicted) + loss.adversarial * adversarial_loss(
                fake, 1.0
            )
            discriminator_loss = 0.5 * (adversarial_loss(real, loss.real_label) + adversarial_loss(fake, 0.0))
        for_generator = generator_tape.gradient(generator_loss, generator.trainable_variables)
        for_discriminator = discriminator_tape.gradient(discriminator_loss, discriminator.trainable_variables)
        optimizers[0].apply_gradients(zip(for_generator, generator.trainable_variables, strict=True))
        optimizers[1].apply_gradients(zip(for_discriminator, discriminator.trainable_variables, strict=True))
        return generator_loss, discriminator_loss

    return tf.function(step)


def in_memory(prepared: PreparedSet, entries: list[Entry], config: TrainConfig) -> Callable[[NDArray[Any]], Batch]:
    """Batches from arrays that contain every image as float32."""

    def read_resized(entry: Entry) -> list[Array]:
        return [resize(pixels, config.image_size, config.image_size) for pixels in prepared.read_pair(entry)]

    images, masks = (np.stack(arrays)[..., None] for arrays in zip(*map(read_resized, entries), strict=True))
    return lambda rows: (images[rows], masks[rows])


def from_files(task: Task, entries: list[Entry], config: TrainConfig) -> Callable[[NDArray[Any]], Batch]:
    """Batches from the files of the data set."""
    from lungmask_cli.training.augmentation import augment

    pairs = {pair.id: pair for pair in find_pairs(Path(task.data)).pairs}
    files = [pairs[entry.id] for entry in entries]
    random = np.random.default_rng(config.seed)

    def read(row: int) -> Batch:
        pixels = read_radiograph(files[row].image).pixels.astype(np.float32)
        mask = np.any(read_masks(files[row].masks), axis=0)
        size = config.image_size
        image = resize(pixels / pixels.max(), size, size)
        return augment(image, resize(mask, size, size), config.augmentation, random)

    def batch(rows: NDArray[Any]) -> Batch:
        images, masks = zip(*(read(int(row)) for row in rows), strict=True)
        return np.stack(images)[..., None], np.stack(masks)[..., None]

    return batch


# The main process.


def prepare(data: Path, folder: Path, size: int) -> PreparedSet:
    command = [sys.executable, "-m", "lungmask_cli", "preprocess", data, "-o", folder, "--size", size]
    done = subprocess.run(list(map(str, command)), check=False, capture_output=True, text=True)
    if done.returncode not in (0, 1):  # 1: some pairs cannot be used
        sys.exit(done.stderr)
    return read_prepared(folder)


def use_first(prepared: PreparedSet, wanted: int, batch_size: int) -> int:
    """Use the first images for training and the next for validation; return the number of training images."""
    most = int(len(prepared.entries) / (1 + VALIDATED)) // batch_size * batch_size
    if not most:
        sys.exit(f"{len(prepared.entries)} images are too few for one batch and its validation")
    count = min(wanted, most)
    validated = max(1, round(count * VALIDATED))
    parts = [TRAIN] * count + [VAL] * validated + [UNUSED] * (len(prepared.entries) - count - validated)
    split = {entry.id: part for entry, part in zip(prepared.entries, parts, strict=True)}
    write_manifest(replace(prepared.with_split(split), split_method="the first"))
    return count


def run(command: list[str], log: Path) -> int:
    """Run a command, and return its peak resident memory in bytes."""
    with log.open("w") as file, subprocess.Popen(command, stdout=file, stderr=file) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(command)}\n{log.read_text()[-2000:]}")
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def timed(contestant: str, data: Path, prepared: Path, config: TrainConfig, device: str) -> Times:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "config.toml").write_text(config.to_toml())
        task = Task(contestant, str(data), str(prepared), str(folder / "config.toml"), device, temporary)
        (folder / "task.json").write_text(json.dumps(asdict(task)))
        run([sys.executable, __file__, WORK, str(folder / "task.json")], folder / "log.txt")
        return Times(**json.loads((folder / "times.json").read_text()))


def measure_speed(options: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    augmented = find_preset(options.preset).config.merged({"epochs": options.epochs})
    augmented = augmented.merged({"image_size": options.image_size or augmented.image_size})
    plain = replace(augmented, augmentation=AugmentationConfig())
    contestants = {TRAINED: plain, BARE: plain, NAIVE: augmented}
    if augmented != plain:
        contestants[AUGMENTED] = augmented
    prepared = prepare(options.data, scratch / "speed", max(PREPARED_SIZE, plain.image_size))
    images = use_first(prepared, options.steps * plain.batch_size, plain.batch_size)
    found: dict[str, list[dict[str, float]]] = {name: [] for name in contestants}
    for _ in range(options.repeats):
        for name, config in contestants.items():
            times = timed(name, options.data, prepared.folder, config, options.device)
            found[name].append(times.speeds())
    rows = {
        name: {part: spread([speed[part] for speed in speeds]) for part in speeds[0]} for name, speeds in found.items()
    }
    ratios = {
        f"{one}, of {other}": {
            **spread([a["steps"] / b["steps"] for a, b in zip(found[one], found[other], strict=True)]),
            "goal": goal,
        }
        for (one, other), goal in GOALS.items()
        if one in found
    }
    facts = {"preset": options.preset, "image_size": plain.image_size, "batch_size": plain.batch_size}
    counts = {"images": images, "epochs": options.epochs, "repeats": options.repeats}
    return {**facts, **counts, "images/s": rows, "ratios": ratios}


def spread(values: list[float]) -> dict[str, Any]:
    return {
        "median": round(statistics.median(values), 3),
        "least": round(min(values), 3),
        "most": round(max(values), 3),
    }


def copied(prepared: PreparedSet, folder: Path, count: int) -> PreparedSet:
    """A set of `count` training images and one validation batch: links to the first files under new names."""
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    sources, entries = prepared.entries[:COPIED], []
    for number in range(count + int(str(SMALL["batch_size"]))):
        source = sources[number % len(sources)]
        image, mask = f"images/{number:05d}.png", f"masks/{number:05d}.png"
        (folder / image).hardlink_to(prepared.folder / source.image)
        (folder / mask).hardlink_to(prepared.folder / source.mask)
        part = TRAIN if number < count else VAL
        entries.append(replace(source, id=f"{number:05d}", split=part, image=image, mask=mask))
    written = replace(prepared, folder=folder, split_method="the first", entries=tuple(entries), problems=())
    write_manifest(written)
    return written


def measure_memory(options: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    prepared = prepare(options.data, scratch / "memory", PREPARED_SIZE)
    counts = sorted(options.counts)
    found: dict[str, Any] = {}
    for count in counts:
        folder = copied(prepared, scratch / f"{count}", count).folder
        epochs = max(1, -(-MIN_IMAGES // count)) if count < counts[-1] else 1
        config = TrainConfig().merged({**SMALL, "epochs": epochs})
        (scratch / "small.toml").write_text(config.to_toml())
        for name, gigabytes in KEPT.items():
            output = scratch / f"run-{count}-{gigabytes}"
            arguments = ["train", folder, "-o", output, "--config", scratch / "small.toml", "--memory", gigabytes]
            command = [sys.executable, "-m", "lungmask_cli", *map(str, arguments), "--device", options.device]
            peak = run(command, scratch / "log.txt")
            found.setdefault(name, {})[f"{count} images"] = round(peak / 2**20)
    ratios = {}
    for name, peaks in found.items():
        least, most = (peaks[f"{count} images"] for count in (counts[0], counts[-1]))
        ratios[name] = round(most / least, 3)
    return {"peak MiB": found, "ratios": ratios, "goal": "within 10 % where read from disk"}


def print_speed(figures: dict[str, Any]) -> None:
    print(
        f"{figures['preset']}: {figures['image_size']} px, batch {figures['batch_size']}, {figures['images']} images, "
        f"{figures['epochs'] - 1} epochs counted, {figures['repeats']} runs each; images/s, median (range)"
    )
    print(f"{'':28}{'training steps':>24}{'whole epochs':>24}")
    for name, row in figures["images/s"].items():
        shown = [f"{speed['median']:.2f} ({speed['least']:.2f}-{speed['most']:.2f})" for speed in row.values()]
        print(f"{name:28}" + "".join(f"{text:>24}" for text in shown))
    for name, ratio in figures["ratios"].items():
        goal = f", goal at least {ratio['goal']}" if ratio["goal"] else ""
        print(f"{name}: {ratio['median']:.3f} ({ratio['least']:.3f}-{ratio['most']:.3f}){goal}")


def print_memory(figures: dict[str, Any]) -> None:
    for name, peaks in figures["peak MiB"].items():
        shown = ", ".join(f"{count} {peak} MiB" for count, peak in peaks.items())
        print(f"peak memory, {name}: {shown}; ratio {figures['ratios'][name]:.3f}")
    print(f"goal: {figures['goal']}")


def main() -> None:
    if sys.argv[1:2] == [WORK]:
        work(Path(sys.argv[2]))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--preset", choices=list(PRESETS), default="compact")
    parser.add_argument("--image-size", type=int)
    parser.add_argument("--steps", type=int, default=20, help="training steps per epoch, if there are enough images")
    parser.add_argument("--epochs", type=int, default=4, help="the first is not counted")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--part", choices=("speed", "memory", "all"), default="all")
    parser.add_argument("--counts", type=int, nargs=2, default=(100, 5000), help="numbers of images in the memory part")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.epochs < 2 or min(options.steps, options.repeats) < 1:
        parser.error("at least two epochs, one step and one repeat are needed")
    figures: dict[str, Any] = {"machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"}
    with tempfile.TemporaryDirectory() as temporary:
        for name, measure, show in (
            ("speed", measure_speed, print_speed),
            ("memory", measure_memory, print_memory),
        ):
            if options.part in (name, "all"):
                figures[name] = measure(options, Path(temporary))
                show(figures[name])
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()

import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from lungmask_cli.batch.jobs import plan_jobs
from lungmask_cli.config import TrainConfig
from lungmask_cli.errors import UsageError
from lungmask_cli.files import file_sha256
from lungmask_cli.imaging.components import clean
from lungmask_cli.imaging.geometry import resize
from lungmask_cli.inference.two_pass import as_mask, predict
from lungmask_cli.models.load import load_network
from lungmask_cli.models.manifest import find_weights, shipped_folder
from lungmask_cli.models.network import Network
from lungmask_cli.models.weights import load_model, save_weights
from lungmask_cli.networks.generators import build_generator
from lungmask_cli.scoring.surface import raggedness
from tests.phantoms import draw_phantom

CONFIG = TrainConfig().merged({"image_size": 32, "generator": {"filters": 2}})


@pytest.fixture
def saved(tmp_path):
    generator = build_generator(CONFIG.generator, (CONFIG.image_size, CONFIG.image_size))
    save_weights(generator, tmp_path / "w.weights.h5", {"config": CONFIG.as_dict()}, half=True)
    return generator, tmp_path / "w.weights.h5"


def test_half_precision_weights_load_the_same_except_for_rounding(saved):
    generator, path = saved
    for one, two in zip(generator.get_weights(), load_model(path).generator.get_weights(), strict=True):
        assert np.allclose(one, two, rtol=1e-3, atol=1e-6)
    kinds = set()
    with h5py.File(path) as file:
        file.visititems(lambda _, node: kinds.add(str(node.dtype)) if isinstance(node, h5py.Dataset) else None)
    assert "float16" in kinds
    assert "float32" not in kinds


def test_damaged_weights_and_manifests_are_refused(saved):
    _, path = saved
    content = path.read_bytes()
    path.write_bytes(content[:-1] + b"?")
    manifest = path.with_name("w.json")
    record = json.loads(manifest.read_text())
    with pytest.raises(UsageError, match=f"SHA-256 is {file_sha256(path)}, but w.json says {record['sha256']}"):
        load_model(path)
    path.write_bytes(content)
    record["config"]["generator"]["filters"] = 3
    manifest.write_text(json.dumps(record))
    with pytest.raises(UsageError, match="do not fit its manifest"):
        load_model(path)
    manifest.write_text("{}")
    with pytest.raises(UsageError, match="lacks config, sha256"):
        load_model(path)
    manifest.unlink()
    with pytest.raises(UsageError, match="is not a readable weights manifest"):
        load_model(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 2}, "has format 2 for Keras 3.*, but this lungmask reads format 1 for Keras 3"),
        ({"keras": "4.0.0 on tensorflow"}, "for Keras 4.0.0, but this lungmask reads format 1 for Keras 3"),
        ({"config": {"generator": {"name": "transformer"}}}, "do not fit its manifest: .*transformer"),
        ({"config": {"attention_heads": 8}}, "do not fit its manifest: .*attention_heads"),
    ],
)
def test_weights_of_other_versions_are_refused(saved, changes, message):
    manifest = saved[1].with_name("w.json")
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), **changes}))
    with pytest.raises(UsageError, match=message):
        load_model(saved[1])


def test_unknown_weights_suggest_the_nearest_name():
    with pytest.raises(UsageError) as caught:
        find_weights("jsr")
    assert "Did you mean jsrt?" in caught.value.hint


def test_shipped_weights_are_small_and_have_a_complete_manifest():
    files = sorted(shipped_folder().glob("*.weights.h5"))
    assert "jsrt.weights.h5" in [path.name for path in files]
    for path in files:
        manifest = json.loads(Path(str(path).replace(".weights.h5", ".json")).read_text())
        assert set(manifest) >= {"config", "sha256", "data", "seed", "scores", "licence"}
        assert path.stat().st_size < 40_000_000
        load_model(path)


def test_masks_have_the_size_of_the_image(saved):
    network = load_network(saved[1])
    prediction = predict([network], draw_phantom(50, 71).image)
    assert prediction.enlarge().shape == (50, 71)
    assert as_mask(prediction).dtype == bool


def test_repeated_predictions_are_the_same_at_any_size(saved):
    network = load_network(saved[1])
    for size in (64, 96):
        image = draw_phantom(size, size).image[None]
        first, *others = [network.predict(image) for _ in range(8)]
        assert first.shape == (1, size, size, 1)
        assert all(np.array_equal(first, other) for other in others)


class Tracing:
    """Replaces a generator: predicts bright pixels, and keeps its inputs."""

    def __init__(self):
        self.inputs = []

    def predict(self, images):
        self.inputs.extend(images)
        return images[..., None]

    def mask(self, image):
        network = Network(self.predict, 96, 64, "none", zoom=True, detail=192, flips=False, manifest={})
        return as_mask(predict([network], image))


def two_lungs(width):
    """Two lungs with this total width, in the upper right part of a dark radiograph."""
    image = np.full((300, 400), 0.1, np.float32) + np.linspace(0, 0.1, 300, dtype=np.float32)[:, None]
    image += np.linspace(0, 0.1, 400, dtype=np.float32)
    image[30:80, 300 : 300 + width // 3] = image[30:80, 300 + width - width // 3 : 300 + width] = 1
    return image


def test_the_refinement_pass_sees_the_lungs_alone_and_predicts_them_in_place():
    image = two_lungs(60)
    generator = Tracing()
    mask = generator.mask(image)
    whole, lungs = generator.inputs
    assert (whole.shape, lungs.shape) == ((64, 64), (96, 96))
    assert np.ptp(np.flatnonzero((whole > 0.5).any(0))) < 12
    assert 75 < np.ptp(np.flatnonzero((lungs > 0.5).any(0))) < 90  # of 96, except for the margin
    truth = image > 0.5
    boundary = ndimage.maximum_filter(truth, 5) != ndimage.minimum_filter(truth, 5)  # 128 pixels are for 400
    assert not ((mask != truth) & ~boundary).any()


def test_teeth_of_the_refinement_pass_are_smoothed_away():
    def draw_teeth(images):
        teeth = images > 0.5
        teeth[..., ::2, 2:] |= teeth[..., ::2, :-2]  # every second row is two pixels longer
        return teeth.astype(np.float32)[..., None]

    config = {"contrast": "none", "detail": 192, "flips": False, "manifest": {}}
    ragged, smooth = (
        raggedness(as_mask(predict([Network(draw_teeth, 96, 64, zoom=zoom, **config)], two_lungs(95))))
        for zoom in (False, True)
    )
    assert ragged > 0.05
    assert smooth < 0.02


def test_the_localization_pass_sees_the_image_without_the_page():
    page = np.ones((400, 400), np.float32)
    page[100:300, 200:400] = two_lungs(60)[:200, 200:]
    generator = Tracing()
    generator.mask(page)
    assert (generator.inputs[0] < 0.5).mean() > 0.8


def test_the_refinement_pass_never_crops_off_a_missed_lung():
    image = two_lungs(60)
    image[:, 330:] = 0
    generator = Tracing()
    mask = generator.mask(image)
    localization, refinement = generator.inputs
    assert np.abs(refinement - resize(localization, 96, 96)).mean() < 0.01
    assert mask[50, 310]
    assert not generator.mask(image * 0).any()


def test_of_three_components_the_air_beside_the_arm_is_not_a_lung():
    mask = np.zeros((40, 60), bool)
    mask[10:30, 18:27] = mask[10:30, 33:42] = True
    lungs = mask.copy()
    mask[10:32, 2:12] = True  # larger than either
    assert np.array_equal(clean(mask), lungs)
    assert np.array_equal(clean(mask, most=None), mask)


def test_clean_fills_holes_and_drops_specks():
    mask = np.zeros((40, 40), bool)
    mask[5:25, 5:15] = mask[5:25, 22:32] = True
    lungs = mask.copy()
    mask[10:12, 8:10] = False
    mask[35, 35] = True
    assert np.array_equal(clean(mask), lungs)


def test_clean_keeps_a_single_lung():
    mask = np.zeros((40, 40), bool)
    mask[5:25, 5:15] = True
    lungs = mask.copy()
    mask[35, 35] = True
    assert np.array_equal(clean(mask), lungs)


@given(arrays(bool, (12, 12)))
@settings(deadline=None)
def test_clean_is_idempotent_and_leaves_no_hole_and_at_most_two_components(mask):
    cleaned = clean(mask)
    assert np.array_equal(ndimage.binary_fill_holes(cleaned), cleaned)
    assert ndimage.label(cleaned, structure=np.ones((3, 3)))[1] <= 2
    assert np.array_equal(clean(cleaned), cleaned)
    assert cleaned.any() == mask.any()


@given(st.lists(st.sampled_from(["a.png", "a.dcm", "b/a.png", "b/a.jpg", "a", "a.dcm.png"]), unique=True))
def test_no_two_radiographs_share_a_mask(names):
    jobs = plan_jobs([(Path("in", name), Path(name)) for name in names], Path("out"))
    masks = [job.mask for job in jobs]
    assert len(set(masks)) == len(names)
    assert all(mask.suffix == ".png" for mask in masks)
    assert all(mask.parent == Path(name).parent for mask, name in zip(masks, names, strict=True))


def test_a_mask_never_overwrites_a_radiograph(tmp_path):
    shutil.copy(__file__, tmp_path / "a.png")
    with pytest.raises(UsageError, match="overwrite"):
        plan_jobs([(tmp_path / "a.png", Path("a.png"))], tmp_path)

import json
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import array_shapes, arrays
from matplotlib.path import Path as Outline
from PIL import Image, ImageDraw
from scipy import ndimage

from lungmask_cli.errors import UsageError
from lungmask_cli.formats.coco import make_coco, merge_coco
from tests.phantoms import draw_phantom

MASKS = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=14))
RECTANGLE = np.zeros((8, 10), bool)
RECTANGLE[2:5, 3:9] = True  # three rows of six pixels


def lung(document, category):
    (annotation,) = [one for one in document["annotations"] if one["category_id"] == category]
    return annotation


def corners(polygon):
    return [tuple(corner) for corner in np.reshape(polygon, (-1, 2)).tolist()]


def filled(polygons, shape):
    """The pixels whose centres lie within the polygons, as pycocotools fills them."""
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    centres = np.stack([x.ravel(), y.ravel()], 1)
    inside = [Outline(np.reshape(polygon, (-1, 2))).contains_points(centres) for polygon in polygons]
    return np.logical_or.reduce(inside).reshape(shape)


def test_a_rectangle_has_the_edges_of_its_pixels_as_polygon_and_box():
    document = make_coco("a.png", RECTANGLE, np.zeros_like(RECTANGLE))
    annotation = lung(document, 1)
    (polygon,) = annotation["segmentation"]
    assert sorted(corners(polygon)) == [(3, 2), (3, 5), (9, 2), (9, 5)]
    assert annotation["bbox"] == [3, 2, 6, 3]
    assert annotation["area"] == 18
    assert annotation["iscrowd"] == 0


def test_the_document_is_complete():
    phantom = draw_phantom(40, 60)
    document = json.loads(json.dumps(make_coco("sub/a.png", phantom.right, phantom.left)))
    assert document["images"] == [{"id": 1, "file_name": "sub/a.png", "width": 60, "height": 40}]
    assert document["categories"] == [
        {"id": 1, "name": "right lung", "supercategory": "lung"},
        {"id": 2, "name": "left lung", "supercategory": "lung"},
    ]
    assert [(one["id"], one["image_id"], one["category_id"]) for one in document["annotations"]] == [
        (1, 1, 1),
        (2, 1, 2),
    ]
    assert lung(document, 1)["area"] == np.count_nonzero(phantom.right)
    assert lung(document, 2)["area"] == np.count_nonzero(phantom.left)
    assert {"info", "licenses"} <= set(document)


@given(mask=MASKS)
@settings(deadline=None)
def test_filled_polygons_are_the_lung_without_its_holes(mask):
    document = make_coco("a.png", mask, np.zeros_like(mask))
    if not mask.any():
        assert document["annotations"] == []
        return
    annotation = lung(document, 1)
    whole = ndimage.binary_fill_holes(mask)
    assert np.array_equal(filled(annotation["segmentation"], mask.shape), whole)
    assert annotation["area"] == np.count_nonzero(whole)
    x, y, width, height = annotation["bbox"]
    rows, columns = np.nonzero(mask)
    assert (x, y, x + width, y + height) == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)


@pytest.mark.parametrize("size", [60, 300])
def test_polygons_of_lungs_are_exact_and_have_few_corners(size):
    phantom = draw_phantom(size, size)
    document = make_coco("a.png", phantom.right, phantom.left)
    for category, mask in ((1, phantom.right), (2, phantom.left)):
        (polygon,) = lung(document, category)["segmentation"]
        assert np.array_equal(filled([polygon], mask.shape), mask)
        boundary = 2 * (np.ptp(np.nonzero(mask), axis=1) + 1).sum()  # of an ellipse: as long as that of its box
        assert len(polygon) / 2 < boundary / 2


def test_polygons_filled_by_another_program_are_the_lung():
    phantom = draw_phantom(700, 700)
    (polygon,) = lung(make_coco("a.png", phantom.right, phantom.left), 1)["segmentation"]
    picture = Image.new("1", (700, 700))
    # Pillow has the centres of pixels at whole numbers, and draws the outline as well.
    ImageDraw.Draw(picture).polygon((np.array(polygon) - 0.5).tolist(), fill=1)
    redrawn = np.asarray(picture)
    assert 2 * np.count_nonzero(redrawn & phantom.right) / (redrawn.sum() + phantom.right.sum()) > 0.99


def test_polygons_stay_within_half_a_pixel_of_the_boundary():
    mask = draw_phantom(120, 120).right
    (polygon,) = make_coco("a.png", mask, ~mask)["annotations"][0]["segmentation"]
    ends = np.reshape(polygon, (-1, 2))
    along = np.concatenate([np.linspace(start, end, 40) for start, end in zip(ends, np.roll(ends, -1, 0), strict=True)])
    # The boundary: the sides between a pixel of lung and one of background, as points at steps of a tenth of a pixel.
    steps = np.linspace(0, 1, 11)
    rows, columns = np.nonzero(mask[:, 1:] != mask[:, :-1])
    upright = [np.stack([np.full(11, column + 1.0), row + steps], 1) for row, column in zip(rows, columns, strict=True)]
    rows, columns = np.nonzero(mask[1:] != mask[:-1])
    flat = [np.stack([column + steps, np.full(11, row + 1.0)], 1) for row, column in zip(rows, columns, strict=True)]
    boundary = np.concatenate(upright + flat)
    distances = np.hypot(*(along[:, None] - boundary[None]).transpose(2, 0, 1))
    assert distances.min(1).max() < 0.5
    assert distances.min(0).max() < 0.5


def test_a_lung_of_several_components_has_several_polygons_and_no_hole():
    mask = np.zeros((20, 30), bool)
    mask[2:10, 2:10] = mask[12:18, 20:28] = True
    mask[4:7, 4:7] = False
    mask[5, 5] = True  # an island in the hole
    annotation = lung(make_coco("a.png", np.zeros_like(mask), mask), 2)
    assert sorted(sorted(corners(polygon)) for polygon in annotation["segmentation"]) == [
        [(2, 2), (2, 10), (10, 2), (10, 10)],
        [(20, 12), (20, 18), (28, 12), (28, 18)],
    ]
    assert annotation["area"] == 64 + 48
    assert annotation["bbox"] == [2, 2, 26, 16]


def test_lungs_at_the_edges_of_the_image_are_closed():
    full = np.ones((4, 6), bool)
    (polygon,) = lung(make_coco("a.png", full, ~full), 1)["segmentation"]
    assert sorted(corners(polygon)) == [(0, 0), (0, 4), (6, 0), (6, 4)]


def test_an_image_without_lungs_has_no_annotations():
    empty = np.zeros((4, 6), bool)
    document = make_coco("a.png", empty, empty)
    assert document["annotations"] == []
    assert len(document["images"]) == 1


def write(folder, count, empty=()):
    folder.mkdir(exist_ok=True)
    for number in range(count):
        phantom = draw_phantom(32, 32 + number % 7, seed=number)
        right = phantom.right & (number not in empty)
        (folder / f"{number:03}.json").write_text(json.dumps(make_coco(f"{number}.png", right, phantom.left)))
    return sorted(folder.iterdir())


def test_merged_documents_get_new_numbers(tmp_path):
    paths = write(tmp_path / "parts", 4, empty=[1])
    merge_coco(iter(paths), tmp_path / "new" / "all.json")
    merged = json.loads((tmp_path / "new" / "all.json").read_text())
    assert [(image["id"], image["file_name"]) for image in merged["images"]] == [
        (1, "0.png"), (2, "1.png"), (3, "2.png"), (4, "3.png"),
    ]  # fmt: skip
    assert [one["id"] for one in merged["annotations"]] == [1, 2, 3, 4, 5, 6, 7]
    assert [one["image_id"] for one in merged["annotations"]] == [1, 1, 2, 3, 3, 4, 4]
    assert [one["category_id"] for one in merged["annotations"]] == [1, 2, 2, 1, 2, 1, 2]
    parts = [json.loads(path.read_text()) for path in paths]
    outlines = [one["segmentation"] for part in parts for one in part["annotations"]]
    assert [one["segmentation"] for one in merged["annotations"]] == outlines
    assert set(merged) == set(parts[0])
    assert merged["categories"] == parts[0]["categories"]
    assert list((tmp_path / "new").iterdir()) == [tmp_path / "new" / "all.json"]


def test_merged_documents_can_be_merged_again(tmp_path):
    paths = write(tmp_path / "parts", 5)
    merge_coco(paths[:2], tmp_path / "a.json")
    merge_coco(paths[2:], tmp_path / "b.json")
    merge_coco([tmp_path / "a.json", tmp_path / "b.json"], tmp_path / "twice.json")
    merge_coco(paths, tmp_path / "once.json")
    assert (tmp_path / "twice.json").read_text() == (tmp_path / "once.json").read_text()


def test_merging_no_documents_gives_an_empty_document(tmp_path):
    merge_coco([], tmp_path / "all.json")
    merged = json.loads((tmp_path / "all.json").read_text())
    assert merged["images"] == merged["annotations"] == []


def test_merging_many_documents_takes_no_more_memory_than_merging_few(tmp_path):
    phantom = draw_phantom(300, 300)
    path = tmp_path / "part.json"
    path.write_text(json.dumps(make_coco("a.png", phantom.right, phantom.left)))

    def peak(count):
        tracemalloc.start()
        merge_coco((path for _ in range(count)), tmp_path / "all.json")
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(2)
    few = peak(10)
    assert peak(300) < few + 250_000  # the buffers in which files are copied
    assert (tmp_path / "all.json").stat().st_size > 800_000


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "{}", '{"images": [], "annotations": []}', '"a"', "\xff",
        '{"images": [], "annotations": [], "categories": []}',
    ],
)  # fmt: skip
def test_an_invalid_document_is_named_and_the_old_file_stays(tmp_path, text):
    paths = write(tmp_path / "parts", 1)
    merge_coco(paths, tmp_path / "all.json")
    before = (tmp_path / "all.json").read_bytes()
    (tmp_path / "bad.json").write_text(text, encoding="latin-1")
    with pytest.raises(UsageError, match=r"bad\.json: is not a COCO document"):
        merge_coco([*paths, tmp_path / "bad.json"], tmp_path / "all.json")
    assert (tmp_path / "all.json").read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {"all.json", "bad.json", "parts"}


@pytest.mark.parametrize("damage", ["an annotation of no image", "two images of one number"])
def test_inconsistent_numbers_are_rejected(tmp_path, damage):
    (path,) = write(tmp_path / "parts", 1)
    document = json.loads(path.read_text())
    if damage.startswith("two"):
        document["images"] *= 2
    else:
        document["annotations"][0]["image_id"] = 7
    path.write_text(json.dumps(document))
    with pytest.raises(UsageError, match=r"000\.json"):
        merge_coco([path], tmp_path / "all.json")


@pytest.mark.parametrize(
    "name", ["a/b c.png", "Ünïcode 日本.png", 'quote".png', "back\\slash.png", "bytes-\udcff.png", ""]
)
def test_any_file_name_is_kept(tmp_path, name):
    (tmp_path / "a.json").write_text(json.dumps(make_coco(name, RECTANGLE, RECTANGLE)))
    merge_coco([tmp_path / "a.json"], tmp_path / "all.json")
    assert json.loads((tmp_path / "all.json").read_bytes())["images"][0]["file_name"] == name

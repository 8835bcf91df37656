"""Lungs, and the heart, as COCO polygons (https://cocodataset.org/#format-data).

COCO coordinates refer to the edges of pixels: the upper left corner of an image is (0, 0), and the pixel in row r and
column c is the square from (c, r) to (c + 1, r + 1), with its centre at (c + 0.5, r + 0.5). pycocotools (`rleFrPoly` of
`maskApi.c`) fills the pixels whose centres lie within a polygon. The polygons here contain the centres of exactly the
lung's pixels, so that filling them restores the lung to the pixel.

COCO polygons have no holes: the holes of a lung are filled. Each connected component of a lung has its own polygon.
"""

import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from lungmask_cli import __version__
from lungmask_cli.errors import UsageError
from lungmask_cli.files import atomic_write
from lungmask_cli.imaging.components import fill_holes
from lungmask_cli.imaging.morphology import bounding_box
from lungmask_cli.imaging.radiograph import DEFAULT_LABELS, HEART_LABEL, Mask

Corners = NDArray[np.int64]

_INFO = {"description": "Lung fields drawn by lungmask", "version": __version__}
_CATEGORIES = [
    *(
        {"id": label, "name": name, "supercategory": "lung"}
        for label, name in zip(DEFAULT_LABELS, ("right lung", "left lung"), strict=True)
    ),
    {"id": HEART_LABEL, "name": "heart", "supercategory": "heart"},
]
# Pixels between a polygon and the lung's boundary: less than the 0.5 to the nearest centre, because programs round.
_TOLERANCE = 0.45


def make_coco(file_name: str, right: Mask, left: Mask, heart: Mask | None = None) -> dict[str, Any]:
    """The COCO document of one image and its lungs and heart, ready for JSON.

    Args:
        file_name: the name of the image in the document.
        right: the patient's right lung, (H, W) bool; category 1.
        left: the patient's left lung; category 2. A lung without pixels has no annotation.
        heart: category 3; without it, there is no such category.

    Returns:
        The document. `bbox` is x, y, width and height of a structure; `area` is its number of pixels, holes filled.
    """
    height, width = right.shape
    annotations: list[dict[str, Any]] = []
    masks = (right, left) if heart is None else (right, left, heart)
    categories = _CATEGORIES[: len(masks)]
    for category, mask in zip(categories, masks, strict=True):
        if mask.any():
            numbers = {"id": len(annotations) + 1, "image_id": 1, "category_id": category["id"]}
            annotations.append({**numbers, **_outline(mask), "iscrowd": 0})
    return {
        "info": _INFO,
        "licenses": [],
        "images": [{"id": 1, "file_name": file_name, "width": width, "height": height}],
        "annotations": annotations,
        "categories": categories,
    }


def merge_coco(documents: Iterable[Path], output: Path) -> None:
    """Merge documents of `make_coco`, or of this function, into one, with new numbers.

    Only one document at a time is held in memory.

    Raises:
        UsageError: a file is not a COCO document, or has other categories.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryFile("w+", encoding="ascii", dir=output.parent) as annotations,
        atomic_write(output) as partial,
        partial.open("w", encoding="ascii") as file,
    ):
        file.write(f'{{"info": {json.dumps(_INFO)}, "licenses": [], "images": [')
        images = count = 0
        categories = _CATEGORIES[:2]
        for path in documents:
            document = _read_document(path)
            categories = max(categories, document["categories"], key=len)
            numbers = {image["id"]: images + number for number, image in enumerate(document["images"], 1)}
            _write_items(file, ({**image, "id": numbers[image["id"]]} for image in document["images"]), images)
            renumbered = (
                {**one, "id": count + number, "image_id": numbers[one["image_id"]]}
                for number, one in enumerate(document["annotations"], 1)
            )
            _write_items(annotations, renumbered, count)
            images, count = images + len(numbers), count + len(document["annotations"])
        file.write('\n], "annotations": [')
        annotations.seek(0)
        shutil.copyfileobj(annotations, file)
        file.write(f'\n], "categories": {json.dumps(categories)}}}\n')


def _write_items(file: IO[str], items: Iterable[Mapping[str, Any]], written: int) -> None:
    """Write items of a JSON array, after those `written` before."""
    for index, item in enumerate(items, written):
        file.write(("," if index else "") + "\n" + json.dumps(item))


def _read_document(path: Path) -> dict[str, Any]:
    try:
        document: dict[str, Any] = json.loads(path.read_bytes())
        images, annotations = {image["id"] for image in document["images"]}, document["annotations"]
        numbered = len(images) == len(document["images"]) and all(one["image_id"] in images for one in annotations)
        valid = numbered and document["categories"] in (_CATEGORIES[:2], _CATEGORIES)
    except (ValueError, TypeError, KeyError):
        valid = False
    if not valid:
        raise UsageError(f"{path}: is not a COCO document of right and left lungs", "Write the contours again.")
    return document


def _outline(mask: Mask) -> dict[str, Any]:
    """Polygons, bounding box and area of a structure that has pixels."""
    rows, columns = bounding_box(mask)
    filled = fill_holes(mask[rows, columns])
    offset = np.array([columns.start, rows.start])
    polygons = [_simplify(corners) + offset for corners in _trace_boundaries(np.pad(filled, 1))]
    return {
        "segmentation": [polygon.ravel().tolist() for polygon in polygons],
        "bbox": [columns.start, rows.start, filled.shape[1], filled.shape[0]],
        "area": int(np.count_nonzero(filled)),
    }


def _trace_boundaries(padded: Mask) -> Iterator[Corners]:
    """The boundary corners (N, 2), x and y without the padding, of each 4-connected component of a hole-free mask."""
    import contourpy

    contours = contourpy.contour_generator(z=padded.astype(np.float64), line_type=contourpy.LineType.Separate)
    lines: Any = contours.lines(0.5)  # of a type that depends on line_type
    for line in lines:
        # The line connects the midpoints of pixel sides. Two consecutive sides share a corner: the centre of the 2 x 2
        # pixels around both midpoints.
        yield np.floor((line[:-1] + line[1:]) / 2).astype(np.int64)


def _simplify(corners: Corners) -> Corners:
    """Some of the corners (N, 2) of a closed boundary; all others are within `_TOLERANCE` of the lines between them.

    The algorithm is that of Ramer, Douglas and Peucker (10.3138/FM57-6770-U75U-7727), from two corners far apart.
    """
    start = int(np.lexsort(corners.T)[0])
    ring = np.roll(corners, -start, axis=0)
    ring = np.concatenate([ring, ring[:1]])
    kept = np.zeros(len(ring), np.bool_)
    opposite = int(np.hypot(*(ring - ring[0]).T).argmax())
    kept[[0, opposite]] = True
    stretches = [(0, opposite), (opposite, len(ring) - 1)]
    while stretches:
        first, last = stretches.pop()
        if last - first < 2:
            continue
        distances = _distances_to_line(ring[first + 1 : last], ring[first], ring[last])
        farthest = int(distances.argmax())
        if distances[farthest] > _TOLERANCE:
            middle = first + 1 + farthest
            kept[middle] = True
            stretches += [(first, middle), (middle, last)]
    return ring[:-1][kept[:-1]]


def _distances_to_line(points: Corners, start: Corners, end: Corners) -> NDArray[np.float64]:
    """The distance of points (N, 2) from the straight line from `start` to `end`."""
    direction = end - start
    along = np.clip((points - start) @ direction / max(int(direction @ direction), 1), 0, 1)
    distances: NDArray[np.float64] = np.hypot(*(points - start - along[:, None] * direction).T)
    return distances

"""Lungs as COCO polygons (https://cocodataset.org/#format-data).

COCO's coordinates are those of the pixels' edges: the upper left corner of an image is (0, 0), and the pixel in row r
and column c is the square from (c, r) to (c + 1, r + 1), with its centre at (c + 0.5, r + 0.5). pycocotools
(`rleFrPoly` of `maskApi.c`) fills polygons and boxes so, by the centres within them. A polygon here lies so near to its
lung's boundary that it holds the centres of the lung's pixels and no others: filled again, it is the lung to the pixel.

COCO's polygons have no holes. Those of a lung are filled; a lung of several parts has as many polygons.
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
from lungmask_cli.imaging.radiograph import RIGHT_LEFT, Mask

Corners = NDArray[np.int64]

_INFO = {"description": "Lung fields drawn by lungmask", "version": __version__}
_CATEGORIES = [
    {"id": label, "name": name, "supercategory": "lung"}
    for label, name in zip(RIGHT_LEFT, ("right lung", "left lung"), strict=True)
]
# Pixels between a polygon and the boundary. Centres of pixels are half a pixel from it, and programs round.
_TOLERANCE = 0.45


def coco_image(file_name: str, right: Mask, left: Mask) -> dict[str, Any]:
    """A COCO document of one image and its lungs.

    Args:
        file_name: what the image is called in it.
        right: the patient's right lung, (H, W) bool; category 1.
        left: the patient's left lung; category 2. A lung without pixels has no annotation.

    Returns:
        What JSON can hold. `bbox` is x, y, width and height of a lung, `area` its pixels with those of its holes.
    """
    height, width = right.shape
    annotations: list[dict[str, Any]] = []
    for category, lung in zip(_CATEGORIES, (right, left), strict=True):
        if lung.any():
            numbers = {"id": len(annotations) + 1, "image_id": 1, "category_id": category["id"]}
            annotations.append({**numbers, **_outlined(lung), "iscrowd": 0})
    return {
        "info": _INFO,
        "licenses": [],
        "images": [{"id": 1, "file_name": file_name, "width": width, "height": height}],
        "annotations": annotations,
        "categories": _CATEGORIES,
    }


def join_coco(documents: Iterable[Path], output: Path) -> None:
    """Write the images of many documents of `coco_image`, or of this function, into one, numbered anew.

    Only one document at a time is held in memory.

    Raises:
        UsageError: one of the documents is none, or has other categories.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryFile("w+", encoding="ascii", dir=output.parent) as annotations,
        atomic_write(output) as partial,
        partial.open("w", encoding="ascii") as file,
    ):
        file.write(f'{{"info": {json.dumps(_INFO)}, "licenses": [], "images": [')
        images = count = 0
        for path in documents:
            document = _read(path)
            numbers = {image["id"]: images + place for place, image in enumerate(document["images"], 1)}
            _append(file, ({**image, "id": numbers[image["id"]]} for image in document["images"]), images)
            renumbered = (
                {**one, "id": count + place, "image_id": numbers[one["image_id"]]}
                for place, one in enumerate(document["annotations"], 1)
            )
            _append(annotations, renumbered, count)
            images, count = images + len(numbers), count + len(document["annotations"])
        file.write('\n], "annotations": [')
        annotations.seek(0)
        shutil.copyfileobj(annotations, file)
        file.write(f'\n], "categories": {json.dumps(_CATEGORIES)}}}\n')


def _append(file: IO[str], items: Iterable[Mapping[str, Any]], before: int) -> None:
    """Write items of a JSON array, of which so many were written before."""
    for place, item in enumerate(items, before):
        file.write(("," if place else "") + "\n" + json.dumps(item))


def _read(path: Path) -> dict[str, Any]:
    try:
        document: dict[str, Any] = json.loads(path.read_bytes())
        images, others = {image["id"] for image in document["images"]}, document["annotations"]
        whole = len(images) == len(document["images"]) and all(one["image_id"] in images for one in others)
        known = document["categories"] == _CATEGORIES
    except (ValueError, TypeError, KeyError):
        whole = known = False
    if not whole or not known:
        raise UsageError(f"{path}: is no COCO document of right and left lungs", "Write the contours again.")
    return document


def _outlined(lung: Mask) -> dict[str, Any]:
    """Polygons, bounding box and area of a lung that has pixels."""
    rows, columns = (np.flatnonzero(lung.any(axis)) for axis in (1, 0))
    top, left = int(rows[0]), int(columns[0])
    height, width = int(rows[-1]) + 1 - top, int(columns[-1]) + 1 - left
    filled = fill_holes(lung[top : top + height, left : left + width])
    polygons = [_simplified(corners) + np.array([left, top]) for corners in _boundaries(np.pad(filled, 1))]
    return {
        "segmentation": [polygon.ravel().tolist() for polygon in polygons],
        "bbox": [left, top, width, height],
        "area": int(np.count_nonzero(filled)),
    }


def _boundaries(framed: Mask) -> Iterator[Corners]:
    """The boundary of each 4-connected part of a mask without holes in a frame: all corners on it, (N, 2) x and y."""
    import contourpy

    contours = contourpy.contour_generator(z=framed.astype(np.float64), line_type=contourpy.LineType.Separate)
    lines: Any = contours.lines(0.5)  # of a type that depends on line_type
    for line in lines:
        # The line runs from the middle of one pixel's side to that of the next, and cuts corners; the corner that two
        # sides share is in the middle of the four pixels in between.
        yield np.floor((line[:-1] + line[1:]) / 2).astype(np.int64)


def _simplified(corners: Corners) -> Corners:
    """Some of the corners (N, 2) of a closed boundary; the others are at most `_TOLERANCE` from the lines between them.

    This is the algorithm of Ramer, Douglas and Peucker (10.3138/FM57-6770-U75U-7727), begun at two corners far apart.
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
        distances = _distances(ring[first + 1 : last], ring[first], ring[last])
        farthest = int(distances.argmax())
        if distances[farthest] > _TOLERANCE:
            middle = first + 1 + farthest
            kept[middle] = True
            stretches += [(first, middle), (middle, last)]
    return ring[:-1][kept[:-1]]


def _distances(points: Corners, start: Corners, end: Corners) -> NDArray[np.float64]:
    """Distance of points (N, 2) from the straight line between two others."""
    way = end - start
    along = np.clip((points - start) @ way / max(int(way @ way), 1), 0, 1)
    distances: NDArray[np.float64] = np.hypot(*(points - start - along[:, None] * way).T)
    return distances

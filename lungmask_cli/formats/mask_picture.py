"""The numbers of a mask in a picture: its grey values, the indices of its palette, its colour or its opacity."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lungmask_cli.errors import ImageError
from lungmask_cli.formats.raster import GREY_MODES, has_deep_colours, open_image, to_grey, turn_upright

_LOSSY_FORMATS = ("JPEG", "MPO", "JPEG2000")
_LOSSLESS_WEBP = b"VP8L"  # the name of its first chunk
_CHROMA_NOISE = 16  # of grey pixels in lossy colours
_ROUNDING = 2  # of pixels at the smoothed edge of a coloured area
_MANY_COLOURS, _SHOWN_COLOURS = 16, 4


@dataclass(frozen=True)
class MaskPicture:
    """The numbers of a mask in a picture.

    Args:
        values: (H, W) integers of 8, 16 or 32 bits, or float32.
        lossy: the kind of file does not keep numbers exactly.
        turned: the pixels were turned as the file's EXIF orientation says.
    """

    values: NDArray[Any]
    lossy: bool
    turned: bool


def read_mask_picture(path: Path, max_pixels: int, in_colour: bool = False) -> MaskPicture:
    """The numbers in a picture: grey values; the indices of a palette of colours with black first; one colour on black.

    Where the opacity differs between pixels and all visible ones have the same colour, the numbers are the opacity.

    Args:
        path: the picture.
        max_pixels: larger pictures are rejected.
        in_colour: the numbers are the colours instead, as 0xRRGGBB.

    Raises:
        ImageError: the file is not a readable picture; or several colours, or colours and opacity, could be the mask.
    """
    with open_image(path, max_pixels) as image:
        lossy = has_deep_colours(image) or image.format in _LOSSY_FORMATS or _is_lossy_webp(image, path)
        turned = turn_upright(image)
        values = _encode_colours(_to_visible_colours(image)) if in_colour else _find_values(image, path, lossy)
        return MaskPicture(values, lossy, turned)


def _is_lossy_webp(image: Image.Image, path: Path) -> bool:
    if image.format != "WEBP":
        return False
    with path.open("rb") as file:
        return file.read(16)[12:] != _LOSSLESS_WEBP


def _find_values(image: Image.Image, path: Path, lossy: bool) -> NDArray[Any]:
    if image.mode == "P" and _is_label_palette(image):
        return np.asarray(image)
    if image.has_transparency_data and image.mode != "I;16":
        opacity = np.asarray(image.convert("RGBA").getchannel("A"))
        if opacity.min() < opacity.max():
            return _require_one_colour(_to_visible_colours(image), opacity, path)
    if image.mode in GREY_MODES:
        return to_grey(image)
    return _to_intensity(_to_colours(image), path, lossy)


def _to_colours(image: Image.Image) -> NDArray[np.uint8]:
    """The colours (H, W, 3), RGB."""
    return np.asarray(image.convert("RGBA" if image.has_transparency_data else "RGB"))[..., :3]


def _to_visible_colours(image: Image.Image) -> NDArray[np.uint8]:
    """The colours (H, W, 3), RGB, black where the image is transparent."""
    if not image.has_transparency_data:
        return _to_colours(image)
    rgba = np.asarray(image.convert("RGBA"))
    return np.where(rgba[..., 3:] > 0, rgba[..., :3], np.uint8(0))


def _encode_colours(colours: NDArray[np.uint8]) -> NDArray[np.int32]:
    """The colours (H, W, 3) as numbers 0xRRGGBB."""
    red, green, blue = np.moveaxis(colours.astype(np.int32), -1, 0)
    return red << 16 | green << 8 | blue


def _is_label_palette(image: Image.Image) -> bool:
    """Whether the palette has colours, not only greys, and begins with black: its indices are then labels."""
    palette = np.array(image.getpalette("RGB") or [], np.uint8).reshape(-1, 3)
    used = palette[np.flatnonzero(image.histogram()[: len(palette)])]
    return bool((used != used[:, :1]).any()) and not palette[0].any()


def _require_one_colour(colours: NDArray[np.uint8], opacity: NDArray[np.uint8], path: Path) -> NDArray[np.uint8]:
    """The opacity, if it alone holds the mask: all visible pixels have the same colour.

    Args:
        colours: (H, W, 3), black where the image is transparent.
        opacity: (H, W).
        path: the file, for the error.
    """
    visible = colours[opacity > 0]
    if (visible == visible[0]).all():
        return opacity
    if len(np.unique(visible[visible.any(1)], axis=0)) > 1:
        raise _several_colours(colours, path)
    raise ImageError(
        f"{path}: its colours and its transparency differ between pixels, and each may be the mask",
        "Save the mask in grey, without transparency.",
    )


def _to_intensity(colours: NDArray[np.uint8], path: Path, lossy: bool) -> NDArray[np.uint8]:
    """The intensity (H, W) of greys, or of one colour on black; smoothed edges are shades of that colour."""
    red, green, blue = np.moveaxis(colours, 2, 0)
    intensity = np.maximum(np.maximum(red, green), blue)  # many times faster than the maximum along the last axis
    if int((intensity - np.minimum(np.minimum(red, green), blue)).max()) <= (_CHROMA_NOISE if lossy else 0):
        return intensity
    purest = colours[np.unravel_index(intensity.argmax(), intensity.shape)].astype(np.float32)
    shades = intensity[..., None] * (purest / purest.max())
    if lossy or np.abs(colours - shades).max() > _ROUNDING:
        raise _several_colours(colours, path)
    return intensity


def _several_colours(colours: NDArray[np.uint8], path: Path) -> ImageError:
    codes, counts = np.unique(_encode_colours(colours), return_counts=True)
    if len(codes) > _MANY_COLOURS:
        return ImageError(f"{path}: is a picture of many colours, not a mask", "Save the mask in grey, as PNG.")
    frequent = codes[np.argsort(-counts, kind="stable")]
    names = [f"#{code:06x}" for code in frequent[frequent > 0][:_SHOWN_COLOURS]]
    return ImageError(
        f"{path}: has the colours {', '.join(names)}, and it is unclear which of them are lungs",
        'Give the colours of the right and of the left lung, such as --labels "#00ff00,#0000ff".',
    )

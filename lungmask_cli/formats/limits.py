"""The limit on image size, checked before memory is allocated."""

from lungmask_cli.errors import ImageError


def check_size(path: object, width: int, height: int, max_pixels: int) -> None:
    """Reject an image without pixels or with too many.

    Raises:
        ImageError: the image has no pixels, or more than `max_pixels`.
    """
    if width < 1 or height < 1:
        raise ImageError(f"{path}: its header gives {width} x {height} pixels", "Export the file again.")
    if width * height > max_pixels:
        raise ImageError(
            f"{path}: {width} x {height} pixels are more than --max-pixels allows ({max_pixels})",
            "Reduce the image, or raise --max-pixels if it is a radiograph and there is enough memory.",
        )

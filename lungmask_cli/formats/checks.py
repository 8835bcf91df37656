"""What all readers have in common: errors of the file system, and the limit on image size."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lungmask_cli.errors import ImageError


@contextmanager
def file_errors(path: Path) -> Iterator[None]:
    """Turn errors of the file system in the block into an `ImageError` that names the file."""
    try:
        yield
    except OSError as error:
        raise ImageError(
            f"{path}: cannot be read: {error.strerror or error}", "Check the file and its permissions."
        ) from error


def check_size(path: Path, width: int, height: int, max_pixels: int) -> None:
    """Reject an image without pixels or with too many, before memory is allocated.

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

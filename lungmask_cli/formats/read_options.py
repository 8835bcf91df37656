"""What readers of files accept."""

from dataclasses import dataclass

from lungmask_cli.config import MAX_PIXELS
from lungmask_cli.errors import ImageError


@dataclass(frozen=True)
class ReadOptions:
    """What readers accept.

    Args:
        max_pixels: larger images are refused before memory is taken for them.
        resolution_tag: take the pixel spacing of PNG, JPEG, TIFF and BMP from their resolution (dots per inch), which
            most programs fill with an arbitrary number.
    """

    max_pixels: int = MAX_PIXELS
    resolution_tag: bool = False

    def check_size(self, path: object, width: int, height: int) -> None:
        """Refuse what is too large, or has no pixels at all.

        Raises:
            ImageError: the image has no pixels, or more than `max_pixels`.
        """
        if width < 1 or height < 1:
            raise ImageError(f"{path}: its header gives {width} x {height} pixels", "Export the file again.")
        if width * height > self.max_pixels:
            raise ImageError(
                f"{path}: {width} x {height} pixels are more than --max-pixels allows ({self.max_pixels})",
                "Make it smaller, or raise --max-pixels if it is a real radiograph and memory allows.",
            )


DEFAULTS = ReadOptions()

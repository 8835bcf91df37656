"""Lung field segmentation in frontal chest radiographs: train, segment, score."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lungmask_cli.inference.segmenter import Segmentation, Segmenter

__version__ = "0.1.0"
__all__ = ["Segmentation", "Segmenter", "__version__"]


def __getattr__(name: str) -> Any:
    """Import the public names on first use, so that the command line starts quickly."""
    if name in __all__:
        from lungmask_cli.inference import segmenter

        return getattr(segmenter, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

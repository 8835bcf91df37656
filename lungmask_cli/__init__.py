"""Lung fields out of frontal chest radiographs with an adversarially trained U-Net."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lungmask_cli.inference.segmenter import Segmentation, Segmenter

__version__ = "0.1.0"
__all__ = ["Segmentation", "Segmenter", "__version__"]


def __getattr__(name: str) -> Any:
    """What scripts import from here is loaded when it is asked for, so that the command line starts at once."""
    if name in __all__:
        from lungmask_cli.inference import segmenter

        return getattr(segmenter, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

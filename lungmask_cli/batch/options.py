"""All that decides what a batch makes of a radiograph."""

from dataclasses import dataclass, field

from lungmask_cli.batch.jobs import Job
from lungmask_cli.batch.outputs import Outputs
from lungmask_cli.config import MAX_PIXELS
from lungmask_cli.inference.segmenter import Segmenter
from lungmask_cli.models.load import KERAS
from lungmask_cli.models.manifest import DEFAULT_WEIGHTS
from lungmask_cli.scoring.pairing import MaskFiles


@dataclass(frozen=True)
class SegmentOptions:
    """All that decides what a batch makes of a radiograph; other processes and machines can be sent it.

    Args:
        outputs: which files are written, and where.
        weights: as `--weights` takes them; of several, the mean counts.
        device: what computes the networks.
        runtime: how.
        augment: look more often.
        cleanup: fill holes and keep the two largest parts.
        correct_polarity: make dark bones bright.
        max_pixels: larger images are refused.
        truth: hand-made masks to compare with.
        hash_names: call each mask by the first 16 digits of the SHA-256 of its radiograph's file, and name no file.
        strict: a doubtful mask is a failure, and is not written.
    """

    outputs: Outputs
    weights: tuple[str, ...] = (DEFAULT_WEIGHTS,)
    device: str = "auto"
    runtime: str = KERAS
    augment: bool = False
    cleanup: bool = True
    correct_polarity: bool = True
    max_pixels: int = MAX_PIXELS
    truth: MaskFiles | None = field(default=None, repr=False)
    hash_names: bool = False
    strict: bool = False

    def shown(self, job: Job) -> str:
        """What a radiograph is called whose content is not known."""
        return f"file {job.number}" if self.hash_names else str(job.source)

    def segmenter(self, threads: int) -> Segmenter:
        """The one that these settings ask for, for so many threads, each of which has one core for its networks.

        How many there are makes no difference to what they draw; with more cores, sums would be added up otherwise.
        """
        return Segmenter(
            self.weights,
            device=self.device,
            runtime=self.runtime,
            cleanup=self.cleanup,
            correct_polarity=self.correct_polarity,
            augment=self.augment,
            max_pixels=self.max_pixels,
            threads=threads,
        )

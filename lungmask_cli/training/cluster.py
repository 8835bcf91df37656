"""Processes, on one machine or on many, that train one model together, as the environment describes them."""

import json
import os
from dataclasses import dataclass

from lungmask_cli.errors import UsageError

VARIABLE = "TF_CONFIG"


@dataclass(frozen=True)
class Cluster:
    """The processes that train together, and which of them this is; the first, the chief, writes the run."""

    process: int = 0
    processes: int = 1

    @property
    def is_chief(self) -> bool:
        """Whether this process writes the run."""
        return self.process == 0


def read_cluster() -> Cluster:
    """The cluster that `TF_CONFIG` describes; this process alone without it.

    Raises:
        UsageError: it is not what TensorFlow expects.
    """
    text = os.environ.get(VARIABLE)
    if not text:
        return Cluster()
    try:
        facts = json.loads(text)
        chiefs, workers = (list(facts["cluster"].get(kind, [])) for kind in ("chief", "worker"))
        task = facts["task"]
        process = int(task["index"]) + (len(chiefs) if task["type"] == "worker" else 0)
        known = task["type"] in ("chief", "worker") and 0 <= process < len(chiefs + workers)
    except (ValueError, TypeError, KeyError, AttributeError):
        known = False
    if not known:
        raise UsageError(
            f"{VARIABLE} does not describe a cluster: {text}",
            '{"cluster": {"worker": ["HOST:PORT", ...]}, "task": {"type": "worker", "index": 0}} is expected.',
        )
    return Cluster(process, len(chiefs + workers))

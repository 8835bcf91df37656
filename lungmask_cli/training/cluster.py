"""The processes that train one model together, on one or several machines, as `TF_CONFIG` describes them."""

import json
import os
from dataclasses import dataclass

from lungmask_cli.errors import UsageError

VARIABLE = "TF_CONFIG"


@dataclass(frozen=True)
class Cluster:
    """The index of this process among those that train together. The first one, the chief, writes the run folder."""

    process: int = 0
    processes: int = 1

    @property
    def is_chief(self) -> bool:
        """Whether this process writes the run folder."""
        return self.process == 0


def read_cluster() -> Cluster:
    """The cluster that `TF_CONFIG` describes; a single process if it is not set.

    Raises:
        UsageError: the variable does not have the form that TensorFlow expects.
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
            'Expected: {"cluster": {"worker": ["HOST:PORT", ...]}, "task": {"type": "worker", "index": 0}}',
        )
    return Cluster(process, len(chiefs + workers))

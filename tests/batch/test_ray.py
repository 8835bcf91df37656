"""A Ray cluster of two nodes on this machine, one of which is killed: the same files as those of threads."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from lungmask_cli.batch.engines import make_engine
from lungmask_cli.batch.jobs import plan
from lungmask_cli.batch.options import SegmentOptions
from lungmask_cli.batch.outputs import Outputs
from lungmask_cli.batch.ray_engine import _Crew
from lungmask_cli.batch.rows import WRITTEN, Row
from lungmask_cli.formats.find import find_images
from tests.phantoms import draw_phantom, save_grey

COUNT = 24


def segmented(folder, out, engine, address=None, after=None):
    """The masks and rows of a batch; `after` is called after the first rows."""
    settings = SegmentOptions(Outputs(out), ("tiny",), "cpu")
    rows = []
    for row in make_engine(engine, settings, None, address).run(plan(find_images([folder]), out)):
        rows.append(row)
        if len(rows) == 3 and after:
            after()
    masks = {path.name: path.read_bytes() for path in out.glob("*.png")}
    return masks, [(row.file, row.status, row.lung_area_px, row.quality_score) for row in rows]


def test_a_lost_node_loses_nothing(tmp_path):
    cluster_utils = pytest.importorskip("ray.cluster_utils", reason="needs the extra [ray]")

    for seed in range(COUNT):
        save_grey(tmp_path / "in" / f"{seed}.png", draw_phantom(120, 100, seed).image)
    local = segmented(tmp_path / "in", tmp_path / "local", "local")
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    second = cluster.add_node(num_cpus=1)
    try:
        spread = segmented(
            tmp_path / "in",
            tmp_path / "spread",
            "ray",
            cluster.address,
            after=lambda: cluster.remove_node(second, allow_graceful=False),
        )
    finally:
        cluster.shutdown()
    assert len(spread[0]) == COUNT
    assert spread == local


class RayError(Exception):
    pass


class Actor:
    """A worker that does its jobs in order, until one of them ends it."""

    def __init__(self, *_):
        self.alive = True
        self.ready = SimpleNamespace(remote=lambda: (self, None))
        self.run = SimpleNamespace(remote=lambda job: (self, job))


class DeadlyRay:
    """In place of Ray: one of the radiographs ends its worker each time."""

    exceptions = SimpleNamespace(RayError=RayError)

    def put(self, value):
        return value

    def remote(self, **_):
        return lambda _: SimpleNamespace(remote=Actor)

    def wait(self, references, timeout=None):
        return references[:1], references[1:]

    def get(self, reference):
        actor, job = reference
        if job is None:
            return None
        actor.alive = actor.alive and job.source.name != "deadly.png"
        if not actor.alive:
            raise RayError
        return Row(str(job.source), status=WRITTEN)


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("place", [0, 4, 9])
def test_a_radiograph_that_ends_every_worker_fails_and_no_other_does(workers, place):
    names = [f"{number}.png" for number in range(10)]
    names[place] = "deadly.png"
    jobs = plan([(Path(name), Path(name)) for name in names], Path("out"))
    rows = list(_Crew(DeadlyRay(), SegmentOptions(Outputs(Path("out"))), workers, gpu=False).rows(jobs))
    assert [row.file for row in rows] == names
    assert [row.file for row in rows if row.status != WRITTEN] == ["deadly.png"]
    assert "3 workers were lost" in rows[place].reason

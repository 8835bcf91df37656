"""The Ray engine: on a cluster of two nodes on this machine, one of which is killed, and on a fake cluster."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from lungmask_cli.batch import ray_engine
from lungmask_cli.batch.engines import make_engine
from lungmask_cli.batch.jobs import plan_jobs
from lungmask_cli.batch.options import RunOptions, SegmentOptions
from lungmask_cli.batch.outputs import Outputs
from lungmask_cli.batch.ray_engine import RayEngine
from lungmask_cli.batch.rows import WRITTEN, Row
from lungmask_cli.errors import UsageError
from lungmask_cli.formats.find import find_images
from lungmask_cli.inference.options import InferenceOptions
from tests.phantoms import draw_phantom, save_grey

COUNT = 24
OPTIONS = SegmentOptions(InferenceOptions("tiny", device="cpu"), Outputs(Path("out")))


def segment_all(folder, out, run, after=None):
    """The masks and rows of a batch; `after` is called after the first rows."""
    options = SegmentOptions(OPTIONS.inference, Outputs(out))
    rows = []
    for row in make_engine(options, run).run(plan_jobs(find_images([folder]), out)):
        rows.append(row)
        if len(rows) == 3 and after:
            after()
    masks = {path.name: path.read_bytes() for path in out.glob("*.png")}
    return masks, [(row.file, row.status, row.lung_area_px, row.quality_score) for row in rows]


def test_a_lost_node_loses_nothing(tmp_path):
    cluster_utils = pytest.importorskip("ray.cluster_utils", reason="needs the extra [ray]")

    for seed in range(COUNT):
        save_grey(tmp_path / "in" / f"{seed}.png", draw_phantom(120, 100, seed).image)
    local = segment_all(tmp_path / "in", tmp_path / "local", RunOptions())
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    second = cluster.add_node(num_cpus=1)
    try:
        masks, rows = segment_all(
            tmp_path / "in",
            tmp_path / "cluster",
            RunOptions(engine="ray", address=cluster.address),
            after=lambda: cluster.remove_node(second, allow_graceful=False),
        )
    finally:
        cluster.shutdown()
    assert len(masks) == COUNT
    assert (masks, rows) == local


class RayError(Exception):
    pass


class Actor:
    """A worker that runs its jobs in order, until one of them ends it."""

    def __init__(self, *_):
        self.alive = True
        self.start_error = SimpleNamespace(remote=lambda: (self, None))
        self.run = SimpleNamespace(remote=lambda job: (self, job))


class FakeRay:
    """Replaces Ray. The radiograph `deadly.png` always ends its worker."""

    exceptions = SimpleNamespace(RayError=RayError)

    def init(self, *_, **__):
        pass

    def cluster_resources(self):
        return {"CPU": 2.0}

    def shutdown(self):
        pass

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


def jobs_named(names):
    return plan_jobs([(Path(name), Path(name)) for name in names], Path("out"))


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("index", [0, 4, 9])
def test_a_radiograph_that_ends_every_worker_fails_alone(monkeypatch, workers, index):
    monkeypatch.setattr(ray_engine, "_import_ray", FakeRay)
    names = [f"{number}.png" for number in range(10)]
    names[index] = "deadly.png"
    rows = list(RayEngine(OPTIONS, workers, None).run(jobs_named(names)))
    assert [row.file for row in rows] == names
    assert [row.file for row in rows if row.status != WRITTEN] == ["deadly.png"]
    assert rows[index].reason == "deadly.png: 3 workers were lost while they were at it"


def test_only_a_few_jobs_are_started_in_advance(monkeypatch):
    monkeypatch.setattr(ray_engine, "_import_ray", FakeRay)
    started = []

    def lazy_jobs():
        for job in jobs_named([f"{number}.png" for number in range(100)]):
            started.append(job)
            yield job

    rows = RayEngine(OPTIONS, 2, None).run(lazy_jobs())
    next(rows)
    assert len(started) <= 4
    assert len(list(rows)) == 99


def test_a_lost_cluster_is_an_error_of_its_own(monkeypatch):
    class LostRay(FakeRay):
        def wait(self, references, timeout=None):
            if timeout is None:
                raise ConnectionError("the head node does not answer")
            return super().wait(references)

    monkeypatch.setattr(ray_engine, "_import_ray", LostRay)
    with pytest.raises(UsageError, match="the Ray cluster was lost: ConnectionError") as caught:
        list(RayEngine(OPTIONS, None, None).run(jobs_named(["a.png"])))
    assert "--skip-existing" in caught.value.hint

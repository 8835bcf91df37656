"""The Ray engine: on a cluster of two nodes on this machine, one of which is killed, and on a fake cluster."""

from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

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


class NodeDiedError(RayError):
    pass


class WorkerCrashedError(RayError):
    pass


class FakeRay:
    """Replaces Ray. `deadly.png` always ends the process of its task, `unlucky.png` has its node lost five times."""

    exceptions = SimpleNamespace(
        RayError=RayError,
        NodeDiedError=NodeDiedError,
        WorkerCrashedError=WorkerCrashedError,
        OutOfMemoryError=type("OutOfMemoryError", (RayError,), {}),
    )
    resources: ClassVar = {"CPU": 2.0}

    def __init__(self):
        self.lost_nodes = 0

    def init(self, *_, **__):
        pass

    def cluster_resources(self):
        return self.resources

    def shutdown(self):
        pass

    def put(self, value):
        return value

    def remote(self, **_):
        return lambda _: SimpleNamespace(remote=lambda options, threads, jobs: jobs)

    def wait(self, references, timeout=None):
        return references, []

    def get(self, jobs):
        names = [job.source.name for job in jobs]
        if "unlucky.png" in names and self.lost_nodes < 5:
            self.lost_nodes += 1
            raise NodeDiedError
        if "deadly.png" in names:
            raise WorkerCrashedError
        return [Row(name, status=WRITTEN) for name in names]


def jobs_named(names):
    return plan_jobs([(Path(name), Path(name)) for name in names], Path("out"))


@pytest.mark.parametrize("resources", [{"CPU": 1.0}, {"CPU": 3.0}, {"GPU": 1.0}])
@pytest.mark.parametrize("index", [0, 4, 9])
def test_a_radiograph_that_ends_every_worker_fails_alone(monkeypatch, resources, index):
    monkeypatch.setattr(ray_engine, "_import_ray", FakeRay)
    monkeypatch.setattr(FakeRay, "resources", resources)
    engine = RayEngine(SegmentOptions(InferenceOptions("tiny"), Outputs(Path("out"))), None, None)
    names = [f"{number}.png" for number in range(10)]
    names[index] = "deadly.png"
    rows = list(engine.run(jobs_named(names)))
    assert [row.file for row in rows] == names
    assert [row.file for row in rows if row.status != WRITTEN] == ["deadly.png"]
    assert rows[index].reason == "deadly.png: 3 workers were lost while they were at it"


def test_a_lost_node_does_not_count_against_its_radiograph(monkeypatch):
    monkeypatch.setattr(ray_engine, "_import_ray", FakeRay)
    rows = list(RayEngine(OPTIONS, 2, None).run(jobs_named(["a.png", "unlucky.png", "b.png"])))
    assert [(row.file, row.status) for row in rows] == [(name, WRITTEN) for name in ("a.png", "unlucky.png", "b.png")]


def test_only_a_few_jobs_are_started_in_advance(monkeypatch):
    monkeypatch.setattr(ray_engine, "_import_ray", FakeRay)
    started = []

    def lazy_jobs():
        for job in jobs_named([f"{number}.png" for number in range(100)]):
            started.append(job)
            yield job

    rows = RayEngine(OPTIONS, 2, None).run(lazy_jobs())
    next(rows)
    assert len(started) <= 8
    assert len(list(rows)) == 99


def test_a_lost_cluster_is_an_error_of_its_own(monkeypatch):
    class LostRay(FakeRay):
        def get(self, jobs):
            raise ConnectionError("the head node does not answer")

    monkeypatch.setattr(ray_engine, "_import_ray", LostRay)
    with pytest.raises(UsageError, match="the Ray cluster was lost: ConnectionError") as caught:
        list(RayEngine(OPTIONS, None, None).run(jobs_named(["a.png"])))
    assert "--skip-existing" in caught.value.hint


def test_a_full_cluster_is_reported(monkeypatch):
    class FullRay(FakeRay):
        def wait(self, references, timeout=None):
            return [], references

    monkeypatch.setattr(ray_engine, "_import_ray", FullRay)
    with pytest.raises(UsageError, match="has no room for a task"):
        list(RayEngine(OPTIONS, None, None).run(jobs_named(["a.png"])))


def test_a_task_without_weights_ends_the_batch(monkeypatch):
    class PoorRay(FakeRay):
        def get(self, jobs):
            return "there are no weights at tiny", "Install lungmask on every machine."

    monkeypatch.setattr(ray_engine, "_import_ray", PoorRay)
    with pytest.raises(UsageError, match="no weights at tiny"):
        list(RayEngine(OPTIONS, None, None).run(jobs_named(["a.png"])))

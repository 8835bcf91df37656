"""The Ray engine: on a cluster of two nodes on this machine, one of which is killed, and on a fake cluster."""

import random
from collections import Counter
from itertools import repeat
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lungmask_cli.batch import ray_engine
from lungmask_cli.batch.engines import make_engine
from lungmask_cli.batch.jobs import plan_jobs
from lungmask_cli.batch.options import RunOptions, SegmentOptions
from lungmask_cli.batch.outputs import Outputs
from lungmask_cli.batch.ray_engine import RayEngine
from lungmask_cli.batch.rows import WRITTEN, Row
from lungmask_cli.errors import UsageError
from lungmask_cli.files import PARTIAL
from lungmask_cli.formats.find import find_images
from lungmask_cli.inference.options import InferenceOptions
from tests.phantoms import draw_phantom, save_grey

COUNT = 12
OPTIONS = SegmentOptions(InferenceOptions("tiny", device="cpu"), Outputs(Path("out")))
# Ray's own limits count seconds, which are short on a busy machine.
PATIENT = {
    "RAY_worker_register_timeout_seconds": "600",
    "RAY_health_check_timeout_ms": "60000",
    "RAY_memory_monitor_refresh_ms": "0",
    "RAY_worker_niceness": "0",  # else, the workers get nearly nothing of the busy cores
}


def segment_all(folder, out, run, after=None):
    """The masks and rows of a batch; `after` is called after the first rows."""
    options = SegmentOptions(OPTIONS.inference, Outputs(out))
    rows = []
    for row in make_engine(options, run).run(plan_jobs(find_images([folder]), out)):
        rows.append(row)
        if len(rows) == 3 and after:
            after()
    masks = {path.name: path.read_bytes() for path in out.glob("*.png") if not path.name.startswith(PARTIAL)}
    return masks, [(row.file, row.status, row.reason, row.lung_area_px, row.quality_score) for row in rows]


def test_a_lost_node_loses_nothing(tmp_path, monkeypatch):
    cluster_utils = pytest.importorskip("ray.cluster_utils", reason="needs the extra [ray]")

    for name, value in PATIENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(cluster_utils.Cluster._wait_for_node, "__defaults__", (600,))
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
    assert [row[1] for row in rows] == [WRITTEN] * COUNT, rows
    assert (masks, rows) == local


class RayError(Exception):
    pass


ERRORS = (
    "RayTaskError",
    "WorkerCrashedError",
    "OutOfMemoryError",
    "NodeDiedError",
    "LocalRayletDiedError",
    "ActorUnavailableError",
    "ObjectLostError",
    "RaySystemError",
)
EXCEPTIONS = SimpleNamespace(RayError=RayError, **{name: type(name, (RayError,), {}) for name in ERRORS})
# How often a good radiograph may be lost for each cause; `Task:NAME` is an error that the task itself met.
HARMLESS = {
    "WorkerCrashedError": 2,
    "OutOfMemoryError": 7,
    "NodeDiedError": 11,
    "ActorUnavailableError": 3,
    "RaySystemError": 4,
    "Task:ObjectLostError": 4,
}


def error_of_ray(name):
    _, task, cause = name.rpartition(":")
    error = getattr(EXCEPTIONS, cause, ModuleNotFoundError)("...")
    if not task:
        return error
    raised = EXCEPTIONS.RayTaskError("...")
    raised.cause = error
    return raised


class FakeRay:
    """Replaces Ray and its clock: a pause passes at once.

    `failures` has the errors of the attempts at a radiograph, by its name; the next attempt writes its mask. An attempt
    at `hungry.png` fails if other tasks run meanwhile. Until second `noticed`, all tasks are given to a dead machine.
    """

    exceptions = EXCEPTIONS

    def __init__(self, failures=None, resources=None, noticed=0.0):
        self.failures = {name: iter(errors) for name, errors in (failures or {}).items()}
        self.resources = resources or {"CPU": 2.0}
        self.noticed = noticed
        self.seconds = 0.0
        self.attempts = Counter()
        self.tasks = []
        self.running = set()
        self.stopped = False

    def init(self, *_, **__):
        pass

    def cluster_resources(self):
        return self.resources

    def shutdown(self):
        self.stopped = True

    def put(self, value):
        return value

    def sleep(self, seconds):
        self.seconds += seconds

    def remote(self, **_):
        return lambda _: SimpleNamespace(remote=self.submit)

    def submit(self, options=None, threads=1, jobs=()):
        self.tasks.append(([job.source.name for job in jobs], bool(self.running), self.seconds))
        self.running.add(len(self.tasks) - 1)
        return len(self.tasks) - 1

    def wait(self, references, num_returns=1, timeout=None):
        self.running -= set(references)
        return references, []

    def get(self, reference):
        names, beside_others, second = self.tasks[reference]
        self.running.discard(reference)
        self.attempts.update(names)
        if second < self.noticed:
            raise error_of_ray("NodeDiedError")
        if "hungry.png" in names and beside_others:
            raise error_of_ray("WorkerCrashedError")
        for name in names:
            if (failure := next(self.failures.get(name, iter(())), None)) is not None:
                raise error_of_ray(failure)
        return [Row(name, name, WRITTEN) for name in names]


def run_on(ray, names, count=None):
    """The rows of radiographs of these names on a fake cluster."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ray_engine, "_import_ray", lambda: ray)
        patch.setattr(ray_engine.time, "sleep", ray.sleep)
        options = SegmentOptions(InferenceOptions("tiny"), OPTIONS.outputs)
        return list(RayEngine(options, count, None).run(jobs_named(names)))


def jobs_named(names):
    return plan_jobs([(Path(name), Path(name)) for name in names], Path("out"))


MACHINES = pytest.mark.parametrize("resources", [{"CPU": 1.0}, {"CPU": 3.0}, {"GPU": 1.0}])


@MACHINES
@pytest.mark.parametrize("index", [0, 4, 9])
@pytest.mark.parametrize(
    ("error", "attempts", "reason"),
    [
        ("WorkerCrashedError", 3, "3 workers ended while they processed it, the last one with no other radiograph"),
        ("OutOfMemoryError", 8, "Ray ended 8 of its workers because the memory was nearly full"),
        ("NodeDiedError", 12, "12 machines were lost while they processed it"),
    ],
)
def test_a_radiograph_that_ends_every_worker_fails_alone(error, attempts, reason, resources, index):
    names = [f"{number}.png" for number in range(10)]
    names[index] = "deadly.png"
    ray = FakeRay({"deadly.png": repeat(error)}, resources)
    rows = run_on(ray, names)
    assert [row.file for row in rows] == names
    assert [row.file for row in rows if row.status != WRITTEN] == ["deadly.png"]
    assert rows[index].reason == f"deadly.png: {reason}"
    assert ray.attempts["deadly.png"] <= 2 * attempts
    assert ray.seconds < 600


@MACHINES
@pytest.mark.parametrize(("error", "times"), HARMLESS.items())
def test_a_loss_of_the_cluster_does_not_count_against_its_radiograph(error, times, resources):
    names = ["a.png", "unlucky.png", "b.png"]
    ray = FakeRay({"unlucky.png": [error] * times}, resources)
    assert [(row.file, row.status) for row in run_on(ray, names)] == [(name, WRITTEN) for name in names]


@given(st.data())
def test_a_busy_cluster_loses_no_good_radiograph(data):
    names = [f"{number}.png" for number in range(data.draw(st.integers(1, 12)))]
    failures = {}
    for name in data.draw(st.sets(st.sampled_from(names))):
        errors = [error for error, most in HARMLESS.items() for _ in range(data.draw(st.integers(0, most)))]
        random.Random(0).shuffle(errors)
        failures[name] = errors
    ray = FakeRay(failures)
    assert [(row.file, row.status) for row in run_on(ray, names)] == [(name, WRITTEN) for name in names]
    assert ray.attempts == {name: 1 + len(failures.get(name, ())) for name in names}


@pytest.mark.parametrize("seconds", [3, 30, 120])
def test_a_dead_machine_that_ray_has_not_noticed_yet_costs_no_radiograph(seconds):
    names = [f"{number}.png" for number in range(10)]
    rows = run_on(FakeRay(noticed=seconds), names)
    assert [(row.file, row.status) for row in rows] == [(name, WRITTEN) for name in names]


@pytest.mark.parametrize("index", [0, 4, 9])
def test_a_radiograph_that_needs_the_memory_of_the_others_is_segmented_alone(index):
    names = [f"{number}.png" for number in range(10)]
    names[index] = "hungry.png"
    rows = run_on(FakeRay(), names)
    assert [(row.file, row.status) for row in rows] == [(name, WRITTEN) for name in names]


def test_the_incomplete_files_of_a_lost_machine_are_removed(tmp_path, inside, monkeypatch):
    class KilledRay(FakeRay):
        def get(self, reference):
            (tmp_path / "out" / f"{PARTIAL}x.png").touch()
            return super().get(reference)

    monkeypatch.setattr(ray_engine, "_import_ray", KilledRay)
    save_grey(tmp_path / "in" / "a.png", draw_phantom(64, 64, 0).image)
    done = inside("segment", tmp_path / "in", "-o", tmp_path / "out", "--engine", "ray", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert not list((tmp_path / "out").glob(f"{PARTIAL}*"))


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


@pytest.mark.parametrize(
    ("error", "attempts"), [("RaySystemError", 12), ("Task:ObjectLostError", 12), ("LocalRayletDiedError", 1)]
)
def test_a_lost_cluster_is_an_error_of_its_own(error, attempts):
    ray = FakeRay({"a.png": repeat(error)})
    with pytest.raises(UsageError, match="the Ray cluster was lost") as caught:
        run_on(ray, ["a.png", "b.png"])
    assert "--skip-existing" in caught.value.hint
    assert ray.attempts["a.png"] == attempts
    assert ray.stopped


def test_a_head_node_that_does_not_answer_is_a_lost_cluster():
    class LostRay(FakeRay):
        def get(self, reference):
            raise ConnectionError("the head node does not answer")

    with pytest.raises(UsageError, match="the Ray cluster was lost: ConnectionError"):
        run_on(LostRay(), ["a.png"])


def test_a_machine_without_lungmask_ends_the_batch():
    with pytest.raises(UsageError, match="a Ray worker cannot run lungmask: ModuleNotFoundError") as caught:
        run_on(FakeRay({"a.png": ["Task:ModuleNotFoundError"]}), ["a.png"])
    assert "installed on every machine" in caught.value.hint


def test_a_full_cluster_is_reported():
    class FullRay(FakeRay):
        def wait(self, references, num_returns=1, timeout=None):
            return [], references

    with pytest.raises(UsageError, match="has no room for a task"):
        run_on(FullRay(), ["a.png"])


def test_a_slow_first_radiograph_is_not_a_full_cluster():
    class SlowRay(FakeRay):
        def wait(self, references, num_returns=1, timeout=None):
            started = [reference for reference in references if not self.tasks[reference][0]]
            return started, [reference for reference in references if reference not in started]

    assert [row.status for row in run_on(SlowRay(), ["a.png"])] == [WRITTEN]


def test_a_task_without_weights_ends_the_batch():
    class PoorRay(FakeRay):
        def get(self, reference):
            return "there are no weights at tiny", "Install lungmask on every machine."

    with pytest.raises(UsageError, match="no weights at tiny"):
        run_on(PoorRay(), ["a.png"])

"""A Ray cluster of two nodes on this machine, one of which is killed: the same files as those of threads."""

import pytest

from lungmask_cli.imaging.read import find_images
from lungmask_cli.inference.batch import Settings
from lungmask_cli.inference.engines import make_engine
from lungmask_cli.inference.jobs import plan
from lungmask_cli.inference.outputs import Outputs
from tests.phantoms import draw_phantom, save_grey

pytest.importorskip("ray", reason="needs the extra [ray]")
COUNT = 24


def segmented(folder, out, engine, address=None, after=None):
    """The masks and rows of a batch; `after` is called after the first rows."""
    settings = Settings(Outputs(out), ("tiny",), "cpu")
    rows = []
    for row in make_engine(engine, settings, None, address).run(plan(find_images([folder]), out)):
        rows.append(row)
        if len(rows) == 3 and after:
            after()
    masks = {path.name: path.read_bytes() for path in out.glob("*.png")}
    return masks, [(row.file, row.status, row.lung_area_px, row.quality_score) for row in rows]


def test_a_lost_node_loses_nothing(tmp_path):
    from ray.cluster_utils import Cluster

    for seed in range(COUNT):
        save_grey(tmp_path / "in" / f"{seed}.png", draw_phantom(120, 100, seed).image)
    local = segmented(tmp_path / "in", tmp_path / "local", "local")
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
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

"""Studies on a cluster give the same table on one machine, on two, and if a worker or a machine dies midway."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from genlab.errors import StorageError, UsageError
from genlab.study import cluster
from genlab.study.execute import State
from genlab.study.plan import Cell
from genlab.study.study import Study
from plans import raw

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.filterwarnings("ignore")]


def study(folder: Path, **changes: Any) -> Study:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "small.yaml"
    file.write_text(yaml.safe_dump(raw(**changes)), "utf-8")
    return Study.at(file, runs=folder / "runs")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> str:
    return study(tmp_path_factory.mktemp("undisturbed")).run(workers=2).digest


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Any]:
    """A head without processors, and two machines with one processor each, which keep their runs apart."""
    ray = pytest.importorskip("ray.cluster_utils")
    made = ray.Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    for name in ("one", "other"):
        made.add_node(num_cpus=1, env_vars={cluster.HOME: str(tmp_path / name)})
    yield made
    import ray as core

    core.shutdown()
    made.shutdown()


def test_a_cluster_of_this_machine_gives_the_same_table(undisturbed: str, tmp_path: Path) -> None:
    mine = study(tmp_path)
    found = mine.run(workers=2, backend=cluster.connected("ray", 2, 300))
    assert found.digest == undisturbed
    assert (mine.runs / "slow-seed0" / "metrics.jsonl").exists()
    assert mine.folder.sample_path(Cell("slow", 0)).exists()


def test_a_worker_that_dies_is_replaced(undisturbed: str, tmp_path: Path) -> None:
    """The Ray process of one of two workers is killed, together with its run."""
    mine, killed = study(tmp_path), list[int]()

    def show(state: State, line: str) -> None:
        if state.done and not killed and (found := ray_workers()):
            killed.append(found[0])
            os.kill(found[0], signal.SIGKILL)

    assert mine.run(workers=2, backend=cluster.connected("ray", 2, 300), show=show).digest == undisturbed
    assert killed


def test_a_machine_that_dies_gives_its_seeds_to_another(undisturbed: str, tmp_path: Path, nodes: Any) -> None:
    mine, told = study(tmp_path), list[str]()

    def show(state: State, line: str) -> None:
        told.append(line)
        if len(state.done) >= 2 and len(nodes.worker_nodes) == 2:
            nodes.remove_node(next(iter(nodes.worker_nodes)), allow_graceful=False)

    found = mine.run(workers=2, backend=cluster.connected(nodes.address, 2, 300), show=show)
    assert found.digest == undisturbed
    assert len(nodes.worker_nodes) == 1
    assert any("started over" in line for line in told)


def test_where_no_cluster_answers_it_is_said() -> None:
    with pytest.raises(StorageError, match="no Ray cluster answers"):
        cluster.connected("127.0.0.1:1", 2, 300)
    with pytest.raises(UsageError, match="HOST:PORT"):
        cluster.connected("rya", 2, 300)


def ray_workers() -> list[int]:
    """IDs of the Ray processes that carry out a run: the parents of our workers."""
    found = []
    for pid in (int(name) for name in os.listdir("/proc") if name.isdigit()):
        try:
            line = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            parent = int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[1])
            above = Path(f"/proc/{parent}/cmdline").read_bytes().decode(errors="replace")
        except (OSError, ValueError):
            continue
        if "genlab.study.worker" in line and "ray::" in above:
            found.append(parent)
    return found


def test_ray_s_own_processes_end_with_the_study() -> None:
    until = time.monotonic() + 20
    while time.monotonic() < until and (left := ray_processes()):
        time.sleep(0.2)
    assert left == []


def ray_processes() -> list[str]:
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                line = Path(f"/proc/{name}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if "raylet" in line or "gcs_server" in line:
                found.append(line[:80])
    return found

from __future__ import annotations

import os
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import pytest
import torch

from genlab.engine import threads, waiting


def places() -> dict[int, set[int]]:
    return {int(task.name): os.sched_getaffinity(int(task.name)) for task in Path("/proc/self/task").iterdir()}


PINNING = """
import os, threading, time
from contextlib import suppress
from pathlib import Path
import torch
from genlab.engine import threads as cores

def places():
    found = {}
    for task in Path("/proc/self/task").iterdir():
        with suppress(OSError):  # It has ended meanwhile.
            found[int(task.name)] = os.sched_getaffinity(int(task.name))
    return found

stop = threading.Event()
idle = threading.Thread(target=stop.wait); idle.start()
everywhere = os.sched_getaffinity(0)
torch.set_num_threads(len(everywhere))
with cores.pinned():
    inside = places()
stop.set()
assert inside.pop(idle.native_id) == everywhere, "a thread that does not work for torch stays free"
bound = [place for place in inside.values() if len(place) == 1]
print(sorted(core for place in bound for core in place) == sorted(everywhere))
print(set(map(len, places().values())) == {len(everywhere)})
torch.set_num_threads(1)
with cores.pinned():
    print(all(place == everywhere for place in places().values()))
"""


@pytest.mark.skipif(sys.platform != "linux" or len(os.sched_getaffinity(0)) < 2, reason="needs Linux and two cores")
def test_each_of_torchs_threads_gets_a_core_of_its_own_and_is_freed_again() -> None:
    given = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    found = subprocess.run([sys.executable, "-c", PINNING], env=given, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    assert found.stdout.split() == ["True", "True", "True"]


def test_one_thread_is_not_bound() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threads.pinned():
            assert places()[threading.get_native_id()] == set(threads.allowed())
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("first", "environment", "told"),
    [("torch", {}, True), ("genlab", {}, False), ("torch", {"OMP_WAIT_POLICY": "ACTIVE"}, False)],
)
def test_it_is_said_where_genlab_came_too_late_to_choose_how_threads_wait(
    first: str, environment: dict[str, str], told: bool
) -> None:
    given = {key: value for key, value in os.environ.items() if not key.startswith(("OMP", "GOMP"))}
    code = f"import {first}; from genlab.engine import waiting; [waiting.check() for _ in 'ab']; print(waiting.words())"
    found = subprocess.run(
        [sys.executable, "-c", code], env={**given, **environment}, capture_output=True, text=True, check=True
    )
    assert found.stderr.count("import genlab first") == int(told)
    assert (
        found.stdout.strip()
        == {
            "torch": "active" if environment else "PyTorch's default",
            "genlab": "passive, after 5,000 spins",
        }[first]
    )


def _denormal_products() -> int:
    """How many of a million products below 1.2e-38, of all of torch's threads, are not 0."""
    return int((torch.full((1_000_000,), 1e-30) * torch.full((1_000_000,), 1e-10)).count_nonzero())


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere torch may have another OpenMP")
def test_all_threads_flush_denormals_and_none_does_afterwards() -> None:
    """Torch's own switch changes only the thread that calls it, so half of the products would not be 0."""
    torch.set_num_threads(2)
    try:
        assert _denormal_products() == 1_000_000
        with threads.denormals(flushed=True):
            assert _denormal_products() == 0
        assert _denormal_products() == 1_000_000
        with threads.denormals(flushed=False):
            assert _denormal_products() == 1_000_000
    finally:
        torch.set_num_threads(1)


def test_all_threads_are_given_back() -> None:
    before = torch.get_num_threads()
    with threads.all_threads():
        assert torch.get_num_threads() == threads.most_threads()
    assert torch.get_num_threads() == before


def test_nothing_is_said_where_the_choice_was_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "IS_SET", True)
    waiting.check.cache_clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        waiting.check()
    waiting.check.cache_clear()

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from genlab import plan
from genlab.plan import MARGIN, Measured

CONVOLUTION = {
    "convolution float32 contiguous": 10.0,
    "convolution float32 channels-last": 8.0,
    "convolution bfloat16 contiguous": 5.0,
    "convolution bfloat16 channels-last": 4.0,
}
LINEAR = {"linear float32": 6.0, "linear bfloat16": 2.0, "linear float32 x2": 4.0, "linear bfloat16 x2": 1.9}
ADAM = {"adam plain": 0.4, "adam fused": 0.2}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def choice(convolutional: bool, **changes: float) -> dict[str, object]:
    milliseconds = {**CONVOLUTION, **LINEAR, **ADAM, **{key.replace("_", " "): value for key, value in changes.items()}}
    return Measured("cpu", 2, milliseconds, "measured").choice(convolutional)


def test_the_fastest_form_is_chosen() -> None:
    assert choice(True) == {
        "device": "cpu",
        "precision": "bfloat16",
        "memory_format": "channels-last",
        "threads": 2,
        "fused_optimiser": True,
        "compile": False,
    }
    # Linear layers have a precision and a number of threads of their own: here bfloat16 gains nothing from a second.
    assert choice(False) == {**choice(True), "threads": 1}
    assert choice(False, linear_bfloat16=9.0)["precision"] == "float32"
    assert choice(False, linear_bfloat16=9.0)["threads"] == 2


def test_only_a_clear_gain_moves_a_choice() -> None:
    for times, precision in ((MARGIN * 0.99, "float32"), (MARGIN * 1.01, "bfloat16")):
        assert choice(True, **{"convolution bfloat16 channels-last": 8 / times})["precision"] == precision
    for gain, fused in ((MARGIN * 0.99, True), (MARGIN * 1.01, False)):
        assert choice(True, adam_plain=0.2 / gain)["fused_optimiser"] is fused
    for gain, layout in ((MARGIN * 0.99, "channels-last"), (MARGIN * 1.01, "contiguous")):
        assert choice(True, **{"convolution bfloat16 contiguous": 4 / gain})["memory_format"] == layout


def test_what_was_not_measured_is_not_chosen() -> None:
    bare = Measured("mps", 8, {"linear float32": 1.0, "convolution float32 channels-last": 1.0}, "measured")
    assert bare.choice(True)["precision"] == "float32"
    assert bare.choice(False)["threads"] == 1


def test_it_is_measured_in_two_seconds_and_once() -> None:
    start = time.process_time()
    first = plan.measured("cpu")
    assert time.process_time() - start < 6  # two seconds of an idle machine; others may be at work here
    assert all(0.001 < value < 10_000 for value in first.milliseconds.values())
    assert set(CONVOLUTION) | {"linear float32", "linear bfloat16"} | set(ADAM) <= first.milliseconds.keys()
    if first.source == "measured":
        assert plan.measured("cpu").milliseconds == first.milliseconds
        assert plan.measured("cpu").source == "remembered"


def test_a_busy_machine_is_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    def waiting(device: str, threads: int) -> dict[str, float]:
        time.sleep(0.05)
        return ADAM

    monkeypatch.setattr(plan, "_milliseconds", waiting)
    assert plan.measured("cpu").source == "measured on a busy machine"
    assert not plan.cache_file().exists()


def working(device: str, threads: int) -> dict[str, float]:
    end = time.process_time() + 0.02
    while time.process_time() < end:
        pass
    return ADAM


@pytest.mark.parametrize("text", ["", "{", "[]", "[" * 100_000, '{"%s": {"adam plain": "fast"}}', '{"%s": 1.5}'])
def test_a_damaged_cache_is_measured_again(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "_milliseconds", working)
    while plan.measured("cpu", anew=True).source != "measured":
        pass
    (key,) = json.loads(plan.cache_file().read_text())
    plan.cache_file().write_text(text.replace("%s", key))
    assert plan.measured("cpu").milliseconds == ADAM
    assert plan.measured("cpu").source != "remembered" or json.loads(plan.cache_file().read_text()) == {key: ADAM}


def test_a_home_that_cannot_be_written_is_no_obstacle(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(plan, "_milliseconds", working)
    assert plan.measured("cpu").milliseconds == ADAM

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import genlab
from genlab.engine import calibrate
from genlab.engine import threads as cores
from genlab.engine.calibrate import MARGIN, Measured
from genlab.recipe import GanRecipe

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
    # Linear layers have their own precision and number of threads: here bfloat16 gains nothing from a second thread.
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
    first = calibrate.measured("cpu")
    # Two seconds on an idle machine for each thread that was tried; other processes may be at work here.
    assert time.process_time() - start < 3 * max(2, len(cores.allowed()))
    assert all(0.001 < value < 10_000 for value in first.milliseconds.values())
    tried = {form for form in (*CONVOLUTION, *LINEAR) if form.split()[1] not in calibrate.impossible("cpu")}
    assert {form for form in tried if "x2" not in form} | set(ADAM) <= first.milliseconds.keys()
    assert first.milliseconds.keys() <= tried | set(ADAM) | {f"{form} x{first.threads}" for form in tried}
    if first.source == "measured":
        assert calibrate.measured("cpu").milliseconds == first.milliseconds
        assert calibrate.measured("cpu").source == "remembered"


def test_a_busy_machine_is_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    def waiting(device: str, threads: int) -> dict[str, float]:
        time.sleep(0.05)
        return ADAM

    monkeypatch.setattr(calibrate, "_milliseconds", waiting)
    assert calibrate.measured("cpu").source == "measured on a busy machine"
    assert not calibrate.cache_file().exists()


def working(device: str, threads: int) -> dict[str, float]:
    end = time.process_time() + 0.02
    while time.process_time() < end:
        pass
    return ADAM


@pytest.mark.parametrize("text", ["", "{", "[]", "[" * 100_000, '{"%s": {"adam plain": "fast"}}', '{"%s": 1.5}'])
def test_a_damaged_cache_is_measured_again(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibrate, "_milliseconds", working)
    while calibrate.measured("cpu", anew=True).source != "measured":
        pass
    (key,) = json.loads(calibrate.cache_file().read_text())
    calibrate.cache_file().write_text(text.replace("%s", key))
    assert calibrate.measured("cpu").milliseconds == ADAM
    if calibrate.measured("cpu").source == "remembered":
        assert json.loads(calibrate.cache_file().read_text()) == {key: ADAM}


def test_a_home_that_cannot_be_written_is_no_obstacle(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(calibrate, "_milliseconds", working)
    assert calibrate.measured("cpu").milliseconds == ADAM


def effective(**variables: str) -> tuple[dict[str, str], dict[str, float], str, dict[str, str]]:
    """A process's instruction set, its measurements, their key in the cache, and the precisions that it leaves out."""
    code = (
        "import json; from genlab.engine import calibrate as plan, threads as cores; m = plan.measured('cpu');"
        "print(json.dumps([cores.instructions(), m.milliseconds, plan._key('cpu'), plan.impossible('cpu')]))"
    )
    # Drop the limits of this process, which may itself imitate a smaller machine.
    free = {name: value for name, value in os.environ.items() if name not in ("ATEN_CPU_CAPABILITY", *cores.LIMITS)}
    done = subprocess.run(
        [sys.executable, "-c", code], env={**free, **variables}, capture_output=True, text=True, check=True
    )
    facts, milliseconds, key, reasons = json.loads(done.stdout)
    return facts, milliseconds, key, reasons


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="the limits are of x86-64")
def test_a_process_that_is_kept_from_instructions_has_a_plan_of_its_own() -> None:
    """With one home, one processor name and two instruction sets, neither process takes the other's plan."""
    _, _, plain, _ = effective()
    facts, milliseconds, key, reasons = effective(ATEN_CPU_CAPABILITY="default", ONEDNN_MAX_CPU_ISA="SSE41")
    assert facts == {"capability": "DEFAULT", "onednn_bfloat16": "no", "limits": "ONEDNN_MAX_CPU_ISA=SSE41"}
    assert key != plain
    assert milliseconds
    assert not [form for form in milliseconds if "bfloat16" in form]
    assert "no instructions for it here" in reasons["bfloat16"]
    assert "DEFAULT, ONEDNN_MAX_CPU_ISA=SSE41" in reasons["bfloat16"]


def test_what_is_left_out_and_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibrate, "impossible", lambda device: {})
    assert Measured("cpu", 2, {**CONVOLUTION, **LINEAR}, "measured").left_out() == {}
    slow = Measured("cpu", 2, {**CONVOLUTION, **LINEAR, "linear bfloat16": 6.0}, "measured")
    assert slow.precisions() == ["float32", "bfloat16"]  # convolutions are still faster
    slow = Measured("cpu", 2, {**slow.milliseconds, "convolution bfloat16 channels-last": 16.0}, "measured")
    assert slow.precisions() == ["float32"]
    assert slow.left_out()["bfloat16"] == "measured 0.5 times as fast as float32 in convolutions, 1 in products"


def test_the_time_that_a_training_will_take() -> None:
    """In closed form: the timed work times its repetitions, divided by the threads, plus a millisecond per step."""
    found = Measured("cpu", 2, {**CONVOLUTION, **LINEAR}, "measured")
    settings = {"precision": "float32", "memory_format": "channels-last", "threads": 2}
    passes = 1000 * 3 * calibrate.WORK["convolution"]
    assert found.seconds(passes, 500, settings, True) == pytest.approx(1000 * 0.008 / 2 + 0.5)
    assert found.seconds(passes, 500, {**settings, "precision": "bfloat16", "threads": 1}, True) == pytest.approx(4.5)
    products = 1000 * 3 * calibrate.WORK["linear"]
    assert found.seconds(products, 0, settings, False) == pytest.approx(4.0)  # as measured with two threads
    assert found.seconds(products, 0, {**settings, "threads": 1}, False) == pytest.approx(6.0)


class Timed:
    """Work of a plan whose forms take the given milliseconds of this thread's time."""

    def __init__(self, milliseconds: dict[str, float]) -> None:
        self.milliseconds, self.asked = milliseconds, set[str]()

    def __call__(self, device: object, form: str) -> Callable[[], None]:
        self.asked.add(form)

        def run() -> None:
            end = time.thread_time() + self.milliseconds[form] / 1000
            while time.thread_time() < end:
                pass

        return run


def settings(**changes: object) -> dict[str, object]:
    return {"precision": "bfloat16", "memory_format": "channels-last", "fused_optimiser": True, **changes}


@pytest.mark.parametrize(
    ("chosen", "automatic", "convolutional", "half", "found"),
    [
        (settings(), {"precision"}, True, 8.0, "convolution bfloat16 channels-last takes 8"),
        (settings(), {"precision"}, True, 1.2, None),  # a small slowdown may be another process
        (settings(), {"precision"}, True, 0.5, None),
        (settings(), {"precision"}, False, 8.0, "linear bfloat16 takes 8"),
        (settings(), set(), True, 8.0, None),  # set by hand, not by the plan
        (settings(precision="float32"), {"precision"}, True, 8.0, None),
        (
            settings(precision="float32", fused_optimiser=False),
            {"fused_optimiser"},
            True,
            1.0,
            "adam plain takes 3 times",
        ),
    ],
)
def test_a_chosen_form_is_compared_with_the_first(
    chosen: dict[str, object],
    automatic: set[str],
    convolutional: bool,
    half: float,
    found: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    work = Timed({"adam plain": 3.0, "adam fused": 1.0})
    for name, times in (("float32", 1.0), ("bfloat16", half)):
        work.milliseconds |= {f"convolution {name} channels-last": times, f"linear {name}": times}
    monkeypatch.setattr(calibrate, "_work", work)
    said = calibrate.slower(chosen, automatic, convolutional)
    if found is None:
        assert said is None
    else:  # The machine is shared, so the ratio holds to within a fifth.
        (form, ratio), (expected, known) = (str(text).split(" times")[0].split(" takes ") for text in (said, found))
        assert form == expected
        assert float(ratio) == pytest.approx(float(known), rel=0.2)
    assert bool(work.asked) == (chosen != {**chosen, **{field: calibrate.FIRST[field] for field in automatic}})


def test_a_plan_that_is_found_wrong_is_said_and_forgotten(
    small: Callable[..., GanRecipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A remembered plan that wrongly says bfloat16 is fast is forgotten, but the run that began with it keeps it."""
    monkeypatch.setattr(calibrate, "impossible", lambda device: {})
    monkeypatch.setattr(calibrate, "_work", Timed({f"convolution {name} channels-last": n for name, n in
                                              (("float32", 1.0), ("bfloat16", 9.0))}))  # fmt: skip
    calibrate._keep({calibrate._key("cpu"): {**CONVOLUTION, **LINEAR, **ADAM}, "another machine": ADAM})
    recipe = small({"engine.plan": "auto", "engine.device": "cpu", "budget.max_steps": 4})
    with pytest.warns(UserWarning, match=r"convolution bfloat16 channels-last takes (8|9)[.\d]* times as long") as said:
        run = genlab.train(recipe, runs=tmp_path / "runs", report=False)
    assert "genlab bench plan --anew" in str(said[0].message)
    assert run.recipe.engine.precision == "bfloat16"
    assert json.loads(calibrate.cache_file().read_text()) == {"another machine": ADAM}


def test_a_plan_that_holds_is_kept_in_silence(
    small: Callable[..., GanRecipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Checking the plan changes no bit of the training."""
    monkeypatch.setattr(calibrate, "impossible", lambda device: {})
    monkeypatch.setattr(calibrate, "slower", lambda *_: torch.randn(3) is None)
    calibrate._keep(
        {calibrate._key("cpu"): {**CONVOLUTION, **LINEAR, **ADAM, "convolution bfloat16 channels-last": 9.0}}
    )
    rows = []
    for changes in ({"engine.plan": "auto", "engine.device": "cpu"}, {**{f"engine.{k}": v for k, v in {
        "device": "cpu", "precision": "float32", "memory_format": "channels-last", "fused_optimiser": True,
        "threads": 1, "compile": False}.items()}, "engine.plan": "auto"}):  # fmt: skip
        recipe = small({**changes, "engine.threads": 1, "budget.max_steps": 5})
        rows.append(
            [{**row, "seconds": 0} for row in genlab.train(recipe, runs=tmp_path / "runs", report=False).metrics()]
        )
    assert len(rows[0]) == 5
    assert rows[0] == rows[1]
    assert calibrate.measured("cpu").source == "remembered"


def test_a_precision_without_instructions_is_noted(
    small: Callable[..., GanRecipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibrate, "impossible", lambda device: {"bfloat16": "no instructions for it here"})
    changes = {"engine.plan": "auto", "engine.device": "cpu", "engine.precision": "bfloat16", "budget.max_steps": 1}
    with pytest.warns(UserWarning, match=r"engine\.precision bfloat16: no instructions for it here; a step takes many"):
        genlab.train(small(changes), runs=tmp_path, report=False)

"""A run is diagnosed from its files on disk, and also while it trains."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import genlab
from conftest import StopAt
from genlab.api.run import Run
from genlab.cli import main as cli
from genlab.errors import Collapsed, DataError, Stopped, UsageError
from genlab.evaluation.diagnosis.run import evidence_of
from genlab.recipe import GanRecipe
from genlab.runs import checkpoint, verify
from genlab.runs.listing import overview


@pytest.fixture(scope="module")
def frozen(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of 12 steps in which only D learns, measured at steps 4, 6, 8 and 12."""
    from conftest import SMALL

    changes: dict[str, Any] = {"data.name": str(digits), "objective.players": "discriminator", "ema": None}
    changes |= {"logging.evaluation": "cheap", "logging.sample_every": 4, "budget.epochs": 2}
    recipe = genlab.load_recipe("quick-mnist", {**SMALL, **changes})
    return genlab.train(recipe, runs=tmp_path_factory.mktemp("runs"), name="frozen", progress=False)


def test_what_is_wrong_is_found_in_the_files(frozen: Run) -> None:
    found = frozen.diagnose()
    fault = found.findings[0]
    assert (fault.name, fault.level, fault.since) == ("generator-not-learning", "fault", (0, 1))
    assert fault.changes == {"objective.players": "both"}
    kept = json.loads((frozen.path / "diagnosis.json").read_text("utf-8"))
    assert not kept["healthy"]
    assert kept["findings"] == found.as_json()["findings"]
    assert overview(frozen.path.parent)[0]["finding"] == "generator-not-learning"


def test_evidence_is_rows_by_role_and_all_evaluations(frozen: Run) -> None:
    evidence = evidence_of(frozen.directory)
    assert (evidence.step, evidence.total) == (12, 12)
    assert evidence.curve("update of generator").values.tolist() == [0.0] * 12
    assert {4, 6, 8, 12} <= {each.step for each in evidence.evaluations}
    before = evidence.until(6)
    assert {each.step for each in before.evaluations} == {4, 6}
    assert before.curve("update of generator").steps.max() == 6


def test_a_person_reads_it_in_at_most_seven_lines(frozen: Run, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["diagnose", str(frozen.path)])
    blocks = [block.splitlines() for block in capsys.readouterr().out.split("\n\n")]
    assert blocks[0][0] == "FAULT  G's weights do not change: the generator does not learn, since step 1."
    assert all(len(block) <= 7 for block in blocks)
    # Whatever is wrong or not, how good the images are stands beside it.
    assert blocks[-1][0] == "Only 2,000 images were measured, during training (genlab evaluate measures 10,000)."
    (tried,) = [line for line in blocks[0] if line.startswith("  Try")]
    assert "--objective.players both" in tried or "genlab train" in tried
    cli.main(["diagnose", str(frozen.path), "--json"])
    assert json.loads(capsys.readouterr().out)["findings"][0]["name"] == "generator-not-learning"


def test_a_training_says_in_a_line_what_begins(
    small: Callable[..., GanRecipe], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changes = {"logging.evaluation": "cheap", "logging.sample_every": 3, "objective.players": "discriminator"}
    genlab.train(small({**changes, "ema": None}), runs=tmp_path, report=False)
    said = [line for line in capsys.readouterr().err.splitlines() if "does not learn" in line]
    assert said == ["FAULT  G's weights do not change: the generator does not learn, since step 1"]


def test_looking_changes_no_weight(small: Callable[..., GanRecipe], tmp_path: Path) -> None:
    changes = {"logging.evaluation": "cheap", "logging.sample_every": 3}
    watched = genlab.train(small(changes), runs=tmp_path / "a", report=False)
    alone = genlab.train(small(changes), runs=tmp_path / "b", report=False, progress=False)
    assert watched.metrics()[-1]["loss_g"] == alone.metrics()[-1]["loss_g"]


def test_an_edited_diagnosis_is_noticed(frozen: Run) -> None:
    file = frozen.path / "diagnosis.json"
    frozen.diagnose()
    before = file.read_text("utf-8")
    try:
        file.write_text(before.replace('"healthy": false', '"healthy": true'), "utf-8")
        assert any("diagnosis.json" in str(line) for line in verify.verify(frozen.directory).damages)
    finally:
        file.write_text(before, "utf-8")


def test_a_collapsed_training_is_stopped_where_that_is_asked_for(
    small: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Constant(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.image = nn.Parameter(torch.ones(1, 32, 32))

        def forward(self, z: Tensor) -> Tensor:
            return self.image.tanh().expand(len(z), 1, 32, 32)

    monkeypatch.setattr("genlab.evaluation.diagnosis.FEWEST", 4)
    changes = {"logging.evaluation": "cheap", "logging.sample_every": 5, "budget.epochs": 10, "budget.max_steps": 20}
    recipe = small(changes, "quick-mnist-unconditional")
    given: dict[str, Any] = {"runs": tmp_path, "name": "stuck", "progress": False, "generator": Constant()}
    with pytest.raises(Collapsed, match=r"stopped after step 5 of 20: Mode collapse.* --resume") as caught:
        genlab.train(recipe, stop_on="collapse", **given)
    assert caught.value.exit_code == 9
    stuck = genlab.open_run(tmp_path / "stuck", generator=Constant())
    assert stuck.status["state"] == "interrupted"
    assert stuck.directory.steps("checkpoints", "") == [5]
    assert (stuck.path / "report.html").exists()
    assert stuck.diagnose().faults[0].name == "mode-collapse"
    assert genlab.train(resume=stuck, report=False, progress=False, generator=Constant()).status["state"] == "finished"
    with pytest.raises(UsageError, match="stop_on is 'boredom'; allowed: collapse"):
        genlab.train(recipe, stop_on="boredom", **given)  # type: ignore[arg-type]


def test_a_training_that_was_stopped_has_the_findings_of_one_that_was_not(small: Any, tmp_path: Path) -> None:
    changes = {"objective.players": "discriminator", "ema": None, "logging.evaluation": "cheap"}
    recipe = small({**changes, "logging.sample_every": 4, "budget.epochs": 2})
    given: dict[str, Any] = {"runs": tmp_path, "progress": False, "report": False}
    whole = genlab.train(recipe, name="whole", **given)
    with pytest.raises(Stopped):
        genlab.train(recipe, name="stopped", observers=[StopAt(7)], **given)
    resumed = genlab.train(resume=tmp_path / "stopped", report=False, progress=False)
    assert whole.diagnose().as_json() == resumed.diagnose().as_json()


def test_a_training_that_is_looked_at_learns_the_same_weights(small: Any, tmp_path: Path) -> None:
    recipe = small({"logging.evaluation": "cheap", "logging.sample_every": 4})
    given: dict[str, Any] = {"runs": tmp_path, "progress": False, "report": False}
    alone, watched = genlab.train(recipe, **given), genlab.train(recipe, stop_on="collapse", **given)
    a, b = (checkpoint.newest(run.directory.checkpoints)[0] for run in (alone, watched))
    assert a.step == b.step
    assert all(torch.equal(a.tensors[key], b.tensors[key]) for key in a.tensors)


@pytest.mark.parametrize(
    ("text", "words"),
    [(None, "No such file"), ("step,height\n1,2\n", "no loss column"), ("step,loss\n1,x\n", "line 2")],
)
def test_losses_are_read_before_anything_is_measured(
    text: str | None, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("genlab.api.diagnose.evaluate", lambda *_, **__: pytest.fail("images were measured"))
    losses = tmp_path / "losses.csv"
    if text is not None:
        losses.write_text(text)
    images = np.zeros((20, 28, 28), np.uint8)
    with pytest.raises(DataError, match=words):
        genlab.diagnose(images, against="mnist", losses=losses)

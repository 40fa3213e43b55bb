"""Runs of a folder are read again only if their files changed, within a time limit, and are forgotten when gone."""

from __future__ import annotations

import json
import shutil
import zlib
from pathlib import Path
from typing import Any

import pytest

from genlab.api.run import Run
from genlab.runs.directory import RunDirectory
from genlab.runs.listing import state_of
from genlab.studio import folder as module
from genlab.studio.folder import UNSEEN, Folder


@pytest.fixture
def root(finished: Run, tmp_path: Path) -> Path:
    for name in ("a", "b", "deep/c"):
        shutil.copytree(finished.path, tmp_path / "runs" / name)
    return tmp_path / "runs"


def test_a_run_is_looked_at_once_until_it_changes(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []

    def noted(run: RunDirectory) -> dict[str, Any]:
        looked.append(run.path.name)
        return state_of(run)

    monkeypatch.setattr(module, "state_of", noted)
    folder = Folder(root)
    first = folder.listing()
    assert [run["run"] for run in first] == ["a", "b", "deep/c"]
    assert folder.listing() == first
    assert looked == ["a", "b", "c"]
    (root / "b" / "diagnosis.json").unlink()
    folder.listing()
    assert looked == ["a", "b", "c", "b"]
    shutil.rmtree(root / "a")
    assert [run["run"] for run in folder.listing()] == ["b", "deep/c"]
    assert folder.find("a") is None


def test_what_there_is_no_time_for_is_named_and_looked_at_later(root: Path) -> None:
    folder = Folder(root)
    assert {run["state"] for run in folder.listing(patience=0)} == {UNSEEN}
    assert {run["state"] for run in folder.listing()} == {"finished"}
    assert {run["state"] for run in folder.listing(patience=0)} == {"finished"}


def test_of_few_runs_the_rows_stay_in_memory(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT", 2)
    folder = Folder(root)

    def rows(name: str) -> object:
        run = folder.find(name)
        assert run is not None
        return folder.rows(run)

    first = rows("a")
    assert rows("a") is first
    rows("b")
    rows("deep/c")
    assert rows("a") is not first


def test_whatever_one_folder_holds_the_others_are_listed(root: Path) -> None:
    measured = {"metrics": {"frechet_distance": {"value": float("nan"), "floor": 1}}, "protocol": {"samples": 5}}
    wrong: dict[str, tuple[str, str]] = {
        "nan": ("evaluations/evaluation.json", json.dumps(measured)),
        "huge": ("status.json", json.dumps({**json.loads((root / "a" / "status.json").read_text()), "step": 10**400})),
        "nested": ("recipe.yaml", "[" * 5000),
        "row": ("metrics.jsonl", '{"step": 1, "test_accuracy": NaN}'),
    }
    for name, (file, content) in wrong.items():
        shutil.copytree(root / "a", root / name)
        (root / name / "diagnosis.json").unlink(missing_ok=True)
        if name == "nan":
            (root / name / "provenance.json").unlink()
        if file == "metrics.jsonl":
            body = content.encode()
            content = content[:-1] + f', "crc": "{zlib.crc32(body):08x}"}}\n'
            shutil.rmtree(root / name / "evaluations")
        (root / name / file).write_text(content)
    steps = RunDirectory(root / "a").steps("samples", ".png")
    (root / "a" / "samples" / "step-\u00b2.png").write_bytes(b"")
    folder = Folder(root)
    listed = {run["run"]: run["state"] for run in folder.listing(patience=60)}
    assert {"a", "b", "deep/c", *wrong} <= listed.keys()
    json.dumps(folder.listing(), allow_nan=False)
    assert listed["a"] == "finished"
    assert listed["huge"] == listed["nan"] == "damaged"
    found = folder.find("a")
    assert found is not None
    assert found.steps("samples", ".png") == steps


def test_runs_in_the_package_are_shown_where_there_are_no_others(finished: Run, root: Path) -> None:
    assert not Folder(root, (finished.path,)).shows_shipped
    folder = Folder(root / "none", (finished.path,))
    assert [run["run"] for run in folder.listing()] == [finished.path.name]
    assert folder.shows_shipped
    assert folder.find("../a") is None


def test_runs_in_the_package_stay_at_hand(finished: Run, root: Path, tmp_path: Path) -> None:
    shipped = shutil.copytree(finished.path, tmp_path / "shipped" / "a")
    other = shutil.copytree(finished.path, tmp_path / "shipped" / "other")
    folder = Folder(root, (shipped, other))
    assert [run["run"] for run in folder.listing()] == ["a", "b", "deep/c"]
    assert [run["run"] for run in folder.examples()] == ["other"]
    found = [folder.find(name) for name in ("a", "other")]
    assert [run and run.path for run in found] == [root / "a", other]
    # A user's run takes the place of a shipped run of the same name as soon as it is there.
    empty = Folder(tmp_path / "none", (shipped,))
    first = empty.find("a")
    assert first is not None
    rows = empty.rows(first)
    shutil.copytree(root / "b", tmp_path / "none" / "a")
    (tmp_path / "none" / "a" / "metrics.jsonl").write_bytes(b"")
    empty.listing()
    mine = empty.find("a")
    assert mine is not None
    assert (len(empty.rows(mine)), len(rows) > 0) == (0, True)

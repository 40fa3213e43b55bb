"""The runs of a folder: looked at again only where files changed, within the time there is, and forgotten when gone."""

from __future__ import annotations

import shutil
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
        return folder.rows(name, run)

    first = rows("a")
    assert rows("a") is first
    rows("b")
    rows("deep/c")
    assert rows("a") is not first


def test_runs_in_the_package_are_shown_where_there_are_no_others(finished: Run, root: Path) -> None:
    assert not Folder(root, (finished.path,)).shows_shipped
    folder = Folder(root / "none", (finished.path,))
    assert [run["run"] for run in folder.listing()] == [finished.path.name]
    assert folder.shows_shipped
    assert folder.find("../a") is None

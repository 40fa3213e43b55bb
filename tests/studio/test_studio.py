"""A studio in its own process: what its URLs answer about runs, and that reading changes nothing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from genlab.api.run import Run
from genlab.engine import seals
from genlab.evaluation import kept
from genlab.report.verdict import of_run
from genlab.runs.directory import RunDirectory
from genlab.runs.listing import size
from genlab.runs.verify import verify
from genlab.studio.documents import compare_document, evaluation_document
from genlab.studio.shipped import shipped
from served import HOSTILE, Served, state_of

READS = (
    "/", "/explore?run=vae&z=0:1", "/run?run=gan", "/static/app.js", "/static/uplot.js", "/api/runs",
    "/api/run?run=watched",
    "/api/curves?run=watched&column=loss_d&column=frechet_distance", "/api/sample?run=watched&step=8",
    "/api/sample?run=watched&step=real", "/api/evaluation?run=watched&step=7", "/api/compare?run=gan&run=watched",
    "/api/recipes", "/api/recipe?recipe=quick-mnist", "/api/log?run=gan", "/api/explore?run=vae",
    "/api/explore?run=classifier",
    "/api/draw?run=vae&what=map", "/api/draw?run=gan&what=grid", "/api/draw?run=gan&what=classes",
    "/api/draw?run=vae&what=path&steps=5&place=" + quote('{"toward": 4}'), "/api/ask?run=gan", "/api/ask?run=vae",
)  # fmt: skip


def test_whatever_is_read_changes_nothing(served: Served) -> None:
    before = state_of(served.runs)
    for path in READS:
        first, again = served.ask(path), served.ask(path)
        assert first[0] == 200, (path, first[1])
        assert first[1] == again[1] or path == "/api/runs", path
        assert "default-src 'none'" in first[2]["content-security-policy"]
        assert first[2]["x-content-type-options"] == "nosniff"
    assert state_of(served.runs) == before


def test_the_list_names_every_run_and_says_which_is_damaged(served: Served) -> None:
    runs = {run["run"]: run for run in served.get("runs")["runs"]}
    assert set(runs) == {"gan", "watched", "vae", "classifier", "damaged", f"{HOSTILE}/gan"}
    assert runs["damaged"]["state"] == "damaged"
    assert runs["gan"]["state"] == "finished"
    assert runs["watched"]["course"]["column"] == "frechet_distance"
    status, found, _ = served.ask("/api/run?run=damaged")
    assert status == 404
    assert "damaged" in found["error"]


def test_a_run_is_told_as_its_files_have_it(served: Served) -> None:
    told, run = served.get("run", run="watched"), Run(served.runs / "watched")
    assert told["status"]["step"] == 12
    assert told["samples"] == run.steps("samples", ".png")
    assert {curve["column"] for plot in told["plots"] for curve in plot["curves"]} >= {"loss_d", "frechet_distance"}
    rows = run.metrics()
    found = served.get("curves", run="watched", column=["loss_d", "frechet_distance"])["curves"]
    assert found["loss_d"]["x"] == [row["step"] for row in rows if "loss_d" in row]
    assert found["frechet_distance"]["y"] == [row["frechet_distance"] for row in rows if "frechet_distance" in row]
    # A step that was not measured gets the evaluation of another step, and the answer names that step.
    assert told["evaluations"] == [4, 6, 8, 12]
    assert [served.get("evaluation", run="watched", step=step)["step"] for step in (1, 5, 9, 12)] == [4, 4, 8, 12]
    _, picture, _ = served.ask("/api/sample?run=watched&step=8")
    assert picture == run.file("samples", 8, ".png").read_bytes()
    assert served.ask("/api/sample?run=watched&step=7")[0] == 404


def test_runs_are_compared_as_genlab_compare_does(served: Served) -> None:
    told = served.get("compare", run=["gan", "watched"])
    assert told["unmeasured"] == ["gan", "watched"]
    assert {table["heading"] for table in told["tables"]} >= {"What differs", "Runs", "Machine and time"}
    curve = next(each for each in told["curves"] if "Generator" in each["title"])
    assert [line["run"] for line in curve["lines"]] == ["gan", "watched"]
    assert served.ask("/api/compare?run=gan")[0] == 422
    assert served.ask("/api/compare?run=gan&run=none")[0] == 404


def sealed(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a sealed record."""
    record = json.loads(path.read_text())
    record.pop("crc")
    change(record)
    path.write_text(json.dumps(seals.seal(record)))


def test_only_evaluations_that_belong_together_are_compared(tmp_path: Path) -> None:
    digits = next(path for path in shipped() if path.name == "digits-gan")
    runs = {name: RunDirectory(shutil.copytree(digits, tmp_path / name)) for name in ("a", "b", "c")}
    files = {name: run.path / "evaluations" / kept.FULL_FILE for name, run in runs.items()}
    sealed(files["c"], lambda record: record["protocol"].update(step=1))
    told = compare_document(runs)
    assert (told["unmeasured"], told["unlike"]) == (["c"], "")
    assert "Quality" in {table["heading"] for table in told["tables"]}
    sealed(files["b"], lambda record: record["protocol"].update(dataset="letters"))
    told = compare_document(runs)
    assert told["unlike"] == "Their images are not compared, since they differ in dataset: a: mnist; b: letters."
    assert "Quality" not in {table["heading"] for table in told["tables"]}
    assert told["verdict"] == ""


def test_a_page_judges_a_run_by_all_its_rows(served: Served) -> None:
    """The report does the same; the newest row may be one without a test."""
    for name in ("classifier", "watched", "vae"):
        assert served.get("run", run=name)["verdict"] == of_run(RunDirectory(served.runs / name)).sentence


def test_what_was_readable_and_is_no_more_is_told_from_what_never_was(tmp_path: Path) -> None:
    run = shutil.copytree(next(path for path in shipped() if path.name == "digits-gan"), tmp_path / "run")
    names = sorted(path.name for path in (run / "evaluations").glob("step-*.json"))[:3]
    shares = {"a": (0.95, 0.5, 0.9), "b": (0.95, 0.97, 0.1), "c": (0.2, 0.3, 0.4), "d": (0.9, 0.9, 0.9)}
    for k, name in enumerate(names):
        record = json.loads((run / "evaluations" / name).read_text())
        record.pop("crc")
        for row, told in zip(record["classes"], shares.values(), strict=False):
            row["requested_class_accuracy"] = told[k]
        (run / "evaluations" / name).write_text(json.dumps(seals.seal(record)))
    for later in sorted(path.name for path in (run / "evaluations").glob("step-*.json"))[3:]:
        (run / "evaluations" / later).unlink()
    steps = [int(name[5:11]) for name in names]
    classes = {row["class"]: row for row in evaluation_document(RunDirectory(run), steps[-1])["classes"]}
    found = [(row["since"], row["lost"]) for _, row in sorted(classes.items())][:4]
    assert found == [(steps[2], False), (None, True), (None, False), (steps[0], False)]


def test_a_run_may_vanish_while_it_is_shown(served: Served, tmp_path: Path) -> None:
    root = tmp_path / "runs"
    shutil.copytree(served.runs / "gan", root / "here")
    shutil.copytree(served.runs / "watched", root / "stays")
    studio = Served(root)
    try:
        assert studio.get("run", run="here")["status"]["state"] == "finished"
        studio.get("explore", run="here")
        (root / "here").rename(root / "moved")
        assert studio.ask("/api/run?run=here")[0] == 404
        assert studio.ask("/api/draw?run=here")[0] == 404
        assert studio.get("run", run="moved")["status"]["step"] == 12
        shutil.rmtree(root / "moved" / "samples")
        (root / "moved" / "status.json").write_text("x")
        assert studio.get("run", run="moved")["status"]["state"] == "damaged"
        assert {run["run"]: run["state"] for run in studio.get("runs")["runs"]} == {
            "moved": "damaged",
            "stays": "finished",
        }
        shutil.rmtree(root)
        assert {run["run"] for run in studio.get("runs")["runs"]} == {path.name for path in shipped()}
    finally:
        studio.close()


def test_a_folder_that_may_only_be_read_is_shown(served: Served, tmp_path: Path) -> None:
    root = tmp_path / "runs"
    shutil.copytree(served.runs / "gan", root / "gan")
    for path in [*root.rglob("*"), root]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    studio = Served(root)
    try:
        assert len(studio.get("runs")["runs"]) == 1
        assert studio.get("run", run="gan")["status"]["state"] == "finished"
        assert studio.ask("/api/draw?run=gan")[0] == 200
    finally:
        studio.close()
        for path in [root, *root.rglob("*")]:
            path.chmod(0o755)


def test_the_runs_in_the_package_are_small_and_whole() -> None:
    assert sum(size(path) for path in shipped()) < 6_000_000
    for path in shipped():
        run = Run(path)
        assert verify(run.directory).damages == []
        assert run.evaluation is not None
        documents = {"diagnosis.json", "metrics.jsonl", "provenance.json", "recipe.yaml", "status.json"}
        assert {file.name for file in path.iterdir()} == documents | {"checkpoints", "evaluations", "samples"}


def test_an_empty_folder_shows_them_and_is_left_alone(tmp_path: Path) -> None:
    studio = Served(tmp_path / "none")
    try:
        told = studio.get("runs")
        assert told["shipped"]
        assert {run["run"]: run["state"] for run in told["runs"]} == {
            "digits-gan": "finished",
            "digits-vae": "finished",
        }
        assert (studio.get("explore", run="digits-vae")["units"], studio.ask("/")[0]) == (True, 200)
        assert studio.ask("/api/draw?run=digits-vae&what=map")[0] == 200
    finally:
        studio.close()
    assert size(tmp_path) == 0
    assert list(tmp_path.iterdir()) == []


def test_studies_and_datasets_are_shown_as_they_stand(served: Served) -> None:
    (listed,) = served.get("studies")["studies"]
    assert listed == {"study": "lr", "question": "Which rate?", "state": "4 of 4 runs done; complete"}
    told = served.get("study", study="lr")
    assert [row[0] for row in told["runs"]["rows"]] == ["low", "high"]
    assert told["runs"]["rows"][0][1:] == ["done", "done"]
    for name in ("../lr", "broken", "", "lr.yaml"):
        assert served.ask(f"/api/study?study={quote(name)}")[0] == 404
    names = served.get("datasets")["datasets"]
    assert names[:1] == ["mnist"]
    assert any(name.endswith("digits.npz") for name in names)
    letters = served.get("data", name="letters")
    assert [sheet["split"] for sheet in letters["sheets"]] == ["train", "test"]
    assert len(letters["classes"]["rows"]) == 26
    for name in ("/etc/passwd", "../x", str(served.runs.parent / "outside")):
        assert served.ask(f"/api/data?name={quote(name)}")[0] == 404

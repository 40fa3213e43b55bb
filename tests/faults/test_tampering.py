"""Run files that are missing, damaged, edited, unreadable or of a wrong kind are reported and hide nothing else."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lab
import numpy as np
import pytest
from PIL import Image

import genlab
from conftest import undraw
from genlab.api.recompute import recompute
from genlab.api.run import Run
from genlab.cli import main
from genlab.engine import seals
from genlab.errors import DataError, UsageError
from genlab.evaluation import kept
from genlab.runs import provenance
from genlab.runs.directory import RunDirectory, list_runs
from genlab.runs.listing import state_of
from genlab.runs.verify import verify

pytestmark = [
    pytest.mark.filterwarnings("default::UserWarning"),  # The command line prints them as notes.
]
Call = Callable[..., tuple[int, str, str]]
SMALL = 60
"""Number of images of a "full" evaluation in these tests."""


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """call("runs", "verify", ...) -> exit code, output, errors."""

    def run(*arguments: object) -> tuple[int, str, str]:
        code = 0
        try:
            main.main([str(argument) for argument in arguments])
        except SystemExit as stop:
            code = int(stop.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture(scope="session")
def original(whole: lab.Whole, digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with a finished and evaluated run (a conditional GAN on custom data with a test split) and its copy."""
    folder = tmp_path_factory.mktemp("original")
    with np.load(digits) as arrays:
        x, y = arrays["x_train"], arrays["y_train"]
    np.savez(folder / "own.npz", x_train=x[::2], y_train=y[::2], x_test=x[1::2], y_test=y[1::2])
    recipe = lab.recipe_file(folder, folder / "own.npz", "gan", budget__epochs=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kept, "FULL", SMALL)
        undraw(patch)
        run = genlab.train(str(recipe), runs=folder, name="a")
        run.evaluate(n=SMALL)
        run.report()
    shutil.copytree(folder / "a", folder / "b")
    return folder


@pytest.fixture
def root(original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder of copies of both runs; their dataset stays where it is."""
    monkeypatch.setattr(kept, "FULL", SMALL)
    for name in ("a", "b"):
        shutil.copytree(original / name, tmp_path / "runs" / name)
    return tmp_path / "runs"


def _as_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


WRONG: dict[str, Callable[[Path], object]] = {
    "missing": lambda file: file.unlink(),
    "empty": lambda file: file.write_bytes(b""),
    "half": lambda file: file.write_bytes(file.read_bytes()[: file.stat().st_size // 2]),
    "a list": lambda file: file.write_bytes(b"[]"),
    "a number": lambda file: file.write_bytes(b"7"),
    "no text": lambda file: file.write_bytes(b"\xff\xfe\x00" * 50),
    "nested": lambda file: file.write_bytes(b"[" * 100_000),
    "a folder": _as_folder,
    "another one": lambda file: file.write_bytes(b'{"state": "finished"}'),
}
FILES = ("recipe.yaml", "provenance.json", "status.json", "metrics.jsonl", "evaluations/evaluation.json")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name == "recipe.yaml" else []) for name in FILES]
)
def test_a_broken_file_hides_nothing(name: str, root: Path, call: Call) -> None:
    """Whatever is wrong with a file, the other run stays listed and intact, and `verify` names the file."""
    file = root / "a" / name
    before = file.read_bytes()
    for how, spoil in WRONG.items():
        spoil(file)
        states = {state["run"]: state["state"] for state in map(state_of, list_runs(root))}
        assert states["b"] == "finished"
        assert states["a"] == ("damaged" if name in ("recipe.yaml", "provenance.json", "status.json") else "finished")
        found = verify(RunDirectory(root / "a"))
        if how == "missing" and name.startswith("evaluations"):
            assert found.damages == []  # Not every run has one.
        else:
            assert any(str(file) in damage for damage in found.damages), how
        assert len(found.damages) == len(set(found.damages)), "each is told once"
        shutil.rmtree(file) if file.is_dir() else file.unlink(missing_ok=True)
        file.write_bytes(before)
    WRONG["half"](file)
    code, out, _ = call("runs", "verify", "--runs", root)
    assert code == 4
    assert "b: intact" in out
    sample = ("sample", "a", "-n", 2, "-o", root / "x.png")
    for command in (("report", "a"), sample, ("compare", "a", "b", "-n", SMALL)):
        code, _, err = call(*command, "--runs", root)
        assert code in (0, 3, 4, 5), (command, err)
        assert "bug" not in err
        assert code == 0 or str(root / "a") in err.splitlines()[-1]


@pytest.mark.parametrize(
    "status",
    [
        {},
        {"step": 3},
        {"state": "finished"},
        {"state": "finished", "step": "3"},
        {"state": "finished", "step": True},
        {"state": ["finished"], "step": 3},
        {"state": "won", "step": 3},
        {"state": "finished", "step": 3, "seconds": "long"},
        {"state": "finished", "step": -1, "total_steps": 3},
        {"state": "failed", "step": 3, "reason": {"a": 1}},
    ],
)
def test_a_status_that_is_none(status: dict[str, Any], root: Path, call: Call) -> None:
    """An invalid status is listed as damaged even with a right seal; resuming writes it again."""
    (root / "a" / "status.json").write_text(json.dumps(seals.seal(status)))
    states = {state["run"]: state for state in map(state_of, list_runs(root))}
    assert states["a"]["state"] == "damaged"
    assert states["a"]["reason"].startswith(f"{root / 'a' / 'status.json'}: damaged (")
    assert states["b"]["state"] == "finished"
    code, _, err = call("train", "--resume", root / "a")
    assert code == 0
    assert "already finished" in err
    assert state_of(RunDirectory(root / "a"))["state"] == "finished"
    assert not verify(RunDirectory(root / "a")).damages


def test_a_lost_recipe_is_put_back(root: Path, call: Call) -> None:
    """A lost recipe is restored from the sealed provenance; an edited one is refused, with what was edited."""
    file = root / "a" / "recipe.yaml"
    before = file.read_bytes()
    for how in ("missing", "half", "a list"):
        WRONG[how](file)
        assert call("train", "--resume", root / "a")[0] == 0
        assert file.read_bytes() == before
    file.write_bytes(before.replace(b"loss: relativistic", b"loss: hinge"))
    code, _, err = call("train", "--resume", root / "a")
    assert code == 2
    assert "objective.loss: relativistic -> hinge; restore it, or delete it" in err


def test_an_edited_recipe_is_said_and_not_believed(root: Path, call: Call) -> None:
    """Every command uses the recipe that was trained, and names the edit."""
    file = root / "a" / "recipe.yaml"
    file.write_bytes(file.read_bytes().replace(b"loss: relativistic", b"loss: hinge").replace(b"ngf: 4", b"ngf: 8"))
    told = "recipe.yaml was changed after the run began: "
    code, _, err = call("report", root / "a")
    page = (root / "a" / "report.html").read_text("utf-8")
    assert code == 0
    assert told in err
    assert told in page
    assert "loss: relativistic" in page
    assert "loss: hinge" not in page
    code, _, err = call("sample", root / "a", "-n", 2, "-o", root / "x.png")
    assert code == 0
    assert told in err
    assert told in call("runs", "--runs", root)[1]
    assert told in call("runs", "verify", root / "a")[1]


def test_the_last_row_may_not_be_lost_silently(whole: lab.Whole, tmp_path: Path, call: Call) -> None:
    """The last row of a classifier holds the final accuracy; its step is not a multiple of metrics_every."""
    recipe = str(whole("classifier")[0])
    run = genlab.train(recipe, runs=tmp_path, name="a", overrides={"logging.metrics_every": 5, "budget.epochs": 1})
    file = run.path / "metrics.jsonl"
    rows = file.read_bytes().splitlines(keepends=True)
    assert json.loads(rows[-1])["step"] % 5
    assert verify(run.directory).damages == []
    file.write_bytes(b"".join(rows)[:-9] + b"x" + b"".join(rows)[-8:])
    code, out, _ = call("runs", "verify", run.path)
    assert code == 4
    assert f"metrics.jsonl line {len(rows)}: damaged" in out
    assert call("report", run.path)[0] == 0
    assert f"metrics.jsonl line {len(rows)}: damaged" in (run.path / "report.html").read_text("utf-8")
    file.write_bytes(b"".join(rows[:-1]))
    assert call("runs", "verify", run.path)[0] == 4


def test_resume_sets_a_damaged_row_aside(whole: lab.Whole, tmp_path: Path) -> None:
    from functools import partial

    recipe, digest, _ = whole("gan")
    lab.call(lab.train, recipe, tmp_path, "run", partial(lab.kill_after_save, 6), folder=tmp_path / "p")
    file = tmp_path / "run" / "metrics.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join([*lines[:2], b"garbage\n", *lines[3:]]))
    with (
        pytest.warns(UserWarning, match=r"1 rows are missing, the first at step 3"),
        pytest.warns(UserWarning, match=r"metrics\.jsonl line 3: damaged; 1 damaged lines are set aside"),
    ):
        genlab.train(resume=tmp_path / "run", report=False)
    assert lab.digest(tmp_path / "run") == digest
    assert b"garbage" in (tmp_path / "run" / "metrics.torn").read_bytes()
    assert [row["step"] for row in lab.rows(tmp_path / "run")][:4] == [1, 2, 4, 5]


def forbidden(folder: Path, root: Path) -> None:
    """Run commands as a user who may not read one of the runs."""
    genlab.load_recipe("quick-mnist")  # Python itself may be where that user may not read.
    os.chmod(folder, 0)
    os.setgid(65534)
    os.setuid(65534)
    main.main(["runs", "--runs", str(root)])
    for command in (["report", str(folder)], ["runs", "verify", "--runs", str(root)]):
        try:
            main.main(command)
        except SystemExit as stop:
            print("code", stop.code)


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="only root can become somebody else")
def test_a_run_that_may_not_be_read_is_listed_as_that(original: Path, root: Path, tmp_path: Path) -> None:
    open_to_all = Path("/tmp") / f"genlab-{os.getpid()}"
    shutil.copytree(root, open_to_all)
    try:
        ended = lab.call(forbidden, open_to_all / "a", open_to_all, folder=tmp_path / "p")
    finally:
        shutil.rmtree(open_to_all)
    lines = {line.split()[0]: line for line in ended.out.splitlines()[1:3]}
    assert lines["a"].split()[1] == "unreadable"
    assert "Permission denied" in lines["a"]
    assert lines["b"].split()[1] == "finished"
    assert "code 5" in ended.out
    assert "ask its owner to change the permissions" in ended.err
    assert "b: intact" in ended.out


def test_an_edited_evaluation_is_not_believed(root: Path, call: Call) -> None:
    """An edited evaluation is refused, with or without its seal, and an edited status is reported."""
    file = root / "a" / "evaluations" / "evaluation.json"
    before = file.read_text("utf-8")
    record = json.loads(before)
    record["metrics"]["sharpness_ratio"]["value"] = 1.0
    file.write_text(json.dumps(record), "utf-8")
    code, _, err = call("compare", "a", "b", "-n", SMALL, "--runs", root)
    assert code == 3
    assert f"{file}: damaged or edited (its crc does not match); genlab evaluate {root / 'a'} measures again" in err
    del record["crc"]
    file.write_text(json.dumps(record), "utf-8")
    assert call("compare", "a", "b", "-n", SMALL, "--runs", root)[0] == 3
    assert "evaluation.json: damaged or edited" in call("runs", "verify", root / "a")[1]
    assert call("report", root / "a")[0] == 0
    page = (root / "a" / "report.html").read_text("utf-8")
    assert "How good it is" not in page
    assert "evaluation.json: damaged or edited" in page
    assert call("evaluate", "a", "-n", SMALL, "--runs", root)[0] == 0
    assert json.loads(file.read_text("utf-8"))["metrics"] == json.loads(before)["metrics"]
    status = root / "a" / "status.json"
    status.write_text(status.read_text("utf-8").replace('"finished"', '"failed"'), "utf-8")
    assert "status.json: damaged or edited" in call("runs", "--runs", root)[1]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("protocol",), {}),
        (("metrics",), []),
        (("metrics", "sharpness_ratio"), 3),
        (("metrics", "sharpness_ratio", "value"), "sharp"),
        (("metrics", "sharpness_ratio", "interval"), [1]),
        (("metrics", "precision"), None),
        (("classes",), None),
        (("notes",), [1]),
    ],
)
def test_a_document_that_is_no_evaluation(path: tuple[str, ...], value: Any, root: Path, call: Call) -> None:
    """A document that is not an evaluation is refused even under a right seal."""
    file = root / "a" / "evaluations" / "evaluation.json"
    record = json.loads(file.read_text("utf-8"))
    inner = record
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    file.write_text(json.dumps(seals.seal(record)), "utf-8")
    code, _, err = call("compare", "a", "b", "-n", SMALL, "--runs", root)
    assert code == 3
    assert f"{file}: not an evaluation" in err
    assert call("report", root / "a")[0] == 0


def test_an_edited_picture_is_not_shown(root: Path, call: Call) -> None:
    grid = next((root / "a" / "samples").glob("step-*.png"))
    with Image.open(grid) as picture:
        picture.convert("RGB").save(grid)
    code, out, _ = call("runs", "verify", root / "a")
    assert code == 4
    assert f"{grid}: edited" in out
    assert call("report", root / "a")[0] == 0
    assert f"samples/{grid.name}: edited" in (root / "a" / "report.html").read_text("utf-8")


def test_runs_of_older_versions_are_unsealed_not_damaged(root: Path, call: Call) -> None:
    run = Run(root / "a")
    told = run.provenance
    del told["seals"], told["data"]["test"]
    run.directory.set_provenance(told)
    for name in ("status.json", "evaluations/evaluation.json"):
        document, _ = seals.unseal(json.loads((run.path / name).read_text("utf-8")))
        (run.path / name).write_text(json.dumps(document), "utf-8")
    code, out, _ = call("runs", "verify", run.path)
    assert code == 0
    assert "intact" in out
    assert "2 without a seal, written by an older version: status.json, ..." in out
    assert call("compare", "a", "b", "-n", SMALL, "--runs", root)[0] == 0
    found = run.evaluate(n=20).record
    assert any("did not record its test split" in note for note in found["notes"])


def test_only_a_full_evaluation_replaces_a_full_one(root: Path) -> None:
    run = Run(root / "a")
    full = run.path / "evaluations" / "evaluation.json"
    before, figure = full.read_bytes(), (run.path / "figures" / "evaluation-spectrum.png").read_bytes()
    names = [
        run.evaluate(n=20).file,
        run.evaluate(n=SMALL, seed=3).file,
        run.evaluate(n=SMALL, ema=False).file,
        run.evaluate(n=SMALL, truncation=1.5).file,
        run.evaluate(n=SMALL, judge=genlab.load_judge("mnist")).file,
    ]
    assert full.read_bytes() == before
    assert (run.path / "figures" / "evaluation-spectrum.png").read_bytes() == figure
    assert [path.name if path else None for path in names] == [
        "n20.json",
        "n60-seed3.json",
        "n60-last-weights.json",
        "n60-truncation-1.5.json",
        "n60-judge-mnist-fd4f9689.json",
    ]
    again = run.evaluate(n=SMALL)
    assert again.file == full
    assert full.read_bytes() == before


def test_what_another_protocol_says_is_told(root: Path, call: Call) -> None:
    code, out, _ = call("evaluate", "a", "-n", 20, "--runs", root)
    assert code == 0
    assert f"kept  {root / 'a' / 'evaluations' / 'n20.json'}" in out
    assert "; the report keeps the full evaluation, evaluation.json" in out


def test_an_accuracy_score_survives_the_next_evaluation(root: Path) -> None:
    """The score takes minutes, so an evaluation of the same weights keeps it; other weights do not get it."""
    run = Run(root / "a")
    record = run.evaluation
    assert record is not None
    record["metrics"][kept.ACCURACY_SCORE] = {"value": 0.5, "interval": None, "floor": 0.9, "n": 100}
    kept.keep(run.directory, kept.FULL_FILE, record)
    run.evaluate(n=SMALL)
    assert run.evaluation is not None
    assert run.evaluation["metrics"][kept.ACCURACY_SCORE]["value"] == 0.5
    longer = json.loads(json.dumps(record))
    longer["protocol"]["step"] += 1
    del longer["metrics"][kept.ACCURACY_SCORE]
    kept.keep(run.directory, kept.FULL_FILE, longer)
    assert kept.ACCURACY_SCORE not in run.evaluation["metrics"]
    step = record["protocol"]["step"]
    earlier = kept.load(run.directory, f"evaluation-step-{step:06d}.json")
    assert earlier is not None
    assert earlier["metrics"] == record["metrics"]


def test_records_by_earlier_judges_are_kept(root: Path) -> None:
    """One record per judge, though all are of the same step."""
    run = Run(root / "a")
    record = run.evaluation
    assert record is not None
    judges = [record["protocol"]["judge"], {"name": "own", "sha256": 64 * "1"}, None]
    for k, judge in enumerate(judges):
        other = json.loads(json.dumps(record))
        other["protocol"]["judge"] = judge
        other["metrics"]["sharpness_ratio"]["value"] = k
        kept.keep(run.directory, kept.FULL_FILE, other)
    records = [kept.load(run.directory, name) for name in kept.names(run.directory)]
    assert sorted(each["metrics"]["sharpness_ratio"]["value"] for each in records if each) == [0, 1, 2]
    assert "evaluation-judge-own-11111111.json" in kept.names(run.directory)
    kept.keep(run.directory, kept.FULL_FILE, record)
    assert kept.load(run.directory, "evaluation-no-judge.json") is not None


def test_recompute(root: Path, call: Call) -> None:
    """On one machine, results are identical; a number or pixel that no weights give is found, even under a seal."""
    code, out, _ = call("runs", "verify", root / "a", "--recompute")
    assert code == 0
    assert "grids drawn again: identical (same machine)" in out
    assert "evaluation.json: " in out
    assert "numbers measured again: identical (same machine)" in out
    run = Run(root / "a")
    record = run.evaluation
    assert record is not None
    record["metrics"]["sharpness_ratio"]["value"] *= 1.001
    kept.keep(run.directory, kept.FULL_FILE, record)
    (damage,) = recompute(run).damages
    assert "evaluation.json: metrics.sharpness_ratio.value: " in damage
    # From another machine, a deviation of a thousandth is rounding; a half is not.
    record["protocol"]["measured_on"]["machine"]["processor"] = "another one"
    kept.keep(run.directory, kept.FULL_FILE, record)
    found = recompute(run)
    assert found.damages == []
    assert any("all within 0.2% or 5 images" in line and "processor another one -> " in line for _, line in found.said)
    record["metrics"]["sharpness_ratio"]["value"] += 0.5
    kept.keep(run.directory, kept.FULL_FILE, record)
    assert len(recompute(run).damages) == 1
    kept.keep(run.directory, kept.FULL_FILE, {**record, "metrics": Run(root / "b").evaluate(n=SMALL).record["metrics"]})
    shutil.copy(root / "a" / "samples" / "real.png", next((root / "a" / "samples").glob("step-*.png")))
    assert any("not what the snapshot draws" in line for line in recompute(run).damages)


def test_an_evaluation_that_cannot_be_repeated_hides_no_other(root: Path) -> None:
    """The snapshot of one was pruned; a wrong number in the record after it is found all the same."""
    run = Run(root / "a")
    step = run.directory.steps("snapshots", ".safetensors")[0]
    gone = run.evaluate(n=20, step=step).file
    record = run.evaluate(n=30).record
    record["metrics"]["sharpness_ratio"]["value"] *= 1.5
    kept.keep(run.directory, "n30.json", record)
    run.directory.file("snapshots", step, ".safetensors").unlink()
    found = recompute(run)
    assert any(f"{gone.name}: not compared: no snapshot of step {step}" in line for _, line in found.said)  # type: ignore[union-attr]
    assert any("n30.json: metrics.sharpness_ratio.value" in line for line in found.damages)


def changed(path: Path, **arrays: Any) -> None:
    """Edit arrays of a dataset in place: name=(index, value)."""
    with np.load(path) as there:
        content = {name: there[name].copy() for name in there}
    for name, (at, value) in arrays.items():
        content[name][at] = value
    np.savez(path, **content)


@pytest.fixture
def movable(original: Path, root: Path) -> Path:
    """Dataset that only these two runs use, which may be changed and moved."""
    path = root.parent / "mine.npz"
    shutil.copy(original / "own.npz", path)
    for name in ("a", "b"):
        Run(root / name).relocate(path)
    return path


@pytest.mark.parametrize("edit", [{"x_train": ((0, 3, 3), 200)}, {"x_test": ((5, 3, 3), 200)}, {"y_test": (4, 9)}])
def test_changed_data_are_refused(edit: dict[str, Any], movable: Path, root: Path, call: Call) -> None:
    """One changed pixel of either split, or one test label, stops evaluation, resuming and looking."""
    changed(movable, **edit)
    split = "train" if "x_train" in edit else "test"
    expected = f"the {split} split of {movable} is not the one that run a began with: sha256 "
    code, _, err = call("evaluate", "a", "-n", 20, "--runs", root)
    assert (code, expected in err) == (3, True)
    for saved in (root / "a" / "checkpoints").iterdir():
        shutil.rmtree(saved)  # Steps are left to train.
    code, _, err = call("train", "--resume", root / "a")
    assert (code, expected in err) == (3, True)
    if split == "test":
        with pytest.raises(DataError, match="is not the one that run a began with"):
            Run(root / "a").held_out()


def test_a_test_split_that_is_gone_is_missed(movable: Path, root: Path) -> None:
    with np.load(movable) as arrays:
        content = {name: arrays[name] for name in ("x_train", "y_train")}
    np.savez(movable, **content)
    with pytest.raises(DataError, match=r"the test split .* sha256 [0-9a-f]{12} -> none"):
        Run(root / "a").evaluate(n=20)


def test_a_run_whose_dataset_was_moved(movable: Path, root: Path, call: Call) -> None:
    """Once relocated, a run can be evaluated; another dataset is refused; resuming a finished run needs no dataset."""
    there = root.parent / "elsewhere.npz"
    movable.rename(there)
    code, _, err = call("evaluate", "a", "-n", 20, "--runs", root)
    assert code == 3
    assert f"if it was moved: genlab runs relocate {root / 'a'} FILE" in err
    code, _, err = call("train", "--resume", root / "a")
    assert code == 0
    assert "already finished" in err
    other = root.parent / "other.npz"
    shutil.copy(there, other)
    changed(other, x_train=((0, 0, 0), 9))
    code, _, err = call("runs", "relocate", "a", other, "--runs", root)
    assert code == 3
    assert "is not the one that run a began with" in err
    code, out, _ = call("runs", "relocate", "a", there, "--runs", root)
    assert (code, out) == (0, f"a: dataset {there}\n")
    assert call("evaluate", "a", "-n", 20, "--runs", root)[0] == 0
    assert verify(Run(root / "a").directory).damages == []
    moved = Run(root / "a").provenance["moved"][-1]
    assert (moved["from"], moved["to"]) == (str(movable), str(there))
    run = Run(root / "b")
    told = run.provenance
    told["recipe"]["data"]["name"] = "mnist"
    run.directory.set_provenance(told)
    with pytest.raises(UsageError, match="which is in the package"):
        run.relocate(there)


def test_a_run_of_an_older_version_records_its_test_split_when_it_goes_on(
    whole: lab.Whole, original: Path, tmp_path: Path
) -> None:
    recipe = lab.recipe_file(tmp_path, original / "own.npz", "gan", budget__epochs=2)
    run = genlab.train(str(recipe), runs=tmp_path, name="a", overrides={"budget.max_steps": 4}, report=False)
    told = run.directory.provenance
    del told["data"]["test"]
    run.directory.set_provenance(told)
    run.reread()
    assert not provenance.test_is_recorded(run)
    shutil.rmtree(run.path / "checkpoints")
    with pytest.warns(UserWarning, match="did not record the test split"):
        run = genlab.train(resume=run.path, report=False)
    assert provenance.test_is_recorded(run)
    assert provenance.split_of(run, "test") is not None

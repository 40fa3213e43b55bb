"""The command line as a person or a script uses it, in separate processes if that matters."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genlab.api.run import Run
from genlab.bench import quality, short
from genlab.bench.timing import Paired
from genlab.cli import fields, main
from genlab.engine import calibrate
from genlab.recipe import GanRecipe, files


def call(arguments: Sequence[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    code = 0
    try:
        main.main(arguments)
    except SystemExit as stop:
        code = int(stop.code or 0)
    out, err = capsys.readouterr()
    return code, out, err


def genlab(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "genlab", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )


@pytest.fixture
def recipe_file(small: Callable[..., GanRecipe], tmp_path: Path) -> str:
    path = tmp_path / "small.yaml"
    path.write_text(files.dump(small()), "utf-8")
    return str(path)


def test_train_sample_report(
    recipe_file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Training in a separate process leaves a run that `sample` finds by name and `report` by path."""
    runs = str(tmp_path / "runs")
    done = genlab("train", recipe_file, "--epochs", "1", "--objective.lambda=0.1", "--json", GENLAB_RUNS=runs)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert set(said) == {"run", "seconds", "images_per_second", "report"}
    assert Path(said["report"]).exists()
    recipe = Run(said["run"]).recipe
    assert isinstance(recipe, GanRecipe)
    assert (recipe.budget.epochs, recipe.objective.lambda_) == (1, 0.1)
    output = str(tmp_path / "a.npz")
    monkeypatch.setenv("GENLAB_RUNS", runs)
    code, out, err = call(["sample", Path(said["run"]).name, "-n", "12", "-o", output, "--class", "3"], capsys)
    assert code == 0, err
    assert "EMA weights" in out
    with np.load(output) as arrays:
        assert arrays["labels"].tolist() == [3] * 12
    Path(said["report"]).unlink()
    assert call(["report", said["run"]], capsys)[0] == 0
    assert Path(said["report"]).exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "quick-mnst"], "did you mean 'quick-mnist'?"),
        (["train", "quick-mnist", "--objective.lamda", "3"], "did you mean objective.lambda?"),
        (["train", "quick-mnist", "--budget.epochs", "0"], "budget.epochs is 0"),
        (["train", "quick-mnist", "--budget.epochs"], "needs a value"),
        (["train", "quick-mnist", "--epochs", "many"], "epochs"),
        (["train", "quick-mnist", "--data.name", "mnits"], "neither a built-in dataset"),
        (["train"], "which recipe?"),
        (["trian"], "unknown command 'trian'; did you mean 'train'?"),
        (["show", "s4-dcgn"], "did you mean 's4-dcgan'?"),
        (["sample", "nowhere"], "unknown run 'nowhere'"),
        (["train", "quick-mnist", "--data.name", "2024-13-45"], "neither a built-in dataset"),
        (["train", "quick-mnist", "--budget.batch", "9" * 5000], "budget.batch is"),
        (["train", "quick-mnist", "--optimisers.generator.lr", "yes"], "a number is needed"),
        (["train", "quick-mnist", "--data.name", "set #2.npz"], "'set #2.npz'"),
        (["report", "x" * 300], "unknown run"),
        (["sample", "quick-mnist"], "quick-mnist is a recipe, not a run; train it first: genlab train quick-mnist"),
        (["evaluate", "nofolder", "--against", "mnist"], "nofolder: no such file or folder of images, and no run of"),
        (["diagnose", "nofolder", "--against", "mnist"], "nofolder: no such file or folder of images, and no run of"),
        (["fork", "nowhere", "--step", "7"], "fork has no option --step. Options: --at, "),
        (["data", "check", "nowhere.npz"], "neither a built-in dataset"),
        (["train", "--resume", "nowhere"], "unknown run 'nowhere'"),
    ],
)
def test_errors_are_one_message_with_a_code(
    arguments: list[str],
    words: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = call(arguments, capsys)
    assert code == (3 if {"nowhere.npz", "nofolder", "mnits", "2024-13-45", "set #2.npz"} & set(arguments) else 2)
    assert out == ""
    assert words in err
    assert err.startswith("genlab: ")
    assert err.count("\n") == 1
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "command",
    [
        *("train quick-mnst", "show quick-mnst", "sample nowhere", "fork nowhere --at 3", "train --resume nowhere"),
        *("evaluate nowhere", "diagnose nowhere", "compare nowhere other", "plot nowhere"),
    ],
)
def test_a_wrong_name_is_told_before_torch_is_loaded(command: str) -> None:
    code = f"""
import sys
from genlab.cli import main
try:
    main.main({command.split()})
finally:
    assert "torch" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr[:16]) == (2, "genlab: unknown "), done.stderr


def test_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = call(["train", "nothing", "--debug"], capsys)
    assert code == 2
    assert "Traceback" in err
    assert err.splitlines()[-1].startswith("genlab: unknown recipe 'nothing'")


def test_show_prints_both_tables_of_s4(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(["show", "s4-dcgan"], capsys)
    assert code == 0
    assert "791,776" in out
    assert "691,680" in out
    assert "128 x 7 x 7" in out


def test_show_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = call(["show", "s4-dcgan", "--json"], capsys)
    shown = json.loads(out)
    assert shown["recipe"] == "s4-dcgan"
    generator = shown["networks"][0]
    counts = {"parameters", "trainable", "not_trainable", "running_statistics", "multiply_adds"}
    assert set(generator) == {"name", "layers", *counts}
    # Mean and variance of 128 + 64 + 32 channels.
    assert (generator["not_trainable"], generator["running_statistics"]) == (0, 448)
    assert shown["epoch"] == {
        "steps": 469,
        "images": 60_000,
        "multiply_adds": 60_000 * (3 * 13_698_048 + 8 * 17_791_744),
    }
    assert shown["objective"][1] == "G minimises  E[-log s(D(G(z)))]"
    assert (generator["name"], generator["parameters"], generator["multiply_adds"]) == (
        "generator",
        791_776,
        13_698_048,
    )
    assert generator["layers"][0] == {"type": "ConvTranspose2d", "output_shape": [128, 7, 7], "parameters": 627_200}


def test_values_are_shown_as_a_recipe_spells_them(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = call(["show", "quick-mnist", "--ema", "null", "--engine.compile", "false"], capsys)
    assert out.splitlines()[1] == "changed: ema null, engine.compile false"


def test_show_as_yaml_is_a_recipe(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    _, out, _ = call(["show", "quick-mnist", "--yaml", "--ema", "null"], capsys)
    (tmp_path / "r.yaml").write_text(out, "utf-8")
    assert files.load(tmp_path / "r.yaml") == files.load("quick-mnist", {"ema": None})


@pytest.mark.parametrize(
    ("arguments", "first"),
    [(["recipes"], "quick-mnist"), (["data", "list"], "mnist"), (["data", "check", "mnist"], "mnist")],
)
def test_lists(arguments: list[str], first: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(arguments, capsys)
    assert code == 0
    assert first in out
    _, out, _ = call([*arguments, "--json"], capsys)
    listed: Any = json.loads(out)
    assert first in {entry["name"] for entry in (listed if isinstance(listed, list) else [listed])}


def test_help_is_quick_to_import() -> None:
    """`--help` must load neither torch nor any other package that is slow to import."""
    script = """
import sys
from genlab.cli import main as cli
try:
    cli.main(["--help"])
except SystemExit:
    pass
print("loaded", [m for m in ("torch", "numpy", "pydantic", "matplotlib", "tensorboard") if m in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "loaded []" in done.stdout
    assert "train" in done.stdout


def commands_in(text: str) -> list[str]:
    """Commands that a help text lists."""
    return re.findall(r"^│ ([a-z][a-z-]*)  ", text, re.MULTILINE)


def test_every_command_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    """Each command and each of its parameters has a sentence of help, and each command is in exactly one group."""
    _, text, _ = call(["--help"], capsys)
    names = commands_in(text)
    assert len(names) == len(set(names)) == sum(map(len, main.COMMANDS.values()))
    assert all(f"─ {title} ─" in text for title in main.COMMANDS)
    for name in names:
        code, text, _ = call([name, "--help"], capsys)
        for words in ([name], *([name, inner] for inner in commands_in(text))):
            code, text, _ = call([*words, "--help"], capsys)
            assert code == 0
            usage, sentence = text.split("\n\n")[:2]
            assert usage.startswith(f"Usage: genlab {' '.join(words)}")
            assert sentence[0].isupper(), words
            assert not re.search(r"^│ +(\* +)?(--[\w-]+( -\w)?|[A-Z]+)( [A-Z.]+)? +│$", text, re.MULTILINE), words


def test_waiting_is_passive_before_torch_is_loaded() -> None:
    script = "import genlab, os, sys; print(os.environ['OMP_WAIT_POLICY'], 'torch' in sys.modules)"
    environment = {key: value for key, value in os.environ.items() if key != "OMP_WAIT_POLICY"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.split() == ["PASSIVE", "False"]


def test_a_reader_that_leaves_early_is_no_error() -> None:
    command = f"{sys.executable} -m genlab show s4-dcgan | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0"
    assert done.stderr == ""


def test_a_full_disk_behind_stdout_has_its_code() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "genlab", "recipes"], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 5
    assert "No space left" in done.stderr


def test_overrides_are_read_as_yaml() -> None:
    rest, overrides = fields.take(
        ["train", "x", "--a.b", "1", "--seed", "3", "--a.c=[1, 2]", "--data.last-batch", "keep", "--ema", "null"]
    )
    assert rest == ["train", "x", "--seed", "3"]
    assert overrides == {"a.b": 1, "a.c": [1, 2], "data.last_batch": "keep", "ema": None}


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "s3-mlp", "--seed", "0.7"],
        ["train", "s3-mlp", "--epochs", "1.5"],
        ["sample", "x", "-n", "2.5"],
        ["grid", "x", "--columns", "1.5"],
        ["traverse", "x", "--units", "1", "2.5"],
    ],
)
def test_a_fraction_is_no_whole_number(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code, _, error = call(arguments, capsys)
    assert code == 2
    assert f"{arguments[-1]}': a whole number is needed" in error


def test_the_plan_is_shown(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(
        calibrate, "_milliseconds", lambda device, threads: {"linear float32": 2.0, "linear bfloat16": 1.0}
    )
    monkeypatch.setattr(calibrate, "impossible", lambda device: {})
    main.main(["bench", "plan", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["linear"]["precision"] == "bfloat16"
    assert found["convolutional"]["precision"] == "float32"  # not measured, so not chosen
    assert found["milliseconds"] == {"linear float32": 2.0, "linear bfloat16": 1.0}
    main.main(["bench", "plan", "--anew"])
    told = capsys.readouterr().out
    assert "engine.precision" in told
    assert "linear bfloat16" in told
    assert "--engine.threads 1" in told


class Steps:
    """Stand-in for a training whose steps take a tenth of a second."""

    def __init__(self, *_: object) -> None: ...
    def __enter__(self) -> Steps:
        return self

    def __exit__(self, *_: object) -> None: ...
    def seconds(self, steps: int) -> float:
        return steps / 10


def test_a_benchmark_says_what_was_reached(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    facts = {"flops": 1e6, "peak_memory_mb": 500.0}
    pairs = Paired({"report": [4.0, 6.0, 5.0], "float32": [2.0, 2.0, 2.0]}, {"float32": facts})
    monkeypatch.setattr(calibrate, "_milliseconds", lambda *_: {"linear float32": 1.0})
    monkeypatch.setattr(calibrate, "impossible", lambda device: {"bfloat16": "no instructions for it here"})
    monkeypatch.setattr(short, "peak_gflops", lambda: {"float32": 100.0})
    monkeypatch.setattr(short, "paired", lambda name, ways, *_: pairs if ways == ["report", "float32"] else None)
    monkeypatch.setattr(short, "Stepper", Steps)
    told = []
    for limit, floors in ((1e6, 1.0), (1e6, 1000.0), (0.0, 1.0)):

        def raced(recipe: str, way: str, seed: int, marks: list[int], overrides: Any, f: float = floors) -> Any:
            assert limit > 0, "there is no time for it"  # noqa: B023
            assert overrides["budget.max_steps"] == marks[-1]  # the schedule spans the race
            return [{"step": marks[-1], "seconds": 5.0, "floors": f}]

        monkeypatch.setattr(quality, "curve", raced)
        monkeypatch.setattr(short, "LIMIT_SECONDS", limit)
        main.main(["bench"])
        told.append(capsys.readouterr().out)
        assert "s4-classifier" in told[-1]
        assert "Left out: bfloat16: no instructions for it here" in told[-1]
    assert "x that of real images: reached" in told[0]
    assert "x that of real images: not reached" in told[1]
    assert "x that of real images: not tried" in told[2]  # a slow machine
    assert "its 320 steps would take about 32 s of training (100 ms a step, measured), too long for" in told[2]

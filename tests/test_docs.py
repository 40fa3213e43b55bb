"""README and docs are true: their commands and Python run, and their tables are complete."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import cyclopts
import numpy as np
import pytest
import yaml
from PIL import Image

import genlab
import genlab.api.compare  # Its default number of images is that of a full evaluation, which a test below reduces.
import genlab.api.evaluate
from genlab.api.judge import train_judge
from genlab.api.run import Run
from genlab.bench import quality, short
from genlab.cli import fields, main
from genlab.data import BUILTIN
from genlab.engine import calibrate
from genlab.evaluation import judge, judge_trial
from genlab.evaluation.diagnosis.advice import ADVICE
from genlab.evaluation.diagnosis.remedies import CANDIDATES
from genlab.recipe import files
from genlab.recipe.objectives import LOSSES, PENALTIES
from genlab.runs import checkpoint
from genlab.studio import server
from genlab.study import design
from genlab.study.folder import Folder
from genlab.study.plan import plan
from plans import leave

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
EXERCISES = ROOT / "docs" / "extending.md"  # Its Python runs in copies of the source; see test_extending.


def blocks(page: Path, language: str) -> list[str]:
    found = re.findall(r"^ *```(\w*)\n(.*?)^ *```$", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    return [block for name, block in found if name == language]


COMMANDS = sorted(
    {
        line.split("#")[0].strip()
        for page in PAGES
        for block in blocks(page, "")
        for line in block.splitlines()
        if line.startswith("genlab ")
    }
)


def test_every_command_is_in_the_docs() -> None:
    """Every command is in the docs, where the test below runs it."""
    commands = [command for group in main.COMMANDS.values() for command in group]
    names = {c.name[0] if isinstance(c, cyclopts.App) else c.__name__.replace("_", "-") for c in commands}
    assert names <= {line.split()[1] for line in COMMANDS}


QUICK: dict[str, Any] = {
    "engine.plan": "reference",
    "budget.max_steps": 2,
    "budget.batch": 16,
    "logging.tensorboard": False,
}


def quick(recipe: object) -> dict[str, Any]:
    """Overrides that shorten a training run of that recipe."""
    family = files.load(recipe).family  # type: ignore[arg-type]
    return QUICK if family == "classifier" else {**QUICK, "logging.evaluation": "none"}


@pytest.fixture(scope="session")
def others(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    """Finished small runs of the other families."""
    folder = tmp_path_factory.mktemp("runs")
    return [
        genlab.train(name, overrides={**quick(name), "data.name": str(digits)}, runs=folder, name=f"{name}-seed0-001")
        for name in ("s4-vae", "vae-binarised", "s4-classifier")
    ]


SLOW = (
    "genlab search",
    "genlab judge test",
    "genlab bench",
    "genlab evaluate samples.npz --against mnist",
    "genlab study run",
)
TRAININGS = [line for line in COMMANDS if line.startswith("genlab train ")]


def is_slow(command: str) -> bool:
    """Whether a command is slow; of the training commands, which differ in a flag, every third is not."""
    if command in TRAININGS:
        return TRAININGS.index(command) % 3 != 0
    return command.startswith(SLOW) and command != "genlab bench plan"


def lay_out_a_judge(folder: Path) -> None:
    """Add a test split to mine.npz, and train a judge beside it."""
    with np.load(folder / "mine.npz") as arrays:
        x, y = arrays["x_train"], arrays["y_train"]
    np.savez(folder / "mine.npz", x_train=x, y_train=y, x_test=x[::2], y_test=y[::2])
    with pytest.warns(UserWarning, match="are few for a judge"):
        train_judge(str(folder / "mine.npz"), runs=folder / "runs", progress=False)


def lay_out_a_study(folder: Path, digits: Path) -> None:
    """Write a small study under the names used in the docs, records that students handed in, and a CSV of numbers."""
    arms = {"low": {"optimiser.lr": 0.001}, "high": {"optimiser.lr": 0.01}}
    study = {"schema": 1, "name": "lr", "recipe": "s4-classifier", "arms": arms, "seeds": [0, 1, 2, 17]}
    quantity = {"kind": "column", "name": "test_accuracy"}
    study |= {"overrides": {**QUICK, "data.name": str(digits)}, "quantities": {"quality": quantity}}
    for name in ("s4-classifier-lr.yaml", "FILE"):
        (folder / name).write_text(json.dumps(study), "utf-8")
    lent = plan(design.check(study, "lr"), folder)
    for cell in lent.cells:
        leave(Folder(folder / "hand"), lent, cell, value=0.8 + cell.seed / 100)
    rows = [f"{arm},{seed},{seed + 5 * (arm == 'a')}" for arm in "ab" for seed in range(8)]
    (folder / "results.csv").write_text("\n".join(["model,seed,fid", *rows]), "utf-8")


def lay_out_pictures(folder: Path) -> None:
    """Make a folder of pictures of several sizes and one file that is none, its import, and a dataset of floats."""
    rng = np.random.default_rng(0)
    for k in range(40):
        place = folder / "photos" / ("cat", "dog")[k % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (28 + k % 5, 30), np.uint8)).save(place / f"{k}.png")
    (place / "notes.png").write_text("no picture", "utf-8")
    genlab.import_images(folder / "photos", folder / "photos.npz", size=32, fit="pad", skip_bad=True, progress=False)
    np.savez(folder / "floats.npz", x_train=rng.random((20, 28, 28)))


@pytest.mark.filterwarnings("ignore:.*training images are few for a judge")
@pytest.mark.parametrize(
    "command", [pytest.param(line, marks=[pytest.mark.slow] if is_slow(line) else []) for line in COMMANDS]
)
def test_commands_in_the_docs_run(
    command: str,
    finished: Run,
    others: list[Run],
    digits: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Training is cut to two steps of a small batch, an evaluation to 500 images, and only one training gets a report;
    runs that a page mentions are copies of the finished one."""
    arguments = shlex.split(command)[1:]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.npz").write_bytes(digits.read_bytes())
    with np.load(digits) as arrays:
        np.savez(tmp_path / "samples.npz", images=arrays["x_train"], labels=arrays["y_train"])
        x, y = (np.concatenate([arrays[name]] * 2) for name in ("x_train", "y_train"))
        np.savez(tmp_path / "mnist.npz", x_train=x, y_train=y)
    lay_out_pictures(tmp_path)
    (tmp_path / "runs").mkdir()
    for run in (finished, *others):
        shutil.copytree(run.path, tmp_path / "runs" / run.path.name)
    for name in ("quick-mnist-seed1-001", "quick-mnist-1min-seed0-001", "quick-mnist-1min-seed1-001", "first"):
        shutil.copytree(finished.path, tmp_path / "runs" / name)
    if arguments[0] == "study" and arguments[1] != "new":
        lay_out_a_study(tmp_path, digits)
    if "--resume" in arguments:  # As if it had been killed before its end.
        shutil.rmtree(checkpoint.found(tmp_path / "runs" / arguments[-1] / "checkpoints")[-1])
    if arguments[:2] == ["judge", "train"]:
        arguments[2] = "mnist.npz"  # 200 images, one batch per epoch
    monkeypatch.setattr(server, "listening", lambda port, listening=server.listening: listening(0))
    monkeypatch.setattr(server, "serve", lambda studio, opened, token: opened.close())
    monkeypatch.setattr("genlab.evaluation.measure.FULL", 500)
    monkeypatch.setattr("genlab.api.judge.STEPS", 2)
    monkeypatch.setattr("genlab.api.judge.EPOCHS", 1)
    monkeypatch.setattr(judge_trial, "DISTURBANCES", {"shift": (judge_trial.shift, (1,))})
    monkeypatch.setattr(short, "SYSTEMS", ("s4-classifier",))
    monkeypatch.setattr(short, "BLOCK_SECONDS", 0.01)
    monkeypatch.setattr(short, "peak_gflops", lambda: dict.fromkeys(calibrate.PRECISIONS, 100.0))
    monkeypatch.setattr(quality, "curve", lambda *_: [{"step": 450, "seconds": 5.0, "floors": 60.0}])
    if arguments == ["judge", "test", "mine.npz"]:
        lay_out_a_judge(tmp_path)
    if arguments[0] == "search":
        for option, value in (("--teraops", "0.0002"), ("--trials", "1")):
            arguments[arguments.index(option) + 1] = value
        small = {"data.name": digits, "budget.batch": 16, "logging.evaluation": "none"}
        small |= {"networks.generator.ngf": 4, "networks.discriminator.ndf": 4}
        arguments += [part for key, value in small.items() for part in (f"--{key}", str(value))]
    if arguments[0] == "train" and "--resume" not in arguments:
        shorter = quick(arguments[1])
        if "--minutes" in arguments:  # A tiny time budget in place of a number of steps.
            arguments[arguments.index("--minutes") + 1] = "0.001"
            shorter = {key: value for key, value in shorter.items() if key not in ("budget.max_steps", "budget.epochs")}
        arguments += [part for key, value in shorter.items() for part in (f"--{key}", str(value))]
        own = any(flag in arguments for flag in ("--data.name", "--data"))
        arguments += [] if own else ["--data.name", str(digits)]
    if "first" in arguments and arguments[0] == "train":  # As if the run did not exist yet.
        shutil.rmtree(tmp_path / "runs" / "first")
    if arguments[:2] == ["data", "import"] and "photos.npz" in arguments:
        (tmp_path / "photos.npz").unlink()
    if arguments[0] == "train" and arguments[1:2] != ["quick-fashion"]:
        monkeypatch.setattr("genlab.api.train.finish", lambda run: None)
    main.main(arguments)
    assert capsys.readouterr().out


@pytest.mark.parametrize("page", [page for page in PAGES if page != EXERCISES], ids=lambda page: page.name)
def test_python_in_the_docs_runs(page: Path, digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python in the docs runs as written, except that every training run is small."""
    monkeypatch.chdir(tmp_path)
    train = genlab.train

    def quickly(recipe: object, **options: object) -> Run:
        kept = ("generator", "discriminator", "objective", "observers", "seed")
        own = {key: options[key] for key in kept if key in options}
        asked = dict(options.get("overrides") or {})  # type: ignore[call-overload]
        given = {"data": options["data"]} if "data" in options else {}
        name = {} if given else {"data.name": asked.get("data.name", str(digits))}
        return train(recipe, overrides={**asked, **quick(recipe), **name}, **own, **given)  # type: ignore[arg-type]

    monkeypatch.setattr(genlab, "train", quickly, raising=False)
    monkeypatch.setattr(genlab, "Watch", partial(genlab.Watch, evaluation="none"), raising=False)
    for block in blocks(page, "python"):
        exec(compile(block.replace("steps, z = 1200", "steps, z = 40"), page.name, "exec"), {})


NUMBERS = re.compile(r"^([A-Z]|STEP|SEED|STEPS|SEEDS)$")
"""Placeholder for a number in a sentence."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_that_are_only_quoted_parse(page: Path) -> None:
    """Commands within sentences parse, and so do those in blocks that take too long to run."""
    said = [part.replace("\n", " ") for part in re.findall(r"`(genlab [^`]+)`", page.read_text("utf-8"))]
    lines = [re.split(" #|   ", line.strip())[0] for block in blocks(page, "text") for line in block.splitlines()]
    for command in [*said, *(line for line in lines if line.startswith("genlab "))]:
        if any(mark in command for mark in ("...", "[", "|", " - ")):
            continue
        words = [NUMBERS.sub("1", word) for word in shlex.split(command)[1:]]
        tokens, _ = fields.take(words)
        try:
            main.app.parse_args(tokens, exit_on_error=False, print_error=False)
        except cyclopts.CycloptsError as error:
            if isinstance(error, cyclopts.MissingArgumentError) and not re.search(r"--[\w.-]+ ", command):
                continue  # A command or its option is only named.
            pytest.fail(f"{command}: {error}")


def test_the_commands_that_make_a_failure_are_of_valid_recipes() -> None:
    commands = re.findall(r"^genlab train (\S+) (.*)$", (ROOT / "docs" / "findings.md").read_text("utf-8"), re.M)
    assert len(commands) >= 8
    for recipe, flags in commands:
        words = shlex.split(flags)
        given = {path.removeprefix("--"): value for path, value in zip(words[::2], words[1::2], strict=True)}
        files.load(recipe, {path: yaml.safe_load(value) for path, value in given.items()})


def test_every_finding_has_its_section() -> None:
    titles = re.findall(r"^## (.+)$", (ROOT / "docs" / "findings.md").read_text("utf-8"), re.M)
    sections = {name for title in titles for name in title.split(", ")}
    assert sections >= {*CANDIDATES, *ADVICE}
    table = (ROOT / "docs" / "diagnosis.md").read_text("utf-8")
    assert [name for name in sections if f"`{name}`" not in table] == []


def test_every_recipe_and_dataset_is_listed() -> None:
    recipes, readme = ((ROOT / page).read_text("utf-8") for page in ("docs/recipes.md", "README.md"))
    for name in files.names():
        assert f"`{name}`" in recipes
    for name in BUILTIN:
        assert f"`{name}`" in readme


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text("utf-8")):
            assert target.startswith("https://") or (page.parent / target).exists(), (page.name, target)


def test_metrics_in_the_docs_are_those_that_are_logged(finished: Run, others: list[Run]) -> None:
    shared = (ROOT / "docs" / "recipes.md").read_text("utf-8")
    for run in (finished, *others):
        text = shared + (ROOT / "docs" / "recipes" / f"{run.recipe.family}.md").read_text("utf-8")
        for column in {key for row in run.metrics() for key in row}:
            assert f"`{column}`" in text, column


@pytest.mark.parametrize(
    ("name", "page", "tables"),
    [
        ("quality", "README.md", ["table"]),
        ("faults", "docs/reliability.md", ["table"]),
        ("throughput", "docs/performance.md", ["table", "curves_table"]),
        ("waiting", "docs/performance.md", ["table", "busy_table"]),
        ("quick", "docs/data.md", ["table", "table_of_64"]),
    ],
)
def test_published_figures_are_those_of_the_record(name: str, page: str, tables: list[str]) -> None:
    """The tables in the pages are the ones that the benchmarks' records give."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "benchmarks" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    record = json.loads(benchmark.RECORD.read_text("utf-8"))
    for table in tables:
        assert getattr(benchmark, table)(record) in (ROOT / page).read_text("utf-8")


def test_the_record_of_quality_is_of_these_judges() -> None:
    record = json.loads((ROOT / "benchmarks" / "records" / "quality.json").read_text("utf-8"))
    assert record["judges"].items() <= judge.PINNED.items()
    assert record["quick-mnist"]["frechet_floors"]["mean"] <= 6
    assert record["quick-mnist"]["requested_class_accuracy"]["mean"] >= 0.97
    assert record["s2-dcgan"]["epoch 2"]["frechet_floors"] >= 60
    assert record["s2-dcgan"]["epoch 5"]["frechet_floors"] >= 20
    assert record["seconds"]["full"] <= 30
    assert record["seconds"]["cheap"] <= record["seconds"]["first_cheap"] <= 3


def test_the_page_of_the_library_is_that_of_its_docstrings() -> None:
    """The page that `make docs` writes is up to date."""
    spec = importlib.util.spec_from_file_location("api_page", ROOT / "docs" / "api.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.PAGE.read_text("utf-8") == module.page()
    for name in genlab.__all__:
        assert name.startswith("__") or f"## genlab.{name}\n" in module.page()


def test_the_page_of_gans_lists_every_loss_and_penalty() -> None:
    text = (ROOT / "docs" / "recipes" / "gan.md").read_text("utf-8")
    for name in (*LOSSES, *PENALTIES):
        assert f"`{name}`" in text, name

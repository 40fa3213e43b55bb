from __future__ import annotations

import base64
import csv
import hashlib
import re
import shlex
import shutil
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import genlab
from genlab.api.run import Run
from genlab.cli import fields
from genlab.engine.files import write_json
from genlab.evaluation.diagnosis.finding import Finding
from genlab.recipe import GanRecipe, files
from genlab.recipe.changes import changes, short
from genlab.report import curves, findings, origin, verdict
from genlab.report import page as pages
from genlab.report.html import render
from genlab.runs.directory import RunDirectory

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)> \u2028\u202e &amp;"


class Parsed(HTMLParser):
    """All tags, attributes and text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def report(run: Run) -> Parsed:
    return Parsed((run.path / "report.html").read_text("utf-8"))


def test_the_page_holds_what_it_should(finished: Run) -> None:
    page = report(finished)
    for words in (
        finished.path.name,
        "nothing here is a validation curve",
        "EMA weights (decay 0.999), running BatchNorm statistics",
        "ConvTranspose2d",
        "engine:",
        "sha256",
        "torch 2.",
        "Each row is one class",
        "G minimises  E[-log s(D(G(z)) - D(x))]",
        "Pass 2: the generator learns; the discriminator is held fixed",
        "Each row goes from one z to another",
        "The same 12 z after each of these epochs",
    ):
        assert words in page.text, words
    assert sum(tag == "svg" for tag, _ in page.tags) == 5  # four plots and the drawing
    assert sum(tag == "img" for tag, _ in page.tags) == 6


def test_the_page_is_self_contained(finished: Run) -> None:
    """The page fetches nothing and has one script, the only one that its policy allows (by hash)."""
    page = report(finished)
    assert not {tag for tag, _ in page.tags} & {"link", "iframe", "object", "embed", "base"}
    assert [attributes for tag, attributes in page.tags if tag == "script"] == [{}]
    (script,) = re.findall("<script>(.*?)</script>", (finished.path / "report.html").read_text("utf-8"), re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = (str(a["content"]) for tag, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.endswith(f"; script-src 'sha256-{digest}'")
    assert (finished.path / "report.html").stat().st_size < 3e6
    for tag, attributes in page.tags:
        for name in ("src", "href", "xlink:href", "action"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:image/png;base64,", "#")), (tag, name, value)
    text = (finished.path / "report.html").read_text("utf-8")
    assert "url(" not in text.replace("url(#", "")
    assert "default-src 'none'" in text


def test_pictures_are_embedded_as_they_are(finished: Run) -> None:
    sources = [str(a["src"]).partition(",")[2] for tag, a in report(finished).tags if tag == "img"]
    assert base64.b64decode(sources[0]) == finished.file("samples", 12, ".png").read_bytes()
    assert base64.b64decode(sources[1]) == (finished.path / "samples" / "real.png").read_bytes()


def test_text_from_people_is_escaped(finished: Run, tmp_path: Path) -> None:
    """The run's name and description, class names, data name and reason for failure are all shown as text."""
    copy = tmp_path / "<b>run"
    (copy / "samples").mkdir(parents=True)
    (copy / "figures").mkdir()
    for name in ("metrics.jsonl", "recipe.yaml", "samples/real.png", "samples/step-000012.png"):
        (copy / name).write_bytes((finished.path / name).read_bytes())
    provenance = finished.directory.provenance
    provenance["data"]["class_names"] = [HOSTILE] * 10
    provenance["data"]["name"] = HOSTILE
    provenance["machine"]["processor"] = HOSTILE
    RunDirectory(copy).set_provenance(provenance)
    write_json(copy / "status.json", {"state": "failed", "step": 1, "total_steps": 2, "reason": HOSTILE})
    run = RunDirectory(copy)
    text = run.recipe.model_copy(update={"description": HOSTILE})
    page = pages.run_page(run)
    seen = Parsed(render(pages.RunPage(**{**vars(page), "lead": text.description, "title": HOSTILE})))
    assert sum(tag == "script" for tag, _ in seen.tags) == 1
    assert not any("onerror" in attributes for _, attributes in seen.tags)
    assert sum(tag == "img" for tag, _ in seen.tags) == 2
    assert seen.text.count("<script>alert(1)</script>") >= 14


def test_csv_holds_every_row(finished: Run) -> None:
    with (finished.path / "figures" / "losses.csv").open(encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    rows = finished.metrics()
    assert [float(line["loss_d"]) for line in table] == [row["loss_d"] for row in rows]
    assert [int(line["step"]) for line in table] == [row["step"] for row in rows]


def test_numbers_are_those_of_the_rows() -> None:
    """A missing or non-finite value is an empty field, and its row stays."""
    rows = [{"step": k, "a": None if k == 4 else 1.0, **({"b": float(k)} if k % 3 == 0 else {})} for k in range(1, 10)]
    text = curves._csv(["step", "epoch", "a", "b"], [{**row, "epoch": 0} for row in rows]).decode().splitlines()
    assert len(text) == 10
    assert text[1:4] == ["1,0,1.0,", "2,0,1.0,", "3,0,1.0,3.0"]


def test_long_runs_are_thinned_and_say_so(finished: Run, tmp_path: Path) -> None:
    (tmp_path / "figures").mkdir()
    rows = [{"step": k, "epoch": k / 10, "loss_d": 1.0, "loss_g": 2.0} for k in range(1, 2001)]
    (figure,) = curves.draw(rows, finished.recipe)
    assert figure.block == 5
    assert len(figure.csv.decode().splitlines()) == 2001


@pytest.mark.parametrize(
    ("recipe", "changes", "levels"),
    [
        ("quick-mnist", {}, [0.693]),
        ("s2-dcgan", {}, [0.693, 1.386]),
        ("s2-dcgan", {"objective.discriminator_terms": "half-sum"}, [0.693]),
    ],
)
def test_equilibrium_lines(
    recipe: str, changes: dict[str, str], levels: list[float], small: Callable[..., GanRecipe]
) -> None:
    losses = next(plot for plot in curves.plots(small(changes, recipe)) if plot.name == "losses")
    assert sorted(round(height, 3) for height, _ in losses.levels) == levels


def test_unconditional_pages_do_not_speak_of_classes(small: Callable[..., GanRecipe], tmp_path: Path) -> None:
    run = genlab.train(small({"budget.max_steps": 3}, "s2-dcgan"), runs=tmp_path)
    assert "Each row is one class" not in report(run).text
    assert "last weights, running BatchNorm statistics" in report(run).text


def test_a_run_that_has_not_begun_has_a_page(finished: Run, tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path, finished.recipe, 0, finished.provenance, "new")
    text = render(pages.run_page(run))
    assert "This run has not begun." in text
    assert "No samples yet." in text


@pytest.mark.parametrize(("seconds", "words"), [(0.4, "0 s"), (99.4, "99 s"), (185, "3 min 5 s"), (8820, "2 h 27 min")])
def test_durations(seconds: float, words: str) -> None:
    assert verdict.duration(seconds) == words


def test_reports_are_pure(finished: Run) -> None:
    """A page is a function of the run: two calls give the same bytes, and no file is written or rewritten."""

    def files_of(run: Run) -> dict[Path, tuple[int, int]]:
        return {p: (p.stat().st_mtime_ns, p.stat().st_ino) for p in run.path.rglob("*") if p.is_file()}

    before = files_of(finished)
    first, again = pages.run_page(finished.directory), pages.run_page(finished.directory)
    assert render(first) == render(again)
    assert [(f.png, f.csv) for f in first.figures] == [(f.png, f.csv) for f in again.figures]
    assert files_of(finished) == before
    assert re.search(r"<title>.* - genlab</title>", render(first))


def test_a_run_says_what_was_changed(finished: Run) -> None:
    """Changes are those from the built-in recipe of the same name, without machine-specific values."""
    ((label, words),) = pages._changes(finished.recipe, finished.provenance["base"])
    assert label == "changed from quick-mnist"
    assert "networks.generator.ngf 4" in words
    assert "engine." not in words
    assert pages._changes(files.load("quick-mnist"), None) == []


def test_of_a_recipe_that_was_another_one_then_nothing_is_said(finished: Run) -> None:
    """If a newer genlab has a different recipe of that name, the run itself was not changed."""
    then = "0" * 64
    assert pages._changes(finished.recipe, then) == []
    provenance: Any = {**finished.provenance, "base": then}
    assert origin.again(finished.recipe, provenance).command == "genlab train recipe.yaml --seed 0"


def test_an_older_run_promises_its_bits_only_without_denormal_numbers(finished: Run) -> None:
    """A training counts numbers below 1.2e-38 as 0 now; those of older versions kept them."""
    assert origin.again(finished.recipe, finished.provenance).words.endswith("bit for bit.")
    machine = {key: value for key, value in finished.provenance["machine"].items() if key != "denormals"}
    older: Any = {**finished.provenance, "machine": machine}
    assert origin.again(finished.recipe, older).words.endswith("numbers below 1.2e-38 count as 0 now.")


def test_a_run_that_was_resumed_elsewhere_promises_no_bits(finished: Run) -> None:
    resumed: Any = {**finished.provenance, "resumed": [{"exact": True}, {"exact": False}]}
    found = origin.again(finished.recipe, resumed)
    assert found.words == "This gives a run with the same settings, but not the same weights: it was resumed elsewhere."
    assert found.command == origin.again(finished.recipe, finished.provenance).command


def test_a_warm_start_is_part_of_the_command_and_not_of_the_name() -> None:
    warm = genlab.load_recipe("s4-vae", {"init_encoder_from": "s4-classifier-seed0-001"})
    provenance: Any = {"seed": 3, "own": {}, "machine": {}}
    expected = "genlab train s4-vae --seed 3 --init_encoder_from s4-classifier-seed0-001"
    assert origin.again(warm, provenance).command == expected
    assert "s4-classifier" not in short(changes(warm))
    assert "encoder-from s4-classifier-seed0-001" in short(changes(warm), words=True)


def test_what_to_try_is_in_the_command_of_a_recipe_of_ones_own() -> None:
    """The recipe that is to be saved is that of the run, without the change."""
    mine: Any = genlab.load_recipe("s2-dcgan").model_copy(update={"name": "mine"})
    provenance: Any = {"seed": 3, "own": {}, "machine": {}}
    tried = findings.command(mine, provenance, {"optimisers.generator.lr": 0.001})
    assert tried == "genlab train recipe.yaml --seed 3 --optimisers.generator.lr 0.001"


def test_a_step_to_keep_has_its_command_where_it_was_kept() -> None:
    found = Finding("overfitting", "fault", "Overfitting", keep=500)
    assert ("Keep", "step 500 is the best one") in findings.lines(found, "a")
    kept = replace(found, kept=True)
    assert ("Keep", "step 500 is the best one: genlab sample a --step 500") in findings.lines(kept, "a")


def test_a_warm_start_stands_under_provenance() -> None:
    cold: Any = {}
    warm: Any = {"encoder_from": {"run": "a", "step": 1407}}
    assert origin._encoder_from(cold) == []
    assert origin._encoder_from(warm) == [("encoder from", "a, step 1,407")]


@pytest.mark.parametrize(
    ("changes", "command"),
    [
        ({}, "genlab train s2-dcgan --seed 3"),
        ({"budget.max_steps": 9}, "genlab train s2-dcgan --seed 3 --budget.max_steps 9"),
        (
            {"optimisers.generator.betas": [0.9, 0.99], "ema.decay": 0.5},
            "genlab train s2-dcgan --seed 3 --ema.decay 0.5 --optimisers.generator.betas 0.9 0.99",
        ),
        ({"ema": {"decay": 0.5}, "augmentation": None}, "genlab train s2-dcgan --seed 3 --ema.decay 0.5"),
        ({"data.name": "/my images/a.npz"}, "genlab train s2-dcgan --seed 3 --data.name '/my images/a.npz'"),
    ],
)
def test_the_command_that_makes_a_run_again_makes_its_recipe(changes: dict[str, Any], command: str) -> None:
    """A shell splits the command into words that give the same recipe."""
    recipe = genlab.load_recipe("s2-dcgan", changes)
    provenance: Any = {"seed": 3, "own": {}, "machine": {}}
    found = origin.again(recipe, provenance)
    assert sorted(found.command.split(" --")) == sorted(command.split(" --"))
    rest, overrides = fields.take(shlex.split(found.command)[1:])
    assert rest == ["train", "s2-dcgan", "--seed", "3"]
    assert genlab.load_recipe("s2-dcgan", overrides) == recipe


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("quick-mnist", {"ema": None, "objective.classification": None}),
        ("judge-mnist", {"augmentation": None}),
        ("s3-mlp", {"optimisers.both.name": "adadelta", "optimisers.both.lr": 1.0}),
        ("quick-mnist-unconditional", {"networks.generator": {"kind": "mlp", "widths": [8, 9]}}),
        ("s2-dcgan", {"networks.discriminator": {"kind": "mlp", "widths": [8]}}),
        ("wgan-gp", {"objective.penalty": "none", "objective.lambda": None, "objective.clip": 0.01}),
    ],
)
def test_what_was_turned_off_or_exchanged_is_in_the_command(name: str, changes: dict[str, Any]) -> None:
    """A section that is off, and a network or an optimiser of another kind."""
    recipe = genlab.load_recipe(name, changes)
    provenance: Any = {"seed": 3, "own": {}, "machine": {}}
    _, overrides = fields.take(shlex.split(origin.again(recipe, provenance).command)[1:])
    assert genlab.load_recipe(name, overrides) == recipe


def test_a_run_with_parts_of_ones_own_says_that_no_command_makes_it() -> None:
    provenance: Any = {"seed": 3, "own": {"generator": "Mine"}, "machine": {}}
    assert "generator Mine" in origin.again(genlab.load_recipe("s2-dcgan"), provenance).words


def test_whoever_builds_a_page_anew_is_told_of_damaged_files(finished: Run, tmp_path: Path) -> None:
    shutil.copytree(finished.path, folder := tmp_path / "copy")
    rows = (folder / "metrics.jsonl").read_text("utf-8").splitlines(keepends=True)
    (folder / "metrics.jsonl").write_text("".join(["{ broken\n", *rows[1:]]), "utf-8")
    with pytest.warns(UserWarning, match=r"^copy: metrics.jsonl line 1: damaged; 1 row left out$"):
        genlab.open_run(folder).report()

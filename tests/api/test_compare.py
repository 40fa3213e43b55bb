"""Comparing runs: overlaid curves, pages, and the settings in which the runs differ."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import genlab
from genlab.api import compare as api
from genlab.api.run import Run
from genlab.cli import main
from genlab.errors import UsageError
from genlab.recipe import GanRecipe
from genlab.recipe.changes import apart
from genlab.report.compare_page import _classes, compare_page, said_of_settings
from genlab.report.overlay import overlay


@pytest.fixture(scope="module")
def runs(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two settings of a small GAN, two seeds each; two classifiers; a VAE."""
    folder = tmp_path_factory.mktemp("runs")
    shared: dict[str, Any] = {"data.name": str(digits), "budget.batch": 16, "logging.tensorboard": False}
    small = {
        **shared,
        "engine.plan": "reference",
        "networks.generator.ngf": 4,
        "networks.discriminator.ndf": 4,
        "budget.epochs": 2,
        "logging.metrics_every": 2,
        "logging.evaluation": "none",
    }
    for lr in (1e-3, 2e-4):
        for seed in (0, 1):
            changes = {**small, "optimisers.both.lr": lr}
            genlab.train("s2-dcgan", overrides=changes, seed=seed, runs=folder, report=False, progress=False)
    for lr in (1e-2, 1e-3):
        classifier = {**shared, "budget.epochs": 3, "optimiser.lr": lr}
        genlab.train("s4-classifier", overrides=classifier, runs=folder, report=False, progress=False)
    vae = {**shared, "budget.epochs": 1, "logging.evaluation": "none"}
    genlab.train("s4-vae", overrides=vae, runs=folder, name="vae", report=False, progress=False)
    return folder


def gans(runs: Path) -> list[Run]:
    return [run for run in genlab.list_runs(runs) if run.recipe.family == "gan"]


@pytest.mark.drawn
def test_two_settings_of_two_seeds_in_one_figure(runs: Path) -> None:
    drawn = genlab.plot(gans(runs), "loss_g")
    assert sorted(drawn.runs.settings) == ["lr 0.0002"] * 2 + ["lr 0.001"] * 2
    assert sorted(drawn.runs.labels) == [f"lr {lr}, seed {seed}" for lr in ("0.0002", "0.001") for seed in (0, 1)]
    assert drawn.caption.startswith("One colour per setting, one line per seed (seeds 0, 1: solid, dashed, ...).")
    assert drawn.png[:4] == b"\x89PNG"
    assert drawn.pdf[:4] == b"%PDF"
    assert drawn.svg.count("lr 0.001</text>") == 1, "a setting stands once in the legend"
    rows = list(csv.DictReader(drawn.csv.decode().splitlines()))
    assert {(row["setting"], row["seed"]) for row in rows} == {
        (setting, seed) for setting in ("lr 0.001", "lr 0.0002") for seed in "01"
    }
    first = next(run for run in gans(runs) if run.path.name == rows[0]["run"])
    assert float(rows[0]["loss_g"]) == pytest.approx(first.metrics()[0]["loss_g_mean"])


@pytest.mark.parametrize("against", ["step", "epoch", "images", "seconds"])
def test_axes(against: str, runs: Path) -> None:
    drawn = genlab.plot(gans(runs)[:1], "loss_d", against=against)
    expected = [row[against] for row in gans(runs)[0].metrics()]
    assert [float(row[against]) for row in csv.DictReader(drawn.csv.decode().splitlines())] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"of": "loss"}, r"unknown column 'loss'; did you mean 'loss_[dg]'\?"),
        ({"of": "loss_d", "against": "time"}, "against is 'time'; allowed: step, epoch, half-epoch, images, seconds"),
        ({"of": "loss_d", "block": 0}, "block is 0; allowed: 1 or more steps"),
    ],
)
def test_what_cannot_be_drawn(arguments: dict[str, Any], words: str, runs: Path) -> None:
    with pytest.raises(UsageError, match=words):
        genlab.plot(gans(runs), **arguments)


def test_a_run_without_the_column_is_named(runs: Path) -> None:
    chosen = {run.recipe.family: run for run in genlab.list_runs(runs)}
    drawn = genlab.plot([chosen["gan"], chosen["classifier"], chosen["vae"]], "loss_g")
    assert drawn.caption.endswith(f"Not drawn: {chosen['classifier'].path.name}, vae (have no loss_g).")
    assert "Not drawn" not in genlab.plot(gans(runs), "loss_g").caption


def test_the_commands(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [run.path.name for run in gans(runs)[:2]]
    place = str(tmp_path / "x.pdf")
    main.main(["plot", *names, "--of", "loss_g", "--block", "6", "--runs", str(runs), "-o", place])
    assert capsys.readouterr().out.startswith(f"{place}: Loss: Generator over step.")
    main.main(["plot", *names, "--of", "loss_g", "--against", "images", "--runs", str(runs), "-o", place])
    assert "Loss: Generator over training images seen." in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main.main(["plot", *names, "--runs", str(runs)])
    assert "plot needs --of COLUMN; these runs have: loss_d, loss_g" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main.main(["plot", *names, "--of", "loss_g", "--runs", str(runs), "-o", str(tmp_path / "x.txt")])
    assert "allowed: .png, .pdf, .svg, .csv" in capsys.readouterr().err
    page = tmp_path / "page.html"
    main.main(["compare", *names, "-n", "30", "--runs", str(runs), "-o", str(page)])
    assert f"page  {page}" in capsys.readouterr().out
    assert page.stat().st_size < 3e6


def test_a_page_of_gans(runs: Path) -> None:
    chosen = gans(runs)
    found = api.comparison(chosen, n=30, progress=False)
    assert found.page.differences is not None
    fields = [row[0] for row in found.page.differences.rows]
    assert fields == ["optimisers.generator.lr", "optimisers.discriminator.lr"]
    assert len(found.page.frames) >= 1
    assert all(len(frame.grids) == 4 for frame in found.page.frames)
    assert {"Loss: Discriminator", "Loss: Generator"} <= {figure.title for figure in found.page.figures}
    assert set(found.records) == {run.path.name for run in chosen}


@pytest.mark.parametrize("family", ["gan", "classifier"])
def test_runs_on_different_datasets_are_refused_before_anything_is_measured(
    family: str, runs: Path, digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other.npz"
    other.write_bytes(digits.read_bytes())
    changes = {"data.name": str(other), "budget.epochs": 1, "budget.batch": 16, "logging.evaluation": "none"}
    vae = genlab.train("s4-vae", overrides=changes, runs=tmp_path, report=False, progress=False)
    first = next(run for run in genlab.list_runs(runs) if run.recipe.family == family)
    monkeypatch.setattr(Run, "evaluate", lambda *_, **__: pytest.fail("a run was measured"))
    for compare in (api.comparison, api.compare):
        with pytest.raises(UsageError, match=rf"they differ in dataset: {first.path.name}: .*{digits.name}; s4-vae-.*"):
            compare([first, vae], n=30, progress=False)


def test_a_page_of_classifiers_and_of_all_families(runs: Path) -> None:
    classifiers = [run for run in genlab.list_runs(runs) if run.recipe.family == "classifier"]
    found = api.comparison(classifiers, progress=False)
    assert found.records == {}
    assert found.page.quality is None
    assert found.page.ends is not None
    ends = [row[0] for row in found.page.ends.rows]
    assert ends == ["train loss", "train accuracy"]  # These data have no test split.
    everything = compare_page({run.path.name: run.directory for run in genlab.list_runs(runs)}, {})
    assert len(everything.runs.rows) == 7
    assert len(everything.machines.rows) == 7


def test_a_number_of_those_asked_for_never_stands_beside_a_share() -> None:
    """Shares of a run that was not asked for classes do not appear beside the accuracies of one that was."""
    protocol = {"samples": 100}
    asked = {"classes": [{"class": "a", "requested_class_accuracy": 0.5, "share": 0.5, "share_in_data": 0.5}]}
    free = {"classes": [{"class": "a", "requested_class_accuracy": None, "share": 0.9, "share_in_data": 0.1}]}
    records = {"gan": {**asked, "protocol": protocol}, "vae": {**free, "protocol": protocol}}
    table = _classes(records)
    assert table is not None
    assert table.rows == [("a", "50.0 %", "-")]
    alone = _classes({"vae": records["vae"]})
    assert alone is not None
    assert alone.rows == [("a", "9.00")]


def test_a_run_has_one_colour_in_every_figure(runs: Path) -> None:
    compared = api.compared(genlab.list_runs(runs))
    names = {column.name for column in compared.columns}
    figures = [overlay(compared, name) for name in names if any(name in row for rows in compared.rows for row in rows)]
    colours = {(k, figure.look(k)[0]) for figure in figures for k in figure.found}
    assert len({k for k, _ in colours}) == len(colours) == 7


def test_another_length_of_z_is_another_z(runs: Path, digits: Path, tmp_path: Path) -> None:
    shared: dict[str, Any] = {"data.name": str(digits), "budget.batch": 16, "budget.max_steps": 1}
    wide = {**shared, "networks.latent": 5, "logging.evaluation": "none"}
    genlab.train("s4-vae", overrides=wide, runs=tmp_path, name="wide", report=False, progress=False)
    chosen = {path.name: genlab.open_run(path).directory for path in (runs / "vae", tmp_path / "wide")}
    assert compare_page(chosen, {}).frames_caption.startswith("Each run has its own z")
    assert compare_page({"a": chosen["vae"], "b": chosen["vae"]}, {}).frames_caption.startswith("The same z in every")


def test_a_compare_page_is_self_contained(runs: Path, tmp_path: Path) -> None:
    api.comparison(gans(runs), n=30, progress=False).save(tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text("utf-8")
    assert "default-src 'none'" in text
    assert not re.findall(r'(?:src|href)="(?!data:image/png;base64,|#)', text)
    with pytest.raises(UsageError, match=r"allowed: \.html"):
        api.comparison(gans(runs), n=30, progress=False).save(tmp_path / "page.txt")


def test_two_settings_are_told_apart_only_by_seeds(runs: Path) -> None:
    compared = api.compared(gans(runs))
    order = [("lr 0.0002" in label) for label in compared.labels]
    few = said_of_settings(compared, [1.0 if low else 2.0 for low in order], "distance")
    assert "2 and 2 seeds cannot show a difference (exact permutation test: p is 0.33 at best" in few
    many = replace(
        compared,
        names=[f"r{k}" for k in range(8)],
        recipes=compared.recipes[:1] * 8,
        settings=["a"] * 4 + ["b"] * 4,
        seeds=[0, 1, 2, 3] * 2,
        rows=[[]] * 8,
    )
    apart_ = said_of_settings(many, [1, 2, 3, 4, 11, 12, 13, 14], "distance")
    assert "2.5 on average (1 to 4, 4 seeds) with a, 12.5 on average (11 to 14, 4 seeds) with b" in apart_
    assert "differ by more than seeds alone usually do (exact permutation test, p = 0.029)" in apart_
    assert "no more than seeds alone usually do" in said_of_settings(many, [1, 12, 3, 14, 11, 2, 13, 4], "distance")
    twice = replace(many, seeds=[0, 0, 1, 1] * 2)
    assert "2 and 2 seeds cannot show a difference" in said_of_settings(twice, [1, 1, 2, 2, 11, 11, 12, 12], "distance")
    one = said_of_settings(replace(many, settings=["a"] * 7 + ["b"]), [1.0] * 8, "distance")
    assert "Only one seed with b: it is not known whether another seed would agree." in one
    two = replace(many, settings=["a", "b"], seeds=[0, 0])
    overlap = said_of_settings(two, [1.0, 2.0], "distance", [(0.5, 1.5), (1.4, 2.6)])
    assert "overlap: they show no clear difference. One seed each: it is not known whether another" in overlap
    measured = said_of_settings(two, [1.0, 2.0], "distance", [(0.5, 1.5), (1.6, 2.4)])
    assert "do not overlap: these two runs do differ. One seed each" in measured
    assert "interval" not in said_of_settings(two, [1.0, 2.0], "distance", [(0.5, 1.5), None])
    assert said_of_settings(replace(many, settings=list("abcdefgh")), [1.0] * 8, "distance") == ""


def test_what_is_known_only_by_name_is_no_seed_of_one_setting(runs: Path) -> None:
    compared = replace(api.compared(gans(runs)), settings=["a"] * 2, seeds=[3, 7], custom=True)
    assert said_of_settings(compared, [1.0, 2.0], "distance").endswith("these runs may differ in more than their seed.")
    warm = genlab.load_recipe("s4-vae", {"init_encoder_from": "s4-classifier"})
    other = genlab.load_recipe("s4-vae", {"init_encoder_from": "another-run"})
    assert apart([genlab.load_recipe("s4-vae"), warm]) == ["encoder-from none", "encoder-from classifier"]
    assert apart([warm, other]) == ["", ""]


def test_seeds_of_one_setting_are_chance(runs: Path) -> None:
    compared = replace(api.compared(gans(runs)), settings=["a"] * 2, seeds=[3, 7])
    assert said_of_settings(compared, [1.0, 2.0], "distance") == (
        "distance: 1 with seed 3, 2 with seed 7. These runs differ only in their seed: any difference between them is "
        "chance, no reason to call one of them better."
    )
    assert "the same seed" in said_of_settings(replace(compared, seeds=[3, 3]), [1.0, 1.0], "distance")
    assert said_of_settings(compared, [1.0, None], "distance") == ""


def test_what_sets_recipes_apart(small: Callable[..., GanRecipe]) -> None:
    assert apart([small(), small({"budget.batch": 8})]) == ["batch 16", "batch 8"]
    assert apart([small(), small()]) == ["", ""]
    two = [genlab.load_recipe("s2-dcgan"), genlab.load_recipe("s1-mlp", {"budget.batch": 8})]
    assert apart(two) == ["s2-dcgan", "s1-mlp batch 8"]

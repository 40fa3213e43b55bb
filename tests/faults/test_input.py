"""D: every bad dataset or recipe gets one message (what, where, what is allowed, what next); nothing is made or run."""

from __future__ import annotations

import json
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import lab
import numpy as np
import pytest

import genlab
from genlab.api import evaluate
from genlab.cli import main
from genlab.errors import DataError, RecipeError
from genlab.evaluation import judge_search

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 28, 28), np.uint8)
LABELS = np.arange(40) % 4


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Exit code and message of a command that fails."""
    with pytest.raises(SystemExit) as caught:
        main.main(arguments)
    out, err = capsys.readouterr()
    assert out == ""
    assert "Traceback" not in err
    assert err.startswith("genlab: ")
    return int(str(caught.value.code)), err


def changed(array: Any, at: int, value: Any) -> Any:
    copy = array.copy()
    copy[at] = value
    return copy


DATA: dict[str, tuple[dict[str, Any], str]] = {
    "float 0..1": (
        {"x_train": PIXELS / 255},
        "float64 with values 0 .. 1; expected uint8, 0 .. 255; if 0 is black and 1 white: genlab data import",
    ),
    "float 0..255": (
        {"x_train": PIXELS.astype(np.float32)},
        "x_train is float32 with values 0 .. 255; expected uint8, 0 .. 255; if 0 is black and 255 white",
    ),
    "float -1..1": (
        {"x_train": PIXELS / 127.5 - 1},
        "x_train is float64 with values -1 .. 1; expected uint8, 0 .. 255; if -1 is black",
    ),
    "NaN": (
        {"x_train": np.full((4, 28, 28), np.nan)},
        "x_train is float64 with NaN or infinity (first in [0]); expected uint8",
    ),
    "int64": ({"x_train": PIXELS.astype(np.int64)}, "x_train is int64 with values 0 .. 255; expected uint8"),
    "big-endian": ({"x_train": PIXELS.astype(">u2")}, "x_train is >u2 with values 0 .. 255; expected uint8"),
    "bool": ({"x_train": PIXELS > 127}, "x_train is bool with values 0 .. 1; expected uint8"),
    "objects": ({"x_train": np.array([{}, {}], object)}, "holds Python objects, which are never loaded"),
    "rank": ({"x_train": PIXELS[0]}, "has shape (28, 28); expected N x H x W"),
    "rank 5": ({"x_train": PIXELS[None, None]}, "has shape (1, 1, 40, 28, 28); expected"),
    "not square": ({"x_train": PIXELS[:, :20]}, "28 x 20 pixels; expected squares"),
    "two channels": ({"x_train": np.stack([PIXELS, PIXELS], 1)}, "C 1 or 3"),
    "no images": ({"x_train": PIXELS[:0]}, "no images"),
    "missing": (
        {"pictures": PIXELS},
        "no array x_train; found pictures (uint8, 40 x 28 x 28); expected an npz file",
    ),
    "lengths": ({"x_train": PIXELS, "y_train": LABELS[:39]}, "y_train has shape (39,); expected (40,)"),
    "negative": ({"x_train": PIXELS, "y_train": changed(LABELS, 7, -1)}, "y_train[7] is -1; expected 0 .. K-1"),
    "too many": (
        {"x_train": np.zeros((1001, 8, 8), np.uint8), "y_train": np.arange(1001)},
        "y_train has 1,001 different values; at most 1,000 classes",
    ),
    "float labels": ({"x_train": PIXELS, "y_train": LABELS * 1.0}, "y_train is float64; expected integers"),
    "NaN labels": ({"x_train": PIXELS, "y_train": LABELS * np.nan}, "y_train is float64; expected integers"),
    "unprintable labels": (
        {"x_train": PIXELS, "y_train": changed(LABELS.astype("U4"), 5, "a\x1b[2")},
        "y_train[5] is 'a\\x1b[2', which is not a printable name",
    ),
    "few names": ({"x_train": PIXELS, "y_train": LABELS, "class_names": np.array(["a"])}, "at least 4 strings"),
}


@pytest.mark.parametrize("case", DATA)
def test_bad_arrays(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """D4, D5: training refuses bad arrays with one message."""
    arrays, words = DATA[case]
    np.savez(tmp_path / "own.npz", **arrays)
    own = str(tmp_path / "own.npz")
    code, said = told(capsys, "train", "s1-mlp", "--data.name", own, "--runs", str(tmp_path / "r"))
    assert code == 3
    assert own in said
    assert words in said
    assert said.count("\n") == 1
    assert not (tmp_path / "r").exists()
    lab.count("datasets refused")


@pytest.mark.parametrize("fortran", [False, True])
def test_an_odd_layout_is_read_and_noted(fortran: bool, tmp_path: Path) -> None:
    """D4: a layout that can be read without guessing is read and noted."""
    colour = np.stack([PIXELS, PIXELS, PIXELS], 3)
    np.savez(tmp_path / "own.npz", x_train=np.asfortranarray(colour) if fortran else colour, y_train=LABELS * 0)
    dataset = genlab.data.load(str(tmp_path / "own.npz"))
    assert (dataset.images[:, 1] == PIXELS).all()
    single = "a single class: class metrics are meaningless"
    assert dataset.notes == ("read as N x H x W x C (channels last)", single)


def test_missing_and_single_classes(tmp_path: Path) -> None:
    """D5: missing classes are noted; a single class can be trained on, without class metrics."""
    np.savez(tmp_path / "own.npz", x_train=PIXELS, y_train=LABELS * 2)
    found = genlab.data.load(str(tmp_path / "own.npz"))
    assert found.class_names == ("0", "2", "4", "6")
    assert found.notes == ("labels are 0, 2, 4, 6: taken as the names of 4 classes",)
    named = np.array(["a", "b", "c", "d", "e"])
    np.savez(tmp_path / "named.npz", x_train=PIXELS, y_train=LABELS, class_names=named)
    assert genlab.data.load(str(tmp_path / "named.npz")).notes == ("classes without a training image: e",)
    np.savez(tmp_path / "one.npz", x_train=PIXELS, y_train=LABELS * 0)
    changes = {**lab.BASE, **lab.NARROW, "data.name": str(tmp_path / "one.npz"), "budget.max_steps": 1}
    run = genlab.train("quick-mnist", overrides=changes, runs=tmp_path, report=False)
    assert run.evaluate(n=50).record["metrics"]["class_kl"]["value"] is None


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--budget.batch", "64"], 2, "budget.batch is 64, but dataset"),
        (["--budget.batch", "39", "--data.last-batch", "keep"], 2, "the last batch would be a single image, which"),
        (["--budget.batch", "1"], 2, "batch normalisation needs 2 or more"),
        (["--budget.batch", "0"], 2, "budget.batch is 0"),
    ],
)
def test_too_few_images(
    arguments: list[str], code: int, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """D6: too few images are reported before training, with the numbers."""
    np.savez(tmp_path / "own.npz", x_train=PIXELS, y_train=LABELS)
    found, said = told(
        capsys, "train", "s2-dcgan", "--data.name", str(tmp_path / "own.npz"), "--runs", str(tmp_path / "r"), *arguments
    )
    assert found == code
    assert words in said
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize("kind", ["constant", "all the same"])
def test_images_without_variety(kind: str, tmp_path: Path) -> None:
    """D7: images without variety can be trained on; metrics have a value or none, but never NaN."""
    images = np.zeros_like(PIXELS) if kind == "constant" else np.repeat(PIXELS[:1], 40, 0)
    np.savez(tmp_path / "own.npz", x_train=images, y_train=LABELS)
    changes = {**lab.BASE, **lab.NARROW, "data.name": str(tmp_path / "own.npz"), "budget.max_steps": 2}
    said = pytest.warns(UserWarning, match="have the same value") if kind == "constant" else nullcontext()
    with said:
        run = genlab.train("quick-mnist", overrides=changes, runs=tmp_path, report=False)
    record = run.evaluate(n=50).record
    assert json.loads(json.dumps(record, allow_nan=False))["metrics"]["memorised_fraction"]["n"] == 50


def test_few_samples_are_said(digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """D8: a note says that the images are few."""
    np.savez(tmp_path / "few.npz", images=PIXELS)
    with np.load(digits) as arrays:
        x, y = arrays["x_train"], arrays["y_train"]
    np.savez(tmp_path / "own.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    monkeypatch.setattr(evaluate, "load_judge", lambda name: judge_search.load("mnist"))
    found = genlab.evaluate(tmp_path / "few.npz", against=str(tmp_path / "own.npz"))
    assert any("40 images are few for 64 features" in note for note in found.record["notes"])


RECIPES: dict[str, tuple[str | bytes, str]] = {
    "typo": ("{base}\nobjektive: 1\n", "unknown field objektive; did you mean objective?"),
    "seed": ("{base}\nseed: 1\n", "unknown field seed"),
    "twice": ("name: a\nname: b\n", "appears twice"),
    "tag": ("!!python/object/apply:os.system ['touch canary']\n", "tags (!name) are not allowed"),
    "object": ("name: !!python/object:os.system {}\n", "tags (!name) are not allowed"),
    "laughs": (
        "a: &a [x,x,x,x,x,x,x,x,x]\n"
        + "".join(f"{c}: &{c} [{','.join([f'*{p}'] * 9)}]\n" for p, c in zip("abcdefgh", "bcdefghi", strict=True)),
        "alias",
    ),
    "NUL": ("name: \x00\n", "'\\x00' is not allowed in YAML"),
    "a list": ("- 1\n- 2\n", "a recipe is"),
    "empty": ("", "empty"),
    "large": (b"#" * 2_000_000, "larger than 1,000,000 bytes"),
    "binary": (bytes(range(256)), "not"),
    "import path": ("{base}\n_target_: os.system\n", "unknown field _target_"),
    "other schema": ("{schema 2}", "schema"),
}


@pytest.mark.parametrize("case", RECIPES)
def test_bad_recipe_files(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """D9, B13: bad recipe files are refused at once, and nothing is imported or run."""
    content, words = RECIPES[case]
    base = genlab.recipe.files.dump(genlab.load_recipe("quick-mnist"))
    if isinstance(content, str):
        content = content.replace("{base}", base).replace("{schema 2}", base.replace("schema: 1", "schema: 2")).encode()
    (tmp_path / "r.yaml").write_bytes(content)
    start = time.monotonic()
    code, said = told(capsys, "train", str(tmp_path / "r.yaml"), "--runs", str(tmp_path / "runs"))
    assert time.monotonic() - start < 2
    assert code == 2
    assert words in said
    assert not (tmp_path / "runs").exists()
    assert not (tmp_path / "canary").exists()
    lab.count("recipes refused")


VALUES = {
    "optimisers.generator.lr": ["-1", "0", "nan", "inf", "1e10", ".inf", "fast"],
    "optimisers.generator.betas": ["[0.5, 1.0]", "[0.5]", "[-1, 0.9]", "0.5"],
    "budget.epochs": ["0", "-1", "1.5", "x", "1e99"],
    "budget.batch": ["0", "-1", "1e99", "true"],
    "networks.latent": ["0", "-1", "1000000000"],
    "data.size": ["17", "0", "100000"],
    "data.name": ["mnits", "''", "/dev/zero", "../.."],
    "objective.lambda": ["-1", "nan"],
    "ema.decay": ["1.5", "-0.1", "nan"],
    "objective.loss": ["__import__('os')", "hinge "],
    "networks.generator.kind": ["os.system", "genlab.families.gan.model.Gan"],
    "engine.device": ["tpu", "cuda:99"],
}
SEEDS = ["-1", "18446744073709551616", "1.5", "x", ""]


@pytest.mark.parametrize(("path", "value"), [(path, value) for path, values in VALUES.items() for value in values])
def test_bad_values(
    path: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """D10: a bad value is refused, with its path."""
    # "../.." must be the same folder on every machine, and one without pictures.
    here = tmp_path / "a" / "b"
    here.mkdir(parents=True)
    monkeypatch.chdir(here)
    code, said = told(capsys, "train", "quick-mnist", f"--{path}={value}", "--runs", str(tmp_path / "runs"))
    assert code in ((2, 3) if path == "data.name" else (2,)), said
    assert path in said or path == "data.name"
    assert not (tmp_path / "runs").exists()
    lab.count("values refused")


@pytest.mark.parametrize("seed", SEEDS)
def test_bad_seeds(seed: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """D10: a bad seed is refused."""
    code, said = told(capsys, "train", "quick-mnist", f"--seed={seed}", "--runs", str(tmp_path / "runs"))
    assert code == 2
    assert "seed" in said
    assert not (tmp_path / "runs").exists()


def test_all_problems_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Several problems are in one message, one per line."""
    code, said = told(
        capsys, "train", "quick-mnist", "--budget.batch=0", "--optimisers.generator.lr=nan", "--networks.latent=0"
    )
    assert code == 2
    assert "has 3 problems" in said
    assert said.count("\n") == 4


def test_a_hostile_npz_is_never_unpickled(tmp_path: Path) -> None:
    """B5: Python objects in an npz file are refused and never unpickled."""
    from attacks import Attack

    attacks = np.array([Attack(tmp_path / "canary")], object)
    np.savez(tmp_path / "own.npz", x_train=attacks, images=attacks)
    with pytest.raises(DataError, match="Python objects, which are never loaded"):
        genlab.data.load(str(tmp_path / "own.npz"))
    with pytest.raises(DataError, match="Python objects, which are never loaded"):
        genlab.evaluate(tmp_path / "own.npz", against="mnist")
    assert not (tmp_path / "canary").exists()


def test_a_single_pack_cannot_be_normalised(digits: Path, tmp_path: Path) -> None:
    """Batch normalisation in D sees packs: of 100 images in batches of 16, the last four are one pack of four."""
    network = {"kind": "mlp", "widths": [8], "normalisation": "batch"}
    changes: dict[str, Any] = {"networks.discriminator": network, "objective.packing": 4, "budget.batch": 16}
    changes |= {"data.name": str(digits), "data.last_batch": "keep"}
    with pytest.raises(RecipeError, match="the last batch would be a single pack of 4, which batch normalisation"):
        genlab.show("s3-mlp", changes)
    genlab.show("s3-mlp", {**changes, "data.last_batch": "drop"})
    more = {"objective.generator_batch": 4, "objective.generator_noise": "fresh", "data.last_batch": "drop"}
    with pytest.raises(RecipeError, match="generator_batch is 4, which makes it a single pack of 4"):
        genlab.show("s3-mlp", {**changes, **more})

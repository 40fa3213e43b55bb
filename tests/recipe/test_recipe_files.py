from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from genlab.errors import RecipeError, UsageError
from genlab.recipe import files, source
from genlab.recipe.text import parse


@pytest.mark.parametrize("name", files.names())
def test_built_in_recipes_are_complete(name: str) -> None:
    """A built-in file names every field, in the order of the schema, so that nothing hides in a default."""
    path = Path(str(source._folder())) / f"{name}.yaml"
    written, full = yaml.safe_load(path.read_text("utf-8")), files.to_dict(files.load(name))
    assert list(files._leaves(written)) == list(files._leaves(full))
    assert written["name"] == name
    assert written["description"]


@pytest.mark.parametrize("name", files.names())
def test_dump_and_load_are_inverse(name: str, tmp_path: Path) -> None:
    recipe = files.load(name)
    (tmp_path / "r.yaml").write_text(files.dump(recipe), "utf-8")
    assert files.load(tmp_path / "r.yaml") == recipe


def test_overrides_reach_the_field_and_nothing_else() -> None:
    recipe = files.load("quick-mnist")
    changed = files.load("quick-mnist", {"objective.lambda": 0.5, "ema": None})
    old = files.to_dict(recipe)
    assert files.diff(recipe, changed) == {
        "objective.lambda": (old["objective"]["lambda"], 0.5),
        "ema.decay": (old["ema"]["decay"], None),
    }


def test_a_recipe_does_not_differ_from_itself() -> None:
    assert files.diff(files.load("s2-dcgan"), files.load("s2-dcgan")) == {}


def test_a_section_that_is_off_can_be_switched_on() -> None:
    recipe = files.load("s2-dcgan", {"ema.decay": 0.99})
    assert recipe.ema_decay == 0.99


def test_loading_does_not_change_the_mapping_given() -> None:
    raw: dict[str, Any] = files.to_dict(files.load("quick-mnist"))
    before = yaml.safe_dump(raw)
    files.load(raw, {"budget.epochs": 7})
    assert yaml.safe_dump(raw) == before


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [", "line 1"),
        ("- 1\n- 2\n", "a recipe is a mapping"),
        ("name: a\nname: b\n", "'name' appears twice"),
        ("a: &x [1]\nb: *x\n", "aliases"),
        ("a: !!python/object/apply:os.system [ls]\n", "tags (!name) are not allowed"),
        ("? [a, b]\n: 1\n", "a key is not a plain word"),
        ("family: gna\n", "did you mean 'gan'"),
        ("family: gan\nschema: 2\n", "schema is 2"),
        ("x\x00y", "'\\x00' is not allowed"),
    ],
)
def test_a_bad_file_is_refused_in_words(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text, "utf-8")
    with pytest.raises(UsageError) as caught:
        files.load(path)
    assert words in str(caught.value)
    assert "bad.yaml" in str(caught.value)


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(UsageError, match="not UTF-8"):
        files.load(tmp_path / "r.yaml")


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_bytes(b"#" * (source.MAX_BYTES + 1))
    with pytest.raises(UsageError, match="larger than"):
        files.load(tmp_path / "r.yaml")


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(UsageError, match="No such file"):
        files.load("nowhere/r.yaml")


def test_a_folder_of_images_is_not_a_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("pics").mkdir()
    Path("pics.zip").touch()
    for name in ("pics", "pics.zip", str(tmp_path / "pics")):
        with pytest.raises(UsageError, match=f"{name} is not a recipe; to .*: genlab train quick --data {name}$"):
            files.load(name)


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    text = files.dump(files.load("quick-mnist"))
    (tmp_path / "r.yaml").write_text("\ufeff" + text, "utf-8")
    assert files.load(tmp_path / "r.yaml") == files.load("quick-mnist")


def test_an_empty_mapping_names_what_is_missing() -> None:
    with pytest.raises(RecipeError) as caught:
        files.load({"family": "gan", "schema": 1, "name": "x"})
    assert {"data is missing", "networks is missing", "objective is missing"} <= set(caught.value.problems)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 5000, " line 1: lists or sections nested more than 20 deep"),
        ("a: " + "{a: " * 3000, " line 1: lists or sections nested more than 20 deep"),
        ("a:\n" + "\n".join("  " * k + "- b:" for k in range(900)), " line 11: lists or sections nested more than"),
        ("a: 1\nb:\n\t- c", " line 3: a tab; YAML is indented with spaces"),
        ("a: 1\nb: \x1b[31m", " line 2: the character '\\x1b' is not allowed in YAML"),
        ("a: !!python/object:x 1", " line 1: tags (!name) are not allowed"),
        ("a: !!binary x", " line 1: tags (!name) are not allowed"),
        ("a: 1\n---\nb: 2", " line 2: a second document (---)"),
        ("a: b: c", " line 1: a second ':' in a line"),
        ("a: 'b", " line 1: a quote that is never closed"),
        ("a: 1\nb: 'c\n" + "d: 1\n" * 9, " line 2: a quote that is never closed"),
        ("a: 1\nb: [c\n" + "d\n" * 9, " line 2: a bracket that is never closed"),
        ("a: [b", " line 1: a bracket that is never closed"),
        ("a: 1\n  b: 2", " line 2: a second ':' in a line, or a line indented too far"),
        ("a:\n  b: 1\n c: 2", " line 3: a line indented differently"),
        ("a: @x", " line 1: a text that begins with a special character"),
        ("a: " + "9" * 5000, ": a number that is malformed or too long"),
        ("a\nb: 1", " line 2: a second ':'"),
    ],
)
def test_what_is_no_yaml_is_told_in_our_words(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(text, "utf-8")
    with pytest.raises(UsageError) as caught:
        files.load(tmp_path / "r.yaml")
    assert str(caught.value).startswith(f"recipe {tmp_path / 'r.yaml'}{words}")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_a_date_is_a_text(tmp_path: Path) -> None:
    """A date is read as text, even one that does not exist."""
    for date in ("2026-01-31", "2026-99-99"):
        (tmp_path / "r.yaml").write_text(
            files.dump(files.load("s3-mlp")).replace("name: s3-mlp", f"name: {date}"), "utf-8"
        )
        assert files.load(tmp_path / "r.yaml").name == date
        assert files.load(files.to_dict(files.load(tmp_path / "r.yaml"))).name == date


@given(st.text(alphabet="[]{}:,-'\"&*!|>#?%@` \t\nab19\x85\u2028é", max_size=40))
def test_no_text_gets_anything_but_an_answer(text: str) -> None:
    told = ""
    try:
        parse(text, "r")
    except UsageError as error:
        told = str(error)
    assert told == "" or told.startswith("recipe r")
    assert "\n" not in told

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from genlab import recipe_files
from genlab.errors import RecipeError, UsageError


@pytest.mark.parametrize("name", recipe_files.names())
def test_built_in_recipes_are_complete(name: str) -> None:
    """A built-in file names every field, in the order of the schema, so that nothing hides in a default."""
    path = Path(str(recipe_files._folder())) / f"{name}.yaml"
    written, full = yaml.safe_load(path.read_text("utf-8")), recipe_files.to_dict(recipe_files.load(name))
    assert list(recipe_files._leaves(written)) == list(recipe_files._leaves(full))
    assert written["name"] == name
    assert written["description"]


@pytest.mark.parametrize("name", recipe_files.names())
def test_dump_and_load_are_inverse(name: str, tmp_path: Path) -> None:
    recipe = recipe_files.load(name)
    (tmp_path / "r.yaml").write_text(recipe_files.dump(recipe), "utf-8")
    assert recipe_files.load(tmp_path / "r.yaml") == recipe


def test_overrides_reach_the_field_and_nothing_else() -> None:
    recipe = recipe_files.load("quick-mnist")
    changed = recipe_files.load("quick-mnist", {"objective.lambda": 0.5, "ema": None})
    old = recipe_files.to_dict(recipe)
    assert recipe_files.diff(recipe, changed) == {
        "objective.lambda": (old["objective"]["lambda"], 0.5),
        "ema.decay": (old["ema"]["decay"], None),
    }


def test_a_recipe_does_not_differ_from_itself() -> None:
    assert recipe_files.diff(recipe_files.load("s2-dcgan"), recipe_files.load("s2-dcgan")) == {}


def test_a_section_that_is_off_can_be_switched_on() -> None:
    recipe = recipe_files.load("s2-dcgan", {"ema.decay": 0.99})
    assert recipe.ema_decay == 0.99


def test_loading_does_not_change_the_mapping_given() -> None:
    raw: dict[str, Any] = recipe_files.to_dict(recipe_files.load("quick-mnist"))
    before = yaml.safe_dump(raw)
    recipe_files.load(raw, {"budget.epochs": 7})
    assert yaml.safe_dump(raw) == before


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [", "line 1"),
        ("- 1\n- 2\n", "a recipe is a mapping"),
        ("name: a\nname: b\n", "'name' stands twice"),
        ("a: &x [1]\nb: *x\n", "aliases"),
        ("a: !!python/object/apply:os.system [ls]\n", "could not determine a constructor"),
        ("? [a, b]\n: 1\n", "a key is not a plain word"),
        ("a: 2024-13-45\n", "month must be in 1..12"),
        ("family: gna\n", "did you mean 'gan'"),
        ("family: gan\nschema: 2\n", "schema is 2"),
        ("x\x00y", "special characters"),
    ],
)
def test_a_bad_file_is_refused_in_words(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text, "utf-8")
    with pytest.raises(UsageError) as caught:
        recipe_files.load(path)
    assert words in str(caught.value)
    assert "bad.yaml" in str(caught.value)


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(UsageError, match="not UTF-8"):
        recipe_files.load(tmp_path / "r.yaml")


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_bytes(b"#" * (recipe_files.MAX_BYTES + 1))
    with pytest.raises(UsageError, match="larger than"):
        recipe_files.load(tmp_path / "r.yaml")


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(UsageError, match="No such file"):
        recipe_files.load("nowhere/r.yaml")


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    text = recipe_files.dump(recipe_files.load("quick-mnist"))
    (tmp_path / "r.yaml").write_text("\ufeff" + text, "utf-8")
    assert recipe_files.load(tmp_path / "r.yaml") == recipe_files.load("quick-mnist")


def test_an_empty_mapping_names_what_is_missing() -> None:
    with pytest.raises(RecipeError) as caught:
        recipe_files.load({"family": "gan", "schema": 1, "name": "x"})
    assert {"data is missing", "networks is missing", "objective is missing"} <= set(caught.value.problems)

"""What keeps the code simple: only families ask which family it is, and files and functions are short."""

from __future__ import annotations

import ast
import inspect
import re
import statistics
import textwrap
from pathlib import Path

import pytest

from genlab.families.gan import model as gan
from genlab.families.registry import FAMILIES

ROOT = Path(__file__).parent.parent / "src" / "genlab"
FILES = sorted(ROOT.rglob("*.py"))
RECIPES = {"GanRecipe", "VaeRecipe", "ClassifierRecipe"}


def lines_of(function: ast.FunctionDef) -> int:
    """Number of lines of a function without its docstring."""
    docstring = ast.get_docstring(function, clean=False)
    return (function.end_lineno or 0) - function.lineno + 1 - (len(docstring.splitlines()) if docstring else 0)


def asks_for_a_family(node: ast.AST) -> bool:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "isinstance":
        return bool(RECIPES & {n.id for n in ast.walk(node.args[1]) if isinstance(n, ast.Name)})
    if isinstance(node, ast.Compare):
        names = {n.attr for n in ast.walk(node) if isinstance(n, ast.Attribute)}
        values = {n.value for n in ast.walk(node) if isinstance(n, ast.Constant)}
        return "family" in names and bool(values & FAMILIES.keys())
    return False


@pytest.mark.parametrize("file", [f for f in FILES if f.relative_to(ROOT).parts[0] != "families"], ids=str)
def test_nothing_outside_the_families_asks_which_one_it_is(file: Path) -> None:
    asking = [node for node in ast.walk(ast.parse(file.read_text("utf-8"))) if asks_for_a_family(node)]
    assert [ast.unparse(node) for node in asking] == []


def test_files_and_functions_are_short() -> None:
    functions = {
        f"{file.relative_to(ROOT)}:{node.name}": lines_of(node)
        for file in FILES
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef)
    }
    files = {str(file.relative_to(ROOT)): len(file.read_text("utf-8").splitlines()) for file in FILES}
    assert {name: n for name, n in files.items() if n >= 400} == {}
    assert {name: n for name, n in functions.items() if n >= 50} == {}
    assert statistics.median(functions.values()) <= 8


def test_the_folder_has_few_entries() -> None:
    former = {"losses.py", "metrics.py", "nets.py"}
    assert len({path.name for path in ROOT.iterdir()} - former - {"__pycache__"}) <= 18


def test_an_update_of_a_gan_is_one_screen() -> None:
    """`step`, the losses, who learns and what is generated take at most 60 lines and three switches of the recipe."""
    parts = (gan.discriminator_loss, gan.generator_loss, gan.Gan.step, gan.Gan._fake, gan.Gan._who_learns)
    source = [inspect.getsource(part) for part in parts]
    trees = [ast.parse(textwrap.dedent(text)) for text in source]
    functions = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    assert sum(map(lines_of, functions)) <= 60
    switches = {name for text in source[:3] for name in re.findall(r"objective\.(\w+)", text)}
    assert len(switches) <= 3

"""A file imports only from files above it in this list (DESIGN: the layering is the rule)."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import genlab

ROOT = Path(genlab.__file__).parent
LAYERS = [
    "errors geometry recipe recipe_files tables",
    "randomness storage pictures data.images data.arrays data.builtin data",
    "nets.products nets.dcgan nets.conditional nets.describe nets",
    "losses penalties engine ema checkpoint runs",
    "gan",
    "family",
    "training provenance",
    "sampling",
    "progress events",
    "reporting.figures reporting.pages reporting.render reporting",
    "api layer_tables",
    "cli __main__",
]
ORDER = [module for layer in LAYERS for module in layer.split()]
EAGER = {"errors", "geometry", "recipe", "recipe_files", "cli", "tables", "storage", "__main__"}
"""What the command line loads before it knows that a network is needed: none of it may import torch."""


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_of(path): path for path in sorted(ROOT.rglob("*.py")) if path != ROOT / "__init__.py"}


def imports(path: Path, top_level_only: bool = False) -> set[str]:
    """The modules of genlab that a file imports, wherever in the file."""
    tree = ast.parse(path.read_text("utf-8"))
    nodes = tree.body if top_level_only else list(ast.walk(tree))
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def inside(names: set[str]) -> set[str]:
    return {name.removeprefix("genlab.") for name in names if name.removeprefix("genlab.") in FILES}


def test_the_list_is_complete() -> None:
    assert sorted(ORDER) == sorted(FILES)


@pytest.mark.parametrize("module", FILES)
def test_imports_point_upwards(module: str) -> None:
    allowed = set(ORDER[: ORDER.index(module)])
    assert inside(imports(FILES[module])) - {module} <= allowed


@pytest.mark.parametrize("module", sorted(EAGER))
def test_light_modules_do_not_load_torch(module: str) -> None:
    loaded = imports(FILES[module], top_level_only=True)
    assert not {name for name in loaded if name.split(".")[0] == "torch"}
    assert inside(loaded) <= EAGER


def test_a_family_does_not_import_the_loop() -> None:
    assert "training" not in inside(imports(FILES["gan"]))

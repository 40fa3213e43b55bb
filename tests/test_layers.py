"""A file imports only from files above it in this list (DESIGN: the layering is the rule)."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import genlab

ROOT = Path(genlab.__file__).parent
LAYERS = [
    "errors seals places console",
    "geometry recipe.fields recipe.networks recipe.gan recipe.vae recipe.classifier recipe recipe_files tables",
    "randomness storage stopping pictures plots data.images data.arrays data.stacked data.builtin data",
    "data.foreign metrics.rows metrics.intervals metrics.frechet metrics.kernel metrics.neighbours metrics.paths",
    "metrics.classes metrics.spectrum metrics",
    "nets.products nets.parts nets.dcgan nets.conditional nets.mlp nets.residual nets.bodies nets.autoencoder",
    "nets.classifier nets.describe nets",
    "losses penalties augmentation elbo latent cores plan engine descent ema sealed checkpoint runs",
    "gan vae classifier",
    "judge",
    "family",
    "training provenance verification",
    "sampling",
    "looks anatomy",
    "progress events",
    "evaluation.samples evaluation.seen evaluation.measures evaluation evaluation.players evaluation.watch",
    "evaluation.sizes evaluation.kept evaluation.of_run evaluation.figures evaluation.words evaluation.response",
    "evaluation.score",
    "reporting.figures reporting.drawings reporting.pages reporting.render reporting",
    "trained",
    "first_steps launching resuming recompute api api_metrics layer_tables checkup",
    "bench bench.loops bench.timing bench.quality bench.records bench.short",
    "cli_looks cli_metrics cli_runs cli_bench cli_doctor cli __main__",
]
ORDER = [module for layer in LAYERS for module in layer.split()]
EAGER = {
    "cli_metrics",
    "cli_looks",
    "cli_runs",
    "cli_bench",
    "cli_doctor",
    "console",
    "places",
    "errors",
    "geometry",
    "recipe",
    "recipe.fields",
    "recipe.networks",
    "recipe.gan",
    "recipe.vae",
    "recipe.classifier",
    "recipe_files",
    "cli",
    "tables",
    "storage",
    "__main__",
}
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


@pytest.mark.parametrize("family", ["gan", "vae", "classifier"])
def test_families_import_neither_the_loop_nor_each_other(family: str) -> None:
    assert not inside(imports(FILES[family])) & ({"training", "gan", "vae", "classifier"} - {family})

"""A file imports only from files above it in this list (DESIGN: the layering is the rule)."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import genlab

ROOT = Path(genlab.__file__).parent
LAYERS = [
    "errors engine engine.seals engine.places engine.console",
    "recipe.sizes recipe.sections recipe.networks recipe.gan recipe.vae recipe.classifier recipe recipe.files report.tables",
    "engine.randomness engine.files engine.signals data.pictures report.plots data.dataset data.npz data.stacked data.builtin data",
    "data.folder evaluation.metrics.rows evaluation.metrics.intervals evaluation.metrics.frechet evaluation.metrics.kernel evaluation.metrics.neighbours evaluation.metrics.paths",
    "evaluation.metrics.classes evaluation.metrics.spectrum evaluation.metrics",
    "engine.fast_layers families.nets.parts families.nets.dcgan families.nets.conditional families.nets.mlp families.nets.residual families.nets.bodies families.nets.autoencoder",
    "families.nets.classifier families.nets.describe families.nets",
    "families.gan.losses families.gan.penalties data.augmentation families.vae.elbo families.latent engine.threads engine.calibrate engine.device engine.optim families.ema runs.tensors runs.checkpoint runs.directory",
    "families.gan.model families.vae.model families.classifier.model",
    "evaluation.judge",
    "families families.gan families.vae families.classifier families.base",
    "training.fit runs.provenance runs.verify",
    "runs.sampling",
    "report.figures.looks report.anatomy",
    "api.progress training.tensorboard",
    "evaluation.samples evaluation.image_set evaluation.catalogue evaluation.measure evaluation.models evaluation.live",
    "evaluation.sizes evaluation.kept evaluation.run report.figures.evaluation report.text evaluation.judge_trial",
    "evaluation.cas",
    "report.curves report.diagram report.page report.html report",
    "api.run",
    "training.first_steps training.start training.resume api.recompute api.train api.evaluate api.layers api.doctor",
    "bench bench.loops bench.timing bench.quality bench.records bench.short",
    "cli.draw cli.evaluate cli.runs cli.bench cli.doctor cli.main __main__",
]
ORDER = [module for layer in LAYERS for module in layer.split()]
EAGER = {
    "cli.evaluate",
    "cli.draw",
    "cli.runs",
    "cli.bench",
    "cli.doctor",
    "engine.console",
    "engine.places",
    "errors",
    "recipe.sizes",
    "recipe",
    "recipe.sections",
    "recipe.networks",
    "recipe.gan",
    "recipe.vae",
    "recipe.classifier",
    "recipe.files",
    "cli.main",
    "report.tables",
    "engine.files",
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


@pytest.mark.parametrize("family", ["families.gan.model", "families.vae.model", "families.classifier.model"])
def test_families_import_neither_the_loop_nor_each_other(family: str) -> None:
    assert not inside(imports(FILES[family])) & (
        {"training.fit", "families.gan.model", "families.vae.model", "families.classifier.model"} - {family}
    )

"""A file imports only files of folders before its own, or before it in its folder; lazy imports count, too."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "src" / "genlab"
ORDER = {
    "": "errors recipe engine data families runs training evaluation report api bench cli __main__ __init__",
    "recipe": "sizes sections networks objectives gan vae classifier __init__ schedule equations text source draft "
    "files",
    "engine": "__init__ version places console seals waiting files signals randomness threads calibrate "
    "fast_layers device optim",
    "data": "pictures augmentation dataset stacked npz builtin __init__ preprocessing folder",
    "families": "__init__ ema latent drawing passes nets base gan vae classifier registry cost",
    "families/nets": "__init__ parts bodies mlp dcgan conditional residual autoencoder classifier describe",
    "families/gan": "losses penalties model columns plots diagram cost cautions __init__",
    "families/vae": "elbo model warm_start columns plots diagram __init__",
    "families/classifier": "model columns plots diagram __init__",
    "runs": "__init__ tensors options checkpoint record rows names lock directory open provenance verify sampling",
    "training": "__init__ fit tensorboard first_steps assemble start resume",
    "evaluation": "metrics __init__ judge image_set sizes by_class notes catalogue measure models live kept run cas "
    "judge_trial",
    "evaluation/metrics": "rows intervals frechet kernel neighbours paths classes spectrum __init__",
    "report": "__init__ tables text plots diagram curves figures page html",
    "report/figures": "__init__ looks evaluation",
    "api": "__init__ run warm_start progress train layers evaluate recompute doctor",
    "bench": "__init__ loops timing quality records short",
    "cli": "__init__ options terminal train draw evaluate data judge runs bench doctor main",
}
LOADED_BY = {"torch": "engine data families runs training evaluation report api bench", "rich": "cli/ api/progress",
             "cyclopts": "cli", "matplotlib": "report", "jinja2": "report"}  # fmt: skip
FORMER = ("losses", "metrics", "nets")  # Places of the version before, which only say where things are now.
FILES = [p.relative_to(ROOT).with_suffix("") for p in ROOT.rglob("*.py") if p.stem not in FORMER or p.parent != ROOT]


def may_import(file: Path, name: str) -> bool:
    library, *parts = name.split(".")
    if library != "genlab":
        return any(str(file).startswith(f) for f in LOADED_BY.get(library, ".").split()) or library not in LOADED_BY
    folder, way = Path(), file.parts
    for part, mine in zip([*parts, "__init__"], [*way, ""], strict=False):
        names = ORDER[str(folder).strip(".")].split()
        part = part if part in names and (part != "__init__" or folder.parts) else "__init__" if folder.parts else ""
        if part != mine:
            families = folder.parts == ("families",) and {part, mine} <= {"gan", "vae", "classifier"}
            return part in names and names.index(part) < names.index(mine) and not families
        folder /= part
    return True


@pytest.mark.parametrize("file", FILES, ids=str)
def test_imports_follow_the_order(file: Path) -> None:
    nodes = list(ast.walk(ast.parse((ROOT / file).with_suffix(".py").read_text("utf-8"))))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [f"{n.module}.{a.name}" for n in nodes if isinstance(n, ast.ImportFrom) for a in n.names]
    assert [name for name in names if not may_import(file, name)] == []

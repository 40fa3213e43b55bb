"""A file imports only from folders before its own, or files before it in its folder (layers.txt), even lazily."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "src" / "genlab"
LINES = (Path(__file__).parent / "layers.txt").read_text("utf-8").splitlines()[1:]
ORDER = {folder: names.split() for folder, _, names in (line.partition(": ") for line in LINES)}
LOADED_BY = {
    "torch": "engine data families runs training evaluation report api bench study/worker studio/",
    "rich": "cli/ api/progress", "cyclopts": "cli", "ray": "study/cluster",
    "starlette": "studio", "orjson": "studio/follow", "uvicorn": "studio/server",
    "pyarrow": "data/sources/parquet", "matplotlib": "report", "jinja2": "report",
}  # fmt: skip
FORMER = ("losses", "metrics", "nets")  # Modules of the previous version, which only say where things are now.
FILES = [p.relative_to(ROOT).with_suffix("") for p in ROOT.rglob("*.py") if p.stem not in FORMER or p.parent != ROOT]


def may_import(file: Path, name: str) -> bool:
    library, *parts = name.split(".")
    if library != "genlab":
        return library not in LOADED_BY or str(file).startswith(tuple(LOADED_BY[library].split()))
    folder = Path()
    for part, mine in zip([*parts, "__init__"], file.parts, strict=False):
        names = ORDER[str(folder)]
        if part not in names or (part == "__init__" and not folder.parts):
            part = "__init__" if folder.parts else "the root"
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

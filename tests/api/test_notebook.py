"""Three notebook cells, executed: a training that shows its run, a figure, a dataset."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

CELLS = (
    "import genlab\n"
    "run = genlab.train('quick-mnist', overrides={'budget.max_steps': 12, 'logging.evaluation': 'cheap'})\n"
    "run",
    "run.interpolate(pairs=2)",
    "genlab.load_dataset('mnist')",
)


@pytest.mark.slow
def test_three_cells(tmp_path: Path) -> None:
    nbformat: Any = importlib.import_module("nbformat")
    nbclient: Any = importlib.import_module("nbclient")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    client = nbclient.NotebookClient(notebook, timeout=200, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()
    kinds = [[sorted(out.get("data", {})) for out in cell.outputs] for cell in notebook.cells]
    assert kinds == [
        [["text/plain"], ["text/html", "text/plain"]],
        [["image/png", "text/plain"]],
        [["image/png", "text/plain"]],
    ]
    progress, shown = (out["data"] for out in notebook.cells[0].outputs)
    assert "step 12 of 12" in progress["text/plain"]
    assert "Frechet distance" not in progress["text/plain"]
    assert "data:image/png;base64," in shown["text/html"]

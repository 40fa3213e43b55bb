"""The commands about datasets."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from genlab.cli import terminal
from genlab.cli.options import Json
from genlab.report import tables

app = App(name="data", help="List the built-in datasets; check your own.")


@app.command(name="list")
def data_list(*, json: Json = False) -> None:
    """List the built-in datasets."""
    from genlab.data import BUILTIN

    if json:
        terminal.show_json(
            [
                {"name": k, "description": v.description, "classes": v.class_names, "source": v.source}
                for k, v in BUILTIN.items()
            ]
        )
    else:
        rows = [(name, builtin.description, builtin.source) for name, builtin in BUILTIN.items()]
        terminal.show_table(tables.Table("", ("dataset", "what it is", "source"), rows))


@app.command(name="check")
def data_check(
    path: Annotated[str, Parameter(help="Path of an npz file, or name of a built-in dataset.")],
    /,
    *,
    json: Json = False,
) -> None:
    """Read a dataset as a training would, and describe it."""
    from genlab import data as datasets

    facts = datasets.facts(datasets.load(path))
    if json:
        terminal.show_json(facts)
    else:
        terminal.show_table(
            tables.Table("", ("fact", "value"), [(key, datasets.fact_words(value)) for key, value in facts.items()])
        )

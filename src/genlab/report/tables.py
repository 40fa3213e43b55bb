"""Tables as data, in rows and columns of text. The command line prints them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # The command line loads this file and needs neither of these.
    from genlab.evaluation.judge_trial import Response
    from genlab.families.nets.describe import Description


NO_BREAK = "\u00a0"
FULL = 10_000
"""Images in a full evaluation; the quality of a run says so if fewer were measured."""


@dataclass(frozen=True)
class Table:
    """Rows of text. `numeric` names the right-aligned columns; `total` is set off at the end."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    numeric: Sequence[str] = ()
    total: Sequence[str] | None = None


def unbroken(cell: str) -> str:
    """A cell with non-breaking spaces inside intervals and between a number and its unit."""
    return re.sub(r"(?<=,) (?=[^\[]*\])|(?<=\d) (?=[%x]|MB|s\b|of )|(?<=of) (?=\d)|(?<=x) (?=\d)", NO_BREAK, cell)


def of_runs(states: list[dict[str, Any]]) -> Table:
    """One row per run."""

    def step(state: dict[str, Any]) -> str:
        if state["step"] is None:
            return "-"
        return f"{state['step']:,}" + (f" of {state['total_steps']:,}" if state["total_steps"] else "")

    def quality(state: dict[str, Any]) -> str:
        if state["times_real"] is not None:
            few = f" of {state['measured']:,}" if state["measured"] and state["measured"] < FULL else ""
            return f"{state['times_real']:.1f} x{few}"
        return "-" if state["accuracy"] is None else f"{state['accuracy']:.1%}".replace("%", " %")

    def more(state: dict[str, Any]) -> str:
        what = ", ".join(filter(None, (state["recipe"], state["changed"])))
        named = state["run"].rpartition("/")[2].startswith(what.replace(", ", "-") + "-")
        said = [what] if what and not named else []
        said += [state["finding"]] if state["finding"] else []
        said += [f"copy of {state['copy_of']}"] if state["copy_of"] else []
        said += [f"same weights as {state['equal_weights']}"] if state["equal_weights"] else []
        return "; ".join([*said, *([state["reason"]] if state["reason"] else [])])

    rows = [
        (
            s["run"],
            s["state"],
            step(s),
            quality(s),
            "-" if s["bytes"] is None else f"{s['bytes'] / 1e6:.1f} MB",
            (s["started"] or "-")[:10],
            more(s),
        )
        for s in states
    ]
    columns = ("run", "state", "step", "quality", "size", "began", "")
    return Table("", columns, rows, numeric=("step", "quality", "size"))


def csv(states: list[dict[str, Any]]) -> str:
    """Every fact about each run (`runs.listing.state_of`) as CSV, one row per run; "" if unknown."""
    import csv
    import io

    text = io.StringIO()
    writer = csv.DictWriter(text, list(states[0]) if states else ["run"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(states)
    return text.getvalue()


def of_layers(description: Description) -> Table:
    """One row per layer, totals at the end; shapes and multiply-adds are for one image."""
    rows = [
        (layer.type, " x ".join(map(str, layer.output_shape)), f"{layer.parameters:,}", f"{layer.multiply_adds:,}")
        for layer in description.layers
    ]
    columns = ("layer", "output shape", "parameters", "multiply-adds")
    total = ("total", "", f"{description.parameters:,}", f"{description.multiply_adds:,}")
    fixed = description.parameters - description.trainable
    title = (
        f"{description.name}: {description.parameters:,} parameters "
        f"({description.trainable:,} trainable, {fixed:,} not; {description.buffers:,} running statistics)"
    )
    return Table(title, columns, rows, numeric=columns[1:], total=total)


def of_judge_trial(response: Response) -> Table:
    """One row per disturbance and strength: the distance over that of undisturbed images."""
    rows = [
        (name, strength, f"{ratio:,.1f}")
        for name, found in response.ratios.items()
        for strength, ratio in found.items()
    ]
    return Table("", ("disturbance", "strength", "x real images"), rows, numeric=("strength", "x real images"))

"""Pages as self-contained HTML. Every text is escaped; only our own SVG is not."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from genlab.engine.console import visible
from genlab.report.page import Card, RunPage


def render(page: RunPage) -> str:
    """The page as one HTML file that needs nothing else."""
    return _environment().get_template("run.html").render(page=page)


def card(shown: Card) -> str:
    """What a notebook shows of a run or an evaluation."""
    return _environment().get_template("card.html").render(card=shown)


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("genlab.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: visible(value) if type(value) is str else value,  # Markup is ours, and no plain str.
    )
    environment.filters["ours"] = Markup
    return environment

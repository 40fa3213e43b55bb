"""Pages as self-contained HTML. Every text is escaped; only our own SVG, style and script are not."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from genlab.engine.console import visible
from genlab.report.compare_page import ComparePage
from genlab.report.data_page import CheckPage
from genlab.report.page import Card, RunPage
from genlab.report.study_page import StudyPage
from genlab.report.tables import unbroken

TEMPLATES = {RunPage: "run.html", ComparePage: "compare.html", StudyPage: "study.html", CheckPage: "check.html"}


def render(page: RunPage | ComparePage | StudyPage | CheckPage) -> str:
    """The page as one HTML file that needs nothing else."""
    template = TEMPLATES[type(page)]
    script = _part("slides.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    given = {"page": page, "style": _part("page.css"), "script": script, "script_hash": f"sha256-{digest}"}
    return _environment().get_template(template).render(given)


def card(shown: Card) -> str:
    """What a notebook shows for a run or an evaluation."""
    return _environment().get_template("card.html").render(card=shown)


@cache
def _part(name: str) -> str:
    return resources.files("genlab.report").joinpath("templates", name).read_text("utf-8")


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("genlab.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: visible(value) if type(value) is str else value,  # Markup is ours, not a plain str.
    )
    environment.filters["ours"] = Markup
    environment.filters["unbroken"] = unbroken
    return environment

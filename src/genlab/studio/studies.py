"""Studies beside the runs: which ones exist, their state, their results. No study is started from here."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from genlab.errors import GenlabError
from genlab.studio.documents import table_document
from genlab.study import design, status
from genlab.study.folder import place_of
from genlab.study.pages import study_page
from genlab.study.study import Study


class Studies:
    """The studies whose files lie in the given folders.

    Args:
        places: the folders.
        runs: folder of the studies' runs.
    """

    def __init__(self, places: Sequence[Path], runs: Path) -> None:
        self._places, self._runs = places, runs

    def find(self) -> dict[str, tuple[Path, str | None]]:
        """File and profile of each study that was begun, by title."""
        found = {}
        for file in (file for place in self._places for file in sorted(place.glob("*.yaml"))):
            with suppress(GenlabError, OSError):
                study = design.load(file)
                for profile in (None, *study.profiles):
                    title = study.name if profile is None else f"{study.name}-{profile}"
                    if (place_of(file, title) / "plan.json").exists():
                        found[title] = (file, profile)
        return found

    def listing(self) -> list[dict[str, Any]]:
        """Title, question and state of each study."""
        told = []
        for title, (file, profile) in self.find().items():
            try:
                found = Study.at(file, profile=profile, runs=self._runs).outcome
            except GenlabError as error:
                told.append({"study": title, "question": "", "state": str(error).splitlines()[0]})
                continue
            question = found.plan.study.question
            told.append({"study": title, "question": question, "state": status.remarks(found)[0]})
        return told

    def document(self, title: str) -> dict[str, Any] | None:
        """State of a study: a cell for each run, its verdicts, its arms; None if no study has that title.

        Raises:
            GenlabError: its file or its records cannot be read.
        """
        place = self.find().get(title)
        if place is None:
            return None
        study = Study.at(place[0], profile=place[1], runs=self._runs)
        found = study.outcome
        page = study_page(found, study.folder, study.command)
        return {
            "title": page.title,
            "question": page.question,
            "lead": page.lead,
            "state": page.state,
            "runs": table_document(status.table(found)),
            "remarks": status.remarks(found),
            "verdicts": [
                {
                    "says": card.says,
                    "source": card.source,
                    "answer": card.answer,
                    "why": card.why,
                    "share": card.share,
                    "sentence": card.sentence,
                    "facts": card.facts,
                }
                for card in page.cards
            ],
            "arms": table_document(page.arms),
            "command": page.cards[0].command if page.cards else study.command,
        }

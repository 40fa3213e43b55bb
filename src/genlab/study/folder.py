"""Results folder of a study: plan, records, journal; a study that one machine leaves can be resumed on another.

::

    results/<study>/
      plan.json       what was fixed before the first run        journal.jsonl   what happened, one line each
      records/        ARM-seed0.json: one per finished run       samples/        its last sample grid
      report.html     the page        README.md       the same for a repository
      table.csv  table.tex  verdicts.json  figures/
      notes.md        the author's own, shown on the page        study.lock
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from genlab.engine import seals
from genlab.engine.files import clean, make_folder, refusals, write, write_json
from genlab.engine.lock import held
from genlab.errors import CheckpointError, DataError, StudyError
from genlab.runs.provenance import now
from genlab.study.plan import Cell, Plan, changes
from genlab.study.record import Record, read_record


class Folder:
    """Results of a study on disk."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def record_path(self, cell: Cell) -> Path:
        return self.path / "records" / f"{cell.name}.json"

    def sample_path(self, cell: Cell) -> Path:
        return self.path / "samples" / f"{cell.name}.png"

    def records(self, plan: Plan) -> tuple[dict[Cell, Record], dict[Cell, str]]:
        """(records of the plan's runs, why other records cannot be used)."""
        found, unusable = {}, {}
        for cell in plan.cells:
            if os.path.lexists(self.record_path(cell)):
                try:
                    found[cell] = self.record(plan, cell)
                except DataError as error:
                    unusable[cell] = str(error)
        return found, unusable

    def record(self, plan: Plan, cell: Cell) -> Record:
        """Record of one of the plan's runs.

        Raises:
            DataError: the record is missing, damaged, or of another run than the plan's.
        """
        path, arm = self.record_path(cell), plan.arm(cell.arm)
        record = read_record(path)
        if (record.arm, record.seed) != (cell.arm, cell.seed):
            raise DataError(f"{path}: it belongs to {record.arm}, seed {record.seed}")
        if record.identity != arm.identity:
            raise DataError(f"{path}: made with a different recipe from the plan's")
        if arm.own_code and plan.code and record.code != plan.code.sha256:
            raise DataError(f"{path}: made with different code (sha256 {str(record.code)[:12]})")
        if not arm.own_code and record.images not in (0, plan.images):
            raise DataError(f"{path}: measured with {record.images:,} images; the plan says {plan.images:,}")
        return record

    @property
    def count(self) -> int:
        """Number of records, whole or damaged."""
        return len(list((self.path / "records").glob("*.json")))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Context in which this process alone runs the study.

        Raises:
            BusyError: another process runs it.
        """
        with refusals(self.path):
            for part in (self.path, self.path / "records", self.path / "samples"):
                make_folder(part)
        with held(self.path / "study.lock", "is running this study"):
            for part in (self.path, self.path / "records", self.path / "samples"):
                clean(part)
            yield

    @property
    def began(self) -> dict[str, Any] | None:
        """Content of plan.json: `facts` of the plan, `at`, `amended`; None before the first run.

        Raises:
            DataError: plan.json is damaged.
        """
        path = self.path / "plan.json"
        if not os.path.lexists(path):
            return None
        try:
            plain, seal = seals.unseal(json.loads(path.read_bytes()))
        except (OSError, ValueError, AttributeError, RecursionError):
            plain, seal = {}, "damaged"
        if seal != "whole" or "facts" not in plain:
            raise DataError(
                f"{path}: damaged or edited (its crc does not match); restore a copy, or delete it: the next "
                "run then takes the plan from the study file as it is now"
            )
        return plain

    def begin(self, plan: Plan, amend: bool = False) -> None:
        """Fix the plan at the first run; later, check that it is still the same.

        Raises:
            StudyError: the plan was changed since; lists the changes.
        """
        known, facts = self.began, json.loads(json.dumps(plan.facts))
        if known is None:
            write_json(self.path / "plan.json", seals.seal({"schema": 1, "at": now(), "facts": facts, "amended": []}))
            return
        found = self.changed(plan)
        if not found:
            return
        if not amend:
            self.check(plan)
        entry = {"at": now(), "records": self.count, "changes": found}
        write_json(
            self.path / "plan.json", seals.seal({**known, "facts": facts, "amended": [*known["amended"], entry]})
        )

    def changed(self, plan: Plan) -> list[str]:
        """Differences between a plan and what was fixed at the first run, one line each."""
        known = self.began
        return changes(known["facts"], json.loads(json.dumps(plan.facts))) if known else []

    def check(self, plan: Plan) -> None:
        """Check that a plan is still what was fixed at the first run.

        Raises:
            StudyError: the plan was changed since; lists the changes.
        """
        found = self.changed(plan)
        if not found:
            return
        done = self.count
        told = [f"changed since its first run ({done} record{'s' * (done != 1)}): {line}" for line in found[:12]]
        told += [f"... and {len(found) - 12} more"] * (len(found) > 12)
        told[-1] += (
            "; undo the change, give the study another name, or accept it with genlab study run --amend: the page "
            "will then mention it"
        )
        raise StudyError(plan.title, told)

    def note(self, event: str, cell: Cell | None = None, **facts: Any) -> None:
        """Add a line to the journal."""
        line = {"event": event, "at": now(), **({"arm": cell.arm, "seed": cell.seed} if cell else {}), **facts}
        content = (json.dumps(seals.seal(line)) + "\n").encode()
        path = self.path / "journal.jsonl"
        with refusals(path, len(content)), path.open("ab", buffering=0) as file:
            file.write(content)
            os.fsync(file.fileno())

    def journal(self, mend: bool = False) -> list[dict[str, Any]]:
        """Events in the journal.

        Args:
            mend: whether to move a torn last line, as a kill leaves it, to journal.torn.

        Raises:
            CheckpointError: a line before the last is damaged; gives its number.
        """
        path = self.path / "journal.jsonl"
        if not path.exists():
            return []
        with refusals(path):
            lines = path.read_bytes().splitlines(keepends=True)
        found = [_checked(line) for line in lines]
        for number, event in enumerate(found[:-1], start=1):
            if event is None:
                raise CheckpointError(
                    f"{path} line {number}: damaged (its crc does not match); repair or delete the line"
                )
        if mend and found and found[-1] is None:
            warnings.warn(f"{path}: its last line was incomplete, as after a kill; moved to journal.torn", stacklevel=3)
            write(path.with_suffix(".torn"), lines[-1])
            write(path, b"".join(lines[:-1]))
        return [event for event in found if event is not None]

    def failures(self) -> dict[tuple[str, int], str]:
        """Runs whose last attempts failed, with the reason."""
        found: dict[tuple[str, int], str] = {}
        for event in self.journal():
            if "arm" in event:
                at = (str(event["arm"]), int(event["seed"]))
                if event["event"] == "gave up":
                    found[at] = str(event.get("reason", ""))
                elif event["event"] in ("begin", "finished", "collected"):
                    found.pop(at, None)
        return found

    def collected(self) -> set[tuple[str, int]]:
        """Arms and seeds whose records were collected, instead of made by this study."""
        last = {
            (str(event["arm"]), int(event["seed"])): event["event"]
            for event in self.journal()
            if event["event"] in ("finished", "diverged", "collected")
        }
        return {at for at, event in last.items() if event == "collected"}


def _checked(line: bytes) -> dict[str, Any] | None:
    try:
        plain, seal = seals.unseal(json.loads(line))
    except (ValueError, AttributeError, RecursionError):
        return None
    return plain if seal == "whole" and line.endswith(b"\n") and "event" in plain else None


def place_of(file: Path, title: str) -> Path:
    """Folder of the results of a study file, beside it."""
    return file.parent / "results" / title

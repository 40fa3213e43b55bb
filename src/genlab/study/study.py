"""The study object: its plan, its folder of results, its runs, and what can be done with them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from genlab.engine.files import make_folder, refusals, write
from genlab.errors import RunsFailed, UsageError, counted, unknown
from genlab.report.series import Axis
from genlab.runs.directory import default_root
from genlab.study import code as own
from genlab.study import design
from genlab.study.design import check, load
from genlab.study.execute import Backend, Show, State, execute
from genlab.study.folder import Folder, place_of
from genlab.study.outcome import Outcome, outcome
from genlab.study.plan import plan as planned
from genlab.study.processes import Processes
from genlab.study.status import lines

PATIENCE = 600.0
PLACES: tuple[Axis, ...] = ("step", "epoch", "half-epoch")
"""Horizontal axes of the curves on a study's page."""
QUALITY: dict[str, Any] = {"distance": "frechet_distance"}
Arm = Mapping[str, Any] | Callable[[int], Any]


class Study:
    """Arms and seeds of a recipe, with the claims to be decided.

    Args:
        recipe: base of every arm: a built-in name, or a file.
        arms: name -> overrides by dotted path, or a function of the seed that returns either a dictionary of what
            `genlab.train` takes besides a recipe, or the images of its own training loop.
        seeds: number of seeds (from 0), or a list of them.
        name: name of the study and of its folders.
        question, overrides, images, quantities, claims: as in a study file.
        results: folder of the results (default: results/NAME).
        runs: folder of all runs (default: GENLAB_RUNS or ./runs), in which the study's runs have their own folder.

    Raises:
        StudyError: the study has problems; names all of them.
    """

    def __init__(
        self,
        recipe: str,
        arms: Mapping[str, Arm],
        *,
        seeds: int | Sequence[int] = 8,
        name: str = "study",
        question: str = "",
        overrides: Mapping[str, Any] | None = None,
        images: int = 10_000,
        quantities: Mapping[str, Any] | None = None,
        claims: Mapping[str, Any] | None = None,
        results: str | Path | None = None,
        runs: str | Path | None = None,
    ) -> None:
        functions = {arm: made for arm, made in arms.items() if callable(made)}
        plain = {
            "schema": 1,
            "name": name,
            "question": question,
            "recipe": recipe,
            "overrides": dict(overrides or {}),
            "arms": {arm: dict(made) for arm, made in arms.items() if not callable(made)},
            "seeds": seeds if isinstance(seeds, int) else list(seeds),
            "images": images,
            "quantities": dict(QUALITY if quantities is None else quantities),
            "claims": dict(claims or {}),
        }
        made = own.of_functions(functions) if functions else None
        self._begin(
            check(plain, name), Path(), None, made, Path("results") / name if results is None else results, runs
        )

    @classmethod
    def at(
        cls,
        file: str | Path,
        *,
        profile: str | None = None,
        code: str | Path | None = None,
        results: str | Path | None = None,
        runs: str | Path | None = None,
    ) -> Study:
        """Study from a file.

        Args:
            profile: one of the file's budgets (default: the whole budget).
            code: Python file with arms of your own; see `study.code`.
            results: folder of the results (default: results/NAME beside the file).

        Raises:
            StudyError: the file has problems; names all of them.
        """
        path, found = Path(file), cls.__new__(cls)
        loaded = load(path)
        title = loaded.name if profile is None else f"{loaded.name}-{profile}"
        place = place_of(path, title) if results is None else results
        found._begin(loaded, path.parent, profile, own.of_file(code) if code else None, place, runs)
        options = f"{f' --profile {profile}' if profile else ''}{f' --code {code}' if code else ''}"
        found.command = f"genlab study run {_from_here(path)}{options}"
        budgets = (None, *loaded.profiles) if results is None else ()
        titles = {each: loaded.name if each is None else f"{loaded.name}-{each}" for each in budgets if each != profile}
        found.others = {each or "": Folder(place_of(path, title)) for each, title in titles.items()}
        return found

    def _begin(
        self,
        study: design.Study,
        folder: Path,
        profile: str | None,
        made: own.Code | None,
        results: str | Path,
        runs: str | Path | None,
    ) -> None:
        self.plan = planned(study, folder, profile, made)
        self.folder = Folder(results)
        self.runs = (Path(runs) if runs else default_root()) / self.plan.title
        self.command = ""
        self.others: dict[str, Folder] = {}

    def __repr__(self) -> str:
        arms, seeds = counted(len(self.plan.arms), "arm"), counted(len(self.plan.seeds), "seed")
        return f"Study({self.plan.title!r}: {arms} x {seeds})"

    def run(
        self,
        *,
        workers: int = 1,
        seed: int | None = None,
        patience: float = PATIENCE,
        keep: bool = False,
        anew: bool = False,
        amend: bool = False,
        backend: Backend | None = None,
        progress: bool = True,
        show: Show | None = None,
    ) -> Outcome:
        """Carry out the missing runs, and write tables and page.

        Args:
            workers: number of concurrent runs.
            seed: run only this seed, with all arms.
            patience: seconds without progress after which a run is given up.
            keep: whether to keep the checkpoints of finished runs.
            anew: redo stale records.
            amend: accept that the plan was changed since the first run.
            backend: where runs are carried out (default: processes on this machine).
            progress: whether to report progress on standard error.
            show: function that receives the progress instead.

        Raises:
            StudyError: the plan was changed since the first run.
            RunsFailed: some runs failed; tables and page are written.
            Stopped, StorageError: the study was interrupted, and can be resumed.
        """
        if not 1 <= workers <= 1000:
            raise UsageError(f"workers is {workers}; allowed: 1 .. 1,000")
        if patience <= 0:
            raise UsageError(f"patience is {patience:g} s; allowed: more than 0")
        state: State = execute(
            self.plan,
            self.folder,
            self.runs,
            backend or Processes(workers, patience),
            seed=seed,
            keep=keep,
            anew=anew,
            amend=amend,
            workers=workers,
            show=show or (lines() if progress else lambda state, line: None),
        )
        found = self.report()
        if state.failed:
            cell, reason = next(iter(state.failed.items()))
            raise RunsFailed(
                f"{len(state.failed)} of {len(self.plan.cells)} runs failed, the first: {cell.arm}, seed {cell.seed}: "
                f"{reason}; the others are kept, and the same command retries the failed ones"
            )
        return found

    @property
    def outcome(self) -> Outcome:
        """Outcome of the records that exist now."""
        return outcome(self.plan, self.folder)

    @property
    def elsewhere(self) -> str:
        """Sentence naming the other budgets that have results, if this one has none; else empty."""
        if self.folder.count:
            return ""
        there = {profile: folder.count for profile, folder in self.others.items() if folder.count}
        said = [
            f"{counted(n, 'run')} {f'of profile {profile} (--profile {profile})' if profile else 'of the whole budget'}"
            for profile, n in there.items()
        ]
        return f"another budget has results: {', '.join(said)}" if said else ""

    def report(self, against: Axis = "step") -> Outcome:
        """Write table.csv, verdicts.json, figures, report.html and README.md into the folder of results.

        Args:
            against: horizontal axis of the curves: step, epoch or half-epoch.

        Raises:
            StudyError: the plan was changed since the first run.
            UsageError: there are results of another budget, but none of this one; or an unknown axis.
        """
        from genlab.study.pages import write_all

        if against not in PLACES:
            raise UsageError(unknown("axis", against, PLACES))
        self.folder.check(self.plan)
        if self.elsewhere:
            raise UsageError(f"{self.plan.title}: no run of this budget is done; {self.elsewhere}")
        found = self.outcome
        with refusals(self.folder.path):
            make_folder(self.folder.path)
        write(self.folder.path / "table.csv", found.csv.encode())
        write(self.folder.path / "verdicts.json", (json.dumps(found.as_json, indent=1) + os.linesep).encode())
        write_all(found, self.folder, self.command, against)
        return found


def _from_here(path: Path) -> Path:
    """Path relative to the current folder if it lies below it; else the path as given."""
    whole, here = path.resolve(), Path.cwd()
    return whole.relative_to(here) if whole.is_relative_to(here) else path

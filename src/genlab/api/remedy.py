"""Try what a diagnosis proposes: train the run once more with the changes, and show both runs side by side."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genlab.api.compare import comparison
from genlab.api.run import Run
from genlab.api.train import place_of, train
from genlab.engine import seals
from genlab.engine.files import write_json
from genlab.errors import GenlabError, StorageError, UsageError
from genlab.evaluation.diagnosis import Finding
from genlab.evaluation.diagnosis.run import TRIED, evidence_of
from genlab.families.registry import FAMILIES
from genlab.recipe import files
from genlab.runs.directory import default_root


@dataclass(frozen=True)
class Tried:
    """Result of trying a remedy once.

    Attributes:
        run: the new run.
        finding: finding that the remedy is for.
        changes: dotted path -> value.
        gone: whether the finding is absent at the end of the new run.
        distances: Frechet distances over that of real images, at the last evaluations of the old and of the new run;
            None if either has none.
        page: page with both runs side by side; None if they cannot be compared.
    """

    run: Run
    finding: Finding
    changes: Mapping[str, Any]
    gone: bool
    distances: tuple[float, float] | None
    page: Path | None

    @property
    def helped(self) -> bool:
        """Whether the finding is gone and the images are no worse."""
        return self.gone and (self.distances is None or self.distances[1] <= self.distances[0])

    def as_json(self) -> dict[str, Any]:
        """Content of the old run's tried.json, with only the name of the new run, since both may be moved together."""
        return {
            "schema": 1,
            "run": self.run.path.name,
            "finding": self.finding.name,
            "changes": dict(self.changes),
            "helped": self.helped,
            "words": self.words,
        }

    @property
    def words(self) -> str:
        """Outcome in one sentence, which says that it rests on a single seed."""
        told = f"{self.finding.name} is {'gone' if self.gone else 'still there'}"
        if self.distances:
            told += f", distance to real images {self.distances[0]:.3g} x -> {self.distances[1]:.3g} x"
        return f"{'helped' if self.helped else 'did not help'} in this run (1 seed): {told}"


def attempt(run: str | Path | Run, *, runs: str | Path | None = None, progress: bool = True) -> Tried:
    """Train a run once more, with the same seed and what its diagnosis proposes for the worst finding.

    Args:
        run: the run, by path or name or as a `Run`.
        runs, progress: see `genlab.train`.

    Raises:
        UsageError: the diagnosis proposes nothing, or the run has custom parts.
        GenlabError: see `genlab.train`.
    """
    root = Path(runs) if runs else default_root()
    old = run if isinstance(run, Run) else Run.at(place_of(run), root)
    recipe, provenance = old.directory.trained_by(), old.provenance
    if FAMILIES[recipe.family].own_loop or provenance["own"]:
        raise UsageError(
            f"{old.path.name} was trained from Python with custom parts: change the script that defines them"
        )
    finding = next((each for each in old.diagnose().lasting if each.changes), None)
    if finding is None:
        raise UsageError(f"{old.path.name}: nothing is proposed (genlab diagnose {old.path})")
    new = train(
        files.to_dict(recipe),
        overrides=dict(finding.changes),
        seed=provenance["seed"],
        runs=old.path.parent,
        progress=progress,
    )
    ends = [evidence_of(each.directory).distances().values for each in (old, new)]
    page = None
    with suppress(GenlabError):  # A run that failed at once has nothing to compare.
        comparison([old, new], progress=progress).save(new.path / "compare.html")
        page = new.path / "compare.html"
    tried = Tried(
        new,
        finding,
        finding.changes,
        finding.name not in {each.name for each in new.diagnose().lasting},
        (float(ends[0][-1]), float(ends[1][-1])) if all(map(len, ends)) else None,
        page,
    )
    with suppress(StorageError):  # The old run's report shows this file from then on; nothing is lost without it.
        write_json(old.path / TRIED, seals.seal(tried.as_json()))
    return tried

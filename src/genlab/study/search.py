"""A search over a recipe's fields by Optuna, its trials carried out as a study's runs; a study confirms what wins.

Every trial may spend the same number of operations, so that a wider network makes fewer steps. It is judged by the
Frechet distance over that of real images, and can win only with all that the recipe itself has: a run that diverged,
that lost classes, or whose recall or conditional accuracy is below the recipe's, never does (`lacking`).

Trials are asked for in rounds, one for each worker, and each round is a study of its own: stopped anywhere, the same
command goes on, since Optuna asks the same when it is told the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from genlab.api.train import show
from genlab.engine.files import make_folder, write
from genlab.errors import GenlabError, RecipeError, RunsFailed, UsageError, first_line
from genlab.recipe import Recipe, files
from genlab.study import design
from genlab.study.record import Record
from genlab.study.study import Study
from genlab.study.template import values_in

SLACK = {"recall": 0.02, "requested_class_accuracy": 0.01}
"""By how much a trial may fall below the recipe in what must not be paid for a smaller distance."""
WIDE = 10.0
"""A range whose ends differ by this factor or more is searched by the logarithm."""
CONFIRM_FROM, CONFIRMED = 100, 5
"""The first of the seeds of the study that confirms, and how many there are."""
QUANTITIES: dict[str, Any] = {
    name: name for name in ("frechet_distance", "recall", "requested_class_accuracy", "missing_classes")
} | {"real": "frechet_distance.floor"}
Choose = Callable[[Any, str], Any]


@dataclass(frozen=True)
class Dimension:
    """Values of a field among which is searched.

    Attributes:
        low, high: of a range; whole numbers where both are.
        values: instead of a range.
    """

    path: str
    low: float = 0.0
    high: float = 0.0
    values: tuple[Any, ...] = ()

    @classmethod
    def parse(cls, given: str) -> Dimension:
        """``FIELD=LOW..HIGH`` or ``FIELD=VALUE,VALUE``.

        Raises:
            UsageError: neither.
        """
        path, values = values_in(given.replace("..", ",", 1))
        if ".." not in given:
            if len(values) < 2:
                raise UsageError(f"--vary {given}: one value leaves nothing to search; give two or more, or LOW..HIGH")
            return cls(path, values=tuple(values))
        numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
        if len(values) != 2 or len(numbers) != 2 or not numbers[0] < numbers[1]:
            raise UsageError(f"--vary {given}: expected LOW..HIGH, two numbers, as in optimisers.both.lr=1e-3..1e-2")
        return cls(path, numbers[0], numbers[1])

    def choose(self, trial: Any) -> Any:
        """A value, as Optuna wants it tried."""
        if self.values:
            return trial.suggest_categorical(self.path, list(self.values))
        log = self.low > 0 and self.high / self.low >= WIDE
        if isinstance(self.low, int) and isinstance(self.high, int):
            return trial.suggest_int(self.path, self.low, self.high, log=log)
        return float(f"{trial.suggest_float(self.path, self.low, self.high, log=log):.3g}")


@dataclass(frozen=True)
class Trial:
    """One setting and what it has reached.

    Attributes:
        overrides: what was varied, by dotted path.
        steps: so many were within the operations.
        distance: the Frechet distance over that of real images, mean over the seeds; None where there is none.
        values: means of the other quantities.
        why: it cannot win; empty where it can.
    """

    name: str
    overrides: dict[str, Any]
    steps: int
    distance: float | None = None
    values: dict[str, float] = field(default_factory=dict)
    why: str = ""
    shortfall: float = 0.0

    @property
    def score(self) -> float | None:
        """What Optuna is told: worse, the more is missing; None of a trial without a distance."""
        return None if self.distance is None else self.distance * (1 + 10 * self.shortfall)


class Search:
    """A search.

    Args:
        recipe: the base: a built-in name, or a file.
        vary: see `Dimension.parse`.
        teraops: 10^12 multiply-adds that each run may spend.
        trials: how many beside the recipe itself.
        seeds: of each trial, from 0.
        overrides: for every trial, by dotted path.
        images: of each run, to be measured.
        results: the folder of all that comes of it.
        runs: the folder of all runs.

    Raises:
        UsageError: nothing to search, or Optuna is not installed.
        RecipeError: no such field.
    """

    def __init__(
        self,
        recipe: str,
        vary: Sequence[str],
        *,
        teraops: float,
        trials: int = 20,
        seeds: int = 1,
        overrides: Mapping[str, Any] | None = None,
        images: int = 10_000,
        results: str | Path,
        runs: str | Path | None = None,
    ) -> None:
        self.recipe, self.teraops, self.trials, self.seeds, self.images = recipe, teraops, trials, seeds, images
        self.overrides, self.results, self.runs = dict(overrides or {}), Path(results), runs
        self.space = [Dimension.parse(each) for each in vary]
        if not self.space or trials < 1 or seeds < 1 or not (math.isfinite(teraops) and teraops > 0):
            raise UsageError("a search needs a field to vary, one trial, one seed and more than 0 teraops")
        if len({each.path for each in self.space}) < len(self.space):
            raise UsageError("--vary names a field twice; give all its values at once")
        for each in self.space:
            self._check(each)
        self.base = self._trial("base", {})
        self.done: list[Trial] = []
        self._optuna = _optuna()

    def run(self, workers: int = 1, show: Callable[[Trial], None] = lambda trial: None, **options: Any) -> Trial:
        """Carry out what is missing; returns the best trial, for which `best.yaml` and `confirm.yaml` are written.

        Args:
            workers: runs at once, and trials in a round.
            show: is told of each trial.
            options: of `Study.run`.
        """
        study = self._optuna.create_study(sampler=self._optuna.samplers.TPESampler(seed=0, constant_liar=True))
        (self.base,) = self._round(0, [self.base], workers, options)
        show(self.base)
        if self.base.distance is None:
            raise RunsFailed(f"the recipe itself has no Frechet distance: {self.base.why or 'its run failed'}")
        self.done, count = [self.base], 0
        while count < self.trials:
            asked = [study.ask() for _ in range(min(workers, self.trials - count))]
            trials = [
                self._trial(f"t{count + k + 1:03d}", {each.path: each.choose(one) for each in self.space})
                for k, one in enumerate(asked)
            ]
            count += len(asked)
            for one, trial in zip(asked, self._round(count, trials, workers, options), strict=True):
                if trial.score is None:
                    study.tell(one, state=self._optuna.trial.TrialState.FAIL)
                else:
                    study.tell(one, trial.score)
                self.done.append(trial)
                show(trial)
        best = min((trial for trial in self.done if not trial.why), key=lambda trial: trial.distance or math.inf)
        self._write(best)
        return best

    def _check(self, dimension: Dimension) -> None:
        """See whether there is such a field; a value that is not allowed makes a trial that cannot win."""
        first = dimension.values[0] if dimension.values else dimension.low
        try:
            files.load(self.recipe, {**self.overrides, dimension.path: first})
        except RecipeError as error:
            if any(problem.startswith("unknown field") for problem in error.problems):
                raise

    def _trial(self, name: str, chosen: dict[str, Any]) -> Trial:
        """A trial with its steps; one that is no recipe says why."""
        try:
            recipe = show(self.recipe, {**self.overrides, **chosen})
        except GenlabError as error:
            if not chosen:
                raise
            return Trial(name, chosen, 0, why=first_line(error))
        per_step = recipe.cost.multiply_adds / recipe.cost.steps
        return Trial(name, chosen, max(1, round(self.teraops * 1e12 / per_step)))

    def _settings(self, trial: Trial) -> dict[str, Any]:
        return {**trial.overrides, "budget.max_steps": trial.steps, "budget.epochs": 100_000}

    def _round(self, number: int, trials: list[Trial], workers: int, options: Mapping[str, Any]) -> list[Trial]:
        """The trials with what they have reached."""
        usable = [trial for trial in trials if not trial.why]
        if not usable:
            return trials
        study = Study(
            self.recipe,
            {trial.name: self._settings(trial) for trial in usable},
            seeds=list(range(self.seeds)),
            name=f"{self.results.name}-{number:03d}",
            overrides=self.overrides,
            quantities=QUANTITIES,
            images=self.images,
            results=self.results / f"round-{number:03d}",
            runs=self.runs,
        )
        with suppress(RunsFailed):
            study.run(workers=workers, **options)
        found = study.outcome
        reached = []
        for trial in trials:
            records = [record for cell, record in found.records.items() if cell.arm == trial.name]
            failed = [why for cell, why in found.failed.items() if cell.arm == trial.name]
            reached.append(trial if trial.why else self._judged(trial, records, failed))
        return reached

    def _judged(self, trial: Trial, records: Sequence[Record], failed: Sequence[str]) -> Trial:
        """A trial by its runs."""
        told: dict[str, Any] = {"name": trial.name, "overrides": trial.overrides, "steps": trial.steps}
        bad = [record.reason for record in records if record.state != "finished"] + list(failed)
        if bad or len(records) < self.seeds:
            return Trial(**told, why=f"failed: {bad[0] if bad else 'no record'}")
        values: dict[str, float] = {}
        for name in QUANTITIES:
            series = [record.metrics.get(str(QUANTITIES[name])) for record in records]
            if all(value is not None for value in series):
                values[name] = sum(value for value in series if value is not None) / len(series)
        if not values.get("real") or "frechet_distance" not in values:
            return Trial(**told, values=values, why="no Frechet distance")
        missing, why = lacking(values, self.base.values if self.done else values)
        distance = values["frechet_distance"] / values["real"]
        return Trial(**told, distance=distance, values=values, why=why, shortfall=missing)

    def _write(self, best: Trial) -> None:
        """The best trial as a recipe, and the study that tells whether it is better on fresh seeds."""
        make_folder(self.results)
        name = f"{files.load(self.recipe).name}-searched"[:48]
        recipe: Recipe = files.load(self.recipe, {**self.overrides, **self._settings(best), "name": name})
        write(self.results / "best.yaml", files.dump(recipe).encode())
        seeds = list(range(CONFIRM_FROM, CONFIRM_FROM + CONFIRMED))
        draft = {
            "schema": 1,
            "name": f"{self.results.name}-confirm"[:48],
            "question": f"Is {name} better than the recipe that it began with, for the same operations?",
            "recipe": self.recipe if self.recipe in files.names() else str(Path(self.recipe).resolve()),
            "overrides": self.overrides,
            "arms": {"base": self._settings(self.base), "searched": self._settings(best)},
            "seeds": seeds,
            "quantities": {"distance": "frechet_distance", "recall": "recall"},
            "claims": {
                "better": {
                    "says": "The searched settings have a smaller Frechet distance.",
                    "kind": "difference",
                    "of": "distance",
                    "arms": ["searched", "base"],
                    "expect": "lower",
                }
            },
        }
        write(self.results / "confirm.yaml", design.dump(design.check(draft, "confirm")).encode())


def lacking(values: Mapping[str, float], base: Mapping[str, float]) -> tuple[float, str]:
    """(how much a trial lacks of what the recipe has, what that is in words; empty where it lacks nothing)."""
    if values.get("missing_classes", 0) > base.get("missing_classes", 0):
        lost = values["missing_classes"] - base.get("missing_classes", 0)
        return 1.0 + lost, f"{lost:g} classes are missing"
    for name, slack in SLACK.items():
        if name in base and (lacks := base[name] - slack - values.get(name, 0.0)) > 0:
            return lacks, f"{name.replace('_', ' ')} {values.get(name, 0.0):.3f}, below {base[name]:.3f} of the recipe"
    return 0.0, ""


def _optuna() -> Any:
    """Optuna, silent.

    Raises:
        UsageError: it is not installed.
    """
    try:
        import optuna
    except ImportError:
        raise UsageError("a search needs Optuna: pip install 'genlab[search]'") from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna

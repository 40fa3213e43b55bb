"""Search over a recipe's fields with Optuna: trials are carried out as a study's runs, and a study confirms the winner.

Every trial may spend the same number of operations, so a wider network makes fewer steps. A trial is judged by its
Frechet distance over that of real images, and can win only if it keeps what the recipe has: a run that diverged, lost
classes, or has a recall or conditional accuracy below the recipe's never wins (`lacking`).

Trials are asked for in rounds of one per worker, and each round is a study of its own. After a stop at any point, the
same command resumes, since Optuna asks for the same trials when it is told the same results.
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
"""How far a trial may fall below the recipe in metrics that must not be traded for a smaller distance."""
WIDE = 10.0
"""A range whose ends differ by this factor or more is searched on a logarithmic scale."""
CONFIRM_FROM, CONFIRMED = 100, 5
"""First seed of the confirming study, and its number of seeds."""
LENGTH = ("budget.epochs", "budget.max_steps", "budget.minutes")
QUANTITIES: dict[str, Any] = {
    name: name for name in ("frechet_distance", "recall", "requested_class_accuracy", "missing_classes")
} | {"real": "frechet_distance.floor"}
Choose = Callable[[Any, str], Any]


@dataclass(frozen=True)
class Dimension:
    """Values of a field to search among.

    Attributes:
        low, high: ends of a range; if both are whole numbers, so are the values.
        values: values to choose from, instead of a range.
    """

    path: str
    low: float = 0.0
    high: float = 0.0
    values: tuple[Any, ...] = ()

    @classmethod
    def parse(cls, given: str) -> Dimension:
        """Dimension from ``FIELD=LOW..HIGH`` or ``FIELD=VALUE,VALUE``.

        Raises:
            UsageError: the text has neither form.
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
        """Value that Optuna suggests for a trial."""
        if self.values:
            return trial.suggest_categorical(self.path, list(self.values))
        log = self.low > 0 and self.high / self.low >= WIDE
        if isinstance(self.low, int) and isinstance(self.high, int):
            return trial.suggest_int(self.path, self.low, self.high, log=log)
        return float(f"{trial.suggest_float(self.path, self.low, self.high, log=log):.3g}")


@dataclass(frozen=True)
class Trial:
    """One setting and its results.

    Attributes:
        overrides: what was varied, by dotted path.
        steps: number of steps that the operations allow.
        distance: mean Frechet distance over the seeds, divided by that of real images; None if there is none.
        values: means of the quantities over the seeds.
        why: why the trial cannot win; empty if it can.
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
        """Score that Optuna is told, worse the more is lacking; None for a trial without a distance."""
        return None if self.distance is None else self.distance * (1 + 10 * self.shortfall)


class Search:
    """Search over the fields of a recipe.

    Args:
        recipe: base recipe: a built-in name, or a file.
        vary: fields and their values; see `Dimension.parse`.
        teraops: 10^12 multiply-adds that each run may spend.
        trials: number of trials beside the recipe itself.
        seeds: number of seeds per trial, from 0.
        overrides: overrides for every trial, by dotted path.
        images: number of images measured per run.
        results: folder of all results.
        runs: folder of all runs.

    Raises:
        UsageError: there is nothing to search, or Optuna is not installed.
        RecipeError: a field does not exist.
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
            raise UsageError("a search needs a field to vary, at least one trial and one seed, and more than 0 teraops")
        if len({each.path for each in self.space}) < len(self.space):
            raise UsageError("--vary names a field twice; give all its values at once")
        if length := [each.path for each in self.space if each.path in LENGTH]:
            raise UsageError(f"--vary {length[0]}: a search sets the length of each trial itself; see --teraops")
        for each in self.space:
            self._check(each)
        self.base = self._trial("base", {})
        self.done: list[Trial] = []
        self._optuna = _optuna()

    def run(self, workers: int = 1, show: Callable[[Trial], None] = lambda trial: None, **options: Any) -> Trial:
        """Carry out what is missing, write `best.yaml` and `confirm.yaml` for the best trial, and return that trial.

        Args:
            workers: number of concurrent runs, and of trials per round.
            show: function called with each trial.
            options: options of `Study.run`.
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
        """Check that the field exists; a value that is not allowed makes a trial that cannot win."""
        first = dimension.values[0] if dimension.values else dimension.low
        try:
            files.load(self.recipe, {**self.overrides, dimension.path: first})
        except RecipeError as error:
            if any(problem.startswith("unknown field") for problem in error.problems):
                raise

    def _trial(self, name: str, chosen: dict[str, Any]) -> Trial:
        """Trial with its steps, or with the reason if its settings are not a valid recipe."""
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
        """Carry out trials, and return them with their results."""
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
        """Trial with the results of its runs."""
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
        """Write the best trial as a recipe, and the study that tests whether it is better on fresh seeds."""
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
                    "says": "The settings that the search found give a smaller Frechet distance.",
                    "kind": "difference",
                    "of": "distance",
                    "arms": ["searched", "base"],
                    "expect": "lower",
                }
            },
        }
        write(self.results / "confirm.yaml", design.dump(design.check(draft, "confirm")).encode())


def lacking(values: Mapping[str, float], base: Mapping[str, float]) -> tuple[float, str]:
    """(how far a trial falls short of the recipe, in what, in words; empty if it does not)."""
    if values.get("missing_classes", 0) > base.get("missing_classes", 0):
        lost = values["missing_classes"] - base.get("missing_classes", 0)
        return 1.0 + lost, f"{lost:g} classes are missing"
    for name, slack in SLACK.items():
        if name in base and (lacks := base[name] - slack - values.get(name, 0.0)) > 0:
            return lacks, f"{name.replace('_', ' ')} {values.get(name, 0.0):.3f}, below the recipe's {base[name]:.3f}"
    return 0.0, ""


def _optuna() -> Any:
    """Import Optuna, with its log silenced.

    Raises:
        UsageError: Optuna is not installed.
    """
    try:
        import optuna
    except ImportError:
        raise UsageError("a search needs Optuna: pip install 'genlab[search]'") from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna

"""Plan of a study's runs: arms as complete recipes, seeds, and how much of each recipe's own budget is trained."""

from __future__ import annotations

import hashlib
import json
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from genlab import data
from genlab.data import Dataset
from genlab.errors import GenlabError, RecipeError, StudyError, UsageError, unknown
from genlab.evaluation.catalogue import METRICS, NAMES
from genlab.evaluation.judge_search import load as load_judge
from genlab.families.base import BLOCK
from genlab.families.registry import FAMILIES
from genlab.recipe import Recipe, files
from genlab.recipe.schedule import Schedule
from genlab.recipe.sections import Section
from genlab.recipe.text import spelled
from genlab.study.code import Code
from genlab.study.design import Study, by_question, too_many
from genlab.study.quantities import Classes, Metric, Weights, columns_of, needs_images
from genlab.training.assemble import settle

PINNED: dict[str, Any] = {"engine.threads": 1, "logging.tensorboard": False}
"""Settings of every run, unless the file says otherwise: runs share a machine best with one thread each, and equal bits
need the same number of threads in every run."""
Load = Callable[[str], Dataset]
ALWAYS = {"step", "seconds", "frechet_floor", *NAMES}
"""Columns that the rows of every family may have."""
SHOWN = 120
"""Most characters shown of a changed value."""
LENGTH = ("budget.epochs", "budget.max_steps")
"""Fields that, if set for every arm, make training shorter than the recipe's own."""


@dataclass(frozen=True)
class Share:
    """How much of a recipe's own budget is trained, in steps."""

    steps: int
    own: int
    per_epoch: int

    @property
    def is_whole(self) -> bool:
        return self.steps >= self.own

    @property
    def words(self) -> str:
        """The share in words, as in "5 of 50 epochs"."""
        if self.steps % self.per_epoch == 0 and self.own % self.per_epoch == 0:
            return f"{self.steps // self.per_epoch:,} of {self.own // self.per_epoch:,} epochs"
        return f"{self.steps:,} of {self.own:,} steps"


@dataclass(frozen=True)
class Arm:
    """One setting of a study.

    Attributes:
        recipe: complete recipe; the machine that runs a seed resolves `auto` in its engine.
        overrides: differences from the base, by dotted path.
        share: trained share of the recipe's own budget.
        own_code: whether a function of the user makes its networks, its objective or its images.
    """

    name: str
    recipe: Recipe
    overrides: dict[str, Any]
    share: Share
    own_code: bool = False

    @property
    def identity(self) -> str:
        """sha256 of what is trained: the recipe without engine, logging and description."""
        return identity(self.recipe)


@dataclass(frozen=True)
class Cell:
    """One run of the plan."""

    arm: str
    seed: int

    @property
    def name(self) -> str:
        """Name of the run's directory and record."""
        return f"{self.arm}-seed{self.seed}"


@dataclass(frozen=True)
class Plan:
    """All runs of a study.

    Attributes:
        profile: name of the budget; None for the whole.
        images: number of images measured per run.
        code: the user's code, for arms that need it.
        left_out: the study's other arms, which the profile does not run.
    """

    study: Study
    profile: str | None
    arms: tuple[Arm, ...]
    seeds: tuple[int, ...]
    images: int
    code: Code | None = None
    left_out: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """Study and profile, as in the names of its folders."""
        return self.study.name if self.profile is None else f"{self.study.name}-{self.profile}"

    @property
    def cells(self) -> list[Cell]:
        """All runs, seed by seed, so that an interrupted study has whole blocks."""
        return [Cell(arm.name, seed) for seed in self.seeds for arm in self.arms]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(arm.name for arm in self.arms)

    @property
    def questions(self) -> dict[str, dict[str, Any]]:
        """Question -> its claims that these arms can decide, by name."""
        return by_question(self.study, self.left_out)

    def arm(self, name: str) -> Arm:
        return next(arm for arm in self.arms if arm.name == name)

    def check_seed(self, seed: int | None) -> None:
        """Raise UsageError if the plan has no such seed."""
        if seed is not None and seed not in self.seeds:
            more = f", ... ({len(self.seeds)} of them)" if len(self.seeds) > 8 else ""
            raise UsageError(f"seed {seed} is not in the plan; its seeds: {', '.join(map(str, self.seeds[:8]))}{more}")

    @property
    def facts(self) -> dict[str, Any]:
        """What is fixed before the first run, as plain values: runs, quantities, claims."""
        plain = self.study.model_dump(mode="json", by_alias=True)
        return {
            "study": self.study.name,
            "profile": self.profile,
            "arms": {arm.name: trained(arm.recipe) for arm in self.arms},
            "seeds": list(self.seeds),
            "images": self.images,
            "quantities": plain["quantities"],
            "claims": {name: _decides(claim) for name, claim in plain["claims"].items()},
            "question": self.study.question,
            "code": None if self.code is None else self.code.sha256,
        }


def plan(study: Study, folder: Path, profile: str | None = None, code: Code | None = None) -> Plan:
    """Plan the runs of a study.

    Args:
        folder: folder of the study file, to which the file's recipe paths are relative.

    Raises:
        StudyError: names all problems: an arm's recipe, a claim that no result of this many seeds could decide.
    """
    budget, problems, arms, load = study.profile(profile), [], [], cache(data.load)
    names = [*_overrides(study), *(code.names if code else ())]
    if not names:
        raise StudyError(study.name, ["arms and grid: 0 arms; give one or more, or your own code with --code"])
    if double := {name for name in names if names.count(name) > 1}:
        raise StudyError(study.name, [f"two arms are called {sorted(double)[0]}"])
    if strange := [name for name in budget.arms or () if name not in names]:
        raise StudyError(study.name, [f"profiles.{profile}.arms: {unknown('arm', strange[0], names)}"])
    left_out = tuple(name for name in names if budget.arms and name not in budget.arms)
    names = [name for name in names if name not in left_out]
    wrong: dict[str, list[str]] = {}
    for name in names:
        try:
            arms.append(_arm(study, folder, profile, name, load, own_code=bool(code and name in code.names)))
        except RecipeError as error:
            for line in error.problems:
                wrong.setdefault(line, []).append(name)
        except GenlabError as error:
            wrong.setdefault(str(error), []).append(name)
    problems += [_of_all(line, having, names) for line, having in wrong.items()]
    seeds = study.seeds[: budget.seeds or len(study.seeds)]
    if budget.seeds and budget.seeds > len(study.seeds):
        problems.append(f"profiles.{profile}.seeds is {budget.seeds}; the study has {len(study.seeds)}")
    problems += too_many(study, tuple(names), left_out, len(seeds))
    if not problems:
        problems += _of_quantities(study, arms, load)
    if problems:
        raise StudyError(study.name, problems)
    return Plan(study, profile, tuple(arms), seeds, budget.images or study.images, code, left_out)


def _of_all(line: str, having: Sequence[str], names: Sequence[str]) -> str:
    """A problem with the arms that have it; without them if it is that of every arm."""
    everywhere = len(having) > 1 and len(having) == len(names)
    return line if everywhere else f"{', '.join(f'arms.{name}' for name in having)}: {line}"


def _arm(study: Study, folder: Path, profile: str | None, name: str, load: Load, own_code: bool) -> Arm:
    mine = dict(_overrides(study).get(name, {}))
    base, budget = _base(mine.pop("recipe", study.recipe), folder), study.profile(profile)
    mine = _flat(mine)
    common = {**PINNED, **_flat(study.overrides), **_flat(budget.overrides)}
    recipe, dataset = settle(base, {**common, **mine}, load)
    images = min(len(dataset), recipe.data.subset or len(dataset))
    whole = {path: value for path, value in common.items() if path not in LENGTH}
    if recipe.budget.minutes is not None:
        raise UsageError("budget.minutes: a study needs a number of steps; genlab study new --minutes M works it out")
    own = Schedule.of(settle(base, {**whole, **mine}, load)[0], images)
    steps = Schedule.of(recipe, images).total_steps
    if budget.budget < 1:
        steps = max(1, round(steps * budget.budget))
        recipe = recipe.model_copy(update={"budget": recipe.budget.model_copy(update={"max_steps": steps})})
    return Arm(name, recipe, mine, Share(steps, own.total_steps, own.steps_per_epoch), own_code)


def _overrides(study: Study) -> dict[str, dict[str, Any]]:
    """Name -> overrides, for the arms in the file."""
    return {**study.arms, **study.combinations()}


def _base(recipe: str, folder: Path) -> str:
    """Name of a recipe, or the path of its file with the study file's folder."""
    is_file = recipe not in files.names() and Path(recipe).suffix in (".yaml", ".yml")
    return str(folder / recipe) if is_file else recipe


def _flat(overrides: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested sections as dotted paths."""
    found: dict[str, Any] = {}
    for key, value in overrides.items():
        path = f"{prefix}{key}"
        found |= _flat(value, f"{path}.") if isinstance(value, Mapping) else {path: value}
    return found


def _of_quantities(study: Study, arms: Sequence[Arm], load: Load) -> Iterator[str]:
    """Metrics and columns that the runs will not have."""
    all_columns = [column for arm in arms for column in FAMILIES[arm.recipe.family].columns]
    blocks = {f"{column.name}{end}" for column in all_columns if column.block for end in BLOCK}
    columns = {column.name for column in all_columns} | blocks | ALWAYS
    claimed = {claim.of for claim in study.claims.values()}
    for name, quantity in study.quantities.items():
        draws = all(FAMILIES[arm.recipe.family].sampling for arm in arms)
        if isinstance(quantity, Metric) and "." not in quantity.name and quantity.name not in NAMES:
            yield f"quantities.{name}: {unknown('metric', quantity.name, NAMES)}"
        elif needs_images(quantity) and not draws:
            yield f"quantities.{name}: an image metric, but an arm makes no images; use a column, such as test_accuracy"
        elif name in claimed and _needs_judge(quantity):
            yield from _of_judges(name, arms)
        if isinstance(quantity, Classes):
            yield from _of_classes(name, quantity, arms, load)
        for column in columns_of(quantity):
            if column not in columns:  # Quantiles and floors last: the list of known ones is cut at its end.
                told = sorted(
                    columns, key=lambda each: (each.endswith(("_p10", "_p90", "_floor")), each in NAMES, each)
                )
                yield f"quantities.{name}: {unknown('column', column, told)}"
        if isinstance(quantity, Weights) and any(arm.own_code for arm in arms):
            yield f"quantities.{name}: the weights of an arm with your own code are not known here"


def _needs_judge(quantity: Any) -> bool:
    """Whether only a judge of the dataset can give the number."""
    known = isinstance(quantity, Metric) and quantity.name in METRICS
    return isinstance(quantity, Classes) or (known and METRICS[quantity.name].classes)


def _of_judges(name: str, arms: Sequence[Arm]) -> Iterator[str]:
    """Datasets without a judge, so that a claim about a quantity of classes could never be decided."""
    for dataset in dict.fromkeys(arm.recipe.data.name for arm in arms):
        if load_judge(dataset) is None:
            yield f"quantities.{name}: needs a judge, and {dataset} has none; train one: genlab judge train {dataset}"


def _of_classes(name: str, quantity: Classes, arms: Sequence[Arm], load: Load) -> Iterator[str]:
    """Classes that an arm's dataset does not have."""
    for arm in arms:
        known = load(arm.recipe.data.name).class_names
        if missing := [each for each in quantity.of if each not in known]:
            yield f"quantities.{name}: {unknown('class', missing[0], known)}"
            return


def trained(recipe: Recipe) -> dict[str, Any]:
    """What is trained, as plain values: the recipe without engine, logging and description. A dataset file counts by
    its name, since its content has its own fingerprint."""
    plain = files.to_dict(recipe)
    for untold in ("engine", "logging", "description"):
        plain.pop(untold, None)
    plain["data"] = {**plain["data"], "name": Path(plain["data"]["name"]).name}
    return _without_unset(recipe, plain)


def _without_unset(section: Section, plain: dict[str, Any]) -> dict[str, Any]:
    """Values without unset fields that were added later, so that earlier records keep their identity."""
    found = {}
    for key, value in plain.items():
        if key in section.later and value == section.later[key]:
            continue
        inner = getattr(section, key, None)
        found[key] = _without_unset(inner, value) if isinstance(inner, Section) else value
    return found


def identity(recipe: Recipe) -> str:
    """sha256 of `trained`."""
    return hashlib.sha256(json.dumps(trained(recipe), sort_keys=True).encode()).hexdigest()


def changes(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Differences between two plans (`Plan.facts`), one line each."""
    old, new = dict(_leaves(then)), dict(_leaves(now))
    return [
        f"{path}: {_shown(old, path)} -> {_shown(new, path)}"
        for path in dict.fromkeys([*old, *new])
        if old.get(path) != new.get(path)
    ]


def _leaves(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _leaves(inner, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, value


def _shown(values: Mapping[str, Any], path: str) -> str:
    if path not in values:
        return "none"
    told = textwrap.shorten(spelled(values[path]), SHOWN, placeholder=" ...")
    return f'"{told}"' if isinstance(values[path], str) and " " in told else told


def _decides(claim: Mapping[str, Any]) -> dict[str, Any]:
    """What a claim says and what decides it; its remarks are left out, since they may be edited at any time."""
    return {key: value for key, value in claim.items() if key not in ("source", "looks")}

"""Study file: the complete, frozen description of a question: base recipe, arms, seeds, quantities, claims.

A file is read once, and all its problems are named at once. What depends on the recipes (which arms there are, how long
they train) is in `plan`; what a claim's numbers say is in `claims`. A study file never names code.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError, field_validator

from genlab.errors import StudyError, unknown
from genlab.evaluation.statistics import smallest_p, smallest_p_of_trend
from genlab.recipe import text
from genlab.recipe.changes import short
from genlab.recipe.draft import explained
from genlab.recipe.sections import Count, NotNegative, Positive, Section
from genlab.recipe.source import read_text
from genlab.study.quantities import Finite, Quantity, Weights

ALPHA = 0.05
"""Largest probability that any claim of a question is falsely decided as a difference; the same for equivalence."""
MOST_SEEDS, MOST_ARMS = 1000, 100
NAME = r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,47}$"
LISTS = {"arms": "[first, second]", "window": "[0.5, 1]", "columns": "[loss_d, loss_g]", "of": "[shirt, coat]"}
"""Examples of the fields that are lists."""
Name = Annotated[str, Field(pattern=NAME)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]


class BaseClaim(Section):
    """Claim to be decided."""

    says: str = Field(min_length=1, max_length=500)
    """The claim, in one sentence."""
    source: str = Field(default="", max_length=300)
    """Who says so, and where."""
    of: str
    """Quantity that the claim is about."""
    question: str = Field(default="", max_length=300)
    """Question that the claim belongs to; its claims are corrected together. Empty for the study's own question."""
    reason: str | None = None
    """Another claim that gives the reason for this one; it is decided separately."""
    looks: str = Field(default="", max_length=1000)
    """Why the answer may look different."""

    @property
    def named(self) -> tuple[str, ...]:
        """Arms that the claim names."""
        raise NotImplementedError

    def pairs(self, arms: tuple[str, ...]) -> list[tuple[str, ...]]:
        """Tests that the claim needs, each as a tuple of arms; `arms` are all arms of the study."""
        return [self.named]

    def problems(self, arms: tuple[str, ...]) -> Iterator[str]:
        """Problems of the claim itself."""
        yield from ()

    def best_p(self, seeds: int) -> float:
        """Smallest p that one of the claim's tests can have."""
        return smallest_p(seeds, seeds)


class _OfTwo(BaseClaim):
    arms: tuple[str, str]
    paired: bool = False
    """Whether the arms share what a seed decides (initial weights, data order); the test is then paired."""

    @property
    def named(self) -> tuple[str, ...]:
        return self.arms

    def problems(self, arms: tuple[str, ...]) -> Iterator[str]:
        if self.arms[0] == self.arms[1]:
            yield f"arms are both {self.arms[0]}; name two different ones"

    def best_p(self, seeds: int) -> float:
        return smallest_p(seeds) if self.paired else smallest_p(seeds, seeds)


class Difference(_OfTwo):
    """The first arm is higher than the second, lower, or merely different."""

    kind: Literal["difference"]
    expect: Literal["higher", "lower", "different"]
    margin: Positive | None = None
    """Difference below which the arms count as the same; arms can be found equivalent only if it is given."""


class Equivalence(_OfTwo):
    """Both arms are the same to within a margin, which is fixed before anything is run."""

    kind: Literal["equivalence"]
    margin: Positive

    def best_p(self, seeds: int) -> float:
        """Each of its two tests is one-sided."""
        return super().best_p(seeds) / 2


class Trend(BaseClaim):
    """The quantity rises, or falls, over the arms in the order given."""

    kind: Literal["trend"]
    arms: Annotated[tuple[str, ...], Field(min_length=3)]
    expect: Literal["rising", "falling"]

    @property
    def named(self) -> tuple[str, ...]:
        return self.arms

    def problems(self, arms: tuple[str, ...]) -> Iterator[str]:
        if len(set(self.arms)) < len(self.arms):
            yield "an arm is named twice"

    def best_p(self, seeds: int) -> float:
        return smallest_p_of_trend([seeds] * len(self.arms))


class OneArm(BaseClaim):
    """The mean of an arm is higher than a value, lower, or different from it."""

    kind: Literal["one arm"]
    arm: str
    value: Finite
    expect: Literal["higher", "lower", "different"]

    @property
    def named(self) -> tuple[str, ...]:
        return (self.arm,)

    def best_p(self, seeds: int) -> float:
        return smallest_p(seeds)


class Ranking(BaseClaim):
    """One arm is higher, or lower, than every other arm."""

    kind: Literal["ranking"]
    arm: str
    expect: Literal["highest", "lowest"]

    @property
    def named(self) -> tuple[str, ...]:
        return (self.arm,)

    def pairs(self, arms: tuple[str, ...]) -> list[tuple[str, ...]]:
        return [(self.arm, other) for other in arms if other != self.arm]

    def problems(self, arms: tuple[str, ...]) -> Iterator[str]:
        if len(arms) < 2:
            yield "a ranking needs two arms or more"


class Fact(BaseClaim):
    """A count or an identity that is checked in every run; it needs no test."""

    kind: Literal["fact"]
    arms: Annotated[tuple[str, ...], Field(min_length=1, max_length=2)]
    expect: Literal["equal", "higher", "lower"]
    value: Finite | None = None
    """Value that a single arm is compared with."""
    tolerance: NotNegative = 0
    """Largest difference at which two numbers count as equal."""

    @property
    def named(self) -> tuple[str, ...]:
        return self.arms

    def problems(self, arms: tuple[str, ...]) -> Iterator[str]:
        if (len(self.arms) == 1) == (self.value is None):
            yield "a fact is about one arm and a value, or about two arms"

    def pairs(self, arms: tuple[str, ...]) -> list[tuple[str, ...]]:
        return []


Claim = Annotated[Difference | Equivalence | Trend | OneArm | Ranking | Fact, Field(discriminator="kind")]


class Profile(Section):
    """Budget of a study."""

    budget: Annotated[float, Field(gt=0, le=1)] = 1
    """Share of each arm's steps that is trained; below 1, a verdict is an indication."""
    seeds: Annotated[int, Field(ge=1, le=MOST_SEEDS)] | None = None
    """Number of the study's seeds to run, from the first; null for all."""
    arms: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """Arms to run; null for all. A claim that needs another arm cannot be decided then."""
    images: Count | None = None
    overrides: dict[str, Any] = Field(default_factory=dict)


def _listed(value: Any) -> Any:
    """Seeds 0, 1, ... if their number is given."""
    if isinstance(value, int) and not isinstance(value, bool):
        if not 2 <= value <= MOST_SEEDS:
            raise ValueError(f"allowed: 2 .. {MOST_SEEDS:,} seeds, or a list of them")
        return tuple(range(value))
    if not isinstance(value, list | tuple):
        raise ValueError("their number is needed, as in 8, or a list of them, as in [0, 1, 2]")
    return value


class Study(Section):
    """Content of a study file."""

    schema_: Literal[1] = Field(alias="schema")
    name: Name
    question: str = Field(default="", max_length=500)
    recipe: str
    """Base of every arm: a built-in recipe, or a file with its path relative to the study file's folder."""
    overrides: dict[str, Any] = Field(default_factory=dict)
    """Dotted path -> value, for every arm."""
    arms: dict[Name, dict[str, Any]] = Field(default_factory=dict)
    """Name -> overrides of the arm, by dotted path; the key `recipe` gives it another base."""
    grid: dict[str, Annotated[list[Any], Field(min_length=1)]] = Field(default_factory=dict)
    """Dotted path -> values: one arm for each combination."""
    seeds: Annotated[tuple[Seed, ...], BeforeValidator(_listed)]
    images: Count = 10_000
    """Number of images measured per run."""
    profiles: dict[Name, Profile] = Field(default_factory=dict)
    quantities: dict[Name, Quantity] = Field(default_factory=dict)
    claims: dict[Name, Claim] = Field(default_factory=dict)

    @field_validator("seeds")
    @classmethod
    def _distinct(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) < len(seeds) or not 1 <= len(seeds) <= MOST_SEEDS:
            raise ValueError(f"allowed: 1 .. {MOST_SEEDS:,} seeds, each once")
        return seeds

    def profile(self, name: str | None) -> Profile:
        """Profile of that name; the whole study if no name is given.

        Raises:
            StudyError: there is no such profile.
        """
        if name is None:
            return Profile()
        if name not in self.profiles:
            raise StudyError(self.name, [unknown("profile", name, self.profiles)])
        return self.profiles[name]

    def combinations(self) -> dict[str, dict[str, Any]]:
        """Arms of `grid`, each named by its differences, or by its position if that would not be a usable name."""
        found: dict[str, dict[str, Any]] = {}
        for values in itertools.product(*self.grid.values()) if self.grid else ():
            combination = dict(zip(self.grid, values, strict=True))
            name = short({path: (None, value) for path, value in combination.items()})
            fits = re.match(NAME, name) and name not in found and name not in self.arms
            found[name if fits else f"arm-{len(found) + 1}"] = combination
        return found


def load(path: str | Path) -> Study:
    """Load the study in a file.

    Raises:
        StudyError: the study has problems; names all of them.
        UsageError: the file does not exist or is not YAML.
    """
    found = read_text(Path(path), "study", "Write one with: genlab study new RECIPE --vary FIELD=VALUE,VALUE")
    return check(text.parse(found, str(path), "study", "genlab study new --help"), str(path))


def check(raw: Mapping[str, Any], title: str) -> Study:
    """Study from plain values.

    Raises:
        StudyError: the study has problems; names all of them.
    """
    try:
        study = Study.model_validate(raw)
    except ValidationError as error:
        raise StudyError(title, explained(error, Study, raw, LISTS)) from None
    problems = [*_of_arms(study), *_of_quantities(study), *_of_claims(study)]
    if problems:
        raise StudyError(title, problems)
    return study


def _of_arms(study: Study) -> Iterator[str]:
    count = len(study.arms) + len(study.combinations())
    if count > MOST_ARMS:  # There may be none if the arms come from the user's own code.
        yield f"arms and grid: {count} arms; allowed: 1 .. {MOST_ARMS}"
    for name, arm in study.arms.items():
        if not isinstance(arm.get("recipe", ""), str):
            yield f"arms.{name}.recipe is {arm['recipe']!r}; a recipe's name or file is needed"


def _of_quantities(study: Study) -> Iterator[str]:
    for name, quantity in study.quantities.items():
        yield from (f"quantities.{name}: {problem}" for problem in quantity.problems())


def _of_claims(study: Study) -> Iterator[str]:
    for name, claim in study.claims.items():
        at = f"claims.{name}"
        if claim.of not in study.quantities:
            yield f"{at}.of: {unknown('quantity', claim.of, study.quantities)}"
        elif claim.kind != "fact" and isinstance(study.quantities[claim.of], Weights):
            yield f"{at}: weights are equal or not, so the claim must be of the kind fact"
        if claim.reason is not None and (claim.reason not in study.claims or claim.reason == name):
            others = [other for other in study.claims if other != name]
            yield f"{at}.reason: {unknown('claim', claim.reason, others)}"


def too_many(study: Study, arms: tuple[str, ...], left_out: Sequence[str], seeds: int) -> list[str]:
    """Problems of claims that name unknown arms, or that this many seeds cannot decide, with the number that could.

    Args:
        arms, left_out: arms that are run, and others of the study.
    """
    found = []
    for name, claim in study.claims.items():
        at = f"claims.{name}"
        every = (*arms, *left_out)
        if missing := [arm for arm in claim.named if arm not in every]:
            found.append(f"{at}: {unknown('arm', missing[0], every)}")
        else:
            found += [f"{at}: {problem}" for problem in claim.problems(every)]
    if found or seeds < 2:  # A verdict from one seed is refused later, when it is asked for.
        return found
    for question, claims in by_question(study, left_out).items():
        tests = {name: len(claim.pairs(arms)) for name, claim in claims.items()}
        count = sum(tests.values())
        hard = [name for name, claim in claims.items() if tests[name] and claim.best_p(seeds) * count > ALPHA]
        if hard:
            claim = claims[max(hard, key=lambda name: claims[name].best_p(seeds))]
            needed = next(n for n in range(seeds, 10_000) if claim.best_p(n) * count <= ALPHA)
            found.append(
                f"{seeds} seeds cannot decide {', '.join(hard)}: the smallest possible p, "
                f"{claim.best_p(seeds):.2g}, times {count} test{'s' * (count > 1)}"
                + (f" of the question {question!r}" if question != study.question else "")
                + f" is more than {ALPHA:g}; {needed} seeds could"
                + (", or use fewer claims" if len(claims) > 1 else "")
            )
    return found


def lacking(claim: Any, left_out: Sequence[str]) -> list[str]:
    """Arms that a claim needs, of those that are not run; a ranking needs all."""
    return [arm for arm in left_out if claim.kind == "ranking" or arm in claim.named]


def by_question(study: Study, left_out: Sequence[str] = ()) -> dict[str, dict[str, Any]]:
    """Question -> its claims, by name; without those that need an arm that is left out."""
    found: dict[str, dict[str, Any]] = {}
    for name, claim in study.claims.items():
        if not lacking(claim, left_out):
            found.setdefault(claim.question or study.question, {})[name] = claim
    return found


def dump(study: Study) -> str:
    """Study as YAML, from which `load` gives the same study back."""
    plain = study.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    plain["seeds"] = len(study.seeds) if study.seeds == tuple(range(len(study.seeds))) > (0,) else list(study.seeds)
    for name, quantity in study.quantities.items():
        if quantity.kind == "metric":
            plain["quantities"][name] = quantity.name
    first = ("schema", "name", "question", "recipe", "overrides", "arms", "grid", "seeds", "images", "profiles")
    return text.dump({key: plain[key] for key in (*first, *plain) if key in plain}, ascii=False)

"""What a run's provenance.json holds."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict


class SplitFacts(TypedDict):
    """A split of a dataset, as it was when the run began."""

    images: int
    fingerprint: str


class DataFacts(TypedDict):
    """The run's dataset. `test` is None if there is no test split; runs of older versions lack the key. `unseen` lists
    the classes without a training image."""

    name: str
    split: str
    images: int
    fingerprint: str
    class_names: list[str]
    test: NotRequired[SplitFacts | None]
    unseen: NotRequired[list[str]]


class Resumed(TypedDict):
    """One resumption of a run: where, whether bit for bit as if never interrupted, and with which recipe changes."""

    at: str
    step: int
    exact: bool
    differences: list[str]
    changes: dict[str, Any]


class Provenance(TypedDict):
    """What made a run, as far as it was known when it began.

    `own` holds the custom parts and their types, `networks` the layer tables, `recipe` the recipe with every `auto`
    resolved. `seals` says that all files of the run carry a seal, `pruned` that what only further training needs was
    removed. `id` is shared by all copies of the run, `minutes` says what a time became (`training.minutes`), `base` is
    the sha256 of the built-in recipe of the same name, `forked_from` gives the run and step that this one began at
    (`training.fork`). A moved dataset and a warm start are recorded, too.
    """

    seed: int
    started: str
    versions: dict[str, str]
    machine: dict[str, Any]
    data: DataFacts
    networks: list[dict[str, Any]]
    own: dict[str, str]
    recipe: NotRequired[dict[str, Any]]
    seals: NotRequired[bool]
    id: NotRequired[str]
    pruned: NotRequired[bool]
    resumed: NotRequired[list[Resumed]]
    moved: NotRequired[list[dict[str, Any]]]
    encoder_from: NotRequired[dict[str, Any]]
    initial_weights: NotRequired[str]
    minutes: NotRequired[dict[str, Any]]
    base: NotRequired[str]
    forked_from: NotRequired[dict[str, Any]]
    loop: NotRequired[str]

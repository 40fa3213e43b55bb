"""A run in a sentence and five numbers, from its rows and evaluation: quality, weakest class, copies, progress."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from genlab.errors import counted
from genlab.evaluation import kept, statistics
from genlab.evaluation.random_features import NAME as RANDOM
from genlab.families.registry import FAMILIES
from genlab.recipe import Recipe
from genlab.report import text as words
from genlab.report.tables import Table
from genlab.runs.directory import RunDirectory
from genlab.runs.rows import Row

SAME = 0.05
"""Distances that differ by a smaller fraction count as equal: two measurements of 2,000 images differ by that much."""
SAME_ACCURACY = 0.002
BLURRED, GRAINY = 0.8, 1.25
"""Ratios of detail beyond which blur or noise is visible."""
EARLY = 0.8
"""A training that improves no more after this share of it has levelled off; any later, noise decides."""
NO_COPIES = 0.001
"""Share of real images that count as near copies of a training image, by the definition of memorisation."""


@dataclass(frozen=True)
class Number:
    """A number that a page shows in large type, with a label and a remark."""

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class Verdict:
    """What a page says first."""

    sentence: str
    numbers: list[Number]


@dataclass(frozen=True)
class Class:
    """How well one class does: a smaller `rank`, which follows from `value`, is worse; `told` is `value` in words."""

    name: str
    rank: float
    value: float
    told: str


JUDGED = ("test_accuracy", "frechet_distance")
"""Columns of the rows that `verdict` reads; of the others, it reads the last."""


def verdict(recipe: Recipe, rows: Sequence[Row], record: Mapping[str, Any] | None, classes: Sequence[Class]) -> Verdict:
    """What to say first about a run.

    Args:
        record: record of the full evaluation, if there was one.
        classes: as returned by `classes_of` or `named_rightly`.
    """
    family, last = FAMILIES[recipe.family], rows[-1] if rows else None
    if last is None:
        return Verdict("", [])
    spent = Number(
        "training",
        duration(last["seconds"]),
        f"{counted(last['step'], 'step')}, {counted(last['epoch'], 'epoch')}",
    )
    if family.naming:
        said, numbers = _of_a_classifier(rows, classes)
    elif record is None:
        some = any(row.get("frechet_distance") is not None for row in rows)
        few = "Only 2,000 images were measured, during training" if some else "Its images have not been measured yet"
        said, numbers = [few if family.own_loop else f"{few} (genlab evaluate measures 10,000)"], []
    else:
        said, numbers = _of_images(dict(record), rows, classes)
    sentence = "; ".join(said)
    return Verdict(f"{sentence}." if sentence else "", [*numbers, spent])


def of_run(run: RunDirectory) -> Verdict:
    """What to say first about a run on disk; a classifier's weakest class is left out."""
    record = kept.read(run, kept.FULL_FILE)
    return verdict(run.trained_by(), run.sound_rows(), record, classes_of(record) if record else [])


def _of_images(record: dict[str, Any], rows: Sequence[Row], classes: Sequence[Class]) -> tuple[list[str], list[Number]]:
    found, times, said = record["metrics"], words.times_real(record), []
    vae, copied = record.get("vae"), found["memorised_fraction"]
    if vae and vae["active_units"] == 0:
        said.append("The latent code is ignored: every z gives the same image (posterior collapse)")
    if times is not None:
        n = record["protocol"]["samples"]
        more = "no larger than" if times < 1.05 else f"{_times(times)} times"
        if (record["protocol"].get("judge") or {}).get("name") == RANDOM:
            said.append("This dataset has no judge, so a random network's features are compared")
        said.append(
            f"The Frechet distance of its images to real ones is {more} that of other real images ({n:,} of each)"
        )
    else:
        said.append("How far its images are from real ones is unknown, since this dataset has no judge")
    said += [
        *_of_earlier_weights(record, rows),
        *_looks(found),
        *_classes(record, classes),
        *_copies(copied),
        *_course(rows, "frechet_distance", SAME, lower=True),
    ]
    numbers = [_distance(found["frechet_distance"], times), _metric(record, "recall", "variety (recall)")]
    if vae:
        numbers += [
            Number("-log p(x), at most", f"{vae['negative_log_likelihood']:.1f}", "nats per image"),
            Number("latent units", f"{vae['active_units']} of {vae['latent']}", "active"),
        ]
    else:
        asked = found["requested_class_accuracy"]["value"] is not None
        missing = "missing_classes" if found["missing_classes"]["value"] is not None else "coverage"
        numbers += [
            _metric(record, "requested_class_accuracy", "conditional accuracy")
            if asked
            else _metric(record, missing, "missing classes" if missing == "missing_classes" else "coverage"),
            _metric(record, "memorised_fraction", "near copies"),
        ]
    return said, numbers


def _distance(found: Mapping[str, Any], times: float | None) -> Number:
    label, ratio = "distance to real images", "-" if times is None else f"{_times(times)} x"
    if found["value"] is None:
        return Number(label, ratio, "")
    value, floor = (words.number("frechet_distance", found[key]) for key in ("value", "floor"))
    within = f" {words.interval('frechet_distance', found['interval'])}" if found["interval"] else ""
    return Number(label, ratio, f"Frechet distance {value}{within}; real images: {floor}")


def _times(ratio: float) -> str:
    return f"{ratio:.1f}" if ratio < 20 else f"{ratio:.0f}"


def _of_earlier_weights(record: Mapping[str, Any], rows: Sequence[Row]) -> Iterator[str]:
    step, last = record["protocol"].get("step"), rows[-1]["step"]
    if step is not None and step < last:
        yield f"this was measured at step {step:,}, and the run has gone on to step {last:,}"


def _looks(found: Mapping[str, Any]) -> Iterator[str]:
    """A remark on blur or noise, if the detail is far from that of real images."""
    sharp, grain = found["sharpness_ratio"], found["grain_ratio"]
    if sharp["value"] is not None and sharp["value"] < BLURRED:
        yield f"they are blurred (sharpness {words.number('sharpness_ratio', sharp['value'])} of that of real images)"
    elif grain["value"] is not None and grain["value"] > GRAINY:
        yield f"they are noisy (grain {words.number('grain_ratio', grain['value'])} times that of real images)"


def _metric(record: dict[str, Any], name: str, label: str) -> Number:
    found = record["metrics"][name]
    floor = f"real images: {words.number(name, found['floor'])}" if found["floor"] is not None else ""
    return Number(label, words.number(name, found["value"]), floor)


def _classes(record: dict[str, Any], classes: Sequence[Class]) -> Iterator[str]:
    missing = record["metrics"]["missing_classes"]["value"]
    if missing is None:
        return
    total = words.classes_in(record)
    if missing:
        there = f"{missing:.0f}{f' of {total}' if total else ''} classes are missing"
    else:
        there = f"all {f'{total} ' if total else ''}classes are present"
    yield there + (f"; the weakest is {classes[0].name} ({classes[0].told})" if classes else "")


def _copies(found: Mapping[str, Any]) -> Iterator[str]:
    if found["value"] is None:
        return
    few = found["value"] <= 2 * max(found["floor"] or 0, NO_COPIES)
    share = words.number("memorised_fraction", found["value"])
    yield "no copies of training images were found" if few else f"{share} of them are near copies of training images"


def _course(rows: Sequence[Row], column: str, same: float, lower: bool) -> Iterator[str]:
    """When a quantity stopped improving, if it was measured often enough to tell."""
    there = [(row["epoch"], row[column]) for row in rows if row.get(column) is not None]
    if len(there) < 3:
        return
    values = [value for _, value in there]
    best = min(values) if lower else max(values)
    good = [value <= best * (1 + same) if lower else value >= best - same for value in values]
    first, end = there[good.index(True)][0], there[-1][0]
    if first > EARLY * end and good[-1]:
        yield "the images were still improving at the end" if lower else "it was still improving at the end"
    else:
        worse = "" if good[-1] else ", and the end was worse"
        yield f"there was no improvement after epoch {first:.3g} of {end:.3g}{worse}"


def _of_a_classifier(rows: Sequence[Row], classes: Sequence[Class]) -> tuple[list[str], list[Number]]:
    tested = [row for row in rows if row.get("test_accuracy") is not None]
    if not tested:
        return ["It has not been tested yet"], []
    last, best = tested[-1], max(tested, key=lambda row: row["test_accuracy"])
    train = last.get("train_accuracy")
    said = [f"It classifies {_share(last['test_accuracy'])} of the test images correctly"]
    numbers = [Number("test accuracy", _share(last["test_accuracy"]))]
    if train is not None:
        said[0] += f" (in training, over the last epoch, {_share(train)})"
        numbers.append(Number("training accuracy", _share(train), "mean over the last epoch"))
    if classes:
        said.append(f"the weakest class is {classes[0].name} ({classes[0].told})")
        numbers.append(Number("weakest class", classes[0].name, classes[0].told))
    said += _course(rows, "test_accuracy", SAME_ACCURACY, lower=False)
    numbers.append(Number("best epoch", f"{best['epoch']:.3g}", f"{_share(best['test_accuracy'])}, on the test split"))
    return said, numbers


def classes_of(record: Mapping[str, Any]) -> list[Class]:
    """The classes of an evaluation, worst first, ranked by the share of images requested as a class that are read as
    it; if none were requested, by how far the class's share is from that in the data, in either direction. Chance is
    judged at a level at which some class is wrongly called too rare or too frequent once in twenty evaluations."""
    found, n, level = [], record["protocol"]["samples"], 1 - 0.05 / max(1, len(record["classes"]))
    for row in record["classes"]:
        asked, share, data = (row.get(key) for key in ("requested_class_accuracy", "share", "share_in_data"))
        if asked is not None:
            found.append(Class(str(row["class"]), asked, asked, f"{_share(asked)} of those requested are read as such"))
        elif share is not None and data:
            ratio = share / data
            rank = min(ratio, 1 / ratio) if ratio else 0.0
            low, high = statistics.proportion(share, n, level)
            chance = ", within chance" if low <= data <= high else ""
            found.append(Class(str(row["class"]), rank, ratio, f"{ratio:.2f} times its share in the data{chance}"))
    return sorted(found, key=lambda each: each.rank)


def named_rightly(counts: Sequence[Sequence[int]], names: Sequence[str]) -> list[Class]:
    """The classes of a confusion matrix counts[true][predicted], worst first."""
    found = []
    for k, (name, row) in enumerate(zip(names, counts, strict=True)):
        if total := sum(row):
            right = row[k] / total
            found.append(Class(name, right, right, f"{_share(right)} correct"))
    return sorted(found, key=lambda each: each.rank)


CLASS_COLUMNS = (
    ("requested_class_accuracy", "conditional accuracy"),
    ("share", "share"),
    ("share_in_data", "in the data"),
    ("legibility", "judge confidence"),
    ("within_class_diversity", "diversity"),
)


def classes_table(record: Mapping[str, Any], order: Sequence[Class]) -> Table | None:
    """The classes of an evaluation, in this order; None if there are none. The number that ranks them has a 95 %
    interval: the share of requested images that are read as the class or, if none were requested, its share of all."""
    n = record["protocol"]["samples"]
    rows = {str(row["class"]): row for row in record["classes"]}
    there = [(key, title) for key, title in CLASS_COLUMNS if any(row.get(key) is not None for row in rows.values())]
    names = [each.name for each in order] or list(rows)
    if not rows or not there:
        return None
    by = there[0][0]

    def cell(row: Mapping[str, Any], key: str) -> str:
        value = row.get(key)
        if value is None or key == "within_class_diversity":
            return "-" if value is None else f"{value:.2f}"
        return _share(value) + (_within(value, trials) if key == by and (trials := _trials(row, by, n)) else "")

    titles = [title for _, title in there]
    cells = [(name, *(cell(rows[name], key) for key, _ in there)) for name in names]
    return Table("", ("class", *titles), cells, numeric=titles)


def _share(value: float) -> str:
    return f"{100 * value:.1f} %"


def _trials(row: Mapping[str, Any], by: str, n: int) -> int:
    """How many of n images a class's share is counted among: all, or those requested, in the data's proportions."""
    return n if by == "share" else round(n * (row.get("share_in_data") or 0))


def _within(share: float, n: int) -> str:
    low, high = statistics.proportion(share, n)
    return f" [{100 * low:.1f}, {100 * high:.1f}]"


def duration(seconds: float) -> str:
    """A duration in words: 43 s, 3 min 5 s, 2 h 27 min."""
    whole = round(seconds)
    if whole < 100:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"

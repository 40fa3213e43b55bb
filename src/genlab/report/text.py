"""An evaluation's record in words and tables, for the screen and for the report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from genlab.errors import counted
from genlab.evaluation.catalogue import METRICS
from genlab.evaluation.random_features import NAME as RANDOM
from genlab.report.tables import Table

Record = dict[str, Any]


def number(name: str, value: float | None) -> str:
    """A metric's value as text."""
    if value is None:
        return "-"
    unit = METRICS[name].unit
    if unit == "count":
        return f"{value:.0f}"
    if unit == "share":
        return f"{100 * value:.2f} %"
    return f"{value:.3g}" if abs(value) < 0.1 else f"{value:.2f}" if abs(value) < 100 else f"{value:,.0f}"


def interval(name: str, pair: list[float] | None) -> str:
    """An interval as text."""
    return "-" if pair is None else f"[{number(name, pair[0])}, {number(name, pair[1])}]"


def title(name: str) -> str:
    """A metric's name, with the acronym that people search for."""
    metric = METRICS[name]
    return f"{metric.title} ({metric.acronym})" if metric.acronym else metric.title


def table(record: Record) -> Table:
    """Every metric that was measured, with its interval, beside the value of as many real images."""
    rows = [
        (title(name), number(name, found["value"]), interval(name, found["interval"]), number(name, found["floor"]))
        for name, found in record["metrics"].items()
        if found["value"] is not None
    ]
    columns = ("metric", "value", "95 % interval", "real images")
    return Table(_judged(record), columns, rows, numeric=columns[1:])


def _judged(record: Record) -> str:
    """Which network's features the distances use, since these acronyms usually imply Inception's."""
    judge = record["protocol"]["judge"]
    if judge is None:
        return ""
    if judge["name"] == RANDOM:
        return "FID and KID: in the features of a fixed random network, not Inception's"
    return f"FID, KID and IS: in the features of the {judge['name']} judge, not Inception's"


def _reader(judge: dict[str, Any] | None, digits: int = 0) -> str:
    """The network that read the images, in words."""
    if judge is None:
        return "no judge"
    what = "features of a fixed random network" if judge["name"] == RANDOM else f"judge {judge['name']}"
    return f"{what} {judge['sha256'][:digits]}".rstrip()


def explained(record: Record) -> list[tuple[str, str, str]]:
    """(metric, what it says, what it cannot see) for each metric that was measured."""
    there = [name for name, found in record["metrics"].items() if found["value"] is not None]
    return [(title(name), METRICS[name].says, METRICS[name].blind) for name in there]


def times_real(record: Record) -> float | None:
    """The Frechet distance over that of as many real images: 1 is as close as real images are."""
    found = record["metrics"]["frechet_distance"]
    return found["value"] / found["floor"] if found["value"] is not None and found["floor"] else None


def summary(record: Record) -> list[tuple[str, str]]:
    """(label, result) pairs: quality, classes, memorisation, one line each."""
    found = record["metrics"]
    lines = [*_quality(record), *_classes(record)]
    asked, copied = found["requested_class_accuracy"], found["memorised_fraction"]
    if asked["value"] is not None:
        mine, real = (number("requested_class_accuracy", asked[key]) for key in ("value", "floor"))
        lines.append(("conditional accuracy", f"{mine} drawn as the requested class (real images: {real})"))
    if copied["value"] is not None:
        lines.append(("memorisation", _memorised(copied, record["protocol"]["real_images"])))
    if "vae" in record:
        v = record["vae"]
        words = f"-log p(x) at most {v['negative_log_likelihood']:.1f} nats per image, -ELBO {v['negative_elbo']:.1f}"
        lines.append(("likelihood", words))
        collapsed = ": collapsed, every z gives the same image" if v["active_units"] == 0 else ""
        lines.append(("latent units", f"{v['active_units']} of {v['latent']} active{collapsed}"))
    return lines


FEW_REAL = 1000
"""Real images below which the number of them is said beside a distance."""


def _quality(record: Record) -> Iterator[tuple[str, str]]:
    name, times = "frechet_distance", times_real(record)
    found = record["metrics"][name]
    if found["value"] is not None:
        within = f" {interval(name, found['interval'])}" if found["interval"] else ""
        many = f", {times:.1f} x that of real images ({number(name, found['floor'])})" if times else ""
        yield "quality", f"Frechet distance {number(name, found['value'])}{within}{many}"
        if said := _rough(record["protocol"]):
            yield "measured", said


def _rough(protocol: dict[str, Any]) -> str:
    """In which features and against how many images the distance was measured, if either makes it rough."""
    judge, images = protocol["judge"], protocol["real_images"]
    few, kind = "only " if images < FEW_REAL else "", "test" if protocol["split"] == "test" else "training"
    against = f"against {few}{counted(images, f'{kind} image')}"
    if judge and judge["name"] == RANDOM:
        return f"in features of a fixed random network, as the dataset has no judge; {against}"
    return against if few else ""


def classes_in(record: Record) -> int:
    """Number of classes in the data; 0 in a record of an older version if there are too many for a table."""
    return len(record["classes"]) or record["protocol"].get("classes_in_data") or record.get("modes", {}).get("of", 0)


def _classes(record: Record) -> Iterator[tuple[str, str]]:
    missing = record["metrics"]["missing_classes"]["value"]
    if missing is not None:
        total = classes_in(record)
        yield "classes", f"{total - missing:.0f} of {total} found" if total else f"{missing:.0f} missing"
    if "modes" in record:
        m = record["modes"]
        yield (
            "modes",
            f"{m['found']} of {m['of']} in {m['n']:,} samples; KL to the data's shares {m['kl_to_data']:.3f}, to "
            f"uniform shares {m['kl_to_uniform']:.3f}",
        )


GLOSSARY = [
    (
        "judge",
        "a classifier of real images of this dataset; distances are measured between the features that it computes "
        "before it assigns a class, so they cannot be compared with a published FID, which uses the Inception network",
    ),
    (
        "Frechet distance",
        "how far apart the means and covariances of generated and real images lie in the judge's features, squared; it "
        "shrinks as the number of images grows, so it is shown beside that of as many other real images",
    ),
    ("recall, coverage", "whether all kinds of real images are present; precision, density: whether images look real"),
    ("z", "the random numbers that an image is made from"),
    ("EMA weights", "an average of the weights over the last steps; usually smoother than the last weights"),
    ("step, epoch", "one update of the networks from one batch of images; one pass over all training images"),
    (
        "95 % interval",
        "uncertainty of the number from measuring a limited number of images; it says nothing about other seeds",
    ),
    ("nats", "the unit of information and of log-likelihoods with natural logarithms; 1 nat is 1.44 bits"),
]
"""Terms that a report uses, for a reader who has only the page."""


FEW_DUPLICATES = 0.01
"""Up to this floor of memorised_fraction, the data are assumed to have no duplicates worth mentioning."""


def _memorised(found: dict[str, Any], real_images: int) -> str:
    """Whether samples lie unusually close to a training image more often than real images do, in words.

    Up to twice the floor counts as none. If the data have many duplicates, twice the floor could be everything, so the
    interval must lie above the floor. Among few real images, one is always the nearest: no evidence of duplicates.
    """
    name, value, floor = "memorised_fraction", found["value"], found["floor"]
    share, real = number(name, value), number(name, floor)
    close = f"{share} of samples lie closer to a training image than the 0.1 % quantile of real images"
    if floor <= max(FEW_DUPLICATES, 1.5 / real_images):
        return f"none detected ({close})" if value <= 2 * max(floor, 0.001) else close  # The floor may be 0.
    low = found["interval"][0] if found["interval"] else value
    more = "no more than" if low <= floor else "more than"
    return f"{close}, {more} real images do ({real}: the dataset has duplicates)"


def more(record: Record) -> list[tuple[str, str]]:
    """(label, result) pairs that only a run can give: discriminator, likelihood, latent interpolation, style."""
    parts = {"discriminator": _discriminator, "vae": _likelihood, "interpolation": _interpolation, "style": _style}
    return [line for name, part in parts.items() if name in record for line in part(record[name])]


def _discriminator(d: Record) -> Iterator[tuple[str, str]]:
    yield (
        "discriminator",
        f"it ranks a held-out real image above a generated one with probability {d['ranking']:.2f}, and a training "
        f"image above a held-out one with probability {d['ranking_of_training_over_held_out']:.2f} (0.5: it cannot "
        "tell them apart)",
    )
    if d["has_border"]:
        yield (
            "its accuracy",
            f"{d['accuracy']:.1%}: {d['accuracy_on_held_out_real']:.1%} on held-out real images and "
            f"{d['accuracy_on_generated']:.1%} on generated ones; {d['accuracy_on_training_real']:.1%} on training "
            f"images, {100 * d['gap']:.1f} points more than on held-out ones",
        )
        yield (
            "its probability",
            f"on average {d['mean_probability_of_held_out_real']:.2f} for held-out real images and "
            f"{d['mean_probability_of_generated']:.2f} for generated ones; calibration error "
            f"{d['calibration_error']:.1%}",
        )


def _likelihood(v: Record) -> Iterator[tuple[str, str]]:
    low, high = v["negative_log_likelihood_interval"] or (None, None)
    within = f" [{low:.1f}, {high:.1f}]" if low is not None else ""
    yield (
        "likelihood",
        f"-ELBO {v['negative_elbo']:.1f} nats per image = reconstruction {v['reconstruction']:.1f} + KL {v['kl']:.2f} "
        f"on {v['n']:,} {v['split']} images; -log p(x) at most {v['negative_log_likelihood']:.1f}{within} on "
        f"{v['n_likelihood']:,} of them, with {v['importance_samples']} importance samples each; {v['active_units']} "
        f"of {v['latent']} latent units active",
    )


def _interpolation(p: Record) -> Iterator[tuple[str, str]]:
    yield (
        "latent interpolation",
        f"paths are {p['path_length_ratio']:.2f} x as long as the distance between two real images; the largest of 15 "
        f"steps is {p['roughest_step']:.0%} of the path (even steps: {p['even_step']:.0%})",
    )


def _style(s: Record) -> Iterator[tuple[str, str]]:
    known = {name: s[name] for name in ("slant", "stroke_width") if s[name] is not None}
    if known:
        shares = " and ".join(f"{share:.0%} of the {name.replace('_', ' ')}" for name, share in known.items())
        yield (
            "style",
            f"within classes, z explains {shares} (chance: {s['chance']:.0%}): {s['z']} z, each drawn as "
            f"{s['classes']} classes",
        )


def protocol(record: Record) -> str:
    """How the numbers were measured, in a sentence or two."""
    p = record["protocol"]
    drawn = f", {p['drawn_with']}" if "drawn_with" in p else ""
    step = f", step {p['step']:,}" if "step" in p else ""
    judge = _reader(p["judge"], 12)
    return (
        f"{p['samples']:,} images of {p['of']}{step}{drawn}; against {p['real_images']:,} {p['split']} images of "
        f"{p['dataset']}; {judge}; size: {p['size']}. Real images: {p['floor']}. Intervals: {p['intervals']}."
    )


def measured(records: dict[str, Record]) -> str:
    """How the numbers of several runs, which `evaluation.alike` does not object to, were measured."""
    p = next(iter(records.values()))["protocol"]
    drawn = _by_run({name: each["protocol"].get("drawn_with", "as they are") for name, each in records.items()})
    size = _by_run({name: each["protocol"]["size"] for name, each in records.items()})
    return (
        f"{p['samples']:,} images of each run against {p['real_images']:,} {p['split']} images of {p['dataset']}; "
        f"{_reader(p['judge'])}; {drawn}; size: {size}. Real images: as many training images, processed like the run's "
        f"own. Intervals: {p['intervals']}."
    )


def _by_run(said: Mapping[str, str]) -> str:
    """What is said of each run, once for all of which it is true."""
    runs: dict[str, list[str]] = {}
    for name, words in said.items():
        runs.setdefault(words, []).append(name)
    if len(runs) == 1:
        return next(iter(runs))
    return "; ".join(f"{', '.join(names)}: {words}" for words, names in runs.items())


def comparison(records: dict[str, Record], real: bool = False) -> Table:
    """One column per run, one row per metric: value and interval; `real` adds a column for real images, or one for each
    way of processing them."""
    sizes: dict[str, list[str]] = {}
    for run, record in records.items():
        sizes.setdefault(record["protocol"]["size"], []).append(run)
    reals = {
        "real images" + (f" as for {', '.join(runs)}" if len(sizes) > 1 else ""): [records[run] for run in runs]
        for runs in (sizes.values() if real else ())
    }
    names = [
        name for name in METRICS if any(r["metrics"].get(name, {}).get("value") is not None for r in records.values())
    ]
    rows = []
    for name in names:
        cells = [record["metrics"].get(name, {"value": None, "interval": None}) for record in records.values()]
        said = [
            number(name, cell["value"]) + (f" {interval(name, cell['interval'])}" if cell["interval"] else "")
            for cell in cells
        ]
        floors = (
            next((floor for each in found if (floor := each["metrics"].get(name, {}).get("floor")) is not None), None)
            for found in reals.values()
        )
        rows.append((title(name), *said, *(number(name, floor) for floor in floors)))
    columns = (*records, *reals)
    return Table(_judged(next(iter(records.values()))), ("metric", *columns), rows, numeric=columns)

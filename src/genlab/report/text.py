"""An evaluation's record in words and tables, for the screen and for the report."""

from __future__ import annotations

from typing import Any

from genlab.report.tables import Table

Record = dict[str, Any]
TITLES = {
    "frechet_distance": "Frechet distance",
    "kernel_distance": "kernel distance",
    "classifier_score": "classifier score",
    "precision": "precision",
    "recall": "recall",
    "density": "density",
    "coverage": "coverage",
    "class_kl": "class KL",
    "missing_classes": "missing classes",
    "requested_class_accuracy": "requested class met",
    "within_class_diversity": "diversity in a class",
    "legibility": "legibility",
    "memorised_fraction": "memorised",
    "sharpness_ratio": "sharpness ratio",
    "grain_ratio": "grain ratio",
    "classification_accuracy_score": "accuracy score (CAS)",
}
SHARES = (
    "requested_class_accuracy",
    "memorised_fraction",
    "legibility",
    "classification_accuracy_score",
)
"""Metrics that are told in per cent."""


def number(name: str, value: float | None) -> str:
    """A metric's value as text."""
    if value is None:
        return "-"
    if name == "missing_classes":
        return f"{value:.0f}"
    if name in SHARES:
        return f"{100 * value:.2f} %"
    return f"{value:.3g}" if abs(value) < 0.1 else f"{value:.2f}" if abs(value) < 100 else f"{value:,.0f}"


def interval(name: str, pair: list[float] | None) -> str:
    """An interval as text."""
    return "-" if pair is None else f"{number(name, pair[0])} .. {number(name, pair[1])}"


def table(record: Record) -> Table:
    """Every metric that could be had, with its interval and floor."""
    rows = [
        (TITLES[name], number(name, found["value"]), interval(name, found["interval"]), number(name, found["floor"]))
        for name, found in record["metrics"].items()
        if found["value"] is not None
    ]
    return Table("", ("metric", "value", "95 % interval", "floor"), rows, numeric=("value", "95 % interval", "floor"))


def floors(record: Record) -> float | None:
    """The Frechet distance in floors: 1 is as near as real images are."""
    found = record["metrics"]["frechet_distance"]
    return found["value"] / found["floor"] if found["value"] is not None and found["floor"] else None


def summary(record: Record) -> list[tuple[str, str]]:
    """(what, how it stands): quality, classes, memorisation, in a line each."""
    found, lines = record["metrics"], []
    distance = found["frechet_distance"]
    if distance["value"] is not None:
        times = floors(record)
        many = f", {times:.1f} times the floor" if times else ""
        said = f"Frechet distance {number('frechet_distance', distance['value'])}"
        if distance["interval"]:
            said += f" ({interval('frechet_distance', distance['interval'])})"
        lines.append(("quality", f"{said}{many} (real against real: {number('frechet_distance', distance['floor'])})"))
    missing, asked = found["missing_classes"]["value"], found["requested_class_accuracy"]
    if missing is not None:
        total = len(record["classes"]) or record.get("modes", {}).get("of", 0)
        lines.append(("classes", f"{total - missing:.0f} of {total} found"))
    if "modes" in record:
        m = record["modes"]
        lines.append(
            ("modes", f"{m['found']} of {m['of']} in {m['n']:,} samples; KL {m['kl_to_data']:.3f} to the data's, "
             f"{m['kl_to_uniform']:.3f} to uniform shares")
        )  # fmt: skip
    if asked["value"] is not None:
        name = "requested_class_accuracy"
        lines.append(
            ("requests", f"{number(name, asked['value'])} recognised (real images: {number(name, asked['floor'])})")
        )
    copied = found["memorised_fraction"]
    if copied["value"] is not None:
        lines.append(("memorised", _memorised(copied)))
    if "vae" in record:
        v = record["vae"]
        lines.append(
            ("bound", f"-log p(x) at most {v['negative_log_likelihood']:.1f} nats, -ELBO {v['negative_elbo']:.1f}; "
             f"{v['active_units']} of {v['latent']} units active")
        )  # fmt: skip
    return lines


FEW_DUPLICATES = 0.01
"""Up to this floor of memorised_fraction the data are taken to have no duplicates of note."""


def _memorised(found: dict[str, Any]) -> str:
    """Whether more samples than real images are as near to a training image as hardly any real one is.

    Up to twice the floor is none. Where the data have many duplicates, twice the floor could be all: there the interval
    must lie above the floor.
    """
    name, value, floor = "memorised_fraction", found["value"], found["floor"]
    share, real = number(name, value), number(name, floor)
    if floor <= FEW_DUPLICATES:
        if value <= 2 * max(floor, 0.001):  # Of few images the floor may be 0.
            return f"none ({share} of the samples are nearly training images, {real} of real images are)"
        return f"{share} of the samples are nearly training images"
    low = found["interval"][0] if found["interval"] else value
    more = "no more than" if low <= floor else "more than"
    return f"{share} of the samples are nearly training images, {more} of real images ({real}: there are duplicates)"


def more(record: Record) -> list[tuple[str, str]]:
    """(what, how it stands) of what only a run can be asked: discriminator, bound, ways between z."""
    lines = []
    if "discriminator" in record:
        d = record["discriminator"]
        lines += [
            (
                "discriminator",
                f"it ranks a held-out real image above a fresh generated one with chance {d['ranking']:.2f}, a "
                f"training image above a held-out one with {d['ranking_of_training_over_held_out']:.2f} (0.5: it "
                "cannot tell)",
            ),
        ]
    if "discriminator" in record and record["discriminator"]["has_border"]:
        lines += [
            (
                "its accuracy",
                f"{d['accuracy']:.1%}, on held-out real {d['accuracy_on_held_out_real']:.1%} and on fresh generated "
                f"images {d['accuracy_on_generated']:.1%}; on training images {d['accuracy_on_training_real']:.1%}, "
                f"{100 * d['gap']:.1f} points more than on held-out ones",
            ),
            (
                "its probability",
                f"on average {d['mean_probability_of_held_out_real']:.2f} for held-out real images and "
                f"{d['mean_probability_of_generated']:.2f} for generated ones; calibration error "
                f"{d['calibration_error']:.1%}",
            ),
        ]
    if "vae" in record:
        v = record["vae"]
        low, high = v["negative_log_likelihood_interval"] or (None, None)
        within = f" ({low:.1f} .. {high:.1f})" if low is not None else ""
        lines.append(
            (
                "bound",
                f"-ELBO {v['negative_elbo']:.1f} nats = reconstruction {v['reconstruction']:.1f} + KL {v['kl']:.2f}, "
                f"{v['n']:,} {v['split']} images; -log p(x) at most {v['negative_log_likelihood']:.1f}{within}, "
                f"{v['importance_samples']} weighted z for each of {v['n_likelihood']:,}; {v['active_units']} of "
                f"{v['latent']} units active",
            )
        )
    if "interpolation" in record:
        p = record["interpolation"]
        lines.append(
            (
                "ways between z",
                f"as long as {p['path_length_ratio']:.2f} times the distance of two real images; the roughest of 15 "
                f"steps is {p['roughest_step']:.0%} of a way (even: {p['even_step']:.0%})",
            )
        )
    return lines


def protocol(record: Record) -> str:
    """How the numbers came about, in a sentence or two."""
    p = record["protocol"]
    drawn = f", {p['drawn_with']}" if "drawn_with" in p else ""
    step = f", step {p['step']:,}" if "step" in p else ""
    judge = "no judge" if p["judge"] is None else f"judge {p['judge']['name']} {p['judge']['sha256'][:12]}"
    return (
        f"{p['samples']:,} images of {p['of']}{step}{drawn}; against {p['real_images']:,} {p['split']} images of "
        f"{p['dataset']}; {judge}; size: {p['size']}. Floor: {p['floor']}. Intervals: {p['intervals']}."
    )


def comparison(records: dict[str, Record]) -> Table:
    """A column a run, a row a metric: value and interval."""
    names = [
        name for name in TITLES if any(r["metrics"].get(name, {}).get("value") is not None for r in records.values())
    ]
    rows = []
    for name in names:
        cells = [record["metrics"].get(name, {"value": None, "interval": None}) for record in records.values()]
        said = [
            number(name, cell["value"]) + (f" ({interval(name, cell['interval'])})" if cell["interval"] else "")
            for cell in cells
        ]
        rows.append((TITLES[name], *said))
    return Table("", ("metric", *records), rows, numeric=tuple(records))

"""Draw what each finding looks like, docs/findings/NAME.png: `make findings`, about 20 minutes on two cores.

For each finding, a training of the labelled set (diagnosis.yaml) that has it is repeated. Its picture shows the same z
at four times, if the model draws images, and the curve by which the finding is made, with the step at which it begins.
`--only NAME` makes one picture.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import yaml
from matplotlib.axes import Axes

from diagnosis import SPEC, Case, cases, trained
from genlab.api.run import Run
from genlab.evaluation.diagnosis.evidence import Curve, Evidence
from genlab.evaluation.diagnosis.run import evidence_of
from genlab.report import style
from genlab.report.diagnosed import same_z

FOLDER = Path(__file__).parent.parent / "docs" / "findings"
SHOWN: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    "learning-rate-too-large": ("lr-large/dcgan/mnist/0", "step over weights", ("update of generator",)),
    "learning-rate-too-small": ("lr-small/classic/mnist/0", "step over weights", ("update of generator",)),
    "divergence": ("loss-changed-late/mlp/mnist/0", "loss", ("loss of discriminator",)),
    "discriminator-not-learning": (
        "discriminator-frozen-late/dcgan/mnist/0",
        "step over weights",
        ("update of discriminator", "update of generator"),
    ),
    "generator-not-learning": (
        "generator-frozen/classic/mnist/0",
        "step over weights",
        ("update of discriminator", "update of generator"),
    ),
    "dead-units": ("dead-units/classifier/mnist/0", "share", ("dead units", "training accuracy")),
    "discriminator-won": ("saturating/classic/mnist/0", "logit", ("logit of real images", "logit of generated images")),
    "discriminator-weak": ("lr-small/dcgan/mnist/0", "loss", ("loss of discriminator",)),
    "discriminator-overfitting": (
        "few-images/dcgan/mnist/0",
        "loss of D",
        ("held-out loss of discriminator", "loss of discriminator"),
    ),
    "mode-collapse": ("one-image-late/dcgan/mnist/0", "spread, real images = 1", ("spread_ratio",)),
    "z-ignored": ("one-picture/conditional/mnist/0", "spread, real images = 1", ("spread_ratio",)),
    "missing-classes": ("z-of-1/hinge/mnist/0", "missing classes", ("missing_classes",)),
    "low-diversity": ("z-of-1/dcgan/mnist/0", "share", ("precision", "recall")),
    "condition-ignored": (
        "labels-ignored/conditional/mnist/0",
        "of the class asked for",
        ("requested_class_accuracy",),
    ),
    "memorisation": ("few-images/conditional/mnist/0", "near copies", ("memorised_fraction",)),
    "oscillation": ("loss-changed-late/mlp/mnist/0", "share of a class", ("shares",)),
    "noise": ("specks/dcgan/mnist/0", "finest detail, real = 1", ("grain_ratio",)),
    "blur": ("blurred/dcgan/mnist/0", "edges, real = 1", ("sharpness_ratio",)),
    "late-degradation": ("discriminator-frozen-late/dcgan/mnist/0", "distance, real = 1", ("distance",)),
    "nothing-learned": ("healthy/hinge/mnist/2", "distance, real = 1", ("distance",)),
    "posterior-collapse": ("kl-heavy/vae/mnist/0", "KL, nats per image", ("kl",)),
    "overfitting": ("classifier-few-images/classifier/mnist/0", "accuracy", ("training accuracy", "test accuracy")),
    "underfitting": ("shuffled-labels/judge/letters/0", "accuracy", ("training accuracy", "test accuracy")),
    "kl-rises": ("healthy/cvae/mnist/0", "nats per image", ("kl",)),
    "losses-at-equilibrium": ("lr-small/dcgan/mnist/0", "loss", ("loss of discriminator", "loss of generator")),
}
"""Finding -> its training, the label of the y-axis, and its curves, named by meaning or by metric of the evaluations;
"distance" is over that of real images, "shares" are those of each class."""
TIMES = 4


def curves(e: Evidence, names: tuple[str, ...]) -> dict[str, Curve]:
    """Curves of a training that are drawn, by name."""
    found: dict[str, Curve] = {}
    for name in names:
        if name == "distance":
            found[name] = e.distances()
        elif name == "shares":
            steps = np.array([float(each.step) for each in e.evaluations])
            for k, row in enumerate(e.evaluations[0].classes):
                shares = np.array([float(each.classes[k]["share"]) for each in e.evaluations])
                found[str(row["class"])] = Curve(steps, shares)
        else:
            found[name] = e.curve(name) if name in e.curves else e.metric(name)
    return found


def draw(axes: Axes, e: Evidence, y_label: str, names: tuple[str, ...], since: tuple[int, int] | None) -> None:
    """Draw the curves, and a line where the finding begins."""
    lines = curves(e, names)
    for k, (name, curve) in enumerate(lines.items()):
        few = len(lines) <= len(style.STYLES)
        axes.plot(
            curve.steps,
            curve.values,
            style.STYLES[k] if few else "-",
            color=style.COLOURS[k % len(style.COLOURS)],
            label=name.replace("_", " ") if few else None,
            linewidth=1.6,
            marker="o" if len(curve) <= style.MARKED else None,
            markersize=3,
        )
    if since and since[0]:
        axes.axvline(since[1], color=style.SOFT, linewidth=1.0, linestyle=(0, (4, 3)))
    values = [curve.values for curve in lines.values()]
    everything = np.concatenate(values)
    if everything.min() > 0 and everything.max() > 30 * everything.min():
        style.log_scale(axes, values)
    elif everything.min() >= 0:
        axes.set_ylim(0, max(1.02 if _is_share(names) else 0, 1.05 * everything.max()))
    axes.set_xlabel("step")
    axes.set_ylabel(y_label)
    if len(lines) > 1 and len(lines) <= len(style.STYLES):
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), borderaxespad=0, fontsize=8)


SHARES = ("spread_ratio", "precision", "requested_class_accuracy", "dead units", "training accuracy")


def _is_share(names: tuple[str, ...]) -> bool:
    """Whether 1 is the largest possible value, or that of real images."""
    return names[0] in SHARES


def picture(run: Run, name: str, y_label: str, names: tuple[str, ...]) -> bytes:
    """Images of a run at four times, and its curves.

    Raises:
        ValueError: the run does not have that finding.
    """
    e, said = evidence_of(run.directory), run.diagnose().findings
    found = next((each for each in said if each.name == name), None)
    if found is None:
        raise ValueError(f"{run.path.name} has no {name}; findings: {', '.join(each.name for each in said) or 'none'}")
    there = run.steps("samples", ".png")
    steps = sorted({there[k] for k in np.linspace(0, len(there) - 1, TIMES).round().astype(int)}) if there else []
    widths, size = ((1.8, 1.0), (9.4, 2.5)) if steps else ((1.0,), (4.6, 2.9))
    with style.panels(name, widths, size) as (figure, axes):
        if steps:
            grid = same_z([(run.directory, step) for step in steps])
            axes[0].imshow(grid.squeeze(), cmap="gray", vmin=0, vmax=255, interpolation="auto")
            height = grid.shape[0] / len(steps)
            axes[0].set_yticks([height * (k + 0.5) for k in range(len(steps))], [f"step {step:,}" for step in steps])
            axes[0].set_xticks([])
            axes[0].tick_params(length=0)
            axes[0].grid(visible=False)
            axes[0].spines[:].set_visible(False)
        draw(axes[-1], e, y_label, names, found.since)
        figure.set_layout_engine("constrained")
        return style.as_png(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", metavar="NAME", help="may be repeated")
    options = parser.parse_args()
    by_key: dict[str, Case] = {case.key: case for case in cases(yaml.safe_load(SPEC.read_text("utf-8")))}
    FOLDER.mkdir(exist_ok=True)
    for name in options.only or SHOWN:
        key, y_label, names = SHOWN[name]
        with tempfile.TemporaryDirectory() as folder:
            try:
                drawn = picture(trained(by_key[key], Path(folder)), name, y_label, names)
            except ValueError as error:
                print(error, flush=True)
                continue
            (FOLDER / f"{name}.png").write_bytes(drawn)
        print(f"{name}: {key}", flush=True)


if __name__ == "__main__":
    main()

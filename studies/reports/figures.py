"""Figures of the five reports, drawn by genlab in the reports' layouts: `make figures`, two hours on two cores.

Each system is trained once at its report's own budget, or at part of it if that takes too long; then the commands that
COVERAGE.md names are run. Other figures are those of a study's page, made from its committed records. `python
studies/reports/figures.py S1 S2` makes the figures of some reports; existing runs are reused. Pictures go to
docs/reports, and what made them to figures.json.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import coverage

from genlab.api.run import Run
from genlab.bench.runs import taken
from genlab.report.series import Axis
from genlab.runs import provenance
from genlab.study.study import Study

ROOT = Path(__file__).parents[2]
PLACE = ROOT / "docs" / "reports"


@dataclass(frozen=True)
class Training:
    """A system, with its epochs of training, its seed, and what is changed in it."""

    name: str
    recipe: str
    epochs: int
    seed: int = 0
    changes: tuple[tuple[str, Any], ...] = ()


S0 = Training("s0", "s0-dcgan", 16, 42, (("logging.sample_epochs", [1, 2, 12, 16]),))
S1 = Training("s1", "s1-mlp", 25)
S2 = Training("s2", "s2-dcgan", 5)
S2_LABELS = Training("s2-labels", "s2-cdcgan", 5)
S3 = Training("s3", "s3-mlp", 100)
S4 = Training("s4", "s4-dcgan", 10)
S4_VAE = Training("s4-vae", "s4-vae", 100)
S4_VAE_64 = Training("s4-vae-z64", "s4-vae", 100, changes=(("networks.latent", 64),))

FIGURES: dict[str, tuple[tuple[Training, ...], str]] = {
    "s0-steps-24-and-32": ((S0,), "timeline {0} --epochs 12 16 -n 64 --columns 8"),
    "s1-nine": ((S1,), "judged {0} -n 9"),
    "s1-losses": ((S1,), "plot {0} --of loss_g --block 100 --against epoch"),
    "s2-interpolation": ((S2,), "interpolate {0} --pairs 15 --steps 20"),
    "s2-classes": ((S2_LABELS,), "grid {0} --columns 15"),
    "s3-epochs": ((S3,), "timeline {0} --epochs 10 20 50 100 -n 25 --columns 5"),
    "s4-gan-epochs": ((S4,), "timeline {0} --epochs 1 2 5 10 -n 12"),
    "s4-vae-epochs": ((S4_VAE,), "timeline {0} --epochs 1 5 10 50 100 -n 12"),
    "s4-vae-64-epochs": ((S4_VAE_64,), "timeline {0} --epochs 1 5 10 50 100 -n 12"),
    "s4-vae-kl": ((S4_VAE, S4_VAE_64), "plot {0} {1} --of test_kl_sum --against epoch"),
    "s4-vae-error": ((S4_VAE, S4_VAE_64), "plot {0} {1} --of test_reconstruction_sum --against epoch"),
}
OF_STUDIES: dict[str, tuple[str, str, Axis]] = {
    "s0-course-losses": ("s0-course", "curve-loss_g_mean", "half-epoch"),
    "s0-course-distances": ("s0-course", "curve-frechet_distance", "half-epoch"),
}
"""Figure -> study, name of the figure on the study's page, and its horizontal axis."""


def trained(asked: Training, root: Path) -> Run:
    """Run of a training: an existing run, resumed if it was stopped, or else a new one."""
    changes = {"budget.epochs": asked.epochs, "logging.evaluation": "cheap", **dict(asked.changes)}
    return taken(asked.name, asked.recipe, root, asked.seed, changes)


def drawn(name: str, root: Path) -> dict[str, Any]:
    """Draw a figure, and return what made it."""
    asked, words = FIGURES[name]
    runs = [trained(each, root) for each in asked]
    command = [*words.format(*(run.path.name for run in runs)).split(), "-o", str(PLACE / f"{name}.png")]
    subprocess.run([sys.executable, "-m", "genlab", *command, "--runs", str(root)], check=True, cwd=ROOT)
    return {
        "command": f"genlab {words.format(*(['RUN'] if len(runs) == 1 else ['RUN', 'OTHER']))}",
        "trainings": [
            {
                "recipe": each.recipe,
                "changes": dict(each.changes),
                "epochs": each.epochs,
                "seed": each.seed,
                "minutes": round(run.seconds / 60, 1),
                "machine": provenance.machine_of(run.recipe),
                "versions": run.provenance["versions"],
            }
            for each, run in zip(asked, runs, strict=True)
        ],
        "date": time.strftime("%Y-%m-%d"),
    }


def of_study(name: str) -> dict[str, Any]:
    """Write a study's page again, copy a figure from it, and return what made it."""
    study, figure, against = OF_STUDIES[name]
    file = coverage.STUDIES / f"{study}.yaml"
    profile, _ = coverage.studied(file)
    made = Study.at(file, profile=profile)
    made.report(against)
    shutil.copyfile(made.folder.path / "figures" / f"{figure}.png", PLACE / f"{name}.png")
    command = ["genlab study report", file.relative_to(ROOT).as_posix(), *(["--profile", profile] if profile else [])]
    return {
        "command": " ".join([*command, "--against", against]),
        "study": made.plan.title,
        "date": time.strftime("%Y-%m-%d"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reports", nargs="*", help="S0 ... S4, or figures by name (default: all)")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "reports", help="folder of the trainings")
    options = parser.parse_args()
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    PLACE.mkdir(exist_ok=True)
    wanted = [each.lower() for each in options.reports]
    for name in (each for each in (*OF_STUDIES, *FIGURES) if not wanted or each.startswith(tuple(wanted))):
        record = PLACE / "figures.json"
        known = json.loads(record.read_text("utf-8")) if record.exists() else {}
        known[name] = of_study(name) if name in OF_STUDIES else drawn(name, options.runs)
        record.write_text(json.dumps(known, indent=1) + "\n", "utf-8")
        print(name, flush=True)


if __name__ == "__main__":
    main()

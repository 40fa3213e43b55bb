"""What the recipe quick reaches in three minutes on images that it was not made for; into records/quick.json.

Three datasets: `letters`; 1,000 images of Fashion-MNIST, 100 of each class; and coloured patterns of ten classes in
CIFAR-10's binary layout, drawn here. Each gets one training (seed 0), measured at its end and at the last evaluation
within three minutes of training. A judge is trained for the patterns first. Then a GAN and a VAE of 64 x 64 colour
pixels: seconds per step, and the peak memory of the whole command. Takes 20 minutes on an idle machine.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import genlab
from genlab.api.judge import train_judge
from genlab.data import builtin
from genlab.engine import threads

RECORD = Path(__file__).parent / "records" / "quick.json"
SECONDS = 180.0
STEPS_OF_64 = 200
NAMES = ("disc", "ring", "square", "columns", "rows", "diagonals", "checks", "cross", "diamond", "ramp")
SIDE, EACH_FILE, TEST = 32, 4000, 2000
KEPT = ("frechet_distance", "recall", "requested_class_accuracy", "memorised_fraction")
Y, X = np.mgrid[:SIDE, :SIDE].astype(np.float64)


def shape(name: str, rng: np.random.Generator) -> NDArray[np.float64]:
    """Amount of ink in each pixel, from 0 to 1."""
    (cx, cy), r = 16 + rng.uniform(-4, 4, 2), rng.uniform(6, 11)
    w, phase = rng.uniform(0.6, 0.9), rng.uniform(0, 2 * np.pi)
    columns, rows = np.sin(w * X + phase) > 0, np.sin(w * Y + phase) > 0
    drawn: dict[str, Callable[[], Any]] = {
        "disc": lambda: np.hypot(X - cx, Y - cy) < r,
        "ring": lambda: np.abs(np.hypot(X - cx, Y - cy) - r) < 2,
        "square": lambda: np.maximum(np.abs(X - cx), np.abs(Y - cy)) < r,
        "columns": lambda: columns,
        "rows": lambda: rows,
        "diagonals": lambda: np.sin(0.7 * w * (X + Y) + phase) > 0,
        "checks": lambda: columns ^ rows,
        "cross": lambda: (np.abs(X - cx) < 2.5) | (np.abs(Y - cy) < 2.5),
        "diamond": lambda: np.abs(X - cx) + np.abs(Y - cy) < r,
        "ramp": lambda: np.clip((X * np.cos(phase) + Y * np.sin(phase)) / SIDE + 0.5, 0, 1),
    }
    return np.asarray(drawn[name](), np.float64)


def pattern(kind: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """An image of a class, (3, 32, 32): its shape in a shade of its colour on a dark background, with noise."""
    ink = 154 * np.eye(3)[kind % 3] + 60 + 60 * rng.uniform(0, 1, 3)
    ground, filled = rng.uniform(20, 80, 3), shape(NAMES[kind], rng)
    image = ground[:, None, None] * (1 - filled) + ink[:, None, None] * filled + rng.normal(0, 6, (3, SIDE, SIDE))
    return np.asarray(image.clip(0, 255), np.uint8)


def patterns(folder: Path) -> Path:
    """Write twenty thousand training and two thousand test images in CIFAR-10's layout."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    for name, n in [*((f"data_batch_{k}.bin", EACH_FILE) for k in range(1, 6)), ("test_batch.bin", TEST)]:
        kinds = rng.integers(0, len(NAMES), n)
        (folder / name).write_bytes(b"".join(bytes([k]) + pattern(int(k), rng).tobytes() for k in kinds))
    (folder / "batches.meta.txt").write_text("\n".join(NAMES) + "\n", "utf-8")
    return folder


def measured(recipe: str, data: str | Path, runs: Path) -> dict[str, Any]:
    """One training: number of images, seconds, metrics at its end, and those within three minutes."""
    run = genlab.train(recipe, data=data, runs=runs)
    assert run.evaluation is not None
    early = [row for row in run.metrics() if row["seconds"] <= SECONDS and "frechet_distance" in row]
    metrics = run.evaluation["metrics"]
    return {
        "images": run.provenance["data"]["images"],
        "steps": run.status["step"],
        "seconds": round(run.seconds, 1),
        "end": {name: {key: metrics[name][key] for key in ("value", "interval", "floor")} for name in KEPT},
        "judge": run.evaluation["protocol"]["judge"]["name"],
        "within_three_minutes": {key: early[-1].get(key) for key in ("step", "seconds", *KEPT)} if early else None,
    }


def of_64_pixels(coloured: Path, folder: Path) -> dict[str, Any]:
    """Seconds per step and peak memory in MB of a GAN and a VAE of 64 x 64 colour pixels, over `STEPS_OF_64` steps."""
    large = folder / "large.npz"
    genlab.import_images(coloured, large, size=64, fit="stretch", per_class=500)
    found = {}
    for recipe, options in (("quick-color", []), ("conv-vae", ["--data.size", "64", "--data.channels", "3"])):
        command = [
            sys.executable,
            "-m",
            "genlab",
            "train",
            recipe,
            "--data",
            str(large),
            "--runs",
            str(folder),
            *options,
        ]
        process = subprocess.Popen([*command, "--name", f"{recipe}-64", "--budget.max_steps", str(STEPS_OF_64)])
        _, status, usage = os.wait4(process.pid, 0)
        assert status == 0
        run = genlab.open_run(folder / f"{recipe}-64")
        assert run.evaluation is not None
        found[recipe] = {
            "batch": run.recipe.budget.batch,
            "seconds_a_step": round(run.seconds / run.status["step"], 4),
            "megabytes": round(usage.ru_maxrss / (1024 if sys.platform == "linux" else 2**20)),
        }
    return found


def table(record: dict[str, Any]) -> str:
    """Table of the datasets, as in docs/data.md."""
    lines = ["| images | within 3 minutes of training | at the end |", "|---|---|---|"]
    for name, found in record["datasets"].items():
        early, end = found["within_three_minutes"], {key: found["end"][key]["value"] for key in KEPT}
        floor = found["end"]["frechet_distance"]["floor"]
        cells = [f"{name}, {found['images']:,}", f"after {early['seconds']:.0f} s: {_quality(early)}"]
        times = f"{end['frechet_distance'] / floor:.1f} times the distance"
        cells.append(f"after {found['seconds']:.0f} s: {_quality(end)}, recall {end['recall']:.2f}, {times}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def table_of_64(record: dict[str, Any]) -> str:
    """Table of 64 x 64 pixels, as in docs/data.md."""
    lines = ["| 64 x 64 pixels, colour | per step | memory |", "|---|---|---|"]
    for recipe, found in record["64 x 64 pixels"].items():
        step = f"{found['seconds_a_step']:.2f} s of {found['batch']} images"
        lines.append(f"| `{recipe}` | {step} | {found['megabytes'] / 1000:.1f} GB |")
    return "\n".join(lines)


def _quality(values: dict[str, float | None]) -> str:
    """The number that matters most for these images: conditional accuracy, or the share that is memorised."""
    met, copied = values["requested_class_accuracy"], values["memorised_fraction"]
    return f"memorised {copied:.2%}" if met is None else f"conditional accuracy {met:.1%}"


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        folder, runs = Path(place), Path(place, "runs")
        found = {"letters": measured("quick", "letters", runs)}
        few = folder / "fashion-1000.npz"
        genlab.import_images(builtin.file_of("fashion-mnist"), few, per_class=100)
        found["1,000 Fashion-MNIST images"] = measured("quick", few, runs)
        coloured = patterns(folder / "patterns")
        _, _, kept = train_judge(coloured, runs=runs)
        print(f"judge kept in {kept}")
        found["coloured patterns"] = measured("quick-color", coloured, runs)
        large = of_64_pixels(coloured, folder)
    facts = {"processor": threads.processor(), **threads.instructions(), "cores": os.cpu_count()}
    record = {
        "seed": 0,
        "datasets": found,
        "64 x 64 pixels": large,
        "machine": facts,
        "python": platform.python_version(),
    }
    RECORD.write_text(json.dumps(record, indent=2) + "\n", "utf-8")
    print(f"wrote {RECORD}")
    assert found["letters"]["end"]["requested_class_accuracy"]["value"] >= 0.9
    assert found["coloured patterns"]["end"]["requested_class_accuracy"]["value"] >= 0.95


if __name__ == "__main__":
    main()

"""Looking at a model: figures of a trained run, each with its numbers and a caption that says how it was drawn.

`look` defines what they return and how it is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genlab.data import Dataset, first, pictures
from genlab.data.preprocessing import Preprocessing
from genlab.engine import device
from genlab.errors import DataError, UsageError, unknown
from genlab.evaluation.image_set import even_rows
from genlab.evaluation.judge import Judge, training_command
from genlab.families import latent
from genlab.families.registry import FAMILIES
from genlab.recipe.schedule import Schedule
from genlab.report import plots
from genlab.report.figures.look import Look, look
from genlab.runs.open import OpenRun
from genlab.runs.options import SamplingOptions
from genlab.runs.sampling import Sampler, learned, load_network, sample_labels

EPOCHS = (1, 5, 10, 50, 100)
WAYS = {"linear": "in a straight line", "spherical": "along an arc"}
COLUMNS, ROWS = 15, 40
"""Most columns and rows of a class grid by default."""
MOST = 400
"""Most images that one figure may show."""


def interpolate(
    run: OpenRun, how: SamplingOptions, pairs: int = 8, steps: int = 10, path: str = "linear", label: Any = None
) -> Look:
    """Images along the path from one z to another, one pair per row; a conditional run keeps one class along a row.

    Raises:
        UsageError: an argument does not fit this run.
    """
    if path not in latent.PATHS:
        raise UsageError(unknown("path", path, latent.PATHS))
    _check(pairs=pairs, steps=(steps, 2), figure=pairs * steps)
    sampler = Sampler(run, how)
    start, end = sampler.z("interpolate", 2, pairs)
    z = latent.PATHS[path](start, end, steps)
    labels = sample_labels(run, pairs, label)
    images = sampler(z.flatten(0, 1), None if labels is None else labels.repeat_interleave(steps))
    return _grid(
        "interpolation",
        "Interpolation",
        f"Each row goes from one z to another in {steps} images, {WAYS[path]}{_classes(run, labels)}. "
        f"Drawn with {sampler.words}.",
        images,
        steps,
        rows=_names(run, labels),
        z=z,
    )


def class_grid(run: OpenRun, how: SamplingOptions, columns: int | None = None) -> Look:
    """One z per column, one class per row (report S2); at most `ROWS` classes, evenly spread.

    Args:
        columns: number of z (default: 15, or as many as fit into a figure).

    Raises:
        UsageError: the run is unconditional.
    """
    sampler = Sampler(run, how)
    if not run.recipe.conditional:
        raise UsageError(f"{run.path.name} is unconditional: it has no classes to draw as rows; use sample")
    names, classes = run.provenance["data"]["class_names"], np.array(learned(run), np.int64)
    shown = classes[even_rows(len(classes), ROWS)]
    columns = min(COLUMNS, MOST // len(shown)) if columns is None else columns
    _check(columns=columns, figure=columns * len(shown))
    z = sampler.z("grid", columns)
    labels = torch.from_numpy(shown).repeat_interleave(columns)
    images = sampler(z.repeat(len(shown), 1), labels)
    caption = f"{len(shown)} of {len(classes)} classes, evenly spread. " if len(shown) < len(classes) else ""
    caption += f"One class per row, one z per column: the same noise drawn as every class. Drawn with {sampler.words}."
    rows = [names[k] for k in shown]
    return _grid("class-grid", "Class grid", caption, images, columns, rows=rows, z=z, labels=labels)


def traverse(
    run: OpenRun,
    how: SamplingOptions,
    units: Sequence[int] | None = None,
    steps: int = 9,
    span: float = 3.0,
    label: Any = None,
) -> Look:
    """One z whose units are moved from -span to span one at a time, one unit per row.

    Raises:
        UsageError: no such unit, or a class given for an unconditional run.
    """
    sampler = Sampler(run, how)
    chosen = list(range(min(sampler.size, 10))) if units is None else list(units)
    wrong = [unit for unit in chosen if not 0 <= unit < sampler.size]
    if wrong or not chosen:
        raise UsageError(f"units {wrong}: allowed: 0 .. {sampler.size - 1}")
    _check(steps=(steps, 2), figure=steps * len(chosen))
    if not 0 < span <= 100:
        raise UsageError(f"span is {span}; allowed: above 0, at most 100")
    z = latent.traversal(sampler.z("traverse", 1)[0], chosen, span, steps)
    one = sample_labels(run, 1, label)
    images = sampler(z.flatten(0, 1), None if one is None else one.repeat(len(z.flatten(0, 1))))
    return _grid(
        "traversal",
        "Traversal of single latents",
        f"One z; in each row one unit of it goes from {-span:g} to {span:g}{_classes(run, one)}. "
        f"Drawn with {sampler.words}.",
        images,
        steps,
        rows=[f"z{unit}" for unit in chosen],
        column_names=[f"{value:+.2f}" for value in np.linspace(-span, span, steps)],
        z=z,
    )


def latent_map(
    run: OpenRun, how: SamplingOptions, held_out: Dataset | None, steps: int = 20, label: Any = None
) -> Look:
    """A map of a two-dimensional latent space: decoded images and, if there is an encoder, the encoded test images.

    Raises:
        UsageError: z does not have two dimensions.
    """
    sampler = Sampler(run, how)
    if sampler.size != 2:
        raise UsageError(
            f"{run.path.name} has a z of size {sampler.size}; a map needs 2 (--networks.latent 2); see traverse"
        )
    _check(steps=(steps, 2), figure=steps**2)
    z = latent.plane(steps)
    one = sample_labels(run, 1, label)
    images = sampler(z, None if one is None else one.repeat(len(z)))
    arrays = {"images": images.numpy(), "z": z.numpy()}
    words, points, labels = "", None, None
    if held_out is not None and FAMILIES[run.recipe.family].encoding:
        _honours(how, "step", "truncation")
        points = encode(run, held_out).numpy()
        labels = held_out.labels
        arrays |= {"encoded": points, **({} if labels is None else {"labels": labels})}
        words = f" Right: E[z|x] of {len(points):,} {held_out.split} images.{_encoded(run, how)}"
    limit = max(3.0, float(np.quantile(np.abs(points), 0.999))) if points is not None else 3.0
    caption = (
        f"Left: decoded at {steps} x {steps} points of equal probability under the prior{_classes(run, one)}.{words} "
        f"Drawn with {sampler.words}."
    )
    names = run.provenance["data"]["class_names"]
    figure = plots.latent_map(pictures.grid(images, steps), points, labels, names, limit)
    return look("latent-map", "Map of the latent space", caption, figure, arrays)


def reconstruct(run: OpenRun, how: SamplingOptions, held_out: Dataset, n: int = 20) -> Look:
    """Images, each above the image that is decoded from its posterior mean.

    Raises:
        UsageError: the family has no encoder.
    """
    _check(n=n, figure=2 * n)
    _honours(how, "step", "truncation")
    sampler = Sampler(run, how)
    shown = first(held_out, n)
    n = len(shown)
    mean = encode(run, shown)
    labels = torch.from_numpy(shown.labels) if run.recipe.conditional and shown.labels is not None else None
    made = sampler(mean, labels).numpy()
    columns = min(n, 10)
    rows = []
    for k in range(0, n, columns):
        for images in (shown.images, made):
            part = pictures.to_uint8(images[k : k + columns])
            rows += [part, np.full((columns - len(part), *part.shape[1:]), 255, np.uint8)]
    caption = (
        f"Upper rows: {n} {shown.split} images; below each, its decoded E[z|x], not a drawn z."
        f"{_encoded(run, how)} Drawn with {sampler.words}."
    )
    picture = pictures.labelled(pictures.grid(np.concatenate(rows), columns), ["image", "decoded"] * (-(-n // columns)))
    arrays = {"originals": shown.images / np.float32(255), "images": made, "z": mean.numpy()}
    return look("reconstruction", "Reconstructions", caption, picture, arrays)


def timeline(
    run: OpenRun,
    how: SamplingOptions,
    epochs: Sequence[int] | None = None,
    n: int = 12,
    columns: int | None = None,
) -> Look:
    """The same n fixed z at several epochs, one epoch per row (report S4), or one epoch per block.

    Args:
        columns: columns per block; a block's title gives the quality of its epoch's images, if it was measured.

    Raises:
        UsageError: there is no snapshot at the end of one of these epochs.
    """
    _check(n=n, columns=1 if columns is None else columns)
    if FAMILIES[run.recipe.family].sampling is None:
        raise UsageError(f"{run.path.name} is a {FAMILIES[run.recipe.family].called}: it makes no images")
    _honours(how, "ema", "step")
    there, per_epoch = _epochs_with_snapshots(run)
    chosen = sorted({*there} & {*EPOCHS} | {*there[-1:]}) if epochs is None else list(epochs)
    missing = [epoch for epoch in chosen if epoch not in there]
    if missing or not chosen:
        raise UsageError(
            f"{run.path.name} has no snapshot after epoch {', '.join(map(str, missing)) or 1}; there are: "
            f"{', '.join(map(str, there)) or 'none'} (logging.sample_epochs says which are kept)"
        )
    rows, words = [], ""
    z = None
    for epoch in chosen:
        at = SamplingOptions(how.seed, epoch * per_epoch, True, how.batch_statistics, how.truncation)
        sampler = Sampler(run, at)
        z, words = sampler.z("timeline", n), sampler.words
        rows.append(sampler(z, sample_labels(run, n, None)))
    assert z is not None
    caption = f"The same {n} z after each of these epochs. Drawn with {words}."
    names = [f"epoch {epoch}" for epoch in chosen]
    if columns is not None:
        titles = [f"{name}\n{_quality(run, epoch * per_epoch)}" for name, epoch in zip(names, chosen, strict=True)]
        picture = pictures.beside([pictures.grid(images, min(columns, n)) for images in rows], titles)
        arrays = {"images": torch.cat(rows).numpy(), "z": z.numpy()}
        told = f"{caption} Frechet distance of 2,000 images at that epoch over that of real ones."
        return look("timeline", "The same z over training", told, picture, arrays)
    return _grid("timeline", "The same z over training", caption, torch.cat(rows), n, rows=names, z=z)


def _quality(run: OpenRun, step: int) -> str:
    """How far the images of a step are from real ones, according to the run's metric rows."""
    row = next((row for row in run.directory.sound_rows() if row["step"] == step), {})
    distance, floor = row.get("frechet_distance"), row.get("frechet_floor")
    return f"{distance / floor:.3g} x real images" if distance is not None and floor else "not measured"


def judged(
    run: OpenRun, how: SamplingOptions, judge: Judge | None, n: int = 9, columns: int | None = None, label: Any = None
) -> Look:
    """New images and, below each, the class that the judge assigns to it and how sure it is.

    Raises:
        UsageError: no judge knows the run's classes.
    """
    _check(n=n, columns=1 if columns is None else columns, figure=n)
    if judge is None or not judge.tells_classes:
        raise UsageError(
            f"no judge knows the classes of {run.recipe.data.name}; {training_command(run.recipe.data.name)} makes one"
        )
    sampler, names = Sampler(run, how), pictures.legible(run.provenance["data"]["class_names"])
    images = pictures.to_uint8(sampler(sampler.z("sample", n), sample_labels(run, n, label)))
    logits = judge(Preprocessing.of(run.recipe).back(images, judge.size, judge.channels))[1].astype(np.float64)
    shares = np.exp(logits - logits.max(1, keepdims=True))
    shares /= shares.sum(1, keepdims=True)
    read = shares.argmax(1)
    captions = [f"{names[k]}: {row[k]:.0%}" for k, row in zip(read, shares, strict=True)]
    caption = (
        f"{n} images, not hand-picked; below each, the class that the judge {Path(judge.name).name} assigns, with its "
        f"probability. Drawn with {sampler.words}."
    )
    picture = pictures.captioned(images, captions, columns or max(1, round(n**0.5)))
    arrays = {"images": images / np.float32(255), "classes": read, "confidence": shares.max(1)}
    return look("judged", "What the judge reads", caption, picture, arrays)


def confusion(run: OpenRun, held_out: Dataset) -> Look:
    """A classifier's confusion matrix, counts[true, predicted].

    Raises:
        UsageError: the run is not a classifier.
        DataError: the images have no labels.
    """
    naming = FAMILIES[run.recipe.family].naming
    if naming is None:
        raise UsageError(f"{run.path.name} is a {FAMILIES[run.recipe.family].called}: it does not classify images")
    if held_out.labels is None:
        raise DataError(f"{held_out.name} has no labels to compare with")
    machine = device.start(device.here(run.recipe.engine))
    network = machine.place(load_network(run, naming.network))
    predicted = naming.classify(network, machine, torch.from_numpy(held_out.images)).argmax(1).numpy()
    names = run.provenance["data"]["class_names"]
    counts = np.zeros((len(names), len(names)), np.int64)
    np.add.at(counts, (held_out.labels, predicted), 1)
    accuracy = np.trace(counts) / counts.sum()
    caption = (
        f"Of {counts.sum():,} {held_out.split} images of {held_out.name}, {100 * accuracy:.2f} % are classified "
        "correctly (the diagonal). Cells are numbers of images, blank for none; each row is a true class, coloured by "
        "its shares. Last weights, running BatchNorm statistics where there are any, float32."
    )
    figure = plots.confusion(counts, names)
    return look("confusion", "Confusion matrix", caption, figure, {"counts": counts, "predicted": predicted})


def encode(run: OpenRun, images: Dataset) -> Tensor:
    """E[z|x] of the images (in the recipe's size), (N, latent), float32, with running batch statistics.

    Raises:
        UsageError: the family has no encoder.
    """
    recipe = run.recipe
    encoding = FAMILIES[recipe.family].encoding
    if encoding is None:
        raise UsageError(
            f"{run.path.name} is a {FAMILIES[recipe.family].called}: it has no encoder, so it cannot find the z of an "
            "image; a VAE can (conv-vae, cvae, s4-vae)"
        )
    machine = device.start(device.here(recipe.engine))
    labels = None if images.labels is None else torch.from_numpy(images.labels)
    network = load_network(run, encoding.network)
    return encoding.encode(recipe, network, machine, torch.from_numpy(images.images), labels)


def standard(run: OpenRun, held_out: Dataset | None) -> list[Look]:
    """The figures that every finished run gets, if its family supports them."""
    recipe, how, found = run.recipe, SamplingOptions(), []
    family = FAMILIES[recipe.family]
    if family.naming and held_out is not None and held_out.labels is not None:
        found.append(confusion(run, held_out))
    if family.encoding and held_out is not None:
        found.append(reconstruct(run, how, held_out, min(20, len(held_out))))
    if family.sampling:
        if family.encoding and family.sampling.noise(recipe) == (2,):
            found.append(latent_map(run, how, held_out))
        if family.sampling.axes:
            found.append(traverse(run, how))
        found.append(interpolate(run, how))
        if len(_epochs_with_snapshots(run)[0]) > 1:
            found.append(timeline(run, how))
    return found


def _grid(
    name: str,
    title: str,
    caption: str,
    images: Tensor,
    columns: int,
    *,
    rows: Sequence[str] = (),
    column_names: Sequence[str] = (),
    **arrays: Tensor,
) -> Look:
    picture = pictures.labelled(pictures.grid(images, columns), rows, column_names)
    return look(name, title, caption, picture, {"images": images.numpy(), **{k: v.numpy() for k, v in arrays.items()}})


def _names(run: OpenRun, labels: Tensor | None) -> list[str]:
    """The class of each row."""
    return [] if labels is None else [run.provenance["data"]["class_names"][k] for k in labels.tolist()]


def _classes(run: OpenRun, labels: Tensor | None) -> str:
    """Which class is drawn, as part of a sentence."""
    if labels is None:
        return ""
    kinds = set(labels.tolist())
    return f", as class {_names(run, labels[:1])[0]}" if len(kinds) == 1 else ", each as one class"


def _honours(how: SamplingOptions, *ignored: str) -> None:
    """Refuse options that a figure cannot honour, rather than ignore them.

    Encoders are kept only in checkpoints, so a snapshot's decoder has none; z from the posterior are not truncated.
    """
    for name in ignored:
        if getattr(how, name) != getattr(SamplingOptions(), name):
            words = {"ema": "raw weights", "step": "a step", "truncation": "a truncation"}[name]
            raise UsageError(f"this figure cannot be drawn with {words}; leave it out")


def _encoded(run: OpenRun, how: SamplingOptions) -> str:
    """Remark that the encoder uses running statistics, if the decoder uses those of its batch."""
    return " Encoded with running BatchNorm statistics." if how.batch_statistics and run.recipe.batch_normalised else ""


def _epochs_with_snapshots(run: OpenRun) -> tuple[list[int], int]:
    """The epochs at whose end a snapshot was kept, and the steps per epoch."""
    per_epoch = Schedule.of(run.recipe, run.provenance["data"]["images"]).steps_per_epoch
    return [step // per_epoch for step in run.steps("snapshots", ".safetensors") if step % per_epoch == 0], per_epoch


def _check(figure: int = 1, **counts: int | tuple[int, int]) -> None:
    """Refuse counts below 1 (or below the second of a pair), and figures too large to look at."""
    for name, given in counts.items():
        value, least = given if isinstance(given, tuple) else (given, 1)
        if value < least:
            raise UsageError(f"{name} is {value}; allowed: {least} or more")
    if figure > MOST:
        raise UsageError(f"that would be {figure:,} images in one figure; allowed: {MOST}")

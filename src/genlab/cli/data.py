"""The commands for datasets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from genlab.cli import terminal
from genlab.cli.options import Json, whole
from genlab.engine.console import note, say
from genlab.report import tables

SKIPPED = 5
"""Skipped pictures that are listed; the file keeps more."""
app = App(name="data", help="List the built-in datasets; check and import your own images.")


@app.command(name="list")
def data_list(*, json: Json = False) -> None:
    """List the built-in datasets."""
    from genlab.data import BUILTIN

    if json:
        terminal.show_json(
            [
                {"name": k, "description": v.description, "classes": v.class_names, "source": v.source}
                for k, v in BUILTIN.items()
            ]
        )
    else:
        rows = [(name, builtin.description, builtin.source) for name, builtin in BUILTIN.items()]
        terminal.show_table(tables.Table("", ("dataset", "what it is", "source"), rows))


@app.command(name="check")
def data_check(
    source: Annotated[str, Parameter(help="Built-in dataset, or path of a folder or file of images.")],
    /,
    *,
    output: Annotated[
        Path | None,
        Parameter(
            name=["-o", "--output"], help="Write a page (.html) or ten images of each class (.png) to this file."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Look at a dataset before training on it.

    Shows what is in it, what looks wrong, how to train on it
    and how long that takes here.
    """
    from genlab.api import data as api
    from genlab.engine.files import destination
    from genlab.report import data_page

    if output is not None:
        destination(output, ".html (the page)", ".png (the contact sheet)")
    checked = api.check(source)
    if output is not None:
        checked.save(output)
    if json:
        terminal.show_json(api.as_json(checked))
    else:
        terminal.show_table(data_page.facts(checked.found))
        if (by_class := data_page.classes(checked.found)) is not None:
            say()
            terminal.show_table(by_class)
        if checked.found.refusal is not None:
            say()
            say(terminal.wrapped(f"Training would refuse it as it is: {checked.found.why}"))
        if checked.command:
            say(f"\ntrain on it with\n  {checked.command.replace(chr(10), f'{chr(10)}  ')}")
        if checked.found.refusal is None:
            say(terminal.wrapped(checked.takes))
        if output is not None:
            say(f"look at it in {output}")


@dataclass(frozen=True)
class Wanted:
    """How to bring images into one form."""

    size: Annotated[
        int | None, Parameter(converter=whole, help="Side of the images in pixels (default: unchanged, if all agree).")
    ] = None
    fit: Annotated[
        str | None, Parameter(help="How to fit images of other sizes: pad, crop or stretch (default: refuse).")
    ] = None
    color: Annotated[str | None, Parameter(help="gray or rgb (default: gray if no pixel has a colour).")] = None
    range: Annotated[
        str | None,
        Parameter(
            allow_leading_hyphen=True,
            help="Values of black and white, as in 0..1 or -1..1 (default: 0..255; 16 bits: 0..65535).",
        ),
    ] = None
    ground: Annotated[
        str | None, Parameter(help="black or white: under transparent pixels (default: white), around padded pictures.")
    ] = None
    split: Annotated[
        float | None, Parameter(help="Fraction that becomes the test split (default: .1, or the source's own split).")
    ] = None
    seed: Annotated[int, Parameter(converter=whole, help="Seed of the split and of --per-class.")] = 0
    classes: Annotated[
        list[str] | None, Parameter(consume_multiple=True, negative="", help="Only these classes, by name or number.")
    ] = None
    per_class: Annotated[
        int | None,
        Parameter(
            converter=whole, help="Most images to keep per class (in each split, if the source has a test split)."
        ),
    ] = None
    skip_bad: Annotated[bool, Parameter(negative="", help="Leave out pictures that cannot be read.")] = False


AS_THEY_ARE = Wanted()


@app.command(name="import")
def data_import(
    source: Annotated[str, Parameter(help="Folder, zip, tar, npz, IDX, CIFAR binary, CSV or Parquet file.")],
    /,
    *,
    output: Annotated[Path, Parameter(name=["-o", "--output"], help="The .npz file to write.")],
    wanted: Annotated[Wanted, Parameter(name="*")] = AS_THEY_ARE,
    json: Json = False,
) -> None:
    """Import images from anywhere into one npz file.

    Nothing is changed silently: every decision is shown and
    written into the file. A stopped import continues when the
    same command is given again.
    """
    from genlab.api import data as api

    found = api.import_images(source, output, **vars(wanted))
    if json:
        terminal.show_json({"path": str(found.path), "already": found.already, **found.record})
        return
    if found.already:
        note(f"genlab: note: {found.path} already exists, made from the same images in the same way")
    terminal.show_table(tables.Table("", ("decided", "value"), rows_of(found.record)))
    say(f"images    {found.path}")


def rows_of(record: dict[str, Any]) -> list[tuple[str, str]]:
    """What an import decided and found, one row each."""
    images, classes = record["images"], record["classes"]
    rows = [("source", f"{record['source']} ({record['form']})")]
    rows.append(("images", f"{images['train']:,} training, {images['test']:,} test"))
    rows += list(record["decisions"].items())
    if classes:
        rows.append(
            ("of each class", ", ".join(f"{name}: {' + '.join(f'{n:,}' for n in v)}" for name, v in classes.items()))
        )
    if len(record["sizes"]) > 1:
        rows.append(("sizes found", ", ".join(f"{n:,} of {size}" for size, n in record["sizes"].items())))
    rows += [("pictures", f"{n:,}: {what}") for what, n in record["found"].items()]
    if record["skipped"]["count"]:
        count, first = record["skipped"]["count"], list(record["skipped"]["first"].items())[:SKIPPED]
        rows.append(("skipped", f"{count:,} that cannot be read"))
        rows += [("", f"{name}: {why}") for name, why in first]
        rows += [("", f"and {count - len(first):,} more")] if count > len(first) else []
    return rows + [("note", each) for each in record["notes"]]

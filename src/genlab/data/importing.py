"""An import: pictures from any source into one npz file, streamed, in bounded memory, and resumable after a kill.

While it runs, ``FILE.importing`` holds the pixels, each picture at its place in the result, and a record of which are
done; a picture marked as done is on the disk. The file itself appears whole, or not at all.
"""

from __future__ import annotations

import json
import os
import shutil
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from genlab.data import memory
from genlab.data.arrays import DARK
from genlab.data.files import collection as collection_at
from genlab.data.import_plan import Options, Plan, bad_pictures, plan
from genlab.data.sources.collection import SPLITS
from genlab.data.sources.conversion import LUMA
from genlab.data.sources.npz import read_arrays
from genlab.data.sources.picture import OutOfRange, Picture, Unreadable
from genlab.engine import signals
from genlab.engine.console import note
from genlab.engine.files import destination, expanded, refusals, sync_folder, write
from genlab.engine.lock import held, is_held
from genlab.engine.stages import advance, stage
from genlab.engine.version import VERSION
from genlab.errors import DataError, UsageError

SAVED_EVERY = 1.0
"""Seconds between two saves of the progress."""
KEPT = 100
"""Number of skipped pictures whose names are kept in the file."""
RECORD = "import"
"""Name of the record in the file."""
TODO, DONE, BAD = 0, 1, 2


@dataclass(frozen=True)
class Imported:
    """A finished import.

    Attributes:
        path: the npz file.
        record: what was decided and found, as stored in the file (see `_record`).
        already: whether the file existed before, made from the same source in the same way.
    """

    path: Path
    record: dict[str, Any]
    already: bool = False


@dataclass
class _State:
    """Progress of an import.

    Attributes:
        slots: status of each image: TODO, DONE or BAD.
        remarks: number of pictures per remark.
        bad: slots of unreadable pictures, with the reason.
        colourful: whether any pixel has a colour.
        highest: brightest value of any image.
    """

    slots: NDArray[np.uint8]
    remarks: Counter[str] = field(default_factory=Counter)
    bad: dict[int, str] = field(default_factory=dict)
    colourful: bool = False
    highest: int = 0

    def write(self, path: Path, key: str) -> None:
        told = {"key": key, "remarks": self.remarks, "bad": self.bad, "colourful": self.colourful}
        write(path, json.dumps(told | {"highest": self.highest}).encode() + b"\n" + self.slots.tobytes())

    @classmethod
    def read(cls, path: Path, key: str, n: int) -> _State | None:
        """The state of an import of the same source and decisions; None if there is none."""
        try:
            head, _, slots = path.read_bytes().partition(b"\n")
            told = json.loads(head)
        except (OSError, ValueError):
            return None
        if told.get("key") != key or len(slots) != n:
            return None
        bad = {int(slot): reason for slot, reason in told["bad"].items()}
        found = np.frombuffer(slots, np.uint8).copy()
        return cls(found, Counter(told["remarks"]), bad, told["colourful"], told["highest"])


def import_images(source: Any, output: str | Path, options: Options | None = None) -> Imported:
    """Import images into an npz file.

    Args:
        source: the path of any source (see `sources`), or images in memory (see `memory.keep`).

    Raises:
        DataError: the source cannot be read as requested; names the picture.
        UsageError: the file exists already, from another source or made in another way.
        StorageError: the disk refuses. BusyError: another import into the same file is running.
        Stopped: interrupted; the same call resumes the import.
    """
    chosen, path = options or Options(), expanded(output)
    destination(path, ".npz (arrays)")
    in_memory = not isinstance(source, str | Path)
    collection = memory.collection(source) if in_memory else collection_at(source)
    collection.asked = chosen.given
    made = plan(collection, chosen)
    work = path.with_name(f"{path.name}.importing")
    exists = path.exists()
    if exists:
        record = record_of(path)
        same = record is not None and record.get("key") == made.key
        if record is not None and same and not in_memory:
            if not is_held(work / "lock"):
                shutil.rmtree(work, ignore_errors=True)  # An earlier removal may have failed.
            return Imported(path, record, already=True)
        if not same:
            raise _exists(path)
    with refusals(path):
        work.mkdir(exist_ok=True)
    words = f"stopped; what was read is kept in {work}, and the same command resumes the import"
    with held(work / "lock", "is importing into it"), signals.at_once(words):
        try:
            # Images in memory have no stamp: whether the file holds them is seen from what they give.
            target = work / path.name if exists else path
            record = _into(work, target, made, afresh=in_memory)
            if exists and not _same_images(target, path):
                raise _exists(path)
        except (DataError, UsageError):  # The same command can only fail again.
            shutil.rmtree(work, ignore_errors=True)
            raise
    shutil.rmtree(work, ignore_errors=True)
    return Imported(path, record, already=exists)


def _exists(path: Path) -> UsageError:
    return UsageError(f"{path}: the file already exists, with other images or options; choose another name")


def _same_images(a: Path, b: Path) -> bool:
    """Whether two imported files have the same images, labels and classes; their records may be of two versions."""
    with zipfile.ZipFile(a) as one, zipfile.ZipFile(b) as other:
        names = set(one.namelist())
        return names == set(other.namelist()) and all(
            one.read(name) == other.read(name) for name in names - {_member(RECORD).filename}
        )


def _into(work: Path, path: Path, made: Plan, afresh: bool) -> dict[str, Any]:
    state = None if afresh else _State.read(work / "state", made.key, len(made.rows))
    if state is not None and _has_pixels(work / "pixels", made, state):
        done = np.count_nonzero(state.slots)
        note(f"resuming a stopped import: {done:,} of {len(made.rows):,} pictures are done")
    else:
        if (work / "state").exists() and not afresh:
            note("found a stopped import of other pictures or with other options; starting over")
        (work / "pixels").unlink(missing_ok=True)
        state = _State(np.zeros(len(made.rows), np.uint8))
        place = {int(row): slot for slot, row in enumerate(made.rows)}
        for row, reason in made.unreadable.items():
            state.slots[place[row]], state.bad[place[row]] = BAD, reason
    with refusals(path), (work / "pixels").open("r+b" if (work / "pixels").exists() else "w+b") as pixels:
        _read(pixels, work / "state", made, state)
        _check(made, state)
        record = _record(made, state)
        _write(path, pixels, made, state, record)
    return record


def _has_pixels(file: Path, made: Plan, state: _State) -> bool:
    """Whether the pixel file is as long as the state requires."""
    last = int(np.flatnonzero(state.slots == DONE).max(initial=-1))
    each = (1 if made.conversion.color == "gray" else 3) * made.conversion.size**2
    return file.exists() and file.stat().st_size >= (last + 1) * each


def _read(pixels: IO[bytes], file: Path, made: Plan, state: _State) -> None:
    """Decode and convert the remaining pictures, each into its own slot."""
    todo = np.flatnonzero(state.slots == TODO)
    place = {int(made.rows[slot]): int(slot) for slot in todo}
    saved = time.monotonic()
    with stage(f"importing {len(made.rows):,} pictures", len(made.rows)):
        advance(len(made.rows) - len(todo))
        for row, picture in made.collection.pictures(list(place)):
            slot = place[row]
            try:
                image = _image(picture, made, state)
            except OutOfRange as error:
                raise DataError(f"{made.collection.where}/{made.collection.name(row)}: {error}") from None
            except Unreadable as error:
                if not made.options.skip_bad:
                    raise bad_pictures(made.collection, {row: str(error)}, made.rows) from None
                state.slots[slot], state.bad[slot] = BAD, str(error)
            else:
                pixels.seek(slot * image.nbytes)
                pixels.write(image.data)
                state.slots[slot] = DONE
            advance(1)
            if time.monotonic() - saved > SAVED_EVERY:
                _save(pixels, file, made, state)
                saved = time.monotonic()
    _save(pixels, file, made, state)


def _image(picture: Picture | Unreadable, made: Plan, state: _State) -> NDArray[np.uint8]:
    if isinstance(picture, Unreadable):
        raise picture
    image = np.ascontiguousarray(made.conversion(picture))
    state.remarks.update(picture.remarks)
    state.remarks.update(_changes(picture, made))
    state.highest = max(state.highest, int(image.max()))
    if made.may_be_gray and not state.colourful:
        state.colourful = Picture(image).colourful
    return image


def _changes(picture: Picture, made: Plan) -> Iterator[str]:
    """Changes made to a picture, to be counted."""
    if made.conversion.color == "gray" and picture.colourful:
        yield "colour made gray"
    if picture.size != (made.conversion.size,) * 2:
        yield "resized"


def _save(pixels: IO[bytes], file: Path, made: Plan, state: _State) -> None:
    pixels.flush()
    os.fsync(pixels.fileno())
    state.write(file, made.key)


def _check(made: Plan, state: _State) -> None:
    """Check what only all pixels together can show."""
    where = made.collection.where
    if not (state.slots == DONE).any():
        raise DataError(f"{where}: none of its {len(made.rows):,} pictures can be read")
    if made.conversion.range is None and 0 < state.highest <= DARK:
        hint = made.collection.hint(f"--range 0..{state.highest}", f"if 0 is black and {state.highest} white: ")
        raise DataError(f"{where}: pixel values 0 .. {state.highest}, which look black{hint}")
    if not (state.slots[made.of("train")] == DONE).any():
        raise DataError(f"{where}: no training image can be read")


def _record(made: Plan, state: _State) -> dict[str, Any]:
    """What was decided and found, for the file and for the user."""
    conversion, collection = made.conversion, made.collection
    gray = conversion.color == "gray" or (made.may_be_gray and not state.colourful)
    kept = state.slots == DONE
    classes = {
        split: np.bincount(
            made.labels[kept & (made.test == (split == "test"))], minlength=len(made.class_names)
        ).tolist()
        for split in SPLITS
        if made.labels is not None
    }
    channels = "gray" if gray else "rgb"
    why = f"by {LUMA}" if state.remarks["colour made gray"] else "no pixel has a colour" if gray else "as it is"
    return {
        "genlab": VERSION,
        "key": made.key,
        "source": collection.where,
        "form": collection.form,
        "images": {split: int((kept & (made.test == (split == "test"))).sum()) for split in SPLITS},
        "classes": {name: [counts[k] for counts in classes.values()] for k, name in enumerate(made.class_names)},
        "decisions": {**made.decisions, "color": f"{channels} ({why})", **_depth(made, state)},
        "conversion": conversion.record() | {"color": channels},
        "sizes": {f"{w} x {h}": n for (w, h), n in made.found.most_common(20)},
        "found": dict(state.remarks.most_common()),
        "skipped": {
            "count": len(state.bad),
            "first": {collection.name(int(made.rows[slot])): why for slot, why in sorted(state.bad.items())[:KEPT]},
        },
        "notes": collection.notes,
    }


def _depth(made: Plan, state: _State) -> dict[str, str]:
    """The range and the ground, if they mattered."""
    told, conversion = {}, made.conversion
    if conversion.range is not None:
        told["range"] = f"{conversion.range[0]:g} is black, {conversion.range[1]:g} white"
    elif state.remarks["16 bits"]:
        told["range"] = "16 bits: 0 is black, 65535 white"
    if state.remarks["transparent"]:
        told["transparent"] = f"placed on {conversion.ground or 'white'}"
    if conversion.fit == "pad":
        told["padded with"] = (
            conversion.ground or "a picture's own background where its border is uniform, otherwise black"
        )
    return told


def _write(path: Path, pixels: IO[bytes], made: Plan, state: _State, record: dict[str, Any]) -> None:
    """Write the npz file: arrays in genlab's own layout, the pixels copied image by image."""
    conversion, gray = made.conversion, record["conversion"]["color"] == "gray"
    given = 1 if conversion.color == "gray" else 3
    form = (1 if gray else 3, conversion.size, conversion.size)
    partial = path.with_name(f"{path.name}.tmp-{os.getpid()}")
    with refusals(path, (state.slots == DONE).sum() * int(np.prod(form))):
        try:
            with zipfile.ZipFile(partial, "w") as archive:
                for split in SPLITS:
                    slots = [int(slot) for slot in made.of(split) if state.slots[slot] == DONE]
                    if slots:
                        _write_pixels(archive, f"x_{split}", pixels, slots, given, form)
                        if made.labels is not None:
                            _write_array(archive, f"y_{split}", made.labels[slots])
                if made.labels is not None:
                    _write_array(archive, "class_names", np.array(made.class_names))
                _write_array(archive, RECORD, np.array(json.dumps(record)))
            with partial.open("rb+") as file:
                os.fsync(file.fileno())
            partial.replace(path)
            sync_folder(path.parent)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise


def _write_pixels(
    archive: zipfile.ZipFile, name: str, pixels: IO[bytes], slots: list[int], given: int, form: tuple[int, int, int]
) -> None:
    each = given * form[1] * form[2]
    kept = int(np.prod(form))  # The first of three equal channels.
    with (
        stage(f"writing {len(slots):,} images", len(slots)),
        archive.open(_member(name), "w", force_zip64=True) as file,
    ):
        header = {"descr": "|u1", "fortran_order": False, "shape": (len(slots), *form)}
        np.lib.format.write_array_header_1_0(file, header)
        for slot in slots:
            pixels.seek(slot * each)
            file.write(pixels.read(each)[:kept])
            advance(1)


def _write_array(archive: zipfile.ZipFile, name: str, array: NDArray[Any]) -> None:
    with archive.open(_member(name), "w") as file:
        np.lib.format.write_array(file, array, allow_pickle=False)


def _member(name: str) -> zipfile.ZipInfo:
    """Archive entry with a fixed date, so that the same images give the same bytes."""
    return zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0))


def record_of(path: Path) -> dict[str, Any] | None:
    """The record that an import wrote into its file; None for any other file."""
    try:
        told = read_arrays(path, (RECORD,)).get(RECORD)
        record = None if told is None else json.loads(str(told))
    except (DataError, ValueError):
        return None
    return record if isinstance(record, dict) else None

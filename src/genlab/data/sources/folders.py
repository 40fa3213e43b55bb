"""Pictures in a folder or archive: the folders say which class and which split each picture belongs to.

Layouts: pictures directly in it (no classes); a folder per class; or ``train`` and ``test`` (or ``val``) with either of
these inside. One more folder may enclose all of that, as in many archives.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import PurePosixPath

import numpy as np

from genlab.data.arrays import check_names, natural
from genlab.data.sources.collection import PictureCollection
from genlab.data.sources.picture import ENDINGS, REFUSED, Head, Picture, Unreadable, decode, head, is_picture
from genlab.data.sources.tree import Tree
from genlab.errors import DataError

TRAIN, TEST, VALIDATION = ("train", "training"), ("test", "testing"), ("val", "valid", "validation")
STRAYS = 0.1
"""At most this fraction of the pictures may lie beside the class folders; they are left out."""


def pictures_in(tree: Tree, where: str) -> PictureCollection:
    """The pictures of a folder or archive, with their classes and splits.

    Raises:
        DataError: no pictures, or an ambiguous layout.
    """
    names = [name for name in tree.entries if is_picture(name)]
    if not names:
        raise DataError(f"{where}: no pictures in it ({_what_is_there(tree)}); supported: {', '.join(ENDINGS[:8])} ...")
    notes = [*_left_out(tree, names)]
    base, split_of = _splits(names, notes, where)
    chosen: list[tuple[str, bool, str | None]] = []  # name, whether it is a test image, class
    for test, prefix in split_of:
        chosen += [(name, test, kind) for name, kind in _classes(names, prefix, base, notes, where)]
    kinds = sorted({kind for _, test, kind in chosen if kind is not None and not test}, key=natural)
    labels = _labels(chosen, kinds, where)
    if labels is None:
        if kinds:
            notes.append("not all pictures are in class folders, so there are no classes")
        kinds = []
    check_names(kinds, where)
    files = [name for name, _, _ in chosen]
    decoded = partial(decoded_from, tree, files)
    once = list(dict.fromkeys(notes))  # Both splits may give the same note.
    is_test = np.array([test for _, test, _ in chosen], bool)
    form = {"folder": "folder of pictures"}.get(tree.kind, f"{tree.kind} of pictures")
    return PictureCollection(where, form, files, is_test, labels, tuple(kinds), once, tree.stamp, decoded)


def decoded_from(
    tree: Tree, files: Sequence[str], rows: Sequence[int], heads: bool
) -> Iterator[tuple[int, Head | Picture | Unreadable]]:
    """Pictures of a tree by their rows: only their heads, or decoded."""
    place = {files[row]: row for row in rows}
    for name, content in tree.contents([files[row] for row in rows]):
        if isinstance(content, Unreadable):
            yield place[name], content
        elif PurePosixPath(name).suffix.lower() in REFUSED:
            yield place[name], Unreadable("unsupported picture format; save it as PNG")
        else:
            try:
                found: Head | Picture | Unreadable = (head if heads else decode)(content)
            except Unreadable as error:
                found = error
            yield place[name], found


def _splits(names: Sequence[str], notes: list[str], where: str) -> tuple[str, list[tuple[bool, str]]]:
    """The folder around all pictures ("" or ending in a slash), and per split whether it is the test split and its
    folder below that one."""
    base = ""
    while True:
        tops = Counter(name[len(base) :].split("/")[0] for name in names if "/" in name[len(base) :])
        by_name = {top.lower(): top for top in tops}
        train = next((by_name[top] for top in TRAIN if top in by_name), None)
        if train is not None and (len(tops) == 1 or _is_split(train, by_name, [name[len(base) :] for name in names])):
            break
        deeper = len(tops) == 1 and all(name[len(base) :].count("/") >= 2 for name in names)
        if not deeper:
            return base, [(False, "")]
        base += next(iter(tops)) + "/"
    found = [by_name[top] for top in (*TEST, *VALIDATION) if top in by_name]
    used = [train, *found[:1]]
    outside = len(names) - sum(tops[top] for top in used)
    if outside:
        others = ", ".join(sorted(set(tops) - set(used))) or "beside them"
        notes.append(f"left out: {outside:,} pictures outside of {' and '.join(f'{top}/' for top in used)} ({others})")
    if found and found[0].lower() in VALIDATION:
        notes.append(f"{found[0]}/ is taken as the test split")
    return base, [(False, f"{train}/"), *((True, f"{top}/") for top in found[:1])]


def _is_split(train: str, by_name: Mapping[str, str], names: Sequence[str]) -> bool:
    """Whether a folder beside others is the training split, and not a class of that name: there is a test split, too,
    or it has class folders of its own."""
    return any(top in by_name for top in (*TEST, *VALIDATION)) or any(
        name.startswith(f"{train}/") and name.count("/") > 1 for name in names
    )


def _classes(
    names: Sequence[str], prefix: str, base: str, notes: list[str], where: str
) -> list[tuple[str, str | None]]:
    """The pictures of a split, each with its class folder, or with None if there are no class folders."""
    begin = base + prefix
    mine = [name for name in names if name.startswith(begin)]
    inside = [name[len(begin) :] for name in mine]
    folders = {rest.split("/")[0] for rest in inside if "/" in rest}
    strays = [name for name, rest in zip(mine, inside, strict=True) if "/" not in rest]
    if not folders:
        return [(name, None) for name in mine]
    if len(folders) == 1 and not prefix and not strays:
        notes.append(f"all pictures are in one folder ({next(iter(folders))}), so there are no classes")
        return [(name, None) for name in mine]
    if len(strays) > STRAYS * len(mine):
        raise DataError(
            f"{where}: {len(strays):,} of {len(mine):,} pictures are next to the folders {_some(folders)}; move them "
            "into one folder per class, or all pictures into a single folder"
        )
    if strays:
        are = "1 picture" if len(strays) == 1 else f"{len(strays):,} pictures"
        notes.append(f"left out: {are} outside of the class folders ({_some(strays)})")
    if deeper := {"/".join(rest.split("/")[:2]) for rest in inside if rest.count("/") > 1}:
        kinds = {each.split("/")[0] for each in deeper}
        notes.append(f"the outermost folder is the class ({_some(kinds)}), including its subfolders ({_some(deeper)})")
    return [(name, rest.split("/")[0]) for name, rest in zip(mine, inside, strict=True) if "/" in rest]


def _labels(
    chosen: Sequence[tuple[str, bool, str | None]], kinds: Sequence[str], where: str
) -> np.ndarray[tuple[int], np.dtype[np.int64]] | None:
    """Each picture's class as an index into `kinds`; None unless all have one."""
    place: dict[str | None, int] = {kind: k for k, kind in enumerate(kinds)}
    if any(kind is None for _, _, kind in chosen):
        return None
    strange = next((kind for _, _, kind in chosen if kind not in place), None)
    if strange is not None:
        raise DataError(f"{where}: the test split has a class {strange!r} that the training split lacks")
    return np.array([place[kind] for _, _, kind in chosen], np.int64)


def _left_out(tree: Tree, pictures: Sequence[str]) -> Iterator[str]:
    other = sorted(set(tree.entries) - set(pictures), key=natural)
    if other:
        are = "1 file that is not a picture" if len(other) == 1 else f"{len(other):,} files that are not pictures"
        yield f"left out: {are} ({_some(other)})"
    if tree.junk:
        are = "1 hidden file or system folder" if tree.junk == 1 else f"{tree.junk:,} hidden files or system folders"
        yield f"left out: {are}"


def _what_is_there(tree: Tree) -> str:
    if not tree.entries:
        return "it is empty" if not tree.junk else "only hidden files"
    return f"files: {_some(tree.entries)}"


def _some(names: object, most: int = 3) -> str:
    listed = sorted(names, key=natural)  # type: ignore[call-overload]
    return ", ".join(listed[:most]) + (f" and {len(listed) - most:,} more" if len(listed) > most else "")

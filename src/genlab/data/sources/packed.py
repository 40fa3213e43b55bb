"""Files that may be packed with gzip, read whole up to a limit."""

from __future__ import annotations

import gzip
import zlib
from typing import IO

from genlab.data.sources.picture import Unreadable
from genlab.data.sources.tree import FREELY, RATIO, Tree
from genlab.errors import DataError

GZIP = b"\x1f\x8b"
BLOCK = 2**22


def begins(file: IO[bytes], n: int = 512) -> bytes:
    """The first bytes of a file, unpacked if it is packed; empty if unpacking fails."""
    first = file.read(n)
    if not first.startswith(GZIP):
        return first
    file.seek(0)
    try:  # As far as it goes, so that a file that is cut off is recognised too.
        return zlib.decompressobj(wbits=31).decompress(file.read(2**16), n)
    except (OSError, zlib.error):
        return b""


def unpacked(file: IO[bytes]) -> IO[bytes]:
    """The file, or a reader of its unpacked content if it is packed."""
    packed = file.read(2) == GZIP
    file.seek(0)
    return gzip.GzipFile(fileobj=file) if packed else file  # type: ignore[return-value]


def content_of(tree: Tree, name: str) -> bytes:
    """Content of a file in a tree, unpacked if it is packed.

    Raises:
        DataError: it cannot be read or unpacked, or unpacks to an absurd size.
    """
    where, size = f"{tree.where.parent if tree.where.name == name else tree.where}/{name}", tree.entries[name].size
    most = max(FREELY, RATIO * size)
    for _, file in tree.contents([name]):
        if isinstance(file, Unreadable):
            raise DataError(f"{where}: {file}")
        source, found = unpacked(file), bytearray()
        try:
            while block := source.read(BLOCK):
                found += block
                if len(found) > most:
                    raise DataError(f"{where}: {size:,} bytes that unpack to more than {most:,}; it is not read")
        except (OSError, EOFError, zlib.error):
            raise DataError(f"{where}: damaged, or cut off") from None
        return bytes(found)
    raise DataError(f"{where}: it no longer exists")


def beginning_of(tree: Tree, name: str) -> bytes:
    """The first bytes of a file in a tree, unpacked if it is packed."""
    for _, file in tree.contents([name]):
        return b"" if isinstance(file, Unreadable) else begins(file)
    return b""

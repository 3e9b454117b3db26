"""What lies where in a tar file: headers alone are read, members are checked, none is unpacked."""

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from kinoscope.errors import UsageError
from kinoscope.training.sources.folder import inside
from kinoscope.training.sources.problems import Problems, Unfit

_HEADER_BYTES = 2**16
"""No header of ours is longer; the format allows any length, and `tarfile` would read it whole."""
_BLOCK = 512
_BROKEN = (tarfile.TarError, ValueError, OverflowError, EOFError, RecursionError)


@dataclass(frozen=True)
class Member:
    """A regular file inside a tar file: `size_bytes` from `offset` on."""

    shard: Path
    name: str
    offset: int
    size_bytes: int


def members(shard: Path, problems: Problems) -> Iterator[Member]:
    """Regular members in their order; all else is noted, so is a tar file that is cut off.

    Raises `UsageError` for a file that is no tar file without compression.
    """
    try:
        with shard.open("rb") as stream:
            yield from _listed(shard, stream, problems)
    except OSError as error:
        raise UsageError(f"cannot read {shard} ({error.strerror}): check the path") from error


def _listed(shard: Path, stream: BinaryIO, problems: Problems) -> Iterator[Member]:
    length, behind = stream.seek(0, 2), 0
    stream.seek(0)
    try:
        archive = tarfile.TarFile(fileobj=_Headers(stream))  # type: ignore[arg-type]
    except _BROKEN as error:
        raise UsageError(
            f"{shard} is no tar file ({error}): decompress a .tar.gz, or download it again"
        ) from None
    while True:
        try:
            found = archive.next()
        except _BROKEN as error:
            problems.add("member", shard.name, f"damaged behind byte {behind} ({error})")
            return
        if found is None:
            break
        archive.members = []  # type: ignore[attr-defined]  # or it keeps all of them
        # never backwards, or a hostile header would have us read the same one for ever
        if found.size < 0 or found.offset_data < max(behind, 1):
            problems.add("member", shard.name, f"damaged behind byte {behind} (a negative size)")
            return
        behind = found.offset_data + found.size
        if behind > length:
            problems.add(
                "member", shard.name, f"{found.name[:200]!r} is cut off: download it again"
            )
            return
        if not found.isdir() and _is_fit(found, shard, problems):
            yield Member(shard, found.name, found.offset_data, found.size)
    _check_end(shard, stream, archive.offset, problems)


def _is_fit(found: tarfile.TarInfo, shard: Path, problems: Problems) -> bool:
    try:
        inside(found.name)
        if not found.isreg() or found.issparse():
            raise Unfit("member", "a link, device or sparse file: pack regular files")
    except Unfit as error:
        problems.add(error.kind, f"{shard.name} {found.name[:200]!r}", str(error))
        return False
    return True


def _check_end(shard: Path, stream: BinaryIO, offset: int, problems: Problems) -> None:
    """`tarfile` takes a damaged header for the end; the true end is a block of zeros."""
    stream.seek(offset)
    if stream.read(_BLOCK) != bytes(_BLOCK):
        problems.add("member", shard.name, f"no end at byte {offset}: it may be cut off")


class _Headers:
    """A file of which only small pieces are read."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.seek, self.tell = stream.seek, stream.tell

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _HEADER_BYTES:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return self._stream.read(size)

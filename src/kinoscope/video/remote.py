"""Videos in object storage, read piece by piece through fsspec as if they were files."""

import errno
import math
import os
from collections.abc import Iterator, Mapping
from datetime import datetime
from types import TracebackType
from typing import Any, NamedTuple, Self

from kinoscope import libraries
from kinoscope.addresses import SCHEMES
from kinoscope.errors import SetupError, UsageError

STORAGE = "pip install 'kinoscope[storage]'"

PIECE_BYTES, PIECES = 4 * 2**20, 8
"""How much of a video is fetched at once, and how many such pieces are kept while it is read."""

# where the libraries of the three kinds of storage say when an object was written
_TIMES = ("LastModified", "last_modified", "mtime", "updated")
# whose errors are no OSError, though they are of the network or of permission
_LIBRARIES = ("botocore", "aiobotocore", "aiohttp", "gcsfs", "google", "azure", "adlfs")


class Stat(NamedTuple):
    """What is told of an object; the time is 0 where it is not told."""

    size_bytes: int
    modified_ns: int


class Troubles:
    """A `with` block in which errors of storage libraries are `OSError`."""

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        """Raises an `OSError` in place of theirs."""
        if kind is not None and kind.__module__.partition(".")[0] in _LIBRARIES:
            reason = "".join(str(error).splitlines()[:1])[:200]  # some say nothing
            raise OSError(None, f"{kind.__name__}: {reason}") from error


def storage_of(url: str) -> Any:
    """The fsspec file system of an address, with the credentials of the environment.

    Raises `UsageError` for a scheme that is none of `SCHEMES`, `SetupError` without
    `kinoscope[storage]`.
    """
    scheme = url.partition("://")[0]
    if scheme not in SCHEMES:
        raise UsageError(f"{url}: videos are read from folders, and from {', '.join(SCHEMES)}://")
    fsspec = libraries.imported("fsspec", STORAGE)
    try:
        return fsspec.filesystem(scheme, use_listings_cache=False)
    except ImportError as error:
        raise SetupError(f"{scheme}:// needs a package ({error}): {STORAGE}") from error


def stat(url: str) -> Stat:
    """Size and time; `FileNotFoundError` or another `OSError` if there is no such object."""
    with Troubles():
        info = storage_of(url).info(url)
    if info["type"] != "file":
        raise IsADirectoryError(None, "it is a folder", url)
    return _stat(info)


def open_far(url: str) -> "FarFile":
    """Opens an object for reading and seeking; holds `PIECES` of it at most."""
    with Troubles():
        file = storage_of(url).open(
            url,
            "rb",
            block_size=PIECE_BYTES,
            cache_type="blockcache",
            cache_options={"maxblocks": PIECES},
        )
    return FarFile(file)


def listed(url: str) -> Iterator[tuple[str, Stat]]:
    """All objects at or below an address, which is a name or ends where a folder's name does."""
    scheme = url.partition("://")[0]
    with Troubles():
        found: Mapping[str, Mapping[str, Any]] = storage_of(url).find(url, detail=True)
    for name, info in sorted(found.items()):
        yield f"{scheme}://{name}", _stat(info)


def _stat(info: Mapping[str, Any]) -> Stat:
    times = (info[name] for name in _TIMES if info.get(name) is not None)
    return Stat(int(info["size"] or 0), _nanoseconds(next(times, None)))


def _nanoseconds(time: object) -> int:
    """A `datetime` or its ISO text: 00:00:01.5 in 1970 -> 10**9; 0 for anything else.

    In whole seconds, since a list of objects may tell more of a second than one object does.
    """
    if isinstance(time, str):
        time = datetime.fromisoformat(time)
    if not isinstance(time, datetime):
        return 0
    return math.floor(time.timestamp()) * 10**9


class FarFile:
    """An open object, in a `with` statement; reading it raises `OSError` alone."""

    def __init__(self, file: Any) -> None:
        self._file, self.tell = file, file.tell

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._file.close()

    @property
    def closed(self) -> bool:
        """Whether it is."""
        return bool(self._file.closed)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """The new position, as files have it."""
        try:
            return int(self._file.seek(offset, whence))
        except ValueError as error:
            raise OSError(errno.EINVAL, str(error)) from error

    def read(self, size: int = -1) -> bytes:
        """So many bytes, or fewer at the end."""
        with Troubles():
            return bytes(self._file.read(size))

    def readinto(self, piece: memoryview) -> int:
        """Fills a piece as far as there is more."""
        got = self.read(len(piece))
        piece[: len(got)] = got
        return len(got)

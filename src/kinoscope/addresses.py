"""Names of files: paths of this machine, and addresses in object storage that act as paths."""

import os
import re
from functools import lru_cache
from pathlib import Path, PosixPath
from typing import Self

Where = str | os.PathLike[str]
"""A path, or an address such as `s3://bucket/film.mp4`."""

SCHEMES = ("s3", "gs", "az")
"""Of the object storage that is known: Amazon's S3 and all that speak as it does, Google, Azure."""

_KEPT = 2**14
_URL = re.compile(r"[a-z][a-z0-9+.-]+://")


class FarPath(PosixPath):
    """An address as a path: it has a name, a suffix and parents, and nothing is there on this disk.

    >>> FarPath("s3://bucket/films/a.mp4").parent
    FarPath('s3://bucket/films')
    """

    def __str__(self) -> str:
        return super().__str__().replace(":/", "://", 1)

    def __fspath__(self) -> str:
        return str(self)

    def __reduce__(self) -> "tuple[type[Self], tuple[str]]":
        return type(self), (str(self),)

    def is_absolute(self) -> bool:
        """It is, from wherever one looks."""
        return True

    def absolute(self) -> Self:
        """Itself."""
        return self

    def resolve(self, strict: bool = False) -> Self:
        """Itself: there are no links."""
        return self


def is_url(where: Where) -> bool:
    """Whether it is an address, of whatever kind, rather than a path."""
    return isinstance(where, FarPath) or (isinstance(where, str) and _URL.match(where) is not None)


def path_of(where: Where) -> Path:
    """A path of this machine, or an address as one."""
    if isinstance(where, Path):
        return where
    return _path(os.fspath(where))


@lru_cache(_KEPT)
def _path(name: str) -> Path:
    """Hits name the same files again and again; to take a name apart costs more than to know it."""
    return FarPath(name) if is_url(name) else Path(name)

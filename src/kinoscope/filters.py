"""Which videos may answer: by folder, name, age and length, over the columns of an index."""

import math
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePath

import numpy as np

from kinoscope.addresses import path_of
from kinoscope.errors import UsageError
from kinoscope.index.catalog import Catalog
from kinoscope.index.rows import folder_prefix
from kinoscope.index.scan import absolute
from kinoscope.types import Bool

_RANGES = (("since", "until"), ("min_duration_s", "max_duration_s"))


@dataclass(frozen=True, kw_only=True)
class Filters:
    """Which videos may answer; without arguments, all.

    Attributes:
        folder: only videos with a copy below this folder; hits then name that copy.
        name: only copies whose path fits this pattern of `*`, `?` and `[a-z]`; one without `/` is
            for the file's name alone. `*.mov`, `*/2025/*beach*`.
        since, until: only copies modified in this range, in seconds since 1970, ends included.
        min_duration_s, max_duration_s: only videos of such length, ends included.

    Raises `UsageError` for a number that is none, an empty range or an empty pattern.
    """

    folder: Path | None = None
    name: str | None = None
    since: float | None = None
    until: float | None = None
    min_duration_s: float | None = None
    max_duration_s: float | None = None

    def __post_init__(self) -> None:
        for names in _RANGES:
            for name in names:
                value = getattr(self, name)
                if value is not None and not (math.isfinite(value) and value >= 0):
                    raise UsageError(f"filter {name} {value}: give seconds, 0 or more")
            least, most = (getattr(self, name) for name in names)
            if least is not None and most is not None and least > most:
                raise UsageError(
                    f"filter {names[0]} {least:g} is above {names[1]} {most:g}: nothing is between"
                )
        if self.name is not None and not self.name.strip():
            raise UsageError("filter name is empty: give a pattern, such as *.mov")


EVERYTHING = Filters()


def allowed_paths(catalog: Catalog, filters: Filters) -> Bool | None:
    """Paths that pass [P]; None if no filter is set."""
    if filters == EVERYTHING:
        return None
    allowed_P = np.ones(len(catalog.paths), np.bool_)
    if filters.since is not None:
        allowed_P &= catalog.mtime_s_P >= filters.since
    if filters.until is not None:
        allowed_P &= catalog.mtime_s_P <= filters.until
    if filters.folder is not None:
        allowed_P &= _below(catalog.paths, filters.folder)
    if filters.name is not None:
        allowed_P &= _named(catalog.paths, filters.name)
    return allowed_P


def allowed_videos(catalog: Catalog, filters: Filters, allowed_P: Bool) -> Bool:
    """Videos [V] that have an allowed path and a length that is wanted."""
    allowed_V = np.zeros(len(catalog.duration_s_V), np.bool_)
    allowed_V[catalog.path_video_P[allowed_P]] = True
    if filters.min_duration_s is not None:
        allowed_V &= catalog.duration_s_V >= filters.min_duration_s
    if filters.max_duration_s is not None:
        allowed_V &= catalog.duration_s_V <= filters.max_duration_s
    return allowed_V


def _below(paths: tuple[str, ...], folder: Path) -> Bool:
    """Which paths lie below a folder, named as it is or as it resolves; the folder may be gone."""
    names = {absolute(folder), str(path_of(folder).resolve())}
    prefixes = tuple(map(folder_prefix, names))
    below_P = np.fromiter((path.startswith(prefixes) for path in paths), np.bool_, len(paths))
    if not below_P.any() and not folder.is_dir():
        raise UsageError(f"folder {folder} does not exist, and no indexed video was in it")
    return below_P


def _named(paths: tuple[str, ...], pattern: str) -> Bool:
    whole = "/" in pattern
    fits = (fnmatchcase(path if whole else PurePath(path).name, pattern) for path in paths)
    return np.fromiter(fits, np.bool_, len(paths))

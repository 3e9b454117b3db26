"""Videos in a folder with annotations beside: names that stay inside, and the source they make."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from kinoscope.clips import read_clip
from kinoscope.errors import MediaError, UsageError
from kinoscope.sampling import SamplingConfig
from kinoscope.training.sources.problems import Problems, Unfit
from kinoscope.training.sources.protocol import Example
from kinoscope.types import Frames, Span
from kinoscope.video import is_video_name


class VideoFolder:
    """Finds video files by the names that annotations give them, with or without a suffix."""

    def __init__(self, folder: Path) -> None:
        """Raises `UsageError` unless it is a folder."""
        self.root = folder.absolute()
        if not folder.is_dir():
            raise UsageError(f"{folder} is no folder: give the one that holds the videos")
        self._listings: dict[Path, dict[str, str]] = {}

    def find(self, name: str) -> str:
        """The file's path below the folder; raises `Unfit` if absent or outside of it."""
        relative = inside(name)
        file = self.root / relative
        try:
            found = relative if file.is_file() else self._with_suffix(relative)
        except (OSError, ValueError) as error:  # too long for a name, or a NUL in it
            raise Unfit("name", f"{name[:80]!r} is no file name ({error}): mend it") from None
        if found is None:
            raise Unfit("video", f"{name[:200]} is not in {self.root}: add it, or remove the row")
        if self.leaves(found):
            raise Unfit("name", f"{name[:200]} is a link out of {self.root}: put the file itself")
        return str(found)

    def leaves(self, relative: PurePosixPath | str) -> bool:
        """Whether links lead out of the folder."""
        return not (self.root / relative).resolve().is_relative_to(self._real_root)

    def _with_suffix(self, relative: PurePosixPath) -> PurePosixPath | None:
        parent = self.root / relative.parent
        if parent not in self._listings:
            names = sorted(path.name for path in parent.iterdir()) if parent.is_dir() else []
            videos = [name for name in reversed(names) if is_video_name(name)]
            self._listings[parent] = {Path(name).stem: name for name in videos}
        found = self._listings[parent].get(relative.name)
        if found is None or not (parent / found).is_file():
            return None
        return relative.parent / found

    @cached_property
    def _real_root(self) -> Path:
        return self.root.resolve()


def inside(name: str) -> PurePosixPath:
    """A relative path without `..`; raises `Unfit` for any other."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name or not path.parts:
        raise Unfit("name", f"{name[:80]!r} leads out of its folder: give a path below it")
    return path


@dataclass(frozen=True)
class Item:
    """An example and its file, relative to the folder of videos."""

    example: Example
    file: str


class FolderSource:
    """A `Source` of video files in a folder."""

    def __init__(
        self,
        name: str,
        items: Sequence[Item],
        videos: VideoFolder,
        *,
        overlaps: Sequence[str],
        fingerprint: str,
        problems: Problems,
    ) -> None:
        """Raises `UsageError` if there is not a single item."""
        if not items:
            raise UsageError(f"{name} has no video to learn from: {problems.describe()}")
        self.name, self.overlaps, self.fingerprint = name, tuple(overlaps), fingerprint
        self.problems = problems
        self._items, self._videos = tuple(items), videos
        self._numbers = {item.example.key: n for n, item in enumerate(self._items)}
        assert len(self._numbers) == len(self._items), "a key twice"

    def __len__(self) -> int:
        return len(self._items)

    def example(self, number: int) -> Example:
        """See `Source`."""
        return self._items[number].example

    def key(self, number: int) -> str:
        """See `Source`."""
        return self._items[number].example.key

    def number_of(self, key: str) -> int:
        """See `Source`."""
        return number_in(self._numbers, key, self.name)

    def identity(self, number: int) -> str:
        """By path below the folder, size and time of change."""
        relative = self._items[number].file
        path = self._path(number)
        try:
            found = path.stat()
        except OSError as error:
            raise MediaError("missing", f"{path} is gone ({error.strerror}): put it back") from None
        return f"file {relative} {found.st_size} {found.st_mtime_ns}"

    def file(self, number: int) -> AbstractContextManager[Path]:
        """See `Source`."""
        return self._opened(number)

    def frames(self, number: int, sampling: SamplingConfig, span: Span | None = None) -> Frames:
        """See `Source`."""
        return read_clip(self._path(number), sampling, span)

    @contextmanager
    def _opened(self, number: int) -> Iterator[Path]:
        yield self._path(number)

    def _path(self, number: int) -> Path:
        """Looks again where links lead: the folder may have changed since it was read."""
        relative = self._items[number].file
        if self._videos.leaves(relative):
            raise MediaError("unreadable", f"{relative} is a link out of its folder: replace it")
        return self._videos.root / relative


def number_in(numbers: dict[str, int], key: str, name: str) -> int:
    """The number of a key; `UsageError` for an unknown one."""
    if key not in numbers:
        raise UsageError(f"{name} has no video {key!r}: give one of its keys")
    return numbers[key]


def fingerprint_of(files: Sequence[Path], *more: str) -> str:
    """Hex SHA-256 of annotation files' contents, in their order, and of how they were read."""
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    digest.update("\0".join(more).encode())
    return digest.hexdigest()

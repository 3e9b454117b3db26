"""Which video files lie in the folders of a library, and the identity of their content."""

import errno
import hashlib
import os
import stat
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kinoscope.errors import MediaError
from kinoscope.video import is_video_name

SourcePath = str | os.PathLike[str]
_Identity = tuple[int, int]  # (device, inode)


@dataclass(frozen=True, kw_only=True)
class FoundFile:
    """A regular file as the scan saw it; `path` is absolute, links in it are not resolved."""

    path: str
    size_bytes: int
    mtime_ns: int

    def __post_init__(self) -> None:
        assert Path(self.path).is_absolute(), self.path
        assert self.size_bytes >= 0, self.size_bytes

    def check_there(self) -> None:
        """Raises `MediaError` if the file is not, or no longer, the one that was found.

        To be called after a read too: a size or time that differs then means that old and new
        content may be mixed.
        """
        try:
            status = Path(self.path).stat()
        except OSError:
            raise MediaError("missing", f"{self.path} vanished while it was read") from None
        if (status.st_size, status.st_mtime_ns) != (self.size_bytes, self.mtime_ns):
            raise MediaError(
                "changed", f"{self.path} changed while it was read: index again when it is complete"
            )


@dataclass(frozen=True, kw_only=True, order=True)
class Problem:
    """Something in a folder that cannot be looked at; `message` is a sentence with the path."""

    path: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Found:
    """All video files below the sources.

    Attributes:
        sources: absolute paths that were asked for; rows elsewhere are not judged.
        files: sorted by path, each path once.
        problems: broken links, unreadable folders, absent sources, named pipes.
        unseen: folders whose content is unknown (a disk that is not mounted): rows below are kept.
        empty: sources that are folders without any entry, as a mount point without its disk is:
            rows below are kept as well.
    """

    sources: frozenset[str]
    files: tuple[FoundFile, ...]
    problems: tuple[Problem, ...] = ()
    unseen: frozenset[str] = frozenset()
    empty: frozenset[str] = frozenset()

    def covers(self, path: str) -> bool:
        """Whether `path` is a source or lies below one."""
        return path in self.sources or _is_below(path, self.sources)

    def hides(self, path: str) -> bool:
        """Whether `path` may still exist in a folder that could not be seen."""
        return _is_below(path, self.unseen | self.empty)


def scan(sources: Sequence[SourcePath], *, skip: Path | None = None) -> Found:
    """Walks folders and takes files with a video's name; a file that is itself a source always.

    Names with a leading dot (trash, thumbnails, `._film.mp4` of other systems) are passed over
    unless they are sources. Linked folders are followed, each folder once, real ones first, so
    loops end and a file keeps its path when a link to its folder appears. `skip` is the index.
    Never raises for what it finds: see `Found.problems`.
    """
    roots = sorted(absolute(source) for source in sources)
    walk = _Walk()
    if skip is not None and skip.exists():
        walk.entered.add(_identity(skip.stat()))
    for root in roots:
        walk.visit_source(root)
    while walk.links:
        walk.visit_folder(walk.links.popleft())
    return Found(
        sources=frozenset(roots),
        files=tuple(sorted(walk.files.values(), key=lambda file: file.path)),
        problems=tuple(sorted(walk.problems)),
        unseen=frozenset(walk.unseen),
        empty=frozenset(walk.empty.intersection(roots)),
    )


@dataclass
class _Walk:
    files: dict[str, FoundFile] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    unseen: set[str] = field(default_factory=set)
    empty: set[str] = field(default_factory=set)
    entered: set[_Identity] = field(default_factory=set)
    links: deque[str] = field(default_factory=deque)

    def visit_source(self, path: str) -> None:
        try:
            status = Path(path).stat()
        except OSError as error:
            self.lost(path, error)
            if not Path(path).parent.is_dir():  # it may be a file, on a disk that is gone
                self.unseen.add(str(Path(path).parent))
            return
        if stat.S_ISDIR(status.st_mode):
            self.visit_folder(path)
        else:
            self.take(path, status)

    def visit_folder(self, top: str) -> None:
        waiting = [top]
        while waiting:
            for entry in self.entries(waiting.pop()):
                self.visit_entry(entry, waiting)

    def entries(self, folder: str) -> list["os.DirEntry[str]"]:
        try:
            identity = _identity(Path(folder).stat())
            if identity in self.entered:
                return []
            self.entered.add(identity)
            with os.scandir(folder) as listing:
                found = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            self.lost(folder, error)
            return []
        if not found:
            self.empty.add(folder)
        return found

    def visit_entry(self, entry: "os.DirEntry[str]", waiting: list[str]) -> None:
        if entry.name.startswith("."):
            return
        try:
            status = entry.stat()
            if stat.S_ISDIR(status.st_mode):
                (self.links if entry.is_symlink() else waiting).append(entry.path)
            elif is_video_name(entry.name):
                self.take(entry.path, status)
        except OSError as error:
            self.lost(entry.path, error)

    def take(self, path: str, status: os.stat_result) -> None:
        if stat.S_ISREG(status.st_mode):
            self.files[path] = FoundFile(
                path=path, size_bytes=status.st_size, mtime_ns=status.st_mtime_ns
            )
        else:  # opening a named pipe would wait for ever
            self.problem(path, "neither a regular file nor a folder")

    def lost(self, path: str, error: OSError) -> None:
        """Notes what could not be looked at; it may have been a folder with known files below."""
        reasons = {
            errno.ENOENT: "no such file or folder, or a broken link",
            errno.ELOOP: "a link that leads back to itself",
            errno.EACCES: "no permission to look inside",
        }
        self.unseen.add(path)
        self.problem(path, reasons.get(error.errno or 0, os.strerror(error.errno or 0)))

    def problem(self, path: str, reason: str) -> None:
        self.problems.append(Problem(path=path, message=f"{path}: {reason}"))


def _identity(status: os.stat_result) -> _Identity:
    return status.st_dev, status.st_ino


def absolute(path: SourcePath) -> str:
    """The path from the root, without `..` and without following links: `a/../b` -> `/here/b`."""
    return os.path.normpath(Path(path).absolute())


def _is_below(path: str, folders: Collection[str]) -> bool:
    return any(str(above) in folders for above in Path(path).parents)


def content_id(file: FoundFile) -> str:
    """BLAKE2b-128 of the whole content, in hex: the identity of a video under any name.

    Raises `MediaError` with `missing` or `unreadable`, or with `changed` if the file is no longer
    the one that was found.
    """
    try:
        with Path(file.path).open("rb") as stream:
            digest = hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=16))
    except FileNotFoundError:
        raise MediaError("missing", f"{file.path} vanished before it was read") from None
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise MediaError("unreadable", f"{file.path} cannot be read: {reason}") from None
    file.check_there()
    return digest.hexdigest()

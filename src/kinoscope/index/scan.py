"""Which video files lie in the folders of a library, and below addresses in object storage."""

import errno
import os
import stat
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kinoscope.addresses import Where, is_url, path_of
from kinoscope.errors import MediaError, MediaFault
from kinoscope.video import is_video_name, remote

SourcePath = Where
_Identity = tuple[int, int]  # (device, inode)


@dataclass(frozen=True, kw_only=True)
class FoundFile:
    """A regular file as the scan saw it; `path` is absolute, links in it are not resolved."""

    path: str
    size_bytes: int
    mtime_ns: int

    def __post_init__(self) -> None:
        assert path_of(self.path).is_absolute(), self.path
        assert self.size_bytes >= 0, self.size_bytes

    def check_there(self) -> None:
        """Raises `MediaError` if the file is not, or no longer, the one that was found.

        To be called after a read too: a size or time that differs then means that old and new
        content may be mixed.
        """
        try:
            found = _stat(self.path)
        except FileNotFoundError:
            raise MediaError("missing", f"{self.path} vanished while it was read") from None
        except OSError as error:
            fault: MediaFault = "unreadable" if is_url(self.path) else "missing"
            raise MediaError(fault, f"{self.path} is out of reach ({error.strerror})") from None
        if found != (self.size_bytes, self.mtime_ns):
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
        unreached: entries that are there but cannot be looked at (a link to a disk that is not
            mounted, a failing disk): their own rows are kept.
        empty: sources that are folders without any entry, as a mount point without its disk is:
            rows below are kept as well.
    """

    sources: frozenset[str]
    files: tuple[FoundFile, ...]
    problems: tuple[Problem, ...] = ()
    unseen: frozenset[str] = frozenset()
    unreached: frozenset[str] = frozenset()
    empty: frozenset[str] = frozenset()

    def covers(self, path: str) -> bool:
        """Whether `path` is a source or lies below one."""
        return path in self.sources or _is_below(path, self.sources)

    def hides(self, path: str) -> bool:
        """Whether `path` may still exist, but it or a folder above it could not be seen."""
        return path in self.unreached or _is_below(path, self.unseen | self.empty)


def scan(
    sources: Sequence[SourcePath],
    *,
    skip: Path | None = None,
    within: Sequence[Path] | None = None,
) -> Found:
    """Walks folders and takes files with a video's name; a file that is itself a source always.

    Addresses in object storage are asked for all that lies below them.

    Names with a leading dot (trash, thumbnails, `._film.mp4` of other systems) are passed over
    unless they are sources. Linked folders are followed, each folder once, real ones first (of the
    sources too), so loops end and a file keeps its path when a link to its folder appears. `skip`
    is the index. With `within`, links that lead out of these folders are problems.
    Never raises for what it finds: see `Found.problems`.
    """
    roots = sorted(absolute(source) for source in sources)
    far = [root for root in roots if is_url(root)]
    walk = _Walk(within=None if within is None else [folder.resolve() for folder in within])
    if skip is not None and skip.exists():
        walk.entered.add(_identity(skip.stat()))
    for root in sorted({*roots}.difference(far), key=_links_in):
        walk.visit_source(root)
    for root in far:
        walk.visit_far(root)
    while walk.links:
        walk.visit_folder(walk.links.popleft())
    return Found(
        sources=frozenset(roots),
        files=tuple(sorted(walk.files.values(), key=lambda file: file.path)),
        problems=tuple(sorted(walk.problems)),
        unseen=frozenset(walk.unseen),
        unreached=frozenset(walk.unreached),
        empty=frozenset(walk.empty.intersection(roots)),
    )


@dataclass
class _Walk:
    within: Sequence[Path] | None = None
    files: dict[str, FoundFile] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    unseen: set[str] = field(default_factory=set)
    unreached: set[str] = field(default_factory=set)
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

    def visit_far(self, url: str) -> None:
        """Takes what lies below an address; where nothing does, what was known there is kept."""
        try:
            found = list(remote.listed(url))
        except OSError as error:
            self.unseen.add(url)
            self.unreached.add(url)
            self.problem(url, f"cannot be listed ({error.strerror or error})")
            return
        if not found:
            self.empty.add(url)
            self.problem(url, "nothing has that name, or one below it")
        for name, told in found:
            if name != url and not is_video_name(name):
                continue
            path, top = path_of(name), path_of(url)
            if str(path) != name or ".." in path.parts:
                self.problem(name, "its name has empty or dotted parts: rename it")
            elif not any(part.startswith(".") for part in path.relative_to(top).parts):
                self.files[name] = FoundFile(
                    path=name, size_bytes=told.size_bytes, mtime_ns=told.modified_ns
                )

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
            if entry.is_symlink() and self.leads_out(entry.path):
                self.problem(entry.path, "a link that leads out of the folders that may be read")
                return
            if stat.S_ISDIR(status.st_mode):
                (self.links if entry.is_symlink() else waiting).append(entry.path)
            elif is_video_name(entry.name):
                self.take(entry.path, status)
        except OSError as error:
            self.lost(entry.path, error)

    def leads_out(self, path: str) -> bool:
        if self.within is None:
            return False
        real = Path(path).resolve()
        return not any(real.is_relative_to(folder) for folder in self.within)

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
        if error.errno not in (errno.ENOENT, errno.ENOTDIR) or _is_link(path):  # not deleted
            self.unreached.add(path)
        self.problem(path, reasons.get(error.errno or 0, os.strerror(error.errno or 0)))

    def problem(self, path: str, reason: str) -> None:
        self.problems.append(Problem(path=path, message=f"{path}: {reason}"))


def _identity(status: os.stat_result) -> _Identity:
    return status.st_dev, status.st_ino


def _is_link(path: SourcePath) -> bool:
    try:
        return stat.S_ISLNK(os.lstat(path).st_mode)
    except OSError:
        return False


def _links_in(path: str) -> int:
    """How many parts of a path are links: 0 for the real path."""
    return sum(_is_link(part) for part in (Path(path), *Path(path).parents))


def absolute(path: SourcePath) -> str:
    """The path from the root, without `..` and without following links: `a/../b` -> `/here/b`.

    An address is as it is, but for slashes at its end.
    """
    if is_url(path):
        return str(path_of(path))
    return os.path.normpath(Path(path).absolute())


def _is_below(path: str, folders: Collection[str]) -> bool:
    return any(str(above) in folders for above in path_of(path).parents)


def _stat(path: str) -> tuple[int, int]:
    if is_url(path):
        return remote.stat(path)
    status = Path(path).stat()
    return status.st_size, status.st_mtime_ns

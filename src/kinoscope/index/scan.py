"""Which video files lie in the folders of a library, and the identity of their content."""

import errno
import hashlib
import os
import queue
import stat
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from kinoscope.errors import MediaError, UsageError
from kinoscope.video import is_video_name

SourcePath = str | os.PathLike[str]
_Identity = tuple[int, int]  # (device, inode)

HASH_THREADS = 4
"""Files read at once to identify them: two keep two cores busy, four hide a disk's latency."""

_PIECE_BYTES = 2**20
_TICK_S = 0.1
_FAREWELL_S = 1.0  # a thread that waits for a dead disk cannot be ended; leave it behind


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

    Names with a leading dot (trash, thumbnails, `._film.mp4` of other systems) are passed over
    unless they are sources. Linked folders are followed, each folder once, real ones first (of the
    sources too), so loops end and a file keeps its path when a link to its folder appears. `skip`
    is the index. With `within`, links that lead out of these folders are problems.
    Never raises for what it finds: see `Found.problems`.
    """
    roots = sorted(absolute(source) for source in sources)
    walk = _Walk(within=None if within is None else [folder.resolve() for folder in within])
    if skip is not None and skip.exists():
        walk.entered.add(_identity(skip.stat()))
    for root in sorted(roots, key=_links_in):
        walk.visit_source(root)
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
    """The path from the root, without `..` and without following links: `a/../b` -> `/here/b`."""
    return os.path.normpath(Path(path).absolute())


def _is_below(path: str, folders: Collection[str]) -> bool:
    return any(str(above) in folders for above in Path(path).parents)


@dataclass(frozen=True, kw_only=True)
class ReadLimits:
    """When the reading of a file is given up, so that its content stays unknown.

    Attributes:
        stall_s: a disk that gives nothing for so long is stuck.
        base_s, bytes_per_s: a file may take `base_s + size / bytes_per_s`: a busy network disk.
        most_s: but never more; a sparse file can claim to be larger than all disks together.
    """

    stall_s: float = 60.0
    base_s: float = 120.0
    bytes_per_s: float = 5e6
    most_s: float = 2 * 3600.0

    def __post_init__(self) -> None:
        if not (self.stall_s > 0 and self.base_s > 0 and self.bytes_per_s > 0 and self.most_s > 0):
            raise UsageError(f"{self}: limits must be positive")

    def total_s(self, size_bytes: int) -> float:
        """How long the reading of a file may take."""
        return min(self.base_s + size_bytes / self.bytes_per_s, self.most_s)


def content_id(file: FoundFile, *, on_piece: Callable[[], None] | None = None) -> str:
    """BLAKE2b-128 of the whole content, in hex: the identity of a video under any name.

    `on_piece` is called after each piece, and may raise to end the reading.
    Raises `MediaError` with `missing` or `unreadable`, or with `changed` if the file is no longer
    the one that was found.
    """
    digest, piece = hashlib.blake2b(digest_size=16), memoryview(bytearray(_PIECE_BYTES))
    try:
        with Path(file.path).open("rb", buffering=0) as stream:
            while count := stream.readinto(piece):
                digest.update(piece[:count])
                if on_piece is not None:
                    on_piece()
    except FileNotFoundError:
        raise MediaError("missing", f"{file.path} vanished before it was read") from None
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise MediaError("unreadable", f"{file.path} cannot be read: {reason}") from None
    file.check_there()
    return digest.hexdigest()


def identify(
    files: Sequence[FoundFile], limits: ReadLimits = ReadLimits()
) -> Generator[tuple[FoundFile, str | MediaError], None, None]:
    """Yields each file with its `content_id` or why it has none, in the order they are done.

    To be closed if it is left early (Ctrl-C): reading then ends within a second, whatever the
    size of the files. A read that the system never ends is left behind in its thread.
    """
    waiting, under_way = deque(files), set[_Reading]()
    answers: queue.SimpleQueue[_Reading] = queue.SimpleQueue()
    clock_s, told_s = 0.0, time.monotonic()
    try:
        while waiting or under_way:
            while waiting and len(under_way) < HASH_THREADS:
                under_way.add(_Reading(waiting.popleft(), answers, clock_s))
            with suppress(queue.Empty):
                reading = answers.get(timeout=_TICK_S)
                if reading in under_way:  # not given up meanwhile
                    under_way.remove(reading)
                    assert reading.answer is not None, f"no answer for {reading.file.path}"
                    yield reading.file, reading.answer
            now_s = time.monotonic()
            # time in which this process was stopped (Ctrl-Z), or the caller was busy, is no stall
            clock_s, told_s = clock_s + min(now_s - told_s, 2 * _TICK_S), now_s
            for reading in list(under_way):
                if complaint := reading.overdue(clock_s, limits):
                    under_way.remove(reading)
                    reading.stopped.set()
                    yield reading.file, MediaError("timeout", complaint)
    finally:
        for reading in under_way:
            reading.stopped.set()
        deadline_s = time.monotonic() + _FAREWELL_S
        for reading in under_way:
            reading.thread.join(max(0.0, deadline_s - time.monotonic()))


class _Reading:
    """A file in work, and the thread that reads it; it puts itself into `answers` at the end."""

    def __init__(
        self, file: FoundFile, answers: "queue.SimpleQueue[_Reading]", clock_s: float
    ) -> None:
        self.file = file
        self.answer: str | MediaError | None = None
        self.stopped = threading.Event()
        self._pieces = self._seen_pieces = 0
        self._began_s = self._moved_s = clock_s
        # a daemon, because the end of the program must not wait for a dead disk
        self.thread = threading.Thread(target=self._read, args=(answers,), daemon=True)
        self.thread.start()

    def overdue(self, clock_s: float, limits: ReadLimits) -> str:
        """Why this reading must be given up, as a sentence; empty if it need not be."""
        if self._pieces > self._seen_pieces:
            self._seen_pieces, self._moved_s = self._pieces, clock_s
        if clock_s - self._moved_s > limits.stall_s:
            return f"{self.file.path} gave nothing for {limits.stall_s:.0f} s: gave up"
        most_s = limits.total_s(self.file.size_bytes)
        if clock_s - self._began_s > most_s:
            return f"{self.file.path} took over {most_s:.0f} s to read: gave up"
        return ""

    def _read(self, answers: "queue.SimpleQueue[_Reading]") -> None:
        try:
            self.answer = content_id(self.file, on_piece=self._count)
        except MediaError as error:
            self.answer = error
        finally:
            answers.put(self)

    def _count(self) -> None:
        self._pieces += 1
        if self.stopped.is_set():
            raise MediaError("timeout", f"{self.file.path} was not read to its end")

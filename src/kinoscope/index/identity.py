"""The identity of a file: a hash of its whole content, read with limits on a stuck disk."""

import hashlib
import io
import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from kinoscope.addresses import is_url
from kinoscope.errors import MediaError, UsageError
from kinoscope.index.scan import FoundFile
from kinoscope.video import remote

HASH_THREADS = 4
"""Files read at once to identify them: two keep two cores busy, four hide a disk's latency."""

_PIECE_BYTES = 2**20
_TICK_S = 0.1
_FAREWELL_S = 1.0  # a thread that waits for a dead disk cannot be ended; leave it behind


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
    left_bytes = file.size_bytes
    try:
        with _opened(file.path) as stream:
            while left_bytes >= 0 and (count := stream.readinto(piece)):
                left_bytes -= count
                digest.update(piece[:count])
                if on_piece is not None:
                    on_piece()
    except FileNotFoundError:
        raise MediaError("missing", f"{file.path} vanished before it was read") from None
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error.strerror or error)
        raise MediaError("unreadable", f"{file.path} cannot be read: {reason}") from None
    file.check_there()
    return digest.hexdigest()


def _opened(path: str) -> "io.FileIO | remote.FarFile":
    return remote.open_far(path) if is_url(path) else Path(path).open("rb", buffering=0)


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

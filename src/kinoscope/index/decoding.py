"""A pool of decoding processes: a crash, hang or memory bomb in one file costs that file only."""

import contextlib
import fcntl
import os
import queue
import select
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from kinoscope.addresses import path_of
from kinoscope.errors import MediaFault, SetupError, UsageError
from kinoscope.index.messages import Message, read_message
from kinoscope.index.worker import Decode, DecodeRequest, decode_file, encode_request
from kinoscope.types import Frames
from kinoscope.video import DecodeReport, VideoInfo

_PROGRAM = "from kinoscope.index.worker import main; main()"
_PIPE_BYTES = 2**20
# Bounds memory: when there is no more room, workers wait. So many that a worker goes on decoding
# while the model looks at 32 frames; 6.5 MB a worker at 4 frames of 260 px.
_INBOX_MESSAGES = 8
_LOST_STARTS = 5  # in a row: what the system kills so often while it starts, it will not let start
_DYING_S = 1.0  # between the end of a process's messages and its own
_FAREWELL_S = 5.0  # a process that waits for a dead disk cannot be killed; leave it behind


@dataclass(frozen=True, kw_only=True)
class WorkerLimits:
    """When a decoding process is given up.

    Attributes:
        stall_s: a worker that gives nothing for so long is stuck.
        base_s, factor: a file may keep a worker busy for `base_s + factor * duration`, of which
            the declared one counts, or what was decoded if that is more or nothing is declared.
            Time in which the worker waits for its frames to be taken counts for neither limit.
        memory_bytes: address space of a worker; 4 GiB hold 8K video with its reference frames.
    """

    stall_s: float = 60.0
    base_s: float = 120.0
    factor: float = 4.0
    memory_bytes: int = 4 * 2**30

    def __post_init__(self) -> None:
        if not (self.stall_s > 0 and self.base_s > 0 and self.factor >= 0):
            raise UsageError(f"{self}: times must be positive")
        if self.memory_bytes < 2**28:
            raise UsageError(f"memory_bytes {self.memory_bytes}: a worker needs 256 MiB at least")


@dataclass(frozen=True)
class Opened:
    """A file is open; what its container declares."""

    request: DecodeRequest
    info: VideoInfo


@dataclass(frozen=True)
class Chunk:
    """The next frames of a file, in time order."""

    request: DecodeRequest
    frames: Frames


@dataclass(frozen=True)
class Finished:
    """A file is read to its end, unchanged; `cpu_s` is what its decoding cost."""

    request: DecodeRequest
    report: DecodeReport
    cpu_s: float


@dataclass(frozen=True)
class Failed:
    """A file gives no vectors: drop what came of it. `message` is a sentence with its path."""

    request: DecodeRequest
    fault: MediaFault
    message: str
    cpu_s: float = 0.0


Event = Opened | Chunk | Finished | Failed


class DecodePool:
    """Decodes files in parallel; to be used in a `with` statement, which ends all processes.

    The processes are started once and fed with many files. They end when this one does, however
    it ends, because their stdin does.
    """

    def __init__(
        self,
        workers: int,
        limits: WorkerLimits = WorkerLimits(),
        *,
        decode: Decode = decode_file,
        pictures: bool = False,
    ) -> None:
        """`decode` is a module-level function that the processes import and call.

        With `pictures` a file may give one frame without having been opened as a video.
        """
        assert workers >= 1, workers
        self._count = workers
        self._limits = limits
        self._decode, self._pictures = decode, pictures
        self._workers: list[_Worker] = []
        self._dismissed: list[_Worker] = []
        self._lost_starts = 0
        self._inbox: _Inbox = queue.Queue(_INBOX_MESSAGES * workers)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for worker in list(self._workers):
            self._dismiss(worker)
        deadline_s = time.monotonic() + _FAREWELL_S
        while self._dismissed and time.monotonic() < deadline_s:
            self._dismissed = [worker for worker in self._dismissed if not worker.has_ended()]
            with contextlib.suppress(queue.Empty):  # a thread may wait for room
                self._inbox.get(timeout=0.01)

    def run(self, waiting: deque[DecodeRequest]) -> Generator[Event, None, None]:
        """Yields what happens, files interleaved; each request ends in one Finished or Failed.

        Takes requests from the left; the caller may append some meanwhile.
        Raises `SetupError` if a process cannot even start; one that the system kills meanwhile,
        as for memory, is replaced, so often as `_LOST_STARTS` says.
        """
        self._feed(waiting)
        while any(worker.request for worker in self._workers) or waiting:
            yield from self._receive()
            yield from self._give_up_stuck()
            self._feed(waiting)

    def _receive(self) -> Iterator[Event]:
        try:
            worker, message = self._inbox.get(timeout=self._limits.stall_s / 8)
        except queue.Empty:
            return
        if worker not in self._workers:  # dismissed meanwhile
            return
        if message is None:
            yield from self._bury(worker)
        elif message[0]["kind"] == "ready":
            worker.ready, self._lost_starts = True, 0
        elif message[0]["kind"] == "dying":
            worker.last_words = f": {message[0]['reason']}"
        elif not worker.may_say(*message):  # some film has taken it over
            yield from self._bury(worker)
        else:
            yield worker.understand(*message)

    def _give_up_stuck(self) -> Iterator[Event]:
        for worker in list(self._workers):
            if complaint := worker.overdue():
                assert worker.request is not None
                self._dismiss(worker)
                yield Failed(worker.request, "timeout", complaint, worker.busy_s)

    def _feed(self, waiting: deque[DecodeRequest]) -> None:
        """Gives each free worker a file; replaces lost workers as long as there are files."""
        for worker in self._workers:
            if waiting and worker.is_free:
                worker.take(waiting.popleft())
        starting = sum(not worker.ready for worker in self._workers)
        for _ in range(min(self._count - len(self._workers), len(waiting) - starting)):
            self._workers.append(
                _Worker(self._limits, self._decode, self._inbox, pictures=self._pictures)
            )

    def _dismiss(self, worker: "_Worker") -> None:
        worker.process.kill()
        self._workers.remove(worker)
        self._dismissed.append(worker)

    def _bury(self, worker: "_Worker") -> Iterator[Event]:
        with contextlib.suppress(subprocess.TimeoutExpired):  # one that wrote nonsense lives on
            worker.process.wait(_DYING_S)
        self._dismiss(worker)
        died = _describe_end(worker.process.wait()) + worker.last_words
        if not worker.ready:
            self._lost_starts += 1
            if worker.process.returncode != -signal.SIGKILL:
                raise SetupError(f"a decoding process cannot start ({died}): its message is above")
            if self._lost_starts > _LOST_STARTS:
                raise SetupError(
                    f"the system killed {self._lost_starts} decoding processes in a row while they"
                    " started: is there memory for them?"
                )
        if worker.request is not None:
            path = worker.request.file.path
            yield Failed(worker.request, "crashed", f"{path} ended its decoding process ({died})")


_Inbox = queue.Queue[tuple["_Worker", Message | None]]


class _Worker:
    """One process, and the thread that reads its messages into the inbox; None when it ends."""

    def __init__(
        self, limits: WorkerLimits, decode: Decode, inbox: _Inbox, *, pictures: bool
    ) -> None:
        assert decode.__module__ != "__main__", "workers cannot import a function of the script"
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-P", "-c", _PROGRAM),  # -P: no modules of the current folder
                *(f"{decode.__module__}:{decode.__qualname__}", str(limits.memory_bytes)),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=_environment(),
            process_group=0,  # Ctrl-C is for the parent, which then ends its workers
        )
        _widen(self.process.stdout)
        self.ready = False
        self.last_words = ""
        self.request: DecodeRequest | None = None
        self.busy_s = 0.0
        self._limits, self._pictures = limits, pictures
        self._film_s = 0.0
        self._opened = False
        self._last: Frames | None = None
        self._taken_s = 0.0
        self._reading_since_s: float | None = None
        self._thread = threading.Thread(target=self._read_all, args=(inbox,), daemon=True)
        self._thread.start()

    @property
    def is_free(self) -> bool:
        return self.ready and self.request is None

    def take(self, request: DecodeRequest) -> None:
        """Starts on a file."""
        assert self.process.stdin is not None
        self.request, self.busy_s, self._taken_s = request, 0.0, time.monotonic()
        self._film_s, self._opened, self._last = 0.0, False, None
        with contextlib.suppress(BrokenPipeError):  # it just died: the thread will say so
            self.process.stdin.write(encode_request(request))
            self.process.stdin.flush()

    def may_say(self, header: dict[str, Any], frames: Frames | None) -> bool:
        """Whether it is time for this: a file is asked for, opened, shown in order, then ended."""
        if self.request is None:
            return False
        match header["kind"]:
            case "opened":
                return not self._opened and self._last is None
            case "frames":
                return frames is not None and self._may_show(frames) and self._goes_on(frames)
            case "finished":
                return self._last is not None
            case kind:
                return bool(kind == "failed")

    def _may_show(self, frames: Frames) -> bool:
        """Whether a video was opened, or this is all of a picture."""
        return self._opened or (self._pictures and self._last is None and len(frames) == 1)

    def _goes_on(self, frames: Frames) -> bool:
        """Whether frames are as large as those before, and later."""
        last, self._last = self._last, frames
        if last is None:
            return len(frames) > 0
        same = last.rgb_FHWC.shape[1:] == frames.rgb_FHWC.shape[1:]
        return same and len(frames) > 0 and bool(frames.times_F[0] > last.times_F[-1])

    def understand(self, header: dict[str, Any], frames: Frames | None) -> Event:
        """A message as what it means for the file in work."""
        request = self.request
        assert request is not None, header
        match header["kind"]:
            case "opened":
                self._opened = True
                info = VideoInfo(**{**header["info"], "path": path_of(request.file.path)})
                self._film_s = info.declared_duration_s or 0.0
                return Opened(request, info)
            case "frames":
                assert frames is not None
                self._film_s = max(self._film_s, *frames.times_F.tolist())
                return Chunk(request, frames)
            case "finished":
                self.request = None
                return Finished(request, DecodeReport(**header["report"]), header["cpu_s"])
            case _:
                self.request = None
                return Failed(request, header["fault"], header["message"], header["cpu_s"])

    def overdue(self) -> str:
        """Why this worker must be given up, as a sentence; empty if it need not be."""
        since_s = self._reading_since_s
        if self.request is None or since_s is None or self._has_news():
            return ""
        silent_s = time.monotonic() - max(since_s, self._taken_s)
        if silent_s > self._limits.stall_s:
            return f"{self.request.file.path} gave nothing for {silent_s:.0f} s: gave up"
        limit_s = self._limits.base_s + self._limits.factor * self._film_s
        if self.busy_s + silent_s > limit_s:
            return f"{self.request.file.path} took over {limit_s:.0f} s to decode: gave up"
        return ""

    def _has_news(self) -> bool:
        """Whether a message waits, as after this process was stopped (Ctrl-Z) and goes on."""
        assert self.process.stdout is not None
        poll = select.poll()
        poll.register(self.process.stdout, select.POLLIN)
        return bool(poll.poll(0))

    def has_ended(self) -> bool:
        """Frees a killed process; False while the system still holds it, e.g. for a dead disk."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        if self.process.poll() is None or self._thread.is_alive():
            return False
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.stdout.close()
        return True

    def _read_all(self, inbox: _Inbox) -> None:
        stream = self.process.stdout
        assert stream is not None
        message: Message | None = ({}, None)
        while message is not None:
            self._reading_since_s = time.monotonic()
            message = read_message(stream)
            self.busy_s += time.monotonic() - max(self._reading_since_s, self._taken_s)
            self._reading_since_s = None
            inbox.put((self, message))


def _environment() -> dict[str, str]:
    """The worker imports what this process imports; it needs no threads for matrices."""
    path = os.pathsep.join(str(Path(folder).absolute()) for folder in sys.path)
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def _widen(pipe: IO[bytes] | None) -> None:
    """More room for frames; the default size does where the system grants a user no more."""
    if pipe is not None and hasattr(fcntl, "F_SETPIPE_SZ"):  # Linux
        with contextlib.suppress(OSError):
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)


def _describe_end(code: int) -> str:
    """-11 -> `signal SIGSEGV`; 1 -> `exit code 1`."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"

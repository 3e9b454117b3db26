"""Frames of many videos of a source, decoded or rendered by worker processes, as they get ready."""

import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from kinoscope.clips import Cut
from kinoscope.errors import MediaError, MediaFault, SetupError
from kinoscope.index.decoding import Chunk, DecodePool, Failed, Finished
from kinoscope.index.scan import FoundFile
from kinoscope.index.worker import DecodeRequest
from kinoscope.sampling import SamplingConfig
from kinoscope.types import Frames, Span

Wanted = tuple[int, Span | None]
"""A video's number, and a span or None for all of it."""


class Gives(Protocol):
    """The part of a `Source` that gives frames by number."""

    def file(self, number: int) -> AbstractContextManager[Path] | None:
        """The video as a file while the context lasts; None for one that is made, not read."""

    def frames(self, number: int, sampling: SamplingConfig, span: Span | None = None) -> Frames:
        """Of the video, or of a span of it; `MediaError` for a broken file."""


@dataclass(frozen=True)
class Failure:
    """Why a video gave no frames."""

    fault: MediaFault
    message: str


Result = tuple[Wanted, Frames | Failure]


def decoded(
    source: Gives, wanted: Sequence[Wanted], sampling: SamplingConfig, workers: int
) -> Generator[Result, None, None]:
    """Each item once, in the order in which they get ready; few are in memory at a time.

    Files are decoded as for an index: one that crashes, hangs or exhausts its worker fails alone.
    Raises `SetupError` if no worker can work.
    """
    if not wanted:
        return
    workers = min(workers, len(wanted))
    if source.file(wanted[0][0]) is None:
        yield from _made(source, wanted, sampling, workers)
    else:
        yield from _read(source, wanted, sampling, workers)


@dataclass
class _Job:
    """A file in work: closing `resources` lets a temporary copy go."""

    wanted: Wanted
    cut: Cut
    resources: ExitStack


def _read(
    source: Gives, wanted: Sequence[Wanted], sampling: SamplingConfig, workers: int
) -> Iterator[Result]:
    rest, queue = deque(wanted), deque[DecodeRequest]()
    jobs: dict[int, _Job] = {}

    def feed() -> Iterator[Result]:
        """So that each worker has a file, and another waits."""
        while rest and len(jobs) < 2 * workers:
            item = rest.popleft()
            resources = ExitStack()
            try:
                path = resources.enter_context(_file(source, item[0]))
                request = DecodeRequest(file=_found(path), sampling=sampling)
            except MediaError as error:
                resources.close()
                yield item, Failure(error.fault, str(error))
                continue
            jobs[id(request)] = _Job(item, Cut(sampling, item[1]), resources)
            queue.append(request)

    try:
        with DecodePool(workers) as pool:
            yield from feed()
            for event in pool.run(queue):
                job = jobs[id(event.request)]
                if isinstance(event, Chunk):
                    job.cut.add(event.frames)
                elif isinstance(event, Finished | Failed):
                    yield job.wanted, _end(job, event)
                    job.resources.close()
                    del jobs[id(event.request)]
                    yield from feed()
    finally:
        for job in jobs.values():
            job.resources.close()


def _end(job: _Job, event: Finished | Failed) -> Frames | Failure:
    if isinstance(event, Failed):
        return Failure(event.fault, event.message)
    try:
        return job.cut.frames(Path(event.request.file.path), event.report.end_s)
    except MediaError as error:
        return Failure(error.fault, str(error))


def _file(source: Gives, number: int) -> AbstractContextManager[Path]:
    found = source.file(number)
    assert found is not None, "a source of files and of none"
    return found


def _found(path: Path) -> FoundFile:
    try:
        status = path.stat()
    except OSError as error:
        raise MediaError("missing", f"{path} is gone ({error.strerror}): put it back") from None
    return FoundFile(
        path=str(path.absolute()), size_bytes=status.st_size, mtime_ns=status.st_mtime_ns
    )


def _made(
    source: Gives, wanted: Sequence[Wanted], sampling: SamplingConfig, workers: int
) -> Iterator[Result]:
    rest = deque(wanted)
    running: dict[Future[Frames], Wanted] = {}
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        workers, mp_context=context, initializer=_start, initargs=(source, sampling)
    ) as pool:
        try:
            while rest or running:
                while rest and len(running) < 2 * workers:
                    item = rest.popleft()
                    running[pool.submit(_make, *item)] = item
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    yield running.pop(future), future.result()
        except BrokenProcessPool as error:
            raise SetupError(f"a rendering process died ({error}): its message is above") from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


class _Here:
    """What a rendering process has been given."""

    source: Gives
    sampling: SamplingConfig


def _start(source: Gives, sampling: SamplingConfig) -> None:
    _Here.source, _Here.sampling = source, sampling
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=_follow, args=(parent,), daemon=True).start()


def _follow(parent: "multiprocessing.process.BaseProcess") -> None:
    """A killed parent cannot end its workers."""
    parent.join()
    os._exit(1)


def _make(number: int, span: Span | None) -> Frames:
    return _Here.source.frames(number, _Here.sampling, span)

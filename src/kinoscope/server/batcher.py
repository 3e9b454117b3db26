"""Queries of many clients through the model together: collected for a few milliseconds."""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from kinoscope.documents import Document
from kinoscope.errors import KinoscopeError
from kinoscope.query import Encode
from kinoscope.server.faults import Busy
from kinoscope.types import Float32


@dataclass(frozen=True, eq=False)
class _Job:
    documents: list[Document]
    vectors: "Future[Float32]" = field(default_factory=Future)
    began_s: float = field(default_factory=time.monotonic)


class Batcher:
    """An `Encode` for any number of threads; each waits for the vectors of its own queries.

    Vectors are those of the queries alone, for no batch changes a vector.
    """

    def __init__(
        self,
        encode: Encode,
        *,
        wait_s: float,
        most: int,
        room: int,
        waited: Callable[[float], None] | None = None,
    ) -> None:
        """Collects for `wait_s`, or until `most` queries are there; `room` is how many may wait.

        `waited` is told how many seconds each call waited for the model.
        """
        self._encode, self._wait_s, self._most, self._room = encode, wait_s, most, room
        self._waited = waited
        self._jobs: deque[_Job] = deque()
        self._waiting = 0
        self._changed = threading.Condition()
        self._closed = False
        self._model = ThreadPoolExecutor(1, thread_name_prefix="model")  # it keeps what is raised
        self._thread = threading.Thread(target=self._work, name="batcher", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Queries that wait for the model."""
        return self._waiting

    def __call__(self, documents: Sequence[Document]) -> Float32:
        """Unit vectors [N, D]. Raises `Busy` where there is no room, else as `encode`."""
        if not documents:
            return self._encode([])
        job = _Job(list(documents))
        with self._changed:
            if self._closed or self._waiting + len(documents) > self._room:
                raise Busy(f"{self._waiting} queries wait for the model: come back in a second")
            self._jobs.append(job)
            self._waiting += len(documents)
            self._changed.notify()
        return job.vectors.result()

    def close(self) -> None:
        """Answers what is waiting, and then nothing more."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()
        self._model.shutdown()

    def _work(self) -> None:
        while jobs := self._collect():
            self._answer(jobs)

    def _collect(self) -> list[_Job]:
        """What has come in time; at least one, unless the batcher is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._jobs or self._closed)
            if not self._jobs:
                return []
            end_s = self._jobs[0].began_s + self._wait_s
            while self._waiting < self._most and not self._closed:
                left_s = end_s - time.monotonic()
                if left_s <= 0 or not self._changed.wait(left_s):
                    break
            taken = [self._jobs.popleft()]
            count = len(taken[0].documents)
            while self._jobs and count + len(self._jobs[0].documents) <= self._most:
                taken.append(self._jobs.popleft())
                count += len(taken[-1].documents)
            self._waiting -= count
        return taken

    def _answer(self, jobs: list[_Job]) -> None:
        """One call for all; where that fails, each alone, so that only the culprit is told."""
        documents = [document for job in jobs for document in job.documents]
        now_s = time.monotonic()
        if self._waited is not None:
            for job in jobs:
                self._waited(now_s - job.began_s)
        call = self._model.submit(self._encode, documents)
        error = call.exception()
        if error is None:
            vectors_ND, first = call.result(), 0
            for job in jobs:
                behind = first + len(job.documents)
                job.vectors.set_result(vectors_ND[first:behind])
                first = behind
        elif len(jobs) == 1 or not isinstance(error, KinoscopeError):
            for job in jobs:
                job.vectors.set_exception(error)
        else:
            for job in jobs:
                self._answer([job])

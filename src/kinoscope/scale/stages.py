"""What runs on the nodes of a cluster: a file is identified, decoded, and looked at by a model."""

import logging
import queue
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext
from dataclasses import dataclass
from typing import Any

from kinoscope import libraries
from kinoscope.addresses import is_url
from kinoscope.embedder import Embedder
from kinoscope.errors import KinoscopeError, MediaError, MediaFault
from kinoscope.index.crew import Outcome, Viewing, Watched
from kinoscope.index.decoding import DecodePool, Event, WorkerLimits
from kinoscope.index.films import Film
from kinoscope.index.identity import ReadLimits, identify
from kinoscope.index.options import BuildOptions
from kinoscope.index.progress import Stopwatch
from kinoscope.index.scan import FoundFile
from kinoscope.index.worker import Decode, DecodeRequest, decode_file
from kinoscope.scale.cluster import CLUSTER
from kinoscope.types import ClipEmbeddings, EmbedderSpec
from kinoscope.video import DecodeReport, VideoInfo, remote

log = logging.getLogger(__name__)

MOST_ATTEMPTS = 3
"""A film that ended so many processes is not tried again."""

AHEAD = 4
"""Messages of a decoding process that lie ready for the model: 3 MB at 4 frames of 260 px."""


@dataclass(frozen=True)
class Identified:
    """A file, and its `content_id` or why it has none."""

    file: FoundFile
    answer: str | MediaError


@dataclass(frozen=True)
class Refused:
    """Why a process cannot work at all; the run ends with it."""

    error: KinoscopeError


def identified(file: FoundFile, limits: ReadLimits) -> Identified | Refused:
    """Reads a file on the node that it is called on."""
    try:
        if is_url(file.path):
            remote.storage_of(file.path)
    except KinoscopeError as error:  # this node lacks a package
        return Refused(error)
    with closing(identify([file], limits)) as answers:
        return next(Identified(*found) for found in answers)


class Attempts:
    """Counts how often work on a film began and did not end: its process was killed, or died."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()

    def lost(self, path: str) -> int:
        """How many attempts there were."""
        return self._open[path]

    def begin(self, path: str) -> None:
        """Counts one."""
        self._open[path] += 1

    def end(self, path: str) -> None:
        """Forgets them: the film has an outcome."""
        self._open.pop(path, None)


def begun(ray: Any) -> Any:
    """An actor that counts; where its node is lost, another goes on from nothing."""
    actor = ray.remote(Attempts).options(num_cpus=0, max_restarts=-1, max_task_retries=-1)
    return actor.remote()


class Decoder:
    """An actor with one decoding process, which a film may crash without ending the actor."""

    def __init__(self, limits: WorkerLimits, decode: Decode) -> None:
        self._pool = DecodePool(1, limits, decode=decode)

    def events(self, request: DecodeRequest) -> Iterator[Event]:
        """What happens to one file; frames wait here until the model has taken those before."""
        yield from self._pool.run(deque([request]))


@dataclass(frozen=True, kw_only=True)
class Job:
    """What a process with a model must know.

    Attributes:
        load: makes the embedder.
        spec: what that embedder must be.
        options: limits of decoding.
        decoders: decoding processes to be had by each model.
        attempts: handle of `Attempts`.
        decode: what decoding processes run.
    """

    load: Callable[[], Embedder]
    spec: EmbedderSpec
    options: BuildOptions
    decoders: int
    attempts: Any
    decode: Decode = decode_file


@dataclass(frozen=True, kw_only=True)
class Told:
    """What came of a film: clips with what the decoder found, or a fault.

    `decode_s` and `vision_s` are processor seconds of all its processes, `frames` those looked at.
    """

    path: str
    info: VideoInfo | None = None
    clips: ClipEmbeddings | None = None
    report: DecodeReport | None = None
    frames: int = 0
    fault: MediaFault | None = None
    message: str = ""
    decode_s: float = 0.0
    vision_s: float = 0.0


class Watcher:
    """An actor that holds the model; several films at a time, one for each of its decoders."""

    def __init__(self, job: Job) -> None:
        self._job, self._ray = job, libraries.imported("ray", CLUSTER)
        self._refused: Refused | None = None
        self._free: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._suspects = threading.Lock()
        self._costs = _Costs()
        try:
            self._embedder = job.load()
            remedy = "install the same version and the same model on every node"
            self._embedder.spec.require_equal(job.spec, remedy=remedy)
        except KinoscopeError as error:
            self._refused = Refused(error)
            return
        for _ in range(job.decoders):
            self._free.put(self._new_decoder())

    def __call__(self, row: dict[str, Film]) -> dict[str, Told | Refused]:
        """One film of a dataset; called by as many threads as there are decoders."""
        try:
            return {"told": self._refused or self._told(row["film"])}
        except KinoscopeError as error:  # no model, no decoding process: so it is for all films
            return {"told": Refused(getattr(error, "cause", error))}

    def _told(self, film: Film) -> Told:
        """A film that was in work when a process died is looked at again when no other such is.

        So the one that did it is found out, and no other shares its fate.
        """
        path, attempts = film.files[0].path, self._job.attempts
        lost = self._ray.get(attempts.lost.remote(path))
        with self._suspects if lost else nullcontext():
            told = self._watched(film, lost)
        attempts.end.remote(path)
        return told

    def _watched(self, film: Film, lost: int) -> Told:
        errors, path = self._ray.exceptions, film.files[0].path
        decoder = self._free.get()
        try:
            for _ in range(lost, MOST_ATTEMPTS):
                self._ray.get(self._job.attempts.begin.remote(path))
                costs = Stopwatch()
                try:
                    outcome = self._outcome(Film(film.video_id, film.files), decoder, costs)
                except errors.RayTaskError:  # not lost: a mistake of ours, or no process can start
                    raise
                except errors.RayError as error:
                    log.warning("a decoder was lost at %s: %s", path, error)
                    self._ray.kill(decoder)
                    decoder = self._new_decoder()
                    continue
                decode_s = costs.costs("decode")["decode"].cpu_s
                return _told_of(outcome, decode_s=decode_s, vision_s=self._costs.since_last())
        finally:
            self._free.put(decoder)
        message = f"{path} ended the process that looked at it, {MOST_ATTEMPTS} times"
        return Told(path=path, fault="crashed", message=message)

    def _new_decoder(self) -> Any:
        actor = self._ray.remote(Decoder).options(num_cpus=1)
        return actor.remote(self._job.options.worker_limits, self._job.decode)

    def _outcome(self, film: Film, decoder: Any, costs: Stopwatch) -> Outcome:
        viewing = Viewing(self._embedder, self._job.options, costs)
        request = viewing.begin(film)
        ahead = {"num_returns": "streaming", "_generator_backpressure_num_objects": AHEAD}
        for reference in decoder.events.options(**ahead).remote(request):
            if outcome := viewing.handle(self._ray.get(reference)):
                return outcome
        raise AssertionError(f"{request.file.path} has no end")


class _Costs:
    """Processor time of this process, each second told once, whichever thread asks."""

    def __init__(self) -> None:
        self._lock, self._told_s = threading.Lock(), time.process_time()

    def since_last(self) -> float:
        with self._lock:
            before_s, self._told_s = self._told_s, time.process_time()
            return self._told_s - before_s


def _told_of(outcome: Outcome, *, decode_s: float, vision_s: float) -> Told:
    path = outcome.film.files[0].path
    if isinstance(outcome, Watched):
        return Told(
            path=path,
            info=outcome.film.info,
            clips=outcome.clips,
            report=outcome.report,
            frames=outcome.film.seen_frames,
            decode_s=decode_s,
            vision_s=vision_s,
        )
    return Told(
        path=path,
        fault=outcome.fault,
        message=outcome.message,
        decode_s=decode_s,
        vision_s=vision_s,
    )

"""How an index is built: limits and sizes, none of which changes a vector."""

from dataclasses import dataclass, field
from pathlib import Path

from kinoscope.errors import UsageError
from kinoscope.index.decoding import WorkerLimits
from kinoscope.index.identity import ReadLimits
from kinoscope.video import DecodeLimits

MAX_WORKERS, MAX_THREADS = 16, 8

MOST_WORKERS = 64
"""That anybody may ask for on one machine: each holds a pipe, a thread, the memory of a video."""


@dataclass(frozen=True, kw_only=True)
class BuildOptions:
    """How an index is built; nothing here changes a vector.

    Attributes:
        workers: decoding processes; None takes one a core, up to 16. Never more than files.
        retry: try files in quarantine again.
        commit_every_s, commit_videos: a commit comes after so many seconds or videos.
        decode_limits: bounds on the pictures that are accepted.
        worker_limits: when a decoding process is given up.
        read_limits: when the reading of a file, to identify it, is given up.
        within: links that lead out of these folders are not followed; None follows all.
    """

    workers: int | None = None
    retry: bool = False
    commit_every_s: float = 20.0
    commit_videos: int = 64
    decode_limits: DecodeLimits = field(default_factory=DecodeLimits)
    worker_limits: WorkerLimits = field(default_factory=WorkerLimits)
    read_limits: ReadLimits = field(default_factory=ReadLimits)
    within: tuple[Path, ...] | None = None

    def __post_init__(self) -> None:
        if self.workers is not None and not 1 <= self.workers <= MOST_WORKERS:
            raise UsageError(f"workers {self.workers}: need 1 to {MOST_WORKERS}")
        if not self.commit_every_s >= 0 or self.commit_videos < 1:
            raise UsageError(
                f"commit every {self.commit_every_s} s or {self.commit_videos} videos: "
                "need at least 0 s and 1 video"
            )


def share_cores(cores: int, films: int, workers: int | None = None) -> tuple[int, int]:
    """Decoding processes, and decoder threads in each: (4 cores, 100 films) -> 4, 1.

    On two cores, with the model at work beside them, 100 short clips were indexed 1.2 times as
    fast by two workers as by one or three; one long film 1.2 times as fast by two threads as by
    one. Above the caps, the model in this process is the bottleneck, and threads fill memory.
    """
    workers = min(workers or min(cores, MAX_WORKERS), max(films, 1))
    return workers, max(1, min(cores // workers, MAX_THREADS))

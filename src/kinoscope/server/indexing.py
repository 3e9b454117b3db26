"""Indexing on behalf of clients: one run at a time, in a thread, below the roots alone."""

import logging
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from subprocess import Popen
from typing import Literal

from kinoscope.addresses import Where
from kinoscope.embedder import Embedder
from kinoscope.errors import IndexFault, KinoscopeError, UsageError
from kinoscope.index.build import BuildOptions
from kinoscope.index.handle import Index
from kinoscope.index.progress import BuildReport, Progress
from kinoscope.server.faults import Conflict, Forbidden

log = logging.getLogger(__name__)

State = Literal["idle", "running", "done", "stopped", "failed"]


@dataclass(frozen=True, kw_only=True)
class IndexingStatus:
    """How far the last run is; `message` says how it ended, `run` counts runs."""

    state: State = "idle"
    run: int = 0
    folders: tuple[str, ...] = ()
    stage: str = ""
    files_done: int = 0
    files_total: int = 0
    failed: int = 0
    eta_s: float | None = None
    message: str = ""


class Indexing:
    """Runs on one index. Safe for several threads."""

    def __init__(self, where: Where, embedder: Embedder, roots: Sequence[Path]) -> None:
        self._where, self._embedder = where, embedder
        self._roots = tuple(root.resolve() for root in roots)
        self._lock = threading.Lock()
        self._status = IndexingStatus()
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._optimising: Popen[bytes] | None = None  # held, so that it is not a zombie for long

    @property
    def status(self) -> IndexingStatus:
        """Of the last run."""
        return self._status

    @property
    def roots(self) -> tuple[Path, ...]:
        """Folders below which clients may have folders indexed."""
        return self._roots

    def start(self, folder: Path | None) -> IndexingStatus:
        """Begins a run over a folder, or over all that is watched.

        Raises `Forbidden` for one that is not below a root, links followed, or is not there;
        `Conflict` while a run is at work.
        """
        wanted = () if folder is None else (self._allowed(folder),)
        if not self._roots:
            raise Forbidden("this server indexes nothing for clients: start it with --root FOLDER")
        with self._lock:
            if self._thread is not None and self._thread.is_alive():
                raise Conflict("a run is at work already: wait for it, or stop it")
            self._stop.clear()
            self._status = IndexingStatus(
                state="running", run=self._status.run + 1, folders=tuple(map(str, wanted))
            )
            self._thread = threading.Thread(
                target=self._run, args=(wanted,), name="indexing", daemon=True
            )
            self._thread.start()
            return self._status

    def stop(self, timeout_s: float | None = 0.0) -> None:
        """Ends a run as Ctrl-C does: what is finished is kept. Waits so long for its end."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout_s)

    def remove(self, paths: Sequence[str]) -> int:
        """Forgets files; returns how many. `Conflict` while a run is at work."""
        if self._status.state == "running":
            raise Conflict("a run is at work: wait for it, or stop it")
        return Index.open(self._where, self._embedder).remove(*paths)

    def _allowed(self, folder: Path) -> Path:
        """The real folder; says no more than that it is not allowed, if it is not there."""
        refusal = Forbidden(f"{folder} is no folder below those that this server was started with")
        try:
            real = folder.resolve(strict=True) if folder.is_absolute() else None
        except (OSError, ValueError, RuntimeError):
            raise refusal from None
        below = real is not None and any(real.is_relative_to(root) for root in self._roots)
        if real is None or not below or not real.is_dir():
            raise refusal
        return real

    def _run(self, folders: tuple[Path, ...]) -> None:
        try:
            index = Index.open(self._where, self._embedder)
            watched = tuple(path.resolve() for path in index.store.sources())
            options = BuildOptions(within=(*self._roots, *watched))
            report = index.add(*folders, options=options, progress=self._tell)
            self._end("done", _told(report))
            self._optimise(index)
        except KeyboardInterrupt:
            self._end("stopped", "stopped: what was finished is kept")
        except (KinoscopeError, UsageError) as error:
            self._end("failed", str(error))
        finally:
            if self._status.state == "running":  # a fault of ours, which the log tells
                self._end("failed", "the run ended by a fault of the server: see its log")

    def _optimise(self, index: Index) -> None:
        """In a process of its own: readers here notice what it did, and wait for nothing."""
        try:
            self._optimising = index.optimise_later()
        except IndexFault as error:
            log.warning("not optimised: %s", error)

    def _tell(self, progress: Progress) -> None:
        if self._stop.is_set():
            raise KeyboardInterrupt  # the run keeps what it has, as for Ctrl-C
        values = asdict(progress)
        names = ("stage", "files_done", "files_total", "failed", "eta_s")
        self._status = replace(self._status, **{name: values[name] for name in names})

    def _end(self, state: State, message: str) -> None:
        self._status = replace(self._status, state=state, message=message, eta_s=None)


def _told(report: BuildReport) -> str:
    """One sentence: what was done, what failed, what could not be looked at."""
    first = str(report).splitlines()[0]
    told = [failure.message for failure in report.failures[:3]] + list(report.problems[:3])
    return "; ".join([first, *told])

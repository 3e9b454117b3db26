"""All parts of a server, made together and closed together."""

import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from kinoscope.backbones.mllm import MLLM
from kinoscope.documents import Document
from kinoscope.index.decoding import WorkerLimits
from kinoscope.index.handle import Index
from kinoscope.matcher import Matcher
from kinoscope.packages import cache_folder
from kinoscope.query import Encode
from kinoscope.server.batcher import Batcher
from kinoscope.server.cache import Cache
from kinoscope.server.config import ServeConfig, ServeLimits
from kinoscope.server.decoders import Decoders
from kinoscope.server.indexing import Indexing
from kinoscope.server.library import Library
from kinoscope.server.metrics import Metrics
from kinoscope.server.own import OwnFolder
from kinoscope.server.pictures import Pictures
from kinoscope.server.references import References
from kinoscope.server.remembered import Remembered
from kinoscope.server.turns import Turns
from kinoscope.server.uploads import Uploads
from kinoscope.types import Float32


@dataclass(frozen=True, kw_only=True)
class Service:
    """What routes work with; `name` is the model's, as clients call it."""

    config: ServeConfig
    library: Library
    name: str
    encode: Encode
    turns: Turns
    references: References
    pictures: Pictures
    uploads: Uploads
    indexing: Indexing
    metrics: Metrics
    matcher: Matcher | None
    questions: threading.BoundedSemaphore
    remembered: Remembered
    close: Callable[[], None]

    @classmethod
    def start(cls, index: Index, config: ServeConfig) -> "Service":
        """Loads the model and reads the index; to be closed.

        Raises as `Index.derived`, and `UsageError` for a calibration of another model.
        """
        with ExitStack() as parts:  # closed here only where something fails
            return cls._started(index, config, parts)

    @classmethod
    def _started(cls, index: Index, config: ServeConfig, parts: ExitStack) -> "Service":
        metrics, limits, embedder = Metrics(), config.limits, index.embedder
        matcher = None
        if config.calibration is not None or config.rerank or isinstance(embedder.backbone, MLLM):
            matcher = Matcher(embedder, config.calibration)
        library = Library(index)
        parts.callback(library.close)
        decoders, preparer = _decoders(limits, parts)
        shared = config.cache or cache_folder() / "served"
        own = OwnFolder(shared)
        parts.callback(own.close)
        uploads = Uploads(own.path, decoders, limits)
        batcher = _batcher(index, limits, metrics)
        parts.callback(batcher.close)
        turns = Turns(limits.turns, limits.turn_s, waited=partial(metrics.took, "turn"))
        parts.callback(turns.close)
        indexing = Indexing(library.where, embedder, config.roots)
        parts.callback(partial(indexing.stop, 30.0))
        cache = Cache(shared, limits.cache_bytes, drafts=own.path)
        _watch(metrics, library, batcher, turns)
        return cls(
            config=config,
            library=library,
            name=Path(index.spec.model).name,
            encode=batcher,
            turns=turns,
            references=References(decoders, uploads, metrics, embedder.sampling, limits.upload_s),
            pictures=Pictures(cache, decoders, preparer, metrics),
            uploads=uploads,
            indexing=indexing,
            metrics=metrics,
            matcher=matcher,
            questions=threading.BoundedSemaphore(limits.questions),
            remembered=Remembered(limits.answers),
            close=parts.pop_all().close,
        )


def _decoders(limits: ServeLimits, parts: ExitStack) -> tuple[Decoders, Decoders]:
    """For what is asked about, and one for previews, which take longer."""
    quick = WorkerLimits(
        stall_s=limits.decode_s / 2,
        base_s=limits.decode_s,
        factor=0.0,
        memory_bytes=limits.decode_bytes,
    )
    slow = WorkerLimits(
        stall_s=limits.decode_s / 2,
        base_s=limits.decode_s,
        factor=4.0,
        memory_bytes=limits.decode_bytes,
    )
    pools = (
        Decoders(limits.decoders, quick, busy_s=limits.busy_s),
        Decoders(1, slow, busy_s=limits.busy_s),
    )
    for pool in pools:
        parts.callback(pool.close)
    return pools


def _batcher(index: Index, limits: ServeLimits, metrics: Metrics) -> Batcher:
    embedder = index.embedder

    def encode(documents: Sequence[Document]) -> Float32:
        with metrics.stage("model"):
            return embedder.encode_query(documents)

    return Batcher(
        encode,
        wait_s=limits.batch_wait_s,
        most=limits.batch,
        room=limits.waiting,
        waited=partial(metrics.took, "queue"),
    )


def _watch(metrics: Metrics, library: Library, batcher: Batcher, turns: Turns) -> None:
    """Figures that are looked up when Prometheus asks."""

    def quarantined() -> float:
        return sum(row.state == "failed" for row in library.now.files())

    metrics.gauge("turn_requests", "Requests that wait for their turn.", lambda: turns.waiting)
    metrics.gauge("queue_queries", "Queries that wait for the model.", lambda: batcher.waiting)
    metrics.gauge("index_videos", "Videos in the index.", lambda: len(library.now.by_id))
    metrics.gauge(
        "index_clips",
        "Clips in the index.",
        lambda: len(library.now.derived().catalog.vectors_ND),
    )
    metrics.gauge("index_quarantined", "Files that could not be indexed.", quarantined)
    metrics.gauge(
        "index_stale", "1 while a newer state cannot be read.", lambda: bool(library.trouble)
    )

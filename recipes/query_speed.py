"""How long a query takes in large libraries, and what the 4-bit scan misses."""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import psutil

from kinoscope.embedder import Embedder
from kinoscope.evaluation.metrics import mean_with_interval
from kinoscope.evaluation.results import Metric, save_result
from kinoscope.heads import normalise
from kinoscope.index.derived import Derived
from kinoscope.index.handle import Index
from kinoscope.index.store import FileRow
from kinoscope.index.vectors import ExactSearcher
from kinoscope.retrieval import search
from kinoscope.types import ClipEmbeddings, Float32, Int64, Span

K = 10
CANDIDATES = 4 * K  # what `search` asks for first
CLIPS_A_VIDEO = 40  # one of them the whole video: 82 s, windows of 4 s every 2 s
VIDEOS_AT_ONCE = 500
MILLION_NEEDS_BYTES = 10 * 2**30

# 300 queries, each a sentence; 60 of the topics that documents are mixed from lie beside them
WHO = [
    "a dog",
    "two children",
    "an old man",
    "a woman in red",
    "a chef",
    "a horse",
    "a train",
    "a white car",
    "a cat",
    "a football team",
    "a bird",
    "a fisherman",
    "a crowd",
    "a robot",
    "a bride",
]
WHAT = [
    "running on a beach",
    "in falling snow",
    "crossing a bridge",
    "at night in a city",
    "near a window",
    "in a kitchen",
    "under water",
    "on a mountain",
    "beside a fire",
    "waiting in the rain",
    "seen from above",
    "turning around",
    "in a forest",
    "on a stage",
    "far away at sunset",
    "behind a fence",
    "in slow motion",
    "inside a tunnel",
    "with balloons",
    "on a dusty road",
]
TEXTS = tuple(f"{who} {what}" for who, what in product(WHO, WHAT))


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Milliseconds of each warm query: `full` with the text encoded, `given` with its vector,
    `scan` and `exact` of the nearest rows alone; `recall` of the scan for each query, and
    `plain_recall` of the textbook scan, whose codes are of the vectors as they are."""

    full_ms: Sequence[float]
    given_ms: Sequence[float]
    scan_ms: Sequence[float]
    exact_ms: Sequence[float]
    recall: Sequence[float]
    plain_recall: Sequence[float]


def main() -> None:
    """Measures 100 000 clips, 1 000 000 where memory allows; saves `results/query_speed.json`."""
    embedder = Embedder.load()
    small = measure(embedder, TEXTS, clips=100_000)
    metrics = {
        "p50_ms_100k": quantile(small.full_ms, 0.5),
        "p95_ms_100k": quantile(small.full_ms, 0.95),
        "p50_ms_100k_without_text": quantile(small.given_ms, 0.5),
        "scan_p50_ms_100k": quantile(small.scan_ms, 0.5),
        "exact_p50_ms_100k": quantile(small.exact_ms, 0.5),
        "recall_at_10": mean_with_interval(np.array(small.recall), TEXTS),
        "plain_scan_recall_at_10": mean_with_interval(np.array(small.plain_recall), TEXTS),
    }
    if psutil.virtual_memory().available > MILLION_NEEDS_BYTES:
        large = measure(embedder, TEXTS, clips=1_000_000)
        metrics |= {
            "p50_ms_1m": quantile(large.full_ms, 0.5),
            "p95_ms_1m": quantile(large.full_ms, 0.95),
            "scan_p50_ms_1m": quantile(large.scan_ms, 0.5),
            "exact_p50_ms_1m": quantile(large.exact_ms, 0.5),
            "recall_at_10_1m": mean_with_interval(np.array(large.recall), TEXTS),
            "plain_scan_recall_at_10_1m": mean_with_interval(np.array(large.plain_recall), TEXTS),
        }
    details = {
        "queries": len(TEXTS),
        "full": "encode the text, scan, rank again, drop overlaps; warm, one at a time",
        "clips": "made: see `library` in this recipe",
        "dimension": embedder.spec.dimension,
    }
    save_result("query_speed", metrics, details=details)
    for name, metric in metrics.items():
        print(f"{name:>26} {metric.value:.3f}")


def measure(embedder: Embedder, texts: Sequence[str], *, clips: int) -> Timing:
    """Builds a library through the real store and asks it everything."""
    with made_index(embedder, clips=clips) as index:
        derived = index.derived()
        queries_QD = embedder.encode_query(list(texts))
        exact = ExactSearcher(np.array(derived.catalog.vectors_ND))
        return Timing(
            full_ms=times_ms(lambda n: search(index, texts[n], k=K), len(texts)),
            given_ms=times_ms(lambda n: search(index, queries_QD[n], k=K), len(texts)),
            scan_ms=times_ms(
                lambda n: derived.searcher.top(queries_QD[[n]], CANDIDATES, derived.moment_N),
                len(texts),
            ),
            exact_ms=times_ms(
                lambda n: exact.top(queries_QD[[n]], CANDIDATES, derived.moment_N), len(texts)
            ),
            recall=recall_of_scan(derived, exact, queries_QD),
            plain_recall=recall_of_plain_scan(derived, exact, queries_QD),
        )


@contextmanager
def made_index(embedder: Embedder, *, clips: int) -> Iterator[Index]:
    """A `library` of so many clips in a real index, which is deleted afterwards."""
    with tempfile.TemporaryDirectory(prefix="kinoscope-") as folder:
        index = Index.open(Path(folder) / "index", embedder, create=True)
        with index.store.writing():
            for videos in library(embedder, clips // CLIPS_A_VIDEO):
                rows = [file_row(video_id, found) for video_id, found in videos]
                index.store.commit(videos, rows)
        yield index


def library(
    embedder: Embedder, videos: int, seed: int = 0
) -> Iterator[list[tuple[str, ClipEmbeddings]]]:
    """Batches of videos whose vectors lie as those of the sample clips do.

    All share a direction (two clips of different videos have cosine 0.72; the samples 0.76), a
    video keeps to its topics (variance between videos 0.19, within 0.13; the samples 0.24 and
    0.15), and few directions hold most of the variance.
    """
    rng = np.random.default_rng(seed)
    shared_D, topics = shared_and_topics(embedder)
    for first in range(0, videos, VIDEOS_AT_ONCE):
        names = [f"{n:032x}" for n in range(first, min(first + VIDEOS_AT_ONCE, videos))]
        own_VD = mixtures(rng, topics, len(names))
        yield [
            (name, video(rng, topics, shared_D, own_D))
            for name, own_D in zip(names, own_VD, strict=True)
        ]


def shared_and_topics(embedder: Embedder) -> tuple[Float32, Float32]:
    """The direction [D] that vectors of all videos share, and the topics [T, D] they differ in."""
    topics = embedder.encode_query([f"{who} {WHAT[i % 20]}" for i, who in enumerate(4 * WHO)])
    reference_D = embedder.reference_mean_D
    assert reference_D is not None, "made for a model with a reference mean"
    return normalise(reference_D[None])[0], topics


def mixtures(rng: np.random.Generator, topics_TD: Float32, count: int) -> Float32:
    """Sparse mixtures of topics and a little of every direction, of length near 1: [count, D]."""
    weights = rng.dirichlet(np.full(len(topics_TD), 0.05), count)
    noise = rng.normal(0, 0.3 / topics_TD.shape[1] ** 0.5, (count, topics_TD.shape[1]))
    return np.asarray(weights @ topics_TD + noise, np.float32)


def video(
    rng: np.random.Generator, topics_TD: Float32, shared_D: Float32, own_D: Float32
) -> ClipEmbeddings:
    """A video's whole and its windows."""
    spans = [Span(2.0 * n, 2.0 * n + 4.0) for n in range(CLIPS_A_VIDEO - 1)]
    changes_ND = 1.3 * mixtures(rng, topics_TD, len(spans))
    windows_ND = normalise(0.8 * shared_D + 1.4 * own_D + changes_ND)
    vectors_ND = np.concatenate([normalise(windows_ND.mean(axis=0, keepdims=True)), windows_ND])
    whole = Span(0.0, spans[-1].end_s)
    return ClipEmbeddings((whole, *spans), ("whole", *["4s"] * len(spans)), vectors_ND)


def file_row(video_id: str, found: ClipEmbeddings) -> FileRow:
    """The file of a made video."""
    return FileRow(
        path=f"/made/{video_id[-4:]}/{video_id}.mp4",
        video_id=video_id,
        size_bytes=1,
        mtime_ns=1,
        state="indexed",
        changed_at=0.0,
        duration_s=found.spans[0].end_s,
    )


def times_ms(ask: Callable[[int], object], queries: int) -> list[float]:
    """Milliseconds of each query, after a tenth of them to warm up."""
    for n in range(0, queries, 10):
        ask(n)
    taken = []
    for n in range(queries):
        start_s = time.perf_counter()
        ask(n)
        taken.append(1000 * (time.perf_counter() - start_s))
    return taken


def recall_of_scan(derived: Derived, exact: ExactSearcher, queries_QD: Float32) -> list[float]:
    """Part of the true best K that the searcher finds, for each query."""
    found_QK = derived.searcher.top(queries_QD, K, derived.moment_N)[1]
    return recalls(found_QK, exact.top(queries_QD, K, derived.moment_N)[1])


def recall_of_plain_scan(
    derived: Derived, exact: ExactSearcher, queries_QD: Float32, candidates: int = 50
) -> list[float]:
    """The baseline: 4-bit codes of vectors that are not centred, the best 50 ranked again."""
    from turbovec import TurboQuantIndex

    scan = TurboQuantIndex(dim=queries_QD.shape[1], bit_width=4)
    scan.add(exact.vectors_ND)
    _, rows_QC = scan.search(queries_QD, candidates, mask=derived.moment_N)
    scores_QC = np.einsum("qd,qcd->qc", queries_QD, exact.vectors_ND[rows_QC])
    found_QK = np.take_along_axis(rows_QC, np.argsort(-scores_QC, axis=1)[:, :K], axis=1)
    return recalls(found_QK, exact.top(queries_QD, K, derived.moment_N)[1])


def recalls(found_QK: Int64, true_QK: Int64) -> list[float]:
    """Part of the true rows that was found, for each query."""
    pairs = zip(found_QK, true_QK, strict=True)
    return [len(np.intersect1d(found_K, true_K)) / K for found_K, true_K in pairs]


def quantile(values: Sequence[float], part: float) -> Metric:
    """A quantile, 0.5 for the median."""
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return Metric(value=cuts[round(100 * part) - 1], n=len(values))


if __name__ == "__main__":
    main()

"""A million clips with two vectors each: what building costs, and what asking costs.

    python -m recipes.scale_1m [--clips N] [--queries N] [--folder DIR]

A made library lies in a folder that is deleted afterwards, or stays where --folder says, from where
a run that was ended goes on. Each step that is measured is a process of its own. Codes are held in
memory first, by the limit that an index has by itself; then on disk, by a limit of a quarter of
what they take. A run with fewer clips or queries is printed and not saved.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kinoscope.embedder import Embedder
from kinoscope.evaluation.metrics import mean_with_interval
from kinoscope.evaluation.results import Metric, save_result
from kinoscope.heads import normalise
from kinoscope.index.derived import open_derived
from kinoscope.index.handle import Index, is_index
from kinoscope.index.manifest import MEMORY_MB
from kinoscope.index.optimise import optimise
from kinoscope.index.store import Store
from kinoscope.index.vectors import ExactSearcher, scan_bytes
from kinoscope.retrieval import search
from kinoscope.sampling import SamplingConfig, Window
from kinoscope.types import ClipEmbeddings, Float32, Int64, Span
from recipes.arguments import at_least
from recipes.query_speed import (
    TEXTS,
    VIDEOS_AT_ONCE,
    K,
    file_row,
    mixtures,
    quantile,
    recalls,
    shared_and_topics,
    times_ms,
)

CLIPS = 1_000_000
CLIPS_A_VIDEO = 40
VECTORS_A_CLIP = 2
WINDOWS = (Window(length_s=4.0, stride_s=2.0), Window(length_s=8.0, stride_s=2.0))
_SPENT = "spent.json"
_FOUND = "found.npy"


@dataclass(frozen=True, kw_only=True)
class Way:
    """What one way of search took: `optimise` and `ask` as the two processes said it."""

    optimise: Mapping[str, Any]
    ask: Mapping[str, Any]
    recall: Sequence[float]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures both ways and saves `results/scale_1m.json`."""
    parser = argparse.ArgumentParser(prog="python -m recipes.scale_1m")
    parser.add_argument("--clips", type=at_least(CLIPS_A_VIDEO), default=CLIPS, help="how many")
    parser.add_argument("--queries", type=at_least(10), default=len(TEXTS), help="how many")
    parser.add_argument("--folder", type=Path, help="where the library is made, and stays")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    parser.add_argument("--told", type=at_least(0), help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    if asked.step:
        print(json.dumps(STEPS[asked.step](asked.folder, asked.told)))
        return
    with tempfile.TemporaryDirectory(prefix="kinoscope-") as own:
        measured(asked.folder or Path(own), asked.clips, asked.queries)


def measured(folder: Path, clips: int, queries: int) -> None:
    """Makes the library, asks it in both ways, and saves or prints what it took."""
    embedder = embedder_of_two_scales()
    spent = write(embedder, folder, clips)
    print(f"written: {spent}", flush=True)
    rows = clips * VECTORS_A_CLIP
    limits = {"": MEMORY_MB, "_on_disk": scan_bytes(rows, embedder.spec.dimension) // 2**22}
    ways, true_QK = {}, np.empty((0, K), np.int64)
    for name, memory_mb in limits.items():
        done, taken = step("optimise", folder, memory_mb), step("ask", folder, queries)
        true_QK = true_QK if len(true_QK) else nearest(folder, embedder, queries)
        found = recalls(np.load(folder / _FOUND), true_QK)
        ways[name] = Way(optimise=done, ask=taken, recall=found)
        print(f"{done} {taken['kind']} {np.mean(found):.4f}", flush=True)
    metrics = figures(ways, spent, clips)
    for name, metric in metrics.items():
        print(f"{name:>26} {metric.value:.3f}")
    if (clips, queries) != (CLIPS, len(TEXTS)):
        print("part of a run: not saved")
        return
    details = {
        "clips": f"made, {VECTORS_A_CLIP} vectors each: see `library` in this recipe",
        "dimension": embedder.spec.dimension,
        "k": K,
        "queries": queries,
        "written": spent,
        "ways": {name or "in_memory": dict(way.optimise) for name, way in ways.items()},
        "ask": "encode the text, find candidates, rank them again, drop overlaps; one at a time",
        "processor": "shared with other work, at the lowest priority: wall times are pessimistic",
    }
    save_result("scale_1m", metrics, details=details)


def figures(ways: Mapping[str, Way], spent: Mapping[str, float], clips: int) -> dict[str, Metric]:
    """Figures of the way in memory by their plain names, those of the other with `_on_disk`."""
    metrics: dict[str, Metric] = {}
    for name, way in ways.items():
        times = way.ask["full_ms"]
        build_s = spent["write_cpu_s"] + way.optimise["cpu_s"]
        metrics |= {
            f"build_cpu_s{name}": Metric(value=build_s, n=clips),
            f"build_rss_mb{name}": Metric(value=way.optimise["peak_mb"], n=1),
            f"p50_ms{name}": quantile(times, 0.5),
            f"p95_ms{name}": quantile(times, 0.95),
            f"cpu_ms{name}": Metric(value=way.ask["cpu_ms"], n=len(times)),
            f"recall_at_10{name}": mean_with_interval(
                np.array(way.recall), TEXTS[: len(way.recall)]
            ),
            f"rss_mb{name}": Metric(value=way.ask["peak_mb"], n=1),
        }
    return metrics


# --- the library


def embedder_of_two_scales() -> Embedder:
    """The built-in model, whose clips have a vector of 4 seconds and one of 8."""
    return Embedder.load(sampling=SamplingConfig(windows=WINDOWS))


def index_in(folder: Path) -> Path:
    """Where the library's index lies."""
    return folder / "index"


def library(
    embedder: Embedder, first: int, videos: int
) -> Iterator[list[tuple[str, ClipEmbeddings]]]:
    """Batches of videos from the `first` on, whose vectors lie as those of the sample clips do.

    They are those of `recipes.query_speed.library`: a direction that all share, topics of the
    video, topics of the clip, and a little of every direction. A clip's second vector, of twice
    the length, lies between its first and that of the clip after it. Each batch has a seed.
    """
    shared_D, topics_TD = shared_and_topics(embedder)
    for start in range(first, videos, VIDEOS_AT_ONCE):
        rng = np.random.default_rng(start)
        names = [f"{n:032x}" for n in range(start, min(start + VIDEOS_AT_ONCE, videos))]
        own_VD = mixtures(rng, topics_TD, len(names))
        changes_ND = 1.3 * mixtures(rng, topics_TD, len(names) * CLIPS_A_VIDEO)
        changes_VCD = changes_ND.reshape(len(names), CLIPS_A_VIDEO, -1)
        yield [
            (name, video(0.8 * shared_D + 1.4 * own_D + changes_CD))
            for name, own_D, changes_CD in zip(names, own_VD, changes_VCD, strict=True)
        ]


def video(clips_CD: Float32) -> ClipEmbeddings:
    """A video's whole, its clips of 4 s and the same of 8 s; the last ends with the film."""
    short_CD = normalise(clips_CD)
    long_CD = normalise(short_CD + np.vstack([short_CD[1:], short_CD[-1:]]))
    whole_1D = normalise(short_CD.mean(axis=0, keepdims=True))
    starts = [2.0 * n for n in range(len(clips_CD))]
    end_s = starts[-1] + 4.0
    spans = [Span(start, start + 4.0) for start in starts]
    spans += [Span(start, min(start + 8.0, end_s)) for start in starts]
    scales = ("whole", *["4s"] * len(starts), *["8s"] * len(starts))
    return ClipEmbeddings(
        (Span(0.0, end_s), *spans), scales, np.concatenate([whole_1D, short_CD, long_CD])
    )


def write(embedder: Embedder, folder: Path, clips: int) -> dict[str, float]:
    """Commits what is not there yet; processor seconds of the store, those of making apart."""
    folder.mkdir(parents=True, exist_ok=True)
    index = Index.open(index_in(folder), embedder, create=not is_index(index_in(folder)))
    spent = {"write_cpu_s": 0.0, "make_cpu_s": 0.0}
    if (folder / _SPENT).exists():
        spent = json.loads((folder / _SPENT).read_text())
    with index.store.writing():  # as a run does: what is there is looked at once
        batches = library(embedder, len(index.files()), clips // CLIPS_A_VIDEO)
        while True:
            began_s = time.process_time()
            batch = next(batches, None)
            if batch is None:
                return spent
            made_s = time.process_time()
            index.store.commit(batch, [file_row(video_id, found) for video_id, found in batch])
            spent["make_cpu_s"] += made_s - began_s
            spent["write_cpu_s"] += time.process_time() - made_s
            (folder / _SPENT).write_text(json.dumps(spent))


# --- steps, each a process


def step(name: str, folder: Path, number: int) -> dict[str, Any]:
    """Runs a step on the library; `number` is what it is told: queries, or MiB."""
    words = ["--step", name, "--folder", str(folder), "--told", str(number)]
    command = [sys.executable, "-m", "recipes.scale_1m", *words]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def optimised(folder: Path, memory_mb: int) -> dict[str, Any]:
    """Joins pieces and builds what search reads, under a limit of memory."""
    done = optimise(Store.open(index_in(folder)), memory_mb=memory_mb)
    return {
        "cpu_s": round(time.process_time(), 3),
        "peak_mb": peak_mb(),
        "search": done.search,
        "memory_mb": memory_mb,
        "pieces": done.pieces_before,
    }


def asked(folder: Path, queries: int) -> dict[str, Any]:
    """Searches for texts, one after another; keeps the nearest rows for the recall."""
    index = Index.open(index_in(folder), embedder_of_two_scales())
    texts = TEXTS[:queries]
    search(index, texts[0], k=K)
    began_s = time.process_time()
    full_ms = times_ms(lambda n: search(index, texts[n], k=K), len(texts))
    cpu_s = time.process_time() - began_s
    derived = index.derived()
    rows = [
        derived.searcher.top(query_D[None], K, derived.moment_N)[1][0]
        for query_D in index.embedder.encode_query(list(texts))
    ]
    peak = peak_mb()
    np.save(folder / _FOUND, np.array(rows))
    asked_in_all = len(texts) + len(range(0, len(texts), 10))  # with those that warm it up
    return {
        "full_ms": full_ms,
        "cpu_ms": 1000 * cpu_s / asked_in_all,
        "peak_mb": peak,
        "kind": derived.kind,
    }


STEPS = {"optimise": optimised, "ask": asked}


def nearest(folder: Path, embedder: Embedder, queries: int) -> Int64:
    """Rows of the true K nearest [Q, K] of each query, by looking at every vector."""
    derived = open_derived(Store.open(index_in(folder)))
    exact = ExactSearcher(derived.catalog.vectors_ND)
    queries_QD = embedder.encode_query(list(TEXTS[:queries]))
    return exact.top(queries_QD, K, derived.moment_N)[1]


def peak_mb() -> float:
    """The most memory, in MiB, that this process has had since it began (Linux)."""
    status = Path("/proc/self/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found, "this recipe reads Linux's own figures"
    return int(found[1]) / 1024


if __name__ == "__main__":
    main()

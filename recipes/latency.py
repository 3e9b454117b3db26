"""Where the milliseconds of a query go: a sentence through the public search, stage by stage.

    python -m recipes.latency [--queries N] [--clips N,N]

The built-in model encodes; libraries are made as in `recipes.query_speed`. Times of the whole are
taken of the search as it is, those of the stages in a second round, by parts of it that look at
the clock. A limited run is printed and not saved.
"""

import argparse
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from kinoscope.documents import Document
from kinoscope.embedder import Embedder
from kinoscope.evaluation.results import Metric, save_result
from kinoscope.index.derived import Derived
from kinoscope.index.handle import Index
from kinoscope.index.vectors import Among, ScanSearcher, Searcher
from kinoscope.retrieval import search
from kinoscope.types import Bool, Float32, Float64, Int64
from recipes.arguments import at_least
from recipes.query_speed import CLIPS_A_VIDEO, TEXTS, K, made_index, quantile, times_ms

SIZES = (1_000, 100_000)

STAGES = {
    "encode": "the sentence becomes a vector",
    "state": "is the index as it was? its manifest and the versions of its tables are read",
    "scan": "products with all vectors; above 50 000 clips, with their 4-bit codes",
    "rerank": "true products of the candidates of the 4-bit codes",
    "rows": "overlaps dropped; files, times and scores of the hits",
}


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Milliseconds of each warm query, `whole_ms` of the search and `stages_ms` of its parts."""

    whole_ms: Sequence[float]
    stages_ms: Mapping[str, Sequence[float]]

    def __post_init__(self) -> None:
        assert set(self.stages_ms) == set(STAGES), set(self.stages_ms)
        assert all(len(each) == len(self.whole_ms) for each in self.stages_ms.values())


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures libraries of both sizes and saves `results/latency.json`."""
    parser = argparse.ArgumentParser(prog="python -m recipes.latency")
    parser.add_argument("--queries", type=at_least(10), default=len(TEXTS), help="how many")
    parser.add_argument("--clips", type=_sizes, default=SIZES, help="sizes of libraries")
    asked = parser.parse_args(arguments)
    embedder, texts = Embedder.load(), TEXTS[: asked.queries]
    found = {clips: measured(embedder, texts, clips) for clips in asked.clips}
    metrics, stages = figures(found)
    _show(metrics, stages)
    if (asked.clips, asked.queries) != (SIZES, len(TEXTS)):
        print("part of a run: not saved")
        return
    details = {"queries": len(texts), "k": K, "stages": stages, "meaning": STAGES}
    save_result("latency", metrics, details=details)


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(at_least(CLIPS_A_VIDEO)(each) for each in text.split(","))


def measured(embedder: Embedder, texts: Sequence[str], clips: int) -> Latency:
    """Every text looks for K moments in a made library of so many clips, twice."""
    with made_index(embedder, clips=clips) as index:
        whole_ms = times_ms(lambda n: search(index, texts[n], k=K), len(texts))
        clock = Clock()
        timed = watched(index, embedder, clock)
        rounds: list[dict[str, float]] = []

        def ask(n: int) -> None:
            clock.spent_s.clear()
            with clock("all"):
                search(timed, texts[n], k=K)
            rounds.append(by_stage(clock.spent_s))

        times_ms(ask, len(texts))
        rounds = rounds[-len(texts) :]  # without those that warmed it up
    return Latency(
        whole_ms=whole_ms,
        stages_ms={stage: [1000 * each[stage] for each in rounds] for stage in STAGES},
    )


def by_stage(spent_s: Mapping[str, float]) -> dict[str, float]:
    """Seconds of stages that follow each other, of seconds that lie in one another.

    `all` holds `encode`, `state` and `top`; `top` holds `codes`, the scan of 4-bit codes, if any.
    """
    top_s = spent_s["top"]
    scan_s = spent_s.get("codes", top_s)
    known = {"encode": spent_s["encode"], "state": spent_s["state"], "scan": scan_s}
    rest_s = spent_s["all"] - spent_s["encode"] - spent_s["state"] - top_s
    return {**known, "rerank": top_s - scan_s, "rows": rest_s}


def figures(
    found: Mapping[int, Latency],
) -> tuple[dict[str, Metric], dict[str, dict[str, dict[str, float]]]]:
    """Median and 95th percentile of the whole by size; the same of each stage."""
    metrics, stages = {}, {}
    for clips, latency in found.items():
        size = _short(clips)
        for part, name in ((0.5, "p50"), (0.95, "p95")):
            metrics[f"{name}_ms_{size}"] = quantile(latency.whole_ms, part)
        stages[size] = {
            stage: {
                "p50_ms": quantile(latency.stages_ms[stage], 0.5).value,
                "p95_ms": quantile(latency.stages_ms[stage], 0.95).value,
            }
            for stage in STAGES
        }
    return metrics, stages


def _short(clips: int) -> str:
    return f"{clips // 1000}k" if clips >= 1000 else str(clips)


def _show(
    metrics: Mapping[str, Metric], stages: Mapping[str, Mapping[str, Mapping[str, float]]]
) -> None:
    for name, metric in metrics.items():
        print(f"{name:>20} {metric.value:.3f}")
    for size, each in stages.items():
        for stage, times in each.items():
            print(f"{size:>20} {stage:<8} p50 {times['p50_ms']:.3f}  p95 {times['p95_ms']:.3f}")


# --- parts of the search that look at the clock


@dataclass(frozen=True, eq=False)
class Clock:
    """Adds up seconds by name."""

    spent_s: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Times what is inside."""
        began_s = time.perf_counter()
        yield
        self.spent_s[name] = self.spent_s.get(name, 0.0) + time.perf_counter() - began_s


def watched(index: Index, embedder: Embedder, clock: Clock) -> Index:
    """The same index, to be searched in the same way, with a clock at its stages."""
    made = _Watched(index.store, _Encoder.around(embedder, clock))
    made.clock = clock
    return made


class _Encoder(Embedder):
    """An embedder that times its queries."""

    clock: Clock

    @classmethod
    def around(cls, embedder: Embedder, clock: Clock) -> "_Encoder":
        made = cls(embedder.backbone, sampling=embedder.sampling, truncate_dim=embedder.dimension)
        made.clock = clock
        return made

    def encode_query(self, inputs: Document | Sequence[Document]) -> Float32:
        with self.clock("encode"):
            return super().encode_query(inputs)


class _Watched(Index):
    """An index that times how it looks up its state, and whose searcher does."""

    clock: Clock

    def derived(self) -> Derived:
        with self.clock("state"):
            found = super().derived()
        return replace(found, searcher=_TimedSearcher(found.searcher, self.clock))


@dataclass(frozen=True)
class _TimedSearcher:
    """A searcher, and the scan inside of it, if it has one."""

    inner: Searcher
    clock: Clock

    def top(
        self,
        queries_QD: Float32,
        k: int,
        mask_N: Bool | None = None,
        among: Among | None = None,
    ) -> tuple[Float64, Int64]:
        inner = self.inner
        if isinstance(inner, ScanSearcher):
            scan: Any = _TimedScan(inner.scan, self.clock)
            inner = replace(inner, scan=scan)
        with self.clock("top"):
            return inner.top(queries_QD, k, mask_N, among)


@dataclass(frozen=True)
class _TimedScan:
    inner: Any
    clock: Clock

    def __len__(self) -> int:
        return len(self.inner)

    def search(self, *arguments: Any, **named: Any) -> Any:
        with self.clock("codes"):
            return self.inner.search(*arguments, **named)


if __name__ == "__main__":
    main()

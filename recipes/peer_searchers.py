"""Ways to find the ten nearest of many vectors: ours, and those of libraries and stores.

    python -m recipes.peer_searchers CLIPS QUERIES

The vectors are those of an index that is made for it, ours the search arrays of that index; all
others get the same rows. Every way is built once; those with a dial are turned up until they find
nearly what ours finds; then all are asked turn by turn.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

import numpy as np

from kinoscope.embedder import Embedder
from kinoscope.errors import SetupError
from kinoscope.index.derived import Derived
from kinoscope.index.vectors import ExactSearcher
from kinoscope.libraries import imported
from kinoscope.types import Float32, Int64
from recipes.query_speed import TEXTS, K, made_index, recalls

LEAST_RECALL = 0.99
TURN = 10  # queries that one way is asked before the next
_QDRANT_ROWS = 20_000  # its local mode looks at each point in turn

Ask = Callable[[Float32], Sequence[int]]
"""A unit vector [D] -> rows of the ten nearest, best first."""


@dataclass(frozen=True, kw_only=True)
class Way:
    """How the nearest are found.

    Attributes:
        ask: by what.
        dial: what was turned to which value, empty without one.
        rows: how many of the vectors it holds, from the first.
    """

    ask: Ask
    dial: str = ""
    rows: int


Dial = Iterator[Way]
"""The same way at growing effort."""


def _listed(rows_K: Int64) -> list[int]:
    rows: list[int] = rows_K.tolist()
    return rows


def kinoscope(derived: Derived) -> Dial:
    """What search does with the arrays of an index: only rows that are moments take part."""
    place_N = np.cumsum(derived.moment_N) - 1

    def ask(query_D: Float32) -> Sequence[int]:
        found_K = derived.searcher.top(query_D[None], K, derived.moment_N)[1][0]
        return _listed(place_N[found_K])

    yield Way(ask=ask, dial=derived.kind, rows=int(derived.moment_N.sum()))


def numpy(vectors_ND: Float32) -> Dial:
    """The naive twin: one product, one partition."""

    def ask(query_D: Float32) -> Sequence[int]:
        scores_N = vectors_ND @ query_D
        best_K = np.argpartition(-scores_N, K)[:K]
        return _listed(best_K[np.argsort(-scores_N[best_K])])

    yield Way(ask=ask, rows=len(vectors_ND))


def turbovec(vectors_ND: Float32) -> Dial:
    """Its 4-bit scan of the vectors as they are; its own scores, then more and more ranked anew."""
    index = imported("turbovec", "turbovec").TurboQuantIndex(dim=vectors_ND.shape[1], bit_width=4)
    index.add(vectors_ND)
    index.prepare()

    def asking(candidates: int) -> Ask:
        def ask(query_D: Float32) -> Sequence[int]:
            rows_C = index.search(query_D[None], candidates)[1][0].astype(np.int64)
            if candidates == K:
                return _listed(rows_C)
            return _listed(rows_C[np.argsort(-(vectors_ND[rows_C] @ query_D))[:K]])

        return ask

    for candidates in (K, 50, 100, 200, 400, 800):
        told = "as it is" if candidates == K else f"{candidates} ranked anew"
        yield Way(ask=asking(candidates), dial=told, rows=len(vectors_ND))


def faiss_flat(vectors_ND: Float32) -> Dial:
    """All vectors, by inner product."""
    index = imported("faiss", "faiss-cpu").IndexFlatIP(vectors_ND.shape[1])
    index.add(vectors_ND)
    yield Way(ask=_faiss(index), rows=len(vectors_ND))


def faiss_hnsw(vectors_ND: Float32) -> Dial:
    """A graph of 32 neighbours."""
    faiss = imported("faiss", "faiss-cpu")
    index = faiss.IndexHNSWFlat(vectors_ND.shape[1], 32, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = 80
    index.add(vectors_ND)
    for effort in (32, 64, 128, 256, 512, 1024, 2048):
        index.hnsw.efSearch = effort
        yield Way(ask=_faiss(index), dial=f"efSearch {effort}", rows=len(vectors_ND))


def faiss_ivf(vectors_ND: Float32) -> Dial:
    """Lists around centres, four to the square root of the rows in number."""
    faiss = imported("faiss", "faiss-cpu")
    lists = max(1, min(int(4 * len(vectors_ND) ** 0.5), len(vectors_ND) // 40))
    quantiser = faiss.IndexFlatIP(vectors_ND.shape[1])
    index = faiss.IndexIVFFlat(quantiser, vectors_ND.shape[1], lists, faiss.METRIC_INNER_PRODUCT)
    index.train(vectors_ND)
    index.add(vectors_ND)
    for probes in (4, 8, 16, 32, 64, 128, 256, 512, 1024):
        if probes <= lists:
            index.nprobe = probes
            yield Way(ask=_faiss(index), dial=f"{probes} of {lists} lists", rows=len(vectors_ND))


def _faiss(index: Any) -> Ask:
    def ask(query_D: Float32) -> Sequence[int]:
        return _listed(index.search(query_D[None], K)[1][0])

    return ask


def lancedb_flat(vectors_ND: Float32) -> Dial:
    """A table without an index."""
    yield Way(ask=_lance(_lance_table(vectors_ND), 0), rows=len(vectors_ND))


def lancedb_ivf(vectors_ND: Float32) -> Dial:
    """IVF_RQ, ten times as many candidates ranked by their vectors."""
    config = imported("lancedb.index", "lancedb").IvfRq(distance_type="dot")
    table = _lance_table(vectors_ND)
    table.create_index("vector", config=config)
    for probes in (8, 20, 64, 128, 256):
        yield Way(ask=_lance(table, probes), dial=f"{probes} probes, refined", rows=len(vectors_ND))


_FOLDERS: list[tempfile.TemporaryDirectory[str]] = []  # live as long as the process


def _lance_table(vectors_ND: Float32) -> Any:
    lancedb, pyarrow = imported("lancedb", "lancedb"), imported("pyarrow", "pyarrow")
    _FOLDERS.append(tempfile.TemporaryDirectory(prefix="kinoscope-"))
    flat = pyarrow.array(vectors_ND.ravel())
    columns = {
        "row": pyarrow.array(np.arange(len(vectors_ND))),
        "vector": pyarrow.FixedSizeListArray.from_arrays(flat, vectors_ND.shape[1]),
    }
    place = lancedb.connect(_FOLDERS[-1].name)
    return place.create_table("vectors", pyarrow.table(columns))


def _lance(table: Any, probes: int) -> Ask:
    def ask(query_D: Float32) -> Sequence[int]:
        query = table.search(query_D).distance_type("dot").select(["row", "_distance"]).limit(K)
        if probes:
            query = query.nprobes(probes).refine_factor(10)
        rows: list[int] = query.to_arrow()["row"].to_pylist()
        return rows

    return ask


def qdrant_local(vectors_ND: Float32) -> Dial:
    """The client's local mode, for small data by its own word: on the first rows only."""
    client_of = imported("qdrant_client", "pip install '.[qdrant]'")
    models = client_of.models
    few_ND = vectors_ND[:_QDRANT_ROWS]
    client = client_of.QdrantClient(":memory:")
    vectors = models.VectorParams(size=few_ND.shape[1], distance=models.Distance.DOT)
    client.create_collection("vectors", vectors_config=vectors)
    client.upload_collection("vectors", vectors=few_ND, ids=range(len(few_ND)))

    def ask(query_D: Float32) -> Sequence[int]:
        found = client.query_points("vectors", query=query_D.tolist(), limit=K)
        return [point.id for point in found.points]

    yield Way(ask=ask, rows=len(few_ND))


WAYS: Mapping[str, Callable[[Float32], Dial]] = {
    "numpy": numpy,
    "turbovec": turbovec,
    "faiss_flat": faiss_flat,
    "faiss_hnsw": faiss_hnsw,
    "faiss_ivf": faiss_ivf,
    "lancedb_flat": lancedb_flat,
    "lancedb_ivf": lancedb_ivf,
    "qdrant_local": qdrant_local,
}


def nearest(vectors_ND: Float32, queries_QD: Float32) -> Int64:
    """The true ten [Q, 10], by every vector in float64."""
    return ExactSearcher(vectors_ND).top(queries_QD, K)[1]


def recall_of(ask: Ask, queries_QD: Float32, true_QK: Int64) -> float:
    """Mean part of the true ten that is found."""
    found_QK = np.array([ask(query_D) for query_D in queries_QD], np.int64)
    return float(np.mean(recalls(found_QK, true_QK)))


def tuned(
    dial: Dial, queries_QD: Float32, truth: Callable[[int], Int64], least: float
) -> tuple[Way, float]:
    """The first setting that finds `least` of the nearest, or else the last, and what it finds."""
    found = None
    for way in dial:
        found = way, recall_of(way.ask, queries_QD, truth(way.rows))
        if found[1] >= least:
            return found
    assert found is not None, "a dial without a setting"
    return found


def turns(ways: Mapping[str, Way], queries_QD: Float32) -> dict[str, list[float]]:
    """Milliseconds of each query by each way, which take turns of some queries."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for first in range(0, len(queries_QD), TURN):
        for name, way in ways.items():
            way.ask(queries_QD[first])  # its caches are cold after the others
            for query_D in queries_QD[first : first + TURN]:
                start_s = time.perf_counter()
                way.ask(query_D)
                taken[name].append(1000 * (time.perf_counter() - start_s))
    return taken


def measured(
    builders: Mapping[str, Callable[[], Dial]], vectors_ND: Float32, queries_QD: Float32
) -> dict[str, dict[str, Any]]:
    """What each way took, found and held; why, of each that cannot be had.

    The first is ours: the others are turned up until they find as much, or `LEAST_RECALL`.
    """
    ways: dict[str, Way] = {}
    told: dict[str, dict[str, Any]] = {}
    truths: dict[int, Int64] = {}
    least = LEAST_RECALL

    def truth(rows: int) -> Int64:
        if rows not in truths:
            truths[rows] = nearest(vectors_ND[:rows], queries_QD)
        return truths[rows]

    for name, build in builders.items():
        began_s = time.process_time()
        try:
            dial = build()
            first = next(dial)  # builds it
            build_cpu_s = time.process_time() - began_s
            way, recall = tuned(chain([first], dial), queries_QD, truth, least)
        except SetupError as error:
            told[name] = {"absent": str(error)}
            continue
        least = min(least, recall) if not ways else least
        ways[name] = way
        told[name] = {
            "recall": recall,
            "dial": way.dial,
            "rows": way.rows,
            "build_cpu_s": build_cpu_s,
        }
        print(name, told[name], file=sys.stderr, flush=True)
    for name, taken_ms in turns(ways, queries_QD).items():
        told[name]["ms"] = taken_ms
    return told


def main(clips: int, queries: int) -> None:
    """Makes the index, asks all ways, prints what they took."""
    embedder = Embedder.load()
    queries_QD = embedder.encode_query(list(TEXTS[:queries]))
    with made_index(embedder, clips=clips) as index:
        began_s = time.process_time()
        derived = index.derived()
        build_cpu_s = time.process_time() - began_s
        vectors_ND = np.ascontiguousarray(derived.catalog.vectors_ND[derived.moment_N])
        ours = {"kinoscope": partial(kinoscope, derived)}
        builders = ours | {name: partial(build, vectors_ND) for name, build in WAYS.items()}
        told = measured(builders, vectors_ND, queries_QD)
        told["kinoscope"]["build_cpu_s"] = build_cpu_s  # it was there already
        print(json.dumps(told))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))

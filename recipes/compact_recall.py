"""What fewer bytes a vector cost: how many of the ten nearest each precision still finds."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kinoscope.compact import Compact, quantise, ranges_of, sign_ranges, similarity
from kinoscope.embedder import Embedder
from kinoscope.evaluation.metrics import mean_with_interval
from kinoscope.evaluation.results import Metric, save_result
from kinoscope.index.vectors import ExactSearcher
from kinoscope.samples import fetch
from kinoscope.sampling import SamplingConfig, Window
from kinoscope.types import Float32, Int64
from recipes.concepts_samples import CLIPS_FOLDER

K = 10
CANDIDATES = 4 * K
SAMPLE = 500
QUESTIONS = Path("docs/demo_questions.txt")

SAMPLING = SamplingConfig(
    fps=2.0, windows=tuple(Window(length_s=length_s, stride_s=0.5) for length_s in (1, 2, 4, 8))
)
"""Many windows of each film, so that the ten nearest are close to the next ones: a hard test."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Library:
    """Distinct unit vectors of windows [N, D], and of queries [Q, D] with their texts."""

    windows_ND: Float32
    queries_QD: Float32
    texts: Sequence[str]


def main() -> None:
    """Measures all precisions and saves `results/compact_recall.json`."""
    library = gather(CLIPS_FOLDER)
    metrics = recalls(library) | choices(library)
    details = {
        "rows": len(library.windows_ND),
        "dimension": library.windows_ND.shape[1],
        "queries": "the demo questions and the prompts of the described sample clips",
        "library": f"windows of the sample clips and the film, {SAMPLING.describe()}",
        "truth": "the ten nearest by exact search among float32 vectors",
        "rerank": f"the best {CANDIDATES} by binary, in the order of float16",
        "sample": f"int8 with ranges of {SAMPLE} rows; spare 0.25",
    }
    save_result("compact_recall", metrics, details=details)
    for name, metric in metrics.items():
        low, value, high = metric.interval
        print(f"{name:>34} {value:.4f} [{low:.4f}, {high:.4f}]")


def measure(folder: Path = CLIPS_FOLDER) -> dict[str, Metric]:
    """Recall of the ten nearest and bytes a vector by precision, on the clips in `folder`.

    They are fetched there if absent. Needs the `concepts` model.
    """
    return recalls(gather(folder))


def gather(folder: Path) -> Library:
    """Encodes all windows and queries; windows with the same frames count once."""
    embedder = Embedder.load(sampling=SAMPLING)
    found = fetch(folder, report=print)
    windows = [embedder.encode_video(found.folder / clip.file).vectors_ND for clip in found.clips]
    texts = [line for line in QUESTIONS.read_text(encoding="utf-8").splitlines() if line.strip()]
    texts += [clip.prompt for clip in found.described if clip.prompt is not None]
    return Library(
        windows_ND=np.unique(np.concatenate(windows), axis=0),
        queries_QD=embedder.encode_query(texts),
        texts=texts,
    )


def recalls(library: Library) -> dict[str, Metric]:
    """What the project offers: each precision with ranges of all rows, and binary with rerank."""
    compacts = {
        "float16": quantise(library.windows_ND, "float16"),
        "int8": quantise(library.windows_ND, "int8"),
        "binary": quantise(library.windows_ND, "binary"),
    }
    metrics = {f"{name}_recall_at_10": recall(library, each) for name, each in compacts.items()}
    best_QC = top(similarity(library.queries_QD, compacts["binary"]), CANDIDATES)
    reranked_QK = rerank(library.queries_QD, best_QC, compacts["float16"])
    metrics["binary_rerank_recall_at_10"] = share_found(library, reranked_QK)
    sizes = {name: each.bytes_per_vector for name, each in compacts.items()}
    sizes["float32"] = library.windows_ND.itemsize * library.windows_ND.shape[1]
    count = len(library.windows_ND)
    return metrics | {
        f"{name}_bytes_a_vector": Metric(value=size, n=count) for name, size in sizes.items()
    }


def choices(library: Library) -> dict[str, Metric]:
    """What was decided by measurement: bits of signs, Hamming distance, ranges of a sample."""
    windows_ND, dimension = library.windows_ND, library.windows_ND.shape[1]
    signs = quantise(windows_ND, "binary", sign_ranges(dimension))
    learned = quantise(windows_ND, "binary")
    chosen = np.random.default_rng(0).choice(len(windows_ND), SAMPLE, replace=False)
    sample_ND = windows_ND[chosen]
    narrow = quantise(windows_ND, "int8", ranges_of(sample_ND))
    spare = quantise(windows_ND, "int8", ranges_of(sample_ND, spare=0.25))
    metrics = {
        "signs_recall_at_10": recall(library, signs),
        "signs_hamming_recall_at_10": share_found(library, top(-hamming(library, signs), K)),
        "hamming_recall_at_10": share_found(library, top(-hamming(library, learned), K)),
        "int8_sample_recall_at_10": recall(library, narrow),
        "int8_spare_sample_recall_at_10": recall(library, spare),
    }
    for name, compact in (("narrow", narrow), ("spare", spare)):
        part = compact.clipped / windows_ND.size
        metrics[f"int8_{name}_sample_clipped"] = Metric(value=part, n=windows_ND.size)
    return metrics


def recall(library: Library, compact: Compact) -> Metric:
    """Mean part of the true ten nearest among the ten nearest by codes."""
    return share_found(library, top(similarity(library.queries_QD, compact), K))


def share_found(library: Library, found_QK: Int64) -> Metric:
    """Mean part of the true ten nearest that is in `found_QK`, with its interval over queries."""
    true_QK = ExactSearcher(library.windows_ND).top(library.queries_QD, K)[1]
    pairs = zip(found_QK, true_QK, strict=True)
    shares = [len(np.intersect1d(found_K, true_K)) / K for found_K, true_K in pairs]
    return mean_with_interval(np.array(shares), library.texts)


def top(scores_QN: Float32 | Int64, k: int) -> Int64:
    """Rows of the k greatest scores of each query, best first."""
    return np.argsort(-scores_QN, axis=1, kind="stable")[:, :k]


def rerank(queries_QD: Float32, candidates_QC: Int64, by: Compact) -> Int64:
    """The best K candidates of each query in the order of another precision."""
    best = []
    for query_D, rows_C in zip(queries_QD, candidates_QC, strict=True):
        scores_1C = similarity(query_D[None], by.take(rows_C))
        best.append(rows_C[top(scores_1C, K)[0]])
    return np.stack(best)


def hamming(library: Library, compact: Compact) -> Int64:
    """Bits in which query and row differ [Q, N], the query coded as the rows are."""
    queries = quantise(library.queries_QD, "binary", compact.ranges_2D)
    differences = np.bitwise_count(queries.codes_N[:, None] ^ compact.codes_N[None])
    return np.asarray(differences.sum(axis=2, dtype=np.int64))


if __name__ == "__main__":
    main()

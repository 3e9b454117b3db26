"""Text to video on the sample clips: each prompt looks for the clip that was made from it."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from kinoscope.errors import SetupError, UsageError
from kinoscope.evaluation.metrics import (
    auroc_of_pairs,
    chance_recall,
    mean_with_interval,
    paired_p_value,
    ranks,
    recall_at,
    tied,
)
from kinoscope.evaluation.results import Metric
from kinoscope.index.derived import library_mean
from kinoscope.sampling import SamplingConfig, grid_times
from kinoscope.types import Float32, Float64, Frames, Int64

CUTOFFS = (1, 5, 10)
LABELS = 50
"""Classes of a frame that speak for it in a document, as many as the model itself uses."""


class Labeller(Protocol):
    """What can name the likeliest classes of frames, such as `Concepts`."""

    def labels(self, frames: Frames, top: int) -> list[list[tuple[str, float]]]:
        """The `top` likeliest names of each frame with their probabilities."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Described:
    """N clips: clip n was made from prompt n.

    Attributes:
        prompts: N texts.
        queries_ND, clips_ND: unit vectors of the prompts and of the whole clips.
        labels: of each clip, class names with their mean probability over frames.
    """

    prompts: Sequence[str]
    queries_ND: Float32
    clips_ND: Float32
    labels: Sequence[Mapping[str, float]]

    def __post_init__(self) -> None:
        counts = {len(self.prompts), len(self.queries_ND), len(self.clips_ND), len(self.labels)}
        if len(counts) != 1 or len(self.prompts) < 2:
            raise UsageError(f"{sorted(counts)} prompts, vectors and labels: equal, at least 2")


def measure(
    described: Described, reference_mean_D: Float32 | None
) -> tuple[dict[str, Metric], dict[str, object]]:
    """Recall of the embedder, of BM25 over class names, and of chance; and what centring does.

    Within one query the order is the same with and without the library's mean; AUROC over all
    pairs says how far one threshold could serve all queries.
    Returns metrics by name, and details: the rank of each prompt, and BM25 by form of document.
    """
    cosines_NN = described.queries_ND.astype(np.float64) @ described.clips_ND.T
    whole_mean_D = described.clips_ND.mean(axis=0, dtype=np.float64)
    mean_D = library_mean(whole_mean_D, len(described.clips_ND), reference_mean_D)
    centred_NN = cosines_NN - (described.queries_ND @ mean_D)[:, None]
    own = [[n] for n in range(len(cosines_NN))]
    found = ranks(cosines_NN, own)
    lexical = {form: ranks(scores, own) for form, scores in bm25_by_form(described).items()}
    best = max(lexical, key=lambda form: (recall_at(5, lexical[form]).mean(), form))
    p_value = paired_p_value(recall_at(5, found), recall_at(5, lexical[best]))
    count = len(found)
    metrics = {
        **_recalls("", found),
        **_recalls("bm25_", lexical[best]),
        **{f"chance_r{k}": Metric(value=chance_recall(count, k), n=count) for k in CUTOFFS},
        "auroc_cosine": auroc_of_pairs(cosines_NN),
        "auroc_centred": auroc_of_pairs(centred_NN),
        "median_rank": Metric(value=float(np.median(found)), n=count),
        "tie_rate": mean_with_interval(tied(cosines_NN, own), range(count)),
        "p_r5_against_bm25": Metric(value=p_value, n=count),
    }
    details = {
        "ranks": found.tolist(),
        "bm25_document": best,
        "bm25_r5_by_document": {f: float(recall_at(5, r).mean()) for f, r in lexical.items()},
    }
    return metrics, details


def _recalls(prefix: str, found: Int64) -> dict[str, Metric]:
    """R@k with an interval; each prompt has its own clip, so each is a cluster of its own."""
    clusters = range(len(found))
    return {f"{prefix}r{k}": mean_with_interval(recall_at(k, found), clusters) for k in CUTOFFS}


def bm25_by_form(described: Described) -> dict[str, Float64]:
    """Scores [N, N] of prompts against class names as plain text, for two forms of document.

    `likeliest` names the 50 likeliest classes once each; `weighted` repeats each name once for
    each percent of probability. The stronger one on this very set is the baseline: any bias of
    that choice favours BM25.
    """
    likeliest = [
        " ".join(sorted(each, key=each.__getitem__, reverse=True)[:LABELS])
        for each in described.labels
    ]
    weighted = [
        " ".join(f"{name} " * round(100 * share) for name, share in each.items())
        for each in described.labels
    ]
    forms = {"likeliest": likeliest, "weighted": weighted}
    return {form: bm25_scores(described.prompts, texts) for form, texts in forms.items()}


def bm25_scores(queries: Sequence[str], documents: Sequence[str]) -> Float64:
    """BM25 scores [Q, N] (k1 1.5, b 0.75, English stop words dropped); no common word scores 0.

    Raises `SetupError` without the library.
    """
    try:
        import bm25s
    except ImportError:
        raise SetupError("BM25 needs one more package: pip install 'kinoscope[eval]'") from None
    words = bm25s.tokenize(list(documents), show_progress=False)
    scores_QN = np.zeros((len(queries), len(documents)))
    if not words.vocab:
        return scores_QN
    index = bm25s.BM25(k1=1.5, b=0.75)
    index.index(words, show_progress=False)
    for row_N, query in zip(scores_QN, queries, strict=True):
        (terms,) = bm25s.tokenize([query], return_ids=False, show_progress=False)
        if terms:
            row_N[:] = index.get_scores(terms)
    return scores_QN


def mean_labels(labeller: Labeller, path: Path, sampling: SamplingConfig) -> dict[str, float]:
    """Class names of a video with their mean probability over the frames the model samples."""
    from kinoscope.video import VideoReader

    totals: defaultdict[str, float] = defaultdict(float)
    count = 0
    with VideoReader(path, policy=sampling.policy, side_px=sampling.side_px) as reader:
        for frames in reader.sample(grid_times(sampling, reader.info.declared_duration_s)):
            for names in labeller.labels(frames, LABELS):
                count += 1
                for name, probability in names:
                    totals[name] += probability
    return {name: total / count for name, total in totals.items()}

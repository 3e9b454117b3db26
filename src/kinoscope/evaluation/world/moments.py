"""Temporal localisation: each text of a moment looks for its span in its own video.

Every run of a few sampled frames is a candidate and is embedded alone, as a clip. A method turns
the candidates' cosines with a text into one span; it is chosen on other videos than it is measured
on.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from kinoscope.backbones.protocol import Backbone
from kinoscope.evaluation.metrics import PerQuery
from kinoscope.evaluation.world.values import by_video
from kinoscope.evaluation.world.vectors import embed_clips, embed_texts
from kinoscope.evaluation.world.videos import WorldVideos
from kinoscope.spans import peak_of
from kinoscope.training.sources import Example
from kinoscope.types import Features, Float64, Span

LENGTHS = (1, 2, 3, 4, 5, 6)
"""Frames of the candidates."""
THRESHOLDS = {"r1_03": 0.3, "r1_05": 0.5, "r1_07": 0.7}


@dataclass(frozen=True, kw_only=True)
class Query:
    """A text, the span of its moment, and the video in which to look: its name and length."""

    key: str
    duration_s: float
    text: str
    span: Span


@dataclass(frozen=True, kw_only=True, eq=False)
class Searched:
    """A query and its cosines with all candidates of its video.

    Attributes:
        frames: how many of the video were sampled.
        cosines: by length in frames: of the runs that start with frame 0, 1, ...
    """

    query: Query
    frames: int
    cosines: dict[int, Float64]


@dataclass(frozen=True)
class Method:
    """How a span is found: the `best` candidate, or the peak of a `curve` of windows.

    `lengths`: frames of the candidates that it needs; a curve's windows are all of one length.
    """

    kind: Literal["best", "curve"]
    lengths: tuple[int, ...]

    def describe(self, fps: float) -> str:
        """For people."""
        if self.kind == "best":
            return f"best of all runs of {min(self.lengths)} to {max(self.lengths)} frames"
        return f"largest sum of the curve of {self.lengths[0] / fps:g} s windows, minus its mean"


def queries_of(examples: Iterable[Example], *, least_events: int = 2) -> dict[int, list[Query]]:
    """By video: a query for each of its moments, where there are several to choose from."""
    found = {}
    for number, example in enumerate(examples):
        if len(example.moments) >= least_events:
            assert example.duration_s is not None, "the world's videos have a length"
            found[number] = [
                Query(
                    key=example.key,
                    duration_s=example.duration_s,
                    text=moment.text,
                    span=moment.span,
                )
                for moment in example.moments
            ]
    return found


def search(
    backbone: Backbone, videos: WorldVideos, queries: dict[int, list[Query]], lengths: Sequence[int]
) -> list[Searched]:
    """Embeds the candidates of the queries' videos, and the queries."""
    counts: dict[int, int] = {}
    runs: list[tuple[int, int]] = []

    def cut() -> Iterator[Features]:
        for number in queries:
            clip = videos.clip(number)
            counts[number] = len(clip)
            for length in lengths:
                for first in range(len(clip) - length + 1):
                    runs.append((number, length))
                    yield clip.take(range(first, first + length))

    vectors_ND = embed_clips(backbone, cut())
    texts_ND = embed_texts(backbone, (q.text for asked in queries.values() for q in asked))
    places: dict[tuple[int, int], list[int]] = {}
    for place, run in enumerate(runs):
        places.setdefault(run, []).append(place)
    asked = ((number, query) for number, several in queries.items() for query in several)
    return [
        Searched(
            query=query,
            frames=counts[number],
            cosines={
                length: np.asarray(vectors_ND[places[number, length]] @ text_D.astype(np.float64))
                for length in lengths
                if (number, length) in places
            },
        )
        for (number, query), text_D in zip(asked, texts_ND, strict=True)
    ]


def located(method: Method, searched: Searched, fps: float) -> list[Span]:
    """What the method answers: one span, several of equal score, or none.

    Frame k stands for [k / fps, (k + 1) / fps), as far as the video goes.
    """
    if method.kind == "best":
        runs = _best_runs({length: searched.cosines[length] for length in method.lengths})
    else:
        (length,) = method.lengths
        curve_F = curve(searched.cosines[length], length, searched.frames)
        peak = peak_of(curve_F - curve_F.mean())
        runs = [] if peak is None else [peak]
    end_s = searched.query.duration_s
    return [Span(first / fps, min((first + length) / fps, end_s)) for first, length in runs]


def _best_runs(cosines: dict[int, Float64]) -> list[tuple[int, int]]:
    best = max(float(values_N.max()) for values_N in cosines.values())
    return [
        (int(first), length)
        for length, values_N in cosines.items()
        for first in np.flatnonzero(values_N >= best)
    ]


def curve(windows_N: Float64, length: int, frames: int) -> Float64:
    """For each frame [F] the mean score of the windows of `length` frames that hold it."""
    sums_F, counts_F = np.zeros(frames), np.zeros(frames)
    for first, score in enumerate(windows_N):
        sums_F[first : first + length] += score
        counts_F[first : first + length] += 1
    assert counts_F.all(), f"{len(windows_N)} windows of {length} do not cover {frames} frames"
    return sums_F / counts_F


def ious(method: Method, searched: Sequence[Searched], fps: float) -> Float64:
    """Of each query's answer with its moment [Q]; of equal answers the worst counts, of none 0."""
    return np.array(
        [
            min((each.query.span.iou(span) for span in located(method, each, fps)), default=0.0)
            for each in searched
        ]
    )


def choose_method(searched: Sequence[Searched], fps: float) -> tuple[Method, dict[str, object]]:
    """The method with the best R1@0.5 (of equals, mIoU), and the figures of all of them."""
    lengths = tuple(searched[0].cosines)
    methods = [Method("curve", (length,)) for length in lengths]
    if len(lengths) > 1:
        methods.insert(0, Method("best", lengths))
    figures = {}
    for method in methods:
        values_Q = ious(method, searched, fps)
        figures[method] = (float((values_Q >= 0.5).mean()), float(values_Q.mean()))
    chosen = max(figures, key=figures.__getitem__)
    told: dict[str, object] = {
        method.describe(fps): {"r1_05": r1, "miou": miou} for method, (r1, miou) in figures.items()
    }
    return chosen, told


def localisation(
    values_Q: Float64, queries: Sequence[Query], prior_s: float
) -> dict[str, PerQuery]:
    """Recall at three thresholds, mean IoU, and R1@0.5 of two answers that look at nothing.

    `moments_whole_video` answers the whole video, `moments_centre_prior` the span of `prior_s`
    seconds in its middle.
    """
    keys = [query.key for query in queries]
    values = {
        f"moments_{name}": by_video(keys, (values_Q >= least).astype(np.float64))
        for name, least in THRESHOLDS.items()
    }
    blind = {
        "moments_whole_video": [Span(0.0, query.duration_s) for query in queries],
        "moments_centre_prior": [centre(query.duration_s, prior_s) for query in queries],
    }
    for name, spans in blind.items():
        right = [q.span.iou(span) >= 0.5 for q, span in zip(queries, spans, strict=True)]
        values[name] = by_video(keys, np.array(right, np.float64))
    return {**values, "moments_miou": by_video(keys, values_Q)}


def centre(duration_s: float, length_s: float) -> Span:
    """A span of this length in the middle of a video, or all of a shorter one."""
    margin_s = max(0.0, (duration_s - length_s) / 2)
    return Span(margin_s, duration_s - margin_s)


def median_length_s(queries: dict[int, list[Query]]) -> float:
    """Of all moments."""
    lengths = [query.span.duration_s for several in queries.values() for query in several]
    return float(np.median(lengths))

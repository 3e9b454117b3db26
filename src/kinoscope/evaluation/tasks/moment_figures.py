"""What is sought in a video, what a model tells of it, and the figures of both."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kinoscope.evaluation.metrics import PerQuery
from kinoscope.evaluation.metrics.moments import (
    LENGTHS_S,
    THRESHOLDS,
    detection_precisions,
    first_ious,
    found_at,
    highlight_hits,
    highlight_precisions,
    of_length,
)
from kinoscope.evaluation.tasks.protocol import Film
from kinoscope.evaluation.tasks.rankings import Rankings
from kinoscope.types import Float64

SHOWN = 10
"""Windows that are kept for a person to look at; mAP reads as many."""
_RATINGS = {"fair": 2, "good": 3, "verygood": 4}


@dataclass(frozen=True, eq=False)
class Sought:
    """A text, its film, its true windows [G, 2] in seconds, and ratings of clips [C, A] or none."""

    name: str
    film: Film
    text: str
    windows_G2: Float64
    ratings_CA: Float64 | None = None


@dataclass(frozen=True, eq=False)
class Told:
    """What a model says of one query: windows with scores [P, 3], best first; of clips [C]."""

    windows_P3: Float64
    saliency_C: Float64


def judged(asked: Sequence[Sought], told: Mapping[str, Told]) -> dict[str, PerQuery]:
    """R1@0.3 to 0.7, mIoU, mAP, the same by length of window; highlights where they were rated.

    A query of which nothing is told counts as 0, and never as absent.
    """
    none = Told(np.zeros((0, 3)), np.zeros(0))
    answers = [told.get(each.name, none) for each in asked]
    windows = [answer.windows_P3 for answer in answers]
    truths = [each.windows_G2 for each in asked]
    ious_Q = first_ious(windows, truths)
    precisions_QK = detection_precisions(windows, truths)
    values = {f"r1_{round(100 * t):03d}": _of(asked, found_at(t, ious_Q)) for t in (0.3, 0.5, 0.7)}
    values |= {
        "miou": _of(asked, ious_Q),
        "map": _of(asked, precisions_QK.mean(axis=1)),
        "map_050": _of(asked, precisions_QK[:, THRESHOLDS.index(0.5)]),
        "map_075": _of(asked, precisions_QK[:, THRESHOLDS.index(0.75)]),
    }
    for kind, (above_s, most_s) in LENGTHS_S.items():
        parts = of_length(truths, above_s, most_s)
        rows = [row for row, windows_G2 in enumerate(parts) if len(windows_G2)]
        if rows:
            some = detection_precisions([windows[r] for r in rows], [parts[r] for r in rows])
            values[f"map_{kind}"] = _of([asked[row] for row in rows], some.mean(axis=1))
    return values | _highlights(asked, answers)


def told_windows(asked: Sequence[Sought], told: Mapping[str, Told]) -> Rankings:
    """The first `SHOWN` windows of each query, and its true ones, which have no rank."""
    films = list(dict.fromkeys(each.film.id for each in asked))
    row_of = {name: number for number, name in enumerate(films)}
    rows: list[tuple[int, int, int, float, bool, float, float]] = []
    for query, each in enumerate(asked):
        item, answer = row_of[each.film.id], told.get(each.name)
        if answer is not None:
            for rank, (start_s, end_s, score) in enumerate(answer.windows_P3[:SHOWN].tolist(), 1):
                rows.append((query, item, rank, score, False, start_s, end_s))
        for start_s, end_s in each.windows_G2.tolist():
            rows.append((query, item, 0, 0.0, True, start_s, end_s))
    query_L, item_L, rank_L, score_L, right_L, start_L, end_L = zip(*rows, strict=True)
    return Rankings(
        queries=tuple(each.name for each in asked),
        items=tuple(films),
        query_L=np.array(query_L, np.int64),
        item_L=np.array(item_L, np.int64),
        rank_L=np.array(rank_L, np.int64),
        score_L=np.array(score_L, np.float64),
        right_L=np.array(right_L, np.bool_),
        spans_L2=np.stack([np.array(start_L, np.float64), np.array(end_L, np.float64)], axis=1),
        texts=tuple(each.text for each in asked),
    )


def _highlights(asked: Sequence[Sought], answers: Sequence[Told]) -> dict[str, PerQuery]:
    values = {}
    pairs = list(zip(asked, answers, strict=True))
    rated = [(each, one, each.ratings_CA) for each, one in pairs if each.ratings_CA is not None]
    some = [each for each, *_ in rated]
    for name, least in _RATINGS.items() if rated else ():
        chosen = [(ratings >= least).astype(np.float64) for *_, ratings in rated]
        scores = [one.saliency_C if len(one.saliency_C) else np.zeros(1) for _, one, _ in rated]
        values[f"hl_map_{name}"] = _of(some, highlight_precisions(scores, chosen))
        values[f"hl_hit1_{name}"] = _of(some, highlight_hits(scores, chosen))
    return values


def _of(asked: Iterable[Sought], values_Q: Float64) -> PerQuery:
    several = list(asked)
    return PerQuery(
        queries=tuple(each.name for each in several),
        videos=tuple(each.film.id for each in several),
        values_Q=values_Q,
    )

"""The first items of each query's list: what other tools judge again, and people look at."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from kinoscope.errors import UsageError
from kinoscope.evaluation.metrics.checks import ROUNDING, Positives, Scores, check_scores, finite
from kinoscope.types import Bool, Float64, Int64

DEPTH = 100
"""Items that are kept of each list; what is right is kept wherever it stands."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Rankings:
    """Rows [L] of lists, query by query, best first.

    Attributes:
        queries, items: names; a row's are `queries[query_L]` and `items[item_L]`.
        query_L, item_L: their numbers.
        rank_L: place in the whole list, from 1; 0 for what is right and was never told.
        score_L: what the list is ordered by; 0 where the rank is 0.
        right_L: whether the item answers the query.
        spans_L2: start and end in seconds, of items that are windows of a video.
        texts: of the queries, where a person may want to read them; else empty.
    """

    queries: tuple[str, ...]
    items: tuple[str, ...]
    query_L: Int64
    item_L: Int64
    rank_L: Int64
    score_L: Float64
    right_L: Bool
    spans_L2: Float64 | None = None
    texts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        count = len(self.query_L)
        columns = (self.item_L, self.rank_L, self.score_L, self.right_L)
        if not count or any(len(each) != count for each in columns):
            raise UsageError(f"lists of {count} rows whose columns differ, or of none")
        if self.spans_L2 is not None and self.spans_L2.shape != (count, 2):
            raise UsageError(f"windows {list(self.spans_L2.shape)} of {count} rows: [L, 2]")
        if self.texts and len(self.texts) != len(self.queries):
            raise UsageError(f"{len(self.texts)} texts of {len(self.queries)} queries: all or none")
        for numbers_L, names in ((self.query_L, self.queries), (self.item_L, self.items)):
            if numbers_L.min() < 0 or numbers_L.max() >= len(names):
                raise UsageError(f"lists name rows outside 0..{len(names) - 1}")
        if self.rank_L.min() < 0:
            raise UsageError(f"rank {self.rank_L.min()}: ranks begin at 1")
        finite(self.score_L)
        if self.spans_L2 is not None:
            finite(self.spans_L2)

    def __repr__(self) -> str:
        return f"Rankings({len(self.queries)} queries, {len(self.items)} items)"

    def by_query(self) -> Iterator[tuple[int, Int64]]:
        """Each query's number with its rows, best first, never told last."""
        last_L = np.where(self.rank_L == 0, np.iinfo(np.int64).max, self.rank_L)
        order_L = np.lexsort((last_L, self.query_L))
        edges = np.flatnonzero(np.diff(self.query_L[order_L])) + 1
        for rows_K in np.split(order_L, edges):
            yield int(self.query_L[rows_K[0]]), rows_K


def first_of(
    scores_QN: Scores,
    positives: Positives,
    *,
    names: tuple[Sequence[str], Sequence[str]],
    shown_QN: Bool | None = None,
) -> Rankings:
    """The first `DEPTH` items of each query, and what is right behind them.

    A tie counts against the query, as in `ranks`: wrong items stand before a right one that scores
    at most `ROUNDING` more. So the first right item stands at the query's rank.

    Args:
        scores_QN: higher is better; finite.
        positives: for each query the items that answer it.
        names: those of queries and of items.
        shown_QN: which items are in each query's gallery; all if None.
    """
    check_scores(scores_QN, positives, shown_QN)
    parts = []
    for query, right in enumerate(positives):
        scores_N = scores_QN[query]
        right_N = np.zeros(len(scores_N), np.bool_)
        right_N[list(right)] = True
        worth_N = np.where(right_N, scores_N.astype(np.float64) - ROUNDING, scores_N)
        worth_N = worth_N.astype(scores_N.dtype)  # compared as `ranks` does
        order_N = np.lexsort((right_N, -worth_N))
        if shown_QN is not None:
            order_N = order_N[shown_QN[query][order_N]]
        places = np.arange(1, len(order_N) + 1)
        kept = (places <= DEPTH) | right_N[order_N]
        chosen_K = order_N[kept]
        parts.append((np.full(len(chosen_K), query), chosen_K, places[kept], right_N[chosen_K]))
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    query_L, item_L, rank_L, right_L = columns
    return Rankings(
        queries=tuple(names[0]),
        items=tuple(names[1]),
        query_L=query_L.astype(np.int64),
        item_L=item_L.astype(np.int64),
        rank_L=rank_L.astype(np.int64),
        score_L=scores_QN[query_L, item_L].astype(np.float64),
        right_L=right_L,
    )

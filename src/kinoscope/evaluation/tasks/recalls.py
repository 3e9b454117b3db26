"""Queries with their galleries and what is right in them, as values by query."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from kinoscope.evaluation.metrics import PerQuery, average_precisions, ranks, recall_at, tied
from kinoscope.evaluation.metrics.checks import ROUNDING, Positives, Scores
from kinoscope.evaluation.metrics.dual_softmax import dual_softmax
from kinoscope.evaluation.tasks.protocol import Options
from kinoscope.evaluation.tasks.rankings import Rankings, first_of
from kinoscope.types import Bool, Float64, Int64

CUTOFFS = (1, 5, 10)


@dataclass(frozen=True, kw_only=True, eq=False)
class Asked:
    """Scores [Q, N] of named queries, each about a video, with the items that are right.

    `items` names what is looked for. `shown_QN` says which of them are in each query's gallery; all
    if None.
    """

    scores_QN: Scores
    positives: Positives
    queries: Sequence[str]
    videos: Sequence[str]
    items: Sequence[str]
    shown_QN: Bool | None = None

    def values(self, values_Q: Float64) -> PerQuery:
        """One of each query."""
        return PerQuery(queries=tuple(self.queries), videos=tuple(self.videos), values_Q=values_Q)

    def ranks(self) -> Int64:
        """Of the best right item, from 1 [Q]; a tie counts against the query."""
        return ranks(self.scores_QN, self.positives, shown_QN=self.shown_QN, rounding=ROUNDING)

    def recalls(self, name: str, cutoffs: Sequence[int] = CUTOFFS) -> dict[str, PerQuery]:
        """`name_r1`, ..., the mean rank `name_mnr`, and `name_tied`, the share of queries whose
        answer ties with another."""
        found = self.ranks()
        ties_Q = tied(self.scores_QN, self.positives, shown_QN=self.shown_QN, rounding=ROUNDING)
        return {
            **{f"{name}_r{k}": self.values(recall_at(k, found)) for k in cutoffs},
            f"{name}_mnr": self.values(found.astype(np.float64)),
            f"{name}_tied": self.values(ties_Q),
        }

    def precisions(self) -> PerQuery:
        """Average precision of each: the mean is mAP."""
        return self.values(
            average_precisions(
                self.scores_QN, self.positives, shown_QN=self.shown_QN, rounding=ROUNDING
            )
        )

    def rankings(self) -> Rankings:
        """The first items of each query's list."""
        return first_of(
            self.scores_QN,
            self.positives,
            names=(self.queries, self.items),
            shown_QN=self.shown_QN,
        )

    def scored(self, options: Options) -> "Asked":
        """The same, by dual softmax if that is asked for."""
        if not options.dual_softmax:
            return self
        return replace(self, scores_QN=dual_softmax(self.scores_QN, self.shown_QN))

    def only(self, kept: Sequence[int]) -> "Asked":
        """Some of the queries."""
        rows = list(kept)
        return Asked(
            scores_QN=self.scores_QN[rows],
            positives=[self.positives[row] for row in rows],
            queries=[self.queries[row] for row in rows],
            videos=[self.videos[row] for row in rows],
            items=self.items,
            shown_QN=None if self.shown_QN is None else self.shown_QN[rows],
        )


def own(count: int) -> list[list[int]]:
    """Item i is right for query i."""
    return [[number] for number in range(count)]


def row_dots(first_ND: Scores, second_ND: Scores) -> Float64:
    """Cosines [N] of unit vectors, row by row."""
    return np.asarray((first_ND.astype(np.float64) * second_ND).sum(axis=1))

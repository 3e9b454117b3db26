"""R@k over k, from the ranks by query that a saved evaluation has."""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from kinoscope.evaluation.metrics import recall_at
from kinoscope.evaluation.report.blocks import Picture, Table, shown
from kinoscope.evaluation.report.gathered import Row
from kinoscope.evaluation.report.markup import line_chart
from kinoscope.types import Float64

RANKS = "_mnr"
"""What ends the name of a figure whose values by query are ranks."""
_CUTOFFS = (1, 2, 3, 5, 10, 20, 50, 100)


def curves(rows: Sequence[Row]) -> Iterator[Table | Picture]:
    """For each kind of query a table and a drawing of R@k at k from 1 to 100."""
    kinds = dict.fromkeys(name for row in rows for name in row.found.values if name.endswith(RANKS))
    for kind in kinds:
        known = [
            (shown(row.label), row.found.values[kind].values_Q)
            for row in rows
            if kind in row.found.values
        ]
        name = shown(kind.removesuffix(RANKS))
        last = min(_CUTOFFS[-1], max(2, int(max(ranks_Q.max() for _, ranks_Q in known))))
        cutoffs = [k for k in _CUTOFFS if k <= last]
        yield Table(
            caption=f"{name}: R@k in percent",
            head=["model", *(f"k = {k}" for k in cutoffs)],
            rows=[
                [label, *(f"{100 * recall:.1f}" for recall in recalls(ranks_Q, cutoffs))]
                for label, ranks_Q in known
            ],
            numbers=True,
        )
        every = range(1, last + 1)
        yield Picture(
            element=line_chart(
                [
                    (label, [(_place(k, last), r) for k, r in zip(every, recalls(ranks_Q, every),
                                                                  strict=True)])
                    for label, ranks_Q in known
                ],
                axes=("k", "R@k, %"),
                marks=[(_place(k, last), str(k)) for k in cutoffs],
                title=f"{name}: R@k over k from 1 to {last}, a line a model",
            ),
            caption=f"{name}: R@k over k, which grows by factors",
        )  # fmt: skip


def recalls(ranks_Q: Float64, cutoffs: Sequence[int]) -> list[float]:
    """R@k at each k."""
    places_Q = np.clip(ranks_Q, 1, _CUTOFFS[-1] + 1).astype(np.int64)  # a file may say anything
    return [float(recall_at(k, places_Q).mean()) for k in cutoffs]


def _place(k: int, last: int) -> float:
    return math.log(k) / math.log(last)

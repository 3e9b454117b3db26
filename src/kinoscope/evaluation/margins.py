"""Hard-negative margins: how much nearer an anchor is to its right sentence than to its wrong one.

A margin is the cosine with the positive minus the cosine with the hard negative; by the part of a
triplet it says which nuance a model tells apart.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kinoscope.backbones.protocol import Backbone
from kinoscope.errors import UsageError
from kinoscope.evaluation.metrics import mean_with_interval
from kinoscope.evaluation.results import Metric
from kinoscope.evaluation.world.vectors import embed
from kinoscope.thinking.thinker import Thinker
from kinoscope.training.triplets import Triplet
from kinoscope.types import Float32, Float64, check_vectors


@dataclass(frozen=True, kw_only=True, eq=False)
class Margins:
    """One margin a triplet, in -2..2.

    Attributes:
        parts: of each triplet.
        anchors: of each triplet: several with one anchor are not independent.
        values_N: float64.
    """

    parts: tuple[str, ...]
    anchors: tuple[str, ...]
    values_N: Float64

    def __post_init__(self) -> None:
        counts = {len(self.parts), len(self.anchors), len(self.values_N)}
        if len(counts) != 1 or not len(self.values_N):
            raise UsageError(f"{sorted(counts)} parts, anchors and margins: equal, at least one")

    def __repr__(self) -> str:
        return f"Margins({len(self.values_N)} of {', '.join(dict.fromkeys(self.parts))})"

    def of(self, part: str) -> Float64:
        """The margins of one part."""
        found_N: Float64 = self.values_N[np.array(self.parts) == part]
        return found_N

    def metrics(self) -> dict[str, Metric]:
        """`PART_accuracy`, where a tie is wrong, and `PART_margin`, the mean; `text_accuracy`.

        The last is the mean over parts, each weighing the same. Intervals draw anchors anew.
        """
        found: dict[str, Metric] = {}
        accuracies = []
        for part in dict.fromkeys(self.parts):
            values_N = self.of(part)
            anchors = [a for a, p in zip(self.anchors, self.parts, strict=True) if p == part]
            right_N = (values_N > 0).astype(np.float64)
            found[f"{part}_accuracy"] = mean_with_interval(right_N, anchors)
            found[f"{part}_margin"] = mean_with_interval(values_N, anchors)
            accuracies.append(float(right_N.mean()))
        mean = Metric(value=float(np.mean(accuracies)), n=len(self.values_N))
        return {**found, "text_accuracy": mean}


def margins(anchors_ND: Float32, right_ND: Float32, wrong_ND: Float32) -> Float64:
    """Cosine with the right row minus cosine with the wrong one, a row a triplet [N].

    Rows must be float32 and of unit length. Raises `UsageError` for unlike shapes, or none.
    """
    shapes = {rows.shape for rows in (anchors_ND, right_ND, wrong_ND)}
    if len(shapes) != 1 or not len(anchors_ND):
        raise UsageError(f"vectors of shapes {sorted(shapes)}: give one row a triplet for each")
    for rows_ND in (anchors_ND, right_ND, wrong_ND):
        check_vectors(rows_ND)
    right_N = np.einsum("nd,nd->n", anchors_ND, right_ND, dtype=np.float64)
    wrong_N = np.einsum("nd,nd->n", anchors_ND, wrong_ND, dtype=np.float64)
    return np.asarray(right_N - wrong_N, np.float64)


def margins_of(model: Backbone | Thinker, triplets: Sequence[Triplet]) -> Margins:
    """A model's margins on triplets; composed ones are left out where it reads no edits.

    Raises `UsageError` if none is left.
    """
    kinds = model.backbone.kinds if isinstance(model, Thinker) else model.kinds
    read = [one for one in triplets if not one.edit or "composed" in kinds]
    contents = [content for one in read for content in one.contents()]
    rows_ND = embed(model, contents)
    found_N = margins(rows_ND[0::3], rows_ND[1::3], rows_ND[2::3])
    return Margins(
        parts=tuple(one.part for one in read),
        anchors=tuple(one.anchor for one in read),
        values_N=found_N,
    )

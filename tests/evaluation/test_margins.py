"""Margins of hard negatives: a naive twin, ties, parts, models that read no edits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinoscope.errors import UsageError
from kinoscope.evaluation.margins import Margins, margins, margins_of
from kinoscope.evaluation.world.vectors import embed
from kinoscope.training.triplets import mixed
from kinoscope.types import Content
from tests.evaluation.test_space import unit
from tests.training.tiny_nuance import COUNTS, MIX, tiny_model


@given(count=st.integers(1, 9), width=st.integers(2, 6), seed=st.integers(0, 99))
def test_a_margin_is_the_difference_of_two_cosines(count, width, seed) -> None:
    sides = [unit(count, width, seed + n) for n in range(3)]
    naive = [
        float(a.astype(float) @ p.astype(float) - a.astype(float) @ n.astype(float))
        for a, p, n in zip(*sides, strict=True)
    ]
    assert margins(*sides) == pytest.approx(naive, abs=1e-12)


def test_shapes_that_differ_or_none_are_refused() -> None:
    with pytest.raises(UsageError, match=r"vectors of shapes \[\(2, 3\), \(3, 3\)\]: give one row"):
        margins(unit(3, 3, 0), unit(3, 3, 1), unit(2, 3, 2))
    with pytest.raises(UsageError, match="give one row a triplet"):
        margins(*(np.empty((0, 3), np.float32) for _ in range(3)))
    with pytest.raises(UsageError, match=r"\[0\] parts, anchors and margins: equal, at least one"):
        Margins(parts=(), anchors=(), values_N=np.empty(0))


def test_a_tie_is_wrong_and_parts_weigh_the_same() -> None:
    found = Margins(
        parts=("time", "time", "time", "time", "order"),
        anchors=("a", "a", "b", "c", "d"),
        values_N=np.array([0.3, 0.0, -0.1, 0.2, 0.4]),
    ).metrics()
    assert found["time_accuracy"].value == 0.5 and found["time_accuracy"].n == 4
    assert found["time_accuracy"].low < 0.5 < found["time_accuracy"].high
    assert found["time_margin"].value == pytest.approx(0.1)
    assert found["order_accuracy"].interval == (1.0, 1.0, 1.0)
    assert found["text_accuracy"].value == 0.75 and found["text_accuracy"].n == 5


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    return tiny_model("qwen2_vl", tmp_path_factory.mktemp("tiny") / "qwen2_vl")


def test_a_model_s_margins_are_those_of_its_vectors_by_part(backbone) -> None:
    triplets = mixed(MIX).triplets
    found = margins_of(backbone, triplets)
    assert {part: len(found.of(part)) for part in COUNTS} == COUNTS
    one = next(one for one in triplets if one.edit)
    place = triplets.index(one)
    anchor, right, wrong = embed(
        backbone,
        [
            Content(text=one.edit, caption=one.anchor),
            Content(text=one.positive),
            Content(text=one.negative),
        ],
    )
    assert found.values_N[place] == pytest.approx(anchor @ right - anchor @ wrong, abs=1e-4)


class Deaf:
    """Reads no edits."""

    def __init__(self, backbone):
        self._backbone = backbone
        self.kinds = frozenset({"text"})

    def __getattr__(self, name):
        return getattr(self._backbone, name)


def test_edits_are_left_out_where_a_model_reads_none(backbone) -> None:
    triplets = mixed(MIX).triplets
    found = margins_of(Deaf(backbone), triplets)
    assert set(found.parts) == {"time", "negation"}
    with pytest.raises(UsageError, match="give one row a triplet for each"):
        margins_of(Deaf(backbone), [one for one in triplets if one.edit])

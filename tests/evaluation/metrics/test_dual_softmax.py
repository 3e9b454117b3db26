"""Dual softmax against its definition, its symmetries, and what it must never do."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinoscope.errors import UsageError
from kinoscope.evaluation.metrics import ranks
from kinoscope.evaluation.metrics.checks import ROUNDING
from kinoscope.evaluation.metrics.dual_softmax import dual_softmax


def naive(scores, shown, temperature):
    """Score times its softmax over the queries that see the item, one by one; None if not shown."""
    found = [[None] * len(row) for row in scores]
    for i, row in enumerate(scores):
        for j, score in enumerate(row):
            if shown[i][j]:
                sees = [other[j] for other, sight in zip(scores, shown, strict=True) if sight[j]]
                total = sum(math.exp(one / temperature) for one in sees)
                found[i][j] = max(score, 0.01) * math.exp(score / temperature) / total
    return found


@st.composite
def galleries(draw):
    """Scores of which some are equal, and which of them are shown."""
    shape = draw(st.tuples(st.integers(1, 6), st.integers(1, 6)))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    scores_QN = random.choice([-1, -0.2, 0, 0.25, 0.5, 1], shape) + random.choice([0, 0.07], shape)
    return scores_QN, random.random(shape) < draw(st.sampled_from([1.0, 0.6]))


@given(galleries(), st.sampled_from([0.05, 0.3, 2.0]))
def test_the_scores_are_the_logarithm_of_the_published_product(made, temperature):
    scores_QN, shown_QN = made
    found_QN = dual_softmax(scores_QN, shown_QN, temperature=temperature)
    for i, row in enumerate(naive(scores_QN.tolist(), shown_QN.tolist(), temperature)):
        for j, product in enumerate(row):
            wanted = scores_QN[i, j] if product is None else temperature * math.log(product)
            assert found_QN[i, j] == pytest.approx(wanted, abs=1e-9)


@given(galleries())
def test_a_single_query_finds_what_it_found_before(made):
    scores_1N = made[0][:1]
    before, after = (ranks(s, [[0]], rounding=1e-9) for s in (scores_1N, dual_softmax(scores_1N)))
    if scores_1N.min() > 0.01:
        assert np.array_equal(before, after)
    assert np.isfinite(dual_softmax(scores_1N)).all()


@given(galleries(), st.randoms())
def test_the_order_of_queries_and_items_changes_nothing(made, random):
    scores_QN, shown_QN = made
    queries, items = (random.sample(range(count), count) for count in scores_QN.shape)
    moved = dual_softmax(scores_QN[queries][:, items], shown_QN[queries][:, items])
    assert np.allclose(moved, dual_softmax(scores_QN, shown_QN)[queries][:, items], atol=1e-12)


@given(galleries())
def test_items_that_nobody_sees_change_nothing(made):
    scores_QN, shown_QN = made
    wide_QN = np.concatenate([scores_QN, np.ones((len(scores_QN), 2))], axis=1)
    sight_QN = np.concatenate([shown_QN, np.zeros((len(shown_QN), 2), np.bool_)], axis=1)
    found = dual_softmax(wide_QN, sight_QN)
    assert np.array_equal(found[:, :-2], dual_softmax(scores_QN, shown_QN))
    assert np.array_equal(found[:, -2:], wide_QN[:, -2:])


def test_an_item_that_is_near_to_all_queries_loses():
    hub_QN = np.array([[0.5, 0.3, 0.6], [0.3, 0.5, 0.6], [0.1, 0.1, 0.62]])
    right = [[0], [1], [2]]
    assert ranks(hub_QN, right).tolist() == [2, 2, 1]
    assert ranks(dual_softmax(hub_QN), right).tolist() == [1, 1, 1]


def test_a_model_that_has_collapsed_still_ties_with_everything():
    noise_QN = np.random.default_rng(0).normal(0, 1e-8, (40, 40))
    found_QN = dual_softmax(0.7 + noise_QN)
    assert ranks(found_QN, [[n] for n in range(40)], rounding=ROUNDING).tolist() == [40] * 40


def test_cosines_far_apart_neither_vanish_nor_overflow():
    scores_QN = np.array([[1.0, -1.0, -0.99], [-1.0, -0.98, 1.0]])
    found_QN = dual_softmax(scores_QN, temperature=1e-4)
    assert np.isfinite(found_QN).all()
    assert ranks(found_QN, [[0], [2]]).tolist() == [1, 1]


@pytest.mark.parametrize(
    ("given_", "words"),
    [
        ({"scores_QN": np.array([[0.1, np.nan]])}, "NaN or infinite"),
        ({"scores_QN": np.zeros(3)}, r"scores \[3\] at temperature 0.01"),
        ({"scores_QN": np.zeros((2, 2)), "temperature": 0.0}, "a number above 0"),
        ({"scores_QN": np.zeros((2, 2)), "shown_QN": np.ones((2, 3), np.bool_)}, "galleries"),
    ],
)
def test_what_cannot_be_corrected_is_refused(given_, words):
    with pytest.raises(UsageError, match=words):
        dual_softmax(**given_)

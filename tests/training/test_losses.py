"""Contrast and localisation against hand-computed cases, naive twins and numerical gradients."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kinoscope.errors import UsageError
from kinoscope.training.gather import Rows, alone
from kinoscope.training.losses import (
    NotFinite,
    info_nce,
    localisation,
    matching,
    next_token,
    triplets,
    two_way,
    window_labels,
)
from kinoscope.types import Span

pytestmark = pytest.mark.usefixtures("one_torch_thread")
sizes = st.integers(1, 7)
seeds = st.integers(0, 2**32 - 1)


def unit(*shape: int, seed: int = 0) -> torch.Tensor:
    random = np.random.default_rng(seed)
    return torch.nn.functional.normalize(torch.from_numpy(random.normal(size=shape)), dim=-1)


def free(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.clone().requires_grad_()


def as_unit(tensor: torch.Tensor) -> torch.Tensor:
    """So that a numerical gradient may step off the sphere."""
    return torch.nn.functional.normalize(tensor, dim=-1)


def naive_two_way(video, text, temperature, hard=None, same=None):
    """Both directions by loops over single pairs; hard texts [B, H, D] or [C, D]."""
    found = []
    for anchors, others, extra in ((video, text, hard), (text, video, None)):
        rows = []
        for i in range(len(anchors)):
            scores = [
                math.exp(anchors[i] @ others[j] / temperature)
                for j in range(len(others))
                if i == j or same is None or not same[i][j]
            ]
            more = [] if extra is None else extra if extra.ndim == 2 else extra[i]
            scores += [math.exp(anchors[i] @ row / temperature) for row in more]
            rows.append(-math.log(math.exp(anchors[i] @ others[i] / temperature) / sum(scores)))
        found.append(rows)
    return np.array(found)


# contrast


def test_two_orthogonal_pairs_give_the_closed_form():
    eye_BD = torch.eye(2, dtype=torch.float64)
    both = two_way(alone(eye_BD), alone(eye_BD), temperature=0.5)
    expected = math.log(1 + math.exp(-2))  # scores 2 and 0
    assert both.rows_B.tolist() == pytest.approx([expected] * 2, abs=1e-15)


def test_tara_with_one_triplet_compares_positive_with_hard_negative_alone():
    anchor_BD = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    positive_BD = torch.tensor([[0.6, 0.8]], dtype=torch.float64)
    negative_BD = torch.tensor([[0.8, 0.6]], dtype=torch.float64)
    loss_B = triplets(anchor_BD, alone(positive_BD), alone(negative_BD), temperature=0.05)
    assert loss_B.tolist() == pytest.approx([math.log(1 + math.exp(0.2 / 0.05))], abs=1e-12)


@given(sizes, sizes, seeds)
def test_tara_equals_its_formula_term_by_term(count, dimension, seed):
    anchors, positives, negatives = unit(3, count, dimension, seed=seed)
    losses_B = triplets(anchors, alone(positives), alone(negatives), temperature=0.2)
    for i, loss in enumerate(losses_B.tolist()):
        below = sum(
            math.exp(anchors[i] @ positives[j] / 0.2) + math.exp(anchors[i] @ negatives[j] / 0.2)
            for j in range(count)
        )
        share = math.exp(anchors[i] @ positives[i] / 0.2) / below
        assert loss == pytest.approx(-math.log(share), rel=1e-9, abs=1e-12)


@given(sizes, sizes, st.sampled_from(["none", "shared", "own"]), st.booleans(), seeds)
def test_two_way_equals_its_naive_twin(count, dimension, hard, some_are_same, seed):
    video, text = unit(2, count, dimension, seed=seed)
    shapes = {"none": None, "shared": (3, dimension), "own": (count, 2, dimension)}
    more = None if shapes[hard] is None else unit(*shapes[hard], seed=seed + 1)
    random = np.random.default_rng(seed)
    same = torch.from_numpy(random.random((count, count)) < 0.4) if some_are_same else None
    both = two_way(alone(video), alone(text), temperature=0.3, hard_text=more, same_BN=same)
    expected = naive_two_way(
        video.numpy(), text.numpy(), 0.3, None if more is None else more.numpy(), same
    )
    found = np.array([both.video_to_text_B.tolist(), both.text_to_video_B.tolist()])
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_hard_videos_count_from_the_text_side_only():
    video, text, hard = unit(3, 4, 5)
    plain = two_way(alone(video), alone(text), temperature=0.1)
    harder = two_way(alone(video), alone(text), temperature=0.1, hard_video=hard[:, None])
    assert torch.equal(plain.video_to_text_B, harder.video_to_text_B)
    assert (harder.text_to_video_B > plain.text_to_video_B).all()


@given(st.integers(2, 7), seeds)
def test_the_order_of_pairs_only_reorders_the_values(count, seed):
    video, text = unit(2, count, 6, seed=seed)
    order = torch.from_numpy(np.random.default_rng(seed).permutation(count))
    before = two_way(alone(video), alone(text), temperature=0.1).rows_B
    after = two_way(alone(video[order]), alone(text[order]), temperature=0.1).rows_B
    torch.testing.assert_close(after, before[order], rtol=1e-12, atol=1e-12)


@given(sizes, seeds)
def test_a_high_temperature_makes_all_candidates_equal(count, seed):
    video, text = unit(2, count, 4, seed=seed)
    rows_B = two_way(alone(video), alone(text), temperature=1e9).rows_B
    assert rows_B.tolist() == pytest.approx([math.log(count)] * count, abs=1e-6)


def test_a_low_temperature_leaves_nothing_where_the_positive_is_nearest():
    rows_B = two_way(alone(torch.eye(5)), alone(torch.eye(5)), temperature=1e-3).rows_B
    assert rows_B.tolist() == [0.0] * 5


def test_the_loss_is_symmetric_between_videos_and_texts():
    video, text = unit(2, 5, 4)
    one = two_way(alone(video), alone(text), temperature=0.1)
    other = two_way(alone(text), alone(video), temperature=0.1)
    assert torch.equal(one.video_to_text_B, other.text_to_video_B)
    assert torch.equal(one.rows_B, other.rows_B)


def test_a_false_negative_neither_counts_nor_gets_a_gradient():
    video, text = unit(2, 3, 4)
    same_BN = torch.eye(3, dtype=torch.bool)
    same_BN[0, 2] = same_BN[2, 0] = True
    texts = free(text)
    info_nce(video[:1], texts, torch.tensor([0]), temperature=0.1, false_BN=same_BN[:1]).backward()
    assert texts.grad[2].tolist() == [0.0] * 4
    assert texts.grad[1].abs().sum() > 0
    # opposite to all others, so that a score of 0 instead of -inf would be the best one
    low_BD = torch.tensor([[-1.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
    anchor_BD = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    marked = torch.tensor([[False, True]])
    alone_B = info_nce(anchor_BD, low_BD, torch.tensor([0]), temperature=1, false_BN=marked)
    assert alone_B.tolist() == [0.0]


def test_own_rows_among_those_of_other_processes_find_their_positives():
    video, text = unit(2, 6, 4)
    whole = two_way(alone(video), alone(text), temperature=0.1)
    part = two_way(
        Rows(video[2:5], video, first=2), Rows(text[2:5], text, first=2), temperature=0.1
    )
    torch.testing.assert_close(part.rows_B, whole.rows_B[2:5], rtol=1e-12, atol=1e-12)


def test_contrast_in_sixteen_bits_is_computed_in_thirty_two():
    video, text = unit(2, 8, 64).float()
    with torch.autocast("cpu", torch.bfloat16):
        mixed_B = two_way(alone(video), alone(text), temperature=0.05).rows_B
    assert mixed_B.dtype == torch.float32
    assert torch.equal(mixed_B, two_way(alone(video), alone(text), temperature=0.05).rows_B)


def test_a_learned_temperature_gets_a_gradient():
    video, text = unit(2, 4, 8)
    temperature = torch.tensor(0.1, dtype=torch.float64, requires_grad=True)
    two_way(alone(video), alone(text), temperature=temperature).rows_B.mean().backward()
    assert temperature.grad.abs() > 0


def test_gradients_of_contrasts_are_those_of_finite_differences():
    video, text, hard = (free(rows) for rows in unit(3, 3, 4))
    same_BN = torch.zeros(3, 3, dtype=torch.bool)
    same_BN[0, 1] = True

    def both(video, text, hard):
        rows = [alone(as_unit(rows)) for rows in (video, text)]
        hard_B1D = as_unit(hard)[:, None]
        return two_way(*rows, temperature=0.2, hard_text=hard_B1D, same_BN=same_BN).rows_B

    def tara(video, text, hard):
        pools = [alone(as_unit(rows)) for rows in (text, hard)]
        return triplets(as_unit(video), *pools, temperature=0.2)

    for loss in (both, tara):
        assert torch.autograd.gradcheck(loss, (video, text, hard))


# localisation


def test_windows_are_right_wrong_or_ignored_by_their_overlap():
    moment = ("a", Span(0, 10))
    windows = [
        ("a", Span(0, 10)),
        ("a", Span(0, 7)),  # IoU 0.7: right
        ("a", Span(0, 6.9)),
        ("a", Span(0, 2)),  # IoU 0.2: ignored
        ("a", Span(0, 1.9)),
        ("a", Span(20, 30)),
        ("b", Span(20, 30)),  # of another video
    ]
    assert window_labels([moment], windows).tolist() == [[1, 1, 0, 0, -1, -1, 0]]


def naive_localisation(queries, windows, labels, temperature):
    rows = []
    for query, marks in zip(queries, labels, strict=True):
        scores = [math.exp(query @ window / temperature) for window in windows]
        wrong = sum(s for s, mark in zip(scores, marks, strict=True) if mark < 0)
        right = [s for s, mark in zip(scores, marks, strict=True) if mark > 0]
        rows.append(sum(-math.log(s / (s + wrong)) for s in right) / len(right))
    return rows


@given(sizes, sizes, seeds)
def test_localisation_equals_its_naive_twin(queries, windows, seed):
    queries_QD, windows_ND = unit(queries, 5, seed=seed), unit(windows, 5, seed=seed + 1)
    labels_QN = np.random.default_rng(seed).integers(-1, 2, (queries, windows))
    labels_QN[:, 0] = 1
    found = localisation(queries_QD, windows_ND, torch.from_numpy(labels_QN), temperature=0.2)
    expected = naive_localisation(queries_QD.numpy(), windows_ND.numpy(), labels_QN, 0.2)
    assert found.tolist() == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_ignored_windows_get_no_gradient_and_wrong_ones_do():
    windows = free(unit(3, 4))
    labels_QN = torch.tensor([[1, 0, -1]])
    localisation(unit(1, 4, seed=5), windows, labels_QN, temperature=0.1).sum().backward()
    assert windows.grad[1].tolist() == [0.0] * 4
    assert (windows.grad[[0, 2]].abs().sum(dim=1) > 0).all()


def test_a_query_without_a_wrong_window_costs_nothing_and_goes_backward():
    queries, windows = free(unit(2, 4)), unit(2, 4, seed=1)
    labels_QN = torch.tensor([[1, 0], [1, -1]])
    losses_Q = localisation(queries, windows, labels_QN, temperature=0.1)
    losses_Q.sum().backward()
    assert losses_Q[0] == 0 < losses_Q[1]
    assert queries.grad[0].tolist() == [0.0] * 4
    assert torch.isfinite(queries.grad).all()


def test_gradients_of_localisation_are_those_of_finite_differences():
    labels_QN = torch.tensor([[1, 1, -1, 0], [-1, 0, 1, -1]])
    assert torch.autograd.gradcheck(
        lambda q, w: localisation(as_unit(q), as_unit(w), labels_QN, temperature=0.2),
        (free(unit(2, 3)), free(unit(4, 3, seed=1))),
    )


def test_a_query_without_a_right_window_is_refused():
    with pytest.raises(UsageError, match=r"query 1 has no window of IoU 0\.7 or more: add its own"):
        localisation(unit(2, 3), unit(2, 3), torch.tensor([[1, -1], [0, -1]]), temperature=0.1)


# bad input


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_rows_that_are_not_finite_are_named(value):
    good, bad = unit(2, 3), unit(2, 3).clone()
    bad[1, 1] = value
    with pytest.raises(NotFinite, match=r"candidates \[2, 3\] is not finite"):
        two_way(alone(good), alone(bad), temperature=0.1)
    with pytest.raises(NotFinite, match="anchors"):
        triplets(bad, alone(good), alone(good), temperature=0.1)
    with pytest.raises(NotFinite, match="windows"):
        localisation(good, bad, torch.ones(2, 2), temperature=0.1)
    with pytest.raises(NotFinite, match="states"):
        matching(bad, good, torch.tensor([True, False]))
    with pytest.raises(NotFinite, match="next_token is not finite"):
        next_token(bad.flip(0)[None], good, torch.tensor([[0, 1]]))  # state 0 is the bad one


@pytest.mark.parametrize("temperature", [0, -1, math.nan, math.inf])
def test_a_temperature_that_is_not_positive_is_refused(temperature):
    with pytest.raises(UsageError, match=f"temperature {float(temperature)}: give a positive"):
        two_way(alone(unit(2, 3)), alone(unit(2, 3)), temperature=temperature)


def test_rows_of_another_length_than_one_are_our_own_error():
    with pytest.raises(AssertionError, match="anchors are not unit rows"):
        triplets(2 * unit(2, 3), alone(unit(2, 3)), alone(unit(2, 3)), temperature=0.1)

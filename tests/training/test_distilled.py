"""Distilled similarities: closed forms, bounds, a naive twin, and no gradient to the teacher."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kinoscope.errors import UsageError
from kinoscope.training.gather import Rows, alone
from kinoscope.training.losses import NotFinite, TwoWay, distilled, two_way
from tests.training.test_losses import as_unit, free, seeds, sizes, unit

pytestmark = pytest.mark.usefixtures("one_torch_thread")
heats = st.sampled_from([0.05, 0.1, 1.0])


def taught(video, text, scores, *, student: float = 0.1, teacher: float = 0.1) -> TwoWay:
    """Of one process."""
    return distilled(
        alone(video),
        alone(text),
        video_to_text_BN=scores,
        text_to_video_BN=scores.T,
        temperature=student,
        teacher_temperature=teacher,
    )


def entropies(scores: np.ndarray, heat: float) -> np.ndarray:
    """Of each row's shares, by loops."""
    found = []
    for row in scores:
        shares = np.exp((row - row.max()) / heat)
        shares /= shares.sum()
        found.append(-sum(share * np.log(share) for share in shares if share > 0))
    return np.array(found)


@given(sizes, sizes, heats, seeds)
def test_a_student_that_agrees_costs_the_entropy_of_the_targets(count, dimension, heat, seed):
    video, text = unit(2, count, dimension, seed=seed)
    scores = video @ text.T
    both = taught(video, text, scores, student=heat, teacher=heat)
    assert both.video_to_text_B.tolist() == pytest.approx(entropies(scores.numpy(), heat), abs=1e-9)
    assert both.text_to_video_B.tolist() == pytest.approx(
        entropies(scores.T.numpy(), heat), abs=1e-9
    )


@given(sizes, sizes, heats, heats, seeds)
def test_no_student_costs_less_than_the_entropy(count, dimension, heat, other_heat, seed):
    video, text = unit(2, count, dimension, seed=seed)
    scores = unit(count, count, seed=seed + 1)
    both = taught(video, text, scores, student=other_heat, teacher=heat)
    assert (both.video_to_text_B.numpy() >= entropies(scores.numpy(), heat) - 1e-9).all()
    assert (both.text_to_video_B.numpy() >= entropies(scores.T.numpy(), heat) - 1e-9).all()


@given(sizes, sizes, seeds)
def test_a_teacher_that_is_sure_of_the_pairs_gives_info_nce(count, dimension, seed):
    video, text = unit(2, count, dimension, seed=seed)
    both = taught(video, text, 1e3 * torch.eye(count, dtype=torch.float64))
    plain = two_way(alone(video), alone(text), temperature=0.1)
    assert both.rows_B.tolist() == pytest.approx(plain.rows_B.tolist(), abs=1e-9)


def test_two_orthogonal_pairs_with_a_teacher_that_cannot_tell_give_the_closed_form():
    eye_BD = torch.eye(2, dtype=torch.float64)
    both = taught(eye_BD, eye_BD, torch.zeros(2, 2, dtype=torch.float64), student=0.5)
    expected = np.log(1 + np.exp(-2)) + 1  # the mean of -log p(own) and -log p(other), 2 apart
    assert both.rows_B.tolist() == pytest.approx([expected] * 2, abs=1e-12)


@given(sizes, sizes, st.integers(0, 3), seeds)
def test_it_equals_its_naive_twin_among_rows_of_other_processes(count, dimension, others, seed):
    video, text = unit(2, count + 2 * others, dimension, seed=seed)
    scores = unit(count + 2 * others, count + 2 * others, seed=seed + 1).numpy()
    own = slice(others, others + count)
    found = distilled(
        Rows(video[own], video, others),
        Rows(text[own], text, others),
        video_to_text_BN=torch.from_numpy(scores[own]),
        text_to_video_BN=torch.from_numpy(scores.T[own].copy()),
        temperature=0.3,
        teacher_temperature=0.2,
    )
    for rows_B, anchors, candidates, table in (
        (found.video_to_text_B, video, text, scores),
        (found.text_to_video_B, text, video, scores.T),
    ):
        for place, row in enumerate(rows_B.tolist()):
            i = others + place
            logits = np.array([float(anchors[i] @ other) / 0.3 for other in candidates])
            shares = np.exp(table[i] / 0.2) / np.exp(table[i] / 0.2).sum()
            logs = logits - np.log(np.exp(logits).sum())
            naive = -sum(share * log for share, log in zip(shares, logs, strict=True))
            assert row == pytest.approx(naive, rel=1e-9)


def test_gradients_are_those_of_differences_and_none_reach_the_teacher():
    video, text = (free(side) for side in unit(2, 3, 4, seed=5))
    heat, scores = free(torch.tensor(0.3, dtype=torch.float64)), free(unit(3, 3, seed=6))

    def loss(video, text, heat):
        return taught(as_unit(video), as_unit(text), scores, student=heat).rows_B

    assert torch.autograd.gradcheck(loss, (video, text, heat))
    loss(video, text, heat).sum().backward()
    assert scores.grad is None
    assert all(float(tensor.grad.abs().sum()) > 0 for tensor in (video, text, heat))


def test_equal_rows_in_a_batch_have_equal_targets():
    """A sentence that was drawn for two videos is no negative of either."""
    video, text = unit(2, 3, 4, seed=1)
    text[2] = text[1]
    both = taught(video, text, video @ text.T)
    swapped = taught(video[[0, 2, 1]], text, video[[0, 2, 1]] @ text.T)
    assert both.video_to_text_B[[0, 2, 1]].tolist() == pytest.approx(
        swapped.video_to_text_B.tolist()
    )


@pytest.mark.parametrize("heats", [(0.0, 0.1), (0.1, -1.0), (0.1, float("nan"))])
def test_temperatures_must_be_positive(heats):
    rows = unit(2, 3)
    with pytest.raises(UsageError, match=r"temperature .*: give a positive number"):
        taught(rows, rows, rows @ rows.T, student=heats[0], teacher=heats[1])


def test_scores_that_are_not_finite_are_refused():
    rows = unit(2, 3)
    with pytest.raises(NotFinite, match=r"video_to_text \[2, 2\] is not finite"):
        taught(rows, rows, torch.full((2, 2), torch.nan, dtype=torch.float64))

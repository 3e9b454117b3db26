"""Proofs of adaptive stopping on made thoughts: who should stop early is known, and who does."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kinoscope.evaluation.world.adaptive import (
    Gallery,
    converged,
    correlations,
    gains,
    halted,
    point,
    shuffled,
)
from kinoscope.training.gather import alone
from kinoscope.training.losses import two_way

COUNT, STEPS = 40, 4


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def best_steps(count: int = COUNT) -> np.ndarray:
    """After which step each video's vector is its text's."""
    return np.arange(count) % STEPS + 1


def gallery(count: int = COUNT) -> Gallery:
    """Videos that their text finds after one step only: before and after they are elsewhere."""
    random = np.random.default_rng(0)
    texts_VD = unit(random.normal(size=(count, 32)))
    videos_VKD = unit(random.normal(size=(count, STEPS, 32)))
    videos_VKD[np.arange(count), best_steps(count) - 1] = texts_VD
    return Gallery(texts_VD=texts_VD, videos_VKD=videos_VKD, keys=[str(n) for n in range(count)])


def test_stopping_at_the_right_step_finds_all_and_dealing_the_steps_out_anew_does_not():
    made = gallery()
    assert made.found(best_steps()).mean() == 1
    for steps in range(1, STEPS + 1):
        assert made.fixed(steps).mean() < 0.5
    dealt_V = shuffled(made, best_steps())
    assert dealt_V.mean() < 0.5
    assert (dealt_V == shuffled(made, best_steps())).all()
    same_V = np.full(COUNT, 2)
    assert (shuffled(made, same_V) == made.fixed(2)).all()


def test_a_rule_is_compared_with_fixed_steps_of_the_same_mean():
    made = gallery()
    found = point(made, best_steps(), 0.5)
    assert found.mean_steps == 2.5
    expected = (made.fixed(2).mean() + made.fixed(3).mean()) / 2
    assert found.fixed_r1.value == pytest.approx(expected, abs=1e-12)
    assert found.apart and found.p_value < 0.01
    assert found.told()["r1"] == [1.0, 1.0, 1.0]
    same = point(made, np.full(COUNT, STEPS), 0.9)
    assert (same.r1, same.apart, same.p_value) == (same.fixed_r1, False, 1.0)


@pytest.mark.parametrize("mean", [1.0, 1.25, 3.999, 4.0])
def test_between_two_fixed_numbers_the_nearer_weighs_more(mean):
    made = gallery()
    low, share = int(mean), mean % 1
    expected = (1 - share) * made.fixed(low) + (share * made.fixed(low + 1) if share else 0)
    assert made.at_mean(mean) == pytest.approx(expected)


@given(st.integers(0, 2**32 - 1), st.floats(0.01, 0.99))
def test_halting_stops_where_a_loop_over_steps_does(seed, threshold):
    random = np.random.default_rng(seed)
    halting_VK = random.dirichlet(np.ones(6), size=5)[:, :5].astype(np.float32)
    expected = []
    for row in halting_VK.astype(np.float64):
        total, step = 0.0, 0
        while step < 5 and total < threshold:
            total += row[step]
            step += 1
        expected.append(step)
    assert halted(halting_VK, threshold).tolist() == expected


def test_convergence_stops_at_the_first_small_turn_and_never_at_the_first_step():
    curve_VK = np.array([[np.nan, 0.5, 0.995, 0.999], [np.nan, 0.985, 0.2, 0.3]], np.float32)
    assert converged(curve_VK, 0.01).tolist() == [3, 4]
    assert converged(curve_VK, 0.02).tolist() == [3, 2]
    assert converged(curve_VK, 1.0).tolist() == [2, 2]


def test_gains_are_differences_of_the_two_way_contrast_among_all_videos():
    made = gallery(8)
    text = alone(torch.from_numpy(made.texts_VD))
    first, last = (
        two_way(alone(torch.from_numpy(made.videos_VKD[:, k])), text, temperature=0.1).rows_B
        for k in (0, STEPS - 1)
    )
    assert gains(made, temperature=0.1) == pytest.approx((first - last).numpy())
    assert gains(made, temperature=0.1)[0] < 0 < gains(made, temperature=0.1)[3]


def test_correlations_have_their_sign_and_interval():
    steps_V = best_steps()
    found = correlations(
        steps_V, {"with": steps_V**2 * 1.0, "against": -1.0 * steps_V, "none": np.ones(COUNT)}
    )
    assert [found[name].interval for name in found] == [(1, 1, 1), (-1, -1, -1), (0, 0, 0)]

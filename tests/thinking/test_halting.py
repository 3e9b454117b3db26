"""The decision to stop: a distribution whatever the lambdas, and the first step that reaches it."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kinoscope.errors import UsageError
from kinoscope.thinking.halting import Halting, left_before, p_BK, stops_B

D = 6
chances = st.lists(st.floats(0, 1, width=32), min_size=1, max_size=12)


@given(lambdas=chances)
def test_probabilities_add_up_to_one_and_the_last_step_takes_the_rest(lambdas):
    p_K = p_BK(torch.tensor([lambdas]))[0]
    assert (p_K >= 0).all()
    assert float(p_K.sum()) == pytest.approx(1, abs=1e-5)
    left = 1.0
    for step, chance in enumerate(lambdas[:-1]):
        assert float(p_K[step]) == pytest.approx(chance * left, abs=1e-6)
        left *= 1 - chance
    assert float(p_K[-1]) == pytest.approx(left, abs=1e-6)
    assert float(left_before(torch.tensor([lambdas]))[0, -1]) == pytest.approx(left, abs=1e-6)


@given(lambdas=chances, threshold=st.floats(0.05, 1))
def test_a_row_stops_at_the_first_step_that_reaches_the_threshold(lambdas, threshold):
    p_1K = p_BK(torch.tensor([lambdas]))
    total, wanted = 0.0, len(lambdas)
    for step, p in enumerate(p_1K[0].tolist()[:-1], start=1):
        total += p
        if abs(total - threshold) < 1e-5:
            return  # within rounding of the threshold either is right
        if total > threshold:
            wanted = step
            break
    assert int(stops_B(p_1K, threshold)) == wanted


@pytest.mark.parametrize("lambdas", [[0.0, 0.0, 0.0], [1.0, 1.0, 1.0], [0.0, 1.0, 0.5]])
def test_certainty_has_a_gradient_too(lambdas):
    lambdas_1K = torch.tensor([lambdas], requires_grad=True)
    (p_BK(lambdas_1K) * torch.tensor([[1.0, 2.0, 4.0]])).sum().backward()
    assert lambdas_1K.grad.isfinite().all()
    assert lambdas_1K.grad[0, -1] == 0, "the last step's own chance does not count"


@pytest.mark.parametrize("start", [0.1, 0.5, 0.9])
def test_before_training_the_chance_is_the_same_everywhere(start):
    lambdas_BK = Halting(D, start=start)(torch.randn(3, 4, D) * 100)
    torch.testing.assert_close(lambdas_BK, torch.full((3, 4), start))


def test_it_is_the_formula_and_the_first_difference_is_zero():
    torch.manual_seed(0)
    halting, states_KD = Halting(D), torch.randn(3, D)
    torch.nn.init.normal_(halting.weight)
    found_K = halting(states_KD[None])[0].tolist()
    weight, bias = halting.weight.detach(), float(halting.bias.detach())
    before_D = states_KD[0]
    for state_D, found in zip(states_KD, found_K, strict=True):
        x = float(torch.cat([state_D, state_D - before_D]) @ weight) + bias
        assert found == pytest.approx(1 / (1 + math.exp(-x)), abs=1e-6)
        before_D = state_D


def test_a_chance_depends_on_no_later_thought():
    torch.manual_seed(0)
    halting, states_BKD = Halting(D), torch.randn(2, 4, D)
    torch.nn.init.normal_(halting.weight)
    torch.testing.assert_close(halting(states_BKD)[:, :2], halting(states_BKD[:, :2]))


@pytest.mark.parametrize("start", [0.0, 1.0, float("nan")])
def test_a_start_that_is_no_chance_is_named(start):
    with pytest.raises(UsageError, match="halting start"):
        Halting(D, start=start)
